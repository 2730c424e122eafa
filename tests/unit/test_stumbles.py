"""A close that stumbles on a busy address: how long it is silent, and what its tries cost.

On Binance's budgets, in virtual time; every look is charged as it is there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final
from unittest.mock import patch

import pytest

from node.domain.command import Action
from node.domain.guard_mode import GuardMode, GuardModes
from node.domain.snapshot import SliceSnapshot
from node.engine.account import ExecutionTerms
from node.errors import VenueUnavailable
from node.venues.lane import LENT_SHARE, Charge, Lane
from node.venues.profiles.binance.calls import BUDGETS
from tests.support.engine import Engine, engine
from tests.support.fake_venue import LINEAR, FakeVenue, position
from tests.support.virtual_time import VirtualClock, in_virtual_time

BTC: Final = "BTC/USDT:USDT"
#: What one whole look weighs, by its slice: orders, triggers, positions, balances.
LOOK: Final = {"linear": (Charge(bucket="fapi", units=90),), "spot": (Charge(bucket="spot", units=100),)}
#: Half of what the venue allows in a minute: the rest is for what moves something.
HALF_IN_LOOKS: Final = BUDGETS["fapi"].units / 2 / 90
UNGUARDED: Final = ExecutionTerms(
    deadline_s=10.0, settle_s=0.05, guard=GuardModes(after_lock=GuardMode.OFF, after_close=GuardMode.OFF)
)


class OnABudget(FakeVenue):
    """A venue whose looks are charged to a lane, and which is out of order when it is said to be."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(positions=[position(BTC, "1.2")], look_every_s=600.0, streams=True)
        self.clock = clock
        self.lane = Lane(BUDGETS, clock_ns=clock.monotonic_ns)
        #: Whether what is being read of a slice comes to nothing.
        self.out_of_order: Callable[[str], bool] = lambda _name: False
        #: When something of the derivatives was asked for while it was out of order.
        self.asked_s: list[float] = []

    def respite_s(self, slice_name: str) -> float:
        """By the lane."""
        return self.lane.respite_s(LOOK[slice_name])

    def borrow_s(self, slice_name: str) -> float:
        """By the lane."""
        return self.lane.borrow_s(LOOK[slice_name])

    async def _read(self, what: str, name: str) -> SliceSnapshot:
        await self.lane.admit((Charge(bucket="fapi", units=5),) if what == "positions" else LOOK[name])
        if self.out_of_order(name):
            if name == LINEAR and what != "positions":
                self.asked_s.append(self.clock.monotonic_ns() / 1e9)
            raise VenueUnavailable("503")
        return await super()._read(what, name)


async def after_a_busy_minute(node: Engine[OnABudget]) -> None:
    """Closes that each go well, until our own count is as far in debt as it can be."""
    await node.armed()
    while node.venue.respite_s(LINEAR) < 60:
        node.venue.positions = [position(BTC, "1.2")]
        assert (await node.carried_out(Action.CLOSE_ALL))["verdict"] == "flat"
        await asyncio.sleep(0.5)
    node.venue.positions = [position(BTC, "1.2")]


def silent_for_s(hinder: Callable[[OnABudget], Callable[[str], bool]]) -> tuple[float, OnABudget]:
    """How long a close takes on a spent budget at a venue that is hindered, and that venue."""

    async def close(clock: VirtualClock) -> tuple[float, OnABudget]:
        venue = OnABudget(clock)
        with patch("tests.support.fake_venue.monotonic_ns", clock.monotonic_ns):
            async with engine(venue, execution=UNGUARDED) as node:
                await after_a_busy_minute(node)
                venue.out_of_order, began_ns = hinder(venue), clock.monotonic_ns()
                sent = await node.submit(Action.CLOSE_ALL)
                document = await node.ending(sent.document["command_id"], within_s=10_000)
                assert (document["verdict"], venue.positions) == ("flat", [])
                return (clock.monotonic_ns() - began_ns) / 1e9, venue

    return in_virtual_time(close)


def for_seconds(seconds: float) -> Callable[[OnABudget], Callable[[str], bool]]:
    """Out of order from now on for so long."""

    def hinder(venue: OnABudget) -> Callable[[str], bool]:
        until_ns = venue.clock.monotonic_ns() + int(seconds * 1e9)
        return lambda _name: venue.clock.monotonic_ns() < until_ns

    return hinder


def once_each(venue: OnABudget) -> Callable[[str], bool]:
    """The first read of each slice comes to nothing."""
    left = set(venue.slices)

    def fails(name: str) -> bool:
        well = name not in left
        left.discard(name)
        return not well

    return fails


def test_a_close_whose_first_looks_fail_does_not_pay_with_a_minute_for_what_was_spent_before() -> None:
    """The venue is well a moment later, and has refused nothing: so is the close."""
    took_s, venue = silent_for_s(once_each)
    assert len(venue.asked_s) == 1
    assert took_s < 1


@pytest.mark.parametrize("outage_s", [2.0, 8.0, 20.0, 60.0])
def test_after_an_outage_a_close_goes_on_within_seconds(outage_s: float) -> None:
    """Ninety units come back to what is lent in nine seconds, however deep in debt the rest is."""
    took_s, _ = silent_for_s(for_seconds(outage_s))
    assert outage_s <= took_s < outage_s + 9.5


def test_what_goes_on_failing_leaves_a_part_of_the_budget_to_what_moves_something() -> None:
    """Ten minutes of outage: what is lent and half of the budget at most, in every minute."""
    _, venue = silent_for_s(for_seconds(600.0))
    began_s = venue.asked_s[0]
    minutes = [sum(began_s + 60 * n <= at_s < began_s + 60 * (n + 1) for at_s in venue.asked_s) for n in range(10)]
    assert all(3 < looks < HALF_IN_LOOKS * (1 + 2 * LENT_SHARE) for looks in minutes)


def test_the_venues_own_word_is_kept_from_the_first_failure_on() -> None:
    """It says that its minute is nearly spent: a look in it would be a ban."""

    def nearly_spent(venue: OnABudget) -> Callable[[str], bool]:
        venue.lane.reconcile("fapi", int(BUDGETS["fapi"].units * 0.9))
        return once_each(venue)

    took_s, venue = silent_for_s(nearly_spent)
    assert len(venue.asked_s) == 1
    assert 60 <= took_s < 62
