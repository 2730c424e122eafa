"""The configuration of signals: the shipped example holds, everything that is wrong is told, nothing unknown passes."""

from __future__ import annotations

import json
import tomllib
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from node.cli import main
from node.commands.operator_client import operator_socket
from node.domain.permission import Permission
from node.errors import ConfigError
from node.signals.app import SignalSecrets
from node.signals.check import findings
from node.signals.settings import OffStep, load_signals, parse_signals
from tests.support.signals import NodeLocks

EXAMPLE = Path(__file__).parents[2] / "config" / "signals.example.toml"


def example() -> dict[str, Any]:
    """The shipped example, unchecked."""
    return tomllib.loads(EXAMPLE.read_text())


@pytest.fixture
def secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The example's credentials, where it looks for them."""
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    for name in ("signals_binance_key", "signals_binance_secret", "signals_operator_token"):
        (tmp_path / name).write_text("0123456789abcdef0123456789abcdef")
        (tmp_path / name).chmod(0o644)
    return tmp_path


class TestFile:
    def test_the_shipped_example_is_whole(self) -> None:
        """Keys are refused unless the account says that it may be traded, and nothing is rounded."""
        settings = load_signals(EXAMPLE)
        (account,) = settings.accounts
        assert (account.permission, account.off_step) == (Permission.FULL, OffStep.REFUSE)
        assert settings.operator is None
        assert settings.signals.node_runtime_dir == Path("run")

    def test_what_it_comments_out_is_known_too(self) -> None:
        """Every key that the example offers."""
        lines = [line.removeprefix("# ") for line in EXAMPLE.read_text().splitlines()]
        offered = [
            line for line in lines if line.startswith(("public_url", "request_timeout_s", "off_step", "local_address"))
        ]
        assert len(offered) == 4
        data = example()
        data["signals"] |= {"public_url": "https://signals.example", "request_timeout_s": 5.0}
        data["operator"] = {"token": {"credential": "signals_operator_token"}}
        data["accounts"][0] |= {
            "off_step": "down",
            "node_runtime_dir": "/run/sovereign-node-desk",
            "local_address": "203.0.113.7",
            "sandbox": True,
            "options": {},
            "symbols": {"perp.btc_usd": "BTC/USDC:USDC"},
        }
        assert parse_signals(data).accounts[0].off_step is OffStep.DOWN

    @pytest.mark.parametrize(
        ("table", "key", "value", "fault"),
        [
            ("signals", "colour", "red", "signals.colour: this version does not know this key"),
            ("signals", "state_dir", None, "signals.state_dir: is missing"),
            ("signals", "node_runtime_dir", None, "signals.node_runtime_dir: is missing"),
            ("signals", "node_runtime_dir", "./signals-run", "signals.node_runtime_dir: the same as"),
            ("signals", "runtime_dir", "./signals-state", "signals.runtime_dir: the same as signals.state_dir"),
            ("signals", "runtime_dir", "x" * 120, "signals.runtime_dir: too long for a socket"),
            (
                "signals",
                "public_url",
                "http://signals.example",
                "signals.public_url: signals.example is not a loopback",
            ),
            ("signals", "request_timeout_s", 0.01, "signals.request_timeout_s"),
            ("http", "listen", "0.0.0.0:443", "http: 0.0.0.0:443 is not a loopback address"),
            ("metrics", "listen", "127.0.0.1:8789", "metrics.listen: the same as http.listen"),
            ("accounts", "permission", None, "accounts[0].permission: is missing"),
            ("accounts", "permission", "trade", "accounts[0].permission"),
            ("accounts", "owner", "nobody", "accounts[0].owner: no such owner: nobody"),
            ("accounts", "id", "1", "accounts[0].id: not a UUID"),
            ("accounts", "credentials", {"apiKey": "plain-secret"}, "a secret does not belong into this file"),
            ("accounts", "options", {"secret": "x"}, "belongs under credentials"),
            ("accounts", "symbols", {"BTC": "BTC/USDT"}, "accounts[0].symbols"),
            ("accounts", "off_step", "up", "accounts[0].off_step"),
            ("accounts", "base_currency", "USDT", "accounts[0].base_currency: this version does not know this key"),
        ],
    )
    def test_what_is_wrong_is_told(self, table: str, key: str, value: Any, fault: str) -> None:
        data = example()
        place = data[table][0] if isinstance(data[table], list) else data[table]
        if value is None:
            del place[key]
        else:
            place[key] = value
        with pytest.raises(ConfigError) as caught:
            parse_signals(data)
        assert any(fault in line for line in caught.value.faults), caught.value.faults
        assert "plain-secret" not in str(caught.value)

    def test_accounts_and_owners_are_there_once(self) -> None:
        data = example()
        data["accounts"].append(deepcopy(data["accounts"][0]))
        data["owners"].append({"id": "acme"})
        with pytest.raises(ConfigError) as caught:
            parse_signals(data)
        assert "owners: an id is repeated" in caught.value.faults
        data["owners"].pop()
        with pytest.raises(ConfigError) as caught:
            parse_signals(data)
        assert caught.value.faults == [
            "accounts[1].id: the same as accounts[0].id",
            "accounts[1].name: the same as accounts[0].name",
        ]

    def test_keys_at_the_public_door_need_one(self) -> None:
        data = example()
        data["operator"] = {"token": {"credential": "signals_operator_token"}}
        del data["http"]
        with pytest.raises(ConfigError, match="there is none"):
            parse_signals(data)

    def test_the_operators_socket_is_found_by_its_own_table(self) -> None:
        assert operator_socket(EXAMPLE) == Path("signals-run/operator.sock")


