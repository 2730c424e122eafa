"""After a restart: locks first, then what was unfinished, planned anew from what the venue shows."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from node.clock import SystemClock
from node.domain.command import Action, Command, CommandState
from node.domain.guard_mode import GuardMode, GuardModes
from node.domain.latency import Stopwatch
from node.domain.lock import AccountLock
from node.domain.result import Document, Findings, OrderCounts, result_document
from node.domain.steps import ClosePosition
from node.engine.account import ExecutionTerms
from node.engine.ports import Admission, Event
from node.errors import JournalUnavailable
from node.journal.memory import MemoryJournal
from tests.support.engine import ACCOUNT, NODE_ID, OTHER, engine, request
from tests.support.fake_venue import FakeVenue, position
from tests.support.journal import make_command
from tests.support.waiting import PATIENCE_S, until

BTC = "BTC/USDT:USDT"


@pytest.fixture
def journal() -> MemoryJournal:
    """What an earlier run has left."""
    return MemoryJournal(node_id=NODE_ID, clock=SystemClock())


def book() -> FakeVenue:
    """One position."""
    return FakeVenue(positions=[position(BTC, "1")])


async def crashed_with(
    journal: MemoryJournal, action: Action, account: UUID | None = ACCOUNT, *, age_s: float = 1, **changes: Any
) -> Command:
    """A command that an earlier run had accepted and not ended; of a ``*`` command the parent."""
    received_at = SystemClock().now() - timedelta(seconds=age_s)
    command = make_command(account, action, received_at=received_at, **changes)
    children = tuple(command.child(each) for each in (ACCOUNT, OTHER)) if account is None else ()
    admission = Admission(commands=(command, *children), latch_by_default={}, stopwatch=Stopwatch(received_ns=0))
    await journal.admit([admission])
    return command


async def closing(venue: FakeVenue) -> None:
    """Wait until a close has been sent."""
    await until(lambda: venue.calls["ClosePosition"])


async def settled(journal: MemoryJournal, command_id: UUID) -> Document:
    """Wait until the journal has a command's ending."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            stored = await journal.find(command_id)
            if stored is not None and stored.state.ended:
                return stored.document
            await asyncio.sleep(0.01)


async def end(journal: MemoryJournal, command: Command, state: CommandState = CommandState.DONE) -> None:
    """Have an earlier run end a command."""
    now = SystemClock().now()
    await journal.record(
        [
            Event(
                command=command,
                state=state,
                document=lambda lock: result_document(
                    command, state, node_id=NODE_ID, at=now, latency_ms={}, lock=lock
                ),
            )
        ]
    )


