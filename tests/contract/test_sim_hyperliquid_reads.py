"""What the real ``ccxt.pro.hyperliquid`` reads at the simulated venue, and what a read leaves out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import ccxt
import pytest

from node.sim.hyperliquid import info
from node.sim.server import serve
from node.sim.simulator import Simulator
from tests.support.hyperliquid_client import hyperliquid_client

BTC, GOLD, HYNA = "BTC/USDC:USDC", "XYZ-GOLD/USDC:USDC", "HYNA-BTC/USDE:USDE"
REDUCE = {"reduceOnly": True}


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


class TestMarkets:
    async def test_what_ccxt_makes_of_them(self, client: Any) -> None:
        """Numbers, steps and names; a wrapped coin goes by the coin's own name."""
        rows = {
            BTC: ("0", 1e-05, 1.0),
            "KPEPE/USDC:USDC": ("24", 1.0, 1e-06),
            GOLD: ("110000", 1e-04, 0.1),
            HYNA: ("120000", 1e-05, 1.0),
            "BTC/USDC": ("@2", 1e-05, 1.0),
            "PURR/USDC": ("PURR/USDC", 1.0, 1e-05),
        }
        for symbol, (number, step, tick) in rows.items():
            market = client.market(symbol)
            assert (market["id"], market["precision"]["amount"], market["precision"]["price"]) == (number, step, tick)
            assert market["limits"]["cost"]["min"] == 10
        assert client.market("BTC/USDC")["baseId"] == "10002"

    async def test_a_limit_hides_dexs(self, simulator: Simulator) -> None:
        """ccxt loads ten dexs unless told otherwise; a dex that was not loaded has no markets."""
        options = {"fetchMarkets": {"types": ["swap", "hip3"], "hip3": {"limit": 1}}}
        async with hyperliquid_client(simulator, options=options) as client:
            await client.load_markets()
            assert GOLD in client.markets
            assert HYNA not in client.markets

    async def test_delisted(self, simulator: Simulator, client: Any) -> None:
        """It keeps its number, is marked, and takes no orders; the position is still shown."""
        simulator.set_faults(market_status={"linear:LTC/USDC": "DELISTED"})
        with pytest.raises(ccxt.ExchangeError, match="halted"):
            await client.create_order("LTC/USDC:USDC", "market", "buy", 95.5, 82, REDUCE)
        assert "LTC/USDC:USDC" in {p["symbol"] for p in await client.fetch_positions()}
        await client.load_markets(True)
        assert client.market("LTC/USDC:USDC")["active"] is False
        assert client.market("DOT/USDC:USDC")["id"] == "10"

    async def test_prices(self, client: Any) -> None:
        """Books, mids, and the prices that come with the lists."""
        book = await client.fetch_order_book(BTC)
        assert (book["bids"][0][0], book["asks"][0][0]) == (63999, 64001)
        ticker = (await client.fetch_tickers([BTC]))[BTC]
        assert (ticker["bid"], ticker["ask"], ticker["close"]) == (63999, 64001, 64000)
        mids = await client.publicPostInfo({"type": "allMids"})
        assert (mids["BTC"], mids["@2"], "hyna:BTC" in mids) == ("64000.0", "64013.0", False)
        assert set(await client.publicPostInfo({"type": "allMids", "dex": "xyz"})) == {"xyz:GOLD", "xyz:TSLA"}
        assert (await client.fetch_order_book("BTC/USDC"))["asks"][0][0] == 64014


