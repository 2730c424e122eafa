"""Signals as users run them: beside the real daemon whose lock they read, and killed at the worst moments."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest

from node.commands.operator_client import OperatorClient
from tests.support.processes import Site, site
from tests.support.signals import NodeLocks
from tests.support.signals_process import Vanished, signals_beside

RESTING = {"orderType": "limit", "price": "60000"}


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Site]:
    """A simulated Binance with money and nothing else; no daemon yet."""
    with site(tmp_path) as made:
        made.start_simulator("--scenario", "empty")
        yield made


def resting(machine: Site) -> list[object]:
    """What rests at the exchange."""
    state = machine.state()
    return [*state["orders"], *state["algo_orders"]]


def test_an_order_in_flight_when_the_real_daemon_locks_is_cancelled_by_its_guard(machine: Site) -> None:
    """The alert is answered for what it is; the next one is refused; unlocked, alerts are orders again."""
    machine.start_daemon()
    signals = signals_beside(machine)
    signals.start()
    key = signals.command("keys", "create", "--name", "chart")["apiKey"]
    machine.faults(rules=[{"match": {"method": "POST", "path_prefix": "/api/v3/order"}, "do": {"delay_ms": 2500}}])
    with ThreadPoolExecutor(1) as pool:
        alert = pool.submit(signals.alert, key, **RESTING)
        signals.until_sent(1)
        operator = OperatorClient(machine.folder / "run" / "operator.sock")
        body = {"account_id": "binance-main", "action": "LOCK"}
        assert operator.call("POST", "/api/v1/b2b/risk/kill", body).status == 200
        assert machine.lock_file()["locked"] is True
        assert not alert.done()  # it is on its way
        assert alert.result()[0] == 200
    deadline = time.monotonic() + 60
    while resting(machine):
        assert time.monotonic() < deadline, machine.log("node")
        time.sleep(0.05)
    assert machine.state()["engine_counters"]["orders_placed"] == 1
    status, text = signals.alert(key, **RESTING)
    assert (status, json.loads(text)["error"]["code"], signals.orders_sent()) == (409, "ENGINE_LOCKED", 1)
    epoch = str(machine.lock_file()["epoch"])
    assert machine.call("unlock", "binance-main", "--epoch", epoch)[0] == 0
    assert signals.alert(key, **RESTING)[0] == 200
    assert len(resting(machine)) == 1
    listed = signals.command("keys", "list")
    assert [each["status"] for each in listed["apiKeys"]] == ["Active"]
    assert signals.command("keys", "revoke", listed["apiKeys"][0]["id"])["success"] is True
    status, text = signals.alert(key, **RESTING)
    assert (status, json.loads(text)["error"]["code"], signals.orders_sent()) == (403, "KEY_REVOKED", 2)
    hidden = [key, *machine.venue["accounts"][0]["engine_credentials"].values()]
    assert not [value for value in hidden if value in signals.log + json.dumps(listed)]
    assert signals.process is not None
    signals.process.send_signal(signal.SIGTERM)
    assert signals.process.wait(15) == 0


def test_killed_at_the_worst_moments_no_alert_is_ever_sent_twice(machine: Site) -> None:
    """With `kill -9`: after the answer, while the order is at the exchange, and before it leaves.

    (`tests/contract/test_signals.py::TestRestart` visits the moments between.)
    """
    NodeLocks(machine.folder / "run").show(locked=False)
    signals = signals_beside(machine)
    signals.start()
    key = signals.new_key()
    answered, in_flight = str(uuid4()), str(uuid4())
    first = signals.alert(key, deduplicationId=answered)
    assert first[0] == 200
    fault = {"match": {"path_prefix": "/api/v3/order", "method": "POST"}, "do": "timeout_after_execution"}
    machine.faults(rules=[fault])
    with ThreadPoolExecutor(1) as pool:
        alert = pool.submit(signals.alert, key, deduplicationId=in_flight)
        signals.until_sent(2)
        signals.kill()
        with pytest.raises(Vanished):
            alert.result()

    signals.start(SOVEREIGN_NODE_CRASH_AT="signals-leaving.after_commit")
    assert signals.alert(key, deduplicationId=answered) == first
    status, text = signals.alert(key, deduplicationId=in_flight)
    assert (status, signals.orders_sent()) == (200, 2), text  # the exchange has it, under our own id
    # TradingView repeats what a proxy has answered with 502 while nobody was behind it, to the letter.
    with pytest.raises(Vanished):
        signals.alert(key)
    signals.start()
    for _ in range(2):
        status, text = signals.alert(key)
        assert (status, json.loads(text)["error"]["code"], signals.orders_sent()) == (504, "ORDER_UNKNOWN", 2)
    assert signals.alert(key, quantity="0.02")[0] == 200
