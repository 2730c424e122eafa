"""Misbehaviour of the simulated Bybit in words that fit every venue, and as the real ccxt sees it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import ccxt
import pytest

from node.sim.orders import Origin
from node.sim.scenarios import SCENARIOS
from node.sim.server import serve
from node.sim.simulator import Simulator
from node.sim.venue_kinds import VENUES
from tests.support.sim_clients import bybit_client

BTC = "BTC/USDT:USDT"
PLACE = {"intent": "place"}


async def sell(client: Any, symbol: str = BTC, amount: float = 0.25) -> Any:
    """Make a long position smaller, at market."""
    return await client.create_order(symbol, "market", "sell", amount, None, {"reduceOnly": True})


def size(simulator: Simulator, symbol: str = "BTCUSDT") -> float:
    """A position as the venue knows it."""
    positions = simulator.state()["accounts"]["demo"]["positions"]
    return sum(float(p["quantity"]) for p in positions if p["symbol"] == symbol)


async def test_every_scenario_can_be_served() -> None:
    """Those with margin and hedge mode too."""
    assert "bybit" in VENUES
    for name, accounts in SCENARIOS.items():
        async with serve(venue="bybit", scenario=name) as simulator:
            assert set(simulator.state()["accounts"]) == {account.name for account in accounts}


@pytest.mark.parametrize(
    ("deed", "error", "executed"),
    [
        ("lose_after_execution", ccxt.ExchangeNotAvailable, True),
        ({"status_after_execution": 502}, ccxt.ExchangeNotAvailable, True),
        ({"refuse": {"code": 10016, "msg": "Server error."}}, ccxt.ExchangeError, False),
        ({"refuse": {"code": 10000, "msg": "Server Timeout"}}, ccxt.ExchangeError, False),
        ({"rate_limit": {"retry_after": 7}}, ccxt.RateLimitExceeded, False),
        ({"ban_418": {"retry_after": 60}}, ccxt.RateLimitExceeded, False),
    ],
)
async def test_errors(
    bybit_sim: Simulator, bybit: Any, deed: object, error: type[Exception], *, executed: bool
) -> None:
    """Each has its class at the client; whether it took effect only the venue knows."""
    bybit_sim.set_faults(rules={"match": PLACE, "do": deed})
    with pytest.raises(error):
        await sell(bybit)
    assert size(bybit_sim) == (1.0 if executed else 1.25)


@pytest.mark.parametrize("deed", ["empty_200", "html_200", "truncated_body"])
async def test_success_without_an_id(bybit_sim: Simulator, bybit: Any, deed: str) -> None:
    """What is no JSON: the order was executed; ccxt has no id, or fails to read it."""
    bybit_sim.set_faults(rules={"match": PLACE, "do": deed})
    try:
        order = await sell(bybit)
    except ccxt.BaseError:
        order = {"id": None}
    assert (order["id"], size(bybit_sim)) == (None, 1.0)


@pytest.mark.parametrize(("deed", "left"), [("timeout_after_execution", 1.0), ("hang", 1.25)])
async def test_silence(bybit_sim: Simulator, bybit: Any, deed: str, left: float) -> None:
    """No answer at all, with and without effect; clearing the faults lets go of the socket."""
    bybit_sim.set_faults(rules={"match": PLACE, "do": deed})
    attempt = asyncio.create_task(sell(bybit))
    deadline = time.monotonic() + 5
    while not any(entry.answered_ns for entry in bybit_sim.journal.entries(method="POST")):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)
    assert not attempt.done()
    bybit_sim.clear_faults()
    with pytest.raises(ccxt.NetworkError):
        await attempt
    assert size(bybit_sim) == left


async def test_a_ban_is_a_403_for_everything(bybit_sim: Simulator, bybit: Any) -> None:
    """Without a word about its end."""
    bybit_sim.set_faults(rules={"match": PLACE, "do": {"ban_418": {"retry_after": 60}}})
    for call in (sell(bybit), bybit.fetch_positions(), bybit.fetch_time()):
        with pytest.raises(ccxt.RateLimitExceeded, match="403"):
            await call
    assert "Retry-After" not in bybit.last_response_headers
    bybit_sim.clear_faults()
    await sell(bybit)


@pytest.mark.parametrize(
    ("reason", "status", "code", "error"),
    [
        ("overloaded", 429, 429, ccxt.ExchangeError),
        ("status_unknown", 200, 10000, ccxt.ExchangeError),
        ("key_denied", 200, 10005, ccxt.PermissionDenied),
        ("too_many_orders", 200, 10006, ccxt.RateLimitExceeded),
        ("clock", 200, 10002, ccxt.InvalidNonce),
        ("unknown_symbol", 200, 10001, ccxt.BadSymbol),
        ("reduce_only_rejected", 200, 110017, ccxt.InvalidOrder),
        ("market_closed", 200, 110066, ccxt.ExchangeError),
    ],
)
async def test_reasons(
    bybit_sim: Simulator, bybit: Any, reason: str, status: int, code: int, error: type[Exception]
) -> None:
    """A refusal by reason has the venue's own code and status, and nothing is executed."""
    bybit_sim.set_faults(rules={"match": PLACE, "do": {"refuse": {"reason": reason}}})
    with pytest.raises(error, match=str(code)):
        await sell(bybit)
    (entry,) = bybit_sim.journal.entries(method="POST")
    assert (entry.status, entry.code, size(bybit_sim)) == (status, code, 1.25)
    await sell(bybit)
    assert size(bybit_sim) == 1.0


