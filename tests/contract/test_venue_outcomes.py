"""How a step ended: refused only where that is certain, done only with the venue's own word, else ambiguous."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import aiohttp
import ccxt
import pytest

from node.domain.steps import BuyToRepay, Outcome, Refusal, Step
from node.errors import VenueAnswerUnknown, VenueUnavailable
from node.observe.metrics import REQUEST_OUTCOMES
from node.venues.ccxt_client import ending_of
from node.venues.outcomes import Attempt
from node.venues.wire import Wire
from tests.support.venue import (
    CREDENTIALS,
    Answer,
    answer,
    cancel_orders,
    cancel_symbol,
    close_position,
    error,
    recorded_venue,
    sell_spot,
)

FILLED = {"orderId": 22542179, "clientOrderId": "x", "status": "FILLED", "executedQty": "0.015"}
CLOSE = close_position()


def caused(kind: type[Exception], cause: BaseException) -> Exception:
    """ccxt's exception as it raises it: with the signed address inside."""
    raised = kind(f"binance POST https://fapi.binance.com/fapi/v1/order?signature=abc&key={CREDENTIALS['apiKey']}")
    raised.__cause__ = cause
    return raised


def surprise(kind: type[Exception]) -> Callable[[], Any]:
    """Raised after the request has gone, in the middle of a parser."""

    def fail() -> None:
        raise kind("surprise")

    return fail


UNCERTAIN: dict[str, Any] = {
    "connection lost after sending": caused(ccxt.ExchangeNotAvailable, aiohttp.ServerDisconnectedError()),
    "truncated body": caused(ccxt.ExchangeError, aiohttp.ClientPayloadError("not all data")),
    "no answer in time": caused(ccxt.RequestTimeout, TimeoutError()),
    "empty 200": Answer(body=""),
    "200 with a web page": Answer(body="<html>ok</html>"),
    "200 with half a document": Answer(body='{"orderId": 225421'),
    "success without an id": answer({"status": "NEW"}),
    "success with an empty id": answer({"orderId": None, "status": "NEW"}),
    "a list for an order": answer([FILLED]),
    "502": Answer(body="<html>bad gateway</html>", status=502),
    "503, unknown": error(-1000, "Unknown error, please check your request or try again later.", 503),
    "500 with a code that would be certain": error(-2022, "ReduceOnly Order is rejected.", 500),
    "403 from a firewall": Answer(body="<html>forbidden</html>", status=403),
    "400 with unknown JSON": answer({"error": "what?"}, 400),
    "a status that ccxt lets pass": answer(FILLED, 599),
    "-1006": error(-1006, "An unexpected response was received. Execution status unknown."),
    "-1007": error(-1007, "Timeout waiting for response from backend server. Send status unknown."),
    "-1001": error(-1001, "Internal error; unable to process your request. Please try again."),
    "a code that nobody knows": error(-9999, "Something new."),
    "a client id that is known already": error(-4116, "clientOrderId is duplicated"),
    "TypeError": surprise(TypeError),
    "KeyError": surprise(KeyError),
    "IndexError": surprise(IndexError),
    "ValueError": surprise(ValueError),
    "AttributeError": surprise(AttributeError),
    "connection reset": surprise(ConnectionResetError),
    "ccxt's BadRequest without the venue's code": ccxt.BadRequest("binance"),
    "ccxt's NullResponse": ccxt.NullResponse("binance"),
}


@pytest.mark.parametrize("name", UNCERTAIN)
async def test_whatever_may_have_been_executed_is_ambiguous(name: str) -> None:
    """Neither done nor refused, and never an exception."""
    async with recorded_venue() as (venue, fetch):
        fetch.answers["POST /fapi/v1/order"] = UNCERTAIN[name]
        result = await venue.execute(CLOSE)
        assert (result.outcome, result.refusal) == (Outcome.AMBIGUOUS, None)
        assert result.sent_ns is not None


