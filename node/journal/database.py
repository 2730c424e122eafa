"""The file under the journal: whole transactions or none, and a way back after the disk has failed."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from functools import partial
from itertools import chain, repeat
from pathlib import Path
from typing import Any, Final, TypeVar

import aiosqlite
import structlog

from node.errors import JournalUnavailable
from node.journal.connection import in_its_thread, open_reader, open_writer
from node.journal.crashpoints import crash_point
from node.journal.disk_time import DiskTime
from node.journal.migrations import JournalDamaged, JournalIncompatible, Migration, copy_to
from node.journal.trouble import DiskSilent, JournalTrouble, trouble_of

T = TypeVar("T")

#: A transaction is given up on when the disk has kept it waiting for longer than this: nothing that reduces risk waits
#: for a disk.
STALL_S: Final = 2.0
#: Between attempts to reopen; the last one for ever.
REOPEN_AFTER_S: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
#: How long the closing of one connection waits for that of the other.
CLOSE_IN_TURN_S: Final = 0.5
#: Long enough to ask for it.
ABANDON_WITHIN_S: Final = 0.05

_DISK_FAILURES: Final = (sqlite3.Error, OSError)
_UNUSABLE: Final = (*_DISK_FAILURES, JournalUnavailable, JournalIncompatible)

log = structlog.get_logger(__name__)


class Database:
    """One writing and one reading connection to one file.

    After any failure it is *unhealthy*: every call raises ``JournalUnavailable`` at once, while a background task
    closes the file, opens it again, verifies it, writes to it and calls ``load``. A failed commit may have reached
    the disk all the same (measured with injected fdatasync errors): only a fresh look tells.

    ``load`` runs at each opening, before any call is let in. ``on_health`` is told each change and
    ``commit_seconds`` the length of each commit; neither may raise.
    """

    def __init__(
        self,
        path: Path,
        *,
        migrations: Sequence[Migration],
        load: Callable[[aiosqlite.Connection], Awaitable[None]],
        on_health: Callable[[bool], None],
        commit_seconds: Callable[[float], None],
        stall_s: float = STALL_S,
        reopen_after_s: Sequence[float] = REOPEN_AFTER_S,
    ) -> None:
        self.path = path
        self._migrations = migrations
        self._load = load
        self._on_health = on_health
        self._commit_seconds = commit_seconds
        self._stall_s = stall_s
        self._reopen_after_s = reopen_after_s
        self._writer: aiosqlite.Connection | None = None
        self._reader: aiosqlite.Connection | None = None
        self._inode = 0
        self._lock = asyncio.Lock()
        self._running: set[asyncio.Task[Any]] = set()
        self._healing = False
        self._healthy = False
        self._trouble: JournalTrouble | None = None
        #: Monotonic: until then the opening under way may keep its caller waiting.
        self._patience_until_ns = 0
        self._closing = asyncio.Event()
        #: Of writing, and of opening the file anew.
        self._disk = DiskTime()
        self._reading = DiskTime()

    @property
    def silent_s(self) -> float:
        """How long the disk has owed us an answer; 0 while it owes none. A refusal is an answer."""
        return max(self._disk.silent_s, self._reading.silent_s)

    @property
    def healthy(self) -> bool:
        """Whether the last write succeeded and no reopening is under way."""
        return self._healthy and not self._closing.is_set()

    @property
    def trouble(self) -> JournalTrouble | None:
        """Why it is not healthy, and what to do; None while it is, or nobody has tried yet."""
        return None if self.healthy else self._trouble

    async def open(self) -> None:
        """Open, verify, migrate, load. Returns or raises soon even if the disk never answers.

        It goes on trying in the background until ``close``, whatever was raised.

        Raises:
            JournalIncompatible: the file is not ours, or newer than this program. Nothing was changed.
            JournalDamaged: its structure is broken. Nothing was changed.
            JournalUnavailable: the disk will not, or does not answer.
        """
        self._closing.clear()
        self._allow(self._stall_s)
        opening = self._start(self._open_first(), name="journal-open")
        while not opening.done():
            left_s = (self._patience_until_ns - time.monotonic_ns()) / 1e9
            if left_s <= 0:
                silent = DiskSilent(f"the disk has not answered for {self.silent_s:.0f} s")
                self._note_trouble(silent)
                raise JournalUnavailable(f"the journal cannot be opened: {silent}") from silent
            await asyncio.wait({opening}, timeout=left_s)
        try:
            opening.result()
        except (JournalDamaged, JournalIncompatible):
            raise
        except (*_DISK_FAILURES, JournalUnavailable) as error:
            raise JournalUnavailable(f"the journal cannot be opened: {error}") from error

    async def _open_first(self) -> None:
        try:
            async with self._lock:
                await self._establish()
        except _UNUSABLE as error:
            self._fail(error)
            raise

    async def close(self) -> None:
        """Refuse new calls, let those under way end (but nothing that has stalled), then release the file."""
        self._closing.set()
        try:
            async with asyncio.timeout(self._stall_s):
                if self._running:
                    await asyncio.wait(set(self._running))
                async with self._lock:
                    await self._disconnect()
        except TimeoutError:
            log.error("journal_close_stalled", path=str(self.path))  # noqa: TRY400 - a deadline has no traceback
            await self._abandon()
        self._set_healthy(False)

    async def transact(
        self,
        name: str,
        work: Callable[[sqlite3.Connection], T],
        adopt: Callable[[T], None] = lambda _result: None,
    ) -> T:
        """Run ``work`` in one transaction; call ``adopt`` with its result once that is durable.

        Cancelling the caller abandons the answer, never the transaction. What ``work`` raises of its own
        undoes the transaction and is raised here.

        Raises:
            JournalUnavailable: the outcome is unknown until the database is healthy again.
        """
        self._require_open()
        task = self._start(self._transact(name, work, adopt), name=f"journal-{name}")
        return await self._answer(task, self._disk)

    async def read(self, query: str, parameters: Iterable[Any] = ()) -> list[sqlite3.Row]:
        """The rows of one query, as of the newest commit.

        Raises:
            JournalUnavailable: the disk will not.
        """
        self._require_open()
        reader, parameters = self._usable(self._reader), tuple(parameters)

        def fetched(connection: sqlite3.Connection) -> list[sqlite3.Row]:
            return connection.execute(query, parameters).fetchall()

        # Not among those that a closing waits for: nothing is lost with it.
        task = asyncio.create_task(in_its_thread(reader, self._reading.spent_by(fetched)), name="journal-read")
        task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # its caller may be gone
        try:
            return await self._answer(task, self._reading)
        except _DISK_FAILURES as error:
            self._fail(error)
            raise JournalUnavailable(f"the journal cannot be read: {error}") from error

    async def probe(self, touch: Callable[[sqlite3.Connection], None]) -> None:
        """Prove that the file can be written and is still the one that has its name; then tidy the log away.

        Raises:
            JournalUnavailable: it cannot, or is not.
        """
        self._require_open()
        try:
            inode = (await asyncio.to_thread(self.path.stat)).st_ino
            if inode != self._inode:
                raise OSError(f"{self.path} was replaced under the open journal")  # noqa: TRY301 - as a failed stat
        except OSError as error:
            self._fail(error)
            raise JournalUnavailable(str(error)) from error
        await self.transact("probe", touch)
        # On the reading connection, so that a command's commit never waits for it.
        await self.read("PRAGMA wal_checkpoint(PASSIVE)")

    async def backup(self, target: Path) -> None:
        """Copy everything committed so far into one file (0600), beside the running writer.

        Raises:
            JournalUnavailable: the source is down, or the copy failed; an older ``target`` is then untouched.
        """
        self._require_open()
        try:
            source = await open_reader(self.path)
            try:
                await copy_to(source, target)
            finally:
                await source.close()
        except _DISK_FAILURES as error:
            raise JournalUnavailable(f"the backup failed: {error}") from error

    async def _transact(self, name: str, work: Callable[[sqlite3.Connection], T], adopt: Callable[[T], None]) -> T:
        async with self._lock:
            writer = self._usable(self._writer)
            transaction = self._disk.spent_by(partial(_transaction, name, work))
            try:
                result, commit_s = await in_its_thread(writer, transaction)
            except _NotUndone as error:
                self._fail(error.failure)
                raise error.reason from None
            except _DISK_FAILURES as error:
                self._fail(error)
                raise JournalUnavailable(f"the journal could not be written: {error}") from error
            except asyncio.CancelledError:
                # Only the end of the event loop does this; whether it was committed is no longer known.
                self._set_healthy(False)
                raise
            self._commit_seconds(commit_s)
            adopt(result)
            return result

    async def _answer(self, task: asyncio.Task[T], disk: DiskTime) -> T:
        """What *task* brings. Cancelling the caller does not cancel it.

        Raises:
            JournalUnavailable: the disk does not answer.
        """
        if not await disk.answers(task, self._stall_s):
            silent = DiskSilent(f"the disk has not answered for {self._stall_s:g} s")
            self._fail(silent)
            raise JournalUnavailable(str(silent)) from silent
        return task.result()

    def _start(self, work: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T]:
        task = asyncio.create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # Its caller may be gone, and then nobody else would say so.
            log.debug("journal_task_failed", task=task.get_name(), error=repr(error))

    def _require_open(self) -> None:
        if not self.healthy:
            raise JournalUnavailable("the journal is closed or being reopened")

    def _usable(self, connection: aiosqlite.Connection | None) -> aiosqlite.Connection:
        if connection is None or not self._healthy:
            raise JournalUnavailable("the journal is being reopened")
        return connection

    def _fail(self, error: BaseException) -> None:
        if self._healing or self._closing.is_set():
            return
        self._note_trouble(error)
        log.error("journal_failed", path=str(self.path), error=repr(error))
        self._healing = True
        self._set_healthy(False)
        self._start(self._heal(), name="journal-reopen")

    async def _heal(self) -> None:
        # Whoever is still in a transaction holds the lock, and ends first.
        async with self._lock:
            try:
                for delay_s in chain(self._reopen_after_s, repeat(self._reopen_after_s[-1])):
                    if self._closing.is_set() or await self._reopened():
                        return
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(delay_s):
                            await self._closing.wait()
            finally:
                self._healing = False

    async def _reopened(self) -> bool:
        try:
            await self._establish()
        except _UNUSABLE as error:
            self._note_trouble(error)
            log.warning("journal_not_reopened", path=str(self.path), error=repr(error))
            return False
        return True

    async def _establish(self) -> None:
        """Connect anew. Healthy afterwards, unless it was closed meanwhile and perhaps nobody waits any more."""
        with self._disk.spent():
            await self._disconnect()
            await self._connect()
        if self._closing.is_set():
            await self._disconnect()
            return
        log.info("journal_opened", path=str(self.path))
        self._set_healthy(True)

    def _allow(self, seconds: float) -> None:
        self._patience_until_ns = time.monotonic_ns() + int(seconds * 1e9)

    def _note_trouble(self, error: BaseException) -> None:
        self._trouble = trouble_of(error, self.path)

    async def _connect(self) -> None:
        try:
            self._writer = await open_writer(self.path, self._migrations, allow=self._allow)
            self._inode = (await asyncio.to_thread(self.path.stat)).st_ino
            await self._load(self._writer)
            self._reader = await open_reader(self.path)
        except BaseException:
            await self._disconnect()
            raise

    async def _disconnect(self) -> None:
        connections = [connection for connection in (self._reader, self._writer) if connection is not None]
        self._writer = self._reader = None
        # One after the other: of two that close at once each may see the other, and then none folds the log in. But
        # none waits long for one that hangs: each one's thread ends when its disk answers.
        closings: list[asyncio.Task[None]] = []
        try:
            for connection in connections:
                closings.append(asyncio.create_task(connection.close(), name="journal-disconnect"))
                await asyncio.wait(closings, timeout=CLOSE_IN_TURN_S)
        finally:
            rest = connections[len(closings) :]
            closings += [asyncio.create_task(each.close(), name="journal-disconnect") for each in rest]
        # What a failing file says at its closing adds nothing.
        await asyncio.gather(*closings, return_exceptions=True)

    async def _abandon(self) -> None:
        """Have each connection closed once its thread has its answer: one that nobody ends would keep the process."""
        connections = [connection for connection in (self._reader, self._writer) if connection is not None]
        self._writer = self._reader = None
        if connections:
            closings = [asyncio.create_task(each.close(), name="journal-abandon") for each in connections]
            await asyncio.wait(closings, timeout=ABANDON_WITHIN_S)

    def _set_healthy(self, healthy: bool) -> None:
        if healthy is not self._healthy:
            self._healthy = healthy
            self._on_health(healthy)


class _NotUndone(Exception):
    """The work failed by itself, and then the disk failed to take back what it had done."""

    def __init__(self, reason: BaseException, failure: Exception) -> None:
        super().__init__(str(reason))
        self.reason = reason
        self.failure = failure


def _transaction(name: str, work: Callable[[sqlite3.Connection], T], writer: sqlite3.Connection) -> tuple[T, float]:
    """Run *work* in one transaction; its result, and how many seconds the commit took. Call it in the writer's thread.

    A statement that fails is the last one: some failures end the transaction by themselves, and another statement
    would then commit alone.
    """
    writer.execute("BEGIN IMMEDIATE")
    try:
        result = work(writer)
    except _DISK_FAILURES:
        raise
    except BaseException as reason:
        try:
            writer.rollback()
        except _DISK_FAILURES as failure:
            raise _NotUndone(reason, failure) from reason
        raise
    crash_point(f"{name}.before_commit")
    began = time.perf_counter()
    writer.execute("COMMIT")
    commit_s = time.perf_counter() - began
    crash_point(f"{name}.after_commit")
    return result, commit_s
