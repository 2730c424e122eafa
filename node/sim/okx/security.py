"""API keys, signatures and clocks of OKX: headers of an HTTP request, and the ``login`` of a WebSocket.

Both sign ``timestamp + method + path + body`` with HMAC-SHA256, in Base64. HTTP sends the time as ISO 8601 in
milliseconds, the path with its query as sent; a login sends whole seconds, and always ``GET /users/self/verify``.
Either may differ from the venue's clock by thirty seconds. Source: "Authentication" and "Login" of the API v5
documentation.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
from collections.abc import Mapping

from node.sim.keys import ApiKey, KeyRing
from node.sim.okx.errors import OkxError, no_permission
from node.sim.venue import WireRequest

WINDOW_MS = 30_000
LOGIN_PATH = "/users/self/verify"
HEADERS = (
    ("OK-ACCESS-KEY", "50103"),
    ("OK-ACCESS-SIGN", "50106"),
    ("OK-ACCESS-TIMESTAMP", "50107"),
    ("OK-ACCESS-PASSPHRASE", "50104"),
)
_UNKNOWN_KEY = {False: ("50111", "Invalid OK-ACCESS-KEY"), True: ("50119", "API key doesn't exist")}


def authenticate(request: WireRequest, now_ms: int, *, trades: bool) -> ApiKey:
    """The request's key.

    Raises:
        OkxError: 50101 to 50107, 50111 to 50113, 50119 or 50120.
    """
    headers = request.headers
    for name, code in HEADERS:
        if not headers.get(name):
            raise OkxError(code, f'Request header "{name}" cannot be empty.')
    key = request.key
    if key is None or key.revoked:
        raise OkxError(*_UNKNOWN_KEY[key is not None])
    if headers.get("x-simulated-trading") == "1":
        raise OkxError("50101", "APIKey does not match current environment.")
    if not hmac.compare_digest(headers["OK-ACCESS-PASSPHRASE"].encode(), key.passphrase.encode()):
        raise OkxError("50105", 'Request header "OK-ACCESS-PASSPHRASE" incorrect.')
    _check_time(headers["OK-ACCESS-TIMESTAMP"], now_ms)
    path = f"{request.path}?{request.query}" if request.query else request.path
    payload = headers["OK-ACCESS-TIMESTAMP"] + request.method + path + request.body
    if not hmac.compare_digest(sign(key.secret, payload).encode(), headers["OK-ACCESS-SIGN"].encode()):
        raise OkxError("50113", "Invalid signature")
    if trades and not may_trade(key):
        raise no_permission()
    return key


def check_life(request: WireRequest, now_ms: int) -> None:
    """The header ``expTime`` of orders: until when, in milliseconds, they may be taken. It may be left out.

    Raises:
        OkxError: 50036, 50037.
    """
    until = request.headers.get("expTime", "")
    if until and not until.isdecimal():
        raise OkxError("50037", "The expTime format is incorrect.")
    if until and int(until) < now_ms:
        raise OkxError("50036", "The expTime can't be earlier than the current system time. Please adjust the expTime.")


def log_in(keys: KeyRing, wanted: Mapping[str, object], now_ms: int) -> ApiKey:
    """The key of a WebSocket's login.

    Raises:
        OkxError: 60004 to 60007, 60024 or 60032.
    """
    key = keys.by_public.get(str(wanted.get("apiKey")))
    if key is None or key.revoked:
        raise OkxError("60005", "Invalid apiKey") if key is None else OkxError("60032", "API key doesn't exist.")
    if wanted.get("passphrase") != key.passphrase:
        raise OkxError("60024", "Wrong passphrase")
    timestamp = str(wanted.get("timestamp"))
    try:
        sent_ms = float(timestamp) * 1000
    except ValueError:
        raise OkxError("60004", "Invalid timestamp") from None
    if abs(sent_ms - now_ms) > WINDOW_MS:
        raise OkxError("60006", "Timestamp request expired")
    expected = sign(key.secret, f"{timestamp}GET{LOGIN_PATH}")
    if not hmac.compare_digest(expected.encode(), str(wanted.get("sign")).encode()):
        raise OkxError("60007", "Invalid sign")
    return key


def may_trade(key: ApiKey) -> bool:
    """OKX has one right to trade, for all products."""
    return key.rights.spot and key.rights.futures


def sign(secret: str, payload: str) -> str:
    """The signature of a payload."""
    return base64.b64encode(hmac.new(secret.encode(), payload.encode(), hashlib.sha256).digest()).decode()


def _check_time(word: str, now_ms: int) -> None:
    try:
        sent = dt.datetime.fromisoformat(word)
    except ValueError:
        sent = None
    if sent is None or sent.tzinfo is None:
        raise OkxError("50112", "Invalid OK-ACCESS-TIMESTAMP")
    if abs(sent.timestamp() * 1000 - now_ms) > WINDOW_MS:
        raise OkxError("50102", "Timestamp request expired")
