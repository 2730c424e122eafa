"""The node's whole inbox and outbox against a broker that misbehaves: every command once, every event, the right lock.

Mosquitto runs what can be done to it from outside. It cannot be made to deliver twice or out of order within a
connection, to lose acknowledgements, or to lie about a session: those are the embedded broker's alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from node.domain.command import Action
from node.sim.broker import Broker
from node.transport.memory import MemoryBroker, MemoryTransport
from node.transport.sender import Sender
from tests.support.broker import SocketsUnderTest, embedded_under_test, mosquitto_under_test, within
from tests.support.broker_site import TOPICS, BrokerSite, broker_site
from tests.support.mosquitto import PASSWORDS, Mosquitto
from tests.support.virtual_time import VirtualClock, in_virtual_time
from tests.support.waiting import until

NODE, DESK, HEARER = "node", "desk", "hearer"
#: LOCK and UNLOCK so many times while it lasts.
PAIRS = 3


@dataclass(frozen=True, slots=True)
class World:
    """A site, and the broker in its middle."""

    site: BrokerSite
    broker: SocketsUnderTest
    connections: Callable[[str], int]
    connected: Callable[[str], bool]
    embedded: Broker | None

    async def back(self, client_id: str, *, after: int) -> None:
        """Until a client has connected once more."""
        await until(lambda: self.connections(client_id) > after and self.connected(client_id))

    @property
    def faults(self) -> Broker:
        """The embedded one."""
        assert self.embedded is not None
        return self.embedded


@asynccontextmanager
async def world(broker: SocketsUnderTest, folder: Path, embedded: Broker | None = None) -> AsyncIterator[World]:
    """Everybody connected; time-outs as short as a test wants them."""
    response_topic = Sender.new_response_topic(TOPICS, "desk")
    terms: dict[str, Any] = {"keepalive_s": 1, "publish_timeout_s": 0.3, "connect_timeout_s": 1.0}
    node = await broker.transport("node-1", NODE, TOPICS.every_command, **terms)
    desk = await broker.transport("desk", DESK, f"{response_topic}", **terms)
    hearer = await broker.transport("desk", HEARER, TOPICS.every_event, TOPICS.every_lock, **terms)
    clients = {NODE: node, DESK: desk, HEARER: hearer}
    async with broker_site(node, desk, hearer, response_topic=response_topic, folder=folder) as site:
        for client in clients.values():
            await within(client.wait_connected())
        yield World(
            site=site,
            broker=broker,
            connections=lambda client_id: clients[client_id].connections,
            connected=lambda client_id: clients[client_id].connected,
            embedded=embedded,
        )


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repetitions at the pace of a test."""
    monkeypatch.setattr("node.transport.sender.REPEAT_EVERY_S", 0.1)
    monkeypatch.setattr("node.transport.sender.ASK_EVERY_S", 0.2)
    monkeypatch.setattr("node.engine.outbox.RETRY_S", 0.05)
    monkeypatch.setattr("node.engine.lock_mirror.RETRY_S", 0.05)
    monkeypatch.setattr("node.engine.lock_mirror.REFRESH_S", 0.5)


@asynccontextmanager
async def embedded_world(folder: Path) -> AsyncIterator[World]:
    """With the broker of ``node.sim``."""
    broker = Broker(credentials=PASSWORDS)
    await broker.start()
    under_test = embedded_under_test(broker)
    async with world(under_test, folder, broker) as made:
        yield made
    await under_test.close()


@asynccontextmanager
async def mosquitto_world(folder: Path) -> AsyncIterator[World]:
    """With a real one."""
    (folder / "broker").mkdir()
    under_test = mosquitto_under_test(Mosquitto(folder / "broker"))
    await under_test.start()
    try:
        async with world(under_test, folder) as made:
            yield made
    finally:
        await under_test.close()


@pytest.fixture
async def embedded(tmp_path: Path) -> AsyncIterator[World]:
    """What only this one can do wrong."""
    async with embedded_world(tmp_path) as made:
        yield made


