"""What people and programs may ask of the running node."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from node.domain.command import Action, CommandState, RejectCode
from node.domain.result import Document
from node.domain.track_record import TrackRecord
from node.engine.account import ExecutionTerms
from node.errors import JournalUnavailable, VenueUnavailable
from tests.support.engine import ACCOUNT, OTHER, Engine, engine, request
from tests.support.fake_venue import LINEAR, FakeVenue, order, position
from tests.support.waiting import PATIENCE_S, until

BTC = "BTC/USDT:USDT"


def book() -> FakeVenue:
    """A position and an order."""
    return FakeVenue(positions=[position(BTC, "1.50")], orders=[order(BTC, "entry")])


async def read(node: Engine) -> Document:
    """The first account, once everything of it was read."""
    await node.armed()
    await until(lambda: node.dispatcher.actors[ACCOUNT].healthy)
    return node.desk.accounts()[0]


class TestFollowing:
    async def test_tells_what_was_and_what_comes_and_ends_with_the_ending(self) -> None:
        """In the order of the numbers, each once."""
        async with engine(book()) as node:
            submission = await node.submit(Action.CLOSE_ALL)
            command_id = UUID(submission.document["command_id"])
            async with asyncio.timeout(PATIENCE_S):
                told = [document async for document in node.desk.follow(command_id)]
            again = [document async for document in node.desk.follow(command_id)]
        numbers = [document["seq"] for document in told]
        assert numbers == sorted(set(numbers))
        assert (told[0]["state"], told[-1]["state"]) == ("accepted", "done")
        assert again == told

    async def test_works_without_the_journal(self) -> None:
        """Also for one who comes after the ending: the newest event is kept in memory."""
        async with engine(book()) as node:
            await node.armed()
            node.journal.down = True
            wanted = request(Action.LOCK)
            await node.desk.submit(wanted)
            first = await node.ending(wanted.command_id)
            assert (first["state"], first["unjournaled"]) == ("done", True)
            assert await node.ending(wanted.command_id) == first
            assert await node.desk.result(wanted.command_id) == first

    async def test_of_the_lock_begins_with_the_lock_as_it_is(self) -> None:
        """A reader that connects late knows at once."""
        async with engine(book()) as node:
            follower = node.desk.follow_lock(ACCOUNT)
            assert (await anext(follower))["locked"] is False


class TestResult:
    async def test_is_the_newest_event(self) -> None:
        """The ending, once there is one."""
        async with engine(book()) as node:
            ending = await node.carried_out(Action.CLOSE_ALL)
            assert await node.desk.result(UUID(ending["command_id"])) == ending

    async def test_of_an_unknown_command_is_none(self) -> None:
        """As far as the journal tells; without it nobody knows, and nobody says so."""
        async with engine(book()) as node:
            assert await node.desk.result(uuid4()) is None
            node.journal.down = True
            with pytest.raises(JournalUnavailable):
                await node.desk.result(uuid4())


class TestAccounts:
    async def test_are_found_by_id_and_by_name(self) -> None:
        """And by nothing else."""
        async with engine(book(), book()) as node:
            assert node.desk.account_of(str(OTHER)) == OTHER
            assert node.desk.account_of("account-0") == ACCOUNT
            assert node.desk.account_of("account") is None

    async def test_show_what_was_seen_last(self) -> None:
        """Sizes as decimal strings, with their age."""
        async with engine(book()) as node:
            linear = next(each for each in (await read(node))["slices"] if each["slice"] == LINEAR)
            (shown,) = linear["positions"]
            assert (shown["symbol"], shown["side"], shown["contracts"]) == (BTC, "long", "1.5")
            assert linear["open_orders"] == 1
            assert 0 <= linear["age_s"] < 5

    async def test_are_armed_then_locked(self) -> None:
        """By the lock in force."""
        async with engine(book()) as node:
            assert (await read(node))["state"] == "armed"
            await node.carried_out(Action.LOCK)
            shown = node.desk.accounts()[0]
            assert (shown["state"], shown["lock"]["locked"]) == ("locked", True)

    async def test_are_degraded_while_they_cannot_be_read_even_if_locked(self) -> None:
        """A lock on an account that nobody sees is no comfort; the reason is named."""
        venue = book()
        venue.arm_error = VenueUnavailable("no route")
        async with engine(venue) as node:
            await node.carried_out(Action.LOCK)
            await until(lambda: node.dispatcher.actors[ACCOUNT].arm_error is not None)
            shown = node.desk.accounts()[0]
            assert shown["state"] == "degraded"
            assert shown["unread"] == list(venue.slices)
            assert shown["reasons"] == ["VENUE_UNAVAILABLE: no route"]

    async def test_say_how_long_a_drill_should_wait(self) -> None:
        """For whoever drills again and again: the budgets are the daemon's."""
        venue = book()
        async with engine(venue) as node:
            venue.respite = 2.5
            assert node.desk.accounts()[0]["drill_respite_s"] == 2.5


