"""One request in the hands of a Bybit endpoint, and its parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

from node.sim.accounts import Account
from node.sim.bybit.errors import BybitError, refusal, wrong
from node.sim.bybit.markets import CATEGORIES
from node.sim.keys import ApiKey
from node.sim.market import Listing, Market, MarketStatus, Product
from node.sim.matching import MatchingCore
from node.sim.orders import Order, OrderKind, OrderTerms, Origin
from node.sim.refusals import Reason, RefusalError
from node.sim.venue import Effects, VenueSetup, WireRequest

T = TypeVar("T")
OPTIONS = "option"  # a category without markets here


class Params:
    """Parameters of a request, or of one order in a batch. Empty ones and null count as not sent."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = {name: value for name, value in values.items() if value is not None and value != ""}

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def text(self, name: str, default: str = "") -> str:
        """The parameter, or *default*."""
        value = self._values.get(name, default)
        return str(value).lower() if isinstance(value, bool) else str(value)

    def required(self, name: str) -> str:
        """The parameter; 10001 without it."""
        if name not in self:
            raise wrong(name)
        return self.text(name)

    def decimal(self, name: str) -> Decimal | None:
        """The parameter as a number; 10001 if it is none."""
        if name not in self:
            return None
        try:
            number = Decimal(self.text(name))
        except InvalidOperation:
            number = Decimal("NaN")
        if not number.is_finite():
            raise wrong(name)
        return number

    def integer(self, name: str, default: int) -> int:
        """The parameter as a whole number."""
        text = self.text(name, str(default))
        if not text.lstrip("-").isdigit():
            raise wrong(name)
        return int(text)

    def flag(self, name: str) -> bool:
        """The parameter as true or false."""
        text = self.text(name, "false").lower()
        if text not in ("true", "false", "0", "1"):
            raise wrong(name)
        return text in ("true", "1")

    def items(self, name: str) -> list[Params]:
        """A list of objects, as of a batch."""
        value = self._values.get(name)
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise wrong(name)
        return [Params(item) for item in value]


@dataclass(slots=True, kw_only=True)
class Call:
    """One request, with whose it is."""

    setup: VenueSetup
    request: WireRequest
    params: Params
    effects: Effects
    key: ApiKey | None = None
    order_ids: list[int] = field(default_factory=list)
    #: What stands in ``retExtInfo``: of batches, what became of each order.
    extra: dict[str, Any] = field(default_factory=dict)
    #: How many of a batch's orders the rate limit leaves room for; none: all.
    room: int | None = None
    _hidden: dict[Product, tuple[str, ...]] = field(default_factory=dict)

    @property
    def core(self) -> MatchingCore:
        """The matching core."""
        return self.setup.core

    @property
    def now_ms(self) -> int:
        """The venue's time."""
        return self.setup.clock.now_ms()

    @property
    def account(self) -> Account:
        """The caller's account; 10003 if the present scenario has none of that name."""
        account = self.core.accounts.get(self.key.account) if self.key is not None else None
        if account is None:
            raise BybitError(10003, "API key is invalid.")
        return account

    @property
    def origin(self) -> Origin:
        """Whose deeds these are."""
        return self.key.role if self.key is not None else Origin.CLIENT

    def product(self) -> Product | None:
        """What ``category`` names; none for options. 10001 without it."""
        category = self.params.required("category")
        if category == OPTIONS:
            return None
        if category not in CATEGORIES:
            raise BybitError(10001, "Illegal category")
        return CATEGORIES[category]

    def traded(self) -> Product:
        """What ``category`` names, of those that can be traded here."""
        product = self.product()
        if product is None:
            raise BybitError(10001, "Illegal category")
        return product

    def listing(self, product: Product, symbol: str) -> Listing:
        """The market called *symbol*; an error if there is none."""
        listing = self.core.listings.get((product, symbol))
        if listing is None or listing.status is MarketStatus.DELISTED:
            raise refusal(Reason.UNKNOWN_SYMBOL, product)
        return listing

    def listings(self, product: Product | None) -> Iterator[Listing]:
        """The markets of a product that are listed."""
        for (kind, _), listing in self.core.listings.items():
            if kind is product and listing.status is not MarketStatus.DELISTED:
                yield listing

    def visible(self, market: Market) -> bool:
        """Whether this read shows the market's slice."""
        if market.product not in self._hidden:
            self._hidden[market.product] = self.setup.provocations.hidden_from(market.product)
        hidden = self._hidden[market.product]
        return not market.slice_name.startswith(hidden) if hidden else True

    def place(self, terms: OrderTerms) -> Order:
        """Hand an order to the core; errors in Bybit's words."""
        if self.effects.refuse_market_orders and terms.kind is OrderKind.MARKET and terms.trigger is None:
            order = self.core.bury(self.account, terms)  # nothing within the slippage limit: taken, and cancelled
        else:
            fraction = self.effects.fill_fraction
            order = self.attempt(lambda: self.core.place(self.account, terms, fill_fraction=fraction), terms.market)
        self.order_ids.append(order.order_id)
        return order

    def cancel(self, order: Order) -> Order:
        """Cancel an order; an error if it ended meanwhile."""
        self.order_ids.append(order.order_id)
        return self.attempt(lambda: self.core.cancel(self.account, order, by=self.origin), order.terms.market)

    def attempt(self, action: Callable[[], T], market: Market) -> T:
        """Run *action*; a refusal of the core becomes Bybit's error."""
        try:
            return action()
        except RefusalError as error:
            raise refusal(error.reason, market.product, format(market.min_notional, "f")) from error
