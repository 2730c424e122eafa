"""KuCoin: what a request can do at most, told from the request itself. What is not here must not leave.

Endpoints by https://www.kucoin.com/docs-new (spot-trading, futures-trading). The same path means another thing on
another host. All that KuCoin answers to GET are reads. Withdrawals, transfers, borrowing, leverage, modes, batches of
orders and everything of unified accounts are of no use here, and are not in the table.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from node.domain.permission import Effect
from node.venues.call import Request

SPOT_HOST: Final = "api.kucoin.com"
FUTURES_HOST: Final = "api-futures.kucoin.com"

_ID: Final = "[0-9A-Za-z_-]+"
#: Cancels without a body.
_CANCELS: Final = {
    SPOT_HOST: re.compile(
        rf"/api/v1/hf/orders|/api/v1/hf/orders/sync/{_ID}|/api/v1/stop-order/{_ID}|/api/v3/oco/order/{_ID}"
        r"|/api/v3/oco/orders"
    ),
    FUTURES_HOST: re.compile(rf"/api/v1/orders/{_ID}|/api/v3/orders|/api/v1/stopOrders"),
}
_MULTI_CANCEL: Final = "/api/v1/orders/multi-cancel"
#: What an order of ours consists of. Anything else (triggers, borrowing, funds held by force) is more than a close.
_CONTRACT_FIELDS: Final = frozenset(
    {
        "clientOid",
        "symbol",
        "side",
        "type",
        "price",
        "timeInForce",
        "size",
        "leverage",
        "marginMode",
        "reduceOnly",
        "positionSide",
    }
)
_SPOT_FIELDS: Final = frozenset({"clientOid", "symbol", "side", "type", "size", "price", "timeInForce"})


def effect_of(request: Request) -> Effect | None:
    """The most that *request* can do; None: not known."""
    if request.method == "GET":
        return Effect.READ if request.path.startswith("/api/") else None
    if request.method == "DELETE":
        return _of_delete(request)
    if request.method != "POST" or request.params:
        return None  # KuCoin's POST takes its parameters from the body: what a query beside it would do is not known
    if request.path == "/api/v1/bullet-private" and not request.body:
        return Effect.READ  # a token for a stream
    order = _document(request.body)
    if not isinstance(order, dict):
        return None
    if (request.host, request.path) == (FUTURES_HOST, "/api/v1/orders"):
        return _contract_order(order)
    return _spot_order(order) if (request.host, request.path) == (SPOT_HOST, "/api/v1/hf/orders/sync") else None


def _of_delete(request: Request) -> Effect | None:
    if request.host == FUTURES_HOST and request.path == _MULTI_CANCEL:
        listed = _document(request.body)
        return Effect.CANCEL if isinstance(listed, dict) and not request.params else None
    known = _CANCELS.get(request.host)
    return Effect.CANCEL if known is not None and known.fullmatch(request.path) and not request.body else None


def _contract_order(order: Mapping[str, Any]) -> Effect:
    """Reduce-only in so many words: the venue bounds it by the position, in either mode."""
    bounded = order.get("reduceOnly") is True and order.keys() <= _CONTRACT_FIELDS
    return Effect.CLOSE if bounded else Effect.OPEN


def _spot_order(order: Mapping[str, Any]) -> Effect:
    """In a wallet that cannot owe nothing can be sold but what is held; what rests may be forgotten."""
    limited = order.get("type") == "limit" and order.get("timeInForce") == "IOC"
    immediate = limited or order.get("type") == "market"
    closes = order.get("side") == "sell" and immediate and order.keys() <= _SPOT_FIELDS
    return Effect.CLOSE if closes else Effect.OPEN


def _document(body: str) -> object:
    """The body's JSON; None if it is none, or names a field twice: who knows which one the venue takes."""
    try:
        return json.loads(body, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        return None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a field is there twice")
    return found
