"""The configuration: what it says, and what it refuses."""

from __future__ import annotations

import copy
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from node import settings
from node.domain.guard_mode import GuardMode
from node.errors import ConfigError
from node.settings import LockOnClose

ACCOUNT = "6b0c8d1e-5f0a-4c52-9a1e-3d0f6f1d2a77"
OTHER = "7b0c8d1e-5f0a-4c52-9a1e-3d0f6f1d2a77"
KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

WHOLE = f"""
[node]
id = "node-1"
tenant = "acme"
state_dir = "./state"
runtime_dir = "./run"
[mqtt]
url = "mqtt://127.0.0.1:1883"
username = "node-1"
password = {{ credential = "mqtt_password" }}
[http]
listen = "127.0.0.1:8787"
[operator]
token = {{ credential = "operator_token" }}
origins = ["https://Node.example:443", "https://10.0.0.1:8787/"]
[metrics]
listen = "127.0.0.1:9187"
[[owners]]
id = "acme"
[[issuers]]
id = "desk"
public_key = "{KEY}"
actions = ["LOCK", "CLOSE_ALL"]
accounts = ["binance-main"]
[[accounts]]
id = "{ACCOUNT}"
name = "binance-main"
owner = "acme"
exchange = "binance"
permission = "close"
base_currency = "USDT"
credentials = {{ apiKey = {{ credential = "k" }}, secret = {{ credential = "s" }} }}
slices = ["spot", "linear:USDT"]
connect_to = "127.0.0.1:9443"
local_address = "203.0.113.7"
options = {{ recvWindow = 5000 }}
[accounts.flatten]
keep = ["BNB"]
[accounts.execution]
deadline_s = 4
max_slippage = "0.1"
causal_proof = true
[execution]
settle_s = 2
lock_on_close = "hold"
"""


def whole() -> dict[str, Any]:
    """A configuration that uses nearly everything, freshly parsed."""
    return tomllib.loads(WHOLE)


def operator(**changes: object) -> dict[str, Any]:
    """An [operator] section with something else in it."""
    return {"token": {"credential": "operator_token"}, **changes}


def faults_of(data: dict[str, Any]) -> list[str]:
    """What is wrong with a configuration."""
    with pytest.raises(ConfigError) as caught:
        settings.parse(data)
    return caught.value.faults


def changed(path: str, value: object) -> dict[str, Any]:
    """The whole configuration with one key at a dotted path replaced (or deleted, with ``...``)."""
    data = copy.deepcopy(whole())
    *parents, last = path.split(".")
    target: Any = data
    for part in parents:
        target = target[int(part)] if part.isdigit() else target.setdefault(part, {})
    if value is ...:
        del target[last]
    else:
        target[last] = value
    return data


def test_a_whole_configuration_is_understood() -> None:
    """Every section of the contract ends up in its model, with its types."""
    found = settings.parse(whole())
    account = found.accounts[0]
    assert (str(account.id), account.flatten.keep, account.flatten.min_value) == (ACCOUNT, ("BNB",), Decimal(5))
    assert found.mqtt is not None
    assert (found.mqtt.url.host, found.mqtt.url.port, found.mqtt.url.tls) == ("127.0.0.1", 1883, False)
    assert account.connect_to is not None
    assert account.connect_to.port == 9443
    assert found.issuers[0].public_key == bytes(range(32))
    assert found.operator_socket == Path("run/operator.sock")
    assert found.accounts_of(found.issuers[0]) == (account.id,)
    assert found.operator is not None
    assert found.operator.origins == ("https://node.example", "https://10.0.0.1:8787")


def test_an_account_overrides_only_what_it_names() -> None:
    """[accounts.execution] lies over [execution], which lies over the defaults."""
    found = settings.parse(whole())
    execution = found.accounts[0].execution_with(found.execution)
    assert (execution.deadline_s, execution.settle_s, execution.max_slippage) == (4, 2, Decimal("0.1"))
    assert (execution.lock_on_close, execution.guard_after_lock) == (LockOnClose.HOLD, GuardMode.CANCEL)
    assert (found.execution.causal_proof, execution.causal_proof) == (False, True)


def test_an_account_is_found_by_name_and_by_id() -> None:
    """People type names, machines ids."""
    found = settings.parse(whole())
    assert found.account("binance-main") is found.account(ACCOUNT.upper()) is found.accounts[0]
    assert found.account("nobody") is None


def test_the_least_configuration_needs_only_the_node() -> None:
    """Broker, listeners and accounts may all be left out."""
    found = settings.parse({"node": whole()["node"]})
    assert (found.mqtt, found.http, found.metrics, found.accounts) == (None, None, None, ())


