"""One slice's eyes: when to look, how patiently, and how long ago something was seen."""

from __future__ import annotations

import asyncio
from typing import Final

from node.clock import Clock
from node.domain.snapshot import SliceSnapshot
from node.engine.venue_port import Venue
from node.engine.view import AccountView
from node.errors import VenueDenied, VenueError

#: Looks beside a stream, which may be silent for any reason.
LOOK_BESIDE_STREAM_S: Final = 20.0
#: After a look that failed: doubled each time, up to the usual interval.
LOOK_AGAIN_S: Final = 0.5


class Lookout:
    """Of the guard, for one slice."""

    def __init__(self, name: str, venue: Venue, view: AccountView, clock: Clock) -> None:
        self.name = name
        self._venue = venue
        self._view = view
        self._clock = clock
        self.wake = asyncio.Event()
        self._hint = asyncio.Event()
        self._failures = 0
        self._since_ns = clock.monotonic_ns()
        #: Between the last two looks that succeeded.
        self.measured_s: float | None = None

    def told(self) -> None:
        """Something is said to have happened: look at once."""
        self._hint.set()
        self.wake.set()

    def interval_s(self) -> float:
        """Until the next look if nobody says anything."""
        polled_s = self._venue.look_interval_s(self.name)
        return max(polled_s, LOOK_BESIDE_STREAM_S) if self._venue.streaming(self.name) else polled_s

    def age_s(self) -> float:
        """Since the last look that succeeded, or since there was anything to look for."""
        return (self._clock.monotonic_ns() - self._since_ns) / 1e9

    def rest(self) -> None:
        """There is nothing to look for."""
        self._since_ns = self._clock.monotonic_ns()
        self._failures = 0
        self.measured_s = None

    async def read(self) -> SliceSnapshot:
        """The slice, whole; of positions alone where nothing else can be read.

        Who only looks again waits for the background's part of the budget. Who was told looks at once, as long as half
        of the whole budget bears it; being told ends the waiting of a look under way.

        Raises:
            VenueError: not even positions could be read; what was told stays told.
        """
        try:
            snapshot = await self._patiently()
        except VenueDenied:
            raise
        except VenueError as error:
            if self.name not in self._venue.derivative_slices:
                raise
            seen = await self._venue.read_positions(self.name, certain=True)
            self._failures += 1
            self._view.note_failure(self.name, error)
            return seen  # without orders and balances: nobody may take it for a whole read
        self._failures = 0
        now_ns = self._clock.monotonic_ns()
        self.measured_s, self._since_ns = round((now_ns - self._since_ns) / 1e9, 1), now_ns
        return snapshot

    def failed(self, retry_after_s: float | None) -> float:
        """A look has failed: how long to wait with the next one."""
        self._failures += 1
        return max(min(LOOK_AGAIN_S * (1 << min(self._failures, 10)), self.interval_s()), retry_after_s or 0.0)

    @property
    def half_blind(self) -> bool:
        """Whether the last look showed nothing, or positions alone."""
        return self._failures > 0

    async def _patiently(self) -> SliceSnapshot:
        if self._may_hurry():
            return await self._at_once()
        with self._view.background():
            read = asyncio.create_task(self._venue.read_slice(self.name), name=f"guard-look:{self.name}")
        hint = asyncio.create_task(self._hint.wait(), name=f"guard-hint:{self.name}")
        try:
            await asyncio.wait({read} if self._hint.is_set() else {read, hint}, return_when=asyncio.FIRST_COMPLETED)
            if read.done() or not self._may_hurry():
                return await read
        finally:
            for task in (read, hint):
                task.cancel()
            await asyncio.gather(read, hint, return_exceptions=True)
        return await self._at_once()

    async def _at_once(self) -> SliceSnapshot:
        """What is told from now on is for the next look; what was told stays told if this one fails."""
        self._hint.clear()
        try:
            return await self._venue.read_slice(self.name)
        except BaseException:
            self._hint.set()
            raise

    def _may_hurry(self) -> bool:
        return self._hint.is_set() and self._venue.respite_s(self.name) == 0
