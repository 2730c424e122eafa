"""`send --direct` without a usable journal: what reduces risk is carried out, and says that nobody wrote it down."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.disks import SmallDisk, small_disk
from tests.support.processes import ACCOUNT, Document, Site, site

#: Journal, market cache, the simulator's certificate.
DISK_MIB = 32


@dataclass(frozen=True, slots=True)
class Dead:
    """A node's state directory, on a disk of its own, with the node killed."""

    site: Site
    disk: SmallDisk

    @property
    def journal(self) -> Path:
        """The file."""
        return self.disk.path / "journal.sqlite3"

    def fold_in(self) -> None:
        """The journal's log into its file; the last one out takes the log away."""
        with closing(sqlite3.connect(self.journal, isolation_level=None)) as stranger:
            stranger.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def reset(self) -> None:
        """The exchange's account as at the beginning."""
        url = f"http://127.0.0.1:{self.site.ports['control']}/reset"
        with urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=10) as answer:
            assert answer.status == 200


@pytest.fixture(scope="module")
def dead(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dead]:
    """One for the module: every test breaks its disk for itself."""
    folder = tmp_path_factory.mktemp("dead")
    with ExitStack() as stack:
        made = stack.enter_context(site(folder))
        disk = stack.enter_context(small_disk(folder / "state", mib=DISK_MIB))
        made.start_simulator()
        daemon = made.start_daemon()
        daemon.kill()
        daemon.wait()
        yield Dead(site=made, disk=disk)


@contextmanager
def full(made: Dead) -> Iterator[None]:
    """No byte is free where the journal is, nor in its log."""
    made.fold_in()
    made.disk.fill()
    try:
        yield
    finally:
        made.disk.empty()


@contextmanager
def read_only(made: Dead) -> Iterator[None]:
    """As after the kernel has given the disk up."""
    made.disk.read_only(True)
    try:
        yield
    finally:
        made.disk.read_only(False)


@contextmanager
def damaged(made: Dead) -> Iterator[None]:
    """All but the first page is overwritten; not a byte of it is changed afterwards."""
    made.fold_in()  # or the log would cover what is overwritten
    sound = made.journal.read_bytes()
    broken = sound[:4096] + b"\xff" * (len(sound) - 4096)
    made.journal.write_bytes(broken)
    try:
        yield
        assert made.journal.read_bytes() == broken
    finally:
        made.journal.write_bytes(sound)


CASES = {
    "full": (full, "JOURNAL_DISK_FULL"),
    "read-only": (read_only, "JOURNAL_READ_ONLY"),
    "damaged": (damaged, "JOURNAL_DAMAGED"),
}


@pytest.mark.parametrize("name", CASES)
def test_the_account_is_closed_unjournaled_and_locked(dead: Dead, name: str) -> None:
    """As with a journal, and the document says that there is no record of it; standard error says why."""
    broken, code = CASES[name]
    running = dead.site
    with broken(dead):
        status, document, error = running.call("send", "CLOSE_ALL", "binance-main", "--direct", "--reason", "dead")
        assert (status, document["state"], document["verdict"]) == (0, "done", "flat_with_residue"), error
        assert document["unjournaled"] is True
        assert f"no journal knows of this command: {code}: " in error
        assert open_positions(running) == []
        assert running.state()["counters"]["sign_flips"] == 0
        assert running.state()["counters"]["exposure_increases"] == 0
        lock = running.lock_file()
        assert (lock["locked"], lock["epoch"]) == (True, document["lock"]["epoch"])
    dead.reset()


@pytest.mark.parametrize("name", CASES)
def test_the_directorys_lock_is_taken_all_the_same(dead: Dead, name: str) -> None:
    """A daemon that lives on the broken disk is not joined by a second executor."""
    broken, _ = CASES[name]
    with broken(dead):
        descriptor = os.open(dead.disk.path / "lock", os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        before = dead.site.state()["counters"]["orders_placed"]
        status, document, _ = dead.site.call("send", "CLOSE_ALL", "binance-main", "--direct")
        os.close(descriptor)
        assert (status, document["error"]["code"]) == (1, "STATE_DIRECTORY_BUSY")
        assert dead.site.state()["counters"]["orders_placed"] == before


def test_the_daemon_that_comes_back_keeps_the_lock_that_nobody_wrote_down(dead: Dead) -> None:
    """From the lock file, with its epoch; that the journal knows nothing of the command is true."""
    running = dead.site
    with read_only(dead):
        status, document, error = running.call("send", "LOCK", ACCOUNT, "--direct")
        assert (status, document["verdict"], document["unjournaled"]) == (0, "locked", True), error
    daemon = running.start_daemon()
    shown = running.until_ready()
    lock = shown["accounts"][0]["lock"]
    assert {"locked": lock["locked"], "epoch": lock["epoch"]} == document["lock"]
    daemon.kill()
    daemon.wait()


def open_positions(running: Site) -> list[Document]:
    """Of the contracts that the configuration covers."""
    return [each for each in running.state()["positions"] if each["symbol"].endswith("USDT")]
