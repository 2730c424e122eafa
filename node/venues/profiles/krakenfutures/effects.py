"""Kraken Futures: what a request can do at most, told from the request itself. What is not here must not leave.

https://docs.kraken.com/api/docs/futures-api/trading: what changes something is POST or PUT. Transfers, withdrawals,
leverage and other preferences, edits, and the dead man's switch are of no use here, and are not in the table.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Final

from node.domain.permission import Effect
from node.venues.call import Request

_API: Final = "/derivatives/api/v3/"
_READS: Final = frozenset(
    {"openorders", "openpositions", "accounts", "instruments", "tickers", "fills", "orders/status"}
)
_KEY_CHECK: Final = "/api/auth/v1/api-keys/v3/check"


def effect_of(request: Request) -> Effect | None:
    """The most that *request* can do; None: not known."""
    name = request.path.removeprefix(_API) if request.path.startswith(_API) else ""
    if request.method == "GET":
        status = name.startswith("instruments/") and name.endswith("/status")
        return Effect.READ if name in _READS or status or request.path == _KEY_CHECK else None
    if request.method != "POST" or request.body.lstrip().startswith(("{", "[")):
        return None  # the venue takes forms: what this would do is not known
    known = _TABLE.get(name)
    return known(request.params) if callable(known) else known


def _order(params: Mapping[str, str]) -> Effect:
    """Reduce-only: "any order which increases an existing position will be rejected"."""
    return Effect.CLOSE if params.get("reduceOnly") == "true" else Effect.OPEN


def _batch(params: Mapping[str, str]) -> Effect | None:
    """Whatever is not a cancel may be an order."""
    if set(params) != {"json"}:
        return None
    try:
        document = json.loads(params["json"])
    except (ValueError, RecursionError):
        return None
    orders = document.get("batchOrder") if isinstance(document, dict) and len(document) == 1 else None
    if not isinstance(orders, list) or not orders or not all(isinstance(each, dict) for each in orders):
        return None
    return Effect.CANCEL if all(each.get("order") == "cancel" for each in orders) else Effect.OPEN


_TABLE: Final[Mapping[str, Effect | Callable[[Mapping[str, str]], Effect | None]]] = {
    "sendorder": _order,
    "batchorder": _batch,
    "cancelorder": Effect.CANCEL,
    "cancelallorders": Effect.CANCEL,
}
