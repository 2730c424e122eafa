"""The simulated Binance as a process of its own, with accounts of exactly twenty positions each."""

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
from yarl import URL

from tests.bench import simulator as book
from tests.bench.processes import BenchError, Process, line_of, python
from tests.support.sim_clients import LoopbackResolver

#: Of each account.
POSITIONS: Final = len(book.POSITIONS)
CLIENT_KEY: Final = f"{book.account_name(0)}/client"

#: Asked for nothing but an open connection.
CLOCK: Final = URL("https://fapi.binance.com/fapi/v1/time")

Document = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Venue:
    """A running simulator, asked over its control port."""

    port: int
    ca: Path
    #: Per account, the client's key.
    accounts: tuple[dict[str, str], ...]
    process: Process
    #: Of each account, when the book is opened.
    positions: int
    _control: str
    _http: aiohttp.ClientSession

    @property
    def credentials(self) -> dict[str, str]:
        """Of the first account."""
        return self.accounts[0]

    async def open_book(self) -> None:
        """Start again: no faults, no limits used up, an empty journal, every position in every account.

        Raises:
            BenchError: the accounts do not hold exactly these.
        """
        await self._post("reset", {})
        wanted = {"positions": self.positions * len(self.accounts), "orders": 0, "algo_orders": 0}
        if (held := await self.holdings()) != wanted:
            raise BenchError(f"the accounts should hold {wanted}, and hold {held}")

    async def delay(self, round_trip_ms: float) -> None:
        """Inject a round trip: half of it before a request is seen, half after it is answered."""
        await self.faults(latency_ms=round_trip_ms)

    async def faults(self, **document: object) -> None:
        """Set faults, in the control port's words."""
        await self._post("faults", document)

    async def holdings(self) -> dict[str, int]:
        """How many positions and orders the venue itself says there are, of all accounts together."""
        accounts = (await self._get("state"))["accounts"].values()
        return {name: sum(len(each[name]) for each in accounts) for name in ("positions", "orders", "algo_orders")}

    async def requests(self, after: int = 0, **filters: str) -> list[Document]:
        """The request journal, from a request's number on; by default with those of every key."""
        return list((await self._get("requests", after=str(after), **filters))["requests"])

    async def _get(self, path: str, **query: str) -> Document:
        async with self._http.get(f"{self._control}/{path}", params=query) as answer:
            answer.raise_for_status()
            return dict(await answer.json())

    async def _post(self, path: str, body: Document) -> None:
        async with self._http.post(f"{self._control}/{path}", json=body) as answer:
            answer.raise_for_status()


@asynccontextmanager
async def simulator(work: Path, *options: str, accounts: int = 1, empty: bool = False) -> AsyncIterator[Venue]:
    """The venue in its own process, until the context ends; *empty*: accounts that hold nothing."""
    held = "empty" if empty else "full"
    arguments = ("-m", "tests.bench.simulator", "--accounts", str(accounts), held, "--port", "0", "--control", "0")
    log = work / "simulator.log"
    async with AsyncExitStack() as stack:
        process = await stack.enter_async_context(python(*arguments, "--ca-dir", str(work / "ca"), *options, log=log))
        ready = json.loads(await line_of(process, log))
        yield Venue(
            port=ready["port"],
            ca=Path(ready["ca"]),
            accounts=tuple(account["credentials"] for account in ready["accounts"]),
            process=process,
            positions=0 if empty else POSITIONS,
            _control=f"http://127.0.0.1:{ready['control']}",
            _http=await stack.enter_async_context(aiohttp.ClientSession()),
        )


def redirected_session(port: int, ca: Path, *, connections: int = 100) -> aiohttp.ClientSession:
    """What ccxt would build for itself (100 connections, 15 s of keep-alive), with every host name led to *port*."""
    context = ssl.create_default_context(cafile=str(ca))
    connector = aiohttp.TCPConnector(resolver=LoopbackResolver(port), ssl=context, limit=connections)
    return aiohttp.ClientSession(connector=connector)


async def open_connections(session: aiohttp.ClientSession, count: int, clock: URL = CLOCK) -> None:
    """Have so many warm connections to the clock's host: none is given back before the last one is open."""
    answers = await asyncio.gather(*(session.get(clock) for _ in range(count)))
    for answer in answers:
        await answer.read()


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
