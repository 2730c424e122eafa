"""The parts of an account: what is read and proven separately."""

from __future__ import annotations

from dataclasses import dataclass

from node.domain.snapshot import MarketKind
from node.venues.call import Call


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """One part of an account."""

    name: str
    kind: MarketKind
    #: Only what settles in this coin; None: all.
    settle: str | None = None
    #: Wallet coins that belong to another configured slice of the same wallet.
    foreign_coins: frozenset[str] = frozenset()
    #: Of several slices on one wallet, one reports the coins that belong to none.
    reports_other_coins: bool = True

    @property
    def market_kind(self) -> MarketKind:
        """Whose markets are traded here: a margin wallet trades on the spot markets."""
        return MarketKind.SPOT if self.kind is MarketKind.MARGIN else self.kind

    @property
    def derivative(self) -> bool:
        """Whether it can hold positions."""
        return self.market_kind is not MarketKind.SPOT

    def holds(self, settle: str | None) -> bool:
        """Whether what settles in *settle* belongs here; what cannot be told does, lest it be overlooked."""
        return self.settle is None or settle is None or settle == self.settle

    def holds_coin(self, asset: str) -> bool:
        """Whether a wallet's coin is reported here."""
        if self.settle is None or asset == self.settle:
            return True
        return self.reports_other_coins and asset not in self.foreign_coins


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Which parts of an account are read and proven, and which are left out."""

    slices: tuple[Slice, ...]
    not_covered: tuple[str, ...] = ()

    @property
    def market_kinds(self) -> tuple[MarketKind, ...]:
        """Whose markets the slices trade on, each once."""
        return tuple(dict.fromkeys(part.market_kind for part in self.slices))


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceReads:
    """The requests that show a slice. Empty: the venue has nothing of the kind there."""

    triggers: tuple[Call, ...] = ()
    orders: tuple[Call, ...] = ()
    positions: tuple[Call, ...] = ()
    balances: tuple[Call, ...] = ()

    @property
    def all(self) -> tuple[Call, ...]:
        """What one whole look asks."""
        return (*self.triggers, *self.orders, *self.positions, *self.balances)
