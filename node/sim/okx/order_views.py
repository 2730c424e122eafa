"""Orders in OKX's JSON, as lists, queries and streams show them. Every value is a string; what does not apply is empty.

Sources: "Order list", "Order details", "Algo order list" and the channels of both in the API v5 documentation.
"""

from __future__ import annotations

from typing import Any

from node.sim.accounts import Account
from node.sim.market import ZERO, Listing
from node.sim.okx.markets import instrument_type
from node.sim.okx.modes import AccountMode
from node.sim.okx.numbers import money, plain
from node.sim.okx.order_entry import CLIENT_ID
from node.sim.orders import Fill, Order, OrderKind, OrderStatus, Origin, Side, TimeInForce, TriggerTerms

STATES = {
    OrderStatus.NEW: "live",
    OrderStatus.PARTIALLY_FILLED: "partially_filled",
    OrderStatus.FILLED: "filled",
    OrderStatus.CANCELLED: "canceled",
    OrderStatus.EXPIRED: "canceled",
    OrderStatus.REJECTED: "order_failed",
    OrderStatus.FINISHED: "effective",
}
_TYPES = {
    TimeInForce.GTC: "limit",
    TimeInForce.POST_ONLY: "post_only",
    TimeInForce.FOK: "fok",
    TimeInForce.IOC: "ioc",
}
_CANCEL_SOURCES = {TimeInForce.FOK: "13", TimeInForce.IOC: "14", TimeInForce.POST_ONLY: "31"}


def order_view(account: Account, mode: AccountMode, order: Order) -> dict[str, Any]:
    """One order of ``orders-pending`` or ``trade/order``."""
    terms, market = order.terms, order.terms.market
    fill = order.fills[-1] if order.fills else None
    fee = sum((each.fee for each in order.fills), start=ZERO)
    return {
        "accFillSz": plain(order.filled),
        "algoClOrdId": "",
        "algoId": "",
        "attachAlgoClOrdId": "",
        "attachAlgoOrds": [],
        "avgPx": money(order.average_price) if order.filled else "",
        "cTime": str(order.created_ms),
        "cancelSource": _cancel_source(order),
        "cancelSourceReason": "",
        "category": "normal",
        "ccy": "",
        "clOrdId": shown(terms.client_id),
        "fee": money(-fee) if fee else "0",
        "feeCcy": fill.fee_asset if fill is not None else market.settle if market.is_contract else market.base,
        "fillPx": plain(fill.price) if fill is not None else "",
        "fillSz": plain(fill.quantity) if fill is not None else "0",
        "fillTime": str(order.updated_ms) if fill is not None else "",
        "instId": market.symbol,
        "instType": instrument_type(market),
        "isTpLimit": "false",
        "lever": str(account.position_settings(market).leverage) if market.is_contract else "",
        "linkedAlgoOrd": {"algoId": ""},
        "ordId": str(order.order_id),
        "ordType": "market" if terms.kind is OrderKind.MARKET else _TYPES[terms.time_in_force],
        "pnl": money(sum((each.profit for each in order.fills), start=ZERO)),
        "posSide": _pos_side(order),
        "px": plain(terms.price) if terms.kind is OrderKind.LIMIT else "",
        "pxType": "",
        "pxUsd": "",
        "pxVol": "",
        "quickMgnType": "",
        "rebate": "0",
        "rebateCcy": market.settle,
        "reduceOnly": "true" if terms.only_reduces and market.is_contract else "false",
        "side": terms.side.value,
        "slOrdPx": "",
        "slTriggerPx": "",
        "slTriggerPxType": "",
        "source": "7" if terms.origin is Origin.TRIGGER else "",
        "state": STATES[order.status],
        "stpId": "",
        "stpMode": "cancel_maker",
        "sz": _size(order),
        "tag": terms.extras.get("tag", ""),
        "tdMode": _trade_mode(account, mode, order),
        "tgtCcy": _unit(order),
        "tpOrdPx": "",
        "tpTriggerPx": "",
        "tpTriggerPxType": "",
        "tradeId": str(fill.trade_id) if fill is not None else "",
        "tradeQuoteCcy": market.quote,
        "uTime": str(order.updated_ms),
    }


def order_push(
    account: Account, mode: AccountMode, order: Order, fill: Fill | None, listing: Listing
) -> dict[str, Any]:
    """One order of the ``orders`` channel, in the moment of *fill* if that is what happened."""
    view = order_view(account, mode, order)
    worth = money(order.terms.market.notional(order.quantity, order.terms.price or listing.mark))
    if fill is None:
        view |= {"fillPx": "", "fillSz": "0", "fillTime": "", "tradeId": ""}
    return {
        **view,
        "amendResult": "",
        "amendSource": "",
        "code": "0",
        "execType": "T" if fill is not None else "",
        "fillFee": money(-fill.fee) if fill is not None else "0",
        "fillFeeCcy": fill.fee_asset if fill is not None else "",
        "fillNotionalUsd": worth if fill is not None else "",
        "fillPnl": money(fill.profit) if fill is not None else "0",
        "lastPx": plain(listing.mark),
        "msg": "",
        "notionalUsd": worth,
        "reqId": "",
    }


