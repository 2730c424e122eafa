"""The WebSocket side of a simulated venue: one connection from its handshake to its end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from aiohttp import WSMsgType, web

from node.sim.streams import Connection, StreamSession, StreamSwitch


async def serve_stream(
    request: web.BaseRequest,
    connection: Connection,
    open_session: Callable[[Connection], StreamSession],
    switch: StreamSwitch,
) -> web.StreamResponse:
    """Carry messages both ways until either side ends it. Ping frames are answered."""
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    with switch.holding(connection):
        session = open_session(connection)
        writer = asyncio.create_task(_write(request, socket, connection))
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    session.received(str(message.data))
        finally:
            session.closed()
            writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writer
    return socket


async def _write(request: web.BaseRequest, socket: web.WebSocketResponse, connection: Connection) -> None:
    while (text := await connection.next()) is not None:
        try:
            await socket.send_str(text)
        except ConnectionError:
            return  # the reader sees it too
    if request.transport is not None:
        request.transport.abort()
