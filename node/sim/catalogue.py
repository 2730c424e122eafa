"""Prices and position sizes that every simulated venue shares; each venue lists them under its own symbols."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Coin:
    """One asset: its price in USD, and the steps in which it is quoted and traded as a contract."""

    name: str
    price: Decimal
    tick: Decimal
    step: Decimal
    max_market_quantity: Decimal
    spot_step: Decimal
    spot_tick: Decimal


def _coin(name: str, *numbers: str) -> Coin:
    price, tick, step, max_market_quantity, spot_step, spot_tick = (Decimal(number) for number in numbers)
    return Coin(name, price, tick, step, max_market_quantity, spot_step, spot_tick)


COINS = {
    coin.name: coin
    for coin in (
        _coin("BTC", "64000", "0.1", "0.001", "120", "0.00001", "0.01"),
        _coin("ETH", "3200", "0.01", "0.001", "2000", "0.0001", "0.01"),
        _coin("SOL", "150", "0.01", "0.01", "40000", "0.001", "0.01"),
        _coin("BNB", "580", "0.01", "0.01", "2000", "0.001", "0.01"),
        _coin("XRP", "0.52", "0.0001", "0.1", "2000000", "0.1", "0.0001"),
        _coin("DOGE", "0.12", "0.00001", "1", "30000000", "1", "0.00001"),
        _coin("ADA", "0.45", "0.0001", "1", "300000", "0.1", "0.0001"),
        _coin("AVAX", "28", "0.001", "1", "100000", "0.01", "0.01"),
        _coin("LINK", "14", "0.001", "0.01", "100000", "0.01", "0.01"),
        _coin("LTC", "82", "0.01", "0.001", "5000", "0.001", "0.01"),
        _coin("DOT", "6.2", "0.001", "0.1", "200000", "0.01", "0.001"),
        _coin("TRX", "0.13", "0.00001", "1", "5000000", "0.1", "0.0001"),
        _coin("UNI", "9.4", "0.001", "1", "60000", "0.01", "0.001"),
        _coin("NEAR", "5.1", "0.001", "1", "100000", "0.1", "0.001"),
        _coin("APT", "8.8", "0.0001", "0.1", "80000", "0.01", "0.001"),
        _coin("ARB", "0.78", "0.0001", "0.1", "500000", "0.1", "0.0001"),
        _coin("OP", "1.9", "0.0001", "0.1", "300000", "0.01", "0.001"),
        _coin("SUI", "1.05", "0.0001", "0.1", "400000", "0.1", "0.0001"),
        _coin("ATOM", "7.3", "0.001", "0.01", "100000", "0.01", "0.001"),
        _coin("FIL", "4.6", "0.001", "0.1", "100000", "0.01", "0.001"),
        _coin("INJ", "22", "0.001", "0.1", "30000", "0.01", "0.01"),
        _coin("ETC", "23", "0.001", "0.01", "30000", "0.01", "0.01"),
        _coin("BCH", "380", "0.01", "0.001", "2000", "0.001", "0.1"),
        _coin("WBETH", "3390", "0.01", "0.001", "2000", "0.0001", "0.01"),
        _coin("WAN", "0.2", "0.0001", "1", "100000", "1", "0.00000001"),
    )
}

STABLE = {"USDT": Decimal(1), "USDC": Decimal("0.9998"), "FDUSD": Decimal("0.999"), "USD": Decimal(1)}
NO_USDT_PAIR = frozenset({"WAN"})  # traded against BTC only: selling it takes two hops
SPOT_ONLY = frozenset({"WBETH"})  # no contracts: ether that is staked, under a name of its own
OFF_THE_BOOK = {"SXP": Decimal("0.25")}  # has a price, and no pair


def price_of(asset: str) -> Decimal:
    """USD price of an asset.

    Raises:
        LookupError: it has none.
    """
    prices = {**STABLE, **OFF_THE_BOOK}
    return prices[asset] if asset in prices else COINS[asset].price
