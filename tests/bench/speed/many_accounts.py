"""Row 4: ten accounts of twenty positions each, closed by one word to all of them, beside the floor of 200 orders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tests.bench.figures import percentile
from tests.bench.speed.closing import NODE, Closing, by_node, by_peer
from tests.bench.speed.lines import Line, at_most_times
from tests.bench.speed.stage import Stage
from tests.bench.venue import POSITIONS, simulator

ACCOUNTS: Final = 10
ROUND_TRIP_MS: Final = 50.0
FLOOR_FACTOR: Final = 1.5
#: The venue would count all accounts as one address: it counts, and refuses nothing.
WITHOUT_LIMITS: Final = "--no-limits"


async def measure(stage: Stage) -> list[Closing]:
    """All runs, in turn.

    Raises:
        BenchError: something did not come up, or a run did not do what it should.
    """
    found: list[Closing] = []
    async with simulator(stage.work, WITHOUT_LIMITS, accounts=ACCOUNTS) as venue:
        for turn in range(stage.runs):
            for variant in ("d", NODE, *(("c",) if not stage.quick else ())):
                await venue.open_book()
                await venue.delay(ROUND_TRIP_MS)
                if variant == NODE:
                    closing = await by_node(ROUND_TRIP_MS, venue, stage.work, stage.desk, stage.between, stage.key)
                else:
                    closing = await by_peer(variant, ROUND_TRIP_MS, venue, stage.work)
                found.append(closing)
                stage.say(
                    f"{turn + 1}/{stage.runs} {ACCOUNTS} accounts ({variant}) first {closing.first_byte_ms:.1f}, "
                    f"acknowledged {closing.acknowledged_ms:.1f}, venue {closing.venue_processor_ms:.0f} ms busy"
                )
    return found


def lines(found: Sequence[Closing]) -> list[Line]:
    """The promise, and the script beside it."""
    series = {
        variant: [each.acknowledged_ms for each in found if each.variant == variant] for variant in (NODE, "c", "d")
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
    if series["c"]:
        said.append(Line(row=4, what="the same by ccxt, gathered and warm", unit="ms", values=series["c"], floor=floor))
    return said
