"""Hyperliquid: one WebSocket connection that tells of orders, fills, and coins that come and go.

https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api/websocket/subscriptions and
.../websocket/timeouts-and-heartbeats. Nothing is signed: anybody may listen to any address. An address from which we
connect may listen to ten accounts; further ones are refused, and polled.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from node.venues.call import Answer
from node.venues.layout import Layout, Slice
from node.venues.profiles.hyperliquid.answers import of_spot
from node.venues.stream import Heard, Stream
from node.venues.strict import row, text

_ADDRESSES: Final = {False: "wss://api.hyperliquid.xyz/ws", True: "wss://api.hyperliquid-testnet.xyz/ws"}
#: The last one's answer stands for all: they are answered in turn.
_TOPICS: Final = ("userEvents", "userNonFundingLedgerUpdates", "userTwapHistory", "orderUpdates")
#: Said first, and no JSON.
_GREETING: Final = "Websocket connection established."
#: The venue hangs up on who has heard nothing for a minute.
_PING_AFTER_S: Final = 25.0


def streams(layout: Layout, user: str, *, sandbox: bool) -> tuple[Stream, ...]:
    """One for all slices."""
    stream = Stream(
        name="account",
        slices=tuple(part.name for part in layout.slices),
        url=lambda _: _ADDRESSES[sandbox],
        hear=partial(_hear, layout.slices),
        hello=lambda _exchange, _ticket: tuple(_subscription(topic, user) for topic in _TOPICS),
        ping=json.dumps({"method": "ping"}),
        pong=_GREETING,
        ping_after_s=_PING_AFTER_S,
        silence_s=55.0,
    )
    return (stream,)


def _subscription(topic: str, user: str) -> str:
    return json.dumps({"method": "subscribe", "subscription": {"type": topic, "user": user}})


def _hear(parts: tuple[Slice, ...], message: Answer) -> Heard:
    document = row(message, "message")
    channel, data = text(document, "channel"), document.get("data")
    if channel == "pong":
        return Heard()
    if channel == "error":
        return Heard(over=f"the venue refuses: {str(data)[:200]}")
    if channel == "subscriptionResponse":
        subscription = row(row(data, "data").get("subscription"), "subscription")
        return Heard(confirmed=subscription.get("type") == _TOPICS[-1])
    return Heard(changed=_touched(parts, list(_coins(data))))


def _touched(parts: tuple[Slice, ...], coins: list[str]) -> tuple[str, ...]:
    """Slices of the coins that a message names; all where it names none."""
    derivative = {not of_spot(coin) for coin in coins}
    return tuple(part.name for part in parts if not derivative or part.derivative in derivative)


def _coins(data: Any) -> Iterator[str]:  # noqa: ANN401 - JSON
    """Every "coin" in a message, however deep."""
    if isinstance(data, dict):
        if isinstance(data.get("coin"), str):
            yield data["coin"]
        for value in data.values():
            yield from _coins(value)
    elif isinstance(data, list):
        for value in data:
            yield from _coins(value)
