"""Bybit V5: the private stream, one for all slices. Hints only.

https://bybit-exchange.github.io/docs/v5: ws/connect (addresses, login, heartbeat every 20 s) and websocket/private
(topics ``order``, ``position``, ``wallet``, each of all categories).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from functools import partial
from typing import Final

from node.domain.snapshot import MarketKind
from node.venues.call import Answer, Ccxt
from node.venues.layout import Layout, Slice
from node.venues.profiles.bybit.calls import CATEGORY
from node.venues.stream import Heard, Stream
from node.venues.strict import Row, row, rows, text

#: How long a login may take to arrive.
_LOGIN_MS: Final = 10_000
_SUBSCRIPTION: Final = json.dumps({"op": "subscribe", "args": ["order", "position", "wallet"]})
_WALLET: Final = "wallet"
#: Sites with a stream of their own; the others' accounts are told of at bybit.com.
_STREAM_HOSTS: Final = ("bybit.com", "bytick.com", "bybit.tr", "bybit.id", "bybit.kz", "bybitgeorgia.ge", "manepa.jp")


def streams(layout: Layout, hostname: str, environment: str) -> tuple[Stream, ...]:
    """The one stream. *environment*: ``""``, ``"-testnet"`` or ``"-demo"``, as hosts are named."""
    host = hostname if hostname in _STREAM_HOSTS else "bybit.com"
    parts = layout.slices
    return (
        Stream(
            name="private",
            slices=tuple(part.name for part in parts),
            url=lambda _: f"wss://stream{environment}.{host}/v5/private",
            hear=partial(_hear, parts),
            hello=lambda exchange, _: (login(exchange),),
            ping='{"op":"ping"}',
            ping_after_s=20.0,
            silence_s=50.0,
        ),
    )


def login(exchange: Ccxt) -> str:
    """Signed for ``GET/realtime`` and the time at which it expires."""
    expires = int(exchange.nonce()) + _LOGIN_MS
    words = f"GET/realtime{expires}"
    if "PRIVATE KEY" in exchange.secret:
        signature = exchange.rsa(words, exchange.secret, "sha256")
    else:
        signature = exchange.hmac(exchange.encode(words), exchange.encode(exchange.secret), hashlib.sha256)
    return json.dumps({"op": "auth", "args": [exchange.apiKey, expires, signature]})


def _hear(parts: tuple[Slice, ...], message: Answer) -> Heard:
    """An answer to what we have sent, or an event of a topic."""
    document = row(message, "message")
    if "topic" in document:
        topic = text(document, "topic")
        return Heard(changed=tuple(_touched(parts, topic, rows(document.get("data"), topic))))
    done = text(document, "op")
    if done in ("ping", "pong"):
        return Heard()
    if document.get("success") is not True:
        return Heard(over=f"{done} was refused: {str(document.get('ret_msg'))[:200]}")
    return Heard(reply=(_SUBSCRIPTION,)) if done == "auth" else Heard(confirmed=done == "subscribe")


def _touched(parts: tuple[Slice, ...], topic: str, entries: Iterable[Row]) -> Iterable[str]:
    """The slices of an event's categories. The wallet is reported on spot, and changes with everything else."""
    if topic == _WALLET:
        return [part.name for part in parts if part.market_kind is MarketKind.SPOT]
    categories = {text(entry, "category") for entry in entries}
    return [part.name for part in parts if CATEGORY[part.market_kind] in categories]
