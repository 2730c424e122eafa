"""Orders of the real ``ccxt.pro.binance`` at the simulated venue."""

from __future__ import annotations

import asyncio
from typing import Any

import ccxt
import pytest

from node.sim.server import serve
from node.sim.simulator import Simulator
from tests.support.sim_clients import binance_client

BTC, ADA, COIN = "BTC/USDT:USDT", "ADA/USDT:USDT", "BTC/USD:BTC"
REDUCE = {"reduceOnly": True}


def sizes(simulator: Simulator) -> dict[str, str]:
    """Open positions by symbol, as the venue knows them."""
    (account,) = simulator.state()["accounts"].values()
    return {position["symbol"]: position["quantity"] for position in account["positions"]}


async def close_all(client: Any, positions: list[dict[str, Any]], **params: Any) -> list[dict[str, Any]]:
    """Close every position in market orders no larger than the venue takes."""
    orders = []
    for position in positions:
        most = client.market(position["symbol"])["limits"]["market"]["max"]
        side, rest = ("sell" if position["side"] == "long" else "buy"), position["contracts"]
        while rest > 0:
            amount = min(rest, most)
            orders.append(client.create_order(position["symbol"], "market", side, amount, None, {**REDUCE, **params}))
            rest -= amount
    return list(await asyncio.gather(*orders))


class TestCloseEverything:
    async def test_one_way(self, simulator: Simulator, client: Any) -> None:
        """Twenty-three positions close at once; nothing flips, nothing is opened."""
        positions = await client.fetch_positions() + await client.fetch_positions(None, {"subType": "inverse"})
        orders = await close_all(client, positions)
        assert {order["status"] for order in orders} == {"closed"}
        assert len([order for order in orders if order["symbol"] == ADA]) == 4
        assert sizes(simulator) == {}
        assert await client.fetch_positions() == []
        counters = simulator.account.counters
        assert (counters.sign_flips, counters.exposure_increases, counters.orders_filled) == (0, 0, len(orders))

    async def test_hedge(self) -> None:
        """In hedge mode the leg is named, and reduceOnly is not sent."""
        async with serve(scenario="hedge") as simulator, binance_client(simulator) as client:
            await client.load_markets()
            positions = await client.fetch_positions() + await client.fetch_positions(None, {"subType": "inverse"})
            await close_all(client, positions, hedged=True)
            assert sizes(simulator) == {}
            assert simulator.account.counters.exposure_increases == 0
            sent = simulator.journal.entries(method="POST", path_prefix="/fapi/v1/order")
            assert {entry.params["positionSide"] for entry in sent} == {"LONG", "SHORT"}
            assert not any("reduceOnly" in entry.params for entry in sent)

    async def test_batches(self, simulator: Simulator, client: Any) -> None:
        """Five orders in one request; each answers for itself."""
        batch = [
            {"symbol": symbol, "type": "market", "side": side, "amount": amount, "params": {**REDUCE}}
            for symbol, side, amount in (
                (BTC, "sell", 1.25),
                ("ETH/USDT:USDT", "buy", 18.4),
                (ADA, "sell", 300_000),
                (ADA, "sell", 300_001),
                ("INJ/USDT:USDT", "sell", 1),
            )
        ]
        orders = await client.create_orders(batch)
        assert sorted(order["status"] for order in orders) == ["closed"] * 3 + ["rejected"] * 2
        assert [order["info"]["code"] for order in orders if order["status"] == "rejected"] == [-4005, -2022]
        assert {"BTCUSDT", "ETHUSDT"} & set(sizes(simulator)) == set()
        (entry,) = simulator.journal.entries(method="POST")
        assert len(entry.order_ids) == 3


