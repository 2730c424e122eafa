"""A broker with one node as its subscriber: at least once, in order unless told otherwise, and gone when it must be."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from node.clock import Clock
from node.engine.ports import Delivery
from node.errors import TransportUnavailable

Document = dict[str, Any]


@dataclass(slots=True, eq=False)
class Message:
    """One that the broker has, until the node acknowledges it."""

    topic: str
    payload: bytes


@dataclass(slots=True)
class Broker:
    """Outlives every run of the node."""

    clock: Clock
    #: Told every document that somebody outside was told.
    told: Callable[[str, Document], None]
    #: Where senders want to hear of their commands.
    answers_to: str
    up: bool = True
    #: Commands wait here instead of being delivered.
    holding: bool = False
    queue: list[Message] = field(default_factory=list)
    #: Payloads that the node has acknowledged.
    acknowledged: set[bytes] = field(default_factory=set)
    link: Link | None = None

    def publish(self, topic: str, payload: bytes) -> None:
        """A sender's command."""
        message = Message(topic, payload)
        self.queue.append(message)
        if not self.holding and self.link is not None:
            self.link.hand_over(message)

    def let_go(self, order: list[int]) -> None:
        """What was held back arrives, in another order."""
        self.holding = False
        if self.link is not None:
            waiting = [message for message in self.queue if message not in self.link.under_way]
            ranks = [order[number % len(order)] if order else 0 for number in range(len(waiting))]
            for _, _, message in sorted(zip(ranks, range(len(waiting)), waiting, strict=True)):
                self.link.hand_over(message)

    def connect(self) -> Link:
        """A node's session is taken up: whatever it has not acknowledged comes again."""
        self.link = Link(self)
        if self.up and not self.holding:
            for message in self.queue:
                self.link.hand_over(message)
        return self.link

    def go_away(self) -> None:
        """Nobody reaches it; what was under way comes again."""
        self.up = False
        if self.link is not None:
            self.link.under_way.clear()

    def come_back(self) -> None:
        """With everything that it had."""
        self.up = True
        if self.link is not None and not self.holding:
            for message in self.queue:
                self.link.hand_over(message)


class Link:
    """Implements the engine's ``MessageTransport`` for one run of the node."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._arrivals: asyncio.Queue[Message] = asyncio.Queue()
        self.under_way: list[Message] = []

    @property
    def connected(self) -> bool:
        return self._broker.up and self._broker.link is self

    def hand_over(self, message: Message) -> None:
        """To the node; again, if it has had it before."""
        if self.connected:
            self.under_way.append(message)
            self._arrivals.put_nowait(message)

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def deliveries(self) -> AsyncIterator[Delivery]:
        while True:
            message = await self._arrivals.get()
            yield Delivery(
                topic=message.topic,
                payload=message.payload,
                retained=False,
                response_topic=self._broker.answers_to,
                correlation_data=None,
                received_ns=self._broker.clock.monotonic_ns(),
                acknowledge=lambda message=message: self._acknowledge(message),  # type: ignore[misc]
            )

    async def _acknowledge(self, message: Message) -> None:
        """Without effect once the connection that brought it is gone."""
        if self.connected and message in self.under_way:
            self.under_way.remove(message)
            self._broker.queue.remove(message)
            self._broker.acknowledged.add(message.payload)

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
        await asyncio.sleep(0.0005)
        if not self.connected:
            raise TransportUnavailable
        self._broker.told(topic, json.loads(payload))
        await asyncio.sleep(0.0005)
        if not self.connected:
            raise TransportUnavailable
