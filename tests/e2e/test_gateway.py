"""Gateway, broker, nodes and exchange as processes of their own, from the shipped configuration."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.support.gateway import (
    SECOND_ACCOUNT,
    WITH_SECOND_ACCOUNT,
    GatewaySite,
    command_line,
    gateway_beside,
    second_node,
)
from tests.support.processes import ACCOUNT, Site, site

SOON = {r"confirm_within_s = 5": "confirm_within_s = 1.5"}


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Site]:
    """One node, armed."""
    with site(tmp_path) as made:
        made.start_simulator()
        made.start_daemon()
        yield made


@pytest.fixture
def gateway(node: Site) -> GatewaySite:
    """A gateway that sees it."""
    made = gateway_beside(node, changes=SOON)
    made.start()
    return made


def kill_node(node: Site) -> None:
    """SIGKILL."""
    assert node.daemon is not None
    node.daemon.kill()
    node.daemon.wait()


def covered_positions(node: Site) -> list[object]:
    """Of the slices that the example covers."""
    return [each for each in node.state()["positions"] if each["symbol"].endswith("USDT")]


def test_a_kill_through_the_gateway_closes_the_account_and_proves_it(gateway: GatewaySite) -> None:
    """The answer is the node's `accepted`; the stream ends with its proof; the exchange agrees."""
    assert covered_positions(gateway.site) != []
    answer = gateway.kill_switch("CLOSE_ALL")
    assert answer.status == 200, answer
    assert answer.document["success"] is True
    assert answer.document["account_id"] == ACCOUNT
    assert answer.document["estimated_execution"] == "10000ms"  # nothing was ever seen of this account
    assert answer.document["result"]["node_id"] == "node-1"
    assert answer.document["result"]["issuer"] == "desk"
    assert answer.document["result"]["state"] == "accepted"
    # From where the command stands when the stream is opened: on a busy machine that may be its end.
    events = gateway.events(answer.document["command_id"])
    assert (events[-1]["state"], events[-1]["verdict"]) == ("done", "flat_with_residue")
    assert [each["seq"] for each in events] == sorted({each["seq"] for each in events})
    assert covered_positions(gateway.site) == []
    assert gateway.result(answer.document["command_id"]).document == events[-1]
    gateway.until(lambda _shown: gateway.lock()["epoch"] == events[-1]["lock"]["epoch"])
    assert gateway.lock()["locked"] is True
    again = gateway.kill_switch("CLOSE_ALL")
    assert again.document["estimated_execution"] != "10000ms"  # now there is a history
    assert gateway.public("GET", "/livez")[0] == gateway.public("GET", "/readyz")[0] == 200
    metrics = gateway.metrics()
    assert 'sovereign_node_gateway_commands_total{action="CLOSE_ALL",outcome="confirmed"} 2.0' in metrics
    assert 'sovereign_node_gateway_account_known{account="binance-main"} 1.0' in metrics


def test_the_same_idempotency_key_is_one_command(gateway: GatewaySite) -> None:
    """The stored answer again; another content, or another account, is a conflict and tells nothing."""
    key = uuid4()
    first = gateway.kill_switch("LOCK", key=key)
    ending = gateway.ending(str(key))
    again = gateway.kill_switch("LOCK", key=key)
    assert (first.status, again.status) == (200, 200)
    assert again.document["result"] == ending
    assert gateway.site.lock_file()["epoch"] == ending["lock"]["epoch"]
    conflict = gateway.kill_switch("CLOSE_ALL", key=key)
    assert (conflict.status, conflict.document["error"]["code"]) == (409, "CONFLICT")
    assert conflict.document["result"]["positions"] == []


