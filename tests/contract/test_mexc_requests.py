"""Every request that the MEXC profile makes, exactly as it leaves the real ccxt class.

Written by hand from https://www.mexc.com/api-docs/spot-v3 and https://www.mexc.com/api-docs/futures.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from node.domain.key_facts import KeyFacts
from node.domain.snapshot import MarketKind, PositionSide
from node.domain.steps import CancelOrders, CancelSymbol, ClosePosition, Refusal, Step
from node.errors import VenueAnswerUnknown
from node.venues import factory
from node.venues.options import VenueOptions
from tests.support.mexc import CREDENTIALS, HOST, PRIVATE, failed, failed_on_spot, mexc, said
from tests.support.venue import Sent, answer, sell_spot

ID = "sabcdefgh234567abc"
DAY_MS = 86_400_000
#: method, path, JSON body or query
Expected = tuple[str, str, Any]


def close(slice_name: str = "linear", **changes: Any) -> ClosePosition:
    """A long of 15 contracts at market, cross."""
    values: dict[str, Any] = {
        "slice": slice_name,
        "symbol": "BTC/USDT:USDT",
        "market_id": "BTC_USDT",
        "side": PositionSide.LONG,
        "hedged": True,
        "isolated": False,
        "contracts": Decimal(15),
        "limit_price": None,
        "client_order_id": ID,
    }
    return ClosePosition(**(values | changes))


COIN: dict[str, Any] = {"symbol": "BTC/USD:BTC", "market_id": "BTC_USD"}
SHORT: dict[str, Any] = {"side": PositionSide.SHORT}


def _market(slice_name: str) -> dict[str, str]:
    if slice_name == "spot":
        return {"symbol": "BTC/USDT", "market_id": "BTCUSDT"}
    return {"symbol": "BTC/USDT:USDT", "market_id": "BTC_USDT"}


def cancels(*ids: str, slice_name: str = "linear", trigger: bool = False) -> CancelOrders:
    """Cancelling by id."""
    return CancelOrders(slice=slice_name, order_ids=ids, trigger=trigger, **_market(slice_name))


def sweep(slice_name: str = "linear", *, trigger: bool = False) -> CancelSymbol:
    """Cancelling all of one book."""
    return CancelSymbol(slice=slice_name, trigger=trigger, seen=1, **_market(slice_name))


PLACE = f"{PRIVATE}/order/create"
#: Numbers are numbers: the venue takes no text for them.
BTC = {"symbol": "BTC_USDT", "vol": 15, "type": 5, "openType": 2, "externalOid": ID}
SPOT_ORDER = "/api/v3/order"

STEPS: dict[str, tuple[Step, list[Expected]]] = {
    "close long": (close(), [("POST", PLACE, {**BTC, "side": 4})]),
    "close short": (close(**SHORT), [("POST", PLACE, {**BTC, "side": 2})]),
    # One-way mode: nothing says otherwise, and nothing is different.
    "close long in one-way mode": (close(hedged=False), [("POST", PLACE, {**BTC, "side": 4})]),
    "close short in one-way mode": (close(hedged=False, **SHORT), [("POST", PLACE, {**BTC, "side": 2})]),
    "close isolated": (close(isolated=True), [("POST", PLACE, {**BTC, "side": 4, "openType": 1})]),
    "close within a price": (
        close(limit_price=Decimal("60800.10"), contracts=Decimal("0.5")),
        [("POST", PLACE, {**BTC, "side": 4, "type": 3, "price": 60800.1, "vol": 0.5})],
    ),
    "close at a round price": (
        close(limit_price=Decimal("6.08E+4"), **SHORT),
        [("POST", PLACE, {**BTC, "side": 2, "type": 3, "price": 60800})],
    ),
    "close coin-margined": (
        close("inverse", **COIN),
        [("POST", PLACE, {**BTC, "symbol": "BTC_USD", "side": 4})],
    ),
    "sell spot": (
        sell_spot(),
        [
            (
                "POST",
                SPOT_ORDER,
                {
                    "symbol": "BTCUSDT",
                    "side": "SELL",
                    "type": "IMMEDIATE_OR_CANCEL",
                    "quantity": "0.50000",
                    "price": "60000.01",
                    "newClientOrderId": ID,
                },
            )
        ],
    ),
    "cancel one": (cancels("11"), [("POST", f"{PRIVATE}/order/cancel", [11])]),
    "cancel several": (cancels("11", "12"), [("POST", f"{PRIVATE}/order/cancel", [11, 12])]),
    "cancel more than one request takes": (
        cancels(*map(str, range(1, 61))),
        [
            ("POST", f"{PRIVATE}/order/cancel", list(range(1, 51))),
            ("POST", f"{PRIVATE}/order/cancel", list(range(51, 61))),
        ],
    ),
    "cancel triggers, each in its book": (
        cancels("77", "stop:78", "track:79", "80", "track:81", trigger=True),
        [
            (
                "POST",
                f"{PRIVATE}/planorder/cancel",
                [{"symbol": "BTC_USDT", "orderId": "77"}, {"symbol": "BTC_USDT", "orderId": "80"}],
            ),
            ("POST", f"{PRIVATE}/stoporder/cancel", [{"stopPlanOrderId": 78}]),
            ("POST", f"{PRIVATE}/trackorder/cancel", {"symbol": "BTC_USDT", "trackOrderId": 79}),
            ("POST", f"{PRIVATE}/trackorder/cancel", {"symbol": "BTC_USDT", "trackOrderId": 81}),
        ],
    ),
    "cancel on spot": (
        cancels("C02__11", "C02__12", slice_name="spot"),
        [("DELETE", SPOT_ORDER, {"symbol": "BTCUSDT", "orderId": each}) for each in ("C02__11", "C02__12")],
    ),
    "sweep": (sweep(), [("POST", f"{PRIVATE}/order/cancel_all", {"symbol": "BTC_USDT"})]),
    "sweep triggers": (
        sweep(trigger=True),
        [("POST", f"{PRIVATE}/{book}/cancel_all", {"symbol": "BTC_USDT"}) for book in ("planorder", "stoporder")],
    ),
    "sweep spot": (sweep("spot"), [("DELETE", "/api/v3/openOrders", {"symbol": "BTCUSDT"})]),
}


def asked(sent: Sent) -> Expected:
    """What was asked: spot in the address, futures in a body."""
    return sent.method, sent.path, sent.params if sent.document is None else sent.document


def in_order(requests: list[Expected]) -> list[Expected]:
    """What leaves together has no order; nor have the names in a document."""
    return sorted(requests, key=lambda each: json.dumps(each, sort_keys=True))


@pytest.mark.parametrize("name", STEPS)
async def test_a_step_is_the_documented_requests(name: str) -> None:
    """No parameter more, none less; no broker's code."""
    step, expected = STEPS[name]
    async with mexc() as (venue, fetch):
        await venue.execute(step)
        assert in_order([asked(each) for each in fetch.sent]) == in_order(expected)
        for each in fetch.sent:
            assert each.host == HOST
            assert "source" not in each.headers
            assert each.headers["content-type"] == "application/json"


