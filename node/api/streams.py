"""Server-sent events (WHATWG HTML, 9.2): documents as they happen, with heartbeats, until the daemon stops."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from typing import Final

from fastapi.responses import StreamingResponse

from node.api.errors import ApiError
from node.domain.result import Document

HEARTBEAT_INTERVAL_S: Final = 10.0

#: SQLite counts no further; Python refuses to read numbers of thousands of digits.
_SEQ_DIGITS_MAX: Final = 19

_HEARTBEAT: Final = ": heartbeat\n\n"


#: Streams that one caller may have open: each holds a connection, for as long as it likes.
STREAMS_MAX: Final = 20


class OpenStreams:
    """How many streams each caller has open."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()

    def require(self, caller: str) -> None:
        """One more may be opened.

        Raises:
            ApiError: 429.
        """
        if self._open[caller] >= STREAMS_MAX:
            headers = {"Retry-After": "1"}
            message = f"{STREAMS_MAX} streams are open: end one first"
            raise ApiError("RATE_LIMITED", HTTPStatus.TOO_MANY_REQUESTS, message, headers=headers)

    async def counted(self, caller: str, documents: AsyncIterator[Document]) -> AsyncIterator[Document]:
        """The same documents; counted from the first that is asked for until the end."""
        self._open[caller] += 1
        try:
            async for document in documents:
                yield document
        finally:
            self._open[caller] -= 1
            if not self._open[caller]:
                del self._open[caller]
            await _close(documents)


def _always() -> bool:
    return True


def event_stream(
    documents: AsyncIterator[Document],
    *,
    stopping: asyncio.Event,
    after_seq: int = 0,
    welcome: Callable[[], bool] = _always,
) -> StreamingResponse:
    """Answer with a stream of documents; those up to *after_seq* were seen before.

    It ends when the listener is no longer *welcome*, at the latest with the next heartbeat.
    """
    return StreamingResponse(
        _frames(documents, stopping, after_seq, welcome),
        media_type="text/event-stream",
        headers={"X-Accel-Buffering": "no"},
    )


def last_event_seq(header: str | None) -> int:
    """What a reconnecting client says it saw last; 0 if it says nothing sensible."""
    sensible = header is not None and header.isascii() and header.isdigit() and len(header) <= _SEQ_DIGITS_MAX
    return int(header) if header is not None and sensible else 0


async def _frames(
    documents: AsyncIterator[Document], stopping: asyncio.Event, after_seq: int, welcome: Callable[[], bool]
) -> AsyncIterator[str]:
    """Wait for the next document, the next heartbeat and the end of the daemon at once."""
    stopped = asyncio.create_task(stopping.wait(), name="api-stream-stopping")
    upcoming: asyncio.Task[Document | None] | None = None
    try:
        yield _HEARTBEAT  # so that the client knows at once that it is connected
        while not stopping.is_set():
            if upcoming is None:
                upcoming = asyncio.create_task(_next(documents), name="api-stream-next")
            await asyncio.wait({upcoming, stopped}, timeout=HEARTBEAT_INTERVAL_S, return_when=asyncio.FIRST_COMPLETED)
            if not welcome():
                return
            if not upcoming.done():
                yield _HEARTBEAT
                continue
            document, upcoming = upcoming.result(), None
            if document is None:
                return
            if document.get("seq", after_seq + 1) > after_seq:
                yield _frame(document)
    finally:
        await _end(stopped, upcoming, documents)


async def _next(documents: AsyncIterator[Document]) -> Document | None:
    return await anext(documents, None)


async def _end(
    stopped: asyncio.Task[bool], upcoming: asyncio.Task[Document | None] | None, documents: AsyncIterator[Document]
) -> None:
    tasks = [stopped] if upcoming is None else [stopped, upcoming]
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    await _close(documents)


async def _close(documents: AsyncIterator[Document]) -> None:
    close = getattr(documents, "aclose", None)  # generators have it, other iterators need not
    if close is not None:
        await close()


def _frame(document: Document) -> str:
    identity = f"id: {document['seq']}\n" if "seq" in document else ""
    return f"{identity}data: {json.dumps(document, separators=(',', ':'))}\n\n"
