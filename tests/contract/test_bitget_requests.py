"""Every request that the Bitget profile makes, exactly as it leaves the real ccxt class.

Written by hand from https://www.bitget.com/api-doc/contract, .../spot and .../uta.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from decimal import Decimal
from typing import Any

import pytest

from node.domain.snapshot import MarketKind, PositionSide
from node.domain.steps import CancelOrders, CancelSymbol, ClosePosition, Refusal, Step
from node.errors import VenueAnswerUnknown
from tests.support.bitget import CREDENTIALS, HOST, bitget, failed, said
from tests.support.venue import sell_spot

ID = "sabcdefgh234567abc"
#: method, path, JSON body or query
Expected = tuple[str, str, Any]


def close(slice_name: str = "linear", **changes: Any) -> ClosePosition:
    """A long of 0.015 BTC at market, one-way, cross."""
    values: dict[str, Any] = {
        "slice": slice_name,
        "symbol": "BTC/USDT:USDT",
        "market_id": "BTCUSDT",
        "side": PositionSide.LONG,
        "hedged": False,
        "isolated": False,
        "contracts": Decimal("0.015"),
        "limit_price": None,
        "client_order_id": ID,
    }
    return ClosePosition(**(values | changes))


USDC: dict[str, Any] = {"symbol": "BTC/USDC:USDC", "market_id": "BTCPERP"}
COIN: dict[str, Any] = {"symbol": "BTC/USD:BTC", "market_id": "BTCUSD"}
SHORT: dict[str, Any] = {"side": PositionSide.SHORT}


def cancels(*ids: str, slice_name: str = "linear", trigger: bool = False, **changes: Any) -> CancelOrders:
    """Cancelling by id."""
    symbol = "BTC/USDT" if slice_name == "spot" else "BTC/USDT:USDT"
    named = {"symbol": symbol, "market_id": "BTCUSDT", **changes}
    return CancelOrders(slice=slice_name, order_ids=ids, trigger=trigger, **named)


def sweep(slice_name: str = "linear", *, trigger: bool = False, **changes: Any) -> CancelSymbol:
    """Cancelling all of one book."""
    symbol = "BTC/USDT" if slice_name == "spot" else "BTC/USDT:USDT"
    named = {"symbol": symbol, "market_id": "BTCUSDT", **changes}
    return CancelSymbol(slice=slice_name, trigger=trigger, seen=1, **named)


PLACE, SPOT_PLACE, UTA_PLACE = (
    "/api/v2/mix/order/place-order",
    "/api/v2/spot/trade/place-order",
    "/api/v3/trade/place-order",
)
CANCEL_PLAN = "/api/v2/mix/order/cancel-plan-order"
BTC = {
    "symbol": "BTCUSDT",
    "productType": "USDT-FUTURES",
    "marginMode": "crossed",
    "marginCoin": "USDT",
    "size": "0.015",
    "clientOid": ID,
}
MARKET = {"symbol": "BTCUSDT", "productType": "USDT-FUTURES"}
PLAN_TYPES = ("normal_plan", "track_plan", "profit_plan", "loss_plan", "moving_plan", "pos_profit", "pos_loss")

CLASSIC: dict[str, tuple[Step, list[Expected]]] = {
    "close one-way long": (
        close(),
        [("POST", PLACE, {**BTC, "side": "sell", "orderType": "market", "reduceOnly": "YES"})],
    ),
    "close one-way short": (
        close(**SHORT, contracts=Decimal("1E+6")),
        [("POST", PLACE, {**BTC, "side": "buy", "orderType": "market", "reduceOnly": "YES", "size": "1000000"})],
    ),
    "close hedged long": (
        close(hedged=True),
        [("POST", PLACE, {**BTC, "side": "buy", "tradeSide": "close", "orderType": "market"})],
    ),
    "close hedged short": (
        close(hedged=True, **SHORT),
        [("POST", PLACE, {**BTC, "side": "sell", "tradeSide": "close", "orderType": "market"})],
    ),
    "close isolated": (
        close(isolated=True),
        [
            (
                "POST",
                PLACE,
                {**BTC, "marginMode": "isolated", "side": "sell", "orderType": "market", "reduceOnly": "YES"},
            )
        ],
    ),
    "close within a price": (
        close(limit_price=Decimal("60800.10")),
        [
            (
                "POST",
                PLACE,
                {
                    **BTC,
                    "side": "sell",
                    "orderType": "limit",
                    "price": "60800.10",
                    "force": "ioc",
                    "reduceOnly": "YES",
                },
            )
        ],
    ),
    "close USDC-margined": (
        close(**USDC),
        [
            (
                "POST",
                PLACE,
                {
                    **BTC,
                    "symbol": "BTCPERP",
                    "productType": "USDC-FUTURES",
                    "marginCoin": "USDC",
                    "side": "sell",
                    "orderType": "market",
                    "reduceOnly": "YES",
                },
            )
        ],
    ),
    "close USDC-margined, not listed any more": (
        close(symbol="GONEPERP", market_id="GONEPERP"),
        [
            (
                "POST",
                PLACE,
                {
                    **BTC,
                    "symbol": "GONEPERP",
                    "productType": "USDC-FUTURES",
                    "marginCoin": "USDC",
                    "side": "sell",
                    "orderType": "market",
                    "reduceOnly": "YES",
                },
            )
        ],
    ),
    "close coin-margined": (
        close("inverse", **COIN),
        [
            (
                "POST",
                PLACE,
                {
                    **BTC,
                    "symbol": "BTCUSD",
                    "productType": "COIN-FUTURES",
                    "marginCoin": "BTC",
                    "side": "sell",
                    "orderType": "market",
                    "reduceOnly": "YES",
                },
            )
        ],
    ),
    "close coin-margined in another coin": (
        close("inverse", symbol="BTC/USD:ETH-270326", market_id="BTCUSDH27"),
        [
            (
                "POST",
                PLACE,
                {
                    **BTC,
                    "symbol": "BTCUSDH27",
                    "productType": "COIN-FUTURES",
                    "marginCoin": "ETH",
                    "side": "sell",
                    "orderType": "market",
                    "reduceOnly": "YES",
                },
            )
        ],
    ),
    "sell spot": (
        sell_spot(),
        [
            (
                "POST",
                SPOT_PLACE,
                {
                    "symbol": "BTCUSDT",
                    "side": "sell",
                    "orderType": "limit",
                    "force": "ioc",
                    "size": "0.50000",
                    "price": "60000.01",
                    "clientOid": ID,
                    "receiveWindow": "5000",
                },
            )
        ],
    ),
    "cancel one": (cancels("11"), [("POST", "/api/v2/mix/order/cancel-order", {**MARKET, "orderId": "11"})]),
    "cancel several": (
        cancels("11", "12"),
        [
            (
                "POST",
                "/api/v2/mix/order/batch-cancel-orders",
                {**MARKET, "orderIdList": [{"orderId": "11"}, {"orderId": "12"}]},
            )
        ],
    ),
    "cancel triggers by plan type": (
        cancels("77", "78", "pos_loss:79", "track_plan:80", trigger=True),
        [
            (
                "POST",
                CANCEL_PLAN,
                {**MARKET, "planType": "normal_plan", "orderIdList": [{"orderId": "77"}, {"orderId": "78"}]},
            ),
            ("POST", CANCEL_PLAN, {**MARKET, "planType": "pos_loss", "orderIdList": [{"orderId": "79"}]}),
            ("POST", CANCEL_PLAN, {**MARKET, "planType": "track_plan", "orderIdList": [{"orderId": "80"}]}),
        ],
    ),
    "cancel coin-margined": (
        cancels("11", slice_name="inverse", **COIN),
        [
            (
                "POST",
                "/api/v2/mix/order/cancel-order",
                {"symbol": "BTCUSD", "productType": "COIN-FUTURES", "orderId": "11"},
            )
        ],
    ),
    "cancel one on spot": (
        cancels("11", slice_name="spot"),
        [("POST", "/api/v2/spot/trade/cancel-order", {"symbol": "BTCUSDT", "orderId": "11"})],
    ),
    "cancel several on spot": (
        cancels("11", "12", slice_name="spot"),
        [
            (
                "POST",
                "/api/v2/spot/trade/batch-cancel-order",
                {"symbol": "BTCUSDT", "orderList": [{"orderId": "11"}, {"orderId": "12"}]},
            )
        ],
    ),
    "cancel triggers on spot": (
        cancels("77", "tpsl:78", slice_name="spot", trigger=True),
        [
            ("POST", "/api/v2/spot/trade/cancel-plan-order", {"orderId": "77"}),
            (
                "POST",
                "/api/v2/spot/trade/cancel-order",
                {"symbol": "BTCUSDT", "orderId": "78", "tpslType": "tpsl"},
            ),
        ],
    ),
    "sweep": (sweep(), [("POST", "/api/v2/mix/order/batch-cancel-orders", MARKET)]),
    "sweep triggers": (
        sweep(trigger=True),
        [("POST", CANCEL_PLAN, {**MARKET, "planType": plan}) for plan in PLAN_TYPES],
    ),
    "sweep spot": (sweep("spot"), [("POST", "/api/v2/spot/trade/cancel-symbol-order", {"symbol": "BTCUSDT"})]),
    "sweep triggers on spot": (
        sweep("spot", trigger=True),
        [("POST", "/api/v2/spot/trade/batch-cancel-plan-order", {"symbolList": ["BTCUSDT"]})],
    ),
}

UBTC = {"category": "USDT-FUTURES", "symbol": "BTCUSDT", "qty": "0.015", "marginMode": "crossed", "clientOid": ID}

UNIFIED: dict[str, tuple[Step, list[Expected]]] = {
    "close one-way long": (
        close(),
        [("POST", UTA_PLACE, {**UBTC, "side": "sell", "reduceOnly": "yes", "orderType": "market"})],
    ),
    "close one-way short": (
        close(**SHORT),
        [("POST", UTA_PLACE, {**UBTC, "side": "buy", "reduceOnly": "yes", "orderType": "market"})],
    ),
    "close hedged long": (
        close(hedged=True),
        [("POST", UTA_PLACE, {**UBTC, "side": "sell", "posSide": "long", "orderType": "market"})],
    ),
    "close hedged short": (
        close(hedged=True, **SHORT),
        [("POST", UTA_PLACE, {**UBTC, "side": "buy", "posSide": "short", "orderType": "market"})],
    ),
    "close isolated within a price": (
        close(isolated=True, limit_price=Decimal("60800.10")),
        [
            (
                "POST",
                UTA_PLACE,
                {
                    **UBTC,
                    "marginMode": "isolated",
                    "side": "sell",
                    "reduceOnly": "yes",
                    "orderType": "limit",
                    "price": "60800.10",
                    "timeInForce": "ioc",
                },
            )
        ],
    ),
    "close USDC-margined": (
        close(**USDC),
        [
            (
                "POST",
                UTA_PLACE,
                {
                    **UBTC,
                    "category": "USDC-FUTURES",
                    "symbol": "BTCPERP",
                    "side": "sell",
                    "reduceOnly": "yes",
                    "orderType": "market",
                },
            )
        ],
    ),
    "close coin-margined": (
        close("inverse", **COIN),
        [
            (
                "POST",
                UTA_PLACE,
                {
                    **UBTC,
                    "category": "COIN-FUTURES",
                    "symbol": "BTCUSD",
                    "side": "sell",
                    "reduceOnly": "yes",
                    "orderType": "market",
                },
            )
        ],
    ),
    "sell spot": (
        sell_spot(),
        [
            (
                "POST",
                UTA_PLACE,
                {
                    "category": "SPOT",
                    "symbol": "BTCUSDT",
                    "side": "sell",
                    "orderType": "limit",
                    "timeInForce": "ioc",
                    "qty": "0.50000",
                    "price": "60000.01",
                    "clientOid": ID,
                },
            )
        ],
    ),
    "cancel one": (
        cancels("11"),
        [("POST", "/api/v3/trade/cancel-order", {"orderId": "11", "category": "USDT-FUTURES"})],
    ),
    "cancel several": (
        cancels("11", "12"),
        [
            (
                "POST",
                "/api/v3/trade/cancel-batch",
                [
                    {"category": "USDT-FUTURES", "symbol": "BTCUSDT", "orderId": "11"},
                    {"category": "USDT-FUTURES", "symbol": "BTCUSDT", "orderId": "12"},
                ],
            )
        ],
    ),
    "cancel triggers": (
        cancels("77", "78", trigger=True),
        [("POST", "/api/v3/trade/cancel-strategy-order", {"orderId": each}) for each in ("77", "78")],
    ),
    "cancel on spot": (
        cancels("11", "12", slice_name="spot"),
        [("POST", "/api/v3/trade/cancel-order", {"orderId": each}) for each in ("11", "12")],
    ),
    "cancel triggers on spot": (
        cancels("77", slice_name="spot", trigger=True),
        [("POST", "/api/v3/trade/cancel-strategy-order", {"orderId": "77"})],
    ),
    "sweep": (
        sweep(),
        [("POST", "/api/v3/trade/cancel-symbol-order", {"category": "USDT-FUTURES", "symbol": "BTCUSDT"})],
    ),
    "sweep spot": (
        sweep("spot"),
        [
            ("POST", "/api/v3/trade/cancel-symbol-order", {"category": each, "symbol": "BTCUSDT"})
            for each in ("SPOT", "MARGIN")
        ],
    ),
}

STEPS = [("classic", name) for name in CLASSIC] + [("unified", name) for name in UNIFIED]


@pytest.mark.parametrize(("account", "name"), STEPS)
async def test_a_step_is_the_documented_requests(account: str, name: str) -> None:
    """No parameter more, none less; nothing in the address; no broker's code."""
    step, expected = (CLASSIC if account == "classic" else UNIFIED)[name]
    async with bitget(account) as (venue, fetch):
        await venue.execute(step)
        sent = []
        for each in fetch.sent:
            document = each.document
            if each.path == SPOT_PLACE:
                document = dict(document)
                assert abs(int(document.pop("requestTime")) - time.time() * 1000) < 5000
            sent.append((each.method, each.path, document))
            assert each.host == HOST
            assert "x-channel-api-code" not in each.headers
            assert each.headers["content-type"] == "application/json"
        assert in_order(sent) == in_order(expected)


