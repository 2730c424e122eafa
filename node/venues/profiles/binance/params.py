"""Binance: parameters that orders have in common."""

from __future__ import annotations

from decimal import Decimal

from node.venues.profiles.plain import plain


def pricing(limit_price: Decimal | None) -> dict[str, str]:
    """At market, or at a price at once and never resting."""
    if limit_price is None:
        return {"type": "MARKET"}
    return {"type": "LIMIT", "timeInForce": "IOC", "price": plain(limit_price)}


def identity(client_order_id: str) -> dict[str, str]:
    """By what the order can be asked after. RESULT answers after matching: the next read sees what it did."""
    return {"newClientOrderId": client_order_id, "newOrderRespType": "RESULT"}
