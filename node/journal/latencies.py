"""How long commands took, read from a journal that may be somebody else's, and in use.

Opens the file for reading only and by the standard library: whoever may read it may look, beside the daemon, without
holding it up and without leaving anything behind.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from node.domain.command import Action, CommandState
from node.domain.latency import STAGES
from node.errors import SovereignError
from node.journal.migrations import APPLICATION_ID, packaged_migrations

#: A reader of a WAL waits for nobody, except where the file is just being opened or recovered.
BUSY_TIMEOUT_S: Final = 2.0
#: A file that nobody had open, and that changed while it was read, is read again so many times.
ATTEMPTS: Final = 3

_SELECT: Final = (
    "SELECT c.account, c.action, json_extract(c.params, '$.dry_run'), c.state,"
    " json_extract(e.document, '$.latency_ms')"
    " FROM command c JOIN command_event e ON e.seq = c.newest_seq WHERE c.account IS NOT NULL"
)


class JournalUnreadable(SovereignError):
    """The journal cannot be read by this user, or is not one: name the right directory, or become the right user."""

    code = "JOURNAL_UNREADABLE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which commands. Empty means all."""

    accounts: Sequence[UUID] = ()
    actions: Sequence[Action] = ()
    since: datetime | None = None
    #: The newest so many.
    limit: int = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """One command of one account, as far as it is."""

    account_id: UUID
    action: Action
    drill: bool
    state: CommandState
    #: Milliseconds, by the names of STAGES; what was not measured is missing.
    stages_ms: dict[str, float]


def read_latencies(path: Path, wanted: Wanted) -> list[Taken]:
    """The newest commands first.

    Raises:
        JournalUnreadable: there is no such file, this user may not read it, or it is no journal of ours.
    """
    if not _may_read(path):
        raise JournalUnreadable(f"{path}: this user may not read it: be the daemon's user, or root")
    for _ in range(ATTEMPTS):
        seen = _state(path)
        try:
            found = _read(path, wanted, in_use=seen.in_use)
        except sqlite3.Error as error:
            if _state(path).same_file(seen):
                raise JournalUnreadable(f"{path}: {error}") from error
        else:
            if seen.in_use or _state(path).same_file(seen):
                return found
        # A daemon has just begun or ended: the next attempt finds its files as they are now.
    raise JournalUnreadable(f"{path}: it changes while it is read: try again")


@dataclass(frozen=True, slots=True)
class _State:
    """A file as it lies there."""

    #: Whether a log lies beside it: somebody has it open, or had it when it was killed. What it holds counts, too.
    in_use: bool
    inode: int
    size: int
    modified_ns: int

    def same_file(self, earlier: _State) -> bool:
        """Whether nobody can have touched it since; of a file in use, whether it still is."""
        return (self.in_use and earlier.in_use) or self == earlier


def _state(path: Path) -> _State:
    in_use = path.with_name(f"{path.name}-wal").exists()
    seen = path.stat()
    return _State(in_use, seen.st_ino, seen.st_size, seen.st_mtime_ns)


def _read(path: Path, wanted: Wanted, *, in_use: bool) -> list[Taken]:
    """Of a file that nobody has open, without the log and index that SQLite would else make beside it: a user who may
    not make them would fail, and one who may would leave them behind, in the way of the daemon's next start.
    """
    uri = f"{path.absolute().as_uri()}?mode=ro{'' if in_use else '&immutable=1'}"
    query, parameters = _query(wanted)
    with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None)) as connection:
        connection.execute("PRAGMA query_only = ON")
        _verify(connection, path)
        try:
            return [_taken(row) for row in connection.execute(query, parameters)]
        except (ValueError, TypeError) as error:
            raise JournalUnreadable(f"{path}: damaged: {error}") from error


def _query(wanted: Wanted) -> tuple[str, list[object]]:
    query, parameters = _SELECT, list[object]()
    if wanted.accounts:
        query += " AND c.account IN (SELECT value FROM json_each(?))"
        parameters.append(json.dumps([str(account_id) for account_id in wanted.accounts]))
    if wanted.actions:
        query += " AND c.action IN (SELECT value FROM json_each(?))"
        parameters.append(json.dumps([action.value for action in wanted.actions]))
    if wanted.since is not None:
        query += " AND c.received_at >= ?"
        parameters.append(wanted.since.astimezone(UTC).isoformat(timespec="microseconds"))
    return f"{query} ORDER BY c.first_seq DESC LIMIT ?", [*parameters, wanted.limit]


def _verify(connection: sqlite3.Connection, path: Path) -> None:
    (application_id,), (version,) = (
        connection.execute(f"PRAGMA {name}").fetchone() for name in ("application_id", "user_version")
    )
    newest = packaged_migrations()[-1].version
    if application_id != APPLICATION_ID:
        raise JournalUnreadable(f"{path}: not a journal of this program")
    if version > newest:
        raise JournalUnreadable(f"{path}: it has version {version}, this program knows {newest}: upgrade it")


def _taken(row: Sequence[Any]) -> Taken:
    account, action, drill, state, latency = row
    measured = json.loads(latency) if latency else {}
    return Taken(
        account_id=UUID(account),
        action=Action(action),
        drill=bool(drill),
        state=CommandState(state),
        stages_ms={stage: float(measured[stage]) for stage in STAGES if measured.get(stage) is not None},
    )


def _may_read(path: Path) -> bool:
    """Whether this user (the effective one) may read the file.

    Raises:
        JournalUnreadable: it is not there, or cannot even be looked for.
    """
    try:
        path.stat()
    except FileNotFoundError:
        raise JournalUnreadable(f"{path}: there is no journal: no daemon has run with this state directory") from None
    except OSError as error:
        raise JournalUnreadable(f"{path}: {error.strerror}: be the daemon's user, or root") from None
    return os.access(path, os.R_OK, effective_ids=True)
