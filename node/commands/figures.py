"""Distributions as documents and as tables with small charts."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from node.commands.chart import Paper, milliseconds
from node.commands.output import Document
from node.domain.distribution import PERCENTILES, Distribution, samples_needed, scale

METHOD: Final = "nearest rank: a percentile is a duration that was measured, never one in between"
#: Bins of a histogram in a document.
BINS: Final = 40

_HEADS: Final = (*(f"p{percent}" for percent in PERCENTILES), "max")
_COUNT_WIDTH, _FIGURE_WIDTH = 5, 9
_CHART_WIDTH_MIN: Final = 12
_CHART_WIDTH_MAX: Final = 40


def document(distribution: Distribution) -> Document:
    """Durations in milliseconds, for machines."""
    edges_ms = scale([distribution], BINS)
    return {
        "count": distribution.count,
        **{f"p{percent}_ms": distribution.percentile_ms(percent) for percent in PERCENTILES},
        "max_ms": distribution.max_ms,
        #: Too few samples: these are the largest one, whatever that was.
        "unsupported": [f"p{percent}" for percent in PERCENTILES if not distribution.supports(percent)],
        "histogram": {
            "edges_ms": [round(edge_ms, 4) for edge_ms in edges_ms],
            "counts": distribution.histogram(edges_ms),
        },
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """How tables of one answer look: all charts have one axis, so that they can be compared."""

    paper: Paper
    edges_ms: Sequence[float]
    name_width: int
    #: Whether the charts fit beside the figures.
    beside: bool
    #: Percentiles that some distribution is too small for.
    lacking: tuple[int, ...]

    @classmethod
    def of(cls, everything: Iterable[Mapping[str, Distribution]], paper: Paper) -> Table:
        """One that holds all of these, by name."""
        groups = list(everything)
        present = [distribution for group in groups for distribution in group.values()]
        name_width = max((len(name) for group in groups for name in group), default=0)
        room = paper.columns - (2 + name_width + 1 + _COUNT_WIDTH + len(_HEADS) * _FIGURE_WIDTH) - 1
        beside = room >= _CHART_WIDTH_MIN
        return cls(
            paper=paper,
            edges_ms=scale(present, min(room if beside else paper.columns - 4, _CHART_WIDTH_MAX)),
            name_width=name_width,
            beside=beside,
            lacking=tuple(p for p in PERCENTILES if not all(each.supports(p) for each in present)),
        )

    def title(self, text: str) -> Iterator[str]:
        """The first line of a block, or as many as it takes."""
        yield from map(self.paper.bold, textwrap.wrap(text, self.paper.columns, subsequent_indent="  "))

    def rows(self, distributions: Mapping[str, Distribution]) -> Iterator[str]:
        """A line each, or several where the terminal is narrow."""
        if not distributions:
            return
        if self.beside:
            low, high = self._ends
            columns = "".join(f"{head:>{_FIGURE_WIDTH - 1}} " for head in _HEADS)
            between = " " * max(1, len(self.edges_ms) - 1 - len(low) - len(high))
            head = f"  {'ms':<{self.name_width}} {'n':>{_COUNT_WIDTH}}{columns} {low}{between}{high}"
            yield self.paper.dim(head)
        for name, distribution in distributions.items():
            chart = self.paper.sparkline(distribution.histogram(self.edges_ms))
            if self.beside:
                figures = "".join(map(self._figure, _words(distribution)))
                yield f"  {name:<{self.name_width}} {distribution.count:>{_COUNT_WIDTH}}{figures} {chart}".rstrip()
                continue
            figures = "  ".join(f"{head} {word}" for head, word in zip(_HEADS, _words(distribution), strict=True))
            line = f"{name}  n {distribution.count}  {figures}"
            yield from textwrap.wrap(line, self.paper.columns, initial_indent="  ", subsequent_indent="    ")
            yield f"  |{chart}|"

    def legend(self, *notes: str) -> Iterator[str]:
        """What a reader must know of the tables, after *notes* of the caller's."""
        low, high = self._ends
        lines = [*notes]
        if self.lacking:
            needed = ", ".join(f"p{percent} wants {samples_needed(percent)}" for percent in self.lacking)
            lines.append(f"* too few samples ({needed}): this is the largest one, whatever it was.")
        lines.append(
            f"Charts: how many took how long, on one logarithmic axis from {low} to {high}, each by its own highest."
        )
        for each in lines:
            yield from map(self.paper.dim, textwrap.wrap(each, self.paper.columns, subsequent_indent="  "))

    @property
    def _ends(self) -> tuple[str, str]:
        low_ms, high_ms = self.edges_ms[0], self.edges_ms[-1]
        return f"{low_ms:.3g} ms", f"{high_ms:.0f} ms" if high_ms < 1000 else f"{high_ms / 1000:.0f} s"

    def _figure(self, word: str) -> str:
        # The star stands beside the column, so that the digits stay below each other.
        if word.endswith("*"):
            return self.paper.warning(f"{word:>{_FIGURE_WIDTH}}")
        return f"{word:>{_FIGURE_WIDTH - 1}} "


def _words(distribution: Distribution) -> Iterator[str]:
    for percent in PERCENTILES:
        mark = "" if distribution.supports(percent) else "*"
        yield f"{milliseconds(distribution.percentile_ms(percent))}{mark}"
    yield milliseconds(distribution.max_ms)
