"""Watches a locked account: cancels orders that add exposure, and closes what exceeds the baseline.

Looks come from the venue's streams where it has them, and from polling in the background's budget always: a stream
that is silent proves nothing. While a command is live the guard stands back.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import uuid4

import structlog

from node.clock import Clock
from node.domain.command import CommandState
from node.domain.guard import (
    Baseline,
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
from node.domain.steps import CancelOrders, ClosePosition, OrderIds, Step, StepResult
from node.engine.account import AccountTerms
from node.engine.doors import Doors
from node.engine.lookout import Lookout
from node.engine.restraint import Restraint
from node.engine.venue_port import Venue
from node.engine.view import AccountView
from node.errors import JournalUnavailable, VenueError, VenueLimited

GUARD_SCHEMA: Final = "sovereign-node/guard/1"
#: Between two looks at one slice, whatever wakes us.
LOOK_GAP_S: Final = 0.25
#: Without a stream, rarer looks than this are an alert; and so is a last look that is older, with or without.
INTERVAL_ALERT_S: Final = 10.0
KEEP_AGAIN_S: Final = 1.0
#: What several slices bring while a close is under way is kept with one write.
KEEP_TOGETHER_S: Final = 0.02
_UNREADABLE: Final = (AttributeError, KeyError, TypeError, ValueError, ArithmeticError)

log = structlog.get_logger(__name__)


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
    #: Returns when the first requests of a close are on their way; soon in any case.
    requests_first: Callable[[], Awaitable[None]]


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
        self._ids = OrderIds(command_id=uuid4(), account_id=terms.account_id, attempt=0, round=0)
        self._in_flight = 0
        self._memory: dict[str, Mapping[PositionKey, LegMemory]] = {}
        self._results: dict[str, list[StepResult]] = {}
        self._restraint = Restraint(clock)
        #: Shut beside the guard, and as long as the lock holds.
        self.doors = Doors(terms, venue, clock, links.lock)
        self._lookouts = {name: Lookout(name, venue, view, clock) for name in venue.slices}
        #: Its own reads tell it nothing new.
        self._noting = False
        self._dirty = asyncio.Event()
        #: All of it is on disk.
        self._kept = asyncio.Event()
        self._kept.set()
        #: What an earlier run has kept is known.
        self._read = asyncio.Event()
        self._read.set()
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
        except _UNREADABLE as error:
            log.error("guard_baseline_unreadable", account=self._terms.name, error=repr(error))  # noqa: TRY400
            return
        if lock.locked and _instant(baseline) == _instant(self._baseline):
            self._baseline = baseline
            self._restraint.after_restart()

    def begin_unread(self) -> None:
        """Begin without knowing what an earlier run has kept; what that was is not written over before it is read."""
        self.load(None)
        self._read.clear()

    def load_late(self, stored: Document | None) -> None:
        """Take over what an earlier run has kept, now that it can be read: a person's word on the mode, unless there
        is a newer one. The baseline is of the present lock, which that run did not know.
        """
        if stored is not None and not self._read.is_set() and self._override is None:
            with contextlib.suppress(*_UNREADABLE):
                self._override = baseline_from(stored)[1]
        self._read.set()
        self.wake()

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
        self.doors.wake()
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
        return self._restraint.spaced

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
            "interventions_last_minute": self._restraint.in_last_minute(),
            "spaced": self.spaced,
            "alerts": self.alerts(),
            **({"doors": doors} if (doors := self.doors.document()) is not None else {}),
        }

    def alerts(self) -> list[str]:
        """What a person should know of it now, each a code and words."""
        alerts = self.doors.alerts()
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

    # What it does

    async def run(self) -> None:
        """Watch until cancelled."""
        name = self._terms.name
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep(), name=f"guard-record:{name}")
            tasks.create_task(self._follow(), name=f"guard-streams:{name}")
            tasks.create_task(self.doors.run(), name=f"guard-doors:{name}")
            for slice_name in self._lookouts:
                tasks.create_task(self._watch(slice_name), name=f"guard:{name}:{slice_name}")

    async def _keep(self) -> None:
        while True:
            await self._dirty.wait()
            await self._read.wait()
            await self._links.requests_first()
            if self._links.goals():
                # All slices of a close are read at the same moment, and their proofs leave right after it.
                await asyncio.sleep(KEEP_TOGETHER_S)
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
            return min(lookout.interval_s(), self._restraint.clear_in_s(name))
        allowed, wait_ns = list[Step](), 0
        for closes in (False, True):
            steps = [step for step in plan.steps if isinstance(step, ClosePosition) is closes]
            later_ns = max(self._restraint.pace_ns(name, closes=closes), 0) if steps else 0
            wait_ns = max(wait_ns, later_ns)
            allowed += [] if later_ns else steps
        if allowed:
            await self._intervene(name, allowed)
        return min(wait_ns / 1e9, self._restraint.clear_in_s(name)) if wait_ns else 0.0

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
        if self._restraint.waits_for(thing):
            return True
        if isinstance(thing, OpenOrder):
            return False
        return self._restraint.blind and self._baseline.excess(thing) < thing.contracts

    async def _intervene(self, slice_name: str, steps: Sequence[Step]) -> None:
        self._ids = replace(self._ids, round=self._ids.round + 1)
        was_spaced = self.spaced
        self.interventions += 1
        self._in_flight += 1
        self._restraint.leaving(slice_name, steps)
        try:
            results = list(await asyncio.gather(*(self._venue.execute(step) for step in steps)))
        finally:
            self._in_flight -= 1
            self.last_step_ended_ns = self._clock.monotonic_ns()
            self._links.idle()
        self._results[slice_name] = results
        for result in results:
            self._links.on_step(self._terms, result)
        self._restraint.ended(slice_name, results, self.last_step_ended_ns)
        document = self._event(slice_name, results)
        log.warning("guard_intervened", account=self._terms.name, slice=slice_name, spaced=self.spaced)
        if self.spaced and not was_spaced:
            log.error("guard_spaced_out", account=self._terms.name)
        self._links.tell(document)

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
            "interventions_last_minute": self._restraint.in_last_minute(),
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
        if self._restraint.pace_ns(position.slice, closes=True) > 0:
            return False
        memory = self._memory.get(position.slice, {})
        return any(not is_residue(excess, memory) for excess in self._baseline.beyond([position]))


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
