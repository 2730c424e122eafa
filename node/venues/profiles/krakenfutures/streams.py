"""Kraken Futures: private feeds, by a login with a challenge.

https://docs.kraken.com/api/docs/futures-api/websocket/challenge, .../open_orders and .../fills; how a challenge is
signed is ccxt.pro's and .../guides/futures-websockets'. The feeds of positions and balances speak at every change of
price, and say nothing more of changes than fills and orders do.
"""

from __future__ import annotations

import hashlib
import json
from functools import partial
from typing import Any, Final

from node.domain.snapshot import MarketKind
from node.venues.call import Answer, Ccxt
from node.venues.layout import Layout, Slice
from node.venues.profiles.krakenfutures.answers import kind_of
from node.venues.stream import Heard, Stream
from node.venues.strict import Row, row, text

_URLS: Final = {False: "wss://futures.kraken.com/ws/v1", True: "wss://demo-futures.kraken.com/ws/v1"}
#: Subscribed one after the other; with the last, the stream tells.
_FEEDS: Final = ("open_orders", "fills")
#: First messages of feeds, which say what is so and not what has changed.
_SNAPSHOT: Final = "_snapshot"
_IDLE: Final = ("info", "pong", "unsubscribed")


def stream(layout: Layout, *, sandbox: bool) -> Stream:
    """One for both kinds of contracts."""
    return Stream(
        name="private",
        slices=tuple(part.name for part in layout.slices),
        url=lambda _: _URLS[sandbox],
        hear=partial(_hear, layout.slices),
        hello=lambda exchange, _: (json.dumps({"event": "challenge", "api_key": exchange.apiKey}),),
    )


def _hear(parts: tuple[Slice, ...], message: Answer) -> Heard:
    document = row(message, "message")
    event = document.get("event")
    if event == "challenge":
        return _next(text(document, "message"), _FEEDS[0])
    if event == "subscribed":
        feed = text(document, "feed")
        if feed == _FEEDS[-1]:
            return Heard(confirmed=True)
        return _next(text(document, "original_challenge"), _FEEDS[_FEEDS.index(feed) + 1])
    if event is not None:
        refused = event not in _IDLE
        return Heard(over=f"{event}: {str(document.get('message', ''))[:100]}" if refused else None)
    feed = text(document, "feed")
    return Heard() if feed.endswith(_SNAPSHOT) or feed == "heartbeat" else Heard(changed=_touched(parts, document))


def _next(challenge: str, feed: str) -> Heard:
    """The subscription to a feed, which the key has to sign."""

    def subscription(exchange: Ccxt) -> tuple[str, ...]:
        signed = {"original_challenge": challenge, "signed_challenge": signature(exchange, challenge)}
        return (json.dumps({"event": "subscribe", "feed": feed, "api_key": exchange.apiKey, **signed}),)

    return Heard(signed=subscription)


def signature(exchange: Ccxt, challenge: str) -> str:
    """HMAC-SHA-512 of the challenge's SHA-256 with the decoded secret, in base 64."""
    digest = hashlib.sha256(challenge.encode()).digest()
    return str(exchange.hmac(digest, exchange.base64_to_binary(exchange.secret), hashlib.sha512, "base64"))


def _touched(parts: tuple[Slice, ...], document: Row) -> tuple[str, ...]:
    """The slices of the contracts that a message names; all where it names none."""
    kinds = {kind_of(name) for name in _instruments(document)}
    return tuple(part.name for part in parts if part.kind in (kinds or set(MarketKind)))


def _instruments(document: Row) -> list[str]:
    entries: list[Any] = [document.get("order"), *(document.get("fills") or [])]
    names = [each.get("instrument") for each in entries if isinstance(each, dict)]
    return [name for name in names if isinstance(name, str)]
