"""An account of a simulated venue: wallets, positions, orders and the counters that judge its client."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from node.sim.market import ZERO, Market, MarketKey, Product
from node.sim.orders import Book, Leg, Order, Origin

PositionKey = tuple[Product, str, Leg]


@dataclass(slots=True, kw_only=True)
class Balance:
    """One asset in one wallet."""

    free: Decimal = ZERO
    locked: Decimal = ZERO  # held by resting orders
    borrowed: Decimal = ZERO
    interest: Decimal = ZERO  # owed on what is borrowed; it does not grow by itself

    @property
    def total(self) -> Decimal:
        """Free and locked together; debts are not deducted."""
        return self.free + self.locked

    @property
    def owed(self) -> Decimal:
        """The debt: principal and interest."""
        return self.borrowed + self.interest

    def borrow(self, amount: Decimal) -> None:
        """Owe *amount* more, and have it."""
        self.borrowed += amount
        self.free += amount

    def repay(self, amount: Decimal) -> None:
        """Pay *amount* of the debt out of what is free, interest first. Neither may be less than it."""
        interest = min(amount, self.interest)
        self.interest -= interest
        self.borrowed -= amount - interest
        self.free -= amount


@dataclass(slots=True, kw_only=True)
class Position:
    """One open leg. *quantity* is signed, in contracts."""

    market: Market
    leg: Leg
    quantity: Decimal = ZERO
    entry_price: Decimal = ZERO
    updated_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionSettings:
    """How a market's positions are margined."""

    leverage: int = 10
    isolated: bool = False


@dataclass(slots=True, kw_only=True)
class Counters:
    """What a client did, for judging it: numbers of requests. Only accepted ones count, except in *orders_refused*."""

    orders_placed: int = 0
    orders_cancelled: int = 0
    orders_filled: int = 0
    orders_refused: int = 0
    exposure_increases: int = 0  # accepted orders that could enlarge a position
    sign_flips: int = 0  # a net position went through zero to the other side
    buys: int = 0  # accepted spot and margin buys
    borrows: int = 0  # accepted orders that needed a loan, and loans asked for by themselves
    oversold: int = 0  # accepted sales of more than was free
    conversions: int = 0
    repayments: int = 0  # debts paid back by request; not those that an order paid
    forbidden: int = 0  # requests that serve a third party (a referrer, a builder fee), taken or not


@dataclass(slots=True, kw_only=True)
class Account:
    """Everything that belongs to one owner."""

    name: str
    wallets: dict[str, dict[str, Balance]] = field(default_factory=dict)
    positions: dict[PositionKey, Position] = field(default_factory=dict)
    settings: dict[MarketKey, PositionSettings] = field(default_factory=dict)
    hedge_mode: set[Product] = field(default_factory=set)
    market_modes: dict[MarketKey, bool] = field(default_factory=dict)  # hedge mode of single markets, where it differs
    orders: dict[int, Order] = field(default_factory=dict)  # all, finished ones too
    open_orders: dict[int, Order] = field(default_factory=dict)
    by_client_id: dict[tuple[MarketKey, Book, str], Order] = field(default_factory=dict)  # the latest of that id
    counters: Counters = field(default_factory=Counters)
    engine_counters: Counters = field(default_factory=Counters)

    def balance(self, wallet: str, asset: str) -> Balance:
        """The asset's balance, made on first use."""
        return self.wallets.setdefault(wallet, {}).setdefault(asset, Balance())

    def position(self, market: Market, leg: Leg = Leg.NET) -> Position:
        """The leg's position, made on first use."""
        key = (market.product, market.symbol, leg)
        if key not in self.positions:
            self.positions[key] = Position(market=market, leg=leg)
        return self.positions[key]

    def quantity(self, market: Market, leg: Leg = Leg.NET) -> Decimal:
        """Signed size of the leg's position, in contracts."""
        position = self.positions.get((market.product, market.symbol, leg))
        return position.quantity if position is not None else ZERO

    def open_positions(self, product: Product | None = None) -> Iterator[Position]:
        """Positions that are not flat."""
        for position in self.positions.values():
            if position.quantity and (product is None or position.market.product is product):
                yield position

    def position_settings(self, market: Market) -> PositionSettings:
        """How the market's positions are margined; ten times cross unless set."""
        return self.settings.get(market.key, PositionSettings())

    def is_hedged(self, market: Market) -> bool:
        """Whether the market has two legs instead of one net position."""
        if not market.is_contract or market.one_way:
            return False
        return self.market_modes.get(market.key, market.product in self.hedge_mode)

    def resting(self, product: Product, symbol: str | None = None, book: Book = Book.ORDERS) -> list[Order]:
        """Open orders of one book, oldest first."""
        return [
            order
            for order in self.open_orders.values()
            if order.terms.market.product is product
            and order.terms.book is book
            and (symbol is None or order.terms.market.symbol == symbol)
        ]

    def counters_of(self, origin: Origin) -> Counters | None:
        """Where an order's deeds are counted; nowhere for what the scenario itself set up."""
        if origin is Origin.ENGINE:
            return self.engine_counters
        return None if origin is Origin.SEED else self.counters
