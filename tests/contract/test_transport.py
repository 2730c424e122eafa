"""One contract for every message transport: in memory, on the embedded broker, on mosquitto."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from node.errors import TransportUnavailable
from node.sim.broker import Broker
from node.transport.mqtt_options import Will
from node.transport.topics import Topics
from tests.support.broker import (
    BrokerUnderTest,
    MemoryUnderTest,
    Transport,
    embedded_under_test,
    mosquitto_under_test,
    receive,
    running,
    within,
)
from tests.support.mosquitto import PASSWORDS, Mosquitto
from tests.support.waiting import until

TOPICS = Topics("acme")


@pytest.fixture(scope="module")
def mosquitto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """One process for the module: clients and accounts are fresh in each test."""
    server = Mosquitto(Path(tmp_path_factory.mktemp("mosquitto")))
    yield server
    server.stop()


@pytest.fixture(params=["memory", "embedded", "mosquitto"])
async def broker(request: pytest.FixtureRequest) -> AsyncIterator[BrokerUnderTest]:
    """Each of the three, serving."""
    under_test: BrokerUnderTest
    if request.param == "memory":
        under_test = MemoryUnderTest()
    elif request.param == "embedded":
        embedded = Broker(credentials=PASSWORDS)
        await embedded.start()
        await embedded.stop()
        under_test = embedded_under_test(embedded)
    else:
        under_test = mosquitto_under_test(request.getfixturevalue("mosquitto"))
    await under_test.start()
    yield under_test
    await under_test.close()


@pytest.fixture
def account() -> str:
    """The command topic of an account that no other test has."""
    return TOPICS.command(uuid4())


def fresh(name: str) -> str:
    """A client id that no other test has."""
    return f"{name}-{uuid4()}"


def payloads(count: int, first: int = 0) -> list[bytes]:
    """Distinct ones, in order."""
    return [f"message {number}".encode() for number in range(first, first + count)]


async def test_messages_arrive_in_order_with_what_was_sent(broker: BrokerUnderTest, account: str) -> None:
    """Topic, payload, response topic, correlation data; stamped on the way in."""
    node = await broker.transport("node-1", fresh("node"), account)
    desk = await broker.transport("desk", fresh("desk"))
    async with running(node, desk):
        before = time.monotonic_ns()
        for payload in payloads(10):
            await desk.publish(account, payload, response_topic="sn/v1/acme/rsp/desk", correlation_data=b"\x00\xff")
        deliveries = await receive(node, 10)
    assert [delivery.payload for delivery in deliveries] == payloads(10)
    first = deliveries[0]
    assert (first.topic, first.response_topic, first.correlation_data, first.retained) == (
        account,
        "sn/v1/acme/rsp/desk",
        b"\x00\xff",
        False,
    )
    stamps = [delivery.received_ns for delivery in deliveries]
    assert before < stamps[0]
    assert stamps == sorted(stamps)
    assert stamps[-1] < time.monotonic_ns()


async def test_a_message_without_extras_has_none(broker: BrokerUnderTest, account: str) -> None:
    """No response topic is None, not empty."""
    node = await broker.transport("node-1", fresh("node"), account)
    desk = await broker.transport("desk", fresh("desk"))
    async with running(node, desk):
        await desk.publish(account, b"x")
        (delivery,) = await receive(node)
    assert (delivery.response_topic, delivery.correlation_data) == (None, None)


async def test_what_was_not_acknowledged_comes_again_and_nothing_else(broker: BrokerUnderTest, account: str) -> None:
    """After a cut, in the old order; what was acknowledged never."""
    client_id = fresh("node")
    node = await broker.transport("node-1", client_id, account)
    desk = await broker.transport("desk", fresh("desk"))
    async with running(node, desk):
        for payload in payloads(4):
            await desk.publish(account, payload)
        first, second, *_ = await receive(node, 4)
        await first.acknowledge()
        await second.acknowledge()
        await reconnected(broker, node, client_id)
        again = await receive(node, 2)
        assert [delivery.payload for delivery in again] == payloads(2, first=2)
        for delivery in again:
            await delivery.acknowledge()
        await reconnected(broker, node, client_id)
        await desk.publish(account, b"marker")
        (marker,) = await receive(node)
        assert marker.payload == b"marker"


async def test_what_was_never_read_comes_once_after_a_cut(broker: BrokerUnderTest, account: str) -> None:
    """Messages still waiting for their reader are not delivered both as old and as new."""
    client_id = fresh("node")
    node = await broker.transport("node-1", client_id, account)
    desk = await broker.transport("desk", fresh("desk"))
    async with running(node, desk):
        for payload in payloads(3):
            await desk.publish(account, payload)
        await desk.publish(account, b"marker")
        await reconnected(broker, node, client_id)
        deliveries = await receive(node, 4)
        assert [delivery.payload for delivery in deliveries] == [*payloads(3), b"marker"]
        for delivery in deliveries:
            await delivery.acknowledge()
        await desk.publish(account, b"end")
        assert (await receive(node))[0].payload == b"end"


async def test_an_acknowledgement_of_an_earlier_connection_has_no_effect(broker: BrokerUnderTest, account: str) -> None:
    """Packet ids begin anew: a stale one must not acknowledge another message."""
    client_id = fresh("node")
    node = await broker.transport("node-1", client_id, account)
    desk = await broker.transport("desk", fresh("desk"))
    async with running(node, desk):
        await desk.publish(account, b"first")
        (stale,) = await receive(node)
        await reconnected(broker, node, client_id)
        await receive(node)
        await stale.acknowledge()
        await reconnected(broker, node, client_id)
        (again,) = await receive(node)
        assert again.payload == b"first"
        await again.acknowledge()


async def test_acknowledging_twice_acknowledges_once(broker: BrokerUnderTest, account: str) -> None:
    """A second call must not release another message."""
    client_id = fresh("node")
    node = await broker.transport("node-1", client_id, account)
    desk = await broker.transport("desk", fresh("desk"))
    async with running(node, desk):
        for payload in payloads(2):
            await desk.publish(account, payload)
        first, _ = await receive(node, 2)
        await first.acknowledge()
        await first.acknowledge()
        await reconnected(broker, node, client_id)
        assert (await receive(node))[0].payload == payloads(2)[1]


async def test_a_stored_message_shows_that_it_is_stored(broker: BrokerUnderTest, account: str) -> None:
    """Retained, both when it waits for a subscriber and when it is published to one."""
    desk = await broker.transport("desk", fresh("desk"))
    node = await broker.transport("node-1", fresh("node"), account)
    async with running(desk):
        await desk.publish(account, b"stored", retain=True)
        async with running(node):
            (stored,) = await receive(node)
            assert (stored.payload, stored.retained) == (b"stored", True)
            await stored.acknowledge()
            await desk.publish(account, b"live", retain=True)
            (live,) = await receive(node)
            assert (live.payload, live.retained) == (b"live", True)
            await live.acknowledge()
            await desk.publish(account, b"", retain=True)


async def test_a_stored_message_does_not_come_again_with_every_reconnect(broker: BrokerUnderTest, account: str) -> None:
    """A refused retained command must not be refused for ever."""
    desk = await broker.transport("desk", fresh("desk"))
    client_id = fresh("node")
    node = await broker.transport("node-1", client_id, account)
    async with running(desk, node):
        await desk.publish(account, b"stored", retain=True)
        await (await receive(node))[0].acknowledge()
        await reconnected(broker, node, client_id)
        await desk.publish(account, b"marker")
        assert (await receive(node))[0].payload == b"marker"
        await desk.publish(account, b"", retain=True)


async def test_a_will_speaks_when_the_connection_is_cut_but_not_at_a_goodbye(broker: BrokerUnderTest) -> None:
    """The last word of a node that died; a node that stops speaks for itself."""
    topic = TOPICS.lock(uuid4())
    watcher = await broker.transport("desk", fresh("desk"), topic)
    client_id = fresh("node")
    node = await broker.transport("node-1", client_id, will=Will(topic=topic, payload=b"offline", delay_s=0))
    async with running(watcher):
        async with running(node):
            await node.publish(topic, b"online", retain=True)
            assert (await receive(watcher))[0].payload == b"online"
            broker.cut(client_id)
            (will,) = await receive(watcher)
            assert (will.payload, will.retained) == (b"offline", True)
            await until(lambda: node.reconnects == 1 and node.connected)
        async with running(node):
            await node.publish(topic, b"", retain=True)
            assert (await receive(watcher))[0].payload == b""


async def test_the_receive_maximum_holds_the_broker_back(broker: BrokerUnderTest, account: str) -> None:
    """No more than that many messages are out without an acknowledgement; the rest follows."""
    node = await broker.transport("node-1", fresh("node"), account, receive_maximum=4)
    desk = await broker.transport("desk", fresh("desk"))
    async with running(node, desk):
        for payload in payloads(12):
            await desk.publish(account, payload)
        held = await receive(node, 4)
        await node.publish(TOPICS.status("node-1"), b"fence")
        assert waiting(node) == 0
        for delivery in held:
            await delivery.acknowledge()
        rest = []
        for _ in range(8):
            (delivery,) = await receive(node)
            await delivery.acknowledge()
            rest.append(delivery.payload)
    assert [delivery.payload for delivery in held] + rest == payloads(12)


async def test_messages_sent_while_away_are_kept(broker: BrokerUnderTest, account: str) -> None:
    """A node that was stopped hears on its return what it missed, also in a new process."""
    client_id = fresh("node")
    desk = await broker.transport("desk", fresh("desk"))
    async with running(desk):
        async with running(await broker.transport("node-1", client_id, account)):
            pass
        for payload in payloads(3):
            await desk.publish(account, payload)
        reborn = await broker.transport("node-1", client_id, account)
        async with running(reborn):
            assert [delivery.payload for delivery in await receive(reborn, 3)] == payloads(3)


async def test_an_expired_message_is_not_delivered(broker: BrokerUnderTest, account: str) -> None:
    """The broker drops what its sender wanted only for a while."""
    client_id = fresh("node")
    desk = await broker.transport("desk", fresh("desk"))
    async with running(desk):
        async with running(await broker.transport("node-1", client_id, account)):
            pass
        await desk.publish(account, b"late", expiry_s=1)
        await desk.publish(account, b"lasting", expiry_s=60)
        expired_at = time.monotonic() + 1.05 + broker.expiry_granularity_s
        await until(lambda: time.monotonic() > expired_at)
        reborn = await broker.transport("node-1", client_id, account)
        async with running(reborn):
            assert (await receive(reborn))[0].payload == b"lasting"


async def test_a_session_outlives_a_restart_of_the_broker(broker: BrokerUnderTest, account: str) -> None:
    """The transport comes back by itself, subscribed, and what was unacknowledged comes again."""
    node = await broker.transport("node-1", fresh("node"), account)
    desk = await broker.transport("desk", fresh("desk"))
    async with running(node, desk):
        await desk.publish(account, b"before")
        await receive(node)
        await broker.stop()
        await until(lambda: not node.connected and not desk.connected)
        await broker.start()
        await within(node.wait_connected())
        await within(desk.wait_connected())
        assert (await receive(node))[0].payload == b"before"
        await desk.publish(account, b"after")
        assert (await receive(node))[0].payload == b"after"
        assert node.reconnects == 1


async def test_publishing_while_away_says_so(broker: BrokerUnderTest, account: str) -> None:
    """At once, and never into a buffer that a crash would lose."""
    desk = await broker.transport("desk", fresh("desk"))
    with pytest.raises(TransportUnavailable):
        await desk.publish(account, b"never connected")
    async with running(desk):
        await broker.stop()
        await until(lambda: not desk.connected)
        with pytest.raises(TransportUnavailable):
            await desk.publish(account, b"gone")
        await broker.start()
        await within(desk.wait_connected())
        await desk.publish(account, b"back")


async def test_many_publish_at_once(broker: BrokerUnderTest, account: str) -> None:
    """A burst beyond the in-flight window of the broker is acknowledged all the same."""
    node = await broker.transport("node-1", fresh("node"), account)
    desk = await broker.transport("desk", fresh("desk"))
    async with running(node, desk):
        async with asyncio.TaskGroup() as group:
            for payload in payloads(60):
                group.create_task(desk.publish(account, payload), name="burst")
        arrived = [delivery.payload for delivery in await receive(node, 60)]
    assert arrived == payloads(60)


async def reconnected(broker: BrokerUnderTest, node: Transport, client_id: str) -> None:
    """Cut the client, once its acknowledgements are surely through, and wait until it is back."""
    await node.publish(TOPICS.status("node-1"), b"fence")
    before = node.connections
    broker.cut(client_id)
    await until(lambda: node.connections == before + 1 and node.connected)


def waiting(transport: Transport) -> int:
    """Deliveries that arrived and were not read."""
    return len(transport.deliveries())
