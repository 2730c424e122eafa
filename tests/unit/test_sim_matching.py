"""The simulators' matching core: the rules that every venue's front-end relies on."""

from __future__ import annotations

from decimal import Decimal

import pytest

from node.sim.accounts import PositionSettings
from node.sim.market import MarketStatus, Product
from node.sim.orders import Book, Leg, OrderStatus, Origin, TimeInForce, TriggerTerms
from node.sim.refusals import Reason, RefusalError
from tests.support.sim_core import INVERSE, LINEAR, SPOT, arm, core_with_account, hold, size, terms


class TestReduceOnly:
    @pytest.mark.parametrize(("held", "side"), [("5", "sell"), ("-5", "buy")])
    def test_closes_and_never_flips(self, held: str, side: str) -> None:
        """A reduce-only order larger than the position is cut down to it."""
        core, account = core_with_account()
        hold(account, held)
        order = core.place(account, terms(side, "8", reduce_only=True))
        assert (size(account), float(order.quantity), order.status) == (0, 5, OrderStatus.FILLED)
        assert account.counters.sign_flips == account.counters.exposure_increases == 0

    @pytest.mark.parametrize(("held", "side"), [("0", "sell"), ("5", "buy"), ("-5", "sell")])
    def test_is_refused_where_there_is_nothing_to_reduce(self, held: str, side: str) -> None:
        """Without a position on the other side the order is refused and nothing changes."""
        core, account = core_with_account()
        hold(account, held)
        with pytest.raises(RefusalError) as refusal:
            core.place(account, terms(side, "1", reduce_only=True))
        assert refusal.value.reason is Reason.REDUCE_ONLY_REJECTED
        assert (size(account), account.counters.orders_refused, account.orders) == (float(held), 1, {})

    def test_resting_ones_end_with_the_position(self) -> None:
        """Once the position is closed, its reduce-only orders expire and entry orders stay."""
        core, account = core_with_account()
        hold(account, "5")
        target = core.place(account, terms("sell", "5", price="104", reduce_only=True))
        entry = core.place(account, terms("buy", "1", price="96"))
        core.place(account, terms("sell", "5", reduce_only=True))
        assert (target.status, entry.status) == (OrderStatus.EXPIRED, OrderStatus.NEW)

    def test_conflict_rule_refuses_what_resting_orders_already_cover(self) -> None:
        """Where the venue is strict, a close needs the resting reduce-only order out of the way first."""
        core, account = core_with_account()
        core.rules.reduce_only_conflict_refused = True
        hold(account, "5")
        target = core.place(account, terms("sell", "5", price="104", reduce_only=True))
        with pytest.raises(RefusalError) as refusal:
            core.place(account, terms("sell", "5", reduce_only=True))
        assert refusal.value.reason is Reason.REDUCE_ONLY_CONFLICT
        core.cancel(account, target)
        core.place(account, terms("sell", "5", reduce_only=True))
        assert size(account) == 0


