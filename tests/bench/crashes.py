"""Is anything lost when the node is killed, at every point and at any time: ``python -m tests.bench.crashes [--json]``.

The real daemon, forked from a process that has imported it, lives and is killed with SIGKILL again and again on one
state directory, with an embedded broker and the simulated Binance over TLS beside it: at every named point of
``tests.support.crashing.points``, and at random. After every death what anybody was told is held against the journal;
in the next life every confirmed command must end. Exit status 1 on a breach, which ends the run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from tests.bench.figures import at_least_one, machine, percentile, table
from tests.support.crashing.lives import Lives, schedule
from tests.support.crashing.stage import raised

KILLS: Final = 2000
#: A stage is left for a new one after so many lives: the journal's own checks take longer as it grows.
LIVES_OF_A_STAGE: Final = 100


async def run(kills: int, seed: int) -> dict[str, Any]:
    """The figures; with what was found, if anything was."""
    chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
    deaths, began, breach = schedule(kills, chance), time.monotonic(), None
    lived: list[Lives] = []
    took_s: dict[str, list[float]] = {}
    for first in range(0, len(deaths), LIVES_OF_A_STAGE):
        with TemporaryDirectory(prefix="crashes-") as folder:
            async with raised(Path(folder)) as stage:
                lives = Lives(stage, chance)
                lived.append(lives)
                try:
                    for death in deaths[first : first + LIVES_OF_A_STAGE]:
                        at = time.monotonic()
                        await lives.die(death)
                        took_s.setdefault(death.point or "random", []).append(time.monotonic() - at)
                    await lives.live_on()
                except AssertionError as error:
                    breach = f"{death}: {error}"
        if breach is not None:
            break
    return {
        "benchmark": "crashes",
        "seed": seed,
        "wanted": kills,
        "kills": sum(lives.kills.total() for lives in lived),
        "points": {
            name: {"kills": len(each), "p50_s": round(percentile(each, 0.5), 3)} for name, each in took_s.items()
        },
        "never": sorted({death.point or "random" for death in deaths} - took_s.keys()),
        "commands": sum(len(lives.stage.witness.sent) for lives in lived),
        "sent_again": sum(lives.replays for lives in lived),
        "processor_s": round(sum(lives.cpu_s for lives in lived), 1),
        "seconds": round(time.monotonic() - began, 1),
        "breach": breach,
        "machine": machine(),
    }


def _table(report: dict[str, Any]) -> str:
    points = [[name, str(each["kills"]), f"{each['p50_s']:.3f}"] for name, each in sorted(report["points"].items())]
    lines = [table([["died at", "times", "p50 s"], *points]), ""]
    lines.append(f"{report['kills']} of {report['wanted']} kills, {report['commands']} commands")
    lines.append(f"{report['sent_again']} sent again after they were done, without effect")
    lines.append(f"{report['seconds']} s, and {report['processor_s']} s of the lives' processor time")
    lines += [f"NEVER DIED AT: {name}" for name in report["never"]]
    lines.append(f"BREACH: {report['breach']}" if report["breach"] else "Nothing lost, nothing twice.")
    return "\n".join([*lines, ""])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it, print it; 0 if nothing was lost and every point was died at."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.crashes", description=__doc__)
    parser.add_argument("--kills", type=at_least_one, default=KILLS, metavar="N", help="(%(default)s)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="(%(default)s)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the JSON there, too")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    options = parser.parse_args(arguments)
    report = asyncio.run(run(options.kills, options.seed))
    text = json.dumps(report, indent=1) + "\n"
    if options.out is not None:
        options.out.write_text(text)
    sys.stdout.write(text if options.json else _table(report))
    return 1 if report["breach"] or report["never"] else 0


if __name__ == "__main__":
    sys.exit(main())
