"""What the parts of the simulated Hyperliquid share: accounts by address, assets by number, budgets, the history."""

from __future__ import annotations

import itertools
from collections import defaultdict
from decimal import Decimal
from typing import Any

from node.sim.accounts import Account
from node.sim.hyperliquid.limits import AddressWeight, Budget, Nonces
from node.sim.hyperliquid.markets import asset_numbers, dex_of
from node.sim.hyperliquid.order_views import Rejected, fill_view
from node.sim.hyperliquid.twaps import Twaps
from node.sim.hyperliquid.wallets import master_address
from node.sim.market import Listing, Market, MarketStatus
from node.sim.matching import MatchingCore
from node.sim.orders import Fill, Order, OrderTerms, Origin, Side
from node.sim.venue import VenueSetup

#: Builders' dexs that are deployed later than everything else.
UNDEPLOYED: frozenset[str] = frozenset()
FIRST_REJECTED_ID = 8_999_000_000_000_001  # apart from the core's own numbers


class VenueState:
    """One world's tables. It lives until the next reset.

    Attributes:
        schedules: When all orders of an account are cancelled, in milliseconds.
        children: Numbers of the conditional orders that belong to a parent order.
        builders: Accounts' approved builders, with the highest fee in tenths of a basis point.
        fills: Every trade of an account as the venue shows it, oldest first.
        twaps: Orders that the venue trades in parts.
        undeployed: Dexs that are not there yet.
    """

    def __init__(self, setup: VenueSetup) -> None:
        self.setup = setup
        numbers = asset_numbers()
        self._markets = {number: setup.core.listings[key].market for key, number in numbers.items()}
        self._numbers = numbers
        self._by_address = {master_address(name): account for name, account in setup.core.accounts.items()}
        self.weight = AddressWeight()
        self.budgets: dict[str, Budget] = defaultdict(Budget)
        self.nonces = Nonces()
        self.rejected: dict[str, list[Rejected]] = defaultdict(list)
        self.schedules: dict[str, int] = {}
        self.children: dict[int, list[int]] = {}
        self.builders: dict[tuple[str, str], int] = {}
        self.fills: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.twaps = Twaps(self)
        self.undeployed = set(UNDEPLOYED)
        self._oids = itertools.count(FIRST_REJECTED_ID)
        self._own_ids = itertools.count(1)
        setup.core.order_changed.append(self._on_order)
        setup.core.position_closed.append(self._on_position_closed)

    @property
    def core(self) -> MatchingCore:
        """The world."""
        return self.setup.core

    @property
    def now_ms(self) -> int:
        """The venue's time."""
        return self.setup.clock.now_ms()

    def account(self, address: str) -> Account | None:
        """Whose address it is. An agent's own address is nobody's: nothing is held there."""
        return self._by_address.get(address.lower())

    def market(self, asset: object) -> Market | None:
        """The market of an asset's number."""
        return self._markets.get(asset) if isinstance(asset, int) and not isinstance(asset, bool) else None

    def asset(self, market: Market) -> int:
        """The number of a market's asset."""
        return self._numbers[market.key]

    def coin(self, name: object) -> Listing | None:
        """The listing of that coin or pair."""
        return next((listing for listing in self.core.listings.values() if listing.market.symbol == name), None)

    def listed(self, dex: str) -> list[Listing]:
        """A dex's contracts in the order of their numbers; delisted ones keep their place."""
        return [
            listing
            for listing in self.core.listings.values()
            if listing.market.is_contract and dex_of(listing.market) == dex
        ]

    def closed(self, market: Market) -> bool:
        """Whether the market takes no orders."""
        return self.core.listing(market).status is not MarketStatus.TRADING

    def hidden(self, market: Market, slices: tuple[str, ...]) -> bool:
        """Whether a read leaves the market out: slices are named as ever, or by dex, as in ``linear:xyz``."""
        dex = dex_of(market)
        return any(market.slice_name.startswith(name) or (dex and name == f"linear:{dex}") for name in slices)

    def own_client_id(self) -> str:
        """A client id for an order that came without one."""
        return f"none-{next(self._own_ids)}"

    def reject(self, account: Account, terms: OrderTerms, status: str | None) -> None:
        """Enter a refused order into the history, if the venue keeps such."""
        if status is not None:
            record = Rejected(oid=next(self._oids), terms=terms, status=status, at_ms=self.now_ms)
            self.rejected[account.name].append(record)

    def cancel_due(self) -> None:
        """Cancel what was scheduled to be cancelled by now."""
        for name, due_ms in list(self.schedules.items()):
            if self.now_ms >= due_ms:
                del self.schedules[name]
                account = self.core.accounts[name]
                for order in list(account.open_orders.values()):
                    if order.is_open:
                        self.core.cancel(account, order)

    def _on_position_closed(self, account: Account, market: Market) -> None:
        """Conditional orders of the whole position go with it; those of a fixed size stay ("TP/SL orders")."""
        if account.quantity(market):
            return  # somebody has opened it again
        for order in account.resting(market.product, market.symbol):
            if order.terms.close_position and order.waits_for_trigger:
                self.core.cancel(account, order, by=Origin.SEED)

    def _on_order(self, account: Account, order: Order, fill: Fill | None) -> None:
        if fill is None:
            return
        market = order.terms.market
        budget = self.budgets[account.name]
        budget.traded += fill.price * fill.quantity
        after = account.quantity(market) if market.is_contract else account.balance(market.wallet, market.base).total
        change = fill.quantity if order.terms.side is Side.BUY else -fill.quantity
        if not market.is_contract and order.terms.side is Side.BUY:
            change -= fill.fee
        view = fill_view(order, fill, start=Decimal(after - change), at_ms=self.now_ms)
        self.fills[account.name].append(view)
