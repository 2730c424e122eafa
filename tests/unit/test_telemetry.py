"""Telemetry: what happens in the engine, as a Prometheus server will see it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from node.clock import SystemClock
from node.domain.command import Action, Command, CommandState, RejectCode
from node.domain.guard_mode import GuardMode, GuardModes
from node.domain.key_facts import KeyFacts
from node.domain.permission import Permission
from node.domain.result import Document
from node.engine.account import ExecutionTerms
from node.engine.departures import Departures
from node.engine.outbox import Outbox
from node.errors import VenueUnavailable
from node.observe.metric_list import PREFIX
from node.observe.metrics import Metrics
from node.observe.telemetry import Sources, Telemetry
from tests.support.engine import ACCOUNT, Engine, engine
from tests.support.fake_venue import LINEAR, FakeVenue, ambiguous, position
from tests.support.waiting import until

BTC = "BTC/USDT:USDT"
NAME = "account-0"


@dataclass(slots=True, kw_only=True)
class Watched:
    """An engine whose every event is counted."""

    node: Engine
    metrics: Metrics
    telemetry: Telemetry
    clock: SystemClock = field(default_factory=SystemClock)
    facts: KeyFacts | None = None

    def value(self, name: str, **labels: str) -> float | None:
        """A series' value; None where there is none."""
        return self.metrics.registry.get_sample_value(f"{PREFIX}_{name}", labels)

    def sample(self) -> None:
        """Take every gauge's value now."""
        self.telemetry.sample(
            Sources(
                desk=self.node.desk,
                outbox=Outbox(self.node.journal, None, lambda _document, _reply_to: [], Departures()),
                actors=list(self.node.dispatcher.actors.values()),
                ledger=self.node.ledger,
                clock=self.clock,
                ready=lambda: True,
                budgets_left=lambda: {("fake", "weight"): 0.25},
                key_facts=lambda _account_id: self.facts,
            )
        )


@asynccontextmanager
async def watched(
    venue: FakeVenue, *, execution: ExecutionTerms | None = None, permission: Permission = Permission.CLOSE
) -> AsyncIterator[Watched]:
    """Armed, and counted from the first command on."""
    async with engine(venue, execution=execution, permission=permission) as node:
        metrics, clock = Metrics("1.0"), SystemClock()
        terms = [actor.context.terms for actor in node.dispatcher.actors.values()]
        telemetry = Telemetry(metrics, clock, accounts=terms)
        node.inbox.observer = telemetry.inbox_observer(node.scribe.is_unjournaled)
        engines_own = node.scribe.on_event

        def on_event(command: Command, document: Document) -> None:
            engines_own(command, document)
            telemetry.event(command, document)

        node.scribe.on_event = on_event
        await node.armed()
        yield Watched(node=node, metrics=metrics, telemetry=telemetry, clock=clock)


async def test_a_close_is_counted_by_action_door_and_account_and_timed_by_stage() -> None:
    """Once each."""
    async with watched(FakeVenue(positions=[position(BTC, "1")])) as the:
        await the.node.carried_out(Action.CLOSE_ALL)
        assert the.value("commands_accepted_total", action="CLOSE_ALL", door="operator") == 1
        assert the.value("commands_total", action="CLOSE_ALL", door="operator", outcome="flat") == 1
        assert the.value("account_commands_total", account=NAME, state="done") == 1
        assert the.value("account_commands_total", account=NAME, state="failed") == 0
        assert the.value("command_stage_seconds_count", action="CLOSE_ALL", stage="proof") == 1
        assert the.value("drill_stage_seconds_count", action="CLOSE_ALL", stage="proof") == 0


