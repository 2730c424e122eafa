"""OKX: what a request can do at most, told from the request itself. What is not here must not leave.

Endpoints and parameters by https://www.okx.com/docs-v5/en/#order-book-trading-trade and
.../#order-book-trading-algo-trading. Reads are named one by one: ccxt lists repayments among the GETs. Withdrawals,
transfers, leverage, modes, amendments, algo orders and batches of orders are of no use here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from node.domain.permission import Effect
from node.venues.call import Request
from node.venues.profiles.okx.words import CAN_OWE, PORTFOLIO

_READS: Final = frozenset(
    f"/api/v5/{name}"
    for name in (
        "public/time",
        "public/instruments",
        "market/ticker",
        "market/tickers",
        "account/config",
        "account/balance",
        "account/positions",
        "account/account-position-risk",
        "trade/order",
        "trade/orders-pending",
        "trade/orders-algo-pending",
    )
)
_ORDER: Final = "/api/v5/trade/order"
_CLOSE_POSITION: Final = "/api/v5/trade/close-position"
_CANCELS: Final = ("/api/v5/trade/cancel-batch-orders", "/api/v5/trade/cancel-algos")

#: An order with any other parameter (attached orders, borrowing) may be more than it seems.
_ORDER_NAMES: Final = frozenset(
    {"instId", "tdMode", "side", "posSide", "ordType", "sz", "px", "reduceOnly", "tgtCcy", "clOrdId"}
)
_CLOSE_NAMES: Final = frozenset({"instId", "mgnMode", "posSide", "ccy", "autoCxl", "clOrdId"})
_CANCEL_NAMES: Final = frozenset({"instId", "ordId", "clOrdId", "algoId"})
_CLOSING_SIDES: Final = (("long", "sell"), ("short", "buy"))
#: Orders that cannot rest.
_IMMEDIATE: Final = ("ioc", "fok")


def effect_of(request: Request, account: str | None) -> Effect | None:
    """The most that *request* can do to an account of that kind; None: not known."""
    if request.method == "GET":
        return Effect.READ if request.path in _READS and not request.body else None
    if request.method != "POST" or request.params:
        return None  # whatever is in an address is nothing that OKX takes with a POST
    document = _document(request.body)
    if request.path in _CANCELS:
        return Effect.CANCEL if _cancels(document) else None
    if not isinstance(document, dict):
        return None
    if request.path == _CLOSE_POSITION:
        return Effect.CLOSE if document.keys() <= _CLOSE_NAMES else None
    return _order(document, account) if request.path == _ORDER else None


def _document(body: str) -> Any:  # noqa: ANN401 - JSON
    """The body's JSON; None if it is none, or if a name is there twice: who knows which one the venue takes."""
    try:
        return json.loads(body, object_pairs_hook=_each_once)
    except (ValueError, RecursionError):
        return None


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is there twice")
    return found


def _cancels(document: object) -> bool:
    return (
        isinstance(document, list)
        and bool(document)
        and all(isinstance(entry, dict) and entry.keys() <= _CANCEL_NAMES for entry in document)
    )


def _order(order: Mapping[str, Any], account: str | None) -> Effect:
    if not order.keys() <= _ORDER_NAMES or not isinstance(order.get("instId"), str):
        return Effect.OPEN
    spot = order["instId"].count("-") == 1
    closes = _closes_spot(order, account) if spot else _closes_contract(order, account)
    return Effect.CLOSE if closes else Effect.OPEN


def _closes_contract(order: Mapping[str, Any], account: str | None) -> bool:
    """Reduce-only, or on the closing side of a leg; portfolio margin knows neither. Not so options: what is sold for
    cash there is opened.
    """
    if account == PORTFOLIO or order.get("tdMode") not in ("cross", "isolated"):
        return False
    if order.get("posSide", "net") == "net":
        return order.get("reduceOnly") is True
    return (order["posSide"], order.get("side")) in _CLOSING_SIDES


def _closes_spot(order: Mapping[str, Any], account: str | None) -> bool:
    """A sale for cash sells what is held; what rests may be forgotten.

    A wallet that can owe trades spot as "cross", which is a leveraged position in the others. A purchase is taken for
    one of what is owed if it cannot rest: that it is no larger than the debt is not to be seen in the request.
    """
    can_owe = account in CAN_OWE
    if order.get("tdMode") != ("cross" if can_owe else "cash") or "posSide" in order:
        return False
    immediate = order.get("ordType") in _IMMEDIATE
    if order.get("side") == "sell":
        return immediate or order.get("ordType") == "market"
    return can_owe and immediate and order.get("side") == "buy"
