"""Orders at the simulated Bybit, as the real ccxt places and cancels them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import ccxt
import pytest

from node.sim.server import serve
from node.sim.simulator import Simulator
from tests.support.sim_clients import bybit_client

BTC, COIN = "BTC/USDT:USDT", "BTC/USD:BTC"
LINEAR = {"category": "linear"}
REDUCE = {"reduceOnly": True}
CLOSE = {**LINEAR, "side": "Sell", "orderType": "Market", "reduceOnly": True}


def size(simulator: Simulator, symbol: str = "BTCUSDT", account: str = "demo", leg: str | None = None) -> float:
    """A position as the venue knows it; of both legs together, unless one is named."""
    positions = simulator.state()["accounts"][account]["positions"]
    return sum(float(p["quantity"]) for p in positions if p["symbol"] == symbol and leg in (None, p["leg"]))


def resting(simulator: Simulator, symbol: str) -> list[dict[str, Any]]:
    """A market's open orders as the venue knows them, contracts before spot."""
    return [order for order in simulator.state()["accounts"]["demo"]["orders"] if order["symbol"] == symbol]


async def seen(client: Any, order_id: str, category: str = "linear") -> dict[str, Any]:
    """An order by its id, in the venue's words."""
    rows = await client.privateGetV5OrderRealtime({"category": category, "orderId": order_id})
    (row,) = rows["result"]["list"]
    return dict(row)


@pytest.fixture
async def hedged() -> AsyncIterator[tuple[Simulator, Any]]:
    """An account with two legs."""
    async with serve(venue="bybit", scenario="hedge") as simulator, bybit_client(simulator) as client:
        await client.load_markets()
        yield simulator, client


