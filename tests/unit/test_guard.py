"""What the guard of a locked account undoes, what it leaves alone, and how it slows down."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count, pairwise
from uuid import UUID

import pytest

from node.domain.command import Action, CommandState
from node.domain.flatten import FlattenTerms
from node.domain.guard import (
    SPACED_BY_NS,
    Baseline,
    Pace,
    adds_exposure,
    baseline_document,
    baseline_from,
    plan_guard,
)
from node.domain.guard_mode import GuardMode, GuardModes
from node.domain.lock import AccountLock
from node.domain.permission import Permission
from node.domain.plan import LegMemory, Scope
from node.domain.result import Document
from node.domain.snapshot import (
    Balance,
    MarketKind,
    OpenOrder,
    Position,
    PositionKey,
    PositionSide,
    Side,
    SliceSnapshot,
)
from node.domain.steps import (
    LATE_ARRIVAL_NS,
    CancelOrders,
    ClosePosition,
    OrderIds,
    Outcome,
    Refusal,
    Step,
    StepResult,
)
from node.engine.account import AccountTerms, ExecutionTerms
from node.engine.actor import AccountActor
from node.engine.departures import Departures
from node.engine.guard import INTERVAL_ALERT_S, KEEP_TOGETHER_S, LOOK_GAP_S, Guard, GuardLinks
from node.engine.restraint import REFUSED_WAIT_MAX_NS, REFUSED_WAIT_NS, SETTLED_NS
from node.engine.view import AccountView
from node.errors import VenueError, VenueLimited, VenueUnavailable
from tests.support.engine import ACCOUNT, Engine, engine
from tests.support.fake_venue import LINEAR, SPOT, FakeVenue, ambiguous, order, position, refused, rules
from tests.support.hurried import LoopClock, in_no_time

BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"
IDS = OrderIds(command_id=UUID(int=1), account_id=UUID(int=2), attempt=0, round=1)
REVERT = GuardModes(after_lock=GuardMode.REVERT, after_close=GuardMode.REVERT)
CANCEL = GuardModes(after_lock=GuardMode.CANCEL, after_close=GuardMode.CANCEL)
SECOND = 1_000_000_000


def seen(*positions: Position, orders: tuple[OpenOrder, ...] = ()) -> SliceSnapshot:
    """A fresh read of the derivatives."""
    at = datetime(2026, 11, 25, tzinfo=UTC)
    return SliceSnapshot(
        slice=LINEAR, positions=positions, orders=orders, balances=(), started_ns=1, ended_ns=2, read_at=at
    )


def planned(
    snapshot: SliceSnapshot, baseline: Baseline, modes: GuardModes = REVERT, kind: MarketKind = MarketKind.LINEAR
) -> list[Step]:
    """What the guard would do."""
    markets = {symbol: rules(symbol) for symbol in (BTC, ETH)}
    plan = plan_guard(
        snapshot, kind, baseline, modes, markets, ids=IDS, memory={}, max_slippage=Decimal("0.05")
    )  # fmt: skip
    return list(plan.steps)


def closes(steps: list[Step]) -> dict[PositionKey, Decimal]:
    """Contracts closed, by leg."""
    found: dict[PositionKey, Decimal] = {}
    for step in steps:
        if isinstance(step, ClosePosition):
            found[step.key] = found.get(step.key, Decimal(0)) + step.contracts
    return found


def cancelled(steps: list[Step]) -> set[str]:
    """Orders cancelled."""
    return {order_id for step in steps if isinstance(step, CancelOrders) for order_id in step.order_ids}


class TestPlan:
    def test_the_operators_own_hedge_survives(self) -> None:
        """What was there at the lock is left alone, at its size."""
        hedge = position(BTC, "2", PositionSide.SHORT)
        assert planned(seen(hedge), Baseline().taken(seen(hedge))) == []

    def test_only_what_exceeds_the_baseline_is_closed(self) -> None:
        """Three where two were: one goes."""
        baseline = Baseline().taken(seen(position(BTC, "2")))
        assert closes(planned(seen(position(BTC, "3")), baseline)) == {PositionKey(BTC, PositionSide.LONG): Decimal(1)}

    def test_a_position_that_was_turned_round_is_all_excess(self) -> None:
        """The other side was not there."""
        baseline = Baseline().taken(seen(position(BTC, "2")))
        turned = position(BTC, "1", PositionSide.SHORT)
        assert closes(planned(seen(turned), baseline)) == {PositionKey(BTC, PositionSide.SHORT): Decimal(1)}

    def test_a_smaller_position_is_nobodys_business(self) -> None:
        """Risk went down."""
        baseline = Baseline().taken(seen(position(BTC, "2")))
        assert planned(seen(position(BTC, "1")), baseline) == []

    def test_an_excess_above_the_market_maximum_is_split(self) -> None:
        """As every close."""
        steps = planned(seen(position(BTC, "250")), Baseline().taken(seen()))
        assert [step.contracts for step in steps if isinstance(step, ClosePosition)] == [100, 100, 50]

    def test_nothing_is_closed_of_a_slice_that_was_not_seen_since_the_lock(self) -> None:
        """It cannot be told what was there."""
        assert planned(seen(position(BTC, "2")), Baseline()) == []

    def test_cancel_closes_nothing(self) -> None:
        """It only cancels."""
        entry = order(BTC, "entry")
        assert planned(seen(position(BTC, "2"), orders=(entry,)), Baseline().taken(seen()), CANCEL) == [
            CancelOrders(slice=LINEAR, symbol=BTC, market_id="BTCUSDT", order_ids=("entry",), trigger=False)
        ]

    def test_off_does_nothing(self) -> None:
        """Not even cancel."""
        off = GuardModes(after_lock=GuardMode.OFF, after_close=GuardMode.OFF)
        assert planned(seen(position(BTC, "2"), orders=(order(BTC, "entry"),)), Baseline().taken(seen()), off) == []

    def test_orders_that_protect_stay_and_orders_that_could_open_go(self) -> None:
        """In both books, one-way and hedge; also what rested there before the lock."""
        orders = (
            order(BTC, "entry"),
            order(BTC, "entry-trigger", trigger=True),
            order(BTC, "stop", Side.SELL, reduce_only=True, trigger=True),
            order(ETH, "leg-entry", Side.SELL, position_side=PositionSide.SHORT),
            order(ETH, "leg-stop", Side.BUY, position_side=PositionSide.SHORT),
        )
        steps = planned(seen(position(BTC, "2"), orders=orders), Baseline().taken(seen(position(BTC, "2"))))
        assert cancelled(steps) == {"entry", "entry-trigger", "leg-entry"}
        assert closes(steps) == {}

    def test_on_spot_only_purchases_add_exposure(self) -> None:
        """A sale lightens; from a wallet that can owe it may be a short."""
        buy, sell = order("SOL/USDT", "buy"), order("SOL/USDT", "sell", Side.SELL)
        assert [adds_exposure(each, MarketKind.SPOT) for each in (buy, sell)] == [True, False]
        assert [adds_exposure(each, MarketKind.MARGIN) for each in (buy, sell)] == [True, True]

    def test_on_margin_a_sale_of_what_is_borrowed_opens_a_short(self) -> None:
        """What is held counts net of what is owed, and the other way round."""
        buy = order("SOL/USDT", "buy", slice="margin")
        sell = order("SOL/USDT", "sell", Side.SELL, slice="margin")

        def adds(free: int, debt: int) -> list[bool]:
            held = Balance(slice="margin", asset="SOL", free=Decimal(free), debt=Decimal(debt))
            return [adds_exposure(each, MarketKind.MARGIN, [held]) for each in (buy, sell)]

        assert adds(free=1, debt=0) == [True, False]
        assert adds(free=0, debt=1) == [False, True]
        assert adds(free=10, debt=10) == [True, True]
        assert adds(free=3, debt=2) == [True, False]
        wallet = Balance(slice="margin", asset="SOL", free=Decimal(1))
        book = replace(seen(orders=(buy, sell)), balances=(wallet,))
        assert cancelled(planned(book, Baseline(), kind=MarketKind.MARGIN)) == {"buy"}

    def test_a_leg_that_is_too_small_to_close_is_left(self) -> None:
        """It would be tried for ever."""
        plan = plan_guard(
            seen(position(BTC, "1")),
            MarketKind.LINEAR,
            Baseline().taken(seen()),
            REVERT,
            {BTC: rules(BTC)},
            ids=IDS,
            memory={PositionKey(BTC, PositionSide.LONG): LegMemory(too_small=3, too_small_contracts=Decimal(1))},
            max_slippage=Decimal("0.05"),
        )
        assert plan.steps == ()

    def test_what_was_learnt_of_a_leg_counts_for_the_guards_closes_too(self) -> None:
        """A price limit where the venue refused a market order."""
        memory = {PositionKey(BTC, PositionSide.LONG): LegMemory(price_level=1)}
        plan = plan_guard(
            seen(position(BTC, "1")), MarketKind.LINEAR, Baseline().taken(seen()), REVERT, {BTC: rules(BTC)},
            ids=IDS, memory=memory, max_slippage=Decimal("0.05"),
        )  # fmt: skip
        assert [step.limit_price for step in plan.steps if isinstance(step, ClosePosition)] == [95]


class TestBaseline:
    def test_is_taken_once(self) -> None:
        """What was opened since is no part of it."""
        baseline = Baseline().taken(seen(position(BTC, "1"))).taken(seen(position(BTC, "5")))
        assert baseline.excess(position(BTC, "5")) == 4

    def test_after_a_close_nothing_is_left_alone_in_its_scope(self) -> None:
        """But what the proof still shows; outside it all is as it was."""
        before = Baseline().taken(seen(position(BTC, "1"), position(ETH, "2")))
        after = before.after_close(Scope(symbols=frozenset({BTC})), [seen(position(ETH, "3"))])
        assert after.excess(position(BTC, "1")) == 1
        assert after.excess(position(ETH, "3")) == 1
        dust = before.after_close(Scope(), [seen(position(BTC, "0.001"))])
        assert dust.excess(position(BTC, "0.001")) == 0

    def test_each_scope_has_its_own_mode(self) -> None:
        """After a close of one symbol the others are watched as after a LOCK."""
        modes = GuardModes(after_lock=GuardMode.CANCEL, after_close=GuardMode.REVERT)
        after = Baseline().after_close(Scope(symbols=frozenset({BTC})), [])
        assert after.mode(modes, position(BTC, "1")) is GuardMode.REVERT
        assert after.mode(modes, position(ETH, "1")) is GuardMode.CANCEL

    def test_after_a_close_that_was_given_up_it_is_taken_anew(self) -> None:
        """A person was told, and decides about what is left."""
        after = Baseline().taken(seen(position(BTC, "1"))).after_failure([LINEAR], Scope())
        assert not after.knows(LINEAR)

    def test_a_failure_of_one_scope_keeps_the_rest(self) -> None:
        """Only the legs of the command are taken anew."""
        before = Baseline().taken(seen(position(BTC, "1"), position(ETH, "2")))
        anew = before.after_failure([LINEAR], Scope(symbols=frozenset({BTC})))
        assert not anew.knows(LINEAR)
        taken = anew.taken(seen(position(BTC, "5"), position(ETH, "9")))
        assert taken.excess(position(BTC, "5")) == 0
        assert taken.excess(position(ETH, "9")) == 7
        closed_by_hand = anew.taken(seen(position(ETH, "2")))
        assert closed_by_hand.excess(position(BTC, "1")) == 1

    def test_a_failure_of_one_slice_keeps_the_others(self) -> None:
        """The same symbols elsewhere were not the command's."""
        elsewhere = replace(seen(position(BTC, "3", slice="other")), slice="other")
        after = Baseline().taken(seen(position(BTC, "1"))).taken(elsewhere).after_failure([LINEAR], Scope())
        assert after.knows("other")
        assert after.excess(position(BTC, "3", slice="other")) == 0

    def test_a_scope_that_is_closed_again_is_kept_once(self) -> None:
        """Or what the journal keeps would grow with every command."""
        scope = Scope(symbols=frozenset({BTC}))
        assert Baseline().after_close(scope, []).after_close(scope, []).closed == (scope,)

    def test_knows_a_leg_by_the_venues_own_name_too(self) -> None:
        """It was locked while the markets were not known."""
        unnamed = position("BTCUSDT", "2", market_id="BTCUSDT")
        assert Baseline().taken(seen(unnamed)).excess(position(BTC, "2")) == 0

    def test_knows_a_leg_whose_market_has_lost_its_name(self) -> None:
        """It was delisted, or the markets cannot be loaded any more: the operator's hedge is still the operator's."""
        unnamed = position("BTCUSDT", "2", market_id="BTCUSDT")
        baseline = Baseline().taken(seen(position(BTC, "2")))
        written = baseline_document(baseline, None)
        assert baseline.excess(unnamed) == 0
        assert baseline_from(written)[0].excess(unnamed) == 0
        closed = baseline.after_close(Scope(symbols=frozenset({BTC})), [seen()])
        assert closed.excess(unnamed) == 2
        assert closed.mode(GuardModes(after_lock=GuardMode.OFF), unnamed) is GuardMode.REVERT

    def test_survives_being_written_down(self) -> None:
        """With sizes, scopes and a person's word."""
        at = datetime(2026, 11, 25, 10, 0, 0, 123000, tzinfo=UTC)
        baseline = replace(
            Baseline(since=at)
            .taken(seen(position(BTC, "1.25", PositionSide.SHORT)))
            .after_close(Scope(symbols=frozenset({ETH})), [])
            .after_failure([LINEAR], Scope(symbols=frozenset({BTC}))),
        )
        assert baseline.pending
        assert baseline_from(baseline_document(baseline, GuardMode.REVERT)) == (baseline, GuardMode.REVERT)


