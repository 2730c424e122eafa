"""The convert service: a price that is held against the step's, accepted, and seen to its end."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import aiohttp
import ccxt
import pytest

from node.domain.permission import Permission
from node.domain.steps import ConvertAsset, Outcome, Refusal, StepResult
from node.venues import step_runner
from tests.support.venue import Answer, answer, error, recorded_venue
from tests.support.venue_sim import Bench, bench

QUOTE, ACCEPT = "POST /sapi/v1/convert/getQuote", "POST /sapi/v1/convert/acceptQuote"
STATUS = "GET /sapi/v1/convert/orderStatus"
GOOD = {"quoteId": "12415572564", "ratio": "64000", "toAmount": "0.64", "fromAmount": "0.00001"}
SUCCESS = answer({"orderId": 9, "orderStatus": "SUCCESS"})
PROCESS = answer({"orderId": "9", "createTime": 1, "orderStatus": "PROCESS"})
FAIL = answer({"orderId": 9, "orderStatus": "FAIL"})
PATHS = [QUOTE, ACCEPT, STATUS]


def convert(
    asset: str = "BTC", quantity: str = "0.00001", least: str = "0.6", into: str = "USDT", slice_name: str = "spot"
) -> ConvertAsset:
    """A residue."""
    return ConvertAsset(
        slice=slice_name, asset=asset, into=into, quantity=Decimal(quantity), least_received=Decimal(least)
    )


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pauses between looks."""
    monkeypatch.setattr(step_runner, "CONVERSION_LOOKS_S", (0.0, 0.0, 0.0))


async def converted(
    quote: Any = None, accept: Any = SUCCESS, status: Any = SUCCESS, step: ConvertAsset | None = None
) -> tuple[StepResult, list[str]]:
    """The step's result, and what was asked."""
    async with recorded_venue() as (venue, fetch):
        fetch.answers = {QUOTE: quote or answer(GOOD), ACCEPT: accept, STATUS: status}
        result = await venue.execute(step or convert())
        return result, [f"{each.method} {each.path}" for each in fetch.sent]


async def test_a_good_price_is_accepted_by_its_id() -> None:
    """And asked after by it, while it is under way."""
    async with recorded_venue() as (venue, fetch):
        fetch.answers = {QUOTE: answer(GOOD), ACCEPT: PROCESS, STATUS: SUCCESS}
        assert (await venue.execute(convert())).outcome is Outcome.DONE
        assert [f"{each.method} {each.path}" for each in fetch.sent] == PATHS
        assert [each.params for each in fetch.sent[1:]] == [{"quoteId": "12415572564"}] * 2


async def test_success_at_once_needs_no_second_look() -> None:
    """The venue's word is enough."""
    result, asked = await converted()
    assert (result.outcome, asked) == (Outcome.DONE, PATHS[:2])


@pytest.mark.parametrize("received", ["0.59999999", "0.1"])
async def test_a_worse_price_is_not_accepted(received: str) -> None:
    """The step says what is the least."""
    result, asked = await converted(answer({**GOOD, "toAmount": received}))
    assert (result.outcome, result.refusal, asked) == (Outcome.REFUSED, Refusal.PRICE_BAND, PATHS[:1])
    assert received in (result.message or "")


async def test_exactly_the_least_is_enough() -> None:
    """Not less."""
    result, _ = await converted(answer({**GOOD, "toAmount": "0.60000000"}))
    assert result.outcome is Outcome.DONE


async def test_a_price_without_an_offer_says_that_not_enough_is_free() -> None:
    """So the venue's page."""
    result, asked = await converted(answer({name: GOOD[name] for name in ("toAmount", "fromAmount", "ratio")}))
    assert (result.outcome, result.refusal, asked) == (Outcome.REFUSED, Refusal.INSUFFICIENT, PATHS[:1])


async def test_a_price_for_more_than_was_named_is_not_accepted() -> None:
    """More would leave the wallet than was read."""
    result, asked = await converted(answer({**GOOD, "fromAmount": "0.00002"}))
    assert (result.outcome, asked) == (Outcome.AMBIGUOUS, PATHS[:1])


@pytest.mark.parametrize(
    ("given", "refusal"),
    [
        (error(-1130, "Data sent for parameter 'fromAmount' is not valid."), Refusal.TOO_SMALL),
        (error(-1130, "Data sent for parameter 'toAsset' is not valid."), Refusal.OTHER),
        (error(-1002, "You are not authorized to execute this request."), Refusal.DENIED),
        (error(-2015, "Invalid API-key, IP, or permissions for action."), Refusal.DENIED),
        (error(345231, "System failed to execute the quote, which has expired."), Refusal.OTHER),
        (error(-1003, "Too many requests", 429), Refusal.RATE_LIMITED),
    ],
)
@pytest.mark.parametrize("at", [QUOTE, ACCEPT])
async def test_known_refusals_are_told_by_their_code(given: Answer, refusal: Refusal, at: str) -> None:
    """Of the price and of its acceptance."""
    result, _ = await (converted(quote=given) if at == QUOTE else converted(accept=given))
    assert (result.outcome, result.refusal) == (Outcome.REFUSED, refusal)


def lost() -> Exception:
    """The answer never came."""
    raised: Exception = ccxt.RequestTimeout(
        "binance POST https://api.binance.com/sapi/v1/convert/acceptQuote?signature=abc"
    )
    raised.__cause__ = TimeoutError()
    return raised


