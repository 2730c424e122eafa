"""API keys: their text, what they allow, and how they are recognised without being known.

A key reads ``ad_b2b_<id>_<secret><checksum>``: a fixed prefix and a checksum, so that scanners for leaked secrets find
it without asking anybody; an id that may be shown; a secret of 190 bits, of which only a hash is kept (at that length a
fast hash is enough: there is nothing to guess).
"""

from __future__ import annotations

import hashlib
import hmac
import re
import string
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from node.domain.command import Action

PREFIX: Final = "ad_b2b_"
ID_LENGTH: Final = 12
SECRET_LENGTH: Final = 32
ID_ALPHABET: Final = string.ascii_lowercase + string.digits
SECRET_ALPHABET: Final = string.ascii_letters + string.digits
#: Active keys that one owner may have.
ACTIVE_KEYS_MAX: Final = 5

_CHECKSUM_LENGTH: Final = 6
#: What a secret scanner should look for.
PATTERN: Final = re.compile(
    rf"{PREFIX}(?P<id>[a-z0-9]{{{ID_LENGTH}}})_(?P<secret>[A-Za-z0-9]{{{SECRET_LENGTH}}})"
    rf"(?P<checksum>[A-Za-z0-9]{{{_CHECKSUM_LENGTH}}})"
)
#: Issuers of this form are API keys; no configured issuer can be named so.
_ISSUER_PREFIX: Final = "key:"


class Scope(StrEnum):
    """What a key may do."""

    KILL = "kill"  # CLOSE_ALL and FLATTEN; and LOCK, which both contain
    LOCK = "lock"  # LOCK
    READ = "read"  # results, accounts, locks


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiToken:
    """A key's text, taken apart. Its secret is in no representation."""

    key_id: str
    secret: str = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> ApiToken | None:
        """Take a text apart; None if it is no key of ours, whoever holds which keys."""
        found = PATTERN.fullmatch(text)
        if found is None:
            return None
        token = cls(key_id=found["id"], secret=found["secret"])
        return token if found["checksum"] == token.checksum else None

    @property
    def text(self) -> str:
        """The whole key: for its holder, once."""
        return self._unchecked + self.checksum

    @property
    def checksum(self) -> str:
        """CRC-32 of what is before it, in base 62."""
        value, digits = zlib.crc32(self._unchecked.encode()), ""
        for _ in range(_CHECKSUM_LENGTH):
            value, rest = divmod(value, len(SECRET_ALPHABET))
            digits = SECRET_ALPHABET[rest] + digits
        return digits

    @property
    def digest(self) -> bytes:
        """SHA-256 of the secret: 32 bytes, all that is kept of it."""
        return hashlib.sha256(self.secret.encode()).digest()

    @property
    def _unchecked(self) -> str:
        return f"{PREFIX}{self.key_id}_{self.secret}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key as it is kept."""

    id: str
    owner: str
    digest: bytes = field(repr=False)
    scopes: frozenset[Scope]
    #: None: every account of the owner.
    accounts: frozenset[UUID] | None
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    #: What its owner calls it.
    label: str | None = None

    @property
    def issuer(self) -> str:
        """By whom its commands are issued."""
        return f"{_ISSUER_PREFIX}{self.id}"

    def is_secret(self, token: ApiToken) -> bool:
        """Whether the token's secret is this key's; takes as long either way."""
        return hmac.compare_digest(self.digest, token.digest)

    def active(self, now: datetime) -> bool:
        """Whether it is neither revoked nor expired."""
        return self.revoked_at is None and not self.expired(now)

    def expired(self, now: datetime) -> bool:
        """Whether its time is over."""
        return self.expires_at is not None and self.expires_at <= now

    @property
    def actions(self) -> frozenset[Action]:
        """What it may command."""
        if Scope.KILL in self.scopes:
            return frozenset({Action.LOCK, Action.CLOSE_ALL, Action.FLATTEN})
        return frozenset({Action.LOCK}) if Scope.LOCK in self.scopes else frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyUsage:
    """What a restart must not forget of a key's use."""

    key_id: str
    last_used_at: datetime
    #: Per rate bucket the instants of the requests in its window, oldest first.
    taken: Mapping[str, tuple[datetime, ...]]


def key_id_of(issuer: str) -> str | None:
    """The key behind a command's issuer; None if the issuer is no key."""
    return issuer.removeprefix(_ISSUER_PREFIX) if issuer.startswith(_ISSUER_PREFIX) else None
