"""Commands that come twice, late, together, or before anything is ready; and clocks that disagree."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import uuid4

import pytest

from node.domain.command import Action, CommandState, Door, RejectCode
from node.domain.guard_mode import GuardMode, GuardModes
from node.engine.authority import Issuer
from node.sim.scenarios import AccountSeed
from tests.failure.books import COINS, HEDGE, ONE_WAY
from tests.failure.failures import failure
from tests.failure.stage import Stage, stage
from tests.failure.venues import LINEAR, VenueUnderTest
from tests.support.engine import ACCOUNT, request

DESK = Issuer(id="desk", actions=frozenset(Action), accounts=None)
SLOW = {"delay_ms": 150}


def placed(the: Stage) -> int:
    """Orders that the venue took from the node."""
    return the.account.counters.orders_placed


@failure("duplicate_command")
@pytest.mark.parametrize("action", [Action.CLOSE_ALL, Action.FLATTEN])
async def test_the_same_command_again_does_nothing_again(venue: VenueUnderTest, action: Action) -> None:
    """Three times while it is live, and once when it has ended: one effect, the stored answer."""
    async with stage(venue, COINS) as the:
        the.misbehave(SLOW, "place", times=2)
        first = request(action, ACCOUNT, command_id=uuid4())
        answers = await asyncio.gather(*(the.node.desk.submit(first) for _ in range(3)))
        assert sorted(answer.duplicate for answer in answers) == [False, True, True]
        ending = await the.ending(first.command_id)
        took = placed(the)
        again = await the.node.desk.submit(first)
        assert (again.duplicate, again.document) == (True, ending)
        await the.quiet()
        assert placed(the) == took


@failure("duplicate_command")
async def test_the_same_id_with_another_content_is_refused(venue: VenueUnderTest) -> None:
    """And the first goes on as if nothing had been."""
    async with stage(venue) as the:
        the.misbehave(SLOW, "place", times=2)
        first = request(Action.CLOSE_ALL, ACCOUNT, command_id=uuid4(), symbols=(the.symbol(LINEAR.market),))
        await the.node.desk.submit(first)
        other = await the.node.desk.submit(request(Action.CLOSE_ALL, ACCOUNT, command_id=first.command_id))
        assert other.rejection is not None
        assert other.rejection.code is RejectCode.CONFLICT
        assert the.flat(await the.ending(first.command_id))
        assert the.held("linear:ETH/USDT") > 0


@failure("late_command")
async def test_a_command_after_its_expiry_touches_nothing(venue: VenueUnderTest) -> None:
    """A close from yesterday would close today's positions."""
    async with stage(venue, issuers=(DESK,)) as the:
        issued = datetime.now(UTC) - timedelta(minutes=5)
        late = request(
            Action.CLOSE_ALL,
            ACCOUNT,
            issuer="desk",
            door=Door.MQTT,
            issued_at=issued,
            expires_at=issued + timedelta(seconds=60),
        )
        submission = await the.node.desk.submit(late)
        assert submission.rejection is not None
        assert submission.rejection.code is RejectCode.EXPIRED
        await the.quiet()
        assert (the.count("place"), the.count("cancel")) == (0, 0)


@failure("late_command", "clock_drift")
async def test_expiry_is_judged_by_the_venues_time_when_our_clock_is_wrong(venue: VenueUnderTest) -> None:
    """Our clock is five minutes fast; the sender's and the venue's agree."""
    offset = timedelta(minutes=-5)
    faults: dict[str, object] = {"clock_offset_ms": int(offset.total_seconds() * 1000)}
    async with stage(venue, issuers=(DESK,), venue_offset=offset, faults=faults) as the:
        issued = datetime.now(UTC) + offset
        times = {"issued_at": issued, "expires_at": issued + timedelta(seconds=30)}
        command = request(Action.CLOSE_ALL, ACCOUNT, issuer="desk", door=Door.MQTT, **times)
        assert (await the.node.desk.submit(command)).rejection is None
        assert the.flat(await the.ending(command.command_id))
        assert the.empty()