class TestContracts:
    async def test_a_market_order_answers_with_nothing_but_ids(self, bybit_sim: Simulator, bybit: Any) -> None:
        """What became of it, another request tells."""
        order = await bybit.create_order(BTC, "market", "sell", 1.25, None, {**REDUCE, "clientOrderId": "sn-1"})
        assert (order["clientOrderId"], order["status"], order["filled"]) == ("sn-1", None, None)
        assert size(bybit_sim) == 0
        row = await seen(bybit, order["id"])
        assert (row["orderStatus"], row["cumExecQty"], row["avgPrice"]) == ("Filled", "1.250", "63999.9")
        assert row["cumFeeDetail"] == {"USDT": row["cumExecFee"]}

    async def test_inverse(self, bybit_sim: Simulator, bybit: Any) -> None:
        """In dollars; profit and fee are in the coin."""
        await bybit.create_order(COIN, "market", "sell", 5000, None, REDUCE)
        assert size(bybit_sim, "BTCUSD") == 20_000
        assert (await bybit.fetch_balance())["BTC"]["total"] > 3.3

    async def test_reduce_only_never_opens(self, bybit_sim: Simulator, bybit: Any) -> None:
        """More than there is closes what there is."""
        await bybit.create_order("LTC/USDT:USDT", "market", "buy", 200, None, REDUCE)
        assert size(bybit_sim, "LTCUSDT") == 0
        counters = bybit_sim.account.counters
        assert (counters.exposure_increases, counters.sign_flips) == (0, 0)

    async def test_an_entry_is_counted(self, bybit_sim: Simulator, bybit: Any) -> None:
        """So is a sign that changes."""
        await bybit.create_order("LTC/USDT:USDT", "market", "buy", 200)
        counters = bybit_sim.account.counters
        assert (counters.exposure_increases, counters.sign_flips, size(bybit_sim, "LTCUSDT")) == (1, 1, 104.5)

    async def test_above_the_maximum_the_venue_splits_what_only_reduces(self, bybit_sim: Simulator, bybit: Any) -> None:
        """The order that was named is only the first part."""
        order = await bybit.create_order("ADA/USDT:USDT", "market", "sell", 1_000_000, None, REDUCE)
        assert (await seen(bybit, order["id"]))["qty"] == "300000"
        assert size(bybit_sim, "ADAUSDT") == 0
        with pytest.raises(ccxt.BadRequest, match="exceeds maximum limit"):
            await bybit.create_order("ADA/USDT:USDT", "market", "buy", 1_000_000)

    async def test_zero_closes_everything(self, bybit_sim: Simulator, bybit: Any) -> None:
        """Up to the maximum of a market order; only together with both flags."""
        await bybit.privatePostV5OrderCreate({**CLOSE, "symbol": "BTCUSDT", "qty": "0", "closeOnTrigger": True})
        assert size(bybit_sim) == 0
        with pytest.raises(ccxt.BadRequest, match="10001"):
            await bybit.privatePostV5OrderCreate({**CLOSE, "symbol": "SOLUSDT", "qty": "0"})
        with pytest.raises(ccxt.InvalidOrder, match="110017"):
            await bybit.privatePostV5OrderCreate({**CLOSE, "symbol": "BTCUSDT", "qty": "0", "closeOnTrigger": True})

    async def test_zero_on_a_trigger_is_whatever_there_is_then(self, bybit_sim: Simulator, bybit: Any) -> None:
        """Not what there was when it was placed."""
        stop = {**CLOSE, "symbol": "LINKUSDT", "qty": "0", "closeOnTrigger": True, "triggerPrice": "13"}
        await bybit.privatePostV5OrderCreate({**stop, "triggerDirection": 2})
        await bybit.create_order("LINK/USDT:USDT", "market", "sell", 300, None, REDUCE)
        (order,) = await bybit.fetch_open_orders("LINK/USDT:USDT")
        assert (order["amount"], order["info"]["stopOrderType"]) == (500, "Stop")
        bybit_sim.set_faults(prices={"linear:LINK/USDT": "12.9"})
        assert size(bybit_sim, "LINKUSDT") == 0

    async def test_protective_orders_end_with_their_position(self, bybit_sim: Simulator, bybit: Any) -> None:
        """Stops of the whole position and resting reductions; a conditional order of its own size stays."""
        await bybit.create_order(BTC, "market", "sell", 1.25, None, REDUCE)
        assert [order["reduce_only"] for order in resting(bybit_sim, "BTCUSDT")] == [False]
        await bybit.create_order("SOL/USDT:USDT", "market", "sell", 310, None, REDUCE)
        assert [order["product"] for order in resting(bybit_sim, "SOLUSDT")] == ["spot"]
        await bybit.create_order("XRP/USDT:USDT", "market", "sell", 42_000, None, REDUCE)
        assert [order["type"] for order in resting(bybit_sim, "XRPUSDT")] == ["StopLoss"]
        bybit_sim.set_faults(prices={"linear:XRP/USDT": "0.4"})  # it fires, has nothing to reduce, and ends
        assert (resting(bybit_sim, "XRPUSDT"), size(bybit_sim, "XRPUSDT")) == ([], 0)

    @pytest.mark.parametrize(
        ("order", "reason"),
        [
            ({"timeInForce": "PostOnly", "price": "63000"}, "EC_PostOnlyWillTakeLiquidity"),
            ({"timeInForce": "FOK", "price": "65000"}, "EC_CancelForNoFullFill"),
            ({"timeInForce": "IOC", "price": "65000"}, "EC_NoImmediateQtyToFill"),
        ],
    )
    async def test_taken_and_cancelled(
        self, bybit_sim: Simulator, bybit: Any, order: dict[str, str], reason: str
    ) -> None:
        """The acknowledgement says nothing of it."""
        sell = {**LINEAR, "symbol": "BTCUSDT", "side": "Sell", "orderType": "Limit", "qty": "0.1", **order}
        answer = await bybit.privatePostV5OrderCreate(sell)
        row = await seen(bybit, answer["result"]["orderId"])
        assert (answer["retCode"], row["orderStatus"], row["rejectReason"]) == (0, "Cancelled", reason)
        assert (row["cumExecQty"], size(bybit_sim)) == ("0.000", 1.25)

    async def test_without_a_book_a_market_order_is_taken_and_cancelled(self, bybit_sim: Simulator, bybit: Any) -> None:
        """A limit order goes."""
        bybit_sim.set_faults(rules={"match": {"intent": "place"}, "do": "percent_price_refusal"})
        order = await bybit.create_order(BTC, "market", "sell", 0.25, None, REDUCE)
        assert ((await seen(bybit, order["id"]))["orderStatus"], size(bybit_sim)) == ("Cancelled", 1.25)
        await bybit.create_order(BTC, "limit", "sell", 0.25, 63_000, {**REDUCE, "timeInForce": "IOC"})
        assert size(bybit_sim) == 1.0

    async def test_conditional_orders_keep_their_id(self, bybit_sim: Simulator, bybit: Any) -> None:
        """Untriggered, and then an order like any other."""
        await bybit.cancel_all_orders(BTC)
        stop = await bybit.create_order(BTC, "market", "sell", 0.5, None, {"stopLossPrice": 60_000})
        assert (await seen(bybit, stop["id"]))["orderStatus"] == "Untriggered"
        bybit_sim.set_faults(prices={"linear:BTC/USDT": "59900"})
        row = await seen(bybit, stop["id"])
        assert (row["orderStatus"], row["createType"], size(bybit_sim)) == ("Filled", "CreateByStopOrder", 0.75)

    async def test_a_trigger_must_lie_on_its_side(self, bybit: Any) -> None:
        """And must say which."""
        stop = {**CLOSE, "symbol": "BTCUSDT", "qty": "0.1", "triggerPrice": "60000"}
        for direction, code in (("1", "110092"), ("", "10001")):
            with pytest.raises(ccxt.ExchangeError, match=code):
                await bybit.privatePostV5OrderCreate({**stop, "triggerDirection": direction})
        with pytest.raises(ccxt.InvalidOrder, match="110093"):
            await bybit.privatePostV5OrderCreate({**stop, "triggerPrice": "70000", "triggerDirection": 2})

    async def test_ten_conditional_orders_a_symbol(self, bybit: Any) -> None:
        """The eleventh is refused; stops of the whole position are not counted."""
        stop = {**CLOSE, "symbol": "BTCUSDT", "qty": "0.1", "triggerPrice": "60000", "triggerDirection": 2}
        for _ in range(10):
            await bybit.privatePostV5OrderCreate(stop)
        with pytest.raises(ccxt.InvalidOrder, match="110009"):
            await bybit.privatePostV5OrderCreate(stop)

    async def test_names_are_used_once(self, bybit: Any) -> None:
        """Not even after their order has ended, and in no other symbol."""
        await bybit.create_order(BTC, "market", "sell", 0.1, None, {**REDUCE, "clientOrderId": "sn-1"})
        with pytest.raises(ccxt.InvalidOrder, match="110072"):
            await bybit.create_order("SOL/USDT:USDT", "market", "sell", 1, None, {**REDUCE, "clientOrderId": "sn-1"})
        for name in ("x" * 37, "with space", "dot.ted"):
            with pytest.raises(ccxt.BadRequest, match="10001"):
                await bybit.create_order(BTC, "market", "sell", 0.1, None, {**REDUCE, "clientOrderId": name})
        await bybit.create_order("SOL/USDT", "market", "sell", 1, None, {"clientOrderId": "sn-1"})  # spot counts apart

    async def test_batches(self, bybit_sim: Simulator, bybit: Any) -> None:
        """Each order stands for itself; a failure is told in a list beside the answer, and the answer says OK."""
        orders = [
            {"symbol": BTC, "type": "market", "side": "sell", "amount": 0.25, "params": REDUCE},
            {"symbol": "INJ/USDT:USDT", "type": "market", "side": "sell", "amount": 1, "params": REDUCE},
        ]
        first, second = await bybit.create_orders(orders)
        assert (first["status"], second["status"], second["info"]["code"]) == (None, "rejected", 110017)
        assert (first["id"] is not None, second["id"], size(bybit_sim)) == (True, None, 1.0)
        entry = {"symbol": "BTCUSDT", "side": "Sell", "orderType": "Market", "qty": "0.001", "reduceOnly": True}
        with pytest.raises(ccxt.BadRequest, match="10001"):
            await bybit.privatePostV5OrderCreateBatch({**LINEAR, "request": [entry] * 21})


