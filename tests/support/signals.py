"""``sovereign-node signals`` in this process, before a simulated exchange, with real lock files."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
from pydantic import SecretStr

from node.clock import Clock, SystemClock, boot_id
from node.commands.operator_client import Answer as OperatorAnswer
from node.commands.operator_client import OperatorClient
from node.domain.lock import AccountLock
from node.engine.lock_ledger import LockLedger
from node.observe.lock_files import LockFileDirectory
from node.signals.app import Signals, SignalSecrets, running
from node.signals.settings import SignalsSettings, parse_signals
from node.sim.orders import Origin
from node.sim.server import serve
from node.sim.simulator import Simulator
from tests.support.waiting import until

ACCOUNT = "6b0c8d1e-5f0a-4c52-9a1e-3d0f6f1d2a77"
USER = "01JZ3CVZKN20410JPYYH1YZJSK"
TOKEN = "0123456789abcdef0123456789abcdef"
WEBHOOK = "/frontoffice/api/v3/webhook"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back."""

    status: int
    text: str
    headers: Mapping[str, str]

    @property
    def json(self) -> Any:
        """Its document."""
        return json.loads(self.text)

    @property
    def refusal(self) -> tuple[int, str]:
        """Status and code of a refused alert, whose shape is always the same."""
        assert set(self.json) == {"success", "error", "message", "timestamp"}, self.text
        assert self.json["success"] is False
        assert self.json["error"]["message"] == self.json["message"]
        return self.status, self.json["error"]["code"]


class LaterClock(SystemClock):
    """The machine's clock, that much later."""

    def __init__(self) -> None:
        self.later = timedelta()

    def now(self) -> datetime:
        """Aware UTC."""
        return super().now() + self.later

    def monotonic_ns(self) -> int:
        """The clock of durations."""
        return super().monotonic_ns() + self.later // timedelta(microseconds=1) * 1000


class NodeLocks:
    """The node's side: its lock files, written by its own code."""

    def __init__(self, runtime_dir: Path, account: str = ACCOUNT) -> None:
        self.account = UUID(account)
        self.epoch = 7
        self._files = LockFileDirectory(runtime_dir / "locks")
        self._files.prepare()

    @property
    def path(self) -> Path:
        """The account's file."""
        return self._files.path_of(self.account)

    def show(self, *, locked: bool, written: Mapping[str, Any] | None = None) -> None:
        """A change of the lock: the epoch rises with it. *written*: fields that the file has instead."""
        self.epoch += 1
        ledger = LockLedger([self.account], node_id="n", boot_id=boot_id(), clock=SystemClock())
        lock = AccountLock(account_id=self.account, epoch=self.epoch, latched=locked, reason="drawdown")
        ledger.adopt(lock)
        # Tests are longer than a lease; those of leases say so themselves.
        lease = {"valid_until_boottime_ns": SystemClock().boottime_ns() + 55_000_000_000}
        self._files.write(self.account, {**ledger.document(self.account), **lease, **(written or {})})


