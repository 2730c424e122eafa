"""Gate: private channels, one connection a market. Addresses as ccxt.pro 4.5.90 has them.

https://www.gate.com/docs/developers/apiv4/ws/en and https://www.gate.com/docs/developers/futures/ws/en: every
subscription is signed by itself; those of futures name the user, and "!all" for every market.
"""

from __future__ import annotations

import hashlib
import json
from functools import partial
from typing import Any, Final

from node.domain.permission import Effect
from node.domain.snapshot import MarketKind
from node.venues.call import Answer, Call, Ccxt
from node.venues.lane import Charge
from node.venues.layout import Layout
from node.venues.profiles.gate import calls
from node.venues.stream import Heard, Stream
from node.venues.strict import Row, row, text

_SPOT: Final = "wss://api.gateio.ws/ws/v4/"
_FUTURES: Final = "wss://fx-ws.gateio.ws/v4/ws/{settle}"
_TESTNET: Final = "wss://ws-testnet.gate.com/v4/ws/futures/usdt"
_ALL: Final = "!all"
#: The last one named is the one whose confirmation counts: a connection answers in order.
_SPOT_CHANNELS: Final = ("spot.balances", "spot.priceorders", "spot.orders_v2")
_FUTURES_CHANNELS: Final = ("futures.balances", "futures.positions", "futures.autoorders", "futures.orders")
#: Channels that take no market.
_WITHOUT_MARKET: Final = ("spot.balances", "futures.balances")
#: Who the user is, the same for every coin; asked of the wallet that is there most often.
_USER: Final = Call(
    endpoint="privateFuturesGetSettleAccounts",
    effect=Effect.READ,
    params={"settle": "usdt"},
    charges=(Charge(bucket="futures:accounts", per_key=True),),
)


def streams(layout: Layout, *, sandbox: bool) -> tuple[Stream, ...]:
    """Spot's, and one for each coin that contracts settle in; the test environment has one of USDT contracts."""
    found: list[Stream] = []
    spot = tuple(part.name for part in layout.slices if part.kind is MarketKind.SPOT)
    if spot and not sandbox:
        found.append(_stream("spot", spot, _SPOT, _SPOT_CHANNELS, None))
    coins = [(settle, kind) for kind, settles in calls.SETTLES.items() for settle in settles]
    for settle, kind in coins:
        names = tuple(part.name for part in layout.slices if part.kind is kind and part.holds(settle))
        if names and (settle == "USDT" or not sandbox):
            address = _TESTNET if sandbox else _FUTURES.format(settle=settle.lower())
            found.append(_stream(f"futures:{settle}", names, address, _FUTURES_CHANNELS, _USER))
    return tuple(found)


def _stream(name: str, slices: tuple[str, ...], address: str, channels: tuple[str, ...], ticket: Call | None) -> Stream:
    return Stream(
        name=name,
        slices=slices,
        url=lambda _: address,
        hear=partial(_hear, slices, channels[-1]),
        ticket=ticket,
        hello=partial(_hello, channels, named=ticket is not None),
    )


def _hello(channels: tuple[str, ...], exchange: Ccxt, ticket: Answer, *, named: bool) -> tuple[str, ...]:
    """The subscriptions. Without a futures wallet there is no user to name, and no stream."""
    user = [text(row(ticket, "futures account"), "user")] if named else []
    return tuple(
        _subscription(exchange, channel, [*user, *([] if channel in _WITHOUT_MARKET else [_ALL])])
        for channel in channels
    )


def _subscription(exchange: Ccxt, channel: str, payload: list[str]) -> str:
    now_s = int(exchange.nonce() / 1000)
    signed = f"channel={channel}&event=subscribe&time={now_s}"
    signature = exchange.hmac(exchange.encode(signed), exchange.encode(exchange.secret), hashlib.sha512)
    message: dict[str, Any] = {
        "time": now_s,
        "channel": channel,
        "event": "subscribe",
        "payload": payload,
        "auth": {"method": "api_key", "KEY": exchange.apiKey, "SIGN": signature},
    }
    return json.dumps(message if payload else {key: value for key, value in message.items() if key != "payload"})


def _hear(slices: tuple[str, ...], last: str, message: Answer) -> Heard:
    """An answer to a subscription, or news of any channel."""
    document = row(message, "message")
    channel, event = text(document, "channel"), document.get("event")
    if event == "subscribe":
        if (error := _error(document)) is not None:
            return Heard(over=f"{channel}: {error}")
        return Heard(confirmed=channel == last)
    if channel.endswith(".system"):
        return Heard(changed=slices, over="the venue is about to restart the connection")
    return Heard(changed=slices) if event in ("update", "all") else Heard()


def _error(document: Row) -> str | None:
    error, result = document.get("error"), document.get("result")
    if error is not None:
        return f"the subscription was refused: {str(error)[:100]}"
    refused = isinstance(result, dict) and result.get("status") not in (None, "success")
    return "the subscription was refused" if refused else None
