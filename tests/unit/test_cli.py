"""The command line by itself: words in, exit status out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from node.cli import main
from node.commands.operator_client import config_path, operator_socket
from node.commands.output import Output, Trouble
from node.commands.report import exit_status, line, paragraph
from tests.support.counting_desk import event

EXAMPLE = Path(__file__).parents[2] / "config" / "node.example.toml"
EXCHANGES = ("ccxt", "aiohttp", "fastapi", "uvicorn", "aiomqtt", "pydantic")

Captured = pytest.CaptureFixture[str]


def run(capsys: Captured, *words: str) -> tuple[int, str, str]:
    """Exit status, standard output, standard error."""
    status = main(words)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A whole configuration with all its secrets in place."""
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    for name in ("mqtt_password", "binance_key", "binance_secret"):
        (credentials / name).write_text("secret-of-a-test")
        (credentials / name).chmod(0o600)
    simulator = ("ca_file", "connect_to")
    lines = [line for line in EXAMPLE.read_text().splitlines() if not line.startswith(simulator)]
    key = 'public_key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="'
    path = tmp_path / "node.toml"
    path.write_text("\n".join(key if "REPLACE" in line else line for line in lines))
    return path


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("fly",),
        ("send", "SELL", "main"),
        ("send", "UNLOCK", "main"),
        ("send", "LOCK", "main", "--epoch", "3"),
        ("send", "CLOSE_ALL", "main", "--symbols", ""),
        ("send", "CLOSE_ALL", "main", "--symbols", "A/B,,C/D"),
        ("send", "LOCK", "main", "--id", "1"),
        ("send", "LOCK", "main", "--timeout", "-1"),
        ("send", "LOCK", "main", "--via", "mqtt"),
        ("abort", "last"),
        ("unlock", "main"),
        ("--config",),
    ],
)
def test_a_wrong_command_line_is_the_callers_trouble(capsys: Captured, words: tuple[str, ...]) -> None:
    """Exit status 1, an error document for machines, and the reason for people; nothing is sent."""
    status, out, err = run(capsys, *words, "--json") if words != ("--config",) else run(capsys, "--json", *words)
    assert status == 1
    assert json.loads(out)["error"]["code"] == "USAGE"
    assert err.startswith("sovereign-node: ")


@pytest.mark.parametrize("place", [0, 1, 2])
def test_config_and_json_are_taken_anywhere(capsys: Captured, place: int) -> None:
    """Before the command, after it, and after its own arguments."""
    words = ["watch", "main"]
    words[place:place] = ["--json", "--config", "/nowhere.toml"]
    status, out, _ = run(capsys, *words)
    assert (status, json.loads(out)["error"]["code"]) == (1, "CONFIG")


def test_the_configuration_is_named_by_option_variable_or_habit(monkeypatch: pytest.MonkeyPatch) -> None:
    """In that order."""
    monkeypatch.setenv("SOVEREIGN_NODE_CONFIG", "from-environment.toml")
    assert config_path("given.toml") == Path("given.toml")
    assert config_path(None) == Path("from-environment.toml")
    monkeypatch.delenv("SOVEREIGN_NODE_CONFIG")
    assert config_path(None) == Path("config/node.toml")


def test_a_fault_elsewhere_in_the_file_does_not_hide_the_socket(tmp_path: Path) -> None:
    """Somebody's unfinished edit must not stand in the way of a kill."""
    path = tmp_path / "node.toml"
    path.write_text('[node]\nruntime_dir = "/run/sn"\ncolour = "red"\n[accounts]\n')
    assert operator_socket(path) == Path("/run/sn/operator.sock")
    path.write_text('\ufeff[node]\nruntime_dir = "/run/sn"\n', encoding="utf-8")
    assert operator_socket(path) == Path("/run/sn/operator.sock")
    for text in ("[node\n", "a = " + "[" * 5000, "a = " + "9" * 5000):
        path.write_text(text)
        with pytest.raises(Trouble, match="--socket"):
            operator_socket(path)


def test_nobody_there_is_said_at_once(capsys: Captured, tmp_path: Path) -> None:
    """Not after a time-out."""
    status, out, err = run(capsys, "status", "--json", "--socket", str(tmp_path / "none"))
    assert (status, json.loads(out)["error"]["code"]) == (1, "NOT_RUNNING")
    assert "is it running?" in err


def test_a_new_issuer_gets_a_key_that_is_never_overwritten(capsys: Captured, tmp_path: Path) -> None:
    """The public half is printed, the private one is for its owner alone."""
    key = tmp_path / "desk.key"
    status, out, _ = run(capsys, "issuer", "new", "desk", "--out", str(key), "--json")
    document = json.loads(out)
    assert (status, set(document), document["id"]) == (0, {"id", "public_key"}, "desk")
    assert key.stat().st_mode & 0o077 == 0
    before = key.read_bytes()
    status, out, _ = run(capsys, "issuer", "new", "desk", "--out", str(key), "--json")
    assert (status, json.loads(out)["error"]["code"], key.read_bytes()) == (1, "EXISTS", before)


