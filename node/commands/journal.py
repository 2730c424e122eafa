"""``journal``: look after the record without the daemon, or beside it."""

from __future__ import annotations

import argparse
import asyncio
import os
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Final
from uuid import UUID

import aiosqlite

from node.clock import SystemClock
from node.commands.output import ExitStatus, Output, Trouble
from node.errors import JournalUnavailable
from node.journal.connection import read_only
from node.journal.directory import StateDirectory
from node.journal.inspection import Inspection, Unreadable, line
from node.journal.key_copy import read_copy
from node.journal.migrations import JournalIncompatible, copy_to, packaged_migrations
from node.journal.restoration import Restored, replaced_before, restore
from node.observe.lock_files import LockFileDirectory
from node.plain_files import must_be_regular
from node.settings import Settings
from node.wiring.record import backup_folder, journal_file, key_copy_file

_NEWEST: Final = packaged_migrations()[-1].version


def run(settings: Settings, options: argparse.Namespace, output: Output) -> ExitStatus:
    """Carry out ``options.operation``."""
    try:
        match options.operation:
            case "verify":
                return verify(options.file or journal_file(settings), output)
            case "backup":
                return backup(settings, options.out, output)
            case "export":
                return export(options.file or journal_file(settings), options.out, output)
            case _:
                if (options.file is None) is not options.anew:
                    raise Trouble("USAGE", "name a backup, or say --anew")
                return bring_back(settings, options.file, output)
    except Unreadable as error:
        raise Trouble("JOURNAL_UNREADABLE", str(error)) from None
    except (OSError, sqlite3.Error) as error:
        raise Trouble("DISK", str(error)) from None


def verify(file: Path, output: Output) -> ExitStatus:
    """Print what is wrong with a journal; exit status 5 if anything is."""
    try:
        with closing(Inspection(file, newest=_NEWEST)) as inspection:
            faults = inspection.faults()
            counts = {} if faults else inspection.counts()
            version = inspection.version
    except Unreadable as error:
        faults, counts, version = [str(error)], {}, None
    document = {"ok": not faults, "file": str(file), "version": version, "faults": faults, "counts": counts}
    told = ", ".join(f"{count} {table}" for table, count in counts.items())
    output.result(document, f"{file}: ok: {told}" if not faults else "\n".join([f"{file}: NOT SOUND", *faults]))
    return ExitStatus.FAILED if faults else ExitStatus.DONE


def backup(settings: Settings, out: Path | None, output: Output) -> ExitStatus:
    """Copy the journal and print where to."""
    source = journal_file(settings)
    place = out or backup_folder(settings).place(SystemClock().now())
    if place.exists():
        raise Trouble("EXISTS", f"{place}: is there already")
    try:
        must_be_regular(source)
    except FileNotFoundError:
        raise Trouble("JOURNAL_UNREADABLE", f"{source}: there is no such file") from None
    try:
        asyncio.run(_copy(source, place))
    except (JournalUnavailable, JournalIncompatible) as error:
        raise Trouble(error.code, str(error)) from None
    if out is None:
        _give_to_owner(place, settings.node.state_dir)
    output.result({"file": str(place), "bytes": place.stat().st_size}, str(place))
    return ExitStatus.DONE


async def _copy(source: Path, place: Path) -> None:
    async with aiosqlite.connect(read_only(source), uri=True, isolation_level=None) as opened:
        await copy_to(opened, place)


def export(file: Path, out: Path | None, output: Output) -> ExitStatus:
    """Write every record as a line; the same content always gives the same bytes."""
    with closing(Inspection(file, newest=_NEWEST)) as inspection:
        if out is None:
            for record in inspection.records():
                output.line(line(record))
            return ExitStatus.DONE
        count = 0
        with os.fdopen(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as written:
            for record in inspection.records():
                written.write(line(record) + "\n")
                count += 1
    output.result({"file": str(out), "records": count}, f"{out}: {count} records")
    return ExitStatus.DONE


def bring_back(settings: Settings, source: Path | None, output: Output) -> ExitStatus:
    """Put a backup (None: nothing) in the journal's place, and print what that means."""
    if source is not None:
        with closing(Inspection(source, newest=_NEWEST)) as inspection:
            if faults := inspection.faults():
                raise Trouble("BACKUP_NOT_SOUND", "\n".join([f"{source}: {fault}" for fault in faults]))
    target = journal_file(settings)
    with StateDirectory(settings.node.state_dir):
        _give_to_owner(settings.node.state_dir / "lock", settings.node.state_dir)
        restored = asyncio.run(
            restore(
                source,
                target,
                node_id=settings.node.id,
                clock=SystemClock(),
                accounts=[account.id for account in settings.accounts],
                epochs=_known_epochs(settings, target),
                revoked=_revoked(settings),
            )
        )
    output.result(_document(restored, target), _text(restored, target))
    return ExitStatus.DONE


def _known_epochs(settings: Settings, target: Path) -> dict[UUID, int]:
    """What the journal that is replaced, as far as it can be read, and the lock files say.

    Those that were replaced before count as well: after a restoration that was killed, one of them is the journal.
    """
    files = LockFileDirectory(settings.locks_dir)
    known = {account.id: files.last_shown(account.id).epoch for account in settings.accounts}
    for file in (target, *replaced_before(target)):
        try:
            with closing(Inspection(file, newest=2**31)) as inspection:
                for account, epoch in inspection.epochs().items():
                    known[UUID(account)] = max(known.get(UUID(account), 0), int(epoch))
        except (Unreadable, ValueError, sqlite3.Error):
            pass  # that is why it is replaced
    return known


def _revoked(settings: Settings) -> dict[str, datetime]:
    """By the second copy of the API keys, if there is one."""
    try:
        return {key.id: key.revoked_at for key in read_copy(key_copy_file(settings)) if key.revoked_at is not None}
    except (OSError, ValueError):
        return {}


def _document(restored: Restored, target: Path) -> dict[str, object]:
    return {
        "file": str(target),
        "replaced": restored.replaced and str(restored.replaced),
        "locks": {str(account_id): lock.epoch for account_id, lock in sorted(restored.locks.items())},
        "ended": [str(command_id) for command_id in restored.ended],
        "active_keys": list(restored.active_keys),
    }


def _text(restored: Restored, target: Path) -> str:
    lines = [f"{target}: restored. Start the node."]
    if restored.replaced is not None:
        lines.append(f"What was there is kept as {restored.replaced}.")
    lines.append(f"{len(restored.locks)} accounts are locked: look at each at its exchange, then unlock it.")
    if restored.ended:
        lines.append(f"{len(restored.ended)} unfinished commands are ended as failed: see `status` and their results.")
    if restored.active_keys:
        keys = ", ".join(restored.active_keys)
        lines.append(f"API keys that are active; revoke what should not be: {keys}")
    return "\n".join(lines)


def _give_to_owner(path: Path, folder: Path) -> None:
    """What root makes in a service's folder is the service's."""
    if os.geteuid() == 0:
        owner = folder.stat()
        for each in (path, path.parent) if path.parent != folder else (path,):
            os.chown(each, owner.st_uid, owner.st_gid)
