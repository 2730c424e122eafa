"""What is planned for one slice: which orders go at once, which stay, and how positions are closed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from node.domain.plan import LegMemory, Plan, Scope, is_residue, learn, plan_slice, protection_price, round_to, split
from node.domain.snapshot import MarketRules, OpenOrder, Position, PositionKey, PositionSide, Side, SliceSnapshot
from node.domain.steps import CancelOrders, CancelSymbol, ClosePosition, OrderIds, Refusal
from tests.support.fake_venue import LINEAR, order, position, refused, rules

BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"
LONG, SHORT = PositionSide.LONG, PositionSide.SHORT
IDS = OrderIds(command_id=UUID(int=1), account_id=UUID(int=2), attempt=0, round=1)


def seen(*members: Position | OpenOrder) -> SliceSnapshot:
    """A snapshot with these positions and orders."""
    return SliceSnapshot(
        slice=LINEAR,
        positions=tuple(each for each in members if isinstance(each, Position)),
        orders=tuple(each for each in members if isinstance(each, OpenOrder)),
        balances=(),
        started_ns=1,
        ended_ns=2,
        read_at=datetime(2026, 11, 20, tzinfo=UTC),
    )


def plan(
    *members: Position | OpenOrder,
    memory: Mapping[PositionKey, LegMemory] | None = None,
    markets: Mapping[str, MarketRules] | None = None,
    symbols: frozenset[str] | None = None,
    fresh: bool = True,
) -> Plan:
    """The plan for a snapshot of these members."""
    known = {each.symbol: rules(each.symbol) for each in members}
    return plan_slice(
        seen(*members),
        Scope(symbols=symbols),
        known if markets is None else markets,
        ids=IDS,
        memory=memory or {},
        max_slippage=Decimal("0.05"),
        fresh=fresh,
    )


def closes(planned: Plan) -> list[ClosePosition]:
    """The planned closes."""
    return [step for step in planned.steps if isinstance(step, ClosePosition)]


def cancelled(planned: Plan) -> set[str]:
    """The orders that the plan names."""
    return {each for step in planned.steps if isinstance(step, CancelOrders) for each in step.order_ids}


def swept(planned: Plan) -> set[tuple[str, bool]]:
    """The books that the plan sweeps, with their symbols."""
    return {(step.symbol, step.trigger) for step in planned.steps if isinstance(step, CancelSymbol)}


def stop(symbol: str = BTC, order_id: str = "stop", **changes: Any) -> OpenOrder:
    """A reduce-only trigger order against a long."""
    return order(symbol, order_id, **{"side": Side.SELL, "reduce_only": True, "trigger": True, **changes})


class TestOrders:
    def test_entry_orders_go_at_once_and_beside_the_close(self) -> None:
        """They are in a chain of their own: neither waits for the other."""
        planned = plan(position(BTC, "1"), order(BTC, "entry"), order(BTC, "entry-trigger", trigger=True))
        assert cancelled(planned) == {"entry", "entry-trigger"}
        assert len(closes(planned)) == 1
        assert [len(chain) for chain in planned.chains] == [1, 1]

    def test_orders_of_different_books_are_cancelled_by_different_steps(self) -> None:
        """The books of resting and of trigger orders have their own calls."""
        planned = plan(position(BTC, "1"), order(BTC, "a"), order(BTC, "b"), order(BTC, "c", trigger=True))
        steps = [step for step in planned.steps if isinstance(step, CancelOrders)]
        assert {(step.trigger, step.order_ids) for step in steps} == {(False, ("a", "b")), (True, ("c",))}

    def test_protective_orders_stay_while_their_position_is_there(self) -> None:
        """The position keeps its stop whatever becomes of the close."""
        planned = plan(position(BTC, "1"), stop(), order(BTC, "target", Side.SELL, reduce_only=True))
        assert cancelled(planned) == set()
        assert swept(planned) == set()

    def test_protective_orders_go_once_their_position_is_gone(self) -> None:
        """By their ids, in both books: what the engine places meanwhile may protect a position of now."""
        planned = plan(stop(), order(BTC, "target", Side.SELL, reduce_only=True))
        assert cancelled(planned) == {stop().order_id, "target"}
        assert swept(planned) == set()

    def test_a_spot_symbol_is_swept_whole(self) -> None:
        """Nothing on spot protects a position; what rests there unseen goes too, and the count is of what was seen."""
        planned = plan(order("SOL/USDT", "a"), order("SOL/USDT", "b"))
        assert swept(planned) == {("SOL/USDT", False)}
        assert [step.seen for step in planned.steps if isinstance(step, CancelSymbol)] == [2]

    def test_a_reduce_only_order_that_protects_nothing_goes_although_the_symbol_is_held(self) -> None:
        """One-way mode: reduce-only on the side that would enlarge a long protects no position that exists."""
        planned = plan(position(BTC, "1"), order(BTC, "stray", Side.BUY, reduce_only=True))
        assert cancelled(planned) == {"stray"}

    def test_in_hedge_mode_only_the_flat_leg_loses_its_protection(self) -> None:
        """The short is gone: its stop goes; the long's stays."""
        planned = plan(
            position(BTC, "1", LONG, hedged=True),
            order(BTC, "long-stop", Side.SELL, position_side=LONG, trigger=True),
            order(BTC, "short-stop", Side.BUY, position_side=SHORT, trigger=True),
        )
        assert cancelled(planned) == {"short-stop"}

    def test_in_hedge_mode_an_order_on_the_opening_side_is_an_entry(self) -> None:
        """Whatever its position side: it can add exposure."""
        planned = plan(
            position(BTC, "1", LONG, hedged=True),
            order(BTC, "more-long", Side.BUY, position_side=LONG),
            order(BTC, "new-short", Side.SELL, position_side=SHORT),
        )
        assert cancelled(planned) == {"more-long", "new-short"}

    def test_nothing_outside_the_scope_is_touched(self) -> None:
        """Orders and positions of other symbols are not the command's business."""
        planned = plan(position(BTC, "1"), position(ETH, "1"), order(ETH, "entry"), symbols=frozenset({BTC}))
        assert {step.symbol for step in planned.steps} == {BTC}

    def test_nothing_is_planned_for_an_empty_slice(self) -> None:
        """There is nothing to do: the proof may be taken."""
        assert plan() == Plan()


