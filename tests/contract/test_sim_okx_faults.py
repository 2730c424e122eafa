"""Misbehaviour of the simulated OKX, in neutral words, in its own, and over the control port; and its rate limits."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import ccxt
import pytest

from node.sim.okx import limits
from node.sim.orders import Origin
from node.sim.simulator import Simulator
from node.sim.world import SimClock
from tests.support.okx import BTC, algos, client, sell, simulator, size
from tests.support.sim_clients import okx_client

__all__ = ["client", "simulator"]


@pytest.mark.parametrize(
    ("reason", "status", "code", "error"),
    [
        ("overloaded", 429, "50013", ccxt.ExchangeNotAvailable),
        ("status_unknown", 400, "50004", ccxt.RequestTimeout),
        ("key_denied", 200, "50120", ccxt.ExchangeError),
        ("too_many_orders", 200, "50061", ccxt.ExchangeError),
        ("clock", 401, "50102", ccxt.InvalidNonce),
        ("unknown_symbol", 200, "51001", ccxt.BadSymbol),
        ("reduce_only_rejected", 200, "51169", ccxt.ExchangeError),
        ("reduce_only_conflict", 200, "51112", ccxt.InvalidOrder),
        ("market_closed", 200, "51022", ccxt.ContractUnavailable),
        ("counterparty_price", 200, "51136", ccxt.InvalidOrder),
    ],
)
async def test_reasons(
    simulator: Simulator, client: Any, reason: str, status: int, code: str, error: type[Exception]
) -> None:
    """A refusal by reason has the venue's own code, outside or in the row, and nothing is executed."""
    simulator.set_faults(rules={"match": {"intent": "place"}, "do": {"refuse": {"reason": reason}}})
    with pytest.raises(error, match=code):
        await sell(client)
    (entry,) = simulator.journal.entries(method="POST")
    assert (entry.status, entry.code, size(simulator)) == (status, code, 125)
    await sell(client)
    assert size(simulator) == 100


@pytest.mark.parametrize(
    ("deed", "error", "executed"),
    [
        ("lose_after_execution", ccxt.ExchangeNotAvailable, True),
        ({"status_after_execution": 502}, ccxt.ExchangeNotAvailable, True),
        ("truncated_body", ccxt.ExchangeError, True),
        ({"refuse": {"code": "50026", "msg": "System error. Try again later"}}, ccxt.ExchangeNotAvailable, False),
        ({"refuse_after_execution": {"reason": "status_unknown"}}, ccxt.RequestTimeout, True),
        ({"rate_limit": {"retry_after": 7}}, ccxt.RateLimitExceeded, False),
        ("percent_price_refusal", ccxt.InvalidOrder, False),
    ],
)
async def test_errors(
    simulator: Simulator, client: Any, deed: object, error: type[Exception], *, executed: bool
) -> None:
    """Each has its class at the client; whether it took effect only the venue knows."""
    simulator.set_faults(rules={"match": {"intent": "place"}, "do": deed})
    with pytest.raises(error):
        await sell(client)
    assert size(simulator) == (100 if executed else 125)
    await sell(client)  # the rule is used up


@pytest.mark.parametrize("deed", ["empty_200", "html_200", {"reshape": {"body": {"code": "0", "data": []}}}])
async def test_success_without_an_id(simulator: Simulator, client: Any, deed: object) -> None:
    """A 200 that says nothing: there is no id, and the order was executed."""
    simulator.set_faults(rules={"match": {"intent": "place"}, "do": deed})
    try:
        order = await sell(client)
    except ccxt.BaseError:
        order = {"id": None}
    assert (order["id"], size(simulator)) == (None, 100)


async def test_partial_fills(simulator: Simulator, client: Any) -> None:
    """A market order may trade in part, and then ends."""
    simulator.set_faults(rules={"match": {"intent": "place"}, "do": {"partial_fill": "0.4"}})
    order = await sell(client)
    found = await client.fetch_order(order["id"], BTC)
    assert (found["status"], found["filled"], size(simulator)) == ("canceled", 10, 115)


async def test_a_ban_is_a_web_page(simulator: Simulator, client: Any) -> None:
    """The content network answers everything with 429 and HTML, which ccxt calls unavailable, not limited."""
    simulator.set_faults(rules={"match": {"intent": "place"}, "do": {"ban_418": 60}})
    for attempt in (lambda: sell(client), client.fetch_positions, client.fetch_time):
        with pytest.raises(ccxt.ExchangeNotAvailable, match="429"):
            await attempt()
    assert size(simulator) == 125
    simulator.clear_faults()
    await sell(client)


@pytest.mark.parametrize(
    ("intent", "call"),
    [
        ("positions", lambda client: client.fetch_positions()),
        ("orders", lambda client: client.fetch_open_orders(BTC)),
        ("triggers", lambda client: client.fetch_open_orders(BTC, None, None, {"trigger": True})),
        ("balances", lambda client: client.fetch_balance()),
        ("balances", lambda client: client.fetch_balance({"type": "funding"})),
        ("markets", lambda client: client.load_markets(True)),
        ("time", lambda client: client.fetch_time()),
        ("quotes", lambda client: client.fetch_ticker(BTC)),
        ("order", lambda client: client.fetch_order("1", BTC)),
        ("cancel", lambda client: client.cancel_order("1", BTC)),
        ("cancel", lambda client: client.cancel_order("1", BTC, {"trigger": True})),
        ("rights", lambda client: client.privateGetAccountConfig()),
        ("convert", lambda client: client.fetch_convert_quote("BTC", "USDT", 0.1)),
        ("place", lambda client: client.close_position(BTC)),
        ("place", lambda client: client.create_order(BTC, "market", "sell", 1, None, {"stopLossPrice": 60000})),
    ],
)
async def test_intents(simulator: Simulator, client: Any, intent: str, call: Any) -> None:
    """A rule finds a request by what it is for; no other request uses the rule up."""
    others = {"positions": lambda: client.fetch_open_orders(BTC)}.get(intent, client.fetch_positions)
    simulator.set_faults(rules={"match": {"intent": intent}, "do": {"refuse": {"reason": "overloaded"}}})
    await others()
    with pytest.raises(ccxt.BaseError, match="50013"):
        await call(client)


