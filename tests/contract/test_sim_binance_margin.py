"""Cross margin at the simulated venue: what the real ccxt reads there, trades there, borrows and repays."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import ccxt
import pytest

from node.sim.server import serve
from node.sim.simulator import Simulator
from tests.support.sim_clients import binance_client

CROSS = {"marginMode": "cross"}


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    """An account with debts."""
    async with serve(scenario="margin") as running:
        yield running


def wallet(simulator: Simulator, asset: str) -> dict[str, float]:
    """One asset of the margin wallet, as the venue knows it."""
    held = simulator.account.balance("margin", asset)
    return {"free": float(held.free), "locked": float(held.locked), "owed": float(held.owed)}


class TestReads:
    async def test_balances_and_debts(self, client: Any) -> None:
        """A long on borrowed dollars, a short of ether with interest, a holding beside a debt, a resting order."""
        balance = await client.fetch_balance({"type": "margin"})
        debts = {asset: debt for asset, debt in balance["debt"].items() if debt}
        assert debts == {"USDT": 40000, "ETH": 8.0021, "BNB": 4}
        assert balance["BTC"] == {"free": 1.5, "used": 0, "total": 1.5, "debt": 0}
        assert (balance["USDT"]["free"], balance["USDT"]["used"]) == (25856, 6144)
        rows = {row["asset"]: row for row in balance["info"]["userAssets"]}
        assert (rows["ETH"]["borrowed"], rows["ETH"]["interest"]) == ("8.00000000", "0.00210000")
        assert (rows["ETH"]["netAsset"], rows["BNB"]["netAsset"]) == ("-8.00210000", "8.00000000")

    async def test_open_orders(self, client: Any) -> None:
        """They are not among the spot orders."""
        (order,) = await client.fetch_open_orders(None, None, None, CROSS)
        assert (order["symbol"], order["amount"], order["info"]["isIsolated"]) == ("BTC/USDT", 0.1, False)
        assert await client.fetch_open_orders(None, None, None, {"type": "spot"}) == []
        assert (await client.fetch_balance({"type": "spot"}))["USDT"]["total"] == 0

    async def test_pairs_that_trade_on_margin(self, simulator: Simulator) -> None:
        """``allPairs`` and ``exchangeInfo`` agree."""
        async with binance_client(simulator, fetchMargins=True) as client:
            await client.load_markets()
            listed = {m["id"] for m in client.markets.values() if m["spot"] and m["info"]["isMarginTradingAllowed"]}
            crossed = {m["id"] for m in client.markets.values() if m["spot"] and m["marginModes"]["cross"]}
        assert crossed == listed
        assert ("BTCUSDT" in crossed, "WANBTC" in crossed) == (True, False)

    async def test_rights(self, simulator: Simulator, client: Any) -> None:
        """The right to borrow shows only where there is a margin account, and can be missing."""
        assert (await client.sapiGetAccountApiRestrictions())["enableMargin"] is True
        simulator.set_faults(key_rights={"margin": {"margin": False}})
        assert (await client.sapiGetAccountApiRestrictions())["enableMargin"] is False
        with pytest.raises(ccxt.AuthenticationError, match="-2015"):
            await client.repay_cross_margin("USDT", 1)

    async def test_without_a_margin_account(self, simulator: Simulator) -> None:
        """-3003 to everything."""
        simulator.reset("basis")
        async with binance_client(simulator) as client:
            await client.load_markets()
            assert (await client.sapiGetAccountApiRestrictions())["enableMargin"] is False
            for call in (
                client.fetch_balance({"type": "margin"}),
                client.fetch_open_orders(None, None, None, CROSS),
                client.create_order("BTC/USDT", "market", "sell", 1, None, CROSS),
                client.repay_cross_margin("USDT", 1),
            ):
                with pytest.raises(ccxt.BadRequest, match="-3003"):
                    await call
        assert "margin" not in simulator.account.wallets


class TestOrders:
    async def test_without_side_effect_nothing_is_borrowed_or_repaid(self, simulator: Simulator, client: Any) -> None:
        """A sale brings money; the debt stays. More than is free is refused."""
        order = await client.create_order("BTC/USDT", "market", "sell", 1.5, None, CROSS)
        assert (order["status"], order["filled"], order["info"]["isIsolated"]) == ("closed", 1.5, False)
        assert wallet(simulator, "USDT")["owed"] == 40000
        with pytest.raises(ccxt.InsufficientFunds, match="insufficient balance"):
            await client.create_order("BTC/USDT", "market", "sell", 0.1, None, CROSS)
        assert simulator.account.counters.borrows == 0

    async def test_a_sale_that_repays(self, simulator: Simulator, client: Any) -> None:
        """The proceeds pay the debt as far as they reach."""
        params = {**CROSS, "sideEffectType": "AUTO_REPAY"}
        await client.create_order("BTC/USDT", "market", "sell", 0.5, None, params)
        assert 8000 < wallet(simulator, "USDT")["owed"] < 8100
        assert wallet(simulator, "USDT")["free"] == 25856

    async def test_buying_back_a_short(self, simulator: Simulator, client: Any) -> None:
        """The fee is taken from what is bought, so that buying exactly the debt does not pay it."""
        params = {**CROSS, "sideEffectType": "AUTO_REPAY"}
        await client.create_order("ETH/USDT", "market", "buy", 8.0021, None, params)
        assert wallet(simulator, "ETH") == {"free": 0, "locked": 0, "owed": pytest.approx(0.0080021)}

    @pytest.mark.parametrize("effect", ["MARGIN_BUY", "AUTO_BORROW_REPAY"])
    async def test_an_order_that_borrows(self, simulator: Simulator, client: Any, effect: str) -> None:
        """Selling what is not there opens a short; the answer and the counters say so."""
        params = {**CROSS, "sideEffectType": effect}
        order = await client.create_order("SOL/USDT", "market", "sell", 10, None, params)
        assert (order["info"]["marginBuyBorrowAsset"], order["info"]["marginBuyBorrowAmount"]) == ("SOL", "10.00000000")
        assert wallet(simulator, "SOL") == {"free": 0, "locked": 0, "owed": 10}
        counters = simulator.account.counters
        assert (counters.borrows, counters.oversold) == (1, 1)
        assert (wallet(simulator, "USDT")["owed"] < 40000) is (effect == "AUTO_BORROW_REPAY")

    async def test_query_and_cancel(self, simulator: Simulator, client: Any) -> None:
        """One by its id, the others of a symbol all at once."""
        placed = await client.create_order("BTC/USDT", "limit", "buy", 0.05, 62000, CROSS)
        found = await client.fetch_order(placed["id"], "BTC/USDT", CROSS)
        assert (found["status"], found["amount"]) == ("open", 0.05)
        assert (await client.cancel_order(placed["id"], "BTC/USDT", CROSS))["status"] == "canceled"
        assert len(await client.cancel_all_orders("BTC/USDT", CROSS)) == 1
        assert wallet(simulator, "USDT")["locked"] == 0
        with pytest.raises(ccxt.OrderNotFound):
            await client.cancel_all_orders("BTC/USDT", CROSS)

    async def test_prices_are_those_of_spot(self, simulator: Simulator, client: Any) -> None:
        """Margin orders trade in the spot book: a spot price move fills them, a spot halt stops them."""
        simulator.set_faults(prices={"spot:BTC/USDT": "61000"})
        assert await client.fetch_open_orders("BTC/USDT", None, None, CROSS) == []
        assert wallet(simulator, "BTC")["free"] == pytest.approx(1.5999)
        simulator.set_faults(market_status={"spot:BTC/USDT": "BREAK"})
        with pytest.raises(ccxt.ExchangeError, match="Market is closed"):
            await client.create_order("BTC/USDT", "market", "sell", 1, None, CROSS)

    @pytest.mark.parametrize(
        ("order", "code"),
        [
            ({"symbol": "WANBTC"}, "-3021"),
            ({"symbol": "NOPE"}, "-1121"),
            ({"symbol": "BTCUSDT", "sideEffectType": "WISH"}, "-1130"),
            ({"symbol": "BTCUSDT", "isIsolated": "TRUE"}, "-11001"),
        ],
    )
    async def test_refusals(self, client: Any, order: dict[str, str], code: str) -> None:
        """Margin has refusals of its own."""
        with pytest.raises(ccxt.BaseError, match=code):
            await client.sapiPostMarginOrder({"side": "SELL", "type": "MARKET", "quantity": "1", **order})


class TestLoans:
    async def test_repaying_a_debt_with_its_interest(self, simulator: Simulator, client: Any) -> None:
        """Principal and interest together, to the last digit."""
        simulator.account.balance("margin", "ETH").free += 9
        loan = await client.repay_cross_margin("ETH", 8.0021)
        assert (loan["id"], wallet(simulator, "ETH")["owed"]) != (None, 8.0021)
        assert (wallet(simulator, "ETH")["owed"], simulator.account.counters.repayments) == (0, 1)

    async def test_borrowing(self, simulator: Simulator, client: Any) -> None:
        """It is lent at once, and counted."""
        await client.borrow_cross_margin("SOL", 3)
        assert wallet(simulator, "SOL") == {"free": 3, "locked": 0, "owed": 3}
        assert simulator.account.counters.borrows == 1

    @pytest.mark.parametrize(
        ("loan", "code", "error"),
        [
            ({"asset": "BNB", "amount": "4.00000001"}, "-3015", ccxt.BadRequest),
            ({"asset": "SOL", "amount": "1"}, "-3015", ccxt.BadRequest),
            ({"asset": "USDT", "amount": "39999"}, "-3041", ccxt.InsufficientFunds),
            ({"asset": "BNB", "amount": "0"}, "-3026", ccxt.BadRequest),
            ({"asset": "BNB"}, "-1102", ccxt.BadRequest),
            ({"asset": "BNB", "amount": "1.000000001"}, "-1111", ccxt.BadRequest),
            ({"asset": "WAN", "amount": "1"}, "-3027", ccxt.BadSymbol),
            ({"asset": "BNB", "amount": "1", "type": "GIVE"}, "-1130", ccxt.BadRequest),
        ],
    )
    async def test_refusals(
        self, simulator: Simulator, client: Any, loan: dict[str, str], code: str, error: type[Exception]
    ) -> None:
        """Nothing is paid where something is wrong."""
        before = simulator.state()["accounts"]["margin"]["balances"]
        with pytest.raises(error, match=code):
            await client.sapiPostMarginBorrowRepay({"type": "REPAY", "isIsolated": "FALSE", **loan})
        assert simulator.state()["accounts"]["margin"]["balances"] == before

    async def test_by_intent(self, simulator: Simulator, client: Any) -> None:
        """A rule can pick out repayments, and margin reads from all other balances."""
        overloaded = {"refuse": {"reason": "overloaded"}}
        simulator.set_faults(
            rules=[
                {"match": {"intent": "repay"}, "do": overloaded},
                {"match": {"intent": "balances", "product": "margin"}, "do": overloaded},
            ]
        )
        await client.fetch_balance({"type": "spot"})
        with pytest.raises(ccxt.OperationFailed, match="-1008"):
            await client.fetch_balance({"type": "margin"})
        with pytest.raises(ccxt.OperationFailed, match="-1008"):
            await client.repay_cross_margin("BNB", 1)
        await client.repay_cross_margin("BNB", 1)

    async def test_loans_are_counted_against_the_account(self, client: Any) -> None:
        """A loan weighs 1500 of the account's own budget, not of the address's."""
        await client.repay_cross_margin("BNB", 1)
        headers = client.last_response_headers
        assert headers["X-SAPI-USED-UID-WEIGHT-1M"] == "1500"
        assert "X-SAPI-USED-IP-WEIGHT-1M" not in headers


async def test_a_hidden_margin_wallet(simulator: Simulator, client: Any) -> None:
    """A read that shows nothing of it, once."""
    simulator.set_faults(hidden_slice={"slice": "margin", "times": 1})
    assert (await client.fetch_balance({"type": "margin"}))["BTC"]["total"] == 0
    assert (await client.fetch_balance({"type": "margin"}))["BTC"]["total"] == 1.5
