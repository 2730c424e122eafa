"""From an account's options to its venue. The only door: ccxt is imported here and behind it, not before."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from node.clock import Clock
from node.errors import ConfigError
from node.venues.b2prime.profile import B2primeProfile
from node.venues.options import VenueOptions
from node.venues.profile import Profile
from node.venues.profiles.binance.profile import BinanceProfile
from node.venues.profiles.bitget.profile import BitgetProfile
from node.venues.profiles.bybit.profile import BybitProfile
from node.venues.profiles.coinbase.profile import CoinbaseProfile
from node.venues.profiles.deribit.profile import DeribitProfile
from node.venues.profiles.gate.profile import GateProfile
from node.venues.profiles.hyperliquid.profile import HyperliquidProfile
from node.venues.profiles.kraken.profile import KrakenProfile
from node.venues.profiles.krakenfutures.profile import KrakenFuturesProfile
from node.venues.profiles.kucoin.profile import KucoinProfile
from node.venues.profiles.mexc.profile import MexcProfile
from node.venues.profiles.okx.profile import OkxProfile

if TYPE_CHECKING:
    from node.venues.ccxt_venue import CcxtVenue
    from node.venues.pool import Pools

#: A venue is one line here.
_PROFILES: Final[dict[str, Callable[[VenueOptions], Profile]]] = {
    "b2prime": B2primeProfile,
    "binance": BinanceProfile,
    "bitget": BitgetProfile,
    "bybit": BybitProfile,
    "coinbase": CoinbaseProfile,
    "deribit": DeribitProfile,
    "gate": GateProfile,
    "hyperliquid": HyperliquidProfile,
    "kraken": KrakenProfile,
    "krakenfutures": KrakenFuturesProfile,
    "kucoin": KucoinProfile,
    "mexc": MexcProfile,
    "okx": OkxProfile,
}


def supported() -> tuple[str, ...]:
    """The exchanges that have a profile."""
    return tuple(sorted(_PROFILES))


def unprofiled(exchange: str) -> str | None:
    """What is to be said of an exchange that ccxt knows and nobody has made a profile for; None if somebody has."""
    if exchange in _PROFILES:
        return None
    from ccxt import async_support

    kin = [each.__name__ for each in getattr(async_support, exchange).__mro__[1:] if each.__name__ in _PROFILES]
    better = f"; if it is the same account, {kin[0]!r} has one" if kin else ""
    return f"no profile was made for {exchange}: it is read by what ccxt has in common for all, and proves less{better}"


def check(options: VenueOptions) -> list[str]:
    """What is wrong with an account's options, without connecting or importing ccxt; empty if nothing is."""
    try:
        return _faults(_profile(options), options)
    except ConfigError as error:
        return list(error.faults)


def build(options: VenueOptions, pools: Pools, *, clock: Clock | None = None) -> CcxtVenue:
    """The venue of one account, not yet armed. Call it inside the running event loop.

    Raises:
        ConfigError: there is something that ``check`` would have named, or a file is wrong.
    """
    profile = _profile(options)
    if faults := _faults(profile, options):
        raise ConfigError(faults)
    from node.venues.ccxt_venue import CcxtVenue

    # At DEBUG ccxt logs every request with its key and signature.
    logging.getLogger("ccxt").setLevel(logging.WARNING)
    return CcxtVenue(options, profile, pools, clock=clock)


def _faults(profile: Profile, options: VenueOptions) -> list[str]:
    faults = profile.objections(options)
    try:
        profile.layout(options.slices)
    except ConfigError as error:
        faults += error.faults
    return faults


def _profile(options: VenueOptions) -> Profile:
    if options.exchange in _PROFILES:
        return _PROFILES[options.exchange](options)
    from node.venues.profiles import generic

    if not generic.known(options.exchange):
        others = "any other id of ccxt's is read by what ccxt has in common for all"
        raise ConfigError(
            [f"exchange: there is no {options.exchange!r}; with a profile: {', '.join(supported())}; {others}"]
        )
    return generic.GenericProfile(options)
