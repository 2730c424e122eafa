"""The venue's SignalR hubs, as far as they are used: subscribe to streams over one WebSocket, and read.

Source: dotnet/aspnetcore, src/SignalR/docs/specs/HubProtocol.md (JSON), which the venue's own examples follow. A
client of our own, and not pysignalr: that one opens its connections with another library, without the caller's
session (address, proxy, certificate authority, source address), and connects again on its own account, while each
check here wants the first message of a subscription that nobody has renewed behind its back.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable
from typing import Any, Final

import aiohttp

_END: Final = "\x1e"
_ITEM, _COMPLETION, _STREAM, _CANCEL, _PING, _CLOSE = 2, 3, 4, 5, 6, 7


class HubError(Exception):
    """A hub ended the connection or a stream, or spoke in a way that is not understood."""


class Hub:
    """One connection, after ``open``."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._next = 0
        self._pending: list[dict[str, Any]] = []

    async def open(self) -> None:
        """Agree on the protocol.

        Raises:
            HubError: the hub does not agree.
        """
        await self._send({"protocol": "json", "version": 1})
        answer = await self._receive()
        if answer.get("error") is not None or answer.get("type") is not None:
            raise HubError("the hub refused the handshake")

    async def subscribe(self, target: str, arguments: Iterable[Any]) -> str:
        """Start a stream; its id."""
        stream, self._next = str(self._next), self._next + 1
        await self._send({"type": _STREAM, "invocationId": stream, "target": target, "arguments": list(arguments)})
        return stream

    async def unsubscribe(self, stream: str) -> None:
        """End a stream."""
        await self._send({"type": _CANCEL, "invocationId": stream})

    async def items(self) -> AsyncIterator[tuple[str, Any]]:
        """Stream and item of each message, until the hub ends the connection.

        Raises:
            HubError: a stream failed, or the connection did.
        """
        while True:
            message = await self._receive()
            kind, stream = message.get("type"), message.get("invocationId")
            if kind == _ITEM and isinstance(stream, str) and "item" in message:
                yield stream, message["item"]
            elif kind == _COMPLETION:
                raise HubError(f"the hub ended a stream: {_brief(message.get('error'))}")
            elif kind == _CLOSE:
                raise HubError(f"the hub ended the connection: {_brief(message.get('error'))}")
            elif kind == _PING:
                await self._send({"type": _PING})
            else:
                raise HubError("the hub sent a message that is not understood")

    async def _send(self, message: dict[str, Any]) -> None:
        try:
            await self._socket.send_str(json.dumps(message, separators=(",", ":")) + _END)
        except (aiohttp.ClientError, ConnectionError):
            raise HubError("the connection is closed") from None

    async def _receive(self) -> dict[str, Any]:
        while not self._pending:
            frame = await self._socket.receive()
            if frame.type is not aiohttp.WSMsgType.TEXT:
                raise HubError("the connection was closed")
            *records, rest = frame.data.split(_END)
            if rest:
                raise HubError("the hub sent half a message")
            self._pending.extend(_read(record) for record in records)
        return self._pending.pop(0)


def _read(record: str) -> dict[str, Any]:
    try:
        message = json.loads(record)
    except (ValueError, RecursionError):
        raise HubError("the hub sent something that is no JSON") from None
    if not isinstance(message, dict):
        raise HubError("the hub sent something that is no message")
    return message


def _brief(error: object) -> str:
    return error[:200] if isinstance(error, str) else "without a reason"
