"""What the simulated Hyperliquid lists: perpetuals of its own, spot pairs, and two dexs that builders deployed (HIP-3).

An asset's number is its place in its list: perpetuals from 0, spot pairs from 10000, builder ``n`` from
``100000 + 10000 n``. A contract is known by its coin (``BTC``, ``xyz:TSLA``), a spot pair by ``@`` and its number; the
tokens of wrapped coins have names of their own (``UBTC``). Prices have five significant digits and at most
``6 - szDecimals`` decimals (spot: 8), whole prices always pass; sizes have ``szDecimals``.

Sources: "Asset IDs", "Tick and lot size", "Perpetuals" and "Spot" of the info endpoint in the documentation.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from node.sim.catalogue import COINS, OFF_THE_BOOK, price_of
from node.sim.market import ONE, ZERO, Listing, Market, MarketKey, Product
from node.sim.orders import Book
from node.sim.scenarios import TriggerAction

PERPETUAL_DECIMALS, SPOT_DECIMALS = 6, 8
SIGNIFICANT_DIGITS = 5
PERPETUAL_FEE, SPOT_FEE = Decimal("0.00045"), Decimal("0.0007")
SPOT_OFFSET, DEX_OFFSET = 10_000, 100_000
MIN_VALUE: Final = Decimal(10)
NO_LIMIT: Final = Decimal(10) ** 12
COLLATERAL = "USDC"

#: szDecimals of contracts, and their highest leverage.
_PERPETUALS = {
    "BTC": (5, 40), "ETH": (4, 25), "SOL": (2, 20), "BNB": (3, 10), "XRP": (0, 20), "DOGE": (0, 10), "ADA": (0, 10),
    "AVAX": (2, 10), "LINK": (1, 10), "LTC": (2, 10), "DOT": (1, 10), "TRX": (0, 10), "UNI": (1, 10), "NEAR": (1, 10),
    "APT": (2, 10), "ARB": (1, 10), "OP": (1, 10), "SUI": (1, 10), "ATOM": (2, 5), "FIL": (1, 10), "INJ": (1, 10),
    "ETC": (2, 5), "BCH": (3, 10), "HYPE": (2, 10), "KPEPE": (0, 10),
}  # fmt: skip
_COIN = {"KPEPE": "kPEPE"}  # a thousand of them: the venue's own name has a small letter
#: Prices of what the shared catalogue does not have.
_PRICES = {
    "HYPE": Decimal("38.5"), "PURR": Decimal("0.2"), "KPEPE": Decimal("0.0102"), "GOLD": Decimal(3340),
    "TSLA": Decimal("335"), "USDE": Decimal("0.9996"),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Dex:
    """One list of perpetuals: the venue's own, without a name, or a builder's."""

    name: str
    number: int
    collateral: str
    coins: tuple[str, ...]
    full_name: str = ""

    @property
    def offset(self) -> int:
        """Number of its first asset."""
        return DEX_OFFSET + 10_000 * self.number if self.number else 0


#: ``xyz`` settles in the same coin as the venue's own contracts, ``hyna`` in another.
DEXS: Final = (
    Dex(name="", number=0, collateral=COLLATERAL, coins=tuple(_PERPETUALS)),
    Dex(name="xyz", number=1, collateral=COLLATERAL, coins=("GOLD", "TSLA"), full_name="XYZ"),
    Dex(name="hyna", number=2, collateral="USDE", coins=("BTC", "ETH", "SOL"), full_name="HyENA"),
)
_BUILDER_SIZES = {"GOLD": (4, 20), "TSLA": (3, 10), "BTC": (5, 40), "ETH": (4, 25), "SOL": (2, 20)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A coin of the spot wallet: *asset* is how it is generally called, *name* how it is called here."""

    asset: str
    name: str
    decimals: int
    full_name: str | None = None


#: In order of their numbers. Two have no pair: an airdrop, and one that was delisted.
TOKENS: Final = (
    Token(asset="USDC", name="USDC", decimals=8),
    Token(asset="PURR", name="PURR", decimals=0),
    Token(asset="HYPE", name="HYPE", decimals=2, full_name="Hyperliquid"),
    Token(asset="BTC", name="UBTC", decimals=5, full_name="Unit Bitcoin"),
    Token(asset="ETH", name="UETH", decimals=4, full_name="Unit Ethereum"),
    Token(asset="SOL", name="USOL", decimals=3, full_name="Unit Solana"),
    Token(asset="USDT", name="USDT0", decimals=2, full_name="USDT0"),
    Token(asset="USDE", name="USDE", decimals=2, full_name="USDe"),
    Token(asset="XAIR", name="XAIR", decimals=0),
    Token(asset="SXP", name="SXP", decimals=1),
    Token(asset="WAN", name="WAN", decimals=0),
)
PAIRS: Final = (
    ("PURR", "USDC"), ("HYPE", "USDC"), ("BTC", "USDC"), ("ETH", "USDC"), ("SOL", "USDC"), ("USDT", "USDC"),
    ("USDE", "USDC"), ("HYPE", "USDT"), ("WAN", "USDT"),
)  # fmt: skip
TOKEN_BY_ASSET: Final = {token.asset: token for token in TOKENS}
TOKEN_NUMBERS: Final = {token.asset: number for number, token in enumerate(TOKENS)}


