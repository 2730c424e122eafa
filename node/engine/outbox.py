"""Sends events to the broker: at least once, in order, from the journal; straight away while there is none."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

import structlog

from node.concurrency import together
from node.domain.command import Command, ReplyTo
from node.domain.result import Document
from node.engine.departures import Departures
from node.engine.ports import Journal, MessageTransport, OutboxMessage
from node.errors import JournalUnavailable, TransportRefused, TransportUnavailable

#: Events under way to the broker at once.
BATCH_MAX: Final = 32
#: Between two tries while the broker or the journal is away.
RETRY_S: Final = 0.5
#: Events kept for the broker while neither it nor the journal can be had.
BACKLOG_MAX: Final = 10_000

log = structlog.get_logger(__name__)

#: Where an event goes: its own topic, and the sender's if it named one.
Router = Callable[[Document, ReplyTo | None], list[tuple[str, bytes | None]]]


def encode(document: Document) -> bytes:
    """A document as it goes over the wire."""
    return json.dumps(document, separators=(",", ":")).encode()


class Outbox:
    """Publishes what the journal says is unpublished."""

    def __init__(
        self,
        journal: Journal,
        transport: MessageTransport | None,
        route: Router,
        departures: Departures,
        *,
        held: bool = False,
    ) -> None:
        """*held*: everything waits in the journal for a later process."""
        self._held = held
        self._departures = departures
        self._journal = journal
        self._transport = transport
        self._route = route
        self._work = asyncio.Event()
        self._work.set()
        self._direct: deque[OutboxMessage] = deque(maxlen=BACKLOG_MAX)
        self._repeats: deque[OutboxMessage] = deque(maxlen=BACKLOG_MAX)
        self._notices: deque[tuple[str, bytes]] = deque(maxlen=BACKLOG_MAX)
        self._replies: deque[tuple[Document, ReplyTo]] = deque(maxlen=BACKLOG_MAX)
        #: Events that wait, as of the last look.
        self.depth = 0

    def notify(self) -> None:
        """The journal has new events."""
        self._work.set()

    def reply_only(self, document: Document, command: Command) -> None:
        """Answer a sender about a copy of its own: whoever follows the command's events must not read it as theirs."""
        if command.reply_to is not None:
            self._replies.append((document, command.reply_to))
            self._work.set()

    def publish_directly(self, document: Document, command: Command) -> None:
        """Send an event that the journal does not have."""
        self._direct.append(OutboxMessage(seq=int(document["seq"]), document=document, reply_to=command.reply_to))
        self._work.set()

    def repeat(self, document: Document, command: Command) -> None:
        """Tell an event again, to whoever asked: after what waits in the journal, which an answer must not overtake."""
        self._repeats.append(OutboxMessage(seq=int(document["seq"]), document=document, reply_to=command.reply_to))
        self._work.set()

    def publish_notice(self, topic: str, document: Document) -> None:
        """Send a document that is no command's event; it is kept in memory until the broker has it."""
        self._notices.append((topic, encode(document)))
        self._work.set()

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            await self._work.wait()
            self._work.clear()
            await self._departures.reads_out()
            try:
                await self.flush()
            except (JournalUnavailable, TransportUnavailable) as error:
                log.debug("outbox_waits", reason=error.code)
                await asyncio.sleep(RETRY_S)
                self._work.set()

    async def flush(self) -> None:
        """Send everything that waits.

        Raises:
            TransportUnavailable, JournalUnavailable: some of it still waits.
        """
        if self._held:
            raise TransportUnavailable
        while self._direct:
            await self._send([self._direct[0]])
            self._direct.popleft()
        while self._notices:
            topic, payload = self._notices[0]
            if self._transport is not None:
                await self._publish(topic, payload, None)
            self._notices.popleft()
        while self._replies:
            document, reply_to = self._replies[0]
            if self._transport is not None:
                await self._publish(reply_to.topic, encode(document), reply_to.correlation_data)
            self._replies.popleft()
        while True:
            repeats = len(self._repeats)  # what comes later may be of events that the next look does not see yet
            try:
                messages = await self._journal.pending(BATCH_MAX)
            except JournalUnavailable:
                await self._flush_repeats(repeats)  # they come from memory, and their sender waits
                raise
            self.depth = len(messages)
            if messages:
                await self._send(messages)
                await self._journal.published([message.seq for message in messages])
                continue
            await self._flush_repeats(repeats)
            if not self._repeats:
                return

    async def _flush_repeats(self, count: int) -> None:
        for _ in range(count):
            await self._send([self._repeats[0]])
            self._repeats.popleft()

    async def _send(self, messages: Iterable[OutboxMessage]) -> None:
        if self._transport is None:
            return  # nobody to tell: the journal and the socket have it
        # Begun in one go, so that they leave in their order.
        await together(
            *(
                self._publish(topic, encode(message.document), data)
                for message in messages
                for topic, data in self._route(message.document, message.reply_to)
            )
        )

    async def _publish(self, topic: str, payload: bytes, correlation_data: bytes | None) -> None:
        assert self._transport is not None  # noqa: S101  (looked at by the caller)
        try:
            await self._transport.publish(topic, payload, correlation_data=correlation_data)
        except TransportRefused as error:
            # It must not hold up the others; the journal and the socket have it.
            log.error("event_refused_by_broker", topic=topic, error=str(error))  # noqa: TRY400
