"""What it takes to close a position, exercised before it is asked for.

Code that has never run is slower by half: an interpreter specialises what it has seen a few times. Nothing leaves,
nothing stays and nothing is counted: the record, planning, requests, signatures and the gate, up to the socket.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from hashlib import sha256
from typing import Final
from uuid import uuid4

import structlog

from node.clock import Clock
from node.domain.command import THE_NODE, Action, Command, Door
from node.domain.latency import Stopwatch
from node.domain.plan import Scope, plan_slice
from node.domain.snapshot import SliceSnapshot
from node.domain.steps import OrderIds
from node.engine.account import AccountTerms
from node.engine.departures import Departures
from node.engine.ports import Admission, Journal
from node.engine.venue_port import Venue
from node.engine.view import AccountView
from node.errors import JournalUnavailable

#: As often as an interpreter wants to see a function before it specialises it, and some more.
TIMES: Final = 20
#: After another account of the same exchange there is only what belongs to the account.
TIMES_AGAIN: Final = 2

log = structlog.get_logger(__name__)


class Rehearsal:
    """Of one account: once, as soon as it holds a position."""

    def __init__(
        self,
        terms: AccountTerms,
        journal: Journal,
        venue: Venue,
        view: AccountView,
        clock: Clock,
        *,
        departures: Departures,
        rehearsed: set[tuple[str, ...]],
    ) -> None:
        """*rehearsed*: what has been rehearsed in this process, by any account: the record, slices of exchanges."""
        self._departures = departures
        self._rehearsed = rehearsed
        self._terms = terms
        self._journal = journal
        self._venue = venue
        self._view = view
        self._clock = clock

    async def run(self) -> None:
        """Wait for a position, and close it in thought."""
        await self._position_seen()
        began_ns = self._clock.monotonic_ns()
        for _ in range(self._times("record")):
            await self._departures.reads_out()  # a command that comes now goes first
            await self._record_in_thought()
        for snapshot in self._held():
            for _ in range(self._times(self._terms.exchange, snapshot.slice)):
                await self._departures.reads_out()
                await self._close_in_thought(snapshot)
                await asyncio.sleep(0)
        took_ms = (self._clock.monotonic_ns() - began_ns) / 1e6
        log.info("close_rehearsed", account=self._terms.name, took_ms=round(took_ms, 1))

    def _times(self, *what: str) -> int:
        times = TIMES_AGAIN if what in self._rehearsed else TIMES
        self._rehearsed.add(what)
        return times

    async def _position_seen(self) -> None:
        seen = asyncio.Event()

        def look(snapshot: SliceSnapshot) -> None:
            if snapshot.positions:
                seen.set()

        if self._held():
            return
        self._view.listeners.append(look)
        try:
            await seen.wait()
        finally:
            self._view.listeners.remove(look)

    def _held(self) -> list[SliceSnapshot]:
        """Slices with positions, each cut down to one."""
        seen = [self._view.last(name) for name in self._venue.derivative_slices]
        return [
            replace(each.snapshot, positions=each.snapshot.positions[:1], orders=())
            for each in seen
            if each is not None and each.snapshot.positions
        ]

    async def _record_in_thought(self) -> None:
        now, account_id = self._clock.now(), self._terms.account_id
        command = Command(
            command_id=uuid4(),
            account_id=account_id,
            action=Action.CLOSE_ALL,
            issuer=THE_NODE,
            door=Door.DIRECT,
            issued_at=now,
            received_at=now,
            content_digest=sha256().hexdigest(),
        )
        stopwatch = Stopwatch(received_ns=self._clock.monotonic_ns())
        latch = {account_id: self._terms.execution.latch_by_default}
        try:
            await self._journal.rehearse(Admission(commands=(command,), latch_by_default=latch, stopwatch=stopwatch))
        except JournalUnavailable:
            return  # it is being looked after

    async def _close_in_thought(self, snapshot: SliceSnapshot) -> None:
        plan = plan_slice(
            snapshot,
            Scope(),
            self._venue.rules(snapshot.slice),
            ids=OrderIds(command_id=uuid4(), account_id=self._terms.account_id, attempt=0, round=0),
            memory={},
            max_slippage=self._terms.execution.max_slippage,
            fresh=False,
        )
        for step in plan.steps:
            await self._venue.rehearse(step)
