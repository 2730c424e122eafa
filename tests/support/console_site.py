"""The daemon with its console: two accounts on simulated exchanges, a broker, and the listener open to the operator."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from node import app, settings
from node.secrets import Secrets
from node.sim.broker import Broker
from node.sim.server import serve
from node.sim.simulator import Simulator
from tests.support.mosquitto import free_port
from tests.support.waiting import until

TOKEN = "an operator's token, long enough to be taken for one"
MAIN, SECOND = "6b0c8d1e-5f0a-4c52-9a1e-3d0f6f1d2a77", "11111111-5f0a-4c52-9a1e-3d0f6f1d2a77"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleSite:
    """A running node as a browser sees it, and the exchange behind its first account."""

    node: app.Node
    broker: Broker
    sim: Simulator
    port: int
    folder: Path

    @property
    def url(self) -> str:
        """Of the listener."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def socket(self) -> Path:
        """The operator's."""
        return self.node.settings.operator_socket

    def positions(self) -> int:
        """What the exchange itself has, of the parts that the node covers."""
        return len(list(self.sim.account.open_positions()))


@asynccontextmanager
async def console_site(folder: Path, **operator: Any) -> AsyncIterator[ConsoleSite]:
    """Everything on loopback, armed and read once."""
    port = free_port()
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(Broker())
        sims = [await stack.enter_async_context(serve(venue="binance", scenario="demo")) for _ in range(2)]
        environment = {"OPERATOR_TOKEN": TOKEN}
        accounts = []
        for number, (sim, account_id, name) in enumerate(
            zip(sims, (MAIN, SECOND), ("binance-main", "hedge"), strict=True)
        ):
            references = {}
            for key, value in sim.credentials().items():
                credential = f"key_{number}_{key.lower()}"
                environment[credential.upper()] = value
                references[key] = {"credential": credential}
            accounts.append(
                {
                    "id": account_id,
                    "name": name,
                    "owner": "acme",
                    "exchange": "binance",
                    "permission": "close",
                    "base_currency": "USDT",
                    "credentials": references,
                    "connect_to": f"127.0.0.1:{sim.port}",
                    "ca_file": str(sim.ca_path),
                }
            )
        parsed = settings.parse(
            {
                "node": {
                    "id": "node-1",
                    "tenant": "acme",
                    "state_dir": str(folder / "state"),
                    "runtime_dir": str(folder / "run"),
                },
                "mqtt": {"url": f"mqtt://127.0.0.1:{broker.port}"},
                "http": {"listen": f"127.0.0.1:{port}"},
                "operator": {"token": {"credential": "operator_token"}, **operator},
                "owners": [{"id": "acme"}],
                "accounts": accounts,
            }
        )
        for path in (parsed.node.state_dir, parsed.node.runtime_dir):
            path.mkdir(mode=0o700)
        node = await stack.enter_async_context(app.running(parsed, Secrets.resolve(parsed, environment)))
        await until(lambda: all(not each["unread"] for each in node.desk.accounts()))
        transport = node.transport
        assert transport is not None
        await until(lambda: transport.connected)
        yield ConsoleSite(node=node, broker=broker, sim=sims[0], port=port, folder=folder)
