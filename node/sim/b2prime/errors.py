"""Refusals. Status codes are documented for few calls, and the body for none: its form is a switch.

The usual one is what ASP.NET Core answers by itself, a problem document of RFC 7807 (inferred). ``code`` in it is this
simulator's word, for the request journal.
"""

from __future__ import annotations

import json

from node.sim.b2prime.switches import Switches
from node.sim.refusals import Reason
from node.sim.venue import WireAnswer

_TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    429: "Too Many Requests",
    500: "Internal Server Error",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}
_TEXTS = {
    Reason.MARKET_CLOSED: "The market is closed for trading.",
    Reason.QUANTITY_ZERO: "The amount must be greater than zero.",
    Reason.QUANTITY_BELOW_MINIMUM: "The amount is less than the minimum of the market.",
    Reason.QUANTITY_ABOVE_MAXIMUM: "The amount exceeds the maximum of the market.",
    Reason.MARKET_QUANTITY_ABOVE_MAXIMUM: "The amount exceeds the maximum of the market.",
    Reason.QUANTITY_PRECISION: "The amount is not a multiple of the market's step.",
    Reason.PRICE_ZERO: "The price must be greater than zero.",
    Reason.PRICE_PRECISION: "The price is not a multiple of the market's tick size.",
    Reason.PRICE_ABOVE_BAND: "The price deviates too much from the market price.",
    Reason.PRICE_BELOW_BAND: "The price deviates too much from the market price.",
    Reason.COUNTERPARTY_PRICE: "There is no liquidity within the allowed slippage.",
    Reason.INSUFFICIENT_BALANCE: "Insufficient balance.",
    Reason.INSUFFICIENT_MARGIN: "Insufficient free margin.",
    Reason.REDUCE_ONLY_REJECTED: "The position is closed already.",
    Reason.UNFILLABLE: "The order cannot be filled entirely.",
    Reason.TRIGGERS_IMMEDIATELY: "The activation price is reached already.",
    Reason.UNKNOWN_ORDER: "The order was not found.",
    Reason.UNKNOWN_SYMBOL: "The market was not found.",
    Reason.KEY_DENIED: "The token is not valid.",
    Reason.TOO_MANY_ORDERS: "Too many requests.",
    Reason.OVERLOADED: "The service is not available at the moment.",
    Reason.STATUS_UNKNOWN: "The request timed out.",
}
_STATUSES = {
    Reason.UNKNOWN_SYMBOL: 404,
    Reason.KEY_DENIED: 401,
    Reason.CLOCK: 401,
    Reason.TOO_MANY_ORDERS: 429,
    Reason.OVERLOADED: 503,
    Reason.STATUS_UNKNOWN: 504,
}


class B2primeError(Exception):
    """The request is refused."""

    def __init__(self, status: int, code: str, message: str) -> None:
        self.status = status
        self.code = code
        self.message = message
        super().__init__(message)


def of_reason(reason: Reason, switches: Switches) -> B2primeError:
    """What the core refuses, in this venue's words."""
    status = _STATUSES.get(reason, 400)
    if reason is Reason.UNKNOWN_ORDER:
        status = switches.unknown_order_status
    message = _TEXTS.get(reason, f"The request was refused: {reason.value}.")
    return B2primeError(status, reason.value, message)


def bad_request(message: str) -> B2primeError:
    """A part of the request is missing or wrong."""
    return B2primeError(400, "validation", message)


def not_found(what: str) -> B2primeError:
    """There is no such thing, or it is somebody else's."""
    return B2primeError(404, "not_found", f"The {what} was not found.")


def unauthorized() -> B2primeError:
    """No token, or one that is not valid any more."""
    return B2primeError(401, "unauthorized", "The access token is missing, expired or not valid.")


def forbidden(message: str) -> B2primeError:
    """The token is good, and does not permit it."""
    return B2primeError(403, "forbidden", message)


def refused(error: B2primeError, switches: Switches) -> WireAnswer:
    """The answer that says so, in the form that is switched on."""
    answer = WireAnswer(status=error.status, body=b"", code=error.code)
    if switches.error_body == "problem":
        document = {
            "type": f"https://httpstatuses.io/{error.status}",
            "title": _TITLES.get(error.status, "Error"),
            "status": error.status,
            "detail": error.message,
            "code": error.code,
            "traceId": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
        }
        answer.body = json.dumps(document).encode()
        answer.headers["Content-Type"] = "application/problem+json; charset=utf-8"
    elif switches.error_body == "message":
        answer.body = json.dumps({"message": error.message}).encode()
    elif switches.error_body == "text":
        answer.body = error.message.encode()
        answer.headers["Content-Type"] = "text/plain; charset=utf-8"
    if error.status == 401:
        answer.headers["WWW-Authenticate"] = "Bearer"
    return answer
