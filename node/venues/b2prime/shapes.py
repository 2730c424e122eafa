"""The venue's answers held against their documented shapes. What is strange raises, and never becomes nothing."""

from __future__ import annotations

from typing import Any, TypeAlias

from ccxt.base.errors import BadResponse

Json: TypeAlias = Any
Row: TypeAlias = dict[str, Any]


def objects(answer: Json, *needed: str) -> list[Row]:
    """A list of objects that have the *needed* fields.

    Raises:
        BadResponse: it is something else.
    """
    if not isinstance(answer, list):
        raise BadResponse(f"b2prime: {type(answer).__name__} instead of a list")
    return [an_object(entry, *needed) for entry in answer]


def an_object(answer: Json, *needed: str) -> Row:
    """An object that has the *needed* fields.

    Raises:
        BadResponse: it is something else.
    """
    if not isinstance(answer, dict):
        raise BadResponse(f"b2prime: {type(answer).__name__} instead of an object")
    missing = [name for name in needed if answer.get(name) is None]
    if missing:
        raise BadResponse(f"b2prime: an object without {', '.join(missing)}")
    return answer


def within(answer: Json, name: str, *needed: str) -> list[Row]:
    """A list of objects in a field.

    Raises:
        BadResponse: it is something else.
    """
    return objects(an_object(answer, name)[name], *needed)


def nothing(answer: Json) -> Row:
    """The empty object that stands for success; fields that a newer release adds are let pass.

    Raises:
        BadResponse: it is something else.
    """
    return an_object(answer)
