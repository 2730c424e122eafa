"""TradingView alerts of the simulated B2PRIME: each field of the document, each error, each limit."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from tests.contract.test_sim_b2prime_document import ALERTED, same_shape
from tests.support.b2prime_wire import Answer, Trader, trading


class Chart:
    """Who sends alerts: it knows the webhook's address and a key, and has no token."""

    def __init__(self, trader: Trader, user: str, key: str) -> None:
        self.trader, self.user, self.key = trader, user, key

    async def alert(self, **fields: Any) -> Answer:
        """Send one. A field that is none is left out."""
        usual: dict[str, Any] = {
            "apiKey": self.key,
            "accountId": self.trader.account,
            "symbol": "spot.btc_usdt",
            "side": "buy",
            "quantity": "0.01",
        }
        body = {name: value for name, value in {**usual, **fields}.items() if value is not None}
        return await self.trader.ask(
            "POST",
            f"/v3/webhook/alerts/{self.user}",
            body,
            Authorization=None,
            accountId=None,
            **{"Content-Type": "text/plain"},
        )

    @property
    def placed(self) -> int:
        """How many orders were taken; they count as an engine's."""
        placed: int = self.trader.sim.account.engine_counters.orders_placed
        return placed


@pytest.fixture
async def chart() -> AsyncIterator[Chart]:
    """With a key, before an account that has money and nothing else."""
    async with trading("empty") as trader:
        key = (await trader.ask("POST", "/v3/webhook/api-keys", {"name": "Chart"})).json
        yield Chart(trader, key["userId"], key["apiKey"])


class TestAlerts:
    async def test_a_market_order(self, chart: Chart) -> None:
        """The default type; plain text is as good as JSON."""
        answer = await chart.alert(comment="signal")
        assert answer.status == 200, answer.text
        assert same_shape(answer.json, ALERTED) == []
        assert (answer.json["success"], answer.json["orderStatus"]) == (True, "Working")
        assert chart.trader.sim.account.balance("spot", "BTC").total > 0

    @pytest.mark.parametrize(
        ("fields", "stop", "price"),
        [
            ({"orderType": "limit", "price": "60000"}, None, "60000"),
            ({"orderType": "stop", "stopPrice": "66000"}, "66000", None),
            (
                {"orderType": "stop_limit", "stopPrice": "66000", "price": "66100", "timeInForce": "day"},
                "66000",
                "66100",
            ),
        ],
    )
    async def test_orders_that_wait(self, chart: Chart, fields: Any, stop: str | None, price: str | None) -> None:
        assert (await chart.alert(**fields)).status == 200
        state = chart.trader.sim.state()["accounts"]["empty"]
        orders: list[Any] = state["orders"] + state["algo_orders"]
        (order,) = orders
        assert (order["trigger_price"], order["price"]) == (stop, price)
        assert len(state["algo_orders"]) == (stop is not None)

    async def test_contracts_are_counted_in_base_units(self, chart: Chart) -> None:
        """And have leverage, take profit and stop loss."""
        answer = await chart.alert(
            symbol="cfd.eur_usd", side="sell", quantity="50000", leverage="20", takeProfit="1.05", stopLoss="1.1"
        )
        assert answer.status == 200, answer.text
        (position,) = await chart.trader.positions()
        assert (position["positionLotAmount"], position["side"], position["leverage"]) == ("0.5", "Sell", 20)
        assert (position["takeProfit"], position["stopLoss"]["price"]) == ({"price": "1.05"}, "1.1")

    @pytest.mark.parametrize(
        ("fields", "status"),
        [
            ({"apiKey": "wh_key_wrong"}, 401),
            ({"apiKey": None}, 400),
            ({"accountId": "66aa0000000000000000a001"}, 403),
            ({"symbol": "spot.no_body"}, 404),
            ({"symbol": None}, 400),
            ({"side": "hold"}, 400),
            ({"quantity": "0"}, 400),
            ({"quantity": "many"}, 400),
            ({"quantity": None}, 400),
            ({"quantity": "0.000000001"}, 400),
            ({"orderType": "limit"}, 400),
            ({"orderType": "stop"}, 400),
            ({"orderType": "stop_limit", "stopPrice": "66000"}, 400),
            ({"timeInForce": "gtd"}, 400),
            ({"comment": "x" * 257}, 400),
            ({"symbol": "perp.btc_usdt", "leverage": "500"}, 400),
        ],
    )
    async def test_what_is_refused(self, chart: Chart, fields: Any, status: int) -> None:
        """Nothing is placed."""
        answer = await chart.alert(**fields)
        assert (answer.status, chart.placed) == (status, 0), answer.text

    async def test_another_user(self, chart: Chart) -> None:
        chart.user = "01J8ZZZZZZZZZZZZZZZZZZZZZ9"
        assert ((await chart.alert()).status, chart.placed) == (404, 0)

    async def test_a_revoked_key(self, chart: Chart) -> None:
        (key,) = (await chart.trader.get("/v3/webhook/api-keys"))["apiKeys"]
        await chart.trader.delete(f"/v3/webhook/api-keys/{key['id']}")
        assert ((await chart.alert()).status, chart.placed) == (401, 0)

    async def test_a_key_ends_after_a_year(self, chart: Chart) -> None:
        chart.trader.sim.set_faults(clock_offset_ms=366 * 86_400_000)
        assert ((await chart.alert()).status, chart.placed) == (401, 0)
        await chart.trader.log_in()
        assert [each["status"] for each in (await chart.trader.get("/v3/webhook/api-keys"))["apiKeys"]] == ["Expired"]


