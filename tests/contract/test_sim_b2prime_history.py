"""How positions of the simulated B2PRIME end by themselves, and what is told of it afterwards, at the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from node.sim.world import select_markets
from tests.support.b2prime_wire import Trader, trading
from tests.support.waiting import until

EURO, GOLD = "cfd.eur_usd", "cfd.xau_usd"
EXECUTION_FIELDS = {
    "positionId", "orderId", "side", "reason", "createdAt", "executionId", "baseAmount", "executionPrice",
    "commissionAmountInRAT", "commissions",
}  # fmt: skip


@pytest.fixture
async def netting() -> AsyncIterator[Trader]:
    """One position a market."""
    async with trading("demo") as trader:
        yield trader


class TestTriggers:
    @pytest.mark.parametrize(("price", "reason"), [("1.06", "StopLoss"), ("1.12", "TakeProfit")])
    async def test_a_position_ends_at_its_price(self, netting: Trader, price: str, reason: str) -> None:
        position = await netting.position(EURO)
        body = {"stopLoss": {"price": "1.07", "isTrailing": False}, "takeProfit": {"price": "1.10"}}
        answer = await netting.put(f"/v4/positions/{position['positionId']}/triggers", body)
        assert answer == {"positionId": position["positionId"]}
        shown = await netting.position(EURO)
        assert (shown["stopLoss"], shown["takeProfit"]) == (body["stopLoss"], {"price": "1.1"})
        netting.sim.set_faults(prices={EURO: price})
        await netting.closed(position)
        rows = (await netting.post("/v4/orders/closed-positions", {"marketId": EURO}))["orders"]
        assert [row["reason"] for row in rows] == [reason]

    async def test_a_trailing_stop(self, netting: Trader) -> None:
        """It follows the price up, and not down."""
        position = await netting.position(EURO)
        body = {"stopLoss": {"price": "1.0725", "isTrailing": True}}
        await netting.put(f"/v4/positions/{position['positionId']}/triggers", body)
        netting.sim.set_faults(prices={EURO: "1.1025"})
        assert (await netting.position(EURO))["stopLoss"]["price"] == "1.0925"
        netting.sim.set_faults(prices={EURO: "1.092"})
        await netting.closed(position)

    async def test_what_a_trigger_would_be(self, netting: Trader) -> None:
        """Words in lower case, as in the document's example."""
        position = await netting.position(EURO)
        body = {"stopLoss": {"triggerType": "rate", "triggerSize": "0.01", "isTrailing": False}}
        body["takeProfit"] = {"triggerType": "points", "triggerSize": "100"}
        answer = await netting.post(f"/v4/positions/{position['positionId']}/trigger-data", body)
        assert set(answer) == {"takeProfit", "stopLoss"}
        assert all(set(each) == {"price", "rate", "points", "pnl"} for each in answer.values())
        opened = Decimal(position["openPrice"])
        assert Decimal(answer["takeProfit"]["price"]) == opened + Decimal("0.01")
        assert Decimal(answer["stopLoss"]["price"]) == opened * Decimal("0.99")


class TestHistory:
    async def test_executions_from_every_side(self, netting: Trader) -> None:
        position = await netting.position(EURO)
        identifier = position["positionId"]
        await netting.post(f"/v4/positions/{identifier}/close", {"closePositionLotAmount": "0.5"})
        market = select_markets(netting.sim.core, EURO)[0]
        await until(lambda: netting.sim.account.quantity(market) == Decimal("1.5"))
        (one,) = (await netting.post(f"/v4/positions/{identifier}/executions/list", {"limit": 5}))["executions"]
        assert (set(one), one["baseAmount"], one["side"]) == (EXECUTION_FIELDS, "50000", "Sell")
        assert (await netting.post("/v4/positions/executions/list", {"positionIds": [identifier]}))["executions"] == [
            one
        ]
        pairs = {"orderPositionPairs": [{"orderId": one["orderId"], "positionId": identifier}], "limit": 5}
        for version in ("v4", "v5"):
            of_order = await netting.post(
                f"/{version}/orders/{one['orderId']}/executions/list", {"positionId": identifier}
            )
            assert await netting.post(f"/{version}/orders/executions/list", pairs) == of_order
            (row,) = of_order["executions"]
            assert set(row) == EXECUTION_FIELDS | {"realizedPnlInRAT", "positionSizeIncreased"}
            assert (row["positionSizeIncreased"], of_order["isExceeded"]) == (False, False)

    async def test_closed_positions_page_by_page(self, netting: Trader) -> None:
        await netting.post("/v4/positions/bulk-close", {"mode": "AllPositions"})
        await until(lambda: not any(netting.sim.account.open_positions()))
        path = "/v4/orders/closed-positions"
        everything = (await netting.post(path, {}))["orders"]
        first = (await netting.post(path, {"limit": 10}))["orders"]
        rest = (await netting.post(path, {"lastOrderId": first[-1]["orderId"]}))["orders"]
        assert (len(first), [*first, *rest]) == (10, everything)
        cfds = (await netting.post(path, {"marketType": "Cfd"}))["orders"]
        assert {each["marketId"] for each in cfds} == {EURO, GOLD}
        assert (await netting.post(path, {"closedAtTo": "2020-01-01T00:00:00.000Z"}))["orders"] == []
