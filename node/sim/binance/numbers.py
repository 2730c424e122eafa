"""How Binance writes numbers: plain decimals with a fixed count of digits."""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal

from node.sim.market import Market

EIGHT = Decimal("0.00000001")
FIVE = Decimal("0.00001")


def digits(step: Decimal) -> int:
    """Decimal places of a step: 3 for 0.001."""
    exponent = step.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def amount(number: Decimal) -> str:
    """Eight digits, cut off: balances, margins, profits, spot quantities."""
    return format(number.quantize(EIGHT, ROUND_DOWN), "f")


def quantity(market: Market, number: Decimal) -> str:
    """With the digits of the market's step."""
    return f"{number:.{digits(market.step)}f}"


def price(market: Market, number: Decimal | None) -> str:
    """With the digits of the market's tick; none is zero."""
    return f"{number or Decimal(0):.{digits(market.tick)}f}"


def average(number: Decimal) -> str:
    """Average prices: five digits."""
    return format(number.quantize(FIVE), "f")
