"""Why an alert placed nothing, or why it is not known whether it did."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from http import HTTPStatus
from typing import Final


class Code(StrEnum):
    """Stable names of what can go wrong with an alert."""

    BAD_REQUEST = "BAD_REQUEST"
    BAD_SYMBOL = "BAD_SYMBOL"
    BAD_QUANTITY = "BAD_QUANTITY"
    BAD_PRICE = "BAD_PRICE"
    MISSING_PRICE = "MISSING_PRICE"
    BAD_LEVERAGE = "BAD_LEVERAGE"
    INVALID_KEY = "INVALID_KEY"
    KEY_REVOKED = "KEY_REVOKED"
    KEY_EXPIRED = "KEY_EXPIRED"
    UNKNOWN_ACCOUNT = "UNKNOWN_ACCOUNT"
    NOT_PERMITTED = "NOT_PERMITTED"
    ENGINE_LOCKED = "ENGINE_LOCKED"
    NOT_SUPPORTED = "NOT_SUPPORTED"
    ORDER_REFUSED = "ORDER_REFUSED"
    RATE_LIMITED = "RATE_LIMITED"
    VENUE_UNAVAILABLE = "VENUE_UNAVAILABLE"
    NOT_READY = "NOT_READY"
    #: The order may have been placed. Never sent again.
    ORDER_UNKNOWN = "ORDER_UNKNOWN"


#: TradingView repeats an alert that was answered with 5xx, except for 504: what may have been placed is never a 5xx
#: that invites a repetition, and what waits for an unlock is none either.
STATUS: Final[dict[Code, HTTPStatus]] = {
    Code.BAD_REQUEST: HTTPStatus.BAD_REQUEST,
    Code.BAD_SYMBOL: HTTPStatus.BAD_REQUEST,
    Code.BAD_QUANTITY: HTTPStatus.BAD_REQUEST,
    Code.BAD_PRICE: HTTPStatus.BAD_REQUEST,
    Code.MISSING_PRICE: HTTPStatus.BAD_REQUEST,
    Code.BAD_LEVERAGE: HTTPStatus.BAD_REQUEST,
    Code.INVALID_KEY: HTTPStatus.UNAUTHORIZED,
    Code.KEY_REVOKED: HTTPStatus.FORBIDDEN,
    Code.KEY_EXPIRED: HTTPStatus.FORBIDDEN,
    Code.NOT_PERMITTED: HTTPStatus.FORBIDDEN,
    Code.UNKNOWN_ACCOUNT: HTTPStatus.NOT_FOUND,
    Code.ENGINE_LOCKED: HTTPStatus.CONFLICT,
    Code.NOT_SUPPORTED: HTTPStatus.UNPROCESSABLE_ENTITY,
    Code.ORDER_REFUSED: HTTPStatus.UNPROCESSABLE_ENTITY,
    Code.RATE_LIMITED: HTTPStatus.TOO_MANY_REQUESTS,
    Code.VENUE_UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    Code.NOT_READY: HTTPStatus.SERVICE_UNAVAILABLE,
    Code.ORDER_UNKNOWN: HTTPStatus.GATEWAY_TIMEOUT,
}


class Refused(Exception):
    """The alert placed nothing; with ``ORDER_UNKNOWN``, nobody knows."""

    def __init__(self, code: Code, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.code, self.message = code, message
        #: Of the answer.
        self.headers = dict(headers or {})

    @property
    def status(self) -> HTTPStatus:
        """Of the answer."""
        return STATUS[self.code]
