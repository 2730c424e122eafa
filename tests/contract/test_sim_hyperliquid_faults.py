"""Misbehaviour of the simulated Hyperliquid, as the real ccxt sees it, and faults in words that fit every venue."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import ccxt
import pytest

from node.sim.orders import Origin
from node.sim.server import serve
from node.sim.simulator import Simulator
from tests.support.hyperliquid_client import hyperliquid_client

BTC = "BTC/USDC:USDC"
REDUCE = {"reduceOnly": True}
PLACE = {"intent": "place"}


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    """The demo account."""
    async with serve(venue="hyperliquid") as running:
        yield running


@pytest.fixture
async def client(simulator: Simulator) -> AsyncIterator[Any]:
    """A client with loaded markets."""
    async with hyperliquid_client(simulator) as exchange:
        await exchange.load_markets()
        yield exchange


async def sell(client: Any, amount: float = 0.25, symbol: str = BTC, price: float = 64000) -> Any:
    """Make a long position smaller."""
    return await client.create_order(symbol, "market", "sell", amount, price, REDUCE)


def size(simulator: Simulator, coin: str = "BTC") -> float:
    """The position as the venue knows it."""
    positions = simulator.state()["accounts"]["demo"]["positions"]
    return sum(float(p["quantity"]) for p in positions if p["symbol"] == coin)


@pytest.mark.parametrize(
    ("deed", "error", "executed"),
    [
        ("lose_after_execution", ccxt.ExchangeNotAvailable, True),
        ({"status_after_execution": 502}, ccxt.ExchangeNotAvailable, True),
        ("truncated_body", ccxt.ExchangeError, True),
        ({"refuse": {"code": 0, "msg": "Insufficient margin to place order."}}, ccxt.InsufficientFunds, False),
        ({"refuse": {"code": 0, "msg": "Internal Server Error", "status": 500}}, ccxt.ExchangeNotAvailable, False),
        ({"rate_limit": {"retry_after": 7}}, ccxt.RateLimitExceeded, False),
        ("percent_price_refusal", ccxt.InvalidOrder, False),
    ],
)
async def test_errors(
    simulator: Simulator, client: Any, deed: object, error: type[Exception], *, executed: bool
) -> None:
    """Each has its class at the client; whether it took effect only the venue knows."""
    simulator.set_faults(rules={"match": PLACE, "do": deed})
    with pytest.raises(error):
        await sell(client)
    assert size(simulator) == (1.0 if executed else 1.25)
    await sell(client)  # the rule is used up


@pytest.mark.parametrize("deed", ["empty_200", "html_200"])
async def test_success_without_an_id(simulator: Simulator, client: Any, deed: str) -> None:
    """A 200 that says nothing: ccxt raises nothing and has no order at all, and it was executed."""
    simulator.set_faults(rules={"match": PLACE, "do": deed})
    order = await sell(client)
    assert (not order, size(simulator)) == (True, 1.0)


async def test_silence(simulator: Simulator, client: Any) -> None:
    """No answer, and it was executed; the order can be asked for by its client id."""
    simulator.set_faults(rules={"match": PLACE, "do": "timeout_after_execution"})
    word = "0x" + "cd" * 16
    params = {**REDUCE, "clientOrderId": word}
    attempt = asyncio.create_task(client.create_order(BTC, "market", "sell", 0.25, 64000, params))
    deadline = time.monotonic() + 5
    while not any(entry.answered_ns for entry in simulator.journal.entries(path_prefix="/exchange")):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)
    simulator.clear_faults()
    with pytest.raises(ccxt.NetworkError):
        await attempt
    (entry,) = simulator.journal.entries(path_prefix="/exchange")
    assert (entry.params["cloid"], len(entry.order_ids), entry.status) == (word, 1, None)
    assert (await client.fetch_order(None, BTC, {"clientOrderId": word}))["status"] == "closed"


async def test_partial_fill(simulator: Simulator, client: Any) -> None:
    """A fifth trades; the answer says how much, and nothing of the rest."""
    simulator.set_faults(rules={"match": PLACE, "do": {"partial_fill": 0.2}})
    order = await sell(client)
    assert (order["filled"], order["status"], size(simulator)) == (0.05, None, 1.2)
    found = await client.fetch_order(order["id"], BTC)
    assert (found["amount"], found["filled"], found["status"]) == (0.25, 0.05, "canceled")
    simulator.set_faults(rules={"match": PLACE, "do": {"partial_fill": 0}})
    with pytest.raises(ccxt.InvalidOrder, match="could not immediately match"):
        await sell(client)


async def test_a_ban(simulator: Simulator, client: Any) -> None:
    """429 for everything until it is over."""
    simulator.set_faults(rules={"match": PLACE, "do": {"ban_418": {"retry_after": 60}}})
    for call in (sell(client), client.fetch_positions(), client.fetch_time()):
        with pytest.raises(ccxt.RateLimitExceeded, match="429"):
            await call
    simulator.clear_faults()
    await sell(client)


async def test_revoked_key(simulator: Simulator, client: Any) -> None:
    """The client's agent is dead, the engine's is not."""
    simulator.set_faults(revoke_key="demo")
    with pytest.raises(ccxt.InvalidOrder, match="does not exist"):
        await sell(client)
    async with hyperliquid_client(simulator, role=Origin.ENGINE) as engine:
        engine.set_markets(client.markets)
        await sell(engine)
    assert (simulator.account.counters.orders_placed, simulator.account.engine_counters.orders_placed) == (0, 1)


async def test_a_market_that_is_halted(simulator: Simulator, client: Any) -> None:
    """It takes no order; cancels go on."""
    simulator.set_faults(market_status={"linear:BTC/USDC": "BREAK"})
    with pytest.raises(ccxt.ExchangeError, match="Trading is halted"):
        await sell(client)
    orders = await client.fetch_open_orders()
    await client.cancel_order(next(o["id"] for o in orders if o["symbol"] == BTC and o["type"] == "limit"), BTC)


async def test_engine_reopens(simulator: Simulator, client: Any) -> None:
    """Behind the client's back, in neutral names."""
    simulator.set_faults(engine_reopens={"symbol": "linear:BTC/USDC", "quantity": "0.5"})
    await sell(client, 1.25)
    assert size(simulator) == 0.5
    assert simulator.account.counters.exposure_increases == 0
    assert simulator.account.engine_counters.exposure_increases == 1