REFUSED: list[tuple[int, str, int, Refusal]] = [
    (-2022, "ReduceOnly Order is rejected.", 400, Refusal.NOTHING_TO_REDUCE),
    (
        -4118,
        "ReduceOnly Order Failed. Please check your existing position and open orders",
        400,
        Refusal.NOTHING_TO_REDUCE,
    ),
    (-4131, "The counterparty's best price does not meet the PERCENT_PRICE filter limit.", 400, Refusal.PRICE_BAND),
    (-4016, "Limit price can't be higher than 65000.", 400, Refusal.PRICE_BAND),
    (-4024, "Limit price can't be lower than 60000.", 400, Refusal.PRICE_BAND),
    (-4005, "Quantity greater than max quantity.", 400, Refusal.QUANTITY),
    (-4164, "Order's notional must be no smaller than 5.0", 400, Refusal.TOO_SMALL),
    (-4003, "Quantity less than zero.", 400, Refusal.TOO_SMALL),
    (-4141, "Symbol is closed.", 400, Refusal.MARKET_CLOSED),
    (-4108, "This symbol is in delivering.", 400, Refusal.MARKET_CLOSED),
    (-1013, "Market is closed.", 400, Refusal.MARKET_CLOSED),
    (-1013, "Filter failure: PERCENT_PRICE_BY_SIDE", 400, Refusal.PRICE_BAND),
    (-1013, "Filter failure: MARKET_LOT_SIZE", 400, Refusal.QUANTITY),
    (-1013, "Filter failure: NOTIONAL", 400, Refusal.TOO_SMALL),
    (-1013, "Invalid quantity.", 400, Refusal.OTHER),
    (-2010, "Account has insufficient balance for requested action.", 400, Refusal.INSUFFICIENT),
    (-2019, "Margin is insufficient.", 400, Refusal.INSUFFICIENT),
    (-1003, "Too many requests", 429, Refusal.RATE_LIMITED),
    (-1003, "Way too many requests; IP banned until 1.", 418, Refusal.RATE_LIMITED),
    (-1015, "Too many new orders; current limit is 300 orders per 10S.", 429, Refusal.RATE_LIMITED),
    (-1008, "Request throttled by system-level protection.", 503, Refusal.OVERLOADED),
    (-2014, "API-key format invalid.", 401, Refusal.DENIED),
    (-2015, "Invalid API-key, IP, or permissions for action.", 401, Refusal.DENIED),
    (-2008, "Invalid Api-Key ID.", 401, Refusal.DENIED),
    (-1002, "You are not authorized to execute this request.", 401, Refusal.DENIED),
    (-1021, "Timestamp for this request is outside of the recvWindow.", 400, Refusal.OTHER),
    (-4061, "Order's position side does not match user's setting.", 400, Refusal.OTHER),
    (-1102, "Mandatory parameter 'quantity' was not sent.", 400, Refusal.OTHER),
    # Not in our table: ccxt knows it for certain.
    (-4144, "Invalid pair.", 400, Refusal.OTHER),
]


@pytest.mark.parametrize(("code", "message", "status", "refusal"), REFUSED, ids=lambda value: str(value)[:24])
async def test_the_venues_certain_words_are_refusals(code: int, message: str, status: int, refusal: Refusal) -> None:
    """What the next plan depends on."""
    async with recorded_venue() as (venue, fetch):
        fetch.default = answer({"serverTime": 1_800_000_000_000})
        fetch.answers["POST /fapi/v1/order"] = error(code, message, status)
        result = await venue.execute(CLOSE)
        assert (result.outcome, result.refusal) == (Outcome.REFUSED, refusal)
        assert str(code) in (result.message or "")


@pytest.mark.parametrize(
    ("step", "given"),
    [
        (CLOSE, answer(FILLED)),
        (CLOSE, answer({**FILLED, "status": "EXPIRED", "executedQty": "0.005"})),
        (sell_spot(), answer(FILLED)),
        (cancel_orders("11"), answer({"orderId": 11, "status": "CANCELED"})),
        (cancel_orders("11", "12"), answer([{"orderId": 11}, {"orderId": 12}])),
        (cancel_orders("11", "12"), answer([{"orderId": 11}, {"code": -2011, "msg": "Unknown order sent."}])),
        (cancel_orders("7", trigger=True), answer({"algoId": 7, "code": "200", "msg": "success"})),
        (cancel_symbol(), answer({"code": 200, "msg": "The operation of cancel all open order is done."})),
        (cancel_symbol(trigger=True), answer({"code": "200", "msg": "done"})),
        (cancel_symbol("spot"), answer([{"orderId": 11}, {"orderListId": 4, "contingencyType": "OCO"}])),
        (cancel_symbol("spot"), error(-2011, "Unknown order sent.")),
    ],
)
async def test_done_needs_the_venues_own_word(step: Step, given: Answer) -> None:
    """An id, or its confirmation; on spot also that there was nothing to cancel."""
    async with recorded_venue() as (venue, fetch):
        fetch.default = given
        assert (await venue.execute(step)).outcome is Outcome.DONE


@pytest.mark.parametrize(
    ("step", "given"),
    [
        (cancel_orders("11"), error(-2011, "Unknown order sent.")),
        (cancel_orders("11", "12"), answer([{"code": -2011, "msg": "Unknown order sent."}] * 2)),
        (cancel_orders("11", "12", slice_name="spot"), error(-2011, "Unknown order sent.")),
    ],
)
async def test_cancelling_what_is_gone_says_so(step: Step, given: Answer) -> None:
    """It may have been filled: the next read tells."""
    async with recorded_venue() as (venue, fetch):
        fetch.default = given
        result = await venue.execute(step)
        assert (result.outcome, result.refusal) == (Outcome.REFUSED, Refusal.UNKNOWN_ORDER)


