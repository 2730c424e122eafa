"""What outlives the process in the service manager's hands: the locks, where their files do not."""

from __future__ import annotations

import os
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from node.observe.kept_memory import KeptMemory
from node.observe.lock_files import LockFileDirectory
from node.observe.watchdog import ServiceManager

ACCOUNT = UUID("6b0c8d1e-5f0a-4c52-9a1e-3d0f6f1d2a77")
NOW = datetime(2026, 11, 20, tzinfo=UTC)
NOBODY = ServiceManager(None)


def document(*, locked: bool = True, epoch: int = 8) -> dict[str, Any]:
    """As the lock mirror writes it."""
    return {"schema": "sovereign-node/lock/1", "locked": locked, "epoch": epoch, "reason": "LOCK"}


def files(folder: Path, memory: KeptMemory) -> LockFileDirectory:
    """In a directory that exists."""
    made = LockFileDirectory(folder / "locks", memory=memory)
    made.prepare()
    return made


def test_it_is_given_into_safekeeping_under_its_name(tmp_path: Path) -> None:
    """The descriptor itself is handed over: what is written later is in it, too."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(str(tmp_path / "notify"))
        memory = KeptMemory.named("locks", ServiceManager(str(tmp_path / "notify")), {})
        words, (kept,), _, _ = socket.recv_fds(bound, 4096, 4)
        assert words == b"FDSTORE=1\nFDNAME=locks"
        memory.write(b"written later")
        memory.close()
        assert os.pread(kept, 100, 0) == b"written later"
        os.close(kept)


def test_shorter_content_leaves_nothing_of_the_longer() -> None:
    """And the first read finds nothing."""
    memory = KeptMemory.named("locks", NOBODY, {})
    assert memory.read() == b""
    memory.write(b"a long one")
    memory.write(b"short")
    assert memory.read() == b"short"
    memory.close()


@pytest.mark.parametrize(
    "changes", [{"LISTEN_PID": "1"}, {"LISTEN_FDNAMES": "other"}, {"LISTEN_FDS": "no"}, {"LISTEN_FDS": "0"}]
)
def test_what_was_passed_to_somebody_else_is_not_ours(changes: dict[str, str]) -> None:
    """A new one is made."""
    environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "locks"}
    memory = KeptMemory.named("locks", NOBODY, {**environ, **changes})
    assert memory.read() == b""
    memory.write(b"mine")
    assert memory.read() == b"mine"
    memory.close()


def test_a_lock_outlives_its_file(tmp_path: Path) -> None:
    """The directory is gone with the process; the next one finds the lock, with its epoch."""
    memory = KeptMemory.named("locks", NOBODY, {})
    files(tmp_path / "first", memory).write(ACCOUNT, document())
    found = files(tmp_path / "second", memory).shown(ACCOUNT, at=NOW)
    assert found is not None
    assert (found.locked, found.epoch) == (True, 8)
    memory.close()


def test_what_was_unlocked_since_is_not_remembered(tmp_path: Path) -> None:
    """Nor is a memory that makes no sense believed."""
    memory = KeptMemory.named("locks", NOBODY, {})
    first = files(tmp_path / "first", memory)
    first.write(ACCOUNT, document())
    first.write(ACCOUNT, document(locked=False, epoch=9))
    assert files(tmp_path / "second", memory).shown(ACCOUNT, at=NOW) is None
    for nonsense in (b"", b"{", b"[]", b'{"%s": 1}' % str(ACCOUNT).encode(), b'{"%s": {}}' % str(ACCOUNT).encode()):
        memory.write(nonsense)
        again = files(tmp_path / "third", memory)
        assert again.shown(ACCOUNT, at=NOW) is None
        again.write(ACCOUNT, document())
        (tmp_path / "third" / "locks" / f"{ACCOUNT}.json").unlink()
    memory.close()


def test_the_file_is_believed_before_the_memory(tmp_path: Path) -> None:
    """It is the newer one where both are there."""
    memory = KeptMemory.named("locks", NOBODY, {})
    files(tmp_path, memory).write(ACCOUNT, document(epoch=8))
    other = LockFileDirectory(tmp_path / "locks")
    other.write(ACCOUNT, document(locked=False, epoch=9))
    assert files(tmp_path, memory).shown(ACCOUNT, at=NOW) is None
    memory.close()
