"""What the simulated Bybit tells, as the real ccxt reads it; and what its lists leave out."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import ccxt
import pytest

from node.sim.server import serve
from node.sim.simulator import Simulator
from tests.support.sim_clients import bybit_client

LINEAR = {"category": "linear"}


async def place_resting(client: Any, count: int, symbol: str = "BTCUSDT") -> list[str]:
    """Put orders into the book that nobody will meet; their ids, oldest first."""
    order = {**LINEAR, "symbol": symbol, "side": "Buy", "orderType": "Limit", "qty": "0.001", "price": "30000"}
    return [(await client.privatePostV5OrderCreate(order))["result"]["orderId"] for _ in range(count)]


class TestMarkets:
    async def test_kinds(self, bybit: Any) -> None:
        """Spot, USDT and USDC perpetuals, coin-margined contracts, and dated ones, under Bybit's own names."""
        ids = {name: bybit.market(name)["id"] for name in ("BTC/USDT", "BTC/USDT:USDT", "BTC/USDC:USDC", "BTC/USD:BTC")}
        assert list(ids.values()) == ["BTCUSDT", "BTCUSDT", "BTCPERP", "BTCUSD"]
        dated = [market for market in bybit.markets.values() if market["expiry"]]
        assert {(market["linear"], market["settle"]) for market in dated} == {(True, "USDT"), (False, "BTC")}
        assert {bybit.market(name)["contractSize"] for name in ("BTC/USDT:USDT", "BTC/USD:BTC")} == {1.0}

    async def test_the_maximum_of_market_orders_is_not_in_ccxts_limits(self, bybit: Any) -> None:
        """It is an eighth of what ccxt says, and stands in the venue's own document."""
        market = bybit.market("ADA/USDT:USDT")
        assert market["limits"]["amount"]["max"] == 2_400_000
        assert market["info"]["lotSizeFilter"]["maxMktOrderQty"] == "300000"
        assert market["limits"]["cost"]["min"] == 5

    async def test_what_does_not_trade_is_not_listed(self, bybit: Any) -> None:
        """A contract that is being delisted is found only by who asks for that status."""
        assert "BCH/USDT:USDT" not in bybit.markets
        answer = await bybit.publicGetV5MarketInstrumentsInfo({**LINEAR, "status": "Delivering"})
        assert [row["symbol"] for row in answer["result"]["list"]] == ["BCHUSDT"]

    async def test_pages(self, bybit: Any) -> None:
        """Contracts come in pages, spot does not."""
        symbols: list[str] = []
        cursor = ""
        while True:
            answer = await bybit.publicGetV5MarketInstrumentsInfo({**LINEAR, "limit": 10, "cursor": cursor})
            symbols += [row["symbol"] for row in answer["result"]["list"]]
            cursor = answer["result"]["nextPageCursor"]
            if not cursor:
                break
        linear = [market for market in bybit.markets.values() if market["linear"]]
        assert (len(symbols), len(set(symbols))) == (len(linear), len(linear))
        spot = (await bybit.publicGetV5MarketInstrumentsInfo({"category": "spot", "limit": 1}))["result"]
        assert (len(spot["list"]) > 20, "nextPageCursor" in spot) == (True, False)

    async def test_prices(self, bybit: Any) -> None:
        """A ticker and a book, one tick either side of the mark."""
        ticker = await bybit.fetch_ticker("BTC/USDT:USDT")
        assert (ticker["bid"], ticker["ask"], ticker["markPrice"]) == (63999.9, 64000.1, 64000)
        book = await bybit.fetch_order_book("BTC/USD:BTC")
        assert (book["bids"][0][0], book["asks"][0][0]) == (63999.9, 64000.1)
        assert (await bybit.fetch_ticker("ETH/USDT"))["last"] == 3200

    async def test_time_and_options(self, bybit_sim: Simulator, bybit: Any) -> None:
        """The venue's clock; options are a category without markets."""
        bybit_sim.clock.offset_ms = 60_000
        assert abs(await bybit.fetch_time() - bybit.milliseconds() - 60_000) < 5_000
        assert (await bybit.publicGetV5MarketInstrumentsInfo({"category": "option"}))["result"]["list"] == []


