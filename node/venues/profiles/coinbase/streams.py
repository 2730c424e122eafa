"""Coinbase: one connection, subscribed by a signed token, that tells of orders.

https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/websocket (overview, channels). Nothing tells of
balances. Address as Coinbase's own SDK has it (coinbase-advanced-py, WS_USER_BASE_URL).
"""

from __future__ import annotations

import json
from functools import partial
from typing import Final

from node.venues.call import Answer, Ccxt
from node.venues.layout import Layout
from node.venues.stream import Heard, Stream
from node.venues.strict import row, rows, text

ADDRESS: Final = "wss://advanced-trade-ws-user.coinbase.com"
#: Without heartbeats a channel on which nothing happens is closed.
CHANNELS: Final = ("user", "heartbeats")


def streams(layout: Layout) -> tuple[Stream, ...]:
    """The one stream."""
    names = tuple(part.name for part in layout.slices)
    return (
        Stream(
            name="user",
            slices=names,
            url=lambda _: ADDRESS,
            hear=partial(_hear, names),
            hello=lambda exchange, _: tuple(_subscription(exchange, channel) for channel in CHANNELS),
        ),
    )


def _subscription(exchange: Ccxt, channel: str) -> str:
    """Each with a token of its own. Without products it is for all."""
    return json.dumps({"type": "subscribe", "channel": channel, "jwt": exchange.stream_token()})


def _hear(names: tuple[str, ...], message: Answer) -> Heard:
    document = row(message, "message")
    if document.get("type") == "error":
        return Heard(over=f"refused: {document.get('message')}")
    channel = text(document, "channel")
    if channel == "subscriptions":
        events = rows(document.get("events"), "events")
        return Heard(confirmed=any("user" in row(each.get("subscriptions"), "subscriptions") for each in events))
    return Heard(changed=names if channel == "user" else ())
