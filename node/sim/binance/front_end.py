"""Binance's HTTP face: one port for ``api``, ``fapi`` and ``dapi``, told apart by the Host header."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from node.sim.binance.calls import Call, JsonDocument, Params
from node.sim.binance.errors import BinanceError, refusal
from node.sim.binance.limits import (
    BAN_S,
    COIN_M_BUDGET,
    SAPI_ACCOUNT_BUDGET,
    SAPI_BUDGET,
    SPOT_BUDGET,
    USD_M_BUDGET,
    Limiter,
    banned,
)
from node.sim.binance.markets import binance_listings, trigger_words
from node.sim.binance.routes import Endpoint, binance_routes
from node.sim.binance.security import authenticate, identify
from node.sim.binance.streams import API_PATH, BinanceStreams, listen_key
from node.sim.binance.websocket_api import ApiSession, ListenSession
from node.sim.fault_plan import Traits
from node.sim.faults import Intent
from node.sim.market import Product
from node.sim.refusals import Reason
from node.sim.simulator import VenueKind
from node.sim.streams import Connection, StreamSession
from node.sim.venue import Effects, VenueSetup, WireAnswer, WireRequest

ROUTES = binance_routes()
HOSTS = ("binance.com", "*.binance.com")
BUDGETS = {"api": SPOT_BUDGET, "sapi": SAPI_BUDGET, "fapi": USD_M_BUDGET, "dapi": COIN_M_BUDGET}
NOT_FOUND = b"<html><body><h2>404 Not found</h2></body></html>"


class BinanceFrontEnd:
    """Answers requests against one world; the wire around it delays, loses and records them."""

    def __init__(self, setup: VenueSetup) -> None:
        self.setup = setup
        self._streams = BinanceStreams(setup)
        self.forgive()

    def parse(self, method: str, host: str, target: str, headers: Mapping[str, str], body: bytes) -> WireRequest:
        """Read a request; parameters may be in the query, the body, or both."""
        path, _, query = target.partition("?")
        text = body.decode("utf-8", "replace")
        params = dict(parse_qsl(query, keep_blank_values=True) + parse_qsl(text, keep_blank_values=True))
        signature = params.pop("signature", "")
        key = self.setup.keys.by_public.get(headers.get("X-MBX-APIKEY", ""))
        endpoint = ROUTES.get((method, path))
        intent, product = _purpose(endpoint)
        if headers.get("Upgrade", "").lower() == "websocket":
            products = self._streams.products_of(host, path, query) or frozenset()
            intent, product = Intent.STREAM, next(iter(products)) if len(products) == 1 else None
        symbols, sides = _symbols_and_sides(path, params)
        return WireRequest(
            method=method,
            host=host,
            path=path,
            query=query,
            body=text,
            headers=headers,
            params=params,
            signature=signature,
            key=key,
            traits=Traits(
                method=method,
                host=host,
                path=path,
                intent=intent,
                product=product,
                account=key.account if key is not None else None,
                symbols=symbols,
                sides=sides,
            ),
        )

    def answer(self, request: WireRequest, effects: Effects) -> WireAnswer:
        """Carry out a request."""
        endpoint = ROUTES.get((request.method, request.path))
        if endpoint is None or not _serves(request.host, request.path):
            return WireAnswer(status=404, body=NOT_FOUND, headers={"Content-Type": "text/html"}, code=404)
        order_ids: list[int] = []
        headers: dict[str, str] = {}
        try:
            self._admit(request, endpoint, headers)
            document = self._handle(request, endpoint, effects, headers, order_ids)
        except BinanceError as error:
            answer = _error_answer(error, {**headers, **error.headers})
        else:
            answer = WireAnswer(status=200, body=_json(document), headers=headers)
        answer.order_ids = order_ids
        return answer

    def stream_products(self, request: WireRequest) -> frozenset[Product] | None:
        """Spot and margin share the WebSocket API; each futures product has addresses of its own."""
        return self._streams.products_of(request.host, request.path, request.query)

    def stream_account(self, request: WireRequest) -> str | None:
        """Whose listen key is in the address."""
        ticket = self._streams.ticket(listen_key(request.path, request.query))
        return ticket.account if ticket is not None else None

    def open_stream(self, request: WireRequest, connection: Connection) -> StreamSession:
        """Attach a connection."""
        if request.path == API_PATH:
            return ApiSession(self.setup, self._streams, connection, request)
        return ListenSession(self._streams, connection, self._streams.listen(request.path, request.query, connection))

    def expire_streams(self, product: Product | None, account: str | None) -> None:
        """Listen keys, listen tokens and subscriptions end."""
        self._streams.expire(product, account)

    def refusal(self, code: int | str, message: str, status: int) -> WireAnswer:
        """Any error of Binance's, at will."""
        return _error_answer(BinanceError(int(code), message, status=status), {})

    def refusal_for(self, request: WireRequest, reason: Reason, status: int) -> WireAnswer:
        """The product's own code and sentence for *reason*."""
        endpoint = ROUTES.get((request.method, request.path))
        error = refusal(reason, endpoint.product if endpoint is not None else Product.SPOT, "5")
        return _error_answer(BinanceError(error.code, error.message, status=status or error.status), {})

    def rate_limited(self, request: WireRequest, retry_after_s: float) -> WireAnswer:
        """-1003 with 429."""
        error = self._limiter(request).exceeded(retry_after_s)
        return _error_answer(error, error.headers)

    def ban(self, retry_after_s: float) -> WireAnswer:
        """418, now and until the ban ends."""
        now_ms = self.setup.clock.now_ms()
        self._banned_until_ms = now_ms + int(retry_after_s * 1000)
        error = banned(self._banned_until_ms, now_ms)
        return _error_answer(error, error.headers)

    def forgive(self) -> None:
        """No ban, and full budgets."""
        self._limiters: dict[str, Limiter] = {}  # by what is counted: an account, or an API for an address
        self._banned_until_ms = 0

    def _limiter(self, request: WireRequest, *, by_account: bool = False) -> Limiter:
        if by_account and request.key is not None:
            return self._limiters.setdefault(f"account {request.key.account}", Limiter(SAPI_ACCOUNT_BUDGET))
        return self._of_api(request, request.address)

    def _of_api(self, request: WireRequest, address: str) -> Limiter:
        root = request.path.split("/", 2)[1]
        root = root if root in BUDGETS else "api"
        return self._limiters.setdefault(f"{root} {address}", Limiter(BUDGETS[root]))

    def _admit(self, request: WireRequest, endpoint: Endpoint, headers: dict[str, str]) -> None:
        now_ms = self.setup.clock.now_ms()
        if now_ms < self._banned_until_ms:
            raise banned(self._banned_until_ms, now_ms)
        limiter = self._limiter(request, by_account=endpoint.by_account)
        weight = endpoint.weight
        if endpoint.weight_all is not None and not request.params.get("symbol"):
            weight = endpoint.weight_all
        try:
            headers.update(limiter.spend(weight, now_ms, enforce=self.setup.enforce_limits))
        except BinanceError:
            if limiter.patience_lost:
                self._banned_until_ms = now_ms + int(BAN_S * 1000)
            raise

    def _handle(
        self,
        request: WireRequest,
        endpoint: Endpoint,
        effects: Effects,
        headers: dict[str, str],
        order_ids: list[int],
    ) -> JsonDocument:
        now_ms = self.setup.clock.now_ms()
        call = Call(
            setup=self.setup,
            product=endpoint.product,
            request=request,
            params=Params(request.params),
            effects=effects,
            streams=self._streams,
            order_ids=order_ids,
        )
        futures = endpoint.product.has_positions
        if endpoint.keyed:
            call.key = identify(request, futures=futures)
        if endpoint.signed:
            call.key = authenticate(request, now_ms, futures=futures, trades=endpoint.trades)
        if endpoint.orders is not None:
            limiter, account = self._of_api(request, "whatever"), call.account.name
            headers.update(limiter.count_orders(account, endpoint.orders, now_ms, enforce=self.setup.enforce_limits))
        return endpoint.handler(call)


