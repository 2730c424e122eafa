"""A gateway beside a site: its configuration from the shipped example, its process, its doors."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from node.commands.operator_client import Answer, ConnectionLost, OperatorClient
from node.commands.output import Trouble
from tests.support.mosquitto import PASSWORDS, free_port
from tests.support.processes import ACCOUNT, CONFIG, Document, Site

RISK = "/api/v1/b2b/risk"
_LOOK_EVERY_S = 0.02
#: Processes start beside others: patience, not a promise.
_WITHIN_S = 60.0


@dataclass(slots=True, kw_only=True)
class GatewaySite:
    """The gateway's side of a site."""

    site: Site
    port: int
    metrics_port: int
    process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def configuration(self) -> Path:
        """The gateway's configuration file."""
        return self.site.folder / "gateway.toml"

    @property
    def client(self) -> OperatorClient:
        """The gateway's operator."""
        return OperatorClient(self.site.folder / "gateway-run" / "operator.sock")

    @property
    def log(self) -> str:
        """What it said so far."""
        return self.site.log("gateway")

    def start(self, *, ready: bool = True) -> None:
        """`sovereign-node gateway`; with ``ready``, returns once a node has confirmed a lock to it."""
        self.process = self.site._spawn("gateway", "gateway", "--config", str(self.configuration))
        self.until(lambda shown: shown["ready"] or not ready)

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def status(self) -> Document | None:
        """The gateway's status; None while nobody answers."""
        try:
            answer = self.client.call("GET", "/api/v1/node/status")
        except (Trouble, ConnectionLost):
            return None
        return None if answer.refused else dict(answer.document)

    def until(self, true: Callable[[Document], object], *, within_s: float = _WITHIN_S) -> Document:
        """Look at the status until it is so."""
        deadline, shown = time.monotonic() + within_s, None
        while time.monotonic() < deadline:
            shown = self.status()
            if shown is not None and true(shown):
                return shown
            assert self.process is not None
            assert self.process.poll() is None, self.log
            time.sleep(_LOOK_EVERY_S)
        raise AssertionError(f"not so: {shown}\n{self.log}")

    def kill_switch(
        self, action: str, account: str = ACCOUNT, *, key: UUID | str | None = None, **fields: Any
    ) -> Answer:
        """POST …/risk/kill."""
        headers = {} if key is None else {"Idempotency-Key": str(key)}
        body = {"account_id": account, "action": action, **fields}
        return self.client.call("POST", f"{RISK}/kill", body, headers, timeout_s=40.0)

    def result(self, command_id: str) -> Answer:
        """GET …/risk/commands/{id}."""
        return self.client.call("GET", f"{RISK}/commands/{command_id}")

    def ending(self, command_id: str, *, within_s: float = _WITHIN_S) -> Document:
        """Ask for the result until the command has ended."""
        deadline, answer = time.monotonic() + within_s, None
        while time.monotonic() < deadline:
            answer = self.result(command_id)
            if answer.document.get("state") in ("done", "rejected", "failed"):
                return answer.document
            time.sleep(_LOOK_EVERY_S)
        raise AssertionError(f"has not ended: {answer}\n{self.log}")

    def events(self, command_id: str) -> list[Document]:
        """The whole event stream of a command."""
        stream = self.client.stream(f"{RISK}/commands/{command_id}/events")
        return [document for document in stream if document is not None]

    def public(
        self, method: str, path: str, key: str | None = None, body: object = None, **headers: str
    ) -> tuple[int, Document]:
        """A request at the public listener; status and document."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=40)
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        fields |= {"Content-Type": "application/json"} | ({} if key is None else {"X-API-Key": key})
        try:
            connection.request(method, path, None if body is None else json.dumps(body), fields)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def metrics(self) -> str:
        """What Prometheus would scrape."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=5) as answer:
            return str(answer.read().decode())

    def new_key(self, owner: str) -> str:
        """`keys create` at the gateway."""
        status, document, error = command_line(self.site, "keys", "create", "--owner", owner)
        assert status == 0, error
        return str(document["api_key"])

    def lock(self, account: str = ACCOUNT) -> Document:
        """The lock as the gateway tells it."""
        return self.client.call("GET", f"/api/v1/locks/{account}").document


def gateway_beside(site: Site, *, changes: Mapping[str, str] | None = None, issuer: str = "desk") -> GatewaySite:
    """The shipped example with its ports changed, and the site's issuer as its own; ``changes``: pattern to text."""
    site._credential("gateway_mqtt_password", PASSWORDS["gateway"])
    site._credential("gateway_issuer_key", (site.folder / f"{issuer}.key").read_text())
    made = GatewaySite(site=site, port=free_port(), metrics_port=free_port())
    replaced = {
        r"127\.0\.0\.1:1883": f"127.0.0.1:{site.broker.port}",
        r"127\.0\.0\.1:8788": f"127.0.0.1:{made.port}",
        r"127\.0\.0\.1:9188": f"127.0.0.1:{made.metrics_port}",
        **(changes or {}),
    }
    text = (CONFIG / "gateway.example.toml").read_text()
    for pattern, replacement in replaced.items():
        text, count = re.subn(pattern, replacement, text, count=1, flags=re.MULTILINE)
        assert count == 1, pattern
    made.configuration.write_text(text)
    return made


def command_line(site: Site, *arguments: str) -> tuple[int, Document, str]:
    """The command line with the gateway's configuration."""
    command = [sys.executable, "-m", "node", *arguments, "--json", "--config", str(site.folder / "gateway.toml")]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=site.folder, env=site._env(), timeout=60, check=False
    )
    return done.returncode, json.loads((done.stdout.strip() or "{}").splitlines()[-1]), done.stderr


SECOND_ACCOUNT = "0f3f2f8e-52a7-4c0e-9f58-5a4b8e3d6c11"


def second_node(site: Site) -> Site:
    """Another node of the tenant, on the same broker, with an account and a simulator of its own; not started."""
    folder = site.folder / "two"
    for path in (folder, folder / "credentials", folder / "state"):
        path.mkdir(mode=0o700)
    ports = {name: free_port() for name in ("venue", "control", "http", "metrics")}
    other = Site(folder=folder, broker=site.broker, ports=ports, stack=site.stack)
    other._credential("mqtt_password", PASSWORDS["node-2"])
    text = site.configuration.read_text()
    for old, new in (
        ('id = "node-1"', 'id = "node-2"'),
        ('username = "node-1"', 'username = "node-2"'),
        (ACCOUNT, SECOND_ACCOUNT),
        ('name = "binance-main"', 'name = "binance-second"'),
        *((f"127.0.0.1:{site.ports[name]}", f"127.0.0.1:{ports[name]}") for name in ("venue", "http", "metrics")),
    ):
        assert old in text, old
        text = text.replace(old, new)
    other.configuration.write_text(text)
    return other


#: For ``gateway_beside``: the second node's account beside the first's.
WITH_SECOND_ACCOUNT = {
    r'name = "binance-main"\nowner = "acme"': (
        f'name = "binance-main"\nowner = "acme"\n\n[[accounts]]\nid = "{SECOND_ACCOUNT}"\n'
        'name = "binance-second"\nowner = "acme"'
    )
}
