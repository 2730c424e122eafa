"""API keys, signatures and clocks.

The signature is HMAC-SHA256, in hexadecimal, over timestamp, key, receive window, and the query or the body as sent. A
stream is opened with one over ``GET/realtime`` and the time until which it is good.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from node.sim.bybit.errors import BybitError
from node.sim.keys import ApiKey, KeyRing
from node.sim.venue import WireRequest

AHEAD_MAX_MS: Final = 1000
RECV_WINDOW_MS: Final = 5000


def authenticate(request: WireRequest, now_ms: int) -> ApiKey:
    """The request's key.

    Raises:
        BybitError: 10001, 10002, 10003 or 10004.
    """
    stamp, public = request.headers.get("X-BAPI-TIMESTAMP", ""), request.headers.get("X-BAPI-API-KEY", "")
    if not (stamp and public and request.signature):
        message = (
            f"empty value: apiTimestamp[{stamp}] apiKey[{public}] apiSignature[{request.signature}]: "
            "openapi sign params error!"
        )
        raise BybitError(10001, message, status=401)
    if request.key is None or request.key.revoked:
        raise BybitError(10003, "API key is invalid.")
    window = request.headers.get("X-BAPI-RECV-WINDOW", "")
    check_time(stamp, window, now_ms)
    signed = stamp + public + window + (request.body if request.method == "POST" else request.query)
    if not _matches(request.key, signed, request.signature):
        raise BybitError(10004, "error sign! origin_string[...]")
    return request.key


def authenticate_stream(keys: KeyRing, arguments: object, now_ms: int) -> ApiKey:
    """The key that opens a stream, from the arguments of ``auth``.

    Raises:
        BybitError: 10001, 10003 or 10004.
    """
    if not isinstance(arguments, list) or len(arguments) != 3:
        raise BybitError(10001, "Params Error")
    public, expires, signature = (str(argument) for argument in arguments)
    key = keys.by_public.get(public)
    if key is None or key.revoked:
        raise BybitError(10003, "API key is invalid.")
    if not expires.isdigit() or int(expires) <= now_ms:
        raise BybitError(10001, "Params Error")
    if not _matches(key, f"GET/realtime{expires}", signature):
        raise BybitError(10004, "Params Error")
    return key


def check_time(stamp: str, window: str, now_ms: int) -> None:
    """Compare the client's clock with the venue's; ``server - window <= stamp < server + 1000``.

    Raises:
        BybitError: 10001 or 10002.
    """
    if not stamp.isdigit() or not (window or "0").isdigit():
        raise BybitError(10001, "Request parameter error.")
    window_ms = int(window or RECV_WINDOW_MS)
    if not now_ms - window_ms <= int(stamp) < now_ms + AHEAD_MAX_MS:
        message = (
            "invalid request, please check your server timestamp or recv_window param. "
            f"req_timestamp[{stamp}],server_timestamp[{now_ms}],recv_window[{window_ms}]"
        )
        raise BybitError(10002, message)


def _matches(key: ApiKey, signed: str, signature: str) -> bool:
    expected = hmac.new(key.secret.encode(), signed.encode(), hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, signature)
