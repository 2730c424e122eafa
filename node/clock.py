"""Wall, monotonic and boot time behind one small port."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol


class Clock(Protocol):
    """What time it is, in the three senses that matter."""

    def now(self) -> datetime:
        """Aware UTC: for instants that people and other machines see."""

    def monotonic_ns(self) -> int:
        """For durations."""

    def boottime_ns(self) -> int:
        """Since boot, counting suspension: comparable between processes of one host."""


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        """Aware UTC."""
        return datetime.now(UTC)

    def monotonic_ns(self) -> int:
        """The clock of durations."""
        return time.monotonic_ns()

    def boottime_ns(self) -> int:
        """The clock of leases between processes of one host."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic_ns()


def boot_id() -> str:
    """Names this boot of the machine; boot times of different boots cannot be compared."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "unknown"
