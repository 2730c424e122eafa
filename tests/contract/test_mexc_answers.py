"""What MEXC's answers mean, what its errors say of a step, and what must not leave.

Shapes from https://www.mexc.com/api-docs/spot-v3, https://www.mexc.com/api-docs/futures and the examples of
https://mexcdevelop.github.io/apidocs/contract_v1_en.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest

from node.domain.permission import Effect, Permission
from node.domain.snapshot import PositionSide, Side
from node.domain.steps import CancelOrders, CancelSymbol, Outcome, Refusal, Step
from node.errors import VenueAnswerUnknown, VenueDenied, VenueError, VenueLimited, VenueUnavailable
from node.venues import wire
from node.venues.call import Call
from node.venues.gate import NotPermitted, read_request
from node.venues.profiles.mexc.effects import effect_of
from node.venues.profiles.mexc.refusals import CLOCK, DENIED, LIMITED, UNCERTAIN, UNKNOWN
from node.venues.profiles.mexc.words import data_of
from node.venues.wire import Wire
from tests.contract.test_mexc_requests import (
    ORDER,
    PLAN,
    SPOT_ORDER,
    STEPS,
    cancels,
    close,
    position,
    sweep,
)
from tests.contract.test_mexc_requests import PLACE as CONTRACT_ORDER
from tests.support.mexc import EMPTY, PRIVATE, failed, failed_on_spot, mexc, said
from tests.support.venue import Answer, answer, sell_spot

POSITIONS, ASSETS = f"{PRIVATE}/position/open_positions", f"{PRIVATE}/account/assets"
ORDERS, PLANS = f"{PRIVATE}/order/list/open_orders", f"{PRIVATE}/planorder/list/orders"
STOPS, TRAILING = f"{PRIVATE}/stoporder/open_orders", f"{PRIVATE}/trackorder/list/orders"
SPOT_ORDERS, ACCOUNT = "/api/v3/openOrders", "/api/v3/account"
TIME = "/api/v3/time"
NOW = answer({"serverTime": 1_800_000_000_000})
PATHS = {
    "positions": POSITIONS,
    "assets": ASSETS,
    "orders": ORDERS,
    "plans": PLANS,
    "stops": STOPS,
    "trailing": TRAILING,
    "spot_orders": SPOT_ORDERS,
    "account": ACCOUNT,
}


def raw(text: str) -> Answer:
    """Not JSON, or not quite."""
    return Answer(body=text)


def stop(**changes: Any) -> dict[str, Any]:
    """A stop-loss of a part of a long."""
    return {
        "id": 88,
        "orderId": 0,
        "symbol": "BTC_USDT",
        "positionId": 1394650,
        "stopLossPrice": 50000.5,
        "takeProfitPrice": 0,
        "state": 1,
        "triggerSide": 0,
        "positionType": 1,
        "vol": 3,
        "realityVol": 0,
        "placeOrderId": 0,
        "errorCode": 0,
        "version": 1,
        "isFinished": 0,
        "volType": 1,
        "takeProfitReverse": 2,
        "stopLossReverse": 2,
        **changes,
    }


def trailing(**changes: Any) -> dict[str, Any]:
    """One that closes a long."""
    return {
        "id": 99,
        "symbol": "BTC_USDT",
        "leverage": 20,
        "side": 4,
        "vol": 2,
        "openType": 2,
        "trend": 1,
        "activePrice": 0,
        "backType": 1,
        "backValue": 0.01,
        "triggerPrice": 50000,
        "orderId": 0,
        "state": 0,
        "positionMode": 1,
        "reduceOnly": False,
        **changes,
    }


def asset(**changes: Any) -> dict[str, Any]:
    """A wallet of USDT without positions."""
    return {
        "currency": "USDT",
        "positionMargin": 0,
        "availableBalance": 32.80984793658,
        "cashBalance": 32.80984793,
        "frozenBalance": 0,
        "equity": 32.80984793658,
        "unrealized": 0,
        "bonus": 0,
        **changes,
    }


def spot_order(**changes: Any) -> dict[str, Any]:
    """A sale of 2, 0.5 of it done."""
    return {
        "symbol": "BTCUSDT",
        "orderId": "C02__443776347957968896",
        "orderListId": -1,
        "clientOrderId": "mine",
        "price": "70000",
        "origQty": "2",
        "executedQty": "0.5",
        "cummulativeQuoteQty": "35000",
        "status": "PARTIALLY_FILLED",
        "type": "LIMIT",
        "side": "SELL",
        **changes,
    }


async def snapshot(name: str, slices: tuple[str, ...] | None = None, **answers: Any) -> Any:
    """One look at a slice; answers by the names of ``PATHS``."""
    async with mexc(slices=slices) as (venue, fetch):
        fetch.answers |= {PATHS[short]: given for short, given in answers.items()}
        return await venue.read_slice(name)


class TestPositions:
    """From rows to legs."""

    async def test_a_leg_keeps_the_venues_own_number(self) -> None:
        """In contracts; the exposure in coins. Every order names its leg, so every position counts as hedged."""
        (found,) = (await snapshot("linear", positions=said([position(holdVol=15.0)]))).positions
        assert (str(found.contracts), found.symbol, found.market_id) == ("15.0", "BTC/USDT:USDT", "BTC_USDT")
        assert (found.side, found.hedged, found.isolated) == (PositionSide.LONG, True, False)
        assert (found.base_exposure, found.mark_price) == (Decimal("0.0015"), None)

    async def test_both_legs_in_both_margin_modes(self) -> None:
        """Are four positions."""
        rows = [position(positionType=side, openType=margin, positionId=7) for side in (1, 2) for margin in (1, 2)]
        found = (await snapshot("linear", positions=said(rows))).positions
        assert [(each.side.value, each.isolated) for each in found] == [
            ("long", True),
            ("long", False),
            ("short", True),
            ("short", False),
        ]
        assert [each.base_exposure < 0 for each in found] == [False, False, True, True]

    async def test_one_list_names_the_positions_of_all_slices(self) -> None:
        """Each is told in its own, and what is not listed by its name: nowhere twice, and nowhere not."""
        ids = ("BTC_USDT", "BTC_USDC", "BTC_USD", "GONE_USDT", "GONE_USDC", "GONE_USD")
        rows = said([position(symbol=each) for each in ids] + [position(symbol="ETH_USDT", holdVol=0)])
        slices = ("linear:USDT", "linear:USDC", "inverse")
        async with mexc(slices=slices) as (venue, fetch):
            fetch.answers[POSITIONS] = rows
            found = {name: (await venue.read_slice(name)).positions for name in slices}
        assert {name: [each.symbol for each in legs] for name, legs in found.items()} == {
            "linear:USDT": ["BTC/USDT:USDT", "GONE_USDT"],
            "linear:USDC": ["BTC/USDC:USDC", "GONE_USDC"],
            "inverse": ["BTC/USD:BTC", "GONE_USD"],
        }
        assert {each.base_exposure for each in found["inverse"]} == {None}


class TestOrders:
    """Four books of contracts, one of spot."""

    @pytest.mark.parametrize(
        ("side", "expected", "leg", "protective"),
        [
            (1, Side.BUY, PositionSide.LONG, False),
            (2, Side.BUY, PositionSide.SHORT, True),
            (3, Side.SELL, PositionSide.SHORT, False),
            (4, Side.SELL, PositionSide.LONG, True),
        ],
    )
    async def test_the_four_sides(self, side: int, expected: Side, leg: PositionSide, protective: bool) -> None:
        """In hedge mode by the leg; in one-way mode there is none, and the flag may say it."""
        for mode in (1, None):
            row = {**ORDER, "side": side, "positionMode": mode}
            (found,) = (await snapshot("linear", orders=said([row]))).orders
            assert (found.side, found.position_side, found.protective) == (expected, leg, protective)
            assert (found.remaining, found.trigger) == (Decimal(25), False)
            assert (found.order_id, found.client_order_id) == (ORDER["orderId"], ORDER["externalOid"])
        (found,) = (await snapshot("linear", orders=said([{**ORDER, "side": side, "reduceOnly": True}]))).orders
        assert found.protective is protective  # hedge mode does not know the flag
        for reduces in (True, False, None):
            row = {**ORDER, "side": str(side), "positionMode": 2, "reduceOnly": reduces}
            (found,) = (await snapshot("linear", orders=said([row]))).orders
            assert (found.side, found.position_side) == (expected, None)
            assert found.protective is (protective or bool(reduces))

    async def test_trigger_orders_are_named_with_their_book(self) -> None:
        """Each is cancelled in its own."""
        shot = await snapshot(
            "linear",
            plans=said([PLAN]),
            trailing=said([trailing()]),
            stops=said([stop(), stop(id=89, volType=2, positionType=2), stop(id=90, vol=None)]),
        )
        found = {each.order_id: each for each in shot.orders}
        assert list(found) == ["77", "track:99", "stop:88", "stop:89", "stop:90"]
        assert [each.remaining for each in found.values()] == [Decimal(4), Decimal(2), Decimal(3), None, None]
        assert [each.protective for each in found.values()] == [False, True, True, True, True]
        assert [each.side.value for each in found.values()] == ["buy", "sell", "sell", "buy", "sell"]
        assert all(each.trigger for each in found.values())

    @pytest.mark.parametrize("name", ["takeProfitReverse", "stopLossReverse"])
    async def test_a_stop_that_reverses_protects_nothing(self, name: str) -> None:
        """It opens the other leg when it is reached."""
        (found,) = (await snapshot("linear", stops=said([stop(**{name: 1})]))).orders
        assert (found.protective, found.position_side, found.side) == (False, None, Side.SELL)

    async def test_what_is_over_is_not_there_whatever_list_it_is_in(self) -> None:
        """Cancelled, executed, invalid, failed; and finished."""
        shot = await snapshot(
            "linear",
            plans=said([{**PLAN, "state": state} for state in (2, 3, 4, 5)]),
            trailing=said([trailing(state=state, id=state + 1) for state in range(5)]),
            stops=said([stop(isFinished=1)]),
        )
        assert [each.order_id for each in shot.orders] == ["track:1", "track:2"]

    async def test_a_list_may_come_as_a_page(self) -> None:
        """Both are in the documentation."""
        page = {"pageSize": 100, "totalCount": 1, "totalPage": 1, "currentPage": 1, "resultList": [ORDER]}
        assert len((await snapshot("linear", orders=said(page))).orders) == 1

    async def test_orders_of_other_slices_are_not_this_ones(self) -> None:
        """As with positions."""
        rows = [{**ORDER, "symbol": each, "orderId": each} for each in ("BTC_USDT", "BTC_USD", "GONE_USD")]
        for name, ids in (("linear", ["BTC_USDT"]), ("inverse", ["BTC_USD", "GONE_USD"])):
            found = (await snapshot(name, orders=said(rows))).orders
            assert [each.order_id for each in found] == ids

    async def test_orders_on_spot(self) -> None:
        """A purchase for so much money has no quantity; a market that is not listed keeps the venue's name."""
        rows = [spot_order(), spot_order(orderId="C02__2", symbol="XUSDT", side="BUY", origQty="0", executedQty="0")]
        found = (await snapshot("spot", spot_orders=answer(rows))).orders
        assert [(each.symbol, each.side.value, each.remaining) for each in found] == [
            ("BTC/USDT", "sell", Decimal("1.5")),
            ("XUSDT", "buy", None),
        ]
        assert found[0].order_id == "C02__443776347957968896"