class TestPositions:
    async def test_one_dex_at_a_time(self, client: Any) -> None:
        """The plain call knows only the venue's own contracts."""
        own = await client.fetch_positions()
        assert (len(own), GOLD in {p["symbol"] for p in own}) == (20, False)
        builders = {
            dex: [
                (p["symbol"], p["side"], p["contracts"], p["marginMode"])
                for p in await client.fetch_positions(None, {"dex": dex})
            ]
            for dex in ("xyz", "hyna")
        }
        assert builders == {
            "xyz": [(GOLD, "long", 4.5, "isolated"), ("XYZ-TSLA/USDC:USDC", "short", 30, "isolated")],
            "hyna": [(HYNA, "long", 0.35, "isolated")],
        }
        with pytest.raises(ccxt.NotSupported):
            await client.fetch_positions([BTC, GOLD])
        with pytest.raises(ccxt.ExchangeNotAvailable):
            await client.fetch_positions(None, {"dex": "nobody"})

    async def test_orders_too(self, client: Any) -> None:
        """Those on spot come with the venue's own."""
        symbols = {o["symbol"] for o in await client.fetch_open_orders()}
        assert "SOL/USDC" in symbols
        assert not any("-" in symbol for symbol in symbols)
        assert {o["symbol"] for o in await client.fetch_open_orders(GOLD)} == {GOLD}
        builders = await client.fetch_open_orders(None, None, None, {"dex": "xyz"})
        assert {o["symbol"] for o in builders} == {GOLD, "XYZ-TSLA/USDC:USDC"}

    async def test_fields(self, client: Any) -> None:
        """No hedge mode, nowhere."""
        (position,) = [p for p in await client.fetch_positions() if p["symbol"] == "ETH/USDC:USDC"]
        assert (position["side"], position["entryPrice"], position["leverage"]) == ("short", 3136, 10)
        assert (position["hedged"], position["info"]["type"]) == (None, "oneWay")
        assert (position["notional"], position["unrealizedPnl"]) == (58880, -1177.6)

    @pytest.mark.parametrize(
        ("name", "seen"), [("linear:USDE", (20, 2, 0)), ("linear:xyz", (20, 0, 1)), ("linear:USDC", (0, 0, 1))]
    )
    async def test_hidden_slices(self, simulator: Simulator, client: Any, name: str, seen: tuple[int, ...]) -> None:
        """A part of the account may be forgotten by settle coin or by dex."""
        simulator.set_faults(hidden_slice={"slice": name})
        counts = [len(await client.fetch_positions(None, {"dex": dex})) for dex in ("", "xyz", "hyna")]
        assert tuple(counts) == seen


class TestBalances:
    async def test_two_wallets(self, client: Any) -> None:
        """What a resting order holds is not free; the contracts' wallet is one number."""
        spot = await client.fetch_balance({"type": "spot"})
        assert (spot["SOL"]["total"], spot["SOL"]["used"], spot["SOL"]["free"]) == (120, 40, 80)
        assert (spot["BTC"]["free"], spot["USDC"]["total"]) == (0.8, 25_000)
        assert {b["coin"] for b in spot["info"]["balances"]} == {"USDC", "UBTC", "UETH", "USOL", "PURR", "WAN"}
        perpetual = await client.fetch_balance()
        assert perpetual["USDC"]["total"] > 400_000
        assert set(perpetual["total"]) == {"USDC"}

    async def test_ccxt_asks_what_kind_of_account_it_is(self, simulator: Simulator, client: Any) -> None:
        """Once, before the first balance; a unified account would have another answer."""
        await client.fetch_balance({"type": "spot"})
        await client.fetch_balance({"type": "spot"})
        types = [entry.params["type"] for entry in simulator.journal.entries(path_prefix="/info")]
        assert types.count("userAbstraction") == 1

    async def test_residue(self) -> None:
        """Coins without a pair stand beside the others."""
        async with serve(venue="hyperliquid", scenario="residue") as simulator, hyperliquid_client(simulator) as client:
            await client.load_markets()
            held = (await client.fetch_balance({"type": "spot"}))["total"]
            assert held == {"USDC": 3500, "PURR": 3.4, "XAIR": 1000, "SXP": 400, "SOL": 120, "WAN": 3}
            assert not {"XAIR/USDC", "SXP/USDC"} & set(client.markets)