def test_callers_have_keys_of_the_gateways_own_and_reach_their_owners_accounts_only(node: Site) -> None:
    """Whatever the node's configuration says of owners; also across a restart, and for what nobody has confirmed."""
    another_owner = {
        r'owner = "acme"\Z|owner = "acme"\n\Z': (
            f'owner = "acme"\n\n[[owners]]\nid = "other"\n\n[[accounts]]\nid = "{SECOND_ACCOUNT}"\n'
            'name = "elsewhere"\nowner = "other"\n'
        )
    }
    gateway = gateway_beside(node, changes=SOON | another_owner)
    gateway.start()
    own, strange = gateway.new_key("acme"), gateway.new_key("other")
    kill = {"account_id": ACCOUNT, "action": "LOCK"}
    path = "/api/v1/b2b/risk/kill"

    status, answer = gateway.public("POST", path, own, kill)
    assert (status, answer["success"], answer["action"], answer["account_id"]) == (200, True, "LOCK", ACCOUNT)
    command = f"/api/v1/b2b/risk/commands/{answer['command_id']}"
    gateway.ending(answer["command_id"])
    assert gateway.public("GET", command, own)[1]["verdict"] == "locked"
    assert [each["name"] for each in gateway.public("GET", "/api/v1/b2b/accounts", own)[1]["accounts"]] == [
        "binance-main"
    ]
    assert gateway.public("POST", path, None, kill)[1]["error"]["code"] == "UNAUTHORIZED"
    unlock = {"account_id": ACCOUNT, "epoch": 1}
    assert gateway.public("POST", "/api/v1/b2b/risk/unlock", own, unlock)[0] == 404  # the operator's alone

    def hidden(method: str, place: str, body: object = None) -> None:
        status, answer = gateway.public(method, place, strange, body)
        assert (status, answer["error"]["code"]) == (404, "NOT_FOUND"), place

    hidden("POST", path, kill)
    hidden("GET", command)
    hidden("GET", f"{command}/events")
    hidden("GET", f"/api/v1/b2b/accounts/{ACCOUNT}/lock")

    gateway.kill()
    gateway.start()
    assert gateway.public("GET", command, own)[1]["verdict"] == "locked"
    kill_node(node)
    status, answer = gateway.public("POST", path, own, kill)
    assert (status, answer["error"]["code"]) == (504, "TIMEOUT")
    hidden("GET", f"/api/v1/b2b/risk/commands/{answer['command_id']}")
    hidden("GET", f"/api/v1/b2b/risk/commands/{answer['command_id']}/events")
    status, conflict = gateway.public("POST", path, strange, kill, Idempotency_Key=answer["command_id"])
    assert (status, conflict["error"]["code"]) == (404, "NOT_FOUND")
    gateway.site.start_daemon()
    gateway.ending(answer["command_id"])
    status, again = gateway.public("POST", path, own, kill, Idempotency_Key=answer["command_id"])
    assert (status, again["command_id"]) == (200, answer["command_id"])


def test_a_node_that_is_away_is_a_timeout_and_its_result_is_there_once_it_is_back(gateway: GatewaySite) -> None:
    """504 with the id; the lock is not known, so locked; the node carries the envelope out when it returns."""
    assert gateway.lock()["locked"] is False
    kill_node(gateway.site)
    answer = gateway.kill_switch("CLOSE_ALL")
    assert (answer.status, answer.document["error"]["code"]) == (504, "TIMEOUT")
    assert answer.document["success"] is False
    assert "result" not in answer.document
    command_id = answer.document["command_id"]
    assert gateway.result(command_id).status == 504
    shown = gateway.until(lambda shown: shown["accounts"][0]["lock"].get("known") is False)
    assert (shown["ready"], shown["accounts"][0]["state"]) == (False, "unknown")
    assert gateway.lock()["locked"] is True
    assert gateway.lock()["known"] is False
    assert (gateway.public("GET", "/livez")[0], gateway.public("GET", "/readyz")[0]) == (200, 503)
    gateway.site.start_daemon()
    ending = gateway.ending(command_id)
    assert (ending["state"], ending["verdict"]) == ("done", "flat_with_residue")
    assert covered_positions(gateway.site) == []
    gateway.until(lambda shown: shown["ready"] and shown["accounts"][0]["state"] != "unknown")


def test_a_broker_that_loses_everything_loses_no_command(gateway: GatewaySite) -> None:
    """Killed and started again without its memory: what was asked meanwhile is sent when it is back."""
    gateway.site.broker.stop(signal.SIGKILL)
    for leftover in (gateway.site.folder / "broker" / "state").iterdir():
        leftover.unlink()
    answer = gateway.kill_switch("LOCK")
    assert (answer.status, answer.document["error"]["code"]) == (504, "TIMEOUT")
    assert "the broker is not connected" in answer.document["error"]["message"]
    gateway.site.broker.start()
    assert gateway.ending(answer.document["command_id"])["verdict"] == "locked"
    gateway.until(lambda shown: shown["ready"])
    assert gateway.kill_switch("LOCK").status == 200


