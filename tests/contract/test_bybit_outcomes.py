"""How a step at Bybit ended: refused only by a code that says so for certain, done only with the venue's own word."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import aiohttp
import ccxt
import pytest

from node.domain.steps import ConvertAsset, Outcome, Refusal, RepayDebt, Step
from node.venues.profiles.bybit import refusals as bybit_refusals
from tests.support.bybit import fault, ok, order, page
from tests.support.venue import (
    CREDENTIALS,
    Answer,
    answer,
    cancel_orders,
    cancel_symbol,
    close_position,
    recorded_venue,
    sell_spot,
)

CLOSE, SALE = close_position(), sell_spot()
ID = CLOSE.client_order_id
TAKEN = ok(orderId="1321003749386327552", orderLinkId=ID)
REPAY = RepayDebt(slice="spot", asset="BTC", amount=Decimal(1))
CONVERT = ConvertAsset(slice="spot", asset="BTC", into="USDT", quantity=Decimal(1), least_received=Decimal(1))


def caused(kind: type[Exception], cause: BaseException) -> Exception:
    """ccxt's exception as it raises it."""
    raised = kind(f"bybit POST https://api.bybit.com/v5/order/create {CREDENTIALS['apiKey']}")
    raised.__cause__ = cause
    return raised


def surprise(kind: type[Exception]) -> Callable[[], Any]:
    """Raised after the request has gone."""

    def fail() -> None:
        raise kind("surprise")

    return fail


UNCERTAIN: dict[str, Any] = {
    "connection lost after sending": caused(ccxt.ExchangeNotAvailable, aiohttp.ServerDisconnectedError()),
    "truncated body": caused(ccxt.ExchangeError, aiohttp.ClientPayloadError("not all data")),
    "no answer in time": caused(ccxt.RequestTimeout, TimeoutError()),
    "empty 200": Answer(body=""),
    "200 with a web page": Answer(body="<html>ok</html>"),
    "200 with half a document": Answer(body='{"retCode":0,"retMsg":"OK","result":{"orderId":"13210'),
    "success without an id": ok(orderLinkId=ID),
    "success with an empty id": ok(orderId="", orderLinkId=ID),
    "success of another order": ok(orderId="1", orderLinkId="another"),
    "success without a result": answer({"retCode": 0, "retMsg": "OK"}),
    "a list for an order": answer([{"orderId": "1"}]),
    "no envelope": answer({"orderId": "1", "orderLinkId": ID}),
    "an old envelope": answer({"ret_code": 0, "result": {"orderId": "1"}}),
    "a code that ccxt takes for a success": fault(30084, "Isolated not modified"),
    "502": Answer(body="<html>bad gateway</html>", status=502),
    "500 with a code that would be certain": fault(110017, "orderQty will be truncated to zero", 500),
    "403 without a document": Answer(body="<html>403, access too frequent</html>", status=403),
    "401 without a document": Answer(body="", status=401),
    "400 with unknown JSON": answer({"error": "what?"}, 400),
    "a code that is no number": answer({"retCode": "E1", "retMsg": "no"}),
    "a code without a message": answer({"retCode": 110017}),
    "a status that ccxt lets pass": answer({"retCode": 0, "retMsg": "OK", "result": {"orderId": "1"}}, 599),
    "a code that nobody knows": fault(987654, "Something new."),
    "a code that only ccxt calls a refusal": fault(110030, "Duplicate orderId"),
    "TypeError": surprise(TypeError),
    "KeyError": surprise(KeyError),
    "connection reset": surprise(ConnectionResetError),
    "ccxt's InvalidOrder without the venue's code": ccxt.InvalidOrder("bybit"),
    **{code: fault(int(code), "uncertain") for code in sorted(bybit_refusals.UNCERTAIN)},
    "-1 for another reason": fault(-1, "unknown"),
}


@pytest.mark.parametrize("step", [CLOSE, SALE], ids=["close", "sale"])
@pytest.mark.parametrize("name", UNCERTAIN)
async def test_whatever_may_have_been_executed_is_ambiguous(name: str, step: Step) -> None:
    """Neither done nor refused, never an exception, and without secrets in its message."""
    async with recorded_venue(exchange="bybit") as (venue, fetch):
        fetch.answers["POST /v5/order/create"] = UNCERTAIN[name]
        result = await venue.execute(step)
        assert (result.outcome, result.refusal) == (Outcome.AMBIGUOUS, None)
        assert result.sent_ns is not None
        assert not any(secret in (result.message or "") for secret in CREDENTIALS.values())


