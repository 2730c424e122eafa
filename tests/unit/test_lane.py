"""The emergency lane: who waits, for how long, and who never does."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from node.errors import VenueLimited
from node.venues.lane import Budget, Charge, Lane, TokenBucket, background, foreground, is_background
from tests.support.hurried import Hurried

SECOND = 1_000_000_000


class FakeClock:
    """Time that moves only by sleeping, which is counted."""

    def __init__(self) -> None:
        self.now_ns = 5 * SECOND
        self.slept: list[float] = []

    def __call__(self) -> int:
        """Monotonic nanoseconds."""
        return self.now_ns

    async def sleep(self, seconds: float) -> None:
        """At once, and time has moved."""
        self.slept.append(seconds)
        self.now_ns += int(seconds * SECOND)


@pytest.fixture
def clock() -> FakeClock:
    """Time of one test."""
    return FakeClock()


@pytest.fixture
def lane(clock: FakeClock) -> Lane:
    """1000 units a minute, of which background work has 200; 100 orders in ten seconds for each key."""
    budgets = {"host": Budget(units=1000), "orders": Budget(units=100, interval_s=10), "other": Budget(units=1000)}
    return Lane(budgets, clock_ns=clock, sleep=clock.sleep)


def weight(units: int, bucket: str = "host") -> list[Charge]:
    """One request's charge."""
    return [Charge(bucket=bucket, units=units)]


