"""How commands, events and locks lie in the tables."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from node.domain.command import Action, Command, CommandState, Door, ReplyTo
from node.domain.lock import AccountLock
from node.domain.result import Document
from node.engine.ports import HistoryEntry, OutboxMessage, StoredCommand
from node.journal.decisions import KnownCommand, Ledger, LiveCommand, NewCommand, NewEvent, NewReject

Row = tuple[Any, ...]

INSERT_COMMAND: Final = (
    "INSERT INTO command (id, parent, account, action, params, issuer, door, digest, envelope, issued_at, received_at,"
    " reply_topic, reply_correlation, first_seq, newest_seq) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
INSERT_EVENT: Final = "INSERT INTO command_event (seq, command, state, at, document) VALUES (?, ?, ?, ?, ?)"
INSERT_REJECT: Final = "INSERT INTO reject (seq, id, issuer, account, code, message, at) VALUES (?, ?, ?, ?, ?, ?, ?)"
UPSERT_LOCK: Final = (
    "INSERT INTO engine_lock (account, epoch, latched, since, by, reason) VALUES (?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (account) DO UPDATE SET epoch = excluded.epoch, latched = excluded.latched,"
    " since = excluded.since, by = excluded.by, reason = excluded.reason"
)
INSERT_HOLD: Final = "INSERT INTO lock_hold (account, command) VALUES (?, ?)"
DELETE_HOLD: Final = "DELETE FROM lock_hold WHERE account = ? AND command = ?"
PUBLISHED: Final = (
    "UPDATE outbox SET published_at = ? WHERE published_at IS NULL AND seq IN (SELECT value FROM json_each(?))"
)
RAISE_ATTEMPTS: Final = "UPDATE command SET attempt = attempt + 1 WHERE ended_at IS NULL"

SELECT_KNOWN: Final = (
    "SELECT c.id, c.issuer, c.digest, e.document FROM command c JOIN command_event e ON e.seq = c.newest_seq"
    " WHERE c.id IN (SELECT value FROM json_each(?))"
)
RESTORED: Final = "UPDATE meta SET restored_at = ?, restored_from = ?, seq_floor = max(seq_floor, ?)"
SELECT_ACTIVE_KEYS: Final = (
    "SELECT id FROM api_key WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?) ORDER BY id"
)
SELECT_SPENT: Final = "SELECT id FROM spent WHERE id IN (SELECT value FROM json_each(?))"
SELECT_SETTLED: Final = (
    "SELECT c.id, c.state, e.document FROM command c JOIN command_event e ON e.seq = c.newest_seq"
    " WHERE c.ended_at IS NOT NULL AND c.id IN (SELECT value FROM json_each(?))"
)
SELECT_STORED: Final = (
    "SELECT c.id, c.parent, c.account, c.action, c.params, c.issuer, c.door, c.digest, c.envelope, c.issued_at,"
    " c.received_at, c.reply_topic, c.reply_correlation, c.state, c.attempt, e.document"
    " FROM command c JOIN command_event e ON e.seq = c.newest_seq"
)
SELECT_EVENTS: Final = "SELECT document FROM command_event WHERE command = ? AND seq > ? ORDER BY seq"
SELECT_PENDING: Final = (
    "SELECT o.seq, e.document, c.reply_topic, c.reply_correlation"
    " FROM outbox o JOIN command_event e ON e.seq = o.seq JOIN command c ON c.id = e.command"
    " WHERE o.published_at IS NULL ORDER BY o.seq LIMIT ?"
)
SELECT_SEQ: Final = (
    "SELECT max(coalesce((SELECT max(seq) FROM command_event), 0), coalesce((SELECT max(seq) FROM reject), 0),"
    " coalesce((SELECT seq_floor FROM meta), 0))"
)
SELECT_LIVE: Final = "SELECT id, account, state, params FROM command WHERE ended_at IS NULL"
SELECT_LOCKS: Final = "SELECT account, epoch, latched, since, by, reason FROM engine_lock"
UPSERT_GUARD: Final = (
    "INSERT INTO guard (account, document, at) VALUES (?, ?, ?)"
    " ON CONFLICT (account) DO UPDATE SET document = excluded.document, at = excluded.at"
)
SELECT_GUARDS: Final = "SELECT account, document FROM guard"
#: SQLite: beside max() the other columns are those of the row that has it.
SELECT_LAST_DRILLS: Final = (
    "SELECT c.account, c.action, e.document, max(e.seq) FROM command c JOIN command_event e ON e.seq = c.newest_seq"
    " WHERE c.state = 'done' AND c.action IN ('CLOSE_ALL', 'FLATTEN') AND json_extract(c.params, '$.dry_run')"
    " AND c.account IS NOT NULL GROUP BY c.account, c.action"
)
#: Per account, and of those that failed as well.
SELECT_NEWEST_DRILLS: Final = (
    "SELECT c.account, e.document, max(c.newest_seq) FROM command c JOIN command_event e ON e.seq = c.newest_seq"
    # Over the index command_closes_ended.
    " WHERE c.ended_at IS NOT NULL AND json_extract(c.params, '$.dry_run') AND c.action IN ('CLOSE_ALL', 'FLATTEN')"
    " AND c.account IS NOT NULL GROUP BY c.account"
)
_SELECT_HISTORY: Final = (
    "SELECT c.first_seq, c.door, c.received_at, e.document FROM command c JOIN command_event e ON e.seq = c.newest_seq"
)
SELECT_HISTORY: Final = f"{_SELECT_HISTORY} WHERE c.first_seq < ? ORDER BY c.first_seq DESC LIMIT ?"
SELECT_HISTORY_OF: Final = (
    f"{_SELECT_HISTORY} WHERE c.account = ? AND c.first_seq < ? ORDER BY c.first_seq DESC LIMIT ?"
)
SELECT_PROOFS: Final = (
    "SELECT e.document FROM command c JOIN command_event e ON e.seq = c.newest_seq"
    " WHERE c.account = ? AND c.state = 'done' AND c.action IN ('CLOSE_ALL', 'FLATTEN')"
    " AND NOT json_extract(c.params, '$.dry_run') ORDER BY c.newest_seq DESC LIMIT ?"
)
SELECT_PROOF_TIMES: Final = (
    "SELECT account, action, proof FROM (SELECT c.account, c.action, c.newest_seq,"
    " json_extract(e.document, '$.latency_ms.proof') AS proof,"
    " row_number() OVER (PARTITION BY c.account, c.action ORDER BY c.newest_seq DESC) AS age"
    " FROM command c JOIN command_event e ON e.seq = c.newest_seq"
    " WHERE c.state = 'done' AND c.action IN ('CLOSE_ALL', 'FLATTEN') AND c.account IS NOT NULL"
    " AND NOT json_extract(c.params, '$.dry_run') AND proof IS NOT NULL) WHERE age <= ? ORDER BY newest_seq"
)
SELECT_HOLDS: Final = "SELECT account, command FROM lock_hold"


def instant(at: datetime) -> str:
    """UTC with microseconds: what is read back equals what was stored."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def ids(of: Iterable[UUID]) -> Row:
    """The parameter of a query for several ids."""
    return (json.dumps([str(one) for one in of]),)


