"""What a round has left of a snapshot, and whether that is progress. Pure."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from node.domain.plan import Scope
from node.domain.snapshot import PositionKey, SliceSnapshot
from node.domain.steps import CancelOrders, CancelSymbol, ClosePosition, Outcome, Refusal, Step, StepResult


def target(step: Step) -> tuple[object, ...]:
    """What a step is about, whoever planned it."""
    match step:
        case ClosePosition():
            return ("close", step.symbol, step.side)
        case CancelOrders() | CancelSymbol():
            return ("cancel", step.symbol, step.trigger)
        case _:
            return ("settle", step.asset)


def holds(snapshot: SliceSnapshot, scope: Scope) -> bool:
    """Whether there is a position within the goal."""
    return any(scope.covers(position.symbol) for position in snapshot.positions)


def clear(snapshot: SliceSnapshot, scope: Scope) -> bool:
    """Whether nothing is known of a scope."""
    symbols = [position.symbol for position in snapshot.positions] + [order.symbol for order in snapshot.orders or ()]
    return not any(scope.covers(symbol) for symbol in symbols)


def without_cancelled(snapshot: SliceSnapshot, results: list[StepResult]) -> SliceSnapshot:
    """The snapshot less the orders that the venue says are gone: not proven, but not worth cancelling again."""
    gone: set[tuple[str, str, bool]] = set()
    swept: set[tuple[str, bool]] = set()
    for result in results:
        step = result.step
        if isinstance(step, CancelOrders):
            gone |= {(step.symbol, order_id, step.trigger) for order_id in result.ended_orders}
        elif isinstance(step, CancelSymbol) and (
            result.outcome is Outcome.DONE or result.refusal is Refusal.UNKNOWN_ORDER
        ):
            swept.add((step.symbol, step.trigger))
    orders = tuple(
        order
        for order in snapshot.orders or ()
        if (order.symbol, order.order_id, order.trigger) not in gone and (order.symbol, order.trigger) not in swept
    )
    return replace(snapshot, orders=orders)


def emptied(snapshot: SliceSnapshot, scope: Scope, results: list[StepResult]) -> bool:
    """Whether a round has left no position, by the venue's own word: all was done, and of each as much was asked for as
    was there, and traded, where it says how much.
    """
    closed: dict[PositionKey, Decimal] = {}
    for result in results:
        if result.outcome is not Outcome.DONE:
            return False
        step = result.step
        if isinstance(step, ClosePosition):
            traded = step.contracts if result.filled is None else result.filled
            closed[step.key] = closed.get(step.key, Decimal(0)) + traded
    held = (position for position in snapshot.positions if scope.covers(position.symbol))
    return all(position.contracts <= closed.get(position.key, 0) for position in held)


def size(snapshot: SliceSnapshot, scope: Scope) -> tuple[Decimal, int]:
    """Contracts, then orders, of a scope: less than before is progress."""
    held = (position.contracts for position in snapshot.positions if scope.covers(position.symbol))
    return sum(held, Decimal(0)), sum(scope.covers(order.symbol) for order in snapshot.orders or ())
