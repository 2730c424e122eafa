"""Writes down what becomes of commands, and tells everybody; never in the way of an execution."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final
from uuid import UUID

import structlog

from node.clock import Clock
from node.domain.command import THE_NODE, Command, CommandState
from node.domain.lock import AccountLock
from node.domain.result import Document
from node.engine.bus import Bus
from node.engine.lock_ledger import LockLedger
from node.engine.ports import Event, Journal
from node.errors import JournalUnavailable

#: Events written in one transaction at most.
BATCH_MAX: Final = 64
#: Between two attempts to bring an unjournaled ending into the journal.
RETRY_S: Final = 0.5

#: An event, and whom to hand its document.
Noted = tuple[Event, asyncio.Future[Document]]

log = structlog.get_logger(__name__)


class Scribe:
    """Records events in order through one task, many in one transaction.

    With the journal down an event still takes effect: its lock change, the listeners in this process and the
    broker get it, marked unjournaled, and it is written as soon as the journal is back.
    """

    def __init__(self, journal: Journal, ledger: LockLedger, bus: Bus, clock: Clock) -> None:
        self._journal = journal
        self._ledger = ledger
        self._bus = bus
        self._clock = clock
        self._queue: asyncio.Queue[Noted] = asyncio.Queue()
        self._owed: dict[UUID, Event] = {}
        self._unjournaled: set[UUID] = set()
        #: The newest event of each command of which the journal lacks one.
        self._kept: dict[UUID, Document] = {}
        #: One write at a time: an event that is owed must not be written twice.
        self._writing = asyncio.Lock()
        self._last_seq = 0
        #: Called after each transaction: the outbox has something to send.
        self.on_recorded: Callable[[], None] = lambda: None
        #: Called with every event, written or not.
        self.on_event: Callable[[Command, Document], None] = lambda _command, _document: None
        #: Called with every event that the journal could not take.
        self.on_unjournaled: Callable[[Document, Command], None] = lambda _document, _command: None

    def begin_at(self, seq: int) -> None:
        """Give out only numbers above this one."""
        self._last_seq = max(self._last_seq, seq)
        self._journal.advance_seq(self._last_seq)

    def numbered(self, document: Document) -> Document:
        """Give an event that the journal could not take the next number."""
        self._last_seq += 1
        self._journal.advance_seq(self._last_seq)
        return {**document, "seq": self._last_seq}

    def saw(self, documents: list[Document] | tuple[Document, ...]) -> None:
        """Note the numbers that the journal has given out."""
        self._last_seq = max([self._last_seq, *(int(document["seq"]) for document in documents)])

    @property
    def owes_journal(self) -> bool:
        """Whether this process alone knows how a command ended."""
        return bool(self._owed)

    def mark_unjournaled(self, command_id: UUID) -> None:
        """The journal does not know this command (yet)."""
        self._unjournaled.add(command_id)

    def is_unjournaled(self, command_id: UUID) -> bool:
        """Whether the journal does not know this command."""
        return command_id in self._unjournaled

    def mark_journaled(self, command_id: UUID) -> None:
        """The journal has taken the command over; what it is owed of it follows."""
        self._unjournaled.discard(command_id)

    def knows(self, command_id: UUID) -> bool:
        """Whether this run has something of a command that the journal does not have."""
        return command_id in self._unjournaled or command_id in self._kept

    def keep(self, command_id: UUID, document: Document) -> None:
        """Remember an event that the journal could not take."""
        self._kept[command_id] = document

    def kept(self, command_id: UUID) -> Document | None:
        """The newest event of a command that the journal lacks; None if it has them all."""
        return self._kept.get(command_id)

    def note(self, event: Event) -> asyncio.Future[Document]:
        """Record an event soon; the result is its numbered document."""
        future: asyncio.Future[Document] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait((event, future))
        return future

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            batch = [await self._queue.get()]
            while len(batch) < BATCH_MAX and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            try:
                await self._write(batch)
            except Exception:
                # The supervisor: one event that cannot be recorded must not silence all that follow.
                log.exception("events_not_recorded", events=len(batch))
                for item in batch if len(batch) > 1 else ():
                    await self._write_alone(item)

    async def _write_alone(self, item: Noted) -> None:
        try:
            await self._write([item])
        except Exception:
            event, future = item
            log.exception("event_not_recorded", command_id=str(event.command.command_id), state=event.state.value)
            future.cancel()

    async def settle_debts(self) -> None:
        """Bring what the journal missed into it, for ever, as it comes back."""
        while True:
            await asyncio.sleep(RETRY_S)
            if self._journal.healthy and self._payable():
                await self._write([])

    def _payable(self) -> list[Event]:
        return [event for event in self._owed.values() if not self.is_unjournaled(event.command.command_id)]

    async def _write(self, batch: list[Noted]) -> None:
        async with self._writing:
            await self._write_now(batch)

    async def _write_now(self, batch: list[Noted]) -> None:
        debts = self._payable()
        journaled = [item for item in batch if not self.is_unjournaled(item[0].command.command_id)]
        aside = [item for item in batch if self.is_unjournaled(item[0].command.command_id)]
        if debts or journaled:
            try:
                documents = await self._journal.record([*debts, *(event for event, _ in journaled)])
            except JournalUnavailable:
                aside = batch
            else:
                self._recorded(debts, journaled, documents)
        for event, future in aside:
            self._tell(event.command, self._without_journal(event), future)

    def _recorded(self, debts: list[Event], journaled: list[Noted], documents: list[Document]) -> None:
        self.saw(documents)
        for event in debts:
            self._owed.pop(event.command.command_id, None)
            self._kept.pop(event.command.command_id, None)
            if event.lock_change is not None and event.lock_change.relatch is None:
                self._apply(event)
        if debts:
            log.info("journal_caught_up", events=len(debts))
        for (event, future), document in zip(journaled, documents[len(debts) :], strict=True):
            self._apply(event)
            self._tell(event.command, document, future)
        self.on_recorded()

    def _without_journal(self, event: Event) -> Document:
        # Only the newest state is owed: it says all that the older ones said.
        self._owed[event.command.command_id] = event
        # What locks is in force at once; what unlocks waits for the record, or a restart would find it locked again.
        document = self.numbered({**event.document(self._apply(event, releasing=False)), "unjournaled": True})
        self.keep(event.command.command_id, document)
        log.error("event_unjournaled", command_id=str(event.command.command_id), state=event.state.value)
        self.on_unjournaled(document, event.command)
        return document

    def _apply(self, event: Event, *, releasing: bool = True) -> AccountLock | None:
        """Put the lock change of an ending into effect; the lock as it is then."""
        change, account_id = event.lock_change, event.command.account_id
        if account_id is None or not self._ledger.knows(account_id):
            return None  # an account that has been removed: its lock is in the journal alone
        if change is None:
            return self._ledger.get(account_id)
        lock = self._ledger.get(change.account_id)
        if change.release is not None and (releasing or change.keep_locked):
            lock = lock.release(change.release, keep_locked=change.keep_locked, at=self._clock.now())
        if change.relatch is not None:
            lock = lock.latch(by=THE_NODE, reason=change.relatch, at=self._clock.now())
        self._ledger.adopt(lock)
        return lock

    def _tell(self, command: Command, document: Document, future: asyncio.Future[Document]) -> None:
        self._bus.publish(command.command_id, document)
        self.on_event(command, document)
        if not future.done():
            future.set_result(document)


def ended(document: Document) -> bool:
    """Whether a document tells of an ending."""
    return CommandState(document["state"]).ended
