"""What this node may do with an account's keys."""

from __future__ import annotations

from enum import IntEnum, StrEnum


class Effect(IntEnum):
    """The most that a request can do to an account; each includes the ones before it."""

    READ = 0
    CANCEL = 1  # orders
    CLOSE = 2  # positions; sales, conversions, repayments, and purchases of what is owed
    OPEN = 3  # anything that can add exposure


class Permission(StrEnum):
    """Each level includes the ones before it."""

    READ = "read"
    CANCEL = "cancel"
    CLOSE = "close"  # positions, and selling spot into base currency
    FULL = "full"  # signals may open positions

    def allows(self, effect: Effect) -> bool:
        """Whether a request of this effect stays within the level."""
        return effect <= _MOST[self]

    @property
    def closes(self) -> bool:
        """Whether positions may be closed and balances sold."""
        return self.allows(Effect.CLOSE)


_MOST = {
    Permission.READ: Effect.READ,
    Permission.CANCEL: Effect.CANCEL,
    Permission.CLOSE: Effect.CLOSE,
    Permission.FULL: Effect.OPEN,
}
