"""What the matching core does for venues with one account for everything, and with modes of single markets."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from node.sim.accounts import Account
from node.sim.market import Listing, Market, Product
from node.sim.matching import MatchingCore
from node.sim.orders import Book, Leg, OrderStatus, TimeInForce, TriggerTerms
from node.sim.refusals import Reason, RefusalError
from node.sim.scenarios import AccountSeed, OrderSeed, PositionSeed, linear, margin
from node.sim.world import SimClock, build_world
from tests.support.sim_core import LINEAR, SPOT, core_with_account, hold, size, terms

ONE_WAY = replace(LINEAR, symbol="BTC-one-way", one_way=True)
STOPS_END = replace(LINEAR, symbol="BTC-stops", stops_end_with_position=True)


def core_with(*, hedge: bool = False) -> tuple[MatchingCore, Account]:
    """The usual core, with further markets at 100."""
    core, account = core_with_account(hedge=hedge)
    for market in (ONE_WAY, STOPS_END):
        core.listings[market.key] = Listing(market=market, mark=Decimal(100))
    return core, account


class TestModesOfMarkets:
    def test_a_one_way_market_has_no_legs(self) -> None:
        """Whatever mode the account is in."""
        core, account = core_with(hedge=True)
        core.place(account, terms("buy", "1", market=ONE_WAY))
        with pytest.raises(RefusalError) as refusal:
            core.place(account, terms("buy", "1", market=ONE_WAY, leg=Leg.LONG))
        assert (refusal.value.reason, size(account, ONE_WAY)) == (Reason.POSITION_SIDE_MISMATCH, 1)

    def test_a_single_market_can_differ(self) -> None:
        """The mode of one is not that of the others; it changes only when nothing is open in it."""
        core, account = core_with()
        core.set_market_hedge_mode(account, LINEAR, hedge=True)
        core.place(account, terms("buy", "1", leg=Leg.LONG))
        core.place(account, terms("buy", "1", market=STOPS_END))
        for market, reason in ((LINEAR, Reason.POSITIONS_EXIST), (STOPS_END, Reason.NOTHING_TO_CHANGE)):
            with pytest.raises(RefusalError) as refusal:
                core.set_market_hedge_mode(account, market, hedge=False)
            assert refusal.value.reason is reason
        core.place(account, terms("sell", "1", leg=Leg.LONG))
        order = core.place(account, terms("buy", "1", leg=Leg.LONG, price="96"))
        with pytest.raises(RefusalError) as refusal:
            core.set_market_hedge_mode(account, LINEAR, hedge=False)
        assert refusal.value.reason is Reason.OPEN_ORDERS_EXIST
        core.cancel(account, order)
        core.set_market_hedge_mode(account, LINEAR, hedge=False)
        core.place(account, terms("buy", "1"))


class TestLateRefusals:
    def test_the_order_is_taken_and_ends(self) -> None:
        """It is an order like any other, told of and counted, and it adds nothing."""
        core, account = core_with_account()
        core.refused_late = frozenset({Reason.POST_ONLY_CROSSES})
        told = []
        core.order_changed.append(lambda _, order, __: told.append(order.status))
        order = core.place(account, terms("buy", "1", price="101", time_in_force=TimeInForce.POST_ONLY))
        assert (order.status, told) == (OrderStatus.EXPIRED, [OrderStatus.NEW, OrderStatus.EXPIRED])
        assert (len(account.open_orders), float(order.filled), size(account)) == (0, 0, 0)
        counters = account.counters
        assert (counters.orders_placed, counters.orders_refused, counters.exposure_increases) == (1, 0, 0)

    def test_other_refusals_are_raised(self) -> None:
        """As ever."""
        core, account = core_with_account()
        core.refused_late = frozenset({Reason.POST_ONLY_CROSSES})
        with pytest.raises(RefusalError):
            core.place(account, terms("buy", "0"))


class TestStops:
    @pytest.mark.parametrize(("market", "status"), [(STOPS_END, OrderStatus.EXPIRED), (LINEAR, OrderStatus.NEW)])
    def test_of_the_whole_position(self, market: Market, status: OrderStatus) -> None:
        """They end with it where the market says so, even if other reductions do not."""
        core, account = core_with()
        core.rules.reduce_only_expires = False
        hold(account, "5", market=market)
        trigger = TriggerTerms(price=Decimal(90), fires_at_or_above=False)
        stop = core.place(account, terms("sell", None, market=market, trigger=trigger, close_position=True))
        core.place(account, terms("sell", "4", market=market, reduce_only=True))
        assert stop.status is OrderStatus.NEW
        core.place(account, terms("sell", "1", market=market, reduce_only=True))
        assert stop.status is status

    @pytest.mark.parametrize(("free", "status"), [("10", OrderStatus.FILLED), ("1", OrderStatus.REJECTED)])
    def test_of_spot_that_lock_nothing(self, free: str, status: OrderStatus) -> None:
        """Nothing is checked and locked until they fire; then they find enough, or end."""
        core, account = core_with_account()
        trigger = TriggerTerms(price=Decimal(90), fires_at_or_above=False)
        stop = core.place(account, terms("sell", "10", market=SPOT, trigger=trigger, holds=False))
        held = account.balance(SPOT.wallet, "BTC")
        assert (float(held.locked), stop.status) == (0, OrderStatus.NEW)
        held.free = Decimal(free)
        core.set_mark(SPOT, Decimal(89))
        assert (stop.status, float(held.borrowed)) == (status, 0)

    def test_a_limit_that_locks_only_when_it_fires(self) -> None:
        """And then as every resting order does."""
        core, account = core_with_account()
        trigger = TriggerTerms(price=Decimal(90), fires_at_or_above=False)
        core.place(account, terms("sell", "10", market=SPOT, price="120", trigger=trigger, holds=False))
        core.set_mark(SPOT, Decimal(89))
        held = account.balance(SPOT.wallet, "BTC")
        assert (float(held.locked), float(held.free)) == (10, 0)


class TestWorlds:
    def world(self, *seeds: AccountSeed, one_way: bool = False) -> MatchingCore:
        """One wallet for spot and contracts, and no margin as a product of its own."""
        listings = []
        for coin in ("BTC", "ETH", "BNB"):
            for market in (SPOT, LINEAR):
                changed = replace(market, symbol=coin, base=coin, wallet="spot", one_way=one_way and market is LINEAR)
                listings.append(Listing(market=changed, mark=Decimal(100)))
        return build_world(listings, seeds, SimClock(), lambda *_: ("", Book.ORDERS))

    def test_products_share_a_wallet(self) -> None:
        """What a scenario gives to each of them adds up, and margin is traded on spot."""
        core = self.world(
            AccountSeed(
                name="a",
                balances=((Product.SPOT, "USDT", Decimal(10)), (Product.LINEAR, "USDT", Decimal(5))),
                orders=(OrderSeed(market=margin("BTC"), quantity=Decimal("0.1"), price_factor=Decimal("0.9")),),
            ),
            AccountSeed(name="b", balances=((Product.MARGIN, "ETH", Decimal(2)),)),
        )
        (order,) = core.accounts["a"].open_orders.values()
        total = core.accounts["a"].balance("spot", "USDT").total
        assert (order.terms.market.product, float(total)) == (Product.SPOT, 15)
        assert core.accounts["b"].balance("spot", "ETH").total == 2

    @pytest.mark.parametrize(("one_way", "quantities"), [(True, [3]), (False, [5, -2])])
    def test_both_sides_of_a_market(self, *, one_way: bool, quantities: list[int]) -> None:
        """Two legs, or what is left of them where there is one net position."""
        both = tuple(PositionSeed(market=linear("BTC"), quantity=Decimal(quantity)) for quantity in (5, -2))
        core = self.world(AccountSeed(name="a", hedge=True, positions=both), one_way=one_way)
        assert [position.quantity for position in core.accounts["a"].open_positions()] == quantities
