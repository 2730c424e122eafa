"""A request on its way through the inbox, and what is told of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from node.clock import Clock
from node.domain.command import Command, CommandState, RejectCode, Request
from node.domain.latency import Stopwatch
from node.domain.lock import AccountLock
from node.domain.result import Document, ErrorReport, Findings, Verdict, result_document
from node.engine.interim import Acknowledge
from node.engine.ports import Event, LockChange, Rejection, Submission


def undone(command: Command, *, node_id: str, clock: Clock) -> Event:
    """The ending of an UNLOCK that is stored, and that nobody was told of as done: the latch is set again."""
    assert command.account_id is not None  # noqa: S101  (an UNLOCK names one account)
    now = clock.now()
    message = "the record of this UNLOCK was interrupted: the account is locked again"
    age_ms = (now - command.received_at).total_seconds() * 1e3

    def document(lock: AccountLock | None) -> Document:
        return result_document(
            command,
            CommandState.FAILED,
            node_id=node_id,
            at=now,
            latency_ms={"total": max(age_ms, 0.0)},
            lock=lock,
            findings=Findings(verdict=Verdict.UNKNOWN),
            errors=(ErrorReport(code="INTERRUPTED", message=message),),
        )

    change = LockChange(account_id=command.account_id, relatch=message)
    return Event(command=command, state=CommandState.FAILED, document=document, lock_change=change)


@dataclass(slots=True, kw_only=True)
class Incoming:
    """One request on its way through the inbox."""

    request: Request
    stopwatch: Stopwatch
    reject: Rejection | None = None
    #: The door refused this copy; the command's id stays free.
    only_this_copy: bool = False
    acknowledge: Acknowledge | None = None
    answer: asyncio.Future[Submission] | None = None
    commands: tuple[Command, ...] = ()


@dataclass(frozen=True, slots=True)
class Pulse:
    """Goes the way of a command as far as the inbox, and shows that it is open."""

    reached: asyncio.Future[None]


@dataclass(slots=True, kw_only=True)
class InboxObserver:
    """What the metrics want to know. Callables that neither block nor raise."""

    accepted: Callable[[Command], None] = lambda _command: None
    rejected: Callable[[RejectCode], None] = lambda _code: None
    duplicate: Callable[[], None] = lambda: None
