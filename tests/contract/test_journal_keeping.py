"""Backups, what a look into a journal finds, exports, and the way back from a backup."""

from __future__ import annotations

import asyncio
import json
import math
import os
import sqlite3
import stat
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from node.clock import SystemClock
from node.commands.journal import _known_epochs
from node.domain.command import Action, Command, CommandState
from node.domain.lock import AccountLock
from node.engine.ports import Admitted
from node.errors import JournalUnavailable
from node.journal.backups import BackupFolder, Upkeep
from node.journal.connection import RESTORING
from node.journal.inspection import Inspection, Unreadable, line
from node.journal.migrations import JournalDamaged, packaged_migrations
from node.journal.restoration import Restored, replaced_before, restore
from node.journal.store import SqliteJournal
from tests.contract.test_journal import ACCOUNT, OTHER
from tests.support.journal import NODE_ID, admission, for_many, make_command, reached

NEWEST = packaged_migrations()[-1].version


def at(path: Path) -> SqliteJournal:
    """A journal on the machine's own clock."""
    return SqliteJournal(path, node_id=NODE_ID, clock=SystemClock(), reopen_after_s=(0.01,))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the journal is."""
    return tmp_path / "state" / "journal.sqlite3"


async def lived(journal: SqliteJournal) -> dict[str, Command]:
    """Something of everything: an open lock, a hold, a family, a reject, what has ended and what has not."""
    lock, unlock = make_command(ACCOUNT, Action.LOCK), make_command(ACCOUNT, Action.UNLOCK, epoch=1)
    live, parent = make_command(OTHER), make_command(None, Action.LOCK)
    for command in (lock, unlock):
        await journal.admit([admission(command)])
        await journal.record([reached(command, CommandState.DONE)])
    await journal.admit([admission(live, latch=False)])
    await journal.admit([for_many(parent, [OTHER])])
    await journal.admit([admission(make_command(OTHER, command_id=lock.command_id))])
    await journal.record([reached(live, CommandState.RUNNING)])
    return {"lock": lock, "unlock": unlock, "live": live, "parent": parent}


def faults(path: Path) -> list[str]:
    """What a look finds."""
    with closing(Inspection(path, newest=NEWEST)) as inspection:
        return inspection.faults()


def exported(path: Path) -> list[str]:
    """Every line of an export."""
    with closing(Inspection(path, newest=NEWEST)) as inspection:
        return [line(record) for record in inspection.records()]


def overwrite(source: Path, target: Path, *, first_page: int) -> bytes:
    """Make a copy in which four pages are overwritten; what it is then."""
    content = bytearray(source.read_bytes())
    content[first_page * 4096 : (first_page + 4) * 4096] = b"\xff" * 4 * 4096
    target.write_bytes(content)
    return bytes(content)


class TestVerify:
    async def test_a_journal_that_has_lived_keeps_its_rules(self, path: Path) -> None:
        """Also while it is being written."""
        async with at(path) as journal:
            await lived(journal)
            assert faults(path) == []
        assert faults(path) == []

    @pytest.mark.parametrize(
        ("harm", "fault"),
        [
            ("UPDATE engine_lock SET epoch = 1 WHERE epoch = 2", "newer epoch than the lock has"),
            (
                "UPDATE command SET state = 'running', ended_at = NULL WHERE action = 'UNLOCK'",
                "is not that of its newest",
            ),
            (
                "UPDATE command_event SET document = json_set(document, '$.seq', 77) WHERE seq = 2",
                "something else than",
            ),
            ("UPDATE command_event SET state = 'done' WHERE state = 'running'", "state is not that of"),
            ("DELETE FROM outbox WHERE seq = 3", "no place in the outbox"),
            ("DELETE FROM command_event WHERE seq = 1", "refers to nothing"),
            (
                "UPDATE command_event SET document = json_set(document, '$.lock.epoch', 9) WHERE seq = 1",
                "epoch that events tell has fallen",
            ),
            (
                "UPDATE lock_hold SET command = (SELECT id FROM command WHERE action = 'UNLOCK')",
                "has ended holds a lock",
            ),
            ("INSERT INTO lock_hold SELECT account, 'nobody' FROM engine_lock", "refers to nothing"),
        ],
    )
    async def test_what_a_hand_in_the_file_has_broken_is_named(self, path: Path, harm: str, fault: str) -> None:
        """Past the triggers, which would have refused it."""
        async with at(path) as journal:
            await lived(journal)
        with closing(sqlite3.connect(path, isolation_level=None)) as stranger:
            for (trigger,) in stranger.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
                stranger.execute(f"DROP TRIGGER {trigger}")
            assert stranger.execute(harm).rowcount > 0
        assert any(fault in each for each in faults(path)), faults(path)

    async def test_overwritten_bytes_are_found(self, path: Path) -> None:
        """Wherever in the file."""
        async with at(path) as journal:
            await lived(journal)
        overwrite(path, path, first_page=3)
        assert faults(path)


@pytest.mark.parametrize("kind", ["pipe", "folder", "device"])
def test_what_is_no_file_is_not_waited_for(tmp_path: Path, kind: str) -> None:
    """A slip at a prompt: SQLite would wait for a writer of the pipe."""
    place = tmp_path / "backup"
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "folder":
        place.mkdir()
    else:
        place.symlink_to(os.devnull)
    with pytest.raises(Unreadable, match=r"(?i)not a regular file|directory"):
        Inspection(place, newest=NEWEST)


class TestExport:
    async def test_the_same_content_gives_the_same_bytes(self, path: Path, tmp_path: Path) -> None:
        """Of the journal that is being written, of its backup, and of both again later."""
        async with at(path) as journal:
            await lived(journal)
            first = exported(path)
            await journal.backup(tmp_path / "backup")
            await journal.probe()
            assert exported(path) == first
        assert exported(tmp_path / "backup") == first

    async def test_nothing_is_left_out_but_what_could_be_used_to_command(self, path: Path) -> None:
        """Every command and every event with its document; of API keys no digest."""
        async with at(path) as journal:
            commands = await lived(journal)
        with closing(sqlite3.connect(path, isolation_level=None)) as stranger:
            stranger.execute(
                "INSERT INTO api_key (id, owner, digest, scopes, created_at) VALUES ('k', 'acme', ?, '[]', 'now')",
                (b"\xab" * 32,),
            )
        records = [json.loads(each) for each in exported(path)]
        told = {record["id"] for record in records if record["kind"] == "command"}
        assert told >= {str(command.command_id) for command in commands.values()}
        events = [record for record in records if record["kind"] == "event"]
        assert [record["seq"] for record in events] == sorted(record["document"]["seq"] for record in events)
        (key,) = [record for record in records if record["kind"] == "api_key"]
        assert set(key) == {
            "kind", "id", "owner", "label", "scopes", "accounts", "created_at", "expires_at", "revoked_at",
        }  # fmt: skip
        assert {record["kind"] for record in records} == {
            "meta", "lock", "hold", "api_key", "command", "event", "reject",
        }  # fmt: skip


class TestBackups:
    async def test_are_made_when_due_kept_so_many_and_private(self, path: Path, tmp_path: Path) -> None:
        """While commands are admitted; each opens as a journal."""
        ages: list[float] = []
        async with at(path) as journal:
            clock = ShiftedClock()
            upkeep = upkeep_of(journal, clock, tmp_path, ages)
            for hour in range(5):
                clock.ahead = timedelta(hours=hour)
                upkeep._tried_ns = None
                await asyncio.gather(upkeep.look(), journal.admit([admission(make_command(ACCOUNT, Action.LOCK))]))
            clock.ahead += timedelta(minutes=30)
            upkeep._tried_ns = None
            await upkeep.look()
        made = sorted((tmp_path / "backups").iterdir())
        assert len(made) == 3
        assert [stat.S_IMODE(each.stat().st_mode) for each in made] == [0o600] * 3
        assert stat.S_IMODE((tmp_path / "backups").stat().st_mode) == 0o700
        assert ages[-1] == pytest.approx(1800, abs=60)
        for each in made:
            assert faults(each) == []

    async def test_that_cannot_be_made_leave_no_half_file_and_are_tried_again(self, path: Path, tmp_path: Path) -> None:
        """And the node goes on."""
        outcomes: list[bool] = []
        (tmp_path / "backups").write_text("in the way")
        async with at(path) as journal:
            upkeep = upkeep_of(journal, ShiftedClock(), tmp_path, [], outcomes)
            await upkeep.look()
            assert outcomes == [False]
            (tmp_path / "backups").unlink()
            await upkeep.look()
            assert outcomes == [False], "not at once again"
            upkeep._tried_ns = None
            await upkeep.look()
            assert outcomes == [False, True]
            assert journal.healthy

    async def test_wait_while_a_command_is_live(self, path: Path, tmp_path: Path) -> None:
        """A kill has the disk to itself."""
        outcomes: list[bool] = []
        async with at(path) as journal:
            upkeep = upkeep_of(journal, ShiftedClock(), tmp_path, [], outcomes)
            upkeep.busy = lambda: True
            await upkeep.look()
            assert outcomes == []
            upkeep.busy = lambda: False
            await upkeep.look()
            assert outcomes == [True]

    async def test_a_backup_of_a_clock_that_was_ahead_does_not_stand_for_those_that_are_due(
        self, path: Path, tmp_path: Path
    ) -> None:
        """Or there were none for years, and an age of nothing at all; nor does it push a good one out."""
        clock, ages, outcomes = ShiftedClock(), list[float](), list[bool]()
        async with at(path) as journal:
            upkeep = upkeep_of(journal, clock, tmp_path, ages, outcomes)
            clock.ahead = timedelta(days=1500)
            await upkeep.look()
            wrong = set((tmp_path / "backups").iterdir())
            clock.ahead = timedelta()
            upkeep._tried_ns = None  # a minute later
            await upkeep.look()
            assert (outcomes, ages[-2]) == ([True, True], math.inf)
            for hours in (2, 4):
                clock.ahead = timedelta(hours=hours)
                upkeep._tried_ns = None
                await upkeep.look()
            left = set((tmp_path / "backups").iterdir())
            assert (len(left), left & wrong) == (3, set())

    @pytest.mark.parametrize("told", [False, None])
    async def test_what_a_clock_calls_old_that_nobody_agrees_with_stays(
        self, path: Path, tmp_path: Path, told: bool | None
    ) -> None:
        """A machine that wakes up years ahead must not drop its history before its clock is put right."""
        clock = ShiftedClock()
        async with at(path) as journal:
            await lived(journal)
            before = exported(path)
            upkeep = upkeep_of(journal, clock, tmp_path, [])
            upkeep.keep_for, upkeep.clock_is_right = timedelta(days=30), lambda: told
            clock.ahead = timedelta(days=1500)
            await upkeep.look()
            assert exported(path) == before
            upkeep.clock_is_right = lambda: True
            await upkeep.look()
            assert exported(path) != before


class ShiftedClock(SystemClock):
    """The machine's clock, set ahead."""

    ahead = timedelta()

    def now(self) -> datetime:
        """The hour that a test wants."""
        return super().now() + self.ahead


