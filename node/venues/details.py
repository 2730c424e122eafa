"""What some venues tell of each market by itself: asked for as soon as a look shows that it matters, beside the look.

Whoever sells needs steps and sizes, and waits a moment for them; what closes positions goes without.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

import structlog

from node.concurrency import together
from node.domain.snapshot import MarketKind, MarketRules, SliceSnapshot
from node.errors import VenueAnswerUnknown, VenueError
from node.venues.call import Call
from node.venues.ccxt_client import CcxtClient
from node.venues.lane import background, is_background
from node.venues.layout import Slice
from node.venues.markets import MarketBook, MarketShelf
from node.venues.profile import Profile

#: Details are asked for again after so long; after a failure sooner.
AGAIN_AFTER_S: Final = 600.0
FAILED_AGAIN_AFTER_S: Final = 10.0
#: How long an emergency's sale waits for them.
PATIENCE_S: Final = 1.0

log = structlog.get_logger(__name__)


class MarketDetails:
    """Of one account; what it learns is on the shelf for all."""

    def __init__(
        self, client: CcxtClient, profile: Profile, shelf: MarketShelf, clock_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._client = client
        self._profile = profile
        self._shelf = shelf
        self._clock_s = clock_s
        #: By request: when it was made last, and whether the answer is still good.
        self._asked_s: dict[str, float] = {}
        self._good: set[str] = set()
        self._under_way: set[asyncio.Task[None]] = set()

    async def learn(self, part: Slice, snapshot: SliceSnapshot) -> None:
        """Ask for what *snapshot* shows to be missing. Raises for nothing that the venue does."""
        book = self._shelf.books.get(part.market_kind) or MarketBook(())
        due = [call for call in self._profile.details(part, book, snapshot) if self._due(_name(call))]
        if not due:
            return
        self._asked_s |= dict.fromkeys(map(_name, due), self._clock_s())
        self._good.difference_update(map(_name, due))
        sells = not part.derivative
        with contextlib.nullcontext() if sells else background():
            work = self._all(part.market_kind, due)
            task = asyncio.create_task(work, name=f"market-details:{self._client.name}:{part.name}")
        self._under_way.add(task)
        task.add_done_callback(self._ended)
        if is_background():
            await asyncio.wait([task])
        elif sells:
            await asyncio.wait([task], timeout=PATIENCE_S)

    def doubt(self) -> None:
        """What is known of markets may be true no more: ask again at the next look."""
        self._good.clear()

    async def close(self) -> None:
        """Stop what is under way."""
        tasks = list(self._under_way)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _due(self, name: str) -> bool:
        wait_s = AGAIN_AFTER_S if name in self._good else FAILED_AGAIN_AFTER_S
        return name not in self._asked_s or self._clock_s() >= self._asked_s[name] + wait_s

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("market_details_crashed", task=task.get_name(), error=type(task.exception()).__name__)

    async def _all(self, kind: MarketKind, calls: Iterable[Call]) -> None:
        await together(*(self._one(kind, call) for call in calls))

    async def _one(self, kind: MarketKind, call: Call) -> None:
        try:
            attempt = await self._client.asked(call)
            rules = self._understood(partial(self._profile.detailed, kind, attempt.answer))
        except VenueError as error:
            log.warning("market_details_unread", exchange=self._client.name, code=error.code, error=str(error))
            return
        self._shelf.amend(kind, (rules,))
        self._good.add(_name(call))

    def _understood(self, read: Callable[[], MarketRules]) -> MarketRules:
        try:
            return read()
        except VenueError:
            raise
        except self._client.faults as error:
            raise VenueAnswerUnknown(f"not understood: {type(error).__name__}") from error


def _name(call: Call) -> str:
    return f"{call.endpoint} {call.params!r}"
