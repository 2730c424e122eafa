"""Deliveries between the socket and their one reader, in order, across reconnects."""

from __future__ import annotations

import asyncio
from collections import deque

from node.engine.ports import Delivery


class DeliveryQueue:
    """An asynchronous iterator that never ends.

    It has no bound of its own: the broker stops at the connection's receive maximum.
    """

    def __init__(self) -> None:
        self._waiting: deque[tuple[Delivery, bool]] = deque()
        self._filled = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, delivery: Delivery, *, redelivered_if_lost: bool) -> None:
        """Append a message; ``redelivered_if_lost`` says that the broker keeps it until it is acknowledged."""
        self._waiting.append((delivery, redelivered_if_lost))
        self._filled.set()

    def forget_what_comes_again(self) -> None:
        """The broker resumed the session: drop what it will deliver again, in its order."""
        self._waiting = deque(entry for entry in self._waiting if not entry[1])

    def __aiter__(self) -> DeliveryQueue:
        return self

    async def __anext__(self) -> Delivery:
        while not self._waiting:
            self._filled.clear()
            await self._filled.wait()
        return self._waiting.popleft()[0]
