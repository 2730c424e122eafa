"""Rows 9 and 10: what a node takes while nothing happens: memory, processor time, and of the venue's budgets."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from node.sim.binance.front_end import BUDGETS, ROUTES
from node.sim.binance.limits import MINUTE_MS
from node.venues.lane import BACKGROUND_SHARE
from tests.bench import daemon
from tests.bench.figures import percentile, slope
from tests.bench.processes import line_of, processor_s, python, resident_bytes
from tests.bench.speed.lines import Line
from tests.bench.speed.many_accounts import WITHOUT_LIMITS
from tests.bench.speed.stage import Stage
from tests.bench.speed.start import modules_of_a_node
from tests.bench.venue import Document, Venue, simulator

#: Memory is taken at each of these.
ACCOUNTS: Final = (1, 5, 10)
IDLE_ACCOUNTS: Final = 20
#: After the last account is armed, until its memory is taken; shorter in a quick run.
SETTLE_S: Final = (40.0, 15.0)
#: Arming twenty accounts at one address uses a minute's budget up; the node then refrains from polling for a minute,
#: and then spends what it has saved. What is idle begins after that.
REFRAIN_S: Final = 150.0
MINUTE_S: Final = MINUTE_MS / 1e3
#: Sockets are pinged every other minute.
MINUTES: Final = 4
ARMED_WITHIN_S: Final = 300.0
#: Nothing here waits for anything: a few runs tell.
RUNS: Final = 3

BESIDES_MIB: Final = 20.0
EACH_MIB: Final = 0.7
PROCESSOR_PERCENT: Final = 3.0
MIB: Final = 2**20


@dataclass(slots=True)
class Found:
    """Mebibytes; percent of a core and of the venue's scarcest budget."""

    imports_mib: list[float] = field(default_factory=list)
    markets_mib: list[float] = field(default_factory=list)
    one_mib: list[float] = field(default_factory=list)
    each_empty_mib: list[float] = field(default_factory=list)
    each_full_mib: list[float] = field(default_factory=list)
    processor_percent: list[float] = field(default_factory=list)
    #: Of each minute: what reads took, and what they and the pings of sockets did.
    reads_percent: list[float] = field(default_factory=list)
    minute_percent: list[float] = field(default_factory=list)
    #: Of all minutes together.
    budget_percent: list[float] = field(default_factory=list)
    requests_a_second: list[float] = field(default_factory=list)


async def measure(stage: Stage, rows: frozenset[int]) -> Found:
    """All of it.

    Raises:
        BenchError: something did not come up.
    """
    found = Found()
    for turn in range(1 if stage.quick else min(RUNS, stage.runs)):
        with TemporaryDirectory(prefix="idle-", dir=stage.work) as work:
            if 9 in rows:
                await _memory(stage, Path(work), found)
            if 10 in rows and not turn:
                await _idle(stage, Path(work), found)
        stage.say(f"footprint {turn + 1}: {found}")
    return found


async def _memory(stage: Stage, work: Path, found: Found) -> None:
    for empty, series in ((True, found.each_empty_mib), (False, found.each_full_mib)):
        place = work / ("empty" if empty else "full")
        place.mkdir()
        async with simulator(place, WITHOUT_LIMITS, accounts=max(ACCOUNTS), empty=empty) as venue:
            if empty:
                await _bare(stage, venue, place, found)
            sizes = []
            for accounts in ACCOUNTS:
                async with _armed(stage, venue, place / str(accounts), accounts) as node:
                    await asyncio.sleep(SETTLE_S[stage.quick])
                    sizes.append(resident_bytes(node.process) / MIB)
            series.append(slope(ACCOUNTS, sizes))
            if empty:
                found.one_mib.append(sizes[0])


async def _bare(stage: Stage, venue: Venue, work: Path, found: Found) -> None:
    names = await modules_of_a_node(stage, venue, work)
    settings = {"port": venue.port, "ca": str(venue.ca), "credentials": venue.credentials}
    log = work / "imports.log"
    async with python("-m", "tests.bench.imports", log=log, stdin=True) as process:
        assert process.stdin is not None
        process.stdin.write(f"{names}\n".encode())
        await line_of(process, log)
        found.imports_mib.append(resident_bytes(process) / MIB)
        process.stdin.write(json.dumps(settings).encode() + b"\n")
        await line_of(process, log)
        found.markets_mib.append(resident_bytes(process) / MIB)


