"""Reads let the first orders of every account go first, and never wait long for them."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from node.engine import departures as module
from node.engine.departures import Departures
from tests.support.virtual_time import VirtualClock, in_virtual_time

ONE, OTHER = UUID(int=1), UUID(int=2)


async def waits(departures: Departures) -> bool:
    """Whether who looks now has to wait."""
    looking = asyncio.ensure_future(departures.over())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting = not looking.done()
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)
    return waiting


async def test_nobody_waits_where_nothing_is_announced() -> None:
    """An account without positions delays nothing."""
    departures = Departures()
    departures.announce(ONE, [])
    assert not await waits(departures)


async def test_all_accounts_orders_go_first() -> None:
    """The last one opens the way."""
    departures = Departures()
    departures.announce(ONE, ["linear", "inverse"])
    departures.announce(OTHER, ["linear"])
    assert departures.pending(OTHER, "linear")
    departures.left(ONE, "linear")
    departures.left(OTHER, "linear")
    assert await waits(departures)
    departures.left(ONE)
    assert not departures.pending(ONE, "inverse")
    assert not await waits(departures)


async def test_orders_that_never_leave_hold_nobody_up_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault in one account is not another one's."""
    monkeypatch.setattr(module, "HEAD_START_S", 0.001)
    departures = Departures()
    departures.announce(ONE, ["linear"])
    async with asyncio.timeout(5):
        await departures.over()
    assert departures.pending(ONE, "linear")


async def test_what_never_leaves_holds_up_only_what_comes_soon_after(monkeypatch: pytest.MonkeyPatch) -> None:
    """An account that hangs delays the first news by a moment, and nothing after that."""
    monkeypatch.setattr(module, "HEAD_START_S", 0.0)
    departures = Departures()
    departures.announce(ONE, ["linear"])
    await departures.over()
    departures.announce(ONE, ["linear"])
    began = asyncio.get_running_loop().time()
    monkeypatch.setattr(module, "HEAD_START_S", 3600.0)
    async with asyncio.timeout(5):
        await departures.over()
    assert asyncio.get_running_loop().time() - began < 5


def test_news_waits_a_moment_longer_than_the_reads_that_follow_the_orders() -> None:
    """And not at all where nothing was announced."""

    async def measured(clock: VirtualClock) -> list[int]:
        departures, began_ns, waited_ns = Departures(), clock.monotonic_ns(), list[int]()
        await departures.reads_out()
        waited_ns.append(clock.monotonic_ns() - began_ns)
        departures.announce(ONE, ["linear"])
        departures.left(ONE)
        await departures.over()
        waited_ns.append(clock.monotonic_ns() - began_ns)
        await departures.reads_out()
        waited_ns.append(clock.monotonic_ns() - began_ns)
        await departures.reads_out()
        return [*waited_ns, clock.monotonic_ns() - began_ns]

    reads_ns = round(module.READS_S * 1e9)
    assert in_virtual_time(measured) == pytest.approx([0, 0, reads_ns, reads_ns], abs=1_000_000)


async def test_each_announcement_is_told() -> None:
    """Whatever would be in the way of orders ceases anew."""
    told: list[int] = []
    departures = Departures(on_announced=lambda: told.append(1))
    departures.announce(ONE, [])
    assert told == []
    departures.announce(ONE, ["linear"])
    departures.announce(ONE, ["linear"])
    assert told == [1]
    departures.announce(OTHER, ["linear"])
    assert told == [1, 1]
