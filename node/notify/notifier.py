"""Keeps what is to be told, and posts it, one after the other, in a task that nothing waits for."""

from __future__ import annotations

import asyncio
import json
import random
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol
from uuid import UUID, uuid4

import structlog

from node.clock import Clock
from node.domain.command import Command, CommandState
from node.domain.lock import AccountLock
from node.domain.result import Document
from node.notify.notification import Notification, of_broker, of_ending, of_lock
from node.notify.webhook import Answer
from node.settings_notify import Happening

#: What waits at most; then the oldest is given up, but for the one under way.
QUEUE_MAX: Final = 256
#: An older notification helps nobody.
GIVE_UP_AFTER_S: Final = 900.0
AGAIN_MIN_S: Final = 1.0
AGAIN_MAX_S: Final = 60.0
BROKER_LOOK_EVERY_S: Final = 1.0

DELIVERED: Final = "delivered"
DROPPED: Final = "dropped"

log = structlog.get_logger(__name__)


class Poster(Protocol):
    """Where notifications go."""

    async def post(self, body: bytes, notification_id: str) -> tuple[Answer, str]:
        """Try once; never raises for what the other side does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Teller:
    """Who tells, and of what."""

    tenant: str
    node_id: str
    #: Configured names by account.
    names: Mapping[UUID, str]
    happenings: frozenset[Happening]
    #: Removes what must not leave the machine.
    scrub: Callable[[str], str]
    #: Kind and what became of it. Neither blocks nor raises.
    on_outcome: Callable[[str, str], None] = lambda _kind, _outcome: None
    on_depth: Callable[[int], None] = lambda _depth: None


@dataclass(slots=True)
class _Waiting:
    notification: Notification
    since_ns: int
    attempts: int = field(default=0)


class Notifier:
    """Everything but ``run`` and ``watch_broker`` is synchronous, takes microseconds and never raises."""

    def __init__(self, poster: Poster, teller: Teller, clock: Clock) -> None:
        self._poster = poster
        self._teller = teller
        self._clock = clock
        self._queue: deque[_Waiting] = deque()
        self._work = asyncio.Event()
        self._locked: set[UUID] = set()
        #: Live commands of which it was told that they have missed their deadline.
        self._late: set[UUID] = set()

    def begin(self, locks: list[AccountLock]) -> None:
        """Take the locks that are in force at the start for known."""
        self._locked = {lock.account_id for lock in locks if lock.locked}

    def lock_changed(self, lock: AccountLock) -> None:
        """A lock has changed: worth telling if the account was free until now."""
        was_locked = lock.account_id in self._locked
        if not lock.locked:
            self._locked.discard(lock.account_id)
            return
        self._locked.add(lock.account_id)
        if not was_locked:
            self._tell(lambda name: of_lock(lock, name, notification_id=uuid4(), at=self._clock.now()), lock.account_id)

    def command_event(self, command: Command, document: Document) -> None:
        """A command has a new state."""
        if document["state"] == CommandState.INCOMPLETE.value:
            if command.command_id in self._late:
                return  # it says so again and again
            self._late.add(command.command_id)
        elif CommandState(document["state"]).ended:
            self._late.discard(command.command_id)
        self._tell(
            lambda name: of_ending(command, document, name, notification_id=uuid4(), at=self._clock.now()),
            command.account_id,
        )

    def _tell(self, made: Callable[[str], Notification | None], account_id: UUID | None) -> None:
        try:
            name = "*" if account_id is None else self._teller.names.get(account_id, str(account_id))
            notification = made(name)
        except Exception:
            # The supervisor: whoever calls is busy with the command itself.
            log.exception("notification_not_made")
            return
        if notification is not None and notification.happening in self._teller.happenings:
            self._put(notification)

    def _put(self, notification: Notification) -> None:
        self._queue.append(_Waiting(notification, self._clock.monotonic_ns()))
        if len(self._queue) > QUEUE_MAX:
            oldest = self._queue[1]
            del self._queue[1]
            self._drop(oldest, "too many wait")
        self._teller.on_depth(len(self._queue))
        self._work.set()

    async def watch_broker(self, connected: Callable[[], bool], lost_after_s: float) -> None:
        """Tell of a broker that stays away, once until it is back; until cancelled."""
        since_ns, told = self._clock.monotonic_ns(), False
        while True:
            now_ns = self._clock.monotonic_ns()
            if connected():
                since_ns, told = now_ns, False
            away_s = (now_ns - since_ns) / 1e9
            if away_s >= lost_after_s and not told:
                told = True
                self._tell(lambda _: of_broker(away_s, notification_id=uuid4(), at=self._clock.now()), None)  # noqa: B023
            await asyncio.sleep(min(BROKER_LOOK_EVERY_S, lost_after_s / 4))

    async def run(self) -> None:
        """Post what waits, until cancelled."""
        while True:
            await self._work.wait()
            self._work.clear()
            while self._queue:
                try:
                    wait_s = await self._attempt(self._queue[0])
                except Exception:
                    # The supervisor: a fault of ours must not silence all that follow.
                    log.exception("notification_crashed")
                    self._leave()
                    continue
                await asyncio.sleep(wait_s)

    async def _attempt(self, waiting: _Waiting) -> float:
        """Try once with the oldest; how long to wait before the next attempt at anything."""
        notification = waiting.notification
        document = notification.document(tenant=self._teller.tenant, node_id=self._teller.node_id)
        body = json.dumps(_scrubbed(document, self._teller.scrub), separators=(",", ":")).encode()
        waiting.attempts += 1
        answer, said = await self._poster.post(body, str(notification.notification_id))
        if answer is Answer.TAKEN:
            self._leave()
            self._teller.on_outcome(notification.happening.value, DELIVERED)
            log.info("notification_delivered", event_kind=notification.happening.value, attempts=waiting.attempts)
            return 0.0
        age_s = (self._clock.monotonic_ns() - waiting.since_ns) / 1e9
        if answer is Answer.REFUSED or age_s >= GIVE_UP_AFTER_S:
            self._leave()
            self._drop(waiting, said)
            return 0.0
        log.warning("notification_failed", event_kind=notification.happening.value, answer=said)
        again_s = min(AGAIN_MIN_S * (1 << min(waiting.attempts - 1, 10)), AGAIN_MAX_S)
        return again_s * random.uniform(0.8, 1.2)  # noqa: S311 - spreads attempts, guards nothing

    def _leave(self) -> None:
        self._queue.popleft()
        self._teller.on_depth(len(self._queue))

    def _drop(self, waiting: _Waiting, why: str) -> None:
        kind = waiting.notification.happening.value
        self._teller.on_outcome(kind, DROPPED)
        log.error("notification_dropped", event_kind=kind, reason=why, attempts=waiting.attempts)


def _scrubbed(value: object, scrub: Callable[[str], str]) -> object:
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, Mapping):
        return {name: _scrubbed(inner, scrub) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_scrubbed(inner, scrub) for inner in value]
    return value
