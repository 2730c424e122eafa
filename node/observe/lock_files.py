"""The lock documents as files, for programs on this host: one an account, replaced atomically."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final
from uuid import UUID

from node.domain.result import Document

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
        self._directory.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)

    def path_of(self, account_id: UUID) -> Path:
        """Where an account's document is."""
        return self._directory / f"{account_id}.json"

    def write(self, account_id: UUID, document: Document) -> None:
        """Replace the account's file. Not synced: after a crash of the host every lease has run out anyway."""
        path = self.path_of(account_id)
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(document, separators=(",", ":")) + "\n", encoding="utf-8")
        temporary.chmod(_FILE_MODE)
        temporary.replace(path)
