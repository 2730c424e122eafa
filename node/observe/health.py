"""Whether the node is ready, and whether its event loop turns."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

#: Says what is wrong, or None. Answers from memory: no I/O, never raises.
Ping = Callable[[], str | None]

_BEAT_INTERVAL_S: Final = 0.25
_BEAT_AGE_MAX_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """The fold of all pings."""

    ready: bool
    #: ``name: what is wrong``, in the order of registration.
    reasons: tuple[str, ...]


class Health:
    """What the adapters say about themselves. A locked account is healthy."""

    def __init__(self) -> None:
        self._pings: dict[str, Ping] = {}
        self._draining: str | None = None

    def register(self, name: str, ping: Ping) -> None:
        """Add one part's ping; a part has one."""
        if name in self._pings:
            raise ValueError(f"{name} has registered already")
        self._pings[name] = ping

    def drain(self, reason: str = "stopping") -> None:
        """Not ready from now on, whatever the parts say."""
        self._draining = reason

    def readiness(self) -> Readiness:
        """Ask every part."""
        reasons = [f"node: {self._draining}"] if self._draining is not None else []
        for name, ping in self._pings.items():
            wrong = ping()
            if wrong is not None:
                reasons.append(f"{name}: {wrong}")
        return Readiness(ready=not reasons, reasons=tuple(reasons))


class LoopMonitor:
    """Measures how late the event loop is, and remembers when it last turned."""

    def __init__(
        self,
        *,
        observe_lag_s: Callable[[float], object],
        interval_s: float = _BEAT_INTERVAL_S,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._observe_lag_s = observe_lag_s
        self._interval_s = interval_s
        self._monotonic_ns = monotonic_ns
        self._beat_ns = monotonic_ns()
        #: Of the last turn.
        self.lag_s = 0.0

    async def run(self) -> None:
        """Beat for ever. Ends only by cancellation; the owner names the task."""
        while True:
            before_ns = self._monotonic_ns()
            await asyncio.sleep(self._interval_s)
            self._beat_ns = self._monotonic_ns()
            self.lag_s = max((self._beat_ns - before_ns) / 1e9 - self._interval_s, 0.0)
            self._observe_lag_s(self.lag_s)

    def ping(self) -> str | None:
        """For liveness: whether the loop has turned lately."""
        age_s = (self._monotonic_ns() - self._beat_ns) / 1e9
        return f"event loop has not turned for {age_s:.1f} s" if age_s > _BEAT_AGE_MAX_S else None