def in_order(requests: list[Expected]) -> list[Expected]:
    """What leaves together has no order; nor have the names in a document."""
    return sorted(requests, key=lambda each: json.dumps(each, sort_keys=True))


@pytest.mark.parametrize("account", ["classic", "unified"])
async def test_requests_are_signed_as_documented(account: str) -> None:
    """Base64 of HMAC-SHA256 over time, method, path with query, and body; and the phrase."""
    async with bitget(account) as (venue, fetch):
        await venue.execute(close())
        await venue.read_positions("linear")
        assert {each.method for each in fetch.sent} == {"POST", "GET"}
        for each in fetch.sent:
            stamp = each.headers["access-timestamp"]
            target = each.path + (each.raw if each.method == "POST" else f"?{each.raw}")
            digest = hmac.new(
                CREDENTIALS["secret"].encode(), f"{stamp}{each.method}{target}".encode(), hashlib.sha256
            ).digest()
            assert each.headers["access-sign"] == base64.b64encode(digest).decode()
            assert each.headers["access-key"] == CREDENTIALS["apiKey"]
            assert each.headers["access-passphrase"] == CREDENTIALS["password"]
            assert abs(int(stamp) - time.time() * 1000) < 5000


def mix(kind: str) -> list[Expected]:
    """What shows one product type of a classic account."""
    return [
        *(
            (
                "GET",
                "/api/v2/mix/order/orders-plan-pending",
                {"productType": kind, "planType": plan, "limit": "100"},
            )
            for plan in ("normal_plan", "track_plan", "profit_loss")
        ),
        ("GET", "/api/v2/mix/order/orders-pending", {"productType": kind, "limit": "100"}),
        ("GET", "/api/v2/mix/position/all-position", {"productType": kind}),
        ("GET", "/api/v2/mix/account/accounts", {"productType": kind}),
    ]


