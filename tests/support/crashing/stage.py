"""Where lives are lived: a broker in this process, an exchange and a zygote in two others, one state directory."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import os
import signal
import ssl
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

import aiohttp

from node.domain.command import Action
from node.sim.broker_session import Message
from node.transport.envelope import sign_command
from node.transport.issuer_key import IssuerKey
from node.transport.topics import Topics
from tests.support.crashing.witness import Document, Sent, Witness, WitnessBroker
from tests.support.mosquitto import free_port
from tests.support.sim_clients import LoopbackResolver

ACCOUNT: Final = UUID("6b0c8d1e-5f0a-4c52-9a1e-3d0f6f1d2a77")
TENANT: Final = "acme"
NODE_CLIENT: Final = f"sn-{TENANT}-node-1"
ROOT: Final = Path(__file__).parents[3]
#: How long a life may take to whatever it must come to. No statement about the node: machines that run tests are busy.
PATIENCE_S: Final = 60.0

_CONFIGURATION: Final = """
[node]
id = "node-1"
tenant = "{tenant}"
state_dir = "{folder}/state"
runtime_dir = "{folder}/run"

[mqtt]
url = "mqtt://127.0.0.1:{broker}"

{http}

[[owners]]
id = "acme"

[[issuers]]
id = "desk"
public_key = "{public_key}"
actions = ["LOCK", "CLOSE_ALL", "FLATTEN", "UNLOCK"]
accounts = ["*"]

[[accounts]]
id = "{account}"
name = "binance-main"
owner = "acme"
exchange = "binance"
permission = "close"
base_currency = "USDT"
credentials = {{ apiKey = {{ credential = "key" }}, secret = {{ credential = "secret" }} }}
slices = ["spot", "linear:USDT"]
connect_to = "127.0.0.1:{venue}"
ca_file = "{ca}"
"""


class Worker:
    """A process that talks JSON lines: the zygote, or the simulator."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.pid = process.pid

    @classmethod
    async def start(cls, folder: Path, name: str, *arguments: str, **environment: str) -> Worker:
        """Start it; it has said its first line when this returns."""
        with (folder / f"{name}.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            )
        return cls(process)

    async def hear(self) -> Document:
        """Its next line."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        assert line, "the process has ended"
        return dict(json.loads(line))

    def tell(self, **line: Any) -> None:
        """A line for it."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(line).encode() + b"\n")

    async def end(self) -> None:
        """End it, and wait for that."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        if self._process.returncode is None:
            self._process.terminate()
        await self._process.wait()


@dataclass(slots=True)
class Life:
    """One child of the zygote's."""

    pid: int
    pidfd: int
    death: asyncio.Task[Document]
    began: float = field(default_factory=time.monotonic)

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.death.done()

    def kill(self) -> None:
        """Kill it, wherever it is; nothing if it is dead."""
        if not self.over:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)


