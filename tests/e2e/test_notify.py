"""The real daemon tells a webhook, and waits for it never."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jsonschema

from node.notify.webhook import SIGNATURE_HEADER, signature
from tests.support.processes import ACCOUNT, CONFIG, Site, site
from tests.support.webhook import WebhookServer, webhook_server

SCHEMA = json.loads((CONFIG / "notification.schema.json").read_text())
SECRET = "canary-of-the-signing-secret"
SECTION = """resume_within_s = 900

[notify]
url = { credential = "notify_url" }
secret = { credential = "notify_secret" }
broker_lost_after_s = {lost_after_s}
timeout_s = 60"""
#: A busy machine takes longer than a moment to connect at the start: that is no loss.
LOST_AFTER_S = 5.0


@contextmanager
def told(folder: Path, server: WebhookServer, *, lost_after_s: float = 900.0) -> Iterator[Site]:
    """Broker, exchange and node; the node tells the server."""
    section = SECTION.replace("{lost_after_s}", str(lost_after_s))
    with site(folder, changes={r"resume_within_s = 900": section}) as made:
        for name, value in {"notify_url": f"{server.url}?token=canary-of-the-address", "notify_secret": SECRET}.items():
            made._credential(name, value)
        made.start_simulator()
        made.start_daemon()
        yield made


def until(true: Callable[[], object], within_s: float = 30.0) -> None:
    """Look again and again."""
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_webhook_that_hangs_delays_no_command(tmp_path: Path) -> None:
    """From the first notification to the end of a close it has the connection, and answers nothing."""
    with webhook_server(None) as server, told(tmp_path, server) as running:
        assert running.call("send", "LOCK", ACCOUNT, "--wait")[0] == 0
        assert server.hanging.wait(30)
        status, document, _ = running.call("send", "CLOSE_ALL", ACCOUNT, "--wait")
        assert (status, document["state"]) == (0, "done")
        assert (server.answered, len(server.received)) == (0, 1)
        metrics = f"http://127.0.0.1:{running.ports['metrics']}/metrics"
        with urllib.request.urlopen(metrics, timeout=5) as answer:
            assert "sovereign_node_notify_queue_depth 2.0" in answer.read().decode()
        assert running.daemon is not None
        running.daemon.terminate()
        assert running.daemon.wait(30) == 0  # the webhook would have had a minute


def test_locks_endings_and_a_lost_broker_are_told_once_signed_and_without_secrets(tmp_path: Path) -> None:
    """The first attempt fails, and is made again."""
    with webhook_server(503, 204) as server, told(tmp_path, server, lost_after_s=LOST_AFTER_S) as running:
        assert running.call("send", "CLOSE_ALL", ACCOUNT, "--wait", "--reason", f"they know {SECRET}")[0] == 0
        until(lambda: len(server.received) >= 3)
        running.broker.stop()
        until(lambda: len(server.received) >= 4)
        documents: list[dict[str, Any]] = [json.loads(each.body) for each in server.received]
        assert [document["event"] for document in documents] == ["lock", "lock", "not_flat", "broker_lost"]
        assert documents[0]["id"] == documents[1]["id"]
        assert documents[2]["details"]["verdict"] == "flat_with_residue"
        for document, received in zip(documents, server.received, strict=True):
            jsonschema.validate(document, SCHEMA)
            stamp = int(received.headers[SIGNATURE_HEADER].split(",")[0].removeprefix("t="))
            assert received.headers[SIGNATURE_HEADER] == signature(SECRET.encode(), received.body, stamp)
        said = running.log("node") + "".join(f"{each.body.decode()}{each.headers}" for each in server.received)
        secrets = {path.read_text() for path in (running.folder / "credentials").iterdir()}
        assert len(secrets) == 5
        assert [secret for secret in secrets if secret in said] == []
        assert "canary-of-the-address" not in said
