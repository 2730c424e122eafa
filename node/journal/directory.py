"""The state directory belongs to one process at a time."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import structlog

from node.errors import StateDirectoryBusy

#: A disk on which nothing can be made or changed; what is there may be held all the same.
_UNWRITABLE: Final = frozenset({errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO})

#: A disk that hangs is not waited for.
_NOTE_WITHIN_S: Final = 0.5
#: Of the number and what fills it up: always the same length, so that a full disk need not give room for it.
_HOLDER_LENGTH: Final = 16

log = structlog.get_logger(__name__)


class StateDirectory:
    """Owns ``path`` while entered: an exclusive lock on ``path/lock``; private (0700) unless ``shared``.

    The kernel drops the lock with the process, however that ends: there is never a stale one to clean up. On a disk
    that cannot be written the lock is taken all the same, on what is there: a node must be able to start on it.

    Raises:
        StateDirectoryBusy: another process holds it.
        OSError: it cannot be created or made private.
    """

    def __init__(self, path: Path, *, shared: bool = False) -> None:
        self.path = path
        self._shared = shared
        self._held = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self.path.mkdir(mode=0o755 if self._shared else 0o700, parents=True, exist_ok=True)
        if not self._shared and self.path.stat().st_mode & 0o077:
            with _tolerated():
                self.path.chmod(0o700)
        with contextlib.ExitStack() as stack:
            # The folder itself as well: whoever came while no file could be made in it holds that alone.
            with _tolerated(errno.EBADF):  # a file system that lends no such lock on a folder
                self._take(stack, self.path, os.O_RDONLY | os.O_DIRECTORY)
            with _tolerated():
                _note_holder(self._take_file(stack))
            self._held = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._held.close()

    def _take_file(self, stack: contextlib.ExitStack) -> int:
        file = self.path / "lock"
        try:
            return self._take(stack, file, os.O_RDWR | os.O_CREAT)
        except OSError as error:
            if error.errno not in _UNWRITABLE or not file.exists():
                raise
            return self._take(stack, file, os.O_RDONLY)

    def _take(self, stack: contextlib.ExitStack, path: Path, flags: int) -> int:
        descriptor = os.open(path, flags, 0o600)
        stack.callback(os.close, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StateDirectoryBusy(
                f"{self.path} is held by process {self.holder() or 'unknown'}: stop it first"
            ) from None
        return descriptor

    def holder(self) -> str | None:
        """The id of the process that holds it; None if nobody can tell.

        What is noted is not believed against the kernel: where the disk could not be written, the note is that of a
        process long gone, and its number may be anybody's.
        """
        try:
            noted = (self.path / "lock").read_text("ascii", "replace").strip()
        except OSError:
            noted = ""
        by_kernel = holders_by_kernel(self.path, self.path / "lock")
        return noted or None if noted in by_kernel or not by_kernel else by_kernel[0]


def holders_by_kernel(*paths: Path) -> list[str]:
    """Who holds one of these (proc_locks(5)); numbers of other process namespaces are not shown there.

    Where no device is known by the number that files have (btrfs, overlays), whoever holds a file of the same number.
    """
    names, found, perhaps = set[str](), list[str](), list[str]()
    for path in paths:
        with contextlib.suppress(OSError):
            seen = path.stat()
            names.add(f"{os.major(seen.st_dev):02x}:{os.minor(seen.st_dev):02x}:{seen.st_ino}")
    inodes = {name.rpartition(":")[2] for name in names}
    with contextlib.suppress(OSError):
        for line in Path("/proc/locks").read_text("ascii").splitlines():
            words = line.split()
            if words[1:2] == ["FLOCK"] and words[5].rpartition(":")[2] in inodes and int(words[4]) > 0:
                (found if words[5] in names else perhaps).append(words[4])
    return found or perhaps


@contextlib.contextmanager
def _tolerated(*numbers: int) -> Iterator[None]:
    """Go on where the disk cannot be written; the journal will say so."""
    try:
        yield
    except OSError as error:
        if error.errno not in _UNWRITABLE | set(numbers):
            raise
        log.warning("state_directory_not_writable", error=error.strerror)


def _note_holder(descriptor: int) -> None:
    """Write down who holds it, for people: the lock itself is the kernel's. Never waits long for a disk."""
    writing = threading.Thread(target=_write_holder, args=(os.dup(descriptor),), name="lock-holder", daemon=True)
    writing.start()
    writing.join(_NOTE_WITHIN_S)


def _write_holder(descriptor: int) -> None:
    with contextlib.suppress(OSError):
        os.pwrite(descriptor, f"{os.getpid()}\n".ljust(_HOLDER_LENGTH).encode(), 0)
        os.ftruncate(descriptor, _HOLDER_LENGTH)
    os.close(descriptor)
