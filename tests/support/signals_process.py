"""``sovereign-node signals`` as a process, beside a site: from the shipped example, only the ports are changed."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from typing import Any
from urllib.error import HTTPError

from node.commands.operator_client import OperatorClient
from tests.support.mosquitto import free_port
from tests.support.processes import ACCOUNT, CONFIG, Document, Site

USER = "acme"
WEBHOOK = "/frontoffice/api/v3/webhook"
_LOOK_EVERY_S = 0.02
#: Processes start beside others: patience, not a promise.
_WITHIN_S = 60.0
_ORDERS = "/api/v3/order"


class Vanished(Exception):
    """The connection broke before there was an answer."""


@dataclass(slots=True, kw_only=True)
class SignalSite:
    """The signals' side of a site."""

    site: Site
    port: int
    process: subprocess.Popen[bytes] | None = field(default=None)

    def start(self, **environment: str) -> None:
        """`sovereign-node signals`; returns when it is ready."""
        arguments = ("signals", "--config", str(self.site.folder / "signals.toml"))
        self.process = self.site._spawn("signals", *arguments, environment=environment)
        deadline = time.monotonic() + _WITHIN_S
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log
            if self._ready():
                return
            time.sleep(_LOOK_EVERY_S)
        raise AssertionError(f"not ready: {self.log}")

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    @property
    def log(self) -> str:
        """What it said so far."""
        return self.site.log("signals")

    def command(self, *arguments: str) -> Document:
        """`sovereign-node signals …`, which must succeed."""
        command = [sys.executable, "-m", "node", "signals", *arguments]
        done = subprocess.run(
            [*command, "--json", "--config", str(self.site.folder / "signals.toml")],
            capture_output=True,
            text=True,
            cwd=self.site.folder,
            env=self.site._env(),
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, (done.stdout, done.stderr)
        return dict(json.loads(done.stdout))

    def new_key(self) -> str:
        """Made at the operator's socket, without the cost of a process."""
        client = OperatorClient(self.site.folder / "signals-run" / "operator.sock")
        return str(client.call("POST", f"{WEBHOOK}/api-keys", {"name": "chart"}).or_trouble()["apiKey"])

    def alert(self, key: str, **fields: Any) -> tuple[int, str]:
        """As TradingView sends one; status and text.

        Raises:
            Vanished: the process died over it.
        """
        body = {"apiKey": key, "accountId": ACCOUNT, "symbol": "spot.btc_usdt", "side": "buy", "quantity": "0.01"}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=40)
        try:
            content = json.dumps({**body, **fields}).encode()
            connection.request("POST", f"{WEBHOOK}/alerts/{USER}", content, {"Content-Type": "text/plain"})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except (OSError, http.client.HTTPException) as error:
            raise Vanished(str(error)) from error
        finally:
            connection.close()

    def orders_sent(self) -> int:
        """How many requests for an order have come to the exchange."""
        place = f"http://127.0.0.1:{self.site.ports['control']}/requests?method=POST&path_prefix={_ORDERS}"
        with urllib.request.urlopen(place, timeout=10) as answer:
            return len(json.load(answer)["requests"])

    def until_sent(self, count: int) -> None:
        """Wait until so many have come."""
        deadline = time.monotonic() + _WITHIN_S
        while self.orders_sent() < count:
            assert time.monotonic() < deadline, self.log
            time.sleep(_LOOK_EVERY_S)

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except (HTTPError, OSError):
            return False


def signals_beside(site: Site) -> SignalSite:
    """The shipped example; the simulator's engine key is the account's own."""
    credentials = site.venue["accounts"][0]["engine_credentials"]
    site._credential("signals_binance_key", credentials["apiKey"])
    site._credential("signals_binance_secret", credentials["secret"])
    made = SignalSite(site=site, port=free_port())
    text = (CONFIG / "signals.example.toml").read_text()
    for old, new in (
        ("127.0.0.1:8789", f"127.0.0.1:{made.port}"),
        ("127.0.0.1:9189", f"127.0.0.1:{free_port()}"),
        ("127.0.0.1:9443", f"127.0.0.1:{site.ports['venue']}"),
    ):
        assert old in text, old
        text = text.replace(old, new)
    (site.folder / "signals.toml").write_text(text)
    return made
