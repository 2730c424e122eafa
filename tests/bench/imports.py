"""What nothing can be without: the modules that a node has loaded, and the markets of its venue.

A process of its own, ``python -m tests.bench.imports``: takes a line (the file with the modules' names), prints a line
when they are imported, takes one JSON line (port, ca, credentials), loads the markets and prints a second line, and
stays until its standard input ends.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path


def import_all(names: list[str]) -> None:
    """In the order in which they were imported there; what cannot be imported here could not be there."""
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError:
            continue


def imported(log: str) -> list[str]:
    """The modules in the output of a process that was started with ``PYTHONPROFILEIMPORTTIME``."""
    lines = (line.split("|") for line in log.splitlines() if line.startswith("import time:"))
    names = [words[2].strip() for words in lines if len(words) == 3]
    return [name for name in names if name.replace(".", "").replace("_", "").isalnum() and name != "imported package"]


async def _load_markets(settings: str) -> object:
    import json

    import ccxt.async_support

    from tests.bench.venue import redirected_session

    told = json.loads(settings)
    async with redirected_session(told["port"], Path(told["ca"])) as session:
        client = ccxt.async_support.binance({**told["credentials"], "session": session})
        client.ssl_context = session.connector._ssl  # type: ignore[union-attr]  # else it builds one more, unused
        await client.load_markets()
        client.session = None
    return client


def main() -> None:
    """Serve one measurement."""
    import_all(Path(sys.stdin.readline().strip()).read_text().split())
    print("imported", flush=True)
    settings = sys.stdin.readline()
    if settings:
        import asyncio

        held = asyncio.run(_load_markets(settings))
        print("loaded", flush=True)
        sys.stdin.readline()
        del held


if __name__ == "__main__":
    main()