@failure("clock_drift")
@pytest.mark.parametrize("offset_ms", [90_000, -90_000])
async def test_a_clock_that_was_wrong_from_the_start(venue: VenueUnderTest, book: AccountSeed, offset_ms: int) -> None:
    """Measured when the account is armed; no order is refused for it."""
    async with stage(venue, book, faults={"clock_offset_ms": offset_ms}) as the:
        document = await the.closes_flat()
        assert document["orders"]["rejected"] == 0


@failure("clock_drift")
@pytest.mark.parametrize("offset_ms", [90_000, -90_000])
@pytest.mark.parametrize("intent", ["place", "cancel", "positions", "triggers"])
async def test_a_clock_that_jumps_in_the_middle(venue: VenueUnderTest, offset_ms: int, intent: str) -> None:
    """The venue's, by ninety seconds, just before it looks at a request: measured again, and carried on."""
    async with stage(venue) as the:
        the.just_before(intent, partial(the.set, clock_offset_ms=offset_ms))
        await the.closes_flat()


@failure("clock_drift")
async def test_a_clock_that_jumps_back_and_forth(venue: VenueUnderTest) -> None:
    """Every order finds another time."""
    async with stage(venue) as the:
        for number in range(6):
            the.just_before("place", partial(the.set, clock_offset_ms=(-1) ** number * 60_000), after=number)
        await the.closes_flat()


@failure("cold_start")
async def test_the_first_command_comes_before_anything_is_armed(venue: VenueUnderTest, book: AccountSeed) -> None:
    """No markets, no view, no sockets."""
    async with stage(venue, book, armed=False) as the:
        await the.closes_flat()


@failure("cold_start")
@pytest.mark.parametrize("deed", [{"status_after_execution": 503}, "hang", "empty_200", {"reshape": {"body": {}}}])
async def test_markets_that_cannot_be_loaded_at_first(venue: VenueUnderTest, book: AccountSeed, deed: object) -> None:
    """What is open is closed meanwhile or afterwards; nothing is claimed too early."""
    async with stage(venue, book, armed=False) as the:
        the.misbehave(deed, "markets", times=4)
        await the.closes_flat()


@failure("cold_start", "unread_slice")
async def test_positions_are_closed_although_markets_never_load(venue: VenueUnderTest, book: AccountSeed) -> None:
    """At most venues they carry all that closing needs; whether the rest is proven is another matter."""
    async with stage(venue, book, armed=False, deadline_s=2.0) as the:
        the.misbehave({"status_after_execution": 503}, "markets", times=None)
        command = await the.command_close()
        if venue.closes_without_markets:
            await the.until(lambda: not any(the.account.open_positions()), within_s=5.0)
        else:  # what is to be closed is known, and named; no order can be written without the venue's number for it
            await the.incomplete(command, lambda told: told["verdict"] in ("unknown", "not_flat"))
            assert the.count("place") == 0
        the.set(clear=True)
        assert the.flat(await the.ending(command))
        assert the.empty()


@failure("cold_start", "clock_drift")
async def test_a_venue_whose_time_cannot_be_had_at_the_start(venue: VenueUnderTest) -> None:
    """The clock is wrong as well."""
    async with stage(venue, armed=False, faults={"clock_offset_ms": 60_000}) as the:
        the.misbehave({"status_after_execution": 502}, "time", times=6)
        await the.closes_flat()


@failure("two_commands")
async def test_two_commands_at_once_close_once(venue: VenueUnderTest, book: AccountSeed) -> None:
    """Both end flat; no position is closed by both."""
    async with stage(venue, book) as the:
        legs = the.closes
        commands = await asyncio.gather(the.command_close(), the.command_close())
        for command in commands:
            assert the.flat(await the.ending(command))
        assert (the.empty(), placed(the)) == (True, legs)


@failure("two_commands", "partial_fill")
async def test_two_commands_at_once_on_a_venue_that_stumbles(venue: VenueUnderTest, book: AccountSeed) -> None:
    """Ambiguous answers, partial fills and slow orders, and the second command in the middle of it."""
    async with stage(venue, book) as the:
        the.misbehave("lose_after_execution", "place", times=2)
        the.misbehave({"partial_fill": {"fraction": "0.5"}}, "place", times=2)
        the.misbehave(SLOW, "place", times=2)
        first = await the.command_close()
        await the.until(lambda: the.count("place") >= 2)
        second = await the.command_close()
        for command in (first, second):
            assert the.flat(await the.ending(command))
        assert the.empty()