def position(**changes: Any) -> dict[str, Any]:
    """A long of 15 contracts, cross, of the page's example."""
    return {
        "positionId": 1394650,
        "symbol": "BTC_USDT",
        "positionType": 1,
        "openType": 2,
        "state": 1,
        "holdVol": 15,
        "frozenVol": 0,
        "closeVol": 0,
        "holdAvgPrice": 1217.3,
        "openAvgPrice": 1217.3,
        "closeAvgPrice": 0,
        "liquidatePrice": 1211.2,
        "oim": 0.1290338,
        "adlLevel": 0,
        "im": 0.1290338,
        "holdFee": 0,
        "realised": -0.0073,
        "leverage": 100,
        "createTime": 1609991676000,
        "updateTime": 1609991676000,
        "autoAddIm": False,
        **changes,
    }


async def test_a_close_names_the_position_that_was_read_last() -> None:
    """Its id; and of an isolated one the leverage. Of each leg its own."""
    async with mexc() as (venue, fetch):
        rows = [
            position(),
            position(positionId=2, positionType=2, openType=1, leverage=20),
            position(positionId=3, symbol="BTC_USD", openType=1, leverage=12.5),
        ]
        fetch.answers[f"{PRIVATE}/position/open_positions"] = said(rows)
        await venue.read_positions("linear")
        await venue.read_positions("inverse")
        fetch.sent.clear()
        for step, more in (
            (close(), {"side": 4, "positionId": 1394650}),
            (close(isolated=True, **SHORT), {"side": 2, "openType": 1, "positionId": 2, "leverage": 20}),
            (close(isolated=True), {"side": 4, "openType": 1}),
            (
                close("inverse", isolated=True, **COIN),
                {"symbol": "BTC_USD", "side": 4, "openType": 1, "positionId": 3, "leverage": 12.5},
            ),
        ):
            fetch.sent.clear()
            await venue.execute(step)
            assert fetch.only.document == {**BTC, **more}
        fetch.answers[f"{PRIVATE}/position/open_positions"] = said([position(positionId=4)])
        await venue.read_positions("linear")
        fetch.sent.clear()
        await venue.execute(close())
        assert fetch.only.document["positionId"] == 4


