"""What becomes of a command between its acceptance and its ending."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from itertools import islice
from time import monotonic_ns
from typing import Any
from uuid import UUID

import pytest
import structlog

from node.domain.command import Action, CommandState
from node.domain.guard_mode import GuardMode, GuardModes
from node.domain.latency import Stopwatch
from node.domain.plan import Chain, plan_chains
from node.domain.result import ErrorReport
from node.domain.snapshot import Balance, PositionSide, Side, SliceSnapshot
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
    Step,
    StepResult,
)
from node.engine import departures as departures_module
from node.engine import slice_worker, view
from node.engine.account import ExecutionTerms
from node.engine.departures import Departures
from node.engine.pursuit import QUIET_WITHIN_S
from node.engine.rehearsal import TIMES, TIMES_AGAIN
from node.engine.slice_worker import PATIENCE_S
from node.errors import VenueLimited, VenueUnavailable
from tests.support.engine import ACCOUNT, OTHER, engine
from tests.support.fake_venue import LINEAR, SPOT, FakeVenue, ambiguous, order, position, refused, rules
from tests.support.journal import admission, make_command
from tests.support.waiting import until

BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"


def book() -> FakeVenue:
    """Two positions, an entry order and a protective one."""
    return FakeVenue(
        positions=[position(BTC, "1.2"), position(ETH, "5", PositionSide.SHORT)],
        orders=[
            order(BTC, "entry"),
            order(BTC, "stop", Side.SELL, reduce_only=True, trigger=True),
            order("SOL/USDT", "spot-order"),
        ],
    )


class TestCloseAll:
    async def test_ends_flat_with_evidence_of_every_slice(self) -> None:
        """Positions closed, both books empty, and each slice read after the last step."""
        async with engine(book()) as node:
            document = await node.carried_out(Action.CLOSE_ALL)
        assert document["state"] == "done"
        assert document["verdict"] == "flat"
        assert {each["slice"] for each in document["evidence"]} == {SPOT, LINEAR}
        assert node.venue.positions == []
        assert node.venue.orders == []
        assert [(each["symbol"], each["before"], each["after"]) for each in document["positions"]] == [
            (BTC, "1.2", "0"),
            (ETH, "5", "0"),
        ]

    async def test_leaves_the_account_locked(self) -> None:
        """The latch is set before anything is placed."""
        async with engine(book()) as node:
            document = await node.carried_out(Action.CLOSE_ALL)
            assert document["lock"] == {"locked": True, "epoch": 1}
            assert node.ledger.get(ACCOUNT).latched

    async def test_cancels_a_protective_order_only_after_its_position_is_gone(self) -> None:
        """Whatever happens in between, the position keeps its stop."""
        venue = book()

        def check(step: Step) -> None:
            stop_goes = (isinstance(step, CancelOrders) and "stop" in step.order_ids) or (
                isinstance(step, CancelSymbol) and step.symbol == BTC and step.trigger
            )
            if stop_goes:
                assert not any(each.symbol == BTC for each in venue.positions)

        venue.afterwards = check
        async with engine(venue) as node:
            await node.carried_out(Action.CLOSE_ALL)
        assert venue.orders == []

    async def test_places_nothing_the_second_time(self) -> None:
        """Running it twice is harmless."""
        async with engine(book()) as node:
            await node.carried_out(Action.CLOSE_ALL)
            placed = node.venue.calls["ClosePosition"]
            document = await node.carried_out(Action.CLOSE_ALL)
        assert document["verdict"] == "flat"
        assert document["orders"] == {"cancelled": 0, "placed": 0, "rejected": 0, "ambiguous": 0}
        assert node.venue.calls["ClosePosition"] == placed

    async def test_touches_only_the_symbols_that_it_names(self) -> None:
        """Orders and positions of other symbols stay; what becomes of them under the lock is the guard's business."""
        left = ExecutionTerms(deadline_s=2.0, settle_s=0.05, guard=GuardModes(after_lock=GuardMode.OFF))
        async with engine(book(), execution=left) as node:
            document = await node.carried_out(Action.CLOSE_ALL, symbols=(BTC,))
            assert document["verdict"] == "flat"
            assert [each.symbol for each in node.venue.positions] == [ETH]
            assert [each.order_id for each in node.venue.orders] == ["spot-order"]

    async def test_closes_what_it_knows_and_fails_for_a_symbol_that_the_venue_does_not(self) -> None:
        """Nothing can be proven of a symbol that nobody knows."""
        async with engine(book()) as node:
            document = await node.carried_out(Action.CLOSE_ALL, symbols=(BTC, "TYPO/USDT:USDT"))
        assert document["state"] == "failed"
        assert document["verdict"] == "unknown"
        assert document["errors"][0]["code"] == "UNKNOWN_SYMBOL"
        assert [each.symbol for each in node.venue.positions] == [ETH]

    async def test_resends_the_remainder_after_an_ambiguous_answer(self) -> None:
        """No answer to an order proves anything: the position is read again."""
        venue = FakeVenue(positions=[position(BTC, "2")])
        lost = iter([True])

        def lose_first(step: Step) -> StepResult | None:
            if isinstance(step, ClosePosition) and next(lost, False):
                venue.apply(replace(step, contracts=Decimal("0.5")))
                return ambiguous(step)
            return None

        venue.interfere = lose_first
        async with engine(venue) as node:
            document = await node.carried_out(Action.CLOSE_ALL)
        closes = [step for step in venue.steps if isinstance(step, ClosePosition)]
        assert document["verdict"] == "flat"
        assert document["orders"]["ambiguous"] == 1
        assert [step.contracts for step in closes] == [Decimal(2), Decimal("1.5")]
        assert len({step.client_order_id for step in closes}) == 2

    async def test_is_not_satisfied_by_a_success_that_did_nothing(self) -> None:
        """A venue that says done and shows the contrary is asked again, not believed."""
        venue = FakeVenue(positions=[position(BTC, "2")])
        lies = iter([True, True])

        def lie(step: Step) -> StepResult | None:
            if isinstance(step, ClosePosition) and next(lies, False):
                return StepResult(step=step, outcome=Outcome.DONE)
            return None

        venue.interfere = lie
        async with engine(venue) as node:
            document = await node.carried_out(Action.CLOSE_ALL)
        assert document["verdict"] == "flat"
        assert venue.calls["ClosePosition"] == 3

    async def test_closes_again_what_the_engine_opens_meanwhile(self) -> None:
        """Rounds go on until the venue shows nothing."""
        venue = FakeVenue(positions=[position(BTC, "2")])
        reopen = iter([True])

        def reopens(step: Step) -> None:
            if isinstance(step, ClosePosition) and next(reopen, False):
                venue.positions.append(position(ETH, "1"))
                venue.markets[ETH] = rules(ETH)

        venue.afterwards = reopens
        async with engine(venue) as node:
            document = await node.carried_out(Action.CLOSE_ALL)
        assert document["verdict"] == "flat"
        assert {each["symbol"] for each in document["positions"]} >= {BTC}
        assert venue.positions == []

    async def test_cancels_protective_orders_first_where_the_venue_refuses_the_close_for_them(self) -> None:
        """Resting reduce-only orders can stand for the whole position."""
        venue = FakeVenue(
            positions=[position(BTC, "2")],
            orders=[order(BTC, "take-profit", Side.SELL, reduce_only=True)],
        )

        def covered(step: Step) -> StepResult | None:
            resting = any(each.order_id == "take-profit" for each in venue.orders)
            return refused(step, Refusal.NOTHING_TO_REDUCE) if isinstance(step, ClosePosition) and resting else None

        venue.interfere = covered
        async with engine(venue) as node:
            document = await node.carried_out(Action.CLOSE_ALL)
        assert document["verdict"] == "flat"

    async def test_falls_back_to_limited_prices_when_the_market_is_outside_the_band(self) -> None:
        """An immediate-or-cancel limit, wider each time."""
        venue = FakeVenue(positions=[position(BTC, "2")])

        def band(step: Step) -> StepResult | None:
            narrow = isinstance(step, ClosePosition) and (step.limit_price is None or step.limit_price > 90)
            return refused(step, Refusal.PRICE_BAND) if narrow else None

        venue.interfere = band
        async with engine(venue) as node:
            document = await node.carried_out(Action.CLOSE_ALL)
        prices = [step.limit_price for step in venue.steps if isinstance(step, ClosePosition)]
        assert document["verdict"] == "flat"
        assert prices == [None, Decimal("95.00"), Decimal("90.00")]


async def proven(venue: FakeVenue) -> None:
    """Wait until the linear slice has its proof and rests, whatever the others do."""
    reads = -1
    async with asyncio.timeout(5):
        while venue.positions or venue.calls["read_proof:linear"] != reads:
            reads = venue.calls["read_proof:linear"] or -1
            for _ in range(10):
                await asyncio.sleep(0.01)  # as many turns of the loop, however busy the machine is


