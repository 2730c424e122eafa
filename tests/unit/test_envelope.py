"""Command envelopes: what is accepted, what is refused, and how (design 5.1)."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import sys
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from node.domain.command import Action, RejectCode
from node.transport.envelope import (
    MAX_ENVELOPE_BYTES,
    EnvelopeRejected,
    EnvelopeVerifier,
    SignedRequest,
    sign_command,
)
from node.transport.issuer_key import IssuerKey, decode_public_key

ACCOUNT = UUID("6b0c8d1e-0f5a-4d3b-9c1e-5a2f7c9d0e11")
COMMAND = UUID("0193a3c0-7b1d-7c3e-8f00-1234567890ab")
ISSUED = datetime(2026, 11, 20, 10, 0, 0, 161_000, tzinfo=UTC)
HEADER: dict[str, Any] = {"alg": "EdDSA", "kid": "desk", "typ": "sn-cmd+jws"}
CLAIMS: dict[str, Any] = {
    "jti": str(COMMAND),
    "iss": "desk",
    "aud": "acme",
    "iat": 1_795_000_000.25,
    "exp": 1_795_000_060,
    "account_id": str(ACCOUNT),
    "action": "CLOSE_ALL",
}
DESK = IssuerKey.generate("desk")
VERIFIER = EnvelopeVerifier(tenant="acme", public_keys={"desk": decode_public_key(DESK.public_key)})


def base64url(raw: bytes) -> bytes:
    """Unpadded, as RFC 7515 wants it."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def sealed(payload: bytes, header: bytes | None = None, key: IssuerKey = DESK) -> bytes:
    """Sign by hand: independent of the code under test."""
    head = json.dumps(HEADER).encode() if header is None else header
    signing_input = base64url(head) + b"." + base64url(payload)
    return signing_input + b"." + base64url(key.private_key.sign(signing_input))


def envelope(*, without: str = "", **changed: Any) -> bytes:
    """A good envelope, but for the claims named."""
    claims = CLAIMS | changed
    claims.pop(without, None)
    return sealed(json.dumps(claims).encode())


def rejection(raw: bytes) -> EnvelopeRejected:
    """How the bytes are refused; being accepted fails the test."""
    with pytest.raises(EnvelopeRejected) as caught:
        VERIFIER.verify(raw)
    return caught.value


def signed(**changed: Any) -> SignedRequest:
    """A request after signing and verifying."""
    arguments: dict[str, Any] = {
        "tenant": "acme",
        "command_id": COMMAND,
        "account": ACCOUNT,
        "action": Action.CLOSE_ALL,
        "issued_at": ISSUED,
        "expires_at": ISSUED + timedelta(seconds=30),
    }
    return VERIFIER.verify(sign_command(DESK, **(arguments | changed)))


def test_what_is_signed_is_what_arrives() -> None:
    """Every field of a request survives signing and verifying."""
    request = signed(symbols=["ETH/USDT:USDT", "BTC/USDT:USDT"], latch=False, dry_run=True, reason="Übung")
    assert request == SignedRequest(
        command_id=COMMAND,
        issuer="desk",
        account=ACCOUNT,
        action=Action.CLOSE_ALL,
        symbols=("BTC/USDT:USDT", "ETH/USDT:USDT"),
        latch=False,
        dry_run=True,
        reason="Übung",
        epoch=None,
        issued_at=ISSUED,
        expires_at=ISSUED + timedelta(seconds=30),
        content_digest=request.content_digest,
        envelope=request.envelope,
    )


def test_an_envelope_of_another_maker_is_accepted() -> None:
    """Header and claims in any order, with or without fractions of a second."""
    request = VERIFIER.verify(sealed(json.dumps(CLAIMS).encode(), b'{"typ":"sn-cmd+jws","kid":"desk","alg":"EdDSA"}'))
    assert request.issued_at == datetime.fromtimestamp(1_795_000_000, UTC) + timedelta(milliseconds=250)
    assert request.symbols == ()
    assert request.latch is None


def test_every_account_is_one_target() -> None:
    """A star is kept as a star: the journal expands it."""
    assert signed(account="*", action=Action.LOCK).account == "*"


