"""The script that people have: plain ccxt that reads the positions, closes each, and reads them again.

A process of its own, ``python -m tests.bench.script sequential|gather|warm``: takes one JSON line (port, ca, accounts),
prints a line when it is ready, waits for a line, closes, and prints what it did when. Before it is ready it has loaded
the markets and read the positions once, as a program has that was running already: the first read's hidden request
(leverage brackets) is behind it, and one connection is warm; *warm*: as many as there will be orders.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.bench.venue import POSITIONS, exchange, open_connections, redirected_session


async def main(mode: str) -> None:
    """Serve one run."""
    settings = json.loads(sys.stdin.readline())
    # Sequential is ccxt as it comes: enableRateLimit is on by default.
    as_it_comes, warm = mode == "sequential", mode == "warm"
    accounts = settings["accounts"]
    async with redirected_session(settings["port"], Path(settings["ca"]), connections=0 if warm else 100) as session:
        with ExitStack() as stack:
            clients = [stack.enter_context(exchange(session, each, enable_rate_limit=as_it_comes)) for each in accounts]
            await clients[0].load_markets()
            for client in clients[1:]:
                client.set_markets_from_exchange(clients[0])
            await asyncio.gather(*(client.fetch_positions() for client in clients))
            if warm:
                await open_connections(session, POSITIONS * len(clients))
            gc.collect()  # or one may come in the middle of closing, by chance: ccxt's heap takes 50 ms
            _say({"ready": True})
            await asyncio.to_thread(sys.stdin.readline)
            trigger_ns = time.monotonic_ns()
            left = await asyncio.gather(*(_close_all(client, gather=not as_it_comes) for client in clients))
            _say({"trigger_ns": trigger_ns, "told_ns": time.monotonic_ns(), "left": sum(left)})


async def _close_all(client: Any, *, gather: bool) -> int:
    positions = await client.fetch_positions()
    if gather:
        await asyncio.gather(*(_close(client, position) for position in positions))
    else:
        for position in positions:
            await _close(client, position)
    return len(await client.fetch_positions())


async def _close(client: Any, position: dict[str, Any]) -> None:
    side = "sell" if position["side"] == "long" else "buy"
    await client.create_order(position["symbol"], "market", side, position["contracts"], None, {"reduceOnly": True})


def _say(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
