"""A process that has imported the whole node, and makes a daemon of itself as often as it is told.

``python -m tests.support.crashing.zygote CA_FILE``: a line of JSON in (``config``, ``log``, ``point``, ``at``), two
lines out: the child's process id, and, when it has ended, its wait status with the point at which it died, if any.
Importing takes a second of processor time, a fork a few milliseconds. It has no thread, no loop and no socket; what a
child is made of is what ``sovereign-node run`` is made of.
"""

from __future__ import annotations

import gc
import json
import os
import ssl
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any, Final

LATE_ARRIVAL_NS: Final = 300_000_000


def _import_all() -> None:
    import asyncio.sslproto
    import encodings.idna

    import ccxt.pro.binance
    import pydantic.v1.dataclasses
    import uvicorn.lifespan.off
    import uvicorn.loops.asyncio
    import uvicorn.protocols.http.h11_impl

    import node.app
    import node.cli
    import node.venues.ccxt_venue
    from tests.support.crashing import points

    del asyncio, encodings, ccxt, pydantic, uvicorn, node, points


def _warm() -> None:
    """What is slower the first time (compiled expressions, models, caches) is done once, for nothing."""
    from types import SimpleNamespace

    import ccxt.async_support

    from node.api.app import create_app
    from node.transport.envelope import rehearse

    rehearse("warm")
    ccxt.async_support.binance({})
    nobody: Any = SimpleNamespace()
    create_app(nobody, operator=True, keyring=nobody, liveness=list)


def _share_trust(ca_file: Path) -> None:
    """The authorities of this machine are the same in every life; reading them takes 30 ms each time."""
    from node.venues import pool

    read, known = pool.trust, {}

    def trust(ca_file: Path | None) -> ssl.SSLContext:
        if ca_file not in known:
            known[ca_file] = read(ca_file)
        return known[ca_file]

    trust(ca_file)
    vars(pool)["trust"] = trust


def _live(life: dict[str, Any], witness: int) -> int:
    from node.cli import _run
    from node.commands.output import Output
    from node.engine import spot_worker
    from tests.support.crashing.points import Points

    # How long an order of an earlier process may still arrive: on loopback it is in the kernel's hands or never was.
    vars(spot_worker)["LATE_ARRIVAL_NS"] = LATE_ARRIVAL_NS
    log = os.open(life["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(os.path.dirname(life["config"]))  # noqa: PTH120 - a path of this machine
    Points(life.get("point"), int(life.get("at", 1)), witness).install()
    return _run(Namespace(config=Path(life["config"])), Output(as_json=False))


def serve() -> None:
    """Until the input ends."""
    _import_all()
    _warm()
    _share_trust(Path(sys.argv[1]))
    gc.collect()
    gc.freeze()
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            status = 70
            try:
                status = _live(json.loads(line), writing)
            finally:
                sys.stderr.flush()
                os._exit(status)
        os.close(writing)
        print(json.dumps({"pid": pid}), flush=True)
        _, status, usage = os.wait4(pid, 0)
        with os.fdopen(reading) as said:
            died_at = said.read().strip()
        code = os.waitstatus_to_exitcode(status)
        cpu_s = round(usage.ru_utime + usage.ru_stime, 4)
        print(json.dumps({"status": code, "died_at": died_at or None, "cpu_s": cpu_s}), flush=True)


if __name__ == "__main__":
    serve()
