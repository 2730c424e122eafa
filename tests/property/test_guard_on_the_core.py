"""The guard on the real matching core, while an engine opens, closes and turns positions round as it likes: the
operator's own hedge is never made smaller, and what came after it goes.

What somebody changes between the guard's read and its order is beyond anybody's knowledge: here nobody does.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from functools import partial
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from node.domain.command import Action
from node.domain.guard import Baseline, Pace, baseline_document, baseline_from, plan_guard
from node.domain.guard_mode import GuardMode, GuardModes
from node.domain.plan import Memory, Scope, learn
from node.domain.snapshot import MarketKind, PositionKey, PositionSide
from node.domain.steps import CancelOrders, ClosePosition, OrderIds, Refusal, Step
from node.engine.account import ExecutionTerms
from node.sim.orders import Leg as CoreLeg
from tests.property.worlds import (
    EngineTrades,
    Happening,
    Interference,
    Portfolio,
    engine_deeds,
    late,
    lies,
    lost,
    portfolios,
    price_moves,
    well,
)
from tests.support.core_venue import CoreVenue, Ending
from tests.support.engine import engine
from tests.support.market_names import unified
from tests.support.virtual_time import VirtualClock, in_virtual_time

REVERT = GuardModes(after_lock=GuardMode.REVERT, after_close=GuardMode.REVERT)
SECOND = 1_000_000_000
NAMES = ("linear", "inverse")

#: What passes by itself; nothing that would make a leg residue for good.
guard_refusals: st.SearchStrategy[Ending] = st.sampled_from(
    [Refusal.NOTHING_TO_REDUCE, Refusal.PRICE_BAND, Refusal.QUANTITY, Refusal.OVERLOADED, Refusal.OTHER]
)
engine_at_will: st.SearchStrategy[Happening] = st.one_of(engine_deeds, price_moves)


def legs_of(venue: CoreVenue, name: str) -> dict[PositionKey, Decimal]:
    """What is held in a slice, by unified symbol and side."""
    return {
        PositionKey(symbol, PositionSide.LONG if size > 0 else PositionSide.SHORT): abs(size)
        for (of, symbol, _), size in venue.held().items()
        if of == name
    }


def never_below(venue: CoreVenue, baselines: dict[str, dict[PositionKey, Decimal]], step: Step) -> str | None:
    """A close takes no more than what exceeds the baseline; a cancel names nothing that protects."""
    if isinstance(step, ClosePosition):
        leg = PositionKey(step.symbol, step.side)
        held = legs_of(venue, step.slice).get(leg, Decimal(0))
        kept = baselines[step.slice].get(leg, Decimal(0))
        return f"of {held}, of which {kept} are to stay" if held - step.contracts < min(kept, held) else None
    if isinstance(step, CancelOrders):
        open_now = {str(number): order.terms for number, order in venue.account.open_orders.items()}
        protects = any(open_now[each].only_reduces for each in step.order_ids if each in open_now)
        return "it protects a position" if protects else None
    return "the guard does nothing of the kind"


class GuardMachine(RuleBasedStateMachine):
    """One account under lock, one-way or hedged, and the guard's own pure parts around the core."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ns = 0
        self.pace = Pace()
        self.baseline = Baseline()
        self.round = 0
        self.memory: dict[str, Memory] = {name: {} for name in NAMES}
        #: By the test's own book-keeping: what was there at the lock, or was proven after a close.
        self.kept: dict[str, dict[PositionKey, Decimal]] = {}
        self.interventions: list[int] = []

    @initialize(portfolio=portfolios(most_parts=2))
    def lock(self, portfolio: Portfolio) -> None:
        """The operator locks the account with a hedge in it."""
        self.venue = portfolio.venue()
        self.kept = {name: legs_of(self.venue, name) for name in NAMES}
        self.venue.witness = partial(never_below, self.venue, self.kept)
        for name in NAMES:
            self.baseline = self.baseline.taken(self.venue.look(name))

    @rule(deed=engine_at_will)
    def engine_acts(self, deed: Happening) -> None:
        """An engine that does not look at locks; prices move."""
        deed.happen(self.venue)

    @rule(seconds=st.integers(0, 90))
    def time_passes(self, seconds: int) -> None:
        """Nothing else."""
        self.now_ns += seconds * SECOND

    @rule(name=st.sampled_from(NAMES), endings=st.lists(st.one_of(well, guard_refusals, lost, lies), max_size=3))
    def guard_looks(self, name: str, endings: list[Ending]) -> None:
        """Read, plan, and intervene if the pace allows it."""
        self.look(name, endings)

    def look(self, name: str, endings: Sequence[Ending] = ()) -> bool:
        """Whether there was anything to undo."""
        self.baseline = self.baseline.taken(self.venue.look(name))
        self.round += 1
        plan = plan_guard(
            self.venue.look(name),
            MarketKind(name),
            self.baseline,
            REVERT,
            self.venue.rules(name),
            ids=OrderIds(command_id=UUID(int=1), account_id=UUID(int=2), attempt=0, round=self.round),
            memory=self.memory[name],
            max_slippage=Decimal("0.05"),
        )
        if plan.steps and self.pace.wait_ns(self.now_ns) == 0:
            self.pace = self.pace.intervened(self.now_ns)
            self.interventions.append(self.now_ns)
            Interference.of(self.venue, endings=endings)
            results = [self.venue.carry_out(step) for step in plan.steps]
            self.memory[name] = learn(self.memory[name], results, self.venue.look(name))
        return bool(plan.steps)

    @rule()
    def locked_again(self) -> None:
        """A LOCK on a locked account changes nothing: every slice has its baseline."""
        for name in NAMES:
            assert self.baseline.taken(self.venue.look(name)) == self.baseline

    @rule()
    def restarted(self) -> None:
        """The journal has kept it."""
        self.baseline, _ = baseline_from(baseline_document(self.baseline, None))

    @rule(number=st.integers(0, 7))
    def a_symbol_is_closed(self, number: int) -> None:
        """By a command: its proof shows nothing there, and everything else as it happens to be."""
        markets = self.venue.markets()
        market = markets[number % len(markets)]
        symbol, name = unified(market), market.product.value
        for position in list(self.venue.account.open_positions(market.product)):
            if position.market is market:
                position.quantity = Decimal(0)
        self.baseline = self.baseline.after_close(Scope(symbols=frozenset({symbol})), [self.venue.look(name)])
        for leg in [leg for leg in self.kept[name] if leg[0] == symbol]:
            del self.kept[name][leg]

    @invariant()
    def harmless(self) -> None:
        """Nothing was enlarged or turned round; what is to be kept is what the guard believes."""
        if self.kept:
            counters = self.venue.account.counters
            assert self.venue.complaints == []
            assert (counters.sign_flips, counters.exposure_increases) == (0, 0)
            believed = {
                name: {PositionKey(leg.symbol, leg.side): size for leg, size in legs.items()}
                for name, legs in self.baseline.slices.items()
            }
            assert believed == self.kept

    @invariant()
    def paced(self) -> None:
        """Never more than ten and two spaced ones within a minute."""
        recent = [at for at in self.interventions if at > self.now_ns - 60 * SECOND]
        assert len(recent) <= 12

    def teardown(self) -> None:
        """The engine has stopped: what exceeds the baseline goes, or is too small for the venue."""
        if not self.kept:
            return
        for _ in range(40):
            self.now_ns += 31 * SECOND
            busy = [self.look(name) for name in NAMES]
            if not any(busy):
                break
        else:
            raise AssertionError("the guard does not come to an end")
        assert excess(self.venue, self.kept) == {}


