"""A real process is killed while it journals: what it had acknowledged is there, whole and once."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from node.journal.crashpoints import CRASH_POINTS
from node.journal.inspection import Inspection
from node.journal.migrations import packaged_migrations
from node.journal.store import SqliteJournal
from tests.support.journal import NODE_ID, SteadyClock

ROOT = Path(__file__).parents[2]
CHILD = ROOT / "tests" / "support" / "journal_child.py"
RANDOM_KILLS = 20
#: Enough fdatasync calls to be past the opening of the file.
FAILING_SYNC = 40


@dataclass(kw_only=True)
class Said:
    """All that the children acknowledged, and the last thing that the last one began."""

    events: list[tuple[str, int]] = field(default_factory=list)
    published: set[int] = field(default_factory=set)
    resumed: list[str] = field(default_factory=list)
    unavailable: int = 0
    healthy: int = 0
    open_intent: dict[str, Any] | None = None

    def hear(self, line: str) -> None:
        """Take in one line; a kill may have cut the last one short."""
        if not line.endswith("\n"):
            return
        said = json.loads(line)
        if "intent" in said:
            self.open_intent = said
        elif "ack" in said:
            self.open_intent = None
            self.events += [(command_id, seq) for command_id, seq in said.get("events", ())]
            self.published.update(said.get("seqs", ()))
        elif "resumed" in said:
            self.resumed = said["resumed"]
        self.unavailable += "unavailable" in said
        self.healthy += "healthy" in said


def start(path: Path, *, seed: int, crash_at: str = "", wrapper: Sequence[str] = ()) -> subprocess.Popen[str]:
    """A child of its own, which journals until it dies."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "SOVEREIGN_NODE_CRASH_AT": crash_at}
    return subprocess.Popen(
        [*wrapper, sys.executable, str(CHILD), str(path), str(seed)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    )


def kill_after(path: Path, said: Said, *, lines: int, seed: int) -> None:
    """Let a child speak that often, then kill it wherever it is by then."""
    with start(path, seed=seed) as child:
        assert child.stdout is not None
        for _ in range(lines):
            said.hear(child.stdout.readline())
        child.kill()
        for line in child.stdout:
            said.hear(line)
    assert child.returncode == -signal.SIGKILL


def verify(path: Path, said: Said) -> None:
    """Everything that must hold after any death; and what `journal verify` looks at finds no fault in it."""
    with closing(Inspection(path, newest=packaged_migrations()[-1].version)) as inspection:
        assert inspection.faults() == []
    with closing(sqlite3.connect(path)) as connection:

        def rows(query: str) -> list[Any]:
            return connection.execute(query).fetchall()

        assert rows("PRAGMA quick_check") == [("ok",)]
        assert rows("PRAGMA foreign_key_check") == []
        events = [(command, seq) for seq, command in rows("SELECT seq, command FROM command_event")]
        assert set(said.events) <= set(events), "an acknowledged event is missing"
        assert len({seq for _, seq in said.events}) == len(said.events), "a number was given out twice"
        published = {seq for (seq,) in rows("SELECT seq FROM outbox WHERE published_at IS NOT NULL")}
        assert said.published <= published
        assert rows("SELECT seq FROM command_event EXCEPT SELECT seq FROM outbox") == []
        half = (
            "SELECT id FROM command c WHERE account IS NULL AND (SELECT count(*) FROM command WHERE parent = c.id) != 3"
        )
        assert rows(half) == []
        behind = (
            "SELECT c.id FROM command c JOIN command_event e ON e.seq = c.newest_seq WHERE e.state != c.state"
            " OR e.command != c.id OR e.seq != (SELECT max(seq) FROM command_event WHERE command = c.id)"
        )
        assert rows(behind) == []
        twice = "SELECT command FROM command_event WHERE state = 'accepted' GROUP BY command HAVING count(*) > 1"
        assert rows(twice) == []
        told: dict[str, dict[str, Any]] = {}
        for (text,) in rows("SELECT document FROM command_event ORDER BY seq"):
            document = json.loads(text)
            if "lock" in document:
                told[document["account_id"]] = document["lock"]
        held = "EXISTS (SELECT 1 FROM lock_hold h WHERE h.account = l.account)"
        locks = rows(f"SELECT account, epoch, latched OR {held} FROM engine_lock l")  # noqa: S608
        assert {account: {"locked": bool(locked), "epoch": epoch} for account, epoch, locked in locks} == told
        assert rows("SELECT 1 FROM lock_hold JOIN command ON id = command WHERE ended_at IS NOT NULL") == []


def unfinished(path: Path) -> list[str]:
    """What a restarted node finds."""

    async def find() -> list[str]:
        async with SqliteJournal(path, node_id=NODE_ID, clock=SteadyClock()) as journal:
            return [str(stored.command.command_id) for stored in await journal.unfinished()]

    return asyncio.run(find())


def verify_unfinished(path: Path) -> None:
    """Exactly the commands without an ending are found again."""
    with closing(sqlite3.connect(path)) as connection:
        endings = "SELECT command FROM command_event WHERE state IN ('done', 'rejected', 'failed')"
        query = f"SELECT id FROM command WHERE id NOT IN ({endings}) ORDER BY first_seq"  # noqa: S608
        expected = [command_id for (command_id,) in connection.execute(query)]
    assert unfinished(path) == expected


def test_twenty_kills_at_random_lose_nothing(tmp_path: Path) -> None:
    """One file, one life after another, each taking over what the last one left."""
    path, said, chance = tmp_path / "journal.db", Said(), random.Random(7)  # noqa: S311
    for seed in range(RANDOM_KILLS):
        kill_after(path, said, lines=chance.randint(2, 60), seed=seed)
        verify(path, said)
    assert len(said.events) > 5 * RANDOM_KILLS
    verify_unfinished(path)


@pytest.mark.parametrize("point", CRASH_POINTS)
def test_a_death_at_a_named_point(tmp_path: Path, point: str) -> None:
    """Before the commit nothing of the transaction is there; after it everything is, although nobody was told."""
    path, said = tmp_path / "journal.db", Said()
    with start(path, seed=3, crash_at=f"{point}:5") as child:
        assert child.stdout is not None
        for line in child.stdout:
            said.hear(line)
    assert child.returncode == -signal.SIGKILL
    verify(path, said)
    name, _, when = point.partition(".")
    assert said.open_intent is not None
    assert said.open_intent["intent"] == name
    assert carried_out(path, said.open_intent) == {when == "after_commit"}
    verify_unfinished(path)


def carried_out(path: Path, intent: dict[str, Any]) -> set[bool]:
    """For each part of what was begun: whether it is on disk."""
    with closing(sqlite3.connect(path)) as connection:
        present = {
            "admit": {one for (one,) in connection.execute("SELECT id FROM command")},
            "record": {one for (one,) in connection.execute("SELECT id FROM command WHERE ended_at IS NOT NULL")},
            "published": {
                one for (one,) in connection.execute("SELECT seq FROM outbox WHERE published_at IS NOT NULL")
            },
        }[intent["intent"]]
    parts = [one for ids in intent["ids"] for one in ids] if "ids" in intent else intent["seqs"]
    return {part in present for part in parts}


def can_trace() -> bool:
    """Whether strace is here and may be used."""
    strace = shutil.which("strace")
    return (
        strace is not None and subprocess.run([strace, "-qq", "-o", "/dev/null", "true"], check=False).returncode == 0
    )


@pytest.mark.skipif(not can_trace(), reason="strace cannot inject faults here")
def test_a_failed_sync_is_survived_and_leaves_nothing_half(tmp_path: Path) -> None:
    """One fdatasync fails: the journal says unavailable, comes back by itself, and all it acknowledged stands."""
    path, said = tmp_path / "journal.db", Said()
    inject = f"inject=fdatasync:error=EIO:when={FAILING_SYNC}"
    wrapper = ["strace", "-f", "-qq", "-o", str(tmp_path / "trace"), "-e", "trace=fdatasync", "-e", inject]
    with start(path, seed=11, wrapper=wrapper) as child:
        assert child.stdout is not None
        for _ in range(20 * FAILING_SYNC):
            said.hear(child.stdout.readline())
            if said.healthy and len(said.events) > 2 * FAILING_SYNC:
                break
        child.stdout.close()  # its next word finds nobody: it ends
    assert said.healthy == 1
    assert "EIO" in (tmp_path / "trace").read_text()
    assert said.unavailable == 1
    verify(path, said)
    verify_unfinished(path)
