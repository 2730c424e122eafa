"""What must hold of every plan, whatever the book: nothing is enlarged, nothing forgotten, no id used twice."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from dataclasses import replace
from decimal import ROUND_CEILING, Decimal, localcontext
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from node.domain.plan import CHUNKS_MAX, ORDERS_MAX, LegMemory, Memory, Plan, Scope, learn, plan_slice, split
from node.domain.snapshot import MarketRules, OpenOrder, Position, PositionKey, SliceSnapshot
from node.domain.steps import (
    CancelOrders,
    CancelSymbol,
    ClosePosition,
    OrderIds,
    Outcome,
    Refusal,
    SellSpot,
    StepResult,
)
from tests.property.snapshots import SYMBOLS, books, markets, memories, order_ids, positions, read, sizes, steps
from tests.support.fake_venue import LINEAR

ALPHABET = set("abcdefghijklmnopqrstuvwxyz0123456789")


def planned(
    book: SliceSnapshot,
    listed: dict[str, MarketRules],
    ids: OrderIds,
    memory: Memory,
    *,
    fresh: bool = True,
    symbols: frozenset[str] | None = None,
) -> Plan:
    """The plan for a book."""
    return plan_slice(
        book, Scope(symbols=symbols), listed, ids=ids, memory=memory, max_slippage=Decimal("0.05"), fresh=fresh
    )


def closes_by_leg(plan: Plan) -> dict[PositionKey, list[ClosePosition]]:
    """The closes of each leg, in their order."""
    found: dict[PositionKey, list[ClosePosition]] = defaultdict(list)
    for step in plan.steps:
        if isinstance(step, ClosePosition):
            found[step.key].append(step)
    return found


@settings(max_examples=60)
@given(books(), markets(), order_ids, memories, st.booleans())
def test_the_closes_of_a_leg_are_the_position_no_more_and_no_less(
    book: SliceSnapshot, listed: dict[str, MarketRules], ids: OrderIds, memory: Memory, fresh: bool
) -> None:
    """They sum to it exactly (or are as many as one round may place), keep to the venue's maximum and its step."""
    closes = closes_by_leg(planned(book, listed, ids, memory, fresh=fresh))
    assert closes.keys() == {held.key for held in book.positions}
    for held in book.positions:
        parts = closes[held.key]
        if len(parts) < ORDERS_MAX:
            assert sum(step.contracts for step in parts) == held.contracts
        assert sum(step.contracts for step in parts) <= held.contracts
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
@given(books(), markets(), order_ids, memories, st.booleans())
def test_nothing_planned_can_add_exposure(
    book: SliceSnapshot, listed: dict[str, MarketRules], ids: OrderIds, memory: Memory, fresh: bool
) -> None:
    """Every order is a close that the venue bounds, in the mode of a position that was seen; no sale."""
    plan = planned(book, listed, ids, memory, fresh=fresh)
    modes = {(held.key, held.hedged, held.isolated) for held in book.positions}
    for step in plan.steps:
        assert not isinstance(step, SellSpot)
        if isinstance(step, ClosePosition):
            assert (step.key, step.hedged, step.isolated) in modes


@settings(max_examples=60)
@given(books(), markets(), order_ids, memories, st.booleans())
def test_every_order_that_can_add_exposure_is_cancelled_in_the_first_stage(
    book: SliceSnapshot, listed: dict[str, MarketRules], ids: OrderIds, memory: Memory, fresh: bool
) -> None:
    """Each once, by whatever call, waiting for nothing."""
    plan = planned(book, listed, ids, memory, fresh=fresh)
    first = [step for chain in plan.chains for step in chain[0]]
    named = [each for step in first if isinstance(step, CancelOrders) for each in step.order_ids]
    swept = {(step.symbol, step.trigger) for step in first if isinstance(step, CancelSymbol)}
    assert len(named) == len(set(named))
    for each in book.orders or ():
        if not each.protective:
            assert each.order_id in named or (each.symbol, each.trigger) in swept


