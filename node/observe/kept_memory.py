"""A few bytes that outlive the process: a file without a name, which the service manager holds for the next one.

systemd hands it to each restart of the service, whatever the last process died of (sd_pid_notify_with_fds(3), the
file descriptor store); it is gone when the service is stopped. Elsewhere the bytes live as long as the process.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

import structlog

from node.observe.watchdog import ServiceManager

#: The first descriptor that systemd passes (sd_listen_fds(3)).
_FIRST_PASSED: Final = 3

log = structlog.get_logger(__name__)


class KeptMemory:
    """One such file. Nothing here raises: without it the next process knows less, and this one works on."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    @classmethod
    def named(cls, name: str, manager: ServiceManager, environ: Mapping[str, str] | None = None) -> KeptMemory:
        """What the last process has left under a name; else a new one, given into safekeeping."""
        passed = _passed(name, os.environ if environ is None else environ)
        if passed is not None:
            return cls(passed)  # it is held on to, without being asked again
        try:
            made = os.memfd_create(f"sovereign-node-{name}", os.MFD_CLOEXEC)
        except OSError as error:
            log.warning("memory_not_kept", name=name, error=error.strerror)
            return cls(None)
        manager.keep(name, made)
        return cls(made)

    def read(self) -> bytes:
        """Everything in it; empty if there is nothing."""
        if self._descriptor is None:
            return b""
        try:
            return os.pread(self._descriptor, os.fstat(self._descriptor).st_size, 0)
        except OSError:
            return b""

    def write(self, content: bytes) -> None:
        """Replace everything in it. At no moment is there less than one whole content, but for its length."""
        if self._descriptor is None:
            return
        try:
            os.pwrite(self._descriptor, content, 0)
            os.ftruncate(self._descriptor, len(content))
        except OSError as error:
            log.warning("memory_not_kept", error=error.strerror)

    def close(self) -> None:
        """Let go of it here; the service manager holds on."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _passed(name: str, environ: Mapping[str, str]) -> int | None:
    """The descriptor that was passed to this process under a name."""
    if environ.get("LISTEN_PID") != str(os.getpid()) or not environ.get("LISTEN_FDS", "").isdigit():
        return None
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    descriptors = range(_FIRST_PASSED, _FIRST_PASSED + int(environ["LISTEN_FDS"]))
    found = next((number for number, passed in zip(descriptors, names, strict=False) if passed == name), None)
    if found is not None:
        os.set_inheritable(found, False)
    return found
