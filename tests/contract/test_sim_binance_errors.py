"""Refusals of the simulated venue, as the real ccxt understands them, and the security that comes before."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import ccxt
import pytest
import pytest_asyncio

from node.sim.server import serve
from node.sim.simulator import Simulator
from tests.support.sim_clients import binance_client, redirected_session

BTC, COIN = "BTC/USDT:USDT", "BTC/USD:BTC"


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared() -> AsyncIterator[tuple[Simulator, Any]]:
    """One venue for all refusals: they change nothing."""
    async with serve() as simulator, binance_client(simulator) as client:
        await client.load_markets()
        yield simulator, client


ORDER = {"symbol": "BTCUSDT", "side": "SELL", "type": "MARKET", "quantity": "0.01"}
LIMIT = {**ORDER, "type": "LIMIT", "price": "64000", "timeInForce": "GTC"}


@pytest.mark.parametrize(
    ("order", "code", "error"),
    [
        ({**ORDER, "symbol": "NOPE"}, -1121, ccxt.BadSymbol),
        ({**ORDER, "side": "UP"}, -1117, ccxt.BadRequest),
        ({**ORDER, "type": "FAST"}, -1116, ccxt.BadRequest),
        ({**ORDER, "quantity": ""}, -1102, ccxt.BadRequest),
        ({**ORDER, "quantity": "x"}, -1100, ccxt.BadRequest),
        ({**ORDER, "quantity": "0"}, -4003, ccxt.BadRequest),
        ({**ORDER, "quantity": "0.0001"}, -1111, ccxt.BadRequest),
        ({**ORDER, "quantity": "121"}, -4005, ccxt.BadRequest),
        ({**ORDER, "price": "64000"}, -1106, ccxt.BadRequest),
        ({**LIMIT, "timeInForce": "EVER"}, -1115, ccxt.BadRequest),
        ({**LIMIT, "price": "64000.05"}, -1111, ccxt.BadRequest),
        ({**LIMIT, "price": "60000"}, -4024, ccxt.BadRequest),
        ({**LIMIT, "side": "BUY", "price": "68000"}, -4016, ccxt.BadRequest),
        ({**LIMIT, "price": "63000", "timeInForce": "GTX"}, -5022, ccxt.OrderNotFillable),
        ({**LIMIT, "side": "BUY", "price": "64000", "timeInForce": "FOK"}, -5021, ccxt.OrderNotFillable),
        ({**ORDER, "symbol": "INJUSDT", "quantity": "1", "reduceOnly": "true"}, -2022, ccxt.InvalidOrder),
        ({**ORDER, "side": "BUY", "reduceOnly": "true"}, -2022, ccxt.InvalidOrder),
        ({**ORDER, "positionSide": "LONG"}, -4061, ccxt.OperationRejected),
        ({**ORDER, "quantity": "0.001"}, -4164, ccxt.InvalidOrder),
        ({**ORDER, "newClientOrderId": "x" * 37}, -4015, ccxt.BadRequest),
        ({**ORDER, "newClientOrderId": "with space"}, -4015, ccxt.BadRequest),
        ({**LIMIT, "newClientOrderId": "seed-1"}, -4116, ccxt.InvalidOrder),
        ({**ORDER, "side": "BUY", "quantity": "100"}, -2019, ccxt.InsufficientFunds),
        ({**ORDER, "symbol": "BCHUSDT"}, -4141, ccxt.OperationRejected),
    ],
)
async def test_usd_margined_refusals(
    shared: tuple[Simulator, Any], order: dict[str, str], code: int, error: type[Exception]
) -> None:
    """Each refusal has Binance's code, and ccxt's class for it."""
    simulator, client = shared
    before = simulator.state()["accounts"]["demo"]["positions"]
    with pytest.raises(error, match=str(code)):
        await client.fapiPrivatePostOrder(order)
    assert simulator.state()["accounts"]["demo"]["positions"] == before


@pytest.mark.parametrize(
    ("order", "code", "error"),
    [
        ({"triggerPrice": "63000", "side": "BUY", "quantity": "0.01"}, -2021, ccxt.OrderImmediatelyFillable),
        ({"triggerPrice": "60000", "closePosition": "true", "quantity": "0.01"}, -4137, ccxt.ExchangeError),
        ({"triggerPrice": "60000", "closePosition": "true", "reduceOnly": "true"}, -1106, ccxt.BadRequest),
        ({"triggerPrice": "60000", "closePosition": "true"}, -4130, ccxt.ExchangeError),
        ({"quantity": "0.01"}, -1102, ccxt.BadRequest),
    ],
)
async def test_algo_refusals(
    shared: tuple[Simulator, Any], order: dict[str, str], code: int, error: type[Exception]
) -> None:
    """The algo service checks its own parameters."""
    _, client = shared
    stop = {"algoType": "CONDITIONAL", "symbol": "BTCUSDT", "side": "SELL", "type": "STOP_MARKET"}
    with pytest.raises(error, match=str(code)):
        await client.fapiPrivatePostAlgoOrder({**stop, **order})


@pytest.mark.parametrize(
    ("order", "message", "error"),
    [
        ({"symbol": "NOPE", "quantity": "1"}, "-1121", ccxt.BadSymbol),
        ({"symbol": "ETHUSDT", "quantity": "0.00001"}, "LOT_SIZE", ccxt.InvalidOrder),
        ({"symbol": "ETHUSDT", "quantity": "3000"}, "MARKET_LOT_SIZE", ccxt.InvalidOrder),
        ({"symbol": "ETHUSDT", "quantity": "0.001"}, "NOTIONAL", ccxt.BadRequest),
        (
            {"symbol": "ETHUSDT", "quantity": "3000", "type": "LIMIT", "timeInForce": "IOC", "price": "3100"},
            "Filter failure: NOTIONAL",
            ccxt.BadRequest,
        ),
        ({"symbol": "ETHUSDT", "quantity": "6"}, "insufficient balance", ccxt.InsufficientFunds),
        ({"symbol": "ETHUSDT", "quantity": "1", "newClientOrderId": "a b"}, "-1100", ccxt.BadRequest),
    ],
)
async def test_spot_refusals(
    shared: tuple[Simulator, Any], order: dict[str, str], message: str, error: type[Exception]
) -> None:
    """Spot words its filters differently."""
    _, client = shared
    with pytest.raises(error, match=message):
        await client.privatePostOrder({"side": "SELL", "type": "MARKET", **order})


async def test_hedge_mode_refusals() -> None:
    """In hedge mode the leg is mandatory, reduceOnly is not taken, and a close must fit its leg."""
    async with serve(scenario="hedge") as simulator, binance_client(simulator) as client:
        for extra, code in (
            ({}, -4061),
            ({"positionSide": "LONG", "reduceOnly": "true"}, -1106),
            ({"positionSide": "LONG", "quantity": "0.801"}, -2022),
            ({"positionSide": "UP"}, -1130),
        ):
            with pytest.raises(ccxt.ExchangeError, match=str(code)):
                await client.fapiPrivatePostOrder({**ORDER, **extra})


async def test_the_counterparty_price_refusal_differs_by_product(shared: tuple[Simulator, Any]) -> None:
    """A market order against a thin book; a limit order still goes."""
    simulator, client = shared
    simulator.set_faults(rules={"match": {"path_prefix": "/fapi"}, "do": "percent_price_refusal"})
    with pytest.raises(ccxt.OperationRejected, match="-4131"):
        await client.fapiPrivatePostOrder({**ORDER, "reduceOnly": "true"})
    simulator.set_faults(rules={"match": {"path_prefix": "/dapi"}, "do": "percent_price_refusal"})
    with pytest.raises(ccxt.OperationRejected, match="-4113"):
        await client.dapiPrivatePostOrder({**ORDER, "symbol": "BTCUSD_PERP", "quantity": "1", "reduceOnly": "true"})
    simulator.set_faults(rules={"match": {"path_prefix": "/fapi"}, "do": "percent_price_refusal"})
    await client.fapiPrivatePostOrder({**LIMIT, "price": "63500", "reduceOnly": "true", "timeInForce": "IOC"})


class TestSecurity:
    async def test_wrong_secret(self, shared: tuple[Simulator, Any]) -> None:
        """A signature over another secret is refused."""
        simulator, _ = shared
        async with binance_client(simulator) as client:
            client.secret = "wrong"
            with pytest.raises(ccxt.AuthenticationError, match="-1022"):
                await client.fapiPrivateV3GetPositionRisk()

    async def test_unknown_key(self, shared: tuple[Simulator, Any]) -> None:
        """A key that the venue does not know."""
        simulator, _ = shared
        async with binance_client(simulator) as client:
            client.apiKey = "nobody"
            with pytest.raises(ccxt.AuthenticationError, match="-2015"):
                await client.fapiPrivateV3GetPositionRisk()

    async def test_no_key(self, shared: tuple[Simulator, Any]) -> None:
        """Without the header nothing else is looked at."""
        simulator, _ = shared
        async with (
            redirected_session(simulator) as session,
            session.get("https://fapi.binance.com/fapi/v3/positionRisk") as answer,
        ):
            assert (answer.status, (await answer.json())["code"]) == (401, -2014)

    async def test_tampered_parameters(self, shared: tuple[Simulator, Any]) -> None:
        """The signature covers every parameter."""
        simulator, client = shared
        signed = client.sign("order", ["fapiPrivate"], "POST", dict(ORDER))
        body = signed["body"].replace("quantity=0.01", "quantity=1.01")
        async with (
            redirected_session(simulator) as session,
            session.post(signed["url"], data=body, headers=signed["headers"]) as answer,
        ):
            assert (answer.status, (await answer.json())["code"]) == (400, -1022)

    @pytest.mark.parametrize("offset_ms", [-60_000, 60_000])
    async def test_clock_drift(self, offset_ms: int) -> None:
        """A clock that differs by more than the window makes every signed request fail; unsigned ones work."""
        async with serve(scenario="empty") as simulator, binance_client(simulator) as client:
            simulator.set_faults(clock_offset_ms=offset_ms)
            with pytest.raises(ccxt.InvalidNonce, match="-1021"):
                await client.fapiPrivateV3GetPositionRisk()
            assert abs(await client.fetch_time() - client.milliseconds() - offset_ms) < 5_000
            await client.load_time_difference()
            client.options["adjustForTimeDifference"] = True
            await client.fapiPrivateV3GetPositionRisk()

    async def test_missing_rights(self, shared: tuple[Simulator, Any]) -> None:
        """A key without futures rights may not even read there."""
        async with serve(scenario="empty") as simulator, binance_client(simulator) as client:
            simulator.set_faults(key_rights={"empty": {"futures": False}})
            with pytest.raises(ccxt.AuthenticationError, match="-2015"):
                await client.fapiPrivateV3GetPositionRisk()
            await client.privateGetAccount()

    async def test_hosts_serve_their_own_paths_only(self, shared: tuple[Simulator, Any]) -> None:
        """As on the real venue, a futures path is not found on the spot host."""
        simulator, _ = shared
        async with redirected_session(simulator) as session:
            for url, status in (
                ("https://api.binance.com/fapi/v1/time", 404),
                ("https://fapi.binance.com/api/v3/time", 404),
                ("https://api3.binance.com/api/v3/time", 200),
                ("https://localhost/dapi/v1/time", 200),
            ):
                async with session.get(url) as answer:
                    assert (url, answer.status) == (url, status)


class TestLimits:
    async def test_weights_are_told_and_enforced(self) -> None:
        """Sixty sweeps of all open orders use up a minute: 429 with Retry-After."""
        async with serve(scenario="empty") as simulator, binance_client(simulator) as client:
            now_ms = simulator.clock.now_ms()
            simulator.clock.offset_ms = 60_000 - now_ms % 60_000  # a fresh minute
            await client.load_time_difference()
            client.options["adjustForTimeDifference"] = True
            for _ in range(60):
                await client.fapiPrivateGetOpenOrders()
            assert client.last_response_headers["X-MBX-USED-WEIGHT-1M"] == "2400"
            with pytest.raises(ccxt.DDoSProtection, match="-1003"):
                await client.fapiPrivateGetOpenOrders()
            assert 0 < int(client.last_response_headers["Retry-After"]) <= 60
            await client.dapiPrivateGetOpenOrders()  # another budget

    async def test_limits_can_be_switched_off(self) -> None:
        """Benchmarks measure clients, not budgets; the headers go on counting."""
        async with serve(scenario="empty", enforce_limits=False) as simulator, binance_client(simulator) as client:
            for _ in range(61):
                await client.fapiPrivateGetOpenOrders()

    async def test_ignoring_the_limit_ends_in_a_ban(self) -> None:
        """Who goes on asking is banned."""
        async with serve(scenario="empty") as simulator, binance_client(simulator) as client:
            refused = []
            for _ in range(200):
                try:
                    await client.privateGetOpenOrders()
                except ccxt.DDoSProtection as error:
                    refused.append(str(error).split()[1])
            assert "429" in refused
            assert refused[-1] == "418"

    async def test_order_counts(self) -> None:
        """Orders have budgets of their own."""
        async with serve(scenario="empty") as simulator, binance_client(simulator) as client:
            order = {**LIMIT, "side": "BUY", "price": "62000"}
            await client.fapiPrivatePostOrder(order)
            headers = client.last_response_headers
            assert (headers["X-MBX-ORDER-COUNT-10S"], headers["X-MBX-ORDER-COUNT-1M"]) == ("1", "1")
