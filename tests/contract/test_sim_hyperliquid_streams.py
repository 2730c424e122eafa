"""The WebSocket of the simulated Hyperliquid, as the real ``ccxt.pro`` opens it, and how it fails."""

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

from node.sim.server import serve
from node.sim.simulator import Simulator
from tests.support.hyperliquid_client import hyperliquid_client
from tests.support.sim_clients import redirected_session

BTC = "BTC/USDC:USDC"
REDUCE = {"reduceOnly": True}
URL = "wss://api.hyperliquid.xyz/ws"
PATIENCE_S = 5.0


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    """The demo account."""
    async with serve(venue="hyperliquid") as running:
        yield running


@pytest.fixture
async def client(simulator: Simulator) -> AsyncIterator[Any]:
    """A client with loaded markets."""
    async with hyperliquid_client(simulator) as exchange:
        await exchange.load_markets()
        yield exchange


async def until(condition: Callable[[], bool]) -> None:
    """Wait for the venue."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.002)


def hears(simulator: Simulator, product: str) -> bool:
    """Whether somebody listens to the product."""
    return any(product in connection["hears"] for connection in simulator.state()["streams"])


async def told(simulator: Simulator, product: str, watch: Any, deed: Any) -> Any:
    """What a watcher is told of a deed that is done once the venue listens to it."""
    task = asyncio.ensure_future(watch)
    await until(lambda: hears(simulator, product) or task.done())
    await deed()
    return await asyncio.wait_for(task, PATIENCE_S)


async def next_event(socket: aiohttp.ClientWebSocketResponse) -> Any:
    """The next document of a stream."""
    return json.loads(await socket.receive_str(timeout=PATIENCE_S))


@asynccontextmanager
async def listening(simulator: Simulator, *kinds: str, **more: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A raw stream with some subscriptions, confirmed; what is told at once is still to come."""
    async with redirected_session(simulator) as session, session.ws_connect(URL) as socket:
        assert await socket.receive_str(timeout=PATIENCE_S) == "Websocket connection established."
        user = simulator.credentials()["walletAddress"]
        for kind in kinds:
            subscription = {"type": kind, "user": user, **more}
            await socket.send_json({"method": "subscribe", "subscription": subscription})
            answer = await next_event(socket)
            assert answer == {
                "channel": "subscriptionResponse",
                "data": {"method": "subscribe", "subscription": subscription},
            }
        yield socket


class TestThroughCcxt:
    async def test_orders(self, simulator: Simulator, client: Any) -> None:
        """Taken, then filled; with the client id."""
        word = "0x" + "ab" * 16

        async def sell() -> None:
            await client.create_order(BTC, "market", "sell", 0.25, 64000, {**REDUCE, "clientOrderId": word})

        (order,) = await told(simulator, "linear", client.watch_orders(), sell)
        assert (order["symbol"], order["clientOrderId"], order["side"], order["status"]) == (BTC, word, "sell", "open")
        await until(lambda: client.orders[-1]["status"] == "closed")
        assert client.orders[-1]["filled"] == 0.25

    async def test_positions(self, simulator: Simulator, client: Any) -> None:
        """All that is open, at once and after every trade; what is closed is just not there any more."""
        first = await client.watch_positions()
        assert len(first) == 20

        async def sell() -> None:
            await client.create_order(BTC, "market", "sell", 1.25, 64000, REDUCE)

        later = await told(simulator, "linear", client.watch_positions(), sell)
        assert (len(later), BTC in {p["symbol"] for p in later}) == (19, False)

    async def test_balances(self, simulator: Simulator, client: Any) -> None:
        """The contracts' wallet, and spot with what orders hold."""
        balance = await client.watch_balance()
        assert balance["USDC"]["total"] > 400_000

        async def rest() -> None:
            await client.create_order("ETH/USDC", "limit", "sell", 1, 3300)

        await client.watch_balance({"type": "spot"})
        spot = await told(simulator, "spot", client.watch_balance({"type": "spot"}), rest)
        assert (spot["UETH"]["total"], spot["UETH"]["used"]) == (5.25, 1)

    async def test_trades(self, simulator: Simulator, client: Any) -> None:
        """``userFills``; an empty past says nothing."""

        async def sell() -> None:
            await client.create_order(BTC, "market", "sell", 0.25, 64000, REDUCE)

        (trade,) = await told(simulator, "linear", client.watch_my_trades(), sell)
        assert (trade["symbol"], trade["amount"], trade["price"]) == (BTC, 0.25, 63999)

    async def test_orders_over_the_stream(self, simulator: Simulator, client: Any) -> None:
        """Placed and cancelled by ``post``; an error comes back as one."""
        order = await client.create_order_ws(BTC, "limit", "buy", 0.01, 60000)
        assert (await client.fetch_order(order["id"], BTC))["status"] == "open"
        await client.cancel_order_ws(order["id"], BTC)
        assert (await client.fetch_order(order["id"], BTC))["status"] == "canceled"
        with pytest.raises(ccxt.OrderNotFound):
            await client.cancel_order_ws(order["id"], BTC)
        assert simulator.account.counters.orders_cancelled == 1


