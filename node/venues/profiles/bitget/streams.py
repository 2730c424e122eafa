"""Bitget: the private streams of both kinds of account, as hints.

https://www.bitget.com/api-doc/common/websocket-intro (login, ping), contract/websocket/private, spot/websocket/private,
uta/websocket/private. Every subscription is sent when the one before it was confirmed; the last confirms the stream.
"""

from __future__ import annotations

import hashlib
import json
from functools import partial
from typing import Any, Final

from node.domain.snapshot import MarketKind
from node.venues.call import Answer, Ccxt
from node.venues.layout import Layout, Slice
from node.venues.profiles.bitget import words
from node.venues.stream import Heard, Stream
from node.venues.strict import row, text

_HOST: Final = {False: "wss://ws.bitget.com", True: "wss://wspap.bitget.com"}
#: A connection without a "ping" for two minutes is closed.
_PING_AFTER_S: Final = 25.0

Argument = dict[str, str]


def streams(layout: Layout, *, unified: bool, sandbox: bool) -> tuple[Stream, ...]:
    """One connection for the unified account; one for spot and one for futures of a classic one."""
    if unified:
        topics = [{"instType": "UTA", "topic": name} for name in ("order", "strategy-order", "position", "account")]
        return (_stream("unified", layout.slices, "/v3/ws/private", topics, sandbox=sandbox),)
    spot = [part for part in layout.slices if part.market_kind is MarketKind.SPOT]
    contracts = [part for part in layout.slices if part.derivative]
    found = []
    if spot:
        topics = [_orders("SPOT", name) for name in ("orders", "orders-algo")] + [_wallet("SPOT")]
        found.append(_stream("spot", spot, "/v2/ws/private", topics, sandbox=sandbox))
    if contracts:
        kinds = dict.fromkeys(kind for part in contracts for kind in words.products(part))
        topics = [
            topic
            for kind in kinds
            for topic in (
                *(_orders(kind, name) for name in ("orders", "orders-algo", "positions")),
                _wallet(kind),
            )
        ]
        found.append(_stream("contracts", contracts, "/v2/ws/private", topics, sandbox=sandbox))
    return tuple(found)


def _orders(kind: str, channel: str) -> Argument:
    return {"instType": kind, "channel": channel, "instId": "default"}


def _wallet(kind: str) -> Argument:
    return {"instType": kind, "channel": "account", "coin": "default"}


def _stream(
    name: str, parts: list[Slice] | tuple[Slice, ...], path: str, topics: list[Argument], *, sandbox: bool
) -> Stream:
    return Stream(
        name=name,
        slices=tuple(part.name for part in parts),
        url=lambda _: f"{_HOST[sandbox]}{path}",
        hear=partial(_hear, tuple(parts), tuple(topics)),
        hello=_login,
        ping="ping",
        pong="pong",
        ping_after_s=_PING_AFTER_S,
    )


def _login(exchange: Ccxt, _ticket: Answer) -> tuple[str, ...]:
    """The signature of ``GET /user/verify`` at a time in seconds."""
    timestamp = str(int(exchange.nonce()) // 1000)
    signed = exchange.encode(f"{timestamp}GET/user/verify")
    credentials = {
        "apiKey": exchange.apiKey,
        "passphrase": exchange.password,
        "timestamp": timestamp,
        "sign": exchange.hmac(signed, exchange.encode(exchange.secret), hashlib.sha256, "base64"),
    }
    return (json.dumps({"op": "login", "args": [credentials]}),)


def _subscribe(topic: Argument) -> str:
    return json.dumps({"op": "subscribe", "args": [topic]})


def _hear(parts: tuple[Slice, ...], topics: tuple[Argument, ...], message: Answer) -> Heard:
    """An answer to the login or to a subscription, an error, or an event."""
    document = row(message, "message")
    event = document.get("event")
    if event == "login" and str(document.get("code")) == "0":
        return Heard(reply=(_subscribe(topics[0]),))
    if event == "subscribe":
        confirmed = row(document.get("arg"), "arg")
        place = next((at for at, topic in enumerate(topics) if _same(topic, confirmed)), len(topics) - 1)
        if place == len(topics) - 1:
            return Heard(confirmed=True)
        return Heard(reply=(_subscribe(topics[place + 1]),))
    if event is not None:
        return Heard(over=f"refused: {str(event)[:20]} {str(document.get('code'))[:10]} {document.get('msg')}")
    return Heard(changed=_touched(parts, row(document.get("arg"), "arg")))


def _same(topic: Argument, confirmed: Any) -> bool:  # noqa: ANN401 - a row
    names = ("instType", "channel", "topic")
    return all(topic.get(name) == confirmed.get(name) for name in names)


def _touched(parts: tuple[Slice, ...], topic: Any) -> tuple[str, ...]:  # noqa: ANN401 - a row
    """The slices that a topic is about; all of the stream's where it does not say."""
    kind = text(topic, "instType")
    found = tuple(part.name for part in parts if part.derivative and kind in words.products(part))
    return found or tuple(part.name for part in parts)
