"""How long a disk keeps us waiting, as seen by the thread that waits for it.

The event loop is no witness: while it is busy with two thousand orders, an answer that the disk has long given waits
for its turn, several times over.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

C = TypeVar("C")
T = TypeVar("T")


class DiskTime:
    """Of one connection, on which one thing is done at a time."""

    def __init__(self) -> None:
        self._spent_ns = 0
        #: When what is being done was begun.
        self._since_ns: int | None = None

    @property
    def silent_s(self) -> float:
        """How long the disk has owed its answer; 0 while it owes none. A refusal is an answer."""
        since_ns = self._since_ns
        return 0.0 if since_ns is None else (time.monotonic_ns() - since_ns) / 1e9

    @contextmanager
    def spent(self) -> Iterator[None]:
        """What is done inside waits for the disk."""
        since_ns = self._since_ns = time.monotonic_ns()
        try:
            yield
        finally:
            self._since_ns = None
            self._spent_ns += time.monotonic_ns() - since_ns

    def spent_by(self, work: Callable[[C], T]) -> Callable[[C], T]:
        """*work*, to be called in the connection's thread."""

        def timed(connection: C) -> T:
            with self.spent():
                return work(connection)

        return timed

    async def answers(self, task: asyncio.Task[Any], within_s: float) -> bool:
        """Wait for *task*. False: the disk has taken so many seconds since, for this or for what was to be done before.

        Cancelling the caller abandons the answer, never the task.
        """
        began_s = self._total_s()
        while not task.done():
            left_s = within_s - (self._total_s() - began_s)
            if left_s <= 0:
                return False
            await asyncio.wait({task}, timeout=left_s)
        return True

    def _total_s(self) -> float:
        return self._spent_ns / 1e9 + self.silent_s
