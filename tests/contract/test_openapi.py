"""Schemathesis against the live listener: whatever the description allows or forbids, the answers keep to it."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.support.counting_desk import COMMAND, event
from tests.support.public_api import public_api

WITHIN_S = 60


async def test_no_answer_contradicts_the_description(tmp_path: Path) -> None:
    """Every check, examples and edge cases and random ones; no answer is a failure of the server."""
    async with public_api(per_minute=1_000_000, strangers_per_minute=1_000_000) as api:
        api.desk.results[COMMAND] = event("done", verdict="flat")
        for _ in range(100_000):
            api.desk.live.put_nowait(None)  # each stream ends once it has told what is
        command = [sys.executable, "-m", "schemathesis.cli", "run", f"http://127.0.0.1:{api.port}/openapi.json"]
        options = ["--checks", "all", "--max-examples", "15", "--max-failures", "5", "--no-color", "--seed", "1"]
        limits = ["--request-timeout", "5", "--continue-on-failure"]
        key = ["--header", f"X-API-Key: {await api.key()}"]
        process = await asyncio.create_subprocess_exec(
            *command,
            *options,
            *limits,
            *key,
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(WITHIN_S):
                output, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    assert process.returncode == 0, output.decode()[-6000:]
