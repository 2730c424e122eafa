"""OKX: private WebSockets, as hints.

https://www.okx.com/docs-v5/en/#overview-websocket (login, subscriptions, "ping" and "pong" as text within 30 seconds),
.../#order-book-trading-trade-ws-order-channel, .../#trading-account-websocket-balance-and-position-channel and
.../#order-book-trading-algo-trading-ws-algo-orders-channel (on a host path of its own).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Final

from node.domain.snapshot import MarketKind
from node.venues.call import Answer, Ccxt
from node.venues.layout import Layout, Slice
from node.venues.profiles.okx.words import CONTRACT_TYPES, SPOT_TYPES, kind_by_name, settle_by_name
from node.venues.stream import Heard, Stream
from node.venues.strict import row, rows, text

_HOST: Final = {False: "wss://ws.okx.com:8443/ws/v5", True: "wss://wspap.okx.com:8443/ws/v5"}
#: Of each connection; the last one's confirmation is the subscription's. Neither channel repeats itself by the clock.
_PRIVATE: Final = ({"channel": "orders", "instType": "ANY"}, {"channel": "balance_and_position"})
_BUSINESS: Final = (
    {"channel": "orders-algo", "instType": "ANY"},
    {"channel": "algo-advance", "instType": "ANY"},
)
#: The venue hangs up after 30 seconds of silence.
PING_AFTER_S: Final = 20.0


def streams(layout: Layout, *, sandbox: bool) -> tuple[Stream, ...]:
    """One that tells of orders, positions and balances; and one of algo orders, which alone vouches for no slice."""
    return (
        _stream("private", layout.slices, layout.slices, _PRIVATE, sandbox=sandbox),
        _stream("business", layout.slices, (), _BUSINESS, sandbox=sandbox),
    )


def _stream(
    path: str,
    parts: tuple[Slice, ...],
    vouched: tuple[Slice, ...],
    channels: tuple[Mapping[str, str], ...],
    *,
    sandbox: bool,
) -> Stream:
    return Stream(
        name=path,
        slices=_names(vouched),
        url=lambda _: f"{_HOST[sandbox]}/{path}",
        hear=partial(_hear, parts, channels),
        hello=lambda exchange, _: (login(exchange),),
        ping="ping",
        pong="pong",
        ping_after_s=PING_AFTER_S,
        silence_s=2 * PING_AFTER_S,
    )


def login(exchange: Ccxt) -> str:
    """Signed like a GET of a path that does not exist, in seconds of the venue's clock."""
    timestamp = str(int(exchange.nonce()) // 1000)
    signed = exchange.encode(f"{timestamp}GET/users/self/verify")
    signature = exchange.hmac(signed, exchange.encode(exchange.secret), hashlib.sha256, "base64")
    identity = {"apiKey": exchange.apiKey, "passphrase": exchange.password}
    return json.dumps({"op": "login", "args": [{**identity, "timestamp": timestamp, "sign": signature}]})


def _hear(parts: tuple[Slice, ...], channels: tuple[Mapping[str, str], ...], message: Answer) -> Heard:
    document = row(message, "message")
    event = document.get("event")
    if event is None:
        return Heard(changed=_touched(parts, document))
    if event == "login" and document.get("code") == "0":
        return Heard(reply=(json.dumps({"op": "subscribe", "args": list(channels)}),))
    if event == "subscribe":
        return Heard(confirmed=text(row(document.get("arg"), "arg"), "channel") == channels[-1]["channel"])
    if event == "channel-conn-count":
        return Heard()
    return Heard(changed=_names(parts), over=f"{event} {document.get('code', '')} {document.get('msg', '')}"[:200])


def _touched(parts: tuple[Slice, ...], document: Mapping[str, Any]) -> tuple[str, ...]:
    """The slices that a push is about; all of them where it does not say."""
    entries = rows(document.get("data"), "data")
    found = [name for entry in entries for name in _told(parts, entry)]
    return tuple(dict.fromkeys(found)) if all(_told(parts, entry) for entry in entries) else _names(parts)


def _told(parts: tuple[Slice, ...], entry: Mapping[str, Any]) -> tuple[str, ...]:
    """An order by its instrument; a change of the account by its positions, and its coins (which spot reports)."""
    inner = entry.get("posData")
    named = [entry] if "instId" in entry else [each for each in _entries(inner) if "instId" in each]
    found = [part for part in parts for each in named if _concerns(part, each)]
    if entry.get("balData"):
        found += [part for part in parts if not part.derivative]
    return _names(found)


def _entries(value: object) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _concerns(part: Slice, entry: Mapping[str, Any]) -> bool:
    kind, inst_id = entry.get("instType"), str(entry.get("instId"))
    if kind in SPOT_TYPES:
        return part.market_kind is MarketKind.SPOT
    if kind not in CONTRACT_TYPES:
        return False
    return kind_by_name(inst_id) is part.kind and part.holds(settle_by_name(inst_id))


def _names(parts: Iterable[Slice]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.name for part in parts))
