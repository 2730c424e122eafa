"""From what was seen to what is to be done: closing positions and cancelling orders. Pure.

The order of things is a law: entry orders and positions go at once and together; a protective order goes
only after the position it protects, or where the venue refuses the close because of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext
from typing import Final

from node.domain.snapshot import (
    MarketKind,
    MarketRules,
    OpenOrder,
    Position,
    PositionKey,
    Side,
    SliceSnapshot,
)
from node.domain.steps import CancelOrders, CancelSymbol, ClosePosition, OrderIds, Outcome, Refusal, Step, StepResult

#: Steps of one stage leave together; the next stage follows when all of them have ended.
Stage = tuple[Step, ...]
#: Chains are independent of each other.
Chain = tuple[Stage, ...]

#: Price protection where a market order is refused, as multiples of the account's max_slippage.
SLIPPAGE_WIDENING = (Decimal(1), Decimal(2), Decimal(4))
#: After so many refusals for its size a leg is residue.
TOO_SMALL_FOR_GOOD = 3
#: So many orders a leg and round at most, however large a number the venue shows: the next round closes the rest.
ORDERS_MAX = 200
#: After so many market orders in a row that were taken and have closed nothing a limit is named.
TAKEN_IN_VAIN = 2
#: A refusal for quantity halves the chunks down to this part of the position, no further.
CHUNKS_MAX = 16
#: However wide the configured slippage, never worse than this part of the mark price.
SLIPPAGE_MAX = Decimal("0.20")
#: Tokens with 18 decimals come in billions: the usual 28 digits would round such a balance, perhaps upwards.
EXACT_DIGITS: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Which symbols a goal is about; None means all."""

    symbols: frozenset[str] | None = None

    def covers(self, symbol: str) -> bool:
        """Whether *symbol* belongs to the goal."""
        return self.symbols is None or symbol in self.symbols

    def union(self, other: Scope) -> Scope:
        """The wider of two, or both together."""
        if self.symbols is None or other.symbols is None:
            return Scope()
        return Scope(symbols=self.symbols | other.symbols)


@dataclass(frozen=True, slots=True, kw_only=True)
class LegMemory:
    """What earlier rounds taught about one leg."""

    #: A close was refused although the position is there: its protective orders stand in the way.
    protective_in_the_way: bool = False
    #: How often a market order, then a limit, was refused for its price; 0: market order.
    price_level: int = 0
    #: How often in a row the venue took market orders, and the position was as large as before.
    taken_in_vain: int = 0
    #: The venue refused a larger chunk.
    chunk_max: Decimal | None = None
    last_refusal: Refusal | None = None
    #: How often in a row the venue said that it is too little to be closed.
    too_small: int = 0
    #: The largest size, in contracts, of which it said so.
    too_small_contracts: Decimal = Decimal(0)


Memory = Mapping[PositionKey, LegMemory]


def is_residue(position: Position, memory: Memory) -> bool:
    """Whether nothing more can be done about a position: it stays, and is named. Not so one that has grown since."""
    leg = memory.get(position.key) if memory else None
    if leg is None:
        return False
    return leg.too_small >= TOO_SMALL_FOR_GOOD and position.contracts <= leg.too_small_contracts


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be done now."""

    chains: tuple[Chain, ...] = ()

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps, in no particular order."""
        return tuple(step for chain in self.chains for stage in chain for step in stage)


def plan_slice(
    snapshot: SliceSnapshot,
    scope: Scope,
    rules: Mapping[str, MarketRules],
    *,
    ids: OrderIds,
    memory: Memory,
    max_slippage: Decimal,
    fresh: bool,
) -> Plan:
    """Plan the closing of one slice, all of it: the chains of ``plan_chains``."""
    chains = plan_chains(snapshot, scope, rules, ids=ids, memory=memory, max_slippage=max_slippage, fresh=fresh)
    return Plan(chains=tuple(chains))


