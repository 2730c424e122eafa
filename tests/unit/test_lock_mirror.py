"""What the outside sees of a lock: the file first, then the retained topic, and how long it may be believed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from node.clock import SystemClock
from node.domain.lock import AccountLock
from node.domain.result import Document
from node.engine.bus import Bus
from node.engine.departures import Departures
from node.engine.lock_ledger import LEASE, LockLedger
from node.engine.lock_mirror import LockMirror
from node.engine.ports import Delivery
from node.errors import TransportRefused, TransportUnavailable
from tests.support.engine import ACCOUNT, OTHER
from tests.support.waiting import PATIENCE_S


@dataclass(slots=True)
class Files:
    """Remembers every write; fails for the accounts it is told to."""

    written: list[tuple[UUID, Document]] = field(default_factory=list)
    broken: set[UUID] = field(default_factory=set)

    def write(self, account_id: UUID, document: Document) -> None:
        if account_id in self.broken:
            raise OSError(28, "no space left on device")
        self.written.append((account_id, document))


@dataclass(slots=True)
class Broker:
    """Takes what is published, or refuses it as told."""

    taken: list[tuple[str, Document, bool]] = field(default_factory=list)
    away: bool = False
    refused_topics: set[str] = field(default_factory=set)
    attempted: asyncio.Event = field(default_factory=asyncio.Event)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def connected(self) -> bool:
        return not self.away

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def deliveries(self) -> AsyncIterator[Delivery]:
        nothing: tuple[Delivery, ...] = ()
        for delivery in nothing:
            yield delivery

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False, **_options: Any) -> None:
        self.attempted.set()
        if self.away:
            raise TransportUnavailable
        if topic in self.refused_topics:
            raise TransportRefused
        async with self.changed:
            self.taken.append((topic, json.loads(payload), retain))
            self.changed.notify_all()

    async def has(self, count: int) -> None:
        """Wait until so many documents have come."""
        async with asyncio.timeout(PATIENCE_S), self.changed:
            await self.changed.wait_for(lambda: len(self.taken) >= count)


@dataclass(slots=True)
class Stage:
    """The parts around a mirror."""

    ledger: LockLedger
    mirror: LockMirror
    files: Files
    broker: Broker
    bus: Bus

    def latch(self, account_id: UUID = ACCOUNT) -> AccountLock:
        """Lock an account."""
        lock = self.ledger.get(account_id).latch(by="desk", reason="why", at=SystemClock().now())
        self.ledger.adopt(lock)
        return lock


@asynccontextmanager
async def stage(departures: Departures | None = None) -> AsyncIterator[Stage]:
    """A ledger with two accounts, mirrored."""
    files, broker, bus = Files(), Broker(), Bus()
    ledger = LockLedger((ACCOUNT, OTHER), node_id="node-1", boot_id="boot", clock=SystemClock())
    mirror = LockMirror(ledger, files, bus, broker, lambda account_id: f"lock/{account_id}", departures or Departures())
    ledger.add_listener(mirror.changed)
    task = asyncio.create_task(mirror.publish(), name="mirror")
    try:
        yield Stage(ledger=ledger, mirror=mirror, files=files, broker=broker, bus=bus)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_the_file_is_written_before_the_change_returns() -> None:
    """No order of the engine slips between the lock and its mirror."""
    async with stage() as on:
        on.latch()
        ((account_id, document),) = on.files.written
        assert (account_id, document["locked"], document["epoch"]) == (ACCOUNT, True, 1)
        assert on.broker.taken == []


async def test_the_topic_lets_the_first_orders_of_a_close_go_first_and_the_file_does_not() -> None:
    """The lock is in force before them; the broker hears of it after them."""
    departures = Departures()
    departures.announce(ACCOUNT, ["linear"])
    async with stage(departures) as on:
        on.latch()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(on.files.written) == 1
        assert not on.broker.attempted.is_set()
        departures.left(ACCOUNT)
        await on.broker.has(1)


async def test_the_topic_is_retained_and_shows_the_same_document() -> None:
    """Who comes later sees the lock too."""
    async with stage() as on:
        on.latch()
        await on.broker.has(1)
        ((topic, document, retained),) = on.broker.taken
        assert (topic, retained) == (f"lock/{ACCOUNT}", True)
        lease = {"valid_until", "valid_until_boottime_ns"}
        written = on.files.written[0][1]
        assert {k: v for k, v in document.items() if k not in lease} == {
            k: v for k, v in written.items() if k not in lease
        }


async def test_a_document_may_be_believed_for_the_length_of_the_lease() -> None:
    """By wall clock, and by boot time for readers on this host."""
    async with stage() as on:
        clock = SystemClock()
        earliest, earliest_ns = clock.now() + LEASE, clock.boottime_ns() + 10_000_000_000
        on.latch()
        document = on.files.written[0][1]
        valid_until = datetime.fromisoformat(document["valid_until"])
        assert earliest - timedelta(milliseconds=1) <= valid_until <= clock.now() + LEASE
        assert earliest_ns <= document["valid_until_boottime_ns"] <= clock.boottime_ns() + 10_000_000_000
        assert document["boot_id"] == "boot"


async def test_listeners_in_this_process_get_every_change() -> None:
    """The event stream of HTTP."""
    async with stage() as on:
        with on.bus.listen(ACCOUNT) as heard:
            on.latch()
            on.latch()
            assert [(await heard.get())["epoch"], (await heard.get())["epoch"]] == [1, 2]


async def test_a_file_that_cannot_be_written_stops_nothing_else() -> None:
    """The other account's file, listeners and the topic still get it; and the file again when it can be."""
    async with stage() as on:
        on.files.broken = {ACCOUNT}
        with on.bus.listen(ACCOUNT) as heard:
            on.latch(ACCOUNT)
            on.latch(OTHER)
            assert (await heard.get())["locked"] is True
        await on.broker.has(2)
        assert [account_id for account_id, _ in on.files.written] == [OTHER]
        on.files.broken.clear()
        on.latch(ACCOUNT)
        assert [account_id for account_id, _ in on.files.written] == [OTHER, ACCOUNT]


