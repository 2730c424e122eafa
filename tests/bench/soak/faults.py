"""What goes wrong around a node in an hour, one after another, and the venue's books opened again in between."""

from __future__ import annotations

import asyncio
import random
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.bench.daemon import Daemon
from tests.bench.processes import BenchError
from tests.bench.venue import Venue
from tests.support.mosquitto import Mosquitto

#: How long a fault lasts, and how long there is none after it.
LASTS_S: Final = 8.0
QUIET_S: Final = 12.0
SLOW_MS: Final = 400.0
OVERLOADED: Final = (
    "hang", "lose_after_execution", "status_after_execution", "empty_200", "html_200", "truncated_body",
    {"refuse": {"reason": "overloaded"}}, {"delay_ms": 900}, {"partial_fill": "0.4"},
)  # fmt: skip


@dataclass(slots=True, kw_only=True)
class Faults:
    """Makes everybody around the node misbehave for a while, in turn."""

    daemon: Daemon
    venue: Venue
    broker: Mosquitto
    configuration: Path
    chance: random.Random
    done: Counter[str] = field(default_factory=Counter)

    def kinds(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """Each returns when it is over."""
        return {
            "slow venue": self._slow_venue,
            "misbehaving venue": self._misbehaving_venue,
            "torn streams": self._torn_streams,
            "engine re-opens": self._engine_reopens,
            "broker killed": self._broker_killed,
            "broker stopped": self._broker_stopped,
            "configuration read again": self._reload,
            "wrong configuration": self._wrong_configuration,
        }

    async def run(self) -> None:
        """One after another until cancelled."""
        while True:
            kinds = list(self.kinds().items())
            self.chance.shuffle(kinds)
            for name, fault in kinds:
                await self._heal()
                await asyncio.sleep(QUIET_S)
                await fault()
                self.done[name] += 1

    async def heal(self) -> None:
        """As if nothing had happened."""
        await self._heal()

    async def _heal(self) -> None:
        try:
            await self.venue.open_book()
        except BenchError:
            self.done["book not as opened"] += 1  # the node, or its engine, was quicker

    async def _slow_venue(self) -> None:
        await self.venue.delay(SLOW_MS)
        await asyncio.sleep(LASTS_S)

    async def _misbehaving_venue(self) -> None:
        wanted = self.chance.sample(OVERLOADED, 3)
        rules = [
            {"match": {"intent": ["place", "cancel", "positions", "orders"]}, "times": 4, "do": do} for do in wanted
        ]
        await self.venue.faults(rules=rules)
        await asyncio.sleep(LASTS_S)

    async def _torn_streams(self) -> None:
        await self.venue.faults(streams=[{"cut": True, "refused": True}])
        await asyncio.sleep(LASTS_S)
        await self.venue.faults(streams=[{"refused": False}])

    async def _engine_reopens(self) -> None:
        trap = {"symbol": "linear:ETH/USDT", "quantity": "0.1", "times": 3, "trigger": "after_flat", "delay_ms": 300}
        await self.venue.faults(engine_reopens=[trap])
        await asyncio.sleep(LASTS_S)

    async def _broker_killed(self) -> None:
        await asyncio.to_thread(self.broker.stop, signal.SIGKILL)
        await asyncio.sleep(1)
        await asyncio.to_thread(self.broker.start)

    async def _broker_stopped(self) -> None:
        await asyncio.to_thread(self.broker.stop)
        await asyncio.sleep(LASTS_S)
        await asyncio.to_thread(self.broker.start)

    async def _reload(self) -> None:
        self.daemon.process.send_signal(signal.SIGHUP)
        await asyncio.sleep(1)

    async def _wrong_configuration(self) -> None:
        as_it_was = self.configuration.read_text()
        self.configuration.write_text(as_it_was + "\n[nonsense]\n")
        self.daemon.process.send_signal(signal.SIGHUP)
        await asyncio.sleep(LASTS_S / 4)
        self.configuration.write_text(as_it_was)
        self.daemon.process.send_signal(signal.SIGHUP)
