"""The state directory belongs to one process at a time."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from node.errors import StateDirectoryBusy


class StateDirectory:
    """Owns ``path`` while entered: an exclusive lock on ``path/lock``; private (0700) unless ``shared``.

    The kernel drops the lock with the process, however that ends: there is never a stale one to clean up.

    Raises:
        StateDirectoryBusy: another process holds it.
        OSError: it cannot be created or made private.
    """

    def __init__(self, path: Path, *, shared: bool = False) -> None:
        self.path = path
        self._shared = shared
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        self.path.mkdir(mode=0o755 if self._shared else 0o700, parents=True, exist_ok=True)
        if not self._shared and self.path.stat().st_mode & 0o077:
            self.path.chmod(0o700)
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            raise StateDirectoryBusy(f"{self.path} is held by process {holder or 'unknown'}: stop it first") from None
        except OSError:
            os.close(descriptor)
            raise
        # For people: the lock itself is the kernel's.
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
