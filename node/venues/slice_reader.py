"""Reads slices: each aspect by its own requests, understood or not at all."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

from node.clock import Clock
from node.concurrency import together
from node.domain.flatten import Quote
from node.domain.key_facts import KeyFacts
from node.domain.snapshot import MarketKind, MarketRules, OpenOrder, Position, SliceSnapshot
from node.errors import VenueAnswerUnknown, VenueError
from node.venues.call import Answer, Call
from node.venues.ccxt_client import CcxtClient
from node.venues.layout import Slice
from node.venues.markets import MarketBook, MarketShelf
from node.venues.outcomes import Attempt
from node.venues.profile import Profile

T = TypeVar("T")

#: A list that goes on for ever is none.
PAGES_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class _Aspect:
    """What one kind of request said of a slice."""

    found: tuple[Any, ...] = ()
    answers: tuple[tuple[Call, Attempt], ...] = ()


class SliceReader:
    """Asks and understands; every way of not understanding is ``VenueAnswerUnknown``."""

    def __init__(self, client: CcxtClient, profile: Profile, shelf: MarketShelf, clock: Clock) -> None:
        self._client = client
        self._profile = profile
        self._shelf = shelf
        self._clock = clock

    async def positions(self, part: Slice, *, certain: bool = False) -> SliceSnapshot:
        """Positions only; with *certain* held against the wallet, which is read beside them."""
        started_ns, book = self._clock.monotonic_ns(), self.book(part.market_kind)
        if not certain:
            return self._snapshot(part, started_ns, await self._read(part, book, "positions"), doubtful=part.derivative)
        positions, balances = await together(self._read(part, book, "positions"), self._read(part, book, "balances"))
        doubtful = not self._borne_out(part, book, positions, balances)
        return self._snapshot(part, started_ns, positions, doubtful=doubtful)

    async def everything(self, part: Slice) -> SliceSnapshot:
        """All aspects, all requests at once."""
        started_ns, book = self._clock.monotonic_ns(), self.book(part.market_kind)
        triggers, orders, positions, balances = await together(
            *(self._read(part, book, what) for what in ("triggers", "orders", "positions", "balances"))
        )
        doubtful = not self._borne_out(part, book, positions, balances)
        return self._snapshot(
            part, started_ns, positions, orders=(triggers, orders), balances=balances, doubtful=doubtful
        )

    async def proof(self, part: Slice, *, no_triggers_since_ns: int | None = None) -> SliceSnapshot:
        """All aspects in causal order, the lists held against the wallet.

        With *no_triggers_since_ns* all at once, if that shows nothing at all. Why it is enough: what was there then and
        is no trigger is an order that rests, or a position, or has ended. What those take up the wallet shows in one
        answer, of one instant: nothing can slip from one list into another that was read before.

        Raises:
            VenueError: also where the wallet shows something in use that no list has shown.
        """
        started_ns, book = self._clock.monotonic_ns(), self.book(part.market_kind)
        if no_triggers_since_ns is not None and self._profile.tells_all(part):
            triggers, orders, positions, balances = await together(
                *(self._read(part, book, what) for what in ("triggers", "orders", "positions", "balances"))
            )
            if not (triggers.found or orders.found or positions.found) and self._takes_nothing(part, balances):
                return self._snapshot(
                    part, started_ns, positions, orders=(), balances=balances, causal=True, chained=no_triggers_since_ns
                )
        else:
            triggers = await self._read(part, book, "triggers")
        orders = await self._read(part, book, "orders")
        positions, balances = await together(self._read(part, book, "positions"), self._read(part, book, "balances"))
        listed = triggers.found + orders.found
        for call, attempt in balances.answers:
            check = partial(self._profile.corroborate, part, book, attempt.answer, positions.found, listed)
            self._understood(call, attempt, check)
        return self._snapshot(part, started_ns, positions, orders=(triggers, orders), balances=balances, causal=True)

    def _borne_out(self, part: Slice, book: MarketBook, positions: _Aspect, balances: _Aspect) -> bool:
        """Whether the wallet shows no position that was not listed. A mismatch may be a matter of moments."""
        try:
            for call, attempt in balances.answers:
                check = partial(self._profile.corroborate, part, book, attempt.answer, positions.found, None)
                self._understood(call, attempt, check)
        except VenueAnswerUnknown:
            return False
        return True

    def _takes_nothing(self, part: Slice, balances: _Aspect) -> bool:
        """Whether the wallet shows that nothing is held and nothing rests."""
        return bool(balances.answers) and all(
            self._understood(call, attempt, partial(self._profile.takes_nothing, part, attempt.answer))
            for call, attempt in balances.answers
        )

    def _kept_apart(self, part: Slice, balances: _Aspect) -> tuple[str, ...]:
        found: dict[str, None] = {}
        for call, attempt in balances.answers:
            names = self._understood(call, attempt, partial(self._profile.kept_apart, part, attempt.answer))
            found |= dict.fromkeys(names)
        return tuple(found)

    async def quotes(self, symbols: Collection[str]) -> dict[str, Quote]:
        """Best prices of spot markets, fresh."""
        try:
            return await self._quotes(symbols)
        except VenueError as error:
            if type(error) is not VenueError:
                raise
            # The venue will not have one of the names: a market may be gone since the list of markets was read.
            return await self._quotes(symbols, whole=True)

    async def _quotes(self, symbols: Collection[str], *, whole: bool = False) -> dict[str, Quote]:
        book = self.book(MarketKind.SPOT)
        calls = self._profile.quote_calls(book, symbols, whole=whole)
        found: dict[str, Quote] = {}
        for call, attempt in zip(calls, await together(*(self._client.asked(call) for call in calls)), strict=True):
            found |= self._understood(call, attempt, partial(self._profile.quotes, book, symbols, call, attempt.answer))
        return found

    async def markets(self, kind: MarketKind) -> tuple[MarketRules, ...]:
        """What is listed."""
        pages = await together(*(self._pages(call) for call in self._profile.market_calls(kind)))
        found: list[MarketRules] = []
        for call, attempt in (page for each in pages for page in each):
            read = partial(self._profile.market_rules, self._client.ccxt, kind, attempt.answer)
            found += self._understood(call, attempt, read)
        if not found:
            raise VenueAnswerUnknown(f"no {kind.value} markets are listed")
        return tuple(found)

    async def key_facts(self) -> KeyFacts:
        """What the venue says about the key and its account."""
        calls = self._profile.key_calls()
        facts = KeyFacts()
        for call, attempt in zip(calls, await together(*(self._client.asked(call) for call in calls)), strict=True):
            read = partial(self._profile.key_facts, call, attempt.answer)
            facts = facts.joined(self._understood(call, attempt, read))
        return facts

    def calls(self, part: Slice) -> tuple[Call, ...]:
        """What one whole look at a slice asks."""
        return self._profile.reads_of(part, self.book(part.market_kind)).all

    def book(self, kind: MarketKind) -> MarketBook:
        """The markets of one kind; empty while they are not known."""
        return self._shelf.books.get(kind) or MarketBook(())

    async def _read(self, part: Slice, book: MarketBook, what: str) -> _Aspect:
        """One aspect of a slice, parsed; nothing where the venue has nothing of the kind.

        *book* is one for the whole read: where the markets become known meanwhile, a trigger must not be named
        otherwise than its position.
        """
        pages = await together(*(self._pages(call, what) for call in getattr(self._profile.reads_of(part, book), what)))
        answers = tuple(page for each in pages for page in each)
        found: list[Any] = []
        for call, attempt in answers:
            found += self._understood(call, attempt, partial(self._parse, part, book, what, attempt.answer))
        if len(answers) > 1 and what != "balances":  # lists shift between pages: what is on two is there once
            found = list({_identity(each): each for each in found}.values())
        return _Aspect(tuple(found), answers)

    async def _pages(self, call: Call, purpose: str = "") -> list[tuple[Call, Attempt]]:
        """A list to its end, however many pages it has."""
        pages: list[tuple[Call, Attempt]] = []
        following: Call | None = call
        while following is not None:
            if len(pages) == PAGES_MAX:
                raise VenueAnswerUnknown(f"{call.endpoint}: no end after {PAGES_MAX} pages")
            asked = following
            attempt = await self._client.asked(asked, purpose)
            pages.append((asked, attempt))
            following = self._understood(asked, attempt, partial(self._profile.more, asked, attempt.answer))
        return pages

    def _parse(self, part: Slice, book: MarketBook, what: str, answer: Answer) -> tuple[Any, ...]:
        profile = self._profile
        if what == "positions":
            return profile.positions(part, book, answer)
        if what == "balances":
            return profile.balances(part, self._client.ccxt, answer)
        return profile.orders(part, book, answer, trigger=what == "triggers")

    def _understood(self, call: Call, attempt: Attempt, read: Callable[[], T]) -> T:
        """Whatever goes wrong in reading an answer means that the answer is not understood."""
        try:
            return read()
        except VenueAnswerUnknown as error:
            self._client.not_understood(call, attempt, str(error))
            raise
        except VenueError:
            raise
        except self._client.faults as error:
            self._client.not_understood(call, attempt, type(error).__name__)
            raise VenueAnswerUnknown(f"not understood: {type(error).__name__}") from error

    def _snapshot(
        self,
        part: Slice,
        started_ns: int,
        positions: _Aspect,
        *,
        orders: Iterable[_Aspect] | None = None,
        balances: _Aspect | None = None,
        causal: bool = False,
        chained: int | None = None,
        doubtful: bool = False,
    ) -> SliceSnapshot:
        return SliceSnapshot(
            slice=part.name,
            kept_apart=self._kept_apart(part, balances) if balances is not None else (),
            positions=positions.found,
            orders=None if orders is None else tuple(order for aspect in orders for order in aspect.found),
            balances=None if balances is None else balances.found,
            started_ns=started_ns,
            ended_ns=self._clock.monotonic_ns(),
            read_at=self._clock.now(),
            causal=causal,
            chained_from_ns=chained,
            positions_doubtful=doubtful,
        )


def _identity(found: Position | OpenOrder) -> object:
    if isinstance(found, Position):
        return found.market_id, found.side, found.isolated
    return found.market_id, found.order_id, found.trigger
