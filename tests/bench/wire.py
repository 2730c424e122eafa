"""From a sender's publish to the first order byte at the venue: ``python -m tests.bench.wire [--json]``.

CLOSE_ALL drills over real mosquitto and over the embedded broker, in turn. A drill sends one cancel of an order that
does not exist, at once: its arrival at the simulator, which injects no latency here, ends the measurement.
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
from tempfile import TemporaryDirectory
from typing import Final

from node.domain.command import Action
from node.sim.broker import Broker
from node.transport.issuer_key import IssuerKey
from tests.bench import daemon
from tests.bench.figures import at_least_one, machine, ms, percentile, table
from tests.bench.processes import BenchError, quiet
from tests.bench.venue import CLIENT_KEY, POSITIONS, Document, Venue, simulator
from tests.support.mosquitto import PASSWORDS, Mosquitto

DRILLS: Final = 200
#: Drills before the first one that counts: code that runs for the first time is slower.
WARM_UP: Final = 10
#: Drills over one broker before it is the other's turn.
TURN: Final = 10
#: Between a drill's ending and the next drill.
PAUSE_S: Final = 0.02
SHARES: Final = {"p50": 0.50, "p99": 0.99, "max": 1.0}
STAGES: Final = ("transport", "verify", "journal", "lock", "first_order", "proof")

FIGURES: Final = {
    "wire_ms": "publish -> probe arrives at the venue",
    "told_ms": "publish -> sender has the ending",
    "transport": "node: sender's iat -> receipt (wall clock)",
    "verify": "node: verifying the envelope",
    "journal": "node: until the transaction is committed",
    "lock": "node: taking effect in memory (a drill locks nothing)",
    "first_order": "node: receipt -> probe handed to the socket",
    "proof": "node: receipt -> drill over",
}
COVERS: Final = {
    "pattern": (
        f"One drill at a time, each {PAUSE_S * 1e3:g} ms after the ending of the one before; 'accepted' and the ending "
        f"are both published back. One daemon a broker, both running; turns of {TURN} drills. The first {WARM_UP} over "
        "each broker do not count."
    ),
    "brokers": (
        "mosquitto: a process of its own, configured as shipped (set_tcp_nodelay true, persistence, passwords, ACL). "
        "Embedded: node.sim.broker in the sender's process. Both clients set TCP_NODELAY."
    ),
    "probe": (
        "It takes the way of every order (permission, lane, signature, warm TLS connection), ahead of the drill's "
        "reads. A real CLOSE_ALL has the plan from the warm view before it."
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Drill:
    """One drill."""

    broker: str
    #: The probe's number in the venue's journal.
    request: int
    wire_ms: float
    told_ms: float
    latency_ms: dict[str, float | None]


async def drill(name: str, desk: daemon.Desk, venue: Venue, after: int) -> Drill:
    """Carry out one and find its probe in the venue's journal, *after* the one before.

    Raises:
        BenchError: it did not pass, or left another trace than one probe.
    """
    sent = await desk.command(Action.CLOSE_ALL, dry_run=True)
    if sent.ending["verdict"] != "drill_passed":
        raise BenchError(f"{name}: {sent.ending['verdict']}: {sent.ending['errors']}")
    probes = await venue.requests(after=after, method="DELETE", key=CLIENT_KEY)
    if len(probes) != 1:
        raise BenchError(f"{name}: {len(probes)} probes for one drill")
    return Drill(
        broker=name,
        request=probes[0]["number"],
        wire_ms=ms(probes[0]["arrived_ns"] - sent.handed_over_ns),
        told_ms=ms(sent.told_ns - sent.handed_over_ns),
        latency_ms=sent.ending["latency_ms"],
    )


async def measure(count: int, say: Callable[[str], None]) -> list[Drill]:
    """*count* drills over each broker.

    Raises:
        BenchError: something did not come up, or a drill did not pass.
    """
    drills: list[Drill] = []
    async with AsyncExitStack() as stack:
        work = Path(stack.enter_context(TemporaryDirectory(prefix="bench-wire-")))
        (work / "broker").mkdir()
        mosquitto = Mosquitto(work / "broker")
        mosquitto.start()
        stack.callback(mosquitto.stop)
        embedded = await stack.enter_async_context(Broker(credentials=PASSWORDS))
        key = IssuerKey.generate(daemon.ISSUER)
        # Ten drills a second use up Binance's minute: the simulator counts, and refuses nothing.
        venue = await stack.enter_async_context(simulator(work, "--no-limits"))
        await venue.open_book()
        desks: dict[str, daemon.Desk] = {}
        newest = 0
        for name, port in {"mosquitto": mosquitto.port, "embedded": embedded.port}.items():
            node = await stack.enter_async_context(daemon.running(work / name, venue, key, port))
            await node.until_warm(venue, sockets=POSITIONS)
            desks[name] = await stack.enter_async_context(daemon.desk(port, key))
            for _ in range(WARM_UP):
                newest = (await drill(name, desks[name], venue, newest)).request
        while len(drills) < count * len(desks):
            for name, desk in desks.items():
                for _ in range(min(TURN, count - sum(each.broker == name for each in drills))):
                    drills.append(await drill(name, desk, venue, newest))
                    newest = drills[-1].request
                    await asyncio.sleep(PAUSE_S)
            say(f"{len(drills)} of {count * len(desks)} drills")
    return drills


def series(drills: Sequence[Drill], broker: str, name: str) -> list[float]:
    """One figure of all drills over one broker."""
    mine = [each for each in drills if each.broker == broker]
    if name in STAGES:
        return [value for each in mine if (value := each.latency_ms[name]) is not None]
    return [getattr(each, name) for each in mine]


def summarised(drills: Sequence[Drill]) -> dict[str, dict[str, dict[str, float]]]:
    """Percentiles by broker and figure."""
    return {
        broker: {
            name: {label: percentile(series(drills, broker, name), share) for label, share in SHARES.items()}
            for name in FIGURES
        }
        for broker in dict.fromkeys(each.broker for each in drills)
    }


def readable(report: Document) -> str:
    """The report for people."""
    by_broker = report["percentiles"]
    rows = [["ms", *(f"{broker} {share}" for broker in by_broker for share in SHARES)]]
    rows += [
        [meaning, *(f"{value:.2f}" for figures in by_broker.values() for value in figures[name].values())]
        for name, meaning in FIGURES.items()
    ]
    facts = ", ".join(f"{name} {value}" for name, value in report["machine"].items())
    head = f"{report['drills_each']} drills over each broker, no injected latency; {facts}"
    return "\n".join([head, "", table(rows), "", *COVERS.values(), ""])


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; exit status 1 if anything was not as it should be."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.wire", description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument("--drills", type=at_least_one, default=DRILLS, help=f"over each broker (default {DRILLS})")
    options = parser.parse_args(arguments)
    quiet()
    try:
        drills = asyncio.run(measure(options.drills, lambda text: print(text, file=sys.stderr, flush=True)))
    except BenchError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    report = {
        "schema": "sovereign-node/bench/wire/1",
        "machine": machine(),
        "drills_each": options.drills,
        "figures": FIGURES,
        "covers": COVERS,
        "percentiles": summarised(drills),
        "drills": [asdict(each) for each in drills],
    }
    sys.stdout.write(json.dumps(report, indent=1) + "\n" if options.json else readable(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
