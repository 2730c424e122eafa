"""Every request that the Bybit profile makes, exactly as it leaves the real ccxt class.

Written by hand from https://bybit-exchange.github.io/docs/v5 (order, position, account, user, market, asset/convert).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from node.domain.snapshot import PositionSide
from node.domain.steps import CancelOrders, ConvertAsset, Outcome, Refusal, RepayDebt, Step
from node.errors import VenueAnswerUnknown, VenueDenied
from node.venues import factory
from node.venues.conversion import Offer
from node.venues.options import VenueOptions
from node.venues.profiles.bybit.profile import BybitProfile
from tests.support.bybit import empty, fault, ok, page, signed
from tests.support.venue import (
    CREDENTIALS,
    Answer,
    cancel_orders,
    cancel_symbol,
    close_position,
    recorded_venue,
    sell_spot,
)

HOST = "api.bybit.com"
ID = "sabcdefgh234567abc"


def a_close(**changes: Any) -> dict[str, Any]:
    """What closes the long of ``close_position``."""
    return {
        "category": "linear",
        "symbol": "BTCUSDT",
        "side": "Sell",
        "orderType": "Market",
        "qty": "0.015",
        "positionIdx": 0,
        "reduceOnly": True,
        "orderLinkId": ID,
        **changes,
    }


def inverse_cancel(*ids: str, trigger: bool = False) -> CancelOrders:
    """Cancelling on an inverse market."""
    return CancelOrders(slice="inverse", symbol="BTC/USD:BTC", market_id="BTCUSD", order_ids=ids, trigger=trigger)


LIMITED = {"orderType": "Limit", "price": "60800.10", "timeInForce": "IOC"}
STEPS: dict[str, tuple[Step, str, dict[str, Any]]] = {
    "close one-way long": (close_position(), "create", a_close()),
    "close one-way short": (
        close_position(side=PositionSide.SHORT, contracts=Decimal("1E+6")),
        "create",
        a_close(side="Buy", qty="1000000"),
    ),
    "close hedged long": (close_position(hedged=True), "create", a_close(positionIdx=1)),
    "close hedged short": (
        close_position(hedged=True, side=PositionSide.SHORT),
        "create",
        a_close(side="Buy", positionIdx=2),
    ),
    "close isolated": (close_position(isolated=True), "create", a_close()),
    "close within a price": (close_position(limit_price=Decimal("60800.10")), "create", a_close(**LIMITED)),
    "close hedged within a price": (
        close_position(limit_price=Decimal("60800.10"), hedged=True),
        "create",
        a_close(**LIMITED, positionIdx=1),
    ),
    "close USDC-settled": (close_position(market_id="BTCPERP"), "create", a_close(symbol="BTCPERP")),
    "close inverse": (
        close_position(slice="inverse", market_id="BTCUSD", contracts=Decimal(250)),
        "create",
        a_close(category="inverse", symbol="BTCUSD", qty="250"),
    ),
    "sell spot": (
        sell_spot(),
        "create",
        {
            "category": "spot",
            "symbol": "BTCUSDT",
            "side": "Sell",
            "orderType": "Limit",
            "qty": "0.50000",
            "price": "60000.01",
            "timeInForce": "IOC",
            "isLeverage": 0,
            "orderLinkId": ID,
        },
    ),
    "cancel one": (cancel_orders("11"), "cancel", {"category": "linear", "symbol": "BTCUSDT", "orderId": "11"}),
    "cancel one trigger": (
        cancel_orders("77", trigger=True),
        "cancel",
        {"category": "linear", "symbol": "BTCUSDT", "orderId": "77"},
    ),
    "cancel several": (
        cancel_orders("11", "12"),
        "cancel-batch",
        {
            "category": "linear",
            "request": [{"symbol": "BTCUSDT", "orderId": "11"}, {"symbol": "BTCUSDT", "orderId": "12"}],
        },
    ),
    "cancel one inverse": (
        inverse_cancel("11"),
        "cancel",
        {"category": "inverse", "symbol": "BTCUSD", "orderId": "11"},
    ),
    "cancel one on spot": (
        cancel_orders("11", slice_name="spot"),
        "cancel",
        {"category": "spot", "symbol": "BTCUSDT", "orderId": "11", "orderFilter": "Order"},
    ),
    "cancel one of spot's conditional orders": (
        cancel_orders("tpslOrder:11", slice_name="spot", trigger=True),
        "cancel",
        {"category": "spot", "symbol": "BTCUSDT", "orderId": "11", "orderFilter": "tpslOrder"},
    ),
    "sweep": (
        cancel_symbol(),
        "cancel-all",
        {"category": "linear", "symbol": "BTCUSDT", "orderFilter": "Order"},
    ),
    "sweep triggers": (
        cancel_symbol(trigger=True),
        "cancel-all",
        {"category": "linear", "symbol": "BTCUSDT", "orderFilter": "StopOrder"},
    ),
    "sweep spot": (
        cancel_symbol("spot"),
        "cancel-all",
        {"category": "spot", "symbol": "BTCUSDT", "orderFilter": "Order"},
    ),
}


@pytest.mark.parametrize("name", STEPS)
async def test_a_step_is_one_request_with_the_documented_parameters_and_nothing_else(name: str) -> None:
    """No hidden call before it, no broker id, no parameter of ccxt's own."""
    step, endpoint, document = STEPS[name]
    async with recorded_venue(exchange="bybit") as (venue, fetch):
        await venue.execute(step)
        assert fetch.only.line == ("POST", HOST, f"/v5/order/{endpoint}")
        assert fetch.only.document == document
        assert [type(fetch.only.document[key]) for key in document] == [type(value) for value in document.values()]
        assert signed(fetch.only)
        assert set(fetch.only.headers) == {
            "content-type",
            *("x-bapi-api-key", "x-bapi-timestamp", "x-bapi-recv-window", "x-bapi-sign"),
        }, "no Referer: that is a broker's"


