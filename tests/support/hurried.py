"""Minutes in no time: an event loop that does not wait but turns its clock on."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, Final

from node.venues.lane import Budget, Lane

SECOND: Final = 1_000_000_000


class HurriedLoop(asyncio.SelectorEventLoop):
    """A loop whose time moves only when everybody sleeps, and then at once to when the first one wakes."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        super().__init__(_NoWaiting(self))

    def time(self) -> float:
        """Seconds."""
        return self.now_s

    def time_ns(self) -> int:
        """The same in nanoseconds."""
        return round(self.now_s * SECOND)


class _NoWaiting(selectors.SelectSelector):
    """Turns the loop's time on instead of waiting."""

    def __init__(self, loop: HurriedLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Whatever is there now."""
        assert timeout is not None, "nobody will ever wake"
        self._loop.now_s += max(0.0, timeout)
        return super().select(0)


class Hurried:
    """Runs coroutines in a time of their own."""

    def __init__(self) -> None:
        self.loop = HurriedLoop()
        self.began_s = self.loop.now_s

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """To its end."""
        with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
            runner.run(work)

    def at_s(self) -> float:
        """Seconds since the beginning."""
        return self.loop.now_s - self.began_s

    def lane(self, **budgets: Budget) -> Lane:
        """One that lives in this time."""
        return Lane(budgets, clock_ns=self.loop.time_ns)
