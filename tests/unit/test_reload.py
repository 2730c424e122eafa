"""Reading the configuration again: what takes effect, what is only named."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from node.errors import ConfigError
from node.reload import Reload, changes
from node.settings import Settings, parse

ACCOUNT = {
    "id": "6b0c8d1e-5f0a-4c52-9a1e-3d0f6f1d2a77",
    "name": "binance-main",
    "owner": "acme",
    "exchange": "binance",
    "permission": "close",
    "base_currency": "USDT",
    "credentials": {"apiKey": {"credential": "binance_key"}},
}
OTHER = {**ACCOUNT, "id": "11111111-5f0a-4c52-9a1e-3d0f6f1d2a77", "name": "binance-spare"}
ISSUER = {
    "id": "desk",
    "public_key": "8ad1Kc2mYfYQ1XrpYyB0a0dH3lEz4Dq8m7sVvHhW3ZQ=",
    "actions": ["LOCK"],
    "accounts": ["*"],
}


def settings(**sections: Any) -> Settings:
    """A small configuration, with some sections of its own."""
    node = {"id": "node-1", "tenant": "acme", "state_dir": "state", "runtime_dir": "run"}
    return parse({"node": node, "owners": [{"id": "acme"}], "accounts": [ACCOUNT], **sections})


@pytest.mark.parametrize(
    ("sections", "places"),
    [
        ({}, []),
        ({"execution": {"deadline_s": 7.0}}, ["execution.deadline_s"]),
        ({"http": {"listen": "127.0.0.1:1"}}, ["http"]),
        ({"accounts": [OTHER, ACCOUNT]}, ["accounts[binance-spare]"]),
        ({"accounts": []}, ["accounts[binance-main]"]),
        ({"accounts": [{**ACCOUNT, "slices": ["spot"]}]}, ["accounts[binance-main].slices"]),
        ({"accounts": [{**ACCOUNT, "flatten": {"keep": ["BNB"]}}]}, ["accounts[binance-main].flatten.keep"]),
        (
            {"accounts": [{**ACCOUNT, "credentials": {"apiKey": {"credential": "other"}}}]},
            ["accounts[binance-main].credentials.apiKey.credential"],
        ),
    ],
)
def test_differences_are_named_by_place(sections: dict[str, Any], places: list[str]) -> None:
    """Tables with ids are told apart by their names, whatever their order."""
    assert list(changes(settings(), settings(**sections))) == places


def written(folder: Path, *, execution: str = "", issuer: bool = True) -> Path:
    """The same as a file."""
    text = '[node]\nid = "node-1"\ntenant = "acme"\nstate_dir = "state"\nruntime_dir = "run"\n' + execution
    if issuer:
        text += '[[issuers]]\nid = "desk"\nactions = ["LOCK"]\naccounts = ["*"]\n'
        text += f'public_key = "{ISSUER["public_key"]}"\n'
    (folder / "node.toml").write_text(text)
    return folder / "node.toml"


def no_trial() -> None:
    """Every certificate is well."""


def reload_of(
    config: Path | None,
    adopted: list[Settings],
    *,
    certificate: Exception | None = None,
    trial: Callable[[], None] = no_trial,
    within_s: float = 5.0,
) -> Reload:
    """Of a node that runs without issuers."""

    def reload_certificates() -> None:
        if certificate is not None:
            raise certificate

    return Reload(
        config=config,
        settings=settings(accounts=[], owners=[]),
        adopt_issuers=adopted.append,
        reload_certificates=reload_certificates,
        try_certificates=trial,
        within_s=within_s,
    )


async def test_issuers_take_effect_and_the_rest_waits(tmp_path: Path) -> None:
    """What is adopted is the running configuration with the new issuers, and nothing else of the file."""
    adopted: list[Settings] = []
    reload = reload_of(written(tmp_path, execution="[execution]\ndeadline_s = 7\n"), adopted)
    await reload.carry_out()
    assert [issuer.id for issuer in adopted[-1].issuers] == ["desk"]
    assert adopted[-1].execution.deadline_s == 10.0
    assert reload.pending == ("execution.deadline_s",)
    written(tmp_path, issuer=False)
    await reload.carry_out()
    assert not adopted[-1].issuers
    assert not reload.pending


async def test_a_certificate_that_cannot_be_used_changes_nothing(tmp_path: Path) -> None:
    """As a file that is wrong, or none."""
    adopted: list[Settings] = []
    await reload_of(written(tmp_path), adopted, certificate=ConfigError(["http.cert_file: no"])).carry_out()
    await reload_of(written(tmp_path), adopted, certificate=RuntimeError("unforeseen")).carry_out()
    await reload_of(tmp_path / "missing.toml", adopted).carry_out()
    (tmp_path / "deep.toml").write_text("a = " + "[" * 5000 + "]" * 5000)
    await reload_of(tmp_path / "deep.toml", adopted).carry_out()
    await reload_of(None, adopted).carry_out()
    assert adopted == []


async def test_a_pipe_in_the_files_place_is_refused_at_once(tmp_path: Path) -> None:
    """Opened as a file it would wait for a writer, and the node with it."""
    adopted: list[Settings] = []
    os.mkfifo(tmp_path / "node.toml")
    with capture_logs() as logs:
        await reload_of(tmp_path / "node.toml", adopted).carry_out()
    assert adopted == []
    assert "not a regular file" in str(logs[0]["faults"])


async def test_a_disk_that_hangs_is_given_up_and_the_next_signal_is_served(tmp_path: Path) -> None:
    """The thread that waits for it is left behind; nothing has changed."""
    adopted: list[Settings] = []
    answers = threading.Event()
    hanging = reload_of(written(tmp_path), adopted, trial=lambda: (answers.wait(), None)[1], within_s=0.05)
    with capture_logs() as logs:
        await hanging.carry_out()
    answers.set()
    assert adopted == []
    assert "not read within 0.05 s" in str(logs[0]["faults"])
    hanging.within_s = 5.0
    await hanging.carry_out()
    assert [issuer.id for issuer in adopted[-1].issuers] == ["desk"]
