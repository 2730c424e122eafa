"""Coinbase: what its reasons say about an order, where they say it for certain.

https://docs.cdp.coinbase.com/api-reference/advanced-trade-api/rest-api/orders (create-order: new_order_failure_reason
and preview_failure_reason; cancel-order: failure_reason), and gRPC's own names for requests that failed as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from node.domain.steps import Refusal

DENIED: Final = frozenset(
    {
        "PERMISSION_DENIED",
        "UNAUTHENTICATED",
        "unauthorized",
        "authentication_error",
        "invalid_token",
        "revoked_token",
        "expired_token",
        "invalid_scope",
        "GEOFENCING_RESTRICTION",
    }
)
LIMITED: Final = frozenset({"rate_limit_exceeded", "resource_exhausted", "RESOURCE_EXHAUSTED"})

#: Of an order. What is not here (UNKNOWN_FAILURE_REASON, internal, UNAVAILABLE, DEADLINE_EXCEEDED) proves nothing.
ORDERS: Final[Mapping[str, Refusal]] = {
    **dict.fromkeys(DENIED, Refusal.DENIED),
    **dict.fromkeys(LIMITED, Refusal.RATE_LIMITED),
    "INSUFFICIENT_FUND": Refusal.INSUFFICIENT,
    "INSUFFICIENT_FUNDS": Refusal.INSUFFICIENT,
    "INVALID_LEDGER_BALANCE": Refusal.INSUFFICIENT,
    "PREVIEW_INSUFFICIENT_FUND": Refusal.INSUFFICIENT,
    "PREVIEW_INVALID_LEDGER_BALANCE": Refusal.INSUFFICIENT,
    "PREVIEW_INSUFFICIENT_LEDGER_BALANCE": Refusal.INSUFFICIENT,
    "INVALID_LIMIT_PRICE": Refusal.PRICE_BAND,
    "PREVIEW_INVALID_LIMIT_PRICE": Refusal.PRICE_BAND,
    "PREVIEW_BREACHED_PRICE_LIMIT": Refusal.PRICE_BAND,
    "PREVIEW_INVALID_PRICE_TOO_LARGE": Refusal.PRICE_BAND,
    "INVALID_NO_LIQUIDITY": Refusal.UNFILLED,
    "PREVIEW_INVALID_NO_LIQUIDITY": Refusal.UNFILLED,
    "PREVIEW_INVALID_BASE_SIZE_TOO_LARGE": Refusal.QUANTITY,
    "PREVIEW_INVALID_QUOTE_SIZE_TOO_LARGE": Refusal.QUANTITY,
    "PREVIEW_INVALID_BASE_SIZE_TOO_SMALL": Refusal.TOO_SMALL,
    "PREVIEW_INVALID_QUOTE_SIZE_TOO_SMALL": Refusal.TOO_SMALL,
    "ORDER_ENTRY_DISABLED": Refusal.MARKET_CLOSED,
    "UNTRADABLE_PRODUCT": Refusal.MARKET_CLOSED,
    "INELIGIBLE_PAIR": Refusal.MARKET_CLOSED,
    "PREVIEW_MISSING_PRODUCT_PRICE_BOOK": Refusal.MARKET_CLOSED,
    **dict.fromkeys(
        (
            "UNSUPPORTED_ORDER_CONFIGURATION",
            "INVALID_SIDE",
            "INVALID_PRODUCT_ID",
            "INVALID_SIZE_PRECISION",
            "INVALID_PRICE_PRECISION",
            "INVALID_REQUEST",
            "INVALID_ARGUMENT",
            "FAILED_PRECONDITION",
            "NOT_FOUND",
            "invalid_request",
            "validation_error",
            "param_required",
            "COMMANDER_REJECTED_NEW_ORDER",
            "PREVIEW_MISSING_COMMISSION_RATE",
            "PREVIEW_INVALID_COMMISSION_CONFIGURATION",
            "PREVIEW_INVALID_SIDE",
            "PREVIEW_INVALID_ORDER_CONFIG",
            "PREVIEW_INVALID_PRODUCT_ID",
            "PREVIEW_INVALID_SIZE_PRECISION",
            "PREVIEW_INVALID_PRICE_PRECISION",
        ),
        Refusal.OTHER,
    ),
}

#: Of one order to cancel. UNKNOWN_CANCEL_FAILURE_REASON is also what stands beside a success.
CANCELS: Final[Mapping[str, Refusal]] = {
    "UNKNOWN_CANCEL_ORDER": Refusal.UNKNOWN_ORDER,
    "ORDER_IS_FULLY_FILLED": Refusal.UNKNOWN_ORDER,
    "ORDER_IS_BEING_REPLACED": Refusal.OVERLOADED,  # and can be cancelled when that is done
    "INVALID_CANCEL_FCM_TRADING_SESSION": Refusal.MARKET_CLOSED,
    "INVALID_CANCEL_REQUEST": Refusal.OTHER,
    "INVALID_CANCEL_PRODUCT_ID": Refusal.OTHER,
    "COMMANDER_REJECTED_CANCEL_ORDER": Refusal.OTHER,
    "NOT_ALLOWED_TO_CANCEL": Refusal.OTHER,
}
#: A cancellation is under way: what was asked for happens.
CANCELLED_ALREADY: Final = "DUPLICATE_CANCEL_REQUEST"
