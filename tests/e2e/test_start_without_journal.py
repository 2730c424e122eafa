"""The daemon started with a journal that cannot be used: it begins, reduces risk, and says what to do."""

from __future__ import annotations

import asyncio
import io
import json
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, redirect_stdout
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from node.app import STOP_WITHIN_S
from node.cli import main
from node.client import EngineLock
from node.clock import SystemClock
from node.domain.command import Action, CommandState
from node.journal.inspection import Inspection
from node.journal.migrations import packaged_migrations
from node.journal.store import SqliteJournal
from tests.support.disks import SmallDisk, failing, failing_disk, mend, silent, small_disk
from tests.support.journal import NODE_ID, admission, make_command, reached
from tests.support.mosquitto import free_port
from tests.support.processes import ACCOUNT, ROOT, Document, site
from tests.support.service import WITH_ACCOUNT, Service, service

#: The lock that the journal knows, before its disk fails: opened by an UNLOCK.
OPEN_EPOCH = 2


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOWHERE_KEY", "of no exchange")


def journal_file(folder: Path) -> Path:
    """Where the daemon has it."""
    return folder / "state" / "journal.sqlite3"


def seed(folder: Path) -> None:
    """A journal of an earlier run, with an account that was locked and unlocked."""

    async def write() -> None:
        account = UUID(ACCOUNT)
        lock, unlock = make_command(account, Action.LOCK), make_command(account, Action.UNLOCK, epoch=1)
        async with SqliteJournal(journal_file(folder), node_id=NODE_ID, clock=SystemClock()) as journal:
            for command in (lock, unlock):
                await journal.admit([admission(command)])
                await journal.record([reached(command, CommandState.DONE)])
            found = (await journal.locks())[account]
            assert (found.locked, found.epoch) == (False, OPEN_EPOCH)

    asyncio.run(write())


@dataclass(slots=True, kw_only=True)
class Broken:
    """A folder whose journal cannot be used, and the way to mend it."""

    folder: Path
    mend: Callable[[Service], None]
    under: tuple[str, ...] = ()
    #: What must not change before it is mended.
    evidence: dict[Path, bytes] = field(default_factory=dict)


def full(folder: Path, stack: ExitStack) -> Broken:
    """No byte is free."""
    disk = on_small_disk(folder, stack)
    disk.fill()
    return Broken(folder=folder, mend=lambda _made: disk.empty())


def read_only(folder: Path, stack: ExitStack) -> Broken:
    """As after the kernel has given the disk up."""
    disk = on_small_disk(folder, stack)
    disk.read_only(True)
    return Broken(folder=folder, mend=lambda _made: disk.read_only(False))


def on_small_disk(folder: Path, stack: ExitStack) -> SmallDisk:
    """A sound journal on a disk of its own."""
    disk = stack.enter_context(small_disk(folder / "state"))
    seed(folder)
    return disk


def error_at_write(folder: Path, _stack: ExitStack) -> Broken:
    """The disk takes nothing."""
    seed(folder)
    return Broken(folder=folder, under=failing("pwrite64", "EIO"), mend=lambda made: mend(made.process.pid))


def error_at_sync(folder: Path, _stack: ExitStack) -> Broken:
    """The disk takes everything and keeps nothing."""
    seed(folder)
    return Broken(folder=folder, under=failing("fdatasync,fsync", "EIO"), mend=lambda made: mend(made.process.pid))


def no_answer(folder: Path, _stack: ExitStack) -> Broken:
    """Whoever waits for the disk waits for ever."""
    seed(folder)
    return Broken(folder=folder, under=silent(), mend=lambda made: mend(made.process.pid))


def damaged(folder: Path, _stack: ExitStack) -> Broken:
    """All but the first page is overwritten."""
    seed(folder)
    file = journal_file(folder)
    sound = file.read_bytes()
    file.write_bytes(sound[:4096] + b"\xff" * (len(sound) - 4096))
    return Broken(folder=folder, mend=lambda _made: put_back(file, sound), evidence=files_of(file))


