"""Commands while the journal cannot be written: toward flat all the same, on record as soon as it is back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

import pytest

from node.clock import SystemClock
from node.domain.command import Action, CommandState, RejectCode
from node.domain.result import Document
from node.domain.steps import ClosePosition
from node.engine.authority import Issuer
from node.engine.ports import Event
from node.journal.memory import MemoryJournal
from tests.support.deliveries import post_for
from tests.support.engine import ACCOUNT, NODE_ID, OTHER, Engine, engine, request
from tests.support.fake_venue import FakeVenue, position
from tests.support.waiting import PATIENCE_S, until

BTC = "BTC/USDT:USDT"
DESK = Issuer(id="desk", actions=frozenset(Action), accounts=None)
RIVAL = Issuer(id="rival", actions=frozenset(Action), accounts=None)
ACTIONS = [Action.LOCK, Action.CLOSE_ALL, Action.FLATTEN]


@pytest.fixture(autouse=True)
def _quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the journal is back is looked at often."""
    monkeypatch.setattr("node.engine.scribe.RETRY_S", 0.02)
    monkeypatch.setattr("node.engine.inbox.RETRY_S", 0.02)


async def published(node: Engine, state: CommandState, command_id: UUID) -> Document:
    """Wait until an event of a command has been sent without the journal."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            for document in node.published:
                if (document["state"], document["command_id"]) == (state.value, str(command_id)):
                    return document
            await asyncio.sleep(0.005)


async def stored(node: Engine, state: CommandState, command_id: UUID) -> Document:
    """Wait until the journal has a command in that state."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            command = await node.journal.find(command_id)
            if command is not None and command.state is state:
                return command.document
            await asyncio.sleep(0.02)


async def unlocked(node: Engine) -> None:
    """Wait until the account is free, in memory as on disk."""
    await until(lambda: not node.ledger.get(ACCOUNT).locked)


@pytest.mark.parametrize("action", ACTIONS)
async def test_what_reduces_risk_is_carried_out_and_says_that_it_is_not_on_record(action: Action) -> None:
    """Locked, flat, and told to the broker directly; the message itself is left with the broker."""
    async with engine(FakeVenue(positions=[position(BTC, "1")]), issuers=(DESK,)) as node, post_for(node) as post:
        await node.armed()
        node.journal.down = True
        wanted = request(action, issuer="desk")
        post.deliver("1", wanted)
        accepted = await published(node, CommandState.ACCEPTED, wanted.command_id)
        done = await published(node, CommandState.DONE, wanted.command_id)
        assert (accepted["unjournaled"], done["unjournaled"]) == (True, True)
        assert node.ledger.get(ACCOUNT).locked
        assert node.venue.positions == ([position(BTC, "1")] if action is Action.LOCK else [])
        assert post.acknowledged == []


@pytest.mark.parametrize("action", ACTIONS)
async def test_it_is_durable_and_acknowledged_with_its_ending_once_the_journal_is_back(action: Action) -> None:
    """Nothing that was done in between is lost; the lock is the same in both places."""
    async with engine(FakeVenue(positions=[position(BTC, "1")]), issuers=(DESK,)) as node, post_for(node) as post:
        await node.armed()
        node.journal.down = True
        wanted = request(action, issuer="desk")
        post.deliver("1", wanted)
        await published(node, CommandState.DONE, wanted.command_id)
        node.journal.down = False
        await post.until_acknowledged("1")
        document = await stored(node, CommandState.DONE, wanted.command_id)
        assert document["verdict"] in ("locked", "flat")
        assert (await node.journal.locks())[ACCOUNT].epoch == node.ledger.get(ACCOUNT).epoch == 1
        assert await node.journal.unfinished() == []


async def test_numbers_go_on_rising_across_the_gap() -> None:
    """Events without a journal have numbers that the journal does not give out again."""
    async with engine(FakeVenue(), issuers=(DESK,)) as node:
        first = await node.carried_out(Action.LOCK)
        node.journal.down = True
        wanted = request(Action.LOCK)
        await node.desk.submit(wanted)
        unjournaled = await published(node, CommandState.DONE, wanted.command_id)
        node.journal.down = False
        later = await stored(node, CommandState.DONE, wanted.command_id)
        assert first["seq"] < unjournaled["seq"] < later["seq"]


