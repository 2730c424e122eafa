"""Orders: placing, cancelling, listing; closing a position; the countdown that cancels everything.

Batches take twenty orders, and answer row by row. ``close-position`` closes at market whatever size there is, up to the
market order's maximum, and is refused while orders that would close rest, unless it may cancel them; it gives no order
id. Sources: "Trade" of the API v5 documentation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from node.sim.market import Market
from node.sim.okx.calls import Answer, Call, Rows, row_by_row
from node.sim.okx.errors import OkxError, refusal, wrong
from node.sim.okx.order_entry import read_client_id, read_order
from node.sim.okx.order_views import order_view, shown
from node.sim.okx.params import Params
from node.sim.orders import Book, Leg, Order, OrderKind, OrderTerms, Side
from node.sim.refusals import Reason

BATCH = 20
FAILED = {"clOrdId": "clOrdId", "ordId": "", "tag": "tag"}
FAILED_CANCEL = {"clOrdId": "clOrdId", "ordId": "ordId"}
COUNTDOWN_S = (10, 120)
SECOND_S = 1.0  # how long the countdown's second lasts


def place_order(call: Call) -> Answer:
    """``POST /api/v5/trade/order``."""
    return row_by_row([call.params], lambda row: _place(call, row), FAILED)


def place_orders(call: Call) -> Answer:
    """``POST /api/v5/trade/batch-orders``."""
    if len(call.rows) > BATCH:
        raise OkxError("51111", f"Maximum {BATCH} orders can be placed in bulk.")
    return row_by_row(call.rows, lambda row: _place(call, row), FAILED)


def cancel_order(call: Call) -> Answer:
    """``POST /api/v5/trade/cancel-order``."""
    return row_by_row([call.params], lambda row: _cancel(call, row), FAILED_CANCEL)


def cancel_orders(call: Call) -> Answer:
    """``POST /api/v5/trade/cancel-batch-orders``."""
    if len(call.rows) > BATCH:
        raise OkxError("51406", f"Canceled - order count exceeds the limit {BATCH}.")
    return row_by_row(call.rows, lambda row: _cancel(call, row), FAILED_CANCEL)


def pending_orders(call: Call) -> Rows:
    """``GET /api/v5/trade/orders-pending``: a page of orders that rest, without algo orders."""
    wanted, state = call.params.words("ordType"), call.params.text("state")
    views = []
    resting = [order for order in call.account.open_orders.values() if order.terms.book is Book.ORDERS]
    for order in call.page(order for order in resting if call.wanted(order.terms.market)):
        view = order_view(call.account, call.mode, order)
        if (not wanted or view["ordType"] in wanted) and state in ("", view["state"]):
            views.append(view)
    return views


def query_order(call: Call) -> Rows:
    """``GET /api/v5/trade/order``, by ``ordId`` or ``clOrdId``; of several with one client id, the latest."""
    order = _find(call, call.params)
    if order is None:
        raise OkxError("51603", "Order does not exist")
    return [order_view(call.account, call.mode, order)]


def close_position(call: Call) -> Rows:
    """``POST /api/v5/trade/close-position``."""
    params = call.params
    market, leg = call.listing(params).market, _leg_to_close(call)
    mode, held = params.required("mgnMode"), call.account.quantity(market, leg)
    if mode not in ("cross", "isolated"):
        raise wrong("mgnMode")
    if not held or (mode == "isolated") != call.account.position_settings(market).isolated:
        raise OkxError("51023", "Position doesn't exist.")
    client_id = read_client_id(call, params, "clOrdId", Book.ORDERS)
    side = Side.SELL if held > 0 else Side.BUY
    in_the_way = _closing_orders(call, market, leg, side)
    if in_the_way and not params.flag("autoCxl"):
        raise OkxError("51115", "Cancel all pending close-orders before liquidation.")
    if abs(held) > market.max_market_quantity:
        raise OkxError("51108", "Positions exceed the limit for closing out with the market price.")
    if call.effects.refuse_market_orders:
        raise refusal(Reason.COUNTERPARTY_PRICE)
    call.place(
        OrderTerms(
            market=market,
            side=side,
            kind=OrderKind.MARKET,
            client_id=client_id,
            venue_type="market",
            quantity=abs(held),
            leg=leg,
            reduce_only=leg is Leg.NET,
            origin=call.origin,
            extras={"tdMode": mode, "tag": params.text("tag")},
        )
    )
    for order in in_the_way:
        if order.is_open:  # reductions have ended with the position
            call.cancel(order)
    return [{"clOrdId": shown(client_id), "instId": market.symbol, "posSide": leg.value, "tag": params.text("tag")}]


class Countdowns:
    """The dead-man switches of one world, one of an account."""

    def __init__(self) -> None:
        self._running: dict[str, asyncio.TimerHandle] = {}

    def start(self, account: str, seconds: int, action: Callable[[], object]) -> None:
        """Begin anew; zero seconds end it."""
        before = self._running.pop(account, None)
        if before is not None:
            before.cancel()
        if seconds:
            loop = asyncio.get_running_loop()
            self._running[account] = loop.call_later(seconds * SECOND_S, action)


def cancel_all_after(call: Call, countdowns: Countdowns) -> Rows:
    """``POST /api/v5/trade/cancel-all-after``: 0, or 10 to 120 seconds; algo orders are left alone."""
    seconds = call.params.integer("timeOut")
    if seconds is None or (seconds and not COUNTDOWN_S[0] <= seconds <= COUNTDOWN_S[1]):
        raise wrong("timeOut")
    account, core, origin = call.account, call.core, call.origin

    def cancel_all() -> None:
        for product in {order.terms.market.product for order in account.open_orders.values()}:
            core.cancel_all(account, product, by=origin)

    countdowns.start(account.name, seconds, cancel_all)
    now_s = call.setup.clock.now_ms() // 1000
    return [{"triggerTime": str(now_s + seconds) if seconds else "0", "tag": call.params.text("tag"), "ts": str(now_s)}]


def _place(call: Call, row: Params) -> dict[str, Any]:
    order = call.place(read_order(call, row))
    return {
        "clOrdId": row.text("clOrdId"),
        "ordId": str(order.order_id),
        "tag": row.text("tag"),
        "ts": str(call.setup.clock.now_ms()),
        "subCode": "",
    }


def _cancel(call: Call, row: Params) -> dict[str, Any]:
    order = _find(call, row)
    if order is None:
        raise refusal(Reason.UNKNOWN_ORDER)
    call.cancel(order)
    return {
        "clOrdId": shown(order.terms.client_id),
        "ordId": str(order.order_id),
        "ts": str(call.setup.clock.now_ms()),
    }


def _find(call: Call, row: Params) -> Order | None:
    symbol = call.listing(row).market.symbol
    if "ordId" not in row and "clOrdId" not in row:
        raise OkxError("51003", "Either client order ID or order ID is required.")
    return call.find(Book.ORDERS, symbol, row.integer("ordId"), row.text("clOrdId"))


def _leg_to_close(call: Call) -> Leg:
    word = call.params.text("posSide", "" if call.hedged else "net")
    if word not in (("long", "short") if call.hedged else ("net",)):
        raise wrong("posSide")
    return Leg(word)


def _closing_orders(call: Call, market: Market, leg: Leg, side: Side) -> list[Order]:
    """Orders that rest on the closing side; in net mode that is every order against the position."""
    return [
        order
        for order in call.account.resting(market.product, market.symbol, Book.ORDERS)
        if order.terms.leg is leg and order.terms.side is side
    ]