def test_a_gateway_that_is_killed_goes_on_with_what_nobody_has_confirmed(gateway: GatewaySite) -> None:
    """On disk before it was sent: the next run sends the same envelope, and it acts once."""
    kill_node(gateway.site)
    command_id = gateway.kill_switch("LOCK").document["command_id"]
    gateway.kill()
    gateway.site.broker.stop(signal.SIGKILL)  # nor may the broker's queue be what carries it
    for leftover in (gateway.site.folder / "broker" / "state").iterdir():
        leftover.unlink()
    gateway.site.broker.start()
    gateway.start(ready=False)
    assert gateway.result(command_id).status == 504
    gateway.site.start_daemon()
    ending = gateway.ending(command_id)
    assert ending["verdict"] == "locked"
    assert gateway.site.lock_file()["epoch"] == 1
    assert gateway.kill_switch("LOCK", key=command_id).document["result"] == ending


def test_what_ended_while_the_gateway_was_away_is_asked_for(gateway: GatewaySite) -> None:
    """The node answers the same envelope with its stored ending."""
    gateway.site.faults(latency_ms=400)
    command_id = gateway.kill_switch("CLOSE_ALL").document["command_id"]
    gateway.kill()
    gateway.site.faults(latency_ms=0)
    assert gateway.site.call("watch", command_id)[1]["state"] == "done"
    before = gateway.site.state()["counters"]["orders_placed"]
    gateway.start()
    assert gateway.ending(command_id)["state"] == "done"
    assert gateway.site.state()["counters"]["orders_placed"] == before


def test_two_nodes_answer_for_their_own_accounts_and_for_all(node: Site) -> None:
    """Every node hears every command; the one that has not the account is not taken for an answer."""
    other = second_node(node)
    other.start_simulator()
    other.start_daemon()
    gateway = gateway_beside(node, changes=SOON | WITH_SECOND_ACCOUNT)
    gateway.start()
    gateway.until(lambda shown: all(each["lock"].get("known", True) for each in shown["accounts"]))

    answer = gateway.kill_switch("LOCK", SECOND_ACCOUNT)
    assert answer.status == 200
    assert gateway.ending(answer.document["command_id"])["node_id"] == "node-2"
    assert node.lock_file()["locked"] is False

    answer = gateway.kill_switch("LOCK", "*")
    assert answer.status == 200, answer
    ending = gateway.ending(answer.document["command_id"])
    assert (ending["account_id"], ending["verdict"], ending["lock"]["locked"]) == ("*", "locked", True)
    children = {child["account_id"]: child for child in ending["children"]}
    assert children.keys() == {ACCOUNT, SECOND_ACCOUNT}
    assert gateway.result(children[SECOND_ACCOUNT]["command_id"]).document["node_id"] == "node-2"
    assert node.lock_file()["locked"] is True

    kill_node(other)
    answer = gateway.kill_switch("CLOSE_ALL", "*")
    assert (answer.status, answer.document["error"]["code"]) == (504, "TIMEOUT")
    assert "binance-second" in answer.document["error"]["message"]
    assert "binance-main" not in answer.document["error"]["message"]
    other.start_daemon()
    ending = gateway.ending(answer.document["command_id"])
    assert (ending["state"], ending["verdict"]) == ("done", "flat_with_residue")
    assert covered_positions(node) == []
    assert covered_positions(other) == []


