"""What one more account costs a node: ``python -m tests.bench.accounts [--accounts 1,5,10,20] [--shared] [--empty]``.

One daemon after the other, idle and armed, with more and more accounts at the simulated Binance: its memory and the
processor time it takes. Every account has a source address of its own (127.0.0.0/8), because request budgets are
counted by address: so each is polled as often as one alone would be, over sockets of its own. With --shared they have
one address, and so one request budget and one pool of sockets. All use one key; nothing is placed or cancelled.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from uuid import UUID

import aiohttp

from tests.bench.figures import machine, slope
from tests.bench.processes import BenchError, Process, line_of, processor_s, python, resident_bytes

COUNTS: Final = (1, 5, 10, 20)
#: What the accounts hold: 23 positions, 13 orders and triggers, and spot.
HELD: Final = "demo"
#: Patience, no statement.
ARMED_WITHIN_S: Final = 300.0
#: After the last account is ready: what arming has left over is done.
SETTLE_S: Final = 40.0
MEASURE_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Of one daemon."""

    accounts: int
    ready_after_s: float
    #: Processor time from the start until all are armed.
    arming_processor_s: float
    resident_mib: float
    #: Of one processor.
    processor_percent: float
    requests_a_second: float
    open_files: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What is there without any account, and what each adds: least squares."""

    base: float
    each: float


def fitted(costs: Sequence[Cost], figure: str) -> Line:
    """A straight line through one figure, by the number of accounts."""
    points = [(cost.accounts, float(getattr(cost, figure))) for cost in costs]
    mean_x, mean_y = (sum(values) / len(points) for values in zip(*points, strict=True))
    each = slope([x for x, _ in points], [y for _, y in points])
    return Line(base=mean_y - each * mean_x, each=each)


async def measure(accounts: int, work: Path, *, shared: bool = False, scenario: str = HELD) -> Cost:
    """One daemon with so many accounts, from its start to the end of the measurement.

    Raises:
        BenchError: a part did not come up.
    """
    async with AsyncExitStack() as stack:
        (work / "credentials").mkdir(mode=0o700, parents=True)
        simulator_log, log = work / "sim.log", work / "daemon.log"
        serve = ("-m", "node", "sim", "serve", "--port", "0", "--control", "0", "--ca-dir", str(work / "ca"))
        simulator = await stack.enter_async_context(
            python(*serve, "--scenario", scenario, "--no-limits", log=simulator_log)
        )
        venue = json.loads(await line_of(simulator, simulator_log))
        for name, value in venue["accounts"][0]["credentials"].items():
            (work / "credentials" / f"bench_{name.lower()}").write_text(value)
        (work / "node.toml").write_text(_configuration(accounts, work, venue, shared=shared))
        environment = {"CREDENTIALS_DIRECTORY": str(work / "credentials")}
        began = asyncio.get_running_loop().time()
        daemon = await stack.enter_async_context(
            python("-m", "node", "run", "--config", str(work / "node.toml"), log=log, environment=environment)
        )
        connector = aiohttp.UnixConnector(path=str(work / "run" / "operator.sock"))
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        await _until_armed(http, accounts)
        ready_after_s, arming_s = asyncio.get_running_loop().time() - began, processor_s(daemon)
        await asyncio.sleep(SETTLE_S)
        used_s, asked = processor_s(daemon), await _requests(venue["control"])
        await asyncio.sleep(MEASURE_S)
        return Cost(
            accounts=accounts,
            ready_after_s=round(ready_after_s, 1),
            arming_processor_s=round(arming_s, 2),
            resident_mib=round(resident_bytes(daemon) / 2**20, 1),
            processor_percent=round((processor_s(daemon) - used_s) / MEASURE_S * 100, 2),
            requests_a_second=round((await _requests(venue["control"]) - asked) / MEASURE_S, 2),
            open_files=_open_files(daemon),
        )


async def _until_armed(http: aiohttp.ClientSession, accounts: int) -> None:
    try:
        async with asyncio.timeout(ARMED_WITHIN_S):
            while not await _all_armed(http, accounts):  # noqa: ASYNC110 - a condition of another process
                await asyncio.sleep(0.5)
    except TimeoutError:
        raise BenchError(f"{accounts} accounts were not armed within {ARMED_WITHIN_S:g} s") from None


async def _all_armed(http: aiohttp.ClientSession, accounts: int) -> bool:
    try:
        async with http.get("http://operator/api/v1/node/status") as answer:
            shown = await answer.json()
    except (aiohttp.ClientError, OSError):
        return False
    return bool(sum(account["state"] == "armed" for account in shown["accounts"]) == accounts)


async def _requests(control: str | int) -> int:
    """The number of the newest request that the venue has seen."""
    address = control if isinstance(control, str) else f"http://127.0.0.1:{control}"
    async with aiohttp.ClientSession() as http, http.get(f"{address}/requests") as answer:
        requests = (await answer.json())["requests"]
    return int(requests[-1]["number"]) if requests else 0


def _open_files(process: Process) -> int:
    return len(list(Path(f"/proc/{process.pid}/fd").iterdir()))


def _configuration(accounts: int, work: Path, venue: dict[str, Any], *, shared: bool) -> str:
    head = f"""
