"""Whether a figure levels off: the last quarter of a run beside the one before it. Pure.

Files and memory are high-water marks: they rise in steps, and never fall. So it is not asked whether they have risen
since the beginning, but whether they still do.
"""

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
    backups: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What is looked at, and how much more of it in the last quarter than in the third is still level."""

    name: str
    what: str
    unit: str
    per_unit: float
    #: Of the third quarter's value, and in units; both may be used up.
    share: float
    slack: float


FIGURES: Final = (
    Figure(name="resident_bytes", what="resident memory", unit="MiB", per_unit=MIB, share=0.01, slack=1),
    Figure(name="files", what="file descriptors", unit="", per_unit=1, share=0.05, slack=2),
    Figure(name="threads", what="threads", unit="", per_unit=1, share=0, slack=1),
    Figure(name="tasks", what="asyncio tasks", unit="", per_unit=1, share=0.05, slack=2),
    Figure(name="wal_bytes", what="write-ahead log", unit="MiB", per_unit=MIB, share=0.05, slack=0.2),
    Figure(name="journal_bytes", what="journal", unit="MiB", per_unit=MIB, share=0.05, slack=0.1),
    Figure(name="backups", what="copies of the journal", unit="", per_unit=1, share=0, slack=0),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One figure of a whole run, in its unit."""

    figure: Figure
    first: float
    middle: float
    third: float
    last: float
    peak: float
    #: Of the second half, an hour.
    slope_per_h: float

    @property
    def allowed(self) -> float:
        """The largest last quarter that is level."""
        return self.third * (1 + self.figure.share) + self.figure.slack

    @property
    def level(self) -> bool:
        """Whether it levels off."""
        return self.last <= self.allowed

    def document(self) -> dict[str, Any]:
        """As JSON."""
        numbers = {
            name: round(getattr(self, name), 3) for name in ("first", "middle", "third", "last", "peak", "slope_per_h")
        }
        return {"figure": self.figure.name, "unit": self.figure.unit, **numbers, "level": self.level}


def levels(samples: Sequence[Sample]) -> list[Level]:
    """Every figure: medians of its quarters, and of the two in the middle together.

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
                third=percentile(values[-2 * quarter : -quarter], 0.5),
                last=percentile(values[-quarter:], 0.5),
                peak=max(values),
                slope_per_h=slope([sample.at_s / 3600 for sample in samples[late]], values[late]),
            )
        )
    return found


def readable(found: Sequence[Level]) -> str:
    """A table for people."""
    head = [
        "figure",
        "unit",
        "first quarter",
        "middle",
        "third quarter",
        "last quarter",
        "peak",
        "slope per h",
        "limit",
        "levels off",
    ]
    rows = [head]
    for each in found:
        numbers = (each.first, each.middle, each.third, each.last, each.peak, each.slope_per_h, each.allowed)
        rows.append(
            [
                each.figure.what,
                each.figure.unit,
                *(f"{number:.2f}" for number in numbers),
                "yes" if each.level else "NO",
            ]
        )
    return table(rows)
