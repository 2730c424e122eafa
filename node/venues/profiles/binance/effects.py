"""Binance: what a request can do at most, told from the request itself. What is not here must not leave.

Endpoints by https://developers.binance.com/docs/binance-spot-api-docs/rest-api, .../derivatives/usds-margined-futures,
.../derivatives/coin-margined-futures, .../margin_trading and .../convert. All that Binance answers to GET are reads.
Withdrawals, transfers, leverage, modes and orders of more than one leg are of no use here, and are not in the table.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Final

from node.domain.permission import Effect
from node.venues.call import Request, each_once

_CLOSING_SIDES: Final = {("LONG", "SELL"), ("SHORT", "BUY")}
#: Side effects of margin orders that borrow nothing.
_BORROWS_NOTHING: Final = frozenset({"NO_SIDE_EFFECT", "AUTO_REPAY"})


def effect_of(request: Request) -> Effect | None:
    """The most that *request* can do; None: not known."""
    if request.method == "GET":
        return Effect.READ
    if request.body.lstrip().startswith(("{", "[")):
        return None  # Binance takes forms: what this would do is not known
    known = _TABLE.get((request.method, request.path))
    return known(request.params) if callable(known) else known


def _contract_order(params: Mapping[str, str]) -> Effect:
    """Reduce-only, for the whole position, or on the closing side of a leg: the venue bounds it by the position."""
    bounded = params.get("reduceOnly", "").lower() == "true" or params.get("closePosition", "").lower() == "true"
    closing = (params.get("positionSide"), params.get("side")) in _CLOSING_SIDES
    return Effect.CLOSE if bounded or closing else Effect.OPEN


def _contract_orders(params: Mapping[str, str]) -> Effect | None:
    """The most that any of them can do. None where it cannot be told what each one says."""
    try:
        orders = json.loads(params.get("batchOrders", ""), object_pairs_hook=each_once)
    except (ValueError, RecursionError):
        return None
    plain = isinstance(orders, list) and all(
        isinstance(order, dict) and all(isinstance(value, str) for value in order.values()) for order in orders
    )
    return max((_contract_order(order) for order in orders), default=None) if plain else None


def _spot_order(params: Mapping[str, str]) -> Effect:
    """Without a debt nothing can be sold but what is held; what rests may be forgotten."""
    return Effect.CLOSE if params.get("side") == "SELL" and _immediate(params) else Effect.OPEN


def _immediate(params: Mapping[str, str]) -> bool:
    limited = params.get("type") == "LIMIT" and params.get("timeInForce") == "IOC"
    return limited or params.get("type") == "MARKET"


def _margin_order(params: Mapping[str, str]) -> Effect:
    """An order that cannot borrow sells what is held. A purchase is taken for one of what is owed if it cannot rest:
    that it is no larger than the debt is not to be seen in the request.
    """
    if params.get("sideEffectType") not in _BORROWS_NOTHING or params.get("isIsolated") != "FALSE":
        return Effect.OPEN
    if params.get("side") == "SELL":
        return Effect.CLOSE if _immediate(params) else Effect.OPEN
    immediate = params.get("type") == "LIMIT" and params.get("timeInForce") == "IOC"
    return Effect.CLOSE if params.get("side") == "BUY" and immediate else Effect.OPEN


def _loan(params: Mapping[str, str]) -> Effect:
    repays = params.get("type") == "REPAY" and _above_zero(params.get("amount", ""))
    return Effect.CLOSE if repays and params.get("isIsolated") == "FALSE" else Effect.OPEN


def _quote(params: Mapping[str, str]) -> Effect:
    """The first half of a conversion, and of no other use. What it is converted into is the step's business."""
    return Effect.CLOSE if params.get("walletType") == "SPOT" else Effect.OPEN


def _above_zero(amount: str) -> bool:
    try:
        return Decimal(amount) > 0
    except InvalidOperation:
        return False


_TABLE: Final[Mapping[tuple[str, str], Effect | Callable[[Mapping[str, str]], Effect | None]]] = {
    ("POST", "/api/v3/order"): _spot_order,
    ("POST", "/fapi/v1/order"): _contract_order,
    ("POST", "/dapi/v1/order"): _contract_order,
    ("POST", "/fapi/v1/batchOrders"): _contract_orders,
    ("POST", "/dapi/v1/batchOrders"): _contract_orders,
    ("POST", "/sapi/v1/margin/order"): _margin_order,
    ("POST", "/sapi/v1/margin/borrow-repay"): _loan,
    ("POST", "/sapi/v1/convert/getQuote"): _quote,
    ("POST", "/sapi/v1/convert/acceptQuote"): Effect.CLOSE,
    **{
        ("DELETE", path): Effect.CANCEL
        for path in (
            "/api/v3/order",
            "/api/v3/openOrders",
            "/sapi/v1/margin/order",
            "/sapi/v1/margin/openOrders",
            *(
                f"/{host}/v1/{name}"
                for host in ("fapi", "dapi")
                for name in ("order", "allOpenOrders", "batchOrders", "algoOrder", "algoOpenOrders")
            ),
        )
    },
    # Keys to streams. Closing one is not here: the key's other users would lose theirs.
    **{(method, f"/{host}/v1/listenKey"): Effect.READ for method in ("POST", "PUT") for host in ("fapi", "dapi")},
    ("POST", "/sapi/v1/userListenToken"): Effect.READ,
}
