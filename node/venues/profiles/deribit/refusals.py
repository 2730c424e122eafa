"""Deribit: what its errors say about a request, where they say it for certain.

https://docs.deribit.com/articles/errors. Its page has two tables that give some numbers different meanings (10002 is
"qty_too_low" in one and "insufficient_funds" in the other): the name that comes with the number decides, not the
number. Errors come with HTTP 400, whatever they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from node.domain.steps import CancelOrders, CancelSymbol, Refusal, Step

#: Nothing to cancel any more. 10029 is said of others' orders: one from our own list is then none of ours any more.
_GONE: Final = (
    "order_not_found",
    "already_closed",
    "not_open_order",
    "already_filled",
    "order_closed",
    "not_owner_of_order",
)

DENIED: Final = (
    "authorization_required",
    "unauthorized",
    "invalid_credentials",
    "invalid_token",
    "token_revoked",
    "insufficient_scope",
    "forbidden",
    "permission_denied",
    "api_not_enabled",
    "account_locked",
    "account_blocked",
    "locked_by_admin",
    "country_is_banned",
    "unavailable_in_subaccount",
    "security_key_setup_required",
)
LIMITED: Final = ("too_many_requests", "rate_limit", "matching_engine_queue_full", "too_many_concurrent_requests")

#: By name. What is not here proves nothing: "error", "other_error", "internal_server_error", "temporarily_unavailable",
#: "timed_out", "request_failed" and "request_cancelled_by_user" are said of anything, or say that it is not known.
TABLE: Final[Mapping[str, Refusal]] = {
    **dict.fromkeys(DENIED, Refusal.DENIED),
    **dict.fromkeys(LIMITED, Refusal.RATE_LIMITED),
    "invalid_reduce_only_order": Refusal.NOTHING_TO_REDUCE,  # the reason of "other_reject"
    "reduce_only_reject": Refusal.NOTHING_TO_REDUCE,
    "price_too_low": Refusal.PRICE_BAND,
    "price_too_low4idx": Refusal.PRICE_BAND,
    "price_too_high": Refusal.PRICE_BAND,
    "price_too_high4idx": Refusal.PRICE_BAND,
    "price_not_allowed": Refusal.PRICE_BAND,
    "price_out_of_range": Refusal.PRICE_BAND,
    "qty_too_low": Refusal.TOO_SMALL,
    "amount_too_small": Refusal.TOO_SMALL,
    "whole_cost_too_low": Refusal.TOO_SMALL,
    "amount_too_large": Refusal.QUANTITY,
    "pme_max_future_open_orders_size": Refusal.QUANTITY,
    "non_pme_max_future_position_size": Refusal.QUANTITY,
    "not_enough_funds": Refusal.INSUFFICIENT,
    "not_enough_funds_in_currency": Refusal.INSUFFICIENT,
    "insufficient_funds": Refusal.INSUFFICIENT,
    "book_closed": Refusal.MARKET_CLOSED,
    "orderbook_closed": Refusal.MARKET_CLOSED,
    "outdated_instrument": Refusal.MARKET_CLOSED,
    "not_open_yet": Refusal.MARKET_CLOSED,
    "settlement_in_progress": Refusal.OVERLOADED,  # trading is paused for some seconds, says its page
    "system_maintenance": Refusal.OVERLOADED,
    "retry": Refusal.OVERLOADED,  # cannot be processed right now and should be retried
    "method_switched_off_by_admin": Refusal.OVERLOADED,
    **dict.fromkeys(
        (
            "other_reject",
            "order_overlap",  # self-trading is not enabled
            "pme_max_total_open_orders",
            "pme_max_future_open_orders",
            "pme_max_risk_reducing_orders",
            "invalid_or_unsupported_instrument",
            "not_found",
            "invalid_amount",
            "invalid_quantity",
            "invalid_price",
            "invalid_order_id",
            "price_precision_exceeded",
            "non_integer_contract_amount",
            "invalid_args_for_instrument",
            "price_wrong_tick",
            "can_not_cancel_liquidation_order",
            "not_on_this_server",
            "not_implemented",
            "invalid_arguments",
            "bad_argument",
            "bad_arguments",
            "bad_request",
            "unsupported_arg_combination",
            "Invalid params",
            "Missing params",
            "Method not found",
            "Parse error",
        ),
        Refusal.OTHER,
    ),
}

#: Reasons that "Invalid params" and "other_reject" come with; the first that is in the message decides.
_REASONS: Final = (
    ("invalid_reduce_only_order", Refusal.NOTHING_TO_REDUCE),
    ("multiple of the minimum order size", Refusal.TOO_SMALL),
)
#: JSON-RPC's own names are of two words.
_GENERAL: Final = ("Invalid params", "other_reject", "Missing params", "Method not found", "Parse error")


def name_of(message: str) -> str:
    """The error's name, without the limit or the reason that may follow it."""
    general = next((each for each in _GENERAL if message.startswith(each)), None)
    return general or (message.split() or [""])[0].rstrip(":")


def stale(message: str) -> bool:
    """Whether a denial is about our timestamp. Its words are not documented: any that name it."""
    return name_of(message) in DENIED and "timestamp" in message.lower()


def refusal_of(step: Step, message: str) -> Refusal | None:
    """What an error says for certain; None: the request may have been carried out."""
    name = name_of(message)
    if name in _GONE:
        # Of a request to place an order this makes no sense; but it was not placed.
        return Refusal.UNKNOWN_ORDER if isinstance(step, CancelOrders | CancelSymbol) else Refusal.OTHER
    if stale(message):
        return Refusal.OTHER
    if name in _GENERAL:
        return next((refusal for piece, refusal in _REASONS if piece in message), TABLE[name])
    return TABLE.get(name)
