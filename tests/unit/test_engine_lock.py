"""The engine's side of the lock: whatever is not certain is locked."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from node.client import EngineLock, EngineLocked, engine_lock
from node.clock import SystemClock, boot_id
from node.domain.lock import AccountLock
from node.engine.lock_ledger import LockLedger
from node.observe.lock_files import LockFileDirectory

ROOT = Path(__file__).parents[2]
ACCOUNT = "6b0c8d1e-5f0a-4c52-9a1e-3d0f6f1d2a77"


@pytest.fixture
def files(tmp_path: Path) -> LockFileDirectory:
    """Where the node writes."""
    made = LockFileDirectory(tmp_path / "locks")
    made.prepare()
    return made


def document(**changes: Any) -> dict[str, Any]:
    """What a running node shows."""
    account = UUID(ACCOUNT)
    ledger = LockLedger([account], node_id="n", boot_id=boot_id(), clock=SystemClock())
    ledger.adopt(AccountLock(account_id=account, epoch=7))
    return {**ledger.document(account), **changes}


def test_an_unlocked_account_is_unlocked_with_its_epoch(tmp_path: Path, files: LockFileDirectory) -> None:
    """The node's own file, read by the engine."""
    files.write(UUID(ACCOUNT), document())
    state = EngineLock(tmp_path, ACCOUNT).state()
    assert (state.locked, state.epoch) == (False, 7)


def test_any_user_may_read_the_file_whatever_the_process_creates_files_with(
    tmp_path: Path, files: LockFileDirectory
) -> None:
    """Engines run as users of their own."""
    before = os.umask(0o077)
    try:
        files.write(UUID(ACCOUNT), document())
    finally:
        os.umask(before)
    assert files.path_of(UUID(ACCOUNT)).stat().st_mode & 0o777 == 0o644


def test_a_change_is_seen_at_the_next_question(tmp_path: Path, files: LockFileDirectory) -> None:
    """No polling interval between the node's word and the engine's."""
    lock = EngineLock(tmp_path, ACCOUNT)
    files.write(UUID(ACCOUNT), document())
    assert not lock.state().locked
    files.write(UUID(ACCOUNT), document(locked=True, epoch=8, reason="drawdown"))
    assert lock.state().locked
    assert lock.state().reason == "drawdown"


@pytest.mark.parametrize("fits", [0, 20])
def test_a_lock_for_which_there_is_no_room_is_seen_at_once(
    tmp_path: Path, files: LockFileDirectory, monkeypatch: pytest.MonkeyPatch, fits: int
) -> None:
    """The file of the open account would be believed for the rest of its lease; half of one likewise."""
    write = os.write
    files.write(UUID(ACCOUNT), document())
    assert not EngineLock(tmp_path, ACCOUNT).locked

    def full(descriptor: int, content: bytes) -> int:
        if fits:
            return write(descriptor, content[:fits])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="space"):
        files.write(UUID(ACCOUNT), document())
    assert not EngineLock(tmp_path, ACCOUNT).locked  # what is there still says the same
    with pytest.raises(OSError, match="space"):
        files.write(UUID(ACCOUNT), document(locked=True, epoch=8))
    assert EngineLock(tmp_path, ACCOUNT).locked
    monkeypatch.undo()
    files.write(UUID(ACCOUNT), document(epoch=9))
    assert EngineLock(tmp_path, ACCOUNT).check() == 9


def test_a_folder_that_somebody_has_cleaned_up_is_made_anew(tmp_path: Path, files: LockFileDirectory) -> None:
    """Missing means locked; but not for as long as the node lives."""
    files.write(UUID(ACCOUNT), document())
    shutil.rmtree(files.path_of(UUID(ACCOUNT)).parent)
    assert EngineLock(tmp_path, ACCOUNT).locked
    files.write(UUID(ACCOUNT), document())
    assert not EngineLock(tmp_path, ACCOUNT).locked


def test_a_permit_is_its_tasks_or_threads_own(tmp_path: Path, files: LockFileDirectory) -> None:
    """Tasks inherit it, and what ``asyncio.to_thread`` calls; a thread that is started otherwise has none."""
    files.write(UUID(ACCOUNT), document())
    lock = EngineLock(tmp_path, ACCOUNT)

    async def seen() -> list[int | None]:
        with lock.permit():
            task = asyncio.create_task(asyncio.to_thread(lambda: lock.permitted_epoch))
            with ThreadPoolExecutor(1) as pool:
                return [await task, pool.submit(lambda: lock.permitted_epoch).result()]

    assert asyncio.run(seen()) == [lock.check(), None]


@pytest.mark.parametrize(
    "changes",
    [
        {"valid_until_boottime_ns": time.clock_gettime_ns(time.CLOCK_BOOTTIME) - 1},
        {"boot_id": "another boot"},
        {"schema": "something/else"},
        {"account_id": "11111111-5f0a-4c52-9a1e-3d0f6f1d2a77"},
        {"locked": "false"},
        {"locked": None},
        {"valid_until_boottime_ns": "soon"},
        {"valid_until_boottime_ns": time.clock_gettime_ns(time.CLOCK_BOOTTIME) + 3600 * 10**9},
        {"boot_id": ""},
        {"boot_id": "unknown"},
        {"epoch": None},
        {"epoch": True},
        {"locked": 0},
    ],
)
def test_whatever_is_not_certain_is_locked(tmp_path: Path, files: LockFileDirectory, changes: dict[str, Any]) -> None:
    """Stale, of another boot, of another kind, of another type."""
    files.write(UUID(ACCOUNT), document(**changes))
    assert EngineLock(tmp_path, ACCOUNT).locked


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"schema": 1}', b"[" * 50_000, b" " * 70_000]
)
def test_a_broken_file_is_locked(tmp_path: Path, files: LockFileDirectory, content: bytes) -> None:
    """Nothing is guessed."""
    files.path_of(UUID(ACCOUNT)).write_bytes(content)
    assert EngineLock(tmp_path, ACCOUNT).locked


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_what_is_no_file_is_locked_and_holds_nobody_up(
    tmp_path: Path, files: LockFileDirectory, make: Callable[[Path], object]
) -> None:
    """Opening a pipe would wait for a writer for ever."""
    make(files.path_of(UUID(ACCOUNT)))
    assert EngineLock(tmp_path, ACCOUNT).locked


