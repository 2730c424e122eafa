"""Minutes in no time: coroutines, and lanes that they send through, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
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