async def test_requests_to_futures_are_signed_as_documented() -> None:
    """HMAC-SHA256 over key, time and body or sorted query, in headers."""
    async with mexc() as (venue, fetch):
        await venue.execute(close())
        await venue.execute(cancels("11", "12"))
        await venue.read_slice("linear")
        assert {each.method for each in fetch.sent} == {"POST", "GET"}
        for each in fetch.sent:
            stamp, key = each.headers["request-time"], each.headers["apikey"]
            assert key == CREDENTIALS["apiKey"]
            assert abs(int(stamp) - time.time() * 1000) < 5000
            assert each.headers["signature"] == signature(f"{key}{stamp}{each.raw}")
            if each.method == "GET":
                names = [pair.partition("=")[0] for pair in each.raw.split("&")]
                assert names == sorted(names)


async def test_requests_to_spot_are_signed_as_documented() -> None:
    """HMAC-SHA256 over the whole query, at its end; valid for five seconds; no body."""
    async with mexc(slices=("spot",)) as (venue, fetch):
        for step in (sell_spot(), cancels("1", slice_name="spot"), sweep("spot")):
            await venue.execute(step)
        await venue.read_slice("spot")
        assert {each.method for each in fetch.sent} == {"POST", "GET", "DELETE"}
        for each in fetch.sent:
            query, _, found = each.raw.rpartition("&signature=")
            assert found == signature(query)
            assert each.headers["x-mexc-apikey"] == CREDENTIALS["apiKey"]
            pairs = dict(pair.split("=") for pair in query.split("&"))
            assert pairs["recvWindow"] == "5000"
            assert abs(int(pairs["timestamp"]) - time.time() * 1000) < 5000


def signature(text: str) -> str:
    """As hexadecimal digits."""
    return hmac.new(CREDENTIALS["secret"].encode(), text.encode(), hashlib.sha256).hexdigest()


