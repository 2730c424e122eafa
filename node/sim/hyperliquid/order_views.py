"""Orders and fills in Hyperliquid's JSON.

Sources: "Info endpoint" of the documentation (open orders, order status, fills), recorded answers of
hyperliquid-python-sdk's tests, ``WsBasicOrder`` and ``WsFill`` of the WebSocket's documentation.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from node.sim.accounts import Account
from node.sim.hyperliquid.numbers import number, plain
from node.sim.market import ZERO
from node.sim.orders import Fill, Order, OrderStatus, OrderTerms, Side, TimeInForce

TIFS = {TimeInForce.GTC: "Gtc", TimeInForce.IOC: "Ioc", TimeInForce.POST_ONLY: "Alo"}
#: How far from its trigger a conditional market order of a scenario may trade ("Take profit and stop loss orders").
MARKET_SLIPPAGE = Decimal("0.1")
CLOID_LENGTH = 34


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """An order that was refused for what it met: it has a number and a place in the history all the same."""

    oid: int
    terms: OrderTerms
    status: str
    at_ms: int


def is_cloid(word: str) -> bool:
    """Whether a client id was sent; the simulator's own for orders without one look otherwise."""
    return word.startswith("0x") and len(word) == CLOID_LENGTH


def side(terms: OrderTerms) -> str:
    """``B`` buys, ``A`` sells."""
    return "B" if terms.side is Side.BUY else "A"


def limit_price(terms: OrderTerms) -> Decimal:
    """The worst price that the order may trade at."""
    if terms.price is not None:
        return terms.price
    trigger = (terms.trigger.price if terms.trigger is not None else None) or ZERO
    factor = 1 + MARKET_SLIPPAGE if terms.side is Side.BUY else 1 - MARKET_SLIPPAGE
    return terms.market.whole_ticks(trigger * factor)


def open_size(account: Account, order: Order) -> Decimal:
    """What the order can still trade; one that reduces shrinks with its position."""
    terms = order.terms
    if not order.is_open or terms.close_position:
        return ZERO if terms.close_position else order.remaining
    if not terms.market.is_contract or not terms.only_reduces or terms.trigger is not None:
        return order.remaining
    held = account.quantity(terms.market)
    return min(order.remaining, abs(held)) if held * terms.signed < 0 else ZERO


def status(account: Account, order: Order) -> str:
    """The venue's word for where the order is in its life."""
    if order.is_open:
        return "triggered" if order.triggered else "open"
    if order.status is OrderStatus.FILLED:
        return "filled"
    if order.status is OrderStatus.EXPIRED and order.terms.only_reduces and not account.quantity(order.terms.market):
        return "reduceOnlyCanceled"
    return "canceled"


def open_order(account: Account, order: Order) -> dict[str, Any]:
    """Of ``openOrders`` and of the stream: a conditional order looks like any other."""
    terms = order.terms
    view: dict[str, Any] = {
        "coin": terms.market.symbol,
        "side": side(terms),
        "limitPx": number(limit_price(terms)),
        "sz": number(open_size(account, order)),
        "oid": order.order_id,
        "timestamp": order.created_ms,
        "origSz": number(ZERO if terms.close_position else terms.quantity or order.quantity),
    }
    if is_cloid(terms.client_id):
        view["cloid"] = terms.client_id
    if terms.only_reduces:
        view["reduceOnly"] = True
    return view


def front_end_order(account: Account, order: Order, children: Iterable[Order] = ()) -> dict[str, Any]:
    """Of ``frontendOpenOrders``, ``orderStatus`` and the history."""
    terms = order.terms
    return {
        **open_order(account, order),
        **_described(terms),
        "children": [front_end_order(account, child) for child in children],
    }


def rejected_order(rejected: Rejected) -> dict[str, Any]:
    """A refused order as the history shows it."""
    terms, size = rejected.terms, number(rejected.terms.quantity or ZERO)
    return {
        "coin": terms.market.symbol,
        "side": side(terms),
        "limitPx": number(limit_price(terms)),
        "sz": size,
        "oid": rejected.oid,
        "timestamp": rejected.at_ms,
        "origSz": size,
        **_described(terms),
        "children": [],
    }


def fill_view(order: Order, fill: Fill, *, start: Decimal, at_ms: int) -> dict[str, Any]:
    """One trade. *start* is the position, or the balance of the coin, before it."""
    terms = order.terms
    return {
        "coin": terms.market.symbol,
        "px": number(fill.price),
        "sz": number(fill.quantity),
        "side": side(terms),
        "time": at_ms,
        "startPosition": number(start),
        "dir": _direction(terms, start),
        "closedPnl": number(fill.profit),
        "hash": f"0x{fill.trade_id:064x}",
        "oid": order.order_id,
        "crossed": True,
        "fee": number(fill.fee),
        "tid": fill.trade_id,
        "feeToken": fill.fee_asset,
        "twapId": None,
    }


def placed(order: Order) -> dict[str, Any]:
    """An order's status in the answer to its placement; what did not trade of an IOC is not mentioned."""
    view: dict[str, Any] = {"oid": order.order_id}
    if is_cloid(order.terms.client_id):
        view["cloid"] = order.terms.client_id
    if order.is_open:
        return {"resting": view}
    return {"filled": {"totalSz": number(order.filled), "avgPx": number(order.average_price), **view}}


def _described(terms: OrderTerms) -> dict[str, Any]:
    trigger = terms.trigger
    conditional = trigger is not None and trigger.price is not None
    words = {"LIMIT": "Limit", "MARKET": "Market"}  # of orders that no client placed
    condition, trigger_price = "N/A", "0.0"
    if trigger is not None and trigger.price is not None:
        condition = f"Price {'above' if trigger.fires_at_or_above else 'below'} {plain(trigger.price)}"
        trigger_price = number(trigger.price)
    return {
        "triggerCondition": condition,
        "isTrigger": conditional,
        "triggerPx": trigger_price,
        "isPositionTpsl": terms.close_position,
        "reduceOnly": terms.only_reduces,
        "orderType": words.get(terms.venue_type, terms.venue_type),
        "tif": None if conditional else TIFS.get(terms.time_in_force, "Gtc"),
        "cloid": terms.client_id if is_cloid(terms.client_id) else None,
    }


def _direction(terms: OrderTerms, start: Decimal) -> str:
    if not terms.market.is_contract:
        return "Buy" if terms.side is Side.BUY else "Sell"
    if start * terms.signed < 0:
        return "Close Short" if terms.side is Side.BUY else "Close Long"
    return "Open Long" if terms.side is Side.BUY else "Open Short"
