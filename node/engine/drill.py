"""A command carried out in full, except that nothing is placed or cancelled."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Protocol

from node.domain.flatten import Quote, SpotMarket, spot_pairs, symbols_to_price
from node.domain.forecast import Forecast, Sales, SliceForecast, forecast, released
from node.domain.plan import plan_slice
from node.domain.result import BalanceReport, ErrorReport, Findings, PositionReport, Residue, Verdict
from node.domain.snapshot import SliceSnapshot
from node.domain.steps import ClosePosition, OrderIds, Outcome, StepResult
from node.engine.account import AccountTerms
from node.engine.tracker import LiveCommand
from node.engine.venue_port import Venue
from node.engine.view import AccountView
from node.errors import VenueError


class DrillContext(Protocol):
    """What a drill works with; the engine's ``AccountContext`` has it all."""

    @property
    def terms(self) -> AccountTerms:
        """The account as configured."""

    @property
    def venue(self) -> Venue:
        """The account at its exchange."""

    @property
    def view(self) -> AccountView:
        """Where reads are noted."""


@dataclass(slots=True, kw_only=True)
class Drill:
    """Reads everything as a proof does, plans, holds the plan against the venue's limits, probes the right to trade;
    tells what a real command would meet, how long it would take, and what it would leave.
    """

    live: LiveCommand
    context: DrillContext
    errors: list[ErrorReport] = field(default_factory=list)
    #: In orders; purchases and attempted conversions count as sales.
    planned: dict[str, int] = field(default_factory=lambda: {"closes": 0, "cancels": 0, "sales": 0})
    #: The most rounds of sales, one after the other, that a slice needs.
    rounds_of_sales: int = 0
    proof_ms: float = 0.0

    async def carry_out(self) -> Findings:
        """Never raises for what the venue does: what cannot be read or shown fails the drill."""
        names = self.live.slices(self.context.venue)
        _, *reads = await asyncio.gather(self._probe(), *(self._read(name) for name in names))
        snapshots = [read for read in reads if read is not None]
        if snapshots:
            self.live.stopwatch.snapshot_taken(max(snapshot.ended_ns for snapshot in snapshots))
            self.proof_ms = max(snapshot.ended_ns - snapshot.started_ns for snapshot in snapshots) / 1e6
        for symbol in self.live.aim(self.context.venue).unknown_symbols:
            self._fault("UNKNOWN_SYMBOL", "this venue does not know the symbol", symbol=symbol)
        parts = [await self._plan(snapshot) for snapshot in snapshots]
        foreseen = forecast(
            self.live.command.action, self.live.scope, self.context.terms.flatten, parts, beside=self._beside(names)
        )
        self.planned["cancels"] = foreseen.cancels
        self.errors += foreseen.faults
        return self._findings(snapshots, foreseen)

    async def _probe(self) -> None:
        level = self.context.terms.permission
        if not level.closes:
            self._fault("PERMISSION", f"this node's permission for the account is only {level}")
            return
        try:
            result: StepResult = await self.context.venue.probe()
        except VenueError as error:
            self._fault(error.code, f"the right to trade could not be shown: {error}")
            return
        if result.sent_ns is not None:
            self.live.stopwatch.order_sent(result.sent_ns)
            self.live.stopwatch.order_ended(result.ended_ns)
        if result.outcome is not Outcome.DONE:
            code = result.refusal.value if result.refusal else "AMBIGUOUS"
            self._fault(code, f"the right to trade could not be shown: {result.message or code}")

    async def _read(self, name: str) -> SliceSnapshot | None:
        try:
            snapshot = await self.context.venue.read_proof(name)
        except VenueError as error:
            self._fault(error.code, str(error), slice_name=name)
            self.context.view.note_failure(name, error)
            return None
        self.context.view.note(snapshot)
        return snapshot

    def _beside(self, names: tuple[str, ...]) -> list[SliceSnapshot]:
        """What was last seen of the slices that the command is not about."""
        seen = [self.context.view.last(name) for name in self.context.venue.slices if name not in names]
        return [each.snapshot for each in seen if each is not None]

    async def _plan(self, snapshot: SliceSnapshot) -> SliceForecast:
        rules = self.context.venue.rules(snapshot.slice)
        plan = plan_slice(
            snapshot,
            self.live.scope,
            rules,
            ids=self._ids(),
            memory={},
            max_slippage=self.context.terms.execution.max_slippage,
            fresh=True,
        )
        closes = [step for step in plan.steps if isinstance(step, ClosePosition)]
        self.planned["closes"] += len(closes)
        sales = None
        if self.live.flattens and snapshot.slice not in self.context.venue.derivative_slices:
            sales = await self._plan_sales(snapshot)
        return SliceForecast(snapshot=snapshot, rules=rules, closes=closes, sales=sales)

    async def _plan_sales(self, snapshot: SliceSnapshot) -> Sales:
        venue, terms, balances = self.context.venue, self.context.terms.flatten, snapshot.balances or ()
        pairs = spot_pairs(venue.rules(snapshot.slice).values())
        symbols = symbols_to_price(balances, terms, pairs)
        quotes: dict[str, Quote] | None = None
        try:
            quotes = await venue.quotes(symbols) if symbols else {}
        except VenueError as error:
            self._fault(error.code, str(error), slice_name=snapshot.slice)
        market = SpotMarket(pairs=pairs, quotes=quotes or {}, converts=venue.converts(snapshot.slice))
        # Resting orders are cancelled before anything is sold: what they hold will be there.
        sales = Sales(balances=released(snapshot), terms=terms, market=market, ids=self._ids())
        while sales.advance():  # noqa: ASYNC110  (nothing is waited for)
            await asyncio.sleep(0)  # a command that comes now goes first
        for holding in sales.holdings:
            if quotes is not None and holding.route is not None and holding.value is None:
                self._fault("UNPRICED", f"{holding.balance.asset} has no price", slice_name=snapshot.slice)
        self.planned["sales"] += sales.orders
        self.rounds_of_sales = max(self.rounds_of_sales, sales.rounds)
        return sales

    def _ids(self) -> OrderIds:
        command = self.live.command
        account_id = self.context.terms.account_id
        return OrderIds(command_id=command.command_id, account_id=account_id, attempt=self.live.attempt, round=1)

    def _fault(self, code: str, message: str, *, slice_name: str | None = None, symbol: str | None = None) -> None:
        self.errors.append(ErrorReport(code=code, message=message, slice=slice_name, symbol=symbol))

    def _predicted_ms(self) -> float | None:
        """One round trip for the orders, then the proof as it was measured; each round of sales is priced, sold and
        proven.
        """
        round_trip_ms = self.context.venue.round_trip_ms()
        if round_trip_ms is None:
            return None
        return round_trip_ms + self.proof_ms + self.rounds_of_sales * (2 * round_trip_ms + self.proof_ms)

    def _findings(self, snapshots: list[SliceSnapshot], foreseen: Forecast) -> Findings:
        venue = self.context.venue
        positions = [
            position
            for snapshot in snapshots
            for position in snapshot.positions
            if self.live.scope.covers(position.symbol)
        ]
        balances = [balance for snapshot in snapshots for balance in snapshot.balances or ()]
        return Findings(
            verdict=Verdict.DRILL_FAILED if self.errors else Verdict.DRILL_PASSED,
            rounds=1,
            positions=tuple(
                # What a drill leaves behind is what it found: nothing was closed, nothing is claimed.
                PositionReport(
                    slice=position.slice,
                    symbol=position.symbol,
                    side=position.side,
                    before=position.contracts,
                    after=position.contracts,
                    verdict=Residue.UNKNOWN,
                )
                for position in positions
            ),
            balances=tuple(
                BalanceReport(
                    slice=balance.slice,
                    asset=balance.asset,
                    before=balance.total,
                    after=balance.total,
                    debt=balance.debt,
                    verdict=Residue.HELD,
                )
                for balance in balances
                if balance.total or balance.debt
            ),
            net_exposure=foreseen.net_exposure,
            scope=self.live.slices(venue),
            not_covered=venue.not_covered,
            unverified=tuple(
                dict.fromkeys((*venue.unverified, *(name for each in snapshots for name in each.kept_apart)))
            ),
            evidence=tuple(snapshots),
            errors=tuple(self.errors),
            predicted_ms=self._predicted_ms(),
            planned=tuple(self.planned.items()),
            left_over=foreseen.left_over,
        )
