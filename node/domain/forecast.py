"""What a real command would leave behind, told from reads alone: the pure half of a drill."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Final

from node.domain.command import Action
from node.domain.flatten import AMOUNT_STEP, FlattenTerms, Holding, Past, SpotMarket, plan_flatten
from node.domain.plan import Scope, protects, round_to
from node.domain.result import ErrorReport, LeftOver, NetExposure, Residue, net_exposure
from node.domain.snapshot import Balance, MarketRules, Position, SliceSnapshot
from node.domain.steps import (
    BalanceStep,
    BuyToRepay,
    ClosePosition,
    ConvertAsset,
    OrderIds,
    RepayDebt,
    SellSpot,
    SpotOrder,
)

#: What a trade is taken to cost, as a part of what it brings: enough to tell which rests there will be.
FEE: Final = Decimal("0.001")
#: Rounds of sales that are foreseen; more only tell how large a balance is.
ROUNDS_MAX: Final = 50


@dataclass(slots=True, kw_only=True)
class Sales:
    """FLATTEN of one slice on paper, plan after plan, at the prices of now: every order fills, no conversion does."""

    balances: list[Balance]
    terms: FlattenTerms
    market: SpotMarket
    ids: OrderIds
    #: What the newest plan makes of each balance.
    holdings: list[Holding] = field(default_factory=list)
    #: Sales, purchases and conversions.
    orders: int = 0
    rounds: int = 0
    #: Assets whose market takes no orders now.
    closed: set[str] = field(default_factory=set)
    _converted: set[str] = field(default_factory=set)

    def advance(self) -> bool:
        """Plan and pretend one round; False when nothing is left to do."""
        past = Past(levels={}, refused=self.closed.copy(), converted=self._converted.copy())
        self.holdings = plan_flatten(self.balances, (), self.terms, self.market, ids=self.ids, past=past)
        steps = [holding.step for holding in self.holdings if holding.step is not None]
        if not steps or self.rounds == ROUNDS_MAX:
            return False
        for step in steps:
            if isinstance(step, SpotOrder) and not self._market_of(step).trading:
                self.closed.add(step.asset)
                continue
            self._pretend(step)
            self.orders += not isinstance(step, RepayDebt)
        self.rounds += 1
        return True

    def _pretend(self, step: BalanceStep) -> None:
        match step:
            case SellSpot():
                proceeds = step.quantity * self.market.quotes[step.symbol].bid
                self._credit(step.asset, -step.quantity)
                self._credit(self._market_of(step).quote, proceeds * (1 - FEE))
            case BuyToRepay():
                self._credit(self._market_of(step).quote, -step.quantity * self.market.quotes[step.symbol].ask)
                self._credit(step.asset, step.quantity * (1 - FEE))
            case RepayDebt():
                self._credit(step.asset, -step.amount, debt=-step.amount)
            case ConvertAsset():
                self._converted.add(step.asset)  # an attempt: whether the venue takes it shows only then

    def _market_of(self, step: SpotOrder) -> MarketRules:
        return next(rules for rules in self.market.pairs.values() if rules.symbol == step.symbol)

    def _credit(self, asset: str, amount: Decimal, *, debt: Decimal = Decimal(0)) -> None:
        for number, held in enumerate(self.balances):
            if held.asset == asset:
                free = round_to(held.free + amount, AMOUNT_STEP, up=False) if amount > 0 else held.free + amount
                self.balances[number] = replace(held, free=free, debt=held.debt + debt)
                return
        if amount > 0:
            free = round_to(amount, AMOUNT_STEP, up=False)
            self.balances.append(Balance(slice=self.balances[0].slice, asset=asset, free=free))


def released(snapshot: SliceSnapshot) -> list[Balance]:
    """The balances as they will be when the resting orders are cancelled."""
    traded = {coin for order in snapshot.orders or () for coin in order.symbol.split("/")}
    return [
        replace(balance, free=balance.total, locked=Decimal(0)) if balance.asset in traded else balance
        for balance in snapshot.balances or ()
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceForecast:
    """One slice: what was read, and what a plan made of it."""

    snapshot: SliceSnapshot
    rules: Mapping[str, MarketRules]
    closes: Sequence[ClosePosition]
    #: FLATTEN, slices of balances: carried out on paper; None where nothing would be sold.
    sales: Sales | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What would be left, which way it would lean, and why the plan would not do."""

    left_over: tuple[LeftOver, ...]
    net_exposure: NetExposure
    #: Orders that would go, those with their positions included.
    cancels: int
    faults: tuple[ErrorReport, ...]


