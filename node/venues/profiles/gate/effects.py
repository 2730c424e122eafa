"""Gate: what a request can do at most, told from the request itself. What is not here must not leave.

Endpoints by https://www.gate.com/docs/developers/apiv4/en (spot, futures). All that Gate answers to GET are reads.
Withdrawals, transfers, loans, leverage, position modes, batches of orders and amendments are of no use here, and are
not in the table.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from node.domain.permission import Effect
from node.venues.call import Request

_ID: Final = r"[0-9A-Za-z._-]+"
_SETTLE: Final = r"/api/v4/futures/(?:usdt|usd1|btc)"
_DELETES: Final = re.compile(rf"(?:/api/v4/spot|{_SETTLE})/(?:orders|price_orders)(?:/{_ID})?")
_STOPS: Final = re.compile(rf"{_SETTLE}/autoorder/v1/(?:trail|chase)/(?:stop|stop_all)")
_CONTRACT_ORDERS: Final = re.compile(rf"{_SETTLE}/orders")
_CONTRACT_CANCELS: Final = re.compile(rf"{_SETTLE}/batch_cancel_orders")

#: What an order of ours consists of. Anything else (attached stops, borrowing, amounts shown) is more than a close.
_CONTRACT_FIELDS: Final = frozenset({"contract", "size", "price", "tif", "reduce_only", "text", "close", "auto_size"})
_SPOT_FIELDS: Final = frozenset(
    {"currency_pair", "type", "account", "side", "amount", "price", "time_in_force", "text", "auto_borrow"}
)


def effect_of(request: Request) -> Effect | None:
    """The most that *request* can do; None: not known."""
    if request.method == "GET":
        return Effect.READ if request.path.startswith("/api/v4/") else None
    if request.method == "DELETE":
        return Effect.CANCEL if _DELETES.fullmatch(request.path) and not request.body else None
    if request.method != "POST" or request.params:
        return None  # Gate's POST takes its parameters from the body: what a query beside it would do is not known
    return _of_post(request.path, _document(request.body))


def _of_post(path: str, document: object) -> Effect | None:
    if path == "/api/v4/spot/orders":
        return _of(document, _spot_order)
    if _CONTRACT_ORDERS.fullmatch(path):
        return _of(document, _contract_order)
    if path == "/api/v4/spot/cancel_batch_orders" or _CONTRACT_CANCELS.fullmatch(path):
        return Effect.CANCEL if isinstance(document, list) else None
    return Effect.CANCEL if _STOPS.fullmatch(path) and isinstance(document, dict) else None


def _of(document: object, judge: Callable[[Mapping[str, Any]], Effect]) -> Effect | None:
    return judge(document) if isinstance(document, dict) else None


def _contract_order(order: Mapping[str, Any]) -> Effect:
    """Reduce-only in so many words: the venue bounds it by the position, in either mode."""
    bounded = order.get("reduce_only") is True and order.keys() <= _CONTRACT_FIELDS
    return Effect.CLOSE if bounded else Effect.OPEN


def _spot_order(order: Mapping[str, Any]) -> Effect:
    """Without a debt nothing can be sold but what is held; what rests may be forgotten."""
    limited = order.get("type") == "limit" and order.get("time_in_force") == "ioc"
    immediate = limited or order.get("type") == "market"
    own = order.get("account") in ("spot", "unified") and order.get("auto_borrow", False) is False
    closes = order.get("side") == "sell" and immediate and own and order.keys() <= _SPOT_FIELDS
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
