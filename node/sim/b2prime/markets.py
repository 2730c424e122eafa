"""What is listed: spot pairs, perpetuals in lots, and CFDs on currencies, metals, coins, an index and a share.

Sizes of contracts are lots. What is described of a market beyond its trading rules stands in its :class:`MarketFacts`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from typing import Any, Final

from node.sim.b2prime.calendars import always, weekly
from node.sim.catalogue import COINS, NO_USDT_PAIR, SPOT_ONLY, STABLE, Coin
from node.sim.market import ONE, Listing, Market, Product
from node.sim.orders import Book
from node.sim.scenarios import TriggerAction

#: One wallet pays for everything. It goes by the name of spot, whose trades move it coin by coin.
WALLET: Final = Product.SPOT.value
ROOT: Final = "USDT"
CONTRACT_FEE: Final = Decimal("0.0004")
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")
_NO_BAND: Final = Decimal(10) ** 9


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketFacts:
    """What is told of a market and means nothing to matching."""

    display_name: str
    full_name: str | None
    subtype: str | None
    deviation: Decimal
    calendar: Mapping[str, Any] = field(default_factory=always)
    max_leverage: int = 100
    only_max_leverage: bool = False
    tiers: tuple[tuple[int, str | None], ...] = ()  # (leverage, notional up to which it holds); a dynamic profile
    dynamic_commission: bool = False
    slippage: Decimal = Decimal("1.05")


@dataclass(frozen=True, slots=True)
class _Cfd:
    base: str
    quote: str
    subtype: str
    full_name: str
    mark: str
    tick: str
    lot_size: int
    step: str
    leverage: int
    calendar: Mapping[str, Any] | None = None


_SHARE_HOURS = weekly(
    "America/New_York",
    {day: [("09:30:00", "16:00:00")] for day in _WEEKDAYS},
    [
        {"date": "2026-12-25", "timeIntervals": None},
        {"date": "2026-11-27", "timeIntervals": [{"start": "09:30:00", "end": "13:00:00"}]},
    ],
)
_INDEX_HOURS = weekly(
    "America/Chicago",
    {
        "Sunday": [("17:00", "24:00")],
        **{day: [("00:00", "16:00"), ("17:00", "24:00")] for day in _WEEKDAYS[:-1]},
        "Friday": [("00:00", "16:00")],
    },
)
#: Currencies and metals trade around the clock here, so that a test does not depend on the day on which it runs.
_CFDS = (
    _Cfd("EUR", "USD", "Fx", "Euro vs US Dollar", "1.0825", "0.0001", 100_000, "0.01", 100),
    _Cfd("XAU", "USD", "Metals", "Gold vs US Dollar", "2600", "0.01", 100, "0.01", 50),
    _Cfd("BTC", "USD", "Crypto", "Bitcoin vs US Dollar", "64000", "0.1", 1, "0.01", 20),
    _Cfd("US500", "USD", "Indices", "US 500", "5900", "0.1", 1, "0.1", 50, _INDEX_HOURS),
    _Cfd("AAPL", "USD", "Shares", "Apple Inc.", "230", "0.01", 1, "1", 5, _SHARE_HOURS),
)


@cache
def market_facts() -> dict[str, MarketFacts]:
    """By market id."""
    facts = {market.symbol: _described(market) for market in (*_spot_markets(), *_perpetuals())}
    for cfd in _CFDS:
        facts[_identifier("cfd", cfd.base, cfd.quote)] = MarketFacts(
            display_name=f"{cfd.base}/{cfd.quote}",
            full_name=cfd.full_name,
            subtype=cfd.subtype,
            deviation=Decimal("0.1"),
            calendar=cfd.calendar or always(),
            max_leverage=cfd.leverage,
            tiers=((cfd.leverage, "1000000"), (max(1, cfd.leverage // 4), None)) if cfd.subtype == "Fx" else (),
        )
    return facts


def listings() -> list[Listing]:
    """Every market at its usual price; perpetuals first, so that a coin's contract is the perpetual."""
    contracts = [Listing(market=market, mark=COINS[market.base].price) for market in _perpetuals()]
    cfds = [Listing(market=_cfd_market(cfd), mark=Decimal(cfd.mark)) for cfd in _CFDS]
    spots = []
    for market in _spot_markets():
        price = COINS[market.base].price if market.base in COINS else STABLE[market.base]
        spots.append(Listing(market=market, mark=price / (COINS["BTC"].price if market.quote == "BTC" else ONE)))
    return [*contracts, *cfds, *spots]


