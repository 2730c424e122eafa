"""The last look at the lock, with a real connection behind it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import aiohttp
import pytest

from node.signals.fence import fence_trace, fenced, passing


@pytest.mark.parametrize("method", ["GET", "PUT", "POST"])
async def test_an_order_that_is_lost_with_its_connection_is_not_written_again(method: str) -> None:
    """aiohttp does that by itself with GET and PUT, which some exchanges place orders with."""
    handlers: list[asyncio.Task[Any] | None] = []
    arrived: list[bytes] = []

    async def loses(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.append(asyncio.current_task())
        with contextlib.suppress(asyncio.IncompleteReadError):  # opened again, and nothing was written
            arrived.append(await reader.readuntil(b"\r\n\r\n"))
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(loses, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, aiohttp.ClientSession(trace_configs=[fence_trace()]) as session:

        async def plain(url: str, method: str, _headers: Any, _body: Any) -> None:
            async with session.request(method, url) as answer:
                await answer.read()

        send = fenced(plain, lambda _url, _method: True)
        with passing(lambda: None) as passage, pytest.raises(aiohttp.ClientError):
            await send(f"http://127.0.0.1:{port}/api/v2/private/buy", method, None, None)
        assert passage.written
        await asyncio.gather(*filter(None, handlers))
    assert len(arrived) == 1
