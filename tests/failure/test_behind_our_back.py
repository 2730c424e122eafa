"""Others act on the account too: its engine, its conditional orders, a person; and reads do not show everything."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from functools import partial

import pytest

from node.domain.command import Action
from node.sim.market import Product
from node.sim.orders import Leg
from node.sim.scenarios import AccountSeed, MarketName
from tests.failure.books import HEDGE, ONE_WAY, entry, resting
from tests.failure.conftest import Compress
from tests.failure.failures import failure
from tests.failure.stage import Stage, stage
from tests.failure.venues import LINEAR, Contract, VenueUnderTest


@failure("reopens_during")
@pytest.mark.parametrize("quantity", ["40", "-40"], ids=["same-side", "other-side"])
async def test_what_the_engine_opens_during_the_close_is_closed_too(
    venue: VenueUnderTest, contract: Contract, book: AccountSeed, quantity: str
) -> None:
    """Three times, each at the very moment when the position is gone."""
    quantity = quantity if contract.product == "inverse" else str(Decimal(quantity) / 100)
    async with stage(venue, book) as the:
        trap = {"symbol": contract.market, "quantity": quantity, "times": 3, "trigger": "after_close"}
        the.set(engine_reopens=trap)
        await the.closes_flat()
        assert the.account.engine_counters.orders_placed == 3


@failure("reopens_during")
@pytest.mark.parametrize("delay_ms", [5, 20, 60])
async def test_what_the_engine_opens_a_moment_later_elsewhere_is_closed_while_the_command_lives(
    venue: VenueUnderTest, book: AccountSeed, delay_ms: int
) -> None:
    """In a market that nobody held. What comes after the proof is another command's, and this one said the truth."""
    async with stage(venue, book) as the:
        trap = {"symbol": "linear:LINK/USDT", "quantity": "50", "trigger": "after_flat", "delay_ms": delay_ms}
        the.set(engine_reopens=trap)
        assert the.flat(await the.close_all())
        await the.until(lambda: the.account.engine_counters.orders_placed == 1)
        await the.closes_flat()


@failure("reopens_after", "reopens_at_release")
@pytest.mark.parametrize("delay_ms", [0, 100])
async def test_a_hold_is_not_lifted_over_what_was_opened_while_things_settled(
    venue: VenueUnderTest, contract: Contract, book: AccountSeed, delay_ms: int
) -> None:
    """The second proof finds it, and it is closed before the account is free again."""
    quantity = "30" if contract.product == "inverse" else "0.3"
    async with stage(venue, book, settle_s=0.5) as the:
        trap = {"symbol": contract.market, "quantity": quantity, "trigger": "after_flat", "delay_ms": delay_ms}
        the.set(engine_reopens=trap)
        document = await the.closes_flat(latch=False)
        assert the.account.engine_counters.orders_placed == 1
        assert document["lock"]["locked"] is bool(venue.unverified)  # what nobody can see is no reason to let go


@failure("reopens_after", "flatten_twice")
async def test_a_second_command_closes_what_was_opened_after_the_first(
    venue: VenueUnderTest, contract: Contract, book: AccountSeed
) -> None:
    """The account is still locked then; closing is allowed all the same."""
    async with stage(venue, book) as the:
        await the.closes_flat()
        the.engine_order(contract.market, "30" if contract.product == "inverse" else "0.3")
        await the.closes_flat()


@failure("order_in_flight")
@pytest.mark.parametrize("price_factor", [None, "0.97"], ids=["market", "resting"])
@pytest.mark.parametrize("intent", ["place", "cancel", "positions"])
async def test_an_engines_order_that_arrives_after_the_lock_is_undone(
    venue: VenueUnderTest, book: AccountSeed, price_factor: str | None, intent: str
) -> None:
    """It was on its way when the lock came, and lands beside the first orders or reads of the close."""
    async with stage(venue, book) as the:
        for contract in venue.contracts:
            quantity = "30" if contract.product == "inverse" else "0.3"
            arrive = partial(the.engine_order, contract.market, quantity, price_factor=price_factor)
            the.just_before(intent, arrive, product=contract.product)
        await the.closes_flat()
        assert the.account.engine_counters.orders_placed == len(venue.contracts)


@failure("order_in_flight", "lock_during_close")
async def test_a_lock_says_nothing_of_what_is_in_flight_and_the_close_that_follows_undoes_it(
    venue: VenueUnderTest, book: AccountSeed
) -> None:
    """LOCK ends at once; the engine's last order comes after it."""
    async with stage(venue, book) as the:
        locked = await the.ending(await the.command(Action.LOCK))
        assert (locked["verdict"], locked["lock"]["locked"]) == ("locked", True)
        the.engine_order("linear:LINK/USDT", "50")
        the.engine_order("linear:LINK/USDT", "20", price_factor="0.97")
        await the.closes_flat()


