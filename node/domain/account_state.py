"""The one word for an account's state."""

from __future__ import annotations

from enum import StrEnum


class AccountState(StrEnum):
    """What an account is fit for: always exactly one of these."""

    ARMED = "armed"  # connected, read, ready
    LOCKED = "locked"  # the same, and new risk is forbidden
    DEGRADED = "degraded"  # something could not be read or reached; it may be locked all the same
