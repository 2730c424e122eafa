"""OKX: how a step ended, and that nothing beyond an account's level leaves.

Codes from https://www.okx.com/docs-v5/en/#error-code-rest-api-public.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import aiohttp
import ccxt
import pytest

from node.domain.permission import Effect, Permission
from node.domain.steps import Outcome, Refusal, Step
from node.venues import wire
from node.venues.call import Call
from node.venues.gate import NotPermitted, read_request
from node.venues.profiles.okx.effects import effect_of
from node.venues.wire import Wire
from tests.support.okx_venue import (
    ID,
    INVERSE,
    KEY,
    SWAP,
    buy,
    cancel,
    close,
    empty,
    failed,
    fault,
    ok,
    okx,
    path,
    sell,
)
from tests.support.venue import Answer, answer

ORDER, CLOSE = path("trade/order"), path("trade/close-position")
PLACED = {"clOrdId": ID, "ordId": "312269865356374016", "tag": "", "ts": "1695190491421", "sCode": "0", "sMsg": ""}


def caused(kind: type[Exception], cause: BaseException) -> Exception:
    """ccxt's exception as it raises it: with the request inside."""
    raised = kind(f"okx POST https://www.okx.com/api/v5/trade/order {KEY['apiKey']}")
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
    "half a document": Answer(body='{"code":"0","data":[{"ordId":"3122'),
    "success without rows": ok(),
    "success without data": answer({"code": "0", "msg": ""}),
    "success without an id": ok({**PLACED, "ordId": ""}),
    "success of nothing": ok({}),
    "success of two orders": ok(PLACED, PLACED),
    "a part of a success": ok(PLACED, code="2"),
    "a refusal inside a success": ok({**PLACED, "sCode": "51008", "ordId": ""}),
    "a list": answer([PLACED]),
    "502": Answer(body="<html>bad gateway</html>", status=502),
    "a status that ccxt lets pass": answer({"code": "0", "data": [PLACED]}, 599),
    "500 with a code that would be certain": failed("51169", status=500),
    "a failure without a reason": fault("1", "Operation failed."),
    "a row without a code": answer({"code": "1", "data": [{"ordId": ""}], "msg": ""}),
    "a code that nobody knows": failed("59999"),
    "an envelope's code that nobody knows": fault("61234"),
    "50004": fault("50004", "API endpoint request timeout.", 400),
    "50013, not as 429": fault("50013", "Systems are busy."),
    "50026": fault("50026", "System error. Try again later", 500),
    "51054": failed("51054", "Request timed out. Please try again.", 500),
    "51149": failed("51149", "Order timed out.", 500),
    "51149, not as 500": failed("51149", "Order timed out."),
    "a client id that is known already": failed("51016", "Client order ID already exists."),
    "an order id that is known already": failed("51011", "Order ID already exists."),
    "a repeated request": fault("50042", "Repeated request"),
    "TypeError": surprise(TypeError),
    "KeyError": surprise(KeyError),
    "IndexError": surprise(IndexError),
    "connection reset": surprise(ConnectionResetError),
    "ccxt's BadRequest without the venue's code": ccxt.BadRequest("okx"),
}


@pytest.mark.parametrize("name", UNCERTAIN)
async def test_whatever_may_have_been_executed_is_ambiguous(name: str) -> None:
    """Neither done nor refused, and never an exception; no secret in its message."""
    async with okx() as (venue, fetch):
        fetch.answers[ORDER] = UNCERTAIN[name]
        result = await venue.execute(close())
        assert (result.outcome, result.refusal) == (Outcome.AMBIGUOUS, None)
        assert result.sent_ns is not None
        assert not any(secret in (result.message or "") for secret in KEY.values())


