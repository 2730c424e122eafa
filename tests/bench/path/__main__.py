"""Where the time of a close goes, inside the node: ``python -m tests.bench.path``.

A daemon that has never closed anything closes twenty positions at an injected round trip, several times over; of the
run whose first order byte is the median one, everything that held up its event loop is printed, in order, and how much
of the processor each kind of work took. The watching itself costs about a twentieth.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from tests.bench.figures import at_least_one, table
from tests.bench.processes import BenchError, quiet
from tests.bench.speed.closing import NODE, Closing, by_node
from tests.bench.speed.stage import stage
from tests.bench.venue import simulator

RUNS: Final = 5
#: What takes less is not printed by itself.
SHOWN_MS: Final = 0.1

#: What a callback's name says of it; the first that fits.
KINDS: Final = (
    ("orders: plan, sign, send", r"^(slice|chain|closes):|Batches"),
    ("reads: sign, send, parse", r"^(read|proof|fresh-read):|SliceReader|SharedReads"),
    ("HTTP client: bytes out and in", r"ClientRe(quest|sponse)|ResponseHandler|_read_ready|_SSLProtocol|SSLProtocol"),
    ("command: verify, lock, answer", r"^(inbox|mqtt-deliveries)"),
    ("record", r"^journal-|Database"),
    ("news: events, lock topic, broker", r"^(outbox|lock-topics|scribe)|Outbox|Client\._on_socket"),
    ("judging and results", r"^pursuit:"),
    ("guard", r"^guard"),
    ("streams", r"^stream:"),
)

Entry = dict[str, Any]


async def measure(runs: int, round_trip_ms: float) -> tuple[Closing, list[Entry]]:
    """The median run and its trace.

    Raises:
        BenchError: something did not come up, or a run did not do what it should.
    """
    found: list[tuple[Closing, list[Entry]]] = []
    async with stage(runs=runs, quick=True, large=False) as place, simulator(place.work) as venue:
        for number in range(runs):
            trace = place.work / f"trace-{number}.json"
            await venue.open_book()
            await venue.delay(round_trip_ms)
            closing = await by_node(
                round_trip_ms, venue, place.work, place.desk, place.between, place.key, NODE, trace=trace
            )
            found.append((closing, json.loads(trace.read_text())))
            place.say(f"{number + 1}/{runs} first {closing.first_byte_ms:.1f}, verified {closing.verified_ms}")
    return sorted(found, key=lambda each: each[0].first_byte_ms)[len(found) // 2]


def kind_of(entry: Entry) -> str:
    """What a callback is about."""
    return next((kind for kind, pattern in KINDS if re.search(pattern, entry["what"])), "other")


def told(closing: Closing, entries: Sequence[Entry]) -> str:
    """The trace and its sums, for people."""
    proven_ms = closing.proven_ms
    until_proof = [entry for entry in entries if entry["at_ms"] <= proven_ms]
    rows = [["at ms", "took ms", "", "what"]]
    rows += [
        [f"{entry['at_ms']:.2f}", f"{entry['took_ms']:.2f}", entry["kind"], entry["what"]]
        for entry in until_proof
        if entry["took_ms"] >= SHOWN_MS
    ]
    first_ms, last_ms = closing.first_byte_ms, closing.acknowledged_ms
    stages = {"to first byte": (0.0, first_ms), "to last answer": (first_ms, last_ms), "to proof": (last_ms, proven_ms)}
    sums: dict[str, dict[str, float]] = defaultdict(lambda: dict.fromkeys(stages, 0.0))
    for entry in until_proof:
        for name, (begin_ms, end_ms) in stages.items():
            if entry["kind"] == "loop" and begin_ms <= entry["at_ms"] < end_ms:
                sums[kind_of(entry)][name] += entry["took_ms"]
    work = [["the loop's time, ms", *stages]]
    for kind, by_stage in sorted(sums.items(), key=lambda each: -sum(each[1].values())):
        work.append([kind, *(f"{by_stage[name]:.2f}" for name in stages)])
    work.append(["all", *(f"{sum(each[name] for each in sums.values()):.2f}" for name in stages)])
    head = (
        f"from receipt: first order byte {first_ms:.1f} ms, last close acknowledged {last_ms:.1f} ms, "
        f"proof {proven_ms:.1f} ms"
    )
    return "\n".join([table(rows), "", head, "", table(work), ""])


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; exit status 1 if anything was not as it should be."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.path", description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=at_least_one, default=RUNS)
    parser.add_argument("--round-trip-ms", type=float, default=50.0)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the median run's trace there")
    options = parser.parse_args(arguments)
    quiet()
    try:
        closing, entries = asyncio.run(measure(options.runs, options.round_trip_ms))
    except BenchError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(told(closing, entries))
    if options.json is not None:
        options.json.write_text(json.dumps(entries, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
