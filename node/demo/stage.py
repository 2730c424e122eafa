"""What the demo plays on: an embedded broker, a simulated venue and the daemon, each as it is used for real."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from uuid import UUID

import aiohttp

from node.demo.parts import READY_WITHIN_S, PartFailed, first_line, started
from node.sim.broker import Broker
from node.transport.issuer_key import IssuerKey
from node.transport.mqtt import MqttTransport
from node.transport.mqtt_options import MqttOptions
from node.transport.sender import Sender
from node.transport.topics import Topics

ACCOUNT_ID: Final = UUID("6b0c8d1e-5f0a-4c52-9a1e-3d0f6f1d2a77")
TENANT: Final = "demo"
ISSUER: Final = "desk"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Everything up and running."""

    sender: Sender
    venue: Venue
    lock_file: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Venue:
    """The simulator, asked from outside."""

    control: int
    http: aiohttp.ClientSession

    async def state(self) -> dict[str, Any]:
        """The demo account as the venue has it."""
        async with self.http.get(f"http://127.0.0.1:{self.control}/state") as answer:
            document = await answer.json()
        (account,) = document["accounts"].values()
        return dict(account)

    async def delay(self, round_trip_ms: int) -> None:
        """Inject a round trip."""
        body = {"latency_ms": round_trip_ms}
        async with self.http.post(f"http://127.0.0.1:{self.control}/faults", json=body) as answer:
            answer.raise_for_status()


@asynccontextmanager
async def raised(*, round_trip_ms: int) -> AsyncIterator[Stage]:
    """Bring everything up on loopback, in a temporary directory; take it down afterwards.

    Raises:
        PartFailed: a part did not come up.
    """
    async with AsyncExitStack() as stack:
        work = Path(stack.enter_context(TemporaryDirectory(prefix="sovereign-node-demo-")))
        broker = await stack.enter_async_context(Broker())
        simulator = await started(stack, work, "simulator", "sim", "serve", "--venue", "binance",
                                   "--port", "0", "--control", "0", "--ca-dir", str(work / "ca"))  # fmt: skip
        ready = json.loads(await first_line(simulator, "simulator"))
        key = IssuerKey.generate(ISSUER)
        credentials = work / "credentials"
        credentials.mkdir(mode=0o700)
        for name, value in ready["accounts"][0]["credentials"].items():
            (credentials / f"demo_{name.lower()}").write_text(value)
        config = work / "node.toml"
        config.write_text(_configuration(work, broker.port, ready, key.public_key))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        venue = Venue(control=ready["control"], http=http)
        await venue.delay(round_trip_ms)
        os.environ["CREDENTIALS_DIRECTORY"] = str(credentials)
        daemon = await started(stack, work, "daemon", "run", "--config", str(config))
        await _until_armed(work, daemon)
        sender = await stack.enter_async_context(_sender(broker.port, key))
        yield Stage(sender=sender, venue=venue, lock_file=work / "run" / "locks" / f"{ACCOUNT_ID}.json")


@asynccontextmanager
async def _sender(port: int, key: IssuerKey) -> AsyncIterator[Sender]:
    topics = Topics(TENANT)
    response_topic = Sender.new_response_topic(topics, ISSUER)
    transport = MqttTransport(
        MqttOptions(
            host="127.0.0.1",
            port=port,
            client_id=response_topic.rpartition("/")[2],
            subscriptions=(response_topic,),
            session_expiry_s=0,
        )
    )
    sender = Sender(transport, key, topics, response_topic)
    tasks = [
        asyncio.create_task(transport.run(), name="demo-mqtt"),
        asyncio.create_task(sender.receive(), name="demo-answers"),
    ]
    try:
        await transport.wait_connected()
        yield sender
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _until_armed(work: Path, daemon: asyncio.subprocess.Process) -> None:
    """Ask the daemon's own socket until its account is armed."""
    deadline = asyncio.get_running_loop().time() + READY_WITHIN_S
    connector = aiohttp.UnixConnector(path=str(work / "run" / "operator.sock"))
    async with aiohttp.ClientSession(connector=connector) as http:
        while asyncio.get_running_loop().time() < deadline:
            if daemon.returncode is not None:
                raise PartFailed("the daemon ended:\n" + (work / "daemon.log").read_text()[-2000:])
            try:
                async with http.get("http://operator/api/v1/node/status") as answer:
                    if (await answer.json())["ready"]:
                        return
            except (aiohttp.ClientError, OSError):
                pass
            await asyncio.sleep(0.05)
    raise PartFailed("the account was not armed in time:\n" + (work / "daemon.log").read_text()[-2000:])


def _configuration(work: Path, broker_port: int, ready: dict[str, Any], public_key: str) -> str:
    references = ", ".join(
        f'{name} = {{ credential = "demo_{name.lower()}" }}' for name in ready["accounts"][0]["credentials"]
    )
    return f"""
[node]
id = "demo-node"
tenant = "{TENANT}"
state_dir = "{work}/state"
runtime_dir = "{work}/run"

[mqtt]
url = "mqtt://127.0.0.1:{broker_port}"

[metrics]
listen = "127.0.0.1:{_free_port()}"

[[owners]]
id = "demo"

[[issuers]]
id = "{ISSUER}"
public_key = "{public_key}"
actions = ["LOCK", "CLOSE_ALL", "FLATTEN", "UNLOCK"]
accounts = ["*"]

[[accounts]]
id = "{ACCOUNT_ID}"
name = "demo"
owner = "demo"
exchange = "binance"
permission = "close"
base_currency = "USDT"
credentials = {{ {references} }}
connect_to = "127.0.0.1:{ready["port"]}"
ca_file = "{ready["ca"]}"
"""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
