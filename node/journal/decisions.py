"""What the journal decides, without a disk: shared by the store and its twin in memory."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final
from uuid import UUID

from node.clock import Clock
from node.domain.command import THE_NODE, TRANSITIONS, Action, Command, CommandState, RejectCode
from node.domain.lock import AccountLock, StaleEpoch, after_admission
from node.domain.result import Document, ErrorReport, result_document
from node.engine.ports import Admission, AdmissionOutcome, Admitted, Duplicate, Event, Refused, Rejection, RejectNote
from node.errors import SovereignError

#: Who may not command an account is not told its lock either.
_WITHOUT_LOCK: Final = frozenset({RejectCode.CONFLICT, RejectCode.FORBIDDEN, RejectCode.UNKNOWN_ACCOUNT})

_CONFLICT: Final = Rejection(code=RejectCode.CONFLICT, message="the command id was used for something else")
_SPENT: Final = Rejection(code=RejectCode.CONFLICT, message="the command was carried out long ago")
_BUSY: Final = Rejection(code=RejectCode.BUSY, message="a command is live for this account")
_ONE_ACCOUNT: Final = Rejection(code=RejectCode.MALFORMED, message="UNLOCK names exactly one account")


class IllegalTransition(SovereignError):
    """A state was recorded that may not follow the one before: a fault in the program."""

    code = "ILLEGAL_TRANSITION"


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveCommand:
    """What must be known of a command that has not ended."""

    account_id: UUID | None
    state: CommandState
    dry_run: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownCommand:
    """What must be known of a command whose id comes again."""

    issuer: str
    content_digest: str
    #: The newest event.
    document: Document


@dataclass(slots=True, kw_only=True)
class Ledger:
    """The part of the record that every decision needs; small, and always in memory."""

    #: The newest number given out.
    seq: int = 0
    locks: dict[UUID, AccountLock] = field(default_factory=dict)
    live: dict[UUID, LiveCommand] = field(default_factory=dict)

    def copy(self) -> Ledger:
        """One that can be changed and thrown away."""
        return Ledger(seq=self.seq, locks=dict(self.locks), live=dict(self.live))

    def lock(self, account_id: UUID) -> AccountLock:
        """An account's lock; open with epoch 0 if nothing ever changed it."""
        return self.locks.get(account_id) or AccountLock(account_id=account_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCommand:
    """A command to be stored; its first event carries ``first_seq``."""

    command: Command
    first_seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEvent:
    """An event to be stored; the document has its number."""

    seq: int
    command_id: UUID
    state: CommandState
    document: Document


@dataclass(frozen=True, slots=True, kw_only=True)
class NewReject:
    """A reject to be stored that has no command of its own."""

    seq: int
    note: RejectNote


def is_passed_drill(command: Command, state: CommandState) -> bool:
    """Whether an ending tells of a drill that passed."""
    return command.dry_run and command.action.closes and state is CommandState.DONE


def is_execution(command: Command, state: CommandState) -> bool:
    """Whether an ending tells of an account that was closed in earnest."""
    return not command.dry_run and command.action.closes and state is CommandState.DONE


class Draft:
    """One transaction being decided: the ledger as it would be, and what must be written to make it so.

    ``known`` holds the stored commands among the ids that are to be admitted; ``settled`` the newest documents of
    commands whose ending was recorded by a write of unknown outcome, which turned out to have happened; ``spent`` those
    ids among them whose commands have been dropped from the record.
    Every step sees the effects of the earlier ones.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        node_id: str,
        clock: Clock,
        known: Mapping[UUID, KnownCommand] | None = None,
        settled: Mapping[UUID, Document] | None = None,
        spent: Collection[UUID] = (),
    ) -> None:
        self.ledger = ledger.copy()
        self.at = clock.now()
        self.commands: list[NewCommand] = []
        self.events: list[NewEvent] = []
        self.rejects: list[NewReject] = []
        self._before = ledger
        self._node_id = node_id
        self._now_ns = clock.monotonic_ns()
        self._known = dict(known or {})
        self._settled = settled or {}
        self._spent = spent

    def admit(self, admission: Admission) -> AdmissionOutcome:
        """Decide one admission."""
        head = admission.commands[0]
        if admission.reject is not None and admission.only_this_copy:
            return self._aside(admission, admission.reject)
        known = self._known.get(head.command_id)
        if known is not None and (known.issuer, known.content_digest) == (head.issuer, head.content_digest):
            return Duplicate(document=known.document)
        if any(command.command_id in self._known for command in admission.commands):
            return self._aside(admission, _CONFLICT)
        if any(command.command_id in self._spent for command in admission.commands):
            return self._aside(admission, _SPENT)
        rejection = admission.reject or self._obstacle(admission)
        if rejection is not None:
            return self._refuse(admission, rejection)
        documents = tuple(self._accept(command, admission) for command in admission.commands)
        return Admitted(commands=admission.commands, documents=documents)

    def record(self, event: Event) -> Document:
        """Decide one further state; returns its numbered document.

        An ending takes the command's hold with it: one that is not released becomes a latch, for a hold
        without a live command could never be lifted.

        Raises:
            IllegalTransition: the state may not follow the command's present one.
        """
        command = event.command
        if command.command_id in self._settled and command.command_id not in self.ledger.live:
            return self._settled[command.command_id]
        account_id = self._advance(command.command_id, event.state).account_id
        change = event.lock_change
        if change is not None and change.release is not None:
            self._release(change.account_id, change.release, keep_locked=change.keep_locked)
        if change is not None and change.relatch is not None:
            latched = self.ledger.lock(change.account_id).latch(by=THE_NODE, reason=change.relatch, at=self.at)
            self.ledger.locks[change.account_id] = latched
        if event.state.ended and account_id is not None:
            self._release(account_id, command.command_id, keep_locked=True)
        lock = None if account_id is None else self.ledger.lock(account_id)
        return self._append(command, event.state, event.document(lock))

    def changed_locks(self) -> list[tuple[AccountLock, AccountLock]]:
        """Every lock that this transaction changes: before and after."""
        before, after = self._before, self.ledger
        return [(before.lock(key), lock) for key, lock in after.locks.items() if before.locks.get(key) != lock]

    def _advance(self, command_id: UUID, state: CommandState) -> LiveCommand:
        live = self.ledger.live.get(command_id)
        if live is None:
            raise IllegalTransition(f"{state.value} for command {command_id}, which has ended or is not known")
        if state not in TRANSITIONS[live.state]:
            raise IllegalTransition(f"{state.value} after {live.state.value} for command {command_id}")
        if state.ended:
            del self.ledger.live[command_id]
        else:
            self.ledger.live[command_id] = replace(live, state=state)
        return live

    def _release(self, account_id: UUID, command_id: UUID, *, keep_locked: bool) -> None:
        lock = self.ledger.lock(account_id)
        released = lock.release(command_id, keep_locked=keep_locked, at=self.at)
        if released != lock:
            self.ledger.locks[account_id] = released

    def _obstacle(self, admission: Admission) -> Rejection | None:
        """Why an UNLOCK cannot begin. Everything else always can: it removes risk."""
        command = admission.commands[0]
        if command.action is not Action.UNLOCK:
            return None
        if len(admission.commands) != 1 or command.account_id is None:
            return _ONE_ACCOUNT
        if any(live.account_id == command.account_id and not live.dry_run for live in self.ledger.live.values()):
            return _BUSY
        lock = self.ledger.lock(command.account_id)
        try:
            after_admission(lock, command, latch_by_default=True, at=command.received_at)
        except StaleEpoch:
            return Rejection(code=RejectCode.STALE_EPOCH, message=f"the lock has changed since: epoch {lock.epoch}")
        return None

    def _accept(self, command: Command, admission: Admission) -> Document:
        lock = None
        if command.account_id is not None:
            before = self.ledger.lock(command.account_id)
            # Where the configuration says nothing, the lock that stays is the safe one.
            latch = admission.latch_by_default.get(command.account_id, True)
            lock = after_admission(before, command, latch_by_default=latch, at=command.received_at)
            if lock != before:
                self.ledger.locks[command.account_id] = lock
        self.ledger.live[command.command_id] = LiveCommand(
            account_id=command.account_id, state=CommandState.ACCEPTED, dry_run=command.dry_run
        )
        return self._begin(command, CommandState.ACCEPTED, admission, lock=lock)

    def _refuse(self, admission: Admission, rejection: Rejection) -> Refused:
        documents = []
        for command in admission.commands:
            account_id = None if rejection.code in _WITHOUT_LOCK else command.account_id
            lock = None if account_id is None else self.ledger.lock(account_id)
            errors = [_report(rejection)]
            documents.append(self._begin(command, CommandState.REJECTED, admission, lock=lock, errors=errors))
        return Refused(rejection=rejection, document=documents[0])

    def raise_lock(self, lock: AccountLock) -> None:
        """Take over a lock that an earlier run had in force without a record; never a lower epoch or an open one."""
        if lock.locked and lock.epoch > self.ledger.lock(lock.account_id).epoch:
            self.ledger.locks[lock.account_id] = lock

    def assume_lock(self, lock: AccountLock) -> None:
        """Latch an account that was taken for locked while its record could not be read; what holds it stays."""
        stored = self.ledger.lock(lock.account_id)
        epoch = max(lock.epoch, stored.epoch + 1)
        self.ledger.locks[lock.account_id] = replace(lock, epoch=epoch, latched=True, holds=stored.holds)

    def note(self, note: RejectNote) -> int:
        """Store a reject without a command; its number."""
        self.ledger.seq += 1
        self.rejects.append(NewReject(seq=self.ledger.seq, note=note))
        return self.ledger.seq

    def _aside(self, admission: Admission, rejection: Rejection) -> Refused:
        """Refuse without touching the id: it is another command's, or still free for the genuine one."""
        command = admission.commands[0]
        document = self._first_document(
            command, CommandState.REJECTED, admission, lock=None, errors=[_report(rejection)]
        )
        note = RejectNote(
            issuer=command.issuer, command_id=command.command_id, account_id=command.account_id, rejection=rejection
        )
        return Refused(rejection=rejection, document={**document, "seq": self.note(note)})

    def _begin(
        self,
        command: Command,
        state: CommandState,
        admission: Admission,
        *,
        lock: AccountLock | None,
        errors: Iterable[ErrorReport] = (),
    ) -> Document:
        self.commands.append(NewCommand(command=command, first_seq=self.ledger.seq + 1))
        document = self._append(
            command, state, self._first_document(command, state, admission, lock=lock, errors=errors)
        )
        self._known[command.command_id] = KnownCommand(
            issuer=command.issuer, content_digest=command.content_digest, document=document
        )
        return document

    def _first_document(
        self,
        command: Command,
        state: CommandState,
        admission: Admission,
        *,
        lock: AccountLock | None,
        errors: Iterable[ErrorReport],
    ) -> Document:
        return result_document(
            command,
            state,
            node_id=self._node_id,
            at=self.at,
            latency_ms=admission.stopwatch.as_milliseconds(self._now_ns),
            lock=lock,
            errors=errors,
        )

    def _append(self, command: Command, state: CommandState, document: Document) -> Document:
        self.ledger.seq += 1
        numbered = {**document, "seq": self.ledger.seq}
        self.events.append(NewEvent(seq=self.ledger.seq, command_id=command.command_id, state=state, document=numbered))
        return numbered


def _report(rejection: Rejection) -> ErrorReport:
    return ErrorReport(code=rejection.code.value, message=rejection.message)
