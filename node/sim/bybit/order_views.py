"""Orders and executions in Bybit's JSON, the same over HTTP and in streams.

Sources: Get Open & Closed Orders, the order and execution topics, of the V5 documentation; what ccxt 4.5.90 reads.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from node.sim.accounts import Account
from node.sim.bybit.ids import execution_id, link_id, order_id
from node.sim.bybit.markets import category_of
from node.sim.bybit.numbers import plain, price, quantity
from node.sim.market import ZERO, Product
from node.sim.orders import Fill, Leg, Order, OrderKind, OrderStatus, Side, TimeInForce

INDEX: Final = {Leg.NET: 0, Leg.LONG: 1, Leg.SHORT: 2}
SIDE: Final = {Side.BUY: "Buy", Side.SELL: "Sell"}
TIME_IN_FORCE: Final = {
    TimeInForce.GTC: "GTC",
    TimeInForce.IOC: "IOC",
    TimeInForce.FOK: "FOK",
    TimeInForce.POST_ONLY: "PostOnly",
}
WHOLE: Final = frozenset({"StopLoss", "TakeProfit"})
CREATED_BY: Final = {"Stop": "CreateByStopOrder", "StopLoss": "CreateByStopLoss", "TakeProfit": "CreateByTakeProfit"}


def status_word(order: Order) -> str:
    """``orderStatus``. Spot alone says that a cancelled order has traded before."""
    if order.is_open:
        if order.waits_for_trigger:
            return "Untriggered"
        return "New" if order.status is OrderStatus.NEW else "PartiallyFilled"
    if order.status is OrderStatus.FILLED:
        return "Filled"
    if order.status is OrderStatus.REJECTED:
        return "Rejected"
    if order.waits_for_trigger:
        return "Deactivated"
    spot = order.terms.market.product is Product.SPOT
    return "PartiallyFilledCanceled" if spot and order.filled else "Cancelled"


def stop_order_type(order: Order) -> str:
    """``stopOrderType``: stops of the whole position are told from other conditional orders."""
    terms = order.terms
    if terms.trigger is None:
        return ""
    if not terms.market.is_contract:
        return terms.venue_type if terms.venue_type == "tpslOrder" else "Stop"
    return terms.venue_type if terms.close_position else "Stop"


def order_filter(order: Order) -> str:
    """The ``orderFilter`` that finds the order."""
    if order.terms.trigger is None or order.triggered:
        return "Order"
    return "tpslOrder" if stop_order_type(order) == "tpslOrder" else "StopOrder"


def order_view(account: Account, order: Order, mark: Decimal) -> dict[str, Any]:
    """An order. A stop of the whole position is as large as that is now."""
    terms, market, trigger = order.terms, order.terms.market, order.terms.trigger
    contract = market.is_contract
    size = order.quantity
    if terms.close_position and order.waits_for_trigger:
        size = abs(account.quantity(market, terms.leg))
    by_value = terms.quote_quantity is not None and not contract
    left = size - order.filled if order.is_open else ZERO
    worth = sum((market.value(fill.quantity, fill.price) for fill in order.fills), ZERO)
    fees = sum((fill.fee for fill in order.fills), ZERO)
    view: dict[str, Any] = {
        "orderId": order_id(order),
        "orderLinkId": link_id(order),
        "parentOrderLinkId": "",
        "blockTradeId": "",
        "symbol": market.symbol,
        "price": _shown_price(order, mark),
        "qty": plain(terms.quote_quantity or ZERO) if by_value else quantity(market, size),
        "side": SIDE[terms.side],
        "isLeverage": "" if contract else str(int(terms.borrows)),
        "positionIdx": INDEX[terms.leg],
        "orderStatus": status_word(order),
        "cancelType": _cancel_type(order),
        "rejectReason": _reject_reason(order),
        "avgPrice": plain(order.average_price) if order.fills else "",
        "leavesQty": quantity(market, left),
        "leavesValue": plain(market.value(left, terms.price or mark)) if left else "0",
        "cumExecQty": quantity(market, order.filled),
        "cumExecValue": plain(worth),
        "cumExecFee": plain(fees),
        "timeInForce": TIME_IN_FORCE[terms.time_in_force],
        "orderType": "Market" if terms.kind is OrderKind.MARKET else "Limit",
        "stopOrderType": stop_order_type(order),
        "orderIv": "",
        "triggerPrice": price(market, trigger.price) if trigger is not None else "",
        "takeProfit": "",
        "stopLoss": "",
        "tpTriggerBy": "",
        "slTriggerBy": "",
        "triggerDirection": _direction(order),
        "triggerBy": "LastPrice" if trigger is not None and contract else "",
        "reduceOnly": terms.only_reduces,
        "closeOnTrigger": terms.close_position,
        "placeType": "",
        "smpType": "None",
        "smpGroup": 0,
        "smpOrderId": "",
        "tpLimitPrice": "",
        "slLimitPrice": "",
        "slippageToleranceType": "UNKNOWN",
        "slippageTolerance": "",
        "createdTime": str(order.created_ms),
        "updatedTime": str(order.updated_ms),
        "cumFeeDetail": {order.fills[-1].fee_asset: plain(fees)} if order.fills else {},
        "extraFees": "",
    }
    if contract:  # spot orders have neither of the first two; ccxt tells the kind of market by it
        word = stop_order_type(order)
        view |= {
            "tpslMode": "Full" if word in WHOLE else "",
            "createType": CREATED_BY.get(word, "CreateByUser"),
            "lastPriceOnCreated": price(market, mark),
        }
    else:
        unit = ("quoteCoin" if by_value else "baseCoin") if terms.kind is OrderKind.MARKET else ""
        view |= {"marketUnit": unit, "basePrice": price(market, mark), "ocoTriggerBy": "OcoTriggerByUnknown"}
    return view


def execution_view(order: Order, fill: Fill, mark: Decimal) -> dict[str, Any]:
    """A trade, as the execution topic shows it."""
    terms, market = order.terms, order.terms.market
    closes = terms.only_reduces or bool(fill.profit)
    return {
        "category": category_of(market),
        "symbol": market.symbol,
        "closedSize": quantity(market, fill.quantity) if closes else "0",
        "execFee": plain(fill.fee),
        "execId": execution_id(fill.trade_id),
        "execPrice": price(market, fill.price),
        "execQty": quantity(market, fill.quantity),
        "execType": "Trade",
        "execValue": plain(market.value(fill.quantity, fill.price)),
        "feeRate": plain(market.fee_rate),
        "feeCurrency": fill.fee_asset,
        "execPnl": plain(fill.profit),
        "tradeIv": "",
        "markIv": "",
        "blockTradeId": "",
        "markPrice": price(market, mark),
        "indexPrice": "",
        "underlyingPrice": "",
        "leavesQty": quantity(market, order.remaining),
        "orderId": order_id(order),
        "orderLinkId": link_id(order),
        "orderPrice": _shown_price(order, mark),
        "orderQty": quantity(market, order.quantity),
        "orderType": "Market" if terms.kind is OrderKind.MARKET else "Limit",
        "stopOrderType": stop_order_type(order) or "UNKNOWN",
        "side": SIDE[terms.side],
        "execTime": str(order.updated_ms),
        "isLeverage": "0" if market.is_contract else str(int(terms.borrows)),
        "isMaker": False,
        "seq": fill.trade_id,
        "marketUnit": "",
        "createType": CREATED_BY.get(stop_order_type(order), "CreateByUser"),
    }


def _shown_price(order: Order, mark: Decimal) -> str:
    """A market order of a contract shows the limit that protects it from slippage, not nothing."""
    terms, market = order.terms, order.terms.market
    if terms.price is not None:
        return price(market, terms.price)
    if not market.is_contract or order.waits_for_trigger:
        return "0"
    return price(market, market.whole_ticks(mark * (market.band_up if terms.side is Side.BUY else market.band_down)))


def _direction(order: Order) -> int:
    trigger = order.terms.trigger
    if trigger is None or not order.terms.market.is_contract:
        return 0
    return 1 if trigger.fires_at_or_above else 2


def _cancel_type(order: Order) -> str:
    if order.status is OrderStatus.CANCELLED:
        return "CancelByUser"
    if order.status is OrderStatus.EXPIRED:
        if order.terms.close_position:
            return "CancelByTpSlTsClear"
        if order.terms.only_reduces and order.terms.time_in_force is TimeInForce.GTC:
            return "CancelByReduceOnly"
    return "UNKNOWN"


def _reject_reason(order: Order) -> str:
    if order.status is OrderStatus.CANCELLED:
        return "EC_PerCancelRequest"
    if order.status is OrderStatus.REJECTED:
        return "EC_Others"
    if order.status is not OrderStatus.EXPIRED:
        return "EC_NoError"
    reasons = {
        TimeInForce.POST_ONLY: "EC_PostOnlyWillTakeLiquidity",
        TimeInForce.FOK: "EC_CancelForNoFullFill",
        TimeInForce.IOC: "EC_NoImmediateQtyToFill",
    }
    return reasons.get(order.terms.time_in_force, "EC_PerCancelRequest")
