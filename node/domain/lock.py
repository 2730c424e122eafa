"""The engine lock of one account: holds, the latch, and the epoch that orders them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from node.domain.command import Action, Command


class StaleEpoch(Exception):
    """The lock has changed since the epoch that was named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountLock:
    """Locked while a latch is set or any command holds it.

    Every change raises ``epoch``: who knows an epoch knows exactly one state of the lock.
    """

    account_id: UUID
    epoch: int = 0
    latched: bool = False
    #: Live commands that hold the lock for their own length.
    holds: frozenset[UUID] = frozenset()
    since: datetime | None = None
    by: str | None = None
    reason: str | None = None

    @property
    def locked(self) -> bool:
        """Whether new risk is forbidden."""
        return self.latched or bool(self.holds)

    def latch(self, *, by: str, reason: str | None, at: datetime) -> AccountLock:
        """Lock until an UNLOCK. Also raises the epoch of a lock already latched: a late UNLOCK must not undo it."""
        since = self.since if self.locked else at
        return replace(self, epoch=self.epoch + 1, latched=True, since=since, by=by, reason=reason)

    def hold(self, command_id: UUID, *, by: str, reason: str | None, at: datetime) -> AccountLock:
        """Lock for the length of one command."""
        since, holds = self.since if self.locked else at, self.holds | {command_id}
        return replace(self, epoch=self.epoch + 1, holds=holds, since=since, by=by, reason=reason)

    def assumed(self, *, by: str, reason: str, at: datetime) -> AccountLock:
        """Locked because its record cannot be read, or is older than it was: whatever it was, it may not be open.

        The epoch is one that nobody can have seen. Those of a lost record are not known, but each change raises the
        epoch by one and no lock changes once a second for years: seconds since 1970 lie above them all.
        """
        since = self.since if self.locked else at
        epoch = max(self.epoch + 1, int(at.timestamp()))
        return replace(self, epoch=epoch, latched=True, since=since, by=by, reason=reason)

    def release(self, command_id: UUID, *, keep_locked: bool, at: datetime) -> AccountLock:
        """End one command's hold; with ``keep_locked`` it becomes a latch. Never lifts a latch."""
        if command_id not in self.holds:
            return self
        holds = self.holds - {command_id}
        released = replace(self, epoch=self.epoch + 1, holds=holds, latched=self.latched or keep_locked)
        return released if released.locked else replace(released, since=at, by=None, reason=None)

    def unlock(self, epoch: int, *, by: str, reason: str | None, at: datetime) -> AccountLock:
        """Lift the latch, if ``epoch`` is the lock's own.

        Raises:
            StaleEpoch: the lock has changed since.
        """
        if epoch != self.epoch:
            raise StaleEpoch
        if not self.locked:
            return self
        return replace(self, epoch=self.epoch + 1, latched=False, since=at, by=by, reason=reason)


def after_admission(lock: AccountLock, command: Command, *, latch_by_default: bool, at: datetime) -> AccountLock:
    """The lock once a command is accepted. Drills leave it alone.

    Raises:
        StaleEpoch: an UNLOCK named another epoch.
    """
    if command.action is Action.UNLOCK:
        unlocked = lock.unlock(command.epoch or 0, by=command.issuer, reason=command.reason, at=at)
        return lock if command.dry_run else unlocked
    if command.dry_run:
        return lock
    latching = command.action is Action.LOCK or (latch_by_default if command.latch is None else command.latch)
    reason = command.reason or command.action.value
    if latching:
        return lock.latch(by=command.issuer, reason=reason, at=at)
    return lock.hold(command.command_id, by=command.issuer, reason=reason, at=at)
