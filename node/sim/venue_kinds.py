"""Which venues can be simulated. A venue's modules are imported when it is served, not before."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from node.sim.simulator import VenueKind


def _binance() -> VenueKind:
    from node.sim.binance.front_end import BINANCE

    return BINANCE


def _b2prime() -> VenueKind:
    from node.sim.b2prime.front_end import B2PRIME

    return B2PRIME


def _hyperliquid() -> VenueKind:
    from node.sim.hyperliquid.front_end import HYPERLIQUID

    return HYPERLIQUID


def _okx() -> VenueKind:
    from node.sim.okx.front_end import OKX

    return OKX


def _bybit() -> VenueKind:
    from node.sim.bybit.front_end import BYBIT

    return BYBIT


VENUES: dict[str, Callable[[], VenueKind]] = {
    "b2prime": _b2prime,
    "binance": _binance,
    "bybit": _bybit,
    "hyperliquid": _hyperliquid,
    "okx": _okx,
}
