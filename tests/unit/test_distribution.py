"""Percentiles that were measured, and the sizes of sample that they want."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.domain.distribution import PERCENTILES, Distribution, percentile, samples_needed, scale

durations = st.lists(st.floats(0, 1e7), min_size=1, max_size=300)


@pytest.mark.parametrize(
    ("percent", "found"),
    [(50, 50), (90, 90), (95, 95), (99, 99), (100, 100), (1, 1)],
)
def test_of_a_hundred_samples_each_is_the_one_of_its_number(percent: int, found: int) -> None:
    """Nearest rank, without interpolation."""
    assert percentile([float(number) for number in range(1, 101)], percent) == found


def test_of_twenty_samples_the_95th_is_the_nineteenth() -> None:
    """Where floating point would say the twentieth."""
    assert percentile([float(number) for number in range(1, 21)], 95) == 19


def test_of_one_sample_every_percentile_is_that_sample() -> None:
    """And none but the sample itself is supported."""
    only = Distribution.of([7.5])
    assert only is not None
    assert [only.percentile_ms(percent) for percent in PERCENTILES] == [7.5] * 3
    assert not any(only.supports(percent) for percent in PERCENTILES)


def test_nothing_has_no_distribution() -> None:
    """And no percentile."""
    assert Distribution.of([]) is None
    with pytest.raises(ValueError, match="needs samples"):
        percentile([], 50)


@pytest.mark.parametrize(("percent", "needed"), [(50, 2), (90, 10), (95, 20), (99, 100)])
def test_a_percentile_is_supported_once_it_can_be_less_than_the_largest(percent: int, needed: int) -> None:
    """With one sample less it is the maximum, whatever that is."""
    rising = [float(number) for number in range(needed)]
    assert samples_needed(percent) == needed
    assert percentile(rising, percent) < rising[-1]
    assert percentile(rising[1:], percent) == rising[-1]


@given(durations, st.integers(1, 100))
def test_a_percentile_is_a_sample_that_enough_do_not_exceed(samples: list[float], percent: int) -> None:
    """The smallest such sample."""
    ordered = sorted(samples)
    found = percentile(ordered, percent)
    assert found in ordered
    assert sum(sample <= found for sample in ordered) * 100 >= percent * len(ordered)
    assert sum(sample < found for sample in ordered) * 100 < percent * len(ordered)


@given(durations, st.integers(1, 40))
def test_a_histogram_counts_every_sample_once(samples: list[float], bins: int) -> None:
    """On an axis that holds them all."""
    whole = Distribution.of(samples)
    assert whole is not None
    edges = scale([whole], bins)
    assert edges == sorted(edges)
    assert edges[-1] >= whole.max_ms
    assert sum(whole.histogram(edges)) == whole.count


def test_a_histogram_puts_each_sample_where_it_belongs() -> None:
    """An edge belongs to the bin above it; what is outside, to the outermost."""
    whole = Distribution.of([0.5, 1, 9, 10, 99, 100, 5000])
    assert whole is not None
    assert whole.histogram([1, 10, 100, 1000]) == [3, 2, 2]


def test_an_axis_goes_from_one_power_of_ten_to_another() -> None:
    """Also where there is nothing, or only zeros, to show."""
    both = [Distribution.of([2.0]), Distribution.of([300.0, 450.0])]
    assert scale([each for each in both if each], 3) == pytest.approx([1, 10, 100, 1000])
    nothing = Distribution.of([0.0])
    assert nothing is not None
    assert scale([nothing], 1) == pytest.approx([0.1, 1])
    assert scale([], 1) == pytest.approx([1, 10])
