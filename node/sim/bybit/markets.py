"""What the simulated Bybit lists. Steps and sizes follow ``instruments-info`` in shape and order of size.

A unified account has one wallet for everything. It goes by the name of spot, whose trades move it coin by coin.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Final

from node.sim.catalogue import COINS, NO_USDT_PAIR, SPOT_ONLY, Coin, price_of
from node.sim.expiry import next_quarter
from node.sim.market import Listing, Market, MarketStatus, Product
from node.sim.orders import Book
from node.sim.scenarios import TriggerAction

UNIFIED: Final = str(Product.SPOT)
CATEGORIES: Final = {"spot": Product.SPOT, "linear": Product.LINEAR, "inverse": Product.INVERSE}
USDC_PERPETUALS = ("BTC", "ETH", "SOL")
USDC_SPOT = ("BTC", "ETH")
BTC_SPOT = ("ETH", "SOL", "WAN")
INVERSE_COINS = ("BTC", "ETH", "SOL")
DELIVERING = "BCH"  # a perpetual that the venue is delisting
NOT_LISTED = frozenset({"FDUSD", "WBETH"})
#: Stop orders by what they are for: of the whole position, of a part of it, of spot.
WHOLE_STOPS = {TriggerAction.STOP_LOSS: "StopLoss", TriggerAction.TAKE_PROFIT: "TakeProfit"}
SPOT_FEE, CONTRACT_FEE = Decimal("0.001"), Decimal("0.00055")
COIN_QUOTED_TICK, COIN_QUOTED_MINIMUM = Decimal("0.0000001"), Decimal("0.0001")
NO_LIMIT = Decimal(10) ** 12
BAND_UP, BAND_DOWN = Decimal("1.05"), Decimal("0.95")
MONTHS = "FGHJKMNQUVXZ"


def bybit_listings() -> list[Listing]:
    """All markets, each at its catalogue price."""
    coins = [coin for coin in COINS.values() if coin.name not in NOT_LISTED]
    listings = [_spot(coin, "USDT") for coin in coins if coin.name not in NO_USDT_PAIR]
    listings += [_spot(COINS[base], "USDC") for base in USDC_SPOT]
    listings += [_spot(COINS[base], "BTC") for base in BTC_SPOT]
    listings.append(_stable_pair("USDC"))
    contracts = [coin for coin in coins if coin.name not in NO_USDT_PAIR | SPOT_ONLY]
    listings += [_linear(coin, "USDT", coin.name + "USDT") for coin in contracts]
    listings += [_linear(COINS[base], "USDC", f"{base}PERP") for base in USDC_PERPETUALS]
    expiry = next_quarter()
    day = f"{expiry:%d%b%y}".upper().lstrip("0")
    listings.append(_linear(COINS["BTC"], "USDT", f"BTCUSDT-{day}", expiry))
    listings += [_inverse(COINS[base], f"{base}USD") for base in INVERSE_COINS]
    listings.append(_inverse(COINS["BTC"], f"BTCUSD{MONTHS[expiry.month - 1]}{expiry:%y}", expiry))
    return listings


def trigger_words(market: Market, action: TriggerAction) -> tuple[str, Book]:
    """Bybit's ``stopOrderType`` of a conditional order; all orders rest in one book."""
    if market.is_contract:
        return WHOLE_STOPS.get(action, "Stop"), Book.ORDERS
    return ("Stop" if action is TriggerAction.ENTRY else "tpslOrder"), Book.ORDERS


def category_of(market: Market) -> str:
    """The market's ``category``."""
    return str(market.product)


def _spot(coin: Coin, quote: str) -> Listing:
    in_bitcoin = quote == "BTC"
    market = Market(
        product=Product.SPOT,
        symbol=coin.name + quote,
        base=coin.name,
        quote=quote,
        settle=quote,
        wallet=UNIFIED,
        tick=COIN_QUOTED_TICK if in_bitcoin else coin.spot_tick,
        step=coin.spot_step,
        min_quantity=coin.spot_step,
        max_quantity=coin.max_market_quantity * 2,
        max_market_quantity=coin.max_market_quantity,
        min_notional=COIN_QUOTED_MINIMUM if in_bitcoin else Decimal(5),
        max_notional=Decimal(8_000_000),
        band_up=BAND_UP,
        band_down=BAND_DOWN,
        fee_rate=SPOT_FEE,
    )
    return Listing(market=market, mark=coin.price / price_of(quote))


def _stable_pair(name: str) -> Listing:
    market = Market(
        product=Product.SPOT,
        symbol=f"{name}USDT",
        base=name,
        quote="USDT",
        settle="USDT",
        wallet=UNIFIED,
        tick=Decimal("0.0001"),
        step=Decimal("0.01"),
        min_quantity=Decimal("0.01"),
        max_quantity=Decimal(4_000_000),
        max_market_quantity=Decimal(2_000_000),
        min_notional=Decimal(5),
        max_notional=Decimal(8_000_000),
        band_up=BAND_UP,
        band_down=BAND_DOWN,
        fee_rate=Decimal(0),
    )
    return Listing(market=market, mark=price_of(name))


def _linear(coin: Coin, quote: str, symbol: str, expiry: dt.datetime | None = None) -> Listing:
    market = Market(
        product=Product.LINEAR,
        symbol=symbol,
        base=coin.name,
        quote=quote,
        settle=quote,
        wallet=UNIFIED,
        tick=coin.tick,
        step=coin.step,
        min_quantity=coin.step,
        max_quantity=coin.max_market_quantity * 8,
        max_market_quantity=coin.max_market_quantity,
        min_notional=Decimal(5),
        band_up=BAND_UP,
        band_down=BAND_DOWN,
        fee_rate=CONTRACT_FEE,
        max_position=coin.max_market_quantity * 20,
        expiry_ms=_milliseconds(expiry),
        one_way=quote != "USDT" or expiry is not None,  # only USDT perpetuals have hedge mode
        pools_margin=True,
        stops_end_with_position=True,
    )
    status = MarketStatus.SETTLING if coin.name == DELIVERING else MarketStatus.TRADING
    return Listing(market=market, mark=coin.price / price_of(quote), status=status)


def _inverse(coin: Coin, symbol: str, expiry: dt.datetime | None = None) -> Listing:
    market = Market(
        product=Product.INVERSE,
        symbol=symbol,
        base=coin.name,
        quote="USD",
        settle=coin.name,
        wallet=UNIFIED,
        tick=coin.tick,
        step=Decimal(1),
        min_quantity=Decimal(1),
        max_quantity=Decimal(25_000_000),
        max_market_quantity=Decimal(5_000_000),
        min_notional=Decimal(0),
        band_up=BAND_UP,
        band_down=BAND_DOWN,
        fee_rate=CONTRACT_FEE,
        max_position=NO_LIMIT,
        expiry_ms=_milliseconds(expiry),
        one_way=True,
        pools_margin=True,
        stops_end_with_position=True,
    )
    return Listing(market=market, mark=coin.price)


def _milliseconds(instant: dt.datetime | None) -> int | None:
    return None if instant is None else int(instant.timestamp() * 1000)