async def test_a_sweep_of_spots_conditional_orders_asks_each_of_their_books() -> None:
    """Without a filter only plain orders would go."""
    async with recorded_venue(exchange="bybit") as (venue, fetch):
        await venue.execute(cancel_symbol("spot", trigger=True))
        assert {each.path for each in fetch.sent} == {"/v5/order/cancel-all"}
        assert {each.document["orderFilter"] for each in fetch.sent} == {
            *("Order", "tpslOrder", "StopOrder", "OcoOrder", "BidirectionalTpslOrder")
        }
        assert {each.document["symbol"] for each in fetch.sent} == {"BTCUSDT"}


async def test_many_cancels_go_in_batches_of_ten_that_leave_together() -> None:
    """One page says twenty, another ten."""
    ids = [str(number) for number in range(100, 123)]
    async with recorded_venue(exchange="bybit") as (venue, fetch):
        await venue.execute(cancel_orders(*ids))
        batches = [each.document["request"] for each in fetch.sent]
        assert [len(each) for each in batches] == [10, 10, 3]
        assert [order["orderId"] for each in batches for order in each] == ids


@pytest.mark.parametrize(
    "step", [cancel_orders("1", "2", "3", slice_name="spot"), inverse_cancel("1", "2", "3")], ids=["spot", "inverse"]
)
async def test_where_not_every_account_has_batches_each_order_is_cancelled_by_itself(step: Step) -> None:
    """Demo trading and unified 1.0 have none."""
    async with recorded_venue(exchange="bybit") as (venue, fetch):
        await venue.execute(step)
        assert {each.path for each in fetch.sent} == {"/v5/order/cancel"}
        assert sorted(each.document["orderId"] for each in fetch.sent) == ["1", "2", "3"]


async def test_a_debt_is_repaid_from_what_is_held_by_a_named_amount() -> None:
    """Nothing is converted; a zero might mean everything, and is never sent."""
    async with recorded_venue(exchange="bybit") as (venue, fetch):
        fetch.default = ok(resultStatus="SU")
        done = await venue.execute(RepayDebt(slice="spot", asset="BTC", amount=Decimal("1E-8")))
        assert done.outcome is Outcome.DONE
        assert fetch.only.line == ("POST", HOST, "/v5/account/no-convert-repay")
        assert fetch.only.document == {"coin": "BTC", "amount": "0.00000001"}
        nothing = await venue.execute(RepayDebt(slice="spot", asset="BTC", amount=Decimal(0)))
        elsewhere = await venue.execute(RepayDebt(slice="linear", asset="BTC", amount=Decimal(1)))
        assert nothing.sent_ns is elsewhere.sent_ns is None
        assert len(fetch.sent) == 1