def test_the_same_command_signed_again_has_the_same_content() -> None:
    """Times and signature are not content; action, account and parameters are."""
    first = signed()
    later = signed(issued_at=ISSUED + timedelta(seconds=5), expires_at=ISSUED + timedelta(seconds=50))
    assert first.envelope != later.envelope
    assert first.content_digest == later.content_digest
    others = [
        signed(action=Action.FLATTEN),
        signed(account="*"),
        signed(symbols=["BTC/USDT:USDT"]),
        signed(latch=True),
        signed(dry_run=True),
        signed(reason="x"),
    ]
    assert len({request.content_digest for request in [first, *others]}) == 7


def test_the_order_of_symbols_is_not_content() -> None:
    """A set of symbols means the same in any order."""
    assert signed(symbols=["A", "B"]).content_digest == signed(symbols=["B", "A", "B"]).content_digest


@pytest.mark.parametrize(
    "claims",
    [
        {"jti": str(COMMAND).upper()},
        {"jti": COMMAND.hex},
        {"jti": f"{{{COMMAND}}}"},
        {"jti": 7},
        {"iss": ""},
        {"aud": ["acme"]},
        {"iat": True},
        {"iat": "1795000000"},
        {"iat": -1},
        {"iat": 10**400},
        {"exp": 1e300},
        {"exp": None},
        {"account_id": str(ACCOUNT).upper()},
        {"account_id": "all"},
        {"account_id": None},
        {"action": "close_all"},
        {"action": "DETONATE"},
        {"action": ["LOCK"]},
        {"nbf": 1},
        {"params": None},
        {"params": []},
        {"params": {"force": True}},
        {"params": {"symbols": []}},
        {"params": {"symbols": [""]}},
        {"params": {"symbols": ["x" * 65]}},
        {"params": {"symbols": ["BTC/USDT"] * 201}},
        {"params": {"symbols": "BTC/USDT"}},
        {"params": {"symbols": None}},
        {"params": {"symbols": ["\ud800"]}},
        {"action": "FLATTEN", "params": {"symbols": ["BTC/USDT"]}},
        {"action": "LOCK", "params": {"latch": True}},
        {"action": "UNLOCK", "params": {"latch": True, "epoch": 1}},
        {"params": {"latch": 1}},
        {"params": {"dry_run": "yes"}},
        {"params": {"reason": "x" * 257}},
        {"params": {"reason": 5}},
        {"params": {"epoch": -1}},
        {"params": {"epoch": 1.0}},
        {"params": {"epoch": True}},
        {"params": {"epoch": 2**63}},
        {"action": "UNLOCK"},
        {"action": "UNLOCK", "params": {"epoch": 3}, "account_id": "*"},
        {"action": "UNLOCK", "params": {"epoch": 3, "dry_run": True}},
    ],
)
def test_claims_that_are_not_the_contracts_are_malformed(claims: dict[str, Any]) -> None:
    """Nothing is coerced, nothing unknown is skipped; the issuer is named because it did sign."""
    refused = rejection(envelope(**claims))
    assert refused.code is RejectCode.MALFORMED
    assert refused.issuer == "desk"
    assert refused.message


@pytest.mark.parametrize("claim", list(CLAIMS))
def test_no_claim_may_be_missing(claim: str) -> None:
    """Every claim but params is required."""
    assert rejection(envelope(without=claim)).code is RejectCode.MALFORMED


def test_a_refusal_names_the_command_as_far_as_it_can_be_told() -> None:
    """The sender of a signed but malformed command can be answered."""
    refused = rejection(envelope(action="NOPE"))
    assert (refused.issuer, refused.command_id, refused.account) == ("desk", COMMAND, ACCOUNT)
    assert rejection(envelope(action="NOPE", jti="x", account_id="*")).account == "*"


def test_a_refusal_does_not_repeat_what_was_sent() -> None:
    """Values stay out of messages: they end in logs."""
    refused = rejection(envelope(params={"reason": 1234567}))
    assert "1234567" not in refused.message
    assert "params.reason" in refused.message


