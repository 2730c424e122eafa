"""Debts of a multi-currency account, auto-borrow, and conversion, with the real ccxt."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import ccxt
import pytest

from node.sim.server import serve
from node.sim.simulator import Simulator
from tests.support.sim_clients import okx_client

SPOT = {"tdMode": "cross"}


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    """The scenario's debts make it a multi-currency account that borrows by itself."""
    async with serve(venue="okx", scenario="margin") as running:
        yield running


@pytest.fixture
async def client(simulator: Simulator) -> AsyncIterator[Any]:
    """A client with loaded markets."""
    async with okx_client(simulator) as exchange:
        await exchange.load_markets()
        yield exchange


def held(simulator: Simulator, asset: str) -> tuple[float, float]:
    """What there is of a coin, and what is owed, as the venue knows it."""
    balance = simulator.account.balance("spot", asset)
    return float(balance.total), float(balance.owed)


async def details(client: Any) -> dict[str, dict[str, str]]:
    """Balances by coin, as the venue writes them."""
    rows = (await client.privateGetAccountBalance())["data"][0]["details"]
    return {row["ccy"]: row for row in rows}


async def test_debts_in_balances(client: Any) -> None:
    """``liab`` is the debt with its interest, ``eq`` may be negative, and ccxt shows only that."""
    rows = await details(client)
    assert (rows["ETH"]["liab"], rows["ETH"]["interest"], rows["ETH"]["cashBal"]) == ("8.0021", "0.0021", "-8.0021")
    assert (rows["USDT"]["cashBal"], rows["USDT"]["liab"], rows["USDT"]["eq"]) == ("32000", "40000", "-8000")
    assert (rows["BNB"]["eq"], rows["BNB"]["liab"]) == ("8", "4")
    balance = await client.fetch_balance()
    assert balance["ETH"]["total"] == -8.0021
    assert "debt" not in balance["ETH"]
    (config,) = (await client.privateGetAccountConfig())["data"]
    assert (config["acctLv"], config["autoLoan"]) == ("3", True)


async def test_a_debt_is_repaid_by_buying(simulator: Simulator, client: Any) -> None:
    """What a spot order brings in pays the debt of that coin; fees are taken from what it brings.

    With ``cross``, ccxt leaves ``tgtCcy`` out, and the venue takes the amount of a buy for money.
    """
    await client.create_order("ETH/USDT", "market", "buy", 8.02, None, SPOT)
    assert held(simulator, "ETH")[1] == pytest.approx(8.0021 - 8.02 / 3200 * 0.999, abs=1e-5)
    await client.create_order("ETH/USDT", "market", "buy", 8.02, None, {**SPOT, "tgtCcy": "base_ccy"})
    total, owed = held(simulator, "ETH")
    assert owed == 0
    assert total == pytest.approx(8.02 * 0.999 - 8.0021, abs=0.003)
    (order,) = await client.fetch_open_orders()
    assert (order["symbol"], order["info"]["tdMode"]) == ("BTC/USDT", "cross")


async def test_auto_borrow(simulator: Simulator, client: Any) -> None:
    """A sale of more than there is makes a debt, unless auto-borrow is off."""
    await client.create_order("SOL/USDT", "market", "sell", 10, None, SPOT)
    assert held(simulator, "SOL") == (0, 10)
    assert (simulator.account.counters.borrows, simulator.account.counters.oversold) == (1, 1)
    await client.privatePostAccountSetAutoLoan({"autoLoan": False})
    with pytest.raises(ccxt.InsufficientFunds, match="51008"):
        await client.create_order("SOL/USDT", "market", "sell", 10, None, SPOT)