def plan_chains(
    snapshot: SliceSnapshot,
    scope: Scope,
    rules: Mapping[str, MarketRules],
    *,
    ids: OrderIds,
    memory: Memory,
    max_slippage: Decimal,
    fresh: bool,
) -> Iterator[Chain]:
    """Plan the closing of one slice, chain by chain: the first can leave while the next is put together.

    With ``fresh`` false (a warm view) only steps that the venue itself bounds are planned: reduce-only closes and
    the cancelling of orders that could add exposure, by id.
    """
    held = [position for position in snapshot.positions if scope.covers(position.symbol)]
    orders = [order for order in snapshot.orders or () if scope.covers(order.symbol)]
    by_symbol: dict[str, list[OpenOrder]] = defaultdict(list)
    for order in orders:
        by_symbol[order.symbol].append(order)
    for position in held:
        if is_residue(position, memory):
            continue
        leg = memory.get(position.key, LegMemory())
        closes = closes_of(position, rules.get(position.symbol), leg, ids, max_slippage)
        yields = fresh and leg.protective_in_the_way
        blockers = _protective_of(position, orders) if yields else []
        in_the_way = tuple(cancels(blockers))
        if in_the_way or closes:
            yield (in_the_way, closes) if in_the_way else (closes,)
    for symbol, resting in sorted(by_symbol.items()):
        steps: Stage
        market = rules.get(symbol)
        if fresh and _spot(market) and not any(each.symbol == symbol for each in held):
            # Nothing there can protect anything.
            steps = tuple(_sweep(resting) if market is None or market.sweeps else cancels(resting))
        else:
            certain = fresh and not snapshot.positions_doubtful
            # What cannot be closed is still held, and keeps its protection.
            steps = tuple(cancels(_unprotected(resting, held, certain=certain)))
        if steps:
            yield (steps,)


def _unprotected(orders: Iterable[OpenOrder], positions: list[Position], *, certain: bool) -> list[OpenOrder]:
    """Orders that go at once: those that can add exposure, and those whose own leg is flat for certain."""
    return [
        order
        for order in orders
        if not order.protective or (certain and not any(protects(order, position) for position in positions))
    ]


def _spot(market: MarketRules | None) -> bool:
    return market is not None and market.kind is MarketKind.SPOT


def protects(order: OpenOrder, position: Position) -> bool:
    """Whether an order can only make that position smaller. By the venue's own name of the market: ours may have
    become known between two reads.
    """
    if not order.protective or order.market_id != position.market_id:
        return False
    if order.position_side is not None:
        return order.position_side is position.side
    return order.side is position.side.closing_side


def guards_residue(order: OpenOrder, positions: Iterable[Position], memory: Memory) -> bool:
    """Whether an order protects what cannot be closed: then it stays, too."""
    return any(protects(order, each) and is_residue(each, memory) for each in positions)


def _protective_of(position: Position, orders: Iterable[OpenOrder]) -> list[OpenOrder]:
    # Orders in the trigger book do not reserve the position: they stay as long as the position does.
    return [order for order in orders if protects(order, position) and not order.trigger]


def cancels(orders: Iterable[OpenOrder]) -> Iterable[CancelOrders]:
    """One step a book and symbol, naming the orders."""
    books: dict[tuple[str, bool], list[OpenOrder]] = defaultdict(list)
    for order in orders:
        books[order.symbol, order.trigger].append(order)
    for (symbol, trigger), members in sorted(books.items()):
        first = members[0]
        yield CancelOrders(
            slice=first.slice,
            symbol=symbol,
            market_id=first.market_id,
            order_ids=tuple(order.order_id for order in members),
            trigger=trigger,
        )


def _sweep(orders: Iterable[OpenOrder]) -> Iterable[CancelSymbol]:
    """One step a book, for everything on it."""
    books: dict[bool, list[OpenOrder]] = defaultdict(list)
    for order in orders:
        books[order.trigger].append(order)
    for trigger, members in sorted(books.items()):
        first = members[0]
        yield CancelSymbol(
            slice=first.slice, symbol=first.symbol, market_id=first.market_id, trigger=trigger, seen=len(members)
        )