@failure("late_trigger")
@pytest.mark.parametrize("when", ["after_close", "on_cancel"])
async def test_a_conditional_order_that_opens_a_position_at_the_worst_moment_is_undone(
    venue: VenueUnderTest, book: AccountSeed, when: str
) -> None:
    """It fires when its market has just been closed, or by the very request that cancels it."""
    async with stage(venue, book) as the:
        the.set(late_trigger={"symbol": "linear:SOL/USDT", "trigger": when if venue.lists_triggers else "after_close"})
        await the.closes_flat()
        assert the.sim.provocations.document()["late_trigger"] == []


@failure("late_trigger")
@pytest.mark.parametrize("when", ["after_close", "on_cancel", "after_flat"])
async def test_stops_that_fire_late_turn_nothing_round(
    venue: VenueUnderTest, contract: Contract, book: AccountSeed, when: str
) -> None:
    """Their position is gone already."""
    async with stage(venue, book) as the:
        the.set(late_trigger={"symbol": contract.market, "trigger": when, "times": 2})
        await the.closes_flat()


@failure("triggers_survive")
async def test_both_books_are_empty_in_the_end(venue: VenueUnderTest, book: AccountSeed) -> None:
    """Orders and conditional orders, of every slice."""
    async with stage(venue, book) as the:
        assert any(order.waits_for_trigger for order in the.account.open_orders.values())
        document = await the.closes_flat()
        assert bool(the.account.open_orders) is not venue.lists_triggers
        assert {each["slice"] for each in document["evidence"]} == set(venue.slices)
        assert all(each["trigger_orders"] == 0 for each in document["evidence"])


@failure("triggers_survive")
@pytest.mark.parametrize("times", [1, 4])
async def test_cancels_that_are_answered_and_not_carried_out_are_noticed(
    venue: VenueUnderTest, book: AccountSeed, times: int
) -> None:
    """The venue says cancelled, and the order rests as before."""
    async with stage(venue, book) as the:
        lies = iter(range(times))
        cancel = the.sim.core.cancel

        def pretend(account: object, order: object, **options: object) -> object:
            return order if next(lies, None) is not None else cancel(account, order, **options)  # type: ignore[arg-type]

        the.sim.core.cancel = pretend  # type: ignore[method-assign,assignment]
        await the.closes_flat()
        assert next(lies, None) is None


@failure("hidden_settle_coin")
async def test_a_slice_hidden_for_good_is_never_called_flat(venue: VenueUnderTest, book: AccountSeed) -> None:
    """No list shows its positions and orders; the wallet shows that something is there."""
    async with stage(venue, book, deadline_s=0.5, faults={"hidden_slice": {"slice": venue.hidden_slice}}) as the:
        command = await the.command_close()
        document = await the.incomplete(command)
        assert document["verdict"] in ("unknown", "not_flat")
        assert {each.market.slice_name for each in the.account.open_positions()} == {venue.hidden_slice}
        the.set(clear=True)
        assert the.flat(await the.ending(command))
        assert the.empty()


@failure("hidden_settle_coin", "unread_slice")
@pytest.mark.usefixtures("quick_minute")
async def test_a_product_whose_lists_are_empty_for_good_is_never_called_flat(
    venue: VenueUnderTest, contract: Contract, book: AccountSeed
) -> None:
    """200, well-formed, and nothing in it."""
    async with stage(venue, book, deadline_s=0.5, faults={"hidden_slice": {"slice": contract.product}}) as the:
        command = await the.command_close()
        document = await the.incomplete(command)
        assert document["verdict"] in ("unknown", "not_flat")
        the.set(clear=True)
        assert the.flat(await the.ending(command))
        assert the.empty()


@failure("hidden_settle_coin")
@pytest.mark.parametrize("times", [1, 3, 6])
@pytest.mark.parametrize("armed", [True, False], ids=["armed", "cold"])
async def test_a_slice_that_some_reads_leave_out_is_closed_all_the_same(
    venue: VenueUnderTest, book: AccountSeed, times: int, armed: bool
) -> None:
    """One empty answer is not the truth of a wallet that shows margin in use."""
    async with stage(venue, book, armed=armed) as the:
        the.set(hidden_slice={"slice": venue.hidden_slice, "times": times})
        await the.closes_flat()