CODES: dict[Refusal, tuple[str, ...]] = {
    Refusal.NOTHING_TO_REDUCE: (
        *("51023", "51043", "51112", "51115", "51117", "51148", "51165", "51168", "51169", "51170", "51206"),
    ),
    Refusal.PRICE_BAND: (
        *("51006", "51031", "51109", "51110", "51116", "51124", "51135", "51136", "51137", "51138", "51507"),
    ),
    Refusal.QUANTITY: ("51005", "51033", "51101", "51108", "51185", "51201", "51202", "51203", "51207"),
    Refusal.TOO_SMALL: ("50122", "51007", "51020", "51120", "51132"),
    Refusal.MARKET_CLOSED: ("51021", "51022", "51027", "51028", "51029", "51087", "54012", "54072"),
    Refusal.RATE_LIMITED: ("50011", "50040", "50061", "51113"),
    Refusal.OVERLOADED: ("50009", "50017", "50018", "50019", "50020", "50021", "50022", "50023", "51030"),
    Refusal.DENIED: ("50007", "50030", "50101", "50105", "50110", "50111", "50113", "50114", "50119", "50120", "51024"),
    Refusal.INSUFFICIENT: ("51008", "51008_1000", "51119", "51127", "51131"),
    Refusal.OTHER: ("50014", "50036", "50102", "51000", "51001", "51010", "51121", "51205", "51004_1104"),
}


@pytest.mark.parametrize(("refusal", "code"), [(each, code) for each, codes in CODES.items() for code in codes])
async def test_the_venues_certain_words_are_refusals(refusal: Refusal, code: str) -> None:
    """Of a row, and of the whole."""
    async with okx() as (venue, fetch):
        fetch.default = ok({"ts": "1800000000000"})
        for given in (failed(code), fault(code.partition("_")[0])):
            fetch.answers[ORDER] = given
            result = await venue.execute(close())
            assert (result.outcome, result.refusal) == (Outcome.REFUSED, refusal)
            assert code.partition("_")[0] in (result.message or "")


async def test_an_order_whose_time_is_over_has_the_clock_measured() -> None:
    """It may be ours that is wrong."""
    async with okx() as (venue, fetch):
        fetch.answers = {ORDER: fault("50036", "expTime"), path("public/time"): ok({"ts": "1800000000000"})}
        assert (await venue.execute(close())).refusal is Refusal.OTHER
        assert fetch.lines[-1][-1] == path("public/time")


def rows(*codes: str, name: str = "ordId", code: str = "0") -> Answer:
    """Of a batch of cancels."""
    found = [{name: str(number), "sCode": each, "sMsg": "x"} for number, each in enumerate(codes, 11)]
    return answer({"code": code, "data": found, "msg": ""})


@pytest.mark.parametrize(
    ("step", "given"),
    [
        (close(), ok(PLACED)),
        (close(hedged=True), ok(PLACED)),
        (sell(), ok(PLACED)),
        (cancel("11"), rows("0")),
        (cancel("11", "12"), rows("0", "0")),
        (cancel("11", "12"), rows("0", "51400", code="2")),
        (cancel("11", "12"), rows("51410", "0", code="2")),
        (cancel("7", trigger=True), rows("0", name="algoId")),
    ],
)
async def test_done_needs_the_venues_own_word(step: Step, given: Answer) -> None:
    """An id in every row; of a batch also that some were gone."""
    async with okx() as (venue, fetch):
        fetch.default = given
        result = await venue.execute(step)
        assert (result.outcome, result.filled) == (Outcome.DONE, None)


@pytest.mark.parametrize(
    ("given", "outcome"),
    [
        (ok({"clOrdId": ID, "instId": SWAP, "posSide": "net", "tag": ""}), Outcome.DONE),
        (ok({"clOrdId": ID, "instId": INVERSE, "posSide": "net", "tag": ""}), Outcome.AMBIGUOUS),
        (ok({"clOrdId": ID}), Outcome.AMBIGUOUS),
        (ok(), Outcome.AMBIGUOUS),
        (failed("51023"), Outcome.REFUSED),
        (fault("51023"), Outcome.REFUSED),
    ],
)
async def test_the_venues_own_close_repeats_what_it_closes(given: Answer, outcome: Outcome) -> None:
    """It names no order."""
    async with okx("portfolio") as (venue, fetch):
        fetch.default = given
        assert (await venue.execute(close())).outcome is outcome