class TestHedgeMode:
    async def test_closing_a_leg(self, hedged: tuple[Simulator, Any]) -> None:
        """The leg and the side say that it closes; more than there is closes what there is."""
        simulator, client = hedged
        await client.create_order(BTC, "market", "sell", 0.5, None, {**REDUCE, "hedged": True})
        assert (size(simulator, account="hedge", leg="long"), size(simulator, account="hedge", leg="short")) == (
            0.3,
            -0.3,
        )
        await client.create_order(BTC, "market", "buy", 5, None, {**REDUCE, "hedged": True})
        assert size(simulator, account="hedge", leg="short") == 0
        assert simulator.account.counters.exposure_increases == 0

    async def test_the_leg_is_mandatory(self, hedged: tuple[Simulator, Any]) -> None:
        """And must not be given where there is one position."""
        _, client = hedged
        for symbol, index in (("BTCUSDT", 0), ("BTCPERP", 1)):
            with pytest.raises(ccxt.BadRequest, match="position idx not match position mode"):
                await client.privatePostV5OrderCreate({**CLOSE, "symbol": symbol, "qty": "0.1", "positionIdx": index})

    async def test_reduce_only_on_the_wrong_side(self, hedged: tuple[Simulator, Any]) -> None:
        """It is refused; without the flag it opens."""
        simulator, client = hedged
        order = {**CLOSE, "symbol": "BTCUSDT", "qty": "0.1", "positionIdx": 2}
        with pytest.raises(ccxt.InvalidOrder, match="110017"):
            await client.privatePostV5OrderCreate(order)
        await client.privatePostV5OrderCreate({**order, "reduceOnly": False})
        assert (simulator.account.counters.exposure_increases, size(simulator, account="hedge", leg="short")) == (
            1,
            -0.4,
        )


