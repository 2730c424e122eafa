"""The Dockerfile and the example of its use: nobody is root, nothing can be written, no secret is written down.

(`tests/container/build_and_run.sh` builds the image and runs it; that needs two minutes and a few tools.)
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from node.app import STOP_WITHIN_S
from node.cli import main

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "config" / "compose.yaml").read_text())
DOCKERFILE = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text())


def instructions(name: str) -> list[str]:
    """The arguments of every instruction of a kind, in order."""
    return re.findall(rf"^{name} +(.*)$", DOCKERFILE, flags=re.MULTILINE)


def test_no_instruction_needs_a_shell() -> None:
    """The image may have none: everything that is run is a list of words."""
    commands = [*instructions("RUN"), *instructions("ENTRYPOINT"), *instructions("CMD")]
    commands += [check.partition("CMD ")[2] for check in instructions("HEALTHCHECK")]
    assert len(commands) > 5
    for command in commands:
        assert all(isinstance(word, str) for word in json.loads(command))


def test_the_image_runs_as_a_fixed_user_who_is_not_root() -> None:
    """By number: the image need not know a name, and volumes can be given to it."""
    assert instructions("USER") == ["10001:10001"]


def test_what_is_installed_is_what_is_locked() -> None:
    """Every installation is by hash, or of what the build itself has made."""
    installs = [run for run in instructions("RUN") if '"install"' in run]
    assert installs
    assert all('"--require-hashes"' in run or '"--no-index"' in run for run in installs)


def test_the_health_check_is_a_command_that_the_program_has(capsys: pytest.CaptureFixture[str]) -> None:
    """Asked of a daemon that is not there it says so, with a status that is unhealthy."""
    (check,) = instructions("HEALTHCHECK")
    program, *arguments = json.loads(check.partition("CMD ")[2])
    assert [program] == json.loads(instructions("ENTRYPOINT")[0])
    assert main([*arguments[:-1], "/nowhere/operator.sock"]) == 1
    assert "no daemon answers" in capsys.readouterr().err


def test_the_folder_of_the_locks_is_back_after_a_boot_before_the_node_is() -> None:
    """Docker would make it for root, and a node that is started again by itself could not write there."""
    text = (ROOT / "config" / "compose.yaml").read_text()
    (user,) = instructions("USER")
    rule = f"d /run/sovereign-node 0755 {user.replace(':', ' ')}"
    assert f"echo '{rule}' > /etc/tmpfiles.d/sovereign-node.conf" in text
    assert "/run/sovereign-node:/run/sovereign-node" in COMPOSE["services"]["node"]["volumes"]


@pytest.mark.parametrize("name", sorted(COMPOSE["services"]))
def test_every_service_is_confined(name: str) -> None:
    """Read-only, without capabilities, without a way to more; and it comes back for ever."""
    service = COMPOSE["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] == "always"
    assert "privileged" not in service
    assert "ports" not in service


def test_the_node_has_time_to_end_in_order() -> None:
    """Killed before, it would not say offline."""
    grace = COMPOSE["services"]["node"]["stop_grace_period"]
    assert float(grace.removesuffix("s")) > STOP_WITHIN_S


def test_secrets_are_files_where_the_program_looks() -> None:
    """Each name that the example configuration refers to, by its `_FILE` variable; none in the environment itself."""
    node = COMPOSE["services"]["node"]
    example = (ROOT / "config" / "node.example.toml").read_text()
    lines = [line for line in example.splitlines() if not line.startswith("#")]
    named = {name for line in lines for name in re.findall(r'credential = "(\w+)"', line)}
    assert node["environment"] == {f"{name.upper()}_FILE": f"/run/secrets/{name}" for name in named}
    assert set(node["secrets"]) == named == set(COMPOSE["secrets"])
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    for name, secret in COMPOSE["secrets"].items():
        assert secret == {"file": f"./secrets/{name}"}
    assert "config/secrets/" in ignored


def test_files_that_are_mounted_are_shipped_or_made_as_the_first_lines_say() -> None:
    """A path that does not exist becomes an empty folder, and then a riddle."""
    text = (ROOT / "config" / "compose.yaml").read_text()
    for service in COMPOSE["services"].values():
        for volume in service["volumes"]:
            source = volume.partition(":")[0]
            if source.startswith("./") and not (ROOT / "config" / source).exists():
                assert re.search(rf"^#.*\b{re.escape(source.removeprefix('./'))}\b", text, flags=re.MULTILINE), source
