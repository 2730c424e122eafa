"""User data streams of the simulated venue, as the real ``ccxt.pro`` opens them, and how they fail."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import ccxt
import pytest

from node.sim.market import Product
from node.sim.server import serve
from node.sim.simulator import Simulator
from tests.support.sim_clients import binance_client, redirected_session
from tests.support.waiting import PATIENCE_S, until

LINEAR, INVERSE = {"type": "swap", "subType": "linear"}, {"type": "swap", "subType": "inverse"}
BTC, COIN = "BTC/USDT:USDT", "BTC/USD:BTC"
REDUCE = {"reduceOnly": True}


def hears(simulator: Simulator, product: str) -> bool:
    """Whether somebody listens to the product."""
    return any(product in connection["hears"] for connection in simulator.state()["streams"])


async def told(simulator: Simulator, product: str, watch: Any, deed: Any) -> Any:
    """What a watcher is told of a deed that is done once the venue listens to it."""
    task = asyncio.ensure_future(watch)
    await until(lambda: hears(simulator, product) or task.done())
    await deed()
    return await asyncio.wait_for(task, PATIENCE_S)


@asynccontextmanager
async def raw_stream(simulator: Simulator, url: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A stream without ccxt."""
    async with redirected_session(simulator) as session, session.ws_connect(url) as socket:
        yield socket


async def next_event(socket: aiohttp.ClientWebSocketResponse) -> Any:
    """The next document of a stream."""
    return json.loads(await socket.receive_str(timeout=PATIENCE_S))


class TestContracts:
    async def test_an_order_that_fills(self, simulator: Simulator, client: Any) -> None:
        """``watch_orders`` sees it taken, and then filled."""

        async def sell() -> None:
            await client.create_order(BTC, "market", "sell", 0.25, None, {**REDUCE, "clientOrderId": "sn-1"})

        (order,) = await told(simulator, "linear", client.watch_orders(None, None, None, LINEAR), sell)
        assert (order["symbol"], order["clientOrderId"], order["reduceOnly"]) == (BTC, "sn-1", True)
        await until(lambda: client.orders[-1]["status"] == "closed")
        assert (client.orders[-1]["filled"], client.orders[-1]["average"]) == (0.25, 63999.9)

    @pytest.mark.parametrize(
        ("product", "symbol", "amount", "left", "params"),
        [("linear", BTC, 0.25, 1.0, LINEAR), ("inverse", COIN, 50, 200, INVERSE)],
    )
    async def test_positions(
        self, simulator: Simulator, client: Any, product: str, symbol: str, amount: float, left: float, params: Any
    ) -> None:
        """``watch_positions`` sees what is left, on either futures product."""

        async def sell() -> None:
            await client.create_order(symbol, "market", "sell", amount, None, REDUCE)

        client.options["watchPositions"] = {"fetchPositionsSnapshot": False}
        positions = await told(simulator, product, client.watch_positions(None, None, None, params), sell)
        assert [(p["symbol"], p["contracts"], p["side"]) for p in positions] == [(symbol, left, "long")]

    async def test_a_wallet(self, simulator: Simulator, client: Any) -> None:
        """``watch_balance`` sees the profit and the fee."""

        async def sell() -> None:
            await client.create_order(BTC, "market", "sell", 1.25, None, REDUCE)

        balance = await told(simulator, "linear", client.watch_balance(LINEAR), sell)
        assert balance["USDT"]["total"] > 400_000

    async def test_a_trigger(self, simulator: Simulator, client: Any) -> None:
        """Conditional orders have an event of their own; what they become trades as an order."""

        async def fall() -> None:
            simulator.set_faults(prices={"linear:BTC/USDT": "57000"})

        async with listening(simulator, client) as (socket, _):
            await fall()
            events = [await next_event(socket) for _ in range(6)]
        kinds = [event["e"] for event in events]
        assert kinds.count("ALGO_UPDATE") == 1
        algo = events[kinds.index("ALGO_UPDATE")]["o"]
        trades = [event["o"] for event in events if event["e"] == "ORDER_TRADE_UPDATE" and event["o"]["x"] == "TRADE"]
        assert (algo["X"], algo["ai"]) == ("FINISHED", str(trades[-1]["i"]))
        assert {trade["X"] for trade in trades} == {"FILLED"}

    async def test_cancels_and_expiries(self, simulator: Simulator, client: Any) -> None:
        """Each order that ends says why."""
        async with listening(simulator, client) as (socket, _):
            await client.cancel_all_orders("ETH/USDT:USDT")
            cancelled = await next_event(socket)
            await client.create_order("SOL/USDT:USDT", "market", "sell", 310, None, REDUCE)
            events = [await next_event(socket) for _ in range(4)]
        assert (cancelled["o"]["x"], cancelled["o"]["X"]) == ("CANCELED", "CANCELED")
        orders = [(event["o"]["x"], event["o"]["X"]) for event in events if event["e"] == "ORDER_TRADE_UPDATE"]
        assert orders == [("NEW", "NEW"), ("TRADE", "FILLED"), ("EXPIRED", "EXPIRED")]


