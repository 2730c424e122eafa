"""Binance's error codes and HTTP statuses.

Sources: developers.binance.com, error codes of spot, USD-M and COIN-M; the tables of ccxt 4.5.90 for what each means to
a client. The same trouble has different codes in the three products.
"""

from __future__ import annotations

from collections.abc import Mapping

from node.sim.market import Product
from node.sim.refusals import Reason

_STATUS = {-1003: 429, -1015: 429, -2014: 401, -2015: 401, -1002: 401, -1007: 408, -1008: 503, -1001: 500, -1006: 500}

_GENERAL: Mapping[Reason, tuple[int, str]] = {
    Reason.UNKNOWN_SYMBOL: (-1121, "Invalid symbol."),
    Reason.OVERLOADED: (
        -1008,
        "Server is currently overloaded with other requests. Please try again in a few minutes.",
    ),
    Reason.STATUS_UNKNOWN: (
        -1007,
        "Timeout waiting for response from backend server. Send status unknown; execution status unknown.",
    ),
    Reason.KEY_DENIED: (-2015, "Invalid API-key, IP, or permissions for action."),
    Reason.TOO_MANY_ORDERS: (-1015, "Too many new orders; current limit is 100 orders per 10S."),
    Reason.CLOCK: (-1021, "Timestamp for this request is outside of the recvWindow."),
}

_FUTURES: Mapping[Reason, tuple[int, str]] = {
    **_GENERAL,
    Reason.KEY_DENIED: (-2015, "Invalid API-key, IP, or permissions for action., request ip: 127.0.0.1"),
    Reason.MARKET_CLOSED: (-4141, "Symbol is closed."),
    Reason.QUANTITY_ZERO: (-4003, "Quantity less than or equal to zero."),
    Reason.QUANTITY_BELOW_MINIMUM: (-4004, "Quantity less than min quantity."),
    Reason.QUANTITY_ABOVE_MAXIMUM: (-4005, "Quantity greater than max quantity."),
    Reason.MARKET_QUANTITY_ABOVE_MAXIMUM: (-4005, "Quantity greater than max quantity."),
    Reason.QUANTITY_PRECISION: (-1111, "Precision is over the maximum defined for this asset."),
    Reason.PRICE_ZERO: (-4001, "Price less than 0."),
    Reason.PRICE_PRECISION: (-1111, "Precision is over the maximum defined for this asset."),
    Reason.PRICE_ABOVE_BAND: (-4016, "Limit price can't be higher than the mark price multiplier cap."),
    Reason.PRICE_BELOW_BAND: (-4024, "Limit price can't be lower than the mark price multiplier floor."),
    Reason.COUNTERPARTY_PRICE: (
        -4131,
        "The counterparty's best price does not meet the PERCENT_PRICE filter limit.",
    ),
    Reason.NOTIONAL_BELOW_MINIMUM: (
        -4164,
        "Order's notional must be no smaller than {minimum} (unless you choose reduce only).",
    ),
    Reason.INSUFFICIENT_BALANCE: (-2018, "Balance is insufficient."),
    Reason.INSUFFICIENT_MARGIN: (-2019, "Margin is insufficient."),
    Reason.POSITION_LIMIT: (-2027, "Exceeded the maximum allowable position at current leverage."),
    Reason.REDUCE_ONLY_REJECTED: (-2022, "ReduceOnly Order is rejected."),
    Reason.REDUCE_ONLY_CONFLICT: (
        -4118,
        "ReduceOnly Order Failed. Please check your existing position and open orders.",
    ),
    Reason.POSITION_SIDE_MISMATCH: (-4061, "Order's position side does not match user's setting."),
    Reason.POST_ONLY_CROSSES: (
        -5022,
        "Due to the order could not be executed as maker, the Post Only order will be rejected.",
    ),
    Reason.UNFILLABLE: (
        -5021,
        "Due to the order could not be filled immediately, the FOK order has been rejected.",
    ),
    Reason.DUPLICATE_CLIENT_ID: (-4116, "ClientOrderId is duplicated."),
    Reason.TRIGGERS_IMMEDIATELY: (-2021, "Order would immediately trigger."),
    Reason.CLOSE_TRIGGER_EXISTS: (
        -4130,
        "An open stop or take profit order with GTE and closePosition in the direction is existing.",
    ),
    Reason.UNKNOWN_ORDER: (-2011, "Unknown order sent."),
    Reason.NOTHING_TO_CHANGE: (-4059, "No need to change position side."),
    Reason.OPEN_ORDERS_EXIST: (-4067, "Position side cannot be changed if there exists open orders."),
    Reason.POSITIONS_EXIST: (-4068, "Position side cannot be changed if there exists position."),
}

