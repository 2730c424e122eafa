"""Shuts, while an account is locked, what lets orders in past the account's engine; where configuration asks for it.

That is no lock: the guard is. A door that was shut keeps one way of opening exposure closed, and says which.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import structlog

from node.clock import Clock
from node.domain.lock import AccountLock
from node.domain.result import instant_text
from node.engine.account import AccountTerms
from node.engine.venue_port import Venue
from node.errors import VenueError

#: While the lock holds, new doors may be opened: how often to look.
LOOK_EVERY_S: Final = 60.0
#: And after a failure.
AGAIN_S: Final = 5.0

log = structlog.get_logger(__name__)


class Doors:
    """Of one account. Everything but ``run`` is synchronous and may be called at any time."""

    def __init__(self, terms: AccountTerms, venue: Venue, clock: Clock, lock: Callable[[], AccountLock]) -> None:
        self._terms = terms
        self._venue = venue
        self._clock = clock
        self._lock = lock
        self._wake = asyncio.Event()
        #: How many were shut since this process began, and when it was last seen that none is open.
        self._shut = 0
        self._seen_shut: datetime | None = None
        self._trouble: VenueError | None = None

    def wake(self) -> None:
        """The lock has changed: look now."""
        self._wake.set()

    def document(self) -> dict[str, Any] | None:
        """For the status; None where there are no doors, or nobody wants them shut."""
        if self._venue.doors is None:
            return None
        return {
            "what": self._venue.doors,
            "shut": self._shut,
            "none_open_at": self._seen_shut and instant_text(self._seen_shut),
            "trouble": self._trouble and str(self._trouble),
        }

    def alerts(self) -> list[str]:
        """What a person should know of it now."""
        if self._trouble is None or not self._lock().locked:
            return []
        return [f"DOORS_OPEN: not known to be shut: {self._venue.doors} ({self._trouble.code})"]

    async def run(self) -> None:
        """Watch until cancelled."""
        while self._venue.doors is not None:
            self._wake.clear()
            if not self._lock().locked:
                self._seen_shut = self._trouble = None
                await self._wake.wait()
                continue
            wait_s = await self._look()
            try:
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def _look(self) -> float:
        """Shut what is open; how long to wait until the next look."""
        try:
            shut = await self._venue.shut_doors()
        except VenueError as error:
            self._trouble = error
            log.warning("doors_not_shut", account=self._terms.name, code=error.code, error=str(error))
            return AGAIN_S
        self._trouble, self._seen_shut = None, self._clock.now()
        if shut:
            self._shut += shut
            log.warning("doors_shut", account=self._terms.name, what=self._venue.doors, count=shut)
        return LOOK_EVERY_S
