"""Turns what happens in the engine into metrics."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Concatenate, Final, ParamSpec
from uuid import UUID

import structlog

from node.clock import Clock
from node.domain.command import Command, CommandState, RejectCode
from node.domain.key_facts import KeyFacts
from node.domain.result import Document
from node.domain.steps import Outcome, StepResult
from node.engine.account import AccountTerms
from node.engine.actor import AccountActor
from node.engine.desk import Desk
from node.engine.incoming import InboxObserver
from node.engine.lock_ledger import LockLedger
from node.engine.outbox import Outbox
from node.observe.metrics import GUARD_ALERTS, Metrics

SAMPLE_EVERY_S: Final = 1.0
#: The error code of a drill that a real command has stopped: it says nothing of the account.
PREEMPTED: Final = "PREEMPTED"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where the figures come from that have no event of their own. Everything answers from memory."""

    desk: Desk
    outbox: Outbox
    actors: Sequence[AccountActor]
    ledger: LockLedger
    clock: Clock
    #: Whether the whole node is well.
    ready: Callable[[], bool]
    #: By exchange and bucket: what is left, as a part of 1.
    budgets_left: Callable[[], Mapping[tuple[str, str], float]]
    #: What a venue has said of an account's key.
    key_facts: Callable[[UUID], KeyFacts | None]


P = ParamSpec("P")


def harmless(method: Callable[Concatenate[Telemetry, P], None]) -> Callable[Concatenate[Telemetry, P], None]:
    """Whatever goes wrong in counting is logged, and never raised into what is counted."""

    @wraps(method)
    def guarded(self: Telemetry, /, *arguments: P.args, **named: P.kwargs) -> None:
        try:
            method(self, *arguments, **named)
        except Exception:
            # The supervisor: whoever calls is busy with a command.
            log.exception("metric_not_counted", method=method.__name__)

    return guarded


