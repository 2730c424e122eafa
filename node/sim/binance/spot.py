"""Account and orders of spot."""

from __future__ import annotations

import secrets
from typing import Any

from node.sim.accounts import Balance
from node.sim.binance.calls import Call
from node.sim.binance.errors import BinanceError
from node.sim.binance.futures import find_order
from node.sim.binance.numbers import amount
from node.sim.binance.order_entry import spot_order
from node.sim.binance.order_views import default_response_type, spot_answer_view, spot_order_view, spot_query_view
from node.sim.market import Product
from node.sim.orders import Book, Order


def account(call: Call) -> dict[str, Any]:
    """``GET /api/v3/account``: every asset, unless zero balances are to be left out."""
    held = call.account.wallets.get(Product.SPOT, {}) if not _hidden(call) else {}
    names = set(held) | {name for listing in call.listings() for name in (listing.market.base, listing.market.quote)}
    terse = call.params.flag("omitZeroBalances")
    balances = [(name, held.get(name, Balance())) for name in sorted(names)]
    rights = call.key.rights if call.key is not None else None
    return {
        "makerCommission": 10,
        "takerCommission": 10,
        "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": {"maker": "0.00100000", "taker": "0.00100000", "buyer": "0", "seller": "0"},
        "canTrade": rights is not None and rights.spot,
        "canWithdraw": rights is not None and rights.withdrawals,
        "canDeposit": True,
        "brokered": False,
        "requireSelfTradePrevention": False,
        "preventSor": False,
        "updateTime": call.setup.clock.now_ms(),
        "accountType": "SPOT",
        "balances": [
            {"asset": name, "free": amount(balance.free), "locked": amount(balance.locked)}
            for name, balance in balances
            if balance.total or not terse
        ],
        "permissions": ["SPOT"],
        "uid": 354937868,
    }


def place_order(call: Call) -> dict[str, Any]:
    """``POST /api/v3/order``."""
    order = call.place(spot_order(call, call.params))
    return spot_answer_view(order, call.params.text("newOrderRespType", default_response_type(order)))


def query_order(call: Call) -> dict[str, Any]:
    """``GET /api/v3/order``."""
    order = find_order(call, call.params)
    if order is None:
        raise BinanceError(-2013, "Order does not exist.")
    return spot_query_view(order)


def cancel_order(call: Call) -> dict[str, Any]:
    """``DELETE /api/v3/order``."""
    order = find_order(call, call.params)
    if order is None:
        raise BinanceError(-2011, "Unknown order sent.")
    return cancelled_view(call.cancel(order))


def open_orders(call: Call) -> list[dict[str, Any]]:
    """``GET /api/v3/openOrders``."""
    resting = call.account.resting(call.product, call.optional_symbol())
    return [spot_query_view(order) for order in resting if call.visible(order.terms.market)]


def cancel_open_orders(call: Call) -> list[dict[str, Any]]:
    """``DELETE /api/v3/openOrders`` of one symbol; -2011 if there is none."""
    cancelled = call.cancel_all(call.params.required("symbol"), Book.ORDERS)
    if not cancelled:
        raise BinanceError(-2011, "Unknown order sent.")
    return [cancelled_view(order) for order in cancelled]


def cancelled_view(order: Order) -> dict[str, Any]:
    """Answer to a cancel."""
    return {
        **spot_order_view(order),
        "origClientOrderId": order.terms.client_id,
        "clientOrderId": secrets.token_hex(11),  # the cancel's own id, as on the real venue
        "transactTime": order.updated_ms,
    }


def _hidden(call: Call) -> bool:
    return not all(call.visible(listing.market) for listing in call.listings())