@pytest.mark.parametrize(
    ("reason", "status", "text", "error"),
    [
        ("overloaded", 503, "503", ccxt.ExchangeNotAvailable),
        ("status_unknown", 504, "504", ccxt.RequestTimeout),
        ("key_denied", 200, "User or API Wallet 0x[0-9a-f]{40} does not exist", ccxt.InvalidOrder),
        ("too_many_orders", 200, "Too many cumulative requests sent", ccxt.RateLimitExceeded),
        ("clock", 200, "Invalid nonce: nonce too low", ccxt.ExchangeError),
        ("reduce_only_rejected", 200, "Reduce only order would increase position. asset=0", ccxt.InvalidOrder),
        ("insufficient_margin", 200, "Insufficient margin to place order. asset=0", ccxt.InsufficientFunds),
        ("counterparty_price", 200, "could not immediately match", ccxt.InvalidOrder),
        ("market_closed", 200, "Trading is halted", ccxt.ExchangeError),
        ("price_below_band", 200, "more than 95% away from the reference price", ccxt.ExchangeError),
    ],
)
async def test_reasons(
    simulator: Simulator, client: Any, reason: str, status: int, text: str, error: type[Exception]
) -> None:
    """A refusal by reason has the venue's own words and status, and nothing is executed."""
    simulator.set_faults(rules={"match": PLACE, "do": {"refuse": {"reason": reason}}})
    with pytest.raises(error, match=text):
        await sell(client)
    (entry,) = simulator.journal.entries(path_prefix="/exchange")
    assert (entry.status, entry.code is not None, size(simulator)) == (status, True, 1.25)
    await sell(client)
    assert size(simulator) == 1.0


@pytest.mark.parametrize(
    ("intent", "call"),
    [
        ("positions", lambda client: client.fetch_positions()),
        ("orders", lambda client: client.fetch_open_orders(BTC)),
        ("balances", lambda client: client.fetch_balance({"type": "spot"})),
        ("markets", lambda client: client.load_markets(True)),
        ("time", lambda client: client.fetch_time()),
        ("quotes", lambda client: client.fetch_order_book(BTC)),
        ("order", lambda client: client.fetch_order("1", BTC)),
        ("cancel", lambda client: client.cancel_order("1", BTC)),
        ("cancel", lambda client: client.cancel_order(None, BTC, {"clientOrderId": "0x" + "ab" * 16})),
        ("rights", lambda client: client.publicPostInfo({"type": "extraAgents", "user": client.walletAddress})),
        ("place", lambda client: client.create_order(BTC, "market", "sell", 1, 64000, {"stopLossPrice": 60000})),
        ("place", lambda client: client.edit_order("1", BTC, "limit", "sell", 1, 65000)),
    ],
)
async def test_intents(simulator: Simulator, client: Any, intent: str, call: Any) -> None:
    """A rule finds a request by what it is for; no other request uses the rule up."""
    # Positions and their wallet are one document.
    others = client.fetch_open_orders if intent in ("positions", "balances") else client.fetch_positions
    simulator.set_faults(rules={"match": {"intent": intent}, "do": {"refuse": {"reason": "overloaded"}}})
    await others()
    with pytest.raises(ccxt.BaseError, match="503"):
        await call(client)


async def test_rules_by_market(simulator: Simulator, client: Any) -> None:
    """A batch meets a rule by any of its markets; another market does not."""
    rule = {"match": {"intent": "place", "market": "linear:BTC/USDC"}, "do": {"refuse": {"reason": "overloaded"}}}
    simulator.set_faults(rules=rule)
    await sell(client, 1, "LINK/USDC:USDC", 14)
    with pytest.raises(ccxt.ExchangeNotAvailable):
        await sell(client)


async def test_state_and_reset(simulator: Simulator, client: Any) -> None:
    """The control port's document names the venue; a reset starts again."""
    await sell(client, 1.25)
    assert simulator.state()["venue"] == "hyperliquid"
    assert simulator.ready_document()["accounts"][0]["credentials"] == simulator.credentials()
    simulator.reset()
    assert (size(simulator), simulator.journal.entries()) == (1.25, [])
    await sell(client)
