"""One live command: what it wants, what was done for it, and the events that tell of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from node.domain.assess import Aim, Assessment
from node.domain.command import Action, Command, CommandState
from node.domain.latency import Stopwatch
from node.domain.lock import AccountLock
from node.domain.plan import Scope
from node.domain.result import Document, ErrorReport, Findings, OrderCounts, Verdict, result_document
from node.domain.steps import (
    CancelOrders,
    CancelSymbol,
    ClosePosition,
    ConvertAsset,
    Outcome,
    Refusal,
    RepayDebt,
    SpotOrder,
    StepResult,
)
from node.engine.account import AccountTerms
from node.engine.ports import Event, LockChange
from node.engine.venue_port import Venue


class LiveCommand:
    """A command that closes, from acceptance to its ending. Owned by its account's actor."""

    def __init__(
        self,
        command: Command,
        stopwatch: Stopwatch,
        account: AccountTerms,
        *,
        node_id: str,
        attempt: int = 0,
        counted: OrderCounts | None = None,
    ) -> None:
        """*counted*: what an earlier run has told of its orders."""
        self.command = command
        self.stopwatch = stopwatch
        self.attempt = attempt
        self.state = CommandState.ACCEPTED
        self.counts = OrderCounts() if counted is None else replace(counted)
        self.rounds = 0
        #: Monotonic: a hold lifts only on proofs that began after this; None until the first proof.
        self.settled_from_ns: int | None = None
        self._account = account
        self._node_id = node_id
        self._scope = Scope(symbols=frozenset(command.symbols) or None)

    @property
    def scope(self) -> Scope:
        """Which symbols it is about."""
        return self._scope

    @property
    def flattens(self) -> bool:
        """Whether it sells balances."""
        return self.command.action is Action.FLATTEN

    @property
    def latches(self) -> bool:
        """Whether the account stays locked after it; otherwise it holds the lock for its own length."""
        wish = self.command.latch
        return self._account.execution.latch_by_default if wish is None else wish

    def slices(self, venue: Venue) -> tuple[str, ...]:
        """The slices it must be proven in."""
        if not self.command.symbols:
            return venue.slices
        wanted = {name for symbol in self.command.symbols for name in venue.slices_of(symbol)}
        return tuple(name for name in venue.slices if name in wanted)

    def aim(
        self, venue: Venue, *, symbols_certain: bool = True, proofs_from_ns: int = 0, proofs_until_ns: int = 0
    ) -> Aim:
        """What the assessment holds the venue's answers against."""
        whole = not self.command.symbols
        return Aim(
            action=self.command.action,
            scope=self._scope,
            terms=self._account.flatten,
            not_covered=venue.not_covered if whole else (),
            unverified=venue.unverified,
            unknown_symbols=tuple(symbol for symbol in self.command.symbols if not venue.slices_of(symbol)),
            symbols_certain=symbols_certain,
            proofs_from_ns=max(self.stopwatch.received_ns, proofs_from_ns),
            proofs_until_ns=proofs_until_ns,
        )

    def account_for(self, result: StepResult) -> None:
        """Count a step that was done (also) for this command."""
        step = result.step
        if not self._scope.covers(step.symbol):
            return
        if result.sent_ns is not None and isinstance(step, ClosePosition | SpotOrder | ConvertAsset):
            self.stopwatch.order_sent(result.sent_ns)
            self.stopwatch.order_ended(result.ended_ns)
        match result.outcome:
            case Outcome.AMBIGUOUS:
                self.counts.ambiguous += 1
            case Outcome.REFUSED:
                gone_already = result.refusal is Refusal.UNKNOWN_ORDER and isinstance(step, CancelOrders | CancelSymbol)
                self.counts.rejected += not gone_already
            case Outcome.DONE if isinstance(step, CancelOrders):
                self.counts.cancelled += len(step.order_ids)
            case Outcome.DONE if isinstance(step, CancelSymbol):
                self.counts.cancelled += step.seen
            case Outcome.DONE if not isinstance(step, RepayDebt):
                self.counts.placed += 1
            case _:
                pass

    def event(
        self,
        state: CommandState,
        assessment: Assessment | None,
        venue: Venue,
        *,
        now: datetime,
        now_ns: int,
        errors: tuple[ErrorReport, ...] = (),
        findings: Findings | None = None,
    ) -> Event:
        """The event of reaching *state*; its document is built when the journal knows the lock."""
        self.state = state
        findings = findings or self._findings(state, assessment, venue)
        latency_ms = self.stopwatch.as_milliseconds(now_ns)
        command, node_id = self.command, self._node_id

        def document(lock: AccountLock | None) -> Document:
            return result_document(
                command,
                state,
                node_id=node_id,
                at=now,
                latency_ms=latency_ms,
                lock=lock,
                findings=findings,
                errors=errors,
            )

        may_release = state is CommandState.DONE and assessment is not None and assessment.may_release
        return Event(
            command=command,
            state=state,
            document=document,
            lock_change=self._lock_change(state, may_release=may_release),
        )

    def _lock_change(self, state: CommandState, *, may_release: bool) -> LockChange | None:
        if not state.ended or self.latches or self.command.dry_run or self.command.account_id is None:
            return None
        return LockChange(
            account_id=self.command.account_id, release=self.command.command_id, keep_locked=not may_release
        )

    def _findings(self, state: CommandState, assessment: Assessment | None, venue: Venue) -> Findings:
        aim = self.aim(venue)
        found = Findings(
            verdict=Verdict.DRILL_FAILED if self.command.dry_run else Verdict.UNKNOWN,
            rounds=self.rounds,
            orders=replace(self.counts),
            scope=self.slices(venue),
            not_covered=aim.not_covered,
            unverified=aim.unverified,
        )
        if assessment is None:
            return found
        verdict = assessment.verdict
        if state is not CommandState.DONE and assessment.complete:
            verdict = Verdict.NOT_FLAT  # not claimed before it is done
        return replace(
            found,
            verdict=verdict,
            positions=assessment.positions,
            balances=assessment.balances,
            net_exposure=assessment.net_exposure,
            unverified=assessment.unverified,
            evidence=assessment.evidence,
            errors=assessment.errors,
        )