@pytest.mark.parametrize("name", ["operator", "a/b", "", "ü"])
def test_an_issuers_id_must_fit_into_a_topic(capsys: Captured, tmp_path: Path, name: str) -> None:
    """And must not be the operator's."""
    assert run(capsys, "issuer", "new", name, "--out", str(tmp_path / "k"))[0] == 1
    assert not (tmp_path / "k").exists()


def test_an_issuers_words_can_be_pasted_into_the_configuration(capsys: Captured, tmp_path: Path) -> None:
    """For people: a whole table."""
    _, out, _ = run(capsys, "issuer", "new", "desk", "--out", str(tmp_path / "desk.key"))
    assert out.startswith('[[issuers]]\nid = "desk"\npublic_key = "')


def test_check_accepts_what_can_be_started(capsys: Captured, config: Path) -> None:
    """With warnings for what may not be meant."""
    status, out, _ = run(capsys, "check", "--json", "--config", str(config))
    document = json.loads(out)
    assert (status, document["ok"], document["faults"]) == (0, True, [])
    assert document["warnings"] == []


def test_check_warns_of_a_guard_that_is_off(capsys: Captured, config: Path) -> None:
    """It is allowed, and nothing watches the lock."""
    config.write_text(config.read_text().replace('guard_after_lock = "cancel"', 'guard_after_lock = "off"'))
    _, out, _ = run(capsys, "check", "--json", "--config", str(config))
    (warning,) = json.loads(out)["warnings"]
    assert warning.startswith("accounts[0].execution: a guard is off")


@pytest.mark.parametrize(("exchange", "named"), [("binanceusdm", "'binance' has one"), ("phemex", "proves less")])
def test_check_warns_of_an_exchange_without_a_profile(
    capsys: Captured, config: Path, exchange: str, named: str
) -> None:
    """It works with less proof; one that is a part of another exchange would have a profile under that name."""
    text = config.read_text().replace('exchange = "binance"', f'exchange = "{exchange}"')
    config.write_text(text.replace('slices = ["spot", "linear:USDT"]', ""))
    status, out, _ = run(capsys, "check", "--json", "--config", str(config))
    (warning,) = json.loads(out)["warnings"]
    assert status == 0
    assert warning.startswith(f"accounts[0].exchange: no profile was made for {exchange}")
    assert warning.endswith(named)


def test_check_says_all_that_is_wrong(capsys: Captured, config: Path, tmp_path: Path) -> None:
    """Missing secrets together; one line each, on standard error."""
    (tmp_path / "credentials" / "binance_key").unlink()
    (tmp_path / "credentials" / "mqtt_password").unlink()
    config.write_text(config.read_text().replace("[accounts.flatten]", 'ca_file = "none.pem"\n[accounts.flatten]'))
    status, out, err = run(capsys, "check", "--config", str(config))
    faults = [line for line in err.splitlines() if not line.startswith("warning: ")]
    assert (status, out) == (1, "")
    assert [fault.partition(": ")[0] for fault in faults] == [
        "mqtt.password",
        "accounts[0].credentials.apiKey",
        "accounts[0].ca_file",
    ]
    assert "secret-of-a-test" not in err


def test_check_says_that_an_account_is_not_sent_to_its_exchange(capsys: Captured, config: Path) -> None:
    """The example's lines for the simulator, left in beside a real key: everything would be proven flat there."""
    sent = 'connect_to = "127.0.0.1:9443"\n[accounts.flatten]'
    config.write_text(config.read_text().replace("[accounts.flatten]", sent))
    _, out, _ = run(capsys, "check", "--json", "--config", str(config))
    told = [each for each in json.loads(out)["warnings"] if ".connect_to: " in each]
    assert told == ["accounts[0].connect_to: requests go to 127.0.0.1:9443, and not to binance itself"]


def test_check_knows_the_venues(capsys: Captured, config: Path) -> None:
    """A slice that the venue has not is a fault of that account."""
    config.write_text(config.read_text().replace('"linear:USDT"', '"linear:DOGE"'))
    status, out, _ = run(capsys, "check", "--json", "--config", str(config))
    (fault,) = json.loads(out)["faults"]
    assert status == 1
    assert fault.startswith("accounts[0].slices")


def test_check_warns_of_what_is_allowed_but_odd(capsys: Captured, config: Path, tmp_path: Path) -> None:
    """Subscriptions, far unlocks, exposed secrets, keys that cannot close."""
    (tmp_path / "credentials" / "binance_key").chmod(0o644)
    text = config.read_text().replace('"hydra_core" ', '"none" ').replace('["LOCK", ', '["UNLOCK", ')
    config.write_text(text.replace('permission = "close"', 'permission = "cancel"'))
    _, out, _ = run(capsys, "check", "--json", "--config", str(config))
    places = [warning.partition(":")[0] for warning in json.loads(out)["warnings"]]
    assert places[:3] == ["owners[0].subscription", "issuers[0].actions", "accounts[0].permission"]
    assert places[-1] == "credential binance_key"