class TestBalances:
    """Two wallets."""

    async def test_spot(self) -> None:
        """Empty coins are none."""
        rows = [
            {"asset": "BTC", "free": "0.5", "locked": "0.25"},
            {"asset": "USDT", "free": "0", "locked": "0"},
        ]
        (found,) = (await snapshot("spot", account=answer({"balances": rows}))).balances
        assert (found.asset, found.free, found.locked) == ("BTC", Decimal("0.5"), Decimal("0.25"))

    async def test_contracts(self) -> None:
        """Without unrealised profit; a wallet that owes says so. Each coin in one slice."""
        rows = said(
            [
                asset(equity=110, unrealized=10, availableBalance=60, positionMargin=40),
                asset(currency="USDC", equity=-5, unrealized=None, availableBalance=0),
                asset(currency="BTC", equity=1, availableBalance=2),
                asset(currency="ETH", equity=0),
            ]
        )
        slices = ("linear:USDT", "linear:USDC", "inverse")
        async with mexc(slices=slices) as (venue, fetch):
            fetch.answers[ASSETS] = rows
            found = {name: (await venue.read_slice(name)).balances for name in slices}
        assert {
            name: [(each.asset, each.free, each.locked, each.debt) for each in held or ()]
            for name, held in found.items()
        } == {
            "linear:USDT": [("USDT", Decimal(60), Decimal(40), Decimal(0))],
            "linear:USDC": [("USDC", Decimal(0), Decimal(0), Decimal(5))],
            "inverse": [("BTC", Decimal(1), Decimal(0), Decimal(0))],
        }