class Telemetry:
    """Observes; never in anybody's way."""

    def __init__(self, metrics: Metrics, clock: Clock, *, accounts: Iterable[AccountTerms]) -> None:
        self._metrics = metrics
        self._clock = clock
        terms = tuple(accounts)
        self._names = {each.account_id: each.name for each in terms}
        #: By exchange: when it last answered, or when we began to listen.
        self._answered_ns = {each.exchange: clock.monotonic_ns() for each in terms}
        metrics.begin(accounts=self._names.values(), exchanges=self._answered_ns)

    def inbox_observer(self, is_unjournaled: Callable[[UUID], bool]) -> InboxObserver:
        """For the inbox; *is_unjournaled* says whether a command is carried out without the journal."""

        return InboxObserver(
            accepted=lambda command: self._accepted(command, unjournaled=is_unjournaled(command.command_id)),
            rejected=self._rejected,
            duplicate=self._metrics.duplicates_total.inc,
        )

    @harmless
    def _accepted(self, command: Command, *, unjournaled: bool) -> None:
        self._metrics.commands_accepted_total.labels(action=command.action.value, door=command.door.value).inc()
        if unjournaled:
            self._metrics.unjournaled_commands_total.inc()

    @harmless
    def _rejected(self, code: RejectCode) -> None:
        self._metrics.rejected_total.labels(reason=code.value).inc()

    @harmless
    def request(self, exchange: str, outcome: str, round_trip_s: float | None) -> None:
        """One request to a venue has ended, as one of ``REQUEST_OUTCOMES``."""
        self._metrics.venue_requests_total.labels(exchange=exchange, outcome=outcome).inc()
        if round_trip_s is not None:
            self._metrics.venue_round_trip_seconds.labels(exchange=exchange).observe(round_trip_s)
        if outcome in ("answered", "refused"):
            self._answered_ns[exchange] = self._clock.monotonic_ns()

    @harmless
    def step(self, account: AccountTerms, result: StepResult) -> None:
        """One step at a venue has ended."""
        self._metrics.orders_total.labels(exchange=account.exchange, outcome=result.outcome.value).inc()
        if result.refusal is not None:
            self._metrics.venue_errors_total.labels(exchange=account.exchange, kind=result.refusal.value).inc()

    @harmless
    def guarded(self, account: AccountTerms, document: Document) -> None:
        """The guard of an account has intervened."""
        for step in document["steps"]:
            if step["outcome"] != Outcome.DONE.value:
                continue
            self._metrics.guard_interventions_total.labels(account=account.name, kind=step["deed"]).inc()

    @harmless
    def event(self, command: Command, document: Document) -> None:
        """A command has a new state."""
        state = CommandState(document["state"])
        if not state.ended:
            return
        action = command.action.value
        self._metrics.commands_total.labels(
            action=action, door=command.door.value, outcome=document["verdict"] or document["state"]
        ).inc()
        name = None if command.account_id is None else self._names.get(command.account_id)
        if not command.dry_run:
            self._metrics.observe_stages(action, document["latency_ms"])
            if name is not None:
                self._metrics.account_commands_total.labels(account=name, state=state.value).inc()
        elif name is not None and command.action.closes:
            self._drilled(name, action, state, document)

    def _drilled(self, name: str, action: str, state: CommandState, document: Document) -> None:
        if any(error["code"] == PREEMPTED for error in document["errors"]):
            return
        passed = state is CommandState.DONE
        self._metrics.drills_total.labels(account=name, outcome="passed" if passed else "failed").inc()
        if passed:
            self._metrics.observe_stages(action, document["latency_ms"], drill=True)

    async def run(self, sources: Sources) -> None:
        """Sample what has no event of its own, until cancelled."""
        while True:
            try:
                self.sample(sources)
            except Exception:
                # The supervisor: figures that cannot be had must not take the node with them.
                log.exception("metrics_not_sampled")
            await asyncio.sleep(SAMPLE_EVERY_S)

    def sample(self, sources: Sources) -> None:
        """Take every gauge's value."""
        metrics, now_ns = self._metrics, sources.clock.monotonic_ns()
        metrics.ready.set(sources.ready())
        metrics.asyncio_tasks.set(len(asyncio.all_tasks()))
        metrics.outbox_depth.set(sources.outbox.depth)
        ages_s = [self._sample(actor, sources, now_ns) for actor in sources.actors]
        metrics.oldest_unfinished_command_seconds.set(max(ages_s, default=0.0))
        for exchange, answered_ns in self._answered_ns.items():
            metrics.venue_answer_age_seconds.labels(exchange=exchange).set((now_ns - answered_ns) / 1e9)
        for (exchange, bucket), left in sources.budgets_left().items():
            metrics.venue_budget_left_ratio.labels(exchange=exchange, bucket=bucket).set(left)

    def _sample(self, actor: AccountActor, sources: Sources, now_ns: int) -> float:
        """One account's gauges; the age of its oldest live command, in seconds."""
        metrics, terms = self._metrics, actor.context.terms
        name, view, venue = terms.name, actor.context.view, actor.context.venue
        received_ns = actor.oldest_received_ns()
        unfinished_s = 0.0 if received_ns is None else (now_ns - received_ns) / 1e9
        metrics.account_unfinished_seconds.labels(account=name).set(unfinished_s)
        metrics.account_deadline_seconds.labels(account=name).set(terms.execution.deadline_s)
        metrics.account_armed.labels(account=name).set(actor.healthy)
        unread = len(view.unread()) if actor.armed.is_set() else len(venue.slices)
        metrics.account_unread_slices.labels(account=name).set(unread)
        for slice_name in venue.slices:
            age_s = view.age_s(slice_name)
            if age_s is not None:
                metrics.snapshot_age_seconds.labels(account=name, slice=slice_name).set(age_s)
        offset_ms = venue.clock_offset_ms()
        if offset_ms is not None:
            metrics.venue_clock_offset_seconds.labels(account=name).set(offset_ms / 1e3)
        facts = sources.key_facts(terms.account_id)
        if facts is not None and facts.may_withdraw is not None:
            metrics.key_may_withdraw.labels(account=name).set(facts.may_withdraw)
        self._sample_lock(actor, sources)
        drilled_at = sources.desk.drilled_at.get(terms.account_id)
        # One that was never drilled is older than any limit.
        age_s = math.inf if drilled_at is None else (sources.clock.now() - drilled_at).total_seconds()
        metrics.drill_age_seconds.labels(account=name).set(age_s)
        return unfinished_s

    def _sample_lock(self, actor: AccountActor, sources: Sources) -> None:
        metrics, terms, guard = self._metrics, actor.context.terms, actor.guard
        name, lock = terms.name, sources.ledger.get(terms.account_id)
        held_s = (sources.clock.now() - lock.since).total_seconds() if lock.locked and lock.since else 0.0
        metrics.engine_locked.labels(account=name).set(lock.locked)
        metrics.lock_epoch.labels(account=name).set(lock.epoch)
        metrics.lock_held_seconds.labels(account=name).set(max(held_s, 0.0))
        metrics.guard_active.labels(account=name).set(guard.active)
        metrics.guard_interval_seconds.labels(account=name).set(guard.interval_s())
        metrics.guard_spaced.labels(account=name).set(guard.spaced)
        raised = {alert.partition(":")[0] for alert in guard.alerts()}
        for alert in GUARD_ALERTS:
            metrics.guard_alerts.labels(account=name, alert=alert).set(alert in raised)
