"""Rows 6 and 7: from a sender's publish to the first order byte, and to a lock that engines can read.

The floor is what nobody can do without: a message through the same broker and back, and one write that is on the disk.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from node.client import EngineLock
from node.domain.command import Action
from tests.bench import configuration, daemon
from tests.bench.echo import Echo
from tests.bench.figures import ms, percentile
from tests.bench.processes import BenchError
from tests.bench.speed.lines import Line
from tests.bench.speed.many_accounts import WITHOUT_LIMITS
from tests.bench.speed.stage import Stage
from tests.bench.speed.watch import LockWatch
from tests.bench.venue import CLIENT_KEY, Venue, simulator

#: Of each kind for one run of the other rows, and for so many runs at most: drills use up the account's budget.
EACH: Final = 10
RUNS: Final = 8
#: Between the ending of one and the next.
PAUSE_S: Final = 0.02
#: A page of the journal's file.
PAGE_BYTES: Final = 4096
ORDER_MORE_MS: Final = 3.0
LOCK_MORE_MS: Final = 2.0
#: A file that has just been written is read again at each look, until its time tells it from the next.
SETTLED_S: Final = 0.1
#: A look at the lock file, so many at a time.
LOOKS: Final = 500
LOOK_FACTOR: Final = 0.5


@dataclass(slots=True)
class Found:
    """Milliseconds, and microseconds of looks."""

    sync_ms: list[float] = field(default_factory=list)
    echo_ms: list[float] = field(default_factory=list)
    order_ms: list[float] = field(default_factory=list)
    lock_ms: list[float] = field(default_factory=list)
    unlock_ms: list[float] = field(default_factory=list)
    look_us: list[float] = field(default_factory=list)
    parse_us: list[float] = field(default_factory=list)

    @property
    def floor_ms(self) -> float:
        """The medians of both together."""
        return percentile(self.sync_ms, 0.5) + percentile(self.echo_ms, 0.5)


class Disk:
    """One write that is on the disk, in the directory of the journal: a page of a file that is there already."""

    def __init__(self, directory: Path) -> None:
        self._descriptor = os.open(directory / "floor", os.O_RDWR | os.O_CREAT, 0o600)
        os.pwrite(self._descriptor, bytes(PAGE_BYTES), 0)
        os.fsync(self._descriptor)

    def once(self) -> float:
        """Milliseconds."""
        page = os.urandom(PAGE_BYTES)
        began_ns = time.monotonic_ns()
        os.pwrite(self._descriptor, page, 0)
        os.fdatasync(self._descriptor)
        return ms(time.monotonic_ns() - began_ns)

    def close(self) -> None:
        """Of the file."""
        os.close(self._descriptor)


async def measure(stage: Stage) -> Found:
    """Everything in turn, one at a time.

    Raises:
        BenchError: something did not come up, or a command did not do what it should.
    """
    found = Found()
    async with AsyncExitStack() as stack:
        work = stage.work / "wire"
        work.mkdir()
        venue = await stack.enter_async_context(simulator(work, WITHOUT_LIMITS))
        await venue.open_book()
        node = await stack.enter_async_context(daemon.running(work, venue, stage.key, stage.broker.port))
        await node.until_warm(venue)
        echo = await stack.enter_async_context(Echo(stage.broker.port))
        disk = Disk(work)
        stack.callback(disk.close)
        lock_file = node.runtime / "locks" / f"{configuration.ACCOUNT_ID}.json"
        watch = stack.enter_context(LockWatch(lock_file))
        for turn in range(-1, min(stage.runs, RUNS)):
            taken = found if turn >= 0 else Found()
            for _ in range(EACH):
                taken.sync_ms.append(disk.once())
                taken.echo_ms.append(await echo.once())
                taken.order_ms.append(await _drill(stage, venue))
                await asyncio.sleep(PAUSE_S)
                await _lock(stage, watch, taken)
                await asyncio.sleep(PAUSE_S)
            _look(lock_file, taken)
        stage.say(f"{len(found.order_ms)} drills, locks and unlocks; {len(found.echo_ms)} echoes and syncs")
    return found


async def _drill(stage: Stage, venue: Venue) -> float:
    """Publish to the arrival of a drill's probe, which takes the way of every order."""
    newest = max((each["number"] for each in await venue.requests(method="DELETE", key=CLIENT_KEY)), default=0)
    sent = await stage.desk.command(Action.CLOSE_ALL, dry_run=True)
    if sent.ending["verdict"] != "drill_passed":
        raise BenchError(f"a drill ended as {sent.ending['verdict']}: {sent.ending['errors']}")
    probes = await venue.requests(after=newest, method="DELETE", key=CLIENT_KEY)
    if len(probes) != 1:
        raise BenchError(f"{len(probes)} probes for one drill")
    return ms(probes[0]["received_ns"] - sent.handed_over_ns)


