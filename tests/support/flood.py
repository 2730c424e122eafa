"""Somebody who may write to the command topic, and writes junk there without a pause."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID, uuid4

import mqtt5

from node.domain.command import Action
from node.transport.envelope import sign_command
from node.transport.issuer_key import IssuerKey
from tests.support.mosquitto import PASSWORDS, Mosquitto, free_port
from tests.support.processes import ACCOUNT, Document
from tests.support.service import WITH_ACCOUNT, service
from tests.support.waiting import until

#: Between two bursts: what is due by then is sent at once.
_TICK_S: Final = 0.005
_PACKET_IDS: Final = 65_535


def signed(key: IssuerKey, account: UUID, action: Action = Action.CLOSE_ALL, *, age_s: float = 0.0) -> bytes:
    """An envelope of the tenant *acme*, valid for a minute from *age_s* ago on."""
    issued_at = datetime.now(UTC) - timedelta(seconds=age_s)
    return sign_command(
        key,
        tenant="acme",
        command_id=uuid4(),
        account=account,
        action=action,
        issued_at=issued_at,
        expires_at=issued_at + timedelta(seconds=60),
    )


def kinds_of_junk(key: IssuerKey, account: UUID) -> Mapping[str, Callable[[], bytes]]:
    """By name: a maker of messages of which no two are the same."""
    forger = IssuerKey.generate(key.issuer)
    return {
        "garbage": lambda: secrets.token_bytes(200),
        "forged": lambda: signed(forger, account),
        "expired": lambda: signed(key, account, age_s=3600),
        "long": lambda: signed(forger, account).partition(b".")[0] + b"." + b"A" * 15_000 + b"." + b"A" * 86,
    }


class Flood:
    """Publishes at QoS 1 over one connection, at a steady rate, and reads what it is answered."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        #: Messages written so far.
        self.sent = 0
        #: PUBACKs of any kind.
        self.answered = 0

    def write(self, topic: str, payload: bytes) -> None:
        """One message."""
        packet_id = self.sent % _PACKET_IDS + 1
        self._writer.write(
            mqtt5.PublishPacket(topic, payload, qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=packet_id).write()
        )
        self.sent += 1

    async def run(self, topic: str, payloads: list[bytes], *, a_second: float) -> None:
        """All of them, no later than they are due."""
        began_s, done = time.monotonic(), 0
        while done < len(payloads):
            due = min(len(payloads), int((time.monotonic() - began_s) * a_second) + 1)
            for payload in payloads[done:due]:
                self.write(topic, payload)
            done = due
            await asyncio.sleep(_TICK_S)

    async def read(self, reader: asyncio.StreamReader) -> None:
        """Until the end of the connection: who is not read stops reading."""
        waiting = b""
        while data := await reader.read(65_536):
            waiting += data
            with contextlib.suppress(IndexError):  # the rest is still to come
                while waiting:
                    packet, size = mqtt5.read(memoryview(waiting))
                    waiting = waiting[size:]
                    self.answered += isinstance(packet, mqtt5.PubAckPacket)


@contextlib.asynccontextmanager
async def flood(port: int, user: str, client_id: str = "flood") -> AsyncIterator[Flood]:
    """Logged in at a broker."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(mqtt5.ConnectPacket(client_id, username=user, password=PASSWORDS[user].encode()).write())
    made = Flood(writer)
    reading = asyncio.create_task(made.read(reader), name="flood-read")
    try:
        yield made
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


SECTIONS: Final = """
[mqtt]
url = "mqtt://127.0.0.1:{port}"
username = "node-1"
password = {{{{ credential = "mqtt_password" }}}}

[metrics]
listen = "127.0.0.1:{metrics}"

[[issuers]]
id = "desk"
public_key = "{public_key}"
actions = ["LOCK", "CLOSE_ALL"]
accounts = ["*"]
"""


@dataclass(frozen=True, slots=True)
class Target:
    """The real daemon with one account, at mosquitto as shipped."""

    folder: Path
    port: int
    metrics_port: int
    #: Of the issuer ``desk``.
    key: IssuerKey
    topic: str = f"sn/v1/acme/cmd/{ACCOUNT}"

    def lock(self) -> Document:
        """As engines on this machine read it."""
        return dict(json.loads((self.folder / "run" / "locks" / f"{ACCOUNT}.json").read_text()))

    def rejects(self) -> dict[str, float]:
        """As the node counts them, by code."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        counted = (line.rpartition(" ") for line in lines if line.startswith("sovereign_node_rejected_total{"))
        return {
            name.partition('reason="')[2].partition('"')[0]: float(value) for name, _, value in counted if float(value)
        }


@contextlib.asynccontextmanager
async def target(folder: Path) -> AsyncIterator[Target]:
    """Connected. The environment has ``NOWHERE_KEY`` and ``MQTT_PASSWORD``."""
    (folder / "broker").mkdir()
    broker, key, metrics_port = Mosquitto(folder / "broker"), IssuerKey.generate("desk"), free_port()
    broker.start()
    sections = SECTIONS.format(port=broker.port, metrics=metrics_port, public_key=key.public_key)
    try:
        with service(folder, WITH_ACCOUNT + sections) as made:
            await asyncio.to_thread(made.until, "READY")
            await until(lambda: any(event["event"] == "mqtt_connected" for event in made.log()))
            yield Target(folder=folder, port=broker.port, metrics_port=metrics_port, key=key)
    finally:
        broker.stop()
