"""Notifications: what is worth telling, in which words, how often it is tried, and when it is given up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import jsonschema
import pytest

from node.clock import SystemClock
from node.domain.command import Action, Command
from node.domain.result import Document
from node.engine.account import ExecutionTerms
from node.errors import VenueDenied, VenueUnavailable
from node.notify import notifier as module
from node.notify.notifier import Notifier, Teller
from node.notify.webhook import Answer
from node.settings_notify import Happening
from tests.support.engine import ACCOUNT, Engine, engine
from tests.support.fake_venue import LINEAR, FakeVenue, position
from tests.support.waiting import until

SCHEMA = json.loads((Path(__file__).parents[2] / "config" / "notification.schema.json").read_text())
BTC = "BTC/USDT:USDT"


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts follow each other at once."""
    monkeypatch.setattr(module, "AGAIN_MIN_S", 0.001)
    monkeypatch.setattr(module, "AGAIN_MAX_S", 0.01)


@dataclass(slots=True)
class CountingPoster:
    """Answers as it is told."""

    #: How the next attempts end; then all are taken.
    answers: list[Answer] = field(default_factory=list)
    attempts: list[Document] = field(default_factory=list)
    taken: list[Document] = field(default_factory=list)
    #: Attempts wait for it.
    open: asyncio.Event = field(default_factory=asyncio.Event)
    busy: asyncio.Event = field(default_factory=asyncio.Event)

    async def post(self, body: bytes, notification_id: str) -> tuple[Answer, str]:
        document = json.loads(body)
        assert document["id"] == notification_id
        jsonschema.validate(document, SCHEMA)
        self.attempts.append(document)
        self.busy.set()
        await self.open.wait()
        answer = self.answers.pop(0) if self.answers else Answer.TAKEN
        if answer is Answer.TAKEN:
            self.taken.append(document)
        return answer, "as told"


@dataclass(slots=True, kw_only=True)
class Told:
    """A notifier that listens to an engine."""

    node: Engine
    poster: CountingPoster
    notifier: Notifier
    outcomes: list[tuple[str, str]]
    depths: list[int]

    async def until_told(self, number: int) -> list[Document]:
        """Wait until that many were taken."""
        await until(lambda: len(self.poster.taken) >= number)
        return self.poster.taken

    @property
    def events(self) -> list[str]:
        """What was taken, by kind."""
        return [document["event"] for document in self.poster.taken]


@asynccontextmanager
async def telling(
    venue: FakeVenue,
    *,
    happenings: frozenset[Happening] = frozenset(Happening),
    execution: ExecutionTerms | None = None,
    running: bool = True,
) -> AsyncIterator[Told]:
    """An engine, and a notifier that is told of everything that the daemon tells it."""
    poster, outcomes, depths = CountingPoster(), list[tuple[str, str]](), list[int]()
    poster.open.set()
    teller = Teller(
        tenant="acme",
        node_id="node-1",
        names={ACCOUNT: "main"},
        happenings=happenings,
        scrub=lambda text: text.replace("hunter2", "***"),
        on_outcome=lambda kind, outcome: outcomes.append((kind, outcome)),
        on_depth=depths.append,
    )
    async with engine(venue, execution=execution) as node:
        notifier = Notifier(poster, teller, SystemClock())
        notifier.begin(node.ledger.all())
        node.ledger.add_listener(notifier.lock_changed)
        engines_own = node.scribe.on_event

        def on_event(command: Command, document: Document) -> None:
            engines_own(command, document)
            notifier.command_event(command, document)

        node.scribe.on_event = on_event
        await node.armed()
        task = asyncio.create_task(notifier.run(), name="notify") if running else None
        try:
            yield Told(node=node, poster=poster, notifier=notifier, outcomes=outcomes, depths=depths)
        finally:
            if task is not None:
                task.cancel()


