"""Orders drills that are due: a kill switch that is never exercised does not work."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID, uuid4

import structlog

from node.clock import Clock
from node.domain.command import THE_NODE, Action, Door, Request
from node.engine.actor import AccountActor
from node.engine.inbox import Inbox

#: How often the schedule is looked at.
TICK_S: Final = 5.0
#: A drill that failed is ordered again so soon, not only after the whole period.
AGAIN_AFTER_FAILURE: Final = timedelta(minutes=15)
#: A drill that has not ended so long after its account's deadline hangs: the others are drilled all the same.
HANGS_AFTER_S: Final = 60.0

log = structlog.get_logger(__name__)


@dataclass(slots=True, kw_only=True)
class DrillSchedule:
    """Each account in turn, never two at once: they share request budgets."""

    every: timedelta
    action: Action
    actors: Mapping[UUID, AccountActor]
    inbox: Inbox
    clock: Clock
    #: When a drill of an account last passed, also in earlier runs.
    drilled_at: Mapping[UUID, datetime]
    _ordered_at: dict[UUID, datetime] = field(default_factory=dict)
    #: When each drill that is under way was first seen; monotonic.
    _seen_ns: dict[UUID, int] = field(default_factory=dict)

    async def run(self) -> None:
        """Order drills until cancelled."""
        while True:
            await asyncio.sleep(TICK_S)
            account_id = self.due()
            if account_id is not None:
                await self.order(account_id)

    def due(self) -> UUID | None:
        """The account that has waited longest beyond its time; None while none is due and free, or one is drilled."""
        if self._drilling() or not self.inbox.journal.healthy:
            return None  # what cannot be put on record would be due again at the next start
        now = self.clock.now()
        waiting = {account_id: now - self._due_at(account_id, now) for account_id in self.actors}
        ready = [
            account_id
            for account_id, overdue in waiting.items()
            if overdue >= timedelta(0) and _free(self.actors[account_id])
        ]
        return max(ready, key=lambda account_id: waiting[account_id], default=None)

    def _drilling(self) -> bool:
        """Whether a drill is under way, whoever ordered it; one that hangs does not count."""
        now_ns = self.clock.monotonic_ns()
        running = {drill: actor for actor in self.actors.values() for drill in actor.drilling}
        self._seen_ns = {drill: self._seen_ns.get(drill, now_ns) for drill in running}
        return any(
            (now_ns - self._seen_ns[drill]) / 1e9 < actor.context.terms.execution.deadline_s + HANGS_AFTER_S
            for drill, actor in running.items()
        )

    def _due_at(self, account_id: UUID, now: datetime) -> datetime:
        passed, ordered = self.drilled_at.get(account_id), self._ordered_at.get(account_id)
        # Not later than a whole period from now: the clock may have been set back since.
        at = min(passed, now) + self.every if passed else now
        return max(at, ordered + min(AGAIN_AFTER_FAILURE, self.every)) if ordered else at

    async def order(self, account_id: UUID) -> None:
        """Order one drill."""
        self._ordered_at[account_id] = self.clock.now()
        request = Request(
            command_id=uuid4(),
            account_id=account_id,
            action=self.action,
            issuer=THE_NODE,
            door=Door.DIRECT,
            dry_run=True,
            reason="scheduled drill",
        )
        submission = await self.inbox.submit(request)
        if submission.rejection is not None:
            log.warning("scheduled_drill_rejected", account_id=str(account_id), code=submission.rejection.code.value)


def _free(actor: AccountActor) -> bool:
    return actor.healthy and not actor.live and not actor.drilling
