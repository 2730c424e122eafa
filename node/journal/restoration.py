"""Puts a backup, or nothing, in the place of a journal that cannot be used; the one that was there is kept beside it.

What happened after the backup is not in it: locks, endings, revocations. So every account is locked with an epoch that
nobody can have seen, every unfinished command is ended as failed for a person to look at, and numbers go on above all
that may have been given out.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, count
from pathlib import Path
from typing import Final
from uuid import UUID

import aiosqlite

from node.clock import Clock
from node.domain.command import THE_NODE, Command, CommandState
from node.domain.lock import AccountLock
from node.domain.result import Document, ErrorReport, Findings, Verdict, result_document
from node.engine.ports import Event
from node.journal.connection import RESTORING, read_only
from node.journal.key_store import SqliteKeyStore
from node.journal.migrations import copy_to, sync_directory
from node.journal.store import SqliteJournal

_STAMP: Final = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What was done."""

    #: The locks as they are now, all of them locked.
    locks: Mapping[UUID, AccountLock]
    #: Commands that the backup had as unfinished.
    ended: tuple[UUID, ...]
    #: Ids of API keys that are active again, or still.
    active_keys: tuple[str, ...]
    #: Where the journal that was there is now; None: there was none.
    replaced: Path | None


async def restore(
    source: Path | None,
    target: Path,
    *,
    node_id: str,
    clock: Clock,
    accounts: Collection[UUID],
    epochs: Mapping[UUID, int],
    revoked: Mapping[str, datetime],
) -> Restored:
    """Make *source* (None: a journal without a past) the journal at *target*. Hold the state directory.

    ``accounts`` are locked whether or not the backup knows them; ``epochs`` are what else is known of their locks, and
    ``revoked`` the API keys that are known to have been revoked, and when.

    Killed in the middle it leaves a mark by which no node takes what is there for its journal; do it again.

    Raises:
        JournalIncompatible, JournalUnavailable: *source* cannot be used; nothing was changed.
        sqlite3.Error, OSError: the disk will not.
    """
    mark = target.with_name(target.name + RESTORING)
    beside = mark.with_name(mark.name + ".new")
    # An earlier one may have been killed with the old file moved away already: then nothing must take the mark away
    # but an end that is whole, or a node would find no file and begin a new journal, with every account open.
    interrupted = mark.exists()
    _discard(beside)
    mark.touch(mode=0o600)
    try:
        if source is not None:
            async with aiosqlite.connect(read_only(source), uri=True, isolation_level=None) as found:
                await copy_to(found, beside)
        journal = SqliteJournal(beside, node_id=node_id, clock=clock)
        journal.advance_seq(int(clock.now().timestamp() * 1000))
        async with journal:
            ended = await _lock_and_end(journal, source, node_id, clock, accounts, epochs)
            for key_id, at in revoked.items():
                await SqliteKeyStore(journal.database).revoke(key_id, at=at)
            locks, keys = await journal.locks(), await journal.active_keys()
    except BaseException:
        _discard(beside)
        if not interrupted:
            mark.unlink()
        raise
    replaced = await asyncio.to_thread(_put_in_place, beside, target, mark, clock.now())
    return Restored(locks=locks, ended=ended, active_keys=keys, replaced=replaced)


async def _lock_and_end(
    journal: SqliteJournal,
    source: Path | None,
    node_id: str,
    clock: Clock,
    accounts: Collection[UUID],
    epochs: Mapping[UUID, int],
) -> tuple[UUID, ...]:
    reason = f"restored from {source.name}" if source else "begun anew, without the journal that was there"
    stored, now = await journal.locks(), clock.now()
    assumed = []
    for account_id in {*accounts, *stored, *epochs}:
        lock = stored.get(account_id, AccountLock(account_id=account_id))
        known = AccountLock(account_id=account_id, epoch=max(lock.epoch, epochs.get(account_id, 0)))
        assumed.append(known.assumed(by=THE_NODE, reason=reason, at=now))
    journal.assume(lambda: assumed)
    await journal.write_assumed()
    unfinished = [found.command for found in await journal.unfinished()]
    # A command for many accounts ends after its children.
    unfinished.sort(key=lambda command: command.account_id is None)
    if unfinished:
        await journal.record([_ending(command, reason, node_id, now) for command in unfinished])
    await journal.note_restored(str(source) if source else "nothing")
    return tuple(command.command_id for command in unfinished)


def _ending(command: Command, reason: str, node_id: str, at: datetime) -> Event:
    message = f"{reason}: whether it has ended since is not known; look at the exchange, and send it again if need be"

    def document(lock: AccountLock | None) -> Document:
        return result_document(
            command,
            CommandState.FAILED,
            node_id=node_id,
            at=at,
            latency_ms={"total": max((at - command.received_at).total_seconds() * 1e3, 0.0)},
            lock=lock,
            findings=Findings(verdict=Verdict.UNKNOWN),
            errors=(ErrorReport(code="RESTORED", message=message),),
        )

    return Event(command=command, state=CommandState.FAILED, document=document)


def _put_in_place(beside: Path, target: Path, mark: Path, at: datetime) -> Path | None:
    """The mark is there until the last step, which takes it away."""
    replaced = _free_name(f"{target.name}.replaced-{at.astimezone(UTC).strftime(_STAMP)}", target.parent)
    found = False
    sync_directory(target.parent)
    for suffix in ("", "-wal"):
        # A log that stays would be taken for the new file's.
        with suppress(FileNotFoundError):
            target.with_name(target.name + suffix).rename(replaced.with_name(replaced.name + suffix))
            found = True
    target.with_name(target.name + "-shm").unlink(missing_ok=True)
    _give_to_owner(beside)
    sync_directory(target.parent)
    beside.rename(target)
    sync_directory(target.parent)
    mark.unlink()
    sync_directory(target.parent)
    return replaced if found else None


def replaced_before(target: Path) -> list[Path]:
    """The journals that earlier restorations have kept, without their logs."""
    return [
        each for each in target.parent.glob(f"{target.name}.replaced-*") if not each.name.endswith(("-wal", "-shm"))
    ]


def _free_name(name: str, folder: Path) -> Path:
    """What was kept once stays: a second restoration may come in the same second, or after the clock was set back."""
    names = chain((name,), (f"{name}-{number}" for number in count(2)))
    return next(path for path in map(folder.joinpath, names) if not path.exists() and not Path(f"{path}-wal").exists())


def _give_to_owner(path: Path) -> None:
    """What root makes in a service's folder is the service's."""
    if os.geteuid() == 0:
        folder = path.parent.stat()
        os.chown(path, folder.st_uid, folder.st_gid)


def _discard(beside: Path) -> None:
    for name in (beside.name, f"{beside.name}-wal", f"{beside.name}-shm", f"{beside.name}.partial"):
        beside.with_name(name).unlink(missing_ok=True)
