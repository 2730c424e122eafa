"""Requests and answers as data: what a profile asks, and what is made of what comes back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from node.domain.permission import Effect
from node.domain.steps import Outcome, Refusal
from node.venues.lane import Charge

#: Decoded JSON.
Answer = Any
#: An instance of a ccxt class; ccxt has no types of its own.
Ccxt = Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, by the name of ccxt's own method for the endpoint."""

    endpoint: str
    #: The most that it can do. The gate holds it against what the request turns out to be.
    effect: Effect
    #: As ccxt's method takes them; a list where the venue's body is one.
    params: Mapping[str, Any] | Sequence[Any] = field(default_factory=dict)
    charges: tuple[Charge, ...] = ()
    #: Of a cancel that is one of several: the orders that this one is about.
    order_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request as it is about to leave."""

    #: Upper case.
    method: str
    host: str
    path: str
    #: From the query and from a form in the body; each name once.
    params: Mapping[str, str]
    #: As it is; for venues that take JSON.
    body: str
    #: A parameter was there twice, and ``params`` has the last of them.
    repeats: bool = False

    @property
    def document(self) -> Any:  # noqa: ANN401 - JSON
        """The body's JSON; None if it is none, or has a name twice: who knows which one the venue takes."""
        try:
            return json.loads(self.body, object_pairs_hook=each_once)
        except (ValueError, RecursionError):
            return None


def each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A hook for ``json``: a name that is there twice is an error."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is there twice")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer that carries the venue's own error code, or none that could be understood."""

    status: int | None
    #: As text; None: the body was not the venue's error document.
    code: str | None
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What an answer says about a step."""

    outcome: Outcome
    refusal: Refusal | None = None
    message: str | None = None
    #: What the venue says was executed of an order, in the order's own units.
    filled: Decimal | None = None
    #: The venue found our timestamp wrong.
    clock_is_off: bool = False
    #: The answer was not of a shape that is known.
    strange: bool = False
