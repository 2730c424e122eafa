"""Opens the file with exactly the settings that the guarantees rest on."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

import aiosqlite

from node.errors import JournalUnavailable
from node.journal.migrations import JournalDamaged, Migration, check, migrate, sync_directory, usable_version

T = TypeVar("T")

#: Beside a journal: a restoration that has not come to its end.
RESTORING: Final = ".restoring"

#: How long a stranger's lock on the file may hold a command up.
BUSY_TIMEOUT_MS: Final = 1000

#: What a working disk needs at most for one small thing, and for reading or copying the whole file.
_STEP_S: Final = 2.0
WHOLE_FILE_S: Final = 30.0

#: Set and read back at every opening: name, value to set, value to find.
_PRAGMAS: Final[tuple[tuple[str, str, str | int], ...]] = (
    ("busy_timeout", str(BUSY_TIMEOUT_MS), BUSY_TIMEOUT_MS),
    ("journal_mode", "WAL", "wal"),
    # WAL with NORMAL may lose the last commits at a power cut; FULL syncs each (sqlite.org/pragma.html, synchronous).
    ("synchronous", "FULL", 2),
    ("foreign_keys", "ON", 1),
    # Or a REPLACE would pass by the triggers that forbid deleting.
    ("recursive_triggers", "ON", 1),
    ("trusted_schema", "OFF", 0),
    ("cell_size_check", "ON", 1),
    ("temp_store", "MEMORY", 2),
    # A net only: the probe checkpoints beside the writer, so that no command's commit has to.
    ("wal_autocheckpoint", "8000", 8000),
    # A log that has grown beside a long reader gives its space back.
    ("journal_size_limit", "16777216", 16777216),
)


async def in_its_thread(connection: aiosqlite.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    """Call *work* with the connection, in the connection's own thread: one way there and one back, whatever it does.

    aiosqlite offers single statements only, each of which crosses twice between threads; for a transaction that is
    more than its write to the disk takes. What it does itself is not public there: every opening depends on it, so
    that another version shows at once. Cancelling the caller does not stop the work.

    Raises:
        ValueError: the connection is closed.
        Exception: whatever *work* raises.
    """
    result: T = await connection._execute(work, connection._conn)  # type: ignore[no-untyped-call]
    return result


async def open_writer(
    path: Path, migrations: Sequence[Migration], *, allow: Callable[[float], None] = lambda _seconds: None
) -> aiosqlite.Connection:
    """The one connection that writes: private file, verified settings, sound structure, current schema.

    ``allow`` is told before each stage how many seconds it may take on a disk that works.

    Raises:
        JournalIncompatible: the file is not ours, or newer than this program. Nothing was changed.
        JournalDamaged: its structure is broken, or a restoration was interrupted. Nothing was changed.
        JournalUnavailable: a setting did not take.
        sqlite3.Error, OSError: the disk will not.
    """
    await asyncio.to_thread(_refuse_half_restored, path)
    await asyncio.to_thread(_make_private, path)
    await _look(path, migrations, allow)
    allow(_STEP_S)
    connection = await _connect(path)
    try:
        await _configure(connection, _PRAGMAS)
        allow(WHOLE_FILE_S)
        await check(connection)  # again: whoever cannot write does not look at what the tables forbid
        allow(WHOLE_FILE_S)
        await migrate(connection, path, migrations)
        allow(_STEP_S)
    except BaseException:
        await connection.close()
        raise
    return connection


async def _look(path: Path, migrations: Sequence[Migration], allow: Callable[[float], None]) -> None:
    """Whether the file is one that we may open for writing.

    On a connection that cannot write: the last one that can moves the log into the file when it is closed, and what
    cannot be read must stay as it was found.
    """
    connection = await aiosqlite.connect(
        read_only(path), uri=True, isolation_level=None, timeout=BUSY_TIMEOUT_MS / 1000
    )
    try:
        await usable_version(connection, newest=migrations[-1].version)
        allow(WHOLE_FILE_S)
        await check(connection)
    finally:
        await connection.close()


async def open_reader(path: Path) -> aiosqlite.Connection:
    """A second connection that cannot change anything, and never waits for the writer.

    Raises:
        JournalUnavailable: a setting did not take.
        sqlite3.Error, OSError: the disk will not.
    """
    connection = await _connect(path)
    try:
        await _configure(connection, (*_PRAGMAS, ("query_only", "ON", 1)))
    except BaseException:
        await connection.close()
        raise
    return connection


async def _connect(path: Path) -> aiosqlite.Connection:
    # Every transaction is begun and ended by name; the module must not begin any by itself.
    return await aiosqlite.connect(path, isolation_level=None, timeout=BUSY_TIMEOUT_MS / 1000)


async def _configure(connection: aiosqlite.Connection, pragmas: Sequence[tuple[str, str, str | int]]) -> None:
    for name, value, expected in pragmas:
        await connection.execute_fetchall(f"PRAGMA {name} = {value}")
        found = [row[0] for row in await connection.execute_fetchall(f"PRAGMA {name}")]
        if found != [expected]:
            raise JournalUnavailable(f"the journal's {name} is {found}, not {expected}")


def read_only(path: Path) -> str:
    """For a connection (``uri=True``) by which nothing can be changed, not even by closing it."""
    return f"{path.absolute().as_uri()}?mode=ro"


def _refuse_half_restored(path: Path) -> None:
    """What is in the journal's place may be neither the old one nor the new one."""
    if path.with_name(path.name + RESTORING).exists():
        raise JournalDamaged("a restoration was interrupted")


def _make_private(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # SQLite gives its -wal and -shm files the rights of the database file. An existing file is not opened here:
    # closing any descriptor of it would drop the locks of this process's connections (sqlite.org/howtocorrupt.html).
    try:
        path.chmod(0o600)
    except FileNotFoundError:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))
        sync_directory(path.parent)
