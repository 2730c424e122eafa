"""Bybit's return codes. Nearly all of them come with HTTP status 200.

Sources: "Error Codes" of the V5 documentation (github.com/bybit-exchange/docs); wording where it does not give any from
answers quoted in the issues of ccxt and pybit; the tables of ccxt 4.5.90 for what each means to a client. Spot has
codes of its own, 170xxx.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from node.sim.market import Product
from node.sim.refusals import Reason

_STATUS: Final = {10003: 401, 429: 429}
NOT_SUPPORTED_SYMBOL: Final = "Not supported symbols"  # ccxt tells the trouble by these words, not by the code

_GENERAL: Final[Mapping[Reason, tuple[int, str]]] = {
    Reason.UNKNOWN_SYMBOL: (10001, NOT_SUPPORTED_SYMBOL),
    Reason.OVERLOADED: (
        429,
        "The trading service is experiencing a high server load. Please retry if you encounter this issue.",
    ),
    Reason.STATUS_UNKNOWN: (10000, "Server Timeout"),
    Reason.KEY_DENIED: (10005, "Permission denied, please check your API key permissions."),
    Reason.TOO_MANY_ORDERS: (10006, "Too many visits. Exceeded the API Rate Limit."),
    Reason.CLOCK: (10002, "invalid request, please check your server timestamp or recv_window param."),
    Reason.REPAYS_TOO_MUCH: (34022044, "Repayment unsuccessful."),
    Reason.NOT_CONVERTIBLE: (790000, "system error, please try again later"),
    Reason.CONVERSION_TOO_SMALL: (700000, "parameter error"),
    Reason.CONVERSION_TOO_LARGE: (700000, "parameter error"),
    Reason.QUOTE_UNKNOWN: (700001, "quote fail: no dealer can used"),
    Reason.QUOTE_EXPIRED: (700004, "the transaction was closed"),
}

_REDUCE_ONLY: Final = (110017, "current position is zero, cannot fix reduce-only order qty")

_CONTRACT: Final[Mapping[Reason, tuple[int, str]]] = {
    **_GENERAL,
    Reason.MARKET_CLOSED: (110066, "Trading is currently not allowed."),
    Reason.QUANTITY_ZERO: (10001, "Qty invalid"),
    Reason.QUANTITY_BELOW_MINIMUM: (10001, "The number of contracts exceeds minimum limit allowed"),
    Reason.QUANTITY_ABOVE_MAXIMUM: (10001, "The number of contracts exceeds maximum limit allowed: too large"),
    Reason.MARKET_QUANTITY_ABOVE_MAXIMUM: (10001, "The number of contracts exceeds maximum limit allowed: too large"),
    Reason.QUANTITY_PRECISION: (10001, "Qty invalid"),
    Reason.PRICE_ZERO: (10001, "Price invalid"),
    Reason.PRICE_PRECISION: (10001, "Price invalid"),
    Reason.PRICE_ABOVE_BAND: (30208, "The order price is higher than the maximum buying price"),
    Reason.PRICE_BELOW_BAND: (30209, "The order price is lower than the minimum selling price."),
    Reason.COUNTERPARTY_PRICE: (110118, "Unable to retrieve a price of the market order due to low liquidity"),
    Reason.NOTIONAL_BELOW_MINIMUM: (110094, "Order does not meet minimum order value {minimum}USDT"),
    Reason.INSUFFICIENT_BALANCE: (110004, "Wallet balance is insufficient"),
    Reason.INSUFFICIENT_MARGIN: (110007, "ab not enough for new order"),
    Reason.POSITION_LIMIT: (110090, "Order placement failed as your position may exceed the max limit."),
    Reason.REDUCE_ONLY_REJECTED: _REDUCE_ONLY,
    Reason.REDUCE_ONLY_CONFLICT: (110017, "orderQty will be truncated to zero"),
    Reason.POSITION_SIDE_MISMATCH: (10001, "position idx not match position mode"),
    Reason.DUPLICATE_CLIENT_ID: (110072, "OrderLinkedID is duplicate"),
    Reason.TRIGGERS_IMMEDIATELY: (110092, "expect Rising, but trigger_price <= current"),
    Reason.CLOSE_TRIGGER_EXISTS: (110061, "Not allowed to have more than 20 TP/SLs under Partial tpSlMode"),
    Reason.UNKNOWN_ORDER: (110001, "order not exists or too late to cancel"),
    Reason.NOTHING_TO_CHANGE: (110025, "Position mode is not modified"),
    Reason.POSITIONS_EXIST: (110024, "You have an existing position, so the position mode cannot be switched."),
    Reason.OPEN_ORDERS_EXIST: (110028, "You have existing open orders, so the position mode cannot be switched."),
}

_SPOT: Final[Mapping[Reason, tuple[int, str]]] = {
    **_GENERAL,
    Reason.UNKNOWN_SYMBOL: (170121, "Invalid symbol."),
    Reason.STATUS_UNKNOWN: (170007, "Timeout waiting for response from backend server."),
    Reason.MARKET_CLOSED: (170151, "The trading pair is not open yet"),
    Reason.QUANTITY_ZERO: (170130, "Data sent for paramter 'qty' is not valid."),
    Reason.QUANTITY_BELOW_MINIMUM: (170136, "Order quantity lower than the minimum."),
    Reason.QUANTITY_ABOVE_MAXIMUM: (170381, "Order quantity too large."),
    Reason.MARKET_QUANTITY_ABOVE_MAXIMUM: (170382, "Order quantity too large."),
    Reason.QUANTITY_PRECISION: (170137, "Order quantity has too many decimals."),
    Reason.PRICE_ZERO: (170130, "Data sent for paramter 'price' is not valid."),
    Reason.PRICE_PRECISION: (170134, "Order price has too many decimals."),
    Reason.PRICE_ABOVE_BAND: (170193, "Buy order price cannot be higher than the limit."),
    Reason.PRICE_BELOW_BAND: (170194, "Sell order price cannot be lower than the limit."),
    Reason.COUNTERPARTY_PRICE: (170198, "Your order quantity to sell is too large."),
    Reason.NOTIONAL_BELOW_MINIMUM: (170140, "Order value exceeded lower limit."),
    Reason.NOTIONAL_ABOVE_MAXIMUM: (170124, "Order amount too large."),
    Reason.INSUFFICIENT_BALANCE: (170131, "Insufficient balance."),
    Reason.DUPLICATE_CLIENT_ID: (170141, "Duplicate clientOrderId."),
    Reason.TRIGGERS_IMMEDIATELY: (170130, "Data sent for paramter 'triggerPrice' is not valid."),
    Reason.UNKNOWN_ORDER: (170213, "Order does not exist."),
}


class BybitError(Exception):
    """The request is answered with a return code other than zero."""

    def __init__(self, code: int, message: str, *, status: int = 0) -> None:
        self.code = code
        self.message = message
        self.status = status or _STATUS.get(code, 200)
        super().__init__(f"{code} {message}")


def refusal(reason: Reason, product: Product, minimum_notional: str = "5") -> BybitError:
    """The core's refusal in Bybit's words; 10016 for what it has no word for."""
    table = _CONTRACT if product.has_positions else _SPOT
    code, message = table.get(reason, (10016, "Server error."))
    return BybitError(code, message.format(minimum=minimum_notional))


def wrong(name: str, product: Product | None = None) -> BybitError:
    """A parameter is missing or makes no sense."""
    if product is Product.SPOT:
        return BybitError(170130, f"Data sent for paramter '{name}' is not valid.")
    return BybitError(10001, f"params error: {name} invalid")