def category(kind: str) -> list[Expected]:
    """What shows one category of futures of a unified account: its wallet is the spot slice's to report."""
    return [
        *(
            ("GET", "/api/v3/trade/unfilled-strategy-orders", {"category": kind, "type": each})
            for each in ("tpsl", "trigger")
        ),
        ("GET", "/api/v3/trade/unfilled-orders", {"category": kind, "limit": "100"}),
        ("GET", "/api/v3/position/current-position", {"category": kind}),
    ]


READS: dict[tuple[str, str], list[Expected]] = {
    ("classic", "linear"): mix("USDT-FUTURES") + mix("USDC-FUTURES"),
    ("classic", "linear:USDC"): mix("USDC-FUTURES"),
    ("classic", "inverse"): mix("COIN-FUTURES"),
    ("classic", "spot"): [
        ("GET", "/api/v2/spot/trade/current-plan-order", {"limit": "100"}),
        ("GET", "/api/v2/spot/trade/unfilled-orders", {"tpslType": "tpsl", "limit": "100"}),
        ("GET", "/api/v2/spot/trade/unfilled-orders", {"tpslType": "normal", "limit": "100"}),
        ("GET", "/api/v2/spot/account/assets", {"assetType": "hold_only"}),
    ],
    ("unified", "linear"): category("USDT-FUTURES") + category("USDC-FUTURES"),
    ("unified", "linear:USDT"): category("USDT-FUTURES"),
    ("unified", "inverse"): category("COIN-FUTURES"),
    ("unified", "spot"): [
        *(
            ("GET", "/api/v3/trade/unfilled-strategy-orders", {"category": kind, "type": each})
            for kind in ("SPOT", "MARGIN")
            for each in ("tpsl", "trigger")
        ),
        ("GET", "/api/v3/trade/unfilled-orders", {"limit": "100"}),
        ("GET", "/api/v3/account/assets", {}),
    ],
}


