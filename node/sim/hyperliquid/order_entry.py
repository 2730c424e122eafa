"""From an order on the wire to the core's terms, and the checks that need no look at the account.

A batch with one order that fails these checks is refused whole, with one status for all of it ("Error responses":
pre-validation). Every order names a price: a market order is an ``Ioc`` at a price that is bad enough.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from node.sim.hyperliquid import errors
from node.sim.hyperliquid.errors import HyperliquidError, OrderError, of_order, unreadable
from node.sim.hyperliquid.markets import MIN_VALUE, SPOT_OFFSET
from node.sim.hyperliquid.numbers import decimal
from node.sim.hyperliquid.order_views import is_cloid
from node.sim.hyperliquid.venue_state import VenueState
from node.sim.market import Listing, Market
from node.sim.orders import OrderKind, OrderTerms, Origin, Side, TimeInForce, TriggerTerms
from node.sim.refusals import Reason

TIFS: Final = {"Gtc": TimeInForce.GTC, "Ioc": TimeInForce.IOC, "Alo": TimeInForce.POST_ONLY}
GROUPINGS: Final = ("na", "normalTpsl", "positionTpsl")
#: A limit price is within a factor of twenty of the reference price, either way.
BAND: Final = Decimal("0.05")


def order_terms(state: VenueState, wire: Mapping[str, Any], grouping: str, origin: Origin) -> OrderTerms:
    """One order.

    Raises:
        HyperliquidError: it cannot be read, or there is no such asset.
        OrderError: it fails a check that refuses the whole batch.
    """
    asset = wire.get("a")
    if not isinstance(asset, int) or isinstance(asset, bool):
        raise unreadable()
    market = state.market(asset)
    if market is None:
        raise HyperliquidError("Invalid spot" if asset >= SPOT_OFFSET else "Invalid perp")
    size, price, kind = decimal(wire.get("s")), decimal(wire.get("p")), wire.get("t")
    if size is None or price is None or not isinstance(kind, dict) or not isinstance(wire.get("b"), bool):
        raise unreadable()
    trigger = _trigger(kind.get("trigger"), buys=wire["b"])
    whole = trigger is not None and grouping == "positionTpsl" and not size
    terms = OrderTerms(
        market=market,
        side=Side.BUY if wire["b"] else Side.SELL,
        kind=OrderKind.LIMIT,
        client_id=_client_id(state, wire.get("c")),
        venue_type=_type_word(kind),
        quantity=None if whole else size,
        price=price,
        time_in_force=_time_in_force(kind),
        reduce_only=bool(wire.get("r")) and not whole,
        close_position=whole,
        trigger=trigger,
        origin=origin,
    )
    _check(state, terms, grouping, reduces=bool(wire.get("r")))
    return terms


def closes_whole_position(held: Decimal, terms: OrderTerms) -> bool:
    """Whether the order is as large as the position that it is against: the least value does not hold for it."""
    return held * terms.signed < 0 and (terms.quantity is None or terms.quantity >= abs(held))


def too_small(state: VenueState, terms: OrderTerms, held: Decimal) -> str | None:
    """What is said of an order below the least value; none if it is large enough, or exempt."""
    market, price = terms.market, terms.price or Decimal(0)
    if terms.quantity is None or terms.quantity * price >= MIN_VALUE:
        return None
    if market.is_contract:
        if closes_whole_position(held, terms):
            return None
        return f"{errors.TOO_SMALL} asset={state.asset(market)}"
    return f"Order must have minimum value of 10 {market.quote}. asset={state.asset(market)}"


def _check(state: VenueState, terms: OrderTerms, grouping: str, *, reduces: bool) -> None:
    market, asset = terms.market, state.asset(terms.market)
    if reduces and not market.is_contract:
        raise OrderError(errors.SPOT_REDUCES, Reason.REDUCE_ONLY_REJECTED)
    if terms.quantity is not None and terms.quantity <= 0:
        raise OrderError(errors.NO_SIZE, Reason.QUANTITY_ZERO)
    if terms.quantity is not None and terms.quantity % market.step:
        raise OrderError(errors.BAD_SIZE, Reason.QUANTITY_PRECISION)
    if terms.price is None or terms.price <= 0:
        raise OrderError(errors.BAD_PRICE, Reason.PRICE_ZERO)
    if not _on_tick(market, terms.price):
        raise of_order(Reason.PRICE_PRECISION, asset)
    if terms.trigger is not None:
        price = terms.trigger.price
        if price is None or price <= 0 or not _on_tick(market, price):
            raise of_order(Reason.TRIGGERS_IMMEDIATELY, asset)
        if grouping != "na" and not (terms.reduce_only or terms.close_position):
            raise of_order(Reason.TRIGGERS_IMMEDIATELY, asset)
    elif _too_far(state.core.listing(market), terms.price):
        raise OrderError(errors.TOO_FAR, Reason.PRICE_ABOVE_BAND)


def _too_far(listing: Listing, price: Decimal) -> bool:
    return price <= listing.mark * BAND or listing.mark < price * BAND


def _on_tick(market: Market, price: Decimal) -> bool:
    return not price % market.tick_at(price)


def _trigger(wire: object, *, buys: bool) -> TriggerTerms | None:
    if wire is None:
        return None
    if not isinstance(wire, dict) or wire.get("tpsl") not in ("tp", "sl") or not isinstance(wire.get("isMarket"), bool):
        raise unreadable()
    price = decimal(wire.get("triggerPx"))
    if price is None:
        raise unreadable()
    return TriggerTerms(price=price, fires_at_or_above=buys == (wire["tpsl"] == "sl"))


def _type_word(kind: Mapping[str, Any]) -> str:
    trigger = kind.get("trigger")
    if not isinstance(trigger, dict):
        return "Limit"
    return ("Take Profit" if trigger["tpsl"] == "tp" else "Stop") + (" Market" if trigger["isMarket"] else " Limit")


def _time_in_force(kind: Mapping[str, Any]) -> TimeInForce:
    trigger, limit = kind.get("trigger"), kind.get("limit")
    if isinstance(trigger, dict):  # when it fires, a market order trades up to its limit, or not at all
        return TimeInForce.IOC if trigger.get("isMarket") else TimeInForce.GTC
    word = TIFS.get(str(limit.get("tif"))) if isinstance(limit, dict) else None
    if word is None:
        raise unreadable()
    return word


def _client_id(state: VenueState, word: object) -> str:
    if word is None:
        return state.own_client_id()
    if not isinstance(word, str) or not is_cloid(word):
        raise unreadable()
    try:
        int(word, 16)
    except ValueError:
        raise unreadable() from None
    return word.lower()
