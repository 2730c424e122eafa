"""What the simulated Binance lists. Filters follow ``exchangeInfo`` of the real venue in shape and order of size."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal

from node.sim.catalogue import COINS, NO_USDT_PAIR, SPOT_ONLY, Coin, price_of
from node.sim.expiry import next_quarter
from node.sim.market import Listing, Market, MarketStatus, Product
from node.sim.orders import Book
from node.sim.scenarios import TriggerAction

USDC_PERPETUALS = ("BTC", "ETH", "SOL")
USDC_SPOT = ("BTC", "ETH")
FDUSD_SPOT = ("BTC",)
BTC_SPOT = ("ETH", "BNB", "SOL", "WAN")
COIN_MARGINED = {"BTC": Decimal(100), "ETH": Decimal(10), "SOL": Decimal(10)}
MARGIN_SYMBOLS = frozenset(
    {base + "USDT" for base in ("BTC", "ETH", "SOL", "BNB", "XRP", "DOGE", "ADA", "AVAX", "LINK", "LTC", "USDC")}
    | {"BTCUSDC", "ETHUSDC", "ETHBTC", "BNBBTC"}
)
SETTLING = "BCH"  # a perpetual that the venue is delisting
SPOT_FEE, FUTURES_FEE = Decimal("0.001"), Decimal("0.0005")
COIN_QUOTED_TICK = {"BTC": Decimal("0.0000001"), "ETH": Decimal("0.0001")}
COIN_QUOTED_MINIMUM = {"BTC": Decimal("0.0001"), "ETH": Decimal("0.001")}
SPOT_MAX_NOTIONAL = Decimal(9_000_000)
NO_LIMIT = Decimal(10) ** 12


def binance_listings() -> list[Listing]:
    """All markets, each at its catalogue price."""
    listings = [_spot(coin, "USDT") for coin in COINS.values() if coin.name not in NO_USDT_PAIR]
    listings += [_spot(COINS[base], "USDC") for base in USDC_SPOT]
    listings += [_spot(COINS[base], "BTC") for base in BTC_SPOT]
    listings += [_spot(COINS[base], "FDUSD") for base in FDUSD_SPOT]
    listings.append(_spot(COINS["WBETH"], "ETH"))
    listings += [_stable_pair(name) for name in ("USDC", "FDUSD")]
    listings += [_on_margin(listing) for listing in listings if listing.market.symbol in MARGIN_SYMBOLS]
    listings += [_linear(coin, "USDT") for coin in COINS.values() if coin.name not in NO_USDT_PAIR | SPOT_ONLY]
    listings += [_linear(COINS[base], "USDC") for base in USDC_PERPETUALS]
    listings.append(_linear(COINS["BTC"], "USDT", expiry=next_quarter()))
    listings += [_inverse(COINS[base], size) for base, size in COIN_MARGINED.items()]
    listings.append(_inverse(COINS["BTC"], COIN_MARGINED["BTC"], expiry=next_quarter()))
    return listings


def trigger_words(market: Market, action: TriggerAction) -> tuple[str, Book]:
    """Binance's type of a conditional market order, and where it rests."""
    if not market.is_contract:
        return ("TAKE_PROFIT" if action is TriggerAction.TAKE_PROFIT else "STOP_LOSS"), Book.ORDERS
    word = "TAKE_PROFIT_MARKET" if action is TriggerAction.TAKE_PROFIT else "STOP_MARKET"
    return word, Book.ALGO


def _spot(coin: Coin, quote: str) -> Listing:
    tick = COIN_QUOTED_TICK.get(quote, coin.spot_tick)
    market = Market(
        product=Product.SPOT,
        symbol=coin.name + quote,
        base=coin.name,
        quote=quote,
        settle=quote,
        wallet=Product.SPOT,
        tick=tick,
        step=coin.spot_step,
        min_quantity=coin.spot_step,
        max_quantity=coin.max_market_quantity * 10,
        max_market_quantity=coin.max_market_quantity,
        min_notional=COIN_QUOTED_MINIMUM.get(quote, Decimal(5)),
        max_notional=SPOT_MAX_NOTIONAL,
        band_up=Decimal(5),
        band_down=Decimal("0.2"),
        fee_rate=SPOT_FEE,
    )
    return Listing(market=market, mark=coin.price / price_of(quote))


def _on_margin(listing: Listing) -> Listing:
    market = replace(listing.market, product=Product.MARGIN, wallet=Product.MARGIN, book_of=Product.SPOT)
    return Listing(market=market, mark=listing.mark)


def _stable_pair(name: str) -> Listing:
    market = Market(
        product=Product.SPOT,
        symbol=f"{name}USDT",
        base=name,
        quote="USDT",
        settle="USDT",
        wallet=Product.SPOT,
        tick=Decimal("0.0001"),
        step=Decimal(1),
        min_quantity=Decimal(1),
        max_quantity=Decimal(20_000_000),
        max_market_quantity=Decimal(2_000_000),
        min_notional=Decimal(5),
        max_notional=SPOT_MAX_NOTIONAL,
        band_up=Decimal("1.2"),
        band_down=Decimal("0.8"),
        fee_rate=Decimal(0),
    )
    return Listing(market=market, mark=price_of(name))


def _linear(coin: Coin, quote: str, expiry: dt.datetime | None = None) -> Listing:
    market = Market(
        product=Product.LINEAR,
        symbol=coin.name + quote + (f"_{expiry:%y%m%d}" if expiry else ""),
        base=coin.name,
        quote=quote,
        settle=quote,
        wallet=Product.LINEAR,
        tick=coin.tick,
        step=coin.step,
        min_quantity=coin.step,
        max_quantity=coin.max_market_quantity * 8,
        max_market_quantity=coin.max_market_quantity,
        min_notional=Decimal(100) if coin.name == "BTC" and quote == "USDT" else Decimal(5),
        fee_rate=FUTURES_FEE,
        max_position=coin.max_market_quantity * 20,
        expiry_ms=_milliseconds(expiry),
    )
    status = MarketStatus.SETTLING if coin.name == SETTLING else MarketStatus.TRADING
    return Listing(market=market, mark=coin.price / price_of(quote), status=status)


def _inverse(coin: Coin, contract_size: Decimal, expiry: dt.datetime | None = None) -> Listing:
    market = Market(
        product=Product.INVERSE,
        symbol=f"{coin.name}USD_{expiry:%y%m%d}" if expiry else f"{coin.name}USD_PERP",
        base=coin.name,
        quote="USD",
        settle=coin.name,
        wallet=Product.INVERSE,
        tick=coin.tick,
        step=Decimal(1),
        min_quantity=Decimal(1),
        max_quantity=Decimal(1_000_000),
        max_market_quantity=Decimal(60_000),
        min_notional=Decimal(0),
        contract_size=contract_size,
        fee_rate=FUTURES_FEE,
        max_position=NO_LIMIT,
        expiry_ms=_milliseconds(expiry),
    )
    return Listing(market=market, mark=coin.price)


def _milliseconds(instant: dt.datetime | None) -> int | None:
    return None if instant is None else int(instant.timestamp() * 1000)
