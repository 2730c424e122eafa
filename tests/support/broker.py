"""Three brokers behind one face, for the contract suite; and clients to poke them with."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, ClassVar, Protocol, cast

import mqtt5

from node.engine.ports import Delivery
from node.sim.broker import Broker
from node.transport.memory import MemoryBroker, MemoryTransport
from node.transport.mqtt import MqttTransport
from node.transport.mqtt_options import MqttOptions, Will
from tests.support.mosquitto import PASSWORDS, Mosquitto
from tests.support.waiting import PATIENCE_S

Transport = MqttTransport | MemoryTransport


class BrokerUnderTest(Protocol):
    """A broker that can be stopped, and whose clients can be cut off."""

    #: How late it may drop an expired message.
    expiry_granularity_s: float

    async def transport(
        self,
        user: str,
        client_id: str,
        *subscriptions: str,
        will: Will | None = None,
        receive_maximum: int = 64,
    ) -> Transport:
        """A client of it, not yet running."""

    def cut(self, client_id: str) -> None:
        """Break the client's connection without a word."""

    async def stop(self) -> None:
        """Stop serving; sessions are kept."""

    async def start(self) -> None:
        """Serve again."""

    async def close(self) -> None:
        """The end of the test."""


class MemoryUnderTest:
    """The twin without sockets."""

    expiry_granularity_s = 0.0

    def __init__(self) -> None:
        self._broker = MemoryBroker()

    async def transport(
        self,
        user: str,
        client_id: str,
        *subscriptions: str,
        will: Will | None = None,
        receive_maximum: int = 64,
    ) -> Transport:
        """A client of it, not yet running."""
        return MemoryTransport(self._broker, client_id, *subscriptions, will=will, receive_maximum=receive_maximum)

    def cut(self, client_id: str) -> None:
        """Break the client's connection without a word."""
        self._broker.cut(client_id)

    async def stop(self) -> None:
        """Stop serving; sessions are kept."""
        self._broker.stop()

    async def start(self) -> None:
        """Serve again."""
        self._broker.start()

    async def close(self) -> None:
        """Nothing is left behind."""


class SocketsUnderTest:
    """A broker on a port; each client reaches it through a relay that can be cut."""

    def __init__(
        self,
        port: int,
        start: Callable[[], Any],
        stop: Callable[[], Any],
        *,
        kill: Callable[[], Any],
        forget: Callable[[], Any],
        expiry_granularity_s: float = 0.0,
    ) -> None:
        self.expiry_granularity_s = expiry_granularity_s
        self.port = port
        self._start = start
        self._stop = stop
        self._kill = kill
        self._forget = forget
        self._relays: dict[str, Relay] = {}

    async def transport(
        self,
        user: str,
        client_id: str,
        *subscriptions: str,
        will: Will | None = None,
        receive_maximum: int = 64,
        **options: Any,
    ) -> MqttTransport:
        """A client of it, not yet running."""
        relay = self._relays.get(client_id)
        if relay is None:
            relay = self._relays[client_id] = Relay(self.port)
            await relay.start()
        terms = MqttOptions(
            host="127.0.0.1",
            port=relay.port,
            client_id=client_id,
            subscriptions=subscriptions,
            username=user,
            password=PASSWORDS[user],
            will=will,
            receive_maximum=receive_maximum,
            session_expiry_s=600,
            **options,
        )
        return MqttTransport(terms, jitter=lambda: 0.1)

    def relay(self, client_id: str) -> Relay:
        """What is between a client and the broker."""
        return self._relays[client_id]

    def cut(self, client_id: str) -> None:
        """Break the client's connection without a word."""
        self._relays[client_id].cut()

    async def stop(self) -> None:
        """Stop serving; sessions are kept."""
        await _settled(self._stop())

    async def start(self) -> None:
        """Serve again."""
        await _settled(self._start())

    async def kill(self) -> None:
        """End without a word to anybody; what is on the disk is kept."""
        await _settled(self._kill())

    async def forget(self) -> None:
        """While it does not serve: lose everything that was kept."""
        await _settled(self._forget())

    async def close(self) -> None:
        """Stop the broker and the relays."""
        await self.stop()
        for relay in self._relays.values():
            await relay.close()


def embedded_under_test(broker: Broker) -> SocketsUnderTest:
    """The broker of ``node.sim``; passwords are those of mosquitto."""

    async def kill() -> None:
        for relayed in under_test._relays.values():
            relayed.cut()
        await broker.stop()

    under_test = SocketsUnderTest(broker.port, broker.start, broker.stop, kill=kill, forget=broker.forget)
    return under_test


def mosquitto_under_test(mosquitto: Mosquitto) -> SocketsUnderTest:
    """A real one; it counts whole seconds."""
    return SocketsUnderTest(
        mosquitto.port,
        mosquitto.start,
        mosquitto.stop,
        kill=lambda: mosquitto.stop(signal.SIGKILL),
        forget=mosquitto.forget,
        expiry_granularity_s=1.05,
    )


async def _settled(result: Any) -> None:
    if result is not None:
        await result


