"""The venue-neutral matching core.

Prices are given, not discovered: every market trades with unlimited depth at its bid and ask, so that the outcome of an
order follows from the rules alone. Other front-ends share it; nothing here knows a venue's words.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable
from dataclasses import replace
from decimal import Decimal

from node.sim.accounts import Account, PositionKey
from node.sim.admission import HouseRules, admit, count_acceptance, crosses, shortfall, wanted_quantity
from node.sim.market import Listing, Market, MarketKey, MarketStatus, Product
from node.sim.orders import (
    Book,
    Fill,
    Leg,
    Order,
    OrderKind,
    OrderStatus,
    OrderTerms,
    Origin,
    Side,
    TimeInForce,
)
from node.sim.refusals import Reason, RefusalError
from node.sim.settlement import hold, release, settle_fill
from node.sim.treasury import BalancesChanged, Treasury
from node.sim.triggers import reached

FIRST_ORDER_ID = 8_389_765_000_000_001  # as long as the real ones: a client that keeps it as a float loses digits
PositionClosed = Callable[[Account, Market], None]
#: An order changed; with the fill, if that is what changed it.
OrderChanged = Callable[[Account, Order, Fill | None], None]


class MatchingCore:
    """Accounts, listings, and the rules by which orders become positions. Synchronous: one call is one event."""

    def __init__(self, listings: Iterable[Listing], *, now_ms: Callable[[], int]) -> None:
        self.now_ms = now_ms
        self.rules = HouseRules()
        #: Refusals that come after the acknowledgement: the order is taken, and ends at once.
        self.refused_late: frozenset[Reason] = frozenset()
        self.listings: dict[MarketKey, Listing] = {listing.market.key: listing for listing in listings}
        self.accounts: dict[str, Account] = {}
        #: Called after the event in which an account's position in a market became zero.
        self.position_closed: list[PositionClosed] = []
        #: Called whenever an order is taken, trades or ends, in the midst of the event; for telling, not for acting.
        self.order_changed: list[OrderChanged] = []
        #: Called with the wallet and the assets when spot or margin balances moved; likewise.
        self.balances_changed: list[BalancesChanged] = []
        #: Called after the event in which a market's price moved.
        self.price_changed: list[Callable[[Market], None]] = []
        self.treasury = Treasury(self.balances_changed)
        #: Called before a cancel takes effect; it may let the order fire first.
        self.before_cancel: Callable[[Account, Order], None] | None = None
        self._order_ids = itertools.count(FIRST_ORDER_ID)
        self._trade_ids = itertools.count(700_000_001)

    def listing(self, market: Market) -> Listing:
        """State of a market."""
        return self.listings[market.key]

    def place(self, account: Account, terms: OrderTerms, *, fill_fraction: Decimal | None = None) -> Order:
        """Take an order and match it. *fill_fraction* bounds what trades at once.

        Raises:
            RefusalError: the order is not taken.
        """
        open_before = _open_keys(account)
        try:
            order = self._enter(account, terms, fill_fraction)
        except RefusalError:
            counters = account.counters_of(terms.origin)
            if counters is not None:
                counters.orders_refused += 1
            raise
        self._after_event(account, open_before)
        return order

    def cancel(self, account: Account, order: Order, *, by: Origin = Origin.CLIENT) -> Order:
        """Cancel an open order; *by* says on whose account the cancel is counted.

        Raises:
            RefusalError: it is not open any more.
        """
        if order.is_open and self.before_cancel is not None:
            self.before_cancel(account, order)
        if not order.is_open:
            raise RefusalError(Reason.UNKNOWN_ORDER)
        self._end(account, order, OrderStatus.CANCELLED)
        counters = account.counters_of(by)
        if counters is not None:
            counters.orders_cancelled += 1
        return order

    def cancel_all(
        self,
        account: Account,
        product: Product,
        symbol: str | None = None,
        book: Book = Book.ORDERS,
        *,
        by: Origin = Origin.CLIENT,
    ) -> list[Order]:
        """Cancel every open order of one book; those that end some other way meanwhile are left out."""
        cancelled = []
        for order in account.resting(product, symbol, book):
            with contextlib.suppress(RefusalError):
                cancelled.append(self.cancel(account, order, by=by))
        return cancelled

    def set_mark(self, market: Market, mark: Decimal) -> None:
        """Move the price of a market and of those that share its book: triggers fire, resting orders trade."""
        book = (market.book_of or market.product, market.symbol)
        moved = [
            listing
            for listing in self.listings.values()
            if (listing.market.book_of or listing.market.product, listing.market.symbol) == book
        ]
        for listing in moved:
            listing.quote(mark)
        for account in self.accounts.values():
            open_before = _open_keys(account)
            for order in list(account.open_orders.values()):
                listing = self.listing(order.terms.market)
                if order.is_open and listing in moved:
                    self._on_price(account, order, listing)
            self._after_event(account, open_before)
        for listener in self.price_changed:
            for listing in moved:
                listener(listing.market)

    def set_status(self, market: Market, status: MarketStatus) -> None:
        """Open or close a market, and those that trade in its book. Delisting ends orders; positions stay."""
        for listing in self.listings.values():
            other = listing.market
            if other is market or (other.book_of is market.product and other.symbol == market.symbol):
                listing.status = status
        if status is not MarketStatus.DELISTED:
            return
        for account in self.accounts.values():
            for order in list(account.open_orders.values()):
                if self.listing(order.terms.market).status is status:
                    self._end(account, order, OrderStatus.EXPIRED)

    def fire(self, account: Account, order: Order) -> None:
        """Fire a waiting conditional order, whatever the price."""
        if not order.waits_for_trigger or not order.is_open:
            raise RefusalError(Reason.UNKNOWN_ORDER)
        open_before = _open_keys(account)
        self._fire(account, order)
        self._after_event(account, open_before)

    def set_hedge_mode(self, account: Account, product: Product, *, hedge: bool) -> None:
        """Switch between one net position and two legs a market.

        Raises:
            RefusalError: it is so already, or orders or positions are open.
        """
        if hedge == (product in account.hedge_mode):
            raise RefusalError(Reason.NOTHING_TO_CHANGE)
        if any(order.terms.market.product is product for order in account.open_orders.values()):
            raise RefusalError(Reason.OPEN_ORDERS_EXIST)
        if any(account.open_positions(product)):
            raise RefusalError(Reason.POSITIONS_EXIST)
        (account.hedge_mode.add if hedge else account.hedge_mode.discard)(product)

    def set_market_hedge_mode(self, account: Account, market: Market, *, hedge: bool) -> None:
        """Switch a single market between one net position and two legs.

        Raises:
            RefusalError: it is so already, or orders or positions are open in it.
        """
        if hedge == account.is_hedged(market):
            raise RefusalError(Reason.NOTHING_TO_CHANGE)
        if any(position.market is market for position in account.open_positions()):
            raise RefusalError(Reason.POSITIONS_EXIST)
        if any(order.terms.market is market for order in account.open_orders.values()):
            raise RefusalError(Reason.OPEN_ORDERS_EXIST)
        account.market_modes[market.key] = hedge

    def bury(self, account: Account, terms: OrderTerms) -> Order:
        """Take an order that ends at once without a trade, as where a venue acknowledges before it looks."""
        count_acceptance(account, terms, Decimal(0), Decimal(0))
        order = self._enlist(account, terms, wanted_quantity(terms, self.listing(terms.market)))
        self._end(account, order, OrderStatus.EXPIRED)
        return order

    def _enter(self, account: Account, terms: OrderTerms, fill_fraction: Decimal | None = None) -> Order:
        try:
            quantity = admit(account, terms, self.listing, self.rules)
        except RefusalError as refusal:
            if refusal.reason not in self.refused_late:
                raise
            return self.bury(account, terms)
        lacking = shortfall(account, terms, quantity, self.listing(terms.market))
        count_acceptance(account, terms, quantity, lacking)
        order = self._enlist(account, terms, quantity)
        if terms.time_in_force is TimeInForce.POST_ONLY and not order.waits_for_trigger and self._crosses(terms):
            self._end(account, order, OrderStatus.CANCELLED)  # where it is not refused instead
        elif not order.waits_for_trigger:
            self._match(account, order, fill_fraction)
        self._hold(account, order)
        return order

    def _enlist(self, account: Account, terms: OrderTerms, quantity: Decimal) -> Order:
        now_ms = self.now_ms()
        order = Order(
            order_id=next(self._order_ids), terms=terms, quantity=quantity, created_ms=now_ms, updated_ms=now_ms
        )
        account.orders[order.order_id] = account.open_orders[order.order_id] = order
        account.by_client_id[terms.market.key, terms.book, terms.client_id] = order
        self._tell(account, order)
        return order

    def _crosses(self, terms: OrderTerms) -> bool:
        return crosses(terms, self.listing(terms.market))

    def _match(self, account: Account, order: Order, fill_fraction: Decimal | None = None) -> None:
        terms, listing = order.terms, self.listing(order.terms.market)
        if crosses(terms, listing):
            quantity = self._tradable(account, order)
            if fill_fraction is not None:
                quantity = terms.market.whole_steps(quantity * fill_fraction)
            if quantity > 0:
                release(account, order)
                price = listing.ask if terms.side is Side.BUY else listing.bid
                settle_fill(
                    account,
                    order,
                    quantity,
                    price,
                    trade_id=next(self._trade_ids),
                    now_ms=self.now_ms(),
                    repays=terms.repays or self.rules.auto_borrow,
                )
                done = order.filled >= order.quantity
                order.status = OrderStatus.FILLED if done else OrderStatus.PARTIALLY_FILLED
                self._tell(account, order, order.fills[-1])
                self._tell_balances(account, terms.market, terms.market.base, terms.market.quote)
        self._settle_status(account, order)

    def _tradable(self, account: Account, order: Order) -> Decimal:
        terms = order.terms
        if not terms.market.is_contract or not terms.only_reduces:
            return order.remaining
        held = account.quantity(terms.market, terms.leg)
        return min(order.remaining, abs(held)) if held * terms.signed < 0 else Decimal(0)

    def _settle_status(self, account: Account, order: Order) -> None:
        at_once = order.terms.kind is OrderKind.MARKET or order.terms.time_in_force in (
            TimeInForce.IOC,
            TimeInForce.FOK,
        )
        if order.filled >= order.quantity:
            self._end(account, order, OrderStatus.FILLED)
            counters = account.counters_of(order.terms.origin)
            if counters is not None:
                counters.orders_filled += 1
        elif at_once:
            self._end(account, order, OrderStatus.EXPIRED)

    def _end(self, account: Account, order: Order, status: OrderStatus) -> None:
        held = order.held
        release(account, order)
        order.status = status
        order.updated_ms = self.now_ms()
        account.open_orders.pop(order.order_id, None)
        if status is not OrderStatus.FILLED:  # the fill has told of it
            self._tell(account, order)
        if held:
            self._tell_balances(account, order.terms.market, order.terms.gives)

    def _hold(self, account: Account, order: Order) -> None:
        terms = order.terms
        if order.is_open and not terms.market.is_contract and (terms.holds or not order.waits_for_trigger):
            hold(account, order)
            self._tell_balances(account, order.terms.market, order.terms.gives)

    def _tell(self, account: Account, order: Order, fill: Fill | None = None) -> None:
        for listener in self.order_changed:
            listener(account, order, fill)

    def _tell_balances(self, account: Account, market: Market, *assets: str) -> None:
        if not market.is_contract:
            for listener in self.balances_changed:
                listener(account, market.wallet, dict.fromkeys(assets))

    def _on_price(self, account: Account, order: Order, listing: Listing) -> None:
        if order.waits_for_trigger:
            if reached(order, listing.mark):
                self._fire(account, order)
        elif crosses(order.terms, listing):
            self._match(account, order)
            self._hold(account, order)

    def _fire(self, account: Account, order: Order) -> None:
        order.triggered = True
        order.triggered_ms = self.now_ms()
        terms = order.terms
        if terms.close_position:
            order.quantity = abs(account.quantity(terms.market, terms.leg))
        if terms.book is Book.ORDERS:
            self._fire_in_place(account, order)
            return
        child = replace(
            terms,
            book=Book.ORDERS,
            trigger=None,
            other_trigger=None,
            origin=Origin.TRIGGER,
            quantity=order.quantity,
            reduce_only=terms.reduce_only or (terms.close_position and terms.leg is Leg.NET),
            close_position=False,
            venue_type="LIMIT" if terms.kind is OrderKind.LIMIT else "MARKET",
        )
        try:
            order.child_id = self._enter(account, child).order_id
        except RefusalError:
            self._end(account, order, OrderStatus.REJECTED)
        else:
            self._end(account, order, OrderStatus.FINISHED)

    def _fire_in_place(self, account: Account, order: Order) -> None:
        terms = order.terms
        if not order.quantity:
            self._end(account, order, OrderStatus.EXPIRED)
            return
        lacking = shortfall(account, terms, order.quantity, self.listing(terms.market))
        if not terms.holds and lacking and not terms.borrows:
            self._end(account, order, OrderStatus.REJECTED)
            return
        self._match(account, order)
        if not terms.holds:
            self._hold(account, order)

    def _after_event(self, account: Account, open_before: set[PositionKey]) -> None:
        closed = open_before - _open_keys(account)
        for product, symbol, leg in closed:
            self._expire_reductions(account, product, symbol, leg)
        for product, symbol, _ in sorted(closed):
            for listener in self.position_closed:
                listener(account, self.listings[product, symbol].market)

    def _expire_reductions(self, account: Account, product: Product, symbol: str, leg: Leg) -> None:
        for order in account.resting(product, symbol, Book.ORDERS):
            terms = order.terms
            reduces = self.rules.reduce_only_expires and terms.only_reduces and not order.waits_for_trigger
            stops = terms.close_position and terms.market.stops_end_with_position
            if terms.leg is leg and (reduces or stops):
                self._end(account, order, OrderStatus.EXPIRED)


def _open_keys(account: Account) -> set[PositionKey]:
    return {key for key, position in account.positions.items() if position.quantity}
