"""Waiting for what nobody announces."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

#: How long a test waits for what must come. It is no statement about the node: machines that run tests are busy.
PATIENCE_S: Final = 30.0


async def until(true: Callable[[], object], *, within_s: float = PATIENCE_S) -> None:
    """Look again and again until it is so."""
    async with asyncio.timeout(within_s):
        while not true():  # noqa: ASYNC110 - a condition of another process, thread or library
            await asyncio.sleep(0.002)


async def end(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Cancel what serves a test, and see that none of it had died of a fault before."""
    for task in tasks:
        task.cancel()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    faults = [each for each in ended if isinstance(each, Exception)]
    assert not faults, faults
