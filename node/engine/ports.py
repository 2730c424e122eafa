"""The interfaces that the engine needs and the adapters provide."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from node.domain.command import Action, Command, CommandState, Door, RejectCode, ReplyTo, Request
from node.domain.guard_mode import GuardMode
from node.domain.latency import Stopwatch
from node.domain.lock import AccountLock
from node.domain.result import Document


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One message as it arrived: bytes, and the means to acknowledge it."""

    topic: str
    payload: bytes
    #: The broker had stored it: a command must never be.
    retained: bool
    response_topic: str | None
    correlation_data: bytes | None
    #: Monotonic nanoseconds, stamped when the message was taken off the socket.
    received_ns: int
    #: Tells the broker that the message is ours. Call in order of arrival, after the journal's commit.
    #: Silently without effect when the connection that brought the message is gone: the broker delivers again.
    acknowledge: Callable[[], Awaitable[None]]


class MessageTransport(Protocol):
    """A broker connection that heals itself."""

    @property
    def connected(self) -> bool:
        """Whether a publish can succeed now."""

    async def run(self) -> None:
        """Connect, subscribe, receive; reconnect for ever. Ends only by cancellation."""

    def deliveries(self) -> AsyncIterator[Delivery]:
        """Messages in order of arrival, across reconnects."""

    async def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        retain: bool = False,
        correlation_data: bytes | None = None,
        response_topic: str | None = None,
        expiry_s: int | None = None,
    ) -> None:
        """Publish at QoS 1 and wait for the acknowledgement.

        Raises:
            TransportUnavailable: not connected, or the connection broke before the acknowledgement.
            TransportRefused: the broker will not have this message (rights, size): repeating it is of no use.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """One request that the inbox has verified: a command, or a parent (first) with its children."""

    commands: tuple[Command, ...]
    #: Per account: whether CLOSE_ALL and FLATTEN latch when the command does not say.
    latch_by_default: Mapping[UUID, bool]
    #: Monotonic; for the latency of the accepted event.
    stopwatch: Stopwatch
    #: The door's own obstacle, found before the transaction: rejected with it, journaled.
    reject: Rejection | None = None
    #: The obstacle lies in how this copy came (retained, on the wrong topic), not in the command: its id stays free,
    #: or whoever can copy an envelope could have the genuine one refused.
    only_this_copy: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """Why a command is not begun."""

    code: RejectCode
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectNote:
    """Something that a known issuer signed, and that is no command of its own."""

    issuer: str
    command_id: UUID | None
    account_id: UUID | None
    rejection: Rejection


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """On disk, with its lock changes. ``documents`` are the accepted (or rejected) events, parent first."""

    commands: tuple[Command, ...]
    documents: tuple[Document, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicate:
    """Known already, same issuer and content: the stored answer again."""

    document: Document


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Not begun. A conflict's document discloses nothing of the first command; it has no journal row of its own."""

    rejection: Rejection
    document: Document


@dataclass(frozen=True, slots=True, kw_only=True)
class Junk:
    """A delivery that is nobody's command: counted and acknowledged, never journaled."""

    code: RejectCode
    message: str
    #: Who signed it, if anybody we know did: then it is journaled after all.
    issuer: str | None = None
    command_id: UUID | None = None


class Verifier(Protocol):
    """Turns a delivery's bytes into a request of a certain sender."""

    def __call__(self, delivery: Delivery) -> Request | Junk | tuple[Request, Rejection]:
        """The request; or junk; or a known issuer's request that cannot be accepted as it came."""


