"""Calls an ASGI application without a network."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp, Message, Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def code(self) -> object:
        """The error code of a refusal."""
        return self.document["error"]["code"]


class AsgiClient:
    """One caller, from one address."""

    def __init__(self, app: ASGIApp, *, peer: str | None = "127.0.0.1", scheme: str = "http") -> None:
        self._app = app
        self._peer = peer
        self._scheme = scheme

    async def get(self, path: str, **headers: str) -> Answer:
        """GET."""
        return await self.call("GET", path, headers=headers)

    async def post(self, path: str, body: object = None, **headers: str) -> Answer:
        """POST a JSON document, or bytes as they are."""
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        return await self.call("POST", path, content, headers=headers)

    async def call(self, method: str, path: str, content: bytes = b"", *, headers: Mapping[str, str]) -> Answer:
        """Any request; underscores in header names become dashes."""
        fields = {"host": "node", **{name.replace("_", "-"): value for name, value in headers.items()}}
        if content:
            fields = {"content-type": "application/json", "content-length": str(len(content)), **fields}
        scope: Scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": self._scheme,
            "path": path.partition("?")[0],
            "raw_path": path.partition("?")[0].encode(),
            "query_string": path.partition("?")[2].encode(),
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in fields.items()],
            "client": None if self._peer is None else (self._peer, 50_000),
            "server": ("127.0.0.1", 8787),
        }
        sent: list[Message] = []

        bodies = [content]

        async def receive() -> Message:
            if not bodies:
                await asyncio.Event().wait()  # it stays connected, and has no more to say
            return {"type": "http.request", "body": bodies.pop(), "more_body": False}

        async def send(message: Message) -> None:
            sent.append(message)

        await self._app(scope, receive, send)
        start = next(message for message in sent if message["type"] == "http.response.start")
        chunks = [message.get("body", b"") for message in sent if message["type"] == "http.response.body"]
        received = {name.decode().lower(): value.decode() for name, value in start["headers"]}
        return Answer(status=start["status"], headers=received, body=b"".join(chunks))