class TestWhatIsWorthTelling:
    async def test_a_lock_of_a_free_account_and_not_the_next_one(self) -> None:
        """With who and why; a lock on a locked account changes nothing for anybody."""
        async with telling(FakeVenue()) as the:
            await the.node.carried_out(Action.LOCK, reason="margin call")
            (told,) = await the.until_told(1)
            assert told["text"] == "main is locked by operator: margin call"
            assert told["details"] == {"epoch": 1, "by": "operator", "reason": "margin call"}
            assert told["account"] == {"id": str(ACCOUNT), "name": "main"}
            assert (told["severity"], told["tenant"], told["node_id"]) == ("warning", "acme", "node-1")
            await the.node.carried_out(Action.LOCK)
            epoch = the.node.ledger.get(ACCOUNT).epoch
            await the.node.carried_out(Action.UNLOCK, epoch=epoch)
            await the.node.carried_out(Action.LOCK, reason="again")
            await the.until_told(2)
            assert the.poster.taken[1]["details"]["reason"] == "again"
            assert the.outcomes == [("lock", "delivered")] * 2

    async def test_a_lock_that_was_there_before_is_no_news(self) -> None:
        """After a restart nobody is told again."""
        async with telling(FakeVenue()) as the:
            await the.node.carried_out(Action.LOCK)
            await the.until_told(1)
            again = Notifier(the.poster, _silent(), SystemClock())
            again.begin(the.node.ledger.all())
            again.lock_changed(the.node.ledger.get(ACCOUNT))
            assert not again._queue

    async def test_a_close_that_ends_flat_is_its_lock_and_nothing_more(self) -> None:
        """What went well is in the topics and the metrics."""
        async with telling(FakeVenue(positions=[position(BTC, "1")])) as the:
            await the.node.carried_out(Action.CLOSE_ALL)
            await the.node.carried_out(Action.CLOSE_ALL, dry_run=True)
            await the.until_told(1)
            assert the.events == ["lock"]

    async def test_a_close_that_leaves_something_out_ends_with_a_warning(self) -> None:
        """Slices that configuration leaves out are residue."""
        async with telling(FakeVenue(positions=[position(BTC, "1")], not_covered=("options",))) as the:
            await the.node.carried_out(Action.CLOSE_ALL)
            told = (await the.until_told(2))[1]
            assert (told["event"], told["severity"]) == ("not_flat", "warning")
            assert told["details"]["verdict"] == "flat_with_residue"
            assert told["text"] == "CLOSE_ALL on main ended as done: flat_with_residue"

    async def test_a_close_that_cannot_be_proven_is_told_at_its_deadline_and_at_its_end(self) -> None:
        """Once each, with codes and counts, and none of the venue's words."""
        venue = FakeVenue(positions=[position(BTC, "1")])
        async with telling(venue, execution=ExecutionTerms(deadline_s=0.05, settle_s=0.05)) as the:
            venue.unreadable[LINEAR] = VenueDenied("key hunter2 was revoked")
            submission = await the.node.submit(Action.CLOSE_ALL)
            command_id = UUID(submission.document["command_id"])
            late = (await the.until_told(2))[1]
            assert (late["event"], late["severity"], late["details"]["state"]) == ("not_flat", "critical", "incomplete")
            assert late["details"]["error_codes"] == ["VENUE_DENIED"]
            assert late["text"].endswith("(VENUE_DENIED)")
            stored = the.node.scribe.on_event
            command = await the.node.journal.find(command_id)
            assert command is not None
            assert command.document["state"] == "incomplete"
            stored(command.command, command.document)  # it says so again and again
            await the.node.desk.abort(command_id, by="operator", reason=None)
            failed = (await the.until_told(3))[2]
            assert failed["details"]["state"] == "failed"
            assert failed["details"]["command_id"] == str(command_id)
            assert "ABORTED" in failed["details"]["error_codes"]
            assert "revoked" not in json.dumps(the.poster.taken)

    async def test_a_drill_that_fails_is_told_and_one_that_a_command_stops_is_not(self) -> None:
        """Being stopped by the real thing says nothing of the account."""
        venue = FakeVenue(positions=[position(BTC, "1")])
        async with telling(venue, happenings=frozenset({Happening.DRILL_FAILED})) as the:
            venue.probing.clear()
            drill = await the.node.submit(Action.CLOSE_ALL, dry_run=True)
            await venue.probed.wait()
            await the.node.carried_out(Action.CLOSE_ALL)
            await the.node.ending(drill.document["command_id"])
            venue.probing.set()
            venue.unreadable[LINEAR] = VenueUnavailable("gone")
            failed = await the.node.carried_out(Action.CLOSE_ALL, dry_run=True)
            (told,) = await the.until_told(1)
            assert told["event"] == "drill_failed"
            assert told["details"]["command_id"] == failed["command_id"]

    async def test_a_broker_that_stays_away_is_told_once_each_time(self) -> None:
        """Coming back in time is nobody's business."""
        async with telling(FakeVenue()) as the:
            connected = False
            watch = asyncio.create_task(
                the.notifier.watch_broker(lambda: connected, lost_after_s=0.02), name="notify-broker"
            )
            await the.until_told(1)
            for _ in range(5):
                await asyncio.sleep(0.01)
            assert the.events == ["broker_lost"]
            connected = True
            await asyncio.sleep(0.02)
            connected = False
            await the.until_told(2)
            watch.cancel()
            assert the.poster.taken[0]["account"] is None

    async def test_what_is_not_wanted_is_not_told(self) -> None:
        """By configuration."""
        async with telling(FakeVenue(not_covered=("x",)), happenings=frozenset({Happening.NOT_FLAT})) as the:
            await the.node.carried_out(Action.CLOSE_ALL)
            await the.until_told(1)
            assert the.events == ["not_flat"]

    async def test_a_senders_words_go_through_the_scrubber(self) -> None:
        """A reason is text from outside: a secret in it stays here."""
        async with telling(FakeVenue()) as the:
            await the.node.carried_out(Action.LOCK, reason="password hunter2 leaked")
            (told,) = await the.until_told(1)
            assert "hunter2" not in json.dumps(told)
            assert told["details"]["reason"] == "password *** leaked"


