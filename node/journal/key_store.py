"""API keys on SQLite: in the journal's file, or in one of their own."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import aiosqlite

from node.clock import Clock
from node.domain.api_key import ACTIVE_KEYS_MAX, ApiKey, KeyUsage, Scope
from node.journal.database import Database
from node.journal.migrations import packaged_migrations
from node.journal.rows import Row, instant

_INSERT: Final = (
    "INSERT INTO api_key (id, owner, label, digest, scopes, accounts, created_at, expires_at)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_ACTIVE: Final = (
    "SELECT count(*) FROM api_key WHERE owner = ? AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?)"
)
_REVOKE: Final = "UPDATE api_key SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL"
_EXPIRE: Final = (
    "UPDATE api_key SET expires_at = ? WHERE id = ? AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?)"
)
_SELECT: Final = (
    "SELECT id, owner, label, digest, scopes, accounts, created_at, expires_at, revoked_at FROM api_key"
    " ORDER BY created_at, id"
)
_SELECT_USAGE: Final = "SELECT key, last_used_at, taken FROM api_key_usage"
_UPSERT_USAGE: Final = (
    "INSERT INTO api_key_usage (key, last_used_at, taken) VALUES (?, ?, ?)"
    " ON CONFLICT (key) DO UPDATE SET last_used_at = excluded.last_used_at, taken = excluded.taken"
)


class SqliteKeyStore:
    """Keeps keys in the tables ``api_key`` and ``api_key_usage``; implements the API's ``KeyStore``.

    Every writing method is one durable transaction.

    Raises:
        JournalUnavailable: from every method, when the disk will not.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keys(self) -> list[ApiKey]:
        """Every key there ever was, oldest first."""
        return [_key(row) for row in await self._database.read(_SELECT)]

    async def usages(self) -> list[KeyUsage]:
        """What is remembered of their use."""
        return [_usage(row) for row in await self._database.read(_SELECT_USAGE)]

    async def add(self, key: ApiKey) -> bool:
        """Store a new key, unless its owner has as many active ones as may be: False."""

        def work(connection: sqlite3.Connection) -> bool:
            return _add(connection, key)

        return await self._database.transact("add_key", work)

    async def replace(self, old: ApiKey, new: ApiKey, *, ends_at: datetime) -> bool:
        """Store a new key, and end the old one: at *ends_at*, or at once if that is not after the new one's creation.

        False, and nothing is stored, where the owner would then have too many active ones.
        """
        at_once = ends_at <= new.created_at

        def work(connection: sqlite3.Connection) -> bool:
            if at_once:
                connection.execute(_REVOKE, (instant(new.created_at), old.id))
            added = _add(connection, new)
            if not added:
                raise _TooMany  # takes the revocation back
            if not at_once:
                connection.execute(_EXPIRE, (instant(ends_at), old.id, instant(ends_at)))
            return True

        try:
            return await self._database.transact("replace_key", work)
        except _TooMany:
            return False

    async def revoke(self, key_id: str, *, at: datetime) -> None:
        """End a key for good; nothing happens if it has been revoked before."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(_REVOKE, (instant(at), key_id))

        await self._database.transact("revoke_key", work)

    async def keep_usage(self, usages: Sequence[KeyUsage]) -> None:
        """Keep what keys have used, in place of what was kept before."""
        rows = [
            (
                usage.key_id,
                instant(usage.last_used_at),
                json.dumps({bucket: [instant(at) for at in taken] for bucket, taken in usage.taken.items()}),
            )
            for usage in usages
        ]

        def work(connection: sqlite3.Connection) -> None:
            connection.executemany(_UPSERT_USAGE, rows)

        await self._database.transact("keep_key_usage", work)


class _TooMany(Exception):
    """Undoes the transaction."""


def key_database(path: Path, *, clock: Clock) -> Database:
    """A file of the journal's form that holds nothing but keys, for a process that has no journal. Open and close it.

    *path* must be this process's own: hold its ``StateDirectory``.
    """

    async def prove_writable(connection: aiosqlite.Connection) -> None:
        at = instant(clock.now())
        await connection.execute(
            "INSERT INTO meta (one, created_at, node_id, probed_at) VALUES (1, ?, 'keys', ?)"
            " ON CONFLICT (one) DO UPDATE SET probed_at = excluded.probed_at",
            (at, at),
        )

    return Database(
        path,
        migrations=packaged_migrations(),
        load=prove_writable,
        on_health=lambda _healthy: None,
        commit_seconds=lambda _seconds: None,
    )


def _add(connection: sqlite3.Connection, key: ApiKey) -> bool:
    ((active,),) = connection.execute(_ACTIVE, (key.owner, instant(key.created_at))).fetchall()
    if active >= ACTIVE_KEYS_MAX:
        return False
    connection.execute(_INSERT, _row(key))
    return True


def _row(key: ApiKey) -> Row:
    accounts = None if key.accounts is None else json.dumps(sorted(map(str, key.accounts)))
    return (
        key.id,
        key.owner,
        key.label,
        key.digest,
        json.dumps(sorted(key.scopes)),
        accounts,
        instant(key.created_at),
        key.expires_at and instant(key.expires_at),
    )


def _key(row: Iterable[Any]) -> ApiKey:
    key_id, owner, label, digest, scopes, accounts, created_at, expires_at, revoked_at = row
    return ApiKey(
        id=key_id,
        owner=owner,
        label=label,
        digest=digest,
        scopes=frozenset(map(Scope, json.loads(scopes))),
        accounts=None if accounts is None else frozenset(map(UUID, json.loads(accounts))),
        created_at=datetime.fromisoformat(created_at),
        expires_at=expires_at and datetime.fromisoformat(expires_at),
        revoked_at=revoked_at and datetime.fromisoformat(revoked_at),
    )


def _usage(row: Iterable[Any]) -> KeyUsage:
    key_id, last_used_at, taken = row
    return KeyUsage(
        key_id=key_id,
        last_used_at=datetime.fromisoformat(last_used_at),
        taken={
            bucket: tuple(datetime.fromisoformat(at) for at in instants)
            for bucket, instants in json.loads(taken).items()
        },
    )
