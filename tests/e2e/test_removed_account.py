"""An account is taken out of the configuration while a command of it is unfinished."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.processes import ACCOUNT
from tests.support.service import CONFIGURATION, WITH_ACCOUNT, service

#: Nothing unfinished is young enough to be taken up again.
RESUMES_NOTHING = "[execution]\nresume_within_s = 0\n"


def test_the_next_start_ends_the_command_and_the_lock_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Failed, with the reason; when the account is back it is locked."""
    monkeypatch.setenv("NOWHERE_KEY", "of no exchange")
    with service(tmp_path, WITH_ACCOUNT) as first:
        first.until("READY")
        body = {"account_id": ACCOUNT, "action": "CLOSE_ALL"}
        accepted = first.operator.call("POST", "/api/v1/b2b/risk/kill", body).or_trouble()
    path = f"/api/v1/b2b/risk/commands/{accepted['command_id']}"
    with service(tmp_path, CONFIGURATION + RESUMES_NOTHING) as without:
        without.until("READY")
        *_, ending = (event for event in without.operator.stream(f"{path}/events") if event)
        assert (ending["state"], ending["errors"][0]["code"]) == ("failed", "ACCOUNT_REMOVED")
        assert not [event for event in without.log() if event["level"] == "error" and "exception" in event]
    with service(tmp_path, WITH_ACCOUNT) as back:
        back.until("READY")
        (account,) = back.ask("/api/v1/node/status").document["accounts"]
        assert account["lock"]["locked"] is True
        assert account["live_commands"] == []
