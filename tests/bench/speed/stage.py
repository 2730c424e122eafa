"""What the rows share: a broker, a relay in front of it, a sender, a place for files, and how often things are done."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from node.transport.issuer_key import IssuerKey
from tests.bench import configuration
from tests.bench.desk import Desk, desk
from tests.bench.relay import Relay, relay
from tests.support.mosquitto import Mosquitto


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A place to measure in."""

    work: Path
    broker: Mosquitto
    between: Relay
    key: IssuerKey
    desk: Desk
    #: Interleaved runs of what takes seconds; of what takes milliseconds, ten times as many.
    runs: int
    quick: bool
    large: bool

    def say(self, text: str) -> None:
        """Progress, for people."""
        print(text, file=sys.stderr, flush=True)


@asynccontextmanager
async def stage(*, runs: int, quick: bool, large: bool) -> AsyncIterator[Stage]:
    """Set it up, until the context ends."""
    async with AsyncExitStack() as stack:
        work = Path(stack.enter_context(TemporaryDirectory(prefix="bench-speed-")))
        (work / "broker").mkdir()
        broker = Mosquitto(work / "broker", nodes=configuration.NODES)
        broker.start()
        stack.callback(broker.stop)
        key = IssuerKey.generate(configuration.ISSUER)
        between = await stack.enter_async_context(relay(broker.port))
        sender = await stack.enter_async_context(desk(broker.port, key))
        yield Stage(
            work=work, broker=broker, between=between, key=key, desk=sender, runs=runs, quick=quick, large=large
        )
