"""TCP_NODELAY on both ends: without it a command waits 40 ms for a delayed acknowledgement."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import os
import socket
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from node.sim.broker import Broker
from node.transport.mqtt import MqttTransport
from node.transport.mqtt_options import MqttOptions
from node.transport.topics import Topics
from tests.support.broker import receive, running, sockets_of_this_process
from tests.support.mosquitto import PASSWORDS, Mosquitto

TOPICS = Topics("acme")
_PIDFD_GETFD = 438  # the same number on every architecture


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """A process of its own, running."""
    server = Mosquitto(tmp_path)
    server.start()
    yield server
    server.stop()


def client_of(port: int, user: str, *subscriptions: str) -> MqttTransport:
    """Straight to the broker."""
    return MqttTransport(
        MqttOptions(
            host="127.0.0.1",
            port=port,
            client_id=f"{user}-{uuid4()}",
            subscriptions=subscriptions,
            username=user,
            password=PASSWORDS[user],
            session_expiry_s=0,
        )
    )


def nodelay(sockets: list[socket.socket], *, local_port: int = 0, remote_port: int = 0) -> list[bool]:
    """TCP_NODELAY of the established connections from or to a port."""
    found = []
    for end in sockets:
        with end, contextlib.suppress(OSError):
            if local_port in (0, end.getsockname()[1]) and remote_port in (0, end.getpeername()[1]):
                found.append(bool(end.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)))
    return found


def sockets_of(pid: int) -> list[socket.socket]:
    """Duplicates of a child's TCP sockets (pidfd_getfd, Linux 5.6)."""
    libc = ctypes.CDLL(None, use_errno=True)
    process = os.pidfd_open(pid)
    found = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            if not str(entry.readlink()).startswith("socket:"):
                continue
        except FileNotFoundError:
            continue  # a file that it has closed meanwhile
        duplicate = libc.syscall(_PIDFD_GETFD, process, int(entry.name), 0)
        if duplicate < 0 and ctypes.get_errno() == errno.EBADF:
            continue
        if duplicate < 0:
            pytest.skip(f"pidfd_getfd is not allowed here: {os.strerror(ctypes.get_errno())}")
        found.append(socket.socket(fileno=duplicate))
    os.close(process)
    return found


async def test_both_ends_of_the_embedded_brokers_connections_have_nodelay() -> None:
    """Both are sockets of this process: two ends, four sockets for two clients."""
    async with Broker(credentials=PASSWORDS) as broker:
        node, desk = client_of(broker.port, "node-1"), client_of(broker.port, "desk")
        async with running(node, desk):
            assert nodelay(sockets_of_this_process(), remote_port=broker.port) == [True, True]
            assert nodelay(sockets_of_this_process(), local_port=broker.port) == [True, True]


async def test_both_ends_of_mosquittos_connections_have_nodelay(mosquitto: Mosquitto) -> None:
    """As shipped in config/mosquitto.conf, seen in the broker's own process."""
    async with running(client_of(mosquitto.port, "node-1"), client_of(mosquitto.port, "desk")):
        assert nodelay(sockets_of_this_process(), remote_port=mosquitto.port) == [True, True]
        assert nodelay(sockets_of(mosquitto.pid), local_port=mosquitto.port) == [True, True]


async def test_a_command_and_its_result_take_no_forty_milliseconds(mosquitto: Mosquitto) -> None:
    """The pattern that stalls without TCP_NODELAY: command, acknowledgement, result, one after the other."""
    account = uuid4()
    command, answer = TOPICS.command(account), TOPICS.response("desk")
    node = client_of(mosquitto.port, "node-1", command)
    desk = client_of(mosquitto.port, "desk", answer)

    async def answering() -> None:
        async for delivery in node.deliveries():
            await delivery.acknowledge()
            await node.publish(answer, b"result")

    async with running(node, desk):
        answers = asyncio.create_task(answering(), name="answering")
        round_trips_ms = []
        for _ in range(40):
            began = time.perf_counter()
            await desk.publish(command, b"command" * 50)
            await (await receive(desk))[0].acknowledge()
            round_trips_ms.append((time.perf_counter() - began) * 1000)
        answers.cancel()
    assert statistics.quantiles(round_trips_ms)[0] < 20  # a quarter of them: the machine may be busy, a stall is not