def _purpose(endpoint: Endpoint | None) -> tuple[Intent, Product | None]:
    if endpoint is None:
        return Intent.OTHER, None
    return endpoint.intent, endpoint.product if endpoint.of_product else None


def _symbols_and_sides(path: str, params: Mapping[str, str]) -> tuple[frozenset[str], frozenset[str]]:
    orders: list[Mapping[str, Any]] = [params]
    if path.endswith("/batchOrders") and "batchOrders" in params:
        try:
            batch = json.loads(params["batchOrders"])
        except ValueError:
            batch = []
        orders += [entry for entry in batch if isinstance(entry, dict)] if isinstance(batch, list) else []
    symbols = frozenset(str(order["symbol"]) for order in orders if "symbol" in order)
    sides = frozenset(str(order["side"]).lower() for order in orders if "side" in order)
    return symbols, sides


def _serves(host: str, path: str) -> bool:
    """Whether the real host of that name has the path; other names (localhost) have all."""
    name, _, domain = host.partition(".")
    if domain != "binance.com":
        return True
    root = path.split("/", 2)[1]
    if root in ("fapi", "dapi"):
        return root in name
    return not ("fapi" in name or "dapi" in name)


def _error_answer(error: BinanceError, headers: Mapping[str, str]) -> WireAnswer:
    return WireAnswer(status=error.status, body=_json(error.document()), headers=dict(headers), code=error.code)


def _json(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


BINANCE = VenueKind(
    name="binance",
    hosts=HOSTS,
    listings=binance_listings,
    trigger_words=trigger_words,
    front_end=BinanceFrontEnd,
)
