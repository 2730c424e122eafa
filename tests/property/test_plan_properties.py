"""What must hold of every plan, whatever the book: nothing is enlarged, nothing forgotten, no id used twice."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from node.domain.plan import LegMemory, Memory, Plan, Scope, plan_slice, split
from node.domain.snapshot import MarketRules, OpenOrder, Position, PositionSide, Side, SliceSnapshot
from node.domain.steps import CancelOrders, CancelSymbol, ClosePosition, OrderIds, SellSpot
from tests.support.fake_venue import LINEAR, order, position, rules

SYMBOLS = ("BTC/USDT:USDT", "ETH/USDT:USDT", "SOL/USDT:USDT")
ALPHABET = set("abcdefghijklmnopqrstuvwxyz0123456789")

steps = st.sampled_from([Decimal("0.001"), Decimal("0.01"), Decimal(1), Decimal(5)])
sizes = st.decimals(min_value="0.000001", max_value="5000", places=6)
ids = st.builds(
    OrderIds,
    command_id=st.uuids(),
    account_id=st.just(UUID(int=2)),
    attempt=st.integers(0, 5000),
    round=st.integers(1, 500),
)


@st.composite
def markets(draw: st.DrawFn) -> dict[str, MarketRules]:
    """Rules whose maxima are at least one step, some of them absent."""
    listed = {}
    for symbol in draw(st.sets(st.sampled_from(SYMBOLS))):
        step = draw(steps)
        largest = st.one_of(st.none(), st.integers(50, 5000).map(step.__mul__))
        listed[symbol] = rules(
            symbol,
            quantity_step=draw(st.sampled_from([step, None])),
            quantity_min=draw(st.sampled_from([step, 3 * step, None])),
            market_quantity_max=draw(largest),
            limit_quantity_max=draw(largest),
        )
    return listed


@st.composite
def books(draw: st.DrawFn) -> SliceSnapshot:
    """One-way and hedged symbols with resting, trigger and protective orders."""
    positions: list[Position] = []
    orders: list[OpenOrder] = []
    for symbol in SYMBOLS:
        hedged = draw(st.booleans())
        held = draw(st.sets(st.sampled_from(list(PositionSide)), max_size=2 if hedged else 1))
        mark = st.one_of(st.none(), st.decimals("0.01", "90000", places=2))
        positions += [
            position(symbol, str(draw(sizes)), side, hedged=hedged, mark_price=draw(mark)) for side in sorted(held)
        ]
        for number in range(draw(st.integers(0, 4))):
            changes: dict[str, Any] = {"trigger": draw(st.booleans())}
            if hedged:
                changes["position_side"] = draw(st.sampled_from(list(PositionSide)))
            else:
                changes["reduce_only"] = draw(st.booleans())
            orders.append(order(symbol, f"{symbol}-{number}", draw(st.sampled_from(list(Side))), **changes))
    return SliceSnapshot(
        slice=LINEAR,
        positions=tuple(positions),
        orders=tuple(orders),
        balances=(),
        started_ns=1,
        ended_ns=2,
        read_at=datetime(2026, 11, 20, tzinfo=UTC),
    )


memories = st.dictionaries(
    st.tuples(st.sampled_from(SYMBOLS), st.sampled_from(list(PositionSide))),
    st.builds(
        LegMemory,
        protective_in_the_way=st.booleans(),
        price_level=st.integers(0, 6),
        chunk_max=st.one_of(st.none(), st.integers(20, 900).map(Decimal)),
    ),
)


def planned(
    book: SliceSnapshot,
    listed: dict[str, MarketRules],
    order_ids: OrderIds,
    memory: Memory,
    *,
    fresh: bool = True,
    symbols: frozenset[str] | None = None,
) -> Plan:
    """The plan for a book."""
    return plan_slice(
        book, Scope(symbols=symbols), listed, ids=order_ids, memory=memory, max_slippage=Decimal("0.05"), fresh=fresh
    )


def closes_by_leg(plan: Plan) -> dict[tuple[str, PositionSide], list[ClosePosition]]:
    """The closes of each leg, in their order."""
    found: dict[tuple[str, PositionSide], list[ClosePosition]] = defaultdict(list)
    for step in plan.steps:
        if isinstance(step, ClosePosition):
            found[step.symbol, step.side].append(step)
    return found


@settings(max_examples=60)
@given(books(), markets(), ids, memories, st.booleans())
def test_the_closes_of_a_leg_are_the_position_no_more_and_no_less(
    book: SliceSnapshot, listed: dict[str, MarketRules], order_ids: OrderIds, memory: Memory, fresh: bool
) -> None:
    """They sum to it exactly, keep to the venue's maximum, and all but the last to its step."""
    closes = closes_by_leg(planned(book, listed, order_ids, memory, fresh=fresh))
    assert closes.keys() == {held.key for held in book.positions}
    for held in book.positions:
        parts = closes[held.key]
        assert sum(step.contracts for step in parts) == held.contracts
        assert all(Decimal(0) < step.contracts <= held.contracts for step in parts)
        market = listed.get(held.symbol)
        if market is None:
            continue
        limited = parts[0].limit_price is not None
        largest = market.limit_quantity_max if limited else market.market_quantity_max
        assert largest is None or all(step.contracts <= largest for step in parts)
        if market.quantity_step:
            assert all(step.contracts % market.quantity_step == 0 for step in parts[:-1])