class TestExposure:
    def test_an_order_through_zero_flips_the_position_and_is_counted(self) -> None:
        """Without reduce-only, selling more than is held opens a short: one flip, one exposure increase."""
        core, account = core_with_account()
        hold(account, "2")
        core.place(account, terms("sell", "3"))
        assert size(account) == -1
        assert (account.counters.sign_flips, account.counters.exposure_increases) == (1, 1)

    def test_resting_entry_counts_when_it_is_accepted(self) -> None:
        """An entry order adds exposure from the moment the venue takes it."""
        core, account = core_with_account()
        core.place(account, terms("buy", "1", price="96"))
        assert (account.counters.exposure_increases, account.counters.orders_filled) == (1, 0)

    def test_engine_orders_are_counted_apart(self) -> None:
        """The rival engine's deeds are not the client's."""
        core, account = core_with_account()
        core.place(account, terms("buy", "1", origin=Origin.ENGINE))
        assert (account.counters.exposure_increases, account.engine_counters.exposure_increases) == (0, 1)

    def test_margin_bounds_entries_but_not_closes(self) -> None:
        """An account without margin can still reduce."""
        core, account = core_with_account()
        account.balance("linear", "USDT").free = Decimal(10)
        hold(account, "40")
        with pytest.raises(RefusalError) as refusal:
            core.place(account, terms("buy", "1"))
        assert refusal.value.reason is Reason.INSUFFICIENT_MARGIN
        core.place(account, terms("sell", "40", reduce_only=True))
        assert size(account) == 0

    def test_position_limit(self) -> None:
        """No order may carry a position beyond the market's maximum."""
        core, account = core_with_account()
        account.settings[LINEAR.key] = PositionSettings(leverage=10)
        object.__setattr__(LINEAR, "max_position", Decimal(3))
        try:
            with pytest.raises(RefusalError) as refusal:
                core.place(account, terms("buy", "4"))
        finally:
            object.__setattr__(LINEAR, "max_position", None)
        assert refusal.value.reason is Reason.POSITION_LIMIT


class TestHedgeMode:
    def test_legs_are_apart(self) -> None:
        """Selling the long leg leaves the short leg alone."""
        core, account = core_with_account(hedge=True)
        hold(account, "2", leg=Leg.LONG)
        hold(account, "-3", leg=Leg.SHORT)
        core.place(account, terms("sell", "2", leg=Leg.LONG))
        assert (size(account, LINEAR, Leg.LONG), size(account, LINEAR, Leg.SHORT)) == (0, -3)
        assert account.counters.exposure_increases == 0

    def test_a_close_larger_than_its_leg_is_refused(self) -> None:
        """There is no reduce-only in hedge mode: the size itself must fit."""
        core, account = core_with_account(hedge=True)
        hold(account, "2", leg=Leg.LONG)
        with pytest.raises(RefusalError) as refusal:
            core.place(account, terms("sell", "2.1", leg=Leg.LONG))
        assert refusal.value.reason is Reason.REDUCE_ONLY_REJECTED

    @pytest.mark.parametrize(("hedge", "leg"), [(True, Leg.NET), (False, Leg.LONG)])
    def test_the_position_side_must_fit_the_mode(self, *, hedge: bool, leg: Leg) -> None:
        """Neither mode takes the other's orders."""
        core, account = core_with_account(hedge=hedge)
        with pytest.raises(RefusalError) as refusal:
            core.place(account, terms("buy", "1", leg=leg))
        assert refusal.value.reason is Reason.POSITION_SIDE_MISMATCH

    def test_the_mode_changes_only_when_nothing_is_open(self) -> None:
        """First no such change, then orders, then positions stand in the way."""
        core, account = core_with_account()
        order = core.place(account, terms("buy", "1", price="96"))
        hold(account, "1")
        reasons = []
        for hedge in (False, True):
            with pytest.raises(RefusalError) as refusal:
                core.set_hedge_mode(account, Product.LINEAR, hedge=hedge)
            reasons.append(refusal.value.reason)
        core.cancel(account, order)
        with pytest.raises(RefusalError) as refusal:
            core.set_hedge_mode(account, Product.LINEAR, hedge=True)
        assert [*reasons, refusal.value.reason] == [
            Reason.NOTHING_TO_CHANGE,
            Reason.OPEN_ORDERS_EXIST,
            Reason.POSITIONS_EXIST,
        ]


