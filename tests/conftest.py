"""What every test stands on: a clean environment, quiet logs, and the choice to forbid skips."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

# The same examples on every machine: a failure in CI is a failure at the desk.
settings.register_profile("node", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("node")

# Collecting twelve thousand tests makes objects that all stay: looking through them for garbage took a third of it.
gc.disable()


def pytest_addoption(parser: pytest.Parser) -> None:
    """For CI, where everything that a test may need is installed."""
    parser.addoption("--forbid-skips", action="store_true", help="a skipped test is a failure")


def pytest_collection_finish() -> None:
    """From here on there is garbage; what was collected is none, and is not looked through again and again."""
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)
    gc.enable()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Turn skips into failures when asked to."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if report.skipped and item.config.getoption("--forbid-skips") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, and skips are forbidden here: {report.longrepr}"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No credential and no configuration of the machine reaches a test."""
    for name in (
        "BINANCE_KEY",
        "BINANCE_SECRET",
        "MQTT_PASSWORD",
        "CREDENTIALS_DIRECTORY",
        "SOVEREIGN_NODE_CONFIG",
        "NOTIFY_SOCKET",
    ):
        monkeypatch.delenv(name, raising=False)
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
