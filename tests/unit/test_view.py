"""The warm view: what was last seen of an account, and how old that is."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise

import pytest

from node.domain.snapshot import Balance, OpenOrder, Position, SliceSnapshot
from node.engine.view import SOCKETS_MIN, SOCKETS_TO_SPARE, UNREAD_AFTER_NS, WARM_MAX_NS, AccountView
from node.errors import VenueUnavailable
from node.venues.lane import BACKGROUND_SHARE, WHOLE_READS_SHARE, Budget, Charge, Lane, background
from tests.support.fake_venue import LINEAR, SPOT, FakeVenue, order, position
from tests.support.hurried import Hurried

BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"


class HandClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.ns = 1_000_000_000_000

    def now(self) -> datetime:
        return datetime(2026, 11, 20, tzinfo=UTC)

    def monotonic_ns(self) -> int:
        return self.ns

    def boottime_ns(self) -> int:
        return self.ns


@pytest.fixture
def clock() -> HandClock:
    """Standing still."""
    return HandClock()


@pytest.fixture
def view(clock: HandClock) -> AccountView:
    """Of a venue with a spot and a derivatives slice."""
    return AccountView(FakeVenue(), clock, nullcontext, number=0)


def full(clock: HandClock, *members: Position | OpenOrder, age_ns: int = 0, name: str = LINEAR) -> SliceSnapshot:
    """A read of everything, begun *age_ns* ago."""
    return SliceSnapshot(
        slice=name,
        positions=tuple(each for each in members if isinstance(each, Position)),
        orders=tuple(each for each in members if isinstance(each, OpenOrder)),
        balances=(Balance(slice=name, asset="USDT", free=Decimal(len(members))),),
        started_ns=clock.ns - age_ns,
        ended_ns=clock.ns,
        read_at=clock.now(),
        causal=True,
    )


def positions_only(clock: HandClock, *members: Position, age_ns: int = 0) -> SliceSnapshot:
    """A read of positions, begun *age_ns* ago."""
    return SliceSnapshot(
        slice=LINEAR,
        positions=members,
        orders=None,
        balances=None,
        started_ns=clock.ns - age_ns,
        ended_ns=clock.ns,
        read_at=clock.now(),
    )


class TestWarm:
    def test_nothing_was_seen_before_the_first_read(self, view: AccountView) -> None:
        """No view, no age, every slice unread."""
        assert view.warm(LINEAR) is None
        assert view.age_s(LINEAR) is None
        assert view.unread() == [SPOT, LINEAR]

    def test_a_young_read_may_start_a_round(self, view: AccountView, clock: HandClock) -> None:
        """Until its limit, counted from before its first byte was sent."""
        view.note(full(clock, position(BTC, "1"), age_ns=1_000))
        clock.ns += WARM_MAX_NS - 1_000
        assert view.warm(LINEAR) is not None
        clock.ns += 1
        assert view.warm(LINEAR) is None
        assert view.last(LINEAR) is not None
        assert view.age_s(LINEAR) == (WARM_MAX_NS + 1) / 1e9

    @pytest.mark.parametrize(("interval_s", "warm_s"), [(0.05, 5.0), (26.0, 5.0), (100.0, 18.75), (10_000.0, 60.0)])
    def test_where_positions_are_read_more_rarely_an_older_read_may(
        self, clock: HandClock, interval_s: float, warm_s: float
    ) -> None:
        """Accounts that share an address have a view to start from, too."""
        view = AccountView(FakeVenue(look_every_s=interval_s), clock, nullcontext, number=0)
        view.note(full(clock, position(BTC, "1"), age_ns=0))
        clock.ns += int(warm_s * 1e9)
        assert view.warm(LINEAR) is not None
        clock.ns += 1
        assert view.warm(LINEAR) is None

    def test_a_young_view_is_known_to_be_one_without_a_question(self, clock: HandClock) -> None:
        """How often the budget lets positions be read takes longer to find out than a close takes to be planned."""
        venue = Questioned()
        view = AccountView(venue, clock, nullcontext, number=0)
        view.note(full(clock, position(BTC, "1"), age_ns=0))
        assert view.warm(LINEAR) is not None
        assert venue.questions == 0
        clock.ns += WARM_MAX_NS + 1
        view.warm(LINEAR)
        assert venue.questions == 1

    def test_positions_alone_can_be_closed_but_leave_the_slice_unread(
        self, view: AccountView, clock: HandClock
    ) -> None:
        """Nothing is known of the orders: enough to begin with, not enough to unlock."""
        view.note(positions_only(clock, position(BTC, "1")))
        warm = view.warm(LINEAR)
        assert warm is not None
        assert [each.symbol for each in warm.positions] == [BTC]
        assert LINEAR in view.unread()

    def test_a_slice_whose_newest_read_failed_is_unread(self, view: AccountView, clock: HandClock) -> None:
        """However young the read before: what is there now may be anything."""
        view.note(full(clock, position(BTC, "1"), order(BTC, "entry")))
        view.note_failure(LINEAR, VenueUnavailable("gone"))
        assert LINEAR in view.unread()
        view.note(full(clock, position(BTC, "1")))
        assert LINEAR not in view.unread()

    def test_positions_that_can_be_read_say_nothing_of_orders_that_cannot(
        self, view: AccountView, clock: HandClock
    ) -> None:
        """Positions are polled ten times as often: they must not hide that the rest is unread."""
        view.note(full(clock, position(BTC, "1")))
        view.note_failure(LINEAR, VenueUnavailable("orders cannot be read"))
        view.note_failure(LINEAR, VenueUnavailable("nor positions"), positions_only=True)
        view.note(positions_only(clock, position(BTC, "1")))
        assert LINEAR in view.unread()

    def test_positions_that_could_not_be_read_and_can_be_again_are_no_trouble(
        self, view: AccountView, clock: HandClock
    ) -> None:
        """One lost answer must not wait for the next sweep."""
        view.note(full(clock, position(BTC, "1")))
        view.note_failure(LINEAR, VenueUnavailable("gone"), positions_only=True)
        assert LINEAR in view.unread()
        view.note(positions_only(clock, position(BTC, "1")))
        assert LINEAR not in view.unread()


class TestMerging:
    def test_positions_are_renewed_and_the_rest_is_kept(self, view: AccountView, clock: HandClock) -> None:
        """The mixture is no longer causal: it can prove nothing."""
        view.note(full(clock, position(BTC, "1"), order(BTC, "entry")))
        clock.ns += 10
        view.note(positions_only(clock, position(ETH, "2")))
        warm = view.warm(LINEAR)
        assert warm is not None
        assert [each.symbol for each in warm.positions] == [ETH]
        assert [each.order_id for each in warm.orders or ()] == ["entry"]
        assert warm.balances
        assert not warm.causal

    def test_positions_that_were_read_earlier_do_not_replace_later_ones(
        self, view: AccountView, clock: HandClock
    ) -> None:
        """Answers overtake each other."""
        view.note(full(clock, position(BTC, "1")))
        view.note(positions_only(clock, position(BTC, "9"), age_ns=10))
        warm = view.warm(LINEAR)
        assert warm is not None
        assert [each.contracts for each in warm.positions] == [Decimal(1)]

    def test_a_slow_full_read_still_brings_its_orders(self, view: AccountView, clock: HandClock) -> None:
        """Its positions have been overtaken, the rest is the newest there is."""
        view.note(full(clock, position(BTC, "1")))
        clock.ns += 100
        view.note(positions_only(clock, position(BTC, "2")))
        view.note(full(clock, position(BTC, "1"), order(BTC, "new"), age_ns=50))
        warm = view.warm(LINEAR)
        assert warm is not None
        assert [each.contracts for each in warm.positions] == [Decimal(2)]
        assert [each.order_id for each in warm.orders or ()] == ["new"]
        assert not warm.causal

    def test_a_full_read_older_than_the_last_one_changes_nothing(self, view: AccountView, clock: HandClock) -> None:
        """Neither positions nor orders."""
        view.note(full(clock, order(BTC, "newer")))
        view.note(full(clock, order(BTC, "older"), age_ns=10))
        warm = view.warm(LINEAR)
        assert warm is not None
        assert [each.order_id for each in warm.orders or ()] == ["newer"]


class TestUnread:
    def test_a_slice_not_read_for_a_minute_is_unread(self, view: AccountView, clock: HandClock) -> None:
        """Each by itself."""
        view.note(full(clock, name=SPOT))
        clock.ns += 1
        view.note(full(clock))
        clock.ns += UNREAD_AFTER_NS
        assert view.unread() == [SPOT]

    def test_positions_alone_do_not_keep_a_slice_read(self, view: AccountView, clock: HandClock) -> None:
        """Orders that could not be read for a minute may be anything: that is not healthy."""
        view.note(full(clock, name=SPOT))
        view.note(full(clock))
        clock.ns += UNREAD_AFTER_NS + 1
        view.note(full(clock, name=SPOT))
        view.note(positions_only(clock))
        assert view.unread() == [LINEAR]

    def test_a_budget_that_bears_it_less_often_gives_more_time(self, clock: HandClock) -> None:
        """Twice the interval of whole reads: else every account of many would be unread for ever."""
        view = AccountView(FakeVenue(look_every_s=50.0), clock, nullcontext, number=0)
        view.note(full(clock, name=SPOT))
        view.note(full(clock))
        clock.ns += 100_000_000_000
        assert view.unread() == []
        clock.ns += 1
        assert view.unread() == [SPOT, LINEAR]


class TestSweep:
    async def test_reads_every_slice_once(self, clock: HandClock) -> None:
        """Derivatives and spot alike."""
        venue = FakeVenue()
        view = AccountView(venue, clock, nullcontext, number=0)
        await view.sweep()
        assert venue.calls == {f"read_slice:{SPOT}": 1, f"read_slice:{LINEAR}": 1}

    async def test_notes_what_cannot_be_read_and_reads_the_rest(self, clock: HandClock) -> None:
        """Until it can be read again."""
        venue = FakeVenue(unreadable={SPOT: VenueUnavailable("gone")})
        view = AccountView(venue, clock, nullcontext, number=0)
        await view.sweep()
        assert set(view.troubles) == {SPOT}
        assert view.last(LINEAR) is not None
        venue.unreadable.clear()
        await view.sweep()
        assert view.troubles == {}

    def test_wants_a_connection_for_every_request_of_an_emergency(self, view: AccountView, clock: HandClock) -> None:
        """Closes as the venue takes them, every order, and the look beside them."""
        spot, linear = SOCKETS_MIN, 4 + SOCKETS_TO_SPARE
        assert view.sockets_wanted() == {SPOT: spot, LINEAR: linear}
        view.note(full(clock, *(order(BTC, str(number)) for number in range(8))))
        assert view.sockets_wanted() == {SPOT: spot, LINEAR: 8 + linear}


class Questioned(FakeVenue):
    """Counts how often it is asked for its budget."""

    questions = 0

    def look_interval_s(self, slice_name: str) -> float:
        """As the venue has it."""
        self.questions += 1
        return super().look_interval_s(slice_name)


class HurriedClock(HandClock):
    """The time of a hurried loop."""

    def __init__(self, hurried: Hurried) -> None:
        super().__init__()
        self._hurried = hurried

    def monotonic_ns(self) -> int:
        return self._hurried.loop.time_ns()


class CountedVenue(FakeVenue):
    """Reads cost what they cost at Binance's futures, out of a lane; the answer is empty, and takes no time."""

    def __init__(self, lane: Lane, clock: HandClock, at_s: Callable[[], float]) -> None:
        super().__init__()
        self._lane, self._clock, self._at_s = lane, clock, at_s
        lane.join()
        #: When whole reads of the futures ended, and polls of positions.
        self.whole: list[float] = []
        self.positions_read: list[float] = []
        #: What was spent of the futures' budget, and when.
        self.spent: list[tuple[float, int]] = []

    async def _admit(self, slice_name: str, units: int) -> None:
        await self._lane.admit([Charge(bucket=slice_name, units=units)])
        if slice_name == LINEAR:
            self.spent.append((self._at_s(), units))

    def look_interval_s(self, slice_name: str) -> float:
        cost = [Charge(bucket=slice_name, units=90)]
        return self._lane.interval_s(cost) / WHOLE_READS_SHARE

    async def keep_warm(self, sockets: int, by_slice: Mapping[str, int] | None = None) -> None:
        with background():
            wanted = min(sockets, (by_slice or {}).get(LINEAR, sockets))
            await self._admit(LINEAR, wanted)

    async def read_slice(self, slice_name: str) -> SliceSnapshot:
        snapshot = full(self._clock, name=slice_name)
        started_ns = self._clock.monotonic_ns()
        await asyncio.gather(*(self._admit(slice_name, units) for units in (40, 40, 5, 5)))
        if slice_name == LINEAR:
            self.whole.append(self._at_s())
        return replace(snapshot, started_ns=started_ns)

    async def read_positions(self, slice_name: str, *, certain: bool = False) -> SliceSnapshot:
        snapshot = positions_only(self._clock)
        started_ns = self._clock.monotonic_ns()
        await self._admit(slice_name, 5)
        self.positions_read.append(self._at_s())
        return replace(snapshot, started_ns=started_ns)