class TestTokenBucket:
    """Pure arithmetic."""

    def test_a_fresh_bucket_is_full_and_refills_at_its_rate(self) -> None:
        """Ten tokens, two a second."""
        bucket = TokenBucket(10, 2, 0)
        bucket.take(10, 0)
        assert bucket.wait_s(1, 0) == pytest.approx(0.5)
        assert bucket.wait_s(1, SECOND // 2) == 0
        assert bucket.tokens(3 * SECOND) == pytest.approx(6)

    def test_idle_time_never_fills_it_beyond_its_capacity(self) -> None:
        """A burst is bounded by the bucket."""
        bucket = TokenBucket(10, 2, 0)
        assert bucket.tokens(1000 * SECOND) == 10

    def test_a_debt_is_at_most_one_bucket(self) -> None:
        """Whatever an emergency took, the wait ends."""
        bucket = TokenBucket(10, 2, 0)
        bucket.take(1000, 0)
        assert bucket.tokens(0) == -10
        assert bucket.wait_s(1, 0) == pytest.approx(5.5)

    def test_more_than_the_capacity_waits_for_a_full_bucket(self) -> None:
        """Rather than for ever."""
        bucket = TokenBucket(10, 2, 0)
        bucket.take(10, 0)
        assert bucket.wait_s(50, 0) == pytest.approx(5)


async def test_an_emergency_never_waits_whatever_was_sent_before(lane: Lane, clock: FakeClock) -> None:
    """A hundred times the whole budget, at once."""
    for _ in range(100):
        await lane.admit(weight(1000))
    assert clock.slept == []


async def test_background_work_lives_on_a_fifth(lane: Lane, clock: FakeClock) -> None:
    """A burst of it is free, then it comes at a fifth of the venue's rate."""
    with background():
        for _ in range(4):
            await lane.admit(weight(50))
        assert clock.slept == []
        await lane.admit(weight(50))
    assert sum(clock.slept) == pytest.approx(15)


async def test_an_emergency_spends_nothing_of_the_backgrounds_fifth_while_there_is_plenty(
    lane: Lane, clock: FakeClock
) -> None:
    """A drill or a warm-up right after a close is not held up by it."""
    for _ in range(5):
        await lane.admit(weight(100))
    with background():
        await lane.admit(weight(50))
    assert clock.slept == []


async def test_background_work_stands_back_once_most_of_the_budget_is_used(lane: Lane, clock: FakeClock) -> None:
    """Two fifths are kept for emergencies."""
    await lane.admit(weight(800))
    with background():
        await lane.admit(weight(1))
    assert sum(clock.slept) == pytest.approx(12)


async def test_background_work_stands_back_when_the_venue_says_that_others_used_it(
    lane: Lane, clock: FakeClock
) -> None:
    """The engine next to us usually shares the address."""
    await lane.admit(weight(1))
    lane.reconcile("host", 700)
    with background():
        await lane.admit(weight(1))
    assert sum(clock.slept) == pytest.approx(60)


async def test_a_little_use_by_others_changes_nothing(lane: Lane, clock: FakeClock) -> None:
    """Only a budget that is running out does."""
    await lane.admit(weight(1))
    lane.reconcile("host", 300)
    lane.reconcile("never charged", 10_000)
    with background():
        await lane.admit(weight(1))
    assert clock.slept == []


async def test_keys_have_budgets_of_their_own(lane: Lane, clock: FakeClock) -> None:
    """One account's orders do not hold up another's."""
    orders = [Charge(bucket="orders", units=20, per_key=True)]
    with background():
        await lane.admit(orders, key="a")
        await lane.admit(orders, key="b")
        assert clock.slept == []
        await lane.admit(orders, key="a")
    assert clock.slept != []


async def test_a_named_time_closes_the_lane_for_emergencies_too(lane: Lane, clock: FakeClock) -> None:
    """They are told how long, and nothing is sent."""
    lane.refused(weight(1), 30.0)
    with pytest.raises(VenueLimited) as raised:
        await lane.admit(weight(1))
    assert raised.value.retry_after_s == pytest.approx(30)
    assert lane.closed_for_s("host") == pytest.approx(30)
    clock.now_ns += 30 * SECOND
    await lane.admit(weight(1))
    assert lane.closed_for_s("host") == 0


async def test_a_closed_lane_leaves_other_hosts_open(lane: Lane) -> None:
    """Venues count by host."""
    lane.refused(weight(1), 30.0)
    await lane.admit(weight(1, "other"))


async def test_a_shorter_time_never_opens_a_closed_lane(lane: Lane) -> None:
    """The longest one counts."""
    lane.refused(weight(1), 30.0)
    lane.refused(weight(1), 1.0)
    assert lane.closed_for_s("host") == pytest.approx(30)


async def test_background_work_waits_until_the_lane_opens(lane: Lane, clock: FakeClock) -> None:
    """If that is soon."""
    lane.refused(weight(1), 30.0)
    with background():
        await lane.admit(weight(1))
    assert sum(clock.slept) == pytest.approx(30)


async def test_background_work_is_told_when_the_wait_is_not_worth_it(lane: Lane, clock: FakeClock) -> None:
    """A ban may last days."""
    lane.refused(weight(1), 86_400.0)
    with background(), pytest.raises(VenueLimited):
        await lane.admit(weight(1))
    assert clock.slept == []


async def test_a_refusal_without_a_time_pauses_background_work_only(lane: Lane, clock: FakeClock) -> None:
    """An emergency tries again."""
    lane.refused(weight(1), None)
    await lane.admit(weight(1))
    with background():
        await lane.admit(weight(1))
    assert sum(clock.slept) == pytest.approx(10)


async def test_the_background_can_be_left_for_a_call(lane: Lane, clock: FakeClock) -> None:
    """What costs nothing and is needed at once."""
    with background():
        await lane.admit(weight(200))
        with foreground():
            await lane.admit(weight(1))
            assert not is_background()
        assert is_background()
    assert clock.slept == []


async def test_tasks_started_in_the_background_stay_there() -> None:
    """The mark travels with the context, and ends with it."""
    with background():
        inside = asyncio.create_task(asyncio.to_thread(is_background))
    assert await inside
    assert not is_background()


async def test_how_often_one_account_may_look_is_its_part_of_the_backgrounds_fifth(lane: Lane) -> None:
    """50 of 1000 units a minute, on a fifth of them: four looks a minute, shared by all who live there."""
    assert lane.interval_s(weight(50)) == pytest.approx(15)
    for _ in range(4):
        lane.join()
    assert lane.interval_s(weight(50)) == pytest.approx(60)
    lane.leave()
    assert lane.interval_s(weight(50)) == pytest.approx(45)


async def test_the_scarcest_budget_decides_how_often(lane: Lane) -> None:
    """Charges of one bucket add up; what is counted per key is not shared."""
    lane.join()
    lane.join()
    orders = Charge(bucket="orders", units=10, per_key=True)
    assert lane.interval_s([*weight(10), *weight(15), orders]) == pytest.approx(15)
    assert lane.interval_s([*weight(10), orders]) == pytest.approx(6)
    assert lane.interval_s([orders]) == pytest.approx(5)


async def test_respite_keeps_what_moves_nothing_to_half_of_the_budget(lane: Lane, clock: FakeClock) -> None:
    """A burst of one half and a refill of the other: never more than a whole budget in the venue's interval."""
    with background():
        await lane.admit(weight(200))
    assert lane.respite_s(weight(100)) == 0
    await lane.admit(weight(400))
    assert lane.respite_s(weight(100)) == pytest.approx((100 + 100) / (500 / 60))
    clock.now_ns += 25 * SECOND
    assert lane.respite_s(weight(100)) == 0


async def test_respite_waits_for_the_next_interval_when_the_venue_says_that_this_one_is_nearly_spent(
    lane: Lane, clock: FakeClock
) -> None:
    """Whoever has spent it: other programs share the address."""
    await lane.admit(weight(1))
    lane.reconcile("host", 849)
    assert lane.respite_s(weight(1)) == 0
    lane.reconcile("host", 850)
    assert lane.respite_s(weight(1)) == pytest.approx(60)
    await lane.admit(weight(1))  # an emergency that moves something waits for nothing


async def test_respite_lasts_as_long_as_an_order_to_stay_away(lane: Lane) -> None:
    """On that host."""
    lane.refused(weight(1), 30.0)
    assert lane.respite_s(weight(1)) == pytest.approx(30)
    assert lane.respite_s(weight(1, "other")) == 0


async def test_the_venues_time_to_stay_away_is_also_when_its_next_interval_begins(lane: Lane, clock: FakeClock) -> None:
    """Not a whole interval later, whatever answers that are still coming say of the one that is over by then."""
    await lane.admit(weight(1))
    lane.reconcile("host", 1000)
    lane.refused(weight(1), 15.0)
    lane.reconcile("host", 999)
    assert lane.respite_s(weight(1)) == pytest.approx(15)
    clock.now_ns += 15 * SECOND
    assert lane.respite_s(weight(1)) == lane.borrow_s(weight(1)) == 0
    lane.reconcile("host", 850)
    assert lane.respite_s(weight(1)) == pytest.approx(60)


async def test_respite_of_a_key_is_its_own(lane: Lane) -> None:
    """Another key's orders are another budget."""
    orders = [Charge(bucket="orders", units=50, per_key=True)]
    await lane.admit(orders, key="a")
    assert lane.respite_s(orders, key="a") == pytest.approx(10)
    assert lane.respite_s(orders, key="b") == 0


class TestBorrowing:
    """Of 1000 units a minute 250 are lent, and come back in a minute."""

    async def test_what_must_not_wait_long_borrows_whatever_was_spent(self, lane: Lane, clock: FakeClock) -> None:
        """Two looks at once, the next when its part has come back."""
        for _ in range(20):
            await lane.admit(weight(100))
        assert lane.respite_s(weight(100)) == pytest.approx(72)
        assert [lane.borrow_s(weight(100)) for _ in range(3)] == [0, 0, pytest.approx(50 / (250 / 60))]
        clock.now_ns += 60 * SECOND
        assert lane.borrow_s(weight(100)) == 0

    async def test_many_accounts_of_an_address_borrow_one_after_another(self, lane: Lane) -> None:
        """All fail at the same moment: what they may send in the minute is what is lent, twice, and evenly spread."""
        for _ in range(20):
            await lane.admit(weight(100))
        waits_s = [lane.borrow_s(weight(50)) for _ in range(20)]
        assert waits_s[:5] == [0] * 5
        apart_s = [later - sooner for sooner, later in itertools.pairwise(waits_s[4:10])]
        assert apart_s == [pytest.approx(12)] * 5  # 50 units at 250 a minute
        assert sum(wait_s < 60 for wait_s in waits_s) <= 10
        assert max(waits_s) <= lane.respite_s(weight(50))

    async def test_nothing_is_borrowed_where_the_respite_is_as_short(self, lane: Lane, clock: FakeClock) -> None:
        """It stays there for a worse moment."""
        for _ in range(6):
            await lane.admit(weight(100))
        clock.now_ns += 13 * SECOND
        for _ in range(20):
            lane.borrow_s(weight(1))
        for _ in range(20):
            await lane.admit(weight(100))
        assert [lane.borrow_s(weight(125)) for _ in range(2)] == [0, 0]

    async def test_the_venues_own_word_lends_nothing(self, lane: Lane) -> None:
        """Its order to stay away, and its count near the limit; on that host."""
        lane.refused(weight(1), 30.0)
        assert lane.borrow_s(weight(1)) == pytest.approx(30)
        assert lane.borrow_s(weight(1, "other")) == 0
        await lane.admit(weight(1, "other"))
        lane.reconcile("other", 850)
        assert lane.borrow_s(weight(1, "other")) == pytest.approx(60)

    async def test_the_scarcest_budget_decides(self, lane: Lane) -> None:
        """A look is charged to several."""
        for _ in range(3):
            await lane.admit([*weight(100, "other"), *weight(1000)])
        assert lane.borrow_s([*weight(100, "other"), *weight(250)]) == 0
        assert lane.borrow_s([*weight(1, "other"), *weight(25)]) == pytest.approx(6)


class TestOrder:
    """Background work comes in order of arrival; of 1000 units a minute it has three and a third a second."""

    def test_a_large_request_is_not_starved_by_small_ones(self) -> None:
        """Small ones come without end, and would take every token before forty are there."""
        hurried = Hurried()
        lane = hurried.lane(host=Budget(units=1000))
        admitted: list[float] = []

        async def poll() -> None:
            while True:
                await lane.admit(weight(5))
                await asyncio.sleep(0.1)

        async def work() -> None:
            with background():
                await lane.admit(weight(200))
                polls = [asyncio.create_task(poll()) for _ in range(3)]
                await asyncio.sleep(20)
                await lane.admit(weight(40))
                admitted.append(hurried.at_s())
                for each in polls:
                    each.cancel()

        hurried.run(work())
        # Three polls of five units are before it.
        assert admitted == [pytest.approx(20 + (15 + 40) / (200 / 60), abs=2)]

    def test_requests_are_sent_in_the_order_in_which_they_came(self) -> None:
        """Large and small, from an empty budget."""
        hurried = Hurried()
        lane = hurried.lane(host=Budget(units=1000))
        order: list[int] = []

        async def ask(units: int) -> None:
            await lane.admit(weight(units))
            order.append(units)

        async def work() -> None:
            with background():
                await lane.admit(weight(200))
                await asyncio.gather(*(ask(units) for units in (1, 50, 2, 40, 3)))

        hurried.run(work())
        assert order == [1, 50, 2, 40, 3]
        assert hurried.at_s() == pytest.approx(96 / (200 / 60))

    def test_a_cancelled_request_leaves_the_queue(self) -> None:
        """Whether it was the first of it or not."""
        hurried = Hurried()
        lane = hurried.lane(host=Budget(units=1000))

        async def work() -> None:
            with background():
                await lane.admit(weight(200))
                first, second, third = (asyncio.create_task(lane.admit(weight(units))) for units in (100, 100, 10))
                await asyncio.sleep(1)
                second.cancel()
                await asyncio.sleep(0)
                first.cancel()
                await third
                assert first.cancelled()
                assert second.cancelled()

        hurried.run(work())
        assert hurried.at_s() == pytest.approx(3)

    def test_an_emergency_passes_the_queue(self) -> None:
        """Whoever waits in it."""
        hurried = Hurried()
        lane = hurried.lane(host=Budget(units=1000))

        async def work() -> None:
            with background():
                await lane.admit(weight(200))
                waiting = asyncio.create_task(lane.admit(weight(100)))
            await asyncio.sleep(1)
            await lane.admit(weight(100))
            assert hurried.at_s() == pytest.approx(1)
            await waiting
            assert hurried.at_s() == pytest.approx(30)

        hurried.run(work())

    def test_requests_of_several_budgets_do_not_block_each_other(self) -> None:
        """In whatever order they name them."""
        hurried = Hurried()
        lane = hurried.lane(a=Budget(units=1000), b=Budget(units=1000))

        async def work() -> None:
            with background():
                both = [*weight(20, "a"), *weight(20, "b")]
                mixed = [both, both[::-1], weight(20, "b"), both[::-1], weight(20, "a"), both]
                await asyncio.gather(*(lane.admit(each) for each in mixed * 5))

        hurried.run(work())
        assert hurried.at_s() == pytest.approx((25 * 20 - 200) / (200 / 60))

    def test_who_must_keep_away_from_one_budget_holds_up_nobody_on_another(self) -> None:
        """One key's orders are refused; other accounts read on, and it keeps its place."""
        hurried = Hurried()
        lane = hurried.lane(host=Budget(units=1000), orders=Budget(units=1000))
        ended: dict[str, float] = {}

        async def ask(name: str, charges: list[Charge]) -> None:
            await lane.admit(charges, key="a")
            ended[name] = hurried.at_s()

        async def work() -> None:
            order = [Charge(bucket="orders", per_key=True)]
            lane.refused(order, 30.0, key="a")
            with background():
                await asyncio.gather(ask("order", weight(1) + order), ask("read", weight(40)))

        hurried.run(work())
        assert ended == {"read": 0, "order": pytest.approx(30)}

    def test_who_must_keep_away_keeps_its_place(self) -> None:
        """Reads that came later take what there is meanwhile, and then stand back."""
        hurried = Hurried()
        lane = hurried.lane(host=Budget(units=1000), orders=Budget(units=1000))
        ended: list[str] = []

        async def ask(name: str, charges: list[Charge]) -> None:
            await lane.admit(charges, key="a")
            ended.append(name)

        async def work() -> None:
            order = [Charge(bucket="orders", per_key=True)]
            lane.refused(order, 30.0, key="a")
            with background():
                await lane.admit(weight(200))
                reads = (ask(f"read-{number}", weight(40)) for number in range(5))
                await asyncio.gather(ask("order", weight(1) + order), *reads)

        hurried.run(work())
        assert ended == ["read-0", "read-1", "order", "read-2", "read-3", "read-4"]

    def test_patience_is_counted_beyond_what_those_before_need(self) -> None:
        """Two minutes of work are done in two minutes; an order to stay away ends the wait of all."""
        hurried = Hurried()
        lane = hurried.lane(host=Budget(units=1000))

        async def work() -> None:
            with background():
                await lane.admit(weight(200))
                await asyncio.gather(*(lane.admit(weight(40)) for _ in range(10)))
                assert hurried.at_s() == pytest.approx(120)
                waiting = [asyncio.create_task(lane.admit(weight(40))) for _ in range(3)]
                await asyncio.sleep(1)
                lane.refused(weight(1), 3600.0)
                ended = await asyncio.gather(*waiting, return_exceptions=True)
                assert [type(each) for each in ended] == [VenueLimited] * 3
                assert hurried.at_s() < 150

        hurried.run(work())
