"""How fast the node is, each figure beside the floor of the same run: ``python -m tests.bench.speed``.

Everything is stamped at the simulated venue's socket (its request journal) or, for a command's receipt, by a relay
between the broker and the node. Node, peers, venue and broker are processes of their own on one machine with one
monotonic clock; variants take turns, and only one of them runs at a time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from tests.bench.figures import at_least_one, machine
from tests.bench.processes import BenchError, quiet
from tests.bench.speed import footprint, from_the_wire, many_accounts, one_account, shards, start
from tests.bench.speed.lines import Line, readable
from tests.bench.speed.stage import stage

RUNS: Final = 20
QUICK_RUNS: Final = 5
ROWS: Final = frozenset(range(1, 11))
COVERS: Final = {
    "injected": (
        "Half of the injected round trip lies between the venue's socket and the venue, half on the way back. What is "
        "stamped at the socket (first byte, acknowledged, verified) is what a client on a network would see at its own."
    ),
    "handshakes": (
        "TCP and TLS handshakes are not delayed: on a real network a cold connection, as those of (b), costs two more "
        "round trips. The node's, the floor's and (c)'s are open before the word is given."
    ),
    "received": (
        "The instant at which the relay hands the command's bytes to the node's socket; of a script, the line on its "
        "standard input. The node then verifies a signature, writes the command to its journal (fsync) and locks the "
        "account before the first order; a script knows no command, and (d) knows beforehand what to close."
    ),
    "machine": (
        "Node, venue, broker, relay and sender share the machine's cores; with no injected round trip they mostly "
        "measure each other."
    ),
}


async def measure(options: argparse.Namespace, lines: list[Line], details: dict[str, Any]) -> None:
    """Every row that is wanted, each into *lines* and *details* as soon as it is measured.

    Raises:
        BenchError: something did not come up, or did not do what it should.
    """
    rows = frozenset(options.rows)
    async with stage(runs=options.runs, quick=options.quick, large=options.large) as place:
        if rows & {1, 2, 3}:
            found = await one_account.measure(place, rows)
            lines += one_account.lines(found, rows)
            details["closings"] = [asdict(each) for each in found]
            details["peers"] = one_account.peers(found)
        if 4 in rows:
            found = await many_accounts.measure(place)
            lines += many_accounts.lines(found)
            details["many_accounts"] = [asdict(each) for each in found]
        if 5 in rows and options.large:
            sharded = await shards.measure(place)
            lines += shards.lines(sharded)
            details["shards"] = [asdict(each) | {"processes": key[0]} for key, all_ in sharded.items() for each in all_]
        if rows & {6, 7}:
            wire = await from_the_wire.measure(place)
            lines += from_the_wire.lines(wire, rows)
            details["from_the_wire"] = asdict(wire)
        if 8 in rows:
            starts = await start.measure(place)
            lines += start.lines(starts)
            details["start"] = asdict(starts)
        if rows & {9, 10}:
            idle = await footprint.measure(place, rows)
            lines += footprint.lines(idle, rows)
            details["footprint"] = asdict(idle)


def _rows(text: str) -> list[int]:
    rows = [int(word) for word in text.split(",")]
    if not ROWS.issuperset(rows):
        raise ValueError(text)
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; exit status 1 if anything was not as it should be. A target that is missed is no failure."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.speed", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_RUNS} runs instead of {RUNS}, fewer peers")
    parser.add_argument("--runs", type=at_least_one, help="interleaved runs of each variant")
    parser.add_argument("--rows", type=_rows, default=sorted(ROWS), help="such as 1,2,6 (default: all)")
    parser.add_argument("--large", action="store_true", help="row 5 as well, which takes long")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured there")
    options = parser.parse_args(arguments)
    options.runs = options.runs or (QUICK_RUNS if options.quick else RUNS)
    quiet()
    facts, failed = machine(), False
    lines, details = list[Line](), dict[str, Any]()
    try:
        asyncio.run(measure(options, lines, details))
    except BenchError as error:
        # An hour's figures are not thrown away for the last one's sake.
        sys.stderr.write(f"{error}\n")
        failed = True
    told = [f"{options.runs} runs; " + ", ".join(f"{name} {value}" for name, value in facts.items()), ""]
    told += [readable(lines), ""]
    if peers := details.get("peers"):
        told += ["medians, ms:", peers, *(f"({name}) {what}" for name, what in one_account.VARIANTS.items()), ""]
    sys.stdout.write("\n".join([*told, *COVERS.values(), ""]))
    if options.json is not None:
        report = {
            "schema": "sovereign-node/bench/speed/1",
            "machine": facts,
            "runs": options.runs,
            "quick": options.quick,
            "lines": [line.document() for line in lines],
            "covers": COVERS,
            "variants": one_account.VARIANTS,
            "details": details,
        }
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
