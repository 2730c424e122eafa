"""What the accounts of the shared scenarios hold at Hyperliquid, which settles in USDC and has one position a coin.

Contracts in USDT become those in USDC, which is what most are settled in here. Contracts that a scenario has in USDC
beside them are what a default query forgets elsewhere; here that part is a builder's dex, so they move to ``hyna``.
Inverse contracts, borrowed money and second legs do not exist and are left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from typing import TypeVar

from node.sim.hyperliquid.markets import DEXS, PAIRS, TOKEN_BY_ASSET
from node.sim.market import Product
from node.sim.scenarios import (
    AccountSeed,
    MarketName,
    OrderSeed,
    PositionSeed,
    TriggerAction,
    TriggerSeed,
    linear,
)

#: What stands in for coins of the scenarios: what most is sold for, and for dust a coin that is listed. Who means the
#: dollar that is called USDT0 here names it so.
_SPOT = {"USDT": "USDC", "DOGE": "PURR", "USDT0": "USDT"}
_OWN, _BUILDERS = DEXS[0], DEXS[2]
Seed = TypeVar("Seed", PositionSeed, OrderSeed, TriggerSeed)


def adapt(seed: AccountSeed) -> AccountSeed:
    """The account as it is here."""
    positions = _first_of_each(_moved(seed.positions))
    account = replace(
        seed,
        hedge=False,
        balances=_balances(seed),
        debts=(),
        positions=positions,
        orders=tuple(_moved(seed.orders)),
        triggers=tuple(each for each in _moved(seed.triggers) if not _guards_a_lost_leg(each, positions)),
    )
    return _with_builders_markets(account) if seed.name == "demo" else account


def _moved(seeds: Iterable[Seed]) -> Iterable[Seed]:
    for seed in seeds:
        market = _market(seed.market)
        if market is not None:
            yield replace(seed, market=market)


def _market(name: MarketName) -> MarketName | None:
    if name.dated:
        return None
    if name.product is Product.SPOT:
        pair = (name.base, "USDC" if name.quote == "USDT" else name.quote)
        return replace(name, quote=pair[1]) if pair in PAIRS else None
    if name.product is not Product.LINEAR:
        return None
    if "-" in name.base:  # a builder's, as it is called here
        return name
    if name.quote == "USDT" and name.base in _OWN.coins:
        return replace(name, quote="USDC")
    if name.quote == "USDC" and name.base in _BUILDERS.coins:
        return linear(f"{_BUILDERS.name.upper()}-{name.base}", _BUILDERS.collateral)
    return None


def _first_of_each(seeds: Iterable[PositionSeed]) -> tuple[PositionSeed, ...]:
    found: dict[MarketName, PositionSeed] = {}
    for seed in seeds:
        builders = "-" in seed.market.base  # margined by themselves
        found.setdefault(seed.market, replace(seed, isolated=seed.isolated or builders))
    return tuple(found.values())


def _guards_a_lost_leg(trigger: TriggerSeed, positions: tuple[PositionSeed, ...]) -> bool:
    """Whether it would close the leg that was left out, and so works the same way as the position that is there."""
    closes = trigger.action is not TriggerAction.ENTRY
    sign = trigger.sign if trigger.quantity is None else trigger.quantity
    return closes and any(each.market == trigger.market and each.quantity * sign > 0 for each in positions)


def _balances(seed: AccountSeed) -> tuple[tuple[Product, str, Decimal], ...]:
    held: Counter[tuple[Product, str]] = Counter()
    for product, asset, amount in seed.balances:
        if product is Product.LINEAR:
            held[product, "USDC" if asset == "USDT" else _BUILDERS.collateral] += amount  # type: ignore[assignment]
        elif product is Product.SPOT:
            coin = _SPOT.get(asset, asset)
            if coin in TOKEN_BY_ASSET:
                held[product, coin] += amount  # type: ignore[assignment]
    return tuple((product, asset, Decimal(amount)) for (product, asset), amount in held.items())


def _with_builders_markets(account: AccountSeed) -> AccountSeed:
    gold, tesla = (linear(f"XYZ-{coin}", "USDC") for coin in ("GOLD", "TSLA"))
    return replace(
        account,
        positions=(
            *account.positions,
            PositionSeed(market=gold, quantity=Decimal("4.5"), isolated=True),
            PositionSeed(market=tesla, quantity=Decimal("-30"), isolated=True),
        ),
        orders=(*account.orders, OrderSeed(market=gold, quantity=Decimal("2"), price_factor=Decimal("0.96"))),
        triggers=(
            *account.triggers,
            TriggerSeed(
                market=tesla, action=TriggerAction.STOP_LOSS, trigger_factor=Decimal("1.1"), quantity=Decimal("30")
            ),
        ),
    )
