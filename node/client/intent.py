"""What a unified ccxt method is asked to do, told from its name and arguments."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

#: Names the epoch under which an order was decided, among its ``params``. The exchange's code does not see it.
EPOCH_PARAMETER: Final = "lock_epoch"

_READS: Final = re.compile(
    r"(fetch|load|watch|un_watch|get|authenticate|sign_in|keep_alive|renew|negotiate|subscribe|ensure)(_|$)"
)
#: Builds requests or reads answers: nothing leaves.
_BUILDS: Final = re.compile(r".*_(request|args|params|helper|hash|signature|message)$")
_ORDERS: Final = re.compile(r"(sign_and_)?(create|edit|place|amend|modify|replace)_(.*_)?orders?(_.*)?$")
_CLOSES: Final = re.compile(r"close_(all_)?(.*_)?positions?(_.*)?$")
_REPAYS: Final = re.compile(r"repay_")
_RAW: Final = frozenset({"fetch", "fetch2", "watch", "watch_multiple", "watch_multiple_helper"})


class Intent(Enum):
    """What a unified method is for."""

    NONE = "none"
    READ = "read"
    CANCEL = "cancel"
    CLOSE = "close"
    REPAY = "repay"
    ORDER = "order"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One order, as it was asked for."""

    symbol: str
    #: ``buy``, ``sell``, or empty: not said.
    side: str
    params: Mapping[str, Any]
    #: It changes an order that is there. Whether that one was reduce-only, nobody here knows.
    edits: bool
    #: Its method's name says that it is reduce-only.
    named_reducing: bool

    def may_reduce(self, base_currency: str | None) -> bool:
        """Whether it is worth a look at what leaves: it says that it reduces, or may be a sale into base currency."""
        if self.edits:
            return False
        says = self.named_reducing or any(
            re.search("reduce|close|possi|positions|positionidx|tradeside|offset|autosize", _flat(key))
            for key in self.params
        )
        sale = base_currency is not None and self.side == "sell" and ":" not in self.symbol
        return says or sale


def intent_of(name: str) -> Intent | None:
    """What a method's name, in snake case, says; None: nothing that is known."""
    if name in _RAW or name.startswith("_") or _BUILDS.match(name):
        return None
    if "cancel" in name and not re.search("replace|amend|edit|modify", name):
        return Intent.CANCEL
    for pattern, intent in (
        (_CLOSES, Intent.CLOSE),
        (_ORDERS, Intent.ORDER),
        (_REPAYS, Intent.REPAY),
        (_READS, Intent.READ),
    ):
        if pattern.match(name):
            return intent
    return None


def orders_of(
    name: str, signature: inspect.Signature, args: tuple[Any, ...], named: Mapping[str, Any]
) -> tuple[Order, ...]:
    """The orders that a call asks for; none where they cannot be told."""
    try:
        said = signature.bind(*args, **named).arguments
    except TypeError:
        return ()  # the method itself will complain
    edits, reducing = name.startswith(("edit", "amend", "modify", "replace")), "reduce_only" in name
    common = _mapping(said.get("params"))
    asked = said.get("orders")
    each = asked if isinstance(asked, Sequence) and not isinstance(asked, str) else [said]
    if not each or not all(isinstance(one, Mapping) for one in each):
        return ()
    return tuple(
        Order(
            symbol=str(one.get("symbol", "")),
            side=str(one.get("side") or ("buy" if "_buy_" in name else "sell" if "_sell_" in name else "")).lower(),
            params={**common, **_mapping(one.get("params"))},
            edits=edits,
            named_reducing=reducing,
        )
        for one in each
    )


def without_epoch(
    args: tuple[Any, ...], named: Mapping[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any], int | None]:
    """The same arguments without the epoch; where several are named, the oldest."""
    found: list[int] = []

    def taken(value: Any) -> Any:  # noqa: ANN401 - arguments of any kind
        if isinstance(value, dict):
            if EPOCH_PARAMETER in value:
                found.append(_epoch(value[EPOCH_PARAMETER]))
                value = {key: each for key, each in value.items() if key != EPOCH_PARAMETER}
            if any(isinstance(each, dict | list) for each in value.values()):
                value = {key: taken(each) for key, each in value.items()}
            return value
        return [taken(each) for each in value] if isinstance(value, list) else value

    args, cleaned = tuple(taken(each) for each in args), {key: taken(each) for key, each in named.items()}
    return args, cleaned, min(found, default=None)


def camel_case(name: str) -> str:
    """ccxt's other name for the same method."""
    first, *rest = name.split("_")
    special = {"ohlcv": "OHLCV", "le": "LE", "be": "BE", "adl": "ADL"}
    return first + "".join(special.get(each, each[:1].upper() + each[1:]) for each in rest)


def _epoch(value: Any) -> int:  # noqa: ANN401 - whatever the caller wrote
    """An epoch that is none is an old one."""
    return value if type(value) is int else -1


def _mapping(value: Any) -> Mapping[str, Any]:  # noqa: ANN401 - whatever the caller wrote
    return value if isinstance(value, Mapping) else {}


def _flat(key: object) -> str:
    return str(key).replace("_", "").lower()
