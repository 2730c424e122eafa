"""Account events in Binance's JSON.

Sources: User Data Streams of spot, USD-M and COIN-M on developers.binance.com; what ccxt.pro 4.5.90 reads of each.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from node.sim.accounts import Account
from node.sim.binance.numbers import amount, average, digits, price, quantity
from node.sim.binance.order_views import LEG, STATUS, TIME_IN_FORCE
from node.sim.market import ZERO, Product
from node.sim.orders import Fill, Order, OrderStatus, TimeInForce
from node.sim.settlement import unrealised

ALIAS = "SgsR"
#: What happened to an order, for those of its states that an event of their own leads to.
EXECUTION = {
    OrderStatus.NEW: "NEW",
    OrderStatus.CANCELLED: "CANCELED",
    OrderStatus.EXPIRED: "EXPIRED",
    OrderStatus.REJECTED: "REJECTED",
}


def order_trade_update(order: Order, fill: Fill | None, now_ms: int) -> dict[str, Any]:
    """``ORDER_TRADE_UPDATE`` of futures."""
    terms, market = order.terms, order.terms.market
    view: dict[str, Any] = {
        "s": market.symbol,
        "c": terms.client_id,
        "S": terms.side.value.upper(),
        "o": terms.venue_type,
        "f": TIME_IN_FORCE[terms.time_in_force],
        "q": quantity(market, order.quantity),
        "p": price(market, terms.price),
        "ap": average(order.average_price),
        "sp": price(market, terms.trigger_price),
        "x": "TRADE" if fill is not None else EXECUTION.get(order.status, "EXPIRED"),
        "X": STATUS[order.status],
        "i": order.order_id,
        "l": quantity(market, fill.quantity if fill is not None else ZERO),
        "z": quantity(market, order.filled),
        "L": price(market, fill.price if fill is not None else None),
        "T": now_ms,
        "t": fill.trade_id if fill is not None else 0,
        "b": "0",
        "a": "0",
        "m": False,
        "R": terms.reduce_only,
        "wt": "CONTRACT_PRICE",
        "ot": terms.venue_type,
        "ps": LEG[terms.leg],
        "cp": terms.close_position,
        "rp": amount(fill.profit) if fill is not None else "0",
        "pP": False,
        "si": 0,
        "ss": 0,
        "V": "NONE",
        "pm": "NONE",
        "gtd": 0,
    }
    if fill is not None:
        view |= {"N": fill.fee_asset, "n": amount(fill.fee)}
    document: dict[str, Any] = {"e": "ORDER_TRADE_UPDATE", "E": now_ms, "T": now_ms}
    if market.product is Product.INVERSE:
        document["i"] = ALIAS
        view["ma"] = market.settle
    return {**document, "o": view}


def account_update(account: Account, order: Order, mark: Decimal, now_ms: int) -> dict[str, Any]:
    """``ACCOUNT_UPDATE`` after a trade of *order*: the position it worked on, and the balance it settled in."""
    terms, market = order.terms, order.terms.market
    position, settings = account.position(market, terms.leg), account.position_settings(market)
    wallet = amount(account.balance(market.wallet, market.settle).total)
    entry = format(position.entry_price.quantize(Decimal("0.00000001")).normalize() + 0, "f")
    held = {
        "s": market.symbol,
        "pa": quantity(market, position.quantity),
        "ep": entry,
        "bep": entry,
        "cr": "0",
        "up": amount(unrealised(position, mark)),
        "mt": "isolated" if settings.isolated else "cross",
        "iw": "0",
        "ps": LEG[terms.leg],
    }
    document: dict[str, Any] = {"e": "ACCOUNT_UPDATE", "E": now_ms, "T": now_ms}
    if market.product is Product.INVERSE:
        document["i"] = ALIAS
    else:
        held["ma"] = market.settle
    return {
        **document,
        "a": {"m": "ORDER", "B": [{"a": market.settle, "wb": wallet, "cw": wallet, "bc": "0"}], "P": [held]},
    }


def algo_update(order: Order, now_ms: int) -> dict[str, Any]:
    """``ALGO_UPDATE`` of a conditional order. Its own trades come as those of the order that it became."""
    terms, market = order.terms, order.terms.market
    view: dict[str, Any] = {
        "caid": terms.client_id,
        "aid": order.order_id,
        "at": "CONDITIONAL",
        "o": terms.venue_type,
        "s": market.symbol,
        "S": terms.side.value.upper(),
        "ps": LEG[terms.leg],
        "f": TIME_IN_FORCE[terms.time_in_force],
        "q": quantity(market, order.quantity),
        "X": STATUS[order.status],
        "ai": "" if order.child_id is None else str(order.child_id),
        "tp": price(market, terms.trigger_price),
        "p": price(market, terms.price),
        "V": "EXPIRE_MAKER",
        "wt": "CONTRACT_PRICE",
        "pm": "NONE",
        "cp": terms.close_position,
        "pP": False,
        "R": terms.reduce_only,
        "tt": order.triggered_ms,
        "gtd": 0,
    }
    if order.status is OrderStatus.REJECTED:
        view["rm"] = "Reduce Only reject"
    return {"e": "ALGO_UPDATE", "E": now_ms, "T": now_ms, "o": view}


def execution_report(order: Order, fill: Fill | None, now_ms: int) -> dict[str, Any]:
    """``executionReport`` of spot and margin."""
    terms, zero = order.terms, amount(ZERO)
    post_only = terms.time_in_force is TimeInForce.POST_ONLY
    cancelled = order.status is OrderStatus.CANCELLED
    return {
        "e": "executionReport",
        "E": now_ms,
        "s": terms.market.symbol,
        "c": terms.client_id,
        "S": terms.side.value.upper(),
        "o": terms.venue_type,
        "f": "GTC" if post_only else TIME_IN_FORCE[terms.time_in_force],
        "q": amount(order.quantity),
        "p": amount(terms.price or ZERO),
        "P": amount(terms.trigger_price or ZERO),
        "F": zero,
        "g": -1,
        "C": terms.client_id if cancelled else "",
        "x": "TRADE" if fill is not None else EXECUTION.get(order.status, "EXPIRED"),
        "X": STATUS[order.status],
        "r": "NONE",
        "i": order.order_id,
        "l": amount(fill.quantity if fill is not None else ZERO),
        "z": amount(order.filled),
        "L": amount(fill.price if fill is not None else ZERO),
        "n": amount(fill.fee) if fill is not None else "0",
        "N": fill.fee_asset if fill is not None else None,
        "T": now_ms,
        "t": fill.trade_id if fill is not None else -1,
        "I": order.order_id,
        "w": order.is_open and not order.waits_for_trigger,
        "m": False,
        "M": False,
        "O": order.created_ms,
        "Z": amount(order.turnover),
        "Y": amount(fill.price * fill.quantity if fill is not None else ZERO),
        "Q": amount(terms.quote_quantity or ZERO),
        "W": order.created_ms,
        "V": "NONE",
    }


def outbound_account_position(account: Account, wallet: str, assets: Iterable[str], now_ms: int) -> dict[str, Any]:
    """``outboundAccountPosition``: the assets that an order may have moved."""
    held = ((asset, account.balance(wallet, asset)) for asset in assets)
    balances = [{"a": asset, "f": amount(balance.free), "l": amount(balance.locked)} for asset, balance in held]
    return {"e": "outboundAccountPosition", "E": now_ms, "u": now_ms, "B": balances}


def balance_update(asset: str, delta: Decimal, now_ms: int) -> dict[str, Any]:
    """``balanceUpdate``: a movement that no order made."""
    written = amount(delta) if digits(delta) <= 8 else format(delta, "f")
    return {"e": "balanceUpdate", "E": now_ms, "a": asset, "d": written, "T": now_ms}
