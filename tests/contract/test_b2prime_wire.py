"""B2PRIME's profile against its simulator, over TLS: everything seen, closed, and proven."""

from __future__ import annotations

import asyncio

import pytest

from node.domain.snapshot import SliceSnapshot
from node.venues.ccxt_venue import CcxtVenue
from tests.support.venue_sim import bench, plan


async def close_everything(venue: CcxtVenue) -> list[SliceSnapshot]:
    """Rounds until nothing is left to plan; the proofs."""
    for _ in range(20):
        snapshots = [await venue.read_proof(name) for name in venue.slices]
        steps = [step for snapshot in snapshots for step in plan(venue, snapshot)]
        if not steps:
            return snapshots
        await asyncio.gather(*(venue.execute(step) for step in steps))
    raise AssertionError("not flat after twenty rounds")


@pytest.mark.parametrize("scenario", ["demo", "hedge", "empty"])
async def test_every_scenario_can_be_closed_and_proven(scenario: str) -> None:
    """Hedging and netting accounts, both slices; nothing was enlarged or turned around on the way."""
    async with bench(scenario, venue="b2prime") as the:
        for snapshot in await close_everything(the.venue):
            assert snapshot.causal
            assert (snapshot.positions, snapshot.orders) == ((), ())
        state = the.sim.state()["accounts"][scenario]
        assert (state["positions"], state["orders"]) == ([], [])
        counters = state["counters"]
        assert (counters["exposure_increases"], counters["sign_flips"]) == (0, 0)
