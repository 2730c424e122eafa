"""Whether a figure levels off: quarters of a run compared, and the slope of its second half. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from tests.bench.figures import percentile, slope, table

MIB: Final = 1024 * 1024
#: Fewer samples than this a quarter say nothing.
SAMPLES_MIN: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One look at the daemon."""

    #: Since the traffic began.
    at_s: float
    resident_bytes: float
    files: float
    threads: float
    tasks: float
    wal_bytes: float
    journal_bytes: float
    backups_bytes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What is looked at, and how much more of it in the last quarter than in the middle is still level.

    What breathes with the traffic (connections, tasks, the log of writes) is compared by its median.
    """

    name: str
    what: str
    unit: str
    per_unit: float
    #: Of the middle's value, and in units; both may be used up.
    share: float
    slack: float


FIGURES: Final = (
    Figure(name="resident_bytes", what="resident memory", unit="MiB", per_unit=MIB, share=0.02, slack=2),
    Figure(name="files", what="file descriptors", unit="", per_unit=1, share=0.05, slack=2),
    Figure(name="threads", what="threads", unit="", per_unit=1, share=0, slack=1),
    Figure(name="tasks", what="asyncio tasks", unit="", per_unit=1, share=0.05, slack=2),
    Figure(name="wal_bytes", what="write-ahead log", unit="MiB", per_unit=MIB, share=0.05, slack=0.25),
    Figure(name="journal_bytes", what="journal", unit="MiB", per_unit=MIB, share=0.05, slack=0.25),
    Figure(name="backups_bytes", what="backups", unit="MiB", per_unit=MIB, share=0.05, slack=0.75),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One figure of a whole run, in its unit."""

    figure: Figure
    first: float
    middle: float
    last: float
    peak: float
    #: Of the second half, an hour.
    slope_per_h: float

    @property
    def allowed(self) -> float:
        """The largest last quarter that is level."""
        return self.middle * (1 + self.figure.share) + self.figure.slack

    @property
    def level(self) -> bool:
        """Whether it levels off."""
        return self.last <= self.allowed

    def document(self) -> dict[str, Any]:
        """As JSON."""
        numbers = {name: round(getattr(self, name), 3) for name in ("first", "middle", "last", "peak", "slope_per_h")}
        return {"figure": self.figure.name, "unit": self.figure.unit, **numbers, "level": self.level}


def levels(samples: Sequence[Sample]) -> list[Level]:
    """Every figure: medians of the first quarter, of the two in the middle, and of the last.

    Raises:
        ValueError: too few samples to say anything.
    """
    if len(samples) < 4 * SAMPLES_MIN:
        raise ValueError(f"{len(samples)} samples: at least {4 * SAMPLES_MIN} are needed")
    quarter = len(samples) // 4
    found = []
    for figure in FIGURES:
        values = [getattr(sample, figure.name) / figure.per_unit for sample in samples]
        late = slice(len(values) // 2, None)
        found.append(
            Level(
                figure=figure,
                first=percentile(values[:quarter], 0.5),
                middle=percentile(values[quarter:-quarter], 0.5),
                last=percentile(values[-quarter:], 0.5),
                peak=max(values),
                slope_per_h=slope([sample.at_s / 3600 for sample in samples[late]], values[late]),
            )
        )
    return found


def readable(found: Sequence[Level]) -> str:
    """A table for people."""
    head = ["figure", "unit", "first quarter", "middle", "last quarter", "peak", "slope per h", "limit", "levels off"]
    rows = [head]
    for each in found:
        numbers = (each.first, each.middle, each.last, each.peak, each.slope_per_h, each.allowed)
        rows.append(
            [
                each.figure.what,
                each.figure.unit,
                *(f"{number:.2f}" for number in numbers),
                "yes" if each.level else "NO",
            ]
        )
    return table(rows)
