"""How OKX writes numbers: plain decimal strings, without needless zeros; what does not apply is an empty string."""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal

FINEST = Decimal(1).scaleb(-16)


def plain(number: Decimal | None) -> str:
    """A number; none is the empty string."""
    if number is None:
        return ""
    written = format(number, "f")
    return written.rstrip("0").rstrip(".") if "." in written else written


def money(number: Decimal) -> str:
    """A computed amount, cut off after sixteen digits."""
    return plain(number.quantize(FINEST, ROUND_DOWN) + 0)
