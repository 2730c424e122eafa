"""The calls that a plan is made of, and what may come back from them."""

from __future__ import annotations

from base64 import b32encode
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from hashlib import sha256
from typing import Final
from uuid import UUID

from node.domain.snapshot import PositionKey, PositionSide


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelOrders:
    """Cancel named orders of one symbol, all of them in the same book."""

    slice: str
    symbol: str
    market_id: str
    order_ids: tuple[str, ...]
    trigger: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelSymbol:
    """Cancel whatever rests on one symbol in one book, known to us or not."""

    slice: str
    symbol: str
    market_id: str
    trigger: bool
    #: How many were seen there.
    seen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosePosition:
    """Make one position smaller: the venue itself bounds it (reduce-only, or the position side)."""

    slice: str
    symbol: str
    market_id: str
    side: PositionSide
    hedged: bool
    isolated: bool
    contracts: Decimal
    #: None: at market. Otherwise immediate-or-cancel at this price.
    limit_price: Decimal | None
    client_order_id: str

    @property
    def key(self) -> PositionKey:
        """The leg that it closes."""
        return PositionKey(self.symbol, self.side, self.isolated)


@dataclass(frozen=True, slots=True, kw_only=True)
class _SpotOrder:
    """An immediate-or-cancel order."""

    slice: str
    symbol: str
    market_id: str
    #: The market's base coin.
    asset: str
    #: In units of ``asset``.
    quantity: Decimal
    #: In the market's quote currency a unit of ``asset``.
    limit_price: Decimal
    client_order_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SellSpot(_SpotOrder):
    """Sell a free balance, never more than was read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuyToRepay(_SpotOrder):
    """Buy what is owed and not there: the only purchase that this program ever makes on spot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RepayDebt:
    """Give borrowed units back. Never of nothing: some venues take a zero for "everything, converted"."""

    slice: str
    asset: str
    #: Positive.
    amount: Decimal

    @property
    def symbol(self) -> str:
        """What reports name: there is no market in it."""
        return self.asset


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertAsset:
    """Hand a residue that no order can sell to the venue's own convert service."""

    slice: str
    asset: str
    into: str
    quantity: Decimal
    #: In units of ``into``: a worse quote is not accepted.
    least_received: Decimal

    @property
    def symbol(self) -> str:
        """What reports name: there is no market in it."""
        return self.asset


#: Orders that no venue bounds: an ambiguous one is looked up by its client order id before the next.
SpotOrder = SellSpot | BuyToRepay
#: What FLATTEN does with balances.
BalanceStep = SpotOrder | RepayDebt | ConvertAsset
Step = CancelOrders | CancelSymbol | ClosePosition | BalanceStep


class Outcome(StrEnum):
    """What is known about a call once it has ended."""

    DONE = "done"  # the venue says it took it
    REFUSED = "refused"  # the venue says it did not
    AMBIGUOUS = "ambiguous"  # anything else: it may have happened


class Refusal(StrEnum):
    """Why a venue refused, as far as the next plan depends on it."""

    NOTHING_TO_REDUCE = "NOTHING_TO_REDUCE"  # flat already, or protective orders stand for the whole size
    PRICE_BAND = "PRICE_BAND"  # outside the venue's price limits: the market, or the price that we named
    UNFILLED = "UNFILLED"  # taken, and ended without a fill: nobody trades at the price that we named
    QUANTITY = "QUANTITY"  # too large for one order
    TOO_SMALL = "TOO_SMALL"  # below the least quantity or value
    MARKET_CLOSED = "MARKET_CLOSED"
    UNKNOWN_ORDER = "UNKNOWN_ORDER"  # nothing to cancel: gone already
    RATE_LIMITED = "RATE_LIMITED"
    OVERLOADED = "OVERLOADED"
    DENIED = "DENIED"  # key, rights, address: a person must act
    PERMISSION = "PERMISSION"  # this node's own permission level for the account
    INSUFFICIENT = "INSUFFICIENT"  # balance is less than was read
    OTHER = "OTHER"


#: Refusals that say nothing about the step itself: the same one may be taken a little later.
PASSING: Final = frozenset({Refusal.RATE_LIMITED, Refusal.OVERLOADED, Refusal.DENIED, Refusal.PERMISSION})
#: A request may reach the venue this long after it was signed (Binance: recvWindow, 10 s by ccxt's default), and a
#: wallet may show it as late. Until then "no such order" and "unchanged" may still become untrue.
LATE_ARRIVAL_NS: Final = 10_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """How one step ended."""

    step: Step
    outcome: Outcome
    refusal: Refusal | None = None
    #: The venue's own words, secrets removed.
    message: str | None = None
    #: Monotonic: when the request's bytes were handed to the socket; None if that never happened.
    sent_ns: int | None = None
    ended_ns: int = 0
    retry_after_s: float | None = None
    #: What the venue says was executed, in the order's own units; None: it did not say.
    filled: Decimal | None = None
    #: Of a cancel that took several requests: orders that are gone, whatever became of the others.
    gone: frozenset[str] = frozenset()

    @property
    def ended_orders(self) -> frozenset[str]:
        """The orders that the venue says are gone, of those that a cancel names."""
        if not isinstance(self.step, CancelOrders):
            return frozenset()
        all_gone = self.outcome is Outcome.DONE or self.refusal is Refusal.UNKNOWN_ORDER
        return frozenset(self.step.order_ids) if all_gone else self.gone


#: First letter of every client order id: never 't', which one venue reserves.
CLIENT_ORDER_ID_PREFIX = "s"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderIds:
    """Derives client order ids: the same step of the same round of the same command has the same id, for ever.

    The alphabet is every venue's common denominator: 18 lower-case letters and digits.
    """

    command_id: UUID
    account_id: UUID
    #: Rises with every restart that resumes the command, so that no id is used for two different orders.
    attempt: int
    round: int

    def client_order_id(self, slice_name: str, symbol: str, leg: str, chunk: int) -> str:
        """The id of one order."""
        parts = (self.command_id, self.account_id, slice_name, symbol, leg, chunk, self.attempt, self.round)
        digest = sha256("|".join(map(str, parts)).encode()).digest()
        return CLIENT_ORDER_ID_PREFIX + b32encode(digest).decode().lower()[:17]
