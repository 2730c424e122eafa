"""Twenty USD-M positions, closed by plain ccxt scripts and by this node: ``python -m tests.bench.close [--json]``.

Everything is measured at the venue, from the simulator's request journal; the scripts, the node and the simulator are
processes of their own, on one machine with one monotonic clock. Variants take turns; only one of them runs at a time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

from node.domain.command import Action
from node.transport.issuer_key import IssuerKey
from tests.bench import daemon
from tests.bench.figures import at_least_one, machine, ms, table
from tests.bench.processes import BenchError, line_of, python, quiet
from tests.bench.venue import BOOK, CLIENT_KEY, POSITIONS, Document, Venue, simulator
from tests.support.mosquitto import Mosquitto

ROUND_TRIP_MS: Final = 50.0
#: The daemon keeps one connection a leg warm, and two to spare; it opens four when it is armed.
WARM_SOCKETS: Final = 4 + POSITIONS + 2

VARIANTS: Final = {
    "a": "ccxt script, defaults: one close after another, enableRateLimit on",
    "b": "ccxt script, asyncio.gather, enableRateLimit off",
    "c": "this node: CLOSE_ALL over MQTT (mosquitto)",
}
FIGURES: Final = {
    "close_ms": "close phase: first close arrives -> last close answered",
    "first_close_ms": "trigger -> first close arrives",
    "last_close_ms": "trigger -> last close answered",
    "proven_ms": "trigger -> last verifying read answered",
    "told_ms": "trigger -> whoever commanded knows it",
}
#: Not compared.
COUNTS: Final = {
    "spread_ms": "spread of the close orders' arrivals",
    "requests": "requests from trigger to ending (number)",
}
COVERS: Final = {
    "trigger": "(a), (b): the script's first call of fetch_positions. (c): the sender's publish of the signed command.",
    "where": (
        "Everything but the trigger and 'knows it' is stamped at the venue. Of the injected round trip, half lies "
        "before a request is seen and half after its answer. TCP and TLS handshakes are not delayed: on a real network "
        "(b) would wait two more round trips for its nineteen cold connections."
    ),
    "scripts": (
        "(a), (b): a process that has loaded the markets and read the positions once before, so that one connection "
        "is warm and ccxt's hidden request for leverage brackets is behind it; session as ccxt builds it (100 "
        "connections, 15 s of keep-alive). After the trigger: fetch_positions, reduce-only market orders, "
        "fetch_positions. Resting and conditional orders are not looked for, other markets not read."
    ),
    "node": (
        "(c): a freshly started daemon, armed, connections warm, that has never closed anything. It verifies the "
        "command, writes it to the journal (fsync) and locks the account before the first order; beside the closes "
        "it reads the account afresh. Its proof reads triggers, then orders, then positions and balances, in that "
        "order, on spot, USD-M and COIN-M: three round trips, where the scripts' check is one."
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One closing of the book."""

    variant: str
    close_ms: float
    first_close_ms: float
    last_close_ms: float
    proven_ms: float
    told_ms: float
    #: From the first close order's arrival to the last one's.
    spread_ms: float
    closes: int
    #: Requests between the trigger and the ending.
    requests: int
    #: The node's own stage latencies.
    latency_ms: dict[str, float | None] | None = None


def assess(
    variant: str, requests: Sequence[Document], trigger_ns: int, told_ns: int, latency_ms: Document | None = None
) -> Run:
    """Read a run off the venue's journal.

    Raises:
        BenchError: the clocks disagree, or something else than twenty closes happened.
    """
    mine = [each for each in requests if each["arrived_ns"] > trigger_ns and (each["answered_ns"] or 0) < told_ns]
    closes = [
        each for each in mine if each["method"] == "POST" and each["path"] in ("/fapi/v1/order", "/fapi/v1/batchOrders")
    ]
    if any(each["status"] != 200 for each in closes):
        raise BenchError(f"({variant}) {len(closes)} closes between trigger and ending, {POSITIONS} were expected")
    arrivals = [each["arrived_ns"] for each in closes]
    last_answer_ns = max(each["answered_ns"] for each in closes)
    reads = [each["answered_ns"] for each in mine if each["method"] == "GET" and each["arrived_ns"] > last_answer_ns]
    if not reads:
        raise BenchError(f"({variant}) nothing was read after the last close")
    return Run(
        variant=variant,
        close_ms=ms(last_answer_ns - min(arrivals)),
        first_close_ms=ms(min(arrivals) - trigger_ns),
        last_close_ms=ms(last_answer_ns - trigger_ns),
        proven_ms=ms(max(reads) - trigger_ns),
        told_ms=ms(told_ns - trigger_ns),
        spread_ms=ms(max(arrivals) - min(arrivals)),
        closes=len(closes),
        requests=len(mine),
        latency_ms=latency_ms,
    )


async def run_script(variant: str, mode: str, venue: Venue, work: Path) -> Run:
    """One run of the script, in a process of its own."""
    log = work / "script.log"
    settings = {"port": venue.port, "ca": str(venue.ca), "credentials": venue.credentials}
    async with python("-m", "tests.bench.script", mode, log=log, stdin=True) as process:
        assert process.stdin is not None
        process.stdin.write(json.dumps(settings).encode() + b"\n")
        await line_of(process, log)
        process.stdin.write(b"go\n")
        ended = json.loads(await line_of(process, log))
    if ended["left"]:
        raise BenchError(f"({variant}) the script still sees {ended['left']} positions")
    requests = await venue.requests(key=CLIENT_KEY)
    return assess(variant, requests, ended["trigger_ns"], ended["told_ns"])


