"""A process that journals without end and says what was acknowledged, so that a test can kill it.

Usage: ``journal_child.py JOURNAL_FILE SEED``. Prints one JSON object a line: ``intent`` before a call, ``ack`` after
it; ``unavailable`` and ``healthy`` where the disk failed.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog

from node.clock import SystemClock
from node.domain.command import Action, Command, CommandState
from node.engine.ports import Admission, Admitted
from node.errors import JournalUnavailable
from node.journal.store import SqliteJournal
from tests.support.journal import NODE_ID, HealthLog, admission, for_many, make_command, reached

ACCOUNTS = [UUID(int=number) for number in (1, 2, 3)]


def say(**line: Any) -> None:
    """One line, handed to the kernel before anything else happens."""
    os.write(1, (json.dumps(line) + "\n").encode())


class Traffic:
    """Admissions, endings and confirmations in a random but repeatable mixture."""

    def __init__(self, journal: SqliteJournal, health: HealthLog, seed: int) -> None:
        self._journal = journal
        self._health = health
        self._random = random.Random(seed)  # noqa: S311 - repeatable, not secret
        self._live: list[Command] = []

    async def resume(self) -> None:
        """Take over what the last process left."""
        stored = await self._journal.unfinished()
        self._live = [one.command for one in stored]
        say(resumed=[str(command.command_id) for command in self._live])

    async def step(self) -> None:
        """One call of a kind."""
        try:
            await self._random.choice([self._admit, self._admit, self._record, self._publish])()
        except JournalUnavailable:
            say(unavailable=True)
            await self._health.recovered()
            await self.resume()
            say(healthy=True)

    async def _admit(self) -> None:
        admissions = [await self._admission() for _ in range(self._random.randint(1, 3))]
        ids = [[str(command.command_id) for command in one.commands] for one in admissions]
        say(intent="admit", ids=ids)
        outcomes = await self._journal.admit(admissions)
        admitted = [one for one in outcomes if isinstance(one, Admitted)]
        self._live += [command for one in admitted for command in one.commands]
        documents = [document for one in admitted for document in one.documents]
        say(ack="admit", events=[[one["command_id"], one["seq"]] for one in documents])

    async def _admission(self) -> Admission:
        account_id, latch = self._random.choice(ACCOUNTS), self._random.random() < 0.5
        match self._random.randint(0, 3):
            case 0:
                return for_many(make_command(None), ACCOUNTS, latch=latch)
            case 1:
                lock = (await self._journal.locks()).get(account_id)
                return admission(make_command(account_id, Action.UNLOCK, epoch=lock.epoch if lock else 0))
            case 2:
                return admission(make_command(account_id, Action.LOCK))
            case _:
                return admission(make_command(account_id), latch=latch)

    async def _record(self) -> None:
        count = min(len(self._live), self._random.randint(1, 4))
        ending, self._live = self._live[:count], self._live[count:]
        say(intent="record", ids=[[str(command.command_id)] for command in ending])
        keep_locked = self._random.random() < 0.3
        documents = await self._journal.record(
            [reached(command, CommandState.DONE, release=True, keep_locked=keep_locked) for command in ending]
        )
        say(ack="record", events=[[one["command_id"], one["seq"]] for one in documents])

    async def _publish(self) -> None:
        seqs = [message.seq for message in await self._journal.pending(5)]
        say(intent="published", seqs=seqs)
        await self._journal.published(seqs)
        say(ack="published", seqs=seqs)


async def main(path: Path, seed: int) -> None:
    """Until killed, or until nobody listens."""
    health = HealthLog()
    journal = SqliteJournal(path, node_id=NODE_ID, clock=SystemClock(), on_health=health, reopen_after_s=(0.01,))
    async with journal:
        traffic = Traffic(journal, health, seed)
        await traffic.resume()
        while True:
            await traffic.step()


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