class TestPace:
    def test_ten_interventions_in_a_minute_begin_the_spacing_and_a_quiet_minute_ends_it(self) -> None:
        """No ping-pong for fees."""
        pace = Pace()
        for number in range(9):
            pace = pace.intervened(number * SECOND)
            assert pace.wait_ns(number * SECOND) == 0
        pace = pace.intervened(9 * SECOND)
        assert pace.wait_ns(9 * SECOND) == 30 * SECOND
        pace = pace.intervened(39 * SECOND)
        assert pace.wait_ns(40 * SECOND) == 29 * SECOND
        pace = pace.intervened(90 * SECOND)
        assert (pace.spaced, pace.in_last_minute(90 * SECOND)) == (True, 2)
        assert pace.in_last_minute(150 * SECOND) == 0
        assert not pace.intervened(151 * SECOND).spaced

    def test_ten_interventions_in_more_than_a_minute_are_none_too_many(self) -> None:
        """Only what is frequent is slowed down."""
        pace = Pace()
        for number in range(30):
            pace = pace.intervened(number * 7 * SECOND)
        assert not pace.spaced


def guarded_by(modes: GuardModes) -> ExecutionTerms:
    """Terms with these modes."""
    return ExecutionTerms(deadline_s=2.0, settle_s=0.05, guard=modes)


async def until(true: Callable[[], object], *, within_s: float = 5) -> None:
    """Wait, at most some seconds."""
    async with asyncio.timeout(within_s):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def guard_of(node: Engine) -> AccountActor:
    """The first account's actor."""
    return node.dispatcher.actors[ACCOUNT]


async def locked(node: Engine) -> None:
    """LOCK, and wait until the baseline is there."""
    await node.armed()
    await node.carried_out(Action.LOCK)
    await until(lambda: all(each["baseline"] for each in guard_of(node).guard.document()["slices"].values()))


class LaggingVenue(FakeVenue):
    """Whole reads show positions larger than they are."""

    lag = Decimal(0)

    async def read_slice(self, slice_name: str) -> SliceSnapshot:
        read = await super().read_slice(slice_name)
        larger = tuple(replace(each, contracts=each.contracts + self.lag) for each in read.positions)
        return replace(read, positions=larger)