CONTRACT_READS: list[Expected] = [
    *[("GET", f"{PRIVATE}/planorder/list/orders", {"states": "1", "page_num": "1", "page_size": "100"})] * 4,
    *[("GET", f"{PRIVATE}/trackorder/list/orders", {"states": "0,1", "pageIndex": "1", "pageSize": "100"})] * 4,
    ("GET", f"{PRIVATE}/stoporder/open_orders", {}),
    ("GET", f"{PRIVATE}/order/list/open_orders", {"page_num": "1", "page_size": "100"}),
    ("GET", f"{PRIVATE}/position/open_positions", {}),
    ("GET", f"{PRIVATE}/account/assets", {}),
]
READS: dict[str, list[Expected]] = {
    "linear": CONTRACT_READS,
    "linear:USDC": CONTRACT_READS,
    "inverse": CONTRACT_READS,
    "spot": [("GET", "/api/v3/openOrders", {}), ("GET", "/api/v3/account", {})],
}
_TIMES = ("start_time", "end_time")


@pytest.mark.parametrize("name", READS)
async def test_a_read_asks_for_every_book(name: str) -> None:
    """Once for a look; and for a proof, in causal order."""
    async with mexc(slices=(name,)) as (venue, fetch):
        await venue.read_slice(name)
        sent = []
        for each in fetch.sent:
            params = {key: value for key, value in each.params.items() if key not in _TIMES}
            sent.append((each.method, each.path, params))
        assert in_order(sent) == in_order(READS[name])
        fetch.sent.clear()
        await venue.read_proof(name)
        stages = ("planorder", "trackorder", "stoporder"), ("open_orders", "openOrders"), ("position", "account")
        seen = [
            next(at for at, words in enumerate(stages) if any(word in each.path for word in words))
            for each in fetch.sent
        ]
        assert seen == sorted(seen)


async def test_plan_orders_are_looked_for_in_the_whole_of_a_year() -> None:
    """Without times the venue shows a week; it takes no more than 90 days. No day is left out between two windows."""
    async with mexc(slices=("linear",)) as (venue, fetch):
        await venue.read_slice("linear")
        now = time.time() * 1000
        for book in ("planorder", "trackorder"):
            windows = sorted(
                tuple(int(each.params[name]) for name in _TIMES) for each in fetch.sent if book in each.path
            )
            assert len(windows) == 4
            assert all(end - start <= 90 * DAY_MS for start, end in windows)
            assert all(earlier[1] > later[0] for earlier, later in pairwise(windows))
            assert now <= windows[-1][1] <= now + 120_000
            assert windows[0][0] < now - 352 * DAY_MS
        assert [text for text in venue.unverified if "352 days" in text] == list(venue.unverified)


ORDER = {
    "orderId": "102067003631907840",
    "symbol": "BTC_USDT",
    "positionId": 0,
    "price": 707.5,
    "vol": 40,
    "leverage": 20,
    "side": 1,
    "category": 1,
    "orderType": 1,
    "dealAvgPrice": 0,
    "dealVol": 15,
    "orderMargin": 0.1,
    "openType": 2,
    "state": 2,
    "externalOid": "_m_95bc2b72d3784bce8f9efecbdef9fe35",
    "errorCode": 0,
    "positionMode": 1,
}
PLAN = {
    "id": "77",
    "symbol": "BTC_USDT",
    "leverage": 20,
    "side": 1,
    "triggerPrice": 100.0,
    "price": 101.0,
    "vol": 4,
    "openType": 1,
    "triggerType": 1,
    "state": 1,
    "executeCycle": 87600,
    "trend": 1,
    "orderType": 1,
    "orderId": 0,
    "errorCode": 0,
}


