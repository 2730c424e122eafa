"""The daemon under a service manager: start, watchdog, reload, stop, crash, each with a real notification socket."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from node.app import STOP_WITHIN_S
from node.vitals import AGE_MAX_S
from tests.support.disks import hanging_disk
from tests.support.mosquitto import PASSWORDS
from tests.support.notify_socket import Word
from tests.support.processes import ACCOUNT, ROOT, site
from tests.support.service import WATCHDOG_S, WITH_ACCOUNT, Service, service


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Service]:
    """A daemon that has said that it serves."""
    with service(tmp_path) as made:
        made.until("READY")
        yield made


def test_ready_is_said_when_it_serves_and_not_before(tmp_path: Path) -> None:
    """In the moment of the word the socket answers; the status came with it."""
    with service(tmp_path) as made:
        answered: list[int] = []

        def look(word: Word) -> None:
            if word.value("READY") is not None:
                answered.append(made.ask("/livez").status)

        made.manager.on_word = look
        place = made.until("READY")
        assert answered == [200]
        assert made.manager.words[place].value("STATUS") == "ready: 0 armed, 0 locked, 0 degraded"


def test_the_watchdog_is_fed_while_the_node_lives_and_not_while_it_is_stuck(served: Service) -> None:
    """Several words a length; a stopped process says none, and goes on when it is let."""
    first = served.until("WATCHDOG")
    served.until("WATCHDOG", after=first + 4)
    fed = [word.at_s for word in served.manager.words if word.value("WATCHDOG")]
    assert max(later - earlier for earlier, later in pairwise(fed)) < WATCHDOG_S
    served.process.send_signal(signal.SIGSTOP)
    served.manager.quiet("WATCHDOG", for_s=0.1)  # what was on its way
    assert served.manager.quiet("WATCHDOG", for_s=2 * WATCHDOG_S)
    after = len(served.manager.words)
    served.process.send_signal(signal.SIGCONT)
    served.until("WATCHDOG", after=after)


def test_the_watchdog_starves_where_the_disk_never_answers(served: Service) -> None:
    """A restart may help there, and nothing is lost by it; liveness says the same."""
    with hanging_disk(served.process.pid):
        place = served.until("STATUS", value="NOT ALIVE (journal: has not come round for")
        assert served.manager.quiet("WATCHDOG", for_s=2 * WATCHDOG_S)
        alive = served.ask("/livez")
        assert (alive.status, alive.document["live"]) == (503, False)
        assert alive.document["reasons"][0].startswith("journal: has not come round for")
    served.until("WATCHDOG", after=place)
    assert "watchdog_not_fed" in [event["event"] for event in served.log()]


def test_the_watchdog_is_fed_where_the_disk_refuses(served: Service) -> None:
    """The node knows, works on without a record and reopens the file itself: a new process would know less."""
    with sqlite3.connect(served.folder / "state" / "journal.sqlite3", isolation_level=None) as stranger:
        stranger.execute("BEGIN IMMEDIATE")
        place = served.until("STATUS", value="NOT READY (journal: cannot be written: JOURNAL_BUSY")
        until_s = time.monotonic() + AGE_MAX_S + 2
        while time.monotonic() < until_s:
            place = served.until("WATCHDOG", after=place + 1)
        assert not [told for told in served.manager.said("STATUS") if told.startswith("NOT ALIVE")]
        assert served.ask("/livez").status == 200
        assert served.ask("/readyz").status == 503
        stranger.execute("ROLLBACK")
    stranger.close()
    served.until("STATUS", value="ready", after=place)


class TestReload:
    def test_is_said_with_its_instant_and_ended(self, served: Service) -> None:
        """systemd holds the instant against its own request."""
        before_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        ended = served.reload()
        (instant,) = served.manager.said("MONOTONIC_USEC")
        assert before_us <= int(instant) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        assert served.manager.words[ended].value("READY") == "1"
        assert served.process.poll() is None

    def test_says_what_took_effect_and_what_waits_for_a_restart(self, served: Service) -> None:
        """By the names of the settings, never with their values; also in the status."""
        text = served.configuration.read_text()
        issuer = '[[issuers]]\nid = "desk"\npublic_key = "{}"\nactions = ["LOCK"]\naccounts = ["*"]\n'
        key = "8ad1Kc2mYfYQ1XrpYyB0a0dH3lEz4Dq8m7sVvHhW3ZQ="
        served.configuration.write_text(text + "[execution]\ndeadline_s = 7\n" + issuer.format(key))
        served.reload()
        (event,) = [event for event in served.log() if event["event"] == "configuration_reloaded"]
        assert event["took_effect"] == ["issuers[desk]"]
        assert event["waits_for_restart"] == ["execution.deadline_s"]
        assert served.ask("/api/v1/node/status").document["pending_restart"] == ["execution.deadline_s"]
        served.until("STATUS", value="ready: 0 armed, 0 locked, 0 degraded, 1 settings wait for a restart")

    def test_an_issuer_that_was_struck_out_commands_nothing_more(self, tmp_path: Path) -> None:
        """And a new one does, without a restart: a stolen key is no reason to drop warm connections."""
        with site(tmp_path) as made:
            made.start_simulator()
            daemon = made.start_daemon()
            _, created, _ = made.call("issuer", "new", "night", "--out", str(tmp_path / "night.key"))
            text = re.sub(r'^id = "desk"$', 'id = "night"', made.configuration.read_text(), flags=re.MULTILINE)
            public_key = f'public_key = "{created["public_key"]}"'
            made.configuration.write_text(re.sub("^public_key = .*$", public_key, text, flags=re.MULTILINE))
            daemon.send_signal(signal.SIGHUP)
            send = ("send", "LOCK", ACCOUNT, "--via", "mqtt", "--wait", "--timeout", "15", "--mqtt-username", "desk")
            password = ("--mqtt-password-credential", "desk_password")
            made._credential("desk_password", PASSWORDS["desk"])
            status, document, error = made.call(*send, *password, "--key", str(tmp_path / "night.key"))
            assert (status, document.get("verdict")) == (0, "locked"), error
            status, document, _ = made.call(*send, *password, "--key", str(tmp_path / "desk.key"))
            assert (status, document.get("verdict")) != (0, "locked")
            assert '"code": "UNKNOWN_ISSUER"' in made.log("node")

    def test_of_a_wrong_file_changes_nothing(self, served: Service) -> None:
        """It is complained about, and the node goes on."""
        served.configuration.write_text("[node]\nidd = 1\n")
        served.reload()
        (event,) = [event for event in served.log() if event["event"] == "configuration_not_reloaded"]
        assert "node.id: is missing" in str(event["faults"])
        assert served.ask("/readyz").status == 200

    def test_of_a_pipe_in_the_files_place_is_refused_and_the_next_signal_served(self, served: Service) -> None:
        """Nobody writes to it: whoever opened it as a file would wait for ever, deaf to SIGTERM as well."""
        served.configuration.unlink()
        os.mkfifo(served.configuration)
        served.reload()
        (event,) = [event for event in served.log() if event["event"] == "configuration_not_reloaded"]
        assert "not a regular file" in str(event["faults"])
        assert served.ask("/readyz").status == 200
        served.process.terminate()
        assert served.process.wait(STOP_WITHIN_S) == 0


class TestEnd:
    def test_sigterm_says_so_and_ends_in_time(self, served: Service) -> None:
        """With as much time as it may take, and the exit status of a wanted end."""
        began_s = time.monotonic()
        served.process.send_signal(signal.SIGTERM)
        word = served.manager.words[served.until("STOPPING")]
        assert word.value("EXTEND_TIMEOUT_USEC") == str(round(STOP_WITHIN_S * 1e6))
        assert served.process.wait(STOP_WITHIN_S) == 0
        assert time.monotonic() - began_s < STOP_WITHIN_S

    def test_the_watchdogs_signal_leaves_a_trace_of_where_it_was_stuck(self, served: Service) -> None:
        """SIGABRT, as systemd sends it: the lines of every thread, and a status that is a crash."""
        served.process.send_signal(signal.SIGABRT)
        # The lines of threads that go on running are read as they change: the reader itself may crash over them.
        assert served.process.wait(10) in (-signal.SIGABRT, -signal.SIGSEGV)
        assert "Fatal Python error: Aborted" in (served.folder / "log").read_text()

    def test_a_wrong_configuration_ends_it_before_it_is_ready(self, tmp_path: Path) -> None:
        """Exit status 1, with the fault on standard error."""
        with service(tmp_path, "[node]\nid = 'node-1'\n") as made:
            assert made.process.wait(20) == 1
            assert made.manager.said("READY") == []
            assert "node.tenant" in (tmp_path / "log").read_text()


def test_a_lock_that_no_journal_knows_outlives_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed in that moment, its folder in /run gone with it, as under systemd: the next one finds it."""
    monkeypatch.setenv("NOWHERE_KEY", "of no exchange")
    with service(tmp_path, WITH_ACCOUNT) as first:
        first.until("READY")
        with sqlite3.connect(tmp_path / "state" / "journal.sqlite3", isolation_level=None) as stranger:
            stranger.execute("BEGIN IMMEDIATE")
            first.until("STATUS", value="NOT READY (journal: cannot be written")
            socket = str(tmp_path / "run" / "operator.sock")
            command = [sys.executable, "-m", "node", "send", "LOCK", ACCOUNT, "--wait", "--json", "--socket", socket]
            done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=40, check=False)
            assert json.loads(done.stdout)["unjournaled"] is True, done.stderr
            first.process.kill()
            first.process.wait(10)
            stranger.execute("ROLLBACK")
        stranger.close()
        shutil.rmtree(tmp_path / "run")
        with service(tmp_path, WITH_ACCOUNT, held=first.manager.held) as second:
            second.until("READY")
            (account,) = second.ask("/api/v1/node/status").document["accounts"]
            assert account["lock"]["locked"] is True
            assert "there was no record" in account["lock"]["reason"]
