"""How often each key, and each stranger, may ask.

Written here, small, rather than taken from a library: ``limits`` has the sliding window, but keeps it in memory (and
forgets it) or in Redis, Memcached or MongoDB, which a daemon on one machine does not have; a restart must not hand out
a new minute.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from ipaddress import IPv6Address, ip_address
from typing import Final

from node.clock import Clock
from node.domain.api_key import KeyUsage
from node.domain.rate_window import Allowance, SlidingWindow

#: Of a key, in each bucket.
REQUESTS_PER_MINUTE: Final = 100
#: Of one address without a valid key.
STRANGERS_PER_MINUTE: Final = 60
#: Addresses that are remembered; beyond them the one that has been quiet for longest is forgotten.
STRANGERS_KEPT: Final = 4096

_MINUTE_NS: Final = 60_000_000_000
#: Whoever has one IPv6 address has 2**64.
_IPV6_PREFIX_BITS: Final = 64


class Bucket(StrEnum):
    """What is counted apart, so that looking never spends what acting needs."""

    COMMANDS = "commands"
    READS = "reads"


class KeyRates:
    """The windows of all keys, in memory; what has changed is handed out to be kept."""

    def __init__(self, clock: Clock, *, per_minute: int = REQUESTS_PER_MINUTE) -> None:
        self._clock = clock
        self._per_minute = per_minute
        self._windows: dict[tuple[str, Bucket], SlidingWindow] = {}
        self._last_used_at: dict[str, datetime] = {}
        #: Keys whose use is not kept yet.
        self._unkept: set[str] = set()

    def load(self, usage: KeyUsage) -> None:
        """Take over what an earlier run kept. A clock that was set back since shortens no window to less than nothing,
        and lengthens none beyond a minute."""
        now, now_ns = self._clock.now(), self._clock.monotonic_ns()
        self._last_used_at[usage.key_id] = usage.last_used_at
        for bucket in Bucket:
            ages = [max(timedelta(), now - at) for at in usage.taken.get(bucket, ())]
            taken_ns = [now_ns - age // timedelta(microseconds=1) * 1000 for age in ages]
            self._windows[usage.key_id, bucket] = SlidingWindow(self._per_minute, _MINUTE_NS, taken_ns)

    def take(self, key_id: str, bucket: Bucket) -> Allowance:
        """Count one request of a key."""
        window = self._windows.get((key_id, bucket))
        if window is None:
            window = self._windows[key_id, bucket] = SlidingWindow(self._per_minute, _MINUTE_NS)
        self._last_used_at[key_id] = self._clock.now()
        self._unkept.add(key_id)
        return window.take(self._clock.monotonic_ns())

    def last_used_at(self, key_id: str) -> datetime | None:
        """When a key was last used; None if never."""
        return self._last_used_at.get(key_id)

    def unkept(self) -> list[KeyUsage]:
        """What has changed since the last call. Give it back with ``still_unkept`` where it could not be kept."""
        changed, self._unkept = sorted(self._unkept), set()
        return [self._usage(key_id) for key_id in changed]

    def still_unkept(self, usages: list[KeyUsage]) -> None:
        """These could not be kept."""
        self._unkept |= {usage.key_id for usage in usages}

    def _usage(self, key_id: str) -> KeyUsage:
        now, now_ns = self._clock.now(), self._clock.monotonic_ns()
        taken: Mapping[str, tuple[datetime, ...]] = {
            bucket.value: tuple(
                now - timedelta(microseconds=(now_ns - at_ns) // 1000) for at_ns in window.taken_ns(now_ns)
            )
            for bucket in Bucket
            if (window := self._windows.get((key_id, bucket))) is not None
        }
        return KeyUsage(key_id=key_id, last_used_at=self._last_used_at[key_id], taken=taken)


class StrangerRates:
    """Requests without a valid key, by the address they come from.

    Asked only once a request has turned out to have none: whatever comes from an address, a valid key there has its own
    window and nothing else.
    """

    def __init__(self, clock: Clock, *, per_minute: int = STRANGERS_PER_MINUTE) -> None:
        self._clock = clock
        self._per_minute = per_minute
        self._windows: OrderedDict[str, SlidingWindow] = OrderedDict()

    def take(self, peer: str | None) -> Allowance:
        """Count one request from an address; None stands for all that have none."""
        place = _network(peer)
        window = self._windows.pop(place, None) or SlidingWindow(self._per_minute, _MINUTE_NS)
        self._windows[place] = window
        if len(self._windows) > STRANGERS_KEPT:
            self._windows.popitem(last=False)
        return window.take(self._clock.monotonic_ns())


def _network(peer: str | None) -> str:
    try:
        address = ip_address(peer or "")
    except ValueError:
        return peer or ""
    if not isinstance(address, IPv6Address):
        return str(address)
    mapped = address.ipv4_mapped
    return str(int(address) >> _IPV6_PREFIX_BITS) if mapped is None else str(mapped)