class TestWalletsAndLists:
    """A proof holds one against the other."""

    @pytest.mark.parametrize(
        ("name", "row"),
        [
            ("linear", asset(positionMargin=1)),
            ("linear", asset(unrealized=-0.5)),
            ("linear", asset(currency="USDC", positionMargin=1)),
            ("inverse", asset(currency="BTC", positionMargin=0.1)),
        ],
    )
    async def test_what_no_list_explains_is_no_proof(self, name: str, row: dict[str, Any]) -> None:
        """Margin in use, or a profit, without a position in that coin."""
        async with mexc() as (venue, fetch):
            fetch.answers[ASSETS] = said([row])
            with pytest.raises(VenueAnswerUnknown, match="no position was listed"):
                await venue.read_proof(name)
            assert (await venue.read_slice(name)).positions_doubtful
            other = "inverse" if name == "linear" else "linear"
            assert not (await venue.read_slice(other)).positions_doubtful
            await venue.read_proof(other)

    async def test_what_a_list_explains_is_one(self) -> None:
        """Also a position in a market that is not listed any more; and of narrowed slices each by itself."""
        rows = [asset(positionMargin=1, unrealized=1), asset(currency="BTC", positionMargin=1)]
        async with mexc(slices=("linear:USDT", "linear:USDC", "inverse")) as (venue, fetch):
            fetch.answers[ASSETS] = said(rows)
            for shown in (("BTC_USDT", "BTC_USD"), ("GONE_USDT", "BTC_USD")):
                fetch.answers[POSITIONS] = said([position(symbol=each) for each in shown])
                for name in venue.slices:
                    await venue.read_proof(name)


