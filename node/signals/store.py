"""Keys and alerts in a SQLite file of their own."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from base64 import b32encode
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import aiosqlite

from node.journal.database import Database
from node.journal.migrations import packaged_migrations
from node.signals.alert import Message
from node.signals.keys import WebhookKey

#: For so long a repetition is answered as the first was.
REMEMBERED_S: Final = 300.0
#: Tells our orders from the node's own; the alphabet and the length are those that every venue takes.
CLIENT_ORDER_ID_PREFIX: Final = "w"
_ID_DIGITS: Final = 17


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An alert that is on disk, and whose order has not left."""

    id: str
    client_order_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """The same alert has been here before."""

    id: str
    client_order_id: str
    #: What was answered; None: nobody knows what became of it.
    status: int | None
    answer: dict[str, Any] | None
    fields: dict[str, Any]

    @property
    def unknown(self) -> bool:
        """Whether its order may have been placed."""
        return self.answer is None


class SignalStore:
    """Durable as the node's journal is: every method that writes is one transaction.

    Raises:
        JournalUnavailable: from every method, when the disk will not; it reopens by itself in the background.
    """

    def __init__(
        self,
        path: Path,
        *,
        on_health: Callable[[bool], None] = lambda _healthy: None,
        commit_seconds: Callable[[float], None] = lambda _seconds: None,
    ) -> None:
        self.database = Database(
            path,
            migrations=packaged_migrations("node.signals"),
            load=_nothing,
            on_health=on_health,
            commit_seconds=commit_seconds,
        )

    async def __aenter__(self) -> Self:
        await self.database.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.database.close()

    @property
    def healthy(self) -> bool:
        """Whether the last write succeeded and no reopening is under way."""
        return self.database.healthy

    # Alerts

    async def recover(self) -> int:
        """After a crash: what had not left is forgotten, what may have left is unknown for good. How many those are."""

        def work(writer: sqlite3.Connection) -> int:
            writer.execute("UPDATE alert SET state = 'abandoned' WHERE state = 'received'")
            return writer.execute("UPDATE alert SET state = 'unknown' WHERE state = 'leaving'").rowcount

        return await self.database.transact("signals-recover", work)

    async def receive(self, alert_id: str, key: WebhookKey, message: Message, *, at: datetime) -> Entry | Earlier:
        """Put an alert on disk; or what is there of it already."""
        now_s, same = at.timestamp(), message.deduplication_id

        def work(writer: sqlite3.Connection) -> Entry | Earlier:
            earlier = _earlier(writer, key.owner, message, now_s)
            if earlier is not None:
                return earlier
            client_order_id = _client_order_id(writer, key.owner, same, alert_id)
            writer.execute(
                "INSERT INTO alert"
                " (id, owner, key, deduplication_id, digest, fields, client_order_id, received_at, state)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'received')",
                (
                    *(alert_id, key.owner, key.id, same, message.digest, json.dumps(message.fields, default=str)),
                    *(client_order_id, now_s),
                ),
            )
            return Entry(id=alert_id, client_order_id=client_order_id)

        return await self.database.transact("signals-receive", work)

    async def leaving(self, entry: Entry, *, epoch: int | None) -> None:
        """From now on the order may leave."""

        def work(writer: sqlite3.Connection) -> None:
            writer.execute("UPDATE alert SET state = 'leaving', epoch = ? WHERE id = ?", (epoch, entry.id))

        await self.database.transact("signals-leaving", work)

    async def settle(self, alert_id: str, state: str, status: int, answer: dict[str, Any]) -> None:
        """What became of an alert: ``answered``, ``unknown`` or ``abandoned``."""
        text = json.dumps(answer, separators=(",", ":"))

        def work(writer: sqlite3.Connection) -> None:
            writer.execute(
                "UPDATE alert SET state = ?, status = ?, answer = ? WHERE id = ?", (state, status, text, alert_id)
            )

        await self.database.transact("signals-settle", work)

    # Keys

    async def keys(self) -> list[WebhookKey]:
        """Every key there ever was, oldest first."""
        rows = await self.database.read(
            "SELECT id, owner, name, digest, created_at, expires_at, revoked_at FROM webhook_key"
            " ORDER BY created_at, id"
        )
        return [_key(row) for row in rows]

    async def add_key(self, key: WebhookKey) -> None:
        """Store a new key."""

        def work(writer: sqlite3.Connection) -> None:
            writer.execute(
                "INSERT INTO webhook_key (id, owner, name, digest, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?)",
                (key.id, key.owner, key.name, key.digest, _instant(key.created_at), _instant(key.expires_at)),
            )

        await self.database.transact("signals-add-key", work)

    async def revoke_key(self, key_id: str, *, at: datetime) -> None:
        """End a key; nothing happens if it has been revoked before."""

        def work(writer: sqlite3.Connection) -> None:
            statement = "UPDATE webhook_key SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL"
            writer.execute(statement, (_instant(at), key_id))

        await self.database.transact("signals-revoke-key", work)

    async def probe(self) -> None:
        """One tiny durable write."""

        def touch(writer: sqlite3.Connection) -> None:
            writer.execute("UPDATE probe SET count = count + 1")

        await self.database.probe(touch)


