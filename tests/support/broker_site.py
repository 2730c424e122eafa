"""A node's whole inbox and outbox at a broker that misbehaves, a sender, and somebody who hears every event."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

from node.domain.command import Action
from node.domain.result import Document
from node.engine.authority import Issuer
from node.engine.bus import Bus
from node.engine.lock_mirror import LockMirror
from node.engine.outbox import Outbox
from node.engine.ports import MessageTransport
from node.observe.lock_files import LockFileDirectory
from node.transport.envelope import EnvelopeVerifier
from node.transport.gatekeeper import Gatekeeper
from node.transport.issuer_key import IssuerKey
from node.transport.sender import LIFETIME, Outgoing, Sender
from node.transport.topics import Topics
from node.wiring.broker import router
from tests.support.engine import ACCOUNT, Engine, engine
from tests.support.fake_venue import FakeVenue
from tests.support.waiting import end

TOPICS = Topics("acme")


@dataclass(slots=True, kw_only=True)
class BrokerSite:
    """All ends of one broker."""

    node: Engine
    sender: Sender
    outbox: Outbox
    #: What the one who hears everything was brought, as it came: copies, too.
    heard: list[Document] = field(default_factory=list)
    #: The lock as the broker tells it: the newest word.
    told_lock: Document = field(default_factory=dict)
    #: Every command that was sent, with the ending that its sender saw.
    endings: dict[UUID, Document] = field(default_factory=dict)

    async def send(self, action: Action, *, epoch: int | None = None, lifetime: timedelta = LIFETIME) -> Document:
        """Command, repeat until the node answers, and wait for the ending."""
        outgoing = Outgoing(account=ACCOUNT, action=action, command_id=uuid4(), epoch=epoch)
        async with aclosing(self.sender.send(outgoing, lifetime=lifetime)) as events:
            async for document in events:
                self.endings[outgoing.command_id] = document
        return self.endings[outgoing.command_id]

    async def lock_and_unlock(self) -> None:
        """Both, each after the other has ended."""
        locked = await self.send(Action.LOCK)
        await self.send(Action.UNLOCK, epoch=locked["lock"]["epoch"])

    async def hear(self, transport: MessageTransport) -> None:
        """For one who is subscribed to events and locks."""
        async for delivery in transport.deliveries():
            await delivery.acknowledge()
            document = json.loads(delivery.payload)
            if "command_id" in document:
                self.heard.append(document)
            else:
                self.told_lock = document


@asynccontextmanager
async def broker_site(
    at_node: MessageTransport, at_desk: MessageTransport, hearer: MessageTransport, *, response_topic: str, folder: Path
) -> AsyncIterator[BrokerSite]:
    """Connected, until the block ends. The transports are subscribed to every command, to the response topic, and to
    every event and lock.
    """
    key = IssuerKey.generate("desk")
    desk = Issuer(id="desk", actions=frozenset(Action), accounts=None)
    verifier = EnvelopeVerifier(tenant="acme", public_keys={"desk": key.private_key.public_key()})
    async with engine(FakeVenue(), issuers=(desk,)) as node:
        await node.armed()
        departures = next(iter(node.dispatcher.actors.values())).context.departures
        outbox = Outbox(node.journal, at_node, router(TOPICS), departures)
        node.inbox.verify = Gatekeeper(verifier, TOPICS)
        node.inbox.publish, node.inbox.reply_only = outbox.publish_directly, outbox.reply_only
        node.inbox.repeat = outbox.repeat
        node.scribe.on_recorded, node.scribe.on_unjournaled = outbox.notify, outbox.publish_directly
        files = LockFileDirectory(folder)
        files.prepare()
        mirror = LockMirror(node.ledger, files, Bus(), at_node, TOPICS.lock, departures)
        node.ledger.add_listener(mirror.changed)
        made = BrokerSite(node=node, sender=Sender(at_desk, key, TOPICS, response_topic), outbox=outbox)
        work = {
            "node": at_node.run(),
            "desk": at_desk.run(),
            "hearer": hearer.run(),
            "inbox": node.inbox.receive(at_node.deliveries()),
            "outbox": outbox.run(),
            "sender": made.sender.receive(),
            "hearing": made.hear(hearer),
            "lock-topics": mirror.publish(),
            "lock-refresh": mirror.refresh(),
        }
        tasks = [asyncio.create_task(part, name=name) for name, part in work.items()]
        try:
            yield made
        finally:
            await end(tasks)