def forecast(
    action: Action,
    scope: Scope,
    terms: FlattenTerms,
    slices: Iterable[SliceForecast],
    *,
    beside: Sequence[SliceSnapshot] = (),
) -> Forecast:
    """Foresee the end of a CLOSE_ALL or FLATTEN.

    *beside* is what was last seen of the account's other slices: the direction that is left is the whole account's.
    """
    left: list[LeftOver] = []
    positions: list[Position] = []
    balances: list[Balance] = []
    faults: list[ErrorReport] = []
    cancels = 0
    for part in slices:
        faults += _limit_faults(part, scope)
        staying: list[Position] = []
        for position in part.snapshot.positions:
            verdict = _of_position(position, part, scope, terms)
            if verdict is None:
                continue
            staying.append(position)
            if scope.covers(position.symbol):
                left.append(
                    LeftOver(slice=position.slice, name=position.symbol, quantity=position.contracts, verdict=verdict)
                )
        positions += staying
        cancels += _cancels(part.snapshot, scope, staying)
        for balance, verdict in _balances(action, part, terms):
            balances.append(balance)
            quantity = balance.total - balance.debt
            left.append(LeftOver(slice=balance.slice, name=balance.asset, quantity=quantity, verdict=verdict))
    for snapshot in beside:
        positions += snapshot.positions
        balances += snapshot.balances or ()
    exposure = net_exposure(positions, balances, terms.base_currency)
    return Forecast(left_over=tuple(left), net_exposure=exposure, cancels=cancels, faults=tuple(faults))


def _cancels(snapshot: SliceSnapshot, scope: Scope, staying: Sequence[Position]) -> int:
    """Orders that would go: all but those that protect what stays."""
    return sum(
        scope.covers(order.symbol) and not any(protects(order, position) for position in staying)
        for order in snapshot.orders or ()
    )


def _of_position(position: Position, part: SliceForecast, scope: Scope, terms: FlattenTerms) -> Residue | None:
    """None: it would be closed."""
    if not scope.covers(position.symbol):
        return Residue.HELD
    rules = part.rules.get(position.symbol)
    if rules is not None and not rules.trading:
        return Residue.MARKET_CLOSED
    if rules is not None and rules.quantity_min and position.contracts < rules.quantity_min:
        small = position.value is not None and position.value < terms.min_value
        return Residue.DUST if small else Residue.UNSELLABLE
    planned = any(step.key == position.key for step in part.closes)
    return None if planned else Residue.UNKNOWN


def _balances(action: Action, part: SliceForecast, terms: FlattenTerms) -> Iterator[tuple[Balance, Residue]]:
    sales = part.sales
    holdings = {holding.balance.asset: holding for holding in sales.holdings} if sales else {}
    for balance in sales.balances if sales else part.snapshot.balances or ():
        if not (balance.total or balance.debt) or (balance.asset == terms.base_currency and not balance.debt):
            continue
        if action is not Action.FLATTEN or (balance.asset in terms.keep and not balance.debt):
            yield balance, Residue.HELD
        elif sales is None:
            yield balance, Residue.COLLATERAL
        elif (holding := holdings.get(balance.asset)) is None:
            yield balance, Residue.UNSELLABLE
        elif balance.asset in sales.closed:
            yield balance, Residue.MARKET_CLOSED
        elif holding.step is None:
            yield balance, holding.residue(terms)


def _limit_faults(part: SliceForecast, scope: Scope) -> Iterator[ErrorReport]:
    """Closes that the venue's own limits would refuse, and positions without any rules to go by."""
    for position in part.snapshot.positions:
        if scope.covers(position.symbol) and position.symbol not in part.rules:
            yield _fault(part, position.symbol, "UNLISTED", "this market is not listed: its limits are not known")
    for step in part.closes:
        rules = part.rules.get(step.symbol)
        largest = rules and (rules.market_quantity_max if step.limit_price is None else rules.limit_quantity_max)
        if largest and step.contracts > largest:
            yield _fault(part, step.symbol, "ABOVE_MAXIMUM", f"{step.contracts} in one order; the most is {largest}")
        if rules and rules.quantity_step and step.contracts % rules.quantity_step:
            yield _fault(part, step.symbol, "OFF_STEP", f"{step.contracts} is no multiple of {rules.quantity_step}")


def _fault(part: SliceForecast, symbol: str, code: str, message: str) -> ErrorReport:
    return ErrorReport(code=code, message=message, slice=part.snapshot.slice, symbol=symbol)
