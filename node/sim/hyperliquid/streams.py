"""The WebSocket: subscriptions that anyone may make for any address, and requests that go the way of HTTP ones.

One address for all. What is subscribed is confirmed, then told at once as it stands (state, fills) or when it changes
(orders). A subscription never ends by itself. Requests by ``post`` are answered on the same connection.

Sources: "Subscriptions", "Post requests", "Timeouts and heartbeats" of the documentation; ccxt 4.5.90's handlers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from node.sim.accounts import Account
from node.sim.hyperliquid import info, market_data
from node.sim.hyperliquid.account_views import clearinghouse_state, spot_state
from node.sim.hyperliquid.errors import HyperliquidError
from node.sim.hyperliquid.markets import dex_of
from node.sim.hyperliquid.order_views import open_order, status
from node.sim.hyperliquid.twaps import Twap
from node.sim.hyperliquid.venue_state import VenueState
from node.sim.market import Market, Product
from node.sim.orders import Fill, Order
from node.sim.streams import Connection

#: Answers a request that came over the stream: its kind and payload, the answer's payload.
Post = Callable[[str, Mapping[str, Any]], object]
PRODUCTS_OF = {
    "orderUpdates": (Product.LINEAR, Product.SPOT),
    "userFills": (Product.LINEAR, Product.SPOT),
    "clearinghouseState": (Product.LINEAR,),
    "spotState": (Product.SPOT,),
    "userEvents": (Product.LINEAR, Product.SPOT),
    "userTwapHistory": (Product.LINEAR, Product.SPOT),
    "userNonFundingLedgerUpdates": (Product.SPOT,),
}
#: The name under which what was subscribed is told, where it is another.
CHANNELS = {"userEvents": "user"}
GREETING = "Websocket connection established."
UNREADABLE = "Error parsing JSON into valid websocket request"
PUBLIC = frozenset({"allMids", "l2Book"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """One feed of one connection."""

    kind: str
    connection: Connection
    request: Mapping[str, Any]
    account: Account | None
    dex: str


class HyperliquidStreams:
    """The subscriptions of one world."""

    def __init__(self, state: VenueState) -> None:
        self._state = state
        self._subscriptions: list[Subscription] = []
        state.core.order_changed.append(self._on_order)
        state.core.balances_changed.append(self._on_balances)
        state.twaps.changed.append(self._on_twap)

    def subscribe(self, connection: Connection, request: Mapping[str, Any]) -> None:
        """Begin a feed.

        Raises:
            HyperliquidError: there is no such feed, or it is there already.
        """
        kind = str(request.get("type"))
        if kind not in PRODUCTS_OF and kind not in PUBLIC:
            raise HyperliquidError(f"Invalid subscription {json.dumps(request)}")
        if self._find(connection, request) is not None:
            raise HyperliquidError(f"Already subscribed: {json.dumps(request)}")
        account = self._state.account(str(request.get("user", "")))
        subscription = Subscription(
            kind=kind, connection=connection, request=request, account=account, dex=str(request.get("dex") or "")
        )
        self._subscriptions.append(subscription)
        if account is not None:
            connection.account = account.name
            connection.hears.update(PRODUCTS_OF.get(kind, ()))
        _send(connection, "subscriptionResponse", {"method": "subscribe", "subscription": request})
        self._tell_as_it_stands(subscription)

    def unsubscribe(self, connection: Connection, request: Mapping[str, Any]) -> None:
        """End a feed.

        Raises:
            HyperliquidError: there is none.
        """
        subscription = self._find(connection, request)
        if subscription is None:
            raise HyperliquidError(f"Already unsubscribed: {json.dumps(request)}")
        self._subscriptions.remove(subscription)
        self._note_what_is_heard(connection)
        _send(connection, "subscriptionResponse", {"method": "unsubscribe", "subscription": request})

    def forget(self, connection: Connection) -> None:
        """The connection is gone."""
        self._subscriptions = [each for each in self._subscriptions if each.connection is not connection]

    def _find(self, connection: Connection, request: Mapping[str, Any]) -> Subscription | None:
        return next((s for s in self._subscriptions if s.connection is connection and s.request == request), None)

    def _note_what_is_heard(self, connection: Connection) -> None:
        mine = [s for s in self._subscriptions if s.connection is connection and s.account is not None]
        connection.hears = {product for s in mine for product in PRODUCTS_OF.get(s.kind, ())}

    def _tell_as_it_stands(self, subscription: Subscription) -> None:
        state, account, connection = self._state, subscription.account, subscription.connection
        if subscription.kind == "allMids":
            _send(connection, "allMids", {"mids": market_data.all_mids(state, subscription.dex)})
        elif subscription.kind == "l2Book":
            _send(connection, "l2Book", market_data.book(state, subscription.request.get("coin")))
        elif account is None:
            return
        elif subscription.kind == "userFills":
            fills = list(reversed(state.fills[account.name]))[: info.FILLS_MAX]
            self._push(subscription, None, {"isSnapshot": True, "user": subscription.request["user"], "fills": fills})
        elif subscription.kind == "userTwapHistory":
            user = subscription.request["user"]
            history = state.twaps.history(account, user)
            self._push(subscription, None, {"isSnapshot": True, "user": user, "history": history})
        elif subscription.kind == "userNonFundingLedgerUpdates":  # no money moves in and out here
            document = {"isSnapshot": True, "user": subscription.request["user"], "nonFundingLedgerUpdates": []}
            self._push(subscription, None, document)
        else:
            self._push_state(subscription)

    def _on_order(self, account: Account, order: Order, fill: Fill | None) -> None:
        market = order.terms.market
        word = status(account, order)
        if fill is not None and order.is_open and not order.triggered:
            word = "open"
        update = {
            "order": open_order(account, order) | {"cloid": _cloid(order)},
            "status": word,
            "statusTimestamp": self._state.now_ms,
        }
        for subscription in self._of(account, "orderUpdates"):
            self._push(subscription, market, [update])
        if fill is None:
            return
        view = self._state.fills[account.name][-1]
        for subscription in self._of(account, "userFills"):
            document = {"isSnapshot": False, "user": subscription.request["user"], "fills": [view]}
            self._push(subscription, market, document)
        for subscription in self._of(account, "userEvents"):
            self._push(subscription, market, {"fills": [view]})
        if market.is_contract:
            for subscription in self._of(account, "clearinghouseState"):
                if subscription.dex == dex_of(market):
                    self._push_state(subscription)

    def _on_balances(self, account: Account, wallet: str, _: Mapping[str, Any]) -> None:
        if wallet == Product.SPOT:
            for subscription in self._of(account, "spotState"):
                self._push_state(subscription)

    def _on_twap(self, account: Account, twap: Twap) -> None:
        for subscription in self._of(account, "userTwapHistory"):
            user = subscription.request["user"]
            history = [self._state.twaps.row(twap, user)]
            self._push(subscription, twap.market, {"isSnapshot": False, "user": user, "history": history})

    def _of(self, account: Account, kind: str) -> list[Subscription]:
        return [each for each in self._subscriptions if each.account is account and each.kind == kind]

    def _push_state(self, subscription: Subscription) -> None:
        state, account, user = self._state, subscription.account, subscription.request.get("user")
        if subscription.kind == "clearinghouseState":
            view = clearinghouse_state(state, account, subscription.dex, ())
            self._push(subscription, None, {"dex": subscription.dex, "user": user, "clearinghouseState": view})
        elif subscription.kind == "spotState":
            self._push(subscription, None, {"user": user, "spotState": spot_state(account)})

    def _push(self, subscription: Subscription, market: Market | None, data: object) -> None:
        products = (market.product,) if market is not None else PRODUCTS_OF[subscription.kind]
        name = subscription.account.name if subscription.account is not None else ""
        if not any(self._state.setup.streams.silences(product, name) for product in products):
            _send(subscription.connection, CHANNELS.get(subscription.kind, subscription.kind), data)


class StreamConnection:
    """One connection."""

    def __init__(self, streams: HyperliquidStreams, connection: Connection, post: Post) -> None:
        self._streams = streams
        self._connection = connection
        self._post = post
        connection.send(GREETING)

    def received(self, text: str) -> None:
        """Do what the message asks for, or say why not."""
        try:
            message = json.loads(text)
            method = message["method"]
            if method == "ping":
                self._connection.send(json.dumps({"channel": "pong"}))
            elif method == "subscribe":
                self._streams.subscribe(self._connection, message["subscription"])
            elif method == "unsubscribe":
                self._streams.unsubscribe(self._connection, message["subscription"])
            elif method == "post":
                self._answer(message["id"], message["request"])
            else:
                _send(self._connection, "error", f"{UNREADABLE}: {text}")
        except HyperliquidError as error:
            _send(self._connection, "error", error.message)
        except (ValueError, KeyError, TypeError, AttributeError):
            _send(self._connection, "error", f"{UNREADABLE}: {text}")

    def closed(self) -> None:
        """Forget its subscriptions."""
        self._streams.forget(self._connection)

    def _answer(self, number: object, request: Mapping[str, Any]) -> None:
        kind = str(request["type"])
        try:
            response = {"type": kind, "payload": self._post(kind, request["payload"])}
        except HyperliquidError as error:
            response = {"type": "error", "payload": f"{error.status} {error.message}"}
        _send(self._connection, "post", {"id": number, "response": response})


def _cloid(order: Order) -> str | None:
    word = order.terms.client_id
    return word if word.startswith("0x") else None


def _send(connection: Connection, channel: str, data: object) -> None:
    connection.send(json.dumps({"channel": channel, "data": data}))
