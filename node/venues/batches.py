"""Closes of one slice that come at the same moment: few leave each with its own request, many several in one.

One request that is lost, slow or refused holds up what is in it, so that few are better alone. Signing and sending one
costs the better part of a millisecond, so that the last of many is sooner there in company.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Final

from node.clock import Clock
from node.domain.steps import ClosePosition, Outcome, StepResult
from node.venues.lane import is_background
from node.venues.layout import Slice

#: Sends some closes of one slice with one request; one result each, in order. Raises for nothing that the venue does.
Send = Callable[[Slice, Sequence[ClosePosition]], Awaitable[Sequence[StepResult]]]

#: So many at the same moment go each by itself.
ALONE_MAX: Final = 8
#: How long everything goes by itself after a request for several whose outcome is not certain.
ALONE_AFTER_TROUBLE_NS: Final = 30_000_000_000

#: Emergencies never share a request with work that waits for its turn.
_Key = tuple[str, bool]
_Waiting = tuple[ClosePosition, "asyncio.Future[StepResult]"]


@dataclass(slots=True)
class _Batch:
    """What waits to leave together."""

    part: Slice
    waiting: list[_Waiting] = field(default_factory=list)
    #: How many there were when somebody last looked.
    seen: int = 0


class Batches:
    """Collects closes until a request is full, or a turn of the event loop has brought no more."""

    def __init__(self, send: Send, clock: Clock) -> None:
        self._send = send
        self._clock = clock
        self._open: dict[_Key, _Batch] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        #: Per slice.
        self._alone_until_ns: dict[str, int] = {}

    def alone(self, part: Slice, among: int) -> bool:
        """Whether a close that comes *among* so many has a request of its own."""
        return among <= ALONE_MAX or self._clock.monotonic_ns() < self._alone_until_ns.get(part.name, 0)

    def requests(self, part: Slice, closes: int, *, at_most: int) -> int:
        """How many requests so many closes make that come at the same moment."""
        if at_most == 1 or self.alone(part, closes):
            return closes
        return 1 + ceil((closes - 1) / at_most)  # the first one leaves while the others are put together

    async def close(self, step: ClosePosition, part: Slice, *, at_most: int) -> StepResult:
        """Carry out one close with others of its slice, as many as come and one request takes."""
        loop, key = asyncio.get_running_loop(), (part.name, is_background())
        batch = self._open.get(key)
        if batch is None:
            batch = self._open[key] = _Batch(part)
            loop.call_soon(self._look, key, batch)
        result: asyncio.Future[StepResult] = loop.create_future()
        batch.waiting.append((step, result))
        if len(batch.waiting) >= at_most:
            self._leave(key, batch)
        return await result

    async def stop(self) -> None:
        """Wait for nothing any more."""
        leaving = list(self._leaving)
        for task in leaving:
            task.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)

    def _look(self, key: _Key, batch: _Batch) -> None:
        if self._open.get(key) is not batch:
            return  # it was full, and has left
        if len(batch.waiting) > batch.seen:
            batch.seen = len(batch.waiting)
            asyncio.get_running_loop().call_soon(self._look, key, batch)
        else:
            self._leave(key, batch)

    def _leave(self, key: _Key, batch: _Batch) -> None:
        del self._open[key]
        task = asyncio.get_running_loop().create_task(self._sent(batch), name=f"closes:{batch.part.name}")
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def _sent(self, batch: _Batch) -> None:
        results = [result for _, result in batch.waiting if not result.done()]
        try:
            ended = await self._send(batch.part, [step for step, _ in batch.waiting])
        except asyncio.CancelledError:
            for result in results:
                result.cancel()
            raise
        except Exception as error:  # noqa: BLE001 - a fault of ours: the workers that wait are told, and supervise
            for result in results:
                if not result.done():
                    result.set_exception(error)
            return
        if any(result.outcome is Outcome.AMBIGUOUS for result in ended):
            self._alone_until_ns[batch.part.name] = self._clock.monotonic_ns() + ALONE_AFTER_TROUBLE_NS
        for (_, result), end in zip(batch.waiting, ended, strict=True):
            if not result.done():
                result.set_result(end)