def test_an_event_that_no_node_sent_is_refused_by_the_broker(gateway: GatewaySite) -> None:
    """Events are not signed: the shipped access list lets nodes alone write them."""
    kill_node(gateway.site)
    answer = gateway.kill_switch("CLOSE_ALL")
    command_id = answer.document["command_id"]
    forged = {
        "schema": "sovereign-node/result/1", "node_id": "node-1", "seq": 99, "command_id": command_id,
        "account_id": ACCOUNT, "action": "CLOSE_ALL", "state": "done", "verdict": "flat", "dry_run": False,
        "at": "2026-11-20T10:00:00.161Z", "latency_ms": {"total": 1.0}, "errors": [],
    }  # fmt: skip
    topic = f"sn/v1/acme/evt/{ACCOUNT}/{command_id}"
    for user in ("desk", "gateway"):
        done = subprocess.run(
            [
                "mosquitto_pub", "-V", "5", "-q", "1", "-p", str(gateway.site.broker.port), "-u", user,
                "-P", f"{user}-secret", "-t", topic, "-m", json.dumps(forged),
            ],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert "ot authorized" in done.stderr + done.stdout
    assert gateway.result(command_id).status == 504
    gateway.site.start_daemon()
    assert gateway.ending(command_id)["verdict"] == "flat_with_residue"


def test_an_unlock_is_the_nodes_to_allow(gateway: GatewaySite) -> None:
    """The example's issuer may not; force and abort are for the node's own operator."""
    command_id = gateway.kill_switch("LOCK").document["command_id"]
    epoch = gateway.ending(command_id)["lock"]["epoch"]
    unlock = "/api/v1/b2b/risk/unlock"
    refused = gateway.client.call("POST", unlock, {"account_id": ACCOUNT, "epoch": epoch})
    assert (refused.status, refused.document["error"]["code"]) == (403, "FORBIDDEN")
    forced = gateway.client.call("POST", unlock, {"account_id": ACCOUNT, "epoch": epoch, "force": True, "reason": "so"})
    assert (forced.status, forced.document["error"]["code"]) == (403, "FORBIDDEN")
    for path, body in (
        (f"/api/v1/b2b/risk/commands/{command_id}/abort", {}),
        (f"/api/v1/b2b/accounts/{ACCOUNT}/guard", {"mode": "off"}),
    ):
        answer = gateway.client.call("POST", path, body)
        assert (answer.status, answer.document["error"]["code"]) == (501, "NOT_AVAILABLE")
    assert gateway.site.lock_file()["locked"] is True


def test_an_issuer_that_may_unlock_does_so_with_the_locks_epoch(tmp_path: Path) -> None:
    """And with no other."""
    allowed = {r'actions = \["LOCK", "CLOSE_ALL", "FLATTEN"\]': 'actions = ["LOCK", "CLOSE_ALL", "FLATTEN", "UNLOCK"]'}
    with site(tmp_path, changes=allowed) as node:
        node.start_simulator()
        node.start_daemon()
        gateway = gateway_beside(node)
        gateway.start()
        epoch = gateway.ending(gateway.kill_switch("LOCK").document["command_id"])["lock"]["epoch"]
        status, document, _ = command_line(node, "unlock", "binance-main", "--epoch", str(epoch - 1))
        assert (status, document["errors"][0]["code"]) == (4, "STALE_EPOCH")
        status, document, _ = command_line(node, "unlock", "binance-main", "--epoch", str(epoch))
        assert (status, document["verdict"]) == (0, "unlocked")
        assert node.lock_file()["locked"] is False


def test_the_command_line_works_at_the_gateways_socket(gateway: GatewaySite) -> None:
    """`send --wait` ends as at the node; a node that is away is trouble, never a success."""
    status, document, _ = command_line(gateway.site, "send", "LOCK", "binance-main", "--wait")
    assert (status, document["verdict"]) == (0, "locked")
    assert command_line(gateway.site, "status")[1]["accounts"][0]["lock"]["locked"] is True
    assert command_line(gateway.site, "check")[1] == {"ok": True, "faults": [], "warnings": []}
    kill_node(gateway.site)
    status, document, error = command_line(gateway.site, "send", "CLOSE_ALL", "binance-main", "--wait")
    assert status == 1, (document, error)
    assert "TIMEOUT" in error + json.dumps(document)


def test_sigterm_ends_the_gateway_in_order_and_one_state_has_one_gateway(gateway: GatewaySite) -> None:
    """Exit status 0, the socket gone; a second process on the same state is refused."""
    status, _, error = command_line(gateway.site, "gateway")
    assert status == 1
    assert "held by process" in error
    assert gateway.process is not None
    gateway.process.send_signal(signal.SIGTERM)
    assert gateway.process.wait(15) == 0
    assert not (gateway.site.folder / "gateway-run" / "operator.sock").exists()
