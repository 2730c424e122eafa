"""A real browser without a window: Playwright's own Chromium where it was installed, else the distribution's."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Browser, Playwright, async_playwright

_NAMES = ("chromium", "chromium-headless-shell", "google-chrome", "chrome")


def _executable(playwright: Playwright) -> str:
    for candidate in (playwright.chromium.executable_path, *map(shutil.which, _NAMES)):
        if candidate and Path(candidate).exists():
            return candidate
    raise AssertionError("no Chromium: `playwright install chromium`, or your distribution's package")


@asynccontextmanager
async def browser() -> AsyncIterator[Browser]:
    """Started, and closed afterwards."""
    async with async_playwright() as playwright:
        # Chromium's sandbox does not work for root, as whom containers run tests; only our own pages are opened.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        started = await playwright.chromium.launch(executable_path=_executable(playwright), args=arguments)
        try:
            yield started
        finally:
            await started.close()
