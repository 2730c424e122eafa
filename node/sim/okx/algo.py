"""The algo book: placing, cancelling, listing, one order type at a time.

Only ``conditional`` and ``oco`` are listed together; every other type needs a request of its own, and a list without a
type does not exist. Ten are cancelled at once. Sources: "Algo trading" of the API v5 documentation.
"""

from __future__ import annotations

from typing import Any

from node.sim.accounts import Account
from node.sim.market import Market
from node.sim.matching import MatchingCore
from node.sim.okx.algo_entry import read_algo
from node.sim.okx.calls import Answer, Call, Rows, row_by_row
from node.sim.okx.errors import OkxError, refusal, wrong
from node.sim.okx.order_views import algo_view
from node.sim.okx.params import Params
from node.sim.orders import Book, Order, Origin
from node.sim.refusals import Reason

CANCELS = 10
TOGETHER = frozenset({"conditional", "oco"})
LISTED = TOGETHER | {"trigger", "move_order_stop", "iceberg", "smart_iceberg", "twap", "chase"}
FAILED = {"algoId": "", "clOrdId": "clOrdId", "algoClOrdId": "algoClOrdId", "tag": "tag"}
FAILED_CANCEL = {"algoId": "algoId", "algoClOrdId": "algoClOrdId", "clOrdId": "", "tag": ""}


def place_algo(call: Call) -> Answer:
    """``POST /api/v5/trade/order-algo``."""
    return row_by_row([call.params], lambda row: _place(call, row), FAILED)


def cancel_algos(call: Call) -> Answer:
    """``POST /api/v5/trade/cancel-algos``."""
    if len(call.rows) > CANCELS:
        raise OkxError("50025", f"Parameter algoId count exceeds the limit {CANCELS}.")
    return row_by_row(call.rows, lambda row: _cancel(call, row), FAILED_CANCEL)


def pending_algos(call: Call) -> Rows:
    """``GET /api/v5/trade/orders-algo-pending``: a page of one type's orders that wait."""
    wanted = frozenset(call.params.required("ordType").split(","))
    if not wanted <= LISTED or (len(wanted) > 1 and not wanted <= TOGETHER):
        raise wrong("ordType")
    algo_id = call.params.integer("algoId")
    waiting = [
        order
        for order in call.account.open_orders.values()
        if order.terms.book is Book.ALGO
        and order.terms.venue_type in wanted
        and algo_id in (None, order.order_id)
        and call.wanted(order.terms.market)
    ]
    return [_view(call, order) for order in call.page(waiting)]


def query_algo(call: Call) -> Rows:
    """``GET /api/v5/trade/order-algo``, by ``algoId`` or ``algoClOrdId``."""
    order_id, client_id = call.params.integer("algoId"), call.params.text("algoClOrdId")
    if order_id is None and not client_id:
        raise OkxError("50015", "Either parameter algoId or algoClOrdId is required")
    for order in reversed(call.account.orders.values()):
        named = order.order_id == order_id or (order_id is None and order.terms.client_id == client_id)
        if named and order.terms.book is Book.ALGO:
            return [_view(call, order)]
    raise OkxError("51603", "Order does not exist")


def end_with_position(core: MatchingCore, account: Account, market: Market) -> None:
    """A position was closed: take-profits and stop-losses that belong to it end, all others stay."""
    for order in account.resting(market.product, market.symbol, Book.ALGO):
        terms = order.terms
        belongs = terms.close_position or terms.extras.get("cxlOnClosePos") == "true"
        if belongs and not account.quantity(market, terms.leg):
            core.cancel(account, order, by=Origin.SEED)


def _place(call: Call, row: Params) -> dict[str, Any]:
    order = call.place(read_algo(call, row))
    names = {name: row.text(name) for name in ("clOrdId", "algoClOrdId", "tag")}
    return {"algoId": str(order.order_id), **names}


def _cancel(call: Call, row: Params) -> dict[str, Any]:
    symbol = call.listing(row).market.symbol
    if "algoId" not in row and "algoClOrdId" not in row:
        raise OkxError("50015", "Either parameter algoId or algoClOrdId is required")
    order = call.find(Book.ALGO, symbol, row.integer("algoId"), row.text("algoClOrdId"))
    if order is None:
        raise refusal(Reason.UNKNOWN_ORDER)
    call.cancel(order)
    return {"algoId": str(order.order_id), "algoClOrdId": row.text("algoClOrdId"), "clOrdId": "", "tag": ""}


def _view(call: Call, order: Order) -> dict[str, Any]:
    return algo_view(call.account, call.mode, order, call.core.listing(order.terms.market))
