"""The locks in force, in memory: what the journal holds, or more while it cannot be written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from node.clock import Clock
from node.domain.lock import AccountLock
from node.domain.result import Document, lock_document

#: How long a lock document may be believed after it was written (contract 5.3).
LEASE: Final = timedelta(seconds=10)

Listener = Callable[[AccountLock], None]


class LockLedger:
    """Holds every configured account's lock and tells the mirrors of each change, at once and in order."""

    def __init__(self, accounts: Iterable[UUID], *, node_id: str, boot_id: str, clock: Clock) -> None:
        self._locks = {account_id: AccountLock(account_id=account_id) for account_id in accounts}
        self._node_id = node_id
        self._boot_id = boot_id
        self._clock = clock
        self._listeners: list[Listener] = []

    def load(self, stored: Mapping[UUID, AccountLock]) -> None:
        """Take over what the journal remembers."""
        for account_id, lock in stored.items():
            if account_id in self._locks:
                self.adopt(lock)

    def add_listener(self, listener: Listener) -> None:
        """Call *listener* with every changed lock. It must neither block nor raise."""
        self._listeners.append(listener)

    def knows(self, account_id: UUID) -> bool:
        """Whether it is one of this node's accounts."""
        return account_id in self._locks

    def get(self, account_id: UUID) -> AccountLock:
        """The lock of a configured account.

        Raises:
            KeyError: no such account.
        """
        return self._locks[account_id]

    def all(self) -> list[AccountLock]:
        """Every account's lock."""
        return list(self._locks.values())

    def adopt(self, lock: AccountLock) -> None:
        """Put a change into effect. An older epoch than the one in force is ignored."""
        held = self._locks.get(lock.account_id)
        if held is not None and (held.epoch > lock.epoch or held == lock):
            return
        self._locks[lock.account_id] = lock
        for listener in self._listeners:
            listener(lock)

    def document(self, account_id: UUID) -> Document:
        """The lock document, dated now and valid for the lease."""
        now: datetime = self._clock.now()
        return lock_document(
            self._locks[account_id],
            node_id=self._node_id,
            valid_until=now + LEASE,
            boot_id=self._boot_id,
            valid_until_boottime_ns=self._clock.boottime_ns() + int(LEASE.total_seconds() * 1e9),
        )
