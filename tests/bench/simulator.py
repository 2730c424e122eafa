"""The simulated Binance with accounts that each hold the same twenty positions.

``python -m tests.bench.simulator --accounts N …`` takes what ``sovereign-node sim serve`` takes, but the scenario.
"""

from __future__ import annotations

import sys
from decimal import Decimal
from typing import Final

from node.cli import main
from node.sim.market import Product
from node.sim.scenarios import SCENARIOS, AccountSeed, PositionSeed, linear

#: 100 to 400 USDT each, long and short in turn, every one below its market-order maximum: one order closes it.
BOOK: Final = (
    "BTC 0.005, ETH -0.1, SOL 2, BNB -0.5, XRP 400, DOGE -2000, ADA 500, AVAX -8, LINK 15, LTC -3, "
    "DOT 30, TRX -2000, UNI 20, NEAR -40, APT 25, ARB -300, OP 120, SUI -200, ATOM 30, FIL -50"
)
POSITIONS: Final = tuple((base, Decimal(quantity)) for base, quantity in (leg.split() for leg in BOOK.split(",")))
SCENARIO: Final = "book"


def account_name(number: int) -> str:
    """Of the accounts, from 0 on."""
    return f"{SCENARIO}-{number}"


def _account(number: int, *, empty: bool) -> AccountSeed:
    legs = () if empty else POSITIONS
    return AccountSeed(
        name=account_name(number),
        balances=((Product.LINEAR, "USDT", Decimal(10_000)), (Product.SPOT, "USDT", Decimal(10_000))),
        positions=tuple(PositionSeed(market=linear(base), quantity=quantity) for base, quantity in legs),
    )


def run(arguments: list[str]) -> int:
    """Serve until SIGTERM; the exit status."""
    _, count, held, *rest = arguments  # --accounts N full|empty
    SCENARIOS[SCENARIO] = tuple(_account(number, empty=held == "empty") for number in range(int(count)))
    return main(["sim", "serve", "--venue", "binance", "--scenario", SCENARIO, *rest])


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
