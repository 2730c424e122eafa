"""Cross margin: its account, its orders, its loans. Nothing is isolated here.

Sources: Margin Trading on developers.binance.com (account info, new order, borrow and repay, error codes).
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from decimal import Decimal
from typing import Any

from node.sim.accounts import Balance
from node.sim.binance import spot
from node.sim.binance.calls import Call
from node.sim.binance.errors import BinanceError, missing
from node.sim.binance.numbers import amount, digits
from node.sim.binance.order_entry import spot_order
from node.sim.binance.order_views import default_response_type, margin_view, spot_answer_view
from node.sim.binance.security import denied
from node.sim.catalogue import price_of
from node.sim.market import ZERO, Product
from node.sim.orders import OrderTerms, Side
from node.sim.refusals import Reason, RefusalError

#: What an order may do besides trading: whether it borrows what it lacks, and whether it repays with what it brings.
SIDE_EFFECTS = {
    "NO_SIDE_EFFECT": (False, False),
    "MARGIN_BUY": (True, False),
    "AUTO_REPAY": (False, True),
    "AUTO_BORROW_REPAY": (True, True),
}
NO_DEBT_LEVEL = Decimal(999)
_transactions = itertools.count(100_000_001)


def account(call: Call) -> dict[str, Any]:
    """``GET /sapi/v1/margin/account``: every margin asset; debts beside what is held."""
    wallet = _wallet(call) if all(call.visible(listing.market) for listing in call.listings()) else {}
    rows = [(name, wallet.get(name, Balance())) for name in sorted(_assets(call) | set(wallet))]
    bitcoin = price_of("BTC")
    assets = sum((held.total * price_of(name) for name, held in rows), ZERO)
    debts = sum((held.owed * price_of(name) for name, held in rows), ZERO)
    level = amount(assets / debts if debts else NO_DEBT_LEVEL)
    return {
        "created": True,
        "borrowEnabled": True,
        "marginLevel": level,
        "collateralMarginLevel": level,
        "totalAssetOfBtc": amount(assets / bitcoin),
        "totalLiabilityOfBtc": amount(debts / bitcoin),
        "totalNetAssetOfBtc": amount((assets - debts) / bitcoin),
        "TotalCollateralValueInUSDT": amount(assets),
        "totalOpenOrderLossInUSDT": amount(ZERO),
        "tradeEnabled": True,
        "transferInEnabled": True,
        "transferOutEnabled": True,
        "accountType": "MARGIN_1",
        "userAssets": [
            {
                "asset": name,
                "free": amount(held.free),
                "locked": amount(held.locked),
                "borrowed": amount(held.borrowed),
                "interest": amount(held.interest),
                "netAsset": amount(held.total - held.owed),
            }
            for name, held in rows
        ],
    }


def place_order(call: Call) -> dict[str, Any]:
    """``POST /sapi/v1/margin/order``."""
    _wallet(call)
    terms = _terms(call)
    lent = call.account.balance(terms.market.wallet, _given(terms))
    owed_before = lent.borrowed
    order = call.place(terms)
    view = spot_answer_view(order, call.params.text("newOrderRespType", default_response_type(order)))
    if terms.borrows and lent.borrowed > owed_before:
        view |= {
            "marginBuyBorrowAmount": amount(lent.borrowed - owed_before),
            "marginBuyBorrowAsset": _given(terms),
        }
    return margin_view(view)


def query_order(call: Call) -> dict[str, Any]:
    """``GET /sapi/v1/margin/order``."""
    _wallet(call)
    return margin_view(spot.query_order(call))


def cancel_order(call: Call) -> dict[str, Any]:
    """``DELETE /sapi/v1/margin/order``."""
    _wallet(call)
    return margin_view(spot.cancel_order(call))


def open_orders(call: Call) -> list[dict[str, Any]]:
    """``GET /sapi/v1/margin/openOrders``."""
    _wallet(call)
    return [margin_view(view) for view in spot.open_orders(call)]


def cancel_open_orders(call: Call) -> list[dict[str, Any]]:
    """``DELETE /sapi/v1/margin/openOrders`` of one symbol; -2011 if there is none."""
    _wallet(call)
    return [margin_view(view) for view in spot.cancel_open_orders(call)]


def borrow_or_repay(call: Call) -> dict[str, Any]:
    """``POST /sapi/v1/margin/borrow-repay``. Repaying may cost no more than is owed, nor more than is free."""
    if call.key is None or not call.key.rights.margin:
        raise denied(futures=False)
    _wallet(call)
    asset, kind = call.params.required("asset"), call.params.required("type")
    if asset not in _assets(call):
        raise BinanceError(-3027, "Not a valid margin asset.")
    quantity = _loan_amount(call)
    if kind == "BORROW":
        call.core.treasury.borrow(call.account, Product.MARGIN, asset, quantity, by=call.origin)
    elif kind == "REPAY":
        _repay(call, asset, quantity)
    else:
        raise BinanceError(-1130, "Data sent for parameter 'type' is not valid.")
    return {"tranId": next(_transactions)}


def _repay(call: Call, asset: str, quantity: Decimal) -> None:
    try:
        call.attempt(lambda: call.core.treasury.repay(call.account, Product.MARGIN, asset, quantity, by=call.origin))
    except BinanceError as error:
        cause = error.__cause__
        if isinstance(cause, RefusalError) and cause.reason is Reason.INSUFFICIENT_BALANCE:
            raise BinanceError(-3041, "Balance is not enough") from error
        raise


def _loan_amount(call: Call) -> Decimal:
    quantity = call.params.decimal("amount")
    if quantity is None:
        raise missing("amount")
    if quantity <= 0:
        raise BinanceError(-3026, "Your input param is invalid.")
    if digits(quantity) > 8:
        raise BinanceError(-1111, "Parameter 'amount' has too much precision.")
    return quantity


def _wallet(call: Call) -> dict[str, Balance]:
    if call.params.text("isIsolated", "FALSE").upper() == "TRUE":
        raise BinanceError(-11001, "Isolated margin account does not exist.")
    wallet = call.account.wallets.get(Product.MARGIN)
    if wallet is None:
        raise BinanceError(-3003, "Margin account does not exist.")
    return wallet


def _terms(call: Call) -> OrderTerms:
    effects = SIDE_EFFECTS.get(call.params.text("sideEffectType", "NO_SIDE_EFFECT"))
    if effects is None:
        raise BinanceError(-1130, "Data sent for parameter 'sideEffectType' is not valid.")
    symbol = call.params.required("symbol")
    if (Product.SPOT, symbol) in call.core.listings and (Product.MARGIN, symbol) not in call.core.listings:
        raise BinanceError(-3021, "Margin account are not allowed to trade this trading pair.")
    borrows, repays = effects
    return replace(spot_order(call, call.params), borrows=borrows, repays=repays)


def _given(terms: OrderTerms) -> str:
    return terms.market.base if terms.side is Side.SELL else terms.market.quote


def _assets(call: Call) -> set[str]:
    markets = (listing.market for (product, _), listing in call.core.listings.items() if product is Product.MARGIN)
    return {asset for market in markets for asset in (market.base, market.quote)}
