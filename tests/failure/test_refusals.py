"""The venue refuses, or takes an order and does not carry it out."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Final

import pytest

from node.domain.result import Document
from node.sim.scenarios import AccountSeed, inverse, linear
from tests.failure.books import HEDGE, ONE_WAY, plain, position, whole_stop
from tests.failure.conftest import Compress
from tests.failure.failures import failure
from tests.failure.stage import Stage, not_flat, stage
from tests.failure.venues import LINEAR, Contract, VenueUnderTest

#: Whatever a venue may say of a close that it does not take.
REASONS: Final = (
    "reduce_only_rejected",
    "counterparty_price",
    "price_below_band",
    "market_quantity_above_maximum",
    "quantity_precision",
    "notional_below_minimum",
    "insufficient_margin",
    "position_side_mismatch",
    "position_limit",
    "duplicate_client_id",
    "market_closed",
    "unknown_symbol",
    "overloaded",
    "too_many_orders",
    "clock",
    "key_denied",
    "unknown_order",
)


def verdict_of(document: Document, the: Stage, market: str) -> set[str]:
    """What the document says about a market's legs."""
    return {each["verdict"] for each in document["positions"] if each["symbol"] == the.symbol(market)}


@failure("rejected_close")
@pytest.mark.parametrize("reason", REASONS)
async def test_a_refused_close_is_tried_again_until_the_position_is_gone(venue: VenueUnderTest, reason: str) -> None:
    """Whatever the reason: the venue's own state is what ends the command."""
    async with stage(venue) as the:
        for contract in venue.contracts:
            the.refuse(reason, market=contract.market, times=2)
        await the.closes_flat()
        assert all(the.count("place", market=contract.market) >= 2 for contract in venue.contracts)


@failure("rejected_close", "stop_lost")
@pytest.mark.parametrize("reason", ["insufficient_margin", "overloaded"])
async def test_a_position_that_cannot_be_closed_keeps_its_stop_and_is_reported(
    venue: VenueUnderTest, contract: Contract, book: AccountSeed, reason: str
) -> None:
    """The others go; the command stays incomplete, and goes on until the venue takes the order."""
    async with stage(venue, book, deadline_s=0.4) as the:
        held, stops = the.held(contract.market), the.protection(contract.market)
        assert stops
        the.refuse(reason, market=contract.market, times=None)
        command = await the.command_close()
        certain = reason != "overloaded" or venue.overload_is_certain
        expected = {"refused"} if certain else {"refused", "unknown"}
        document = await the.incomplete(
            command, lambda told: not_flat(told) and verdict_of(told, the, contract.market) <= expected
        )
        assert document["lock"]["locked"]
        assert the.held(contract.market) == held
        assert the.protection(contract.market) == stops
        assert {each.market for each in the.account.open_positions()} == {the.market(contract.market)}
        the.set(clear=True)
        assert the.flat(await the.ending(command))
        assert the.empty()


@failure("stop_lost", "triggers_survive")
async def test_resting_reductions_give_way_where_the_venue_refuses_the_close_for_them_and_stops_do_not(
    venue: VenueUnderTest,
) -> None:
    """Orders of the usual book stand for the whole position there; conditional ones do not."""
    async with stage(venue, ONE_WAY, faults={"reduce_only_conflict_refused": True}) as the:
        await the.closes_flat()


@failure("stop_lost")
async def test_a_stop_that_closes_the_whole_position_outlives_a_close_that_is_said_to_have_nothing_to_reduce(
    venue: VenueUnderTest, contract: Contract
) -> None:
    """The venue is wrong for a while; the position is not left without its stop for it."""
    async with stage(venue, deadline_s=0.4) as the:
        stops = the.protection(contract.market)
        the.refuse("reduce_only_rejected", market=contract.market, times=None)
        command = await the.command_close()
        await the.incomplete(command)
        assert the.protection(contract.market) == stops
        the.set(clear=True)
        assert the.flat(await the.ending(command))


@failure("ended_without_fill")
async def test_an_order_that_was_taken_and_ended_without_trading_is_no_success(
    venue: VenueUnderTest, contract: Contract, book: AccountSeed
) -> None:
    """The answer looks like an accepted order; its status says expired, and nothing was executed."""
    async with stage(venue, book) as the:
        the.misbehave({"partial_fill": {"fraction": 0}}, "place", market=contract.market, times=3)
        document = await the.closes_flat()
        if venue.tells_fills:
            assert document["orders"]["rejected"] >= 1
        assert the.count("place", market=contract.market) >= 4


