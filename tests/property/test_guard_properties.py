"""What must hold of the guard of a locked account, whatever is opened behind it: it undoes that, and nothing else."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from node.domain.guard import (
    INTERVENTIONS_WITHIN_NS,
    SPACED_BY_NS,
    Baseline,
    Pace,
    baseline_document,
    baseline_from,
    plan_guard,
)
from node.domain.guard_mode import GuardMode, GuardModes
from node.domain.plan import Memory, Plan, Scope
from node.domain.snapshot import MarketKind, MarketRules, Position, PositionKey, Side, SliceSnapshot
from node.domain.steps import CancelOrders, ClosePosition, OrderIds
from tests.property.snapshots import SYMBOLS, books, legs, markets, memories, order_ids, read, sizes
from tests.support.fake_venue import LINEAR, SPOT, order

SECOND = 1_000_000_000
REVERT = GuardModes(after_lock=GuardMode.REVERT, after_close=GuardMode.REVERT)

all_modes = st.builds(
    GuardModes, after_lock=st.sampled_from(list(GuardMode)), after_close=st.sampled_from(list(GuardMode))
)
scopes = st.builds(Scope, symbols=st.one_of(st.none(), st.frozensets(st.sampled_from(SYMBOLS), min_size=1)))
baselines = st.builds(
    Baseline,
    since=st.one_of(st.none(), st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))),  # noqa: DTZ001
    slices=st.dictionaries(st.sampled_from([LINEAR, SPOT]), st.dictionaries(legs, sizes)),
    closed=st.lists(scopes, max_size=2).map(tuple),
)


def planned(
    book: SliceSnapshot, baseline: Baseline, modes: GuardModes, listed: dict[str, MarketRules], ids: OrderIds,
    memory: Memory, kind: MarketKind = MarketKind.LINEAR,
) -> Plan:  # fmt: skip
    """What the guard would do."""
    return plan_guard(
        book, kind, baseline, modes, listed, ids=ids, memory=memory, max_slippage=Decimal("0.05")
    )  # fmt: skip


def closed_by(plan: Plan) -> dict[PositionKey, Decimal]:
    """Contracts that a plan closes, by leg."""
    found: dict[PositionKey, Decimal] = defaultdict(Decimal)
    for step in plan.steps:
        if isinstance(step, ClosePosition):
            found[step.key] += step.contracts
    return dict(found)


def mode_of(baseline: Baseline, modes: GuardModes, symbol: str) -> GuardMode:
    """After a close within its scope, after a lock elsewhere."""
    return modes.after_close if any(scope.covers(symbol) for scope in baseline.closed) else modes.after_lock


def excess(baseline: Baseline, held: Position) -> Decimal:
    """What was not there; nothing can be said of a slice that was not seen."""
    if held.slice not in baseline.slices:
        return Decimal(0)
    return max(held.contracts - baseline.slices[held.slice].get(held.key, Decimal(0)), Decimal(0))


@given(books(), baselines, all_modes, markets(), order_ids, memories)
def test_exactly_the_excess_is_closed_and_only_under_revert(
    book: SliceSnapshot,
    baseline: Baseline,
    modes: GuardModes,
    listed: dict[str, MarketRules],
    ids: OrderIds,
    memory: Memory,
) -> None:
    """Never below the baseline, in the mode of a position that is there; each with an id of its own."""
    plan = planned(book, baseline, modes, listed, ids, memory)
    assert closed_by(plan) == {
        held.key: excess(baseline, held)
        for held in book.positions
        if excess(baseline, held) and mode_of(baseline, modes, held.symbol) is GuardMode.REVERT
    }
    closes = [step for step in plan.steps if isinstance(step, ClosePosition)]
    assert len({step.client_order_id for step in closes}) == len(closes)
    there = {(held.key, held.hedged, held.isolated) for held in book.positions}
    assert all((step.key, step.hedged, step.isolated) in there for step in closes)


@given(books(), baselines, all_modes, markets(), order_ids, memories)
def test_every_order_that_could_add_is_cancelled_and_no_protective_one(
    book: SliceSnapshot,
    baseline: Baseline,
    modes: GuardModes,
    listed: dict[str, MarketRules],
    ids: OrderIds,
    memory: Memory,
) -> None:
    """Each once, by its id and in its own book; nothing where the guard is off; and no step of another kind."""
    plan = planned(book, baseline, modes, listed, ids, memory)
    named = [
        (step.symbol, step.trigger, each)
        for step in plan.steps
        if isinstance(step, CancelOrders)
        for each in step.order_ids
    ]
    assert sorted(named) == sorted(
        (each.symbol, each.trigger, each.order_id)
        for each in book.orders or ()
        if not each.protective and mode_of(baseline, modes, each.symbol) is not GuardMode.OFF
    )
    assert all(isinstance(step, CancelOrders | ClosePosition) for step in plan.steps)
    # All at once: nothing waits for anything.
    assert all(len(chain) == 1 for chain in plan.chains)


@given(st.lists(st.sampled_from(list(Side)), max_size=6), st.sampled_from([MarketKind.SPOT, MarketKind.MARGIN]))
def test_from_a_wallet_that_cannot_owe_sales_may_rest(sides: list[Side], kind: MarketKind) -> None:
    """On margin a sale can open a short: there every order goes."""
    resting = [order("BTC/USDT", str(number), side) for number, side in enumerate(sides)]
    book = read(orders=resting)
    ids = OrderIds(command_id=UUID(int=1), account_id=UUID(int=2), attempt=0, round=1)
    plan = planned(book, Baseline(), REVERT, {}, ids, {}, kind)
    gone = {each for step in plan.steps if isinstance(step, CancelOrders) for each in step.order_ids}
    assert gone == {each.order_id for each in resting if each.side is Side.BUY or kind is MarketKind.MARGIN}


@given(books(), all_modes, st.lists(scopes, max_size=2), markets(), order_ids, memories)
def test_what_was_there_at_the_lock_is_left_alone(
    book: SliceSnapshot,
    modes: GuardModes,
    closed: list[Scope],
    listed: dict[str, MarketRules],
    ids: OrderIds,
    memory: Memory,
) -> None:
    """Nothing exceeds what was seen: only orders that add can be planned for."""
    baseline = Baseline(closed=tuple(closed)).taken(book)
    assert closed_by(planned(book, baseline, modes, listed, ids, memory)) == {}
    assert planned(read(*book.positions), baseline, modes, listed, ids, memory) == Plan()


@given(baselines, books())
def test_a_baseline_once_taken_stays(baseline: Baseline, book: SliceSnapshot) -> None:
    """A later read, a read of an account that is locked again: neither makes what was opened since legitimate."""
    once = baseline.taken(book)
    assert once.knows(book.slice)
    assert baseline.slices.items() <= once.slices.items()
    assert once.taken(read()) == once


@given(baselines, scopes, books(), books())
def test_a_close_speaks_only_for_its_scope(
    baseline: Baseline, scope: Scope, proof: SliceSnapshot, later: SliceSnapshot
) -> None:
    """Within it, what its proof still shows is the baseline; of the rest and of other slices nothing changes."""
    after = baseline.after_close(scope, [proof])
    shown = {held.key: held.contracts for held in proof.positions}
    for held in later.positions:
        if scope.covers(held.symbol):
            assert after.excess(held) == max(held.contracts - shown.get(held.key, Decimal(0)), Decimal(0))
            assert after.mode(GuardModes(after_close=GuardMode.OFF), held) is GuardMode.OFF
        elif baseline.knows(LINEAR):
            assert after.excess(held) == baseline.excess(held)
        else:
            assert after.excess(held) == max(held.contracts - shown.get(held.key, Decimal(0)), Decimal(0))
    assert {name: legs_ for name, legs_ in after.slices.items() if name != LINEAR} == {
        name: legs_ for name, legs_ in baseline.slices.items() if name != LINEAR
    }


@given(baselines, st.one_of(st.none(), st.sampled_from(list(GuardMode))))
def test_what_the_journal_keeps_is_the_baseline(baseline: Baseline, override: GuardMode | None) -> None:
    """To the millisecond, which is what a lock's own record has; sizes with every digit."""
    document = baseline_document(baseline, override)
    again, mode = baseline_from(document)
    assert mode == override
    assert (again.slices, again.closed) == (baseline.slices, baseline.closed)
    assert baseline_document(again, mode) == document


