"""Commands, admissions and events for tests of the journal, and a watch on its health."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from node.domain.command import ALL_ACCOUNTS, Action, Command, CommandState, Door, content_digest
from node.domain.latency import Stopwatch
from node.domain.lock import AccountLock
from node.domain.result import Document, result_document
from node.engine.ports import Admission, Event, LockChange, Rejection
from tests.support.waiting import PATIENCE_S

NODE_ID = "node-1"
ISSUED_AT = datetime(2026, 11, 20, 10, 0, 0, 123456, tzinfo=UTC)


class SteadyClock:
    """Time that moves by one millisecond at each look, so that nothing happens twice at one instant."""

    def __init__(self) -> None:
        self._ticks = 0

    def now(self) -> datetime:
        """A millisecond later than the last time."""
        self._ticks += 1
        return ISSUED_AT + timedelta(milliseconds=self._ticks)

    def monotonic_ns(self) -> int:
        """The machine's own."""
        return time.monotonic_ns()

    def boottime_ns(self) -> int:
        """The machine's own."""
        return time.monotonic_ns()


class HealthLog:
    """Remembers what the journal said about its health, and waits for it."""

    def __init__(self) -> None:
        self.changes: list[bool] = []
        self._recovered = asyncio.Event()

    def __call__(self, healthy: bool) -> None:
        """Take note: the journal's ``on_health``."""
        self.changes.append(healthy)
        if healthy:
            self._recovered.set()
        else:
            self._recovered.clear()

    async def recovered(self) -> None:
        """Return once the journal is healthy."""
        async with asyncio.timeout(PATIENCE_S):
            await self._recovered.wait()


def make_command(account_id: UUID | None, action: Action = Action.CLOSE_ALL, **changes: Any) -> Command:
    """A command of issuer "desk"; its digest follows from what it means unless it is given."""
    meaning = {key: changes[key] for key in ("symbols", "latch", "dry_run", "reason", "epoch") if key in changes}
    account = ALL_ACCOUNTS if account_id is None else str(account_id)
    fields: dict[str, Any] = {
        "command_id": uuid4(),
        "account_id": account_id,
        "action": action,
        "issuer": "desk",
        "door": Door.MQTT,
        "issued_at": ISSUED_AT,
        "received_at": ISSUED_AT + timedelta(milliseconds=1),
        "content_digest": content_digest(action=action.value, account=account, **meaning),
        "envelope": b"signed bytes",
    }
    return Command(**{**fields, **changes})


def admission(*commands: Command, latch: bool = True, reject: Rejection | None = None) -> Admission:
    """What the inbox hands over for them."""
    accounts = [command.account_id for command in commands if command.account_id is not None]
    return Admission(
        commands=commands,
        latch_by_default=dict.fromkeys(accounts, latch),
        stopwatch=Stopwatch(received_ns=time.monotonic_ns()),
        reject=reject,
    )


def for_many(parent: Command, accounts: list[UUID], *, latch: bool = True) -> Admission:
    """A ``*`` command with its children."""
    return admission(parent, *(parent.child(account_id) for account_id in accounts), latch=latch)


def reached(
    command: Command,
    state: CommandState,
    *,
    release: bool = False,
    keep_locked: bool = False,
    document: Callable[[AccountLock | None], Document] | None = None,
) -> Event:
    """The event of a command reaching a state, with the release of its hold if asked for."""

    def built(lock: AccountLock | None) -> Document:
        return result_document(command, state, node_id=NODE_ID, at=ISSUED_AT, latency_ms={"total": 1.0}, lock=lock)

    change = None
    if release and command.account_id is not None:
        change = LockChange(account_id=command.account_id, release=command.command_id, keep_locked=keep_locked)
    return Event(command=command, state=state, document=document or built, lock_change=change)
