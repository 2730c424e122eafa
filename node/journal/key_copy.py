"""A second copy of the API keys, beside the journal: by it a kill is recognised after a start without the journal.

It holds what the journal holds of them: hashes, no secrets. What it may get wrong is only ever too little: a key that
is being revoked is struck out here first, and where that cannot be written the copy goes.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import structlog

from node.domain.api_key import ApiKey, KeyUsage, Scope
from node.journal.key_store import SqliteKeyStore
from node.journal.rows import instant

#: After it a disk has not answered.
WITHIN_S: Final = 1.0
_SCHEMA: Final = "sovereign-node/api-keys/1"

log = structlog.get_logger(__name__)


class CopiedKeys:
    """The API's ``KeyStore``: the journal's, with the copy kept up to date."""

    def __init__(self, store: SqliteKeyStore, path: Path) -> None:
        self._store = store
        self._path = path
        #: As last read or changed; None: nothing was read yet.
        self._keys: dict[str, ApiKey] | None = None

    async def keys(self) -> list[ApiKey]:
        """Every key there ever was, oldest first."""
        found = await self._store.keys()
        self._keys = {key.id: key for key in found}
        await self._write()
        return found

    async def usages(self) -> list[KeyUsage]:
        """What is remembered of their use."""
        return await self._store.usages()

    async def add(self, key: ApiKey) -> bool:
        """Store a new key, unless its owner has as many active ones as may be: False."""
        added = await self._store.add(key)
        if added:
            await self._put(key)
        return added

    async def replace(self, old: ApiKey, new: ApiKey, *, ends_at: datetime) -> bool:
        """Store a new key and end the old one at an instant, or at once."""
        at_once = ends_at <= new.created_at
        expires_at = min(filter(None, (ends_at, old.expires_at)))
        ended = replace(old, revoked_at=new.created_at) if at_once else replace(old, expires_at=expires_at)
        await self._put(ended)
        replaced = await self._store.replace(old, new, ends_at=ends_at)
        await self._put(*((new,) if replaced else (old,)))
        return replaced

    async def revoke(self, key_id: str, *, at: datetime) -> None:
        """End a key for good: here first."""
        key = (self._keys or {}).get(key_id)
        if key is not None and key.revoked_at is None:
            await self._put(replace(key, revoked_at=at))
        await self._store.revoke(key_id, at=at)

    async def keep_usage(self, usages: Sequence[KeyUsage]) -> None:
        """Keep what keys have used."""
        await self._store.keep_usage(usages)

    async def _put(self, *keys: ApiKey) -> None:
        if self._keys is not None:
            self._keys |= {key.id: key for key in keys}
            await self._write()

    async def _write(self) -> None:
        keys = list((self._keys or {}).values())
        if not await _within(lambda: _write_file(self._path, keys)):
            log.warning("api_keys_not_copied", path=str(self._path))
            await _within(lambda: self._path.unlink(missing_ok=True))


async def copied_keys(path: Path) -> list[ApiKey]:
    """The keys of the copy; none where it cannot be read."""
    found: list[ApiKey] = []
    await _within(lambda: found.extend(read_copy(path)))
    return found


def read_copy(path: Path) -> list[ApiKey]:
    """The same, without an event loop.

    Raises:
        OSError, ValueError: it cannot be read.
    """
    try:
        document = json.loads(path.read_bytes())
        if document["schema"] != _SCHEMA:
            raise ValueError("another document")
        return [_key(row) for row in document["keys"]]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(repr(error)) from None


async def _within(work: Callable[[], object]) -> bool:
    """Whether a disk has done something, in a moment. What it still does later is its own business."""
    try:
        async with asyncio.timeout(WITHIN_S):
            await asyncio.to_thread(work)
    except (TimeoutError, OSError, ValueError):
        return False
    return True


def _write_file(path: Path, keys: Sequence[ApiKey]) -> None:
    beside = path.with_name(path.name + ".partial")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump({"schema": _SCHEMA, "keys": [_row(key) for key in keys]}, file)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def _row(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "owner": key.owner,
        "label": key.label,
        "digest": key.digest.hex(),
        "scopes": sorted(key.scopes),
        "accounts": None if key.accounts is None else sorted(map(str, key.accounts)),
        "created_at": instant(key.created_at),
        "expires_at": key.expires_at and instant(key.expires_at),
        "revoked_at": key.revoked_at and instant(key.revoked_at),
    }


def _key(row: dict[str, Any]) -> ApiKey:
    return ApiKey(
        id=row["id"],
        owner=row["owner"],
        label=row["label"],
        digest=bytes.fromhex(row["digest"]),
        scopes=frozenset(map(Scope, row["scopes"])),
        accounts=None if row["accounts"] is None else frozenset(map(UUID, row["accounts"])),
        created_at=datetime.fromisoformat(row["created_at"]),
        expires_at=row["expires_at"] and datetime.fromisoformat(row["expires_at"]),
        revoked_at=row["revoked_at"] and datetime.fromisoformat(row["revoked_at"]),
    )