@settings(max_examples=60)
@given(books(), markets(), order_ids, memories)
def test_no_position_loses_its_protection_unless_the_venue_demanded_it(
    book: SliceSnapshot, listed: dict[str, MarketRules], ids: OrderIds, memory: Memory
) -> None:
    """And never by a sweep, and never from a warm view."""
    held = {leg.symbol: leg for leg in book.positions}
    for fresh in (True, False):
        plan = planned(book, listed, ids, memory, fresh=fresh)
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
@given(books(), markets(), order_ids, memories)
def test_order_ids_are_in_every_venues_alphabet_and_never_shared(
    book: SliceSnapshot, listed: dict[str, MarketRules], ids: OrderIds, memory: Memory
) -> None:
    """18 characters, lower-case letters and digits, not beginning with the letter that one venue reserves."""
    closes = closes_by_leg(planned(book, listed, ids, memory))
    given_out = [step.client_order_id for parts in closes.values() for step in parts]
    assert len(given_out) == len(set(given_out))
    for each in given_out:
        assert len(each) == 18
        assert set(each) <= ALPHABET
        assert not each.startswith("t")


#: What venues take as a client order id: facts/venues-ccxt.md, section 8.
ACCEPTED = {
    "okx": r"[0-9A-Za-z]{1,32}",
    "kraken": r".{1,18}",
    "gate": r"t-[0-9A-Za-z_.-]{1,28}",
    "binance": r"[.A-Z:/a-z0-9_-]{1,36}",
    "bybit": r"[A-Za-z0-9_-]{1,36}",
    "mexc": r"[0-9A-Za-z]{1,32}",
}

few = st.sampled_from([UUID(int=1), UUID(int=2)])
orders_of_any_kind = st.tuples(
    few,
    few,
    st.integers(0, 1),
    st.integers(1, 2),
    st.sampled_from(["linear", "spot", "margin"]),
    st.sampled_from(["BTC/USDT", "BTC/USDT:USDT"]),
    st.sampled_from(["long", "short", "sale", "cover"]),
    st.sampled_from([0, 1, 11, 111]),
)


@settings(max_examples=200)
@given(st.sets(orders_of_any_kind, min_size=2, max_size=80))
def test_no_two_orders_share_an_id_and_every_venue_takes_it(
    made: set[tuple[UUID, UUID, int, int, str, str, str, int]],
) -> None:
    """Over commands, accounts, restarts, rounds, slices, symbols, legs and parts."""
    given_out = [
        OrderIds(command_id=command, account_id=account, attempt=attempt, round=number).client_order_id(
            part, symbol, leg, chunk
        )
        for command, account, attempt, number, part, symbol, leg, chunk in made
    ]
    assert len(set(given_out)) == len(made)
    for each in given_out:
        for venue, pattern in ACCEPTED.items():
            assert re.fullmatch(pattern, f"t-{each}" if venue == "gate" else each), venue


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
@given(markets(), order_ids, memories, st.booleans())
def test_nothing_is_planned_for_nothing(
    listed: dict[str, MarketRules], ids: OrderIds, memory: Memory, fresh: bool
) -> None:
    """An empty slice needs no step: only so can a proof be taken."""
    assert planned(read(), listed, ids, memory, fresh=fresh) == Plan()


@settings(max_examples=60)
@given(books(), markets(), order_ids, memories)
def test_a_fresh_plan_takes_up_everything_in_its_scope_and_nothing_else(
    book: SliceSnapshot, listed: dict[str, MarketRules], ids: OrderIds, memory: Memory
) -> None:
    """Whatever is left in scope leads to a step, so that nothing incomplete looks finished."""
    scope = frozenset(SYMBOLS[:1])
    plan = planned(book, listed, ids, memory, symbols=scope)
    assert {step.symbol for step in plan.steps} <= scope
    symbols = {held.symbol for held in book.positions} | {each.symbol for each in book.orders or ()}
    left = bool(symbols & scope)
    assert bool(plan.steps) is left


