"""The private stream and the trade stream of the simulated Bybit, as the real ``ccxt.pro`` opens them."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import ccxt
import pytest

from node.sim.market import Product
from node.sim.server import serve
from node.sim.simulator import Simulator
from tests.support.sim_clients import redirected_session

BTC, COIN = "BTC/USDT:USDT", "BTC/USD:BTC"
REDUCE = {"reduceOnly": True}
PATIENCE_S = 5.0
PRIVATE, TRADE = "wss://stream.bybit.com/v5/private", "wss://stream.bybit.com/v5/trade"
ORDER = {"category": "linear", "symbol": "BTCUSDT", "side": "Sell", "orderType": "Market", "reduceOnly": True}


async def until(condition: Callable[[], bool]) -> None:
    """Wait for the venue."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.002)


def hears(simulator: Simulator, product: str) -> bool:
    """Whether somebody listens to the product."""
    return any(product in connection["hears"] for connection in simulator.state()["streams"])


def size(simulator: Simulator) -> float:
    """The demo account's position in bitcoin."""
    positions = simulator.state()["accounts"]["demo"]["positions"]
    return sum(float(p["quantity"]) for p in positions if p["symbol"] == "BTCUSDT")


async def told(simulator: Simulator, watch: Any, deed: Any, product: str = "linear") -> Any:
    """What a watcher is told of a deed that is done once the venue listens."""
    task = asyncio.ensure_future(watch)
    await until(lambda: hears(simulator, product) or task.done())
    await deed()
    return await asyncio.wait_for(task, PATIENCE_S)


def auth(simulator: Simulator, *, ahead_ms: int = 10_000, secret: str | None = None) -> dict[str, Any]:
    """The message that says who a connection is."""
    keys = simulator.credentials()
    expires = simulator.clock.now_ms() + ahead_ms
    digest = hmac.new((secret or keys["secret"]).encode(), f"GET/realtime{expires}".encode(), hashlib.sha256)
    return {"op": "auth", "args": [keys["apiKey"], expires, digest.hexdigest()]}


async def next_message(socket: aiohttp.ClientWebSocketResponse) -> Any:
    """The next document of a stream."""
    return json.loads(await socket.receive_str(timeout=PATIENCE_S))


async def ask(socket: aiohttp.ClientWebSocketResponse, message: dict[str, Any]) -> Any:
    """Say something, and hear the answer."""
    await socket.send_json(message)
    return await next_message(socket)


@asynccontextmanager
async def raw(simulator: Simulator, url: str = PRIVATE) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A connection without ccxt."""
    async with redirected_session(simulator) as session, session.ws_connect(url) as socket:
        yield socket


@asynccontextmanager
async def listening(simulator: Simulator, *topics: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A raw private stream that is subscribed."""
    async with raw(simulator) as socket:
        assert (await ask(socket, auth(simulator)))["success"]
        assert (await ask(socket, {"op": "subscribe", "args": list(topics)}))["success"]
        yield socket


