"""The engine's side of the lock: may I add risk? Answered from the node's lock file in microseconds."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_SCHEMA: Final = "sovereign-node/lock/1"
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class LockState:
    """What an engine may rely on now."""

    locked: bool
    #: Counter of the lock's changes; None where no valid document could be read.
    epoch: int | None
    #: Why it is locked, or why it counts as locked.
    reason: str | None


@dataclass(frozen=True, slots=True)
class _Read:
    identity: tuple[int, int, int]
    locked: bool
    epoch: int
    reason: str | None
    boot_id: str
    valid_until_boottime_ns: int


class EngineLock:
    """Reads one account's lock. Stale, missing or unreadable means locked.

    Freshness is judged by the time since boot, so that a stepped wall clock cannot keep a dead node's word alive.
    Ask before every order that could add exposure; the answer costs one ``stat`` unless the file has changed.

    Example:
        >>> lock = EngineLock("/run/sovereign-node", "6b0c8d1e-5f0a-4c52-9a1e-3d0f6f1d2a77")
        >>> lock.locked  # nothing runs there
        True
    """

    def __init__(self, runtime_dir: str | os.PathLike[str], account_id: str) -> None:
        self._path = Path(runtime_dir) / "locks" / f"{account_id}.json"
        self._account_id = account_id
        self._boot_id = _read_text(_BOOT_ID)
        self._read: _Read | None = None

    @property
    def locked(self) -> bool:
        """Whether new risk is forbidden."""
        return self.state().locked

    def state(self) -> LockState:
        """The lock as it may be relied on at this instant."""
        read = self._fresh()
        if isinstance(read, str):
            return LockState(locked=True, epoch=None, reason=read)
        if read.boot_id != self._boot_id or time.clock_gettime_ns(time.CLOCK_BOOTTIME) > read.valid_until_boottime_ns:
            return LockState(locked=True, epoch=None, reason="the node has not confirmed the lock lately")
        return LockState(locked=read.locked, epoch=read.epoch, reason=read.reason)

    def _fresh(self) -> _Read | str:
        """The file's content, read anew if it was replaced; or why it cannot be believed."""
        try:
            status = self._path.stat()
        except OSError as error:
            return f"no lock file: {error.strerror}"
        identity = (status.st_ino, status.st_mtime_ns, status.st_size)
        if self._read is None or self._read.identity != identity:
            try:
                self._read = self._parse(identity)
            except (OSError, ValueError, KeyError, TypeError):
                self._read = None
                return "the lock file cannot be understood"
        return self._read

    def _parse(self, identity: tuple[int, int, int]) -> _Read:
        document = json.loads(self._path.read_bytes())
        if document["schema"] != _SCHEMA or document["account_id"] != self._account_id:
            raise ValueError("another document")
        locked, epoch, until = document["locked"], document["epoch"], document["valid_until_boottime_ns"]
        if not isinstance(locked, bool) or not isinstance(epoch, int) or not isinstance(until, int):
            raise TypeError("not of the documented types")
        return _Read(identity, locked, epoch, document["reason"], str(document["boot_id"]), until)


def _read_text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return "unknown"
