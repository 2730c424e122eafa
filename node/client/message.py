"""What a message to an exchange's WebSocket can do, told from the message alone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from node.client.request import words

#: Where venues say what a message is for.
_VERBS: Final = (
    "op",
    "method",
    "event",
    "action",
    "cmd",
    "command",
    "type",
    "e",
    "reqtype",
    "requesttype",
    "channel",
    "path",
)
_KEEPING: Final = frozenset(
    [
        "ping",
        "pong",
        "heartbeat",
        "hello",
        "subscribe",
        "unsubscribe",
        "sub",
        "unsub",
        "subscription",
        "login",
        "logon",
        "logout",
        "auth",
        "authenticate",
        "authorize",
        "authentication",
        "signin",
        "listen",
        "session",
        "heartbeats",
        "respond",
        "info",
    ]
)
_ACTING: Final = frozenset(
    [
        "add",
        "amend",
        "batch",
        "borrow",
        "buy",
        "create",
        "edit",
        "modify",
        "new",
        "on",
        "order",
        "orders",
        "place",
        "replace",
        "sell",
        "submit",
        "trade",
        "transfer",
        "withdraw",
        "post",
        "ou",
        "ox",
    ]
)
#: The same, where orders may be asked after: nouns say nothing there.
_DEEDS: Final = _ACTING - frozenset(["batch", "new", "on", "order", "orders", "post", "trade"])
_CANCELLING: Final = frozenset(["cancel", "cancelled", "oc", "cancelall"])
_AMENDING: Final = frozenset(["replace", "amend", "edit", "modify", "new", "place", "create"])


def read_message(sent: object) -> Any:  # noqa: ANN401 - JSON
    """The message as data; text that is no JSON stays text."""
    if isinstance(sent, bytes | bytearray):
        sent = bytes(sent).decode("utf-8", "replace")
    if isinstance(sent, str):
        try:
            return json.loads(sent)
        except (ValueError, RecursionError):
            return sent
    return sent


def housekeeping(asked: Any) -> bool:  # noqa: ANN401 - JSON
    """Whether it subscribes, logs in or keeps the connection, and asks for nothing."""
    said = set(_said(asked))
    if isinstance(asked, Mapping):
        said |= {str(key).lower() for key in asked} & {"ping", "pong", "sub", "unsub", "subscribe", "unsubscribe"}
        events = set(words(" ".join(str(asked.get(name, "")) for name in ("op", "method", "event", "action", "type"))))
        if events & {"subscribe", "unsubscribe"}:
            return not events & (_ACTING - {"on"})  # what is subscribed to may well be orders
    return bool(said & _KEEPING) and not said & _ACTING


def acts(asked: Any) -> bool:  # noqa: ANN401 - JSON
    """Whether it says that it places, changes or moves something: the second look at what should only ask."""
    return bool(set(_said(asked)) & _DEEDS) and not housekeeping(asked) and not cancels(asked)


def cancels(asked: Any) -> bool:  # noqa: ANN401 - JSON
    """Whether it cancels orders and does nothing else."""
    said = set(_said(asked))
    return bool(said & _CANCELLING) and not said & _AMENDING


def _said(asked: Any) -> Iterator[str]:  # noqa: ANN401 - JSON
    """The words that say what it is for."""
    if isinstance(asked, str):
        yield from words(asked[:40])
    elif isinstance(asked, list):
        if len(asked) > 1 and isinstance(asked[1], str):
            yield from words(asked[1])  # bitfinex: [0, "on", null, {…}]
    elif isinstance(asked, Mapping):
        for key, value in asked.items():
            if str(key).lower().replace("_", "") in _VERBS and isinstance(value, str):
                yield from words(value)
        inner = asked.get("request")  # hyperliquid
        if isinstance(inner, Mapping):
            payload = inner.get("payload")
            action = payload.get("action") if isinstance(payload, Mapping) else None
            yield from words(str(action.get("type", "")) if isinstance(action, Mapping) else str(inner.get("type", "")))