async def test_a_drill_is_no_command_of_the_account() -> None:
    """It has counters and stages of its own."""
    async with watched(FakeVenue(positions=[position(BTC, "1")])) as the:
        the.sample()
        assert the.value("drill_age_seconds", account=NAME) == math.inf
        await the.node.carried_out(Action.CLOSE_ALL, dry_run=True)
        the.sample()
        assert the.value("drills_total", account=NAME, outcome="passed") == 1
        assert the.value("account_commands_total", account=NAME, state="done") == 0
        assert the.value("command_stage_seconds_count", action="CLOSE_ALL", stage="proof") == 0
        assert the.value("drill_stage_seconds_count", action="CLOSE_ALL", stage="proof") == 1
        assert (the.value("drill_age_seconds", account=NAME) or 0) < 60


async def test_a_drill_fails_where_the_account_cannot_be_read_and_not_where_a_command_came() -> None:
    """Being stopped by the real thing says nothing of the account."""
    venue = FakeVenue(positions=[position(BTC, "1")])
    async with watched(venue) as the:
        venue.probing.clear()
        drill = await the.node.submit(Action.CLOSE_ALL, dry_run=True)
        await venue.probed.wait()
        await the.node.carried_out(Action.CLOSE_ALL)
        await the.node.ending(drill.document["command_id"])
        venue.probing.set()
        assert the.value("drills_total", account=NAME, outcome="failed") == 0
        venue.unreadable[LINEAR] = VenueUnavailable("gone")
        await the.node.carried_out(Action.CLOSE_ALL, dry_run=True)
        assert the.value("drills_total", account=NAME, outcome="failed") == 1


async def test_an_account_that_cannot_be_proven_shows_what_is_unread_and_how_old_its_command_is() -> None:
    """Beside the deadline that it is held against; and it is not armed."""
    venue = FakeVenue(positions=[position(BTC, "1")])
    async with watched(venue, execution=ExecutionTerms(deadline_s=0.05, settle_s=0.05)) as the:
        venue.unreadable[LINEAR] = VenueUnavailable("gone")
        submission = await the.node.submit(Action.CLOSE_ALL)
        await the.node.until_state(submission.document["command_id"], CommandState.INCOMPLETE)
        the.sample()
        deadline_s = the.value("account_deadline_seconds", account=NAME)
        assert deadline_s == 0.05
        assert (the.value("account_unfinished_seconds", account=NAME) or 0) > deadline_s
        assert the.value("oldest_unfinished_command_seconds") == the.value("account_unfinished_seconds", account=NAME)
        assert the.value("account_unread_slices", account=NAME) == 1
        assert the.value("account_armed", account=NAME) == 0
        assert the.value("commands_total", action="CLOSE_ALL", door="operator", outcome="unknown") is None
        venue.unreadable.clear()
        await the.node.ending(submission.document["command_id"])
        the.sample()
        assert the.value("account_unfinished_seconds", account=NAME) == 0


async def test_a_lock_is_shown_with_its_age_and_what_guards_it() -> None:
    """Free: no age."""
    powerless = ExecutionTerms(guard=GuardModes(after_lock=GuardMode.CANCEL, after_close=GuardMode.REVERT))
    async with watched(FakeVenue(), execution=powerless, permission=Permission.READ) as the:
        the.sample()
        assert the.value("engine_locked", account=NAME) == 0
        assert the.value("lock_held_seconds", account=NAME) == 0
        await the.node.carried_out(Action.LOCK)
        await until(lambda: the.node.ledger.get(ACCOUNT).since != the.clock.now())
        the.sample()
        assert the.value("engine_locked", account=NAME) == 1
        assert (the.value("lock_held_seconds", account=NAME) or 0) > 0
        assert the.value("guard_alerts", account=NAME, alert="GUARD_POWERLESS") == 1
        assert the.value("guard_alerts", account=NAME, alert="GUARD_BLIND") == 0


async def test_what_is_carried_out_without_the_journal_is_counted() -> None:
    """And it is a command like any other besides."""
    async with watched(FakeVenue()) as the:
        the.node.journal.fail_next()
        await the.node.submit(Action.LOCK)
        assert the.value("unjournaled_commands_total") == 1
        assert the.value("commands_accepted_total", action="LOCK", door="operator") == 1


