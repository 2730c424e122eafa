"""Orders over a WebSocket: the same requests as over HTTP, in another envelope, and counted with them.

Source: Websocket Trade Guideline of the V5 documentation. It knows of no ``order.cancel-all``.
"""

from __future__ import annotations

import json
import secrets
from typing import Any, Final, Protocol

from node.sim.bybit.errors import BybitError
from node.sim.bybit.private_stream import read_message
from node.sim.bybit.security import authenticate_stream, check_time
from node.sim.keys import ApiKey
from node.sim.streams import Connection
from node.sim.venue import Effects, VenueFrontEnd, VenueSetup, WireAnswer, WireRequest

PATHS: Final = {
    "order.create": "/v5/order/create",
    "order.cancel": "/v5/order/cancel",
    "order.create-batch": "/v5/order/create-batch",
    "order.cancel-batch": "/v5/order/cancel-batch",
}


class OrderDesk(VenueFrontEnd, Protocol):
    """The HTTP face, as far as it is needed here."""

    def carry_out(self, request: WireRequest, effects: Effects, *, key: ApiKey | None) -> WireAnswer:
        """Carry out a request of a key that is known already."""


class TradeSession:
    """One connection over which orders are placed and cancelled."""

    def __init__(self, front_end: OrderDesk, connection: Connection, host: str) -> None:
        self._front_end = front_end
        self._connection = connection
        self._host = host
        self._name = secrets.token_hex(10)
        self._key: ApiKey | None = None
        self._request_ids: set[str] = set()

    @property
    def _setup(self) -> VenueSetup:
        return self._front_end.setup

    def received(self, text: str) -> None:
        """Answer one request."""
        message = read_message(text)
        operation = str(message.get("op"))
        answer: dict[str, Any] = {"retCode": 0, "retMsg": "OK", "op": operation}
        if "reqId" in message:
            answer = {"reqId": message["reqId"], **answer}
        try:
            if operation == "ping":
                answer |= {"op": "pong", "data": [str(self._setup.clock.now_ms())]}
            elif operation == "auth":
                self._authenticate(message.get("args"))
            else:
                self._trade(operation, message, answer)
                return
        except BybitError as error:
            answer |= {"retCode": error.code, "retMsg": error.message}
            if operation != "auth":
                answer |= {"data": {}, "retExtInfo": {}}
        self._connection.send(self._text(answer))

    def closed(self) -> None:
        """Nothing to forget."""

    def _authenticate(self, arguments: object) -> None:
        if self._key is not None:
            raise BybitError(20001, "Repeat auth")
        self._key = authenticate_stream(self._setup.keys, arguments, self._setup.clock.now_ms())
        self._connection.account = self._key.account

    def _trade(self, operation: str, message: dict[str, Any], answer: dict[str, Any]) -> None:
        if self._key is None or self._key.revoked:
            raise BybitError(10003, "API key is invalid.")
        if operation not in PATHS:
            raise BybitError(10404, "op type is not found")
        name = str(message.get("reqId", ""))
        if name and name in self._request_ids:
            raise BybitError(20006, "reqId is duplicated")
        self._request_ids.add(name)
        headers, arguments = message.get("header"), message.get("args")
        if not isinstance(headers, dict) or not isinstance(arguments, list) or len(arguments) != 1:
            raise BybitError(10001, "Request parameter error.")
        window = str(headers.get("X-BAPI-RECV-WINDOW", ""))
        check_time(str(headers.get("X-BAPI-TIMESTAMP", "")), window, self._setup.clock.now_ms())
        key, front_end = self._key, self._front_end
        body = json.dumps(arguments[0]).encode()
        request = front_end.parse("POST", self._host, PATHS[operation], {"X-BAPI-API-KEY": key.public}, body)
        self._setup.messages.handle(
            front_end,
            request,
            self._connection,
            lambda effects: front_end.carry_out(request, effects, key=key),
            lambda done: self._text({**answer, **_result(done)}),
        )

    def _text(self, answer: dict[str, Any]) -> str:
        return json.dumps({**answer, "connId": self._name})


def _result(answer: WireAnswer) -> dict[str, Any]:
    if answer.status == 403:
        return {"retCode": 10403, "retMsg": "exceed IP rate limit", "data": {}, "retExtInfo": {}}
    document = json.loads(answer.body)
    return {
        "retCode": document["retCode"],
        "retMsg": document["retMsg"],
        "data": document["result"],
        "retExtInfo": document["retExtInfo"],
        "header": {**answer.headers, "Traceid": secrets.token_hex(16), "Timenow": str(document["time"])},
    }