def newer(folder: Path, _stack: ExitStack) -> Broken:
    """Written by a version that comes later."""
    seed(folder)
    file = journal_file(folder)
    sound = file.read_bytes()
    with closing(sqlite3.connect(file, isolation_level=None)) as stranger:
        stranger.execute("PRAGMA user_version = 999")
    return Broken(folder=folder, mend=lambda _made: put_back(file, sound), evidence=files_of(file))


def files_of(file: Path) -> dict[Path, bytes]:
    """The file and its log, as they are."""
    found = (file, file.with_name(file.name + "-wal"))
    return {path: path.read_bytes() for path in found if path.exists()}


def put_back(file: Path, content: bytes) -> None:
    """As a person would: whole, at once."""
    beside = file.with_name("put-back")
    beside.write_bytes(content)
    beside.replace(file)


CASES = {
    "full": (full, "JOURNAL_DISK_FULL", "free space below"),
    "read-only": (read_only, "JOURNAL_READ_ONLY", "make"),
    "error-at-write": (error_at_write, "JOURNAL_DISK_FAILS", "kernel's log"),
    "error-at-sync": (error_at_sync, "JOURNAL_DISK_FAILS", "kernel's log"),
    "silent": (no_answer, "JOURNAL_DISK_SILENT", "hangs"),
    "damaged": (damaged, "JOURNAL_DAMAGED", "sovereign-node journal restore"),
    "newer": (newer, "JOURNAL_INCOMPATIBLE", "sovereign-node journal restore"),
}


@contextmanager
def begun(broken: Broken) -> Iterator[Service]:
    """The daemon on it, serving."""
    with service(broken.folder, WITH_ACCOUNT, under=broken.under) as made:
        made.until("READY")
        yield made


def command(made: Service, action: str, **more: object) -> Document:
    """Carried out at the operator's socket."""
    answer = made.operator.call("POST", "/api/v1/b2b/risk/kill", {"account_id": ACCOUNT, "action": action, **more})
    return dict(answer.or_trouble())


def result(made: Service, command_id: str, *, unjournaled: bool) -> Document:
    """The ending of a command, as soon as it is (not) on record."""
    until_s = time.monotonic() + 30
    while True:
        answer = made.ask(f"/api/v1/b2b/risk/commands/{command_id}")
        ended = answer.status == 200 and answer.document.get("result", answer.document)
        if ended and ended["state"] == "done" and ended["unjournaled"] is unjournaled:
            return dict(ended)
        assert time.monotonic() < until_s, answer
        time.sleep(0.05)


def status_of(made: Service) -> Document:
    """What ``status`` shows."""
    return dict(made.ask("/api/v1/node/status").document)


def until_taken_up(made: Service) -> Document:
    """Wait until the journal is used, and nothing of the start is owed any more."""
    until_s = time.monotonic() + 40
    while True:
        shown = status_of(made)
        if shown["journal"]["healthy"] and not shown["journal"]["locks_assumed"]:
            return shown
        assert time.monotonic() < until_s, shown["journal"]
        time.sleep(0.05)


