"""The lock documents as files, for programs on this host: one an account, replaced atomically."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Final
from uuid import UUID

from node.domain.command import THE_NODE
from node.domain.lock import AccountLock
from node.domain.result import LOCK_SCHEMA, Document

_FILE_MODE: Final = 0o644
_DIRECTORY_MODE: Final = 0o755


class LockFileDirectory:
    """Implements the engine's LockFiles in ``{runtime_dir}/locks``."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

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
        """The lock as an earlier run has left it in the account's file; None unless it says locked."""
        try:
            document = json.loads(self.path_of(account_id).read_bytes())
            if document["schema"] != LOCK_SCHEMA or document["locked"] is not True:
                return None
            reason = f"{document['reason'] or 'locked'} (as its file said; there was no record)"
            return AccountLock(
                account_id=account_id, epoch=int(document["epoch"]), latched=True, since=at, by=THE_NODE, reason=reason
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, account_id: UUID, document: Document) -> None:
        """Replace the account's file. Not synced: after a crash of the host every lease has run out anyway."""
        path = self.path_of(account_id)
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(document, separators=(",", ":")) + "\n", encoding="utf-8")
        temporary.chmod(_FILE_MODE)
        temporary.replace(path)
