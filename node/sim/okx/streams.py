"""Who hears what: subscriptions of logged-in connections, and what is pushed to them.

``orders`` and ``orders-algo`` tell of changes only; ``positions``, ``account`` and ``balance_and_position`` begin with
a snapshot. Trailing orders are in ``algo-advance``, all other algo orders in ``orders-algo``. Sources: the private and
business channels of the API v5 documentation.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from node.sim.accounts import Account, Position
from node.sim.market import Market, Product
from node.sim.okx.account_views import balance_document, changed_position, position_view
from node.sim.okx.markets import TRADING, family, instrument_type
from node.sim.okx.modes import AccountModes
from node.sim.okx.order_views import algo_view, order_push
from node.sim.orders import Book, Fill, Order
from node.sim.streams import Connection
from node.sim.venue import VenueSetup

UPGRADE = ("64008", "The connection will soon be closed for a service upgrade. Please reconnect.")
ADVANCED = frozenset({"move_order_stop", "iceberg", "smart_iceberg", "twap", "chase"})
CONTRACTS = frozenset({Product.LINEAR, Product.INVERSE})


@dataclass(slots=True, kw_only=True, eq=False)
class Subscription:
    """One channel that a connection hears, with its arguments."""

    connection: Connection
    send: Callable[[str], None]
    account: str
    connection_id: str
    argument: Mapping[str, str]

    @property
    def channel(self) -> str:
        """Its name."""
        return self.argument.get("channel", "")

    @property
    def assets(self) -> frozenset[str]:
        """The coins that its arguments ask for; empty for all."""
        return frozenset({self.argument["ccy"]}) if self.argument.get("ccy") else frozenset()

    def covers(self, market: Market) -> bool:
        """Whether its arguments ask for the market."""
        fields = {"instType": instrument_type(market), "instFamily": family(market), "instId": market.symbol}
        wanted = {name: self.argument.get(name, "") for name in fields}
        return all(wanted[name] in ("", "ANY", value) for name, value in fields.items())


class OkxStreams:
    """Subscriptions of one world."""

    def __init__(self, setup: VenueSetup, modes: AccountModes) -> None:
        self.setup = setup
        self._modes = modes
        self._subscriptions: list[Subscription] = []
        setup.core.order_changed.append(self._on_order)
        setup.core.balances_changed.append(self._on_balances)

    def subscribe(self, subscription: Subscription) -> None:
        """Push from now on, after a snapshot where the channel has one."""
        self.unsubscribe(subscription.connection, subscription.argument)
        self._subscriptions.append(subscription)
        self._note_hearing(subscription.connection)
        account = self.setup.core.accounts.get(subscription.account)
        if account is None:
            return
        if subscription.channel == "account":
            self._send(subscription, [self._balances(account, subscription.assets)], account, event="snapshot")
        if subscription.channel == "positions":
            open_ones = [each for each in account.open_positions() if subscription.covers(each.market)]
            rows = [position_view(self.setup.core, account, position) for position in open_ones]
            self._send(subscription, rows, account, event="snapshot")
        if subscription.channel == "balance_and_position":
            assets = frozenset(account.wallets.get(TRADING, {}))
            self._send(subscription, [self._both(account, "snapshot", assets, account.open_positions())], account)

    def unsubscribe(self, connection: Connection, argument: Mapping[str, str] | None) -> None:
        """Push no more, of one channel or of all."""
        self._subscriptions = [
            each
            for each in self._subscriptions
            if each.connection is not connection or argument not in (None, each.argument)
        ]
        self._note_hearing(connection)

    def count(self, account: str, channel: str) -> int:
        """How many connections of an account hear a channel."""
        heard = [each for each in self._subscriptions if (each.account, each.channel) == (account, channel)]
        return len({id(each.connection) for each in heard})

    def expire(self, account: str | None) -> None:
        """Tell connections that they will be closed, and close them."""
        ending = {id(each.connection): each for each in self._subscriptions if account in (None, each.account)}
        for subscription in ending.values():
            notice = {"event": "notice", "code": UPGRADE[0], "msg": UPGRADE[1], "connId": subscription.connection_id}
            subscription.send(json.dumps(notice))
            self.unsubscribe(subscription.connection, None)
            subscription.connection.cut()

    def _on_order(self, account: Account, order: Order, fill: Fill | None) -> None:
        market, mode = order.terms.market, self._modes.of(account)
        listing = self.setup.core.listing(market)
        if order.terms.book is Book.ALGO:
            channel = "algo-advance" if order.terms.venue_type in ADVANCED else "orders-algo"
            self._push(channel, account, market, algo_view(account, mode, order, listing))
            return
        self._push("orders", account, market, order_push(account, mode, order, fill, listing))
        if fill is not None and market.is_contract:
            position = account.position(market, order.terms.leg)
            self._push("positions", account, market, position_view(self.setup.core, account, position))
            self._push_balances(account, market.product, frozenset({market.settle}), position)

    def _on_balances(self, account: Account, wallet: str, deltas: Mapping[str, Decimal | None]) -> None:
        if wallet == TRADING:
            self._push_balances(account, Product.SPOT, frozenset(deltas))

    def _push_balances(self, account: Account, product: Product, assets: frozenset[str], *positions: Position) -> None:
        if self.setup.streams.silences(product, account.name):
            return
        for each in self._heard("balance_and_position", account):
            self._send(each, [self._both(account, "filled", assets, positions)], account)
        for each in self._heard("account", account):
            told = assets & each.assets if each.assets else assets
            if told:
                self._send(each, [self._balances(account, told)], account, event="event_update")

    def _push(self, channel: str, account: Account, market: Market, row: dict[str, Any]) -> None:
        if self.setup.streams.silences(market.product, account.name):
            return
        for each in self._heard(channel, account):
            if each.covers(market):
                self._send(each, [row], account, event="event_update" if channel == "positions" else "")

    def _heard(self, channel: str, account: Account) -> list[Subscription]:
        return [each for each in self._subscriptions if (each.channel, each.account) == (channel, account.name)]

    def _send(
        self, subscription: Subscription, rows: list[dict[str, Any]], account: Account, *, event: str = ""
    ) -> None:
        message: dict[str, Any] = {"arg": {**subscription.argument, "uid": self._modes.of(account).uid}, "data": rows}
        if event:
            message |= {"eventType": event, "curPage": 1, "lastPage": True}
        subscription.send(json.dumps(message))

    def _balances(self, account: Account, assets: frozenset[str]) -> dict[str, Any]:
        return balance_document(self.setup.core, account, self._modes.of(account), assets)

    def _both(
        self, account: Account, event: str, assets: frozenset[str], positions: Iterable[Position]
    ) -> dict[str, Any]:
        now, details = str(self.setup.core.now_ms()), self._balances(account, assets)["details"]
        return {
            "balData": [{name: detail[name] for name in ("ccy", "cashBal", "uTime")} for detail in details],
            "eventType": event,
            "pTime": now,
            "posData": [changed_position(self.setup.core, account, position) for position in positions],
            "trades": [],
        }

    def _note_hearing(self, connection: Connection) -> None:
        connection.hears.clear()
        for each in self._subscriptions:
            if each.connection is connection:
                connection.hears |= {"SPOT": {Product.SPOT}, "ANY": {Product.SPOT, *CONTRACTS}}.get(
                    each.argument.get("instType", "ANY"), set(CONTRACTS)
                )