CONVERT = ConvertAsset(slice="spot", asset="BTC", into="USDT", quantity=Decimal("1E-5"), least_received=Decimal("0.5"))


async def test_a_conversion_asks_accepts_and_looks() -> None:
    """Of the unified wallet's coin, for no more than was named."""
    quote = {"quoteTxId": "10100", "fromCoin": "BTC", "toCoin": "USDT", "fromAmount": "0.00001", "toAmount": "0.6"}
    async with recorded_venue(exchange="bybit") as (venue, fetch):
        fetch.answers = {
            "/v5/asset/exchange/quote-apply": ok(**quote),
            "/v5/asset/exchange/convert-execute": ok(quoteTxId="10100", exchangeStatus="processing"),
            "/v5/asset/exchange/convert-result-query": ok(result={"exchangeStatus": "success"}),
        }
        assert (await venue.execute(CONVERT)).outcome is Outcome.DONE
        ask, accept, look = fetch.sent
        assert ask.document == {
            "accountType": "eb_convert_uta",
            "fromCoin": "BTC",
            "toCoin": "USDT",
            "requestCoin": "BTC",
            "requestAmount": "0.00001",
        }
        assert accept.document == {"quoteTxId": "10100"}
        assert (look.method, look.params) == ("GET", {"quoteTxId": "10100", "accountType": "eb_convert_uta"})
        fetch.sent.clear()
        fetch.answers["/v5/asset/exchange/quote-apply"] = ok(**quote | {"toAmount": "0.4"})
        assert (await venue.execute(CONVERT)).refusal is Refusal.PRICE_BAND
        assert len(fetch.sent) == 1


@pytest.mark.parametrize(
    "change",
    [{"fromAmount": "0.00002"}, {"fromCoin": "ETH"}, {"toCoin": "USDC"}, {"toAmount": "0"}, {"quoteTxId": ""}],
    ids=str,
)
def test_an_offer_for_something_else_is_none(change: dict[str, str]) -> None:
    """More, of another coin, or without an id."""
    quote = {"quoteTxId": "1", "fromCoin": "BTC", "toCoin": "USDT", "fromAmount": "0.00001", "toAmount": "0.6"}
    profile = BybitProfile()
    assert profile.offer(CONVERT, {"retCode": 0, "result": quote}) == Offer(offer_id="1", received=Decimal("0.6"))
    with pytest.raises(VenueAnswerUnknown):
        profile.offer(CONVERT, {"retCode": 0, "result": quote | change})


ORDERS = {"openOnly": "0", "limit": "50"}
USDT = {"category": "linear", "settleCoin": "USDT"}
USDC = {"category": "linear", "settleCoin": "USDC"}
BALANCES = ("/v5/account/wallet-balance", {"accountType": "UNIFIED"})
READS: dict[str, list[tuple[str, dict[str, str]]]] = {
    "linear": [
        ("/v5/order/realtime", {**USDT, **ORDERS}),
        ("/v5/order/realtime", {**USDC, **ORDERS}),
        ("/v5/order/realtime", {**USDT, **ORDERS}),
        ("/v5/order/realtime", {**USDC, **ORDERS}),
        ("/v5/position/list", {**USDT, "limit": "200"}),
        ("/v5/position/list", {**USDC, "limit": "200"}),
        BALANCES,
    ],
    "linear:USDC": [
        ("/v5/order/realtime", {**USDC, **ORDERS}),
        ("/v5/order/realtime", {**USDC, **ORDERS}),
        ("/v5/position/list", {**USDC, "limit": "200"}),
        BALANCES,
    ],
    "inverse": [
        ("/v5/order/realtime", {"category": "inverse", **ORDERS}),
        ("/v5/order/realtime", {"category": "inverse", **ORDERS}),
        ("/v5/position/list", {"category": "inverse", "limit": "200"}),
        BALANCES,
    ],
    "spot": [
        ("/v5/order/realtime", {"category": "spot", **ORDERS}),
        ("/v5/order/realtime", {"category": "spot", **ORDERS}),
        BALANCES,
    ],
}


