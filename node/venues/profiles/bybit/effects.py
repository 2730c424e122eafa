"""Bybit V5: what a request can do at most, told from the request itself. What is not here must not leave.

Endpoints by https://bybit-exchange.github.io/docs/v5. All that V5 answers to GET are reads. Transfers, withdrawals,
leverage, modes, loans, changes of orders and batches of new ones are of no use here, and are not in the table.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from node.domain.permission import Effect
from node.venues.call import Request

#: What makes of an order on spot something else than an order that is over at once.
_CONDITIONS: Final = ("triggerPrice", "takeProfit", "stopLoss", "tpLimitPrice", "slLimitPrice")


def effect_of(request: Request) -> Effect | None:
    """The most that *request* can do; None: not known."""
    if request.method == "GET":
        return Effect.READ if request.path.startswith("/v5/") and not request.body else None
    if request.method != "POST" or request.params:
        return None  # V5 takes JSON: what a query or a form would do is not known
    known, params = _TABLE.get(request.path), _document(request.body)
    if known is None or params is None:
        return None
    return known(params) if callable(known) else known


def _document(body: str) -> Mapping[str, Any] | None:
    """The body's object; None if it is none, or has a name twice, in whatever letters: who knows which one counts."""
    try:
        document = json.loads(body, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name.lower() for name, _ in pairs}) != len(pairs):
        raise ValueError("a name is there twice")
    return dict(pairs)


def _order(params: Mapping[str, Any]) -> Effect:
    category = params.get("category")
    if category in ("linear", "inverse"):
        return Effect.CLOSE if params.get("reduceOnly") is True else Effect.OPEN
    return _spot_order(params) if category == "spot" else Effect.OPEN


def _spot_order(params: Mapping[str, Any]) -> Effect:
    """What borrows nothing can sell nothing but what is held; what rests may be forgotten."""
    kind, lasts = params.get("orderType"), params.get("timeInForce")
    immediate = kind == "Market" or (kind == "Limit" and lasts in ("IOC", "FOK"))
    cash = type(params.get("isLeverage")) is int and params["isLeverage"] == 0
    plain = params.get("orderFilter", "Order") == "Order" and not any(params.get(name) for name in _CONDITIONS)
    return Effect.CLOSE if params.get("side") == "Sell" and immediate and cash and plain else Effect.OPEN


def _repayment(params: Mapping[str, Any]) -> Effect:
    """Of a named amount of a named coin: without them the venue gives back whatever it likes."""
    named = isinstance(params.get("coin"), str) and params["coin"] != "" and _above_zero(params.get("amount"))
    return Effect.CLOSE if named and params.get("repaymentType", "FLEXIBLE") == "FLEXIBLE" else Effect.OPEN


def _quote(params: Mapping[str, Any]) -> Effect:
    """The first half of a conversion, and of no other use. What it is converted into is the step's business."""
    return Effect.CLOSE if params.get("accountType") == "eb_convert_uta" else Effect.OPEN


def _above_zero(amount: object) -> bool:
    try:
        return isinstance(amount, str) and Decimal(amount) > 0
    except InvalidOperation:
        return False


_TABLE: Final[Mapping[str, Effect | Callable[[Mapping[str, Any]], Effect]]] = {
    "/v5/order/create": _order,
    "/v5/order/cancel": Effect.CANCEL,
    "/v5/order/cancel-batch": Effect.CANCEL,
    "/v5/order/cancel-all": Effect.CANCEL,
    "/v5/account/no-convert-repay": _repayment,
    "/v5/asset/exchange/quote-apply": _quote,
    "/v5/asset/exchange/convert-execute": Effect.CLOSE,
}
