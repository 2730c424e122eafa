"""Orders and positions at the simulated B2PRIME, at the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest

from node.sim.b2prime.numbers import instant
from node.sim.market import Product
from node.sim.orders import Origin
from node.sim.world import select_markets
from tests.support.b2prime_wire import Trader, order, trading
from tests.support.waiting import until

EURO, GOLD, COIN = "cfd.eur_usd", "cfd.xau_usd", "perp.btc_usdt"
ORDER_FIELDS = {
    "marketId", "marketDisplayName", "orderId", "orderType", "side", "status", "source", "timeInForce", "commission",
    "requestedAmount", "remainingAmount", "requestedPrice", "executionPrice", "createdAt", "updatedAt", "rejectDetails",
}  # fmt: skip
STOP_FIELDS = {
    "marketId", "marketDisplayName", "orderId", "orderType", "side", "requestedPrice", "activationPrice",
    "requestedAmount", "timeInForce", "status", "createdAt", "updatedAt", "cancellationDate",
}  # fmt: skip


@pytest.fixture
async def netting() -> AsyncIterator[Trader]:
    """One position a market."""
    async with trading("demo") as trader:
        yield trader


@pytest.fixture
async def hedging() -> AsyncIterator[Trader]:
    """Each order a position."""
    async with trading("hedge") as trader:
        yield trader


@pytest.fixture
async def empty() -> AsyncIterator[Trader]:
    """Money and nothing else."""
    async with trading("empty") as trader:
        yield trader


def counters(trader: Trader) -> Any:
    """What the account's client did, as the venue's witness counts it."""
    return trader.sim.account.counters


class TestOrders:
    @pytest.mark.parametrize(("market", "size"), [("spot.btc_usdt", "0.01"), (EURO, "0.1"), (COIN, "0.01")])
    async def test_a_market_order(self, empty: Trader, market: str, size: str) -> None:
        """The answer is an acknowledgement: it shows the order before it traded."""
        answer = await empty.order(market, "Buy", size)
        assert set(answer) >= ORDER_FIELDS
        assert (answer["status"], answer["executionPrice"]) == ("Working", "0")
        assert answer["remainingAmount"] == answer["requestedAmount"]
        assert counters(empty).orders_filled == 1

    async def test_lots_are_told_in_base_units_too(self, empty: Trader) -> None:
        answer = await empty.order(EURO, "Buy", "0.1")
        assert (answer["requestedAmount"], answer["requestedLotAmount"]) == ("10000", "0.1")

    async def test_numbers_may_be_numbers(self, empty: Trader) -> None:
        path, body = order(EURO, "Buy", "0.1")
        body["order"]["requestedLotAmount"] = 0.1
        assert (await empty.post(path, body))["order"]["requestedLotAmount"] == "0.1"

    async def test_a_limit_order_and_its_cancel(self, empty: Trader) -> None:
        placed = await empty.order("spot.btc_usdt", "Buy", "0.01", price="60000", comment="mine")
        assert placed["status"] == "Pending"
        cancelled = (await empty.delete(f"/v3/orders/{placed['orderId']}"))["order"]
        assert set(cancelled) >= ORDER_FIELDS
        assert (cancelled["status"], cancelled["comment"], cancelled["requestedPrice"]) == (
            "Cancelled",
            "mine",
            "60000",
        )
        assert (await empty.ask("DELETE", f"/v3/orders/{placed['orderId']}")).status == 404

    @pytest.mark.parametrize("market", ["spot.btc_usdt", EURO, COIN])
    async def test_stop_orders(self, empty: Trader, market: str) -> None:
        """One path a kind of market to place them, one for all to cancel; they are no open orders."""
        mark = empty.sim.core.listings[Product.SPOT if market[0] == "s" else Product.LINEAR, market].mark
        placed = await empty.order(
            market, "Buy", "0.1", activationPrice=str((mark * Decimal("1.01")).quantize(Decimal("0.01")))
        )
        assert set(placed) == STOP_FIELDS
        assert placed["status"] == "WaitingForActivation"
        assert await empty.first("OpenOrders") == []
        cancelled = await empty.delete(f"/v3/stop-orders/{placed['orderId']}")
        assert (set(cancelled["order"]), cancelled["order"]["status"]) == (STOP_FIELDS, "Cancelled")
        assert not empty.sim.account.open_orders

    async def test_a_stop_order_that_is_reached_opens_a_position(self, empty: Trader) -> None:
        await empty.order(EURO, "Sell", "0.1", activationPrice="1.05")
        assert await empty.positions() == []
        empty.sim.set_faults(prices={EURO: "1.04"})
        (position,) = await empty.positions()
        assert (position["side"], position["positionLotAmount"]) == ("Sell", "0.1")

    @pytest.mark.parametrize(
        ("market", "size", "fields", "status"),
        [
            (EURO, "0.005", {}, 400),  # less than the least
            (EURO, "0.015", {}, 400),  # no multiple of the step
            (EURO, "1001", {}, 400),  # more than the most
            (EURO, "0.1", {"leverage": 101}, 400),
            (EURO, "0.1", {"leverage": None}, 400),
            (EURO, "5", {"leverage": 1}, 400),  # more than the margin
            (EURO, "0.1", {"side": "Hold"}, 400),
            (EURO, "0.1", {"timeInForce": "Day"}, 400),  # at market
            (EURO, "0.1", {"marketId": "cfd.no_body"}, 404),
            (EURO, "0.1", {"marketId": COIN}, 404),  # another kind of market
            (EURO, "0.1", {"comment": "x" * 101}, 400),
            ("spot.btc_usdt", "1", {}, 400),  # more than the balance
            ("spot.btc_usdt", "0.00001", {}, 400),
        ],
    )
    async def test_what_is_refused(self, empty: Trader, market: str, size: str, fields: Any, status: int) -> None:
        path, body = order(market, "Buy", size, **fields)
        answer = await empty.ask("POST", path, body)
        assert (answer.status, counters(empty).orders_placed) == (status, 0), answer.text

    async def test_limit_prices_stay_near_the_market(self, empty: Trader) -> None:
        path, body = order(EURO, "Buy", "0.1", price="1.2")
        assert (await empty.ask("POST", path, body)).status == 400

    async def test_orders_until_a_date(self, empty: Trader) -> None:
        """Or the end of the day: then they are gone."""
        until_ms = empty.sim.clock.now_ms() + 60_000
        body = {"timeInForce": "Gtd", "cancellationDate": "2020-01-01T00:00:00Z"}
        assert (await empty.ask("POST", *order(EURO, "Buy", "0.1", price="1.05", **body))).status == 400
        body["cancellationDate"] = instant(until_ms)
        await empty.order(EURO, "Buy", "0.1", price="1.05", **body)
        await empty.order(EURO, "Buy", "0.2", price="1.05", timeInForce="Day")
        assert len(empty.sim.account.open_orders) == 2
        empty.sim.set_faults(clock_offset_ms=86_400_000)
        await empty.log_in()
        assert await empty.first("OpenOrders") == []

    async def test_previews_place_nothing(self, empty: Trader) -> None:
        spot = {"marketId": "spot.eth_usdt", "side": "Sell", "orderType": "Limit"}
        body = {"order": {**spot, "requestedBaseAmount": "2", "requestedPrice": "3000"}}
        assert (await empty.post("/v3/order-data", body))["order"] == {
            "baseAmount": "2",
            "quoteAmount": "6000",
            "commissionAmount": "6",
            "total": "6006",
        }
        for path, market in (("/cfd/v4/order-data", EURO), ("/perpetual/v4/order-data", COIN)):
            contract = {"marketId": market, "side": "Buy", "orderType": "Market", "leverage": 10}
            answer = (await empty.post(path, {"order": {**contract, "requestedLotAmount": "1"}}))["order"]
            assert set(answer) == {"requiredMarginInRAT", "quoteAmount", "commissionAmountInRAT"}
            assert Decimal(answer["requiredMarginInRAT"]) * 10 == Decimal(answer["quoteAmount"])
        assert not empty.sim.account.orders


class TestWhoseAccount:
    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("POST", "/v3/orders"),
            ("POST", "/cfd/v4/orders"),
            ("POST", "/perpetual/v4/stop-orders"),
            ("DELETE", "/v3/orders/01J8ZZZZZZZZZZZZZZZZZZZZZ1"),
            ("POST", "/v4/positions/bulk-close"),
            ("POST", "/v4/positions/01J8ZZZZZZZZZZZZZZZZZZZZZ1/close"),
            ("POST", "/v4/orders/closed-positions"),
        ],
    )
    async def test_the_header_is_required(self, netting: Trader, method: str, path: str) -> None:
        assert (await netting.ask(method, path, {}, accountId=None)).status == 400
        assert (await netting.ask(method, path, {}, accountId="66aa0000000000000000a001")).status == 403

    async def test_other_accounts_things_are_not_found(self) -> None:
        """Even those of the same user's other account; and nothing of it is touched."""
        async with trading("desk") as trader:
            mine, other = trader.account, trader.sim.kind.options("hedge")["accountId"]
            trader.account = other
            theirs = (await trader.positions())[0]
            resting = (await trader.first("OpenOrders"))[0]
            trader.account = mine
            assert (await trader.ask("POST", f"/v4/positions/{theirs['positionId']}/close", {})).status == 404
            assert (await trader.ask("DELETE", f"/v3/orders/{resting['orderId']}")).status == 404
            before = trader.sim.state()["accounts"]["hedge"]["positions"]
            await trader.post("/v4/positions/bulk-close", {"mode": "AllPositions"})
            await until(lambda: not any(trader.sim.account.open_positions()))
            assert trader.sim.state()["accounts"]["hedge"]["positions"] == before


