"""One account's live goal: the union of its live commands, pursued over all slices until each is proven."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import structlog

from node.clock import Clock
from node.domain.assess import Aim, Assessment, SliceState, assess, to_renew
from node.domain.command import CommandState
from node.domain.result import Document, ErrorReport
from node.domain.round import holds
from node.domain.snapshot import SliceSnapshot
from node.domain.steps import OrderIds, StepResult
from node.engine.account import AccountTerms
from node.engine.departures import Departures
from node.engine.guard import Guard
from node.engine.lock_ledger import LockLedger
from node.engine.ports import Journal
from node.engine.scribe import Scribe
from node.engine.slice_goal import SliceGoal
from node.engine.slice_worker import SliceWorker
from node.engine.spot_worker import SpotWorker
from node.engine.tracker import LiveCommand
from node.engine.venue_port import Venue
from node.engine.view import AccountView

#: How long a slice's proof waits for other slices to finish: their later steps would make it worthless.
QUIET_WITHIN_S: Final = 0.3
#: An older proof is renewed before anything is said of it, or sold because of it.
PROOF_MAX_AGE_NS: Final = 5_000_000_000
#: Reports of an unfinished command come in growing intervals.
REPORT_AGAIN_MAX_S: Final = 300.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountContext:
    """What every part of one account's engine works with."""

    terms: AccountTerms
    venue: Venue
    view: AccountView
    scribe: Scribe
    clock: Clock
    ledger: LockLedger
    journal: Journal
    #: Shared by all accounts.
    departures: Departures
    #: As well: what has been rehearsed.
    rehearsed: set[tuple[str, ...]]
    #: Called with every intervention of the guard.
    on_guard: Callable[[AccountTerms, Document], None] = lambda _terms, _document: None
    #: Called with every step's result, for the metrics.
    on_step: Callable[[AccountTerms, StepResult], None] = lambda _terms, _result: None


