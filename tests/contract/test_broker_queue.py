"""What a broker drops before any node sees it, and how the shipped configuration keeps it from the good message."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.errors import TransportRefused
from node.transport.mqtt import MqttTransport
from node.transport.mqtt_options import MqttOptions
from tests.support.broker import receive, running, within
from tests.support.flood import flood
from tests.support.mosquitto import PASSWORDS, Mosquitto
from tests.support.waiting import until

TOPIC = "sn/v1/acme/cmd/_all"
#: More than mosquitto's defaults keep for a client (1000), less than the shipped configuration does.
JUNK = 1_200
#: What the shipped configuration says of queues.
LIMITS = r"^(max_queued_messages|max_queued_bytes|max_inflight_messages) .*$"
#: May log in, and has no block in the access list.
STRANGER = "gateway"


@pytest.fixture
def shipped(tmp_path: Path) -> Iterator[Mosquitto]:
    """Running, as shipped."""
    server = Mosquitto(tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def defaults(tmp_path: Path) -> Iterator[Mosquitto]:
    """Running, with mosquitto's own limits; a stranger may log in."""
    server = Mosquitto(tmp_path)
    _change(tmp_path / "mosquitto.conf", LIMITS, "", count=3)
    _change(tmp_path / "mosquitto.acl", rf"^user {STRANGER}\n(?:topic .*\n)*", "", count=1)
    server.start()
    yield server
    server.stop()


def _change(file: Path, pattern: str, by: str, *, count: int) -> None:
    text, found = re.subn(pattern, by, file.read_text(), flags=re.MULTILINE)
    assert found == count
    file.write_text(text)


def client(broker: Mosquitto, user: str, *subscriptions: str) -> MqttTransport:
    """One of its users, with a session that lasts."""
    return MqttTransport(
        MqttOptions(
            host="127.0.0.1",
            port=broker.port,
            client_id=user,
            username=user,
            password=PASSWORDS[user],
            subscriptions=subscriptions,
            receive_maximum=1024,
        )
    )


async def sent_behind_junk(broker: Mosquitto, *, junk_of: str) -> list[bytes]:
    """What a node that was away hears when it is back: junk of one user's, then a message that was acknowledged to its
    sender, then one that was sent once the node was there.
    """
    async with running(client(broker, "node-1", TOPIC)):
        pass
    desk = client(broker, "desk")
    async with running(desk):
        async with flood(broker.port, junk_of) as flooding:
            for _ in range(JUNK):
                flooding.write(TOPIC, b"junk")
            await until(lambda: flooding.answered == JUNK)
        await desk.publish(TOPIC, b"good")  # returns with the broker's PUBACK, which is a success
        node = client(broker, "node-1", TOPIC)
        heard: list[bytes] = []
        async with running(node):
            await desk.publish(TOPIC, b"end")
            while not heard or heard[-1] != b"end":
                (delivery,) = await receive(node)
                heard.append(delivery.payload)
                await delivery.acknowledge()
    return heard


async def test_the_defaults_drop_the_good_message_and_acknowledge_it(defaults: Mosquitto) -> None:
    """Its sender is told of success: the reason why senders repeat until a node has answered."""
    heard = await sent_behind_junk(defaults, junk_of="desk")
    assert heard.count(b"junk") < JUNK
    assert b"good" not in heard


async def test_the_shipped_limits_keep_it(shipped: Mosquitto) -> None:
    """Behind all of the junk."""
    assert await sent_behind_junk(shipped, junk_of="desk") == [b"junk"] * JUNK + [b"good", b"end"]


async def test_who_may_not_command_fills_no_queue(defaults: Mosquitto) -> None:
    """A user without a block in the access list is refused, and takes no room even of the small default queue."""
    stranger = client(defaults, STRANGER)
    async with running(stranger):
        with pytest.raises(TransportRefused, match="Not authorized"):
            await within(stranger.publish(TOPIC, b"junk"))
    assert await sent_behind_junk(defaults, junk_of=STRANGER) == [b"good", b"end"]