def closes_of(
    position: Position, rules: MarketRules | None, leg: LegMemory | None, ids: OrderIds, max_slippage: Decimal
) -> Stage:
    """The orders that close a position, each within the venue's maximum, together its whole size."""
    leg = leg or LegMemory()
    price = _limit_price(position, rules, leg.price_level, max_slippage)
    largest = rules and (rules.limit_quantity_max if price is not None else rules.market_quantity_max)
    step, least = (rules.quantity_step, rules.quantity_min) if rules else (None, None)
    named = f"{position.side.value}-isolated" if position.isolated else position.side.value
    limits = [limit for limit in (largest, _chunk(position, leg, step, least)) if limit]
    return tuple(
        ClosePosition(
            slice=position.slice,
            symbol=position.symbol,
            market_id=position.market_id,
            side=position.side,
            hedged=position.hedged,
            isolated=position.isolated,
            contracts=contracts,
            limit_price=price,
            client_order_id=ids.client_order_id(position.slice, position.symbol, named, number),
        )
        for number, contracts in enumerate(split(position.contracts, min(limits, default=None), step, least))
    )


def _chunk(position: Position, leg: LegMemory, step: Decimal | None, least: Decimal | None) -> Decimal | None:
    """What was learnt about the largest order, held against the position as it is now, and the smallest order: with
    room for two of those no rest is left that would be smaller.
    """
    if leg.chunk_max is None:
        return None
    return round_to(max(leg.chunk_max, position.contracts / CHUNKS_MAX, 2 * (least or Decimal(0))), step, up=True)


def split(
    quantity: Decimal, largest: Decimal | None, step: Decimal | None, least: Decimal | None = None
) -> tuple[Decimal, ...]:
    """Cut *quantity* into parts of at most *largest* (but never less than a step), each but the last a multiple
    of *step*. A rest below *least* is made up from the part before it.

    The parts sum to *quantity* exactly: it is the venue's own number and is never rounded. Beyond ``ORDERS_MAX`` parts
    the rest is left for another time.
    """
    with localcontext(prec=EXACT_DIGITS):
        part = quantity if not largest else max(round_to(largest, step, up=False), step or largest)
        if quantity <= max(part, largest or part):
            return (quantity,) if quantity > 0 else ()
        if quantity / part > ORDERS_MAX:
            return (part,) * ORDERS_MAX
        whole, rest = divmod(quantity, part)
        parts = [part] * int(whole) + ([rest] if rest else [])
        moved = round_to(max((least or Decimal(0)) - parts[-1], Decimal(0)), step, up=True)
        if moved and part - moved >= (least or 0):
            parts[-2] -= moved
            parts[-1] += moved
        return tuple(parts)


def round_to(value: Decimal, step: Decimal | None, *, up: bool) -> Decimal:
    """Round to a multiple of *step*."""
    if not step:
        return value
    with localcontext(prec=EXACT_DIGITS):
        return (value / step).to_integral_value(ROUND_CEILING if up else ROUND_FLOOR) * step


def protection_price(reference: Decimal, side: Side, slippage: Decimal, tick: Decimal | None) -> Decimal:
    """The worst price acceptable to an order of *side*, *slippage* (a part of 1) away from *reference*."""
    slippage = min(slippage, SLIPPAGE_MAX)
    if side is Side.SELL:
        return round_to(reference * (1 - slippage), tick, up=True)
    return round_to(reference * (1 + slippage), tick, up=False)


def _limit_price(position: Position, rules: MarketRules | None, level: int, max_slippage: Decimal) -> Decimal | None:
    if rules is not None and not rules.market_orders:
        level = max(level, 1)
    if level == 0 or position.mark_price is None or position.mark_price <= 0:
        return None
    widening = SLIPPAGE_WIDENING[min(level, len(SLIPPAGE_WIDENING)) - 1]
    tick = rules.price_tick if rules else None
    return protection_price(position.mark_price, position.side.closing_side, max_slippage * widening, tick)


