"""Drills of one account without a daemon: no journal, no lock, no guard, nothing that is remembered."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from uuid import uuid4

from node.clock import Clock
from node.domain.command import THE_NODE, Action, Command, CommandState, Door, content_digest
from node.domain.latency import Stopwatch
from node.domain.result import Document, ErrorReport, Findings, Verdict
from node.engine.account import AccountTerms
from node.engine.drill import Drill
from node.engine.tracker import LiveCommand
from node.engine.venue_port import Venue
from node.engine.view import WARM_SOCKETS_EVERY_S, AccountView


@dataclass(slots=True, kw_only=True)
class LoneDrills:
    """Carries out the same drill as the daemon, and tells of it in the same document."""

    terms: AccountTerms
    venue: Venue
    view: AccountView
    clock: Clock
    node_id: str
    #: When the connections were last used.
    _warm_ns: int = field(default=0, init=False)

    async def arm(self) -> None:
        """What a daemon does before it takes commands: markets, modes, clock, a first look, warm sockets.

        Raises:
            VenueError: the account is degraded.
        """
        await self.venue.arm()
        await self.view.sweep()
        await self.view.warm_up()
        self._warm_ns = self.clock.monotonic_ns()

    def respite_s(self) -> float:
        """How long to wait until the request budgets bear one more drill and leave half for whoever else needs them."""
        return max((self.venue.respite_s(name) for name in self.venue.slices), default=0.0)

    async def drill(self, action: Action) -> Document:
        """The ending of one drill, which counts from its own beginning. Never raises for what the venue does."""
        if (self.clock.monotonic_ns() - self._warm_ns) / 1e9 > WARM_SOCKETS_EVERY_S:
            await self.view.warm_up()  # as a daemon would have kept them
        began, began_ns = self.clock.now(), self.clock.monotonic_ns()
        command = Command(
            command_id=uuid4(),
            account_id=self.terms.account_id,
            action=action,
            issuer=THE_NODE,
            door=Door.DIRECT,
            dry_run=True,
            issued_at=began,
            received_at=began,
            content_digest=content_digest(action=action.value, account=str(self.terms.account_id), dry_run=True),
        )
        live = LiveCommand(command, Stopwatch(received_ns=began_ns), self.terms, node_id=self.node_id)
        errors: tuple[ErrorReport, ...] = ()
        try:
            async with asyncio.timeout(self.terms.execution.deadline_s):
                findings = await Drill(live=live, context=self).carry_out()
        except TimeoutError:
            findings = Findings(verdict=Verdict.DRILL_FAILED)
            errors = (ErrorReport(code="TIMEOUT", message="not finished within the deadline"),)
        else:
            live.stopwatch.proof_at_ns = self.clock.monotonic_ns()
        self._warm_ns = self.clock.monotonic_ns()
        passed = findings.verdict is Verdict.DRILL_PASSED
        ending = live.event(
            CommandState.DONE if passed else CommandState.FAILED,
            None,
            self.venue,
            now=self.clock.now(),
            now_ns=self.clock.monotonic_ns(),
            errors=errors,
            findings=findings,
        )
        return ending.document(None)
