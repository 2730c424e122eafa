"""Reads a journal without changing it: is it whole, does it keep its own rules, what is in it."""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from node.domain.command import TRANSITIONS, CommandState
from node.journal.connection import read_only
from node.journal.migrations import APPLICATION_ID
from node.plain_files import must_be_regular

Record = dict[str, Any]

#: What is told of one kind of fault at most.
FAULTS_MAX: Final = 20

#: Each finds rows that must not be there; the first column names one.
_RULES: Final[tuple[tuple[str, str], ...]] = (
    (
        "a command's state is not that of its newest event",
        (
            "SELECT c.id FROM command c JOIN command_event e ON e.seq = c.newest_seq"
            " WHERE e.command <> c.id OR e.state <> c.state"
            " OR e.seq <> (SELECT max(seq) FROM command_event WHERE command = c.id)"
        ),
    ),
    (
        "a command's first event is missing",
        (
            "SELECT id FROM command c WHERE NOT EXISTS"
            " (SELECT 1 FROM command_event e WHERE e.seq = c.first_seq AND e.command = c.id)"
        ),
    ),
    (
        "an event says something else than its row",
        (
            "SELECT e.seq FROM command_event e JOIN command c ON c.id = e.command"
            " WHERE NOT json_valid(e.document) OR json_extract(e.document, '$.seq') IS NOT e.seq"
            " OR json_extract(e.document, '$.state') IS NOT e.state"
            " OR json_extract(e.document, '$.command_id') IS NOT e.command"
            " OR json_extract(e.document, '$.account_id') IS NOT coalesce(c.account, '*')"
        ),
    ),
    ("a number was given out twice", "SELECT seq FROM command_event WHERE seq IN (SELECT seq FROM reject)"),
    ("an event has no place in the outbox", "SELECT seq FROM command_event WHERE seq NOT IN (SELECT seq FROM outbox)"),
    (
        "a command that has ended holds a lock",
        "SELECT h.command FROM lock_hold h JOIN command c ON c.id = h.command WHERE c.ended_at IS NOT NULL",
    ),
    (
        "a lock is held or latched without ever having changed",
        (
            "SELECT account FROM engine_lock WHERE epoch = 0"
            " AND (latched = 1 OR account IN (SELECT account FROM lock_hold))"
        ),
    ),
    (
        "an event tells a newer epoch than the lock has",
        (
            "SELECT e.seq FROM command_event e JOIN command c ON c.id = e.command"
            " LEFT JOIN engine_lock l ON l.account = c.account WHERE c.account IS NOT NULL"
            " AND json_extract(e.document, '$.lock.epoch') > coalesce(l.epoch, 0)"
        ),
    ),
    (
        "the epoch that events tell has fallen",
        (
            "SELECT seq FROM (SELECT e.seq, json_extract(e.document, '$.lock.epoch') AS epoch,"
            " max(json_extract(e.document, '$.lock.epoch')) OVER (PARTITION BY c.account ORDER BY e.seq"
            " ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before"
            " FROM command_event e JOIN command c ON c.id = e.command"
            " WHERE c.account IS NOT NULL AND json_extract(e.document, '$.lock.epoch') IS NOT NULL)"
            " WHERE epoch < before"
        ),
    ),
    (
        "an owner has too many active keys",
        "SELECT owner FROM api_key WHERE revoked_at IS NULL AND expires_at IS NULL GROUP BY owner HAVING count(*) > 5",
    ),
)
_STEPS: Final = "SELECT command, state FROM command_event ORDER BY command, seq"

#: What an auditor gets, kind by kind, each in an order of its own; nothing with which anybody could command.
_EXPORTED: Final[tuple[tuple[str, str], ...]] = (
    ("meta", "SELECT created_at, node_id, seq_floor, forgotten_before, restored_at, restored_from FROM meta"),
    ("lock", "SELECT account, epoch, latched, since, by, reason FROM engine_lock ORDER BY account"),
    ("hold", "SELECT account, command FROM lock_hold ORDER BY account, command"),
    ("guard", "SELECT account, document, at FROM guard ORDER BY account"),
    (
        "api_key",
        (
            "SELECT id, owner, label, scopes, accounts, created_at, expires_at, revoked_at FROM api_key"
            " ORDER BY created_at, id"
        ),
    ),
    (
        "command",
        (
            "SELECT id, parent, account, action, params, issuer, door, digest, envelope, issued_at, received_at,"
            " reply_topic, reply_correlation, state, attempt, first_seq, newest_seq, ended_at FROM command"
            " ORDER BY first_seq, id"
        ),
    ),
    (
        "event",
        (
            "SELECT e.seq, e.command, e.state, e.at, e.document, o.published_at FROM command_event e"
            " LEFT JOIN outbox o ON o.seq = e.seq ORDER BY e.seq"
        ),
    ),
    ("reject", "SELECT seq, id, issuer, account, code, message, at FROM reject ORDER BY seq"),
    ("spent", "SELECT id FROM spent ORDER BY id"),
)
#: Columns that hold JSON.
_DOCUMENTS: Final = frozenset({"document", "params", "scopes", "accounts"})


