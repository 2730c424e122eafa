"""What B2PRIME's answers mean to the node: by documented shapes; what is strange is unknown, and never nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from node.domain.snapshot import Balance, MarketKind, PositionSide, Side
from node.domain.steps import Outcome, Refusal
from node.errors import VenueAnswerUnknown, VenueDenied, VenueError, VenueLimited, VenueUnavailable
from node.venues.b2prime import judgements, readings
from node.venues.b2prime.profile import B2primeProfile
from node.venues.lane import background
from node.venues.markets import MarketBook
from tests.support.b2prime import ACCOUNT
from tests.support.b2prime_venue import (
    API,
    BOOKS,
    EURO,
    ORDER,
    OTHER,
    POSITION,
    SILENCE,
    b2prime_venue,
    cancel,
    close,
    order,
    position,
    sell,
)

CLOSE = f"POST {API}/v4/positions/{POSITION}/close"
CANCEL = f"DELETE {API}/v3/orders/{ORDER}"
SALE = f"POST {API}/v3/orders"
BOOK = BOOKS[MarketKind.LINEAR]
GARBAGE: tuple[Any, ...] = (None, 0, "ok", {}, {"item": {}}, {"item": [[]]}, {"item": [{}]}, [0], [None], [[]], [{}])


async def seen(venue: Any, sent: Any, *positions: Any) -> Any:
    """The positions as they are read."""
    sent.holds(*positions, used="1")
    with background():
        return (await venue.read_positions("linear")).positions


async def test_positions_of_one_market_and_side_are_one_leg() -> None:
    """In lots; the exposure in base units, by the size of a lot."""
    async with b2prime_venue() as (venue, sent):
        long, short = await seen(
            venue, sent, position(lots="0.5"), position(OTHER, lots="0.25"), position("S", side="Sell", lots="1")
        )
        assert (long.symbol, long.side, long.contracts) == (EURO.symbol, PositionSide.LONG, Decimal("0.75"))
        assert (long.base_exposure, long.mark_price) == (Decimal(75_000), Decimal("1.09"))
        assert (short.side, short.contracts, short.base_exposure) == (PositionSide.SHORT, Decimal(1), Decimal(-100_000))


async def test_a_netting_account_keeps_no_sides_apart() -> None:
    """By the venue's own word; what closes a position is its identifier all the same."""
    for kind, hedged in (("Netting", False), ("Hedging", True)):
        async with b2prime_venue() as (venue, sent):
            sent.answers |= {
                f"GET {API}/v3/info": {"serverTime": "1764617438", "serverTimeZone": "+00:00"},
                f"GET {API}/v3/accounts": [{"accountId": ACCOUNT, "accountType": kind}],
            }
            await venue.arm()
            [held] = await seen(venue, sent, position())
            assert held.hedged is hedged


async def test_a_position_in_a_market_that_nobody_knows_is_there_under_the_venues_name() -> None:
    """And its exposure is not guessed; one without lots is none."""
    async with b2prime_venue() as (venue, sent):
        [held] = await seen(venue, sent, position(market="cfd.new_usd"), position(OTHER, lots="0"))
        assert (held.symbol, held.contracts, held.base_exposure) == ("cfd.new_usd", Decimal("0.5"), None)


@pytest.mark.parametrize(
    "wrong",
    [
        {"side": None},
        {"side": "Long"},
        {"positionLotAmount": None},
        {"positionLotAmount": "-1"},
        {"positionLotAmount": "many"},
        {"positionLotAmount": "NaN"},
        {"positionId": None},
        {"marketId": ""},
    ],
    ids=str,
)
async def test_a_position_that_is_not_understood_makes_the_whole_list_unknown(wrong: dict[str, Any]) -> None:
    """Beside good ones, too."""
    async with b2prime_venue() as (venue, sent):
        with pytest.raises(VenueAnswerUnknown):
            await seen(venue, sent, position(), position(OTHER, **wrong))


