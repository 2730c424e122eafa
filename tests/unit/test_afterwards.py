"""What only tells of a command waits for its requests, and is done in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from node.engine.afterwards import Afterwards
from node.engine.departures import HEAD_START_S, READS_S, Departures
from tests.support.virtual_time import VirtualClock, in_virtual_time
from tests.support.waiting import end, until

ACCOUNT = UUID(int=1)


@asynccontextmanager
async def running(afterwards: Afterwards) -> AsyncIterator[None]:
    """Until the end of the block."""
    task = asyncio.create_task(afterwards.run(), name="afterwards")
    try:
        yield
    finally:
        await end([task])


async def test_it_is_done_in_order_whether_it_has_to_be_awaited_or_not() -> None:
    """A line in the log comes before the acknowledgement that was put after it."""
    afterwards, done = Afterwards(Departures()), list[str]()

    async def acknowledge() -> None:
        await asyncio.sleep(0)
        done.append("acknowledged")

    afterwards.put(lambda: done.append("first"))
    async with running(afterwards):
        afterwards.put(acknowledge)
        afterwards.put(lambda: done.append("last"))
        await until(lambda: len(done) == 3)
    assert done == ["first", "acknowledged", "last"]


def test_it_waits_for_orders_that_are_about_to_leave_and_for_their_reads() -> None:
    """But not for long."""

    async def waited(_clock: VirtualClock) -> tuple[float, float, float]:
        loop, departures = asyncio.get_running_loop(), Departures()
        afterwards, at = Afterwards(departures), list[float]()
        async with running(afterwards):
            departures.announce(ACCOUNT, ["linear"])
            afterwards.put(lambda: at.append(loop.time()))
            await asyncio.sleep(HEAD_START_S / 2)
            left = loop.time()
            departures.left(ACCOUNT)
            await asyncio.sleep(HEAD_START_S)
            departures.announce(ACCOUNT, ["linear"])
            announced = loop.time()
            afterwards.put(lambda: at.append(loop.time()))
            await asyncio.sleep(1.0)
            put = loop.time()
            afterwards.put(lambda: at.append(loop.time()))
            await asyncio.sleep(1.0)
        return at[0] - left, at[1] - announced, at[2] - put

    after_leaving, after_announcing, otherwise = in_virtual_time(waited)
    assert abs(after_leaving - READS_S) < 1e-6
    assert HEAD_START_S - 1e-6 <= after_announcing <= HEAD_START_S + READS_S + 1e-6
    assert otherwise < 1e-6


async def test_what_fails_does_not_end_it() -> None:
    """A fault in telling must not take the node, nor the acknowledgements that come after it."""
    afterwards, done = Afterwards(Departures()), list[str]()

    def fails() -> None:
        raise ValueError("no such packet")

    async def fails_later() -> None:
        await asyncio.sleep(0)
        raise ValueError("no such packet")

    async with running(afterwards):
        afterwards.put(fails)
        afterwards.put(fails_later)
        afterwards.put(lambda: done.append("acknowledged"))
        await until(lambda: done == ["acknowledged"])
        afterwards.put(lambda: done.append("another time"))
        await until(lambda: done == ["acknowledged", "another time"])


async def test_what_waits_when_the_node_ends_is_done() -> None:
    """A command that was accepted has its line in the log, and its broker need not deliver it again."""
    departures, done = Departures(), list[str]()
    afterwards = Afterwards(departures)

    async def acknowledge() -> None:
        done.append("acknowledged")

    async with running(afterwards):
        departures.announce(ACCOUNT, ["linear"])
        afterwards.put(lambda: done.append("told"))
        await asyncio.sleep(0)
        afterwards.put(acknowledge)
        await asyncio.sleep(0)
        assert done == []
    assert done == ["told", "acknowledged"]
