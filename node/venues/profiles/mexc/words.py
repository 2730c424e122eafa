"""MEXC: the words that its requests and answers have in common. Pure.

Two programming interfaces on one host: spot (/api/v3, https://www.mexc.com/api-docs/spot-v3) and futures (/api/v1,
https://www.mexc.com/api-docs/futures), each with its own signature, its own envelope and its own numbers of errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from node.domain.permission import Effect
from node.domain.snapshot import MarketKind, PositionSide
from node.errors import VenueAnswerUnknown
from node.venues.call import Call
from node.venues.lane import Budget, Charge
from node.venues.strict import Row, decimal, row, rows, text

SETTLE_COINS: Final = ("USDT", "USDC")
#: Given to no order: ours are eighteen letters and digits.
PROBE_ID: Final = "sovereignnodeprobe0"

#: The four things an order on a contract can be. The number names the leg, in hedge and in one-way mode.
OPEN_LONG, CLOSE_SHORT, OPEN_SHORT, CLOSE_LONG = 1, 2, 3, 4
CLOSES: Final = {PositionSide.LONG: CLOSE_LONG, PositionSide.SHORT: CLOSE_SHORT}
#: Whose leg, and whether it becomes smaller.
SIDES: Final = {
    "1": (PositionSide.LONG, False),
    "2": (PositionSide.SHORT, True),
    "3": (PositionSide.SHORT, False),
    "4": (PositionSide.LONG, True),
}
LEGS: Final = {"1": PositionSide.LONG, "2": PositionSide.SHORT}
#: ``openType``.
ISOLATED, CROSS = 1, 2
IS_ISOLATED: Final = {"1": True, "2": False}

#: Spot: weight of an address in ten seconds. The documentation names 500, its own headers once 300.
SPOT_WEIGHT: Final = "spot weight"
#: Spot: orders and cancels of an account in a second.
SPOT_ORDERS: Final = "spot orders"
SPOT_BUDGETS: Final = {
    SPOT_WEIGHT: Budget(units=300, interval_s=10.0),
    SPOT_ORDERS: Budget(units=12, interval_s=1.0),
}


def asked_on_spot(
    endpoint: str, effect: Effect, params: Mapping[str, str] | None = None, *, weight: int = 1, order: bool = False
) -> Call:
    """A request to the spot interface."""
    charges = [Charge(bucket=SPOT_WEIGHT, units=weight)]
    if order:
        charges.append(Charge(bucket=SPOT_ORDERS, per_key=True))
    return Call(endpoint=endpoint, effect=effect, params=params or {}, charges=tuple(charges))


def asked(endpoint: str, effect: Effect, params: Mapping[str, Any] | list[Any] | None = None) -> Call:
    """A request to the futures interface, which counts each endpoint by itself."""
    charges = (Charge(bucket=endpoint, per_key=True),)
    return Call(endpoint=endpoint, effect=effect, params={} if params is None else params, charges=charges)


def number(value: Decimal) -> int | float:
    """As JSON's number: the futures interface takes no text for one."""
    return int(value) if value == value.to_integral_value() else float(value)


def id_number(order_id: str) -> int | str:
    """An id as the number that it is documented to be."""
    return int(order_id) if order_id.isascii() and order_id.isdecimal() else order_id


def by_name(market_id: str) -> tuple[MarketKind, str]:
    """Kind and settle coin of a contract that is not listed (any more): BTC_USDT, or the coin-margined BTC_USD."""
    base, _, quote = market_id.rpartition("_")
    return (MarketKind.INVERSE, base) if quote == "USD" else (MarketKind.LINEAR, quote)


# Answers of the futures interface: {"success": true, "code": 0, "data": ...}


def succeeded(answer: object) -> bool:
    """Whether the envelope says success, in both of its words."""
    if not isinstance(answer, dict) or answer.get("success") is not True:
        return False
    code = answer.get("code")
    return isinstance(code, int) and not isinstance(code, bool) and code in (0, 200)


def data_of(answer: object, what: str) -> Any:  # noqa: ANN401 - JSON
    """What a success carries.

    Raises:
        VenueAnswerUnknown: it is something else than a success with data.
    """
    document = row(answer, what)
    if not succeeded(document):
        raise VenueAnswerUnknown(f"{what}: not a success")
    if "data" not in document:
        raise VenueAnswerUnknown(f"{what}: a success without data")
    return document["data"]


def rows_of(answer: object, what: str) -> list[Row]:
    """Data that is a list, or the page of one (``{"resultList": [...]}``: both are documented).

    Raises:
        VenueAnswerUnknown: it is something else.
    """
    data = data_of(answer, what)
    return rows(data["resultList"] if isinstance(data, dict) and "resultList" in data else data, what)


def word(source: Row, name: str, words: Mapping[str, Any]) -> Any:  # noqa: ANN401 - whatever the words mean
    """A field that is one of several words or numbers.

    Raises:
        VenueAnswerUnknown: it is another.
    """
    value = text(source, name)
    if value not in words:
        raise VenueAnswerUnknown(f"{name} is {value[:20]}")
    return words[value]


def or_zero(source: Row, name: str) -> Decimal:
    """A number that may be left out.

    Raises:
        VenueAnswerUnknown: it is there and not a number.
    """
    return Decimal(0) if source.get(name) is None else decimal(source, name)


def client_id(entry: Row, name: str) -> str | None:
    """An order's client id, if it has one."""
    value = entry.get(name)
    return value if isinstance(value, str) and value else None


def is_id(value: object) -> bool:
    """Whether something can be the venue's id of an order."""
    return isinstance(value, str | int) and not isinstance(value, bool) and value not in ("", "0", 0)
