"""The engine's side of the lock: may I add risk? Answered from the node's lock file in microseconds."""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import UUID

_SCHEMA: Final = "sovereign-node/lock/1"
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
#: No document is larger: what is, is something else.
_SIZE_MAX: Final = 64 * 1024
#: A node vouches for 10 s. A document that vouches for much longer is a mistake, and nobody would notice its death.
_LEASE_MAX_NS: Final = 60 * 10**9
#: Two writes within one tick of the kernel's clock have the same time. A file is believed to be the one that was read
#: only once it is older than some ticks.
_SETTLED_NS: Final = 50 * 10**6

_STALE: Final = "the node has not confirmed the lock lately"

#: The epochs that this task or thread has permits for, by account.
_permitted: ContextVar[Mapping[str, int]] = ContextVar("sovereign_node_permitted", default={})  # noqa: B039  (never changed)


class EngineLocked(Exception):
    """New risk is forbidden: the account is locked, may be locked, or was locked since the order was decided."""

    def __init__(self, message: str, *, epoch: int | None = None) -> None:
        """*epoch*: the lock's own, where it is known."""
        super().__init__(message)
        self.epoch = epoch


@dataclass(frozen=True, slots=True, kw_only=True)
class LockState:
    """What an engine may rely on now."""

    locked: bool
    #: Counter of the lock's changes; None where no valid document could be read.
    epoch: int | None
    #: Why it is locked, or why it counts as locked.
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """One reading of the file."""

    identity: tuple[int, ...]
    #: Whether a later file must differ in its identity.
    settled: bool
    state: LockState
    until_ns: int


class EngineLock:
    """Reads one account's lock. Stale, missing, unreadable, of another account or another boot means locked.

    Freshness is judged by the time since boot, so that a stepped wall clock cannot keep a dead node's word alive.
    Ask before every order that could add exposure; the answer costs one ``stat`` unless the file has changed. Nothing
    here waits or raises but where it says so: call it from threads and from coroutines alike.

    Example:
        >>> lock = EngineLock("/run/sovereign-node", "6b0c8d1e-5f0a-4c52-9a1e-3d0f6f1d2a77")
        >>> lock.locked  # nothing runs there
        True

    Raises:
        ValueError: *account_id* is not a UUID.
    """

    def __init__(self, runtime_dir: str | os.PathLike[str], account_id: str | UUID) -> None:
        self._account_id = str(account_id if isinstance(account_id, UUID) else UUID(account_id))
        self._path = os.path.join(runtime_dir, "locks", f"{self._account_id}.json")  # noqa: PTH118  (half the time of a Path)
        self._boot_id = _boot_id()
        self._read: _Read | None = None

    @property
    def account_id(self) -> str:
        """Whose lock it is."""
        return self._account_id

    @property
    def locked(self) -> bool:
        """Whether new risk is forbidden. Never raises."""
        return self.state().locked

    def check(self) -> int:
        """The epoch of an account that is not locked: what an order decided now should carry.

        Raises:
            EngineLocked: new risk is forbidden.
        """
        state = self.state()
        if state.locked or state.epoch is None:
            raise EngineLocked(state.reason or "locked", epoch=state.epoch)
        return state.epoch

    @contextmanager
    def permit(self) -> Iterator[int]:
        """Decide and order under one state of the lock: what a guarded exchange is asked for inside, by this task or
        thread, is refused once the lock has changed, even if it was unlocked again.

        Tasks that are started inside are under it, and what ``asyncio.to_thread`` calls. Other threads (a pool's, a
        ``Thread``) are not: Python hands them nothing on. Give their orders ``params={"lock_epoch": epoch}``.

        Raises:
            EngineLocked: new risk is forbidden. The body is not run.
        """
        epoch = self.check()
        token = _permitted.set({**_permitted.get(), self._account_id: epoch})
        try:
            yield epoch
        finally:
            _permitted.reset(token)

    @property
    def permitted_epoch(self) -> int | None:
        """The epoch of the permit that this task or thread is under; None: there is none."""
        return _permitted.get().get(self._account_id)

    def state(self) -> LockState:
        """The lock as it may be relied on at this instant. Never raises."""
        try:
            status = os.stat(self._path)  # noqa: PTH116  (half the time of a Path)
        except (OSError, ValueError) as error:
            return _uncertain(f"no lock file: {getattr(error, 'strerror', None) or error}")
        read = self._read
        identity = (status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_dev)
        if read is None or not read.settled or read.identity != identity:
            try:
                self._read = read = self._parse(status, identity)
            except (OSError, ValueError, KeyError, TypeError, RecursionError):
                self._read = None
                return _uncertain("the lock file cannot be understood")
        left_ns = read.until_ns - _boottime_ns()
        return read.state if 0 <= left_ns <= _LEASE_MAX_NS else _uncertain(_STALE)

    def _parse(self, status: os.stat_result, identity: tuple[int, ...]) -> _Read:
        if not stat.S_ISREG(status.st_mode) or status.st_size > _SIZE_MAX:
            raise ValueError("not a lock file")
        settled = abs(time.time_ns() - status.st_mtime_ns) > _SETTLED_NS
        with open(self._path, "rb") as file:  # noqa: PTH123  (as above)
            document = json.loads(file.read(_SIZE_MAX))
        if document["schema"] != _SCHEMA or document["account_id"] != self._account_id:
            raise ValueError("another document")
        if document["boot_id"] != self._boot_id or not self._boot_id:
            raise ValueError("of another boot")
        reason = document["reason"]
        state = LockState(
            locked=_exactly(bool, document["locked"]),
            epoch=_exactly(int, document["epoch"]),
            reason=reason if isinstance(reason, str) else None,
        )
        until_ns = _exactly(int, document["valid_until_boottime_ns"])
        return _Read(identity=identity, settled=settled, state=state, until_ns=until_ns)


def _exactly(kind: type, value: Any) -> Any:  # noqa: ANN401 - JSON
    if type(value) is not kind:  # a bool is an int to isinstance
        raise TypeError("not of the documented type")
    return value


def _uncertain(why: str) -> LockState:
    return LockState(locked=True, epoch=None, reason=why)


def _boottime_ns() -> int:
    """As the node counts it."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic_ns()


def _boot_id() -> str:
    """As the node names it; empty where that cannot be told, and then nothing is believed."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""
