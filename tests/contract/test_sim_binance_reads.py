"""What the real ``ccxt.pro.binance`` reads from the simulated venue, over TLS and under the real host names."""

from __future__ import annotations

from typing import Any

from node.sim.server import serve
from node.sim.simulator import Simulator
from tests.support.sim_clients import binance_client


class TestMarkets:
    async def test_every_kind_is_listed(self, client: Any) -> None:
        """Spot, USDT- and USDC-settled perpetuals, COIN-M perpetual and dated contracts."""
        symbols = set(client.markets)
        assert {"BTC/USDT", "WAN/BTC", "BTC/USDT:USDT", "ETH/USDC:USDC", "BTC/USD:BTC"} <= symbols
        assert any(symbol.startswith("BTC/USD:BTC-") for symbol in symbols)
        assert "WAN/USDT" not in symbols

    async def test_limits_are_those_of_the_filters(self, client: Any) -> None:
        """The market-order maximum is not the limit-order maximum; COIN-M counts contracts."""
        ada, coin = client.market("ADA/USDT:USDT"), client.market("BTC/USD:BTC")
        assert (ada["limits"]["market"]["max"], ada["limits"]["amount"]["max"]) == (300_000, 2_400_000)
        assert (ada["limits"]["cost"]["min"], ada["precision"]["amount"]) == (5, 1)
        assert (coin["contractSize"], coin["inverse"], coin["precision"]["amount"]) == (100, True, 1)
        assert client.market("SOL/USDT")["limits"]["cost"]["min"] == 5

    async def test_a_settling_contract_is_not_active(self, client: Any) -> None:
        """The venue says so, and a position in it could not be closed."""
        assert client.market("BCH/USDT:USDT")["active"] is False

    async def test_prices(self, client: Any) -> None:
        """Tickers of each product, by symbol and all at once."""
        spot = await client.fetch_bids_asks(["SOL/USDT"])
        assert spot["SOL/USDT"]["bid"] == 149.99
        linear = await client.fapiPublicGetPremiumIndex({"symbol": "BTCUSDT"})
        inverse = await client.dapiPublicGetPremiumIndex({"symbol": "BTCUSD_PERP"})
        assert (linear["markPrice"], inverse[0]["markPrice"]) == ("64000.00000000", "64000.00000000")
        assert (await client.fetch_ticker("BTC/USDT:USDT"))["last"] == 64000


class TestPositions:
    async def test_linear_positions(self, client: Any) -> None:
        """Twenty-one of them, long and short, one in USDC."""
        positions = {position["symbol"]: position for position in await client.fetch_positions()}
        assert len(positions) == 21
        bitcoin, ether = positions["BTC/USDT:USDT"], positions["ETH/USDT:USDT"]
        assert (bitcoin["side"], bitcoin["contracts"], bitcoin["hedged"]) == ("long", 1.25, False)
        assert (ether["side"], ether["contracts"], ether["marginMode"]) == ("short", 18.4, "cross")
        assert positions["BTC/USDC:USDC"]["contracts"] == 0.35

    async def test_inverse_positions(self, client: Any) -> None:
        """COIN-M positions are in contracts."""
        positions = await client.fetch_positions(None, {"subType": "inverse"})
        assert [(p["symbol"], p["side"], p["contracts"]) for p in positions] == [
            ("BTC/USD:BTC", "long", 250),
            ("ETH/USD:ETH", "short", 1200),
        ]

    async def test_versions_differ_in_the_rows_they_leave_out(self, client: Any) -> None:
        """v3 shows symbols with a position or an order; v2 shows every symbol."""
        newer, older = await client.fapiPrivateV3GetPositionRisk(), await client.fapiPrivateV2GetPositionRisk()
        assert {row["symbol"] for row in newer if not float(row["positionAmt"])} == {"INJUSDT", "ETHUSDC", "ETCUSDT"}
        assert {row["symbol"] for row in older} == {m["id"] for m in client.markets.values() if m["linear"]}

    async def test_hedge_mode(self) -> None:
        """Two legs a symbol, isolated margin where it is set."""
        async with serve(scenario="hedge") as simulator, binance_client(simulator) as client:
            assert (await client.fetch_position_mode())["hedged"] is True
            positions = await client.fetch_positions()
            bitcoin = {p["side"]: p["contracts"] for p in positions if p["symbol"] == "BTC/USDT:USDT"}
            assert bitcoin == {"long": 0.8, "short": 0.3}
            isolated = {p["symbol"] for p in positions if p["marginMode"] == "isolated"}
            assert isolated == {"AVAX/USDT:USDT", "DOT/USDT:USDT"}
            assert all(p["hedged"] for p in positions)


