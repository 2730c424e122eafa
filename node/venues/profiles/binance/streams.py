"""Binance: user data streams. Addresses as ccxt.pro 4.5.90 has them.

https://developers.binance.com/docs/derivatives/usds-margined-futures/user-data-streams and the same of coin-margined
(a listen key of an hour, prolonged by PUT), .../binance-spot-api-docs/web-socket-api (a signed subscription), and
.../margin_trading/trade-data-stream/Listen-Token-Websocket-API (a token of a day).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Final

from node.domain.permission import Effect
from node.domain.snapshot import MarketKind
from node.venues.call import Answer, Call, Ccxt
from node.venues.lane import Charge
from node.venues.layout import Layout, Slice
from node.venues.stream import Heard, Stream
from node.venues.strict import row, text

_LINEAR: Final = {False: "wss://fstream.binance.com/private/ws", True: "wss://fstream.binancefuture.com/private/ws"}
_INVERSE: Final = {False: "wss://dstream.binance.com/ws", True: "wss://dstream.binancefuture.com/ws"}
_API: Final = {
    False: "wss://ws-api.binance.com:443/ws-api/v3",
    True: "wss://demo-ws-api.binance.com/ws-api/v3",
}
#: Events after which nothing more comes.
_OVER: Final = frozenset({"listenKeyExpired", "eventStreamTerminated", "serverShutdown"})
#: Events that say nothing of orders, positions or balances.
_IDLE: Final = frozenset({"ACCOUNT_CONFIG_UPDATE", "GRID_UPDATE", "STRATEGY_UPDATE"})
#: A listen key lives for an hour without this.
RENEW_EVERY_S: Final = 20 * 60.0
_SUBSCRIBE_ID: Final = "subscribe"


def streams(layout: Layout, *, sandbox: bool) -> tuple[Stream, ...]:
    """One stream for each product in use; a margin account only outside of demo trading."""
    by_kind: dict[MarketKind, list[Slice]] = {}
    for part in layout.slices:
        by_kind.setdefault(part.kind, []).append(part)
    found: list[Stream] = []
    for kind, parts in by_kind.items():
        if kind is MarketKind.SPOT:
            found.append(_spot(parts, sandbox))
        elif kind is MarketKind.MARGIN:
            found += [] if sandbox else [_margin(parts)]
        else:
            found.append(_futures(kind, parts, sandbox))
    return tuple(found)


def _futures(kind: MarketKind, parts: list[Slice], sandbox: bool) -> Stream:
    bucket, prefix = ("fapi", "fapiPrivate") if kind is MarketKind.LINEAR else ("dapi", "dapiPrivate")
    charges = (Charge(bucket=bucket),)

    def url(ticket: Answer) -> str:
        key = text(row(ticket, "listen key"), "listenKey")
        return f"{_LINEAR[sandbox]}?listenKey={key}" if kind is MarketKind.LINEAR else f"{_INVERSE[sandbox]}/{key}"

    return Stream(
        name=kind.value,
        slices=_names(parts),
        url=url,
        hear=partial(_hear, parts),
        ticket=Call(endpoint=f"{prefix}PostListenKey", effect=Effect.READ, charges=charges),
        renewal=Call(endpoint=f"{prefix}PutListenKey", effect=Effect.READ, charges=charges),
        renew_every_s=RENEW_EVERY_S,
        confirmed_by_opening=True,
    )


def _spot(parts: list[Slice], sandbox: bool) -> Stream:
    return Stream(
        name=MarketKind.SPOT.value,
        slices=_names(parts),
        url=lambda _: _API[sandbox],
        hear=partial(_hear, parts),
        hello=lambda exchange, _: (_subscription("userDataStream.subscribe.signature", signed(exchange)),),
    )


def _margin(parts: list[Slice]) -> Stream:
    def hello(_exchange: Ccxt, ticket: Answer) -> tuple[str, ...]:
        token = text(row(ticket, "listen token"), "token")
        return (_subscription("userDataStream.subscribe.listenToken", {"listenToken": token}),)

    return Stream(
        name=MarketKind.MARGIN.value,
        slices=_names(parts),
        url=lambda _: _API[False],
        hear=partial(_hear, parts),
        ticket=Call(
            endpoint="sapiPostUserListenToken",
            effect=Effect.READ,
            charges=(Charge(bucket="sapi:uid", per_key=True),),
        ),
        hello=hello,
    )


def signed(exchange: Ccxt) -> dict[str, Any]:
    """Parameters of a request over the WebSocket API: in alphabetical order, nothing encoded, the key among them."""
    params = {
        "apiKey": exchange.apiKey,
        "recvWindow": exchange.options["recvWindow"],
        "timestamp": int(exchange.nonce()),
    }
    query = exchange.rawencode(exchange.keysort(params))
    if "PRIVATE KEY" not in exchange.secret:
        signature = exchange.hmac(exchange.encode(query), exchange.encode(exchange.secret), hashlib.sha256)
    elif len(exchange.secret) > 120:
        signature = exchange.rsa(query, exchange.secret, "sha256")
    else:
        signature = exchange.eddsa(exchange.encode(query), exchange.secret, "ed25519")
    return {**params, "signature": signature}


def _subscription(method: str, params: Mapping[str, Any]) -> str:
    return json.dumps({"id": _SUBSCRIBE_ID, "method": method, "params": params})


def _hear(parts: list[Slice], message: Answer) -> Heard:
    """An answer to a subscription, or an event, in whichever envelope it comes."""
    document = row(message, "message")
    if document.get("id") == _SUBSCRIBE_ID:
        if document.get("status") == 200 and isinstance(document.get("result"), dict):
            return Heard(confirmed=True)
        error = document.get("error")
        return Heard(
            over=f"the subscription was refused: {error if isinstance(error, dict) else document.get('status')}"
        )
    event = next((document[name] for name in ("event", "data") if isinstance(document.get(name), dict)), document)
    kind = text(event, "e")
    if kind in _OVER:
        return Heard(changed=_names(parts), over=kind)
    return Heard() if kind in _IDLE else Heard(changed=_touched(parts, event))


def _touched(parts: list[Slice], event: Mapping[str, Any]) -> tuple[str, ...]:
    """The slices that an event is about; all of the product's where it does not say."""
    symbols = [str(entry["s"]) for entry in _entries(event, "o", "P") if "s" in entry]
    coins = [str(entry["a"]) for entry in _entries(event, "B") if "a" in entry]
    if not symbols and not coins:
        return _names(parts)
    found = [
        part.name
        for part in parts
        if part.settle is None
        or any(symbol.partition("_")[0].endswith(part.settle) for symbol in symbols)
        or any(part.holds_coin(coin) for coin in coins)
    ]
    return tuple(found) or _names(parts)


def _entries(event: Mapping[str, Any], *names: str) -> Iterable[Mapping[str, Any]]:
    """Orders, positions or balances in an event, wherever it keeps them."""
    inner = event.get("a")
    for source in (event, inner if isinstance(inner, dict) else {}):
        for name in names:
            value = source.get(name)
            listed = value if isinstance(value, list) else [value]
            yield from (entry for entry in listed if isinstance(entry, dict))


def _names(parts: list[Slice]) -> tuple[str, ...]:
    return tuple(part.name for part in parts)