@pytest.mark.parametrize("name", READS)
async def test_a_proof_reads_triggers_then_orders_then_positions_and_balances(name: str) -> None:
    """Every settle coin, whole lists without a symbol, pages as large as they can be."""
    async with recorded_venue(exchange="bybit", slices=(name,)) as (venue, fetch):
        empty(fetch, name)
        snapshot = await venue.read_proof(name)
        asked = [(each.path, each.params) for each in fetch.sent]
        last = len([path for path, _ in asked if path == "/v5/order/realtime"])
        assert asked[:last] == READS[name][:last]
        assert sorted(asked[last:], key=str) == sorted(READS[name][last:], key=str)
        assert all(each.method == "GET" and each.host == HOST and signed(each) for each in fetch.sent)
        assert snapshot.causal


async def test_a_read_of_positions_asks_for_each_settle_coin() -> None:
    """ccxt would ask for USDT alone."""
    async with recorded_venue(exchange="bybit") as (venue, fetch):
        empty(fetch, "linear")
        await venue.read_positions("linear")
        assert [(each.path, each.params) for each in fetch.sent] == READS["linear"][4:6]


async def test_a_cursor_is_followed_to_the_end_as_the_venue_has_written_it() -> None:
    """Escaped by the venue, and no more than that on the way back; also from a page that is not full."""
    cursor = "page_args%3Dfd4300ae%26symbol%3D6%26"
    row = {"symbol": "BTCUSDT", "side": "Buy", "size": "1", "positionIdx": 0, "markPrice": "1"}
    async with recorded_venue(exchange="bybit", slices=("linear:USDT",)) as (venue, fetch):
        pages = [page("linear", row, cursor=cursor), page("linear", row | {"symbol": "ETHUSDT"}, cursor="x")]
        fetch.in_turn = iter([*pages, page("linear")])
        assert len((await venue.read_positions("linear:USDT")).positions) == 2
        assert fetch.sent[1].raw == f"category=linear&settleCoin=USDT&limit=200&cursor={cursor}"
        assert signed(fetch.sent[1])
        assert [each.params.get("cursor") for each in fetch.sent] == [None, "page_args=fd4300ae&symbol=6&", "x"]


def ticker(symbol: str, bid: str = "10", ask: str = "11") -> dict[str, str]:
    """Best prices."""
    return {"symbol": symbol, "bid1Price": bid, "ask1Price": ask}


async def test_quotes_are_one_unsigned_request_for_each_of_a_few() -> None:
    """A market that nobody bids in has none."""
    async with recorded_venue(exchange="bybit") as (venue, fetch):
        fetch.in_turn = iter([page("spot", ticker("BTCUSDT")), page("spot", ticker("ETHUSDT", bid=""))])
        quotes = await venue.quotes(["ETH/USDT", "BTC/USDT", "NOT/LISTED"])
        assert [(each.line, each.params) for each in fetch.sent] == [
            (("GET", HOST, "/v5/market/tickers"), {"category": "spot", "symbol": symbol})
            for symbol in ("BTCUSDT", "ETHUSDT")
        ]
        assert not any(signed(each) for each in fetch.sent)
        assert set(quotes) == {"BTC/USDT"}
        assert (quotes["BTC/USDT"].bid, quotes["BTC/USDT"].ask) == (Decimal(10), Decimal(11))


async def test_quotes_that_were_asked_for_and_are_not_told_are_not_nothing() -> None:
    """Or a balance would be called unsellable because of somebody else's answer."""
    async with recorded_venue(exchange="bybit") as (venue, fetch):
        fetch.default = page("spot", ticker("ETHUSDT"))
        with pytest.raises(VenueAnswerUnknown, match="BTCUSDT"):
            await venue.quotes(["BTC/USDT"])


async def test_all_quotes_are_asked_for_where_the_venue_knows_one_of_the_names_no_more() -> None:
    """One market that was delisted must not keep the others from being sold."""
    gone = fault(10001, "Not supported symbols")
    async with recorded_venue(exchange="bybit") as (venue, fetch):
        fetch.in_turn = iter([gone, page("spot", ticker("ETHUSDT")), page("spot", ticker("ETHUSDT"))])
        assert set(await venue.quotes(["ETH/USDT", "BTC/USDT"])) == {"ETH/USDT"}
        assert fetch.sent[-1].params == {"category": "spot"}


