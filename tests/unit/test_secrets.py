"""Secrets: where they are looked for, and that nobody says them aloud."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from node import settings
from node.errors import ConfigError
from node.secrets import KnownSecrets, Secrets, find

CONFIGURATION = {
    "node": {"id": "n", "tenant": "t", "state_dir": "s", "runtime_dir": "r"},
    "mqtt": {"url": "mqtt://localhost", "username": "n", "password": {"credential": "mqtt_password"}},
    "owners": [{"id": "o"}],
    "accounts": [
        {
            "id": "6b0c8d1e-5f0a-4c52-9a1e-3d0f6f1d2a77",
            "name": "a",
            "owner": "o",
            "exchange": "binance",
            "permission": "close",
            "base_currency": "USDT",
            "credentials": {"apiKey": {"credential": "v_key"}, "secret": {"credential": "v_secret"}},
        }
    ],
}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A credentials directory."""
    path = tmp_path / "credentials"
    path.mkdir()
    return path


def test_the_directory_comes_before_the_file_before_the_variable(directory: Path, tmp_path: Path) -> None:
    """Each place is asked only if the one before has nothing."""
    environ = {"CREDENTIALS_DIRECTORY": str(directory), "V_KEY_FILE": str(tmp_path / "file"), "V_KEY": "variable"}
    assert find("v_key", environ).get_secret_value() == "variable"
    (tmp_path / "file").write_text("file")
    assert find("v_key", environ).get_secret_value() == "file"
    (directory / "v_key").write_text("directory")
    assert find("v_key", environ).get_secret_value() == "directory"


@pytest.mark.parametrize(("content", "value"), [("abcd\n", "abcd"), ("abcd\r\n", "abcd"), ("ab\ncd\n\n", "ab\ncd\n")])
def test_one_trailing_newline_is_the_editors(directory: Path, content: str, value: str) -> None:
    """Everything else belongs to the secret: keys in PEM have many lines."""
    (directory / "x").write_bytes(content.encode())
    assert find("x", {"CREDENTIALS_DIRECTORY": str(directory)}).get_secret_value() == value


def test_a_byte_order_mark_is_the_editors_too(directory: Path) -> None:
    """Nobody sees it, and no exchange knows a key that begins with it."""
    (directory / "x").write_bytes(b"\xef\xbb\xbfabcd\r\n")
    assert find("x", {"CREDENTIALS_DIRECTORY": str(directory)}).get_secret_value() == "abcd"


def test_a_file_that_is_no_text_is_a_fault(directory: Path) -> None:
    """And is not repeated."""
    (directory / "x").write_bytes(b"canary\0canary")
    with pytest.raises(ConfigError, match="NUL") as raised:
        find("x", {"CREDENTIALS_DIRECTORY": str(directory)})
    assert "canary" not in str(raised.value)


def test_a_dash_is_an_underscore_in_the_environment() -> None:
    """No shell can set a variable with a dash."""
    assert find("mqtt-password", {"MQTT_PASSWORD": "pass"}).get_secret_value() == "pass"


@pytest.mark.parametrize("environ", [{}, {"X": ""}, {"X_FILE": "/"}])
def test_missing_empty_and_unreadable_are_faults(environ: dict[str, str]) -> None:
    """An empty secret is as wrong as none."""
    with pytest.raises(ConfigError, match="credential x: "):
        find("x", environ)


def test_every_reference_that_leads_nowhere_is_named() -> None:
    """With the place in the configuration, all at once."""
    with pytest.raises(ConfigError) as caught:
        Secrets.resolve(settings.parse(CONFIGURATION), {"V_KEY": "there"})
    assert [fault.partition(": credential")[0] for fault in caught.value.faults] == [
        "mqtt.password",
        "accounts[0].credentials.secret",
    ]


def test_an_account_gets_its_credentials_by_ccxts_names() -> None:
    """And they do not show when printed."""
    found = settings.parse(CONFIGURATION)
    environ = {"V_KEY": "key-canary", "V_SECRET": "secret-canary", "MQTT_PASSWORD": "mqtt-canary"}
    secrets = Secrets.resolve(found, environ)
    account = secrets.of_account(found.accounts[0])
    assert account == {"apiKey": SecretStr("key-canary"), "secret": SecretStr("secret-canary")}
    assert "canary" not in repr(account)


def test_known_secrets_are_masked_in_every_form() -> None:
    """As they are, percent-encoded, escaped, line by line, and the longer before the shorter."""
    known = KnownSecrets()
    known.add("abcd/e")
    known.add("abcd/efgh+")
    known.add("-----BEGIN KEY-----\nMIIBcanary\n-----END KEY-----")
    assert known.mask("<abcd/efgh+> <abcd/e>") == "<***> <***>"
    assert known.mask("<abcd%2Fefgh%2B>") == "<***>"
    assert known.mask("<abcd/efgh%2B>") == "<***>"
    assert known.mask("<MIIBcanary>") == "<***>"
    assert known.mask("-----BEGIN KEY-----") == "-----BEGIN KEY-----"
    known.add('{\n "x": "public-half",\n "d": "private-half"\n}')
    assert known.mask("<private-half> <public-half>") == "<***> <public-half>"


def test_a_secret_too_short_to_mask_leaves_the_log_readable() -> None:
    """Masking every 1 would hide the log itself."""
    known = KnownSecrets()
    known.add("1")
    assert known.mask("epoch 11") == "epoch 11"
