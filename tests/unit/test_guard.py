"""What the guard of a locked account undoes, what it leaves alone, and how it slows down."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest

from node.domain.command import Action, CommandState
from node.domain.guard import Baseline, Pace, adds_exposure, baseline_document, baseline_from, plan_guard
from node.domain.guard_mode import GuardMode, GuardModes
from node.domain.permission import Permission
from node.domain.plan import LegMemory, Scope
from node.domain.snapshot import Balance, MarketKind, OpenOrder, Position, PositionSide, Side, SliceSnapshot
from node.domain.steps import CancelOrders, ClosePosition, OrderIds, Outcome, Refusal, Step, StepResult
from node.engine.account import ExecutionTerms
from node.engine.actor import AccountActor
from node.errors import VenueUnavailable
from tests.support.engine import ACCOUNT, Engine, engine
from tests.support.fake_venue import LINEAR, SPOT, FakeVenue, ambiguous, order, position, refused, rules

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


def closes(steps: list[Step]) -> dict[tuple[str, PositionSide], Decimal]:
    """Contracts closed, by leg."""
    found: dict[tuple[str, PositionSide], Decimal] = {}
    for step in steps:
        if isinstance(step, ClosePosition):
            found[step.symbol, step.side] = found.get((step.symbol, step.side), Decimal(0)) + step.contracts
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
        assert closes(planned(seen(position(BTC, "3")), baseline)) == {(BTC, PositionSide.LONG): Decimal(1)}

    def test_a_position_that_was_turned_round_is_all_excess(self) -> None:
        """The other side was not there."""
        baseline = Baseline().taken(seen(position(BTC, "2")))
        turned = position(BTC, "1", PositionSide.SHORT)
        assert closes(planned(seen(turned), baseline)) == {(BTC, PositionSide.SHORT): Decimal(1)}

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
            memory={(BTC, PositionSide.LONG): LegMemory(too_small=3, too_small_contracts=Decimal(1))},
            max_slippage=Decimal("0.05"),
        )
        assert plan.steps == ()

    def test_what_was_learnt_of_a_leg_counts_for_the_guards_closes_too(self) -> None:
        """A price limit where the venue refused a market order."""
        memory = {(BTC, PositionSide.LONG): LegMemory(price_level=1)}
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


async def until(true: Callable[[], bool]) -> None:
    """Wait, at most some seconds."""
    async with asyncio.timeout(5):
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
        monkeypatch.setattr("node.engine.guard.LATE_ARRIVAL_NS", 1_000_000)
        venue = FakeVenue(positions=[position(BTC, "2")])
        async with engine(venue, execution=guarded_by(REVERT)) as first:
            await locked(first)
            await until(lambda: first.journal.calls["keep_guard"] > 1)
        again = FakeVenue(positions=[position(BTC, "3")])
        async with engine(again, journal=first.journal, execution=guarded_by(REVERT)):
            await until(lambda: again.positions[0].contracts == 2)

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
        monkeypatch.setattr("node.engine.guard.LATE_ARRIVAL_NS", 1_000_000)
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
        monkeypatch.setattr("node.engine.guard.LATE_ARRIVAL_NS", SECOND)
        monkeypatch.setattr("node.engine.guard.SETTLED_NS", 0)
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

    async def test_an_excess_too_small_to_be_closed_is_tried_three_times_and_left_until_it_grows(self) -> None:
        """The venue's minimum is held against the excess and not against the whole position."""
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
            await asyncio.sleep(1.2)
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

    async def test_a_flood_of_orders_keeps_no_position_open(self) -> None:
        """Closes have a pace of their own, and each slice has its own."""
        venue = FakeVenue(look_every_s=0.01)
        venue.markets[BTC] = rules(BTC)
        async with engine(venue) as node:
            await node.armed()
            assert (await node.carried_out(Action.CLOSE_ALL))["verdict"] == "flat"
            for number in range(10):
                venue.orders.append(order(BTC, f"entry-{number}"))
                await until(lambda: venue.orders == [])
            assert guard_of(node).guard.spaced
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
