"""The daemon as it is, and what its event loop did from the last command's receipt on, written down at its end.

``python -m tests.bench.path.traced run …`` takes what ``sovereign-node`` takes; ``BENCH_TRACE`` names the file. Each
entry is a callback of the loop, or (of kind ``within``) a part of one, or what the journal's thread did beside it.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import sys
import time
from asyncio import events, selector_events
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from node.cli import main
from node.engine.inbox import Inbox
from node.journal import database
from node.observe.lock_files import LockFileDirectory

ENTRIES: Final = 20_000
#: From receipt; everything that a close of milliseconds' round trips does.
WINDOW_NS: Final = 400_000_000

#: When it began (monotonic nanoseconds), how long it took, its kind, and what it was.
_Entry = tuple[int, int, str, Any]

_seen: deque[_Entry] = deque(maxlen=ENTRIES)


def watch() -> None:
    """Begin: from now on the loop's callbacks are noted, and the places that say most of a command's way."""
    handles: Any = events.Handle  # there is no public place to stand
    run = handles._run

    def noted(handle: Any) -> None:
        began_ns, what = time.monotonic_ns(), handle._callback  # a handle that is cancelled forgets it
        run(handle)
        _seen.append((began_ns, time.monotonic_ns() - began_ns, "loop", what))

    handles._run = noted
    _note(Inbox, "_opened", "within", "verify")
    _note(LockFileDirectory, "write", "within", "lock file")
    _note(database, "_transaction", "thread", "journal")
    transport: Any = selector_events._SelectorSocketTransport  # type: ignore[attr-defined]
    _note(transport, "write", "bytes", "to a socket")


def _note(owner: Any, name: str, kind: str, what: str) -> None:
    original: Callable[..., Any] = getattr(owner, name)

    def noted(*given: Any, **named: Any) -> Any:
        began_ns = time.monotonic_ns()
        try:
            return original(*given, **named)
        finally:
            _seen.append((began_ns, time.monotonic_ns() - began_ns, kind, what))

    setattr(owner, name, noted)


def _name(what: Any) -> str:
    if isinstance(what, str):
        return what
    task = getattr(what, "__self__", None)
    if isinstance(task, asyncio.Task):
        return f"{task.get_name()} ({getattr(task.get_coro(), '__qualname__', '')})"
    return str(getattr(what, "__qualname__", type(what).__name__))


def write(path: Path) -> None:
    """What was seen since the last command's receipt, in order of its beginning."""
    received = [began_ns for began_ns, _, kind, what in _seen if (kind, what) == ("within", "verify")]
    if received:
        since = [entry for entry in _seen if 0 <= entry[0] - received[-1] <= WINDOW_NS]
        entries = [
            {"at_ms": (began_ns - received[-1]) / 1e6, "took_ms": took_ns / 1e6, "kind": kind, "what": _name(what)}
            for began_ns, took_ns, kind, what in sorted(since, key=lambda entry: entry[0])
        ]
        path.write_text(json.dumps(entries))


if __name__ == "__main__":
    watch()
    atexit.register(write, Path(os.environ["BENCH_TRACE"]))
    sys.exit(main(sys.argv[1:]))
