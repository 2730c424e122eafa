"""Waiting for what nobody announces."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

#: How long a test waits for what must come. It is no statement about the node: machines that run tests are busy.
PATIENCE_S: Final = 30.0


async def until(true: Callable[[], object], *, within_s: float = PATIENCE_S) -> None:
    """Look again and again until it is so."""
    async with asyncio.timeout(within_s):
        while not true():  # noqa: ASYNC110 - a condition of another process, thread or library
            await asyncio.sleep(0.002)
