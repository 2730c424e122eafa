"""Issuers' key files."""

from __future__ import annotations

import base64
import contextlib
import json
import stat
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from node.settings_fields import public_key_bytes
from node.transport.issuer_key import IssuerKey, KeyFileError, decode_public_key


def test_a_saved_key_is_its_owners_alone_and_loads_again(tmp_path: Path) -> None:
    """Mode 0600, a JWK, the same key."""
    path = tmp_path / "desk.key"
    key = IssuerKey.generate("desk")
    key.save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    members = json.loads(path.read_text())
    assert (members["kty"], members["crv"], members["kid"]) == ("OKP", "Ed25519", "desk")
    loaded = IssuerKey.load(path)
    assert (loaded.issuer, loaded.public_key) == ("desk", key.public_key)


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    """A second key under the same name would lock the issuer out."""
    path = tmp_path / "desk.key"
    IssuerKey.generate("desk").save(path)
    before = path.read_bytes()
    with pytest.raises(FileExistsError):
        IssuerKey.generate("desk").save(path)
    assert path.read_bytes() == before


def test_the_private_half_does_not_show() -> None:
    """A key in a log line gives nothing away."""
    key = IssuerKey.generate("desk")
    assert repr(key) == "IssuerKey(issuer='desk')"


@pytest.mark.parametrize(
    "change",
    [{"kty": "RSA"}, {"crv": "Ed448"}, {"kid": ""}, {"kid": 3}, {"d": "AAAA"}, {"d": None}, {"x": "AAAA"}, {"d": "é"}],
)
def test_a_file_that_is_not_an_issuers_key_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    """Wrong kind, or halves that do not belong together; the message names the file, never its content."""
    path = tmp_path / "desk.key"
    IssuerKey.generate("desk").save(path)
    members = json.loads(path.read_text())
    path.write_text(json.dumps(members | change))
    with pytest.raises(KeyFileError) as caught:
        IssuerKey.load(path)
    assert members["d"] not in str(caught.value)


@pytest.mark.parametrize("content", ["", "[]", "{}", "null", "not json"])
def test_junk_is_not_a_key(tmp_path: Path, content: str) -> None:
    """Whatever the file holds, there is one error."""
    path = tmp_path / "desk.key"
    path.write_text(content)
    with pytest.raises(KeyFileError):
        IssuerKey.load(path)


@pytest.mark.parametrize("text", ["", "AAAA", "é", "=" * 44, "A" * 44])
def test_a_public_key_is_32_bytes_in_base64(text: str) -> None:
    """Anything else in the configuration is refused at start."""
    with pytest.raises(ValueError, match="32 bytes"):
        decode_public_key(text)


@pytest.mark.parametrize("sign", [0, 0x80])
@pytest.mark.parametrize(
    "key",
    [
        bytes(32),
        bytes([1]) + bytes(31),
        bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
        bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
        bytes.fromhex("ec" + "ff" * 30 + "7f"),
        bytes.fromhex("ed" + "ff" * 30 + "7f"),
        bytes.fromhex("ee" + "ff" * 30 + "7f"),
    ],
    ids=["zeros", "neutral", "order 8", "order 8 too", "order 2", "zeros again", "neutral again"],
)
def test_a_key_under_which_anybody_could_sign_is_none(key: bytes, sign: int) -> None:
    """Zeros in a configuration, for the time being: a signature of nothing holds for every eighth message or more."""
    key = key[:-1] + bytes([key[-1] | sign])
    forged = bytes([1]) + bytes(63)
    holds = 0
    for number in range(100):
        with contextlib.suppress(InvalidSignature):
            Ed25519PublicKey.from_public_bytes(key).verify(forged, str(number).encode())
            holds += 1
    assert holds > 0
    with pytest.raises(ValueError, match="anybody"):
        public_key_bytes(base64.b64encode(key).decode())