@failure("ended_without_fill", "stop_lost")
async def test_orders_that_never_trade_leave_the_position_known_and_protected(
    venue: VenueUnderTest, contract: Contract
) -> None:
    """However often the venue says that it took the order."""
    async with stage(venue, deadline_s=0.4) as the:
        the.misbehave({"partial_fill": {"fraction": 0}}, "place", market=contract.market, times=None)
        command = await the.command_close()
        await the.incomplete(command, not_flat)
        assert the.protection(contract.market)
        the.set(clear=True)
        assert the.flat(await the.ending(command))


@failure("partial_fill")
@pytest.mark.parametrize("fraction", ["0.3", "0.9"])
async def test_partial_fills_are_followed_by_orders_for_the_rest(
    venue: VenueUnderTest, contract: Contract, book: AccountSeed, fraction: str
) -> None:
    """Each order is sized by what the venue shows then, never by what was asked for before."""
    async with stage(venue, book) as the:
        the.misbehave({"partial_fill": {"fraction": fraction}}, "place", market=contract.market, times=4)
        await the.closes_flat()
        assert the.count("place", market=contract.market) >= 4


@failure("partial_fill", "price_band")
async def test_partial_fills_of_price_protected_orders(venue: VenueUnderTest, contract: Contract) -> None:
    """Market orders are refused for the band, and the limits that follow fill in part."""
    async with stage(venue) as the:
        the.misbehave("percent_price_refusal", "place", market=contract.market, times=1)
        the.misbehave({"partial_fill": {"fraction": "0.4"}}, "place", market=contract.market, times=3)
        await the.closes_flat()


@failure("price_band", "market_band")
async def test_market_orders_outside_the_band_are_followed_by_limits(
    venue: VenueUnderTest, contract: Contract, book: AccountSeed
) -> None:
    """The venue takes no market order of that contract at all."""
    async with stage(venue, book) as the:
        the.misbehave("percent_price_refusal", "place", market=contract.market, times=None)
        await the.closes_flat()


@failure("price_band", "stop_lost")
async def test_a_band_that_refuses_every_price_is_waited_out(
    venue: VenueUnderTest, contract: Contract, book: AccountSeed
) -> None:
    """Nothing is claimed, the stop stays, other positions go; when the band moves the position goes too."""
    async with stage(venue, book, deadline_s=0.4) as the:
        the.refuse("price_below_band", market=contract.market, times=None)
        command = await the.command_close()
        await the.incomplete(
            command, lambda told: not_flat(told) and verdict_of(told, the, contract.market) == {"refused"}
        )
        the.set(clear=True)
        assert the.flat(await the.ending(command))


@failure("market_maximum")
@pytest.mark.parametrize("hedge", [False, True], ids=["oneway", "hedge"])
async def test_a_position_above_the_largest_market_order_takes_several_at_once(
    venue: VenueUnderTest, hedge: bool
) -> None:
    """Their sizes add up to the position, both ways of holding it."""
    big = [position(linear("ADA"), "1000000"), position(inverse("BTC"), "7000000")]
    if hedge:
        big += [position(linear("ADA"), "-700000"), position(inverse("BTC"), "-6500000")]
    book = AccountSeed(
        name="big",
        hedge=hedge,
        balances=plain(linear_USDT="4000000", inverse_BTC="200").balances,
        positions=tuple(big),
        triggers=(whole_stop(linear("ADA"), "0.9", sign=-1),),
    )
    async with stage(venue, book) as the:
        document = await the.closes_flat()
        assert document["orders"]["rejected"] == 0


@failure("market_maximum")
async def test_a_maximum_that_is_lower_than_the_venue_says_is_learnt(
    venue: VenueUnderTest, contract: Contract, book: AccountSeed
) -> None:
    """Refused for its size, the order is cut in halves."""
    async with stage(venue, book) as the:
        the.refuse("market_quantity_above_maximum", market=contract.market, times=2)
        await the.closes_flat()