@failure("hidden_dex")
@pytest.mark.parametrize("times", [None, 1, 3], ids=["for-good", "once", "thrice"])
async def test_a_dex_that_reads_leave_out_is_closed_and_never_called_flat_before(
    venue: VenueUnderTest, times: int | None
) -> None:
    """Its positions are in no list; its margin shows that something is there."""
    async with stage(venue, ONE_WAY, deadline_s=0.5) as the:
        the.engine_order(venue.dex_market, "3")
        the.engine_order(venue.dex_market, "1", price_factor="0.97")
        the.set(hidden_slice={"slice": venue.hidden_dex, "times": times})
        command = await the.command_close()
        if times is None:
            await the.incomplete(command, lambda told: told["verdict"] in ("unknown", "not_flat"))
            assert the.held(venue.dex_market) == 3
            the.set(clear=True)
        assert (await the.ending(command))["verdict"] == "flat"
        assert the.empty()


@failure("hidden_dex", "foreign_positions")
async def test_a_dex_that_was_deployed_after_markets_were_read_is_closed_too(
    venue: VenueUnderTest, monkeypatch: pytest.MonkeyPatch, compress: Compress
) -> None:
    """Nobody here has heard of its markets. (A minute in a fifth of a second.)"""
    compress(REFRESH_SOON_S=0.2)
    assert venue.late_dex is not None
    deploy = venue.late_dex(monkeypatch.setattr)
    async with stage(venue, ONE_WAY) as the:
        deploy(the.sim)
        await the.closes_flat()


@failure("hedge_sides", "triggers_survive")
async def test_both_modes_close_without_a_single_refusal(venue: VenueUnderTest, book: AccountSeed) -> None:
    """Reduce-only in one-way mode, position sides in hedge mode, cross and isolated: the venue objects to nothing."""
    async with stage(venue, book) as the:
        document = await the.closes_flat()
        assert document["orders"]["rejected"] == 0
        assert the.account.counters.orders_refused == 0


@failure("hedge_sides", "stale_read")
@pytest.mark.parametrize("hedge", [True, False], ids=["to-hedge", "to-one-way"])
async def test_a_mode_that_was_changed_since_the_account_was_armed(
    venue: VenueUnderTest, contract: Contract, hedge: bool
) -> None:
    """Nothing that was remembered of the account's mode is relied on."""
    empty = AccountSeed(name="changing", hedge=not hedge, balances=ONE_WAY.balances)
    product = Product(contract.product)
    async with stage(venue, empty) as the:
        for each in {product} if venue.modes_by_product else {Product.LINEAR, Product.INVERSE}:
            the.sim.core.set_hedge_mode(the.account, each, hedge=hedge)
        for quantity in ("30", "-10") if hedge else ("-30",):
            the.engine_order(contract.market, quantity if contract.product == "inverse" else f"{int(quantity) / 100}")
        await the.closes_flat()


@failure("hidden_page", "triggers_survive")
async def test_what_is_on_the_next_page_is_cancelled_too(venue: VenueUnderTest, contract: Contract) -> None:
    """A page and a bit of orders, and of conditional ones."""
    assert venue.orders_page is not None
    quantity = "100" if contract.product == "inverse" else "0.01"
    market = MarketName(
        product=Product(contract.product),
        base="BTC",
        quote="USD" if contract.product == "inverse" else "USDT",
    )
    more = venue.orders_page + 5
    book = replace(
        ONE_WAY,
        name="many",
        orders=tuple(resting(market, quantity, f"0.{8000 + number}") for number in range(more)),
        triggers=tuple(entry(market, quantity, f"1.{1000 + number}") for number in range(more)),
    )
    async with stage(venue, book, deadline_s=20.0, faults={"enforce_limits": False}) as the:
        assert len(the.account.open_orders) == 2 * more
        await the.closes_flat()


def stale(the: Stage, market: str, change: str) -> None:
    """What somebody else makes of a position."""
    for each in list(the.account.open_positions()):
        if each.market != the.market(market):
            continue
        held = each.quantity
        step = each.market.step
        half = (held / 2 / step).to_integral_value() * step
        smaller = {"shrinks": half, "goes": Decimal(0), "turns": -half if each.leg is Leg.NET else half}
        each.quantity = smaller[change]
    the.witness.note(the.account)


