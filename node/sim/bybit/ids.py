"""Order ids: UUIDs for contracts, long numbers for spot; both can be turned back into the core's numbers."""

from __future__ import annotations

import hashlib
import itertools
import re
from typing import Final
from uuid import UUID

from node.sim.market import Product
from node.sim.orders import Order

SPOT_BASE: Final = 2_000_000_000_000_000_000
LINK_ID: Final = re.compile(r"^[A-Za-z0-9_-]{1,36}$")
#: Begins what the core calls an order that its owner gave no name; no ``orderLinkId`` may begin so.
_NAMELESS: Final = "~"
_numbers = itertools.count(1)


def order_id(order: Order) -> str:
    """The order's id as Bybit writes it."""
    if not order.terms.market.is_contract:
        return str(SPOT_BASE + order.order_id)
    number = order.order_id.to_bytes(8, "big")
    return str(UUID(bytes=hashlib.sha256(number).digest()[:8] + number))


def order_number(text: str, product: Product) -> int | None:
    """The core's number of the order that is so called; none if it is no such id."""
    if product is Product.SPOT:
        return int(text) - SPOT_BASE if text.isdigit() else None
    try:
        packed = UUID(text).bytes
    except ValueError:
        return None
    return int.from_bytes(packed[8:], "big") if hashlib.sha256(packed[8:]).digest()[:8] == packed[:8] else None


def execution_id(trade_id: int) -> str:
    """A trade's id."""
    return str(UUID(bytes=hashlib.sha256(b"trade %d" % trade_id).digest()[:16]))


def nameless() -> str:
    """A client id for an order whose owner gave none."""
    return f"{_NAMELESS}{next(_numbers)}"


def link_id(order: Order) -> str:
    """``orderLinkId``, empty if its owner gave none."""
    name = order.terms.client_id
    return "" if name.startswith(_NAMELESS) else name
