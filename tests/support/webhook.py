"""A webhook's other end, on loopback: it answers as it is told, or not at all."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass(slots=True)
class Received:
    """One attempt as it arrived."""

    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class WebhookServer:
    """Serves on a thread of its own, for tests that wait for processes."""

    port: int = 0
    #: How the next ones are answered; the last for ever. None: not at all.
    statuses: list[int | None] = field(default_factory=lambda: [204])
    received: list[Received] = field(default_factory=list)
    #: Set while somebody waits for an answer that does not come.
    hanging: threading.Event = field(default_factory=threading.Event)
    answered: int = 0
    #: Ends what hangs, with the test.
    closing: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        """Where to post to."""
        return f"http://127.0.0.1:{self.port}/hook"

    async def handle(self, request: web.Request) -> web.Response:
        """Take an attempt down, and answer as told."""
        self.received.append(Received(headers=dict(request.headers), body=await request.read()))
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        if status is None:
            self.hanging.set()
            await self.closing.wait()
            return web.Response(status=503)
        self.answered += 1
        headers = {"Location": f"http://127.0.0.1:{self.port}/elsewhere"} if status in (301, 302, 307, 308) else {}
        return web.Response(status=status or 500, headers=headers)


@contextmanager
def webhook_server(*statuses: int | None) -> Iterator[WebhookServer]:
    """Runs until the block ends."""
    server = WebhookServer(statuses=list(statuses) or [204])
    loop, ready = asyncio.new_event_loop(), threading.Event()
    state: dict[str, Any] = {}

    async def start() -> None:
        app = web.Application()
        app.router.add_post("/{path}", server.handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        state["runner"] = runner
        server.port = runner.addresses[0][1]
        ready.set()

    def serve() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(start())
        loop.run_forever()
        loop.run_until_complete(state["runner"].cleanup())
        loop.close()

    thread = threading.Thread(target=serve, name="webhook", daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(server.closing.set)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
