"""What venues do differently with the same order: rules of the house, paired triggers, one wallet for all products."""

from __future__ import annotations

from decimal import Decimal

import pytest

from node.sim.market import Listing, Product
from node.sim.orders import Book, OrderStatus, TimeInForce, TriggerTerms
from node.sim.refusals import Reason, RefusalError
from node.sim.scenarios import AccountSeed, margin
from node.sim.world import SimClock, build_world, find_market
from tests.support.sim_core import LINEAR, SPOT, core_with_account, hold, market, size, terms


@pytest.mark.parametrize(("must_fit", "left"), [(False, 0), (True, 2)])
def test_a_reduction_that_is_too_large(left: float, *, must_fit: bool) -> None:
    """It is cut to the position, or refused as a whole."""
    core, account = core_with_account()
    core.rules.reduction_must_fit = must_fit
    hold(account, "2")
    order = terms("sell", "3", reduce_only=True)
    if must_fit:
        with pytest.raises(RefusalError) as refusal:
            core.place(account, order)
        assert refusal.value.reason is Reason.REDUCE_ONLY_REJECTED
    else:
        core.place(account, order)
    assert size(account) == left


@pytest.mark.parametrize(
    ("time_in_force", "price", "status"),
    [
        (TimeInForce.POST_ONLY, "101", OrderStatus.CANCELLED),
        (TimeInForce.POST_ONLY, "99", OrderStatus.NEW),
        (TimeInForce.FOK, "99", OrderStatus.EXPIRED),
        (TimeInForce.FOK, "101", OrderStatus.FILLED),
    ],
)
def test_what_may_not_trade_is_taken_and_ends(time_in_force: TimeInForce, price: str, status: OrderStatus) -> None:
    """Where the house refuses nothing, the order has an id and a short life."""
    core, account = core_with_account()
    core.rules.crossing_cancels = True
    order = core.place(account, terms("buy", "1", price=price, time_in_force=time_in_force))
    assert (order.status, size(account)) == (status, 1 if status is OrderStatus.FILLED else 0)


@pytest.mark.parametrize("mark", [90, 110])
def test_two_triggers_of_one_order(mark: int) -> None:
    """Whichever is reached first fires it, and it fires once."""
    core, account = core_with_account()
    hold(account, "2")
    stop, profit = (TriggerTerms(price=Decimal(at), fires_at_or_above=at > 100) for at in (95, 105))
    waiting = terms("sell", "1", trigger=stop, other_trigger=profit, book=Book.ALGO, reduce_only=True)
    order = core.place(account, waiting)
    for moved in (100, mark, 100, 200 - mark):
        core.set_mark(LINEAR, Decimal(moved))
    assert (order.status, size(account)) == (OrderStatus.FINISHED, 1)


def test_neither_trigger_may_be_reached_already() -> None:
    """The second is checked like the first."""
    core, account = core_with_account()
    stop, profit = (TriggerTerms(price=Decimal(at), fires_at_or_above=at > 90) for at in (90, 95))
    with pytest.raises(RefusalError) as refusal:
        core.place(account, terms("sell", "1", trigger=stop, other_trigger=profit, book=Book.ALGO))
    assert refusal.value.reason is Reason.TRIGGERS_IMMEDIATELY


def test_one_wallet_for_all_products() -> None:
    """Seeded balances add up, and money is borrowed on the spot pair where there is no margin product."""
    unified = market(Product.LINEAR, wallet="spot")
    seed = AccountSeed(
        name="a",
        balances=tuple((product, "USDT", Decimal(5)) for product in (Product.SPOT, Product.LINEAR, Product.MARGIN)),
    )
    listings = [Listing(market=each, mark=Decimal(100)) for each in (unified, SPOT)]
    core = build_world(listings, (seed,), SimClock(), lambda _market, _action: ("stop", Book.ALGO))
    assert core.accounts["a"].balance("spot", "USDT").free == 15
    assert find_market(core, margin("BTC")) is SPOT
    with pytest.raises(LookupError):
        find_market(core, margin("ETH"))
