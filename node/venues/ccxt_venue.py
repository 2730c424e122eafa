"""One account at one exchange, through the real ccxt class: its signatures, its addresses, nothing hidden.

ccxt signs and sends; what is asked and what an answer means is the profile's. No request waits in a queue of ours
unless it is background work; none is repeated here, and none is preceded by another that nobody asked for. (aiohttp
repeats a GET or DELETE, never a POST, where a kept connection turns out to be dead.)
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final

import structlog

from node.clock import Clock, SystemClock
from node.domain.flatten import Quote
from node.domain.key_facts import KeyFacts
from node.domain.snapshot import MarketKind, MarketRules, SliceSnapshot
from node.domain.steps import Outcome, Refusal, SpotOrder, Step, StepResult
from node.errors import VenueAnswerUnknown, VenueDenied, VenueError, VenueUnavailable
from node.venues import doors
from node.venues.call import Call
from node.venues.ccxt_client import CcxtClient
from node.venues.details import MarketDetails
from node.venues.lane import background
from node.venues.layout import Slice
from node.venues.markets import MarketShelf
from node.venues.options import VenueOptions
from node.venues.pool import Pools
from node.venues.profile import Profile
from node.venues.slice_reader import SliceReader
from node.venues.step_runner import StepRunner
from node.venues.streams import Streams

#: Refusals that rules which are no longer true may explain: halted, or (of no kind of their own) no longer listed.
_MARKET_MAY_HAVE_CHANGED: Final = (Refusal.MARKET_CLOSED, Refusal.OTHER)

log = structlog.get_logger(__name__)


class CcxtVenue:
    """Implements ``node.engine.venue_port.Venue``. Create it inside the running event loop.

    Calls are emergency calls, which wait for nothing, unless they are made under ``node.venues.lane.background``.
    """

    def __init__(self, options: VenueOptions, profile: Profile, pools: Pools, *, clock: Clock | None = None) -> None:
        self._options = options
        self._profile = profile
        self._layout = profile.layout(options.slices)
        self._parts: Mapping[str, Slice] = {part.name: part for part in self._layout.slices}
        self._shelf: MarketShelf = pools.markets(options)
        profile.books = self._shelf.books
        self._client = CcxtClient(options, profile, pools)
        self._reader = SliceReader(self._client, profile, self._shelf, clock or SystemClock())
        self._details = MarketDetails(self._client, profile, self._shelf)
        self._runner = StepRunner(self._client, profile, self._parts, clock or SystemClock())
        streams = profile.streams(self._layout, sandbox=options.sandbox)
        self._streams = Streams(self._client, pools.pool(options).session, streams)
        self._rules: tuple[int, dict[str, dict[str, MarketRules]]] = (-1, {})
        self._pool = pools.pool(options)
        #: What the venue has said of the key, once it was asked.
        self.key_facts: KeyFacts | None = None

    @property
    def slices(self) -> tuple[str, ...]:
        """What is read and proven for this account."""
        return tuple(self._parts)

    @property
    def not_covered(self) -> tuple[str, ...]:
        """What configuration leaves out, and (once armed) what the key opens that no slice covers."""
        opened = self.key_facts.opens if self.key_facts else ()
        left_out = self._layout.not_covered
        return (*left_out, *(name for name in opened if name not in self._parts and name not in left_out))

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
            found = self._reader.book(part.market_kind).by_symbol.items()
            self._rules[1][slice_name] = {symbol: rule for symbol, rule in found if part.holds(rule.settle)}
        return self._rules[1][slice_name]

    def slices_of(self, symbol: str) -> tuple[str, ...]:
        """Where a symbol is traded; nowhere if this venue does not know it."""
        return tuple(name for name in self._parts if symbol in self.rules(name))

    def kind(self, slice_name: str) -> MarketKind:
        """What is traded there."""
        return self._parts[slice_name].kind

    def converts(self, slice_name: str) -> bool:
        """Whether the venue has a convert service for the slice's wallet; no test environment has one."""
        return not self._options.sandbox and self._profile.converts(self._parts[slice_name].kind)

    async def arm(self) -> None:
        """Markets, clock, key, sockets: all at once, as background work.

        Raises:
            VenueError: the account is degraded; what could be had is there, and calls are still possible. Also where it
                is an account of another kind than the configuration says.
        """
        with background():
            ended = await asyncio.gather(
                self._shelf.stock(self._layout.market_kinds, self._load_markets),
                self.keep_warm(self._options.warm_sockets),
                self._read_key(),
                return_exceptions=True,
            )
        _raise_first(ended)

    async def read_positions(self, slice_name: str, *, certain: bool = False) -> SliceSnapshot:
        """Positions only; with *certain* held against the wallet."""
        snapshot = await self._reader.positions(self._parts[slice_name], certain=certain)
        await self._details.learn(self._parts[slice_name], snapshot)
        return self._doubted(snapshot) if certain and snapshot.positions_doubtful else snapshot

    async def read_slice(self, slice_name: str) -> SliceSnapshot:
        """Everything of one slice, all requests at once."""
        snapshot = await self._reader.everything(self._parts[slice_name])
        await self._details.learn(self._parts[slice_name], snapshot)
        return self._doubted(snapshot) if snapshot.positions_doubtful else snapshot

    async def read_proof(self, slice_name: str, *, no_triggers_since_ns: int | None = None) -> SliceSnapshot:
        """Everything, in causal order: triggers, then orders, then positions and balances; or all at once.

        Raises:
            VenueError: also where the wallet shows margin in use for what no list has shown.
        """
        try:
            snapshot = await self._reader.proof(self._parts[slice_name], no_triggers_since_ns=no_triggers_since_ns)
        except VenueAnswerUnknown:
            self._ask_for_markets(slice_name)
            raise
        await self._details.learn(self._parts[slice_name], snapshot)
        return snapshot

    def requests_at_once(self, slice_name: str, *, closes: int) -> int:
        """How many requests leave at the same moment where so many closes do: theirs, and those of a look beside."""
        part = self._parts[slice_name]
        return self._runner.requests(part, closes) + len(self._reader.calls(part))

    def proves_at_once(self, slice_name: str) -> bool:
        """Whether a proof that goes back to a read without triggers asks for everything at the same moment."""
        return self._profile.tells_all(self._parts[slice_name])

    @property
    def doors(self) -> str | None:
        """What ``shut_doors`` shuts, and what that stops; None: nothing, or configuration does not ask for it."""
        return self._profile.doors

    async def shut_doors(self) -> int:
        """Shut what lets orders in past the account's engine; how many were open.

        Raises:
            VenueError: some may still be open.
        """
        return await doors.shut(self._client, self._profile)

    def changes(self) -> AsyncIterator[str]:
        """Names of slices in which the venue says that something has happened, for ever; reconnects by itself.

        A hint to look, never a proof. What it starts ends when the generator is closed.
        """
        return self._streams.changes()

    def streaming(self, slice_name: str) -> bool:
        """Whether changes of the slice are being told right now."""
        return self._streams.telling(slice_name)

    def look_interval_s(self, slice_name: str) -> float:
        """How often the background's share of the request budget lets this account read the slice whole.

        That is by the half of the share which polls of positions and warm sockets leave.
        """
        return self._client.interval_s(self._reader.calls(self._parts[slice_name]))

    def respite_s(self, slice_name: str) -> float:
        """How long until the whole request budget would bear one more look at the slice; 0 if now."""
        return self._client.respite_s(self._reader.calls(self._parts[slice_name]))

    def borrow_s(self, slice_name: str) -> float:
        """Book one look at the slice on what is lent to whoever must not wait for that; how long it waits."""
        return self._client.borrow_s(self._reader.calls(self._parts[slice_name]))

    async def quotes(self, symbols: Collection[str]) -> dict[str, Quote]:
        """Best prices of spot markets, fresh."""
        return await self._reader.quotes(symbols)

    async def execute(self, step: Step, *, among: int = 1) -> StepResult:
        """Carry out one step, if this account's permission level allows it."""
        result = await self._runner.execute(step, among=among)
        changed = result.refusal in _MARKET_MAY_HAVE_CHANGED and result.sent_ns is not None
        if step.slice in self._parts and (changed or self._strange(step, result)):
            self._ask_for_markets(step.slice)
            self._details.doubt()
        return result

    async def rehearse(self, step: Step) -> None:
        """Everything that it takes, up to the socket."""
        await self._runner.rehearse(step)

    def _strange(self, step: Step, result: StepResult) -> bool:
        """Whether a step could not be sent, in a market that is not on our list."""
        return result.sent_ns is None and step.symbol not in self.rules(step.slice)

    def _doubted(self, snapshot: SliceSnapshot) -> SliceSnapshot:
        """What no list has shown may be in markets that are newer than our list of them."""
        self._ask_for_markets(snapshot.slice)
        return snapshot

    def _ask_for_markets(self, slice_name: str) -> None:
        self._shelf.refresh(self._load_markets, soon=(self._parts[slice_name].market_kind,))

    def refresh_markets(self) -> None:
        """Ask again, in the background, for markets that are older than a minute. Waits for nothing."""
        self._shelf.refresh(self._load_markets, soon=self._layout.market_kinds)

    async def filled(self, step: SpotOrder) -> bool | None:
        """Ask by client order id whether an ambiguous order reached the venue; None while that is not known."""
        return await self._runner.filled(step)

    async def probe(self) -> StepResult:
        """Cancel an order that does not exist: DONE if the venue looked for it, else the refusal.

        Raises:
            VenueUnavailable: no market is known yet.
        """
        probe = self._profile.probe(self._layout, self._shelf.books)
        if probe is None:
            raise VenueUnavailable("no market is known yet")
        step, call = probe
        result = await self._runner.carry_out(step, (call,))
        if result.refusal is Refusal.UNKNOWN_ORDER:
            return replace(result, outcome=Outcome.DONE, refusal=None)
        return result

    async def keep_warm(self, sockets: int, by_slice: Mapping[str, int] | None = None) -> None:
        """Ask every host for its time over so many connections at once; the quickest answer sets our clock.

        Raises:
            VenueError: a host could not be reached.
        """
        with background():
            calls = self._profile.clock_calls(self._layout)
            warming = (self._client.warm(call, max(1, min(sockets, self._wanted(call, by_slice)))) for call in calls)
            ended = await asyncio.gather(*warming, return_exceptions=True)
            self._shelf.refresh(self._load_markets)
        _raise_first(ended)

    def _wanted(self, clock_call: Call, by_slice: Mapping[str, int] | None) -> int:
        """Connections to one host, by the slices that live there."""
        if by_slice is None:
            return sys.maxsize
        here = [name for name, part in self._parts.items() if self._clock_of(part).endpoint == clock_call.endpoint]
        return sum(by_slice.get(name, 0) for name in here)

    def _clock_of(self, part: Slice) -> Call:
        return self._profile.clock_call_like(self._reader.calls(part)[0])

    def round_trip_ms(self) -> float | None:
        """Median of the last requests."""
        return self._client.round_trip_ms()

    @property
    def profiled(self) -> bool:
        """Whether what is asked and understood was made for this venue."""
        return self._profile.made_for_it

    def warm_sockets(self) -> Mapping[str, int]:
        """Per host, how many open connections wait for a request."""
        return self._pool.idle_sockets()

    def budget_left(self) -> Mapping[str, float]:
        """What is left of each request budget, as a part of 1."""
        return self._client.budget_left()

    def clock_offset_ms(self) -> float | None:
        """Venue's clock less ours."""
        return self._client.offset_ms

    async def close(self) -> None:
        """Let go of the session; its connections belong to the pool."""
        try:
            async with asyncio.timeout(self._options.close_timeout_s):
                await self._streams.close()
                await self._runner.stop()
                await self._details.close()
                await self._client.close()
        except TimeoutError:
            log.warning("venue_close_timed_out", exchange=self._options.exchange)

    async def _load_markets(self, kind: MarketKind) -> tuple[MarketRules, ...]:
        with background():
            return await self._reader.markets(kind)

    async def _read_key(self) -> None:
        """What the venue says of the key. Best effort where nothing that is done depends on it: not every environment
        of a venue has it.

        Raises:
            VenueError: the account's kind is another, or (where there are several) could not be learnt; or the key may
                withdraw, or may not be known not to, and configuration says that it must not.
        """
        expected = self._profile.account
        try:
            self.key_facts = await self._reader.key_facts()
        except VenueError as error:
            log.warning("venue_key_unread", exchange=self._options.exchange, code=error.code, error=str(error))
            if expected is not None or self._options.refuse_withdrawal:
                raise  # what was not read is no "may not"
            return
        if self.key_facts.may_withdraw:
            log.error("key_may_withdraw", exchange=self._options.exchange)
            if self._options.refuse_withdrawal:
                raise VenueDenied("the key may withdraw, and configuration refuses such keys: take the right from it")
        found = self.key_facts.account
        if expected is not None and found != expected:
            raise VenueDenied(
                f"the account is {found or 'of a kind that the venue does not tell'!r} and not {expected!r}: set"
                " options.account to what it is"
            )


def _raise_first(ended: Sequence[object]) -> None:
    for each in ended:
        if isinstance(each, BaseException):
            raise each