@pytest.mark.parametrize(("account", "name"), READS)
async def test_a_read_asks_for_every_book_and_every_coin(account: str, name: str) -> None:
    """Once for a look; and for a proof, in causal order."""
    async with bitget(account, slices=(name,)) as (venue, fetch):
        await venue.read_slice(name)
        sent = [(each.method, each.path, each.params) for each in fetch.sent]
        assert in_order(sent) == in_order(READS[account, name])
        fetch.sent.clear()
        await venue.read_proof(name)
        order = [each.path for each in fetch.sent]
        stages = ("plan", "strategy"), ("orders-pending", "unfilled-orders"), ("position", "account")
        seen = [
            next(at for at, words in enumerate(stages) if any(word in each.path for word in words))
            if each.params.get("tpslType") != "tpsl"
            else 0
            for each in fetch.sent
        ]
        assert seen == sorted(seen), order


async def test_pages_are_followed_to_the_end_of_every_list() -> None:
    """By the last row's id; until a page that is not full."""
    rows = [{"orderId": str(9000 - each), **ORDER} for each in range(130)]
    async with bitget() as (venue, fetch):

        def page() -> Any:
            asked = fetch.sent[-1].params
            after = int(asked.get("idLessThan", 10**6))
            found = [row for row in rows if int(row["orderId"]) < after and asked["productType"] == "USDT-FUTURES"]
            # The venue's own cursor is not needed, and not always there.
            return {"code": "00000", "msg": "success", "data": {"entrustedList": found[:100] or None}}

        fetch.answers["/api/v2/mix/order/orders-pending"] = page
        orders = (await venue.read_slice("linear")).orders or ()
        assert len(orders) == 130
        asked = [each.params.get("idLessThan") for each in fetch.sent if each.path.endswith("orders-pending")]
        assert sorted(asked, key=str) == ["8901", None, None]