class TestStaleProofs:
    async def test_a_position_that_is_opened_again_while_another_slice_is_stuck_is_closed_again(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A proof of the one slice does not last until the other is readable."""
        monkeypatch.setattr("node.engine.setbacks.PAUSE_MAX_S", 0.05)
        venue = book()
        async with engine(venue) as node:
            await node.armed()
            venue.unreadable[SPOT] = VenueUnavailable("gone")
            submission = await node.submit(Action.CLOSE_ALL)
            await node.until_state(submission.document["command_id"], CommandState.RUNNING)
            await proven(venue)
            venue.positions.append(position(BTC, "3"))
            view = node.dispatcher.actors[ACCOUNT].context.view
            view.note(await venue.read_positions(LINEAR))  # as the poll does every two seconds
            async with asyncio.timeout(5):
                while venue.positions:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            venue.unreadable.clear()
            assert (await node.ending(submission.document["command_id"]))["verdict"] == "flat"

    async def test_a_command_is_not_proven_by_reads_from_before_it_came(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A second command beside a live one has its own reads."""
        monkeypatch.setattr("node.engine.setbacks.PAUSE_MAX_S", 0.05)
        venue = book()
        async with engine(venue) as node:
            await node.armed()
            venue.unreadable[SPOT] = VenueUnavailable("gone")
            stuck = await node.submit(Action.CLOSE_ALL)
            await node.until_state(stuck.document["command_id"], CommandState.RUNNING)
            await proven(venue)
            venue.positions.append(position(BTC, "3"))
            narrow = await node.carried_out(Action.CLOSE_ALL, symbols=(BTC,))
            assert narrow["verdict"] == "flat"
            assert venue.positions == []


class TestStuck:
    async def test_a_half_readable_slice_is_still_closed(self) -> None:
        """Positions can be read, nothing else: they are closed, and the command stays unknown."""
        venue = book()
        venue.orders_unreadable = VenueUnavailable("the trigger book is away")
        async with engine(venue, execution=ExecutionTerms(deadline_s=0.2)) as node:
            submission = await node.submit(Action.CLOSE_ALL)
            told = await node.until_state(submission.document["command_id"], CommandState.INCOMPLETE)
            assert told["verdict"] == "unknown"
            assert venue.positions == []
            assert venue.calls["CancelOrders"] < 10, "what is cancelled is not cancelled again and again"

    async def test_a_market_that_comes_back_into_its_band_is_closed_at_market_again(self) -> None:
        """Three refusals for the price must not make the position unclosable."""
        venue = FakeVenue(positions=[position(BTC, "2")])
        refusals = iter(range(3))

        def band(step: Step) -> StepResult | None:
            if not isinstance(step, ClosePosition):
                return None
            closed_by_band = next(refusals, None) is not None or step.limit_price is not None
            return refused(step, Refusal.PRICE_BAND) if closed_by_band else None

        venue.interfere = band
        async with engine(venue, execution=ExecutionTerms(deadline_s=30)) as node:
            document = await node.carried_out(Action.CLOSE_ALL)
        assert document["verdict"] == "flat"

    async def test_a_position_too_small_to_be_closed_is_named_as_dust(self) -> None:
        """The command ends; what is left is in the result."""
        venue = FakeVenue(positions=[position(BTC, "0.01")])
        venue.interfere = lambda step: refused(step, Refusal.TOO_SMALL) if isinstance(step, ClosePosition) else None
        async with engine(venue) as node:
            document = await node.carried_out(Action.CLOSE_ALL)
        assert document["verdict"] == "flat_with_residue"
        assert [each["verdict"] for each in document["positions"]] == ["dust"]

    async def test_a_residue_that_an_engine_makes_large_again_is_closed(self) -> None:
        """What was too small is that no longer."""
        venue = FakeVenue(positions=[position(BTC, "0.01")])
        refusals = iter(range(3))

        def grows(step: Step) -> StepResult | None:
            if not isinstance(step, ClosePosition) or (number := next(refusals, None)) is None:
                return None
            if number == 2:
                venue.positions = [position(BTC, "5")]
            return refused(step, Refusal.TOO_SMALL)

        venue.interfere = grows
        async with engine(venue) as node:
            document = await node.carried_out(Action.CLOSE_ALL)
        assert (document["verdict"], venue.positions) == ("flat", [])

    async def test_an_answer_that_comes_late_is_still_learnt_from(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A refusal after the round has looked away changes the next round all the same."""
        monkeypatch.setattr("node.engine.slice_worker.PATIENCE_S", 0.02)
        venue = FakeVenue(positions=[position(BTC, "2")])
        venue.step_takes_s = 0.05

        def band(step: Step) -> StepResult | None:
            at_market = isinstance(step, ClosePosition) and step.limit_price is None
            return refused(step, Refusal.PRICE_BAND) if at_market else None

        venue.interfere = band
        async with engine(venue) as node:
            document = await node.carried_out(Action.CLOSE_ALL)
        assert document["verdict"] == "flat"

    async def test_a_narrow_command_ends_beside_an_order_that_cannot_be_cancelled(self) -> None:
        """Of spot as of derivatives."""
        venue = FakeVenue(orders=[order("SOL/USDT", "stays"), order("ETH/USDT", "goes")])
        venue.interfere = lambda step: (
            StepResult(step=step, outcome=Outcome.DONE)
            if isinstance(step, CancelOrders | CancelSymbol) and step.symbol == "SOL/USDT"
            else None
        )
        async with engine(venue) as node:
            wide = await node.submit(Action.CLOSE_ALL)
            narrow = await node.carried_out(Action.CLOSE_ALL, symbols=("ETH/USDT",))
            assert narrow["verdict"] == "flat"
            await node.desk.abort(UUID(wide.document["command_id"]), by="test", reason=None)

    async def test_a_new_command_does_not_wait_for_reads_of_an_aborted_one(self) -> None:
        """What hangs serves nobody any more."""
        venue = book()
        async with engine(venue) as node:
            await node.armed()
            venue.reading = asyncio.Event()  # never set: these reads hang for ever
            first = await node.submit(Action.CLOSE_ALL, symbols=("SOL/USDT",))
            await asyncio.sleep(0.1)
            await node.desk.abort(UUID(first.document["command_id"]), by="test", reason=None)
            venue.reading = asyncio.Event()
            venue.reading.set()
            assert (await node.carried_out(Action.CLOSE_ALL))["verdict"] == "flat"


class TestUnknown:
    async def test_an_order_that_the_lists_leave_out_is_cancelled_by_its_id(self) -> None:
        """It was seen, and nobody has said that it is gone; a stop goes after its position as always."""
        venue = book()
        async with engine(venue) as node:
            await node.armed()
            venue.unlisted = {"entry", "stop", "spot-order"}
            assert (await node.carried_out(Action.CLOSE_ALL))["verdict"] == "flat"
        assert venue.orders == []

    async def test_an_order_that_the_venue_will_neither_list_nor_cancel_is_given_up_after_a_few_tries(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Then the lists are believed."""
        monkeypatch.setattr("node.engine.setbacks.PAUSE_MAX_S", 0.01)
        venue = book()
        venue.interfere = lambda step: (
            refused(step, Refusal.OTHER) if isinstance(step, CancelOrders) and "entry" in step.order_ids else None
        )
        async with engine(venue, execution=ExecutionTerms(deadline_s=30)) as node:
            await node.armed()
            venue.unlisted = {"entry"}
            document = await node.carried_out(Action.CLOSE_ALL)
        assert document["verdict"] == "flat"
        assert document["orders"]["rejected"] < 10

    async def test_protection_stays_while_the_wallet_shows_more_than_the_list_of_positions(self) -> None:
        """A well-formed empty list is not believed: the stops of what it does not show are left alone."""
        venue = book()
        venue.hiding = True
        async with engine(venue, execution=ExecutionTerms(deadline_s=0.5)) as node:
            submission = await node.submit(Action.CLOSE_ALL)
            told = await node.until_state(submission.document["command_id"], CommandState.INCOMPLETE)
            assert told["verdict"] == "unknown"
            assert [each.order_id for each in venue.orders if each.protective] == ["stop"]
            venue.hiding = False
            ending = await node.ending(submission.document["command_id"], within_s=10)
        assert ending["verdict"] == "flat"
        assert venue.orders == []

    async def test_is_never_flat_while_a_slice_cannot_be_read(self) -> None:
        """The other slice is closed at once; the command stays incomplete and says why."""
        venue = book()
        async with engine(venue, execution=ExecutionTerms(deadline_s=0.1)) as node:
            await node.armed()
            venue.unreadable[SPOT] = VenueUnavailable("gone")
            submission = await node.submit(Action.CLOSE_ALL)
            told = await node.until_state(submission.document["command_id"], CommandState.INCOMPLETE)
            assert told["verdict"] == "unknown"
            assert told["errors"][0]["code"] == "VENUE_UNAVAILABLE"
            assert venue.positions == []
            venue.unreadable.clear()
            ending = await node.ending(submission.document["command_id"])
        assert ending["verdict"] == "flat"

    async def test_waits_for_a_venue_that_is_away_at_the_start(self) -> None:
        """A command for an account that is not armed is carried out as soon as the venue is there."""
        venue = book()
        venue.arm_error = VenueUnavailable("no route")
        venue.unreadable = {SPOT: venue.arm_error, LINEAR: venue.arm_error}
        async with engine(venue, execution=ExecutionTerms(deadline_s=0.1)) as node:
            submission = await node.submit(Action.CLOSE_ALL)
            told = await node.until_state(submission.document["command_id"], CommandState.INCOMPLETE)
            assert told["verdict"] == "unknown"
            venue.arm_error = None
            venue.unreadable.clear()
            ending = await node.ending(submission.document["command_id"])
        assert ending["verdict"] == "flat"

    async def test_closes_what_it_can_reach_of_a_venue_that_is_half_away(self) -> None:
        """One host being away keeps nobody from the others; what cannot be read stays unknown."""
        venue = book()
        venue.arm_error = VenueUnavailable("spot is away")
        venue.unreadable = {SPOT: venue.arm_error}
        async with engine(venue, execution=ExecutionTerms(deadline_s=0.1)) as node:
            submission = await node.submit(Action.CLOSE_ALL)
            told = await node.until_state(submission.document["command_id"], CommandState.INCOMPLETE)
            assert told["verdict"] == "unknown"
            assert venue.positions == []

    async def test_does_not_call_a_symbol_unknown_before_the_markets_are_there(self) -> None:
        """Until then it may still come to know it: the command waits rather than fails."""
        venue = book()
        venue.arm_error = VenueUnavailable("no markets yet")
        markets, venue.markets = venue.markets, {}
        async with engine(venue, execution=ExecutionTerms(deadline_s=0.1)) as node:
            submission = await node.submit(Action.CLOSE_ALL, symbols=(BTC,))
            told = await node.until_state(submission.document["command_id"], CommandState.INCOMPLETE)
            assert told["verdict"] == "unknown"
            venue.markets, venue.arm_error = markets, None
            ending = await node.ending(submission.document["command_id"])
        assert ending["verdict"] == "flat"
        assert [each.symbol for each in venue.positions] == [ETH]

    async def test_fails_when_the_account_may_not_be_closed(self) -> None:
        """Only a person can help: the result says what is left, the lock stays."""
        venue = FakeVenue(positions=[position(BTC, "2")])
        venue.interfere = lambda step: refused(step, Refusal.PERMISSION)
        async with engine(venue) as node:
            document = await node.carried_out(Action.CLOSE_ALL, latch=False)
            assert document["state"] == "failed"
            assert document["verdict"] == "not_flat"
            assert [(each["after"], each["verdict"]) for each in document["positions"]] == [("2", "refused")]
            assert node.ledger.get(ACCOUNT).latched

    async def test_slices_left_out_by_configuration_make_it_flat_with_residue(self) -> None:
        """What was not read is named, and the best verdict says so."""
        venue = book()
        venue.not_covered = ("inverse",)
        async with engine(venue) as node:
            document = await node.carried_out(Action.CLOSE_ALL)
        assert document["verdict"] == "flat_with_residue"
        assert document["not_covered"] == ["inverse"]


class TestFlatten:
    def venue(self) -> FakeVenue:
        """A position and four balances: sellable, over a bridge, dust, kept."""
        return FakeVenue(
            positions=[position(BTC, "1")],
            balances=[
                Balance(slice=SPOT, asset="USDT", free=Decimal(100)),
                Balance(slice=SPOT, asset="ETH", free=Decimal("3.1")),
                Balance(slice=SPOT, asset="WAN", free=Decimal(500)),
                Balance(slice=SPOT, asset="DOGE", free=Decimal("0.5")),
                Balance(slice=SPOT, asset="BNB", free=Decimal(2)),
            ],
            markets={
                BTC: rules(BTC),
                **{
                    symbol: rules(symbol, quantity_step=Decimal("0.00001"))
                    for symbol in ("ETH/USDT", "BTC/USDT", "DOGE/USDT", "BNB/USDT")
                },
                "WAN/BTC": rules("WAN/BTC", notional_min=Decimal("0.0001"), price_tick=Decimal("0.0000001")),
            },
            prices={
                "ETH/USDT": Decimal(1000),
                "BTC/USDT": Decimal(50000),
                "WAN/BTC": Decimal("0.00001"),
                "DOGE/USDT": Decimal("0.1"),
                "BNB/USDT": Decimal(300),
            },
        )

    async def test_sells_everything_into_base_and_names_the_rest(self) -> None:
        """Direct, over a bridge, dust left, kept coins untouched."""
        async with engine(self.venue(), keep=frozenset({"BNB"})) as node:
            document = await node.carried_out(Action.FLATTEN)
        verdicts = {each["asset"]: each["verdict"] for each in document["balances"]}
        assert document["state"] == "done"
        assert document["verdict"] == "flat_with_residue"
        assert verdicts == {"ETH": "flat", "WAN": "flat", "DOGE": "dust", "BNB": "held"}
        assert {each.asset for each in node.venue.balances} == {"USDT", "DOGE", "BNB"}

    async def test_sells_nothing_before_the_positions_are_gone(self) -> None:
        """A balance may be the other leg's hedge, or its margin."""
        venue = self.venue()

        def check(step: Step) -> None:
            assert not isinstance(step, SellSpot) or not venue.positions

        venue.afterwards = check
        async with engine(venue) as node:
            document = await node.carried_out(Action.FLATTEN)
        assert document["state"] == "done"

    async def test_never_sells_again_what_an_ambiguous_sale_may_have_sold(self) -> None:
        """The fake venue fails the test on overselling; the sale is looked up by its id."""
        venue = self.venue()
        lost = iter([True])

        def lose(step: Step) -> StepResult | None:
            if isinstance(step, SellSpot) and step.asset == "ETH" and next(lost, False):
                venue.apply(step)
                return ambiguous(step)
            return None

        venue.interfere = lose
        async with engine(venue) as node:
            document = await node.carried_out(Action.FLATTEN)
        sales = [step for step in venue.steps if isinstance(step, SellSpot) and step.asset == "ETH"]
        assert document["state"] == "done"
        assert len(sales) == 1
        assert venue.calls["filled"] >= 1

    async def test_calls_nothing_dust_that_has_no_price(self) -> None:
        """Without a price a residue is unsellable, never small."""
        venue = self.venue()
        del venue.prices["DOGE/USDT"]
        async with engine(venue) as node:
            document = await node.carried_out(Action.FLATTEN)
        assert {each["asset"]: each["verdict"] for each in document["balances"]}["DOGE"] == "unsellable"

    async def test_sells_nothing_the_second_time(self) -> None:
        """Running it twice is harmless."""
        async with engine(self.venue(), keep=frozenset({"BNB"})) as node:
            await node.carried_out(Action.FLATTEN)
            sold = node.venue.calls["SellSpot"]
            again = await node.carried_out(Action.FLATTEN)
        assert again["verdict"] == "flat_with_residue"
        assert again["orders"] == {"cancelled": 0, "placed": 0, "rejected": 0, "ambiguous": 0}
        assert node.venue.calls["SellSpot"] == sold

    async def test_waits_for_the_orders_that_still_trade_a_coin(self) -> None:
        """Between a read and a sale they could fill; here their cancel is refused at first."""
        venue = self.venue()
        venue.orders = [order("ETH/USDT", "resting", Side.SELL)]
        tries, early = iter(range(2)), list[Step]()

        def interfere(step: Step) -> StepResult | None:
            if isinstance(step, SellSpot) and step.asset == "ETH" and venue.orders:
                early.append(step)
            cancels = isinstance(step, CancelOrders | CancelSymbol) and step.symbol == "ETH/USDT"
            return refused(step, Refusal.OVERLOADED) if cancels and next(tries, None) is not None else None

        venue.interfere = interfere
        async with engine(venue, keep=frozenset({"BNB"})) as node:
            assert (await node.carried_out(Action.FLATTEN))["state"] == "done"
        assert early == []

    async def test_sells_nothing_while_a_position_stands(self) -> None:
        """A balance may be its hedge, or its margin."""
        venue = self.venue()
        venue.positions = [position(BTC, "1")]
        tries, early = iter(range(3)), list[Step]()

        def interfere(step: Step) -> StepResult | None:
            if isinstance(step, SellSpot) and venue.positions:
                early.append(step)
            stands = isinstance(step, ClosePosition) and next(tries, None) is not None
            return refused(step, Refusal.OVERLOADED) if stands else None

        venue.interfere = interfere
        async with engine(venue, keep=frozenset({"BNB"})) as node:
            assert (await node.carried_out(Action.FLATTEN))["state"] == "done"
        assert early == []

    async def test_sells_although_a_position_is_too_small_to_be_closed(self) -> None:
        """A residue that nothing can be done about keeps nothing else."""
        venue = self.venue()
        venue.positions = [position(BTC, "0.01")]
        venue.interfere = lambda step: refused(step, Refusal.TOO_SMALL) if isinstance(step, ClosePosition) else None
        async with engine(venue, keep=frozenset({"BNB"})) as node:
            document = await node.carried_out(Action.FLATTEN)
        assert document["state"] == "done"
        assert {each.asset for each in venue.balances} == {"USDT", "DOGE", "BNB"}

    async def test_repays_what_is_owed_when_everything_is_sold(self) -> None:
        """A long on credit and a short: sold, repaid; bought only what was owed."""
        venue = self.venue()
        venue.positions = []
        venue.balances = [
            Balance(slice=SPOT, asset="USDT", free=Decimal(20000), debt=Decimal(2500)),
            Balance(slice=SPOT, asset="ETH", free=Decimal("3.1")),
            Balance(slice=SPOT, asset="BNB", free=Decimal(0), debt=Decimal(4)),
        ]
        async with engine(venue) as node:
            document = await node.carried_out(Action.FLATTEN)
        assert document["state"] == "done"
        kinds = [type(step).__name__ for step in venue.steps]
        assert kinds == ["SellSpot", "BuyToRepay", "RepayDebt", "RepayDebt"]
        assert all(each.debt == 0 for each in venue.balances)
        assert {each["asset"]: each["verdict"] for each in document["balances"]}["ETH"] == "flat"

    async def test_looks_a_purchase_up_before_it_buys_again(self) -> None:
        """An ambiguous one may have bought already."""
        venue = self.venue()
        venue.positions = []
        venue.balances = [
            Balance(slice=SPOT, asset="USDT", free=Decimal(20000)),
            Balance(slice=SPOT, asset="BNB", free=Decimal(0), debt=Decimal(4)),
        ]
        lost = iter([True])

        def lose(step: Step) -> StepResult | None:
            if isinstance(step, BuyToRepay) and next(lost, False):
                venue.apply(step)
                return ambiguous(step)
            return None

        venue.interfere = lose
        async with engine(venue) as node:
            assert (await node.carried_out(Action.FLATTEN))["state"] == "done"
        assert venue.calls["BuyToRepay"] == 1
        assert venue.calls["filled"] >= 1

    async def test_names_a_debt_that_the_venue_will_not_take_back(self) -> None:
        """Tried a few times, then it ends as refused, and the account stays locked."""
        venue = self.venue()
        venue.positions = []
        venue.balances = [Balance(slice=SPOT, asset="USDT", free=Decimal(20000), debt=Decimal(2500))]
        venue.interfere = lambda step: refused(step, Refusal.OTHER) if isinstance(step, RepayDebt) else None
        async with engine(venue) as node:
            document = await node.carried_out(Action.FLATTEN, latch=False)
        assert [(each["asset"], each["verdict"], each["debt"]) for each in document["balances"]] == [
            ("USDT", "refused", "2500")
        ]
        assert document["verdict"] == "flat_with_residue"
        assert document["lock"]["locked"] is True

    async def test_hands_a_residue_to_the_venues_convert_service_once(self) -> None:
        """Dust becomes base currency where the venue has such a call; refused, it stays dust."""
        for answer, left in ((None, set()), (Refusal.OTHER, {"DOGE"}), (Refusal.DENIED, {"DOGE"})):
            venue = self.venue()
            venue.converting = True

            def convert(step: Step, answer: Refusal | None = answer) -> StepResult | None:
                return refused(step, answer) if answer and isinstance(step, ConvertAsset) else None

            venue.interfere = convert
            async with engine(venue, keep=frozenset({"BNB"})) as node:
                document = await node.carried_out(Action.FLATTEN)
            assert document["state"] == "done"
            assert venue.calls["ConvertAsset"] == 1
            assert {each.asset for each in venue.balances} - {"USDT", "BNB"} == left

    async def test_watches_a_coin_whose_market_is_closed(self) -> None:
        """It is reported as such, and sold when the market opens."""
        venue = self.venue()
        closed = {"ETH"}
        venue.interfere = lambda step: (
            refused(step, Refusal.MARKET_CLOSED) if isinstance(step, SellSpot) and step.asset in closed else None
        )
        async with engine(venue, keep=frozenset({"BNB"}), execution=ExecutionTerms(deadline_s=0.5)) as node:
            submission = await node.submit(Action.FLATTEN)
            told = await node.until_state(submission.document["command_id"], CommandState.INCOMPLETE)
            assert {each["asset"]: each["verdict"] for each in told["balances"]}["ETH"] == "market_closed"
            closed.clear()
            assert (await node.ending(submission.document["command_id"], within_s=10))["state"] == "done"


class TestOneGoalAnAccount:
    async def test_a_wider_command_does_not_wait_for_a_narrow_one_that_is_stuck(self) -> None:
        """It widens the goal; each ends when its own part is proven."""
        venue = book()
        stuck = {BTC}
        venue.interfere = lambda step: (
            refused(step, Refusal.OVERLOADED) if isinstance(step, ClosePosition) and step.symbol in stuck else None
        )
        async with engine(venue) as node:
            narrow = await node.submit(Action.CLOSE_ALL, symbols=(BTC,))
            await node.until_state(narrow.document["command_id"], CommandState.RUNNING)
            other = await node.carried_out(Action.CLOSE_ALL, symbols=(ETH,))
            assert other["verdict"] == "flat"
            stuck.clear()
            assert (await node.ending(narrow.document["command_id"]))["verdict"] == "flat"

    async def test_lock_takes_effect_while_a_close_is_stuck(self) -> None:
        """LOCK is done at once, ahead of anything."""
        venue = book()
        venue.answering.clear()
        async with engine(venue) as node:
            closing = await node.submit(Action.CLOSE_ALL, latch=False)
            locked = await node.carried_out(Action.LOCK)
            assert locked["verdict"] == "locked"
            venue.answering.set()
            ending = await node.ending(closing.document["command_id"])
            assert ending["verdict"] == "flat"
            assert node.ledger.get(ACCOUNT).locked, "releasing a hold never lifts a latch"

    async def test_unlock_is_refused_while_a_command_is_live(self) -> None:
        """BUSY, and the lock stays."""
        venue = book()
        venue.answering.clear()
        async with engine(venue) as node:
            await node.armed()
            closing = await node.submit(Action.CLOSE_ALL)
            unlock = await node.submit(Action.UNLOCK, epoch=node.ledger.get(ACCOUNT).epoch)
            assert unlock.rejection is not None
            assert unlock.rejection.code == "BUSY"
            venue.answering.set()
            await node.ending(closing.document["command_id"])

    async def test_one_account_in_trouble_does_not_delay_another(self) -> None:
        """A command for all ends for each account by itself; the parent's verdict is the worst."""
        slow, quick = book(), book()
        slow.answering.clear()
        async with engine(slow, quick) as node:
            parent = await node.submit(Action.CLOSE_ALL, None)
            children = {
                child.command.account_id: child.command
                for child in await node.journal.children((await node.journal.unfinished())[0].command.command_id)
            }
            assert (await node.ending(children[OTHER].command_id))["verdict"] == "flat"
            slow.answering.set()
            ending = await node.ending(parent.document["command_id"])
        assert ending["account_id"] == "*"
        assert ending["verdict"] == "flat"
        assert {child["verdict"] for child in ending["children"]} == {"flat"}


class TestHold:
    async def test_lifts_after_a_second_proof(self) -> None:
        """Locked while the command runs, free again when it is done."""
        async with engine(book()) as node:
            document = await node.carried_out(Action.CLOSE_ALL, latch=False)
            assert document["verdict"] == "flat"
            assert document["lock"] == {"locked": False, "epoch": 2}
            assert not node.ledger.get(ACCOUNT).locked
            assert node.venue.calls["read_proof:linear"] >= 2

    async def test_settles_anew_when_something_was_open_again(self) -> None:
        """The second proof must be as far from the last step as from the first proof."""
        venue = book()
        terms = ExecutionTerms(deadline_s=5, settle_s=0.3)
        async with engine(venue, execution=terms) as node:
            closing = await node.submit(Action.CLOSE_ALL, latch=False)
            while venue.positions or venue.calls["read_proof:linear"] == 0:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            await asyncio.sleep(0.2)
            venue.positions.append(position(BTC, "1"))
            document = await node.ending(closing.document["command_id"])
            assert document["verdict"] == "flat"
            assert document["lock"]["locked"] is False
            assert document["latency_ms"]["total"] > 550

    async def test_becomes_a_latch_where_more_is_left_than_dust(self) -> None:
        """An account stays locked if it could not be proven flat."""
        venue = book()
        venue.not_covered = ("inverse",)
        async with engine(venue) as node:
            document = await node.carried_out(Action.CLOSE_ALL, latch=False)
            assert document["lock"]["locked"] is True
            assert node.ledger.get(ACCOUNT).latched


class TestAbort:
    async def test_ends_the_command_and_leaves_the_lock(self) -> None:
        """A person's word: failed, code ABORTED, locked."""
        venue = book()
        venue.interfere = lambda step: refused(step, Refusal.OVERLOADED)
        async with engine(venue) as node:
            closing = await node.submit(Action.CLOSE_ALL, latch=False)
            command_id = closing.document["command_id"]
            await node.until_state(command_id, CommandState.RUNNING)
            aborted = await node.desk.abort(UUID(command_id), by="me", reason="enough")
            assert aborted is not None
            document = await node.ending(command_id)
            assert document["state"] == "failed"
            assert document["errors"][-1]["code"] == "ABORTED"
            assert node.ledger.get(ACCOUNT).latched

    async def test_says_so_when_nothing_is_live(self) -> None:
        """There is nothing to abort."""
        async with engine(book()) as node:
            done = await node.carried_out(Action.CLOSE_ALL)
            assert await node.desk.abort(UUID(done["command_id"]), by="me", reason=None) is None


class TestDrill:
    async def test_reads_plans_and_probes_but_places_nothing(self) -> None:
        """No lock, no epoch, no order."""
        async with engine(book()) as node:
            await node.armed()
            document = await node.carried_out(Action.CLOSE_ALL, dry_run=True)
            assert document["verdict"] == "drill_passed"
            assert document["planned"]["closes"] == 2
            assert node.venue.calls["probe"] == 1
            assert node.venue.steps == []
            assert node.ledger.get(ACCOUNT).epoch == 0

    async def test_fails_where_a_slice_cannot_be_read(self) -> None:
        """A drill that cannot see everything has not shown anything."""
        venue = book()
        async with engine(venue) as node:
            await node.armed()
            venue.unreadable[LINEAR] = VenueUnavailable("gone")
            document = await node.carried_out(Action.CLOSE_ALL, dry_run=True)
        assert document["state"] == "failed"
        assert document["verdict"] == "drill_failed"

    async def test_tells_what_would_be_left_and_which_way_it_would_lean(self) -> None:
        """A basis book: the futures would go, the coin would stay."""
        venue = FakeVenue(
            positions=[position(BTC, "1", PositionSide.SHORT), position(ETH, "5")],
            balances=[Balance(slice=SPOT, asset="BTC", free=Decimal(1))],
        )
        venue.markets[ETH] = rules(ETH, trading=False)
        async with engine(venue) as node:
            await node.armed()
            document = await node.carried_out(Action.CLOSE_ALL, dry_run=True)
        assert document["verdict"] == "drill_passed"
        assert [(each["name"], each["quantity"], each["verdict"]) for each in document["left_over"]] == [
            ("BTC", "1", "held"),
            (ETH, "5", "market_closed"),
        ]
        assert document["net_exposure"] == [{"asset": "BTC", "value": "1"}, {"asset": "ETH", "value": "5"}]
        assert document["predicted_ms"] > 0

    async def test_of_flatten_tells_what_could_not_be_sold(self) -> None:
        """Without a price nothing is dust, and the drill says so."""
        venue = TestFlatten().venue()
        async with engine(venue, keep=frozenset({"BNB"})) as node:
            await node.armed()
            document = await node.carried_out(Action.FLATTEN, dry_run=True)
            left = {each["name"]: each["verdict"] for each in document["left_over"]}
            # WAN goes over BTC in parts; a fee leaves less than can be sold.
            assert (document["verdict"], left) == ("drill_passed", {"DOGE": "dust", "BNB": "held", "BTC": "dust"})
            assert document["planned"]["sales"] == 1 + 5 + 4
            del venue.prices["DOGE/USDT"]
            unpriced = await node.carried_out(Action.FLATTEN, dry_run=True)
        assert unpriced["verdict"] == "drill_failed"
        assert [each["code"] for each in unpriced["errors"]] == ["UNPRICED"]
        assert {each["name"]: each["verdict"] for each in unpriced["left_over"]}["DOGE"] == "unsellable"

    async def test_counts_orders_also_those_that_go_after_their_positions(self) -> None:
        """Not steps; all books."""
        venue = book()
        venue.orders += [order("SOL/USDT", "second"), order(BTC, "another")]
        async with engine(venue) as node:
            await node.armed()
            document = await node.carried_out(Action.CLOSE_ALL, dry_run=True)
            real = await node.carried_out(Action.CLOSE_ALL)
        assert document["planned"] == {"closes": 2, "cancels": 5, "sales": 0}
        assert (real["orders"]["placed"], real["orders"]["cancelled"]) == (2, 5)

    async def test_does_not_count_the_protection_of_what_stays(self) -> None:
        """A market that is closed: the position keeps its stop."""
        venue = book()
        venue.markets[BTC] = rules(BTC, trading=False)
        async with engine(venue) as node:
            await node.armed()
            document = await node.carried_out(Action.CLOSE_ALL, dry_run=True)
        assert document["planned"]["cancels"] == 2

    async def test_of_some_symbols_tells_the_exposure_of_the_whole_account(self) -> None:
        """The other leg is in a slice that the command is not about."""
        venue = FakeVenue(
            positions=[position(BTC, "1", PositionSide.SHORT), position(ETH, "5")],
            balances=[Balance(slice=SPOT, asset="BTC", free=Decimal(1))],
        )
        async with engine(venue) as node:
            await node.armed()
            document = await node.carried_out(Action.CLOSE_ALL, dry_run=True, symbols=(BTC,))
        assert document["scope"] == [LINEAR]
        assert document["net_exposure"] == [{"asset": "BTC", "value": "1"}, {"asset": "ETH", "value": "5"}]
        assert document["left_over"] == []

    async def test_fails_where_a_position_has_no_rules_to_go_by(self) -> None:
        """What the most is that one order may close is not known."""
        venue = book()
        del venue.markets[BTC]
        async with engine(venue) as node:
            await node.armed()
            document = await node.carried_out(Action.CLOSE_ALL, dry_run=True)
        assert document["verdict"] == "drill_failed"
        assert [(each["code"], each["symbol"]) for each in document["errors"]] == [("UNLISTED", BTC)]

    async def test_reads_as_a_proof_does(self) -> None:
        """In causal order, so that its length is the real proof's."""
        async with engine(book()) as node:
            await node.armed()
            await node.carried_out(Action.CLOSE_ALL, dry_run=True)
            assert node.venue.calls["read_proof:linear"] == 1

    async def test_gives_way_to_a_real_command(self) -> None:
        """The drill ends as preempted, the command is carried out."""
        venue = book()
        async with engine(venue) as node:
            await node.armed()
            venue.probing.clear()
            drill = await node.submit(Action.CLOSE_ALL, dry_run=True)
            await venue.probed.wait()
            real = await node.submit(Action.CLOSE_ALL)
            ended = await node.ending(drill.document["command_id"])
            assert ended["verdict"] == "drill_failed"
            assert ended["errors"][0]["code"] == "PREEMPTED"
            assert (await node.ending(real.document["command_id"]))["verdict"] == "flat"

    @pytest.mark.parametrize("begun", [False, True])
    async def test_ends_once_whenever_a_real_command_comes(self, begun: bool) -> None:
        """Also before its first step: both were accepted together."""
        venue = book()
        async with engine(venue) as node:
            await node.armed()
            actor = node.dispatcher.actors[ACCOUNT]
            drill, real = asyncio.create_task(node.submit(Action.CLOSE_ALL, dry_run=True)), None
            if begun:
                venue.probing.clear()
                await venue.probed.wait()
            real = asyncio.create_task(node.submit(Action.CLOSE_ALL))
            submissions = await asyncio.gather(drill, real)
            ended, done = [await node.ending(each.document["command_id"]) for each in submissions]
            events = await node.journal.events(UUID(ended["command_id"]))
            assert actor.drilling == ()
        assert [each["code"] for each in ended["errors"]] == ["PREEMPTED"]
        assert [each["state"] for each in events] == ["accepted", "failed"]
        assert done["verdict"] == "flat"

    async def test_is_not_preempted_by_the_end_of_the_node(self) -> None:
        """No command came: the next run finds the drill interrupted."""
        venue = book()
        async with engine(venue) as node:
            await node.armed()
            venue.probing.clear()
            drill = await node.submit(Action.CLOSE_ALL, dry_run=True)
            await venue.probed.wait()
            (running,) = [task for task in asyncio.all_tasks() if task.get_name().startswith("drill:")]
            running.cancel()
            await asyncio.wait([running])
            await asyncio.sleep(0.05)
            found = await node.desk.result(UUID(drill.document["command_id"]))
            assert node.dispatcher.actors[ACCOUNT].drilling == ()
        assert found is not None
        assert found["state"] == "accepted"


class TestWhatIsLost:
    async def test_flatten_fails_where_the_derivatives_cannot_be_closed(self) -> None:
        """Balances are not sold while positions stand; waiting for ever would tell nobody."""
        venue = TestFlatten().venue()
        venue.interfere = lambda step: refused(step, Refusal.PERMISSION) if isinstance(step, ClosePosition) else None
        async with engine(venue) as node:
            document = await node.carried_out(Action.FLATTEN)
        assert (document["state"], document["verdict"]) == ("failed", "not_flat")
        assert venue.calls["SellSpot"] == 0

    async def test_a_stop_stays_with_a_position_that_is_too_small_to_be_closed(self) -> None:
        """The command ends; position and stop are what is left."""
        venue = FakeVenue(
            positions=[position(BTC, "0.01")], orders=[order(BTC, "stop", Side.SELL, reduce_only=True, trigger=True)]
        )
        venue.interfere = lambda step: refused(step, Refusal.TOO_SMALL) if isinstance(step, ClosePosition) else None
        async with engine(venue) as node:
            document = await node.carried_out(Action.CLOSE_ALL)
        assert document["verdict"] == "flat_with_residue"
        assert [each.order_id for each in venue.orders] == ["stop"]

    async def test_an_overloaded_venue_does_not_use_up_the_tries_of_an_order_that_is_not_listed(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It said nothing about the order."""
        monkeypatch.setattr("node.engine.setbacks.PAUSE_MAX_S", 0.01)
        venue = book()
        refusals = iter(range(12))
        venue.interfere = lambda step: (
            refused(step, Refusal.OVERLOADED)
            if isinstance(step, CancelOrders) and "entry" in step.order_ids and next(refusals, None) is not None
            else None
        )
        async with engine(venue, execution=ExecutionTerms(deadline_s=30)) as node:
            await node.armed()
            venue.unlisted = {"entry"}
            document = await node.carried_out(Action.CLOSE_ALL)
        assert document["verdict"] == "flat"
        assert (venue.orders, next(refusals, None)) == ([], None)

    async def test_the_direction_that_is_left_is_the_whole_accounts(self) -> None:
        """Also after a close of some symbols only: the spot leg is part of it."""
        venue = FakeVenue(
            positions=[position(BTC, "1", PositionSide.SHORT)],
            balances=[Balance(slice=SPOT, asset="BTC", free=Decimal(1))],
        )
        async with engine(venue) as node:
            await node.armed()
            document = await node.carried_out(Action.CLOSE_ALL, symbols=(BTC,))
        assert document["net_exposure"] == [{"asset": "BTC", "value": "1"}]

    async def test_a_fault_of_ours_in_one_slice_leaves_the_others(self) -> None:
        """It is logged, and tried again."""
        venue = book()
        faults = iter([True, True])

        def reads(name: str) -> None:
            if name == SPOT and next(faults, False):
                raise OverflowError("a fault of ours")

        venue.before_reading = reads
        with structlog.testing.capture_logs() as logs:
            async with engine(venue) as node:
                assert (await node.carried_out(Action.CLOSE_ALL))["verdict"] == "flat"
        events = [entry["event"] for entry in logs]
        assert "slice_crashed" in events
        assert "pursuit_crashed" not in events


class TestPricesOfSales:
    def sold(self, answers: list[Refusal | None]) -> tuple[FakeVenue, list[Decimal]]:
        """A coin whose sale is answered so, one after the other; and the prices that were asked."""
        venue = TestFlatten().venue()
        venue.positions = []
        venue.balances = [Balance(slice=SPOT, asset="ETH", free=Decimal(3))]
        replies, prices = iter(answers), []

        def reply(step: Step) -> StepResult | None:
            if not isinstance(step, SellSpot):
                return None
            prices.append(step.limit_price)
            answer = next(replies, None)
            return refused(step, answer) if answer else None

        venue.interfere = reply
        return venue, prices

    async def test_widen_where_nobody_buys(self) -> None:
        """5, then 10 per cent below the bid of 1000."""
        venue, prices = self.sold([Refusal.UNFILLED])
        async with engine(venue) as node:
            assert (await node.carried_out(Action.FLATTEN))["verdict"] == "flat"
        assert prices == [950, 900]

    async def test_narrow_where_the_venues_band_forbids_the_price(self) -> None:
        """A wider one would be refused again."""
        venue, prices = self.sold([Refusal.PRICE_BAND, Refusal.PRICE_BAND])
        async with engine(venue) as node:
            assert (await node.carried_out(Action.FLATTEN))["verdict"] == "flat"
        assert prices == [950, 975, Decimal("987.5")]

    async def test_end_as_refused_where_neither_helps(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Named, and the account stays locked."""
        monkeypatch.setattr("node.engine.setbacks.PAUSE_MAX_S", 0.05)
        venue, prices = self.sold([Refusal.PRICE_BAND, Refusal.UNFILLED] * 10)
        async with engine(venue) as node:
            document = await node.carried_out(Action.FLATTEN, latch=False)
        assert [(each["asset"], each["verdict"]) for each in document["balances"]] == [("ETH", "refused")]
        assert document["lock"]["locked"] is True
        assert len(prices) == 6


#: Nobody else reads.
UNGUARDED = ExecutionTerms(guard=GuardModes(after_lock=GuardMode.OFF, after_close=GuardMode.OFF))


class TestChain:
    """A proof goes back to the look that ran beside the closes, if that has shown no trigger."""

    async def test_without_triggers_the_first_proof_is_chained_to_the_look_beside_the_closes(self) -> None:
        """Begun after the command, answered before the proof."""
        venue = FakeVenue(positions=[position(BTC, "1.2")], orders=[order(BTC, "entry")], look_every_s=600.0)
        async with engine(venue, execution=UNGUARDED) as node:
            await node.armed()
            before_ns = monotonic_ns()
            document = await node.carried_out(Action.CLOSE_ALL)
            assert document["verdict"] == "flat"
        for name in (LINEAR, SPOT):
            (since_ns,) = venue.chained[name]
            assert since_ns is not None
            assert since_ns > before_ns

    async def test_with_a_trigger_the_proof_is_read_in_order(self) -> None:
        """It was cancelled, or it has fired: only an order of reading tells."""
        venue = FakeVenue(positions=[position(BTC, "1.2")], look_every_s=600.0)
        async with engine(venue, execution=UNGUARDED) as node:
            await node.armed()
            venue.orders.append(replace(order(BTC, "stop"), trigger=True))
            document = await node.carried_out(Action.CLOSE_ALL)
            assert (document["verdict"], venue.orders) == ("flat", [])
        assert set(venue.chained[LINEAR]) == {None}

    async def test_where_configuration_asks_for_it_every_proof_is_read_in_order(self) -> None:
        """For engines that may go on placing triggers under the lock."""
        venue = FakeVenue(positions=[position(BTC, "1.2")], look_every_s=600.0)
        async with engine(venue, execution=replace(UNGUARDED, causal_proof=True)) as node:
            await node.armed()
            assert (await node.carried_out(Action.CLOSE_ALL))["verdict"] == "flat"
        assert set(venue.chained[LINEAR]) == set(venue.chained[SPOT]) == {None}

    async def test_the_second_proof_of_a_hold_is_read_in_order(self) -> None:
        """Nothing that was seen before the settling time counts for it."""
        venue = FakeVenue(positions=[position(BTC, "1.2")], look_every_s=600.0)
        terms = replace(UNGUARDED, latch_by_default=False, settle_s=0.01)
        async with engine(venue, execution=terms) as node:
            await node.armed()
            assert (await node.carried_out(Action.CLOSE_ALL))["verdict"] == "flat"
        first, second = venue.chained[LINEAR]
        assert first is not None
        assert second is None


class TestFewRequests:
    @pytest.mark.parametrize(("respite_s", "looks"), [(0.0, 2), (2.0, 1)])
    async def test_a_budget_that_is_nearly_spent_is_kept_for_the_proof(self, respite_s: float, looks: int) -> None:
        """What was seen lately is closed from memory; the proof sees what a look beside it would have seen."""
        venue = FakeVenue(
            positions=[position(BTC, "1.2")], orders=[order(BTC, "entry")], look_every_s=600.0, streams=True
        )
        async with engine(venue, execution=UNGUARDED) as node:
            await node.armed()
            await until(lambda: node.dispatcher.actors[ACCOUNT].healthy)
            venue.respite = respite_s
            before = reads(venue)
            document = await node.carried_out(Action.CLOSE_ALL)
            assert document["verdict"] == "flat"
            assert reads(venue) - before == looks

    async def test_what_the_proof_finds_is_closed_all_the_same(self) -> None:
        """It had been opened since the view was read."""
        venue = FakeVenue(positions=[position(BTC, "1.2")], look_every_s=600.0, streams=True)
        async with engine(venue, execution=UNGUARDED) as node:
            await node.armed()
            await until(lambda: node.dispatcher.actors[ACCOUNT].healthy)
            venue.respite = 2.0
            venue.markets[ETH] = rules(ETH)
            venue.positions.append(position(ETH, "5"))
            venue.orders.append(order(ETH, "new"))
            document = await node.carried_out(Action.CLOSE_ALL)
            assert (document["verdict"], venue.positions, venue.orders) == ("flat", [], [])

    async def test_a_young_view_that_shows_nothing_to_close_is_proven_at_once(self) -> None:
        """And what it has shown of balances is what was there before."""
        venue = FakeVenue(balances=[Balance(slice=SPOT, asset="ETH", free=Decimal(2))], look_every_s=600.0)
        async with engine(venue, execution=UNGUARDED) as node:
            await until(lambda: node.dispatcher.actors[ACCOUNT].healthy)
            venue.respite = 2.0
            looks = [venue.calls[f"read_slice:{name}"] for name in venue.slices]
            document = await node.carried_out(Action.CLOSE_ALL)
            assert [venue.calls[f"read_slice:{name}"] for name in venue.slices] == looks
        assert [(each["asset"], each["before"], each["after"]) for each in document["balances"]] == [("ETH", "2", "2")]

    async def test_an_old_view_that_shows_nothing_is_looked_at_again_before_the_proof(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A proof waits for other slices, and asks for one list after the other: what was opened meanwhile must not."""
        venue = SlowProofs(look_every_s=600.0, streams=True)
        async with engine(venue, execution=UNGUARDED) as node:
            await node.armed()
            await until(lambda: node.dispatcher.actors[ACCOUNT].healthy)
            monkeypatch.setattr(view, "WARM_MAX_NS", 0)  # every view is an old one, and may still be started from
            venue.respite = 2.0
            venue.markets[BTC] = rules(BTC)
            venue.positions.append(position(BTC, "1.2"))
            submission = await node.submit(Action.CLOSE_ALL)
            await until(lambda: venue.positions == [])
            assert (await node.ending(submission.document["command_id"]))["verdict"] == "flat"

    async def test_a_proof_that_was_refused_for_the_rate_is_tried_again_without_a_look(
        self,
    ) -> None:
        """Once; if it is refused again, positions are looked at by themselves."""
        venue = LimitedProofs(positions=[position(BTC, "1.2")], look_every_s=600.0, streams=True)
        async with engine(venue, execution=UNGUARDED) as node:
            await node.armed()
            await until(lambda: node.dispatcher.actors[ACCOUNT].healthy)
            looks = venue.calls[f"read_slice:{LINEAR}"]
            venue.respite, venue.limits = 0.001, 1
            document = await node.carried_out(Action.CLOSE_ALL)
            assert document["verdict"] == "flat"
            assert venue.limits == 0
            assert venue.calls[f"read_slice:{LINEAR}"] == looks

    async def test_where_proofs_go_on_being_refused_what_opens_is_closed_all_the_same(self) -> None:
        """A look may get through where a proof does not."""
        venue = LimitedProofs(positions=[position(BTC, "1.2")], look_every_s=600.0, streams=True)
        async with engine(venue, execution=UNGUARDED) as node:
            await node.armed()
            await until(lambda: node.dispatcher.actors[ACCOUNT].healthy)
            venue.respite, venue.limits = 0.001, 1_000
            await node.submit(Action.CLOSE_ALL)
            await until(lambda: venue.positions == [])
            venue.markets[ETH] = rules(ETH)
            venue.positions.append(position(ETH, "5"))
            await until(lambda: venue.positions == [])


class TestOrdersThatTheViewHasNotShown:
    @pytest.mark.parametrize("symbol", [BTC, "SOL/USDT"])
    async def test_are_cancelled_beside_those_that_it_has_shown(self, symbol: str) -> None:
        """A cancel that is slow to be answered must not leave a newer order of the same market to fill."""
        venue = SlowCancel(orders=[order(symbol, "old")], look_every_s=600.0)
        async with engine(venue, execution=UNGUARDED) as node:
            await until(lambda: node.dispatcher.actors[ACCOUNT].healthy)
            venue.orders.append(order(symbol, "new"))
            submission = await node.submit(Action.CLOSE_ALL)
            async with asyncio.timeout(PATIENCE_S / 2):
                await until(lambda: not any(each.order_id == "new" for each in venue.orders))
            venue.answered.set()
            assert (await node.ending(submission.document["command_id"]))["verdict"] == "flat"
        assert venue.cancelled.count(("old",)) == 1


class TestTheProofAfterARound:
    async def test_shows_the_positions_that_the_round_has_left(self) -> None:
        """They are not read for themselves as well."""
        venue = FakeVenue(positions=[position(BTC, "1.2"), position(ETH, "5")], look_every_s=600.0)
        async with engine(venue, execution=UNGUARDED) as node:
            await until(lambda: venue.calls["rehearse"] == TIMES)
            looks = venue.calls[f"read_positions:{LINEAR}"]
            assert (await node.carried_out(Action.CLOSE_ALL))["verdict"] == "flat"
        assert venue.calls[f"read_positions:{LINEAR}"] == looks
        assert venue.calls[f"read_proof:{LINEAR}"] == 1

    async def test_does_not_show_them_where_it_would_come_later(self) -> None:
        """A venue that is asked for one list after the other is asked for the positions at once."""
        venue = InTurn(positions=[position(BTC, "1.2"), position(ETH, "5")], look_every_s=600.0)
        async with engine(venue, execution=UNGUARDED) as node:
            await until(lambda: venue.calls["rehearse"] == TIMES)
            looks = venue.calls[f"read_positions:{LINEAR}"]
            assert (await node.carried_out(Action.CLOSE_ALL))["verdict"] == "flat"
        assert venue.calls[f"read_positions:{LINEAR}"] == looks + 1

    async def test_is_not_waited_for_where_a_close_was_refused(self) -> None:
        """It would show that there is more to do, for the price of four requests; nor in the round after that."""
        venue, refusing = FakeVenue(positions=[position(BTC, "1.2")], look_every_s=600.0), [1]
        venue.interfere = lambda step: refused(step, Refusal.OTHER) if refusing and refusing.pop() else None
        async with engine(venue, execution=UNGUARDED) as node:
            await until(lambda: venue.calls["rehearse"] == TIMES)
            looks = venue.calls[f"read_positions:{LINEAR}"]
            assert (await node.carried_out(Action.CLOSE_ALL))["verdict"] == "flat"
        assert venue.calls[f"read_positions:{LINEAR}"] == looks + 2

    async def test_is_not_waited_for_where_less_was_traded_than_asked_for(self) -> None:
        """The next order must not wait for a proof, which takes longer where it shows something."""
        venue = SlowProofs(positions=[position(BTC, "1.2")], look_every_s=600.0)

        def thin(step: Step) -> StepResult | None:
            if isinstance(step, ClosePosition) and step.contracts == Decimal("1.2"):
                venue.positions = [position(BTC, "0.7")]
                return StepResult(step=step, outcome=Outcome.DONE, filled=Decimal("0.5"))
            return None

        venue.interfere = thin
        async with engine(venue, execution=UNGUARDED) as node:
            await until(lambda: venue.calls["rehearse"] == TIMES)
            submission = await node.submit(Action.CLOSE_ALL)
            await until(lambda: venue.positions == [])
            venue.proving.set()
            assert (await node.ending(submission.document["command_id"]))["verdict"] == "flat"

    async def test_is_not_waited_for_where_more_is_held_than_the_view_has_shown(self) -> None:
        """The venue closes all that was asked for: that is not all."""
        venue = SlowProofs(positions=[position(BTC, "1")], look_every_s=600.0)
        async with engine(venue, execution=UNGUARDED) as node:
            await until(lambda: venue.calls["rehearse"] == TIMES)
            venue.positions = [position(BTC, "3")]
            submission = await node.submit(Action.CLOSE_ALL)
            await until(lambda: venue.positions == [])
            venue.proving.set()
            assert (await node.ending(submission.document["command_id"]))["verdict"] == "flat"

    async def test_that_is_refused_for_the_number_of_requests_is_tried_again_without_a_look(self) -> None:
        """It shows as much, and costs no more."""
        venue = LimitedProofs(positions=[position(BTC, "1.2")], look_every_s=600.0)
        async with engine(venue, execution=UNGUARDED) as node:
            await until(lambda: venue.calls["rehearse"] == TIMES)
            looks, venue.limits = venue.calls[f"read_slice:{LINEAR}"], 1
            assert (await node.carried_out(Action.CLOSE_ALL))["verdict"] == "flat"
        assert venue.calls[f"read_slice:{LINEAR}"] == looks + 1

    async def test_that_shows_a_position_still_there_begins_the_next_round(self) -> None:
        """The venue calls a close done that has done nothing."""
        venue, deaf = FakeVenue(positions=[position(BTC, "1.2"), position(ETH, "5")], look_every_s=600.0), [1]

        def again(step: Step) -> None:
            if deaf and isinstance(step, ClosePosition) and step.symbol == BTC:
                deaf.pop()
                venue.positions.append(position(BTC, "0.2"))

        venue.afterwards = again
        async with engine(venue, execution=UNGUARDED) as node:
            await until(lambda: venue.calls["rehearse"] == TIMES)
            assert (await node.carried_out(Action.CLOSE_ALL))["verdict"] == "flat"
        assert [step.contracts for step in venue.steps if isinstance(step, ClosePosition) and step.symbol == BTC] == [
            Decimal("1.2"),
            Decimal("0.2"),
        ]

    async def test_does_not_wait_for_a_slice_in_which_nothing_is_known(self) -> None:
        """Nothing will be done there that would make it worthless; if there is, it is read again."""
        venue = SlowSlice(positions=[position(BTC, "1.2")], look_every_s=600.0)
        async with engine(venue, execution=UNGUARDED) as node:
            await until(lambda: venue.calls["rehearse"] == TIMES)
            venue.answered.clear()
            submission = await node.submit(Action.CLOSE_ALL)
            async with asyncio.timeout(QUIET_WITHIN_S * 0.9):
                await until(lambda: venue.calls[f"read_proof:{LINEAR}"] == 1)
            venue.orders.append(order("SOL/USDT", "late"))
            venue.markets["SOL/USDT"] = rules("SOL/USDT")
            venue.answered.set()
            assert (await node.ending(submission.document["command_id"]))["verdict"] == "flat"
            assert venue.orders == []
            assert venue.calls[f"read_proof:{LINEAR}"] == 2


class Leaving(FakeVenue):
    """Counts the steps that have begun, and what they are said to be among."""

    leaving = 0
    most = 0
    two_left: asyncio.Event

    def __post_init__(self) -> None:
        super().__post_init__()
        self.two_left = asyncio.Event()

    async def execute(self, step: Step, *, among: int = 1) -> StepResult:
        """As the venue has it."""
        self.leaving += 1
        if self.leaving == 2:
            self.two_left.set()
        self.most = max(self.most, among)
        return await super().execute(step, among=among)


class Watched(FakeVenue):
    """Notes which slices are at work when a step begins."""

    at_work: list[list[str]]

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_work = []

    async def execute(self, step: Step, *, among: int = 1) -> StepResult:
        """As the venue has it."""
        names = [task.get_name() for task in asyncio.all_tasks()]
        self.at_work.append([name.rpartition(":")[2] for name in names if name.startswith("slice:")])
        return await super().execute(step, among=among)


class InTurn(FakeVenue):
    """Proves with one list after the other, whatever it may go back to."""

    def proves_at_once(self, slice_name: str) -> bool:
        """None."""
        return slice_name not in self.slices


class SlowCancel(FakeVenue):
    """Does not answer the first cancel before it is let."""

    answered: asyncio.Event
    cancelled: list[tuple[str, ...]]

    def __post_init__(self) -> None:
        super().__post_init__()
        self.answered, self.cancelled = asyncio.Event(), []

    async def execute(self, step: Step, *, among: int = 1) -> StepResult:
        """As the venue has it, then."""
        if isinstance(step, CancelOrders):
            self.cancelled.append(step.order_ids)
            if len(self.cancelled) == 1:
                await self.answered.wait()
        return await super().execute(step, among=among)


class SlowProofs(FakeVenue):
    """Proves nothing while there are positions, before it is let."""

    proving: asyncio.Event

    def __post_init__(self) -> None:
        super().__post_init__()
        self.proving = asyncio.Event()

    async def read_proof(self, slice_name: str, *, no_triggers_since_ns: int | None = None) -> SliceSnapshot:
        """As the venue has it, then."""
        if slice_name == LINEAR and self.positions:
            await self.proving.wait()
        return await super().read_proof(slice_name, no_triggers_since_ns=no_triggers_since_ns)


class SlowSlice(FakeVenue):
    """Shows nothing of spot before it is let."""

    answered: asyncio.Event

    def __post_init__(self) -> None:
        super().__post_init__()
        self.answered = asyncio.Event()
        self.answered.set()

    async def _read(self, what: str, name: str) -> SliceSnapshot:
        if name == SPOT:
            await self.answered.wait()
        return await super()._read(what, name)


class LimitedProofs(FakeVenue):
    """Refuses so many proofs for the number of requests."""

    limits = 0

    async def read_proof(self, slice_name: str, *, no_triggers_since_ns: int | None = None) -> SliceSnapshot:
        """As the venue has it, once it may be asked."""
        if slice_name == LINEAR and self.limits:
            self.limits -= 1
            raise VenueLimited("429")
        return await super().read_proof(slice_name, no_triggers_since_ns=no_triggers_since_ns)


def reads(venue: FakeVenue) -> int:
    """Whole reads of the slice of contracts."""
    return venue.calls[f"read_slice:{LINEAR}"] + venue.calls[f"read_proof:{LINEAR}"]


async def turns() -> None:
    """As many as anything that waits for nothing needs."""
    for _ in range(50):
        await asyncio.sleep(0)


class Interrupted(FakeVenue):
    """In the middle of a rehearsal another account is about to send orders."""

    departures: Departures | None = None

    async def rehearse(self, step: Step) -> None:
        await super().rehearse(step)
        if self.departures is not None and self.calls["rehearse"] == 3:
            self.departures.announce(OTHER, [LINEAR])


class TestRehearsal:
    async def test_an_account_with_a_position_rehearses_its_close_once_it_is_ready(self) -> None:
        """Before anybody asks for it; nothing is done."""
        venue = FakeVenue(positions=[position(BTC, "1.2"), position(ETH, "5")])
        async with engine(venue) as node:
            await until(lambda: venue.calls["rehearse"] == TIMES)
            assert node.journal.calls["rehearse"] == TIMES
            assert await node.journal.unfinished() == []
        assert venue.steps == []

    async def test_other_accounts_of_the_exchange_rehearse_what_is_their_own(self) -> None:
        """What is the same for all has been exercised by then: a hundred accounts are ready soon."""
        venues = [FakeVenue(positions=[position(BTC, "1.2")]) for _ in range(3)]
        async with engine(*venues):
            await until(lambda: sum(venue.calls["rehearse"] for venue in venues) == TIMES + 2 * TIMES_AGAIN)
        assert sorted(venue.calls["rehearse"] for venue in venues) == [TIMES_AGAIN, TIMES_AGAIN, TIMES]

    @pytest.mark.parametrize(
        ("before", "times"),
        [(("fake", LINEAR), TIMES_AGAIN), (("fake", "inverse"), TIMES), (("another", LINEAR), TIMES)],
    )
    async def test_another_slice_and_another_exchange_have_code_of_their_own(
        self, before: tuple[str, str], times: int
    ) -> None:
        """What is the same for all is the same for one slice of one exchange."""
        venue = FakeVenue(positions=[])
        async with engine(venue) as node:
            actor = node.dispatcher.actors[ACCOUNT]
            await until(lambda: actor.healthy)
            actor.context.rehearsed.add(before)
            venue.positions = [position(BTC, "1.2")]
            await actor.context.view.sweep()
            await until(lambda: actor.context.rehearsed >= {before, ("fake", LINEAR)} and venue.calls["rehearse"])
            await until(lambda: actor._rehearsal is not None and actor._rehearsal.done())
            assert venue.calls["rehearse"] == times

    async def test_lets_orders_go_first(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Those of a command that comes to another account, before it begins or in the middle."""
        monkeypatch.setattr(departures_module, "HEAD_START_S", 60.0)
        venue = Interrupted(positions=[])
        async with engine(venue) as node:
            actor = node.dispatcher.actors[ACCOUNT]
            departures = actor.context.departures
            await until(lambda: actor.healthy)
            departures.announce(OTHER, [LINEAR])
            venue.positions = [position(BTC, "1.2")]
            await actor.context.view.sweep()
            await turns()
            assert node.journal.calls["rehearse"] == 0
            venue.departures = departures
            departures.left(OTHER)
            await until(lambda: venue.calls["rehearse"] == 3)
            await turns()
            assert venue.calls["rehearse"] == 3
            departures.left(OTHER)
            await until(lambda: venue.calls["rehearse"] == TIMES)

    async def test_without_a_position_there_is_nothing_to_rehearse_with(self) -> None:
        """It waits for one."""
        venue = FakeVenue(positions=[])
        async with engine(venue) as node:
            await node.armed()
            await until(lambda: node.dispatcher.actors[ACCOUNT].healthy)
            assert venue.calls["rehearse"] == 0


class TestDepartures:
    async def test_a_close_is_announced_the_moment_it_is_accepted(self) -> None:
        """What could be told of it lets its orders go first."""
        venue = FakeVenue(positions=[position(BTC, "1.2")])
        async with engine(venue) as node:
            await until(lambda: venue.calls["rehearse"] == TIMES)
            actor = node.dispatcher.actors[ACCOUNT]
            departures = actor.context.departures
            actor.accept(make_command(ACCOUNT, Action.CLOSE_ALL), Stopwatch(received_ns=monotonic_ns()))
            assert departures.pending(ACCOUNT, LINEAR)
            await until(lambda: not departures.pending(ACCOUNT, LINEAR))
            assert venue.steps

    async def test_each_close_leaves_while_the_next_is_still_to_be_planned(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The first order's bytes do not wait for twenty plans."""
        symbols = [f"{coin}/USDT:USDT" for coin in ("BTC", "ETH", "SOL")]
        venue, sent_before = Leaving(positions=[position(symbol, "1") for symbol in symbols]), list[int]()

        def watched(*given: Any, **named: Any) -> Iterator[Chain]:
            for chain in plan_chains(*given, **named):
                sent_before.append(venue.leaving)
                yield chain

        async with engine(venue, execution=UNGUARDED) as node:
            await until(lambda: venue.calls["rehearse"] == TIMES)
            monkeypatch.setattr(slice_worker, "plan_chains", watched)
            assert (await node.carried_out(Action.CLOSE_ALL))["verdict"] == "flat"
        assert sent_before == [0, 1, 2]

    async def test_closes_count_as_leaving_together_if_they_are_wanted(self) -> None:
        """Few leave each with a request of its own, whatever else the account holds."""
        symbols = [f"{coin}/USDT:USDT" for coin in ("BTC", "ETH", "SOL", "XRP")]
        venue = Leaving(positions=[position(symbol, "1") for symbol in symbols])
        async with engine(venue, execution=UNGUARDED) as node:
            await until(lambda: venue.calls["rehearse"] == TIMES)
            await node.carried_out(Action.CLOSE_ALL, symbols=tuple(symbols[:2]))
        assert venue.most == 2

    async def test_what_was_there_is_told_although_planning_fails_half_way(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What has left by then closes what no later read can show."""
        symbols = [f"{coin}/USDT:USDT" for coin in ("BTC", "ETH", "SOL")]
        venue = FakeVenue(positions=[position(symbol, "1") for symbol in symbols])

        def failing(*given: Any, fresh: bool, **named: Any) -> Iterator[Chain]:
            yield from islice(plan_chains(*given, fresh=fresh, **named), None if fresh else 2)
            if not fresh:
                raise ArithmeticError("a number that nobody has thought of")

        async with engine(venue, execution=UNGUARDED) as node:
            await until(lambda: venue.calls["rehearse"] == TIMES)
            monkeypatch.setattr(slice_worker, "plan_chains", failing)
            document = await node.carried_out(Action.CLOSE_ALL)
        assert document["verdict"] == "flat"
        assert [each["before"] for each in document["positions"]] == ["1"] * 3

    async def test_a_command_that_is_aborted_while_orders_leave_ends_with_what_was_there(self) -> None:
        """A person who stops it must see what is left to them."""
        symbols = [f"C{number}/USDT:USDT" for number in range(20)]
        venue = Leaving(positions=[position(symbol, "1") for symbol in symbols])
        venue.answering.clear()
        async with engine(venue, execution=UNGUARDED) as node:
            await until(lambda: venue.calls["rehearse"] == TIMES)
            submission = await node.submit(Action.CLOSE_ALL)
            await venue.two_left.wait()
            assert venue.leaving < len(symbols)
            command_id = UUID(submission.document["command_id"])
            actor = node.dispatcher.actors[ACCOUNT]
            assert await actor.abort(command_id, ErrorReport(code="ABORTED", message="by a person"))
            document = await node.ending(command_id)
            venue.answering.set()
        assert document["state"] == "failed"
        assert [each["before"] for each in document["positions"]] == ["1"] * 20

    async def test_slices_with_nothing_to_close_begin_after_the_orders_have_left(self) -> None:
        """Each takes as long to begin as an order takes to leave."""
        venue = Watched(positions=[position(BTC, "1.2")])
        async with engine(venue, execution=UNGUARDED) as node:
            await until(lambda: venue.calls["rehearse"] == TIMES)
            assert (await node.carried_out(Action.CLOSE_ALL))["verdict"] == "flat"
        assert venue.at_work == [[LINEAR]]

    async def test_where_nothing_is_held_nothing_is_announced(self) -> None:
        """Nobody waits for orders that will not come."""
        venue = FakeVenue(positions=[])
        async with engine(venue) as node:
            await node.armed()
            actor = node.dispatcher.actors[ACCOUNT]
            actor.accept(make_command(ACCOUNT, Action.CLOSE_ALL), Stopwatch(received_ns=monotonic_ns()))
            assert not actor.context.departures.pending(ACCOUNT, LINEAR)

    async def test_a_close_that_is_aborted_before_it_has_begun_holds_nobody_up(self) -> None:
        """Its orders will not come."""
        venue = FakeVenue(positions=[position(BTC, "1.2")])
        async with engine(venue) as node:
            await until(lambda: venue.calls["rehearse"] == TIMES)
            actor = node.dispatcher.actors[ACCOUNT]
            command = make_command(ACCOUNT, Action.CLOSE_ALL)
            await node.journal.admit([admission(command)])
            actor.accept(command, Stopwatch(received_ns=monotonic_ns()))
            assert await actor.abort(command.command_id, ErrorReport(code="ABORTED", message="no"))
            await until(lambda: not actor.context.departures.pending(ACCOUNT, LINEAR))
        assert venue.steps == []
