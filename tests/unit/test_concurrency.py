"""Several things at once: what fails, what is cancelled, and that neither hides the other."""

from __future__ import annotations

import asyncio

import pytest

from node.concurrency import together
from node.errors import VenueUnavailable


async def _value(value: int, after: asyncio.Event | None = None) -> int:
    if after is not None:
        await after.wait()
    return value


async def _failure(when: asyncio.Event) -> None:
    await when.wait()
    raise VenueUnavailable("away")


async def test_the_results_come_in_the_order_of_the_question() -> None:
    """Whichever ends first; of none there are none."""
    later = asyncio.Event()
    asyncio.get_running_loop().call_later(0.01, later.set)
    assert await together(_value(1, later), _value(2)) == [1, 2]
    assert await together() == []


async def test_a_failure_ends_the_others_before_it_is_told() -> None:
    """None of them runs on unseen."""
    ended = False

    async def endless() -> None:
        nonlocal ended
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            ended = True

    now = asyncio.Event()
    now.set()
    with pytest.raises(VenueUnavailable):
        await together(endless(), _failure(now))
    assert ended


async def test_a_cancellation_in_the_moment_of_a_failure_is_not_lost() -> None:
    """A loop that goes on after failures would otherwise go on for ever."""
    now = asyncio.Event()
    task = asyncio.create_task(together(_failure(now), asyncio.Event().wait()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    now.set()
    await asyncio.sleep(0)  # it fails in this turn; its parent has not heard of it
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
