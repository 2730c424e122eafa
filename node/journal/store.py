"""The journal on SQLite."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Self
from uuid import UUID

import aiosqlite
import structlog

from node.clock import Clock
from node.domain.command import Action, CommandState
from node.domain.lock import AccountLock
from node.domain.result import Document
from node.engine.ports import Admission, AdmissionOutcome, Event, HistoryEntry, OutboxMessage, RejectNote, StoredCommand
from node.errors import JournalUnavailable
from node.journal import rows
from node.journal.connection import in_its_thread
from node.journal.database import REOPEN_AFTER_S, STALL_S, Database
from node.journal.decisions import Draft, Ledger
from node.journal.forgetting import forget
from node.journal.migrations import Migration, packaged_migrations
from node.journal.trouble import JournalTrouble

#: Above every number: SQLite's largest integer.
SEQ_MAX: Final = 2**63 - 1

log = structlog.get_logger(__name__)


def _ignore(_value: float) -> None:
    """Nobody listens."""


class SqliteJournal:
    """Implements the engine's ``Journal``: one file, one process (hold its ``StateDirectory``).

    What every decision needs (locks, live commands, the counter) is kept in memory and changed only after a
    commit; an admission therefore costs two queries and its writes, in one transaction however large the batch.
    """

    def __init__(
        self,
        path: Path,
        *,
        node_id: str,
        clock: Clock,
        on_health: Callable[[bool], None] = _ignore,
        commit_seconds: Callable[[float], None] = _ignore,
        stall_s: float = STALL_S,
        reopen_after_s: Sequence[float] = REOPEN_AFTER_S,
        migrations: Sequence[Migration] | None = None,
    ) -> None:
        self._node_id = node_id
        self._clock = clock
        self._ledger = Ledger()
        #: The newest number known to be on disk.
        self._durable_seq = 0
        #: Endings whose recording has an unknown outcome: they may come again, and may be stored.
        self._in_doubt: set[tuple[UUID, CommandState]] = set()
        #: What was in force before the file could be read, to be written at its opening.
        self._assumed: Callable[[], Iterable[AccountLock]] | None = None
        self._database = Database(
            path,
            migrations=migrations or packaged_migrations(),
            load=self._load,
            on_health=on_health,
            commit_seconds=commit_seconds,
            stall_s=stall_s,
            reopen_after_s=reopen_after_s,
        )

    async def __aenter__(self) -> Self:
        try:
            await self.open()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    @property
    def healthy(self) -> bool:
        """Whether the last write succeeded and no reopening is under way."""
        return self._database.healthy

    @property
    def database(self) -> Database:
        """The file, for what else is kept in it."""
        return self._database

    @property
    def trouble(self) -> JournalTrouble | None:
        """Why it is not healthy, and what to do; None while it is."""
        return self._database.trouble

    @property
    def silent_s(self) -> float:
        """How long the disk has owed us its oldest answer; 0 while it owes none. A refusal is an answer."""
        return self._database.silent_s

    async def open(self) -> None:
        """Open the file, creating or migrating it, and verify it.

        It goes on trying until ``close``, so a node may start without it; until then no lock is known.

        Raises:
            JournalIncompatible: the file is not ours, or newer than this program; it was left as it is.
            JournalDamaged: its structure is broken; it was left as it is.
            JournalUnavailable: the disk will not, or does not answer.
        """
        await self._database.open()

    def assume(self, locks: Callable[[], Iterable[AccountLock]]) -> None:
        """Write these locks, latched and with epochs above the stored ones, in the moment in which the file can be
        read at last: before any call is let in, so that nothing is decided by the stored ones alone.
        """
        self._assumed = locks

    async def write_assumed(self) -> None:
        """Write them now, where that moment was missed: the file was being read already. Nothing if they are there."""
        if self._assumed is None:
            return
        locks = list(self._assumed())

        def work(connection: sqlite3.Connection) -> tuple[Draft, None]:
            draft = self._with_assumed(locks)
            _write(connection, draft)
            return draft, None

        await self._database.transact("write_assumed", work, self._adopt)
        self._assumed = None

    async def close(self) -> None:
        """End what is running and release the file."""
        await self._database.close()

    async def locks(self) -> dict[UUID, AccountLock]:
        """Every lock that was ever changed."""
        if not self.healthy:
            raise JournalUnavailable
        return dict(self._ledger.locks)

    async def admit(self, admissions: Sequence[Admission]) -> list[AdmissionOutcome]:
        """Decide and store, in order and in one transaction.

        What is not begun comes back as ``Refused``, whoever found the obstacle: the door or the journal.
        """

        decided = await self._database.transact(
            "admit", lambda connection: self._admit(connection, admissions), self._adopt
        )
        return decided[1]

    async def rehearse(self, admission: Admission) -> None:
        """Decide and write an admission, and take all of it back: nothing is stored, and no number is spent.

        A file's first transaction of a kind takes twice as long as the next: statements are compiled, pages read.
        """

        def work(connection: sqlite3.Connection) -> None:
            self._admit(connection, [admission])
            raise _Rehearsed

        with contextlib.suppress(_Rehearsed):
            await self._database.transact("rehearse", work)

    def _admit(
        self, connection: sqlite3.Connection, admissions: Sequence[Admission]
    ) -> tuple[Draft, list[AdmissionOutcome]]:
        asked = rows.ids(command.command_id for admission in admissions for command in admission.commands)
        found = connection.execute(rows.SELECT_KNOWN, asked).fetchall()
        spent = connection.execute(rows.SELECT_SPENT, asked).fetchall()
        draft = Draft(
            self._ledger,
            node_id=self._node_id,
            clock=self._clock,
            known=rows.known_commands(found),
            spent={UUID(row[0]) for row in spent},
        )
        outcomes = [draft.admit(admission) for admission in admissions]
        _write(connection, draft)
        return draft, outcomes

    async def raise_locks(self, locks: Sequence[AccountLock]) -> None:
        """Take over locks that an earlier run had in force without a record: higher epochs, and locked, only."""

        def work(connection: sqlite3.Connection) -> tuple[Draft, None]:
            draft = Draft(self._ledger, node_id=self._node_id, clock=self._clock)
            for lock in locks:
                draft.raise_lock(lock)
            _write(connection, draft)
            return draft, None

        await self._database.transact("raise_locks", work, self._adopt)

    async def note_rejects(self, notes: Sequence[RejectNote]) -> None:
        """Store rejects of known issuers that are no commands at all."""

        def work(connection: sqlite3.Connection) -> tuple[Draft, None]:
            draft = Draft(self._ledger, node_id=self._node_id, clock=self._clock)
            for note in notes:
                draft.note(note)
            _write(connection, draft)
            return draft, None

        await self._database.transact("note_rejects", work, self._adopt)

    async def record(self, events: Sequence[Event]) -> list[Document]:
        """Store further states with their lock changes; all or none.

        An ending that was recorded before with unknown outcome may be recorded again: if it was stored, the
        stored document is returned and nothing changes.

        Raises:
            IllegalTransition: a state may not follow the command's present one; nothing was stored.
            JournalUnavailable: the outcome is unknown.
        """
        endings = {(event.command.command_id, event.state) for event in events if event.state.ended}

        def work(connection: sqlite3.Connection) -> tuple[Draft, list[Document]]:
            draft = Draft(
                self._ledger, node_id=self._node_id, clock=self._clock, settled=self._settled(connection, endings)
            )
            documents = [draft.record(event) for event in events]
            _write(connection, draft)
            return draft, documents

        try:
            documents = (await self._database.transact("record", work, self._adopt))[1]
        except (JournalUnavailable, asyncio.CancelledError):
            self._in_doubt |= endings
            raise
        self._in_doubt -= endings
        return documents

    async def find(self, command_id: UUID) -> StoredCommand | None:
        """One command with its newest event."""
        found = await self._database.read(f"{rows.SELECT_STORED} WHERE c.id = ?", (str(command_id),))
        return rows.stored_command(found[0]) if found else None

    async def children(self, parent_id: UUID) -> list[StoredCommand]:
        """The children of a ``*`` command, in the order of their admission."""
        query = f"{rows.SELECT_STORED} WHERE c.parent = ? ORDER BY c.first_seq"
        return [rows.stored_command(row) for row in await self._database.read(query, (str(parent_id),))]

    async def unfinished(self) -> list[StoredCommand]:
        """What has not ended, oldest first; each one's attempt has been raised (durably) by this call."""

        def work(connection: sqlite3.Connection) -> list[StoredCommand]:
            connection.execute(rows.RAISE_ATTEMPTS)
            query = f"{rows.SELECT_STORED} WHERE c.ended_at IS NULL ORDER BY c.first_seq"
            return [rows.stored_command(row) for row in connection.execute(query).fetchall()]

        return await self._database.transact("unfinished", work)

    async def events(self, command_id: UUID, *, after_seq: int = 0) -> list[Document]:
        """The events of one command, oldest first."""
        found = await self._database.read(rows.SELECT_EVENTS, (str(command_id), after_seq))
        return [json.loads(row[0]) for row in found]

    async def pending(self, limit: int) -> list[OutboxMessage]:
        """Events that no broker has confirmed, in the order of their numbers."""
        return [rows.outbox_message(row) for row in await self._database.read(rows.SELECT_PENDING, (limit,))]

    async def published(self, seqs: Sequence[int]) -> None:
        """The broker has confirmed these."""
        if not seqs:
            return

        def work(connection: sqlite3.Connection) -> None:
            at = rows.instant(self._clock.now())
            connection.execute(rows.PUBLISHED, (at, json.dumps(list(seqs))))

        await self._database.transact("published", work)

    async def keep_guard(self, account_id: UUID, document: Document) -> None:
        """Keep what the guard of an account must not forget, in place of what it kept before."""

        def work(connection: sqlite3.Connection) -> None:
            at = rows.instant(self._clock.now())
            connection.execute(rows.UPSERT_GUARD, (str(account_id), rows.text(document), at))

        await self._database.transact("keep_guard", work)

    async def guards(self) -> dict[UUID, Document]:
        """What the guards have kept."""
        found = await self._database.read(rows.SELECT_GUARDS, ())
        return {UUID(account): json.loads(document) for account, document in found}

    async def last_drills(self) -> dict[tuple[UUID, Action], Document]:
        """Per account and action the ending of the newest drill of a close that passed."""
        found = await self._database.read(rows.SELECT_LAST_DRILLS, ())
        return {(UUID(account), Action(action)): json.loads(document) for account, action, document, _ in found}

    async def newest_drills(self) -> dict[UUID, Document]:
        """Per account the ending of the newest drill of a close, passed or not."""
        found = await self._database.read(rows.SELECT_NEWEST_DRILLS, ())
        return {UUID(account): json.loads(document) for account, document, _ in found}

    async def history(self, account_id: UUID | None, *, before_seq: int | None, limit: int) -> list[HistoryEntry]:
        """Commands of one account, or all, newest first; those admitted before one that was seen."""
        before = SEQ_MAX if before_seq is None else before_seq
        if account_id is None:
            found = await self._database.read(rows.SELECT_HISTORY, (before, limit))
        else:
            found = await self._database.read(rows.SELECT_HISTORY_OF, (str(account_id), before, limit))
        return [rows.history_entry(row) for row in found]

    async def proofs(self, account_id: UUID, *, limit: int) -> list[Document]:
        """The endings of an account's newest real closes that were proven, oldest first."""
        found = await self._database.read(rows.SELECT_PROOFS, (str(account_id), limit))
        return [json.loads(row[0]) for row in reversed(list(found))]

    async def proof_times_ms(self, limit: int) -> dict[tuple[UUID, Action], list[float]]:
        """Per account and action how long the newest executions took to their proof, oldest first, at most so many."""
        times: dict[tuple[UUID, Action], list[float]] = {}
        for account, action, proof_ms in await self._database.read(rows.SELECT_PROOF_TIMES, (limit,)):
            times.setdefault((UUID(account), Action(action)), []).append(float(proof_ms))
        return times

    def advance_seq(self, at_least: int) -> None:
        """Give out only numbers above this one: what the engine numbered itself while the journal was down."""
        self._ledger.seq = max(self._ledger.seq, at_least)

    async def probe(self) -> None:
        """One tiny durable write: whether a command could be stored now. Call it every few seconds.

        Raises:
            JournalUnavailable: it could not.
        """

        def touch(connection: sqlite3.Connection) -> None:
            connection.execute("UPDATE meta SET probed_at = ?", (rows.instant(self._clock.now()),))

        await self._database.probe(touch)

    async def backup(self, target: Path) -> None:
        """Copy everything committed into one file (0600) that opens as a journal; commands go on meanwhile.

        Raises:
            JournalUnavailable: the copy failed; an older ``target`` is untouched.
        """
        await self._database.backup(target)

    async def note_restored(self, source: str) -> None:
        """Write down that what this journal holds was restored, and that no number before may come again."""
        at, seq = rows.instant(self._clock.now()), self._ledger.seq

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(rows.RESTORED, (at, source, seq))

        await self._database.transact("note_restored", work)

    async def active_keys(self) -> tuple[str, ...]:
        """Ids of the API keys that are neither revoked nor expired."""
        found = await self._database.read(rows.SELECT_ACTIVE_KEYS, (rows.instant(self._clock.now()),))
        return tuple(str(row[0]) for row in found)

    async def forget(self, before: datetime, *, limit: int) -> int:
        """Drop old history, at most so many commands and rejects at once; how many went.

        Raises:
            JournalUnavailable: the outcome is unknown.
        """

        def work(connection: sqlite3.Connection) -> int:
            return forget(connection, before, limit)

        return await self._database.transact("forget", work)

    def _adopt(self, decided: tuple[Draft, object]) -> None:
        draft, skipped_to = decided[0], self._ledger.seq
        self._ledger = draft.ledger
        written = [event.seq for event in draft.events] + [reject.seq for reject in draft.rejects]
        self._durable_seq = max([self._durable_seq, *written])
        self.advance_seq(skipped_to)

    def _settled(self, connection: sqlite3.Connection, endings: set[tuple[UUID, CommandState]]) -> dict[UUID, Document]:
        doubted = endings & self._in_doubt
        if not doubted:
            return {}
        asked = rows.ids(command_id for command_id, _ in doubted)
        found = connection.execute(rows.SELECT_SETTLED, asked).fetchall()
        return {
            UUID(command_id): json.loads(document)
            for command_id, state, document in found
            if (UUID(command_id), CommandState(state)) in doubted
        }

    async def _load(self, connection: aiosqlite.Connection) -> None:
        """Called at each opening, before anything else is let in."""
        seq, live, locks, holds = await in_its_thread(connection, self._look)
        try:
            self._ledger = rows.ledger(max(seq, self._ledger.seq), live, locks, holds)
        except (ValueError, KeyError) as error:
            raise JournalUnavailable(f"the journal is damaged: {error!r}") from error
        self._durable_seq = seq
        if self._assumed is not None:
            draft = self._with_assumed(self._assumed())

            def work(opened: sqlite3.Connection) -> None:
                opened.execute("BEGIN IMMEDIATE")
                _write(opened, draft)
                opened.execute("COMMIT")

            await in_its_thread(connection, work)
            self._adopt((draft, None))
            self._assumed = None

    def _look(self, connection: sqlite3.Connection) -> tuple[int, list[Any], list[Any], list[Any]]:
        """The newest number, and what decisions are made from; proves that the file can be written."""
        ((seq,),) = connection.execute(rows.SELECT_SEQ).fetchall()
        if seq < self._durable_seq:
            # Another file, or an older copy: its locks are not to be believed. A restart would accept it.
            raise JournalUnavailable(f"the journal ends at {seq}, although {self._durable_seq} was committed")
        now = rows.instant(self._clock.now())
        found = connection.execute("SELECT node_id FROM meta").fetchall()
        if not found:
            insert = "INSERT INTO meta (one, created_at, node_id) VALUES (1, ?, ?)"
            connection.execute(insert, (now, self._node_id))
        elif found[0][0] != self._node_id:
            # A renamed node keeps its locks; its numbers go on rising.
            log.warning("journal_of_another_node", stored=found[0][0], node_id=self._node_id)
        connection.execute("UPDATE meta SET node_id = ?, probed_at = ?", (self._node_id, now))
        live, locks, holds = (
            connection.execute(query).fetchall() for query in (rows.SELECT_LIVE, rows.SELECT_LOCKS, rows.SELECT_HOLDS)
        )
        return seq, live, locks, holds

    def _with_assumed(self, locks: Iterable[AccountLock]) -> Draft:
        draft = Draft(self._ledger, node_id=self._node_id, clock=self._clock)
        for lock in locks:
            draft.assume_lock(lock)
        return draft


class _Rehearsed(Exception):
    """Takes a transaction back."""


def _write(connection: sqlite3.Connection, draft: Draft) -> None:
    """Put a decided transaction into the open one."""
    at, changed = draft.at, draft.changed_locks()
    statements: list[tuple[str, list[rows.Row]]] = [
        (rows.INSERT_COMMAND, [rows.command_row(new) for new in draft.commands]),
        (rows.INSERT_EVENT, [rows.event_row(new, at) for new in draft.events]),
        (rows.INSERT_REJECT, [rows.reject_row(new, at) for new in draft.rejects]),
        (rows.UPSERT_LOCK, [rows.lock_row(after) for _, after in changed]),
        (rows.DELETE_HOLD, [row for old, new in changed for row in rows.hold_rows(old, old.holds - new.holds)]),
        (rows.INSERT_HOLD, [row for old, new in changed for row in rows.hold_rows(new, new.holds - old.holds)]),
    ]
    for statement, parameters in statements:
        if parameters:
            connection.executemany(statement, parameters)
