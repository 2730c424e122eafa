"""Orders of the real ``ccxt.pro.okx`` at the simulated venue."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import ccxt
import pytest

from node.sim.okx import trade
from node.sim.server import serve
from node.sim.simulator import Simulator
from tests.support.okx import ADA, BTC, COIN, REDUCE, algos, client, sell, simulator, size, sizes
from tests.support.sim_clients import okx_client

__all__ = ["client", "simulator"]


async def close_all(client: Any, positions: list[dict[str, Any]], *, hedged: bool = False) -> list[dict[str, Any]]:
    """Close every position in market orders no larger than the venue takes."""
    orders = []
    for position in positions:
        most = float(client.market(position["symbol"])["info"]["maxMktSz"])
        side, rest = ("sell" if position["side"] == "long" else "buy"), position["contracts"]
        params = {**REDUCE, "marginMode": position["marginMode"], **({"hedged": True} if hedged else {})}
        while rest > 0:
            amount = min(rest, most)
            orders.append(client.create_order(position["symbol"], "market", side, amount, None, params))
            rest -= amount
    return list(await asyncio.gather(*orders))


class TestCloseEverything:
    async def test_net_mode(self, simulator: Simulator, client: Any) -> None:
        """Twenty-three positions close at once; nothing flips, nothing is opened."""
        orders = await close_all(client, await client.fetch_positions())
        assert {order["info"]["sCode"] for order in orders} == {"0"}
        assert (len(orders), sizes(simulator)) == (26, {})
        counters = simulator.account.counters
        assert (counters.sign_flips, counters.exposure_increases, counters.orders_filled) == (0, 0, len(orders))

    async def test_hedge_mode(self) -> None:
        """In long/short mode the leg is named, and reduceOnly is not sent; isolated positions are closed as such."""
        async with serve(venue="okx", scenario="hedge") as simulator, okx_client(simulator) as client:
            await close_all(client, await client.fetch_positions(), hedged=True)
            assert sizes(simulator) == {}
            assert simulator.account.counters.exposure_increases == 0
            sent = simulator.journal.entries(method="POST", path_prefix="/api/v5/trade/batch-orders")
            assert {entry.params["posSide"] for entry in sent} == {"long", "short"}
            assert not any("reduceOnly" in entry.params for entry in sent)

    async def test_basis(self) -> None:
        """Spot and swaps of one wallet: the shorts are bought back, the coins sold."""
        async with serve(venue="okx", scenario="basis") as simulator, okx_client(simulator) as client:
            await close_all(client, await client.fetch_positions())
            for coin, amount in (("BTC", 2), ("ETH", 20), ("SOL", 400)):
                await client.create_order(f"{coin}/USDT", "market", "sell", amount)
            held = simulator.account.wallets["spot"]
            assert [held[name].total for name in ("ETH", "SOL")] == [0, 0]
            assert float(held["BTC"].total) == 0.5  # the inverse wallet of the scenario is the same one


class TestBatches:
    async def test_each_row_answers_for_itself(self, simulator: Simulator, client: Any) -> None:
        """Some fail: the code outside is 2, and ccxt raises nothing."""
        batch = [
            {"symbol": symbol, "type": "market", "side": side, "amount": amount, "params": {**REDUCE}}
            for symbol, side, amount in (
                (BTC, "sell", 125),
                ("ETH/USDT:USDT", "buy", 184),
                (ADA, "sell", 3001),
                ("INJ/USDT:USDT", "sell", 1),
                ("LTC/USDT:USDT", "sell", 1),
            )
        ]
        client.enableLastJsonResponse = True
        orders = await client.create_orders(batch)
        assert client.last_json_response["code"] == "2"
        assert [order["status"] for order in orders] == [None, None, "rejected", "rejected", "rejected"]
        assert [order["info"]["sCode"] for order in orders[2:]] == ["51202", "51169", "51170"]
        assert {"BTC-USDT-SWAP", "ETH-USDT-SWAP"} & set(sizes(simulator)) == set()
        (entry,) = simulator.journal.entries(method="POST")
        assert (len(entry.order_ids), entry.code) == (2, "51202")

    async def test_no_more_than_twenty(self, client: Any) -> None:
        """The whole request is refused."""
        row = {"symbol": BTC, "type": "limit", "side": "buy", "amount": 0.01, "price": 62000, "params": {}}
        assert len(await client.create_orders([row] * 20)) == 20
        with pytest.raises(ccxt.BadRequest, match="51111"):
            await client.create_orders([row] * 21)


class TestCancel:
    async def test_orders_of_several_symbols(self, simulator: Simulator, client: Any) -> None:
        """There is no cancel-all: what is listed is cancelled in batches, across symbols and products."""
        orders = await client.fetch_open_orders()
        answers = await client.cancel_orders_for_symbols([{"id": o["id"], "symbol": o["symbol"]} for o in orders])
        assert {answer["info"]["sCode"] for answer in answers} == {"0"}
        assert await client.fetch_open_orders() == []
        assert simulator.account.counters.orders_cancelled == 8
        assert float(simulator.account.balance("spot", "SOL").free) == 120
        assert len(await algos(client)) == 5

    async def test_no_more_than_twenty(self, client: Any) -> None:
        """Twenty-one are refused, before any is looked at."""
        some = [{"id": str(n), "symbol": BTC} for n in range(21)]
        with pytest.raises(ccxt.ExchangeError, match="51406"):
            await client.cancel_orders_for_symbols(some)
        with pytest.raises(ccxt.OrderNotFound, match="51400"):
            await client.cancel_orders_for_symbols(some[:20])

    async def test_some_gone_already(self, client: Any) -> None:
        """An order that ended is a row's error, and no exception while another row is done."""
        made = [await client.create_order(BTC, "limit", "buy", 1, 62000 + n) for n in range(2)]
        await client.cancel_order(made[0]["id"], BTC)
        named = [{"id": order["id"], "symbol": BTC} for order in made]
        answers = await client.cancel_orders_for_symbols(named)
        assert [answer["info"]["sCode"] for answer in answers] == ["51400", "0"]
        last = await client.create_order(BTC, "limit", "buy", 1, 62000)
        answers = await client.cancel_orders([made[0]["id"], last["id"]], BTC)
        assert [answer["id"] for answer in answers] == [last["id"]]  # ccxt drops the row that failed
        with pytest.raises(ccxt.OrderNotFound, match="51400"):
            await client.cancel_order(made[1]["id"], BTC)

    async def test_algo_orders(self, simulator: Simulator, client: Any) -> None:
        """They have a request of their own, for ten at most."""
        orders = [{"id": o["id"], "symbol": o["symbol"]} for o in await algos(client)]
        with pytest.raises(ccxt.ExchangeError, match="50025"):
            await client.cancel_orders_for_symbols(orders * 3, {"trigger": True})
        await client.cancel_orders_for_symbols(orders, {"trigger": True})
        assert await algos(client) == []
        with pytest.raises(ccxt.OrderNotFound, match="51400"):
            await client.cancel_orders_for_symbols(orders[:1], {"trigger": True})

    async def test_a_client_id(self, client: Any) -> None:
        """Both names of an order lead to it, and the id is free again once the order has ended."""
        made = await client.create_order(BTC, "limit", "buy", 1, 62000, {"clientOrderId": "sn1"})
        with pytest.raises(ccxt.InvalidOrder, match="51016"):  # of any instrument
            await client.create_order("ETH/USDT", "limit", "buy", 0.1, 3100, {"clientOrderId": "sn1"})
        found = await client.fetch_order(None, BTC, {"clientOrderId": "sn1"})
        assert (found["id"], found["status"], found["info"]["tag"]) == (made["id"], "open", "")
        await client.cancel_order(None, BTC, {"clientOrderId": "sn1"})
        assert (await client.fetch_order(made["id"], BTC))["status"] == "canceled"
        again = await client.create_order(BTC, "limit", "buy", 1, 62000, {"clientOrderId": "sn1"})
        assert (await client.fetch_order(None, BTC, {"clientOrderId": "sn1"}))["id"] == again["id"]

    async def test_a_client_id_does_not_stop_a_second_market_order(self, simulator: Simulator, client: Any) -> None:
        """Only pending orders are compared: what was filled may be sent again, and trades again."""
        for left in (100, 75):
            await sell(client, clientOrderId="sn2")
            assert size(simulator) == left

    async def test_the_countdown(self, simulator: Simulator, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """After it everything is cancelled but algo orders; zero ends it."""
        monkeypatch.setattr(trade, "SECOND_S", 0.05)
        simulator.set_faults(enforce_limits=False)
        for milliseconds in (9_000, 121_000):
            with pytest.raises(ccxt.BadRequest, match="51000"):
                await client.cancel_all_orders_after(milliseconds)
        await client.cancel_all_orders_after(10_000)
        await client.cancel_all_orders_after(0)
        await asyncio.sleep(0.6)
        assert len(await client.fetch_open_orders()) == 8
        await client.cancel_all_orders_after(10_000)
        deadline = time.monotonic() + 5
        while await client.fetch_open_orders():
            assert time.monotonic() < deadline
        assert len(await algos(client)) == 5


class TestReductions:
    async def test_no_larger_than_the_position(self, simulator: Simulator, client: Any) -> None:
        """The whole order is refused; it is not cut to the position."""
        with pytest.raises(ccxt.InvalidOrder, match="51112"):
            await sell(client, amount=125.01)
        assert size(simulator) == 125
        await sell(client, amount=125)
        with pytest.raises(ccxt.ExchangeError, match="51169"):
            await sell(client)

    async def test_the_margin_mode_of_the_position(self) -> None:
        """An isolated position is not reduced by a cross order."""
        async with serve(venue="okx", scenario="hedge") as simulator, okx_client(simulator) as client:
            close = {**REDUCE, "hedged": True}
            with pytest.raises(ccxt.ExchangeError, match="51169"):
                await client.create_order("AVAX/USDT:USDT", "market", "sell", 300, None, close)
            await client.create_order(
                "AVAX/USDT:USDT", "market", "sell", 300, None, {**close, "marginMode": "isolated"}
            )
            assert "AVAX-USDT-SWAP" not in sizes(simulator)

    async def test_resting_reductions_end_with_the_position(self, client: Any) -> None:
        """The venue cancels them, and says so."""
        (resting,) = await client.fetch_open_orders("SOL/USDT:USDT")
        await client.create_order("SOL/USDT:USDT", "market", "sell", 310, None, REDUCE)
        ended = await client.fetch_order(resting["id"], "SOL/USDT:USDT")
        assert (ended["status"], ended["info"]["cancelSource"]) == ("canceled", "17")


class TestClosePosition:
    async def test_whatever_its_size(self, simulator: Simulator, client: Any) -> None:
        """No size is sent, and no order id comes back."""
        order = await client.close_position(BTC)
        assert (order["id"], order["info"]["posSide"], size(simulator)) == (None, "net", 0)
        with pytest.raises(ccxt.ExchangeError, match="51023"):
            await client.close_position(BTC)
        with pytest.raises(ccxt.ExchangeError, match="51023"):
            await client.close_position("ETH/USDT:USDT", None, {"marginMode": "isolated"})

    async def test_orders_in_the_way(self, simulator: Simulator, client: Any) -> None:
        """Resting orders that would close refuse it, unless it may cancel them; algo orders do not."""
        with pytest.raises(ccxt.InvalidOrder, match="51115"):
            await client.close_position("SOL/USDT:USDT")
        await client.close_position("SOL/USDT:USDT", None, {"autoCxl": True})
        assert (size(simulator, "SOL-USDT-SWAP"), await client.fetch_open_orders("SOL/USDT:USDT")) == (0, [])
        await client.close_position("XRP/USDT:USDT")
        assert len(await algos(client, "XRP/USDT:USDT")) == 1

    async def test_too_large(self, client: Any) -> None:
        """Beyond the market order's maximum it is refused."""
        with pytest.raises(ccxt.InvalidOrder, match="51108"):
            await client.close_position(ADA)

    async def test_a_leg(self) -> None:
        """In long/short mode the leg is mandatory."""
        async with serve(venue="okx", scenario="hedge") as simulator, okx_client(simulator) as client:
            with pytest.raises(ccxt.BadRequest, match="51000"):
                await client.close_position(BTC)
            await client.close_position(BTC, "sell")
            assert sizes(simulator)["BTC-USDT-SWAP"] == "80"


class TestAlgos:
    @pytest.fixture(autouse=True)
    async def _alone(self, client: Any) -> None:
        """The resting buy of the scenario would trade before any stop."""
        (order,) = await client.fetch_open_orders(BTC)
        await client.cancel_order(order["id"], BTC)

    async def test_a_stop_fires_and_closes(self, simulator: Simulator, client: Any) -> None:
        """A stop of the whole position; the order it becomes has an id of its own."""
        (stop,) = await algos(client, BTC)
        simulator.set_faults(prices={"linear:BTC/USDT": "57000"})
        assert size(simulator) == 0
        fired = (await client.privateGetTradeOrderAlgo({"algoId": stop["id"]}))["data"][0]
        assert (fired["state"], fired["ordId"] == "") == ("effective", False)
        assert (await client.fetch_order(fired["ordId"], BTC))["filled"] == 125
        assert await algos(client, BTC) == []

    async def test_one_cancels_the_other(self, simulator: Simulator, client: Any) -> None:
        """An oco order has two triggers; whichever is reached first, it is done."""
        for price, left in (("70000", 100), ("60000", 75)):
            made = await client.create_order(
                BTC, "market", "sell", 25, None, {**REDUCE, "stopLossPrice": 61000, "takeProfitPrice": 69000}
            )
            (order,) = await client.fetch_open_orders(BTC, None, None, {"ordType": "oco"})
            assert (order["id"], order["stopLossPrice"], order["takeProfitPrice"]) == (made["id"], 61000, 69000)
            simulator.set_faults(prices={"linear:BTC/USDT": price})
            assert size(simulator) == left
            simulator.set_faults(prices={"linear:BTC/USDT": "64000"})

    async def test_a_trailing_stop(self, simulator: Simulator, client: Any) -> None:
        """It follows the price, and is in a list of its own."""
        made = await client.create_order(BTC, "market", "sell", 25, None, {**REDUCE, "trailingPercent": 1})
        (order,) = await client.fetch_open_orders(BTC, None, None, {"trailing": True})
        assert order["id"] == made["id"]
        for price, left in (("65000", 125), ("66000", 125), ("65000", 100)):
            simulator.set_faults(prices={"linear:BTC/USDT": price})
            assert size(simulator) == left

    async def test_orders_that_outlive_their_position(self, simulator: Simulator, client: Any) -> None:
        """A stop ends with the position only if it belongs to it; others wait on, and may open a position."""
        stay = await client.create_order(BTC, "market", "sell", 25, None, {"stopLossPrice": 60000})
        params = {**REDUCE, "stopLossPrice": 60000, "cxlOnClosePos": True}
        await client.create_order(BTC, "market", "sell", 25, None, params)
        assert len(await algos(client, BTC)) == 3
        await sell(client, amount=125)
        assert [order["id"] for order in await algos(client, BTC)] == [stay["id"]]
        simulator.set_faults(prices={"linear:BTC/USDT": "59000"})
        assert size(simulator) == -25

    async def test_ids_of_the_client(self, client: Any) -> None:
        """ccxt sends ``clOrdId``, which names no algo order; ``algoClOrdId`` does."""
        await client.create_order(BTC, "market", "sell", 1, None, {"stopLossPrice": 60000, "clientOrderId": "sn1"})
        with pytest.raises(ccxt.OrderNotFound, match="51400"):
            await client.cancel_orders(None, BTC, {"trigger": True, "clientOrderId": ["sn1"]})
        await client.create_order(BTC, "market", "sell", 1, None, {"stopLossPrice": 60000, "algoClOrdId": "sn2"})
        with pytest.raises(ccxt.ExchangeError, match="51065"):
            await client.create_order(BTC, "market", "sell", 1, None, {"stopLossPrice": 60000, "algoClOrdId": "sn2"})
        await client.cancel_orders(None, BTC, {"trigger": True, "clientOrderId": ["sn2"]})
        assert len(await algos(client, BTC)) == 2


class TestSpot:
    async def test_selling_and_buying(self, simulator: Simulator, client: Any) -> None:
        """Amounts are in the base coin with ccxt; the venue's own default for a buy is the quote coin."""
        await client.create_order("ETH/USDT", "market", "sell", 1.25)
        assert float(simulator.account.balance("spot", "ETH").total) == 34.0
        await client.privatePostTradeOrder(
            {
                "instId": "ETH-USDT",
                "tdMode": "cash",
                "side": "buy",
                "ordType": "market",
                "sz": "320.001",
                "clOrdId": "a1",
            }
        )
        assert float(simulator.account.balance("spot", "ETH").total) == pytest.approx(34.0999)
        order = await client.fetch_order(None, "ETH/USDT", {"clientOrderId": "a1"})
        assert (order["cost"], order["status"], order["info"]["tgtCcy"]) == (320.001, "closed", "quote_ccy")

    async def test_what_is_bound_as_margin_is_not_there(self, simulator: Simulator, client: Any) -> None:
        """One wallet: coins that secure a position cannot be sold before it is closed."""
        free = (await client.fetch_balance())["BTC"]["free"]
        with pytest.raises(ccxt.InsufficientFunds, match="51008"):
            await client.create_order("BTC/USDT", "market", "sell", 3.29)
        assert free < 3.29
        await client.create_order(COIN, "market", "sell", 250, None, REDUCE)
        await client.cancel_orders_for_symbols(
            [{"id": o["id"], "symbol": COIN} for o in await client.fetch_open_orders(COIN)]
        )
        await client.create_order("BTC/USDT", "market", "sell", 3.29)

    async def test_a_post_only_order_that_would_trade(self, client: Any) -> None:
        """It is taken, and cancelled at once."""
        order = await client.create_order(BTC, "limit", "sell", 1, 63000, {"postOnly": True})
        found = await client.fetch_order(order["id"], BTC)
        assert (found["status"], found["filled"], found["info"]["cancelSource"]) == ("canceled", 0, "31")
        order = await client.create_order(BTC, "limit", "buy", 1, 63000, {"timeInForce": "FOK"})
        found = await client.fetch_order(order["id"], BTC)
        assert (found["status"], found["info"]["cancelSource"]) == ("canceled", "13")


async def test_two_engines(simulator: Simulator, client: Any) -> None:
    """What a rival does is counted apart."""
    from node.sim.orders import Origin

    async with okx_client(simulator, role=Origin.ENGINE) as rival:
        await rival.create_order(BTC, "market", "buy", 25)
    assert simulator.account.counters.orders_placed == 0
    assert (simulator.account.engine_counters.exposure_increases, size(simulator)) == (1, 150)
