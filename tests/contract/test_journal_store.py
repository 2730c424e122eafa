"""What only the journal on disk promises: the file, its settings, its failures and the way back."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import aiosqlite
import pytest

from node.domain.command import Action, CommandState
from node.domain.lock import AccountLock
from node.domain.result import Document
from node.engine.ports import Admitted, Duplicate, Refused
from node.errors import JournalUnavailable, StateDirectoryBusy
from node.journal import database, rows
from node.journal.connection import open_writer
from node.journal.directory import StateDirectory, holders_by_kernel
from node.journal.disk_time import LONGEST
from node.journal.migrations import APPLICATION_ID, JournalIncompatible, Migration, packaged_migrations
from node.journal.store import SqliteJournal
from tests.contract.test_journal import ACCOUNT, OTHER
from tests.support.disks import small_disk
from tests.support.journal import NODE_ID, HealthLog, SteadyClock, admission, for_many, make_command, reached
from tests.support.waiting import PATIENCE_S, until

#: A stranger's trigger that makes the last statement of an admission fail.
BREAK_STATEMENT = (
    "CREATE TRIGGER breaker BEFORE INSERT ON engine_lock BEGIN SELECT RAISE(ABORT, 'the disk is broken'); END"
)
#: One that lets every statement pass and makes the commit itself fail, by its deferred foreign key.
BREAK_COMMIT = (
    "CREATE TRIGGER breaker AFTER INSERT ON outbox"
    " BEGIN UPDATE command SET newest_seq = 999999 WHERE newest_seq = NEW.seq; END"
)


def journal_at(path: Path, **options: Any) -> SqliteJournal:
    """One that reopens without delay."""
    return SqliteJournal(path, node_id=NODE_ID, clock=SteadyClock(), reopen_after_s=(0.01,), **options)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the journal's file will be."""
    return tmp_path / "state" / "journal.db"


@contextmanager
def stranger(path: Path) -> Iterator[sqlite3.Connection]:
    """Another program's hand in the file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def values(path: Path, query: str) -> list[Any]:
    """The first column of a query, read past the journal."""
    with stranger(path) as connection:
        return [row[0] for row in connection.execute(query)]


def mode(path: Path) -> int:
    """The rights of a file."""
    return stat.S_IMODE(path.stat().st_mode)


def damage(path: Path) -> bytes:
    """Overwrite all but the first page; returns what was there."""
    sound = path.read_bytes()
    path.write_bytes(sound[:4096] + b"\xff" * (len(sound) - 4096))
    return sound


def put_in_place(other: Path, path: Path) -> None:
    """Replace the journal's file, as a careless restore would."""
    other.replace(path)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def mend(path: Path) -> None:
    """Take the breaking trigger out again."""
    with stranger(path) as connection:
        connection.execute("DROP TRIGGER breaker")


async def test_everything_survives_a_restart(path: Path) -> None:
    """Commands, locks with their holds, the outbox and the counter."""
    held, latched = make_command(ACCOUNT), make_command(OTHER, Action.LOCK)
    async with journal_at(path) as journal:
        await journal.admit([admission(held, latch=False), admission(latched)])
        await journal.record([reached(latched, CommandState.DONE)])
        await journal.published([1])
        locks = await journal.locks()
    async with journal_at(path) as journal:
        assert await journal.locks() == locks
        assert locks[ACCOUNT].holds == {held.command_id}
        assert [stored.command for stored in await journal.unfinished()] == [held]
        assert [message.seq for message in await journal.pending(10)] == [2, 3]
        [document] = await journal.record([reached(held, CommandState.DONE, release=True)])
        assert document["seq"] == 4
        assert not (await journal.locks())[ACCOUNT].locked


