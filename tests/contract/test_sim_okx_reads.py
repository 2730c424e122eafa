"""What the simulated OKX tells, read by the real ccxt: markets, balances, positions, orders, pages."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import ccxt
import pytest

from node.sim.server import serve
from node.sim.simulator import Simulator
from tests.support.okx import ALGO_TYPES, BTC, COIN, USDC, algos, client, simulator
from tests.support.sim_clients import okx_client

__all__ = ["client", "simulator"]


class TestMarkets:
    async def test_contracts_and_pairs(self, client: Any) -> None:
        """Sizes are in contracts, lots may be fractions, and the market order's maximum is in ``info`` only."""
        btc, coin, usdc, spot = (client.market(name) for name in (BTC, COIN, USDC, "BTC/USDT"))
        assert [m["contractSize"] for m in (btc, coin, usdc)] == [0.01, 100, 0.0001]
        assert [m["precision"]["amount"] for m in (btc, coin, usdc)] == [0.01, 0.1, 1]
        assert (btc["linear"], coin["inverse"], usdc["settle"], spot["type"]) == (True, True, "USDC", "spot")
        assert client.market("ADA/USDT:USDT")["info"]["maxMktSz"] == "3000"
        assert (spot["info"]["maxMktSz"], spot["limits"]["cost"]["max"]) == ("1000000", 1_000_000)
        assert client.market("BCH/USDT:USDT")["active"] is False
        dated = [m for m in client.markets.values() if m["future"]]
        assert {m["settle"] for m in dated} == {"USDT", "BTC"}

    async def test_one_type_at_a_time(self, client: Any) -> None:
        """The type is mandatory, and an unknown instrument is no empty list."""
        with pytest.raises(ccxt.BadRequest, match="50014"):
            await client.publicGetPublicInstruments({})
        with pytest.raises(ccxt.BadSymbol, match="51001"):
            await client.publicGetPublicInstruments({"instType": "SWAP", "instId": "NO-USDT-SWAP"})

    async def test_quotes(self, client: Any) -> None:
        """Prices and time need no key."""
        client.apiKey = "nobody"
        tickers = await client.fetch_tickers([BTC, "ETH/USDT:USDT"])
        assert (tickers[BTC]["bid"], tickers[BTC]["ask"]) == (63999.9, 64000.1)
        assert (await client.fetch_ticker("ETH/BTC"))["last"] == 0.05
        assert (await client.fetch_mark_prices([BTC]))[BTC]["markPrice"] == 64000
        assert abs(await client.fetch_time() - client.milliseconds()) < 5000
        limits = (await client.publicGetPublicPriceLimit({"instId": "BTC-USDT-SWAP"}))["data"][0]
        assert (limits["buyLmt"], limits["sellLmt"]) == ("67200", "60800")


class TestBalances:
    async def test_one_wallet_for_all_products(self, simulator: Simulator, client: Any) -> None:
        """Equity counts unrealised profit; what is available leaves out margins and resting orders."""
        balance = await client.fetch_balance()
        rows = {row["ccy"]: row for row in balance["info"]["data"][0]["details"]}
        assert (rows["USDT"]["cashBal"], rows["BTC"]["cashBal"], rows["SOL"]["ordFrozen"]) == ("425000", "3.3", "40")
        assert balance["USDT"]["total"] == float(rows["USDT"]["eq"]) != 425000
        assert balance["USDT"]["free"] < 425000 - 80_000
        assert (balance["SOL"]["total"], balance["SOL"]["free"]) == (120, 80)
        assert rows["USDT"]["liab"] == ""  # the futures level has no debts
        only = await client.fetch_balance({"ccy": "DOGE,WAN"})
        assert [row["ccy"] for row in only["info"]["data"][0]["details"]] == ["DOGE", "WAN"]

    async def test_the_funding_account_is_apart(self, simulator: Simulator, client: Any) -> None:
        """What lies there is in no balance of the trading account."""
        assert (await client.fetch_balance({"type": "funding"}))["total"] == {}
        simulator.account.balance("funding", "USDT").free = Decimal("1234.5")
        assert (await client.fetch_balance({"type": "funding"}))["total"] == {"USDT": 1234.5}
        details = (await client.fetch_balance())["info"]["data"][0]["details"]
        assert {row["ccy"]: row["cashBal"] for row in details}["USDT"] == "425000"

    async def test_settings_and_rights(self, simulator: Simulator, client: Any) -> None:
        """One request tells the account's level, its position mode and the key's rights."""
        (config,) = (await client.privateGetAccountConfig())["data"]
        assert (config["acctLv"], config["posMode"], config["perm"], config["autoLoan"]) == (
            "2",
            "net_mode",
            "read_only,trade",
            False,
        )
        assert config["ip"] == "127.0.0.1"
        simulator.set_faults(key_rights={"demo": {"withdrawals": True, "futures": False, "ip_restricted": False}})
        (config,) = (await client.privateGetAccountConfig())["data"]
        assert (config["perm"], config["ip"]) == ("read_only,withdraw", "")
        assert (await client.fetch_position_mode())["hedged"] is False