@failure("stale_read", "hedge_sides")
@pytest.mark.parametrize("change", ["shrinks", "goes", "turns"])
@pytest.mark.parametrize("moment", ["before", "in-flight"])
async def test_a_position_that_changes_between_the_read_and_the_order_is_never_turned_round(
    venue: VenueUnderTest, contract: Contract, book: AccountSeed, change: str, moment: str
) -> None:
    """The warm view says one thing, the venue holds another; or it changes while the order is on its way."""
    async with stage(venue, book) as the:
        if moment == "before":
            stale(the, contract.market, change)
        else:
            the.just_before("place", partial(stale, the, contract.market, change), market=contract.market)
        await the.closes_flat()


@failure("stale_read", "partial_fill")
async def test_a_stop_that_fires_between_the_read_and_the_order_leaves_nothing_on_the_other_side(
    venue: VenueUnderTest, contract: Contract, book: AccountSeed
) -> None:
    """The stop closes the position first; our order finds nothing to reduce."""
    async with stage(venue, book) as the:
        the.just_before("place", partial(the.fire, contract.market), market=contract.market)
        await the.closes_flat()


@failure("foreign_positions")
async def test_positions_that_nobody_here_opened_are_closed(venue: VenueUnderTest, book: AccountSeed) -> None:
    """Opened by hand since the last look, in markets that the account never held: perpetual and dated."""
    async with stage(venue, book) as the:
        the.engine_order("linear:LINK/USDT", "-50")
        the.engine_order("linear:ADA/USDT", str(900 / the.market("linear:ADA/USDT").contract_size))
        if the.lists("inverse:ETH/USD"):
            the.account.balance(the.market("inverse:ETH/USD").wallet, "ETH").free = Decimal(30)
            the.engine_order("inverse:ETH/USD", "30")
        the.engine_order("linear:LINK/USDT", "20", price_factor="0.97")
        await the.closes_flat()


@failure("foreign_positions", "expiring")
@pytest.mark.parametrize("market", ["linear:BTC/USDT-dated", "inverse:BTC/USD-dated"])
async def test_contracts_that_expire_are_closed_too(venue: VenueUnderTest, market: str) -> None:
    """Beside the perpetual of the same coin."""
    async with stage(venue, ONE_WAY) as the:
        the.engine_order(market, "20" if market.startswith("inverse") else "0.2")
        document = await the.closes_flat()
        assert the.symbol(market) in {each["symbol"] for each in document["positions"]}


@failure("foreign_positions", "hedge_sides")
async def test_a_second_leg_opened_by_hand_is_closed(venue: VenueUnderTest) -> None:
    """Hedge mode: the short leg of a coin that was only held long."""
    async with stage(venue, HEDGE) as the:
        the.engine_order("linear:SOL/USDT", "-11")
        the.engine_order(LINEAR.market, "0.1")
        await the.closes_flat()


def rest(the: Stage, market: str, count: int) -> list[int]:
    """The engine fills a book with small orders far from the price; their numbers."""
    least = the.market(market).min_quantity
    quantity = str(least * 100 if market.startswith("inverse") else max(least, Decimal("0.01")))
    return [the.engine_order(market, quantity, price_factor="0.96").order_id for _ in range(count)]


@failure("hidden_page")
@pytest.mark.parametrize("market", ["linear:BTC/USDT", "inverse:BTC/USD", "spot:ETH/USDT"])
async def test_orders_on_the_next_page_are_cancelled_too(venue: VenueUnderTest, market: str) -> None:
    """More than a page of them; the oldest, with the stops of the book, are on the last one."""
    async with stage(venue, request_timeout_s=2.0, faults={"enforce_limits": False}) as the:
        rest(the, market, (venue.orders_page or 0) + 12)
        await the.closes_flat()


@failure("hidden_page", "unread_slice")
@pytest.mark.parametrize("deed", [{"status_after_execution": 502}, {"reshape": {"body": {}}}, "empty_200"], ids=str)
async def test_a_next_page_that_cannot_be_read_is_not_left_out(venue: VenueUnderTest, deed: object) -> None:
    """The first one comes as usual: what it shows goes, flat is not said, and the rest goes when it can be seen."""
    async with stage(venue, deadline_s=0.6, request_timeout_s=1.0, faults={"enforce_limits": False}) as the:
        rest(the, "spot:ETH/USDT", (venue.orders_page or 0) + 12)
        the.misbehave(deed, "orders", product="spot", nth=2, times=None)
        command = await the.command_close()
        document = await the.incomplete(command)
        assert document["verdict"] in ("unknown", "not_flat")
        await the.until(lambda: not any(the.account.open_positions()))
        the.set(clear=True)
        assert the.flat(await the.ending(command))
        assert the.empty()
