"""An engine that has begun without its journal, and the journal that comes at last."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import pytest

from node.clock import SystemClock
from node.domain.command import Action, CommandState, RejectCode
from node.domain.guard_mode import GuardMode
from node.domain.lock import AccountLock
from node.engine.authority import Issuer
from node.engine.late_start import LateStart
from node.engine.recovery import Recovery
from node.errors import JournalUnavailable
from node.journal.memory import MemoryJournal
from tests.support.engine import ACCOUNT, NODE_ID, Engine, engine, request
from tests.support.fake_venue import FakeVenue, position
from tests.support.waiting import until

BTC = "BTC/USDT:USDT"
DESK = Issuer(id="desk", actions=frozenset(Action), accounts=None)


@dataclass(slots=True)
class Late:
    """The engine, and the part of its start that waits."""

    node: Engine
    start: LateStart
    journal: MemoryJournal

    async def comes(self) -> None:
        """The journal can be read; everything that waited for it is made up for."""
        self.journal.down = False
        await until(lambda: not self.start.pending)

    async def comes_before_debts_are_paid(self) -> None:
        """The same, before anything of this run could be written."""
        async with self.node.inbox._admitting:
            await self.comes()


@asynccontextmanager
async def begun(venue: FakeVenue, journal: MemoryJournal, *, shown: int = 0) -> AsyncIterator[Late]:
    """Without the journal, as ``app`` begins then."""
    journal.down = True
    async with engine(venue, journal=journal, issuers=(DESK,)) as node:
        start = LateStart(journal, node.ledger, SystemClock())
        start.assume_locks("assumed", lambda account: AccountLock(account_id=account, epoch=shown))
        start.number_events(node.scribe)
        plain = node.inbox.unlock_obstacle
        node.inbox.unlock_obstacle = lambda account, force: start.obstacle() or plain(account, force)
        recovery = Recovery(
            node_id=NODE_ID,
            journal=journal,
            scribe=node.scribe,
            dispatcher=node.dispatcher,
            clock=SystemClock(),
            resume_within=timedelta(seconds=900),
            begun=node.inbox.knows,
        )
        await start.take(node.desk.recall, later=node.desk.recall_late, otherwise=node.desk.begin_unread)
        await start.take(recovery.run)
        task = asyncio.create_task(start.run(), name="late-start")
        try:
            yield Late(node, start, journal)
        finally:
            task.cancel()


@pytest.fixture
def journal() -> MemoryJournal:
    """Of every run of a test."""
    return MemoryJournal(node_id=NODE_ID, clock=SystemClock())


async def test_every_account_is_locked_above_what_was_shown_and_stays_so(journal: MemoryJournal) -> None:
    """Although the journal turns out to say that it is open: a lock without a record may have been lost."""
    async with engine(FakeVenue(), journal=journal) as node:
        await node.armed()
        locked = await node.carried_out(Action.LOCK)
        opened = await node.carried_out(Action.UNLOCK, epoch=locked["lock"]["epoch"])
        assert opened["lock"] == {"locked": False, "epoch": 2}
    far = 10**12
    async with begun(FakeVenue(), journal, shown=far) as late:
        assert late.node.ledger.get(ACCOUNT).locked
        assert late.node.ledger.get(ACCOUNT).epoch == far + 1
        await late.comes()
        assert late.node.ledger.get(ACCOUNT) == (await journal.locks())[ACCOUNT]
        assert late.node.ledger.get(ACCOUNT).latched


async def test_the_epoch_rises_although_the_clock_was_far_behind(journal: MemoryJournal) -> None:
    """What the journal has is passed when it comes, whatever was assumed before."""
    async with engine(FakeVenue(), journal=journal) as node:
        node.ledger.adopt(AccountLock(account_id=ACCOUNT, epoch=10**12, latched=True))
        await journal.raise_locks([node.ledger.get(ACCOUNT)])
    async with begun(FakeVenue(), journal) as late:
        assert late.node.ledger.get(ACCOUNT).epoch < 10**12
        await late.comes()
        assert late.node.ledger.get(ACCOUNT).epoch == 10**12 + 1


async def test_an_unlock_is_refused_until_everything_is_taken_up(journal: MemoryJournal) -> None:
    """Also in the moment in which the journal is there and its locks and commands are not."""
    async with begun(FakeVenue(), journal) as late:
        await late.node.armed()
        epoch = late.node.ledger.get(ACCOUNT).epoch
        refused = await late.node.submit(Action.UNLOCK, epoch=epoch, force=True)
        assert refused.rejection is not None
        assert refused.rejection.code is RejectCode.NOT_READY
        journal.down = False
        refused = await late.node.submit(Action.UNLOCK, epoch=epoch, force=True)
        assert refused.rejection is not None
        assert late.node.ledger.get(ACCOUNT).locked
        await late.comes()
        opened = await late.node.carried_out(Action.UNLOCK, epoch=late.node.ledger.get(ACCOUNT).epoch)
        assert opened["verdict"] == "unlocked"


async def test_what_was_carried_out_meanwhile_is_on_record_with_rising_numbers_and_epochs(
    journal: MemoryJournal,
) -> None:
    """And the epoch in force is the journal's: what is shown is what an UNLOCK must name."""
    async with engine(FakeVenue(), journal=journal) as node:
        first = await node.carried_out(Action.LOCK)
    async with begun(FakeVenue(positions=[position(BTC, "1")]), journal) as late:
        wanted = request(Action.CLOSE_ALL)
        await late.node.desk.submit(wanted)
        ended = await late.node.ending(wanted.command_id)
        assert (ended["verdict"], ended["unjournaled"]) == ("flat", True)
        assert ended["seq"] > first["seq"]
        await late.comes_before_debts_are_paid()
        await until(lambda: not late.node.inbox.owes_journal)
        [stored] = [await journal.find(wanted.command_id)]
        assert stored is not None
        assert stored.state is CommandState.DONE
        assert stored.document["seq"] > ended["seq"]
        assert late.node.ledger.get(ACCOUNT).epoch == (await journal.locks())[ACCOUNT].epoch