@failure("dust")
async def test_a_position_that_is_too_small_to_be_closed_is_dust(venue: VenueUnderTest) -> None:
    """It is neither called flat nor fought for ever."""
    book = AccountSeed(
        name="small",
        balances=plain().balances,
        positions=(position(linear("BTC"), "1"), position(linear("DOGE"), "10")),
    )
    async with stage(venue, book) as the:
        if venue.rest_of_a_lot is not None:
            the.resize("linear:DOGE/USDT", venue.rest_of_a_lot)
        the.refuse("quantity_below_minimum", market="linear:DOGE/USDT", times=None)
        document = await the.close_all()
        assert (document["state"], document["verdict"]) == ("done", "flat_with_residue")
        assert verdict_of(document, the, "linear:DOGE/USDT") == {"dust"}
        assert the.held("linear:BTC/USDT") == 0
        assert the.count("place", market="linear:DOGE/USDT") <= 4


@failure("dust", "rejected_close")
async def test_a_position_worth_something_is_not_left_behind_because_the_venue_calls_it_too_small(
    venue: VenueUnderTest,
) -> None:
    """Our own rules say that it can be closed: it is tried until it is."""
    book = AccountSeed(name="large", balances=plain().balances, positions=(position(linear("DOGE"), "5000"),))
    async with stage(venue, book, deadline_s=0.4) as the:
        the.refuse("quantity_below_minimum", market="linear:DOGE/USDT", times=None)
        command = await the.command_close()
        await the.incomplete(command, not_flat)
        the.set(clear=True)
        assert the.flat(await the.ending(command))


@failure("overload")
async def test_minutes_of_overload_cost_a_bounded_number_of_requests(
    venue: VenueUnderTest, book: AccountSeed, compress: Compress
) -> None:
    """A minute in two seconds: orders are refused as overloaded, pauses grow, and nothing is lost at the end."""
    compress(PAUSE_MIN_S=0.0017, PAUSE_MAX_S=0.17)
    async with stage(venue, book, deadline_s=2.0) as the:
        the.refuse("overloaded", "place", "cancel", times=None)
        legs = the.closes
        before, began = len(the.witness.requests), time.monotonic()
        command = await the.command_close()
        document = await the.incomplete(command)
        minutes = (time.monotonic() - began) / 2.0
        requests = len(the.witness.requests) - before
        assert document["verdict"] == "not_flat"
        rounds = the.count("place") / legs
        assert rounds <= 40 * minutes, f"{rounds} attempts a position"
        assert requests <= 600 * minutes, f"{requests} requests"
        the.set(clear=True)
        assert the.flat(await the.ending(command))


@failure("overload", "unread_slice")
@pytest.mark.usefixtures("quick_minute")
async def test_an_overloaded_venue_that_cannot_even_be_read_is_left_in_peace(
    venue: VenueUnderTest, compress: Compress
) -> None:
    """Every request is refused; the number of attempts is bounded, and flat is not said."""
    compress(PAUSE_MIN_S=0.0025, PAUSE_MAX_S=0.25)
    async with stage(venue, deadline_s=1.5) as the:
        before = len(the.witness.requests)
        the.refuse("overloaded", *ANYTHING, times=None)
        command = await the.command_close()
        document = await the.incomplete(command)
        assert document["verdict"] == "unknown"
        assert len(the.witness.requests) - before <= 400
        the.set(clear=True)
        assert the.flat(await the.ending(command))


ANYTHING: Final = ("place", "cancel", "positions", "orders", "triggers", "balances", "quotes", "order")


@failure("rejected_close", "hedge_sides")
async def test_a_leg_that_is_refused_does_not_hold_up_the_other(venue: VenueUnderTest) -> None:
    """Hedge mode: the long leg's close is refused, the short one's is not."""
    async with stage(venue, HEDGE, deadline_s=0.4) as the:
        the.refuse("insufficient_margin", market=LINEAR.market, side="sell", times=None)
        command = await the.command_close()

        def told(document: Document) -> bool:
            legs = [each for each in document["positions"] if each["symbol"] == the.symbol(LINEAR.market)]
            sides = {each["side"]: each["verdict"] for each in legs}
            return sides.get("long") == "refused" and sides.get("short") in ("flat", "unknown")

        await the.incomplete(command, told)
        long = Decimal("0.8") / the.market(LINEAR.market).contract_size
        await the.until(lambda: the.held(LINEAR.market) == long)
        assert the.protection(LINEAR.market, "long")
        the.set(clear=True)
        assert the.flat(await the.ending(command))
