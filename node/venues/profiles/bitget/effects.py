"""Bitget: what a request can do at most, told from the request itself. What is not here must not leave.

Endpoints and parameters by https://www.bitget.com/api-doc (contract, spot, common) and .../api-doc/uta. Reads are named
one by one: ccxt lists a switch of the account's mode among the GETs (v2/mix/account/switch-union-usdt). Withdrawals,
transfers, leverage, modes, amendments, batches of orders, plan and strategy orders are of no use here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from node.domain.permission import Effect
from node.venues.call import Request

_READS: Final = frozenset(
    f"/api/{name}"
    for name in (
        "v2/public/time",
        "v2/spot/public/symbols",
        "v2/spot/market/tickers",
        "v2/spot/account/info",
        "v2/spot/account/assets",
        "v2/spot/trade/orderInfo",
        "v2/spot/trade/unfilled-orders",
        "v2/spot/trade/current-plan-order",
        "v2/mix/market/contracts",
        "v2/mix/account/accounts",
        "v2/mix/position/all-position",
        "v2/mix/order/orders-pending",
        "v2/mix/order/orders-plan-pending",
        "v3/account/settings",
        "v3/account/info",
        "v3/account/assets",
        "v3/position/current-position",
        "v3/trade/order-info",
        "v3/trade/unfilled-orders",
        "v3/trade/unfilled-strategy-orders",
    )
)
_SPOT_ORDER: Final = "/api/v2/spot/trade/place-order"
_MIX_ORDER: Final = "/api/v2/mix/order/place-order"
_UNIFIED_ORDER: Final = "/api/v3/trade/place-order"

_REFERENCES: Final = {"orderId", "clientOid", "symbol", "category", "productType", "marginCoin"}
#: Cancels, by what they may name. With anything else a request is not known.
_CANCELS: Final[Mapping[str, frozenset[str]]] = {
    path: frozenset(_REFERENCES | set(names))
    for path, names in {
        "/api/v2/spot/trade/cancel-order": ("tpslType",),
        "/api/v2/spot/trade/batch-cancel-order": ("orderList",),
        "/api/v2/spot/trade/cancel-symbol-order": (),
        "/api/v2/spot/trade/cancel-plan-order": (),
        "/api/v2/spot/trade/batch-cancel-plan-order": ("symbolList",),
        "/api/v2/mix/order/cancel-order": (),
        "/api/v2/mix/order/batch-cancel-orders": ("orderIdList",),
        "/api/v2/mix/order/cancel-plan-order": ("orderIdList", "planType"),
        "/api/v3/trade/cancel-order": (),
        "/api/v3/trade/cancel-batch": (),
        "/api/v3/trade/cancel-strategy-order": (),
        "/api/v3/trade/cancel-symbol-order": (),
    }.items()
}

#: An order with any other parameter (attached stops, triggers, loans) may be more than it seems.
_ORDER_NAMES: Final = frozenset({"symbol", "side", "orderType", "price", "clientOid"})
_SPOT_NAMES: Final = _ORDER_NAMES | {"size", "force", "requestTime", "receiveWindow"}
_MIX_NAMES: Final = _ORDER_NAMES | {
    "size",
    "force",
    "productType",
    "marginMode",
    "marginCoin",
    "tradeSide",
    "reduceOnly",
}
_UNIFIED_NAMES: Final = _ORDER_NAMES | {"qty", "timeInForce", "category", "marginMode", "posSide", "reduceOnly"}

_FUTURES: Final = frozenset({"USDT-FUTURES", "USDC-FUTURES", "COIN-FUTURES"})
_CLOSING_SIDES: Final = (("long", "sell"), ("short", "buy"))
#: Orders that cannot rest.
_IMMEDIATE: Final = ("ioc", "fok")


def effect_of(request: Request) -> Effect | None:
    """The most that *request* can do; None: not known."""
    if request.method == "GET":
        return Effect.READ if request.path in _READS and not request.body else None
    if request.method != "POST" or request.params:
        return None  # what is in an address is nothing that Bitget takes with a POST
    document = _document(request.body)
    if request.path in _CANCELS:
        return Effect.CANCEL if _cancels(document, _CANCELS[request.path]) else None
    if not isinstance(document, dict):
        return None
    closes = {_SPOT_ORDER: _closes_spot, _MIX_ORDER: _closes_mix, _UNIFIED_ORDER: _closes_unified}.get(request.path)
    if closes is None:
        return None
    return Effect.CLOSE if closes(document) else Effect.OPEN


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


def _cancels(document: object, names: frozenset[str]) -> bool:
    """A cancel, or a list of them."""
    entries = document if isinstance(document, list) else [document]
    return bool(entries) and all(isinstance(each, dict) and each and each.keys() <= names for each in entries)


def _closes_spot(order: Mapping[str, Any]) -> bool:
    """Without a debt nothing can be sold but what is held; what rests may be forgotten."""
    return order.keys() <= _SPOT_NAMES and order.get("side") == "sell" and _at_once(order, "force")


def _closes_mix(order: Mapping[str, Any]) -> bool:
    """Reduce-only, or on the closing side of a leg: the venue bounds it by the position (and refuses the one form in
    the other mode: 40774).
    """
    reduces = order.get("reduceOnly") == "YES" and "tradeSide" not in order
    closes = order.get("tradeSide") == "close" and "reduceOnly" not in order
    return order.keys() <= _MIX_NAMES and order.get("productType") in _FUTURES and (reduces or closes)


def _closes_unified(order: Mapping[str, Any]) -> bool:
    """A sale on spot (not on margin, where it may borrow), or a close of futures."""
    if not order.keys() <= _UNIFIED_NAMES:
        return False
    if order.get("category") == "SPOT":
        foreign = order.keys() & {"posSide", "reduceOnly", "marginMode"}
        return not foreign and order.get("side") == "sell" and _at_once(order, "timeInForce")
    if order.get("category") not in _FUTURES:
        return False
    if "posSide" in order:
        return "reduceOnly" not in order and (order["posSide"], order.get("side")) in _CLOSING_SIDES
    return order.get("reduceOnly") == "yes"


def _at_once(order: Mapping[str, Any], force: str) -> bool:
    return order.get("orderType") == "market" or (order.get("orderType") == "limit" and order.get(force) in _IMMEDIATE)
