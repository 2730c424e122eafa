"""WebSockets of the simulated OKX, as the real ``ccxt.pro`` opens them, and how they fail."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import ccxt
import pytest

from node.sim.okx import stream_session
from node.sim.okx.security import sign
from node.sim.simulator import Simulator
from tests.support.okx import BTC, COIN, REDUCE, algos, client, sell, simulator, size
from tests.support.sim_clients import redirected_session

__all__ = ["client", "simulator"]

PRIVATE, BUSINESS = (f"wss://ws.okx.com:443/ws/v5/{name}" for name in ("private", "business"))
PATIENCE_S = 5.0


async def until(condition: Callable[[], bool]) -> None:
    """Wait for the venue."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.002)


def hears(simulator: Simulator) -> bool:
    """Whether somebody listens."""
    return any(connection["hears"] for connection in simulator.state()["streams"])


async def told(simulator: Simulator, watch: Any, deed: Any) -> Any:
    """What a watcher is told of a deed that is done once the venue listens."""
    task = asyncio.ensure_future(watch)
    await until(lambda: hears(simulator) or task.done())
    await deed
    return await asyncio.wait_for(task, PATIENCE_S)


class Socket:
    """A connection without ccxt."""

    def __init__(self, simulator: Simulator, wire: aiohttp.ClientWebSocketResponse) -> None:
        self._simulator = simulator
        self._wire = wire

    async def say(self, message: object) -> None:
        """Send a document, or a word."""
        await self._wire.send_str(message if isinstance(message, str) else json.dumps(message))

    async def next(self) -> Any:
        """The next message, as a document if it is one."""
        text = await self._wire.receive_str(timeout=PATIENCE_S)
        return json.loads(text) if text.startswith("{") else text

    async def ask(self, message: object) -> Any:
        """Say something and hear the answer."""
        await self.say(message)
        return await self.next()

    async def log_in(self, **changes: str) -> Any:
        """Log in with the account's key, or with something else."""
        keys = self._simulator.credentials()
        now = str(self._simulator.clock.now_ms() // 1000)
        signature = sign(keys["secret"], f"{now}GET/users/self/verify")
        argument = {"apiKey": keys["apiKey"], "passphrase": keys["password"], "timestamp": now, "sign": signature}
        return await self.ask({"op": "login", "args": [{**argument, **changes}]})

    async def subscribe(self, channel: str, **arguments: str) -> Any:
        """Subscribe, and pass over the acknowledgement's companion."""
        return await self.ask({"op": "subscribe", "args": [{"channel": channel, **arguments}]})

    async def broken(self) -> bool:
        """Whether the other end is gone."""
        message = await self._wire.receive(timeout=PATIENCE_S)
        return message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.ERROR)


@asynccontextmanager
async def raw_socket(simulator: Simulator, url: str = PRIVATE) -> AsyncIterator[Socket]:
    """A connection without ccxt."""
    async with redirected_session(simulator) as session, session.ws_connect(url) as wire:
        yield Socket(simulator, wire)