class Pursuit:
    """Runs while commands are live; newcomers widen the goal and never wait."""

    def __init__(
        self,
        context: AccountContext,
        live: dict[UUID, LiveCommand],
        guard: Guard,
        *,
        symbols_certain: Callable[[], bool],
    ) -> None:
        self._context = context
        #: Whether all markets are loaded: until then a symbol that is not found may still exist.
        self._symbols_certain = symbols_certain
        #: Shared with the actor, which adds newcomers.
        self._live = live
        self._guard = guard
        self._changed = asyncio.Event()
        #: Set at the end of a judgement that began after it was made.
        self._judged = asyncio.Event()
        self._workers: dict[str, SliceWorker] = {}
        self._rounds: dict[str, int] = {}
        #: Slices that have nothing left to do but their proof.
        self._quiet: set[str] = set()
        self._all_quiet = asyncio.Event()

    # What the slices see of it

    def goal(self, slice_name: str) -> SliceGoal | None:
        """The union of what the live commands want of one slice."""
        venue = self._context.venue
        wanting = [live for live in self._live.values() if slice_name in live.slices(venue)]
        if not wanting:
            return None
        scope = wanting[0].scope
        for live in wanting[1:]:
            scope = scope.union(live.scope)
        lead = wanting[0]
        ids = OrderIds(
            command_id=lead.command.command_id,
            account_id=self._context.terms.account_id,
            attempt=lead.attempt,
            round=0,
        )
        parts = tuple(dict.fromkeys(live.scope for live in wanting))
        return SliceGoal(scope=scope, flatten=any(live.flattens for live in wanting), parts=parts, ids=ids)

    def account_for(self, result: StepResult) -> None:
        """Count a step for every command that it was done for."""
        for live in self._live.values():
            live.account_for(result)
        self._context.on_step(self._context.terms, result)

    def snapshot_taken(self, slice_name: str, at_ns: int) -> None:
        """The first plan of a command's slice could be made."""
        for live in self._live.values():
            if slice_name in live.slices(self._context.venue):
                live.stopwatch.snapshot_taken(at_ns)

    def round_begun(self, slice_name: str, number: int) -> None:
        """Say that a round is over when the next one begins."""
        before = max(self._rounds.values(), default=0)
        self._rounds[slice_name] = number
        if number > before:
            for live in list(self._live.values()):
                if number > 1:
                    self._note(live, CommandState.RUNNING)
                live.rounds += 1

    def changed(self) -> None:
        """A slice has something new to judge."""
        self._changed.set()

    async def quiet(self, slice_name: str, *, within_s: float = QUIET_WITHIN_S) -> bool:
        """Return when every slice with a goal has nothing left to do but its proof; or after a short while, False."""
        self.idle(slice_name)
        try:
            async with asyncio.timeout(within_s):
                await self._all_quiet.wait()
        except TimeoutError:
            return False
        return True

    async def orders_first(self, slice_name: str) -> None:
        """Let slices that have something to close, of any account, put it onto the wire before this one reads."""
        if not self._context.departures.pending(self._context.terms.account_id, slice_name):
            await self._context.departures.over()

    def launched(self, slice_name: str) -> None:
        """The slice's first orders are on their way."""
        self._context.departures.left(self._context.terms.account_id, slice_name)

    def idle(self, slice_name: str) -> None:
        """The slice has nothing left to do, as far as is known."""
        self._quiet.add(slice_name)
        if all(name in self._quiet for name in self._workers if self.goal(name) is not None):
            self._all_quiet.set()

    def busy(self, slice_name: str) -> None:
        """The slice has something to do again."""
        self._quiet.discard(slice_name)
        self._all_quiet.clear()

    async def judged(self) -> None:
        """Have the states judged, and return when that is done."""
        passed = self._judged
        self._changed.set()
        await passed.wait()

    def may_sell(self) -> bool:
        """Sales begin when positions and their orders are proven gone: a balance may be the other leg's hedge, or its
        margin.
        """
        venue = self._context.venue
        workers = [self._workers[name] for name in venue.derivative_slices if self.goal(name) is not None]
        if not all(worker.cleared() for worker in workers):
            return False
        oldest_ns = self._context.clock.monotonic_ns() - PROOF_MAX_AGE_NS
        stale = [worker for worker in workers if not worker.cleared(since_ns=oldest_ns)]
        for worker in stale:
            worker.recheck()
        return not stale

    # What the actor asks of it

    def markets_loaded(self) -> None:
        """Symbols have their names now: whatever was read before is read again."""
        for worker in self._workers.values():
            worker.recheck()
        self.widened()

    def widened(self) -> None:
        """The live commands have changed."""
        self._changed.set()
        for worker in self._workers.values():
            worker.wake(hurry=True)

    async def run(self) -> None:
        """Pursue until no command is live. Steps in flight are always waited for."""
        context = self._context
        # Positions first: their orders are the first to be signed and sent.
        derivatives = context.venue.derivative_slices
        for name in (*derivatives, *(name for name in context.venue.slices if name not in derivatives)):
            kind = SliceWorker if name in derivatives else SpotWorker
            self._workers[name] = kind(
                name, venue=context.venue, view=context.view, account=context.terms, clock=context.clock, pursuit=self
            )
        closing = [name for name in self._workers if self._has_something_to_close(name)]
        context.departures.announce(context.terms.account_id, closing)
        context.view.listeners.append(self._somebody_read)
        try:
            await self._run()
        finally:
            context.departures.left(context.terms.account_id)
            context.view.listeners.remove(self._somebody_read)

    def _somebody_read(self, snapshot: SliceSnapshot) -> None:
        worker = self._workers.get(snapshot.slice)
        if worker is not None:
            worker.surprised(snapshot)

    async def _run(self) -> None:
        context = self._context
        async with asyncio.TaskGroup() as tasks:
            # What has something to close comes first. The rest has only to look: before the orders have left there is
            # nothing to judge either, and each of these takes as long as it takes an order to leave.
            departures, account_id = context.departures, context.terms.account_id
            first = [name for name in self._workers if departures.pending(account_id, name)]
            serving = self._serve(tasks, first)
            reminders: dict[UUID, asyncio.Task[None]] = {}
            await departures.over()
            serving += self._serve(tasks, [name for name in self._workers if name not in first])
            while self._live:
                for command_id, live in self._live.items():
                    if command_id not in reminders:
                        reminders[command_id] = tasks.create_task(self._remind(live), name=f"deadline:{command_id}")
                self._judge()
                for command_id in reminders.keys() - self._live.keys():
                    reminders.pop(command_id).cancel()
                if self._live:
                    await self._changed.wait()
                    self._changed.clear()
            self._judged.set()
            for worker in self._workers.values():
                worker.stop()
            for task in serving:
                task.cancel()  # what is being read now serves nobody
            for reminder in reminders.values():
                reminder.cancel()

    def _serve(self, tasks: asyncio.TaskGroup, names: Iterable[str]) -> list[asyncio.Task[None]]:
        account = self._context.terms.name
        return [tasks.create_task(self._workers[name].run(), name=f"slice:{account}:{name}") for name in names]

    def _has_something_to_close(self, name: str) -> bool:
        warm, goal = self._context.view.warm(name), self.goal(name)
        return bool(warm and goal and holds(warm, goal.scope))

    def _judge(self) -> None:
        """End the commands whose part is proven, or lost; have proofs renewed that a later step has overtaken."""
        passed, self._judged = self._judged, asyncio.Event()
        if self._guard.busy:
            passed.set()
            return  # a step of its is still in flight: nothing is proven before it has ended
        states = {name: worker.state() for name, worker in self._workers.items()}
        for live in list(self._live.values()):
            names = live.slices(self._context.venue)
            assessment = self._assess(live, [states[name] for name in names])
            if assessment.complete:
                self._complete(live, assessment)
            elif assessment.hopeless:
                self._end(live, CommandState.FAILED, assessment)
            else:
                for name in to_renew(self._aim(live), [states[name] for name in names]):
                    self._workers[name].recheck()
        for worker in self._workers.values():
            worker.wake()
        passed.set()

    def _assess(self, live: LiveCommand, states: list[SliceState]) -> Assessment:
        judged = {state.slice for state in states}
        others = [self._context.view.last(name) for name in self._context.venue.slices if name not in judged]
        return assess(self._aim(live), states, beside=[seen.snapshot for seen in others if seen is not None])

    def _complete(self, live: LiveCommand, assessment: Assessment) -> None:
        """Done at the first proof; a hold needs a second one, begun after the settling time."""
        now_ns = self._context.clock.monotonic_ns()
        if live.stopwatch.proof_at_ns is None:
            live.stopwatch.proof_at_ns = now_ns
        if live.latches or not assessment.may_release:
            self._end(live, CommandState.DONE, assessment)
            return
        if live.settled_from_ns is None:
            settle_s = self._context.terms.execution.settle_s
            live.settled_from_ns = now_ns + int(settle_s * 1e9)
            asyncio.get_running_loop().call_later(settle_s, self._prove_again, live)
        elif self._last_step_ended_ns() > live.settled_from_ns - int(self._context.terms.execution.settle_s * 1e9):
            live.settled_from_ns = None  # something was there again: settling begins anew
            self._complete(live, assessment)
        elif all(proof.started_ns >= live.settled_from_ns for proof in assessment.evidence):
            self._end(live, CommandState.DONE, assessment)

    def _last_step_ended_ns(self) -> int:
        return max(worker.state().last_step_ended_ns for worker in self._workers.values())

    def _aim(self, live: LiveCommand) -> Aim:
        return live.aim(
            self._context.venue,
            symbols_certain=self._symbols_certain(),
            proofs_from_ns=self._guard.last_step_ended_ns,
            proofs_until_ns=self._context.clock.monotonic_ns() - PROOF_MAX_AGE_NS,
        )

    def _prove_again(self, live: LiveCommand) -> None:
        for name in live.slices(self._context.venue):
            if name in self._workers:
                self._workers[name].recheck()

    def _end(self, live: LiveCommand, state: CommandState, assessment: Assessment) -> None:
        # The record is not waited for: a slow journal must not hold up what other commands still have to do.
        del self._live[live.command.command_id]
        self._guard.command_ended(live.scope, live.slices(self._context.venue), state, assessment.evidence)
        self._note(live, state, assessment)

    def _note(
        self, live: LiveCommand, state: CommandState, assessment: Assessment | None = None
    ) -> asyncio.Future[Document]:
        if assessment is None:
            names = live.slices(self._context.venue)
            assessment = self._assess(live, [self._workers[name].state() for name in names])
        clock = self._context.clock
        event = live.event(state, assessment, self._context.venue, now=clock.now(), now_ns=clock.monotonic_ns())
        return self._context.scribe.note(event)

    async def _remind(self, live: LiveCommand) -> None:
        """Say that a command is incomplete when its deadline passes, and again in growing intervals."""
        wait_s = self._context.terms.execution.deadline_s
        while True:
            await asyncio.sleep(wait_s)
            if live.command.command_id not in self._live:
                return
            log.warning("command_incomplete", command_id=str(live.command.command_id))
            await self._note(live, CommandState.INCOMPLETE)
            wait_s = min(wait_s * 2, REPORT_AGAIN_MAX_S)

    async def abort(self, live: LiveCommand, error: ErrorReport) -> None:
        """End one command as failed, on a person's word."""
        names = live.slices(self._context.venue)
        states = [self._workers[name].state() for name in names if name in self._workers]
        assessment = self._assess(live, states)
        self._live.pop(live.command.command_id, None)
        self._guard.command_ended(live.scope, names, CommandState.FAILED, ())
        clock = self._context.clock
        event = live.event(
            CommandState.FAILED,
            assessment,
            self._context.venue,
            now=clock.now(),
            now_ns=clock.monotonic_ns(),
            errors=(error,),
        )
        await self._context.scribe.note(event)
        self.widened()