BROKEN: dict[str, Any] = {
    "empty": raw(""),
    "half": raw('{"success":true,"code":0,"data":[{"symbol":"BTC_'),
    "a web page": raw("<html></html>"),
    "null": raw("null"),
    "a number": raw("7"),
    "an object without anything": answer({}),
    "a success without data": answer({"success": True, "code": 0}),
    "data that is null": said(None),
    "data that is an object": said({}),
    "data that is text": said("x"),
    "rows that are none": said([None]),
    "rows that are empty": said([{}]),
    "a success with an error's number": answer({"success": True, "code": 2001, "data": []}),
    "no success, and no error": answer({"success": False, "code": 0, "data": []}),
    "no word of success": answer({"code": 0, "data": []}),
    "a number that is true": answer({"success": True, "code": True, "data": []}),
    "bad gateway": Answer(body="<html></html>", status=502),
    "a redirection": Answer(body="", status=302),
}
ON_SPOT: dict[str, Any] = {
    "rows that are empty": answer([{}]),
    "rows that are none": answer([None]),
    "an envelope": said([]),
    "balances that are null": answer({"balances": None}),
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("path", [POSITIONS, ORDERS, PLANS, STOPS, TRAILING, ASSETS])
async def test_what_is_not_understood_is_unknown_and_never_empty(path: str, name: str) -> None:
    """The read raises; nobody may take it for flat."""
    async with mexc(slices=("linear",)) as (venue, fetch):
        fetch.answers[path] = BROKEN[name]
        for read in (venue.read_slice, venue.read_proof):
            with pytest.raises((VenueAnswerUnknown, VenueUnavailable)):
                await read("linear")


@pytest.mark.parametrize("name", [*BROKEN, *ON_SPOT])
@pytest.mark.parametrize("path", [SPOT_ORDERS, ACCOUNT])
async def test_so_it_is_on_spot(path: str, name: str) -> None:
    """Where there is no envelope, but an error's."""
    async with mexc(slices=("spot",)) as (venue, fetch):
        fetch.answers[path] = (BROKEN | ON_SPOT)[name]
        for read in (venue.read_slice, venue.read_proof):
            with pytest.raises((VenueAnswerUnknown, VenueUnavailable)):
                await read("spot")


@pytest.mark.parametrize(
    ("name", "path", "given"),
    [
        *(
            ("linear", POSITIONS, said([position(**change)]))
            for change in (
                {"holdVol": None},
                {"holdVol": "NaN"},
                {"holdVol": True},
                {"holdVol": "1E+999999"},
                {"holdVol": -1},
                {"symbol": ""},
                {"positionType": 3},
                {"positionType": None},
                {"openType": 0},
                {"positionId": None},
            )
        ),
        *(
            ("linear", ORDERS, said([{**ORDER, **change}]))
            for change in (
                {"vol": None},
                {"dealVol": ""},
                {"orderId": None},
                {"side": 5},
                {"side": None},
                {"symbol": None},
                {"reduceOnly": "perhaps"},
            )
        ),
        *(
            ("linear", PLANS, said([{**PLAN, **change}]))
            for change in ({"id": ""}, {"vol": "many"}, {"side": 0}, {"state": 9})
        ),
        *(
            ("linear", STOPS, said([stop(**change)]))
            for change in ({"id": None}, {"positionType": None}, {"vol": "x"}, {"symbol": 1.5})
        ),
        *(("linear", TRAILING, said([trailing(**change)])) for change in ({"state": 5}, {"side": 7}, {"id": None})),
        *(
            ("linear", ASSETS, said([asset(**change)]))
            for change in ({"equity": None}, {"unrealized": "x"}, {"currency": ""}, {"availableBalance": None})
        ),
        *(
            ("spot", SPOT_ORDERS, answer([spot_order(**change)]))
            for change in ({"origQty": None}, {"executedQty": ""}, {"side": "HOLD"}, {"orderId": None})
        ),
        ("spot", ACCOUNT, answer({"balances": [{"asset": "BTC", "free": "1"}]})),
        ("spot", ACCOUNT, answer({"balances": [{"free": "1", "locked": "0"}]})),
    ],
)
async def test_one_odd_row_makes_the_whole_read_unknown(name: str, path: str, given: Answer) -> None:
    """A row that was skipped could be the one that matters."""
    async with mexc() as (venue, fetch):
        fetch.answers[path] = given
        with pytest.raises(VenueAnswerUnknown):
            await venue.read_slice(name)


async def test_an_odd_wallet_proves_nothing() -> None:
    """Where margin is not told."""
    async with mexc() as (venue, fetch):
        fetch.answers[ASSETS] = said([asset(positionMargin=None)])
        with pytest.raises(VenueAnswerUnknown):
            await venue.read_proof("linear")


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (failed(602, "Signature verification failed!"), VenueDenied),
        (failed(406, "Accessing IP is not in the whitelist"), VenueDenied),
        (failed_on_spot(700006, "IP [1.2.3.4] not in the ip white list"), VenueDenied),
        (failed_on_spot(700002, "Signature for this request is not valid."), VenueDenied),
        (failed(510, "Requests are too frequent"), VenueLimited),
        (answer({"code": 429, "msg": "Too Many Requests"}, 429, retry_after="7"), VenueLimited),
        (failed(513, "Invalid request"), VenueUnavailable),
        (failed_on_spot(700003, "Timestamp for this request is outside of the recvWindow."), VenueUnavailable),
        (failed(500, "Internal error", 500), VenueUnavailable),
        (failed(600, "Parameter error", 400), VenueError),
        (failed(600, "Parameter error"), VenueError),
        (Answer(body="<html>bad gateway</html>", status=502), VenueUnavailable),
        (Answer(body="<html>Access Denied</html>", status=403), VenueUnavailable),
        (said([], more=1), None),
    ],
)
async def test_a_failed_read_says_what_to_do_about_it(given: Answer, kind: type[VenueError] | None) -> None:
    """By the venue's code first, then by the status."""
    async with mexc() as (venue, fetch):
        fetch.answers |= {POSITIONS: given, TIME: NOW}
        if kind is None:
            await venue.read_positions("linear")
            return
        with pytest.raises(VenueError) as raised:
            await venue.read_positions("linear")
        assert type(raised.value) is kind
        if given.status == 429:
            assert isinstance(raised.value, VenueLimited)
            assert raised.value.retry_after_s == 7


async def test_a_refused_timestamp_has_the_clock_measured() -> None:
    """On the host that refused it."""
    async with mexc() as (venue, fetch):
        fetch.answers |= {CONTRACT_ORDER: failed(513, "Invalid request"), TIME: NOW}
        assert venue.clock_offset_ms() is None
        await venue.execute(close())
        assert [each.path for each in fetch.sent] == [CONTRACT_ORDER, TIME]
        assert venue.clock_offset_ms() is not None


# What became of a step


async def outcome(given: Any, step: Step | None = None) -> tuple[Outcome, Refusal | None]:
    """Of one step whose every request is answered so."""
    async with mexc() as (venue, fetch):
        fetch.default, fetch.answers = given, {TIME: NOW}
        if isinstance(given, BaseException):
            fetch.answers |= dict.fromkeys((CONTRACT_ORDER, SPOT_ORDER), given)
        result = await venue.execute(step or close())
        return result.outcome, result.refusal


CODES = {
    "2008": Refusal.NOTHING_TO_REDUCE,
    "2009": Refusal.NOTHING_TO_REDUCE,
    "2003": Refusal.PRICE_BAND,
    "2007": Refusal.PRICE_BAND,
    "30010": Refusal.PRICE_BAND,
    "30087": Refusal.PRICE_BAND,
    "30025": Refusal.UNFILLED,
    "2028": Refusal.QUANTITY,
    "30003": Refusal.QUANTITY,
    "30029": Refusal.QUANTITY,
    "30002": Refusal.TOO_SMALL,
    "88013": Refusal.TOO_SMALL,
    "1001": Refusal.MARKET_CLOSED,
    "1002": Refusal.MARKET_CLOSED,
    "6005": Refusal.MARKET_CLOSED,
    "-1121": Refusal.MARKET_CLOSED,
    "30016": Refusal.MARKET_CLOSED,
    "2005": Refusal.INSUFFICIENT,
    "2018": Refusal.INSUFFICIENT,
    "10101": Refusal.INSUFFICIENT,
    "30004": Refusal.INSUFFICIENT,
    "30005": Refusal.INSUFFICIENT,
    "600": Refusal.OTHER,
    "2011": Refusal.OTHER,
    "-1128": Refusal.OTHER,
    **dict.fromkeys(LIMITED, Refusal.RATE_LIMITED),
    **dict.fromkeys(DENIED, Refusal.DENIED),
    **dict.fromkeys(UNKNOWN, Refusal.UNKNOWN_ORDER),
    **dict.fromkeys(CLOCK, Refusal.OTHER),
}


