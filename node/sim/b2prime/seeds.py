"""What the accounts of the shared scenarios hold here.

Contracts in USDT become perpetuals; what is settled in other coins, dated or borrowed does not exist and is left
out. An order cannot be reduce-only. The demo and hedge accounts hold CFDs besides.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from typing import TypeVar

from node.sim.b2prime.markets import ROOT, listings
from node.sim.market import Product
from node.sim.scenarios import (
    DEMO,
    HEDGE,
    AccountSeed,
    MarketName,
    OrderSeed,
    PositionSeed,
    TriggerAction,
    TriggerSeed,
    linear,
    spot,
)

Seed = TypeVar("Seed", PositionSeed, OrderSeed, TriggerSeed)
_LISTED = frozenset((each.market.product, each.market.base, each.market.quote) for each in listings())
_EURO, _GOLD = linear("EUR", "USD"), linear("XAU", "USD")


def adapt(seed: AccountSeed) -> AccountSeed:
    """The account as it is here."""
    orders = tuple(replace(each, reduce_only=False) for each in _moved(seed.orders))
    account = replace(
        seed,
        debts=(),
        positions=tuple(replace(each, isolated=False) for each in _moved(seed.positions)),
        orders=orders,
        triggers=tuple(_moved(seed.triggers)),
    )
    return _with_cfds(account) if seed in (DEMO, HEDGE) else account


def _moved(seeds: Iterable[Seed]) -> Iterable[Seed]:
    for seed in seeds:
        market = _market(seed.market)
        if market is not None:
            yield replace(seed, market=market)


def _market(name: MarketName) -> MarketName | None:
    if name.dated:
        return None
    if name.product is Product.MARGIN:
        name = spot(name.base, name.quote)
    return name if (name.product, name.base, name.quote) in _LISTED else None


def _with_cfds(account: AccountSeed) -> AccountSeed:
    return replace(
        account,
        balances=(*account.balances, (Product.LINEAR, ROOT, Decimal(50_000))),
        positions=(
            *account.positions,
            PositionSeed(market=_EURO, quantity=Decimal(200_000), entry_factor=Decimal("0.99")),
            PositionSeed(market=_GOLD, quantity=Decimal(-40), entry_factor=Decimal("1.01")),
        ),
        orders=(*account.orders, OrderSeed(market=_EURO, quantity=Decimal(50_000), price_factor=Decimal("0.97"))),
        triggers=(
            *account.triggers,
            TriggerSeed(market=_GOLD, action=TriggerAction.ENTRY, trigger_factor=Decimal("1.05"), quantity=Decimal(10)),
        ),
    )
