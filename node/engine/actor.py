"""One account's actor: arms the venue, takes commands, runs the pursuit, drills, answers for its state."""

from __future__ import annotations

import asyncio
from typing import Final
from uuid import UUID

import structlog

from node.domain.command import Action, Command, CommandState
from node.domain.latency import Stopwatch
from node.domain.lock import AccountLock
from node.domain.permission import Effect
from node.domain.result import ErrorReport, Findings, OrderCounts, Verdict
from node.domain.round import holds
from node.engine.drill import Drill
from node.engine.guard import Guard, GuardLinks
from node.engine.pursuit import AccountContext, Pursuit
from node.engine.rehearsal import Rehearsal
from node.engine.tracker import LiveCommand
from node.errors import VenueError

#: How long a command waits for an account that is just being armed.
ARMING_HEAD_START_S: Final = 1.0
ARM_AGAIN_MIN_S: Final = 0.5
ARM_AGAIN_MAX_S: Final = 30.0

log = structlog.get_logger(__name__)


class AccountActor:
    """Everything that happens to one account happens here, one thing after another, except the rounds themselves."""

    def __init__(self, context: AccountContext, *, node_id: str) -> None:
        self.context = context
        self.armed = asyncio.Event()
        #: Armed, and with warm sockets.
        self.ready = asyncio.Event()
        self.arm_error: VenueError | None = None
        self._node_id = node_id
        self._live: dict[UUID, LiveCommand] = {}
        self.guard = Guard(
            context.terms,
            context.venue,
            context.view,
            context.clock,
            GuardLinks(
                node_id=node_id,
                lock=lambda: context.ledger.get(context.terms.account_id),
                goals=lambda: tuple(live.scope for live in self._live.values()),
                keep=lambda document: context.journal.keep_guard(context.terms.account_id, document),
                tell=lambda document: context.on_guard(context.terms, document),
                idle=self._guard_idle,
                on_step=context.on_step,
                requests_first=context.departures.reads_out,
            ),
        )
        context.ledger.add_listener(self._lock_changed)
        self._drills: dict[UUID, tuple[LiveCommand, asyncio.Task[None]]] = {}
        self._pursuit: Pursuit | None = None
        self._work = asyncio.Event()
        self._hurry = asyncio.Event()
        self._arming_tried = asyncio.Event()
        self._tasks: asyncio.TaskGroup | None = None
        self._rehearsal: asyncio.Task[None] | None = None

    @property
    def live(self) -> tuple[Command, ...]:
        """Closing commands that have not ended, oldest first."""
        return tuple(live.command for live in self._live.values())

    @property
    def drilling(self) -> tuple[UUID, ...]:
        """Drills that have not ended."""
        return tuple(self._drills)

    @property
    def healthy(self) -> bool:
        """Armed with warm sockets, and every slice read not long ago."""
        return self.armed.is_set() and self.ready.is_set() and not self.context.view.unread()

    def oldest_received_ns(self) -> int | None:
        """When the oldest live command came in."""
        return min((live.stopwatch.received_ns for live in self._live.values()), default=None)

    async def run(self) -> None:
        """Serve until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            name = self.context.terms.name
            tasks.create_task(self._watch(), name=f"view:{name}")
            tasks.create_task(self._pursue(), name=f"pursuit:{name}")
            tasks.create_task(self._stand_guard(), name=f"guard:{name}")

    def accept(
        self, command: Command, stopwatch: Stopwatch, *, attempt: int = 0, counted: OrderCounts | None = None
    ) -> None:
        """Take a durable command over, once. Returns at once."""
        if command.command_id in self._live or command.command_id in self._drills:
            return
        live = LiveCommand(
            command, stopwatch, self.context.terms, node_id=self._node_id, attempt=attempt, counted=counted
        )
        if command.action is Action.LOCK or command.action is Action.UNLOCK:
            self._finish_lock(live)
        elif command.dry_run:
            self._begin_drill(live)
        else:
            for drill, task in list(self._drills.values()):
                # Concluded here: a task that has not begun yet does not learn of its end.
                task.cancel()
                error = ErrorReport(code="PREEMPTED", message="a real command came")
                self._end_drill(drill, CommandState.FAILED, Verdict.DRILL_FAILED, error)
            self._live[command.command_id] = live
            self._announce(live)
            self._hurry.set()
            self._work.set()
            if self._pursuit is not None:
                self._pursuit.widened()

    async def abort(self, command_id: UUID, error: ErrorReport) -> bool:
        """End a live command as failed. False: it is not live here."""
        live = self._live.get(command_id)
        if live is None:
            return False
        if self._pursuit is not None:
            await self._pursuit.abort(live, error)
        else:
            del self._live[command_id]
            self.guard.command_ended(live.scope, live.slices(self.context.venue), CommandState.FAILED, ())
            await self._note(live, CommandState.FAILED, error)
            self._hurry.set()
        return True

    async def refuse_to_resume(self, command: Command, stopwatch: Stopwatch, error: ErrorReport) -> None:
        """End an unfinished command of an earlier run without doing anything for it; the account stays locked."""
        live = LiveCommand(command, stopwatch, self.context.terms, node_id=self._node_id)
        if not command.dry_run:
            self.guard.command_ended(live.scope, live.slices(self.context.venue), CommandState.FAILED, ())
        await self._note(live, CommandState.FAILED, error)

    # Arming

    async def _watch(self) -> None:
        while True:
            try:
                await self._arm_and_poll()
            except Exception:
                # The supervisor: a fault of ours in background work must not take the account with it.
                log.exception("view_crashed", account=self.context.terms.name)
                await asyncio.sleep(ARM_AGAIN_MIN_S)

    async def _arm_and_poll(self) -> None:
        wait_s = ARM_AGAIN_MIN_S
        while not await self._arm():
            self._hurry.clear()
            if self._live:
                wait_s = ARM_AGAIN_MIN_S
            try:
                async with asyncio.timeout(wait_s):
                    await self._hurry.wait()
            except TimeoutError:
                wait_s = min(wait_s * 2, ARM_AGAIN_MAX_S)
        # Commands are taken from now on; that they find warm sockets is said a little later.
        await self.context.view.warm_up()
        self.ready.set()
        log.info("account_ready", account=self.context.terms.name)
        self._rehearse()
        await self.context.view.poll()

    async def _arm(self) -> bool:
        name = self.context.terms.name
        try:
            await self.context.venue.arm()
        except VenueError as error:
            log.warning("account_degraded", account=name, code=error.code, error=str(error))
            self.arm_error = error
            self._arming_tried.set()
            return False
        self.arm_error = None
        await self.context.view.sweep()
        self.armed.set()
        self._arming_tried.set()
        if self._pursuit is not None:
            self._pursuit.markets_loaded()
        log.info("account_armed", account=name, slices=self.context.venue.slices)
        return True

    def _rehearse(self) -> None:
        context = self.context
        if self._tasks is None or self._rehearsal is not None or not context.terms.permission.allows(Effect.CLOSE):
            return
        rehearsal = Rehearsal(
            context.terms,
            context.journal,
            context.venue,
            context.view,
            context.clock,
            departures=context.departures,
            rehearsed=context.rehearsed,
        )
        self._rehearsal = self._tasks.create_task(rehearsal.run(), name=f"rehearsal:{context.terms.name}")

    # Closing

    async def _pursue(self) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            if not self._live or not await self._wait_until_tried():
                self.context.departures.left(self.context.terms.account_id)  # aborted before anything was done
                continue
            self._pursuit = Pursuit(self.context, self._live, self.guard, symbols_certain=self.armed.is_set)
            try:
                await self._pursuit.run()
            except Exception:
                # The supervisor: a fault of ours must not end a command, nor take other accounts with it.
                log.exception("pursuit_crashed", account=self.context.terms.name)
                await asyncio.sleep(ARM_AGAIN_MIN_S)
                for live in self._live.values():
                    live.attempt += 1  # no client order id may be used twice
            finally:
                self._pursuit = None
                if self._live:
                    self._work.set()

    def _announce(self, live: LiveCommand) -> None:
        """What could be told of the command from now on lets its orders go first."""
        context = self.context
        if self._pursuit is None and self.armed.is_set():
            seen = ((name, context.view.warm(name)) for name in live.slices(context.venue))
            closing = [name for name, warm in seen if warm is not None and holds(warm, live.scope)]
            context.departures.announce(context.terms.account_id, closing)

    # Guarding

    async def _stand_guard(self) -> None:
        await self._arming_tried.wait()
        while True:
            try:
                await self.guard.run()
            except Exception:
                # The supervisor: a fault of ours in the guard must not take the account with it.
                log.exception("guard_crashed", account=self.context.terms.name)
                await asyncio.sleep(ARM_AGAIN_MIN_S)

    def _guard_idle(self) -> None:
        if self._pursuit is not None:
            self._pursuit.widened()

    def _lock_changed(self, lock: AccountLock) -> None:
        if lock.account_id == self.context.terms.account_id:
            self.guard.lock_changed(lock)

    async def _wait_until_tried(self) -> bool:
        """Give arming a moment, no more: one part of a venue being away must not keep us from the others, and a
        slice that cannot be read says so itself. False: no command is left.
        """
        try:
            async with asyncio.timeout(ARMING_HEAD_START_S):
                await self._arming_tried.wait()
        except TimeoutError:
            pass
        return bool(self._live)

    def _unarmed_error(self) -> ErrorReport:
        if self.arm_error is None:
            return ErrorReport(code="NOT_ARMED", message="the venue has not been reached yet")
        return ErrorReport(code=self.arm_error.code, message=str(self.arm_error))

    # Locks and drills

    def _finish_lock(self, live: LiveCommand) -> None:
        locks = live.command.action is Action.LOCK
        verdict = Verdict.LOCKED if locks else Verdict.UNLOCKED
        self._conclude(live, CommandState.DONE, Verdict.DRILL_PASSED if live.command.dry_run else verdict)

    def _begin_drill(self, live: LiveCommand) -> None:
        if self._live:
            error = ErrorReport(code="PREEMPTED", message="a real command is live")
            self._conclude(live, CommandState.FAILED, Verdict.DRILL_FAILED, error)
        elif not self.armed.is_set():
            self._conclude(live, CommandState.FAILED, Verdict.DRILL_FAILED, self._unarmed_error())
        elif self._tasks is not None:
            task = self._tasks.create_task(self._drill(live), name=f"drill:{live.command.command_id}")
            self._drills[live.command.command_id] = live, task

    async def _drill(self, live: LiveCommand) -> None:
        try:
            async with asyncio.timeout(self.context.terms.execution.deadline_s):
                findings = await Drill(live=live, context=self.context).carry_out()
        except TimeoutError:
            error = ErrorReport(code="TIMEOUT", message="not finished within the deadline")
            self._end_drill(live, CommandState.FAILED, Verdict.DRILL_FAILED, error)
        except Exception:
            # The supervisor: a fault of ours in a drill must not take the account with it.
            log.exception("drill_crashed", account=self.context.terms.name)
            error = ErrorReport(code="INTERNAL", message="the drill met a fault in the node itself: see its log")
            self._end_drill(live, CommandState.FAILED, Verdict.DRILL_FAILED, error)
        else:
            passed = findings.verdict is Verdict.DRILL_PASSED
            live.stopwatch.proof_at_ns = self.context.clock.monotonic_ns()
            self._end_drill(live, CommandState.DONE if passed else CommandState.FAILED, findings=findings)
        finally:
            # Cancelled with the whole node: no ending is told, the next run finds it interrupted.
            self._drills.pop(live.command.command_id, None)

    def _end_drill(
        self,
        live: LiveCommand,
        state: CommandState,
        verdict: Verdict | None = None,
        *errors: ErrorReport,
        findings: Findings | None = None,
    ) -> None:
        """Conclude a drill, once."""
        if self._drills.pop(live.command.command_id, None) is not None:
            self._conclude(live, state, verdict, *errors, findings=findings)

    def _conclude(
        self,
        live: LiveCommand,
        state: CommandState,
        verdict: Verdict | None = None,
        *errors: ErrorReport,
        findings: Findings | None = None,
    ) -> None:
        clock = self.context.clock
        event = live.event(
            state,
            None,
            self.context.venue,
            now=clock.now(),
            now_ns=clock.monotonic_ns(),
            errors=errors,
            findings=findings or Findings(verdict=verdict),
        )
        self.context.scribe.note(event)

    async def _note(self, live: LiveCommand, state: CommandState, error: ErrorReport) -> None:
        clock = self.context.clock
        await self.context.scribe.note(
            live.event(state, None, self.context.venue, now=clock.now(), now_ns=clock.monotonic_ns(), errors=(error,))
        )