async def test_an_unlock_is_not_ready() -> None:
    """What adds risk needs a record."""
    async with engine(FakeVenue()) as node:
        await node.armed()
        await node.carried_out(Action.LOCK)
        node.journal.down = True
        answer = await node.submit(Action.UNLOCK, epoch=1, force=True)
        assert answer.rejection is not None
        assert answer.rejection.code is RejectCode.NOT_READY
        assert answer.document["unjournaled"] is True
        assert node.ledger.get(ACCOUNT).locked


async def test_an_unlock_is_not_ready_when_the_journal_fails_under_it() -> None:
    """It was healthy when it was asked, and was not when it was written to."""
    async with engine(FakeVenue()) as node:
        await node.armed()
        await node.carried_out(Action.LOCK)
        node.journal.fail_next()
        answer = await node.submit(Action.UNLOCK, epoch=1)
        assert answer.rejection is not None
        assert answer.rejection.code is RejectCode.NOT_READY
        assert node.ledger.get(ACCOUNT).locked


class TestDuplicates:
    async def test_have_one_effect_and_are_all_acknowledged_once_it_is_durable(self) -> None:
        """The one that came over a broken connection, and the one that came after it."""
        async with engine(FakeVenue(), issuers=(DESK,)) as node, post_for(node) as post:
            node.journal.down = True
            wanted = request(Action.LOCK, issuer="desk")
            post.deliver("first", wanted)
            post.deliver("second", wanted)
            await published(node, CommandState.DONE, wanted.command_id)
            again = await node.desk.submit(wanted)
            assert again.duplicate
            assert again.document["state"] == "accepted"
            assert node.ledger.get(ACCOUNT).epoch == 1
            assert post.acknowledged == []
            node.journal.down = False
            await post.until_acknowledged("first", "second")

    async def test_are_told_to_the_broker_again(self) -> None:
        """Their sender repeats itself because it has seen no answer."""
        async with engine(FakeVenue(), issuers=(DESK,)) as node:
            node.journal.down = True
            wanted = request(Action.LOCK, issuer="desk")
            await node.desk.submit(wanted)
            await node.desk.submit(wanted)
            accepted = [each for each in node.published if each["state"] == "accepted"]
            assert len(accepted) == 2
            assert accepted[0] == accepted[1]

    async def test_that_arrive_as_the_journal_is_back_have_no_second_effect(self) -> None:
        """Before anybody had the time to bring the first one into it."""
        async with engine(FakeVenue(), issuers=(DESK,)) as node:
            node.journal.down = True
            wanted = request(Action.LOCK, issuer="desk")
            await node.desk.submit(wanted)
            node.journal.down = False
            again = await node.desk.submit(wanted)
            assert again.duplicate
            assert node.ledger.get(ACCOUNT).epoch == 1
            await stored(node, CommandState.DONE, wanted.command_id)

    async def test_of_a_command_that_ended_before_have_no_second_effect(self) -> None:
        """What this run has accepted it remembers without the journal."""
        async with engine(FakeVenue(positions=[position(BTC, "1")]), issuers=(DESK,)) as node, post_for(node) as post:
            wanted = request(Action.CLOSE_ALL, issuer="desk")
            await node.desk.submit(wanted)
            await node.ending(wanted.command_id)
            calls = node.venue.calls.copy()
            node.journal.down = True
            post.deliver("again", wanted)
            await post.until_acknowledged("again")  # it is on record: the broker may forget it
            assert node.ledger.get(ACCOUNT).epoch == 1
            assert node.venue.calls["read_proof:linear"] == calls["read_proof:linear"]

    async def test_of_a_live_command_do_not_begin_it_again(self) -> None:
        """It goes on, and ends once."""
        venue = FakeVenue(positions=[position(BTC, "1")])
        async with engine(venue, issuers=(DESK,)) as node:
            await node.armed()
            venue.answering.clear()
            wanted = request(Action.CLOSE_ALL, issuer="desk")
            await node.desk.submit(wanted)
            node.journal.down = True
            assert (await node.desk.submit(wanted)).duplicate
            venue.answering.set()
            await published(node, CommandState.DONE, wanted.command_id)
            node.journal.down = False
            assert (await stored(node, CommandState.DONE, wanted.command_id))["verdict"] == "flat"
            assert venue.calls["ClosePosition"] == 1

    async def test_of_a_command_of_an_earlier_run_do_no_harm(self) -> None:
        """It cannot be known: the goal is reached again, with other order ids; the record keeps its first ending."""
        journal = MemoryJournal(node_id=NODE_ID, clock=SystemClock())
        wanted = request(Action.CLOSE_ALL, issuer="desk")
        first = FakeVenue(positions=[position(BTC, "1")])
        async with engine(first, journal=journal, issuers=(DESK,)) as node:
            await node.desk.submit(wanted)
            ending = await node.ending(wanted.command_id)
        second = FakeVenue(positions=[position(BTC, "1")])
        async with engine(second, journal=journal, issuers=(DESK,)) as node, post_for(node) as post:
            await node.armed()
            journal.down = True
            post.deliver("again", wanted)
            await published(node, CommandState.DONE, wanted.command_id)
            journal.down = False
            await post.until_acknowledged("again")
            another = await node.carried_out(Action.LOCK)
            assert another["state"] == "done", "the record works on"
            assert await node.desk.result(wanted.command_id) is not None
        assert [each["seq"] for each in await journal.events(wanted.command_id)][-1] == ending["seq"]
        steps = [*first.steps, *second.steps]
        ids = [step.client_order_id for step in steps if isinstance(step, ClosePosition)]
        assert len(ids) == len(set(ids)) == 2

    async def test_with_other_content_conflict_and_learn_nothing(self) -> None:
        """The same id from another issuer is not told what the first one's answer was."""
        async with engine(FakeVenue(), issuers=(DESK, RIVAL)) as node:
            node.journal.down = True
            wanted = request(Action.LOCK, issuer="desk", reason="secret")
            await node.desk.submit(wanted)
            answer = await node.desk.submit(replace(wanted, issuer="rival", reason=None))
            assert answer.rejection is not None
            assert answer.rejection.code is RejectCode.CONFLICT
            assert "secret" not in str(answer.document)
            assert "lock" not in answer.document


