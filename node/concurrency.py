"""What asyncio leaves to be done with care when several things run at once."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def together(*coroutines: Coroutine[Any, Any, Any]) -> list[Any]:
    """All results, in order; the first failure is raised when the others are cancelled and have ended.

    Not by ``asyncio.gather``: one that is cancelled in the moment in which a part of it fails raises the failure, and
    the cancellation is lost for good.
    """
    if len(coroutines) < 2:
        return [await each for each in coroutines]  # an order's bytes wait for every turn of the loop
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        failed = next((task for task in tasks if task in done and task.exception() is not None), None)
        return [await failed] if failed is not None else [task.result() for task in tasks]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