class TestChannels:
    async def test_an_order_that_fills(self, simulator: Simulator, client: Any) -> None:
        """It is told as live first, and then as filled; nothing is told of what was there before."""
        orders = await told(simulator, client.watch_orders(), sell(client, clientOrderId="sn1"))
        assert {(o["symbol"], o["clientOrderId"], o["reduceOnly"]) for o in orders} == {(BTC, "sn1", True)}
        await until(lambda: client.orders[-1]["status"] == "closed")
        assert (client.orders[-1]["filled"], client.orders[-1]["average"]) == (25, 63999.9)

    @pytest.mark.parametrize(("symbol", "left"), [(BTC, 100), (COIN, 225)])
    async def test_positions(self, simulator: Simulator, client: Any, symbol: str, left: float) -> None:
        """A snapshot of all products first, then what changed."""
        snapshot = await asyncio.wait_for(client.watch_positions(), PATIENCE_S)
        assert len(snapshot) == 23
        (position,) = await told(simulator, client.watch_positions(), sell(client, symbol))
        assert (position["symbol"], position["contracts"], position["side"]) == (symbol, left, "long")

    async def test_a_position_that_is_gone(self, simulator: Simulator, client: Any) -> None:
        """It comes with ``pos`` zero; ccxt makes two sides of it."""
        await asyncio.wait_for(client.watch_positions(), PATIENCE_S)
        gone = await told(simulator, client.watch_positions(), sell(client, amount=125))
        assert {(p["symbol"], p["contracts"]) for p in gone} == {(BTC, 0)}

    async def test_balances(self, simulator: Simulator, client: Any) -> None:
        """A snapshot, and then only the coins that moved."""
        snapshot = await asyncio.wait_for(client.watch_balance(), PATIENCE_S)
        assert snapshot["SOL"]["total"] == 120
        await told(simulator, client.watch_balance(), client.create_order("ETH/USDT", "market", "sell", 1))
        await until(lambda: client.balance["ETH"]["total"] < 34.9)
        async with raw_socket(simulator) as socket:
            await socket.log_in()
            await socket.subscribe("account", ccy="USDT")
            first, _ = await socket.next(), await socket.next()
            assert (first["eventType"], len(first["data"][0]["details"])) == ("snapshot", 1)
            await sell(client)
            event = await socket.next()
            assert [row["ccy"] for row in event["data"][0]["details"]] == ["USDT"]

    async def test_algo_orders(self, simulator: Simulator, client: Any) -> None:
        """They have an address of their own; what they become is told as an order."""
        (stop,) = await algos(client, BTC)
        (resting,) = await client.fetch_open_orders(BTC)
        await client.cancel_order(resting["id"], BTC)

        async def fall() -> None:
            simulator.set_faults(prices={"linear:BTC/USDT": "57000"})

        orders = await told(simulator, client.watch_orders(None, None, None, {"trigger": True}), fall())
        assert [(o["id"], o["status"]) for o in orders] == [(stop["id"], "closed")]
        assert orders[0]["info"]["ordId"] != ""

    async def test_filters(self, simulator: Simulator, client: Any) -> None:
        """A subscription hears its own type and instrument."""
        async with raw_socket(simulator) as socket:
            await socket.log_in()
            await socket.subscribe("orders", instType="SWAP", instId="ETH-USDT-SWAP")
            await socket.next()
            await sell(client)
            await client.create_order("ETH/USDT:USDT", "market", "buy", 1, None, REDUCE)
            event = await socket.next()
            assert (event["data"][0]["instId"], event["data"][0]["state"]) == ("ETH-USDT-SWAP", "live")
            assert (await socket.next())["data"][0]["state"] == "filled"
            argument = {"channel": "orders", "instType": "SWAP", "instId": "ETH-USDT-SWAP"}
            assert (await socket.ask({"op": "unsubscribe", "args": [argument]}))["event"] == "unsubscribe"
            await client.create_order("ETH/USDT:USDT", "market", "buy", 1, None, REDUCE)
            assert await socket.ask("ping") == "pong"


