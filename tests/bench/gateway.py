"""From a POST at the gateway to the node's ``accepted``: ``python -m tests.bench.gateway [--json]``.

LOCK after LOCK over the gateway's socket, real mosquitto and a real node; between them, over the same broker, bare
echoes of a message of an envelope's size: what the wire alone takes.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from tests.bench.echo import Echo
from tests.bench.figures import at_least_one, machine, ms, percentile, table
from tests.bench.processes import quiet
from tests.support.gateway import gateway_beside
from tests.support.processes import ACCOUNT, site

COMMANDS: Final = 300
WARM_UP: Final = 20
#: Of one kind before it is the other's turn.
TURN: Final = 10
SHARES: Final = {"p50": 0.50, "p99": 0.99, "max": 1.0}

FIGURES: Final = {
    "echo_ms": "bare MQTT echo: publish -> its echo is back",
    "post_ms": "POST kill LOCK -> answer with the node's accepted",
    "told_ms": "of it by the gateway's own clock (latency_ms)",
}
COVERS: Final = (
    "One at a time, one kept-alive connection to the gateway's Unix socket. mosquitto as shipped; broker, node and "
    "gateway are processes of their own, the echo's two clients (TCP_NODELAY, QoS 1) live in this one. Each POST costs "
    "two durable commits one after the other: the gateway's before it sends, the node's before it answers."
)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("gateway")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(str(self._path))


def post(connection: http.client.HTTPConnection) -> tuple[float, float]:
    """One LOCK; milliseconds as the caller and as the gateway measured them."""
    body = json.dumps({"account_id": ACCOUNT, "action": "LOCK"})
    began_ns = time.monotonic_ns()
    connection.request("POST", "/api/v1/b2b/risk/kill", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    document = json.loads(answer.read())
    taken_ms = ms(time.monotonic_ns() - began_ns)
    if answer.status != http.client.OK or document["result"]["node_id"] != "node-1":
        raise RuntimeError(f"not accepted: {document}")
    return taken_ms, document["latency_ms"]


async def measure(count: int, say: Callable[[str], None]) -> dict[str, list[float]]:
    """*count* of each, in turns."""
    figures: dict[str, list[float]] = {name: [] for name in FIGURES}
    async with AsyncExitStack() as stack:
        made = stack.enter_context(site(Path(stack.enter_context(TemporaryDirectory(prefix="bench-gateway-")))))
        made.start_simulator()
        made.start_daemon()
        gateway = gateway_beside(made)
        gateway.start()
        echo = await stack.enter_async_context(Echo(made.broker.port))
        connection = _UnixConnection(made.folder / "gateway-run" / "operator.sock")
        stack.callback(connection.close)
        for _ in range(WARM_UP):
            await echo.once()
            post(connection)
        while len(figures["post_ms"]) < count:
            for _ in range(TURN):
                figures["echo_ms"].append(await echo.once())
            for _ in range(TURN):
                taken_ms, told_ms = post(connection)
                figures["post_ms"].append(taken_ms)
                figures["told_ms"].append(told_ms)
        say(f"{len(figures['post_ms'])} commands")
    return figures


def readable(report: dict[str, Any]) -> str:
    """The report for people."""
    percentiles = report["percentiles"]
    rows = [["ms", *SHARES]]
    rows += [[meaning, *(f"{percentiles[name][share]:.2f}" for share in SHARES)] for name, meaning in FIGURES.items()]
    facts = ", ".join(f"{name} {value}" for name, value in report["machine"].items())
    ratio = percentiles["post_ms"]["p50"] / percentiles["echo_ms"]["p50"]
    return "\n".join(
        [f"{report['commands']} of each; {facts}", "", table(rows), f"p50: {ratio:.1f} echoes", COVERS, ""]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.gateway", description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument("--commands", type=at_least_one, default=COMMANDS, help=f"default {COMMANDS}")
    options = parser.parse_args(arguments)
    quiet()
    figures = asyncio.run(measure(options.commands, lambda text: print(text, file=sys.stderr, flush=True)))
    report = {
        "schema": "sovereign-node/bench/gateway/1",
        "machine": machine(),
        "commands": len(figures["post_ms"]),
        "figures": FIGURES,
        "covers": COVERS,
        "percentiles": {
            name: {label: percentile(values, share) for label, share in SHARES.items()}
            for name, values in figures.items()
        },
    }
    sys.stdout.write(json.dumps(report, indent=1) + "\n" if options.json else readable(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
