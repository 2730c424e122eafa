"""The keys of the risk API: made, listed, ended, recognised.

All keys are in memory, and every change goes through here: recognising one needs no disk. So a kill is recognised while
the file is gone as well; the keys that are honoured then are those that were read at the start or made since, without
those that were revoked.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Protocol
from uuid import UUID

import structlog

from node.api.rates import Bucket, KeyRates
from node.clock import Clock
from node.domain.api_key import (
    ACTIVE_KEYS_MAX,
    ID_ALPHABET,
    ID_LENGTH,
    SECRET_ALPHABET,
    SECRET_LENGTH,
    ApiKey,
    ApiToken,
    KeyUsage,
    Scope,
    key_id_of,
)
from node.domain.rate_window import Allowance
from node.errors import JournalUnavailable, SovereignError

#: How much of a window's use a kill -9 can make us forget. One small commit, and only while keys are used.
KEEP_EVERY_S: Final = 1.0

log = structlog.get_logger(__name__)


class KeyStore(Protocol):
    """Where keys are kept. Every method that writes is one durable transaction.

    Raises:
        JournalUnavailable: from every method, when the disk will not.
    """

    async def keys(self) -> list[ApiKey]:
        """Every key there ever was, oldest first."""

    async def usages(self) -> list[KeyUsage]:
        """What is remembered of their use."""

    async def add(self, key: ApiKey) -> bool:
        """Store a new key, unless its owner has as many active ones as may be: False."""

    async def replace(self, old: ApiKey, new: ApiKey, *, ends_at: datetime) -> bool:
        """Store a new key and end the old one at an instant, or at once; False as for ``add``."""

    async def revoke(self, key_id: str, *, at: datetime) -> None:
        """End a key for good; nothing happens if it has been revoked before."""

    async def keep_usage(self, usages: Sequence[KeyUsage]) -> None:
        """Keep what keys have used, in place of what was kept before."""


class TooManyKeys(SovereignError):
    """The owner has 5 active keys: revoke one first."""

    code = "TOO_MANY_KEYS"


class NoSuchKey(SovereignError):
    """There is no such key."""

    code = "NO_SUCH_KEY"


class KeyEnded(SovereignError):
    """The key has been revoked or has expired."""

    code = "KEY_ENDED"


class NoSuchOwner(SovereignError):
    """There is no such owner in the configuration."""

    code = "NO_SUCH_OWNER"


class ForeignAccount(SovereignError):
    """That is no account of the owner's."""

    code = "FOREIGN_ACCOUNT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Whose accounts and keys they are."""

    id: str
    #: Whether what was bought includes this API.
    subscribed: bool
    accounts: frozenset[UUID]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key that was just made: the only time that its text can be seen."""

    key: ApiKey
    token: ApiToken


class Keyring:
    """All keys, in memory and in the store."""

    def __init__(self, store: KeyStore, owners: Iterable[Owner], *, clock: Clock, rates: KeyRates) -> None:
        self._store = store
        self._owners: Mapping[str, Owner] = {owner.id: owner for owner in owners}
        self._clock = clock
        self._rates = rates
        self._keys: dict[str, ApiKey] = {}
        self._known = True
        #: Compared with where there is no such key, so that the answer takes as long.
        self._nobody = ApiKey(
            id="", owner="", digest=secrets.token_bytes(32), scopes=frozenset(), accounts=None, created_at=clock.now()
        )
        #: Changes go one after the other, in memory as on disk.
        self._changing = asyncio.Lock()

    async def load(self) -> None:
        """Read every key and its use.

        Raises:
            JournalUnavailable: nothing was learnt.
        """
        keys, usages = await self._store.keys(), await self._store.usages()
        # What was revoked while it could not be written stays so.
        revoked = {key.id: key.revoked_at for key in self._keys.values() if key.revoked_at is not None}
        self._keys = {key.id: replace(key, revoked_at=key.revoked_at or revoked.get(key.id)) for key in keys}
        self._known = True
        for usage in usages:
            self._rates.load(usage)

    def begin_unread(self) -> None:
        """Begin without the keys that the store has; until they are read nobody is told that there is no such key."""
        self._known = False

    def adopt_copied(self, keys: Iterable[ApiKey]) -> None:
        """Honour the keys of a copy until those of the store can be read."""
        if not self._known:
            self._keys = {key.id: key for key in keys} | self._keys

    def may_be_unread(self, text: str) -> bool:
        """Whether this may be a key that could not be read yet."""
        return not self._known and ApiToken.parse(text) is not None

    async def create(
        self,
        owner_id: str,
        *,
        scopes: Collection[Scope] = tuple(Scope),
        accounts: Collection[UUID] | None = None,
        expires_in: timedelta | None = None,
        label: str | None = None,
    ) -> NewKey:
        """Make a key. Its text is in the answer, and never again anywhere.

        Raises:
            NoSuchOwner, ForeignAccount, TooManyKeys: there is none.
            JournalUnavailable: it is not known whether it was stored; nobody has its text.
        """
        owner = self.owner(owner_id)
        if owner is None:
            raise NoSuchOwner
        if accounts is not None and not owner.accounts.issuperset(accounts):
            raise ForeignAccount
        now = self._clock.now()
        made = self._make(
            owner_id,
            scopes=frozenset(scopes),
            accounts=None if accounts is None else frozenset(accounts),
            created_at=now,
            expires_at=None if expires_in is None else now + expires_in,
            label=label,
        )
        async with self._changing:
            with self._listed_if_in_doubt(made.key):
                added = await self._store.add(made.key)
            if not added:
                raise TooManyKeys(f"the owner has {ACTIVE_KEYS_MAX} active keys: revoke one first")
            self._keys[made.key.id] = made.key
        log.info(
            "api_key_created", key=made.key.id, owner=owner_id, scopes=sorted(scope.value for scope in made.key.scopes)
        )
        return made

    async def rotate(self, key_id: str, *, overlap: timedelta = timedelta()) -> NewKey:
        """Make a key that may do what another may, which ends after *overlap* (at most when it would have anyway).

        With an overlap both count among the owner's active ones.

        Raises:
            NoSuchKey, KeyEnded, TooManyKeys: nothing was changed.
            JournalUnavailable: as for ``create``; the old key is in force.
        """
        async with self._changing:
            old, now = self.get(key_id), self._clock.now()
            if not old.active(now):
                raise KeyEnded
            made = self._make(
                old.owner,
                scopes=old.scopes,
                accounts=old.accounts,
                created_at=now,
                expires_at=old.expires_at and now + (old.expires_at - old.created_at),
                label=old.label,
            )
            ends_at = now + overlap
            with self._listed_if_in_doubt(made.key):
                replaced = await self._store.replace(old, made.key, ends_at=ends_at)
            if not replaced:
                raise TooManyKeys(f"the owner has {ACTIVE_KEYS_MAX} active keys: rotate without an overlap")
            self._keys[made.key.id] = made.key
            if overlap:
                self._keys[old.id] = replace(old, expires_at=min(filter(None, (ends_at, old.expires_at))))
            else:
                self._keys[old.id] = replace(old, revoked_at=now)
        log.info("api_key_rotated", key=old.id, successor=made.key.id, owner=old.owner)
        return made

    async def revoke(self, key_id: str) -> ApiKey:
        """End a key, from this moment on; again is harmless.

        Raises:
            NoSuchKey: there is none.
            JournalUnavailable: it is in force here, and a restart may not know of it: try again.
        """
        async with self._changing:
            key, now = self.get(key_id), self._clock.now()
            if key.revoked_at is None:
                self._keys[key.id] = replace(key, revoked_at=now)
                log.info("api_key_revoked", key=key.id, owner=key.owner)
            # Also where it was revoked before: the disk may have failed then.
            await self._store.revoke(key.id, at=self._keys[key.id].revoked_at or now)
            return self._keys[key.id]

    def get(self, key_id: str) -> ApiKey:
        """One key.

        Raises:
            NoSuchKey: there is none.
        """
        key = self._keys.get(key_id)
        if key is None:
            raise NoSuchKey
        return key

    def keys(self, owner_id: str | None = None) -> list[ApiKey]:
        """Every key, or every key of an owner, oldest first."""
        return [key for key in self._keys.values() if owner_id in (None, key.owner)]

    def find(self, text: str) -> ApiKey | None:
        """The key whose text this is, ended or not; None if there is none."""
        token = ApiToken.parse(text)
        if token is None:
            return None
        key = self._keys.get(token.key_id, self._nobody)
        return key if key.is_secret(token) and key is not self._nobody else None

    def of_issuer(self, issuer: str) -> ApiKey | None:
        """The active key by which a command was issued; None for every other issuer."""
        key_id = key_id_of(issuer)
        key = None if key_id is None else self._keys.get(key_id)
        return key if key is not None and key.active(self._clock.now()) else None

    def owner(self, owner_id: str) -> Owner | None:
        """An owner of the configuration."""
        return self._owners.get(owner_id)

    def accounts_of(self, key: ApiKey) -> frozenset[UUID]:
        """What a key may reach now."""
        owner = self._owners.get(key.owner)
        linked = owner.accounts if owner is not None else frozenset()
        return linked if key.accounts is None else linked & key.accounts

    def is_active(self, key: ApiKey) -> bool:
        """Whether a key is neither revoked nor expired."""
        return key.active(self._clock.now())

    def take(self, key: ApiKey, bucket: Bucket) -> Allowance:
        """Count one request of a key."""
        return self._rates.take(key.id, bucket)

    def last_used_at(self, key: ApiKey) -> datetime | None:
        """When a key was last used; None if never."""
        return self._rates.last_used_at(key.id)

    async def run(self) -> None:
        """Keep the keys' use, for ever, a moment after it has changed: no request waits for that."""
        while True:
            await asyncio.sleep(KEEP_EVERY_S)
            await self.keep()

    async def keep(self) -> None:
        """Keep the keys' use now; what cannot be kept is tried again at the next call."""
        usages = self._rates.unkept()
        if not usages:
            return
        try:
            await self._store.keep_usage(usages)
        except JournalUnavailable:
            self._rates.still_unkept(usages)

    @contextmanager
    def _listed_if_in_doubt(self, key: ApiKey) -> Iterator[None]:
        """A key that may have reached the disk counts among the owner's: it must be seen, to be revoked."""
        try:
            yield
        except BaseException:
            self._keys[key.id] = key
            raise

    def _make(
        self,
        owner_id: str,
        *,
        scopes: frozenset[Scope],
        accounts: frozenset[UUID] | None,
        created_at: datetime,
        expires_at: datetime | None,
        label: str | None,
    ) -> NewKey:
        token = ApiToken(key_id=_random(ID_ALPHABET, ID_LENGTH), secret=_random(SECRET_ALPHABET, SECRET_LENGTH))
        key = ApiKey(
            id=token.key_id,
            owner=owner_id,
            digest=token.digest,
            scopes=scopes,
            accounts=accounts,
            created_at=created_at,
            expires_at=expires_at,
            label=label,
        )
        return NewKey(key=key, token=token)


def _random(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))
