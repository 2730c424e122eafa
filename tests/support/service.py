"""The real daemon as a service manager runs it: a child process with ``$NOTIFY_SOCKET``, and no account to wait for."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from node.commands.operator_client import Answer, OperatorClient
from tests.support.disks import mend
from tests.support.notify_socket import NotifySocket, Word, notify_socket
from tests.support.processes import ACCOUNT, ROOT

WATCHDOG_S = 2.0
CONFIGURATION = """
[node]
id = "node-1"
tenant = "acme"
state_dir = "{folder}/state"
runtime_dir = "{folder}/run"
"""


#: The same with an account whose exchange nobody reaches.
WITH_ACCOUNT = (
    CONFIGURATION
    + f"""
[[owners]]
id = "acme"

[[accounts]]
id = "{ACCOUNT}"
name = "binance-main"
owner = "acme"
exchange = "binance"
permission = "close"
base_currency = "USDT"
credentials = {{{{ apiKey = {{{{ credential = "nowhere_key" }}}}, secret = {{{{ credential = "nowhere_key" }}}} }}}}
connect_to = "127.0.0.1:9"
"""
)


@dataclass(slots=True, kw_only=True)
class Service:
    """One daemon, and everything that it says of itself."""

    folder: Path
    manager: NotifySocket
    process: subprocess.Popen[bytes]

    @property
    def configuration(self) -> Path:
        """The file that SIGHUP reads again."""
        return self.folder / "node.toml"

    def ask(self, path: str) -> Answer:
        """Over the operator's socket."""
        return self.operator.call("GET", path)

    @property
    def operator(self) -> OperatorClient:
        """The operator's socket."""
        return OperatorClient(self.folder / "run" / "operator.sock")

    def log(self) -> list[dict[str, object]]:
        """Its log, a line an event; what is no event is left out."""
        lines = (self.folder / "log").read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def until(self, name: str, *, value: str | None = None, after: int = 0) -> int:
        """Wait until it says a name (with a value that begins so); the place among all words."""

        def true(word: Word) -> bool:
            said = word.value(name)
            return said is not None and said.startswith(value or "")

        return self.manager.until(true, after=after, unless=(self.folder / "log").read_text()[-2000:])

    def reload(self) -> int:
        """SIGHUP; the place of the word that ends it."""
        after = len(self.manager.words)
        self.process.send_signal(signal.SIGHUP)
        return self.until("READY", after=self.until("RELOADING", after=after))


#: As systemd passes descriptors: from the third on, meant for the process that the shell becomes.
_PASSING = 'exec 3<&"$HELD"; LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES="$NAME" exec "$@"'


@contextmanager
def service(
    folder: Path,
    configuration: str = CONFIGURATION,
    *,
    held: Mapping[str, int] | None = None,
    under: Sequence[str] = (),
) -> Iterator[Service]:
    """Started, not waited for; killed at the end if it has not ended by itself.

    *held*: what the service manager holds from the process before, at most one. *under*: a command that becomes the
    daemon in its own process.
    """
    (folder / "node.toml").write_text(configuration.format(folder=folder))
    with ExitStack() as stack:
        manager = stack.enter_context(notify_socket(folder / "notify"))
        log = stack.enter_context((folder / "log").open("wb"))
        command = [sys.executable, "-m", "node", "run", "--config", str(folder / "node.toml")]
        passed = dict(held or {})
        for name, descriptor in passed.items():
            command = ["env", f"HELD={descriptor}", f"NAME={name}", "bash", "-c", _PASSING, "bash", *command]
        process = subprocess.Popen(
            [*under, *command],
            stderr=log,
            cwd=folder,
            pass_fds=list(passed.values()),
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "NOTIFY_SOCKET": str(manager.path),
                "WATCHDOG_USEC": str(round(WATCHDOG_S * 1e6)),
            },
        )
        try:
            yield Service(folder=folder, manager=manager, process=process)
        finally:
            process.send_signal(signal.SIGCONT)
            if under and process.poll() is None:
                mend(process.pid)
            process.kill()
            process.wait(10)
