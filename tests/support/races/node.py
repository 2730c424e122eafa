"""One run of a node: the parts of ``node.app``, on a real journal file and real lock files, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, cast
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from node.clock import Clock, boot_id
from node.domain.command import Action, Command
from node.domain.flatten import FlattenTerms
from node.domain.lock import AccountLock
from node.domain.permission import Permission
from node.domain.result import Document
from node.engine.account import AccountTerms, ExecutionTerms
from node.engine.actor import AccountActor
from node.engine.afterwards import Afterwards
from node.engine.authority import Authority, Issuer
from node.engine.bus import Bus
from node.engine.departures import Departures
from node.engine.desk import Desk, unlock_obstacle
from node.engine.dispatcher import Dispatcher
from node.engine.inbox import Inbox
from node.engine.lock_ledger import LockLedger
from node.engine.lock_mirror import LockMirror
from node.engine.outbox import Outbox
from node.engine.pursuit import AccountContext
from node.engine.recovery import Recovery
from node.engine.scribe import Scribe
from node.engine.venue_port import Venue
from node.engine.view import AccountView
from node.journal.store import SqliteJournal
from node.observe.lock_files import LockFileDirectory
from node.observe.metrics import Metrics
from node.transport.envelope import EnvelopeVerifier
from node.transport.gatekeeper import Gatekeeper
from node.transport.issuer_key import IssuerKey
from node.transport.topics import Topics
from node.wiring import broker as wiring
from node.wiring import record
from tests.support.races.post import Broker
from tests.support.races.process import Process, bury
from tests.support.races.wire import Exchange, Wire

NODE_ID: Final = "node-1"
TENANT: Final = "acme"
ISSUER: Final = "desk"
TOPICS: Final = Topics(TENANT)


@dataclass(slots=True, kw_only=True)
class Surroundings:
    """What outlives a run."""

    state: Path
    runtime: Path
    clock: Clock
    broker: Broker
    exchanges: Mapping[UUID, Exchange]
    key: IssuerKey
    execution: ExecutionTerms
    #: Told every change of a lock, and at each start every lock.
    locked: Callable[[AccountLock], None]

    @property
    def journal(self) -> Path:
        """The file."""
        return self.state / record.JOURNAL_FILE


class _Files(LockFileDirectory):
    """Which a dead process does not write."""

    def __init__(self, directory: Path, process: Process) -> None:
        super().__init__(directory)
        self._process = process

    def write(self, account_id: UUID, document: Document) -> None:
        if self._process.alive:
            super().write(account_id, document)


class Run:
    """From a start to a death."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._process = Process()
        self._open = ExitStack()
        #: What runs until the death: if one of them ends before, the node is broken.
        self.parts: list[asyncio.Task[None]] = []
        self.desk: Desk
        self.ledger: LockLedger
        self.journal: SqliteJournal
        self.outbox: Outbox

    async def start(self) -> None:
        """In the order of ``node.app.running``: locks first."""
        around, clock, accounts = self._around, self._around.clock, list(self._around.exchanges)
        metrics = Metrics("0")
        self.journal = journal = SqliteJournal(around.journal, node_id=NODE_ID, clock=clock)
        bus = Bus()
        self.ledger = ledger = LockLedger(accounts, node_id=NODE_ID, boot_id=boot_id(), clock=clock)
        files = _Files(around.runtime / "locks", self._process)
        self._open.enter_context(self._process.files())
        late = await record.begin(journal, ledger, files, clock, metrics, accounts=accounts)
        for lock in ledger.all():
            around.locked(lock)
        link = around.broker.connect()
        departures = Departures()
        rehearsed = set[tuple[str, ...]]()
        mirror = LockMirror(ledger, files, bus, link, TOPICS.lock, departures)
        ledger.add_listener(mirror.changed)
        ledger.add_listener(around.locked)
        scribe = Scribe(journal, ledger, bus, clock)
        late.number_events(scribe)
        self.outbox = outbox = Outbox(journal, link, wiring.router(TOPICS), departures)
        actors = []
        for number, (account, exchange) in enumerate(around.exchanges.items()):
            venue = cast(Venue, Wire(exchange, self._process))
            context = AccountContext(
                terms=AccountTerms(
                    account_id=account,
                    name=f"account-{number}",
                    owner="acme",
                    exchange="core",
                    permission=Permission.CLOSE,
                    execution=around.execution,
                    flatten=FlattenTerms(base_currency="USDT", keep=frozenset(), min_value=Decimal(5)),
                ),
                venue=venue,
                view=AccountView(venue, clock, nullcontext, number=0),
                scribe=scribe,
                clock=clock,
                ledger=ledger,
                journal=journal,
                departures=departures,
                rehearsed=rehearsed,
            )
            actors.append(AccountActor(context, node_id=NODE_ID))
        dispatcher = Dispatcher(actors, scribe, clock, node_id=NODE_ID)
        issuer = Issuer(id=ISSUER, actions=frozenset(Action), accounts=None)
        verifier = EnvelopeVerifier(
            tenant=TENANT,
            public_keys={ISSUER: Ed25519PublicKey.from_public_bytes(around.key.public_bytes)},
        )
        afterwards = Afterwards(departures)
        inbox = Inbox(
            node_id=NODE_ID,
            journal=journal,
            ledger=ledger,
            dispatcher=dispatcher,
            scribe=scribe,
            bus=bus,
            authority=Authority([issuer], accounts),
            clock=clock,
            verify=Gatekeeper(verifier, TOPICS),
            unlock_obstacle=lambda account_id, force: (
                late.obstacle() or unlock_obstacle(dispatcher.actors, journal, account_id, force=force)
            ),
            latch_by_default=dict.fromkeys(accounts, around.execution.latch_by_default),
            afterwards=afterwards,
            publish=outbox.publish_directly,
            reply_only=outbox.reply_only,
            repeat=outbox.repeat,
        )
        self.desk = desk = Desk(
            node_id=NODE_ID,
            version="0",
            inbox=inbox,
            dispatcher=dispatcher,
            journal=journal,
            ledger=ledger,
            bus=bus,
            clock=clock,
            not_ready=tuple,
            parts=dict,
            started_at=clock.now(),
        )
        await late.take(desk.recall, later=desk.recall_late, otherwise=desk.begin_unread)

        def on_event(command: Command, document: Document) -> None:
            dispatcher.observe(command, document)
            desk.observe(document)

        scribe.on_recorded = outbox.notify
        scribe.on_unjournaled = outbox.publish_directly
        scribe.on_event = on_event
        files.prepare()
        mirror.show_all()
        parts: dict[str, Coroutine[Any, Any, None]] = {
            "scribe": scribe.run(),
            "debts": scribe.settle_debts(),
            "lock-refresh": mirror.refresh(),
            "lock-topics": mirror.publish(),
            "outbox": outbox.run(),
            **{f"actor-{number}": actor.run() for number, actor in enumerate(actors)},
        }
        self.parts += [asyncio.create_task(part, name=name) for name, part in parts.items()]
        recovery = Recovery(
            node_id=NODE_ID,
            journal=journal,
            scribe=scribe,
            dispatcher=dispatcher,
            clock=clock,
            begun=inbox.knows,
            resume_within=around.execution.resume_within,
        )
        await late.take(recovery.run)
        parts = {
            "inbox": inbox.run(),
            "inbox-afterwards": afterwards.run(),
            "inbox-debts": inbox.make_durable(),
            "deliveries": inbox.receive(link.deliveries()),
        }
        self.parts += [asyncio.create_task(part, name=name) for name, part in parts.items()]

    async def kill(self, *, arrives: bool) -> None:
        """Dead at once. What has left it for an exchange arrives there, or does not."""
        self._process.end()
        self._open.close()
        self._around.broker.link = None
        wires = {task for exchange in self._around.exchanges.values() for task in exchange.wires}
        await bury(wires if arrives else set())