def test_the_example_is_refused_with_what_to_do(capsys: Captured) -> None:
    """Its key is a placeholder."""
    status, _, err = run(capsys, "check", "--config", str(EXAMPLE))
    assert status == 1
    assert "sovereign-node issuer new" in err


@pytest.mark.parametrize(
    ("state", "waited", "status"),
    [
        ("done", True, 0),
        ("rejected", False, 4),
        ("failed", True, 5),
        ("incomplete", True, 3),
        ("incomplete", False, 3),
        ("accepted", False, 0),
        ("running", True, 3),
    ],
)
def test_exit_statuses_are_the_contracts(state: str, *, waited: bool, status: int) -> None:
    """Who waited and has no ending knows only that it goes on."""
    assert exit_status(event(state), waited=waited) == status


def test_a_result_in_words_hides_nothing() -> None:
    """What is left, what was not covered, what went wrong, and that no disk knows of it."""
    document = event(
        "done",
        verdict="flat_with_residue",
        rounds=2,
        orders={"cancelled": 3, "placed": 20, "rejected": 0, "ambiguous": 0},
        positions=[
            {
                "slice": "linear:USDT",
                "symbol": "A/B:B",
                "side": "long",
                "before": "1",
                "after": None,
                "verdict": "unknown",
            }
        ],
        balances=[{"asset": "ETH", "slice": "spot", "before": "3", "after": "0.1", "verdict": "dust"}],
        net_exposure=[{"asset": "ETH", "value": "0.1"}],
        not_covered=["inverse"],
        lock={"locked": True, "epoch": 8},
        errors=[{"code": "X", "message": "why"}],
        unjournaled=True,
    )
    assert line(document) == "done        flat_with_residue  round 2  3 cancelled  20 placed  1 ms"
    text = paragraph(document)
    for expected in (
        "NOT JOURNALED",
        "1 -> ? unknown",
        "ETH 3 -> 0.1 dust",
        "left: ETH 0.1",
        "inverse",
        "epoch 8",
        "X: why",
    ):
        assert expected in text


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"evidence": [{"slice": "linear"}]}, "left: none"),
        ({"evidence": []}, "left: none seen; NOT PROVEN of linear"),
        ({"evidence": [], "net_exposure": [{"asset": "BTC", "value": "1"}]}, "left: BTC 1; NOT PROVEN of linear"),
        (
            {"evidence": [{"slice": "linear"}], "net_exposure_unknown": ["linear X"]},
            "seen; NOT PROVEN of linear X",
        ),
        ({"evidence": [], "action": "LOCK", "dry_run": True, "verdict": "drill_passed"}, None),
        ({"evidence": [], "children": []}, None),
    ],
)
def test_no_exposure_is_said_only_of_what_was_read(changes: dict[str, Any], told: str | None) -> None:
    """And nothing where a command closes nothing, or speaks for many accounts."""
    document = {**event("done", verdict="unknown", scope=["linear"], action="CLOSE_ALL"), **changes}
    text = paragraph(document)
    assert ("net exposure" in text) == (told is not None)
    assert (told or "") in text


def test_sending_loads_no_exchange_and_no_framework() -> None:
    """A kill must start fast: nothing heavy is imported on its way."""
    script = (
        "import sys; from node.cli import main; main(['send', 'LOCK', 'x', '--socket', '/nowhere']);"
        f"sys.exit(' '.join(name for name in {EXCHANGES} if name in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, env={**os.environ}
    )
    assert done.stderr.strip() == "sovereign-node: no daemon answers at /nowhere: is it running?"


def test_a_reader_that_leaves_is_no_disaster(tmp_path: Path) -> None:
    """``sovereign-node issuer new ... | true``."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = subprocess.run(
        [sys.executable, "-m", "node", "issuer", "new", "desk", "--out", str(tmp_path / "k"), "--json"],
        stdout=write_end,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(write_end)
    assert (done.returncode, done.stderr) == (1, b"")


def test_nobody_elses_words_move_the_terminals_cursor(capsys: Captured) -> None:
    """Not those of an exchange or of a broker; nor do they end the command line because they cannot be printed."""
    output = Output(as_json=False)
    output.result({}, "refused: \x1b[2Jflat\r\nß \ud800\u202e")
    output.note("\x1b]0;x\x07")
    captured = capsys.readouterr()
    assert captured.out == "refused: \\x1b[2Jflat\\r\nß \\ud800\\u202e\n"
    assert captured.err == "\\x1b]0;x\\x07\n"
