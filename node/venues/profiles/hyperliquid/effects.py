"""Hyperliquid: what a request can do at most, told from the request itself. What is not here must not leave.

Actions by https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api/exchange-endpoint. All of /info are reads.
Withdrawals, transfers, leverage, margin, agents, modes, TWAP orders, builders' fees and referrers are of no use here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from node.domain.permission import Effect
from node.venues.call import Request

#: Numbers of spot markets (.../asset-ids): dexs of perpetuals and outcomes are above, the venue's perpetuals below.
_SPOT: Final = range(10_000, 100_000)
_ENVELOPE: Final = frozenset({"action", "nonce", "signature", "vaultAddress", "expiresAfter"})
_CANCELS: Final = {
    "cancel": {"type", "cancels"},
    "cancelByCloid": {"type", "cancels"},
    "twapCancel": {"type", "a", "t"},
}
#: Without "builder": nobody earns by an order of ours.
_ORDER: Final = {"type", "orders", "grouping"}
_FIELDS: Final = {"a", "b", "p", "s", "r", "t", "c"}


def effect_of(request: Request, vault: str | None) -> Effect | None:
    """The most that *request* can do to the account, which is a sub-account or vault if *vault* names it."""
    document = _document(request.body)
    if request.method != "POST" or not isinstance(document, dict):
        return None
    if request.path == "/info":
        return Effect.READ
    if request.path != "/exchange" or not document.keys() <= _ENVELOPE or document.get("vaultAddress") != vault:
        return None
    action = document.get("action")
    if not isinstance(action, dict) or not isinstance(kind := action.get("type"), str):
        return None
    if kind in _CANCELS and action.keys() == _CANCELS[kind]:
        return Effect.CANCEL
    listed = action.get("orders")
    if kind != "order" or action.keys() != _ORDER or action["grouping"] != "na" or not isinstance(listed, list):
        return None
    effects = [_of_order(order) for order in listed]
    return None if not effects or None in effects else max(effect for effect in effects if effect is not None)


def _of_order(order: object) -> Effect | None:
    """On spot nothing can be sold but what is held, at once lest it rests; elsewhere the venue bounds what reduces."""
    if not isinstance(order, dict) or not order.keys() <= _FIELDS:
        return None
    asset = order.get("a")
    if type(asset) is not int:
        return None
    if asset in _SPOT:
        sells = order.get("b") is False and order.get("t") == {"limit": {"tif": "Ioc"}}
        return Effect.CLOSE if sells else Effect.OPEN
    return Effect.CLOSE if order.get("r") is True else Effect.OPEN


def _document(body: str) -> Any:  # noqa: ANN401 - JSON
    """The body's JSON; None if it is none, or says something twice: who knows which the venue takes."""

    def once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("twice")
        return found

    try:
        return json.loads(body, object_pairs_hook=once)
    except (ValueError, RecursionError):
        return None
