"""What this node may do with an account's keys."""

from __future__ import annotations

from enum import StrEnum

from node.domain.steps import CancelOrders, CancelSymbol, Step


class Permission(StrEnum):
    """Each level includes the ones before it."""

    READ = "read"
    CANCEL = "cancel"
    CLOSE = "close"  # positions, and selling spot into base currency
    FULL = "full"  # signals may open positions

    def allows(self, step: Step) -> bool:
        """Whether *step* stays within the level."""
        if isinstance(step, CancelOrders | CancelSymbol):
            return self is not Permission.READ
        return self.closes

    @property
    def closes(self) -> bool:
        """Whether positions may be closed and balances sold."""
        return self in (Permission.CLOSE, Permission.FULL)
