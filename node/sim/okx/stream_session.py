"""One WebSocket connection to OKX: logging in, subscribing, ordering, and the text that keeps it alive.

``/ws/v5/private`` has orders, positions and the account, and takes orders; ``/ws/v5/business`` has algo orders, those
of the advanced types in a channel of their own; ``/ws/v5/public`` takes subscriptions and is never fed. Orders over a
WebSocket are those of HTTP, with the same limits; they do not show in the request journal. A connection on which the
venue has said nothing for thirty seconds breaks: the client's ``ping`` is answered, and keeps it.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import Any, Protocol

from node.sim.keys import ApiKey
from node.sim.okx.calls import Answer, Call
from node.sim.okx.errors import OkxError, no_permission
from node.sim.okx.modes import AccountModes
from node.sim.okx.params import Params
from node.sim.okx.routes import Endpoint, Routes
from node.sim.okx.security import log_in, may_trade
from node.sim.okx.streams import OkxStreams, Subscription
from node.sim.streams import Connection
from node.sim.venue import NO_EFFECTS, VenueSetup

PRIVATE, BUSINESS, PUBLIC = (f"/ws/v5/{name}" for name in ("private", "business", "public"))
PATHS = (PRIVATE, BUSINESS, PUBLIC)
CHANNELS = {
    PRIVATE: ("orders", "positions", "account", "balance_and_position"),
    BUSINESS: ("orders-algo", "algo-advance"),
}
OPERATIONS = {
    "order": "/api/v5/trade/order",
    "batch-orders": "/api/v5/trade/batch-orders",
    "cancel-order": "/api/v5/trade/cancel-order",
    "batch-cancel-orders": "/api/v5/trade/cancel-batch-orders",
}
IDLE_S = 30.0
_connection_ids = itertools.count(0xA4D3AE55)


class Desk(Protocol):
    """What carries out requests, wherever they came from."""

    setup: VenueSetup
    modes: AccountModes
    routes: Routes

    def perform(self, endpoint: Endpoint, call: Call) -> Answer:
        """Count a request against its limits and carry it out."""


class OkxSession:
    """One connection."""

    def __init__(self, desk: Desk, streams: OkxStreams, connection: Connection, path: str) -> None:
        self._desk = desk
        self._streams = streams
        self._connection = connection
        self._path = path
        self._id = f"{next(_connection_ids):08x}"
        self._key: ApiKey | None = None
        self._end = asyncio.get_running_loop().call_later(IDLE_S, connection.cut)

    def received(self, text: str) -> None:
        """A message of the client's."""
        if text == "ping":
            self._push("pong")
            return
        try:
            message = json.loads(text)
        except ValueError:
            message = None
        if not isinstance(message, dict) or not isinstance(message.get("args", []), list):
            self._error(OkxError("60012", f"Invalid request: {text}"), None)
            return
        try:
            self._carry_out(message)
        except OkxError as error:
            self._error(error, message.get("id"))

    def closed(self) -> None:
        """Hear no more."""
        self._end.cancel()
        self._streams.unsubscribe(self._connection, None)

    def _carry_out(self, message: dict[str, Any]) -> None:
        operation, arguments = (
            str(message.get("op")),
            [each for each in message.get("args", []) if isinstance(each, dict)],
        )
        if operation == "login":
            self._log_in(arguments)
        elif operation in ("subscribe", "unsubscribe"):
            for argument in arguments:
                self._subscribe({name: str(value) for name, value in argument.items()}, operation, message.get("id"))
        elif operation in OPERATIONS:
            self._order(operation, arguments, message.get("id"))
        else:
            raise OkxError("60012", f"Invalid request: {json.dumps(message)}")

    def _log_in(self, arguments: list[dict[str, Any]]) -> None:
        if self._key is not None:
            raise OkxError("60031", "The WebSocket endpoint does not allow multiple or repeated logins.")
        if not arguments:
            raise OkxError("60013", "Invalid args")
        setup = self._desk.setup
        self._key = log_in(setup.keys, arguments[0], setup.clock.now_ms())
        self._connection.account = self._key.account
        self._send({"event": "login", "code": "0", "msg": ""})

    def _subscribe(self, argument: dict[str, str], operation: str, message_id: object) -> None:
        channel = argument.get("channel", "")
        if self._path != PUBLIC:
            self._check_channel(channel)
        named = {"id": str(message_id)} if message_id is not None else {}
        self._send({**named, "event": operation, "arg": argument})
        if operation == "unsubscribe":
            self._streams.unsubscribe(self._connection, argument)
        elif self._key is not None and self._path != PUBLIC:
            account = self._key.account
            subscription = Subscription(
                connection=self._connection,
                send=self._push,
                account=account,
                connection_id=self._id,
                argument=argument,
            )
            self._streams.subscribe(subscription)
            count = str(self._streams.count(account, channel))
            self._send({"event": "channel-conn-count", "channel": channel, "connCount": count})

    def _check_channel(self, channel: str) -> None:
        if channel not in CHANNELS[self._path]:
            if self._path == PRIVATE and channel in CHANNELS[BUSINESS]:
                raise OkxError("64001", "This channel has been migrated to the '/business' URL.")
            if self._path == BUSINESS and channel in CHANNELS[PRIVATE]:
                raise OkxError("64002", 'This channel is not supported by "/business" URL.')
            raise OkxError("60018", f"Wrong URL or channel:{channel} doesn't exist.")
        if self._key is None:
            raise OkxError("60011", "Please log in")

    def _order(self, operation: str, arguments: list[dict[str, Any]], message_id: object) -> None:
        if self._path != PRIVATE:
            raise OkxError("60028", "The current operation is not supported by this URL.")
        if self._key is None or self._key.revoked:
            raise OkxError("60011", "Please log in")
        endpoint = self._desk.routes["POST", OPERATIONS[operation]]
        rows = [Params(row) for row in arguments] or [Params({})]
        call = Call(
            setup=self._desk.setup,
            modes=self._desk.modes,
            params=rows[0],
            effects=NO_EFFECTS,
            rows=rows,
            key=self._key,
        )
        reply: dict[str, Any] = {"id": "" if message_id is None else str(message_id), "op": operation}
        try:
            answer = self._perform(endpoint, call)
        except OkxError as error:
            reply |= {"code": error.code, "msg": error.message, "data": []}
        else:
            reply |= {"code": answer.code, "msg": answer.message, "data": answer.data}
        now_us = str(self._desk.setup.clock.now_ms() * 1000)
        self._push(json.dumps({**reply, "inTime": now_us, "outTime": now_us}))

    def _perform(self, endpoint: Endpoint, call: Call) -> Answer:
        if call.key is None or not may_trade(call.key):
            raise no_permission()
        return self._desk.perform(endpoint, call)

    def _error(self, error: OkxError, message_id: object) -> None:
        named = {"id": str(message_id)} if message_id is not None else {}
        self._send({**named, "event": "error", "code": error.code, "msg": error.message})

    def _send(self, message: dict[str, Any]) -> None:
        self._push(json.dumps({**message, "connId": self._id}))

    def _push(self, text: str) -> None:
        self._end.cancel()
        self._end = asyncio.get_running_loop().call_later(IDLE_S, self._connection.cut)
        self._connection.send(text)
