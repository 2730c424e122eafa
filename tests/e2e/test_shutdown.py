"""The daemon is told to end in the middle of a command: it hands over, and the next start goes on."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from node.app import STOP_WITHIN_S
from tests.support.processes import ACCOUNT, Document, Site, site

#: Each request takes so long: a close is under way for seconds.
SLOW_MS = 700


@pytest.fixture
def closing(tmp_path: Path) -> Iterator[tuple[Site, Document]]:
    """A CLOSE_ALL in its middle: some orders are with the exchange, and no answer has come."""
    with site(tmp_path) as made:
        made.start_simulator()
        made.start_daemon()
        before = made.state()["counters"]["orders_placed"]
        made.faults(latency_ms=SLOW_MS)
        _, accepted, error = made.call("send", "CLOSE_ALL", ACCOUNT)
        assert accepted["state"] in ("accepted", "running"), error
        until(lambda: made.state()["counters"]["orders_placed"] > before)
        yield made, accepted


def until(true: Callable[[], object]) -> None:
    """Look again and again."""
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def goes_on(running: Site, accepted: Document) -> None:
    """The next start brings the command to its end, and nothing was done twice."""
    assert running.lock_file()["locked"] is True
    running.faults(latency_ms=0)
    running.start_daemon(ready=True)
    status, ending, error = running.call("watch", accepted["command_id"])
    assert (status, ending["state"], ending["verdict"]) == (0, "done", "flat_with_residue"), error
    state = running.state()
    assert [each for each in state["positions"] if each["symbol"].endswith("USDT")] == []
    assert state["counters"]["sign_flips"] == 0
    assert state["counters"]["exposure_increases"] == 0
    assert running.lock_file()["epoch"] >= accepted["lock"]["epoch"]
    assert "command_resumed" in running.log("node")


def test_sigterm_in_the_middle_of_a_command_hands_it_over(closing: tuple[Site, Document]) -> None:
    """Exit status 0 within its time, the account locked meanwhile, everybody told; then the next start goes on."""
    running, accepted = closing
    assert running.daemon is not None
    running.daemon.send_signal(signal.SIGTERM)
    assert running.daemon.wait(STOP_WITHIN_S) == 0
    assert "Traceback" not in running.log("node")
    retained = running.broker.retained("sn/v1/acme/node/+/status")
    assert retained["state"] == "offline"
    goes_on(running, accepted)


def test_a_second_signal_ends_it_at_once(closing: tuple[Site, Document]) -> None:
    """The broker answers nothing, so that an orderly end takes its time; the second SIGTERM does not wait for it."""
    running, accepted = closing
    daemon = running.daemon
    assert daemon is not None
    os.kill(running.broker.pid, signal.SIGSTOP)
    try:
        daemon.send_signal(signal.SIGTERM)
        until(lambda: not caught(daemon.pid, signal.SIGTERM))
        assert daemon.poll() is None
        began_s = time.monotonic()
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(5) == -signal.SIGTERM
        assert time.monotonic() - began_s < 1
    finally:
        os.kill(running.broker.pid, signal.SIGCONT)
    assert "node_stopped" not in running.log("node")
    goes_on(running, accepted)


def caught(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler of its own for a signal, by the kernel's word."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (mask,) = (line.partition(":")[2] for line in lines if line.startswith("SigCgt"))
    return bool(int(mask, 16) >> (number - 1) & 1)