REFUSED: list[tuple[int, str, Refusal]] = [
    (110017, "orderQty will be truncated to zero", Refusal.NOTHING_TO_REDUCE),
    (110017, "current position is zero, cannot fix reduce-only order qty", Refusal.NOTHING_TO_REDUCE),
    (110034, "There is no net position", Refusal.NOTHING_TO_REDUCE),
    (110003, "Order price exceeds the allowable range.", Refusal.PRICE_BAND),
    (30208, "The order price is higher than the maximum buying price", Refusal.PRICE_BAND),
    (30209, "The order price is lower than the minimum selling price.", Refusal.PRICE_BAND),
    (110118, "Unable to retrieve a price of the market order due to low liquidity", Refusal.PRICE_BAND),
    (110120, "Order price cannot be smaller than 1, the price limitation", Refusal.PRICE_BAND),
    (170194, "Sell order price cannot be lower than 1.", Refusal.PRICE_BAND),
    (170371, "Order price cannot be lower than 1, the price limitation", Refusal.PRICE_BAND),
    (10001, "The number of contracts exceeds maximum limit allowed: too large", Refusal.QUANTITY),
    (10001, "The number of contracts exceeds minimum limit allowed", Refusal.TOO_SMALL),
    (10001, "openapi sign params error!", Refusal.DENIED),
    (10001, "position idx not match position mode", Refusal.OTHER),
    (110094, "Order notional value below the lower limit", Refusal.TOO_SMALL),
    (170136, "Order quantity lower than the minimum.", Refusal.TOO_SMALL),
    (170140, "Order value exceeded lower limit", Refusal.TOO_SMALL),
    (170124, "Order amount too large.", Refusal.QUANTITY),
    (170198, "Your order quantity to sell is too large.", Refusal.QUANTITY),
    (110063, "Settlement in progress!", Refusal.MARKET_CLOSED),
    (110074, "This contract is not live", Refusal.MARKET_CLOSED),
    (110095, "You cannot create orders during the Call Auction.", Refusal.MARKET_CLOSED),
    (170151, "The trading pair is not open yet", Refusal.MARKET_CLOSED),
    (110007, "Available balance is insufficient", Refusal.INSUFFICIENT),
    (170131, "Balance insufficient", Refusal.INSUFFICIENT),
    (10006, "Too many visits!", Refusal.RATE_LIMITED),
    (170005, "Too many new orders; current limit is 20 orders per 1s.", Refusal.RATE_LIMITED),
    (110079, "The order is processing and can not be operated", Refusal.OVERLOADED),
    (10003, "API key is invalid.", Refusal.DENIED),
    (10004, "Error sign", Refusal.DENIED),
    (10005, "Permission denied", Refusal.DENIED),
    (10010, "Unmatched IP", Refusal.DENIED),
    (10024, "Compliance rules triggered", Refusal.DENIED),
    (33004, "Your api key has expired", Refusal.DENIED),
    (-2015, "Your api key has expired", Refusal.DENIED),
    (110132, "Product not available in your region", Refusal.DENIED),
    (10002, "The request time exceeds the time window range.", Refusal.OTHER),
    (-1, "request expired: o@0, now[1] diff[2]", Refusal.OTHER),
    (110023, "Currently you can only reduce your position on this contract.", Refusal.OTHER),
]


@pytest.mark.parametrize(("code", "message", "refusal"), REFUSED, ids=lambda value: str(value)[:24])
async def test_the_venues_certain_words_are_refusals(code: int, message: str, refusal: Refusal) -> None:
    """What the next plan depends on; with HTTP 200 or 400 alike."""
    for status in (200, 400):
        async with recorded_venue(exchange="bybit") as (venue, fetch):
            fetch.default = ok(timeSecond="1800000000", timeNano="1800000000123456789")
            fetch.answers["POST /v5/order/create"] = fault(code, message, status)
            result = await venue.execute(CLOSE)
            assert (result.outcome, result.refusal) == (Outcome.REFUSED, refusal)
            assert str(code) in (result.message or "")