class TestWarmView:
    """A view that may be outdated sizes only what the venue itself bounds."""

    def test_closes_positions_and_cancels_entries_by_id(self) -> None:
        """Reduce-only closes cannot do harm, nor can the cancelling of an order that adds exposure."""
        planned = plan(position(BTC, "1"), order(BTC, "entry"), fresh=False)
        assert len(closes(planned)) == 1
        assert cancelled(planned) == {"entry"}

    def test_sweeps_no_symbol(self) -> None:
        """A position may have been opened since, and a stop with it."""
        planned = plan(order(BTC, "entry"), stop(), fresh=False)
        assert swept(planned) == set()
        assert cancelled(planned) == {"entry"}

    def test_cancels_no_protective_order_of_a_flat_leg(self) -> None:
        """The leg may have been opened since."""
        short_stop = order(BTC, "short-stop", Side.BUY, position_side=SHORT)
        planned = plan(position(BTC, "1", LONG, hedged=True), short_stop, fresh=False)
        assert cancelled(planned) == set()

    def test_cancels_no_protective_order_even_where_it_stood_in_the_way(self) -> None:
        """What may be outdated must not cost a position its stop."""
        target = order(BTC, "target", Side.SELL, reduce_only=True)
        memory = {PositionKey(BTC, LONG): LegMemory(protective_in_the_way=True)}
        planned = plan(position(BTC, "1"), target, memory=memory, fresh=False)
        assert cancelled(planned) == set()
        assert len(closes(planned)) == 1