@asynccontextmanager
async def trading(simulator: Simulator) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A raw trade stream that has said who it is."""
    async with raw(simulator, TRADE) as socket:
        assert (await ask(socket, auth(simulator)))["retCode"] == 0
        yield socket


def request(simulator: Simulator, operation: str, order: dict[str, Any], number: str = "1") -> dict[str, Any]:
    """An operation on the trade stream."""
    header = {"X-BAPI-TIMESTAMP": str(simulator.clock.now_ms()), "X-BAPI-RECV-WINDOW": "5000"}
    return {"reqId": number, "op": operation, "header": header, "args": [order]}


class TestPrivate:
    async def test_an_order_that_fills(self, bybit_sim: Simulator, bybit: Any) -> None:
        """``watch_orders`` sees it taken, and then filled."""

        async def sell() -> None:
            await bybit.create_order(BTC, "market", "sell", 0.25, None, {**REDUCE, "clientOrderId": "sn-1"})

        (order,) = await told(bybit_sim, bybit.watch_orders(), sell)
        assert (order["symbol"], order["clientOrderId"], order["reduceOnly"]) == (BTC, "sn-1", True)
        await until(lambda: bybit.orders[-1]["status"] == "closed")
        assert (bybit.orders[-1]["filled"], bybit.orders[-1]["average"]) == (0.25, 63999.9)

    @pytest.mark.parametrize(("symbol", "amount", "left"), [(BTC, 0.25, 1.0), (COIN, 5000, 20_000)])
    async def test_positions(self, bybit_sim: Simulator, bybit: Any, symbol: str, amount: float, left: float) -> None:
        """Of either kind of contract, on one connection; an order that is only taken tells of its position, too."""

        async def sell() -> None:
            await bybit.create_order(symbol, "market", "sell", amount, None, REDUCE)

        bybit.options["watchPositions"] = {"fetchPositionsSnapshot": False}
        (position,) = await told(bybit_sim, bybit.watch_positions(), sell)
        assert (position["symbol"], position["side"]) == (symbol, "long")
        await until(lambda: [p["contracts"] for p in bybit.positions if p["symbol"] == symbol] == [left])

    async def test_a_closed_position_has_no_side(self, bybit_sim: Simulator) -> None:
        """Its size is zero."""
        async with listening(bybit_sim, "position") as socket:
            bybit_sim.set_faults(prices={"linear:BTC/USDT": "57000"})  # the stop of the whole position fires
            rows = [(await next_message(socket))["data"][0] for _ in range(2)]
        assert (rows[-1]["symbol"], rows[-1]["size"], rows[-1]["side"], rows[-1]["entryPrice"]) == (
            "BTCUSDT",
            "0.000",
            "",
            "0",
        )

    async def test_a_wallet(self, bybit_sim: Simulator, bybit: Any) -> None:
        """``watch_balance`` sees the profit and the fee: the coin that moved, and the account's totals."""

        async def sell() -> None:
            await bybit.create_order(BTC, "market", "sell", 1.25, None, REDUCE)

        balance = await told(bybit_sim, bybit.watch_balance(), sell)
        assert 425_000 < balance["USDT"]["total"] < 440_000

    async def test_trades(self, bybit_sim: Simulator, bybit: Any) -> None:
        """With price, size and fee."""

        async def sell() -> None:
            await bybit.create_order("ETH/USDT", "market", "sell", 2)

        (trade,) = await told(bybit_sim, bybit.watch_my_trades(), sell)
        assert (trade["symbol"], trade["amount"], trade["price"], trade["takerOrMaker"]) == (
            "ETH/USDT",
            2,
            3199.99,
            "taker",
        )

    async def test_topics(self, bybit_sim: Simulator) -> None:
        """Of one category, or of all, and not both in one request; only what is subscribed is pushed."""
        async with listening(bybit_sim, "order.inverse", "wallet") as socket:
            assert sorted(bybit_sim.state()["streams"][0]["hears"]) == ["inverse", "linear", "spot"]
            mixed = await ask(socket, {"op": "subscribe", "args": ["order", "order.spot"], "req_id": "7"})
            assert (mixed["success"], mixed["req_id"]) == (False, "7")
            assert not (await ask(socket, {"op": "subscribe", "args": ["nothing"]}))["success"]
            bybit_sim.core.cancel_all(bybit_sim.account, Product.LINEAR)
            bybit_sim.core.cancel_all(bybit_sim.account, Product.INVERSE)
            events = [await next_message(socket) for _ in range(2)]
            assert {(e["topic"], e["data"][0]["category"]) for e in events} == {("order.inverse", "inverse")}
            assert (await ask(socket, {"op": "unsubscribe", "args": ["order.inverse"]}))["success"]
            bybit_sim.core.cancel_all(bybit_sim.account, Product.SPOT)
            assert (await next_message(socket))["topic"] == "wallet"

    async def test_who_it_is_comes_first(self, bybit_sim: Simulator) -> None:
        """A wrong signature, a time that is over, no name at all."""
        async with raw(bybit_sim) as socket:
            for message in (
                {"op": "subscribe", "args": ["order"]},
                auth(bybit_sim, secret="wrong"),
                auth(bybit_sim, ahead_ms=-1),
                {"op": "auth", "args": ["nobody"]},
                {"op": "dance"},
            ):
                assert (await ask(socket, message))["success"] is False
            assert (await ask(socket, {"op": "ping", "req_id": "3"}))["op"] == "pong"
            assert (await ask(socket, auth(bybit_sim)))["success"] is True
            assert (await ask(socket, auth(bybit_sim)))["success"] is False

    async def test_ccxt_with_a_wrong_secret(self, bybit: Any) -> None:
        """It makes an error of it."""
        bybit.options["enableUnifiedMargin"], bybit.options["enableUnifiedAccount"] = False, True
        bybit.secret = "wrong"
        with pytest.raises(ccxt.ExchangeError):
            await asyncio.wait_for(bybit.watch_orders(), PATIENCE_S)

    async def test_accounts_are_apart(self) -> None:
        """What happens to another account is not told."""
        async with serve(venue="bybit", scenario="desk") as simulator, listening(simulator, "order") as socket:
            simulator.core.cancel_all(simulator.core.accounts["hedge"], Product.LINEAR)
            simulator.core.cancel_all(simulator.core.accounts["demo"], Product.SPOT)
            assert (await next_message(socket))["data"][0]["category"] == "spot"

    async def test_silence_and_cut(self, bybit_sim: Simulator) -> None:
        """One category falls silent, and the others go on; a cut breaks them all."""
        async with listening(bybit_sim, "order") as socket:
            bybit_sim.set_faults(streams={"product": "linear", "silent": True})
            bybit_sim.core.cancel_all(bybit_sim.account, Product.LINEAR)
            bybit_sim.core.cancel_all(bybit_sim.account, Product.SPOT)
            assert (await next_message(socket))["data"][0]["category"] == "spot"
            bybit_sim.set_faults(streams={"product": "inverse", "cut": True})
            message = await socket.receive(timeout=PATIENCE_S)
        assert message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.ERROR)

    async def test_refusal_and_expiry(self, bybit_sim: Simulator) -> None:
        """Nothing expires with a notice: the connection breaks."""
        async with listening(bybit_sim, "order") as socket:
            bybit_sim.set_faults(streams={"expire": True})
            message = await socket.receive(timeout=PATIENCE_S)
        assert message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.ERROR)
        bybit_sim.set_faults(streams={"product": "linear", "refused": True})
        with pytest.raises(aiohttp.WSServerHandshakeError):
            async with raw(bybit_sim):
                pass


