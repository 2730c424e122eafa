"""Orders: to place, to cancel, to look for. Answers to deeds say no more than the ids.

Sources: the "Trade" part of the V5 documentation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from node.sim.bybit.calls import OPTIONS, Call, Params
from node.sim.bybit.errors import BybitError, refusal, wrong
from node.sim.bybit.ids import link_id, nameless, order_id, order_number
from node.sim.bybit.limits import too_many
from node.sim.bybit.order_entry import order_terms
from node.sim.bybit.order_views import order_filter, order_view, stop_order_type
from node.sim.bybit.pages import cursor, listed, page
from node.sim.market import Product
from node.sim.orders import Order, OrderKind, OrderTerms
from node.sim.refusals import Reason

PAGE_DEFAULT, PAGE_MOST, CLOSED_MOST = 20, 50, 500
CANCEL_ALL_MOST: Final = 500
BATCH_MOST: Final = {Product.SPOT: 10, Product.LINEAR: 20, Product.INVERSE: 20}
FILTERS: Final = frozenset({"Order", "StopOrder", "tpslOrder", "OcoOrder", "BidirectionalTpslOrder", "OpenOrder"})


def create(call: Call) -> dict[str, Any]:
    """``POST /v5/order/create``."""
    return _names(_place(call, order_terms(call, call.traded(), call.params)))


def create_batch(call: Call) -> dict[str, Any]:
    """``POST /v5/order/create-batch``: each order stands for itself; errors are in a list beside the answer."""
    product = call.traded()

    def place(params: Params) -> dict[str, str]:
        order = _place(call, order_terms(call, product, params))
        return {**_names(order), "createAt": str(order.created_ms)}

    return _batch(call, product, place, created=True)


def cancel(call: Call) -> dict[str, Any]:
    """``POST /v5/order/cancel``."""
    return _names(_cancel(call, call.traded(), call.params))


def cancel_batch(call: Call) -> dict[str, Any]:
    """``POST /v5/order/cancel-batch``."""
    product = call.traded()
    return _batch(call, product, lambda params: _names(_cancel(call, product, params)), created=False)


def cancel_all(call: Call) -> dict[str, Any]:
    """``POST /v5/order/cancel-all`` of a symbol, else of a base coin, else of a settle coin.

    Without a filter it takes every kind of a contract's orders, and only the plain ones of spot.
    """
    product = call.traded()
    kind = call.params.text("orderFilter", "Order" if product is Product.SPOT else "")
    if kind and kind not in FILTERS:
        raise BybitError(170201, "Invalid orderFilter parameter") if product is Product.SPOT else wrong("orderFilter")
    chosen = _chooser(call, product, required=product is not Product.SPOT)
    only_plain_stops = call.params.text("stopOrderType") == "Stop"
    cancelled: list[Order] = []
    for order in call.account.resting(product):
        fits = kind in ("", "OpenOrder") or order_filter(order) == kind
        if not chosen(order) or not fits or (only_plain_stops and stop_order_type(order) != "Stop"):
            continue
        if len(cancelled) == CANCEL_ALL_MOST and product is not Product.SPOT:
            break
        try:
            cancelled.append(call.cancel(order))
        except BybitError:
            continue  # it ended some other way meanwhile
    return {"list": [_names(order) for order in cancelled], "success": "1"}


def realtime(call: Call) -> dict[str, Any]:
    """``GET /v5/order/realtime``: open orders of every kind, newest first; by id finished ones too."""
    product = call.product()
    if product is None:
        return listed(OPTIONS, [], "")
    named = "orderId" in call.params or "orderLinkId" in call.params
    if named:
        order = _find(call, product, call.params)
        found = [] if order is None else [order]
    else:
        chosen = _chooser(call, product, required=product is Product.LINEAR)
        closed = call.params.integer("openOnly", 0) == 1
        orders = [order for order in call.account.orders.values() if order.is_open is not closed]
        if closed:
            orders = orders[-CLOSED_MOST:]
        found = [order for order in orders if order.terms.market.product is product and chosen(order)]
    return _listed(call, product, found)


def history(call: Call) -> dict[str, Any]:
    """``GET /v5/order/history``: orders that have ended."""
    product = call.product()
    if product is None:
        return listed(OPTIONS, [], "")
    if "orderId" in call.params or "orderLinkId" in call.params:
        order = _find(call, product, call.params)
        found = [] if order is None or order.is_open else [order]
    else:
        chosen = _chooser(call, product, required=False)
        found = [o for o in call.account.orders.values() if o.terms.market.product is product and chosen(o)]
    return _listed(call, product, [order for order in found if not order.is_open])


def _place(call: Call, terms: OrderTerms) -> Order:
    """Place an order. One that only reduces and is too large for the market is split up, by the venue itself."""
    most, quantity = terms.market.max_market_quantity, terms.quantity
    first = terms
    rest = None
    if terms.kind is OrderKind.MARKET and terms.reduce_only and terms.trigger is None and quantity is not None:
        first = replace(terms, quantity=min(quantity, most))
        rest = quantity - most
    placed = call.place(first)
    while rest is not None and rest > 0:
        call.place(replace(terms, quantity=min(rest, most), client_id=nameless()))
        rest -= most
    return placed


def _batch(call: Call, product: Product, deed: Callable[[Params], dict[str, str]], *, created: bool) -> dict[str, Any]:
    entries = call.params.items("request")
    if not entries or len(entries) > BATCH_MOST[product]:
        raise BybitError(10001, "The number of orders in a batch is out of range")
    results, codes = [], []
    for number, entry in enumerate(entries):
        nothing = {"orderId": "", "orderLinkId": entry.text("orderLinkId"), **({"createAt": ""} if created else {})}
        try:
            if call.room is not None and number >= call.room:
                raise too_many()
            result, code = deed(entry), {"code": 0, "msg": "OK"}
        except BybitError as error:
            result, code = nothing, {"code": error.code, "msg": error.message}
        results.append({"category": str(product), "symbol": entry.text("symbol"), **result})
        codes.append(code)
    call.extra["list"] = codes
    return {"list": results}


def _cancel(call: Call, product: Product, params: Params) -> Order:
    market = call.listing(product, params.required("symbol")).market
    if "orderId" not in params and "orderLinkId" not in params:
        raise wrong("orderId", product)
    order = _find(call, product, params)
    kind = params.text("orderFilter", "Order")
    spot = product is Product.SPOT
    if order is None or order.terms.market is not market or (spot and order_filter(order) != kind):
        raise refusal(Reason.UNKNOWN_ORDER, product)
    return call.cancel(order)


def _find(call: Call, product: Product, params: Params) -> Order | None:
    """The order of an id, open or not; ``orderId`` counts before ``orderLinkId``."""
    if "orderId" in params:
        number = order_number(params.text("orderId"), product)
        order = call.account.orders.get(number) if number is not None else None
        return order if order is not None and order.terms.market.product is product else None
    name = params.text("orderLinkId")
    for ((kind, _), _, client_id), order in call.account.by_client_id.items():
        if kind is product and client_id == name:
            return order
    return None


def _chooser(call: Call, product: Product, *, required: bool) -> Callable[[Order], bool]:
    """Which orders a request is about: the first that is given of symbol, base coin and settle coin."""
    params = call.params
    if "symbol" in params:
        market = call.listing(product, params.text("symbol")).market
        return lambda order: order.terms.market is market
    if "baseCoin" in params:
        return lambda order: order.terms.market.base == params.text("baseCoin")
    if "settleCoin" in params and product is not Product.SPOT:
        return lambda order: order.terms.market.settle == params.text("settleCoin")
    if required:
        raise BybitError(10001, "Missing some parameters that must be filled in, symbol or settleCoin or baseCoin")
    return lambda _: True


def _listed(call: Call, product: Product, orders: list[Order]) -> dict[str, Any]:
    kind = call.params.text("orderFilter")
    if kind and kind not in FILTERS:
        raise wrong("orderFilter", product)
    shown = [order for order in orders if call.visible(order.terms.market) and kind in ("", order_filter(order))]
    shown.sort(key=lambda order: -order.order_id)

    def place(name: str) -> int | None:
        number = order_number(name, product)
        return None if number is None else -number

    rows, _ = page(shown, call.params, default=PAGE_DEFAULT, most=PAGE_MOST, name=order_id, place=place)
    views = [order_view(call.account, order, call.core.listing(order.terms.market).mark) for order in rows]
    # A cursor follows every page with rows on it, the last one too.
    return listed(str(product), views, cursor(rows, lambda order: f"{order_id(order)}:{order.created_ms}"))


def _names(order: Order) -> dict[str, str]:
    return {"orderId": order_id(order), "orderLinkId": link_id(order)}
