"""What happens behind a client's back: an engine that re-opens, triggers that fire late, slices that reads omit."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any

from node.sim.accounts import Account
from node.sim.faults import EngineReopens, HiddenSlice, LateTrigger
from node.sim.market import Market, Product
from node.sim.matching import MatchingCore
from node.sim.orders import Leg, Order, OrderKind, OrderTerms, Origin, Side
from node.sim.refusals import RefusalError
from node.sim.world import select_markets

#: Runs a callable after so many seconds.
Schedule = Callable[[float, Callable[[], None]], object]


class Provocations:
    """Watches the core's events and acts as the scenario's engine would."""

    def __init__(self, core: MatchingCore, schedule: Schedule) -> None:
        self._core = core
        self._schedule = schedule
        self._reopens: list[EngineReopens] = []
        self._late: list[LateTrigger] = []
        self._hidden: list[HiddenSlice] = []
        core.position_closed.append(self._on_closed)
        core.before_cancel = self._on_cancel

    def add(self, reopens: list[EngineReopens], late: list[LateTrigger], hidden: list[HiddenSlice]) -> None:
        """Set further traps.

        Raises:
            LookupError: a symbol is not listed.
        """
        for symbol in (*(trap.symbol for trap in reopens), *(trap.symbol for trap in late)):
            select_markets(self._core, symbol)
        self._reopens += [trap.model_copy() for trap in reopens]
        self._late += [trap.model_copy() for trap in late]
        self._hidden += [trap.model_copy() for trap in hidden]

    def clear(self) -> None:
        """Remove all traps."""
        self._reopens.clear()
        self._late.clear()
        self._hidden.clear()

    def hidden_from(self, product: Product) -> tuple[str, ...]:
        """Slices that this read of *product* leaves out; counts the read."""
        names = []
        for trap in self._hidden:
            if trap.slice.split(":")[0] == product and trap.times != 0:
                names.append(trap.slice)
                trap.times = None if trap.times is None else trap.times - 1
        return tuple(names)

    def document(self) -> dict[str, Any]:
        """The traps that are still set, as JSON."""
        return {
            "engine_reopens": [trap.model_dump(mode="json") for trap in self._reopens if trap.times],
            "late_trigger": [trap.model_dump(mode="json") for trap in self._late if trap.times],
            "hidden_slice": [trap.model_dump(mode="json") for trap in self._hidden if trap.times != 0],
        }

    def _on_closed(self, account: Account, market: Market) -> None:
        flat = not any(account.open_positions())
        for reopen in self._reopens:
            if reopen.times and self._due(reopen, account, market, flat):
                reopen.times -= 1
                self._later(reopen.delay_ms, partial(self._reopen, account, reopen))
        for late in self._late:
            if late.times and self._due(late, account, market, flat):
                late.times -= 1
                self._later(late.delay_ms, partial(self._fire, account, late))

    def _on_cancel(self, account: Account, order: Order) -> None:
        for late in self._late:
            same = order.terms.market in select_markets(self._core, late.symbol)
            if late.trigger == "on_cancel" and late.times and same and order.waits_for_trigger:
                late.times -= 1
                self._core.fire(account, order)
                return

    def _due(self, trap: EngineReopens | LateTrigger, account: Account, market: Market, flat: bool) -> bool:
        if trap.account not in (None, account.name):
            return False
        if trap.trigger == "after_flat":
            return flat
        return trap.trigger == "after_close" and market in select_markets(self._core, trap.symbol)

    def _later(self, delay_ms: float, action: Callable[[], None]) -> None:
        if delay_ms:
            self._schedule(delay_ms / 1000, action)
        else:
            action()

    def _reopen(self, account: Account, trap: EngineReopens) -> None:
        market = select_markets(self._core, trap.symbol)[0]
        side = Side.BUY if trap.quantity > 0 else Side.SELL
        leg = Leg.NET
        if account.is_hedged(market):
            leg = Leg.LONG if side is Side.BUY else Leg.SHORT
        terms = OrderTerms(
            market=market,
            side=side,
            kind=OrderKind.MARKET,
            client_id=f"engine-{self._core.now_ms()}-{account.engine_counters.orders_placed}",
            venue_type="MARKET",
            quantity=abs(Decimal(trap.quantity)),
            leg=leg,
            origin=Origin.ENGINE,
        )
        self._attempt(lambda: self._core.place(account, terms))

    def _fire(self, account: Account, trap: LateTrigger) -> None:
        markets = select_markets(self._core, trap.symbol)
        waiting = [o for o in account.open_orders.values() if o.waits_for_trigger and o.terms.market in markets]
        waiting.sort(key=lambda order: order.terms.only_reduces)  # one that opens a position does most harm
        if waiting:
            self._attempt(lambda: self._core.fire(account, waiting[0]))

    def _attempt(self, action: Callable[[], object]) -> None:
        # An engine's order may be refused like anyone's; its counters keep the number.
        try:
            action()
        except RefusalError:
            return