@pytest.mark.parametrize("code", sorted(CODES))
async def test_a_documented_code_is_a_refusal(code: str) -> None:
    """In either envelope, with a 4xx and with a 200 that carries it; a 5xx proves nothing."""
    assert await outcome(failed(int(code), "in words")) == (Outcome.REFUSED, CODES[code])
    assert await outcome(failed_on_spot(int(code), "in words"), sell_spot()) == (Outcome.REFUSED, CODES[code])
    assert (await outcome(failed(int(code), "in words", 500)))[0] is Outcome.AMBIGUOUS


@pytest.mark.parametrize("code", [*sorted(UNCERTAIN), "99999", "-999"])
async def test_a_code_that_says_nothing_for_certain_is_ambiguous(code: str) -> None:
    """Time-outs, errors inside, repeated requests, and what nobody has documented."""
    assert (await outcome(failed(int(code), "in words")))[0] is Outcome.AMBIGUOUS
    assert (await outcome(failed_on_spot(int(code), "in words"), sell_spot()))[0] is Outcome.AMBIGUOUS


AMBIGUOUS: dict[str, Any] = {
    "an empty 200": raw(""),
    "half a document": raw('{"success":true,"code":0,"data":{"orderId":"1'),
    "a web page": raw("<html></html>"),
    "nothing": answer({}),
    "a success without data": answer({"success": True, "code": 0}),
    "a success with null": said(None),
    "a success without an id": said({"ts": 1}),
    "an empty id": said({"orderId": ""}),
    "no id at all": said(0),
    "an id that is true": said(True),
    "a failure without a number": answer({"success": False, "code": 0, "data": "1"}),
    "a success with an error's number": answer({"success": True, "code": 2009, "data": "1"}),
    "a success that failed": answer({"success": True, "code": 2009, "message": "in words"}, 400),
    "an order of no number": answer({"orderId": None, "symbol": "BTCUSDT"}),
    "a list": answer([]),
    "bad gateway": Answer(body="<html></html>", status=502),
    "forbidden by nobody": Answer(body="<html></html>", status=403),
    "a lost connection": aiohttp.ServerDisconnectedError(),
    "a time-out": TimeoutError(),
    "a surprise": KeyError("data"),
}


@pytest.mark.parametrize("name", AMBIGUOUS)
async def test_whatever_else_happens_may_have_been_executed(name: str) -> None:
    """For a close and for a sale."""
    for step in (close(), sell_spot()):
        assert (await outcome(AMBIGUOUS[name], step))[0] is Outcome.AMBIGUOUS


SOLD = {"symbol": "BTCUSDT", "orderId": "C02__7", "orderListId": -1, "price": "6", "origQty": "1", "type": "LIMIT"}


@pytest.mark.parametrize(
    ("step", "given"),
    [
        (close(), said({"orderId": "814218083416790528", "ts": 1779795118533})),
        (close(), said(102057569836905984)),
        (close(), answer({"success": True, "code": 200, "data": "2ff3163e8617443cb9c6fc19d42b1ca4"})),
        (sell_spot(), answer(SOLD)),
    ],
)
async def test_done_is_what_comes_back_with_an_id(step: Step, given: Answer) -> None:
    """In each form that is documented."""
    assert await outcome(given, step) == (Outcome.DONE, None)


async def test_each_interface_is_understood_in_its_own_words_only() -> None:
    """The answer of the one is none of the other's."""
    assert (await outcome(answer(SOLD), close()))[0] is Outcome.AMBIGUOUS
    assert (await outcome(said({"orderId": "1"}), sell_spot()))[0] is Outcome.AMBIGUOUS


def row(order_id: int, code: int = 0) -> dict[str, Any]:
    """Of an answer to a cancel."""
    return {"orderId": order_id, "errorCode": code, "errorMsg": "success" if code == 0 else "in words"}


