"""What a round has left of a snapshot, and whether that is progress. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from decimal import Decimal

from node.domain.plan import Chain, Scope
from node.domain.snapshot import OpenOrder, PositionKey, SliceSnapshot
from node.domain.steps import CancelOrders, CancelSymbol, ClosePosition, Outcome, Refusal, Step, StepResult


def targets(step: Step) -> Iterator[tuple[object, ...]]:
    """What a step is about, whoever planned it: a leg, single orders, a book of them, or a coin."""
    match step:
        case ClosePosition():
            yield ("close", step.symbol, step.side)
        case CancelOrders():
            yield from (("cancel", step.symbol, step.trigger, order_id) for order_id in step.order_ids)
        case CancelSymbol():
            yield ("sweep", step.symbol, step.trigger)
        case _:
            yield ("settle", step.asset)


def beyond(chains: Iterable[Chain], orders: Iterable[OpenOrder], begun: Collection[object]) -> Iterator[Chain]:
    """What a plan, made when *orders* were there, adds to steps of which these targets were *begun*.

    A leg that is being closed is left to the next round: how much of it will be left nobody knows. An order that nobody
    has cancelled yet is not.
    """
    new = {
        ("sweep", each.symbol, each.trigger)
        for each in orders
        if ("cancel", each.symbol, each.trigger, each.order_id) not in begun
    }
    for chain in chains:
        if any(isinstance(step, CancelOrders | CancelSymbol) for step in chain[-1]):
            left = tuple(less for step in chain[-1] if (less := _less(step, new, begun)) is not None)
            if left:
                yield (left,)
        elif not any(each in begun for stage in chain for step in stage for each in targets(step)):
            yield chain


def _less(step: Step, new: Collection[object], begun: Collection[object]) -> Step | None:
    """A step without the orders whose cancelling was begun; None if nothing is left of it."""
    if not isinstance(step, CancelOrders):
        return step if all(each in new for each in targets(step)) else None
    ids = tuple(name for name, each in zip(step.order_ids, targets(step), strict=True) if each not in begun)
    return replace(step, order_ids=ids) if ids else None


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
