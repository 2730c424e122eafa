"""Warnings about files of secrets that others could read, replace or inherit."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from node import settings
from node.commands.exposure import exposures
from node.settings import Settings


@pytest.fixture
def configured(tmp_path: Path) -> Settings:
    """One credential, in a private place."""
    (tmp_path / "state").mkdir(mode=0o700)
    return settings.parse(
        {
            "node": {
                "id": "n",
                "tenant": "t",
                "state_dir": str(tmp_path / "state"),
                "runtime_dir": str(tmp_path / "run"),
            },
            "mqtt": {"url": "mqtt://localhost", "username": "n", "password": {"credential": "mqtt_password"}},
        }
    )


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """Its file."""
    tmp_path.chmod(0o755)
    folder = tmp_path / "credentials"
    folder.mkdir(mode=0o700)
    (folder / "mqtt_password").touch(mode=0o600)
    (folder / "mqtt_password").write_text("canary-secret")
    return folder / "mqtt_password"


def of_directory(secret: Path) -> dict[str, str]:
    """As systemd shows it."""
    return {"CREDENTIALS_DIRECTORY": str(secret.parent)}


def test_a_private_file_is_no_exposure(configured: Settings, secret: Path) -> None:
    """In the credentials directory or named by a variable."""
    assert exposures(configured, environ=of_directory(secret)) == []
    assert exposures(configured, environ={"MQTT_PASSWORD_FILE": str(secret)}) == []


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660])
def test_a_file_that_others_can_read_is_named(configured: Settings, secret: Path, mode: int) -> None:
    """With what to do about it, and without its content."""
    secret.chmod(mode)
    (said,) = exposures(configured, environ=of_directory(secret))
    assert said == f"credential mqtt_password: {secret} can be read by others: chmod 600"
    assert "canary" not in said


def test_a_folder_that_others_can_write_is_named(configured: Settings, secret: Path) -> None:
    """Its files can be replaced, whatever their own modes; not where the sticky bit forbids that."""
    secret.parent.chmod(0o777)
    (said,) = exposures(configured, environ=of_directory(secret))
    assert "can be changed by others, and so mqtt_password replaced" in said
    secret.parent.chmod(0o1777)
    assert exposures(configured, environ=of_directory(secret)) == []


def test_a_file_of_another_user_is_named(configured: Settings, secret: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root's are fine, as systemd's are; anybody else's are his."""
    if os.geteuid() == 0:
        assert exposures(configured, environ=of_directory(secret)) == []
        os.chown(secret, 4321, -1)
    owner = secret.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    said = exposures(configured, environ=of_directory(secret))
    assert f"(uid {owner})" in said[0]


def test_an_access_list_for_one_user_is_not_taken_for_the_group(configured: Settings, secret: Path) -> None:
    """systemd lets the service's user read that way: the group's bits are then only the list's mask."""
    try:
        os.setxattr(secret, "system.posix_acl_access", access_list(user=4321))
    except OSError as error:
        pytest.fail(f"this file system has no access lists: {error}")
    assert secret.stat().st_mode & 0o070
    assert exposures(configured, environ=of_directory(secret)) == []


def access_list(*, user: int) -> bytes:
    """`user::rw-, user:N:r--, group::---, mask::r--, other::---`, as the kernel has it."""
    entries = ((1, 6, 0xFFFFFFFF), (2, 4, user), (4, 0, 0xFFFFFFFF), (0x10, 4, 0xFFFFFFFF), (0x20, 0, 0xFFFFFFFF))
    words = b"".join(
        tag.to_bytes(2, "little") + rights.to_bytes(2, "little") + who.to_bytes(4, "little")
        for tag, rights, who in entries
    )
    return (2).to_bytes(4, "little") + words


def test_a_secret_in_the_environment_is_named(configured: Settings) -> None:
    """It is the last resort, for trying."""
    (said,) = exposures(configured, environ={"MQTT_PASSWORD": "canary-secret"})
    assert said.startswith("credential mqtt_password: comes from the environment")
    assert "canary" not in said


def test_a_configuration_that_others_can_write_and_an_open_state_are_named(
    configured: Settings, secret: Path, tmp_path: Path
) -> None:
    """The one says who may unlock; the other is the journal."""
    config = tmp_path / "node.toml"
    config.touch(mode=0o644)
    assert exposures(configured, config, of_directory(secret)) == []
    config.chmod(0o666)
    configured.node.state_dir.chmod(0o755)
    assert exposures(configured, config, of_directory(secret)) == [
        f"configuration: {config} can be changed by others: chmod go-w",
        f"node.state_dir: {configured.node.state_dir} is open to others: chmod 700",
    ]


def test_check_and_doctor_say_it(configured: Settings, secret: Path, tmp_path: Path) -> None:
    """As warnings, in the document and to the reader; the exit status is that of the rest."""
    secret.chmod(0o644)
    config = tmp_path / "node.toml"
    config.write_text(
        f'[node]\nid = "n"\ntenant = "t"\nstate_dir = "{tmp_path}/state"\nruntime_dir = "{tmp_path}/run"\n'
        '[mqtt]\nurl = "mqtt://localhost"\nusername = "n"\npassword = { credential = "mqtt_password" }\n'
    )
    for command in ("check", "doctor"):
        done = subprocess.run(
            [sys.executable, "-m", "node", command, "--config", str(config), "--json"],
            capture_output=True,
            text=True,
            env={**os.environ, **of_directory(secret)},
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "can be read by others: chmod 600" in done.stdout


def test_a_folder_of_locks_that_others_can_change(configured: Settings, tmp_path: Path) -> None:
    """Engines believe what is shown there."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run").chmod(0o755)
    assert exposures(configured, environ={}) == []
    (tmp_path / "run").chmod(0o775)
    (said,) = exposures(configured, environ={})
    assert said.startswith(f"node.runtime_dir: {tmp_path / 'run'} can be changed by others")
