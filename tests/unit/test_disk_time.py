"""Patience with a disk is spent by the disk, not by an event loop that is busy elsewhere."""

from __future__ import annotations

import asyncio
import threading
import time

from node.journal.disk_time import LONGEST, DiskTime


async def answer(disk: DiskTime, given: threading.Event) -> None:
    """What a thread brings that waits for its disk."""
    await asyncio.to_thread(disk.spent_by(given.wait), 10.0)


async def test_a_disk_that_keeps_silent_is_given_up_on() -> None:
    """What was asked goes on, and may still be answered."""
    disk, given = DiskTime(), threading.Event()
    task = asyncio.create_task(answer(disk, given), name="asked")
    assert not await disk.answers(task, 0.05)
    assert disk.silent_s >= 0.05
    given.set()
    assert await disk.answers(task, 10.0)
    assert disk.silent_s == 0


async def test_what_was_to_be_done_before_counts_as_well() -> None:
    """A queue at a disk that hangs is as hopeless."""
    disk, given = DiskTime(), threading.Event()
    first = asyncio.create_task(answer(disk, given), name="first")
    behind = asyncio.create_task(asyncio.sleep(10), name="behind")
    assert not await disk.answers(behind, 0.05)
    behind.cancel()
    given.set()
    await first


async def test_waiting_for_anything_else_does_not_count() -> None:
    """An answer that has long been given and is not heard yet."""
    disk = DiskTime()
    task = asyncio.create_task(asyncio.sleep(0.2), name="not heard yet")
    assert await disk.answers(task, 0.1)


async def test_what_was_spent_before_does_not_count() -> None:
    """Everybody has the same patience."""
    disk = DiskTime()
    with disk.spent():
        time.sleep(0.3)  # noqa: ASYNC251 - the disk's
    task = asyncio.create_task(asyncio.sleep(0.01), name="asked")
    assert await disk.answers(task, 0.2)


async def test_many_short_waits_count_like_a_long_one() -> None:
    """A queue of which each takes half as long as anybody waits."""
    disk, ended = DiskTime(), asyncio.Event()

    async def queue() -> None:
        while not ended.is_set():
            await asyncio.to_thread(disk.spent_by(time.sleep), 0.05)

    working = asyncio.create_task(queue(), name="queue")
    behind = asyncio.create_task(asyncio.sleep(60), name="behind")
    began = time.monotonic()
    assert not await disk.answers(behind, 0.1)
    assert time.monotonic() - began < LONGEST * 0.1
    behind.cancel()
    ended.set()
    await working


async def test_nobody_waits_for_ever_for_what_is_not_the_disks() -> None:
    """A thread that is gone answers nobody, and nobody's time is counted."""
    disk = DiskTime()
    task = asyncio.create_task(asyncio.sleep(60), name="never")
    assert not await disk.answers(task, 0.01)
    task.cancel()
