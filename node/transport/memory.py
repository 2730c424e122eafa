"""An in-memory broker and its transports: the semantics of MQTT 5 at QoS 1, without sockets. For tests.

What a transport received and did not acknowledge, it receives again after a reconnect, in order; a broken
connection fires the will; acknowledgements of an earlier connection have no effect; the receive maximum holds back.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from node.engine.ports import Delivery
from node.errors import TransportUnavailable
from node.transport.delivery_queue import DeliveryQueue
from node.transport.mqtt_options import Will
from node.transport.topics import matches

_RECEIVE_MAXIMUM: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class _Message:
    topic: str
    payload: bytes
    retain: bool
    correlation_data: bytes | None = None
    response_topic: str | None = None
    expires_at_s: float | None = None


@dataclass(slots=True)
class _Session:
    """What outlives a connection. ``receiver`` is the connection, None while away."""

    transport: MemoryTransport
    receiver: Callable[[_Message, int], None] | None = None
    waiting: deque[_Message] = field(default_factory=deque)
    unacknowledged: dict[int, _Message] = field(default_factory=dict)
    last_id: int = 0
    subscribed: bool = False

    def flush(self) -> None:
        while self.receiver and self.waiting and len(self.unacknowledged) < self.transport.receive_maximum:
            message = self.waiting.popleft()
            if message.expires_at_s is not None and message.expires_at_s <= time.monotonic():
                continue
            self.last_id += 1
            self.unacknowledged[self.last_id] = message
            self.receiver(message, self.last_id)

    def leave(self) -> None:
        self.receiver = None
        self.waiting.extendleft(reversed(self.unacknowledged.values()))
        self.unacknowledged.clear()


class MemoryBroker:
    """Routes between its transports, and keeps their sessions."""

    def __init__(self) -> None:
        self._sessions: dict[str, _Session] = {}
        self._retained: dict[str, _Message] = {}
        self._serving = asyncio.Event()
        self._serving.set()

    def stop(self) -> None:
        """Send everybody away; sessions stay."""
        self._serving.clear()
        for client_id in list(self._sessions):
            self._end(client_id, with_will=False)

    def start(self) -> None:
        """Serve again."""
        self._serving.set()

    def cut(self, client_id: str) -> None:
        """Break a client's connection without a word: its will is published."""
        self._end(client_id, with_will=True)

    async def attach(self, transport: MemoryTransport, receiver: Callable[[_Message, int], None]) -> None:
        """Connect a transport, once the broker serves."""
        await self._serving.wait()
        session = self._sessions.setdefault(transport.client_id, _Session(transport))
        session.transport, session.receiver = transport, receiver
        if not session.subscribed:
            session.subscribed = True
            retained = (m for m in self._retained.values() if transport.wants(m.topic))
            session.waiting.extend(retained)
        session.flush()

    def detach(self, transport: MemoryTransport) -> None:
        """A clean goodbye."""
        self._end(transport.client_id, with_will=False)

    def acknowledge(self, client_id: str, message_id: int) -> None:
        """The client has taken a message over."""
        session = self._sessions[client_id]
        if session.unacknowledged.pop(message_id, None) is not None:
            session.flush()

    def publish(self, message: _Message) -> None:
        """Hand a message to every session that wants it."""
        if message.retain and message.payload:
            self._retained[message.topic] = message
        elif message.retain:
            self._retained.pop(message.topic, None)
        for session in list(self._sessions.values()):
            if session.transport.wants(message.topic):
                session.waiting.append(message)
                session.flush()

    def _end(self, client_id: str, *, with_will: bool) -> None:
        session = self._sessions.get(client_id)
        if session is None or session.receiver is None:
            return
        session.leave()
        session.transport.lost()
        will = session.transport.will
        if will is not None and with_will:
            self.publish(_Message(topic=will.topic, payload=will.payload, retain=will.retain))


class MemoryTransport:
    """A :class:`node.engine.ports.MessageTransport` on a :class:`MemoryBroker`."""

    def __init__(
        self,
        broker: MemoryBroker,
        client_id: str,
        *subscriptions: str,
        will: Will | None = None,
        receive_maximum: int = _RECEIVE_MAXIMUM,
        on_connection: Callable[[bool], None] | None = None,
    ) -> None:
        self.client_id = client_id
        self.will = will
        self.receive_maximum = receive_maximum
        #: Connections so far, the first included.
        self.connections = 0
        self._broker = broker
        self._subscriptions = subscriptions
        self._on_connection = on_connection
        self._inbox = DeliveryQueue()
        self._up = asyncio.Event()
        self._down = asyncio.Event()

    @property
    def connected(self) -> bool:
        """Whether a publish can succeed now."""
        return self._up.is_set()

    @property
    def reconnects(self) -> int:
        """Connections after the first."""
        return max(0, self.connections - 1)

    async def wait_connected(self) -> None:
        """Return once connected and subscribed."""
        await self._up.wait()

    async def run(self) -> None:
        """Connect, receive, reconnect for ever. Ends only by cancellation."""
        try:
            while True:
                self._down.clear()
                self._inbox.forget_what_comes_again()
                generation = self.connections + 1
                await self._broker.attach(self, partial(self._receive, generation))
                self.connections = generation
                self._tell(connected=True)
                await self._down.wait()
        finally:
            self._broker.detach(self)

    def deliveries(self) -> DeliveryQueue:
        """Messages in order of arrival, across reconnects."""
        return self._inbox

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
        """Publish.

        Raises:
            TransportUnavailable: not connected.
        """
        if not self.connected:
            raise TransportUnavailable
        message = _Message(
            topic=topic,
            payload=payload,
            retain=retain,
            correlation_data=correlation_data,
            response_topic=response_topic,
        )
        if expiry_s is not None:
            message = replace(message, expires_at_s=time.monotonic() + expiry_s)
        self._broker.publish(message)
        await asyncio.sleep(0)  # as any broker, it answers later

    async def reconnect(self) -> None:
        """Break the connection and come back: what was not acknowledged comes again."""
        self._broker.cut(self.client_id)
        await self.wait_connected()

    def wants(self, topic: str) -> bool:
        """Whether a subscription covers the topic."""
        return any(matches(topic_filter, topic) for topic_filter in self._subscriptions)

    def lost(self) -> None:
        """The broker says that the connection is over."""
        self._tell(connected=False)
        self._down.set()

    def _receive(self, generation: int, message: _Message, message_id: int) -> None:
        async def acknowledge() -> None:
            if self.connected and self.connections == generation:
                self._broker.acknowledge(self.client_id, message_id)

        delivery = Delivery(
            topic=message.topic,
            payload=message.payload,
            retained=message.retain,
            response_topic=message.response_topic,
            correlation_data=message.correlation_data,
            received_ns=time.monotonic_ns(),
            acknowledge=acknowledge,
        )
        self._inbox.put(delivery, redelivered_if_lost=True)

    def _tell(self, *, connected: bool) -> None:
        if connected:
            self._up.set()
        else:
            self._up.clear()
        if self._on_connection is not None:
            self._on_connection(connected)