async def _idle(stage: Stage, work: Path, found: Found) -> None:
    place = work / "idle"
    place.mkdir()
    async with (
        simulator(place, WITHOUT_LIMITS, accounts=IDLE_ACCOUNTS) as venue,
        _armed(stage, venue, place / "node", IDLE_ACCOUNTS) as node,
    ):
        await asyncio.sleep(REFRAIN_S)
        newest = (await venue.requests())[-1]["number"]
        requests, used_s = [], processor_s(node.process)
        for _ in range(MINUTES):
            await asyncio.sleep(MINUTE_S)
            requests.append(await venue.requests(after=newest))
            newest = requests[-1][-1]["number"]
        used_s = processor_s(node.process) - used_s
    for minute in requests:
        reads = [request for request in minute if not request["path"].endswith("/time")]
        found.reads_percent.append(scarcest_share(reads, MINUTE_S) * 100)
        found.minute_percent.append(scarcest_share(minute, MINUTE_S) * 100)
    found.processor_percent.append(used_s / MINUTES / MINUTE_S * 100)
    found.requests_a_second.append(sum(map(len, requests)) / MINUTES / MINUTE_S)
    found.budget_percent.append(scarcest_share([*chain(*requests)], MINUTES * MINUTE_S) * 100)


def scarcest_share(requests: Sequence[Document], length_s: float) -> float:
    """Of the budget that was used most: which part of it the requests' weights are."""
    spent: Counter[str] = Counter()
    for request in requests:
        endpoint = ROUTES.get((request["method"], request["path"]))
        if endpoint is None or endpoint.by_account:
            continue
        whole = endpoint.weight_all is not None and not request["params"].get("symbol")
        spent[request["path"].split("/", 2)[1]] += (endpoint.weight_all or 0) if whole else endpoint.weight
    intervals = length_s / MINUTE_S
    return max((weight / (BUDGETS[root].weight_1m * intervals) for root, weight in spent.items()), default=0.0)


@asynccontextmanager
async def _armed(stage: Stage, venue: Venue, work: Path, accounts: int) -> AsyncIterator[daemon.Daemon]:
    """A node that has nothing to do."""
    await venue.open_book()
    async with daemon.running(work, venue, stage.key, stage.broker.port, accounts=range(accounts)) as node:
        await node.until_warm(venue, positions=venue.positions, within_s=ARMED_WITHIN_S)
        yield node


def lines(found: Found, rows: frozenset[int]) -> Sequence[Line]:
    """What was promised, held against what was measured."""
    said: list[Line] = []
    if 9 in rows:
        markets_mib = percentile(found.markets_mib, 0.5)
        said += [
            Line(row=9, what="memory of the imports", unit="MiB", values=found.imports_mib),
            Line(
                row=9,
                what="memory of a node with one account",
                unit="MiB",
                values=found.one_mib,
                beside="imports, markets",
                floor=markets_mib,
                target=f"<= that + {BESIDES_MIB:g} MiB",
                limit=markets_mib + BESIDES_MIB,
            ),
            *(
                Line(
                    row=9,
                    what=f"each further account {what}",
                    unit="MiB",
                    values=values,
                    target=f"<= {EACH_MIB:g} MiB",
                    limit=EACH_MIB,
                )
                for what, values in (
                    ("that holds nothing", found.each_empty_mib),
                    ("of 20 positions", found.each_full_mib),
                )
            ),
        ]
    if 10 in rows:
        share = BACKGROUND_SHARE * 100
        said += [
            Line(
                row=10,
                what=f"idle, {IDLE_ACCOUNTS} accounts of 20 positions: processor",
                unit="% of a core",
                values=found.processor_percent,
                target=f"<= {PROCESSOR_PERCENT:g} %",
                limit=PROCESSOR_PERCENT,
            ),
            *(
                Line(row=10, what=what, unit="% of it", values=values, target=f"<= {share:g} %", limit=share)
                for what, values in (
                    ("the scarcest of the venue's budgets: reads of each minute", found.reads_percent),
                    (f"reads and pings of sockets, over {MINUTES} minutes", found.budget_percent),
                )
            ),
            Line(row=10, what="the same, of each minute", unit="% of it", values=found.minute_percent),
            Line(row=10, what="requests while idle", unit="a second", values=found.requests_a_second),
        ]
    return said
