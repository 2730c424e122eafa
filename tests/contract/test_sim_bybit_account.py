"""Modes, loans and conversions of the simulated Bybit's unified account."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import ccxt
import pytest

from node.sim.server import serve
from node.sim.simulator import Simulator
from tests.support.sim_clients import bybit_client

BTC = "BTC/USDT:USDT"


def wallet(simulator: Simulator, coin: str) -> dict[str, float]:
    """A coin as the venue keeps it."""
    (account,) = simulator.state()["accounts"].values()
    held = account["balances"]["spot"].get(coin)
    return {} if held is None else {name: float(value) for name, value in held.items()}


@pytest.fixture
async def indebted() -> AsyncIterator[tuple[Simulator, Any]]:
    """An account that owes USDT, ETH and BNB."""
    async with (
        serve(venue="bybit", scenario="margin", enforce_limits=False) as simulator,
        bybit_client(simulator) as client,
    ):
        await client.load_markets()
        yield simulator, client


class TestModes:
    async def test_hedge_mode_of_a_symbol(self, bybit: Any) -> None:
        """Not with a position or an order, not twice, and only where the venue knows it."""
        for symbol, error, code in (
            (BTC, ccxt.BadRequest, "110024"),
            ("INJ/USDT:USDT", ccxt.BadRequest, "110028"),
            ("BTC/USDC:USDC", ccxt.BadRequest, "110029"),
            ("BTC/USD:BTC", ccxt.BadRequest, "110029"),
        ):
            with pytest.raises(error, match=code):
                await bybit.set_position_mode(True, symbol)
        await bybit.cancel_all_orders("INJ/USDT:USDT")
        await bybit.set_position_mode(True, "INJ/USDT:USDT")
        with pytest.raises(ccxt.NoChange, match="110025"):
            await bybit.set_position_mode(True, "INJ/USDT:USDT")
        await bybit.create_order("INJ/USDT:USDT", "market", "buy", 10, None, {"hedged": True})
        await bybit.create_order("INJ/USDT:USDT", "market", "sell", 5, None, {"hedged": True})
        legs = await bybit.fetch_positions(["INJ/USDT:USDT"])
        assert [(leg["side"], leg["contracts"], leg["hedged"]) for leg in legs] == [
            ("long", 10, True),
            ("short", 5, True),
        ]
        (other,) = await bybit.fetch_positions([BTC])
        assert other["hedged"] is False

    async def test_hedge_mode_of_a_coin(self, bybit: Any) -> None:
        """Symbols that are in use stay as they are, without a word: an account can have both modes."""
        await bybit.set_position_mode(True, None, {"type": "swap", "subType": "linear"})
        rows = {}
        for symbol in ("BTCUSDT", "INJUSDT", "BCHUSDT"):
            answer = await bybit.privateGetV5PositionList({"category": "linear", "symbol": symbol})
            rows[symbol] = [row["positionIdx"] for row in answer["result"]["list"]]
        assert rows == {"BTCUSDT": [0], "INJUSDT": [0], "BCHUSDT": [1, 2]}

    async def test_margin_mode(self, bybit_sim: Simulator, bybit: Any) -> None:
        """One for the whole account; in isolated margin nothing is borrowed."""
        assert (await bybit.privateGetV5AccountInfo())["result"]["marginMode"] == "REGULAR_MARGIN"
        await bybit.set_margin_mode("isolated")
        assert (await bybit.privateGetV5AccountInfo())["result"]["marginMode"] == "ISOLATED_MARGIN"
        positions = bybit_sim.state()["accounts"]["demo"]["positions"]
        assert {position["margin_mode"] for position in positions} == {"isolated"}
        assert (await bybit.privateGetV5SpotMarginTradeState())["result"]["spotMarginMode"] == "0"
        with pytest.raises(ccxt.BadRequest, match="170036"):
            await bybit.create_order("ETH/USDT", "market", "sell", 40, None, {"isLeverage": 1})

    async def test_margin_is_shared_in_cross_margin(self) -> None:
        """Dollars carry a contract that settles in bitcoin, as far as they go; in isolated margin they do not."""
        async with serve(venue="bybit", scenario="empty") as simulator, bybit_client(simulator) as client:
            await client.load_markets()
            await client.create_order("BTC/USD:BTC", "market", "buy", 150_000)
            with pytest.raises(ccxt.InsufficientFunds, match="110007"):
                await client.create_order("BTC/USD:BTC", "market", "buy", 60_000)
            await client.set_margin_mode("isolated")
            with pytest.raises(ccxt.InsufficientFunds, match="110007"):
                await client.create_order("ETH/USD:ETH", "market", "buy", 100)

    async def test_leverage(self, bybit: Any) -> None:
        """Setting what is set already is an error."""
        await bybit.set_leverage(5, BTC)
        assert (await bybit.fetch_leverage(BTC))["longLeverage"] == 5
        with pytest.raises(ccxt.BadRequest, match="110043"):
            await bybit.set_leverage(5, BTC)


class TestLoans:
    async def test_repaying_out_of_the_same_coin(self, indebted: tuple[Simulator, Any]) -> None:
        """No more than is owed, and no more than there is; interest first."""
        simulator, client = indebted
        await client.repay_cross_margin("BNB", 4)
        assert wallet(simulator, "BNB") == {"free": 8, "locked": 0, "borrowed": 0, "interest": 0}
        for coin, amount, code in (("BNB", 1, 34022041), ("USDT", 50_000, 34022027), ("ETH", 1, 34022044)):
            with pytest.raises(ccxt.ExchangeError, match=str(code)):
                await client.repay_cross_margin(coin, amount)
        assert simulator.account.counters.repayments == 1

    async def test_without_an_amount(self, indebted: tuple[Simulator, Any]) -> None:
        """Everything there is."""
        simulator, client = indebted
        free = wallet(simulator, "USDT")["free"]
        await client.privatePostV5AccountNoConvertRepay({"coin": "USDT"})
        assert (wallet(simulator, "USDT")["free"], wallet(simulator, "USDT")["borrowed"]) == (0, 40_000 - free)

    async def test_repaying_by_selling(self, indebted: tuple[Simulator, Any]) -> None:
        """A repayment of nothing is one of everything, and other coins are sold for it."""
        simulator, client = indebted
        before = wallet(simulator, "BTC")["free"]
        await client.privatePostV5AccountRepay({"coin": "ETH", "amount": "0"})
        assert wallet(simulator, "ETH") == {}
        assert wallet(simulator, "BTC")["free"] == pytest.approx(before - 8.0021 * 3200 / (64_000 * 0.998))
        counters = simulator.account.counters
        assert (counters.repayments, counters.conversions) == (1, 1)

    async def test_what_can_be_repaid(self, indebted: tuple[Simulator, Any]) -> None:
        """The smaller of what is owed and what is free."""
        _, client = indebted
        ask = client.privateGetV5SpotMarginTradeRepaymentAvailableAmount
        amounts = [(await ask({"currency": coin}))["result"]["lossLessRepaymentAmount"] for coin in ("BNB", "ETH")]
        assert [float(amount) for amount in amounts] == [4, 0]

    async def test_borrowing(self, indebted: tuple[Simulator, Any]) -> None:
        """It is counted."""
        simulator, client = indebted
        await client.borrow_cross_margin("SOL", 3)
        assert wallet(simulator, "SOL") == {"free": 3, "locked": 0, "borrowed": 3, "interest": 0}
        assert simulator.account.counters.borrows == 1
        (row,) = (await client.privateGetV5AccountCollateralInfo({"currency": "SOL"}))["result"]["list"]
        assert row["borrowAmount"] == "3"

    async def test_losses_of_contracts_are_owed(self, bybit_sim: Simulator, bybit: Any) -> None:
        """A wallet below zero is a liability that is no loan, and cannot be repaid as one."""
        bybit_sim.account.balance("spot", "USDC").free = Decimal(0)
        bybit_sim.set_faults(prices={"linear:BTC/USDC": "60000"})
        await bybit.create_order("BTC/USDC:USDC", "market", "sell", 0.35, None, {"reduceOnly": True})
        (entry,) = (await bybit.fetch_balance())["info"]["result"]["list"]
        (row,) = [row for row in entry["coin"] if row["coin"] == "USDC"]
        assert (float(row["walletBalance"]), row["spotBorrow"]) == (-float(row["borrowAmount"]), "0")
        assert float(row["borrowAmount"]) > 1000
        with pytest.raises(ccxt.ExchangeError, match="34022041"):
            await bybit.repay_cross_margin("USDC", 1)

    async def test_one_a_second(self) -> None:
        """Loans and repayments have the smallest of all budgets."""
        async with serve(venue="bybit", scenario="margin") as simulator, bybit_client(simulator) as client:
            await client.privatePostV5AccountNoConvertRepay({"coin": "BNB"})
            with pytest.raises(ccxt.RateLimitExceeded, match="10006"):
                await client.privatePostV5AccountNoConvertRepay({"coin": "USDT"})


class TestConversions:
    async def test_a_coin_for_another(self, bybit_sim: Simulator, bybit: Any) -> None:
        """A quote, its acceptance, and the result; it is worth a little less than the market."""
        quote = await bybit.fetch_convert_quote("DOGE", "USDT", 3.4)
        assert quote["toAmount"] == pytest.approx(3.4 * 0.12 * 0.998)
        trade = await bybit.create_convert_trade(quote["id"], "DOGE", "USDT", 3.4)
        assert trade["info"]["exchangeStatus"] == "processing"
        assert (await bybit.fetch_convert_trade(quote["id"]))["info"]["exchangeStatus"] == "success"
        assert (wallet(bybit_sim, "DOGE"), bybit_sim.account.counters.conversions) == ({}, 1)
        with pytest.raises(ccxt.ExchangeError, match="700001"):
            await bybit.create_convert_trade(quote["id"], "DOGE", "USDT", 3.4)

    async def test_limits_and_expiry(self, bybit_sim: Simulator, bybit: Any) -> None:
        """Too little, too late, and what is not there."""
        currencies = await bybit.fetch_convert_currencies()
        assert currencies["BTC"]["limits"]["amount"]["min"] > 0
        assert "WAN" not in currencies
        for source, amount, code in (("DOGE", 0.1, 700000), ("XRP", 100, 790001), ("WAN", 10, 790000)):
            with pytest.raises(ccxt.ExchangeError, match=str(code)):
                await bybit.fetch_convert_quote(source, "USDT", amount)
        quote = await bybit.fetch_convert_quote("SOL", "USDT", 1)
        bybit_sim.clock.offset_ms = 16_000
        await bybit.load_time_difference()
        with pytest.raises(ccxt.ExchangeError, match="700004"):
            await bybit.create_convert_trade(quote["id"], "SOL", "USDT", 1)
