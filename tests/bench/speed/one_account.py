"""Rows 1 to 3: one account of twenty positions, at several round trips, beside the floor and beside scripts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tests.bench.figures import percentile, table
from tests.bench.speed.closing import NODE, PEERS, STALE, Closing, by_node, by_peer
from tests.bench.speed.lines import Line, at_most_times
from tests.bench.speed.stage import Stage
from tests.bench.venue import simulator

ROUND_TRIPS_MS: Final = (0.0, 20.0, 50.0, 150.0)
#: Where the targets of row 1 are, and where the scripts are measured in a quick run.
MAIN_MS: Final = 50.0
#: The plain script takes five seconds.
PLAIN_RUNS: Final = 2

FLOOR_FACTOR: Final = 1.10
FIRST_BYTE_MS: Final = 3.0
#: Row: round trips, and milliseconds besides.
PROOF: Final = {2: (2, 15.0), 3: (3, 20.0)}
VARIANTS: Final = {
    "a": "ccxt script, defaults: one close after another, enableRateLimit on",
    "b": "ccxt script, asyncio.gather, enableRateLimit off, one warm connection",
    "c": "the same with as many warm connections as orders",
    "d": "floor: aiohttp, orders built and signed beforehand, as many warm connections",
    "e": "floor of a proof: the same with the node's reads, orders five to a request; no answer is understood",
    "f": "floor of a proof without a warm view: the reads once more before the orders",
    NODE: "this node, warm view: CLOSE_ALL over MQTT",
    STALE: "this node without a warm view",
}


async def measure(stage: Stage, rows: frozenset[int]) -> list[Closing]:
    """All runs, variants and round trips in turn; only one of them at a time.

    Raises:
        BenchError: something did not come up, or a run did not do what it should.
    """
    found: list[Closing] = []
    async with simulator(stage.work) as venue:
        for turn in range(stage.runs):
            for round_trip_ms in ROUND_TRIPS_MS:
                for variant in _variants(stage, rows, turn, round_trip_ms):
                    await venue.open_book()
                    await venue.delay(round_trip_ms)
                    if variant in PEERS:
                        closing = await by_peer(variant, round_trip_ms, venue, stage.work)
                    else:
                        closing = await by_node(
                            round_trip_ms, venue, stage.work, stage.desk, stage.between, stage.key, variant
                        )
                    found.append(closing)
                    stage.say(
                        f"{turn + 1}/{stage.runs} {round_trip_ms:g} ms ({variant}) first {closing.first_byte_ms:.1f}, "
                        f"acknowledged {closing.acknowledged_ms:.1f}, verified {closing.verified_ms}"
                    )
    return found


def _variants(stage: Stage, rows: frozenset[int], turn: int, round_trip_ms: float) -> list[str]:
    variants = ["d", NODE] if rows & {1, 2} else []
    if 2 in rows and round_trip_ms:
        variants.append("e")
    main = round_trip_ms == MAIN_MS
    if 1 in rows and (main or not stage.quick):
        variants += ["c", "b"]
    if 1 in rows and main and turn < PLAIN_RUNS:
        variants.append("a")
    if 3 in rows and round_trip_ms:
        variants += ["f", STALE]
    return variants


def lines(found: Sequence[Closing], rows: frozenset[int]) -> list[Line]:
    """What was promised, held against what was measured."""
    said: list[Line] = _published(found) if 1 in rows else []
    for round_trip_ms in ROUND_TRIPS_MS:
        if 1 in rows:
            said += _row_1(found, round_trip_ms)
        for row, variant, floor in ((2, NODE, "e"), (3, STALE, "f")):
            if row in rows and round_trip_ms:
                said += _proof(found, row, variant, floor, round_trip_ms)
    return sorted(said, key=lambda line: line.row)


def _of(found: Sequence[Closing], variant: str, round_trip_ms: float) -> list[Closing]:
    return [each for each in found if each.variant == variant and each.round_trip_ms == round_trip_ms]


def _row_1(found: Sequence[Closing], round_trip_ms: float) -> list[Line]:
    node, floor = _of(found, NODE, round_trip_ms), _of(found, "d", round_trip_ms)
    main = round_trip_ms == MAIN_MS
    beside = percentile([each.acknowledged_ms for each in floor], 0.5)
    promised = at_most_times(FLOOR_FACTOR, beside) if main else {"floor": beside}
    first = percentile([each.first_byte_ms for each in floor], 0.5)
    return [
        Line(
            row=1,
            what=f"received -> last close acknowledged, {round_trip_ms:g} ms",
            unit="ms",
            values=[each.acknowledged_ms for each in node],
            beside="(d)",
            **promised,
        ),
        Line(
            row=1,
            what=f"received -> first order byte at the venue, {round_trip_ms:g} ms",
            unit="ms",
            values=[each.first_byte_ms for each in node],
            beside="(d)",
            floor=first,
            target=f"<= {FIRST_BYTE_MS:g} ms" if main else None,
            limit=FIRST_BYTE_MS if main else None,
        ),
    ]


def _published(found: Sequence[Closing]) -> list[Line]:
    """Row 6 measures drills of a node that is warm; this is its first close, and has the relay in its way."""
    firsts = [each.first_byte_ms - (each.published_ms or 0.0) for each in _of(found, NODE, 0.0)]
    return [Line(row=1, what="published -> first order byte at the venue, 0 ms", unit="ms", values=firsts)]


def _proof(found: Sequence[Closing], row: int, variant: str, floor: str, round_trip_ms: float) -> list[Line]:
    trips, more_ms = PROOF[row]
    mine, least = _of(found, variant, round_trip_ms), _of(found, floor, round_trip_ms)
    return [
        Line(
            row=row,
            what=f"received -> first proof of flat, {round_trip_ms:g} ms{', no warm view' if row == 3 else ''}",
            unit="ms",
            values=[each.proven_ms for each in mine],
            beside=f"({floor})",
            floor=percentile([each.told_ms for each in least], 0.5),
            target=f"<= {trips} RTT + {more_ms:g} ms",
            limit=trips * round_trip_ms + more_ms,
        )
    ]


def peers(found: Sequence[Closing]) -> str:
    """Everybody beside each other: medians at each round trip."""
    rows = [
        ["round trip, variant", "runs", "first byte", "acknowledged", "close phase", "verified", "told", "requests"]
    ]
    for round_trip_ms in ROUND_TRIPS_MS:
        for variant in VARIANTS:
            if not (mine := _of(found, variant, round_trip_ms)):
                continue
            columns = [
                [each.first_byte_ms for each in mine],
                [each.acknowledged_ms for each in mine],
                [each.close_phase_ms for each in mine],
                [each.verified_ms for each in mine if each.verified_ms is not None],
                [each.told_ms for each in mine],
                [float(each.requests) for each in mine],
            ]
            cells = [f"{percentile(column, 0.5):.1f}" if column else "" for column in columns]
            rows.append([f"{round_trip_ms:g} ms ({variant})", str(len(mine)), *cells])
    return table(rows)