waits_between = st.one_of(st.integers(0, 3 * SECOND), st.integers(0, 3 * SECOND), st.integers(0, 70 * SECOND))


@given(st.lists(waits_between, min_size=12, max_size=60))
def test_ten_at_once_then_one_every_thirty_seconds(waits: list[int]) -> None:
    """Somebody tries to intervene after each of these waits; the pace says whether it may."""
    pace, now, done = Pace(), 0, list[int]()
    for wait in waits:
        now += wait
        if pace.wait_ns(now) == 0:
            pace = pace.intervened(now)
            done.append(now)
    spacing = False
    for number, at in enumerate(done):
        minute = [each for each in done[:number] if each > at - INTERVENTIONS_WITHIN_NS]
        assert not spacing or at - done[number - 1] >= SPACED_BY_NS
        spacing = len(minute) + 1 >= 10 or (spacing and bool(minute))
    for number in range(len(done) - 12):
        assert done[number + 12] - done[number] > INTERVENTIONS_WITHIN_NS


@given(st.lists(st.integers(0, 20 * SECOND), max_size=30), st.integers(0, 40 * SECOND))
def test_waiting_as_told_is_enough(waits: list[int], later: int) -> None:
    """The pace names the very moment from which it lets the next one through."""
    pace, now = Pace(), 0
    for wait in waits:
        now += wait
        now += pace.wait_ns(now)
        assert pace.wait_ns(now) == 0
        pace = pace.intervened(now)
    now += later
    assert pace.wait_ns(now + pace.wait_ns(now)) == 0
    assert 0 <= pace.wait_ns(now) <= SPACED_BY_NS
