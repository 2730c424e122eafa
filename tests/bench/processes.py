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

READY_WITHIN_S: Final = 60.0
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


async def until(
    condition: Callable[[], Awaitable[bool]], what: str, log: Path, *, within_s: float = READY_WITHIN_S
) -> None:
    """Look again and again.

    Raises:
        BenchError: it did not come true in time.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    while not await condition():
        if loop.time() > deadline:
            raise BenchError(f"{what}: not within {within_s:g} s; {log.name}: {_tail(log)}")
        await asyncio.sleep(_LOOK_EVERY_S)


def connections(process: Process, port: int) -> int:
    """How many established TCP connections to *port* on this machine a process has."""
    lines = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    remote = f":{port:04X}"
    inodes = {words[9] for words in lines if words[2].endswith(remote) and words[3] == "01"}
    return len(inodes & _sockets_of(process.pid))


def _sockets_of(pid: int) -> set[str]:
    found = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            name = str(descriptor.readlink())
        except OSError:
            continue  # closed meanwhile
        if name.startswith("socket:["):
            found.add(name[8:-1])
    return found


def processor_s(process: Process) -> float:
    """Processor time that a process has used so far, in user and system mode; resolution 10 ms."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(process: Process) -> int:
    """What of a process is in memory."""
    return int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:]
