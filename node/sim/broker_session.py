"""What an MQTT 5 broker remembers of one client: subscriptions, the queue, what is unacknowledged.

Without I/O: it writes packets to a link and is told of acknowledgements.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Protocol

import mqtt5

#: Beyond this, the newest message for an absent or slow client is dropped.
MAX_WAITING: Final = 10_000

_PACKET_IDS: Final = 65_535


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One published message; ``retain`` as its sender set it."""

    topic: str
    payload: bytes
    #: 0 or 1. The codec's enumerations have neither order nor hash: plain numbers inside.
    qos: int
    retain: bool
    sender: str
    #: Monotonic seconds; infinite: never.
    expires_at_s: float = math.inf
    payload_format_indicator: int = 0
    content_type: str | None = None
    response_topic: str | None = None
    correlation_data: bytes | None = None
    user_properties: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A message on its way to one client; with a packet id, it was sent before."""

    message: Message
    qos: int
    retain: bool
    packet_id: int | None = None


class Link(Protocol):
    """The live connection of a session."""

    @property
    def receive_maximum(self) -> int:
        """How many messages the client takes unacknowledged."""

    @property
    def congested(self) -> bool:
        """Whether the socket does not keep up."""

    def send_publish(self, packet: mqtt5.PublishPacket) -> None:
        """Write a message, unless it is larger than the client takes."""


class Session:
    """One client's state, which outlives its connections for as long as the client asked."""

    def __init__(self, client_id: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.client_id = client_id
        self.expiry_s: float = 0
        self.subscriptions: dict[str, mqtt5.TopicFilter] = {}
        self.link: Link | None = None
        #: Messages lost to the bound.
        self.dropped = 0
        self._clock = clock
        self._waiting: deque[Outgoing] = deque()
        self._unacknowledged: dict[int, Outgoing] = {}
        self._last_packet_id = 0
        #: By a fault: to be offered after the next message.
        self._held: list[tuple[Message, int, bool]] = []

    @property
    def unacknowledged(self) -> int:
        """Messages sent at QoS 1 and not acknowledged."""
        return len(self._unacknowledged)

    def attach(self, link: Link) -> None:
        """The client is back: what it did not acknowledge goes first, in its order."""
        self.link = link
        self.flush()

    def detach(self) -> None:
        """The client is gone: what it did not acknowledge goes back to the head of the queue."""
        self.link = None
        again = [replace(out, packet_id=packet_id) for packet_id, out in self._unacknowledged.items()]
        self._unacknowledged.clear()
        self._waiting.extendleft(reversed(again))

    def offer(self, message: Message, *, qos: int, retain: bool) -> None:
        """Queue a message for the client, and send what can be sent."""
        if self.link is None and qos == 0:
            return
        if len(self._waiting) >= MAX_WAITING:
            self.dropped += 1
            return
        self._waiting.append(Outgoing(message=message, qos=qos, retain=retain))
        self.flush()

    def hold_back(self, message: Message, *, qos: int, retain: bool) -> None:
        """Offer it later: out of order."""
        self._held.append((message, qos, retain))

    def release_held(self) -> None:
        """Offer what was held back."""
        held, self._held = self._held, []
        for message, qos, retain in held:
            self.offer(message, qos=qos, retain=retain)

    def acknowledged(self, packet_id: int) -> None:
        """The client has taken a message over."""
        if self._unacknowledged.pop(packet_id, None) is not None:
            self.flush()

    def flush(self) -> None:
        """Send from the queue as long as the client's receive maximum and its socket allow."""
        while self.link is not None and self._waiting and not self.link.congested:
            out = self._waiting[0]
            if out.qos > 0 and len(self._unacknowledged) >= self.link.receive_maximum:
                return
            self._waiting.popleft()
            self._send(self.link, out)

    def _send(self, link: Link, out: Outgoing) -> None:
        message, again = out.message, out.packet_id is not None
        remaining_s = message.expires_at_s - self._clock()
        if remaining_s <= 0 and not again:
            return
        packet_id = out.packet_id
        if out.qos > 0:
            packet_id = packet_id or self._next_packet_id()
            self._unacknowledged[packet_id] = out
        packet = mqtt5.PublishPacket(
            message.topic,
            message.payload,
            qos=mqtt5.QoS.AT_LEAST_ONCE if out.qos > 0 else mqtt5.QoS.AT_MOST_ONCE,
            retain=out.retain,
            packet_id=packet_id,
            duplicate=again,
            payload_format_indicator=message.payload_format_indicator,
            message_expiry_interval=None if math.isinf(remaining_s) else max(1, math.ceil(remaining_s)),
            content_type=message.content_type,
            response_topic=message.response_topic,
            correlation_data=message.correlation_data,
            user_properties=list(message.user_properties),
        )
        link.send_publish(packet)

    def _next_packet_id(self) -> int:
        """The next id that is free; what was sent before has kept its own."""
        while True:
            self._last_packet_id = self._last_packet_id % _PACKET_IDS + 1
            if self._last_packet_id not in self._unacknowledged:
                return self._last_packet_id
