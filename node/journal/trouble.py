"""Why the journal cannot be used, in a word that stays the same, and what a person is to do about it."""

from __future__ import annotations

import errno
import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from node.errors import SovereignError
from node.journal.migrations import JournalDamaged, JournalIncompatible

#: SQLite's primary result codes (sqlite.org/rescode.html).
_BUSY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_READ_ONLY: Final = frozenset({sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH})
_PRIMARY: Final = 0xFF
#: They say that the disk refused, not why.
_VAGUE: Final = frozenset({"JOURNAL_DISK_FAILS", "JOURNAL_CANNOT_BE_OPENED"})
#: With less than this the log and its index have no room.
_ROOM_MIN_BYTES: Final = 64 * 1024

_FULL_NUMBERS: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_READ_ONLY_NUMBERS: Final = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})


class DiskSilent(SovereignError):
    """The disk does not answer."""

    code = "JOURNAL_DISK_SILENT"


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalTrouble:
    """One failure, classified."""

    #: Stable: alerts, status and handbook name it.
    code: str
    #: What was found.
    reason: str
    #: What to do; the node never overwrites or deletes a journal that it cannot read.
    remedy: str

    @property
    def text(self) -> str:
        """In one line."""
        return f"{self.code}: {self.reason}; {self.remedy}"


def trouble_of(error: BaseException, path: Path) -> JournalTrouble:
    """Classify what a disk, or a check of the file, has raised."""
    reason = str(error) or type(error).__name__
    code = _code(_cause(error))
    if code in _VAGUE:
        code = _code_of_disk(path.parent) or code
    return JournalTrouble(code=code, reason=reason, remedy=_REMEDIES[code].format(path=path, folder=path.parent))


def _cause(error: BaseException) -> BaseException:
    """What lies under our own words."""
    while isinstance(error, SovereignError) and type(error).code == "JOURNAL_UNAVAILABLE" and error.__cause__:
        error = error.__cause__
    return error


def _code(error: BaseException) -> str:
    if isinstance(error, (JournalDamaged, JournalIncompatible, DiskSilent)):
        return error.code
    if isinstance(error, TimeoutError):
        return DiskSilent.code
    if isinstance(error, sqlite3.Error):
        return _code_of_sqlite(getattr(error, "sqlite_errorcode", None))
    if isinstance(error, OSError) and error.errno in _FULL_NUMBERS:
        return "JOURNAL_DISK_FULL"
    if isinstance(error, OSError) and error.errno in _READ_ONLY_NUMBERS:
        return "JOURNAL_READ_ONLY"
    return "JOURNAL_DISK_FAILS" if isinstance(error, OSError) else "JOURNAL_UNAVAILABLE"


def _code_of_disk(folder: Path) -> str | None:
    """What lies under a failure that SQLite has no better word for: its shared memory, too, wants room."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return None
    if found.f_flag & os.ST_RDONLY:
        return "JOURNAL_READ_ONLY"
    return "JOURNAL_DISK_FULL" if found.f_bavail * found.f_frsize < _ROOM_MIN_BYTES else None


def _code_of_sqlite(extended: int | None) -> str:
    primary = None if extended is None else extended & _PRIMARY
    if primary in _DAMAGED:
        return JournalDamaged.code
    if primary in _READ_ONLY:
        return "JOURNAL_READ_ONLY"
    if primary in _BUSY:
        return "JOURNAL_BUSY"
    return {
        sqlite3.SQLITE_FULL: "JOURNAL_DISK_FULL",
        sqlite3.SQLITE_IOERR: "JOURNAL_DISK_FAILS",
        sqlite3.SQLITE_CANTOPEN: "JOURNAL_CANNOT_BE_OPENED",
    }.get(primary or 0, "JOURNAL_UNAVAILABLE")


_BY_ITSELF: Final = "the journal reopens by itself"
_RESTORE: Final = "`sovereign-node journal restore BACKUP`"
_REMEDIES: Final = {
    "JOURNAL_DISK_FULL": f"free space below {{folder}}: {_BY_ITSELF}",
    "JOURNAL_READ_ONLY": f"make {{folder}} writable (mount, owner, rights): {_BY_ITSELF}",
    "JOURNAL_DISK_FAILS": "look at the kernel's log, and move {folder} to a sound disk: " + _BY_ITSELF,
    "JOURNAL_CANNOT_BE_OPENED": f"{{folder}} is full, read-only, or not ours: once it is usable {_BY_ITSELF}",
    "JOURNAL_BUSY": f"another program holds {{path}}: end it, and {_BY_ITSELF}",
    "JOURNAL_UNAVAILABLE": f"see the log: {_BY_ITSELF} once it can",
    DiskSilent.code: f"find out why {{folder}} hangs: once it answers {_BY_ITSELF}",
    JournalDamaged.code: (
        f"it is left as it is: `sovereign-node journal verify` says what is wrong; end the node, {_RESTORE}, start it"
    ),
    JournalIncompatible.code: (
        f"it is left as it is: run the version that wrote it, or end the node, {_RESTORE}, start it"
    ),
}
