"""Reads Bybit's order parameters into the core's terms, with the checks that the gateway makes before matching.

Source: Place Order of the V5 documentation.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from node.sim.bybit.calls import Call, Params
from node.sim.bybit.errors import BybitError, refusal, wrong
from node.sim.bybit.ids import LINK_ID, nameless
from node.sim.market import ZERO, Listing, Product
from node.sim.orders import Leg, OrderKind, OrderTerms, Side, TimeInForce, TriggerTerms
from node.sim.refusals import Reason

SIDES: Final = {"Buy": Side.BUY, "Sell": Side.SELL}
KINDS: Final = {"Market": OrderKind.MARKET, "Limit": OrderKind.LIMIT}
LEGS: Final = {0: Leg.NET, 1: Leg.LONG, 2: Leg.SHORT}
TIMES_IN_FORCE: Final = {
    "GTC": TimeInForce.GTC,
    "IOC": TimeInForce.IOC,
    "FOK": TimeInForce.FOK,
    "PostOnly": TimeInForce.POST_ONLY,
}
RISES, FALLS = 1, 2
ACTIVE_MOST, CONDITIONAL_MOST, SPOT_CONDITIONAL_MOST, SPOT_MOST = 500, 10, 30, 500
#: What an order may bring along at the real venue, and may not here.
ATTACHED: Final = ("takeProfit", "stopLoss", "bboSideType")


def order_terms(call: Call, product: Product, params: Params) -> OrderTerms:
    """One order's parameters, as terms for the core.

    Raises:
        BybitError: the gateway does not take it.
    """
    for name in ATTACHED:
        if name in params:
            raise BybitError(10001, f"params error: {name} is not simulated")
    listing = call.listing(product, params.required("symbol"))
    terms = _spot(call, listing, params) if product is Product.SPOT else _contract(call, listing, params)
    _check_link_id(call, terms)
    _check_counts(call, terms)
    return terms


def _contract(call: Call, listing: Listing, params: Params) -> OrderTerms:
    market = listing.market
    side, kind = _side(params, market.product), _kind(params, market.product)
    leg = LEGS.get(params.integer("positionIdx", 0))
    if leg is None:
        raise wrong("positionIdx")
    reduces = params.flag("reduceOnly") or params.flag("closeOnTrigger")
    closes_leg = leg is not Leg.NET and side is (Side.SELL if leg is Leg.LONG else Side.BUY)
    if reduces and leg is not Leg.NET and not closes_leg and call.account.is_hedged(market):
        raise BybitError(110017, "reduce-only order has same side with current position")
    trigger = _contract_trigger(listing, params)
    everything = _closes_everything(params)
    return OrderTerms(
        market=market,
        side=side,
        kind=kind,
        client_id=_link_id(params, market.product),
        venue_type="Stop" if trigger is not None else "",
        quantity=None
        if everything and trigger is not None
        else _quantity(call, listing, params, side, leg, reduces=reduces or closes_leg),
        price=_price(params, kind, market.product),
        time_in_force=_time_in_force(params, kind, market.product),
        leg=leg,
        reduce_only=reduces,
        close_position=everything and trigger is not None,
        trigger=trigger,
        origin=call.origin,
    )


def _quantity(call: Call, listing: Listing, params: Params, side: Side, leg: Leg, *, reduces: bool) -> Decimal:
    """What is wanted; of an order that closes, never more than there is. Zero can mean the whole position."""
    wanted = params.decimal("qty")
    if wanted is None:
        raise wrong("qty")
    held = call.account.quantity(listing.market, leg)
    reducible = abs(held) if held * side.sign < 0 else ZERO
    conditional = "triggerPrice" in params
    if _closes_everything(params):
        if not reducible:
            raise refusal(Reason.REDUCE_ONLY_REJECTED, listing.market.product)
        return min(reducible, listing.market.max_market_quantity)
    return min(wanted, reducible) if reduces and reducible and not conditional else wanted


def _closes_everything(params: Params) -> bool:
    return params.decimal("qty") == 0 and params.flag("reduceOnly") and params.flag("closeOnTrigger")


def _contract_trigger(listing: Listing, params: Params) -> TriggerTerms | None:
    at = params.decimal("triggerPrice")
    if not at:
        return None
    direction = params.integer("triggerDirection", 0)
    if direction not in (RISES, FALLS):
        raise wrong("triggerDirection")
    rises, mark = direction == RISES, listing.mark
    if rises and at <= mark:
        raise BybitError(110092, f"expect Rising, but trigger_price[{at}] <= current[{mark}]??laste")
    if not rises and at >= mark:
        raise BybitError(110093, f"expect Falling, but trigger_price[{at}] >= current[{mark}]??last")
    return TriggerTerms(price=at, fires_at_or_above=rises)


def _spot(call: Call, listing: Listing, params: Params) -> OrderTerms:
    market, product = listing.market, Product.SPOT
    side, kind = _side(params, product), _kind(params, product)
    family = params.text("orderFilter", "Order")
    if family not in ("Order", "tpslOrder", "StopOrder"):
        raise BybitError(170201, "Invalid orderFilter parameter")
    wanted = params.decimal("qty")
    if wanted is None:
        raise wrong("qty", product)
    unit = params.text("marketUnit", "quoteCoin" if side is Side.BUY else "baseCoin")
    by_value = kind is OrderKind.MARKET and unit == "quoteCoin"
    borrows = params.integer("isLeverage", 0) == 1
    if borrows and is_isolated(call):
        raise BybitError(170036, "You haven't enabled Cross Margin Trading yet.")
    return OrderTerms(
        market=market,
        side=side,
        kind=kind,
        client_id=_link_id(params, product),
        venue_type={"Order": "", "StopOrder": "Stop"}.get(family, family),
        quantity=None if by_value else wanted,
        quote_quantity=wanted if by_value else None,
        price=_price(params, kind, product),
        time_in_force=_time_in_force(params, kind, product),
        borrows=borrows,
        trigger=_spot_trigger(listing, params, family),
        holds=family != "StopOrder",
        origin=call.origin,
    )


def is_isolated(call: Call) -> bool:
    """Whether the account is in isolated margin: that is one mode for all its markets."""
    return any(settings.isolated for settings in call.account.settings.values())


def _spot_trigger(listing: Listing, params: Params, family: str) -> TriggerTerms | None:
    if family == "Order":
        return None
    at = params.decimal("triggerPrice")
    if not at:
        raise BybitError(170202, "Please enter the TP/SL price.")
    return TriggerTerms(price=at, fires_at_or_above=at > listing.mark)  # it fires from wherever the price is now


def _side(params: Params, product: Product) -> Side:
    side = SIDES.get(params.text("side"))
    if side is None:
        raise BybitError(170117, "Invalid side.") if product is Product.SPOT else wrong("side")
    return side


def _kind(params: Params, product: Product) -> OrderKind:
    kind = KINDS.get(params.text("orderType"))
    if kind is None:
        raise BybitError(170116, "Invalid orderType.") if product is Product.SPOT else wrong("orderType")
    return kind


def _price(params: Params, kind: OrderKind, product: Product) -> Decimal | None:
    if kind is OrderKind.MARKET:
        return None
    price = params.decimal("price")
    if price is None:
        raise wrong("price", product)
    return price


def _time_in_force(params: Params, kind: OrderKind, product: Product) -> TimeInForce:
    if kind is OrderKind.MARKET:
        return TimeInForce.IOC
    word = TIMES_IN_FORCE.get(params.text("timeInForce", "GTC"))
    if word is None:
        raise BybitError(170115, "Invalid timeInForce.") if product is Product.SPOT else wrong("timeInForce")
    return word


def _link_id(params: Params, product: Product) -> str:
    if "orderLinkId" not in params:
        return nameless()
    word = params.text("orderLinkId")
    if not LINK_ID.match(word):
        raise wrong("orderLinkId", product)
    return word


def _check_link_id(call: Call, terms: OrderTerms) -> None:
    """An ``orderLinkId`` is never used twice, not even after its order has ended."""
    product = terms.market.product
    for (kind, _), _, name in call.account.by_client_id:
        if kind is product and name == terms.client_id:
            raise refusal(Reason.DUPLICATE_CLIENT_ID, product)


def _check_counts(call: Call, terms: OrderTerms) -> None:
    contract = terms.market.is_contract
    resting = call.account.resting(terms.market.product, terms.market.symbol if contract or terms.trigger else None)
    waiting = sum(order.waits_for_trigger and not order.terms.close_position for order in resting)
    if terms.trigger is not None and waiting >= (CONDITIONAL_MOST if contract else SPOT_CONDITIONAL_MOST):
        if contract:
            raise BybitError(110009, "The number of stop orders exceeds maximum limit allowed")
        raise BybitError(170810, "Cannot exceed maximum of 500 conditional, TP/SL and active orders.")
    if terms.trigger is None and terms.kind is OrderKind.LIMIT and len(resting) - waiting >= ACTIVE_MOST:
        if contract:
            raise BybitError(110020, "Not allowed to have more than 500 active orders.")
        raise BybitError(170810, "Cannot exceed maximum of 500 conditional, TP/SL and active orders.")