@pytest.mark.parametrize(
    "given",
    [
        answer([]),
        answer({"code": 200}),
        answer([{"orderId": 11}, {"code": -1001, "msg": "Internal error"}]),
        answer([{"orderId": 11}, "?"]),
    ],
)
async def test_a_batch_is_no_better_than_its_worst_part(given: Answer) -> None:
    """One part that is not understood makes the whole ambiguous."""
    async with recorded_venue() as (venue, fetch):
        fetch.default = given
        assert (await venue.execute(cancel_orders("11", "12"))).outcome is Outcome.AMBIGUOUS


async def test_one_lost_request_of_several_makes_the_step_ambiguous() -> None:
    """Although the others were done."""
    replies = iter([answer([{"orderId": 1}]), Answer(body=""), answer([{"orderId": 21}])])
    async with recorded_venue() as (venue, fetch):
        whole = venue._client.send

        async def in_turn(*arguments: Any) -> Any:
            fetch.default = next(replies)
            return await whole(*arguments)

        venue._client.send = in_turn
        result = await venue.execute(cancel_orders(*(str(number) for number in range(21))))
        assert result.outcome is Outcome.AMBIGUOUS


async def test_an_order_that_expired_without_a_fill_was_refused_by_the_market() -> None:
    """Widening the price is what helps."""
    async with recorded_venue() as (venue, fetch):
        fetch.default = answer({**FILLED, "status": "EXPIRED", "executedQty": "0.000"})
        result = await venue.execute(CLOSE)
        assert (result.outcome, result.refusal) == (Outcome.REFUSED, Refusal.UNFILLED)


BUY = BuyToRepay(
    slice="margin",
    symbol="BTC/USDT",
    market_id="BTCUSDT",
    asset="BTC",
    quantity=Decimal("0.015"),
    limit_price=Decimal(64000),
    client_order_id=CLOSE.client_order_id,
)


@pytest.mark.parametrize("step", [CLOSE, sell_spot(), BUY], ids=["close", "sale", "purchase"])
@pytest.mark.parametrize(
    ("change", "filled"),
    [
        ({}, "0.015"),
        ({"status": "EXPIRED", "executedQty": "0.005"}, "0.005"),
        ({"status": "EXPIRED", "executedQty": "0.000"}, "0"),
        ({"status": "PARTIALLY_FILLED", "executedQty": "0.005"}, "0.005"),
        ({"status": "NEW", "executedQty": "0"}, None),
        ({"executedQty": "much"}, None),
    ],
    ids=str,
)
async def test_what_an_order_has_executed_is_told(step: Step, change: dict[str, str], filled: str | None) -> None:
    """By the venue's own number; the zero of a bare acknowledgement is none."""
    async with recorded_venue(slices=("spot", "linear", "margin")) as (venue, fetch):
        fetch.default = answer({**FILLED, **change})
        assert (await venue.execute(step)).filled == (None if filled is None else Decimal(filled))


@pytest.mark.parametrize("step", [cancel_orders("11"), cancel_symbol()], ids=["order", "symbol"])
async def test_a_cancellation_fills_nothing(step: Step) -> None:
    """Whatever was executed of the order before."""
    async with recorded_venue() as (venue, fetch):
        fetch.default = answer({**FILLED, "status": "CANCELED", "code": 200})
        assert (await venue.execute(step)).filled is None


async def test_what_was_never_sent_is_refused_whatever_the_exception() -> None:
    """No byte was handed to a socket, so the venue cannot have it."""
    async with recorded_venue() as (venue, _):

        async def refused_before_sending(*_: Any) -> Any:
            raise caused(ccxt.ExchangeNotAvailable, OSError("Connect call failed"))

        venue._client.send = refused_before_sending
        result = await venue.execute(CLOSE)
        assert (result.outcome, result.refusal, result.sent_ns) == (Outcome.REFUSED, Refusal.OTHER, None)
        assert "not sent" in (result.message or "")


@pytest.mark.parametrize("name", UNCERTAIN)
async def test_no_message_carries_a_secret_or_a_signed_address(name: str) -> None:
    """Messages end in events and logs."""
    async with recorded_venue() as (venue, fetch):
        fetch.answers["POST /fapi/v1/order"] = UNCERTAIN[name]
        message = (await venue.execute(CLOSE)).message or ""
        assert "signature" not in message
        assert not any(secret in message for secret in CREDENTIALS.values())


async def test_a_key_that_the_venue_quotes_is_taken_out() -> None:
    """Some error messages repeat what was sent."""
    async with recorded_venue() as (venue, fetch):
        fetch.default = error(-1102, f"bad {CREDENTIALS['apiKey']} at https://fapi.binance.com/x?signature=abc")
        message = (await venue.execute(CLOSE)).message
        assert message == "-1102 bad *** at https://fapi.binance.com/x"