@asynccontextmanager
async def listening(
    simulator: Simulator, client: Any, form: str = "wss://fstream.binance.com/private/ws?listenKey={key}"
) -> AsyncIterator[tuple[aiohttp.ClientWebSocketResponse, str]]:
    """A raw USD-M stream of the demo account, and its key."""
    key = (await client.fapiPrivatePostListenKey())["listenKey"]
    async with raw_stream(simulator, form.format(key=key)) as socket:
        await until(lambda: hears(simulator, "linear"))
        yield socket, key


class TestListenKeys:
    @pytest.mark.parametrize(
        ("form", "enveloped"),
        [
            ("wss://fstream.binance.com/private/ws?listenKey={key}", False),
            ("wss://fstream.binance.com/private/ws/{key}", False),
            ("wss://fstream.binance.com/ws/{key}", False),
            ("wss://fstream.binance.com/stream?streams={key}", True),
        ],
    )
    async def test_addresses(self, simulator: Simulator, client: Any, form: str, *, enveloped: bool) -> None:
        """All the forms in use lead to the same events."""
        async with listening(simulator, client, form) as (socket, key):
            await client.cancel_all_orders("ETH/USDT:USDT")
            event = await next_event(socket)
        assert (event.get("stream"), (event.get("data") or event)["e"]) == (
            key if enveloped else None,
            "ORDER_TRADE_UPDATE",
        )

    async def test_life(self, simulator: Simulator, client: Any) -> None:
        """The same key until it is closed; none can be prolonged after that; each product has its own."""
        first = (await client.fapiPrivatePostListenKey())["listenKey"]
        assert (await client.fapiPrivatePutListenKey())["listenKey"] == first
        assert (await client.fapiPrivatePostListenKey())["listenKey"] == first
        assert (await client.dapiPrivatePostListenKey())["listenKey"] != first
        await client.fapiPrivateDeleteListenKey()
        with pytest.raises(ccxt.AuthenticationError, match="-1125"):
            await client.fapiPrivatePutListenKey()

    async def test_an_expired_key(self, simulator: Simulator, client: Any) -> None:
        """The venue says so and is silent from then on; the connection stays."""
        async with listening(simulator, client) as (socket, key):
            simulator.set_faults(streams={"product": "linear", "expire": True})
            assert {"e": "listenKeyExpired", "listenKey": key}.items() <= (await next_event(socket)).items()
            await client.cancel_all_orders("ETH/USDT:USDT")
            with pytest.raises(asyncio.TimeoutError):
                await socket.receive_str(timeout=0.05)
            assert not socket.closed

    async def test_an_hour_without_renewal(self, simulator: Simulator, client: Any) -> None:
        """A key that nobody prolonged ends when the next event finds it dead."""
        async with listening(simulator, client) as (socket, _):
            simulator.clock.offset_ms = 61 * 60 * 1000
            simulator.core.cancel_all(simulator.account, Product.LINEAR)
            assert (await next_event(socket))["e"] == "listenKeyExpired"

    async def test_an_unknown_key(self, simulator: Simulator) -> None:
        """It is accepted, and nothing comes."""
        async with raw_stream(simulator, "wss://fstream.binance.com/private/ws?listenKey=nobody") as socket:
            await until(lambda: len(simulator.state()["streams"]) == 1)
            simulator.core.cancel_all(simulator.account, Product.LINEAR)
            with pytest.raises(asyncio.TimeoutError):
                await socket.receive_str(timeout=0.05)

    async def test_a_session_that_cannot_be_opened_leaves_no_connection(
        self, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nobody would ever take it away, and every cut would be sent to it."""

        def broken(*_: object) -> Any:
            raise RuntimeError("no session")

        monkeypatch.setattr(simulator.handler.front_end, "open_stream", broken)
        async with raw_stream(simulator, "wss://fstream.binance.com/private/ws?listenKey=nobody") as socket:
            assert (await socket.receive(timeout=PATIENCE_S)).type in (
                aiohttp.WSMsgType.CLOSED,
                aiohttp.WSMsgType.CLOSE,
            )
        assert simulator.streams.connections == []

    async def test_pings_are_answered(self, simulator: Simulator, client: Any) -> None:
        """With the payload that they brought."""
        key = (await client.fapiPrivatePostListenKey())["listenKey"]
        async with redirected_session(simulator) as session:
            url = f"wss://fstream.binance.com/ws/{key}"
            async with session.ws_connect(url, autoping=False) as socket:
                await socket.ping(b"alive")
                message = await socket.receive(timeout=PATIENCE_S)
        assert (message.type, message.data) == (aiohttp.WSMsgType.PONG, b"alive")


class TestWebSocketApi:
    async def test_spot_orders_and_balances(self, simulator: Simulator, client: Any) -> None:
        """Subscribed by signature: the execution, then the balances that it moved."""

        async def sell() -> None:
            await client.create_order("ETH/USDT", "market", "sell", 2, None, {"clientOrderId": "sn-2"})

        (order,) = await told(simulator, "spot", client.watch_orders(None, None, None, {"type": "spot"}), sell)
        assert (order["symbol"], order["clientOrderId"]) == ("ETH/USDT", "sn-2")

        async def rest() -> None:
            await client.create_order("ETH/USDT", "limit", "sell", 1, 3300)

        balance = await told(simulator, "spot", client.watch_balance({"type": "spot"}), rest)
        assert balance["ETH"]["free"] == 2.25

    async def test_a_wrong_signature(self, simulator: Simulator, client: Any) -> None:
        """The HMAC is checked, as over HTTP. (ccxt would make a KeyError of it.)"""
        client.secret = "wrong"
        params = client.sign_params({})
        async with raw_stream(simulator, "wss://ws-api.binance.com:443/ws-api/v3") as socket:
            await socket.send_json({"id": "1", "method": "userDataStream.subscribe.signature", "params": params})
            answer = await next_event(socket)
        assert (answer["status"], answer["error"]["code"]) == (400, -1022)
        assert not hears(simulator, "spot")

    @pytest.mark.parametrize(
        ("message", "status", "code"),
        [
            ({"method": "userDataStream.subscribe.listenToken", "params": {"listenToken": "nobody"}}, 400, -1209),
            ({"method": "userDataStream.subscribe.signature", "params": {}}, 400, -1102),
            ({"method": "order.place", "params": {}}, 400, -1020),
        ],
    )
    async def test_errors(self, simulator: Simulator, message: dict[str, Any], status: int, code: int) -> None:
        """Every request is answered with its id."""
        async with raw_stream(simulator, "wss://ws-api.binance.com:443/ws-api/v3") as socket:
            await socket.send_json({"id": "7", **message})
            answer = await next_event(socket)
        assert (answer["id"], answer["status"], answer["error"]["code"]) == ("7", status, code)

    async def test_margin(self) -> None:
        """Subscribed by listen token: orders, and balances that a loan moved."""
        async with serve(scenario="margin") as simulator, binance_client(simulator) as client:
            await client.load_markets()

            async def sell() -> None:
                await client.create_order("BTC/USDT", "market", "sell", 0.5, None, {"marginMode": "cross"})

            (order,) = await told(simulator, "margin", client.watch_orders(None, None, None, {"type": "margin"}), sell)
            assert (order["symbol"], order["amount"]) == ("BTC/USDT", 0.5)
            token = (await client.sapiPostUserListenToken())["token"]
            async with raw_stream(simulator, "wss://ws-api.binance.com/ws-api/v3") as socket:
                request = {"method": "userDataStream.subscribe.listenToken", "params": {"listenToken": token}}
                await socket.send_json({"id": 1, **request})
                answer = await next_event(socket)
                await client.repay_cross_margin("BNB", 4)
                events = [(await next_event(socket)) for _ in range(2)]
                simulator.set_faults(streams={"expire": True})
                notice = await next_event(socket)
            assert (answer["result"]["subscriptionId"], answer["result"]["expirationTime"] > 0) == (0, True)
            assert [(event["subscriptionId"], event["event"]["e"]) for event in events] == [
                (0, "balanceUpdate"),
                (0, "outboundAccountPosition"),
            ]
            assert events[0]["event"]["d"] == "-4.00000000"
            assert notice["event"]["e"] == "eventStreamTerminated"

    async def test_without_a_margin_account_there_is_no_token(self, client: Any) -> None:
        """-3003, as for everything else of margin."""
        with pytest.raises(ccxt.BadRequest, match="-3003"):
            await client.sapiPostUserListenToken()


class TestFaults:
    async def test_silence(self, simulator: Simulator, client: Any) -> None:
        """Connected, and nothing comes; what happened meanwhile is never told, what happens after it is."""
        async with listening(simulator, client) as (socket, _):
            simulator.set_faults(streams={"product": "linear", "silent": True})
            await client.cancel_all_orders("ETH/USDT:USDT")
            with pytest.raises(asyncio.TimeoutError):
                await socket.receive_str(timeout=0.05)
            simulator.set_faults(streams={"product": "linear", "silent": False})
            await client.cancel_all_orders("INJ/USDT:USDT")
            assert (await next_event(socket))["o"]["s"] == "INJUSDT"

    async def test_a_cut(self, simulator: Simulator, client: Any) -> None:
        """ccxt is told of it, and can watch again."""
        task = asyncio.ensure_future(client.watch_orders(None, None, None, LINEAR))
        await until(lambda: hears(simulator, "linear"))
        simulator.set_faults(streams={"product": "inverse", "cut": True})
        assert not task.done()
        simulator.set_faults(streams={"product": "linear", "cut": True})
        with pytest.raises(ccxt.NetworkError):
            await asyncio.wait_for(task, PATIENCE_S)
        await until(lambda: simulator.state()["streams"] == [])

        async def cancel() -> None:
            await client.cancel_all_orders("ETH/USDT:USDT")

        (order,) = await told(simulator, "linear", client.watch_orders(None, None, None, LINEAR), cancel)
        assert order["status"] == "canceled"

    async def test_refusal(self, simulator: Simulator, client: Any) -> None:
        """New connections are turned away, of one product or of all."""
        simulator.set_faults(streams={"product": "linear", "refused": True})
        with pytest.raises(ccxt.NetworkError):
            await asyncio.wait_for(client.watch_orders(None, None, None, LINEAR), PATIENCE_S)
        async with raw_stream(simulator, "wss://ws-api.binance.com/ws-api/v3"):
            pass
        simulator.set_faults(streams={"refused": True})
        with pytest.raises(aiohttp.WSServerHandshakeError):
            async with raw_stream(simulator, "wss://ws-api.binance.com/ws-api/v3"):
                pass

    async def test_by_intent(self, simulator: Simulator, client: Any) -> None:
        """A rule can refuse the key, and a rule can refuse the connection."""
        rule = {"match": {"intent": "stream", "product": "linear", "method": "POST"}}
        simulator.set_faults(rules={**rule, "do": {"refuse": {"reason": "overloaded"}}})
        with pytest.raises(ccxt.OperationFailed, match="-1008"):
            await client.fapiPrivatePostListenKey()
        connect = {"intent": "stream", "product": "linear", "method": "GET"}
        simulator.set_faults(rules={"match": connect, "do": {"refuse": {"reason": "key_denied"}}})
        with pytest.raises(aiohttp.WSServerHandshakeError, match="401"):
            async with listening(simulator, client):
                pass

    async def test_latency(self, simulator: Simulator, client: Any) -> None:
        """Events are half a round trip late."""
        async with listening(simulator, client) as (socket, _):
            simulator.set_faults(latency_ms=[{"ms": 100, "host": "fstream"}])
            start = time.monotonic()
            simulator.core.cancel_all(simulator.account, Product.LINEAR)
            await next_event(socket)
            assert time.monotonic() - start >= 0.05

    async def test_a_reset_breaks_what_is_open(self, simulator: Simulator, client: Any) -> None:
        """Its keys belong to a world that is gone."""
        async with listening(simulator, client) as (socket, _):
            simulator.reset()
            message = await socket.receive(timeout=PATIENCE_S)
        assert message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.ERROR)
        assert not hears(simulator, "linear")


async def test_the_journal_shows_connections(simulator: Simulator, client: Any) -> None:
    """As requests that were answered with 101."""
    async with listening(simulator, client):
        (entry,) = simulator.journal.entries(method="GET", path_prefix="/private/ws")
    assert (entry.status, entry.host) == (101, "fstream.binance.com")