async def test_a_conflicts_number_is_not_given_out_again(path: Path) -> None:
    """Its document was sent, although it is no event."""
    command = make_command(ACCOUNT)
    async with journal_at(path) as journal:
        await journal.admit([admission(command)])
        [conflict] = await journal.admit([admission(make_command(OTHER, command_id=command.command_id))])
        assert isinstance(conflict, Refused)
    assert values(path, "SELECT code FROM reject") == ["CONFLICT"]
    async with journal_at(path) as journal:
        [outcome] = await journal.admit([admission(make_command(OTHER))])
        assert isinstance(outcome, Admitted)
        assert outcome.documents[0]["seq"] == conflict.document["seq"] + 1


async def test_the_file_is_private_and_ours(path: Path) -> None:
    """0600 in a 0700 directory, also its companions; marked, versioned, WAL."""
    async with journal_at(path) as journal:
        await journal.admit([admission(make_command(ACCOUNT))])
        modes = {entry.name: mode(entry) for entry in path.parent.iterdir()}
    assert modes == {"journal.db": 0o600, "journal.db-wal": 0o600, "journal.db-shm": 0o600}
    assert mode(path.parent) == 0o700
    assert values(path, "PRAGMA application_id") == [APPLICATION_ID]
    assert values(path, "PRAGMA user_version") == [packaged_migrations()[-1].version]
    assert values(path, "PRAGMA journal_mode") == ["wal"]


async def test_a_readable_file_is_made_private(path: Path) -> None:
    """Whoever had loosened it."""
    async with journal_at(path):
        pass
    await asyncio.to_thread(path.chmod, 0o644)
    async with journal_at(path):
        assert mode(path) == 0o600


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE command_event SET document = '{}'",
        "DELETE FROM command_event",
        "DELETE FROM command",
        "UPDATE command SET issuer = 'somebody else'",
        "UPDATE engine_lock SET latched = 0",
        "UPDATE engine_lock SET epoch = 0",
        "DELETE FROM engine_lock",
        "UPDATE command SET state = 'sleeping'",
        "UPDATE command SET state = 'running'",
        "INSERT INTO command_event SELECT seq + 1, command, 'running', at, document FROM command_event WHERE seq = 2",
    ],
)
async def test_the_file_itself_forbids_rewriting_history(path: Path, statement: str) -> None:
    """Even to a hand that goes past this program."""
    command = make_command(ACCOUNT)
    async with journal_at(path) as journal:
        await journal.admit([admission(command)])
        await journal.record([reached(command, CommandState.DONE)])
    with stranger(path) as connection, pytest.raises(sqlite3.IntegrityError):
        connection.execute(statement)


async def test_a_newer_file_is_refused_and_left_as_it_is(path: Path) -> None:
    """An older program must not guess at it."""
    async with journal_at(path):
        pass
    with stranger(path) as connection:
        connection.execute("PRAGMA user_version = 999")
    with pytest.raises(JournalIncompatible, match="999"):
        async with journal_at(path):
            pass
    assert values(path, "PRAGMA user_version") == [999]


async def test_another_programs_file_is_refused_and_left_as_it_is(path: Path) -> None:
    """A wrong path must not cost anybody their data."""
    path.parent.mkdir()
    with stranger(path) as connection:
        connection.execute("CREATE TABLE diary (entry TEXT)")
    before = await asyncio.to_thread(path.read_bytes)
    with pytest.raises(JournalIncompatible):
        async with journal_at(path):
            pass
    assert await asyncio.to_thread(path.read_bytes) == before


async def test_an_older_file_is_backed_up_then_migrated(path: Path) -> None:
    """The backup is a whole journal of the older version."""
    command = make_command(ACCOUNT)
    async with journal_at(path) as journal:
        await journal.admit([admission(command)])
    newest = packaged_migrations()[-1].version
    later = Migration(version=newest + 1, script="ALTER TABLE meta ADD COLUMN note TEXT;")
    async with journal_at(path, migrations=[*packaged_migrations(), later]) as journal:
        assert await journal.find(command.command_id) is not None
    assert values(path, "PRAGMA user_version") == [newest + 1]
    backup = path.with_name(f"journal.db.before-{newest + 1}")
    assert mode(backup) == 0o600
    async with journal_at(backup) as journal:
        assert await journal.find(command.command_id) is not None


