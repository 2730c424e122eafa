"""The doctor, at a simulated venue and from the command line: what it says, and by which exit status."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from node.domain.flatten import FlattenTerms
from node.domain.permission import Permission
from node.domain.steps import ClosePosition
from node.engine.account import AccountTerms
from node.engine.checkup import Checkup, Finding, Severity
from node.sim.keys import KeyRights
from tests.support.venue_sim import Bench, bench, plan

#: What tells the rights of a key.
KEY_PATH = "/sapi/v1/account/apiRestrictions"


async def examined(the: Bench, permission: Permission = Permission.CLOSE) -> dict[str, list[Finding]]:
    """What is found, by code."""
    terms = AccountTerms(
        account_id=UUID(int=1),
        name="main",
        owner="me",
        exchange="binance",
        permission=permission,
        flatten=FlattenTerms(base_currency="USDT"),
    )
    found: dict[str, list[Finding]] = {}
    for finding in await Checkup(terms=terms, venue=the.venue).carry_out():
        found.setdefault(finding.code, []).append(finding)
    return found


def severities(found: dict[str, list[Finding]], code: str) -> set[Severity]:
    """How bad a finding is."""
    return {each.severity for each in found.get(code, ())}


async def test_a_sound_account_is_told_to_be_sound() -> None:
    """Reachable, trading, not withdrawing, bound, on time, warm; and what a close would do now. Nothing is touched."""
    async with bench(armed=False) as the:
        found = await examined(the)
        assert {each.severity for findings in found.values() for each in findings} == {Severity.OK}
        for code in (
            "REACHABLE",
            "MAY_TRADE",
            "MAY_NOT_WITHDRAW",
            "BOUND",
            "CLOCK",
            "SOCKETS",
            "BUDGET",
            "POSITION_MODE",
        ):
            assert code in found, code
        told = {each.slice: each.message for each in found["READ"]}
        assert told.keys() == {"spot", "linear", "inverse"}
        planned = [
            step for step in plan(the.venue, await the.venue.read_slice("linear")) if isinstance(step, ClosePosition)
        ]
        assert f"would place {len(planned)} closing orders" in told["linear"]
        assert len(planned) > 20
        assert [each.method for each in the.requests("POST")] == []


async def test_a_key_that_may_withdraw_is_a_loud_warning() -> None:
    """And from every address, another."""
    async with bench(armed=False) as the:
        for key in the.sim.keys.by_public.values():
            key.rights = KeyRights(withdrawals=True, ip_restricted=False)
        found = await examined(the)
        assert severities(found, "MAY_WITHDRAW") == severities(found, "ANY_ADDRESS") == {Severity.WARNING}


async def test_a_key_that_may_withdraw_is_refused_where_configuration_says_so() -> None:
    """The account is not armed; it can still be read and closed."""
    async with bench(armed=False, refuse_withdrawal=True) as the:
        for key in the.sim.keys.by_public.values():
            key.rights = KeyRights(withdrawals=True)
        found = await examined(the)
        assert severities(found, "VENUE_DENIED") == {Severity.FAULT}
        assert "may withdraw" in found["VENUE_DENIED"][0].message
        assert severities(found, "READ") == {Severity.OK}


async def test_a_right_to_withdraw_that_could_not_be_read_is_not_taken_for_none() -> None:
    """Where configuration refuses it, the account stays degraded until the venue has answered; else it is a warning."""
    for refuses, expected in ((True, {Severity.TROUBLE}), (False, set())):
        async with bench(armed=False, refuse_withdrawal=refuses) as the:
            the.misbehave({"status_after_execution": 503}, method="GET", path=KEY_PATH, times=None)
            found = await examined(the)
            assert severities(found, "VENUE_UNAVAILABLE") == expected
            assert severities(found, "KEY_UNREAD") == {Severity.WARNING}
            assert severities(found, "READ") == {Severity.OK}


async def test_a_revoked_key_is_a_fault() -> None:
    """A person must act."""
    async with bench(armed=False) as the:
        for key in the.sim.keys.by_public.values():
            key.rights = KeyRights(spot=False, futures=False)
        found = await examined(the)
        assert Severity.FAULT in severities(found, "MAY_NOT_TRADE")


async def test_a_slice_that_cannot_be_read_is_trouble_and_hides_no_other() -> None:
    """It may pass."""
    async with bench(armed=False) as the:
        the.misbehave({"status_after_execution": 503}, method="GET", path="/fapi/v1/openOrders", times=None)
        found = await examined(the)
        assert {each.slice for each in found["READ"]} == {"spot", "inverse"}
        assert [each.slice for each in found["VENUE_UNAVAILABLE"]] == ["linear"]
        assert severities(found, "VENUE_UNAVAILABLE") == {Severity.TROUBLE}


async def test_a_permission_of_this_nodes_is_not_the_venues_fault() -> None:
    """It was meant."""
    async with bench(armed=False, permission=Permission.READ) as the:
        found = await examined(the, Permission.READ)
        assert severities(found, "PERMISSION") == {Severity.WARNING}
        assert "MAY_NOT_TRADE" not in found


async def test_what_is_left_out_is_named() -> None:
    """Slices that no configuration names are neither closed nor proven."""
    async with bench(armed=False, slices=("spot",)) as the:
        found = await examined(the)
        assert any("linear" in each.message for each in found["NOT_COVERED"])


CONFIG = """
[node]
id = "n"
tenant = "t"
state_dir = "{directory}/state"
runtime_dir = "{directory}/run"
[[owners]]
id = "me"
subscription = "none"
[[accounts]]
id = "6b0c8d1e-5f0a-4c52-9a1e-3d0f6f1d2a77"
name = "main"
owner = "me"
exchange = "binance"
permission = "close"
base_currency = "USDT"
credentials = {{ apiKey = {{ credential = "key" }}, secret = {{ credential = "secret" }} }}
connect_to = "127.0.0.1:{port}"
ca_file = "{ca}"
"""


def doctor(directory: Path, the: Any, *words: str, port: int | None = None) -> subprocess.CompletedProcess[str]:
    """The command, in a process of its own."""
    config = directory / "node.toml"
    config.write_text(CONFIG.format(directory=directory, port=port or the.sim.port, ca=the.sim.ca_path))
    directory.chmod(0o700)
    for name, value in (("key", "apiKey"), ("secret", "secret")):
        (directory / name).write_text(the.options.credentials[value])
        (directory / name).chmod(0o600)
    return subprocess.run(
        [sys.executable, "-m", "node", "doctor", "--config", str(config), *words],
        capture_output=True,
        text=True,
        check=False,
        env={"CREDENTIALS_DIRECTORY": str(directory), "PATH": ""},
        timeout=60,
    )


@pytest.mark.parametrize("as_json", [True, False])
async def test_the_exit_status_tells(tmp_path: Path, *, as_json: bool) -> None:
    """0 for a sound account, 5 where a person must act, 1 for a name that there is not."""

    async with bench(armed=False) as the:
        done = await asyncio.to_thread(doctor, tmp_path, the, *(["--json"] if as_json else []))
        assert done.returncode == 0, done.stderr
        if as_json:
            (account,) = json.loads(done.stdout)["accounts"]
            assert account["name"] == "main"
            assert {"code", "severity", "message"} <= account["findings"][0].keys()
        else:
            assert done.stdout.startswith("main\n  ok ")
        for key in the.sim.keys.by_public.values():
            key.rights = KeyRights(spot=False, futures=False)
        assert (await asyncio.to_thread(doctor, tmp_path, the)).returncode == 5
        unknown = await asyncio.to_thread(doctor, tmp_path, the, "nobody")
        assert (unknown.returncode, "there are: main" in unknown.stderr) == (1, True)


async def test_a_venue_that_is_away_may_come_back(tmp_path: Path) -> None:
    """3: look again."""

    async with bench(armed=False) as the:
        done = await asyncio.to_thread(doctor, tmp_path, the, port=1)
        assert done.returncode == 3
        assert "TROUBLE" in done.stdout