class TestPositions:
    async def test_all_products_in_one_answer(self, client: Any) -> None:
        """Linear and inverse come together, signed in net mode."""
        positions = {p["symbol"]: p for p in await client.fetch_positions()}
        assert len(positions) == 23
        assert [(positions[s]["contracts"], positions[s]["side"]) for s in (BTC, "ETH/USDT:USDT", COIN, USDC)] == [
            (125, "long"),
            (184, "short"),
            (250, "long"),
            (3500, "long"),
        ]
        assert positions["ETH/USDT:USDT"]["info"]["pos"] == "-184"
        assert {(p["marginMode"], p["hedged"]) for p in positions.values()} == {("cross", False)}
        assert len(await client.fetch_positions(None, {"instType": "FUTURES"})) == 0

    async def test_hedge_mode(self) -> None:
        """Legs are rows of their own, both positive; isolated ones have a margin."""
        async with serve(venue="okx", scenario="hedge") as simulator, okx_client(simulator) as client:
            positions = await client.fetch_positions()
            legs = {p["side"]: p for p in positions if p["symbol"] == BTC}
            assert (legs["long"]["contracts"], legs["short"]["contracts"], legs["short"]["info"]["pos"]) == (
                80,
                30,
                "30",
            )
            assert {p["hedged"] for p in positions} == {True}
            isolated = {p["symbol"] for p in positions if p["marginMode"] == "isolated"}
            assert isolated == {"AVAX/USDT:USDT", "DOT/USDT:USDT"}
            assert (await client.fetch_position_mode())["hedged"] is True

    async def test_flat_ones_come_back_by_name(self, simulator: Simulator, client: Any) -> None:
        """A closed position is gone from the list, and has ``pos`` zero where its instrument is named."""
        await client.create_order(BTC, "market", "sell", 125, None, {"reduceOnly": True})
        assert BTC not in {p["symbol"] for p in await client.fetch_positions()}
        (row,) = (await client.privateGetAccountPositions({"instId": "BTC-USDT-SWAP"}))["data"]
        assert (row["pos"], row["avgPx"], row["upl"]) == ("0", "", "")
        assert (await client.privateGetAccountPositions({"instId": "INJ-USDT-SWAP"}))["data"] == []

    async def test_hidden_slices(self, simulator: Simulator, client: Any) -> None:
        """A read may leave a slice out."""
        simulator.set_faults(hidden_slice={"slice": "linear:USDC", "times": 1})
        assert USDC not in {p["symbol"] for p in await client.fetch_positions()}
        assert USDC in {p["symbol"] for p in await client.fetch_positions()}


class TestOrders:
    async def test_resting_orders_of_all_products(self, client: Any) -> None:
        """Spot and contracts come together, without algo orders; a type may be asked for."""
        orders = await client.fetch_open_orders()
        assert (len(orders), {order["status"] for order in orders}) == (8, {"open"})
        assert [o["symbol"] for o in await client.fetch_open_orders(None, None, None, {"instType": "SPOT"})] == [
            "SOL/USDT"
        ]
        reducing = {o["symbol"] for o in orders if o["reduceOnly"]}
        assert reducing == {"SOL/USDT:USDT", "BNB/USDT:USDT"}
        assert {o["info"]["tdMode"] for o in orders} == {"cash", "cross"}

    async def test_algo_orders_one_type_at_a_time(self, client: Any) -> None:
        """ccxt's plain ``trigger`` list is one type of four: it misses the stops."""
        plain = await client.fetch_open_orders(None, None, None, {"trigger": True})
        assert [order["symbol"] for order in plain] == ["ETC/USDT:USDT"]
        everything = await algos(client)
        assert len(everything) == 5
        both = await client.privateGetTradeOrdersAlgoPending({"ordType": "conditional,oco"})
        assert len(both["data"]) == 4
        whole = {row["instId"]: row for row in both["data"]}["BTC-USDT-SWAP"]
        assert (whole["closeFraction"], whole["sz"], whole["slTriggerPx"], whole["slOrdPx"]) == ("1", "", "57600", "-1")
        for types in ("", "conditional,trigger", "limit"):
            with pytest.raises(ccxt.BadRequest, match=r"50014|51000"):
                await client.privateGetTradeOrdersAlgoPending({"ordType": types})

    async def test_pages_of_a_hundred(self, simulator: Simulator, client: Any) -> None:
        """The list is cut at a hundred, newest first; ``after`` the last id comes the rest."""
        for _ in range(6):
            rows = [
                {"symbol": BTC, "type": "limit", "side": "buy", "amount": 0.01, "price": 62000, "params": {}}
                for _ in range(20)
            ]
            await client.create_orders(rows)
        first = (await client.privateGetTradeOrdersPending({}))["data"]
        ids = [int(row["ordId"]) for row in first]
        assert (len(ids), ids) == (100, sorted(ids, reverse=True))
        rest = (await client.privateGetTradeOrdersPending({"after": first[-1]["ordId"]}))["data"]
        assert len(rest) == 28
        assert not {row["ordId"] for row in rest} & {row["ordId"] for row in first}
        newer = (await client.privateGetTradeOrdersPending({"before": first[10]["ordId"], "limit": "5"}))["data"]
        assert [row["ordId"] for row in newer] == [row["ordId"] for row in first[:5]]
        with pytest.raises(ccxt.BadRequest, match="51000"):
            await client.privateGetTradeOrdersPending({"limit": "101"})

    async def test_pages_of_algo_orders(self, simulator: Simulator, client: Any) -> None:
        """The same limit, for each type by itself."""
        simulator.set_faults(enforce_limits=False)
        for _ in range(101):
            await client.create_order(BTC, "market", "sell", 0.01, None, {"triggerPrice": 60000})
        page = (await client.privateGetTradeOrdersAlgoPending({"ordType": "trigger"}))["data"]
        assert len(page) == 100
        rest = await client.privateGetTradeOrdersAlgoPending({"ordType": "trigger", "after": page[-1]["algoId"]})
        assert len(rest["data"]) == 2
        assert len(ALGO_TYPES) == 4
