"""Shows the locks to the outside: a file an account, the retained topic, whoever listens in this process.

A mirror says how long it may be believed; readers take a stale or missing one for locked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol
from uuid import UUID

import structlog

from node.domain.lock import AccountLock
from node.domain.result import Document
from node.engine.bus import Bus
from node.engine.departures import Departures
from node.engine.lock_ledger import LockLedger
from node.engine.outbox import encode
from node.engine.ports import MessageTransport
from node.errors import TransportRefused, TransportUnavailable

#: A third of the lease: two refreshes may fail before readers fall back to locked.
REFRESH_S: Final = 3.0
#: Between two tries of a publish that failed.
RETRY_S: Final = 0.5

log = structlog.get_logger(__name__)


class LockFiles(Protocol):
    """Where programs on this host read the lock."""

    def write(self, account_id: UUID, document: Document) -> None:
        """Replace the account's file atomically.

        Raises:
            OSError: it could not be written.
        """


class LockMirror:
    """Follows the ledger: files at once and in order, the topic once first orders are out and the broker takes it."""

    def __init__(
        self,
        ledger: LockLedger,
        files: LockFiles,
        bus: Bus,
        transport: MessageTransport | None,
        topic_of: Callable[[UUID], str],
        departures: Departures,
    ) -> None:
        self._departures = departures
        self._ledger = ledger
        self._files = files
        self._bus = bus
        self._transport = transport
        self._topic_of = topic_of
        self._dirty: set[UUID] = set()
        self._work = asyncio.Event()
        self._file_failed = False

    def changed(self, lock: AccountLock) -> None:
        """Show a new state of a lock: the file before this returns."""
        self.show(lock.account_id)

    def show(self, account_id: UUID) -> None:
        """Write the file, tell listeners, and have the topic refreshed."""
        document = self._ledger.document(account_id)
        try:
            self._files.write(account_id, document)
            self._file_failed = False
        except OSError as error:
            # Readers see the lease run out, and take that for locked.
            if not self._file_failed:
                log.error("lock_file_failed", account=str(account_id), error=str(error))  # noqa: TRY400
            self._file_failed = True
        self._bus.publish(account_id, document)
        self._dirty.add(account_id)
        self._work.set()

    def show_all(self) -> None:
        """Show every lock as it is now."""
        for lock in self._ledger.all():
            self.show(lock.account_id)

    async def refresh(self) -> None:
        """Renew the leases until cancelled."""
        while True:
            self.show_all()
            await asyncio.sleep(REFRESH_S)

    async def publish(self) -> None:
        """Keep the retained topics up to date until cancelled."""
        while True:
            await self._work.wait()
            self._work.clear()
            await self._departures.reads_out()  # the file is changed; the news of it must not hold orders up
            if self._transport is None:
                self._dirty.clear()
                continue
            try:
                while self._dirty:
                    account_id = next(iter(self._dirty))
                    payload = encode(self._ledger.document(account_id))
                    self._dirty.discard(account_id)
                    try:
                        await self._transport.publish(self._topic_of(account_id), payload, retain=True)
                    except TransportUnavailable:
                        self._dirty.add(account_id)
                        raise
                    except TransportRefused as error:
                        log.error("lock_topic_refused", account=str(account_id), error=str(error))  # noqa: TRY400
            except TransportUnavailable:
                await asyncio.sleep(RETRY_S)
                self._work.set()
