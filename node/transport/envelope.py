"""Command envelopes: received bytes to a verified request, and a request to signed bytes (design 5.1).

A JWS in compact serialisation (RFC 7515), signed with Ed25519 (RFC 8037). The signature is checked over the bytes
as received; the algorithm is ours, never the sender's choice. Time, permission and agreement with the topic are
the inbox's business.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID, uuid4

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from jwt.api_jws import PyJWS
from pydantic import ValidationError

from node.domain.command import ALL_ACCOUNTS, Action, RejectCode, content_digest
from node.transport.claims import Claims, Parameters, describe, parse_json_object
from node.transport.issuer_key import IssuerKey
from node.transport.topics import AccountTarget

#: Longer ones are refused unread.
MAX_ENVELOPE_BYTES: Final = 16 * 1024

#: More than an interpreter wants to see of a function before it specialises it.
REHEARSALS: Final = 20

_ALGORITHM: Final = "EdDSA"
_TYPE: Final = "sn-cmd+jws"
_HEADER_MEMBERS: Final = frozenset({"alg", "kid", "typ"})
_LONGEST_KEY_ID: Final = 128
_JWS: Final = PyJWS(algorithms=[_ALGORITHM])


class EnvelopeRejected(Exception):
    """The envelope is not a command.

    ``issuer``, ``command_id`` and ``account`` are filled only after the signature was verified: then a known issuer
    really sent it, and is owed an answer.
    """

    def __init__(
        self,
        code: RejectCode,
        message: str,
        *,
        issuer: str | None = None,
        command_id: UUID | None = None,
        account: AccountTarget | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.issuer = issuer
        self.command_id = command_id
        self.account = account


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRequest:
    """What a known issuer signed, checked for form."""

    command_id: UUID
    issuer: str
    account: AccountTarget
    action: Action
    #: Unified symbols, sorted, each once; empty means all.
    symbols: tuple[str, ...]
    #: Overrides the account's lock_on_close; None leaves it.
    latch: bool | None
    dry_run: bool
    reason: str | None
    epoch: int | None
    issued_at: datetime
    expires_at: datetime
    #: Sha256 over action, account and parameters, without times: a command signed anew is the same command.
    content_digest: str
    #: The bytes as received.
    envelope: bytes


class EnvelopeVerifier:
    """Checks envelopes against one tenant and its issuers' public keys (issuer id to Ed25519 key)."""

    def __init__(self, *, tenant: str, public_keys: Mapping[str, Ed25519PublicKey]) -> None:
        self._tenant = tenant
        self._public_keys = dict(public_keys)

    def verify(self, envelope: bytes) -> SignedRequest:
        """The request that the bytes carry.

        Raises:
            EnvelopeRejected: MALFORMED, UNKNOWN_ISSUER, BAD_SIGNATURE, or FORBIDDEN for another tenant's.
        """
        issuer, payload, signature = _taken_apart(envelope)
        key = self._public_keys.get(issuer)
        if key is None:
            raise EnvelopeRejected(RejectCode.UNKNOWN_ISSUER, "no such issuer")
        try:
            # Not by PyJWT: it looks at every byte of every segment in Python, a millisecond for a long envelope, and a
            # flood of those would hold up the good command. Form and header have been checked above, to the letter.
            key.verify(signature, envelope.rpartition(b".")[0])
        except InvalidSignature:
            raise EnvelopeRejected(RejectCode.BAD_SIGNATURE, "the signature is not the issuer's") from None
        return self._read_claims(envelope, issuer, payload)

    def _read_claims(self, envelope: bytes, issuer: str, payload: bytes) -> SignedRequest:
        """From here on the issuer is known: faults name it, and the command as far as it can be told."""
        try:
            document = parse_json_object(payload)
        except ValueError:
            raise EnvelopeRejected(RejectCode.MALFORMED, "the claims are not JSON", issuer=issuer) from None
        command_id, account = _identify(document)

        def rejected(code: RejectCode, message: str) -> EnvelopeRejected:
            return EnvelopeRejected(code, message, issuer=issuer, command_id=command_id, account=account)

        try:
            claims = Claims.model_validate(document)
        except ValidationError as error:
            raise rejected(RejectCode.MALFORMED, describe(error)) from None
        if claims.iss != issuer:
            raise rejected(RejectCode.MALFORMED, "iss: not the issuer that signed")
        if claims.aud != self._tenant:
            raise rejected(RejectCode.FORBIDDEN, "aud: another tenant")
        return _request(claims, envelope)


