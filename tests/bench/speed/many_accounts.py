"""Row 4: ten accounts of twenty positions each, closed by one word to all of them, beside the floor of 200 orders.

Each account has a source address of its own, and so request budgets of its own. Where they share one, their views are
polled so much less often that they are older: that is measured a minute after the start, when what arming has used of
the budget is forgotten, and nothing was promised of it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

from tests.bench.figures import percentile
from tests.bench.speed.closing import NODE, Closing, by_node, by_peer
from tests.bench.speed.lines import Line, at_most_times
from tests.bench.speed.stage import Stage
from tests.bench.venue import POSITIONS, Venue, simulator

ACCOUNTS: Final = 10
ROUND_TRIP_MS: Final = 50.0
FLOOR_FACTOR: Final = 1.5
#: The venue counts, and refuses nothing.
WITHOUT_LIMITS: Final = "--no-limits"
#: All accounts share one address; and how often, because each takes more than a minute.
SHARED: Final = "shared"
SHARED_RUNS: Final = 5
REFRAIN_S: Final = 75.0
#: Somewhere in the time in which everything is polled once: ten accounts are never all quiet.
PHASE_S: Final = 10.0


async def measure(stage: Stage) -> list[Closing]:
    """All runs, in turn.

    Raises:
        BenchError: something did not come up, or a run did not do what it should.
    """
    found: list[Closing] = []
    async with simulator(stage.work, WITHOUT_LIMITS, accounts=ACCOUNTS) as venue:
        for turn in range(stage.runs):
            for variant in _variants(stage, turn):
                await venue.open_book()
                await venue.delay(ROUND_TRIP_MS)
                found.append(closing := await _run(stage, venue, variant))
                stage.say(
                    f"{turn + 1}/{stage.runs} {ACCOUNTS} accounts ({variant}) first {closing.first_byte_ms:.1f}, "
                    f"acknowledged {closing.acknowledged_ms:.1f}, venue {closing.venue_processor_ms:.0f} ms busy"
                )
    return found


def _variants(stage: Stage, turn: int) -> list[str]:
    return ["d", NODE] if stage.quick else ["d", NODE, "c", *([SHARED] if turn < SHARED_RUNS else [])]


async def _run(stage: Stage, venue: Venue, variant: str) -> Closing:
    if variant not in (NODE, SHARED):
        return await by_peer(variant, ROUND_TRIP_MS, venue, stage.work)
    return await by_node(
        ROUND_TRIP_MS,
        venue,
        stage.work,
        stage.desk,
        stage.between,
        stage.key,
        variant,
        own_addresses=variant == NODE,
        refrain_s=REFRAIN_S if variant == SHARED else random.uniform(0, PHASE_S),  # noqa: S311 - no secret
    )


def lines(found: Sequence[Closing]) -> list[Line]:
    """The promise, and the others beside it."""
    series = {
        variant: [each.acknowledged_ms for each in found if each.variant == variant]
        for variant in (NODE, SHARED, "c", "d")
    }
    what = f"'*' received -> last of {ACCOUNTS * POSITIONS} closes acknowledged, {ROUND_TRIP_MS:g} ms"
    floor = percentile(series["d"], 0.5)
    said = [
        Line(row=4, what=what, unit="ms", values=series[NODE], beside="(d)", **at_most_times(FLOOR_FACTOR, floor)),
        Line(
            row=4,
            what=f"'*' received -> first order byte at the venue, {ROUND_TRIP_MS:g} ms",
            unit="ms",
            values=[each.first_byte_ms for each in found if each.variant == NODE],
        ),
    ]
    others = {SHARED: "the accounts share an address: last acknowledged", "c": "ccxt gathered, warm: last acknowledged"}
    return said + [
        Line(row=4, what=what, unit="ms", values=series[variant], beside="(d)", floor=floor)
        for variant, what in others.items()
        if series[variant]
    ]
