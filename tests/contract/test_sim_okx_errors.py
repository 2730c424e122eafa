"""Refusals of the simulated OKX, as the real ccxt understands them, and the security that comes before."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import ccxt
import pytest
import pytest_asyncio

from node.sim.server import serve
from node.sim.simulator import Simulator
from tests.support.sim_clients import okx_client

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared() -> AsyncIterator[tuple[Simulator, Any]]:
    """One venue for all refusals: they change nothing."""
    async with serve(venue="okx", enforce_limits=False) as simulator, okx_client(simulator) as client:
        await client.load_markets()
        yield simulator, client


ORDER = {"instId": "BTC-USDT-SWAP", "tdMode": "cross", "side": "sell", "ordType": "market", "sz": "1"}
LIMIT = {**ORDER, "ordType": "limit", "px": "64000"}
REDUCING = {**ORDER, "reduceOnly": True}
SPOT = {"instId": "ETH-USDT", "tdMode": "cash", "side": "sell", "ordType": "market", "sz": "1"}


@pytest.mark.parametrize(
    ("order", "code", "error"),
    [
        ({**ORDER, "instId": "NO-USDT-SWAP"}, "51001", ccxt.BadSymbol),
        ({**ORDER, "instId": ""}, "50014", ccxt.BadRequest),
        ({**ORDER, "side": "up"}, "51000", ccxt.BadRequest),
        ({**ORDER, "ordType": "fast"}, "51000", ccxt.BadRequest),
        ({**ORDER, "tdMode": "cash"}, "51000", ccxt.BadRequest),
        ({**ORDER, "tdMode": ""}, "50014", ccxt.BadRequest),
        ({**ORDER, "sz": ""}, "51000", ccxt.BadRequest),
        ({**ORDER, "sz": "x"}, "51000", ccxt.BadRequest),
        ({**ORDER, "sz": "0"}, "51000", ccxt.BadRequest),
        ({**ORDER, "sz": "0.005"}, "51121", ccxt.InvalidOrder),
        ({**ORDER, "instId": "LTC-USDT-SWAP", "sz": "0.05"}, "51121", ccxt.InvalidOrder),
        ({**ORDER, "sz": "12000.01"}, "51202", ccxt.InvalidOrder),
        ({**LIMIT, "sz": "96000.01"}, "51101", ccxt.InvalidOrder),
        ({**LIMIT, "px": ""}, "51204", ccxt.InvalidOrder),
        ({**LIMIT, "px": "64000.05"}, "51150", ccxt.ExchangeError),
        ({**LIMIT, "px": "60000"}, "51006", ccxt.InvalidOrder),
        ({**LIMIT, "side": "buy", "px": "68000"}, "51006", ccxt.InvalidOrder),
        ({**ORDER, "posSide": "long"}, "51000", ccxt.BadRequest),
        ({**ORDER, "clOrdId": "with-dash"}, "51000", ccxt.BadRequest),
        ({**ORDER, "clOrdId": "x" * 33}, "51000", ccxt.BadRequest),
        ({**ORDER, "clOrdId": "a1", "tag": "x" * 17}, "51000", ccxt.BadRequest),
        ({**REDUCING, "instId": "INJ-USDT-SWAP"}, "51169", ccxt.ExchangeError),
        ({**REDUCING, "side": "buy"}, "51170", ccxt.ExchangeError),
        ({**REDUCING, "sz": "125.01"}, "51112", ccxt.InvalidOrder),
        ({**REDUCING, "tdMode": "isolated"}, "51169", ccxt.ExchangeError),
        ({**ORDER, "side": "buy", "sz": "10000"}, "51008", ccxt.InsufficientFunds),
        ({**ORDER, "instId": "BCH-USDT-SWAP"}, "51022", ccxt.ContractUnavailable),
        ({**SPOT, "tdMode": "cross"}, "51000", ccxt.BadRequest),
        ({**SPOT, "sz": "36"}, "51008", ccxt.InsufficientFunds),
        ({**SPOT, "sz": "0.00001"}, "51020", ccxt.InvalidOrder),
        ({**SPOT, "instId": "DOGE-USDT", "sz": "3.4"}, "51020", ccxt.InvalidOrder),
        ({**SPOT, "reduceOnly": "true"}, "51139", ccxt.InvalidOrder),
        ({**SPOT, "sz": "400"}, "51201", ccxt.InvalidOrder),
        ({**SPOT, "tgtCcy": "both"}, "51000", ccxt.BadRequest),
        ({**SPOT, "ordType": "limit", "px": "2800"}, "51138", ccxt.InvalidOrder),
        ({**SPOT, "side": "buy", "ordType": "limit", "px": "3600"}, "51137", ccxt.InvalidOrder),
    ],
)
async def test_orders(shared: tuple[Simulator, Any], order: dict[str, Any], code: str, error: type[Exception]) -> None:
    """Each refusal is in its row with OKX's code, outside is 1, and ccxt has a class for it, or none of its own."""
    simulator, client = shared
    before = simulator.state()["accounts"]["demo"]["positions"]
    with pytest.raises(error, match=code) as caught:
        await client.privatePostTradeOrder(order)
    assert '"code":"1"' in str(caught.value)
    assert simulator.state()["accounts"]["demo"]["positions"] == before