async def test_the_same_position_twice_is_no_list() -> None:
    """Which of them is true?"""
    async with b2prime_venue() as (venue, sent):
        with pytest.raises(VenueAnswerUnknown):
            await seen(venue, sent, position(), position())


@pytest.mark.parametrize("target", ["OpenPositions", "OpenOrders", "MarginData", "FullBalance"])
@pytest.mark.parametrize("body", GARBAGE, ids=json.dumps)
async def test_no_garbage_is_an_empty_list(target: str, body: Any) -> None:
    """Of whatever shape, in whatever stream."""
    async with b2prime_venue() as (venue, sent):
        sent.answers[target] = body
        with pytest.raises(VenueAnswerUnknown):
            await venue.read_proof("spot" if target == "FullBalance" else "linear")


@pytest.mark.parametrize("target", ["OpenPositions", "OpenOrders", "MarginData"])
async def test_silence_is_unknown_and_never_flat(target: str) -> None:
    """Whether an empty list is sent at all is not documented."""
    async with b2prime_venue() as (venue, sent):
        sent.answers[target] = SILENCE
        with pytest.raises(VenueAnswerUnknown, match="silence"):
            await venue.read_proof("linear")


async def test_nothing_is_nothing_only_where_the_venue_says_so() -> None:
    """Empty lists, and no margin in use."""
    async with b2prime_venue() as (venue, _):
        proof = await venue.read_proof("linear")
        assert (proof.positions, proof.orders, proof.balances) == ((), (), ())
        proof = await venue.read_proof("spot")
        assert (proof.orders, proof.balances) == ((), ())


async def test_margin_in_use_that_no_position_explains_is_no_proof() -> None:
    """Neither with an empty list, nor with one that uses less."""
    async with b2prime_venue() as (venue, sent):
        sent.holds(used="0.5")
        with pytest.raises(VenueAnswerUnknown, match="margin is in use"):
            await venue.read_proof("linear")
        assert (await venue.read_positions("linear", certain=True)).positions_doubtful
        sent.holds(position(usedMarginInRAT="100"), used="150")
        with pytest.raises(VenueAnswerUnknown, match="margin is in use"):
            await venue.read_proof("linear")
        sent.holds(position(usedMarginInRAT="100"), used="100.5")
        assert len((await venue.read_proof("linear")).positions) == 1
        sent.holds(position(usedMarginInRAT="100"), orders=[order()], used="150")  # orders may bind some as well
        assert len((await venue.read_proof("linear")).positions) == 1


async def test_orders_are_in_the_slice_of_their_market() -> None:
    """By their type; what has ended is none, and what has a status that nobody knows is one."""
    async with b2prime_venue() as (venue, sent):
        spot = order(OTHER, "spot.btc_usdt", side="Sell", remainingAmount="0.5")
        sent.holds(orders=[order(), spot, order("C", status="Cancelled"), order("N", status="Suspended")])
        linear = (await venue.read_proof("linear")).orders or ()
        assert [(each.order_id, each.symbol, each.side) for each in linear] == [
            (ORDER, EURO.symbol, Side.BUY),
            ("N", EURO.symbol, Side.BUY),
        ]
        assert linear[0].remaining == Decimal("0.2")  # of base units, in lots
        assert not linear[0].protective
        assert [each.order_id for each in (await venue.read_proof("spot")).orders or ()] == [OTHER]


async def test_balances_are_in_one_wallet_and_reported_once() -> None:
    """Free, locked, and their sum: figures that do not add up are none."""
    coin = {"assetId": "btc", "available": "0.75", "locked": "0.25", "total": "1"}
    async with b2prime_venue() as (venue, sent):
        sent.answers[f"GET {API}/v6/markets/spot.btc_usdt"] = {}
        sent.holds(balances=[coin, {"assetId": "eth", "available": "0", "locked": "0", "total": "0"}])
        held = Balance(slice="spot", asset="BTC", free=Decimal("0.75"), locked=Decimal("0.25"))
        assert (await venue.read_proof("spot")).balances == (held,)
        for wrong in ({"total": "2"}, {"locked": None}, {"available": "-1", "locked": "2"}):
            sent.holds(balances=[coin | wrong])
            with pytest.raises(VenueAnswerUnknown):
                await venue.read_proof("spot")