@settings(max_examples=60)
@given(books(), markets(), ids, memories, st.booleans())
def test_nothing_planned_can_add_exposure(
    book: SliceSnapshot, listed: dict[str, MarketRules], order_ids: OrderIds, memory: Memory, fresh: bool
) -> None:
    """Every order is a close that the venue bounds, in the mode of a position that was seen; no sale."""
    plan = planned(book, listed, order_ids, memory, fresh=fresh)
    modes = {(held.key, held.hedged, held.isolated) for held in book.positions}
    for step in plan.steps:
        assert not isinstance(step, SellSpot)
        if isinstance(step, ClosePosition):
            assert ((step.symbol, step.side), step.hedged, step.isolated) in modes


@settings(max_examples=60)
@given(books(), markets(), ids, memories, st.booleans())
def test_every_order_that_can_add_exposure_is_cancelled_in_the_first_stage(
    book: SliceSnapshot, listed: dict[str, MarketRules], order_ids: OrderIds, memory: Memory, fresh: bool
) -> None:
    """Each once, by whatever call, waiting for nothing."""
    plan = planned(book, listed, order_ids, memory, fresh=fresh)
    first = [step for chain in plan.chains for step in chain[0]]
    named = [each for step in first if isinstance(step, CancelOrders) for each in step.order_ids]
    swept = {(step.symbol, step.trigger) for step in first if isinstance(step, CancelSymbol)}
    assert len(named) == len(set(named))
    for each in book.orders or ():
        if not each.protective:
            assert each.order_id in named or (each.symbol, each.trigger) in swept


@settings(max_examples=60)
@given(books(), markets(), ids, memories)
def test_no_position_loses_its_protection_unless_the_venue_demanded_it(
    book: SliceSnapshot, listed: dict[str, MarketRules], order_ids: OrderIds, memory: Memory
) -> None:
    """And never by a sweep, and never from a warm view."""
    held = {leg.symbol: leg for leg in book.positions}
    for fresh in (True, False):
        plan = planned(book, listed, order_ids, memory, fresh=fresh)
        named = {each for step in plan.steps if isinstance(step, CancelOrders) for each in step.order_ids}
        swept = {step.symbol for step in plan.steps if isinstance(step, CancelSymbol)}
        assert not swept & held.keys()
        assert fresh or not swept
        for each in book.orders or ():
            protects = [leg for leg in book.positions if guards(each, leg)]
            if each.protective and protects and each.order_id in named:
                assert fresh
                assert not each.trigger
                assert any(memory.get(leg.key, LegMemory()).protective_in_the_way for leg in protects)
            if each.protective and not fresh:
                assert each.order_id not in named


