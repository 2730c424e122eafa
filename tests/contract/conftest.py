"""A simulated Binance on loopback and a ccxt client for it; a file with another account has fixtures of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from node.sim.server import serve
from node.sim.simulator import Simulator
from tests.support.sim_clients import binance_client


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    """The demo account."""
    async with serve() as running:
        yield running


@pytest.fixture
async def client(simulator: Simulator) -> AsyncIterator[Any]:
    """A client with loaded markets."""
    async with binance_client(simulator) as exchange:
        await exchange.load_markets()
        yield exchange
