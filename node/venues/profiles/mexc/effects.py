"""MEXC: what a request can do at most, told from the request itself. What is not here must not leave.

Endpoints and parameters by https://www.mexc.com/api-docs/spot-v3 and https://www.mexc.com/api-docs/futures.
Withdrawals, transfers, conversions, leverage, margin, position modes, reversals, plan orders and batches are of no use
here. Spot takes its parameters from the address, futures from a JSON body; whatever is in the other place is not known.
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
        "v3/time",
        "v3/exchangeInfo",
        "v3/ticker/bookTicker",
        "v3/apiKeyInfo",
        "v3/account",
        "v3/openOrders",
        "v3/order",
        "v1/contract/ping",
        "v1/contract/detail",
        "v1/private/account/assets",
        "v1/private/position/open_positions",
        "v1/private/position/position_mode",
        "v1/private/order/list/open_orders",
        "v1/private/planorder/list/orders",
        "v1/private/stoporder/open_orders",
        "v1/private/trackorder/list/orders",
    )
)
_SPOT_ORDER: Final = "/api/v3/order"
_CONTRACT_ORDER: Final = "/api/v1/private/order/create"
_ORDER_CANCEL: Final = "/api/v1/private/order/cancel"

_SIGNING: Final = frozenset({"timestamp", "recvWindow", "signature"})
#: An order with any other parameter (attached stops, a position mode, a reversal) may be more than it seems.
_SPOT_NAMES: Final = _SIGNING | {"symbol", "side", "type", "quantity", "price", "newClientOrderId"}
_CONTRACT_NAMES: Final = frozenset(
    {"symbol", "vol", "side", "type", "openType", "externalOid", "price", "positionId", "leverage"}
)
#: Types of orders on spot that cannot rest.
_IMMEDIATE: Final = frozenset({"IMMEDIATE_OR_CANCEL", "FILL_OR_KILL", "MARKET"})
#: Sides of orders on contracts that only make a leg smaller: close short, close long.
_CLOSING: Final = (2, 4)

_SPOT_CANCELS: Final[Mapping[str, frozenset[str]]] = {
    "/api/v3/order": _SIGNING | {"symbol", "orderId", "origClientOrderId", "newClientOrderId"},
    "/api/v3/openOrders": _SIGNING | {"symbol"},
}
#: Cancels, by what each entry may name. With anything else a request is not known.
_CANCELS: Final[Mapping[str, frozenset[str]]] = {
    f"/api/v1/private/{name}": frozenset(names)
    for name, names in {
        "order/cancel_all": ("symbol",),
        "planorder/cancel": ("symbol", "orderId"),
        "planorder/cancel_all": ("symbol",),
        "stoporder/cancel": ("stopPlanOrderId",),
        "stoporder/cancel_all": ("symbol", "positionId"),
        "trackorder/cancel": ("symbol", "trackOrderId"),
    }.items()
}


def effect_of(request: Request) -> Effect | None:
    """The most that *request* can do; None: not known."""
    if request.method == "GET":
        return Effect.READ if request.path in _READS and not request.body else None
    if request.path.startswith("/api/v3/"):
        return _on_spot(request)
    return _on_contracts(request)


def _on_spot(request: Request) -> Effect | None:
    if request.body:
        return None
    if request.method == "DELETE":
        names = _SPOT_CANCELS.get(request.path)
        return Effect.CANCEL if names is not None and request.params.keys() <= names else None
    if (request.method, request.path) != ("POST", _SPOT_ORDER):
        return None
    order = request.params
    # Without a debt nothing can be sold but what is held; what rests may be forgotten.
    sells = order.get("side") == "SELL" and order.get("type") in _IMMEDIATE and order.keys() <= _SPOT_NAMES
    return Effect.CLOSE if sells else Effect.OPEN


def _on_contracts(request: Request) -> Effect | None:
    if request.method != "POST" or request.params:
        return None
    document = _document(request.body)
    if request.path == _ORDER_CANCEL:
        return Effect.CANCEL if _ids(document) else None
    if request.path in _CANCELS:
        return Effect.CANCEL if _cancels(document, _CANCELS[request.path]) else None
    if request.path != _CONTRACT_ORDER or not isinstance(document, dict):
        return None
    side = document.get("side")
    closes = type(side) is int and side in _CLOSING and document.keys() <= _CONTRACT_NAMES
    return Effect.CLOSE if closes else Effect.OPEN


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


def _ids(document: object) -> bool:
    """A list of ids, and of nothing else."""
    if not isinstance(document, list) or not document:
        return False
    return all(isinstance(each, str | int) and not isinstance(each, bool) for each in document)


def _cancels(document: object, names: frozenset[str]) -> bool:
    """A cancel, or a list of them."""
    entries = document if isinstance(document, list) else [document]
    return bool(entries) and all(isinstance(each, dict) and each and each.keys() <= names for each in entries)
