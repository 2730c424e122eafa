"""The Venue port over the matching core, without a wire: what a venue does to an account, and nothing else.

Reads show the core as it is at that moment; steps are orders, cancels, repayments and conversions of the core; its
refusals become those of the domain. Whoever holds it says what else happens: ``moment`` is called whenever the world
may have moved (before every read and before a step takes effect), ``ending`` decides how a step ends.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum
from typing import Final

from node.clock import Clock, SystemClock
from node.domain.flatten import Quote
from node.domain.snapshot import (
    Balance,
    MarketKind,
    MarketRules,
    OpenOrder,
    Position,
    PositionSide,
    Side,
    SliceSnapshot,
)
from node.domain.steps import (
    BalanceStep,
    BuyToRepay,
    CancelOrders,
    CancelSymbol,
    ClosePosition,
    ConvertAsset,
    Outcome,
    Refusal,
    RepayDebt,
    SellSpot,
    SpotOrder,
    Step,
    StepResult,
)
from node.errors import VenueUnavailable
from node.sim import orders as sim
from node.sim.accounts import Account
from node.sim.conversions import ConversionDesk
from node.sim.market import Market, MarketStatus, Product
from node.sim.matching import MatchingCore
from node.sim.orders import Book, Leg, OrderKind, OrderTerms, Origin, TimeInForce
from node.sim.refusals import Reason, RefusalError
from tests.support.market_names import unified

#: How long a quote of the convert service holds.
QUOTE_MS: Final = 10_000

#: What the core's reasons mean to a plan. A client id that was used before is a fault of ours: it is not in here.
REFUSALS: Final[Mapping[Reason, Refusal]] = {
    Reason.MARKET_CLOSED: Refusal.MARKET_CLOSED,
    Reason.QUANTITY_ZERO: Refusal.TOO_SMALL,
    Reason.QUANTITY_BELOW_MINIMUM: Refusal.TOO_SMALL,
    Reason.NOTIONAL_BELOW_MINIMUM: Refusal.TOO_SMALL,
    Reason.QUANTITY_ABOVE_MAXIMUM: Refusal.QUANTITY,
    Reason.MARKET_QUANTITY_ABOVE_MAXIMUM: Refusal.QUANTITY,
    Reason.PRICE_ABOVE_BAND: Refusal.PRICE_BAND,
    Reason.PRICE_BELOW_BAND: Refusal.PRICE_BAND,
    Reason.COUNTERPARTY_PRICE: Refusal.PRICE_BAND,
    Reason.INSUFFICIENT_BALANCE: Refusal.INSUFFICIENT,
    Reason.INSUFFICIENT_MARGIN: Refusal.INSUFFICIENT,
    Reason.REDUCE_ONLY_REJECTED: Refusal.NOTHING_TO_REDUCE,
    Reason.REDUCE_ONLY_CONFLICT: Refusal.NOTHING_TO_REDUCE,
    Reason.UNKNOWN_ORDER: Refusal.UNKNOWN_ORDER,
}
_SIDES: Final = {Side.BUY: sim.Side.BUY, Side.SELL: sim.Side.SELL}
_OTHER_SIDES: Final = {theirs: ours for ours, theirs in _SIDES.items()}
_LEGS: Final = {PositionSide.LONG: Leg.LONG, PositionSide.SHORT: Leg.SHORT}
_SIDES_OF_LEGS: Final = {leg: side for side, leg in _LEGS.items()}


class Mishap(StrEnum):
    """How a step ends otherwise than by what the core says of it."""

    LOST_BEFORE = "lost before"  # no answer, and nothing was done
    LOST_AFTER = "lost after"  # no answer, and it was done
    LATE = "late"  # no answer, and it will be done a little later
    HALF = "half"  # an order trades in part
    HALF_LOST = "half lost"  # the same, and no answer
    LIE = "lie"  # said to be done, and nothing was
    SLOW = "slow"  # done and answered, after everybody has stopped waiting
    FIRES = "fires"  # a trigger fires while it is being cancelled


#: None: as the core has it.
Ending = Refusal | Mishap | None


def rules_of(market: Market) -> MarketRules:
    """What is known of a market: margin trades in the markets of spot."""
    kind = MarketKind.SPOT if not market.is_contract else MarketKind(market.product.value)
    return MarketRules(
        symbol=unified(market),
        market_id=market.symbol,
        kind=kind,
        base=market.base,
        quote=market.quote,
        settle=market.settle,
        contract_size=market.contract_size,
        quantity_step=market.step,
        quantity_min=market.min_quantity,
        market_quantity_max=market.max_market_quantity,
        limit_quantity_max=market.max_quantity,
        notional_min=market.min_notional or None,
        notional_max=market.max_notional,
        price_tick=market.tick,
    )


@dataclass(slots=True)
class CoreVenue:
    """Implements ``node.engine.venue_port.Venue`` for one account of a core; one slice a product."""

    core: MatchingCore
    account: Account
    clock: Clock = field(default_factory=SystemClock)
    #: The world may have moved. Not called again from within itself.
    moment: Callable[[], None] = lambda: None
    ending: Callable[[Step], Ending] = lambda _step: None
    #: Whether the read that has just begun comes to nothing.
    unreadable: Callable[[], bool] = lambda: False
    #: False: closes are plain orders, which could turn a position round. One-way mode only.
    bounded: bool = True
    converting: bool = False
    #: Pairs without bids and offers.
    unpriced: frozenset[str] = frozenset()
    #: What one half of a round trip takes, and how much later a late step arrives.
    latency_s: float = 0.001
    late_by_s: float = 8.0
    slow_s: float = 3.0
    look_every_s: float = 2.0
    #: Everything that was asked for, in this order; and what each slice's newest balances were when it was.
    steps: list[Step] = field(default_factory=list)
    balances_shown: dict[str, tuple[Balance, ...]] = field(default_factory=dict)
    #: For the holder: called with every step before it takes effect; says what is wrong with it, if anything.
    witness: Callable[[Step], str | None] = lambda _step: None
    #: What it said. (Raised, it would be taken for one more thing that a venue may do.)
    complaints: list[str] = field(default_factory=list)
    #: Reads and steps under way: while there are none, nobody acts upon what he has read.
    busy: int = 0
    _markets: dict[tuple[str, str], Market] = field(default_factory=dict)
    _rules: dict[str, dict[str, MarketRules]] = field(default_factory=dict)
    _desk: ConversionDesk = field(init=False)
    _settling: list[tuple[str, str]] = field(default_factory=list)
    _late: set[asyncio.TimerHandle] = field(default_factory=set)
    _fires: bool = False

    def __post_init__(self) -> None:
        self._desk = ConversionDesk(self.core)
        self.core.before_cancel = self._before_cancel
        for listing in self.core.listings.values():
            market = listing.market
            self._markets[market.product.value, unified(market)] = market
            self._rules.setdefault(market.product.value, {})[unified(market)] = rules_of(market)

    # What the world does, and what is known of it

    def market(self, slice_name: str, symbol: str) -> Market:
        """The core's market."""
        return self._markets[slice_name, symbol]

    def markets(self, *products: Product) -> list[Market]:
        """The markets of some products, or all."""
        return [market for market in self._markets.values() if not products or market.product in products]

    @contextlib.contextmanager
    def behind_our_back(self) -> Iterator[None]:
        """What happens within is nobody's order: the core would count a flip by a trigger as the client's."""
        flips = self.account.counters.sign_flips
        try:
            yield
        finally:
            self.account.counters.sign_flips = flips

    def reopen_markets(self) -> None:
        """Every market takes orders again."""
        for market in self._markets.values():
            self.core.set_status(market, MarketStatus.TRADING)

    def held(self, *products: Product) -> dict[tuple[str, str, Leg], Decimal]:
        """Open positions by slice, symbol and leg."""
        return {
            (position.market.product.value, unified(position.market), position.leg): position.quantity
            for product in products or (Product.LINEAR, Product.INVERSE)
            for position in self.account.open_positions(product)
        }

    # The port, and the same without waiting

    @property
    def slices(self) -> tuple[str, ...]:
        return tuple(self._rules)

    @property
    def not_covered(self) -> tuple[str, ...]:
        return ()

    @property
    def unverified(self) -> tuple[str, ...]:
        return ()

    @property
    def derivative_slices(self) -> tuple[str, ...]:
        return tuple(name for name in self._rules if Product(name).has_positions)

    def rules(self, slice_name: str) -> Mapping[str, MarketRules]:
        return self._rules[slice_name]

    def slices_of(self, symbol: str) -> tuple[str, ...]:
        return tuple(name for name, rules in self._rules.items() if symbol in rules)

    def kind(self, slice_name: str) -> MarketKind:
        return MarketKind(slice_name)

    def converts(self, slice_name: str) -> bool:
        return self.converting and slice_name == Product.SPOT

    @property
    def doors(self) -> str | None:
        return None

    async def shut_doors(self) -> int:
        return 0

    async def changes(self) -> AsyncIterator[str]:
        for _ in ():
            yield ""

    def streaming(self, slice_name: str) -> bool:
        return False

    def look_interval_s(self, slice_name: str) -> float:
        return self.look_every_s

    def respite_s(self, slice_name: str) -> float:
        return 0.0

    def borrow_s(self, slice_name: str) -> float:
        return 0.0

    async def arm(self) -> None:
        return None

    async def read_positions(self, slice_name: str, *, certain: bool = False) -> SliceSnapshot:
        with self._under_way():
            return await self._read_positions(slice_name, certain=certain)

    async def read_slice(self, slice_name: str) -> SliceSnapshot:
        """All requests at once, each answered at a moment of its own."""
        with self._under_way():
            return await self._read_slice(slice_name)

    async def read_proof(self, slice_name: str, *, no_triggers_since_ns: int | None = None) -> SliceSnapshot:
        """Triggers, then orders, then positions and balances: whatever fires in between shows in what it became."""
        with self._under_way():
            if no_triggers_since_ns is not None:
                at_once = await self._read_at_once(slice_name)
                if at_once is not None:
                    return replace(at_once, chained_from_ns=no_triggers_since_ns)
            return await self._read_proof(slice_name)

    def requests_at_once(self, slice_name: str, *, closes: int) -> int:
        """Every close by itself; spot has no positions to read."""
        return closes + (4 if slice_name in self.derivative_slices else 2)

    def proves_at_once(self, slice_name: str) -> bool:
        """All of them."""
        return slice_name in self.slices

    @contextlib.contextmanager
    def _under_way(self) -> Iterator[None]:
        self.busy += 1
        try:
            yield
        finally:
            self.busy -= 1

    async def _read_positions(self, slice_name: str, *, certain: bool) -> SliceSnapshot:
        started_ns = await self._begin()
        seen = await self._end(self._snapshot(slice_name, started_ns, orders=None, balances=None))
        return replace(seen, positions_doubtful=not certain)

    async def _read_slice(self, slice_name: str) -> SliceSnapshot:
        started_ns = await self._begin()
        positions = self._positions(slice_name)
        self.moment()
        orders = self._orders(slice_name, trigger=False)
        self.moment()
        orders += self._orders(slice_name, trigger=True)
        balances = self._balances(slice_name)
        snapshot = self._snapshot(slice_name, started_ns, orders=orders, balances=balances)
        return await self._end(replace(snapshot, positions=positions))

    async def _read_at_once(self, slice_name: str) -> SliceSnapshot | None:
        """Every list at a moment of its own, in the worst order; None where anything is shown."""
        started_ns = await self._begin()
        taken, balances = self._takes_something(slice_name), self._balances(slice_name)
        self.moment()
        positions = self._positions(slice_name)
        self.moment()
        orders = self._orders(slice_name, trigger=False)
        self.moment()
        orders += self._orders(slice_name, trigger=True)
        snapshot = await self._end(self._snapshot(slice_name, started_ns, orders=orders, balances=balances))
        found = taken or positions or orders
        return None if found else replace(snapshot, positions=positions, causal=True)

    def _takes_something(self, slice_name: str) -> bool:
        """What a wallet shows in one answer: positions, the margin of orders that could open one, coins locked."""
        if slice_name not in self.derivative_slices:
            return any(balance.locked for balance in self._balances(slice_name))
        resting = self._orders(slice_name, trigger=False)
        return bool(self._positions(slice_name)) or any(not order.protective for order in resting)

    async def _read_proof(self, slice_name: str) -> SliceSnapshot:
        started_ns = await self._begin()
        orders = self._orders(slice_name, trigger=True)
        await self._wait()
        orders += self._orders(slice_name, trigger=False)
        await self._wait()
        balances = self._balances(slice_name)
        snapshot = self._snapshot(slice_name, started_ns, orders=orders, balances=balances)
        return await self._end(replace(snapshot, causal=True))

    def look(self, slice_name: str) -> SliceSnapshot:
        """Everything of a slice at one moment."""
        self.moment()
        orders = self._orders(slice_name, trigger=True) + self._orders(slice_name, trigger=False)
        balances = self._balances(slice_name)
        now_ns = self.clock.monotonic_ns()
        return replace(self._snapshot(slice_name, now_ns, orders=orders, balances=balances), causal=True)

    async def quotes(self, symbols: Collection[str]) -> dict[str, Quote]:
        await self._begin()
        return self.prices(symbols)

    def prices(self, symbols: Collection[str]) -> dict[str, Quote]:
        """Bids and offers of spot pairs, now."""
        found: dict[str, Quote] = {}
        for symbol in set(symbols) - self.unpriced:
            listing = self.core.listing(self._markets.get((Product.SPOT.value, symbol)) or self._on_margin(symbol))
            found[symbol] = Quote(symbol=symbol, bid=listing.bid, ask=listing.ask)
        return found

    def _on_margin(self, symbol: str) -> Market:
        return self._markets[Product.MARGIN.value, symbol]

    async def execute(self, step: Step, *, among: int = 1) -> StepResult:
        sent_ns = self.clock.monotonic_ns()
        with self._under_way(), self._outstanding(step):
            await asyncio.sleep(self.latency_s)
            self.moment()
            ending = self.ending(step)
            if ending is Mishap.SLOW:
                await asyncio.sleep(self.slow_s)
            result = self._ended(step, ending)
            await asyncio.sleep(self.latency_s)
        return replace(result, sent_ns=sent_ns, ended_ns=self.clock.monotonic_ns())

    @contextlib.contextmanager
    def _outstanding(self, step: Step) -> Iterator[None]:
        """One step an asset: no venue bounds what is sold, bought or given back twice."""
        if not isinstance(step, BalanceStep):
            yield
            return
        coin = (step.slice, step.asset)
        if coin in self._settling:
            self.complaints.append(f"{step}: another step of this asset is under way")
        self._settling.append(coin)
        try:
            yield
        finally:
            self._settling.remove(coin)

    def carry_out(self, step: Step) -> StepResult:
        """Let a step reach the core, or not."""
        self.moment()
        return self._ended(step, self.ending(step))

    def _ended(self, step: Step, ending: Ending) -> StepResult:
        self.steps.append(step)
        if isinstance(ending, Refusal):
            return _refused(step, ending)
        self._fires = ending is Mishap.FIRES
        try:
            return self._carried_out(step, ending)
        finally:
            self._fires = False

    def _carried_out(self, step: Step, ending: Mishap | None) -> StepResult:
        match ending:
            case Mishap.LOST_BEFORE:
                return _ambiguous(step)
            case Mishap.LATE:
                self._arrive_later(step)
                return _ambiguous(step)
            case Mishap.LIE:
                return StepResult(step=step, outcome=Outcome.DONE)
            case Mishap.LOST_AFTER:
                self._apply(step)
                return _ambiguous(step)
            case Mishap.HALF_LOST:
                self._apply(step, part=Decimal("0.5"))
                return _ambiguous(step)
            case Mishap.HALF:
                return self._apply(step, part=Decimal("0.5"))
            case _:
                return self._apply(step)

    async def rehearse(self, step: Step) -> None:
        return None

    async def filled(self, step: SpotOrder) -> bool | None:
        await self._begin()
        market = self.market(step.slice, step.symbol)
        return (market.key, Book.ORDERS, step.client_order_id) in self.account.by_client_id

    async def probe(self) -> StepResult:
        step = CancelOrders(slice=self.slices[0], symbol="", market_id="", order_ids=("0",), trigger=False)
        return StepResult(step=step, outcome=Outcome.DONE)

    async def keep_warm(self, sockets: int, by_slice: Mapping[str, int] | None = None) -> None:
        return None

    def round_trip_ms(self) -> float | None:
        return self.latency_s * 2e3

    def clock_offset_ms(self) -> float | None:
        return 0.0

    async def close(self) -> None:
        for timer in self._late:
            timer.cancel()

    # Reads

    async def _begin(self) -> int:
        started_ns = self.clock.monotonic_ns()
        await self._wait()
        if self.unreadable():
            raise VenueUnavailable
        return started_ns

    async def _wait(self) -> None:
        await asyncio.sleep(self.latency_s)
        self.moment()

    async def _end(self, snapshot: SliceSnapshot) -> SliceSnapshot:
        await asyncio.sleep(self.latency_s)
        return replace(snapshot, ended_ns=self.clock.monotonic_ns(), read_at=self.clock.now())

    def _snapshot(
        self,
        slice_name: str,
        started_ns: int,
        *,
        orders: tuple[OpenOrder, ...] | None,
        balances: tuple[Balance, ...] | None,
    ) -> SliceSnapshot:
        if balances is not None:
            self.balances_shown[slice_name] = balances
        return SliceSnapshot(
            slice=slice_name,
            positions=self._positions(slice_name),
            orders=orders,
            balances=balances,
            started_ns=started_ns,
            ended_ns=self.clock.monotonic_ns(),
            read_at=self.clock.now(),
        )

    def _positions(self, slice_name: str) -> tuple[Position, ...]:
        found = []
        for held in self.account.open_positions(Product(slice_name)):
            market, mark = held.market, self.core.listing(held.market).mark
            exposure = held.quantity * market.contract_size
            found.append(
                Position(
                    slice=slice_name,
                    symbol=unified(market),
                    market_id=market.symbol,
                    side=PositionSide.LONG if held.quantity > 0 else PositionSide.SHORT,
                    contracts=abs(held.quantity),
                    hedged=held.leg is not Leg.NET,
                    isolated=self.account.position_settings(market).isolated,
                    mark_price=mark,
                    base_exposure=exposure / mark if market.product is Product.INVERSE else exposure,
                )
            )
        return tuple(found)

    def _orders(self, slice_name: str, *, trigger: bool) -> tuple[OpenOrder, ...]:
        book = Book.ALGO if trigger else Book.ORDERS
        return tuple(
            OpenOrder(
                slice=slice_name,
                symbol=unified(order.terms.market),
                market_id=order.terms.market.symbol,
                order_id=str(order.order_id),
                client_order_id=order.terms.client_id,
                side=_OTHER_SIDES[order.terms.side],
                remaining=None if order.terms.close_position else order.remaining,
                trigger=trigger,
                reduce_only=order.terms.reduce_only or order.terms.close_position,
                position_side=_SIDES_OF_LEGS.get(order.terms.leg),
            )
            for order in self.account.resting(Product(slice_name), book=book)
        )

    def _balances(self, slice_name: str) -> tuple[Balance, ...]:
        return tuple(
            Balance(slice=slice_name, asset=asset, free=held.free, locked=held.locked, debt=held.owed)
            for asset, held in self.account.wallets.get(slice_name, {}).items()
            if held.total or held.owed
        )

    # Steps

    def _apply(self, step: Step, *, part: Decimal | None = None) -> StepResult:
        if complaint := self.witness(step):
            self.complaints.append(f"{step}: {complaint}")
        try:
            return self._judged(step, self._done(step, part))
        except RefusalError as refused:
            return _refused(step, REFUSALS.get(refused.reason, Refusal.OTHER))

    def _judged(self, step: Step, order: sim.Order | None) -> StepResult:
        """An order that ended without a fill was refused by the market."""
        if order is not None and not order.filled:
            return _refused(step, Refusal.UNFILLED)
        return StepResult(step=step, outcome=Outcome.DONE)

    def _done(self, step: Step, part: Decimal | None) -> sim.Order | None:
        match step:
            case ClosePosition():
                return self.core.place(self.account, self._closing_terms(step), fill_fraction=part)
            case SellSpot() | BuyToRepay():
                return self.core.place(self.account, self._spot_terms(step), fill_fraction=part)
            case CancelOrders():
                self._cancel([self.account.open_orders.get(int(order_id)) for order_id in step.order_ids])
            case CancelSymbol():
                book = Book.ALGO if step.trigger else Book.ORDERS
                self.core.cancel_all(self.account, Product(step.slice), step.market_id, book)
            case RepayDebt():
                self.core.treasury.repay(self.account, step.slice, step.asset, step.amount)
            case ConvertAsset():
                self._convert(step)
        return None

    def _closing_terms(self, step: ClosePosition) -> OrderTerms:
        terms = self._terms(step, step.side.closing_side, step.contracts, step.limit_price)
        if step.hedged:
            return replace(terms, leg=_LEGS[step.side])
        return replace(terms, reduce_only=self.bounded)

    def _spot_terms(self, step: SpotOrder) -> OrderTerms:
        side = Side.SELL if isinstance(step, SellSpot) else Side.BUY
        return self._terms(step, side, step.quantity, step.limit_price)

    def _terms(
        self, step: ClosePosition | SpotOrder, side: Side, quantity: Decimal, price: Decimal | None
    ) -> OrderTerms:
        return OrderTerms(
            market=self.market(step.slice, step.symbol),
            side=_SIDES[side],
            kind=OrderKind.MARKET if price is None else OrderKind.LIMIT,
            client_id=step.client_order_id,
            venue_type="MARKET" if price is None else "LIMIT",
            quantity=quantity,
            price=price,
            time_in_force=TimeInForce.IOC,
        )

    def _cancel(self, orders: list[sim.Order | None]) -> None:
        """As a batch is answered: by its worst part, and "gone already" is not bad while any was there."""
        refused = [self._cancelled(order) for order in orders]
        if all(refused):
            raise RefusalError(Reason.UNKNOWN_ORDER)

    def _cancelled(self, order: sim.Order | None) -> bool:
        """Whether there was nothing to cancel."""
        if order is None:
            return True
        try:
            self.core.cancel(self.account, order)
        except RefusalError:
            return True
        return False

    def _convert(self, step: ConvertAsset) -> None:
        quote = self._desk.quote(self.account, step.asset, step.into, gives=step.quantity, valid_ms=QUOTE_MS)
        if quote.takes < step.least_received:
            raise RefusalError(Reason.COUNTERPARTY_PRICE)
        self._desk.accept(self.account, quote.quote_id, by=Origin.CLIENT)

    def _arrive_later(self, step: Step) -> None:
        timer = asyncio.get_running_loop().call_later(self.late_by_s, self._arrive, step)
        self._late.add(timer)

    def _arrive(self, step: Step) -> None:
        self._apply(step)

    def _before_cancel(self, account: Account, order: sim.Order) -> None:
        if self._fires and order.waits_for_trigger:
            with self.behind_our_back():
                self.core.fire(account, order)


def _refused(step: Step, refusal: Refusal) -> StepResult:
    return StepResult(step=step, outcome=Outcome.REFUSED, refusal=refusal, message=refusal.value)


def _ambiguous(step: Step) -> StepResult:
    return StepResult(step=step, outcome=Outcome.AMBIGUOUS, message="no answer")
