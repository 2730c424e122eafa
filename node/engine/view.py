"""The warm view of an account: what was last seen, and how old that is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Final

import structlog

from node.clock import Clock
from node.domain.snapshot import SliceSnapshot
from node.engine.unsettled import UnsettledOrders
from node.engine.venue_port import Venue
from node.errors import VenueError

#: Positions older than this no longer start a round, or than so many of the intervals at which they are read, which are
#: longer where accounts share an address. What is closed by an old view the venue bounds to what is there, and a fresh
#: read beside it adds the rest: it may cost a round, and saves one for all that has not changed.
WARM_MAX_NS: Final = 5_000_000_000
WARM_INTERVALS: Final = 1.5
WARM_LIMIT_NS: Final = 60_000_000_000
#: A slice that was not read for this long counts as unread, or for so many of the intervals that the budget allows.
UNREAD_AFTER_NS: Final = 60_000_000_000
UNREAD_AFTER_INTERVALS: Final = 2
#: How often things are read where the budget allows it, and how many times in the interval of whole reads where not.
#: So at Binance whole reads take half of the background's share, positions and the sockets of accounts with 20
#: positions a little less than a quarter each.
POSITIONS_EVERY_S: Final = 2.0
POSITIONS_PER_INTERVAL: Final = 8
SWEEP_EVERY_S: Final = 20.0
#: What is due so soon is due.
DUE_S: Final = 0.001
#: Servers and middleboxes drop idle connections; the shortest limit met so far is 15 s. Accounts that share a budget
#: share their connections, too.
WARM_SOCKETS_EVERY_S: Final = 10.0
WARM_SOCKETS_PER_INTERVAL: Final = 4
#: A slice that somebody else reads whole is left to them, unless they are late by half.
OTHERS_MAY_TAKE: Final = 1.5
#: Where in an interval an account has its place, as a part of it: accounts that share a budget were armed together, and
#: would be read together for ever. However many there are, multiples of the golden ratio lie far apart.
PLACES_APART: Final = (5**0.5 - 1) / 2
SOCKETS_TO_SPARE: Final = 1
#: Sales are not known beforehand.
SOCKETS_MIN: Final = 5
#: To one host.
SOCKETS_MAX: Final = 32

#: When a slice was read whole that never was.
NEVER: Final = -(10**18)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The newest reads of one slice."""

    #: Positions by the newest read; orders and balances by the newest full read.
    snapshot: SliceSnapshot
    positions_at_ns: int
    full_at_ns: int