async def test_a_migration_that_fails_half_way_leaves_the_older_version(path: Path) -> None:
    """Each script is one transaction with its version."""
    async with journal_at(path):
        pass
    newest = packaged_migrations()[-1].version
    broken = Migration(
        version=newest + 1, script="ALTER TABLE meta ADD COLUMN note TEXT; INSERT INTO nowhere VALUES (1);"
    )
    with pytest.raises(JournalUnavailable):
        async with journal_at(path, migrations=[*packaged_migrations(), broken]):
            pass
    assert values(path, "PRAGMA user_version") == [newest]
    assert "note" not in values(path, "SELECT name FROM pragma_table_info('meta')")


@pytest.mark.parametrize("steps", range(12))
async def test_cancelling_the_caller_never_splits_a_transaction(path: Path, steps: int) -> None:
    """At whichever await it is cut off, the admission is whole and the next one works."""
    parent, following = make_command(None), make_command(ACCOUNT)
    async with journal_at(path) as journal:
        task = asyncio.create_task(journal.admit([for_many(parent, [ACCOUNT, OTHER])]))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        [outcome] = await journal.admit([admission(following)])
        assert isinstance(outcome, Admitted)
        stored = len(await journal.children(parent.command_id))
        assert stored == (2 if await journal.find(parent.command_id) else 0)
        assert stored == 2 or steps == 0
        assert outcome.documents[0]["seq"] == (4 if stored else 1)


async def test_concurrent_callers_each_get_their_own_answer(path: Path) -> None:
    """Transactions queue; numbers rise without a gap."""
    commands = [make_command(ACCOUNT) for _ in range(20)]
    async with journal_at(path) as journal:
        outcomes = await asyncio.gather(*(journal.admit([admission(command)]) for command in commands))
        lock = (await journal.locks())[ACCOUNT]
    numbers = [outcome.documents[0]["seq"] for [outcome] in outcomes if isinstance(outcome, Admitted)]
    assert numbers == list(range(1, 21))
    assert lock.epoch == 20


@pytest.mark.parametrize("breaker", [BREAK_STATEMENT, BREAK_COMMIT])
async def test_a_failed_write_leaves_nothing_and_the_journal_comes_back(path: Path, breaker: str) -> None:
    """Whether a statement or the commit fails: unavailable at once, healed in the background, and then as before."""
    health, command = HealthLog(), make_command(ACCOUNT)
    async with journal_at(path, on_health=health) as journal:
        with stranger(path) as connection:
            connection.execute(breaker)
        with pytest.raises(JournalUnavailable):
            await journal.admit([admission(command)])
        await asyncio.to_thread(mend, path)
        await health.recovered()
        assert health.changes == [True, False, True]
        assert await journal.find(command.command_id) is None
        assert await journal.locks() == {}
        [outcome] = await journal.admit([admission(command)])
        assert isinstance(outcome, Admitted)
        assert outcome.documents[0]["seq"] == 1
    assert health.changes == [True, False, True, False]


def every_call(journal: SqliteJournal, target: Path) -> list[Callable[[], Awaitable[object]]]:
    """All that a journal can be asked."""
    command = make_command(ACCOUNT)
    return [
        journal.locks,
        lambda: journal.admit([admission(command)]),
        lambda: journal.record([reached(command, CommandState.DONE)]),
        lambda: journal.find(command.command_id),
        lambda: journal.children(command.command_id),
        journal.unfinished,
        lambda: journal.events(command.command_id),
        lambda: journal.pending(1),
        lambda: journal.published([1]),
        journal.probe,
        lambda: journal.backup(target),
    ]


