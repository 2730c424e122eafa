"""The gateway's memory: what it sent and what it was answered, in a SQLite file of its own."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from uuid import UUID

import aiosqlite

from node.domain.command import Action, Door
from node.domain.result import Document
from node.gateway.sent import SentCommand
from node.journal.database import Database
from node.journal.migrations import packaged_migrations

_COLUMNS: Final = (
    "command_id, account_id, action, issuer, door, digest, envelope, dry_run, reason, accounts, issued_at, expires_at"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One answer to be kept."""

    root_id: UUID
    command_id: UUID
    document: Document
    #: Whether the whole command has ended with it.
    ended: bool


class GatewayStore:
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
        self._database = Database(
            path,
            migrations=packaged_migrations("node.gateway"),
            load=_nothing,
            on_health=on_health,
            commit_seconds=commit_seconds,
        )

    async def __aenter__(self) -> Self:
        await self._database.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._database.close()

    @property
    def healthy(self) -> bool:
        """Whether the last write succeeded and no reopening is under way."""
        return self._database.healthy

    async def add(self, sent: SentCommand) -> SentCommand | None:
        """Remember a command before it is sent; or what is remembered by its id already. None: it is new."""

        def work(writer: sqlite3.Connection) -> SentCommand | None:
            marks = ", ".join("?" * len(_row(sent)))
            statement = f"INSERT INTO sent ({_COLUMNS}) VALUES ({marks}) ON CONFLICT DO NOTHING"  # noqa: S608  (constants)
            if writer.execute(statement, _row(sent)).rowcount:
                return None
            query = f"SELECT {_COLUMNS} FROM sent WHERE command_id = ?"  # noqa: S608  (as above)
            (row,) = writer.execute(query, (str(sent.command_id),)).fetchall()
            return _sent(row)

        return await self._database.transact("gateway-add", work)

    async def keep(self, heard: Sequence[Heard]) -> None:
        """Remember answers, in this order."""

        def work(writer: sqlite3.Connection) -> None:
            for each in heard:
                text = json.dumps(each.document, separators=(",", ":"))
                writer.execute(
                    "INSERT INTO answer (root_id, command_id, document) SELECT ?, ?, ?"
                    " WHERE EXISTS (SELECT 1 FROM sent WHERE command_id = ?)",
                    (str(each.root_id), str(each.command_id), text, str(each.root_id)),
                )
                if each.ended:
                    writer.execute("UPDATE sent SET ended = 1 WHERE command_id = ?", (str(each.root_id),))

        await self._database.transact("gateway-keep", work)

    async def find(self, command_id: UUID) -> tuple[SentCommand, list[Document]] | None:
        """A command, by its own id or by that of one account's part, with all answers in the order of their arrival."""
        rows = await self._database.read(
            f"SELECT {_COLUMNS} FROM sent WHERE command_id = ?1 OR command_id ="  # noqa: S608  (a constant)
            " (SELECT root_id FROM answer WHERE command_id = ?1 LIMIT 1)",
            (str(command_id),),
        )
        return (_sent(rows[0]), await self._answers(rows[0][0])) if rows else None

    async def unfinished(self, *, since: datetime) -> list[tuple[SentCommand, list[Document]]]:
        """What was issued since then and has not ended, oldest first."""
        rows = await self._database.read(
            f"SELECT {_COLUMNS} FROM sent WHERE ended = 0 AND issued_at >= ? ORDER BY issued_at",  # noqa: S608  (a constant)
            (since.timestamp(),),
        )
        return [(_sent(row), await self._answers(row[0])) for row in rows]

    async def endings(self, limit: int) -> list[Document]:
        """The newest answers of commands that have ended, oldest first."""
        rows = await self._database.read(
            "SELECT document FROM (SELECT position, document FROM answer JOIN sent ON sent.command_id = root_id"
            " WHERE ended = 1 AND json_extract(document, '$.state') = 'done' ORDER BY position DESC LIMIT ?)"
            " ORDER BY position",
            (limit,),
        )
        return [json.loads(row[0]) for row in rows]

    async def probe(self) -> None:
        """One tiny durable write."""

        def touch(writer: sqlite3.Connection) -> None:
            writer.execute("UPDATE probe SET count = count + 1")

        await self._database.probe(touch)

    async def _answers(self, root_id: str) -> list[Document]:
        rows = await self._database.read("SELECT document FROM answer WHERE root_id = ? ORDER BY position", (root_id,))
        return [json.loads(row[0]) for row in rows]


async def _nothing(_connection: aiosqlite.Connection) -> None:
    """There is nothing to be loaded at opening."""


def _row(sent: SentCommand) -> tuple[Any, ...]:
    return (
        str(sent.command_id),
        None if sent.account_id is None else str(sent.account_id),
        sent.action.value,
        sent.issuer,
        sent.door.value,
        sent.content_digest,
        sent.envelope,
        int(sent.dry_run),
        sent.reason,
        json.dumps([str(account) for account in sent.accounts]),
        sent.issued_at.timestamp(),
        sent.expires_at.timestamp(),
    )


def _sent(row: sqlite3.Row | Iterable[Any]) -> SentCommand:
    command_id, account, action, issuer, door, digest, envelope, dry_run, reason, accounts, issued, expires = row
    return SentCommand(
        command_id=UUID(command_id),
        account_id=None if account is None else UUID(account),
        action=Action(action),
        issuer=issuer,
        door=Door(door),
        content_digest=digest,
        envelope=envelope,
        dry_run=bool(dry_run),
        reason=reason,
        accounts=tuple(UUID(each) for each in json.loads(accounts)),
        issued_at=datetime.fromtimestamp(issued, UTC),
        expires_at=datetime.fromtimestamp(expires, UTC),
    )
