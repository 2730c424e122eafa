"""The engine with a journal in memory and any venue: everything between a request and its ending."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Generic
from uuid import UUID, uuid4

from typing_extensions import TypeVar

from node.clock import SystemClock
from node.domain.command import OPERATOR, Action, Command, CommandState, Door, Request
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
from node.engine.ports import Delivery, Junk, Rejection, Submission
from node.engine.pursuit import AccountContext
from node.engine.recovery import Recovery
from node.engine.scribe import Scribe
from node.engine.venue_port import Venue
from node.engine.view import AccountView
from node.journal.memory import MemoryJournal
from tests.support.fake_venue import FakeVenue
from tests.support.waiting import PATIENCE_S, end

ACCOUNT = UUID("6b0c8d1e-5f0a-4c52-9a1e-3d0f6f1d2a77")
OTHER = UUID("11111111-5f0a-4c52-9a1e-3d0f6f1d2a77")
NODE_ID = "node-1"

#: What an engine of these tests drives; a fake unless somebody says otherwise.
V = TypeVar("V", bound=Venue, default=FakeVenue)


def account_id(number: int) -> UUID:
    """The id of the engine's n-th account, from zero."""
    return (ACCOUNT, OTHER)[number] if number < 2 else UUID(int=number)


@dataclass(slots=True)
class Engine(Generic[V]):
    """The running parts, and what was seen of them."""

    journal: MemoryJournal
    ledger: LockLedger
    inbox: Inbox
    desk: Desk
    dispatcher: Dispatcher
    scribe: Scribe
    venues: dict[UUID, V]
    locks: list[AccountLock] = field(default_factory=list)
    #: Documents that were sent without the journal.
    published: list[Document] = field(default_factory=list)
    #: What the guards have told.
    guarded: list[Document] = field(default_factory=list)

    @property
    def venue(self) -> V:
        """The first account's."""
        return self.venues[ACCOUNT]

    async def armed(self) -> None:
        """Wait until every account is."""
        for actor in self.dispatcher.actors.values():
            await actor.armed.wait()

    async def submit(self, action: Action, account: UUID | None = ACCOUNT, **parameters: Any) -> Submission:
        """Send a command through the operator's door."""
        return await self.desk.submit(request(action, account, **parameters))

    async def ending(self, command_id: UUID | str, *, within_s: float = PATIENCE_S) -> Document:
        """The document that a command ends with."""
        async with asyncio.timeout(within_s):
            return [document async for document in self.desk.follow(UUID(str(command_id)))][-1]

    async def carried_out(self, action: Action, account: UUID | None = ACCOUNT, **parameters: Any) -> Document:
        """Send a command and wait for its ending."""
        submission = await self.submit(action, account, **parameters)
        return await self.ending(submission.document["command_id"])

    async def until_state(
        self, command_id: UUID | str, state: CommandState, *, within_s: float = PATIENCE_S
    ) -> Document:
        """Wait until a command has come that far."""
        async with asyncio.timeout(within_s):
            async for document in self.desk.follow(UUID(str(command_id))):
                if document["state"] == state.value:
                    return document
        raise AssertionError(f"ended without having been {state}")


def request(action: Action, account: UUID | None = ACCOUNT, **parameters: Any) -> Request:
    """A request of the operator's."""
    fields: dict[str, Any] = {
        "command_id": uuid4(),
        "account_id": account,
        "action": action,
        "issuer": OPERATOR,
        "door": Door.OPERATOR,
    }
    return Request(**{**fields, **parameters})


def delivery_verifier(delivery: Delivery) -> Request | Junk | tuple[Request, Rejection]:
    """Deliveries of these tests carry their verified form in a side table."""
    return VERIFIED[delivery.payload]


#: What a delivery's payload is verified to.
VERIFIED: dict[bytes, Request | Junk | tuple[Request, Rejection]] = {}


