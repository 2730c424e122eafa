"""Python's garbage collector, kept from pausing an emergency.

What is there once accounts are ready stays: markets, sockets, views, hundreds of thousands of objects. A full pass over
them takes 60 ms with one account and 200 with a hundred, and by default comes several times a second while orders are
made (measured). Garbage without cycles is freed as ever, without the collector.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterable
from types import TracebackType
from typing import Final, Self

import structlog

from node.engine.actor import AccountActor

#: How many more objects than were freed begin a pass over the youngest, so many of those one over the middle
#: generation, and so many of those one over all (gc.set_threshold). By default 700, 10, 10: short, and many.
THRESHOLDS: Final = (2_000, 20, 100)
#: A command's orders have left, and what it leaves is proven, before.
PAUSE_S: Final = 2.0
#: Commands one after the other must not let the memory grow.
LONGEST_PAUSE_S: Final = 5.0

log = structlog.get_logger(__name__)


class Collector:
    """Of this process: it passes seldom, and not while orders are about to leave, until the context ends."""

    def __init__(self) -> None:
        self._before = gc.get_threshold()
        #: What ends a pause that is under way, and the loop's time at which it ends in any case.
        self._resuming: asyncio.TimerHandle | None = None
        self._latest_s = 0.0

    def __enter__(self) -> Self:
        gc.set_threshold(*THRESHOLDS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._resuming is not None:
            self._resuming.cancel()
            self._resume()
        gc.set_threshold(*self._before)

    def pause(self) -> None:
        """No pass for a short while."""
        loop = asyncio.get_running_loop()
        if self._resuming is None:
            gc.disable()
            self._latest_s = loop.time() + LONGEST_PAUSE_S
        else:
            self._resuming.cancel()
        self._resuming = loop.call_at(min(loop.time() + PAUSE_S, self._latest_s), self._resume)

    def _resume(self) -> None:
        self._resuming = None
        gc.enable()


async def keep_what_stays(actors: Iterable[AccountActor]) -> None:
    """Take out of the collector's sight what each account has once it is ready; and what is there by now.

    Without a collection first: that would be such a pass, at the moment when the first command may come. Account by
    account: an exchange that cannot be reached must not make the commands for the others slow.
    """
    gc.freeze()
    waiting = {asyncio.create_task(actor.ready.wait(), name=f"ready:{actor.context.terms.name}") for actor in actors}
    try:
        while waiting:
            _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            gc.freeze()
    finally:
        for each in waiting:
            each.cancel()
    log.info("all_accounts_ready")
