"""Placing and cancelling orders and stop orders, and looking at an order before it is placed."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from node.sim.accounts import Account, PositionSettings
from node.sim.b2prime.calls import Call, amount, inner, optional_amount, word
from node.sim.b2prime.errors import B2primeError, bad_request, not_found, of_reason
from node.sim.b2prime.markets import market_facts, type_of
from node.sim.b2prime.numbers import instant, milliseconds, moment_of, read, text
from node.sim.b2prime.venue_state import VenueState, leg_of
from node.sim.b2prime.views import order_view, stop_order_view
from node.sim.market import Listing, Market
from node.sim.orders import Book, Order, OrderKind, OrderTerms, Side, TimeInForce, TriggerTerms
from node.sim.refusals import Reason, RefusalError

SIDES: Final = {"Buy": Side.BUY, "Sell": Side.SELL}
KINDS: Final = {"Market": OrderKind.MARKET, "Limit": OrderKind.LIMIT}
IN_FORCE: Final = {
    "Gtc": TimeInForce.GTC,
    "Ioc": TimeInForce.IOC,
    "Fok": TimeInForce.FOK,
    "Gtd": TimeInForce.GTC,
    "Day": TimeInForce.GTC,
}
COMMENT_MAX: Final = 100
_numbers = itertools.count(1)


def place(call: Call, kind: str, *, stop: bool = False) -> dict[str, Any]:
    """Take an order of a *kind* of market. The answer shows it as it was taken, before it traded."""
    body = inner(call.body, "order")
    listing = listing_of(call, body, kind)
    terms = read_terms(call.state, call.account, body, listing, stop=stop)
    try:
        order = enter(call, terms)
    except B2primeError as error:
        if not call.state.switches.refused_as_order or error.status != 400:
            raise
        return {"order": _rejected(call, terms, error)}
    return {"order": stop_order_view(call.state, order) if stop else _as_taken(call.state, order)}


def enter(call: Call, terms: OrderTerms) -> Order:
    """Give an order to the core.

    Raises:
        B2primeError: it is refused.
    """
    state, account, market = call.state, call.account, terms.market
    terms = replace(terms, origin=call.origin)
    if not state.trades(market):
        raise of_reason(Reason.MARKET_CLOSED, state.switches)
    if call.effects.refuse_market_orders and terms.kind is OrderKind.MARKET:
        raise of_reason(Reason.COUNTERPARTY_PRICE, state.switches)
    before = account.settings.get(market.key)
    if market.is_contract:
        leverage = int(terms.extras["leverage"])
        _check_margin(state, account, terms, leverage)
        account.settings[market.key] = PositionSettings(leverage=leverage)
    try:
        order = state.core.place(account, terms, fill_fraction=call.effects.fill_fraction)
    except RefusalError as refusal:
        if before is not None:
            account.settings[market.key] = before
        raise of_reason(refusal.reason, state.switches) from refusal
    call.order_ids.append(order.order_id)
    return order


def cancel(call: Call, *, stop: bool = False) -> dict[str, Any]:
    """Cancel an order."""
    state, book = call.state, Book.ALGO if stop else Book.ORDERS
    order = state.order(call.account, call.path[0], book)
    if order is None or not order.is_open:
        raise of_reason(Reason.UNKNOWN_ORDER, state.switches)

    def act() -> None:
        state.core.cancel(call.account, order, by=call.origin)

    def act_late() -> None:
        with contextlib.suppress(RefusalError):  # it traded meanwhile
            act()

    try:
        state.later(state.switches.cancel_delay_ms, act_late if state.switches.cancel_delay_ms else act)
    except RefusalError as refusal:
        raise of_reason(refusal.reason, state.switches) from refusal
    call.order_ids.append(order.order_id)
    return {"order": (stop_order_view if stop else order_view)(state, order)}


def preview_spot(call: Call) -> dict[str, Any]:
    """What a spot order would cost."""
    body = inner(call.body, "order")
    listing = listing_of(call, body, "Spot")
    price = optional_amount(body, "requestedPrice") or _price(listing, word(body, "side", SIDES))
    base = optional_amount(body, "requestedBaseAmount")
    if base is None:
        base = listing.market.whole_steps(amount(body, "requestedQuoteAmount") / price)
    quote = base * price
    fee = quote * listing.market.fee_rate
    view = {"baseAmount": base, "quoteAmount": quote, "commissionAmount": fee, "total": quote + fee}
    return {"order": {name: text(number) for name, number in view.items()}}


def preview_contract(call: Call, kind: str) -> dict[str, Any]:
    """What an order for a CFD or a perpetual would bind."""
    body = inner(call.body, "order")
    listing = listing_of(call, body, kind)
    market = listing.market
    leverage = read_leverage(body, market)
    price = optional_amount(body, "requestedPrice") or _price(listing, word(body, "side", SIDES))
    value = market.value(amount(body, "requestedLotAmount"), price)
    view = {
        "requiredMarginInRAT": value / leverage,
        "quoteAmount": value,
        "commissionAmountInRAT": value * market.fee_rate,
    }
    return {"order": {name: text(number) for name, number in view.items()}}


def listing_of(call: Call, body: Mapping[str, Any], kind: str) -> Listing:
    """The market that an order names, if it is of that *kind*.

    Raises:
        B2primeError: there is none.
    """
    market_id = body.get("marketId")
    if not isinstance(market_id, str):
        raise bad_request("The field 'marketId' is required.")
    listing = call.state.listing(market_id)
    if listing is None or type_of(listing.market) != kind:
        raise not_found("market")
    return listing


def read_terms(
    state: VenueState, account: Account, body: Mapping[str, Any], listing: Listing, *, stop: bool
) -> OrderTerms:
    """An order as the core has it.

    Raises:
        B2primeError: a field is missing or wrong.
    """
    market = listing.market
    side, kind = SIDES[word(body, "side", SIDES)], KINDS[word(body, "orderType", KINDS)]
    in_force = word(body, "timeInForce", IN_FORCE)
    price = amount(body, "requestedPrice") if kind is OrderKind.LIMIT else None
    if kind is OrderKind.MARKET and in_force in ("Gtd", "Day"):
        raise bad_request("Market orders cannot be Gtd or Day.")
    trigger = None
    if stop:
        activation = amount(body, "activationPrice")
        trigger = TriggerTerms(price=activation, fires_at_or_above=activation > listing.mark)
    return OrderTerms(
        market=market,
        side=side,
        kind=kind,
        client_id=f"order-{next(_numbers)}",
        venue_type=kind.value.capitalize(),
        quantity=amount(body, "requestedLotAmount" if market.is_contract else "requestedAmount"),
        price=price,
        time_in_force=IN_FORCE[in_force],
        leg=leg_of(account, market, side),
        trigger=trigger,
        book=Book.ALGO if stop else Book.ORDERS,
        extras=_extras(state, body, market, in_force),
    )


def read_leverage(body: Mapping[str, Any], market: Market) -> int:
    """A whole number up to what the market allows.

    Raises:
        B2primeError: it is missing, or too much.
    """
    facts = market_facts()[market.symbol]
    most = facts.tiers[0][0] if facts.tiers else facts.max_leverage
    leverage = read(body.get("leverage"))
    if leverage is None or leverage % 1 or not 1 <= leverage <= most:
        raise bad_request(f"The field 'leverage' must be a whole number from 1 to {most}.")
    return int(leverage)


def _extras(state: VenueState, body: Mapping[str, Any], market: Market, in_force: str) -> dict[str, str]:
    extras = {"timeInForce": in_force}
    comment = body.get("comment")
    if comment is not None:
        if not isinstance(comment, str) or len(comment) > COMMENT_MAX:
            raise bad_request(f"The field 'comment' must have {COMMENT_MAX} characters at most.")
        extras["comment"] = comment
    if in_force == "Gtd":
        until_ms = milliseconds(body.get("cancellationDate"))
        if until_ms is None or until_ms <= state.now_ms:
            raise bad_request("The field 'cancellationDate' must be a moment in the future.")
        extras |= {"until_ms": str(until_ms), "cancellationDate": instant(until_ms)}
    elif in_force == "Day":
        day = moment_of(state.now_ms).replace(hour=23, minute=59, second=0, microsecond=0)
        extras["until_ms"] = str((day - moment_of(0)) // timedelta(milliseconds=1))
    if market.is_contract:
        extras["leverage"] = str(read_leverage(body, market))
        extras |= read_triggers(body)
    return extras


def read_triggers(body: Mapping[str, Any]) -> dict[str, str]:
    """Take profit and stop loss, as extras of an order.

    Raises:
        B2primeError: a price is wrong.
    """
    extras = {}
    for name in ("takeProfit", "stopLoss"):
        trigger = body.get(name)
        if isinstance(trigger, dict):
            extras[name] = text(amount(trigger, "price"))
            if name == "stopLoss" and trigger.get("isTrailing") is True:
                extras["trailing"] = "true"
    return extras


def _check_margin(state: VenueState, account: Account, terms: OrderTerms, leverage: int) -> None:
    held = account.quantity(terms.market, terms.leg)
    if held * terms.signed < 0 or terms.quantity is None:
        return
    needed = terms.market.value(terms.quantity, terms.price or state.core.listing(terms.market).mark) / leverage
    if needed > state.margin(account)["freeMarginInRAT"]:
        raise of_reason(Reason.INSUFFICIENT_MARGIN, state.switches)


def _price(listing: Listing, side: str) -> Decimal:
    return listing.ask if side == "Buy" else listing.bid


def _as_taken(state: VenueState, order: Order) -> dict[str, Any]:
    view = order_view(state, order)
    status = "Working" if order.terms.kind is OrderKind.MARKET else "Pending"
    return {
        **view,
        "status": status,
        "remainingAmount": view["requestedAmount"],
        "executionPrice": "0",
        "commission": "0",
        "updatedAt": view["createdAt"],
    }


def _rejected(call: Call, terms: OrderTerms, error: B2primeError) -> dict[str, Any]:
    now_ms = call.state.now_ms
    order = Order(
        order_id=next(_numbers),
        terms=terms,
        quantity=terms.quantity or Decimal(0),
        created_ms=now_ms,
        updated_ms=now_ms,
    )
    return {**order_view(call.state, order), "status": "Rejected", "rejectDetails": error.message}