class TestResuming:
    async def test_an_unfinished_close_is_carried_out_to_its_end(self, journal: MemoryJournal) -> None:
        """Through the dispatcher, like any other, to the proof."""
        command = await crashed_with(journal, Action.CLOSE_ALL)
        async with engine(book(), journal=journal, recover=True) as node:
            document = await node.ending(command.command_id)
            assert (document["state"], document["verdict"]) == ("done", "flat")
            assert node.venue.positions == []

    async def test_its_latency_counts_from_receipt_in_the_earlier_run(self, journal: MemoryJournal) -> None:
        """The restart is part of what it took."""
        command = await crashed_with(journal, Action.CLOSE_ALL, age_s=30)
        async with engine(book(), journal=journal, recover=True) as node:
            document = await node.ending(command.command_id)
        assert 30_000 <= document["latency_ms"]["proof"] < 40_000

    async def test_its_result_counts_what_the_earlier_run_has_told_of_its_orders(self, journal: MemoryJournal) -> None:
        """Killed after a round: the orders of both lives."""
        command, now = await crashed_with(journal, Action.CLOSE_ALL), SystemClock().now()
        told = Findings(orders=OrderCounts(cancelled=2, placed=3, rejected=1, ambiguous=1))

        def document(lock: AccountLock | None) -> Document:
            running = CommandState.RUNNING
            return result_document(command, running, node_id=NODE_ID, at=now, latency_ms={}, lock=lock, findings=told)

        await journal.record([Event(command=command, state=CommandState.RUNNING, document=document)])
        async with engine(book(), journal=journal, recover=True) as node:
            ending = await node.ending(command.command_id)
        assert ending["orders"] == {"cancelled": 2, "placed": 4, "rejected": 1, "ambiguous": 1}

    async def test_no_order_id_of_an_earlier_run_is_used_again(self, journal: MemoryJournal) -> None:
        """The same command, account, symbol and round: another attempt."""
        await crashed_with(journal, Action.CLOSE_ALL)
        ids: list[str] = []
        for _ in range(3):
            venue = book()
            venue.answering.clear()
            async with engine(venue, journal=journal, recover=True):
                await closing(venue)
            ids += [step.client_order_id for step in venue.steps if isinstance(step, ClosePosition)]
        assert len(set(ids)) == len(ids) == 3

    async def test_the_lock_is_in_force_before_anything_is_resumed(self, journal: MemoryJournal) -> None:
        """The first thing that the mirrors see is the lock."""
        await crashed_with(journal, Action.CLOSE_ALL, latch=False)
        venue = book()
        venue.answering.clear()
        async with engine(venue, journal=journal) as node:
            assert node.ledger.get(ACCOUNT).locked
            assert venue.steps == []

    async def test_a_hold_lifts_when_the_resumed_command_is_proven(self, journal: MemoryJournal) -> None:
        """As it would have done without the restart."""
        command = await crashed_with(journal, Action.CLOSE_ALL, latch=False)
        async with engine(book(), journal=journal, recover=True) as node:
            await node.ending(command.command_id)
            assert not node.ledger.get(ACCOUNT).locked

    async def test_nothing_that_has_ended_is_resumed(self, journal: MemoryJournal) -> None:
        """An ending is an ending."""
        command = await crashed_with(journal, Action.CLOSE_ALL)
        await end(journal, command)
        async with engine(book(), journal=journal, recover=True) as node:
            await node.armed()
            assert node.dispatcher.actors[ACCOUNT].live == ()
            assert node.venue.steps == []

    async def test_nothing_is_taken_up_without_the_journal(self, journal: MemoryJournal) -> None:
        """The caller is told, and tries again."""
        await crashed_with(journal, Action.CLOSE_ALL)
        journal.fail_next()
        with pytest.raises(JournalUnavailable):
            async with engine(book(), journal=journal, recover=True):
                pass


