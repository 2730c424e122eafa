"""What a process is made of, as far as killing one is concerned: its tasks, and its hold on the journal's file.

The SQLite file is a real one. Its calls happen on the event loop, each after a moment of virtual time, instead of on a
thread: so that between any two of them something else may happen, and always does in the same order.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar
from unittest.mock import patch

import aiosqlite

from tests.support.virtual_time import VirtualLoop

T = TypeVar("T")

#: What one call of SQLite's takes.
CALL_S: Final = 0.0002


class OneThreadLoop(VirtualLoop):
    """In which nothing happens on another thread."""

    def run_in_executor(self, executor: Executor | None, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]
        """At once."""
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the caller's
            done.set_exception(error)
        return done


class ConnectionOnTheLoop:
    """What the journal asks of an ``aiosqlite.Connection``."""

    def __init__(self, real: sqlite3.Connection) -> None:
        self._real: sqlite3.Connection | None = real

    async def execute(self, sql: str, parameters: Iterable[Any] = ()) -> sqlite3.Cursor:
        return await self._call(lambda real: real.execute(sql, tuple(parameters)))

    async def execute_fetchall(self, sql: str, parameters: Iterable[Any] = ()) -> list[Any]:
        return await self._call(lambda real: real.execute(sql, tuple(parameters)).fetchall())

    async def executemany(self, sql: str, parameters: Iterable[Iterable[Any]]) -> sqlite3.Cursor:
        return await self._call(lambda real: real.executemany(sql, [tuple(each) for each in parameters]))

    async def executescript(self, script: str) -> sqlite3.Cursor:
        return await self._call(lambda real: real.executescript(script))

    async def rollback(self) -> None:
        await self._call(lambda real: real.rollback())

    async def close(self) -> None:
        if self._real is not None:
            await self._call(lambda real: real.close())
        self._real = None

    def die(self) -> None:
        """As with its process: what is not committed is gone."""
        if self._real is not None:
            self._real.close()
        self._real = None

    @property
    def _conn(self) -> sqlite3.Connection:
        if self._real is None:
            raise sqlite3.ProgrammingError("closed")
        return self._real

    async def _execute(self, work: Callable[[sqlite3.Connection], T], *_connection: sqlite3.Connection) -> T:
        """What the journal does in the connection's thread; a death may come between its end and the news of it."""
        result = await self._call(work)
        await asyncio.sleep(CALL_S)
        return result

    async def _call(self, work: Callable[[sqlite3.Connection], T]) -> T:
        await asyncio.sleep(CALL_S)
        return work(self._conn)


class Process:
    """Everything that a run of the node has open, and can do."""

    def __init__(self) -> None:
        self.alive = True
        self._connections: list[ConnectionOnTheLoop] = []

    async def connect(self, path: Path | str, **options: Any) -> ConnectionOnTheLoop:
        """In place of ``aiosqlite.connect``."""
        assert self.alive
        made = ConnectionOnTheLoop(sqlite3.connect(path, **options))
        self._connections.append(made)
        return made

    def end(self) -> None:
        """Nothing more leaves it, and nothing more reaches the file."""
        self.alive = False
        for connection in self._connections:
            connection.die()

    @contextmanager
    def files(self) -> Iterator[None]:
        """What is opened within belongs to this process."""
        with patch.object(aiosqlite, "connect", self.connect):
            yield


async def bury(spared: set[asyncio.Task[Any]]) -> None:
    """Let every task come to nothing, but these."""
    while tasks := asyncio.all_tasks() - spared - {asyncio.current_task()}:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