async def test_pages_are_followed_to_the_end_of_every_list() -> None:
    """By number, until a page that is not full; in the plan orders' lists in each window."""
    async with mexc(slices=("linear",)) as (venue, fetch):

        def page(row: dict[str, Any], name: str, number: str) -> Any:
            at = int(fetch.sent[-1].params[number])
            found = [{**row, name: str(at * 1000 + each)} for each in range({1: 100, 2: 100}.get(at, 30))]
            return {"success": True, "code": 0, "data": found}

        fetch.answers[f"{PRIVATE}/order/list/open_orders"] = lambda: page(ORDER, "orderId", "page_num")
        fetch.answers[f"{PRIVATE}/planorder/list/orders"] = lambda: page(PLAN, "id", "page_num")
        trailing = {**PLAN, "backType": 1, "backValue": 0.01, "state": 0}
        fetch.answers[f"{PRIVATE}/trackorder/list/orders"] = lambda: page(trailing, "id", "pageIndex")
        found = (await venue.read_slice("linear")).orders or ()
        assert len(found) == 3 * 230
        numbers = [each.params.get("page_num") for each in fetch.sent if each.path.endswith("open_orders")]
        assert [each for each in numbers if each] == ["1", "2", "3"]
        assert len([each for each in fetch.sent if "planorder" in each.path]) == 4 * 3


async def test_a_list_on_spot_that_may_go_on_proves_nothing() -> None:
    """It has no pages; where it ends of itself is not told."""
    row = {"symbol": "BTCUSDT", "origQty": "1", "executedQty": "0", "side": "BUY"}
    async with mexc(slices=("spot",)) as (venue, fetch):
        for count in (499, 501):
            fetch.answers["/api/v3/openOrders"] = answer([{**row, "orderId": str(each)} for each in range(1, count)])
            if count == 501:
                with pytest.raises(VenueAnswerUnknown, match="no way to ask"):
                    await venue.read_slice("spot")
            else:
                await venue.read_slice("spot")


@pytest.mark.parametrize(
    ("slices", "method", "path", "asked_for"),
    [
        (("spot", "linear"), "POST", f"{PRIVATE}/order/cancel", [1]),
        (("spot",), "DELETE", SPOT_ORDER, {"symbol": "BTCUSDT", "origClientOrderId": "sovereignnodeprobe0"}),
    ],
)
async def test_the_probe_cancels_what_cannot_exist(
    slices: tuple[str, ...], method: str, path: str, asked_for: object
) -> None:
    """And "order does not exist" is the answer that shows the right to trade."""
    async with mexc(slices=slices) as (venue, fetch):
        fetch.answers[path] = (
            failed_on_spot(-2011, "Unknown order sent.")
            if method == "DELETE"
            else said([{"orderId": 1, "errorCode": 2040, "errorMsg": "order not exist"}])
        )
        assert (await venue.probe()).outcome.value == "done"
        assert asked(fetch.only) == (method, path, asked_for)
        for denied in (failed(701, "Please enable API Key write access"), failed_on_spot(700007, "No permission")):
            fetch.answers[path] = denied
            assert (await venue.probe()).refusal is Refusal.DENIED


async def test_an_order_is_asked_after_by_its_client_id() -> None:
    """On spot alone: closes of contracts are bounded by the venue."""
    async with mexc() as (venue, fetch):
        fetch.answers[SPOT_ORDER] = answer({"symbol": "BTCUSDT", "orderId": "C02__7", "clientOrderId": ID})
        assert await venue.filled(sell_spot()) is True
        assert asked(fetch.only) == ("GET", SPOT_ORDER, {"symbol": "BTCUSDT", "origClientOrderId": ID})
        fetch.answers[SPOT_ORDER] = failed_on_spot(-2013, "Order does not exist.")
        assert await venue.filled(sell_spot()) is False
        odd = [
            answer({"symbol": "BTCUSDT", "orderId": "C02__7", "clientOrderId": "another"}),
            answer({"symbol": "BTCUSDT", "orderId": None, "clientOrderId": ID}),
            answer([]),
            answer({}),
            failed_on_spot(-2013, "Order does not exist.", 500),
            failed_on_spot(500, "Internal error"),
        ]
        for each in odd:
            fetch.answers[SPOT_ORDER] = each
            assert await venue.filled(sell_spot()) is None


