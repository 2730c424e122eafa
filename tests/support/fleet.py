"""Several nodes of one tenant on one real broker and one simulated exchange, each with accounts of its own."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from tests.support.mosquitto import Mosquitto, free_port
from tests.support.processes import CONFIG, Document, Site


@dataclass(slots=True, kw_only=True)
class Fleet:
    """The nodes, by number from zero."""

    broker: Mosquitto
    sites: list[Site]
    key: Path

    def account(self, number: int) -> str:
        """The id of the account that a node serves."""
        return str(UUID(int=0xACC0 + number))

    def name(self, number: int) -> str:
        """The node's id."""
        return f"node-{number + 1}"

    def lock(self, number: int) -> Document:
        """An account's lock as programs on the node's machine read it."""
        path = self.sites[number].folder / "run" / "locks" / f"{self.account(number)}.json"
        return dict(json.loads(path.read_text()))

    def send(self, *arguments: str) -> tuple[int, Document, str]:
        """`send … --via mqtt`, signed, from the first node's machine; waits for the ending."""
        return self.sites[0].call("send", *arguments, "--via", "mqtt", "--key", str(self.key), "--wait")

    def holdings(self, number: int) -> list[Document]:
        """The USDT-settled positions of a node's account, as the exchange has them."""
        accounts = self.sites[0].accounts()
        return [each for each in list(accounts.values())[number]["positions"] if each["symbol"].endswith("USDT")]


@contextmanager
def fleet(folder: Path, nodes: int) -> Iterator[Fleet]:
    """Everything up and ready; ended with the block."""
    with ExitStack() as stack:
        names = tuple(f"node-{number + 1}" for number in range(nodes))
        (folder / "broker").mkdir()
        broker = Mosquitto(folder / "broker", nodes=names)
        broker.start()
        stack.callback(broker.stop)
        key = folder / "desk.key"
        created = subprocess.run(
            [sys.executable, "-m", "node", "issuer", "new", "desk", "--out", str(key), "--json"],
            capture_output=True,
            text=True,
            check=True,
        )
        shared = {name: free_port() for name in ("venue", "control")}
        made = Fleet(broker=broker, sites=[], key=key)
        for number, name in enumerate(names):
            ports = {**shared, "http": free_port(), "metrics": free_port()}
            site = Site(folder=folder / name, broker=broker, ports=ports, stack=stack)
            for part in ("credentials", "state"):
                (site.folder / part).mkdir(mode=0o700, parents=True)
            site._credential("mqtt_password", f"{name}-secret" if number else "node-secret")
            site.configuration.write_text(
                _configuration(name, made.account(number), ports, broker.port, json.loads(created.stdout)["public_key"])
            )
            made.sites.append(site)
        first = made.sites[0]
        first.start_simulator("--scenario", "desk")
        ca_file = first.folder / "state" / "sim-ca" / "ca.pem"
        for number, site in enumerate(made.sites):
            credentials = first.venue["accounts"][number]["credentials"]
            site._credential("binance_key", credentials["apiKey"])
            site._credential("binance_secret", credentials["secret"])
            site.configuration.write_text(site.configuration.read_text().replace("state/sim-ca/ca.pem", str(ca_file)))
            site.start_daemon(ready=False)
        for site in made.sites:
            site.until_ready()
        yield made


def _configuration(name: str, account: str, ports: dict[str, int], broker_port: int, public_key: str) -> str:
    """The shipped example for one node of several."""
    replaced = {
        r'^id = "node-1"': f'id = "{name}"',
        r'^username = "node-1"': f'shared = true\nusername = "{name}"',
        r'^id = "6b0c8d1e[^"]*"': f'id = "{account}"',
        r'^name = "binance-main"': f'name = "binance-{name}"',
        r"127\.0\.0\.1:1883": f"127.0.0.1:{broker_port}",
        r"127\.0\.0\.1:8787": f"127.0.0.1:{ports['http']}",
        r"127\.0\.0\.1:9187": f"127.0.0.1:{ports['metrics']}",
        r'connect_to = "127\.0\.0\.1:9443"': f'connect_to = "127.0.0.1:{ports["venue"]}"',
        r'public_key = "REPLACE[^"]*"': f'public_key = "{public_key}"',
    }
    text = (CONFIG / "node.example.toml").read_text()
    for pattern, replacement in replaced.items():
        text, count = re.subn(pattern, replacement, text, count=1, flags=re.MULTILINE)
        assert count == 1, pattern
    return text