class TestWatch:
    async def test_orders_placed_after_a_lock_are_cancelled_and_told(self) -> None:
        """With the lock's epoch, so that a reader can tell which lock it was."""
        venue = FakeVenue(positions=[position(BTC, "2")])
        async with engine(venue) as node:
            await locked(node)
            venue.orders.append(order(BTC, "entry"))
            await until(lambda: venue.orders == [])
            await until(lambda: bool(node.guarded))
        (told,) = node.guarded
        assert told["schema"] == "sovereign-node/guard/1"
        assert told["lock"] == {"locked": True, "epoch": 1}
        assert [(step["deed"], step["symbol"], step["outcome"]) for step in told["steps"]] == [("cancel", BTC, "done")]
        assert [each.contracts for each in venue.positions] == [2], "after a LOCK positions are left alone"

    async def test_revert_closes_what_exceeds_the_baseline_and_no_more(self) -> None:
        """The hedge of before the lock stays at its size."""
        venue = FakeVenue(positions=[position(BTC, "2", PositionSide.SHORT)])
        async with engine(venue, execution=guarded_by(REVERT)) as node:
            await locked(node)
            venue.markets[ETH] = rules(ETH)
            venue.positions = [position(BTC, "3", PositionSide.SHORT), position(ETH, "1")]
            await until(lambda: len(venue.positions) == 1)
            await until(lambda: venue.positions[0].contracts == 2)
        assert [(each.symbol, each.contracts) for each in venue.positions] == [(BTC, Decimal(2))]

    async def test_what_is_opened_after_a_close_is_closed_again(self) -> None:
        """Nothing was left alone: the account was proven flat."""
        venue = FakeVenue(positions=[position(BTC, "2")])
        async with engine(venue) as node:
            assert (await node.carried_out(Action.CLOSE_ALL))["verdict"] == "flat"
            venue.positions.append(position(BTC, "1"))
            await until(lambda: venue.positions == [])

    async def test_after_a_close_of_one_symbol_the_others_are_left_alone(self) -> None:
        """They were there, and they were not the command's."""
        venue = FakeVenue(positions=[position(BTC, "2"), position(ETH, "5")])
        async with engine(venue) as node:
            await node.carried_out(Action.CLOSE_ALL, symbols=(BTC,))
            venue.positions.append(position(BTC, "1"))
            await until(lambda: [each.symbol for each in venue.positions] == [ETH])
            assert venue.positions[0].contracts == 5

    async def test_balances_are_never_sold(self) -> None:
        """What is bought stays; the order that would buy more goes."""
        venue = FakeVenue(balances=[Balance(slice=SPOT, asset="ETH", free=Decimal(3))])
        venue.markets["ETH/USDT"] = rules("ETH/USDT")
        async with engine(venue, execution=guarded_by(REVERT)) as node:
            await locked(node)
            venue.credit("ETH", Decimal(4))
            venue.orders.append(order("ETH/USDT", "buy"))
            await until(lambda: venue.orders == [])
        assert [each.free for each in venue.balances] == [7]

    async def test_an_unlocked_account_is_not_watched(self) -> None:
        """Nor read more often."""
        venue = FakeVenue(positions=[position(BTC, "2")])
        async with engine(venue) as node:
            await locked(node)
            await node.carried_out(Action.UNLOCK, epoch=1)
            reads = venue.calls["read_slice:linear"]
            venue.orders.append(order(BTC, "entry"))
            await asyncio.sleep(0.6)
            assert len(venue.orders) == 1
            assert venue.calls["read_slice:linear"] <= reads + 1

    async def test_a_live_command_is_not_interfered_with(self) -> None:
        """It plans by itself; the guard comes back when it has ended."""
        venue = FakeVenue(positions=[position(BTC, "2")])
        venue.interfere = lambda step: refused(step, Refusal.OVERLOADED) if isinstance(step, ClosePosition) else None
        async with engine(venue, execution=guarded_by(REVERT)) as node:
            closing = await node.submit(Action.CLOSE_ALL)
            await node.until_state(closing.document["command_id"], CommandState.RUNNING)
            assert not guard_of(node).guard.active
            venue.interfere = lambda _step: None
            await node.ending(closing.document["command_id"])
            assert guard_of(node).guard.active

    async def test_what_an_aborted_close_has_left_is_left_to_the_person(self) -> None:
        """Aborting means: stop closing."""
        venue = FakeVenue(positions=[position(BTC, "2"), position(ETH, "2")])
        venue.interfere = lambda step: refused(step, Refusal.OVERLOADED) if isinstance(step, ClosePosition) else None
        async with engine(venue, execution=guarded_by(REVERT)) as node:
            await locked(node)
            closing = await node.submit(Action.CLOSE_ALL, symbols=(BTC,))
            await node.until_state(closing.document["command_id"], CommandState.RUNNING)
            venue.positions = [position(BTC, "5"), position(ETH, "5")]
            await node.desk.abort(UUID(closing.document["command_id"]), by="me", reason=None)
            venue.interfere = lambda _step: None
            await until(lambda: [each.contracts for each in venue.positions] == [5, 2])
            await asyncio.sleep(0.6)
            assert [each.contracts for each in venue.positions] == [5, 2], "and ETH was not the command's"
            venue.positions = [position(BTC, "6"), position(ETH, "2")]
            await until(lambda: [each.contracts for each in venue.positions] == [5, 2])

    async def test_a_second_lock_takes_no_new_baseline(self) -> None:
        """Or whoever can send LOCK could bless what was opened since."""
        venue = FakeVenue(positions=[position(BTC, "2")])
        async with engine(venue, execution=guarded_by(REVERT)) as node:
            await locked(node)
            venue.reading.clear()
            venue.positions = [position(BTC, "3")]
            await node.carried_out(Action.LOCK)
            venue.reading.set()
            await until(lambda: venue.positions[0].contracts == 2)

    async def test_the_baseline_survives_a_restart(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What was opened while the node was away is undone."""
        monkeypatch.setattr("node.engine.restraint.LATE_ARRIVAL_NS", 1_000_000)
        venue = FakeVenue(positions=[position(BTC, "2")])
        async with engine(venue, execution=guarded_by(REVERT)) as first:
            await locked(first)
            await until(lambda: first.journal.calls["keep_guard"] > 1)
        again = FakeVenue(positions=[position(BTC, "3")])
        async with engine(again, journal=first.journal, execution=guarded_by(REVERT)):
            await until(lambda: again.positions[0].contracts == 2)

    async def test_its_record_lets_the_first_requests_of_a_close_go_first(self) -> None:
        """The disk's thread and theirs share one interpreter; it is written a moment later."""
        venue = FakeVenue(positions=[position(BTC, "2")])
        async with engine(venue, execution=guarded_by(REVERT)) as node:
            await node.armed()
            departures = node.dispatcher.actors[ACCOUNT].context.departures
            departures.announce(ACCOUNT, ["linear"])
            await locked(node)
            assert node.journal.calls["keep_guard"] == 0
            departures.left(ACCOUNT)
            await until(lambda: node.journal.calls["keep_guard"] > 0)

    async def test_what_a_close_has_proven_survives_a_restart_too(self) -> None:
        """Nothing was left alone: what was opened while the node was away goes."""
        venue = FakeVenue(positions=[position(BTC, "2")])
        async with engine(venue) as first:
            await locked(first)
            assert (await first.carried_out(Action.CLOSE_ALL))["verdict"] == "flat"
            await asyncio.sleep(0.1)
        again = FakeVenue(positions=[position(BTC, "2")])
        async with engine(again, journal=first.journal):
            await until(lambda: again.positions == [])

    async def test_neither_another_locks_baseline_nor_nonsense_is_taken_over(self) -> None:
        """Then the next read is the baseline."""
        venue = FakeVenue(positions=[position(BTC, "2")])
        async with engine(venue, execution=guarded_by(REVERT)) as node:
            await locked(node)
            guard = guard_of(node).guard
            for stored in (baseline_document(Baseline(since=datetime(2020, 1, 1, tzinfo=UTC)).taken(seen()), None), {}):
                guard.load(stored)
                assert not guard.document()["slices"][LINEAR]["baseline"]
            await until(lambda: guard.document()["slices"][LINEAR]["baseline"])
            assert [each.contracts for each in venue.positions] == [2]

    async def test_a_read_that_began_before_the_lock_is_no_baseline(self) -> None:
        """Nor one that began before a close was given up."""
        venue = FakeVenue(positions=[position(BTC, "2")])
        async with engine(venue, execution=guarded_by(REVERT)) as node:
            await node.armed()
            guard, view = guard_of(node).guard, guard_of(node).context.view
            before = await venue.read_slice(LINEAR)
            venue.reading.clear()
            await node.carried_out(Action.LOCK)
            view.note(before)
            assert not guard.document()["slices"][LINEAR]["baseline"]
            venue.reading.set()
            await until(lambda: guard.document()["slices"][LINEAR]["baseline"])
            before = await venue.read_slice(LINEAR)
            venue.reading.clear()
            guard.command_ended(Scope(), (LINEAR,), CommandState.FAILED, ())
            view.note(before)
            assert not guard.document()["slices"][LINEAR]["baseline"]
            venue.reading.set()

    async def test_what_one_read_alone_shows_is_not_closed(self) -> None:
        """The list of positions says that it is not there: the close would cut into the baseline."""
        lagging = LaggingVenue(positions=[position(BTC, "2")], look_every_s=0.01)
        venue: FakeVenue = lagging
        async with engine(venue, execution=guarded_by(REVERT)) as node:
            await locked(node)
            lagging.lag = Decimal(1)
            reads = venue.calls["read_slice:linear"]
            await until(lambda: venue.calls["read_slice:linear"] >= reads + 2)
            assert venue.calls["ClosePosition"] == 0
            venue.positions = [position(BTC, "3")]
            await until(lambda: venue.positions[0].contracts == 2)
            assert [step.contracts for step in venue.steps if isinstance(step, ClosePosition)] == [1]

    async def test_a_persons_word_counts_at_once_and_is_written_down_when_the_journal_is_back(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Long before the next look."""
        monkeypatch.setattr("node.engine.guard.KEEP_AGAIN_S", 0.05)
        venue = FakeVenue(positions=[position(BTC, "2")], look_every_s=600.0)
        async with engine(venue) as node:
            await locked(node)
            venue.positions = [position(BTC, "3")]
            node.journal.down = True
            guard_of(node).guard.set_mode(GuardMode.REVERT)
            await until(lambda: venue.positions[0].contracts == 2)
            await asyncio.sleep(0.1)
            node.journal.down = False
            await asyncio.sleep(0.2)
            assert (await node.journal.guards())[ACCOUNT]["override"] == "revert"

    async def test_a_look_that_never_ends_is_an_alert(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nothing has failed, and nothing is seen."""
        monkeypatch.setattr("node.engine.guard.INTERVAL_ALERT_S", 0.3)
        venue = FakeVenue()
        async with engine(venue) as node:
            await locked(node)
            venue.reading.clear()
            await until(
                lambda: any(each.startswith("GUARD_BLIND") for each in guard_of(node).guard.document()["alerts"])
            )
            venue.reading.set()

    async def test_a_persons_word_changes_the_mode_and_survives_a_restart(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Until the next one."""
        monkeypatch.setattr("node.engine.restraint.LATE_ARRIVAL_NS", 1_000_000)
        venue = FakeVenue(positions=[position(BTC, "2")])
        async with engine(venue, execution=guarded_by(REVERT)) as node:
            await locked(node)
            off = await node.desk.set_guard(ACCOUNT, GuardMode.OFF)
            assert (off["active"], off["durable"]) == (False, True)
            venue.positions = [position(BTC, "3")]
            await asyncio.sleep(0.4)
            assert venue.positions[0].contracts == 3
            await node.desk.set_guard(ACCOUNT, GuardMode.CANCEL)
        again = FakeVenue(positions=[position(BTC, "3")])
        async with engine(again, journal=node.journal, execution=guarded_by(REVERT)) as node:
            assert (await node.desk.set_guard(ACCOUNT, None))["after_lock"] == "revert"
            await until(lambda: again.positions[0].contracts == 2)

    async def test_an_order_of_unknown_outcome_is_not_repeated_before_it_can_no_longer_arrive(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Two closes of the excess would cut into the baseline."""
        monkeypatch.setattr("node.engine.restraint.LATE_ARRIVAL_NS", SECOND)
        monkeypatch.setattr("node.engine.restraint.SETTLED_NS", 0)
        venue = FakeVenue(positions=[position(BTC, "2")])
        async with engine(venue, execution=guarded_by(REVERT)) as node:
            await locked(node)
            venue.interfere = lambda step: ambiguous(step) if isinstance(step, ClosePosition) else None
            venue.positions = [position(BTC, "3")]
            await until(lambda: venue.calls["ClosePosition"] == 1)
            reads = venue.calls["read_slice:linear"]
            await until(lambda: venue.calls["read_slice:linear"] >= reads + 2)
            assert venue.calls["ClosePosition"] == 1
            await until(lambda: venue.calls["ClosePosition"] == 2)

    async def test_a_stream_wakes_it_at_once(self) -> None:
        """Long before the next look would have come."""
        venue = FakeVenue(positions=[position(BTC, "2")], streams=True, look_every_s=600.0)
        async with engine(venue) as node:
            await locked(node)
            venue.orders.append(order(BTC, "entry"))
            venue.changed.put_nowait(LINEAR)
            await until(lambda: venue.orders == [])

    async def test_somebody_elses_read_wakes_it_too(self) -> None:
        """The view reads positions every two seconds anyway."""
        venue = FakeVenue(positions=[position(BTC, "2")], look_every_s=600.0)
        async with engine(venue, execution=guarded_by(REVERT)) as node:
            await locked(node)
            venue.positions = [position(BTC, "3")]
            guard_of(node).context.view.note(await venue.read_positions(LINEAR))
            await until(lambda: venue.positions[0].contracts == 2)

    async def test_looks_that_are_too_rare_are_an_alert(self) -> None:
        """Only where no stream tells in between."""
        venue = FakeVenue(look_every_s=16.0)
        async with engine(venue) as node:
            await locked(node)
            document = guard_of(node).guard.document()
            assert document["interval_s"] == 16.0
            assert document["alerts"][0].startswith("GUARD_INTERVAL")
            venue.streams = True
            assert guard_of(node).guard.document()["alerts"] == []

    async def test_an_engine_that_opens_again_and_again_is_undone_ten_times_a_minute_and_then_spaced(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An alert, and no ping-pong for fees."""
        monkeypatch.setattr("node.engine.guard.LOOK_GAP_S", 0.001)
        venue = FakeVenue(positions=[], look_every_s=0.005)
        venue.markets[BTC] = rules(BTC)
        async with engine(venue) as node:
            await locked(node)
            for number in range(10):
                venue.orders.append(order(BTC, f"entry-{number}"))
                await until(lambda: venue.orders == [])
            await until(lambda: guard_of(node).guard.spaced)
            venue.orders.append(order(BTC, "entry-again"))
            await asyncio.sleep(0.2)
            assert len(venue.orders) == 1
            assert node.guarded[-1]["alert"] is True
            assert guard_of(node).guard.document()["alerts"][-1].startswith("GUARD_SPACED")
            assert node.guarded[-1]["interventions_last_minute"] == 10

    async def test_a_slice_that_cannot_be_read_keeps_nobody_from_the_others(self) -> None:
        """And is looked at again."""
        venue = FakeVenue(positions=[position(BTC, "2")])
        async with engine(venue) as node:
            await locked(node)
            venue.unreadable[SPOT] = VenueUnavailable("gone")
            venue.orders += [order(BTC, "entry"), order("ETH/USDT", "buy")]
            await until(lambda: [each for each in venue.orders if each.slice == LINEAR] == [])
            assert len(venue.orders) == 1
            venue.unreadable.clear()
            await until(lambda: venue.orders == [])

    async def test_nothing_is_proven_while_a_step_of_its_is_in_flight(self) -> None:
        """A command that comes meanwhile ends only on proofs that began after that step had ended."""
        venue = FakeVenue(positions=[position(BTC, "2")])
        async with engine(venue, execution=guarded_by(REVERT)) as node:
            await locked(node)
            venue.answering.clear()
            venue.orders.append(order(BTC, "entry"))
            await until(lambda: guard_of(node).guard.busy)
            held = venue.answering
            venue.answering = asyncio.Event()
            venue.answering.set()
            closing = await node.submit(Action.CLOSE_ALL)
            command_id = closing.document["command_id"]
            await until(lambda: venue.positions == [])
            await asyncio.sleep(0.2)
            assert guard_of(node).live, "the guard's cancel is still on its way"
            proofs = venue.calls["read_proof:linear"]
            held.set()
            document = await node.ending(command_id)
            assert venue.calls["read_proof:linear"] > proofs
            assert document["verdict"] == "flat"

    async def test_a_level_that_does_not_allow_it_is_told_and_nothing_is_tried(self) -> None:
        """Read-only: powerless. Cancel-only: what is opened stays, orders go."""
        venue = FakeVenue(positions=[position(BTC, "2")], look_every_s=0.01)
        async with engine(venue, permission=Permission.READ) as node:
            await node.armed()
            assert guard_of(node).guard.document()["alerts"] == []
            await node.carried_out(Action.LOCK)
            assert guard_of(node).guard.document()["alerts"] == ["GUARD_POWERLESS: the account's permission is read"]
            assert not guard_of(node).guard.active
        async with engine(venue, permission=Permission.CANCEL, execution=guarded_by(REVERT)) as node:
            await locked(node)
            venue.positions = [position(BTC, "3")]
            venue.orders.append(order(BTC, "entry"))
            await until(lambda: venue.orders == [])
            assert venue.calls["ClosePosition"] == 0
            assert guard_of(node).guard.active
            assert guard_of(node).guard.alerts() == ["GUARD_POWERLESS: the account's permission is cancel"]

    async def test_an_excess_too_small_to_be_closed_is_tried_three_times_and_left_until_it_grows(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The venue's minimum is held against the excess and not against the whole position."""
        monkeypatch.setattr("node.engine.guard.LOOK_GAP_S", 0.001)
        monkeypatch.setattr("node.engine.restraint.REFUSED_WAIT_NS", 10_000_000)
        venue = FakeVenue(positions=[position(BTC, "2")], look_every_s=0.01)
        venue.markets[BTC] = rules(BTC, quantity_min=Decimal("0.01"))
        venue.interfere = lambda step: (
            refused(step, Refusal.TOO_SMALL)
            if isinstance(step, ClosePosition) and step.contracts < Decimal("0.01")
            else None
        )
        async with engine(venue, execution=guarded_by(REVERT)) as node:
            await locked(node)
            venue.positions = [position(BTC, "2.005")]
            await until(lambda: venue.calls["ClosePosition"] == 3)
            await asyncio.sleep(0.2)
            assert venue.calls["ClosePosition"] == 3
            venue.positions = [position(BTC, "3")]
            await until(lambda: venue.positions[0].contracts == 2)

    async def test_an_excess_refused_for_its_quantity_is_cut_to_pieces(self) -> None:
        """However large the position is that it lies on top of."""
        venue = FakeVenue(positions=[position(BTC, "1600")], look_every_s=0.01)
        venue.interfere = lambda step: (
            refused(step, Refusal.QUANTITY) if isinstance(step, ClosePosition) and step.contracts > 30 else None
        )
        async with engine(venue, execution=guarded_by(REVERT)) as node:
            await locked(node)
            venue.positions = [position(BTC, "1650")]
            await until(lambda: venue.positions[0].contracts == 1600)

    async def test_a_look_at_positions_alone_leaves_the_slice_unread(self) -> None:
        """Nor does it take the orders that were known for gone."""
        venue = FakeVenue(positions=[position(BTC, "2")], look_every_s=0.01)
        stop = order(BTC, "stop", Side.SELL, reduce_only=True, trigger=True)
        venue.orders.append(stop)
        async with engine(venue) as node:
            await locked(node)
            venue.orders_unreadable = VenueUnavailable("the trigger book is away")
            venue.positions = [position(BTC, "3")]
            view = guard_of(node).context.view

            def looked() -> bool:
                last = view.last(LINEAR)
                return last is not None and [each.contracts for each in last.snapshot.positions] == [3]

            await until(looked)
            last = view.last(LINEAR)
            assert last is not None
            assert last.snapshot.orders == (stop,)
            assert LINEAR in view.unread()

    async def test_a_baseline_is_never_taken_from_a_doubtful_read(self) -> None:
        """A list that is empty by mistake would make everything excess."""
        venue = FakeVenue(positions=[position(BTC, "2")])
        async with engine(venue, execution=guarded_by(REVERT)) as node:
            await node.armed()
            venue.hiding = True
            await node.carried_out(Action.LOCK)
            await asyncio.sleep(0.3)
            assert not guard_of(node).guard.document()["slices"][LINEAR]["baseline"]
            venue.hiding = False
            await until(lambda: guard_of(node).guard.document()["slices"][LINEAR]["baseline"])
            assert [each.contracts for each in venue.positions] == [2]

    async def test_a_close_is_not_repeated_on_a_read_that_lags(self) -> None:
        """It was taken; a venue that still shows the old size must not cost a part of the baseline."""
        venue = FakeVenue(positions=[position(BTC, "2")], look_every_s=0.01)
        async with engine(venue, execution=guarded_by(REVERT)) as node:
            await locked(node)
            venue.interfere = lambda step: (
                StepResult(step=step, outcome=Outcome.DONE) if isinstance(step, ClosePosition) else None
            )
            venue.positions = [position(BTC, "3")]
            await until(lambda: venue.calls["ClosePosition"] == 1)
            await asyncio.sleep(1.0)
            assert venue.calls["ClosePosition"] == 1

    async def test_a_flood_of_orders_keeps_no_position_open(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Closes have a pace of their own, and each slice has its own."""
        monkeypatch.setattr("node.engine.guard.LOOK_GAP_S", 0.001)
        venue = FakeVenue(look_every_s=0.01)
        venue.markets[BTC] = rules(BTC)
        async with engine(venue) as node:
            await node.armed()
            assert (await node.carried_out(Action.CLOSE_ALL))["verdict"] == "flat"
            for number in range(10):
                venue.orders.append(order(BTC, f"entry-{number}"))
                await until(lambda: venue.orders == [])
            await until(lambda: guard_of(node).guard.spaced)
            venue.positions = [position(BTC, "1")]
            await until(lambda: venue.positions == [])

    async def test_positions_are_watched_although_the_orders_cannot_be_read(self) -> None:
        """And it is said aloud."""
        venue = FakeVenue(positions=[position(BTC, "2")])
        async with engine(venue, execution=guarded_by(REVERT)) as node:
            await locked(node)
            venue.orders_unreadable = VenueUnavailable("the trigger book is away")
            venue.positions = [position(BTC, "3")]
            await until(lambda: venue.positions[0].contracts == 2)
            alerts = guard_of(node).guard.document()["alerts"]
            assert any(each.startswith(f"GUARD_BLIND: {LINEAR}") for each in alerts)
            assert LINEAR in guard_of(node).context.view.troubles

    async def test_an_unlock_waits_for_a_step_of_its(self) -> None:
        """Or it would undo what the person does next."""
        venue = FakeVenue(positions=[position(BTC, "2")])
        async with engine(venue) as node:
            await locked(node)
            venue.answering.clear()
            venue.orders.append(order(BTC, "entry"))
            await until(lambda: guard_of(node).guard.busy)
            refused_unlock = await node.submit(Action.UNLOCK, epoch=1)
            assert refused_unlock.rejection is not None
            assert refused_unlock.rejection.code == "BUSY"
            venue.answering.set()

    async def test_excess_alone_does_not_make_it_look_again_and_again(self) -> None:
        """Under ``cancel`` nothing can be done about it."""
        venue = FakeVenue(positions=[position(BTC, "2")], look_every_s=600.0)
        async with engine(venue) as node:
            await locked(node)
            venue.positions = [position(BTC, "3")]
            reads = venue.calls["read_slice:linear"]
            for _ in range(4):
                guard_of(node).context.view.note(await venue.read_positions(LINEAR))
                await asyncio.sleep(0.3)
            assert venue.calls["read_slice:linear"] == reads


#: What a read and a step of a timed venue take.
READ_S, STEP_S = 0.05, 0.1
#: Sums of seconds are not exact.
TINY_S = 1e-6


class TimedVenue(FakeVenue):
    """Lives in the time of the loop; positions alone can be made unreadable, or old."""

    positions_unreadable: VenueError | None = None
    positions_from_ns: int | None = None
    whole_read_s = READ_S
    #: Awaited in the middle of each read of a kind.
    amid: Callable[[str], None] = staticmethod(lambda _what: None)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.step_takes_s = STEP_S
        for symbol in (BTC, ETH):
            self.markets[symbol] = rules(symbol)
        #: When each step left, in seconds of the loop.
        self.sent: list[tuple[float, Step]] = []
        #: When each whole read of the derivatives began that came to its end.
        self.looked_at_s: list[float] = []

    async def _read(self, what: str, name: str) -> SliceSnapshot:
        started_ns = LoopClock().monotonic_ns()
        await asyncio.sleep(READ_S if what == "positions" else self.whole_read_s)
        if (what, name) == ("slice", LINEAR):
            self.looked_at_s.append(started_ns / SECOND)
        if what == "positions" and self.positions_unreadable is not None:
            raise self.positions_unreadable
        if name == LINEAR:
            self.amid(what)
        if what == "positions" and self.positions_from_ns is not None:
            started_ns = self.positions_from_ns
        read = await super()._read(what, name)
        return replace(read, started_ns=started_ns, ended_ns=LoopClock().monotonic_ns())

    async def execute(self, step: Step, *, among: int = 1) -> StepResult:
        self.sent.append((asyncio.get_running_loop().time(), step))
        return await super().execute(step, among=among)

    def closes_s(self, symbol: str = BTC) -> list[float]:
        """When closes of a symbol left."""
        return [at_s for at_s, step in self.sent if isinstance(step, ClosePosition) and step.symbol == symbol]

    def cancels_s(self, order_id: str) -> list[float]:
        """When cancels of an order left."""
        return [at_s for at_s, step in self.sent if isinstance(step, CancelOrders) and order_id in step.order_ids]


class Post:
    """A guard by itself: its account is locked from the beginning."""

    def __init__(self, venue: TimedVenue, stored: Document | None = None, modes: GuardModes = REVERT) -> None:
        self.venue = venue
        self.goals: tuple[Scope, ...] = ()
        self.kept: list[Document] = []
        self.told: list[Document] = []
        self.lock = AccountLock(account_id=ACCOUNT).latch(by="me", reason=None, at=LoopClock().now())
        self.view = AccountView(venue, LoopClock(), nullcontext, number=0)
        links = GuardLinks(
            node_id="node-1",
            lock=lambda: self.lock,
            goals=lambda: self.goals,
            keep=self._keep,
            tell=self.told.append,
            idle=lambda: None,
            on_step=lambda _terms, _result: None,
            requests_first=Departures().reads_out,
        )
        terms = AccountTerms(
            account_id=ACCOUNT, name="a", owner="o", exchange="fake", permission=Permission.CLOSE,
            execution=guarded_by(modes), flatten=FlattenTerms(base_currency="USDT"),
        )  # fmt: skip
        self.guard = Guard(terms, venue, self.view, LoopClock(), links)
        self.guard.load(stored)

    async def _keep(self, document: Document) -> None:
        self.kept.append(json.loads(json.dumps(document)))

    @asynccontextmanager
    async def stood(self) -> AsyncIterator[None]:
        """While the guard runs; it has seen what was there at the lock."""
        running = asyncio.create_task(self.guard.run())
        try:
            await until(lambda: all(each["baseline"] for each in self.guard.document()["slices"].values()))
            yield
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running


def at_s() -> float:
    """The time of the loop."""
    return asyncio.get_running_loop().time()


async def kept_of(*positions: Position, modes: GuardModes = REVERT) -> Document:
    """What the guard of an earlier process has left in the journal."""
    post = Post(TimedVenue(positions=list(positions)), modes=modes)
    async with post.stood():
        await asyncio.sleep(1)
    return post.kept[-1]


LATE_S, SETTLED_S, SPACED_BY_S = LATE_ARRIVAL_NS / SECOND, SETTLED_NS / SECOND, SPACED_BY_NS / SECOND


class TestNames:
    unnamed = position("BTCUSDT", "2", market_id="BTCUSDT")

    def test_are_learnt_from_proofs_too(self) -> None:
        """What a close could not close is left alone also when it has lost its name."""
        after = Baseline().after_close(Scope(symbols=frozenset({BTC})), [seen(position(BTC, "2"))])
        assert after.excess(self.unnamed) == 0
        assert after.mode(GuardModes(after_lock=GuardMode.OFF), self.unnamed) is GuardMode.REVERT

    def test_that_are_learnt_later_leave_the_others(self) -> None:
        """In the same slice and elsewhere."""
        elsewhere = replace(seen(position(ETH, "3", slice="other")), slice="other")
        before = Baseline().taken(seen(position(BTC, "2")))
        for after in (
            before.after_close(Scope(symbols=frozenset({ETH})), [seen(position(ETH, "1"))]),
            before.taken(elsewhere),
        ):
            assert after.excess(self.unnamed) == 0


class TestRestart:
    @in_no_time
    async def test_a_leg_whose_market_has_lost_its_name_is_still_the_baselines(self) -> None:
        """The markets cannot be loaded any more: the operator's hedge goes by the venue's own name, and stays."""
        stored = await kept_of(position(BTC, "2", PositionSide.SHORT))
        venue = TimedVenue(positions=[position("BTCUSDT", "2", PositionSide.SHORT, market_id="BTCUSDT")])
        venue.markets.clear()
        async with Post(venue, stored).stood():
            await asyncio.sleep(3 * LATE_S)
            assert venue.steps == []
            venue.positions = [position("BTCUSDT", "3", PositionSide.SHORT, market_id="BTCUSDT")]
            await until(lambda: [each.contracts for each in venue.positions] == [2])
        assert [step.contracts for step in venue.steps if isinstance(step, ClosePosition)] == [1]

    @in_no_time
    async def test_a_name_that_is_lost_keeps_the_mode_of_what_was_closed(self) -> None:
        """Its scope is written in our names; an order on it goes, too, where only closed symbols are watched."""
        after_close = GuardModes(after_lock=GuardMode.OFF, after_close=GuardMode.REVERT)
        first = Post(TimedVenue(positions=[position(BTC, "2")]), modes=after_close)
        async with first.stood():
            first.guard.command_ended(Scope(symbols=frozenset({BTC})), (LINEAR,), CommandState.DONE, ())
            await asyncio.sleep(1)
        venue = TimedVenue(positions=[position("ETHUSDT", "1", market_id="ETHUSDT")])
        venue.markets.clear()
        async with Post(venue, first.kept[-1], after_close).stood():
            venue.orders.append(order("BTCUSDT", "entry", market_id="BTCUSDT", slice=LINEAR))
            venue.orders.append(order("ETHUSDT", "other", market_id="ETHUSDT", slice=LINEAR))
            await until(lambda: [each.order_id for each in venue.orders] == ["other"])
            await asyncio.sleep(1)
        assert [each.order_id for each in venue.orders] == ["other"]

    @in_no_time
    async def test_a_leg_of_the_baseline_is_left_alone_while_an_earlier_close_may_still_arrive(self) -> None:
        """The process died with the close under way: a second one would cut into the baseline."""
        stored = await kept_of(position(BTC, "2"))
        venue = TimedVenue(positions=[position(BTC, "3")])
        began_s = at_s()
        async with Post(venue, stored).stood():
            await asyncio.sleep(LATE_S - 1)
            assert venue.steps == []
            venue.positions = [position(BTC, "2")]  # it has arrived
            await asyncio.sleep(LATE_S)
            assert venue.steps == []
        again = TimedVenue(positions=[position(BTC, "3")])
        began_s = at_s()
        async with Post(again, stored).stood():
            await until(lambda: again.steps, within_s=20)
        assert LATE_S <= again.closes_s()[0] - began_s <= LATE_S + 1, "it has not, and now it cannot any more"

    @in_no_time
    async def test_the_guard_looks_when_the_earlier_close_can_no_longer_arrive(self) -> None:
        """However rare its looks are."""
        stored = await kept_of(position(BTC, "2"))
        venue = TimedVenue(positions=[position(BTC, "3")], look_every_s=600.0)
        began_s = at_s()
        async with Post(venue, stored).stood():
            await asyncio.sleep(LATE_S + 1)
        assert LATE_S <= venue.closes_s()[0] - began_s <= LATE_S + 1

    @in_no_time
    async def test_what_the_baseline_does_not_know_at_all_is_closed_at_once(self) -> None:
        """No close of it cuts into anything; nor do orders wait."""
        stored = await kept_of(position(BTC, "2"))
        venue = TimedVenue(positions=[position(BTC, "2"), position(ETH, "1")], orders=[order(BTC, "entry")])
        began_s = at_s()
        async with Post(venue, stored).stood():
            await asyncio.sleep(1)
        assert [each.symbol for each in venue.positions] == [BTC]
        assert max(venue.closes_s(ETH) + venue.cancels_s("entry")) - began_s < 0.5

    @in_no_time
    async def test_nothing_is_waited_for_where_there_was_no_earlier_process(self) -> None:
        """It is this process's own baseline."""
        venue = TimedVenue(positions=[position(BTC, "2")])
        post = Post(venue)
        async with post.stood():
            venue.positions = [position(BTC, "3")]
            await asyncio.sleep(1)
        assert [each.contracts for each in venue.positions] == [2]


class TestInterruptedClose:
    @in_no_time
    async def test_is_not_sent_again_before_it_can_no_longer_arrive(self) -> None:
        """The guard is cancelled, or falls, with the close on its way, and begins anew."""
        venue = TimedVenue(positions=[position(BTC, "2")])
        post = Post(venue)
        async with post.stood():
            venue.answering.clear()
            venue.positions = [position(BTC, "3")]
            await until(lambda: venue.steps)
        assert not post.guard.busy, "nobody waits for it any more"
        venue.answering.set()
        async with post.stood():
            venue.positions = [*venue.positions, position(ETH, "1")]
            await asyncio.sleep(LATE_S - 1)
            assert [len(venue.closes_s(BTC)), len(venue.closes_s(ETH))] == [1, 1], "others are closed"
            await asyncio.sleep(2)
        first_s, second_s = venue.closes_s(BTC)
        assert LATE_S <= second_s - first_s <= LATE_S + 1
        assert [each.contracts for each in venue.positions] == [2]

    @in_no_time
    async def test_does_not_keep_a_cancel_from_being_sent_again(self) -> None:
        """Two of them do no harm."""
        venue = TimedVenue()
        post = Post(venue)
        async with post.stood():
            venue.answering.clear()
            venue.orders.append(order(BTC, "entry"))
            await until(lambda: venue.steps)
        venue.answering.set()
        async with post.stood():
            await asyncio.sleep(1)
        assert (len(venue.cancels_s("entry")), venue.orders) == (2, [])

    @in_no_time
    async def test_makes_reads_from_before_its_end_old(self) -> None:
        """A command must not end on them either."""
        venue = TimedVenue(positions=[position(BTC, "2")])
        post = Post(venue)
        async with post.stood():
            venue.answering.clear()
            venue.positions = [position(BTC, "3")]
            await until(lambda: venue.steps)
            await asyncio.sleep(1)
            ended_s = at_s()
        assert post.guard.last_step_ended_ns == round(ended_s * SECOND)


class TestRefusals:
    def refusing(self, *symbols: str, refusal: Refusal = Refusal.MARKET_CLOSED, kind: type[Step]) -> TimedVenue:
        """A venue that refuses all steps of a kind on these."""
        venue = TimedVenue()
        venue.interfere = lambda step: (
            refused(step, refusal) if isinstance(step, kind) and step.symbol in symbols else None
        )
        return venue

    @pytest.mark.parametrize("kind", [ClosePosition, CancelOrders])
    def test_wait_by_themselves_ever_longer(self, kind: type[Step]) -> None:
        """A leg that cannot be closed, and an order that the venue does not know but lists: doubled each time."""

        @in_no_time
        async def watch() -> None:
            venue = self.refusing(BTC, refusal=Refusal.UNKNOWN_ORDER, kind=kind)
            async with Post(venue).stood():
                venue.positions, venue.orders = [position(BTC, "1")], [order(BTC, "ghost")]
                await asyncio.sleep(200)
            tried_s = venue.closes_s() if kind is ClosePosition else venue.cancels_s("ghost")
            gaps = [later - earlier for earlier, later in pairwise(tried_s)]
            # Each lasts from the end of the step to a look after it.
            longest_s = REFUSED_WAIT_MAX_NS / SECOND
            for number, gap_s in enumerate(gaps):
                waited_s = min(REFUSED_WAIT_NS / SECOND * 2**number, longest_s)
                assert waited_s - TINY_S < gap_s - STEP_S < waited_s + 0.6
            assert gaps[-1] > longest_s, "and no longer than that"

        watch()

    @pytest.mark.parametrize("kind", [ClosePosition, CancelOrders])
    def test_neither_slow_down_the_others_nor_use_up_the_pace(self, kind: type[Step]) -> None:
        """Another leg and another order go at the next look, also when the first has been refused for long."""

        @in_no_time
        async def watch() -> None:
            venue = self.refusing(BTC, kind=kind)
            post = Post(venue)
            async with post.stood():
                venue.positions, venue.orders = [position(BTC, "1")], [order(BTC, "ghost")]
                await asyncio.sleep(100)
                venue.positions = [*venue.positions, position(ETH, "50")]
                venue.orders = [*venue.orders, order(ETH, "entry")]
                began_s = at_s()
                await asyncio.sleep(2)
                assert not post.guard.spaced
                assert max(venue.closes_s(ETH)[0], venue.cancels_s("entry")[0]) - began_s < 0.75

        watch()

    @in_no_time
    async def test_of_many_at_once_are_no_interventions_that_count(self) -> None:
        """Nothing was done, and nothing was paid for it."""
        venue = self.refusing(BTC, ETH, kind=ClosePosition)
        post = Post(venue)
        async with post.stood():
            venue.positions = [position(BTC, "1"), position(ETH, "1")]
            await until(lambda: len(venue.steps) >= 6)
            assert post.guard.document()["interventions_last_minute"] == 0
            assert post.guard.interventions >= 3, "but they are told"

    @in_no_time
    async def test_are_forgotten_when_a_step_is_taken(self) -> None:
        """The next refusal waits shortly again."""
        venue = self.refusing(BTC, kind=ClosePosition)
        refusing = venue.interfere
        async with Post(venue).stood():
            venue.positions = [position(BTC, "1")]
            await until(lambda: len(venue.closes_s()) == 6, within_s=20)
            venue.interfere = lambda _step: None
            await until(lambda: venue.positions == [], within_s=20)
            await asyncio.sleep(SETTLED_S)
            venue.interfere, taken = refusing, len(venue.steps)
            venue.positions = [position(BTC, "1")]
            await until(lambda: len(venue.closes_s()) == taken + 2)
            first_s, second_s = venue.closes_s()[-2:]
        assert second_s - first_s < 1

    @in_no_time
    async def test_end_with_their_waiting_although_looks_are_rare(self) -> None:
        """The guard does not sleep through it."""
        venue = self.refusing(BTC, kind=ClosePosition)
        venue.look_every_s = 600.0
        post = Post(venue)
        async with post.stood():
            venue.positions = [position(BTC, "1")]
            post.guard.wake()
            await asyncio.sleep(5)
        assert len(venue.closes_s()) == 5

    @in_no_time
    async def test_make_nobody_look_at_another_slice(self) -> None:
        """Each costs requests."""
        venue = self.refusing("ETH/USDT", kind=CancelOrders)
        venue.look_every_s = 600.0
        post = Post(venue)
        async with post.stood():
            venue.orders = [order("ETH/USDT", "ghost")]
            post.guard.wake()
            await asyncio.sleep(20)
            assert len(venue.cancels_s("ghost")) > 5
            post.guard.wake()
            await asyncio.sleep(40)
        assert len(venue.looked_at_s) == 3

    @in_no_time
    async def test_of_one_part_of_a_leg_do_not_hide_that_the_other_was_taken(self) -> None:
        """It waits until that shows, as every close that was taken."""
        venue = TimedVenue()
        part = iter([True])
        venue.interfere = lambda step: (
            refused(step, Refusal.OVERLOADED) if isinstance(step, ClosePosition) and next(part, False) else None
        )
        async with Post(venue).stood():
            venue.positions = [position(BTC, "150")]
            await until(lambda: venue.positions == [])
        first_s, _, last_s = venue.closes_s()
        assert last_s - first_s >= SETTLED_S

    @pytest.mark.parametrize("unclear", [0, 1])
    def test_and_unclear_parts_of_a_leg_wait_as_long_as_the_least_clear_one(self, unclear: int) -> None:
        """Whichever of them that is: it may still arrive."""

        @in_no_time
        async def close() -> None:
            venue, number = TimedVenue(), count()
            venue.interfere = lambda step: (
                ambiguous(step) if isinstance(step, ClosePosition) and next(number) == unclear else None
            )
            async with Post(venue).stood():
                venue.positions = [position(BTC, "200")]
                await until(lambda: venue.positions == [], within_s=20)
            first_s, _, last_s = venue.closes_s()
            assert last_s - first_s >= LATE_S

        close()


class TestConfirmation:
    @in_no_time
    async def test_that_fails_holds_up_no_cancel_and_is_visible(self) -> None:
        """Nothing is closed on one read alone; that positions cannot be read is said."""
        venue = TimedVenue()
        post = Post(venue)
        async with post.stood():
            venue.positions_unreadable = VenueUnavailable("positions are away")
            venue.positions, venue.orders = [position(BTC, "1")], [order(BTC, "entry")]
            await until(lambda: venue.orders == [])
            assert venue.closes_s() == []
            await until(lambda: LINEAR in post.view.troubles)
            assert post.view.unread() == [LINEAR]
            venue.positions_unreadable = None
            await until(lambda: venue.positions == [])

    @in_no_time
    async def test_that_fails_is_made_up_for_by_the_next_read_of_positions(self) -> None:
        """Whoever makes it: then the slice is read again, and what exceeds the baseline is closed."""
        venue = TimedVenue(look_every_s=600.0)
        post = Post(venue)
        async with post.stood():
            venue.positions_unreadable = VenueUnavailable("positions are away")
            venue.positions = [position(BTC, "1")]
            post.guard.wake()
            await until(lambda: LINEAR in post.view.troubles)
            await asyncio.sleep(5)
            assert post.view.unread() == [LINEAR]
            venue.positions_unreadable = None
            post.view.note(await venue.read_positions(LINEAR))
            assert post.view.unread() == []
            await until(lambda: venue.positions == [])

    @in_no_time
    async def test_by_a_read_from_before_the_last_step_is_none(self) -> None:
        """It may show what that step has closed."""
        venue = TimedVenue()
        post = Post(venue)
        async with post.stood():
            venue.orders = [order(BTC, "entry")]
            await until(lambda: venue.orders == [])
            await asyncio.sleep(1)
            venue.positions_from_ns = post.guard.last_step_ended_ns
            venue.positions = [position(BTC, "1")]
            await asyncio.sleep(2)
            assert venue.closes_s() == []
            venue.positions_from_ns = post.guard.last_step_ended_ns + 1
            await until(lambda: venue.positions == [])

    @in_no_time
    async def test_of_a_look_from_before_the_lock_is_none(self) -> None:
        """The account was unlocked and locked again meanwhile: what is there now is the new baseline."""
        venue = TimedVenue(positions=[position(BTC, "2")])
        post = Post(venue)

        def lock_again(what: str) -> None:
            if what == "positions":
                venue.amid = lambda _what: None
                post.lock = post.lock.unlock(post.lock.epoch, by="me", reason=None, at=LoopClock().now())
                post.guard.lock_changed(post.lock)
                post.lock = post.lock.latch(by="me", reason=None, at=LoopClock().now() + timedelta(seconds=1))
                post.guard.lock_changed(post.lock)

        async with post.stood():
            venue.amid = lock_again
            venue.positions, venue.orders = [position(BTC, "3")], [order(BTC, "entry")]
            await until(lambda: post.lock.epoch == 3)
            discarded_s = venue.looked_at_s[-1]
            await until(lambda: venue.orders == [])
            await asyncio.sleep(1)
        assert venue.closes_s() == []
        (cancelled_s,) = venue.cancels_s("entry")
        assert discarded_s < venue.looked_at_s[-1]
        assert any(discarded_s < looked_s < cancelled_s for looked_s in venue.looked_at_s), "by a look of its own"

    @in_no_time
    async def test_does_not_hurry_a_step_into_an_account_that_was_unlocked_meanwhile(self) -> None:
        """What the look has shown is nobody's business any more."""
        venue = TimedVenue()
        post = Post(venue)

        def unlock(_what: str) -> None:
            post.lock = post.lock.unlock(post.lock.epoch, by="me", reason=None, at=LoopClock().now())

        async with post.stood():
            venue.amid = unlock
            venue.orders = [order(BTC, "entry")]
            await asyncio.sleep(2)
        assert venue.steps == []

    @in_no_time
    async def test_that_does_not_show_a_leg_at_all_closes_nothing_of_it(self) -> None:
        """And everything else goes on at once."""
        venue = TimedVenue()

        def hide(what: str) -> None:
            venue.positions = [] if what == "positions" else [position(BTC, "1")]

        async with Post(venue).stood():
            venue.amid, began_s = hide, at_s()
            venue.orders = [order(BTC, "entry")]
            await asyncio.sleep(2)
        assert venue.closes_s() == []
        assert venue.cancels_s("entry")[0] - began_s < 0.5

    @in_no_time
    async def test_closes_the_smaller_of_two_sizes(self) -> None:
        """Neither read can be trusted alone."""
        venue = TimedVenue()
        async with Post(venue).stood():
            sizes = {"slice": "3", "positions": "1"}
            venue.positions = [position(BTC, "3")]

            def change(what: str) -> None:
                venue.positions = [position(BTC, sizes[what])] if not venue.sent else venue.positions

            venue.amid = change
            await until(lambda: venue.sent)
        assert [step.contracts for step in venue.steps if isinstance(step, ClosePosition)] == [1]


class TestBesideACommand:
    @in_no_time
    async def test_the_rest_of_the_account_is_watched(self) -> None:
        """A command on some symbols may be stuck for hours; its own symbols are left to it."""
        venue = TimedVenue()
        post = Post(venue)
        async with post.stood():
            post.goals = (Scope(symbols=frozenset({BTC})),)
            assert post.guard.active
            venue.positions = [position(BTC, "1"), position(ETH, "50")]
            venue.orders = [order(BTC, "its-own"), order(ETH, "entry")]
            await until(lambda: len(venue.positions) == len(venue.orders) == 1)
            await asyncio.sleep(5)
            assert [each.symbol for each in venue.positions] == [BTC]
            assert [each.order_id for each in venue.orders] == ["its-own"]
            post.goals = ()
            post.guard.wake()
            await until(lambda: (venue.positions, venue.orders) == ([], []))

    @in_no_time
    async def test_on_everything_nothing_is(self) -> None:
        """It plans by itself; nor is the slice read for the guard."""
        venue = TimedVenue()
        post = Post(venue)
        async with post.stood():
            post.goals = (Scope(symbols=frozenset({BTC})), Scope())
            await asyncio.sleep(1)
            looked = len(venue.looked_at_s)
            venue.positions, venue.orders = [position(ETH, "50")], [order(ETH, "entry")]
            await asyncio.sleep(5)
            assert (venue.steps, len(venue.looked_at_s)) == ([], looked)
            assert (post.guard.active, post.guard.alerts()) == (False, [])

    @in_no_time
    async def test_that_is_over_leaves_no_alert_for_what_failed_before_it(self) -> None:
        """It was told, and is to be seen anew."""
        venue = TimedVenue()
        post = Post(venue)
        async with post.stood():
            venue.unreadable[LINEAR] = VenueUnavailable("gone")
            await until(lambda: bool(post.guard.alerts()))
            post.goals = (Scope(),)
            await asyncio.sleep(1)
            venue.unreadable.clear()
            post.goals = ()
            assert post.guard.alerts() == []

    @in_no_time
    async def test_that_is_over_leaves_no_alert_for_the_time_it_took(self) -> None:
        """There was nothing to look for."""
        venue = TimedVenue()
        post = Post(venue)
        async with post.stood():
            post.goals = (Scope(),)
            await asyncio.sleep(3600)
            post.goals = ()
            post.guard.wake()
            await asyncio.sleep(READ_S / 2)
            assert post.guard.alerts() == []
            await asyncio.sleep(2 * READ_S)
            assert post.guard.document()["slices"][LINEAR]["measured_s"] < 1

    @in_no_time
    async def test_somebody_elses_read_of_its_symbols_wakes_nobody(self) -> None:
        """The command reads all the time."""
        venue = TimedVenue(look_every_s=600.0)
        post = Post(venue)
        async with post.stood():
            await asyncio.sleep(1)
            post.goals = (Scope(symbols=frozenset({BTC})),)
            venue.positions, looked = [position(BTC, "1")], len(venue.looked_at_s)
            post.view.note(await venue.read_positions(LINEAR))
            await asyncio.sleep(5)
            assert len(venue.looked_at_s) == looked
            venue.positions.append(position(ETH, "1"))
            post.view.note(await venue.read_positions(LINEAR))
            await until(lambda: [each.symbol for each in venue.positions] == [BTC])


class TestLooks:
    @in_no_time
    async def test_are_never_closer_than_the_gap_whatever_wakes_the_guard(self) -> None:
        """A stream may tell of a thousand orders a second; what it tells meanwhile is not lost."""
        venue = TimedVenue(streams=True, look_every_s=600.0)
        async with Post(venue).stood():
            await asyncio.sleep(1)
            venue.looked_at_s.clear()
            for _ in range(200):
                venue.changed.put_nowait(LINEAR)
                await asyncio.sleep(0.01)
            await asyncio.sleep(1)
        gaps = [later - earlier for earlier, later in pairwise(venue.looked_at_s)]
        assert min(gaps) > LOOK_GAP_S + READ_S - TINY_S
        assert 5 <= len(gaps) <= 2 / LOOK_GAP_S
        assert venue.looked_at_s[-1] > venue.looked_at_s[0] + 2 - LOOK_GAP_S - READ_S

    @in_no_time
    async def test_come_when_something_happens_during_one(self) -> None:
        """The one under way may have passed it by."""
        venue = TimedVenue(streams=True, look_every_s=600.0)
        async with Post(venue).stood():
            await asyncio.sleep(1)

            def place(_what: str) -> None:
                asyncio.get_running_loop().call_later(0.01, venue.orders.append, order(BTC, "entry"))
                venue.changed.put_nowait(LINEAR)
                venue.amid = lambda _what: None

            venue.amid = place
            venue.changed.put_nowait(LINEAR)
            await until(lambda: venue.cancels_s("entry"))
            looked_s = venue.looked_at_s[-2:]
        assert looked_s[1] - looked_s[0] < 1

    @in_no_time
    async def test_wait_as_long_as_the_venue_says(self) -> None:
        """It counts requests, and has had enough of them."""
        venue = TimedVenue()
        post = Post(venue)
        async with post.stood():
            await asyncio.sleep(1)
            venue.unreadable[LINEAR] = VenueLimited("enough", retry_after_s=20.0)
            looked = len(venue.looked_at_s)
            await asyncio.sleep(19)
            assert len(venue.looked_at_s) == looked + 1
            assert list(post.view.troubles) == [LINEAR]
            venue.unreadable.clear()
            await asyncio.sleep(2)
            assert len(venue.looked_at_s) > looked + 1

    @in_no_time
    async def test_that_fall_over_our_own_fault_are_made_again(self) -> None:
        """An account must not stay unwatched for that; but it is not tried ten times a second."""
        venue = TimedVenue()

        def fall(_what: str) -> None:
            venue.amid = lambda _what: None
            raise RuntimeError("ours")

        async with Post(venue).stood():
            venue.amid, began_s = fall, at_s()
            venue.orders = [order(BTC, "entry")]
            await until(lambda: venue.steps, within_s=20)
        assert INTERVAL_ALERT_S <= venue.cancels_s("entry")[0] - began_s < INTERVAL_ALERT_S + 1

    @in_no_time
    async def test_begin_with_positions_alone_and_at_once(self) -> None:
        """What is opened before the baseline is there counts as having been there: whole reads wait for a budget."""
        venue = TimedVenue(positions=[position(BTC, "2")])
        venue.whole_read_s = 30.0
        post = Post(venue)
        running = asyncio.create_task(post.guard.run())
        await asyncio.sleep(1)
        assert post.guard.document()["slices"][LINEAR]["baseline"]
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running

    @in_no_time
    async def test_of_its_own_tell_the_guard_nothing_new(self) -> None:
        """One that is not confirmed would make it look again, and again."""
        venue = TimedVenue(look_every_s=600.0)
        post = Post(venue)

        def hide(what: str) -> None:
            venue.positions = [] if what == "positions" else [position(BTC, "1")]

        async with post.stood():
            venue.amid = hide
            post.guard.wake()
            await asyncio.sleep(60)
        assert len(venue.looked_at_s) == 2


class TestSpacing:
    @in_no_time
    async def test_of_closes_makes_somebody_elses_reads_wake_nobody(self) -> None:
        """Nothing could be done about what they show."""
        venue = TimedVenue(look_every_s=600.0)
        post = Post(venue)
        async with post.stood():
            for _ in range(10):
                venue.positions = [position(BTC, "1")]
                post.guard.wake()
                await until(lambda: venue.positions == [])
                await asyncio.sleep(SETTLED_S + 1)
            assert post.guard.spaced
            venue.positions = [position(BTC, "1")]
            post.guard.wake()
            await asyncio.sleep(1)
            looked = len(venue.looked_at_s)
            for _ in range(5):
                post.view.note(await venue.read_positions(LINEAR))
                await asyncio.sleep(2)
            assert (len(venue.looked_at_s), len(venue.positions)) == (looked, 1)
            await until(lambda: venue.positions == [], within_s=30)

    @in_no_time
    async def test_goes_on_as_soon_as_the_pace_allows_it_and_no_sooner(self) -> None:
        """However rare looks are; a close is not held up by cancels that are."""
        venue = TimedVenue(look_every_s=600.0)
        post = Post(venue)
        async with post.stood():
            for number in range(10):
                venue.orders = [order(BTC, f"entry-{number}")]
                post.guard.wake()
                await until(lambda: venue.orders == [])
            assert post.guard.spaced
            venue.orders, venue.positions = [order(BTC, "last")], [position(BTC, "1")]
            post.guard.wake()
            await until(lambda: venue.positions == [])
            await asyncio.sleep(SETTLED_S + 1)
            assert len(venue.orders) == 1
            looked = len(venue.looked_at_s)
            await until(lambda: venue.orders == [], within_s=60)
            assert len(venue.looked_at_s) == looked + 1, "nobody looks all the time for that"
        (last_s,), (before_s,) = venue.cancels_s("last"), venue.cancels_s("entry-9")
        assert SPACED_BY_S <= last_s - (before_s + STEP_S) < SPACED_BY_S + 1

    @in_no_time
    async def test_of_cancels_does_not_keep_a_refused_close_waiting(self) -> None:
        """It is tried again when its own waiting is over."""
        venue = TimedVenue(look_every_s=600.0)
        venue.interfere = lambda step: refused(step, Refusal.OVERLOADED) if isinstance(step, ClosePosition) else None
        post = Post(venue)
        async with post.stood():
            for number in range(10):
                venue.orders = [order(BTC, f"entry-{number}")]
                post.guard.wake()
                await until(lambda: venue.orders == [])
            venue.orders, venue.positions = [order(BTC, "last")], [position(BTC, "1")]
            post.guard.wake()
            await asyncio.sleep(5)
            assert len(venue.closes_s()) == 5
            assert len(venue.orders) == 1

    @in_no_time
    async def test_counts_what_one_look_has_undone_once(self) -> None:
        """A hundred orders at once are one intervention; orders and positions are counted apart."""
        venue = TimedVenue()
        post = Post(venue)
        async with post.stood():
            venue.orders = [order(symbol, f"{symbol}-{number}") for symbol in (BTC, ETH) for number in range(50)]
            venue.positions = [position(BTC, "1"), position(ETH, "1")]
            await until(lambda: (venue.orders, venue.positions) == ([], []))
            assert post.guard.document()["interventions_last_minute"] == 2
            assert post.guard.interventions == 1


class TestRecord:
    @pytest.mark.parametrize("closing", [False, True])
    @in_no_time
    async def test_what_the_slices_of_a_close_bring_is_kept_with_one_write(self, closing: bool) -> None:
        """Their proofs leave in the same moment, and go first; otherwise what is new is kept at once."""
        post = Post(TimedVenue(positions=[position(BTC, "1")]))
        async with post.stood():
            await asyncio.sleep(1)
            post.goals = (Scope(),) if closing else ()
            written = len(post.kept)
            for mode in (GuardMode.OFF, GuardMode.CANCEL, GuardMode.REVERT):
                post.guard.set_mode(mode)
                await asyncio.sleep(KEEP_TOGETHER_S / 4)
            assert len(post.kept) - written == (0 if closing else 3)
            assert await post.guard.kept(within_s=KEEP_TOGETHER_S)
            assert len(post.kept) - written == (1 if closing else 3)


class TestIds:
    @in_no_time
    async def test_of_closes_are_never_used_twice(self) -> None:
        """Or the venue would take the second close of a leg for the first, and refuse it."""
        venue = TimedVenue()
        post = Post(venue)
        async with post.stood():
            for _ in range(3):
                venue.positions = [position(BTC, "1")]
                await until(lambda: venue.positions == [])
                await asyncio.sleep(SETTLED_S)
        again = TimedVenue(positions=[position(BTC, "1")])
        async with Post(again, post.kept[-1]).stood():
            await until(lambda: again.positions == [])
        steps = [*venue.steps, *again.steps]
        assert len({step.client_order_id for step in steps if isinstance(step, ClosePosition)}) == len(steps) == 4