CANCELLED = {**spot_order(), "status": "CANCELED"}
JUDGED: dict[str, tuple[CancelOrders | CancelSymbol, Answer, Outcome, Refusal | None]] = {
    "all": (cancels("11", "12"), said([row(11), row(12)]), Outcome.DONE, None),
    "one is gone": (cancels("11", "12"), said([row(11), row(12, 2041)]), Outcome.DONE, None),
    "all are gone": (
        cancels("11", "12"),
        said([row(11, 2040), row(12, 2041)]),
        Outcome.REFUSED,
        Refusal.UNKNOWN_ORDER,
    ),
    "one was refused": (
        cancels("11", "12", "13"),
        said([row(11), row(12, 2040), row(13, 1002)]),
        Outcome.REFUSED,
        Refusal.MARKET_CLOSED,
    ),
    "one for reasons unknown": (cancels("11", "12"), said([row(11), row(12, 500)]), Outcome.AMBIGUOUS, None),
    "one without a number": (cancels("11"), said([{"orderId": 11}]), Outcome.AMBIGUOUS, None),
    "one without an id": (cancels("11"), said([{"errorCode": 0}]), Outcome.AMBIGUOUS, None),
    "none": (cancels("11"), said([]), Outcome.AMBIGUOUS, None),
    "no data": (cancels("11"), answer({"success": True, "code": 0}), Outcome.AMBIGUOUS, None),
    "more than were named": (cancels("11"), said([row(11), row(12)]), Outcome.AMBIGUOUS, None),
    "garbage": (cancels("11"), said([None]), Outcome.AMBIGUOUS, None),
    "a plan order": (cancels("7", trigger=True), answer({"success": True, "code": 0}), Outcome.DONE, None),
    "a plan order, told in rows": (
        cancels("7", trigger=True),
        said([row(7, 2040)]),
        Outcome.REFUSED,
        Refusal.UNKNOWN_ORDER,
    ),
    "a plan order that is gone": (
        cancels("7", trigger=True),
        failed(5002, "not exist"),
        Outcome.REFUSED,
        Refusal.UNKNOWN_ORDER,
    ),
    "a plan order, and a surprise": (cancels("7", trigger=True), said("x"), Outcome.AMBIGUOUS, None),
    "a plan order, and no success": (cancels("7", trigger=True), answer({"code": 0}), Outcome.AMBIGUOUS, None),
    "a sweep": (sweep(), answer({"success": True, "code": 0}), Outcome.DONE, None),
    "a sweep of triggers": (sweep(trigger=True), answer({"success": True, "code": 0}), Outcome.DONE, None),
    "a sweep of nothing": (sweep(), failed(2040, "order not exist"), Outcome.DONE, None),
    "a sweep without a success": (sweep(), answer({}), Outcome.AMBIGUOUS, None),
    "spot: one": (cancels("C02__1", slice_name="spot"), answer(CANCELLED), Outcome.DONE, None),
    "spot: one that is gone": (
        cancels("C02__1", slice_name="spot"),
        failed_on_spot(-2011, "Unknown order sent."),
        Outcome.REFUSED,
        Refusal.UNKNOWN_ORDER,
    ),
    "spot: an answer without an id": (cancels("1", slice_name="spot"), answer({}), Outcome.AMBIGUOUS, None),
    "spot: a sweep": (sweep("spot"), answer([CANCELLED]), Outcome.DONE, None),
    "spot: a sweep of nothing": (sweep("spot"), answer([]), Outcome.DONE, None),
    "spot: a sweep of garbage": (sweep("spot"), answer([{}]), Outcome.AMBIGUOUS, None),
    "spot: a sweep in other words": (sweep("spot"), answer(CANCELLED), Outcome.AMBIGUOUS, None),
}


@pytest.mark.parametrize("name", JUDGED)
async def test_what_an_answer_to_a_cancel_says(name: str) -> None:
    """Done if every named order is cancelled or gone."""
    step, given, expected, refusal = JUDGED[name]
    found, why = await outcome(given, step)
    assert found is expected
    assert refusal is None or why is refusal


async def test_there_are_no_triggers_on_spot_to_cancel() -> None:
    """None can be listed: it is said, not sent."""
    async with mexc() as (venue, fetch):
        for step in (cancels("7", slice_name="spot", trigger=True), sweep("spot", trigger=True)):
            result = await venue.execute(step)
            assert (result.outcome, result.refusal, result.sent_ns) == (Outcome.REFUSED, Refusal.OTHER, None)
        assert fetch.sent == []
        assert any("spot" in text for text in venue.unverified)
    async with mexc(slices=("linear",)) as (venue, _):
        assert not any("spot" in text for text in venue.unverified)


# The gate

LEVELS = list(Permission)


@pytest.mark.parametrize("level", LEVELS)
async def test_a_step_leaves_at_its_level_and_not_below(level: Permission) -> None:
    """Cancels from "cancel" on, closes and sales from "close" on."""
    async with mexc(permission=level) as (venue, fetch):
        for name, (step, _) in STEPS.items():
            fetch.sent.clear()
            result = await venue.execute(step)
            cancel = isinstance(step, CancelOrders | CancelSymbol)
            allowed = level.allows(Effect.CANCEL if cancel else Effect.CLOSE)
            assert bool(fetch.sent) is allowed, name
            assert allowed or result.refusal is Refusal.PERMISSION, name


@pytest.mark.parametrize("level", LEVELS)
async def test_reads_leave_at_every_level(level: Permission) -> None:
    """All that are made."""
    async with mexc(permission=level) as (venue, fetch):
        for name in venue.slices:
            await venue.read_proof(name)
        fetch.answers[TIME] = NOW
        await venue.keep_warm(1)
        assert {each.method for each in fetch.sent} == {"GET"}


ENDPOINTS = (
    "spotPrivatePostCapitalWithdraw",
    "spotPrivatePostCapitalWithdrawApply",
    "spotPrivatePostCapitalTransfer",
    "spotPrivatePostCapitalTransferInternal",
    "spotPrivatePostCapitalSubAccountUniversalTransfer",
    "spotPrivatePostCapitalConvert",
    "spotPrivatePostBatchOrders",
    "spotPrivatePostOrderTest",
    "spotPrivatePostSubAccountApiKey",
    "spotPrivatePostMxDeductEnable",
    "spotPrivatePostUserDataStream",
    "spotPrivateDeleteOrderAll",
    "spotPrivateDeleteSubAccountApiKey",
    "spotPrivateDeleteCapitalWithdraw",
    "spotPrivateDeleteMarginOrder",
    "spotPrivateGetCapitalWithdrawHistory",
    "contractPrivatePostPositionChangeMargin",
    "contractPrivatePostPositionChangeLeverage",
    "contractPrivatePostPositionChangePositionMode",
    "contractPrivatePostPositionReverse",
    "contractPrivatePostPositionCloseAll",
    "contractPrivatePostOrderSubmit",
    "contractPrivatePostOrderSubmitBatch",
    "contractPrivatePostOrderChaseLimitOrder",
    "contractPrivatePostOrderChangeLimitOrder",
    "contractPrivatePostPlanorderPlace",
    "contractPrivatePostPlanorderPlaceV2",
    "contractPrivatePostStoporderPlace",
    "contractPrivatePostStoporderChangePlanPrice",
    "contractPrivatePostTrackorderPlace",
    "brokerPrivatePostCapitalWithdrawApply",
)


