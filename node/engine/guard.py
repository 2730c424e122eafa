"""Watches a locked account: cancels orders that add exposure, and closes what exceeds the baseline.

Looks come from the venue's streams where it has them, and from polling in the background's budget always: a stream
that is silent proves nothing. While a command is live the guard stands back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import uuid4

import structlog

from node.clock import Clock
from node.domain.assess import PositionKey
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
from node.domain.plan import LegMemory, Plan, Scope, learn
from node.domain.result import Document, decimal_text, instant_text
from node.domain.snapshot import SliceSnapshot
from node.domain.steps import CancelOrders, ClosePosition, OrderIds, Outcome, StepResult
from node.engine.account import AccountTerms
from node.engine.ports import Venue
from node.engine.view import AccountView
from node.errors import JournalUnavailable, VenueError

GUARD_SCHEMA: Final = "sovereign-node/guard/1"
#: An order of unknown outcome may still arrive so long: until then nothing more is closed on its leg.
LATE_ARRIVAL_NS: Final = 10_000_000_000
#: Between two looks at one slice, whatever wakes us.
LOOK_GAP_S: Final = 0.25
#: Looks beside a stream, which may be silent for any reason.
LOOK_BESIDE_STREAM_S: Final = 20.0
#: Without a stream, rarer looks than this are an alert.
INTERVAL_ALERT_S: Final = 10.0
KEEP_AGAIN_S: Final = 1.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardLinks:
    """What the guard of one account needs of the node around it."""

    node_id: str
    #: The account's lock as it is now.
    lock: Callable[[], AccountLock]
    #: Whether a command is live: then positions are its business.
    goal_live: Callable[[], bool]
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
        self._pace = Pace()
        self._ids = OrderIds(command_id=uuid4(), account_id=terms.account_id, attempt=0, round=0)
        self._in_flight = 0
        self._memory: dict[str, Mapping[PositionKey, LegMemory]] = {}
        self._results: dict[str, list[StepResult]] = {}
        #: Until when a leg waits for an order of unknown outcome.
        self._unclear: dict[tuple[str, PositionKey], int] = {}
        self._wakes = {name: asyncio.Event() for name in venue.slices}
        #: Slices in which something is said to have happened since they were looked at.
        self._told: set[str] = set()
        self._dirty = asyncio.Event()
        self._looked_ns: dict[str, int] = {}
        self._measured_s: dict[str, float] = {}
        self._alerted = False
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
        except (KeyError, TypeError, ValueError, ArithmeticError) as error:
            log.error("guard_baseline_unreadable", account=self._terms.name, error=repr(error))  # noqa: TRY400
            return
        if lock.locked and _instant(baseline) == _instant(self._baseline):
            self._baseline = baseline

    def lock_changed(self, lock: AccountLock) -> None:
        """A new lock begins a new baseline; a lock on a locked account changes nothing of it."""
        since = lock.since if lock.locked else None
        if since is None or self._baseline.since is None or _instant(self._baseline) != instant_text(since):
            self._baseline = Baseline(since=since)
            self._locked_at_ns = self._clock.monotonic_ns()
            self._dirty.set()
        self.wake()

    def command_ended(
        self, scope: Scope, slices: tuple[str, ...], state: CommandState, evidence: tuple[SliceSnapshot, ...]
    ) -> None:
        """A close has ended: what it proved is the new baseline of its part."""
        if state is CommandState.DONE:
            self._baseline = self._baseline.after_close(scope, evidence)
        else:
            self._baseline = self._baseline.after_failure(slices)
            self._locked_at_ns = self._clock.monotonic_ns()
        self._dirty.set()
        self.wake()

    def set_mode(self, mode: GuardMode | None) -> None:
        """A person's word for both modes, until the next one; None: as configured."""
        log.warning("guard_mode_set", account=self._terms.name, mode=mode and mode.value)
        self._override = mode
        self._dirty.set()
        self.wake()

    def wake(self) -> None:
        """Look now."""
        for event in self._wakes.values():
            event.set()

    # What it tells

    @property
    def modes(self) -> GuardModes:
        """What it does, a person's word considered."""
        return self._terms.execution.guard.overridden(self._override)

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
        return self._links.lock().locked and not self._links.goal_live()

    @property
    def spaced(self) -> bool:
        """Whether it has had to slow down: somebody opens again and again what it undoes."""
        return self._pace.spaced

    def interval_s(self) -> float:
        """The longest time between two looks at a slice that no stream tells of; 0 where streams tell of all."""
        return max((self._interval_s(name) for name in self._wakes if not self._venue.streaming(name)), default=0.0)

    def document(self) -> Document:
        """For the status."""
        modes = self.modes
        return {
            "active": self.active,
            "after_lock": modes.after_lock.value,
            "after_close": modes.after_close.value,
            "override": self._override and self._override.value,
            "interval_s": round(self.interval_s(), 1),
            "slices": {
                name: {
                    "streaming": self._venue.streaming(name),
                    "looks_every_s": round(self._interval_s(name), 1),
                    "measured_s": self._measured_s.get(name),
                    "baseline": self._baseline.knows(name),
                }
                for name in self._wakes
            },
            "interventions": self.interventions,
            "interventions_last_minute": self._pace.in_last_minute(self._clock.monotonic_ns()),
            "spaced": self.spaced,
            "alerts": self._alerts(),
        }

    def _alerts(self) -> list[str]:
        alerts = []
        if self.active and self.interval_s() > INTERVAL_ALERT_S:
            alerts.append(f"GUARD_INTERVAL: looks are {self.interval_s():.0f} s apart, and no stream tells in between")
        if self.active and self.spaced:
            alerts.append("GUARD_SPACED: ten interventions in a minute; from now on one every 30 s")
        return alerts

    # What it does

    async def run(self) -> None:
        """Watch until cancelled."""
        name = self._terms.name
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep(), name=f"guard-record:{name}")
            tasks.create_task(self._follow(), name=f"guard-streams:{name}")
            for slice_name in self._wakes:
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

    async def _follow(self) -> None:
        async for slice_name in self._venue.changes():
            self._told.add(slice_name)
            self._wakes[slice_name].set()

    async def _watch(self, slice_name: str) -> None:
        wake = self._wakes[slice_name]
        while True:
            wake.clear()
            if not self.active:
                self._looked_ns.pop(slice_name, None)
                self._alerted = False
                await wake.wait()
                continue
            wait_s = LOOK_GAP_S
            try:
                wait_s = max(await self._look(slice_name), LOOK_GAP_S)
            except VenueError as error:
                self._view.note_failure(slice_name, error)
                wait_s = max(self._interval_s(slice_name), getattr(error, "retry_after_s", None) or 0.0)
            except Exception:
                # The supervisor: a fault of ours must not leave the account unwatched.
                log.exception("guard_crashed", account=self._terms.name, slice=slice_name)
                wait_s = INTERVAL_ALERT_S
            await asyncio.sleep(LOOK_GAP_S)
            try:
                async with asyncio.timeout(wait_s - LOOK_GAP_S):
                    await wake.wait()
            except TimeoutError:
                pass

    async def _look(self, slice_name: str) -> float:
        """Read a slice and undo what must not be there; how long to wait until the next look."""
        if not self._baseline.knows(slice_name) and slice_name in self._venue.derivative_slices:
            # At once, not in the background: what is opened before this read counts as having been there.
            self._view.note(await self._venue.read_positions(slice_name))
        with self._patience(slice_name):
            snapshot = await self._venue.read_slice(slice_name)
        self._view.note(snapshot)
        self._measure(slice_name)
        now_ns = self._clock.monotonic_ns()
        plan = self._plan(slice_name, snapshot, now_ns)
        if not self.active:
            return 0.0
        if not plan.steps:
            self._memory.pop(slice_name, None)
            return self._interval_s(slice_name)
        if (wait_ns := self._pace.may_ns(now_ns)) > 0:
            return wait_ns / 1e9
        await self._intervene(slice_name, plan)
        return 0.0

    def _patience(self, slice_name: str) -> AbstractContextManager[object]:
        """Whoever was told that something has happened looks at once, as long as half of the whole budget bears it;
        who only looks again waits for the background's part.
        """
        told = slice_name in self._told and self._venue.respite_s(slice_name) == 0
        self._told.discard(slice_name)
        return nullcontext() if told else self._view.background()

    def _plan(self, slice_name: str, snapshot: SliceSnapshot, now_ns: int) -> Plan:
        memory = self._memory.get(slice_name, {})
        if results := self._results.pop(slice_name, []):
            memory = self._memory[slice_name] = learn(memory, results, snapshot)
        plan = plan_guard(
            snapshot,
            self._venue.kind(slice_name),
            self._baseline,
            self.modes,
            self._venue.rules(slice_name),
            ids=self._ids,
            memory=memory,
            max_slippage=self._terms.execution.max_slippage,
        )
        self._unclear = {key: until_ns for key, until_ns in self._unclear.items() if until_ns > now_ns}
        waiting = {leg for name, leg in self._unclear if name == slice_name}
        clear = (
            chain
            for chain in plan.chains
            if not any(
                isinstance(step, ClosePosition) and (step.symbol, step.side) in waiting
                for stage in chain
                for step in stage
            )
        )
        return Plan(chains=tuple(clear))

    async def _intervene(self, slice_name: str, plan: Plan) -> None:
        self._ids = replace(self._ids, round=self._ids.round + 1)
        was_spaced = self.spaced
        self._pace = self._pace.intervened(self._clock.monotonic_ns())
        self.interventions += 1
        self._in_flight += 1
        try:
            results = list(await asyncio.gather(*(self._venue.execute(step) for step in plan.steps)))
        finally:
            self._in_flight -= 1
            self.last_step_ended_ns = self._clock.monotonic_ns()
            self._links.idle()
        self._results[slice_name] = results
        for result in results:
            self._links.on_step(self._terms, result)
            step = result.step
            if isinstance(step, ClosePosition) and result.outcome is Outcome.AMBIGUOUS:
                self._unclear[slice_name, (step.symbol, step.side)] = self.last_step_ended_ns + LATE_ARRIVAL_NS
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
            "interventions_last_minute": self._pace.in_last_minute(self._clock.monotonic_ns()),
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
            self._baseline = self._baseline.taken(snapshot)
            self._dirty.set()
        elif any(self._baseline.excess(position) > 0 for position in snapshot.positions):
            self._told.add(name)
            self._wakes[name].set()

    def _interval_s(self, slice_name: str) -> float:
        polled_s = self._venue.look_interval_s(slice_name)
        return max(polled_s, LOOK_BESIDE_STREAM_S) if self._venue.streaming(slice_name) else polled_s

    def _measure(self, slice_name: str) -> None:
        now_ns = self._clock.monotonic_ns()
        if (before_ns := self._looked_ns.get(slice_name)) is not None:
            self._measured_s[slice_name] = round((now_ns - before_ns) / 1e9, 1)
        self._looked_ns[slice_name] = now_ns
        if not self._alerted and self.interval_s() > INTERVAL_ALERT_S:
            self._alerted = True
            log.warning("guard_interval_long", account=self._terms.name, interval_s=round(self.interval_s(), 1))


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
