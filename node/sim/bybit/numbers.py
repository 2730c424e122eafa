"""How Bybit writes numbers: decimal strings, contracts' with the digits of their step and tick."""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal

from node.sim.market import Market

EIGHT = Decimal("0.00000001")


def digits(step: Decimal) -> int:
    """Decimal places of a step: 3 for 0.001."""
    exponent = step.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def plain(number: Decimal) -> str:
    """At most eight digits, cut off, without needless zeros: balances, margins, profits."""
    text = format(number.quantize(EIGHT, ROUND_DOWN), "f")
    return (text.rstrip("0").rstrip(".") or "0") if number.quantize(EIGHT, ROUND_DOWN) else "0"


def quantity(market: Market, number: Decimal) -> str:
    """With the digits of the market's step."""
    return f"{number:.{digits(market.step)}f}"


def price(market: Market, number: Decimal | None) -> str:
    """With the digits of the market's tick; none is zero."""
    return f"{number or Decimal(0):.{digits(market.tick)}f}"