async def test_retry_after_is_reported_and_then_obeyed_without_sending() -> None:
    """A request during a ban prolongs it."""
    limited = answer({"code": -1003, "msg": "Too many requests"}, 429, Retry_After="30")
    async with recorded_venue() as (venue, fetch):
        fetch.answers["POST /dapi/v1/order"] = limited
        close = close_position(slice="inverse", market_id="BTCUSD_PERP")
        first = await venue.execute(close)
        assert (first.refusal, first.retry_after_s) == (Refusal.RATE_LIMITED, 30.0)
        second = await venue.execute(close)
        assert (second.refusal, second.sent_ns) == (Refusal.RATE_LIMITED, None)
        assert 29.0 < (second.retry_after_s or 0) <= 30.0
        assert len(fetch.sent) == 1


async def test_a_ban_of_one_host_leaves_the_others_open() -> None:
    """Weights are counted per host."""
    async with recorded_venue() as (venue, fetch):
        fetch.answers["/fapi/v1/allOpenOrders"] = answer({"code": -1003, "msg": "x"}, 418, Retry_After="60")
        fetch.answers["/dapi/v1/allOpenOrders"] = answer({"code": 200, "msg": "done"})
        assert (await venue.execute(cancel_symbol())).refusal is Refusal.RATE_LIMITED
        assert (await venue.execute(cancel_symbol("inverse"))).outcome is Outcome.DONE


async def test_too_many_orders_of_a_key_do_not_stop_its_reads_and_cancels() -> None:
    """-1015 counts orders, not requests."""
    async with recorded_venue() as (venue, fetch):
        fetch.default = answer([])
        fetch.answers["POST /dapi/v1/order"] = answer({"code": -1015, "msg": "x"}, 429, Retry_After="10")
        close = close_position(slice="inverse", market_id="BTCUSD_PERP")
        assert (await venue.execute(close)).refusal is Refusal.RATE_LIMITED
        assert (await venue.execute(close)).sent_ns is None
        assert (await venue.read_positions("inverse")).positions == ()


async def test_cancellation_passes_through() -> None:
    """It is the caller's own wish, not the venue's doing."""
    async with recorded_venue() as (venue, fetch):
        fetch.answers["POST /fapi/v1/order"] = asyncio.CancelledError()
        with pytest.raises(asyncio.CancelledError):
            await venue.execute(CLOSE)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (answer({"orderId": 5, "clientOrderId": sell_spot().client_order_id, "executedQty": "0"}), True),
        (answer({"orderId": 5, "clientOrderId": "another"}), None),
        (error(-2013, "Order does not exist."), False),
        (error(-2013, "Order does not exist.", 500), None),
        (error(-1003, "Too many requests", 429), None),
        (Answer(body=""), None),
        (caused(ccxt.RequestTimeout, TimeoutError()), None),
    ],
)
async def test_a_sale_is_known_not_to_exist_only_if_the_venue_says_so(given: Any, expected: bool | None) -> None:
    """Everything else leaves it unknown."""
    async with recorded_venue() as (venue, fetch):
        fetch.answers["GET /api/v3/order"] = given
        assert await venue.filled(sell_spot()) is expected


@pytest.mark.parametrize(
    ("given", "outcome", "refusal"),
    [
        (error(-2011, "Unknown order sent."), Outcome.DONE, None),
        (error(-2015, "Invalid API-key, IP, or permissions for action.", 401), Outcome.REFUSED, Refusal.DENIED),
        (Answer(body=""), Outcome.AMBIGUOUS, None),
    ],
)
async def test_the_probe_succeeds_when_the_venue_has_looked_for_the_order(
    given: Answer, outcome: Outcome, refusal: Refusal | None
) -> None:
    """ "Unknown order" proves that the key may cancel."""
    async with recorded_venue() as (venue, fetch):
        fetch.default = given
        result = await venue.probe()
        assert (result.outcome, result.refusal) == (outcome, refusal)


@pytest.mark.parametrize(
    ("status", "answered_ns", "error", "ending"),
    [
        (200, 2, None, "answered"),
        (200, 2, VenueAnswerUnknown("an error code in a good answer"), "refused"),
        (429, 2, VenueUnavailable("too many"), "refused"),
        (503, 2, VenueUnavailable("down"), "failed"),
        (None, None, TimeoutError(), "unanswered"),
    ],
)
def test_how_a_request_ended_is_one_of_four(
    status: int | None, answered_ns: int | None, error: Exception | None, ending: str
) -> None:
    """For the metrics: only an answer that the venue itself stands for shows that it is there."""
    record = Wire(sent_ns=1, answered_ns=answered_ns, status=status)
    assert ending_of(Attempt(wire=record, answer={}, error=error)) == ending
    assert ending in REQUEST_OUTCOMES