async def test_only_spot_mode_repays_by_hand(simulator: Simulator, client: Any) -> None:
    """Elsewhere the request is not supported; in spot mode no more is repaid than is owed."""
    repay = {"ccy": "BNB", "side": "repay", "amt": "5"}
    with pytest.raises(ccxt.AccountNotEnabled, match="51010"):
        await client.privatePostAccountSpotManualBorrowRepay(repay)
    simulator.set_faults(enforce_limits=False)
    (order,) = await client.fetch_open_orders()
    await client.cancel_order(order["id"], "BTC/USDT")
    await client.privatePostAccountSetAccountLevel({"acctLv": "1"})
    (row,) = (await client.privatePostAccountSpotManualBorrowRepay(repay))["data"]
    assert (row["amt"], held(simulator, "BNB")) == ("4", (8, 0))
    with pytest.raises(ccxt.ExchangeError, match="59413"):
        await client.privatePostAccountSpotManualBorrowRepay(repay)
    await client.privatePostAccountSpotManualBorrowRepay({**repay, "side": "borrow"})
    assert held(simulator, "BNB") == (13, 5)


class TestConvert:
    async def test_dust(self) -> None:
        """Below the least order there is conversion, out of the trading account."""
        async with serve(venue="okx", scenario="residue") as simulator, okx_client(simulator) as client:
            await client.load_markets()
            with pytest.raises(ccxt.InvalidOrder, match="51020"):
                await client.create_order("DOGE/USDT", "market", "sell", 3.4)
            quote = await client.fetch_convert_quote("DOGE", "USDT", 3.4)
            trade = await client.create_convert_trade(quote["info"]["quoteId"], "DOGE", "USDT", 3.4, {"clTReqId": "c1"})
            assert (trade["info"]["state"], held(simulator, "DOGE")) == ("fullyFilled", (0, 0))
            assert held(simulator, "USDT")[0] == pytest.approx(1000 + 3.4 * 0.12 * 0.998)
            found = await client.fetch_convert_trade("c1")
            assert (found["fromAmount"], found["info"]["tradeId"]) == (3.4, trade["info"]["tradeId"])
            assert simulator.account.counters.conversions == 1

    @pytest.mark.parametrize(
        ("coin", "amount", "code"),
        [("WAN", 3, "52901"), ("TRX", 0.5, "52917"), ("ADA", 3_000_000, "52918"), ("XAIR", 1, "52901")],
    )
    async def test_what_is_not_converted(self, coin: str, amount: float, code: str) -> None:
        """Not this coin, or not in this size."""
        async with serve(venue="okx", scenario="residue") as simulator, okx_client(simulator) as client:
            await client.load_markets()
            with pytest.raises(ccxt.ExchangeError, match=code):
                await client.privatePostAssetConvertEstimateQuote(
                    {"baseCcy": coin, "quoteCcy": "USDT", "side": "sell", "rfqSz": str(amount), "rfqSzCcy": coin}
                )

    async def test_quotes_that_fail(self) -> None:
        """Expired, unknown, without the money, or without the right."""
        async with serve(venue="okx", scenario="residue") as simulator, okx_client(simulator) as client:
            await client.load_markets()
            quote = (await client.fetch_convert_quote("SOL", "USDT", 1))["info"]["quoteId"]
            with pytest.raises(ccxt.ExchangeError, match="52914"):
                await client.create_convert_trade(quote, "SOL", "USDT", 1000)
            with pytest.raises(ccxt.ExchangeError, match="52927"):
                await client.create_convert_trade("quoter1", "SOL", "USDT", 1)
            simulator.clock.offset_ms = 11_000
            with pytest.raises(ccxt.ExchangeError, match="52922"):
                await client.create_convert_trade(quote, "SOL", "USDT", 1)
            simulator.clear_faults()
            simulator.set_faults(key_rights={"residue": {"convert": False}})
            with pytest.raises(ccxt.ExchangeError, match="50120"):
                await client.fetch_convert_quote("SOL", "USDT", 1)


async def test_every_scenario() -> None:
    """Each has balances, and positions and orders where it should."""
    for scenario, positions in (("demo", 23), ("hedge", 9), ("basis", 3), ("margin", 0), ("residue", 0), ("empty", 0)):
        async with serve(venue="okx", scenario=scenario) as simulator, okx_client(simulator) as client:
            assert len((await client.privateGetAccountPositions())["data"]) == positions
            assert (await client.privateGetAccountBalance())["data"][0]["details"]