def text(document: Document) -> str:
    """A document as stored.

    Raises:
        ValueError: it holds a number that JSON does not have.
    """
    return json.dumps(document, separators=(",", ":"), allow_nan=False)


def command_row(new: NewCommand) -> Row:
    """For ``INSERT_COMMAND``."""
    command = new.command
    params = {
        "symbols": command.symbols,
        "latch": command.latch,
        "dry_run": command.dry_run,
        "reason": command.reason,
        "epoch": command.epoch,
        "force": command.force,
    }
    return (
        str(command.command_id),
        command.parent_id and str(command.parent_id),
        command.account_id and str(command.account_id),
        command.action.value,
        json.dumps(params),
        command.issuer,
        command.door.value,
        command.content_digest,
        command.envelope,
        instant(command.issued_at),
        instant(command.received_at),
        command.reply_to and command.reply_to.topic,
        command.reply_to and command.reply_to.correlation_data,
        new.first_seq,
        new.first_seq,
    )


def event_row(new: NewEvent, at: datetime) -> Row:
    """For ``INSERT_EVENT``."""
    return (new.seq, str(new.command_id), new.state.value, instant(at), text(new.document))


def reject_row(new: NewReject, at: datetime) -> Row:
    """For ``INSERT_REJECT``."""
    note = new.note
    return (
        new.seq,
        "" if note.command_id is None else str(note.command_id),
        note.issuer,
        None if note.account_id is None else str(note.account_id),
        note.rejection.code.value,
        note.rejection.message,
        instant(at),
    )


