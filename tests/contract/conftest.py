"""Simulated venues on loopback, with ccxt clients for them. Fixtures without a venue in their name are Binance's."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from functools import cache
from typing import Any

import pytest

from node.sim.server import serve
from node.sim.simulator import Simulator
from node.venues import pool
from tests.support.sim_clients import binance_client, bybit_client


def _no_public_trust() -> ssl.SSLContext:
    """Certificates and names are checked as ever."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@pytest.fixture(autouse=True)
def _trust_in_simulators_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """No simulator's certificate is a public authority's: to read all of those costs more than most of these tests."""
    monkeypatch.setattr(pool, "_public_trust", cache(_no_public_trust))


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


@pytest.fixture
async def bybit_sim() -> AsyncIterator[Simulator]:
    """The demo account at Bybit; limits are counted, and nothing is refused for them."""
    async with serve(venue="bybit", enforce_limits=False) as running:
        yield running


@pytest.fixture
async def bybit(bybit_sim: Simulator) -> AsyncIterator[Any]:
    """A client of it, with loaded markets."""
    async with bybit_client(bybit_sim) as exchange:
        await exchange.load_markets()
        yield exchange