async def _lock(stage: Stage, watch: LockWatch, taken: Found) -> None:
    """Lock and unlock, each until the file says so."""
    sent = await stage.desk.command(Action.LOCK)
    changed_ns = await asyncio.to_thread(watch.changed_ns, locked=True, after_ns=sent.handed_over_ns)
    taken.lock_ms.append(ms(changed_ns - sent.handed_over_ns))
    await asyncio.sleep(PAUSE_S)
    sent = await stage.desk.command(Action.UNLOCK, epoch=sent.ending["lock"]["epoch"])
    changed_ns = await asyncio.to_thread(watch.changed_ns, locked=False, after_ns=sent.handed_over_ns)
    taken.unlock_ms.append(ms(changed_ns - sent.handed_over_ns))


def _look(lock_file: Path, taken: Found) -> None:
    """What an engine asks before an order: through the client, and by reading and understanding the file each time."""
    lock = EngineLock(lock_file.parents[1], str(configuration.ACCOUNT_ID))
    if lock.locked:
        raise BenchError(f"the engine's side sees a lock: {lock.state().reason}")
    time.sleep(SETTLED_S)
    check: Callable[[], Any] = getattr(lock, "check", lambda: lock.locked)
    taken.look_us.append(_each_us(check))
    taken.parse_us.append(_each_us(lambda: _parsed(lock_file)))


def _parsed(lock_file: Path) -> bool:
    document: dict[str, Any] = json.loads(lock_file.read_bytes())
    late = time.clock_gettime_ns(time.CLOCK_BOOTTIME) > document["valid_until_boottime_ns"]
    return bool(document["locked"] or late)


def _each_us(look: Callable[[], object]) -> float:
    began_ns = time.perf_counter_ns()
    for _ in range(LOOKS):
        look()
    return (time.perf_counter_ns() - began_ns) / LOOKS / 1e3


def lines(found: Found, rows: frozenset[int]) -> Sequence[Line]:
    """What was promised, held against what was measured."""
    floor = found.floor_ms
    parts = f"disk {percentile(found.sync_ms, 0.5):.2f} + echo"

    def beside(row: int, what: str, values: list[float], more_ms: float | None) -> Line:
        target = None if more_ms is None else f"<= floor + {more_ms:g} ms"
        limit = None if more_ms is None else floor + more_ms
        return Line(row=row, what=what, unit="ms", values=values, beside=parts, floor=floor, target=target, limit=limit)

    said = [
        beside(6, "MQTT publish -> first order byte at the venue", found.order_ms, ORDER_MORE_MS),
        beside(7, "LOCK published -> lock file changed", found.lock_ms, LOCK_MORE_MS),
        beside(7, "UNLOCK published -> lock file changed", found.unlock_ms, None),
        Line(
            row=7,
            what="engine's look at the lock, by stat and cache",
            unit="us",
            values=found.look_us,
            beside="read and parse",
            floor=(parse := percentile(found.parse_us, 0.5)),
            target=f"< {LOOK_FACTOR:g} x",
            limit=parse * LOOK_FACTOR,
        ),
    ]
    return [line for line in said if line.row in rows]
