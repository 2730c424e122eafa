"""What the named scenarios promise to tests, demos and benchmarks."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from node.sim.binance.limits import SPOT_BUDGET, Limiter, OrderCount
from node.sim.binance.markets import binance_listings, trigger_words
from node.sim.catalogue import NO_USDT_PAIR, price_of
from node.sim.expiry import next_quarter
from node.sim.market import Product
from node.sim.matching import MatchingCore
from node.sim.orders import Book
from node.sim.scenarios import SCENARIOS
from node.sim.world import SimClock, build_world, select_markets


def world(scenario: str) -> MatchingCore:
    """The scenario at Binance."""
    return build_world(binance_listings(), SCENARIOS[scenario], SimClock(), trigger_words)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_setting_up_is_nobodys_deed(scenario: str) -> None:
    """Seeded orders are in no counter."""
    for account in world(scenario).accounts.values():
        counters = (account.counters, account.engine_counters)
        assert not any(getattr(c, name) for c in counters for name in c.__slots__)


class TestDemo:
    def test_positions(self) -> None:
        """At least twenty in USD-M, long and short, one of them settled in USDC, and two in COIN-M."""
        (account,) = world("demo").accounts.values()
        linear = list(account.open_positions(Product.LINEAR))
        assert len(linear) >= 20
        assert {position.market.settle for position in linear} == {"USDT", "USDC"}
        assert {position.quantity > 0 for position in linear} == {True, False}
        assert len(list(account.open_positions(Product.INVERSE))) == 2

    def test_one_position_needs_several_market_orders(self) -> None:
        """It is above the market-order maximum, and no other is."""
        (account,) = world("demo").accounts.values()
        large = [p for p in account.open_positions() if abs(p.quantity) > p.market.max_market_quantity]
        assert [position.market.symbol for position in large] == ["ADAUSDT"]

    def test_orders_on_symbols_with_and_without_position(self) -> None:
        """Cancelling by the symbols of positions alone would leave some behind, in both books."""
        (account,) = world("demo").accounts.values()
        held = {position.market.key for position in account.open_positions()}
        for book in Book:
            orders = account.resting(Product.LINEAR, None, book)
            assert {order.terms.market.key in held for order in orders} == {True, False}
            assert {order.terms.only_reduces for order in orders} == {True, False}

    def test_spot_assets(self) -> None:
        """Five besides USDT: one dust, one without a USDT pair, one held by an order."""
        core = world("demo")
        (account,) = core.accounts.values()
        assets = {name: held for name, held in account.wallets["spot"].items() if name != "USDT"}
        assert len(assets) == 5
        assert [name for name, held in assets.items() if held.total * price_of(name) < 5] == ["DOGE"]
        assert set(assets) & NO_USDT_PAIR == {"WAN"}
        assert [name for name, held in assets.items() if held.locked] == ["SOL"]
        assert [market.quote for market in select_markets(core, "WANBTC")] == ["BTC"]


def test_basis_is_neutral() -> None:
    """Every spot holding is hedged by a short of the same size."""
    (account,) = world("basis").accounts.values()
    shorts = {position.market.base: -position.quantity for position in account.open_positions()}
    assert shorts == {name: held.free for name, held in account.wallets["spot"].items() if name != "USDT"}


class TestMargin:
    def test_debts(self) -> None:
        """A long on borrowed dollars, a short of ether with interest, and a coin both held and owed."""
        (account,) = world("margin").accounts.values()
        assert set(account.wallets) == {"margin"}
        wallet = account.wallets["margin"]
        assert {name: str(held.owed) for name, held in wallet.items() if held.owed} == {
            "USDT": "40000",
            "ETH": "8.0021",
            "BNB": "4",
        }
        assert (wallet["BTC"].free, wallet["ETH"].interest, wallet["BNB"].free) == (
            Decimal("1.5"),
            Decimal("0.0021"),
            Decimal(12),
        )

    def test_one_order_rests(self) -> None:
        """And locks a part of the proceeds."""
        (account,) = world("margin").accounts.values()
        (order,) = account.resting(Product.MARGIN)
        assert account.wallets["margin"]["USDT"].locked == order.held > 0


def test_residue_has_a_reason_for_each_asset() -> None:
    """No pair, no price, too little, too much, locked."""
    core = world("residue")
    (account,) = core.accounts.values()
    held = account.wallets["spot"]
    bases = {listing.market.base for listing in core.listings.values()}
    assert set(held) - bases - {"USDT"} == {"SXP", "XAIR", "LDUSDT"}
    with pytest.raises(LookupError):
        price_of("XAIR")
    assert [name for name in ("DOGE", "TRX", "WAN") if held[name].free * price_of(name) >= 5] == []
    (market,) = (m for m in select_markets(core, "ADAUSDT") if m.product is Product.SPOT)
    assert held["ADA"].free > market.max_market_quantity
    assert held["SOL"].locked == 40


def test_hedge_has_both_legs_of_one_symbol() -> None:
    """Long and short of the same contract, at once."""
    (account,) = world("hedge").accounts.values()
    sizes = {
        position.leg.value: position.quantity
        for position in account.open_positions()
        if position.market.symbol == "BTCUSDT"
    }
    assert sizes == {"long": Decimal("0.8"), "short": Decimal("-0.3")}


@pytest.mark.parametrize(
    ("today", "delivery"),
    [
        ("2026-11-21", "2026-12-25"),
        ("2026-12-20", "2027-03-26"),
        ("2026-01-02", "2026-03-27"),
        ("2026-06-30", "2026-09-25"),
    ],
)
def test_dated_contracts_end_on_the_last_friday_of_a_quarter(today: str, delivery: str) -> None:
    """Never within two weeks of today."""
    assert next_quarter(dt.date.fromisoformat(today)).date() == dt.date.fromisoformat(delivery)


def test_order_windows_begin_anew() -> None:
    """Counts are per ten seconds; a new window starts at one."""
    limiter = Limiter(SPOT_BUDGET)
    one = OrderCount(1, 1)
    counts = [limiter.count_orders("a", one, now_ms, enforce=True) for now_ms in (1_000, 9_000, 10_000)]
    assert [headers["X-MBX-ORDER-COUNT-10S"] for headers in counts] == ["1", "2", "1"]