class TestRaw:
    async def test_a_builders_dex_has_a_state_of_its_own(self, simulator: Simulator, client: Any) -> None:
        """Orders come for all dexs, states for one."""
        async with listening(simulator, "clearinghouseState", dex="xyz") as socket:
            state = (await next_event(socket))["data"]
            assert (state["dex"], len(state["clearinghouseState"]["assetPositions"])) == ("xyz", 2)
            await client.create_order(BTC, "market", "sell", 0.1, 64000, REDUCE)
            await client.create_order("XYZ-GOLD/USDC:USDC", "market", "sell", 4.5, 3340, REDUCE)
            state = (await next_event(socket))["data"]
            assert [p["position"]["coin"] for p in state["clearinghouseState"]["assetPositions"]] == ["xyz:TSLA"]

    async def test_a_trigger(self, simulator: Simulator) -> None:
        """A fall fills the entry that rests below, and fires the stop of all that there is then."""
        async with listening(simulator, "orderUpdates") as socket:
            simulator.set_faults(prices={"linear:BTC/USDC": "57000"})
            told: list[dict[str, Any]] = []
            while not any(each["order"].get("reduceOnly") and each["status"] == "filled" for each in told):
                told += (await next_event(socket))["data"]
        stop = [each["status"] for each in told if each["order"].get("reduceOnly")]
        assert stop == ["filled"]
        assert [each["status"] for each in told if not each["order"].get("reduceOnly")] == ["filled"]  # the entry below

    async def test_reductions_end_with_their_position(self, simulator: Simulator, client: Any) -> None:
        """``reduceOnlyCanceled``, unasked."""
        async with listening(simulator, "orderUpdates") as socket:
            await client.create_order("SOL/USDC:USDC", "market", "sell", 310, 150, REDUCE)
            seen = [(await next_event(socket))["data"][0] for _ in range(3)]
        assert [each["status"] for each in seen] == ["open", "filled", "reduceOnlyCanceled"]
        assert seen[-1]["order"]["limitPx"] == "156.0"

    async def test_snapshots(self, simulator: Simulator, client: Any) -> None:
        """Fills so far are told first, and marked."""
        await client.create_order(BTC, "market", "sell", 0.25, 64000, REDUCE)
        async with listening(simulator, "userFills") as socket:
            first = (await next_event(socket))["data"]
            await client.create_order(BTC, "market", "sell", 0.5, 64000, REDUCE)
            second = (await next_event(socket))["data"]
        assert [(each["isSnapshot"], [f["sz"] for f in each["fills"]]) for each in (first, second)] == [
            (True, ["0.25"]),
            (False, ["0.5"]),
        ]

    async def test_anybodys_address(self, simulator: Simulator) -> None:
        """A subscription for an address that holds nothing is confirmed, and nothing comes."""
        async with listening(simulator, "orderUpdates", user="0x" + "12" * 20) as socket:
            simulator.set_faults(prices={"linear:BTC/USDC": "57000"})
            with pytest.raises(asyncio.TimeoutError):
                await socket.receive_str(timeout=0.05)

    async def test_answers(self, simulator: Simulator) -> None:
        """Pings, reads by ``post``, and what is wrong."""
        user = simulator.credentials()["walletAddress"]
        subscription = {"type": "orderUpdates", "user": user}
        async with listening(simulator, "orderUpdates") as socket:

            async def ask(message: dict[str, Any]) -> Any:
                await socket.send_json(message)
                return await next_event(socket)

            assert await ask({"method": "ping"}) == {"channel": "pong"}
            read = {"type": "info", "payload": {"type": "clearinghouseState", "user": user}}
            answer = await ask({"method": "post", "id": 7, "request": read})
            assert (answer["data"]["id"], len(answer["data"]["response"]["payload"]["data"]["assetPositions"])) == (
                7,
                20,
            )
            broken = {"type": "info", "payload": {"type": "nothing"}}
            answer = await ask({"method": "post", "id": 8, "request": broken})
            assert answer["data"]["response"] == {
                "type": "error",
                "payload": "422 Failed to deserialize the JSON body into the target type",
            }
            assert "Already subscribed" in (await ask({"method": "subscribe", "subscription": subscription}))["data"]
            await ask({"method": "unsubscribe", "subscription": subscription})
            assert not hears(simulator, "linear")
            for wrong in ({"method": "subscribe", "subscription": {"type": "nothing"}}, {"method": "dance"}, {"a": 1}):
                assert (await ask(wrong))["channel"] == "error"


