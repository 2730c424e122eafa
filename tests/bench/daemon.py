"""The real daemon as a process of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from uuid import UUID

import aiohttp

from node.transport.issuer_key import IssuerKey
from tests.bench.configuration import NODE, account_id, credential, node_toml
from tests.bench.processes import READY_WITHIN_S, BenchError, Process, connections, python, until
from tests.bench.venue import POSITIONS, Document, Venue
from tests.support.mosquitto import PASSWORDS

#: The burst of a start is over when the venue has heard nothing for so long; with many accounts it is never quiet.
QUIET_S: Final = 0.3
QUIET_WITHIN_S: Final = 3.0
_MEMORY: Final = Path("/dev/shm")  # noqa: S108
#: Between two questions whether a node is ready.
LOOK_EVERY_S: Final = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    """A running node."""

    process: Process
    log: Path
    #: Where its lock files are.
    runtime: Path
    #: The venue's accounts that it has.
    accounts: range
    _http: aiohttp.ClientSession

    async def until_warm(
        self, venue: Venue, *, positions: int = POSITIONS, sockets: int = 0, within_s: float = READY_WITHIN_S
    ) -> None:
        """Return when the node is ready, sees so many *positions* in each account and has so many *sockets*,
        and no poll is under way.

        Raises:
            BenchError: not in time.
        """

        async def warm() -> bool:
            wanted = {account_id(number): positions for number in self.accounts}
            return await self.sees() == wanted and self.sockets(venue) >= sockets

        await until(warm, "the daemon is armed and warm", self.log, within_s=within_s)
        heard = since = began = time.monotonic()
        number = -1
        while heard - since < QUIET_S and heard - began < QUIET_WITHIN_S:
            await asyncio.sleep(QUIET_S / 10)
            heard = time.monotonic()
            if requests := await venue.requests(after=number):
                number, since = requests[-1]["number"], heard

    async def ready_ns(self) -> int:
        """When it first called itself ready, in monotonic nanoseconds, to within some milliseconds.

        Raises:
            BenchError: not in time.
        """
        deadline = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < deadline:
            try:
                async with self._http.get("http://operator/readyz") as answer:
                    if answer.status == HTTPStatus.OK:
                        return time.monotonic_ns()
            except (aiohttp.ClientError, OSError):
                pass
            await asyncio.sleep(LOOK_EVERY_S)
        raise BenchError(f"the daemon was not ready within {READY_WITHIN_S:g} s")

    async def status(self) -> Document | None:
        """What the operator's socket says; None: nothing yet."""
        try:
            async with self._http.get("http://operator/api/v1/node/status") as answer:
                return dict(await answer.json())
        except (aiohttp.ClientError, OSError):
            return None

    async def sees(self) -> dict[UUID, int]:
        """By account, how many positions a node that is ready knows of; nothing before it is ready."""
        status = await self.status()
        if status is None or not status["ready"]:
            return {}
        return {
            UUID(account["id"]): sum(len(part.get("positions", ())) for part in account["slices"])
            for account in status["accounts"]
        }

    async def ages_s(self) -> list[float]:
        """How old the view of each slice is, of all that were ever seen."""
        status = await self.status()
        slices = [part for account in (status or {"accounts": ()})["accounts"] for part in account["slices"]]
        return [part["age_s"] for part in slices if part["age_s"] is not None]

    def sockets(self, venue: Venue) -> int:
        """How many connections to the venue the process has open, by the kernel's word."""
        return connections(self.process, venue.port)


@asynccontextmanager
async def running(
    work: Path,
    venue: Venue,
    key: IssuerKey,
    broker_port: int,
    *,
    node: str = NODE,
    accounts: range = range(1),
    own_addresses: bool = False,
    environment: Mapping[str, str] | None = None,
    program: str = "node",
    sections: str = "",
) -> AsyncIterator[Daemon]:
    """``run`` in its own process, with everything it keeps under *work*; what is there already is taken over.

    But lock files and socket: those are in memory, as systemd's RuntimeDirectory is, and go with it. *own_addresses*:
    each account has a source address, and so request budgets and connections, of its own; otherwise they share one.
    *program*: the module that serves. *sections*: more of the configuration.
    """
    credentials = work / "credentials"
    credentials.mkdir(mode=0o700, parents=True, exist_ok=True)
    (credentials / "mqtt_password").write_text(PASSWORDS[node])
    for number in accounts:
        for name, value in venue.accounts[number].items():
            (credentials / credential(number, name)).write_text(value)
    config = work / "node.toml"
    log = work / "daemon.log"
    surroundings = {"CREDENTIALS_DIRECTORY": str(credentials), **(environment or {})}
    with TemporaryDirectory(prefix="bench-run-", dir=_MEMORY) as name:
        runtime = Path(name)
        text = node_toml(work, runtime, venue, key, broker_port, node, accounts, own_addresses=own_addresses)
        config.write_text(text + sections)
        async with (
            python("-m", program, "run", "--config", str(config), log=log, environment=surroundings) as process,
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(path=str(runtime / "operator.sock"))) as http,
        ):
            yield Daemon(process=process, log=log, runtime=runtime, accounts=accounts, _http=http)
