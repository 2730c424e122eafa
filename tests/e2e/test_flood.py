"""A thousand junk messages a second on the command topic of the real daemon, and one good LOCK among them."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import time
import urllib.request
from pathlib import Path
from uuid import UUID

import pytest

from node.domain.command import Action
from node.transport.issuer_key import IssuerKey
from tests.support.flood import flood, kinds_of_junk, signed
from tests.support.mosquitto import PASSWORDS, Mosquitto, free_port
from tests.support.processes import ACCOUNT, Document
from tests.support.service import WITH_ACCOUNT, service
from tests.support.waiting import until

A_SECOND = 1000
FLOODING_S = 3.0
#: The flood has come to its full strength, and goes on long after.
LOCK_AFTER_S = 1.5
IN_EFFECT_WITHIN_S = 1.0

SECTIONS = """
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


async def test_a_good_lock_is_in_effect_within_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through mosquitto with the shipped limits and access list: garbage, forged signatures, a known issuer's expired
    commands (journaled and answered each) and such as are as long as they may be, from a user who may write there.
    """
    monkeypatch.setenv("NOWHERE_KEY", "of no exchange")
    monkeypatch.setenv("MQTT_PASSWORD", PASSWORDS["node-1"])
    (tmp_path / "broker").mkdir()
    broker, key, metrics = Mosquitto(tmp_path / "broker"), IssuerKey.generate("desk"), free_port()
    broker.start()
    public_key = base64.b64encode(key.private_key.public_key().public_bytes_raw()).decode()
    sections = SECTIONS.format(port=broker.port, metrics=metrics, public_key=public_key)
    kinds = kinds_of_junk(key, UUID(ACCOUNT))
    junk = [make() for make in itertools.islice(itertools.cycle(kinds.values()), int(A_SECOND * FLOODING_S))]
    topic, lock_file = f"sn/v1/acme/cmd/{ACCOUNT}", tmp_path / "run" / "locks" / f"{ACCOUNT}.json"

    def lock() -> Document:
        return dict(json.loads(lock_file.read_text()))

    try:
        with service(tmp_path, WITH_ACCOUNT + sections) as made:
            await asyncio.to_thread(made.until, "READY")
            await until(lambda: any(event["event"] == "mqtt_connected" for event in made.log()))
            before = lock()
            async with flood(broker.port, "desk") as flooding:
                running = asyncio.create_task(flooding.run(topic, junk, a_second=A_SECOND), name="flood")
                await until(lambda: flooding.sent >= A_SECOND * LOCK_AFTER_S)
                assert not lock()["locked"]
                began_s = time.monotonic()
                flooding.write(topic, signed(key, UUID(ACCOUNT), Action.LOCK))  # behind all that was sent before it
                await until(lambda: lock()["locked"])
                took_s = time.monotonic() - began_s
                assert flooding.sent < len(junk), "the flood was over by then: it has shown nothing"
                assert took_s < IN_EFFECT_WITHIN_S
                await running
                await until(lambda: flooding.answered == flooding.sent)
            assert lock()["epoch"] == before["epoch"] + 1
            # Refused, each of them, and with its code.
            each = len(junk) / len(kinds)
            wanted = {"MALFORMED": each, "BAD_SIGNATURE": 2 * each, "EXPIRED": each}
            await until(lambda: rejects(metrics) == wanted)
    finally:
        broker.stop()


def rejects(port: int) -> dict[str, float]:
    """As the node counts them, by code."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    counted = (line.rpartition(" ") for line in lines if line.startswith("sovereign_node_rejected_total{"))
    return {name.partition('reason="')[2].partition('"')[0]: float(value) for name, _, value in counted if float(value)}
