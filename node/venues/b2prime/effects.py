"""B2PRIME: what a request can do at most, told from the request itself. What is not here must not leave.

There are no reduce-only orders: a position is closed by the venue's own closing requests, and by nothing else. An order
on spot that sells at once, or not at all, can only spend what is held.
"""

from __future__ import annotations

import re
from typing import Any, Final

from node.domain.permission import Effect
from node.venues.call import Request

_API: Final = "/frontoffice/api"
_READS: Final = frozenset(
    {
        f"{_API}/v3/accounts",
        f"{_API}/v6/markets",
        f"{_API}/v3/info",
        "/frontoffice/ws/v3/account",
        "/frontoffice/ws/v4/account",
        "/marketdata/v5/info",
    }
)
_NEGOTIATIONS: Final = frozenset({"/frontoffice/ws/v3/account/negotiate", "/frontoffice/ws/v4/account/negotiate"})
_KEYS: Final = f"{_API}/v3/webhook/api-keys"
_MARKET: Final = re.compile(rf"{_API}/v6/markets/[A-Za-z0-9._%-]+")
_CANCEL: Final = re.compile(rf"{_API}/v3/(stop-)?orders/[0-9A-Za-z]+")
_REVOKE: Final = re.compile(rf"{_KEYS}/[0-9A-Za-z-]+")
_CLOSE: Final = re.compile(rf"{_API}/v4/positions/[0-9A-Za-z]+/close")
_BULK: Final = f"{_API}/v4/positions/bulk-close"
_MODES: Final = frozenset({"AllPositions", "PositivePnl", "NegativePnl"})
_TOKEN: Final = f"{_API}/v4/access-token"
_SPOT: Final = f"{_API}/v3/orders"
_OPENING: Final = frozenset(
    {
        f"{_API}/v3/stop-orders",
        *(f"{_API}/{kind}/v4/{book}" for kind in ("cfd", "perpetual") for book in ("orders", "stop-orders")),
    }
)
#: Of a sale on spot.
_SALE: Final = frozenset(
    {"marketId", "side", "orderType", "timeInForce", "requestedAmount", "requestedPrice", "comment"}
)


def effect_of(request: Request, *, revokes: bool) -> Effect | None:
    """The most that *request* can do; webhook keys are listed and revoked only where *revokes* says so."""
    path = request.path
    match request.method:
        case "GET" if request.body:
            return None
        case "GET":
            known = path in _READS or bool(_MARKET.fullmatch(path)) or (revokes and path == _KEYS)
            return Effect.READ if known else None
        case "DELETE" if not request.body and not request.params:
            known = bool(_CANCEL.fullmatch(path)) or (revokes and bool(_REVOKE.fullmatch(path)))
            return Effect.CANCEL if known else None
        case "POST" if path in _NEGOTIATIONS:
            return None if request.body else Effect.READ
        case "POST" if not request.params:
            return _of_post(path, {} if not request.body else request.document)
    return None


def _of_post(path: str, document: Any) -> Effect | None:  # noqa: ANN401 - JSON
    if not isinstance(document, dict):
        return None
    if path == _TOKEN:
        return Effect.READ if document.keys() == {"token"} else None
    if _CLOSE.fullmatch(path):
        return Effect.CLOSE if document.keys() <= {"closePositionLotAmount"} else None
    if path == _BULK:
        return Effect.CLOSE if document.keys() == {"mode"} and document["mode"] in _MODES else None
    if path == _SPOT:
        return _of_spot(document)
    return Effect.OPEN if path in _OPENING else None


def _of_spot(document: dict[str, Any]) -> Effect:
    order = document.get("order")
    if document.keys() != {"order"} or not isinstance(order, dict) or not order.keys() <= _SALE:
        return Effect.OPEN
    on_spot = str(order.get("marketId")).startswith("spot.")
    sells = (order.get("side"), order.get("orderType"), order.get("timeInForce")) == ("Sell", "Limit", "Ioc")
    return Effect.CLOSE if on_spot and sells else Effect.OPEN
