"""Does what the daemon uses level off: ``python -m tests.bench.soak [--minutes N] [--json FILE]``; an hour by default.

The real daemon, mosquitto and the simulated exchange, each a process of its own; commands over the broker, the socket
and with a key, reads, streams that come and go, drills and junk, while the exchange is slow, misbehaves and tears its
streams, an engine re-opens, the broker is killed and stopped, and the configuration is read again. Every few seconds
memory, file descriptors, threads, asyncio tasks, and the sizes of the journal, its log of writes and its backups are
looked at. Exit status 1 if one of them does not level off, the journal is not sound afterwards, a command has not ended
once all was well again, or a close took far too long.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, closing
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import aiohttp

from node.observe.metric_list import PREFIX
from node.transport.issuer_key import IssuerKey
from tests.bench import daemon, venue
from tests.bench.configuration import ISSUER
from tests.bench.desk import desk
from tests.bench.figures import machine, percentile
from tests.bench.processes import BenchError, line_of, python, quiet, resident_bytes, until
from tests.bench.soak.faults import Faults
from tests.bench.soak.levels import Sample, levels, readable
from tests.bench.soak.traffic import Traffic
from tests.support.mosquitto import Mosquitto, free_port

MINUTES: Final = 60
SAMPLE_EVERY_S: Final = 5.0
ACCOUNTS: Final = 2
#: No close takes longer, whatever goes wrong meanwhile: a fault lasts seconds, and the longest that a close then waits
#: is the minute for which an exchange is left alone that has said that its own is nearly spent.
END_WITHIN_S: Final = 90.0
_GAUGE: Final = f"{PREFIX}_asyncio_tasks "


def sections(http_port: int) -> str:
    """What the benchmarks' configuration lacks."""
    return f"""
[http]
listen = "127.0.0.1:{http_port}"

[backup]
every_s = 60
keep = 5

[retention]
keep_days = 30
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Everything that runs."""

    daemon: daemon.Daemon
    traffic: Traffic
    faults: Faults
    work: Path
    metrics: str
    http: aiohttp.ClientSession

    async def sample(self, at_s: float) -> Sample:
        """Look at the daemon.

        Raises:
            BenchError: it is gone.
        """
        process = self.daemon.process
        if process.returncode is not None:
            raise BenchError(f"the daemon ended: {self.daemon.log.read_text()[-2000:]}")
        proc, state = Path(f"/proc/{process.pid}"), self.work / "state"
        async with self.http.get(self.metrics) as answer:
            lines = (await answer.text()).splitlines()
        return Sample(
            at_s=round(at_s, 1),
            resident_bytes=resident_bytes(process),
            files=len(list((proc / "fd").iterdir())),
            threads=len(list((proc / "task").iterdir())),
            tasks=next(float(line.removeprefix(_GAUGE)) for line in lines if line.startswith(_GAUGE)),
            wal_bytes=_size(state / "journal.sqlite3-wal"),
            journal_bytes=_size(state / "journal.sqlite3"),
            backups=len(list((state / "backups").glob("*"))),
        )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


@asynccontextmanager
async def site(work: Path, seed: int) -> AsyncIterator[Site]:
    """Start everything, until the context ends."""
    async with AsyncExitStack() as stack:
        (work / "broker").mkdir()
        broker = Mosquitto(work / "broker")
        broker.start()
        stack.callback(broker.stop)
        key, port = IssuerKey.generate(ISSUER), free_port()
        exchange = await stack.enter_async_context(venue.simulator(work, accounts=ACCOUNTS))
        await exchange.open_book()
        node = await stack.enter_async_context(
            daemon.running(
                work,
                exchange,
                key,
                broker.port,
                accounts=range(ACCOUNTS),
                own_addresses=True,
                program="tests.bench.soak.hurried",
                sections=sections(port),
            )
        )
        sender = await stack.enter_async_context(desk(broker.port, key))
        connector = aiohttp.UnixConnector(path=str(node.runtime / "operator.sock"))
        socket = await stack.enter_async_context(aiohttp.ClientSession("http://operator", connector=connector))
        http = await stack.enter_async_context(aiohttp.ClientSession(f"http://127.0.0.1:{port}"))
        plain = await stack.enter_async_context(aiohttp.ClientSession())
        await node.until_warm(exchange)
        async with socket.post("/api/v1/b2b/keys", json={"owner": "acme"}) as answer:
            answer.raise_for_status()
            api_key = (await answer.json())["api_key"]
        configuration = work / "node.toml"
        listener = re.search(r'^\[metrics\]\nlisten = "([^"]+)"', configuration.read_text(), re.MULTILINE)
        assert listener is not None
        chance = random.Random(seed)  # noqa: S311  (no secret)
        yield Site(
            daemon=node,
            traffic=Traffic(desk=sender, socket=socket, http=http, key=api_key, port=port, chance=chance),
            faults=Faults(
                daemon=node,
                venue=exchange,
                broker=broker,
                configuration=configuration,
                chance=random.Random(seed + 1),  # noqa: S311
            ),
            work=work,
            metrics=f"http://{listener[1]}/metrics",
            http=plain,
        )


