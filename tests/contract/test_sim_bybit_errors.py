"""Refusals of the simulated Bybit, as the real ccxt understands them; the security that comes before; and limits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import ccxt
import pytest
import pytest_asyncio

from node.sim.bybit import limits
from node.sim.server import serve
from node.sim.simulator import Simulator
from tests.support.sim_clients import bybit_client, redirected_session

pytestmark = pytest.mark.asyncio(loop_scope="module")

Shared = tuple[Simulator, Any]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared() -> AsyncIterator[Shared]:
    """One venue for all refusals: they change nothing."""
    async with serve(venue="bybit", enforce_limits=False) as simulator, bybit_client(simulator) as client:
        await client.load_markets()
        yield simulator, client


ORDER = {"category": "linear", "symbol": "BTCUSDT", "side": "Sell", "orderType": "Market", "qty": "0.01"}
LIMIT = {**ORDER, "orderType": "Limit", "price": "64000"}
SPOT = {"category": "spot", "symbol": "ETHUSDT", "side": "Sell", "orderType": "Market", "qty": "1"}
SPOT_LIMIT = {**SPOT, "orderType": "Limit", "price": "3200"}


@pytest.mark.parametrize(
    ("order", "code", "error"),
    [
        ({**ORDER, "category": ""}, 10001, ccxt.BadRequest),
        ({**ORDER, "category": "swap"}, 10001, ccxt.BadRequest),
        ({**ORDER, "category": "option"}, 10001, ccxt.BadRequest),
        ({**ORDER, "symbol": "NOPE"}, 10001, ccxt.BadSymbol),
        ({**ORDER, "side": "SELL"}, 10001, ccxt.BadRequest),
        ({**ORDER, "orderType": "Fast"}, 10001, ccxt.BadRequest),
        ({**ORDER, "qty": ""}, 10001, ccxt.BadRequest),
        ({**ORDER, "qty": "x"}, 10001, ccxt.BadRequest),
        ({**ORDER, "qty": "0"}, 10001, ccxt.BadRequest),
        ({**ORDER, "qty": "0.0001"}, 10001, ccxt.BadRequest),
        ({**ORDER, "qty": "121"}, 10001, ccxt.BadRequest),
        ({**LIMIT, "price": ""}, 10001, ccxt.BadRequest),
        ({**LIMIT, "timeInForce": "EVER"}, 10001, ccxt.BadRequest),
        ({**LIMIT, "price": "64000.05"}, 10001, ccxt.BadRequest),
        ({**LIMIT, "price": "60000"}, 30209, ccxt.ExchangeError),
        ({**LIMIT, "side": "Buy", "price": "68000"}, 30208, ccxt.ExchangeError),
        ({**ORDER, "symbol": "INJUSDT", "qty": "1", "reduceOnly": True}, 110017, ccxt.InvalidOrder),
        ({**ORDER, "side": "Buy", "reduceOnly": True}, 110017, ccxt.InvalidOrder),
        ({**ORDER, "positionIdx": 1}, 10001, ccxt.BadRequest),
        ({**ORDER, "positionIdx": 7}, 10001, ccxt.BadRequest),
        ({**ORDER, "symbol": "XRPUSDT", "qty": "1"}, 110094, ccxt.InvalidOrder),
        ({**LIMIT, "side": "Buy", "qty": "200"}, 110007, ccxt.InsufficientFunds),
        ({**ORDER, "symbol": "BCHUSDT", "qty": "1"}, 110066, ccxt.ExchangeError),
        ({**ORDER, "takeProfit": "60000"}, 10001, ccxt.BadRequest),
        ({**SPOT, "symbol": "NOPE"}, 170121, ccxt.InvalidOrder),
        ({**SPOT, "side": "Down"}, 170117, ccxt.InvalidOrder),
        ({**SPOT, "orderType": "Fast"}, 170116, ccxt.InvalidOrder),
        ({**SPOT, "qty": "0"}, 170130, ccxt.BadRequest),
        ({**SPOT, "qty": "0.00001"}, 170137, ccxt.InvalidOrder),
        ({**SPOT, "qty": "0.001"}, 170140, ccxt.InvalidOrder),
        ({**SPOT, "qty": "3000"}, 170382, ccxt.ExchangeError),
        ({**SPOT, "qty": "40"}, 170131, ccxt.InsufficientFunds),
        ({**SPOT_LIMIT, "price": "3200.001"}, 170134, ccxt.InvalidOrder),
        ({**SPOT_LIMIT, "price": "3000"}, 170194, ccxt.InvalidOrder),
        ({**SPOT_LIMIT, "side": "Buy", "price": "3400"}, 170193, ccxt.InvalidOrder),
        ({**SPOT_LIMIT, "timeInForce": "EVER"}, 170115, ccxt.InvalidOrder),
        ({**SPOT_LIMIT, "orderFilter": "Some"}, 170201, ccxt.PermissionDenied),
        ({**SPOT_LIMIT, "orderFilter": "tpslOrder"}, 170202, ccxt.InvalidOrder),
        ({**SPOT_LIMIT, "orderLinkId": "a b"}, 170130, ccxt.BadRequest),
    ],
)
async def test_orders(shared: Shared, order: dict[str, Any], code: int, error: type[Exception]) -> None:
    """Each refusal has Bybit's code, and ccxt's class for it. Status is 200 all the same."""
    simulator, client = shared
    before = simulator.state()["accounts"]["demo"]["positions"]
    with pytest.raises(error, match=f'"retCode":{code},') as caught:
        await client.privatePostV5OrderCreate(order)
    assert type(caught.value) is error
    assert simulator.state()["accounts"]["demo"]["positions"] == before
    assert simulator.journal.entries(method="POST")[-1].status == 200


async def test_cancels(shared: Shared) -> None:
    """An order that is not there, in contracts and in spot; ccxt calls only the first not found."""
    _, client = shared
    for category, symbol, code, error in (
        ("linear", "BTCUSDT", 110001, ccxt.OrderNotFound),
        ("spot", "ETHUSDT", 170213, ccxt.InvalidOrder),
        ("inverse", "", 10001, ccxt.BadRequest),
    ):
        with pytest.raises(error, match=str(code)):
            await client.privatePostV5OrderCancel({"category": category, "symbol": symbol, "orderLinkId": "nobody"})
    with pytest.raises(ccxt.BadRequest, match="10001"):
        await client.privatePostV5OrderCancel({"category": "linear", "symbol": "BTCUSDT"})


class TestSecurity:
    async def test_wrong_secret(self, shared: Shared) -> None:
        """A signature over another secret is refused."""
        async with bybit_client(shared[0]) as client:
            client.secret = "wrong"
            with pytest.raises(ccxt.AuthenticationError, match="10004"):
                await client.privateGetV5AccountInfo()

    async def test_unknown_and_revoked_keys(self) -> None:
        """The venue does not know them, or not any more."""
        async with serve(venue="bybit") as simulator, bybit_client(simulator) as client:
            await client.privateGetV5AccountInfo()
            simulator.set_faults(revoke_key="demo")
            with pytest.raises(ccxt.AuthenticationError, match="10003"):
                await client.privateGetV5AccountInfo()
            simulator.clear_faults()
            client.apiKey = "nobody"
            with pytest.raises(ccxt.AuthenticationError, match="10003"):
                await client.privateGetV5AccountInfo()

    async def test_no_key(self, shared: Shared) -> None:
        """Without headers nothing else is looked at."""
        async with (
            redirected_session(shared[0]) as session,
            session.get("https://api.bybit.com/v5/account/info") as answer,
        ):
            assert (answer.status, (await answer.json())["retCode"]) == (401, 10001)

    async def test_tampered_parameters(self, shared: Shared) -> None:
        """The signature covers the body and the query, as they were sent."""
        simulator, client = shared
        order = client.sign("v5/order/create", ["private"], "POST", dict(ORDER))
        read = client.sign("v5/position/list", ["private"], "GET", {"category": "linear", "symbol": "BTCUSDT"})
        async with redirected_session(simulator) as session:
            body = order["body"].replace("0.01", "1.01")
            async with session.post(order["url"], data=body, headers=order["headers"]) as answer:
                assert (answer.status, (await answer.json())["retCode"]) == (200, 10004)
            url = read["url"].replace("BTCUSDT", "ETHUSDT")
            async with session.get(url, headers=read["headers"]) as answer:
                assert (await answer.json())["retCode"] == 10004

    @pytest.mark.parametrize("offset_ms", [-60_000, 60_000])
    async def test_clock_drift(self, offset_ms: int) -> None:
        """A clock that differs by more than the window makes every signed request fail; unsigned ones work."""
        async with serve(venue="bybit", scenario="empty") as simulator, bybit_client(simulator) as client:
            simulator.set_faults(clock_offset_ms=offset_ms)
            with pytest.raises(ccxt.InvalidNonce, match="10002"):
                await client.privateGetV5AccountInfo()
            await client.load_time_difference()
            await client.privateGetV5AccountInfo()

    async def test_rights(self) -> None:
        """Reading is always allowed; trading is by kind of market."""
        async with serve(venue="bybit", scenario="empty") as simulator, bybit_client(simulator) as client:
            simulator.set_faults(key_rights={"empty": {"futures": False, "margin": False, "convert": False}})
            await client.privateGetV5PositionList({"category": "inverse"})
            for call in (
                client.privatePostV5OrderCreate(ORDER),
                client.privatePostV5AccountBorrow({"coin": "BTC", "amount": "1"}),
                client.privatePostV5AssetExchangeQuoteApply({}),
            ):
                with pytest.raises(ccxt.PermissionDenied, match="10005"):
                    await call
            with pytest.raises(ccxt.InsufficientFunds):
                await client.privatePostV5OrderCreate(SPOT)

    async def test_paths(self, shared: Shared) -> None:
        """What is not there is not found."""
        async with redirected_session(shared[0]) as session:
            for url, status in (("v5/market/nothing", 404), ("v3/market/time", 404), ("v5/market/time", 200)):
                async with session.get(f"https://api.bybit.com/{url}") as answer:
                    assert answer.status == status


class TestLimits:
    async def test_a_second_at_an_endpoint(self) -> None:
        """Ten contract orders; spot has its own twenty; the answer's status is 200, its headers say when it resets."""
        async with serve(venue="bybit") as simulator, bybit_client(simulator) as client:
            order = {**ORDER, "reduceOnly": True}
            for _ in range(10):
                await client.privatePostV5OrderCreate(order)
            assert client.last_response_headers["X-Bapi-Limit"] == "10"
            assert client.last_response_headers["X-Bapi-Limit-Status"] == "0"
            with pytest.raises(ccxt.RateLimitExceeded, match="10006"):
                await client.privatePostV5OrderCreate(order)
            reset_ms = int(client.last_response_headers["X-Bapi-Limit-Reset-Timestamp"])
            assert 0 < reset_ms - simulator.clock.now_ms() <= 1000
            await client.privatePostV5OrderCreate({**SPOT, "qty": "0.1"})
            assert client.last_response_headers["X-Bapi-Limit"] == "20"
            assert simulator.journal.entries(method="POST")[10].status == 200
            simulator.clock.offset_ms = 1001
            await client.privatePostV5OrderCreate(order)

    async def test_a_batch_is_cut_where_the_limit_ends(self) -> None:
        """Each order of a batch counts; those beyond the limit fail, and the others are placed."""
        async with serve(venue="bybit") as simulator, bybit_client(simulator) as client:
            entry = {name: ORDER[name] for name in ("symbol", "side", "orderType", "qty")} | {"reduceOnly": True}
            answer = await client.privatePostV5OrderCreateBatch({"category": "linear", "request": [entry] * 12})
            codes = [each["code"] for each in answer["retExtInfo"]["list"]]
            assert codes == [0] * 10 + [10006] * 2
            assert simulator.account.counters.orders_placed == 10
            with pytest.raises(ccxt.RateLimitExceeded):
                await client.privatePostV5OrderCreateBatch({"category": "linear", "request": [entry]})

    async def test_the_address(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Too many requests of an address, signed or not, and it is forbidden everything for a while."""
        monkeypatch.setattr(limits, "ADDRESS_REQUESTS", 20)
        async with serve(venue="bybit", scenario="empty") as simulator, bybit_client(simulator) as client:
            await asyncio.gather(*(client.publicGetV5MarketTime() for _ in range(20)))
            for _ in range(2):
                with pytest.raises(ccxt.RateLimitExceeded, match="403"):
                    await client.publicGetV5MarketTime()
            simulator.clock.offset_ms = 601_000
            await client.publicGetV5MarketTime()

    async def test_limits_can_be_switched_off(self) -> None:
        """Benchmarks measure clients, not budgets; the headers go on counting."""
        async with serve(venue="bybit", enforce_limits=False) as simulator, bybit_client(simulator) as client:
            for _ in range(12):
                await client.privatePostV5OrderCreate({**ORDER, "reduceOnly": True})
            assert client.last_response_headers["X-Bapi-Limit-Status"] == "0"