class TestStatus:
    async def test_is_ready_unless_somebody_says_otherwise(self) -> None:
        """With the reasons."""
        async with engine(book()) as node:
            assert node.desk.status()["ready"] is True
            node.desk.not_ready = lambda: ("journal: no space",)
            status = node.desk.status()
            assert (status["ready"], status["reasons"]) == (False, ["journal: no space"])


class TestUnlock:
    async def test_opens_a_healthy_account(self) -> None:
        """Everything read, nothing live, the right epoch."""
        async with engine(book()) as node:
            await read(node)
            await node.carried_out(Action.LOCK)
            assert (await node.carried_out(Action.UNLOCK, epoch=1))["lock"] == {"locked": False, "epoch": 2}

    @pytest.mark.parametrize(("force", "opened"), [(False, False), (True, True)])
    async def test_of_an_account_that_was_not_read_needs_force(self, force: bool, opened: bool) -> None:
        """Only the operator has that."""
        venue = book()
        venue.unreadable[LINEAR] = VenueUnavailable("gone")
        async with engine(venue) as node:
            await node.carried_out(Action.LOCK)
            answer = await node.submit(Action.UNLOCK, epoch=1, force=force)
            assert (answer.rejection is None) is opened
            assert node.ledger.get(ACCOUNT).locked is not opened
            if answer.rejection:
                assert answer.rejection.code is RejectCode.NOT_READY

    async def test_force_does_not_override_the_epoch(self) -> None:
        """Who forces must know what is forced."""
        async with engine(book()) as node:
            await node.carried_out(Action.LOCK)
            answer = await node.submit(Action.UNLOCK, epoch=0, force=True)
            assert answer.rejection is not None
            assert answer.rejection.code is RejectCode.STALE_EPOCH


class TestEstimate:
    async def test_is_the_deadline_before_anything_is_known(self) -> None:
        """The worst that was promised."""
        async with engine(book(), execution=ExecutionTerms(deadline_s=7.0)) as node:
            assert node.desk.estimated_execution_ms(ACCOUNT, Action.CLOSE_ALL) == 7000

    async def test_is_a_drills_prediction_until_there_is_history(self) -> None:
        """Then what really was measured."""
        async with engine(book()) as node:
            await read(node)
            drill = await node.carried_out(Action.CLOSE_ALL, dry_run=True)
            assert node.desk.estimated_execution_ms(ACCOUNT, Action.CLOSE_ALL) == drill["predicted_ms"]
            assert node.desk.accounts()[0]["last_drill_at"] is not None
            real = await node.carried_out(Action.CLOSE_ALL)
            assert node.desk.estimated_execution_ms(ACCOUNT, Action.CLOSE_ALL) == real["latency_ms"]["proof"]

    async def test_is_remembered_across_a_restart(self) -> None:
        """From the journal: a new process does not promise the deadline."""
        async with engine(book()) as node:
            real = await node.carried_out(Action.CLOSE_ALL)
            again = replace(node.desk, _record=TrackRecord())
            await again.recall()
            assert again.estimated_execution_ms(ACCOUNT, Action.CLOSE_ALL) == real["latency_ms"]["proof"]

    async def test_of_one_action_is_not_made_from_another(self) -> None:
        """A FLATTEN sells as well: what a CLOSE_ALL took says nothing of it."""
        async with engine(book()) as node:
            await read(node)
            before = node.desk.estimated_execution_ms(ACCOUNT, Action.FLATTEN)
            await node.carried_out(Action.CLOSE_ALL)
            assert node.desk.estimated_execution_ms(ACCOUNT, Action.FLATTEN) == before

    async def test_learns_nothing_from_locks(self) -> None:
        """They close nothing."""
        async with engine(book()) as node:
            before = node.desk.estimated_execution_ms(ACCOUNT, Action.CLOSE_ALL)
            await node.carried_out(Action.LOCK)
            assert node.desk.estimated_execution_ms(ACCOUNT, Action.CLOSE_ALL) == before


class TestAbort:
    async def test_of_a_command_for_all_ends_every_child_and_the_parent(self) -> None:
        """Each account stays locked."""
        venues = book(), book()
        for venue in venues:
            venue.answering.clear()
        async with engine(*venues) as node:
            await node.armed()
            parent = await node.submit(Action.CLOSE_ALL, None, latch=False)
            parent_id = parent.document["command_id"]
            await node.until_state(parent_id, CommandState.RUNNING)
            aborted = await node.desk.abort(UUID(parent_id), by="me", reason="enough")
            assert aborted is not None
            ending = await node.ending(parent_id)
            assert {child["state"] for child in ending["children"]} == {"failed"}
            assert (ending["state"], ending["lock"]["locked"]) == ("failed", True)
            for venue in venues:
                venue.answering.set()
            assert all(node.ledger.get(account).latched for account in (ACCOUNT, OTHER))