class TestConnections:
    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"apiKey": "nobody"}, "60005"),
            ({"passphrase": "wrong"}, "60024"),
            ({"sign": "wrong"}, "60007"),
            ({"timestamp": "1700000000"}, "60006"),
            ({"timestamp": "now"}, "60004"),
        ],
    )
    async def test_refused_logins(self, simulator: Simulator, changes: dict[str, str], code: str) -> None:
        """Each has its code, and no login is no subscription."""
        async with raw_socket(simulator) as socket:
            answer = await socket.log_in(**changes)
            assert (answer["event"], answer["code"]) == ("error", code)
            assert (await socket.subscribe("orders", instType="ANY"))["code"] == "60011"

    async def test_where_channels_are(self, simulator: Simulator) -> None:
        """Algo orders are on the business address, everything else on the private one."""
        async with raw_socket(simulator) as private, raw_socket(simulator, BUSINESS) as business:
            assert (await private.log_in())["event"] == "login"
            await business.log_in()
            assert (await private.log_in())["code"] == "60031"
            assert (await private.subscribe("orders-algo", instType="ANY"))["code"] == "64001"
            assert (await business.subscribe("orders", instType="ANY"))["code"] == "64002"
            assert (await private.subscribe("weather"))["code"] == "60018"
            assert (await private.ask({"op": "dance"}))["code"] == "60012"
            assert (await private.ask("{"))["code"] == "60012"
            assert await private.ask("ping") == "pong"

    async def test_a_wrong_key_with_ccxt(self, client: Any) -> None:
        """ccxt raises what it is told."""
        client.secret = "wrong"
        with pytest.raises(ccxt.AuthenticationError, match="60007"):
            await asyncio.wait_for(client.watch_orders(), PATIENCE_S)

    async def test_silence(self, simulator: Simulator, client: Any) -> None:
        """Connected, and nothing of one product comes; what happened meanwhile is never told."""
        async with raw_socket(simulator) as socket:
            await socket.log_in()
            await socket.subscribe("orders", instType="ANY")
            await socket.next()
            simulator.set_faults(streams={"product": "linear", "silent": True})
            await sell(client)
            await sell(client, COIN, 25)
            event = await socket.next()
            assert event["data"][0]["instId"] == "BTC-USD-SWAP"

    async def test_a_cut_and_a_refusal(self, simulator: Simulator, client: Any) -> None:
        """A broken connection ends ccxt's wait, and a new one is not taken."""
        task = asyncio.ensure_future(client.watch_orders())
        await until(lambda: hears(simulator))
        simulator.set_faults(streams={"cut": True, "refused": True})
        with pytest.raises(ccxt.NetworkError):
            await asyncio.wait_for(task, PATIENCE_S)
        with pytest.raises(ccxt.BaseError):
            await asyncio.wait_for(client.watch_orders(), PATIENCE_S)

    async def test_thirty_seconds_of_silence(self, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
        """A connection that is told nothing breaks; a ping is answered, and keeps it."""
        monkeypatch.setattr(stream_session, "IDLE_S", 0.4)
        async with raw_socket(simulator) as kept, raw_socket(simulator) as lost:
            await lost.log_in()
            for _ in range(6):
                assert await kept.ask("ping") == "pong"
                await asyncio.sleep(0.09)
            assert await lost.broken()
            assert await kept.ask("ping") == "pong"

    async def test_a_service_upgrade(self, simulator: Simulator) -> None:
        """The venue says that it will close the connection, and closes it."""
        async with raw_socket(simulator) as socket:
            await socket.log_in()
            await socket.subscribe("orders", instType="ANY")
            await socket.next()
            simulator.set_faults(streams={"expire": True})
            notice = await socket.next()
            assert (notice["event"], notice["code"]) == ("notice", "64008")
            assert await socket.broken()
        await until(lambda: not simulator.state()["streams"])


class TestOrdersOverTheSocket:
    async def test_place_and_cancel(self, simulator: Simulator, client: Any) -> None:
        """They name their instrument by a number, and are the orders of HTTP."""
        params = {**REDUCE, "clientOrderId": "ws1"}
        order = await asyncio.wait_for(client.create_order_ws(BTC, "market", "sell", 25, None, params), PATIENCE_S)
        assert (size(simulator), order["clientOrderId"]) == (100, "ws1")
        assert (await client.fetch_order(order["id"], BTC))["filled"] == 25
        made = await client.create_order_ws(BTC, "limit", "buy", 1, 62000)
        await asyncio.wait_for(client.cancel_order_ws(made["id"], BTC), PATIENCE_S)
        made = [await client.create_order_ws(BTC, "limit", "buy", 1, 62000 + n) for n in range(2)]
        await asyncio.wait_for(client.cancel_orders_ws([order["id"] for order in made], BTC), PATIENCE_S)
        assert len(await client.fetch_open_orders(BTC)) == 1
        assert simulator.account.counters.exposure_increases == 3

    async def test_refusals(self, simulator: Simulator, client: Any) -> None:
        """Codes are those of HTTP, in the row; the sentence comes before it in ccxt's error."""
        with pytest.raises(ccxt.BaseError, match="51112"):
            await asyncio.wait_for(client.create_order_ws(BTC, "market", "sell", 126, None, REDUCE), PATIENCE_S)
        with pytest.raises(ccxt.BaseError, match="51400"):
            await asyncio.wait_for(client.cancel_order_ws("1", BTC), PATIENCE_S)
        async with raw_socket(simulator) as socket:
            assert (await socket.ask({"id": "1", "op": "order", "args": [{}]}))["code"] == "60011"
            await socket.log_in()
            simulator.set_faults(key_rights={"demo": {"spot": False}})
            answer = await socket.ask({"id": "2", "op": "order", "args": [{"instId": "BTC-USDT-SWAP"}]})
            assert (answer["id"], answer["op"], answer["code"]) == ("2", "order", "50120")