class TestPoll:
    """Polls of all accounts on one address, ten minutes of them, on 2400 units a minute."""

    def accounts(
        self, hurried: Hurried, number: int, spot_units: int = 2400
    ) -> tuple[list[CountedVenue], list[AccountView]]:
        lane = hurried.lane(**{LINEAR: Budget(units=2400), SPOT: Budget(units=spot_units)})
        clock = HurriedClock(hurried)
        venues = [CountedVenue(lane, clock, hurried.at_s) for _ in range(number)]
        return venues, [AccountView(venue, clock, background, number=place) for place, venue in enumerate(venues)]

    @pytest.mark.parametrize(
        ("number", "apart_s", "positions_apart_s"), [(1, 25, 3), (2, 50, 6), (3, 75, 9), (10, 280, 29)]
    )
    def test_every_account_is_read_whole_again_and_again(
        self, number: int, apart_s: float, positions_apart_s: float
    ) -> None:
        """And its positions in between; none is ever unread."""
        hurried = Hurried()
        venues, views = self.accounts(hurried, number)
        unread: list[list[str]] = []

        async def watch() -> None:
            with background():
                await asyncio.gather(*(view.sweep() for view in views))
            polls = [asyncio.create_task(view.poll()) for view in views]
            for _ in range(600):
                await asyncio.sleep(1)
                unread.extend(view.unread() for view in views)
            for poll in polls:
                poll.cancel()
            await asyncio.gather(*polls, return_exceptions=True)

        hurried.run(watch())
        assert [slices for slices in unread if slices] == []
        for venue in venues:
            assert widest(venue.whole, hurried.at_s()) < apart_s
            # The average: a poll may have to wait for whole reads that came before it.
            assert 600 / len(venue.positions_read) < positions_apart_s

    @pytest.mark.parametrize("number", [1, 3, 10, 20])
    def test_accounts_that_were_armed_together_are_not_read_together_for_ever(self, number: int) -> None:
        """On average they take less than the background's fifth of the budget, and in no minute much more."""
        hurried = Hurried()
        venues, views = self.accounts(hurried, number)

        async def watch() -> None:
            await asyncio.gather(*(view.sweep() for view in views))
            polls = [asyncio.create_task(view.poll()) for view in views]
            await asyncio.sleep(1800)
            for poll in polls:
                poll.cancel()
            await asyncio.gather(*polls, return_exceptions=True)

        hurried.run(watch())
        begun_s = hurried.at_s() - 1500  # what arming has used, or not used, is made up for by then
        minutes: Counter[int] = Counter()
        for at_s, units in (each for venue in venues for each in venue.spent):
            if at_s >= begun_s:
                minutes[int((at_s - begun_s) / 60)] += units
        fifth = 2400 * BACKGROUND_SHARE
        assert max(minutes.values()) <= fifth * 1.3
        assert sum(minutes.values()) <= fifth * len(minutes)

    def test_what_somebody_else_reads_is_not_read_again(self) -> None:
        """The guard looks as often as the budget allows."""
        hurried = Hurried()
        (venue,), (view,) = self.accounts(hurried, 1)

        async def watch() -> None:
            poll = asyncio.create_task(view.poll())
            await asyncio.sleep(1)
            for _ in range(20):
                with background():
                    view.note(await venue.read_slice(LINEAR))
                await asyncio.sleep(venue.look_interval_s(LINEAR))
            poll.cancel()
            await asyncio.gather(poll, return_exceptions=True)

        hurried.run(watch())
        assert len(venue.whole) == 1 + 20

    def test_one_slice_that_waits_does_not_hold_up_another(self) -> None:
        """Each has its own loop: spot's budget is tiny here."""
        hurried = Hurried()
        (venue,), (view,) = self.accounts(hurried, 1, spot_units=90)

        async def watch() -> None:
            poll = asyncio.create_task(view.poll())
            await asyncio.sleep(600)
            poll.cancel()
            await asyncio.gather(poll, return_exceptions=True)

        hurried.run(watch())
        assert widest(venue.whole, hurried.at_s()) < 25


def widest(instants: list[float], ended: float) -> float:
    """The longest time between two of them, the ends included."""
    return max(later - earlier for earlier, later in pairwise([0.0, *instants, ended]))
