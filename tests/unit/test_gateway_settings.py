"""A gateway's configuration: the shipped example holds, everything that is wrong is told, nothing unknown passes."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from node.commands.check import check
from node.commands.output import ExitStatus, Output
from node.errors import ConfigError
from node.gateway.app import GatewaySecrets
from node.gateway.settings import load_gateway, parse_gateway
from node.transport.issuer_key import IssuerKey

EXAMPLE = Path(__file__).parents[2] / "config" / "gateway.example.toml"


def example() -> dict[str, Any]:
    """The shipped example, unchecked."""
    return tomllib.loads(EXAMPLE.read_text())


@pytest.fixture
def credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The example's credentials, where it looks for them."""
    IssuerKey.generate("gateway").save(tmp_path / "gateway_issuer_key")
    (tmp_path / "gateway_mqtt_password").write_text("a-password\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    return tmp_path


def faults(data: dict[str, Any]) -> list[str]:
    """What is wrong with it."""
    with pytest.raises(ConfigError) as raised:
        parse_gateway(data)
    return raised.value.faults


class TestTheExample:
    def test_it_is_whole(self, credentials: Path) -> None:
        settings = load_gateway(EXAMPLE)
        assert settings.http is not None
        assert settings.account("binance-main") is not None
        assert GatewaySecrets.resolve(settings).key.issuer == "gateway"

    def test_every_value_that_it_shows_is_the_default_or_needed(self) -> None:
        """So that whoever deletes a line knows what is left."""
        data = example()
        shown = {name: data["gateway"].pop(name) for name in ("confirm_within_s", "lifetime_s", "lock_lifetime_s")}
        table = parse_gateway(data).gateway
        assert {name: getattr(table, name) for name in shown} == shown

    def test_it_names_the_user_of_the_shipped_access_list(self) -> None:
        username = load_gateway(EXAMPLE).mqtt.username
        assert re.search(rf"^user {username}$", (EXAMPLE.parent / "mosquitto.acl").read_text(), re.MULTILINE)

    def test_check_finds_it_good(self, credentials: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert check(EXAMPLE, Output(as_json=False)) is ExitStatus.DONE
        assert capsys.readouterr().out.strip() == f"{EXAMPLE}: ok"

    def test_check_names_what_others_could_read(self, credentials: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """The gateway's key commands every account of every node."""
        (credentials / "gateway_issuer_key").chmod(0o644)
        (credentials / "gateway_mqtt_password").chmod(0o600)
        assert check(EXAMPLE, Output(as_json=False)) is ExitStatus.DONE
        assert re.findall(r"warning: (credential \w+): .* can be read by others", capsys.readouterr().err) == [
            "credential gateway_issuer_key"
        ]


class TestFaults:
    @pytest.mark.parametrize(
        ("table", "key", "value", "fault"),
        [
            ("gateway", "colour", "red", "gateway.colour: this version does not know this key"),
            ("gateway", "issuer_key", "secret", "gateway.issuer_key: a secret does not belong into this file"),
            ("gateway", "confirm_within_s", 0, "gateway.confirm_within_s: "),
            ("gateway", "confirm_within_s", 31, "gateway.confirm_within_s: "),
            ("gateway", "lifetime_s", 0.5, "gateway.lifetime_s: "),
            ("gateway", "tenant", "a/b", "gateway.tenant: "),
            ("gateway", "runtime_dir", "./gateway-state", "gateway.runtime_dir: is the state_dir"),
            ("gateway", "runtime_dir", "x" * 120, "gateway.runtime_dir: too long for a socket"),
            ("mqtt", "url", "mqtt://broker.example:1883", "mqtt.url: broker.example is not a loopback address"),
            ("http", "listen", "0.0.0.0:8788", "http: 0.0.0.0:8788 is not a loopback"),
            ("metrics", "listen", "127.0.0.1:8788", "metrics.listen: the same as http.listen"),
        ],
    )
    def test_each_is_told_with_its_place(self, table: str, key: str, value: object, fault: str) -> None:
        data = example()
        data[table][key] = value
        (found,) = faults(data)
        assert found.startswith(fault)

    def test_accounts_have_an_owner_a_name_and_an_id_of_their_own(self) -> None:
        data = example()
        data["accounts"].append(data["accounts"][0] | {"owner": "nobody"})
        assert faults(data) == [
            "accounts[1].id: the same as accounts[0].id",
            "accounts[1].name: the same as accounts[0].name",
            "accounts[1].owner: no such owner: nobody",
        ]

    def test_what_only_a_node_has_is_refused(self) -> None:
        data = example()
        data["accounts"][0]["exchange"] = "binance"
        data["issuers"] = []
        assert sorted(fault.partition(":")[0] for fault in faults(data)) == ["accounts[0].exchange", "issuers"]

    def test_a_broker_is_needed(self) -> None:
        data = example()
        del data["mqtt"]
        assert faults(data) == ["mqtt: is missing"]

    def test_credentials_that_lead_nowhere_or_to_no_key_are_told_without_their_value(
        self, credentials: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (credentials / "gateway_issuer_key").write_text("hunter2")
        (credentials / "gateway_mqtt_password").unlink()
        assert check(EXAMPLE, Output(as_json=True)) is ExitStatus.TROUBLE
        told = capsys.readouterr().out
        assert "gateway.issuer_key: not an Ed25519 private key" in told
        assert "mqtt.password: credential gateway_mqtt_password" in told
        assert "hunter2" not in told