[node]
id = "node-1"
tenant = "bench"
state_dir = "{work}/state"
runtime_dir = "{work}/run"

[[owners]]
id = "bench"
"""
    return head + "".join(_account(number, venue, shared=shared) for number in range(accounts))


def _account(number: int, venue: dict[str, Any], *, shared: bool) -> str:
    references = ", ".join(
        f'{name} = {{ credential = "bench_{name.lower()}" }}' for name in venue["accounts"][0]["credentials"]
    )
    return f"""
[[accounts]]
id = "{UUID(int=number + 1)}"
name = "account-{number}"
owner = "bench"
exchange = "binance"
permission = "close"
base_currency = "USDT"
credentials = {{ {references} }}
connect_to = "127.0.0.1:{venue["port"]}"
ca_file = "{venue["ca"]}"
local_address = "{"127.0.0.1" if shared else f"127.0.{1 + number // 250}.{1 + number % 250}"}"
"""


async def report(counts: Sequence[int], *, shared: bool, scenario: str, as_json: bool) -> None:
    """Measure and print."""
    costs = []
    for count in counts:
        with TemporaryDirectory(prefix="sn-") as work:
            costs.append(await measure(count, Path(work), shared=shared, scenario=scenario))
    figures = ("arming_processor_s", "resident_mib", "processor_percent", "requests_a_second", "open_files")
    lines = {figure: fitted(costs, figure) for figure in figures}
    if as_json:
        document = {
            "costs": [asdict(cost) for cost in costs],
            "lines": {name: asdict(line) for name, line in lines.items()},
        }
        sys.stdout.write(json.dumps({**document, "machine": machine()}) + "\n")
        return
    sys.stdout.write(f"{machine()}\n\n")
    for cost in costs:
        sys.stdout.write("  ".join(f"{name} {value:g}" for name, value in asdict(cost).items()) + "\n")
    for name, line in lines.items():
        sys.stdout.write(f"{name}: {line.base:.4g} + {line.each:.4g} an account\n")


def main() -> int:
    """The command line; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", default=",".join(map(str, COUNTS)), help="how many, in turn (%(default)s)")
    parser.add_argument("--shared", action="store_true", help="one source address for all")
    parser.add_argument("--empty", action="store_true", help="accounts that hold nothing, and need fewer sockets")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    try:
        counts = [int(count) for count in options.accounts.split(",")]
        scenario = "empty" if options.empty else HELD
        asyncio.run(report(counts, shared=options.shared, scenario=scenario, as_json=options.json))
    except BenchError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
