"""A real Prometheus scrapes the real daemon with the shipped rules, and alerts fire and go out."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from node.observe.metric_list import SERIES
from tests.support.processes import ACCOUNT, Site, site
from tests.support.prometheus import RULES, hurried, prometheus, promtool

BROKER_AWAY = "SovereignNodeBrokerAway"
FORGED = "SovereignNodeForgedCommand"


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Site]:
    """Broker, exchange and node, armed."""
    with site(tmp_path) as made:
        made.start_simulator()
        made.start_daemon()
        yield made


def served(running: Site) -> str:
    """What the node shows now."""
    with urllib.request.urlopen(f"http://127.0.0.1:{running.ports['metrics']}/metrics", timeout=5) as answer:
        return str(answer.read().decode())


def test_promtool_finds_no_fault_with_what_the_daemon_shows(running: Site) -> None:
    """After commands of several kinds; and every series is named in the metric list."""
    for action in ("LOCK", "CLOSE_ALL"):
        assert running.call("send", action, ACCOUNT, "--wait")[0] == 0
    running.call("drill", ACCOUNT)
    running.until(lambda _shown: 'sovereign_node_engine_locked{account="binance-main"} 1.0' in served(running))
    text = served(running)
    done = promtool("check", "metrics", stdin=text)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    assert {sample.name for sample in samples if not sample.name.startswith("process_")} <= SERIES
    values = {(sample.name, *sorted(sample.labels.values())): sample.value for sample in samples}
    assert values["sovereign_node_venue_requests_total", "answered", "binance"] > 0
    assert values["sovereign_node_venue_requests_total", "binance", "failed"] == 0
    assert values["sovereign_node_venue_round_trip_seconds_count", "binance"] > 0
    assert values["sovereign_node_account_commands_total", "binance-main", "done"] == 2
    assert values["sovereign_node_orders_total", "ambiguous", "binance"] == 0
    assert 0 < values["sovereign_node_lock_held_seconds", "binance-main"] < 60


def test_a_broker_that_goes_away_and_a_forged_command_raise_their_alerts(running: Site, tmp_path: Path) -> None:
    """The shipped rules, with other waiting times only; the first alert goes out again when the broker is back."""
    rules = hurried(RULES, times={BROKER_AWAY: "400ms", FORGED: "0s"})
    with prometheus(tmp_path / "prometheus", target_port=running.ports["metrics"], rules=rules) as server:
        server.until(lambda: server.value("sovereign_node_mqtt_connected") == 1)
        server.until(lambda: server.value('sovereign_node_rejected_total{reason="UNKNOWN_ISSUER"}') == 0)
        server.until(lambda: server.alerts() == {})  # before the first scrape the node was absent
        _forge(running)
        server.until(lambda: FORGED in server.alerts())
        running.broker.stop()
        server.until(lambda: BROKER_AWAY in server.alerts())
        alert = server.alerts()[BROKER_AWAY]
        assert alert["labels"]["severity"] == "page"
        assert alert["annotations"]["handbook"] == "README.md#brokeraway"
        assert str(running.ports["metrics"]) in alert["annotations"]["summary"]
        running.broker.start()
        server.until(lambda: BROKER_AWAY not in server.alerts())


def _forge(running: Site) -> None:
    """A well-formed command with the key of somebody whom the node does not know."""
    key = running.folder / "stranger.key"
    assert running.call("issuer", "new", "stranger", "--out", str(key))[0] == 0
    status, document, _ = running.call("send", "LOCK", ACCOUNT, "--via", "mqtt", "--key", str(key), "--timeout", "2")
    assert status == 1, json.dumps(document)


def test_a_node_that_is_killed_is_absent(running: Site, tmp_path: Path) -> None:
    """A scrape that nobody answers is the one sign that a dead node gives."""
    rules = hurried(RULES, times={"SovereignNodeAbsent": "400ms"})
    with prometheus(tmp_path / "prometheus", target_port=running.ports["metrics"], rules=rules) as server:
        server.until(lambda: server.value('up{job="sovereign-node"}') == 1 and server.alerts() == {})
        assert running.daemon is not None
        running.daemon.kill()
        running.daemon.wait()
        server.until(lambda: "SovereignNodeAbsent" in server.alerts())
