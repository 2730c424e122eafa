"""`send --direct`: what it reads of the configuration, and what it will not do."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from node.cli import main
from node.commands import direct
from node.commands.output import Trouble
from node.errors import ConfigError
from node.journal.directory import StateDirectory

ACCOUNT = "6b0c8d1e-5f0a-4c52-9a1e-3d0f6f1d2a77"
CONFIGURATION = """
[node]
id = "node-1"
tenant = "acme"
state_dir = "state"
runtime_dir = "run"

[mqtt]
url = "this is no address"

[[owners]]
id = "acme"

[[accounts]]
id = "6b0c8d1e-5f0a-4c52-9a1e-3d0f6f1d2a77"
name = "binance-main"
owner = "acme"
exchange = "binance"
permission = "close"
base_currency = "USDT"
credentials = { apiKey = { credential = "binance_key" }, secret = { credential = "binance_secret" } }

[[accounts]]
id = "no id at all"
name = "other"

[what.is.this]
"""


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    """Faulty in every part but one account."""
    path = tmp_path / "node.toml"
    path.write_text(CONFIGURATION)
    return path


@pytest.mark.parametrize("name", ["binance-main", ACCOUNT, ACCOUNT.upper()])
def test_faults_elsewhere_in_the_configuration_are_not_in_the_way(configuration: Path, name: str) -> None:
    """Nothing is looked at but what the account needs."""
    settings = direct._settings(configuration, name)
    assert [str(each.id) for each in settings.accounts] == [ACCOUNT]
    assert (settings.mqtt, settings.http, settings.metrics, settings.drill, settings.notify) == (None,) * 5


def test_faults_of_what_is_commanded_are_told(configuration: Path) -> None:
    """An account that is not there, or not well; `*` means all of them."""
    with pytest.raises(Trouble, match="there is no account nobody"):
        direct._settings(configuration, "nobody")
    for name in ("other", "*"):
        with pytest.raises(ConfigError, match="id"):
            direct._settings(configuration, name)


@pytest.mark.parametrize(
    "arguments",
    [
        ["UNLOCK", ACCOUNT, "--direct", "--epoch", "3"],
        ["LOCK", ACCOUNT, "--direct", "--via", "mqtt", "--key", "desk.key"],
        ["LOCK", ACCOUNT, "--direct", "--socket", "run/operator.sock"],
    ],
)
def test_it_neither_unlocks_nor_goes_another_way(
    configuration: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 1, before anything is opened."""
    assert main(["send", *arguments, "--json", "--config", str(configuration)]) == 1
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "USAGE"
    assert not (configuration.parent / "state").exists()


def test_a_directory_where_no_daemon_ever_ran_keeps_nobody_out(
    configuration: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A relative state_dir, and the wrong working directory: the daemon may live, and hold the right one."""
    monkeypatch.chdir(configuration.parent)
    for name in ("BINANCE_KEY", "BINANCE_SECRET"):
        monkeypatch.setenv(name, "a-key-of-nobody")
    assert main(["send", "LOCK", ACCOUNT, "--direct", "--json", "--config", str(configuration)]) == 1
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "STATE_DIRECTORY"
    assert not (configuration.parent / "state").exists()


@pytest.mark.parametrize("note", [None, "1"], ids=["cleaned up", "of an earlier process"])
def test_who_holds_the_directory_is_named_whatever_its_lock_file_says(
    configuration: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], note: str | None
) -> None:
    """It is to be ended with kill -9. The folder itself is held as well; a read-only disk keeps an old note."""
    monkeypatch.chdir(configuration.parent)
    for name in ("BINANCE_KEY", "BINANCE_SECRET"):
        monkeypatch.setenv(name, "a-key-of-nobody")
    state_dir = configuration.parent / "state"
    state_dir.mkdir()
    (state_dir / "journal.sqlite3").touch()
    with StateDirectory(state_dir):
        if note is None:
            (state_dir / "lock").unlink()
        else:
            (state_dir / "lock").write_text(note)
        assert main(["send", "LOCK", ACCOUNT, "--direct", "--json", "--config", str(configuration)]) == 1
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["code"] == "STATE_DIRECTORY_BUSY"
    assert f"process {os.getpid()} " in error["message"]


def test_what_root_leaves_belongs_to_the_daemons_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon could not open its own journal otherwise."""
    given: list[tuple[str, int, int]] = []

    class Folder:
        def stat(self) -> SimpleNamespace:
            return SimpleNamespace(st_uid=4711, st_gid=4712)

        def rglob(self, _pattern: str) -> Iterator[str]:
            yield from ("journal.sqlite3-wal", "markets")

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "chown", lambda path, user, group, follow_symlinks: given.append((path, user, group)))
    direct._hand_back(Folder())  # type: ignore[arg-type]
    assert given == [("journal.sqlite3-wal", 4711, 4712), ("markets", 4711, 4712)]
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    direct._hand_back(Folder())  # type: ignore[arg-type]
    assert len(given) == 2
