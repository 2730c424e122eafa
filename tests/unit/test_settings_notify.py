"""[notify]: addresses that a document may be posted to, and what `check` says of them."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import pytest

from node.commands.check import check
from node.commands.output import Output
from node.errors import ConfigError
from node.secrets import Secrets, references
from node.settings import parse
from node.settings_base import CredentialReference
from node.settings_notify import Happening, webhook_url
from node.wiring.notices import webhook_address


def whole(**notify: Any) -> dict[str, Any]:
    """The least configuration, with a webhook."""
    node = {"id": "node-1", "tenant": "acme", "state_dir": "state", "runtime_dir": "run"}
    return {"node": node, "notify": notify}


def faults_of(**notify: Any) -> list[str]:
    """What is wrong."""
    with pytest.raises(ConfigError) as caught:
        parse(whole(**notify))
    return caught.value.faults


@pytest.mark.parametrize(
    "url",
    ["https://hooks.example.com/T0/B0?x=1", "http://127.0.0.1:9000/hook", "http://localhost/", "http://[::1]:80/"],
)
def test_https_anywhere_and_http_on_this_machine(url: str) -> None:
    """As they are."""
    assert webhook_url(url) == url
    settings = parse(whole(url=url))
    assert settings.notify is not None
    assert settings.notify.url == url
    assert settings.notify.events == tuple(Happening)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://hooks.example.com/x", "not a loopback address: use https://"),
        ("ftp://127.0.0.1/x", "not https://host/path"),
        ("https:///x", "not https://host/path"),
        ("https://example.com:99999/", "not a url"),
        ("https://user:canary@example.com/", "no user and password in it: sign what is posted, with secret"),
        ("https://example.com/a b", "nothing may follow a #, and there is no space in it"),
        ("https://example.com/#x", "nothing may follow a #, and there is no space in it"),
        ("https://example.com/\n", "not https://host/path"),
    ],
)
def test_other_addresses_are_refused_and_not_repeated(url: str, reason: str) -> None:
    """An address may be a secret."""
    faults = faults_of(url=url)
    assert any(fault.endswith(reason) for fault in faults), faults
    assert not any("canary" in fault or "example.com" in fault for fault in faults)


def test_what_else_can_be_wrong() -> None:
    """Unknown kinds, doubles, a secret in plain text, an unknown key."""
    assert any("events[0]" in fault for fault in faults_of(url="http://127.0.0.1/", events=["rain"]))
    assert any("named twice" in fault for fault in faults_of(url="http://127.0.0.1/", events=["lock", "lock"]))
    assert any("does not belong into this file" in fault for fault in faults_of(url="http://127.0.0.1/", secret="x"))
    assert faults_of(url="http://127.0.0.1/", urls=[]) == ["notify.urls: this version does not know this key"]


def test_the_address_may_be_a_secret_and_is_checked_all_the_same() -> None:
    """When it is looked up; what is wrong does not say what it is."""
    settings = parse(whole(url={"credential": "notify_url"}, secret={"credential": "notify_secret"}))
    assert [where for where, _ in references(settings)] == ["notify.url", "notify.secret"]
    assert settings.notify is not None
    assert isinstance(settings.notify.url, CredentialReference)
    good = {"NOTIFY_URL": "https://example.com/canary", "NOTIFY_SECRET": "0123456789"}
    assert webhook_address(settings.notify, Secrets.resolve(settings, good)) == good["NOTIFY_URL"]
    bad = Secrets.resolve(settings, {**good, "NOTIFY_URL": "http://example.com/canary"})
    with pytest.raises(ConfigError) as caught:
        webhook_address(settings.notify, bad)
    assert caught.value.faults == ["notify.url: credential notify_url: not a loopback address: use https://"]


def checked(tmp_path: Path, section: str) -> dict[str, Any]:
    """What `check --json` prints for a configuration with that section."""
    config = tmp_path / "node.toml"
    node = f'[node]\nid = "n"\ntenant = "acme"\nstate_dir = "{tmp_path}/s"\nruntime_dir = "{tmp_path}/r"\n'
    config.write_text(f"{node}\n[notify]\n{section}\n")
    printed = io.StringIO()
    check(config, Output(as_json=True, stdout=printed, stderr=io.StringIO()))
    return dict(json.loads(printed.getvalue()))


def test_check_knows_the_section(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Faults, and what is allowed and may not be what was meant."""
    shown = checked(tmp_path, 'url = { credential = "notify_url" }')
    assert [fault for fault in shown["faults"] if fault.startswith("notify.url: credential notify_url: not in")]
    monkeypatch.setitem(os.environ, "NOTIFY_URL", "http://example.com/canary")
    shown = checked(tmp_path, 'url = { credential = "notify_url" }')
    assert shown["faults"] == ["notify.url: credential notify_url: not a loopback address: use https://"]
    shown = checked(tmp_path, f'url = "http://127.0.0.1:9/"\nca_file = "{tmp_path}/none.pem"')
    assert shown["faults"] == [f"notify.ca_file: {tmp_path}/none.pem: No such file or directory"]
    shown = checked(tmp_path, 'url = "https://example.com/"\nevents = ["broker_lost"]')
    assert shown["ok"]
    assert [warning for warning in shown["warnings"] if warning.startswith("notify.")] == [
        "notify.url: in plain text, and nothing is signed: whoever reads this file can speak for the node",
        "notify.events: broker_lost: there is no [mqtt]",
    ]
