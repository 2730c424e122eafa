"""Orders of a simulated venue: what was asked for, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from node.sim.market import ZERO, Market


class Side(StrEnum):
    """Direction of an order."""

    BUY = "buy"
    SELL = "sell"

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sell."""
        return 1 if self is Side.BUY else -1


class Leg(StrEnum):
    """Which position an order works on: the net one, or one of the two of hedge mode."""

    NET = "net"
    LONG = "long"
    SHORT = "short"


class OrderKind(StrEnum):
    """Whether the order names a price."""

    MARKET = "market"
    LIMIT = "limit"


class TimeInForce(StrEnum):
    """What happens with the part that does not trade at once."""

    GTC = "gtc"
    IOC = "ioc"
    FOK = "fok"
    POST_ONLY = "post_only"


class OrderStatus(StrEnum):
    """Where an order is in its life."""

    NEW = "new"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REJECTED = "rejected"
    FINISHED = "finished"  # an algo order whose child order was placed


OPEN = frozenset({OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED})


class Book(StrEnum):
    """Where an order rests. Venues list and cancel the two apart."""

    ORDERS = "orders"
    ALGO = "algo"


class Origin(StrEnum):
    """Who placed an order. Safety counters tell the client from the engine."""

    CLIENT = "client"
    ENGINE = "engine"
    TRIGGER = "trigger"
    SEED = "seed"


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerTerms:
    """When a conditional order becomes live. Trailing orders have a rate instead of a fixed price."""

    price: Decimal | None
    fires_at_or_above: bool
    callback_rate: Decimal | None = None  # fraction of the best price seen
    activation_price: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderTerms:
    """One order as it was asked for."""

    market: Market
    side: Side
    kind: OrderKind
    client_id: str
    venue_type: str  # the venue's own word for it, given back as it came
    quantity: Decimal | None = None  # None: the whole position, or what *quote_quantity* buys
    quote_quantity: Decimal | None = None
    price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    leg: Leg = Leg.NET
    reduce_only: bool = False
    close_position: bool = False
    borrows: bool = False  # what is lacking is borrowed
    repays: bool = False  # what it brings in pays debts of that asset
    holds: bool = True  # a spot order that waits for its trigger locks what it would spend
    trigger: TriggerTerms | None = None
    other_trigger: TriggerTerms | None = None  # of an order with two: whichever is reached first
    book: Book = Book.ORDERS
    origin: Origin = Origin.CLIENT
    extras: Mapping[str, str] = field(default_factory=dict)  # the venue's own parameters, given back as they came

    @property
    def signed(self) -> int:
        """+1 for a buy, -1 for a sell."""
        return self.side.sign

    @property
    def gives(self) -> str:
        """The asset that it gives away on spot."""
        return self.market.base if self.side is Side.SELL else self.market.quote

    @property
    def trigger_price(self) -> Decimal | None:
        """The fixed price that it waits for, if it does."""
        return None if self.trigger is None else self.trigger.price

    @property
    def only_reduces(self) -> bool:
        """Whether the order's own terms keep it from adding exposure."""
        if self.leg is Leg.NET:
            return self.reduce_only or self.close_position
        return self.side is (Side.SELL if self.leg is Leg.LONG else Side.BUY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """One trade of an order."""

    trade_id: int
    quantity: Decimal
    price: Decimal
    fee: Decimal
    fee_asset: str
    profit: Decimal = ZERO  # realised by it, in the settlement asset of a contract


@dataclass(slots=True, kw_only=True)
class Order:
    """One order and its state."""

    order_id: int
    terms: OrderTerms
    quantity: Decimal
    created_ms: int
    updated_ms: int
    status: OrderStatus = OrderStatus.NEW
    filled: Decimal = ZERO
    held: Decimal = ZERO  # locked in the wallet while the order rests (spot)
    fills: list[Fill] = field(default_factory=list)
    triggered: bool = False
    triggered_ms: int = 0
    best_price: Decimal | None = None  # trailing orders: the best price since activation
    child_id: int | None = None  # the order that an algo order became

    @property
    def is_open(self) -> bool:
        """Whether it can still trade or be cancelled."""
        return self.status in OPEN

    @property
    def waits_for_trigger(self) -> bool:
        """Whether it is conditional and has not fired yet."""
        return self.terms.trigger is not None and not self.triggered

    @property
    def remaining(self) -> Decimal:
        """What has not traded."""
        return self.quantity - self.filled

    @property
    def turnover(self) -> Decimal:
        """Sum of price times quantity over all fills."""
        return sum((fill.price * fill.quantity for fill in self.fills), ZERO)

    @property
    def average_price(self) -> Decimal:
        """Quantity-weighted price, zero before the first fill."""
        return self.turnover / self.filled if self.filled else ZERO
