"""What counts as a sign of life, and the line that tells how the node is."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from node.domain.command import Action, CommandState
from node.errors import JournalUnavailable
from node.observe.health import Health, LoopMonitor
from node.observe.watchdog import ServiceManager
from node.vitals import JOURNAL_ANSWER_WITHIN_S, Vitals, status_line
from tests.support.engine import ACCOUNT, Engine, engine
from tests.support.fake_venue import FakeVenue, position
from tests.support.waiting import until

BTC = "BTC/USDT:USDT"


@dataclass(slots=True)
class Disk:
    """A journal that answers well, refuses, or hangs."""

    silent_s: float = 0.0
    refuses: bool = False
    probes: int = 0

    async def probe(self) -> None:
        self.probes += 1
        if self.refuses or self.silent_s:
            raise JournalUnavailable


@pytest.fixture(autouse=True)
def _quick_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.vitals.JOURNAL_PROBE_EVERY_S", 0.001)
    monkeypatch.setattr("node.vitals.INBOX_PULSE_EVERY_S", 0.001)
    monkeypatch.setattr("node.vitals.AGE_MAX_S", 1.0)  # longer than a busy machine holds a process up


def vitals_of(node: Engine, disk: Disk) -> Vitals:
    """Of a running engine, with a disk of its own."""
    return Vitals(
        ServiceManager(None),
        inbox=node.inbox,
        journal=disk,
        actors=list(node.dispatcher.actors.values()),
        loop_monitor=LoopMonitor(observe_lag_s=lambda _lag: None),
        status=str,
    )


async def beating(vitals: Vitals) -> list[asyncio.Task[None]]:
    """Both hearts."""
    return [
        asyncio.create_task(vitals.probe.run(), name="probe"),
        asyncio.create_task(vitals.dispatcher.run(), name="dispatcher"),
    ]


async def test_a_disk_that_refuses_is_alive_and_one_that_hangs_is_not() -> None:
    """The one has answered; of the other nothing came back."""
    async with engine(FakeVenue()) as node:
        disk = Disk(refuses=True)
        vitals = vitals_of(node, disk)
        tasks = await beating(vitals)
        await until(lambda: disk.probes > 100)
        assert vitals.watchdog.reasons() == []
        disk.silent_s = JOURNAL_ANSWER_WITHIN_S
        await until(vitals.watchdog.reasons)
        assert vitals.watchdog.reasons()[0].startswith("journal: has not come round")
        disk.silent_s, disk.refuses = 0.0, False
        await until(lambda: not vitals.watchdog.reasons())
        for task in tasks:
            task.cancel()


async def test_a_disk_that_hangs_is_no_reason_against_a_command_that_is_live() -> None:
    """A kill is not restarted for the sake of its record."""
    venue = FakeVenue(positions=[position(BTC, "1")])
    async with engine(venue) as node:
        await node.armed()
        venue.answering.clear()
        submission = await node.submit(Action.CLOSE_ALL)
        disk = Disk(silent_s=60)
        vitals = vitals_of(node, disk)
        tasks = await beating(vitals)
        await until(lambda: vitals.probe.ping() is not None)
        assert node.dispatcher.actors[ACCOUNT].live
        assert vitals.watchdog.reasons() == []
        venue.answering.set()
        await node.ending(submission.document["command_id"])
        assert vitals.watchdog.reasons()
        for task in tasks:
            task.cancel()


async def test_a_disk_that_hangs_is_no_reason_against_what_is_owed_to_it() -> None:
    """Of a lock that the journal could not take, this process alone knows."""
    async with engine(FakeVenue()) as node:
        node.journal.down = True
        await node.carried_out(Action.LOCK)
        assert node.inbox.owes_journal
        vitals = vitals_of(node, Disk(silent_s=60))
        tasks = await beating(vitals)
        await until(lambda: vitals.probe.ping() is not None)
        assert vitals.watchdog.reasons() == []
        node.journal.down = False
        await until(lambda: not node.inbox.owes_journal)
        assert vitals.watchdog.reasons()
        for task in tasks:
            task.cancel()


async def test_an_inbox_that_does_not_come_round_its_queue_is_not_alive() -> None:
    """Commands would not get through either: the pulse goes their way."""
    async with engine(FakeVenue()) as node:
        vitals = vitals_of(node, Disk())
        tasks = await beating(vitals)
        await node.inbox.pulse()
        assert vitals.watchdog.reasons() == []
        async with node.inbox._admitting:
            stuck = asyncio.create_task(node.submit(Action.LOCK), name="stuck")
            await until(vitals.watchdog.reasons)
            assert vitals.watchdog.reasons()[0].startswith("dispatcher: has not come round")
        assert (await stuck).document["state"] == CommandState.ACCEPTED.value
        await until(lambda: not vitals.watchdog.reasons())
        for task in tasks:
            task.cancel()


async def test_the_status_line_tells_readiness_and_whom_to_look_at() -> None:
    """Counts first, then the names of the accounts that are not simply armed."""
    health, faults = Health(), dict[str, str]()
    health.register("broker", lambda: faults.get("broker"))
    async with engine(FakeVenue(), FakeVenue()) as node:
        await node.armed()
        actors = list(node.dispatcher.actors.values())
        await until(lambda: all(actor.healthy for actor in actors))
        assert status_line(health, actors, node.ledger) == "ready: 2 armed, 0 locked, 0 degraded"
        await node.carried_out(Action.LOCK)
        faults["broker"] = "not connected"
        assert status_line(health, actors, node.ledger, ["mqtt.url"]) == (
            "NOT READY (broker: not connected): 1 armed, 1 locked (account-0), 0 degraded, "
            "1 settings wait for a restart"
        )
        actors[0].armed.clear()
        actors[1].armed.clear()
        assert "0 armed, 0 locked, 2 degraded (account-0 and locked, account-1)" in (
            status_line(health, actors, node.ledger)
        )
