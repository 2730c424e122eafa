"""What the hubs tell: state first, then what changes.

Whether later messages are whole lists or changes, and whether an empty list is told at all, is not documented; both are
switches. Changes of one event are told together, once it is over.

Sources: the pages on open orders, open and closed positions, balances, margin, order book and top of the book.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from node.sim.accounts import Account
from node.sim.b2prime.errors import B2primeError, bad_request, not_found
from node.sim.b2prime.history_calls import closed
from node.sim.b2prime.markets import WALLET, asset_id
from node.sim.b2prime.numbers import Json, text
from node.sim.b2prime.venue_state import VenueState, order_id
from node.sim.b2prime.views import open_order_row, position_row, status_of
from node.sim.market import Market, Product
from node.sim.orders import Book, Fill, Order
from node.sim.streams import Connection

ACCOUNT_V4, ACCOUNT_V3, MARKET_DATA = "/frontoffice/ws/v4/account", "/frontoffice/ws/v3/account", "/marketdata/v5/info"
#: Which hub has which streams.
TARGETS: Final = {
    ACCOUNT_V4: ("OpenOrders", "OpenPositions", "ClosePositionsOrders"),
    ACCOUNT_V3: ("FullBalance", "MarginData"),
    MARKET_DATA: ("Book", "Tob"),
}
#: What a row is known by.
KEYS: Final = {
    "OpenOrders": "orderId",
    "OpenPositions": "positionId",
    "ClosePositionsOrders": "orderId",
    "FullBalance": "assetId",
}
PRODUCTS_OF: Final = {
    "OpenOrders": frozenset({Product.LINEAR, Product.SPOT}),
    "OpenPositions": frozenset({Product.LINEAR}),
    "ClosePositionsOrders": frozenset({Product.LINEAR}),
    "FullBalance": frozenset({Product.SPOT}),
    "MarginData": frozenset({Product.LINEAR}),
}
Rows = list[dict[str, Any]]


@dataclass(slots=True, kw_only=True, eq=False)
class Subscription:
    """One stream of one connection."""

    connection: Connection
    invocation: str
    target: str
    account: Account
    markets: tuple[Market, ...]
    send: Callable[[Mapping[str, Any]], None]
    close: Callable[[str], None]  # the connection, with a reason
    told: Json = None  # what was sent last
    hidden: tuple[str, ...] = ()
    known: dict[str, Any] = field(default_factory=dict)


class B2primeStreams:
    """The subscriptions of one world."""

    def __init__(self, state: VenueState) -> None:
        self.state = state
        self._subscriptions: list[Subscription] = []
        self._due = False
        state.core.order_changed.append(self._on_order)
        state.core.balances_changed.append(lambda *_: self._schedule())
        state.core.price_changed.append(lambda _: self._schedule())

    def find(self, target: str, arguments: object) -> tuple[Account, tuple[Market, ...]]:
        """Whose stream it is, and of which markets.

        Raises:
            B2primeError: the arguments do not say so.
        """
        if not isinstance(arguments, list) or not arguments or not isinstance(arguments[0], str):
            raise bad_request("The first argument must be the accountId.")
        account = self.state.account(arguments[0])
        if account is None:
            raise B2primeError(403, "foreign_account", "The account is not available.")
        if target not in ("Book", "Tob"):
            return account, ()
        names = arguments[1] if len(arguments) > 1 else None
        listings = [self.state.listing(str(name)) for name in (names if isinstance(names, list) else [names])]
        if None in listings:
            raise not_found("market")
        return account, tuple(each.market for each in listings if each is not None)

    def subscribe(self, subscription: Subscription) -> Json:
        """Begin a stream; its first item, or nothing where that is kept silent."""
        self._subscriptions.append(subscription)
        self._note_what_is_heard(subscription.connection)
        if subscription.target == "OpenPositions":
            subscription.hidden = self.state.setup.provocations.hidden_from(Product.LINEAR)
        item = self._item(subscription)
        subscription.told = self._remembered(item)
        return None if self._kept_silent(subscription, item) else item

    def unsubscribe(self, connection: Connection, invocation: str | None) -> bool:
        """End one stream of a connection, or all; whether there was any."""
        ending = [s for s in self._subscriptions if s.connection is connection and invocation in (None, s.invocation)]
        self._subscriptions = [each for each in self._subscriptions if each not in ending]
        self._note_what_is_heard(connection)
        return bool(ending)

    def close_all(self, account: str | None) -> None:
        """Close the connections of an account, or all."""
        for subscription in list(self._subscriptions):
            if account in (None, subscription.account.name):
                subscription.close("Connection closed by the server.")

    def _note_what_is_heard(self, connection: Connection) -> None:
        mine = [each for each in self._subscriptions if each.connection is connection]
        connection.hears = {product for each in mine for product in PRODUCTS_OF.get(each.target, ())}

    def _on_order(self, _account: Account, _order: Order, _fill: Fill | None) -> None:
        self._schedule()

    def _schedule(self) -> None:
        if self._due or not self._subscriptions:
            return
        self._due = True
        asyncio.get_running_loop().call_soon(self._tell)

    def _tell(self) -> None:
        self._due = False
        for subscription in list(self._subscriptions):
            subscription.hidden = ()
            item = self._item(subscription)
            remembered = self._remembered(item)
            if remembered == subscription.told:
                continue
            before, subscription.told = subscription.told, remembered
            if self._kept_silent(subscription, item):
                continue
            self._push(subscription, self._changes(subscription, json.loads(before), item))

    def _push(self, subscription: Subscription, item: Json) -> None:
        def send() -> None:
            if subscription in self._subscriptions:
                subscription.send(item)

        for _ in range(2 if self.state.switches.stream_duplicates else 1):
            self.state.later(self.state.switches.stream_late_ms, send)

    def _remembered(self, item: Json) -> str:
        if isinstance(item, dict):
            item = {name: value for name, value in item.items() if name not in ("snapshot", "version")}
        return json.dumps(item)

    def _kept_silent(self, subscription: Subscription, item: Json) -> bool:
        switch, name = self.state.setup.streams, subscription.account.name
        if any(switch.silences(product, name) for product in PRODUCTS_OF.get(subscription.target, ())):
            return True
        return self.state.switches.stream_empty == "silence" and _rows(item) == []

    def _item(self, subscription: Subscription) -> Json:
        account, digits = subscription.account, self.state.switches.stream_fraction_digits
        if subscription.target == "OpenOrders":
            resting = [each for each in account.open_orders.values() if each.terms.book is Book.ORDERS]
            return [open_order_row(self.state, account, each, digits) for each in resting if each.is_open]
        if subscription.target == "OpenPositions":
            tickets = [each for each in self.state.tickets.of(account) if not self._hidden(subscription, each.market)]
            rows = [position_row(self.state, each, digits) for each in tickets]
            return rows if self.state.switches.stream_bare_positions else {"item": rows}
        if subscription.target == "ClosePositionsOrders":
            return [row for row, _ in closed(self.state.tickets.executions(account), digits)]
        if subscription.target == "FullBalance":
            return self._balances(account)
        if subscription.target == "MarginData":
            return {name: text(number) for name, number in self.state.margin(account).items()}
        return self._market_data(subscription)

    def _hidden(self, subscription: Subscription, market: Market) -> bool:
        return any(
            market.slice_name == name or market.slice_name.startswith(f"{name}:") for name in subscription.hidden
        )

    def _balances(self, account: Account) -> Rows:
        return [
            {
                "assetId": asset_id(asset),
                "available": text(held.free),
                "total": text(held.total),
                "locked": text(held.locked),
            }
            for asset, held in account.wallets.get(WALLET, {}).items()
            if held.total
        ]

    def _market_data(self, subscription: Subscription) -> Json:
        listings = [self.state.core.listing(market) for market in subscription.markets]
        if subscription.target == "Tob":
            rows = [{"marketId": each.market.symbol, "ask": text(each.ask), "bid": text(each.bid)} for each in listings]
            return {"markets": rows, "snapshot": subscription.told is None}
        (listing,) = listings
        deep = Decimal(1000) * listing.market.contract_size  # there is always depth
        asks, bids = (
            [{"price": text(price), "amount": text(deep), "total": text(deep * price)}]
            for price in (listing.ask, listing.bid)
        )
        return {
            "instrument": listing.market.symbol,
            "askTotalAmount": text(deep),
            "bidTotalAmount": text(deep),
            "asks": asks,
            "bids": bids,
            "version": str(self.state.now_ms),
            "snapshot": True,
        }

    def _changes(self, subscription: Subscription, before: Json, item: Json) -> Json:
        key = KEYS.get(subscription.target)
        if self.state.switches.stream_updates == "full" or key is None:
            return item
        old, new = ({row[key]: row for row in _rows(each) or []} for each in (before, item))
        changed = [row for name, row in new.items() if old.get(name) != row]
        changed += [self._gone(subscription, row) for name, row in old.items() if name not in new]
        return {"item": changed} if isinstance(item, dict) else changed

    def _gone(self, subscription: Subscription, row: dict[str, Any]) -> dict[str, Any]:
        """How something that is not there any more is told in a list of changes (inferred)."""
        if subscription.target == "OpenPositions":
            return {**row, "status": "Closed", "positionLotAmount": "0"}
        if subscription.target == "FullBalance":
            return {**row, "available": "0", "total": "0", "locked": "0"}
        found = next((o for o in subscription.account.orders.values() if order_id(o) == row["orderId"]), None)
        return {**row, "status": "Cancelled" if found is None else status_of(self.state, found), "remainingAmount": "0"}


def _rows(item: Json) -> Rows | None:
    """The list in an item, if it is one of rows."""
    if isinstance(item, dict):
        inside = item.get("item")
        return inside if isinstance(inside, list) else None
    return item if isinstance(item, list) else None
