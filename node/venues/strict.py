"""Strict reading of a venue's JSON: what is not as expected raises, and never becomes an empty result."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from node.errors import VenueAnswerUnknown

Row = Mapping[str, Any]

#: Powers of ten beyond which a number is none that a venue would name.
_MAGNITUDE: Final = 40


def rows(answer: object, what: str) -> list[Row]:
    """A list of objects.

    Raises:
        VenueAnswerUnknown: it is something else.
    """
    if not isinstance(answer, list):
        raise VenueAnswerUnknown(f"{what}: {_kind(answer)} instead of a list")
    for entry in answer:
        if not isinstance(entry, dict):
            raise VenueAnswerUnknown(f"{what}: {_kind(entry)} among the rows")
    return answer


def row(answer: object, what: str) -> Row:
    """One object.

    Raises:
        VenueAnswerUnknown: it is something else.
    """
    if not isinstance(answer, dict):
        raise VenueAnswerUnknown(f"{what}: {_kind(answer)} instead of an object")
    return answer


def text(source: Row, name: str) -> str:
    """A field that is text, or a whole number (ids); never empty.

    Raises:
        VenueAnswerUnknown: it is absent or something else.
    """
    value = source.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value:
        raise VenueAnswerUnknown(f"{name} is {_kind(value)}")
    return value


def decimal(source: Row, name: str) -> Decimal:
    """A finite number, by the venue's own digits.

    Raises:
        VenueAnswerUnknown: it is absent or not a number.
    """
    value = source.get(name)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise VenueAnswerUnknown(f"{name} is {_kind(value)}")
    try:
        number = Decimal(str(value))
    except (InvalidOperation, ValueError):  # ValueError: a whole number of thousands of digits
        raise VenueAnswerUnknown(f"{name} is not a number") from None
    if not number.is_finite():
        raise VenueAnswerUnknown(f"{name} is not a finite number")
    if number and abs(number.adjusted()) > _MAGNITUDE:
        raise VenueAnswerUnknown(f"{name} is out of any proportion")  # its digits would fill the memory
    return number


def positive(source: Row, name: str) -> Decimal | None:
    """A number above zero, or None where the venue says nothing, or zero for "no limit".

    Raises:
        VenueAnswerUnknown: it is there and not a number.
    """
    if source.get(name) in (None, ""):
        return None
    value = decimal(source, name)
    return value if value > 0 else None


def flag(source: Row, name: str) -> bool:
    """A truth value, in JSON or in words.

    Raises:
        VenueAnswerUnknown: it is absent or something else.
    """
    value = source.get(name)
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise VenueAnswerUnknown(f"{name} is {_kind(value)}")


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "text", type(None): "missing"}
    return names.get(type(value), type(value).__name__)
