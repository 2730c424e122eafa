"""What a command leaves to be done once its requests are on their way: its line in the log, its acknowledgement.

Each costs a good part of what it costs to sign and send an order, and nobody waits for it within milliseconds.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

import structlog

from node.engine.departures import Departures

#: May be done at once, or awaited.
Work = Callable[[], Awaitable[None] | None]

log = structlog.get_logger(__name__)


class Afterwards:
    """Done one after the other, in the order it was put here. What is lost with the process is told again by those
    who wait for it: a broker delivers again what was not acknowledged.
    """

    def __init__(self, departures: Departures) -> None:
        self._departures = departures
        self._work: deque[Work] = deque()
        self._some = asyncio.Event()

    def put(self, work: Work) -> None:
        """Have it done soon: at once where no orders are about to leave, else after them and their reads."""
        self._work.append(work)
        self._some.set()

    async def run(self) -> None:
        """Do it, until cancelled; then what is left, at once: whatever was accepted has its line in the log."""
        try:
            while True:
                await self._some.wait()
                await self._departures.reads_out()
                await self._do_all()
                self._some.clear()
        finally:
            await self._do_all()

    async def _do_all(self) -> None:
        while self._work:
            try:
                done = self._work.popleft()()
                if done is not None:
                    await done
            except Exception:
                # The supervisor: a fault of ours in telling must not take the node with it.
                log.exception("afterwards_crashed")