class TestCancel:
    async def test_both_books_of_a_symbol(self, simulator: Simulator, client: Any) -> None:
        """The plain call leaves the algo book alone, and the other way round."""
        await client.cancel_all_orders(BTC)
        assert await client.fetch_open_orders(BTC) == []
        assert len(await client.fetch_open_orders(BTC, None, None, {"trigger": True})) == 1
        await client.cancel_all_orders(BTC, {"trigger": True})
        assert await client.fetch_open_orders(BTC, None, None, {"trigger": True}) == []
        assert simulator.account.counters.orders_cancelled == 2

    async def test_inverse_books(self, client: Any) -> None:
        """COIN-M has the same two calls."""
        for params in ({}, {"trigger": True}):
            await client.cancel_all_orders(COIN, params)
            assert await client.fetch_open_orders(COIN, None, None, params) == []

    async def test_spot(self, simulator: Simulator, client: Any) -> None:
        """Cancelling frees what was held; cancelling nothing is an error there."""
        (order,) = await client.cancel_all_orders("SOL/USDT")
        assert (order["status"], order["filled"]) == ("canceled", 0)
        assert float(simulator.account.balance("spot", "SOL").free) == 120
        with pytest.raises(ccxt.OrderNotFound):
            await client.cancel_all_orders("SOL/USDT")

    async def test_one_by_id_and_by_client_id(self, client: Any) -> None:
        """Both names of an order lead to it."""
        first = await client.create_order(BTC, "limit", "buy", 0.01, 62000, {"clientOrderId": "sn-1"})
        second = await client.create_order(BTC, "limit", "buy", 0.01, 62000, {"clientOrderId": "sn-2"})
        assert (await client.cancel_order(first["id"], BTC))["status"] == "canceled"
        assert (await client.cancel_order(None, BTC, {"clientOrderId": "sn-2"}))["id"] == second["id"]
        found = await client.fetch_order(None, BTC, {"clientOrderId": "sn-2"})
        assert (found["id"], found["status"]) == (second["id"], "canceled")
        with pytest.raises(ccxt.OrderNotFound):
            await client.cancel_order(first["id"], BTC)

    async def test_several_at_once(self, client: Any) -> None:
        """A batch cancel answers per order."""
        made = [await client.create_order(BTC, "limit", "buy", 0.01, 62000 + n) for n in range(2)]
        answers = await client.cancel_orders([order["id"] for order in made], BTC)
        assert [answer["status"] for answer in answers] == ["canceled", "canceled"]
        again = await client.fapiPrivateDeleteBatchOrders(
            {"symbol": "BTCUSDT", "orderidlist": [made[0]["id"], "12345"]}
        )
        assert [answer["code"] for answer in again] == [-2011, -2011]

    async def test_one_algo_order(self, client: Any) -> None:
        """Algo orders are cancelled by their own id or client id."""
        params = {"triggerPrice": 70000, "clientOrderId": "sn-stop"}
        order = await client.create_order(BTC, "market", "buy", 0.01, None, params)
        found = await client.fetch_order(order["id"], BTC, {"trigger": True})
        assert (found["status"], found["clientOrderId"]) == ("open", "sn-stop")
        await client.cancel_order(None, BTC, {"trigger": True, "clientOrderId": "sn-stop"})
        with pytest.raises(ccxt.OrderNotFound):
            await client.cancel_order(order["id"], BTC, {"trigger": True})


class TestTriggers:
    async def test_stop_fires_and_closes(self, simulator: Simulator, client: Any) -> None:
        """The demo account's close-position stop takes the whole position when the price falls."""
        simulator.set_faults(prices={"linear/BTCUSDT": "57000"})
        assert "BTCUSDT" not in sizes(simulator)  # the entry order that filled on the way down included
        assert await client.fetch_open_orders(BTC, None, None, {"trigger": True}) == []

    async def test_conditional_types_belong_to_the_algo_service(self, client: Any) -> None:
        """USD-M refuses them at the order endpoint; COIN-M still takes them there."""
        order = {"symbol": "BTCUSDT", "side": "SELL", "type": "STOP_MARKET", "quantity": "0.01", "stopPrice": "60000"}
        with pytest.raises(ccxt.InvalidOrder, match="-4120"):
            await client.fapiPrivatePostOrder(order)
        taken = await client.dapiPrivatePostOrder({**order, "symbol": "BTCUSD_PERP", "quantity": "2"})
        listed = await client.dapiPrivateGetOpenOrders({"symbol": "BTCUSD_PERP"})
        assert (taken["type"], taken["stopPrice"]) == ("STOP_MARKET", "60000.0")
        assert taken["orderId"] in {row["orderId"] for row in listed}

    async def test_trailing_stop(self, simulator: Simulator, client: Any) -> None:
        """A trailing stop is an algo order with a rate."""
        params = {**REDUCE, "trailingPercent": 2}
        await client.create_order(BTC, "market", "sell", 1.25, None, params)
        for mark in ("65000", "66000", "64600"):
            simulator.set_faults(prices={"linear/BTCUSDT": mark})
        assert "BTCUSDT" not in sizes(simulator)

    async def test_spot_stop_holds_the_balance(self, simulator: Simulator, client: Any) -> None:
        """Spot conditional orders rest in the one book there is, and lock what they would sell."""
        await client.create_order("ETH/USDT", "limit", "sell", 2, 2900, {"stopLossPrice": 3000})
        assert float(simulator.account.balance("spot", "ETH").locked) == 2
        (order,) = await client.fetch_open_orders("ETH/USDT")
        assert (order["triggerPrice"], order["status"]) == (3000, "open")


