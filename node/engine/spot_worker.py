"""Slices of balances: orders like everywhere, and what FLATTEN does, where no venue bounds what we sell."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from typing import Final

from node.clock import Clock
from node.domain.assess import SliceState
from node.domain.flatten import (
    FlattenTerms,
    Pairs,
    Past,
    Quote,
    SpotMarket,
    plan_flatten,
    spot_pairs,
    symbols_to_price,
    to_settle,
)
from node.domain.plan import SLIPPAGE_WIDENING, Plan
from node.domain.snapshot import Balance, SliceSnapshot
from node.domain.steps import (
    BuyToRepay,
    ConvertAsset,
    Outcome,
    Refusal,
    RepayDebt,
    SellSpot,
    SpotOrder,
    Step,
    StepResult,
)
from node.engine.account import AccountTerms
from node.engine.ports import Venue
from node.engine.setbacks import PAUSE_MAX_S
from node.engine.slice_goal import Pursuer, SliceGoal
from node.engine.slice_worker import SliceWorker
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
#: A debt that the venue will not take back this often in a row stays, and is named.
REPAYMENTS_REFUSED_MAX: Final = 3
#: How often an asset's price is changed before it counts as refused: between a band and an empty book lies nothing.
PRICE_MOVES_MAX: Final = 6
#: Says nothing about the step itself: the same one may be taken a little later.
PASSING: Final = frozenset({Refusal.RATE_LIMITED, Refusal.OVERLOADED, Refusal.DENIED, Refusal.PERMISSION})


class SpotWorker(SliceWorker):
    """Cancels orders, then turns free balances into base currency: one outstanding step an asset, each from a fresh
    read; debts last.
    """

    spot = True

    def __init__(
        self, name: str, *, venue: Venue, view: AccountView, account: AccountTerms, clock: Clock, pursuit: Pursuer
    ) -> None:
        super().__init__(name, venue=venue, view=view, account=account, clock=clock, pursuit=pursuit)
        #: Orders whose outcome is not known, and when they ended: nothing more is done with the asset before it is.
        self._ambiguous: dict[str, tuple[SpotOrder, int]] = {}
        self._levels: dict[str, int] = {}
        self._moves: Counter[str] = Counter()
        self._refused: dict[str, Refusal] = {}
        #: Assets whose market does not take orders now.
        self._closed: set[str] = set()
        self._converted: set[str] = set()
        self._repayments_refused: Counter[str] = Counter()
        self._locked_looks = 0
        #: Orders that the venue took, with what was held and owed before.
        self._traded_from: dict[str, tuple[Decimal, Decimal]] = {}

    def state(self) -> SliceState:
        """For the assessment."""
        return replace(super().state(), closed_assets=frozenset(self._closed))

    async def _plan(self, goal: SliceGoal, snapshot: SliceSnapshot) -> Plan:
        plan = await super()._plan(goal, snapshot)
        if not goal.flatten or snapshot.balances is None or not self._pursuit.may_sell():
            self._holdings = ()
            return plan
        if not self._venue.rules(self.name):
            raise VenueUnavailable("the markets are not known yet: nothing can be called unsellable")
        unknown = set(self._ambiguous)
        await self._resolve()
        self._learn_from_orders(snapshot.balances)
        terms, pairs = self._account.flatten, spot_pairs(self._venue.rules(self.name).values())
        quotes = await self._quotes(snapshot.balances, terms, pairs)
        self._holdings = tuple(
            plan_flatten(
                snapshot.balances,
                snapshot.orders or (),
                terms,
                SpotMarket(pairs=pairs, quotes=quotes, converts=self._venue.converts(self.name)),
                ids=self._ids(goal),
                past=self._past(),
            )
        )
        # What was unknown when this snapshot was taken needs a younger one, whatever has been learnt since.
        steps = [holding.step for holding in self._holdings if holding.step and holding.step.asset not in unknown]
        return Plan(chains=(*plan.chains, *(((step,),) for step in steps)))

    def _past(self) -> Past:
        return Past(
            levels=self._levels,
            refused=self._refused.keys(),
            converted=self._converted,
            unrepayable=self._unrepayable(),
        )

    async def _look_again(self, goal: SliceGoal, before: SliceSnapshot, results: list[StepResult]) -> None:
        self._setbacks.refused(results)
        await self._await_certainty()
        proof = await self._quiet_proof()
        if (proof.orders, proof.balances) != (before.orders, before.balances):
            self._setbacks.idle_rounds = 0
        if goal.flatten and self._pursuit.may_sell() and self._waits_for_locked(proof):
            await self._pause()
            return
        await self._consider(goal, proof)

    async def _await_certainty(self) -> None:
        """Wait for what is under way, then ask after ambiguous orders, ever more rarely, for a while; nothing else is
        read for them meanwhile.
        """
        if self._in_flight:
            await asyncio.wait(self._in_flight)  # a read beside them would show what they are about to change
        for look in range(CERTAINTY_LOOKS):
            if not self._ambiguous or self._stopping:
                return
            await self._resolve()
            if self._ambiguous:
                await asyncio.sleep(min(0.25 * 2**look, PAUSE_MAX_S))

    def _waits_for_locked(self, proof: SliceSnapshot) -> bool:
        """What cancelled orders held is given free with a delay on some venues: look again a few times."""
        held = [balance for balance in to_settle(proof.balances or (), self._account.flatten) if balance.locked > 0]
        if not held or proof.orders:
            return False
        self._locked_looks += 1
        return self._locked_looks <= LOCKED_LOOKS_MAX

    async def _quotes(self, balances: tuple[Balance, ...], terms: FlattenTerms, pairs: Pairs) -> dict[str, Quote]:
        symbols = symbols_to_price(balances, terms, pairs)
        return await self._venue.quotes(symbols) if symbols else {}

    async def _step(self, step: Step) -> StepResult:
        match step:
            case SellSpot() | BuyToRepay():
                return await self._order(step)
            case ConvertAsset():
                self._converted.add(step.asset)  # whatever comes of it: an unclear one must not be asked for twice
                return await super()._step(step)
            case RepayDebt():
                return self._repaid(step, await super()._step(step))
            case _:
                return await super()._step(step)

    async def _order(self, step: SpotOrder) -> StepResult:
        # Unknown from the moment it leaves: were we interrupted here, it must not be placed again.
        self._ambiguous[step.asset] = (step, self._clock.monotonic_ns())
        result = await super()._step(step)
        if result.outcome is Outcome.AMBIGUOUS:
            self._ambiguous[step.asset] = (step, self._clock.monotonic_ns())
            return result
        unknown = self._ambiguous.get(step.asset)
        if unknown is not None and unknown[0].client_order_id == step.client_order_id:
            del self._ambiguous[step.asset]
        self._closed.discard(step.asset)
        if result.outcome is Outcome.DONE:
            self._note_before(step.asset)
        elif result.refusal in FINAL_REFUSALS:
            self._refused[step.asset] = Refusal.TOO_SMALL
        elif result.refusal is Refusal.UNFILLED:
            self._move_price(step.asset, 1)
        elif result.refusal is Refusal.PRICE_BAND:
            self._move_price(step.asset, -1)
        elif result.refusal is Refusal.MARKET_CLOSED:
            self._closed.add(step.asset)
        return result

    def _repaid(self, step: RepayDebt, result: StepResult) -> StepResult:
        if result.outcome is Outcome.REFUSED and result.refusal not in PASSING:
            self._repayments_refused[step.asset] += 1
        elif result.outcome is Outcome.DONE:
            del self._repayments_refused[step.asset]
        return result

    def _unrepayable(self) -> frozenset[str]:
        return frozenset(name for name, times in self._repayments_refused.items() if times >= REPAYMENTS_REFUSED_MAX)

    def _note_before(self, asset: str) -> None:
        """Remember what an order began with, unless another one brings more of the same coin meanwhile."""
        rules = self._venue.rules(self.name)
        steps = [holding.step for holding in self._holdings if isinstance(holding.step, SellSpot)]
        if asset not in {rules[step.symbol].quote for step in steps if step.symbol in rules}:
            for holding in self._holdings:
                if holding.balance.asset == asset:
                    self._traded_from[asset] = (holding.balance.total, holding.balance.debt)

    def _learn_from_orders(self, balances: tuple[Balance, ...]) -> None:
        """An order that was taken and changed nothing needs a wider price."""
        for balance in balances:
            if self._traded_from.get(balance.asset) == (balance.total, balance.debt):
                self._move_price(balance.asset, 1)
        self._traded_from.clear()

    def _move_price(self, asset: str, by: int) -> None:
        """Wider where nobody trades at our price, narrower where the venue's band forbids it; not for ever."""
        self._levels[asset] = self._levels.get(asset, 0) + by
        self._moves[asset] += 1
        if abs(self._levels[asset]) >= len(SLIPPAGE_WIDENING) or self._moves[asset] >= PRICE_MOVES_MAX:
            self._refused[asset] = Refusal.PRICE_BAND

    async def _resolve(self) -> None:
        """Ask after every ambiguous order by its client order id; what stays unknown stays as it is."""
        for asset, (order, ended_ns) in list(self._ambiguous.items()):
            try:
                reached = await self._venue.filled(order)
            except VenueError as error:
                self._setbacks.tell(error, order.symbol)
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
        wanted = {balance.asset for balance in to_settle(balances or (), self._account.flatten)}
        pending = any(holding.step is not None for holding in self._holdings)
        return not self._ambiguous and not pending and wanted <= judged

    def _refused_assets(self) -> frozenset[str]:
        refused = {asset for asset, why in self._refused.items() if why is not Refusal.TOO_SMALL}
        return frozenset(refused) | self._unrepayable()