UNCLEAR: list[Any] = [
    Answer(body=""),
    Answer(body="<html>"),
    answer({}),
    answer({"orderStatus": "SUCCESS"}),
    answer({"orderId": "9", "orderStatus": "SOMETHING"}),
    error(345999, "Something new."),
    error(-1007, "Timeout waiting for response from backend server."),
    Answer(body="", status=502),
    lost(),
    aiohttp.ServerDisconnectedError(),
]


@pytest.mark.parametrize("given", UNCLEAR, ids=str)
async def test_an_acceptance_that_is_not_clear_is_ambiguous(given: Any) -> None:
    """Unless the venue knows more when it is asked; made once all the same."""
    result, asked = await converted(accept=given, status=error(-2013, "Order does not exist."))
    assert (result.outcome, result.refusal) == (Outcome.AMBIGUOUS, None)
    assert asked.count(ACCEPT) == 1
    assert (await converted(accept=given, status=SUCCESS))[0].outcome is Outcome.DONE
    assert (await converted(accept=given, status=FAIL))[0].refusal is Refusal.OTHER
    assert "signature" not in (result.message or "")


@pytest.mark.parametrize("given", [each for each in UNCLEAR if each is not UNCLEAR[3]], ids=str)
async def test_a_price_that_is_not_clear_is_never_accepted(given: Any) -> None:
    """And nothing is known."""
    result, asked = await converted(quote=given)
    assert (result.outcome, asked) == (Outcome.AMBIGUOUS, PATHS[:1])


@pytest.mark.parametrize("status", [PROCESS, Answer(body=""), error(-2013, "Order does not exist."), lost()], ids=str)
async def test_what_stays_under_way_is_ambiguous(status: Any) -> None:
    """After a few looks."""
    result, asked = await converted(accept=PROCESS, status=status)
    assert result.outcome is Outcome.AMBIGUOUS
    assert 1 <= asked.count(STATUS) <= 3


async def test_a_lost_acceptance_that_turns_out_to_be_under_way_is_asked_after_until_it_ends() -> None:
    """The first look says that it was made."""
    later = iter([{"orderId": 9, "orderStatus": status} for status in ("PROCESS", "SUCCESS")])
    result, asked = await converted(accept=lost(), status=lambda: next(later))
    assert (result.outcome, asked.count(STATUS)) == (Outcome.DONE, 2)


async def test_a_conversion_that_failed_was_refused() -> None:
    """The venue's word, at once or later."""
    for accept, status in ((FAIL, SUCCESS), (PROCESS, FAIL)):
        result, _ = await converted(accept=accept, status=status)
        assert (result.outcome, result.refusal) == (Outcome.REFUSED, Refusal.OTHER)


@pytest.mark.parametrize("step", [convert(slice_name="linear"), convert(quantity="0")])
async def test_only_the_spot_wallet_is_converted_and_never_nothing(step: ConvertAsset) -> None:
    """Refused without being sent."""
    result, asked = await converted(step=step)
    assert (result.outcome, result.refusal, asked) == (Outcome.REFUSED, Refusal.OTHER, [])


@pytest.mark.parametrize("level", [Permission.READ, Permission.CANCEL])
async def test_below_close_not_even_a_price_is_asked_for(level: Permission) -> None:
    """It is the first half of a conversion."""
    async with recorded_venue(permission=level) as (venue, fetch):
        assert (await venue.execute(convert())).refusal is Refusal.PERMISSION
        assert fetch.sent == []


async def held(the: Bench) -> dict[str, Decimal]:
    """By coin."""
    return {each.asset: each.free for each in (await the.venue.read_proof("spot")).balances or ()}


async def test_a_residue_is_converted_over_the_wire() -> None:
    """The venue answers before the money moves; the wallet tells."""
    async with bench("residue", slices=("spot",)) as the:
        before = await held(the)
        assert (await the.venue.execute(convert("SXP", "400", "1"))).outcome is Outcome.DONE
        after = await held(the)
        assert "SXP" not in after
        assert after["USDT"] > before["USDT"] + 1


async def test_what_the_service_does_not_take_is_refused_over_the_wire() -> None:
    """Too little, no such pair, too dear, more than there is."""
    async with bench("residue", slices=("spot",)) as the:
        found = {}
        for step in (
            convert("TRX", "0.00000001", "0"),
            convert("XAIR", "1000", "0"),
            convert("SXP", "400", "1000000"),
            convert("SXP", "40000", "0"),
        ):
            result = await the.venue.execute(step)
            found[f"{step.asset} {step.quantity}"] = (result.outcome, result.refusal)
        assert found == {
            "TRX 1E-8": (Outcome.REFUSED, Refusal.TOO_SMALL),
            "XAIR 1000": (Outcome.REFUSED, Refusal.OTHER),
            "SXP 400": (Outcome.REFUSED, Refusal.PRICE_BAND),
            "SXP 40000": (Outcome.REFUSED, Refusal.INSUFFICIENT),
        }
        assert the.requests("POST", "/sapi/v1/convert/acceptQuote") == []


async def test_an_acceptance_whose_answer_is_lost_is_found_by_its_quote() -> None:
    """It was made once."""
    async with bench("residue", slices=("spot",), request_timeout_s=0.5) as the:
        the.misbehave("lose_after_execution", path="/sapi/v1/convert/acceptQuote")
        assert (await the.venue.execute(convert("SXP", "400", "1"))).outcome is Outcome.DONE
        assert len(the.requests("POST", "/sapi/v1/convert/acceptQuote")) == 1
        assert "SXP" not in await held(the)
