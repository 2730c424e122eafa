"""Python's garbage collector, kept from pausing an emergency.

What is there once accounts are ready stays: markets, sockets, views, hundreds of thousands of objects. A full pass over
them takes 60 ms with one account and 200 with a hundred, and by default comes several times a second while orders are
made (measured). Garbage without cycles is freed as ever, without the collector.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterable
from typing import Final

import structlog

from node.engine.actor import AccountActor

#: How many more objects than were freed begin a pass over the youngest, so many of those one over the middle
#: generation, and so many of those one over all (gc.set_threshold). By default 700, 10, 10: short, and many.
THRESHOLDS: Final = (2_000, 20, 100)
#: A command's orders have left, and what it leaves is proven, long before. Not longer, whatever comes: commands one
#: after the other must not let the memory grow.
PAUSE_S: Final = 2.0

log = structlog.get_logger(__name__)


def collect_seldom() -> None:
    """For a process that answers within milliseconds."""
    gc.set_threshold(*THRESHOLDS)


def pause() -> None:
    """No pass for a short while; no longer for being asked again."""
    if gc.isenabled():
        gc.disable()
        asyncio.get_running_loop().call_later(PAUSE_S, gc.enable)


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
