"""Sweeping a market of a venue that has no request for it: what is listed there is cancelled by id."""

from __future__ import annotations

from typing import Any

import pytest

from node.domain.permission import Permission
from node.domain.steps import Outcome, Refusal
from node.venues.profiles.binance import BinanceProfile
from tests.support.venue import Answer, answer, cancel_orders, cancel_symbol, error, recorded_venue

ORDERS, CANCEL = "GET /api/v3/openOrders", "DELETE /api/v3/order"


@pytest.fixture(autouse=True)
def no_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if Binance could not."""
    monkeypatch.setattr(BinanceProfile, "sweeps", lambda self, kind, *, trigger: False)


def order(order_id: int, **changes: Any) -> dict[str, Any]:
    """A resting buy."""
    values = {"symbol": "BTCUSDT", "side": "BUY", "origQty": "1", "executedQty": "0", "clientOrderId": "x"}
    return {"orderId": order_id, **values, **changes}


async def test_what_is_listed_on_the_market_is_cancelled_by_id_and_nothing_else() -> None:
    """Not what was seen before: what rests there now."""
    async with recorded_venue() as (venue, fetch):
        fetch.answers = {
            ORDERS: answer([order(5), order(6, symbol="ETHUSDT"), order(7)]),
            CANCEL: answer({"orderId": 5, "status": "CANCELED"}),
        }
        step = cancel_symbol("spot")
        result = await venue.execute(step)
        assert (result.step, result.outcome) == (step, Outcome.DONE)
        assert [each.method for each in fetch.sent] == ["GET", "DELETE", "DELETE"]
        assert sorted(each.params["orderId"] for each in fetch.sent[1:]) == ["5", "7"]


async def test_an_empty_book_is_swept() -> None:
    """Nothing is sent but the question."""
    async with recorded_venue() as (venue, fetch):
        fetch.answers = {ORDERS: answer([order(6, symbol="ETHUSDT")])}
        assert (await venue.execute(cancel_symbol("spot"))).outcome is Outcome.DONE
        assert fetch.only.method == "GET"


@pytest.mark.parametrize(
    ("given", "refusal"),
    [
        (error(-1003, "Too many requests", 429), Refusal.RATE_LIMITED),
        (error(-2015, "Invalid API-key, IP, or permissions for action.", 401), Refusal.DENIED),
        (error(-1001, "Internal error", 500), Refusal.OTHER),
        (Answer(body=""), Refusal.OTHER),
        (answer([order(5, side="?")]), Refusal.OTHER),
    ],
)
async def test_a_book_that_cannot_be_listed_is_not_swept(given: Answer, refusal: Refusal) -> None:
    """And never taken for an empty one."""
    async with recorded_venue() as (venue, fetch):
        fetch.answers = {ORDERS: given}
        result = await venue.execute(cancel_symbol("spot"))
        assert (result.outcome, result.refusal, result.sent_ns) == (Outcome.REFUSED, refusal, None)
        assert "nothing was cancelled" in (result.message or "")
        assert [each.method for each in fetch.sent] == ["GET"]


async def test_the_level_of_permission_still_counts() -> None:
    """A reader looks, and cancels nothing."""
    async with recorded_venue(permission=Permission.READ) as (venue, fetch):
        fetch.answers = {ORDERS: answer([order(5)])}
        result = await venue.execute(cancel_symbol("spot"))
        assert (result.outcome, result.refusal) == (Outcome.REFUSED, Refusal.PERMISSION)
        assert fetch.only.method == "GET"


async def test_only_sweeps_are_carried_out_so() -> None:
    """Orders that are named need no list."""
    async with recorded_venue() as (venue, fetch):
        await venue.execute(cancel_orders("5", slice_name="spot"))
        assert fetch.only.method == "DELETE"
