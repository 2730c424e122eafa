"""The risk API of the real daemon: a key from the command line, the documented request, the exchange's word."""

from __future__ import annotations

import json
import resource
import signal
import time
import urllib.error
import urllib.request
from pathlib import Path
from uuid import uuid4

from tests.support.processes import ACCOUNT, Document, Site, site

OTHERS_ACCOUNT = "0d0d0d0d-0000-4000-8000-00000000000d"
#: A second owner, whose account's exchange cannot be reached: it is locked all the same.
SECOND_OWNER = f"""
[[owners]]
id = "other"

[[accounts]]
id = "{OTHERS_ACCOUNT}"
name = "others"
owner = "other"
exchange = "binance"
permission = "close"
base_currency = "USDT"
credentials = {{ apiKey = {{ credential = "binance_key" }}, secret = {{ credential = "binance_secret" }} }}
slices = ["spot"]
connect_to = "127.0.0.1:1"

[execution]
"""


def call(running: Site, path: str, key: str, body: Document | None = None) -> tuple[int, Document]:
    """One request with a key."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{running.ports['http']}/api/v1/b2b{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"X-API-Key": key, "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def new_key(running: Site, owner: str, *options: str) -> tuple[str, str]:
    """Id and text."""
    status, document, error = running.call("keys", "create", "--owner", owner, *options)
    assert status == 0, error
    assert set(document) == {"id", "api_key", "scopes", "accounts", "expires_at"}
    return document["id"], document["api_key"]


def ending(running: Site, key: str, command_id: str) -> Document:
    """The command's last document."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        status, document = call(running, f"/risk/commands/{command_id}", key)
        assert status == 200, document
        if document["state"] in ("done", "failed", "rejected"):
            return document
        time.sleep(0.1)
    raise AssertionError(f"{command_id} has not ended")


def test_keys_command_their_owners_accounts_and_survive_a_restart(tmp_path: Path) -> None:
    """From `keys create` to the flat account; nobody learns of another's; limits and revocations outlive a process."""
    with site(tmp_path, changes={r"^\[execution\]$": SECOND_OWNER}) as running:
        running.start_simulator()
        running.start_daemon()
        assert running.daemon is not None
        soft, most = resource.prlimit(running.daemon.pid, resource.RLIMIT_NOFILE)
        assert soft == most
        key_id, key = new_key(running, "acme")
        _, others_key = new_key(running, "other", "--scopes", "kill,read")

        status, answer = call(running, "/risk/kill", key, {"account_id": ACCOUNT, "action": "CLOSE_ALL"})
        assert (status, answer["success"], answer["action"], answer["account_id"]) == (200, True, "CLOSE_ALL", ACCOUNT)
        document = ending(running, key, answer["command_id"])
        assert (document["state"], document["issuer"]) == ("done", f"key:{key_id}")
        held = [each for each in running.state()["positions"] if each["symbol"].endswith("USDT")]
        assert held == []

        for account in (ACCOUNT, str(uuid4())):
            refusal = call(running, "/risk/kill", others_key, {"account_id": account, "action": "LOCK"})
            assert refusal[0] == 404
            assert set(refusal[1]) == {"success", "error"}
            assert refusal[1]["error"] == {"code": "NOT_FOUND", "message": "no such account at this node"}
        assert call(running, f"/risk/commands/{answer['command_id']}", others_key)[0] == 404
        listed = call(running, "/accounts", others_key)[1]["accounts"]
        assert [each["id"] for each in listed] == [OTHERS_ACCOUNT]
        status, locked = call(running, "/risk/kill", others_key, {"account_id": OTHERS_ACCOUNT, "action": "LOCK"})
        assert status == 200
        assert ending(running, others_key, locked["command_id"])["verdict"] == "locked"

        revoked_id, revoked = new_key(running, "acme")
        assert running.call("keys", "revoke", revoked_id)[1]["state"] == "revoked"
        while call(running, "/accounts", key)[0] == 200:
            pass
        running.daemon.send_signal(signal.SIGTERM)
        assert running.daemon.wait(20) == 0
        running.start_daemon()
        assert call(running, "/accounts", key)[1]["error"]["code"] == "RATE_LIMITED"
        assert call(running, "/accounts", revoked)[1]["error"]["code"] == "KEY_REVOKED"
        assert call(running, "/risk/kill", key, {"account_id": ACCOUNT, "action": "LOCK"})[0] == 200
        _, keys, _ = running.call("keys", "list", "--owner", "acme")
        assert [(each["id"], each["state"]) for each in keys["keys"]] == [(key_id, "active"), (revoked_id, "revoked")]
        assert keys["keys"][0]["last_used_at"] is not None
        assert key not in running.log("node")