class TestOrders:
    async def test_the_two_books_are_apart(self, client: Any) -> None:
        """Without ``trigger`` no conditional order is seen, with it no other."""
        plain = await client.fetch_open_orders(None, None, None, {"type": "swap"})
        algo = await client.fetch_open_orders(None, None, None, {"type": "swap", "trigger": True})
        assert (len(plain), len(algo)) == (6, 4)
        assert all(order["triggerPrice"] is None for order in plain)
        assert {o["symbol"] for o in algo if o["info"]["closePosition"]} == {"BTC/USDT:USDT", "DOGE/USDT:USDT"}
        assert {o["symbol"] for o in plain if o["reduceOnly"]} == {"SOL/USDT:USDT", "BNB/USDT:USDT"}

    async def test_inverse_and_spot(self, client: Any) -> None:
        """COIN-M has both books, spot one."""
        inverse = {"type": "swap", "subType": "inverse"}
        plain = await client.fetch_open_orders(None, None, None, inverse)
        algo = await client.fetch_open_orders(None, None, None, {**inverse, "trigger": True})
        spot = await client.fetch_open_orders(None, None, None, {"type": "spot"})
        assert [(o["symbol"], o["amount"]) for o in (*plain, *algo, *spot)] == [
            ("BTC/USD:BTC", 50),
            ("BTC/USD:BTC", 250),
            ("SOL/USDT", 40),
        ]

    async def test_by_symbol(self, client: Any) -> None:
        """A symbol narrows both books."""
        plain = await client.fetch_open_orders("BTC/USDT:USDT")
        algo = await client.fetch_open_orders("BTC/USDT:USDT", None, None, {"trigger": True})
        assert [o["type"] for o in (*plain, *algo)] == ["limit", "market"]


class TestBalances:
    async def test_spot(self, client: Any) -> None:
        """What a resting order holds is used, not free."""
        balance = await client.fetch_balance({"type": "spot"})
        assert balance["SOL"] == {"free": 80, "used": 40, "total": 120}
        held = {asset for asset, total in balance["total"].items() if total}
        assert held == {"USDT", "BTC", "ETH", "SOL", "DOGE", "WAN"}

    async def test_contract_wallets(self, client: Any) -> None:
        """Each settlement coin has its own margin balance."""
        linear = await client.fetch_balance({"type": "swap"})
        inverse = await client.fetch_balance({"type": "swap", "subType": "inverse"})
        assert {asset for asset, total in linear["total"].items() if total} == {"USDT", "USDC"}
        assert {asset for asset, total in inverse["total"].items() if total} == {"BTC", "ETH"}
        assert 0 < linear["USDT"]["free"] < linear["USDT"]["total"]
        rows = await client.fapiPrivateV2GetBalance()
        assert {row["asset"]: row["balance"] for row in rows}["USDT"] == "400000.00000000"


async def test_key_rights(simulator: Simulator, client: Any) -> None:
    """What the key may do, as the venue tells it."""
    simulator.set_faults(key_rights={"demo": {"withdrawals": True}})
    rights = await client.sapiGetAccountApiRestrictions()
    assert (rights["enableWithdrawals"], rights["enableFutures"], rights["ipRestrict"]) == (True, True, True)


async def test_default_load_markets_of_ccxt(simulator: Simulator) -> None:
    """The signed calls that ccxt hides in load_markets are answered too."""
    async with binance_client(simulator, fetchCurrencies=True, fetchMargins=True) as client:
        client.has["fetchCurrencies"] = True
        await client.load_markets()
        assert "WAN" in client.currencies
    asked = {entry.path for entry in simulator.journal.entries(path_prefix="/sapi")}
    assert asked == {
        "/sapi/v1/capital/config/getall",
        "/sapi/v1/margin/allPairs",
        "/sapi/v1/margin/isolated/allPairs",
    }