class TestOnce:
    async def test_the_same_answer_for_five_minutes(self, chart: Chart) -> None:
        """And then it is another alert."""
        same = str(uuid4())
        first = await chart.alert(deduplicationId=same)
        again = await chart.alert(deduplicationId=same)
        assert (again.text, chart.placed) == (first.text, 1)
        chart.trader.sim.set_faults(clock_offset_ms=300_001)
        assert (await chart.alert(deduplicationId=same)).json["orderId"] != first.json["orderId"]
        assert chart.placed == 2

    async def test_a_refusal_is_remembered_too(self, chart: Chart) -> None:
        same = str(uuid4())
        assert (await chart.alert(deduplicationId=same, quantity="0")).status == 400
        assert ((await chart.alert(deduplicationId=same)).status, chart.placed) == (400, 0)

    async def test_another_id_is_another_alert(self, chart: Chart) -> None:
        await chart.alert(deduplicationId=str(uuid4()))
        await chart.alert(deduplicationId=str(uuid4()))
        assert chart.placed == 2


class TestTheLimit:
    async def test_five_a_second(self, chart: Chart) -> None:
        """The sixth is refused, with the three headers, and places nothing."""
        answers = [await chart.alert(quantity="0.001") for _ in range(6)]
        assert [each.status for each in answers] == [200] * 5 + [429]
        headers = answers[-1].headers
        assert (headers["X-RateLimit-Limit"], headers["X-RateLimit-Remaining"]) == ("5", "0")
        assert int(headers["X-RateLimit-Reset"]) * 1000 > chart.trader.sim.clock.now_ms()
        assert chart.placed == 5

    async def test_it_ends(self, chart: Chart) -> None:
        for _ in range(6):
            await chart.alert(quantity="0.001")
        chart.trader.sim.set_faults(clock_offset_ms=1_500)
        assert (await chart.alert(quantity="0.001")).status == 200

    async def test_without_headers(self, chart: Chart) -> None:
        """As behind a proxy that does not know of them."""
        chart.trader.switch(rate_limit_headers=False)
        answers = [await chart.alert(quantity="0.001") for _ in range(6)]
        assert (answers[-1].status, "X-RateLimit-Reset" in answers[-1].headers) == (429, False)