async def interrupted(journal: MemoryJournal) -> UUID:
    """A close that the run before has on record, and did not end."""
    venue = FakeVenue(positions=[position(BTC, "1")])
    venue.answering.clear()
    async with engine(venue, journal=journal, issuers=(DESK,)) as node:
        wanted = request(Action.CLOSE_ALL, issuer="desk")
        await node.desk.submit(wanted)
        return wanted.command_id


async def test_what_was_unfinished_is_resumed_when_the_journal_comes(journal: MemoryJournal) -> None:
    """Late, and once."""
    command_id = await interrupted(journal)
    venue = FakeVenue(positions=[position(BTC, "1")])
    async with begun(venue, journal) as late:
        await late.node.armed()
        assert venue.calls["ClosePosition"] == 0
        await late.comes()
        assert (await late.node.ending(command_id))["verdict"] == "flat"
        assert venue.calls["ClosePosition"] == 1
        assert late.node.ledger.get(ACCOUNT).latched


async def test_what_the_broker_has_delivered_again_meanwhile_is_not_resumed_as_well(journal: MemoryJournal) -> None:
    """It was unfinished on record, and has been carried out without the record: its ending is the record's."""
    venue = FakeVenue(positions=[position(BTC, "1")])
    wanted = request(Action.CLOSE_ALL, issuer="desk")
    slow = FakeVenue(positions=[position(BTC, "1")])
    slow.answering.clear()
    async with engine(slow, journal=journal, issuers=(DESK,)) as node:
        await node.desk.submit(wanted)
    async with begun(venue, journal) as late:
        await late.node.desk.submit(wanted)
        assert (await late.node.ending(wanted.command_id))["verdict"] == "flat"
        await late.comes_before_debts_are_paid()
        assert late.node.dispatcher.actors[ACCOUNT].live == ()
        await until(lambda: not late.node.inbox.owes_journal)
        stored = await journal.find(wanted.command_id)
        assert stored is not None
        assert stored.state is CommandState.DONE
        assert venue.calls["ClosePosition"] == 1
        assert await journal.unfinished() == []


async def test_a_persons_word_on_the_guard_outlives_a_start_that_could_not_read_it(journal: MemoryJournal) -> None:
    """It is neither forgotten nor written over; a newer word is the one that counts."""
    async with engine(FakeVenue(), journal=journal) as node:
        await node.desk.set_guard(ACCOUNT, GuardMode.OFF)
    async with begun(FakeVenue(), journal) as late:
        guard = late.node.dispatcher.actors[ACCOUNT].guard
        assert guard.document()["override"] is None
        await late.node.carried_out(Action.LOCK)
        await late.comes()
        assert guard.document()["override"] == "off"
    async with begun(FakeVenue(), journal) as late:
        guard = late.node.dispatcher.actors[ACCOUNT].guard
        guard.set_mode(GuardMode.REVERT)
        await late.comes()
        assert guard.document()["override"] == "revert"
        assert await guard.kept(5)
        assert (await journal.guards())[ACCOUNT]["override"] == "revert"


async def test_a_journal_that_fails_again_meanwhile_is_taken_up_from_the_first_step(journal: MemoryJournal) -> None:
    """Nothing is left out, nothing acts twice."""
    command_id = await interrupted(journal)
    venue = FakeVenue(positions=[position(BTC, "1")])
    async with begun(venue, journal) as late:
        await late.node.armed()
        journal.fail_next(3)
        await late.comes()
        assert (await late.node.ending(command_id))["verdict"] == "flat"
        assert venue.calls["ClosePosition"] == 1


async def test_a_journal_that_fails_after_the_locks_were_loaded_delays_only_what_it_is_needed_for() -> None:
    """The step is taken when it can be; the locks are those of the record."""
    journal = MemoryJournal(node_id=NODE_ID, clock=SystemClock())
    async with engine(FakeVenue(), journal=journal) as node:
        start, taken = LateStart(journal, node.ledger, SystemClock()), asyncio.Event()

        async def step() -> None:
            if journal.down:
                raise JournalUnavailable
            taken.set()

        journal.down = True
        await start.take(step)
        assert start.pending
        assert not node.ledger.get(ACCOUNT).locked
        task = asyncio.create_task(start.run(), name="late-start")
        journal.down = False
        await until(taken.is_set)
        await until(lambda: not start.pending)
        assert not node.ledger.get(ACCOUNT).locked
        await task
