"""How a simulated venue misbehaves: rules that apply to requests, and the JSON document that sets them.

Every rule is one thing the network or the venue does to matching requests, a given number of times. A rule's ``do`` is
a word (``"hang"``) or a word with its settings (``{"refuse": {"reason": "overloaded"}}``).

A document that names requests by ``intent``, markets as ``linear:BTC/USDT`` and refusals by ``reason`` fits every
venue; methods, paths, symbols and codes are one venue's own.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from node.sim.market import MarketStatus, Product
from node.sim.refusals import Reason


class Intent(StrEnum):
    """What a client wants with a request, in words that no single venue owns."""

    PLACE = "place"  # an order, of either book; batches too
    CANCEL = "cancel"  # one order, several, or all
    POSITIONS = "positions"
    ORDERS = "orders"  # resting orders; at venues with one book the conditional ones too
    TRIGGERS = "triggers"  # conditional orders, where they have a list of their own
    BALANCES = "balances"
    MARKETS = "markets"  # what is listed, and what clients load along with it
    TIME = "time"
    QUOTES = "quotes"  # tickers, books, mark prices
    ORDER = "order"  # query of one order
    RIGHTS = "rights"  # what the key may do
    REPAY = "repay"  # borrow or repay a debt
    CONVERT = "convert"
    STREAM = "stream"  # opening, renewing or subscribing to an account's stream
    OTHER = "other"


class Deed(StrEnum):
    """What a rule does."""

    LOSE_AFTER_EXECUTION = "lose_after_execution"  # execute, then close the socket without an answer
    TIMEOUT_AFTER_EXECUTION = "timeout_after_execution"  # execute, then keep silent
    HANG = "hang"  # keep silent, execute nothing
    STATUS_AFTER_EXECUTION = "status_after_execution"  # execute, then answer 5xx
    EMPTY_200 = "empty_200"  # execute, then 200 without a body
    HTML_200 = "html_200"  # execute, then 200 with a web page
    TRUNCATED_BODY = "truncated_body"  # execute, then half of the body
    RESHAPE = "reshape"  # execute, then 200 with another JSON document than the real one
    REFUSE = "refuse"  # execute nothing, answer an error
    REFUSE_AFTER_EXECUTION = "refuse_after_execution"  # execute, and answer an error all the same
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
    Deed.REFUSE_AFTER_EXECUTION: "code",
    Deed.RESHAPE: "body",
}


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Action(_Model):
    """A deed with its settings; those of other deeds are ignored."""

    deed: Deed
    reason: Reason | None = None  # refusals in the venue's own words; *code* and *msg* are then ignored
    code: int | str = -1000
    msg: str = "An unknown error occurred while processing the request."
    status: int = Field(default=0, ge=0, le=599)  # 0: the deed's usual one
    retry_after: float = Field(default=1, ge=0)  # seconds
    fraction: Decimal = Field(default=Decimal("0.5"), ge=0, le=1)
    delay_ms: float = Field(default=0, ge=0)
    body: Any = None  # of a reshaped answer: any JSON

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
    """Which requests a rule applies to; what is left out matches all.

    *market* is a selector as in ``prices`` and must be listed; *symbol* is compared as it was sent, unless it has a
    colon in it, which makes it a *market*.
    """

    intent: Intent | list[Intent] | None = None
    product: Product | None = None
    market: str | None = None
    method: str | None = None
    host: str | None = None  # beginning of the host name
    path_prefix: str = ""
    symbol: str | None = None
    side: str | None = None
    account: str | None = None
    nth: int = Field(default=1, ge=1)  # from the n-th matching request on

    @model_validator(mode="before")
    @classmethod
    def _symbol_as_market(cls, value: object) -> object:
        if isinstance(value, dict) and ":" in str(value.get("symbol")) and "market" not in value:
            return {("market" if name == "symbol" else name): item for name, item in value.items()}
        return value


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


class StreamFault(_Model):
    """What becomes of account streams, of all of them or of one product's or one account's."""

    product: Product | None = None
    account: str | None = None
    refused: bool | None = None  # new connections are turned away
    silent: bool | None = None  # connected, and nothing comes; what happens meanwhile is never told
    cut: bool = False  # what is open breaks, now
    expire: bool = False  # keys, tokens and subscriptions end, now, with the venue's notice; connections stay open


class RightsChange(_Model):
    """New rights of an account's key; what is left out stays."""

    spot: bool | None = None
    futures: bool | None = None
    options: bool | None = None
    margin: bool | None = None
    convert: bool | None = None
    withdrawals: bool | None = None
    ip_restricted: bool | None = None


class FaultDocument(_Model):
    """Body of ``POST /faults``. Rules are added, everything else replaces what was set.

    Markets are named by ``SYMBOL``, ``product/SYMBOL`` or, at any venue, ``product:BASE/QUOTE`` (``linear:BTC/USDT``,
    ``inverse:BTC/USD``; with ``-dated`` behind it the contract that expires).
    """

    clear: bool = False  # first forget all faults
    latency_ms: float | list[LatencyRule] | None = None
    rules: list[FaultRule] = []
    engine_reopens: list[EngineReopens] = []
    late_trigger: list[LateTrigger] = []
    hidden_slice: list[HiddenSlice] = []
    streams: list[StreamFault] = []
    clock_offset_ms: int | None = None
    revoke_key: list[str] = []  # account names
    key_rights: dict[str, RightsChange] = {}  # by account name
    market_status: dict[str, MarketStatus] = {}  # by market
    prices: dict[str, Decimal] = {}  # new mark prices, by market
    enforce_limits: bool | None = None
    reduce_only_conflict_refused: bool | None = None
    reduce_only_expires: bool | None = None
    auto_borrow: bool | None = None  # spot orders may give away more than is free
    conversion_ratio: Decimal | None = Field(default=None, gt=0)  # what quotes give, as a fraction of the mark price

    venue: dict[str, Any] = {}  # switches that only this venue has

    @model_validator(mode="before")
    @classmethod
    def _single_as_list(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        listed = ("rules", "engine_reopens", "late_trigger", "hidden_slice", "streams", "revoke_key")
        return {name: [item] if name in listed and not isinstance(item, list) else item for name, item in value.items()}