@pytest.mark.parametrize("code", sorted(bybit_refusals.TRADING))
async def test_every_code_of_the_table_has_its_outcome(code: str) -> None:
    """A table that nobody reads proves nothing."""
    async with recorded_venue(exchange="bybit") as (venue, fetch):
        fetch.default = ok(timeSecond="1800000000", timeNano="1800000000123456789")
        fetch.answers["POST /v5/order/create"] = fault(int(code), "said")
        result = await venue.execute(SALE)
        assert (result.outcome, result.refusal) == (Outcome.REFUSED, bybit_refusals.TRADING[code])
        assert code not in bybit_refusals.UNCERTAIN


async def test_too_many_orders_hold_back_orders_for_a_second_and_nothing_else() -> None:
    """Limits are counted by endpoint."""
    async with recorded_venue(exchange="bybit", slices=("linear:USDT",)) as (venue, fetch):
        fetch.default = page("linear")
        fetch.answers["/v5/order/create"] = fault(10006, "Too many visits!")
        first, second = (
            await venue.execute(close_position(slice="linear:USDT")),
            await venue.execute(close_position(slice="linear:USDT")),
        )
        assert (first.refusal, first.retry_after_s) == (Refusal.RATE_LIMITED, 1.0)
        assert (second.refusal, second.sent_ns) == (Refusal.RATE_LIMITED, None)
        assert 0 < (second.retry_after_s or 0) <= 1.0
        assert (await venue.read_positions("linear:USDT")).positions == ()


async def test_a_refused_timestamp_has_the_clock_measured() -> None:
    """So that the next request has it right."""
    async with recorded_venue(exchange="bybit") as (venue, fetch):
        fetch.answers = {
            "/v5/order/create": fault(10002, "The request time exceeds the time window range."),
            "/v5/market/time": ok(timeSecond="1800000000", timeNano="1800000000123456789"),
        }
        await venue.execute(CLOSE)
        assert fetch.lines[-1] == ("GET", "api.bybit.com", "/v5/market/time")
        assert venue.clock_offset_ms() is not None


def batch(*codes: int, ids: tuple[str, ...] = ("11", "12")) -> Answer:
    """An answer to a batch."""
    said = [{"code": code, "msg": "OK" if code == 0 else "said"} for code in codes]
    orders = [{"category": "linear", "orderId": each} for each in ids]
    return answer({"retCode": 0, "retMsg": "OK", "result": {"list": orders}, "retExtInfo": {"list": said}, "time": 1})


@pytest.mark.parametrize(
    ("step", "given"),
    [
        (CLOSE, TAKEN),
        (CLOSE, ok(orderId="1")),
        (SALE, TAKEN),
        (cancel_orders("11"), ok(orderId="11", orderLinkId="anybody's")),
        (cancel_orders("11", "12"), batch(0, 0)),
        (cancel_orders("11", "12"), batch(0, 110001)),
        (cancel_symbol(), ok(list=[{"orderId": "11", "orderLinkId": ""}], success="1")),
        (cancel_symbol(trigger=True), ok(list=[], success="1")),
        (cancel_symbol("inverse"), ok(list=[])),  # unified 1.0
        (cancel_symbol("spot"), fault(170213, "Order does not exist.")),
        (REPAY, ok(resultStatus="SU")),
        (REPAY, ok(resultStatus="P")),
    ],
)
async def test_done_needs_the_venues_own_word_and_tells_of_no_fill(step: Step, given: Answer) -> None:
    """An acknowledgement comes before the fact."""
    async with recorded_venue(exchange="bybit") as (venue, fetch):
        fetch.default = given
        result = await venue.execute(step)
        assert (result.outcome, result.filled) == (Outcome.DONE, None)