class TestCancels:
    async def test_one(self, bybit_sim: Simulator, bybit: Any) -> None:
        """By id or by name; once."""
        (order,) = [o for o in await bybit.fetch_open_orders("INJ/USDT:USDT") if o["type"] == "limit"]
        await bybit.cancel_order(order["id"], "INJ/USDT:USDT")
        for call in (
            bybit.cancel_order(order["id"], "INJ/USDT:USDT"),
            bybit.cancel_order("2ce07d18-24c1-a727-001d-ce726292f20e", "INJ/USDT:USDT"),
        ):
            with pytest.raises(ccxt.OrderNotFound, match="110001"):
                await call
        await bybit.cancel_order(None, "ETH/USDT:USDT", {"orderLinkId": "seed-2"})
        assert resting(bybit_sim, "INJUSDT") + resting(bybit_sim, "ETHUSDT") == []

    async def test_all_of_a_settle_coin(self, bybit_sim: Simulator, bybit: Any) -> None:
        """Conditional orders too; USDC's and inverse ones stay."""
        answer = await bybit.privatePostV5OrderCancelAll({**LINEAR, "settleCoin": "USDT"})
        assert (len(answer["result"]["list"]), answer["result"]["success"]) == (9, "1")
        left = bybit_sim.state()["accounts"]["demo"]["orders"]
        assert sorted(order["symbol"] for order in left) == ["BTCUSD", "BTCUSD", "ETHPERP", "SOLUSDT"]

    @pytest.mark.parametrize(
        ("params", "count"),
        [
            ({"orderFilter": "Order"}, 5),
            ({"orderFilter": "StopOrder"}, 4),
            ({"orderFilter": "StopOrder", "stopOrderType": "Stop"}, 2),
            ({"baseCoin": "ETH"}, 2),  # in either settle coin, and before it
            ({"symbol": "BTCUSDT", "baseCoin": "ETH"}, 2),
        ],
    )
    async def test_filters(self, bybit: Any, params: dict[str, str], count: int) -> None:
        """A kind, or a coin, or a symbol; the narrowest of the names counts."""
        answer = await bybit.privatePostV5OrderCancelAll({**LINEAR, "settleCoin": "USDT", **params})
        assert len(answer["result"]["list"]) == count

    async def test_contracts_need_a_name(self, bybit: Any) -> None:
        """Inverse ones too."""
        for category in ("linear", "inverse"):
            with pytest.raises(ccxt.BadRequest, match="10001"):
                await bybit.privatePostV5OrderCancelAll({"category": category})

    async def test_spot_has_kinds(self, bybit_sim: Simulator, bybit: Any) -> None:
        """Cancelling all of spot takes plain orders, and leaves conditional ones, unless they are named."""
        await bybit.create_order("ETH/USDT", "market", "sell", 1, None, {"triggerPrice": 3000})
        await bybit.create_order("ETH/USDT", "limit", "sell", 1, 2900, {"stopLossPrice": 3000})
        await bybit.cancel_all_orders(None, {"type": "spot"})
        assert resting(bybit_sim, "SOLUSDT")[0]["product"] == "linear"
        kinds = sorted(order["type"] for order in resting(bybit_sim, "ETHUSDT") if order["product"] == "spot")
        assert kinds == ["Stop", "tpslOrder"]
        await bybit.cancel_all_orders(None, {"type": "spot", "trigger": True})
        await bybit.cancel_all_orders(None, {"type": "spot", "orderFilter": "tpslOrder"})
        assert [order["product"] for order in resting(bybit_sim, "ETHUSDT")] == ["linear"]

    async def test_batches(self, bybit_sim: Simulator, bybit: Any) -> None:
        """What was not there is told beside the answer."""
        orders = await bybit.fetch_open_orders("SOL/USDT:USDT")
        request = [{"symbol": "SOLUSDT", "orderId": orders[0]["id"]}, {"symbol": "SOLUSDT", "orderLinkId": "nobody"}]
        answer = await bybit.privatePostV5OrderCancelBatch({**LINEAR, "request": request})
        assert [entry["code"] for entry in answer["retExtInfo"]["list"]] == [0, 110001]
        assert [order["product"] for order in resting(bybit_sim, "SOLUSDT")] == ["spot"]