@pytest.mark.parametrize(
    ("step", "given"),
    [
        (cancel("11"), rows("51400", code="1")),
        (cancel("11", "12"), rows("51400", "51400", code="1")),
        (cancel("7", trigger=True), rows("51400", name="algoId", code="1")),
        (cancel("7", trigger=True), rows("51416", name="algoId", code="1")),
    ],
)
async def test_cancelling_what_is_gone_says_so(step: Step, given: Answer) -> None:
    """It may have been filled: the next read tells."""
    async with okx() as (venue, fetch):
        fetch.default = given
        result = await venue.execute(step)
        assert (result.outcome, result.refusal) == (Outcome.REFUSED, Refusal.UNKNOWN_ORDER)


@pytest.mark.parametrize(
    ("given", "outcome"),
    [
        (ok(), Outcome.AMBIGUOUS),
        (ok("?"), Outcome.AMBIGUOUS),
        (ok({"sCode": "0"}), Outcome.AMBIGUOUS),
        (rows("0", "0", "0"), Outcome.AMBIGUOUS),
        (rows("0", "59999", code="2"), Outcome.AMBIGUOUS),
        (rows("0", "51412", code="2"), Outcome.AMBIGUOUS),
        (rows("51400", "59999", code="1"), Outcome.AMBIGUOUS),
        (rows("51400", "51412", code="1"), Outcome.AMBIGUOUS),
        (rows("51400", "50113", code="1"), Outcome.REFUSED),
        (rows("0", "50011", code="2"), Outcome.REFUSED),
        (rows("51403", "51400", code="1"), Outcome.REFUSED),
    ],
)
async def test_a_batch_is_no_better_than_its_worst_part(given: Answer, outcome: Outcome) -> None:
    """And never "gone already" if only a part of it is."""
    async with okx() as (venue, fetch):
        fetch.default = given
        result = await venue.execute(cancel("11", "12"))
        assert result.outcome is outcome
        assert result.refusal is not Refusal.UNKNOWN_ORDER


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (ok({"ordId": "5", "clOrdId": ID, "state": "canceled"}), True),
        (ok({"ordId": "5", "clOrdId": "another"}), None),
        (ok({"ordId": "", "clOrdId": ID}), None),
        (ok(), None),
        (fault("51603", "Order does not exist."), False),
        (fault("51603", "Order does not exist.", 500), None),
        (fault("51001", "Instrument ID doesn't exist."), None),
        (fault("50011", "Rate limit reached.", 429), None),
        (Answer(body=""), None),
        (caused(ccxt.RequestTimeout, TimeoutError()), None),
    ],
)
async def test_a_sale_is_known_not_to_exist_only_if_the_venue_says_so(given: Any, expected: bool | None) -> None:
    """Everything else leaves it unknown."""
    async with okx() as (venue, fetch):
        fetch.answers[ORDER] = given
        assert await venue.filled(sell()) is expected


@pytest.mark.parametrize(
    ("given", "outcome", "refusal"),
    [
        (rows("51400", code="1"), Outcome.DONE, None),
        (fault("50120", "This API key doesn't have permission to use this function"), Outcome.REFUSED, Refusal.DENIED),
        (fault("50113", "Invalid signature.", 401), Outcome.REFUSED, Refusal.DENIED),
        (Answer(body=""), Outcome.AMBIGUOUS, None),
    ],
)
async def test_the_probe_succeeds_when_the_venue_has_looked_for_the_order(
    given: Answer, outcome: Outcome, refusal: Refusal | None
) -> None:
    """ "Does not exist" proves that the key may cancel."""
    async with okx() as (venue, fetch):
        fetch.default = given
        result = await venue.probe()
        assert (result.outcome, result.refusal) == (outcome, refusal)


