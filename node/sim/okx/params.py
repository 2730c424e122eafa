"""Parameters of an OKX request, or of one row of a batch: strings of a query, or JSON of any type."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from node.sim.okx.errors import OkxError, empty, wrong


class Params:
    """What was sent. Empty values count as not sent."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = {name: _text(value) for name, value in values.items() if value is not None}

    def __contains__(self, name: str) -> bool:
        return bool(self.values.get(name))

    def text(self, name: str, default: str = "") -> str:
        """The parameter, or *default*."""
        return self.values.get(name) or default

    def required(self, name: str) -> str:
        """The parameter; 50014 without it."""
        if name not in self:
            raise empty(name)
        return self.values[name]

    def decimal(self, name: str) -> Decimal | None:
        """The parameter as a number; 51000 if it is none."""
        if name not in self:
            return None
        try:
            number = Decimal(self.values[name])
        except InvalidOperation:
            number = Decimal("NaN")
        if not number.is_finite():
            raise wrong(name)
        return number

    def required_decimal(self, name: str) -> Decimal:
        """The parameter as a number; 50014 without it."""
        number = self.decimal(name)
        if number is None:
            raise empty(name)
        return number

    def integer(self, name: str) -> int | None:
        """The parameter as a whole number; 51000 if it is none."""
        if name not in self:
            return None
        if not self.values[name].isdigit():
            raise wrong(name)
        return int(self.values[name])

    def flag(self, name: str) -> bool:
        """The parameter as true or false, which may be a word or JSON's; 51000 if it is neither."""
        value = self.text(name, "false").lower()
        if value not in ("true", "false"):
            raise wrong(name)
        return value == "true"

    def words(self, name: str) -> frozenset[str]:
        """The parameter as a comma-separated list; empty if it was not sent."""
        return frozenset(self.text(name).split(",")) - {""}


def json_body(text: str) -> object:
    """The body of a POST.

    Raises:
        OkxError: 50000 or 50002.
    """
    if not text:
        raise OkxError("50000", "Body for POST request cannot be empty.")
    try:
        document: object = json.loads(text)
    except ValueError:
        raise OkxError("50002", "JSON syntax error") from None
    return document


def flattened(text: str) -> dict[str, str]:
    """A body for whoever looks at requests from outside: one row as it is, several with their values side by side."""
    try:
        document = json.loads(text) if text else {}
    except ValueError:
        return {}
    rows = [row for row in (document if isinstance(document, list) else [document]) if isinstance(row, dict)]
    names = {name: None for row in rows for name in row}
    return {name: ",".join(_text(row[name]) for row in rows if row.get(name) is not None) for name in names}


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else json.dumps(value)
