"""Positions as this venue has them.

In a hedging account every order opens a position of its own, and only a close of that position ends it. The matching
core knows one position a direction; what is kept here divides it up. In a netting account there is one a market, as in
the core. Positions that changed behind the core's back are taken over when they are next looked at.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from node.sim.accounts import Account, Position
from node.sim.b2prime.ids import IdKind, number_of, ulid
from node.sim.market import ZERO, Market, MarketKey
from node.sim.matching import MatchingCore
from node.sim.orders import Fill, Leg, Order


@dataclass(slots=True, kw_only=True)
class Ticket:
    """One position. *lots* is signed."""

    number: int
    market: Market
    leg: Leg
    lots: Decimal
    open_price: Decimal
    created_ms: int
    updated_ms: int
    leverage: int
    take_profit: Decimal | None = None
    stop_loss: Decimal | None = None
    trailing_distance: Decimal | None = None
    comment: str | None = None
    order_id: int | None = None  # the order that opened it

    @property
    def position_id(self) -> str:
        """As it is called on the wire."""
        return ulid(IdKind.POSITION, self.number, self.created_ms)

    def profit(self, lots: Decimal, price: Decimal) -> Decimal:
        """What closing so many of its lots (unsigned) at *price* brings."""
        return self.market.profit(lots.copy_sign(self.lots), self.open_price, price)


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """A fill's part in one position."""

    number: int
    order: Order
    ticket: Ticket
    quantity: Decimal
    price: Decimal
    profit: Decimal
    fee: Decimal
    at_ms: int
    increases: bool


@dataclass(slots=True, kw_only=True)
class Holdings:
    """One account's positions and what was done to them."""

    open: dict[int, Ticket] = field(default_factory=dict)
    executions: list[Execution] = field(default_factory=list)


