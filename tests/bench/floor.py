"""The floor: orders whose bytes were built and signed beforehand, over sockets that are open, by raw aiohttp.

A process of its own, ``python -m tests.bench.floor``: takes one JSON line (port, ca, accounts), prints a line when it
is ready, waits for a line, sends every order at once, and prints when it was told to and when the last answer was
there. It knows what there is to close without looking, proves nothing, and has no journal.
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import hmac
import json
import sys
import time
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from tests.bench.simulator import POSITIONS
from tests.bench.venue import open_connections, redirected_session

_ORDER: Final = URL("https://fapi.binance.com/fapi/v1/order")
#: The longest that the venue allows: what is signed now is good for a minute.
_WINDOW_MS: Final = 60_000

Order = tuple[dict[str, str], bytes]


def signed_orders(credentials: dict[str, str]) -> list[Order]:
    """Headers and body of each close."""
    headers = {"X-MBX-APIKEY": credentials["apiKey"], "Content-Type": "application/x-www-form-urlencoded"}
    secret, orders = credentials["secret"].encode(), []
    for base, quantity in POSITIONS:
        text = urlencode(
            {
                "symbol": f"{base}USDT",
                "side": "SELL" if quantity > 0 else "BUY",
                "type": "MARKET",
                "quantity": str(abs(quantity)),
                "reduceOnly": "true",
                "recvWindow": _WINDOW_MS,
                "timestamp": time.time_ns() // 1_000_000,
            }
        )
        signature = hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()
        orders.append((headers, f"{text}&signature={signature}".encode()))
    return orders


async def main() -> None:
    """Serve one run."""
    settings = json.loads(sys.stdin.readline())
    orders = [order for credentials in settings["accounts"] for order in signed_orders(credentials)]
    async with redirected_session(settings["port"], Path(settings["ca"]), connections=0) as session:
        await open_connections(session, len(orders))
        gc.collect()  # or one may come in the middle of closing, by chance
        _say({"ready": True})
        await asyncio.to_thread(sys.stdin.readline)
        trigger_ns = time.monotonic_ns()
        statuses = await asyncio.gather(*(_send(session, order) for order in orders))
        _say({"trigger_ns": trigger_ns, "told_ns": time.monotonic_ns(), "left": sum(s != 200 for s in statuses)})


async def _send(session: aiohttp.ClientSession, order: Order) -> int:
    headers, body = order
    async with session.post(_ORDER, headers=headers, data=body) as answer:
        await answer.read()
        return answer.status


def _say(document: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