async def test_refusals_are_counted_by_their_code() -> None:
    """Junk and forgeries count there too: the inbox tells of both by the code alone."""
    async with watched(FakeVenue()) as the:
        await the.node.submit(Action.UNLOCK, epoch=7)
        the.node.inbox.observer.rejected(RejectCode.BAD_SIGNATURE)
        assert the.value("rejected_total", reason="STALE_EPOCH") == 1
        assert the.value("rejected_total", reason="BAD_SIGNATURE") == 1


async def test_a_venue_that_only_fails_has_not_answered() -> None:
    """A refusal is an answer; a 503, or none at all, is not."""
    async with watched(FakeVenue()) as the:
        the.sample()
        before_s = the.value("venue_answer_age_seconds", exchange="fake")
        assert before_s is not None
        for outcome in ("failed", "unanswered"):
            the.telemetry.request("fake", outcome, None)
        the.sample()
        after_s = the.value("venue_answer_age_seconds", exchange="fake")
        assert after_s is not None
        assert after_s > before_s
        the.telemetry.request("fake", "refused", 0.02)
        the.sample()
        assert (the.value("venue_answer_age_seconds", exchange="fake") or 0) < after_s
        assert the.value("venue_requests_total", exchange="fake", outcome="failed") == 1
        assert the.value("venue_round_trip_seconds_count", exchange="fake") == 1
        assert the.value("venue_budget_left_ratio", exchange="fake", bucket="weight") == 0.25


async def test_a_right_to_withdraw_is_shown_where_the_venue_tells_of_it() -> None:
    """Silence is no answer: then there is no figure."""
    async with watched(FakeVenue()) as the:
        the.sample()
        assert the.value("key_may_withdraw", account=NAME) is None
        the.facts = KeyFacts(may_withdraw=True)
        the.sample()
        assert the.value("key_may_withdraw", account=NAME) == 1


async def test_an_order_of_unknown_outcome_is_counted_by_its_outcome() -> None:
    """By exchange, not by symbol."""
    venue = FakeVenue(positions=[position(BTC, "1")])
    async with watched(venue) as the:
        await the.node.carried_out(Action.CLOSE_ALL)
        actor = the.node.dispatcher.actors[ACCOUNT]
        the.telemetry.step(actor.context.terms, ambiguous(venue.steps[0]))
        assert the.value("orders_total", exchange="fake", outcome="ambiguous") == 1


async def test_what_cannot_be_counted_harms_nobody() -> None:
    """A document of another shape: the command is carried out all the same, and the next one is counted."""
    async with watched(FakeVenue(positions=[position(BTC, "1")])) as the:
        counting = the.node.scribe.on_event

        def misshapen(command: Command, document: Document) -> None:
            counting(command, document)
            the.telemetry.event(command, {**document, "latency_ms": None})

        the.node.scribe.on_event = misshapen
        ending = await the.node.carried_out(Action.CLOSE_ALL)
        assert ending["verdict"] == "flat"
        the.telemetry.guarded(the.node.dispatcher.actors[ACCOUNT].context.terms, {})
        await the.node.carried_out(Action.LOCK)
        assert the.value("account_commands_total", account=NAME, state="done") == 2


async def test_the_tasks_of_the_loop_are_counted() -> None:
    """One more while it is under way, and none the more for it afterwards."""
    async with watched(FakeVenue(positions=[position(BTC, "1")])) as the:
        the.sample()
        before = the.value("asyncio_tasks")
        task = asyncio.create_task(asyncio.Event().wait(), name="one more")
        the.sample()  # nobody else had a turn in between
        assert before is not None
        assert the.value("asyncio_tasks") == before + 1
        task.cancel()
        await asyncio.wait([task])
        the.sample()
        assert task not in asyncio.all_tasks()
        assert the.value("asyncio_tasks") == len(asyncio.all_tasks())
