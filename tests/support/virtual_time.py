"""An event loop whose time passes at once: waiting costs nothing, and everything happens in a fixed order."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from unittest.mock import patch

T = TypeVar("T")
EPOCH = datetime(2026, 11, 20, tzinfo=UTC)


class VirtualLoop(asyncio.SelectorEventLoop):
    """Skips to the next timer instead of waiting for it. Nothing from outside is ever waited for."""

    def __init__(self) -> None:
        self.now_s = 1_000.0
        super().__init__(_NoWaiting(self))

    def time(self) -> float:
        """Seconds."""
        return self.now_s

    def time_ns(self) -> int:
        """The same in nanoseconds."""
        return round(self.now_s * 1e9)


class _NoWaiting(selectors.SelectSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("everybody waits for somebody else")
        self._loop.now_s += max(0.0, timeout)
        return super().select(0)


class VirtualClock:
    """The clock of such a loop."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        #: By how much somebody has set the wall clock.
        self.stepped = timedelta()

    def now(self) -> datetime:
        return self.at(self.monotonic_ns()) + self.stepped

    def at(self, monotonic_ns: int) -> datetime:
        return EPOCH + timedelta(microseconds=monotonic_ns // 1000)

    def monotonic_ns(self) -> int:
        return self._loop.time_ns()

    def boottime_ns(self) -> int:
        return self.monotonic_ns()


def in_virtual_time(main: Callable[[VirtualClock], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine with the engine of these tests on virtual time, and its jitter without chance."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualLoop)
        clock = VirtualClock(loop)
        with (
            patch("tests.support.engine.SystemClock", return_value=clock),
            patch("secrets.randbelow", side_effect=lambda most: most // 2),
        ):
            return runner.run(main(clock))
