"""Hands documents to whoever listens in this process, without ever waiting for them."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from uuid import UUID

from node.domain.result import Document

#: A listener that is further behind loses its oldest documents: the journal has them all.
BACKLOG_MAX: Final = 256


class Bus:
    """Publish and subscribe by command or account id."""

    def __init__(self) -> None:
        self._listeners: dict[UUID, set[asyncio.Queue[Document]]] = defaultdict(set)

    def publish(self, key: UUID, document: Document) -> None:
        """Hand *document* to the listeners of *key*."""
        for queue in self._listeners.get(key, ()):
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(document)

    @contextmanager
    def listen(self, key: UUID) -> Iterator[asyncio.Queue[Document]]:
        """Receive what is published for *key* from now on."""
        queue: asyncio.Queue[Document] = asyncio.Queue(BACKLOG_MAX)
        self._listeners[key].add(queue)
        try:
            yield queue
        finally:
            self._listeners[key].discard(queue)
            if not self._listeners[key]:
                del self._listeners[key]