def upkeep_of(
    journal: SqliteJournal, clock: SystemClock, folder: Path, ages: list[float], outcomes: list[bool] | None = None
) -> Upkeep:
    """Hourly, three are kept."""
    return Upkeep(
        journal=journal,
        clock=clock,
        folder=BackupFolder(path=folder / "backups", keep=3),
        every_s=3600,
        keep_for=None,
        busy=lambda: False,
        on_age_s=ages.append,
        on_backup=([] if outcomes is None else outcomes).append,
    )


async def restored(source: Path | None, target: Path, epochs: dict[UUID, int] | None = None) -> Restored:
    """As the command line does it."""
    return await restore(
        source, target, node_id=NODE_ID, clock=SystemClock(), accounts=[ACCOUNT, OTHER], epochs=epochs or {}, revoked={}
    )


class Killed(BaseException):
    """In the middle of something."""


async def killed(*_arguments: object) -> None:
    """In place of something that takes its time."""
    raise Killed


class StoppedClock(SystemClock):
    """Always the same instant."""

    def now(self) -> datetime:
        """That instant."""
        return datetime(2026, 11, 26, tzinfo=UTC)


class TestRestore:
    async def test_an_older_backup_comes_back_locked_with_epochs_and_numbers_above_all_before(
        self, path: Path, tmp_path: Path
    ) -> None:
        """What happened since the backup is lost: no epoch and no number of that time may be given out again."""
        backup = tmp_path / "backup"
        async with at(path) as journal:
            commands = await lived(journal)
            await journal.backup(backup)
            for _ in range(20):
                [outcome] = await journal.admit([admission(make_command(ACCOUNT, Action.LOCK))])
            assert isinstance(outcome, Admitted)
            lost_seq, lost = outcome.documents[0]["seq"], await journal.locks()
        done = await restored(backup, path)
        assert done.replaced is not None
        assert faults(done.replaced) == []
        async with at(path) as journal:
            locks = await journal.locks()
            assert all(locks[account].latched and locks[account].epoch > lost[account].epoch for account in lost)
            assert "restored from backup" in (locks[ACCOUNT].reason or "")
            assert await journal.unfinished() == []
            for name in ("live", "parent"):
                found = await journal.find(commands[name].command_id)
                assert found is not None
                assert (found.state, found.document["errors"][0]["code"]) == (CommandState.FAILED, "RESTORED")
            [outcome] = await journal.admit([admission(make_command(ACCOUNT, Action.LOCK))])
            assert isinstance(outcome, Admitted)
            assert outcome.documents[0]["seq"] > lost_seq
        assert faults(path) == []
        assert set(done.ended) >= {commands["live"].command_id, commands["parent"].command_id}

    async def test_an_epoch_that_is_known_from_elsewhere_is_passed_too(self, path: Path, tmp_path: Path) -> None:
        """A clock that is behind must not make an epoch fall."""
        async with at(path) as journal:
            await lived(journal)
            await journal.backup(tmp_path / "backup")
        far = int(datetime(2200, 1, 1, tzinfo=UTC).timestamp())
        done = await restored(tmp_path / "backup", path, {ACCOUNT: far})
        assert done.locks[ACCOUNT].epoch == far + 1

    async def test_anew_every_account_is_locked(self, path: Path) -> None:
        """Where there is no backup."""
        async with at(path) as journal:
            await lived(journal)
        broken = overwrite(path, path, first_page=1)
        done = await restored(None, path)
        assert done.replaced is not None
        assert done.replaced.read_bytes() == broken
        async with at(path) as journal:
            assert {account: lock.locked for account, lock in (await journal.locks()).items()} == {
                ACCOUNT: True,
                OTHER: True,
            }

    async def test_a_log_of_the_old_journal_is_not_taken_for_the_new_ones(self, path: Path, tmp_path: Path) -> None:
        """SQLite would replay it."""
        async with at(path) as journal:
            await lived(journal)
            await journal.backup(tmp_path / "backup")
            copied = {name: path.with_name(path.name + name).read_bytes() for name in ("", "-wal")}
        for name, content in copied.items():  # as kill -9 leaves them
            path.with_name(path.name + name).write_bytes(content)
        done = await restored(tmp_path / "backup", path)
        assert done.replaced is not None
        assert done.replaced.with_name(done.replaced.name + "-wal").read_bytes() == copied["-wal"]
        assert faults(path) == []

    async def test_what_is_left_of_an_interrupted_one_is_not_taken_for_a_journal(self, path: Path) -> None:
        """Between two names there may be an old file, a new one, or none: no node begins with any of them."""
        async with at(path) as journal:
            await lived(journal)
        mark = path.with_name(path.name + RESTORING)
        mark.write_bytes(b"half")
        with pytest.raises(JournalDamaged, match="interrupted"):
            async with at(path):
                pass
        await restored(None, path)
        assert not mark.exists()
        async with at(path) as journal:
            assert (await journal.locks())[ACCOUNT].latched

    @pytest.mark.parametrize("step", range(4))
    async def test_killed_at_any_step_no_node_takes_what_is_there_for_its_journal(
        self, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
    ) -> None:
        """The old file, its log, the new file change their names one after another: before, between, and after them."""
        async with at(path) as journal:
            await lived(journal)
            await journal.backup(tmp_path / "backup")
            wal = path.with_name(path.name + "-wal").read_bytes()
        path.with_name(path.name + "-wal").write_bytes(wal)
        renamed: list[Path] = []
        rename = Path.rename

        def counted(self: Path, target: Path) -> Path:
            if len(renamed) == step:
                raise Killed
            renamed.append(target)
            return rename(self, target)

        monkeypatch.setattr(Path, "rename", counted)
        if step < 3:
            with pytest.raises(Killed):
                await restored(tmp_path / "backup", path)
            with pytest.raises(JournalDamaged, match="interrupted"):
                async with at(path):
                    pass
        monkeypatch.undo()
        await restored(tmp_path / "backup", path)
        async with at(path) as journal:
            assert all(lock.latched for lock in (await journal.locks()).values())

    @pytest.mark.parametrize("second", ["fails", "is killed"])
    async def test_a_second_attempt_that_comes_to_nothing_leaves_the_mark_of_the_first(
        self, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, second: str
    ) -> None:
        """The old file has another name by then: without the mark a node would begin anew, with all accounts open."""
        async with at(path) as journal:
            await lived(journal)
            await journal.backup(tmp_path / "backup")
        rename, renames = Path.rename, iter(range(2))

        def killed_after_the_first(self: Path, target: Path) -> Path:
            if next(renames):
                raise Killed
            return rename(self, target)

        monkeypatch.setattr(Path, "rename", killed_after_the_first)
        path.with_name(path.name + "-wal").touch()
        with pytest.raises(Killed):
            await restored(tmp_path / "backup", path)
        monkeypatch.undo()
        assert [each.name for each in replaced_before(path)]
        overwrite(tmp_path / "backup", tmp_path / "damaged", first_page=1)
        if second == "is killed":
            monkeypatch.setattr("node.journal.restoration.copy_to", killed)
        with pytest.raises((JournalUnavailable, sqlite3.Error, Killed)):
            await restored(tmp_path / "damaged", path)
        monkeypatch.undo()
        with pytest.raises(JournalDamaged, match="interrupted"):
            async with at(path):
                pass
        await restored(tmp_path / "backup", path)
        async with at(path) as journal:
            assert all(lock.latched for lock in (await journal.locks()).values())

    async def test_what_was_replaced_is_kept_also_when_the_next_comes_in_the_same_second(
        self, path: Path, tmp_path: Path
    ) -> None:
        """Of a script, or of a clock that was set back: names go by the second."""
        async with at(path) as journal:
            await lived(journal)
            await journal.backup(tmp_path / "backup")
        said = {"node_id": NODE_ID, "clock": StoppedClock(), "accounts": [ACCOUNT], "epochs": {}, "revoked": {}}
        places = {(await restore(tmp_path / "backup", path, **said)).replaced for _ in range(3)}  # type: ignore[arg-type]
        assert len(places) == 3
        assert {place for place in places if place} == set(replaced_before(path))
        assert all(place and faults(place) == [] for place in places)

    async def test_epochs_of_a_journal_that_was_moved_away_already_are_known(self, path: Path, tmp_path: Path) -> None:
        """By a restoration that was killed: the next one finds nothing in its place."""
        async with at(path) as journal:
            await lived(journal)
            epochs = {account: lock.epoch for account, lock in (await journal.locks()).items()}
        await asyncio.to_thread(path.rename, path.with_name(path.name + ".replaced-20261126T000000Z"))
        settings: Any = SimpleNamespace(locks_dir=tmp_path / "locks", accounts=[SimpleNamespace(id=ACCOUNT)])
        assert _known_epochs(settings, path) == epochs
        assert epochs[ACCOUNT] > 0

    async def test_a_backup_that_cannot_be_used_changes_nothing(self, path: Path, tmp_path: Path) -> None:
        """Damaged, or no journal at all."""
        async with at(path) as journal:
            await lived(journal)
        before = exported(path)
        overwrite(path, tmp_path / "backup", first_page=1)
        with pytest.raises((JournalUnavailable, sqlite3.Error)):
            await restored(tmp_path / "backup", path)
        assert exported(path) == before
        left = {entry.name.removeprefix(path.name) for entry in path.parent.iterdir()}
        assert left <= {"", "-wal", "-shm"}


def test_an_assumed_lock_has_an_epoch_that_nobody_can_have_seen() -> None:
    """Above its own and above the seconds of its time; the baseline of a lock that was one stays."""
    now = datetime(2026, 11, 20, tzinfo=UTC)
    new = AccountLock(account_id=ACCOUNT, epoch=7).assumed(by="node", reason="lost", at=now)
    assert (new.locked, new.epoch, new.since) == (True, int(now.timestamp()), now)
    again = new.assumed(by="node", reason="lost", at=now - timedelta(days=400))
    assert (again.epoch, again.since) == (new.epoch + 1, now)
