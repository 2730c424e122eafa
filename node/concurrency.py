"""What asyncio leaves to be done with care when several things run at once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


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


async def answered_within(seconds: float, call: Callable[[], T], *, name: str) -> T:
    """What a call that may hang returns, in a thread of its own.

    Not by ``asyncio.to_thread``: the interpreter waits at its end for every thread of the pool, and one that hangs in a
    disk keeps the place of others. This one is left behind.

    Raises:
        TimeoutError: it has not returned in time.
        Exception: whatever the call raises.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def deliver(result: T | None, error: Exception | None) -> None:
        if answer.done():
            return
        if error is None:
            answer.set_result(result)  # type: ignore[arg-type]
        else:
            answer.set_exception(error)

    def work() -> None:
        result, error = None, None
        try:
            result = call()
        except Exception as raised:  # noqa: BLE001  (it is the caller's)
            error = raised
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(deliver, result, error)

    threading.Thread(target=work, name=name, daemon=True).start()
    async with asyncio.timeout(seconds):
        return await answer
