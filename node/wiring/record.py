"""The journal: opened or done without, and what is said of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import structlog

from node.clock import Clock
from node.domain.result import Document
from node.engine.late_start import LateStart
from node.engine.lock_ledger import LockLedger
from node.errors import JournalUnavailable
from node.journal.migrations import JournalIncompatible
from node.journal.store import SqliteJournal
from node.observe.lock_files import LockFileDirectory
from node.observe.metrics import Metrics
from node.settings import Settings

#: In the state directory.
JOURNAL_FILE: Final = "journal.sqlite3"

log = structlog.get_logger(__name__)


def journal(settings: Settings, clock: Clock, metrics: Metrics) -> SqliteJournal:
    """The journal of a node, not opened yet."""
    return SqliteJournal(
        settings.node.state_dir / JOURNAL_FILE,
        node_id=settings.node.id,
        clock=clock,
        on_health=metrics.journal_healthy.set,
        commit_seconds=metrics.journal_commit_seconds.observe,
    )


async def begin(
    opened: SqliteJournal, ledger: LockLedger, files: LockFileDirectory, clock: Clock, *, accounts: Sequence[UUID]
) -> LateStart:
    """Open the journal and load every lock from it; where that cannot be done, take every account for locked.

    What reduces risk does not wait for a disk: the journal goes on trying, and what the start owes is made up for when
    it succeeds.
    """
    late = LateStart(opened, ledger, clock)
    try:
        await opened.open()
        # A run without a journal may have locked more than it could write down.
        await opened.raise_locks([lock for each in accounts if (lock := files.shown(each, at=clock.now()))])
        ledger.load(await opened.locks())
    except (JournalUnavailable, JournalIncompatible) as error:
        trouble = opened.trouble
        code, remedy = (trouble.code, trouble.remedy) if trouble else (error.code, None)
        log.error("begun_without_journal", code=code, reason=str(error), remedy=remedy)  # noqa: TRY400
        late.assume_locks(f"assumed, for the journal cannot be used: {code}", files.last_shown)
    return late


def ping(opened: SqliteJournal, late: LateStart) -> str | None:
    """For the readiness: what is wrong, and what to do."""
    if opened.healthy:
        return "is being taken up" if late.pending else None
    return f"cannot be written: {opened.trouble.text}" if opened.trouble else "cannot be written"


def document(opened: SqliteJournal, late: LateStart) -> Document:
    """For the status."""
    trouble = opened.trouble
    return {
        "healthy": opened.healthy,
        "code": trouble and trouble.code,
        "reason": trouble and trouble.reason,
        "remedy": trouble and trouble.remedy,
        "locks_assumed": late.pending,
    }