class TestBalances:
    async def test_one_wallet(self, bybit: Any) -> None:
        """What a scenario gives to spot and to contracts is in one wallet; orders and positions bind a part of it."""
        balance = await bybit.fetch_balance()
        assert balance["USDT"]["total"] == 425_000
        assert balance["SOL"] == {"free": 80, "used": 40, "total": 120, "debt": 0}
        assert 0 < balance["USDT"]["used"] < 100_000
        assert balance["BTC"]["total"] == 3.3

    async def test_totals(self, bybit: Any) -> None:
        """In dollars, with the profit of open positions; what is free is what margin does not bind."""
        (entry,) = (await bybit.privateGetV5AccountWalletBalance({"accountType": "UNIFIED"}))["result"]["list"]
        numbers = {name: float(entry[name]) for name in entry if name.startswith("total")}
        assert numbers["totalMarginBalance"] == pytest.approx(numbers["totalWalletBalance"] + numbers["totalPerpUPL"])
        free = numbers["totalMarginBalance"] - numbers["totalInitialMargin"]
        assert numbers["totalAvailableBalance"] == pytest.approx(free)
        assert numbers["totalInitialMargin"] > 0

    async def test_only_what_is_held_unless_asked(self, bybit: Any) -> None:
        """Coins that are not held are not told, except by name; other account types do not exist."""
        ask = bybit.privateGetV5AccountWalletBalance
        (entry,) = (await ask({"accountType": "UNIFIED"}))["result"]["list"]
        assert "XRP" not in {row["coin"] for row in entry["coin"]}
        (entry,) = (await ask({"accountType": "UNIFIED", "coin": "XRP,BTC"}))["result"]["list"]
        assert [(row["coin"], row["walletBalance"]) for row in entry["coin"]] == [("XRP", "0"), ("BTC", "3.3")]
        with pytest.raises(ccxt.BadRequest, match="10001"):
            await ask({"accountType": "CONTRACT"})

    async def test_debts(self) -> None:
        """A loan is in the balance and beside it; equity is without."""
        async with serve(venue="bybit", scenario="margin") as simulator, bybit_client(simulator) as client:
            await client.load_markets()
            balance = await client.fetch_balance()
            assert (balance["ETH"]["debt"], balance["USDT"]["debt"]) == (8.0021, 40_000)
            rows = {row["coin"]: row for row in balance["info"]["result"]["list"][0]["coin"]}
        assert (rows["ETH"]["walletBalance"], rows["ETH"]["equity"], rows["ETH"]["spotBorrow"]) == ("0", "-8", "8")
        assert (rows["BNB"]["walletBalance"], rows["BNB"]["equity"]) == ("12", "8")


class TestPositions:
    async def test_each_settle_coin_is_asked_for_by_itself(self, bybit: Any) -> None:
        """ccxt shows USDT's unless it is told otherwise."""
        assert len(await bybit.fetch_positions()) == 20
        (only,) = await bybit.fetch_positions(None, {"settleCoin": "USDC"})
        assert (only["symbol"], only["contracts"], only["side"], only["hedged"]) == (
            "BTC/USDC:USDC",
            0.35,
            "long",
            False,
        )
        inverse = await bybit.fetch_positions(None, {"subType": "inverse"})
        assert [(p["symbol"], p["contracts"], p["side"]) for p in inverse] == [
            ("BTC/USD:BTC", 25_000, "long"),
            ("ETH/USD:ETH", 12_000, "short"),
        ]

    async def test_linear_needs_a_symbol_or_a_coin(self, bybit: Any) -> None:
        """Inverse contracts do not."""
        with pytest.raises(ccxt.BadRequest, match="10001"):
            await bybit.privateGetV5PositionList(LINEAR)
        assert len((await bybit.privateGetV5PositionList({"category": "inverse"}))["result"]["list"]) == 2

    async def test_a_symbol_has_a_row_even_if_it_is_flat(self, bybit: Any) -> None:
        """Without a side."""
        (row,) = await bybit.fetch_positions(["INJ/USDT:USDT"])
        assert (row["contracts"], row["side"]) == (0, None)

    async def test_pages(self, bybit: Any) -> None:
        """Twenty rows unless more are asked for: the demo account has as many, and one more is not seen."""
        order = {"symbol": "INJUSDT", "side": "Buy", "orderType": "Market", "qty": "10", **LINEAR}
        await bybit.privatePostV5OrderCreate(order)
        ask = {**LINEAR, "settleCoin": "USDT"}
        first = (await bybit.privateGetV5PositionList(ask))["result"]
        rest = (await bybit.privateGetV5PositionList({**ask, "cursor": first["nextPageCursor"]}))["result"]
        assert (len(first["list"]), len(rest["list"]), rest["nextPageCursor"]) == (20, 1, "")
        assert len(await bybit.fetch_positions()) == 21

    async def test_hedge_mode(self) -> None:
        """Two legs for USDT perpetuals; USDC and inverse contracts stay one-way, whatever the account's mode."""
        async with serve(venue="bybit", scenario="hedge") as simulator, bybit_client(simulator) as client:
            await client.load_markets()
            legs = await client.fetch_positions(["BTC/USDT:USDT"])
            (coin,) = await client.fetch_positions(None, {"subType": "inverse"})
            flat = (await client.privateGetV5PositionList({**LINEAR, "symbol": "INJUSDT"}))["result"]["list"]
        assert [(p["side"], p["contracts"], p["hedged"]) for p in legs] == [("long", 0.8, True), ("short", 0.3, True)]
        assert (coin["contracts"], coin["hedged"]) == (8000, False)
        assert [(row["positionIdx"], row["side"]) for row in flat] == [(1, ""), (2, "")]

    async def test_a_market_that_is_gone(self, bybit_sim: Simulator, bybit: Any) -> None:
        """Its position is still shown to who asks by coin."""
        bybit_sim.set_faults(market_status={"linear:LTC/USDT": "DELISTED"})
        with pytest.raises(ccxt.BadSymbol):
            await bybit.privateGetV5PositionList({**LINEAR, "symbol": "LTCUSDT"})
        rows = (await bybit.privateGetV5PositionList({**LINEAR, "settleCoin": "USDT", "limit": 200}))["result"]["list"]
        assert {row["symbol"]: row["size"] for row in rows}["LTCUSDT"] == "95.500"


