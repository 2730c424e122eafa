"""Numbers of a benchmark: percentiles, tables, and on what they were taken. Pure, except for :func:`machine`."""

from __future__ import annotations

import math
import os
import platform
import time
from collections.abc import Iterable, Sequence
from importlib.metadata import version


def percentile(values: Iterable[float], share: float) -> float:
    """Nearest rank: the smallest value that at least *share* of them do not exceed; nan of none."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)] if ranked else math.nan


def slope(steps: Sequence[float], values: Sequence[float]) -> float:
    """What one more step adds: least squares; 0 of a single step."""
    mean_x, mean_y = sum(steps) / len(steps), sum(values) / len(values)
    spread = sum((x - mean_x) ** 2 for x in steps)
    return sum((x - mean_x) * (y - mean_y) for x, y in zip(steps, values, strict=True)) / spread if spread else 0.0


def ms(duration_ns: int) -> float:
    """Nanoseconds as milliseconds."""
    return round(duration_ns / 1e6, 3)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Columns under each other: the first to the left, the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    )


def at_least_one(text: str) -> int:
    """A number of runs, for argparse.

    Raises:
        ValueError: it is none.
    """
    if (number := int(text)) < 1:
        raise ValueError(text)
    return number


def machine() -> dict[str, object]:
    """What the figures were taken on. The load says whether they were alone; the spin how fast a core was."""
    return {
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "ccxt": version("ccxt"),
        "aiohttp": version("aiohttp"),
        "spin_ms": spin_ms(),
        "load_1m": round(os.getloadavg()[0], 2),
    }


def spin_ms() -> float:
    """The shortest of some runs of a fixed piece of pure Python: absolute figures scale with it."""
    durations = []
    for _ in range(5):
        began_ns = time.perf_counter_ns()
        sum(number * number for number in range(100_000))
        durations.append(time.perf_counter_ns() - began_ns)
    return ms(min(durations))
