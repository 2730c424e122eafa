"""What the tests call a market is what the node calls it, wherever they run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from node.sim.market import Product
from tests.support.market_names import unified
from tests.support.sim_core import INVERSE, LINEAR, SPOT, market

DELIVERY_MS = round(datetime(2026, 12, 25, 8, tzinfo=UTC).timestamp() * 1000)


@pytest.fixture
def _far_west(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Where it is still yesterday when a delivery takes place."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Etc/GMT+12")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("_far_west")
def test_a_delivery_is_named_by_its_day_in_utc() -> None:
    """Not by the day of the machine."""
    assert unified(market(Product.LINEAR, expiry_ms=DELIVERY_MS)) == "BTC/USDT:USDT-261225"


def test_pairs_and_perpetuals() -> None:
    """A contract names what it settles in."""
    assert [unified(each) for each in (SPOT, LINEAR, INVERSE)] == ["BTC/USDT", "BTC/USDT:USDT", "BTC/USD:BTC"]
