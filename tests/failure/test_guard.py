"""What is opened while the account is locked and nobody commands anything."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from node.domain.command import Action
from node.domain.guard_mode import GuardMode, GuardModes
from node.sim.accounts import Account
from node.sim.scenarios import AccountSeed, linear
from tests.failure.books import plain, position
from tests.failure.conftest import Compress
from tests.failure.failures import failure
from tests.failure.stage import Stage, stage
from tests.failure.venues import Contract, VenueUnderTest
from tests.support.engine import ACCOUNT
from tests.support.waiting import until

REVERT = GuardModes(after_lock=GuardMode.REVERT, after_close=GuardMode.REVERT)


def legs(account: Account) -> dict[tuple[Any, ...], Decimal]:
    """Open positions by the venue's own books."""
    return {
        (each.market.product, each.market.symbol, each.leg): each.quantity for each in account.open_positions()
    }  # fmt: skip


def entries(the: Stage) -> list[str]:
    """Orders of derivatives that could open or enlarge a position, and that the venue shows."""
    return [
        order.terms.client_id
        for order in the.account.open_orders.values()
        if order.terms.market.is_contract and not order.terms.only_reduces and the.witness.shows(order)
    ]


def shown(the: Stage) -> set[int]:
    """The numbers of all orders that the venue shows."""
    return {order.order_id for order in the.account.open_orders.values() if the.witness.shows(order)}


async def locked(the: Stage) -> None:
    """LOCK, and wait until the guard has seen what there is, and has done what there was to do."""
    assert (await the.ending(await the.command(Action.LOCK)))["verdict"] == "locked"
    await the.until(lambda: not entries(the))
    guard = the.node.dispatcher.actors[ACCOUNT].guard
    await the.until(lambda: all(each["baseline"] for each in guard.document()["slices"].values()))


@failure("opened_while_locked")
async def test_a_lock_cancels_what_could_open_and_leaves_positions_with_their_protection(
    venue: VenueUnderTest, book: AccountSeed
) -> None:
    """In both books, every slice; stops and reduce-only orders stay."""
    async with stage(venue, book) as the:
        before = legs(the.account)
        protective = {order.order_id for order in the.account.open_orders.values() if order.terms.only_reduces}
        assert entries(the)
        await locked(the)
        assert legs(the.account) == before
        assert shown(the) == protective
        await until(lambda: len({document["slice"] for document in the.node.guarded}) >= len(venue.contracts))
        assert {document["lock"]["epoch"] for document in the.node.guarded} == {1}


@failure("opened_while_locked", "order_in_flight")
async def test_orders_that_come_after_the_lock_are_cancelled(
    venue: VenueUnderTest, contract: Contract, book: AccountSeed
) -> None:
    """The engine has not asked the lock; the venue's stream says so at once."""
    async with stage(venue, book) as the:
        await locked(the)
        before = legs(the.account)
        the.engine_order(contract.market, "30" if contract.product == "inverse" else "0.3", price_factor="0.97")
        assert entries(the)
        await the.until(lambda: not entries(the))
        assert legs(the.account) == before


@failure("opened_while_locked")
async def test_revert_closes_what_exceeds_the_baseline_and_the_hedge_survives(
    venue: VenueUnderTest, contract: Contract, book: AccountSeed
) -> None:
    """One-way and hedge, cross and isolated: by reduce-only or position side, at its size of before the lock."""
    async with stage(venue, book, guard=REVERT) as the:
        await locked(the)
        before = legs(the.account)
        the.engine_order(contract.market, "30" if contract.product == "inverse" else "0.3")
        assert legs(the.account) != before
        await the.until(lambda: legs(the.account) == before)
        assert the.account.counters.sign_flips == 0


@failure("opened_while_locked", "reopens_after")
async def test_what_is_opened_after_a_close_is_closed_again(
    venue: VenueUnderTest, contract: Contract, book: AccountSeed
) -> None:
    """The account was proven flat, and stays locked."""
    async with stage(venue, book) as the:
        await the.closes_flat()
        the.engine_order(contract.market, "30" if contract.product == "inverse" else "0.3")
        the.engine_order(contract.market, "30" if contract.product == "inverse" else "0.3", price_factor="0.97")
        await the.until(the.empty)


