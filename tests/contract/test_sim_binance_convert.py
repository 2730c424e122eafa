"""Convert at the simulated venue, and the scenario whose balances no single order can sell."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import ccxt
import pytest

from node.sim.server import serve
from node.sim.simulator import Simulator
from tests.support.sim_clients import binance_client


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    """An account of leftovers."""
    async with serve(scenario="residue") as running:
        yield running


@pytest.fixture
async def client(simulator: Simulator) -> AsyncIterator[Any]:
    """A client that knows every asset, listed or not."""
    async with binance_client(simulator, fetchCurrencies=True) as exchange:
        exchange.has["fetchCurrencies"] = True
        await exchange.load_markets()
        yield exchange


def free(simulator: Simulator, asset: str) -> float:
    """Free spot balance, as the venue knows it."""
    return float(simulator.account.balance("spot", asset).free)


def ratio(quote: Any) -> float:
    """What the quote gives for one; ccxt leaves it out."""
    return float(quote["info"]["ratio"])


class TestConversion:
    async def test_dust_becomes_dollars(self, simulator: Simulator, client: Any) -> None:
        """Quote, acceptance, status; a little less than the market's price; one conversion counted."""
        quote = await client.fetch_convert_quote("DOGE", "USDT", 3.4)
        assert (quote["fromAmount"], quote["toAmount"], ratio(quote)) == (3.4, 0.407184, 0.11976)
        accepted = await client.create_convert_trade(quote["id"], "DOGE", "USDT")
        assert accepted["info"]["orderStatus"] == "PROCESS"
        done = await client.fetch_convert_trade(accepted["id"])
        assert (done["info"]["orderStatus"], done["fromCurrency"], done["toAmount"]) == ("SUCCESS", "DOGE", 0.407184)
        assert (free(simulator, "DOGE"), free(simulator, "USDT")) == (0, 1000.407184)
        assert simulator.account.counters.conversions == 1

    async def test_an_asset_without_a_pair(self, simulator: Simulator, client: Any) -> None:
        """Convert takes what no pair lists."""
        assert not [market for market in client.markets.values() if market["base"] == "SXP"]
        quote = await client.fetch_convert_quote("SXP", "USDT", 400)
        await client.create_convert_trade(quote["id"], "SXP", "USDT")
        assert (free(simulator, "SXP"), free(simulator, "USDT")) == (0, 1099.8)

    async def test_the_price_follows_the_market_and_can_be_bad(self, simulator: Simulator, client: Any) -> None:
        """A quote is only as good as its ratio."""
        simulator.set_faults(prices={"spot:DOGE/USDT": "0.2"}, conversion_ratio="0.5")
        assert ratio(await client.fetch_convert_quote("DOGE", "USDT", 3.4)) == 0.1
        simulator.clear_faults()
        assert ratio(await client.fetch_convert_quote("DOGE", "USDT", 3.4)) == 0.1996

    async def test_pairs(self, client: Any) -> None:
        """Each pair with its least and most amounts; what is not convertible is in none."""
        rows = await client.sapiGetConvertExchangeInfo({"toAsset": "USDT"})
        least = {row["fromAsset"]: float(row["fromAssetMinAmount"]) for row in rows}
        assert least["DOGE"] < 3.4
        assert least["TRX"] > 0.5
        assert not {"WAN", "XAIR", "LDUSDT", "USDT"} & set(least)
        assert await client.sapiGetConvertExchangeInfo({"fromAsset": "WAN", "toAsset": "USDT"}) == []

    async def test_without_the_money_there_is_no_quote_id(self, client: Any) -> None:
        """A price, and nothing to accept."""
        quote = await client.fetch_convert_quote("DOGE", "USDT", 5)
        assert (quote["id"], ratio(quote)) == (None, 0.11976)

    @pytest.mark.parametrize("wallet", ["FUNDING", "EARN", "FUNDING_EARN"])
    async def test_no_other_wallet_than_spot_pays(self, simulator: Simulator, client: Any, wallet: str) -> None:
        """There is no quote to accept: what it promised would be taken from spot."""
        for name in ("funding", "earn"):
            simulator.account.balance(name, "DOGE").free = Decimal(100)
        quote = await client.fetch_convert_quote("DOGE", "USDT", 3.4, {"walletType": wallet})
        assert (quote["id"], ratio(quote)) == (None, 0.11976)

    @pytest.mark.parametrize("wallet", ["SPOT", "SPOT_FUNDING", "SPOT_EARN", "SPOT_FUNDING_EARN"])
    async def test_spot_may_be_one_of_several_wallets(self, client: Any, wallet: str) -> None:
        """As documented."""
        assert (await client.fetch_convert_quote("DOGE", "USDT", 3.4, {"walletType": wallet}))["id"] is not None


