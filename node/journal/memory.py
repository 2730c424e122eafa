"""The journal without a disk: for tests of the engine, with the same decisions as the real one."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from node.clock import Clock
from node.domain.command import Action, Command, CommandState
from node.domain.lock import AccountLock
from node.domain.result import Document
from node.engine.ports import Admission, AdmissionOutcome, Event, HistoryEntry, OutboxMessage, RejectNote, StoredCommand
from node.errors import JournalUnavailable
from node.journal.decisions import Draft, KnownCommand, Ledger, NewReject, is_execution, is_passed_drill


@dataclass(slots=True, kw_only=True)
class _Entry:
    command: Command
    state: CommandState
    attempt: int
    documents: list[Document]

    def stored(self) -> StoredCommand:
        return StoredCommand(
            command=self.command, state=self.state, document=_copy(self.documents[-1]), attempt=self.attempt
        )

    def known(self) -> KnownCommand:
        return KnownCommand(
            issuer=self.command.issuer,
            content_digest=self.command.content_digest,
            document=_copy(self.documents[-1]),
        )


class MemoryJournal:
    """Implements the engine's ``Journal``; forgets everything with the process.

    ``calls`` counts each method. ``down`` makes every call raise ``JournalUnavailable``; ``fail_next`` only the
    coming ones, which may have taken effect all the same, as a failed commit may.
    """

    def __init__(
        self, *, node_id: str, clock: Clock, on_health: Callable[[bool], None] = lambda _healthy: None
    ) -> None:
        self.calls: Counter[str] = Counter()
        self.rejects: list[NewReject] = []
        self._node_id = node_id
        self._clock = clock
        self._on_health = on_health
        self._down = False
        self._failures: list[bool] = []
        self._ledger = Ledger()
        self._entries: dict[UUID, _Entry] = {}
        self._outbox: dict[int, UUID] = {}
        self._in_doubt: set[tuple[UUID, CommandState]] = set()
        self._guards: dict[UUID, Document] = {}
        self._assumed: Callable[[], Iterable[AccountLock]] | None = None

    @property
    def down(self) -> bool:
        """Whether every call fails."""
        return self._down

    @down.setter
    def down(self, down: bool) -> None:
        if down is not self._down:
            if not down:
                self._keep_assumed()
            self._down = down
            self._on_health(not down)

    def assume(self, locks: Callable[[], Iterable[AccountLock]]) -> None:
        """Keep these locks in the moment in which it is up again."""
        self._assumed = locks

    async def write_assumed(self) -> None:
        """Keep them now, where that moment was missed."""
        self._called("write_assumed")
        self._keep_assumed()

    def _keep_assumed(self) -> None:
        if self._assumed is not None:
            draft = Draft(self._ledger, node_id=self._node_id, clock=self._clock)
            for lock in self._assumed():
                draft.assume_lock(lock)
            self._ledger, self._assumed = draft.ledger, None

    @property
    def healthy(self) -> bool:
        """Whether calls succeed."""
        return not self._down

    def fail_next(self, times: int = 1, *, applied: bool = False) -> None:
        """Make the next calls raise; with ``applied`` a write takes effect although it raises."""
        self._failures += [applied] * times

    async def locks(self) -> dict[UUID, AccountLock]:
        """Every lock that was ever changed."""
        self._called("locks")
        return dict(self._ledger.locks)

    async def admit(self, admissions: Sequence[Admission]) -> list[AdmissionOutcome]:
        """Decide and keep, in order."""
        failure = self._called("admit", writes=True)
        asked = [command.command_id for admission in admissions for command in admission.commands]
        entries = (self._entries[command_id] for command_id in asked if command_id in self._entries)
        known = {entry.command.command_id: entry.known() for entry in entries}
        draft = Draft(self._ledger, node_id=self._node_id, clock=self._clock, known=known)
        outcomes = [draft.admit(admission) for admission in admissions]
        self._apply(draft)
        _raise(failure)
        return outcomes

    async def rehearse(self, admission: Admission) -> None:
        """Decide, and forget it."""
        _raise(self._called("rehearse", writes=True))
        Draft(self._ledger, node_id=self._node_id, clock=self._clock, known={}).admit(admission)

    async def record(self, events: Sequence[Event]) -> list[Document]:
        """Keep further states with their lock changes; all or none.

        Raises:
            IllegalTransition: a state may not follow the command's present one; nothing was kept.
        """
        endings = {(event.command.command_id, event.state) for event in events if event.state.ended}
        try:
            failure = self._called("record", writes=True)
            settled = {
                command_id: _copy(entry.documents[-1])
                for command_id, state in endings & self._in_doubt
                if (entry := self._entries.get(command_id)) is not None and entry.state is state
            }
            draft = Draft(self._ledger, node_id=self._node_id, clock=self._clock, settled=settled)
            documents = [draft.record(event) for event in events]
            self._apply(draft)
            _raise(failure)
        except JournalUnavailable:
            self._in_doubt |= endings
            raise
        self._in_doubt -= endings
        return documents

    async def raise_locks(self, locks: Sequence[AccountLock]) -> None:
        """Take over locks that an earlier run had in force without a record: higher epochs, and locked, only."""
        failure = self._called("raise_locks", writes=True)
        draft = Draft(self._ledger, node_id=self._node_id, clock=self._clock)
        for lock in locks:
            draft.raise_lock(lock)
        self._apply(draft)
        _raise(failure)

    async def note_rejects(self, notes: Sequence[RejectNote]) -> None:
        """Keep rejects of known issuers that are no commands at all."""
        failure = self._called("note_rejects", writes=True)
        draft = Draft(self._ledger, node_id=self._node_id, clock=self._clock)
        for note in notes:
            draft.note(note)
        self._apply(draft)
        _raise(failure)

    async def find(self, command_id: UUID) -> StoredCommand | None:
        """One command with its newest event."""
        self._called("find")
        entry = self._entries.get(command_id)
        return None if entry is None else entry.stored()

    async def children(self, parent_id: UUID) -> list[StoredCommand]:
        """The children of a ``*`` command, in the order of their admission."""
        self._called("children")
        return [entry.stored() for entry in self._entries.values() if entry.command.parent_id == parent_id]

    async def unfinished(self) -> list[StoredCommand]:
        """What has not ended, oldest first; raises each one's attempt."""
        failure = self._called("unfinished", writes=True)
        entries = [entry for entry in self._entries.values() if not entry.state.ended]
        for entry in entries:
            entry.attempt += 1
        _raise(failure)
        return [entry.stored() for entry in entries]

    async def events(self, command_id: UUID, *, after_seq: int = 0) -> list[Document]:
        """The events of one command, oldest first."""
        self._called("events")
        entry = self._entries.get(command_id)
        return [_copy(document) for document in (entry.documents if entry else ()) if document["seq"] > after_seq]

    async def pending(self, limit: int) -> list[OutboxMessage]:
        """Events that no broker has confirmed, in the order of their numbers."""
        self._called("pending")
        messages = []
        for seq, command_id in sorted(self._outbox.items())[:limit]:
            entry = self._entries[command_id]
            document = next(document for document in entry.documents if document["seq"] == seq)
            messages.append(OutboxMessage(seq=seq, document=_copy(document), reply_to=entry.command.reply_to))
        return messages

    async def published(self, seqs: Sequence[int]) -> None:
        """The broker has confirmed these."""
        failure = self._called("published", writes=True)
        for seq in seqs:
            self._outbox.pop(seq, None)
        _raise(failure)

    async def keep_guard(self, account_id: UUID, document: Document) -> None:
        """Keep what the guard of an account must not forget."""
        failure = self._called("keep_guard", writes=True)
        self._guards[account_id] = _copy(document)
        _raise(failure)

    async def guards(self) -> dict[UUID, Document]:
        """What the guards have kept."""
        self._called("guards")
        return {account_id: _copy(document) for account_id, document in self._guards.items()}

    async def last_drills(self) -> dict[tuple[UUID, Action], Document]:
        """Per account and action the ending of the newest drill of a close that passed."""
        self._called("last_drills")
        return {
            (entry.command.account_id, entry.command.action): _copy(entry.documents[-1])
            for entry in self._by_newest_event()
            if entry.command.account_id and is_passed_drill(entry.command, entry.state)
        }

    async def newest_drills(self) -> dict[UUID, Document]:
        """Per account the ending of the newest drill of a close, passed or not."""
        self._called("newest_drills")
        return {
            entry.command.account_id: _copy(entry.documents[-1])
            for entry in self._by_newest_event()
            if entry.command.account_id and entry.command.dry_run and entry.command.action.closes and entry.state.ended
        }

    async def history(self, account_id: UUID | None, *, before_seq: int | None, limit: int) -> list[HistoryEntry]:
        """Commands of one account, or all, newest first; those admitted before one that was seen."""
        self._called("history")
        entries = [
            HistoryEntry(
                first_seq=int(entry.documents[0]["seq"]),
                door=entry.command.door,
                received_at=entry.command.received_at,
                document=_copy(entry.documents[-1]),
            )
            for entry in self._entries.values()
            if account_id in (None, entry.command.account_id)
        ]
        asked = [entry for entry in entries if before_seq is None or entry.first_seq < before_seq]
        return sorted(asked, key=lambda entry: -entry.first_seq)[:limit]

    async def proofs(self, account_id: UUID, *, limit: int) -> list[Document]:
        """The endings of an account's newest real closes that were proven, oldest first."""
        self._called("proofs")
        found = [
            _copy(entry.documents[-1])
            for entry in self._by_newest_event()
            if entry.command.account_id == account_id and is_execution(entry.command, entry.state)
        ]
        return found[-limit:]

    async def proof_times_ms(self, limit: int) -> dict[tuple[UUID, Action], list[float]]:
        """Per account and action how long the newest executions took to their proof, oldest first, at most so many."""
        self._called("proof_times_ms")
        times: dict[tuple[UUID, Action], list[float]] = {}
        for entry in self._by_newest_event():
            command, proof_ms = entry.command, entry.documents[-1]["latency_ms"].get("proof")
            if is_execution(command, entry.state) and command.account_id and proof_ms is not None:
                times.setdefault((command.account_id, command.action), []).append(proof_ms)
        return {of: found[-limit:] for of, found in times.items()}

    def _by_newest_event(self) -> list[_Entry]:
        return sorted(self._entries.values(), key=lambda entry: int(entry.documents[-1]["seq"]))

    def advance_seq(self, at_least: int) -> None:
        """Give out only numbers above this one."""
        self._ledger.seq = max(self._ledger.seq, at_least)

    async def probe(self) -> None:
        """Whether a command could be kept now."""
        _raise(self._called("probe", writes=True))

    def _called(self, name: str, *, writes: bool = False) -> bool:
        """Count the call; whether it must fail once its effect is there."""
        self.calls[name] += 1
        if self._down:
            raise JournalUnavailable
        if not self._failures:
            return False
        applied = self._failures.pop(0)
        if applied and writes:
            return True
        raise JournalUnavailable

    def _apply(self, draft: Draft) -> None:
        documents = [_copy(new.document) for new in draft.events]  # first: it raises for what is not JSON
        for added in draft.commands:
            self._entries[added.command.command_id] = _Entry(
                command=added.command, state=CommandState.ACCEPTED, attempt=0, documents=[]
            )
        for new, document in zip(draft.events, documents, strict=True):
            entry = self._entries[new.command_id]
            entry.state = new.state
            entry.documents.append(document)
            self._outbox[new.seq] = new.command_id
        self.rejects += draft.rejects
        self._ledger = draft.ledger


def _copy(document: Document) -> Document:
    copied: Document = json.loads(json.dumps(document, allow_nan=False))
    return copied


def _raise(failure: bool) -> None:
    if failure:
        raise JournalUnavailable
