"""A command carried out in full, except that nothing is placed or cancelled."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Final

from node.domain.command import Action
from node.domain.flatten import FlattenTerms, plan_sales, route_of, to_sell
from node.domain.plan import plan_slice
from node.domain.result import (
    BalanceReport,
    ErrorReport,
    Findings,
    PositionReport,
    Residue,
    Verdict,
    net_exposure,
)
from node.domain.snapshot import SliceSnapshot
from node.domain.steps import ClosePosition, OrderIds, Outcome, StepResult
from node.engine.pursuit import AccountContext
from node.engine.tracker import LiveCommand
from node.errors import VenueError

#: One for the orders, and three for the proof: triggers, orders, positions, one after the other.
ROUND_TRIPS: Final = 4


@dataclass(slots=True, kw_only=True)
class Drill:
    """Reads everything, plans, probes the right to trade; tells what a real command would meet."""

    live: LiveCommand
    context: AccountContext
    errors: list[ErrorReport] = field(default_factory=list)
    planned: dict[str, int] = field(default_factory=lambda: {"closes": 0, "cancels": 0, "sales": 0})

    async def carry_out(self) -> Findings:
        """Never raises for what the venue does: what cannot be read or shown fails the drill."""
        names = self.live.slices(self.context.venue)
        _, *reads = await asyncio.gather(self._probe(), *(self._read(name) for name in names))
        snapshots = [read for read in reads if read is not None]
        if snapshots:
            self.live.stopwatch.snapshot_taken(max(snapshot.ended_ns for snapshot in snapshots))
        for symbol in self.live.aim(self.context.venue).unknown_symbols:
            self._fault("UNKNOWN_SYMBOL", "this venue does not know the symbol", symbol=symbol)
        for snapshot in snapshots:
            self._plan(snapshot)
            if self.live.flattens and snapshot.slice not in self.context.venue.derivative_slices:
                await self._plan_sales(snapshot)
        return self._findings(snapshots)

    async def _probe(self) -> None:
        level = self.context.terms.permission
        if not level.closes:
            self._fault("PERMISSION", f"this node's permission for the account is only {level}")
            return
        result: StepResult = await self.context.venue.probe()
        if result.sent_ns is not None:
            self.live.stopwatch.order_sent(result.sent_ns)
            self.live.stopwatch.order_ended(result.ended_ns)
        if result.outcome is not Outcome.DONE:
            code = result.refusal.value if result.refusal else "AMBIGUOUS"
            self._fault(code, f"the right to trade could not be shown: {result.message or code}")

    async def _read(self, name: str) -> SliceSnapshot | None:
        try:
            snapshot = await self.context.venue.read_slice(name)
        except VenueError as error:
            self._fault(error.code, str(error), slice_name=name)
            self.context.view.note_failure(name, error)
            return None
        self.context.view.note(snapshot)
        return snapshot

    def _plan(self, snapshot: SliceSnapshot) -> None:
        plan = plan_slice(
            snapshot,
            self.live.scope,
            self.context.venue.rules(snapshot.slice),
            ids=self._ids(),
            memory={},
            max_slippage=self.context.terms.execution.max_slippage,
            fresh=True,
        )
        closes = [step for step in plan.steps if isinstance(step, ClosePosition)]
        self.planned["closes"] += len(closes)
        self.planned["cancels"] += len(plan.steps) - len(closes)
        closed = {(step.symbol, step.side) for step in closes}
        for position in snapshot.positions:
            if self.live.scope.covers(position.symbol) and position.key not in closed:
                self._fault("UNPLANNED", "no close could be planned", slice_name=snapshot.slice, symbol=position.symbol)

    async def _plan_sales(self, snapshot: SliceSnapshot) -> None:
        terms: FlattenTerms = self.context.terms.flatten
        markets = self.context.venue.rules(snapshot.slice)
        wanted = to_sell(snapshot.balances or (), terms)
        routes = [route_of(balance.asset, terms, markets.values()) for balance in wanted]
        symbols = {market.symbol for route in routes if route for market in route.hops}
        try:
            quotes = await self.context.venue.quotes(symbols) if symbols else {}
        except VenueError as error:
            self._fault(error.code, str(error), slice_name=snapshot.slice)
            return
        for holding in plan_sales(wanted, terms, markets, quotes, ids=self._ids(), levels={}):
            self.planned["sales"] += holding.sale is not None
            if holding.route is not None and holding.value is None:
                self._fault("UNPRICED", f"{holding.balance.asset} has no price", slice_name=snapshot.slice)

    def _ids(self) -> OrderIds:
        command = self.live.command
        account_id = self.context.terms.account_id
        return OrderIds(command_id=command.command_id, account_id=account_id, attempt=self.live.attempt, round=1)

    def _fault(self, code: str, message: str, *, slice_name: str | None = None, symbol: str | None = None) -> None:
        self.errors.append(ErrorReport(code=code, message=message, slice=slice_name, symbol=symbol))

    def _findings(self, snapshots: list[SliceSnapshot]) -> Findings:
        venue, terms = self.context.venue, self.context.terms
        positions = [
            position
            for snapshot in snapshots
            for position in snapshot.positions
            if self.live.scope.covers(position.symbol)
        ]
        balances = [balance for snapshot in snapshots for balance in snapshot.balances or ()]
        left = () if self.live.command.action.closes else positions
        exposure = net_exposure(left, [] if self.live.flattens else balances, terms.flatten.base_currency)
        round_trip_ms = venue.round_trip_ms()
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
            net_exposure=tuple(exposure.items()),
            scope=self.live.slices(venue),
            not_covered=venue.not_covered,
            unverified=venue.unverified,
            evidence=tuple(snapshots),
            errors=tuple(self.errors),
            predicted_ms=None if round_trip_ms is None else round_trip_ms * ROUND_TRIPS,
            planned=tuple(self.planned.items())
            if self.live.command.action in (Action.CLOSE_ALL, Action.FLATTEN)
            else (),
        )
