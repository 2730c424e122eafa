"""Named scenarios: what the accounts of a freshly started simulator hold.

They name assets, not symbols, so that every venue can set them up. Quantities of linear contracts and spot are base
units, those of inverse contracts are units of the quote currency (USD); prices are multiples of the mark price.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from node.sim.market import ZERO, Product


class TriggerAction(StrEnum):
    """What a conditional order of a scenario is for."""

    STOP_LOSS = "stop_loss"
    TAKE_PROFIT = "take_profit"
    ENTRY = "entry"


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketName:
    """A market in venue-neutral words."""

    product: Product
    base: str
    quote: str
    dated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionSeed:
    """A position: positive is long. In hedge mode the sign chooses the leg."""

    market: MarketName
    quantity: Decimal
    entry_factor: Decimal = Decimal("0.98")
    isolated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderSeed:
    """A resting limit order: positive buys."""

    market: MarketName
    quantity: Decimal
    price_factor: Decimal
    reduce_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerSeed:
    """A conditional market order: positive buys; no quantity closes the whole position on the side of *sign*."""

    market: MarketName
    action: TriggerAction
    trigger_factor: Decimal
    quantity: Decimal | None = None
    sign: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class DebtSeed:
    """A debt of one wallet, on top of what is held there."""

    product: Product
    asset: str
    borrowed: Decimal
    interest: Decimal = ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSeed:
    """One account's holdings."""

    name: str
    hedge: bool = False
    balances: tuple[tuple[Product, str, Decimal], ...] = ()
    debts: tuple[DebtSeed, ...] = ()
    positions: tuple[PositionSeed, ...] = ()
    orders: tuple[OrderSeed, ...] = ()
    triggers: tuple[TriggerSeed, ...] = ()


def linear(base: str, quote: str = "USDT") -> MarketName:
    """The perpetual contract of *base*, settled in *quote*."""
    return MarketName(product=Product.LINEAR, base=base, quote=quote)


def inverse(base: str, *, dated: bool = False) -> MarketName:
    """The contract of *base* against USD, settled in *base*."""
    return MarketName(product=Product.INVERSE, base=base, quote="USD", dated=dated)


def spot(base: str, quote: str = "USDT") -> MarketName:
    """The spot pair."""
    return MarketName(product=Product.SPOT, base=base, quote=quote)


def margin(base: str, quote: str = "USDT") -> MarketName:
    """The pair of :func:`spot`, traded with borrowed money."""
    return MarketName(product=Product.MARGIN, base=base, quote=quote)


# ADA is above the market-order maximum of 300 000: it takes four orders to close.
_LINEAR_BOOK = """
    BTC 1.25, ETH -18.4, SOL 310, BNB -22.5, XRP 42000, DOGE -150000, ADA 1000000, AVAX -420, LINK 800, LTC -95.5,
    DOT 1500, TRX -60000, UNI 640, NEAR -900, APT 510.5, ARB -7200, OP 2600, SUI -4100, ATOM 350, FIL -700
"""


def _positions(book: str) -> tuple[PositionSeed, ...]:
    """``BTC 1.25, ETH -18.4``, as USDT-settled perpetuals."""
    pairs = (line.split() for line in book.split(","))
    return tuple(PositionSeed(market=linear(base), quantity=Decimal(quantity)) for base, quantity in pairs)


def _wealth(**amounts: str) -> tuple[tuple[Product, str, Decimal], ...]:
    """``spot_BTC="1"`` and the like, as (product, asset, amount)."""
    split = ((name.split("_", 1), amount) for name, amount in amounts.items())
    return tuple((Product(product), asset, Decimal(amount)) for (product, asset), amount in split)


def _order(market: MarketName, quantity: str, factor: str, *, reduce_only: bool = False) -> OrderSeed:
    return OrderSeed(market=market, quantity=Decimal(quantity), price_factor=Decimal(factor), reduce_only=reduce_only)


def _trigger(market: MarketName, action: TriggerAction, factor: str, quantity: str) -> TriggerSeed:
    return TriggerSeed(market=market, action=action, trigger_factor=Decimal(factor), quantity=Decimal(quantity))


def _close_all(market: MarketName, action: TriggerAction, factor: str, *, sign: int) -> TriggerSeed:
    return TriggerSeed(market=market, action=action, trigger_factor=Decimal(factor), sign=sign)


