"""A venue in memory that counts its calls and can be told to misbehave."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from time import monotonic_ns

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
from node.errors import VenueAnswerUnknown, VenueError

SPOT = "spot"
LINEAR = "linear"

#: Looks at a step before it takes effect; returns how it ends, or None to let it through.
Interference = Callable[[Step], StepResult | None]


def rules(symbol: str, **changes: object) -> MarketRules:
    """A market with usual limits."""
    base, _, rest = symbol.partition("/")
    quote = rest.partition(":")[0]
    fields: dict[str, object] = {
        "symbol": symbol,
        "market_id": symbol.replace("/", "").partition(":")[0],
        "kind": MarketKind.LINEAR if ":" in symbol else MarketKind.SPOT,
        "base": base,
        "quote": quote,
        "settle": quote,
        "quantity_step": Decimal("0.001"),
        "quantity_min": Decimal("0.001"),
        "market_quantity_max": Decimal(100),
        "limit_quantity_max": Decimal(1000),
        "notional_min": Decimal(5),
        "price_tick": Decimal("0.01"),
    }
    return MarketRules(**{**fields, **changes})  # type: ignore[arg-type]


def position(symbol: str, contracts: str, side: PositionSide = PositionSide.LONG, **changes: object) -> Position:
    """A linear position at a mark price of 100."""
    signed = Decimal(contracts) * (1 if side is PositionSide.LONG else -1)
    fields: dict[str, object] = {
        "slice": LINEAR,
        "symbol": symbol,
        "market_id": symbol.replace("/", "").partition(":")[0],
        "side": side,
        "contracts": Decimal(contracts),
        "mark_price": Decimal(100),
        "base_exposure": signed,
    }
    return Position(**{**fields, **changes})  # type: ignore[arg-type]


def order(symbol: str, order_id: str, side: Side = Side.BUY, **changes: object) -> OpenOrder:
    """A resting order."""
    fields: dict[str, object] = {
        "slice": LINEAR if ":" in symbol else SPOT,
        "symbol": symbol,
        "market_id": symbol.replace("/", "").partition(":")[0],
        "order_id": order_id,
        "client_order_id": None,
        "side": side,
        "remaining": Decimal(1),
    }
    return OpenOrder(**{**fields, **changes})  # type: ignore[arg-type]


@dataclass(slots=True)
class FakeVenue:
    """Implements the Venue port over plain dictionaries."""

    positions: list[Position] = field(default_factory=list)
    orders: list[OpenOrder] = field(default_factory=list)
    balances: list[Balance] = field(default_factory=list)
    markets: dict[str, MarketRules] = field(default_factory=dict)
    prices: dict[str, Decimal] = field(default_factory=dict)
    not_covered: tuple[str, ...] = ()
    unverified: tuple[str, ...] = ()
    #: Raised by the reads of a slice while set.
    unreadable: dict[str, VenueError] = field(default_factory=dict)
    arm_error: VenueError | None = None
    #: Raised by every read but that of positions.
    orders_unreadable: VenueError | None = None
    #: Reads wait for it.
    reading: asyncio.Event = field(default_factory=asyncio.Event)
    step_takes_s: float = 0.0
    interfere: Interference = lambda _step: None
    #: Called after every step that took effect.
    afterwards: Callable[[Step], None] = lambda _step: None
    #: Steps wait for it: cleared, nothing is answered.
    answering: asyncio.Event = field(default_factory=asyncio.Event)
    #: Probes wait for the one, and set the other.
    probing: asyncio.Event = field(default_factory=asyncio.Event)
    probed: asyncio.Event = field(default_factory=asyncio.Event)
    calls: Counter[str] = field(default_factory=Counter)
    #: Per slice, what each proof could go back to.
    chained: defaultdict[str, list[int | None]] = field(default_factory=lambda: defaultdict(list))
    steps: list[Step] = field(default_factory=list)
    #: What the venue knows of sales by client order id.
    known_sales: dict[str, bool] = field(default_factory=dict)
    #: Whether there is a convert service.
    converting: bool = False
    streams: bool = False
    #: Slices in which something is said to have happened.
    changed: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    #: Reads of positions show none, although the wallet shows that there are.
    hiding: bool = False
    #: Called before a slice is read in a round or for a proof.
    before_reading: Callable[[str], None] = lambda _name: None
    #: What lets orders in past the engine, how many are open, and why they cannot be shut.
    doors: str | None = None
    open_doors: int = 0
    doors_error: VenueError | None = None
    #: Orders that no list shows any more, although they rest.
    unlisted: set[str] = field(default_factory=set)
    #: What the next reads show of balances, oldest first, instead of what is there.
    shown_wallets: list[list[Balance]] = field(default_factory=list)
    look_every_s: float = 0.05
    respite: float = 0.0

    def __post_init__(self) -> None:
        self.answering.set()
        self.reading.set()
        self.probing.set()
        for symbol in [*(each.symbol for each in self.positions), *(each.symbol for each in self.orders)]:
            self.markets.setdefault(symbol, rules(symbol))

    @property
    def slices(self) -> tuple[str, ...]:
        return (SPOT, LINEAR)

    @property
    def derivative_slices(self) -> tuple[str, ...]:
        return (LINEAR,)

    def rules(self, slice_name: str) -> Mapping[str, MarketRules]:
        kind = MarketKind.SPOT if slice_name == SPOT else MarketKind.LINEAR
        return {symbol: market for symbol, market in self.markets.items() if market.kind is kind}

    def slices_of(self, symbol: str) -> tuple[str, ...]:
        if symbol not in self.markets:
            return ()
        return (SPOT,) if self.markets[symbol].kind is MarketKind.SPOT else (LINEAR,)

    def kind(self, slice_name: str) -> MarketKind:
        return MarketKind.SPOT if slice_name == SPOT else MarketKind.LINEAR

    def converts(self, slice_name: str) -> bool:
        return slice_name == SPOT and self.converting

    async def shut_doors(self) -> int:
        self.calls["shut_doors"] += 1
        if self.doors_error is not None:
            raise self.doors_error
        found, self.open_doors = self.open_doors, 0
        return found

    async def changes(self) -> AsyncIterator[str]:
        while self.streams:
            yield await self.changed.get()

    def streaming(self, slice_name: str) -> bool:
        return self.streams

    def look_interval_s(self, slice_name: str) -> float:
        return self.look_every_s

    def respite_s(self, slice_name: str) -> float:
        return self.respite

    def borrow_s(self, slice_name: str) -> float:
        return self.respite

    async def arm(self) -> None:
        self.calls["arm"] += 1
        if self.arm_error is not None:
            raise self.arm_error

    async def read_positions(self, slice_name: str, *, certain: bool = False) -> SliceSnapshot:
        seen = await self._read("positions", slice_name)
        return replace(seen, orders=None, balances=None, positions_doubtful=seen.positions_doubtful or not certain)

    async def read_slice(self, slice_name: str) -> SliceSnapshot:
        return await self._read("slice", slice_name)

    async def read_proof(self, slice_name: str, *, no_triggers_since_ns: int | None = None) -> SliceSnapshot:
        self.chained[slice_name].append(no_triggers_since_ns)
        return replace(await self._read("proof", slice_name), causal=True)

    def requests_at_once(self, slice_name: str, *, closes: int) -> int:
        """Every close by itself; spot has no positions to read."""
        return closes + (4 if slice_name in self.derivative_slices else 2)

    def proves_at_once(self, slice_name: str) -> bool:
        """All of them."""
        return slice_name in self.slices

    async def _read(self, what: str, name: str) -> SliceSnapshot:
        self.calls[f"read_{what}:{name}"] += 1
        started_ns = monotonic_ns()
        await asyncio.sleep(0)
        await self.reading.wait()
        if name in self.unreadable:
            raise self.unreadable[name]
        if self.orders_unreadable is not None and what != "positions":
            raise self.orders_unreadable
        if what == "proof":
            self.before_reading(name)
        hidden = self.hiding and name == LINEAR
        if hidden and what == "proof":
            raise VenueAnswerUnknown("margin is in use, and no position was listed for it")
        balances = self.balances
        if name == SPOT and what != "positions" and self.shown_wallets:
            balances = self.shown_wallets.pop(0)
        return SliceSnapshot(
            slice=name,
            positions=() if hidden else tuple(each for each in self.positions if each.slice == name),
            orders=tuple(each for each in self.orders if each.slice == name and each.order_id not in self.unlisted),
            balances=tuple(each for each in balances if each.slice == name),
            started_ns=started_ns,
            ended_ns=monotonic_ns(),
            read_at=datetime.now(UTC),
            positions_doubtful=hidden,
        )

    async def quotes(self, symbols: Collection[str]) -> dict[str, Quote]:
        self.calls["quotes"] += 1
        return {
            symbol: Quote(symbol=symbol, bid=self.prices[symbol], ask=self.prices[symbol])
            for symbol in symbols
            if symbol in self.prices
        }

    async def execute(self, step: Step, *, among: int = 1) -> StepResult:
        self.calls[type(step).__name__] += 1
        self.steps.append(step)
        sent_ns = monotonic_ns()
        await self.answering.wait()
        await asyncio.sleep(self.step_takes_s)
        ending = self.interfere(step)
        if ending is None:
            self.apply(step)
            self.afterwards(step)
            ending = StepResult(step=step, outcome=Outcome.DONE)
        return replace(ending, sent_ns=sent_ns, ended_ns=monotonic_ns())

    def apply(self, step: Step) -> None:
        """Let a step take effect."""
        match step:
            case ClosePosition():
                self.positions = [self._reduced(each, step) for each in self.positions]
                self.positions = [each for each in self.positions if each.contracts > 0]
            case CancelOrders():
                self.orders = [each for each in self.orders if each.order_id not in step.order_ids]
            case CancelSymbol():
                book = (step.symbol, step.trigger)
                self.orders = [each for each in self.orders if (each.symbol, each.trigger) != book]
            case SellSpot():
                self._sell(step)
            case BuyToRepay():
                self.known_sales[step.client_order_id] = True
                self.credit(self.markets[step.symbol].quote, -step.quantity * self.prices[step.symbol])
                self.credit(step.asset, step.quantity)
            case RepayDebt():
                self._repay(step)
            case ConvertAsset():
                self.credit(step.asset, -step.quantity)
                self.credit(step.into, step.least_received)

    def _reduced(self, held: Position, step: ClosePosition) -> Position:
        if held.key != step.key:
            return held
        left = max(held.contracts - step.contracts, Decimal(0))
        signed = left if held.side is PositionSide.LONG else -left
        return replace(held, contracts=left, base_exposure=signed)

    def _sell(self, step: SellSpot) -> None:
        market = self.markets[step.symbol]
        proceeds = step.quantity * self.prices[step.symbol]
        self.known_sales[step.client_order_id] = True
        self.credit(step.asset, -step.quantity)
        self.credit(market.quote, proceeds)

    def _repay(self, step: RepayDebt) -> None:
        held = next(each for each in self.balances if each.asset == step.asset)
        assert 0 < step.amount <= min(held.free, held.debt), f"{step.amount} of {held}"
        left = replace(held, free=held.free - step.amount, debt=held.debt - step.amount)
        others = [each for each in self.balances if each.asset != step.asset]
        self.balances = [*others, *([left] if left.total or left.debt else [])]

    def credit(self, asset: str, amount: Decimal) -> None:
        """Change a free spot balance."""
        others = [each for each in self.balances if each.asset != asset]
        held = next((each for each in self.balances if each.asset == asset), None)
        free = (held.free if held else Decimal(0)) + amount
        assert free >= 0, f"{asset} oversold"
        changed = replace(held or Balance(slice=SPOT, asset=asset, free=free), free=free)
        self.balances = [*others, *([changed] if changed.total or changed.debt else [])]

    async def rehearse(self, step: Step) -> None:
        self.calls["rehearse"] += 1

    async def filled(self, step: SpotOrder) -> bool | None:
        self.calls["filled"] += 1
        return self.known_sales.get(step.client_order_id, False)

    async def probe(self) -> StepResult:
        self.calls["probe"] += 1
        self.probed.set()
        await self.probing.wait()
        step = CancelOrders(slice=LINEAR, symbol="BTC/USDT:USDT", market_id="BTCUSDT", order_ids=("0",), trigger=False)
        return StepResult(step=step, outcome=Outcome.DONE, sent_ns=monotonic_ns(), ended_ns=monotonic_ns())

    async def keep_warm(self, sockets: int, by_slice: Mapping[str, int] | None = None) -> None:
        self.calls["keep_warm"] += 1

    def round_trip_ms(self) -> float | None:
        return 1.0

    def clock_offset_ms(self) -> float | None:
        return 0.0

    async def close(self) -> None:
        self.calls["close"] += 1


def refused(step: Step, refusal: Refusal) -> StepResult:
    """The venue says no."""
    return StepResult(step=step, outcome=Outcome.REFUSED, refusal=refusal, message=refusal.value)


def ambiguous(step: Step) -> StepResult:
    """Nobody knows."""
    return StepResult(step=step, outcome=Outcome.AMBIGUOUS, message="no answer")
