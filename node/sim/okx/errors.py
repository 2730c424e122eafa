"""OKX's error codes, and which of them says what the core refuses.

Source: "Error Code" of the API v5 documentation (codes, sentences and HTTP statuses). A request as a whole fails with
its code outside; orders and cancels fail row by row: outside there is ``1`` (all failed) or ``2`` (some did), and
every row has a code of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from node.sim.refusals import Reason

ALL_FAILED, SOME_FAILED = ("1", "All operations failed"), ("2", "Bulk operation partially succeeded")

#: HTTP statuses other than 200, of errors of a whole request.
_STATUS = {
    "50000": 400,
    "50001": 503,
    "50002": 400,
    "50004": 400,
    "50005": 410,
    "50006": 400,
    "50011": 429,
    "50013": 429,
    "50014": 400,
    "50015": 400,
    "50016": 400,
    "50026": 500,
    "50035": 403,
    "50100": 400,
    **dict.fromkeys((str(code) for code in range(50101, 50115)), 401),
    "50115": 405,
    "50119": 401,
    "51000": 400,
    "51406": 400,
    "51113": 429,
    "51115": 429,
}

_REASONS: Mapping[Reason, tuple[str, str]] = {
    Reason.MARKET_CLOSED: ("51022", "Contract suspended."),
    Reason.QUANTITY_ZERO: ("51000", "Parameter sz error"),
    Reason.QUANTITY_BELOW_MINIMUM: ("51020", "Your order should meet or exceed the minimum order amount."),
    Reason.QUANTITY_ABOVE_MAXIMUM: ("51101", "Order failed, the sz of the current order can't be more than its limit."),
    Reason.MARKET_QUANTITY_ABOVE_MAXIMUM: ("51202", "Market order amount exceeds the maximum amount."),
    Reason.QUANTITY_PRECISION: ("51121", "Order quantity must be a multiple of the lot size."),
    Reason.PRICE_ZERO: ("51000", "Parameter px error"),
    Reason.PRICE_PRECISION: ("51150", "The precision of the number of trades or the price exceeds the limit."),
    Reason.PRICE_ABOVE_BAND: ("51006", "Order price is not within the price limit"),
    Reason.PRICE_BELOW_BAND: ("51006", "Order price is not within the price limit"),
    Reason.COUNTERPARTY_PRICE: ("51136", "Your closing price has triggered the limit price."),
    Reason.NOTIONAL_BELOW_MINIMUM: ("51020", "Your order should meet or exceed the minimum order amount."),
    Reason.NOTIONAL_ABOVE_MAXIMUM: ("51203", "Order amount exceeds the limit."),
    Reason.INSUFFICIENT_BALANCE: ("51008", "Order failed. Insufficient balance in account"),
    Reason.INSUFFICIENT_MARGIN: ("51008", "Order failed. Insufficient margin in account"),
    Reason.POSITION_LIMIT: (
        "51004",
        "Order failed. The position would exceed the maximum amount under current leverage.",
    ),
    Reason.REDUCE_ONLY_REJECTED: (
        "51169",
        "Order failed because you don't have any positions in this direction for this contract to reduce or close.",
    ),
    Reason.REDUCE_ONLY_CONFLICT: ("51112", "Close order size exceeds available size for this position."),
    Reason.POSITION_SIDE_MISMATCH: ("51000", "Parameter posSide error"),
    Reason.POST_ONLY_CROSSES: ("51109", "No available offers."),
    Reason.UNFILLABLE: ("51109", "No available offers."),
    Reason.DUPLICATE_CLIENT_ID: ("51016", "Client order ID already exists."),
    Reason.TRIGGERS_IMMEDIATELY: ("51280", "SL trigger price cannot be higher than the last price."),
    Reason.CLOSE_TRIGGER_EXISTS: ("51088", "You can only place 1 TP/SL order to close an entire position"),
    Reason.UNKNOWN_ORDER: (
        "51400",
        "Order cancellation failed as the order has been filled, canceled or does not exist.",
    ),
    Reason.OPEN_ORDERS_EXIST: (
        "59000",
        "Settings failed. Close any open positions or orders before modifying settings.",
    ),
    Reason.POSITIONS_EXIST: ("59000", "Settings failed. Close any open positions or orders before modifying settings."),
    Reason.REPAYS_TOO_MUCH: ("59413", "You didn't borrow this crypto. No repayment needed."),
    Reason.NOT_CONVERTIBLE: ("52901", "Invalid base asset"),
    Reason.CONVERSION_TOO_SMALL: ("52917", "RFQ quantity cannot be less than the lower limit"),
    Reason.CONVERSION_TOO_LARGE: ("52918", "RFQ quantity cannot be greater than the upper limit"),
    Reason.QUOTE_UNKNOWN: ("52927", "No quote"),
    Reason.QUOTE_EXPIRED: ("52922", "Quote expired, please ask for quote again"),
    Reason.UNKNOWN_SYMBOL: ("51001", "Instrument ID, Instrument ID code or Spread ID doesn't exist."),
    Reason.OVERLOADED: ("50013", "Systems are busy. Please try again later."),
    Reason.STATUS_UNKNOWN: (
        "50004",
        (
            "API endpoint request timeout. (does not mean that the request was successful or failed, please check the "
            "request result)."
        ),
    ),
    Reason.KEY_DENIED: ("50120", "This API key doesn't have permission to use this function"),
    Reason.TOO_MANY_ORDERS: ("50061", "You've reached the maximum order rate limit for this account."),
    Reason.CLOCK: ("50102", "Timestamp request expired."),
}

_ON_SPOT: Mapping[Reason, tuple[str, str]] = {
    Reason.PRICE_ABOVE_BAND: ("51137", "The highest price limit for buy orders is exceeded."),
    Reason.PRICE_BELOW_BAND: ("51138", "The price is below the lowest price limit for sell orders."),
}

#: Troubles of a whole request, wherever it goes; all others fail a row where there are rows.
OF_THE_REQUEST = frozenset(
    {Reason.OVERLOADED, Reason.STATUS_UNKNOWN, Reason.KEY_DENIED, Reason.CLOCK, Reason.TOO_MANY_ORDERS}
)


class OkxError(Exception):
    """A request, or one row of it, fails."""

    def __init__(self, code: str, message: str, *, status: int = 0) -> None:
        self.code = code
        self.message = message
        self.status = status or _STATUS.get(code, 200)
        super().__init__(f"{code} {message}")

    def document(self) -> dict[str, Any]:
        """The failed request as JSON."""
        return {"code": self.code, "data": [], "msg": self.message}


def refusal(reason: Reason, *, contract: bool = True) -> OkxError:
    """The core's refusal in OKX's words, some of which differ on spot."""
    found = _ON_SPOT.get(reason) if not contract else None
    return OkxError(*(found or _REASONS.get(reason, ("50026", "System error. Try again later"))))


def wrong(name: str) -> OkxError:
    """A parameter has a value that is not taken."""
    return OkxError("51000", f"Parameter {name} error")


def empty(name: str) -> OkxError:
    """A mandatory parameter was not sent."""
    return OkxError("50014", f"Parameter {name} can not be empty.")


def no_permission() -> OkxError:
    """The key may not do this."""
    return refusal(Reason.KEY_DENIED)


def unsupported() -> OkxError:
    """The account's mode does not have this."""
    return OkxError("51010", "Request unsupported under current account mode")