class TestHedging:
    async def test_every_order_opens_a_position(self, hedging: Trader) -> None:
        """The opposite one, too: it closes nothing, and the witness counts it."""
        before = len(await hedging.positions())
        for side in ("Buy", "Buy", "Sell"):
            await hedging.order("perp.near_usdt", side, "10")
        after = [each for each in await hedging.positions() if each["marketId"] == "perp.near_usdt"]
        assert len(await hedging.positions()) == before + 3
        assert [(each["side"], each["positionLotAmount"]) for each in after] == [
            ("Buy", "10"),
            ("Buy", "10"),
            ("Sell", "10"),
        ]
        assert len({each["positionId"] for each in after}) == 3
        assert counters(hedging).exposure_increases == 3

    async def test_closing_one_leaves_the_others(self, hedging: Trader) -> None:
        first, second = [each for each in await hedging.positions() if each["marketId"] == EURO]
        answer = await hedging.post(f"/v4/positions/{first['positionId']}/close", {})
        assert answer == {"positionId": first["positionId"]}
        await hedging.closed(first)
        assert [each["positionId"] for each in await hedging.positions() if each["marketId"] == EURO] == [
            second["positionId"]
        ]
        assert (counters(hedging).exposure_increases, counters(hedging).sign_flips) == (0, 0)

    async def test_profit_is_the_positions_own(self, empty: Trader) -> None:
        """Two of one direction, opened at two prices: each brings what it made, and the sum is right."""
        account = empty.sim.account
        account.hedge_mode.add(Product.LINEAR)
        await empty.order(EURO, "Buy", "0.1")
        empty.sim.set_faults(prices={EURO: "1.09"})
        await empty.order(EURO, "Buy", "0.1")
        first, second = await empty.positions()
        before = account.balance("spot", "USDT").total
        await empty.post(f"/v4/positions/{first['positionId']}/close", {})
        await empty.closed(first)
        expected = (Decimal("1.0899") - Decimal("1.0826")) * 10000
        fee = Decimal("1.0899") * 10000 * Decimal("0.0004")
        assert account.balance("spot", "USDT").total - before == expected - fee
        rows = (await empty.post("/v4/orders/closed-positions", {}))["orders"]
        assert [Decimal(row["realizedPnlInRAT"]) for row in rows] == [expected]
        assert (await empty.position(EURO))["openPrice"] == second["openPrice"] == "1.0901"