async def test_pages_that_lead_nowhere_are_no_end() -> None:
    """The same page again; and one of spot's plans that is not full, and says that it is not the last."""
    rows = [{"orderId": str(each), **ORDER} for each in range(100)]
    async with bitget(slices=("spot", "inverse")) as (venue, fetch):
        fetch.answers["/api/v2/mix/order/orders-pending"] = said({"entrustedList": rows, "endId": "99"})
        with pytest.raises(VenueAnswerUnknown, match="the same page"):
            await venue.read_slice("inverse")
        row = {"orderId": "7", "symbol": "BTCUSDT", "size": "1", "side": "buy", "planType": "amount"}
        pages = {None: ([row], True), "7": ([{**row, "orderId": "6"}], False)}

        def page() -> Any:
            found, goes_on = pages[fetch.sent[-1].params.get("idLessThan")]
            return {"code": "00000", "data": {"nextFlag": goes_on, "idLessThan": "x", "orderList": found}}

        fetch.answers["/api/v2/spot/trade/current-plan-order"] = page
        assert [each.order_id for each in (await venue.read_slice("spot")).orders or ()] == ["7", "6"]
        fetch.answers["/api/v2/spot/trade/current-plan-order"] = said({"nextFlag": True, "orderList": []})
        with pytest.raises(VenueAnswerUnknown):
            await venue.read_slice("spot")


@pytest.mark.parametrize("account", ["classic", "unified"])
async def test_ccxt_need_not_ask_which_kind_of_account_it_is(account: str) -> None:
    """One failed question of its own would have it take one for the other."""
    async with bitget(account) as (venue, fetch):
        told, _ = await venue._client.ccxt.handle_uta_and_params({}, "fetchPositions", False)
        assert (told, fetch.sent) == (account == "unified", [])


ORDER = {
    "symbol": "BTCUSDT",
    "size": "0.5",
    "clientOid": "abc",
    "baseVolume": "0.2",
    "side": "buy",
    "posSide": "net",
    "marginCoin": "USDT",
    "tradeSide": "buy_single",
    "posMode": "one_way_mode",
    "orderType": "limit",
    "reduceOnly": "NO",
}


async def test_pages_of_a_unified_account_are_followed_by_their_cursor() -> None:
    """Full ones; a cursor that stays where it is would go on for ever."""
    row = {
        "category": "USDT-FUTURES",
        "symbol": "BTCUSDT",
        "side": "buy",
        "qty": "1",
        "cumExecQty": "0",
        "posSide": "long",
        "holdMode": "one_way_mode",
        "reduceOnly": "NO",
    }
    async with bitget("unified", slices=("linear:USDT",)) as (venue, fetch):

        def page() -> Any:
            cursor = fetch.sent[-1].params.get("cursor")
            found = [{**row, "orderId": f"{cursor}-{each}"} for each in range(100 if cursor is None else 3)]
            return {"code": "00000", "msg": "success", "data": {"list": found, "cursor": "next"}}

        fetch.answers["/api/v3/trade/unfilled-orders"] = page
        assert len((await venue.read_slice("linear:USDT")).orders or ()) == 103
        full = {"list": [{**row, "orderId": str(each)} for each in range(100)], "cursor": "same"}
        fetch.answers["/api/v3/trade/unfilled-orders"] = said(full)
        with pytest.raises(VenueAnswerUnknown, match="the same page"):
            await venue.read_slice("linear:USDT")


async def test_strategy_orders_that_may_go_on_prove_nothing() -> None:
    """There is no second page to ask for."""
    row = {"symbol": "BTCUSDT", "posSide": "long", "qty": "1", "stopLoss": "5"}
    async with bitget("unified") as (venue, fetch):
        path = "/api/v3/trade/unfilled-strategy-orders"
        fetch.answers[path] = said([{**row, "orderId": str(each)} for each in range(99)])
        await venue.read_slice("inverse")
        fetch.answers[path] = said([{**row, "orderId": str(each)} for each in range(100)])
        with pytest.raises(VenueAnswerUnknown, match="no second page"):
            await venue.read_slice("inverse")


