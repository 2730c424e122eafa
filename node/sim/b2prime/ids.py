"""Identifiers: ULIDs of 26 characters for orders, positions, executions and keys; 24 hex digits for accounts."""

from __future__ import annotations

import hashlib
from enum import IntEnum
from typing import Final

_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_RANDOM_BITS: Final = 80
_KIND_SHIFT: Final = 64


class IdKind(IntEnum):
    """What a ULID names. It is a part of it, so that a position's never passes for an order's."""

    ORDER = 1
    POSITION = 2
    EXECUTION = 3
    WEBHOOK_KEY = 4
    USER = 5


def ulid(kind: IdKind, number: int, created_ms: int) -> str:
    """The identifier of the *number*-th thing of its kind, made at *created_ms* (milliseconds since the epoch)."""
    value = (created_ms << _RANDOM_BITS) | (kind << _KIND_SHIFT) | number
    return "".join(_CROCKFORD[(value >> shift) & 31] for shift in range(125, -1, -5))


def number_of(text: str, kind: IdKind) -> int | None:
    """The number within an identifier; none if it names something else."""
    if len(text) != 26 or any(letter not in _CROCKFORD for letter in text):
        return None
    value = 0
    for letter in text:
        value = value << 5 | _CROCKFORD.index(letter)
    low = value & ((1 << _RANDOM_BITS) - 1)
    return low & ((1 << _KIND_SHIFT) - 1) if low >> _KIND_SHIFT == kind else None


def account_id(name: str) -> str:
    """The identifier of a scenario's account; the same in every run."""
    return hashlib.sha256(f"b2prime account {name}".encode()).hexdigest()[:24]


def public_account_id(name: str) -> int:
    """The account's number as people see it."""
    return 7_000_000 + int(account_id(name)[:5], 16)
