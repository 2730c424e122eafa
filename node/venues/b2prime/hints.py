"""B2PRIME: the hubs as hints. A message says that something may have happened; what there is, a fresh look shows.

Whether later messages are whole lists or changes is not documented, and positions are told anew with every price: what
counts is that an order, or a position's lots, is another than before. After a message that names fewer than the one
before it something may be gone. SignalR: dotnet/aspnetcore, src/SignalR/docs/specs/HubProtocol.md.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlencode

from node.domain.permission import Effect
from node.venues.b2prime import endpoints
from node.venues.b2prime.charges import ONE
from node.venues.call import Answer, Call
from node.venues.layout import Layout
from node.venues.stream import Heard, Stream
from node.venues.strict import row, rows, text

_END: Final = "\x1e"
_PING: Final = json.dumps({"type": 6}) + _END
#: The server hangs up half a minute after the client's last message; it pings every fifteen seconds.
_TALK_EVERY_S: Final = 10.0
#: Opened anew long before the token in the address ends; what the server does with it then is not documented.
_LIFETIME_S: Final = 1200.0
#: What of a row is news.
_NEWS: Final = ("status", "remainingAmount", "positionLotAmount", "available", "locked", "total")
_NAMES: Final = ("orderId", "positionId", "assetId")


def streams(layout: Layout, host: str, account: str) -> tuple[Stream, ...]:
    """One connection a hub."""
    spot = tuple(part.name for part in layout.slices if not part.derivative)
    contracts = tuple(part.name for part in layout.slices if part.derivative)
    found = [_stream("account", host, account, {"orders": (*spot, *contracts), "positions": contracts})]
    if spot:
        found.append(_stream("wallet", host, account, {"balances": spot}))
    return tuple(found)


def _stream(name: str, host: str, account: str, slices: dict[str, tuple[str, ...]]) -> Stream:
    wanted = {str(number): (topic, parts) for number, (topic, parts) in enumerate(slices.items()) if parts}
    path = endpoints.STREAMS[next(iter(slices))][0]

    def url(ticket: Answer) -> str:
        return f"wss://{host}/{path}?{urlencode({'access_token': text(row(ticket, 'token'), 'accessToken')})}"

    hello = (
        json.dumps({"protocol": "json", "version": 1}) + _END,
        *(_subscription(number, endpoints.STREAMS[topic][1], account) for number, (topic, _) in wanted.items()),
    )
    return Stream(
        name=name,
        slices=tuple(dict.fromkeys(part for _, parts in wanted.values() for part in parts)),
        url=url,
        hear=_listener({number: parts for number, (_, parts) in wanted.items()}),
        ticket=Call(endpoint="accessToken", effect=Effect.READ, charges=ONE),
        hello=lambda _exchange, _ticket: hello,
        ping=_PING,
        separator=_END,
        ping_after_s=_TALK_EVERY_S * 2,
        talk_every_s=_TALK_EVERY_S,
        silence_s=50.0,
        lifetime_s=_LIFETIME_S,
    )


def _subscription(number: str, target: str, account: str) -> str:
    return json.dumps({"type": 4, "invocationId": number, "target": target, "arguments": [account]}) + _END


def _listener(slices: dict[str, tuple[str, ...]]) -> Callable[[Answer], Heard]:
    """What messages say, by the number of their subscription."""
    known: dict[str, dict[str, Any]] = {}
    before: dict[str, int] = {}

    def hear(message: Answer) -> Heard:
        document = row(message, "message")
        kind = document.get("type")
        if kind is None:
            known.clear()
            refused = document.get("error")
            # Whether a stream without anything in it ever says so is not documented: an open hub has to do.
            return Heard(over=f"refused: {str(refused)[:200]}") if refused else Heard(confirmed=True)
        if kind == 6:
            return Heard()
        if kind in (3, 7):
            return Heard(over=f"the hub ended it: {str(document.get('error'))[:200]}")
        number = text(document, "invocationId")
        item = document["item"]
        told = {_name(each): [each.get(name) for name in _NEWS] for each in rows(_inner(item), "rows")}
        seen, last = known.setdefault(number, {}), before.get(number)
        news = any(seen.get(name) != value for name, value in told.items()) or (last is not None and len(told) < last)
        seen.update(told)
        before[number] = len(told)
        return Heard(changed=slices[number] if news or last is None else ())

    return hear


def _inner(item: Answer) -> Answer:
    return item.get("item") if isinstance(item, dict) else item


def _name(entry: Any) -> str:  # noqa: ANN401 - JSON
    return next(str(entry[name]) for name in _NAMES if entry.get(name))
