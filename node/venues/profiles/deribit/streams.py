"""Deribit: one connection, logged in by a signature, that tells of orders, trades and positions of every kind.

https://docs.deribit.com/articles/authentication (client signature), private/subscribe, the channels user.changes and
user.orders. Address as ccxt.pro 4.5.90 has it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Final

from node.venues.call import Answer, Ccxt
from node.venues.layout import Layout
from node.venues.profiles.deribit.answers import Family, family
from node.venues.stream import Heard, Stream
from node.venues.strict import row, text

_ADDRESS: Final = {False: "wss://www.deribit.com/ws/api/v2", True: "wss://test.deribit.com/ws/api/v2"}
CHANNELS: Final = ("user.changes.any.any.raw", "user.orders.any.any.raw")
_LOGIN, _SUBSCRIPTION, _PING = 1, 2, 3


def login(exchange: Ccxt) -> dict[str, Any]:
    """Parameters of ``public/auth`` that do not carry the secret."""
    timestamp = int(exchange.milliseconds())
    nonce = str(timestamp)
    signature = exchange.hmac(
        exchange.encode(f"{timestamp}\n{nonce}\n"), exchange.encode(exchange.secret), hashlib.sha256
    )
    return {
        "grant_type": "client_signature",
        "client_id": exchange.apiKey,
        "timestamp": timestamp,
        "nonce": nonce,
        "data": "",
        "signature": signature,
    }


def streams(layout: Layout, *, sandbox: bool) -> tuple[Stream, ...]:
    """The one stream, of all slices."""
    names = tuple(part.name for part in layout.slices)
    return (
        Stream(
            name="account",
            slices=names,
            url=lambda _: _ADDRESS[sandbox],
            hear=partial(_hear, names),
            hello=lambda exchange, _: (_request(_LOGIN, "public/auth", login(exchange)),),
            ping=_request(_PING, "public/test", {}),
        ),
    )


def _request(number: int, method: str, params: Mapping[str, Any]) -> str:
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params})


def _hear(names: tuple[str, ...], message: Answer) -> Heard:
    """An answer to one of our three requests, a heartbeat, or a notification."""
    document = row(message, "message")
    if document.get("id") in (_LOGIN, _SUBSCRIPTION):
        return _answered(document)
    if document.get("id") == _PING:
        return Heard()
    params = row(document.get("params"), "params")
    if text(document, "method") == "heartbeat":
        asks = params.get("type") == "test_request"
        return Heard(reply=(_request(_PING, "public/test", {}),) if asks else ())
    touched = _touched(params.get("data"))
    return Heard(changed=tuple(name for name in names if touched is None or name in touched))


def _answered(document: Mapping[str, Any]) -> Heard:
    error = document.get("error")
    if error is not None or document.get("result") is None:
        named = error.get("message") if isinstance(error, dict) else error
        return Heard(over=f"refused: {named}")
    if document["id"] == _LOGIN:
        return Heard(reply=(_request(_SUBSCRIPTION, "private/subscribe", {"channels": list(CHANNELS)}),))
    # Channels that the key may not have are left out of the answer.
    missing = set(CHANNELS) - set(document["result"] if isinstance(document["result"], list) else ())
    return Heard(over=f"not subscribed: {', '.join(sorted(missing))}") if missing else Heard(confirmed=True)


def _touched(data: object) -> set[str] | None:
    """The slices that a notification is about; None: it does not say."""
    found = {family(name) for name in _instruments(data)}
    return {each.value for each in found if each in (Family.LINEAR, Family.INVERSE)} if found else None


def _instruments(data: object) -> Iterable[str]:
    for entry in data if isinstance(data, list) else [data]:
        if isinstance(entry, dict):
            if isinstance(entry.get("instrument_name"), str):
                yield entry["instrument_name"]
            for name in ("orders", "positions", "trades"):
                yield from _instruments(entry.get(name, []))