class TicketBook:
    """The positions of all accounts."""

    def __init__(self, core: MatchingCore) -> None:
        self._core = core
        self._numbers = itertools.count(1)
        self._holdings: dict[str, Holdings] = {name: Holdings() for name in core.accounts}
        #: Called with the account after a fill has changed a position.
        self.changed: list[Callable[[Account], None]] = []
        for account in core.accounts.values():
            for position in account.open_positions():
                self._open_seed(account, position)
        core.order_changed.append(self._on_order)

    def of(self, account: Account) -> list[Ticket]:
        """Open positions, oldest first."""
        for position in list(account.positions.values()):
            self._take_over(account, position)
        return list(self._holdings[account.name].open.values())

    def find(self, account: Account, position_id: str) -> Ticket | None:
        """An open position of the account by its identifier."""
        number = number_of(position_id, IdKind.POSITION)
        found = next((each for each in self.of(account) if each.number == number), None)
        return found if found is not None and found.position_id == position_id else None

    def executions(self, account: Account) -> list[Execution]:
        """Everything that was traded in positions, oldest first."""
        return self._holdings[account.name].executions

    def _open_seed(self, account: Account, position: Position) -> None:
        """What a scenario holds; in a hedging account as two positions where it divides."""
        first = position.market.whole_steps(position.quantity * Decimal("0.6"))
        parts = [first, position.quantity - first] if position.leg is not Leg.NET and first else [position.quantity]
        for part in parts:
            if part:
                self._open(account, position.market, position.leg, part, position.entry_price)

    def _open(
        self, account: Account, market: Market, leg: Leg, lots: Decimal, price: Decimal, order: Order | None = None
    ) -> Ticket:
        now_ms, extras = self._core.now_ms(), order.terms.extras if order is not None else {}
        ticket = Ticket(
            number=next(self._numbers),
            market=market,
            leg=leg,
            lots=lots,
            open_price=price,
            created_ms=now_ms,
            updated_ms=now_ms,
            leverage=account.position_settings(market).leverage,
            comment=extras.get("comment"),
            order_id=order.order_id if order is not None else None,
        )
        if extras.get("leverage"):
            ticket.leverage = int(extras["leverage"])
        if extras.get("takeProfit"):
            ticket.take_profit = Decimal(extras["takeProfit"])
        if extras.get("stopLoss"):
            self.set_stop(ticket, Decimal(extras["stopLoss"]), trailing=extras.get("trailing") == "true")
        self._holdings[account.name].open[ticket.number] = ticket
        return ticket

    def set_stop(self, ticket: Ticket, price: Decimal | None, *, trailing: bool) -> None:
        """Set where losses end; a trailing stop keeps its present distance from the best price."""
        ticket.stop_loss = price
        mark = self._core.listing(ticket.market).mark
        ticket.trailing_distance = abs(mark - price) if trailing and price is not None else None

    def _on_order(self, account: Account, order: Order, fill: Fill | None) -> None:
        if fill is None or not order.terms.market.is_contract:
            return
        if order.terms.leg is Leg.NET:
            self._net(account, order, fill)
        elif order.terms.only_reduces:
            self._reduce(account, order, fill)
        else:
            self._increase(account, order, fill)
        for listener in self.changed:
            listener(account)

    def _net(self, account: Account, order: Order, fill: Fill) -> None:
        market, change = order.terms.market, order.terms.signed * fill.quantity
        old = next((each for each in self._held(account, market.key, Leg.NET)), None)
        if old is None or old.lots * change > 0:
            ticket = old or self._open(account, market, Leg.NET, ZERO, fill.price, order)
            ticket.lots += change
            ticket.open_price = account.position(market).entry_price
            ticket.leverage = account.position_settings(market).leverage
            self._record(account, order, fill, ticket, fill.quantity, ZERO, increases=True)
            return
        closed = min(abs(old.lots), fill.quantity)
        self._record(account, order, fill, old, closed, old.profit(closed, fill.price), increases=False)
        self._shrink(account, old, closed)
        if fill.quantity > closed:
            rest = fill.quantity - closed
            ticket = self._open(account, market, Leg.NET, rest * order.terms.signed, fill.price, order)
            self._record(account, order, fill, ticket, rest, ZERO, increases=True)

    def _increase(self, account: Account, order: Order, fill: Fill) -> None:
        terms = order.terms
        held = self._held(account, terms.market.key, terms.leg)
        ticket = next((each for each in held if each.order_id == order.order_id), None)
        if ticket is None:
            lots = fill.quantity * terms.signed
            ticket = self._open(account, terms.market, terms.leg, lots, fill.price, order)
        else:
            worth = abs(ticket.lots) * ticket.open_price + fill.quantity * fill.price
            ticket.lots += fill.quantity * terms.signed
            ticket.open_price = worth / abs(ticket.lots)
        ticket.updated_ms = self._core.now_ms()
        self._record(account, order, fill, ticket, fill.quantity, ZERO, increases=True)

    def _reduce(self, account: Account, order: Order, fill: Fill) -> None:
        """Take it from the position that the order names, or from the oldest. Profit is that position's own."""
        terms, left, own_profit = order.terms, fill.quantity, ZERO
        named = terms.extras.get("ticket")
        for ticket in list(self._held(account, terms.market.key, terms.leg)):
            if not left or named not in (None, str(ticket.number)):
                continue
            closed = min(abs(ticket.lots), left)
            profit = ticket.profit(closed, fill.price)
            self._record(account, order, fill, ticket, closed, profit, increases=False)
            self._shrink(account, ticket, closed)
            left, own_profit = left - closed, own_profit + profit
        account.balance(terms.market.wallet, terms.market.settle).free += own_profit - fill.profit
        rest = list(self._held(account, terms.market.key, terms.leg))
        total = sum((abs(each.lots) for each in rest), ZERO)
        if total:
            worth = sum((abs(each.lots) * each.open_price for each in rest), ZERO)
            account.position(terms.market, terms.leg).entry_price = worth / total

    def _record(
        self,
        account: Account,
        order: Order,
        fill: Fill,
        ticket: Ticket,
        quantity: Decimal,
        profit: Decimal,
        *,
        increases: bool,
    ) -> None:
        execution = Execution(
            number=next(self._numbers),
            order=order,
            ticket=ticket,
            quantity=quantity,
            price=fill.price,
            profit=profit,
            fee=fill.fee * quantity / fill.quantity,
            at_ms=self._core.now_ms(),
            increases=increases,
        )
        self._holdings[account.name].executions.append(execution)

    def _shrink(self, account: Account, ticket: Ticket, lots: Decimal) -> None:
        ticket.lots -= lots.copy_sign(ticket.lots)
        ticket.updated_ms = self._core.now_ms()
        if not ticket.lots:
            self._holdings[account.name].open.pop(ticket.number, None)

    def _held(self, account: Account, market: MarketKey, leg: Leg) -> Iterator[Ticket]:
        holdings = self._holdings[account.name]
        return (each for each in list(holdings.open.values()) if each.market.key == market and each.leg is leg)

    def _take_over(self, account: Account, position: Position) -> None:
        held = list(self._held(account, position.market.key, position.leg))
        missing = position.quantity - sum((each.lots for each in held), ZERO)
        if not missing:
            return
        if held and held[-1].lots * missing > 0:
            held[-1].lots += missing
            return
        for ticket in held:
            lost = min(abs(ticket.lots), abs(missing)) if ticket.lots * missing < 0 else ZERO
            self._shrink(account, ticket, lost)
            missing += lost.copy_sign(ticket.lots or -missing)
        if missing:
            self._open(account, position.market, position.leg, missing, position.entry_price)
