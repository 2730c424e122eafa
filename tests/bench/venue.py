"""The simulated Binance as a process of its own, and a book of exactly twenty positions in it."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import ccxt.async_support

from tests.bench.processes import BenchError, line_of, python
from tests.support.sim_clients import LoopbackResolver

#: 100 to 400 USDT each, long and short in turn, every one below its market-order maximum: one order closes it.
BOOK: Final = (
    "BTC 0.005, ETH -0.1, SOL 2, BNB -0.5, XRP 400, DOGE -2000, ADA 500, AVAX -8, LINK 15, LTC -3, "
    "DOT 30, TRX -2000, UNI 20, NEAR -40, APT 25, ARB -300, OP 120, SUI -200, ATOM 30, FIL -50"
)
POSITIONS: Final = 20
ACCOUNT: Final = "empty"
CLIENT_KEY: Final = f"{ACCOUNT}/client"

Document = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Venue:
    """A running simulator, asked over its control port."""

    port: int
    ca: Path
    credentials: dict[str, str]
    _control: str
    _http: aiohttp.ClientSession
    _engine: Any

    async def open_book(self) -> None:
        """Start the account again, without faults and limits used up, and have its engine open the twenty positions.

        Raises:
            BenchError: the account does not hold exactly these.
        """
        await self._post("reset", {})
        legs = [line.split() for line in BOOK.split(",")]
        await asyncio.gather(*(self._open(base, quantity) for base, quantity in legs))
        if (held := await self.holdings()) != {"positions": POSITIONS, "orders": 0, "algo_orders": 0}:
            raise BenchError(f"the account should hold {POSITIONS} positions and nothing else, and holds {held}")

    async def delay(self, round_trip_ms: float) -> None:
        """Inject a round trip: half of it before a request is seen, half after it is answered."""
        await self._post("faults", {"latency_ms": round_trip_ms})

    async def holdings(self) -> dict[str, int]:
        """How many positions and orders the venue itself says there are."""
        account = (await self._get("state"))["accounts"][ACCOUNT]
        return {name: len(account[name]) for name in ("positions", "orders", "algo_orders")}

    async def requests(self, after: int = 0, **filters: str) -> list[Document]:
        """The request journal, from a request's number on; by default with those of every key."""
        return list((await self._get("requests", after=str(after), **filters))["requests"])

    async def _open(self, base: str, quantity: str) -> None:
        side = "SELL" if quantity.startswith("-") else "BUY"
        order = {"symbol": f"{base}USDT", "side": side, "type": "MARKET", "quantity": quantity.lstrip("-")}
        await self._engine.fapiPrivatePostOrder(order)

    async def _get(self, path: str, **query: str) -> Document:
        async with self._http.get(f"{self._control}/{path}", params=query) as answer:
            answer.raise_for_status()
            return dict(await answer.json())

    async def _post(self, path: str, body: Document) -> None:
        async with self._http.post(f"{self._control}/{path}", json=body) as answer:
            answer.raise_for_status()


@asynccontextmanager
async def simulator(work: Path, *options: str) -> AsyncIterator[Venue]:
    """``sim serve`` in its own process, until the context ends."""
    arguments = ("-m", "node", "sim", "serve", "--venue", "binance", "--port", "0", "--control", "0")
    log = work / "simulator.log"
    async with AsyncExitStack() as stack:
        process = await stack.enter_async_context(
            python(*arguments, "--ca-dir", str(work / "ca"), "--scenario", ACCOUNT, *options, log=log)
        )
        ready = json.loads(await line_of(process, log))
        account = ready["accounts"][0]
        session = await stack.enter_async_context(redirected_session(ready["port"], Path(ready["ca"])))
        engine = stack.enter_context(exchange(session, account["engine_credentials"], enable_rate_limit=False))
        yield Venue(
            port=ready["port"],
            ca=Path(ready["ca"]),
            credentials=account["credentials"],
            _control=f"http://127.0.0.1:{ready['control']}",
            _http=await stack.enter_async_context(aiohttp.ClientSession()),
            _engine=engine,
        )


def redirected_session(port: int, ca: Path) -> aiohttp.ClientSession:
    """What ccxt would build for itself (100 connections, 15 s of keep-alive), with every host name led to *port*."""
    context = ssl.create_default_context(cafile=str(ca))
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=LoopbackResolver(port), ssl=context))


@contextmanager
def exchange(session: aiohttp.ClientSession, credentials: dict[str, str], *, enable_rate_limit: bool) -> Iterator[Any]:
    """The real ``ccxt.async_support.binanceusdm`` over *session*, everything else as it comes."""
    client = ccxt.async_support.binanceusdm(
        {**credentials, "session": session, "enableRateLimit": enable_rate_limit},
    )
    client.ssl_context = session.connector._ssl  # type: ignore[union-attr]  # else it builds one more, unused
    try:
        yield client
    finally:
        client.session = None  # not its own; close() would sleep a quarter of a second
