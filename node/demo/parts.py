"""Parts of the product as processes of their own, through the command line that users have."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

READY_WITHIN_S: Final = 20.0
STOP_WITHIN_S: Final = 5.0


class PartFailed(Exception):
    """A part did not come up."""


async def started(stack: AsyncExitStack, work: Path, name: str, *arguments: str) -> asyncio.subprocess.Process:
    """Start a part as its own process, through the command line that users have."""
    errors = stack.enter_context((work / f"{name}.log").open("wb"))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "node", *arguments, stdout=asyncio.subprocess.PIPE, stderr=errors, cwd=work
    )
    stack.push_async_callback(_stopped, process)
    return process


async def _stopped(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        try:
            async with asyncio.timeout(STOP_WITHIN_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


async def first_line(process: asyncio.subprocess.Process, name: str) -> bytes:
    """What a part says when it is ready.

    Raises:
        PartFailed: it did not come up in time, or ended.
    """
    assert process.stdout is not None  # noqa: S101  (it was started with a pipe)
    try:
        async with asyncio.timeout(READY_WITHIN_S):
            line = await process.stdout.readline()
    except TimeoutError:
        raise PartFailed(f"the {name} did not come up in {READY_WITHIN_S:g} s") from None
    if not line:
        raise PartFailed(f"the {name} ended at once")
    return line
