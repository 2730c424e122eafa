"""Issuers' key files."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

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
