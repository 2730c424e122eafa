"""Recognises the holders of API keys at the public listener, in the order of the contract's error table."""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import Final

from fastapi import Request

from node.api.errors import ApiError
from node.api.guards import add_headers
from node.api.keyring import Keyring
from node.api.principal import Need, Principal
from node.api.rates import Bucket, StrangerRates
from node.domain.api_key import ApiKey, Scope
from node.domain.command import Door
from node.domain.rate_window import Allowance

HEADER: Final = "X-API-Key"

_BUCKETS: Final = {Need.COMMAND: Bucket.COMMANDS, Need.READ: Bucket.READS}


class KeyGate:
    """An ``Authenticator``: missing header, unknown key, ended key, rate, subscription, scopes.

    What is asked for is not looked at: the body has not even been read. Whoever has no valid key is counted by address,
    and past that limit gets 429 instead of the reason; a valid key is never held up by that.
    """

    def __init__(self, keyring: Keyring, strangers: StrangerRates) -> None:
        self._keyring = keyring
        self._strangers = strangers

    async def __call__(self, request: Request, need: Need) -> Principal:
        """The key's holder.

        Raises:
            ApiError: 401, 403, 429; 503 while the keys cannot be read.
        """
        key = self._recognise(request)
        allowance = self._keyring.take(key, _BUCKETS[need])
        add_headers(request, _rate_headers(allowance))
        if not allowance.allowed:
            raise _limited(allowance, "the key has used up its requests of this minute")
        return self._principal(key, need)

    def _recognise(self, request: Request) -> ApiKey:
        values = request.headers.getlist(HEADER)
        if not values:
            raise self._stranger(request, ApiError("UNAUTHORIZED", HTTPStatus.UNAUTHORIZED, f"{HEADER} is missing"))
        key = self._keyring.find(values[0]) if len(values) == 1 else None
        if key is None and len(values) == 1 and self._keyring.may_be_unread(values[0]):
            unread = ApiError("NOT_READY", HTTPStatus.SERVICE_UNAVAILABLE, "the API keys cannot be read now")
            raise self._stranger(request, unread)
        if key is None:
            raise self._stranger(request, ApiError("INVALID_KEY", HTTPStatus.UNAUTHORIZED, "no such API key"))
        if not self._keyring.is_active(key):
            ended = "been revoked" if key.revoked_at is not None else "expired"
            error = ApiError("KEY_REVOKED", HTTPStatus.FORBIDDEN, f"the API key has {ended}")
            raise self._stranger(request, error)
        return key

    def _stranger(self, request: Request, error: ApiError) -> ApiError:
        allowance = self._strangers.take(request.client.host if request.client else None)
        if allowance.allowed:
            return error
        add_headers(request, _rate_headers(allowance))
        return _limited(allowance, "too many requests without a valid key from this address")

    def _principal(self, key: ApiKey, need: Need) -> Principal:
        owner = self._keyring.owner(key.owner)
        if owner is None or not owner.subscribed:
            raise _forbidden("there is no active subscription")
        accounts = self._keyring.accounts_of(key)
        if not accounts:
            raise _forbidden("there is no linked account")
        if need is Need.READ and Scope.READ not in key.scopes:
            raise _forbidden("the key may not read")
        if need is Need.COMMAND and not key.actions:
            raise _forbidden("the key may not command")
        return Principal(
            issuer=key.issuer,
            door=Door.HTTP,
            operator=False,
            actions=key.actions,
            accounts=accounts,
            # Asked anew: what was found is the key as it was then.
            welcome=lambda: self._keyring.is_active(self._keyring.get(key.id)),
        )


def _forbidden(message: str) -> ApiError:
    return ApiError("FORBIDDEN", HTTPStatus.FORBIDDEN, message)


def _limited(allowance: Allowance, message: str) -> ApiError:
    return ApiError(
        "RATE_LIMITED",
        HTTPStatus.TOO_MANY_REQUESTS,
        message,
        headers={"Retry-After": str(_seconds(allowance.reset_ns))},
    )


def _rate_headers(allowance: Allowance) -> dict[str, str]:
    return {
        "X-RateLimit-Limit": str(allowance.limit),
        "X-RateLimit-Remaining": str(allowance.remaining),
        "X-RateLimit-Reset": str(_seconds(allowance.reset_ns)),
    }


def _seconds(duration_ns: int) -> int:
    """Rounded up: who waits so long is let in."""
    return max(1, math.ceil(duration_ns / 1e9))