@pytest.mark.parametrize("level", LEVELS)
async def test_what_the_profile_does_not_know_leaves_at_no_level(level: Permission) -> None:
    """Withdrawals, transfers, conversions, leverage, modes, batches, plans, reversals: whatever a call says."""
    async with mexc(permission=level) as (venue, fetch):
        for endpoint in ENDPOINTS:
            for effect in Effect:
                attempt = await venue._client.attempt(Call(endpoint=endpoint, effect=effect, params={"symbol": "X"}))
                assert isinstance(attempt.error, NotPermitted), endpoint
        assert fetch.sent == []


CLOSING = {"symbol": "BTC_USDT", "vol": 1, "side": 4, "type": 5, "openType": 2}
SALE = {"symbol": "BTCUSDT", "side": "SELL", "type": "IMMEDIATE_OR_CANCEL", "quantity": "1", "price": "1"}
CANCEL = f"{PRIVATE}/order/cancel"


@pytest.mark.parametrize(
    ("path", "document", "effect"),
    [
        (CONTRACT_ORDER, CLOSING, Effect.CLOSE),
        (CONTRACT_ORDER, {**CLOSING, "side": 2, "positionId": 1, "leverage": 20}, Effect.CLOSE),
        (CONTRACT_ORDER, {**CLOSING, "type": 3, "price": 1.5, "externalOid": "x"}, Effect.CLOSE),
        (CONTRACT_ORDER, {**CLOSING, "side": 1}, Effect.OPEN),
        (CONTRACT_ORDER, {**CLOSING, "side": 3}, Effect.OPEN),
        (CONTRACT_ORDER, {**CLOSING, "side": "4"}, Effect.OPEN),
        (CONTRACT_ORDER, {**CLOSING, "side": 4.0}, Effect.OPEN),
        (CONTRACT_ORDER, {**CLOSING, "side": True}, Effect.OPEN),
        (CONTRACT_ORDER, {**CLOSING, "side": None}, Effect.OPEN),
        (CONTRACT_ORDER, {**CLOSING, "side": [4]}, Effect.OPEN),
        (CONTRACT_ORDER, {**CLOSING, "stopLossPrice": 1}, Effect.OPEN),
        (CONTRACT_ORDER, {**CLOSING, "positionMode": 2}, Effect.OPEN),
        (CONTRACT_ORDER, {**CLOSING, "reduceOnly": True}, Effect.OPEN),
        (CONTRACT_ORDER, [CLOSING], None),
        (CONTRACT_ORDER, {}, Effect.OPEN),
        (CANCEL, [1, "2"], Effect.CANCEL),
        (CANCEL, [], None),
        (CANCEL, [True], None),
        (CANCEL, [CLOSING], None),
        (CANCEL, {"orderId": 1}, None),
        (f"{PRIVATE}/order/cancel_all", {"symbol": "BTC_USDT"}, Effect.CANCEL),
        (f"{PRIVATE}/order/cancel_all", {}, None),
        (f"{PRIVATE}/order/cancel_all", {"symbol": "BTC_USDT", "vol": 1}, None),
        (f"{PRIVATE}/planorder/cancel", [{"symbol": "BTC_USDT", "orderId": "1"}], Effect.CANCEL),
        (f"{PRIVATE}/planorder/cancel", [{"symbol": "BTC_USDT"}, {"price": 1}], None),
        (f"{PRIVATE}/stoporder/cancel", [{"stopPlanOrderId": 1}], Effect.CANCEL),
        (f"{PRIVATE}/trackorder/cancel", {"symbol": "BTC_USDT", "trackOrderId": 1}, Effect.CANCEL),
        (f"{PRIVATE}/position/close_all", {}, None),
        (f"{PRIVATE}/position/change_leverage", {"leverage": 1}, None),
    ],
)
def test_a_close_is_one_only_if_the_request_cannot_open(path: str, document: Any, effect: Effect | None) -> None:
    """Told from the request alone."""
    request = read_request(f"https://api.mexc.com{path}", "POST", json.dumps(document))
    assert effect_of(request) is effect


SIGNED = {"timestamp": "1", "recvWindow": "5000", "signature": "x"}


@pytest.mark.parametrize(
    ("method", "path", "params", "effect"),
    [
        ("POST", SPOT_ORDER, {**SALE, "newClientOrderId": "x"}, Effect.CLOSE),
        ("POST", SPOT_ORDER, {**SALE, "type": "MARKET"}, Effect.CLOSE),
        ("POST", SPOT_ORDER, {**SALE, "type": "LIMIT"}, Effect.OPEN),
        ("POST", SPOT_ORDER, {**SALE, "type": "LIMIT", "timeInForce": "IOC"}, Effect.OPEN),
        ("POST", SPOT_ORDER, {**SALE, "side": "BUY"}, Effect.OPEN),
        ("POST", SPOT_ORDER, {**SALE, "side": "sell"}, Effect.OPEN),
        ("POST", SPOT_ORDER, {**SALE, "quoteOrderQty": "1"}, Effect.OPEN),
        ("POST", SPOT_ORDER, {}, Effect.OPEN),
        ("DELETE", SPOT_ORDER, {"symbol": "BTCUSDT", "orderId": "1"}, Effect.CANCEL),
        ("DELETE", SPOT_ORDER, {"symbol": "BTCUSDT", "newQty": "1"}, None),
        ("DELETE", SPOT_ORDERS, {"symbol": "BTCUSDT"}, Effect.CANCEL),
        ("DELETE", "/api/v3/account", {}, None),
        ("POST", SPOT_ORDERS, {"symbol": "BTCUSDT"}, None),
        ("PUT", SPOT_ORDER, SALE, None),
    ],
)
def test_so_it_is_in_the_address(method: str, path: str, params: dict[str, str], effect: Effect | None) -> None:
    """Where spot has all its parameters."""
    request = read_request(f"https://api.mexc.com{path}?{urlencode(params | SIGNED)}", method, None)
    assert effect_of(request) is effect


