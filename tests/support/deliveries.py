"""Messages at the inbox's door, and what becomes of their acknowledgements."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic_ns
from uuid import uuid4

from node.domain.command import Request
from node.engine.ports import Delivery, Junk, Rejection
from tests.support.engine import VERIFIED, Engine
from tests.support.waiting import PATIENCE_S


@dataclass(slots=True)
class Post:
    """Delivers messages to an engine, in order, and remembers which were acknowledged.

    ``acknowledged`` holds the names given to ``deliver``, with what the journal had admitted by then.
    """

    engine: Engine
    acknowledged: list[str] = field(default_factory=list)
    #: For each acknowledgement: how many transactions of admission had been asked for.
    admissions_by_then: list[int] = field(default_factory=list)
    _queue: asyncio.Queue[Delivery] = field(default_factory=asyncio.Queue)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def deliveries(self) -> AsyncIterator[Delivery]:
        """For ``Inbox.receive``."""
        while True:
            yield await self._queue.get()

    def deliver(self, name: str, verified: Request | Junk | tuple[Request, Rejection]) -> None:
        """Put a message at the door that will be verified to this."""
        payload = uuid4().bytes
        VERIFIED[payload] = verified

        async def acknowledge() -> None:
            self.acknowledged.append(name)
            self.admissions_by_then.append(self.engine.journal.calls["admit"])
            self._changed.set()

        self._queue.put_nowait(
            Delivery(
                topic="sn/v1/acme/cmd/_all",
                payload=payload,
                retained=False,
                response_topic=None,
                correlation_data=None,
                received_ns=monotonic_ns(),
                acknowledge=acknowledge,
            )
        )

    async def until_acknowledged(self, *names: str) -> None:
        """Wait until all of these were."""
        async with asyncio.timeout(PATIENCE_S):
            while not set(names) <= set(self.acknowledged):
                self._changed.clear()
                await self._changed.wait()


@asynccontextmanager
async def post_for(engine: Engine) -> AsyncIterator[Post]:
    """Feed an engine's inbox with messages until the block ends."""
    post = Post(engine)
    task = asyncio.create_task(engine.inbox.receive(post.deliveries()), name="post")
    try:
        yield post
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