@pytest.mark.parametrize(
    "payload",
    [
        b'{"action":"LOCK","action":"UNLOCK"}',
        json.dumps(CLAIMS).replace('"params"', "").encode()[:-1] + b',"params":{"latch":true,"latch":false}}',
        json.dumps(CLAIMS).encode().replace(b"1795000060", b"NaN"),
        json.dumps(CLAIMS).encode().replace(b"1795000060", b"Infinity"),
        json.dumps(CLAIMS).encode().replace(b"1795000060", b"1e999"),
        b"[" * 11_000,
        b"[]",
        b"null",
        b"{}",
        b"\xff\xfe",
        b"\xef\xbb\xbf{}",
        json.dumps(CLAIMS).encode() + b"{}",
    ],
)
def test_json_with_two_meanings_is_malformed(payload: bytes) -> None:
    """Duplicate keys, NaN, depth bombs and non-objects, although signed."""
    refused = rejection(sealed(payload))
    assert (refused.code, refused.issuer) == (RejectCode.MALFORMED, "desk")


def test_another_tenants_command_is_forbidden() -> None:
    """The audience is part of what was signed."""
    refused = rejection(envelope(aud="globex"))
    assert (refused.code, refused.issuer, refused.command_id) == (RejectCode.FORBIDDEN, "desk", COMMAND)


def test_an_issuer_cannot_sign_for_another() -> None:
    """iss and kid must be one: who signed is who asks."""
    assert rejection(envelope(iss="boss")).code is RejectCode.MALFORMED


def test_an_unknown_issuer_is_unknown() -> None:
    """Nothing is filled in: nobody we know sent it."""
    refused = rejection(
        sealed(json.dumps(CLAIMS | {"iss": "eve"}).encode(), json.dumps(HEADER | {"kid": "eve"}).encode())
    )
    assert (refused.code, refused.issuer, refused.command_id) == (RejectCode.UNKNOWN_ISSUER, None, None)


def test_a_forged_signature_is_bad() -> None:
    """Another key under a known name; nothing of the content is believed."""
    refused = rejection(sealed(json.dumps(CLAIMS).encode(), key=IssuerKey.generate("desk")))
    assert (refused.code, refused.issuer, refused.command_id) == (RejectCode.BAD_SIGNATURE, None, None)


def test_a_signature_of_another_curve_is_bad() -> None:
    """EdDSA also names Ed448: the key decides."""
    signing_input = base64url(json.dumps(HEADER).encode()) + b"." + base64url(json.dumps(CLAIMS).encode())
    raw = signing_input + b"." + base64url(Ed448PrivateKey.generate().sign(signing_input))
    assert rejection(raw).code is RejectCode.BAD_SIGNATURE


def test_a_tampered_payload_is_bad() -> None:
    """The signature covers the bytes: other claims under it are refused."""
    head, _, signature = envelope().split(b".")
    forged = base64url(json.dumps(CLAIMS | {"action": "UNLOCK", "params": {"epoch": 1}}).encode())
    assert rejection(b".".join([head, forged, signature])).code is RejectCode.BAD_SIGNATURE


@given(st.integers(min_value=0, max_value=10_000), st.integers(min_value=1, max_value=255))
def test_no_changed_byte_is_accepted(position: int, change: int) -> None:
    """One flipped byte anywhere in an envelope is enough."""
    raw = bytearray(signed().envelope)
    raw[position % len(raw)] ^= change
    assert rejection(bytes(raw)).code in (
        RejectCode.MALFORMED,
        RejectCode.BAD_SIGNATURE,
        RejectCode.UNKNOWN_ISSUER,
    )


@pytest.mark.parametrize(
    "header",
    [
        HEADER | {"alg": "none"},
        HEADER | {"alg": "HS256"},
        HEADER | {"alg": "ES256"},
        HEADER | {"alg": "eddsa"},
        HEADER | {"alg": ["EdDSA"]},
        HEADER | {"typ": "JWT"},
        HEADER | {"typ": "SN-CMD+JWS"},
        HEADER | {"kid": ""},
        HEADER | {"kid": 1},
        HEADER | {"kid": "x" * 129},
        HEADER | {"crit": ["exp"]},
        HEADER | {"b64": False},
        HEADER | {"jwk": {"kty": "OKP"}},
        HEADER | {"x5c": ["MIIB"]},
        HEADER | {"cty": "json"},
        {"alg": "EdDSA", "kid": "desk"},
        {"alg": "EdDSA", "typ": "sn-cmd+jws"},
        [],
    ],
)
def test_a_header_decides_nothing(header: Any) -> None:
    """Exactly alg, kid and typ with our values: no algorithm, key or extension of the sender's choice."""
    refused = rejection(sealed(json.dumps(CLAIMS).encode(), json.dumps(header).encode()))
    assert (refused.code, refused.issuer) == (RejectCode.MALFORMED, None)