@pytest.mark.parametrize("case", CASES)
def test_it_begins_locked_reduces_risk_says_why_and_heals(tmp_path: Path, case: str) -> None:
    """READY is said, readiness denied; LOCK is carried out unjournaled, UNLOCK refused; mended, all is on record."""
    make, code, remedy = CASES[case]
    with ExitStack() as stack:
        broken = make(tmp_path, stack)
        earliest_epoch = int(datetime.now(UTC).timestamp())
        with begun(broken) as made:
            # It says what is wrong and what to do, at every place where somebody looks.
            assert any(each.startswith(f"NOT READY (journal: cannot be written: {code}") for each in said_status(made))
            assert made.ask("/readyz").status == 503
            assert made.ask("/livez").status == 200
            shown = status_of(made)
            assert (shown["journal"]["code"], shown["journal"]["locks_assumed"]) == (code, True)
            assert remedy in shown["journal"]["remedy"]
            # Every account is locked, with an epoch that nobody has seen.
            lock = shown["accounts"][0]["lock"]
            assert lock["locked"] is True
            assert code in lock["reason"]
            assert lock["epoch"] >= earliest_epoch > OPEN_EPOCH
            assert EngineLock(tmp_path / "run", ACCOUNT).state().locked
            # What reduces risk is carried out; what adds risk is not.
            accepted = command(made, "LOCK", reason="night")
            unjournaled = result(made, accepted["command_id"], unjournaled=True)
            assert unjournaled["lock"]["epoch"] == lock["epoch"] + 1
            forced = {"account_id": ACCOUNT, "epoch": lock["epoch"] + 1, "force": True, "reason": "must trade"}
            refused = made.operator.call("POST", "/api/v1/b2b/risk/unlock", forced)
            assert (refused.status, refused.document["error"]["code"]) == (503, "NOT_READY")
            assert {path: path.read_bytes() for path in broken.evidence} == broken.evidence
            # It heals by itself: locks and commands are on record, and no epoch has fallen.
            broken.mend(made)
            healed = until_taken_up(made)
            assert healed["accounts"][0]["lock"]["locked"] is True
            result(made, accepted["command_id"], unjournaled=False)
            epoch = status_of(made)["accounts"][0]["lock"]["epoch"]
            assert epoch > lock["epoch"]
        with closing(sqlite3.connect(journal_file(tmp_path))) as reader:
            assert reader.execute("SELECT epoch, latched FROM engine_lock").fetchall() == [(epoch, 1)]
            stored = reader.execute("SELECT state FROM command WHERE id = ?", (accepted["command_id"],)).fetchall()
            assert stored == [("done",)]
            numbers = [seq for (seq,) in reader.execute("SELECT seq FROM command_event ORDER BY seq")]
            assert unjournaled["seq"] < numbers[-1]


def said_status(made: Service) -> list[str]:
    """What ``systemctl status`` has shown."""
    return made.manager.said("STATUS")


def test_the_second_process_on_a_state_directory_is_refused_also_on_a_disk_that_cannot_be_written(
    tmp_path: Path,
) -> None:
    """Exit status 1 with the code and the process to end; the first one serves on."""
    with ExitStack() as stack:
        broken = read_only(tmp_path, stack)
        with begun(broken) as made:
            words = [sys.executable, "-m", "node", "run", "--json", "--config", str(made.configuration)]
            second = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, timeout=40, check=False)
            assert second.returncode == 1
            assert f"held by process {made.process.pid}" in second.stderr
            assert made.ask("/livez").status == 200