@dataclass(slots=True, kw_only=True)
class SignalBench:
    """The process, the exchange, the lock, and somebody who sends alerts."""

    sim: Simulator
    signals: Signals
    locks: NodeLocks
    session: aiohttp.ClientSession
    settings: SignalsSettings
    secrets: SignalSecrets
    key: str = ""

    @asynccontextmanager
    async def restarted(self) -> AsyncIterator[SignalBench]:
        """Another process's parts on the same folder, with this one's still there and of no use."""
        await self.signals.store.database.close()
        runtime = self.settings.signals.model_copy(update={"runtime_dir": self.settings.signals.runtime_dir / "2"})
        settings = self.settings.model_copy(update={"signals": runtime})
        async with running(settings, self.secrets) as parts:
            await until(lambda: parts.health.readiness().ready)
            yield replace(self, signals=parts, settings=settings)

    async def call(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        """One request at the public door; bytes go as they are."""
        url = f"http://127.0.0.1:{self.signals.api.ports[0]}{path}"
        options: dict[str, Any] = {"data": body} if isinstance(body, bytes) else {"json": body}
        async with self.session.request(method, url, headers=headers, **({} if body is None else options)) as answer:
            return Answer(status=answer.status, text=await answer.text(), headers=answer.headers)

    async def new_key(self, name: str = "chart", **fields: Any) -> Any:
        """A new key's document."""
        answer = await self.call("POST", f"{WEBHOOK}/api-keys", {"name": name, **fields}, **BEARER)
        assert answer.status == 201, answer.text
        return answer.json

    async def operator(self, method: str, body: Any, path: str = f"{WEBHOOK}/api-keys") -> OperatorAnswer:
        """A request at the operator's socket."""
        return await asyncio.to_thread(OperatorClient(self.settings.operator_socket).call, method, path, body)

    async def alert(self, *, user: str = USER, **fields: Any) -> Answer:
        """An alert with what every alert has; a field that is None is left out."""
        usual = {"apiKey": self.key, "accountId": ACCOUNT, "symbol": "spot.btc_usdt", "side": "buy", "quantity": "0.01"}
        body = {name: value for name, value in {**usual, **fields}.items() if value is not None}
        return await self.call("POST", f"{WEBHOOK}/alerts/{user}", body)

    @property
    def placed(self) -> int:
        """How many orders the exchange has taken from this process."""
        placed: int = self.sim.account.engine_counters.orders_placed
        return placed

    @property
    def orders(self) -> list[Any]:
        """What rests at the exchange: orders, and those that wait for their price."""
        state = self.sim.state()["accounts"][self.sim.account.name]
        return [*state["orders"], *state["algo_orders"]]

    def balance(self, asset: str) -> Any:
        """Of spot."""
        return self.sim.account.balance("spot", asset).total


def configuration(folder: Path, sim: Simulator, **account: Any) -> dict[str, Any]:
    """A whole configuration with one account at the simulator."""
    names = sim.credentials(role=Origin.ENGINE)
    own = sim.kind.options(sim.account.name)
    hosts = {"hostname": sim.kind.hosts[0]} if sim.kind.name == "b2prime" else {}
    options = {**own, **hosts, **account.pop("options", {})}
    return {
        "signals": {
            "state_dir": str(folder / "signals-state"),
            "runtime_dir": str(folder / "signals-run"),
            "node_runtime_dir": str(folder / "run"),
            "public_url": "https://signals.example",
        },
        "http": {"listen": "127.0.0.1:1"},
        "operator": {"token": {"credential": "token"}},
        "owners": [{"id": USER}],
        "accounts": [
            {
                "id": ACCOUNT,
                "name": "main",
                "owner": USER,
                "exchange": sim.kind.name,
                "permission": "full",
                "credentials": {name: {"credential": name.lower()} for name in names},
                "connect_to": f"127.0.0.1:{sim.port}",
                "ca_file": str(sim.ca_path),
                **({"options": options} if options else {}),
                **account,
            }
        ],
    }


def secrets_of(settings: SignalsSettings, sim: Simulator) -> SignalSecrets:
    """As they would be looked up."""
    found = {name: SecretStr(value) for name, value in sim.credentials(role=Origin.ENGINE).items()}
    return SignalSecrets(
        operator_token=SecretStr(TOKEN) if settings.operator else None,
        credentials={account.name: found for account in settings.accounts},
    )


def on_any_port(settings: SignalsSettings) -> SignalsSettings:
    """The kernel's choice, which a configuration may not leave to it."""
    assert settings.http is not None
    listen = settings.http.listen.__class__(host="127.0.0.1", port=0)
    return settings.model_copy(update={"http": settings.http.model_copy(update={"listen": listen})})


@asynccontextmanager
async def signal_bench(
    folder: Path,
    *,
    venue: str = "binance",
    scenario: str = "empty",
    clock: Clock | None = None,
    change: Mapping[str, Any] | None = None,
    signals: Mapping[str, Any] | None = None,
    keyed: bool = True,
    token: bool = False,
    http: Mapping[str, Any] | None = None,
    **account: Any,
) -> AsyncIterator[SignalBench]:
    """Everything, with an unlocked account.

    Args:
        change: Sections of the configuration instead of the usual ones.
        signals: Further keys of [signals].
        keyed: With the operator's token at the public door, and a key made there.
        token: With the token, at any rate.
        http: Further keys of [http].
        account: Further keys of the account.
    """
    async with serve(venue=venue, scenario=scenario) as sim:
        data = {**configuration(folder, sim, **account), **(change or {})}
        data["signals"] |= signals or {}
        data["http"] |= http or {}
        if not keyed and not token:
            del data["operator"]
        settings = on_any_port(parse_signals(data))
        secrets = secrets_of(settings, sim)
        locks = NodeLocks(folder / "run")
        locks.show(locked=False)
        async with (
            running(settings, secrets, clock=clock) as parts,
            aiohttp.ClientSession() as session,
        ):
            bench = SignalBench(
                sim=sim, signals=parts, locks=locks, session=session, settings=settings, secrets=secrets
            )
            await until(lambda: parts.health.readiness().ready)
            if keyed:
                bench.key = (await bench.new_key())["apiKey"]
            yield bench