@given(sizes, st.one_of(st.none(), st.decimals("0.5", "5000", places=3)), st.one_of(st.none(), steps), sizes)
def test_splitting_neither_loses_nor_invents(
    quantity: Decimal, largest: Decimal | None, step: Decimal | None, least: Decimal
) -> None:
    """Also with a minimum: the parts are the whole, and none is empty; of what is absurd they are the beginning."""
    parts = split(quantity, largest, step, least)
    assert sum(parts) == quantity or (len(parts) == ORDERS_MAX and sum(parts) < quantity)
    assert len(parts) <= ORDERS_MAX + 1
    assert all(part > 0 for part in parts)
    if largest is not None:
        assert all(part <= max(largest, step or largest) for part in parts)
    if step is not None:
        assert all(part % step == 0 for part in parts[:-1])


@given(
    st.integers(10**28, 10**31).map(lambda units: Decimal(f"{units}E-18")),
    st.integers(1, 60),
    st.sampled_from([None, Decimal("0.000000000000000001"), Decimal("0.001")]),
)
def test_splitting_keeps_every_digit(quantity: Decimal, parts: int, step: Decimal | None) -> None:
    """Tokens with 18 decimals come in billions: more digits than decimal arithmetic keeps by itself."""
    least = step or Decimal("0.000000000000000001")
    with localcontext(prec=60):
        largest = (quantity / parts / least).to_integral_value(ROUND_CEILING) * least
    found = split(quantity, largest, step)
    with localcontext(prec=60):
        assert sum(found) == quantity
        assert all(0 < part <= largest for part in found)


def after_refusals(
    held: Position, listed: dict[str, MarketRules], ids: OrderIds, *, times: int, then: Decimal
) -> list[ClosePosition]:
    """How a leg is closed that was refused so often for its quantity, when it was of that size."""
    memory: Memory = {}
    for _ in range(times):
        smaller = read(replace(held, contracts=then))
        closes = closes_by_leg(planned(smaller, listed, ids, memory))[held.key]
        refused = [StepResult(step=each, outcome=Outcome.REFUSED, refusal=Refusal.QUANTITY) for each in closes]
        memory = learn(memory, refused, smaller)
    return closes_by_leg(planned(read(held), listed, ids, memory))[held.key]


@given(positions(SYMBOLS[0], hedged=True), markets(), order_ids, st.integers(0, 12))
def test_no_part_is_below_the_venues_minimum_if_the_whole_is_not(
    book: list[Position], listed: dict[str, MarketRules], ids: OrderIds, times: int
) -> None:
    """However often the venue has found the parts too large: it would find them too small, for good."""
    for held in book:
        market = listed.get(held.symbol)
        least = (market and market.quantity_min) or Decimal(0)
        parts = after_refusals(held, listed, ids, times=times, then=held.contracts)
        assert held.contracts < least or all(each.contracts >= least for each in parts)


@given(positions(SYMBOLS[0], hedged=True), markets(), order_ids, st.integers(1, 40), st.integers(1, 6))
def test_a_leg_is_cut_into_no_more_parts_than_it_must_be(
    book: list[Position], listed: dict[str, MarketRules], ids: OrderIds, grown: int, times: int
) -> None:
    """As many as the venue's maximum demands, or the sixteen that refusals for quantity may lead to; also when the
    position has grown since.
    """
    for held in book:
        parts = after_refusals(held, listed, ids, times=times, then=held.contracts / grown)
        market = listed.get(held.symbol)
        limited = parts[0].limit_price is not None
        largest = market and (market.limit_quantity_max if limited else market.market_quantity_max)
        forced = held.contracts / largest if largest else Decimal(1)
        # Parts are whole steps, rounded down: there may be nearly twice as many.
        assert len(parts) <= 2 * max(math.ceil(forced), CHUNKS_MAX) + 1
