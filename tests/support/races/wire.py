"""The way from a run of the node to an account's exchange: what has left a process arrives, whatever becomes of it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import wraps
from typing import Any, TypeVar

from node.domain.snapshot import SliceSnapshot
from node.domain.steps import Step, StepResult
from node.errors import VenueUnavailable
from node.sim.market import Product
from node.sim.orders import OrderTerms
from tests.property.worlds import Happening
from tests.support.core_venue import CoreVenue, Ending
from tests.support.races.process import Process

T = TypeVar("T")

#: After it nobody waits for an answer.
TIMEOUT_S = 10.0


class ReadFault(StrEnum):
    """What becomes of a read."""

    NONE = "none"
    FAILS = "fails"
    TIMES_OUT = "times out"
    STALE = "stale"  # what the last such read has shown; never as a proof, which nobody could tell from the truth


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A proof's read of a slice: from when until when, and what it claims."""

    slice: str
    started_ns: int
    ended_ns: int
    snapshot: SliceSnapshot


@dataclass(slots=True, kw_only=True)
class Exchange:
    """One account at its exchange; outlives every run of the node."""

    venue: CoreVenue
    endings: deque[Ending] = field(default_factory=deque)
    reads: deque[ReadFault] = field(default_factory=deque)
    streaming: bool = True
    #: By slice: since when it has been flat, or not.
    history: dict[str, list[tuple[int, bool]]] = field(default_factory=dict)
    proofs: list[Look] = field(default_factory=list)
    #: Steps as the run that sent them saw them: when each left, and when its end was known; None: it is not yet.
    steps: list[list[int | None]] = field(default_factory=list)
    #: What happens at its next moments: before each list that is read, and each step.
    meanwhile: deque[Happening] = field(default_factory=deque)
    #: When an engine has left a trigger.
    traps: list[int] = field(default_factory=list)
    wires: set[asyncio.Task[Any]] = field(default_factory=set)
    listeners: list[Callable[[str], None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.venue.ending = lambda _step: self.endings.popleft() if self.endings else None
        self.venue.moment = self._moment
        core = self.venue.core
        for name in ("place", "cancel", "cancel_all", "fire", "set_mark"):
            setattr(core, name, self._seen(getattr(core, name)))
        self._look()

    def _moment(self) -> None:
        if self.meanwhile:
            self.meanwhile.popleft().happen(self.venue)

    def _seen(self, deed: Callable[..., T]) -> Callable[..., T]:
        @wraps(deed)
        def watched(*given: Any, **named: Any) -> T:
            terms = given[-1] if given else None
            if isinstance(terms, OrderTerms) and terms.trigger is not None:
                self.traps.append(self.venue.clock.monotonic_ns())
            try:
                return deed(*given, **named)
            finally:
                self._look()

        return watched

    def _look(self) -> None:
        now_ns = self.venue.clock.monotonic_ns()
        for name in self.venue.slices:
            history = self.history.setdefault(name, [])
            if not history or history[-1][1] is not self.flat(name):
                history.append((now_ns, self.flat(name)))
            for tell in self.listeners:
                tell(name)

    def flat(self, slice_name: str) -> bool:
        """Whether nothing is open there, and nothing waits."""
        product, account = Product(slice_name), self.venue.account
        waits = any(order.terms.market.product is product for order in account.open_orders.values())
        return not waits and not any(account.open_positions(product))

    def was_flat_within(self, look: Look) -> bool:
        """At some instant between the begin and the end of a read.

        A proof in one round trip begins with the look that has shown no trigger. What an engine leaves after it, and
        what fires between the lists of that one round trip, passes it unseen: nothing is asked of it then.
        """
        since = look.snapshot.chained_from_ns
        if since is not None and any(since <= at_ns <= look.ended_ns for at_ns in self.traps):
            return True
        changes = self.history[look.slice]
        ends = [at_ns for at_ns, _ in changes[1:]] + [look.ended_ns + 1]
        return any(
            flat and since_ns <= look.ended_ns and until_ns >= look.started_ns
            for (since_ns, flat), until_ns in zip(changes, ends, strict=True)
        )

    def heal(self) -> None:
        """It behaves."""
        self.endings.clear()
        self.reads.clear()
        self.meanwhile.clear()
        self.venue.reopen_markets()
        self.stream(up=True)

    def stream(self, *, up: bool) -> None:
        """Streams are torn down, or can be had again."""
        self.streaming = up
        for name in self.venue.slices if up else ():
            for tell in self.listeners:
                tell(name)


class Wire:
    """Implements the engine's ``Venue`` for one run; what is not about sending and waiting is the venue's own."""

    def __init__(self, exchange: Exchange, process: Process) -> None:
        self._exchange = exchange
        self._process = process
        self._changes: asyncio.Queue[str] = asyncio.Queue()
        self._shown: dict[tuple[str, str], SliceSnapshot] = {}
        exchange.listeners = [self._told]  # of this run alone

    def __getattr__(self, name: str) -> Any:
        return getattr(self._exchange.venue, name)

    def _told(self, slice_name: str) -> None:
        if self._exchange.streaming:
            self._changes.put_nowait(slice_name)

    def streaming(self, slice_name: str) -> bool:
        return self._exchange.streaming

    async def changes(self) -> AsyncIterator[str]:
        while True:
            yield await self._changes.get()

    async def execute(self, step: Step, *, among: int = 1) -> StepResult:
        clock, seen = self._exchange.venue.clock, list[int | None]()
        seen += [clock.monotonic_ns(), None]
        self._exchange.steps.append(seen)
        try:
            return await self._sent(self._exchange.venue.execute(step, among=among))
        finally:
            if self._process.alive:
                seen[1] = clock.monotonic_ns()
            else:
                self._exchange.steps.remove(seen)

    async def read_positions(self, slice_name: str, *, certain: bool = False) -> SliceSnapshot:
        read = self._exchange.venue.read_positions(slice_name, certain=certain)
        return await self._read("positions", slice_name, read, may_be_stale=not certain)

    async def read_slice(self, slice_name: str) -> SliceSnapshot:
        return await self._read("slice", slice_name, self._exchange.venue.read_slice(slice_name))

    async def read_proof(self, slice_name: str, *, no_triggers_since_ns: int | None = None) -> SliceSnapshot:
        venue = self._exchange.venue
        began_ns = venue.clock.monotonic_ns()
        read = venue.read_proof(slice_name, no_triggers_since_ns=no_triggers_since_ns)
        shown = await self._read("proof", slice_name, read, may_be_stale=False)
        self._exchange.proofs.append(
            Look(slice=slice_name, started_ns=began_ns, ended_ns=venue.clock.monotonic_ns(), snapshot=shown)
        )
        return shown

    async def quotes(self, symbols: Collection[str]) -> Any:
        return await self._sent(self._exchange.venue.quotes(symbols))

    async def filled(self, step: Any) -> bool | None:
        return await self._sent(self._exchange.venue.filled(step))

    async def _read(
        self, kind: str, slice_name: str, read: Coroutine[Any, Any, SliceSnapshot], *, may_be_stale: bool = True
    ) -> SliceSnapshot:
        fault = self._exchange.reads.popleft() if self._exchange.reads else ReadFault.NONE
        if fault is ReadFault.FAILS or fault is ReadFault.TIMES_OUT:
            read.close()
            await asyncio.sleep(TIMEOUT_S if fault is ReadFault.TIMES_OUT else 0.001)
            raise VenueUnavailable
        shown = await self._sent(read)
        before = self._shown.get((kind, slice_name))
        self._shown[kind, slice_name] = shown
        if fault is ReadFault.STALE and may_be_stale and before is not None:
            return replace(before, started_ns=shown.started_ns, ended_ns=shown.ended_ns, read_at=shown.read_at)
        return shown

    async def _sent(self, work: Coroutine[Any, Any, T]) -> T:
        """Leave the process: from here on it happens, even if nobody waits for it any more."""
        if not self._process.alive:
            work.close()
            raise VenueUnavailable
        task = asyncio.create_task(work, name="wire")
        self._exchange.wires.add(task)
        task.add_done_callback(self._over)
        waits: Awaitable[T] = asyncio.shield(task)
        return await waits

    def _over(self, task: asyncio.Task[Any]) -> None:
        self._exchange.wires.discard(task)
        if not task.cancelled():
            task.exception()  # whoever has waited for it may be gone