# The gate

LEVELS = list(Permission)
CANCELS: tuple[Step, ...] = (cancel("1"), cancel("1", "2"), cancel("1", trigger=True), cancel("1", slice_name="spot"))
CLOSES: dict[str, tuple[Step, ...]] = {
    "futures": (close(), close(hedged=True), close(isolated=True), close(slice="inverse", market_id=INVERSE), sell()),
    "spot": (sell(),),
    "multi-currency": (close(), close(hedged=True), sell(), buy()),
    "portfolio": (close(), sell(), buy()),
}


@pytest.mark.parametrize("account", CLOSES)
@pytest.mark.parametrize("level", LEVELS)
async def test_every_step_leaves_at_its_level_and_not_below(level: Permission, account: str) -> None:
    """Below it the outcome says why, and that nothing was sent."""
    async with okx(account, permission=level) as (venue, fetch):
        for steps, effect in ((CANCELS, Effect.CANCEL), (CLOSES[account], Effect.CLOSE)):
            for step in steps:
                fetch.sent.clear()
                result = await venue.execute(step)
                if level.allows(effect):
                    assert len(fetch.sent) == 1, step
                    assert result.refusal is not Refusal.PERMISSION
                else:
                    assert (result.refusal, result.sent_ns, fetch.sent) == (Refusal.PERMISSION, None, [])
        fetch.sent.clear()
        empty(fetch)
        for name in venue.slices:
            await venue.read_proof(name)
        assert {each.method for each in fetch.sent} == {"GET"}


@pytest.mark.parametrize("level", LEVELS)
async def test_no_endpoint_of_ccxts_own_can_be_used_without_a_declared_call(level: Permission) -> None:
    """All of them, with the most innocent and the most dangerous parameters."""
    async with okx(permission=level) as (venue, fetch):
        exchange = venue._client.ccxt
        names = [name for name in dir(type(exchange)) if "_" not in name and "Post" in name]
        assert len(names) > 150
        for name in names:
            for params in ({}, [{"instId": SWAP, "ordId": "1"}], {"instId": SWAP, "reduceOnly": True}):
                with pytest.raises(venue._client.faults):
                    await getattr(exchange, name)(params)
        assert fetch.sent == []


@pytest.mark.parametrize("level", LEVELS)
async def test_what_the_profile_does_not_know_leaves_at_no_level(level: Permission) -> None:
    """Withdrawals, transfers, leverage, amendments, batches, algo orders: whatever a call says of itself."""
    endpoints = (
        "privatePostAssetWithdrawal",
        "privatePostAssetTransfer",
        "privatePostAccountSetLeverage",
        "privatePostAccountSetPositionMode",
        "privatePostTradeBatchOrders",
        "privatePostTradeAmendOrder",
        "privatePostTradeOrderAlgo",
        "privatePostTradeCancelAllAfter",
        "privatePostTradeOneClickRepay",
        "privatePostUsersSubaccountModifyApikey",
        "privateGetAccountSpotManualBorrowRepay",
        "privateGetAccountSetAutoRepay",
    )
    async with okx(permission=level) as (venue, fetch):
        for endpoint in endpoints:
            for effect in Effect:
                call = Call(endpoint=endpoint, effect=effect, params={"instId": SWAP})
                assert isinstance((await venue._client.attempt(call)).error, NotPermitted), endpoint
        assert fetch.sent == []


def order(**changes: Any) -> dict[str, Any]:
    """A close of the net long."""
    values = {"instId": SWAP, "tdMode": "cross", "side": "sell", "ordType": "market", "sz": "7", "reduceOnly": True}
    return {**values, **changes}


def spot(**changes: Any) -> dict[str, Any]:
    """A sale for cash."""
    return {
        "instId": "BTC-USDT",
        "tdMode": "cash",
        "side": "sell",
        "ordType": "ioc",
        "sz": "1",
        "px": "2",
        **changes,
    }