async def soak(minutes: float, seed: int, work: Path, say: Callable[[Sample], object]) -> dict[str, Any]:
    """Run it with everything that is written under *work*; what was seen.

    Raises:
        BenchError: something did not come up, or the daemon ended.
    """
    async with site(work, seed) as place:
        samples = await _busy(place, minutes * 60, say)
        await place.faults.heal()
        await until(lambda: _nothing_live(place), "nothing is live any more", place.daemon.log, within_s=END_WITHIN_S)
    faults, closes = await _sound(work), await asyncio.to_thread(_closes_s, work / "state" / "journal.sqlite3")
    faults += [f"a close took {each:.0f} s" for each in closes if each > END_WITHIN_S]
    log = Counter(_event(line) for line in (work / "daemon.log").read_text().splitlines())
    return {
        "samples": [asdict(each) for each in samples],
        "done": dict(place.traffic.done),
        "troubles": dict(place.traffic.troubles),
        "faults": dict(place.faults.done),
        "closes": {"n": len(closes), "p50_s": percentile(closes, 0.5), "longest_s": max(closes)} if closes else {},
        "unsound": faults,
        "log": {name: log[name] for name in sorted(log)},
    }


async def _busy(place: Site, seconds: float, say: Callable[[Sample], object]) -> list[Sample]:
    """Traffic and faults for so long, and a sample every few seconds."""
    began, samples = time.monotonic(), []
    tasks = [
        asyncio.create_task(place.traffic.again_and_again(name, part), name=name)
        for name, part in place.traffic.parts().items()
    ]
    tasks.append(asyncio.create_task(place.faults.run(), name="faults"))
    try:
        while (at_s := time.monotonic() - began) < seconds:
            samples.append(await place.sample(at_s))
            for task in tasks:
                if task.done():
                    task.result()
            if len(samples) % 12 == 0:
                say(samples[-1])
            await asyncio.sleep(SAMPLE_EVERY_S)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return samples


async def _nothing_live(place: Site) -> bool:
    status = await place.daemon.status()
    return status is not None and status["ready"] and not any(each["live_commands"] for each in status["accounts"])


async def _sound(work: Path) -> list[str]:
    """What is wrong with the journal, and with the newest backup, now that the daemon has ended."""
    newest = max((work / "state" / "backups").glob("*.sqlite3"))
    faults = []
    for file in (work / "state" / "journal.sqlite3", newest):
        log = work / "verify.log"
        arguments = ("-m", "node", "journal", "verify", str(file), "--config", str(work / "node.toml"), "--json")
        async with python(*arguments, log=log) as process:
            said = await line_of(process, log)
            if await process.wait():
                faults.append(f"{file.name}: {said.decode().strip()}")
    unfinished = await asyncio.to_thread(_unfinished, work / "state" / "journal.sqlite3")
    return faults + [f"{unfinished} commands have not ended"] * (unfinished > 0)


def _unfinished(journal: Path) -> int:
    with closing(sqlite3.connect(journal)) as connection:
        return int(connection.execute("SELECT count(*) FROM command WHERE ended_at IS NULL").fetchone()[0])


def _closes_s(journal: Path) -> list[float]:
    """How long each took that has ended, of those that are not forgotten yet; in seconds."""
    asked = """
        SELECT round((julianday(ended_at) - julianday(received_at)) * 86400, 3) FROM command
         WHERE action IN ('CLOSE_ALL', 'FLATTEN') AND state = 'done' AND NOT json_extract(params, '$.dry_run')
    """
    with closing(sqlite3.connect(journal)) as connection:
        return [float(took_s) for (took_s,) in connection.execute(asked)]


def _event(line: str) -> str:
    """Of a line of the daemon's log: level and event."""
    try:
        entry = json.loads(line)
        return f"{entry['level']}: {entry['event']}"
    except (ValueError, KeyError, TypeError):
        return "not JSON"


def _progress(sample: Sample) -> None:
    print(sample, file=sys.stderr, flush=True)


def main() -> int:
    """Soak and print; exit status 1 if something does not level off, or is not sound."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.soak", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--minutes", type=float, default=MINUTES, metavar="N", help="%(default)s by default")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn by lot")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample there ")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="make it, and leave logs and files there")
    options = parser.parse_args()
    quiet()
    facts = machine()
    try:
        with ExitStack() as stack:
            work = options.keep or Path(stack.enter_context(TemporaryDirectory(prefix="bench-soak-")))
            work.mkdir(exist_ok=True)
            seen = asyncio.run(soak(options.minutes, options.seed, work.absolute(), _progress))
        found = levels([Sample(**each) for each in seen["samples"]])
    except (BenchError, ValueError) as error:
        sys.stderr.write(f"soak: {error}\n")
        return 1
    report = {
        "schema": "sovereign-node/bench/soak/1",
        "machine": facts,
        "minutes": options.minutes,
        "figures": [each.document() for each in found],
        **seen,
    }
    well = all(each.level for each in found) and not seen["unsound"]
    told = [readable(found), ""]
    told += [f"{name}: {json.dumps(seen[name])}" for name in ("done", "troubles", "faults", "closes", "unsound")]
    told.append("everything levels off, and the journal is sound" if well else "NOT WELL")
    sys.stdout.write("\n".join([*told, ""]))
    if options.json is not None:
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
