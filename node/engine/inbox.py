"""From bytes at a door to a durable command in its account's hands: verify, journal, acknowledge.

One task serves all doors, so that what was accepted first is in force first. What waits together is
written in one transaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

import structlog

from node.clock import Clock
from node.domain.command import Action, Command, CommandState, RejectCode, Request
from node.domain.latency import Stopwatch
from node.domain.lock import AccountLock, after_admission
from node.domain.result import Document, ErrorReport, Findings, Verdict, result_document
from node.engine.authority import Authority
from node.engine.bus import Bus
from node.engine.dispatcher import Dispatcher
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

log = structlog.get_logger(__name__)

Acknowledge = Callable[[], Awaitable[None]]


@dataclass(slots=True, kw_only=True)
class Incoming:
    """One request on its way through the inbox."""

    request: Request
    stopwatch: Stopwatch
    reject: Rejection | None = None
    #: The door refused this copy; the command's id stays free.
    only_this_copy: bool = False
    acknowledge: Acknowledge | None = None
    answer: asyncio.Future[Submission] | None = None
    commands: tuple[Command, ...] = ()


@dataclass(slots=True, kw_only=True)
class InboxObserver:
    """What the metrics want to know. Callables that neither block nor raise."""

    accepted: Callable[[Command], None] = lambda _command: None
    rejected: Callable[[RejectCode], None] = lambda _code: None
    duplicate: Callable[[], None] = lambda: None


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
    #: Called with the documents of rejects that have no row in the journal.
    publish: Callable[[Document, Command], None] = lambda _document, _command: None
    _queue: asyncio.Queue[Incoming | Delivery] = field(default_factory=asyncio.Queue)
    #: Signed junk of this batch.
    _notes: list[RejectNote] = field(default_factory=list)
    #: While the journal is down: what was carried out all the same, to be written and acknowledged later.
    _unjournaled: dict[UUID, tuple[Incoming, Document]] = field(default_factory=dict)

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

    async def run(self) -> None:
        """Admit until cancelled."""
        while True:
            items = [await self._queue.get()]
            while len(items) < BATCH_MAX and not self._queue.empty():
                items.append(self._queue.get_nowait())
            opened = [item if isinstance(item, Incoming) else self._opened(item) for item in items]
            await self._admit([item for item in opened if isinstance(item, Incoming)])
            await self._note_rejects()
            for entry in opened:
                acknowledge = entry.acknowledge if isinstance(entry, Incoming) else entry
                if acknowledge is not None:
                    await acknowledge()

    async def make_durable(self) -> None:
        """Bring what was carried out without the journal into it, for ever, as it comes back; then acknowledge."""
        while True:
            await asyncio.sleep(RETRY_S)
            if not self._unjournaled or not self.journal.healthy:
                continue
            waiting = [incoming for incoming, _ in self._unjournaled.values()]
            try:
                await self.journal.admit([self._admission(incoming) for incoming in waiting])
                stored = await self.journal.locks()
            except JournalUnavailable:
                continue
            self.ledger.load(stored)
            for incoming in waiting:
                del self._unjournaled[incoming.request.command_id]
                for command in incoming.commands:
                    self.scribe.mark_journaled(command.command_id)
                if incoming.acknowledge is not None:
                    await incoming.acknowledge()
            log.info("commands_made_durable", commands=len(waiting))

    def _opened(self, delivery: Delivery) -> Incoming | Acknowledge:
        """Verify a delivery; junk leaves only its acknowledgement."""
        began_ns = self.clock.monotonic_ns()
        verified = self.verify(delivery)
        stopwatch = Stopwatch(received_ns=delivery.received_ns)
        stopwatch.verify_ns = self.clock.monotonic_ns() - began_ns
        if isinstance(verified, Junk):
            self.observer.rejected(verified.code)
            log.warning(
                "junk_refused",
                code=verified.code.value,
                reason=verified.message,
                topic=delivery.topic,
                issuer=verified.issuer,
            )
            if verified.issuer is not None:
                rejection = Rejection(code=verified.code, message=verified.message)
                self._notes.append(
                    RejectNote(
                        issuer=verified.issuer, command_id=verified.command_id, account_id=None, rejection=rejection
                    )
                )
            return delivery.acknowledge
        request, reject = verified if isinstance(verified, tuple) else (verified, None)
        if request.issued_at is not None:
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
        if not batch:
            return
        for incoming in batch:
            self._judge(incoming)
        began_ns = self.clock.monotonic_ns()
        try:
            outcomes = await self.journal.admit([self._admission(incoming) for incoming in batch])
        except JournalUnavailable as error:
            log.error("journal_unavailable", error=str(error), commands=len(batch))  # noqa: TRY400
            for incoming in batch:
                self._without_journal(incoming)
            return
        journal_ns = self.clock.monotonic_ns() - began_ns
        for incoming, outcome in zip(batch, outcomes, strict=True):
            incoming.stopwatch.journal_ns = journal_ns
            self._follow(incoming, outcome)

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
                self._take_effect(incoming, commands, documents)
                self.scribe.on_recorded()
            case Duplicate(document=document):
                self.observer.duplicate()
                log.info("duplicate_answered", command_id=document["command_id"], state=document["state"])
                self.publish(document, incoming.commands[0])
                self._answer(incoming, document, None, duplicate=True)
            case Refused(rejection=rejection, document=document):
                self.scribe.saw((document,))
                if incoming.only_this_copy or rejection.code is RejectCode.CONFLICT:
                    self.publish(document, incoming.commands[0])  # the id's own events are another command's
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

    def _dispatch(self, incoming: Incoming, commands: tuple[Command, ...], documents: tuple[Document, ...]) -> None:
        for command, document in zip(commands, documents, strict=True):
            self.bus.publish(command.command_id, document)
            self.observer.accepted(command)
            log.info(
                "command_accepted",
                command_id=str(command.command_id),
                action=command.action.value,
                account=str(command.account_id or "*"),
                issuer=command.issuer,
                door=command.door.value,
                dry_run=command.dry_run,
            )
        self.dispatcher.dispatch(commands, incoming.stopwatch)
        self._answer(incoming, documents[0], None)

    def _lock_after(self, command: Command) -> AccountLock:
        account_id = command.account_id or UUID(int=0)
        return after_admission(
            self.ledger.get(account_id),
            command,
            latch_by_default=self.latch_by_default[account_id],
            at=command.received_at,
        )

    def _without_journal(self, incoming: Incoming) -> None:
        """Toward flat: what reduces risk is carried out all the same; what adds risk is not."""
        command = incoming.commands[0]
        known = self._unjournaled.get(command.command_id)
        if known is not None:
            self._answer(incoming, known[1], None, duplicate=True)
            incoming.acknowledge = None
            return
        if incoming.reject is None and command.action is Action.UNLOCK:
            incoming.reject = Rejection(code=RejectCode.NOT_READY, message="the journal cannot be written")
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
            self.publish(documents[-1], each)
        self._unjournaled[command.command_id] = (
            Incoming(
                request=incoming.request,
                stopwatch=incoming.stopwatch,
                acknowledge=incoming.acknowledge,
                commands=incoming.commands,
            ),
            documents[0],
        )
        incoming.acknowledge = None  # the broker keeps it until the journal has it
        self._dispatch(incoming, incoming.commands, tuple(documents))

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