@pytest.mark.parametrize(
    "body",
    [
        {"markets": [], "snapshot": True},
        {"markets": [{"marketId": "spot.btc_usdt", "bid": "1", "ask": "2"}], "snapshot": False},
        {"markets": [{"marketId": "spot.btc_usdt", "bid": "one", "ask": "2"}], "snapshot": True},
        *GARBAGE,
    ],
    ids=json.dumps,
)
async def test_prices_that_are_not_whole_are_none(body: Any) -> None:
    """Changes of what nobody has seen, a market that is missing."""
    async with b2prime_venue() as (venue, sent):
        sent.answers["Tob"] = body
        with pytest.raises(VenueAnswerUnknown):
            await venue.quotes(["BTC/USDT"])


async def test_what_the_venue_cannot_show_is_named() -> None:
    """In the evidence of every command."""
    async with b2prime_venue() as (venue, _):
        assert venue.unverified == ("stop orders that wait for their price: the venue has no list of them",)


# Steps


@pytest.mark.parametrize(
    ("status", "close_means", "cancel_means"),
    [
        (400, Refusal.OTHER, Refusal.OTHER),
        (401, Refusal.DENIED, Refusal.DENIED),
        (403, Refusal.DENIED, Refusal.DENIED),
        (404, Refusal.NOTHING_TO_REDUCE, Refusal.UNKNOWN_ORDER),
        (409, Refusal.OTHER, Refusal.OTHER),
        (422, Refusal.OTHER, Refusal.OTHER),
        (429, Refusal.RATE_LIMITED, Refusal.RATE_LIMITED),
    ],
)
@pytest.mark.parametrize("body", [{"title": "Bad Request", "detail": "No."}, {"message": "No."}, "No.", ""], ids=str)
async def test_a_refusal_is_told_by_its_status_whatever_its_body(
    status: int, close_means: Refusal, cancel_means: Refusal, body: Any
) -> None:
    """Errors have no documented form."""
    async with b2prime_venue() as (venue, sent):
        await seen(venue, sent, position())
        sent.answers |= {CLOSE: (status, body), CANCEL: (status, body)}
        for step, refusal in ((close(), close_means), (cancel(), cancel_means)):
            result = await venue.execute(step)
            assert (result.outcome, result.refusal) == (Outcome.REFUSED, refusal)


@pytest.mark.parametrize(
    "given",
    [
        (500, {"detail": "failed"}),
        (502, "<html>"),
        (503, ""),
        (504, ""),
        (408, {"detail": "timeout"}),
        (302, ""),
        (418, ""),
        (200, ""),
        (200, "<html>"),
        (200, '{"positionId"'),
        (200, {}),
        (200, []),
        (200, {"positionId": None}),
        (200, {"order": {}}),
        (200, {"order": {"orderId": ORDER}}),
        (200, {"order": {"orderId": OTHER, "status": "Cancelled"}}),
        ConnectionResetError(),
        TimeoutError(),
    ],
    ids=str,
)
async def test_everything_else_may_have_been_carried_out(given: Any) -> None:
    """Neither believed nor taken for a refusal."""
    async with b2prime_venue() as (venue, sent):
        await seen(venue, sent, position())
        sent.answers |= {CLOSE: given, CANCEL: given}
        for step in (close(), cancel()):
            result = await venue.execute(step)
            expected = Refusal.RATE_LIMITED if given == (418, "") else None
            assert (result.outcome is Outcome.AMBIGUOUS, result.refusal) == (expected is None, expected)