async def test_over_the_control_port(simulator: Simulator, client: Any) -> None:
    """The same words in JSON; a market is found in a batch of one."""
    rule = {"match": {"intent": "place", "market": "linear:BTC/USDT"}, "do": {"refuse": {"reason": "overloaded"}}}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"http://127.0.0.1:{simulator.control_port}/faults", data=json.dumps({"rules": rule})) as answer,
    ):
        assert (answer.status, (await answer.json())["rules"][0]["do"]["reason"]) == (200, "overloaded")
    await sell(client, "LINK/USDT:USDT", 1)
    with pytest.raises(ccxt.ExchangeNotAvailable):
        await sell(client)


async def test_behind_our_back(simulator: Simulator, client: Any) -> None:
    """An engine that reopens, a trigger that fires while it is cancelled, a market that is delisted."""
    simulator.set_faults(engine_reopens={"symbol": "linear:BTC/USDT", "quantity": "10"})
    await sell(client, amount=125)
    assert size(simulator) == 10
    simulator.set_faults(late_trigger={"symbol": "linear:ETC/USDT", "trigger": "on_cancel"})
    (order,) = await algos(client, "ETC/USDT:USDT")
    with pytest.raises(ccxt.OrderNotFound, match="51400"):
        await client.cancel_order(order["id"], "ETC/USDT:USDT", {"trigger": True})
    assert size(simulator, "ETC-USDT-SWAP") == 6
    simulator.set_faults(market_status={"linear:LTC/USDT": "DELISTED"})
    with pytest.raises(ccxt.BadSymbol, match="51001"):
        await client.create_order("LTC/USDT:USDT", "market", "buy", 95.5, None, {"reduceOnly": True})
    rows = (await client.privateGetAccountPositions())["data"]
    assert {row["instId"]: row["pos"] for row in rows}["LTC-USDT-SWAP"] == "-95.5"
    await client.load_markets(True)
    assert "LTC/USDT:USDT" not in client.markets


async def test_a_conflict_at_will(simulator: Simulator, client: Any) -> None:
    """Reductions may be refused for those that rest already."""
    simulator.set_faults(reduce_only_conflict_refused=True)
    with pytest.raises(ccxt.InvalidOrder, match="51112"):
        await client.create_order("SOL/USDT:USDT", "market", "sell", 310, None, {"reduceOnly": True})


@pytest.fixture
def frozen(simulator: Simulator, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both clocks stand still, so that no window of two seconds ends in a test."""
    now = simulator.clock.now_ms()
    monkeypatch.setattr(SimClock, "now_ms", lambda _: now)
    client.nonce = lambda: now


@pytest.mark.usefixtures("frozen")
class TestLimits:
    async def test_orders_count_by_instrument(self, simulator: Simulator, client: Any) -> None:
        """Sixty single orders an instrument in two seconds; batches have three hundred of their own."""
        row = {"symbol": BTC, "type": "limit", "side": "buy", "amount": 0.01, "price": 62000, "params": {}}
        for _ in range(60):
            await client.create_order(BTC, "limit", "buy", 0.01, 62000)
        with pytest.raises(ccxt.RateLimitExceeded, match="50011"):
            await client.create_order(BTC, "limit", "buy", 0.01, 62000)
        await client.create_order("LINK/USDT:USDT", "limit", "buy", 1, 13.9)
        for _ in range(15):
            await client.create_orders([row] * 20)
        with pytest.raises(ccxt.RateLimitExceeded, match="50011"):
            await client.create_orders([row] * 20)
        assert simulator.journal.entries()[-1].status == 429

    async def test_reads_count_by_user(self, simulator: Simulator, client: Any) -> None:
        """Ten reads of positions in two seconds, with whichever key of the account."""
        for _ in range(10):
            await client.fetch_positions()
        async with okx_client(simulator, role=Origin.ENGINE) as other:
            other.nonce = client.nonce
            with pytest.raises(ccxt.RateLimitExceeded, match="50011"):
                await other.privateGetAccountPositions()
        await client.fetch_balance()
        simulator.set_faults(enforce_limits=False)
        await client.fetch_positions()

    async def test_new_orders_of_an_account(self, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """So many in two seconds, over all instruments: a thousand, but for this test."""
        assert limits.ORDERS_PER_ACCOUNT == 1000
        monkeypatch.setattr(limits, "ORDERS_PER_ACCOUNT", 60)
        row = {"type": "limit", "side": "buy", "amount": 1, "params": {}}
        for name, price in (("LINK", 13.9), ("UNI", 9.3), ("OP", 1.89)):
            await client.create_orders([{**row, "symbol": f"{name}/USDT:USDT", "price": price}] * 20)
        with pytest.raises(ccxt.ExchangeError, match="50061"):
            await client.create_order("DOT/USDT:USDT", "limit", "buy", 1, 6.1)
        await client.fetch_open_orders()
