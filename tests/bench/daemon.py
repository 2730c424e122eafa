"""The real daemon as a process of its own, and a sender that stamps the moment of handing a command over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID, uuid4

import aiohttp

from node.domain.command import Action
from node.transport.issuer_key import IssuerKey
from node.transport.mqtt import MqttTransport
from node.transport.mqtt_options import MqttOptions
from node.transport.sender import Outgoing, Sender
from node.transport.topics import Topics
from tests.bench.processes import Process, python, until
from tests.bench.venue import Document, Venue
from tests.support.mosquitto import PASSWORDS, free_port

ACCOUNT_ID: Final = UUID("6b0c8d1e-5f0a-4c52-9a1e-3d0f6f1d2a77")
#: As in ``config/mosquitto.acl``.
TENANT: Final = "acme"
NODE: Final = "node-1"
ISSUER: Final = "desk"
#: The burst of a start is over when the venue has heard nothing for so long; polls of positions come every 2 s.
QUIET_S: Final = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    """A running node."""

    process: Process
    log: Path
    _http: aiohttp.ClientSession

    async def until_warm(self, venue: Venue, *, positions: int, sockets: int) -> None:
        """Return when the node is ready, sees *positions*, and has its *sockets* warm; and not in the middle of a poll.

        Raises:
            BenchError: not in time.
        """

        async def warm() -> bool:
            return await self._sees(positions) and await self._sockets(venue) >= sockets

        await until(warm, "the daemon is armed and warm", self.log)
        heard, since = -1, time.monotonic()
        while time.monotonic() - since < QUIET_S:
            await asyncio.sleep(QUIET_S / 10)
            if requests := await venue.requests(after=heard):
                heard, since = requests[-1]["number"], time.monotonic()

    async def _sees(self, positions: int) -> bool:
        try:
            async with self._http.get("http://operator/api/v1/node/status") as answer:
                status = await answer.json()
        except (aiohttp.ClientError, OSError):
            return False
        if not status["ready"]:
            return False
        slices = status["accounts"][0]["slices"]
        return sum(len(part.get("positions", ())) for part in slices) == positions

    async def _sockets(self, venue: Venue) -> int:
        """Clock requests to the futures host: each round of them leaves at once, over a connection each."""
        return len(await venue.requests(path_prefix="/fapi/v1/time"))


@asynccontextmanager
async def running(work: Path, venue: Venue, key: IssuerKey, broker_port: int) -> AsyncIterator[Daemon]:
    """``run`` in its own process, with everything it keeps under *work*."""
    credentials = work / "credentials"
    credentials.mkdir(mode=0o700, parents=True)
    (credentials / "mqtt_password").write_text(PASSWORDS[NODE])
    for name, value in venue.credentials.items():
        (credentials / f"bench_{name.lower()}").write_text(value)
    config = work / "node.toml"
    config.write_text(_configuration(work, venue, key, broker_port))
    log = work / "daemon.log"
    connector = aiohttp.UnixConnector(path=str(work / "run" / "operator.sock"))
    environment = {"CREDENTIALS_DIRECTORY": str(credentials)}
    async with (
        python("-m", "node", "run", "--config", str(config), log=log, environment=environment) as process,
        aiohttp.ClientSession(connector=connector) as http,
    ):
        yield Daemon(process=process, log=log, _http=http)


class StampingTransport(MqttTransport):
    """Remembers when each command was first handed over."""

    def __init__(self, options: MqttOptions) -> None:
        super().__init__(options)
        #: Monotonic nanoseconds by correlation data, immediately before the publish.
        self.handed_over_ns: dict[bytes, int] = {}

    async def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        retain: bool = False,
        correlation_data: bytes | None = None,
        response_topic: str | None = None,
        expiry_s: int | None = None,
    ) -> None:
        """Publish at QoS 1, with a stamp."""
        if correlation_data is not None:
            self.handed_over_ns.setdefault(correlation_data, time.monotonic_ns())
        await super().publish(
            topic,
            payload,
            retain=retain,
            correlation_data=correlation_data,
            response_topic=response_topic,
            expiry_s=expiry_s,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One command from the sender's side; times are monotonic nanoseconds."""

    handed_over_ns: int
    told_ns: int
    ending: Document


class Desk:
    """An issuer connected to a broker."""

    def __init__(self, transport: StampingTransport, sender: Sender) -> None:
        self._transport = transport
        self._sender = sender

    async def command(self, action: Action, *, dry_run: bool = False) -> Sent:
        """Send one command and wait for its ending."""
        outgoing = Outgoing(account=ACCOUNT_ID, action=action, command_id=uuid4(), dry_run=dry_run, reason="bench")
        async with aclosing(self._sender.send(outgoing)) as events:
            *_, (told_ns, ending) = [(time.monotonic_ns(), event) async for event in events]
        handed_over_ns = self._transport.handed_over_ns.pop(outgoing.command_id.bytes)
        return Sent(handed_over_ns=handed_over_ns, told_ns=told_ns, ending=ending)


@asynccontextmanager
async def desk(broker_port: int, key: IssuerKey) -> AsyncIterator[Desk]:
    """Connect an issuer, until the context ends."""
    topics = Topics(TENANT)
    response_topic = Sender.new_response_topic(topics, ISSUER)
    transport = StampingTransport(
        MqttOptions(
            host="127.0.0.1",
            port=broker_port,
            client_id=response_topic.rpartition("/")[2],
            subscriptions=(response_topic,),
            session_expiry_s=0,
            username=ISSUER,
            password=PASSWORDS[ISSUER],
        )
    )
    sender = Sender(transport, key, topics, response_topic)
    tasks = [
        asyncio.create_task(transport.run(), name="bench-mqtt"),
        asyncio.create_task(sender.receive(), name="bench-answers"),
    ]
    try:
        await transport.wait_connected()
        yield Desk(transport, sender)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _configuration(work: Path, venue: Venue, key: IssuerKey, broker_port: int) -> str:
    references = ", ".join(f'{name} = {{ credential = "bench_{name.lower()}" }}' for name in venue.credentials)
    return f"""
[node]
id = "{NODE}"
tenant = "{TENANT}"
state_dir = "{work}/state"
runtime_dir = "{work}/run"

[mqtt]
url = "mqtt://127.0.0.1:{broker_port}"
username = "{NODE}"
password = {{ credential = "mqtt_password" }}

[metrics]
listen = "127.0.0.1:{free_port()}"

[[owners]]
id = "acme"

[[issuers]]
id = "{ISSUER}"
public_key = "{key.public_key}"
actions = ["CLOSE_ALL"]
accounts = ["*"]

[[accounts]]
id = "{ACCOUNT_ID}"
name = "bench"
owner = "acme"
exchange = "binance"
permission = "close"
base_currency = "USDT"
credentials = {{ {references} }}
connect_to = "127.0.0.1:{venue.port}"
ca_file = "{venue.ca}"
"""
