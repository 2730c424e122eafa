"""[backup] and [retention] in the running daemon: what is copied and what goes, and what a copy is good for."""

from __future__ import annotations

import asyncio
import io
import json
import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, redirect_stdout
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from node.cli import main
from node.clock import SystemClock
from node.domain.command import Action, CommandState, RejectCode
from node.engine.ports import Rejection, RejectNote
from node.journal.store import SqliteJournal
from tests.support.journal import NODE_ID, admission, make_command, reached
from tests.support.processes import ACCOUNT, Document
from tests.support.service import WITH_ACCOUNT, Service, service

#: An account that the configuration does not have any more: while its commands are young, a restore alone ends them.
FORMER = UUID("0dd5ca1e-5f0a-4c52-9a1e-3d0f6f1d2a77")
KEEP_DAYS = 30
KEEPING = f"""
[backup]
every_s = 60
keep = 2
directory = "{{folder}}/backups"

[retention]
keep_days = {KEEP_DAYS}
"""
WITHIN_S = 40.0


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOWHERE_KEY", "of no exchange")


class ClockOf:
    """The machine's, some days ago."""

    def __init__(self, ago: timedelta) -> None:
        self._ago, self._clock = ago, SystemClock()

    def now(self) -> datetime:
        return self._clock.now() - self._ago

    def monotonic_ns(self) -> int:
        return self._clock.monotonic_ns()

    def boottime_ns(self) -> int:
        return self._clock.boottime_ns()


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What earlier runs have left, by id."""

    #: Ended long ago: these may go, and the id of the signed LOCK among them must not come again.
    old: frozenset[UUID]
    old_lock: UUID
    recent: UUID
    #: Its record is as old as the others', and it would still be resumed.
    unfinished: UUID


def past(folder: Path) -> Past:
    """Written by the journal itself, at another time."""
    account = UUID(ACCOUNT)
    lock, closed = make_command(account, Action.LOCK), make_command(account, Action.CLOSE_ALL)
    unfinished = replace(make_command(FORMER, Action.CLOSE_ALL), received_at=SystemClock().now())
    recent = make_command(account, Action.LOCK)
    note = RejectNote(
        issuer="desk",
        command_id=None,
        account_id=None,
        rejection=Rejection(code=RejectCode.MALFORMED, message="no"),
    )
    file = folder / "state" / "journal.sqlite3"

    async def write() -> None:
        long_ago, lately = ClockOf(timedelta(days=KEEP_DAYS + 10)), ClockOf(timedelta(days=KEEP_DAYS - 10))
        async with SqliteJournal(file, node_id=NODE_ID, clock=long_ago) as journal:
            for command, state in ((lock, CommandState.DONE), (closed, CommandState.FAILED)):
                await journal.admit([admission(command)])
                await journal.record([reached(command, state)])
            await journal.admit([admission(unfinished)])
            await journal.note_rejects([note])
            await journal.published([message.seq for message in await journal.pending(100)])
        async with SqliteJournal(file, node_id=NODE_ID, clock=lately) as journal:
            await journal.admit([admission(recent)])
            await journal.record([reached(recent, CommandState.DONE)])
            await journal.published([message.seq for message in await journal.pending(100)])

    asyncio.run(write())
    return Past(
        old=frozenset({lock.command_id, closed.command_id}),
        old_lock=lock.command_id,
        recent=recent.command_id,
        unfinished=unfinished.command_id,
    )


def ids(file: Path, table: str) -> set[UUID]:
    """Of what is on record."""
    with closing(sqlite3.connect(file)) as reader:
        return {UUID(row[0]) for row in reader.execute(f"SELECT id FROM {table}")}  # noqa: S608


def until_logged(made: Service, *events: str) -> None:
    """Wait until the daemon has said all of these."""
    deadline = time.monotonic() + WITHIN_S
    while not set(events) <= {entry["event"] for entry in made.log()}:
        assert time.monotonic() < deadline, made.log()[-5:]
        assert made.process.poll() is None, made.log()[-5:]
        time.sleep(0.05)


def command_line(folder: Path, *arguments: str) -> tuple[int, Document]:
    """Exit status and JSON document of ``sovereign-node``."""
    with redirect_stdout(io.StringIO()) as told:
        status = main([*arguments, "--config", str(folder / "node.toml"), "--json"])
    return status, dict(json.loads(told.getvalue().splitlines()[-1]))


def locked_now(made: Service) -> Document:
    """By a command at the operator's socket, and seen in the status."""
    body = {"account_id": ACCOUNT, "action": "LOCK", "reason": "after the backup"}
    made.operator.call("POST", "/api/v1/b2b/risk/kill", body).or_trouble()
    return lock_of(made)


