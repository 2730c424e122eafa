"""Venues that cannot cancel by symbol: what rests there is listed, then cancelled by id. And lists by the markets."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from node.domain.permission import Permission
from node.domain.snapshot import MarketKind
from node.domain.steps import Outcome, Refusal
from node.venues.layout import Slice, SliceReads
from node.venues.markets import MarketBook
from node.venues.profiles.plain import PlainProfile
from tests.support.venue import RecordedFetch, answer, cancel_symbol, error, recorded_venue

OPEN = "GET /fapi/v1/openOrders"
ALGO = "GET /fapi/v1/openAlgoOrders"


@pytest.fixture(autouse=True)
def by_id_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A venue that takes ids only."""
    monkeypatch.setattr(PlainProfile, "cancels_by_symbol", False)


def resting(symbol: str, order_id: int) -> dict[str, Any]:
    """One limit order."""
    return {
        "symbol": symbol,
        "side": "BUY",
        "orderId": order_id,
        "clientOrderId": "x",
        "origQty": "1",
        "executedQty": "0",
        "reduceOnly": False,
        "positionSide": "BOTH",
    }


def lists(fetch: RecordedFetch, *orders: dict[str, Any]) -> None:
    """What the venue lists of both books."""
    fetch.answers = {OPEN: answer(list(orders)), ALGO: answer([])}


async def test_what_rests_on_the_symbol_is_cancelled_by_its_ids_and_nothing_else() -> None:
    """Another symbol's orders stay."""
    async with recorded_venue() as (venue, fetch):
        lists(fetch, resting("BTCUSDT", 7), resting("ETHUSDT", 8))
        fetch.answers["DELETE /fapi/v1/order"] = answer({"orderId": 7, "status": "CANCELED"})
        result = await venue.execute(cancel_symbol())
        assert (result.step, result.outcome) == (cancel_symbol(), Outcome.DONE)
        assert sorted(fetch.lines)[0] == ("DELETE", "fapi.binance.com", "/fapi/v1/order")
        assert fetch.sent[-1].params == {"symbol": "BTCUSDT", "orderId": "7"}
        assert len(fetch.sent) == 3


async def test_nothing_rests_there() -> None:
    """Done, and nothing is sent but the lists."""
    async with recorded_venue() as (venue, fetch):
        lists(fetch)
        assert (await venue.execute(cancel_symbol())).outcome is Outcome.DONE
        assert {each.method for each in fetch.sent} == {"GET"}


async def test_a_list_that_cannot_be_had_cancels_nothing_and_says_so() -> None:
    """Not done, whatever the reason."""
    async with recorded_venue() as (venue, fetch):
        lists(fetch)
        for given, refusal in (
            (answer({}), Refusal.OTHER),
            (answer("", 502), Refusal.OTHER),
            (error(-2015, "Invalid API-key, IP, or permissions for action"), Refusal.DENIED),
            (error(-1003, "Too many requests", 429), Refusal.RATE_LIMITED),
        ):
            fetch.answers[OPEN] = given
            result = await venue.execute(cancel_symbol())
            assert (result.outcome, result.refusal, result.sent_ns) == (Outcome.REFUSED, refusal, None)
            assert "DELETE" not in {each.method for each in fetch.sent}


async def test_what_is_gone_meanwhile_is_done_and_what_is_unclear_stays_so() -> None:
    """As by symbol."""
    async with recorded_venue() as (venue, fetch):
        lists(fetch, resting("BTCUSDT", 7))
        fetch.answers["DELETE /fapi/v1/order"] = error(-2011, "Unknown order sent.")
        assert (await venue.execute(cancel_symbol())).outcome is Outcome.DONE
        fetch.answers["DELETE /fapi/v1/order"] = answer({}, 502)
        assert (await venue.execute(cancel_symbol())).outcome is Outcome.AMBIGUOUS


async def test_below_its_permission_nothing_is_cancelled() -> None:
    """The lists are open to every level."""
    async with recorded_venue(permission=Permission.READ) as (venue, fetch):
        lists(fetch, resting("BTCUSDT", 7))
        assert (await venue.execute(cancel_symbol())).refusal is Refusal.PERMISSION
        assert "DELETE" not in {each.method for each in fetch.sent}


async def test_lists_may_depend_on_the_markets(monkeypatch: pytest.MonkeyPatch) -> None:
    """The profile is asked with the book that the answers will be read by, and intervals count those requests."""
    async with recorded_venue(slices=("linear",)) as (venue, fetch):
        profile, seen = venue._profile, []
        plain = profile.reads(venue._parts["linear"])

        def reads_of(part: Slice, book: MarketBook) -> SliceReads:
            seen.append((part.name, book))
            return replace(plain, orders=(*plain.orders, *plain.orders))

        once = venue.look_interval_s("linear")
        monkeypatch.setattr(profile, "reads_of", reads_of)
        fetch.empty()
        await venue.read_proof("linear")
        assert [each.path for each in fetch.sent].count("/fapi/v1/openOrders") == 2
        assert set(seen) == {("linear", venue._shelf.books[MarketKind.LINEAR])}
        assert venue.look_interval_s("linear") > once