KEY, MODE = "/api/v3/apiKeyInfo", f"{PRIVATE}/position/position_mode"
ALL_RIGHTS = "SPOT_ACCOUNT_READ,SPOT_DEAL_READ,SPOT_DEAL_WRITE,CONTRACT_DEAL_READ, CONTRACT_DEAL_WRITE"


@pytest.mark.parametrize(
    ("slices", "told", "mode", "facts"),
    [
        (
            None,
            {"permissions": ALL_RIGHTS, "ipWhiteList": "1.2.3.4"},
            1,
            KeyFacts(may_trade=True, may_withdraw=False, bound_to_addresses=True, hedged=True),
        ),
        (
            None,
            {"permissions": "SPOT_DEAL_WRITE,SPOT_WITHDRAW_WRITE", "ipWhiteList": ""},
            2,
            KeyFacts(may_trade=False, may_withdraw=True, bound_to_addresses=False, hedged=False),
        ),
        (
            ("spot",),
            {"permissions": "SPOT_DEAL_WRITE,SPOT_WITHDRAW_READ"},
            None,
            KeyFacts(may_trade=True, may_withdraw=False),
        ),
        (
            ("inverse",),
            {"permissions": "SPOT_DEAL_WRITE,CONTRACT_DEAL_READ", "ipWhiteList": []},
            1,
            KeyFacts(may_trade=False, may_withdraw=False, bound_to_addresses=False, hedged=True),
        ),
    ],
)
async def test_the_key_is_told_by_the_venue(
    slices: tuple[str, ...] | None, told: dict[str, Any], mode: int | None, facts: KeyFacts
) -> None:
    """Its rights, as far as the configured slices need them; its addresses; the position mode."""
    async with mexc(slices=slices) as (venue, fetch):
        fetch.answers |= {KEY: answer({"status": "VALID", **told}), MODE: said(mode)}
        assert await venue._reader.key_facts() == facts
        expected: list[Expected] = [("GET", KEY, {"accessKey": CREDENTIALS["apiKey"]})]
        assert [asked(each) for each in fetch.sent] == expected + ([] if mode is None else [("GET", MODE, {})])
        fetch.answers |= {KEY: answer({"status": "VALID"})}
        with pytest.raises(VenueAnswerUnknown):
            await venue._reader.key_facts()


def numbers(*values: int | str) -> tuple[Decimal, ...]:
    """As they are read."""
    return tuple(Decimal(value) for value in values)


CONTRACT = {
    "symbol": "BTC_USDT",
    "baseCoin": "BTC",
    "quoteCoin": "USDT",
    "settleCoin": "USDT",
    "contractSize": 0.0001,
    "priceUnit": 0.5,
    "volUnit": 1,
    "minVol": 1,
    "maxVol": 1000000,
    "state": 0,
    "apiAllowed": True,
}
SYMBOL = {
    "symbol": "BTCUSDT",
    "status": "1",
    "baseAsset": "BTC",
    "baseAssetPrecision": 6,
    "quoteAsset": "USDT",
    "quotePrecision": 2,
    "quoteAssetPrecision": 2,
    "isSpotTradingAllowed": True,
    "permissions": ["SPOT"],
    "quoteAmountPrecision": "1.000000000000000000",
    "baseSizePrecision": "0.000001",
    "maxQuoteAmount": "4000000.000000000000000000",
    "tradeSideType": 1,
}


