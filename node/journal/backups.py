"""Backups of the journal: whole, private files in one folder, the newest so many of them; and the upkeep by itself."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import structlog

from node.clock import Clock
from node.errors import JournalUnavailable
from node.journal.store import SqliteJournal

#: Between two looks whether something is due.
LOOK_EVERY_S: Final = 5.0
#: After a backup that failed.
AGAIN_AFTER_S: Final = 60.0
#: Between two rounds of forgetting.
FORGET_EVERY_S: Final = 3600.0
#: Commands that one transaction may drop: a new command waits for it.
FORGET_AT_ONCE: Final = 50
FORGET_PAUSE_S: Final = 0.2
#: At the start nothing is dropped for so long while nobody has confirmed the time: exchanges do once they are armed.
UNCONFIRMED_S: Final = 10.0

#: How far a clock may be put right between a backup and the look at it.
_TOLERATED: Final = timedelta(seconds=60)

_STAMP: Final = "%Y%m%dT%H%M%SZ"
_PREFIX: Final = "journal-"
_SUFFIX: Final = ".sqlite3"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupFolder:
    """Where backups lie; their names carry their instants."""

    path: Path
    keep: int

    def place(self, at: datetime) -> Path:
        """Where the backup of an instant goes. Makes the folder (0700)."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self.path / f"{_PREFIX}{at.astimezone(UTC).strftime(_STAMP)}{_SUFFIX}"

    def newest(self, now: datetime) -> datetime | None:
        """When the newest backup was made; None if there is none, or the folder cannot be read.

        One that is later than *now* was made by a clock that was wrong, and says nothing: it must not stand for those
        that are due.
        """
        return max((at for at, _ in self._found() if at <= now + _TOLERATED), default=None)

    def prune(self, now: datetime) -> list[Path]:
        """Delete all but the newest so many; those that went. What is later than *now* counts as the oldest.

        Raises:
            OSError: one could not be deleted.
        """
        by_age = sorted(self._found(), key=lambda found: (found[0] <= now + _TOLERATED, *found))
        surplus = [path for _, path in by_age[: -self.keep]]
        for path in surplus:
            path.unlink()
        return surplus

    def _found(self) -> list[tuple[datetime, Path]]:
        found = []
        try:
            entries = list(self.path.iterdir())
        except OSError:
            return []
        for entry in entries:
            if entry.name.startswith(_PREFIX) and entry.name.endswith(_SUFFIX):
                try:
                    at = datetime.strptime(entry.name[len(_PREFIX) : -len(_SUFFIX)], _STAMP).replace(tzinfo=UTC)
                except ValueError:
                    continue  # somebody else's
                found.append((at, entry))
        return found


@dataclass(slots=True, kw_only=True)
class Upkeep:
    """Makes backups and drops old history while the node has nothing better to do. Never in the way of a command."""

    journal: SqliteJournal
    clock: Clock
    #: None: no backups by itself.
    folder: BackupFolder | None
    every_s: float
    #: None: nothing is dropped.
    keep_for: timedelta | None
    #: Whether a command is live: upkeep waits.
    busy: Callable[[], bool]
    #: Told the seconds since the newest backup (infinite: none), and whether an attempt succeeded.
    on_age_s: Callable[[float], object]
    on_backup: Callable[[bool], object]
    #: Whether others agree with our clock; None: none has told the time. What a wrong one calls old must not go.
    clock_is_right: Callable[[], bool | None] = lambda: True
    _begun_ns: int = field(default_factory=time.monotonic_ns)
    _tried_ns: int | None = field(default=None)
    _forgot_ns: int | None = field(default=None)

    async def run(self) -> None:
        """Look after the journal until cancelled."""
        while True:
            try:
                await self.look()
            except Exception:
                # The supervisor: upkeep must not take the node with it.
                log.exception("journal_upkeep_failed")
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self) -> None:
        """Do what is due."""
        if self.folder is not None:
            newest = await asyncio.to_thread(self.folder.newest, now := self.clock.now())
            age_s = math.inf if newest is None else max((now - newest).total_seconds(), 0.0)
            self.on_age_s(age_s)
            if age_s >= self.every_s and _passed(self._tried_ns, min(AGAIN_AFTER_S, self.every_s)) and self._idle():
                self._tried_ns = time.monotonic_ns()
                await self.back_up()
        if (
            self.keep_for is not None
            and _passed(self._forgot_ns, FORGET_EVERY_S)
            and self._knows_the_time()
            and self._idle()
        ):
            self._forgot_ns = time.monotonic_ns()
            await self._forget()

    async def back_up(self) -> None:
        """Make one backup now, and delete what is beyond the number to keep."""
        assert self.folder is not None  # noqa: S101  (looked at by the caller)
        try:
            place = await asyncio.to_thread(self.folder.place, self.clock.now())
            await self.journal.backup(place)
            await asyncio.to_thread(self.folder.prune, self.clock.now())
        except (JournalUnavailable, OSError) as error:
            log.error("journal_not_backed_up", error=str(error))  # noqa: TRY400  (a disk has no traceback)
            self.on_backup(False)
            return
        log.info("journal_backed_up", path=str(place))
        self.on_backup(True)
        self.on_age_s(0.0)

    async def _forget(self) -> None:
        assert self.keep_for is not None  # noqa: S101  (looked at by the caller)
        before, gone = self.clock.now() - self.keep_for, 0
        try:
            while (
                self._idle()
                and self._knows_the_time()
                and (dropped := await self.journal.forget(before, limit=FORGET_AT_ONCE))
            ):
                gone += dropped
                await asyncio.sleep(FORGET_PAUSE_S)
        except JournalUnavailable as error:
            log.warning("old_history_not_dropped", error=str(error))
        if gone:
            log.info("old_history_dropped", commands_and_rejects=gone, before=before.isoformat())

    def _knows_the_time(self) -> bool:
        right = self.clock_is_right()
        return _passed(self._begun_ns, UNCONFIRMED_S) if right is None else right

    def _idle(self) -> bool:
        return self.journal.healthy and not self.busy()


def _passed(since_ns: int | None, seconds: float) -> bool:
    return since_ns is None or (time.monotonic_ns() - since_ns) / 1e9 >= seconds
