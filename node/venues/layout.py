"""The parts of an account: what is read and proven separately."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from node.domain.snapshot import MarketKind
from node.errors import ConfigError
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


def resolve(
    exchange: str,
    configured: Collection[str] | None,
    usual: tuple[str, ...],
    others: tuple[str, ...] = (),
    settle_coins: tuple[str, ...] = (),
) -> Layout:
    """Resolve configured slice names; none named means the *usual* ones.

    Slices are kinds of market; ``linear:USDT`` is ``linear`` narrowed to one of the *settle_coins*.

    Raises:
        ConfigError: a name is unknown, or two overlap.
    """
    known = [*usual, *others]
    if "linear" in known:
        at = known.index("linear") + 1
        known[at:at] = [f"linear:{coin}" for coin in settle_coins]
    names = tuple(dict.fromkeys(configured if configured is not None else usual))
    faults = [f"slices: {exchange} has no {name!r}; it has {', '.join(known)}" for name in names if name not in known]
    coins = tuple(name.partition(":")[2] for name in names if name.startswith("linear:"))
    if "linear" in names and coins:
        faults.append("slices: 'linear' includes every settle coin; leave out the narrower ones")
    if not names:
        faults.append("slices: none is named; leave the line out for all")
    if faults:
        raise ConfigError(faults)
    left_out = [name for name in usual if name not in names]
    if coins:
        left_out[left_out.index("linear")] = f"linear (other than {', '.join(coins)})"
    return Layout(slices=tuple(_slice(name, coins) for name in names), not_covered=tuple(left_out))


def _slice(name: str, coins: tuple[str, ...]) -> Slice:
    kind, _, settle = name.partition(":")
    if not settle:
        return Slice(name=name, kind=MarketKind(kind))
    return Slice(
        name=name,
        kind=MarketKind(kind),
        settle=settle,
        foreign_coins=frozenset(coins) - {settle},
        reports_other_coins=settle == coins[0],
    )
