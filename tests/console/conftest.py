"""A running node on simulated exchanges, and somebody before its console in a real browser."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest_asyncio
from playwright.async_api import Browser

from tests.console.person import Person, at
from tests.support.browser import browser as started_browser
from tests.support.console_site import ConsoleSite, console_site

#: These tests are not about a disk that others keep busy.
_MEMORY: Final = Path("/dev/shm")  # noqa: S108


@pytest_asyncio.fixture(loop_scope="session")
async def site() -> AsyncIterator[ConsoleSite]:
    """Two accounts, armed, full of positions."""
    with TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None, prefix="console-") as folder:
        async with console_site(Path(folder)) as running:
            yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Chromium, without a window: one for all tests of a process, each with a profile of its own."""
    async with started_browser() as started:
        yield started


@pytest_asyncio.fixture(loop_scope="session")
async def visitor(site: ConsoleSite, browser: Browser) -> AsyncIterator[Person]:
    """Somebody who has opened the console and not signed in."""
    async with at(site, browser) as person:
        await person.open()
        yield person


@pytest_asyncio.fixture(loop_scope="session")
async def person(visitor: Person) -> Person:
    """Somebody who has signed in."""
    await visitor.sign_in()
    return visitor