class TestTrade:
    async def test_with_ccxt(self, bybit_sim: Simulator, bybit: Any) -> None:
        """Placed, and cancelled; the journal shows both as requests."""
        order = await bybit.create_order_ws(BTC, "limit", "buy", 0.01, 50_000, {"clientOrderId": "sn-1"})
        assert order["clientOrderId"] == "sn-1"
        await bybit.cancel_order_ws(order["id"], BTC)
        entries = bybit_sim.journal.entries(method="POST")
        assert [(entry.path, entry.host, entry.key) for entry in entries] == [
            ("/v5/order/create", "stream.bybit.com", "demo/client"),
            ("/v5/order/cancel", "stream.bybit.com", "demo/client"),
        ]
        assert all(len(entry.order_ids) == 1 for entry in entries)
        with pytest.raises(ccxt.InvalidOrder, match="110017"):
            await bybit.create_order_ws("INJ/USDT:USDT", "market", "sell", 1, None, REDUCE)

    async def test_answers(self, bybit_sim: Simulator) -> None:
        """With the request's id, and what is left of the limit."""
        async with trading(bybit_sim) as socket:
            answer = await ask(socket, request(bybit_sim, "order.create", {**ORDER, "qty": "0.25"}))
            assert (answer["reqId"], answer["retCode"], set(answer["data"])) == ("1", 0, {"orderId", "orderLinkId"})
            assert (answer["header"]["X-Bapi-Limit-Status"], size(bybit_sim)) == ("9", 1.0)
            batch = {"category": "linear", "request": [{**ORDER, "qty": "0.1"}, {**ORDER, "qty": "500"}]}
            answer = await ask(socket, request(bybit_sim, "order.create-batch", batch, "2"))
            assert [code["code"] for code in answer["retExtInfo"]["list"]] == [0, 0]
            assert size(bybit_sim) == 0
            assert (await ask(socket, {"op": "ping"}))["op"] == "pong"

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"op": "order.cancel-all"}, 10404),
            ({"op": "order.dance"}, 10404),
            ({"header": {}}, 10001),
            ({"header": {"X-BAPI-TIMESTAMP": "1700000000000"}}, 10002),
            ({"args": []}, 10001),
            ({"args": [{**ORDER, "qty": "0"}]}, 10001),
        ],
    )
    async def test_refusals(self, bybit_sim: Simulator, change: dict[str, Any], code: int) -> None:
        """There is no way to cancel everything here."""
        async with trading(bybit_sim) as socket:
            answer = await ask(socket, {**request(bybit_sim, "order.create", {**ORDER, "qty": "0.1"}), **change})
        assert (answer["retCode"], answer["reqId"], size(bybit_sim)) == (code, "1", 1.25)

    async def test_ids_are_used_once(self, bybit_sim: Simulator) -> None:
        """On one connection."""
        async with trading(bybit_sim) as socket:
            message = request(bybit_sim, "order.create", {**ORDER, "qty": "0.1"})
            assert [(await ask(socket, message))["retCode"] for _ in range(2)] == [0, 20006]

    async def test_who_it_is_comes_first(self, bybit_sim: Simulator) -> None:
        """And is said once."""
        async with raw(bybit_sim, TRADE) as socket:
            message = request(bybit_sim, "order.create", {**ORDER, "qty": "0.1"})
            assert (await ask(socket, message))["retCode"] == 10003
            assert (await ask(socket, auth(bybit_sim, secret="wrong")))["retCode"] == 10004
            assert (await ask(socket, auth(bybit_sim)))["retCode"] == 0
            assert (await ask(socket, auth(bybit_sim)))["retCode"] == 20001
            bybit_sim.set_faults(revoke_key="demo")
            assert (await ask(socket, {**message, "reqId": "2"}))["retCode"] == 10003

    @pytest.mark.parametrize(
        ("deed", "code", "left"),
        [
            ({"refuse": {"reason": "overloaded"}}, 429, 1.25),
            ({"refuse_after_execution": {"reason": "status_unknown"}}, 10000, 1.0),
            ({"rate_limit": {"retry_after": 2}}, 10006, 1.25),
            ({"ban_418": {"retry_after": 60}}, 10403, 1.25),
            ({"partial_fill": 0.2}, 0, 1.2),
        ],
    )
    async def test_faults(self, bybit_sim: Simulator, deed: object, code: int, left: float) -> None:
        """The same as over HTTP."""
        bybit_sim.set_faults(rules={"match": {"intent": "place", "market": "linear:BTC/USDT"}, "do": deed})
        async with trading(bybit_sim) as socket:
            answer = await ask(socket, request(bybit_sim, "order.create", {**ORDER, "qty": "0.25"}))
        assert (answer["retCode"], size(bybit_sim)) == (code, left)

    @pytest.mark.parametrize(
        ("deed", "left"), [("lose_after_execution", 1.0), ("timeout_after_execution", 1.0), ("hang", 1.25)]
    )
    async def test_no_answer(self, bybit_sim: Simulator, deed: str, left: float) -> None:
        """The connection breaks, or is silent."""
        bybit_sim.set_faults(rules={"match": {"intent": "place"}, "do": deed})
        async with trading(bybit_sim) as socket:
            await socket.send_json(request(bybit_sim, "order.create", {**ORDER, "qty": "0.25"}))
            if deed == "lose_after_execution":
                message = await socket.receive(timeout=PATIENCE_S)
                assert message.type is not aiohttp.WSMsgType.TEXT
            else:
                assert (await ask(socket, {"op": "ping"}))["op"] == "pong"
        assert size(bybit_sim) == left
        assert bybit_sim.journal.entries(method="POST")[0].fault == deed

    async def test_spoilt_answers(self, bybit_sim: Simulator) -> None:
        """Nothing, a web page, half of it, something else."""
        async with trading(bybit_sim) as socket:
            for number, deed in enumerate(("empty_200", "html_200", "truncated_body", {"reshape": {"body": []}})):
                bybit_sim.set_faults(rules={"match": {"intent": "place"}, "do": deed})
                message = request(bybit_sim, "order.create", {**ORDER, "qty": "0.25"}, str(number))
                await socket.send_json(message)
                text = await socket.receive_str(timeout=PATIENCE_S)
                assert "orderId" not in text or not text.endswith("}")
        assert size(bybit_sim) == 0.25

    async def test_latency(self, bybit_sim: Simulator) -> None:
        """Half a round trip there, and half of it back."""
        async with trading(bybit_sim) as socket:
            bybit_sim.set_faults(latency_ms=100)
            start = time.monotonic()
            await socket.send_json(request(bybit_sim, "order.create", {**ORDER, "qty": "0.25"}))
            await asyncio.sleep(0.02)
            assert size(bybit_sim) == 1.25
            await next_message(socket)
            assert time.monotonic() - start >= 0.1
