"""TWAP orders: the venue itself trades a part of them every thirty seconds, until their time is over.

They are in no list of open orders: a history tells what was placed, and what has become of it. Parts are equal, and
trade at the market; what the real venue does when it falls behind is not modelled.

Sources: "Place a TWAP order", "Cancel a TWAP order" of the exchange endpoint; ``WsTwapHistory`` of the WebSocket's
subscriptions; "TWAP orders" under order types; the texts of ccxt 4.5.90's table.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from node.sim.accounts import Account
from node.sim.hyperliquid.errors import TWAP_NOT_FOUND, unreadable
from node.sim.hyperliquid.numbers import decimal, number
from node.sim.market import ZERO, Market
from node.sim.orders import OrderKind, OrderTerms, Origin, Side
from node.sim.refusals import RefusalError

if TYPE_CHECKING:
    from node.sim.hyperliquid.venue_state import VenueState

EVERY_MS: Final = 30_000
MINUTES: Final = range(5, 1441)
A_MINUTE: Final = Decimal(10)
FIRST_ID: Final = 1_430_699
ACTIVATED, FINISHED, TERMINATED = "activated", "finished", "terminated"


@dataclass(slots=True, kw_only=True)
class Twap:
    """One order; *at_ms* is when its status changed."""

    number: int
    market: Market
    side: Side
    size: Decimal
    minutes: int
    reduce_only: bool
    randomize: bool
    origin: Origin
    created_ms: int
    at_ms: int
    status: str = ACTIVATED
    executed: Decimal = ZERO
    notional: Decimal = ZERO
    parts_done: int = 0


#: Told of every change.
Changed = Callable[[Account, Twap], None]


class Twaps:
    """The TWAP orders of all accounts."""

    def __init__(self, state: VenueState) -> None:
        self._state = state
        self._of: dict[str, list[Twap]] = defaultdict(list)
        self._numbers = itertools.count(FIRST_ID)
        self.changed: list[Changed] = []

    def running(self, account: Account) -> list[Twap]:
        """What still trades."""
        return [twap for twap in self._of[account.name] if twap.status == ACTIVATED]

    def place(self, account: Account, action: Mapping[str, Any], origin: Origin) -> dict[str, Any]:
        """``twapOrder``: its status."""
        told = action.get("twap")
        wire: Mapping[str, Any] = told if isinstance(told, dict) else {}
        market, size, minutes = self._state.market(wire.get("a")), decimal(wire.get("s")), wire.get("m")
        if market is None or size is None or not isinstance(minutes, int) or not isinstance(wire.get("b"), bool):
            raise unreadable()
        if minutes not in MINUTES:
            return {"error": f"Invalid TWAP duration: {minutes} min(s)"}
        least = A_MINUTE * minutes
        if size * self._state.core.listing(market).mark < least:
            return {"error": f"TWAP order value too small. Min is ${least}, which is ${A_MINUTE} per minute."}
        now_ms = self._state.now_ms
        twap = Twap(
            number=next(self._numbers),
            market=market,
            side=Side.BUY if wire["b"] else Side.SELL,
            size=market.whole_steps(size),
            minutes=minutes,
            reduce_only=bool(wire.get("r")),
            randomize=bool(wire.get("t")),
            origin=origin,
            created_ms=now_ms,
            at_ms=now_ms,
        )
        self._of[account.name].append(twap)
        self._tell(account, twap)
        return {"running": {"twapId": twap.number}}

    def cancel(self, account: Account, action: Mapping[str, Any], origin: Origin) -> dict[str, Any] | str:
        """``twapCancel``: its status."""
        market = self._state.market(action.get("a"))
        for twap in self.running(account):
            if twap.number == action.get("t") and twap.market is market:
                self._end(account, twap, TERMINATED)
                counters = account.counters_of(origin)
                if counters is not None:
                    counters.orders_cancelled += 1
                return "success"
        return {"error": TWAP_NOT_FOUND}

    def advance(self) -> None:
        """Trade what is due by now."""
        for account in self._state.core.accounts.values():
            for twap in self.running(account):
                self._trade(account, twap)

    def history(self, account: Account, user: str) -> list[dict[str, Any]]:
        """``twapHistory``: a row for every change of status, newest first."""
        rows = []
        for twap in self._of[account.name]:
            rows.append(self._row(twap, user, ACTIVATED, twap.created_ms))
            if twap.status != ACTIVATED:
                rows.append(self._row(twap, user, twap.status, twap.at_ms))
        return sorted(rows, key=lambda each: each["time"], reverse=True)

    def row(self, twap: Twap, user: str) -> dict[str, Any]:
        """The row of its latest change."""
        return self._row(twap, user, twap.status, twap.at_ms)

    def _row(self, twap: Twap, user: str, status: str, at_ms: int) -> dict[str, Any]:
        return {
            "time": at_ms // 1000,
            "state": {
                "coin": twap.market.symbol,
                "user": user,
                "side": "B" if twap.side is Side.BUY else "A",
                "sz": number(twap.size),
                "executedSz": number(twap.executed),
                "executedNtl": number(twap.notional),
                "minutes": twap.minutes,
                "reduceOnly": twap.reduce_only,
                "randomize": twap.randomize,
                "timestamp": twap.created_ms,
            },
            "status": {"status": status},
            "twapId": twap.number,
        }

    def _trade(self, account: Account, twap: Twap) -> None:
        parts = twap.minutes * 60_000 // EVERY_MS
        due = min(parts, (self._state.now_ms - twap.created_ms) // EVERY_MS)
        while twap.parts_done < due:
            twap.parts_done += 1
            last = twap.parts_done == parts
            quantity = twap.size - twap.executed if last else twap.market.whole_steps(twap.size / parts)
            self._trade_part(account, twap, quantity)
        if twap.parts_done >= parts:
            self._end(account, twap, FINISHED)

    def _trade_part(self, account: Account, twap: Twap, quantity: Decimal) -> None:
        terms = OrderTerms(
            market=twap.market,
            side=twap.side,
            kind=OrderKind.MARKET,
            client_id=self._state.own_client_id(),
            venue_type="Market",
            quantity=quantity,
            reduce_only=twap.reduce_only,
            origin=twap.origin,
        )
        try:
            order = self._state.core.place(account, terms)
        except RefusalError:
            return  # the next part may be taken
        twap.executed += order.filled
        twap.notional += order.filled * order.average_price

    def _end(self, account: Account, twap: Twap, status: str) -> None:
        twap.status, twap.at_ms = status, self._state.now_ms
        self._tell(account, twap)

    def _tell(self, account: Account, twap: Twap) -> None:
        for listener in self.changed:
            listener(account, twap)