def excess(venue: CoreVenue, kept: dict[str, dict[PositionKey, Decimal]]) -> dict[tuple[str, PositionKey], Decimal]:
    """What is there beyond the baseline, and large enough to be closed."""
    return {
        (name, leg): size
        for name in NAMES
        for leg, size in legs_of(venue, name).items()
        if size - kept[name].get(leg, Decimal(0)) >= venue.market(name, leg[0]).min_quantity
    }


def test_an_engine_at_will_never_costs_the_operators_hedge() -> None:
    """As a state machine over deeds, looks, locks, closes, restarts and time."""
    run_state_machine_as_test(GuardMachine, settings=settings(max_examples=40, stateful_step_count=30))


# Through the running engine


def guarded(
    portfolio: Portfolio, deeds: Sequence[Happening], endings: Sequence[Ending], *, locks_again: bool
) -> tuple[CoreVenue, dict[str, dict[PositionKey, Decimal]], list[str]]:
    """Lock an account, let an engine act beside the guard, and wait until that is undone."""

    async def locked(clock: VirtualClock) -> tuple[CoreVenue, dict[str, dict[PositionKey, Decimal]], list[str]]:
        venue = portfolio.venue(clock)
        kept = {name: legs_of(venue, name) for name in NAMES}
        venue.witness = partial(never_below, venue, kept)
        async with engine(venue, execution=ExecutionTerms(guard=REVERT)) as node:
            await node.armed()
            await node.carried_out(Action.LOCK)
            await asyncio.sleep(5.0)
            script = Interference.of(venue, endings=endings)
            for number, deed in enumerate(deeds):
                while venue.busy:  # noqa: ASYNC110 - virtual time: a moment at which nobody else is due
                    await asyncio.sleep(0.0003)
                deed.happen(venue)
                if locks_again and number % 3 == 1:
                    await node.carried_out(Action.LOCK)
                await asyncio.sleep(0.7)
            script.stop()
            for _ in range(60):  # virtual half minutes
                await asyncio.sleep(30.0)
                if settled(venue, kept):
                    break
            await asyncio.sleep(20.0)
            told = [document["at"] for document in node.guarded]
        await venue.close()
        return venue, kept, told

    return in_virtual_time(locked)


