"""SignalR: one connection to a hub, in the JSON hub protocol.

Every message ends with the byte 0x1E, and a frame may hold several. After the handshake the client opens streams
(type 4) and ends them (5); the server sends items (2) and completions (3); both ping (6), and either closes (7).

Source: the hub protocol's specification in the ASP.NET Core repository; the paths and targets are B2TRADER's.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from node.sim.b2prime.errors import B2primeError, bad_request, refused
from node.sim.b2prime.numbers import Json
from node.sim.b2prime.requests import B2primeRequest, product_of
from node.sim.b2prime.streams import PRODUCTS_OF, TARGETS, B2primeStreams, Subscription
from node.sim.fault_plan import Traits
from node.sim.faults import Intent
from node.sim.market import Product
from node.sim.streams import Connection
from node.sim.venue import Effects, VenueFrontEnd, WireAnswer

RECORD_END: Final = "\x1e"
PRODUCTS: Final = frozenset({Product.LINEAR, Product.SPOT})
INTENTS: Final = {
    "OpenOrders": Intent.ORDERS,
    "OpenPositions": Intent.POSITIONS,
    "ClosePositionsOrders": Intent.ORDER,
    "FullBalance": Intent.BALANCES,
    "MarginData": Intent.BALANCES,
    "Book": Intent.QUOTES,
    "Tob": Intent.QUOTES,
}
STREAM_ITEM, COMPLETION, STREAM_INVOCATION, CANCEL_INVOCATION, PING, CLOSE = 2, 3, 4, 5, 6, 7


def is_hub(path: str) -> bool:
    """Whether it is a hub's address, or that of its negotiation."""
    return path.removesuffix("/negotiate") in TARGETS


def negotiated() -> dict[str, Any]:
    """The answer to a negotiation: WebSockets only."""
    return {
        "negotiateVersion": 1,
        "connectionId": secrets.token_urlsafe(16),
        "connectionToken": secrets.token_urlsafe(16),
        "availableTransports": [{"transport": "WebSockets", "transferFormats": ["Text", "Binary"]}],
    }


class HubSession:
    """One connection."""

    def __init__(
        self, front_end: VenueFrontEnd, streams: B2primeStreams, request: B2primeRequest, connection: Connection
    ) -> None:
        self._front_end = front_end
        self._streams = streams
        self._state = streams.state
        self._request = request
        self._connection = connection
        self._buffer = ""
        self._greeted = False
        self._loop = asyncio.get_running_loop()
        self._heard_at = self._loop.time()
        self._timers = [self._loop.call_later(self._state.switches.stream_ping_s, self._ping)]
        self._watch_token()

    def received(self, text: str) -> None:
        """Carry out the messages that are complete."""
        self._heard_at = self._loop.time()
        *records, self._buffer = (self._buffer + text).split(RECORD_END)
        for record in records:
            try:
                message = json.loads(record)
            except ValueError:
                message = None
            if not isinstance(message, dict):
                self._close("Error parsing a message.")
            elif not self._greeted:
                self._greet(message)
            else:
                self._carry_out(message)

    def closed(self) -> None:
        """Forget its streams."""
        for timer in self._timers:
            timer.cancel()
        self._streams.unsubscribe(self._connection, None)

    def _greet(self, message: Mapping[str, Any]) -> None:
        if message.get("protocol") != "json" or message.get("version") != 1:
            self._send({"error": f"The protocol '{message.get('protocol')}' is not supported."})
            self._connection.cut()
            return
        self._greeted = True
        self._send({})

    def _carry_out(self, message: Mapping[str, Any]) -> None:
        kind, invocation = message.get("type"), message.get("invocationId")
        if kind == STREAM_INVOCATION and isinstance(invocation, str):
            self._subscribe(message, invocation)
        elif kind == CANCEL_INVOCATION and isinstance(invocation, str):
            if self._streams.unsubscribe(self._connection, invocation):
                self._send({"type": COMPLETION, "invocationId": invocation})
        elif kind == CLOSE:
            self._connection.cut()
        elif kind != PING:
            self._send({"type": COMPLETION, "invocationId": invocation, "error": "Unknown hub method."})

    def _subscribe(self, message: Mapping[str, Any], invocation: str) -> None:
        """A stream's opening meets the faults of a request; its answer is the first item."""
        target, arguments = str(message.get("target")), message.get("arguments")

        def execute(_: Effects) -> WireAnswer:
            try:
                if target not in TARGETS[self._request.path]:
                    raise bad_request(f"Unknown hub method '{target}'.")
                account, markets = self._streams.find(target, arguments)
            except B2primeError as error:
                return refused(error, self._state.switches)
            self._connection.account = account.name
            item = self._streams.subscribe(
                Subscription(
                    connection=self._connection,
                    invocation=invocation,
                    target=target,
                    account=account,
                    markets=markets,
                    send=lambda later: self._send_item(invocation, later),
                    close=self._close,
                )
            )
            return WireAnswer(status=200, body=b"" if item is None else json.dumps(item).encode())

        def render(answer: WireAnswer) -> str:
            if answer.status != 200:
                error = f"Failed to invoke '{target}': {answer.code}"
                return _record({"type": COMPLETION, "invocationId": invocation, "error": error})
            return _item(invocation, json.loads(answer.body)) if answer.body else ""

        self._state.setup.messages.handle(
            self._front_end,
            self._as_request(target, arguments),
            self._connection,
            execute,
            render,
            frame=lambda text: _item(invocation, json.loads(text)),
        )

    def _as_request(self, target: str, arguments: object) -> B2primeRequest:
        values = arguments if isinstance(arguments, list) else []
        account = self._state.account(str(values[0])) if values else None
        names = values[1] if len(values) > 1 else []
        symbols = frozenset(map(str, names)) if isinstance(names, list) else frozenset({str(names)})
        return replace(
            self._request,
            method="STREAM",
            path=f"{self._request.path}/{target}",
            query="",
            params={"target": target, "accountId": str(values[0]) if values else ""},
            account=account,
            traits=Traits(
                method="STREAM",
                host=self._request.host,
                path=f"{self._request.path}/{target}",
                intent=INTENTS.get(target, Intent.OTHER),
                product=product_of(symbols),
                products=PRODUCTS_OF.get(target, frozenset()),
                account=account.name if account is not None else None,
                symbols=symbols,
            ),
        )

    def _send_item(self, invocation: str, item: Json) -> None:
        self._connection.send(_item(invocation, item))

    def _send(self, message: Mapping[str, Any]) -> None:
        self._connection.send(_record(message))

    def _ping(self) -> None:
        switches = self._state.switches
        if self._loop.time() - self._heard_at > switches.stream_client_silence_s:
            self._close("Client timeout elapsed without a message being received.")
            return
        if self._greeted:
            self._send({"type": PING})
        self._timers[0] = self._loop.call_later(switches.stream_ping_s, self._ping)

    def _watch_token(self) -> None:
        holder = self._state.tokens.holder(self._request.token, self._state.now_ms)
        if holder is not None and not self._state.switches.stream_outlives_token:
            left_s = (holder[1] - self._state.now_ms) / 1000
            self._timers.append(self._loop.call_later(left_s, lambda: self._close("The access token has expired.")))

    def _close(self, reason: str) -> None:
        self._send({"type": CLOSE, "error": reason, "allowReconnect": True})
        self._connection.cut()


def _record(message: Mapping[str, Any]) -> str:
    return json.dumps(message) + RECORD_END


def _item(invocation: str, item: Json) -> str:
    return _record({"type": STREAM_ITEM, "invocationId": invocation, "item": item})
