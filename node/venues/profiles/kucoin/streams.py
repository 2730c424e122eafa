"""KuCoin: private topics, one connection for spot and one for futures.

https://www.kucoin.com/docs-new/websocket-api/base-info/introduction: a token of a day, a welcome before anything may be
asked, and pings of the venue's own kind. Topics by github.com/Kucoin/kucoin-universal-sdk, spec/ws.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import partial
from typing import Final
from urllib.parse import quote, urlsplit

from node.domain.snapshot import MarketKind
from node.errors import VenueAnswerUnknown
from node.venues.call import Answer
from node.venues.layout import Layout, Slice
from node.venues.profiles.kucoin import calls
from node.venues.stream import Heard, Stream
from node.venues.strict import Row, row, rows, text

#: The last one named is the one whose confirmation counts: a connection answers in order.
_SPOT_TOPICS: Final = ("/account/balance", "/spotMarket/advancedOrders", "/spotMarket/tradeOrdersV2")
_FUTURES_TOPICS: Final = (
    "/contractAccount/wallet",
    "/contractMarket/advancedOrders",
    "/contract/positionAll",
    "/contractMarket/tradeOrders",
)
_PING: Final = json.dumps({"id": "ping", "type": "ping"})
#: The venue recommends every 18 s, and hangs up ten seconds after one that it has missed.
_PING_AFTER_S: Final = 15.0
_SILENCE_S: Final = 40.0


def streams(layout: Layout) -> tuple[Stream, ...]:
    """Spot's, and that of all contracts."""
    spot = [part for part in layout.slices if part.kind is MarketKind.SPOT]
    contracts = [part for part in layout.slices if part.derivative]
    found = [_stream("spot", spot, _SPOT_TOPICS, futures=False)] if spot else []
    return (*found, *([_stream("futures", contracts, _FUTURES_TOPICS, futures=True)] if contracts else []))


def _stream(name: str, parts: list[Slice], topics: tuple[str, ...], *, futures: bool) -> Stream:
    return Stream(
        name=name,
        slices=tuple(part.name for part in parts),
        url=_address,
        hear=partial(_hear, parts, topics),
        ticket=calls.ticket_call(futures=futures),
        ping=_PING,
        ping_after_s=_PING_AFTER_S,
        silence_s=_SILENCE_S,
    )


def _address(ticket: Answer) -> str:
    """Where the token says that it is good for; nowhere but at KuCoin's."""
    found = row(calls.data(ticket), "token")
    servers = rows(found.get("instanceServers"), "servers")
    if not servers:
        raise VenueAnswerUnknown("no server is named")
    endpoint = text(servers[0], "endpoint")
    parts = urlsplit(endpoint)
    if parts.scheme != "wss" or not (parts.hostname or "").endswith(".kucoin.com"):
        raise VenueAnswerUnknown("the server named is none of the venue's")
    return f"{endpoint}?token={quote(text(found, 'token'), safe='')}&connectId=node"


def _hear(parts: list[Slice], topics: tuple[str, ...], message: Answer) -> Heard:
    """A welcome, an answer to a subscription, or news of any topic."""
    document = row(message, "message")
    kind = text(document, "type")
    if kind == "welcome":
        return Heard(reply=tuple(_subscription(topic) for topic in topics))
    if kind == "ack":
        return Heard(confirmed=str(document.get("id")) == topics[-1])
    if kind == "error":
        return Heard(over=f"refused: {str(document.get('code'))[:20]} {str(document.get('data'))[:100]}")
    return Heard(changed=tuple(_touched(parts, document))) if kind == "message" else Heard()


def _touched(parts: list[Slice], document: Row) -> Iterable[str]:
    """The slices that a message is about; all of them where it does not say."""
    shown = document.get("data")
    settle = shown.get("settleCurrency") if isinstance(shown, dict) else None
    if not isinstance(settle, str):
        return [part.name for part in parts]
    linear = settle in calls.LINEAR_COINS
    mine = [part.name for part in parts if (part.kind is MarketKind.LINEAR) is linear and part.holds(settle)]
    return mine or [part.name for part in parts]


def _subscription(topic: str) -> str:
    wanted = {"id": topic, "type": "subscribe", "topic": topic, "privateChannel": True, "response": True}
    return json.dumps(wanted)