class TestNetting:
    async def test_an_opposite_order_reduces(self, netting: Trader) -> None:
        before = await netting.position(EURO)
        await netting.order(EURO, "Sell", "0.5")
        after = await netting.position(EURO)
        assert (before["positionId"], before["positionLotAmount"], after["positionLotAmount"]) == (
            after["positionId"],
            "2",
            "1.5",
        )

    async def test_a_larger_one_turns_it_around(self, netting: Trader) -> None:
        """It is another position then, and the witness counts the flip."""
        before = await netting.position(EURO)
        await netting.order(EURO, "Sell", "3")
        after = await netting.position(EURO)
        assert (after["side"], after["positionLotAmount"]) == ("Sell", "1")
        assert (after["positionId"] != before["positionId"], counters(netting).sign_flips) == (True, 1)

    async def test_a_position_changed_behind_the_venues_back(self, netting: Trader) -> None:
        """It is shown as it is."""
        market = select_markets(netting.sim.core, COIN)[0]
        netting.sim.account.position(market).quantity = Decimal("0.5")
        assert (await netting.position(COIN))["positionLotAmount"] == "0.5"
        before = (await netting.position(COIN))["positionId"]
        netting.sim.account.position(market).quantity = Decimal("-0.2")
        after = await netting.position(COIN)
        assert (after["side"], after["positionLotAmount"], after["positionId"] != before) == ("Sell", "0.2", True)
        netting.sim.account.position(market).quantity = Decimal(0)
        assert COIN not in {each["marketId"] for each in await netting.positions()}