def lock_row(lock: AccountLock) -> Row:
    """For ``UPSERT_LOCK``."""
    since = lock.since and instant(lock.since)
    return (str(lock.account_id), lock.epoch, int(lock.latched), since, lock.by, lock.reason)


def hold_rows(lock: AccountLock, holds: Iterable[UUID]) -> list[Row]:
    """For ``INSERT_HOLD`` and ``DELETE_HOLD``."""
    return [(str(lock.account_id), str(command_id)) for command_id in holds]


def known_commands(rows: Iterable[sqlite3.Row]) -> dict[UUID, KnownCommand]:
    """Of ``SELECT_KNOWN``."""
    return {
        UUID(command_id): KnownCommand(issuer=issuer, content_digest=digest, document=json.loads(document))
        for command_id, issuer, digest, document in rows
    }


def stored_command(row: Sequence[Any]) -> StoredCommand:
    """Of ``SELECT_STORED``."""
    (
        command_id,
        parent,
        account,
        action,
        params,
        issuer,
        door,
        digest,
        envelope,
        issued_at,
        received_at,
        topic,
        correlation,
        state,
        attempt,
        document,
    ) = row
    stored_params = json.loads(params)
    command = Command(
        command_id=UUID(command_id),
        parent_id=parent and UUID(parent),
        account_id=account and UUID(account),
        action=Action(action),
        issuer=issuer,
        door=Door(door),
        content_digest=digest,
        envelope=envelope,
        issued_at=datetime.fromisoformat(issued_at),
        received_at=datetime.fromisoformat(received_at),
        reply_to=reply_to(topic, correlation),
        **{**stored_params, "symbols": tuple(stored_params["symbols"])},
    )
    return StoredCommand(command=command, state=CommandState(state), document=json.loads(document), attempt=attempt)


def history_entry(row: Sequence[Any]) -> HistoryEntry:
    """Of ``SELECT_HISTORY`` and ``SELECT_HISTORY_OF``."""
    first_seq, door, received_at, document = row
    return HistoryEntry(
        first_seq=first_seq,
        door=Door(door),
        received_at=datetime.fromisoformat(received_at),
        document=json.loads(document),
    )


def outbox_message(row: Sequence[Any]) -> OutboxMessage:
    """Of ``SELECT_PENDING``."""
    seq, document, topic, correlation = row
    return OutboxMessage(seq=seq, document=json.loads(document), reply_to=reply_to(topic, correlation))


def reply_to(topic: str | None, correlation: bytes | None) -> ReplyTo | None:
    """Where the sender wants the events as well, if anywhere."""
    return None if topic is None else ReplyTo(topic=topic, correlation_data=correlation)


def ledger(seq: int, live: Iterable[sqlite3.Row], locks: Iterable[sqlite3.Row], holds: Iterable[sqlite3.Row]) -> Ledger:
    """Of ``SELECT_LIVE``, ``SELECT_LOCKS`` and ``SELECT_HOLDS``."""
    held: dict[str, set[UUID]] = {}
    for account, command_id in holds:
        held.setdefault(account, set()).add(UUID(command_id))
    return Ledger(
        seq=seq,
        live={
            UUID(command_id): LiveCommand(
                account_id=account and UUID(account), state=CommandState(state), dry_run=json.loads(params)["dry_run"]
            )
            for command_id, account, state, params in live
        },
        locks={
            UUID(account): AccountLock(
                account_id=UUID(account),
                epoch=epoch,
                latched=bool(latched),
                holds=frozenset(held.get(account, ())),
                since=since and datetime.fromisoformat(since),
                by=by,
                reason=reason,
            )
            for account, epoch, latched, since, by, reason in locks
        },
    )