@failure("opened_while_locked", "timeout_after_execution")
async def test_a_close_of_unknown_outcome_never_cuts_into_the_baseline(
    venue: VenueUnderTest, book: AccountSeed
) -> None:
    """It was carried out and not answered: the next look shows that nothing is left to do."""
    async with stage(venue, book, guard=REVERT) as the:
        await locked(the)
        before = legs(the.account)
        the.misbehave("timeout_after_execution", "place")
        the.engine_order("linear:BTC/USDT", "0.3")
        await the.until(lambda: legs(the.account) == before)
        seen = the.count("positions")
        the.node.dispatcher.actors[ACCOUNT].guard.wake()
        await the.until(lambda: the.count("positions") > seen)
        assert legs(the.account) == before


@failure("opened_while_locked")
async def test_balances_are_never_sold_and_purchases_are_cancelled(venue: VenueUnderTest) -> None:
    """A sale lightens, a purchase does not."""
    book = plain(spot_USDT="10000", spot_ETH="3")
    async with stage(venue, book, guard=REVERT) as the:
        await locked(the)
        the.engine_order("spot:ETH/USDT", "0.5")
        the.engine_order("spot:ETH/USDT", "0.5", price_factor="0.97")
        the.engine_order("spot:ETH/USDT", "-0.25", price_factor="1.04")
        await the.until(lambda: len(the.account.open_orders) == 1)
        (left,) = the.account.open_orders.values()
        assert left.terms.side.value == "sell"
        assert the.balance("ETH") > 3


@failure("opened_while_locked")
async def test_streams_that_are_silent_leave_the_polling(venue: VenueUnderTest, compress: Compress) -> None:
    """Connected, and nothing comes: the looks beside it go on."""
    compress(LOOK_BESIDE_STREAM_S=0.3, LOOK_GAP_S=0.05, BACKGROUND_SHARE=9.0, STAND_BACK_AT=9.0)
    async with stage(venue, plain(positions=(position(linear("BTC"), "1"),)), slices=("linear",)) as the:
        await locked(the)
        the.set(streams={"silent": True})
        the.engine_order("linear:ETH/USDT", "2", price_factor="0.97")
        if venue.looks_are_streams:  # and silence is not taken for an empty list
            asked = the.count("orders")
            await the.until(lambda: the.count("orders") > asked + 1)
            assert entries(the)
            the.set(streams={"silent": False})
        await the.until(lambda: not entries(the))


@failure("ping_pong")
async def test_an_engine_that_opens_again_and_again_is_undone_ten_times_and_then_every_half_minute(
    venue: VenueUnderTest, compress: Compress
) -> None:
    """With an alert: no ping-pong for fees. (The looks of a minute in a second: the budget for them is set aside.)"""
    compress(LOOK_GAP_S=0.02, SETTLED_NS=0, BACKGROUND_SHARE=9.0, STAND_BACK_AT=9.0, NEARLY_SPENT_AT=9.0)
    async with stage(venue, plain(), faults={"enforce_limits": False}) as the:
        await the.closes_flat()
        guard = the.node.dispatcher.actors[ACCOUNT].guard
        for _ in range(10):
            the.engine_order("linear:ETH/USDT", "0.5")
            await the.until(the.empty)
        await the.until(lambda: guard.spaced)
        the.engine_order("linear:ETH/USDT", "0.5")
        asked = the.count("positions")
        await the.until(lambda: the.count("positions") > asked)
        assert not the.empty()
        assert guard.interventions >= 10
        assert the.account.counters.orders_placed == 10
        assert the.node.guarded[-1]["alert"] is True


@failure("opened_while_locked", "two_commands")
@pytest.mark.parametrize("deed", ["timeout_after_execution", {"delay_ms": 150}], ids=str)
async def test_a_command_that_comes_while_the_guard_acts_is_proven_after_it(
    venue: VenueUnderTest, book: AccountSeed, deed: object
) -> None:
    """Both reduce; nothing is turned round, and flat is said when both have ended."""
    async with stage(venue, book, guard=REVERT) as the:
        await locked(the)
        the.misbehave(deed, "place")
        the.engine_order("linear:BTC/USDT", "0.3")
        guard = the.node.dispatcher.actors[ACCOUNT].guard
        await the.until(lambda: guard.busy)
        await the.closes_flat()