STOP = {"instId": "BTC-USDT-SWAP", "tdMode": "cross", "side": "sell", "ordType": "conditional", "sz": "1"}
WHOLE = {**STOP, "sz": "", "slTriggerPx": "60000", "slOrdPx": "-1", "closeFraction": "1", "reduceOnly": True}


@pytest.mark.parametrize(
    ("order", "code"),
    [
        ({**STOP, "slTriggerPx": "65000", "slOrdPx": "-1"}, "51280"),
        ({**STOP, "tpTriggerPx": "63000", "tpOrdPx": "-1"}, "51279"),
        ({**STOP, "side": "buy", "slTriggerPx": "63000", "slOrdPx": "-1"}, "51278"),
        ({**STOP, "side": "buy", "tpTriggerPx": "65000", "tpOrdPx": "-1"}, "51277"),
        ({**STOP, "slTriggerPx": "60000"}, "50014"),
        (STOP, "50014"),
        ({**STOP, "ordType": "oco", "slTriggerPx": "60000", "slOrdPx": "-1"}, "50014"),
        ({**STOP, "ordType": "limit"}, "51000"),
        ({**STOP, "ordType": "move_order_stop"}, "50015"),
        ({**STOP, "ordType": "move_order_stop", "callbackRatio": "0.0001"}, "51257"),
        ({**STOP, "sz": "", "slTriggerPx": "60000", "slOrdPx": "-1"}, "50014"),
        (WHOLE, "51088"),
        ({**WHOLE, "reduceOnly": False}, "51328"),
        ({**WHOLE, "slOrdPx": "59000"}, "51330"),
        ({**WHOLE, "closeFraction": "0.5"}, "51000"),
        ({**WHOLE, "instId": "ETH-USDT", "slTriggerPx": "3000"}, "51327"),
    ],
)
async def test_algo_orders(shared: tuple[Simulator, Any], order: dict[str, Any], code: str) -> None:
    """The algo book checks its own parameters."""
    _, client = shared
    with pytest.raises(ccxt.BaseError, match=code):
        await client.privatePostTradeOrderAlgo(order)


async def test_long_short_mode() -> None:
    """The leg is mandatory, a close must fit it, and the mode does not change while anything is open."""
    async with serve(venue="okx", scenario="hedge") as simulator, okx_client(simulator) as client:
        for extra, code in (
            ({}, "51000"),
            ({"posSide": "net"}, "51000"),
            ({"posSide": "long", "sz": "80.01"}, "51112"),
            ({"posSide": "short", "side": "buy", "sz": "30.01"}, "51112"),
        ):
            with pytest.raises(ccxt.ExchangeError, match=code):
                await client.privatePostTradeOrder({**ORDER, **extra})
        with pytest.raises(ccxt.ExchangeError, match="59000"):
            await client.set_position_mode(False)
        await client.set_position_mode(True)  # it is so: no error


async def test_account_levels() -> None:
    """Spot mode has no contracts; multi-currency pays spot with ``cross``; portfolio margin has the net mode only."""
    async with serve(venue="okx", scenario="empty") as simulator, okx_client(simulator) as client:
        await client.privatePostAccountSetAccountLevel({"acctLv": "1"})
        with pytest.raises(ccxt.AccountNotEnabled, match="51010"):
            await client.privatePostTradeOrder(ORDER)
        buy = {**SPOT, "side": "buy", "sz": "100"}
        await client.privatePostTradeOrder(buy)
        await client.privatePostAccountSetAccountLevel({"acctLv": "3"})
        with pytest.raises(ccxt.BadRequest, match="51000"):
            await client.privatePostTradeOrder(buy)
        await client.privatePostTradeOrder({**buy, "tdMode": "cross"})
        await client.privatePostAccountSetAccountLevel({"acctLv": "4"})
        with pytest.raises(ccxt.ExchangeError, match="51041"):
            await client.set_position_mode(True)
        with pytest.raises(ccxt.InvalidOrder, match="51205"):
            await client.privatePostTradeOrder(REDUCING)
        with pytest.raises(ccxt.BadRequest, match="51000"):
            await client.privatePostAccountSetAccountLevel({"acctLv": "5"})


