"""Bybit's HTTP face: one host for all categories, JSON both ways."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

from node.sim.bybit.calls import Call, Params
from node.sim.bybit.errors import BybitError, refusal
from node.sim.bybit.limits import BAN_S, Allowance, Limiter, too_many
from node.sim.bybit.markets import CATEGORIES, bybit_listings, trigger_words
from node.sim.bybit.private_stream import PrivateSession
from node.sim.bybit.routes import Endpoint, Right, bybit_routes
from node.sim.bybit.security import authenticate
from node.sim.bybit.streams import PRIVATE_PATH, STREAM_PRODUCTS, TRADE_PATH, BybitStreams
from node.sim.bybit.trade_stream import TradeSession
from node.sim.fault_plan import Traits
from node.sim.faults import Intent
from node.sim.keys import ApiKey
from node.sim.market import Product
from node.sim.refusals import Reason
from node.sim.simulator import VenueKind
from node.sim.streams import Connection, StreamSession
from node.sim.venue import Effects, VenueSetup, WireAnswer, WireRequest

ROUTES: Final = bybit_routes()
HOSTS: Final = ("bybit.com", "*.bybit.com", "*.bytick.com")
#: Orders of this kind are taken, and cancelled at once.
REFUSED_LATE: Final = frozenset({Reason.POST_ONLY_CROSSES, Reason.UNFILLABLE})
FORBIDDEN: Final = b"<html><head><title>403 Forbidden</title></head><body>403, access too frequent</body></html>"
#: What requests are about that name no category: there is one wallet, that of all, and spot's for what is done with it.
CONCERNED: Final = {
    Intent.BALANCES: STREAM_PRODUCTS,
    Intent.REPAY: frozenset({Product.SPOT}),
    Intent.CONVERT: frozenset({Product.SPOT}),
}
NOT_FOUND: Final = b"404 page not found"


class BybitFrontEnd:
    """Answers requests against one world; the wire around it delays, loses and records them."""

    def __init__(self, setup: VenueSetup) -> None:
        self.setup = setup
        setup.core.refused_late = REFUSED_LATE
        self._streams = BybitStreams(setup)
        self._limiter = Limiter()
        self._banned_until_ms = 0

    def parse(self, method: str, host: str, target: str, headers: Mapping[str, str], body: bytes) -> WireRequest:
        """Read a request: parameters are in the query, or in a JSON body."""
        path, _, query = target.partition("?")
        text = body.decode("utf-8", "replace")
        values = _values(method, query, text)
        key = self.setup.keys.by_public.get(headers.get("X-BAPI-API-KEY", ""))
        endpoint = ROUTES.get((method, path))
        intent = _intent(endpoint, values)
        if headers.get("Upgrade", "").lower() == "websocket":
            intent = Intent.STREAM
        orders = [values, *(entry for entry in _entries(values) if isinstance(entry, dict))]
        return WireRequest(
            method=method,
            host=host,
            path=path,
            query=query,
            body=text,
            headers=headers,
            params={name: _flat(value) for name, value in values.items()},
            signature=headers.get("X-BAPI-SIGN", ""),
            key=key,
            traits=Traits(
                method=method,
                host=host,
                path=path,
                intent=intent,
                product=CATEGORIES.get(str(values.get("category"))),
                products=CONCERNED.get(intent, frozenset()),
                account=key.account if key is not None else None,
                symbols=frozenset(str(order["symbol"]) for order in orders if order.get("symbol")),
                sides=frozenset(str(order["side"]).lower() for order in orders if order.get("side")),
            ),
        )

    def answer(self, request: WireRequest, effects: Effects) -> WireAnswer:
        """Carry out a request."""
        return self.carry_out(request, effects, key=None)

    def carry_out(self, request: WireRequest, effects: Effects, *, key: ApiKey | None) -> WireAnswer:
        """Carry out a request, of *key* if somebody has seen to that before."""
        now_ms = self.setup.clock.now_ms()
        if self._limiter.arrive(now_ms) and self.setup.enforce_limits:
            self._banned_until_ms = max(self._banned_until_ms, now_ms + int(BAN_S * 1000))
        if now_ms < self._banned_until_ms:
            return _forbidden()
        endpoint = ROUTES.get((request.method, request.path))
        if endpoint is None:
            return WireAnswer(status=404, body=NOT_FOUND, headers={"Content-Type": "text/plain"}, code=404)
        call = Call(
            setup=self.setup,
            request=request,
            params=Params(_values(request.method, request.query, request.body)),
            effects=effects,
            key=key,
        )
        headers: dict[str, str] = {}
        try:
            if endpoint.signed and call.key is None:
                call.key = authenticate(request, now_ms)
            _check_right(endpoint, call)
            headers = self._admit(endpoint, call, now_ms)
            answer = self._document(0, "OK", endpoint.handler(call), call.extra)
        except BybitError as error:
            answer = self._error(error)
        answer.headers |= headers
        answer.order_ids = call.order_ids
        return answer

    def stream_products(self, request: WireRequest) -> frozenset[Product] | None:
        """The private stream carries every category; over the other one orders are placed."""
        if request.path == PRIVATE_PATH:
            return STREAM_PRODUCTS
        return frozenset() if request.path == TRADE_PATH else None

    def stream_account(self, request: WireRequest) -> str | None:  # noqa: ARG002 - part of the interface
        """Nobody's yet: who it is, a client says later."""
        return None

    def open_stream(self, request: WireRequest, connection: Connection) -> StreamSession:
        """Attach a connection."""
        if request.path == TRADE_PATH:
            return TradeSession(self, connection, request.host)
        return PrivateSession(self._streams, connection)

    def expire_streams(self, product: Product | None, account: str | None) -> None:
        """Nothing expires here but connections, and without a notice: they break."""
        self._streams.expire(product, account)

    def refusal(self, code: int | str, message: str, status: int) -> WireAnswer:
        """Any error of Bybit's, at will."""
        return self._error(BybitError(int(code), message, status=status))

    def refusal_for(self, request: WireRequest, reason: Reason, status: int) -> WireAnswer:
        """The category's own code and words for *reason*."""
        error = refusal(reason, request.traits.product or Product.LINEAR)
        return self._error(BybitError(error.code, error.message, status=status or error.status))

    def rate_limited(self, request: WireRequest, retry_after_s: float) -> WireAnswer:
        """10006; when the limit resets is in a header."""
        endpoint = ROUTES.get((request.method, request.path))
        limit = endpoint.limit if endpoint is not None else 10
        reset_ms = self.setup.clock.now_ms() + int(retry_after_s * 1000)
        answer = self._error(too_many())
        answer.headers |= Allowance(limit=limit, left=0, reset_ms=reset_ms).headers
        return answer

    def ban(self, retry_after_s: float) -> WireAnswer:
        """403 for everything until the ban ends; it does not say when."""
        self._banned_until_ms = self.setup.clock.now_ms() + int(retry_after_s * 1000)
        return _forbidden()

    def forgive(self) -> None:
        """No ban, and full budgets."""
        self._limiter = Limiter()
        self._banned_until_ms = 0

    def _admit(self, endpoint: Endpoint, call: Call, now_ms: int) -> dict[str, str]:
        if not endpoint.signed:
            return {}
        entries = _entries(_values("POST", "", call.request.body)) if endpoint.batch else []
        cost = max(1, len(entries))
        category = call.params.text("category")
        limit = endpoint.spot_limit if category == "spot" and endpoint.spot_limit else endpoint.limit
        group = "spot" if category == "spot" else ""
        allowance = self._limiter.spend(call.account.name, call.request.path + group, limit, now_ms, cost)
        if allowance.left < 0 and self.setup.enforce_limits:
            if not endpoint.batch or cost + allowance.left <= 0:
                raise _Limited(allowance)
            call.room = cost + allowance.left
        return allowance.headers

    def _error(self, error: BybitError) -> WireAnswer:
        answer = self._document(error.code, error.message, {}, {})
        answer.status, answer.code = error.status, error.code
        if isinstance(error, _Limited):
            answer.headers = error.allowance.headers
        return answer

    def _document(self, code: int, message: str, result: dict[str, Any], extra: dict[str, Any]) -> WireAnswer:
        document = {
            "retCode": code,
            "retMsg": message,
            "result": result,
            "retExtInfo": extra,
            "time": self.setup.clock.now_ms(),
        }
        return WireAnswer(status=200, body=json.dumps(document, separators=(",", ":")).encode())