class SlowJournal(MemoryJournal):
    """Takes its time over records."""

    def __init__(self) -> None:
        super().__init__(node_id=NODE_ID, clock=SystemClock())
        self.gate = asyncio.Event()
        self.gate.set()

    async def record(self, events: Sequence[Event]) -> list[Document]:
        """Once the gate is open."""
        await self.gate.wait()
        return await super().record(events)


class TestReturn:
    async def test_what_is_owed_is_written_once_although_new_events_come_meanwhile(self) -> None:
        """The second of two writes of one ending would be one too many for the journal."""
        journal = SlowJournal()
        async with engine(FakeVenue(), journal=journal) as node:
            journal.down = True
            first, second = request(Action.LOCK), request(Action.LOCK)
            await node.desk.submit(first)
            await published(node, CommandState.DONE, first.command_id)
            journal.gate.clear()
            journal.down = False
            await node.desk.submit(second)
            for _ in range(20):
                await asyncio.sleep(0.005)  # both the debt and the new event are on their way
            journal.gate.set()
            for each in (first, second):
                await stored(node, CommandState.DONE, each.command_id)
            assert (await node.carried_out(Action.LOCK))["state"] == "done"

    async def test_an_unlock_of_the_lock_before_does_not_slip_in_first(self) -> None:
        """What was locked without the journal is in it before anything new is admitted."""
        async with engine(FakeVenue()) as node:
            await node.armed()
            await node.carried_out(Action.LOCK)
            node.journal.down = True
            second = request(Action.LOCK)
            await node.desk.submit(second)
            node.journal.down = False
            stale = await node.submit(Action.UNLOCK, epoch=1)
            assert stale.rejection is not None
            assert stale.rejection.code in (RejectCode.BUSY, RejectCode.STALE_EPOCH)
            assert node.ledger.get(ACCOUNT).locked
            await stored(node, CommandState.DONE, second.command_id)
            assert (await node.carried_out(Action.UNLOCK, epoch=2))["verdict"] == "unlocked"
            in_journal, in_force = (await node.journal.locks())[ACCOUNT], node.ledger.get(ACCOUNT)
            assert (in_journal.locked, in_journal.epoch) == (in_force.locked, in_force.epoch) == (False, 3)

    async def test_a_commit_of_unknown_outcome_is_settled(self) -> None:
        """The write failed and had taken effect all the same: one effect, one ending."""
        async with engine(FakeVenue(positions=[position(BTC, "1")]), issuers=(DESK,)) as node, post_for(node) as post:
            await node.armed()
            node.journal.fail_next(applied=True)
            wanted = request(Action.CLOSE_ALL, issuer="desk")
            post.deliver("1", wanted)
            await post.until_acknowledged("1")
            assert (await stored(node, CommandState.DONE, wanted.command_id))["verdict"] == "flat"
            assert node.ledger.get(ACCOUNT).epoch == 1
            assert (await node.journal.locks())[ACCOUNT].epoch == 1

    async def test_a_command_still_running_goes_on_on_record(self) -> None:
        """Admitted without the journal, ended with it."""
        venue = FakeVenue(positions=[position(BTC, "1")])
        async with engine(venue, issuers=(DESK,)) as node, post_for(node) as post:
            await node.armed()
            venue.answering.clear()
            node.journal.down = True
            wanted = request(Action.CLOSE_ALL, issuer="desk", latch=False)
            post.deliver("1", wanted)
            await published(node, CommandState.ACCEPTED, wanted.command_id)
            node.journal.down = False
            await post.until_acknowledged("1")
            venue.answering.set()
            ending = await stored(node, CommandState.DONE, wanted.command_id)
            assert ending["unjournaled"] is False
            assert not node.ledger.get(ACCOUNT).locked
            assert not (await node.journal.locks())[ACCOUNT].locked

    async def test_a_command_for_all_is_whole(self) -> None:
        """Parent and children are durable, and all end."""
        async with engine(FakeVenue(), FakeVenue(), issuers=(DESK,)) as node, post_for(node) as post:
            await node.armed()
            node.journal.down = True
            wanted = request(Action.LOCK, None, issuer="desk")
            post.deliver("1", wanted)
            done = await published(node, CommandState.DONE, wanted.command_id)
            assert done["verdict"] == "locked"
            assert all(node.ledger.get(account).locked for account in (ACCOUNT, OTHER))
            node.journal.down = False
            await post.until_acknowledged("1")
            await stored(node, CommandState.DONE, wanted.command_id)
            children = await node.journal.children(wanted.command_id)
            for child in children:
                await stored(node, CommandState.DONE, child.command.command_id)
            assert len(children) == 2

    async def test_an_ending_that_the_journal_missed_is_recorded_later(self) -> None:
        """Admitted with it, ended without it."""
        venue = FakeVenue(positions=[position(BTC, "1")])
        async with engine(venue) as node:
            await node.armed()
            venue.answering.clear()
            closing = request(Action.CLOSE_ALL, latch=False)
            await node.desk.submit(closing)
            node.journal.down = True
            venue.answering.set()
            told = await published(node, CommandState.DONE, closing.command_id)
            assert told["unjournaled"] is True
            assert node.ledger.get(ACCOUNT).locked, "a hold that lifts without a record would be there again later"
            node.journal.down = False
            await stored(node, CommandState.DONE, closing.command_id)
            assert not (await node.journal.locks())[ACCOUNT].locked
            await unlocked(node)


async def test_an_unlock_whose_commit_happened_all_the_same_is_undone() -> None:
    """Its sender was told NOT_READY: the account must not be found open later, not even after a restart."""
    async with engine(FakeVenue()) as node:
        await node.armed()
        locked = await node.carried_out(Action.LOCK)
        node.journal.fail_next(applied=True)
        unlock = await node.submit(Action.UNLOCK, epoch=locked["lock"]["epoch"])
        assert unlock.rejection is not None
        assert unlock.rejection.code is RejectCode.NOT_READY
        ended = await stored(node, CommandState.FAILED, UUID(unlock.document["command_id"]))
        assert ended["errors"][0]["code"] == "INTERRUPTED"
        kept = (await node.journal.locks())[ACCOUNT]
        assert kept.latched
        await until(lambda: node.ledger.get(ACCOUNT).epoch == kept.epoch)
        again = await node.carried_out(Action.UNLOCK, epoch=kept.epoch)
        assert again["verdict"] == "unlocked"
