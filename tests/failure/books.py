"""What the accounts of the failure suite hold: small books with everything that can go wrong in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from typing import Final
from uuid import uuid4

from node.sim.market import Product
from node.sim.scenarios import (
    SCENARIOS,
    AccountSeed,
    MarketName,
    OrderSeed,
    PositionSeed,
    TriggerAction,
    TriggerSeed,
    inverse,
    linear,
    spot,
)


def position(market: MarketName, quantity: str, *, isolated: bool = False) -> PositionSeed:
    """Positive is long."""
    return PositionSeed(market=market, quantity=Decimal(quantity), isolated=isolated)


def resting(market: MarketName, quantity: str, factor: str, *, reduce_only: bool = False) -> OrderSeed:
    """A limit order; positive buys."""
    return OrderSeed(market=market, quantity=Decimal(quantity), price_factor=Decimal(factor), reduce_only=reduce_only)


def stop(market: MarketName, quantity: str, factor: str) -> TriggerSeed:
    """A stop-loss of a certain size; positive buys."""
    return _trigger(market, TriggerAction.STOP_LOSS, quantity, factor)


def entry(market: MarketName, quantity: str, factor: str) -> TriggerSeed:
    """A conditional order that opens."""
    return _trigger(market, TriggerAction.ENTRY, quantity, factor)


def whole_stop(market: MarketName, factor: str, *, sign: int) -> TriggerSeed:
    """A stop-loss of whatever the position is then."""
    return TriggerSeed(market=market, action=TriggerAction.STOP_LOSS, trigger_factor=Decimal(factor), sign=sign)


def wealth(**amounts: str) -> tuple[tuple[Product, str, Decimal], ...]:
    """``spot_BTC="1"`` and the like."""
    split = ((name.split("_", 1), amount) for name, amount in amounts.items())
    return tuple((Product(product), asset, Decimal(amount)) for (product, asset), amount in split)


def _trigger(market: MarketName, action: TriggerAction, quantity: str, factor: str) -> TriggerSeed:
    return TriggerSeed(market=market, action=action, trigger_factor=Decimal(factor), quantity=Decimal(quantity))


#: One net position a market, cross and isolated, two settle coins, entries and protection in both books.
ONE_WAY: Final = AccountSeed(
    name="oneway",
    balances=wealth(linear_USDT="400000", linear_USDC="60000", inverse_BTC="2.5", spot_USDT="1000"),
    positions=(
        position(linear("BTC"), "1.25"),
        position(linear("ETH"), "-18.4", isolated=True),
        position(linear("SOL"), "30"),
        position(linear("BTC", "USDC"), "0.35"),
        position(inverse("BTC"), "25000"),
    ),
    orders=(
        resting(linear("BTC"), "0.5", "0.96"),
        resting(linear("SOL"), "-20", "1.04"),
        resting(linear("ETH"), "18.4", "0.96", reduce_only=True),
        resting(inverse("BTC"), "5000", "0.97"),
    ),
    triggers=(
        whole_stop(linear("BTC"), "0.9", sign=-1),
        stop(linear("ETH"), "18.4", "1.1"),
        stop(linear("BTC", "USDC"), "-0.35", "0.9"),
        entry(linear("SOL"), "60", "1.06"),
        stop(inverse("BTC"), "-25000", "0.9"),
        entry(inverse("BTC"), "5000", "1.06"),
    ),
)

#: Two legs a market, one of them isolated.
HEDGE: Final = AccountSeed(
    name="hedge",
    hedge=True,
    balances=wealth(linear_USDT="400000", linear_USDC="60000", inverse_BTC="2.5", spot_USDT="1000"),
    positions=(
        position(linear("BTC"), "0.8"),
        position(linear("BTC"), "-0.3"),
        position(linear("ETH"), "-12", isolated=True),
        position(linear("SOL"), "30"),
        position(linear("BTC", "USDC"), "0.35"),
        position(inverse("BTC"), "25000"),
        position(inverse("BTC"), "-10000"),
    ),
    orders=(
        resting(linear("BTC"), "0.5", "0.96"),
        resting(linear("SOL"), "-20", "1.04"),
        resting(linear("ETH"), "12", "0.96", reduce_only=True),
        resting(inverse("BTC"), "5000", "0.97"),
    ),
    triggers=(
        whole_stop(linear("BTC"), "0.9", sign=-1),
        stop(linear("BTC"), "0.3", "1.1"),
        stop(linear("ETH"), "12", "1.1"),
        entry(linear("SOL"), "60", "1.06"),
        stop(inverse("BTC"), "-25000", "0.9"),
        stop(inverse("BTC"), "10000", "1.1"),
        entry(inverse("BTC"), "5000", "1.06"),
    ),
)

BOOKS: Final = (ONE_WAY, HEDGE)

#: Several coins, one of them held by an order; nothing but spot can be left.
COINS: Final = AccountSeed(
    name="coins",
    balances=wealth(linear_USDT="50000", spot_USDT="1000", spot_BTC="0.8", spot_ETH="5.25", spot_SOL="120"),
    positions=(position(linear("BTC"), "-0.8"),),
    orders=(resting(spot("SOL"), "-40", "1.04"),),
    triggers=(whole_stop(linear("BTC"), "1.1", sign=1),),
)


def plain(name: str = "plain", *, positions: tuple[PositionSeed, ...] = (), **balances: str) -> AccountSeed:
    """A book of the test's own."""
    return AccountSeed(name=name, balances=wealth(**{"linear_USDT": "400000", **balances}), positions=positions)


def holding(coins: Mapping[str, str]) -> AccountSeed:
    """Those coins on spot."""
    balances = {f"spot_{coin}": amount for coin, amount in coins.items()}
    return AccountSeed(name="holding", balances=wealth(linear_USDT="400000", **balances))


@contextmanager
def staged(books: tuple[AccountSeed, ...]) -> Iterator[str]:
    """Make a scenario of the books for as long as the block lasts; its name."""
    name = f"failure-{uuid4().hex}"
    SCENARIOS[name] = books
    try:
        yield name
    finally:
        del SCENARIOS[name]
