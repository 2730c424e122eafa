"""Carries envelopes to the nodes: the same bytes again and again until they are confirmed or worth nothing any more."""

from __future__ import annotations

import asyncio
import contextlib
import math
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

import structlog

from node.clock import Clock
from node.engine.ports import MessageTransport
from node.errors import TransportRefused, TransportUnavailable
from node.gateway.sent import SentCommand
from node.transport.topics import Topics

#: Until the first repetition; then twice as long each time. A broker's PUBACK proves nothing.
FIRST_REPEAT_S: Final = 1.0
LONGEST_REPEAT_S: Final = 10.0
#: How long the broker keeps a question about what became of a command.
_ASK_EXPIRY_S: Final = 15

log = structlog.get_logger(__name__)


@dataclass(slots=True, kw_only=True)
class _Consignment:
    """One envelope under way."""

    sent: SentCommand
    expires_at_ns: int
    delivered: bool = False
    stirred: asyncio.Event = field(default_factory=asyncio.Event)


class Courier:
    """Owns one task an envelope under way; ``run`` owns the tasks."""

    def __init__(self, transport: MessageTransport, topics: Topics, response_topic: str, clock: Clock) -> None:
        self._transport = transport
        self._topics = topics
        self._response_topic = response_topic
        self._clock = clock
        self._new: asyncio.Queue[_Consignment] = asyncio.Queue()
        self._under_way: dict[UUID, _Consignment] = {}
        #: What the broker said of the last message that it refused; None once it takes one.
        self.refusal: str | None = None

    @property
    def connected(self) -> bool:
        """Whether anything can be sent now."""
        return self._transport.connected

    def carries(self, command_id: UUID) -> bool:
        """Whether the envelope is still being repeated."""
        return command_id in self._under_way

    def carry(self, sent: SentCommand) -> None:
        """Send it until ``delivered`` is called or it expires; what has expired is not sent."""
        left_s = (sent.expires_at - self._clock.now()).total_seconds()
        if left_s <= 0 or sent.command_id in self._under_way:
            return
        expires_at_ns = self._clock.monotonic_ns() + int(left_s * 1e9)
        consignment = _Consignment(sent=sent, expires_at_ns=expires_at_ns)
        self._under_way[sent.command_id] = consignment
        self._new.put_nowait(consignment)

    def delivered(self, command_id: UUID) -> None:
        """It was confirmed: it need not be sent again."""
        consignment = self._under_way.get(command_id)
        if consignment is not None:
            consignment.delivered = True
            consignment.stirred.set()

    def stir(self) -> None:
        """A node or the broker has come back: send at once what is under way."""
        for consignment in self._under_way.values():
            consignment.stirred.set()

    async def ask(self, sent: SentCommand) -> None:
        """Send an envelope once more for its answer alone. A node that knows it tells its newest state."""
        with contextlib.suppress(TransportUnavailable, TransportRefused):
            await self._publish(sent, expiry_s=_ASK_EXPIRY_S)

    async def run(self) -> None:
        """Carry until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                consignment = await self._new.get()
                tasks.create_task(self._carry(consignment), name=f"carry:{consignment.sent.command_id}")

    async def _carry(self, consignment: _Consignment) -> None:
        delay_s = FIRST_REPEAT_S
        try:
            while not consignment.delivered and (left_s := self._left_s(consignment)) > 0:
                consignment.stirred.clear()
                try:
                    await self._publish(consignment.sent, expiry_s=max(1, math.ceil(left_s)))
                except TransportUnavailable:
                    pass  # it stirs when it is back
                except TransportRefused as error:
                    self._refused(consignment.sent, error)
                if not consignment.delivered:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(min(delay_s, self._left_s(consignment))):
                            await consignment.stirred.wait()
                delay_s = min(delay_s * 2, LONGEST_REPEAT_S)
        finally:
            del self._under_way[consignment.sent.command_id]
        if not consignment.delivered:
            log.warning("command_expired_unconfirmed", command_id=str(consignment.sent.command_id))

    async def _publish(self, sent: SentCommand, *, expiry_s: int) -> None:
        await self._transport.publish(
            self._topics.command(sent.target),
            sent.envelope,
            response_topic=self._response_topic,
            correlation_data=sent.command_id.bytes,
            expiry_s=expiry_s,
        )
        self.refusal = None

    def _refused(self, sent: SentCommand, error: TransportRefused) -> None:
        self.refusal = str(error)
        log.error("command_refused_by_broker", command_id=str(sent.command_id), error=str(error))

    def _left_s(self, consignment: _Consignment) -> float:
        return (consignment.expires_at_ns - self._clock.monotonic_ns()) / 1e9
