"""One request in the hands of a Binance endpoint, and its parameters."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

from node.sim.accounts import Account
from node.sim.binance.errors import BinanceError, missing, refusal, unknown_symbol
from node.sim.binance.streams import BinanceStreams
from node.sim.keys import ApiKey
from node.sim.market import Listing, Market, MarketStatus, Product
from node.sim.matching import MatchingCore
from node.sim.orders import Book, Order, OrderKind, OrderTerms, Origin
from node.sim.refusals import Reason, RefusalError
from node.sim.venue import Effects, VenueSetup, WireRequest

T = TypeVar("T")
#: What an endpoint answers with.
JsonDocument = dict[str, Any] | list[dict[str, Any]]


class Params:
    """Parameters of a request, or of one order in a batch. Empty ones count as not sent."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = {name: _text(value) for name, value in values.items() if value is not None}

    def __contains__(self, name: str) -> bool:
        return bool(self._values.get(name))

    def text(self, name: str, default: str = "") -> str:
        """The parameter, or *default*."""
        return self._values.get(name) or default

    def required(self, name: str) -> str:
        """The parameter; -1102 without it."""
        if name not in self:
            raise missing(name)
        return self._values[name]

    def decimal(self, name: str) -> Decimal | None:
        """The parameter as a number; -1100 if it is none."""
        if name not in self:
            return None
        try:
            number = Decimal(self._values[name])
        except InvalidOperation:
            number = Decimal("NaN")
        if not number.is_finite():
            raise BinanceError(-1100, f"Illegal characters found in parameter '{name}'.")
        return number

    def required_decimal(self, name: str) -> Decimal:
        """The parameter as a number; -1102 without it."""
        number = self.decimal(name)
        if number is None:
            raise missing(name)
        return number

    def integer(self, name: str) -> int | None:
        """The parameter as a whole number."""
        if name not in self:
            return None
        if not self._values[name].isdigit():
            raise BinanceError(-1100, f"Illegal characters found in parameter '{name}'.")
        return int(self._values[name])

    def flag(self, name: str) -> bool:
        """The parameter as true or false."""
        value = self.text(name, "false").lower()
        if value not in ("true", "false"):
            raise BinanceError(-1130, f"Data sent for parameter '{name}' is not valid.")
        return value == "true"

    def json_list(self, *names: str) -> list[Any] | None:
        """The first of *names* that was sent, as a JSON list."""
        for name in names:
            if name not in self:
                continue
            try:
                value = json.loads(self._values[name])
            except ValueError:
                value = None
            if not isinstance(value, list):
                raise BinanceError(-1130, f"Data sent for parameter '{name}' is not valid.")
            return value
        return None


@dataclass(slots=True, kw_only=True)
class Call:
    """One authenticated request to one product."""

    setup: VenueSetup
    product: Product
    request: WireRequest
    params: Params
    effects: Effects
    key: ApiKey | None = None
    streams: BinanceStreams | None = None
    order_ids: list[int] = field(default_factory=list)
    _hidden: tuple[str, ...] | None = None

    @property
    def core(self) -> MatchingCore:
        """The matching core."""
        return self.setup.core

    @property
    def account(self) -> Account:
        """The caller's account; -2015 if the present scenario has none of that name."""
        account = self.core.accounts.get(self.key.account) if self.key is not None else None
        if account is None:
            raise BinanceError(-2015, "Invalid API-key, IP, or permissions for action.")
        return account

    @property
    def origin(self) -> Origin:
        """Whose deeds these are."""
        return self.key.role if self.key is not None else Origin.CLIENT

    @property
    def hedged(self) -> bool:
        """Whether the account has two positions a symbol in this product."""
        return self.product in self.account.hedge_mode

    def listing(self, symbol: str) -> Listing:
        """The market called *symbol*; -1121 if there is none."""
        listing = self.core.listings.get((self.product, symbol))
        if listing is None or listing.status is MarketStatus.DELISTED:
            raise unknown_symbol()
        return listing

    def optional_symbol(self) -> str | None:
        """The parameter ``symbol``, checked, if it was sent."""
        if "symbol" not in self.params:
            return None
        return self.listing(self.params.text("symbol")).market.symbol

    def listings(self) -> list[Listing]:
        """This product's markets, or the one that was asked for."""
        symbol = self.optional_symbol()
        if symbol is not None:
            return [self.listing(symbol)]
        return [
            listing
            for (product, _), listing in self.core.listings.items()
            if product is self.product and listing.status is not MarketStatus.DELISTED
        ]

    def visible(self, market: Market) -> bool:
        """Whether this read shows the market's slice."""
        if self._hidden is None:
            self._hidden = self.setup.provocations.hidden_from(self.product)
        return not market.slice_name.startswith(self._hidden) if self._hidden else True

    def place(self, terms: OrderTerms) -> Order:
        """Hand an order to the core; errors in Binance's words."""
        if self.effects.refuse_market_orders and terms.kind is OrderKind.MARKET and terms.trigger is None:
            raise refusal(Reason.COUNTERPARTY_PRICE, self.product)
        order = self.attempt(
            lambda: self.core.place(self.account, terms, fill_fraction=self.effects.fill_fraction), terms.market
        )
        self.order_ids.append(order.order_id)
        return order

    def cancel(self, order: Order) -> Order:
        """Cancel an order; -2011 if it ended meanwhile."""
        self.order_ids.append(order.order_id)
        return self.attempt(lambda: self.core.cancel(self.account, order, by=self.origin), order.terms.market)

    def cancel_all(self, symbol: str, book: Book) -> list[Order]:
        """Cancel one symbol's orders in one book."""
        market = self.listing(symbol).market
        cancelled = self.core.cancel_all(self.account, self.product, market.symbol, book, by=self.origin)
        self.order_ids += [order.order_id for order in cancelled]
        return cancelled

    def attempt(self, action: Callable[[], T], market: Market | None = None) -> T:
        """Run *action*; a refusal of the core becomes Binance's error."""
        try:
            return action()
        except RefusalError as error:
            minimum = format(market.min_notional, "f") if market is not None else ""
            raise refusal(error.reason, self.product, minimum) from error


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