class Unreadable(Exception):
    """The file is no journal of ours, or too new, or too broken to be asked."""


class Inspection:
    """One journal, as of one moment; beside a running node, too."""

    def __init__(self, path: Path, *, newest: int) -> None:
        """*newest*: the version that this program knows.

        Raises:
            Unreadable: there is nothing to be read.
        """
        try:
            must_be_regular(path)  # SQLite would wait for a pipe's writer
        except FileNotFoundError:
            raise Unreadable(f"{path}: there is no such file") from None
        except OSError as error:
            raise Unreadable(f"{path}: {error.strerror}") from None
        self._connection = sqlite3.connect(read_only(path), uri=True, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        try:
            self._connection.execute("BEGIN")
            (application_id,) = self._connection.execute("PRAGMA application_id").fetchone()
            (self.version,) = self._connection.execute("PRAGMA user_version").fetchone()
        except sqlite3.Error as error:
            self._connection.close()
            raise Unreadable(f"{path}: {error}") from None
        if application_id != APPLICATION_ID or self.version > newest:
            self._connection.close()
            known = f"has version {self.version}, this program knows {newest}"
            raise Unreadable(f"{path}: {'is no journal' if application_id != APPLICATION_ID else known}")
        self.newest = newest

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def faults(self) -> list[str]:
        """Everything that is wrong: with the file's structure first, and with its content only where that is sound."""
        try:
            structure = self._structure()
            return structure or [*self._broken_rules(), *self._broken_steps()]
        except sqlite3.Error as error:
            return [f"cannot be read: {error}"]

    def counts(self) -> dict[str, int]:
        """How much of what there is."""
        tables = ("command", "command_event", "reject", "engine_lock", "api_key")
        query = "SELECT count(*) FROM {}"
        return {table: int(self._connection.execute(query.format(table)).fetchone()[0]) for table in tables}

    def epochs(self) -> dict[str, int]:
        """Per account the epoch of its lock; empty where it cannot be read."""
        try:
            return dict(self._connection.execute("SELECT account, epoch FROM engine_lock").fetchall())
        except sqlite3.Error:
            return {}

    def records(self) -> Iterator[Record]:
        """Everything for an auditor, a record at a time: the same content gives the same records in the same order.

        Raises:
            Unreadable: it is of an older version: a running node would have migrated it.
        """
        if self.version != self.newest:
            raise Unreadable(f"the journal has version {self.version}: start and stop the node once, to migrate it")
        for kind, query in _EXPORTED:
            with closing(self._connection.execute(query)) as found:
                for row in found:
                    yield {"kind": kind, **{name: _told(name, row[name]) for name in row.keys()}}  # noqa: SIM118

    def _structure(self) -> list[str]:
        found = [str(row[0]) for row in self._connection.execute(f"PRAGMA integrity_check({FAULTS_MAX})")]
        if found != ["ok"]:
            return found
        broken = self._connection.execute("PRAGMA foreign_key_check").fetchmany(FAULTS_MAX)
        return [f"{row[0]}: row {row[1]} refers to nothing in {row[2]}" for row in broken]

    def _broken_rules(self) -> list[str]:
        faults = []
        for rule, query in _RULES:
            found = [str(row[0]) for row in self._connection.execute(query).fetchmany(FAULTS_MAX)]
            if found:
                faults.append(f"{rule}: {', '.join(found)}")
        return faults

    def _broken_steps(self) -> list[str]:
        faults: list[str] = []
        command, before = None, None
        for row in self._connection.execute(_STEPS):
            state = CommandState(row["state"])
            if row["command"] != command:
                command, before = row["command"], None
                legal = state in (CommandState.ACCEPTED, CommandState.REJECTED)
            else:
                legal = before is not None and state in TRANSITIONS[before]
            if not legal and len(faults) < FAULTS_MAX:
                faults.append(f"{state.value} may not follow {before and before.value}: {command}")
            before = state
        return faults


def line(record: Record) -> str:
    """A record as a line of an export: always the same bytes."""
    return json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _told(name: str, value: object) -> object:
    if isinstance(value, bytes):
        text = value.decode("ascii", "replace")
        return text if text.encode("ascii", "replace") == value else {"base64": base64.b64encode(value).decode()}
    if name in _DOCUMENTS and isinstance(value, str):
        return json.loads(value)
    return bool(value) if name == "latched" else value
