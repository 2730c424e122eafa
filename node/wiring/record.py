"""The journal: opened or done without, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

import structlog

from node.clock import Clock
from node.domain.result import Document
from node.engine.late_start import LateStart
from node.engine.lock_ledger import LockLedger
from node.errors import JournalUnavailable
from node.journal.backups import BackupFolder, Upkeep
from node.journal.migrations import JournalIncompatible
from node.journal.store import SqliteJournal
from node.observe.lock_files import LockFileDirectory
from node.observe.metrics import BACKUP_OUTCOMES, Metrics
from node.settings import Settings
from node.settings_keeping import BackupSettings

#: In the state directory.
JOURNAL_FILE: Final = "journal.sqlite3"
KEY_COPY_FILE: Final = "api-keys.json"

log = structlog.get_logger(__name__)


def journal_file(settings: Settings) -> Path:
    """Where the journal is."""
    return settings.node.state_dir / JOURNAL_FILE


def key_copy_file(settings: Settings) -> Path:
    """Where the second copy of the API keys is."""
    return settings.node.state_dir / KEY_COPY_FILE


def backup_folder(settings: Settings) -> BackupFolder:
    """Where its backups are."""
    wanted = settings.backup
    folder = wanted.directory if wanted is not None else None
    return BackupFolder(
        path=folder or settings.node.state_dir / "backups", keep=wanted.keep if wanted else BackupSettings.KEEP
    )


def upkeep(
    settings: Settings,
    opened: SqliteJournal,
    clock: Clock,
    metrics: Metrics,
    *,
    busy: Callable[[], bool],
    clock_is_right: Callable[[], bool | None],
) -> Upkeep:
    """Backups and the end of old history, by configuration."""
    every_s = settings.backup.every_s if settings.backup is not None else 0.0
    metrics.journal_backup_interval_seconds.set(every_s)
    for outcome in BACKUP_OUTCOMES:
        metrics.journal_backups_total.labels(outcome=outcome)
    return Upkeep(
        journal=opened,
        clock=clock,
        folder=backup_folder(settings) if settings.backup is not None else None,
        every_s=every_s,
        keep_for=timedelta(days=settings.retention.keep_days) if settings.retention is not None else None,
        busy=busy,
        clock_is_right=clock_is_right,
        on_age_s=metrics.journal_backup_age_seconds.set,
        on_backup=lambda made: metrics.journal_backups_total.labels(outcome=BACKUP_OUTCOMES[not made]).inc(),
    )


def journal(settings: Settings, clock: Clock, metrics: Metrics) -> SqliteJournal:
    """The journal of a node, not opened yet."""
    return SqliteJournal(
        journal_file(settings),
        node_id=settings.node.id,
        clock=clock,
        on_health=metrics.journal_healthy.set,
        commit_seconds=metrics.journal_commit_seconds.observe,
    )


async def begin(
    opened: SqliteJournal,
    ledger: LockLedger,
    files: LockFileDirectory,
    clock: Clock,
    metrics: Metrics,
    *,
    accounts: Sequence[UUID],
) -> LateStart:
    """Open the journal and load every lock from it; where that cannot be done, take every account for locked.

    What reduces risk does not wait for a disk: the journal goes on trying, and what the start owes is made up for when
    it succeeds.
    """
    late = LateStart(opened, ledger, clock, on_pending=metrics.locks_assumed.set)
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
