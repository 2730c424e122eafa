"""The venue that property tests hold the engine against tells all the rules that its core has."""

from __future__ import annotations

from decimal import Decimal

from node.sim.market import Product
from tests.support.core_venue import rules_of
from tests.support.sim_core import market


def test_rules_tell_both_ends_of_an_orders_worth() -> None:
    """An engine that does not know the most would be refused for ever."""
    rules = rules_of(market(Product.SPOT, min_notional=Decimal(5), max_notional=Decimal(9000)))
    assert (rules.notional_min, rules.notional_max) == (Decimal(5), Decimal(9000))
    assert rules_of(market(Product.SPOT, min_notional=Decimal(0))).notional_min is None