async def test_an_ambiguous_sale_is_looked_up_by_client_id() -> None:
    """Whatever has become of it: by an id the list also shows what is over."""
    async with recorded_venue(exchange="bybit") as (venue, fetch):
        await venue.filled(sell_spot())
        assert fetch.only.line == ("GET", HOST, "/v5/order/realtime")
        assert fetch.only.params == {"category": "spot", "symbol": "BTCUSDT", "orderLinkId": ID}
        assert signed(fetch.only)


async def test_the_probe_cancels_an_order_that_cannot_exist() -> None:
    """On a derivative market, by a client id that no order of ours can have."""
    async with recorded_venue(exchange="bybit") as (venue, fetch):
        await venue.probe()
        assert fetch.only.line == ("POST", HOST, "/v5/order/cancel")
        assert fetch.only.document == {
            "category": "linear",
            "symbol": "BTCUSDT",
            "orderLinkId": "sovereign-node-probe",
        }


TIME = ok(timeSecond="1800000000", timeNano="1800000000123456789")


async def test_keeping_warm_asks_the_host_for_its_time_once_a_socket() -> None:
    """Unsigned; requests are then signed by that clock."""
    async with recorded_venue(exchange="bybit") as (venue, fetch):
        fetch.default = TIME
        await venue.keep_warm(3)
        assert fetch.lines == [("GET", HOST, "/v5/market/time")] * 3
        assert not any(signed(each) for each in fetch.sent)
        await venue.execute(cancel_symbol())
        assert -50 < int(fetch.sent[-1].headers["x-bapi-timestamp"]) - 1_800_000_000_123 < 2_000


def key(**changes: Any) -> Answer:
    """What the venue says of a key."""
    rights = {"ContractTrade": ["Order", "Position"], "Spot": ["SpotTrade"], "Wallet": ["AccountTransfer"]}
    return ok(**{"readOnly": 0, "permissions": rights, "ips": ["192.0.2.1"], "uta": 1, **changes})


def listed(**changes: Any) -> dict[str, Any]:
    """A linear market."""
    return {
        "symbol": "BTCUSDT",
        "contractType": "LinearPerpetual",
        "status": "Trading",
        "baseCoin": "BTC",
        "quoteCoin": "USDT",
        "settleCoin": "USDT",
        "deliveryTime": "0",
        "priceFilter": {"tickSize": "0.10"},
        "lotSizeFilter": {"maxOrderQty": "1190", "minOrderQty": "0.001", "qtyStep": "0.001", "maxMktOrderQty": "500"},
        **changes,
    }


async def test_arming_asks_for_markets_time_and_the_key_and_nothing_else() -> None:
    """The three lists of contracts, page by page; no currencies, no options."""
    async with recorded_venue(exchange="bybit", slices=("linear",), warm_sockets=1) as (venue, fetch):
        venue._shelf.books.clear()
        early = listed(symbol="NEWUSDT", baseCoin="NEW", status="PreLaunch")
        lists = {
            "": page("linear", listed(), cursor="c1"),
            "c1": page("linear", listed(symbol="ETHUSDT", baseCoin="ETH")),
            "PreLaunch": page("linear", early),
            "Delivering": page("linear", listed(symbol="BCHUSDT", baseCoin="BCH", status="Delivering")),
        }

        def instruments() -> Any:
            params = fetch.sent[-1].params
            return fetch.exchange.parse_json(lists[params.get("status", params.get("cursor", ""))].body)

        fetch.answers = {
            "/v5/market/instruments-info": instruments,
            "/v5/market/time": TIME,
            "/v5/user/query-api": key(),
            "/v5/account/info": ok(unifiedMarginStatus=6),
        }
        await venue.arm()
        base = {"category": "linear", "limit": "1000"}
        asked = [each.params for each in fetch.sent if each.path == "/v5/market/instruments-info"]
        assert sorted(asked, key=str) == sorted(
            [base, {**base, "cursor": "c1"}, *({**base, "status": each} for each in ("PreLaunch", "Delivering"))],
            key=str,
        )
        others = sorted(each.path for each in fetch.sent if each.path != "/v5/market/instruments-info")
        assert others == ["/v5/account/info", "/v5/market/time", "/v5/user/query-api"]
        assert all(signed(each) for each in fetch.sent if each.path in ("/v5/account/info", "/v5/user/query-api"))
        assert {name for name, rules in venue.rules("linear").items() if rules.trading} == {
            "BTC/USDT:USDT",
            "ETH/USDT:USDT",
        }
        assert {"NEW/USDT:USDT", "BCH/USDT:USDT"} <= venue.rules("linear").keys()
        facts = venue.key_facts
        assert facts is not None
        assert (facts.may_trade, facts.may_withdraw, facts.bound_to_addresses, facts.account) == (
            *(True, False, True),
            "unified",
        )
        assert venue.not_covered == ("spot", "inverse")