def on_spot(**changes: str) -> str:
    """A sale's address."""
    return f"{SPOT_ORDER}?{urlencode({**SALE, **changes, **SIGNED})}"


FORGED: dict[str, tuple[str, str, str | None]] = {
    "an order": (CONTRACT_ORDER, "POST", json.dumps({**CLOSING, "side": 1})),
    "an order on spot": (on_spot(side="BUY"), "POST", None),
    "in the query": (f"{CONTRACT_ORDER}?side=4", "POST", json.dumps(CLOSING)),
    "a form": (CONTRACT_ORDER, "POST", "side=4&vol=1"),
    "a name twice": (CONTRACT_ORDER, "POST", json.dumps(CLOSING)[:-1] + ', "side": 1}'),
    "a sale with a body": (on_spot(), "POST", json.dumps({**SALE, "side": "BUY"})),
    "a sale with a form": (on_spot(), "POST", "quoteOrderQty=5"),
    "escaped path": (f"{PRIVATE}/order/cr%65ate", "POST", json.dumps(CLOSING)),
    "dotted path": ("/api/v3/time/../order", "POST", None),
    "slash at the end": (f"{CONTRACT_ORDER}/", "POST", json.dumps(CLOSING)),
    "the older endpoint": (f"{PRIVATE}/order/submit", "POST", json.dumps(CLOSING)),
    "put": (CONTRACT_ORDER, "PUT", json.dumps(CLOSING)),
    "delete": (CANCEL, "DELETE", json.dumps([1])),
    "a read with a body": (TIME, "GET", json.dumps(CLOSING)),
    "a read that is not known": ("/api/v3/capital/withdraw/address", "GET", None),
}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", FORGED)
async def test_a_request_that_is_made_by_hand_is_stopped(name: str, level: Permission) -> None:
    """At ccxt's own door, alone and under the cover of a harmless call."""
    path, method, body = FORGED[name]
    async with mexc(permission=level) as (venue, fetch):
        with pytest.raises(NotPermitted):
            await venue._client.ccxt.fetch(f"https://api.mexc.com{path}", method, {}, body)
        for effect in (Effect.READ, Effect.CANCEL):
            with wire.recording(Wire(effect=effect)), pytest.raises(NotPermitted):
                await venue._client.ccxt.fetch(f"https://api.mexc.com{path}", method, {}, body)
        assert fetch.sent == []


@pytest.mark.parametrize("name", [name for name in FORGED if name not in ("an order", "an order on spot")])
def test_what_is_made_by_hand_is_nothing_that_is_known(name: str) -> None:
    """Not even as a close: at no level, whatever it is declared as."""
    path, method, body = FORGED[name]
    assert effect_of(read_request(f"https://api.mexc.com{path}", method, body)) is None


def test_a_sale_with_a_parameter_twice_is_none() -> None:
    """Who knows which one the venue takes."""
    with pytest.raises(NotPermitted):
        read_request(f"https://api.mexc.com{on_spot()}&side=BUY", "POST", None)


async def test_every_call_declares_what_its_request_turns_out_to_do() -> None:
    """Neither less, which would not leave, nor more, which would refuse it to levels that may have it."""
    async with mexc(permission=Permission.FULL) as (venue, fetch):
        gate, declared, actual = venue._client._gate, list[Effect | None](), list[Effect | None]()
        check = gate.check

        def noting(url: str, method: str, body: object, record: Wire | None) -> None:
            declared.append(record.effect if record else None)
            actual.append(effect_of(read_request(url, method, body)))
            check(url, method, body, record)

        gate.check = noting  # type: ignore[method-assign]
        for step, _ in STEPS.values():
            await venue.execute(step)
        await venue.probe()
        await venue.filled(sell_spot())
        for name in venue.slices:
            await venue.read_slice(name)
        for kind in venue._layout.market_kinds:
            for call in venue._profile.market_calls(kind):
                await venue._client.attempt(call)
        for call in venue._profile.key_calls():
            await venue._client.attempt(call)
        assert len(fetch.sent) == len(declared) > 50
        assert declared == actual


async def test_a_margin_of_budgets_is_named_for_every_request() -> None:
    """Or the lane would not know what it costs."""
    async with mexc() as (venue, _):
        profile = venue._profile
        calls = [call for part in venue._layout.slices for call in profile.reads(part).all]
        for step, _expected in STEPS.values():
            calls += profile.calls(step, venue.kind(step.slice))
        calls += [*profile.key_calls(), *profile.clock_calls(venue._layout)]
        calls += [call for kind in venue._layout.market_kinds for call in profile.market_calls(kind)]
        assert all(call.charges for call in calls)
        assert {charge.bucket for call in calls for charge in call.charges} == set(profile.budgets)


def test_an_answer_counts_only_with_both_words_of_a_success() -> None:
    """Whatever ccxt lets pass."""
    assert data_of({"success": True, "code": 0, "data": []}, "x") == []
    document: Any
    for document in (
        {"success": True, "code": 1, "data": []},
        {"success": "true", "code": 0, "data": []},
        {"code": 0, "data": []},
        {"success": True, "code": 0},
        {"success": True, "data": []},
        [],
    ):
        with pytest.raises(VenueAnswerUnknown):
            data_of(document, "x")


def test_the_empty_answers_are_of_every_read() -> None:
    """Or a look would prove nothing here."""
    assert set(PATHS.values()) == EMPTY.keys()
