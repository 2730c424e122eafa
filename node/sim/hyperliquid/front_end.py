"""Hyperliquid's face: two paths for requests, one for the stream."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from node.sim.faults import Intent
from node.sim.hyperliquid import exchange, info
from node.sim.hyperliquid.errors import (
    NOT_FOUND_OR_ENDED,
    TWAP_NOT_FOUND,
    HyperliquidError,
    of_order,
    unknown_signer,
    unreadable,
)
from node.sim.hyperliquid.exchange import Signed
from node.sim.hyperliquid.limits import DAY_MS, INFO_WEIGHT, INFO_WEIGHTS
from node.sim.hyperliquid.markets import listings, trigger_words
from node.sim.hyperliquid.requests import EXCHANGE, INFO, INTENTS, HyperliquidRequest, asset_of, read_request, wires
from node.sim.hyperliquid.seeds import adapt
from node.sim.hyperliquid.streams import HyperliquidStreams, StreamConnection
from node.sim.hyperliquid.venue_state import VenueState
from node.sim.hyperliquid.wallets import credentials
from node.sim.market import Product
from node.sim.refusals import Reason
from node.sim.simulator import VenueKind
from node.sim.streams import Connection, StreamSession
from node.sim.venue import NO_EFFECTS, Effects, VenueSetup, WireAnswer, WireRequest

HOSTS: Final = ("api.hyperliquid.xyz",)
STREAM = "/ws"
STREAM_PRODUCTS: Final = frozenset({Product.LINEAR, Product.SPOT})
PLAIN: Final = {"Content-Type": "text/plain; charset=utf-8"}
_KEYLESS: Final = frozenset({Reason.STATUS_UNKNOWN, Reason.OVERLOADED})


class HyperliquidFrontEnd:
    """Answers requests against one world; the wire around it delays, loses and records them."""

    def __init__(self, setup: VenueSetup) -> None:
        self.setup = setup
        self.state = VenueState(setup)
        self._streams = HyperliquidStreams(self.state)
        self._banned_until_ms = 0

    def parse(self, method: str, host: str, target: str, headers: Mapping[str, str], body: bytes) -> WireRequest:
        """Read a request: all of it is in the body."""
        return read_request(self.state, method, host, target, headers, body)

    def answer(self, request: WireRequest, effects: Effects) -> WireAnswer:
        """Carry out a request."""
        if not isinstance(request, HyperliquidRequest) or request.path not in (INFO, EXCHANGE):
            return WireAnswer(status=404, body=b"", headers=dict(PLAIN), code=404)
        self.state.cancel_due()
        self.state.twaps.advance()
        wait_s = self._too_much(request)
        if wait_s is not None:
            return self.rate_limited(request, wait_s)
        order_ids: list[int] = []
        try:
            answer = _ok(self._carry_out(request, effects, order_ids))
        except HyperliquidError as error:
            answer = _refused(error)
        answer.order_ids = order_ids
        answer.code = answer.code or _first_error(answer.body)
        return answer

    def stream_products(self, request: WireRequest) -> frozenset[Product] | None:
        """One stream carries all."""
        return STREAM_PRODUCTS if request.path == STREAM else None

    def stream_account(self, _: WireRequest) -> str | None:
        """The address says nothing; subscriptions do."""
        return None

    def open_stream(self, _: WireRequest, connection: Connection) -> StreamSession:
        """Attach a connection."""
        return StreamConnection(self._streams, connection, self._post)

    def expire_streams(self, product: Product | None, account: str | None) -> None:
        """Subscriptions have no term here: nothing happens."""

    def refusal(self, code: int | str, message: str, status: int) -> WireAnswer:
        """Any text, in the venue's document; with another status than 200 as plain text."""
        return _refused(HyperliquidError(message, status=status or 200), code)

    def refusal_for(self, request: WireRequest, reason: Reason, status: int) -> WireAnswer:
        """One status an order or cancel, or a refusal of the whole."""
        if status not in (0, 200):
            return _refused(HyperliquidError("Internal Server Error", status=status), reason.value)
        if reason in _KEYLESS:
            code = 503 if reason is Reason.OVERLOADED else 504
            return _refused(HyperliquidError("", status=code), reason.value)
        now_ms = self.state.now_ms
        if reason is Reason.CLOCK:
            low, high = now_ms - 2 * DAY_MS - 1, now_ms - 2 * DAY_MS
            return _refused(HyperliquidError(f"Invalid nonce: nonce too low {low} < {high}"), reason.value)
        if not isinstance(request, HyperliquidRequest) or request.signed is None:
            return _refused(HyperliquidError("null", status=500), reason.value)
        if reason is Reason.KEY_DENIED:
            return _refused(unknown_signer(request.signed.signer), reason.value)
        if reason is Reason.TOO_MANY_ORDERS:
            account = request.traits.account or ""
            return _refused(HyperliquidError(self.state.budgets[account].exhausted), reason.value)
        return self._refused_batch(request.signed, reason)

    def rate_limited(self, _request: WireRequest, _retry_after_s: float) -> WireAnswer:
        """429, with ``null``; how long to wait is not said."""
        return WireAnswer(status=429, body=b"null", code=429)

    def ban(self, retry_after_s: float) -> WireAnswer:
        """The same for everything until then: no other word for it is known."""
        self._banned_until_ms = self.state.now_ms + int(retry_after_s * 1000)
        return WireAnswer(status=429, body=b"null", code=429)

    def forgive(self) -> None:
        """No ban, and full budgets; what accounts have traded stays."""
        self._banned_until_ms = 0
        self.state.weight.used = 0
        for budget in self.state.budgets.values():
            budget.used = min(budget.used, budget.cap // 2)

    def _carry_out(self, request: HyperliquidRequest, effects: Effects, order_ids: list[int]) -> object:
        if request.fault is not None:
            raise request.fault
        if request.document is None:
            raise unreadable()
        if request.path == INFO:
            return info.answer(self.state, request.document)
        if request.signed is None:
            raise unreadable()
        response = exchange.carry_out(self.state, request.signed, effects, order_ids)
        return {"status": "ok", "response": response}

    def _post(self, kind: str, payload: Mapping[str, Any]) -> object:
        """A request that came over the stream."""
        self.state.cancel_due()
        self.state.twaps.advance()
        if kind == "info":
            return {"type": payload.get("type"), "data": info.answer(self.state, payload)}
        try:
            signed = exchange.identify(self.state, payload)
            response = exchange.carry_out(self.state, signed, NO_EFFECTS, [])
        except HyperliquidError as error:
            if error.status != 200:
                raise
            return {"status": "err", "response": error.message}
        return {"status": "ok", "response": response}

    def _too_much(self, request: HyperliquidRequest) -> float | None:
        now_ms = self.state.now_ms
        if now_ms < self._banned_until_ms:
            return (self._banned_until_ms - now_ms) / 1000
        weight = 1
        if request.path == INFO:
            weight = INFO_WEIGHTS.get(str((request.document or {}).get("type")), INFO_WEIGHT)
        elif request.signed is not None:
            batch = request.signed.action.get(exchange.OF_BATCH.get(request.signed.kind, ""))
            weight = 1 + len(batch) // 40 if isinstance(batch, list) else 1
        return self.state.weight.spend(weight, now_ms, enforce=self.setup.enforce_limits)

    def _refused_batch(self, signed: Signed, reason: Reason) -> WireAnswer:
        if signed.kind == "twapCancel":
            response: dict[str, Any] = {"type": signed.kind, "data": {"status": {"error": TWAP_NOT_FOUND}}}
            answer = _ok({"status": "ok", "response": response})
            answer.code = TWAP_NOT_FOUND
            return answer
        action_wires = wires(signed.action)
        statuses = []
        for wire in action_wires:
            asset = asset_of(wire)
            market = self.state.market(asset)
            if INTENTS.get(signed.kind) is Intent.CANCEL:
                statuses.append({"error": f"{NOT_FOUND_OR_ENDED} asset={asset}"})
            elif market is not None:
                listing = self.state.core.listing(market)
                error = of_order(reason, self.state.asset(market), bid=str(listing.bid), ask=str(listing.ask))
                statuses.append({"error": error.message})
        if not statuses:
            return _refused(HyperliquidError(f"Action refused: {reason.value}"), reason.value)
        kind = "cancel" if INTENTS.get(signed.kind) is Intent.CANCEL else "order"
        response = {"type": kind, "data": {"statuses": statuses}}
        answer = _ok({"status": "ok", "response": response})
        answer.code = statuses[0]["error"]
        return answer


def _ok(document: object) -> WireAnswer:
    return WireAnswer(status=200, body=json.dumps(document, separators=(",", ":")).encode())


def _refused(error: HyperliquidError, code: int | str | None = None) -> WireAnswer:
    if error.status == 200:
        answer = _ok({"status": "err", "response": error.message})
        answer.code = error.message if code is None else code
        return answer
    return WireAnswer(
        status=error.status, body=error.message.encode(), headers=dict(PLAIN), code=code or str(error.status)
    )


def _first_error(body: bytes) -> str | None:
    """The first error among the statuses, for the request journal."""
    if b'"statuses"' not in body:
        return None
    statuses = json.loads(body)["response"]["data"]["statuses"]
    return next((each["error"] for each in statuses if isinstance(each, dict) and "error" in each), None)


HYPERLIQUID = VenueKind(
    name="hyperliquid",
    hosts=HOSTS,
    listings=listings,
    trigger_words=trigger_words,
    front_end=HyperliquidFrontEnd,
    adapt=adapt,
    credentials=credentials,
)
