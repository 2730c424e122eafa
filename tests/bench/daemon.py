"""The real daemon as a process of its own, and a sender that stamps the moment of handing a command over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final
from uuid import UUID, uuid4

import aiohttp

from node.domain.command import Action
from node.transport.issuer_key import IssuerKey
from node.transport.mqtt import MqttTransport
from node.transport.mqtt_options import MqttOptions
from node.transport.sender import Outgoing, Sender
from node.transport.topics import AccountTarget, Topics
from tests.bench.processes import READY_WITHIN_S, BenchError, Process, connections, python, until
from tests.bench.relay import Relay
from tests.bench.venue import POSITIONS, Document, Venue
from tests.support.mosquitto import PASSWORDS, free_port

#: As in ``config/mosquitto.acl``.
TENANT: Final = "acme"
NODE: Final = "node-1"
ISSUER: Final = "desk"
#: The burst of a start is over when the venue has heard nothing for so long; with many accounts it is never quiet.
QUIET_S: Final = 0.3
QUIET_WITHIN_S: Final = 3.0
#: Between two questions whether a node is ready.
LOOK_EVERY_S: Final = 0.005


def account_id(number: int) -> UUID:
    """Of the venue's accounts, from 0 on."""
    return UUID(int=number + 1)


#: The first account.
ACCOUNT_ID: Final = account_id(0)


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
    runtime: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> AsyncIterator[Daemon]:
    """``run`` in its own process, with everything it keeps under *work*; what is there already is taken over.

    *runtime*: where its lock files and its socket go instead.
    """
    runtime = runtime or work / "run"
    credentials = work / "credentials"
    credentials.mkdir(mode=0o700, parents=True, exist_ok=True)
    (credentials / "mqtt_password").write_text(PASSWORDS[node])
    for number in accounts:
        for name, value in venue.accounts[number].items():
            (credentials / f"bench_{number}_{name.lower()}").write_text(value)
    config = work / "node.toml"
    config.write_text(_configuration(work, runtime, venue, key, broker_port, node, accounts))
    log = work / "daemon.log"
    connector = aiohttp.UnixConnector(path=str(runtime / "operator.sock"))
    surroundings = {"CREDENTIALS_DIRECTORY": str(credentials), **(environment or {})}
    async with (
        python("-m", "node", "run", "--config", str(config), log=log, environment=surroundings) as process,
        aiohttp.ClientSession(connector=connector) as http,
    ):
        yield Daemon(process=process, log=log, runtime=runtime, accounts=accounts, _http=http)


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
    #: When it reached the node's socket, if somebody looked.
    received_ns: int | None
    told_ns: int
    #: One of each node.
    endings: tuple[Document, ...]

    @property
    def ending(self) -> Document:
        """Of the only node."""
        (only,) = self.endings
        return only


class Desk:
    """An issuer connected to a broker."""

    def __init__(self, transport: StampingTransport, sender: Sender) -> None:
        self._transport = transport
        self._sender = sender

    async def command(
        self,
        action: Action,
        *,
        account: AccountTarget = ACCOUNT_ID,
        dry_run: bool = False,
        epoch: int | None = None,
        nodes: int = 1,
        between: Relay | None = None,
    ) -> Sent:
        """Send one command and wait for the ending of it at every node; *between* stamps its receipt.

        Raises:
            BenchError: it was rejected.
        """
        outgoing = Outgoing(
            account=account,
            action=action,
            command_id=uuid4(),
            dry_run=dry_run,
            reason="bench",
            epoch=epoch,
            nodes=nodes,
        )
        if between is not None:
            between.expect(outgoing.command_id)
        endings: dict[str, tuple[int, Document]] = {}
        async with aclosing(self._sender.send(outgoing)) as events:
            async for event in events:
                endings[event["node_id"]] = time.monotonic_ns(), event
        handed_over_ns = self._transport.handed_over_ns.pop(outgoing.command_id.bytes)
        if refused := [event for _, event in endings.values() if event["state"] == "rejected"]:
            raise BenchError(f"{action} was rejected: {refused[0]['errors']}")
        return Sent(
            handed_over_ns=handed_over_ns,
            received_ns=between.reached_ns(outgoing.command_id) if between is not None else None,
            told_ns=max(told_ns for told_ns, _ in endings.values()),
            endings=tuple(event for _, event in endings.values()),
        )


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


def _configuration(
    work: Path, runtime: Path, venue: Venue, key: IssuerKey, broker_port: int, node: str, accounts: range
) -> str:
    head = f"""
[node]
id = "{node}"
tenant = "{TENANT}"
state_dir = "{work}/state"
runtime_dir = "{runtime}"

[mqtt]
url = "mqtt://127.0.0.1:{broker_port}"
username = "{node}"
password = {{ credential = "mqtt_password" }}

[metrics]
listen = "127.0.0.1:{free_port()}"

[[owners]]
id = "acme"

[[issuers]]
id = "{ISSUER}"
public_key = "{key.public_key}"
actions = ["CLOSE_ALL", "LOCK", "UNLOCK"]
accounts = ["*"]
"""
    return head + "".join(_account(number, venue) for number in accounts)


def _account(number: int, venue: Venue) -> str:
    references = ", ".join(
        f'{name} = {{ credential = "bench_{number}_{name.lower()}" }}' for name in venue.accounts[number]
    )
    return f"""
[[accounts]]
id = "{account_id(number)}"
name = "bench-{number}"
owner = "acme"
exchange = "binance"
permission = "close"
base_currency = "USDT"
credentials = {{ {references} }}
connect_to = "127.0.0.1:{venue.port}"
ca_file = "{venue.ca}"
"""
