"""The spot slice: orders like everywhere, and the sales of FLATTEN, where no venue bounds what we sell."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal
from typing import Final

from node.clock import Clock
from node.domain.flatten import FlattenTerms, Quote, plan_sales, route_of, to_sell
from node.domain.plan import SLIPPAGE_WIDENING, Plan
from node.domain.result import ErrorReport
from node.domain.snapshot import Balance, SliceSnapshot
from node.domain.steps import Outcome, Refusal, SellSpot, Step, StepResult
from node.engine.account import AccountTerms
from node.engine.ports import Venue
from node.engine.slice_goal import Pursuer, SliceGoal
from node.engine.slice_worker import PAUSE_MAX_S, SliceWorker
from node.engine.view import AccountView
from node.errors import VenueError, VenueUnavailable

#: What a venue may say about a sale that no better price will cure.
FINAL_REFUSALS: Final = frozenset({Refusal.TOO_SMALL})
#: How often an ambiguous sale is asked after in one round: some 20 s, longer than a request can be late.
CERTAINTY_LOOKS: Final = 8
#: How often a balance that no order holds any more is looked at again before it counts as unsellable.
LOCKED_LOOKS_MAX: Final = 5
#: A request may reach the venue this long after it was signed (Binance: recvWindow, 10 s by ccxt's default).
#: Until then "no such order" may still become untrue.
LATE_ARRIVAL_NS: Final = 10_000_000_000


class SpotWorker(SliceWorker):
    """Cancels orders, then sells free balances: one outstanding sale an asset, each from a fresh read."""

    spot = True

    def __init__(
        self, name: str, *, venue: Venue, view: AccountView, account: AccountTerms, clock: Clock, pursuit: Pursuer
    ) -> None:
        super().__init__(name, venue=venue, view=view, account=account, clock=clock, pursuit=pursuit)
        #: Sales whose outcome is not known, and when they ended: nothing more of the asset is sold before it is.
        self._ambiguous: dict[str, tuple[SellSpot, int]] = {}
        self._levels: dict[str, int] = {}
        self._refused: dict[str, Refusal] = {}
        self._locked_looks = 0
        #: Sales that the venue took, with the balance before.
        self._sold_from: dict[str, Decimal] = {}

    async def _plan(self, goal: SliceGoal, snapshot: SliceSnapshot) -> Plan:
        plan = await super()._plan(goal, snapshot)
        if not goal.flatten or snapshot.balances is None or not self._pursuit.may_sell():
            self._holdings = ()
            return plan
        if not self._venue.rules(self.name):
            raise VenueUnavailable("the markets are not known yet: nothing can be called unsellable")
        unknown = set(self._ambiguous)
        await self._resolve()
        self._learn_from_sales(snapshot.balances)
        terms = self._account.flatten
        holdings = plan_sales(
            snapshot.balances,
            terms,
            self._venue.rules(self.name),
            await self._quotes(snapshot.balances, terms),
            ids=self._ids(goal),
            levels=self._levels,
        )
        self._holdings = tuple(
            replace(holding, sale=None) if holding.balance.asset in self._refused else holding for holding in holdings
        )
        # What was unknown when this snapshot was taken needs a younger one, whatever has been learnt since.
        sales = [holding.sale for holding in self._holdings if holding.sale and holding.sale.asset not in unknown]
        return Plan(chains=(*plan.chains, *(((sale,),) for sale in sales)))

    async def _look_again(self, goal: SliceGoal, before: SliceSnapshot, results: list[StepResult]) -> None:
        self._note_refusals(results)
        await self._await_certainty()
        proof = await self._quiet_proof()
        if (proof.orders, proof.balances) != (before.orders, before.balances):
            self._idle_rounds = 0
        if goal.flatten and self._pursuit.may_sell() and self._waits_for_locked(proof):
            await self._pause()
            return
        await self._consider(goal, proof)

    async def _await_certainty(self) -> None:
        """Ask after ambiguous sales, ever more rarely, for a while; nothing else is read for them meanwhile."""
        for look in range(CERTAINTY_LOOKS):
            if not self._ambiguous or self._stopping:
                return
            await self._resolve()
            if self._ambiguous:
                await asyncio.sleep(min(0.25 * 2**look, PAUSE_MAX_S))

    def _waits_for_locked(self, proof: SliceSnapshot) -> bool:
        """What cancelled orders held is given free with a delay on some venues: look again a few times."""
        held = [balance for balance in to_sell(proof.balances or (), self._account.flatten) if balance.locked > 0]
        if not held or proof.orders:
            return False
        self._locked_looks += 1
        return self._locked_looks <= LOCKED_LOOKS_MAX

    async def _quotes(self, balances: tuple[Balance, ...], terms: FlattenTerms) -> dict[str, Quote]:
        markets = self._venue.rules(self.name).values()
        routes = [route_of(balance.asset, terms, markets) for balance in to_sell(balances, terms)]
        symbols = {market.symbol for route in routes if route for market in route.hops}
        return await self._venue.quotes(symbols) if symbols else {}

    async def _step(self, step: Step) -> StepResult:
        if not isinstance(step, SellSpot):
            return await super()._step(step)
        # Unknown from the moment it leaves: were we interrupted here, it must not be sold again.
        self._ambiguous[step.asset] = (step, self._clock.monotonic_ns())
        result = await super()._step(step)
        if result.outcome is Outcome.AMBIGUOUS:
            self._ambiguous[step.asset] = (step, self._clock.monotonic_ns())
            return result
        unknown = self._ambiguous.get(step.asset)
        if unknown is not None and unknown[0].client_order_id == step.client_order_id:
            del self._ambiguous[step.asset]
        if result.outcome is Outcome.DONE:
            totals = {holding.balance.asset: holding.balance.total for holding in self._holdings}
            self._sold_from[step.asset] = totals.get(step.asset, Decimal(-1))
        elif result.refusal in FINAL_REFUSALS:
            self._refused[step.asset] = Refusal.TOO_SMALL
        elif result.refusal is Refusal.PRICE_BAND:
            self._widen(step.asset)
        return result

    def _learn_from_sales(self, balances: tuple[Balance, ...]) -> None:
        """A sale that was taken and sold nothing needs a wider price."""
        for balance in balances:
            if self._sold_from.get(balance.asset) == balance.total:
                self._widen(balance.asset)
        self._sold_from.clear()

    def _widen(self, asset: str) -> None:
        self._levels[asset] = self._levels.get(asset, 0) + 1
        if self._levels[asset] >= len(SLIPPAGE_WIDENING):
            self._refused[asset] = Refusal.PRICE_BAND

    async def _resolve(self) -> None:
        """Ask after every ambiguous sale by its client order id; what stays unknown stays unsold."""
        for asset, (sale, ended_ns) in list(self._ambiguous.items()):
            try:
                reached = await self._venue.filled(sale)
            except VenueError as error:
                self._trouble = ErrorReport(code=error.code, message=str(error), slice=self.name, symbol=sale.symbol)
                continue
            too_late = self._clock.monotonic_ns() - ended_ns > LATE_ARRIVAL_NS
            if reached or (reached is False and too_late):
                del self._ambiguous[asset]

    def _satisfied(self, goal: SliceGoal) -> bool:
        waiting_for_positions = goal.flatten and not self._pursuit.may_sell()
        return super()._satisfied(goal) and (waiting_for_positions or self._sales_settled(goal))

    def _sales_settled(self, goal: SliceGoal) -> bool:
        if not goal.flatten:
            return True
        balances = self._proof.balances if self._proof else None
        judged = {holding.balance.asset for holding in self._holdings}
        wanted = {balance.asset for balance in to_sell(balances or (), self._account.flatten)}
        pending = any(holding.sale is not None for holding in self._holdings)
        return not self._ambiguous and not pending and wanted <= judged

    def _refused_assets(self) -> frozenset[str]:
        return frozenset(asset for asset, why in self._refused.items() if why is not Refusal.TOO_SMALL)
