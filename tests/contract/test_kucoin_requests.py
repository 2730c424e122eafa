"""Every request that the KuCoin profile makes, exactly as it leaves the real ccxt class.

What is expected is written by hand from https://www.kucoin.com/docs-new.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from decimal import Decimal
from typing import Any

import pytest

from node.domain.snapshot import MarketKind, PositionSide
from node.domain.steps import Step
from node.errors import ConfigError, VenueAnswerUnknown, VenueDenied
from node.venues import factory
from node.venues.options import VenueOptions
from tests.support.kucoin import (
    CREDENTIALS,
    FUTURES,
    ID,
    SPOT,
    cancel,
    close,
    holds_nothing,
    kucoin,
    ok,
    refusal,
    sell,
    sweep,
)
from tests.support.venue import Sent

ORDERS = "/api/v1/orders"
SALE = {
    "clientOid": ID,
    "symbol": "BTC-USDT",
    "side": "sell",
    "type": "limit",
    "size": "0.50000",
    "price": "60000.01",
    "timeInForce": "IOC",
}


def order(side: str = "sell", size: Any = 7, **more: Any) -> dict[str, Any]:
    """A close of ours: reduce-only, in the position's margin mode."""
    return {
        "clientOid": ID,
        "symbol": "XBTUSDTM",
        "side": side,
        "type": "market",
        "size": size,
        "leverage": 1,
        "marginMode": "CROSS",
        "reduceOnly": True,
        **more,
    }


#: Step, method, host, path, query, body.
STEPS: dict[str, tuple[Step, str, str, str, dict[str, str], Any]] = {
    "close one-way long": (close(), "POST", FUTURES, ORDERS, {}, order()),
    "close one-way short": (
        close(side=PositionSide.SHORT, contracts=Decimal("1E+6")),
        "POST",
        FUTURES,
        ORDERS,
        {},
        order("buy", 1_000_000),
    ),
    "close hedged long": (close(hedged=True), "POST", FUTURES, ORDERS, {}, order(positionSide="LONG")),
    "close hedged short": (
        close(hedged=True, side=PositionSide.SHORT),
        "POST",
        FUTURES,
        ORDERS,
        {},
        order("buy", positionSide="SHORT"),
    ),
    "close isolated": (close(isolated=True), "POST", FUTURES, ORDERS, {}, order(marginMode="ISOLATED")),
    "close a hedged isolated leg": (
        close(isolated=True, hedged=True),
        "POST",
        FUTURES,
        ORDERS,
        {},
        order(marginMode="ISOLATED", positionSide="LONG"),
    ),
    "close a part of a contract": (
        close(contracts=Decimal("7.50")),
        "POST",
        FUTURES,
        ORDERS,
        {},
        order(size="7.50"),
    ),
    "close within a price": (
        close(limit_price=Decimal("60800.10")),
        "POST",
        FUTURES,
        ORDERS,
        {},
        order(type="limit", price="60800.10", timeInForce="IOC"),
    ),
    "close what settles in USDC": (
        close(market_id="XBTUSDCM"),
        "POST",
        FUTURES,
        ORDERS,
        {},
        order(symbol="XBTUSDCM"),
    ),
    "close coin-margined": (
        close(slice="inverse", market_id="XBTUSDM", contracts=Decimal(250)),
        "POST",
        FUTURES,
        ORDERS,
        {},
        order(symbol="XBTUSDM", size=250),
    ),
    "sell spot": (sell(), "POST", SPOT, "/api/v1/hf/orders/sync", {}, SALE),
    "cancel one": (cancel("11"), "DELETE", FUTURES, f"{ORDERS}/11", {}, None),
    "cancel several": (
        cancel("11", "12"),
        "DELETE",
        FUTURES,
        f"{ORDERS}/multi-cancel",
        {},
        {"orderIdsList": ["11", "12"]},
    ),
    "cancel several coin-margined": (
        cancel("11", "12", slice_name="inverse"),
        "DELETE",
        FUTURES,
        f"{ORDERS}/multi-cancel",
        {},
        {"orderIdsList": ["11", "12"]},
    ),
    "cancel a stop order": (cancel("77", trigger=True), "DELETE", FUTURES, f"{ORDERS}/77", {}, None),
    "cancel one on spot": (
        cancel("11", slice_name="spot"),
        "DELETE",
        SPOT,
        "/api/v1/hf/orders/sync/11",
        {"symbol": "BTC-USDT"},
        None,
    ),
    "cancel a stop order on spot": (
        cancel("vs8lgpiuao41iaft003khbbk", slice_name="spot", trigger=True),
        "DELETE",
        SPOT,
        "/api/v1/stop-order/vs8lgpiuao41iaft003khbbk",
        {},
        None,
    ),
    "cancel a pair of orders": (
        cancel("oco:674c316e688dea0007c7b986", slice_name="spot", trigger=True),
        "DELETE",
        SPOT,
        "/api/v3/oco/order/674c316e688dea0007c7b986",
        {},
        None,
    ),
    "sweep": (sweep(), "DELETE", FUTURES, "/api/v3/orders", {"symbol": "XBTUSDTM"}, None),
    "sweep coin-margined": (sweep("inverse"), "DELETE", FUTURES, "/api/v3/orders", {"symbol": "XBTUSDM"}, None),
    "sweep stop orders": (
        sweep(trigger=True),
        "DELETE",
        FUTURES,
        "/api/v1/stopOrders",
        {"symbol": "XBTUSDTM"},
        None,
    ),
    "sweep spot": (sweep("spot"), "DELETE", SPOT, "/api/v1/hf/orders", {"symbol": "BTC-USDT"}, None),
}