@pytest.mark.parametrize(
    ("attributes", "code", "error"),
    [
        ({"secret": "wrong"}, "50113", ccxt.AuthenticationError),
        ({"apiKey": "nobody"}, "50111", ccxt.AuthenticationError),
        ({"password": "wrong"}, "50105", ccxt.AuthenticationError),
        ({"headers": {"x-simulated-trading": "1"}}, "50101", ccxt.AuthenticationError),
        ({"nonce": lambda: 1_700_000_000_000}, "50102", ccxt.InvalidNonce),
        ({"iso8601": lambda _: "yesterday"}, "50112", ccxt.AuthenticationError),
        ({"iso8601": lambda _: ""}, "50107", ccxt.AuthenticationError),
    ],
)
async def test_security(
    shared: tuple[Simulator, Any], attributes: dict[str, Any], code: str, error: type[Exception]
) -> None:
    """Keys, passphrases, signatures and clocks are checked, of reads as of orders."""
    simulator, _ = shared
    async with okx_client(simulator) as client:
        for name, value in attributes.items():
            setattr(client, name, value)
        for attempt in (client.privateGetAccountBalance, lambda: client.privatePostTradeOrder({**ORDER})):
            with pytest.raises(error, match=code):
                await attempt()


async def test_the_signature_covers_query_and_body(shared: tuple[Simulator, Any]) -> None:
    """What was signed may not be changed under way."""
    simulator, _ = shared
    async with okx_client(simulator) as client:
        sign = client.sign

        def tampered(*arguments: Any, **more: Any) -> Any:
            signed = sign(*arguments, **more)
            body = (signed["body"] or "").replace('"sz":"1"', '"sz":"2"') or None
            return {**signed, "url": signed["url"].replace("BTC", "ETH"), "body": body}

        client.sign = tampered
        with pytest.raises(ccxt.AuthenticationError, match="50113"):
            await client.privateGetAccountBalance({"ccy": "BTC"})
        with pytest.raises(ccxt.AuthenticationError, match="50113"):
            await client.privatePostTradeOrder({**ORDER})


async def test_revoked_keys_and_missing_rights() -> None:
    """Codes that ccxt has no class for: a deleted key, and one that may only read."""
    async with serve(venue="okx") as simulator, okx_client(simulator) as client:
        simulator.set_faults(key_rights={"demo": {"futures": False}})
        await client.privateGetAccountBalance()
        with pytest.raises(ccxt.ExchangeError, match="50120") as caught:
            await client.privatePostTradeOrder({**ORDER})
        assert not isinstance(caught.value, ccxt.AuthenticationError)
        simulator.set_faults(revoke_key=["demo"])
        with pytest.raises(ccxt.ExchangeError, match="50119"):
            await client.privateGetAccountBalance()
        simulator.clear_faults()
        await client.privateGetAccountBalance()


async def test_bodies(shared: tuple[Simulator, Any]) -> None:
    """A list where an object belongs, and the other way round; unknown paths."""
    _, client = shared
    for attempt, body in (
        (client.privatePostTradeOrder, [ORDER]),
        (client.privatePostTradeBatchOrders, {**ORDER}),
        (client.privatePostTradeCancelBatchOrders, []),
    ):
        with pytest.raises(ccxt.BadRequest, match=r"5000[02]"):
            await attempt(body)
    with pytest.raises(ccxt.BaseError, match="404"):
        await client.privateGetAccountBills()


async def test_queries(shared: tuple[Simulator, Any]) -> None:
    """Orders that do not exist, and requests that name none."""
    _, client = shared
    with pytest.raises(ccxt.OrderNotFound, match="51603"):
        await client.fetch_order("1", "BTC/USDT:USDT")
    with pytest.raises(ccxt.OrderNotFound, match="51603"):
        await client.fetch_order("1", "BTC/USDT:USDT", {"trigger": True})
    with pytest.raises(ccxt.BadRequest, match="51003"):
        await client.privateGetTradeOrder({"instId": "BTC-USDT-SWAP"})