def trigger_words(_market: Market, action: TriggerAction) -> tuple[str, Book]:
    """Conditional orders of a scenario rest apart from the others."""
    return action.value, Book.ALGO


def type_of(market: Market) -> str:
    """``Spot``, ``Cfd`` or ``Perp``."""
    return market.symbol.partition(".")[0].capitalize()


def asset_id(asset: str) -> str:
    """As it is written on the wire."""
    return asset.lower()


def base_amount(market: Market, quantity: Decimal) -> Decimal:
    """Lots, or the spot amount, in units of the base asset."""
    return quantity * market.contract_size


def _identifier(kind: str, base: str, quote: str) -> str:
    return f"{kind}.{base.lower()}_{quote.lower()}"


def _described(market: Market) -> MarketFacts:
    perpetual = market.is_contract
    return MarketFacts(
        display_name=f"{market.base}/{market.quote}",
        full_name=f"{market.base} to {market.quote} Perpetual" if perpetual else None,
        subtype=None,
        deviation=Decimal("0.1"),
        max_leverage=50,
        tiers=((50, "250000"), (20, "1000000"), (10, None)) if market.base == "BTC" and perpetual else (),
        dynamic_commission=market.base == "BTC",
    )


def _contract(kind: str, base: str, quote: str, *, tick: Decimal, lot: int, step: Decimal, most: Decimal) -> Market:
    return Market(
        product=Product.LINEAR,
        symbol=_identifier(kind, base, quote),
        base=base,
        quote=quote,
        settle=ROOT,  # the dollar and the root asset are worth the same
        wallet=WALLET,
        tick=tick,
        step=step,
        min_quantity=step,
        max_quantity=most,
        max_market_quantity=most,
        min_notional=Decimal(0),
        contract_size=Decimal(lot),
        band_up=Decimal("1.1"),
        band_down=Decimal("0.9"),
        fee_rate=CONTRACT_FEE,
        pools_margin=True,
    )


def _cfd_market(cfd: _Cfd) -> Market:
    tick, step = Decimal(cfd.tick), Decimal(cfd.step)
    return _contract("cfd", cfd.base, cfd.quote, tick=tick, lot=cfd.lot_size, step=step, most=Decimal(1000))


@cache
def _perpetuals() -> tuple[Market, ...]:
    return tuple(_perpetual(coin) for coin in COINS.values() if coin.name not in SPOT_ONLY | NO_USDT_PAIR)


def _perpetual(coin: Coin) -> Market:
    lot = 1 if coin.price >= 5 else 1000
    step = min(ONE, coin.step if lot == 1 else Decimal("0.001"))
    most = min(Decimal(10_000), (coin.max_market_quantity / lot).to_integral_value())
    return _contract("perp", coin.name, ROOT, tick=coin.tick, lot=lot, step=step, most=most)


@cache
def _spot_markets() -> tuple[Market, ...]:
    pairs = [_spot(coin, "BTC" if coin.name in NO_USDT_PAIR else ROOT) for coin in COINS.values()]
    stable = Coin("", ONE, ONE, ONE, Decimal(1_000_000), Decimal("0.01"), Decimal("0.0001"))
    return (*pairs, *(_spot(stable, ROOT, base=name) for name in STABLE if name not in (ROOT, "USD")))


def _spot(coin: Coin, quote: str, *, base: str = "") -> Market:
    return Market(
        product=Product.SPOT,
        symbol=_identifier("spot", base or coin.name, quote),
        base=base or coin.name,
        quote=quote,
        settle=quote,
        wallet=WALLET,
        tick=coin.spot_tick,
        step=coin.spot_step,
        min_quantity=coin.spot_step * 10,
        max_quantity=coin.max_market_quantity,
        max_market_quantity=coin.max_market_quantity,
        min_notional=Decimal(0),
        band_up=Decimal("1.1"),
        band_down=Decimal("0.9"),
        fee_rate=Decimal("0.001"),
    )