class TestDuplicatesWithoutTheJournal:
    """The same message again, while the journal cannot say that it was accepted before the restart."""

    @pytest.fixture(autouse=True)
    def _quick_looks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whether the journal is back is looked at often."""
        monkeypatch.setattr("node.engine.scribe.RETRY_S", 0.02)
        monkeypatch.setattr("node.engine.inbox.RETRY_S", 0.02)

    async def test_do_not_begin_a_resumed_command_again(self, journal: MemoryJournal) -> None:
        """It goes on as it was, ends once, and the account can be opened afterwards."""
        again = request(Action.CLOSE_ALL)
        same: dict[str, Any] = {"command_id": again.command_id, "issuer": again.issuer}
        await crashed_with(journal, Action.CLOSE_ALL, age_s=30, content_digest=again.content_digest, **same)
        venue = book()
        venue.answering.clear()
        async with engine(venue, journal=journal, recover=True) as node:
            await closing(venue)
            journal.down = True
            await node.desk.submit(again)
            journal.down = False
            venue.answering.set()
            ending = await settled(journal, again.command_id)
            assert ending["verdict"] == "flat"
            assert ending["latency_ms"]["total"] >= 30_000, "counted from its first receipt"
            assert venue.calls["ClosePosition"] == 1
            epoch = (await journal.locks())[ACCOUNT].epoch
            opened = await node.carried_out(Action.UNLOCK, epoch=epoch, force=True)
            assert opened["verdict"] == "unlocked"
            assert not node.ledger.get(ACCOUNT).locked

    async def test_do_not_begin_a_resumed_parent_again(self, journal: MemoryJournal) -> None:
        """What its children have reached is not forgotten."""
        again = request(Action.CLOSE_ALL, None)
        same: dict[str, Any] = {"command_id": again.command_id, "issuer": again.issuer}
        digest = again.content_digest
        parent = await crashed_with(journal, Action.CLOSE_ALL, None, age_s=30, content_digest=digest, **same)
        await end(journal, parent.child(OTHER))
        venues = book(), FakeVenue()
        venues[0].answering.clear()
        async with engine(*venues, journal=journal, recover=True) as node:
            await closing(venues[0])
            journal.down = True
            await node.desk.submit(again)
            journal.down = False
            venues[0].answering.set()
            ending = await settled(journal, again.command_id)
            assert {child["state"] for child in ending["children"]} == {"done"}
            assert ending["latency_ms"]["total"] >= 30_000, "counted from its first receipt"
            assert venues[0].calls["ClosePosition"] == 1
            assert (await node.carried_out(Action.LOCK))["state"] == "done"


class TestStale:
    @pytest.mark.parametrize("latch", [True, False])
    async def test_an_old_command_is_put_before_the_operator(self, journal: MemoryJournal, latch: bool) -> None:
        """Failed, nothing done, and the account locked for good even where it was only held."""
        command = await crashed_with(journal, Action.CLOSE_ALL, age_s=901, latch=latch)
        async with engine(book(), journal=journal, recover=True) as node:
            document = await node.ending(command.command_id)
            assert (document["state"], document["verdict"]) == ("failed", "unknown")
            assert [each["code"] for each in document["errors"]] == ["STALE_RESUME"]
            assert document["lock"]["locked"] is True
            assert node.ledger.get(ACCOUNT).latched
            assert (await journal.locks())[ACCOUNT].latched
            assert node.venue.steps == []

    async def test_what_it_leaves_is_left_to_the_person(self, journal: MemoryJournal) -> None:
        """The guard takes its baseline anew: it does not undo what the command did not."""
        guarded = ExecutionTerms(guard=GuardModes(after_lock=GuardMode.REVERT, after_close=GuardMode.REVERT))
        async with engine(FakeVenue(), journal=journal, execution=guarded) as node:
            await node.carried_out(Action.LOCK)
            guard = node.dispatcher.actors[ACCOUNT].guard
            async with asyncio.timeout(5):
                while not all(each["baseline"] for each in guard.document()["slices"].values()):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            assert await guard.kept(2)
        await crashed_with(journal, Action.CLOSE_ALL, age_s=901)
        venue = book()
        async with engine(venue, journal=journal, recover=True, execution=guarded) as node:
            await node.armed()
            guard = node.dispatcher.actors[ACCOUNT].guard
            async with asyncio.timeout(5):
                while not all(each["baseline"] for each in guard.document()["slices"].values()):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            await asyncio.sleep(0.4)
            assert venue.calls["ClosePosition"] == 0

    async def test_a_command_just_young_enough_is_resumed(self, journal: MemoryJournal) -> None:
        """The limit is the account's."""
        command = await crashed_with(journal, Action.CLOSE_ALL, age_s=890)
        async with engine(book(), journal=journal, recover=True) as node:
            assert (await node.ending(command.command_id))["state"] == "done"

    async def test_an_interrupted_drill_is_not_repeated(self, journal: MemoryJournal) -> None:
        """It has failed as a drill, and locked nothing."""
        command = await crashed_with(journal, Action.CLOSE_ALL, dry_run=True)
        async with engine(book(), journal=journal, recover=True) as node:
            document = await node.ending(command.command_id)
            assert (document["state"], document["verdict"]) == ("failed", "drill_failed")
            assert [each["code"] for each in document["errors"]] == ["INTERRUPTED"]
            assert not node.ledger.get(ACCOUNT).locked


