"""The sliding window: never more than so many in any stretch of its length."""

from __future__ import annotations

from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from node.domain.rate_window import SlidingWindow

PERIOD_NS = 100


@given(st.lists(st.integers(min_value=0, max_value=60), max_size=60), st.integers(min_value=1, max_value=5))
def test_no_stretch_holds_more_than_the_limit(gaps: list[int], limit: int) -> None:
    """And nothing is refused that would have fitted."""
    window, allowed = SlidingWindow(limit, PERIOD_NS), list[int]()
    for now_ns in accumulate(gaps):
        lately = [at for at in allowed if at > now_ns - PERIOD_NS]
        allowance = window.take(now_ns)
        assert allowance.allowed == (len(lately) < limit)
        if allowance.allowed:
            allowed.append(now_ns)
        assert allowance.remaining == limit - len(window.taken_ns(now_ns))
        assert 0 < allowance.reset_ns <= PERIOD_NS


@given(st.lists(st.integers(min_value=0, max_value=60), max_size=60), st.integers(min_value=0, max_value=60))
def test_a_window_goes_on_where_another_left_off(gaps: list[int], cut: int) -> None:
    """As if there had been no restart."""
    whole, parts = SlidingWindow(3, PERIOD_NS), SlidingWindow(3, PERIOD_NS)
    for number, now_ns in enumerate(accumulate(gaps)):
        if number == cut:
            parts = SlidingWindow(3, PERIOD_NS, parts.taken_ns(now_ns))
        assert whole.take(now_ns) == parts.take(now_ns)


def test_who_waits_for_the_reset_is_let_in() -> None:
    """Not a nanosecond earlier."""
    window = SlidingWindow(1, PERIOD_NS)
    window.take(7)
    reset_ns = window.take(10).reset_ns
    assert not window.take(10 + reset_ns - 1).allowed
    assert window.take(10 + reset_ns).allowed