@failure("two_commands")
async def test_two_commands_for_different_symbols(venue: VenueUnderTest, book: AccountSeed) -> None:
    """Each ends when its own part is proven, and neither touches the rest (that is the guard's, under the lock)."""
    async with stage(venue, book, guard=GuardModes(after_lock=GuardMode.OFF)) as the:
        bitcoin, ether = the.symbol("linear:BTC/USDT"), the.symbol("linear:ETH/USDT")
        commands = [await the.command_close(symbols=(symbol,)) for symbol in (bitcoin, ether)]
        for command in commands:
            assert the.flat(await the.ending(command))
        assert [the.held("linear:BTC/USDT"), the.held("linear:ETH/USDT")] == [0, 0]
        assert the.held("linear:SOL/USDT") > 0
        assert the.rests("linear:SOL/USDT")


@failure("lock_during_close")
async def test_a_lock_during_a_close_is_in_force_at_once_and_stays(venue: VenueUnderTest, book: AccountSeed) -> None:
    """It does not wait for slow orders; the close goes on, and its hold does not lift the latch."""
    async with stage(venue, book) as the:
        the.misbehave(SLOW, "place", times=4)
        close = await the.command_close(latch=False)
        await the.until(lambda: the.count("place") >= 1)
        held = list(the.account.open_positions())
        lock = await the.ending(await the.command(Action.LOCK))
        assert held
        assert any(the.account.open_positions()), "the lock was answered before the close could end"
        assert lock["verdict"] == "locked"
        document = await the.ending(close)
        assert (the.flat(document), document["lock"]["locked"]) == (True, True)
        assert the.empty()


@failure("close_during_flatten")
@pytest.mark.parametrize("phase", ["closing", "selling"])
async def test_a_close_during_a_flatten_ends_by_itself(venue: VenueUnderTest, phase: str) -> None:
    """And the flatten sells what it was asked to, once."""
    async with stage(venue, COINS) as the:
        product = "linear" if phase == "closing" else "spot"
        the.misbehave(SLOW, "place", product=product, times=2)
        flatten = await the.command(Action.FLATTEN)
        await the.until(lambda: the.count("place", product=product) >= 1)
        close = await the.command_close()
        assert the.flat(await the.ending(close))
        assert the.flat(await the.ending(flatten))
        assert the.empty()
        assert [the.balance(coin) for coin in ("BTC", "ETH", "SOL")] == [0, 0, 0]


@failure("close_during_flatten", "two_commands")
async def test_a_flatten_during_a_close_widens_it(venue: VenueUnderTest) -> None:
    """The close's own orders are not repeated."""
    async with stage(venue, COINS) as the:
        the.misbehave(SLOW, "place", times=1)
        close = await the.command_close()
        await the.until(lambda: the.count("place") >= 1)
        flatten = await the.command(Action.FLATTEN)
        assert the.flat(await the.ending(close))
        assert the.flat(await the.ending(flatten))
        assert the.count("place", product="linear") == 1
        assert [the.balance(coin) for coin in ("BTC", "ETH", "SOL")] == [0, 0, 0]


@failure("all_during_one")
@pytest.mark.parametrize("stuck", [False, True], ids=["slow", "stuck"])
async def test_a_close_of_everything_during_one_of_a_single_symbol(
    venue: VenueUnderTest, book: AccountSeed, stuck: bool
) -> None:
    """It does not wait behind it: everything else is closed, even if the one symbol is refused."""
    async with stage(venue, book, deadline_s=0.8) as the:
        deed = {"refuse": {"reason": "insufficient_margin"}} if stuck else {"delay_ms": 200}
        the.misbehave(deed, "place", market=LINEAR.market, times=None if stuck else 1)
        one = await the.command_close(symbols=(the.symbol(LINEAR.market),))
        await the.until(lambda: the.count("place", market=LINEAR.market) >= 1)
        everything = await the.command_close()
        await the.until(lambda: {each.market for each in the.account.open_positions()} <= {the.market(LINEAR.market)})
        if stuck:
            await the.incomplete(everything)
            the.set(clear=True)
        for command in (one, everything):
            assert the.flat(await the.ending(command))
        assert the.empty()


