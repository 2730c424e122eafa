"""Keys for tests of the public API: a store in memory that counts, and a clock that is moved by hand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from node.api.keyring import Keyring, Owner
from node.api.rates import KeyRates
from node.domain.api_key import ACTIVE_KEYS_MAX, ApiKey, KeyUsage
from node.errors import JournalUnavailable
from tests.support.counting_desk import ACCOUNT

STRANGERS_ACCOUNT = UUID("0d0d0d0d-0000-4000-8000-00000000000d")

OWNERS = (
    Owner(id="acme", subscribed=True, accounts=frozenset({ACCOUNT})),
    Owner(id="other", subscribed=True, accounts=frozenset({STRANGERS_ACCOUNT})),
    Owner(id="lapsed", subscribed=False, accounts=frozenset({UUID(int=1)})),
    Owner(id="empty", subscribed=True, accounts=frozenset()),
)


class HandClock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.passed = timedelta()

    def now(self) -> datetime:
        """Since a certain day."""
        return datetime(2026, 11, 20, 10, tzinfo=UTC) + self.passed

    def monotonic_ns(self) -> int:
        """Since an hour before."""
        return (timedelta(hours=1) + self.passed) // timedelta(microseconds=1) * 1000

    def boottime_ns(self) -> int:
        """The same."""
        return self.monotonic_ns()

    def pass_s(self, seconds: float) -> None:
        """Let time pass."""
        self.passed += timedelta(seconds=seconds)


class MemoryKeyStore:
    """A ``KeyStore`` in memory. ``broken`` makes it fail; ``writes`` counts its transactions."""

    def __init__(self) -> None:
        self.stored: dict[str, ApiKey] = {}
        self.used: dict[str, KeyUsage] = {}
        self.broken = False
        self.writes = 0

    async def keys(self) -> list[ApiKey]:
        """In the order of their making."""
        self._require()
        return list(self.stored.values())

    async def usages(self) -> list[KeyUsage]:
        """As kept."""
        self._require()
        return list(self.used.values())

    async def add(self, key: ApiKey) -> bool:
        """Unless there are too many."""
        self._write()
        active = [other for other in self.stored.values() if other.owner == key.owner and other.active(key.created_at)]
        if len(active) >= ACTIVE_KEYS_MAX:
            return False
        self.stored[key.id] = key
        return True

    async def replace(self, old: ApiKey, new: ApiKey, *, ends_at: datetime) -> bool:
        """Add and revoke; overlaps are the real store's tests."""
        await self.revoke(old.id, at=ends_at)
        return await self.add(new)

    async def revoke(self, key_id: str, *, at: datetime) -> None:
        """Remember that it has ended."""
        self._write()
        old = self.stored[key_id]
        fields = {name: getattr(old, name) for name in old.__slots__}
        self.stored[key_id] = ApiKey(**{**fields, "revoked_at": old.revoked_at or at})

    async def keep_usage(self, usages: Sequence[KeyUsage]) -> None:
        """In place of what was kept."""
        self._write()
        self.used |= {usage.key_id: usage for usage in usages}

    def _require(self) -> None:
        if self.broken:
            raise JournalUnavailable

    def _write(self) -> None:
        self._require()
        self.writes += 1


def make_keyring(
    store: MemoryKeyStore | None = None, clock: HandClock | None = None, *, per_minute: int = 100
) -> Keyring:
    """A keyring of four owners: with a subscription, of another's account, without a subscription, without accounts."""
    clock = clock or HandClock()
    return Keyring(store or MemoryKeyStore(), OWNERS, clock=clock, rates=KeyRates(clock, per_minute=per_minute))