async def _nothing(_connection: aiosqlite.Connection) -> None:
    """There is nothing to be loaded at opening."""


_SELECT: Final = "SELECT id, client_order_id, state, status, answer, fields, received_at FROM alert WHERE owner = ?"


def _earlier(writer: sqlite3.Connection, owner: str, message: Message, now_s: float) -> Earlier | None:
    """By the sender's own id: the answer for five minutes, and for ever that nobody knows. Without one, a message that
    is the same to the letter as one of unknown fate: that is how TradingView repeats what it got no answer to.
    """
    if message.deduplication_id is not None:
        # ``received`` is the rest of one whose writing failed: one that is under way never gets here.
        query = f"{_SELECT} AND deduplication_id = ? AND state NOT IN ('received', 'abandoned')"
        query += " ORDER BY position DESC LIMIT 1"
        rows = writer.execute(query, (owner, message.deduplication_id)).fetchall()
    else:
        query = f"{_SELECT} AND digest = ? AND deduplication_id IS NULL AND state = 'unknown' AND received_at > ?"
        rows = writer.execute(
            f"{query} ORDER BY position DESC LIMIT 1", (owner, message.digest, now_s - REMEMBERED_S)
        ).fetchall()
    for alert_id, client_order_id, state, status, answer, fields, received_at in rows:
        known = state == "answered"
        if known and now_s - received_at >= REMEMBERED_S:
            return None
        return Earlier(
            id=alert_id,
            client_order_id=client_order_id,
            status=status if known else None,
            answer=json.loads(answer) if known else None,
            fields=json.loads(fields),
        )
    return None


def _client_order_id(writer: sqlite3.Connection, owner: str, same: str | None, alert_id: str) -> str:
    """The same for the same alert, whichever process derives it; another for each time that an id is used anew."""
    parts = ["alert", owner, alert_id]
    if same is not None:
        query = "SELECT count(*) FROM alert WHERE owner = ? AND deduplication_id = ?"
        ((used,),) = writer.execute(query, (owner, same)).fetchall()
        parts = ["deduplication", owner, same, str(used)]
    digest = hashlib.sha256("|".join(parts).encode()).digest()
    return CLIENT_ORDER_ID_PREFIX + b32encode(digest).decode().lower()[:_ID_DIGITS]


def _key(row: Iterable[Any]) -> WebhookKey:
    key_id, owner, name, digest, created_at, expires_at, revoked_at = row
    return WebhookKey(
        id=key_id,
        owner=owner,
        name=name,
        digest=digest,
        created_at=datetime.fromisoformat(created_at),
        expires_at=datetime.fromisoformat(expires_at),
        revoked_at=revoked_at and datetime.fromisoformat(revoked_at),
    )


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")
