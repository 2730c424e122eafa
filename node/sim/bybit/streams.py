"""The private stream: what is pushed, and to whom.

One connection carries every category. It says who it is, and subscribes to topics: ``order``, ``execution``,
``position`` and ``wallet``, each whole or of one category (``order.linear``).

Sources: the "Private" part of WebSocket Stream in the V5 documentation; what ccxt.pro 4.5.90 reads.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final
from uuid import uuid4

from node.sim.accounts import Account
from node.sim.bybit.account import wallet_view
from node.sim.bybit.markets import UNIFIED, category_of
from node.sim.bybit.order_views import execution_view, order_view
from node.sim.bybit.positions import position_view
from node.sim.market import Product
from node.sim.orders import Fill, Order
from node.sim.streams import Connection
from node.sim.venue import VenueSetup

PRIVATE_PATH: Final = "/v5/private"
TRADE_PATH: Final = "/v5/trade"
STREAM_PRODUCTS: Final = frozenset({Product.SPOT, Product.LINEAR, Product.INVERSE})
TOPICS: Final = {
    "order": STREAM_PRODUCTS,
    "execution": STREAM_PRODUCTS,
    "position": frozenset({Product.LINEAR, Product.INVERSE}),
    "wallet": STREAM_PRODUCTS,
}


@dataclass(slots=True, kw_only=True, eq=False)
class Listener:
    """One connection that has said who it is."""

    account: str
    connection: Connection
    topics: set[str] = field(default_factory=set)


class BybitStreams:
    """Listeners of one world."""

    def __init__(self, setup: VenueSetup) -> None:
        self.setup = setup
        self._listeners: list[Listener] = []
        setup.core.order_changed.append(self._on_order)
        setup.core.balances_changed.append(self._on_balances)

    @property
    def now_ms(self) -> int:
        """The venue's time."""
        return self.setup.clock.now_ms()

    def attach(self, listener: Listener) -> None:
        """Push what it subscribes to from now on."""
        self._listeners.append(listener)
        listener.connection.account = listener.account

    def detach(self, listener: Listener | None) -> None:
        """Push no more; nothing happens if that is so already."""
        if listener in self._listeners:
            self._listeners.remove(listener)
            listener.connection.hears.clear()

    def expire(self, product: Product | None, account: str | None) -> None:
        """Break connections, as the venue does with those that have been idle for too long."""
        for listener in list(self._listeners):
            concerned = product is None or product in listener.connection.hears
            if concerned and account in (None, listener.account):
                listener.connection.cut()

    def _on_order(self, account: Account, order: Order, fill: Fill | None) -> None:
        market = order.terms.market
        core, category = self.setup.core, category_of(market)
        mark = core.listing(market).mark
        if fill is not None:
            self._push("execution", market.product, account, [execution_view(order, fill, mark)])
        if market.is_contract:  # with every change of an order, whether or not the position has changed
            position = account.position(market, order.terms.leg)
            view = position_view(core, account, position)
            view["entryPrice"] = view.pop("avgPrice")
            self._push("position", market.product, account, [{**view, "category": category}])
        profit = sum((each.profit for each in order.fills), Decimal(0))
        document = {**order_view(account, order, mark), "category": category, "closedPnl": format(profit, "f")}
        self._push("order", market.product, account, [document])
        if fill is not None and market.is_contract:
            self._on_balances(account, UNIFIED, {market.settle: None})

    def _on_balances(self, account: Account, _: str, deltas: Mapping[str, Decimal | None]) -> None:
        view = wallet_view(self.setup.core, account, list(deltas))
        self._push("wallet", Product.SPOT, account, [view])

    def _push(self, topic: str, product: Product, account: Account, data: list[dict[str, Any]]) -> None:
        if self.setup.streams.silences(product, account.name):
            return
        for listener in list(self._listeners):
            if listener.account != account.name:
                continue
            for name in (topic, f"{topic}.{product}"):
                if name in listener.topics:
                    message = {"id": str(uuid4()), "topic": name, "creationTime": self.now_ms, "data": data}
                    listener.connection.send(json.dumps(message))
