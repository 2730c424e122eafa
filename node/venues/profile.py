"""What a venue's profile provides: calls as data, and strict readings of their answers. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from node.domain.flatten import Quote
from node.domain.snapshot import Balance, MarketKind, MarketRules, OpenOrder, Position
from node.domain.steps import Outcome, Refusal, SellSpot, Step
from node.venues.lane import Budget, Charge
from node.venues.markets import MarketBook
from node.venues.options import VenueOptions

#: Decoded JSON.
Answer = Any
#: An instance of a ccxt class; ccxt has no types of its own.
Ccxt = Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, by the name of ccxt's own method for the endpoint."""

    endpoint: str
    params: Mapping[str, str] = field(default_factory=dict)
    charges: tuple[Charge, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """One part of an account."""

    name: str
    kind: MarketKind
    #: Only what settles in this coin; None: all.
    settle: str | None = None
    #: Wallet coins that belong to another configured slice of the same wallet.
    foreign_coins: frozenset[str] = frozenset()
    #: Of several slices on one wallet, one reports the coins that belong to none.
    reports_other_coins: bool = True

    @property
    def derivative(self) -> bool:
        """Whether it can hold positions."""
        return self.kind is not MarketKind.SPOT

    def holds(self, settle: str | None) -> bool:
        """Whether what settles in *settle* belongs here; what cannot be told does, lest it be overlooked."""
        return self.settle is None or settle is None or settle == self.settle

    def holds_coin(self, asset: str) -> bool:
        """Whether a wallet's coin is reported here."""
        if self.settle is None or asset == self.settle:
            return True
        return self.reports_other_coins and asset not in self.foreign_coins


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Which parts of an account are read and proven, and which are left out."""

    slices: tuple[Slice, ...]
    not_covered: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceReads:
    """The requests that show a slice. Empty: the venue has nothing of the kind there."""

    triggers: tuple[Call, ...] = ()
    orders: tuple[Call, ...] = ()
    positions: tuple[Call, ...] = ()
    balances: tuple[Call, ...] = ()


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
    #: The venue found our timestamp wrong.
    clock_is_off: bool = False


class Profile(Protocol):
    """What is peculiar about one venue."""

    @property
    def budgets(self) -> Mapping[str, Budget]:
        """What the venue allows, by the bucket names that the calls charge."""

    @property
    def unverified(self) -> tuple[str, ...]:
        """What the venue cannot show."""

    def layout(self, configured: Collection[str] | None) -> Layout:
        """Resolve configured slice names.

        Raises:
            ConfigError: a name is unknown, or two overlap.
        """

    def build(self, options: VenueOptions, session: object) -> Ccxt:
        """The ccxt instance, without hidden requests, foreign client ids or retries of its own."""

    def market_call(self, kind: MarketKind) -> Call:
        """The request that lists one kind of market."""

    def market_rules(self, exchange: Ccxt, kind: MarketKind, answer: Answer) -> tuple[MarketRules, ...]:
        """Its answer. Raises VenueAnswerUnknown."""

    def reads(self, part: Slice) -> SliceReads:
        """The requests that show a slice."""

    def positions(self, part: Slice, book: MarketBook, answer: Answer) -> tuple[Position, ...]:
        """An answer to ``reads(...).positions``, empty legs dropped. Raises VenueAnswerUnknown."""

    def orders(self, part: Slice, book: MarketBook, answer: Answer, *, trigger: bool) -> tuple[OpenOrder, ...]:
        """An answer to ``reads(...).orders`` or ``.triggers``. Raises VenueAnswerUnknown."""

    def balances(self, part: Slice, exchange: Ccxt, answer: Answer) -> tuple[Balance, ...]:
        """An answer to ``reads(...).balances``, empty ones dropped. Raises VenueAnswerUnknown."""

    def calls(self, step: Step, kind: MarketKind) -> tuple[Call, ...]:
        """The requests that carry out a step; more than one only where each is complete in itself."""

    def accepted(self, step: Step, answer: Answer) -> Judgement:
        """What an answer without an error says."""

    def refused(self, step: Step, reply: Reply) -> Judgement | None:
        """What the venue's error says; None: the code is not known to mean anything for certain."""

    def reply(self, status: int | None, body: Answer) -> Reply:
        """Find the venue's error code in an answer."""

    def denied(self, reply: Reply) -> bool:
        """Whether an error means that a person must act: key, rights, address."""

    def limited(self, reply: Reply) -> bool:
        """Whether an error means too many requests."""

    def concerns_orders_only(self, reply: Reply) -> bool:
        """Whether too many requests means too many orders of this key, and says nothing about the address."""

    def clock_is_off(self, reply: Reply) -> bool:
        """Whether an error means that our timestamp was not accepted."""

    def retry_after_s(self, headers: Mapping[str, str], reply: Reply) -> float | None:
        """How long the venue wants to be left alone, where it says so."""

    def used(self, call: Call, headers: Mapping[str, str]) -> tuple[str, int] | None:
        """Bucket and units that the venue says are used."""

    def quote_calls(self, book: MarketBook, symbols: Collection[str]) -> tuple[Call, ...]:
        """The requests for best prices of spot markets."""

    def quotes(self, book: MarketBook, symbols: Collection[str], answer: Answer) -> dict[str, Quote]:
        """Their answers. Raises VenueAnswerUnknown."""

    def order_call(self, step: SellSpot) -> Call:
        """The request that asks for one order by client id."""

    def exists(self, step: SellSpot, answer: Answer) -> bool | None:
        """Whether its answer shows the order."""

    def never_existed(self, reply: Reply) -> bool:
        """Whether its refusal says that there is no such order."""

    def probe(self, layout: Layout, books: Mapping[MarketKind, MarketBook]) -> tuple[Step, Call] | None:
        """A cancel of an order that cannot exist; None while no market is known."""

    def clock_calls(self, layout: Layout) -> tuple[Call, ...]:
        """One cheap request a host, each answered with the venue's time; also what keeps sockets warm."""

    def clock_call_like(self, call: Call) -> Call:
        """The clock request of the host that *call* goes to."""

    def venue_time_ms(self, answer: Answer) -> float:
        """That time. Raises VenueAnswerUnknown."""

    def rights_call(self) -> Call | None:
        """The request that shows what the key may do, where there is one."""

    def beyond(self, answer: Answer) -> tuple[str, ...]:
        """From its answer: parts of the venue that the key opens and no slice covers."""
