"""A start without the journal: every account is taken for locked, and what the start owes is made up for later.

What reduces risk is carried out meanwhile as while a running node's journal is down: visibly unjournaled, UNLOCK
refused. When the journal can be read at last, the assumed locks are in it before anything else is decided by it. They
stay until a person lifts them: what an earlier run has locked without a record may be known to nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final
from uuid import UUID

import structlog

from node.clock import Clock
from node.domain.command import THE_NODE, RejectCode
from node.domain.lock import AccountLock
from node.engine.lock_ledger import LockLedger
from node.engine.ports import Journal, Rejection
from node.engine.scribe import Scribe
from node.errors import JournalUnavailable

#: Between two looks whether the journal is there.
LOOK_EVERY_S: Final = 0.2

#: Part of a start that needs the journal. Bears being begun again where the journal has failed under it.
Step = Callable[[], Awaitable[None]]

_OBSTACLE: Final = Rejection(
    code=RejectCode.NOT_READY, message="the node was started without its journal, and has not taken it up yet"
)

log = structlog.get_logger(__name__)


class LateStart:
    """The part of a start that waits for the journal; of an ordinary start nothing does."""

    def __init__(
        self,
        journal: Journal,
        ledger: LockLedger,
        clock: Clock,
        *,
        on_pending: Callable[[bool], object] = lambda _pending: None,
    ) -> None:
        self._on_pending = on_pending
        self._journal = journal
        self._ledger = ledger
        self._clock = clock
        self._pending = False
        self._steps: list[Step] = []

    @property
    def pending(self) -> bool:
        """Whether something of the start waits for the journal."""
        return self._pending

    def obstacle(self) -> Rejection | None:
        """Why an UNLOCK is not possible."""
        return _OBSTACLE if self._pending else None

    def assume_locks(self, reason: str, last_shown: Callable[[UUID], AccountLock]) -> None:
        """Take every account for locked. ``last_shown``: its lock as an earlier run has told it, if that is known."""
        self._wait()
        now = self._clock.now()
        for lock in self._ledger.all():
            self._ledger.adopt(last_shown(lock.account_id).assumed(by=THE_NODE, reason=reason, at=now))
        log.error("locks_assumed", accounts=len(self._ledger.all()), reason=reason)
        self._journal.assume(self._ledger.all)

    def number_events(self, scribe: Scribe) -> None:
        """Number events above all that a run before may have told: milliseconds since 1970 are, as for epochs."""
        if self._pending:
            scribe.begin_at(int(self._clock.now().timestamp() * 1000))

    async def take(self, step: Step, *, later: Step | None = None, otherwise: Callable[[], None] | None = None) -> None:
        """Take a step of the start now; where that cannot be, do *otherwise* now, and *later* (or the same) then."""
        if not self._pending:
            try:
                await step()
            except JournalUnavailable as error:
                log.error("step_without_journal", error=str(error))  # noqa: TRY400  (a disk has no traceback)
                self._wait()
            else:
                return
        self._steps.append(later or step)
        if otherwise is not None:
            otherwise()

    async def run(self) -> None:
        """Wait for the journal, then take what is left of the start, in order; from the first step again where the
        journal fails meanwhile.
        """
        while self._pending:
            if self._journal.healthy:
                try:
                    await self._make_up()
                except JournalUnavailable as error:
                    log.warning("late_start_interrupted", error=str(error))
            await asyncio.sleep(LOOK_EVERY_S)

    def _wait(self) -> None:
        self._pending = True
        self._on_pending(True)

    async def _make_up(self) -> None:
        await self._journal.write_assumed()
        self._ledger.load(await self._journal.locks())
        for step in self._steps:
            await step()
        self._pending = False
        self._on_pending(False)
        locked = [str(lock.account_id) for lock in self._ledger.all() if lock.locked]
        log.warning("journal_taken_up_late", locked=locked)
