"""The engine's side of the lock: whatever is not certain is locked."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from node.client import EngineLock
from node.clock import SystemClock, boot_id
from node.domain.lock import AccountLock
from node.engine.lock_ledger import LockLedger
from node.observe.lock_files import LockFileDirectory

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


def test_a_change_is_seen_at_the_next_question(tmp_path: Path, files: LockFileDirectory) -> None:
    """No polling interval between the node's word and the engine's."""
    lock = EngineLock(tmp_path, ACCOUNT)
    files.write(UUID(ACCOUNT), document())
    assert not lock.state().locked
    files.write(UUID(ACCOUNT), document(locked=True, epoch=8, reason="drawdown"))
    assert lock.state().locked
    assert lock.state().reason == "drawdown"


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
    ],
)
def test_whatever_is_not_certain_is_locked(tmp_path: Path, files: LockFileDirectory, changes: dict[str, Any]) -> None:
    """Stale, of another boot, of another kind, of another type."""
    files.write(UUID(ACCOUNT), document(**changes))
    assert EngineLock(tmp_path, ACCOUNT).locked


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", json.dumps({"schema": 1}).encode()])
def test_a_broken_file_is_locked(tmp_path: Path, files: LockFileDirectory, content: bytes) -> None:
    """Nothing is guessed."""
    files.path_of(UUID(ACCOUNT)).write_bytes(content)
    assert EngineLock(tmp_path, ACCOUNT).locked


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