class TestCloses:
    def test_a_close_carries_the_venues_own_number_and_mode(self) -> None:
        """Contracts are passed on unconverted; mode and margin type belong to the position."""
        (close,) = closes(plan(position(BTC, "0.1234567", SHORT, hedged=True, isolated=True)))
        assert (close.contracts, close.side, close.hedged, close.isolated) == (Decimal("0.1234567"), SHORT, True, True)
        assert close.limit_price is None

    def test_both_legs_of_a_hedged_symbol_are_closed_at_once(self) -> None:
        """Independent chains with different ids."""
        planned = plan(position(BTC, "1", LONG, hedged=True), position(BTC, "2", SHORT, hedged=True))
        assert {(step.side, step.contracts) for step in closes(planned)} == {(LONG, Decimal(1)), (SHORT, Decimal(2))}
        assert len({step.client_order_id for step in closes(planned)}) == 2
        assert len(planned.chains) == 2

    def test_a_position_above_the_market_maximum_is_split(self) -> None:
        """All parts leave together in one stage."""
        planned = plan(position(BTC, "250.5"))
        assert [step.contracts for step in closes(planned)] == [Decimal(100), Decimal(100), Decimal("50.5")]
        assert [len(stage) for stage in planned.chains[0]] == [3]

    def test_a_limited_close_is_split_at_the_limit_maximum(self) -> None:
        """Limit orders have a maximum of their own."""
        memory = {PositionKey(BTC, LONG): LegMemory(price_level=1)}
        assert [step.contracts for step in closes(plan(position(BTC, "250"), memory=memory))] == [Decimal(250)]

    def test_a_smaller_chunk_learnt_from_the_venue_prevails(self) -> None:
        """The venue's answer counts for more than its own rules."""
        memory = {PositionKey(BTC, LONG): LegMemory(chunk_max=Decimal(30))}
        assert [step.contracts for step in closes(plan(position(BTC, "70"), memory=memory))] == [
            Decimal(30),
            Decimal(30),
            Decimal(10),
        ]

    def test_chunks_never_become_so_small_that_a_rest_could_not_be_closed(self) -> None:
        """However often the venue refused the size: there is always room for two of its smallest orders."""
        memory = {PositionKey(BTC, LONG): LegMemory(chunk_max=Decimal("0.0004"))}
        parts = [step.contracts for step in closes(plan(position(BTC, "0.005"), memory=memory))]
        assert parts == [Decimal("0.002"), Decimal("0.002"), Decimal("0.001")]

    def test_a_chunk_learnt_from_a_small_position_does_not_cut_a_grown_one_to_pieces(self) -> None:
        """Sixteen orders at most, however far the engine has gone on opening."""
        memory = {PositionKey(BTC, LONG): LegMemory(chunk_max=Decimal("0.1"))}
        assert len(closes(plan(position(BTC, "160"), memory=memory))) == 16

    def test_too_small_a_chunk_says_nothing_of_the_position(self) -> None:
        """The next order is for the whole of it."""
        held = position(BTC, "5")
        refusal = refused(closes(plan(held))[0], Refusal.TOO_SMALL)
        memory = learn({held.key: LegMemory(chunk_max=Decimal(1))}, [refusal], seen(held))
        assert (memory[held.key].chunk_max, memory[held.key].too_small) == (None, 0)

    def test_an_absurd_size_makes_no_absurd_number_of_orders(self) -> None:
        """One wrong number must not stop the process: the next round closes the rest."""
        for size in ("300000000", "1e30"):
            assert len(closes(plan(position(BTC, size)))) == 200

    def test_the_venues_word_alone_does_not_make_a_position_too_small(self) -> None:
        """Our own rules must bear it out, or it would be left behind."""
        held = position(BTC, "5")
        refusal = refused(closes(plan(held))[0], Refusal.TOO_SMALL)
        memory: Mapping[PositionKey, LegMemory] = {}
        for _ in range(5):
            memory = learn(memory, [refusal], seen(held), {BTC: rules(BTC)})
        assert not is_residue(held, memory)
        small = position(BTC, "0.01")
        for _ in range(5):
            memory = learn(memory, [refused(closes(plan(small))[0], Refusal.TOO_SMALL)], seen(small), {BTC: rules(BTC)})
        assert is_residue(small, memory)

    def test_what_has_grown_since_is_no_residue_any_more(self) -> None:
        """An engine goes on opening where we had given up."""
        small, grown = position(BTC, "0.01"), position(BTC, "5")
        memory: Mapping[PositionKey, LegMemory] = {}
        for _ in range(5):
            memory = learn(memory, [refused(closes(plan(small))[0], Refusal.TOO_SMALL)], seen(small), {BTC: rules(BTC)})
        memory = learn(memory, [], seen(grown), {BTC: rules(BTC)})
        assert not is_residue(grown, memory)
        assert [step.contracts for step in closes(plan(grown, memory=memory))] == [Decimal(5)]

    def test_what_cannot_be_closed_keeps_its_protection(self) -> None:
        """It is still held."""
        held = position(BTC, "5")
        arguments: dict[str, Any] = {
            "ids": IDS, "memory": {held.key: LegMemory(too_small=3, too_small_contracts=Decimal(5))},
            "max_slippage": Decimal("0.05"), "fresh": True,
        }  # fmt: skip
        assert plan_slice(seen(held, stop()), Scope(), {BTC: rules(BTC)}, **arguments).steps == ()

    def test_protection_is_known_by_the_venues_own_name_of_the_market(self) -> None:
        """Ours may have become known between the two reads."""
        unnamed = stop(symbol="BTCUSDT", market_id="BTCUSDT")
        planned = plan(position(BTC, "1"), unnamed, markets={BTC: rules(BTC)})
        assert [type(step) for step in planned.steps] == [ClosePosition]

    def test_protection_goes_only_on_a_read_that_is_borne_out(self) -> None:
        """A list of positions alone may leave one out."""
        doubtful = replace(seen(stop()), positions_doubtful=True)
        arguments: dict[str, Any] = {
            "ids": IDS, "memory": {}, "max_slippage": Decimal("0.05"), "fresh": True
        }  # fmt: skip
        assert plan_slice(doubtful, Scope(), {BTC: rules(BTC)}, **arguments).steps == ()
        assert len(plan_slice(seen(stop()), Scope(), {BTC: rules(BTC)}, **arguments).steps) == 1

    def test_splitting_leaves_no_part_below_the_venues_minimum(self) -> None:
        """A rest that the venue would refuse as too small is made up from the part before it."""
        market = rules(BTC, quantity_step=Decimal(1), quantity_min=Decimal(5))
        parts = [step.contracts for step in closes(plan(position(BTC, "201"), markets={BTC: market}))]
        assert parts == [Decimal(100), Decimal(96), Decimal(5)]

    def test_a_market_without_rules_is_closed_whole(self) -> None:
        """What is not known is not limited: the venue says what it will not take."""
        assert [step.contracts for step in closes(plan(position(BTC, "1000"), markets={}))] == [Decimal(1000)]

    def test_protective_orders_in_the_way_are_cancelled_before_the_close_in_the_same_chain(self) -> None:
        """The close follows when the cancels have ended, and no other chain waits for them."""
        memory = {PositionKey(BTC, LONG): LegMemory(protective_in_the_way=True)}
        target = order(BTC, "target", Side.SELL, reduce_only=True)
        planned = plan(position(BTC, "1"), target, stop(), memory=memory)
        (chain,) = planned.chains
        first, second = chain
        assert [step.order_ids for step in first if isinstance(step, CancelOrders)] == [("target",)]
        assert all(isinstance(step, ClosePosition) for step in second)

    def test_the_protection_of_another_leg_is_never_in_the_way(self) -> None:
        """Hedge mode: only what stands for this leg goes before it."""
        memory = {PositionKey(BTC, LONG): LegMemory(protective_in_the_way=True)}
        planned = plan(
            position(BTC, "1", LONG, hedged=True),
            position(BTC, "1", SHORT, hedged=True),
            order(BTC, "long-target", Side.SELL, position_side=LONG),
            order(BTC, "short-target", Side.BUY, position_side=SHORT),
            memory=memory,
        )
        assert cancelled(planned) == {"long-target"}