async def test_every_call_fails_at_once_while_the_journal_is_down(path: Path) -> None:
    """A damaged file is never trusted; once it is mended the journal comes back by itself."""
    health, command = HealthLog(), make_command(ACCOUNT)
    async with journal_at(path) as journal:
        await journal.admit([admission(command)])
    sound = damage(path)
    journal = journal_at(path, on_health=health)
    with pytest.raises(JournalUnavailable):
        await journal.open()
    assert not journal.healthy
    for call in every_call(journal, path.with_name("backup.db")):
        with pytest.raises(JournalUnavailable):
            await call()
    mended = path.with_name("mended.db")
    mended.write_bytes(sound)
    mended.replace(path)  # at once: half a file in place would be opened as well
    await health.recovered()
    assert await journal.find(command.command_id) is not None
    await journal.close()
    with pytest.raises(JournalUnavailable):
        await journal.locks()


async def test_a_file_that_breaks_its_own_rules_is_not_opened(path: Path) -> None:
    """The check at opening sees what no query of ours would stumble over."""
    async with journal_at(path) as journal:
        await journal.admit([admission(make_command(ACCOUNT))])
    with stranger(path) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute("UPDATE command SET attempt = -1")
    with pytest.raises(JournalUnavailable, match="damaged"):
        async with journal_at(path):
            pass


async def test_numbers_given_out_meanwhile_survive_a_reopening(path: Path) -> None:
    """Also those that the engine gave out while a transaction was under way."""
    health, first, second = HealthLog(), make_command(ACCOUNT), make_command(OTHER)
    async with journal_at(path, on_health=health) as journal:
        await journal.admit([admission(first)])

        def skip(_lock: AccountLock | None) -> Document:
            journal.advance_seq(40)  # called inside the transaction
            return {"state": "running"}

        [running] = await journal.record([reached(first, CommandState.RUNNING, document=skip)])
        [done] = await journal.record([reached(first, CommandState.DONE)])
        assert (running["seq"], done["seq"]) == (2, 41)
        journal.advance_seq(80)
        with stranger(path) as connection:
            connection.execute(BREAK_STATEMENT)
        with pytest.raises(JournalUnavailable):
            await journal.admit([admission(second)])
        await asyncio.to_thread(mend, path)
        await health.recovered()
        [outcome] = await journal.admit([admission(second)])
        assert isinstance(outcome, Admitted)
        assert outcome.documents[0]["seq"] == 81


async def test_a_disk_that_does_not_answer_is_given_up_on(path: Path) -> None:
    """The caller is free within the limit; the write it gave up on may still land, and is then known."""
    health, command = HealthLog(), make_command(ACCOUNT)
    async with journal_at(path, on_health=health, stall_s=0.4) as journal:
        with stranger(path) as connection:
            connection.execute("BEGIN IMMEDIATE")
            with pytest.raises(JournalUnavailable, match=r"0\.4"):
                await journal.admit([admission(command)])
            assert not journal.healthy
            connection.execute("ROLLBACK")
        await health.recovered()
        [outcome] = await journal.admit([admission(command)])
        assert isinstance(outcome, Duplicate)
        assert (await journal.locks())[ACCOUNT].epoch == 1


async def test_an_event_loop_that_is_busy_elsewhere_is_not_the_disks_silence(path: Path) -> None:
    """Two thousand orders take a second to sign: an answer that waits for its turn is no reason to reopen the file."""
    async with journal_at(path, on_health=HealthLog(), stall_s=0.2) as journal:
        admitting = asyncio.create_task(journal.admit([admission(make_command(ACCOUNT))]), name="admitting")
        reading = asyncio.create_task(journal.find(make_command(OTHER).command_id), name="reading")
        for _ in range(3):
            await asyncio.sleep(0)  # both are asked for
        time.sleep(0.5)  # noqa: ASYNC251 - the loop is busy
        [outcome] = await admitting
        assert isinstance(outcome, Admitted)
        assert await reading is None
        assert journal.healthy


#: Takes seconds, in a thread that nobody can end.
SLOW_QUERY = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 8000000) SELECT count(*) FROM n"