@dataclass(slots=True, kw_only=True)
class Stage:
    """Everything but the node, which is born and dies on it."""

    folder: Path
    broker: WitnessBroker
    witness: Witness
    key: IssuerKey
    venue: Document
    zygote: Worker
    http: aiohttp.ClientSession
    wire: aiohttp.ClientSession
    topics: Topics = field(default_factory=lambda: Topics(TENANT))

    async def born(self, point: str | None = None, at: int = 1) -> Life:
        """A new life, with the death that it is to die.

        What earlier lives have asked of the exchange is forgotten: its count would show many times what one node asks,
        and a node stands back when its budget is nearly spent.
        """
        control = f"http://127.0.0.1:{self.venue['control']}/faults"
        async with self.http.post(control, json={"clear": True, "enforce_limits": False}) as answer:
            assert answer.status == 200
        self.zygote.tell(config=str(self.folder / "node.toml"), log=str(self.folder / "node.log"), point=point, at=at)
        pid = (await self.zygote.hear())["pid"]
        pidfd = os.pidfd_open(pid)
        life = Life(pid, pidfd, asyncio.create_task(self.zygote.hear(), name="death"))
        life.death.add_done_callback(lambda _task: os.close(pidfd))
        return life

    def sign(self, command_id: UUID, action: Action, epoch: int | None) -> bytes:
        """An envelope."""
        now = datetime.now(UTC)
        return sign_command(
            self.key,
            tenant=TENANT,
            command_id=command_id,
            account=ACCOUNT,
            action=action,
            issued_at=now,
            expires_at=now + timedelta(seconds=60),
            epoch=epoch,
        )

    def deliver(self, envelope: bytes) -> bool:
        """Hand an envelope to the broker, which keeps it for a node that is away; False: it knows of no node yet."""
        takers = self.broker.publish(
            Message(topic=self.topics.command(ACCOUNT), payload=envelope, qos=1, retain=False, sender="desk")
        )
        return takers > 0

    def operator_connector(self) -> aiohttp.UnixConnector:
        """To the operator's socket."""
        return aiohttp.UnixConnector(path=str(self.folder / "run" / "operator.sock"))

    async def ask(self, sent: Sent) -> None:
        """Over the operator's socket; with its id, so that it may be asked again."""
        kill = {"account_id": str(ACCOUNT), "action": sent.action}
        unlock = {"account_id": str(ACCOUNT), "epoch": sent.epoch}
        path, body = ("unlock", unlock) if sent.action == "UNLOCK" else ("kill", kill)
        headers = {"Idempotency-Key": str(sent.command_id)}
        async with (
            aiohttp.ClientSession(connector=self.operator_connector()) as session,
            session.post(f"http://node/api/v1/b2b/risk/{path}", json=body, headers=headers) as answer,
        ):
            sent.answer = await answer.json()
            lock = (sent.answer or {}).get("result", {}).get("lock")
            if lock is not None and "Idempotency-Replayed" not in answer.headers:
                self.witness.reported("socket", lock["epoch"], lock["locked"])

    def lock_file(self) -> tuple[int, bool] | None:
        """The lock as engines read it; None: there is none."""
        try:
            document = json.loads((self.folder / "run" / "locks" / f"{ACCOUNT}.json").read_text())
        except FileNotFoundError:
            return None
        self.witness.reported("file", document["epoch"], document["locked"])
        return document["epoch"], document["locked"]

    async def state(self) -> Document:
        """The account as the exchange has it."""
        async with self.http.get(f"http://127.0.0.1:{self.venue['control']}/state") as answer:
            document = await answer.json()
        account = dict(next(iter(document["accounts"].values())))
        self.witness.judge_exchange(account["counters"])
        return account

    async def requests(self, after: int) -> list[Document]:
        """What the node's key has asked of the exchange since that request."""
        query = {"after": str(after), "key": f"{self.venue['accounts'][0]['name']}/client"}
        async with self.http.get(f"http://127.0.0.1:{self.venue['control']}/requests", params=query) as answer:
            return list((await answer.json())["requests"])

    async def trade(self, host: str, path: str, **parameters: str) -> None:
        """The engine places an order, with a key of its own."""
        key = self.venue["accounts"][0]["engine_credentials"]
        query = urlencode({**parameters, "timestamp": str(time.time_ns() // 1_000_000)})
        signature = hmac.new(key["secret"].encode(), query.encode(), "sha256").hexdigest()
        url = f"https://{host}{path}?{query}&signature={signature}"
        async with self.wire.post(url, headers={"X-MBX-APIKEY": key["apiKey"]}) as answer:
            assert answer.status == 200, await answer.text()

    def log(self) -> str:
        """What the last life has said."""
        path = self.folder / "node.log"
        return path.read_text() if path.exists() else ""


@asynccontextmanager
async def raised(folder: Path, *, http_port: int | None = None) -> AsyncIterator[Stage]:
    """Everything up on loopback; ended with the block. With *http_port* lives serve the risk API there."""
    async with AsyncExitStack() as stack:
        witness, key = Witness(ACCOUNT), IssuerKey.generate("desk")
        broker = WitnessBroker(witness, NODE_CLIENT)
        await stack.enter_async_context(broker)
        ports = {name: free_port() for name in ("venue", "control")}
        serve = [
            "sim",
            "serve",
            "--venue",
            "binance",
            "--scenario",
            "empty",
            "--no-limits",
            "--ca-dir",
            str(folder / "ca"),
        ]
        simulator = await Worker.start(
            folder, "sim", "-m", "node", *serve, "--port", str(ports["venue"]), "--control", str(ports["control"])
        )
        stack.push_async_callback(simulator.end)
        venue = await simulator.hear()
        credentials = venue["accounts"][0]["credentials"]
        zygote = await Worker.start(
            folder,
            "zygote",
            "-m",
            "tests.support.crashing.zygote",
            venue["ca"],
            KEY=credentials["apiKey"],
            SECRET=credentials["secret"],
        )
        stack.push_async_callback(zygote.end)
        await zygote.hear()
        (folder / "node.toml").write_text(
            _CONFIGURATION.format(
                tenant=TENANT, folder=folder, broker=broker.port, public_key=key.public_key, account=ACCOUNT,
                http=f'[http]\nlisten = "127.0.0.1:{http_port}"' if http_port else "",
                venue=venue["port"], ca=venue["ca"],
            )
        )  # fmt: skip
        trust = ssl.create_default_context(cafile=venue["ca"])
        connector = aiohttp.TCPConnector(resolver=LoopbackResolver(venue["port"]), ssl=trust, keepalive_timeout=300)
        yield Stage(
            folder=folder,
            broker=broker,
            witness=witness,
            key=key,
            venue=venue,
            zygote=zygote,
            http=await stack.enter_async_context(aiohttp.ClientSession()),
            wire=await stack.enter_async_context(aiohttp.ClientSession(connector=connector)),
        )