def guards(each: OpenOrder, leg: Position) -> bool:
    """Whether an order makes this very leg smaller."""
    if each.symbol != leg.symbol or each.side is not leg.side.closing_side:
        return False
    return each.position_side in (None, leg.side)


@settings(max_examples=60)
@given(books(), markets(), ids, memories)
def test_order_ids_are_in_every_venues_alphabet_and_never_shared(
    book: SliceSnapshot, listed: dict[str, MarketRules], order_ids: OrderIds, memory: Memory
) -> None:
    """18 characters, lower-case letters and digits, not beginning with the letter that one venue reserves."""
    closes = closes_by_leg(planned(book, listed, order_ids, memory))
    given_out = [step.client_order_id for parts in closes.values() for step in parts]
    assert len(given_out) == len(set(given_out))
    for each in given_out:
        assert len(each) == 18
        assert set(each) <= ALPHABET
        assert not each.startswith("t")


@given(
    st.tuples(st.uuids(), st.integers(0, 9), st.integers(1, 9), st.integers(0, 9)),
    st.tuples(st.uuids(), st.integers(0, 9), st.integers(1, 9), st.integers(0, 9)),
)
def test_order_ids_differ_exactly_when_the_order_does(
    one: tuple[UUID, int, int, int], other: tuple[UUID, int, int, int]
) -> None:
    """Command, attempt, round and part: the same ones give the same id, for ever; different ones another."""

    def derived(what: tuple[UUID, int, int, int]) -> str:
        command_id, attempt, number, chunk = what
        made = OrderIds(command_id=command_id, account_id=UUID(int=2), attempt=attempt, round=number)
        return made.client_order_id(LINEAR, SYMBOLS[0], "long", chunk)

    assert derived(one) == derived(one)
    assert (derived(one) == derived(other)) is (one == other)
    assert derived(one) != derived((one[0], one[1] + 1, one[2], one[3]))
    assert derived(one) != derived((one[0], one[1], one[2] + 1, one[3]))


@settings(max_examples=60)
@given(markets(), ids, memories, st.booleans())
def test_nothing_is_planned_for_nothing(
    listed: dict[str, MarketRules], order_ids: OrderIds, memory: Memory, fresh: bool
) -> None:
    """An empty slice needs no step: only so can a proof be taken."""
    empty = SliceSnapshot(
        slice=LINEAR, positions=(), orders=(), balances=(), started_ns=1, ended_ns=2, read_at=datetime.now(UTC)
    )
    assert planned(empty, listed, order_ids, memory, fresh=fresh) == Plan()


@settings(max_examples=60)
@given(books(), markets(), ids, memories)
def test_a_fresh_plan_takes_up_everything_in_its_scope_and_nothing_else(
    book: SliceSnapshot, listed: dict[str, MarketRules], order_ids: OrderIds, memory: Memory
) -> None:
    """Whatever is left in scope leads to a step, so that nothing incomplete looks finished."""
    scope = frozenset(SYMBOLS[:1])
    plan = planned(book, listed, order_ids, memory, symbols=scope)
    assert {step.symbol for step in plan.steps} <= scope
    symbols = {held.symbol for held in book.positions} | {each.symbol for each in book.orders or ()}
    left = bool(symbols & scope)
    assert bool(plan.steps) is left


@given(sizes, st.one_of(st.none(), st.decimals("0.5", "5000", places=3)), st.one_of(st.none(), steps), sizes)
def test_splitting_neither_loses_nor_invents(
    quantity: Decimal, largest: Decimal | None, step: Decimal | None, least: Decimal
) -> None:
    """Also with a minimum: the parts are the whole, and none is empty."""
    parts = split(quantity, largest, step, least)
    assert sum(parts) == quantity
    assert all(part > 0 for part in parts)
    if largest is not None:
        assert all(part <= max(largest, step or largest) for part in parts)
    if step is not None:
        assert all(part % step == 0 for part in parts[:-1])
