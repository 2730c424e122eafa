"""Every request that the Binance profile makes, exactly as it leaves the real ccxt class."""

from __future__ import annotations

import hashlib
import hmac
from decimal import Decimal
from typing import Any

import pytest

from node.domain.snapshot import PositionSide
from node.domain.steps import BuyToRepay, ConvertAsset, RepayDebt, Step
from node.errors import VenueAnswerUnknown
from tests.support.venue import (
    CREDENTIALS,
    answer,
    cancel_orders,
    cancel_symbol,
    close_position,
    error,
    recorded_venue,
    sell_spot,
)

ALL = ("spot", "linear", "inverse", "margin")
SPOT, USD_M, COIN_M = "api.binance.com", "fapi.binance.com", "dapi.binance.com"
ID = "sabcdefgh234567abc"
ORDER = {"newClientOrderId": ID, "newOrderRespType": "RESULT"}

STEPS: dict[str, tuple[Step, str, str, str, dict[str, str]]] = {
    "close one-way long": (
        close_position(),
        "POST",
        USD_M,
        "/fapi/v1/order",
        {"symbol": "BTCUSDT", "side": "SELL", "type": "MARKET", "quantity": "0.015", "reduceOnly": "true", **ORDER},
    ),
    "close one-way short": (
        close_position(side=PositionSide.SHORT, contracts=Decimal("1E+6")),
        "POST",
        USD_M,
        "/fapi/v1/order",
        {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "1000000", "reduceOnly": "true", **ORDER},
    ),
    "close hedged long": (
        close_position(hedged=True),
        "POST",
        USD_M,
        "/fapi/v1/order",
        {"symbol": "BTCUSDT", "side": "SELL", "type": "MARKET", "quantity": "0.015", "positionSide": "LONG", **ORDER},
    ),
    "close hedged short": (
        close_position(hedged=True, side=PositionSide.SHORT),
        "POST",
        USD_M,
        "/fapi/v1/order",
        {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.015", "positionSide": "SHORT", **ORDER},
    ),
    "close within a price": (
        close_position(limit_price=Decimal("60800.10")),
        "POST",
        USD_M,
        "/fapi/v1/order",
        {
            "symbol": "BTCUSDT",
            "side": "SELL",
            "type": "LIMIT",
            "timeInForce": "IOC",
            "price": "60800.10",
            "quantity": "0.015",
            "reduceOnly": "true",
            **ORDER,
        },
    ),
    "close coin-margined": (
        close_position(slice="inverse", market_id="BTCUSD_PERP", contracts=Decimal(250)),
        "POST",
        COIN_M,
        "/dapi/v1/order",
        {"symbol": "BTCUSD_PERP", "side": "SELL", "type": "MARKET", "quantity": "250", "reduceOnly": "true", **ORDER},
    ),
    "sell spot": (
        sell_spot(),
        "POST",
        SPOT,
        "/api/v3/order",
        {
            "symbol": "BTCUSDT",
            "side": "SELL",
            "type": "LIMIT",
            "timeInForce": "IOC",
            "quantity": "0.50000",
            "price": "60000.01",
            **ORDER,
        },
    ),
    "cancel one": (
        cancel_orders("11"),
        "DELETE",
        USD_M,
        "/fapi/v1/order",
        {"symbol": "BTCUSDT", "orderId": "11"},
    ),
    "cancel several": (
        cancel_orders("11", "12"),
        "DELETE",
        USD_M,
        "/fapi/v1/batchOrders",
        {"symbol": "BTCUSDT", "orderIdList": "[11,12]"},
    ),
    "cancel several coin-margined": (
        cancel_orders("11", "12", slice_name="inverse"),
        "DELETE",
        COIN_M,
        "/dapi/v1/batchOrders",
        {"symbol": "BTCUSD_PERP", "orderIdList": "[11,12]"},
    ),
    "cancel one trigger": (
        cancel_orders("77", trigger=True),
        "DELETE",
        USD_M,
        "/fapi/v1/algoOrder",
        {"symbol": "BTCUSDT", "algoId": "77"},
    ),
    "cancel one coin-margined trigger": (
        cancel_orders("77", slice_name="inverse", trigger=True),
        "DELETE",
        COIN_M,
        "/dapi/v1/algoOrder",
        {"symbol": "BTCUSD_PERP", "algoId": "77"},
    ),
    "cancel one on spot": (
        cancel_orders("11", slice_name="spot"),
        "DELETE",
        SPOT,
        "/api/v3/order",
        {"symbol": "BTCUSDT", "orderId": "11"},
    ),
    "sweep": (cancel_symbol(), "DELETE", USD_M, "/fapi/v1/allOpenOrders", {"symbol": "BTCUSDT"}),
    "sweep triggers": (
        cancel_symbol(trigger=True),
        "DELETE",
        USD_M,
        "/fapi/v1/algoOpenOrders",
        {"symbol": "BTCUSDT"},
    ),
    "sweep coin-margined": (
        cancel_symbol("inverse"),
        "DELETE",
        COIN_M,
        "/dapi/v1/allOpenOrders",
        {"symbol": "BTCUSD_PERP"},
    ),
    "sweep coin-margined triggers": (
        cancel_symbol("inverse", trigger=True),
        "DELETE",
        COIN_M,
        "/dapi/v1/algoOpenOrders",
        {"symbol": "BTCUSD_PERP"},
    ),
    "sell from margin": (
        sell_spot(slice="margin"),
        "POST",
        SPOT,
        "/sapi/v1/margin/order",
        {
            "symbol": "BTCUSDT",
            "isIsolated": "FALSE",
            "side": "SELL",
            "type": "LIMIT",
            "timeInForce": "IOC",
            "quantity": "0.50000",
            "price": "60000.01",
            "sideEffectType": "NO_SIDE_EFFECT",
            **ORDER,
        },
    ),
    "buy what is owed": (
        BuyToRepay(
            slice="margin",
            symbol="BTC/USDT",
            market_id="BTCUSDT",
            asset="BTC",
            quantity=Decimal("1E-3"),
            limit_price=Decimal("66000.0"),
            client_order_id=ID,
        ),
        "POST",
        SPOT,
        "/sapi/v1/margin/order",
        {
            "symbol": "BTCUSDT",
            "isIsolated": "FALSE",
            "side": "BUY",
            "type": "LIMIT",
            "timeInForce": "IOC",
            "quantity": "0.001",
            "price": "66000.0",
            "sideEffectType": "NO_SIDE_EFFECT",
            **ORDER,
        },
    ),
    "repay": (
        RepayDebt(slice="margin", asset="BTC", amount=Decimal("1E-8")),
        "POST",
        SPOT,
        "/sapi/v1/margin/borrow-repay",
        {"asset": "BTC", "isIsolated": "FALSE", "amount": "0.00000001", "type": "REPAY"},
    ),
    "cancel one in margin": (
        cancel_orders("11", slice_name="margin"),
        "DELETE",
        SPOT,
        "/sapi/v1/margin/order",
        {"symbol": "BTCUSDT", "isIsolated": "FALSE", "orderId": "11"},
    ),
    "sweep margin": (
        cancel_symbol("margin"),
        "DELETE",
        SPOT,
        "/sapi/v1/margin/openOrders",
        {"symbol": "BTCUSDT", "isIsolated": "FALSE"},
    ),
    "ask for a conversion": (
        ConvertAsset(slice="spot", asset="BTC", into="USDT", quantity=Decimal("1E-5"), least_received=Decimal("0.5")),
        "POST",
        SPOT,
        "/sapi/v1/convert/getQuote",
        {
            "fromAsset": "BTC",
            "toAsset": "USDT",
            "fromAmount": "0.00001",
            "walletType": "SPOT",
            "validTime": "10s",
        },
    ),
    "sweep spot": (cancel_symbol("spot"), "DELETE", SPOT, "/api/v3/openOrders", {"symbol": "BTCUSDT"}),
}


@pytest.mark.parametrize("name", STEPS)
async def test_a_step_is_one_request_with_the_documented_parameters_and_nothing_else(name: str) -> None:
    """No hidden call before it, no broker id, no parameter of ccxt's own."""
    step, method, host, path, params = STEPS[name]
    async with recorded_venue(slices=ALL) as (venue, fetch):
        await venue.execute(step)
        assert fetch.only.line == (method, host, path)
        assert fetch.only.params == params
        assert fetch.only.signed


async def test_more_than_ten_cancels_go_in_batches_that_leave_together() -> None:
    """The venue takes ten ids a request."""
    ids = [str(number) for number in range(100, 123)]
    async with recorded_venue() as (venue, fetch):
        await venue.execute(cancel_orders(*ids))
        lists = [each.params["orderIdList"] for each in fetch.sent]
        assert [len(each.split(",")) for each in lists] == [10, 10, 3]
        assert ",".join(each.strip("[]") for each in lists) == ",".join(ids)


@pytest.mark.parametrize(("slice_name", "trigger"), [("spot", False), ("margin", False), ("linear", True)])
async def test_books_without_a_batch_cancel_each_order_by_itself(slice_name: str, trigger: bool) -> None:
    """Spot, margin and the algo book know no list of ids."""
    async with recorded_venue(slices=ALL) as (venue, fetch):
        await venue.execute(cancel_orders("1", "2", "3", slice_name=slice_name, trigger=trigger))
        name = "algoId" if trigger else "orderId"
        assert sorted(each.params[name] for each in fetch.sent) == ["1", "2", "3"]


READS: dict[str, list[tuple[str, str, dict[str, str]]]] = {
    "linear": [
        (USD_M, "/fapi/v1/openAlgoOrders", {}),
        (USD_M, "/fapi/v1/openOrders", {}),
        (USD_M, "/fapi/v3/positionRisk", {}),
        (USD_M, "/fapi/v3/account", {}),
    ],
    "inverse": [
        (COIN_M, "/dapi/v1/openAlgoOrders", {}),
        (COIN_M, "/dapi/v1/openOrders", {}),
        (COIN_M, "/dapi/v1/positionRisk", {}),
        (COIN_M, "/dapi/v1/account", {}),
    ],
    "spot": [(SPOT, "/api/v3/openOrders", {}), (SPOT, "/api/v3/account", {"omitZeroBalances": "true"})],
    "margin": [
        (SPOT, "/sapi/v1/margin/openOrders", {"isIsolated": "FALSE"}),
        (SPOT, "/sapi/v1/margin/account", {}),
    ],
}


@pytest.mark.parametrize("name", READS)
async def test_a_proof_reads_triggers_then_orders_then_positions_and_balances(name: str) -> None:
    """In causal order, whole books without a symbol, and no leverage brackets."""
    async with recorded_venue(slices=ALL) as (venue, fetch):
        fetch.empty()
        snapshot = await venue.read_proof(name)
        assert [(each.host, each.path, each.params) for each in fetch.sent] == READS[name]
        assert all(each.method == "GET" and each.signed for each in fetch.sent)
        assert snapshot.causal


@pytest.mark.parametrize("name", READS)
async def test_a_full_read_makes_the_same_requests(name: str) -> None:
    """All at once, and marked as not causal."""
    async with recorded_venue(slices=ALL) as (venue, fetch):
        fetch.empty()
        snapshot = await venue.read_slice(name)
        assert {(each.host, each.path) for each in fetch.sent} == {(host, path) for host, path, _ in READS[name]}
        assert not snapshot.causal
        assert snapshot.orders == ()


async def test_a_read_of_positions_is_one_request() -> None:
    """The cheap read between rounds."""
    async with recorded_venue() as (venue, fetch):
        fetch.default = answer([])
        snapshot = await venue.read_positions("linear")
        assert fetch.only.path == "/fapi/v3/positionRisk"
        assert snapshot.orders is None
        assert snapshot.balances is None


async def test_quotes_are_one_request_for_all_symbols() -> None:
    """By name, without spaces."""
    tickers = [
        {"symbol": "BTCUSDT", "bidPrice": "10", "askPrice": "11"},
        {"symbol": "ETHUSDT", "bidPrice": "0.00", "askPrice": "0.00"},
    ]
    async with recorded_venue() as (venue, fetch):
        fetch.default = answer(tickers)
        quotes = await venue.quotes(["ETH/USDT", "BTC/USDT", "NOT/LISTED"])
        assert fetch.only.line == ("GET", SPOT, "/api/v3/ticker/bookTicker")
        assert fetch.only.params == {"symbols": '["BTCUSDT","ETHUSDT"]'}
        assert quotes["BTC/USDT"].bid == 10
        assert "ETH/USDT" not in quotes, "nobody bids"


async def test_quotes_that_were_asked_for_and_are_not_told_are_not_nothing() -> None:
    """Or a balance would be called unsellable because of somebody else's answer."""
    async with recorded_venue() as (venue, fetch):
        fetch.default = answer([{"symbol": "BTCUSDT", "bidPrice": "10", "askPrice": "11"}])
        with pytest.raises(VenueAnswerUnknown, match="ETH/USDT"):
            await venue.quotes(["ETH/USDT", "BTC/USDT"])


async def test_all_quotes_are_asked_for_where_the_venue_knows_one_of_the_names_no_more() -> None:
    """One market that was delisted must not keep the others from being sold."""
    async with recorded_venue() as (venue, fetch):
        listed = answer([{"symbol": "BTCUSDT", "bidPrice": "10", "askPrice": "11"}])
        fetch.in_turn = iter([error(-1121, "Invalid symbol."), listed])
        quotes = await venue.quotes(["ETH/USDT", "BTC/USDT"])
        assert [sent.params for sent in fetch.sent] == [{"symbols": '["BTCUSDT","ETHUSDT"]'}, {}]
        assert set(quotes) == {"BTC/USDT"}


async def test_no_quotes_are_no_request() -> None:
    """Nothing is asked for nothing."""
    async with recorded_venue() as (venue, fetch):
        assert await venue.quotes([]) == {}
        assert fetch.sent == []


async def test_an_ambiguous_sale_is_looked_up_by_client_id() -> None:
    """GET order, by origClientOrderId."""
    async with recorded_venue() as (venue, fetch):
        await venue.filled(sell_spot())
        assert fetch.only.line == ("GET", SPOT, "/api/v3/order")
        assert fetch.only.params == {"symbol": "BTCUSDT", "origClientOrderId": ID}


async def test_an_ambiguous_order_in_margin_is_looked_up_there() -> None:
    """The spot endpoint would not find it."""
    async with recorded_venue(slices=ALL) as (venue, fetch):
        await venue.filled(sell_spot(slice="margin"))
        assert fetch.only.line == ("GET", SPOT, "/sapi/v1/margin/order")
        assert fetch.only.params == {"symbol": "BTCUSDT", "isIsolated": "FALSE", "origClientOrderId": ID}


async def test_the_probe_cancels_an_order_that_cannot_exist() -> None:
    """On a derivative market, by a client id that no order of ours can have."""
    async with recorded_venue() as (venue, fetch):
        await venue.probe()
        assert fetch.only.line == ("DELETE", USD_M, "/fapi/v1/order")
        assert fetch.only.params == {"symbol": "BTCUSDT", "origClientOrderId": "sovereign-node-probe"}


async def test_keeping_warm_asks_each_host_for_its_time_once_a_socket() -> None:
    """Unsigned, and on the hosts of the configured slices only."""
    async with recorded_venue(slices=("spot", "linear:USDT")) as (venue, fetch):
        fetch.default = answer({"serverTime": 1_800_000_000_000})
        await venue.keep_warm(3)
        assert sorted(fetch.lines) == [("GET", SPOT, "/api/v3/time")] * 3 + [("GET", USD_M, "/fapi/v1/time")] * 3
        assert not any(each.signed for each in fetch.sent)


async def test_a_host_is_kept_as_warm_as_its_slices_want_and_no_warmer_than_it_may() -> None:
    """What lies on another host wants no connection here."""
    async with recorded_venue(slices=("spot", "linear:USDT", "linear:USDC", "inverse")) as (venue, fetch):
        fetch.default = answer({"serverTime": 1_800_000_000_000})
        await venue.keep_warm(9, {"spot": 1, "linear:USDT": 2, "linear:USDC": 3, "inverse": 20})
        asked = [host for _, host, _ in fetch.lines]
        assert (asked.count(SPOT), asked.count(USD_M), asked.count(COIN_M)) == (1, 5, 9)


async def test_the_venues_clock_is_what_requests_are_signed_with() -> None:
    """A clock that is off by minutes does not matter once it is measured."""
    async with recorded_venue(slices=("linear",)) as (venue, fetch):
        fetch.default = answer({"serverTime": 1_800_000_000_000})
        await venue.keep_warm(1)
        await venue.execute(cancel_symbol())
        signed_at = int(dict(part.split("=") for part in fetch.sent[-1].raw.split("&"))["timestamp"])
        assert -50 < signed_at - 1_800_000_000_000 < 2_000
        assert venue.clock_offset_ms() is not None


@pytest.mark.parametrize(
    "step", [close_position(), cancel_orders("11", "12"), sell_spot()], ids=lambda s: type(s).__name__
)
async def test_the_signature_covers_exactly_what_is_sent(step: Step) -> None:
    """HMAC-SHA256 over the query or body, in the order and encoding in which it leaves."""
    async with recorded_venue() as (venue, fetch):
        await venue.execute(step)
        payload, _, signature = fetch.only.raw.rpartition("&signature=")
        expected = hmac.new(CREDENTIALS["secret"].encode(), payload.encode(), hashlib.sha256).hexdigest()
        assert signature == expected


EXCHANGE_INFO: dict[str, Any] = {
    "symbols": [
        {
            "symbol": "BTCUSDT",
            "status": "TRADING",
            "baseAsset": "BTC",
            "quoteAsset": "USDT",
            "marginAsset": "USDT",
            "contractType": "PERPETUAL",
            "deliveryDate": 4133404800000,
            "contractSize": 1,
            "filters": [{"filterType": "LOT_SIZE", "stepSize": "0.001", "minQty": "0.001", "maxQty": "1000"}],
        }
    ]
}


async def test_arming_asks_for_markets_time_and_rights_and_nothing_else() -> None:
    """No currencies, no margin pairs, no leverage brackets, no account modes."""
    async with recorded_venue(slices=("linear",), warm_sockets=1) as (venue, fetch):
        venue._shelf.books.clear()
        fetch.answers = {
            "/fapi/v1/exchangeInfo": answer(EXCHANGE_INFO),
            "/fapi/v1/time": answer({"serverTime": 1_800_000_000_000}),
            "/sapi/v1/account/apiRestrictions": answer({"enableMargin": True, "enableVanillaOptions": False}),
        }
        await venue.arm()
        assert sorted(fetch.lines) == [
            ("GET", SPOT, "/sapi/v1/account/apiRestrictions"),
            ("GET", USD_M, "/fapi/v1/exchangeInfo"),
            ("GET", USD_M, "/fapi/v1/time"),
        ]
        assert venue.not_covered == ("spot", "inverse", "margin", "isolated margin")
        assert venue.rules("linear")["BTC/USDT:USDT"].quantity_step == Decimal("0.001")


async def test_the_sandbox_is_the_venues_demo_trading() -> None:
    """Its testnet knows no futures."""
    async with recorded_venue(sandbox=True) as (venue, fetch):
        for step in (close_position(), sell_spot(), cancel_symbol("inverse")):
            await venue.execute(step)
        assert [each.host for each in fetch.sent] == [
            "demo-fapi.binance.com",
            "demo-api.binance.com",
            "demo-dapi.binance.com",
        ]