def test_an_account_is_closed_and_proven_flat_although_the_journal_is_damaged(tmp_path: Path) -> None:
    """Signed over the broker, and with a key over HTTP: told as unjournaled, and on record when the journal is back."""
    with site(tmp_path) as made:
        seed(tmp_path)
        made.start_simulator()
        daemon = made.start_daemon(ready=False)
        made.until(lambda shown: shown["journal"]["healthy"])
        key = made.call("keys", "create", "--owner", "acme")[1]["api_key"]
        daemon.terminate()
        daemon.wait(30)
        sound = journal_file(tmp_path).read_bytes()
        journal_file(tmp_path).write_bytes(sound[:4096] + b"\xff" * (len(sound) - 4096))
        made.start_daemon(ready=False)
        made.until(lambda shown: shown["accounts"][0]["state"] == "locked" and shown["broker"]["connected"])
        signed = ("--via", "mqtt", "--key", str(tmp_path / "desk.key"), "--wait")
        status, document, error = made.call("send", "CLOSE_ALL", "binance-main", *signed)
        assert (status, document["state"], document["unjournaled"]) == (0, "done", True), error
        assert [each for each in made.state()["positions"] if each["symbol"].endswith("USDT")] == []
        assert made.state()["counters"]["exposure_increases"] == 0
        assert "sovereign_node_unjournaled_commands_total 1.0" in made.metrics()
        killed = urllib.request.Request(
            f"http://127.0.0.1:{made.ports['http']}/api/v1/b2b/risk/kill",
            json.dumps({"account_id": ACCOUNT, "action": "LOCK"}).encode(),
            {"X-API-Key": key, "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(killed, timeout=20) as answer:
            assert (answer.status, answer.headers["X-Journaled"]) == (200, "false")
        put_back(journal_file(tmp_path), sound)
        made.until(lambda shown: shown["journal"]["healthy"] and not shown["journal"]["locks_assumed"])
        made.until(lambda shown: not shown["accounts"][0]["live_commands"] and shown["ready"])
        with closing(sqlite3.connect(journal_file(tmp_path))) as reader:
            until_s = time.monotonic() + 20
            query = "SELECT state FROM command WHERE id = ?"
            while reader.execute(query, (document["command_id"],)).fetchall() != [("done",)]:
                assert time.monotonic() < until_s, made.log("node")
                time.sleep(0.05)


def command_line(folder: Path, *words: str) -> tuple[int, Document]:
    """`sovereign-node ... --json`, without the cost of a process; exit status and document."""
    said = io.StringIO()
    with redirect_stdout(said):
        status = main([*words, "--json", "--config", str(folder / "node.toml")])
    return status, json.loads(said.getvalue().splitlines()[-1])


def test_a_damaged_journal_is_brought_back_by_the_command_that_the_status_names(tmp_path: Path) -> None:
    """Backed up beside a running node, examined, restored with the node dead: locked until a person unlocks."""
    file = journal_file(tmp_path)
    with service(tmp_path, WITH_ACCOUNT) as made:
        made.until("READY")
        command(made, "LOCK", reason="before the backup")
        assert command_line(tmp_path, "journal", "verify")[0] == 0
        status, backup = command_line(tmp_path, "journal", "backup")
        assert (status, Path(backup["file"]).parent) == (0, tmp_path / "state" / "backups")
        later = command(made, "LOCK", reason="after the backup")
        lost_epoch = result(made, later["command_id"], unjournaled=False)["lock"]["epoch"]
        made.process.terminate()
        made.process.wait(30)
    sound = file.read_bytes()
    file.write_bytes(sound[:4096] + b"\xff" * (len(sound) - 4096))
    assert command_line(tmp_path, "journal", "verify")[0] == 5
    with service(tmp_path, WITH_ACCOUNT) as made:
        made.until("READY")
        assert "`sovereign-node journal restore BACKUP`" in status_of(made)["journal"]["remedy"]
        status, refused = command_line(tmp_path, "journal", "restore", backup["file"])
        assert (status, refused["error"]["code"]) == (1, "STATE_DIRECTORY_BUSY")
        shown_epoch = status_of(made)["accounts"][0]["lock"]["epoch"]
    status, restored = command_line(tmp_path, "journal", "restore", backup["file"])
    assert status == 0
    assert Path(restored["replaced"]).read_bytes() == sound[:4096] + b"\xff" * (len(sound) - 4096)
    assert command_line(tmp_path, "journal", "verify")[0] == 0
    with service(tmp_path, WITH_ACCOUNT) as made:
        made.until("READY")
        lock = status_of(made)["accounts"][0]["lock"]
        assert lock["locked"] is True
        assert lock["epoch"] > max(lost_epoch, shown_epoch)
        stale = ("unlock", ACCOUNT, "--epoch", str(lost_epoch), "--force", "--reason", "seen")
        status, refused = command_line(tmp_path, *stale)
        assert (status, refused["errors"][0]["code"]) == (4, "STALE_EPOCH")
        right = ("unlock", ACCOUNT, "--epoch", str(lock["epoch"]), "--force", "--reason", "seen")
        assert command_line(tmp_path, *right)[1]["verdict"] == "unlocked"
    status, export = command_line(tmp_path, "journal", "export", "--out", str(tmp_path / "export.jsonl"))
    records = [json.loads(each) for each in (tmp_path / "export.jsonl").read_text().splitlines()]
    assert (status, export["records"]) == (0, len(records))
    assert [record["reason"] for record in records if record["kind"] == "lock"] == ["seen"]


def test_it_ends_in_time_although_the_disk_never_answers(tmp_path: Path) -> None:
    """A thread that waits for a disk cannot be ended; the node is not held up by it, and nobody has to kill it."""
    with ExitStack() as stack, begun(no_answer(tmp_path, stack)) as made:
        made.process.terminate()
        made.until("STOPPING")
        until_s = time.monotonic() + STOP_WITHIN_S
        while "ended_without_the_disk" not in [each["event"] for each in made.log()]:
            assert time.monotonic() < until_s, made.log()[-5:]
            time.sleep(0.05)
        mend(made.process.pid)  # what makes the disk hang holds on to the process as well
        assert made.process.wait(10) == 0


def test_the_other_doors_open_where_the_operators_socket_cannot_be_made(tmp_path: Path) -> None:
    """A disk that the kernel has made read-only, with everything on it; the socket is there when it can be."""
    port = free_port()
    listening = WITH_ACCOUNT + f'\n[http]\nlisten = "127.0.0.1:{port}"\n'
    with small_disk(tmp_path / "state") as state, small_disk(tmp_path / "run") as run:
        seed(tmp_path)
        state.read_only(True)
        run.read_only(True)
        with service(tmp_path, listening) as made:
            made.until("READY")
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=20)
            reasons = json.loads(refused.value.read())["reasons"]
            assert any(each.startswith("sockets:") and "operator.sock" in each for each in reasons), reasons
            assert EngineLock(tmp_path / "run", ACCOUNT).state().locked
            state.read_only(False)
            run.read_only(False)
            until_s = time.monotonic() + 30
            while not (tmp_path / "run" / "operator.sock").exists():
                assert time.monotonic() < until_s
                time.sleep(0.05)
            until_taken_up(made)


@pytest.mark.parametrize(
    ("calls", "error", "codes"),
    [
        ("fdatasync,fsync", "EIO", ("JOURNAL_DISK_FAILS",)),
        ("pwrite64", "EIO", ("JOURNAL_DISK_FAILS",)),
        # There is room on this disk: where SQLite says no more than that it failed, nobody can know better.
        ("pwrite64", "ENOSPC", ("JOURNAL_DISK_FULL", "JOURNAL_DISK_FAILS")),
    ],
)
def test_a_disk_that_fails_under_a_running_node_stops_no_lock_and_loses_none(
    tmp_path: Path, calls: str, error: str, codes: tuple[str, ...]
) -> None:
    """A commit of unknown outcome, the next commands without a record, and the disk back: each once, in order."""
    with service(tmp_path, WITH_ACCOUNT) as made:
        made.until("READY")
        before = result(made, command(made, "LOCK")["command_id"], unjournaled=False)["lock"]["epoch"]
        with failing_disk(made.process.pid, calls, error):
            ids = [command(made, "LOCK", reason=f"number {number}")["command_id"] for number in range(3)]
            for command_id in ids:
                result(made, command_id, unjournaled=True)
            assert status_of(made)["journal"]["code"] in codes
            refused = made.operator.call(
                "POST",
                "/api/v1/b2b/risk/unlock",
                {"account_id": ACCOUNT, "epoch": before + 3, "force": True, "reason": "x"},
            )
            assert (refused.status, refused.document["error"]["code"]) == (503, "NOT_READY")
        for command_id in ids:
            result(made, command_id, unjournaled=False)
        lock = status_of(made)["accounts"][0]["lock"]
        assert (lock["locked"], lock["epoch"]) == (True, before + 3)
    with closing(sqlite3.connect(journal_file(tmp_path))) as reader:
        stored = [row[0] for row in reader.execute("SELECT id FROM command ORDER BY first_seq")]
        assert stored[1:] == ids
        assert reader.execute("SELECT epoch FROM engine_lock").fetchall() == [(before + 3,)]
    with closing(Inspection(journal_file(tmp_path), newest=packaged_migrations()[-1].version)) as inspection:
        assert inspection.faults() == []
