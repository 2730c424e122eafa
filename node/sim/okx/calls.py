"""One request in the hands of an OKX endpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeVar

from node.sim.accounts import Account
from node.sim.admission import available_margin
from node.sim.keys import ApiKey
from node.sim.market import Listing, Market, MarketStatus, Product
from node.sim.matching import MatchingCore
from node.sim.okx.errors import ALL_FAILED, SOME_FAILED, OkxError, refusal, wrong
from node.sim.okx.markets import TRADING, instrument_type
from node.sim.okx.modes import AccountMode, AccountModes, hedged
from node.sim.okx.params import Params
from node.sim.orders import Book, Leg, Order, OrderTerms, Origin
from node.sim.refusals import Reason, RefusalError
from node.sim.venue import Effects, VenueSetup

T = TypeVar("T")
Rows = list[dict[str, Any]]
FIRST_INSTRUMENT_CODE = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Answer:
    """What an endpoint answers with: rows, and the code outside them."""

    data: Rows
    code: str = "0"
    message: str = ""


@dataclass(slots=True, kw_only=True)
class Call:
    """One authenticated request. *rows* are the body's orders, where the body is a list."""

    setup: VenueSetup
    modes: AccountModes
    params: Params
    effects: Effects
    rows: list[Params] = field(default_factory=list)
    key: ApiKey | None = None
    order_ids: list[int] = field(default_factory=list)
    _hidden: dict[Product, tuple[str, ...]] = field(default_factory=dict)

    @property
    def core(self) -> MatchingCore:
        """The matching core."""
        return self.setup.core

    @property
    def account(self) -> Account:
        """The caller's account; 50119 if the present scenario has none of that name."""
        account = self.core.accounts.get(self.key.account) if self.key is not None else None
        if account is None:
            raise OkxError("50119", "API key doesn't exist")
        return account

    @property
    def mode(self) -> AccountMode:
        """The account's settings."""
        return self.modes.of(self.account)

    @property
    def origin(self) -> Origin:
        """Whose deeds these are."""
        return self.key.role if self.key is not None else Origin.CLIENT

    @property
    def hedged(self) -> bool:
        """Whether the account has two positions a contract."""
        return hedged(self.account)

    def listing(self, params: Params) -> Listing:
        """The instrument that *params* name by ``instId``, or by ``instIdCode``; 51001 if there is none."""
        name = params.text("instId")
        if not name or "instIdCode" in params:
            name = instrument_of(self.core, params.integer("instIdCode")) or params.required("instId")
        for (_, symbol), listing in self.core.listings.items():
            if symbol == name and listing.status is not MarketStatus.DELISTED:
                return listing
        raise refusal(Reason.UNKNOWN_SYMBOL)

    def wanted(self, market: Market) -> bool:
        """Whether a read's filters ask for the market, and nothing hides it."""
        types, names = self.params.text("instType"), self.params.words("instId")
        if types not in ("", "ANY", instrument_type(market)) or (names and market.symbol not in names):
            return False
        if market.product not in self._hidden:
            self._hidden[market.product] = self.setup.provocations.hidden_from(market.product)
        return not market.slice_name.startswith(self._hidden[market.product])

    def page(self, orders: Iterable[Order]) -> list[Order]:
        """A hundred orders at most, newest first; ``after`` an id come older ones, ``before`` it newer ones."""
        after, before = self.params.integer("after"), self.params.integer("before")
        limit = self.params.integer("limit")
        if limit is not None and not 0 < limit <= PAGE:
            raise wrong("limit")
        fitting = [
            order
            for order in orders
            if (after is None or order.order_id < after) and (before is None or order.order_id > before)
        ]
        return sorted(fitting, key=lambda order: -order.order_id)[: limit or PAGE]

    def available(self, asset: str) -> Decimal:
        """What of an asset is bound by no order and no position."""
        free = self.account.balance(TRADING, asset).free
        return max(Decimal(0), min(free, available_margin(self.account, TRADING, asset, self.core.listing)))

    def place(self, terms: OrderTerms) -> Order:
        """Hand an order to the core; its refusals in OKX's words."""
        order = self.attempt(
            lambda: self.core.place(self.account, terms, fill_fraction=self.effects.fill_fraction), terms
        )
        self.order_ids.append(order.order_id)
        return order

    def cancel(self, order: Order) -> None:
        """Cancel an order; 51400 if it ended meanwhile."""
        self.order_ids.append(order.order_id)
        self.attempt(lambda: self.core.cancel(self.account, order, by=self.origin))

    def find(self, book: Book, symbol: str, order_id: int | None, client_id: str) -> Order | None:
        """An order of one instrument by its id, or the latest with that client id."""
        if order_id is not None:
            order = self.account.orders.get(order_id)
            fits = order is not None and order.terms.book is book and order.terms.market.symbol == symbol
            return order if fits else None
        for (key, kept_in, name), order in self.account.by_client_id.items():
            if kept_in is book and name == client_id and key[1] == symbol:
                return order
        return None

    def attempt(self, action: Callable[[], T], terms: OrderTerms | None = None) -> T:
        """Run *action*; a refusal of the core becomes OKX's error."""
        try:
            return action()
        except RefusalError as error:
            if error.reason is Reason.REDUCE_ONLY_REJECTED and terms is not None:
                raise self._not_reduced(terms) from error
            contract = terms is None or terms.market.is_contract
            raise refusal(error.reason, contract=contract) from error

    def _not_reduced(self, terms: OrderTerms) -> OkxError:
        held = self.account.quantity(terms.market, terms.leg)
        if not held:
            return refusal(Reason.REDUCE_ONLY_REJECTED)
        if held * terms.signed > 0 and terms.leg is Leg.NET:
            return OkxError(
                "51170", "Failed to place order. A reduce-only order can't be the same trading direction as positions."
            )
        return refusal(Reason.REDUCE_ONLY_CONFLICT)


PAGE = 100


def row_by_row(rows: Iterable[Params], action: Callable[[Params], dict[str, Any]], failed: dict[str, str]) -> Answer:
    """Carry out an action on every row; *failed* says which parameters a failed row gives back, and as what."""
    data, failures = [], 0
    for row in rows:
        try:
            data.append({**action(row), "sCode": "0", "sMsg": ""})
        except OkxError as error:
            failures += 1
            names = {shown: row.text(sent) if sent else "" for shown, sent in failed.items()}
            data.append({**names, "sCode": error.code, "sMsg": error.message})
    if not failures:
        return Answer(data)
    return Answer(data, *(ALL_FAILED if failures == len(data) else SOME_FAILED))


def instrument_code(core: MatchingCore, market: Market) -> int:
    """``instIdCode``, by which WebSocket orders name an instrument."""
    return FIRST_INSTRUMENT_CODE + list(core.listings).index(market.key)


def instrument_of(core: MatchingCore, code: int | None) -> str:
    """The ``instId`` with that code; empty if there is none."""
    number = -1 if code is None else code - FIRST_INSTRUMENT_CODE
    keys = list(core.listings)
    return keys[number][1] if 0 <= number < len(keys) else ""
