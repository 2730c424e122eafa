"""What a venue showed: markets, positions, orders, balances."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple


class MarketKind(StrEnum):
    """What is traded."""

    SPOT = "spot"
    MARGIN = "margin"  # spot markets, traded from a wallet that can owe
    LINEAR = "linear"  # margined and settled in the quote
    INVERSE = "inverse"  # margined and settled in the base


class Side(StrEnum):
    """Of an order."""

    BUY = "buy"
    SELL = "sell"


class PositionSide(StrEnum):
    """Of a position."""

    LONG = "long"
    SHORT = "short"

    @property
    def closing_side(self) -> Side:
        """The order side that makes it smaller."""
        return Side.SELL if self is PositionSide.LONG else Side.BUY


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketRules:
    """What an order on one market must obey. None: the venue states no such limit."""

    symbol: str
    #: The venue's own name.
    market_id: str
    kind: MarketKind
    base: str
    quote: str
    settle: str
    #: Base units (linear) or quote units (inverse) of one contract; 1 on spot.
    contract_size: Decimal = Decimal(1)
    quantity_step: Decimal | None = None
    #: Of market orders where the venue has two.
    quantity_min: Decimal | None = None
    market_quantity_max: Decimal | None = None
    limit_quantity_max: Decimal | None = None
    notional_min: Decimal | None = None
    notional_max: Decimal | None = None
    price_tick: Decimal | None = None
    #: Whether it can be traded now.
    trading: bool = True
    #: False: there are no market orders, and every order names a price.
    market_orders: bool = True
    #: False: the venue cannot cancel all orders of a market in one request, and each is named.
    sweeps: bool = True
    #: The venue's number of it, where orders name it by that and not by its name.
    number: int | None = None


class PositionKey(NamedTuple):
    """One leg of a slice. Some venues hold a cross and an isolated position of one market side by side."""

    symbol: str
    side: PositionSide
    isolated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """One position, in contracts, by the venue's own number."""

    slice: str
    symbol: str
    market_id: str
    side: PositionSide
    #: Always positive.
    contracts: Decimal
    #: Whether the account keeps long and short apart (hedge mode).
    hedged: bool = False
    isolated: bool = False
    mark_price: Decimal | None = None
    #: Signed, in base units, where it can be told.
    base_exposure: Decimal | None = None

    @property
    def key(self) -> PositionKey:
        """Identifies the leg within its slice."""
        return PositionKey(self.symbol, self.side, self.isolated)

    @property
    def value(self) -> Decimal | None:
        """What it is worth, in the quote; None where the venue tells no price or no size in base units."""
        if not self.mark_price or self.base_exposure is None:
            return None
        return abs(self.base_exposure) * self.mark_price


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenOrder:
    """One resting order, or one that waits for a trigger."""

    slice: str
    symbol: str
    market_id: str
    order_id: str
    client_order_id: str | None
    side: Side
    #: What is still to be filled; None where the order closes "the position".
    remaining: Decimal | None
    #: Lives in the book of trigger (algo, conditional) orders.
    trigger: bool = False
    reduce_only: bool = False
    #: Hedge mode only.
    position_side: PositionSide | None = None

    @property
    def protective(self) -> bool:
        """Can only make a position smaller: goes only after the position it protects."""
        if self.reduce_only:
            return True
        return self.position_side is not None and self.side is self.position_side.closing_side


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """One asset of one wallet."""

    slice: str
    asset: str
    free: Decimal
    #: Held by open orders, or as margin.
    locked: Decimal = Decimal(0)
    #: Owed to the venue.
    debt: Decimal = Decimal(0)

    @property
    def total(self) -> Decimal:
        """Free and locked, debts not subtracted."""
        return self.free + self.locked


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceSnapshot:
    """What one read of one slice said.

    ``orders`` and ``balances`` are None where that read did not ask for them.
    """

    slice: str
    positions: tuple[Position, ...]
    orders: tuple[OpenOrder, ...] | None
    balances: tuple[Balance, ...] | None
    #: Monotonic, before the first byte of the first request of the read.
    started_ns: int
    #: Monotonic, after the last answer.
    ended_ns: int
    #: Wall clock at the end.
    read_at: datetime
    #: Triggers were read first, then orders, then positions: nothing can have slipped past the reader.
    causal: bool = False
    #: Monotonic, where that chain began before this read: a whole read begun then has shown no trigger.
    chained_from_ns: int | None = None
    #: Nothing was read that bears the list of positions out, or it shows more than they do: what is not listed may be
    #: there all the same, and keeps its protection.
    positions_doubtful: bool = False
    #: What the venue says that it keeps apart, and shows in none of these lists.
    kept_apart: tuple[str, ...] = ()
