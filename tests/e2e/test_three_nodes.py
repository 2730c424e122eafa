"""Three real nodes on one real mosquitto, each with an account of its own: who answers what."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.fleet import Fleet, fleet
from tests.support.processes import Document

NODES = 3


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Fleet]:
    """All ready."""
    with fleet(tmp_path, NODES) as made:
        yield made


@contextmanager
def overheard(the: Fleet) -> Iterator[list[Document]]:
    """What all nodes have published about commands while the block ran."""
    listener = the.broker.listen("-t", "sn/v1/acme/evt/#", "-t", "sn/v1/acme/rsp/end-of-test", "-q", "1", "-v")
    heard: list[Document] = []
    assert listener.stdout is not None
    try:
        _until_heard(the, listener, "begin")
        yield heard
        _publish(the, "end")
        for line in listener.stdout:
            topic, _, payload = line.partition(" ")
            if topic.endswith("end-of-test") and payload.strip() == "end":
                break
            if "/evt/" in topic:
                heard.append(json.loads(payload))
    finally:
        listener.terminate()
        listener.wait(5)
        listener.stdout.close()


def _publish(the: Fleet, text: str, *arguments: str) -> None:
    command = ["mosquitto_pub", "-V", "5", "-q", "1", "-p", str(the.broker.port), "-u", "node-1", "-P", "node-secret"]
    subprocess.run([*command, "-t", "sn/v1/acme/rsp/end-of-test", "-m", text, *arguments], check=True)


def _until_heard(the: Fleet, listener: subprocess.Popen[str], text: str) -> None:
    """The listener has subscribed: a retained message reaches whoever comes later, too."""
    assert listener.stdout is not None
    _publish(the, text, "-r")
    for line in listener.stdout:
        if line.strip().endswith(text):
            return


def test_a_command_is_answered_by_the_node_that_has_the_account_and_by_no_other(three: Fleet) -> None:
    """A rejection by a node that does not know the account would end the sender's waiting, and its hope."""
    with overheard(three) as heard:
        status, document, error = three.send("CLOSE_ALL", three.account(1))
    assert status == 0, (document, error)
    assert document["node_id"] == three.name(1)
    assert {event["node_id"] for event in heard} == {three.name(1)}
    assert {event["state"] for event in heard} <= {"accepted", "running", "done"}
    assert three.holdings(1) == []
    assert three.holdings(0) != []
    assert [three.lock(number)["locked"] for number in range(NODES)] == [False, True, False]
    for number in (0, 2):
        port = three.sites[number].ports["metrics"]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            assert 'sovereign_node_rejected_total{reason="UNKNOWN_ACCOUNT"} 0.0' in answer.read().decode()


def test_a_command_to_all_reaches_every_node_and_the_sender_hears_of_each(three: Fleet) -> None:
    """Closed everywhere; one answer with all children, and its verdict is the worst."""
    status, document, error = three.send("CLOSE_ALL", "*", "--nodes", str(NODES))
    assert status == 0, (document, error)
    assert document["state"] == "done"
    assert document["nodes"] == [three.name(number) for number in range(NODES)]
    children = {child["account_id"]: child for child in document["children"]}
    assert sorted(children) == sorted(three.account(number) for number in range(NODES))
    assert {child["verdict"] for child in children.values()} == {"flat_with_residue"}
    for number in range(NODES):
        assert three.holdings(number) == []
        assert three.lock(number)["locked"] is True
        counters = list(three.sites[0].accounts().values())[number]["counters"]
        assert (counters["sign_flips"], counters["exposure_increases"]) == (0, 0)


def test_a_node_that_is_dead_is_missed_and_the_others_close(three: Fleet) -> None:
    """The sender is told how many have answered: that is no success."""
    dead = three.sites[2].daemon
    assert dead is not None
    dead.kill()
    dead.wait()
    status, document, error = three.send("LOCK", "*", "--nodes", str(NODES), "--timeout", "5")
    assert status == 1, document
    assert "2 of 3 nodes answered: node-1, node-2" in json.dumps(document) + error
    assert [three.lock(number)["locked"] for number in (0, 1)] == [True, True]