@pytest.mark.parametrize(
    ("account", "slices", "path", "body"),
    [
        (
            "classic",
            ("spot", "linear"),
            "/api/v2/mix/order/cancel-order",
            {"symbol": "BTCUSDT", "clientOid": "sovereign-node-probe", "productType": "USDT-FUTURES"},
        ),
        (
            "classic",
            ("spot",),
            "/api/v2/spot/trade/cancel-order",
            {"symbol": "BTCUSDT", "clientOid": "sovereign-node-probe"},
        ),
        ("unified", ("linear",), "/api/v3/trade/cancel-order", {"clientOid": "sovereign-node-probe"}),
    ],
)
async def test_the_probe_cancels_what_cannot_exist(
    account: str, slices: tuple[str, ...], path: str, body: dict[str, str]
) -> None:
    """And "order does not exist" is the answer that shows the right to trade."""
    async with bitget(account, slices=slices) as (venue, fetch):
        code = "25204" if account == "unified" else "43001" if slices == ("spot",) else "40768"
        fetch.answers[path] = failed(code, "Order does not exist")
        assert (await venue.probe()).outcome.value == "done"
        assert (fetch.only.method, fetch.only.path, fetch.only.document) == ("POST", path, body)
        fetch.answers[path] = failed("40014", "Incorrect permissions, need contract trade write permissions")
        assert (await venue.probe()).refusal is Refusal.DENIED


async def test_an_order_is_asked_after_by_its_client_id() -> None:
    """A list of a classic account, an object of a unified one."""
    step = sell_spot()
    for account, path, found, gone in (
        ("classic", "/api/v2/spot/trade/orderInfo", [{"orderId": "7", "clientOid": ID}], said([])),
        (
            "unified",
            "/api/v3/trade/order-info",
            {"orderId": "7", "clientOid": ID},
            failed("25204", "Order does not exist"),
        ),
    ):
        async with bitget(account) as (venue, fetch):
            fetch.answers[path] = said(found)
            assert await venue.filled(step) is True
            assert (fetch.only.method, fetch.only.path, fetch.only.params) == ("GET", path, {"clientOid": ID})
            fetch.answers[path] = gone
            assert await venue.filled(step) is False
            fetch.answers[path] = failed("43001", "The order does not exist")
            assert await venue.filled(step) is False
            other = {"orderId": "7", "clientOid": "another"}
            for odd in (said([other] if account == "classic" else other), said(None), failed("40015", "busy")):
                fetch.answers[path] = odd
                assert await venue.filled(step) is None


@pytest.mark.parametrize(
    ("account", "answers", "paths", "told"),
    [
        (
            "classic",
            {"/api/v2/spot/account/info": said({"ips": "127.0.0.1", "authorities": ["coow", "stow", "smor"]})},
            ["/api/v2/spot/account/info"],
            ("classic", True, False, True, None, ("margin",)),
        ),
        (
            "classic",
            {"/api/v2/spot/account/info": said({"ips": "", "authorities": ["coor", "wwow", "newr"]})},
            ["/api/v2/spot/account/info"],
            ("classic", False, True, False, None, ()),
        ),
        (
            "classic",
            {"/api/v2/spot/account/info": said({"authorities": ["coow", "newr"]})},
            ["/api/v2/spot/account/info"],
            ("classic", True, None, None, None, ()),
        ),
        (
            "unified",
            {
                "/api/v3/account/settings": said({"accountMode": "unified", "holdMode": "hedge_mode"}),
                "/api/v3/account/info": said(
                    {"ips": "1.2.3.4", "permType": "read-and-write", "permissions": ["uta_trade", "withdraw"]}
                ),
            },
            ["/api/v3/account/settings", "/api/v3/account/info"],
            ("unified", True, True, True, True, ()),
        ),
        (
            "unified",
            {
                "/api/v3/account/settings": said({"accountMode": "hybrid", "holdMode": "one_way_mode"}),
                "/api/v3/account/info": said({"ips": "", "permType": "read-only", "permissions": ["uta_trade"]}),
            },
            ["/api/v3/account/settings", "/api/v3/account/info"],
            ("unified", False, False, False, False, ("classic parts of a hybrid account",)),
        ),
    ],
)
async def test_the_key_and_its_account_are_told_by_the_venue(
    account: str, answers: dict[str, Any], paths: list[str], told: tuple[object, ...]
) -> None:
    """Rights, addresses, kind and mode."""
    async with bitget(account) as (venue, fetch):
        fetch.answers |= answers
        facts = await venue._reader.key_facts()
        assert [each.path for each in fetch.sent] == paths
        assert told == (
            facts.account,
            facts.may_trade,
            facts.may_withdraw,
            facts.bound_to_addresses,
            facts.hedged,
            facts.opens,
        )


