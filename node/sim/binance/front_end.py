"""Binance's HTTP face: one port for ``api``, ``fapi`` and ``dapi``, told apart by the Host header."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from node.sim.binance.calls import Call, JsonDocument, Params
from node.sim.binance.errors import BinanceError
from node.sim.binance.limits import (
    BAN_S,
    COIN_M_BUDGET,
    SAPI_BUDGET,
    SPOT_BUDGET,
    USD_M_BUDGET,
    Limiter,
    banned,
)
from node.sim.binance.markets import binance_listings, trigger_words
from node.sim.binance.routes import Endpoint, binance_routes
from node.sim.binance.security import authenticate
from node.sim.faults import Traits
from node.sim.market import Product
from node.sim.simulator import VenueKind
from node.sim.venue import Effects, VenueSetup, WireAnswer, WireRequest

ROUTES = binance_routes()
HOSTS = ("binance.com", "*.binance.com")
BUDGETS = {"api": SPOT_BUDGET, "sapi": SAPI_BUDGET, "fapi": USD_M_BUDGET, "dapi": COIN_M_BUDGET}
NOT_FOUND = b"<html><body><h2>404 Not found</h2></body></html>"


class BinanceFrontEnd:
    """Answers requests against one world; the wire around it delays, loses and records them."""

    def __init__(self, setup: VenueSetup) -> None:
        self.setup = setup
        self.forgive()

    def parse(self, method: str, host: str, target: str, headers: Mapping[str, str], body: bytes) -> WireRequest:
        """Read a request; parameters may be in the query, the body, or both."""
        path, _, query = target.partition("?")
        text = body.decode("utf-8", "replace")
        params = dict(parse_qsl(query, keep_blank_values=True) + parse_qsl(text, keep_blank_values=True))
        signature = params.pop("signature", "")
        key = self.setup.keys.by_public.get(headers.get("X-MBX-APIKEY", ""))
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

    def refusal(self, code: int | str, message: str, status: int) -> WireAnswer:
        """Any error of Binance's, at will."""
        return _error_answer(BinanceError(int(code), message, status=status), {})

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
        self._limiters = {root: Limiter(budget) for root, budget in BUDGETS.items()}
        self._banned_until_ms = 0

    def _limiter(self, request: WireRequest) -> Limiter:
        return self._limiters.get(request.path.split("/", 2)[1], self._limiters["api"])

    def _admit(self, request: WireRequest, endpoint: Endpoint, headers: dict[str, str]) -> None:
        now_ms = self.setup.clock.now_ms()
        if now_ms < self._banned_until_ms:
            raise banned(self._banned_until_ms, now_ms)
        limiter = self._limiter(request)
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
            order_ids=order_ids,
        )
        if endpoint.signed:
            futures = endpoint.product is not Product.SPOT
            call.key = authenticate(request, now_ms, futures=futures, trades=endpoint.trades)
        if endpoint.orders is not None:
            limiter, account = self._limiter(request), call.account.name
            headers.update(limiter.count_orders(account, endpoint.orders, now_ms, enforce=self.setup.enforce_limits))
        return endpoint.handler(call)


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
