"""Real ccxt clients whose every host name leads to a simulator on loopback, TLS and host names kept."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import ccxt.pro
from aiohttp.abc import AbstractResolver, ResolveResult

from node.sim.orders import Origin
from node.sim.simulator import Simulator


class LoopbackResolver(AbstractResolver):
    """Resolves every name to one port of this machine."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Wherever it was going, it goes to the simulator."""
        return [
            ResolveResult(hostname=host, host="127.0.0.1", port=self._port, family=socket.AF_INET, proto=0, flags=0)
        ]

    async def close(self) -> None:
        """Nothing to close."""


@asynccontextmanager
async def redirected_session(simulator: Simulator) -> AsyncIterator[aiohttp.ClientSession]:
    """An HTTP session that trusts the simulator's CA and reaches nothing else."""
    context = ssl.create_default_context(cafile=str(simulator.ca_path))
    connector = aiohttp.TCPConnector(
        resolver=LoopbackResolver(simulator.port), ssl=context, limit=0, keepalive_timeout=300
    )
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield session


@asynccontextmanager
async def binance_client(
    simulator: Simulator, *, account: str | None = None, role: Origin = Origin.CLIENT, **options: Any
) -> AsyncIterator[Any]:
    """The real ``ccxt.pro.binance``, with the account's key and without ccxt's own throttle."""
    async with redirected_session(simulator) as session:
        client = ccxt.pro.binance(
            {
                **simulator.credentials(account, role),
                "session": session,
                "enableRateLimit": False,
                "options": {
                    "fetchCurrencies": False,
                    "fetchMargins": False,
                    "warnOnFetchOpenOrdersWithoutSymbol": False,
                    "fetchMarkets": {"types": ["spot", "linear", "inverse"]},
                    **options,
                },
            }
        )
        client.has["fetchCurrencies"] = False
        client.ssl_context = session.connector._ssl  # type: ignore[union-attr]  # ccxt would build one of its own
        try:
            yield client
        finally:
            await client.close_ws_clients()
            client.session = None  # not its own; close() would sleep a quarter of a second


@asynccontextmanager
async def okx_client(
    simulator: Simulator, *, account: str | None = None, role: Origin = Origin.CLIENT, **options: Any
) -> AsyncIterator[Any]:
    """The real ``ccxt.pro.okx``, with the account's key and without ccxt's own throttle and broker ids."""
    async with redirected_session(simulator) as session:
        client = ccxt.pro.okx(
            {
                **simulator.credentials(account, role),
                "session": session,
                "enableRateLimit": False,
                "options": {
                    "fetchMarkets": {"types": ["spot", "swap", "future"]},
                    "brokerId": "simTag",
                    **options,
                },
            }
        )
        client.has["fetchCurrencies"] = False
        client.ssl_context = session.connector._ssl  # type: ignore[union-attr]  # ccxt would build one of its own
        try:
            yield client
        finally:
            await client.close_ws_clients()
            client.session = None  # not its own; close() would sleep a quarter of a second


@asynccontextmanager
async def bybit_client(
    simulator: Simulator, *, account: str | None = None, role: Origin = Origin.CLIENT, **options: Any
) -> AsyncIterator[Any]:
    """The real ``ccxt.pro.bybit``, with the account's key and without ccxt's own throttle."""
    async with redirected_session(simulator) as session:
        client = ccxt.pro.bybit(
            {
                **simulator.credentials(account, role),
                "session": session,
                "enableRateLimit": False,
                "options": {"fetchMarkets": {"types": ["spot", "linear", "inverse"]}, **options},
            }
        )
        client.has["fetchCurrencies"] = False
        client.ssl_context = session.connector._ssl  # type: ignore[union-attr]  # ccxt would build one of its own
        try:
            yield client
        finally:
            await client.close_ws_clients()
            client.session = None  # not its own; close() would sleep a quarter of a second


async def sell(client: Any, symbol: str = "BTC/USDT:USDT", amount: float = 0.25) -> Any:
    """Make a long position smaller, at market; *amount* in units of the market."""
    return await client.create_order(symbol, "market", "sell", amount, None, {"reduceOnly": True})


def size(simulator: Simulator, symbol: str = "BTCUSDT") -> float:
    """The demo account's position in USD-M as the venue knows it, in the base coin; both legs together."""
    account = simulator.state()["accounts"]["demo"]
    return sum(float(p["quantity"]) for p in account["positions"] if p["symbol"] == symbol)
