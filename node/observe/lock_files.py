"""The lock documents as files, for programs on this host: one an account, replaced atomically."""

from __future__ import annotations

import contextlib
import json
import os
from datetime import datetime
from errno import ENOSPC
from pathlib import Path
from typing import Final
from uuid import UUID

from node.domain.command import THE_NODE
from node.domain.lock import AccountLock
from node.domain.result import LOCK_SCHEMA, Document
from node.observe.kept_memory import KeptMemory

_FILE_MODE: Final = 0o644
_DIRECTORY_MODE: Final = 0o755


class LockFileDirectory:
    """Implements the engine's LockFiles in ``{runtime_dir}/locks``."""

    def __init__(self, directory: Path, *, memory: KeptMemory | None = None) -> None:
        """*memory*: where a second copy of what is locked outlives the process, if not the directory does."""
        self._directory = directory
        self._memory = memory
        self._locked: dict[str, Document] = _remembered(memory)

    def prepare(self) -> None:
        """Make the directory.

        Raises:
            OSError: it cannot be made.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        self._directory.chmod(_DIRECTORY_MODE)  # whatever the process's mask: engines are other users

    def path_of(self, account_id: UUID) -> Path:
        """Where an account's document is."""
        return self._directory / f"{account_id}.json"

    def shown(self, account_id: UUID, *, at: datetime) -> AccountLock | None:
        """The lock as an earlier run left it, in the account's file or else in memory; None unless it says locked."""
        try:
            document = json.loads(self.path_of(account_id).read_bytes())
        except OSError:
            document = self._locked.get(str(account_id))
        except ValueError:
            return None
        try:
            if document["schema"] != LOCK_SCHEMA or document["locked"] is not True:
                return None
            reason = f"{document['reason'] or 'locked'} (as its file said; there was no record)"
            return AccountLock(
                account_id=account_id, epoch=int(document["epoch"]), latched=True, since=at, by=THE_NODE, reason=reason
            )
        except (ValueError, KeyError, TypeError):
            return None

    def last_shown(self, account_id: UUID) -> AccountLock:
        """The lock with its epoch as an earlier run last told it, believed or not; open with epoch 0 if none did."""
        for read in (lambda: json.loads(self.path_of(account_id).read_bytes()), lambda: self._locked[str(account_id)]):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                document = read()
                return AccountLock(account_id=account_id, epoch=int(document["epoch"]))
        return AccountLock(account_id=account_id)

    def write(self, account_id: UUID, document: Document) -> None:
        """Replace the account's file. Not synced: after a crash of the host every lease has run out anyway.

        A lock that cannot be written takes the file away: the old one would say for a whole lease that the account is
        free, and that no file means locked every reader knows.
        """
        self._remember(str(account_id), document)
        path = self.path_of(account_id)
        try:
            self._replace(path, document)
        except FileNotFoundError:  # somebody has cleaned up
            self.prepare()
            self._replace(path, document)
        except OSError:
            if document["locked"]:
                with contextlib.suppress(OSError):
                    path.unlink()  # needs no room
            raise

    def _replace(self, path: Path, document: Document) -> None:
        # No more than the calls that it takes: every order waits for it.
        temporary, content = path.with_suffix(".tmp"), json.dumps(document, separators=(",", ":")).encode() + b"\n"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, _FILE_MODE)
        try:
            os.fchmod(descriptor, _FILE_MODE)  # whatever the process's mask: engines are other users
            if os.write(descriptor, content) < len(content):
                raise OSError(ENOSPC, os.strerror(ENOSPC), str(temporary))
        finally:
            os.close(descriptor)
        temporary.replace(path)

    def _remember(self, account: str, document: Document) -> None:
        known = self._locked.get(account)
        if (known and known.get("epoch")) == (document["epoch"] if document["locked"] else None):
            return  # the same lock, refreshed
        if document["locked"]:
            self._locked[account] = document
        else:
            self._locked.pop(account, None)
        if self._memory is not None:
            self._memory.write(json.dumps(self._locked).encode())


def _remembered(memory: KeptMemory | None) -> dict[str, Document]:
    try:
        found = json.loads(memory.read()) if memory is not None else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) and all(isinstance(each, dict) for each in found.values()) else {}
