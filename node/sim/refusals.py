"""Why a venue refuses an order, in words that no single venue owns. Front-ends translate them into their own codes."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """What was wrong with a request."""

    MARKET_CLOSED = "market_closed"
    QUANTITY_ZERO = "quantity_zero"
    QUANTITY_BELOW_MINIMUM = "quantity_below_minimum"
    QUANTITY_ABOVE_MAXIMUM = "quantity_above_maximum"
    MARKET_QUANTITY_ABOVE_MAXIMUM = "market_quantity_above_maximum"
    QUANTITY_PRECISION = "quantity_precision"
    PRICE_ZERO = "price_zero"
    PRICE_PRECISION = "price_precision"
    PRICE_ABOVE_BAND = "price_above_band"
    PRICE_BELOW_BAND = "price_below_band"
    COUNTERPARTY_PRICE = "counterparty_price"  # a market order, and the book is too far from the mark price
    NOTIONAL_BELOW_MINIMUM = "notional_below_minimum"
    NOTIONAL_ABOVE_MAXIMUM = "notional_above_maximum"
    INSUFFICIENT_BALANCE = "insufficient_balance"
    INSUFFICIENT_MARGIN = "insufficient_margin"
    POSITION_LIMIT = "position_limit"
    REDUCE_ONLY_REJECTED = "reduce_only_rejected"  # nothing to reduce, or more than there is
    REDUCE_ONLY_CONFLICT = "reduce_only_conflict"  # resting reduce-only orders already cover the position
    POSITION_SIDE_MISMATCH = "position_side_mismatch"
    POST_ONLY_CROSSES = "post_only_crosses"
    UNFILLABLE = "unfillable"  # fill-or-kill
    DUPLICATE_CLIENT_ID = "duplicate_client_id"
    TRIGGERS_IMMEDIATELY = "triggers_immediately"
    CLOSE_TRIGGER_EXISTS = "close_trigger_exists"  # one close-position trigger a direction
    UNKNOWN_ORDER = "unknown_order"
    NOTHING_TO_CHANGE = "nothing_to_change"
    OPEN_ORDERS_EXIST = "open_orders_exist"
    POSITIONS_EXIST = "positions_exist"
    REPAYS_TOO_MUCH = "repays_too_much"
    NOT_CONVERTIBLE = "not_convertible"
    CONVERSION_TOO_SMALL = "conversion_too_small"
    CONVERSION_TOO_LARGE = "conversion_too_large"
    QUOTE_UNKNOWN = "quote_unknown"
    QUOTE_EXPIRED = "quote_expired"
    UNKNOWN_SYMBOL = "unknown_symbol"
    OVERLOADED = "overloaded"  # nothing was done: try again
    STATUS_UNKNOWN = "status_unknown"  # the venue says that it does not know whether it executed
    KEY_DENIED = "key_denied"
    TOO_MANY_ORDERS = "too_many_orders"
    CLOCK = "clock"  # the client's clock differs


class RefusalError(Exception):
    """The matching core refuses a request; nothing of it has taken effect."""

    def __init__(self, reason: Reason) -> None:
        self.reason = reason
        super().__init__(reason.value)
