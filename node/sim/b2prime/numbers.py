"""Numbers and instants as the venue writes them: decimals and times are strings."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeAlias

from node.sim.market import ZERO

#: A value of a JSON document: its type is only known when it is looked at.
Json: TypeAlias = Any
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def text(number: Decimal) -> str:
    """Plain notation, eight digits at most, without needless zeros."""
    plain = format(number.quantize(Decimal("0.00000001")), "f").rstrip("0").rstrip(".")
    return "0" if plain in ("", "-0") else plain


def text_or_null(number: Decimal | None) -> str | None:
    """The same, or nothing."""
    return None if number is None else text(number)


def read(value: object) -> Decimal | None:
    """A decimal that came as a string or a number; none if it is neither, or not finite."""
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        return None
    try:
        number = Decimal(str(value))
    except ArithmeticError:
        return None
    return number if number.is_finite() else None


def instant(ms: int, digits: int = 3) -> str:
    """ISO 8601 in UTC with so many digits behind the second."""
    moment = moment_of(ms)
    fraction = f"{moment.microsecond:06d}0"[:digits]
    return f"{moment:%Y-%m-%dT%H:%M:%S}{'.' if digits else ''}{fraction}Z"


def moment_of(ms: int) -> datetime:
    """Milliseconds since the epoch as an aware instant."""
    return _EPOCH + timedelta(milliseconds=ms)


def milliseconds(value: object) -> int | None:
    """An ISO 8601 instant as milliseconds since the epoch; none if it is none."""
    if not isinstance(value, str):
        return None
    head, dot, tail = value.partition(".")
    if dot:  # more digits than this Python reads
        digits = tail.rstrip("Zz")
        value = f"{head}.{digits[:6]:0<6}+00:00" if digits.isdigit() else value
    try:
        moment = datetime.fromisoformat(value.replace("Z", "+00:00"))
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def positive(number: Decimal | None) -> bool:
    """Whether there is a number above zero."""
    return number is not None and number > ZERO