def settled(venue: CoreVenue, kept: dict[str, dict[PositionKey, Decimal]]) -> bool:
    """Nothing exceeds the baseline, and nothing waits that could."""
    adding = [order for order in venue.account.open_orders.values() if not order.terms.only_reduces]
    return not adding and excess(venue, kept) == {}


def undone(venue: CoreVenue, kept: dict[str, dict[PositionKey, Decimal]], told: list[str]) -> None:
    """What exceeds the baseline is gone, nothing waits that could add, and there was no ping-pong."""
    assert venue.complaints == []
    assert settled(venue, kept)
    counters = venue.account.counters
    assert (counters.sign_flips, counters.exposure_increases) == (0, 0)
    ids = [step.client_order_id for step in venue.steps if isinstance(step, ClosePosition)]
    assert len(ids) == len(set(ids))
    assert max(Counter(at[:16] for at in told).values(), default=0) <= 12


@settings(max_examples=25)
@given(
    portfolios(most_parts=2),
    st.lists(engine_at_will, max_size=14),
    st.lists(st.one_of(well, guard_refusals, lost, lies), max_size=10),
    st.booleans(),
)
def test_a_locked_account_goes_back_to_its_baseline(
    portfolio: Portfolio, deeds: list[Happening], endings: list[Ending], locks_again: bool
) -> None:
    """Also when it is locked again meanwhile: what was opened since the first lock does not become legitimate."""
    undone(*guarded(portfolio, deeds, endings, locks_again=locks_again))


longs_only: st.SearchStrategy[Happening] = st.builds(
    EngineTrades, number=st.integers(0, 2), steps=st.integers(1, 60), leg=st.just(CoreLeg.LONG)
)


@settings(max_examples=20)
@given(
    portfolios(hedge=True, most_parts=2),
    st.lists(longs_only, min_size=1, max_size=6),
    st.lists(st.one_of(well, late), min_size=1, max_size=6),
)
def test_a_close_of_unknown_outcome_is_not_repeated_while_it_may_still_arrive(
    portfolio: Portfolio, deeds: list[Happening], endings: list[Ending]
) -> None:
    """It comes eight seconds late: one sent in between would take it out of the operator's own position."""
    undone(*guarded(portfolio, deeds, endings, locks_again=False))