class TestHistory:
    async def test_pages(self, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """Orders and fills are cut, the newest stay."""
        made = [await client.create_order(BTC, "market", "sell", 0.1, 64000, REDUCE) for _ in range(4)]
        monkeypatch.setattr(info, "FILLS_MAX", 3)
        monkeypatch.setattr(info, "HISTORY_MAX", 2)
        assert [t["order"] for t in await client.fetch_my_trades(BTC)] == [order["id"] for order in made[1:]]
        assert len(await client.fetch_orders(BTC)) <= 2

    async def test_fills(self, client: Any) -> None:
        """What each trade closed, and where the position stood before."""
        await client.create_order(BTC, "market", "sell", 0.25, 64000, REDUCE)
        await client.create_order(BTC, "market", "sell", 1.0, 64000, REDUCE)
        fills = await client.publicPostInfo({"type": "userFills", "user": client.walletAddress})
        assert [(f["startPosition"], f["dir"], f["sz"]) for f in fills] == [
            ("1.0", "Close Long", "1.0"),
            ("1.25", "Close Long", "0.25"),
        ]
        assert await client.fetch_my_trades(BTC, 9_999_999_999_999) == []


class TestLimits:
    async def test_the_address_on_the_network(self, simulator: Simulator, client: Any) -> None:
        """1200 a minute: sixty lists of orders. 429 and ``null``, whatever is asked."""
        simulator.handler.front_end.state.weight.used = 1180  # type: ignore[attr-defined]
        await client.fetch_open_orders()
        with pytest.raises(ccxt.RateLimitExceeded, match="429"):
            await client.fetch_positions()
        with pytest.raises(ccxt.RateLimitExceeded, match="429"):
            await client.create_order(BTC, "market", "sell", 0.1, 64000, REDUCE)
        assert simulator.journal.entries()[-1].status == 429
        simulator.clock.offset_ms = 60_000
        await client.fetch_positions()

    async def test_weights(self, simulator: Simulator, client: Any) -> None:
        """States cost two, lists twenty, actions one."""
        weight = simulator.handler.front_end.state.weight  # type: ignore[attr-defined]
        for call, cost in (
            (client.fetch_positions(), 2),
            (client.fetch_open_orders(), 20),
            (client.create_order(BTC, "market", "sell", 0.1, 64000, REDUCE), 1),
            (client.publicPostInfo({"type": "userRole", "user": client.walletAddress}), 60),
        ):
            before = weight.used
            await call
            assert weight.used - before == cost

    async def test_the_budget_of_an_account(self, simulator: Simulator, client: Any) -> None:
        """Used up, it gives one action in ten seconds; HTTP says 200, cancels go on, and trading earns more."""
        budget = simulator.handler.front_end.state.budgets["demo"]  # type: ignore[attr-defined]
        budget.used = budget.cap
        limits = await client.publicPostInfo({"type": "userRateLimit", "user": client.walletAddress})
        assert (limits["nRequestsUsed"], limits["nRequestsCap"]) == (97457, 97457)
        resting = await client.create_order(BTC, "limit", "buy", 0.01, 60000)  # the one of these ten seconds
        text = r"Too many cumulative requests sent \(97459 > 97456\) for cumulative volume traded \$87457.46"
        with pytest.raises(ccxt.RateLimitExceeded, match=text):
            await client.create_order(BTC, "market", "sell", 0.1, 64000, REDUCE)
        assert simulator.journal.entries()[-1].status == 200
        await client.cancel_order(resting["id"], BTC)
        simulator.clock.offset_ms = 10_001
        await client.create_order(BTC, "market", "sell", 1.0, 64000, REDUCE)
        await client.create_order(BTC, "market", "sell", 0.1, 64000, REDUCE)
        assert budget.traded == Decimal("87457.46") + Decimal("70398.9")

    async def test_a_batch_counts_each(self, client: Any) -> None:
        """As many actions as it has orders."""
        before = await client.publicPostInfo({"type": "userRateLimit", "user": client.walletAddress})
        orders = await client.fetch_open_orders()
        await client.cancel_orders_for_symbols([{"id": o["id"], "symbol": o["symbol"]} for o in orders])
        after = await client.publicPostInfo({"type": "userRateLimit", "user": client.walletAddress})
        assert int(after["nRequestsUsed"]) - int(before["nRequestsUsed"]) == 10


async def test_time(simulator: Simulator, client: Any) -> None:
    """The venue's clock."""
    simulator.clock.offset_ms = 5000
    assert abs(await client.fetch_time() - simulator.clock.now_ms()) < 1000


@pytest.mark.parametrize("scenario", ["hedge", "basis", "margin", "empty", "desk"])
async def test_every_scenario(scenario: str) -> None:
    """Hedge mode and borrowed money do not exist; the rest is there."""
    async with serve(venue="hyperliquid", scenario=scenario) as simulator, hyperliquid_client(simulator) as client:
        await client.load_markets()
        for account in simulator.core.accounts:
            async with hyperliquid_client(simulator, account=account) as other:
                other.set_markets(client.markets)
                held = simulator.state()["accounts"][account]["positions"]
                own = [p for p in held if ":" not in p["symbol"]]
                assert len(await other.fetch_positions()) == len(own)
                assert not simulator.core.accounts[account].hedge_mode
