"""Parts of a benchmark that are processes of their own, ended by the handle that started them."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import structlog

READY_WITHIN_S: Final = 30.0
STOP_WITHIN_S: Final = 5.0
_LOOK_EVERY_S: Final = 0.02
_ROOT: Final = Path(__file__).parents[2]

Process = asyncio.subprocess.Process


class BenchError(Exception):
    """A part did not come up, or did not do what the measurement presupposes."""


def quiet() -> None:
    """Keep the log of our own MQTT client off standard output, which is the report's."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


@asynccontextmanager
async def python(
    *arguments: str, log: Path, environment: Mapping[str, str] | None = None, stdin: bool = False
) -> AsyncIterator[Process]:
    """``python`` with *arguments* in the project's root; standard output is a pipe, standard error goes to *log*."""
    with log.open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            stdin=asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            cwd=_ROOT,
            env={**os.environ, **(environment or {})},
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(STOP_WITHIN_S):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


async def line_of(process: Process, log: Path) -> bytes:
    """The next line that a process prints.

    Raises:
        BenchError: it ended, or said nothing in time.
    """
    assert process.stdout is not None
    try:
        async with asyncio.timeout(READY_WITHIN_S):
            line = await process.stdout.readline()
    except TimeoutError:
        raise BenchError(f"nothing was heard for {READY_WITHIN_S:g} s; {log.name}: {_tail(log)}") from None
    if not line:
        raise BenchError(f"the process ended; {log.name}: {_tail(log)}")
    return line


async def until(condition: Callable[[], Awaitable[bool]], what: str, log: Path) -> None:
    """Look again and again.

    Raises:
        BenchError: it did not come true in time.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + READY_WITHIN_S
    while not await condition():
        if loop.time() > deadline:
            raise BenchError(f"{what}: not within {READY_WITHIN_S:g} s; {log.name}: {_tail(log)}")
        await asyncio.sleep(_LOOK_EVERY_S)


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:]