def numbers(*values: int | str) -> tuple[Decimal, ...]:
    """As they are read."""
    return tuple(Decimal(value) for value in values)


CONTRACT = {
    "symbol": "BTCUSDT",
    "baseCoin": "BTC",
    "quoteCoin": "USDT",
    "supportMarginCoins": ["USDT"],
    "minTradeNum": "0.0001",
    "priceEndStep": "5",
    "volumePlace": "4",
    "pricePlace": "1",
    "sizeMultiplier": "0.0001",
    "symbolType": "perpetual",
    "minTradeUSDT": "5",
    "maxMarketOrderQty": "220",
    "maxOrderQty": "1200",
    "symbolStatus": "normal",
    "deliveryTime": "",
}


async def test_markets_are_asked_for_by_product_type_and_obeyed() -> None:
    """Maxima of market and limit orders apart; a market that only takes closes is open to us."""
    async with bitget() as (venue, fetch):
        listed = {
            "USDT-FUTURES": [
                CONTRACT,
                {**CONTRACT, "symbol": "ETHUSDT", "baseCoin": "ETH", "symbolStatus": "limit_open"},
                {**CONTRACT, "symbol": "OLDUSDT", "baseCoin": "OLD", "symbolStatus": "off"},
            ],
            "USDC-FUTURES": [{**CONTRACT, "symbol": "BTCPERP", "quoteCoin": "USDC", "supportMarginCoins": ["USDC"]}],
            "COIN-FUTURES": [
                {**CONTRACT, "symbol": "BTCUSD", "quoteCoin": "USD", "supportMarginCoins": ["ETH", "BTC"]},
                {
                    **CONTRACT,
                    "symbol": "BTCUSDH27",
                    "quoteCoin": "USD",
                    "supportMarginCoins": ["BTC"],
                    "symbolType": "delivery",
                    "deliveryTime": "1806048000000",
                },
            ],
        }
        fetch.answers["/api/v2/mix/market/contracts"] = lambda: {
            "code": "00000",
            "data": listed[fetch.sent[-1].params["productType"]],
        }
        linear = {each.symbol: each for each in await venue._reader.markets(MarketKind.LINEAR)}
        assert [each.params for each in fetch.sent] == [
            {"productType": "USDT-FUTURES"},
            {"productType": "USDC-FUTURES"},
        ]
        btc = linear["BTC/USDT:USDT"]
        assert (btc.market_quantity_max, btc.limit_quantity_max, btc.quantity_min) == numbers(220, 1200, "0.0001")
        assert (btc.quantity_step, btc.price_tick, btc.notional_min) == numbers("0.0001", "0.5", 5)
        assert linear["BTC/USDC:USDC"].market_id == "BTCPERP"
        assert [linear[each].trading for each in ("BTC/USDT:USDT", "ETH/USDT:USDT", "OLD/USDT:USDT")] == [
            True,
            True,
            False,
        ]
        fetch.sent.clear()
        inverse = {each.symbol: each.market_id for each in await venue._reader.markets(MarketKind.INVERSE)}
        assert inverse == {"BTC/USD:BTC": "BTCUSD", "BTC/USD:BTC-270326": "BTCUSDH27"}
        assert fetch.only.params == {"productType": "COIN-FUTURES"}
        fetch.sent.clear()
        fetch.answers["/api/v2/spot/public/symbols"] = said(
            [
                {
                    "symbol": "BTCUSDT",
                    "baseCoin": "BTC",
                    "quoteCoin": "USDT",
                    "minTradeAmount": "0",
                    "maxTradeAmount": "900",
                    "pricePrecision": "2",
                    "quantityPrecision": "6",
                    "minTradeUSDT": "1",
                    "status": "online",
                }
            ]
        )
        (spot,) = await venue._reader.markets(MarketKind.SPOT)
        assert (spot.quantity_min, spot.market_quantity_max, spot.sweeps) == (None, Decimal(900), False)
        assert (spot.quantity_step, spot.price_tick, spot.notional_min) == numbers("0.000001", "0.01", 1)
        assert (fetch.only.path, fetch.only.params, fetch.only.headers.get("access-key")) == (
            "/api/v2/spot/public/symbols",
            {},
            None,
        )


