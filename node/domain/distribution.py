"""What a set of measured durations says, and what it is too small to say."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

#: In percent, in the order in which they are shown.
PERCENTILES: Final = (50, 90, 99)


def percentile(ordered: Sequence[float], percent: int) -> float:
    """By nearest rank: the smallest sample that at least *percent* of all samples do not exceed.

    Always a value that was measured, never one in between.

    Raises:
        ValueError: there are no samples, or *percent* is not in 1..100.
    """
    if not ordered or not 1 <= percent <= 100:
        raise ValueError("a percentile needs samples, and 1 to 100 per cent")
    # In whole numbers: 0.95 * 20 is more than 19.
    return ordered[-(-len(ordered) * percent // 100) - 1]


def samples_needed(percent: int) -> int:
    """How many samples a percentile wants: with fewer, its nearest rank is the largest one, whatever that was.

    50: 2, 90: 10, 95: 20, 99: 100.
    """
    return math.ceil(100 / (100 - percent))


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """Of durations in milliseconds."""

    #: Sorted, at least one.
    samples_ms: tuple[float, ...]

    @classmethod
    def of(cls, samples_ms: Iterable[float]) -> Distribution | None:
        """None where there are no samples."""
        ordered = tuple(sorted(samples_ms))
        return cls(samples_ms=ordered) if ordered else None

    @property
    def count(self) -> int:
        """How many were measured."""
        return len(self.samples_ms)

    @property
    def max_ms(self) -> float:
        """The longest."""
        return self.samples_ms[-1]

    def percentile_ms(self, percent: int) -> float:
        """By nearest rank."""
        return percentile(self.samples_ms, percent)

    def supports(self, percent: int) -> bool:
        """Whether there are enough samples for the percentile to be anything but the largest of them."""
        return self.count >= samples_needed(percent)

    def histogram(self, edges_ms: Sequence[float]) -> list[int]:
        """How many samples lie in each bin, from one edge to below the next. What is below the first edge is in the
        first bin; what is not below the last, in the last.
        """
        counts = [0] * (len(edges_ms) - 1)
        number = 0
        for sample_ms in self.samples_ms:
            while number < len(counts) - 1 and sample_ms >= edges_ms[number + 1]:
                number += 1
            counts[number] += 1
        return counts


def scale(distributions: Iterable[Distribution], bins: int) -> list[float]:
    """Edges of *bins* bins that hold all of the distributions, equally wide on a logarithmic axis from one whole power
    of ten (0.1 ms at least) to another. The same axis lets them be compared.
    """
    present = list(distributions)
    low = min((each.samples_ms[0] for each in present), default=1.0)
    high = max((each.max_ms for each in present), default=1.0)
    first = math.floor(math.log10(max(low, 0.1)))
    last = max(first + 1, math.ceil(math.log10(max(high, 0.1))))
    return [10 ** (first + (last - first) * number / bins) for number in range(bins + 1)]
