"""API keys of the simulated accounts. Each account has two: the client's under test, and one for a rival engine."""

from __future__ import annotations

import random
import secrets
import string
from dataclasses import dataclass, field

from node.sim.orders import Origin

_ALPHABET = string.ascii_letters + string.digits


@dataclass(slots=True, kw_only=True)
class KeyRights:
    """What a key may do."""

    spot: bool = True
    futures: bool = True
    options: bool = False
    margin: bool = True  # borrow and repay; orders on margin need only the right to trade spot
    convert: bool = True
    withdrawals: bool = False
    ip_restricted: bool = True


@dataclass(slots=True, kw_only=True)
class ApiKey:
    """One key pair of an account."""

    account: str
    role: Origin
    public: str
    secret: str
    passphrase: str = ""  # at venues that ask for one
    rights: KeyRights = field(default_factory=KeyRights)
    revoked: bool = False

    @property
    def name(self) -> str:
        """How the request journal calls the key; never the key itself."""
        return f"{self.account}/{self.role}"

    @property
    def credentials(self) -> dict[str, str]:
        """The pair under ccxt's names."""
        named = {"apiKey": self.public, "secret": self.secret}
        return {**named, "password": self.passphrase} if self.passphrase else named


class KeyRing:
    """All keys. They outlive a reset, so that a client need not be configured anew."""

    def __init__(self, seed: int | None = None, *, passphrases: bool = False) -> None:
        self._passphrases = passphrases
        self._random = random.Random(seed) if seed is not None else secrets.SystemRandom()  # noqa: S311 - wanted
        self.by_public: dict[str, ApiKey] = {}

    def issue(self, account: str) -> None:
        """Make both keys of an account, once."""
        for role in (Origin.CLIENT, Origin.ENGINE):
            if self.find(account, role) is None:
                key = ApiKey(account=account, role=role, public=self._word(), secret=self._word())
                key.passphrase = self._word()[:20] if self._passphrases else ""
                self.by_public[key.public] = key

    def find(self, account: str, role: Origin = Origin.CLIENT) -> ApiKey | None:
        """An account's key, if it was issued."""
        return next((k for k in self.by_public.values() if k.account == account and k.role is role), None)

    def restore(self) -> None:
        """Undo revocations and changed rights."""
        for key in self.by_public.values():
            key.revoked = False
            key.rights = KeyRights()

    def _word(self) -> str:
        return "".join(self._random.choice(_ALPHABET) for _ in range(64))
