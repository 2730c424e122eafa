"""The signs of life, put together: what the watchdog and ``/livez`` go by, and the line that tells how we are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

import structlog

from node.domain.account_state import AccountState
from node.engine.actor import AccountActor
from node.engine.desk import account_state
from node.engine.inbox import Inbox
from node.engine.lock_ledger import LockLedger
from node.errors import JournalUnavailable
from node.observe.health import Health, LoopMonitor
from node.observe.watchdog import Heartbeat, ServiceManager, Watchdog

INBOX_PULSE_EVERY_S: Final = 1.0
JOURNAL_PROBE_EVERY_S: Final = 2.0
#: A journal that answers later has not answered.
JOURNAL_ANSWER_WITHIN_S: Final = 5.0
#: Older than this, a heartbeat is missed.
AGE_MAX_S: Final = 10.0
#: Names in the status line, of accounts in trouble.
_NAMED_MAX: Final = 5

log = structlog.get_logger(__name__)


class ProbedJournal(Protocol):
    """A journal, as far as its life is in question."""

    @property
    def silent_s(self) -> float:
        """How long the disk has owed its oldest answer."""

    async def probe(self) -> None:
        """One durable write.

        Raises:
            JournalUnavailable: refused, or not in time.
        """


class Vitals:
    """Two heartbeats, the event loop's monitor, and the watchdog that is fed while all of them beat."""

    def __init__(
        self,
        manager: ServiceManager,
        *,
        inbox: Inbox,
        journal: ProbedJournal,
        actors: Sequence[AccountActor],
        loop_monitor: LoopMonitor,
        status: Callable[[], str],
        begun_without: Callable[[], bool] = lambda: False,
    ) -> None:
        """*begun_without*: whether the node was started, and still is, without the journal."""
        self._begun_without = begun_without
        self._inbox, self._journal, self._actors = inbox, journal, actors
        self.dispatcher: Final = Heartbeat(self._pulse, every_s=INBOX_PULSE_EVERY_S, age_max_s=AGE_MAX_S)
        self.probe: Final = Heartbeat(self._probe, every_s=JOURNAL_PROBE_EVERY_S, age_max_s=AGE_MAX_S)
        pings = {"loop": loop_monitor.ping, "dispatcher": self.dispatcher.ping, "journal": self._journal_ping}
        self.watchdog: Final = Watchdog(manager, pings, status=status)

    async def _pulse(self) -> bool:
        await self._inbox.pulse()
        return True

    async def _probe(self) -> bool:
        """Learn of a full disk or a lost file before a command does; and keep the log of writes short."""
        try:
            await self._journal.probe()
        except JournalUnavailable as error:
            log.warning("journal_probe_failed", error=str(error))
            # A disk that refuses has answered: the journal reopens itself, and a new process would know less.
            return self._journal.silent_s < JOURNAL_ANSWER_WITHIN_S
        return True

    def _journal_ping(self) -> str | None:
        """A disk that hangs is a reason, but not against work that only this process knows of, nor where a new process
        has met it already.
        """
        if self._begun_without():
            return None
        at_work = self._inbox.owes_journal or any(actor.live for actor in self._actors)
        return None if at_work else self.probe.ping()


def status_line(health: Health, actors: Sequence[AccountActor], ledger: LockLedger, pending: Sequence[str] = ()) -> str:
    """Readiness, accounts by state, and the names of those that a person should look at: for ``systemctl status``."""
    readiness = health.readiness()
    names: dict[AccountState, list[str]] = {state: [] for state in AccountState}
    for actor in actors:
        locked = ledger.get(actor.context.terms.account_id).locked
        state = account_state(actor, locked=locked)
        # A lock is no comfort on an account that cannot be read, but it is there.
        hidden = " and locked" if locked and state is AccountState.DEGRADED else ""
        names[state].append(f"{actor.context.terms.name}{hidden}")
    parts = [
        f"{len(names[AccountState.ARMED])} armed",
        _counted("locked", names[AccountState.LOCKED]),
        _counted("degraded", names[AccountState.DEGRADED]),
    ]
    if live := sum(len(actor.live) for actor in actors):
        parts.append(f"{live} live command{'s' if live > 1 else ''}")
    if pending:
        parts.append(f"{len(pending)} settings wait for a restart")
    told = "ready" if readiness.ready else f"NOT READY ({'; '.join(readiness.reasons)})"
    return f"{told}: {', '.join(parts)}"


def _counted(what: str, names: Sequence[str]) -> str:
    more = ", ..." if len(names) > _NAMED_MAX else ""
    return f"{len(names)} {what}" + (f" ({', '.join(names[:_NAMED_MAX])}{more})" if names else "")
