"""One account at one exchange, through the real ccxt class: its signatures, its addresses, nothing hidden.

ccxt signs and sends; what is asked and what an answer means is the profile's. No request waits in a queue of ours
unless it is background work; none is repeated here, and none is preceded by another that nobody asked for. (aiohttp
repeats a GET or DELETE, never a POST, where a kept connection turns out to be dead.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import structlog

from node.clock import Clock, SystemClock
from node.domain.flatten import Quote
from node.domain.snapshot import MarketKind, MarketRules, SliceSnapshot
from node.domain.steps import Outcome, Refusal, SellSpot, Step, StepResult
from node.errors import VenueAnswerUnknown, VenueError, VenueUnavailable
from node.venues.ccxt_client import CcxtClient
from node.venues.lane import background
from node.venues.markets import MarketBook, MarketShelf
from node.venues.options import VenueOptions
from node.venues.outcomes import Attempt, combine, judge
from node.venues.pool import Pools
from node.venues.profile import Answer, Call, Judgement, Profile, Slice

T = TypeVar("T")

log = structlog.get_logger(__name__)


class CcxtVenue:
    """Implements ``node.engine.ports.Venue``. Create it inside the running event loop.

    Calls are emergency calls, which wait for nothing, unless they are made under ``node.venues.lane.background``.
    """

    def __init__(self, options: VenueOptions, profile: Profile, pools: Pools, *, clock: Clock | None = None) -> None:
        self._options = options
        self._profile = profile
        self._clock = clock or SystemClock()
        self._layout = profile.layout(options.slices)
        self._parts: Mapping[str, Slice] = {part.name: part for part in self._layout.slices}
        self._kinds = tuple(dict.fromkeys(part.kind for part in self._layout.slices))
        self._shelf: MarketShelf = pools.markets(options)
        self._client = CcxtClient(options, profile, pools)
        self._rules: tuple[int, dict[str, dict[str, MarketRules]]] = (-1, {})
        self._beyond: tuple[str, ...] = ()

    @property
    def slices(self) -> tuple[str, ...]:
        """What is read and proven for this account."""
        return tuple(self._parts)

    @property
    def not_covered(self) -> tuple[str, ...]:
        """What configuration leaves out, and (once armed) what the key opens that no slice covers."""
        return (*self._layout.not_covered, *self._beyond)

    @property
    def unverified(self) -> tuple[str, ...]:
        """What the venue cannot show."""
        return self._profile.unverified

    @property
    def derivative_slices(self) -> tuple[str, ...]:
        """Those that can hold positions."""
        return tuple(name for name, part in self._parts.items() if part.derivative)

    def rules(self, slice_name: str) -> Mapping[str, MarketRules]:
        """The slice's markets by unified symbol; empty before they are known."""
        if self._rules[0] != self._shelf.version:
            self._rules = (self._shelf.version, {})
        if slice_name not in self._rules[1]:
            part = self._parts[slice_name]
            found = self._book(part.kind).by_symbol.items()
            self._rules[1][slice_name] = {symbol: rule for symbol, rule in found if part.holds(rule.settle)}
        return self._rules[1][slice_name]

    def slice_of(self, symbol: str) -> str | None:
        """Where a symbol is traded."""
        return next((name for name in self._parts if symbol in self.rules(name)), None)

    async def arm(self) -> None:
        """Markets, clock, rights, sockets: all at once, as background work.

        There are no account modes to pin: every answer that is read carries its own.

        Raises:
            VenueError: the account is degraded; what could be had is there, and calls are still possible.
        """
        with background():
            ended = await asyncio.gather(
                self._shelf.stock(self._kinds, self._load_markets),
                self.keep_warm(self._options.warm_sockets),
                self._read_rights(),
                return_exceptions=True,
            )
        _raise_first(ended)

    async def read_positions(self, slice_name: str) -> SliceSnapshot:
        """Positions only."""
        part, started_ns = self._parts[slice_name], self._clock.monotonic_ns()
        positions = await self._read(part, "positions")
        return self._snapshot(part, started_ns, positions=positions)

    async def read_slice(self, slice_name: str) -> SliceSnapshot:
        """Everything of one slice, all requests at once."""
        part, started_ns = self._parts[slice_name], self._clock.monotonic_ns()
        triggers, orders, positions, balances = await _all(
            *(self._read(part, what) for what in ("triggers", "orders", "positions", "balances"))
        )
        return self._snapshot(part, started_ns, positions=positions, orders=triggers + orders, balances=balances)

    async def read_proof(self, slice_name: str) -> SliceSnapshot:
        """Everything, in causal order: triggers, then orders, then positions and balances."""
        part, started_ns = self._parts[slice_name], self._clock.monotonic_ns()
        triggers = await self._read(part, "triggers")
        orders = await self._read(part, "orders")
        positions, balances = await _all(self._read(part, "positions"), self._read(part, "balances"))
        return self._snapshot(
            part, started_ns, positions=positions, orders=triggers + orders, balances=balances, causal=True
        )

    async def quotes(self, symbols: Collection[str]) -> dict[str, Quote]:
        """Best prices of spot markets, fresh."""
        book = self._book(MarketKind.SPOT)
        answers = await _all(*(self._client.ask(call) for call in self._profile.quote_calls(book, symbols)))
        found: dict[str, Quote] = {}
        for answer in answers:
            found |= self._understood(partial(self._profile.quotes, book, symbols, answer))
        return found

    async def execute(self, step: Step) -> StepResult:
        """Carry out one step, if this account's permission level allows it."""
        if not self._options.permission.allows(step):
            return self._not_permitted(step)
        part = self._parts.get(step.slice)
        if part is None:
            return self._held_back(step, Refusal.OTHER, f"{step.slice!r} is not a slice of this account; not sent")
        return await self._carry_out(step, self._profile.calls(step, part.kind))

    async def filled(self, step: SellSpot) -> bool | None:
        """Ask by client order id whether an ambiguous sale reached the venue; None while that is not known."""
        attempt = await self._client.attempt(self._profile.order_call(step))
        if attempt.error is None:
            return self._profile.exists(step, attempt.answer)
        if attempt.not_sent:
            return None
        return False if self._profile.never_existed(self._client.reply(attempt)) else None

    async def probe(self) -> StepResult:
        """Cancel an order that does not exist: DONE if the venue looked for it, else the refusal.

        Raises:
            VenueUnavailable: no market is known yet.
        """
        probe = self._profile.probe(self._layout, self._shelf.books)
        if probe is None:
            raise VenueUnavailable("no market is known yet")
        step, call = probe
        if not self._options.permission.allows(step):
            return self._not_permitted(step)
        result = await self._carry_out(step, (call,))
        if result.refusal is Refusal.UNKNOWN_ORDER:
            return replace(result, outcome=Outcome.DONE, refusal=None)
        return result

    async def keep_warm(self, sockets: int) -> None:
        """Ask every host for its time over that many connections at once; the quickest answer sets our clock.

        Raises:
            VenueError: a host could not be reached.
        """
        with background():
            calls = self._profile.clock_calls(self._layout)
            warming = (self._client.warm(call, max(1, sockets)) for call in calls)
            ended = await asyncio.gather(*warming, return_exceptions=True)
            self._shelf.refresh(self._load_markets)
        _raise_first(ended)

    def round_trip_ms(self) -> float | None:
        """Median of the last requests."""
        return self._client.round_trip_ms()

    def clock_offset_ms(self) -> float | None:
        """Venue's clock less ours."""
        return self._client.offset_ms

    async def close(self) -> None:
        """Let go of the session; its connections belong to the pool."""
        try:
            async with asyncio.timeout(self._options.close_timeout_s):
                await self._client.close()
        except TimeoutError:
            log.warning("venue_close_timed_out", exchange=self._options.exchange)

    async def _load_markets(self, kind: MarketKind) -> tuple[MarketRules, ...]:
        with background():
            answer = await self._client.ask(self._profile.market_call(kind))
        return self._understood(partial(self._profile.market_rules, self._client.ccxt, kind, answer))

    async def _read_rights(self) -> None:
        """Best effort: not every environment of a venue has it, and nothing that is done depends on it."""
        call = self._profile.rights_call()
        if call is None:
            return
        try:
            self._beyond = self._profile.beyond(await self._client.ask(call))
        except VenueError as error:
            log.warning("venue_rights_unread", exchange=self._options.exchange, code=error.code, error=str(error))

    async def _carry_out(self, step: Step, calls: Sequence[Call]) -> StepResult:
        attempts: list[Attempt] = await _all(*(self._client.attempt(call) for call in calls))
        judgements = [self._judge(step, attempt) for attempt in attempts]
        result = combine(step, judgements, (attempt.wire for attempt in attempts), self._clock.monotonic_ns())
        if any(judgement.clock_is_off for judgement in judgements):
            await self._client.measure_clock(calls[0])
        if result.message is None:
            return result
        waits = [wait for attempt in attempts if (wait := self._client.retry_after_s(attempt)) is not None]
        limited = result.refusal is Refusal.RATE_LIMITED
        return replace(
            result,
            message=self._client.scrub(result.message),
            retry_after_s=max(waits, default=None) if limited else None,
        )

    def _judge(self, step: Step, attempt: Attempt) -> Judgement:
        try:
            return judge(self._profile, step, attempt)
        except self._client.faults as error:  # an answer of a shape nobody thought of
            return Judgement(outcome=Outcome.AMBIGUOUS, message=f"not understood: {type(error).__name__}")

    def _not_permitted(self, step: Step) -> StepResult:
        level = self._options.permission.value
        return self._held_back(step, Refusal.PERMISSION, f"the account's permission is {level!r}; not sent")

    def _held_back(self, step: Step, refusal: Refusal, message: str) -> StepResult:
        now_ns = self._clock.monotonic_ns()
        return StepResult(step=step, outcome=Outcome.REFUSED, refusal=refusal, message=message, ended_ns=now_ns)

    async def _read(self, part: Slice, what: str) -> tuple[Any, ...]:
        """One aspect of a slice, parsed; nothing where the venue has nothing of the kind."""
        found: tuple[Any, ...] = ()
        for call in getattr(self._profile.reads(part), what):
            answer = await self._client.ask(call)
            found += self._understood(partial(self._parse, part, what, answer))
        return found

    def _parse(self, part: Slice, what: str, answer: Answer) -> tuple[Any, ...]:
        book, profile = self._book(part.kind), self._profile
        if what == "positions":
            return profile.positions(part, book, answer)
        if what == "balances":
            return profile.balances(part, self._client.ccxt, answer)
        return profile.orders(part, book, answer, trigger=what == "triggers")

    def _understood(self, read: Callable[[], T]) -> T:
        """Whatever goes wrong in reading an answer means that the answer is not understood."""
        try:
            return read()
        except VenueError:
            raise
        except self._client.faults as error:
            raise VenueAnswerUnknown(f"not understood: {type(error).__name__}") from error

    def _book(self, kind: MarketKind) -> MarketBook:
        return self._shelf.books.get(kind) or MarketBook(())

    def _snapshot(
        self,
        part: Slice,
        started_ns: int,
        *,
        positions: tuple[Any, ...],
        orders: tuple[Any, ...] | None = None,
        balances: tuple[Any, ...] | None = None,
        causal: bool = False,
    ) -> SliceSnapshot:
        return SliceSnapshot(
            slice=part.name,
            positions=positions,
            orders=orders,
            balances=balances,
            started_ns=started_ns,
            ended_ns=self._clock.monotonic_ns(),
            read_at=self._clock.now(),
            causal=causal,
        )


def _raise_first(ended: Sequence[object]) -> None:
    for each in ended:
        if isinstance(each, BaseException):
            raise each


async def _all(*coroutines: Coroutine[Any, Any, Any]) -> list[Any]:
    """All results; a failure cancels and awaits the others first, so that none runs on unseen."""
    if len(coroutines) == 1:
        return [await coroutines[0]]  # an order's bytes wait for every turn of the loop
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
