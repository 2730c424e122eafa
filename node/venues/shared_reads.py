"""One request for what several slices ask at the same moment.

A venue may show all slices in one list; each of them is read and proven by itself all the same. Whoever asks what has
been asked already, and has not left yet, gets the same answer: it was not sent before either of them wanted it. What is
asked for another purpose is asked by itself: one answer cannot bear out itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from node.venues.call import Call
from node.venues.lane import is_background
from node.venues.outcomes import Attempt
from node.venues.wire import Wire

Send = Callable[[Call, Wire], Awaitable[Attempt]]
_Key = tuple[str, str, str, bool]


@dataclass(slots=True, eq=False)
class _Request:
    """One request, and how many wait for it."""

    record: Wire
    task: asyncio.Task[Attempt]
    waiting: int = 0


@dataclass(slots=True)
class SharedReads:
    """The reads of one account that have not left yet."""

    send: Send
    _requests: dict[_Key, _Request] = field(default_factory=dict)

    async def attempt(self, call: Call, purpose: str = "") -> Attempt:
        """The answer to *call*, sent no earlier than now. What waits in the background is no emergency's."""
        key = (purpose, call.endpoint, repr(call.params), is_background())
        request = self._requests.get(key)
        if request is None or request.record.left or request.task.done():
            record = Wire()
            request = _Request(record, asyncio.create_task(self._sent(call, record), name=f"read:{call.endpoint}"))
            self._requests[key] = request
            request.task.add_done_callback(lambda _: self._forget(key, record))
        request.waiting += 1
        try:
            return await asyncio.shield(request.task)
        finally:
            request.waiting -= 1
            if not request.waiting:
                self._forget(key, request.record)
                request.task.cancel()

    async def _sent(self, call: Call, record: Wire) -> Attempt:
        return await self.send(call, record)

    def _forget(self, key: _Key, record: Wire) -> None:
        request = self._requests.get(key)
        if request is not None and request.record is record:
            del self._requests[key]
