"""The algo service: conditional orders of futures, in a book of their own since the end of 2025."""

from __future__ import annotations

from typing import Any

from node.sim.binance.calls import Call
from node.sim.binance.errors import BinanceError
from node.sim.binance.futures import ALL_CANCELLED
from node.sim.binance.order_entry import algo_order, algo_reference
from node.sim.binance.order_views import algo_order_view
from node.sim.orders import Book, Order


def place_algo_order(call: Call) -> dict[str, Any]:
    """``POST …/algoOrder``."""
    return algo_order_view(call.place(algo_order(call, call.params)))


def query_algo_order(call: Call) -> dict[str, Any]:
    """``GET …/algoOrder``, by ``algoId`` or ``clientAlgoId``."""
    order = _find(call)
    if order is None:
        raise BinanceError(-2013, "Order does not exist.")
    return algo_order_view(order)


def cancel_algo_order(call: Call) -> dict[str, Any]:
    """``DELETE …/algoOrder``. The code is a string here, unlike anywhere else."""
    order = _find(call)
    if order is None:
        raise BinanceError(-2011, "Unknown order sent.")
    call.cancel(order)
    return {"algoId": order.order_id, "clientAlgoId": order.terms.client_id, "code": "200", "msg": "success"}


def open_algo_orders(call: Call) -> list[dict[str, Any]]:
    """``GET …/openAlgoOrders``."""
    resting = call.account.resting(call.product, call.optional_symbol(), Book.ALGO)
    return [algo_order_view(order) for order in resting if call.visible(order.terms.market)]


def cancel_open_algo_orders(call: Call) -> dict[str, Any]:
    """``DELETE …/algoOpenOrders`` of one symbol."""
    call.cancel_all(call.params.required("symbol"), Book.ALGO)
    return ALL_CANCELLED


def _find(call: Call) -> Order | None:
    order_id, client_id = algo_reference(call.params)
    if order_id is not None:
        order = call.account.orders.get(order_id)
        return order if order is not None and order.terms.book is Book.ALGO else None
    for (key, book, name), order in call.account.by_client_id.items():
        if book is Book.ALGO and name == client_id and key[0] is call.product:
            return order
    return None