@pytest.mark.parametrize(
    ("path", "value", "fault"),
    [
        ("node.id", "a/b", "node.id: not of the form"),
        ("node.tenant", ..., "node.tenant: is missing"),
        ("node.runtime_dir", "/" + "x" * 100, "node.runtime_dir: too long for a socket"),
        ("node.state_dir", "", "node.state_dir: an empty path would be the folder in which the program was started"),
        ("node.state_dir", "a\0b", "node.state_dir: there is a NUL in it"),
        ("node.colour", "red", "node.colour: this version does not know this key"),
        ("surprise", {}, "surprise: this version does not know this key"),
        ("mqtt.url", "mqtt://broker.example:1883", "mqtt.url: broker.example is not a loopback address: use mqtts://"),
        ("mqtt.url", "mqtt://me:pw@127.0.0.1", "mqtt.url: username and password have keys of their own"),
        ("mqtt.url", "mqtt://127.0.0.1:99999", "mqtt.url: a port is between 1 and 65535"),
        ("mqtt.password", "hunter2-canary", "mqtt.password: a secret does not belong into this file"),
        ("mqtt.username", ..., "mqtt: a password needs a username"),
        ("mqtt.ca_file", "ca.pem", "mqtt: certificates need an mqtts:// url"),
        ("http.listen", "0.0.0.0:8787", "http: 0.0.0.0:8787 is not a loopback address: cert_file and key_file"),
        ("http.listen", "127.0.0.1", 'http.listen: not "host:port"'),
        ("http.listen", "127.0.0.1:0", "http.listen: a port is between 1 and 65535"),
        ("http.cert_file", "c.pem", "http: cert_file and key_file go together"),
        ("operator", {"token": "hunter2-canary"}, "operator.token: a secret does not belong into this file"),
        ("operator", {}, "operator.token: is missing"),
        ("operator", operator(idle_s=1), "operator.idle_s: input should be greater than or equal to 60"),
        ("operator", operator(origins=["http://node.example"]), "operator.origins[0]: node.example is not a loopback"),
        ("operator", operator(origins=["https://node.example/x"]), "operator.origins[0]: nothing may follow the port"),
        ("operator", operator(origins=["node.example"]), "operator.origins[0]: not https://host"),
        ("operator", operator(origins=["https://a.example:0x1"]), "operator.origins[0]: a port is between 1 and 65535"),
        (
            "operator",
            operator(origins=["https://A.example:443", "https://a.example"]),
            "operator.origins: an origin is",
        ),
        ("http", ..., "operator: it opens the listener of [http], and there is none"),
        ("metrics.listen", "10.0.0.1:9187", "metrics: 10.0.0.1:9187 is not a loopback address"),
        ("metrics.listen", "127.0.0.1:8787", "metrics.listen: the same as http.listen"),
        ("owners.0.subscription", "gold", "owners[0].subscription: input should be"),
        ("issuers.0.id", "operator", "issuers[0].id: 'operator' is a name of the node's own"),
        ("issuers.0.public_key", "c2hvcnQ=", "issuers[0].public_key: 5 bytes: an Ed25519 public key has 32"),
        ("issuers.0.public_key", "?", "issuers[0].public_key: not base64"),
        ("issuers.0.public_key", "REPLACE me", "issuers[0].public_key: still the example's placeholder: run"),
        ("issuers.0.actions", ["LOCK", "SELL"], "issuers[0].actions[1]: input should be"),
        ("issuers.0.actions", [], "issuers[0].actions: "),
        ("issuers.0.actions", ["SELL"], "issuers[0].actions[0]: input should be"),
        ("notify", {"url": "http://a.example/"}, "notify.url: not a loopback address: use https://"),
        ("notify", {"url": {"credential": "../x"}}, "notify.url.credential: not of the form"),
        ("issuers.0.accounts", ["nobody"], "issuers[0].accounts[0]: no such account: nobody"),
        ("accounts.0.id", ACCOUNT.upper(), f"accounts[0].id: not in canonical form: write {ACCOUNT}"),
        ("accounts.0.id", "1", "accounts[0].id: not a UUID"),
        ("accounts.0.owner", "nobody", "accounts[0].owner: no such owner: nobody"),
        ("accounts.0.permission", "withdraw", "accounts[0].permission: input should be"),
        ("accounts.0.credentials.secret", "abc", "accounts[0].credentials.secret: a secret does not belong"),
        ("accounts.0.credentials.secret", {"credential": "../x"}, "accounts[0].credentials.secret.credential: not of"),
        ("accounts.0.slices", [], "accounts[0].slices: an account without slices cannot be proven"),
        ("accounts.0.slices", ["spot", "spot"], "accounts[0].slices: one is named twice"),
        ("accounts.0.sandbox", 1, "accounts[0].sandbox: input should be a valid boolean"),
        ("accounts.0.local_address", "here", "accounts[0].local_address: not an IP address"),
        ("accounts.0.options", {"apiKey": "x"}, "accounts[0].options: apiKey belongs under credentials"),
        ("accounts.0.flatten.min_value", "-1", "accounts[0].flatten.min_value: input should be greater"),
        ("accounts.0.flatten.min_value", "nan", "accounts[0].flatten.min_value: "),
        ("accounts.0.execution.max_slippage", 0.1, "accounts[0].execution.max_slippage: not a decimal string"),
        ("execution.max_slippage", "0.5", "execution.max_slippage: input should be less"),
        ("execution.deadline_s", 0, "execution.deadline_s: input should be greater than 0"),
        ("execution.deadline_s", "10", "execution.deadline_s: input should be a valid number"),
        ("execution.settle_s", float("nan"), "execution.settle_s: "),
        ("execution.guard_after_lock", "shout", "execution.guard_after_lock: input should be"),
    ],
)
def test_a_fault_is_named_with_its_place_and_reason(path: str, value: object, fault: str) -> None:
    """One line, the path first, and it is the only one."""
    faults = faults_of(changed(path, value))
    assert len(faults) == 1, faults
    assert faults[0].startswith(fault)