@pytest.mark.parametrize(
    ("step", "given", "outcome", "refusal"),
    [
        (cancel_orders("11"), fault(110001, "Order does not exist"), Outcome.REFUSED, Refusal.UNKNOWN_ORDER),
        (cancel_orders("11"), fault(110008, "completed or cancelled"), Outcome.REFUSED, Refusal.UNKNOWN_ORDER),
        (cancel_orders("11", slice_name="spot"), fault(170213, "x"), Outcome.REFUSED, Refusal.UNKNOWN_ORDER),
        (cancel_orders("11", "12"), batch(110001, 110010), Outcome.REFUSED, Refusal.UNKNOWN_ORDER),
        (cancel_orders("11", "12"), batch(0, 10006), Outcome.REFUSED, Refusal.RATE_LIMITED),
        (cancel_orders("11", "12"), batch(110001, 10005), Outcome.REFUSED, Refusal.DENIED),
        (cancel_orders("11", "12"), batch(0, 10016), Outcome.AMBIGUOUS, None),
        (cancel_orders("11", "12"), batch(0, 999999), Outcome.AMBIGUOUS, None),
        (cancel_orders("11", "12"), batch(0), Outcome.AMBIGUOUS, None),
        (cancel_orders("11", "12"), batch(), Outcome.AMBIGUOUS, None),
        (cancel_orders("11", "12"), batch(0, 0, ids=("11", "")), Outcome.AMBIGUOUS, None),
        (cancel_orders("11", "12"), batch(0, 0, 0, ids=("1", "2", "3")), Outcome.AMBIGUOUS, None),
        (cancel_orders("11", "12"), ok(list=[{"orderId": "11"}, {"orderId": "12"}]), Outcome.AMBIGUOUS, None),
        (cancel_symbol(), ok(list=[], success="0"), Outcome.AMBIGUOUS, None),
        (cancel_symbol(), ok(success="1"), Outcome.AMBIGUOUS, None),
        (cancel_symbol(), ok(), Outcome.AMBIGUOUS, None),
        (REPAY, ok(resultStatus="FA"), Outcome.REFUSED, Refusal.OTHER),
        (REPAY, ok(resultStatus="?"), Outcome.AMBIGUOUS, None),
        (REPAY, fault(182102, "no liabilities in the current currency"), Outcome.REFUSED, Refusal.OTHER),
        (REPAY, fault(176015, "Insufficient available balance"), Outcome.REFUSED, Refusal.INSUFFICIENT),
        (REPAY, fault(176014, "Repeated repayment requests"), Outcome.AMBIGUOUS, None),
        (REPAY, fault(34022038, "Repayment is in progress. Please do not repeat"), Outcome.AMBIGUOUS, None),
        (REPAY, fault(34022044, "Repayment unsuccessful."), Outcome.REFUSED, Refusal.OTHER),
        (REPAY, fault(34022035, "You cannot repay while interest is being"), Outcome.REFUSED, Refusal.OVERLOADED),
        (CONVERT, fault(700006, "Low amount limit"), Outcome.REFUSED, Refusal.TOO_SMALL),
        (CONVERT, fault(790000, "system error. please try again later"), Outcome.AMBIGUOUS, None),
    ],
)
async def test_what_is_gone_what_failed_and_what_is_not_clear(
    step: Step, given: Answer, outcome: Outcome, refusal: Refusal | None
) -> None:
    """A batch is no better than its worst part."""
    async with recorded_venue(exchange="bybit") as (venue, fetch):
        fetch.default = given
        result = await venue.execute(step)
        assert (result.outcome, result.refusal) == (outcome, refusal)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (page("spot", order(orderLinkId=ID, orderStatus="Filled")), True),
        (page("spot"), False),
        (page("spot", order(orderLinkId="another")), None),
        (page("spot", order(orderLinkId=ID, orderId="")), None),
        (page("linear"), None),
        (ok(), None),
        (fault(170213, "Order does not exist."), False),
        (fault(110001, "Order does not exist", 500), None),
        (fault(10006, "Too many visits!"), None),
        (fault(10016, "Server error."), None),
        (Answer(body=""), None),
        (caused(ccxt.RequestTimeout, TimeoutError()), None),
    ],
)
async def test_a_sale_is_known_not_to_exist_only_if_the_venue_says_so(given: Any, expected: bool | None) -> None:
    """Everything else leaves it unknown."""
    async with recorded_venue(exchange="bybit") as (venue, fetch):
        fetch.answers["GET /v5/order/realtime"] = given
        assert await venue.filled(SALE) is expected


@pytest.mark.parametrize(
    ("given", "outcome", "refusal"),
    [
        (fault(110001, "order not exists or too late to cancel"), Outcome.DONE, None),
        (fault(10005, "Permission denied, please check your API key permissions."), Outcome.REFUSED, Refusal.DENIED),
        (Answer(body=""), Outcome.AMBIGUOUS, None),
    ],
)
async def test_the_probe_succeeds_when_the_venue_has_looked_for_the_order(
    given: Answer, outcome: Outcome, refusal: Refusal | None
) -> None:
    """ "Unknown order" proves that the key may cancel."""
    async with recorded_venue(exchange="bybit") as (venue, fetch):
        fetch.default = given
        result = await venue.probe()
        assert (result.outcome, result.refusal) == (outcome, refusal)
