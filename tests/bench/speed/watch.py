"""Sees a lock file change at the instant of its replacement: inotify, read by a thread of its own.

The standard library has no inotify, and the packages for it poll or want an event loop of their own: two calls of the
C library are less.
"""

from __future__ import annotations

import ctypes
import json
import os
import struct
import threading
import time
from pathlib import Path
from queue import Queue
from types import TracebackType
from typing import Final

from tests.bench.processes import BenchError

_IN_MOVED_TO: Final = 0x80
_EVENT: Final = struct.Struct("iIII")
_BUFFER: Final = 1 << 16
_WITHIN_S: Final = 10.0


class LockWatch:
    """Reports whenever the node puts an account's lock file in place."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: Queue[tuple[int, bool]] = Queue()

    def __enter__(self) -> LockWatch:
        library = ctypes.CDLL(None, use_errno=True)
        self._descriptor = library.inotify_init1(os.O_CLOEXEC)
        if library.inotify_add_watch(self._descriptor, bytes(self._path.parent), _IN_MOVED_TO) < 0:
            raise OSError(ctypes.get_errno(), "inotify_add_watch")
        self._thread = threading.Thread(target=self._read, name="lock-watch", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The thread sleeps in a read until the process ends: nothing is written any more."""

    def _read(self) -> None:
        name = self._path.name.encode()
        while True:
            buffer = os.read(self._descriptor, _BUFFER)
            at_ns = time.monotonic_ns()
            if any(found == name for found in _names(buffer)):
                self._seen.put((at_ns, json.loads(self._path.read_bytes())["locked"] is True))

    def changed_ns(self, *, locked: bool, after_ns: int) -> int:
        """When the file first said so after an instant; blocks until it does.

        Raises:
            BenchError: it never did.
        """
        deadline = time.monotonic() + _WITHIN_S
        while (left_s := deadline - time.monotonic()) > 0:
            at_ns, said = self._seen.get(timeout=left_s)
            if said is locked and at_ns > after_ns:
                return at_ns
        raise BenchError(f"the lock file did not change within {_WITHIN_S:g} s")


def _names(buffer: bytes) -> list[bytes]:
    """Of the files that a buffer of events is about."""
    names, at = [], 0
    while at < len(buffer):
        *_, length = _EVENT.unpack_from(buffer, at)
        at += _EVENT.size
        names.append(buffer[at : at + length].rstrip(b"\0"))
        at += length
    return names
