"""From bytes at a door to a durable command in its account's hands: verify, journal, acknowledge.

One task serves all doors, so that what was accepted first is in force first. What waits together is
written in one transaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final
from uuid import UUID

import structlog

from node.clock import Clock
from node.domain.command import Action, Command, CommandState, RejectCode, Request
from node.domain.latency import Stopwatch
from node.domain.lock import AccountLock, after_admission
from node.domain.result import Document, ErrorReport, Findings, Verdict, result_document
from node.engine.afterwards import Afterwards
from node.engine.authority import Authority
from node.engine.bus import Bus
from node.engine.dispatcher import Dispatcher
from node.engine.incoming import InboxObserver, Incoming, Pulse, undone
from node.engine.interim import Acknowledge, Interim, Owed, Remembered
from node.engine.lock_ledger import LockLedger
from node.engine.ports import (
    Admission,
    AdmissionOutcome,
    Admitted,
    Delivery,
    Duplicate,
    Journal,
    Junk,
    Refused,
    Rejection,
    RejectNote,
    Submission,
    Verifier,
)
from node.engine.scribe import Scribe
from node.errors import JournalUnavailable

#: Admissions in one transaction at most.
BATCH_MAX: Final = 64
#: Between two looks whether the journal is back.
RETRY_S: Final = 0.2

#: Between two log lines about junk; all of it is counted.
JUNK_LOG_EVERY_NS: Final = 1_000_000_000

_CONFLICT: Final = Rejection(code=RejectCode.CONFLICT, message="the command id was used for something else")
_NO_JOURNAL: Final = Rejection(code=RejectCode.NOT_READY, message="the journal cannot be written")

log = structlog.get_logger(__name__)


@dataclass(slots=True, kw_only=True)
class Inbox:
    """Admits commands."""

    node_id: str
    journal: Journal
    ledger: LockLedger
    dispatcher: Dispatcher
    scribe: Scribe
    bus: Bus
    authority: Authority
    clock: Clock
    verify: Verifier
    #: Why an UNLOCK is not possible for an account now; None if it is.
    unlock_obstacle: Callable[[UUID, bool], Rejection | None]
    latch_by_default: dict[UUID, bool]
    observer: InboxObserver = field(default_factory=InboxObserver)
    afterwards: Afterwards
    #: Called with the documents of rejects that have no row in the journal.
    publish: Callable[[Document, Command], None]
    #: The same, to the sender of one copy and nobody else.
    reply_only: Callable[[Document, Command], None]
    #: Called with an event that was told before, when its command comes again.
    repeat: Callable[[Document, Command], None]
    _queue: asyncio.Queue[Incoming | Delivery | Pulse] = field(default_factory=asyncio.Queue)
    _junk_quiet_until_ns: int = 0
    _junk_unlogged: int = 0
    #: Signed junk of this batch.
    _notes: list[RejectNote] = field(default_factory=list)
    _interim: Interim = field(default_factory=Interim)
    #: Admissions go one after the other: what is owed to the journal goes before what is new.
    _admitting: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def receive(self, deliveries: AsyncIterator[Delivery]) -> None:
        """Feed a transport's deliveries in, for ever."""
        async for delivery in deliveries:
            self._queue.put_nowait(delivery)

    async def submit(self, request: Request) -> Submission:
        """Take a request from a door that waits for its answer."""
        answer: asyncio.Future[Submission] = asyncio.get_running_loop().create_future()
        stopwatch = Stopwatch(received_ns=self.clock.monotonic_ns())
        self._queue.put_nowait(Incoming(request=request, stopwatch=stopwatch, answer=answer))
        return await answer

    async def pulse(self) -> None:
        """Wait until the admitting task has come to this place in the queue: commands get through."""
        reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait(Pulse(reached))
        await reached

    @property
    def owes_journal(self) -> bool:
        """Whether this process alone knows of a command."""
        return bool(self._interim.owed or self._interim.doubtful) or self.scribe.owes_journal

    def knows(self, command_id: UUID) -> bool:
        """Whether this run has accepted a command, written or not."""
        return self._interim.recall(command_id) is not None or self.scribe.knows(command_id)

    async def run(self) -> None:
        """Admit until cancelled."""
        while True:
            batch = [await self._queue.get()]
            while len(batch) < BATCH_MAX and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            items = [item for item in batch if not isinstance(item, Pulse)]
            for pulse in (item for item in batch if isinstance(item, Pulse)):
                if not pulse.reached.done():
                    pulse.reached.set_result(None)
            if not items:
                continue
            opened = [item if isinstance(item, Incoming) else self._opened(item) for item in items]
            await self._admit([item for item in opened if isinstance(item, Incoming)])
            await self._note_rejects()
            for entry in opened:
                acknowledge = entry.acknowledge if isinstance(entry, Incoming) else entry
                if acknowledge is not None:
                    self.afterwards.put(acknowledge)

    async def make_durable(self) -> None:
        """Bring what was carried out without the journal into it, for ever, as it comes back; then acknowledge."""
        while True:
            await asyncio.sleep(RETRY_S)
            if self._interim.owed and self.journal.healthy:
                await self._admit([])
            if self._interim.doubtful and self.journal.healthy:
                await self._undo_doubtful()

    async def _undo_doubtful(self) -> None:
        """An UNLOCK that was refused to its sender must not be found in force later."""
        for command_id in list(self._interim.doubtful):
            try:
                stored = await self.journal.find(command_id)
                if stored is not None and not stored.state.ended:
                    await self.scribe.note(undone(stored.command, node_id=self.node_id, clock=self.clock))
                    self.ledger.load(await self.journal.locks())
            except JournalUnavailable:
                return
            self._interim.doubtful.remove(command_id)

    def _log_junk(self, junk: Junk, delivery: Delivery) -> None:
        """One line a second at most: a flood must not drown the log, nor cost the time of the next good command."""
        now_ns = self.clock.monotonic_ns()
        if now_ns < self._junk_quiet_until_ns:
            self._junk_unlogged += 1
            return
        log.warning(
            "junk_refused",
            code=junk.code.value,
            reason=junk.message,
            topic=delivery.topic,
            issuer=junk.issuer,
            unlogged_before=self._junk_unlogged,
        )
        self._junk_quiet_until_ns, self._junk_unlogged = now_ns + JUNK_LOG_EVERY_NS, 0

    def _opened(self, delivery: Delivery) -> Incoming | Acknowledge:
        """Verify a delivery; junk leaves only its acknowledgement."""
        began_ns = self.clock.monotonic_ns()
        verified = self.verify(delivery)
        stopwatch = Stopwatch(received_ns=delivery.received_ns)
        stopwatch.verify_ns = self.clock.monotonic_ns() - began_ns
        if isinstance(verified, Junk):
            self.observer.rejected(verified.code)
            self._log_junk(verified, delivery)
            if verified.issuer is not None:
                rejection = Rejection(code=verified.code, message=verified.message)
                self._notes.append(
                    RejectNote(
                        issuer=verified.issuer, command_id=verified.command_id, account_id=None, rejection=rejection
                    )
                )
            return delivery.acknowledge
        request, reject = verified if isinstance(verified, tuple) else (verified, None)
        # With a clock that is wrong, the way's length is not known.
        if request.issued_at is not None and self.authority.skew() is None:
            since_receipt_ms = (self.clock.monotonic_ns() - delivery.received_ns) / 1e6
            age_ms = (self.clock.now() - request.issued_at).total_seconds() * 1e3
            stopwatch.transport_ms = age_ms - since_receipt_ms
        return Incoming(
            request=request,
            stopwatch=stopwatch,
            reject=reject,
            only_this_copy=reject is not None,
            acknowledge=delivery.acknowledge,
        )

    async def _note_rejects(self) -> None:
        """What a known issuer signed is on record, even if it was no command; the record is not worth a delay."""
        notes, self._notes = self._notes, []
        if notes:
            try:
                await self.journal.note_rejects(notes)
            except JournalUnavailable:
                log.warning("rejects_not_journaled", count=len(notes))

    async def _admit(self, batch: list[Incoming]) -> None:
        async with self._admitting:
            owed = list(self._interim.owed.values())
            for incoming in batch:
                self._judge(incoming)
            admissions = [each.admission for each in owed] + [self._admission(incoming) for incoming in batch]
            if not admissions:
                return
            began_ns = self.clock.monotonic_ns()
            try:
                outcomes = await self.journal.admit(admissions)
            except JournalUnavailable as error:
                log.error("journal_unavailable", error=str(error), commands=len(admissions))  # noqa: TRY400
                for incoming in batch:
                    self._without_journal(incoming)
                return
            journal_ns = self.clock.monotonic_ns() - began_ns
            for incoming, outcome in zip(batch, outcomes[len(owed) :], strict=True):
                incoming.stopwatch.journal_ns = journal_ns
                self._follow(incoming, outcome)
            for each, outcome in zip(owed, outcomes, strict=False):
                await self._made_durable(each, outcome)
            if owed and self.journal.healthy:
                self.ledger.load(await self.journal.locks())  # its epochs may be ahead of ours now

    async def _made_durable(self, owed: Owed, outcome: AdmissionOutcome) -> None:
        """What was carried out without the journal is in it now, or turned out to have been before."""
        commands = owed.admission.commands
        try:
            on_record = [command for command in commands if await self._may_record(command, outcome)]
        except JournalUnavailable:
            return  # still owed: asked again, and then a duplicate
        if isinstance(outcome, Admitted):
            self.scribe.saw(outcome.documents)
            self.scribe.on_recorded()
        for command in on_record:
            self.scribe.mark_journaled(command.command_id)
        del self._interim.owed[commands[0].command_id]
        log.info("command_made_durable", command_id=str(commands[0].command_id), outcome=type(outcome).__name__)
        for acknowledge in owed.acknowledgements:
            await acknowledge()

    async def _may_record(self, command: Command, outcome: AdmissionOutcome) -> bool:
        """Whether the journal will take further events of a command: not if it has its ending from an earlier run."""
        if not isinstance(outcome, Duplicate):
            return isinstance(outcome, Admitted)
        stored = await self.journal.find(command.command_id)
        return stored is not None and not stored.state.ended

    def _judge(self, incoming: Incoming) -> None:
        """Find the obstacle, if any, and the commands that the request stands for."""
        request = incoming.request
        obstacle = incoming.reject or self.authority.obstacle(request, self.clock.now())
        accounts = self.authority.accounts_of(request) if obstacle is None else ()
        if obstacle is None and request.action is Action.UNLOCK:
            obstacle = self.unlock_obstacle(accounts[0], request.force)
        incoming.reject = obstacle
        first = self._command(request)
        expanded = obstacle is None and request.account_id is None
        incoming.commands = (first, *(first.child(account) for account in accounts)) if expanded else (first,)

    def _command(self, request: Request) -> Command:
        now = self.clock.now()
        return Command(
            command_id=request.command_id,
            account_id=request.account_id,
            action=request.action,
            issuer=request.issuer,
            door=request.door,
            symbols=request.symbols,
            latch=request.latch,
            dry_run=request.dry_run,
            reason=request.reason,
            epoch=request.epoch,
            force=request.force,
            issued_at=request.issued_at or now,
            received_at=now,
            content_digest=request.content_digest,
            envelope=request.envelope,
            reply_to=request.reply_to,
        )

    def _admission(self, incoming: Incoming) -> Admission:
        return Admission(
            commands=incoming.commands,
            latch_by_default=self.latch_by_default,
            stopwatch=incoming.stopwatch,
            reject=incoming.reject,
            only_this_copy=incoming.only_this_copy,
        )

    def _follow(self, incoming: Incoming, outcome: AdmissionOutcome) -> None:
        """Put into effect what the journal has decided."""
        match outcome:
            case Admitted(commands=commands, documents=documents):
                self.scribe.saw(documents)
                self._interim.remember(commands[0], documents[0])
                self._take_effect(incoming, commands, documents)
                self.scribe.on_recorded()
            case Duplicate(document=document):
                self.observer.duplicate()
                log.info("duplicate_answered", command_id=document["command_id"], state=document["state"])
                self.repeat(document, incoming.commands[0])
                self._answer(incoming, document, None, duplicate=True)
            case Refused(rejection=rejection, document=document):
                self.scribe.saw((document,))
                if incoming.only_this_copy or rejection.code is RejectCode.CONFLICT:
                    self.reply_only(document, incoming.commands[0])  # the id's own events are another command's
                else:
                    self.bus.publish(incoming.request.command_id, document)
                    self.scribe.on_recorded()
                self._refuse(incoming, document, rejection)

    def _take_effect(self, incoming: Incoming, commands: tuple[Command, ...], documents: tuple[Document, ...]) -> None:
        began_ns = self.clock.monotonic_ns()
        for command in commands:
            if command.account_id is not None:
                self.ledger.adopt(self._lock_after(command))
        incoming.stopwatch.lock_ns = self.clock.monotonic_ns() - began_ns
        self._dispatch(incoming, commands, documents)

    def _dispatch(
        self, incoming: Incoming, commands: tuple[Command, ...], documents: tuple[Document, ...], *, attempt: int = 0
    ) -> None:
        for command, document in zip(commands, documents, strict=True):
            self.bus.publish(command.command_id, document)
            self.observer.accepted(command)
            self.afterwards.put(partial(_log_accepted, command))
        self.dispatcher.dispatch(commands, incoming.stopwatch, attempt=attempt)
        self._answer(incoming, documents[0], None)

    def _lock_after(self, command: Command) -> AccountLock:
        account_id = command.account_id or UUID(int=0)
        lock = self.ledger.get(account_id)
        if command.action is Action.UNLOCK:
            # The journal has judged its epoch; ours may be ahead of it for a lock that was set without it.
            command = replace(command, epoch=lock.epoch)
        return after_admission(
            lock,
            command,
            latch_by_default=self.latch_by_default[account_id],
            at=command.received_at,
        )

    def _without_journal(self, incoming: Incoming) -> None:
        """Toward flat: what reduces risk is carried out all the same; what adds risk is not."""
        command = incoming.commands[0]
        known = None if incoming.only_this_copy else self._interim.recall(command.command_id)
        if known is not None and known.is_same(command):
            self._answer_again(incoming, known)
            return
        if known is not None:
            incoming.reject = _CONFLICT
        elif incoming.reject is None and command.action is Action.UNLOCK:
            incoming.reject = _NO_JOURNAL
            self._interim.doubtful.append(command.command_id)
        if incoming.reject is not None:
            document = self.scribe.numbered(self._rejected(incoming, incoming.reject))
            self.publish(document, command)
            self._refuse(incoming, document, incoming.reject)
            return
        documents = []
        for each in incoming.commands:
            self.scribe.mark_unjournaled(each.command_id)
            if each.account_id is not None:
                self.ledger.adopt(self._lock_after(each))
            documents.append(self.scribe.numbered(self._accepted(incoming, each)))
            self.scribe.keep(each.command_id, documents[-1])
            self.publish(documents[-1], each)
        self._interim.remember(command, documents[0])
        self._interim.owe(self._admission(incoming), incoming.acknowledge)
        incoming.acknowledge = None  # the broker keeps it until the journal has it
        # After a restart the broker delivers it again, and the journal takes it for new: no order id may come twice.
        attempt = int(command.received_at.timestamp())
        self._dispatch(incoming, incoming.commands, tuple(documents), attempt=attempt)

    def _answer_again(self, incoming: Incoming, known: Remembered) -> None:
        """A duplicate without the journal: what its sender was told; acknowledged once it is on record."""
        command = incoming.commands[0]
        self.observer.duplicate()
        self.repeat(known.document, command)
        self._answer(incoming, known.document, None, duplicate=True)
        acknowledge = incoming.acknowledge
        if acknowledge is not None and self._interim.take_acknowledgement(command.command_id, acknowledge):
            incoming.acknowledge = None

    def _accepted(self, incoming: Incoming, command: Command) -> Document:
        return result_document(
            command,
            CommandState.ACCEPTED,
            node_id=self.node_id,
            at=self.clock.now(),
            latency_ms=incoming.stopwatch.as_milliseconds(self.clock.monotonic_ns()),
            lock=None if command.account_id is None else self.ledger.get(command.account_id),
            unjournaled=True,
        )

    def _rejected(self, incoming: Incoming, rejection: Rejection) -> Document:
        return result_document(
            incoming.commands[0],
            CommandState.REJECTED,
            node_id=self.node_id,
            at=self.clock.now(),
            latency_ms=incoming.stopwatch.as_milliseconds(self.clock.monotonic_ns()),
            lock=None,
            findings=Findings(verdict=Verdict.UNKNOWN),
            unjournaled=True,
            errors=(ErrorReport(code=rejection.code.value, message=rejection.message),),
        )

    def _refuse(self, incoming: Incoming, document: Document, rejection: Rejection) -> None:
        self.observer.rejected(rejection.code)
        log.warning(
            "command_rejected",
            command_id=str(incoming.request.command_id),
            code=rejection.code.value,
            reason=rejection.message,
            issuer=incoming.request.issuer,
            door=incoming.request.door.value,
        )
        self._answer(incoming, document, rejection)

    def _answer(
        self, incoming: Incoming, document: Document, rejection: Rejection | None, *, duplicate: bool = False
    ) -> None:
        if incoming.answer is None or incoming.answer.done():
            return
        latency_ms = (self.clock.monotonic_ns() - incoming.stopwatch.received_ns) / 1e6
        incoming.answer.set_result(
            Submission(document=document, rejection=rejection, duplicate=duplicate, latency_ms=latency_ms)
        )


def _log_accepted(command: Command) -> None:
    log.info(
        "command_accepted",
        command_id=str(command.command_id),
        action=command.action.value,
        account=str(command.account_id or "*"),
        issuer=command.issuer,
        door=command.door.value,
        dry_run=command.dry_run,
    )