def algo_view(account: Account, mode: AccountMode, order: Order, listing: Listing) -> dict[str, Any]:
    """One order of ``orders-algo-pending``, ``trade/order-algo`` or the ``orders-algo`` channel."""
    terms, market, trigger = order.terms, order.terms.market, order.terms.trigger
    is_trigger, trailing = terms.venue_type == "trigger", terms.venue_type == "move_order_stop"
    stops = {} if is_trigger or trailing else _stops(order)
    price = "-1" if terms.kind is OrderKind.MARKET else plain(terms.price)
    child = "" if order.child_id is None else str(order.child_id)
    return {
        "activePx": plain(trigger.activation_price) if trailing and trigger is not None else "",
        "actualPx": "",
        "actualSide": "",
        "actualSz": "0" if not child else plain(order.quantity),
        "algoClOrdId": shown(terms.client_id),
        "algoId": str(order.order_id),
        "amendPxOnTriggerType": "0",
        "attachAlgoOrds": [],
        "cTime": str(order.created_ms),
        "callbackRatio": plain(trigger.callback_rate) if trailing and trigger is not None else "",
        "callbackSpread": terms.extras.get("callbackSpread", ""),
        "ccy": "",
        "clOrdId": terms.extras.get("clOrdId", ""),
        "closeFraction": "1" if terms.close_position else "",
        "failCode": "51169" if order.status is OrderStatus.REJECTED else "",
        "instId": market.symbol,
        "instType": instrument_type(market),
        "isTradeBorrowMode": "",
        "last": plain(listing.mark),
        "lever": str(account.position_settings(market).leverage) if market.is_contract else "",
        "linkedOrd": {"ordId": ""},
        "moveTriggerPx": _trailing_price(order, listing) if trailing else "",
        "ordId": child,
        "ordIdList": [child] if child else [],
        "ordPx": price if is_trigger else "",
        "ordType": terms.venue_type,
        "posSide": _pos_side(order),
        "pxLimit": "",
        "pxSpread": "",
        "pxVar": "",
        "quickMgnType": "",
        "reduceOnly": "true" if terms.only_reduces and market.is_contract else "false",
        "side": terms.side.value,
        **{f"{kind}{name}": "" for kind in ("sl", "tp") for name in ("OrdPx", "TriggerPx", "TriggerPxType")},
        **{name: value.replace("price", price) for name, value in stops.items()},
        "state": STATES[order.status],
        "sz": "" if terms.close_position else plain(order.quantity),
        "szLimit": "",
        "tag": terms.extras.get("tag", ""),
        "tdMode": _trade_mode(account, mode, order),
        "tgtCcy": _unit(order),
        "timeInterval": "",
        "triggerPx": plain(trigger.price) if is_trigger and trigger is not None else "",
        "triggerPxType": "last" if is_trigger else "",
        "triggerTime": str(order.triggered_ms) if order.triggered_ms else "",
        "tradeQuoteCcy": market.quote,
        "uTime": str(order.updated_ms),
    }


def shown(client_id: str) -> str:
    """A client id as it was sent; empty if the client has sent none."""
    return client_id if CLIENT_ID.match(client_id) else ""


def stop_kind(order: Order, trigger: TriggerTerms) -> str:
    """``sl`` or ``tp``: a buy that waits for a rise stops a loss, and so does a sale that waits for a fall."""
    return "sl" if trigger.fires_at_or_above == (order.terms.side is Side.BUY) else "tp"


def _stops(order: Order) -> dict[str, str]:
    stops: dict[str, str] = {}
    for trigger in (order.terms.trigger, order.terms.other_trigger):
        if trigger is not None:
            kind = stop_kind(order, trigger)
            stops |= {f"{kind}TriggerPx": plain(trigger.price), f"{kind}TriggerPxType": "last", f"{kind}OrdPx": "price"}
    return stops


def _trailing_price(order: Order, listing: Listing) -> str:
    trigger, best = order.terms.trigger, order.best_price
    if trigger is None or trigger.callback_rate is None or best is None:
        return ""
    away = 1 + trigger.callback_rate if trigger.fires_at_or_above else 1 - trigger.callback_rate
    return plain(listing.market.whole_ticks(best * away))


def _pos_side(order: Order) -> str:
    return order.terms.leg.value if order.terms.market.is_contract else ""


def _size(order: Order) -> str:
    quote = order.terms.quote_quantity
    return plain(order.quantity if quote is None else quote)


def _unit(order: Order) -> str:
    terms = order.terms
    if terms.market.is_contract or terms.kind is not OrderKind.MARKET:
        return ""
    return "base_ccy" if terms.quote_quantity is None else "quote_ccy"


def _trade_mode(account: Account, mode: AccountMode, order: Order) -> str:
    market = order.terms.market
    if "tdMode" in order.terms.extras:
        return order.terms.extras["tdMode"]
    if not market.is_contract:
        return "cash" if mode.single else "cross"
    return "isolated" if account.position_settings(market).isolated else "cross"


def _cancel_source(order: Order) -> str:
    if order.status is OrderStatus.EXPIRED:
        return _CANCEL_SOURCES.get(order.terms.time_in_force, "17" if order.terms.only_reduces else "0")
    if order.status is OrderStatus.CANCELLED:
        return "31" if order.terms.time_in_force is TimeInForce.POST_ONLY and not order.fills else "1"
    return ""
