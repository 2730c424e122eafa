"""The whole state of a simulated venue as JSON: the independent witness that tests and benchmarks ask."""

from __future__ import annotations

from dataclasses import asdict
from decimal import Decimal
from typing import Any

from node.sim.accounts import Account, Position
from node.sim.matching import MatchingCore
from node.sim.orders import Book, Order


def state_document(core: MatchingCore) -> dict[str, Any]:
    """Everything, by account. Sizes and money are decimal strings."""
    return {
        "now_ms": core.now_ms(),
        "accounts": {name: account_document(core, account) for name, account in core.accounts.items()},
        "markets": {
            f"{product}/{symbol}": {"status": listing.status.value, "mark": text(listing.mark)}
            for (product, symbol), listing in core.listings.items()
        },
    }


def account_document(core: MatchingCore, account: Account) -> dict[str, Any]:
    """One account: open positions, resting orders of both books, balances that are not zero, counters."""
    resting = list(account.open_orders.values())
    return {
        "hedge_mode": sorted(account.hedge_mode),
        "positions": [_position(core, account, position) for position in account.open_positions()],
        "orders": [order_document(order) for order in resting if order.terms.book is Book.ORDERS],
        "algo_orders": [order_document(order) for order in resting if order.terms.book is Book.ALGO],
        "balances": {
            wallet: {
                asset: {
                    "free": text(held.free),
                    "locked": text(held.locked),
                    "borrowed": text(held.borrowed),
                    "interest": text(held.interest),
                }
                for asset, held in sorted(assets.items())
                if held.total or held.owed
            }
            for wallet, assets in account.wallets.items()
        },
        "counters": asdict(account.counters),
        "engine_counters": asdict(account.engine_counters),
    }


def order_document(order: Order) -> dict[str, Any]:
    """One order of either book."""
    terms = order.terms
    return {
        "order_id": order.order_id,
        "client_id": terms.client_id,
        "product": terms.market.product.value,
        "symbol": terms.market.symbol,
        "slice": terms.market.slice_name,
        "side": terms.side.value,
        "kind": terms.kind.value,
        "type": terms.venue_type,
        "leg": terms.leg.value,
        "quantity": text(order.quantity),
        "filled": text(order.filled),
        "price": None if terms.price is None else text(terms.price),
        "trigger_price": None if terms.trigger_price is None else text(terms.trigger_price),
        "reduce_only": terms.reduce_only,
        "close_position": terms.close_position,
        "adds_exposure": not terms.only_reduces,
        "origin": terms.origin.value,
        "status": order.status.value,
    }


def text(number: Decimal) -> str:
    """Plain decimal notation, without needless zeros."""
    plain = format(number, "f")
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def _position(core: MatchingCore, account: Account, position: Position) -> dict[str, Any]:
    market = position.market
    settings = account.position_settings(market)
    return {
        "product": market.product.value,
        "symbol": market.symbol,
        "slice": market.slice_name,
        "leg": position.leg.value,
        "quantity": text(position.quantity),
        "entry_price": text(position.entry_price),
        "mark_price": text(core.listing(market).mark),
        "margin_mode": "isolated" if settings.isolated else "cross",
        "leverage": settings.leverage,
    }
