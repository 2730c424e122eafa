"""Says when this machine's clock is wrong, by what the venues say of the time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Final

import structlog

_LOOK_EVERY_S: Final = 1.0

log = structlog.get_logger(__name__)


class ClockWatch:
    """``skew``: the venues' clock less ours, where it is beyond what is tolerated; else None. From memory."""

    def __init__(self, skew: Callable[[], timedelta | None]) -> None:
        self._skew = skew
        self._told = False

    async def run(self) -> None:
        """Log every beginning and every end of it. Ends only by cancellation; the owner names the task."""
        while True:
            self.look()
            await asyncio.sleep(_LOOK_EVERY_S)

    def look(self) -> None:
        """Log what has changed since the last look."""
        skew = self._skew()
        if skew is not None and not self._told:
            log.error("clock_is_wrong", ahead_s=round(-skew.total_seconds(), 3))
        elif skew is None and self._told:
            log.warning("clock_is_right_again")
        self._told = skew is not None

    def ping(self) -> str | None:
        """For the readiness."""
        skew = self._skew()
        if skew is None:
            return None
        seconds = -skew.total_seconds()
        return f"{abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'} the exchanges': set it (timedatectl)"
