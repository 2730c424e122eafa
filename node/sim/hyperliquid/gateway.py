"""Orders in and out: what a batch of orders, cancels or changes does, one status for each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from node.sim.accounts import Account
from node.sim.hyperliquid.errors import (
    NOT_FOUND_OR_ENDED,
    OVERWEIGHT,
    REJECTED_STATUS,
    HyperliquidError,
    OrderError,
    of_order,
    unreadable,
)
from node.sim.hyperliquid.numbers import number
from node.sim.hyperliquid.order_entry import GROUPINGS, order_terms, too_small
from node.sim.hyperliquid.order_views import placed
from node.sim.hyperliquid.venue_state import VenueState
from node.sim.market import ZERO, Market
from node.sim.orders import Order, OrderTerms, Origin, TimeInForce
from node.sim.refusals import Reason, RefusalError
from node.sim.venue import Effects

BATCH_MAX: Final = 200
#: With so many orders open, further ones may neither reduce nor wait for a trigger.
OPEN_ORDERS_MAX = 1000
TOO_MANY_OPEN: Final = "Too many open orders."  # assumed
ENDED: Final = "Cannot modify canceled or filled order"
CROWDED = Reason.TOO_MANY_ORDERS

#: What became of one order or cancel: an object, or a word.
Status = dict[str, Any] | str


@dataclass(slots=True, kw_only=True)
class Gateway:
    """One action in the hands of the order gateway."""

    state: VenueState
    account: Account
    origin: Origin
    effects: Effects
    order_ids: list[int] = field(default_factory=list)

    def place(self, action: Mapping[str, Any]) -> list[Status]:
        """``order``: one status an order, or a single error for a batch that fails the checks made beforehand."""
        wires, grouping = _batch(action, "orders"), action.get("grouping", "na")
        if grouping not in GROUPINGS:
            raise unreadable()
        if not wires:
            return [{"error": "Orders are empty."}]
        try:
            batch = [order_terms(self.state, wire, grouping, self.origin) for wire in wires]
        except OrderError as error:
            return [{"error": error.message}]
        statuses: list[Status] = []
        family: list[Order] = []
        for terms in batch:
            try:
                order = self._place(terms)
            except OrderError as error:
                statuses.append({"error": error.message})
                continue
            family.append(order)
            statuses.append(_status(order, grouping, family[0]))
        if grouping == "normalTpsl" and len(family) > 1 and family[0].terms.trigger is None:
            self.state.children[family[0].order_id] = [child.order_id for child in family[1:]]
        return statuses

    def cancel(self, action: Mapping[str, Any]) -> list[Status]:
        """``cancel``: by number."""
        statuses: list[Status] = []
        for wire in _batch(action, "cancels"):
            market, order = self.state.market(wire.get("a")), self.account.orders.get(_number(wire.get("o")))
            statuses.append(self._cancel(order, market, wire.get("a")))
        return statuses

    def cancel_by_cloid(self, action: Mapping[str, Any]) -> list[Status]:
        """``cancelByCloid``: by client id."""
        statuses: list[Status] = []
        for wire in _batch(action, "cancels"):
            market = self.state.market(wire.get("asset"))
            statuses.append(self._cancel(self.find(wire.get("cloid"), market), market, wire.get("asset")))
        return statuses

    def modify(self, modifies: Iterable[Mapping[str, Any]]) -> list[Status]:
        """``modify`` and ``batchModify``: the old order goes, and one with a new number comes."""
        statuses: list[Status] = []
        for wire in modifies:
            named, replacement = wire.get("oid"), wire.get("order")
            if not isinstance(replacement, dict):
                raise unreadable()
            order = self.find(named) if isinstance(named, str) else self.account.orders.get(_number(named))
            try:
                terms = order_terms(self.state, replacement, "na", self.origin)
                statuses.append(self._replace(order, terms))
            except OrderError as error:
                statuses.append({"error": error.message})
        return statuses

    def find(self, cloid: object, market: Market | None = None) -> Order | None:
        """The latest order of that client id."""
        word = str(cloid).lower()
        orders = [order for order in self.account.orders.values() if order.terms.client_id == word]
        orders = [order for order in orders if market is None or order.terms.market is market]
        return orders[-1] if orders else None

    def _replace(self, order: Order | None, terms: OrderTerms) -> Status:
        if order is None or not order.is_open:
            raise OrderError(ENDED, Reason.UNKNOWN_ORDER)
        self._cancel(order, order.terms.market, None)
        return placed(self._place(terms))

    def _place(self, terms: OrderTerms) -> Order:
        try:
            self._admit(terms)
            order = self.state.core.place(self.account, terms, fill_fraction=self.effects.fill_fraction)
        except RefusalError as error:
            listing = self.state.core.listing(terms.market)
            bid, ask = number(listing.bid), number(listing.ask)
            refused = of_order(error.reason, self.state.asset(terms.market), bid=bid, ask=ask)
            self.state.reject(self.account, terms, REJECTED_STATUS.get(error.reason))
            raise refused from error
        except OrderError as error:
            self.state.reject(self.account, terms, REJECTED_STATUS.get(error.reason))
            self._count_refusal()
            raise
        self.order_ids.append(order.order_id)
        return order

    def _admit(self, terms: OrderTerms) -> None:
        """The checks that the core does not make, or makes after it has taken the order."""
        listing = self.state.core.listing(terms.market)
        at_once = terms.time_in_force is TimeInForce.IOC and terms.trigger is None
        guarded = terms.only_reduces or terms.trigger is not None
        if guarded and len(self.account.open_orders) >= OPEN_ORDERS_MAX:
            raise OrderError(TOO_MANY_OPEN, CROWDED)
        held = self.account.quantity(terms.market)
        small = too_small(self.state, terms, held)
        if small is not None and not (terms.reduce_only and held * terms.signed >= 0):  # that one has another fault
            raise OrderError(small, Reason.NOTIONAL_BELOW_MINIMUM)
        if at_once and not self.state.closed(terms.market):
            price = terms.price or listing.mark
            meets = price >= listing.ask if terms.signed > 0 else price <= listing.bid
            if not meets or self.effects.refuse_market_orders or not self._fills(terms):
                raise of_order(Reason.UNFILLABLE, self.state.asset(terms.market))

    def _fills(self, terms: OrderTerms) -> bool:
        fraction = self.effects.fill_fraction
        return fraction is None or terms.market.whole_steps((terms.quantity or ZERO) * fraction) > 0

    def _count_refusal(self) -> None:
        counters = self.account.counters_of(self.origin)
        if counters is not None:
            counters.orders_refused += 1

    def _cancel(self, order: Order | None, market: Market | None, asset: object) -> Status:
        gone: Status = {"error": f"{NOT_FOUND_OR_ENDED} asset={asset}"}
        if order is None or order.terms.market is not market:
            return gone
        self.order_ids.append(order.order_id)
        try:
            self.state.core.cancel(self.account, order, by=self.origin)
        except RefusalError:
            return gone
        for number_ in self.state.children.pop(order.order_id, ()):
            child = self.account.orders[number_]
            if child.is_open:
                self.state.core.cancel(self.account, child, by=self.origin)
        return "success"


def _status(order: Order, grouping: str, parent: Order) -> Status:
    if order.terms.trigger is None or grouping == "na" or not order.is_open:
        return placed(order)
    waits_for_parent = grouping == "normalTpsl" and parent is not order and parent.is_open
    return "waitingForFill" if waits_for_parent else "waitingForTrigger"


def _batch(action: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    entries = action.get(name)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise unreadable(f"missing field `{name}`")
    if len(entries) > BATCH_MAX:
        raise HyperliquidError(OVERWEIGHT)
    return entries


def _number(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise unreadable()
    return value
