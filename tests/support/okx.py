"""What the tests of the simulated OKX share: its two fixtures, and questions to the venue itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from node.sim.server import serve
from node.sim.simulator import Simulator
from tests.support.sim_clients import okx_client

BTC, ADA, COIN, USDC = "BTC/USDT:USDT", "ADA/USDT:USDT", "BTC/USD:BTC", "BTC/USDC:USDC"
REDUCE = {"reduceOnly": True}
ALGO_TYPES = ("conditional", "oco", "trigger", "move_order_stop")


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    """The demo account, in net mode at the futures level."""
    async with serve(venue="okx") as running:
        yield running


@pytest.fixture
async def client(simulator: Simulator) -> AsyncIterator[Any]:
    """A client with loaded markets."""
    async with okx_client(simulator) as exchange:
        await exchange.load_markets()
        yield exchange


def sizes(simulator: Simulator) -> dict[str, str]:
    """Open positions by instrument, as the venue knows them; the last leg of each."""
    (account,) = simulator.state()["accounts"].values()
    return {position["symbol"]: position["quantity"] for position in account["positions"]}


def size(simulator: Simulator, symbol: str = "BTC-USDT-SWAP") -> float:
    """Contracts of one instrument, both legs together."""
    (account,) = simulator.state()["accounts"].values()
    return sum(float(each["quantity"]) for each in account["positions"] if each["symbol"] == symbol)


async def sell(client: Any, symbol: str = BTC, amount: float = 25, **params: Any) -> Any:
    """Make a long position smaller, at market; *amount* in contracts."""
    return await client.create_order(symbol, "market", "sell", amount, None, {**REDUCE, **params})


async def algos(client: Any, symbol: str | None = None) -> list[dict[str, Any]]:
    """All algo orders: one request a type."""
    pages = [await client.fetch_open_orders(symbol, None, None, {"trigger": True, "ordType": t}) for t in ALGO_TYPES]
    return [order for page in pages for order in page]
