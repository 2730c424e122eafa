"""Orders of USD-M and COIN-M futures."""

from __future__ import annotations

from typing import Any

from node.sim.binance.calls import Call, Params
from node.sim.binance.errors import BinanceError
from node.sim.binance.order_entry import contract_order, order_reference
from node.sim.binance.order_views import acknowledged, contract_order_view
from node.sim.orders import Book, Order

BATCH_PLACE_MAX, BATCH_CANCEL_MAX = 5, 10
ALL_CANCELLED = {"code": 200, "msg": "The operation of cancel all open order is done."}
CANCEL_LISTS = (("orderIdList", "orderidlist"), ("origClientOrderIdList", "origclientorderidlist"))


def place_order(call: Call) -> dict[str, Any]:
    """``POST …/order``."""
    return _place(call, call.params)


def place_batch(call: Call) -> list[dict[str, Any]]:
    """``POST …/batchOrders``: each order stands for itself; errors are elements of the answer."""
    batch = call.params.json_list("batchOrders")
    if not batch or len(batch) > BATCH_PLACE_MAX:
        raise BinanceError(-4082, "Invalid number of batch place orders.")
    answers = []
    for entry in batch:
        if not isinstance(entry, dict):
            raise BinanceError(-1130, "Data sent for parameter 'batchOrders' is not valid.")
        try:
            answers.append(_place(call, Params(entry)))
        except BinanceError as error:
            answers.append(error.document())
    return answers


def query_order(call: Call) -> dict[str, Any]:
    """``GET …/order``."""
    order = find_order(call, call.params)
    if order is None:
        raise BinanceError(-2013, "Order does not exist.")
    return contract_order_view(order, query=True)


def cancel_order(call: Call) -> dict[str, Any]:
    """``DELETE …/order``."""
    return _cancel(call, call.params)


def cancel_batch(call: Call) -> list[dict[str, Any]]:
    """``DELETE …/batchOrders``, by ids or by client ids."""
    symbol = call.params.required("symbol")
    by_id, by_client_id = (call.params.json_list(*names) for names in CANCEL_LISTS)
    names = [{"orderId": value} for value in by_id or ()] or [
        {"origClientOrderId": value} for value in by_client_id or ()
    ]
    if not names or len(names) > BATCH_CANCEL_MAX:
        raise BinanceError(-1130, "Data sent for parameter 'orderIdList' is not valid.")
    answers = []
    for name in names:
        try:
            answers.append(_cancel(call, Params({"symbol": symbol, **name})))
        except BinanceError as error:
            answers.append(error.document())
    return answers


def open_orders(call: Call) -> list[dict[str, Any]]:
    """``GET …/openOrders``; COIN-M can also name a pair."""
    symbol, pair = call.optional_symbol(), call.params.text("pair")
    resting = call.account.resting(call.product, symbol)
    return [
        contract_order_view(order, query=True)
        for order in resting
        if call.visible(order.terms.market) and pair in ("", order.terms.market.base + order.terms.market.quote)
    ]


def cancel_open_orders(call: Call) -> dict[str, Any]:
    """``DELETE …/allOpenOrders`` of one symbol; the algo book is untouched."""
    call.cancel_all(call.params.required("symbol"), Book.ORDERS)
    return ALL_CANCELLED


def find_order(call: Call, params: Params) -> Order | None:
    """The order that *params* name, open or not."""
    market = call.listing(params.required("symbol")).market
    order_id, client_id = order_reference(params)
    if order_id is None:
        return call.account.by_client_id.get((market.key, Book.ORDERS, client_id))
    order = call.account.orders.get(order_id)
    if order is None or order.terms.market is not market or order.terms.book is not Book.ORDERS:
        return None
    return order


def _place(call: Call, params: Params) -> dict[str, Any]:
    order = call.place(contract_order(call, params))
    view = contract_order_view(order)
    return view if params.text("newOrderRespType", "ACK") == "RESULT" else acknowledged(view)


def _cancel(call: Call, params: Params) -> dict[str, Any]:
    order = find_order(call, params)
    if order is None:
        raise BinanceError(-2011, "Unknown order sent.")
    return contract_order_view(call.cancel(order))
