"""Which account is drilled next, and when none is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from node.domain.command import THE_NODE, Action, CommandState, Door, RejectCode
from node.engine.drill_schedule import HANGS_AFTER_S, DrillSchedule
from tests.support.engine import ACCOUNT, OTHER, Engine, engine, request
from tests.support.fake_venue import FakeVenue, position
from tests.support.waiting import until

BTC = "BTC/USDT:USDT"


class SetClock:
    """A wall clock that is set by hand."""

    def __init__(self) -> None:
        self.at = datetime(2026, 11, 25, tzinfo=UTC)
        self.ns = 0

    def now(self) -> datetime:
        """As set."""
        return self.at

    def monotonic_ns(self) -> int:
        """As set."""
        return self.ns

    def boottime_ns(self) -> int:
        """Not asked for."""
        raise NotImplementedError


async def schedule(node: Engine, clock: SetClock, drilled: dict[object, datetime]) -> DrillSchedule:
    """Daily drills of all accounts that are ready."""
    await node.armed()
    await until(lambda: all(actor.healthy for actor in node.dispatcher.actors.values()))
    return DrillSchedule(
        every=timedelta(days=1),
        action=Action.CLOSE_ALL,
        actors=node.dispatcher.actors,
        inbox=node.inbox,
        clock=clock,
        drilled_at=drilled,  # type: ignore[arg-type]
    )


async def drilled_out(node: Engine) -> None:
    """No drill is under way any more."""
    await until(lambda: not any(actor.drilling for actor in node.dispatcher.actors.values()))


async def test_who_was_never_drilled_is_due_and_then_not_for_a_while() -> None:
    """Also if that drill fails: it is not repeated at once."""
    clock = SetClock()
    async with engine(FakeVenue()) as node:
        plan = await schedule(node, clock, {})
        assert plan.due() == ACCOUNT
        await plan.order(ACCOUNT)
        assert plan.due() is None
        await drilled_out(node)
        clock.at += timedelta(minutes=14)
        assert plan.due() is None
        clock.at += timedelta(minutes=2)
        assert plan.due() == ACCOUNT


async def test_a_drill_of_an_earlier_run_counts() -> None:
    """The period goes on across restarts; who has waited longest is first."""
    clock = SetClock()
    drilled: dict[object, datetime] = {
        ACCOUNT: clock.at - timedelta(hours=30),
        OTHER: clock.at - timedelta(hours=40),
    }
    async with engine(FakeVenue(), FakeVenue()) as node:
        plan = await schedule(node, clock, drilled)
        assert plan.due() == OTHER
        drilled[OTHER] = clock.at
        assert plan.due() == ACCOUNT
        drilled[ACCOUNT] = clock.at
        assert plan.due() is None


async def test_nobody_is_drilled_beside_a_real_command_or_without_a_journal() -> None:
    """A drill would only be preempted, or be forgotten."""
    venue = FakeVenue(positions=[position(BTC, "1")])
    async with engine(venue) as node:
        plan = await schedule(node, SetClock(), {})
        venue.answering.clear()
        closing = await node.submit(Action.CLOSE_ALL)
        assert plan.due() is None
        venue.answering.set()
        await node.ending(closing.document["command_id"])
        assert plan.due() == ACCOUNT
        node.journal.down = True
        assert plan.due() is None


async def test_the_next_account_waits_for_the_end_of_a_drill() -> None:
    """Never two at once; also not beside a drill that somebody else ordered."""
    first, second = FakeVenue(), FakeVenue()
    async with engine(first, second) as node:
        plan = await schedule(node, SetClock(), {})
        first.probing.clear()
        await plan.order(ACCOUNT)
        await first.probed.wait()
        assert plan.due() is None
        first.probing.set()
        await drilled_out(node)
        assert plan.due() == OTHER
        second.probing.clear()
        await node.submit(Action.CLOSE_ALL, OTHER, dry_run=True)
        await second.probed.wait()
        assert plan.due() is None


async def test_a_drill_that_hangs_does_not_stop_the_others_for_ever() -> None:
    """Its own account waits all the same."""
    first = FakeVenue()
    clock = SetClock()
    async with engine(first, FakeVenue()) as node:
        plan = await schedule(node, clock, {})
        first.probing.clear()
        await plan.order(ACCOUNT)
        await first.probed.wait()
        clock.at += timedelta(hours=1)
        assert plan.due() is None
        deadline_s = node.dispatcher.actors[ACCOUNT].context.terms.execution.deadline_s
        clock.ns += int((deadline_s + HANGS_AFTER_S) * 1e9)
        assert plan.due() == OTHER


async def test_a_clock_that_was_set_back_puts_off_no_drill_for_longer_than_its_period() -> None:
    """A drill that will pass in a year has not passed."""
    clock = SetClock()
    async with engine(FakeVenue()) as node:
        plan = await schedule(node, clock, {ACCOUNT: clock.at + timedelta(days=365)})
        clock.at += timedelta(hours=23)
        assert plan.due() is None
        plan = await schedule(node, clock, {ACCOUNT: clock.at})
        clock.at += timedelta(days=1)
        assert plan.due() == ACCOUNT


async def test_what_is_ordered_is_a_drill_on_record() -> None:
    """Nothing is placed; the account knows when it was drilled."""
    venue = FakeVenue(positions=[position(BTC, "1")])
    async with engine(venue) as node:
        plan = await schedule(node, SetClock(), {})
        await plan.order(ACCOUNT)
        await until(lambda: ACCOUNT in node.desk.drilled_at)
        (document,) = (await node.journal.last_drills()).values()
    assert (document["issuer"], document["dry_run"], document["verdict"]) == (THE_NODE, True, "drill_passed")
    assert venue.steps == []


@pytest.mark.parametrize("action", [Action.CLOSE_ALL, Action.FLATTEN, Action.LOCK, Action.UNLOCK])
async def test_the_schedule_may_rehearse_and_nothing_else(action: Action) -> None:
    """Its name opens no other door."""
    async with engine(FakeVenue(positions=[position(BTC, "1")])) as node:
        await node.armed()
        wanted = request(action, issuer=THE_NODE, door=Door.DIRECT, epoch=0 if action is Action.UNLOCK else None)
        submission = await node.desk.submit(wanted)
        assert submission.rejection is not None
        assert submission.rejection.code is RejectCode.FORBIDDEN
        assert submission.document["state"] == CommandState.REJECTED
        assert not node.ledger.get(ACCOUNT).locked
