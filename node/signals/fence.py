"""The last look at the lock: where an order's bytes are written.

Whatever comes before (a token, a signature, a new connection) may take longer than a lock needs to come. So the fence
is asked before ccxt's request is handed to aiohttp, and again when the connection is there. Once the order is written
it is asked no more: what ccxt then reads about it must not make a placed order look like a refused one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import aiohttp

#: Raises ``Refused`` where the order must not leave any more.
Fence = Callable[[], None]
Send = Callable[..., Awaitable[Any]]


@dataclass(slots=True)
class Passage:
    """One call that may place an order, on its way out."""

    fence: Fence
    #: The request that may be the order has been handed to aiohttp.
    handed_over: bool = False
    #: Its bytes are being written: from here on it may be at the exchange.
    written: bool = False
    #: The request under way may be the order.
    ordering: bool = False
    #: Another request came after the order: the newest answer is not the order's.
    followed: bool = False

    def check(self) -> None:
        """Ask the fence, unless it is too late."""
        if not self.written:
            self.fence()


_passage: ContextVar[Passage | None] = ContextVar("signal_passage", default=None)


@contextmanager
def passing(fence: Fence) -> Iterator[Passage]:
    """Requests made inside pass the fence."""
    passage = Passage(fence)
    token = _passage.set(passage)
    try:
        yield passage
    finally:
        _passage.reset(token)


def fenced(send: Send, is_order: Callable[[str, str], bool]) -> Send:
    """ccxt's ``fetch`` behind the fence. *is_order* tells by address and method what may be the order itself."""

    async def fetch(url: str, method: str, headers: Any, body: Any) -> Any:  # noqa: ANN401 - ccxt's own
        passage = _passage.get()
        if passage is not None:
            passage.check()
            passage.followed = passage.followed or passage.written
            passage.ordering = is_order(url, method)
            passage.handed_over = passage.handed_over or passage.ordering
        return await send(url, method, headers, body)

    return fetch


def fence_trace() -> aiohttp.TraceConfig:
    """The same when the connection is there.

    aiohttp calls back immediately before it writes the head of a request, together with its body; what is raised here
    ends the request, and closes the connection with nothing written. What is lost with its connection it writes again
    by itself where the method is GET or PUT, which some exchanges place orders with: an order is written once.
    """

    async def about_to_be_written(
        _session: aiohttp.ClientSession, _context: SimpleNamespace, _params: aiohttp.TraceRequestHeadersSentParams
    ) -> None:
        passage = _passage.get()
        if passage is not None:
            if passage.ordering and passage.written:
                raise aiohttp.ServerDisconnectedError("the connection was lost; an order is not written again")
            passage.check()
            passage.written = passage.handed_over

    config = aiohttp.TraceConfig()
    config.on_request_headers_sent.append(about_to_be_written)
    return config
