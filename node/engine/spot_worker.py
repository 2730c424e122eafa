"""Slices of balances: orders like everywhere, and what FLATTEN does, where no venue bounds what we sell."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, replace
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
    acceptable,
    plan_flatten,
    spot_pairs,
    symbols_to_price,
    to_settle,
)
from node.domain.plan import SLIPPAGE_WIDENING, Plan
from node.domain.snapshot import Balance, SliceSnapshot
from node.domain.steps import (
    LATE_ARRIVAL_NS,
    PASSING,
    BalanceStep,
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
from node.engine.setbacks import PAUSE_MAX_S
from node.engine.slice_goal import Pursuer, SliceGoal
from node.engine.slice_worker import SliceWorker
from node.engine.unsettled import Unsettled, UnsettledOrders
from node.engine.venue_port import Venue
from node.engine.view import AccountView
from node.errors import VenueError, VenueUnavailable

#: How often an ambiguous sale is asked after in one round: some 20 s, longer than a request can be late.
CERTAINTY_LOOKS: Final = 8
#: How often a balance that no order holds any more is looked at again before it counts as unsellable.
LOCKED_LOOKS_MAX: Final = 5
#: A debt that the venue will not take back this often in a row stays, and is named.
REPAYMENTS_REFUSED_MAX: Final = 3
#: How often an asset's price is changed before it counts as refused: between a band and an empty book lies nothing.
PRICE_MOVES_MAX: Final = 6
#: A refusal without a cure that comes this often, over at least this time, with nothing changed, is for good.
REFUSED_FOR_GOOD: Final = 5
REFUSED_FOR_GOOD_AFTER_NS: Final = 2_000_000_000
#: How often an order is halved because the venue refused its size, in whatever words.
HALVINGS_MAX: Final = 8


@dataclass(slots=True, kw_only=True)
class Hindrance:
    """Refusals of the same kind of step in a row, while a balance stayed as it was."""

    held: tuple[Decimal, Decimal]
    since_ns: int
    times: int = 0


class SpotWorker(SliceWorker):
    """Cancels orders, then turns free balances into base currency: one outstanding step an asset, each from a fresh
    read; debts last.
    """

    spot = True

    def __init__(
        self, name: str, *, venue: Venue, view: AccountView, account: AccountTerms, clock: Clock, pursuit: Pursuer
    ) -> None:
        super().__init__(name, venue=venue, view=view, account=account, clock=clock, pursuit=pursuit)
        self._unsettled = view.unsettled.setdefault(name, UnsettledOrders())
        self._levels: dict[str, int] = {}
        self._moves: Counter[str] = Counter()
        self._refused: dict[str, Refusal] = {}
        #: Assets whose market does not take orders now.
        self._closed: set[str] = set()
        self._converted: set[str] = set()
        self._repayments_refused: Counter[str] = Counter()
        self._locked_looks = 0
        self._hindrances: dict[tuple[type[Step], str], Hindrance] = {}
        self._unrepaid: set[str] = set()
        #: The most that one order may be about, by asset, and how often that was halved.
        self._largest: dict[str, Decimal] = {}
        self._halvings: Counter[str] = Counter()
        #: Whether the newest plan has left a step for later.
        self._held_back = False

    def state(self) -> SliceState:
        """For the assessment."""
        return replace(super().state(), closed_assets=frozenset(self._closed))

    async def _plan(self, goal: SliceGoal, snapshot: SliceSnapshot) -> Plan:
        plan = await super()._plan(goal, snapshot)
        self._held_back = False
        if not goal.flatten or snapshot.balances is None or not self._pursuit.may_sell():
            self._holdings = ()
            return plan
        if not self._venue.rules(self.name):
            raise VenueUnavailable("the markets are not known yet: nothing can be called unsellable")
        # What was unknown when this snapshot was taken needs a younger one, whatever is learnt here.
        waiting = set(self._unsettled.ambiguous)
        await self._resolve()
        waiting |= self._not_shown(snapshot.balances)
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
        planned = [holding.step for holding in self._holdings if holding.step]
        blind = self._blind(goal)
        waiting |= self._wait_for_others(planned)
        ready = [step for step in planned if step.asset not in waiting and not (blind and _is_order(step))]
        self._held_back = len(ready) < len(planned)
        return Plan(chains=(*plan.chains, *(((step,),) for step in ready)))

    def _blind(self, goal: SliceGoal) -> bool:
        """Whether orders of an earlier process, of which nothing is known here, may still arrive."""
        now_ns = self._clock.monotonic_ns()
        if self._unsettled.blind_until_ns is None:
            self._unsettled.blind_until_ns = now_ns + LATE_ARRIVAL_NS if goal.ids.attempt > 0 else 0
        return now_ns < self._unsettled.blind_until_ns

    def _wait_for_others(self, planned: list[BalanceStep]) -> set[str]:
        """A coin that is being sold must not be brought meanwhile: the balance would not show what was sold. Nor is one
        converted that more is still to come of: it is converted once.
        """
        rules, hindered = self._venue.rules(self.name), self._hindered()
        sales = [step for step in planned if isinstance(step, SellSpot)]
        brought = {step.asset: rules[step.symbol].quote for step in sales if step.symbol in rules}
        sold = {step.asset for step in sales} - hindered
        to_come = {coin for asset, coin in brought.items() if asset not in hindered}
        later = {step.asset for step in planned if isinstance(step, ConvertAsset) and step.asset in to_come}
        return later | {asset for asset, coin in brought.items() if coin in sold}

    def _hindered(self) -> set[str]:
        """Assets whose sale was refused: nothing waits for them."""
        return self._closed | {asset for kind, asset in self._hindrances if kind is SellSpot}

    def _past(self) -> Past:
        return Past(
            levels=self._levels,
            refused=self._refused.keys(),
            converted=self._converted,
            unrepayable=self._unrepayable(),
            largest=self._largest,
        )

    async def _look_again(self, goal: SliceGoal, before: SliceSnapshot, results: list[StepResult]) -> None:
        self._setbacks.refused(results)
        await self._await_certainty()
        proof = await self._quiet_proof(chained=True)
        moved = any(result.outcome is Outcome.DONE for result in results)
        if moved and self._less_is_left(before, proof):
            self._setbacks.idle_rounds = 0
        elif results and not moved:
            self._setbacks.idle_rounds = max(self._setbacks.idle_rounds, 1)  # pauses before the next try
        if goal.flatten and self._pursuit.may_sell() and self._waits_for_locked(proof):
            await self._pause()
            return
        idle_rounds, trouble = self._setbacks.idle_rounds, self._setbacks.trouble
        await self._consider(goal, proof)
        if self._held_back and self._proof is proof:  # nothing to be done now, but soon
            self._setbacks.idle_rounds, self._setbacks.trouble = idle_rounds + 1, trouble
            await self._pause()

    def _less_is_left(self, before: SliceSnapshot, after: SliceSnapshot) -> bool:
        """Fewer orders, less of a coin that is to go, or less debt."""
        if len(after.orders or ()) < len(before.orders or ()):
            return True
        now = {balance.asset: balance for balance in after.balances or ()}
        for was in to_settle(before.balances or (), self._account.flatten):
            left = now.get(was.asset)
            if left is None or left.debt < was.debt:
                return True
            if was.asset != self._account.flatten.base_currency and left.total < was.total:
                return True
        return False

    async def _await_certainty(self) -> None:
        """Wait for what is under way, then ask after ambiguous orders, ever more rarely, for a while; nothing else is
        read for them meanwhile.
        """
        if self._in_flight:
            await asyncio.wait(self._in_flight)  # a read beside them would show what they are about to change
        for look in range(CERTAINTY_LOOKS):
            if not self._unsettled.ambiguous or self._stopping:
                return
            await self._resolve()
            if self._unsettled.ambiguous:
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
                return await self._repay(step)
            case _:
                return await super()._step(step)

    async def _order(self, step: SpotOrder) -> StepResult:
        # Unknown from the moment it leaves: were we interrupted here, it must not be placed again.
        order = self._begun(step)
        self._unsettled.ambiguous[step.asset] = order
        result = await super()._step(step)
        order.since_ns = self._clock.monotonic_ns()
        if result.outcome is Outcome.AMBIGUOUS:
            return result
        if self._unsettled.ambiguous.get(step.asset) is order:
            del self._unsettled.ambiguous[step.asset]
        self._closed.discard(step.asset)
        if result.outcome is Outcome.REFUSED:
            self._learn_from_refusal(order, step, result.refusal)
        elif result.filled == 0:
            self._move_price(step.asset, 1)
        else:
            self._unsettled.taken[step.asset] = order
            self._expect_more(step)
        return result

    def _expect_more(self, step: SpotOrder) -> None:
        """What a sale brings may make another balance what it was: that is no old answer then."""
        market = self._venue.rules(self.name).get(step.symbol)
        before = self._unsettled.taken.get(market.quote) if market is not None else None
        if before is not None and before.seen:
            del self._unsettled.taken[before.step.asset]

    def _begun(self, step: SpotOrder | RepayDebt) -> Unsettled:
        held = next((each.balance for each in self._holdings if each.balance.asset == step.asset), None)
        total, debt = (held.total, held.debt) if held else (Decimal(0), Decimal(0))
        return Unsettled(step=step, total=total, debt=debt, since_ns=self._clock.monotonic_ns())

    def _learn_from_refusal(self, order: Unsettled, step: SpotOrder, refusal: Refusal | None) -> None:
        match refusal:
            case Refusal.UNFILLED:
                self._move_price(step.asset, 1)
            case Refusal.PRICE_BAND:
                self._move_price(step.asset, -1)
            case Refusal.MARKET_CLOSED:
                self._closed.add(step.asset)
            case Refusal.TOO_SMALL if self._is_small(step):
                self._refused[step.asset] = Refusal.TOO_SMALL
            case Refusal.TOO_SMALL | Refusal.QUANTITY:  # some venues have the same words for too much
                self._halve(step, refusal)
            case _ if refusal not in PASSING and self._hindered_for_good(order):
                self._refused[step.asset] = refusal or Refusal.OTHER

    def _is_small(self, step: SpotOrder) -> bool:
        """Whether our own rules bear the venue out."""
        rules = self._venue.rules(self.name).get(step.symbol)
        return rules is None or not acceptable(step.quantity, step.limit_price, rules)

    def _halve(self, step: SpotOrder, refusal: Refusal) -> None:
        self._largest[step.asset] = step.quantity / 2
        self._halvings[step.asset] += 1
        if self._halvings[step.asset] >= HALVINGS_MAX:
            self._refused[step.asset] = refusal

    def _hindered_for_good(self, order: Unsettled) -> bool:
        """Count a step that came to nothing; one from another balance begins anew."""
        key, held, now_ns = (type(order.step), order.step.asset), (order.total, order.debt), self._clock.monotonic_ns()
        hindrance = self._hindrances.get(key)
        if hindrance is None or hindrance.held != held:
            hindrance = self._hindrances[key] = Hindrance(held=held, since_ns=now_ns)
        hindrance.times += 1
        return hindrance.times >= REFUSED_FOR_GOOD and now_ns - hindrance.since_ns >= REFUSED_FOR_GOOD_AFTER_NS

    async def _repay(self, step: RepayDebt) -> StepResult:
        repayment = self._begun(step)
        result = await super()._step(step)
        repayment.since_ns = self._clock.monotonic_ns()
        if result.outcome is Outcome.REFUSED and result.refusal not in PASSING:
            self._repayments_refused[step.asset] += 1
        elif result.outcome is Outcome.AMBIGUOUS and self._hindered_for_good(repayment):
            self._unrepaid.add(step.asset)
        elif result.outcome is Outcome.DONE:
            del self._repayments_refused[step.asset]
            self._unsettled.taken[step.asset] = repayment
        return result

    def _unrepayable(self) -> frozenset[str]:
        refused = {name for name, times in self._repayments_refused.items() if times >= REPAYMENTS_REFUSED_MAX}
        return frozenset(refused | self._unrepaid)

    def _not_shown(self, balances: tuple[Balance, ...]) -> set[str]:
        """Assets of which a read does not show yet what was done with them. Wallets may lag behind orders, and fall
        back once more; only what stays unchanged for long was not traded, and needs a wider price.
        """
        held = {balance.asset: (balance.total, balance.debt) for balance in balances}
        behind: set[str] = set()
        for asset, taken in list(self._unsettled.taken.items()):
            total, debt = held.get(asset, (Decimal(0), Decimal(0)))
            taken.seen = taken.seen or taken.shown(total, debt)
            if taken.seen:
                self._hindrances.pop((type(taken.step), asset), None)
            if self._clock.monotonic_ns() - taken.since_ns > LATE_ARRIVAL_NS:
                del self._unsettled.taken[asset]
                if not taken.seen and taken.unchanged(total, debt):
                    self._came_to_nothing(taken)
            elif taken.unchanged(total, debt) or not taken.seen:
                behind.add(asset)
        return behind

    def _came_to_nothing(self, taken: Unsettled) -> None:
        """The venue took it, and nothing has changed."""
        if not isinstance(taken.step, RepayDebt):
            self._move_price(taken.step.asset, 1)
        elif self._hindered_for_good(taken):
            self._unrepaid.add(taken.step.asset)

    def _move_price(self, asset: str, by: int) -> None:
        """Wider where nobody trades at our price, narrower where the venue's band forbids it; not for ever."""
        self._levels[asset] = self._levels.get(asset, 0) + by
        self._moves[asset] += 1
        if abs(self._levels[asset]) >= len(SLIPPAGE_WIDENING) or self._moves[asset] >= PRICE_MOVES_MAX:
            self._refused[asset] = Refusal.PRICE_BAND

    async def _resolve(self) -> None:
        """Ask after every ambiguous order by its client order id; what stays unknown stays as it is."""
        for asset, order in list(self._unsettled.ambiguous.items()):
            if isinstance(order.step, RepayDebt):
                continue
            try:
                reached = await self._venue.filled(order.step)
            except VenueError as error:
                self._setbacks.tell(error, order.step.symbol)
                continue
            too_late = self._clock.monotonic_ns() - order.since_ns > LATE_ARRIVAL_NS
            if reached:
                order.since_ns = self._clock.monotonic_ns()
                self._unsettled.taken[asset] = order
                self._expect_more(order.step)
            if reached or (reached is False and too_late):
                del self._unsettled.ambiguous[asset]

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
        return not self._unsettled.ambiguous and not pending and wanted <= judged

    def _refused_assets(self) -> frozenset[str]:
        refused = {asset for asset, why in self._refused.items() if why is not Refusal.TOO_SMALL}
        return frozenset(refused) | self._unrepayable()


def _is_order(step: Step) -> bool:
    return isinstance(step, SpotOrder)
