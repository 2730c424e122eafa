"""The sender's side: sign a command, repeat the same bytes until a node has taken it, follow what becomes of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from node.domain.command import Action, CommandState
from node.engine.ports import MessageTransport
from node.errors import TransportUnavailable
from node.transport.envelope import sign_command
from node.transport.issuer_key import IssuerKey
from node.transport.topics import AccountTarget, Topics

#: Between two publishes of the same envelope while nobody has confirmed it: a broker's PUBACK proves nothing.
REPEAT_EVERY_S: Final = 1.0
#: Between two tries while the broker is away.
RETRY_S: Final = 0.05
#: The same afterwards, until it has ended: the ending may have been lost with a broker.
ASK_EVERY_S: Final = 10.0
LIFETIME: Final = timedelta(seconds=60)

Document = dict[str, Any]


class NotConfirmed(Exception):
    """No node confirmed the command while it was valid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """What to command."""

    account: AccountTarget
    action: Action
    command_id: UUID
    symbols: Sequence[str] = ()
    latch: bool | None = None
    dry_run: bool = False
    reason: str | None = None
    epoch: int | None = None
    #: How many nodes must answer: to ``*`` each answers for its own accounts.
    nodes: int = 1


class Sender:
    """Sends over a transport that is subscribed to ``response_topic`` and runs in a task of its owner's."""

    def __init__(self, transport: MessageTransport, key: IssuerKey, topics: Topics, response_topic: str) -> None:
        self._transport = transport
        self._key = key
        self._topics = topics
        self._response_topic = response_topic
        self._waiting: dict[UUID, asyncio.Queue[Document]] = {}

    @staticmethod
    def new_response_topic(topics: Topics, issuer: str) -> str:
        """A topic of its own for one sender."""
        return f"{topics.response(issuer)}/{uuid4()}"

    async def receive(self) -> None:
        """Hand arriving documents to whoever follows their command; until cancelled."""
        async for delivery in self._transport.deliveries():
            await delivery.acknowledge()
            try:
                document = json.loads(delivery.payload)
                queue = self._waiting.get(UUID(document["command_id"]))
            except (ValueError, KeyError, TypeError):
                continue  # not an event of ours: anybody may write to a topic
            if queue is not None:
                queue.put_nowait(document)

    async def send(self, outgoing: Outgoing, *, lifetime: timedelta = LIFETIME) -> AsyncGenerator[Document, None]:
        """The command's events, in each node's order, each once, up to and with the ending of every node that answers.

        Raises:
            NotConfirmed: nobody answered before the command expired. It may still have been carried out.
            TransportRefused: the broker does not let this issuer write there.
            ValueError: the command is malformed.
        """
        issued_at = datetime.now(UTC)
        envelope = sign_command(
            self._key,
            tenant=self._topics.tenant,
            command_id=outgoing.command_id,
            account=outgoing.account,
            action=outgoing.action,
            issued_at=issued_at,
            expires_at=issued_at + lifetime,
            symbols=outgoing.symbols,
            latch=outgoing.latch,
            dry_run=outgoing.dry_run,
            reason=outgoing.reason,
            epoch=outgoing.epoch,
        )
        queue = self._waiting[outgoing.command_id] = asyncio.Queue()
        confirmed = asyncio.Event()
        repeating = asyncio.create_task(
            self._repeat(envelope, outgoing, lifetime, confirmed), name=f"send:{outgoing.command_id}"
        )
        try:
            async with aclosing(self._events(queue, repeating, outgoing.nodes, confirmed)) as events:
                async for document in events:
                    yield document
        finally:
            repeating.cancel()
            del self._waiting[outgoing.command_id]

    async def _events(
        self, queue: asyncio.Queue[Document], repeating: asyncio.Task[None], nodes: int, confirmed: asyncio.Event
    ) -> AsyncGenerator[Document, None]:
        newest: dict[str, int] = {}
        open_at: set[str] = set()
        while True:
            arrival = asyncio.ensure_future(queue.get())
            awaited = {arrival} if len(newest) >= nodes else {arrival, repeating}
            await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
            if not arrival.done():
                arrival.cancel()
                repeating.result()  # the broker's refusal
                raise NotConfirmed("no node confirmed the command while it was valid")
            document = arrival.result()
            node = str(document.get("node_id"))
            if document["seq"] <= newest.get(node, 0):
                continue
            newest[node] = document["seq"]
            if len(newest) >= nodes:
                confirmed.set()
            (open_at.discard if CommandState(document["state"]).ended else open_at.add)(node)
            yield document
            if not open_at and len(newest) >= nodes:
                return

    async def _repeat(self, envelope: bytes, outgoing: Outgoing, lifetime: timedelta, confirmed: asyncio.Event) -> None:
        """Until it expires unconfirmed; once confirmed, for as long as somebody waits for the ending: a node answers an
        envelope that it knows with its newest event, whatever its age.
        """
        topic = self._topics.command(outgoing.account)
        expires_at = asyncio.get_running_loop().time() + lifetime.total_seconds()
        while (left_s := expires_at - asyncio.get_running_loop().time()) > 0 or confirmed.is_set():
            try:
                await self._transport.publish(
                    topic,
                    envelope,
                    response_topic=self._response_topic,
                    correlation_data=outgoing.command_id.bytes,
                    expiry_s=max(1, round(left_s)),
                )
            except TransportUnavailable:
                await asyncio.sleep(RETRY_S)
                continue
            if not confirmed.is_set():
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(REPEAT_EVERY_S, left_s)):
                        await confirmed.wait()
            if confirmed.is_set():
                await asyncio.sleep(ASK_EVERY_S)