def test_a_header_with_a_key_twice_is_malformed() -> None:
    """Two parsers could read two headers."""
    header = b'{"alg":"none","alg":"EdDSA","kid":"desk","typ":"sn-cmd+jws"}'
    assert rejection(sealed(json.dumps(CLAIMS).encode(), header)).code is RejectCode.MALFORMED


def test_the_public_key_is_not_an_hmac_secret() -> None:
    """The classic confusion: HS256 keyed with the public key."""
    head = base64url(json.dumps(HEADER | {"alg": "HS256"}).encode())
    signing_input = head + b"." + base64url(json.dumps(CLAIMS).encode())
    tag = hmac.new(DESK.public_bytes, signing_input, hashlib.sha256).digest()
    assert rejection(signing_input + b"." + base64url(tag)).code is RejectCode.MALFORMED


def test_an_unsigned_envelope_is_malformed() -> None:
    """Alg none with an empty signature."""
    head = base64url(json.dumps(HEADER | {"alg": "none"}).encode())
    assert rejection(head + b"." + base64url(json.dumps(CLAIMS).encode()) + b".").code is RejectCode.MALFORMED


def test_padding_and_other_spellings_are_malformed() -> None:
    """One envelope, one spelling: no padding, no line breaks, no stray bits."""
    raw = envelope()
    for other in (raw + b"=", raw + b"\n", b" " + raw, raw.replace(b".", b"..", 1), raw + b".x"):
        assert rejection(other).code is RejectCode.MALFORMED


def test_a_signature_with_stray_bits_is_malformed() -> None:
    """64 bytes leave four unused bits in base64: they must be zero."""
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    raw = envelope()
    neighbour = alphabet[alphabet.index(raw[-1]) + 1]
    assert rejection(raw[:-1] + bytes([neighbour])).code is RejectCode.MALFORMED


def test_sixteen_kibibytes_are_the_limit() -> None:
    """Two hundred long symbols fit; more is refused before it is read, and not signed either."""
    symbols = [f"{number:03}".ljust(40, "x") for number in range(200)]
    assert len(signed(symbols=symbols).envelope) <= MAX_ENVELOPE_BYTES
    assert rejection(b"a" * (MAX_ENVELOPE_BYTES + 1)).code is RejectCode.MALFORMED
    with pytest.raises(ValueError, match="16384"):
        signed(symbols=[f"{number:03}".ljust(64, "x") for number in range(200)])


def test_what_the_node_would_refuse_is_not_signed() -> None:
    """The sender learns it before it sends."""
    with pytest.raises(ValueError, match="epoch"):
        signed(action=Action.UNLOCK)


@given(st.binary(max_size=600))
def test_random_bytes_are_only_ever_rejected(raw: bytes) -> None:
    """Whatever arrives: no other exception, no issuer."""
    assert rejection(raw).issuer is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*CLAIMS, "params"]), json_values))
def test_any_signed_json_is_accepted_or_rejected(changed: dict[str, Any]) -> None:
    """A known issuer's nonsense raises nothing but a rejection either."""
    with contextlib.suppress(EnvelopeRejected):
        assert VERIFIER.verify(envelope(**changed)).issuer == "desk"


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_any_signed_bytes_are_only_rejected(header: bytes, payload: bytes) -> None:
    """Random segments with a valid signature over them."""
    assert rejection(sealed(payload, header)).issuer is None
    assert rejection(sealed(payload)).code is RejectCode.MALFORMED


def test_a_long_envelope_is_refused_with_as_few_steps_as_a_short_one() -> None:
    """A flood of long ones must not hold up the good command behind it: nothing in Python goes over it byte by byte."""

    def steps(payload: bytes) -> int:
        header, _, signature = envelope().split(b".")
        raw, counted = b".".join((header, payload, signature)), 0

        def count(_frame: object, event: str, _argument: object) -> None:
            nonlocal counted
            counted += event == "call"

        sys.setprofile(count)
        try:
            refused = rejection(raw)
        finally:
            sys.setprofile(None)
        assert refused.code is RejectCode.BAD_SIGNATURE
        return counted

    steps(b"A" * 40)  # what is only done the first time
    assert steps(b"A" * 15_000) == steps(b"A" * 40)
