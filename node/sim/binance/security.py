"""API keys, signatures and clocks, in the order Binance checks them.

A signed request carries ``timestamp`` and ``signature``; the signature is HMAC-SHA256, in hexadecimal, over the query
string followed by the body, both as sent and without the signature itself.
"""

from __future__ import annotations

import hashlib
import hmac

from node.sim.binance.errors import BinanceError, missing
from node.sim.keys import ApiKey
from node.sim.venue import WireRequest

AHEAD_MAX_MS = 1000
RECV_WINDOW_MS, RECV_WINDOW_MAX_MS = 5000, 60000


def authenticate(request: WireRequest, now_ms: int, *, futures: bool, trades: bool) -> ApiKey:
    """The request's key.

    Raises:
        BinanceError: -2014, -2015, -1022, -1021 or -1102.
    """
    key = identify(request, futures=futures)
    if not request.signature:
        raise missing("signature")
    payload = unsigned(request.query) + unsigned(request.body)
    expected = hmac.new(key.secret.encode(), payload.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected, request.signature.lower()):
        raise BinanceError(-1022, "Signature for this request is not valid.")
    _check_time(request, now_ms)
    if not (key.rights.futures if futures else key.rights.spot or not trades):
        raise denied(futures=futures)
    return key


def identify(request: WireRequest, *, futures: bool) -> ApiKey:
    """The key that the request names, for endpoints that ask for no signature.

    Raises:
        BinanceError: -2014 or -2015.
    """
    if not request.headers.get("X-MBX-APIKEY"):
        raise BinanceError(-2014, "API-key format invalid.")
    if request.key is None or request.key.revoked:
        raise denied(futures=futures)
    return request.key


def unsigned(text: str) -> str:
    """A query or a body without its signature."""
    if "signature=" not in text:
        return text
    return "&".join(part for part in text.split("&") if not part.startswith("signature="))


def _check_time(request: WireRequest, now_ms: int) -> None:
    word = request.params.get("timestamp", "")
    if not word.isdigit():
        raise missing("timestamp")
    window_word = request.params.get("recvWindow", str(RECV_WINDOW_MS))
    try:
        window_ms = float(window_word)
    except ValueError:
        raise BinanceError(-1100, "Illegal characters found in parameter 'recvWindow'.") from None
    if window_ms > RECV_WINDOW_MAX_MS:
        raise BinanceError(-1131, "'recvWindow' must be less than 60000.")
    sent_ms = int(word)
    if sent_ms >= now_ms + AHEAD_MAX_MS:
        raise BinanceError(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
    if now_ms - sent_ms > window_ms:
        raise BinanceError(-1021, "Timestamp for this request is outside of the recvWindow.")


def denied(*, futures: bool) -> BinanceError:
    """The key is unknown, revoked, or has not the right."""
    suffix = ", request ip: 127.0.0.1" if futures else ""
    return BinanceError(-2015, f"Invalid API-key, IP, or permissions for action.{suffix}")
