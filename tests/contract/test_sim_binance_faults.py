"""Misbehaviour of the simulated venue, as the real ccxt sees it: was the order placed or not?"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import ccxt
import pytest

from node.sim.orders import Origin
from node.sim.simulator import Simulator
from tests.support.sim_clients import binance_client, sell, size

BTC = "BTC/USDT:USDT"
ORDERS = {"method": "POST", "path_prefix": "/fapi/v1/order"}


@pytest.mark.parametrize(
    ("deed", "error", "executed"),
    [
        ("lose_after_execution", ccxt.ExchangeNotAvailable, True),
        ({"status_after_execution": 502}, ccxt.ExchangeNotAvailable, True),
        ("truncated_body", ccxt.ExchangeError, True),
        ({"refuse": {"code": -1008, "msg": "Server is currently overloaded."}}, ccxt.OperationFailed, False),
        ({"refuse": {"code": -2022, "msg": "ReduceOnly Order is rejected."}}, ccxt.InvalidOrder, False),
        ({"refuse": {"code": -1007, "msg": "Timeout waiting for response."}}, ccxt.BaseError, False),
        ({"rate_limit": {"retry_after": 7}}, ccxt.DDoSProtection, False),
    ],
)
async def test_errors(
    simulator: Simulator, client: Any, deed: object, error: type[Exception], *, executed: bool
) -> None:
    """Each has its class at the client; whether it took effect only the venue knows."""
    simulator.set_faults(rules={"match": ORDERS, "do": deed})
    with pytest.raises(error):
        await sell(client)
    assert size(simulator) == (1.0 if executed else 1.25)
    await sell(client)  # the rule is used up


@pytest.mark.parametrize("deed", ["empty_200", "html_200"])
async def test_success_without_an_id(simulator: Simulator, client: Any, deed: str) -> None:
    """A 200 that says nothing: ccxt raises nothing and has no id, and the order was executed."""
    simulator.set_faults(rules={"match": ORDERS, "do": deed})
    order = await sell(client)
    assert (order["id"], order["status"], size(simulator)) == (None, None, 1.0)


@pytest.mark.parametrize(("deed", "left"), [("timeout_after_execution", 1.0), ("hang", 1.25)])
async def test_silence(simulator: Simulator, client: Any, deed: str, left: float) -> None:
    """No answer at all, with and without effect; clearing the faults lets go of the socket."""
    simulator.set_faults(rules={"match": ORDERS, "do": deed})
    attempt = asyncio.create_task(sell(client))
    deadline = time.monotonic() + 5
    while (
        not simulator.journal.entries(method="POST") or simulator.journal.entries(method="POST")[0].answered_ns is None
    ):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)
    assert not attempt.done()
    simulator.clear_faults()
    with pytest.raises(ccxt.NetworkError):
        await attempt
    assert size(simulator) == left
    assert simulator.journal.entries(method="POST")[0].status is None


async def test_ban(simulator: Simulator, client: Any) -> None:
    """418 for everything until the ban is over."""
    simulator.set_faults(rules={"match": ORDERS, "do": {"ban_418": {"retry_after": 60}}})
    for call in (sell(client), client.fetch_positions(), client.fetch_time()):
        with pytest.raises(ccxt.DDoSProtection, match="418"):
            await call
    assert client.last_response_headers["Retry-After"] in ("59", "60")
    simulator.clock.offset_ms = 61_000
    await client.fetch_time()
    simulator.clock.offset_ms = 0
    simulator.clear_faults()
    await sell(client)


async def test_partial_fill(simulator: Simulator, client: Any) -> None:
    """A market order that trades a fifth of its size, in whole steps."""
    simulator.set_faults(rules={"match": ORDERS, "do": {"partial_fill": 0.2}})
    order = await sell(client)
    assert (order["status"], order["filled"], order["amount"], size(simulator)) == ("expired", 0.05, 0.25, 1.2)


async def test_revoked_key(simulator: Simulator, client: Any) -> None:
    """The client's key is dead, the engine's is not."""
    simulator.set_faults(revoke_key="demo")
    with pytest.raises(ccxt.AuthenticationError, match="-2015"):
        await sell(client)
    async with binance_client(simulator, role=Origin.ENGINE) as engine:
        await sell(engine)
    assert size(simulator) == 1.0
    assert (simulator.account.counters.orders_placed, simulator.account.engine_counters.orders_placed) == (0, 1)


async def test_market_status(simulator: Simulator, client: Any) -> None:
    """A market in maintenance refuses, spot and contract in their own words, and exchangeInfo says so."""
    simulator.set_faults(market_status={"ETHUSDT": "BREAK"})
    with pytest.raises(ccxt.OperationRejected, match="-4141"):
        await client.create_order("ETH/USDT:USDT", "market", "buy", 1, None, {"reduceOnly": True})
    with pytest.raises(ccxt.ExchangeError, match="Market is closed"):
        await client.create_order("ETH/USDT", "market", "sell", 1)
    await client.load_markets(True)
    assert client.market("ETH/USDT:USDT")["active"] is False


async def test_strict_reduce_only(simulator: Simulator, client: Any) -> None:
    """With the strict rule a resting take-profit is in the way of the close."""
    simulator.set_faults(reduce_only_conflict_refused=True)
    with pytest.raises(ccxt.OperationRejected, match="-4118"):
        await client.create_order("SOL/USDT:USDT", "market", "sell", 310, None, {"reduceOnly": True})
    await client.cancel_all_orders("SOL/USDT:USDT")
    await client.create_order("SOL/USDT:USDT", "market", "sell", 310, None, {"reduceOnly": True})


async def test_hidden_slice(simulator: Simulator, client: Any) -> None:
    """USDC positions vanish from one read, and are there in the next."""
    simulator.set_faults(hidden_slice={"slice": "linear:USDC", "times": 1})
    counts = [len(await client.fetch_positions()) for _ in range(2)]
    assert counts == [20, 21]


async def test_engine_that_reopens(simulator: Simulator, client: Any) -> None:
    """The engine buys again the moment the position is closed."""
    simulator.set_faults(engine_reopens={"symbol": "BTCUSDT", "quantity": "0.5", "times": 1})
    await client.create_order(BTC, "market", "sell", 1.25, None, {"reduceOnly": True})
    assert size(simulator) == 0.5
    await client.create_order(BTC, "market", "sell", 0.5, None, {"reduceOnly": True})
    assert size(simulator) == 0


async def test_late_trigger_on_cancel(simulator: Simulator, client: Any) -> None:
    """The cancel of an entry trigger comes too late: it is unknown, and a position is open."""
    simulator.set_faults(late_trigger={"symbol": "linear/ETCUSDT", "trigger": "on_cancel"})
    (entry,) = await client.fetch_open_orders("ETC/USDT:USDT", None, None, {"trigger": True})
    with pytest.raises(ccxt.OrderNotFound):
        await client.cancel_order(entry["id"], "ETC/USDT:USDT", {"trigger": True})
    assert size(simulator, "ETCUSDT") == 60


class TestLatency:
    async def test_concurrent_requests_are_delayed_together(self, simulator: Simulator, client: Any) -> None:
        """Twenty requests at 200 ms take one round trip, not twenty, and reach the venue half-way."""
        simulator.set_faults(latency_ms=200)
        start_ns = time.monotonic_ns()
        await asyncio.gather(*(client.fapiPublicGetTime() for _ in range(20)))
        took_ms = (time.monotonic_ns() - start_ns) / 1e6
        assert 200 <= took_ms < 2000  # a busy machine adds to it, and stays far from twenty
        arrivals = [entry.arrived_ns for entry in simulator.journal.entries(path_prefix="/fapi/v1/time")]
        assert len(arrivals) == 20
        assert min(arrivals) - start_ns >= 100_000_000

    async def test_for_some_paths_only(self, simulator: Simulator, client: Any) -> None:
        """Other requests are as quick as ever."""
        simulator.set_faults(latency_ms=[{"ms": 5000, "path_prefix": "/fapi/v1/order"}])
        slow = asyncio.create_task(sell(client))
        await client.fetch_positions()
        assert not slow.done()
        slow.cancel()