class Relay:
    """Copies bytes between a client and a broker until it is cut."""

    def __init__(self, target_port: int) -> None:
        self.port = 0
        self._target_port = target_port
        self._server: asyncio.Server | None = None
        self._ends: set[asyncio.Transport] = set()
        #: While set, bytes go nowhere, in either direction, and nobody is told.
        self.swallowing = False
        #: How much later each byte arrives.
        self.delay_s = 0.0

    async def start(self) -> None:
        """Listen on a free port."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _RelayEnd(self), "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        """Reset every connection."""
        for end in list(self._ends):
            end.abort()

    async def close(self) -> None:
        """Reset and stop listening."""
        if self._server is not None:
            self._server.close()
        self.cut()
        await asyncio.sleep(0)


class _RelayEnd(asyncio.Protocol):
    """One side of a relayed connection; the accepted one opens the other."""

    def __init__(self, relay: Relay, peer: _RelayEnd | None = None) -> None:
        self._relay = relay
        self._peer = peer
        self._early = bytearray()
        self._opening: asyncio.Task[None] | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._relay._ends.add(self.transport)
        if self._peer is None:
            self._opening = asyncio.create_task(self._open(), name="relay-open")

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, peer = await loop.create_connection(
                lambda: _RelayEnd(self._relay, self), "127.0.0.1", self._relay._target_port
            )
        except OSError:
            assert self.transport is not None
            self.transport.abort()
            return
        self._peer = peer
        if self.transport is None or self.transport.is_closing():
            assert peer.transport is not None
            peer.transport.abort()
        elif self._early:
            self.data_received(b"")

    def data_received(self, data: bytes) -> None:
        if self._peer is None or self._peer.transport is None:
            self._early += data
            return
        passed, peer = bytes(self._early) + data, self._peer.transport
        self._early.clear()
        if self._relay.swallowing:
            return
        if self._relay.delay_s:
            asyncio.get_running_loop().call_later(self._relay.delay_s, peer.write, passed)
        else:
            peer.write(passed)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.transport is not None:
            self._relay._ends.discard(self.transport)
        if self._peer is not None and self._peer.transport is not None:
            self._peer.transport.close()


@contextlib.asynccontextmanager
async def running(*transports: Transport) -> AsyncIterator[None]:
    """Run transports, connected, for the length of a block."""
    tasks = [asyncio.create_task(transport.run(), name="transport") for transport in transports]
    try:
        for transport in transports:
            await within(transport.wait_connected())
        yield
    finally:
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(result, asyncio.CancelledError), result


async def within(awaitable: Any) -> Any:
    """The result, or a failure after the deadline."""
    async with asyncio.timeout(PATIENCE_S):
        return await awaitable


async def receive(transport: Transport, count: int = 1) -> list[Delivery]:
    """The next deliveries."""
    deliveries = transport.deliveries()
    return [await within(anext(deliveries)) for _ in range(count)]


def sockets_of_this_process() -> list[socket.socket]:
    """Duplicates of every TCP socket that this process has open; the caller closes them."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            duplicate = socket.socket(fileno=os.dup(int(entry.name)))
            if duplicate.family == socket.AF_INET and duplicate.type == socket.SOCK_STREAM:
                found.append(duplicate)
            else:
                duplicate.close()
    return found


class RawClient:
    """Speaks packets, not manners."""

    _open: ClassVar[list[RawClient]] = []

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.append(self)
        self._reader = reader
        self._writer = writer
        self._buffer = b""

    @classmethod
    async def open(cls, broker: Broker) -> RawClient:
        """A connection without a CONNECT."""
        return cls(*await asyncio.open_connection("127.0.0.1", broker.port))

    @classmethod
    async def connect(cls, broker: Broker, client_id: str, **terms: Any) -> tuple[RawClient, mqtt5.ConnAckPacket]:
        """A connection, and the answer to its CONNECT."""
        client = await cls.open(broker)
        client.send(mqtt5.ConnectPacket(client_id, **terms))
        answer = await client.receive()
        assert isinstance(answer, mqtt5.ConnAckPacket)
        return client, answer

    def send(self, *packets: mqtt5.Packet) -> None:
        """Write packets."""
        for packet in packets:
            self._writer.write(packet.write())

    def write(self, raw: bytes) -> None:
        """Write anything."""
        self._writer.write(raw)

    async def receive(self) -> mqtt5.Packet | None:
        """The next packet; None at the end of the connection."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                with contextlib.suppress(IndexError):
                    packet, size = mqtt5.read(memoryview(self._buffer))
                    self._buffer = self._buffer[size:]
                    return packet
                try:
                    data = await self._reader.read(65_536)
                except ConnectionError:
                    return None
                if not data:
                    return None
                self._buffer += data

    async def subscribe(self, *filters: mqtt5.TopicFilter) -> mqtt5.SubAckPacket:
        """Subscribe, and the answer."""
        self.send(mqtt5.SubscribePacket(1, list(filters)))
        answer = await self.receive()
        assert isinstance(answer, mqtt5.SubAckPacket)
        return answer

    async def message(self) -> mqtt5.PublishPacket:
        """The next packet, which must be a message."""
        packet = await self.receive()
        assert isinstance(packet, mqtt5.PublishPacket), packet
        return packet

    async def ping(self) -> None:
        """See that nothing else was on its way: the next packet is the answer."""
        self.send(mqtt5.PingReqPacket())
        packet = await self.receive()
        assert isinstance(packet, mqtt5.PingRespPacket), packet

    def close(self) -> None:
        """Close without a DISCONNECT."""
        self._writer.close()

    @classmethod
    async def close_all(cls) -> None:
        """Close every client that was opened since."""
        for client in cls._open:
            client.close()
            with contextlib.suppress(OSError):
                await client._writer.wait_closed()
        cls._open.clear()
