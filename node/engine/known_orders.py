"""Orders that were seen and whose end is not known: a list that leaves one out does not make it go away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from node.domain.snapshot import OpenOrder, SliceSnapshot
from node.domain.steps import CancelOrders, CancelSymbol, Outcome, Refusal, StepResult

#: A venue that has forgotten an order may answer its cancel with anything: so often, then the list is believed.
TRIES_MAX: Final = 3

OrderKey = tuple[str, bool]


class KnownOrders:
    """Of one slice, from first sight until the venue has said that they are gone."""

    def __init__(self) -> None:
        self._orders: dict[OrderKey, OpenOrder] = {}
        self._tries: Counter[OrderKey] = Counter()

    def saw(self, orders: Iterable[OpenOrder]) -> None:
        """Somebody has listed these."""
        for order in orders:
            self._orders.setdefault((order.order_id, order.trigger), order)

    def completed(self, snapshot: SliceSnapshot) -> SliceSnapshot:
        """A whole read, and what it has left out: to be cancelled by id, which is harmless if it is gone."""
        self.saw(snapshot.orders or ())
        listed = {(order.order_id, order.trigger) for order in snapshot.orders or ()}
        missing = (order for key, order in self._orders.items() if key not in listed and self._tries[key] < TRIES_MAX)
        return replace(snapshot, orders=(*(snapshot.orders or ()), *missing))

    def ended(self, result: StepResult) -> None:
        """A step has ended: what it cancelled, or found gone, is accounted for."""
        step = result.step
        if isinstance(step, CancelOrders):
            keys = [(order_id, step.trigger) for order_id in step.order_ids]
        elif isinstance(step, CancelSymbol):
            keys = [key for key, order in self._orders.items() if (order.symbol, key[1]) == (step.symbol, step.trigger)]
        else:
            return
        gone = result.outcome is Outcome.DONE or result.refusal is Refusal.UNKNOWN_ORDER
        for key in keys:
            if gone:
                self._orders.pop(key, None)
            else:
                self._tries[key] += 1
