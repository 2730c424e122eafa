"""Real processes for end-to-end tests: the command line as users have it, and the shipped configuration."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from node.commands.operator_client import ConnectionLost, OperatorClient
from node.commands.output import Trouble
from tests.support.mosquitto import PASSWORDS, Mosquitto, free_port

Document = dict[str, Any]

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "config"
ACCOUNT = "6b0c8d1e-5f0a-4c52-9a1e-3d0f6f1d2a77"
_LOOK_EVERY_S = 0.05
#: Three processes start beside others: patience, not a promise.
_READY_WITHIN_S = 60.0


@dataclass(slots=True, kw_only=True)
class Site:
    """One machine's worth of a node: its folder, its processes, its command line."""

    folder: Path
    broker: Mosquitto
    ports: Mapping[str, int]
    stack: ExitStack
    venue: Document = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    daemon: subprocess.Popen[bytes] | None = None

    @property
    def configuration(self) -> Path:
        """The node's configuration file."""
        return self.folder / "node.toml"

    def call(self, *arguments: str, timeout_s: float = 40.0) -> tuple[int, Document, str]:
        """Run the command line; exit status, JSON document, standard error."""
        command = [sys.executable, "-m", "node", *arguments, "--json", "--config", str(self.configuration)]
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=self.folder, env=self._env(), timeout=timeout_s, check=False
        )
        newest = (done.stdout.strip() or "{}").splitlines()[-1]  # `watch` prints a line an event
        return done.returncode, json.loads(newest), done.stderr

    def start_simulator(self, *arguments: str) -> None:
        """`sovereign-node sim serve`, and its credentials where the configuration looks for them."""
        command = ["sim", "serve", "--venue", "binance", "--ca-dir", str(self.folder / "state" / "sim-ca")]
        ports = ["--port", str(self.ports["venue"]), "--control", str(self.ports["control"])]
        process = self._spawn("sim", *command, *ports, *arguments, stdout=subprocess.PIPE)
        assert process.stdout is not None
        announced = process.stdout.readline()
        assert announced, self.log("sim")
        self.venue = json.loads(announced)
        credentials = self.venue["accounts"][0]["credentials"]
        self._credential("binance_key", credentials["apiKey"])
        self._credential("binance_secret", credentials["secret"])

    def start_daemon(self, *, ready: bool = True, **environment: str) -> subprocess.Popen[bytes]:
        """`sovereign-node run`; with ``ready``, returns when it is."""
        self.daemon = self._spawn("node", "run", "--config", str(self.configuration), environment=environment)
        if ready:
            self.until_ready()
        return self.daemon

    def status(self) -> Document | None:
        """What ``status`` would show, without the cost of a process; None while nobody answers."""
        try:
            answer = OperatorClient(self.folder / "run" / "operator.sock").call("GET", "/api/v1/node/status")
        except (Trouble, ConnectionLost):
            return None
        return None if answer.refused else dict(answer.document)

    def until(self, true: Callable[[Document], object], *, within_s: float = _READY_WITHIN_S) -> Document:
        """Look at the status until it is so. A daemon that has ended is not waited for."""
        deadline, shown = time.monotonic() + within_s, None
        while time.monotonic() < deadline:
            shown = self.status()
            if shown is not None and true(shown):
                return shown
            if self.daemon is not None and self.daemon.poll() is not None:
                break
            time.sleep(_LOOK_EVERY_S)
        raise AssertionError(f"not so: {shown}\n{self.log('node')}")

    def until_ready(self) -> Document:
        """Wait until the node is ready."""
        return self.until(lambda shown: shown["ready"])

    def until_answering(self) -> Document:
        """Wait until the daemon answers and has tried its account; ready or not."""
        return self.until(lambda shown: shown["ready"] or shown["accounts"][0]["reasons"])

    def state(self) -> Document:
        """What the simulator says of its first account."""
        return dict(next(iter(self.accounts().values())))

    def accounts(self) -> dict[str, Document]:
        """What the simulator says of its accounts, in the order in which it has named them."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports['control']}/state", timeout=10) as answer:
            return dict(json.load(answer)["accounts"])

    def faults(self, **faults: Any) -> None:
        """Tell the simulator to misbehave."""
        body = json.dumps(faults).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.ports['control']}/faults", data=body, method="POST")
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 200

    def metrics(self) -> str:
        """What Prometheus would read."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports['metrics']}/metrics", timeout=10) as answer:
            return str(answer.read().decode())

    def lock_file(self) -> Document:
        """The lock as programs on this machine read it."""
        return dict(json.loads((self.folder / "run" / "locks" / f"{ACCOUNT}.json").read_text()))

    def log(self, name: str) -> str:
        """What a process has said on standard error."""
        return (self.folder / f"{name}.log").read_text()

    def _spawn(
        self, name: str, *arguments: str, stdout: int | None = None, environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        log = self.stack.enter_context((self.folder / f"{name}.log").open("ab"))
        process = subprocess.Popen(
            [sys.executable, "-m", "node", *arguments],
            stdout=stdout or log,
            stderr=log,
            cwd=self.folder,
            env={**self._env(), **(environment or {})},
        )
        self.stack.callback(_end, process)
        return process

    def _credential(self, name: str, value: str) -> None:
        path = self.folder / "credentials" / name
        path.touch(mode=0o600)
        path.write_text(value)

    def _env(self) -> dict[str, str]:
        ours = {"PYTHONPATH": str(ROOT), "CREDENTIALS_DIRECTORY": str(self.folder / "credentials")}
        return {**os.environ, **ours, **self.environment}  # this checkout, whichever the interpreter has installed


@contextmanager
def site(folder: Path, *, issuer: str = "desk", changes: Mapping[str, str] | None = None) -> Iterator[Site]:
    """The shipped example configuration in a folder of its own, with mosquitto running; only the ports are changed.

    ``changes`` are further replacements (regular expression to text) in the example.
    """
    with ExitStack() as stack:
        for name in ("credentials", "state", "broker"):
            (folder / name).mkdir(mode=0o700)
        broker = Mosquitto(folder / "broker")
        broker.start()
        stack.callback(broker.stop)
        ports = {name: free_port() for name in ("venue", "control", "http", "metrics")}
        made = Site(folder=folder, broker=broker, ports=ports, stack=stack)
        made._credential("mqtt_password", PASSWORDS["node-1"])
        key = folder / f"{issuer}.key"
        created = subprocess.run(
            [sys.executable, "-m", "node", "issuer", "new", issuer, "--out", str(key), "--json"],
            capture_output=True,
            text=True,
            check=True,
        )
        public_key = json.loads(created.stdout)["public_key"]
        replaced = {
            r"127\.0\.0\.1:1883": f"127.0.0.1:{broker.port}",
            r"127\.0\.0\.1:8787": f"127.0.0.1:{ports['http']}",
            r"127\.0\.0\.1:9187": f"127.0.0.1:{ports['metrics']}",
            r'connect_to = "127\.0\.0\.1:9443"': f'connect_to = "127.0.0.1:{ports["venue"]}"',
            r'public_key = "REPLACE[^"]*"': f'public_key = "{public_key}"',
            **(changes or {}),
        }
        text = (CONFIG / "node.example.toml").read_text()
        for pattern, replacement in replaced.items():
            text, count = re.subn(pattern, replacement, text, count=1, flags=re.MULTILINE)
            assert count == 1, pattern
        made.configuration.write_text(text)
        yield made


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)
    if process.stdout is not None:
        process.stdout.close()
