"""How long until a kill is accepted under load, and is any lost: ``python -m tests.bench.api_load [--json]``.

Many clients, each on a connection of its own, send LOCK commands to the risk API of the real daemon as fast as they are
answered. Then the daemon is killed with SIGKILL, and every command that was answered with 200 must be in its journal.
The floor is a bare uvicorn with FastAPI that checks the same body and answers: no key, no journal, no engine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from uuid import UUID, uuid5

from node.api.rates import REQUESTS_PER_MINUTE
from node.commands.operator_client import ConnectionLost, OperatorClient
from node.commands.output import Trouble
from node.domain.api_key import ACTIVE_KEYS_MAX
from tests.bench.figures import at_least_one, machine, ms, percentile, table
from tests.bench.processes import BenchError, Process, python, until
from tests.support.mosquitto import free_port

CLIENTS: Final = 200
#: Of each client that count; and before that, of each, that do not: code that runs for the first time is slower.
REQUESTS: Final = 15
WARM_UP: Final = 2
#: Of one client that is alone, before the others come.
ALONE: Final = 30
#: After the warm-up, until what it left to do is done.
SETTLE_S: Final = 2.0
#: Between two of those, so that the aftermath of one (its ending is a commit too) is not in the way of the next.
PAUSE_S: Final = 0.1
#: An owner has at most 5 keys, and a key 100 requests a minute: so many owners, each with an account.
OWNERS: Final = 10
SHARES: Final = {"p50": 0.50, "p90": 0.90, "p99": 0.99, "max": 1.0}
COVERS: Final = {
    "pattern": "every client sends the next request when it has the answer to the one before, over one connection",
    "alone": f"one client, {PAUSE_S * 1e3:g} ms between its requests; per s means nothing there",
    "node": "the real daemon in its own process: key, rate, ownership, journal (one fsync a batch), lock, lock file",
    "floor": "uvicorn (h11) and FastAPI with the same body model, in a process of its own: no key, no journal",
    "accounts": "their exchange cannot be reached: LOCK needs none",
}

#: Where the lock files go, as in production (systemd's RuntimeDirectory). On a disk, each would cost 2 ms more.
_MEMORY: Final = Path("/dev/shm")  # noqa: S108
_PATH: Final = "/api/v1/b2b/risk/kill"
_FLOOR: Final = """
import sys
import uvicorn
from fastapi import FastAPI
from node.api.bodies import LockBody

app = FastAPI()

@app.post("/api/v1/b2b/risk/kill")
async def kill(body: LockBody) -> dict[str, object]:
    return {"success": True, "command_id": body.account_id, "action": body.action, "account_id": body.account_id}

uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), http="h11", loop="asyncio", log_level="error", backlog=1024)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """What one client sends."""

    account: UUID
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What came of it."""

    latencies_ns: list[int]
    #: Commands that were answered with 200.
    accepted: list[str]
    #: Other answers, by status.
    others: list[int]
    took_s: float

    def figures(self) -> dict[str, float]:
        """Milliseconds to the answer, and requests a second."""
        found = {name: ms(round(percentile(self.latencies_ns, share))) for name, share in SHARES.items()}
        return {**found, "per_s": round(len(self.latencies_ns) / self.took_s)}


async def load(port: int, callers: Sequence[Caller], clients: int, requests: int, pause_s: float = 0) -> Load:
    """All clients at once, each over a connection of its own."""
    latencies_ns: list[int] = []
    accepted: list[str] = []
    others: list[int] = []

    async def client(caller: Caller) -> None:
        body = json.dumps({"account_id": str(caller.account), "action": "LOCK"})
        head = f"POST {_PATH} HTTP/1.1\r\nHost: node\r\nContent-Type: application/json\r\nX-API-Key: {caller.key}\r\n"
        content = f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(requests):
            began_ns = time.perf_counter_ns()
            writer.write(content)
            status, answer = await _answer(reader)
            latencies_ns.append(time.perf_counter_ns() - began_ns)
            if status == 200:
                accepted.append(json.loads(answer)["command_id"])
            else:
                others.append(status)
            await asyncio.sleep(pause_s)
        writer.close()

    began = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for number in range(clients):
            tasks.create_task(client(callers[number % len(callers)]), name=f"client-{number}")
    took_s = time.perf_counter() - began
    return Load(latencies_ns=latencies_ns, accepted=accepted, others=others, took_s=took_s)


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.split(b"content-length: ", 1)[1].split(b"\r\n", 1)[0])
    return int(head.split(b" ", 2)[1]), await reader.readexactly(length)


@asynccontextmanager
async def floor(work: Path) -> AsyncIterator[tuple[int, Process]]:
    """The bare server's port and process."""
    port = free_port()
    async with python("-c", _FLOOR, str(port), log=work / "floor.log") as process:
        await until(lambda: _listens(port), "the floor listens", work / "floor.log")
        yield port, process


