"""What the node calls a simulator's market: ccxt's unified symbol."""

from __future__ import annotations

from datetime import UTC, datetime

from node.sim.market import Market


def unified(market: Market) -> str:
    """The market's symbol; deliveries are named by their day in UTC, wherever the tests run."""
    pair = f"{market.base}/{market.quote}"
    if not market.is_contract:
        return pair
    if market.expiry_ms is None:
        return f"{pair}:{market.settle}"
    return f"{pair}:{market.settle}-{datetime.fromtimestamp(market.expiry_ms / 1000, UTC):%y%m%d}"