_COIN_MARGINED: Mapping[Reason, tuple[int, str]] = {
    **_FUTURES,
    Reason.COUNTERPARTY_PRICE: (-4113, _FUTURES[Reason.COUNTERPARTY_PRICE][1]),
    Reason.REDUCE_ONLY_CONFLICT: (-4112, _FUTURES[Reason.REDUCE_ONLY_CONFLICT][1]),
}

_LOT_SIZE = (-1013, "Filter failure: LOT_SIZE")
_PRICE_FILTER = (-1013, "Filter failure: PRICE_FILTER")
_PERCENT_PRICE = (-1013, "Filter failure: PERCENT_PRICE_BY_SIDE")

_SPOT: Mapping[Reason, tuple[int, str]] = {
    **_GENERAL,
    Reason.MARKET_CLOSED: (-1013, "Market is closed."),
    Reason.QUANTITY_ZERO: (-1013, "Invalid quantity."),
    Reason.QUANTITY_BELOW_MINIMUM: _LOT_SIZE,
    Reason.QUANTITY_ABOVE_MAXIMUM: _LOT_SIZE,
    Reason.MARKET_QUANTITY_ABOVE_MAXIMUM: (-1013, "Filter failure: MARKET_LOT_SIZE"),
    Reason.QUANTITY_PRECISION: _LOT_SIZE,
    Reason.PRICE_ZERO: (-1013, "Invalid price."),
    Reason.PRICE_PRECISION: _PRICE_FILTER,
    Reason.PRICE_ABOVE_BAND: _PERCENT_PRICE,
    Reason.PRICE_BELOW_BAND: _PERCENT_PRICE,
    Reason.COUNTERPARTY_PRICE: _PERCENT_PRICE,
    Reason.NOTIONAL_BELOW_MINIMUM: (-1013, "Filter failure: NOTIONAL"),
    Reason.NOTIONAL_ABOVE_MAXIMUM: (-1013, "Filter failure: NOTIONAL"),
    Reason.INSUFFICIENT_BALANCE: (-2010, "Account has insufficient balance for requested action."),
    Reason.POST_ONLY_CROSSES: (-2010, "Order would immediately match and take."),
    Reason.UNFILLABLE: (-2010, "Order could not be filled in full."),
    Reason.DUPLICATE_CLIENT_ID: (-2010, "Duplicate order sent."),
    Reason.TRIGGERS_IMMEDIATELY: (-2010, "Stop price would trigger immediately."),
    Reason.UNKNOWN_ORDER: (-2011, "Unknown order sent."),
}

_MARGIN: Mapping[Reason, tuple[int, str]] = {
    **_SPOT,
    Reason.REPAYS_TOO_MUCH: (-3015, "Repay amount exceeds borrow amount."),
}

_TABLES = {Product.SPOT: _SPOT, Product.MARGIN: _MARGIN, Product.LINEAR: _FUTURES, Product.INVERSE: _COIN_MARGINED}


class BinanceError(Exception):
    """The request is answered with an error document."""

    def __init__(self, code: int, message: str, *, status: int = 0, headers: Mapping[str, str] | None = None) -> None:
        self.code = code
        self.message = message
        self.status = status or _STATUS.get(code, 400)
        self.headers = dict(headers or {})
        super().__init__(f"{code} {message}")

    def document(self) -> dict[str, int | str]:
        """The error as JSON, also as one element of a batch's answer."""
        return {"code": self.code, "msg": self.message}


def refusal(reason: Reason, product: Product, minimum_notional: str = "") -> BinanceError:
    """The core's refusal in Binance's words."""
    code, message = _TABLES[product].get(reason, (-1000, "An unknown error occurred while processing the request."))
    return BinanceError(code, message.format(minimum=minimum_notional))


def missing(name: str) -> BinanceError:
    """A mandatory parameter was not sent."""
    return BinanceError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def not_required(name: str) -> BinanceError:
    """A parameter was sent that this request does not take."""
    return BinanceError(-1106, f"Parameter '{name.lower()}' sent when not required.")


def unknown_symbol() -> BinanceError:
    """The symbol is not listed in this product."""
    return BinanceError(-1121, "Invalid symbol.")