class TestProfit:
    def test_linear(self) -> None:
        """Profit of a linear contract is in quote currency."""
        core, account = core_with_account()
        hold(account, "2", entry="90")
        core.place(account, terms("sell", "2", reduce_only=True))  # at the bid, 99.5
        assert account.balance("linear", "USDT").free == 10_000 + Decimal(19)

    def test_inverse(self) -> None:
        """Profit of an inverse contract is in base currency: size x (1/entry - 1/exit)."""
        core, account = core_with_account()
        hold(account, "20", market=INVERSE, entry="80")
        core.place(account, terms("sell", "20", market=INVERSE, reduce_only=True))
        gain = 200 * (1 / Decimal(80) - 1 / Decimal("99.5"))
        assert account.balance("inverse", "BTC").free == pytest.approx(10 + gain)

    def test_inverse_entries_average_harmonically(self) -> None:
        """Two equal inverse buys at 50 and 100.5 have their harmonic mean as entry."""
        core, account = core_with_account()
        hold(account, "20", market=INVERSE, entry="50")
        core.place(account, terms("buy", "20", market=INVERSE))
        assert account.position(INVERSE).entry_price == pytest.approx(40 / (20 / Decimal(50) + 20 / Decimal("100.5")))


class TestLimits:
    @pytest.mark.parametrize(
        ("side", "quantity", "price", "reason"),
        [
            ("buy", "0", None, Reason.QUANTITY_ZERO),
            ("buy", "0.15", None, Reason.QUANTITY_PRECISION),
            ("buy", "50.1", None, Reason.MARKET_QUANTITY_ABOVE_MAXIMUM),
            ("buy", "1000.1", "96", Reason.QUANTITY_ABOVE_MAXIMUM),
            ("buy", "1", "96.3", Reason.PRICE_PRECISION),
            ("buy", "1", "105.5", Reason.PRICE_ABOVE_BAND),
            ("sell", "1", "94.5", Reason.PRICE_BELOW_BAND),
            ("buy", "0", "96", Reason.QUANTITY_ZERO),
        ],
    )
    def test_refusals(self, side: str, quantity: str, price: str | None, reason: Reason) -> None:
        """Each rule refuses what breaks it, and the order leaves no trace."""
        core, account = core_with_account()
        with pytest.raises(RefusalError) as refusal:
            core.place(account, terms(side, quantity, price=price))
        assert (refusal.value.reason, account.orders) == (reason, {})

    def test_minimum_notional_spares_closes(self) -> None:
        """A remainder worth less than the minimum can be closed, but not opened."""
        core, account = core_with_account()
        core.set_mark(LINEAR, Decimal(40))
        hold(account, "0.1")
        with pytest.raises(RefusalError) as refusal:
            core.place(account, terms("sell", "0.1"))
        assert refusal.value.reason is Reason.NOTIONAL_BELOW_MINIMUM
        core.place(account, terms("sell", "0.1", reduce_only=True))
        assert size(account) == 0

    def test_a_market_that_settles_takes_nothing(self) -> None:
        """Not even a close."""
        core, account = core_with_account()
        hold(account, "1")
        core.listing(LINEAR).status = MarketStatus.SETTLING
        with pytest.raises(RefusalError) as refusal:
            core.place(account, terms("sell", "1", reduce_only=True))
        assert refusal.value.reason is Reason.MARKET_CLOSED

    def test_a_delisted_market_is_unknown_and_its_positions_stay(self) -> None:
        """Its orders have ended, new ones name a symbol that is not there, and the position cannot be closed."""
        core, account = core_with_account()
        hold(account, "1")
        order = core.place(account, terms("buy", "1", price="96"))
        core.set_status(LINEAR, MarketStatus.DELISTED)
        with pytest.raises(RefusalError) as refusal:
            core.place(account, terms("sell", "1", reduce_only=True))
        assert (refusal.value.reason, order.status, size(account)) == (Reason.UNKNOWN_SYMBOL, OrderStatus.EXPIRED, 1)


