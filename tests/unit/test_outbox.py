"""Events on their way to the broker: in order, at least once, and never forgotten before they were confirmed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest

from node.clock import SystemClock
from node.domain.command import Action, Command, Door, ReplyTo
from node.domain.latency import Stopwatch
from node.domain.result import Document
from node.engine.departures import Departures
from node.engine.outbox import Outbox
from node.engine.ports import Admission, Delivery
from node.errors import JournalUnavailable, TransportRefused, TransportUnavailable
from node.journal.memory import MemoryJournal
from tests.support.journal import make_command
from tests.support.waiting import PATIENCE_S

ACCOUNT = UUID(int=7)


@dataclass(slots=True)
class Broker:
    """Takes what is published, or refuses it as told."""

    taken: list[tuple[str, Document, bytes | None]] = field(default_factory=list)
    attempts: int = 0
    away: bool = False
    refused_topics: set[str] = field(default_factory=set)
    #: Cleared: acknowledgements are held back.
    acknowledging: asyncio.Event = field(default_factory=asyncio.Event)
    attempted: asyncio.Event = field(default_factory=asyncio.Event)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    #: Called when something was taken.
    afterwards: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        self.acknowledging.set()

    @property
    def connected(self) -> bool:
        return not self.away

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def deliveries(self) -> AsyncIterator[Delivery]:
        nothing: tuple[Delivery, ...] = ()
        for delivery in nothing:
            yield delivery

    async def publish(
        self, topic: str, payload: bytes, *, correlation_data: bytes | None = None, **_options: Any
    ) -> None:
        self.attempts += 1
        self.attempted.set()
        if self.away:
            raise TransportUnavailable
        if topic in self.refused_topics:
            raise TransportRefused
        await self.acknowledging.wait()
        self.taken.append((topic, json.loads(payload), correlation_data))
        self.arrived.set()
        self.afterwards()

    @property
    def numbers(self) -> list[int]:
        """Of the events taken, in order."""
        return [document["seq"] for _, document, _ in self.taken]


def route(document: Document, reply_to: ReplyTo | None) -> list[tuple[str, bytes | None]]:
    """The command's own topic, and the sender's."""
    own: list[tuple[str, bytes | None]] = [(f"evt/{document['command_id']}", None)]
    return own + ([(reply_to.topic, reply_to.correlation_data)] if reply_to else [])


@pytest.fixture
def journal() -> MemoryJournal:
    """Empty."""
    return MemoryJournal(node_id="node-1", clock=SystemClock())


@pytest.fixture
def broker() -> Broker:
    """Willing."""
    return Broker()


async def accept(journal: MemoryJournal, *, reply_to: ReplyTo | None = None) -> Command:
    """Have one more event in the journal."""
    command = make_command(ACCOUNT, Action.LOCK, reply_to=reply_to, door=Door.MQTT)
    await journal.admit([Admission(commands=(command,), latch_by_default={}, stopwatch=Stopwatch(received_ns=0))])
    return command


@asynccontextmanager
async def running(outbox: Outbox) -> AsyncIterator[None]:
    """Let the outbox work until the block ends."""
    task = asyncio.create_task(outbox.run(), name="outbox")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_events_leave_in_the_order_of_their_numbers(journal: MemoryJournal, broker: Broker) -> None:
    """More of them than fit in one batch."""
    for _ in range(100):
        await accept(journal)
    await Outbox(journal, broker, route, Departures()).flush()
    assert broker.numbers == list(range(1, 101))
    assert await journal.pending(10) == []


async def test_nothing_is_marked_before_the_broker_has_acknowledged_it(journal: MemoryJournal, broker: Broker) -> None:
    """A crash in between sends it again."""
    await accept(journal)
    broker.acknowledging.clear()
    flush = asyncio.create_task(Outbox(journal, broker, route, Departures()).flush(), name="flush")
    await broker.attempted.wait()
    assert journal.calls["published"] == 0
    broker.acknowledging.set()
    await flush
    assert journal.calls["published"] == 1
    assert await journal.pending(10) == []


async def test_an_event_that_could_not_be_sent_waits_in_the_journal(journal: MemoryJournal, broker: Broker) -> None:
    """And leaves when the broker is back, once."""
    await accept(journal)
    outbox = Outbox(journal, broker, route, Departures())
    broker.away = True
    with pytest.raises(TransportUnavailable):
        await outbox.flush()
    assert len(await journal.pending(10)) == 1
    assert outbox.depth == 1
    broker.away = False
    await outbox.flush()
    assert broker.numbers == [1]
    assert outbox.depth == 0


async def test_an_event_is_sent_again_when_its_mark_was_lost(journal: MemoryJournal, broker: Broker) -> None:
    """At least once: never less."""
    await accept(journal)
    outbox = Outbox(journal, broker, route, Departures())
    broker.afterwards = journal.fail_next
    with pytest.raises(JournalUnavailable):
        await outbox.flush()
    broker.afterwards = lambda: None
    await outbox.flush()
    assert broker.numbers == [1, 1]
    assert await journal.pending(10) == []


async def test_the_sender_gets_the_event_at_its_own_topic_as_well(journal: MemoryJournal, broker: Broker) -> None:
    """With the correlation data that it sent."""
    command = await accept(journal, reply_to=ReplyTo(topic="rsp/me", correlation_data=b"7"))
    await Outbox(journal, broker, route, Departures()).flush()
    assert [(topic, data) for topic, _, data in broker.taken] == [
        (f"evt/{command.command_id}", None),
        ("rsp/me", b"7"),
    ]


async def test_a_topic_that_the_broker_refuses_holds_up_nobody(journal: MemoryJournal, broker: Broker) -> None:
    """The other topic and the other events go out, and the journal is cleared."""
    broker.refused_topics = {"rsp/forbidden"}
    await accept(journal, reply_to=ReplyTo(topic="rsp/forbidden"))
    await accept(journal)
    await Outbox(journal, broker, route, Departures()).flush()
    assert broker.numbers == [1, 2]
    assert await journal.pending(10) == []


async def test_events_without_a_journal_leave_directly(journal: MemoryJournal, broker: Broker) -> None:
    """The loss of the record does not silence the node."""
    journal.down = True
    outbox = Outbox(journal, broker, route, Departures())
    async with running(outbox):
        for number in (5, 6):
            document = {"seq": number, "command_id": "c", "unjournaled": True}
            outbox.publish_directly(document, make_command(ACCOUNT, reply_to=ReplyTo(topic="rsp/me")))
        async with asyncio.timeout(PATIENCE_S):
            while len(broker.taken) < 4:
                broker.arrived.clear()
                await broker.arrived.wait()
    assert [(topic, document["seq"]) for topic, document, _ in broker.taken] == [
        ("evt/c", 5),
        ("rsp/me", 5),
        ("evt/c", 6),
        ("rsp/me", 6),
    ]


async def test_direct_events_wait_for_the_broker_too(journal: MemoryJournal, broker: Broker) -> None:
    """Kept in memory, in order, until it takes them."""
    outbox = Outbox(journal, broker, route, Departures())
    outbox.publish_directly({"seq": 1, "command_id": "c"}, make_command(ACCOUNT))
    broker.away = True
    with pytest.raises(TransportUnavailable):
        await outbox.flush()
    broker.away = False
    await outbox.flush()
    await outbox.flush()
    assert broker.numbers == [1]


async def test_new_events_are_sent_when_told(journal: MemoryJournal, broker: Broker) -> None:
    """The outbox sleeps in between."""
    outbox = Outbox(journal, broker, route, Departures())
    async with running(outbox):
        await accept(journal)
        outbox.notify()
        async with asyncio.timeout(PATIENCE_S):
            await broker.arrived.wait()
    assert broker.numbers == [1]


async def test_without_a_broker_the_journal_is_cleared(journal: MemoryJournal) -> None:
    """There is nobody to tell, and nothing must pile up."""
    await accept(journal)
    await Outbox(journal, None, route, Departures()).flush()
    assert await journal.pending(10) == []


async def test_events_let_the_first_orders_of_a_close_go_first(journal: MemoryJournal, broker: Broker) -> None:
    """The news of a command does not delay what it is about."""
    departures = Departures()
    departures.announce(ACCOUNT, ["linear"])
    async with running(Outbox(journal, broker, route, departures)):
        await accept(journal)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert broker.attempts == 0
        departures.left(ACCOUNT)
        async with asyncio.timeout(PATIENCE_S):
            await broker.arrived.wait()
    assert broker.numbers == [1]


async def test_an_event_told_again_does_not_overtake_what_waits(journal: MemoryJournal, broker: Broker) -> None:
    """Who goes by the numbers would take the earlier ones, coming after it, for copies."""
    outbox, commands = Outbox(journal, broker, route, Departures()), [await accept(journal) for _ in range(3)]
    (newest,) = await journal.events(commands[-1].command_id)
    outbox.repeat(newest, commands[-1])
    await outbox.flush()
    assert broker.numbers == [1, 2, 3, 3]


async def test_nor_does_one_that_is_asked_for_while_another_is_told(journal: MemoryJournal, broker: Broker) -> None:
    """What it repeats is in the journal by then, with all before it."""
    outbox, first = Outbox(journal, broker, route, Departures()), await accept(journal)
    (told,) = await journal.events(first.command_id)
    await outbox.flush()
    broker.acknowledging.clear()
    outbox.repeat(told, first)
    flushing = asyncio.create_task(outbox.flush(), name="flush")
    broker.attempted.clear()
    await broker.attempted.wait()
    commands = [await accept(journal) for _ in range(2)]
    (newest,) = await journal.events(commands[-1].command_id)
    outbox.repeat(newest, commands[-1])
    broker.acknowledging.set()
    await flushing
    assert broker.numbers == [1, 1, 2, 3, 3]


async def test_an_event_is_told_again_while_the_journal_is_down(journal: MemoryJournal, broker: Broker) -> None:
    """It is in memory, and its sender waits for it."""
    outbox, command = Outbox(journal, broker, route, Departures()), await accept(journal)
    (newest,) = await journal.events(command.command_id)
    journal.down = True
    outbox.repeat(newest, command)
    with pytest.raises(JournalUnavailable):
        await outbox.flush()
    assert broker.numbers == [1]
