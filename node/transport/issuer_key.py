"""Issuers' keys: a private key as a JWK file (RFC 8037), a public key as base64 of its 32 bytes."""

from __future__ import annotations

import base64
import binascii
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from node.plain_files import read_text

_KEY_BYTES: Final = 32
_MEMBERS: Final = ("kty", "crv", "kid", "x", "d")


class KeyFileError(ValueError):
    """The file is not the private key of an issuer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerKey:
    """The private key with which an issuer signs; it never shows in a repr."""

    issuer: str
    private_key: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def generate(cls, issuer: str) -> IssuerKey:
        """A new key."""
        return cls(issuer=issuer, private_key=Ed25519PrivateKey.generate())

    @classmethod
    def load(cls, path: Path) -> IssuerKey:
        """The key in a file that ``save`` wrote.

        Raises:
            KeyFileError: the file is something else, or its halves do not belong together.
            OSError: it cannot be read.
        """
        try:
            return cls.parse(read_text(path, encoding="utf-8"))
        except ValueError:
            raise KeyFileError(f"{path} does not hold an Ed25519 private key as a JWK") from None

    @classmethod
    def parse(cls, text: str) -> IssuerKey:
        """The key in the content of such a file.

        Raises:
            KeyFileError: as ``load``.
        """
        try:
            members = json.loads(text)
            kty, crv, issuer, public, private = (members[name] for name in _MEMBERS)
            key = cls(issuer=issuer, private_key=Ed25519PrivateKey.from_private_bytes(_from_base64url(private)))
            sound = (kty, crv) == ("OKP", "Ed25519") and isinstance(issuer, str) and bool(issuer)
            sound = sound and public == _to_base64url(key.public_bytes)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise KeyFileError("not an Ed25519 private key as a JWK") from None
        if not sound:
            raise KeyFileError("not an Ed25519 private key as a JWK")
        return key

    def save(self, path: Path) -> None:
        """Write the key for its owner's eyes only.

        Raises:
            FileExistsError: there is a file already: a key is never overwritten.
        """
        members = ("OKP", "Ed25519", self.issuer, _to_base64url(self.public_bytes), _to_base64url(self._private_bytes))
        document = json.dumps(dict(zip(_MEMBERS, members, strict=True)), indent=1) + "\n"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(document)
            file.flush()
            os.fsync(file.fileno())

    @property
    def public_bytes(self) -> bytes:
        """The 32 bytes of the public key."""
        return self.private_key.public_key().public_bytes_raw()

    @property
    def public_key(self) -> str:
        """The public key as the node's configuration wants it."""
        return base64.b64encode(self.public_bytes).decode()

    @property
    def _private_bytes(self) -> bytes:
        return self.private_key.private_bytes_raw()


def decode_public_key(text: str) -> Ed25519PublicKey:
    """A public key from the configuration: base64 of the 32 raw bytes.

    Raises:
        ValueError: it is not that.
    """
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("a public key is base64 of 32 bytes") from None
    if len(raw) != _KEY_BYTES:
        raise ValueError("a public key is base64 of 32 bytes")
    return Ed25519PublicKey.from_public_bytes(raw)


def _to_base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _from_base64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