class TestFaults:
    async def test_silence(self, simulator: Simulator, client: Any) -> None:
        """What happened meanwhile is never told, what happens after it is."""
        async with listening(simulator, "orderUpdates") as socket:
            simulator.set_faults(streams={"product": "linear", "silent": True})
            await client.create_order(BTC, "market", "sell", 0.1, 64000, REDUCE)
            with pytest.raises(asyncio.TimeoutError):
                await socket.receive_str(timeout=0.05)
            simulator.set_faults(streams={"product": "linear", "silent": False})
            await client.create_order(BTC, "market", "sell", 0.2, 64000, REDUCE)
            assert (await next_event(socket))["data"][0]["order"]["origSz"] == "0.2"

    async def test_a_cut(self, simulator: Simulator, client: Any) -> None:
        """ccxt is told of it, and can watch again."""
        task = asyncio.ensure_future(client.watch_orders())
        await until(lambda: hears(simulator, "linear"))
        simulator.set_faults(streams={"cut": True})
        with pytest.raises(ccxt.NetworkError):
            await asyncio.wait_for(task, PATIENCE_S)
        await until(lambda: simulator.state()["streams"] == [])

        async def sell() -> None:
            await client.create_order(BTC, "market", "sell", 0.1, 64000, REDUCE)

        assert await told(simulator, "linear", client.watch_orders(), sell)

    async def test_refusal(self, simulator: Simulator, client: Any) -> None:
        """New connections are turned away."""
        simulator.set_faults(streams={"refused": True})
        with pytest.raises(ccxt.NetworkError):
            await asyncio.wait_for(client.watch_orders(), PATIENCE_S)

    async def test_the_journal_shows_connections(self, simulator: Simulator) -> None:
        """As requests that were answered with 101."""
        async with listening(simulator, "orderUpdates"):
            (entry,) = simulator.journal.entries(method="GET", path_prefix="/ws")
        assert (entry.status, entry.host) == (101, "api.hyperliquid.xyz")
