"""The daemon is dead, hung, or in the way: commands from its state directory, in a process of their own."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import ACCOUNT, Document, Site, site

#: Nothing unfinished is young enough to be taken up again.
RESUMES_NOTHING = {r"resume_within_s = 900": "resume_within_s = 0"}


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Site]:
    """Everything up and armed."""
    with site(tmp_path, changes=RESUMES_NOTHING) as made:
        made.start_simulator()
        made.start_daemon()
        yield made


def test_a_dead_or_hung_daemons_account_is_closed_from_its_state_directory(running: Site) -> None:
    """A hung one is named and left alone; once somebody has ended it, the account is closed as it would have been."""
    daemon = running.daemon
    assert daemon is not None
    before = running.lock_file()
    daemon.send_signal(signal.SIGSTOP)
    status, document, error = running.call("send", "CLOSE_ALL", "binance-main", "--direct")
    assert (status, document["error"]["code"]) == (1, "STATE_DIRECTORY_BUSY")
    assert f"process {daemon.pid} (" in error
    assert f"kill -9 {daemon.pid}" in error
    assert daemon.poll() is None
    assert open_positions(running)
    daemon.kill()
    daemon.wait()

    # The broker's password belongs to what is left out; so does a fault that somebody has just edited into the file.
    (running.folder / "credentials" / "mqtt_password").unlink()
    running.configuration.write_text(running.configuration.read_text() + "\n[http2]\nlisten = 1\n")
    status, document, error = running.call("send", "CLOSE_ALL", "binance-main", "--direct", "--reason", "daemon dead")
    assert (status, document["state"], document["verdict"]) == (0, "done", "flat_with_residue"), error
    assert document["schema"] == "sovereign-node/result/1"
    assert document["unjournaled"] is False
    assert document["lock"] == {"locked": True, "epoch": running.lock_file()["epoch"]}
    assert running.lock_file()["epoch"] > before["epoch"]
    assert "nobody guards the account" in error
    assert open_positions(running) == []
    assert running.state()["counters"]["sign_flips"] == 0
    assert running.state()["counters"]["exposure_increases"] == 0


def test_the_daemon_that_comes_back_knows_what_was_done_without_it(running: Site) -> None:
    """The same journal: its command, its lock, and events that still are to go to the broker."""
    assert running.daemon is not None
    running.daemon.kill()
    running.daemon.wait()
    status, locked, error = running.call("send", "LOCK", ACCOUNT, "--direct")
    assert (status, locked["verdict"]) == (0, "locked"), error
    assert running.call("send", "UNLOCK", ACCOUNT, "--direct", "--epoch", str(locked["lock"]["epoch"]))[0] == 1
    told = running.broker.listen("-t", f"sn/v1/acme/evt/{ACCOUNT}/{locked['command_id']}", "-C", "2", "-W", "30")
    running.start_daemon()
    assert running.lock_file()["locked"] is True
    assert running.lock_file()["epoch"] == locked["lock"]["epoch"]
    assert running.call("watch", locked["command_id"])[1] == locked
    events = map(json.loads, told.communicate(timeout=35)[0].splitlines())
    assert [each["state"] for each in events] == ["accepted", "done"]


def test_a_live_command_is_aborted_and_leaves_the_latch(running: Site) -> None:
    """`abort COMMAND_ID` ends it as failed, exit status 5; nothing of it goes on, the account stays locked."""
    accepted = live_close(running)
    status, ending, _ = running.call("abort", accepted["command_id"], "--reason", "by hand")
    assert (status, ending["state"], ending["errors"][-1]["code"]) == (5, "failed", "ABORTED")
    shown = running.until(lambda shown: not shown["accounts"][0]["live_commands"])
    assert shown["accounts"][0]["lock"]["locked"] is True
    # Latched: it takes its epoch to unlock, and an older one does not do.
    old, epoch = accepted["lock"]["epoch"] - 1, shown["accounts"][0]["lock"]["epoch"]
    status, refused, _ = running.call("unlock", ACCOUNT, "--epoch", str(old))
    assert (status, refused["errors"][0]["code"]) == (4, "STALE_EPOCH")
    assert running.lock_file()["locked"] is True
    assert running.lock_file()["epoch"] == epoch


def test_a_node_that_comes_back_too_late_resumes_nothing_and_says_so(running: Site) -> None:
    """The command is failed, STALE_RESUME; the account is latched; nothing is sent by what remembers it."""
    accepted = live_close(running)
    assert running.daemon is not None
    running.daemon.kill()
    running.daemon.wait()
    running.faults(rules=[])
    before = running.state()
    running.start_daemon()
    status, ending, _ = running.call("watch", accepted["command_id"])
    assert (status, ending["state"], ending["errors"][-1]["code"]) == (5, "failed", "STALE_RESUME")
    assert "the operator decides" in ending["errors"][-1]["message"]
    assert "stale_command_not_resumed" in running.log("node")
    assert running.lock_file()["locked"] is True
    after = running.state()
    assert after["counters"]["orders_placed"] == before["counters"]["orders_placed"]
    assert open_positions(running)


def live_close(running: Site) -> Document:
    """A CLOSE_ALL that cannot end: the exchange refuses every order for futures."""
    running.faults(rules=[{"match": {"intent": "place"}, "times": None, "do": {"refuse": -1008}}])
    _, accepted, error = running.call("send", "CLOSE_ALL", ACCOUNT)
    assert accepted["state"] in ("accepted", "running"), error
    return accepted


def open_positions(running: Site) -> list[Document]:
    """Of the contracts that the configuration covers."""
    return [each for each in running.state()["positions"] if each["symbol"].endswith("USDT")]