def test_secrets_in_the_wrong_place_are_not_repeated() -> None:
    """A password that somebody wrote into the file does not travel on into terminals and logs."""
    assert "hunter2-canary" not in str(faults_of(changed("mqtt.password", "hunter2-canary")))


def test_a_name_is_never_the_id_of_an_account() -> None:
    """Otherwise a command could reach another account than the one that was meant."""
    data = whole()
    data["accounts"].append({**data["accounts"][0], "id": OTHER, "name": ACCOUNT})
    assert faults_of(data) == ["accounts[1].name: is the id of an account"]


@pytest.mark.parametrize("section", settings.FOREIGN_SECTIONS)
def test_sections_of_other_processes_are_refused_by_name(section: str) -> None:
    """A section that would be ignored is worse than one that is refused."""
    assert faults_of(changed(section, {})) == [f"{section}: `sovereign-node {section}` has a file of its own for this"]


def test_everything_wrong_is_said_at_once() -> None:
    """Nobody wants to learn of faults one start at a time."""
    data = changed("accounts.0.sandbox", "no")
    data["signals"] = {}
    data["http"]["listen"] = "x"
    assert len(faults_of(data)) == 3


def test_doubles_name_the_first_of_them() -> None:
    """Ids, names and keys are unique."""
    data = whole()
    data["accounts"].append({**data["accounts"][0], "id": OTHER})
    data["issuers"].append({**data["issuers"][0], "id": "desk-2"})
    data["owners"].append({"id": "acme"})
    assert faults_of(data) == [
        "owners[1].id: the same as owners[0].id",
        "issuers[1].public_key: the same as issuers[0].public_key",
        "accounts[1].name: the same as accounts[0].name",
    ]


def test_tls_opens_the_listener_to_the_world() -> None:
    """Off loopback is fine with a certificate, and IPv6 is written in brackets."""
    data = changed("http", {"listen": "[::]:8787", "cert_file": "c.pem", "key_file": "k.pem"})
    found = settings.parse(data).http
    assert found is not None
    assert (found.listen.host, str(found.listen)) == ("::", "[::]:8787")


def test_a_broker_elsewhere_is_reached_over_tls() -> None:
    """The port has a default."""
    data = changed("mqtt", {"url": "mqtts://broker.example"})
    found = settings.parse(data).mqtt
    assert found is not None
    assert str(found.url) == "mqtts://broker.example:8883"


def test_settings_cannot_be_changed() -> None:
    """What was checked stays what it was."""
    found = settings.parse(whole())
    with pytest.raises(ValueError, match="frozen"):
        found.node.id = "other"  # type: ignore[misc]


def test_a_missing_file_and_broken_toml_are_faults(tmp_path: Path) -> None:
    """The line of a syntax error is told."""
    with pytest.raises(ConfigError, match="no such file"):
        settings.load(tmp_path / "none.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("[node]\nid = \n")
    with pytest.raises(ConfigError, match="line 2"):
        settings.load(broken)


@pytest.mark.parametrize("text", ["a = " + "[" * 5000 + "]" * 5000, "a = " + "9" * 5000])
def test_what_the_parser_of_toml_does_not_expect_is_a_fault(tmp_path: Path, text: str) -> None:
    """A running node reads the file again: no file may end it."""
    (tmp_path / "node.toml").write_text(text)
    with pytest.raises(ConfigError, match="not TOML"):
        settings.load(tmp_path / "node.toml")


def test_a_byte_order_mark_is_not_part_of_the_file(tmp_path: Path) -> None:
    """Editors on other systems write one that nobody sees."""
    (tmp_path / "node.toml").write_text("\ufeff[node]\nid = 1", encoding="utf-8")
    assert settings.read(tmp_path / "node.toml") == {"node": {"id": 1}}


def test_the_example_needs_nothing_but_a_key(tmp_path: Path) -> None:
    """config/node.example.toml is refused for its placeholder only, and whole without it."""
    example = Path(__file__).parents[2] / "config" / "node.example.toml"
    with pytest.raises(ConfigError) as caught:
        settings.load(example)
    assert [fault.partition(" placeholder")[0] for fault in caught.value.faults] == [
        "issuers[0].public_key: still the example's"
    ]
    lines = example.read_text().splitlines()
    filled = tmp_path / "node.toml"
    filled.write_text("\n".join(f'public_key = "{KEY}"' if "REPLACE" in line else line for line in lines))
    assert [account.exchange for account in settings.load(filled).accounts] == ["binance"]
