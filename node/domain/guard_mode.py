"""What the guard of a locked account may do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class GuardMode(StrEnum):
    """What is done about new exposure on a locked account."""

    OFF = "off"
    CANCEL = "cancel"  # orders that add exposure
    REVERT = "revert"  # also close what exceeds the baseline


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardModes:
    """After a LOCK, and within the scope of a close."""

    after_lock: GuardMode = GuardMode.CANCEL
    after_close: GuardMode = GuardMode.REVERT

    def overridden(self, mode: GuardMode | None) -> GuardModes:
        """With a person's word for both, where there is one."""
        return self if mode is None else GuardModes(after_lock=mode, after_close=mode)
