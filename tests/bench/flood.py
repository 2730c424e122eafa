"""How long a good LOCK takes among junk: ``python -m tests.bench.flood [--json] [--seconds N]``.

Real mosquitto as shipped, the real daemon. For every kind of junk and every rate LOCKs are sent over the connection of
the flood, each behind all junk before it, two a second; from the write to the changed lock file.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from uuid import UUID

from node.domain.command import Action
from tests.bench.figures import at_least_one, machine, ms, percentile, table
from tests.bench.processes import quiet
from tests.support.flood import Flood, Target, flood, kinds_of_junk, signed, target
from tests.support.mosquitto import PASSWORDS
from tests.support.processes import ACCOUNT
from tests.support.waiting import until

SECONDS: Final = 10
RATES: Final = (0, 1000, 3000)
LOCK_EVERY_S: Final = 0.5
SHARES: Final = {"p50": 0.50, "max": 1.0}


async def cell(node: Target, kind: str, rate: int, seconds: int) -> list[float]:
    """Milliseconds of each LOCK under one flood."""
    make = kinds_of_junk(node.key, UUID(ACCOUNT))[kind]
    junk = [make() for _ in range(rate * seconds)]
    async with flood(node.port, "desk") as flooding:
        running = asyncio.create_task(flooding.run(node.topic, junk, a_second=max(rate, 1)), name="flood")
        taken = [await one_lock(node, flooding) for _ in range(round(seconds / LOCK_EVERY_S) - 1)]
        await running
        await until(lambda: flooding.answered == flooding.sent)
    return taken


async def one_lock(node: Target, flooding: Flood) -> float:
    """After a while; from the write to the lock file."""
    await asyncio.sleep(LOCK_EVERY_S)
    epoch, began_ns = node.lock()["epoch"], time.monotonic_ns()
    flooding.write(node.topic, signed(node.key, UUID(ACCOUNT), Action.LOCK))
    await until(lambda: node.lock()["epoch"] > epoch)
    return ms(time.monotonic_ns() - began_ns)


async def measure(seconds: int, say: Callable[[str], None]) -> dict[str, dict[int, list[float]]]:
    """By kind and rate."""
    figures: dict[str, dict[int, list[float]]] = {}
    with TemporaryDirectory(prefix="bench-flood-") as folder:
        async with target(Path(folder)) as node:
            for kind in kinds_of_junk(node.key, UUID(ACCOUNT)):
                for rate in RATES:
                    figures.setdefault(kind, {})[rate] = await cell(node, kind, rate, seconds)
                    say(f"{kind}, {rate} a second")
    return figures


def readable(report: dict[str, Any]) -> str:
    """The report for people."""
    rows = [["LOCK in effect after, ms", *(f"{rate}/s {share}" for rate in RATES for share in SHARES)]]
    rows += [
        [kind, *(f"{rates[str(rate)][share]:.1f}" for rate in RATES for share in SHARES)]
        for kind, rates in report["percentiles"].items()
    ]
    facts = ", ".join(f"{name} {value}" for name, value in report["machine"].items())
    return "\n".join([f"{report['seconds']} s each; {facts}", "", table(rows), ""])


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.flood", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument("--seconds", type=at_least_one, default=SECONDS, help=f"of each flood; default {SECONDS}")
    options = parser.parse_args(arguments)
    quiet()
    os.environ |= {"NOWHERE_KEY": "of no exchange", "MQTT_PASSWORD": PASSWORDS["node-1"]}
    figures = asyncio.run(measure(options.seconds, lambda text: print(text, file=sys.stderr, flush=True)))
    report = {
        "schema": "sovereign-node/bench/flood/1",
        "machine": machine(),
        "seconds": options.seconds,
        "percentiles": {
            kind: {
                str(rate): {label: percentile(values, share) for label, share in SHARES.items()}
                for rate, values in rates.items()
            }
            for kind, rates in figures.items()
        },
    }
    sys.stdout.write(json.dumps(report, indent=1) + "\n" if options.json else readable(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
