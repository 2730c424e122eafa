"""When a slice is looked at, how patiently, and what is known when the look shows only a part or nothing."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from node.domain.snapshot import SliceSnapshot
from node.engine.lookout import Lookout
from node.engine.view import AccountView
from node.errors import VenueDenied, VenueLimited, VenueUnavailable
from node.venues.lane import background, is_background
from tests.support.fake_venue import LINEAR, SPOT, FakeVenue, order, position
from tests.support.hurried import LoopClock, in_no_time

BTC = "BTC/USDT:USDT"
PATIENT_S, HURRIED_S, POSITIONS_S = 4.0, 0.5, 0.25


class SlowVenue(FakeVenue):
    """A whole read in the background waits for its budget; any other takes half a second."""

    def __post_init__(self) -> None:
        super().__post_init__()
        #: Of each whole read, whether it waited for the background's budget.
        self.patient: list[bool] = []
        self.given_up = 0
        #: Of each read of positions alone, the same, and whether the wallet was read beside them.
        self.positions_read: list[tuple[bool, bool]] = []

    async def read_slice(self, slice_name: str) -> SliceSnapshot:
        self.patient.append(is_background())
        try:
            await asyncio.sleep(PATIENT_S if is_background() else HURRIED_S)
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        return await super().read_slice(slice_name)

    async def read_positions(self, slice_name: str, *, certain: bool = False) -> SliceSnapshot:
        self.positions_read.append((is_background(), certain))
        await asyncio.sleep(POSITIONS_S)
        return await super().read_positions(slice_name, certain=certain)


class Watch:
    """A lookout, and what is around it."""

    def __init__(self, name: str = LINEAR, **venue: Any) -> None:
        self.venue = SlowVenue(positions=[position(BTC, "2")], orders=[order(BTC, "entry")], **venue)
        self.view = AccountView(self.venue, LoopClock(), background, number=0)
        self.lookout = Lookout(name, self.venue, self.view, LoopClock())
        self._began_s = asyncio.get_running_loop().time()

    def at_s(self) -> float:
        """Seconds since the watch began."""
        return asyncio.get_running_loop().time() - self._began_s

    def told_in(self, seconds: float) -> None:
        """The venue says something, a little later."""
        asyncio.get_running_loop().call_later(seconds, self.lookout.told)


class TestIntervals:
    @in_no_time
    async def test_without_a_stream_are_what_the_budget_allows(self) -> None:
        """However short."""
        for allowed_s in (0.05, 5.0, 90.0):
            assert Watch(look_every_s=allowed_s).lookout.interval_s() == allowed_s

    @in_no_time
    async def test_beside_a_stream_are_twenty_seconds(self) -> None:
        """It tells of changes, and may be silent for any reason; the budget may want fewer looks still."""
        watch = Watch(look_every_s=5.0, streams=True)
        assert watch.lookout.interval_s() == 20.0
        watch.venue.look_every_s = 90.0
        assert watch.lookout.interval_s() == 90.0
        watch.venue.streams, watch.venue.look_every_s = False, 5.0
        assert watch.lookout.interval_s() == 5.0, "the stream is gone"


class TestAge:
    @in_no_time
    async def test_counts_from_the_beginning_and_then_from_the_last_look_that_succeeded(self) -> None:
        """What was measured is the time between two of them."""
        watch = Watch()
        await asyncio.sleep(3)
        assert (watch.lookout.age_s(), watch.lookout.measured_s) == (3, None)
        await watch.lookout.read()
        assert watch.lookout.age_s() == 0
        assert watch.lookout.measured_s == 3 + PATIENT_S
        await asyncio.sleep(2.0625)
        assert watch.lookout.age_s() == 2.0625
        await watch.lookout.read()
        assert watch.lookout.measured_s == 6.1, "rounded: it is for people"

    @in_no_time
    async def test_of_a_slice_that_cannot_be_read_grows(self) -> None:
        """A look that fails is none."""
        watch = Watch()
        await watch.lookout.read()
        watch.venue.unreadable[LINEAR] = VenueUnavailable("gone")
        with pytest.raises(VenueUnavailable):
            await watch.lookout.read()
        assert watch.lookout.age_s() == PATIENT_S + POSITIONS_S
        assert watch.lookout.measured_s == PATIENT_S

    @in_no_time
    async def test_of_a_slice_whose_positions_alone_can_be_read_grows(self) -> None:
        """It is not seen whole."""
        watch = Watch()
        await watch.lookout.read()
        watch.venue.orders_unreadable = VenueUnavailable("gone")
        await watch.lookout.read()
        assert watch.lookout.age_s() == PATIENT_S + POSITIONS_S
        assert watch.lookout.measured_s == PATIENT_S

    @in_no_time
    async def test_begins_anew_after_a_rest(self) -> None:
        """There was nothing to look for; nor does an old failure count."""
        watch = Watch(look_every_s=60.0)
        await watch.lookout.read()
        assert [watch.lookout.failed(None) for _ in range(3)] == [1.0, 2.0, 4.0]
        await asyncio.sleep(100)
        watch.lookout.rest()
        assert (watch.lookout.age_s(), watch.lookout.measured_s) == (0, None)
        assert not watch.lookout.half_blind
        assert watch.lookout.failed(None) == 1.0
        await asyncio.sleep(1)
        await watch.lookout.read()
        assert watch.lookout.measured_s == 1 + PATIENT_S, "the rest is no part of it"


class TestHints:
    @in_no_time
    async def test_without_one_a_look_waits_for_the_backgrounds_budget(self) -> None:
        """Whoever only looks again takes nothing from an emergency."""
        watch = Watch()
        snapshot = await watch.lookout.read()
        assert (watch.venue.patient, watch.at_s()) == ([True], PATIENT_S)
        assert snapshot.orders == tuple(watch.venue.orders)
        assert not is_background(), "what follows is no background work"

    @in_no_time
    async def test_makes_the_look_that_follows_wait_for_nothing(self) -> None:
        """And wakes whoever watches; the look after that is patient again."""
        watch = Watch()
        watch.lookout.told()
        assert watch.lookout.wake.is_set()
        await watch.lookout.read()
        assert (watch.venue.patient, watch.at_s()) == ([False], HURRIED_S)
        await watch.lookout.read()
        assert watch.venue.patient == [False, True]

    @in_no_time
    async def test_is_nothing_to_hurry_for_where_the_whole_budget_would_not_bear_it(self) -> None:
        """Engines that are woken again and again must not spend what a close needs."""
        watch = Watch(respite=30.0)
        watch.lookout.told()
        await watch.lookout.read()
        assert (watch.venue.patient, watch.venue.given_up) == ([True], 0)

    @in_no_time
    async def test_ends_the_waiting_of_a_look_under_way(self) -> None:
        """Another one is made at once, and the first is given up."""
        watch = Watch()
        watch.told_in(1)
        await watch.lookout.read()
        assert (watch.venue.patient, watch.venue.given_up) == ([True, False], 1)
        assert watch.at_s() == 1 + HURRIED_S

    @in_no_time
    async def test_leaves_a_look_under_way_alone_where_the_whole_budget_would_not_bear_another(self) -> None:
        """It goes on, and is the answer."""
        watch = Watch(respite=30.0)
        watch.told_in(1)
        await watch.lookout.read()
        assert (watch.venue.patient, watch.venue.given_up) == ([True], 0)
        assert watch.at_s() == PATIENT_S

    @in_no_time
    async def test_stays_when_the_look_fails(self) -> None:
        """What was told is still unseen: the next one hurries, too."""
        watch = Watch()
        watch.lookout.told()
        watch.venue.unreadable[LINEAR] = VenueUnavailable("gone")
        with pytest.raises(VenueUnavailable):
            await watch.lookout.read()
        watch.venue.unreadable.clear()
        await watch.lookout.read()
        assert watch.venue.patient == [False, False]

    @in_no_time
    async def test_stays_when_positions_alone_were_seen(self) -> None:
        """It may have been about an order."""
        watch = Watch()
        watch.lookout.told()
        watch.venue.orders_unreadable = VenueUnavailable("gone")
        await watch.lookout.read()
        watch.venue.orders_unreadable = None
        await watch.lookout.read()
        assert watch.venue.patient == [False, False]

    @in_no_time
    async def test_that_comes_during_a_hurried_look_is_not_answered_by_it(self) -> None:
        """The venue may have answered before it happened: the next one hurries, too."""
        watch = Watch()
        watch.lookout.told()
        watch.told_in(HURRIED_S / 2)
        await watch.lookout.read()
        await watch.lookout.read()
        assert watch.venue.patient == [False, False]
        await watch.lookout.read()
        assert watch.venue.patient == [False, False, True]

    @in_no_time
    async def test_that_comes_during_a_look_that_goes_on_is_not_answered_by_it(self) -> None:
        """As soon as the budget bears it there is another, which waits for nothing."""
        watch = Watch(respite=30.0)
        watch.told_in(PATIENT_S / 2)
        await watch.lookout.read()
        watch.venue.respite = 0.0
        await watch.lookout.read()
        assert watch.venue.patient == [True, False]

    @in_no_time
    async def test_that_comes_with_a_failure_does_not_hide_it(self) -> None:
        """The hurried look fails: that is what is said."""
        watch = Watch(name=SPOT)
        watch.venue.unreadable[SPOT] = VenueUnavailable("gone")
        watch.told_in(1)
        with pytest.raises(VenueUnavailable):
            await watch.lookout.read()
        assert watch.venue.patient == [True, False]


class TestLooksThatEnd:
    @pytest.mark.parametrize("told_in_s", [None, 1.0])
    def test_leave_nothing_running(self, told_in_s: float | None) -> None:
        """A watch goes on for months."""

        @in_no_time
        async def look() -> None:
            watch = Watch()
            if told_in_s is not None:
                watch.told_in(told_in_s)
            await watch.lookout.read()
            assert asyncio.all_tasks() == {asyncio.current_task()}

        look()

    @in_no_time
    async def test_because_nobody_wants_them_any_more_leave_nothing_running_either(self) -> None:
        """The request is not made when its turn comes."""
        watch = Watch()
        looking = asyncio.create_task(watch.lookout.read())
        await asyncio.sleep(1)
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking
        assert (looking.cancelled(), watch.venue.given_up) == (True, 1)
        assert asyncio.all_tasks() == {asyncio.current_task()}


class TestPositionsAlone:
    @in_no_time
    async def test_are_seen_where_the_orders_cannot_be_read(self) -> None:
        """At once, and the wallet beside them; what is missing is named and makes the watch half blind."""
        watch, trouble = Watch(), VenueUnavailable("the trigger book is away")
        watch.venue.orders_unreadable = trouble
        snapshot = await watch.lookout.read()
        assert snapshot.positions == tuple(watch.venue.positions)
        assert (snapshot.orders, snapshot.balances) == (None, None)
        assert watch.venue.positions_read == [(False, True)]
        assert watch.view.troubles == {LINEAR: trouble}
        blind = watch.lookout.half_blind
        watch.venue.orders_unreadable = None
        assert (await watch.lookout.read()).orders == tuple(watch.venue.orders)
        assert (blind, watch.lookout.half_blind) == (True, False), "a whole read ends it"

    @in_no_time
    async def test_are_not_asked_for_where_there_are_none(self) -> None:
        """A wallet that cannot be read is not read at all."""
        watch = Watch(name=SPOT)
        watch.venue.unreadable[SPOT] = VenueUnavailable("gone")
        with pytest.raises(VenueUnavailable):
            await watch.lookout.read()
        assert watch.venue.positions_read == []

    @in_no_time
    async def test_are_not_asked_for_with_a_key_that_the_venue_refuses(self) -> None:
        """It would refuse that, too."""
        watch = Watch()
        watch.venue.orders_unreadable = VenueDenied("the key is gone")
        with pytest.raises(VenueDenied):
            await watch.lookout.read()
        assert watch.venue.positions_read == []

    @in_no_time
    async def test_that_cannot_be_read_either_are_the_failure(self) -> None:
        """It has not been seen at all, and that is one failure and not two."""
        watch = Watch(look_every_s=60.0)
        watch.venue.unreadable[LINEAR] = VenueLimited("wait", retry_after_s=7.0)
        with pytest.raises(VenueLimited) as raised:
            await watch.lookout.read()
        assert raised.value.retry_after_s == 7.0
        assert watch.view.troubles == {}, "whoever watches notes it"
        assert watch.lookout.failed(None) == 1.0


class TestFailures:
    @in_no_time
    async def test_in_a_row_are_ever_further_apart_up_to_the_usual_interval(self) -> None:
        """Until a look succeeds."""
        watch = Watch(look_every_s=10.0)
        blind = [watch.lookout.half_blind]
        assert [watch.lookout.failed(None) for _ in range(6)] == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
        blind.append(watch.lookout.half_blind)
        await watch.lookout.read()
        assert [*blind, watch.lookout.half_blind] == [False, True, False]
        assert watch.lookout.failed(None) == 1.0

    @in_no_time
    async def test_are_never_further_apart_than_usual_looks(self) -> None:
        """Nor is a slice that is looked at all the time."""
        assert Watch(look_every_s=0.25).lookout.failed(None) == 0.25

    @in_no_time
    async def test_end_somewhere_however_rare_the_looks_are(self) -> None:
        """A number that doubles for months is no waiting time."""
        watch = Watch(look_every_s=1e6)
        assert max(watch.lookout.failed(None) for _ in range(100)) == 512.0

    @in_no_time
    async def test_wait_as_long_as_the_venue_says(self) -> None:
        """Also longer than usual; never shorter."""
        lookout = Watch(look_every_s=10.0).lookout
        assert lookout.failed(45.0) == 45.0
        assert lookout.failed(0.1) == 2.0

    @in_no_time
    async def test_count_where_positions_alone_could_be_read(self) -> None:
        """The next one that sees nothing has failed for the second time."""
        watch = Watch(look_every_s=10.0)
        watch.venue.orders_unreadable = VenueUnavailable("gone")
        await watch.lookout.read()
        assert watch.lookout.failed(None) == 2.0