class TestRemovedAccounts:
    @pytest.mark.parametrize("latch", [True, False])
    async def test_a_command_that_waits_for_an_account_no_longer_is_failed_and_the_lock_stays(
        self, journal: MemoryJournal, latch: bool
    ) -> None:
        """Nobody would ever end it: it would be unfinished at every start, and its parent with it."""
        command = await crashed_with(journal, Action.CLOSE_ALL, OTHER, age_s=1000, latch=latch)
        async with engine(FakeVenue(), journal=journal, recover=True):
            ending = await settled(journal, command.command_id)
        assert (ending["state"], ending["errors"][0]["code"]) == ("failed", "ACCOUNT_REMOVED")
        lock = (await journal.locks())[OTHER]
        assert (lock.locked, lock.latched) == (True, True)

    async def test_a_young_one_waits_for_the_account_to_come_back(self, journal: MemoryJournal) -> None:
        """Taken out of the configuration by mistake: with it the close goes on."""
        command = await crashed_with(journal, Action.CLOSE_ALL, OTHER, age_s=10)
        async with engine(FakeVenue(), journal=journal, recover=True) as node:
            await node.carried_out(Action.LOCK)  # whatever recovery has told is on record before this
        (waiting,) = await journal.unfinished()
        assert waiting.command == command
        venue = book()
        async with engine(FakeVenue(), venue, journal=journal, recover=True) as node:
            assert (await node.ending(command.command_id))["verdict"] == "flat"
            assert venue.positions == []

    async def test_all_accounts_command_ends_with_the_children_that_are_left(self, journal: MemoryJournal) -> None:
        """The worst of them is its verdict."""
        parent = await crashed_with(journal, Action.LOCK, None, age_s=1000)
        async with engine(FakeVenue(), journal=journal, recover=True):
            ending = await settled(journal, parent.command_id)
        assert (ending["state"], len(ending["children"])) == ("failed", 2)


class TestLocks:
    async def test_an_unfinished_lock_is_finished_at_any_age(self, journal: MemoryJournal) -> None:
        """It has been in force since it was accepted."""
        command = await crashed_with(journal, Action.LOCK, age_s=86_400)
        async with engine(book(), journal=journal, recover=True) as node:
            document = await node.ending(command.command_id)
            assert (document["verdict"], document["lock"]) == ("locked", {"locked": True, "epoch": 1})
            assert node.ledger.get(ACCOUNT).epoch == 1


class TestParents:
    async def test_are_put_together_again_with_their_children(self, journal: MemoryJournal) -> None:
        """One child had ended, the other is resumed; the parent ends with both."""
        parent = await crashed_with(journal, Action.CLOSE_ALL, None)
        await end(journal, parent.child(OTHER), CommandState.FAILED)
        async with engine(book(), book(), journal=journal, recover=True) as node:
            document = await node.ending(parent.command_id)
            assert document["state"] == "failed"
            assert {child["account_id"]: child["state"] for child in document["children"]} == {
                str(ACCOUNT): "done",
                str(OTHER): "failed",
            }
            assert node.venues[OTHER].steps == []

    async def test_whose_children_have_all_ended_end_at_once(self, journal: MemoryJournal) -> None:
        """Only the parent's own ending had been missed."""
        parent = await crashed_with(journal, Action.LOCK, None)
        for account in (ACCOUNT, OTHER):
            await end(journal, parent.child(account))
        async with engine(book(), book(), journal=journal, recover=True) as node:
            assert (await node.ending(parent.command_id))["state"] == "done"

    async def test_with_a_stale_child_end_with_the_worst(self, journal: MemoryJournal) -> None:
        """Every child is put before the operator by itself."""
        parent = await crashed_with(journal, Action.CLOSE_ALL, None, age_s=901)
        async with engine(book(), book(), journal=journal, recover=True) as node:
            document = await node.ending(parent.command_id)
            assert (document["state"], document["verdict"]) == ("failed", "unknown")


async def test_an_unlock_that_nobody_was_told_of_as_done_is_undone(journal: MemoryJournal) -> None:
    """Work that adds risk is not taken up again: the account is locked, and its operator decides."""
    lock = await crashed_with(journal, Action.LOCK)
    await end(journal, lock)
    unlock = await crashed_with(journal, Action.UNLOCK, epoch=1)
    assert not (await journal.locks())[ACCOUNT].locked
    async with engine(book(), journal=journal, recover=True) as node:
        ended = await node.ending(unlock.command_id)
        assert ended["state"] == "failed"
        assert ended["errors"][0]["code"] == "INTERRUPTED"
        assert (await journal.locks())[ACCOUNT].latched
        assert node.ledger.get(ACCOUNT).latched
