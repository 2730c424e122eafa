"""The HTTP side of a simulated venue: delays, faults that act on the wire, and the request journal."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace

from aiohttp import web

from node.sim.fault_plan import FaultPlan
from node.sim.faults import EXECUTES, Action, Deed
from node.sim.market import Product
from node.sim.request_journal import JournalEntry, RequestJournal
from node.sim.stream_wire import serve_stream
from node.sim.streams import Connection, StreamSwitch
from node.sim.venue import NO_EFFECTS, Effects, VenueFrontEnd, WireAnswer, WireRequest

WEB_PAGE = b"<!DOCTYPE html><html><head><title>Just a moment...</title></head><body>Checking your browser</body></html>"


class WireHandler:
    """Handles every request of the venue's TLS port."""

    def __init__(
        self, front_end: VenueFrontEnd, faults: FaultPlan, journal: RequestJournal, streams: StreamSwitch
    ) -> None:
        self.front_end = front_end
        self._faults = faults
        self._journal = journal
        self._streams = streams
        #: Set to let go of requests that a fault keeps waiting.
        self.released = asyncio.Event()

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request, or not."""
        received_ns = time.monotonic_ns()
        body = await request.read()
        parsed = replace(
            self.front_end.parse(
                request.method, request.host.partition(":")[0], request.raw_path, request.headers, body
            ),
            address=request.remote or "",
        )
        round_trip_s = self._faults.round_trip_s(parsed.traits)
        if round_trip_s:
            await asyncio.sleep(round_trip_s / 2)
        entry = self._journal.open(
            received_ns=received_ns,
            arrived_ns=time.monotonic_ns(),
            host=parsed.host,
            method=parsed.method,
            path=parsed.path,
            params=parsed.params,
            key=parsed.key.name if parsed.key is not None else None,
        )
        action = self._faults.take(parsed.traits)
        products = self._stream_products(request, parsed)
        if products is not None and (action is None or action.deed in EXECUTES):
            return await self._stream(request, parsed, products, entry)
        if action is None:
            answer = self.front_end.answer(parsed, NO_EFFECTS)
        else:
            entry.fault = action.deed.value
            answer = await self._carry_out(parsed, action)
        entry.answered_ns = time.monotonic_ns()
        entry.code, entry.order_ids = answer.code, answer.order_ids
        if round_trip_s:
            await asyncio.sleep(round_trip_s / 2)
        return await self._send(request, answer, action, entry)

    def _stream_products(self, request: web.BaseRequest, parsed: WireRequest) -> frozenset[Product] | None:
        if request.headers.get("Upgrade", "").lower() != "websocket":
            return None
        return self.front_end.stream_products(parsed)

    async def _stream(
        self, request: web.BaseRequest, parsed: WireRequest, products: frozenset[Product], entry: JournalEntry
    ) -> web.StreamResponse:
        entry.answered_ns = time.monotonic_ns()
        account = self.front_end.stream_account(parsed)
        if self._streams.refuses(products, account):
            entry.status = 503
            return web.Response(status=503)
        entry.status = 101
        front_end = self.front_end
        connection = Connection(products, account, lambda: self._faults.round_trip_s(parsed.traits) / 2)
        return await serve_stream(
            request, connection, lambda opened: front_end.open_stream(parsed, opened), self._streams
        )

    async def _carry_out(self, request: WireRequest, action: Action) -> WireAnswer:
        if action.deed is Deed.DELAY_MS:
            await asyncio.sleep(action.delay_ms / 1000)
        if action.deed in EXECUTES:
            effects = Effects(
                fill_fraction=action.fraction if action.deed is Deed.PARTIAL_FILL else None,
                refuse_market_orders=action.deed is Deed.PERCENT_PRICE_REFUSAL,
            )
            answer = self.front_end.answer(request, effects)
            if action.deed is not Deed.REFUSE_AFTER_EXECUTION:
                return answer
            order_ids, answer = answer.order_ids, self._refuse(request, action)
            answer.order_ids = order_ids
            return answer
        if action.deed is Deed.RATE_LIMIT:
            return self.front_end.rate_limited(request, action.retry_after)
        if action.deed is Deed.BAN_418:
            return self.front_end.ban(action.retry_after)
        if action.deed is Deed.REFUSE:
            return self._refuse(request, action)
        return WireAnswer(status=0, body=b"")

    def _refuse(self, request: WireRequest, action: Action) -> WireAnswer:
        if action.reason is not None:
            return self.front_end.refusal_for(request, action.reason, action.status)
        return self.front_end.refusal(action.code, action.msg, action.status)

    async def _send(
        self, request: web.BaseRequest, answer: WireAnswer, action: Action | None, entry: JournalEntry
    ) -> web.StreamResponse:
        deed = action.deed if action is not None else None
        if deed in (Deed.HANG, Deed.TIMEOUT_AFTER_EXECUTION):
            await self.released.wait()
        if deed in (Deed.HANG, Deed.TIMEOUT_AFTER_EXECUTION, Deed.LOSE_AFTER_EXECUTION):
            return _hang_up(request)
        if deed is Deed.TRUNCATED_BODY:
            return await _send_half(request, answer)
        if deed is Deed.EMPTY_200:
            answer = WireAnswer(status=200, body=b"")
        elif deed is Deed.HTML_200:
            answer = WireAnswer(status=200, body=WEB_PAGE, headers={"Content-Type": "text/html; charset=utf-8"})
        elif deed is Deed.RESHAPE and action is not None:
            answer = WireAnswer(status=200, body=json.dumps(action.body).encode())
        elif deed is Deed.STATUS_AFTER_EXECUTION and action is not None:
            status = action.status or 502
            answer = WireAnswer(status=status, body=WEB_PAGE, headers={"Content-Type": "text/html; charset=utf-8"})
        entry.status, entry.sent_ns = answer.status, time.monotonic_ns()
        headers = {"Content-Type": "application/json;charset=UTF-8", **answer.headers}
        return web.Response(status=answer.status, body=answer.body, headers=headers)


def _hang_up(request: web.BaseRequest) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)  # goes nowhere: the transport is gone


async def _send_half(request: web.BaseRequest, answer: WireAnswer) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status, headers={"Content-Type": "application/json;charset=UTF-8"})
    response.content_length = len(answer.body)
    await response.prepare(request)
    await response.write(answer.body[: len(answer.body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response
