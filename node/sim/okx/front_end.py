"""OKX's HTTP face: one host, one account, and a code outside and inside of every answer.

A refusal of the whole request has its code outside and no rows; orders and cancels fail by row, with the code inside.
The HTTP status says little: most failures come with 200. A banned address meets the content network, which answers
429 with a web page and not with JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import parse_qsl

from node.sim.accounts import Account
from node.sim.admission import HouseRules
from node.sim.fault_plan import Traits
from node.sim.faults import Intent
from node.sim.market import Market, Product
from node.sim.okx.algo import end_with_position
from node.sim.okx.calls import Answer, Call, instrument_of
from node.sim.okx.errors import ALL_FAILED, OF_THE_REQUEST, OkxError, refusal
from node.sim.okx.limits import Limiter, Scope, too_many_requests
from node.sim.okx.markets import okx_listings, trigger_words
from node.sim.okx.modes import AccountModes
from node.sim.okx.params import Params, flattened, json_body
from node.sim.okx.routes import Endpoint, okx_routes
from node.sim.okx.security import authenticate, check_life
from node.sim.okx.stream_session import PATHS, OkxSession
from node.sim.okx.streams import OkxStreams
from node.sim.okx.trade import Countdowns
from node.sim.refusals import Reason
from node.sim.simulator import VenueKind
from node.sim.streams import Connection, StreamSession
from node.sim.venue import Effects, VenueSetup, WireAnswer, WireRequest

HOSTS = ("okx.com", "*.okx.com")
CONTRACTS = frozenset({Product.LINEAR, Product.INVERSE})
ALL_PRODUCTS = CONTRACTS | {Product.SPOT}
#: What lists show that name no instrument: by ``instType``, and without one.
PRODUCTS_OF_TYPE = {"SWAP": CONTRACTS, "FUTURES": CONTRACTS, "SPOT": {Product.SPOT}, "MARGIN": {Product.SPOT}}
PRODUCTS_OF_LIST = {
    "/api/v5/account/positions": CONTRACTS,
    "/api/v5/account/account-position-risk": CONTRACTS,
    "/api/v5/account/balance": frozenset({Product.SPOT}),
    "/api/v5/trade/orders-pending": ALL_PRODUCTS,
    "/api/v5/trade/orders-algo-pending": ALL_PRODUCTS,
}
NOT_FOUND = b'{"code":"404","data":{},"detailMsg":"","error_code":"404","error_message":"Not Found","msg":"Not Found"}'
BANNED_PAGE = (
    b"<!DOCTYPE html><html><head><title>Access denied | Error 1015: You are being rate limited</title></head></html>"
)


class OkxFrontEnd:
    """Answers requests against one world; the wire around it delays, loses and records them."""

    def __init__(self, setup: VenueSetup) -> None:
        self.setup = setup
        self.modes = AccountModes(setup.core)
        self.routes = okx_routes(Countdowns(), {})
        self._streams = OkxStreams(setup, self.modes)
        self._banned_until_ms = 0
        self._limiter = Limiter()
        setup.core.position_closed.append(self._on_closed)

    def parse(self, method: str, host: str, target: str, headers: Mapping[str, str], body: bytes) -> WireRequest:
        """Read a request: a query, or a JSON object or list."""
        path, _, query = target.partition("?")
        text = body.decode("utf-8", "replace")
        params = {**dict(parse_qsl(query, keep_blank_values=True)), **flattened(text)}
        key = self.setup.keys.by_public.get(headers.get("OK-ACCESS-KEY", ""))
        endpoint = self.routes.get((method, path))
        intent = endpoint.intent if endpoint is not None else Intent.OTHER
        if headers.get("Upgrade", "").lower() == "websocket":
            intent = Intent.STREAM
        symbols = frozenset(params.get("instId", "").split(",")) - {""}
        return WireRequest(
            method=method,
            host=host,
            path=path,
            query=query,
            body=text,
            headers=headers,
            params=params,
            signature=headers.get("OK-ACCESS-SIGN", ""),
            key=key,
            traits=Traits(
                method=method,
                host=host,
                path=path,
                intent=intent,
                product=self._product(symbols, params),
                products=_listed(path, symbols, params),
                account=key.account if key is not None else None,
                symbols=symbols,
                sides=frozenset(params.get("side", "").split(",")) - {""},
            ),
        )

    def answer(self, request: WireRequest, effects: Effects) -> WireAnswer:
        """Carry out a request."""
        endpoint = self.routes.get((request.method, request.path))
        if self.setup.clock.now_ms() < self._banned_until_ms:
            return self._banned()
        if endpoint is None:
            return WireAnswer(status=404, body=NOT_FOUND, code="404")
        call = Call(setup=self.setup, modes=self.modes, params=Params(request.params), effects=effects)
        try:
            answer = self._handle(request, endpoint, call)
        except OkxError as error:
            wire = _failed(error)
        else:
            wire = self._answered(answer)
        wire.order_ids = call.order_ids
        return wire

    def perform(self, endpoint: Endpoint, call: Call) -> Answer:
        """Count a request against its limits and carry it out; also what comes over a WebSocket.

        Raises:
            OkxError: the request as a whole is refused.
        """
        rows = call.rows if endpoint.listed else [call.params]
        limit = endpoint.single if endpoint.single is not None and len(rows) == 1 else endpoint.limit
        now_ms, enforce = self.setup.clock.now_ms(), self.setup.enforce_limits
        user = call.key.account if call.key is not None else ""
        names = (row.text("instId") or instrument_of(self.setup.core, row.integer("instIdCode")) for row in rows)
        self._limiter.spend(limit, user, names if limit.scope is Scope.INSTRUMENT else (), now_ms, enforce=enforce)
        if endpoint.places:
            self._limiter.count_orders(user, len(rows), now_ms, enforce=enforce)
        answer = endpoint.handler(call)
        return answer if isinstance(answer, Answer) else Answer(answer)

    def stream_products(self, request: WireRequest) -> frozenset[Product] | None:
        """Private and business connections carry the whole account."""
        return ALL_PRODUCTS if request.path in PATHS else None

    def stream_account(self, request: WireRequest) -> str | None:  # noqa: ARG002 - the protocol's
        """The address names nobody: clients log in."""
        return None

    def open_stream(self, request: WireRequest, connection: Connection) -> StreamSession:
        """Attach a connection."""
        return OkxSession(self, self._streams, connection, request.path)

    def expire_streams(self, product: Product | None, account: str | None) -> None:  # noqa: ARG002 - the protocol's
        """A service upgrade: connections are told to go, and then they break. Subscriptions alone never end here."""
        self._streams.expire(account)

    def refusal(self, code: int | str, message: str, status: int) -> WireAnswer:
        """Any error of a whole request, at will."""
        return _failed(OkxError(str(code), message, status=status))

    def refusal_for(self, request: WireRequest, reason: Reason, status: int) -> WireAnswer:
        """OKX's code for *reason*, outside or in every row, as the endpoint has it."""
        if reason is Reason.COUNTERPARTY_PRICE and request.traits.sides == {"buy"}:
            error = OkxError("51135", "Your closing price has triggered the limit price.", status=status)
        else:
            found = refusal(reason)
            error = OkxError(found.code, found.message, status=status or found.status)
        endpoint = self.routes.get((request.method, request.path))
        in_rows = endpoint is not None and endpoint.trades and request.path.startswith("/api/v5/trade/")
        if reason in OF_THE_REQUEST or not in_rows or endpoint is None:
            return _failed(error)
        document = json_body(request.body)
        count = max(1, len(document)) if isinstance(document, list) else 1
        row = {"clOrdId": "", "ordId": "", "tag": "", "sCode": error.code, "sMsg": error.message}
        return self._answered(Answer([dict(row) for _ in range(count)], *ALL_FAILED), status)

    def rate_limited(self, request: WireRequest, retry_after_s: float) -> WireAnswer:  # noqa: ARG002 - the protocol's
        """50011 with 429; OKX does not say for how long."""
        return _failed(too_many_requests())

    def ban(self, retry_after_s: float) -> WireAnswer:
        """The content network's page, now and until the ban ends."""
        self._banned_until_ms = self.setup.clock.now_ms() + int(retry_after_s * 1000)
        return self._banned()

    def forgive(self) -> None:
        """No ban, and full budgets."""
        self._banned_until_ms = 0
        self._limiter = Limiter()

    def _handle(self, request: WireRequest, endpoint: Endpoint, call: Call) -> Answer:
        if endpoint.private:
            call.key = authenticate(request, self.setup.clock.now_ms(), trades=endpoint.trades)
            _ = call.account
        if endpoint.places:
            check_life(request, self.setup.clock.now_ms())
        if request.method == "POST":
            _read_body(endpoint, call, json_body(request.body))
        return self.perform(endpoint, call)

    def _product(self, symbols: frozenset[str], params: Mapping[str, str]) -> Product | None:
        products = {product for product, symbol in self.setup.core.listings if symbol in symbols}
        if params.get("instType", "").upper() == "SPOT":
            products = {Product.SPOT}
        return next(iter(products)) if len(products) == 1 else None

    def _answered(self, answer: Answer, status: int = 0) -> WireAnswer:
        now_us = str(self.setup.clock.now_ms() * 1000)
        document = {
            "code": answer.code,
            "data": answer.data,
            "inTime": now_us,
            "msg": answer.message,
            "outTime": now_us,
        }
        codes = [row["sCode"] for row in answer.data if row.get("sCode", "0") != "0"]
        return WireAnswer(status=status or 200, body=_json(document), code=codes[0] if codes else None)

    def _banned(self) -> WireAnswer:
        rest_s = max(1, round((self._banned_until_ms - self.setup.clock.now_ms()) / 1000))
        headers = {"Content-Type": "text/html; charset=UTF-8", "Retry-After": str(rest_s)}
        return WireAnswer(status=429, body=BANNED_PAGE, headers=headers, code="1015")

    def _on_closed(self, account: Account, market: Market) -> None:
        end_with_position(self.setup.core, account, market)