def lock_of(made: Service) -> Document:
    """The account's lock, as the status shows it."""
    return dict(made.ask("/api/v1/node/status").document["accounts"][0]["lock"])


def test_the_daemon_copies_its_journal_and_drops_old_history_and_a_copy_brings_a_node_back(tmp_path: Path) -> None:
    """By configuration alone. Killed, and its disk gone, the node begins again from the copy: locked, with an epoch
    above all that was told, and with what was unfinished ended for a person to look at.
    """
    was, backups = past(tmp_path), tmp_path / "backups"
    file = tmp_path / "state" / "journal.sqlite3"
    backups.mkdir()
    for year in ("2024", "2025"):
        (backups / f"journal-{year}0101T000000Z.sqlite3").write_bytes(b"an old one")
    with service(tmp_path, WITH_ACCOUNT + KEEPING) as made:
        made.until("READY")
        until_logged(made, "journal_backed_up", "old_history_dropped")
        known = lock_of(made)
        assert (known["locked"], known["epoch"]) == (True, 3)  # as the old and the recent history have left it
        lost = locked_now(made)
        by_hand = tmp_path / "by-hand.sqlite3"
        assert command_line(tmp_path, "journal", "backup", "--out", str(by_hand))[0] == 0
        made.process.kill()
        made.process.wait(30)
    kept = ids(file, "command")
    assert was.old & kept == set()
    assert {was.recent, was.unfinished} <= kept
    assert ids(file, "spent") == {was.old_lock}
    with closing(sqlite3.connect(file)) as reader:
        assert reader.execute("SELECT count(*) FROM reject").fetchone() == (0,)
    oldest, copy = sorted(backups.iterdir())
    assert oldest.name == "journal-20250101T000000Z.sqlite3"
    for each in file.parent.glob("journal.sqlite3*"):
        each.unlink()
    for each in (copy, by_hand):
        assert command_line(tmp_path, "journal", "verify", str(each))[0] == 0
    assert len(ids(by_hand, "command") - ids(copy, "command")) == 1  # the lock came after the daemon's copy
    status, restored = command_line(tmp_path, "journal", "restore", str(copy))
    assert (status, restored["ended"]) == (0, [str(was.unfinished)])
    with service(tmp_path, WITH_ACCOUNT + KEEPING) as made:
        made.until("READY")
        lock = lock_of(made)
        assert lock["locked"] is True
        assert lock["epoch"] > lost["epoch"] > known["epoch"]
        ending = made.ask(f"/api/v1/b2b/risk/commands/{was.unfinished}").document
        assert (ending["state"], ending["errors"][-1]["code"]) == ("failed", "RESTORED")
        assert made.ask(f"/api/v1/b2b/risk/commands/{was.recent}").document["state"] == "done"
    assert restored["locks"][str(FORMER)] > 0


@pytest.mark.parametrize("fault", ["there already", "no journal", "a pipe", "not ours"])
def test_a_copy_by_hand_overwrites_nothing_and_waits_for_nothing(tmp_path: Path, fault: str) -> None:
    """It says what is wrong, and leaves everything as it was."""
    file, place = tmp_path / "state" / "journal.sqlite3", tmp_path / "by-hand.sqlite3"
    file.parent.mkdir()
    (tmp_path / "node.toml").write_text((WITH_ACCOUNT + KEEPING).format(folder=tmp_path))
    if fault == "there already":
        past(tmp_path)
        place.write_bytes(b"somebody else's")
    elif fault == "a pipe":
        os.mkfifo(file)
    elif fault == "not ours":
        file.write_bytes(b"no database at all" * 100)
    command = ["journal", "backup", "--out", str(place), "--config", str(tmp_path / "node.toml")]
    words = [sys.executable, "-m", "node", *command]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr
    assert "Traceback" not in done.stderr
    assert not place.exists() or place.read_bytes() == b"somebody else's"
