"""Webhook keys: made, listed, revoked, recognised. Kept as hashes; shown once; good for a year."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, Protocol

import structlog

from node.clock import Clock
from node.domain.api_key import SECRET_ALPHABET, SECRET_LENGTH
from node.errors import SovereignError

NAME_LENGTH_MAX: Final = 100
LIFE: Final = timedelta(days=365)

_PREFIX: Final = "wh_key_"
#: Crockford's alphabet: what ULIDs are written in (github.com/ulid/spec).
_BASE32: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_ULID_LENGTH: Final = 26
_RANDOM_BITS: Final = 80
_PATTERN: Final = re.compile(
    rf"{_PREFIX}(?P<id>[{_BASE32}]{{{_ULID_LENGTH}}})_(?P<secret>[A-Za-z0-9]{{{SECRET_LENGTH}}})"
)

log = structlog.get_logger(__name__)


class NoSuchKey(SovereignError):
    """There is no such key."""

    code = "NO_SUCH_KEY"


class NoSuchUser(SovereignError):
    """There is no such owner in the configuration; with several, one must be named."""

    code = "NO_SUCH_USER"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookKey:
    """A key as it is kept."""

    id: str
    owner: str
    name: str
    digest: bytes = field(repr=False)
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None

    def status(self, now: datetime) -> str:
        """``Active``, ``Revoked`` or ``Expired``."""
        if self.revoked_at is not None:
            return "Revoked"
        return "Expired" if self.expires_at <= now else "Active"


class WebhookKeyStore(Protocol):
    """Where keys are kept. Every method raises JournalUnavailable when the disk will not."""

    async def keys(self) -> list[WebhookKey]:
        """Every key there ever was, oldest first."""

    async def add_key(self, key: WebhookKey) -> None:
        """Store a new key."""

    async def revoke_key(self, key_id: str, *, at: datetime) -> None:
        """End a key; nothing happens if it has been revoked before."""


class WebhookKeys:
    """All keys, in memory and in the store: recognising one needs no disk."""

    def __init__(self, store: WebhookKeyStore, owners: Collection[str], clock: Clock) -> None:
        self._store = store
        self._owners = tuple(owners)
        self._clock = clock
        self._keys: dict[str, WebhookKey] = {}
        #: Compared with where there is no such key, so that the answer takes as long.
        self._nobody = secrets.token_bytes(32)
        self._changing = asyncio.Lock()

    async def load(self) -> None:
        """Read every key.

        Raises:
            JournalUnavailable: nothing was learnt.
        """
        self._keys = {key.id: key for key in await self._store.keys()}

    async def create(self, name: str, owner: str | None = None) -> tuple[WebhookKey, str]:
        """Make a key; its text is in the answer, and never again anywhere.

        Raises:
            NoSuchUser: there is no such owner, or it must be named.
            JournalUnavailable: it is not known whether it was stored; nobody has its text.
        """
        owner = owner or (self._owners[0] if len(self._owners) == 1 else "")
        if owner not in self._owners:
            raise NoSuchUser
        now = self._clock.now()
        secret = "".join(secrets.choice(SECRET_ALPHABET) for _ in range(SECRET_LENGTH))
        key = WebhookKey(
            id=ulid(now), owner=owner, name=name, digest=_digest(secret), created_at=now, expires_at=now + LIFE
        )
        async with self._changing:
            try:
                await self._store.add_key(key)
            finally:  # what may have reached the disk must be seen, to be revoked
                self._keys[key.id] = key
        log.info("webhook_key_created", key=key.id, owner=owner)
        return key, f"{_PREFIX}{key.id}_{secret}"

    async def revoke(self, key_id: str) -> bool:
        """End a key, from this moment on; False if it had ended by revocation before.

        Raises:
            NoSuchKey: there is none.
            JournalUnavailable: it is in force here, and a restart may not know of it: try again.
        """
        async with self._changing:
            key, now = self._keys.get(key_id), self._clock.now()
            if key is None:
                raise NoSuchKey
            first = key.revoked_at is None
            if first:
                self._keys[key.id] = key = replace(key, revoked_at=now)
                log.info("webhook_key_revoked", key=key.id, owner=key.owner)
            # Also where it was revoked before: the disk may have failed then.
            await self._store.revoke_key(key.id, at=key.revoked_at or now)
            return first

    def keys(self, owner: str | None = None) -> list[WebhookKey]:
        """Every key, or every key of an owner, oldest first."""
        return [key for key in self._keys.values() if owner in (None, key.owner)]

    def find(self, text: str) -> WebhookKey | None:
        """The key whose text this is, ended or not."""
        parts = _PATTERN.fullmatch(text)
        key = self._keys.get(parts["id"]) if parts is not None else None
        secret = parts["secret"] if parts is not None else text
        fits = hmac.compare_digest(_digest(secret), key.digest if key is not None else self._nobody)
        return key if fits else None

    def status(self, key: WebhookKey) -> str:
        """As it is now, whenever *key* was looked at."""
        return self._keys.get(key.id, key).status(self._clock.now())

    @property
    def owners(self) -> tuple[str, ...]:
        """Whose keys there may be."""
        return self._owners


def ulid(now: datetime) -> str:
    """A ULID: milliseconds since 1970, then 80 random bits."""
    value = (int(now.timestamp() * 1000) << _RANDOM_BITS) | secrets.randbits(_RANDOM_BITS)
    return "".join(_BASE32[(value >> (5 * place)) & 31] for place in reversed(range(_ULID_LENGTH)))


def _digest(secret: str) -> bytes:
    # JSON can hold half a surrogate pair, which UTF-8 cannot.
    return hashlib.sha256(secret.encode(errors="surrogatepass")).digest()
