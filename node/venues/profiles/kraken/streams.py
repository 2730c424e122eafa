"""Kraken: what happens to orders and balances, by the second version of its WebSocket API.

https://docs.kraken.com/api/docs/websocket-v2/executions, .../websocket-v2/balances and .../guides/spot-ws-auth: a token
of fifteen minutes opens a subscription that lasts as long as its connection.
"""

from __future__ import annotations

import json
from functools import partial
from typing import Final

from node.domain.permission import Effect
from node.venues.call import Answer, Call, Ccxt
from node.venues.lane import Charge
from node.venues.layout import Layout
from node.venues.profiles.kraken.answers import result
from node.venues.stream import Heard, Stream
from node.venues.strict import row, text

_URL: Final = "wss://ws-auth.kraken.com/v2"
#: Subscribed together; with the first, the stream tells.
_CHANNELS: Final = {"executions": {"snap_orders": False, "snap_trades": False}, "balances": {"snapshot": False}}


def stream(layout: Layout, charges: tuple[Charge, ...]) -> Stream:
    """One for the account; heartbeats come every second."""
    names = tuple(part.name for part in layout.slices)
    return Stream(
        name="private",
        slices=names,
        url=lambda _: _URL,
        hear=partial(_hear, names),
        ticket=Call(endpoint="privatePostGetWebSocketsToken", effect=Effect.READ, charges=charges),
        hello=_hello,
        ping=json.dumps({"method": "ping"}),
        ping_after_s=10.0,
        silence_s=30.0,
    )


def _hello(_exchange: Ccxt, ticket: Answer) -> tuple[str, ...]:
    token = text(result(ticket, "token"), "token")
    return tuple(
        json.dumps({"method": "subscribe", "params": {"channel": channel, "token": token, **wishes}})
        for channel, wishes in _CHANNELS.items()
    )


def _hear(names: tuple[str, ...], message: Answer) -> Heard:
    document = row(message, "message")
    if document.get("method") == "subscribe":
        if document.get("success") is not True:
            return Heard(over=f"the subscription was refused: {str(document.get('error', ''))[:100]}")
        channel = row(document.get("result"), "subscription").get("channel")
        return Heard(confirmed=channel == next(iter(_CHANNELS)))
    tells = document.get("channel") in _CHANNELS and document.get("type") != "snapshot"
    return Heard(changed=names if tells else ())
