"""The warm view: what was last seen of an account, and how old that is."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from node.domain.snapshot import Balance, OpenOrder, Position, SliceSnapshot
from node.engine.view import READS_BESIDE, SOCKETS_MAX, SOCKETS_MIN, UNREAD_AFTER_NS, WARM_MAX_NS, AccountView
from node.errors import VenueUnavailable
from tests.support.fake_venue import LINEAR, SPOT, FakeVenue, order, position

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
    return AccountView(FakeVenue(), clock, nullcontext)


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


class TestSweep:
    async def test_reads_every_slice_once(self, clock: HandClock) -> None:
        """Derivatives and spot alike."""
        venue = FakeVenue()
        view = AccountView(venue, clock, nullcontext)
        await view.sweep()
        assert venue.calls == {f"read_slice:{SPOT}": 1, f"read_slice:{LINEAR}": 1}

    async def test_notes_what_cannot_be_read_and_reads_the_rest(self, clock: HandClock) -> None:
        """Until it can be read again."""
        venue = FakeVenue(unreadable={SPOT: VenueUnavailable("gone")})
        view = AccountView(venue, clock, nullcontext)
        await view.sweep()
        assert set(view.troubles) == {SPOT}
        assert view.last(LINEAR) is not None
        venue.unreadable.clear()
        await view.sweep()
        assert view.troubles == {}

    def test_wants_a_connection_for_every_leg_and_order(self, view: AccountView, clock: HandClock) -> None:
        """Within reason."""
        assert view.sockets_wanted() == SOCKETS_MIN
        view.note(full(clock, *(order(BTC, str(number)) for number in range(8))))
        assert view.sockets_wanted() == 8 + READS_BESIDE
        clock.ns += 1
        view.note(full(clock, *(order(BTC, str(number)) for number in range(500))))
        assert view.sockets_wanted() == SOCKETS_MAX