@pytest.mark.parametrize(
    ("intent", "call"),
    [
        ("positions", lambda client: client.fetch_positions()),
        ("orders", lambda client: client.fetch_open_orders(BTC)),
        ("triggers", lambda client: client.fetch_open_orders(BTC, None, None, {"trigger": True})),
        ("balances", lambda client: client.fetch_balance()),
        ("markets", lambda client: client.load_markets(True)),
        ("time", lambda client: client.fetch_time()),
        ("quotes", lambda client: client.fetch_ticker(BTC)),
        ("order", lambda client: client.fetch_order("1", BTC, {"acknowledged": True})),
        ("cancel", lambda client: client.cancel_all_orders(BTC)),
        ("rights", lambda client: client.privateGetV5UserQueryApi()),
        ("repay", lambda client: client.privatePostV5AccountNoConvertRepay({"coin": "BTC"})),
        ("convert", lambda client: client.fetch_convert_currencies()),
        ("place", lambda client: client.create_order(BTC, "market", "sell", 1, None, {"stopLossPrice": 60000})),
    ],
)
async def test_intents(bybit_sim: Simulator, bybit: Any, intent: str, call: Callable[[Any], Any]) -> None:
    """A rule finds a request by what it is for; no other request uses the rule up."""
    await bybit.is_unified_enabled()
    bybit_sim.set_faults(rules={"match": {"intent": intent}, "do": {"refuse": {"code": 10016, "msg": "Server error."}}})
    await bybit.privateGetV5AccountInfo()
    with pytest.raises(ccxt.BaseError, match="10016"):
        await call(bybit)


async def test_markets_and_sides(bybit_sim: Simulator, bybit: Any) -> None:
    """By neutral names; a batch is found by each of its orders."""
    match = {**PLACE, "market": "linear:BTC/USDT", "side": "sell"}
    bybit_sim.set_faults(rules={"match": match, "do": {"refuse": {"reason": "overloaded"}}})
    await sell(bybit, "LINK/USDT:USDT", 1)
    orders = [
        {"symbol": symbol, "type": "market", "side": "sell", "amount": 1, "params": {"reduceOnly": True}}
        for symbol in ("LINK/USDT:USDT", BTC)
    ]
    with pytest.raises(ccxt.ExchangeError, match="429"):
        await bybit.create_orders(orders)


async def test_hidden_slices(bybit_sim: Simulator, bybit: Any) -> None:
    """Positions of one coin vanish from one read; so can the wallet."""
    bybit_sim.set_faults(hidden_slice=[{"slice": "linear:USDC", "times": 1}, {"slice": "spot", "times": 1}])
    usdc = {"settleCoin": "USDC"}
    assert [len(await bybit.fetch_positions(None, usdc)) for _ in range(2)] == [0, 1]
    assert ["BTC" in await bybit.fetch_balance() for _ in range(2)] == [False, True]


async def test_an_engine_that_reopens_and_a_late_trigger(bybit_sim: Simulator, bybit: Any) -> None:
    """Behind the client's back."""
    bybit_sim.set_faults(
        engine_reopens={"symbol": "linear:BTC/USDT", "quantity": "0.5"},
        late_trigger={"symbol": "linear:ETC/USDT", "trigger": "on_cancel"},
    )
    await sell(bybit, BTC, 1.25)
    assert size(bybit_sim) == 0.5
    (entry,) = await bybit.fetch_open_orders("ETC/USDT:USDT")
    with pytest.raises(ccxt.OrderNotFound):
        await bybit.cancel_order(entry["id"], "ETC/USDT:USDT")
    assert size(bybit_sim, "ETCUSDT") == 60


async def test_a_conflict_of_reductions(bybit_sim: Simulator, bybit: Any) -> None:
    """With the strict rule a resting take-profit is in the way of the close."""
    bybit_sim.set_faults(reduce_only_conflict_refused=True)
    with pytest.raises(ccxt.InvalidOrder, match="110017"):
        await sell(bybit, "SOL/USDT:USDT", 310)
    await bybit.cancel_all_orders("SOL/USDT:USDT")
    await sell(bybit, "SOL/USDT:USDT", 310)


async def test_two_keys(bybit_sim: Simulator, bybit: Any) -> None:
    """The client's key is dead, the engine's is not; deeds are counted apart."""
    bybit_sim.set_faults(revoke_key="demo")
    with pytest.raises(ccxt.AuthenticationError, match="10003"):
        await sell(bybit)
    async with bybit_client(bybit_sim, role=Origin.ENGINE) as engine:
        await engine.load_markets()
        await sell(engine)
    account = bybit_sim.account
    assert (account.counters.orders_placed, account.engine_counters.orders_placed) == (0, 1)


async def test_a_partial_fill(bybit_sim: Simulator, bybit: Any) -> None:
    """A market order that trades a fifth of its size; the rest is cancelled, and only another request tells."""
    bybit_sim.set_faults(rules={"match": PLACE, "do": {"partial_fill": 0.2}})
    placed = await sell(bybit)
    order = await bybit.fetch_order(placed["id"], BTC, {"acknowledged": True})
    assert (order["status"], order["filled"], order["amount"], size(bybit_sim)) == ("canceled", 0.05, 0.25, 1.2)