class TestSpotSales:
    async def test_market_sale(self, client: Any) -> None:
        """Filled in full at the bid, with its fills and the fee in quote currency."""
        order = await client.create_order("ETH/USDT", "market", "sell", 5.25)
        assert (order["status"], order["filled"], order["average"]) == ("closed", 5.25, 3199.99)
        assert order["fee"]["currency"] == "USDT"

    async def test_two_hops(self, client: Any) -> None:
        """An asset without a USDT pair is sold by way of BTC."""
        order = await client.create_order("WAN/BTC", "limit", "sell", 5000, 0.000003, {"timeInForce": "IOC"})
        assert order["status"] == "closed"
        balance = await client.fetch_balance({"type": "spot"})
        assert (balance["WAN"]["total"], balance["BTC"]["total"] > 0.81) == (0, True)

    async def test_dust_cannot_be_sold(self, client: Any) -> None:
        """Less than the minimum notional is refused."""
        with pytest.raises(ccxt.BadRequest, match="NOTIONAL"):
            await client.create_order("DOGE/USDT", "market", "sell", 3)

    async def test_held_balance_cannot_be_sold(self, client: Any) -> None:
        """Forty of 120 SOL are held by an order."""
        with pytest.raises(ccxt.InsufficientFunds):
            await client.create_order("SOL/USDT", "market", "sell", 120)


@pytest.mark.parametrize("symbol", [BTC, COIN])
async def test_leverage_of_a_market_is_changed_within_its_bracket(
    client: Any, simulator: Simulator, symbol: str
) -> None:
    """That it is so already is no error."""
    for _ in range(2):
        assert (await client.set_leverage(20, symbol))["leverage"] == 20
    with pytest.raises(ccxt.BaseError, match="-4028"):
        await client.set_leverage(21, symbol)
    changed = [key for key, settings in simulator.account.settings.items() if settings.leverage == 20]
    assert [name for _, name in changed] == [client.market(symbol)["id"]]


async def test_position_mode_changes_only_on_an_empty_account(simulator: Simulator, client: Any) -> None:
    """The demo account has orders in the way; the empty one has not."""
    with pytest.raises(ccxt.OperationRejected, match="-4067"):
        await client.set_position_mode(True, None, {"type": "swap"})
    simulator.reset("empty")
    async with binance_client(simulator) as empty:
        await empty.load_markets()
        await empty.set_position_mode(True, None, {"type": "swap"})
        assert (await empty.fetch_position_mode())["hedged"] is True


async def test_acknowledgement_says_nothing_of_fills(client: Any) -> None:
    """Without newOrderRespType a filled futures order is answered as new."""
    order = {"symbol": "BTCUSDT", "side": "SELL", "type": "MARKET", "quantity": "0.01", "reduceOnly": "true"}
    answer = await client.fapiPrivatePostOrder(order)
    query = await client.fapiPrivateGetOrder({"symbol": "BTCUSDT", "orderId": answer["orderId"]})
    assert (answer["status"], answer["executedQty"], query["status"]) == ("NEW", "0", "FILLED")
