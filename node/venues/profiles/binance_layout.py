"""Binance: the slices that configuration may name."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from node.domain.snapshot import MarketKind
from node.errors import ConfigError
from node.venues.layout import Layout, Slice

#: Coins that USD-M contracts settle in and that a slice may be narrowed to.
_SETTLE_COINS: Final = ("USDT", "USDC")
_NAMES: Final = ("spot", "linear", *(f"linear:{coin}" for coin in _SETTLE_COINS), "inverse", "margin")
#: What is covered unless configuration says otherwise. Margin is read only where it is named: without a margin account
#: there is nothing to read.
_USUAL: Final = ("spot", "linear", "inverse")


def layout(configured: Collection[str] | None) -> Layout:
    """Resolve configured names.

    Raises:
        ConfigError: a name is unknown, or two overlap.
    """
    names = tuple(dict.fromkeys(configured if configured is not None else _USUAL))
    known = ", ".join(_NAMES)
    faults = [f"slices: binance has no {name!r}; it has {known}" for name in names if name not in _NAMES]
    coins = tuple(name.partition(":")[2] for name in names if name.startswith("linear:"))
    if "linear" in names and coins:
        faults.append("slices: 'linear' includes every settle coin; leave out the narrower ones")
    if not names:
        faults.append("slices: none is named; leave the line out for all")
    if faults:
        raise ConfigError(faults)
    left_out = [name for name in _USUAL if name not in names]
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