class TestTimeInForce:
    def test_partial_fill_of_a_market_order_expires_the_rest(self) -> None:
        """What a market order cannot trade at once is gone."""
        core, account = core_with_account()
        hold(account, "5")
        order = core.place(account, terms("sell", "5", reduce_only=True), fill_fraction=Decimal("0.5"))
        assert (float(order.filled), order.status, size(account)) == (
            2.5,
            OrderStatus.EXPIRED,
            2.5,
        )

    def test_partial_fill_of_a_limit_order_rests(self) -> None:
        """The rest of a good-till-cancelled order stays in the book."""
        core, account = core_with_account()
        order = core.place(account, terms("buy", "4", price="101"), fill_fraction=Decimal("0.25"))
        assert (order.status, float(order.remaining), list(account.open_orders)) == (
            OrderStatus.PARTIALLY_FILLED,
            3,
            [order.order_id],
        )

    def test_immediate_or_cancel_never_rests(self) -> None:
        """An IOC order away from the market expires untouched."""
        core, account = core_with_account()
        order = core.place(account, terms("buy", "4", price="96", time_in_force=TimeInForce.IOC))
        assert (order.status, account.open_orders) == (OrderStatus.EXPIRED, {})

    def test_post_only_never_takes(self) -> None:
        """A post-only order that would trade is refused."""
        core, account = core_with_account()
        with pytest.raises(RefusalError) as refusal:
            core.place(account, terms("buy", "4", price="101", time_in_force=TimeInForce.POST_ONLY))
        assert refusal.value.reason is Reason.POST_ONLY_CROSSES

    def test_price_reaches_a_resting_order(self) -> None:
        """A resting order trades when the price comes to it."""
        core, account = core_with_account()
        order = core.place(account, terms("buy", "4", price="96"))
        core.set_mark(LINEAR, Decimal(95))
        assert (order.status, size(account)) == (OrderStatus.FILLED, 4)

    def test_client_ids_are_unique_among_open_orders_only(self) -> None:
        """An id can be used again once its order has ended: it protects nothing by then."""
        core, account = core_with_account()
        order = core.place(account, terms("buy", "1", price="96", client_id="same"))
        with pytest.raises(RefusalError) as refusal:
            core.place(account, terms("buy", "1", price="97", client_id="same"))
        assert refusal.value.reason is Reason.DUPLICATE_CLIENT_ID
        core.cancel(account, order)
        assert core.place(account, terms("buy", "1", price="97", client_id="same")).is_open


class TestTerms:
    @pytest.mark.parametrize(("side", "asset"), [("sell", "BTC"), ("buy", "USDT")])
    def test_what_is_given_is_what_is_held_while_it_rests(self, side: str, asset: str) -> None:
        """The base of a sell, the quote of a buy."""
        core, account = core_with_account()
        price = "104" if side == "sell" else "96"
        order = core.place(account, terms(side, "1", market=SPOT, price=price))
        assert order.terms.gives == asset
        assert account.balance("spot", asset).locked == order.held > 0

    def test_only_a_fixed_trigger_has_a_price(self) -> None:
        """Not a plain order, not a trailing one."""
        fixed = TriggerTerms(price=Decimal(90), fires_at_or_above=False)
        trailing = TriggerTerms(price=None, fires_at_or_above=False, callback_rate=Decimal("0.01"))
        prices = [terms("sell", "1", trigger=trigger).trigger_price for trigger in (None, fixed, trailing)]
        assert prices == [None, 90, None]


