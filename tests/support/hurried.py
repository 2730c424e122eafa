"""Minutes in no time: coroutines, and lanes that they send through, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from functools import wraps
from typing import Any

from node.venues.lane import Budget, Lane
from tests.support.virtual_time import VirtualLoop


class Hurried:
    """Runs coroutines in a time of their own."""

    def __init__(self) -> None:
        self.loop = VirtualLoop()
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


def in_no_time(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """A test in a time of its own, which moves when everybody sleeps."""

    @wraps(test)
    def hurried(*arguments: Any, **named: Any) -> None:
        Hurried().run(test(*arguments, **named))

    return hurried


class LoopClock:
    """The time of the loop that runs."""

    def now(self) -> datetime:
        """Some day."""
        return datetime(2026, 11, 25, tzinfo=UTC)

    def monotonic_ns(self) -> int:
        """In nanoseconds."""
        return round(asyncio.get_running_loop().time() * 1e9)

    def boottime_ns(self) -> int:
        """The same."""
        return self.monotonic_ns()
