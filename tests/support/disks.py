"""Disks that are full, read-only, failing or silent: real ones, made so for one test."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.support.mosquitto import executable
from tests.support.waiting import PATIENCE_S

_SYNCS: Final = "fdatasync,fsync"
#: Longer than any test.
_FOR_EVER_US: Final = 120_000_000
_QUIET: Final = ("-f", "-qq", "-o", "/dev/null")


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """A file system of its own, in memory."""

    path: Path

    def fill(self) -> None:
        """Leave no byte free."""
        with (self.path / "filling").open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(b"\0" * 4096)

    def empty(self) -> None:
        """Give the space back."""
        (self.path / "filling").unlink()

    def read_only(self, wanted: bool) -> None:
        """As the kernel makes a disk that has failed."""
        subprocess.run([executable("mount"), "-o", f"remount,{'ro' if wanted else 'rw'}", str(self.path)], check=True)


@contextmanager
def small_disk(path: Path, *, mib: int = 4) -> Iterator[SmallDisk]:
    """Mounted there until the end."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    options = f"size={mib}m,mode=0700"
    subprocess.run([executable("mount"), "-t", "tmpfs", "-o", options, "tmpfs", str(path)], check=True)
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run([executable("umount"), "-l", str(path)], check=True)


def failing(calls: str, error: str, *, first: int = 1) -> tuple[str, ...]:
    """A command's beginning under which these system calls fail, from their n-th on in each thread."""
    injection = f"inject={calls}:error={error}:when={first}+"
    return (executable("strace"), "-D", *_QUIET, "-e", f"trace={calls}", "-e", injection)


def silent() -> tuple[str, ...]:
    """A command's beginning under which no write ever reaches the disk, nor returns."""
    injection = f"inject={_SYNCS}:delay_enter={_FOR_EVER_US}"
    return (executable("strace"), "-D", *_QUIET, "-e", f"trace={_SYNCS}", "-e", injection)


@contextmanager
def hanging_disk(pid: int) -> Iterator[None]:
    """No write of a running process reaches the disk, nor returns, until the end."""
    with _injected(pid, _SYNCS, f"delay_enter={_FOR_EVER_US}"):
        yield


@contextmanager
def failing_disk(pid: int, calls: str, error: str) -> Iterator[None]:
    """These system calls of a running process fail, until the end."""
    with _injected(pid, calls, f"error={error}"):
        yield


@contextmanager
def _injected(pid: int, calls: str, what: str) -> Iterator[None]:
    command = [executable("strace"), *_QUIET, "-e", f"trace={calls}", "-e", f"inject={calls}:{what}"]
    tracer = subprocess.Popen([*command, "-p", str(pid)])
    until_s = time.monotonic() + PATIENCE_S
    while not _tracer(pid):
        assert time.monotonic() < until_s, "it does not take hold"
        time.sleep(0.01)
    try:
        yield
    finally:
        tracer.terminate()
        tracer.wait(10)


def mend(pid: int) -> None:
    """Take away what a process was started under."""
    tracer = _tracer(pid)
    if not tracer:
        return
    os.kill(tracer, signal.SIGKILL)  # it lets go with its end, in whichever call it holds the process
    until_s = time.monotonic() + PATIENCE_S
    while _tracer(pid):
        assert time.monotonic() < until_s, "it does not let go"
        time.sleep(0.01)


def _tracer(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.partition(":")[2]) for line in lines if line.startswith("TracerPid"))