def sign_command(
    key: IssuerKey,
    *,
    tenant: str,
    command_id: UUID,
    account: AccountTarget,
    action: Action,
    issued_at: datetime,
    expires_at: datetime,
    symbols: Sequence[str] = (),
    latch: bool | None = None,
    dry_run: bool = False,
    reason: str | None = None,
    epoch: int | None = None,
) -> bytes:
    """An envelope that a node of the tenant accepts. Send the same bytes until it answers.

    Raises:
        ValueError: the node would refuse it as malformed.
    """
    params = {
        "symbols": list(symbols) or None,
        "latch": latch,
        "dry_run": dry_run or None,
        "reason": reason,
        "epoch": epoch,
    }
    document: dict[str, object] = {
        "jti": str(command_id),
        "iss": key.issuer,
        "aud": tenant,
        "iat": issued_at.timestamp(),
        "exp": expires_at.timestamp(),
        "account_id": str(account),
        "action": action.value,
        "params": {name: value for name, value in params.items() if value is not None},
    }
    try:
        Claims.model_validate(document)
    except ValidationError as error:
        raise ValueError(describe(error)) from None
    payload = json.dumps(document, separators=(",", ":")).encode()
    envelope = _JWS.encode(payload, key.private_key, _ALGORITHM, {"kid": key.issuer, "typ": _TYPE}).encode()
    if len(envelope) > MAX_ENVELOPE_BYTES:
        raise ValueError(f"the envelope is longer than {MAX_ENVELOPE_BYTES} bytes")
    return envelope


def rehearse(tenant: str) -> None:
    """Verify a command of nobody's as often as an interpreter wants to see code before it makes it fast."""
    key, now = IssuerKey.generate("rehearsal"), datetime.now(UTC)
    envelope = sign_command(
        key,
        tenant=tenant,
        command_id=uuid4(),
        account=uuid4(),
        action=Action.CLOSE_ALL,
        issued_at=now,
        expires_at=now + timedelta(seconds=60),
    )
    verifier = EnvelopeVerifier(tenant=tenant, public_keys={key.issuer: key.private_key.public_key()})
    for _ in range(REHEARSALS):
        verifier.verify(envelope)


def _taken_apart(envelope: bytes) -> tuple[str, bytes, bytes]:
    """The claimed issuer, the payload, the signature. The header is checked before any key is chosen, so that nothing
    in it can choose how.
    """
    if len(envelope) > MAX_ENVELOPE_BYTES:
        raise EnvelopeRejected(RejectCode.MALFORMED, f"longer than {MAX_ENVELOPE_BYTES} bytes")
    segments = envelope.split(b".")
    if len(segments) != 3 or not all(segments):
        raise EnvelopeRejected(RejectCode.MALFORMED, "not a JWS in compact serialisation")
    try:
        header, payload, signature = (_decode_base64url(segment) for segment in segments)
        members = parse_json_object(header)
    except ValueError:
        raise EnvelopeRejected(RejectCode.MALFORMED, "not a JWS in compact serialisation") from None
    if members.keys() != _HEADER_MEMBERS:
        raise EnvelopeRejected(RejectCode.MALFORMED, "the header has alg, kid and typ, and nothing else")
    if members["alg"] != _ALGORITHM or members["typ"] != _TYPE:
        raise EnvelopeRejected(RejectCode.MALFORMED, f"the header has alg {_ALGORITHM} and typ {_TYPE}")
    key_id = members["kid"]
    if not isinstance(key_id, str) or not 0 < len(key_id) <= _LONGEST_KEY_ID:
        raise EnvelopeRejected(RejectCode.MALFORMED, "kid is not an issuer's id")
    return key_id, payload, signature


def _decode_base64url(segment: bytes) -> bytes:
    """Unpadded and canonical only (RFC 7515, 2): one signature, one spelling."""
    try:
        decoded = base64.b64decode(segment + b"=" * (-len(segment) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        raise ValueError("not base64url") from None
    if base64.urlsafe_b64encode(decoded).rstrip(b"=") != segment:
        raise ValueError("not canonical base64url")
    return decoded


def _identify(document: Mapping[str, object]) -> tuple[UUID | None, AccountTarget | None]:
    """Command and account of claims that may be wrong elsewhere."""
    return _uuid_or_none(document.get("jti")), (
        ALL_ACCOUNTS if document.get("account_id") == ALL_ACCOUNTS else _uuid_or_none(document.get("account_id"))
    )


def _uuid_or_none(value: object) -> UUID | None:
    try:
        parsed = UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return parsed if str(parsed) == value else None


def _request(claims: Claims, envelope: bytes) -> SignedRequest:
    params: Parameters = claims.params
    symbols = tuple(sorted(set(params.symbols or ())))
    return SignedRequest(
        command_id=claims.jti,
        issuer=claims.iss,
        account=claims.account_id,
        action=claims.action,
        symbols=symbols,
        latch=params.latch,
        dry_run=params.dry_run,
        reason=params.reason,
        epoch=params.epoch,
        issued_at=claims.iat,
        expires_at=claims.exp,
        content_digest=content_digest(
            action=claims.action,
            account=str(claims.account_id),
            symbols=symbols,
            latch=params.latch,
            dry_run=params.dry_run,
            reason=params.reason,
            epoch=params.epoch,
        ),
        envelope=envelope,
    )
