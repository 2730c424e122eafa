"""A sliding window: so many in any stretch of that length."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """Whether one more was allowed, and how many are left."""

    allowed: bool
    limit: int
    remaining: int
    #: Until the oldest leaves the window, and one more is allowed; 0 while the window is empty.
    reset_ns: int


class SlidingWindow:
    """Remembers when each one was taken; times are monotonic nanoseconds. What is refused does not count."""

    __slots__ = ("_limit", "_period_ns", "_taken")

    def __init__(self, limit: int, period_ns: int, taken_ns: Iterable[int] = ()) -> None:
        self._limit = limit
        self._period_ns = period_ns
        self._taken = deque(sorted(taken_ns)[-limit:])

    def take(self, now_ns: int) -> Allowance:
        """Take one, if there is one left."""
        self._forget(now_ns)
        allowed = len(self._taken) < self._limit
        if allowed:
            self._taken.append(now_ns)
        reset_ns = self._taken[0] + self._period_ns - now_ns if self._taken else 0
        return Allowance(
            allowed=allowed, limit=self._limit, remaining=self._limit - len(self._taken), reset_ns=reset_ns
        )

    def taken_ns(self, now_ns: int) -> tuple[int, ...]:
        """When those in the window were taken, oldest first."""
        self._forget(now_ns)
        return tuple(self._taken)

    def _forget(self, now_ns: int) -> None:
        while self._taken and self._taken[0] <= now_ns - self._period_ns:
            self._taken.popleft()
