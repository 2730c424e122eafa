"""A SignalR hub on loopback that says what it is told to."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import trustme
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer

from node.venues.b2prime.exchange import b2prime
from tests.support.b2prime import ACCOUNT, OFFLINE

END = "\x1e"


@dataclass(slots=True)
class HubServer:
    exchange: Any = None
    #: By target: the records sent after a subscription; ``ID`` in them becomes its id. Absent: silence.
    says: dict[str, list[Any]] = field(default_factory=dict)
    handshake: str = "{}" + END
    #: Statuses of the coming connections that are refused.
    refusals: list[int] = field(default_factory=list)
    connections: list[tuple[str, str]] = field(default_factory=list)
    heard: list[Any] = field(default_factory=list)
    tokens: int = 0

    async def exchange_token(self, _request: web.Request) -> web.Response:
        self.tokens += 1
        return web.json_response({"accessToken": f"JWT-{self.tokens}"})

    async def hub(self, request: web.Request) -> web.StreamResponse:
        self.connections.append((request.path, request.query["access_token"]))
        if self.refusals:
            return web.Response(status=self.refusals.pop(0))
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for frame in socket:
            if frame.type is not WSMsgType.TEXT:
                break
            for record in frame.data.split(END)[:-1]:
                await self.answer(socket, json.loads(record))
        return socket

    async def answer(self, socket: web.WebSocketResponse, message: Any) -> None:
        self.heard.append(message)
        if "protocol" in message:
            await socket.send_str(self.handshake)
        elif message["type"] == 4:
            records = self.says.get(message["target"], [])
            texts = [each if isinstance(each, str) else json.dumps(each) + END for each in records]
            if texts:
                await socket.send_str("".join(texts).replace('"ID"', json.dumps(message["invocationId"])))


def item(document: Any) -> dict[str, Any]:
    """A record of the stream that was asked for."""
    return {"type": 2, "invocationId": "ID", "item": document}


@asynccontextmanager
async def hub_server(**options: Any) -> AsyncIterator[HubServer]:
    """An instance of ``b2prime`` in front of the hub."""
    authority = trustme.CA()
    context, trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(trust)
    server = HubServer()
    app = web.Application()
    app.router.add_post("/frontoffice/api/v4/access-token", server.exchange_token)
    for version in ("v3", "v4"):
        app.router.add_get(f"/frontoffice/ws/{version}/account", server.hub)
    listening = TestServer(app, host="127.0.0.1")
    await listening.start_server(ssl=context)
    own = {"hostname": f"127.0.0.1:{listening.port}", "accountId": ACCOUNT, **options}
    server.exchange = b2prime({"token": OFFLINE, "options": own, "enableRateLimit": False})
    server.exchange.ssl_context, server.exchange.timeout_on_exit = trust, 0
    try:
        yield server
    finally:
        await server.exchange.close()
        await listening.close()
