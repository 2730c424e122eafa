"""Watches a locked account: cancels orders that add exposure, and closes what exceeds the baseline.

Looks come from the venue's streams where it has them, and from polling in the background's budget always: a stream
that is silent proves nothing. While a command is live the guard stands back.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import uuid4

import structlog

from node.clock import Clock
from node.domain.command import CommandState
from node.domain.guard import (
    Baseline,
    Pace,
    baseline_document,
    baseline_from,
    plan_guard,
)
from node.domain.guard_mode import GuardMode, GuardModes
from node.domain.lock import AccountLock
from node.domain.permission import Permission
from node.domain.plan import LegMemory, Plan, Scope, is_residue, learn
from node.domain.result import Document, decimal_text, instant_text
from node.domain.snapshot import OpenOrder, Position, PositionKey, SliceSnapshot
from node.domain.steps import LATE_ARRIVAL_NS, CancelOrders, ClosePosition, OrderIds, Outcome, Step, StepResult
from node.engine.account import AccountTerms
from node.engine.lookout import Lookout
from node.engine.ports import Venue
from node.engine.view import AccountView
from node.errors import JournalUnavailable, VenueError, VenueLimited

GUARD_SCHEMA: Final = "sovereign-node/guard/1"
#: After a close that was taken: reads of the venue may lag behind it.
SETTLED_NS: Final = 3_000_000_000
#: Between two looks at one slice, whatever wakes us.
LOOK_GAP_S: Final = 0.25
#: A leg or an order whose step was refused is left alone for so long; doubled each time.
REFUSED_WAIT_NS: Final = 250_000_000
REFUSED_WAIT_MAX_NS: Final = 30_000_000_000
#: Without a stream, rarer looks than this are an alert; and so is a last look that is older, with or without.
INTERVAL_ALERT_S: Final = 10.0
KEEP_AGAIN_S: Final = 1.0

log = structlog.get_logger(__name__)

#: A leg, or an order by its id.
Target = PositionKey | str


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardLinks:
    """What the guard of one account needs of the node around it."""

    node_id: str
    #: The account's lock as it is now.
    lock: Callable[[], AccountLock]
    #: What the live commands are about: that is their business.
    goals: Callable[[], tuple[Scope, ...]]
    #: Makes the baseline durable. Raises JournalUnavailable.
    keep: Callable[[Document], Awaitable[None]]
    #: Publishes an intervention. Neither blocks nor raises.
    tell: Callable[[Document], None]
    #: The guard's steps have all ended.
    idle: Callable[[], None]
    on_step: Callable[[AccountTerms, StepResult], None]


class Guard:
    """The guard of one account. Everything but ``run`` is synchronous and may be called at any time."""

    def __init__(self, terms: AccountTerms, venue: Venue, view: AccountView, clock: Clock, links: GuardLinks) -> None:
        self._terms = terms
        self._venue = venue
        self._view = view
        self._clock = clock
        self._links = links
        self._baseline = Baseline()
        self._override: GuardMode | None = None
        #: A read from before the lock says nothing about what was there when it came.
        self._locked_at_ns = 0
        #: By slice, and whether it closes: what floods one part must not leave another open.
        self._paces: dict[tuple[str, bool], Pace] = {}
        self._ids = OrderIds(command_id=uuid4(), account_id=terms.account_id, attempt=0, round=0)
        self._in_flight = 0
        self._memory: dict[str, Mapping[PositionKey, LegMemory]] = {}
        self._results: dict[str, list[StepResult]] = {}
        #: By slice: until when a leg or an order is left alone, for a step that may still take effect or was refused.
        self._waits: dict[tuple[str, Target], int] = {}
        self._refusals: Counter[tuple[str, Target]] = Counter()
        #: Until then closes of an earlier process may arrive.
        self._blind_until_ns = 0
        self._lookouts = {name: Lookout(name, venue, view, clock) for name in venue.slices}
        #: Its own reads tell it nothing new.
        self._noting = False
        self._dirty = asyncio.Event()
        #: All of it is on disk.
        self._kept = asyncio.Event()
        self._kept.set()
        #: Monotonic: when the guard's newest step ended.
        self.last_step_ended_ns = 0
        self.interventions = 0
        view.listeners.append(self._seen)

    # What it is told

    def load(self, stored: Document | None) -> None:
        """Take over what an earlier run has kept, as far as it belongs to the present lock."""
        lock = self._links.lock()
        self._baseline = Baseline(since=lock.since if lock.locked else None)
        if stored is None:
            return
        try:
            baseline, self._override = baseline_from(stored)
        except (AttributeError, KeyError, TypeError, ValueError, ArithmeticError) as error:
            log.error("guard_baseline_unreadable", account=self._terms.name, error=repr(error))  # noqa: TRY400
            return
        if lock.locked and _instant(baseline) == _instant(self._baseline):
            self._baseline = baseline
            self._blind_until_ns = self._clock.monotonic_ns() + LATE_ARRIVAL_NS

    def lock_changed(self, lock: AccountLock) -> None:
        """A new lock begins a new baseline; a lock on a locked account changes nothing of it."""
        since = lock.since if lock.locked else None
        if since is None or self._baseline.since is None or _instant(self._baseline) != instant_text(since):
            self._baseline = Baseline(since=since)
            self._locked_at_ns = self._clock.monotonic_ns()
            self._changed()
        self.wake()

    def command_ended(
        self, scope: Scope, slices: tuple[str, ...], state: CommandState, evidence: tuple[SliceSnapshot, ...]
    ) -> None:
        """A close has ended: what it proved is the new baseline of its part."""
        if state is CommandState.DONE:
            self._baseline = self._baseline.after_close(scope, evidence)
        else:
            self._baseline = self._baseline.after_failure(slices, scope)
        self._locked_at_ns = self._clock.monotonic_ns()
        self._changed()
        self.wake()

    def set_mode(self, mode: GuardMode | None) -> None:
        """A person's word for both modes, until the next one; None: as configured. In force at once, kept soon."""
        log.warning("guard_mode_set", account=self._terms.name, mode=mode and mode.value)
        self._override = mode
        self._changed()
        self.wake()

    async def kept(self, within_s: float) -> bool:
        """Whether everything that must outlive this process is on disk, at the latest after so long."""
        try:
            async with asyncio.timeout(within_s):
                await self._kept.wait()
        except TimeoutError:
            return False
        return True

    def wake(self) -> None:
        """Look now."""
        for lookout in self._lookouts.values():
            lookout.wake.set()

    # What it tells

    @property
    def modes(self) -> GuardModes:
        """What it does: a person's word considered, and what the account's permission level allows."""
        modes = self._terms.execution.guard.overridden(self._override)
        if self._terms.permission is Permission.READ:
            return GuardModes(after_lock=GuardMode.OFF, after_close=GuardMode.OFF)
        if not self._terms.permission.closes:
            weaker = {GuardMode.REVERT: GuardMode.CANCEL}
            after_lock, after_close = (weaker.get(mode, mode) for mode in (modes.after_lock, modes.after_close))
            return GuardModes(after_lock=after_lock, after_close=after_close)
        return modes

    @property
    def busy(self) -> bool:
        """Whether a step of its own is in flight."""
        return self._in_flight > 0

    @property
    def active(self) -> bool:
        """Whether it watches now."""
        modes = self.modes
        if modes.after_lock is GuardMode.OFF and modes.after_close is GuardMode.OFF:
            return False
        return self._links.lock().locked and not any(goal.symbols is None for goal in self._links.goals())

    @property
    def spaced(self) -> bool:
        """Whether it has had to slow down: somebody opens again and again what it undoes."""
        now_ns = self._clock.monotonic_ns()
        return any(pace.spaced and pace.in_last_minute(now_ns) for pace in self._paces.values())

    def interval_s(self) -> float:
        """The longest time between two looks at a slice that no stream tells of; 0 where streams tell of all."""
        polled = (each for name, each in self._lookouts.items() if not self._venue.streaming(name))
        return max((each.interval_s() for each in polled), default=0.0)

    def document(self) -> Document:
        """For the status."""
        modes = self.modes
        return {
            "active": self.active,
            "after_lock": modes.after_lock.value,
            "after_close": modes.after_close.value,
            "override": self._override and self._override.value,
            "durable": self._kept.is_set(),
            "interval_s": round(self.interval_s(), 1),
            "slices": {
                name: {
                    "streaming": self._venue.streaming(name),
                    "looks_every_s": round(lookout.interval_s(), 1),
                    "measured_s": lookout.measured_s,
                    "baseline": self._baseline.knows(name),
                }
                for name, lookout in self._lookouts.items()
            },
            "interventions": self.interventions,
            "interventions_last_minute": self._in_last_minute(),
            "spaced": self.spaced,
            "alerts": self.alerts(),
        }

    def alerts(self) -> list[str]:
        """What a person should know of it now, each a code and words."""
        alerts = []
        if self._links.lock().locked and self._terms.execution.guard.overridden(self._override) != self.modes:
            alerts.append(f"GUARD_POWERLESS: the account's permission is {self._terms.permission}")
        if not self.active:
            return alerts
        if self.interval_s() > INTERVAL_ALERT_S:
            alerts.append(f"GUARD_INTERVAL: looks are {self.interval_s():.0f} s apart, and no stream tells in between")
        for name, lookout in self._lookouts.items():
            if lookout.age_s() > max(INTERVAL_ALERT_S, 2 * lookout.interval_s()) or lookout.half_blind:
                alerts.append(f"GUARD_BLIND: {name} was last read whole {lookout.age_s():.0f} s ago")
        if self.spaced:
            alerts.append("GUARD_SPACED: ten interventions in a minute; from now on one every 30 s")
        return alerts

    def _in_last_minute(self) -> int:
        now_ns = self._clock.monotonic_ns()
        return sum(pace.in_last_minute(now_ns) for pace in self._paces.values())

    # What it does

    async def run(self) -> None:
        """Watch until cancelled."""
        name = self._terms.name
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep(), name=f"guard-record:{name}")
            tasks.create_task(self._follow(), name=f"guard-streams:{name}")
            for slice_name in self._lookouts:
                tasks.create_task(self._watch(slice_name), name=f"guard:{name}:{slice_name}")

    async def _keep(self) -> None:
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            try:
                await self._links.keep(baseline_document(self._baseline, self._override))
            except JournalUnavailable:
                await asyncio.sleep(KEEP_AGAIN_S)
                self._dirty.set()
            else:
                if not self._dirty.is_set():
                    self._kept.set()

    def _changed(self) -> None:
        self._kept.clear()
        self._dirty.set()

    async def _follow(self) -> None:
        async for slice_name in self._venue.changes():
            self._lookouts[slice_name].told()

    async def _watch(self, slice_name: str) -> None:
        lookout = self._lookouts[slice_name]
        while True:
            lookout.wake.clear()
            if not self.active:
                lookout.rest()
                await lookout.wake.wait()
                lookout.rest()  # how long there was nothing to look for is nobody's blindness
                continue
            try:
                wait_s = await self._look(lookout)
            except VenueError as error:
                self._view.note_failure(slice_name, error)
                wait_s = lookout.failed(error.retry_after_s if isinstance(error, VenueLimited) else None)
            except Exception:
                # The supervisor: a fault of ours must not leave the account unwatched.
                log.exception("guard_crashed", account=self._terms.name, slice=slice_name)
                wait_s = INTERVAL_ALERT_S
            await asyncio.sleep(LOOK_GAP_S)
            try:
                async with asyncio.timeout(max(wait_s - LOOK_GAP_S, 0.0)):
                    await lookout.wake.wait()
            except TimeoutError:
                pass

    async def _look(self, lookout: Lookout) -> float:
        """Read a slice and undo what must not be there; how long to wait until the next look."""
        name = lookout.name
        if not self._baseline.knows(name) and name in self._venue.derivative_slices:
            # At once, not in the background: what is opened before this read counts as having been there.
            self._note(await self._venue.read_positions(name, certain=True))
        snapshot = await lookout.read()
        self._note(snapshot)
        self._learn(snapshot)
        plan = self._plan(snapshot)
        if any(isinstance(step, ClosePosition) for step in plan.steps):
            plan = self._plan(await self._confirmed(snapshot))
        if not self.active or snapshot.started_ns < self._locked_at_ns:
            return 0.0
        if not plan.steps:
            return min(lookout.interval_s(), self._clear_in_s(name))
        now_ns, allowed, wait_ns = self._clock.monotonic_ns(), list[Step](), 0
        for closes in (False, True):
            steps = [step for step in plan.steps if isinstance(step, ClosePosition) is closes]
            later_ns = self._paces.get((name, closes), Pace()).wait_ns(now_ns) if steps else 0
            wait_ns = max(wait_ns, later_ns)
            allowed += [] if later_ns else steps
        if allowed:
            await self._intervene(name, allowed)
        return min(wait_ns / 1e9, self._clear_in_s(name)) if wait_ns else 0.0

    def _clear_in_s(self, slice_name: str) -> float:
        """How long until the first leg or order of a slice is left alone no more; for ever if none is."""
        now_ns = self._clock.monotonic_ns()
        waits = [until_ns - now_ns for (name, _), until_ns in self._waits.items() if name == slice_name]
        if now_ns < self._blind_until_ns:
            waits.append(self._blind_until_ns - now_ns)
        return min(waits, default=10**18) / 1e9

    def _note(self, snapshot: SliceSnapshot) -> None:
        self._noting = True
        try:
            self._view.note(snapshot)
        finally:
            self._noting = False

    async def _confirmed(self, snapshot: SliceSnapshot) -> SliceSnapshot:
        """The look with positions as a second, younger read shows them too, each at the smaller size: a close must not
        cut into the baseline because one read was old, or lagged. Without any where there is no such read.
        """
        try:
            again = await self._venue.read_positions(snapshot.slice)
        except VenueError as error:
            self._view.note_failure(snapshot.slice, error, positions_only=True)
            return replace(snapshot, positions=())
        sizes = {position.key: position.contracts for position in again.positions}
        seen = tuple(
            replace(position, contracts=min(position.contracts, sizes[position.key]))
            for position in snapshot.positions
            if position.key in sizes
        )
        usable = again.started_ns > self.last_step_ended_ns and snapshot.started_ns >= self._locked_at_ns
        return replace(snapshot, positions=seen if usable else ())

    def _learn(self, snapshot: SliceSnapshot) -> None:
        """From the last closes; of the legs that still exceed the baseline, the others are forgotten."""
        name = snapshot.slice
        excess = replace(snapshot, positions=self._baseline.beyond(snapshot.positions))
        results = self._results.pop(name, [])
        self._memory[name] = learn(self._memory.get(name, {}), results, excess, self._venue.rules(name))

    def _plan(self, snapshot: SliceSnapshot) -> Plan:
        name = snapshot.slice
        now_ns = self._clock.monotonic_ns()
        self._waits = {key: until_ns for key, until_ns in self._waits.items() if until_ns > now_ns}
        mine = replace(
            snapshot,
            positions=tuple(each for each in snapshot.positions if not self._left_alone(each)),
            orders=tuple(each for each in snapshot.orders or () if not self._left_alone(each)),
        )
        return plan_guard(
            mine,
            self._venue.kind(name),
            self._baseline,
            self.modes,
            self._venue.rules(name),
            ids=self._ids,
            memory=self._memory.get(name, {}),
            max_slippage=self._terms.execution.max_slippage,
        )

    def _left_alone(self, thing: Position | OpenOrder) -> bool:
        """A live command's business, or waiting for what was done about it last."""
        if any(goal.covers(thing.symbol) for goal in self._links.goals()):
            return True
        if isinstance(thing, OpenOrder):
            return (thing.slice, thing.order_id) in self._waits
        # A close of an earlier process may still be on its way: a second one would cut into the baseline.
        blind = self._clock.monotonic_ns() < self._blind_until_ns and self._baseline.excess(thing) < thing.contracts
        return blind or (thing.slice, thing.key) in self._waits

    async def _intervene(self, slice_name: str, steps: Sequence[Step]) -> None:
        self._ids = replace(self._ids, round=self._ids.round + 1)
        was_spaced = self.spaced
        self.interventions += 1
        self._in_flight += 1
        late_ns = self._clock.monotonic_ns() + LATE_ARRIVAL_NS
        for step in steps:
            if isinstance(step, ClosePosition):  # unclear from the moment it leaves, also if we are interrupted
                self._waits |= {(slice_name, target): late_ns for target in _targets(step)}
        try:
            results = list(await asyncio.gather(*(self._venue.execute(step) for step in steps)))
        finally:
            self._in_flight -= 1
            self.last_step_ended_ns = self._clock.monotonic_ns()
            self._links.idle()
        self._results[slice_name] = results
        for result in results:
            self._links.on_step(self._terms, result)
        self._pace_and_wait(slice_name, results)
        document = self._event(slice_name, results)
        log.warning("guard_intervened", account=self._terms.name, slice=slice_name, spaced=self.spaced)
        if self.spaced and not was_spaced:
            log.error("guard_spaced_out", account=self._terms.name)
        self._links.tell(document)

    def _pace_and_wait(self, slice_name: str, results: Iterable[StepResult]) -> None:
        """What was refused has cost nothing and waits by itself: it must not keep us from the rest of the slice."""
        settling: dict[Target, int] = {}
        refused: set[Target] = set()
        for result in results:
            step = result.step
            if result.outcome is Outcome.REFUSED:
                refused.update(_targets(step))
                continue
            closes = isinstance(step, ClosePosition)
            if closes:
                settles_ns = SETTLED_NS if result.outcome is Outcome.DONE else LATE_ARRIVAL_NS
                settling |= {each: max(settles_ns, settling.get(each, 0)) for each in _targets(step)}
            pace = self._paces.get((slice_name, closes), Pace())
            if pace.times[-1:] != (self.last_step_ended_ns,):  # all of one look are one intervention
                self._paces[slice_name, closes] = pace.intervened(self.last_step_ended_ns)
            for target in _targets(step):
                self._refusals.pop((slice_name, target), None)
        for target in refused - settling.keys():
            key = slice_name, target
            settling[target] = min(REFUSED_WAIT_NS << min(self._refusals[key], 10), REFUSED_WAIT_MAX_NS)
            self._refusals[key] += 1
        for target, wait_ns in settling.items():
            self._waits[slice_name, target] = self.last_step_ended_ns + wait_ns

    def _event(self, slice_name: str, results: list[StepResult]) -> Document:
        lock, modes = self._links.lock(), self.modes
        return {
            "schema": GUARD_SCHEMA,
            "node_id": self._links.node_id,
            "account_id": str(self._terms.account_id),
            "at": instant_text(self._clock.now()),
            "slice": slice_name,
            "after_lock": modes.after_lock.value,
            "after_close": modes.after_close.value,
            "steps": [_step_document(result) for result in results],
            "interventions_last_minute": self._in_last_minute(),
            "spaced": self.spaced,
            "alert": self.spaced,
            "lock": {"locked": lock.locked, "epoch": lock.epoch},
        }

    def _seen(self, snapshot: SliceSnapshot) -> None:
        """Somebody has read a slice."""
        name = snapshot.slice
        if self._baseline.since is None or snapshot.started_ns < self._locked_at_ns:
            return
        if not self._baseline.knows(name):
            if not snapshot.positions_doubtful:
                self._baseline = self._baseline.taken(snapshot)
                self._changed()
        elif not self._noting and any(self._undoes(position) for position in snapshot.positions):
            self._lookouts[name].told()

    def _undoes(self, position: Position) -> bool:
        """Whether a look would close some of it now."""
        if self._baseline.mode(self.modes, position) is not GuardMode.REVERT or self._left_alone(position):
            return False
        if self._paces.get((position.slice, True), Pace()).wait_ns(self._clock.monotonic_ns()) > 0:
            return False
        memory = self._memory.get(position.slice, {})
        return any(not is_residue(excess, memory) for excess in self._baseline.beyond([position]))


def _targets(step: Step) -> tuple[Target, ...]:
    """What a step is about: the leg that it closes, or the orders that it cancels."""
    match step:
        case ClosePosition():
            return (step.key,)
        case CancelOrders():
            return step.order_ids
        case _:
            return ()


def _instant(baseline: Baseline) -> str | None:
    return None if baseline.since is None else instant_text(baseline.since)


def _step_document(result: StepResult) -> dict[str, Any]:
    step = result.step
    told: dict[str, Any] = {
        "symbol": step.symbol,
        "outcome": result.outcome.value,
        "code": result.refusal and result.refusal.value,
    }
    if isinstance(step, ClosePosition):
        return told | {"deed": "close", "side": step.side.value, "contracts": decimal_text(step.contracts)}
    return told | {"deed": "cancel", "orders": len(step.order_ids) if isinstance(step, CancelOrders) else 0}
