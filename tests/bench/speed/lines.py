"""What the benchmark says: one line a figure, with the floor that it stands beside and the target that it has. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tests.bench.figures import percentile, table


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One figure. Medians are compared; the 99th percentile is there to be seen."""

    row: int
    what: str
    unit: str
    values: Sequence[float]
    #: What it stands beside, measured in the same run; None: it stands alone.
    beside: str | None = None
    floor: float | None = None
    #: In words, and the largest median that holds it; None: nothing was promised.
    target: str | None = None
    limit: float | None = None

    @property
    def median(self) -> float:
        """Of the runs."""
        return percentile(self.values, 0.5)

    @property
    def p99(self) -> float:
        """The slowest but one in a hundred: with fewer runs the slowest."""
        return percentile(self.values, 0.99)

    @property
    def ratio(self) -> float | None:
        """To what it stands beside."""
        return self.median / self.floor if self.floor else None

    @property
    def held(self) -> bool | None:
        """Whether the target is kept; None: there is none."""
        return None if self.limit is None else self.median <= self.limit

    def document(self) -> dict[str, Any]:
        """As JSON."""
        derived = {name: getattr(self, name) for name in ("median", "p99", "ratio", "held")}
        return {**asdict(self), "values": [round(value, 3) for value in self.values], **derived}


def at_most_times(factor: float, floor: float) -> dict[str, Any]:
    """A target that is a multiple of the floor."""
    return {"floor": floor, "target": f"<= {factor:.2f} x", "limit": factor * floor}


def readable(lines: Sequence[Line]) -> str:
    """A table for people."""
    rows = [["row  figure", "unit", "median", "p99", "runs", "beside", "", "ratio", "target", "limit", "held"]]
    for line in lines:
        held = {None: "-", True: "yes", False: "NO"}[line.held]
        numbers = (line.floor, line.ratio, line.limit)
        floor, ratio, limit = ("" if number is None else f"{number:.2f}" for number in numbers)
        figures = [f"{line.row:>2}   {line.what}", line.unit, f"{line.median:.2f}", f"{line.p99:.2f}"]
        rows.append([*figures, str(len(line.values)), line.beside or "", floor, ratio, line.target or "", limit, held])
    return table(rows)
