"""Rate limits of OKX: so many in so many seconds, counted by user, by user and instrument, or by address.

Batches count their orders, not their requests; one order alone counts as a single order. Too much is answered 50011
with 429, and there is no ``Retry-After``. Numbers: each endpoint's section of the API v5 documentation, and
"Sub-account rate limit" (1000 new orders in two seconds, 50061).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from node.sim.okx.errors import OkxError, refusal
from node.sim.refusals import Reason

ORDERS_PER_ACCOUNT = 1000
ACCOUNT_WINDOW_S = 2.0
SECOND_S = 1.0  # how long a limit's second lasts


class Scope(StrEnum):
    """What a limit is counted by."""

    USER = "user"
    INSTRUMENT = "instrument"  # and user
    ADDRESS = "address"


@dataclass(frozen=True, slots=True)
class Limit:
    """One bucket. Endpoints that name the same one share it."""

    bucket: str
    count: int
    seconds: float
    scope: Scope = Scope.USER


class Limiter:
    """Counts in fixed windows. Every client here has the same address: loopback."""

    def __init__(self) -> None:
        self._windows: dict[tuple[str, str], tuple[int, int]] = {}

    def spend(self, limit: Limit, user: str, instruments: Iterable[str], now_ms: int, *, enforce: bool) -> None:
        """Count a request, or one order of each of *instruments*.

        Raises:
            OkxError: 50011.
        """
        by_instrument = limit.scope is Scope.INSTRUMENT
        keys = [f"{user}/{name}" for name in instruments] if by_instrument else [user]
        for key in keys:
            owner = "" if limit.scope is Scope.ADDRESS else key
            if self._count(limit.bucket, owner, limit.seconds, now_ms) > limit.count and enforce:
                raise too_many_requests()

    def count_orders(self, user: str, orders: int, now_ms: int, *, enforce: bool) -> None:
        """Count new orders of an account.

        Raises:
            OkxError: 50061.
        """
        for _ in range(orders):
            if self._count("orders", user, ACCOUNT_WINDOW_S, now_ms) > ORDERS_PER_ACCOUNT and enforce:
                raise refusal(Reason.TOO_MANY_ORDERS)

    def _count(self, bucket: str, owner: str, seconds: float, now_ms: int) -> int:
        window = int(now_ms / 1000 / (seconds * SECOND_S))
        number, count = self._windows.get((bucket, owner), (window, 0))
        count = count + 1 if number == window else 1
        self._windows[bucket, owner] = window, count
        return count


def too_many_requests() -> OkxError:
    """The answer to a request beyond its limit."""
    return OkxError("50011", "Too Many Requests")
