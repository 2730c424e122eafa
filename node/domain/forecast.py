"""What a real command would leave behind, told from reads alone: the pure half of a drill."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from node.domain.command import Action
from node.domain.flatten import FlattenTerms, Holding
from node.domain.plan import Scope
from node.domain.result import ErrorReport, LeftOver, Residue, net_exposure
from node.domain.snapshot import Balance, MarketRules, Position, SliceSnapshot
from node.domain.steps import ClosePosition


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceForecast:
    """One slice: what was read, and what a plan made of it."""

    snapshot: SliceSnapshot
    rules: Mapping[str, MarketRules]
    closes: Sequence[ClosePosition]
    #: FLATTEN, slices of balances; None where nothing would be sold.
    holdings: Sequence[Holding] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What would be left, which way it would lean, and why the plan would not do."""

    left_over: tuple[LeftOver, ...]
    net_exposure: tuple[tuple[str, Decimal], ...]
    faults: tuple[ErrorReport, ...]


def forecast(action: Action, scope: Scope, terms: FlattenTerms, slices: Iterable[SliceForecast]) -> Forecast:
    """Foresee the end of a CLOSE_ALL or FLATTEN."""
    left: list[LeftOver] = []
    positions: list[Position] = []
    balances: list[Balance] = []
    faults: list[ErrorReport] = []
    for part in slices:
        faults += _limit_faults(part, scope)
        for position in part.snapshot.positions:
            verdict = _of_position(position, part, scope, terms)
            if verdict is None:
                continue
            positions.append(position)
            if scope.covers(position.symbol):
                left.append(
                    LeftOver(slice=position.slice, name=position.symbol, quantity=position.contracts, verdict=verdict)
                )
        for balance, verdict in _balances(action, part, terms):
            balances.append(balance)
            quantity = balance.total - balance.debt
            left.append(LeftOver(slice=balance.slice, name=balance.asset, quantity=quantity, verdict=verdict))
    exposure = net_exposure(positions, balances, terms.base_currency)
    return Forecast(left_over=tuple(left), net_exposure=tuple(exposure.items()), faults=tuple(faults))


def _of_position(position: Position, part: SliceForecast, scope: Scope, terms: FlattenTerms) -> Residue | None:
    """None: it would be closed."""
    if not scope.covers(position.symbol):
        return Residue.HELD
    rules = part.rules.get(position.symbol)
    if rules is not None and not rules.trading:
        return Residue.MARKET_CLOSED
    if rules is not None and rules.quantity_min and position.contracts < rules.quantity_min:
        worth = None if not position.mark_price or position.base_exposure is None else abs(position.base_exposure)
        small = worth is not None and worth * (position.mark_price or 0) < terms.min_value
        return Residue.DUST if small else Residue.UNSELLABLE
    planned = any((step.symbol, step.side) == position.key for step in part.closes)
    return None if planned else Residue.UNKNOWN


def _balances(action: Action, part: SliceForecast, terms: FlattenTerms) -> Iterator[tuple[Balance, Residue]]:
    holdings = {holding.balance.asset: holding for holding in part.holdings or ()}
    for balance in part.snapshot.balances or ():
        if not (balance.total or balance.debt) or (balance.asset == terms.base_currency and not balance.debt):
            continue
        if action is not Action.FLATTEN or (balance.asset in terms.keep and not balance.debt):
            yield balance, Residue.HELD
        elif part.holdings is None:
            yield balance, Residue.COLLATERAL
        elif (holding := holdings.get(balance.asset)) is None or (holding.step is None and not _later(balance)):
            worth = None if holding is None else holding.value
            yield balance, Residue.DUST if worth is not None and worth < terms.min_value else Residue.UNSELLABLE


def _later(balance: Balance) -> bool:
    """Held by orders that the command cancels first, or owed and repaid when everything else is done."""
    return balance.locked > 0 or balance.debt > 0


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
