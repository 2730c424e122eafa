"""Readiness is a fold over the parts; liveness is the event loop's own turning."""

from __future__ import annotations

import asyncio

import pytest

from node.observe.health import Health, LoopMonitor, Readiness


def test_ready_while_no_part_objects() -> None:
    """Without parts there is nothing to object."""
    health = Health()
    health.register("journal", lambda: None)
    assert health.readiness() == Readiness(ready=True, reasons=())


def test_every_objection_is_a_reason() -> None:
    """In the order of registration, with the part's name; asked anew each time."""
    health, faults = Health(), {"journal": "disk full", "mqtt": "not connected"}
    health.register("journal", lambda: faults.get("journal"))
    health.register("mqtt", lambda: faults.get("mqtt"))
    assert health.readiness().reasons == ("journal: disk full", "mqtt: not connected")
    faults.pop("journal")
    assert health.readiness().reasons == ("mqtt: not connected",)


def test_a_draining_node_is_not_ready() -> None:
    """Whatever its parts say."""
    health = Health()
    health.register("journal", lambda: None)
    health.drain()
    assert health.readiness() == Readiness(ready=False, reasons=("node: stopping",))


def test_a_part_registers_once() -> None:
    """Two pings of one name are a mistake in the composition."""
    health = Health()
    health.register("journal", lambda: None)
    with pytest.raises(ValueError, match="registered already"):
        health.register("journal", lambda: None)


async def test_the_loop_monitor_measures_how_late_the_loop_is() -> None:
    """The time beyond the interval is the lag."""
    instants = iter([0, 1_000, 3_001_000])
    beaten, lags = asyncio.Event(), list[float]()

    def observe(lag_s: float) -> None:
        lags.append(lag_s)
        beaten.set()

    monitor = LoopMonitor(observe_lag_s=observe, interval_s=0.001, monotonic_ns=lambda: next(instants, 10**12))
    task = asyncio.create_task(monitor.run(), name="loop-monitor")
    await beaten.wait()
    task.cancel()
    assert lags[0] == pytest.approx(0.002)


def test_a_loop_that_does_not_turn_is_not_alive() -> None:
    """After five seconds, with the age in the reason."""
    now_ns = [0]
    monitor = LoopMonitor(observe_lag_s=lambda _lag: None, monotonic_ns=lambda: now_ns[0])
    assert monitor.ping() is None
    now_ns[0] = 6 * 10**9
    assert monitor.ping() == "event loop has not turned for 6.0 s"
