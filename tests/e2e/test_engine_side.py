"""The lock as a trading engine's own process sees it, while the node lives, dies and comes back."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.processes import ACCOUNT, ROOT, Document, Site, site

#: What the node vouches for at a time (contract 5.3).
LEASE_S = 10.0


def test_an_engine_sees_every_change_and_reads_locked_while_nobody_vouches(tmp_path: Path) -> None:
    """Another process asks throughout: nothing is unlocked that the node has not said, and no epoch falls."""
    with site(tmp_path) as node, engine(node) as seen:
        assert seen(lambda told: True)["reason"] == "no lock file: No such file or directory"
        node.start_simulator()
        node.start_daemon()
        first = seen(lambda told: told["allowed"] is not None)["epoch"]

        _, locked, _ = node.call("send", "LOCK", ACCOUNT, "--reason", "drawdown", "--wait")
        told = seen(lambda told: told["locked"])
        assert (told["epoch"], told["reason"]) == (locked["lock"]["epoch"], "drawdown")
        # Somebody locks again; an UNLOCK that was meant for the first lock comes late.
        _, again, _ = node.call("send", "LOCK", ACCOUNT, "--reason", "drawdown again", "--wait")
        assert seen(lambda told: told["epoch"] == again["lock"]["epoch"])["locked"]
        status, refused, _ = node.call("unlock", ACCOUNT, "--epoch", str(locked["lock"]["epoch"]))
        assert (status, refused["errors"][0]["code"]) == (4, "STALE_EPOCH")
        status, unlocked, error = node.call("unlock", ACCOUNT, "--epoch", str(again["lock"]["epoch"]))
        assert status == 0, error
        told = seen(lambda told: not told["locked"])
        assert told["allowed"] == unlocked["lock"]["epoch"] > again["lock"]["epoch"] > first

        assert node.daemon is not None
        died_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        node.daemon.kill()
        node.daemon.wait()
        told = seen(lambda told: told["locked"])
        assert (told["epoch"], told["reason"]) == (None, "the node has not confirmed the lock lately")
        assert (told["at_ns"] - died_ns) / 1e9 <= LEASE_S + 1

        node.start_daemon(ready=False)
        told = seen(lambda told: told["epoch"] is not None)
        assert (told["locked"], told["epoch"]) == (False, unlocked["lock"]["epoch"])


Seen = Callable[[Callable[[Document], bool]], Document]


@contextmanager
def engine(node: Site) -> Iterator[Seen]:
    """Runs it beside the node. Gives the next of its answers that is as wanted; those before are gone."""
    command = [sys.executable, "-m", "tests.support.engine_process", str(node.folder / "run"), ACCOUNT]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    lines: queue.Queue[str] = queue.Queue()
    out = process.stdout
    assert out is not None

    def read() -> None:
        for line in out:
            lines.put(line)

    reader = threading.Thread(target=read, name="engine-answers")
    reader.start()

    def seen(wanted: Callable[[Document], bool]) -> Document:
        while True:
            told: dict[str, Any] = json.loads(lines.get(timeout=60))
            if wanted(told):
                return told

    try:
        yield seen
    finally:
        process.kill()
        process.wait(10)
        reader.join()
        out.close()
