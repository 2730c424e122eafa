"""Faults in words that fit every venue: by intent, by market and by reason; Binance's front-end translates them."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import ccxt
import pytest

from node.sim.simulator import Simulator
from tests.support.sim_clients import sell, size

BTC = "BTC/USDT:USDT"


@pytest.mark.parametrize(
    ("reason", "status", "code", "error"),
    [
        ("overloaded", 503, "-1008", ccxt.OperationFailed),
        ("status_unknown", 408, "-1007", ccxt.RequestTimeout),
        ("key_denied", 401, "-2015", ccxt.AuthenticationError),
        ("too_many_orders", 429, "-1015", ccxt.DDoSProtection),
        ("clock", 400, "-1021", ccxt.InvalidNonce),
        ("unknown_symbol", 400, "-1121", ccxt.BadSymbol),
        ("reduce_only_rejected", 400, "-2022", ccxt.InvalidOrder),
    ],
)
async def test_reasons(
    simulator: Simulator, client: Any, reason: str, status: int, code: str, error: type[Exception]
) -> None:
    """A refusal by reason has the venue's own code and status, and nothing is executed."""
    simulator.set_faults(rules={"match": {"intent": "place"}, "do": {"refuse": {"reason": reason}}})
    with pytest.raises(error, match=code):
        await sell(client)
    (entry,) = simulator.journal.entries(method="POST")
    assert (entry.status, entry.code, size(simulator)) == (status, int(code), 1.25)
    await sell(client)
    assert size(simulator) == 1.0


async def test_over_the_control_port(simulator: Simulator, client: Any) -> None:
    """The same words in JSON."""
    rule = {"match": {"intent": "place", "market": "linear:BTC/USDT"}, "do": {"refuse": {"reason": "overloaded"}}}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"http://127.0.0.1:{simulator.control_port}/faults", data=json.dumps({"rules": rule})) as answer,
    ):
        assert (answer.status, (await answer.json())["rules"][0]["do"]["reason"]) == (200, "overloaded")
    await sell(client, "LINK/USDT:USDT", 1)
    with pytest.raises(ccxt.OperationFailed):
        await sell(client)


async def test_status_unknown_after_execution(simulator: Simulator, client: Any) -> None:
    """The venue says that it does not know, and the order was executed."""
    fault = {"refuse_after_execution": {"reason": "status_unknown"}}
    simulator.set_faults(rules={"match": {"intent": "place"}, "do": fault})
    with pytest.raises(ccxt.RequestTimeout):
        await sell(client)
    assert size(simulator) == 1.0


@pytest.mark.parametrize(
    ("intent", "call"),
    [
        ("positions", lambda client: client.fetch_positions()),
        ("orders", lambda client: client.fetch_open_orders(BTC)),
        ("triggers", lambda client: client.fetch_open_orders(BTC, None, None, {"trigger": True})),
        ("balances", lambda client: client.fetch_balance({"type": "spot"})),
        ("markets", lambda client: client.load_markets(True)),
        ("time", lambda client: client.fetch_time()),
        ("quotes", lambda client: client.fetch_ticker(BTC)),
        ("order", lambda client: client.fetch_order("1", BTC)),
        ("cancel", lambda client: client.cancel_all_orders(BTC)),
        ("cancel", lambda client: client.cancel_order("1", BTC, {"trigger": True})),
        ("rights", lambda client: client.sapiGetAccountApiRestrictions()),
        ("place", lambda client: client.create_order(BTC, "market", "sell", 1, None, {"stopLossPrice": 60000})),
    ],
)
async def test_intents(simulator: Simulator, client: Any, intent: str, call: Any) -> None:
    """A rule finds a request by what it is for; no other request uses the rule up."""
    others = {"positions": lambda: client.fetch_open_orders(BTC)}.get(intent, client.fetch_positions)
    simulator.set_faults(rules={"match": {"intent": intent}, "do": {"refuse": {"reason": "overloaded"}}})
    await others()
    with pytest.raises(ccxt.BaseError, match="-1008"):
        await call(client)


async def test_reshaped_answers(simulator: Simulator, client: Any) -> None:
    """200 with a document nobody expects; what was asked for was done."""
    simulator.set_faults(rules={"match": {"intent": "place"}, "do": {"reshape": {"body": {"data": {"id": 1}}}}})
    assert (await sell(client))["id"] is None
    simulator.set_faults(rules={"match": {"intent": "positions"}, "do": {"reshape": {"body": []}}})
    assert (size(simulator), await client.fetch_positions()) == (1.0, [])


async def test_neutral_market_names(simulator: Simulator) -> None:
    """Prices, statuses and traps take the same names at every venue."""
    simulator.set_faults(
        prices={"linear:BTC/USDT": "60000", "inverse:BTC/USD": "61000", "inverse:BTC/USD-dated": "63000"},
        market_status={"spot:ETH/BTC": "BREAK"},
        engine_reopens={"symbol": "linear:ETH/USDT", "quantity": "1"},
        late_trigger={"symbol": "inverse:BTC/USD"},
    )
    markets = simulator.state()["markets"]
    marks = {name: market["mark"] for name, market in markets.items() if name.endswith(("BTCUSDT", "BTCUSD_PERP"))}
    assert (marks["linear/BTCUSDT"], marks["spot/BTCUSDT"], marks["inverse/BTCUSD_PERP"]) == ("60000", "64000", "61000")
    assert (markets["spot/ETHBTC"]["status"], markets["linear/ETHUSDT"]["status"]) == ("BREAK", "TRADING")


async def test_auto_borrow(simulator: Simulator, client: Any) -> None:
    """Where it is on, a sale of more than is held is a debt; clearing the faults switches it off."""
    simulator.set_faults(auto_borrow=True)
    await client.create_order("ETH/USDT", "market", "sell", 6)
    state = simulator.state()["accounts"]["demo"]
    assert state["balances"]["spot"]["ETH"] == {"free": "0", "locked": "0", "borrowed": "0.75", "interest": "0"}
    assert (state["counters"]["borrows"], state["counters"]["oversold"]) == (1, 1)
    simulator.clear_faults()
    with pytest.raises(ccxt.InsufficientFunds):
        await client.create_order("ETH/USDT", "market", "sell", 6)


async def test_a_delisted_market(simulator: Simulator, client: Any) -> None:
    """It is listed no more and takes no orders; the position in it is still shown."""
    simulator.set_faults(market_status={"linear:LTC/USDT": "DELISTED"})
    with pytest.raises(ccxt.BadSymbol, match="-1121"):
        await client.create_order("LTC/USDT:USDT", "market", "buy", 95.5, None, {"reduceOnly": True})
    rows = await client.fapiPrivateV3GetPositionRisk()
    assert {row["symbol"]: row["positionAmt"] for row in rows}["LTCUSDT"] == "-95.500"
    await client.load_markets(True)
    assert "LTC/USDT:USDT" not in client.markets
