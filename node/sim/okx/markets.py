"""What the simulated OKX lists: spot pairs, perpetual swaps (USDT, USDC, coin-settled) and futures that expire.

Contract sizes and lots follow ``GET /api/v5/public/instruments`` of the real venue in shape and order of size: a
contract of a swap is rarely one coin (0.01 BTC, 100 XRP, 100 USD), and lots may be fractions of a contract.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from node.sim.catalogue import COINS, NO_USDT_PAIR, SPOT_ONLY, Coin, price_of
from node.sim.market import Listing, Market, MarketStatus, Product
from node.sim.orders import Book
from node.sim.scenarios import TriggerAction

#: The one wallet of the trading account; all products share it. Assets that only lie there are in the other.
TRADING, FUNDING = str(Product.SPOT), "funding"

USDC_PERPETUALS = ("BTC", "ETH", "SOL")
USDC_SPOT = ("BTC", "ETH")
BTC_SPOT = ("ETH", "SOL", "WAN")
COIN_MARGINED = {"BTC": Decimal(100), "ETH": Decimal(10), "SOL": Decimal(10)}
CONTRACT_SIZE = {
    name: Decimal(size)
    for name, size in (
        pair.split()
        for pair in [
            "BTC 0.01",
            "ETH 0.1",
            "SOL 1",
            "BNB 0.01",
            "XRP 100",
            "DOGE 1000",
            "ADA 100",
            "AVAX 1",
            "LINK 1",
            "LTC 1",
            "DOT 1",
            "TRX 1000",
            "UNI 1",
            "NEAR 10",
            "APT 1",
            "ARB 10",
            "OP 1",
            "SUI 1",
            "ATOM 1",
            "FIL 0.1",
            "INJ 0.1",
            "ETC 10",
            "BCH 0.1",
        ]
    )
}
USDC_CONTRACT_SIZE = {"BTC": Decimal("0.0001"), "ETH": Decimal("0.001"), "SOL": Decimal("0.01")}
LOT = {**dict.fromkeys(("BTC", "ETH", "SOL", "XRP", "DOGE"), Decimal("0.01")), "AVAX": Decimal(1), "LINK": Decimal(1)}
OTHER_LOT = Decimal("0.1")
SPOT_MINIMUM = {name: Decimal(10) for name in ("DOGE", "TRX", "WAN")} | {"ADA": Decimal(1), "XRP": Decimal(1)}
SUSPENDED = "BCH"  # a swap that is suspended
SPOT_FEE, CONTRACT_FEE = Decimal("0.001"), Decimal("0.0005")
COIN_QUOTED_TICK = {"BTC": Decimal("0.0000001"), "ETH": Decimal("0.0001")}
MOST = Decimal(9_999_999_999)  # how OKX writes "no limit"
MAX_ORDER_USD = Decimal(1_000_000)  # of a market order on spot
MAX_LIMIT_USD = Decimal(20_000_000)  # of a limit order on spot


def okx_listings() -> list[Listing]:
    """All instruments, each at its catalogue price."""
    listings = [_spot(coin, "USDT") for coin in COINS.values() if coin.name not in NO_USDT_PAIR]
    listings += [_spot(COINS[base], "USDC") for base in USDC_SPOT]
    listings += [_spot(COINS[base], "BTC") for base in BTC_SPOT]
    listings.append(_spot(COINS["WBETH"], "ETH"))
    listings += [_stable_pair(name) for name in ("USDC", "FDUSD")]
    listings += [_linear(coin, "USDT") for coin in COINS.values() if coin.name not in NO_USDT_PAIR | SPOT_ONLY]
    listings += [_linear(COINS[base], "USDC") for base in USDC_PERPETUALS]
    listings.append(_linear(COINS["BTC"], "USDT", expiry=next_quarter()))
    listings += [_inverse(COINS[base], size) for base, size in COIN_MARGINED.items()]
    listings.append(_inverse(COINS["BTC"], COIN_MARGINED["BTC"], expiry=next_quarter()))
    return listings


def trigger_words(_: Market, action: TriggerAction) -> tuple[str, Book]:
    """OKX's ``ordType`` of a conditional market order. All of them rest in the algo book, spot's too."""
    return ("trigger" if action is TriggerAction.ENTRY else "conditional"), Book.ALGO


def instrument_type(market: Market) -> str:
    """``SPOT``, ``SWAP`` or ``FUTURES``."""
    if not market.is_contract:
        return "SPOT"
    return "SWAP" if market.expiry_ms is None else "FUTURES"


def family(market: Market) -> str:
    """``instFamily`` and ``uly`` of a contract; spot has none."""
    return f"{market.base}-{market.quote}" if market.is_contract else ""


def next_quarter(today: dt.date | None = None) -> dt.datetime:
    """Delivery of the running quarter's contract: its last Friday, 08:00 UTC, at least two weeks away."""
    day = today or dt.datetime.now(dt.UTC).date()
    year, month = day.year, (day.month - 1) // 3 * 3 + 3
    while True:
        last = dt.date(year + month // 12, month % 12 + 1, 1) - dt.timedelta(days=1)
        friday = last - dt.timedelta(days=(last.weekday() - 4) % 7)
        if friday - day >= dt.timedelta(days=14):
            return dt.datetime(friday.year, friday.month, friday.day, 8, tzinfo=dt.UTC)
        year, month = (year + 1, 3) if month == 12 else (year, month + 3)


def _spot(coin: Coin, quote: str) -> Listing:
    step = max(Decimal("0.00000001"), coin.spot_step / 1000)
    market = Market(
        product=Product.SPOT,
        symbol=f"{coin.name}-{quote}",
        base=coin.name,
        quote=quote,
        settle=quote,
        wallet=TRADING,
        tick=COIN_QUOTED_TICK.get(quote, coin.spot_tick),
        step=step,
        min_quantity=SPOT_MINIMUM.get(coin.name, coin.spot_step),
        max_quantity=MOST,
        max_market_quantity=MOST,
        min_notional=Decimal(0),
        max_notional=MAX_LIMIT_USD / (1 if quote.startswith("USD") else price_of(quote)),
        band_up=Decimal("1.1"),
        band_down=Decimal("0.9"),
        fee_rate=SPOT_FEE,
    )
    return Listing(market=market, mark=coin.price / price_of(quote))


def _stable_pair(name: str) -> Listing:
    market = Market(
        product=Product.SPOT,
        symbol=f"{name}-USDT",
        base=name,
        quote="USDT",
        settle="USDT",
        wallet=TRADING,
        tick=Decimal("0.0001"),
        step=Decimal("0.000001"),
        min_quantity=Decimal(1),
        max_quantity=MOST,
        max_market_quantity=MOST,
        min_notional=Decimal(0),
        fee_rate=Decimal(0),
    )
    return Listing(market=market, mark=price_of(name))


def _linear(coin: Coin, quote: str, expiry: dt.datetime | None = None) -> Listing:
    size = CONTRACT_SIZE[coin.name] if quote == "USDT" else USDC_CONTRACT_SIZE[coin.name]
    lot = LOT.get(coin.name, OTHER_LOT) if quote == "USDT" else Decimal(1)
    most = coin.max_market_quantity / size
    market = Market(
        product=Product.LINEAR,
        symbol=f"{coin.name}-{quote}-{_ending(expiry)}",
        base=coin.name,
        quote=quote,
        settle=quote,
        wallet=TRADING,
        tick=coin.tick,
        step=lot,
        min_quantity=lot,
        max_quantity=most * 8,
        max_market_quantity=most,
        min_notional=Decimal(0),
        contract_size=size,
        fee_rate=CONTRACT_FEE,
        max_position=most * 20,
        expiry_ms=_milliseconds(expiry),
    )
    status = MarketStatus.BREAK if coin.name == SUSPENDED else MarketStatus.TRADING
    return Listing(market=market, mark=coin.price / price_of(quote), status=status)


def _inverse(coin: Coin, size: Decimal, expiry: dt.datetime | None = None) -> Listing:
    market = Market(
        product=Product.INVERSE,
        symbol=f"{coin.name}-USD-{_ending(expiry)}",
        base=coin.name,
        quote="USD",
        settle=coin.name,
        wallet=TRADING,
        tick=coin.tick,
        step=OTHER_LOT,
        min_quantity=OTHER_LOT,
        max_quantity=Decimal(1_000_000),
        max_market_quantity=Decimal(60_000),
        min_notional=Decimal(0),
        contract_size=size,
        fee_rate=CONTRACT_FEE,
        max_position=MOST,
        expiry_ms=_milliseconds(expiry),
    )
    return Listing(market=market, mark=coin.price)


def _ending(expiry: dt.datetime | None) -> str:
    return "SWAP" if expiry is None else f"{expiry:%y%m%d}"


def _milliseconds(instant: dt.datetime | None) -> int | None:
    return None if instant is None else int(instant.timestamp() * 1000)
