"""The sections of the configuration about keeping the journal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field, Strict

from node.settings_base import Section


class BackupSettings(Section):
    """[backup]: copies of the journal by themselves; without the section there are none."""

    KEEP: ClassVar[int] = 48

    every_s: Annotated[float, Strict(), Field(ge=60, le=31 * 86_400, allow_inf_nan=False)]
    #: The newest so many are kept.
    keep: Annotated[int, Strict(), Field(ge=1, le=10_000)] = KEEP
    #: None: ``backups`` in the state directory. Another disk is better.
    directory: Path | None = None


class RetentionSettings(Section):
    """[retention]: how long history is kept; without the section, for ever."""

    #: Of commands that have ended, and of rejects. Locks and what is unfinished stay whatever their age.
    keep_days: Annotated[int, Strict(), Field(ge=30, le=36_500)]