class TestTriggers:
    def test_stop_closes_the_whole_position(self) -> None:
        """A close-position stop takes the size that the position has when it fires."""
        core, account = core_with_account()
        hold(account, "5")
        stop = arm(core, account, "sell", None, "90")
        hold(account, "7")
        core.set_mark(LINEAR, Decimal("89.5"))
        assert (stop.status, size(account)) == (OrderStatus.FINISHED, 0)
        assert stop.child_id is not None
        assert account.orders[stop.child_id].filled == 7

    def test_algo_book_is_cancelled_apart(self) -> None:
        """Cancelling all orders leaves the algo book, and the other way round."""
        core, account = core_with_account()
        stop = arm(core, account, "buy", "1", "110")
        entry = core.place(account, terms("buy", "1", price="96"))
        core.cancel_all(account, Product.LINEAR, None, Book.ORDERS)
        assert (stop.status, entry.status) == (OrderStatus.NEW, OrderStatus.CANCELLED)
        core.cancel_all(account, Product.LINEAR, None, Book.ALGO)
        assert (stop.status, account.open_orders) == (OrderStatus.CANCELLED, {})

    def test_entry_trigger_counts_once(self) -> None:
        """An armed entry adds exposure when it is accepted, not again when it fires."""
        core, account = core_with_account()
        arm(core, account, "buy", "1", "110")
        core.set_mark(LINEAR, Decimal(111))
        assert size(account) == 1
        assert (account.counters.orders_placed, account.counters.exposure_increases) == (1, 1)

    def test_reduce_only_trigger_without_a_position_is_rejected_when_it_fires(self) -> None:
        """It opens nothing."""
        core, account = core_with_account()
        hold(account, "5")
        stop = arm(core, account, "sell", "5", "90", reduce_only=True)
        core.place(account, terms("sell", "5", reduce_only=True))
        core.set_mark(LINEAR, Decimal(89))
        assert (stop.status, size(account)) == (OrderStatus.REJECTED, 0)

    def test_a_reached_trigger_is_refused(self) -> None:
        """A stop on the wrong side of the mark price would fire at once."""
        core, account = core_with_account()
        with pytest.raises(RefusalError) as refusal:
            arm(core, account, "buy", "1", "99.5")
        assert refusal.value.reason is Reason.TRIGGERS_IMMEDIATELY

    def test_trailing_stop_follows_the_best_price(self) -> None:
        """A trailing sell of two per cent fires two per cent below the high."""
        core, account = core_with_account()
        hold(account, "5")
        trailing = TriggerTerms(price=None, fires_at_or_above=False, callback_rate=Decimal("0.02"))
        order = core.place(account, terms("sell", "5", trigger=trailing, book=Book.ALGO, reduce_only=True))
        for mark in ("100", "120", "118"):
            core.set_mark(LINEAR, Decimal(mark))
        assert order.is_open
        core.set_mark(LINEAR, Decimal("117.5"))
        assert (order.is_open, size(account)) == (False, 0)


class TestSpot:
    def test_resting_order_locks_what_it_would_spend(self) -> None:
        """Held balance cannot be sold twice, and comes back with the cancel."""
        core, account = core_with_account()
        order = core.place(account, terms("sell", "8", market=SPOT, price="104"))
        bitcoin = account.balance("spot", "BTC")
        assert (float(bitcoin.free), float(bitcoin.locked)) == (2, 8)
        with pytest.raises(RefusalError) as refusal:
            core.place(account, terms("sell", "3", market=SPOT))
        assert refusal.value.reason is Reason.INSUFFICIENT_BALANCE
        core.cancel(account, order)
        assert (float(bitcoin.free), float(bitcoin.locked)) == (10, 0)

    def test_sale_moves_both_balances(self) -> None:
        """Base goes, quote comes, at the bid."""
        core, account = core_with_account()
        core.place(account, terms("sell", "10", market=SPOT))
        assert [float(account.balance("spot", asset).free) for asset in ("BTC", "USDT")] == [0, 10_995]
        assert account.counters.buys == 0

    def test_buy_by_cost_is_counted_as_a_buy(self) -> None:
        """A buy of 500 USDT gets as many whole steps as that pays for at the ask."""
        core, account = core_with_account()
        order = core.place(account, terms("buy", None, market=SPOT, quote_quantity=Decimal(500)))
        assert (float(order.filled), account.counters.buys) == (4.9, 1)


