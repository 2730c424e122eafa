"""MEXC: the private stream of futures, as hints. (Spot tells in a binary format that nothing here decodes.)

https://www.mexc.com/api-docs/futures/websocket-api: after the login all private channels are told, without being asked
for.
"""

from __future__ import annotations

import hashlib
import json
from functools import partial
from typing import Final

from node.venues.call import Answer, Ccxt
from node.venues.layout import Layout, Slice
from node.venues.profiles.mexc import words
from node.venues.stream import Heard, Stream
from node.venues.strict import row, text

_URL: Final = "wss://contract.mexc.com/edge"
#: A connection without a ping for a minute is closed.
_PING_AFTER_S: Final = 15.0
_CHANNEL: Final = "push.personal."
#: Of the private channels, those that tell of no order, position or balance.
_SAYS_NOTHING: Final = frozenset({"adl.level", "risk.limit", "position.mode", "leverage", "leverage.mode"})


def streams(layout: Layout) -> tuple[Stream, ...]:
    """One connection for all contracts."""
    parts = tuple(part for part in layout.slices if part.derivative)
    if not parts:
        return ()
    stream = Stream(
        name="contracts",
        slices=tuple(part.name for part in parts),
        url=lambda _: _URL,
        hear=partial(_hear, parts),
        hello=_login,
        ping='{"method":"ping"}',
        ping_after_s=_PING_AFTER_S,
    )
    return (stream,)


def _login(exchange: Ccxt, _ticket: Answer) -> tuple[str, ...]:
    """Key and time, signed."""
    time = str(int(exchange.nonce()))
    signed = exchange.encode(f"{exchange.apiKey}{time}")
    signature = exchange.hmac(signed, exchange.encode(exchange.secret), hashlib.sha256)
    param = {"apiKey": exchange.apiKey, "reqTime": time, "signature": signature}
    return (json.dumps({"method": "login", "param": param}),)


def _hear(parts: tuple[Slice, ...], message: Answer) -> Heard:
    """The answer to the login, an error, a pong, or an event."""
    document = row(message, "message")
    channel = text(document, "channel")
    if channel == "rs.login" and document.get("data") == "success":
        return Heard(confirmed=True)
    if channel in ("rs.login", "rs.error"):
        return Heard(over=f"refused: {str(document.get('data'))[:200]}")
    if not channel.startswith(_CHANNEL) or channel.removeprefix(_CHANNEL) in _SAYS_NOTHING:
        return Heard()
    return Heard(changed=_touched(parts, document.get("data")))


def _touched(parts: tuple[Slice, ...], data: object) -> tuple[str, ...]:
    """The slices that an event is about, by its market; all of the stream's where it names none."""
    market_id = data.get("symbol") if isinstance(data, dict) else None
    every = tuple(part.name for part in parts)
    if not isinstance(market_id, str) or not market_id:
        return every
    kind, settle = words.by_name(market_id)
    return tuple(part.name for part in parts if part.kind is kind and part.holds(settle)) or every