def _listed(path: str, symbols: frozenset[str], params: Mapping[str, str]) -> frozenset[Product]:
    if symbols or path not in PRODUCTS_OF_LIST:
        return frozenset()
    return frozenset(PRODUCTS_OF_TYPE.get(params.get("instType", "").upper(), PRODUCTS_OF_LIST[path]))


def _read_body(endpoint: Endpoint, call: Call, document: object) -> None:
    if endpoint.listed and isinstance(document, list) and document:
        call.rows = [Params(row if isinstance(row, dict) else {}) for row in document]
    elif not endpoint.listed and isinstance(document, dict):
        call.params = Params(document)
    else:
        raise OkxError("50002", "JSON syntax error")


def _failed(error: OkxError) -> WireAnswer:
    return WireAnswer(status=error.status, body=_json(error.document()), code=error.code)


def _json(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def okx_rules() -> HouseRules:
    """A reduction larger than its position is refused as a whole; what may not trade is taken, and ends at once."""
    return HouseRules(reduction_must_fit=True, crossing_cancels=True)


OKX = VenueKind(
    name="okx",
    hosts=HOSTS,
    listings=okx_listings,
    trigger_words=trigger_words,
    front_end=OkxFrontEnd,
    rules=okx_rules,
    passphrases=True,
)