DEMO = AccountSeed(
    name="demo",
    balances=_wealth(
        linear_USDT="400000",
        linear_USDC="60000",
        inverse_BTC="2.5",
        inverse_ETH="30",
        spot_USDT="25000",
        spot_BTC="0.8",
        spot_ETH="5.25",
        spot_SOL="120",
        spot_DOGE="3.4",  # dust: worth less than any order may be
        spot_WAN="5000",  # sold for BTC only
    ),
    positions=(
        *_positions(_LINEAR_BOOK),
        PositionSeed(market=linear("BTC", "USDC"), quantity=Decimal("0.35"), entry_factor=Decimal("1.01")),
        PositionSeed(market=inverse("BTC"), quantity=Decimal(25000)),
        PositionSeed(market=inverse("ETH"), quantity=Decimal(-12000)),
    ),
    orders=(
        _order(linear("BTC"), "0.5", "0.96"),
        _order(linear("ETH"), "-4", "1.04"),
        _order(linear("INJ"), "30", "0.97"),
        _order(linear("ETH", "USDC"), "1.5", "0.97"),
        _order(inverse("BTC"), "5000", "0.97"),
        _order(linear("SOL"), "-310", "1.04", reduce_only=True),
        _order(linear("BNB"), "22.5", "0.96", reduce_only=True),
        _order(spot("SOL"), "-40", "1.04"),
    ),
    triggers=(
        _close_all(linear("BTC"), TriggerAction.STOP_LOSS, "0.9", sign=-1),
        _trigger(linear("XRP"), TriggerAction.STOP_LOSS, "0.9", "-42000"),
        _close_all(linear("DOGE"), TriggerAction.TAKE_PROFIT, "0.8", sign=1),
        _trigger(linear("ETC"), TriggerAction.ENTRY, "1.06", "60"),
        _trigger(inverse("BTC"), TriggerAction.STOP_LOSS, "0.9", "-25000"),
    ),
)

HEDGE = AccountSeed(
    name="hedge",
    hedge=True,
    balances=_wealth(linear_USDT="200000", inverse_BTC="1", spot_USDT="5000"),
    positions=(
        *_positions("BTC 0.8, BTC -0.3, ETH 12, SOL -200, ADA 700000, LINK -450"),
        PositionSeed(market=linear("AVAX"), quantity=Decimal(300), isolated=True),
        PositionSeed(market=linear("DOT"), quantity=Decimal(-800), isolated=True),
        PositionSeed(market=inverse("BTC"), quantity=Decimal(8000)),
    ),
    orders=(
        _order(linear("BTC"), "0.2", "0.96"),
        _order(linear("ETH"), "-12", "1.04", reduce_only=True),
    ),
    triggers=(
        _close_all(linear("BTC"), TriggerAction.STOP_LOSS, "0.9", sign=-1),
        _trigger(linear("SOL"), TriggerAction.STOP_LOSS, "1.1", "200"),
        _trigger(linear("ETC"), TriggerAction.ENTRY, "1.06", "60"),
    ),
)

BASIS = AccountSeed(
    name="basis",
    balances=_wealth(
        linear_USDT="60000", inverse_BTC="0.5", spot_USDT="1000", spot_BTC="2", spot_ETH="20", spot_SOL="400"
    ),
    positions=_positions("BTC -2, ETH -20, SOL -400"),
)

# A long of bitcoin on borrowed dollars, a short of ether whose proceeds are kept, and a debt beside a holding.
MARGIN = AccountSeed(
    name="margin",
    balances=_wealth(margin_BTC="1.5", margin_USDT="32000", margin_BNB="12"),
    debts=(
        DebtSeed(product=Product.MARGIN, asset="USDT", borrowed=Decimal(40000)),
        DebtSeed(product=Product.MARGIN, asset="ETH", borrowed=Decimal(8), interest=Decimal("0.0021")),
        DebtSeed(product=Product.MARGIN, asset="BNB", borrowed=Decimal(4)),
    ),
    orders=(_order(margin("BTC"), "0.1", "0.96"),),
)

# What is left when everything that sells has been sold: each asset is in the way for a reason of its own.
RESIDUE = AccountSeed(
    name="residue",
    balances=_wealth(
        spot_USDT="1000",
        spot_DOGE="3.4",  # worth less than any order may be; large enough to convert
        spot_TRX="0.5",  # too small to convert, too
        spot_WAN="3",  # dust that is not convertible
        spot_SXP="400",  # convertible, and no pair lists it
        spot_XAIR="1000",  # an airdrop without a price
        spot_WBETH="2.5",  # wrapped ether, with pairs of its own
        spot_USDC="2500",
        spot_FDUSD="800.5",
        spot_ADA="700000",  # above the market-order maximum of 300 000
        spot_SOL="120",  # a third of it is locked
        spot_LDUSDT="5000",  # lent out: shown in the spot wallet, and not tradable
    ),
    orders=(_order(spot("SOL"), "-40", "1.04"),),
)

EMPTY = AccountSeed(name="empty", balances=_wealth(linear_USDT="10000", spot_USDT="10000"))

SCENARIOS: dict[str, tuple[AccountSeed, ...]] = {
    "demo": (DEMO,),
    "hedge": (HEDGE,),
    "basis": (BASIS,),
    "margin": (MARGIN,),
    "residue": (RESIDUE,),
    "empty": (EMPTY,),
    "desk": (DEMO, HEDGE, BASIS, EMPTY),
}
