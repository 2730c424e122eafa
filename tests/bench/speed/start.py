"""Row 8: from a process's start to ready, and from a crash in the middle of a close to its next order."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from node.domain.command import Action
from tests.bench import daemon
from tests.bench.figures import ms, percentile
from tests.bench.imports import imported
from tests.bench.processes import BenchError, line_of, python, until
from tests.bench.speed.lines import Line
from tests.bench.speed.many_accounts import WITHOUT_LIMITS
from tests.bench.speed.stage import Stage
from tests.bench.venue import POSITIONS, Venue, simulator

ACCOUNTS: Final = 10
ROUND_TRIP_MS: Final = 50.0
IMPORT_FACTOR: Final = 2
ROUND_TRIPS: Final = 3
NEXT_ORDER_MS: Final = 1000.0
#: An ending in proof, orders lost in the crash included.
ENDING_WITHIN_S: Final = 60.0


@dataclass(slots=True)
class Found:
    """Milliseconds."""

    import_ms: list[float] = field(default_factory=list)
    ready_ms: list[float] = field(default_factory=list)
    #: After the crash: from ready to the next order's arrival; negative: it left before the node called itself ready.
    order_ms: list[float] = field(default_factory=list)
    #: And both from the second process's start.
    again_ready_ms: list[float] = field(default_factory=list)
    again_order_ms: list[float] = field(default_factory=list)


async def measure(stage: Stage) -> Found:
    """All runs, in turn.

    Raises:
        BenchError: something did not come up, or the close did not end in proof.
    """
    found = Found()
    work = stage.work / "start"
    work.mkdir()
    async with simulator(work, WITHOUT_LIMITS, accounts=ACCOUNTS) as venue:
        names = await modules_of_a_node(stage, venue, work)
        for turn in range(stage.runs):
            found.import_ms.append(await _import(names, work))
            own = work / str(turn)
            # Everything else is new: a node that remembers a lock would close the new book as soon as it sees it.
            shutil.copytree(work / "state" / "markets", own / "state" / "markets")
            await _run(stage, venue, own, found)
            stage.say(
                f"{turn + 1}/{stage.runs} imports {found.import_ms[-1]:.0f}, ready {found.ready_ms[-1]:.0f}, after the "
                f"crash {found.again_ready_ms[-1]:.0f}, next order {found.order_ms[-1]:.0f} after that"
            )
    return found


async def modules_of_a_node(stage: Stage, venue: Venue, work: Path) -> Path:
    """A file with the names of everything that a node imports until it is ready; its markets are on disk then."""
    profiled = {"PYTHONPROFILEIMPORTTIME": "1"}
    await venue.open_book()
    accounts = range(len(venue.accounts))
    async with daemon.running(
        work, venue, stage.key, stage.broker.port, accounts=accounts, environment=profiled
    ) as node:
        await node.until_warm(venue, positions=venue.positions)
    names = work / "modules"
    names.write_text("\n".join(imported(node.log.read_text())))
    return names


async def _import(names: Path, work: Path) -> float:
    began_ns, log = time.monotonic_ns(), work / "imports.log"
    async with python("-m", "tests.bench.imports", log=log, stdin=True) as process:
        assert process.stdin is not None
        process.stdin.write(f"{names}\n".encode())
        await line_of(process, log)
        return ms(time.monotonic_ns() - began_ns)


async def _run(stage: Stage, venue: Venue, work: Path, found: Found) -> None:
    await venue.open_book()
    await venue.delay(ROUND_TRIP_MS)
    began_ns = time.monotonic_ns()
    async with daemon.running(work, venue, stage.key, stage.broker.port, accounts=range(ACCOUNTS)) as node:
        found.ready_ms.append(ms(await node.ready_ns() - began_ns))
        await node.until_warm(venue)
        # No order is ever answered: the close is in flight when the process dies, and nothing was closed.
        await venue.faults(rules=[{"match": {"intent": "place"}, "times": None, "do": "hang"}])
        command = asyncio.create_task(stage.desk.command(Action.CLOSE_ALL, account="*"), name="bench-command")
        await until(lambda: _orders_seen(venue), "orders are under way", node.log)
        node.process.kill()
        await node.process.wait()
    await asyncio.sleep(ROUND_TRIP_MS / 1e3)  # what was on its way arrives, and is not answered either
    await venue.faults(clear=True, latency_ms=ROUND_TRIP_MS)
    began_ns = time.monotonic_ns()
    async with daemon.running(work, venue, stage.key, stage.broker.port, accounts=range(ACCOUNTS)) as node:
        ready_ns = await node.ready_ns()
        async with asyncio.timeout(ENDING_WITHIN_S):
            ending = (await command).ending
        orders = [each for each in await venue.requests() if each["order_ids"] and each["received_ns"] > began_ns]
    placed = sum(len(each["order_ids"]) for each in orders)
    if ending["verdict"] != "flat" or placed != ACCOUNTS * POSITIONS:
        raise BenchError(f"after the crash: {ending['verdict']} with {placed} orders: {ending['errors']}")
    first_ns = min(each["received_ns"] for each in orders)
    found.again_ready_ms.append(ms(ready_ns - began_ns))
    found.again_order_ms.append(ms(first_ns - began_ns))
    found.order_ms.append(ms(first_ns - ready_ns))


async def _orders_seen(venue: Venue) -> bool:
    return bool(await venue.requests(path_prefix="/fapi/v1/order"))


def lines(found: Found) -> Sequence[Line]:
    """What was promised, held against what was measured."""
    imports_ms = percentile(found.import_ms, 0.5)
    what = f"{ACCOUNTS} accounts, markets on disk, {ROUND_TRIP_MS:g} ms"
    return [
        Line(
            row=8,
            what=f"process start -> ready, {what}",
            unit="ms",
            values=found.ready_ms,
            beside="bare imports",
            floor=imports_ms,
            target=f"<= {IMPORT_FACTOR} x + {ROUND_TRIPS} RTT",
            limit=IMPORT_FACTOR * imports_ms + ROUND_TRIPS * ROUND_TRIP_MS,
        ),
        Line(
            row=8,
            what="SIGKILL in a close, start again: ready -> next order at the venue",
            unit="ms",
            values=found.order_ms,
            target=f"<= {NEXT_ORDER_MS:g} ms",
            limit=NEXT_ORDER_MS,
        ),
        Line(row=8, what="the same: process start -> ready", unit="ms", values=found.again_ready_ms),
        Line(row=8, what="the same: process start -> next order at the venue", unit="ms", values=found.again_order_ms),
    ]
