"""Numbers as Hyperliquid writes and reads them: decimal strings, with at least one digit behind the point."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

EIGHT_PLACES = Decimal("0.00000001")
LARGEST_EXPONENT = 15
SIX_PLACES = Decimal("0.000001")


def number(value: Decimal, places: Decimal = EIGHT_PLACES) -> str:
    """``1.25``, ``100.0``: rounded to *places*, without needless zeros."""
    text = format(value.quantize(places), "f").rstrip("0")
    return text + "0" if text.endswith(".") else text


def decimal(value: object) -> Decimal | None:
    """A number that was sent as a string; none if it is not one."""
    if not isinstance(value, str):
        return None
    try:
        parsed = Decimal(value)
    except InvalidOperation:
        return None
    return parsed if parsed.is_finite() and abs(parsed.adjusted()) <= LARGEST_EXPONENT else None


def plain(value: Decimal) -> str:
    """The one form of a number that signatures are made over: no needless zeros, no exponent."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