class TestHowItIsTried:
    async def test_again_after_a_failure_with_the_same_id(self) -> None:
        """And only once after it was taken."""
        async with telling(FakeVenue()) as the:
            the.poster.answers = [Answer.FAILED] * 3
            await the.node.carried_out(Action.LOCK)
            await the.until_told(1)
            assert len(the.poster.attempts) == 4
            assert len({attempt["id"] for attempt in the.poster.attempts}) == 1
            assert the.outcomes == [("lock", "delivered")]
            assert the.depths[-1] == 0

    async def test_a_refusal_ends_it_and_the_next_one_has_its_turn(self) -> None:
        """Counted as dropped."""
        async with telling(FakeVenue(not_covered=("x",))) as the:
            the.poster.answers = [Answer.REFUSED]
            await the.node.carried_out(Action.CLOSE_ALL)
            await the.until_told(1)
            assert the.outcomes == [("lock", "dropped"), ("not_flat", "delivered")]

    async def test_what_is_too_old_is_given_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Yesterday's lock helps nobody."""
        monkeypatch.setattr(module, "GIVE_UP_AFTER_S", 0.05)
        async with telling(FakeVenue()) as the:
            the.poster.answers = [Answer.FAILED] * 10_000
            await the.node.carried_out(Action.LOCK)
            await until(lambda: the.outcomes)
            assert the.outcomes == [("lock", "dropped")]

    async def test_the_queue_is_bounded_and_the_oldest_go(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """But for the one that is under way."""
        monkeypatch.setattr(module, "QUEUE_MAX", 3)
        async with telling(FakeVenue()) as the:
            the.poster.open.clear()
            for number in range(6):
                await the.node.carried_out(Action.LOCK, reason=str(number))
                await the.poster.busy.wait()
                epoch = the.node.ledger.get(ACCOUNT).epoch
                await the.node.carried_out(Action.UNLOCK, epoch=epoch)
            assert the.outcomes == [("lock", "dropped")] * 3
            the.poster.open.set()
            await the.until_told(3)
            assert [document["details"]["reason"] for document in the.poster.taken] == ["0", "4", "5"]

    async def test_a_webhook_that_hangs_delays_no_command(self) -> None:
        """A whole close comes and goes while the first attempt is still waiting for its answer."""
        async with telling(FakeVenue(positions=[position(BTC, "1")])) as the:
            the.poster.open.clear()
            await the.node.carried_out(Action.LOCK)
            await the.poster.busy.wait()
            ending = await the.node.carried_out(Action.CLOSE_ALL)
            assert ending["verdict"] == "flat"
            assert len(the.poster.attempts) == 1
            assert the.poster.taken == []

    async def test_a_fault_of_ours_ends_neither_a_command_nor_the_telling(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Neither where a notification is made, nor where it is posted."""
        async with telling(FakeVenue(not_covered=("x",))) as the:

            def broken(*_arguments: Any, **_parameters: Any) -> None:
                raise RuntimeError("ours")

            with monkeypatch.context() as patched:
                patched.setattr(module, "of_ending", broken)
                assert (await the.node.carried_out(Action.CLOSE_ALL))["state"] == "done"
            with monkeypatch.context() as patched:
                patched.setattr(the.poster, "answers", [ValueError])
                await the.node.carried_out(Action.CLOSE_ALL)
            await until(lambda: "not_flat" in the.events)


def _silent() -> Teller:
    names: dict[UUID, str] = {}
    return Teller(
        tenant="acme", node_id="node-1", names=names, happenings=frozenset(Happening), scrub=lambda text: text
    )
