"""Brings the file's schema up to date: numbered scripts, each in one transaction with its ``user_version``."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final

import aiosqlite
import structlog

from node.errors import JournalUnavailable, SovereignError

#: "SNj1": tells our files from other SQLite files.
APPLICATION_ID: Final = 0x534E6A31

log = structlog.get_logger(__name__)


class JournalIncompatible(SovereignError):
    """The journal file is not one that this version can use: give it its own state directory, or upgrade."""

    code = "JOURNAL_INCOMPATIBLE"


class JournalDamaged(JournalUnavailable):
    """The journal file is damaged: it is left as it is, for a person to look at and to restore a backup."""

    code = "JOURNAL_DAMAGED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One step of the schema; ``version`` is the ``user_version`` after it."""

    version: int
    script: str


@cache
def packaged_migrations(package: str = "node.journal") -> tuple[Migration, ...]:
    """The scripts of the package's ``schema/``, oldest first."""
    scripts = (entry for entry in (files(package) / "schema").iterdir() if entry.name.endswith(".sql"))
    found = (Migration(version=int(entry.name.partition("_")[0]), script=entry.read_text("utf-8")) for entry in scripts)
    return tuple(sorted(found, key=lambda migration: migration.version))


async def migrate(connection: aiosqlite.Connection, path: Path, migrations: Sequence[Migration]) -> None:
    """Run what the file has not seen; back an existing file up first, as ``<name>.before-<version>``.

    Raises:
        JournalIncompatible: the file belongs to another program or to a newer version.
        sqlite3.Error, OSError: the disk will not; the file is as it was after the last whole step.
    """
    version = await usable_version(connection, newest=migrations[-1].version)
    missing = [migration for migration in migrations if migration.version > version]
    if missing and version:
        await copy_to(connection, path.with_name(f"{path.name}.before-{missing[-1].version}"))
    for migration in missing:
        try:
            await connection.executescript(
                f"BEGIN IMMEDIATE;\n{migration.script}\n"
                f"PRAGMA application_id = {APPLICATION_ID};\n"
                f"PRAGMA user_version = {migration.version};\nCOMMIT;"
            )
        except sqlite3.Error:
            await connection.rollback()
            raise
        log.info("journal_migrated", version=migration.version)


async def usable_version(connection: aiosqlite.Connection, *, newest: int) -> int:
    """The file's schema version, 0 for a new file; changes nothing.

    Raises:
        JournalIncompatible: the file belongs to another program or to a newer version.
    """
    query = (
        "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema)"
        " FROM pragma_application_id, pragma_user_version"
    )
    ((application_id, version, objects),) = await connection.execute_fetchall(query)
    if application_id != APPLICATION_ID and (application_id or version or objects):
        raise JournalIncompatible("the file belongs to another program")
    if version > newest:
        raise JournalIncompatible(f"the journal has version {version}, this program knows {newest}: upgrade it")
    return int(version)


async def copy_to(source: aiosqlite.Connection, target: Path) -> None:
    """Copy the whole database, as of one moment, into one closed file (0600); replaces an older one at once.

    Raises:
        JournalUnavailable: the copy is not sound.
        sqlite3.Error, OSError: it could not be written.
    """
    partial = target.with_name(target.name + ".partial")
    await asyncio.to_thread(_create_private, partial)
    try:
        async with aiosqlite.connect(partial, isolation_level=None) as copy:
            await source.backup(copy)
            # The copied header says WAL; a backup is one file.
            await copy.execute_fetchall("PRAGMA journal_mode = DELETE")
            await check(copy)
        await asyncio.to_thread(_put_in_place, partial, target)
    except BaseException:
        partial.unlink(missing_ok=True)  # half a copy must not fill the disk
        raise


async def check(connection: aiosqlite.Connection) -> None:
    """Verify the structure of the whole file.

    Raises:
        JournalDamaged: it is.
    """
    faults = [row[0] for row in await connection.execute_fetchall("PRAGMA quick_check(5)")]
    if faults != ["ok"]:
        raise JournalDamaged(f"the journal is damaged: {'; '.join(faults)}")


def _create_private(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))


def _put_in_place(partial: Path, target: Path) -> None:
    partial.replace(target)
    sync_directory(target.parent)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
