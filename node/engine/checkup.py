"""Examines one account: everything that a command in the worst minute would depend on. Places and cancels nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final
from uuid import UUID

from node.domain.plan import Scope, plan_slice
from node.domain.result import Document
from node.domain.snapshot import Position, SliceSnapshot
from node.domain.steps import ClosePosition, OrderIds, Outcome, Refusal
from node.engine.account import AccountTerms
from node.engine.venue_port import ExaminedVenue
from node.errors import VenueDenied, VenueError

#: A clock that is further off than this needs to be set: venues refuse what is older or younger than some seconds.
CLOCK_WARNING_MS: Final = 1000.0
CLOCK_FAULT_MS: Final = 5000.0
#: Less than this part of a request budget left is worth a warning.
BUDGET_WARNING: Final = 0.3
#: What the examination may take in all.
PATIENCE_S: Final = 30.0


class Severity(StrEnum):
    """What a finding asks of the operator."""

    OK = "ok"
    WARNING = "warning"  # read it
    TROUBLE = "trouble"  # it may pass; look again
    FAULT = "fault"  # a person must act


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    code: str
    severity: Severity
    message: str
    slice: str | None = None

    def document(self) -> Document:
        """For machines."""
        found = {"code": self.code, "severity": self.severity.value, "message": self.message}
        return found if self.slice is None else {**found, "slice": self.slice}


@dataclass(slots=True, kw_only=True)
class Checkup:
    """Of one account, before any command."""

    terms: AccountTerms
    venue: ExaminedVenue
    findings: list[Finding] = field(default_factory=list)

    async def carry_out(self) -> list[Finding]:
        """Everything that can be found out within ``PATIENCE_S``. Never raises for what the venue does."""
        if not self.venue.profiled:
            text = "no profile was made for this venue: it is read by what ccxt has in common for all, and proves less"
            self._find("NO_PROFILE", Severity.WARNING, text)
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._arm()
                await self._probe()
                for name in self.venue.slices:
                    await self._slice(name)
        except TimeoutError:
            self._find("TIMEOUT", Severity.TROUBLE, f"not finished within {PATIENCE_S:.0f} s")
        self._key()
        self._clock()
        self._sockets()
        for name in self.venue.not_covered:
            self._find("NOT_COVERED", Severity.WARNING, f"{name} is not read: nothing there is closed or proven")
        for name in self.venue.unverified:
            self._find("UNVERIFIED", Severity.WARNING, f"the venue cannot show: {name}")
        return self.findings

    async def _arm(self) -> None:
        try:
            await self.venue.arm()
        except VenueError as error:
            self._fail(error)
        else:
            round_trip_ms = self.venue.round_trip_ms()
            told = "" if round_trip_ms is None else f", round trip {round_trip_ms:.0f} ms"
            self._find("REACHABLE", Severity.OK, f"markets, clock and key were read{told}")

    async def _probe(self) -> None:
        try:
            result = await self.venue.probe()
        except VenueError as error:
            self._fail(error)
            return
        if result.outcome is Outcome.DONE:
            self._find("MAY_TRADE", Severity.OK, "the venue looked for an order that we asked it to cancel")
        elif result.refusal is Refusal.PERMISSION:
            self._find("PERMISSION", Severity.WARNING, f"this node's own permission is only {self.terms.permission}")
        else:
            why = result.message or (result.refusal.value if result.refusal else "no clear answer")
            severity = Severity.FAULT if result.refusal is Refusal.DENIED else Severity.TROUBLE
            self._find("MAY_NOT_TRADE", severity, f"the right to trade could not be shown: {why}")

    async def _slice(self, name: str) -> None:
        try:
            snapshot = await self.venue.read_proof(name)
        except VenueError as error:
            self._fail(error, slice_name=name)
            return
        self._find("READ", Severity.OK, self._would_be_done(snapshot), slice_name=name)
        if modes := _modes(snapshot.positions):
            self._find("POSITION_MODE", Severity.OK, modes, slice_name=name)

    def _would_be_done(self, snapshot: SliceSnapshot) -> str:
        plan = plan_slice(
            snapshot,
            Scope(),
            self.venue.rules(snapshot.slice),
            ids=OrderIds(command_id=UUID(int=0), account_id=self.terms.account_id, attempt=0, round=1),
            memory={},
            max_slippage=self.terms.execution.max_slippage,
            fresh=True,
        )
        closes = sum(isinstance(step, ClosePosition) for step in plan.steps)
        return (
            f"{len(snapshot.positions)} positions, {len(snapshot.orders or ())} orders, {len(snapshot.balances or ())}"
            f" coins; a CLOSE_ALL now would place {closes} closing orders"
        )

    def _key(self) -> None:
        facts = self.venue.key_facts
        if facts is None:
            self._find("KEY_UNREAD", Severity.WARNING, "what the key may do was not read")
            return
        if facts.may_withdraw:
            self._find("MAY_WITHDRAW", Severity.WARNING, "THE KEY MAY WITHDRAW: take that right from it")
        elif facts.may_withdraw is None:
            self._find("WITHDRAWAL_UNKNOWN", Severity.WARNING, "the venue does not tell whether the key may withdraw")
        else:
            self._find("MAY_NOT_WITHDRAW", Severity.OK, "the key may not withdraw")
        if facts.may_trade is False:
            self._find("MAY_NOT_TRADE", Severity.FAULT, "the key may not trade")
        if facts.bound_to_addresses is False:
            self._find("ANY_ADDRESS", Severity.WARNING, "the key works from every address: bind it to the node's")
        elif facts.bound_to_addresses:
            self._find("BOUND", Severity.OK, "the key is bound to addresses")
        if facts.account is not None:
            self._find("ACCOUNT", Severity.OK, f"the account is {facts.account}")
        if facts.hedged is not None:
            self._find("POSITION_MODE", Severity.OK, "hedge mode" if facts.hedged else "one-way mode")

    def _clock(self) -> None:
        offset_ms = self.venue.clock_offset_ms()
        if offset_ms is None:
            self._find("CLOCK_UNKNOWN", Severity.WARNING, "the venue's clock was not read")
            return
        off = abs(offset_ms)
        severity = (
            Severity.FAULT if off > CLOCK_FAULT_MS else Severity.WARNING if off > CLOCK_WARNING_MS else Severity.OK
        )
        self._find("CLOCK", severity, f"the venue's clock is {offset_ms:+.0f} ms from ours")

    def _sockets(self) -> None:
        warm = self.venue.warm_sockets()
        told = ", ".join(f"{host} {count}" for host, count in sorted(warm.items()))
        severity = Severity.OK if warm and all(warm.values()) else Severity.WARNING
        self._find("SOCKETS", severity, f"warm connections: {told or 'none'}")
        for bucket, left in sorted(self.venue.budget_left().items()):
            severity = Severity.WARNING if left < BUDGET_WARNING else Severity.OK
            self._find("BUDGET", severity, f"{left:.0%} of the request budget {bucket!r} is left")

    def _fail(self, error: VenueError, *, slice_name: str | None = None) -> None:
        severity = Severity.FAULT if isinstance(error, VenueDenied) else Severity.TROUBLE
        self._find(error.code, severity, str(error), slice_name=slice_name)

    def _find(self, code: str, severity: Severity, message: str, *, slice_name: str | None = None) -> None:
        self.findings.append(Finding(code=code, severity=severity, message=message, slice=slice_name))


def _modes(positions: Iterable[Position]) -> str:
    """How what is held is kept; empty if nothing is held."""
    words = {
        f"{'hedge' if each.hedged else 'one-way'} mode, {'isolated' if each.isolated else 'cross'} margin"
        for each in positions
    }
    return "; ".join(sorted(words))