class TestRefusals:
    @pytest.mark.parametrize(
        ("request_", "code"),
        [
            ({"fromAsset": "WAN", "fromAmount": "3"}, "-1130"),
            ({"fromAsset": "XAIR", "fromAmount": "1000"}, "-1130"),
            ({"fromAsset": "TRX", "fromAmount": "0.5"}, "-1130"),
            ({"fromAsset": "ADA", "fromAmount": "3000000"}, "-1130"),
            ({"fromAsset": "USDT", "fromAmount": "10"}, "-1130"),
            ({"fromAsset": "DOGE"}, "-1102"),
            ({"fromAsset": "DOGE", "fromAmount": "3", "toAmount": "1"}, "-1102"),
            ({"fromAsset": "DOGE", "fromAmount": "3", "validTime": "1h"}, "-1130"),
            ({"fromAsset": "DOGE", "fromAmount": "3", "walletType": "MARGIN"}, "-1130"),
        ],
    )
    async def test_quotes(self, client: Any, request_: dict[str, str], code: str) -> None:
        """Pairs that are not converted, and sizes that are not."""
        with pytest.raises(ccxt.BadRequest, match=code):
            await client.sapiPostConvertGetQuote({"toAsset": "USDT", **request_})

    async def test_acceptance(self, simulator: Simulator, client: Any) -> None:
        """An unknown quote, one that was used, one whose money is gone, one that is too old."""
        quote = await client.fetch_convert_quote("DOGE", "USDT", 3.4)
        await client.create_convert_trade(quote["id"], "DOGE", "USDT")
        for quote_id in ("1", quote["id"]):
            with pytest.raises(ccxt.BadRequest, match="-1130"):
                await client.create_convert_trade(quote_id, "DOGE", "USDT")
        quotes = [(await client.fetch_convert_quote("SXP", "USDT", 300))["id"] for _ in range(3)]
        await client.create_convert_trade(quotes[0], "SXP", "USDT")
        with pytest.raises(ccxt.InsufficientFunds):
            await client.create_convert_trade(quotes[1], "SXP", "USDT")
        simulator.set_faults(clock_offset_ms=11_000)
        client.options["adjustForTimeDifference"] = True
        await client.load_time_difference()
        with pytest.raises(ccxt.ExchangeError, match="345231"):
            await client.create_convert_trade(quotes[2], "SXP", "USDT")
        assert simulator.account.counters.conversions == 2

    async def test_without_the_approval(self, simulator: Simulator, client: Any) -> None:
        """Keys need one for convert alone."""
        simulator.set_faults(key_rights={"residue": {"convert": False}})
        with pytest.raises(ccxt.AuthenticationError, match="-1002"):
            await client.fetch_convert_quote("DOGE", "USDT", 3.4)

    async def test_by_intent(self, simulator: Simulator, client: Any) -> None:
        """A rule can lose the answer to an acceptance; the conversion has happened."""
        quote = await client.fetch_convert_quote("DOGE", "USDT", 3.4)
        simulator.set_faults(rules={"match": {"intent": "convert"}, "do": "lose_after_execution"})
        with pytest.raises(ccxt.NetworkError):
            await client.create_convert_trade(quote["id"], "DOGE", "USDT")
        found = await client.sapiGetConvertOrderStatus({"quoteId": quote["id"]})
        assert (found["orderStatus"], free(simulator, "DOGE")) == ("SUCCESS", 0)


class TestResidue:
    async def test_each_asset_is_in_the_way_for_its_own_reason(self, client: Any) -> None:
        """Which of them a single market order could sell for USDT: wrapped ether and stablecoins only."""
        balance = await client.fetch_balance({"type": "spot"})
        sellable = set()
        for asset, held in balance["free"].items():
            market = client.markets.get(f"{asset}/USDT")
            if not held or market is None:
                continue
            large_enough = held * float((await client.fetch_bids_asks([market["symbol"]]))[market["symbol"]]["bid"]) > 5
            if large_enough and held == balance["total"][asset] and held <= market["limits"]["market"]["max"]:
                sellable.add(asset)
        assert sellable == {"WBETH", "USDC", "FDUSD"}
        assert set(balance["total"]) >= {"DOGE", "TRX", "WAN", "SXP", "XAIR", "ADA", "SOL", "LDUSDT", "USDT"}
        assert {"WBETH/ETH", "BTC/FDUSD", "FDUSD/USDT"} <= set(client.markets)

    async def test_wrapped_ether_has_no_contract(self, client: Any) -> None:
        """It trades on spot alone."""
        assert "WBETH/USDT:USDT" not in client.markets