class TestSpot:
    async def test_a_market_sale(self, bybit_sim: Simulator, bybit: Any) -> None:
        """In units of the coin; the fee is taken of what it brings."""
        order = await bybit.create_order("ETH/USDT", "market", "sell", 2)
        assert bybit_sim.state()["accounts"]["demo"]["balances"]["spot"]["ETH"]["free"] == "33.25"
        row = await seen(bybit, order["id"], "spot")
        assert (row["orderStatus"], row["marketUnit"], "tpslMode" in row) == ("Filled", "baseCoin", False)
        assert order["id"].isdigit()

    async def test_a_market_purchase_is_by_value(self, bybit_sim: Simulator, bybit: Any) -> None:
        """Unless it is told otherwise."""
        order = {"category": "spot", "symbol": "ETHUSDT", "side": "Buy", "orderType": "Market", "qty": "320"}
        await bybit.privatePostV5OrderCreate(order)
        await bybit.privatePostV5OrderCreate({**order, "qty": "1", "marketUnit": "baseCoin"})
        held = float(bybit_sim.state()["accounts"]["demo"]["balances"]["spot"]["ETH"]["free"])
        assert held == pytest.approx(35.25 + 1.1, rel=1e-3)
        assert bybit_sim.account.counters.buys == 2

    async def test_what_is_lacking(self, bybit_sim: Simulator, bybit: Any) -> None:
        """It is refused, or borrowed if the order says so; then it is a debt."""
        with pytest.raises(ccxt.InsufficientFunds, match="170131"):
            await bybit.create_order("ETH/USDT", "market", "sell", 40)
        await bybit.create_order("ETH/USDT", "market", "sell", 40, None, {"isLeverage": 1})
        assert bybit_sim.state()["accounts"]["demo"]["balances"]["spot"]["ETH"]["borrowed"] == "4.75"
        assert bybit_sim.account.counters.borrows == 1
        await bybit.create_order("ETH/USDT", "market", "buy", 5, None, {"isLeverage": 1})  # repays nothing by itself
        assert bybit_sim.state()["accounts"]["demo"]["balances"]["spot"]["ETH"]["borrowed"] == "4.75"

    async def test_two_kinds_of_stops(self, bybit_sim: Simulator, bybit: Any) -> None:
        """One locks what it would sell, the other does not, and finds nothing when it fires too late."""
        await bybit.create_order("ETH/USDT", "market", "sell", 30, None, {"triggerPrice": 3000})
        assert bybit_sim.state()["accounts"]["demo"]["balances"]["spot"]["ETH"]["locked"] == "0"
        stop = await bybit.create_order("ETH/USDT", "market", "sell", 10, None, {"stopLossPrice": 2900})
        assert bybit_sim.state()["accounts"]["demo"]["balances"]["spot"]["ETH"]["locked"] == "10"
        with pytest.raises(ccxt.InvalidOrder, match="170213"):
            await bybit.cancel_order(stop["id"], "ETH/USDT")
        bybit_sim.set_faults(prices={"spot:ETH/USDT": "2990"})
        ended = (await bybit.privateGetV5OrderHistory({"category": "spot"}))["result"]["list"]
        assert [row["orderStatus"] for row in ended] == ["Rejected"]
        await bybit.cancel_order(stop["id"], "ETH/USDT", {"orderFilter": "tpslOrder"})
        assert (await seen(bybit, stop["id"], "spot"))["orderStatus"] == "Deactivated"