class TestSecrets:
    def test_every_reference_is_looked_up(self, secrets: Path) -> None:
        found = SignalSecrets.resolve(parse_signals(example()))
        assert set(found.credentials["binance-main"]) == {"apiKey", "secret"}
        assert "0123456789abcdef" not in repr(found)

    def test_one_line_for_each_that_leads_nowhere(self, secrets: Path) -> None:
        for path in secrets.iterdir():
            path.unlink()
        with pytest.raises(ConfigError) as caught:
            SignalSecrets.resolve(parse_signals(example()))
        assert len(caught.value.faults) == 2

    def test_a_token_that_could_be_guessed_is_refused(self, secrets: Path) -> None:
        (secrets / "signals_operator_token").write_text("changeme")
        data = example() | {"operator": {"token": {"credential": "signals_operator_token"}}}
        with pytest.raises(ConfigError, match="shorter than 32"):
            SignalSecrets.resolve(parse_signals(data))


class TestCheck:
    def test_says_that_no_node_vouches_for_the_lock(self, secrets: Path, tmp_path: Path) -> None:
        """Until one does."""
        data = example()
        data["signals"]["node_runtime_dir"] = str(tmp_path / "run")
        del data["accounts"][0]["ca_file"]
        faults, warnings = findings(data)
        assert faults == []
        assert [line.partition(":")[0] for line in warnings] == ["accounts[0].id"]
        NodeLocks(tmp_path / "run").show(locked=True)
        assert findings(data) == ([], [])

    @pytest.mark.parametrize(
        ("changes", "fault"),
        [
            ({"exchange": "nosuch"}, "accounts[0].exchange: ccxt has no 'nosuch'"),
            ({"exchange": "b2prime"}, "accounts[0].credentials: token is missing"),
            ({"exchange": "b2prime"}, "accounts[0].options.hostname: is missing"),
            ({"ca_file": "/nowhere.pem"}, "accounts[0].ca_file: /nowhere.pem: No such file or directory"),
        ],
    )
    def test_says_what_would_not_work(self, secrets: Path, changes: dict[str, Any], fault: str) -> None:
        data = example()
        del data["accounts"][0]["ca_file"]
        data["accounts"][0] |= changes
        assert fault in findings(data)[0]

    def test_says_that_an_account_takes_no_alerts(self, secrets: Path) -> None:
        data = example()
        data["accounts"][0]["permission"] = "close"
        assert "accounts[0].permission: close: its alerts are refused" in findings(data)[1]

    def test_on_the_command_line(self, secrets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        path = tmp_path / "signals.toml"
        path.write_text("\n".join(line for line in EXAMPLE.read_text().splitlines() if not line.startswith("ca_file")))
        assert main(["check", "--json", "--config", str(path)]) == 0
        document = json.loads(capsys.readouterr().out)
        assert document["ok"] is True
        assert any("signals_binance_secret" in line and "chmod 600" in line for line in document["warnings"])
        path.write_text("[signals]\n")
        assert main(["check", "--json", "--config", str(path)]) == 1
        assert main(["signals", "--json", "--config", str(path)]) == 1

    @pytest.mark.parametrize("loose", ["", "locks"])
    def test_says_that_others_could_forge_the_locks_of_the_node(
        self, secrets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], loose: str
    ) -> None:
        """Whoever can write there unlocks every account for alerts."""
        node, path = tmp_path / "node-run", tmp_path / "signals.toml"
        (node / "locks").mkdir(parents=True)
        (node / loose).chmod(0o777)
        path.write_text(EXAMPLE.read_text().replace('node_runtime_dir = "./run"', f'node_runtime_dir = "{node}"'))
        main(["check", "--json", "--config", str(path)])
        warnings = json.loads(capsys.readouterr().out)["warnings"]
        told = f"signals.node_runtime_dir: {node / loose} can be changed by others"
        assert [line for line in warnings if line.startswith(told)]