@pytest.fixture(params=[embedded_world, mosquitto_world], ids=["embedded", "mosquitto"])
async def either(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    """The one or the other."""
    async with request.param(tmp_path) as made:
        yield made


Misbehaviour = Callable[[World], Awaitable[None]]


async def holds(made: World, misbehave: Misbehaviour, *, all_heard: bool = True, in_order: bool = True) -> None:
    """Commands before, during and after; then what must be true of them.

    ``all_heard``: whether whoever listens hears every event; a broker that forgot may have had nobody to tell.
    """
    site = made.site
    await within(site.lock_and_unlock())

    async def commands() -> None:
        for _ in range(PAIRS):
            await site.lock_and_unlock()
        await site.send(Action.LOCK)

    during = asyncio.create_task(commands(), name="commands")
    await misbehave(made)
    await within(during)

    # Every command once, none undone by a copy of an older one: the lock went through these states and no others.
    count = PAIRS + 1
    assert [(lock.locked, lock.epoch) for lock in site.node.locks] == [
        (locked, 2 * pair + 1 + (not locked)) for pair in range(count + 1) for locked in (True, False)
    ][:-1]
    assert [ending["state"] for ending in site.endings.values()] == ["done"] * (2 * count + 1)

    # Every event at least once.
    async def nothing_waits() -> bool:
        return not await site.node.journal.pending(1)

    await within(_until(nothing_waits))
    told = [event for each in site.endings for event in await site.node.journal.events(each)]
    wanted = sorted(int(event["seq"]) for event in told)
    if all_heard:
        await until(lambda: {int(event["seq"]) for event in site.heard} == set(wanted))
    first_heard = list(dict.fromkeys(int(event["seq"]) for event in site.heard))
    assert set(first_heard) <= set(wanted)
    if in_order:
        assert first_heard == sorted(first_heard)
    assert all(event in told for event in site.heard)  # and each as it was written

    # The broker's word of the lock comes to be the node's.
    await until(lambda: (site.told_lock["locked"], site.told_lock["epoch"]) == (True, 2 * count + 1))


async def _until(true: Callable[[], Awaitable[bool]]) -> None:
    while not await true():  # noqa: ASYNC110 - the journal tells nobody
        await asyncio.sleep(0.01)


class TestGone:
    async def test_stopped_and_started(self, either: World) -> None:
        """It kept its sessions."""

        async def restart(made: World) -> None:
            before = made.connections(NODE)
            await made.broker.stop()
            await until(lambda: not made.connected(NODE))
            await made.broker.start()
            await made.back(NODE, after=before)

        await holds(either, restart)

    async def test_killed_and_started_with_what_was_on_its_disk(self, either: World) -> None:
        """Of mosquitto that is what it had two seconds before, or nothing."""

        async def kill(made: World) -> None:
            await made.broker.kill()
            await until(lambda: not made.connected(NODE))
            await made.broker.start()

        await holds(either, kill, all_heard=either.embedded is not None)

    async def test_killed_and_started_with_nothing(self, either: World) -> None:
        """Neither sessions nor retained locks: subscribed anew, told anew, asked anew."""

        async def kill(made: World) -> None:
            before = {client: made.connections(client) for client in (NODE, DESK, HEARER)}
            await made.broker.kill()
            await until(lambda: not any(map(made.connected, before)))
            await made.broker.forget()
            made.site.told_lock = {}
            await made.broker.start()
            for client, connections in before.items():
                await made.back(client, after=connections)

        await holds(either, kill, all_heard=False)

    def test_for_a_minute(self, tmp_path: Path) -> None:
        """In virtual time, at the twin without sockets: what the operator commands meanwhile is carried out and told
        afterwards, in order; what was sent over the broker is carried out when it is back, once.
        """

        async def minute(_clock: VirtualClock) -> None:
            broker, response_topic = MemoryBroker(), Sender.new_response_topic(TOPICS, "desk")
            node = MemoryTransport(broker, NODE, TOPICS.every_command)
            desk = MemoryTransport(broker, DESK, response_topic)
            hearer = MemoryTransport(broker, HEARER, TOPICS.every_event, TOPICS.every_lock)
            async with broker_site(node, desk, hearer, response_topic=response_topic, folder=tmp_path) as site:
                assert (await site.send(Action.LOCK))["lock"] == {"locked": True, "epoch": 1}
                broker.stop()
                sending = asyncio.create_task(site.send(Action.LOCK, lifetime=timedelta(minutes=2)), name="sending")
                for _ in range(6):
                    await asyncio.sleep(10)
                    assert (await site.node.carried_out(Action.LOCK))["state"] == "done"
                assert [lock.epoch for lock in site.node.locks] == [1, 2, 3, 4, 5, 6, 7]
                assert not sending.done()
                broker.start()
                assert (await sending)["lock"] == {"locked": True, "epoch": 8}
                await until(lambda: {event["seq"] for event in site.heard} == set(range(1, 17)))
                assert [event["seq"] for event in site.heard] == list(range(1, 17))
                await until(lambda: site.told_lock["epoch"] == 8)
                assert [lock.epoch for lock in site.node.locks] == [1, 2, 3, 4, 5, 6, 7, 8]

        in_virtual_time(minute)


class TestBetween:
    @pytest.mark.parametrize("client", [NODE, DESK])
    async def test_a_network_that_swallows_everything_and_says_nothing(self, either: World, client: str) -> None:
        """Both ways, without an end of the connection: noticed by keep-alive, healed by itself."""

        async def partition(made: World) -> None:
            before, relay = made.connections(client), made.broker.relay(client)
            relay.swallowing = True
            await until(lambda: not made.connected(client))
            relay.swallowing = False
            await made.back(client, after=before)

        await holds(either, partition)

    async def test_a_slow_network(self, either: World) -> None:
        """Every byte late, in both directions."""

        async def slow(made: World) -> None:
            for client in (NODE, DESK, HEARER):
                made.broker.relay(client).delay_s = 0.04

        await holds(either, slow)

    async def test_a_connection_that_is_cut_again_and_again(self, either: World) -> None:
        """In the middle of whatever is on its way."""

        async def cut(made: World) -> None:
            for _ in range(5):
                before = made.connections(NODE)
                made.broker.cut(NODE)
                await made.back(NODE, after=before)

        await holds(either, cut)


class TestWrong:
    async def test_everything_twice(self, embedded: World) -> None:
        """To the node, to the sender, to whoever listens."""

        async def twice(made: World) -> None:
            for client in (NODE, DESK, HEARER):
                made.faults.faults.duplicate_next(client, 1000)

        await holds(embedded, twice)
        assert len(embedded.site.heard) > len({event["seq"] for event in embedded.site.heard})

    async def test_out_of_order(self, embedded: World) -> None:
        """Every second message after the one that follows it: whoever reads events goes by their numbers."""

        async def swap(made: World) -> None:
            for _ in range(20):
                for client in (NODE, DESK, HEARER):
                    made.faults.faults.delay_next(client)
                await asyncio.sleep(0.05)

        await holds(embedded, swap, in_order=False)

    async def test_acknowledgements_to_the_node_are_lost(self, embedded: World) -> None:
        """It tells the same again: at least once."""

        async def lose(made: World) -> None:
            made.faults.faults.drop_acks_to(NODE, 8)

        await holds(embedded, lose)

    async def test_the_nodes_acknowledgements_are_lost(self, embedded: World) -> None:
        """The commands come again, and act no second time."""

        async def lose(made: World) -> None:
            made.faults.faults.drop_acks_from(NODE, 4)
            await until(lambda: made.faults.session(NODE).unacknowledged == 4)
            before = made.connections(NODE)
            made.broker.cut(NODE)
            await made.back(NODE, after=before)

        await holds(embedded, lose)

    @pytest.mark.parametrize("lost", [True, False], ids=["lost, and called present", "present, and called lost"])
    async def test_a_lie_about_the_session(self, embedded: World, lost: bool) -> None:
        """Subscribed anew whatever it says; what it lost is sent again, what it kept is known by its id."""

        async def lie(made: World) -> None:
            for client in (NODE, DESK):
                if lost:
                    made.faults.faults.forget_session(client)
                made.faults.faults.lie_about_session(client)
                before = made.connections(client)
                made.broker.cut(client)
                await made.back(client, after=before)

        await holds(embedded, lie)