@pytest.mark.parametrize(
    ("status", "armed", "left_out"),
    [(1, False, ()), (3, True, ("inverse wallet (unified 1.0)",)), (5, True, ()), (9, False, ()), (None, False, ())],
)
async def test_the_kind_of_account_is_the_venues_word(status: object, armed: bool, left_out: tuple[str, ...]) -> None:
    """A classic account, or one that nobody knows, degrades loudly."""
    async with recorded_venue(exchange="bybit", warm_sockets=1) as (venue, fetch):
        fetch.answers = {
            "/v5/market/time": TIME,
            "/v5/user/query-api": key(),
            "/v5/account/info": ok(unifiedMarginStatus=status),
        }
        if armed:
            await venue.arm()
            assert venue.not_covered == left_out
        else:
            with pytest.raises((VenueDenied, VenueAnswerUnknown)):
                await venue.arm()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"readOnly": 1}, (False, False, True, ())),
        ({"ips": ["*"]}, (True, False, False, ())),
        ({"permissions": {"Wallet": ["Withdraw"]}}, (False, True, True, ())),
        ({"permissions": {"Derivatives": ["DerivativesTrade"]}}, (True, False, True, ())),
        ({"permissions": {"Options": ["OptionsTrade"]}}, (False, False, True, ("options",))),
    ],
    ids=str,
)
def test_a_keys_rights(change: dict[str, Any], told: tuple[Any, ...]) -> None:
    """By the venue's names."""
    profile = BybitProfile()
    rights, _ = profile.key_calls()
    document = {
        "retCode": 0,
        "result": {"readOnly": 0, "ips": ["192.0.2.1"], "permissions": {"Spot": ["SpotTrade"]}, **change},
    }
    facts = profile.key_facts(rights, document)
    assert (facts.may_trade, facts.may_withdraw, facts.bound_to_addresses, facts.opens) == told


@pytest.mark.parametrize(
    ("options", "sandbox", "host", "stream"),
    [
        ({}, True, "api-testnet.bybit.com", "stream-testnet.bybit.com"),
        ({"enableDemoTrading": True}, True, "api-demo.bybit.com", "stream-demo.bybit.com"),
        ({"hostname": "bybit.kz"}, False, "api.bybit.kz", "stream.bybit.kz"),
        ({"hostname": "bybit.eu"}, False, "api.bybit.eu", "stream.bybit.com"),
    ],
)
async def test_the_account_is_asked_where_it_is(options: dict[str, Any], sandbox: bool, host: str, stream: str) -> None:
    """The testnet, demo trading, or a site of its own."""
    async with recorded_venue(exchange="bybit", options=options, sandbox=sandbox) as (venue, fetch):
        await venue.execute(close_position())
        assert fetch.only.host == host
        (private,) = venue._streams._streams
        assert private.url(None) == f"wss://{stream}/v5/private"


@pytest.mark.parametrize(
    ("options", "sandbox", "word"),
    [
        ({"account": "classic"}, False, "classic"),
        ({"hostname": "bybit.example"}, False, "hostname"),
        ({"enableDemoTrading": True}, False, "sandbox"),
        ({"enableDemoTrading": "yes"}, True, "enableDemoTrading"),
        ({"recvWindow": 60_000}, False, "recvWindow"),
    ],
)
def test_what_is_not_there_is_refused_before_anything_is_connected(
    options: dict[str, Any], sandbox: bool, word: str
) -> None:
    """With what would be right."""
    given = VenueOptions(exchange="bybit", credentials=CREDENTIALS, options=options, sandbox=sandbox)
    assert any(word in fault for fault in factory.check(given))
    assert factory.check(VenueOptions(exchange="bybit", credentials=CREDENTIALS, options={"account": "unified"})) == []