def learn(
    memory: Memory,
    results: Iterable[StepResult],
    snapshot: SliceSnapshot,
    rules: Mapping[str, MarketRules] | None = None,
) -> dict[PositionKey, LegMemory]:
    """What the next plan must know: the round's refusals, held against the positions that are still there."""
    learnt: dict[PositionKey, LegMemory] = {}
    ended = list(results)
    for position in snapshot.positions:
        leg = memory.get(position.key, LegMemory())
        closes = [
            (result, result.step)
            for result in ended
            if isinstance(result.step, ClosePosition) and result.step.key == position.key
        ]
        refusals = {result.refusal for result, _ in closes if result.refusal is not None}
        if any(result.outcome is Outcome.DONE for result, _ in closes):
            leg = replace(leg, last_refusal=None)
        if Refusal.NOTHING_TO_REDUCE in refusals:
            leg = replace(leg, protective_in_the_way=True)
        if closes:
            leg = replace(leg, taken_in_vain=leg.taken_in_vain + 1 if _in_vain(position, closes) else 0)
        in_vain = leg.taken_in_vain >= TAKEN_IN_VAIN
        if refusals & {Refusal.PRICE_BAND, Refusal.UNFILLED} or _nothing_filled(position, closes) or in_vain:
            # After the widest limit at market again: the band moves with the market, and so must we.
            level = (leg.price_level + 1) % (len(SLIPPAGE_WIDENING) + 1)
            leg = replace(leg, price_level=level, taken_in_vain=0)
        if Refusal.QUANTITY in refusals:
            half = max(step.contracts for _, step in closes) / 2
            leg = replace(leg, chunk_max=max(half, position.contracts / CHUNKS_MAX))
        if closes and refusals == {Refusal.TOO_SMALL} and leg.chunk_max is not None:
            leg = replace(leg, chunk_max=None)  # it was our chunks that were too small
        elif closes:
            small = refusals == {Refusal.TOO_SMALL} and _is_small(position, (rules or {}).get(position.symbol))
            asked = sum((step.contracts for _, step in closes), Decimal(0))
            largest = max(leg.too_small_contracts, asked) if small else Decimal(0)
            leg = replace(leg, too_small=leg.too_small + 1 if small else 0, too_small_contracts=largest)
        if refusals:
            leg = replace(leg, last_refusal=sorted(refusals)[0])
        learnt[position.key] = leg
    return learnt


def _is_small(position: Position, rules: MarketRules | None) -> bool:
    """Whether our own rules bear the venue out: its word alone must not leave a large position behind."""
    if rules is None or (rules.quantity_min and position.contracts < rules.quantity_min):
        return True
    return bool(rules.notional_min) and position.value is not None and position.value < (rules.notional_min or 0)


def _nothing_filled(position: Position, closes: list[tuple[StepResult, ClosePosition]]) -> bool:
    """Whether the venue took limited orders for all of a position, and it is as large as before: priced too well."""
    if not all(result.outcome is Outcome.DONE and step.limit_price is not None for result, step in closes):
        return False
    return _as_large_as_asked(position, closes)


def _in_vain(position: Position, closes: list[tuple[StepResult, ClosePosition]]) -> bool:
    """Whether the venue took market orders for all of a position, of which it does not say that they traded, and it is
    as large as before. Once it may only not have shown it yet.
    """
    if not all(result.outcome is Outcome.DONE and step.limit_price is None for result, step in closes):
        return False
    return not any(result.filled for result, _ in closes) and _as_large_as_asked(position, closes)


def _as_large_as_asked(position: Position, closes: list[tuple[StepResult, ClosePosition]]) -> bool:
    return bool(closes) and position.contracts >= sum(step.contracts for _, step in closes)