def asset_numbers() -> dict[MarketKey, int]:
    """Every asset's number."""
    numbers: dict[MarketKey, int] = {}
    for dex in DEXS:
        for place, coin in enumerate(dex.coins):
            numbers[Product.LINEAR, _symbol(dex, coin)] = dex.offset + place
    for place, _ in enumerate(PAIRS):
        numbers[Product.SPOT, pair_name(place)] = SPOT_OFFSET + place
    return numbers


def pair_name(place: int) -> str:
    """How the pair of that place is called: only the first has a name."""
    return "PURR/USDC" if place == 0 else f"@{place}"


def dex_of(market: Market) -> str:
    """Name of the dex that lists a contract; empty for the venue's own, and for spot."""
    return market.symbol.partition(":")[0] if ":" in market.symbol else ""


def size_decimals(market: Market) -> int:
    """``szDecimals``."""
    return -int(market.step.adjusted())


def max_leverage(market: Market) -> int:
    """The highest leverage of a contract."""
    coin = market.base.rpartition("-")[2]
    return (_BUILDER_SIZES if dex_of(market) else _PERPETUALS)[coin][1]


def listings() -> list[Listing]:
    """All markets, each at its catalogue price."""
    found = [_perpetual(dex, coin) for dex in DEXS for coin in dex.coins]
    return found + [_pair(place, base, quote) for place, (base, quote) in enumerate(PAIRS)]


def trigger_words(_: Market, action: TriggerAction) -> tuple[str, Book]:
    """The venue's type of a conditional market order; it rests in the one list that there is."""
    return ("Take Profit Market" if action is TriggerAction.TAKE_PROFIT else "Stop Market"), Book.ORDERS


def price(asset: str) -> Decimal:
    """USD price of an asset.

    Raises:
        LookupError: it has none.
    """
    return _PRICES[asset] if asset in _PRICES else price_of(asset)


def has_price(asset: str) -> bool:
    """Whether anything says what the asset is worth."""
    return asset in _PRICES or asset in COINS or asset in OFF_THE_BOOK


def _symbol(dex: Dex, coin: str) -> str:
    return f"{dex.name}:{coin}" if dex.name else _COIN.get(coin, coin)


def _perpetual(dex: Dex, coin: str) -> Listing:
    decimals, _ = (_BUILDER_SIZES if dex.name else _PERPETUALS)[coin]
    market = Market(
        product=Product.LINEAR,
        symbol=_symbol(dex, coin),
        base=f"{dex.name.upper()}-{coin}" if dex.name else coin,
        quote=dex.collateral,
        settle=dex.collateral,
        wallet=Product.LINEAR,
        tick=ONE.scaleb(decimals - PERPETUAL_DECIMALS),
        step=ONE.scaleb(-decimals),
        min_quantity=ONE.scaleb(-decimals),
        max_quantity=NO_LIMIT,
        max_market_quantity=NO_LIMIT,
        min_notional=ZERO,  # judged by the order gateway: closing a whole position is exempt
        band_up=NO_LIMIT,
        band_down=ZERO,
        fee_rate=PERPETUAL_FEE,
        significant_digits=SIGNIFICANT_DIGITS,
    )
    return Listing(market=market, mark=price(coin))


def _pair(place: int, base: str, quote: str) -> Listing:
    decimals = TOKEN_BY_ASSET[base].decimals
    market = Market(
        product=Product.SPOT,
        symbol=pair_name(place),
        base=base,
        quote=quote,
        settle=quote,
        wallet=Product.SPOT,
        tick=ONE.scaleb(decimals - SPOT_DECIMALS),
        step=ONE.scaleb(-decimals),
        min_quantity=ONE.scaleb(-decimals),
        max_quantity=NO_LIMIT,
        max_market_quantity=NO_LIMIT,
        min_notional=ZERO,
        band_up=NO_LIMIT,
        band_down=ZERO,
        fee_rate=SPOT_FEE,
        significant_digits=SIGNIFICANT_DIGITS,
    )
    return Listing(market=market, mark=price(base) / price(quote))
