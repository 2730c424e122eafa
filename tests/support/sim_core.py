"""A matching core with two contracts and one pair, for tests of the rules alone."""

from __future__ import annotations

import itertools
from decimal import Decimal
from typing import Any

from node.sim.accounts import Account
from node.sim.market import Listing, Market, Product
from node.sim.matching import MatchingCore
from node.sim.orders import Book, Leg, Order, OrderKind, OrderTerms, Side, TriggerTerms

_client_ids = itertools.count(1)


def market(product: Product, **changes: Any) -> Market:
    """A BTC market at 100 a piece, in steps of 0.1, with at most 50 in a market order."""
    inverse = product is Product.INVERSE
    values: dict[str, Any] = {
        "product": product,
        "symbol": f"BTC-{product.value}",
        "base": "BTC",
        "quote": "USD" if inverse else "USDT",
        "settle": "BTC" if inverse else "USDT",
        "wallet": product.value,
        "tick": Decimal("0.5"),
        "step": Decimal(1) if inverse else Decimal("0.1"),
        "min_quantity": Decimal(1) if inverse else Decimal("0.1"),
        "max_quantity": Decimal(1000),
        "max_market_quantity": Decimal(50),
        "min_notional": Decimal(5),
        "contract_size": Decimal(10) if inverse else Decimal(1),
        "fee_rate": Decimal(0),
    }
    return Market(**{**values, **changes})


LINEAR, INVERSE, SPOT = (market(product) for product in (Product.LINEAR, Product.INVERSE, Product.SPOT))


def core_with_account(*, hedge: bool = False) -> tuple[MatchingCore, Account]:
    """A core at mark 100, and an account with 10 000 USDT and 10 BTC in every wallet."""
    core = MatchingCore([Listing(market=m, mark=Decimal(100)) for m in (LINEAR, INVERSE, SPOT)], now_ms=lambda: 1_000)
    account = core.accounts["a"] = Account(name="a")
    for product in Product:
        account.balance(product.value, "USDT").free = Decimal(10_000)
        account.balance(product.value, "BTC").free = Decimal(10)
    if hedge:
        account.hedge_mode |= {Product.LINEAR, Product.INVERSE}
    return core, account


def terms(
    side: str, quantity: str | None, *, market: Market = LINEAR, price: str | None = None, **more: Any
) -> OrderTerms:
    """Order terms; a price makes it a limit order."""
    return OrderTerms(
        market=market,
        side=Side(side),
        kind=OrderKind.MARKET if price is None else OrderKind.LIMIT,
        client_id=more.pop("client_id", f"c{next(_client_ids)}"),
        venue_type="MARKET" if price is None else "LIMIT",
        quantity=None if quantity is None else Decimal(quantity),
        price=None if price is None else Decimal(price),
        **more,
    )


def hold(account: Account, quantity: str, *, market: Market = LINEAR, leg: Leg = Leg.NET, entry: str = "100") -> None:
    """Give the account a position."""
    position = account.position(market, leg)
    position.quantity, position.entry_price = Decimal(quantity), Decimal(entry)


def size(account: Account, market: Market = LINEAR, leg: Leg = Leg.NET) -> float:
    """Signed size of a position, for comparing."""
    return float(account.quantity(market, leg))


def arm(core: MatchingCore, account: Account, side: str, quantity: str | None, at: str, **more: Any) -> Order:
    """Place a conditional market order in the algo book: a stop, unless told otherwise."""
    rises = more.pop("rises", side == "buy")
    trigger = TriggerTerms(price=Decimal(at), fires_at_or_above=rises)
    close = quantity is None
    return core.place(account, terms(side, quantity, trigger=trigger, book=Book.ALGO, close_position=close, **more))
