"""Who still has first orders to put onto the wire, over all accounts: what only looks or tells lets them go first.

One process signs and sends one thing after the other: a read that is signed before an order makes the order late, and
so does the news of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final
from uuid import UUID

#: How long what only looks or tells waits at most. The orders of ten accounts are out by then.
HEAD_START_S: Final = 0.05
#: How long what only tells waits for the reads that follow the orders of an account.
READS_S: Final = 0.01


class Departures:
    """The slices, of any account, whose first orders are still to leave."""

    def __init__(self, on_announced: Callable[[], None] = lambda: None) -> None:
        """*on_announced*: called with each announcement."""
        self._on_announced = on_announced
        self._waiting: set[tuple[UUID, str]] = set()
        #: Monotonic, of the event loop: after that nobody waits for what was announced.
        self._until_s = 0.0
        #: When all orders were out, or given up on; never while nothing was announced.
        self._out_at_s = float("-inf")
        self._all_out = asyncio.Event()
        self._all_out.set()

    def announce(self, account_id: UUID, slices: Iterable[str]) -> None:
        """Slices of an account that are about to send their first orders; ``left`` must follow for each, or for all."""
        announced = {(account_id, name) for name in slices} - self._waiting
        if announced:
            self._on_announced()
            self._waiting |= announced
            self._until_s = asyncio.get_running_loop().time() + HEAD_START_S
            self._all_out.clear()

    def left(self, account_id: UUID, slice_name: str | None = None) -> None:
        """Its first orders are on their way, or will not come; of all its slices where none is named."""
        self._waiting = {
            (account, name)
            for account, name in self._waiting
            if account != account_id or slice_name not in (None, name)
        }
        if not self._waiting and not self._all_out.is_set():
            self._out_at_s = asyncio.get_running_loop().time()
            self._all_out.set()

    def pending(self, account_id: UUID, slice_name: str) -> bool:
        """Whether the slice's first orders are still to leave."""
        return (account_id, slice_name) in self._waiting

    async def over(self) -> None:
        """Return when all have left, or a short while after the last was announced."""
        if self._all_out.is_set():
            return
        try:
            async with asyncio.timeout_at(self._until_s):
                await self._all_out.wait()
        except TimeoutError:
            pass

    async def reads_out(self) -> None:
        """Return when the reads that follow the orders are likely to have left, too; for what only tells."""
        await self.over()
        wait_s = min(self._out_at_s, self._until_s) + READS_S - asyncio.get_running_loop().time()
        if wait_s > 0:
            await asyncio.sleep(wait_s)
