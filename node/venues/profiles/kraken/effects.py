"""Kraken: what a request can do at most, told from the request itself. What is not here must not leave.

https://docs.kraken.com/api/docs/rest-api: everything private is POST, so that reads are named one by one. Funding,
transfers, earn, subaccounts, edits, batches of orders and the dead man's switch are of no use here, and are not in the
table; nor is CancelAll, which takes every market's orders.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from node.domain.permission import Effect
from node.venues.call import Request

_PUBLIC: Final = "/0/public/"
_PRIVATE: Final = "/0/private/"
_READS: Final = frozenset(
    {"BalanceEx", "OpenOrders", "OpenPositions", "ClosedOrders", "GetApiKeyInfo", "GetWebSocketsToken"}
)
#: All that an order of ours may carry. Conditional closes, start times and leverage make another order of it.
_ORDER: Final = frozenset(
    {"nonce", "pair", "type", "ordertype", "timeinforce", "price", "volume", "oflags", "cl_ord_id", "deadline"}
)
_CLOSE: Final = _ORDER | {"leverage", "reduce_only"}
_CANCEL: Final = frozenset({"nonce", "txid", "cl_ord_id"})
_BATCH: Final = frozenset({"nonce", "orders", "cl_ord_ids"})


def effect_of(request: Request) -> Effect | None:
    """The most that *request* can do; None: not known."""
    if request.method == "GET":
        return Effect.READ if request.path.startswith(_PUBLIC) and not request.body else None
    if request.method != "POST" or not request.path.startswith(_PRIVATE):
        return None
    name, document = request.path.removeprefix(_PRIVATE), request.document
    if request.body.lstrip().startswith(("{", "[")):
        known = isinstance(document, dict) and name == "CancelOrderBatch" and _BATCH.issuperset(document)
        return Effect.CANCEL if known and len(request.params) == 0 else None
    if name in _READS:
        return Effect.READ
    if name == "CancelOrder":
        return Effect.CANCEL if _CANCEL.issuperset(request.params) else None
    return _order(request.params) if name == "AddOrder" else None


def _order(params: Mapping[str, str]) -> Effect:
    """A sale without leverage sells what is held; with it, only a reduce-only order is bounded by a position."""
    immediate = params.get("ordertype") == "market" or (
        params.get("ordertype") == "limit" and params.get("timeinforce") == "IOC"
    )
    if not immediate or params.get("oflags", "fciq") != "fciq":
        return Effect.OPEN
    if _ORDER.issuperset(params):
        return Effect.CLOSE if params.get("type") == "sell" else Effect.OPEN
    leveraged = params.get("leverage", "").isdecimal() and params.get("reduce_only") == "true"
    return Effect.CLOSE if leveraged and _CLOSE.issuperset(params) else Effect.OPEN