async def run_node(venue: Venue, work: Path, broker_port: int, key: IssuerKey, desk: daemon.Desk) -> Run:
    """One run of the daemon, freshly started."""
    with TemporaryDirectory(prefix="node-", dir=work) as own:
        async with daemon.running(Path(own), venue, key, broker_port) as node:
            await node.until_warm(venue, positions=POSITIONS, sockets=WARM_SOCKETS)
            sent = await desk.command(Action.CLOSE_ALL)
            requests = await venue.requests(key=CLIENT_KEY)
    if sent.ending["state"] != "done" or sent.ending["verdict"] != "flat":
        raise BenchError(f"(c) ended as {sent.ending['state']}, {sent.ending['verdict']}: {sent.ending['errors']}")
    return assess("c", requests, sent.handed_over_ns, sent.told_ns, sent.ending["latency_ms"])


async def measure(counts: dict[str, int], round_trip_ms: float, say: Callable[[str], None]) -> list[Run]:
    """All runs, the variants in turn.

    Raises:
        BenchError: something did not come up, or a run did not do what it should.
    """
    runs: list[Run] = []
    async with AsyncExitStack() as stack:
        work = Path(stack.enter_context(TemporaryDirectory(prefix="bench-close-")))
        (work / "broker").mkdir()
        broker = Mosquitto(work / "broker")
        broker.start()
        stack.callback(broker.stop)
        key = IssuerKey.generate(daemon.ISSUER)
        venue = await stack.enter_async_context(simulator(work))
        desk = await stack.enter_async_context(daemon.desk(broker.port, key))
        for turn in range(max(counts.values())):
            for variant in (name for name, count in counts.items() if turn < count):
                await venue.open_book()
                await venue.delay(round_trip_ms)
                if variant == "c":
                    run = await run_node(venue, work, broker.port, key, desk)
                else:
                    run = await run_script(variant, "gather" if variant == "b" else "sequential", venue, work)
                if any((await venue.holdings()).values()):
                    raise BenchError(f"({variant}) the venue still has {await venue.holdings()}")
                say(f"{variant} {turn + 1}: close {run.close_ms:.1f} ms, proven {run.proven_ms:.1f} ms")
                runs.append(run)
    return runs


def summarised(runs: Sequence[Run]) -> dict[str, dict[str, float]]:
    """Medians by variant."""
    names = (*FIGURES, *COUNTS)
    by_variant: dict[str, list[Run]] = {}
    for run in runs:
        by_variant.setdefault(run.variant, []).append(run)
    return {
        variant: {name: round(median(getattr(run, name) for run in mine), 3) for name in names}
        for variant, mine in by_variant.items()
    }


def readable(report: Document) -> str:
    """The report for people."""
    medians = report["medians"]
    rows = [["median ms", *(f"({variant})" for variant in medians), *(f"({variant})/(b)" for variant in ("a", "c"))]]
    for name, meaning in FIGURES.items():
        values = [medians[variant][name] for variant in medians]
        ratios = [medians[variant][name] / medians["b"][name] for variant in ("a", "c")]
        rows.append([meaning, *(f"{value:.1f}" for value in values), *(f"{ratio:.2f}" for ratio in ratios)])
    for name, meaning in COUNTS.items():
        rows.append([meaning, *(f"{medians[variant][name]:.1f}" for variant in medians), "", ""])
    counts = ", ".join(f"({variant}) {VARIANTS[variant]}, {count} runs" for variant, count in report["runs_of"].items())
    singles = [
        f"({run['variant']}) close {run['close_ms']:.1f}, first {run['first_close_ms']:.1f}, last "
        f"{run['last_close_ms']:.1f}, proven {run['proven_ms']:.1f}, told {run['told_ms']:.1f}"
        for run in report["runs"]
    ]
    facts = ", ".join(f"{name} {value}" for name, value in report["machine"].items())
    return "\n".join(
        [
            f"{POSITIONS} USD-M positions, injected round trip {report['round_trip_ms']:g} ms; {facts}",
            counts,
            "",
            table(rows),
            "",
            *COVERS.values(),
            "",
            "Runs in order, ms:",
            *singles,
            "",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; exit status 1 if anything was not as it should be."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.close", description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument("--runs", type=at_least_one, default=7, help="of (b) and (c) (default 7)")
    parser.add_argument(
        "--default-runs", type=at_least_one, default=2, help="of (a), which takes five seconds (default 2)"
    )
    parser.add_argument("--round-trip-ms", type=float, default=ROUND_TRIP_MS, help="injected (default 50)")
    options = parser.parse_args(arguments)
    quiet()
    counts = {"a": options.default_runs, "b": options.runs, "c": options.runs}
    try:
        runs = asyncio.run(
            measure(counts, options.round_trip_ms, lambda text: print(text, file=sys.stderr, flush=True))
        )
    except BenchError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    report = {
        "schema": "sovereign-node/bench/close/1",
        "machine": machine(),
        "positions": BOOK,
        "round_trip_ms": options.round_trip_ms,
        "runs_of": counts,
        "variants": VARIANTS,
        "figures": FIGURES,
        "covers": COVERS,
        "medians": summarised(runs),
        "runs": [asdict(run) for run in runs],
    }
    sys.stdout.write(json.dumps(report, indent=1) + "\n" if options.json else readable(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