AdmissionOutcome = Admitted | Duplicate | Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class LockChange:
    """What an ending does to the lock."""

    account_id: UUID
    #: Release this command's hold...
    release: UUID | None = None
    #: ...turning it into a latch.
    keep_locked: bool = False
    #: Latch again, for this reason: an UNLOCK that must not have happened.
    relatch: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One more state of a command, to be numbered, stored and sent."""

    command: Command
    state: CommandState
    #: Called inside the transaction with the lock as it will be: the document without ``seq``.
    document: Callable[[AccountLock | None], Document]
    lock_change: LockChange | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCommand:
    """A command as the journal has it."""

    command: Command
    state: CommandState
    #: The newest event.
    document: Document
    #: How often a restart has resumed it.
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """A command as people look back on it."""

    #: Rises from command to command.
    first_seq: int
    door: Door
    received_at: datetime
    #: The newest event.
    document: Document


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxMessage:
    """One event on its way out."""

    seq: int
    document: Document
    reply_to: ReplyTo | None


class Journal(Protocol):
    """The durable record. Every method that writes is one transaction; cancelling the caller never splits it.

    Raises:
        JournalUnavailable: from every method, when the disk will not; the outcome of that write is then unknown
            until the journal has been reopened, which happens by itself in the background.
    """

    @property
    def healthy(self) -> bool:
        """Whether the last write succeeded and no reopening is under way."""

    async def locks(self) -> dict[UUID, AccountLock]:
        """Every lock that was ever changed."""

    def assume(self, locks: Callable[[], Iterable[AccountLock]]) -> None:
        """Store these locks, latched and with epochs above the stored ones, in the moment in which the journal can be
        read at last: before any call is let in.
        """

    async def write_assumed(self) -> None:
        """Store them now, where that moment was missed; nothing happens if they are stored."""

    async def admit(self, admissions: Sequence[Admission]) -> list[AdmissionOutcome]:
        """Decide and store: commands, lock changes, events and outbox rows, all in one transaction."""

    async def rehearse(self, admission: Admission) -> None:
        """Decide and write an admission, and take all of it back: nothing is stored, and no number is spent."""

    async def raise_locks(self, locks: Sequence[AccountLock]) -> None:
        """Take over locks that an earlier run had in force without a record: higher epochs, and locked, only."""

    async def probe(self) -> None:
        """One tiny durable write: whether a command could be stored now."""

    async def note_rejects(self, notes: Sequence[RejectNote]) -> None:
        """Store rejects of known issuers that are no commands at all."""

    async def record(self, events: Sequence[Event]) -> list[Document]:
        """Store further states with their lock changes; returns the numbered documents."""

    async def find(self, command_id: UUID) -> StoredCommand | None:
        """One command with its newest event."""

    async def children(self, parent_id: UUID) -> list[StoredCommand]:
        """The children of a ``*`` command."""

    async def unfinished(self) -> list[StoredCommand]:
        """What has not ended, oldest first; each one's attempt has been raised (durably) by this call."""

    async def events(self, command_id: UUID, *, after_seq: int = 0) -> list[Document]:
        """The events of one command, oldest first."""

    async def pending(self, limit: int) -> list[OutboxMessage]:
        """Events that no broker has confirmed, oldest first."""

    async def keep_guard(self, account_id: UUID, document: Document) -> None:
        """Keep what the guard of an account must not forget, in place of what it kept before."""

    async def guards(self) -> dict[UUID, Document]:
        """What the guards have kept."""

    async def last_drills(self) -> dict[tuple[UUID, Action], Document]:
        """Per account and action the ending of the newest drill of a close that passed."""

    async def newest_drills(self) -> dict[UUID, Document]:
        """Per account the ending of the newest drill of a close, passed or not."""

    async def history(self, account_id: UUID | None, *, before_seq: int | None, limit: int) -> list[HistoryEntry]:
        """Commands of one account, or all, newest first; those admitted before one that was seen."""

    async def proofs(self, account_id: UUID, *, limit: int) -> list[Document]:
        """The endings of an account's newest real closes that were proven, oldest first."""

    async def proof_times_ms(self, limit: int) -> dict[tuple[UUID, Action], list[float]]:
        """Per account and action how long the newest executions took to their proof, oldest first, at most so many."""

    def advance_seq(self, at_least: int) -> None:
        """Numbers up to this one were given to events that the journal does not have."""

    async def published(self, seqs: Sequence[int]) -> None:
        """The broker has confirmed these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What became of a request at a door."""

    #: The newest event of the command; of a duplicate the stored one.
    document: Document
    rejection: Rejection | None
    duplicate: bool
    #: From receipt to durable, locked and handed to its account.
    latency_ms: float


class CommandDesk(Protocol):
    """What the doors of people and programs (HTTP, command line) may ask: of the engine in this process, or, at a
    gateway, of the nodes behind the broker.
    """

    async def submit(self, request: Request) -> Submission:
        """Verify, store, lock, dispatch. Returns once the command is durable (or known to be unjournaled).

        Raises:
            NotConfirmed: a gateway's: no node has said in time that it has the command.
        """

    async def abort(self, command_id: UUID, *, by: str, reason: str | None) -> Submission | None:
        """End a live command as failed with code ABORTED; its lock stays. None: no live command has that id.

        Raises:
            NotAvailable: a gateway's: there is no such message.
        """

    async def result(self, command_id: UUID) -> Document | None:
        """The newest event of a command.

        Raises:
            NotConfirmed: a gateway's: the command was sent, and no node has said that it has it.
            JournalUnavailable: it may be there, and cannot be read.
        """

    def follow(self, command_id: UUID) -> AsyncIterator[Document]:
        """The command's events so far, then the live ones; ends after its ending."""

    async def history(self, account_id: UUID | None, *, before_seq: int | None, limit: int) -> list[HistoryEntry]:
        """Commands of one account, or all, newest first.

        Raises:
            JournalUnavailable: they are only on disk.
        """

    async def proofs(self, account_id: UUID | None, *, limit: int) -> list[Document]:
        """The endings of the newest real closes that were proven, oldest first; *limit* of each account.

        Raises:
            JournalUnavailable: they are only on disk.
        """

    def account_of(self, name_or_id: str) -> UUID | None:
        """Resolve an account by id or configured name."""

    def accounts(self) -> list[Document]:
        """Per account: id, name, owner, exchange, state (armed, locked, degraded), lock, last seen positions."""

    def status(self) -> Document:
        """The whole node: ready, reasons, version, accounts, broker, journal."""

    def lock(self, account_id: UUID) -> Document | None:
        """The lock document, freshly dated."""

    def follow_lock(self, account_id: UUID) -> AsyncIterator[Document]:
        """The lock document now, at every change and at every refresh."""

    async def set_guard(self, account_id: UUID, mode: GuardMode | None) -> Document:
        """Set what the guard of an account does, until the next word; None: as configured. What it does now; its
        ``durable`` says whether a restart would know of it.

        Raises:
            KeyError: there is no such account.
            NotAvailable: a gateway's: there is no such message.
        """

    def estimated_execution_ms(self, account_id: UUID, action: Action) -> float:
        """How long the next such close is expected to take, from history; else the last drill; else the deadline."""