@pytest.mark.parametrize(
    ("fields", "outcome", "refusal"),
    [
        ({"status": "Completed", "remainingAmount": "0"}, Outcome.DONE, None),
        ({"status": "Cancelled", "remainingAmount": "0.2"}, Outcome.DONE, None),
        ({"status": "Cancelled", "remainingAmount": "0.5"}, Outcome.REFUSED, Refusal.UNFILLED),
        ({"status": "Working"}, Outcome.DONE, None),
        ({"status": "Rejected", "rejectDetails": "No."}, Outcome.REFUSED, Refusal.OTHER),
        ({"status": "Cancelled", "remainingAmount": "0.6"}, Outcome.AMBIGUOUS, None),
        ({"status": "Cancelled", "remainingAmount": None}, Outcome.AMBIGUOUS, None),
        ({"status": None}, Outcome.AMBIGUOUS, None),
    ],
    ids=str,
)
async def test_what_became_of_a_sale(fields: dict[str, Any], outcome: Outcome, refusal: Refusal | None) -> None:
    """An order that the answer calls rejected was never placed."""
    async with b2prime_venue() as (venue, sent):
        sent.answers[SALE] = {"order": {"orderId": ORDER, "requestedAmount": "0.5", **fields}}
        result = await venue.execute(sell())
        assert (result.outcome, result.refusal) == (outcome, refusal)


async def test_a_sale_of_unknown_fate_is_over_when_no_list_shows_it() -> None:
    """There is no request for one order. What it did is in the balance, and nothing but the balance can be sold."""
    async with b2prime_venue() as (venue, sent):
        assert await venue.filled(sell()) is False
        working = order(OTHER, "spot.btc_usdt", side="Sell", status="Working")
        for found, expected in (
            (working, True),
            (working | {"side": "Buy"}, False),
            (working | {"status": "Cancelled"}, False),
            (order(side="Sell"), False),
            (working | {"status": None}, None),
        ):
            sent.holds(orders=[found])
            assert await venue.filled(sell()) is expected
        sent.answers["OpenOrders"] = SILENCE
        assert await venue.filled(sell()) is None


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ((401, ""), VenueDenied),
        ((403, {"detail": "no"}), VenueDenied),
        ((429, ""), VenueLimited),
        ((400, ""), VenueError),
        ((500, ""), VenueUnavailable),
        ((200, ""), VenueAnswerUnknown),
    ],
)
async def test_a_read_that_fails_says_what_is_to_be_done(given: Any, error: type[VenueError]) -> None:
    """By status."""
    async with b2prime_venue() as (venue, sent):
        sent.answers[f"GET {API}/v3/info"] = given
        with pytest.raises(error):
            await venue.keep_warm(1)


def test_how_long_to_stay_away_is_told_by_the_header_of_alerts() -> None:
    """Unix seconds; at most a minute, and nothing where it is no time."""
    limited = judgements.reply(429, None)
    assert judgements.reset_in_s(limited, {"x-ratelimit-reset": "1003"}, 1000.5) == 2.5
    assert judgements.reset_in_s(limited, {"x-ratelimit-reset": "900"}, 1000.0) == 0
    assert judgements.reset_in_s(limited, {"x-ratelimit-reset": "99999999999"}, 1000.0) == 60
    for nothing in ({}, {"x-ratelimit-reset": "soon"}, {"x-ratelimit-reset": "-1"}):
        assert judgements.reset_in_s(limited, nothing, 1000.0) is None
    assert judgements.reset_in_s(judgements.reply(400, None), {"x-ratelimit-reset": "1003"}, 1000.5) is None


