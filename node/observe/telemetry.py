"""Turns what happens in the engine into metrics."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from node.clock import Clock
from node.domain.command import Command, CommandState, RejectCode
from node.domain.result import Document
from node.domain.steps import Outcome, StepResult
from node.engine.account import AccountTerms
from node.engine.actor import AccountActor
from node.engine.desk import Desk
from node.engine.incoming import InboxObserver
from node.engine.lock_ledger import LockLedger
from node.engine.outbox import Outbox
from node.observe.metrics import Metrics

SAMPLE_EVERY_S: Final = 1.0


class Telemetry:
    """Observes; never in anybody's way."""

    def __init__(self, metrics: Metrics, *, names: Mapping[UUID, str]) -> None:
        self._metrics = metrics
        self._names = names

    def inbox_observer(self) -> InboxObserver:
        """For the inbox."""
        return InboxObserver(rejected=self._rejected, duplicate=self._metrics.duplicates_total.inc)

    def _rejected(self, code: RejectCode) -> None:
        self._metrics.rejected_total.labels(reason=code.value).inc()

    def step(self, account: AccountTerms, result: StepResult) -> None:
        """One step at a venue has ended."""
        self._metrics.orders_total.labels(exchange=account.exchange, outcome=result.outcome.value).inc()
        if result.refusal is not None:
            self._metrics.venue_errors_total.labels(exchange=account.exchange, kind=result.refusal.value).inc()

    def guarded(self, account: AccountTerms, document: Document) -> None:
        """The guard of an account has intervened."""
        for step in document["steps"]:
            if step["outcome"] != Outcome.DONE.value:
                continue
            self._metrics.guard_interventions_total.labels(account=account.name, kind=step["deed"]).inc()

    def event(self, command: Command, document: Document) -> None:
        """A command has a new state."""
        if not CommandState(document["state"]).ended:
            return
        action = command.action.value
        self._metrics.commands_total.labels(
            action=action, door=command.door.value, outcome=document["verdict"] or document["state"]
        ).inc()
        if not command.dry_run:
            self._metrics.observe_stages(action, document["latency_ms"])

    async def run(
        self, *, desk: Desk, outbox: Outbox, actors: Sequence[AccountActor], ledger: LockLedger, clock: Clock
    ) -> None:
        """Sample what has no event of its own, until cancelled."""
        while True:
            self._metrics.outbox_depth.set(outbox.depth)
            received = [at for actor in actors if (at := actor.oldest_received_ns()) is not None]
            oldest_s = (clock.monotonic_ns() - min(received)) / 1e9 if received else 0.0
            self._metrics.oldest_unfinished_command_seconds.set(oldest_s)
            for actor in actors:
                self._sample(actor, desk, ledger, clock)
            await asyncio.sleep(SAMPLE_EVERY_S)

    def _sample(self, actor: AccountActor, desk: Desk, ledger: LockLedger, clock: Clock) -> None:
        metrics, terms = self._metrics, actor.context.terms
        lock = ledger.get(terms.account_id)
        metrics.engine_locked.labels(account=terms.name).set(lock.locked)
        metrics.lock_epoch.labels(account=terms.name).set(lock.epoch)
        metrics.account_armed.labels(account=terms.name).set(actor.healthy)
        metrics.guard_active.labels(account=terms.name).set(actor.guard.active)
        metrics.guard_interval_seconds.labels(account=terms.name).set(actor.guard.interval_s())
        metrics.guard_spaced.labels(account=terms.name).set(actor.guard.spaced)
        offset_ms = actor.context.venue.clock_offset_ms()
        if offset_ms is not None:
            metrics.venue_clock_offset_seconds.labels(account=terms.name).set(offset_ms / 1e3)
        for name in actor.context.venue.slices:
            age_s = actor.context.view.age_s(name)
            if age_s is not None:
                metrics.snapshot_age_seconds.labels(account=terms.name, slice=name).set(age_s)
        drilled_at = desk.drilled_at.get(terms.account_id)
        # One that was never drilled is older than any limit.
        age_s = math.inf if drilled_at is None else (clock.now() - drilled_at).total_seconds()
        metrics.drill_age_seconds.labels(account=terms.name).set(age_s)
