"""The script that people have: plain ccxt that reads the positions, closes each, and reads them again.

A process of its own, ``python -m tests.bench.script sequential|gather``: takes one JSON line (port, ca, credentials),
prints a line when it is ready, waits for a line, closes, and prints what it did when. Before it is ready it has loaded
the markets and read the positions once, as a program has that was running already: the first read's hidden request
(leverage brackets) is behind it, and one connection is warm.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

from tests.bench.venue import exchange, redirected_session


async def main(mode: str) -> None:
    """Serve one run."""
    settings = json.loads(sys.stdin.readline())
    # Sequential is ccxt as it comes: enableRateLimit is on by default.
    as_it_comes = mode == "sequential"
    async with redirected_session(settings["port"], Path(settings["ca"])) as session:
        with exchange(session, settings["credentials"], enable_rate_limit=as_it_comes) as client:
            await client.load_markets()
            await client.fetch_positions()
            _say({"ready": True})
            await asyncio.to_thread(sys.stdin.readline)
            await _close_all(client, gather=not as_it_comes)


async def _close_all(client: Any, *, gather: bool) -> None:
    trigger_ns = time.monotonic_ns()
    positions = await client.fetch_positions()
    if gather:
        await asyncio.gather(*(_close(client, position) for position in positions))
    else:
        for position in positions:
            await _close(client, position)
    left = await client.fetch_positions()
    _say({"trigger_ns": trigger_ns, "told_ns": time.monotonic_ns(), "left": len(left)})


async def _close(client: Any, position: dict[str, Any]) -> None:
    side = "sell" if position["side"] == "long" else "buy"
    await client.create_order(position["symbol"], "market", side, position["contracts"], None, {"reduceOnly": True})


def _say(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