class TestDebts:
    def test_without_auto_borrow_nothing_is_oversold(self) -> None:
        """More than the free balance is refused, as ever."""
        core, account = core_with_account()
        with pytest.raises(RefusalError) as refusal:
            core.place(account, terms("sell", "12", market=SPOT))
        assert (refusal.value.reason, account.counters.borrows) == (Reason.INSUFFICIENT_BALANCE, 0)

    def test_a_sale_beyond_the_balance_becomes_a_debt(self) -> None:
        """The shortfall is borrowed, and the counters tell of it: once an order, on the seller's account."""
        core, account = core_with_account()
        core.rules.auto_borrow = True
        core.place(account, terms("sell", "12", market=SPOT))
        core.place(account, terms("sell", "1", market=SPOT, origin=Origin.ENGINE))
        bitcoin = account.balance("spot", "BTC")
        assert (float(bitcoin.free), float(bitcoin.borrowed)) == (0, 3)
        counters, engine = account.counters, account.engine_counters
        assert (counters.borrows, counters.oversold, engine.borrows, engine.oversold) == (1, 1, 1, 1)

    def test_what_is_bought_repays(self) -> None:
        """Interest first; what is left over stays."""
        core, account = core_with_account()
        core.rules.auto_borrow = True
        bitcoin = account.balance("spot", "BTC")
        bitcoin.free, bitcoin.borrowed, bitcoin.interest = Decimal(0), Decimal(3), Decimal("0.5")
        core.place(account, terms("buy", "1", market=SPOT))
        assert (float(bitcoin.free), float(bitcoin.borrowed), float(bitcoin.interest)) == (0, 2.5, 0)
        core.place(account, terms("buy", "4", market=SPOT))
        assert (float(bitcoin.free), float(bitcoin.owed)) == (1.5, 0)

    def test_an_order_may_borrow_by_itself(self) -> None:
        """Where the house does not, an order's own terms may; a purchase borrows quote currency."""
        core, account = core_with_account()
        core.place(account, terms("buy", "150", price="100", market=SPOT, borrows=True))
        core.set_mark(SPOT, Decimal(99))
        assert float(account.balance("spot", "USDT").borrowed) == 4_925
        assert (account.counters.borrows, account.counters.oversold) == (1, 0)

    def test_a_resting_sale_borrows_when_it_trades(self) -> None:
        """Until then it locks what there is."""
        core, account = core_with_account()
        core.rules.auto_borrow = True
        core.place(account, terms("sell", "12", price="104", market=SPOT))
        bitcoin = account.balance("spot", "BTC")
        assert (float(bitcoin.locked), float(bitcoin.borrowed), account.counters.borrows) == (10, 0, 1)
        core.set_mark(SPOT, Decimal(105))
        assert (float(bitcoin.total), float(bitcoin.borrowed)) == (0, 2)

    @pytest.mark.parametrize(
        ("free", "amount", "reason"),
        [("5", "2.6", Reason.REPAYS_TOO_MUCH), ("2", "2.5", Reason.INSUFFICIENT_BALANCE), ("5", "2.5", None)],
    )
    def test_repayment(self, free: str, amount: str, reason: Reason | None) -> None:
        """No more than is owed, and no more than is free."""
        core, account = core_with_account()
        bitcoin = account.balance("spot", "BTC")
        bitcoin.free, bitcoin.borrowed, bitcoin.interest = Decimal(free), Decimal(2), Decimal("0.5")
        if reason is None:
            core.treasury.repay(account, "spot", "BTC", Decimal(amount))
            assert (float(bitcoin.free), float(bitcoin.owed), account.counters.repayments) == (2.5, 0, 1)
            return
        with pytest.raises(RefusalError) as refusal:
            core.treasury.repay(account, "spot", "BTC", Decimal(amount))
        assert (refusal.value.reason, float(bitcoin.owed)) == (reason, 2.5)


def test_a_closed_position_is_announced_once() -> None:
    """Listeners hear of a close after the event, once, however it came about."""
    core, account = core_with_account()
    heard = []
    core.position_closed.append(lambda who, what: heard.append((who.name, what.symbol)))
    hold(account, "5")
    arm(core, account, "sell", None, "90")
    core.set_mark(LINEAR, Decimal(89))
    assert heard == [("a", "BTC-linear")]