async def test_contracts_are_asked_for_and_obeyed() -> None:
    """One list of both kinds; what is paused, or not for programs, is not open."""
    path = "/api/v1/contract/detail"
    async with mexc() as (venue, fetch):
        coin = {"symbol": "BTC_USD", "quoteCoin": "USD", "settleCoin": "BTC", "contractSize": 100}
        fetch.answers[path] = said(
            [
                CONTRACT,
                {**CONTRACT, "symbol": "A_USDC", "baseCoin": "A", "quoteCoin": "USDC", "settleCoin": "USDC"},
                {**CONTRACT, "symbol": "B_USDT", "baseCoin": "B", "state": 4},
                {**CONTRACT, "symbol": "C_USDT", "baseCoin": "C", "apiAllowed": False},
                {**CONTRACT, **coin},
            ]
        )
        linear = {each.symbol: each for each in await venue._reader.markets(MarketKind.LINEAR)}
        assert (fetch.only.method, fetch.only.path, fetch.only.params) == ("GET", path, {})
        assert "apikey" not in fetch.only.headers
        assert {each.symbol: each.trading for each in linear.values()} == {
            "BTC/USDT:USDT": True,
            "A/USDC:USDC": True,
            "B/USDT:USDT": False,
            "C/USDT:USDT": False,
        }
        btc = linear["BTC/USDT:USDT"]
        assert (btc.contract_size, btc.quantity_step, btc.price_tick) == numbers("0.0001", 1, "0.5")
        assert (btc.quantity_min, btc.market_quantity_max, btc.limit_quantity_max) == numbers(1, 1000000, 1000000)
        (inverse,) = await venue._reader.markets(MarketKind.INVERSE)
        assert (inverse.symbol, inverse.market_id, inverse.settle) == ("BTC/USD:BTC", "BTC_USD", "BTC")
        assert inverse.contract_size == Decimal(100)


async def test_symbols_are_asked_for_and_obeyed() -> None:
    """A market that only takes purchases is none to sell in."""
    path = "/api/v3/exchangeInfo"
    async with mexc() as (venue, fetch):
        closed: tuple[dict[str, Any], ...] = ({"status": "2"}, {"isSpotTradingAllowed": False}, {"tradeSideType": 2})
        closed += ({"tradeSideType": "4"},)
        rows = [SYMBOL, {**SYMBOL, "symbol": "SELLUSDT", "baseAsset": "SELL", "tradeSideType": 3}]
        rows += [{**SYMBOL, "symbol": f"X{at}USDT", "baseAsset": f"X{at}", **each} for at, each in enumerate(closed)]
        fetch.answers[path] = answer({"timezone": "CST", "symbols": rows})
        found = await venue._reader.markets(MarketKind.SPOT)
        assert (fetch.only.method, fetch.only.path, fetch.only.params) == ("GET", path, {})
        assert [each.trading for each in found] == [True, True, False, False, False, False]
        btc = found[0]
        assert (btc.symbol, btc.market_id, btc.sweeps) == ("BTC/USDT", "BTCUSDT", True)
        assert (btc.quantity_step, btc.quantity_min, btc.price_tick) == numbers("0.000001", "0.000001", "0.01")
        assert (btc.notional_min, btc.notional_max) == numbers(1, 4000000)


async def test_quotes_are_asked_for_by_name_or_all_together() -> None:
    """One market as it is, all as a list. A market that nobody bids in has none; one that was named must be there."""
    path = "/api/v3/ticker/bookTicker"
    async with mexc() as (venue, fetch):
        row = {"symbol": "BTCUSDT", "bidPrice": "64000.1", "bidQty": "1", "askPrice": "64000.2", "askQty": "1"}
        fetch.answers[path] = answer(row)
        found = await venue.quotes(["BTC/USDT"])
        assert (found["BTC/USDT"].bid, found["BTC/USDT"].ask) == numbers("64000.1", "64000.2")
        assert asked(fetch.only) == ("GET", path, {"symbol": "BTCUSDT"})
        with pytest.raises(VenueAnswerUnknown, match="ETHUSDT"):
            await venue.quotes(["ETH/USDT"])
        for none in (None, "0", ""):
            fetch.answers[path] = answer({**row, "bidPrice": none})
            assert await venue.quotes(["BTC/USDT"]) == {}
        book = venue._reader.book(MarketKind.SPOT)
        (whole,) = venue._profile.quote_calls(book, ["BTC/USDT"], whole=True)
        assert dict(whole.params) == {}
        listed = [row, {**row, "symbol": "OTHERUSDT"}]
        assert list(venue._profile.quotes(book, ["BTC/USDT"], whole, listed)) == ["BTC/USDT"]
        with pytest.raises(VenueAnswerUnknown):
            venue._profile.quotes(book, ["BTC/USDT"], whole, row)