class _Limited(BybitError):
    """Too many requests; when there may be more."""

    def __init__(self, allowance: Allowance) -> None:
        error = too_many()
        super().__init__(error.code, error.message)
        self.allowance = allowance


def _check_right(endpoint: Endpoint, call: Call) -> None:
    if endpoint.right is None or call.key is None:
        return
    rights = call.key.rights
    if endpoint.right is Right.CONVERT:
        allowed = rights.convert
    elif endpoint.right is Right.BORROW:
        allowed = rights.margin
    else:
        allowed = rights.spot if call.params.text("category") == "spot" else rights.futures
    if not allowed:
        raise refusal(Reason.KEY_DENIED, Product.LINEAR)


def _values(method: str, query: str, body: str) -> dict[str, Any]:
    if method != "POST":
        return dict(parse_qsl(query, keep_blank_values=True))
    try:
        values = json.loads(body or "{}")
    except ValueError:
        return {}
    return values if isinstance(values, dict) else {}


def _entries(values: Mapping[str, Any]) -> list[Any]:
    batch = values.get("request")
    return batch if isinstance(batch, list) else []


def _flat(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value) if isinstance(value, list | dict) else "" if value is None else str(value)


def _intent(endpoint: Endpoint | None, values: Mapping[str, Any]) -> Intent:
    if endpoint is None:
        return Intent.OTHER
    if endpoint.intent is not Intent.ORDERS:
        return endpoint.intent
    if values.get("orderId") or values.get("orderLinkId"):
        return Intent.ORDER
    return Intent.TRIGGERS if values.get("orderFilter") in ("StopOrder", "tpslOrder") else Intent.ORDERS


def _forbidden() -> WireAnswer:
    return WireAnswer(status=403, body=FORBIDDEN, headers={"Content-Type": "text/html"}, code=403)


BYBIT: Final = VenueKind(
    name="bybit",
    hosts=HOSTS,
    listings=bybit_listings,
    trigger_words=trigger_words,
    front_end=BybitFrontEnd,
)
