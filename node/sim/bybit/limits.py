"""Request limits: per second, account and endpoint; and per address, over five seconds.

Source: "Rate Limit Rules" of the V5 documentation. Counting never stops; refusing can be switched off.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from node.sim.bybit.errors import BybitError

SECOND_MS = 1000
ADDRESS_REQUESTS: Final = 600
ADDRESS_WINDOW_MS = 5000
BAN_S: Final = 600.0
TOO_MANY: Final = "Too many visits. Exceeded the API Rate Limit."


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What an account may still do at one endpoint in this second."""

    limit: int
    left: int
    reset_ms: int

    @property
    def headers(self) -> dict[str, str]:
        """As the answer tells it."""
        return {
            "X-Bapi-Limit": str(self.limit),
            "X-Bapi-Limit-Status": str(max(0, self.left)),
            "X-Bapi-Limit-Reset-Timestamp": str(self.reset_ms),
        }


class Limiter:
    """Counts requests. Every client here has the same address: loopback."""

    def __init__(self) -> None:
        self._spent: dict[tuple[str, str], deque[int]] = {}
        self._address: deque[int] = deque()

    def arrive(self, now_ms: int) -> bool:
        """Count a request of the address; whether it is one too many."""
        self._address.append(now_ms)
        while self._address and self._address[0] <= now_ms - ADDRESS_WINDOW_MS:
            self._address.popleft()
        return len(self._address) > ADDRESS_REQUESTS

    def spend(self, account: str, budget: str, limit: int, now_ms: int, cost: int = 1) -> Allowance:
        """Count *cost* requests of an account, as far as there is room; a negative rest says how many were refused."""
        spent = self._spent.setdefault((account, budget), deque())
        while spent and spent[0] <= now_ms - SECOND_MS:
            spent.popleft()
        left = limit - len(spent) - cost
        spent.extend([now_ms] * min(cost, limit - len(spent)))
        reset_ms = spent[0] + SECOND_MS if left < 0 and spent else now_ms
        return Allowance(limit=limit, left=left, reset_ms=reset_ms)


def too_many() -> BybitError:
    """The answer to too many requests of an account: status 200, like everything."""
    return BybitError(10006, TOO_MANY)
