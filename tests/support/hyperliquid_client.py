"""The real ``ccxt.pro.hyperliquid`` on loopback, with the options under which it pays and refers nobody."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import ccxt.pro

from node.sim.orders import Origin
from node.sim.simulator import Simulator
from tests.support.sim_clients import redirected_session


async def nothing_to_initialise() -> bool:
    """In the place of ``initialize_client``, which would approve a builder fee and set a referrer."""
    return True


@asynccontextmanager
async def hyperliquid_client(
    simulator: Simulator, *, account: str | None = None, role: Origin = Origin.CLIENT, clean: bool = True, **config: Any
) -> AsyncIterator[Any]:
    """With the key of one of the account's agents, and without ccxt's own throttle.

    Args:
        clean: Replace ``initialize_client``; otherwise ccxt does what it does.
        config: Further constructor settings, beside or instead of these.
    """
    async with redirected_session(simulator) as session:
        options = {"fetchMarkets": {"types": ["spot", "swap", "hip3"]}, **config.pop("options", {})}
        settings = {**simulator.credentials(account, role), "session": session, "enableRateLimit": False}
        client = ccxt.pro.hyperliquid({**settings, "options": options, **config})
        if clean:
            client.initialize_client = nothing_to_initialise
        client.ssl_context = session.connector._ssl  # type: ignore[union-attr]  # ccxt would build one of its own
        try:
            yield client
        finally:
            await client.close_ws_clients()
            client.session = None  # not its own; close() would sleep a quarter of a second