def without(document: dict[str, Any], *names: str) -> dict[str, Any]:
    """Less some of it."""
    return {name: value for name, value in document.items() if name not in names}


LEG = without(order(), "reduceOnly")
EFFECTS: list[tuple[str, str, Any, Effect | None]] = [
    ("futures", ORDER, order(), Effect.CLOSE),
    ("futures", ORDER, order(posSide="net", side="buy"), Effect.CLOSE),
    ("futures", ORDER, {**LEG, "posSide": "long"}, Effect.CLOSE),
    ("futures", ORDER, {**LEG, "posSide": "short", "side": "buy"}, Effect.CLOSE),
    ("futures", ORDER, LEG, Effect.OPEN),
    ("futures", ORDER, {**LEG, "posSide": "long", "side": "buy"}, Effect.OPEN),
    ("futures", ORDER, {**LEG, "posSide": "short"}, Effect.OPEN),
    ("futures", ORDER, order(posSide="short"), Effect.OPEN),
    ("futures", ORDER, order(posSide=["long"]), Effect.OPEN),
    ("futures", ORDER, order(reduceOnly=False), Effect.OPEN),
    ("futures", ORDER, order(reduceOnly="true"), Effect.OPEN),
    ("futures", ORDER, order(reduceOnly=1), Effect.OPEN),
    ("futures", ORDER, without(order(), "instId"), Effect.OPEN),
    ("futures", ORDER, order(attachAlgoOrds=[{"slTriggerPx": "1"}]), Effect.OPEN),
    ("futures", ORDER, order(tdMode="cash"), Effect.OPEN),
    ("futures", ORDER, order(instId="BTC-USD-260925-50000-C", tdMode="cash"), Effect.OPEN),
    ("multi-currency", ORDER, order(), Effect.CLOSE),
    ("portfolio", ORDER, order(), Effect.OPEN),
    ("portfolio", ORDER, {**LEG, "posSide": "long"}, Effect.OPEN),
    ("portfolio", CLOSE, {"instId": SWAP, "mgnMode": "cross", "autoCxl": True}, Effect.CLOSE),
    ("futures", CLOSE, {"instId": SWAP, "mgnMode": "cross", "sz": "9"}, None),
    ("futures", ORDER, spot(), Effect.CLOSE),
    ("futures", ORDER, without(spot(ordType="market"), "px"), Effect.CLOSE),
    ("futures", ORDER, spot(ordType="limit"), Effect.OPEN),
    ("futures", ORDER, spot(side="buy"), Effect.OPEN),
    ("futures", ORDER, spot(tdMode="cross"), Effect.OPEN),
    ("futures", ORDER, spot(tdMode="isolated"), Effect.OPEN),
    ("multi-currency", ORDER, spot(tdMode="cross"), Effect.CLOSE),
    ("multi-currency", ORDER, spot(tdMode="cross", side="buy"), Effect.CLOSE),
    ("multi-currency", ORDER, spot(tdMode="cross", side="buy", ordType="market"), Effect.OPEN),
    ("multi-currency", ORDER, spot(tdMode="cross", side="buy", ordType="limit"), Effect.OPEN),
    ("multi-currency", ORDER, spot(tdMode="cash"), Effect.OPEN),
    ("futures", ORDER, [order()], None),
    ("futures", path("trade/cancel-batch-orders"), [{"instId": SWAP, "ordId": "1"}], Effect.CANCEL),
    ("futures", path("trade/cancel-algos"), [{"instId": SWAP, "algoId": "1"}], Effect.CANCEL),
    ("futures", path("trade/cancel-batch-orders"), [{"instId": SWAP, "newSz": "9"}], None),
    ("futures", path("trade/cancel-batch-orders"), [], None),
    ("futures", path("trade/cancel-algos"), ["1"], None),
    ("futures", path("trade/cancel-algos"), {"instId": SWAP, "algoId": "1"}, None),
]


