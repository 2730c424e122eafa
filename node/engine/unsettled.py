"""Orders on spot and repayments whose effect is not known, or not seen yet. They outlive the pursuit that sent them."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from node.domain.steps import BuyToRepay, RepayDebt, SellSpot, SpotOrder


@dataclass(slots=True, kw_only=True)
class Unsettled:
    """A step whose effect is not known, or not seen yet, and what was held and owed before it."""

    step: SpotOrder | RepayDebt
    total: Decimal
    debt: Decimal
    #: Monotonic: when it left or, later, ended.
    since_ns: int
    #: A read has shown its effect.
    seen: bool = False

    def unchanged(self, total: Decimal, debt: Decimal) -> bool:
        """Whether a read shows what was there before."""
        return (total, debt) == (self.total, self.debt)

    def shown(self, total: Decimal, debt: Decimal) -> bool:
        """Whether a read shows its effect; what other sales bring of the same coin is none."""
        match self.step:
            case SellSpot():
                return total < self.total
            case BuyToRepay():
                return total > self.total or debt < self.debt
            case RepayDebt():
                return debt < self.debt


@dataclass(slots=True)
class UnsettledOrders:
    """Of one slice. Outlives its workers: a pursuit may end while orders of it are still on their way."""

    #: Orders whose outcome is not known, by asset: nothing more is done with it before it is.
    ambiguous: dict[str, Unsettled] = field(default_factory=dict)
    #: What the venue took last, by asset.
    taken: dict[str, Unsettled] = field(default_factory=dict)
    #: Until then orders of an earlier process may arrive; None before the first plan.
    blind_until_ns: int | None = None