@asynccontextmanager
async def node(work: Path, runtime: Path) -> AsyncIterator[tuple[int, list[Caller], Process]]:
    """The daemon's port, callers with every key that there may be, and its process."""
    port, nobody = free_port(), free_port()
    accounts = {f"owner-{number}": uuid5(UUID(int=0), str(number)) for number in range(OWNERS)}
    lines = ["[node]", 'id = "bench"', 'tenant = "bench"', f'state_dir = "{work}/state"', f'runtime_dir = "{runtime}"']
    lines += ["[http]", f'listen = "127.0.0.1:{port}"']
    for owner, account in accounts.items():
        lines += ["[[owners]]", f'id = "{owner}"']
        lines += ["[[accounts]]", f'id = "{account}"', f'name = "of-{owner}"', f'owner = "{owner}"']
        lines += ['exchange = "binance"', 'permission = "close"', 'base_currency = "USDT"', 'slices = ["linear:USDT"]']
        lines += ['credentials = { apiKey = { credential = "bench" }, secret = { credential = "bench" } }']
        lines += [f'connect_to = "127.0.0.1:{nobody}"']
    config, log = work / "node.toml", work / "node.log"
    config.write_text("\n".join(lines))
    async with python("-m", "node", "run", "--config", str(config), log=log, environment={"BENCH": "x"}) as process:
        await until(lambda: _listens(port), "the daemon listens", log)
        operator = OperatorClient(runtime / "operator.sock")
        callers = []
        for owner, account in accounts.items():
            for _ in range(ACTIVE_KEYS_MAX):
                key = await asyncio.to_thread(_new_key, operator, owner)
                callers.append(Caller(account=account, key=key))
        yield port, callers, process


def _new_key(operator: OperatorClient, owner: str) -> str:
    try:
        return str(operator.call("POST", "/api/v1/b2b/keys", {"owner": owner}).or_trouble()["api_key"])
    except (Trouble, ConnectionLost) as error:
        raise BenchError(f"no key: {error}") from error


async def _with_cpu(process: Process, work: Awaitable[Load]) -> tuple[Load, float]:
    """What came of it, and milliseconds of the server's processor time a request: the figure that others on the machine
    do not change. For the node it holds the locks' whole execution, until they are done."""
    before_ms = _cpu_ms(process)
    found = await work
    return found, round((_cpu_ms(process) - before_ms) / len(found.latencies_ns), 2)


def _cpu_ms(process: Process) -> float:
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") * 1e3


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


def journaled(database: Path, commands: Sequence[str]) -> int:
    """How many of the commands are in the journal of a daemon that was killed."""
    with sqlite3.connect(database) as connection:
        ((found,),) = connection.execute(
            "SELECT count(*) FROM command WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(commands),)
        )
    connection.close()
    return int(found)


async def measure(clients: int, requests: int) -> dict[str, object]:
    """Both, in turn, and what the journal says."""
    per_key = -(-clients // (OWNERS * ACTIVE_KEYS_MAX)) * (requests + WARM_UP) + ALONE
    if per_key > REQUESTS_PER_MINUTE:
        raise BenchError(f"{per_key} requests a key in this run: a key has {REQUESTS_PER_MINUTE} a minute")
    async with AsyncExitStack() as stack:
        work = Path(stack.enter_context(TemporaryDirectory(prefix="api-load-")))
        bare, bare_process = await stack.enter_async_context(floor(work))
        memory = _MEMORY if _MEMORY.is_dir() else None
        runtime = Path(stack.enter_context(TemporaryDirectory(prefix="api-load-", dir=memory)))
        port, callers, process = await stack.enter_async_context(node(work, runtime))
        warm = [await load(place, callers, clients, WARM_UP) for place in (bare, port)]
        await asyncio.sleep(SETTLE_S)
        alone = [await load(place, callers, 1, ALONE, PAUSE_S) for place in (bare, port)]
        below, below_cpu_ms = await _with_cpu(bare_process, load(bare, callers, clients, requests))
        ours, ours_cpu_ms = await _with_cpu(process, load(port, callers, clients, requests))
        process.kill()
        await process.wait()
        accepted = [*warm[1].accepted, *alone[1].accepted, *ours.accepted]
        found = await asyncio.to_thread(journaled, work / "state" / "journal.sqlite3", accepted)
    return {
        "covers": COVERS,
        "machine": machine(),
        "clients": clients,
        "requests": clients * requests,
        "floor_alone_ms": alone[0].figures(),
        "node_alone_ms": alone[1].figures(),
        "floor_ms": {**below.figures(), "cpu": below_cpu_ms},
        "node_ms": {**ours.figures(), "cpu": ours_cpu_ms},
        "p99_node_to_floor": round(ours.figures()["p99"] / below.figures()["p99"], 2),
        "answered_200": len(accepted),
        "in_the_journal": found,
        "lost": len(accepted) - found,
        "other_answers": sorted({*warm[1].others, *alone[1].others, *ours.others}),
    }


def main() -> int:
    """Print the figures; exit status 1 if a command was lost or refused."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=at_least_one, default=CLIENTS)
    parser.add_argument("--requests", type=at_least_one, default=REQUESTS, help="of each client (%(default)s)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    try:
        report = asyncio.run(measure(options.clients, options.requests))
    except BenchError as error:
        print(f"api_load: {error}", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps(report, indent=2))
    else:
        print(_text(report))
    return 1 if report["lost"] or report["other_answers"] else 0


def _text(report: dict[str, object]) -> str:
    rows = [["ms to the answer", *SHARES, "per s", "CPU ms each"]]
    for name in ("floor_alone_ms", "node_alone_ms", "floor_ms", "node_ms"):
        figures = report[name]
        assert isinstance(figures, dict)
        times = [f"{figures[share]:.1f}" for share in SHARES]
        words = name.removesuffix("_ms").replace("_", " ")
        rows.append([words, *times, str(figures["per_s"]), str(figures.get("cpu", ""))])
    counts = f"{report['answered_200']} answered with 200, {report['in_the_journal']} in the journal after kill -9"
    refused = f"other answers: {report['other_answers'] or 'none'}"
    ratio = f"p99 node / floor: {report['p99_node_to_floor']}"
    return "\n".join(
        [f"{report['clients']} clients, {report['requests']} requests", table(rows), ratio, counts, refused]
    )


if __name__ == "__main__":
    sys.exit(main())