@pytest.mark.parametrize(("account", "place", "document", "effect"), EFFECTS)
def test_a_close_counts_as_one_only_if_the_request_itself_cannot_open(
    account: str, place: str, document: Any, effect: Effect | None
) -> None:
    """Told from the request, and from what the account takes its words for."""
    request = read_request(f"https://www.okx.com{place}", "POST", json.dumps(document))
    assert effect_of(request, account) is effect


GOOD = json.dumps(order())
FORGED: dict[str, tuple[str, str, str | None]] = {
    "lower case": (f"https://www.okx.com{ORDER}", "post", json.dumps(LEG)),
    "in the query": (f"https://www.okx.com{ORDER}?reduceOnly=true", "POST", GOOD),
    "twice": (f"https://www.okx.com{ORDER}", "POST", GOOD[:-1] + ', "reduceOnly": false}'),
    "twice, the other way": (f"https://www.okx.com{ORDER}", "POST", '{"reduceOnly": false, ' + GOOD[1:]),
    "other case": (f"https://www.okx.com{ORDER}", "POST", GOOD.replace("reduceOnly", "ReduceOnly")),
    "escaped path": ("https://www.okx.com/api/v5/trade/%6Frder", "POST", GOOD),
    "dotted path": ("https://www.okx.com/api/v5/public/../trade/order", "POST", GOOD),
    "slash at the end": (f"https://www.okx.com{ORDER}/", "POST", GOOD),
    "a form": (f"https://www.okx.com{ORDER}", "POST", "instId=BTC-USDT-SWAP&reduceOnly=true"),
    "a list": (f"https://www.okx.com{path('trade/batch-orders')}", "POST", f"[{GOOD}]"),
    "half a document": (f"https://www.okx.com{ORDER}", "POST", GOOD[:-1]),
    "put": (f"https://www.okx.com{ORDER}", "PUT", GOOD),
    "delete": (f"https://www.okx.com{ORDER}", "DELETE", GOOD),
    "a read that is none": (f"https://www.okx.com{path('account/spot-manual-borrow-repay')}?side=borrow", "GET", None),
    "a read with a body": (f"https://www.okx.com{ORDER}", "GET", GOOD),
}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", FORGED)
async def test_a_request_that_is_made_by_hand_is_stopped(name: str, level: Permission) -> None:
    """At ccxt's own door, alone and under the cover of a call that may close."""
    url, method, body = FORGED[name]
    async with okx(permission=level) as (venue, fetch):
        with pytest.raises(NotPermitted):
            await venue._client.ccxt.fetch(url, method, {}, body)
        for effect in (Effect.READ, Effect.CANCEL, Effect.CLOSE):
            with wire.recording(Wire(effect=effect)), pytest.raises(NotPermitted):
                await venue._client.ccxt.fetch(url, method, {}, body)
        assert fetch.sent == []


async def test_every_call_of_the_profile_declares_what_its_request_turns_out_to_do() -> None:
    """Neither less, which would not leave, nor more, which would refuse it to levels that may have it."""
    for account, closes in CLOSES.items():
        async with okx(account, permission=Permission.FULL) as (venue, fetch):
            gate = venue._client._gate
            declared: list[tuple[Effect | None, Effect | None]] = []
            check = gate.check

            def noting(
                url: str, method: str, body: object, record: Wire | None, check: Any = check, declared: Any = declared
            ) -> None:
                actual = venue._profile.effect_of(read_request(url, method, body))
                declared.append((record.effect if record else None, actual))
                check(url, method, body, record)

            gate.check = noting  # type: ignore[method-assign]
            for step in (*CANCELS, *closes):
                await venue.execute(step)
            await venue.probe()
            await venue.filled(sell())
            empty(fetch)
            for name in venue.slices:
                await venue.read_slice(name)
            assert len(declared) > 20
            assert all(said is actual for said, actual in declared)
