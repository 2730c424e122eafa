"""What an address on the network, an account and a signer may still do.

Each network address has a weight of 1200 a minute over all requests; beyond it the answer is HTTP 429 with the body
``null``. Each account has a budget of actions for its whole life, 10000 and one for each USDC traded; cancels may go
further, and beyond its budget an account may act once in ten seconds. Each order or cancel of a batch counts; what is
refused for the budget does not. Nonces are milliseconds, within two days back and one day ahead, and never used twice.

Sources: "Rate limits and user limits", "Nonces and API wallets" of the documentation; the texts are those of published
transcripts (``docs/research`` of MarcosACH/tickwright; HTTP 200, not 429, for an account's budget).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from node.sim.hyperliquid.errors import HyperliquidError

MINUTE_MS = 60_000
WEIGHT_A_MINUTE = 1200
INITIAL_REQUESTS = 10_000
CANCELS_BEYOND = 100_000
THROTTLED_EVERY_MS = 10_000
DAY_MS = 86_400_000
NONCES_KEPT = 100
#: What an account of a scenario has done before: enough to trade, too little for a scheduled cancel.
TRADED_BEFORE: Final = Decimal("87457.46")
USED_BEFORE: Final = 846

INFO_WEIGHT = 20
INFO_WEIGHTS: Final = {
    "l2Book": 2,
    "allMids": 2,
    "clearinghouseState": 2,
    "orderStatus": 2,
    "spotClearinghouseState": 2,
    "exchangeStatus": 2,
    "userRole": 60,
}


@dataclass(slots=True)
class AddressWeight:
    """The weight of one network address: every client here has the same, loopback."""

    _minute: int = -1
    used: int = 0

    def spend(self, weight: int, now_ms: int, *, enforce: bool) -> float | None:
        """Count a request; the seconds to wait if it is too much."""
        minute = now_ms // MINUTE_MS
        if minute != self._minute:
            self._minute, self.used = minute, 0
        if enforce and self.used + weight > WEIGHT_A_MINUTE:
            return (MINUTE_MS - now_ms % MINUTE_MS) / 1000
        self.used += weight
        return None


@dataclass(slots=True, kw_only=True)
class Budget:
    """One account's actions."""

    traded: Decimal = TRADED_BEFORE
    used: int = USED_BEFORE
    _passed_ms: int = 0

    @property
    def cap(self) -> int:
        """Most actions so far."""
        return INITIAL_REQUESTS + int(self.traded)

    def spend(self, count: int, now_ms: int, *, cancels: bool) -> None:
        """Count an action of *count* orders or cancels.

        Raises:
            HyperliquidError: the budget is used up, and the last action is no ten seconds ago.
        """
        most = min(self.cap + CANCELS_BEYOND, self.cap * 2) if cancels else self.cap
        if self.used + count > most:
            if now_ms - self._passed_ms < THROTTLED_EVERY_MS:
                raise HyperliquidError(self.exhausted)
            self._passed_ms = now_ms
        self.used += count

    @property
    def exhausted(self) -> str:
        """What an account without a budget is told."""
        return (
            f"Too many cumulative requests sent ({self.used + 1} > {self.cap - 1}) for cumulative volume traded "
            f"${self.traded:.2f}. Place taker orders to free up 1 request per USDC traded."
        )


@dataclass(slots=True)
class Nonces:
    """The nonces of every signer, each for itself."""

    _used: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))

    def take(self, signer: str, nonce: int, now_ms: int) -> None:
        """Use a nonce up.

        Raises:
            HyperliquidError: it is too old, too far ahead, or was used.
        """
        used = self._used[signer]
        lowest, highest = now_ms - 2 * DAY_MS, now_ms + DAY_MS
        if len(used) >= NONCES_KEPT:
            lowest = max(lowest, min(used))
        if nonce in used:
            raise HyperliquidError(f"Invalid nonce: duplicate nonce {nonce}")
        if nonce <= lowest:
            raise HyperliquidError(f"Invalid nonce: nonce too low {nonce} < {lowest}")
        if nonce >= highest:
            raise HyperliquidError(f"Invalid nonce: nonce too high {nonce} > {highest}")
        used.add(nonce)
        if len(used) > NONCES_KEPT:
            used.remove(min(used))
