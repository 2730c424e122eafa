"""Between the broker and a node: passes bytes on, and stamps when a command reaches the node's socket."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID

from tests.bench.processes import BenchError

_CHUNK: Final = 1 << 16


class Relay:
    """One port in front of a broker's."""

    def __init__(self, broker_port: int) -> None:
        self._broker_port = broker_port
        self._reached_ns: dict[bytes, int] = {}
        self._server: asyncio.Server | None = None
        self._pipes: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """Where a node connects."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    def expect(self, command_id: UUID) -> None:
        """Look out for this command: MQTT carries its id as sixteen bytes of correlation data."""
        self._reached_ns[command_id.bytes] = 0

    def reached_ns(self, command_id: UUID) -> int:
        """When its bytes were first handed to the node's socket, in monotonic nanoseconds.

        Raises:
            BenchError: it was not seen.
        """
        if not (at_ns := self._reached_ns.pop(command_id.bytes)):
            raise BenchError("the command did not pass the relay in one piece")
        return at_ns

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._broker_port)
        for each in (writer, up_writer):
            each.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for pipe in (self._pass(reader, up_writer, stamp=False), self._pass(up_reader, writer, stamp=True)):
            task = asyncio.create_task(pipe, name="bench-relay")
            self._pipes.add(task)
            task.add_done_callback(self._pipes.discard)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, stamp: bool) -> None:
        try:
            while chunk := await reader.read(_CHUNK):
                if stamp:
                    self._stamp(chunk)
                writer.write(chunk)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    def _stamp(self, chunk: bytes) -> None:
        for name, at_ns in self._reached_ns.items():
            if not at_ns and name in chunk:
                self._reached_ns[name] = time.monotonic_ns()

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def stop(self) -> None:
        """End every connection."""
        assert self._server is not None
        self._server.close()
        for pipe in list(self._pipes):
            pipe.cancel()
        await asyncio.gather(*self._pipes, return_exceptions=True)


@asynccontextmanager
async def relay(broker_port: int) -> AsyncIterator[Relay]:
    """Run one, until the context ends."""
    between = Relay(broker_port)
    await between.start()
    try:
        yield between
    finally:
        await between.stop()