async def test_the_topic_catches_up_with_the_newest_state_when_the_broker_is_back() -> None:
    """What was missed in between is not sent: it is no longer true."""
    async with stage() as on:
        on.broker.away = True
        on.latch()
        await on.broker.attempted.wait()
        on.latch()
        on.broker.away = False
        await on.broker.has(1)
        assert [document["epoch"] for _, document, _ in on.broker.taken] == [2]


async def test_a_topic_that_the_broker_refuses_does_not_stop_the_others() -> None:
    """An ACL that lacks one account must not blind the readers of the rest."""
    async with stage() as on:
        on.broker.refused_topics = {f"lock/{ACCOUNT}"}
        on.latch(ACCOUNT)
        on.latch(OTHER)
        await on.broker.has(1)
        assert [topic for topic, _, _ in on.broker.taken] == [f"lock/{OTHER}"]


async def test_every_lock_is_shown_at_a_refresh() -> None:
    """Open ones as well: a missing document means locked."""
    async with stage() as on:
        on.mirror.show_all()
        await on.broker.has(2)
        assert {(account_id, document["locked"]) for account_id, document in on.files.written} == {
            (ACCOUNT, False),
            (OTHER, False),
        }


class TestLedger:
    @pytest.fixture
    def ledger(self) -> LockLedger:
        return LockLedger((ACCOUNT,), node_id="node-1", boot_id="boot", clock=SystemClock())

    def test_an_older_lock_is_ignored(self, ledger: LockLedger) -> None:
        """Changes that overtake each other cannot take the epoch back."""
        at = SystemClock().now()
        newer = ledger.get(ACCOUNT).latch(by="a", reason=None, at=at).latch(by="b", reason=None, at=at)
        ledger.adopt(newer)
        ledger.adopt(AccountLock(account_id=ACCOUNT, epoch=1))
        assert ledger.get(ACCOUNT) == newer

    def test_listeners_hear_of_a_state_once(self, ledger: LockLedger) -> None:
        """Adopting what is in force already changes nothing."""
        heard: list[AccountLock] = []
        ledger.add_listener(heard.append)
        lock = ledger.get(ACCOUNT).latch(by="a", reason=None, at=SystemClock().now())
        ledger.adopt(lock)
        ledger.adopt(lock)
        assert heard == [lock]

    def test_locks_of_accounts_that_are_not_configured_are_not_loaded(self, ledger: LockLedger) -> None:
        """The journal remembers every account there ever was."""
        ledger.load({OTHER: AccountLock(account_id=OTHER, epoch=3, latched=True)})
        assert [lock.account_id for lock in ledger.all()] == [ACCOUNT]
