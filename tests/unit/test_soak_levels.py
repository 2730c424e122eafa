"""When the soak calls a figure level: what breathes is, what only rises is not."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.bench.soak.levels import FIGURES, MIB, SAMPLES_MIN, Figure, Level, Sample, levels, readable

IDLE = Sample(
    at_s=0,
    resident_bytes=160 * MIB,
    files=100,
    threads=10,
    tasks=90,
    wal_bytes=1.5 * MIB,
    journal_bytes=2 * MIB,
    backups=5,
)


def run(**figures: Callable[[float], float]) -> dict[str, Level]:
    """An hour, a look every five seconds; each figure a function of the hours since the beginning."""
    looks = [
        replace(IDLE, at_s=at_s, **{name: value(at_s / 3600) for name, value in figures.items()})
        for at_s in range(0, 3600, 5)
    ]
    return {each.figure.name: each for each in levels(looks)}


def test_what_stays_is_level() -> None:
    """Every figure."""
    assert all(each.level and each.slope_per_h == pytest.approx(0) for each in run().values())


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.name)
def test_what_only_rises_is_not_level(figure: Figure) -> None:
    """By as much as was there, in an hour: a leak, whatever it is of."""
    name = figure.name
    found = run(**{name: lambda hours: getattr(IDLE, name) * (1 + hours)})
    assert [each for each, level in found.items() if not level.level] == [name]
    assert found[name].slope_per_h * found[name].figure.per_unit == pytest.approx(getattr(IDLE, name))


def test_what_rises_at_first_and_then_stays_is_level() -> None:
    """Caches fill, and a journal grows until the first of it is old enough to go."""
    found = run(journal_bytes=lambda hours: MIB * min(0.1 + 8 * hours, 2))
    assert found["journal_bytes"].level
    assert found["journal_bytes"].first < found["journal_bytes"].middle


def test_what_breathes_is_level() -> None:
    """Connections come and go."""
    assert run(files=lambda hours: 100 + 20 * math.sin(300 * hours))["files"].level


def test_a_run_too_short_says_nothing() -> None:
    """Rather than something reassuring."""
    with pytest.raises(ValueError, match="needed"):
        levels([IDLE] * (4 * SAMPLES_MIN - 1))


def test_the_table_names_what_does_not_level_off() -> None:
    """In its own line."""
    text = readable(list(run(files=lambda hours: 100 + 100 * hours).values()))
    assert [line.split("  ")[0] for line in text.splitlines() if line.endswith("NO")] == ["file descriptors"]
