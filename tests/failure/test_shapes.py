"""Answers that are well-formed and mean nothing that anybody expects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import pytest

from node.domain.command import Action
from node.sim.scenarios import MARGIN, AccountSeed, linear
from tests.failure.books import COINS, ONE_WAY, holding, plain, position
from tests.failure.conftest import Compress
from tests.failure.failures import failure
from tests.failure.stage import Stage, stage
from tests.failure.test_flatten import all_slices, owed, unpaid
from tests.failure.venues import VenueUnderTest

#: JSON of every kind; an empty list is a good answer to some reads, and has its own test.
BODIES: Final[dict[str, Any]] = {
    "null": None,
    "number": 0,
    "text": "ok",
    "object": {},
    "success": {"code": 200, "msg": "success"},
    "nested": {"data": {"id": 1, "status": "FILLED"}},
    "numbers": [0, 1],
    "nulls": [None],
    "lists": [[]],
    "objects": [{}],
    "strangers": [{"id": "1", "symbol": "XXX", "quantity": "many", "side": None}],
    "other-types": [{"symbol": 1, "orderId": None, "positionAmt": {}, "asset": [], "free": "NaN", "locked": "1e999"}],
    "lower-case": {"orderid": "1", "clientorderid": "2", "status": "filled", "servertime": "soon"},
}
_NAMES: Final = tuple(BODIES)
BODY: Final = pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
#: Some of them one after the other, each once.
SERIES: Final = pytest.mark.parametrize(
    "series", [_NAMES[:5], _NAMES[5:9], _NAMES[9:]], ids=["documents", "lists", "rows"]
)


def answered_with(the: Stage, series: Sequence[str], intent: str, product: str | None = None) -> None:
    """The next answers are those."""
    for name in series:
        the.misbehave({"reshape": {"body": BODIES[name]}}, intent, product=product)


@failure("unexpected_shape")
@pytest.mark.parametrize("intent", ["place", "cancel", "positions", "orders", "triggers", "balances"])
@SERIES
async def test_no_shape_of_an_answer_ends_a_close(venue: VenueUnderTest, intent: str, series: Sequence[str]) -> None:
    """It is ambiguous, and the command goes on to flat."""
    more = (position(linear("XRP"), "900"), position(linear("LINK"), "40"))  # an order for each of them
    book = replace(ONE_WAY, positions=(*ONE_WAY.positions, *more))
    async with stage(venue, book) as the:
        answered_with(the, series, intent)
        await the.closes_flat()


@failure("unexpected_shape", "cold_start")
@BODY
async def test_no_shape_of_an_answer_keeps_an_account_from_being_closed_before_it_is_armed(
    venue: VenueUnderTest, body: object
) -> None:
    """Markets, time, rights and the first reads."""
    async with stage(venue, armed=False) as the:
        for intent in ("markets", "time", "positions", "balances"):
            the.misbehave({"reshape": {"body": body}}, intent, times=2)
        the.misbehave({"reshape": {"body": body}}, "rights")
        await the.closes_flat()


@failure("unexpected_shape", "auto_borrow")
@pytest.mark.parametrize("intent", ["place", "order", "quotes", "balances", "orders"])
@SERIES
async def test_no_shape_of_an_answer_ends_a_flatten(
    venue: VenueUnderTest, intent: str, series: Sequence[str], compress: Compress
) -> None:
    """Nothing is sold twice for it, not even where the venue would lend it."""
    compress(LATE_ARRIVAL_NS=400_000_000)
    async with stage(venue, holding({"USDT": "100", **venue.coins}), faults={"auto_borrow": True}) as the:
        if intent == "order":
            the.misbehave("lose_after_execution", "place", product="spot", times=5)
        answered_with(the, series, intent, "spot")
        document = await the.flatten()
        assert (document["state"], the.flat(document)) == ("done", True)
        assert {the.balance(coin) for coin in venue.coins} == {0}


@failure("unexpected_shape", "conversion")
@BODY
async def test_no_shape_of_an_answer_ends_a_conversion(venue: VenueUnderTest, body: object) -> None:
    """The coin is gone or named."""
    async with stage(venue, plain(spot_USDT="100", spot_DOGE="3.4")) as the:
        the.misbehave({"reshape": {"body": body}}, "convert", nth=2)
        document = await the.flatten()
        assert document["state"] == "done"


@failure("unexpected_shape", "borrowed")
@BODY
async def test_no_shape_of_an_answer_ends_a_repayment(venue: VenueUnderTest, body: object, compress: Compress) -> None:
    """The debts are gone in the end, and nothing was bought twice."""
    compress(REFUSED_FOR_GOOD_AFTER_NS=200_000_000)
    async with stage(venue, MARGIN, slices=all_slices(venue), buys=True) as the:
        the.misbehave({"reshape": {"body": body}}, "repay", times=2)
        document = await the.flatten()
        assert document["state"] == "done"
        assert owed(the).keys() == unpaid(venue)


@failure("unexpected_shape", "unread_slice")
@pytest.mark.parametrize("intent", ["positions", "orders", "triggers", "balances"])
async def test_a_read_that_is_never_understood_is_never_flat(
    venue: VenueUnderTest, book: AccountSeed, intent: str
) -> None:
    """And what was not understood is logged whole, without the key."""
    async with stage(venue, book, deadline_s=0.5) as the:
        the.misbehave({"reshape": {"body": {"rows": []}}}, intent, product="linear", times=None)
        command = await the.command_close()
        document = await the.incomplete(command)
        assert document["verdict"] in ("unknown", "not_flat")
        await the.until(lambda: any("rows" in str(entry) for entry in the.log))
        secrets = the.sim.credentials(book.name).values()
        assert not any(secret in str(entry) for entry in the.log for secret in secrets)
        the.set(clear=True)
        assert the.flat(await the.ending(command))


@failure("unexpected_shape", "unread_slice", "hidden_settle_coin")
@pytest.mark.usefixtures("quick_minute")
@pytest.mark.parametrize("intent", ["positions", "balances"])
async def test_a_list_that_is_empty_for_good_is_not_believed_against_the_wallet(
    venue: VenueUnderTest, book: AccountSeed, intent: str
) -> None:
    """A good answer with nothing in it, before the node has seen anything else."""
    async with stage(venue, book, armed=False, deadline_s=0.6) as the:
        the.misbehave({"reshape": {"body": venue.nothing}}, intent, product="linear", times=None)
        command = await the.command_close()
        assert (await the.incomplete(command))["verdict"] in ("unknown", "not_flat")
        the.set(clear=True)
        assert the.flat(await the.ending(command))
        assert the.empty()


@failure("unexpected_shape", "close_during_drill")
@pytest.mark.parametrize("intent", ["positions", "orders", "balances", "cancel", "quotes"])
@pytest.mark.parametrize("shape", ["nulls", "strangers", "text"])
async def test_no_shape_of_an_answer_crashes_a_drill(venue: VenueUnderTest, intent: str, shape: str) -> None:
    """It fails, or passes where the answer did not matter."""
    async with stage(venue, COINS, request_timeout_s=1.0) as the:  # a drill asks once
        the.misbehave({"reshape": {"body": BODIES[shape]}}, intent, times=2)
        document = await the.ending(await the.command(Action.FLATTEN, dry_run=True))
        assert document["verdict"] in ("drill_failed", "drill_passed")
        assert "INTERNAL" not in {each["code"] for each in document["errors"]}
        assert the.account.counters.orders_placed == 0
