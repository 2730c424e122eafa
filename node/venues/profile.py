"""What a venue's profile provides: calls as data, and strict readings of their answers. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from node.domain.flatten import Quote
from node.domain.key_facts import KeyFacts
from node.domain.permission import Effect
from node.domain.snapshot import Balance, MarketKind, MarketRules, OpenOrder, Position, SliceSnapshot
from node.domain.steps import ClosePosition, ConvertAsset, SpotOrder, Step
from node.venues.call import Answer, Call, Ccxt, Judgement, Reply, Request
from node.venues.conversion import Offer
from node.venues.lane import Budget
from node.venues.layout import Layout, Slice, SliceReads
from node.venues.markets import MarketBook
from node.venues.options import VenueOptions
from node.venues.stream import Stream


class Profile(Protocol):
    """What is peculiar about one venue."""

    #: The markets as they are known at the moment, by kind. The venue layer sees to it.
    books: Mapping[MarketKind, MarketBook]

    @property
    def credentials(self) -> tuple[str, ...]:
        """What a key consists of, in ccxt's words."""

    @property
    def made_for_it(self) -> bool:
        """Whether the profile knows its venue, or relies on what ccxt has in common for all."""

    @property
    def budgets(self) -> Mapping[str, Budget]:
        """What the venue allows, by the bucket names that the calls charge."""

    @property
    def unverified(self) -> tuple[str, ...]:
        """What the venue cannot show."""

    def objections(self, options: VenueOptions) -> list[str]:
        """What is wrong with an account's options, each with what would be right; nothing that needs the venue."""

    def layout(self, configured: Collection[str] | None) -> Layout:
        """Resolve configured slice names.

        Raises:
            ConfigError: a name is unknown, or two overlap.
        """

    def build(self, options: VenueOptions, session: object) -> Ccxt:
        """The ccxt instance, without hidden requests, foreign client ids or retries of its own."""

    def effect_of(self, request: Request) -> Effect | None:
        """The most that a request can do, by its own words; None: not known, and then it must not leave."""

    def market_calls(self, kind: MarketKind) -> tuple[Call, ...]:
        """The requests that list one kind of market."""

    def market_rules(self, exchange: Ccxt, kind: MarketKind, answer: Answer) -> tuple[MarketRules, ...]:
        """One of their answers. Raises VenueAnswerUnknown."""

    def details(self, part: Slice, book: MarketBook, snapshot: SliceSnapshot) -> tuple[Call, ...]:
        """One request for each market that a look makes matter, where the list of markets does not tell their rules."""

    def detailed(self, kind: MarketKind, answer: Answer) -> MarketRules:
        """The answer to one of them. Raises VenueAnswerUnknown."""

    def reads(self, part: Slice) -> SliceReads:
        """The requests that show a slice. Those of one aspect leave together."""

    def reads_of(self, part: Slice, book: MarketBook) -> SliceReads:
        """The same where there is a list for each group of markets: by the markets that are known."""

    def more(self, call: Call, answer: Answer) -> Call | None:
        """The request for the next page of a list, or of a list of markets; None: that was all.

        Raises:
            VenueAnswerUnknown: the page is full, and there is no way to ask for what is behind it.
        """

    def nothing(self, call: Call, reply: Reply) -> Answer | None:
        """What stands for a refused read where the refusal says that there is nothing to read; None: it is a refusal.

        Some venues refuse to show what an account has never opened. Only a code that says so for certain counts.
        """

    def positions(self, part: Slice, book: MarketBook, answer: Answer) -> tuple[Position, ...]:
        """An answer to ``reads(...).positions``, empty legs dropped. Raises VenueAnswerUnknown."""

    def orders(self, part: Slice, book: MarketBook, answer: Answer, *, trigger: bool) -> tuple[OpenOrder, ...]:
        """An answer to ``reads(...).orders`` or ``.triggers``. Raises VenueAnswerUnknown."""

    def balances(self, part: Slice, exchange: Ccxt, answer: Answer) -> tuple[Balance, ...]:
        """An answer to ``reads(...).balances``, empty ones dropped. Raises VenueAnswerUnknown."""

    def corroborate(
        self,
        part: Slice,
        book: MarketBook,
        answer: Answer,
        positions: Collection[Position],
        orders: Collection[OpenOrder] | None,
    ) -> None:
        """Hold an answer to ``reads(...).balances`` against what the lists have shown; orders None: not read with it.

        Raises:
            VenueAnswerUnknown: the wallet shows margin in use, or coins held, for what no list has shown.
        """

    def tells_all(self, part: Slice) -> bool:
        """Whether one answer to ``reads(...).balances`` shows, of one instant, what positions and orders take up."""

    def takes_nothing(self, part: Slice, answer: Answer) -> bool:
        """Whether such an answer shows that there is no position, and no order that could open one.

        Raises:
            VenueAnswerUnknown: the answer is not understood.
        """

    def kept_apart(self, part: Slice, answer: Answer) -> tuple[str, ...]:
        """Names of what an answer to ``reads(...).balances`` says is kept apart: it is in no list of ours.

        Raises:
            VenueAnswerUnknown: the answer is not understood.
        """

    def obstacle(self, step: Step, part: Slice) -> str | None:
        """Why a step cannot be carried out in a slice, whatever the venue would say; it is then not sent."""

    def calls(self, step: Step, kind: MarketKind) -> tuple[Call, ...]:
        """The requests that carry out a step; more than one only where each is complete in itself."""

    def closes_together(self, part: Slice) -> int:
        """How many closes of a slice one request may place; less than two: each has its own."""

    def close_call(self, steps: Sequence[ClosePosition], kind: MarketKind) -> Call:
        """The request that places several."""

    def closed(self, steps: Sequence[ClosePosition], answer: Answer) -> Sequence[Judgement]:
        """What its answer says of each, in order.

        Raises:
            VenueAnswerUnknown: it cannot be told which part of it belongs to which step.
        """

    def converts(self, kind: MarketKind) -> bool:
        """Whether the venue has a convert service for the wallet."""

    def offer_call(self, step: ConvertAsset) -> Call:
        """The request that asks the convert service for its price."""

    def offer(self, step: ConvertAsset, answer: Answer) -> Offer | Judgement:
        """Its answer: an offer, or why there is none. Raises VenueAnswerUnknown."""

    def accept_call(self, offer: Offer) -> Call:
        """The request that accepts it."""

    def conversion_call(self, offer: Offer) -> Call:
        """The request that asks what became of it."""

    def conversion(self, answer: Answer) -> Judgement | None:
        """An answer to either; None: still under way. Raises VenueAnswerUnknown."""

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

    def quote_calls(self, book: MarketBook, symbols: Collection[str], *, whole: bool = False) -> tuple[Call, ...]:
        """The requests for best prices of spot markets; with *whole* of all there are, in case one is not any more."""

    def quotes(self, book: MarketBook, symbols: Collection[str], call: Call, answer: Answer) -> dict[str, Quote]:
        """Their answers; a market that nobody bids in is left out.

        Raises:
            VenueAnswerUnknown: also where a market that was asked for by name is not in the answer.
        """

    def order_call(self, step: SpotOrder, kind: MarketKind) -> Call:
        """The request that asks for one order by client id."""

    def exists(self, step: SpotOrder, answer: Answer) -> bool | None:
        """Whether its answer shows the order."""

    def never_existed(self, reply: Reply) -> bool:
        """Whether its refusal says that there is no such order."""

    @property
    def doors(self) -> str | None:
        """What lets orders in past an account's engine and is to be shut under a lock, and what that stops."""

    def door_calls(self) -> tuple[Call, ...]:
        """The requests that list them."""

    def open_doors(self, answer: Answer) -> tuple[Call, ...]:
        """An answer to one of them: the requests that shut what is open. Raises VenueAnswerUnknown."""

    def door_shut(self, answer: Answer) -> None:
        """An answer to one of those. Raises VenueAnswerUnknown: it does not say that it is shut."""

    def streams(self, layout: Layout, *, sandbox: bool) -> tuple[Stream, ...]:
        """The streams that tell of changes; none where the venue has none."""

    def probe(self, layout: Layout, books: Mapping[MarketKind, MarketBook]) -> tuple[Step, Call] | None:
        """A cancel of an order that cannot exist; None while no market is known."""

    def clock_calls(self, layout: Layout) -> tuple[Call, ...]:
        """One cheap request a host, each answered with the venue's time; also what keeps sockets warm."""

    def clock_call_like(self, call: Call) -> Call:
        """The clock request of the host that *call* goes to."""

    def venue_time_ms(self, answer: Answer) -> float:
        """That time. Raises VenueAnswerUnknown."""

    def key_calls(self) -> tuple[Call, ...]:
        """The requests that show what the key may do and what kind of account it opens, where there are any."""

    def key_facts(self, call: Call, answer: Answer) -> KeyFacts:
        """The answer to one of them. Raises VenueAnswerUnknown."""

    @property
    def account(self) -> str | None:
        """The kind of account that the calls are for, where the venue has several."""