@asynccontextmanager
async def engine(
    *venues: V,
    journal: MemoryJournal | None = None,
    execution: ExecutionTerms | None = None,
    permission: Permission = Permission.CLOSE,
    keep: frozenset[str] = frozenset(),
    flatten: FlattenTerms | None = None,
    issuers: tuple[Issuer, ...] = (),
    venue_offset: timedelta | None = None,
    background: Callable[[], AbstractContextManager[object]] = nullcontext,
    recover: bool = False,
) -> AsyncIterator[Engine[V]]:
    """Run an engine for the given venues (accounts ACCOUNT, OTHER, ...) until the block ends."""
    clock = SystemClock()
    journal = journal or MemoryJournal(node_id=NODE_ID, clock=clock)
    accounts = tuple(account_id(number) for number in range(len(venues)))
    by_account = dict(zip(accounts, venues, strict=True))
    bus = Bus()
    ledger = LockLedger(accounts, node_id=NODE_ID, boot_id="boot", clock=clock)
    if journal.healthy:
        ledger.load(await journal.locks())
    scribe = Scribe(journal, ledger, bus, clock)
    actors = []
    departures = Departures()
    rehearsed = set[tuple[str, ...]]()
    guarded: list[Document] = []
    for number, (account, venue) in enumerate(by_account.items()):
        terms = AccountTerms(
            account_id=account,
            name=f"account-{number}",
            owner="acme",
            exchange="fake",
            permission=permission,
            execution=execution or ExecutionTerms(deadline_s=2.0, settle_s=0.05),
            flatten=flatten or FlattenTerms(base_currency="USDT", keep=keep, min_value=Decimal(5)),
        )
        view = AccountView(venue, clock, background, number=0)
        context = AccountContext(
            terms=terms,
            venue=venue,
            view=view,
            scribe=scribe,
            clock=clock,
            ledger=ledger,
            journal=journal,
            departures=departures,
            rehearsed=rehearsed,
            on_guard=lambda _terms, document: guarded.append(document),
        )
        actors.append(AccountActor(context, node_id=NODE_ID))
    dispatcher = Dispatcher(actors, scribe, clock, node_id=NODE_ID)
    published: list[Document] = []
    afterwards = Afterwards(departures)
    inbox = Inbox(
        node_id=NODE_ID,
        journal=journal,
        ledger=ledger,
        dispatcher=dispatcher,
        scribe=scribe,
        bus=bus,
        authority=Authority(issuers, accounts, venue_offset=lambda: venue_offset),
        clock=clock,
        verify=delivery_verifier,
        unlock_obstacle=lambda account, force: unlock_obstacle(dispatcher.actors, journal, account, force=force),
        latch_by_default={
            actor.context.terms.account_id: actor.context.terms.execution.latch_by_default for actor in actors
        },
        publish=lambda document, _command: published.append(document),
        afterwards=afterwards,
        reply_only=lambda document, _command: published.append(document),
        repeat=lambda document, _command: published.append(document),
    )
    desk = Desk(
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
        started_at=datetime.now(UTC),
    )

    def on_event(command: Command, document: Document) -> None:
        dispatcher.observe(command, document)
        desk.observe(document)

    scribe.on_event = on_event
    scribe.on_unjournaled = lambda document, _command: published.append(document)
    running = Engine(
        journal=journal,
        ledger=ledger,
        inbox=inbox,
        desk=desk,
        dispatcher=dispatcher,
        scribe=scribe,
        venues=by_account,
        published=published,
        guarded=guarded,
    )
    ledger.add_listener(running.locks.append)
    if journal.healthy:
        await desk.recall()
    tasks = [
        asyncio.create_task(work, name=name)
        for name, work in {
            "scribe": scribe.run(),
            "debts": scribe.settle_debts(),
            "inbox": inbox.run(),
            "afterwards": afterwards.run(),
            "durable": inbox.make_durable(),
            **{f"actor-{number}": actor.run() for number, actor in enumerate(actors)},
        }.items()
    ]
    try:
        if recover:
            recovery = Recovery(
                node_id=NODE_ID,
                journal=journal,
                scribe=scribe,
                dispatcher=dispatcher,
                clock=clock,
                resume_within=(execution or ExecutionTerms()).resume_within,
            )
            await recovery.run()
        yield running
    finally:
        await end(tasks)
