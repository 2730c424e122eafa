"""Small files that people write (configuration, secrets, certificates): read without ever waiting for a writer.

Opening a named pipe waits until somebody writes to it, and a device may never end: neither is a file of these kinds.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Final

#: No configuration is longer; something endless is not read to its end.
BYTES_MAX: Final = 4 * 1024 * 1024


def read_text(path: Path, *, encoding: str = "utf-8-sig") -> str:
    """The content of a regular file; ``encoding`` by default leaves out the mark that some editors begin with.

    Raises:
        OSError: it cannot be read, is no regular file (a link to one is), or is too long.
        UnicodeDecodeError: it is not text.
    """
    # Not blocking: a pipe without a writer is opened at once, seen for what it is, and closed.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    with os.fdopen(descriptor, "rb") as file:
        _refuse(os.fstat(descriptor).st_mode, path)
        content = file.read(BYTES_MAX + 1)
    if len(content) > BYTES_MAX:
        raise OSError(errno.EFBIG, "longer than any such file", str(path))
    return content.decode(encoding)


def must_be_regular(*paths: Path | None) -> None:
    """For files that a library opens itself.

    Raises:
        OSError: one is there and is no regular file, or cannot be looked at.
    """
    for path in paths:
        if path is not None:
            _refuse(path.stat().st_mode, path)


def _refuse(mode: int, path: Path) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
