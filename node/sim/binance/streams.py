"""User data streams: listen keys of futures, subscriptions of the spot WebSocket API, and what is pushed to either.

USD-M and COIN-M have a listen key each, good for an hour, that is part of the stream's address. A connection with a
key that is not known is accepted, and nothing ever comes. Spot and margin have no address of their own: a client
subscribes over the WebSocket API, with a signature or with a listen token.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs

from node.sim.accounts import Account
from node.sim.binance import stream_views
from node.sim.market import Product
from node.sim.orders import Book, Fill, Order
from node.sim.streams import Connection
from node.sim.venue import VenueSetup

KEY_LIFE_MS = 60 * 60 * 1000
TOKEN_LIFE_MS = 24 * 60 * 60 * 1000
API_PATH = "/ws-api/v3"
API_PRODUCTS = frozenset({Product.SPOT, Product.MARGIN})
PRODUCT_OF_HOST = {"fstream": Product.LINEAR, "dstream": Product.INVERSE}


@dataclass(slots=True, kw_only=True)
class Ticket:
    """A listen key or a listen token."""

    name: str
    product: Product
    account: str
    expires_ms: int


@dataclass(slots=True, kw_only=True, eq=False)
class Listener:
    """One account and product that a connection hears of. *wrap* puts an event into the connection's envelope."""

    product: Product
    account: str
    connection: Connection
    wrap: Callable[[dict[str, Any]], dict[str, Any]]
    ticket: Ticket | None = None


class BinanceStreams:
    """Tickets and listeners of one world."""

    def __init__(self, setup: VenueSetup) -> None:
        self._setup = setup
        self._tickets: dict[str, Ticket] = {}
        self._listeners: list[Listener] = []
        setup.core.order_changed.append(self._on_order)
        setup.core.balances_changed.append(self._on_balances)

    @property
    def now_ms(self) -> int:
        """The venue's time."""
        return self._setup.clock.now_ms()

    def issue(self, product: Product, account: str, life_ms: int = KEY_LIFE_MS) -> Ticket:
        """A new ticket."""
        name = secrets.token_hex(32)
        ticket = Ticket(name=name, product=product, account=account, expires_ms=self.now_ms + life_ms)
        self._tickets[name] = ticket
        return ticket

    def current(self, product: Product, account: str) -> Ticket | None:
        """The account's living listen key."""
        for ticket in self._tickets.values():
            if (ticket.product, ticket.account) == (product, account) and self.now_ms < ticket.expires_ms:
                return ticket
        return None

    def ticket(self, name: str) -> Ticket | None:
        """The ticket of that name, if it still lives."""
        ticket = self._tickets.get(name)
        return ticket if ticket is not None and self.now_ms < ticket.expires_ms else None

    def revoke(self, ticket: Ticket) -> None:
        """End a ticket, without notice."""
        del self._tickets[ticket.name]
        for listener in [listener for listener in self._listeners if listener.ticket is ticket]:
            self.detach(listener)

    def attach(self, listener: Listener) -> None:
        """Push events to a listener from now on."""
        self._listeners.append(listener)
        listener.connection.account = listener.account
        listener.connection.hears.add(listener.product)

    def detach(self, listener: Listener | None) -> None:
        """Push no more; nothing happens if that is so already."""
        if listener in self._listeners:
            self._listeners.remove(listener)
            listener.connection.hears.discard(listener.product)

    def expire(self, product: Product | None, account: str | None) -> None:
        """End tickets and subscriptions, with the notice that the venue gives; the connections stay open."""
        for listener in list(self._listeners):
            if product in (None, listener.product) and account in (None, listener.account):
                self._end(listener)
        for ticket in list(self._tickets.values()):
            if product in (None, ticket.product) and account in (None, ticket.account):
                del self._tickets[ticket.name]

    def products_of(self, host: str, path: str, query: str) -> frozenset[Product] | None:
        """What a stream address may carry; none if it is no stream's."""
        if path == API_PATH:
            return API_PRODUCTS
        if not path.startswith(("/ws", "/stream", "/private/ws", "/private/stream")):
            return None
        ticket = self._tickets.get(listen_key(path, query))
        if ticket is not None:
            return frozenset({ticket.product})
        product = PRODUCT_OF_HOST.get(host.partition(".")[0])
        return frozenset({product}) if product is not None else frozenset()

    def listen(self, path: str, query: str, connection: Connection) -> Listener | None:
        """Let a futures stream hear its account; none if its key is not known."""
        ticket = self.ticket(listen_key(path, query))
        if ticket is None or ticket.product in API_PRODUCTS:
            return None
        combined = "/stream" in path
        name = ticket.name

        def wrap(event: dict[str, Any]) -> dict[str, Any]:
            return {"stream": name, "data": event} if combined else event

        listener = Listener(
            product=ticket.product, account=ticket.account, connection=connection, wrap=wrap, ticket=ticket
        )
        self.attach(listener)
        return listener

    def _on_order(self, account: Account, order: Order, fill: Fill | None) -> None:
        market, now_ms = order.terms.market, self.now_ms
        if not market.is_contract:
            self._push(market.product, account, stream_views.execution_report(order, fill, now_ms))
            return
        if order.terms.book is Book.ALGO:
            self._push(market.product, account, stream_views.algo_update(order, now_ms))
            return
        if fill is not None:
            mark = self._setup.core.listing(market).mark
            self._push(market.product, account, stream_views.account_update(account, order, mark, now_ms))
        self._push(market.product, account, stream_views.order_trade_update(order, fill, now_ms))

    def _on_balances(self, account: Account, wallet: str, deltas: Mapping[str, Decimal | None]) -> None:
        product = Product(wallet)
        for asset, delta in deltas.items():
            if delta is not None:
                self._push(product, account, stream_views.balance_update(asset, delta, self.now_ms))
        self._push(product, account, stream_views.outbound_account_position(account, wallet, list(deltas), self.now_ms))

    def _push(self, product: Product, account: Account, event: dict[str, Any]) -> None:
        for listener in list(self._listeners):
            if (listener.product, listener.account) != (product, account.name):
                continue
            if listener.ticket is not None and self.now_ms >= listener.ticket.expires_ms:
                self._end(listener)
            elif not self._setup.streams.silences(product, account.name):
                listener.connection.send(json.dumps(listener.wrap(event)))

    def _end(self, listener: Listener) -> None:
        self.detach(listener)
        if listener.product in API_PRODUCTS:
            notice: dict[str, Any] = {"e": "eventStreamTerminated", "E": self.now_ms}
        else:
            name = listener.ticket.name if listener.ticket is not None else ""
            notice = {"e": "listenKeyExpired", "E": self.now_ms, "listenKey": name}
        listener.connection.send(json.dumps(listener.wrap(notice)))


def listen_key(path: str, query: str) -> str:
    """The key in a stream's address: ``…/ws/<key>``, ``…/ws?listenKey=<key>`` or ``…/stream?streams=<key>``."""
    parameters = parse_qs(query)
    for name in ("listenKey", "streams"):
        if name in parameters:
            return parameters[name][0]
    return path.rpartition("/")[2]
