"""A request as its handler sees it, and what handlers share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum, auto
from typing import Any

from node.sim.accounts import Account
from node.sim.b2prime.errors import bad_request
from node.sim.b2prime.numbers import read
from node.sim.b2prime.venue_state import VenueState
from node.sim.faults import Intent
from node.sim.keys import ApiKey
from node.sim.orders import Origin
from node.sim.venue import Effects


class NeedsAccount(Enum):
    """What the ``accountId`` header is to a call."""

    NO = auto()
    MAYBE = auto()  # the user's first account without it
    YES = auto()


@dataclass(slots=True, kw_only=True)
class Call:
    """One authenticated request."""

    state: VenueState
    account: Account
    key: ApiKey | None
    path: tuple[str, ...]  # the variable parts of the path
    query: Mapping[str, str]
    body: Mapping[str, Any]
    host: str
    effects: Effects
    order_ids: list[int] = field(default_factory=list)

    @property
    def origin(self) -> Origin:
        """On whose account it is counted; an alert comes from a chart, and so from an engine."""
        return self.key.role if self.key is not None else Origin.ENGINE


#: Gives the answer's document; with another status than 200 as a pair.
Handler = Callable[[Call], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    """An answer with 201."""

    document: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One documented call. Parts of *pattern* in braces are variable."""

    method: str
    pattern: str
    handler: Handler
    intent: Intent = Intent.OTHER
    account: NeedsAccount = NeedsAccount.NO
    public: bool = False  # without a bearer token

    def match(self, method: str, path: list[str]) -> tuple[str, ...] | None:
        """The variable parts, if it is this call."""
        mine = self.pattern.strip("/").split("/")
        if method != self.method or len(mine) != len(path):
            return None
        if any(own not in ("{}", other) for own, other in zip(mine, path, strict=True)):
            return None
        return tuple(other for own, other in zip(mine, path, strict=True) if own == "{}")


def inner(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A part that must be an object.

    Raises:
        B2primeError: it is missing, or something else.
    """
    value = body.get(name)
    if not isinstance(value, dict):
        raise bad_request(f"The field '{name}' is required.")
    return value


def amount(body: Mapping[str, Any], name: str) -> Decimal:
    """A decimal above zero that must be there.

    Raises:
        B2primeError: it is missing, or no such number.
    """
    number = optional_amount(body, name)
    if number is None:
        raise bad_request(f"The field '{name}' is required.")
    return number


def optional_amount(body: Mapping[str, Any], name: str) -> Decimal | None:
    """The same, and none if it is missing or null.

    Raises:
        B2primeError: it is no decimal above zero.
    """
    value = body.get(name)
    if value is None:
        return None
    number = read(value)
    if number is None or number <= 0:
        raise bad_request(f"The field '{name}' must be a decimal greater than zero.")
    return number


def word(body: Mapping[str, Any], name: str, allowed: Mapping[str, Any], default: str | None = None) -> str:
    """One of the words of an enumeration; upper and lower case are the same.

    Raises:
        B2primeError: it is missing, or none of them.
    """
    value = body.get(name)
    if value is None and default is not None:
        return default
    found = next((each for each in allowed if isinstance(value, str) and each.lower() == value.lower()), None)
    if found is None:
        raise bad_request(f"The field '{name}' must be one of: {', '.join(allowed)}.")
    return found
