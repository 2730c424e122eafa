"""The class for B2PRIME and the simulated B2PRIME, each made from the documents alone, speak to each other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from ccxt.base import errors

from node.venues.b2prime.exchange import b2prime
from tests.support.b2prime_wire import Trader, trading

CFD, SPOT, PERP = "EUR/USD:USD-CFD", "BTC/USDT", "BTC/USDT:USDT"


def client(trader: Trader, **options: Any) -> Any:
    """The class in front of the simulator."""
    own = {"hostname": trader.host, "accountId": trader.account, "perpetualOrders": True, "cfdStopOrders": True}
    token = trader.sim.credentials()["token"]
    config = {"token": token, "session": trader.session, "options": own | options, "enableRateLimit": False}
    exchange = b2prime(config)
    exchange.timeout_on_exit = 0
    return exchange


@asynccontextmanager
async def speaking(scenario: str, **options: Any) -> AsyncIterator[tuple[Any, Trader]]:
    """Both."""
    async with trading(scenario) as trader:
        exchange = client(trader, **options)
        try:
            yield exchange, trader
        finally:
            await exchange.close()


class TestSettings:
    async def test_every_endpoint_of_the_settings_page(self) -> None:
        async with speaking("empty") as (exchange, trader):
            accounts = await exchange.fetch_accounts()
            assert trader.account in [account["id"] for account in accounts]
            currencies = await exchange.fetch_currencies()
            assert [code for code, each in currencies.items() if each["root"]] == ["USDT"]
            await exchange.load_markets()
            assert {CFD, SPOT, PERP} <= set(exchange.markets)
            for symbol in (CFD, SPOT, PERP):
                market = await exchange.market_with_details(symbol)
                assert market["precision"]["amount"] > 0
                assert (await exchange.fetch_commission(symbol))["tiers"]
                assert (await exchange.fetch_calendar(symbol)).is_open is not None
            assert await exchange.fetch_market_leverage_tiers(CFD)
            await exchange.add_favorite(SPOT)
            assert [market["symbol"] for market in await exchange.fetch_markets({"isFavorite": True})] == [CFD, SPOT]
            await exchange.remove_favorite(SPOT)
            assert [market["symbol"] for market in await exchange.fetch_markets({"isFavorite": True})] == [CFD]
            assets = await exchange.fetch_margin_assets()
            code = exchange.asset_code(assets[0]["assetId"])
            await exchange.disable_margin_asset(code)
            assert (await exchange.fetch_margin_assets())[0]["isSelected"] is False
            await exchange.select_margin_asset(code)
            assert (await exchange.fetch_margin_assets())[0]["isSelected"] is True
            assert await exchange.fetch_time() > 1_500_000_000_000
            assert await exchange.fetch_time_zones()

    async def test_webhook_keys_and_alerts(self) -> None:
        async with speaking("empty") as (exchange, trader):
            key = await exchange.create_webhook_key("ours")
            listed = await exchange.fetch_webhook_keys()
            assert [each["status"] for each in listed["apiKeys"] if each["id"] == key["id"]] == ["Active"]
            alert = {
                "apiKey": key["apiKey"],
                "accountId": trader.account,
                "symbol": "perp.btc_usdt",
                "side": "buy",
                "quantity": "0.01",
                "leverage": "5",
            }
            assert (await exchange.send_webhook_alert(key["userId"], alert))["success"] is True
            await exchange.revoke_webhook_key(key["id"])
            with pytest.raises((errors.AuthenticationError, errors.PermissionDenied)):
                await exchange.send_webhook_alert(key["userId"], alert)


class TestTrading:
    @pytest.mark.parametrize(("symbol", "amount", "price"), [(SPOT, 0.01, 20000), (CFD, 0.1, 0.9), (PERP, 0.01, 20000)])
    async def test_an_order_rests_is_listed_and_is_cancelled(self, symbol: str, amount: float, price: float) -> None:
        params = {} if symbol == SPOT else {"leverage": 5}
        async with speaking("empty") as (exchange, _):
            placed = await exchange.create_order(symbol, "limit", "buy", amount, price, params)
            assert placed["status"] == "open"
            [listed] = await exchange.fetch_open_orders()
            assert (listed["id"], listed["symbol"], listed["amount"]) == (placed["id"], symbol, amount)
            await exchange.cancel_order(placed["id"])
            assert await exchange.fetch_open_orders() == []

    @pytest.mark.parametrize(("symbol", "amount", "at"), [(CFD, 0.1, 0.9), (PERP, 0.01, 20000)])
    async def test_a_stop_order_is_placed_and_cancelled_but_never_listed(
        self, symbol: str, amount: float, at: float
    ) -> None:
        async with speaking("empty") as (exchange, _):
            stop = await exchange.create_order(
                symbol, "market", "sell", amount, None, {"triggerPrice": at, "leverage": 5}
            )
            assert await exchange.fetch_open_orders() == []
            assert (await exchange.cancel_order(stop["id"], None, {"stop": True}))["id"] == stop["id"]

    @pytest.mark.parametrize("mode", ["null", "empty", "none"])
    async def test_positions_are_closed_one_by_one_in_part_and_whole(self, mode: str) -> None:
        async with speaking("hedge", wholeClose=mode) as (exchange, _):
            before = await exchange.fetch_positions()
            first = before[0]
            market = await exchange.market_with_details(first["symbol"])
            part = exchange.number_to_string(market["precision"]["amount"])
            await exchange.close_position_by_id(first["id"], part)
            await settled(exchange, first["id"], first["contracts"])
            await exchange.close_position_by_id(first["id"])
            await settled(exchange, first["id"], None)
            executions = await exchange.fetch_position_executions([first["id"]])
            assert executions

    async def test_all_positions_are_closed_at_once(self) -> None:
        async with speaking("hedge") as (exchange, _):
            before = {position["id"] for position in await exchange.fetch_positions()}
            answer = await exchange.close_all_positions()
            assert set(answer["positionIds"]) == before
            for position in before:
                await settled(exchange, position, None)
            assert float((await exchange.fetch_margin())["usedMarginInRAT"]) == 0
            closed = await exchange.fetch_positions_history()
            assert closed
            pairs = [{"orderId": closed[0]["orderId"], "positionId": next(iter(before))}]
            await exchange.fetch_order_executions(pairs)
            await exchange.fetch_one_order_executions(closed[0]["orderId"])

    async def test_balances(self) -> None:
        async with speaking("empty") as (exchange, _):
            assert (await exchange.fetch_balance())["USDT"]["total"] > 0

    async def test_negotiation_is_an_option_for_a_venue_that_requires_it(self) -> None:
        async with speaking("empty") as (exchange, trader):
            trader.switch(negotiate="required")
            with pytest.raises(errors.BaseError):
                await exchange.fetch_positions()
            exchange.options["negotiate"] = True
            assert await exchange.fetch_positions() == []

    async def test_a_bare_list_of_positions_is_not_understood_rather_than_empty(self) -> None:
        async with speaking("hedge") as (exchange, trader):
            trader.switch(stream_bare_positions=True)
            with pytest.raises(errors.BadResponse):
                await exchange.fetch_positions()

    async def test_a_token_that_ended_early_is_replaced(self) -> None:
        async with speaking("empty") as (exchange, _):
            await exchange.fetch_time()
            known = exchange._access
            exchange._access = type(known)(value="ended", obtained_s=known.obtained_s, life_s=3600)
            assert await exchange.fetch_positions() == []
            exchange._access = type(known)(value="ended", obtained_s=known.obtained_s, life_s=3600)
            assert await exchange.fetch_accounts()

    async def test_silence_is_unknown_where_the_simulator_sends_no_empty_list(self) -> None:
        async with speaking("empty", firstMessageTimeout=300) as (exchange, trader):
            assert await exchange.fetch_positions() == []
            trader.switch(stream_empty="silence")
            with pytest.raises(errors.RequestTimeout):
                await exchange.fetch_positions()


async def settled(exchange: Any, position_id: str, unlike: float | None) -> None:
    """Until a position is gone, or is another size."""
    for _ in range(200):
        sizes = {each["id"]: each["contracts"] for each in await exchange.fetch_positions()}
        if sizes.get(position_id) != unlike if unlike is not None else position_id not in sizes:
            return
    raise AssertionError("the position stayed as it was")