class AccountView:
    """Keeps the newest reads of every slice; polls in the venue's background budget."""

    def __init__(
        self,
        venue: Venue,
        clock: Clock,
        background: Callable[[], AbstractContextManager[object]],
        *,
        number: int,
    ) -> None:
        """*number*: the account's, from 0, among all that this process serves."""
        self._place = (number + 1) * PLACES_APART % 1
        self._venue = venue
        self._clock = clock
        #: Reads made inside wait for the background's budget.
        self.background = background
        self._seen: dict[str, Seen] = {}
        #: When the newest whole read of our own was begun.
        self._swept_ns: dict[str, int] = {}
        self.troubles: dict[str, VenueError] = {}
        #: Slices of which not even positions could be read: the next read of them ends the trouble.
        self._blind: set[str] = set()
        #: Per slice: spot orders whose outcome nobody knows yet. They outlive whoever placed them.
        self.unsettled: dict[str, UnsettledOrders] = {}
        #: Called with every read that anybody made of this account.
        self.listeners: list[Callable[[SliceSnapshot], None]] = []

    def note(self, snapshot: SliceSnapshot) -> None:
        """Take over a read that somebody made. Positions alone do not end the trouble with the rest."""
        if snapshot.orders is not None or snapshot.slice in self._blind:
            self.troubles.pop(snapshot.slice, None)
            self._blind.discard(snapshot.slice)
        self._keep(snapshot)
        for listener in self.listeners:
            listener(snapshot)

    def note_failure(self, slice_name: str, error: VenueError, *, positions_only: bool = False) -> None:
        """A read of a slice failed, whoever made it: until one of its kind succeeds the slice counts as unread."""
        if slice_name not in self.troubles:
            log.warning("slice_unreadable", slice=slice_name, code=error.code, error=str(error))
        if not positions_only:
            self._blind.discard(slice_name)
        elif slice_name not in self.troubles:
            self._blind.add(slice_name)
        self.troubles[slice_name] = error

    def _keep(self, snapshot: SliceSnapshot) -> None:
        held = self._seen.get(snapshot.slice)
        if snapshot.orders is not None:
            if held is None or snapshot.started_ns >= held.positions_at_ns:
                self._seen[snapshot.slice] = Seen(
                    snapshot=snapshot, positions_at_ns=snapshot.started_ns, full_at_ns=snapshot.started_ns
                )
            elif snapshot.started_ns > held.full_at_ns:  # its positions alone have been overtaken
                merged = replace(held.snapshot, orders=snapshot.orders, balances=snapshot.balances, causal=False)
                self._seen[snapshot.slice] = replace(held, snapshot=merged, full_at_ns=snapshot.started_ns)
        elif held is None:
            # Better than nothing: positions can be closed although nothing else could be read yet.
            self._seen[snapshot.slice] = Seen(
                snapshot=replace(snapshot, orders=(), balances=()),
                positions_at_ns=snapshot.started_ns,
                full_at_ns=NEVER,
            )
        elif snapshot.started_ns >= held.positions_at_ns:
            merged = replace(snapshot, orders=held.snapshot.orders, balances=held.snapshot.balances, causal=False)
            self._seen[snapshot.slice] = Seen(
                snapshot=merged, positions_at_ns=snapshot.started_ns, full_at_ns=held.full_at_ns
            )

    def warm(self, slice_name: str) -> SliceSnapshot | None:
        """A view young enough to start a round from."""
        seen = self._seen.get(slice_name)
        if seen is None:
            return None
        # In this order: how often positions are read takes a while to find out, and a first order may wait for it.
        if self.read_lately(slice_name) or self._age_ns(seen) <= self._warm_max_ns(slice_name):
            return seen.snapshot
        return None

    def read_lately(self, slice_name: str) -> bool:
        """Whether positions were read so lately that a look now is hardly worth a request."""
        seen = self._seen.get(slice_name)
        return seen is not None and self._age_ns(seen) <= WARM_MAX_NS

    def _age_ns(self, seen: Seen) -> int:
        return self._clock.monotonic_ns() - seen.positions_at_ns

    def _warm_max_ns(self, slice_name: str) -> int:
        return min(int(WARM_INTERVALS * self._positions_every_s(slice_name) * 1e9), WARM_LIMIT_NS)

    def last(self, slice_name: str) -> Seen | None:
        """Whatever was seen last, of any age."""
        return self._seen.get(slice_name)

    def age_s(self, slice_name: str) -> float | None:
        """Seconds since positions were read; None if never."""
        seen = self._seen.get(slice_name)
        return None if seen is None else self._age_ns(seen) / 1e9

    def whole_age_s(self, slice_name: str) -> float | None:
        """Seconds since orders and balances were read; None if never."""
        read_ns = self._read_whole_ns(slice_name)
        return None if read_ns == NEVER else (self._clock.monotonic_ns() - read_ns) / 1e9

    def unread(self) -> list[str]:
        """Slices not read whole for long, or whose newest read failed: what is there now may be anything."""
        now = self._clock.monotonic_ns()
        return [
            name
            for name in self._venue.slices
            if name in self.troubles or now - self._read_whole_ns(name) > self._unread_after_ns(name)
        ]

    def sockets_wanted(self) -> dict[str, int]:
        """Per slice one connection for each request that an emergency would send at once, and one to spare."""
        return {name: max(SOCKETS_MIN, self._requests(name) + SOCKETS_TO_SPARE) for name in self._venue.slices}

    def _requests(self, name: str) -> int:
        seen = self._seen.get(name)
        closes, orders = (0, 0) if seen is None else (len(seen.snapshot.positions), len(seen.snapshot.orders or ()))
        return self._venue.requests_at_once(name, closes=closes) + orders

    async def sweep(self) -> None:
        """Read every slice whole. A slice that cannot be read is noted, never raised."""
        await asyncio.gather(*(self._read(name, positions_only=False) for name in self._venue.slices))

    def _read_whole_ns(self, name: str) -> int:
        return self._seen[name].full_at_ns if name in self._seen else NEVER

    def _unread_after_ns(self, name: str) -> int:
        return max(UNREAD_AFTER_NS, int(UNREAD_AFTER_INTERVALS * self._venue.look_interval_s(name) * 1e9))

    def _sweep_every_s(self, name: str) -> float:
        return max(SWEEP_EVERY_S, self._venue.look_interval_s(name))

    def _sweep_in_s(self, name: str) -> float:
        """How long until a slice is due to be read whole; not positive: now."""
        read_ns = self._read_whole_ns(name)
        others = read_ns > self._swept_ns.get(name, NEVER)
        wait_s = self._sweep_every_s(name) * (OTHERS_MAY_TAKE if others else 1)
        return wait_s - (self._clock.monotonic_ns() - read_ns) / 1e9

    async def poll(self) -> None:
        """Keep the view and the sockets warm until cancelled. Everything here is background work."""
        with self.background():
            async with asyncio.TaskGroup() as tasks:
                for name in self._venue.derivative_slices:
                    tasks.create_task(self._poll_positions(name), name=f"view-positions:{name}")
                for name in self._venue.slices:
                    tasks.create_task(self._poll_whole(name), name=f"view-sweep:{name}")
                tasks.create_task(self._keep_warm(), name="view-sockets")

    def _positions_every_s(self, name: str) -> float:
        return max(POSITIONS_EVERY_S, self._venue.look_interval_s(name) / POSITIONS_PER_INTERVAL)

    async def _poll_positions(self, name: str) -> None:
        every_s = self._positions_every_s(name)
        await asyncio.sleep(every_s * self._place if every_s > POSITIONS_EVERY_S else every_s)
        while True:
            await self._read(name, positions_only=True)
            await asyncio.sleep(self._positions_every_s(name))

    async def _poll_whole(self, name: str) -> None:
        if (every_s := self._sweep_every_s(name)) > SWEEP_EVERY_S:
            await asyncio.sleep(every_s * self._place)
            await self._read(name, positions_only=False)
        while True:
            if (wait_s := self._sweep_in_s(name)) <= DUE_S:
                await self._read(name, positions_only=False)
                wait_s = self._sweep_every_s(name)
            await asyncio.sleep(wait_s)

    async def warm_up(self) -> None:
        """Open as many connections as an emergency would use."""
        try:
            await self._venue.keep_warm(SOCKETS_MAX, self.sockets_wanted())
        except VenueError as error:
            log.warning("sockets_not_warm", code=error.code, error=str(error))

    async def _keep_warm(self) -> None:
        # In step with the others, not as polls: accounts that share connections keep as many as they use at once.
        while True:
            longest_s = max((self._venue.look_interval_s(name) for name in self._venue.slices), default=0.0)
            await asyncio.sleep(max(WARM_SOCKETS_EVERY_S, longest_s / WARM_SOCKETS_PER_INTERVAL))
            await self.warm_up()

    async def _read(self, name: str, *, positions_only: bool) -> None:
        try:
            if positions_only:
                self.note(await self._venue.read_positions(name))
            else:
                snapshot = await self._venue.read_slice(name)
                self._swept_ns[name] = snapshot.started_ns
                self.note(snapshot)
        except VenueError as error:
            self.note_failure(name, error, positions_only=positions_only)
