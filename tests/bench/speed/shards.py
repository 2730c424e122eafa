"""Row 5: a hundred accounts of twenty positions each, by one process and by two, beside scripts in as many.

A figure of the processor, which venue, nodes, broker and sender share: by the clock, two processes are not twice as
fast as one where the venue needs a core for itself meanwhile, and the scripts show by how much. Each account has an
address of its own, with sockets and polls of its own: at one address a fifth of the budget would not keep a hundred
views warm. It is behind ``--large``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tests.bench import configuration
from tests.bench.figures import percentile
from tests.bench.speed.closing import NODE, Closing, by_node, by_peer
from tests.bench.speed.lines import Line, at_most_times
from tests.bench.speed.many_accounts import WITHOUT_LIMITS
from tests.bench.speed.stage import Stage
from tests.bench.venue import POSITIONS, simulator

ACCOUNTS: Final = 100
ROUND_TRIP_MS: Final = 50.0
#: Each takes half a minute.
RUNS: Final = 5
PROCESSES: Final = (1, 2)
SCRIPT_FACTOR: Final = 1.3
SECOND_FACTOR: Final = 0.6

#: By number of processes and variant.
Found = dict[tuple[int, str], list[Closing]]


async def measure(stage: Stage) -> Found:
    """All runs, in turn.

    Raises:
        BenchError: something did not come up, or a run did not do what it should.
    """
    found: Found = {(processes, variant): [] for processes in PROCESSES for variant in ("c", NODE)}
    async with simulator(stage.work, WITHOUT_LIMITS, accounts=ACCOUNTS) as venue:
        for turn in range(min(stage.runs, RUNS)):
            for (processes, variant), series in found.items():
                await venue.open_book()
                await venue.delay(ROUND_TRIP_MS)
                if variant == NODE:
                    closing = await by_node(
                        ROUND_TRIP_MS,
                        venue,
                        stage.work,
                        stage.desk,
                        stage.between,
                        stage.key,
                        processes=processes,
                        own_addresses=True,
                    )
                    for node in configuration.NODES:  # or a node that takes no part finds the command waiting later
                        stage.broker.discard_session(f"sn-{configuration.TENANT}-{node}", node)
                else:
                    closing = await by_peer(variant, ROUND_TRIP_MS, venue, stage.work, processes=processes)
                series.append(closing)
                stage.say(
                    f"{turn + 1} {ACCOUNTS} accounts, {processes} processes ({variant}): acknowledged "
                    f"{closing.acknowledged_ms:.0f}, told {closing.told_ms:.0f}; processor: busiest "
                    f"{closing.processor_ms:.0f}, venue {closing.venue_processor_ms:.0f} ms"
                )
    return found


def lines(found: Found) -> Sequence[Line]:
    """What was promised, held against what was measured."""
    said = []
    for processes in PROCESSES:
        what = f"'*' received -> last of {ACCOUNTS * POSITIONS} closes acknowledged, {processes} process(es)"
        script = percentile([each.acknowledged_ms for each in found[processes, "c"]], 0.5)
        said.append(
            Line(
                row=5,
                what=what,
                unit="ms",
                values=[each.acknowledged_ms for each in found[processes, NODE]],
                beside="(c) in as many",
                **at_most_times(SCRIPT_FACTOR, script),
            )
        )
    one, two = (found[processes, NODE] for processes in PROCESSES)
    script_one, script_two = (found[processes, "c"] for processes in PROCESSES)
    said += [
        Line(
            row=5,
            what="(c) in two processes beside one, by the clock",
            unit="ms",
            values=[each.acknowledged_ms for each in script_two],
            beside="one",
            floor=percentile([each.acknowledged_ms for each in script_one], 0.5),
        ),
        Line(
            row=5,
            what="two node processes beside one, by the clock",
            unit="ms",
            values=[each.acknowledged_ms for each in two],
            beside="one",
            **at_most_times(SECOND_FACTOR, percentile([each.acknowledged_ms for each in one], 0.5)),
        ),
        Line(
            row=5,
            what="the same: processor time of the busiest, to the proof",
            unit="ms",
            values=[each.processor_ms for each in two],
            beside="one",
            **at_most_times(SECOND_FACTOR, percentile([each.processor_ms for each in one], 0.5)),
        ),
    ]
    return said + [
        Line(
            row=5,
            what=f"the venue's process meanwhile, {processes} process(es)",
            unit="% of a core",
            values=[each.venue_processor_ms / each.told_ms * 100 for each in found[processes, NODE]],
        )
        for processes in PROCESSES
    ]