async def test_a_read_that_is_not_answered_is_given_up_on(path: Path) -> None:
    """So is what waits behind it; it is as good a sign of a disk that hangs as a write."""
    health = HealthLog()
    async with journal_at(path, on_health=health, stall_s=0.2) as journal:
        reading = asyncio.create_task(journal._database.read(SLOW_QUERY), name="reading")
        await asyncio.sleep(0.05)
        began = time.monotonic()
        with pytest.raises(JournalUnavailable, match=r"0\.2"):
            await journal.find(make_command(ACCOUNT).command_id)
        assert journal.silent_s > 0
        assert time.monotonic() - began < 0.2 * LONGEST
        with pytest.raises(JournalUnavailable):
            await reading
        await health.recovered()


async def test_a_disk_that_does_not_answer_a_reopening_is_silent(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The watchdog sees a disk that hangs, and not one that refuses."""
    health, answered = HealthLog(), asyncio.Event()
    async with journal_at(path, on_health=health, stall_s=0.2) as journal:

        async def hanging(*given: Any, **named: Any) -> aiosqlite.Connection:
            await answered.wait()
            return await open_writer(*given, **named)

        monkeypatch.setattr(database, "open_writer", hanging)
        with stranger(path) as connection:
            connection.execute(BREAK_STATEMENT)
        with pytest.raises(JournalUnavailable):
            await journal.admit([admission(make_command(ACCOUNT))])
        await asyncio.to_thread(mend, path)
        await until(lambda: journal.silent_s > 0.3)
        answered.set()
        await health.recovered()
        assert journal.silent_s == 0


async def test_no_thread_stays_when_a_journal_is_closed_beside_a_slow_read(path: Path) -> None:
    """The interpreter would wait for it for ever."""
    before = set(threading.enumerate())
    async with journal_at(path, on_health=HealthLog(), stall_s=0.2) as journal:
        reading = asyncio.create_task(journal._database.read(SLOW_QUERY), name="reading")
        await asyncio.sleep(0.05)
    await until(lambda: not {each for each in threading.enumerate() if "worker" in each.name} - before)
    await asyncio.gather(reading, return_exceptions=True)


async def test_no_thread_stays_when_a_journal_is_closed_beside_a_slow_write(path: Path) -> None:
    """As well."""
    before = set(threading.enumerate())
    async with journal_at(path, on_health=HealthLog(), stall_s=0.2) as journal:
        work = partial(_executed, SLOW_QUERY)
        writing = asyncio.create_task(journal._database.transact("slow", work), name="writing")
        await asyncio.sleep(0.05)
    await until(lambda: not {each for each in threading.enumerate() if "worker" in each.name} - before)
    await asyncio.gather(writing, return_exceptions=True)


def _executed(query: str, connection: sqlite3.Connection) -> list[Any]:
    return connection.execute(query).fetchall()


async def test_an_ending_of_unknown_outcome_may_be_recorded_again(path: Path) -> None:
    """If it had landed, the stored document is the answer; nothing is released twice."""
    health, command = HealthLog(), make_command(ACCOUNT)
    async with journal_at(path, on_health=health, stall_s=0.4) as journal:
        await journal.admit([admission(command, latch=False)])
        ending = reached(command, CommandState.DONE, release=True)
        with stranger(path) as connection:
            connection.execute("BEGIN IMMEDIATE")
            with pytest.raises(JournalUnavailable):
                await journal.record([ending])
            connection.execute("ROLLBACK")
        await health.recovered()
        stored = await journal.events(command.command_id)
        assert [document["state"] for document in stored] == ["accepted", "done"]
        assert await journal.record([ending]) == stored[1:]
        assert (await journal.locks())[ACCOUNT].epoch == 2


async def test_a_replaced_file_is_noticed_by_the_probe(path: Path) -> None:
    """Writes to an unlinked file would succeed and be lost."""
    health, command = HealthLog(), make_command(ACCOUNT)
    async with journal_at(path, on_health=health) as journal:
        await journal.probe()
        await journal.backup(path.with_name("copy.db"))
        put_in_place(path.with_name("copy.db"), path)
        with pytest.raises(JournalUnavailable, match="replaced"):
            await journal.probe()
        await health.recovered()
        await journal.admit([admission(command)])
    async with journal_at(path) as journal:
        assert await journal.find(command.command_id) is not None


class RefusalWatch(SqliteJournal):
    """Tells when an opened file was not accepted."""

    refused: asyncio.Event

    async def _load(self, connection: aiosqlite.Connection) -> None:
        try:
            await super()._load(connection)
        except JournalUnavailable:
            self.refused.set()
            raise


async def test_a_file_that_has_lost_commits_is_not_taken_for_the_journal(path: Path) -> None:
    """An older copy or an empty file would open locks: the journal stays down until the right file is back."""
    health, command, older = HealthLog(), make_command(ACCOUNT), path.with_name("older.db")
    journal = RefusalWatch(path, node_id=NODE_ID, clock=SteadyClock(), on_health=health, reopen_after_s=(0.01,))
    journal.refused = asyncio.Event()
    async with journal:
        await journal.backup(older)
        await journal.admit([admission(command)])
        await journal.backup(path.with_name("right.db"))
        put_in_place(older, path)
        with pytest.raises(JournalUnavailable):
            await journal.probe()
        async with asyncio.timeout(PATIENCE_S):
            await journal.refused.wait()
        assert health.changes == [True, False]
        put_in_place(path.with_name("right.db"), path)
        await health.recovered()
        assert (await journal.locks())[ACCOUNT].locked
        assert await journal.find(command.command_id) is not None


async def test_the_probe_leaves_no_log_to_check_in(path: Path) -> None:
    """A following commit begins the write-ahead log anew instead of lengthening it."""
    log = path.with_name("journal.db-wal")
    async with journal_at(path) as journal:
        for _ in range(30):
            await journal.admit([admission(make_command(ACCOUNT))])
        await journal.probe()
        grown = log.stat().st_size
        await journal.admit([admission(make_command(ACCOUNT))])
        await journal.probe()
        assert log.stat().st_size == grown


async def test_connections_are_closed_one_after_the_other(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two that close at once each may see the other: the log stayed, with what the file itself does not say yet."""
    close, said = aiosqlite.Connection.close, list[str]()

    async def told(self: aiosqlite.Connection) -> None:
        said.append("begins")
        await close(self)
        said.append("has ended")

    async with journal_at(path) as journal:
        await journal.admit([admission(make_command(ACCOUNT))])
        monkeypatch.setattr(aiosqlite.Connection, "close", told)
    assert said == ["begins", "has ended"] * 2
    assert not path.with_name(path.name + "-wal").exists()


async def test_a_backup_is_a_journal(path: Path) -> None:
    """Taken while running, private, one file, and complete to the last commit."""
    command, target = make_command(ACCOUNT, latch=False), path.with_name("backup.db")
    async with journal_at(path) as journal:
        await journal.backup(target)
        await journal.admit([admission(command)])
        await journal.backup(target)
        await journal.admit([admission(make_command(OTHER))])
    assert mode(target) == 0o600
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["backup.db", "journal.db"]
    async with journal_at(target) as restored:
        assert [stored.command for stored in await restored.unfinished()] == [command]
        assert (await restored.locks())[ACCOUNT].holds == {command.command_id}


async def test_a_failed_backup_leaves_the_older_one_and_the_journal_alone(path: Path) -> None:
    """It is the copy that failed."""
    async with journal_at(path) as journal:
        with pytest.raises(JournalUnavailable):
            await journal.backup(path.parent / "missing" / "backup.db")
        assert journal.healthy
        await journal.probe()


async def test_commits_are_timed(path: Path) -> None:
    """One observation a transaction."""
    seconds: list[float] = []
    async with journal_at(path, commit_seconds=seconds.append) as journal:
        await journal.admit([admission(make_command(ACCOUNT))])
        await journal.unfinished()
    assert len(seconds) == 2
    assert all(second > 0 for second in seconds)


async def test_a_renamed_node_keeps_its_record(path: Path) -> None:
    """Locks and numbers go on; the documents bear the new name."""
    async with journal_at(path) as journal:
        await journal.admit([admission(make_command(ACCOUNT))])
    async with SqliteJournal(path, node_id="node-2", clock=SteadyClock()) as journal:
        [outcome] = await journal.admit([admission(make_command(ACCOUNT))])
        assert isinstance(outcome, Admitted)
        assert (outcome.documents[0]["node_id"], outcome.documents[0]["seq"]) == ("node-2", 2)
    assert values(path, "SELECT node_id FROM meta") == ["node-2"]


@contextmanager
def held_by_another(state: Path) -> Iterator[subprocess.Popen[str]]:
    """A state directory that another process holds until it is killed."""
    holder = (
        "import sys, pathlib; from node.journal.directory import StateDirectory\n"
        "with StateDirectory(pathlib.Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(state)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_who_holds_a_file_of_the_same_number_on_another_disk_holds_another(tmp_path: Path) -> None:
    """On disks that are as new as each other, the first files have the same numbers."""
    mine, another = tmp_path / "mine", tmp_path / "another"
    with small_disk(mine), small_disk(another), held_by_another(another), StateDirectory(mine):
        assert (mine / "lock").stat().st_ino == (another / "lock").stat().st_ino
        assert set(holders_by_kernel(mine / "lock")) == {str(os.getpid())}


def test_the_state_directory_belongs_to_one_process(tmp_path: Path) -> None:
    """Private, held while entered, free again afterwards, and free when its holder was killed."""
    state = tmp_path / "state"
    with (
        held_by_another(state) as process,
        pytest.raises(StateDirectoryBusy, match=str(process.pid)),
        StateDirectory(state),
    ):
        pass
    assert mode(state) == 0o700
    for _ in range(2):
        with StateDirectory(state), pytest.raises(StateDirectoryBusy), StateDirectory(state):
            pass


def test_a_loose_state_directory_is_made_private(tmp_path: Path) -> None:
    """The journal and the keys' caches are nobody else's."""
    tmp_path.chmod(0o755)
    with StateDirectory(tmp_path):
        assert mode(tmp_path) == 0o700


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (rows.SELECT_HISTORY, "command_by_first_seq (first_seq<?)"),
        (rows.SELECT_HISTORY_OF, "command_by_account (account=? AND first_seq<?)"),
        (rows.SELECT_PROOFS, "command_closes_done (account=?)"),
        (rows.SELECT_NEWEST_DRILLS, "command_closes_ended (account>?)"),
    ],
)
def test_looking_back_walks_along_an_index_and_sorts_nothing(query: str, index: str) -> None:
    """However long the history, a page costs what is on it."""
    with closing(sqlite3.connect(":memory:")) as connection:
        for migration in packaged_migrations():
            connection.executescript(migration.script)
        parameters = [1] * query.count("?")
        steps = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {query}", parameters)]
    assert steps == [f"SEARCH c USING INDEX {index}", "SEARCH e USING INTEGER PRIMARY KEY (rowid=?)"]


async def test_what_cannot_be_taken_back_makes_the_file_suspect(path: Path) -> None:
    """Work that fails by itself is undone, and its own fault is told; where undoing fails, the file is opened anew."""

    class _OwnFaultError(Exception):
        pass

    def work(connection: sqlite3.Connection) -> None:
        connection.execute("UPDATE meta SET node_id = 'another'")
        raise _OwnFaultError

    def last_work(connection: sqlite3.Connection) -> None:
        connection.close()
        raise _OwnFaultError

    health = HealthLog()
    async with journal_at(path, on_health=health) as journal:
        with pytest.raises(_OwnFaultError):
            await journal.database.transact("undone", work)
        assert journal.healthy
        assert [row[0] for row in await journal.database.read("SELECT node_id FROM meta")] == [NODE_ID]
        await journal.probe()  # nothing is left open
        with pytest.raises(_OwnFaultError):
            await journal.database.transact("not-undone", last_work)
        assert health.changes == [True, False]
        await health.recovered()
        await journal.admit([admission(make_command(ACCOUNT))])