async def test_a_refusal_of_less_than_an_order_may_be_says_that_it_is_too_small() -> None:
    """By our own rules: the venue has no word for it that is documented."""
    least = replace(EURO, quantity_min=Decimal("0.01"))
    books = {**BOOKS, MarketKind.LINEAR: MarketBook([least])}
    for lots, refusal in (("0.004", Refusal.TOO_SMALL), ("0.01", Refusal.OTHER)):
        async with b2prime_venue(books=books) as (venue, sent):
            sent.answers[CLOSE] = (400, "")
            await seen(venue, sent, position(lots=lots))
            assert (await venue.execute(close(contracts=Decimal(lots)))).refusal is refusal


# Hours

FRIDAY, MONDAY = datetime(2026, 11, 27, 22, 30, tzinfo=UTC), datetime(2026, 11, 30, 9, 0, tzinfo=UTC)
HOURS = {
    "timeZoneId": "UTC",
    "tradingSessions": [
        {"dayOfWeek": day, "timeIntervals": [{"start": "08:00", "end": "22:00"}]}
        for day in ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")
    ],
    "sessionOverrides": [{"date": "2026-11-30", "timeIntervals": [{"start": "10:00", "end": "12:00"}]}],
}
DETAILS = {
    "marketId": "cfd.eur_usd",
    "type": "Cfd",
    "baseAssetId": "eur",
    "quoteAssetId": "usd",
    "lotSize": 100_000,
    "lotStep": "0.01",
    "calendar": HOURS,
}


def profile(now: datetime) -> B2primeProfile:
    """At an instant, with the market's hours known."""
    found = B2primeProfile(now=lambda: now)
    rules = found.detailed(MarketKind.LINEAR, DETAILS)
    assert rules.trading is False
    return found


@pytest.mark.parametrize(
    ("now", "opens"), [(FRIDAY, "2026-11-30T10:00:00Z"), (MONDAY, "2026-11-30T10:00:00Z")], ids=["weekend", "holiday"]
)
def test_a_close_that_is_refused_while_the_market_is_shut_names_the_next_session(now: datetime, opens: str) -> None:
    """By the market's calendar, with its overrides."""
    judged = profile(now).refused(close(), judgements.reply(400, {"detail": "The market is closed."}))
    assert judged is not None
    assert judged.refusal is Refusal.MARKET_CLOSED
    assert judged.message == (
        f"400 The market is closed.; the market is closed by its calendar; the next session begins at {opens}"
    )


def test_a_close_that_is_taken_while_the_market_is_shut_may_wait_for_its_session() -> None:
    """It is not called done: whether such a close is kept, carried out or dropped is not documented."""
    judged = profile(FRIDAY).accepted(close(), {"positionId": POSITION})
    assert (judged.outcome, judged.refusal) == (Outcome.AMBIGUOUS, Refusal.MARKET_CLOSED)
    assert "2026-11-30T10:00:00Z" in str(judged.message)


def test_while_a_market_is_open_or_its_hours_are_unknown_a_refusal_is_one_of_its_own() -> None:
    """A calendar explains; it decides nothing."""
    for found in (B2primeProfile(now=lambda: datetime(2026, 11, 27, 9, 0, tzinfo=UTC)), B2primeProfile()):
        if found._now().year == 2026 and found._now().hour == 9:
            found.detailed(MarketKind.LINEAR, DETAILS)
        judged = found.refused(close(), judgements.reply(400, None))
        assert judged is not None
        assert judged.refusal is Refusal.OTHER
        assert found.accepted(close(), {"positionId": POSITION}).outcome is Outcome.DONE


@pytest.mark.parametrize("calendar", [None, {}, {"timeZoneId": "Mars/Olympus"}, "always"], ids=str)
def test_a_calendar_that_is_not_understood_keeps_no_market_from_being_known(calendar: Any) -> None:
    """Nor is it taken for closed."""
    found = readings.detailed(MarketKind.LINEAR, {**DETAILS, "calendar": calendar}, FRIDAY)
    rules = found.rules
    assert (rules.trading, found.hours) == (True, None)
    assert rules.contract_size == 100_000
    assert BOOK.by_id["cfd.eur_usd"].symbol == rules.symbol
