"""How a simulated venue misbehaves: rules that apply to requests, and the JSON document that sets them.

Every rule is one thing the network or the venue does to matching requests, a given number of times. A rule's ``do`` is
a word (``"hang"``) or a word with its settings (``{"refuse": {"code": -2022}}``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from node.sim.market import MarketStatus


class Deed(StrEnum):
    """What a rule does."""

    LOSE_AFTER_EXECUTION = "lose_after_execution"  # execute, then close the socket without an answer
    TIMEOUT_AFTER_EXECUTION = "timeout_after_execution"  # execute, then keep silent
    HANG = "hang"  # keep silent, execute nothing
    STATUS_AFTER_EXECUTION = "status_after_execution"  # execute, then answer 5xx
    EMPTY_200 = "empty_200"  # execute, then 200 without a body
    HTML_200 = "html_200"  # execute, then 200 with a web page
    TRUNCATED_BODY = "truncated_body"  # execute, then half of the body
    REFUSE = "refuse"  # execute nothing, answer an error code
    RATE_LIMIT = "rate_limit"  # execute nothing, 429
    BAN_418 = "ban_418"  # execute nothing, and 418 for everything until the ban ends
    PARTIAL_FILL = "partial_fill"  # market and crossing orders trade only a fraction
    PERCENT_PRICE_REFUSAL = "percent_price_refusal"  # market orders are refused for the price band
    DELAY_MS = "delay_ms"  # slow, then as usual


EXECUTES = frozenset(Deed) - {Deed.HANG, Deed.REFUSE, Deed.RATE_LIMIT, Deed.BAN_418}
_MAIN_SETTING = {
    Deed.STATUS_AFTER_EXECUTION: "status",
    Deed.RATE_LIMIT: "retry_after",
    Deed.BAN_418: "retry_after",
    Deed.PARTIAL_FILL: "fraction",
    Deed.DELAY_MS: "delay_ms",
    Deed.REFUSE: "code",
}


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Action(_Model):
    """A deed with its settings; those of other deeds are ignored."""

    deed: Deed
    code: int | str = -1000
    msg: str = "An unknown error occurred while processing the request."
    status: int = Field(default=0, ge=0, le=599)  # 0: the deed's usual one
    retry_after: float = Field(default=1, ge=0)  # seconds
    fraction: Decimal = Field(default=Decimal("0.5"), ge=0, le=1)
    delay_ms: float = Field(default=0, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, value: object) -> object:
        if isinstance(value, str):
            return {"deed": value}
        if isinstance(value, dict) and "deed" not in value and len(value) == 1:
            (deed, settings), *_ = value.items()
            if isinstance(settings, dict):
                return {"deed": deed, **settings}
            return {"deed": deed, _MAIN_SETTING.get(Deed(deed), "status"): settings}
        return value


class Match(_Model):
    """Which requests a rule applies to; what is left out matches all."""

    method: str | None = None
    host: str | None = None  # beginning of the host name
    path_prefix: str = ""
    symbol: str | None = None
    side: str | None = None
    account: str | None = None
    nth: int = Field(default=1, ge=1)  # from the n-th matching request on


class FaultRule(_Model):
    """One rule. ``times: null`` never ends."""

    match: Match = Match()
    times: int | None = Field(default=1, ge=1)
    do: Action


class LatencyRule(_Model):
    """A round trip for some requests; the longest that matches counts."""

    ms: float = Field(ge=0)
    host: str | None = None
    path_prefix: str = ""


class EngineReopens(_Model):
    """The engine opens a position again: *quantity* is signed, in contracts."""

    symbol: str
    quantity: Decimal
    times: int = Field(default=1, ge=1)
    trigger: Literal["after_close", "after_flat"] = "after_close"
    delay_ms: float = Field(default=0, ge=0)
    account: str | None = None


class LateTrigger(_Model):
    """A waiting conditional order of *symbol* fires at the worst moment."""

    symbol: str
    times: int = Field(default=1, ge=1)
    trigger: Literal["after_close", "after_flat", "on_cancel"] = "after_close"
    delay_ms: float = Field(default=0, ge=0)
    account: str | None = None


class HiddenSlice(_Model):
    """Reads leave a slice out, as ``linear:USDC`` or ``inverse``; ``times: null`` for good."""

    slice: str
    times: int | None = Field(default=None, ge=1)


class RightsChange(_Model):
    """New rights of an account's key; what is left out stays."""

    spot: bool | None = None
    futures: bool | None = None
    withdrawals: bool | None = None
    ip_restricted: bool | None = None


