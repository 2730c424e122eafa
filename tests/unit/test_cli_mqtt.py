"""``send --via mqtt`` against a broker on a socket, with a node that is hard of hearing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from node.cli import main
from node.domain.command import Action
from node.engine.ports import Delivery
from node.sim.broker import Broker
from node.transport.envelope import EnvelopeVerifier, SignedRequest
from node.transport.issuer_key import IssuerKey, decode_public_key
from node.transport.mqtt import MqttTransport
from node.transport.mqtt_options import MqttOptions
from tests.support.counting_desk import ACCOUNT, ACCOUNT_NAME, COMMAND, event

CONFIGURATION = f"""
[node]
id = "n"
tenant = "acme"
state_dir = "s"
runtime_dir = "r"
[mqtt]
url = "mqtt://127.0.0.1:PORT"
[[owners]]
id = "o"
[[accounts]]
id = "{ACCOUNT}"
name = "{ACCOUNT_NAME}"
owner = "o"
exchange = "binance"
permission = "close"
base_currency = "USDT"
credentials = {{ apiKey = {{ credential = "k" }} }}
"""


class DeafNode:
    """Takes commands off the broker; answers only from the second delivery on."""

    def __init__(self, port: int, key: IssuerKey, answers: list[dict[str, object]], *, deaf_for: int) -> None:
        options = MqttOptions(host="127.0.0.1", port=port, client_id="node", subscriptions=("sn/v1/acme/cmd/+",))
        self.transport = MqttTransport(options)
        self.heard: list[Delivery] = []
        self._answers = answers
        self._deaf_for = deaf_for
        self._verifier = EnvelopeVerifier(tenant="acme", public_keys={key.issuer: decode_public_key(key.public_key)})

    @property
    def request(self) -> SignedRequest:
        """What the first delivery carried, verified."""
        return self._verifier.verify(self.heard[0].payload)

    async def serve(self) -> None:
        """Until cancelled."""
        async for delivery in self.transport.deliveries():
            await delivery.acknowledge()
            self.heard.append(delivery)
            if len(self.heard) <= self._deaf_for:
                continue
            assert delivery.response_topic is not None
            for answer in self._answers:
                await self.transport.publish(
                    delivery.response_topic, json.dumps(answer).encode(), correlation_data=delivery.correlation_data
                )


class Stage:
    """A broker, an issuer's key, a configuration."""

    def __init__(self, broker: Broker, directory: Path) -> None:
        self.broker = broker
        self.key = IssuerKey.generate("desk")
        self.key_file = directory / "desk.key"
        self.key.save(self.key_file)
        self.config = directory / "node.toml"
        self.config.write_text(CONFIGURATION.replace("PORT", str(broker.port)))

    async def send(self, *words: str, answers: list[dict[str, object]], deaf_for: int = 0) -> tuple[int, DeafNode]:
        """Run the command line while a node listens."""
        node = DeafNode(self.broker.port, self.key, answers, deaf_for=deaf_for)
        tasks = [
            asyncio.create_task(node.transport.run(), name="node-mqtt"),
            asyncio.create_task(node.serve(), name="node"),
        ]
        await node.transport.wait_connected()
        try:
            status = await self.call(*words)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        return status, node

    async def call(self, *words: str) -> int:
        """Run the command line."""
        common = ["--via", "mqtt", "--key", str(self.key_file), "--config", str(self.config), "--json"]
        return await asyncio.to_thread(main, ["send", *words, *common])


@pytest.fixture
async def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    """Everything but the node; the process's own logging stays as it is."""
    monkeypatch.setattr("node.commands.send_mqtt.configure_logging", lambda **_options: None)
    monkeypatch.setattr("node.transport.sender.REPEAT_EVERY_S", 0.05)
    async with Broker() as broker:
        yield Stage(broker, tmp_path)


async def test_the_same_envelope_is_repeated_until_the_node_answers(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    """A broker's acknowledgement proves nothing."""
    words = ("CLOSE_ALL", ACCOUNT_NAME, "--symbols", "A/B", "--id", str(COMMAND))
    status, node = await stage.send(*words, answers=[event(seq=1)], deaf_for=2)
    assert status == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == event(seq=1)
    assert len(node.heard) >= 3
    assert len({delivery.payload for delivery in node.heard}) == 1
    assert (node.request.command_id, node.request.account, node.request.action) == (COMMAND, ACCOUNT, Action.CLOSE_ALL)
    assert (node.request.symbols, node.request.issuer) == (("A/B",), "desk")


async def test_answers_come_to_a_topic_of_our_own(stage: Stage) -> None:
    """Below the issuer's, with the command's id as correlation; the command expires at the broker, too."""
    _, node = await stage.send("LOCK", ACCOUNT_NAME, "--id", str(COMMAND), answers=[event()])
    delivery = node.heard[0]
    assert delivery.response_topic is not None
    prefix, _, unique = delivery.response_topic.rpartition("/")
    assert (prefix, str(UUID(unique))) == ("sn/v1/acme/rsp/desk", unique)
    assert (delivery.topic, delivery.retained) == (f"sn/v1/acme/cmd/{ACCOUNT}", False)
    assert delivery.correlation_data == COMMAND.bytes


@pytest.mark.parametrize(("state", "status"), [("done", 0), ("incomplete", 3), ("rejected", 4), ("failed", 5)])
async def test_waiting_ends_with_the_ending_whatever_comes_twice_or_belongs_to_others(
    stage: Stage, capsys: pytest.CaptureFixture[str], state: str, status: int
) -> None:
    """Events of other commands and old ones that come again change nothing."""
    foreign = event("done", seq=9, command_id=str(uuid4()))
    answers = [event(seq=1), foreign, event("running", seq=2), event(seq=1), event(state, seq=3)]
    found, _ = await stage.send("CLOSE_ALL", ACCOUNT_NAME, "--wait", "--id", str(COMMAND), answers=answers)
    assert (found, json.loads(capsys.readouterr().out.splitlines()[-1])) == (status, event(state, seq=3))


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("LOCK", ACCOUNT_NAME, "--timeout", "0.3"), "TIMEOUT"),
        (("LOCK", "nobody"), "NOT_FOUND"),
        (("LOCK", ACCOUNT_NAME, "--issuer", "other"), "KEY"),
        (("LOCK", ACCOUNT_NAME, "--mqtt-url", "mqtt://10.0.0.1"), "USAGE"),
        (("LOCK", ACCOUNT_NAME, "--mqtt-password-credential", "none"), "CONFIG"),
        (("LOCK", ACCOUNT_NAME, "--timeout", "0.3", "--mqtt-url", "mqtt://127.0.0.1:1"), "BROKER"),
        (("UNLOCK", "*", "--epoch", "1"), "BAD_REQUEST"),
    ],
)
async def test_trouble_says_whether_anything_was_sent(
    stage: Stage, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: str
) -> None:
    """Nobody listens in this test."""
    assert await stage.call(*words) == 1
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["error"]["code"] == code