class TestPrices:
    def test_where_there_are_no_market_orders_the_first_one_has_a_price(self) -> None:
        """And not that of the venue's own choice."""
        book = {BTC: replace(rules(BTC), market_orders=False)}
        (close,) = closes(plan(position(BTC, "1"), markets=book))
        assert close.limit_price == Decimal("95.00")

    def test_where_nothing_can_be_swept_orders_are_named(self) -> None:
        """On spot, where a whole market would be swept otherwise."""
        resting = (order("SOL/USDT", "a"), order("SOL/USDT", "b"))
        listed = rules("SOL/USDT")
        assert swept(plan(*resting)) == {("SOL/USDT", False)}
        assert cancelled(plan(*resting, markets={"SOL/USDT": replace(listed, sweeps=False)})) == {"a", "b"}

    def test_a_cross_and_an_isolated_position_of_one_market_are_two_legs(self) -> None:
        """Each with its own memory and its own order ids."""
        both = (position(BTC, "1"), position(BTC, "2", isolated=True))
        memory = {PositionKey(BTC, LONG, isolated=True): LegMemory(price_level=1)}
        cross, isolated = sorted(closes(plan(*both, memory=memory)), key=lambda step: step.contracts)
        assert cross.client_order_id != isolated.client_order_id
        assert (cross.limit_price, isolated.limit_price) == (None, Decimal("95.00"))

    @pytest.mark.parametrize(
        ("level", "side", "price"),
        [
            (0, LONG, None),
            (1, LONG, "95.00"),
            (2, LONG, "90.00"),
            (3, LONG, "80.00"),
            (9, LONG, "80.00"),
            (1, SHORT, "105.00"),
            (2, SHORT, "110.00"),
            (3, SHORT, "120.00"),
        ],
    )
    def test_each_level_accepts_a_worse_price(self, level: int, side: PositionSide, price: str | None) -> None:
        """Market, then the account's slippage once, twice and four times, from the mark price of 100."""
        memory = {PositionKey(BTC, side): LegMemory(price_level=level)}
        (close,) = closes(plan(position(BTC, "1", side), memory=memory))
        assert close.limit_price == (None if price is None else Decimal(price))

    def test_without_a_mark_price_it_stays_a_market_order(self) -> None:
        """There is nothing to reckon a limit from."""
        memory = {PositionKey(BTC, LONG): LegMemory(price_level=2)}
        (close,) = closes(plan(position(BTC, "1", mark_price=None), memory=memory))
        assert close.limit_price is None

    def test_protection_is_capped_at_a_fifth(self) -> None:
        """However wide the configuration."""
        assert protection_price(Decimal(100), Side.SELL, Decimal("0.9"), None) == Decimal(80)
        assert protection_price(Decimal(100), Side.BUY, Decimal("0.9"), None) == Decimal(120)

    def test_rounding_to_the_tick_never_worsens_the_price(self) -> None:
        """Up for sales, down for purchases."""
        assert protection_price(Decimal("100.3"), Side.SELL, Decimal("0.05"), Decimal("0.5")) == Decimal("95.5")
        assert protection_price(Decimal("100.3"), Side.BUY, Decimal("0.05"), Decimal("0.5")) == Decimal("105.0")


class TestSplit:
    def test_no_part_is_cut_from_nothing(self) -> None:
        """An empty position has no orders."""
        assert split(Decimal(0), Decimal(1), Decimal(1)) == ()

    def test_a_maximum_off_the_step_is_rounded_down_to_it(self) -> None:
        """Every part but the last is a multiple of the step."""
        assert split(Decimal(25), Decimal("10.7"), Decimal("0.5")) == (Decimal("10.5"), Decimal("10.5"), Decimal(4))

    def test_rounding_without_a_step_changes_nothing(self) -> None:
        """The venue states none."""
        assert round_to(Decimal("1.23456789"), None, up=False) == Decimal("1.23456789")

    def test_rounding_down_never_rounds_up_however_many_digits_there_are(self) -> None:
        """More than the 28 digits of usual decimal arithmetic."""
        value = Decimal("9999999999999.9999999999999999999999999")
        assert round_to(value, Decimal("1"), up=False) == Decimal("9999999999999")