@failure("close_during_drill")
async def test_a_close_during_a_drill_ends_the_drill(venue: VenueUnderTest, book: AccountSeed) -> None:
    """A drill never holds up the real thing, and never places or cancels."""
    async with stage(venue, book, request_timeout_s=1.0) as the:
        the.misbehave({"delay_ms": 300}, "triggers", times=2)
        before = the.count("triggers")
        drill = await the.command_close(dry_run=True)
        await the.until(lambda: the.count("triggers") >= before + len(venue.contracts))
        assert placed(the) == 0
        document = await the.closes_flat()
        ending = await the.ending(drill)
        assert (ending["state"], ending["verdict"]) == ("failed", "drill_failed")
        assert ending["errors"][0]["code"] == "PREEMPTED"
        assert document["dry_run"] is False


@failure("close_during_drill")
@pytest.mark.parametrize("action", [Action.CLOSE_ALL, Action.FLATTEN])
async def test_a_drill_touches_nothing(venue: VenueUnderTest, action: Action) -> None:
    """Whatever it finds."""
    async with stage(venue, HEDGE) as the:
        before = the.sim.state()["accounts"][HEDGE.name]
        document = await the.ending(await the.command(action, dry_run=True))
        after = the.sim.state()["accounts"][HEDGE.name]
        assert document["verdict"] == "drill_passed", document["errors"]
        assert the.count("place") == 0
        assert after["counters"]["orders_placed"] == after["counters"]["orders_cancelled"] == 0
        assert (after["positions"], after["orders"]) == (before["positions"], before["orders"])


@failure("close_during_drill", "two_commands")
async def test_a_drill_and_a_close_at_once(venue: VenueUnderTest) -> None:
    """Both end, whichever was accepted first."""
    async with stage(venue, ONE_WAY) as the:
        drill, close = await asyncio.gather(the.command_close(dry_run=True), the.command_close())
        assert (await the.ending(drill))["errors"][0]["code"] == "PREEMPTED"
        assert the.flat(await the.ending(close))


@failure("close_during_drill")
async def test_a_drill_foretells_what_the_command_does(venue: VenueUnderTest) -> None:
    """Orders, sales, and what is left."""
    async with stage(venue, COINS) as the:
        drill = await the.ending(await the.command(Action.FLATTEN, dry_run=True))
        real = await the.ending(await the.command(Action.FLATTEN))
        planned = drill["planned"]
        assert planned["closes"] + planned["sales"] == real["orders"]["placed"]
        assert planned["cancels"] >= real["orders"]["cancelled"]  # some go with their positions
        assert (drill["left_over"], drill["net_exposure"]) == ([], real["net_exposure"])


@failure("close_during_drill", "two_commands")
async def test_a_drill_while_a_close_is_live_gives_way(venue: VenueUnderTest) -> None:
    """It fails, and the close does not notice it."""
    async with stage(venue, ONE_WAY) as the:
        the.misbehave(SLOW, "place", times=2)
        close = await the.command_close()
        drill = await the.ending(await the.command_close(dry_run=True))
        assert drill["errors"][0]["code"] == "PREEMPTED"
        assert the.flat(await the.ending(close))


@failure("duplicate_command", "lost_answer")
async def test_an_abort_leaves_nothing_in_flight_unknown(venue: VenueUnderTest) -> None:
    """A person gives a stuck command up; the next one begins from what the venue shows."""
    async with stage(venue) as the:
        the.refuse("insufficient_margin", market=LINEAR.market, times=None)
        command = await the.command_close()
        await the.until(lambda: the.count("place", market=LINEAR.market) >= 2)
        ending = await the.abort(command)
        assert (ending["state"], ending["lock"]["locked"]) == (CommandState.FAILED.value, True)
        the.set(clear=True)
        await the.closes_flat()
