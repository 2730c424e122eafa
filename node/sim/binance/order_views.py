"""Orders in Binance's JSON."""

from __future__ import annotations

from typing import Any

from node.sim.binance.numbers import amount, average, price, quantity
from node.sim.market import ZERO, Product
from node.sim.orders import Leg, Order, OrderStatus, TimeInForce

STATUS = {
    OrderStatus.NEW: "NEW",
    OrderStatus.PARTIALLY_FILLED: "PARTIALLY_FILLED",
    OrderStatus.FILLED: "FILLED",
    OrderStatus.CANCELLED: "CANCELED",
    OrderStatus.EXPIRED: "EXPIRED",
    OrderStatus.REJECTED: "REJECTED",
    OrderStatus.FINISHED: "FINISHED",
}
TIME_IN_FORCE = {
    TimeInForce.GTC: "GTC",
    TimeInForce.IOC: "IOC",
    TimeInForce.FOK: "FOK",
    TimeInForce.POST_ONLY: "GTX",
}
LEG = {Leg.NET: "BOTH", Leg.LONG: "LONG", Leg.SHORT: "SHORT"}


def contract_order_view(order: Order, *, query: bool = False) -> dict[str, Any]:
    """A futures order. *query* adds what only queries show."""
    terms, market = order.terms, order.terms.market
    inverse = market.product is Product.INVERSE
    worth = sum((market.value(fill.quantity, fill.price) for fill in order.fills), ZERO)
    view = {
        "orderId": order.order_id,
        "symbol": market.symbol,
        "status": STATUS[order.status],
        "clientOrderId": terms.client_id,
        "price": price(market, terms.price),
        "avgPrice": average(order.average_price),
        "origQty": quantity(market, order.quantity),
        "executedQty": quantity(market, order.filled),
        "cumQty": quantity(market, order.filled),
        "cumQuote": "0" if inverse else amount(worth),
        "cumBase": amount(worth) if inverse else "0",
        "timeInForce": TIME_IN_FORCE[terms.time_in_force],
        "type": terms.venue_type,
        "reduceOnly": terms.reduce_only,
        "closePosition": terms.close_position,
        "side": terms.side.value.upper(),
        "positionSide": LEG[terms.leg],
        "stopPrice": price(market, terms.trigger_price),
        "workingType": "CONTRACT_PRICE",
        "priceProtect": False,
        "origType": terms.venue_type,
        "priceMatch": "NONE",
        "selfTradePreventionMode": "NONE",
        "goodTillDate": 0,
        "updateTime": order.updated_ms,
    }
    if inverse:
        view["pair"] = market.base + market.quote
    if query:
        view["time"] = order.created_ms
    return view


def acknowledged(view: dict[str, Any]) -> dict[str, Any]:
    """The same order as ``newOrderRespType=ACK`` shows it: taken, and nothing said of fills."""
    nothing = {"executedQty": "0", "cumQty": "0", "cumQuote": "0", "cumBase": "0", "avgPrice": "0.00"}
    return {**view, "status": "NEW", **nothing}


def algo_order_view(order: Order) -> dict[str, Any]:
    """A conditional order of the algo service."""
    terms, market, trigger = order.terms, order.terms.market, order.terms.trigger
    trailing = trigger is not None and trigger.callback_rate is not None
    return {
        "algoId": order.order_id,
        "clientAlgoId": terms.client_id,
        "algoType": "CONDITIONAL",
        "orderType": terms.venue_type,
        "symbol": market.symbol,
        "side": terms.side.value.upper(),
        "positionSide": LEG[terms.leg],
        "timeInForce": TIME_IN_FORCE[terms.time_in_force],
        "quantity": quantity(market, order.quantity),
        "algoStatus": STATUS[order.status],
        "actualOrderId": "" if order.child_id is None else str(order.child_id),
        "actualPrice": "0.00000",
        "triggerPrice": price(market, terms.trigger_price),
        "price": price(market, terms.price),
        "icebergQuantity": None,
        "tpTriggerPrice": "0.000",
        "tpPrice": "0.000",
        "slTriggerPrice": "0.000",
        "slPrice": "0.000",
        "tpOrderType": "",
        "selfTradePreventionMode": "EXPIRE_MAKER",
        "workingType": "CONTRACT_PRICE",
        "priceMatch": "NONE",
        "closePosition": terms.close_position,
        "priceProtect": False,
        "reduceOnly": terms.reduce_only,
        "activatePrice": price(market, trigger.activation_price) if trailing and trigger is not None else None,
        "callbackRate": format(trigger.callback_rate * 100, "f")
        if trigger is not None and trigger.callback_rate is not None
        else None,
        "createTime": order.created_ms,
        "updateTime": order.updated_ms,
        "triggerTime": order.triggered_ms,
        "goodTillDate": 0,
    }


def spot_order_view(order: Order) -> dict[str, Any]:
    """A spot order, with what every answer about it has."""
    terms, market, trigger = order.terms, order.terms.market, order.terms.trigger
    view = {
        "symbol": market.symbol,
        "orderId": order.order_id,
        "orderListId": -1,
        "clientOrderId": terms.client_id,
        "price": amount(terms.price or ZERO),
        "origQty": amount(order.quantity),
        "executedQty": amount(order.filled),
        "origQuoteOrderQty": amount(terms.quote_quantity or ZERO),
        "cummulativeQuoteQty": amount(order.turnover),
        "status": STATUS[order.status],
        "timeInForce": "GTC" if terms.time_in_force is TimeInForce.POST_ONLY else TIME_IN_FORCE[terms.time_in_force],
        "type": terms.venue_type,
        "side": terms.side.value.upper(),
        "selfTradePreventionMode": "NONE",
    }
    if trigger is not None:
        view["stopPrice"] = amount(trigger.price or ZERO)
    return view


def spot_query_view(order: Order) -> dict[str, Any]:
    """A spot order as queries and open-order lists show it."""
    zero = amount(ZERO)
    return {
        "stopPrice": zero,
        **spot_order_view(order),
        "icebergQty": zero,
        "time": order.created_ms,
        "updateTime": order.updated_ms,
        "isWorking": not order.waits_for_trigger,
        "workingTime": order.created_ms,
    }


def spot_answer_view(order: Order, response_type: str) -> dict[str, Any]:
    """Answer to a new spot order: ``ACK``, ``RESULT`` or ``FULL``."""
    names = ("symbol", "orderId", "orderListId", "clientOrderId")
    view = spot_order_view(order)
    acknowledgement = {name: view[name] for name in names} | {"transactTime": order.updated_ms}
    if response_type == "ACK":
        return acknowledgement
    result = {**view, "transactTime": order.updated_ms, "workingTime": order.created_ms}
    if response_type == "RESULT":
        return result
    fills = [
        {
            "price": amount(fill.price),
            "qty": amount(fill.quantity),
            "commission": amount(fill.fee),
            "commissionAsset": fill.fee_asset,
            "tradeId": fill.trade_id,
        }
        for fill in order.fills
    ]
    return {**result, "fills": fills}


def margin_view(view: dict[str, Any]) -> dict[str, Any]:
    """A spot view as the margin endpoints show it."""
    return {name: value for name, value in view.items() if name != "orderListId"} | {"isIsolated": False}


def default_response_type(order: Order) -> str:
    """Spot answers market and limit orders in full, others with an acknowledgement, unless told otherwise."""
    return "FULL" if order.terms.venue_type in ("MARKET", "LIMIT") else "ACK"
