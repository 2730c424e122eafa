"""Everything of one world that the matching core does not keep."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import deque
from collections.abc import Callable, Mapping
from decimal import Decimal

from node.sim.accounts import Account
from node.sim.b2prime.calendars import Calendar, is_open
from node.sim.b2prime.ids import IdKind, account_id, number_of, ulid
from node.sim.b2prime.markets import ROOT, WALLET, market_facts
from node.sim.b2prime.switches import Switches, Trading
from node.sim.b2prime.tickets import Ticket, TicketBook
from node.sim.b2prime.tokens import AccessTokens
from node.sim.catalogue import price_of
from node.sim.market import ZERO, Listing, Market, MarketStatus, Product
from node.sim.orders import Book, Leg, Order, OrderKind, OrderTerms, Origin, Side
from node.sim.refusals import RefusalError
from node.sim.settlement import unrealised
from node.sim.venue import VenueSetup

USER_CREATED_MS = 1_760_000_000_000
_numbers = itertools.count(1)
_STATUSES = {
    Trading.OPEN: MarketStatus.TRADING,
    Trading.PAUSED: MarketStatus.BREAK,
    Trading.HALTED: MarketStatus.BREAK,
    Trading.DISABLED: MarketStatus.BREAK,
}
#: What an asset counts as collateral; what is not named does not count, and cannot be selected.
MARGIN_RATIOS = {"USDT": Decimal(1), "USDC": Decimal(1), "BTC": Decimal("0.9"), "ETH": Decimal("0.9")}


class VenueState:
    """One user with all accounts of the scenario, and the switches."""

    def __init__(self, setup: VenueSetup) -> None:
        self.setup = setup
        self.core = setup.core
        self.switches = Switches()
        self.user_id = ulid(IdKind.USER, 1, USER_CREATED_MS)
        self.tokens = AccessTokens(keys=setup.keys, switches=self.switches, user_id=self.user_id)
        self.favourites: set[str] = {"spot.btc_usdt", "cfd.eur_usd"}
        self.deselected: set[tuple[str, str]] = set()  # (account, asset)
        self.reasons: dict[int, str] = {}  # why the venue ended an order by itself, by order id
        self.arrivals: deque[int] = deque()
        self._adopt_stops()
        self.tickets = TicketBook(self.core)
        self._give_stops()
        self.core.price_changed.append(self._on_price)

    @property
    def now_ms(self) -> int:
        """The venue's clock."""
        return self.setup.clock.now_ms()

    def account(self, identifier: str) -> Account | None:
        """By its 24 digits."""
        return next((each for name, each in self.core.accounts.items() if account_id(name) == identifier), None)

    def listing(self, market_id: str) -> Listing | None:
        """A market that is not gone, with its prices."""
        product = Product.SPOT if market_id.startswith("spot.") else Product.LINEAR
        listing = self.core.listings.get((product, market_id))
        return None if listing is None or listing.status is MarketStatus.DELISTED else listing

    def order(self, account: Account, identifier: str, book: Book) -> Order | None:
        """An order of the account, open or not."""
        order = account.orders.get(number_of(identifier, IdKind.ORDER) or 0)
        if order is None or order.terms.book is not book or order_id(order) != identifier:
            return None
        return order

    def calendar(self, market: Market) -> Calendar:
        """When the market trades."""
        return self.switches.calendars.get(market.symbol) or market_facts()[market.symbol].calendar

    def trades(self, market: Market) -> bool:
        """Whether the market takes orders now."""
        trading = self.core.listing(market).status is MarketStatus.TRADING
        return trading and is_open(self.calendar(market), self.now_ms)

    def set_status(self, market_id: str, status: Trading) -> None:
        """Pause, halt or open a market; the stricter two end resting limit orders."""
        listing = self.listing(market_id)
        if listing is None:
            return
        self.core.set_status(listing.market, _STATUSES[status])
        if status in (Trading.HALTED, Trading.DISABLED):
            for account in self.core.accounts.values():
                for order in account.resting(listing.market.product, market_id):
                    self.reasons[order.order_id] = f"Market{status.value}"
                    self.core.cancel(account, order, by=Origin.SEED)

    def close(
        self,
        account: Account,
        ticket: Ticket,
        lots: Decimal,
        origin: Origin,
        *,
        fill_fraction: Decimal | None = None,
        **extras: str,
    ) -> Order:
        """Place the counter order of a position.

        Raises:
            RefusalError: it is gone already, or the market does not trade.
        """
        terms = OrderTerms(
            market=ticket.market,
            side=Side.SELL if ticket.lots > 0 else Side.BUY,
            kind=OrderKind.MARKET,
            client_id=f"close-{next(_numbers)}",
            venue_type="Market",
            quantity=lots,
            leg=ticket.leg,
            reduce_only=True,
            close_position=True,
            origin=origin,
            extras={"ticket": str(ticket.number), "timeInForce": "Ioc", **extras},
        )
        return self.core.place(account, terms, fill_fraction=fill_fraction)

    def later(self, delay_ms: float, action: Callable[[], None]) -> None:
        """Do it after so long; at once if it is not to wait."""
        if delay_ms:
            asyncio.get_running_loop().call_later(delay_ms / 1000, action)
        else:
            action()

    def expire_orders(self) -> None:
        """End orders whose day is over."""
        for account in self.core.accounts.values():
            for order in list(account.open_orders.values()):
                until = order.terms.extras.get("until_ms")
                if until is not None and int(until) <= self.now_ms:
                    self.reasons[order.order_id] = "Expired"
                    with contextlib.suppress(RefusalError):
                        self.core.cancel(account, order, by=Origin.SEED)

    def rate(self, asset: str) -> Decimal:
        """Worth of an asset in the root asset; zero if nobody would take it."""
        try:
            return price_of(asset) / price_of(ROOT)
        except LookupError:
            return ZERO

    def margin(self, account: Account) -> Mapping[str, Decimal]:
        """The account's margin figures, in the root asset."""
        held = account.wallets.get(WALLET, {})
        balance = sum(
            (
                held[asset].total * ratio * self.rate(asset)
                for asset, ratio in MARGIN_RATIOS.items()
                if asset in held and (account.name, asset) not in self.deselected
            ),
            ZERO,
        )
        profit = sum((unrealised(each, self.core.listing(each.market).mark) for each in account.open_positions()), ZERO)
        used = sum((self.used_margin(each) for each in self.tickets.of(account)), ZERO)
        equity = balance + profit
        return {
            "marginBalanceInRAT": balance,
            "unrealizedPnlInRAT": profit,
            "equityInRAT": equity,
            "usedMarginInRAT": used,
            "freeMarginInRAT": equity - used,
            "marginLevel": equity / used if used else ZERO,
        }

    def used_margin(self, ticket: Ticket) -> Decimal:
        """What a position binds, in the root asset."""
        value = abs(ticket.market.value(ticket.lots, ticket.open_price))
        return value / ticket.leverage * self.rate(ticket.market.settle)

    def _adopt_stops(self) -> None:
        """Stops of a scenario that close a position belong to the position here: take them out of the book."""
        self._stops: list[tuple[Account, OrderTerms]] = []
        for account in self.core.accounts.values():
            for order in list(account.open_orders.values()):
                if order.terms.book is Book.ALGO and order.terms.only_reduces and order.terms.market.is_contract:
                    account.open_orders.pop(order.order_id)
                    account.orders.pop(order.order_id)
                    self._stops.append((account, order.terms))

    def _give_stops(self) -> None:
        for account, terms in self._stops:
            for ticket in self.tickets.of(account):
                if ticket.market is terms.market and ticket.leg is terms.leg and ticket.lots * terms.signed < 0:
                    if terms.venue_type == "take_profit":
                        ticket.take_profit = terms.trigger_price
                    else:
                        ticket.stop_loss = terms.trigger_price

    def _on_price(self, market: Market) -> None:
        mark = self.core.listing(market).mark
        for account in self.core.accounts.values():
            for ticket in self.tickets.of(account):
                reason = _reached(ticket, mark) if ticket.market.key == market.key else None
                if reason is not None:
                    with contextlib.suppress(RefusalError):
                        self.close(account, ticket, abs(ticket.lots), Origin.TRIGGER, reason=reason, source="System")


def order_id(order: Order) -> str:
    """As it is called on the wire."""
    return ulid(IdKind.ORDER, order.order_id, order.created_ms)


def leg_of(account: Account, market: Market, side: Side) -> Leg:
    """Where an order opens a position."""
    if not market.is_contract or not account.is_hedged(market):
        return Leg.NET
    return Leg.LONG if side is Side.BUY else Leg.SHORT


def _reached(ticket: Ticket, mark: Decimal) -> str | None:
    sign = 1 if ticket.lots > 0 else -1
    if ticket.trailing_distance is not None and ticket.stop_loss is not None:
        followed = mark - sign * ticket.trailing_distance
        ticket.stop_loss = max(ticket.stop_loss, followed) if sign > 0 else min(ticket.stop_loss, followed)
    if ticket.stop_loss is not None and (mark - ticket.stop_loss) * sign <= 0:
        return "StopLoss"
    if ticket.take_profit is not None and (mark - ticket.take_profit) * sign >= 0:
        return "TakeProfit"
    return None
