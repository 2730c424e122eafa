"""How long a disk keeps us waiting, as seen by the thread that waits for it.

The event loop is no witness: while it is busy with two thousand orders, an answer that the disk has long given waits
for its turn, several times over.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

#: However busy the event loop is, and whatever has become of the thread: nobody waits for longer than so many times
#: their patience.
LONGEST: Final = 5

C = TypeVar("C")
T = TypeVar("T")


class DiskTime:
    """Of one connection, on which one thing is done at a time."""

    def __init__(self) -> None:
        #: What has ended has taken so long, and when what is being done was begun. Replaced as one: they are read in
        #: another thread.
        self._spent_ns: tuple[int, int | None] = (0, None)

    @property
    def silent_s(self) -> float:
        """How long the disk has owed its answer; 0 while it owes none. A refusal is an answer."""
        _, since_ns = self._spent_ns
        return 0.0 if since_ns is None else (time.monotonic_ns() - since_ns) / 1e9

    @contextmanager
    def spent(self) -> Iterator[None]:
        """What is done inside waits for the disk."""
        before_ns, _ = self._spent_ns
        since_ns = time.monotonic_ns()
        self._spent_ns = (before_ns, since_ns)
        try:
            yield
        finally:
            self._spent_ns = (before_ns + time.monotonic_ns() - since_ns, None)

    def spent_by(self, work: Callable[[C], T]) -> Callable[[C], T]:
        """*work*, to be called in the connection's thread."""

        def timed(connection: C) -> T:
            with self.spent():
                return work(connection)

        return timed

    async def answers(self, task: asyncio.Task[Any], within_s: float) -> bool:
        """Wait for *task*. False: the disk has taken so many seconds since, for this or for what was to be done before;
        or ``LONGEST`` times as many have passed on whatever.

        Cancelling the caller abandons the answer, never the task.
        """
        began_s, until_s = self._total_s(), time.monotonic() + LONGEST * within_s
        while not task.done():
            left_s = min(within_s - (self._total_s() - began_s), until_s - time.monotonic())
            if left_s <= 0:
                return False
            await asyncio.wait({task}, timeout=left_s)
        return True

    def _total_s(self) -> float:
        spent_ns, since_ns = self._spent_ns
        return (spent_ns + (0 if since_ns is None else time.monotonic_ns() - since_ns)) / 1e9