def signature(text: str) -> str:
    """Base64 of HMAC-SHA256 with the secret."""
    digest = hmac.new(CREDENTIALS["secret"].encode(), text.encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


def check(sent: Sent, method: str, host: str, path: str, query: dict[str, str], body: Any) -> None:
    """One request, to the last parameter, and that it is signed as the documentation says."""
    assert sent.line == (method, host, path)
    assert sent.document == body
    assert body is not None or sent.params == query
    rest = sent.raw if body is not None else f"?{sent.raw}" if sent.raw else ""
    headers = sent.headers
    assert headers["kc-api-sign"] == signature(f"{headers['kc-api-timestamp']}{method}{path}{rest}")
    assert headers["kc-api-key"] == CREDENTIALS["apiKey"]
    assert headers["kc-api-passphrase"] == signature(CREDENTIALS["password"])
    assert headers["kc-api-key-version"] == "2"
    assert not any("partner" in name for name in headers)


@pytest.mark.parametrize("name", STEPS)
async def test_a_step_is_one_request_with_the_documented_parameters_and_nothing_else(name: str) -> None:
    """No hidden call before it, no parameter of ccxt's own, whatever mode the position is in."""
    step, method, host, path, query, body = STEPS[name]
    async with kucoin() as (venue, fetch):
        await venue.execute(step)
        check(fetch.only, method, host, path, query, body)


async def test_orders_of_spot_are_cancelled_one_by_one() -> None:
    """There is no cancel of several by id."""
    async with kucoin() as (venue, fetch):
        await venue.execute(cancel("11", "12", slice_name="spot"))
        for sent, number in zip(fetch.sent, ("11", "12"), strict=True):
            check(sent, "DELETE", SPOT, f"/api/v1/hf/orders/sync/{number}", {"symbol": "BTC-USDT"}, None)


async def test_stop_orders_of_contracts_are_cancelled_one_by_one() -> None:
    """A request for several knows the order book only."""
    async with kucoin() as (venue, fetch):
        await venue.execute(cancel("11", "12", trigger=True))
        assert fetch.lines == [("DELETE", FUTURES, f"{ORDERS}/11"), ("DELETE", FUTURES, f"{ORDERS}/12")]


async def test_a_sweep_of_spot_triggers_is_one_request_for_each_of_their_books() -> None:
    """Stop orders, and pairs of orders that cancel each other."""
    async with kucoin() as (venue, fetch):
        await venue.execute(sweep("spot", trigger=True))
        stops, pairs = sorted(fetch.sent, key=lambda each: each.path)
        named = {"symbol": "BTC-USDT"}
        check(stops, "DELETE", SPOT, "/api/v1/stop-order/cancel", {**named, "tradeType": "TRADE"}, None)
        check(pairs, "DELETE", SPOT, "/api/v3/oco/orders", named, None)


async def test_many_cancels_go_in_batches_that_leave_together() -> None:
    """Twenty ids in one request."""
    ids = [str(number) for number in range(100, 145)]
    async with kucoin() as (venue, fetch):
        await venue.execute(cancel(*ids))
        batches = [each.document["orderIdsList"] for each in fetch.sent]
        assert [len(batch) for batch in batches] == [20, 20, 5]
        assert [each for batch in batches for each in batch] == ids


def contract_reads(*coins: str) -> list[tuple[str, str, dict[str, str]]]:
    """What shows contracts, in causal order; wallets are one a settle coin."""
    pages = {"currentPage": "1", "pageSize": "1000"}
    return [
        (FUTURES, "/api/v1/stopOrders", pages),
        (FUTURES, ORDERS, {"status": "active", **pages}),
        (FUTURES, "/api/v1/positions", {}),
        *[(FUTURES, "/api/v1/account-overview", {"currency": coin}) for coin in coins],
    ]


READS: dict[str, list[tuple[str, str, dict[str, str]]]] = {
    "spot": [
        (SPOT, "/api/v1/stop-order", {"tradeType": "TRADE", "currentPage": "1", "pageSize": "500"}),
        (SPOT, "/api/v3/oco/orders", {"currentPage": "1", "pageSize": "500"}),
        (SPOT, "/api/v1/hf/orders/active/symbols", {}),
        (SPOT, "/api/v1/accounts", {}),
    ],
    "linear": contract_reads("USDT", "USDC"),
    "linear:USDT": contract_reads("USDT"),
    "linear:USDC": contract_reads("USDC"),
    "inverse": contract_reads("XBT", "ETH"),
}


@pytest.mark.parametrize("name", READS)
async def test_a_proof_reads_triggers_then_orders_then_positions_and_balances(name: str) -> None:
    """In causal order, every book, and nothing besides."""
    async with kucoin(slices=(name,)) as (venue, fetch):
        holds_nothing(fetch)
        snapshot = await venue.read_proof(name)
        assert [(each.host, each.path, each.params) for each in fetch.sent] == READS[name]
        for each in fetch.sent:
            check(each, "GET", each.host, each.path, each.params, None)
        assert snapshot.causal
        assert (snapshot.orders, snapshot.positions, snapshot.balances) == ((), (), ())


async def test_resting_orders_of_spot_are_read_market_by_market_where_there_are_any() -> None:
    """The venue names the markets; there is no list of all orders."""
    async with kucoin(slices=("spot",)) as (venue, fetch):
        holds_nothing(fetch, symbols=ok({"symbols": ["BTC-USDT", "ETH-USDT", "GONE-USDT"]}))
        await venue.read_proof("spot")
        asked = [each for each in fetch.sent if each.path == "/api/v1/hf/orders/active"]
        for sent, market_id in zip(asked, ("BTC-USDT", "ETH-USDT", "GONE-USDT"), strict=True):
            check(sent, "GET", SPOT, "/api/v1/hf/orders/active", {"symbol": market_id}, None)


async def test_a_read_of_positions_is_one_request() -> None:
    """The cheap read between rounds."""
    async with kucoin() as (venue, fetch):
        fetch.default = ok([])
        await venue.read_positions("linear")
        assert fetch.lines == [("GET", FUTURES, "/api/v1/positions")]


def level1(bid: Any = "10", ask: Any = "11") -> Any:
    """``GET market/orderbook/level1``."""
    return ok({"time": 1, "sequence": "1", "price": "10.5", "size": "1", "bestBid": bid, "bestAsk": ask})


async def test_quotes_of_a_few_markets_are_a_request_each() -> None:
    """Public, by the market's name."""
    async with kucoin() as (venue, fetch):
        fetch.in_turn = iter([level1(), level1(None, None)])
        quotes = await venue.quotes(["ETH/USDT", "BTC/USDT", "NOT/LISTED"])
        assert [(each.line, each.params) for each in fetch.sent] == [
            (("GET", SPOT, "/api/v1/market/orderbook/level1"), {"symbol": "BTC-USDT"}),
            (("GET", SPOT, "/api/v1/market/orderbook/level1"), {"symbol": "ETH-USDT"}),
        ]
        assert not any("kc-api-sign" in each.headers for each in fetch.sent)
        assert (quotes["BTC/USDT"].bid, quotes["BTC/USDT"].ask) == (Decimal(10), Decimal(11))
        assert "ETH/USDT" not in quotes, "nobody bids"


async def test_all_quotes_are_asked_for_where_a_market_is_gone() -> None:
    """One that was delisted must not keep the others from being sold."""
    tickers = [
        {"symbol": "BTC-USDT", "buy": "10", "sell": "11"},
        {"symbol": "NOT-USDT", "buy": "1", "sell": "2"},
        {"symbol": "NOBODY-USDT", "buy": None, "sell": None},
    ]
    async with kucoin() as (venue, fetch):
        fetch.in_turn = iter([level1(), ok(None), ok({"time": 1, "ticker": tickers})])
        quotes = await venue.quotes(["ETH/USDT", "BTC/USDT"])
        assert fetch.sent[-1].line == ("GET", SPOT, "/api/v1/market/allTickers")
        assert fetch.sent[-1].params == {}
        assert {name: (each.bid, each.ask) for name, each in quotes.items()} == {"BTC/USDT": (Decimal(10), Decimal(11))}


async def test_many_quotes_are_one_request() -> None:
    """Cheaper than one each."""
    async with kucoin() as (venue, _):
        book = venue._reader.book(MarketKind.SPOT)
        calls = venue._profile.quote_calls(book, list(book.by_symbol), whole=True)
        assert [each.endpoint for each in calls] == ["publicGetMarketAllTickers"]
        assert venue._profile.quote_calls(book, ["NOT/LISTED"], whole=True) == ()


async def test_an_ambiguous_sale_is_looked_up_by_our_id() -> None:
    """In its market."""
    async with kucoin() as (venue, fetch):
        await venue.filled(sell())
        check(fetch.only, "GET", SPOT, f"/api/v1/hf/orders/client-order/{ID}", {"symbol": "BTC-USDT"}, None)


async def test_the_probe_cancels_an_order_that_cannot_exist() -> None:
    """Of a contract, by a number of the right length; and done if the venue has looked for it."""
    async with kucoin() as (venue, fetch):
        fetch.default = refusal("100004", "The order cannot be canceled.")
        result = await venue.probe()
        check(fetch.only, "DELETE", FUTURES, f"{ORDERS}/100000000000000001", {}, None)
        assert result.refusal is None


async def test_the_probe_of_an_account_with_spot_only_is_made_there() -> None:
    """By an id as spot has them."""
    async with kucoin(slices=("spot",)) as (venue, fetch):
        fetch.default = refusal("400100", "order_not_exist_or_not_allow_to_cancel")
        result = await venue.probe()
        path = "/api/v1/hf/orders/sync/000000000000000000000001"
        check(fetch.only, "DELETE", SPOT, path, {"symbol": "BTC-USDT"}, None)
        assert result.refusal is None


async def test_keeping_warm_asks_both_hosts_for_their_time() -> None:
    """Unsigned; and from then on signatures carry the venue's time."""
    async with kucoin() as (venue, fetch):
        fetch.default = ok(1_800_000_000_000)
        await venue.keep_warm(1)
        assert fetch.lines == [("GET", SPOT, "/api/v1/timestamp"), ("GET", FUTURES, "/api/v1/timestamp")]
        assert not any("kc-api-sign" in each.headers for each in fetch.sent)
        await venue.execute(close())
        assert abs(int(fetch.sent[-1].headers["kc-api-timestamp"]) - 1_800_000_000_000) < 2_000


@pytest.mark.parametrize(("name", "host"), [("spot", SPOT), ("linear", FUTURES), ("inverse", FUTURES)])
async def test_only_hosts_in_use_are_kept_warm(name: str, host: str) -> None:
    """Nothing else is asked of the other one."""
    async with kucoin(slices=(name,)) as (venue, fetch):
        fetch.default = ok(1_800_000_000_000)
        await venue.keep_warm(2)
        assert fetch.lines == [("GET", host, "/api/v1/timestamp")] * 2


@pytest.mark.parametrize(("step", "host"), [(close(), FUTURES), (sell(), SPOT)])
async def test_a_timestamp_that_was_refused_has_the_clock_measured_on_the_same_host(step: Step, host: str) -> None:
    """The next request has it right."""
    async with kucoin() as (venue, fetch):
        fetch.default = ok(1_800_000_000_000)
        for path in (ORDERS, "/api/v1/hf/orders/sync"):
            fetch.answers[f"POST {path}"] = refusal("400002", "Invalid KC-API-TIMESTAMP", 400)
        await venue.execute(step)
        assert fetch.sent[-1].line == ("GET", host, "/api/v1/timestamp")
        assert venue.clock_offset_ms() is not None


async def test_nothing_of_a_brokers_is_sent() -> None:
    """ccxt names itself as a partner, if nobody stops it."""
    async with kucoin() as (venue, fetch):
        for step in (close(), sell(), cancel("1")):
            await venue.execute(step)
        for sent in fetch.sent:
            headers = venue._client.ccxt.prepare_request_headers(dict(sent.headers))
            assert "ccxt" not in json.dumps(headers).lower()
            assert "kc-api-partner" not in {name.lower() for name in headers}


CONTRACT = {
    "symbol": "XBTUSDTM",
    "expireDate": None,
    "baseCurrency": "XBT",
    "quoteCurrency": "USDT",
    "settleCurrency": "USDT",
    "maxOrderQty": 1_000_000,
    "marketMaxOrderQty": 300_000,
    "lotSize": 1,
    "tickSize": 0.1,
    "multiplier": 0.001,
    "isInverse": False,
    "status": "Open",
}
INVERSE = {**CONTRACT, "symbol": "XBTUSDM", "settleCurrency": "XBT", "isInverse": True, "multiplier": -1}
PAIR = {
    "symbol": "BTC-USDT",
    "baseCurrency": "BTC",
    "quoteCurrency": "USDT",
    "baseMinSize": "0.00001",
    "baseMaxSize": "10000000000",
    "baseIncrement": "0.00000001",
    "priceIncrement": "0.1",
    "minFunds": "0.1",
    "enableTrading": True,
}
KEY = {
    "remark": "node",
    "apiKey": "canary-key-000111",
    "apiVersion": 3,
    "permission": "General,Futures,Spot",
    "ipWhitelist": "203.0.113.7",
    "isMaster": True,
}


def arming(fetch: Any, **answers: Any) -> None:
    """What an account that is armed is told."""
    fetch.answers = {
        "/api/v1/contracts/active": ok([CONTRACT, INVERSE]),
        "/api/v2/symbols": ok([PAIR]),
        "/api/v1/timestamp": ok(1_800_000_000_000),
        "/api/ua/v1/account/mode": answers.get("mode", ok({"selfAccountMode": "CLASSIC"})),
        "/api/v1/user/api-key": answers.get("key", ok(KEY)),
        "/api/v1/hf/accounts/opened": answers.get("opened", ok(True)),
    }


async def test_arming_asks_for_markets_time_mode_and_rights_and_nothing_else() -> None:
    """No currencies, no fees, no mode of ccxt's own."""
    async with kucoin(warm_sockets=1) as (venue, fetch):
        venue._shelf.books.clear()
        arming(fetch)
        await venue.arm()
        assert sorted((each.host, each.path) for each in fetch.sent) == [
            (FUTURES, "/api/v1/contracts/active"),  # of both kinds
            (FUTURES, "/api/v1/timestamp"),
            (SPOT, "/api/ua/v1/account/mode"),
            (SPOT, "/api/v1/hf/accounts/opened"),
            (SPOT, "/api/v1/timestamp"),
            (SPOT, "/api/v1/user/api-key"),
            (SPOT, "/api/v2/symbols"),
        ]
        assert {each.method for each in fetch.sent} == {"GET"}
        signed = {each.path for each in fetch.sent if "kc-api-sign" in each.headers}
        assert signed == {"/api/ua/v1/account/mode", "/api/v1/hf/accounts/opened", "/api/v1/user/api-key"}
        facts = venue.key_facts
        assert facts is not None
        assert (facts.account, facts.may_trade, facts.may_withdraw, facts.bound_to_addresses) == (
            "classic",
            True,
            False,
            True,
        )
        assert venue.not_covered == ()


async def test_how_spot_is_traded_does_not_matter_to_contracts() -> None:
    """Not asked, and no obstacle."""
    async with kucoin(slices=("linear",), warm_sockets=1) as (venue, fetch):
        arming(fetch, opened=ok(False))
        await venue.arm()
        assert "/api/v1/hf/accounts/opened" not in {each.path for each in fetch.sent}
        assert venue.not_covered == ("spot", "inverse")


@pytest.mark.parametrize(
    ("permission", "trades", "withdraws", "opens"),
    [
        ("General", False, False, ()),
        ("General,Spot", True, False, ()),
        ("General, Futures", True, False, ()),
        ("General,Trade", True, False, ()),
        ("General,Transfer", False, True, ()),
        ("General,Withdrawal", False, True, ()),
        ("General,Withdraw", False, True, ()),
        ("General,Spot,Futures,Margin,InnerTransfer", True, False, ("margin", "isolated margin")),
    ],
)
async def test_rights_of_a_key(permission: str, trades: bool, withdraws: bool, opens: tuple[str, ...]) -> None:
    """As the venue lists them."""
    async with kucoin(warm_sockets=1) as (venue, fetch):
        arming(fetch, key=ok({**KEY, "permission": permission}))
        await venue.arm()
        facts = venue.key_facts
        assert facts is not None
        assert (facts.may_trade, facts.may_withdraw, facts.opens) == (trades, withdraws, opens)


@pytest.mark.parametrize(("shown", "bound"), [("", False), (None, False), ("203.0.113.7,203.0.113.8", True), (7, None)])
async def test_addresses_of_a_key(shown: Any, bound: bool | None) -> None:
    """None listed: any may use it."""
    async with kucoin(warm_sockets=1) as (venue, fetch):
        arming(fetch, key=ok({**KEY, "ipWhitelist": shown}))
        await venue.arm()
        assert venue.key_facts is not None
        assert venue.key_facts.bound_to_addresses is bound


@pytest.mark.parametrize(
    ("answers", "named"),
    [
        ({"mode": ok({"selfAccountMode": "UNIFIED"})}, "'unified'"),
        ({"opened": ok(False)}, "'classic, with spot of low frequency'"),
    ],
)
async def test_an_account_of_another_kind_than_is_covered_is_told_at_once(answers: dict[str, Any], named: str) -> None:
    """Its orders and coins would be looked for where they are not."""
    async with kucoin(warm_sockets=1) as (venue, fetch):
        arming(fetch, **answers)
        with pytest.raises(VenueDenied, match=f"{named} and not 'classic'"):
            await venue.arm()


@pytest.mark.parametrize(
    "answers",
    [
        {"mode": refusal("400007", "Access denied")},
        {"mode": ok({"selfAccountMode": "NEW"})},
        {"mode": ok({"masterAccountMode": "CLASSIC"})},
        {"mode": ok(None)},
        {"opened": ok(None)},
        {"opened": ok("true")},
        {"opened": refusal("400007", "Access denied")},
        {"key": refusal("400003", "KC-API-KEY not exists")},
        {"key": ok({"apiKey": "k"})},
        {"key": ok([])},
    ],
)
async def test_an_account_whose_kind_cannot_be_told_is_degraded(answers: dict[str, Any]) -> None:
    """Never guessed."""
    async with kucoin(warm_sockets=1) as (venue, fetch):
        arming(fetch, **answers)
        with pytest.raises((VenueDenied, VenueAnswerUnknown)):
            await venue.arm()


def test_what_configuration_may_say() -> None:
    """Slices, kinds of account; there is no test environment."""
    right: dict[str, Any] = {"exchange": "kucoin", "credentials": CREDENTIALS}
    assert factory.check(VenueOptions(**right)) == []
    assert factory.check(VenueOptions(**right, options={"account": "classic"})) == []
    assert factory.check(VenueOptions(**right, slices=("linear:USDT", "linear:USDC", "inverse", "spot"))) == []
    refused = factory.check(VenueOptions(**right, options={"account": "unified"}))
    assert any("cannot be proven flat" in each for each in refused)
    assert "no 'margin' account" in factory.check(VenueOptions(**right, options={"account": "margin"}))[0]
    assert factory.check(VenueOptions(**right, sandbox=True)) == ["sandbox: kucoin has no test environment"]
    assert "kucoin has no 'margin'" in factory.check(VenueOptions(**right, slices=("margin",)))[0]
    keys = {"apiKey": "k", "secret": "s"}
    assert factory.check(VenueOptions(exchange="kucoin", credentials=keys)) == ["credentials: password is missing"]
    with pytest.raises(ConfigError):
        factory._profile(VenueOptions(**right)).layout(("linear", "linear:USDT"))


# Streams


def ticket(endpoint: str = "wss://ws-api-spot.kucoin.com/", **more: Any) -> dict[str, Any]:
    """``POST bullet-private``."""
    server = {"endpoint": endpoint, "encrypt": True, "protocol": "websocket", "pingInterval": 18000}
    return {"code": "200000", "data": {"token": "2neA+i/Y==", "instanceServers": [server], **more}}


async def test_streams_are_one_of_spot_and_one_of_contracts() -> None:
    """Each by a token of its host."""
    async with kucoin() as (venue, fetch):
        streams = {each.name: each for each in venue._streams._streams}
        assert {name: each.slices for name, each in streams.items()} == {
            "spot": ("spot",),
            "futures": ("linear", "inverse"),
        }
        for each in streams.values():
            assert each.ticket is not None
            await venue._client.attempt(each.ticket)
        assert fetch.lines == [("POST", SPOT, "/api/v1/bullet-private"), ("POST", FUTURES, "/api/v1/bullet-private")]
        for sent in fetch.sent:
            check(sent, "POST", sent.host, sent.path, {}, sent.document)
            assert sent.params == {}
        url = streams["spot"].url(ticket())
        assert url == "wss://ws-api-spot.kucoin.com/?token=2neA%2Bi%2FY%3D%3D&connectId=node"


@pytest.mark.parametrize(
    "given",
    [
        ticket("wss://kucoin.example.org/"),
        ticket("wss://ws-api.kucoin.com.example.org/"),
        ticket("wss://evilkucoin.com/"),
        ticket("ws://ws-api-spot.kucoin.com/"),
        ticket(instanceServers=[]),
        ticket(token=""),
        {"code": "400003", "msg": "no"},
        {},
    ],
)
async def test_a_token_is_given_to_nobody_else(given: Any) -> None:
    """Whatever the answer names."""
    async with kucoin() as (venue, _):
        stream = venue._streams._streams[0]
        with pytest.raises(VenueAnswerUnknown):
            stream.url(given)


async def test_what_a_stream_says() -> None:
    """Topics after the welcome; confirmed by the last of them; hints for the slices that it tells of."""
    async with kucoin() as (venue, _):
        spot, futures = venue._streams._streams
        hear = futures.hear
        wanted = [json.loads(each) for each in hear({"id": "node", "type": "welcome"}).reply]
        assert [(each["type"], each["topic"], each["privateChannel"], each["response"]) for each in wanted] == [
            ("subscribe", "/contractAccount/wallet", True, True),
            ("subscribe", "/contractMarket/advancedOrders", True, True),
            ("subscribe", "/contract/positionAll", True, True),
            ("subscribe", "/contractMarket/tradeOrders", True, True),
        ]
        first, *_, last = wanted
        assert not hear({"id": first["id"], "type": "ack"}).confirmed
        assert hear({"id": last["id"], "type": "ack"}).confirmed
        message = {"topic": "/contract/position:XBTUSDM", "type": "message", "subject": "position.change"}
        assert hear({**message, "data": {"settleCurrency": "XBT"}}).changed == ("inverse",)
        assert hear({**message, "data": {"settleCurrency": "USDT"}}).changed == ("linear",)
        assert hear({**message, "data": {"orderId": "1"}}).changed == ("linear", "inverse")
        assert hear({"type": "pong", "id": "ping"}).changed == ()
        assert hear({"type": "error", "code": 404, "data": "topic is not found"}).over is not None
        with pytest.raises(VenueAnswerUnknown):
            hear([])
        topics = [json.loads(each)["topic"] for each in spot.hear({"type": "welcome"}).reply]
        assert topics == ["/account/balance", "/spotMarket/advancedOrders", "/spotMarket/tradeOrdersV2"]
        assert spot.hear({"type": "message", "topic": "/account/balance", "data": {}}).changed == ("spot",)
        assert json.loads(spot.ping or "")["type"] == "ping"


def test_every_charge_has_a_budget() -> None:
    """A call that nobody can account for would fail in the middle of an emergency."""
    profile = factory._profile(VenueOptions(exchange="kucoin", credentials=CREDENTIALS))
    layout = profile.layout(None)
    asked = [call for part in layout.slices for call in profile.reads(part).all]
    asked += [call for kind in MarketKind if kind is not MarketKind.MARGIN for call in profile.market_calls(kind)]
    kinds = {"spot": MarketKind.SPOT, "linear": MarketKind.LINEAR, "inverse": MarketKind.INVERSE}
    asked += [call for step, *_ in STEPS.values() for call in profile.calls(step, kinds[step.slice])]
    asked += [*profile.key_calls(), *profile.clock_calls(layout), profile.order_call(sell(), MarketKind.SPOT)]
    asked += [stream.ticket for stream in profile.streams(layout, sandbox=False) if stream.ticket is not None]
    assert all(call.charges for call in asked)
    assert {charge.bucket for call in asked for charge in call.charges} <= set(profile.budgets)