class TestOpenOrders:
    async def test_every_kind_is_in_one_list(self, bybit: Any) -> None:
        """Limit orders, conditional ones and stops of the whole position; those in USDC are not USDT's."""
        orders = await bybit.fetch_open_orders()
        kinds = [order["info"]["stopOrderType"] for order in orders]
        assert sorted(kinds) == ["", "", "", "", "", "Stop", "Stop", "StopLoss", "TakeProfit"]
        rows = (await bybit.privateGetV5OrderRealtime({**LINEAR, "settleCoin": "USDT"}))["result"]["list"]
        numbers = [int(row["orderLinkId"].removeprefix("seed-")) for row in rows]
        assert numbers == sorted(numbers, reverse=True)  # newest first; ccxt sorts them anew
        assert [o["symbol"] for o in await bybit.fetch_open_orders(None, None, None, {"settleCoin": "USDC"})] == [
            "ETH/USDC:USDC"
        ]

    async def test_filters(self, bybit: Any) -> None:
        """Conditional orders alone, or the others alone."""
        stops = await bybit.fetch_open_orders(None, None, None, {"trigger": True})
        plain = await bybit.fetch_open_orders(None, None, None, {"orderFilter": "Order"})
        assert (len(stops), len(plain)) == (4, 5)
        assert all(order["triggerPrice"] and order["info"]["orderStatus"] == "Untriggered" for order in stops)

    async def test_a_stop_of_the_whole_position_is_as_large_as_that(self, bybit: Any) -> None:
        """Now, not when it was set."""
        await bybit.create_order("BTC/USDT:USDT", "market", "sell", 0.25, None, {"reduceOnly": True})
        orders = await bybit.fetch_open_orders("BTC/USDT:USDT")
        (stop,) = [order for order in orders if order["info"]["stopOrderType"] == "StopLoss"]
        assert (stop["amount"], stop["side"], stop["reduceOnly"], stop["stopLossPrice"]) == (1.0, "sell", True, 57600)

    async def test_pages(self, bybit: Any) -> None:
        """Twenty orders unless more are asked for, and never more than fifty, whatever is asked for."""
        ids = await place_resting(bybit, 60)
        ask = {**LINEAR, "settleCoin": "USDT"}
        assert len(await bybit.fetch_open_orders()) == 20
        first = (await bybit.privateGetV5OrderRealtime({**ask, "limit": 200}))["result"]
        assert [row["orderId"] for row in first["list"]] == ids[:9:-1]
        rest = (await bybit.privateGetV5OrderRealtime({**ask, "limit": 50, "cursor": first["nextPageCursor"]}))[
            "result"
        ]
        assert len(rest["list"]) == 60 + 9 - 50
        # Even behind the last page there is a cursor; what it leads to is empty.
        end = (await bybit.privateGetV5OrderRealtime({**ask, "cursor": rest["nextPageCursor"]}))["result"]
        assert (end["list"], end["nextPageCursor"]) == ([], "")
        everything = await bybit.fetch_open_orders(None, None, None, {"paginate": True})
        assert len({order["id"] for order in everything}) == 69

    async def test_a_cursor_survives_the_order_that_it_names(self, bybit: Any) -> None:
        """And it may come back encoded once more."""
        ids = await place_resting(bybit, 30)
        ask = {**LINEAR, "symbol": "BTCUSDT"}
        first = (await bybit.privateGetV5OrderRealtime(ask))["result"]
        await bybit.cancel_order(first["list"][-1]["orderId"], "BTC/USDT:USDT")
        for cursor in (first["nextPageCursor"], unquote(first["nextPageCursor"])):
            rest = (await bybit.privateGetV5OrderRealtime({**ask, "cursor": cursor}))["result"]["list"]
            assert [row["orderId"] for row in rest][:10] == ids[9::-1]

    async def test_one_order(self, bybit: Any) -> None:
        """By its id or its owner's name, also when it has ended."""
        placed = await bybit.create_order(
            "BTC/USDT:USDT", "market", "sell", 0.25, None, {"reduceOnly": True, "clientOrderId": "sn-1"}
        )
        order = await bybit.fetch_order(placed["id"], "BTC/USDT:USDT", {"acknowledged": True})
        assert (order["status"], order["filled"], order["average"], order["reduceOnly"]) == (
            "closed",
            0.25,
            63999.9,
            True,
        )
        assert order["price"] == 60_800  # the limit that protects a market order
        rows = await bybit.privateGetV5OrderRealtime({**LINEAR, "orderLinkId": "sn-1"})
        assert rows["result"]["list"][0]["orderId"] == placed["id"]
        assert (await bybit.fetch_closed_order(placed["id"], "BTC/USDT:USDT"))["status"] == "closed"
        with pytest.raises(ccxt.OrderNotFound):
            await bybit.fetch_order("12345", "BTC/USDT:USDT", {"acknowledged": True})

    async def test_linear_needs_a_coin(self, bybit: Any) -> None:
        """Spot and inverse contracts do not."""
        with pytest.raises(ccxt.BadRequest, match="10001"):
            await bybit.privateGetV5OrderRealtime(LINEAR)
        assert [o["symbol"] for o in await bybit.fetch_open_orders(None, None, None, {"type": "spot"})] == ["SOL/USDT"]
        inverse = (await bybit.privateGetV5OrderRealtime({"category": "inverse"}))["result"]["list"]
        assert sorted(row["stopOrderType"] for row in inverse) == ["", "Stop"]

    async def test_finished_orders(self, bybit: Any) -> None:
        """Open ones are left out then."""
        await bybit.cancel_all_orders("ETH/USDT:USDT")
        rows = (await bybit.privateGetV5OrderRealtime({**LINEAR, "settleCoin": "USDT", "openOnly": 1}))["result"][
            "list"
        ]
        assert [(row["symbol"], row["orderStatus"], row["cancelType"]) for row in rows] == [
            ("ETHUSDT", "Cancelled", "CancelByUser")
        ]


class TestTheKey:
    async def test_what_it_may(self, bybit_sim: Simulator, bybit: Any) -> None:
        """Permissions by name, and the addresses it is bound to."""
        result = (await bybit.privateGetV5UserQueryApi())["result"]
        assert (result["permissions"]["ContractTrade"], result["permissions"]["Spot"], result["ips"]) == (
            ["Order", "Position"],
            ["SpotTrade"],
            ["127.0.0.1"],
        )
        assert "Withdraw" not in result["permissions"]["Wallet"]
        bybit_sim.set_faults(key_rights={"demo": {"withdrawals": True, "futures": False, "ip_restricted": False}})
        result = (await bybit.privateGetV5UserQueryApi())["result"]
        assert ("Withdraw" in result["permissions"]["Wallet"], result["permissions"]["ContractTrade"]) == (True, [])
        assert result["ips"] == ["*"]

    async def test_the_account(self, bybit: Any) -> None:
        """ccxt finds a unified account of the second generation."""
        assert await bybit.is_unified_enabled() == [False, True]
        assert bybit.options["unifiedMarginStatus"] == 6
