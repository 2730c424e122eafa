"""Reads Binance's order parameters into the core's terms, with the checks that the gateway makes before matching.

Sources: New Order of spot, USD-M and COIN-M, New Algo Order of USD-M, on developers.binance.com.
"""

from __future__ import annotations

import re
import secrets
from decimal import Decimal

from node.sim.binance.calls import Call, Params
from node.sim.binance.errors import BinanceError, missing, not_required
from node.sim.market import Market, Product
from node.sim.orders import Book, Leg, OrderKind, OrderTerms, Side, TimeInForce, TriggerTerms

CLIENT_ID = re.compile(r"^[.A-Z:/a-z0-9_-]{1,36}$")
SIDES = {"BUY": Side.BUY, "SELL": Side.SELL}
LEGS = {"BOTH": Leg.NET, "LONG": Leg.LONG, "SHORT": Leg.SHORT}
TIMES_IN_FORCE = {
    "GTC": TimeInForce.GTC,
    "IOC": TimeInForce.IOC,
    "FOK": TimeInForce.FOK,
    "GTX": TimeInForce.POST_ONLY,
    "GTE_GTC": TimeInForce.GTC,
}
TRAILING = "TRAILING_STOP_MARKET"
CONDITIONAL_LIMITS = frozenset({"STOP", "TAKE_PROFIT"})
CONDITIONAL = CONDITIONAL_LIMITS | {"STOP_MARKET", "TAKE_PROFIT_MARKET", TRAILING}
SPOT_CONDITIONAL = frozenset({"STOP_LOSS", "TAKE_PROFIT", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"})
SPOT_TYPES = SPOT_CONDITIONAL | {"LIMIT", "MARKET", "LIMIT_MAKER"}


def contract_order(call: Call, params: Params) -> OrderTerms:
    """Parameters of ``POST /fapi/v1/order`` or ``/dapi/v1/order``.

    USD-M sends conditional types to the algo endpoint with -4120; COIN-M still takes them here.
    """
    market = call.listing(params.required("symbol")).market
    side, word = _side(params), params.required("type")
    if word in CONDITIONAL:
        if call.product is Product.LINEAR:
            raise BinanceError(
                -4120, "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead."
            )
        return _conditional(call, params, market, side, word, Book.ORDERS)
    if word not in ("LIMIT", "MARKET"):
        raise BinanceError(-1116, "Invalid orderType.")
    if word == "MARKET":
        for name in ("price", "timeInForce"):
            if name in params:
                raise not_required(name)
    limit = word == "LIMIT"
    return OrderTerms(
        market=market,
        side=side,
        kind=OrderKind.LIMIT if limit else OrderKind.MARKET,
        client_id=_client_id(params, "newClientOrderId", market),
        venue_type=word,
        quantity=params.required_decimal("quantity"),
        price=params.required_decimal("price") if limit else None,
        time_in_force=_time_in_force(params.required("timeInForce")) if limit else TimeInForce.GTC,
        leg=_leg(params),
        reduce_only=_reduce_only(call, params),
        origin=call.origin,
    )


def algo_order(call: Call, params: Params) -> OrderTerms:
    """Parameters of ``POST /fapi/v1/algoOrder`` or ``/dapi/v1/algoOrder``."""
    if params.required("algoType") != "CONDITIONAL":
        raise BinanceError(-1130, "Data sent for parameter 'algoType' is not valid.")
    market = call.listing(params.required("symbol")).market
    side, word = _side(params), params.required("type")
    if word not in CONDITIONAL:
        raise BinanceError(-1116, "Invalid orderType.")
    return _conditional(call, params, market, side, word, Book.ALGO)


def spot_order(call: Call, params: Params) -> OrderTerms:
    """Parameters of ``POST /api/v3/order``."""
    market = call.listing(params.required("symbol")).market
    side, word = _side(params), params.required("type")
    if word not in SPOT_TYPES:
        raise BinanceError(-1116, "Invalid orderType.")
    limit = word.startswith("LIMIT") or word.endswith("_LIMIT")
    time_in_force = TimeInForce.POST_ONLY if word == "LIMIT_MAKER" else TimeInForce.GTC
    if limit and word != "LIMIT_MAKER":
        time_in_force = _time_in_force(params.required("timeInForce"))
    quote_quantity = params.decimal("quoteOrderQty") if word == "MARKET" else None
    if quote_quantity is None:
        params.required("quantity")
    elif "quantity" in params:
        raise not_required("quoteOrderQty")
    trigger = None
    if word in SPOT_CONDITIONAL:
        rises = (side is Side.BUY) == word.startswith("STOP")
        trigger = TriggerTerms(price=params.required_decimal("stopPrice"), fires_at_or_above=rises)
    return OrderTerms(
        market=market,
        side=side,
        kind=OrderKind.LIMIT if limit else OrderKind.MARKET,
        client_id=_client_id(params, "newClientOrderId", market),
        venue_type=word,
        quantity=params.decimal("quantity"),
        quote_quantity=quote_quantity,
        price=params.required_decimal("price") if limit else None,
        time_in_force=time_in_force,
        trigger=trigger,
        origin=call.origin,
    )


def _conditional(call: Call, params: Params, market: Market, side: Side, word: str, book: Book) -> OrderTerms:
    algo = book is Book.ALGO
    close_position = params.flag("closePosition")
    if close_position:
        if word == TRAILING:
            raise BinanceError(-4136, f"Target strategy invalid for orderType {word},closePosition true")
        if "quantity" in params:
            raise BinanceError(-4137, "Quantity must be zero with closePosition equals true")
        if "reduceOnly" in params:
            raise not_required("reduceOnly")
    limit = word in CONDITIONAL_LIMITS
    return OrderTerms(
        market=market,
        side=side,
        kind=OrderKind.LIMIT if limit else OrderKind.MARKET,
        client_id=_client_id(params, "clientAlgoId" if algo else "newClientOrderId", market),
        venue_type=word,
        quantity=None if close_position else params.required_decimal("quantity"),
        price=params.required_decimal("price") if limit else None,
        time_in_force=_time_in_force(params.text("timeInForce", "GTC")),
        leg=_leg(params),
        reduce_only=_reduce_only(call, params),
        close_position=close_position,
        trigger=_trigger(params, side, word, algo=algo),
        book=book,
        origin=call.origin,
    )


def _trigger(params: Params, side: Side, word: str, *, algo: bool) -> TriggerTerms:
    if word == TRAILING:
        rate = params.required_decimal("callbackRate")
        if not Decimal("0.1") <= rate <= Decimal(10):
            raise BinanceError(-2007, "Invalid callBack rate")
        activation = params.decimal("activatePrice" if algo else "activationPrice")
        return TriggerTerms(
            price=None, fires_at_or_above=side is Side.BUY, callback_rate=rate / 100, activation_price=activation
        )
    price = params.required_decimal("triggerPrice" if algo else "stopPrice")
    return TriggerTerms(price=price, fires_at_or_above=(side is Side.BUY) == word.startswith("STOP"))


def _side(params: Params) -> Side:
    side = SIDES.get(params.required("side"))
    if side is None:
        raise BinanceError(-1117, "Invalid side.")
    return side


def _leg(params: Params) -> Leg:
    leg = LEGS.get(params.text("positionSide", "BOTH"))
    if leg is None:
        raise BinanceError(-1130, "Data sent for parameter 'positionSide' is not valid.")
    return leg


def _reduce_only(call: Call, params: Params) -> bool:
    if "reduceOnly" in params and call.hedged:
        raise not_required("reduceOnly")
    return params.flag("reduceOnly")


def _time_in_force(word: str) -> TimeInForce:
    time_in_force = TIMES_IN_FORCE.get(word)
    if time_in_force is None:
        raise BinanceError(-1115, "Invalid timeInForce.")
    return time_in_force


def _client_id(params: Params, name: str, market: Market) -> str:
    if name not in params:
        return secrets.token_hex(11)
    word = params.text(name)
    if CLIENT_ID.match(word):
        return word
    if not market.is_contract:
        raise BinanceError(
            -1100, f"Illegal characters found in parameter '{name}'; legal range is '{CLIENT_ID.pattern}'."
        )
    if len(word) > 36:
        raise BinanceError(-4015, "Client order id length should be less than 36 chars")
    raise BinanceError(-4015, "Client order id is not valid.")


def order_reference(params: Params) -> tuple[int | None, str]:
    """The order that a query or a cancel names, by id or by client id."""
    order_id, client_id = params.integer("orderId"), params.text("origClientOrderId")
    if order_id is None and not client_id:
        raise BinanceError(-1102, "Param 'orderId' or 'origClientOrderId' must be sent, but both were empty/null!")
    return order_id, client_id


def algo_reference(params: Params) -> tuple[int | None, str]:
    """The algo order that a query or a cancel names."""
    order_id, client_id = params.integer("algoId"), params.text("clientAlgoId")
    if order_id is None and not client_id:
        raise missing("algoId")
    return order_id, client_id
