"""After a restart: what was unfinished goes back through the dispatcher, or is put before the operator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import timedelta
from uuid import UUID

import structlog

from node.clock import Clock
from node.domain.command import Action, Command, CommandState
from node.domain.latency import Stopwatch
from node.domain.lock import AccountLock
from node.domain.result import Document, ErrorReport, Findings, OrderCounts, Verdict, result_document
from node.engine.dispatcher import Dispatcher
from node.engine.incoming import undone
from node.engine.ports import Event, Journal, LockChange, StoredCommand
from node.engine.scribe import Scribe

#: Client order ids of one attempt: restarts of a pursuit within one run of the process count on from here.
ATTEMPT_STRIDE = 1000

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """Re-enqueues, never executes: what is to be done is planned anew from what the venue shows."""

    node_id: str
    journal: Journal
    scribe: Scribe
    dispatcher: Dispatcher
    clock: Clock
    #: How old a command of an account that has been removed may be, and still wait for the account to come back.
    resume_within: timedelta
    #: Whether this run has had a command already: delivered again while the journal could not be asked.
    begun: Callable[[UUID], bool] = lambda _command_id: False

    async def run(self) -> None:
        """Take up every unfinished command of earlier runs, once.

        Raises:
            JournalUnavailable: nothing was taken up.
        """
        for stored in await self.journal.unfinished():
            if self.begun(stored.command.command_id):
                log.info("command_begun_already", command_id=str(stored.command.command_id))
            elif stored.command.account_id is None:
                await self._resume_parent(stored)
            else:
                await self._resume(stored)

    async def _resume_parent(self, stored: StoredCommand) -> None:
        children: dict[UUID, Document | None] = {
            child.command.command_id: child.document for child in await self.journal.children(stored.command.command_id)
        }
        self.dispatcher.adopt_parent(stored.command, self._stopwatch(stored.command), children)

    async def _resume(self, stored: StoredCommand) -> None:
        command = stored.command
        actor = self.dispatcher.actors.get(command.account_id) if command.account_id else None
        if actor is None:
            self._without_account(command, self.clock.now() - command.received_at)
            return
        if command.action is Action.UNLOCK and not command.dry_run:
            # It may have been refused to its sender, and done it was never called.
            log.error("interrupted_unlock_undone", command_id=str(command.command_id))
            self.scribe.note(undone(command, node_id=self.node_id, clock=self.clock))
            return
        age = self.clock.now() - command.received_at
        stopwatch = self._stopwatch(command)
        if command.action.closes and not command.dry_run and age > actor.context.terms.execution.resume_within:
            log.error("stale_command_not_resumed", command_id=str(command.command_id), age_s=age.total_seconds())
            error = ErrorReport(
                code="STALE_RESUME",
                message=f"unfinished for {age.total_seconds():.0f} s when the node came back: the operator decides",
            )
            await actor.refuse_to_resume(command, stopwatch, error)
            return
        if command.dry_run and command.action.closes:
            error = ErrorReport(code="INTERRUPTED", message="the node was restarted during the drill")
            await actor.refuse_to_resume(command, stopwatch, error)
            return
        log.warning("command_resumed", command_id=str(command.command_id), attempt=stored.attempt)
        self.dispatcher.dispatch(
            (command,), stopwatch, attempt=stored.attempt * ATTEMPT_STRIDE, counted=_counted(stored.document)
        )

    def _without_account(self, command: Command, age: timedelta) -> None:
        """An account that is not in the configuration any more. It may come back: until then it waits, and no longer
        than it would be resumed at all.
        """
        log.error(
            "unfinished_command_of_unknown_account", command_id=str(command.command_id), age_s=age.total_seconds()
        )
        if age <= self.resume_within or command.account_id is None:
            return
        if command.action is Action.UNLOCK and not command.dry_run:
            self.scribe.note(undone(command, node_id=self.node_id, clock=self.clock))
            return
        now = self.clock.now()
        message = f"unfinished for {age.total_seconds():.0f} s, and its account is not in the configuration any more"

        def document(lock: AccountLock | None) -> Document:
            return result_document(
                command,
                CommandState.FAILED,
                node_id=self.node_id,
                at=now,
                latency_ms={"total": age.total_seconds() * 1e3},
                lock=lock,
                findings=Findings(verdict=Verdict.DRILL_FAILED if command.dry_run else Verdict.UNKNOWN),
                errors=(ErrorReport(code="ACCOUNT_REMOVED", message=message),),
            )

        keep = LockChange(account_id=command.account_id, release=command.command_id, keep_locked=True)
        self.scribe.note(
            Event(
                command=command,
                state=CommandState.FAILED,
                document=document,
                lock_change=None if command.dry_run else keep,
            )
        )

    def _stopwatch(self, command: Command) -> Stopwatch:
        """Receipt was in another process: its monotonic instant is reckoned back by the wall clock."""
        age_ns = int((self.clock.now() - command.received_at).total_seconds() * 1e9)
        return Stopwatch(received_ns=self.clock.monotonic_ns() - max(age_ns, 0))


def _counted(document: Document) -> OrderCounts:
    """What was told of the orders so far. Those of the round in which the process ended are in no event."""
    told = document.get("orders") or {}
    return OrderCounts(**{each.name: int(told.get(each.name, 0)) for each in fields(OrderCounts)})