class FaultDocument(_Model):
    """Body of ``POST /faults``. Rules are added, everything else replaces what was set."""

    clear: bool = False  # first forget all faults
    latency_ms: float | list[LatencyRule] | None = None
    rules: list[FaultRule] = []
    engine_reopens: list[EngineReopens] = []
    late_trigger: list[LateTrigger] = []
    hidden_slice: list[HiddenSlice] = []
    clock_offset_ms: int | None = None
    revoke_key: list[str] = []  # account names
    key_rights: dict[str, RightsChange] = {}  # by account name
    market_status: dict[str, MarketStatus] = {}  # by SYMBOL or product/SYMBOL
    prices: dict[str, Decimal] = {}  # new mark prices, likewise
    enforce_limits: bool | None = None
    reduce_only_conflict_refused: bool | None = None
    reduce_only_expires: bool | None = None

    @model_validator(mode="before")
    @classmethod
    def _single_as_list(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        listed = ("rules", "engine_reopens", "late_trigger", "hidden_slice", "revoke_key")
        return {name: [item] if name in listed and not isinstance(item, list) else item for name, item in value.items()}


@dataclass(slots=True)
class _ActiveRule:
    rule: FaultRule
    seen: int = 0
    applied: int = 0

    @property
    def spent(self) -> bool:
        return self.rule.times is not None and self.applied >= self.rule.times


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What rules can see of a request."""

    method: str
    host: str
    path: str
    account: str | None = None
    symbols: frozenset[str] = frozenset()
    sides: frozenset[str] = frozenset()


@dataclass(slots=True)
class FaultPlan:
    """The faults in force."""

    latency: list[LatencyRule] = field(default_factory=list)
    _rules: list[_ActiveRule] = field(default_factory=list)

    def add(self, rules: list[FaultRule]) -> None:
        """Put further rules in force, after those that are."""
        self._rules.extend(_ActiveRule(rule) for rule in rules)

    def clear(self) -> None:
        """Behave again."""
        self.latency.clear()
        self._rules.clear()

    def take(self, traits: Traits) -> Action | None:
        """The action for this request, counting it; the first rule that applies wins."""
        chosen: Action | None = None
        for active in self._rules:
            if active.spent or not _matches(active.rule.match, traits):
                continue
            active.seen += 1
            if chosen is None and active.seen >= active.rule.match.nth:
                active.applied += 1
                chosen = active.rule.do
        if chosen is not None:
            self._rules = [active for active in self._rules if not active.spent]
        return chosen

    def round_trip_s(self, traits: Traits) -> float:
        """Injected round trip of this request, in seconds."""
        if not self.latency:
            return 0.0
        fitting = (
            rule.ms
            for rule in self.latency
            if traits.host.startswith(rule.host or "") and traits.path.startswith(rule.path_prefix)
        )
        return max(fitting, default=0.0) / 1000

    def document(self) -> Mapping[str, Any]:
        """The faults in force, as JSON."""
        return {
            "latency_ms": [rule.model_dump(mode="json") for rule in self.latency],
            "rules": [
                {**active.rule.model_dump(mode="json"), "seen": active.seen, "applied": active.applied}
                for active in self._rules
            ],
        }


def _matches(match: Match, traits: Traits) -> bool:
    return (
        match.method in (None, traits.method)
        and traits.host.startswith(match.host or "")
        and traits.path.startswith(match.path_prefix)
        and (match.symbol is None or match.symbol in traits.symbols)
        and (match.side is None or match.side.lower() in traits.sides)
        and match.account in (None, traits.account)
    )