async def test_quotes_are_asked_for_by_name_or_all_together() -> None:
    """A market that nobody bids in has none; one that was named must be there."""
    path = "/api/v2/spot/market/tickers"
    async with bitget() as (venue, fetch):
        fetch.answers[path] = said([{"symbol": "BTCUSDT", "bidPr": "64000.1", "askPr": "64000.2"}])
        found = await venue.quotes(["BTC/USDT"])
        assert (found["BTC/USDT"].bid, found["BTC/USDT"].ask) == (Decimal("64000.1"), Decimal("64000.2"))
        assert (fetch.only.path, fetch.only.params) == (path, {"symbol": "BTCUSDT"})
        with pytest.raises(VenueAnswerUnknown, match="ETHUSDT"):
            await venue.quotes(["ETH/USDT"])
        fetch.answers[path] = said([{"symbol": "BTCUSDT", "bidPr": "", "askPr": "1"}])
        assert await venue.quotes(["BTC/USDT"]) == {}
        whole = venue._profile.quote_calls(venue._reader.book(MarketKind.SPOT), ["BTC/USDT"], whole=True)
        assert [dict(call.params) for call in whole] == [{}]


async def test_the_clock_is_the_one_hosts() -> None:
    """Unsigned, and once however many slices there are."""
    async with bitget() as (venue, fetch):
        now = str(int(time.time() * 1000) + 3000)
        fetch.answers["/api/v2/public/time"] = said({"serverTime": now})
        await venue.keep_warm(1)
        assert (fetch.only.method, fetch.only.host, fetch.only.path) == ("GET", HOST, "/api/v2/public/time")
        assert venue.clock_offset_ms() == pytest.approx(3000, abs=500)


async def test_demo_trading_is_a_header_on_the_same_host() -> None:
    """With keys of its own."""
    async with bitget(sandbox=True) as (venue, fetch):
        await venue.execute(close())
        assert (fetch.only.host, fetch.only.headers["paptrading"]) == (HOST, "1")
    async with bitget() as (venue, fetch):
        await venue.execute(close())
        assert "paptrading" not in fetch.only.headers


@pytest.mark.parametrize("account", ["classic", "unified"])
async def test_the_stream_is_opened_by_one_subscription_after_the_other(account: str) -> None:
    """Login, then every topic; the last one's confirmation is the stream's."""
    async with bitget(account) as (venue, _):
        for stream in venue._profile.streams(venue._layout, sandbox=False):
            (login,) = stream.hello(venue._client.ccxt, None)
            args = json.loads(login)["args"][0]
            digest = hmac.new(
                CREDENTIALS["secret"].encode(), f"{args['timestamp']}GET/user/verify".encode(), hashlib.sha256
            ).digest()
            assert args["sign"] == base64.b64encode(digest).decode()
            assert (args["apiKey"], args["passphrase"]) == (CREDENTIALS["apiKey"], CREDENTIALS["password"])
            assert len(args["timestamp"]) == 10
            heard = stream.hear({"event": "login", "code": 0, "msg": ""})
            topics = []
            while not heard.confirmed:
                (message,) = heard.reply
                document = json.loads(message)
                assert document["op"] == "subscribe"
                topics.append(document["args"][0])
                heard = stream.hear({"event": "subscribe", "arg": document["args"][0]})
            assert topics == TOPICS[account, stream.name]
            assert stream.url(None) == f"wss://ws.bitget.com/{'v3' if account == 'unified' else 'v2'}/ws/private"
            assert stream.hear({"event": "error", "code": 30005, "msg": "login failed"}).over
            assert (stream.ping, stream.pong) == ("ping", "pong")


def topics_of(kind: str) -> list[dict[str, str]]:
    """Orders, triggers, positions and wallet of one product type."""
    names = ("orders", "orders-algo", *(("positions",) if kind != "SPOT" else ()))
    return [
        *({"instType": kind, "channel": each, "instId": "default"} for each in names),
        {"instType": kind, "channel": "account", "coin": "default"},
    ]


TOPICS = {
    ("classic", "spot"): topics_of("SPOT"),
    ("classic", "contracts"): topics_of("USDT-FUTURES") + topics_of("USDC-FUTURES") + topics_of("COIN-FUTURES"),
    ("unified", "unified"): [
        {"instType": "UTA", "topic": each} for each in ("order", "strategy-order", "position", "account")
    ],
}


async def test_an_event_names_the_slices_that_it_is_about() -> None:
    """A product type's own; of the unified account all."""
    async with bitget(slices=("spot", "linear:USDT", "linear:USDC", "inverse")) as (venue, _):
        spot, contracts = venue._profile.streams(venue._layout, sandbox=True)
        assert spot.url(None) == "wss://wspap.bitget.com/v2/ws/private"
        event = {"action": "snapshot", "data": [{}]}
        assert contracts.hear({**event, "arg": topics_of("USDC-FUTURES")[0]}).changed == ("linear:USDC",)
        assert contracts.hear({**event, "arg": topics_of("COIN-FUTURES")[2]}).changed == ("inverse",)
        assert spot.hear({**event, "arg": topics_of("SPOT")[0]}).changed == ("spot",)
    async with bitget("unified") as (venue, _):
        (stream,) = venue._profile.streams(venue._layout, sandbox=False)
        assert stream.hear({**event, "arg": TOPICS["unified", "unified"][0]}).changed == ("spot", "linear", "inverse")
