"""Open stream connections of a simulated venue, and how they can fail.

A connection's messages leave it in order, each half a round trip after it was made. What a silenced stream would have
said is lost, as it is on the real venue.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Protocol

from node.sim.faults import StreamFault
from node.sim.market import Product


class StreamSession(Protocol):
    """What a front-end makes of one connection."""

    def received(self, text: str) -> None:
        """The client said something."""

    def closed(self) -> None:
        """The connection is gone."""


class Connection:
    """One open WebSocket.

    *products* are those it may carry, *hears* those that it does. *delay_s* tells how long a message is under way.
    """

    def __init__(self, products: frozenset[Product], account: str | None, delay_s: Callable[[], float]) -> None:
        self.products = products
        self.account = account
        self.hears: set[Product] = set()
        self._delay_s = delay_s
        self._queue: asyncio.Queue[tuple[float, str] | None] = asyncio.Queue()

    def send(self, text: str) -> None:
        """Put a message under way."""
        self._queue.put_nowait((asyncio.get_running_loop().time() + self._delay_s(), text))

    def cut(self) -> None:
        """Break the connection, after what is under way, without a closing handshake."""
        self._queue.put_nowait(None)

    async def next(self) -> str | None:
        """The next message when it arrives; none when the connection breaks."""
        item = await self._queue.get()
        if item is None:
            return None
        due, text = item
        await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
        return text


class StreamSwitch:
    """All open connections, and the faults in force on them."""

    def __init__(self) -> None:
        self.connections: list[Connection] = []
        self._faults: list[StreamFault] = []

    @contextlib.contextmanager
    def holding(self, connection: Connection) -> Iterator[None]:
        """Count a connection among the open ones within the block."""
        self.connections.append(connection)
        try:
            yield
        finally:
            self.connections.remove(connection)

    def apply(self, fault: StreamFault) -> None:
        """Put a fault in force; it replaces what was said of the same product and account before."""
        if fault.cut:
            for connection in list(self.connections):
                if _concerns(fault, connection.products, connection.account):
                    connection.cut()
        same = [other for other in self._faults if (other.product, other.account) == (fault.product, fault.account)]
        before = same[0] if same else StreamFault()
        self._faults = [other for other in self._faults if other not in same]
        silent = before.silent if fault.silent is None else fault.silent
        refused = before.refused if fault.refused is None else fault.refused
        if silent or refused:
            self._faults.append(
                StreamFault(product=fault.product, account=fault.account, silent=silent, refused=refused)
            )

    def clear(self) -> None:
        """Behave again; what is open stays open."""
        self._faults.clear()

    def cut_all(self) -> None:
        """Break every connection."""
        for connection in self.connections:
            connection.cut()

    def refuses(self, products: frozenset[Product], account: str | None) -> bool:
        """Whether a new connection is turned away."""
        return any(fault.refused and _concerns(fault, products, account) for fault in self._faults)

    def silences(self, product: Product, account: str) -> bool:
        """Whether what happens to the account in this product is kept from its streams."""
        return any(fault.silent and _concerns(fault, frozenset({product}), account) for fault in self._faults)

    def open_document(self) -> list[dict[str, object]]:
        """What is open, as JSON."""
        return [
            {"products": sorted(each.products), "hears": sorted(each.hears), "account": each.account}
            for each in self.connections
        ]

    def document(self) -> list[dict[str, object]]:
        """The faults in force, as JSON."""
        return [fault.model_dump(mode="json", exclude={"cut", "expire"}) for fault in self._faults]


def _concerns(fault: StreamFault, products: frozenset[Product], account: str | None) -> bool:
    return (fault.product is None or fault.product in products) and fault.account in (None, account)