class TestStopsOfThePosition:
    async def test_set_and_taken_away(self, bybit_sim: Simulator, bybit: Any) -> None:
        """They are orders, and they stand in the position."""
        stop = {**LINEAR, "symbol": "LINKUSDT", "tpslMode": "Full", "positionIdx": 0}
        await bybit.privatePostV5PositionTradingStop({**stop, "stopLoss": "12", "takeProfit": "16"})
        position = await bybit.fetch_position("LINK/USDT:USDT")
        assert (position["stopLossPrice"], position["takeProfitPrice"]) == (12, 16)
        assert len(await bybit.fetch_open_orders("LINK/USDT:USDT", None, None, {"trigger": True})) == 2
        await bybit.privatePostV5PositionTradingStop({**stop, "stopLoss": "0"})
        assert [order["type"] for order in resting(bybit_sim, "LINKUSDT")] == ["TakeProfit"]
        bybit_sim.set_faults(prices={"linear:LINK/USDT": "16.5"})
        assert (size(bybit_sim, "LINKUSDT"), resting(bybit_sim, "LINKUSDT")) == (0, [])

    async def test_there_must_be_a_position(self, bybit: Any) -> None:
        """And something to change."""
        for symbol, extra, code in (("INJUSDT", {"stopLoss": "12"}, "10001"), ("LINKUSDT", {}, "34040")):
            with pytest.raises(ccxt.ExchangeError, match=code):
                await bybit.privatePostV5PositionTradingStop(
                    {**LINEAR, "symbol": symbol, "tpslMode": "Full", "positionIdx": 0, **extra}
                )
