"""What can be traded at a simulated venue, and at which price.

A :class:`Market` never changes; its :class:`Listing` holds what does (status and prices). Products, not venues, decide
how value and profit are computed, so that every front-end shares this arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from enum import StrEnum

ZERO = Decimal(0)
ONE = Decimal(1)


class Product(StrEnum):
    """Kind of market. The value is the first part of a slice's name."""

    SPOT = "spot"
    MARGIN = "margin"  # spot with borrowed money, cross
    LINEAR = "linear"  # settled in the quote currency
    INVERSE = "inverse"  # settled in the base currency, quoted in USD

    @property
    def has_positions(self) -> bool:
        """Whether trading makes a position instead of moving balances."""
        return self in (Product.LINEAR, Product.INVERSE)


class MarketStatus(StrEnum):
    """Whether orders are taken."""

    TRADING = "TRADING"
    SETTLING = "SETTLING"
    BREAK = "BREAK"
    DELISTED = "DELISTED"  # unknown to reads and orders; a position in it is still there


MarketKey = tuple[Product, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """One instrument and its trading rules. Quantities are base units (spot) or contracts."""

    product: Product
    symbol: str
    base: str
    quote: str
    settle: str
    wallet: str  # the wallet that pays and receives
    tick: Decimal
    step: Decimal
    min_quantity: Decimal
    max_quantity: Decimal
    max_market_quantity: Decimal
    min_notional: Decimal  # in quote currency (inverse: not applied)
    max_notional: Decimal | None = None  # the same, of orders with a price; None: no limit
    contract_size: Decimal = ONE  # base units a contract (linear), quote units a contract (inverse)
    band_up: Decimal = Decimal("1.05")  # highest limit price of a buy, as a multiple of mark
    band_down: Decimal = Decimal("0.95")  # lowest limit price of a sell, as a multiple of mark
    fee_rate: Decimal = Decimal("0.0005")
    max_position: Decimal | None = None
    expiry_ms: int | None = None  # None: perpetual, or spot
    book_of: Product | None = None  # it trades in the book of the same symbol there; None: it has its own
    significant_digits: int | None = None  # prices with a fraction have no more of them; None: the tick alone counts
    one_way: bool = False  # it has only the net position, whatever mode the account is in
    pools_margin: bool = False  # in cross margin, every coin of the wallet is margin for it
    stops_end_with_position: bool = False  # stops of the whole position end with it, fired or not

    @property
    def key(self) -> MarketKey:
        """How the market is looked up: a symbol alone may exist as several products."""
        return (self.product, self.symbol)

    @property
    def slice_name(self) -> str:
        """The part of an account that this market belongs to, as in ``linear:USDT``."""
        return f"{self.product}:{self.settle}" if self.is_contract else str(self.product)

    @property
    def is_contract(self) -> bool:
        """Whether trading it makes a position instead of moving balances."""
        return self.product.has_positions

    def value(self, quantity: Decimal, price: Decimal) -> Decimal:
        """Worth of *quantity* in the settlement asset."""
        if self.product is Product.INVERSE:
            return quantity * self.contract_size / price
        return quantity * self.contract_size * price

    def notional(self, quantity: Decimal, price: Decimal) -> Decimal:
        """Worth of *quantity* in the quote currency."""
        if self.product is Product.INVERSE:
            return quantity * self.contract_size
        return quantity * self.contract_size * price

    def profit(self, quantity: Decimal, entry: Decimal, exit_price: Decimal) -> Decimal:
        """Profit of a signed *quantity* from *entry* to *exit_price*, in the settlement asset."""
        if self.product is Product.INVERSE:
            return quantity * self.contract_size * (1 / entry - 1 / exit_price)
        return quantity * self.contract_size * (exit_price - entry)

    def whole_steps(self, quantity: Decimal) -> Decimal:
        """Round *quantity* down to what can be traded."""
        return (quantity / self.step).to_integral_value(ROUND_DOWN) * self.step

    def tick_at(self, price: Decimal) -> Decimal:
        """The step between prices near *price*: the tick, or what the significant digits leave of it."""
        if self.significant_digits is None or not price:
            return self.tick
        return max(self.tick, min(ONE, ONE.scaleb(price.adjusted() + 1 - self.significant_digits)))

    def whole_ticks(self, price: Decimal) -> Decimal:
        """Round *price* to what can be quoted, never to nothing."""
        tick = self.tick_at(price)
        return max(tick, (price / tick).to_integral_value() * tick)


@dataclass(slots=True, kw_only=True)
class Listing:
    """A market's state: whether it trades, and its prices. There is always depth at bid and ask."""

    market: Market
    mark: Decimal
    bid: Decimal = ZERO
    ask: Decimal = ZERO
    status: MarketStatus = MarketStatus.TRADING

    def __post_init__(self) -> None:
        self.quote(self.mark)

    def quote(self, mark: Decimal) -> None:
        """Move the market to *mark*, with the book one tick either side of it."""
        market = self.market
        self.mark = market.whole_ticks(mark)
        tick = market.tick_at(self.mark)
        self.bid = max(tick, self.mark - tick)
        self.ask = self.mark + tick