def test_an_engine_that_cannot_tell_its_boot_believes_nothing(
    tmp_path: Path, files: LockFileDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor a node that cannot tell it either: two times since boot could be of two boots."""
    monkeypatch.setattr(engine_lock, "_BOOT_ID", tmp_path / "none")
    for boot in (boot_id(), "unknown", ""):
        files.write(UUID(ACCOUNT), document(boot_id=boot))
        assert EngineLock(tmp_path, ACCOUNT).locked


def test_two_changes_within_one_tick_of_the_clock_are_both_seen(
    tmp_path: Path, files: LockFileDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Same size, same times, an inode that is used again: the file looks as if nothing had happened."""
    lock = EngineLock(tmp_path, ACCOUNT)
    files.write(UUID(ACCOUNT), document(epoch=7))
    status = files.path_of(UUID(ACCOUNT)).stat()
    with monkeypatch.context() as frozen:
        frozen.setattr(os, "stat", lambda *_, **__: status)
        first = lock.check()
        files.write(UUID(ACCOUNT), document(epoch=8))
        second = lock.check()
    assert (first, second) == (7, 8)


def test_what_has_not_changed_is_not_read_again(
    tmp_path: Path, files: LockFileDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer costs a look at the file's date."""
    files.write(UUID(ACCOUNT), document())
    earlier = time.time() - 1
    os.utime(files.path_of(UUID(ACCOUNT)), (earlier, earlier))
    lock = EngineLock(tmp_path, ACCOUNT)
    assert lock.check() == 7
    opened: list[object] = []
    monkeypatch.setattr("builtins.open", lambda *arguments: opened.append(arguments))
    assert [lock.check() for _ in range(1000)] == [7] * 1000
    assert opened == []


def test_a_lock_is_asked_for_by_id(tmp_path: Path) -> None:
    """In any spelling; a name, or a path, is a mistake that is told at once."""
    assert EngineLock(tmp_path, ACCOUNT.upper()).account_id == ACCOUNT
    for wrong in ("binance-main", "../state/journal", ""):
        with pytest.raises(ValueError, match="UUID"):
            EngineLock(tmp_path, wrong)


class TestPermits:
    def test_are_given_while_unlocked_with_the_epoch(self, tmp_path: Path, files: LockFileDirectory) -> None:
        files.write(UUID(ACCOUNT), document())
        lock = EngineLock(tmp_path, ACCOUNT)
        with lock.permit() as epoch:
            assert epoch == lock.permitted_epoch == 7
        assert lock.permitted_epoch is None

    def test_are_refused_while_locked(self, tmp_path: Path, files: LockFileDirectory) -> None:
        files.write(UUID(ACCOUNT), document(locked=True, epoch=8, reason="drawdown"))
        lock = EngineLock(tmp_path, ACCOUNT)
        with pytest.raises(EngineLocked, match="drawdown") as refusal, lock.permit():
            pytest.fail("the body is not run")
        assert refusal.value.epoch == 8

    async def test_belong_to_the_task_that_asked_and_those_that_it_starts(
        self, tmp_path: Path, files: LockFileDirectory
    ) -> None:
        files.write(UUID(ACCOUNT), document())
        lock = EngineLock(tmp_path, ACCOUNT)

        async def permitted() -> int | None:
            return lock.permitted_epoch

        other = asyncio.create_task(permitted())
        with lock.permit():
            assert await asyncio.create_task(permitted()) == 7
        assert await other is None

    def test_of_one_account_are_none_for_another(self, tmp_path: Path, files: LockFileDirectory) -> None:
        files.write(UUID(ACCOUNT), document())
        with EngineLock(tmp_path, ACCOUNT).permit():
            assert EngineLock(tmp_path, "11111111-5f0a-4c52-9a1e-3d0f6f1d2a77").permitted_epoch is None


def test_nothing_but_the_standard_library_is_imported() -> None:
    """An engine's process should not pay for what the daemon needs."""
    code = "import sys, node.client; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = set(done.stdout.split()) - {"node", "__main__", "sitecustomize"}
    assert {name for name in loaded if not name.startswith("_")} <= sys.stdlib_module_names | {"__main__"}


def test_no_file_is_locked(tmp_path: Path) -> None:
    """A node that was never there has allowed nothing."""
    assert EngineLock(tmp_path, ACCOUNT).locked


def test_a_wall_clock_that_is_set_back_revives_nothing(
    tmp_path: Path, files: LockFileDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the time since boot counts."""
    files.write(UUID(ACCOUNT), document(valid_until_boottime_ns=1))
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert EngineLock(tmp_path, ACCOUNT).locked
