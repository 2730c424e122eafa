"""The floor: requests whose bytes were built and signed beforehand, over sockets that are open, by raw aiohttp.

A process of its own, ``python -m tests.bench.floor [proof|look]``: takes one JSON line (port, ca, accounts), prints a
line when it is ready, waits for a line, sends, and prints when it was told to and when the last answer was there. It
knows what there is to close without looking, understands no answer, and has no journal. By itself it sends every order
at once, each with a request of its own, and nothing else. *proof*: the requests of a close that is proven, as few as
there can be: orders five to a request and the reads of all books beside them, then those reads again. *look*: the reads
once more before, as without a warm view.
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import hmac
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from tests.bench.simulator import POSITIONS
from tests.bench.venue import open_connections, redirected_session

_ORDER: Final = URL("https://fapi.binance.com/fapi/v1/order")
_ORDERS: Final = URL("https://fapi.binance.com/fapi/v1/batchOrders")
_ORDERS_MAX: Final = 5
#: What shows all that can stand open, book by book: triggers, orders, positions, wallet.
_READS: Final = (
    *(f"https://fapi.binance.com/fapi/{path}" for path in ("v1/openAlgoOrders", "v1/openOrders")),
    *(f"https://fapi.binance.com/fapi/{path}" for path in ("v3/positionRisk", "v3/account")),
    *(f"https://dapi.binance.com/dapi/v1/{path}" for path in ("openAlgoOrders", "openOrders")),
    *(f"https://dapi.binance.com/dapi/v1/{path}" for path in ("positionRisk", "account")),
    *(f"https://api.binance.com/api/v3/{path}" for path in ("openOrders", "account")),
)
_CLOCKS: Final = (URL("https://dapi.binance.com/dapi/v1/time"), URL("https://api.binance.com/api/v3/time"))
#: The longest that the venue allows: what is signed now is good for a minute.
_WINDOW_MS: Final = 60_000


@dataclass(frozen=True, slots=True)
class Request:
    """One request, ready to leave."""

    method: str
    url: URL
    headers: Mapping[str, str]
    body: bytes | None = None


def _signed(credentials: Mapping[str, str], asked: Mapping[str, object]) -> str:
    text = urlencode({**asked, "recvWindow": _WINDOW_MS, "timestamp": time.time_ns() // 1_000_000})
    signature = hmac.new(credentials["secret"].encode(), text.encode(), hashlib.sha256).hexdigest()
    return f"{text}&signature={signature}"


def _post(url: URL, credentials: Mapping[str, str], asked: Mapping[str, object]) -> Request:
    headers = {"X-MBX-APIKEY": credentials["apiKey"], "Content-Type": "application/x-www-form-urlencoded"}
    return Request("POST", url, headers, _signed(credentials, asked).encode())


def _closes() -> list[dict[str, str]]:
    return [
        {
            "symbol": f"{base}USDT",
            "side": "SELL" if quantity > 0 else "BUY",
            "type": "MARKET",
            "quantity": str(abs(quantity)),
            "reduceOnly": "true",
        }
        for base, quantity in POSITIONS
    ]


def orders(credentials: Mapping[str, str]) -> list[Request]:
    """Every close by itself."""
    return [_post(_ORDER, credentials, close) for close in _closes()]


def few_orders(credentials: Mapping[str, str]) -> list[Request]:
    """The same with as few requests as can be."""
    closes = _closes()
    shares = [closes[first : first + _ORDERS_MAX] for first in range(0, len(closes), _ORDERS_MAX)]
    return [_post(_ORDERS, credentials, {"batchOrders": json.dumps(share)}) for share in shares]


def reads(credentials: Mapping[str, str]) -> list[Request]:
    """Everything of every book."""
    headers = {"X-MBX-APIKEY": credentials["apiKey"]}
    return [Request("GET", URL(f"{url}?{_signed(credentials, {})}", encoded=True), headers) for url in _READS]


async def main(mode: str | None) -> None:
    """Serve one run."""
    settings = json.loads(sys.stdin.readline())
    accounts = settings["accounts"]
    closing = [order for each in accounts for order in (few_orders(each) if mode else orders(each))]
    looking = [read for each in accounts for read in reads(each)]
    rounds = {None: [closing], "proof": [closing + looking, looking], "look": [looking, closing, looking]}[mode]
    async with redirected_session(settings["port"], Path(settings["ca"]), connections=0) as session:
        await open_connections(session, len(closing) + len(looking))
        if mode:
            for clock in _CLOCKS:
                await open_connections(session, len(looking), clock)
        gc.collect()  # or one may come in the middle of closing, by chance
        _say({"ready": True})
        await asyncio.to_thread(sys.stdin.readline)
        trigger_ns, refused = time.monotonic_ns(), 0
        for requests in rounds:
            statuses = await asyncio.gather(*(_send(session, request) for request in requests))
            refused += sum(status != HTTPStatus.OK for status in statuses)
        _say({"trigger_ns": trigger_ns, "told_ns": time.monotonic_ns(), "left": refused})


async def _send(session: aiohttp.ClientSession, request: Request) -> int:
    async with session.request(request.method, request.url, headers=request.headers, data=request.body) as answer:
        await answer.read()
        return answer.status


def _say(document: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else None))
