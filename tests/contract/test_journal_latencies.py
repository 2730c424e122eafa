"""Looking at a real journal from outside: beside the daemon, after it, and as somebody who may only read."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from node.domain.command import Action, CommandState
from node.domain.lock import AccountLock
from node.domain.result import Document
from node.journal.latencies import JournalUnreadable, Wanted, read_latencies
from node.journal.store import SqliteJournal
from tests.support.engine import ACCOUNT, OTHER
from tests.support.journal import ISSUED_AT, NODE_ID, SteadyClock, admission, make_command, reached

NOBODY = 65_534


@pytest.fixture
def path() -> Iterator[Path]:
    """In a directory that everybody may enter, unlike the usual ones of tests."""
    with TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        yield Path(directory) / "journal.sqlite3"


@pytest.fixture
async def journal(path: Path) -> AsyncIterator[SqliteJournal]:
    """As the daemon has it open."""
    async with SqliteJournal(path, node_id=NODE_ID, clock=SteadyClock()) as opened:
        yield opened


async def carry_out(
    journal: SqliteJournal, proof_ms: float | None, *, state: CommandState = CommandState.DONE, **meaning: object
) -> None:
    """A command from admission to its ending."""

    def document(_lock: AccountLock | None) -> Document:
        return {"latency_ms": {"transport": None, "journal": 1.5, "proof": proof_ms, "total": 300.0}}

    command = make_command(**{"account_id": ACCOUNT, **meaning})  # type: ignore[arg-type]
    await journal.admit([admission(command)])
    await journal.record([reached(command, state, document=document)])


@contextmanager
def somebody_else(path: Path, *, may_read: bool) -> Iterator[None]:
    """Who may write nothing: another user where this one is root; else this one with fewer rights."""
    files = [*path.parent.iterdir()]
    root = os.geteuid() == 0
    for file in files:
        file.chmod((0o644 if root else 0o444) if may_read else (0o600 if root else 0))
    if root:
        os.seteuid(NOBODY)
    else:
        path.parent.chmod(0o555)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        path.parent.chmod(0o755)
        for file in files:
            file.chmod(0o600)


async def test_tells_what_each_command_took(journal: SqliteJournal, path: Path) -> None:
    """The newest first, with what was measured and nothing else."""
    await carry_out(journal, 250.5)
    await carry_out(journal, None, action=Action.LOCK, account_id=OTHER)
    await carry_out(journal, 80.0, dry_run=True, state=CommandState.FAILED)
    drill, lock, close = read_latencies(path, Wanted())
    assert (drill.drill, drill.state, drill.action) == (True, CommandState.FAILED, Action.CLOSE_ALL)
    assert (lock.account_id, lock.action, lock.stages_ms) == (OTHER, Action.LOCK, {"journal": 1.5, "total": 300.0})
    assert (close.account_id, close.drill, close.state) == (ACCOUNT, False, CommandState.DONE)
    assert close.stages_ms == {"journal": 1.5, "proof": 250.5, "total": 300.0}


async def test_leaves_out_what_is_not_wanted(journal: SqliteJournal, path: Path) -> None:
    """By account, action, age and number."""
    late = ISSUED_AT + timedelta(hours=1)
    await carry_out(journal, 1.0)
    await carry_out(journal, 2.0, action=Action.FLATTEN)
    await carry_out(journal, 3.0, account_id=OTHER, received_at=late)

    def told(**wanted: object) -> list[float]:
        return [each.stages_ms["proof"] for each in read_latencies(path, Wanted(**wanted))]  # type: ignore[arg-type]

    assert told() == [3, 2, 1]
    assert told(accounts=[ACCOUNT]) == [2, 1]
    assert told(actions=[Action.CLOSE_ALL]) == [3, 1]
    assert told(accounts=[ACCOUNT], actions=[Action.FLATTEN]) == [2]
    assert told(since=late) == [3]
    assert told(since=late + timedelta(microseconds=1)) == []
    assert told(limit=2) == [3, 2]


async def test_a_parent_of_many_is_not_counted_beside_its_children(journal: SqliteJournal, path: Path) -> None:
    """It is not of one account."""
    parent = make_command(None)
    child = make_command(ACCOUNT, parent_id=parent.command_id)
    await journal.admit([admission(parent, child)])
    assert [each.account_id for each in read_latencies(path, Wanted())] == [ACCOUNT]


async def test_sees_what_is_only_in_the_log_and_the_daemon_goes_on_writing(journal: SqliteJournal, path: Path) -> None:
    """Committed is committed: a reader waits for no checkpoint, and holds nothing up."""
    for number in range(3):
        await carry_out(journal, float(number))
        assert len(read_latencies(path, Wanted())) == number + 1
    assert path.with_name("journal.sqlite3-wal").stat().st_size > 0
    await journal.probe()
    assert journal.healthy


async def test_whoever_may_only_read_sees_the_same_beside_the_daemon(journal: SqliteJournal, path: Path) -> None:
    """Also what is only in the log."""
    await carry_out(journal, 250.5)
    with somebody_else(path, may_read=True):
        [taken] = read_latencies(path, Wanted())
    assert taken.stages_ms["proof"] == 250.5
    await carry_out(journal, 99.0)  # the daemon did not notice


async def test_whoever_may_only_read_sees_the_same_without_the_daemon(path: Path) -> None:
    """Where SQLite would have to make files that this user may not make."""
    async with SqliteJournal(path, node_id=NODE_ID, clock=SteadyClock()) as opened:
        await carry_out(opened, 250.5)
    with somebody_else(path, may_read=True):
        [taken] = read_latencies(path, Wanted())
    assert taken.stages_ms["proof"] == 250.5


async def test_looking_leaves_nothing_behind(path: Path) -> None:
    """Files of somebody else's in the state directory would be in the way of the daemon's next start."""
    async with SqliteJournal(path, node_id=NODE_ID, clock=SteadyClock()) as opened:
        await carry_out(opened, 250.5)
    before = {file.name: file.stat().st_mtime_ns for file in path.parent.iterdir()}
    assert len(read_latencies(path, Wanted())) == 1
    assert {file.name: file.stat().st_mtime_ns for file in path.parent.iterdir()} == before
    assert list(before) == ["journal.sqlite3"]


async def test_a_journal_of_a_daemon_that_was_killed_is_read_with_its_log(journal: SqliteJournal, path: Path) -> None:
    """As it lies on the disk at that moment."""
    await carry_out(journal, 250.5)
    with TemporaryDirectory() as elsewhere:
        copied = Path(elsewhere) / path.name
        for file in path.parent.iterdir():
            copied.with_name(file.name).write_bytes(file.read_bytes())
        [taken] = read_latencies(copied, Wanted())
    assert taken.stages_ms["proof"] == 250.5


def test_a_journal_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    """A wrong directory is said to be wrong."""
    with pytest.raises(JournalUnreadable, match="there is no journal"):
        read_latencies(tmp_path / "journal.sqlite3", Wanted())
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_another_kind_is_told_from_a_journal(tmp_path: Path) -> None:
    """Other SQLite files, and what is none at all."""
    other = tmp_path / "other.sqlite3"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE command (account TEXT)")
    connection.close()
    with pytest.raises(JournalUnreadable, match="not a journal of this program"):
        read_latencies(other, Wanted())
    text = tmp_path / "text.sqlite3"
    text.write_text("no database\n" * 100)
    with pytest.raises(JournalUnreadable, match="not a database"):
        read_latencies(text, Wanted())


async def test_a_journal_of_a_newer_program_is_refused(path: Path) -> None:
    """What its columns mean is not known."""
    async with SqliteJournal(path, node_id=NODE_ID, clock=SteadyClock()):
        pass
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 9999")
    connection.close()
    with pytest.raises(JournalUnreadable, match="upgrade it"):
        read_latencies(path, Wanted())


async def test_whoever_may_not_read_is_told_whom_to_be(journal: SqliteJournal, path: Path) -> None:
    """Not that the disk is broken."""
    await carry_out(journal, 250.5)
    with somebody_else(path, may_read=False), pytest.raises(JournalUnreadable, match="be the daemon's user"):
        read_latencies(path, Wanted())
