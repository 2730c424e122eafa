"""Markets whose prices have so many significant digits, beside a finest step."""

from __future__ import annotations

from decimal import Decimal

import pytest

from node.sim.market import Listing, Product
from node.sim.matching import MatchingCore
from node.sim.refusals import Reason, RefusalError
from tests.support.sim_core import LINEAR, core_with_account, market, terms

FIVE = market(Product.LINEAR, tick=Decimal("0.1"), significant_digits=5, band_up=Decimal(100))


@pytest.mark.parametrize(
    ("price", "tick", "rounded"),
    [("64000.3", "1", "64000"), ("9999.94", "0.1", "9999.9"), ("123456.7", "1", "123457"), ("0.17", "0.1", "0.2")],
)
def test_steps(price: str, tick: str, rounded: str) -> None:
    """The step follows the size of the price, between the finest and a whole."""
    assert FIVE.tick_at(Decimal(price)) == Decimal(tick)
    assert FIVE.whole_ticks(Decimal(price)) == Decimal(rounded)
    assert LINEAR.tick_at(Decimal(price)) == LINEAR.tick  # without the rule nothing changes


def test_orders_and_quotes() -> None:
    """The book stands one such step either side, and finer prices are refused."""
    _, account = core_with_account()
    core = MatchingCore([Listing(market=FIVE, mark=Decimal(64000))], now_ms=lambda: 1)
    assert [core.listing(FIVE).bid, core.listing(FIVE).ask] == [Decimal(63999), Decimal(64001)]
    with pytest.raises(RefusalError) as refused:
        core.place(account, terms("buy", "0.1", market=FIVE, price="63000.5"))
    assert refused.value.reason is Reason.PRICE_PRECISION
    core.place(account, terms("buy", "0.1", market=FIVE, price="9000.5"))