class TestWhoseDeeds:
    async def test_an_engines_token_counts_as_the_engines(self, netting: Trader) -> None:
        """Orders, closes and cancels."""
        token = {"token": netting.sim.credentials(role=Origin.ENGINE)["token"]}
        netting.token = (await netting.post("/v4/access-token", token))["accessToken"]
        placed = await netting.order(EURO, "Buy", "0.1", price="1.05")
        await netting.delete(f"/v3/orders/{placed['orderId']}")
        position = await netting.position(EURO)
        await netting.post(f"/v4/positions/{position['positionId']}/close", {})
        await netting.closed(position)
        engine, client = netting.sim.account.engine_counters, counters(netting)
        assert (engine.orders_placed, engine.orders_cancelled, engine.exposure_increases) == (2, 1, 1)
        assert (client.orders_placed, client.orders_cancelled, client.exposure_increases) == (0, 0, 0)


class TestClosing:
    @pytest.mark.parametrize("body", [None, {}, "null", {"closePositionLotAmount": None}])
    async def test_the_whole_of_it(self, netting: Trader, body: Any) -> None:
        """Without a body, too."""
        position = await netting.position(EURO)
        await netting.post(f"/v4/positions/{position['positionId']}/close", body)
        await netting.closed(position)
        assert (counters(netting).sign_flips, counters(netting).exposure_increases) == (0, 0)

    async def test_a_part_of_it(self, netting: Trader) -> None:
        position = await netting.position(EURO)
        await netting.post(f"/v4/positions/{position['positionId']}/close", {"closePositionLotAmount": "0.5"})
        market = select_markets(netting.sim.core, EURO)[0]
        await until(lambda: netting.sim.account.quantity(market) == Decimal("1.5"))

    @pytest.mark.parametrize("lots", ["2.01", "0.005", "0", "-1", "x"])
    async def test_parts_that_are_none(self, netting: Trader, lots: str) -> None:
        position = await netting.position(EURO)
        path = f"/v4/positions/{position['positionId']}/close"
        assert (await netting.ask("POST", path, {"closePositionLotAmount": lots})).status == 400

    async def test_more_than_an_order_may_have(self, netting: Trader) -> None:
        """The largest order does not bound a close: 1000 lots go at once."""
        position = await netting.position("perp.ada_usdt")
        market = await netting.get("/v6/markets/perp.ada_usdt")
        assert Decimal(position["positionLotAmount"]) > market["maxLotAmount"]
        await netting.post(f"/v4/positions/{position['positionId']}/close", {})
        await netting.closed(position)

    async def test_all_of_them(self, netting: Trader) -> None:
        """The identifiers come first, the fills later; resting orders stay."""
        before = {each["positionId"] for each in await netting.positions()}
        resting = len(netting.sim.account.open_orders)
        netting.switch(close_delay_ms=50)
        answer = await netting.post("/v4/positions/bulk-close", {"mode": "AllPositions"})
        assert (set(answer), answer["status"], set(answer["positionIds"])) == (
            {"status", "positionIds"},
            "accepted",
            before,
        )
        assert len(await netting.positions()) == len(before)
        await until(lambda: not any(netting.sim.account.open_positions()))
        assert await netting.positions() == []
        assert len(netting.sim.account.open_orders) == resting
        assert (counters(netting).sign_flips, counters(netting).exposure_increases) == (0, 0)

    async def test_nothing_to_close(self, empty: Trader) -> None:
        answer = await empty.post("/v4/positions/bulk-close", {"mode": "AllPositions"})
        assert answer == {"status": "accepted", "positionIds": []}

    @pytest.mark.parametrize(("mode", "sign"), [("PositivePnl", 1), ("NegativePnl", -1)])
    async def test_those_in_profit_or_in_loss(self, netting: Trader, mode: str, sign: int) -> None:
        rows = await netting.positions()
        expected = {each["positionId"] for each in rows if float(each["unrealizedPnlTotalInRAT"]) * sign > 0}
        answer = await netting.post("/v4/positions/bulk-close", {"mode": mode})
        assert 0 < len(expected) < len(rows)
        assert set(answer["positionIds"]) == expected

    async def test_no_such_mode(self, netting: Trader) -> None:
        assert (await netting.ask("POST", "/v4/positions/bulk-close", {})).status == 400
