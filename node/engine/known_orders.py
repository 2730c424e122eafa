"""Orders that were seen and whose end is not known: a list that leaves one out does not make it go away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from node.domain.snapshot import OpenOrder, SliceSnapshot
from node.domain.steps import PASSING, CancelOrders, CancelSymbol, Outcome, Refusal, StepResult

#: A venue that has forgotten an order may answer its cancel with anything: so often, then the list is believed.
TRIES_MAX: Final = 3

#: The venue's name of the market (some number their orders by market), the id, and whether it waits for a trigger.
OrderKey = tuple[str, str, bool]


class KnownOrders:
    """Of one slice, from first sight until the venue has said that they are gone."""

    def __init__(self) -> None:
        self._orders: dict[OrderKey, OpenOrder] = {}
        self._tries: Counter[OrderKey] = Counter()
        #: When the venue said that an order is gone: a list that was asked for before then says nothing against it.
        self._gone_ns: dict[OrderKey, int] = {}

    def saw(self, orders: Iterable[OpenOrder], *, started_ns: int) -> None:
        """Somebody has listed these, in a read that began then."""
        for order in orders:
            key = _key(order)
            if started_ns >= self._gone_ns.get(key, started_ns):
                self._orders.setdefault(key, order)

    def completed(self, snapshot: SliceSnapshot) -> SliceSnapshot:
        """A whole read, and what it has left out: to be cancelled by id, which is harmless if it is gone."""
        self.saw(snapshot.orders or (), started_ns=snapshot.started_ns)
        listed = {_key(order) for order in snapshot.orders or ()}
        missing = (order for key, order in self._orders.items() if key not in listed and self._tries[key] < TRIES_MAX)
        return replace(snapshot, orders=(*(snapshot.orders or ()), *missing))

    def ended(self, result: StepResult) -> None:
        """A step has ended: what it cancelled, or found gone, is accounted for."""
        step = result.step
        if isinstance(step, CancelOrders):
            keys = [(step.market_id, order_id, step.trigger) for order_id in step.order_ids]
        elif isinstance(step, CancelSymbol):
            keys = [key for key in self._orders if (key[0], key[2]) == (step.market_id, step.trigger)]
        else:
            return
        gone = result.outcome is Outcome.DONE or result.refusal is Refusal.UNKNOWN_ORDER
        judged = result.outcome is Outcome.REFUSED and result.sent_ns is not None and result.refusal not in PASSING
        for key in keys:
            if gone or key[1] in result.gone:
                self._orders.pop(key, None)
                self._gone_ns[key] = result.ended_ns
            elif judged:
                self._tries[key] += 1


def _key(order: OpenOrder) -> OrderKey:
    return (order.market_id, order.order_id, order.trigger)