async def test_the_clock_is_the_one_hosts() -> None:
    """Unsigned, and once however many slices there are."""
    async with mexc() as (venue, fetch):
        fetch.answers["/api/v3/time"] = answer({"serverTime": int(time.time() * 1000) + 3000})
        await venue.keep_warm(1)
        assert (fetch.only.method, fetch.only.host, fetch.only.path) == ("GET", HOST, "/api/v3/time")
        assert "x-mexc-apikey" not in fetch.only.headers
        assert venue.clock_offset_ms() == pytest.approx(3000, abs=500)


def test_there_is_one_kind_of_account_and_no_test_environment() -> None:
    """Configuration that says otherwise is told so before anything is connected."""
    good = VenueOptions(exchange="mexc", credentials=CREDENTIALS)
    assert factory.check(good) == []
    wrong: tuple[dict[str, Any], ...] = (
        {"sandbox": True},
        {"options": {"account": "unified"}},
        {"options": {"recvWindow": 60_000}},
        {"slices": ("margin",)},
        {"credentials": {"apiKey": "x"}},
    )
    for changed in wrong:
        given: dict[str, Any] = {"exchange": "mexc", "credentials": CREDENTIALS, **changed}
        assert len(factory.check(VenueOptions(**given))) == 1


async def test_the_stream_tells_of_all_contracts_after_a_login() -> None:
    """The login is the subscription; spot has none that is understood."""
    async with mexc(slices=("spot", "linear:USDT", "linear:USDC", "inverse")) as (venue, _):
        (stream,) = venue._profile.streams(venue._layout, sandbox=False)
        assert stream.slices == ("linear:USDT", "linear:USDC", "inverse")
        assert stream.url(None) == "wss://contract.mexc.com/edge"
        (login,) = stream.hello(venue._client.ccxt, None)
        document = json.loads(login)
        assert document["method"] == "login"
        param = document["param"]
        assert param["apiKey"] == CREDENTIALS["apiKey"]
        assert param["signature"] == signature(f"{param['apiKey']}{param['reqTime']}")
        assert abs(int(param["reqTime"]) - time.time() * 1000) < 5000
        assert stream.hear({"channel": "rs.login", "data": "success", "ts": 1587442022003}).confirmed
        assert stream.hear({"channel": "rs.login", "data": "failed"}).over
        assert stream.hear({"channel": "rs.error", "data": "signature verification failed"}).over
        assert stream.ping is not None
        assert json.loads(stream.ping) == {"method": "ping"}
        heard = stream.hear({"channel": "pong", "data": 1587453241453})
        assert (heard.changed, heard.over, heard.confirmed) == ((), None, False)
        for channel in ("order", "order.deal", "position", "plan.order", "stop.planorder", "track.order"):
            event = {"channel": f"push.personal.{channel}", "data": {"symbol": "BTC_USDC"}}
            assert stream.hear(event).changed == ("linear:USDC",)
        assert stream.hear({"channel": "push.personal.order", "data": {"symbol": "BTC_USD"}}).changed == ("inverse",)
        asset = {"channel": "push.personal.asset", "data": {"currency": "USDT"}}
        assert stream.hear(asset).changed == stream.slices
        assert stream.hear({"channel": "push.personal.adl.level", "data": {"adlLevel": 0}}).changed == ()
        with pytest.raises(VenueAnswerUnknown):
            stream.hear({"data": 1})
    async with mexc(slices=("spot",)) as (venue, _):
        assert venue._profile.streams(venue._layout, sandbox=False) == ()
