"""FLATTEN: balances into base currency, where no venue bounds what is sold."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import Any, Final

import pytest

from node.domain.command import Action
from node.domain.result import Document
from node.sim.market import Product
from node.sim.orders import Order, Origin, Side
from node.sim.scenarios import MARGIN, RESIDUE, AccountSeed, linear, spot
from tests.failure.books import COINS, holding, plain, position, resting, wealth
from tests.failure.conftest import Compress
from tests.failure.failures import failure
from tests.failure.stage import Stage, not_flat, stage
from tests.failure.test_lost_answers import NO_ANSWER
from tests.failure.venues import VenueUnderTest

#: A request that has not arrived by then never will.
LATE_NS: Final = 400_000_000
SOLD: Final = ("BTC", "ETH", "SOL")


def told(the: Stage, document: Document, asset: str, wallet: str = "spot") -> str:
    """What the document says about a balance."""
    wanted = (wallet, the.under_test.coin(asset))
    found = [each for each in document["balances"] if (each["slice"], each["asset"]) == wanted]
    return str(found[0]["verdict"]) if found else "flat"


def trades(the: Stage, side: Side) -> list[Order]:
    """Orders of the node's that traded balances."""
    return [
        order
        for order in the.account.orders.values()
        if order.terms.origin is Origin.CLIENT and not order.terms.market.is_contract and order.terms.side is side
    ]


def sold(the: Stage, coin: str) -> Decimal:
    """How much of a coin the node has sold."""
    return sum((order.filled for order in trades(the, Side.SELL) if order.terms.market.base == coin), Decimal(0))


async def flattens(the: Stage, **parameters: Any) -> Document:
    """FLATTEN must end flat, and only base currency be left."""
    document = await the.flatten(**parameters)
    assert document["state"] == "done"
    assert the.flat(document), document
    assert the.empty()
    return document


@failure("held_by_orders", "spot_unbounded")
async def test_everything_free_is_sold_and_nothing_bought(venue: VenueUnderTest) -> None:
    """Derivatives first; a balance that an order held is sold when the order is gone."""
    async with stage(venue, COINS) as the:
        the.just_before("place", lambda: placed_while_open.append(any(the.account.open_positions())), product="spot")
        placed_while_open: list[bool] = []
        await flattens(the)
        assert placed_while_open == [False], "a balance may be the other leg's hedge"
        assert [sold(the, coin) for coin in SOLD] == [Decimal("0.8"), Decimal("5.25"), Decimal(120)]


@failure("held_by_orders")
@pytest.mark.parametrize("deed", ["lose_after_execution", "hang", {"refuse": {"reason": "overloaded"}}], ids=str)
async def test_a_balance_whose_order_is_hard_to_cancel_is_sold_once(venue: VenueUnderTest, deed: object) -> None:
    """The cancel is lost, or not taken at first."""
    async with stage(venue, COINS) as the:
        the.misbehave(deed, "cancel", product="spot", times=2)
        await flattens(the)
        assert sold(the, "SOL") == 120


@failure("rejected_close", "stop_lost")
async def test_nothing_is_sold_while_a_position_cannot_be_closed(venue: VenueUnderTest) -> None:
    """The coins may be what the short is hedged with."""
    async with stage(venue, COINS, deadline_s=0.5) as the:
        the.refuse("insufficient_margin", market="linear:BTC/USDT", times=None)
        command = await the.command(Action.FLATTEN)
        await the.incomplete(command, not_flat)
        assert the.count("place", product="spot") == 0
        the.set(clear=True)
        assert the.flat(await the.ending(command))


@failure("flatten_twice")
async def test_flatten_twice_sells_nothing_twice(venue: VenueUnderTest) -> None:
    """One after the other, and both at once."""
    async with stage(venue, COINS) as the:
        first, second = await asyncio.gather(the.command(Action.FLATTEN), the.command(Action.FLATTEN))
        for command in (first, second):
            assert the.flat(await the.ending(command))
        orders = len(trades(the, Side.SELL))
        document = await flattens(the)
        assert (document["orders"]["placed"], len(trades(the, Side.SELL))) == (0, orders)
        assert [sold(the, coin) for coin in SOLD] == [Decimal("0.8"), Decimal("5.25"), Decimal(120)]


@failure("two_hops")
@pytest.mark.parametrize("deed", [None, "lose_after_execution", {"partial_fill": {"fraction": "0.5"}}], ids=str)
async def test_a_coin_without_a_market_against_base_goes_over_another(
    venue: VenueUnderTest, deed: object, compress: Compress
) -> None:
    """Its first sale brings the other, which is sold in turn; answers may get lost on the way."""
    compress(LATE_ARRIVAL_NS=LATE_NS)
    coin, bridge = venue.bridged
    async with stage(venue, holding({"USDT": "1000", coin: "50000"})) as the:
        if deed is not None:
            the.misbehave(deed, "place", product="spot", times=2)
        document = await the.flatten()
        assert [document["state"], the.balance(coin), sold(the, coin)] == ["done", 0, 50000]
        left, step = the.balance(bridge), the.market(f"spot:{bridge}/USDT").step
        # Less than a step of it is dust where nothing converts it.
        assert left == 0 or ("conversion" in venue.impossible and left < step)
        assert told(the, document, bridge) == ("dust" if left else "flat")
        assert left or the.flat(document)


@failure("kept_coins")
async def test_kept_coins_are_never_sold_nor_used_as_a_bridge(venue: VenueUnderTest) -> None:
    """The coin that could only go over a kept one stays, and is named."""
    coin, bridge = venue.bridged
    book = holding({"USDT": "1000", bridge: "0.8", coin: "50000", "ETH": "5"})
    async with stage(venue, book, keep=frozenset({venue.coin(bridge)})) as the:
        document = await the.flatten()
        assert (document["state"], document["verdict"]) == ("done", "flat_with_residue")
        assert [told(the, document, each) for each in (bridge, coin, "ETH")] == ["held", "unsellable", "flat"]
        assert the.balance(bridge) == Decimal("0.8")


@failure("kept_coins")
async def test_a_kept_coin_beside_others_is_no_residue(venue: VenueUnderTest) -> None:
    """It is what was asked for."""
    async with stage(venue, COINS, keep=frozenset({"ETH"})) as the:
        document = await flattens(the)
        assert told(the, document, "ETH") == "held"
        assert [the.balance("ETH"), the.balance("BTC")] == [Decimal("5.25"), 0]


@failure("spot_maximum", "market_maximum")
async def test_a_balance_above_the_largest_order_is_sold_in_parts(venue: VenueUnderTest) -> None:
    """One after the other, each from a fresh read."""
    coin, amount = venue.much
    async with stage(venue, holding({"USDT": "100", coin: amount})) as the:
        await flattens(the)
        assert [sold(the, coin), len(trades(the, Side.SELL))] == [Decimal(amount), 3]


@failure("spot_unbounded", "stale_read")
@pytest.mark.parametrize("left", ["2", "0.0001", "0"])
async def test_a_balance_that_shrinks_between_the_read_and_the_sale_is_not_oversold(
    venue: VenueUnderTest, left: str
) -> None:
    """Somebody else takes it away; the venue refuses, and what is left is read again."""

    def shrink(the: Stage) -> None:
        the.account.balance(Product.SPOT, "ETH").free = Decimal(left)

    async with stage(venue, COINS, min_value="1") as the:
        the.just_before("place", partial(shrink, the), market="spot:ETH/USDT")
        document = await the.flatten()
        assert document["state"] == "done"
        assert sold(the, "ETH") <= Decimal(left)


@failure("spot_unbounded", "held_by_orders")
async def test_an_order_placed_by_the_engine_before_the_sale_holds_the_balance(venue: VenueUnderTest) -> None:
    """It is found, cancelled, and the balance sold."""
    async with stage(venue, COINS) as the:
        rest = partial(the.engine_order, "spot:ETH/USDT", "-5", price_factor="1.04")
        the.just_before("place", rest, market="spot:ETH/USDT")
        await flattens(the)
        assert sold(the, "ETH") == Decimal("5.25")


@failure("auto_borrow", "spot_unbounded")
@pytest.mark.parametrize("deed", NO_ANSWER)
async def test_an_ambiguous_sale_is_looked_up_before_the_next_where_the_venue_lends_by_itself(
    venue: VenueUnderTest, deed: object, compress: Compress
) -> None:
    """Repeated blindly, it would sell what is not there, and the venue would lend it."""
    compress(LATE_ARRIVAL_NS=LATE_NS)
    async with stage(venue, COINS, faults={"auto_borrow": True}) as the:
        the.misbehave(deed, "place", market="spot:BTC/USDT")
        await flattens(the)
        assert sold(the, "BTC") == Decimal("0.8")


@failure("auto_borrow", "unexpected_shape")
@pytest.mark.parametrize("query", ["hang", {"status_after_execution": 503}, {"reshape": {"body": []}}, "empty_200"])
async def test_an_ambiguous_sale_that_cannot_be_looked_up_is_not_repeated_meanwhile(
    venue: VenueUnderTest, query: object
) -> None:
    """The sale is lost, and so are the first answers about it."""
    async with stage(venue, COINS, faults={"auto_borrow": True}) as the:
        the.misbehave("lose_after_execution", "place", market="spot:BTC/USDT")
        the.misbehave(query, "order", times=3)
        await flattens(the)
        assert sold(the, "BTC") == Decimal("0.8")


@failure("auto_borrow", "timeout_after_execution")
async def test_a_sale_that_arrives_late_is_waited_for(venue: VenueUnderTest) -> None:
    """Given up after a quarter of a second, carried out half a second later: "no such order" was true till then."""
    async with stage(venue, COINS, faults={"auto_borrow": True}) as the:
        the.misbehave({"delay_ms": 700}, "place", market="spot:BTC/USDT")
        await flattens(the)
        assert sold(the, "BTC") == Decimal("0.8")


@failure("auto_borrow", "flatten_twice", "duplicate_command")
async def test_several_flattens_at_once_where_the_venue_lends_by_itself(venue: VenueUnderTest) -> None:
    """With answers lost, and a third that comes when everything is sold."""
    async with stage(venue, COINS, faults={"auto_borrow": True}) as the:
        the.misbehave("lose_after_execution", "place", product="spot", times=3)
        commands = [await the.command(Action.FLATTEN) for _ in range(2)]
        for command in commands:
            assert the.flat(await the.ending(command))
        await flattens(the)
        assert [sold(the, coin) for coin in SOLD] == [Decimal("0.8"), Decimal("5.25"), Decimal(120)]


@failure("partial_fill")
@pytest.mark.parametrize("fraction", ["0", "0.4"])
async def test_sales_that_fill_in_part_are_followed_by_the_rest(
    venue: VenueUnderTest, fraction: str, compress: Compress
) -> None:
    """Or not at all: where the answer does not tell, the wallet does when nothing can be late any more."""
    compress(LATE_ARRIVAL_NS=LATE_NS)
    async with stage(venue, COINS) as the:
        the.misbehave({"partial_fill": {"fraction": fraction}}, "place", market="spot:BTC/USDT", times=2)
        await flattens(the)
        assert sold(the, "BTC") == Decimal("0.8")


@failure("price_band")
async def test_a_coin_that_is_refused_at_every_price_stays_and_is_named(venue: VenueUnderTest) -> None:
    """The others are sold; it is not called dust."""
    async with stage(venue, COINS) as the:
        the.refuse("price_below_band", market="spot:BTC/USDT", times=None)
        document = await the.flatten()
        assert (document["state"], document["verdict"]) == ("done", "flat_with_residue")
        assert told(the, document, "BTC") == "refused"
        assert [the.balance("ETH"), the.balance("SOL")] == [0, 0]


@failure("market_closed")
@pytest.mark.parametrize("status", ["BREAK", "SETTLING"])
async def test_a_coin_whose_market_is_closed_is_sold_when_it_opens(venue: VenueUnderTest, status: str) -> None:
    """Everything else is sold at once; the command goes on."""
    async with stage(venue, COINS, deadline_s=0.6) as the:
        markets = [f"spot:ETH/{quote}" for quote in venue.quotes]
        the.set(market_status=dict.fromkeys(markets, status))
        command = await the.command(Action.FLATTEN)
        await the.incomplete(command, lambda said: not_flat(said) and told(the, said, "ETH") == "market_closed")
        await the.until(lambda: [the.balance("BTC"), the.balance("SOL")] == [0, 0])
        the.set(market_status=dict.fromkeys(markets, "TRADING"))
        assert the.flat(await the.ending(command))


@failure("reopens_during")
async def test_what_the_engine_opens_while_coins_are_sold_is_closed(venue: VenueUnderTest) -> None:
    """A position and an order, in the middle of the sales."""

    def reopen(the: Stage) -> None:
        the.engine_order("linear:ETH/USDT", "1.5")
        the.engine_order("linear:ETH/USDT", "0.5", price_factor="0.97")

    async with stage(venue, COINS) as the:
        the.just_before("place", partial(reopen, the), product="spot")
        await flattens(the)


@failure("unpriced")
@pytest.mark.parametrize("deed", [{"status_after_execution": 503}, "empty_200", {"reshape": {"body": {}}}], ids=str)
async def test_prices_that_cannot_be_had_make_nothing_dust(venue: VenueUnderTest, deed: object) -> None:
    """Nothing is sold blindly, nothing is written off; both happen when there are prices again."""
    book = plain(spot_USDT="100", spot_BTC="0.5", spot_DOGE="3.4", positions=(position(linear("BTC"), "1"),))
    async with stage(venue, book, deadline_s=0.5) as the:
        the.misbehave(deed, "quotes", times=None)
        command = await the.command(Action.FLATTEN)
        document = await the.incomplete(command)
        assert document["verdict"] in ("not_flat", "unknown")
        assert "dust" not in {each["verdict"] for each in document["balances"]}
        assert not any(the.account.open_positions())
        assert (the.count("place", product="spot"), the.count("convert")) == (0, 0)
        the.set(clear=True)
        assert (await the.ending(command))["state"] == "done"
        assert the.balance("BTC") == 0


@failure("unpriced", "dust")
async def test_a_coin_that_nobody_bids_for_is_not_dust(venue: VenueUnderTest) -> None:
    """However little there is of it: its worth is not known."""
    async with stage(venue, plain(spot_USDT="100", spot_DOGE="3.4", spot_BTC="0.5")) as the:
        the.sim.core.listing(the.market("spot:DOGE/USDT")).bid = Decimal(0)
        document = await the.flatten()
        assert (document["state"], document["verdict"]) == ("done", "flat_with_residue")
        assert told(the, document, "DOGE") == "unsellable"
        assert the.balance("BTC") == 0


@failure("dust", "conversion", "spot_maximum")
async def test_residue_is_converted_or_named(venue: VenueUnderTest) -> None:
    """What no order can sell and the convert service takes is gone; the rest is called what it is."""
    async with stage(venue, RESIDUE) as the:
        document = await the.flatten()
        assert (document["state"], document["verdict"]) == ("done", "flat_with_residue")
        left = {each["asset"]: each["verdict"] for each in document["balances"] if each["verdict"] != "flat"}
        assert left.keys() >= {"XAIR", "WAN"}
        assert left["XAIR"] == "unsellable"
        assert left["WAN"] == "dust"
        assert not left.keys() & {"DOGE", "ADA", "SOL", "USDC"}
        assert set(left.values()) <= {"dust", "unsellable"}


@failure("conversion", "dust")
@pytest.mark.parametrize("reason", ["conversion_too_small", "overloaded", "not_convertible"])
async def test_a_refused_conversion_leaves_dust_and_the_command_ends(venue: VenueUnderTest, reason: str) -> None:
    """It changes nothing: the residue is named as what it is."""
    async with stage(venue, plain(spot_USDT="100", spot_DOGE="3.4", spot_BTC="0.5")) as the:
        the.refuse(reason, "convert", times=None)
        document = await the.flatten()
        assert (document["state"], document["verdict"]) == ("done", "flat_with_residue")
        assert told(the, document, "DOGE") == "dust"
        assert [the.balance("DOGE"), the.balance("BTC")] == [Decimal("3.4"), 0]
        assert the.count("convert") <= 3


@failure("conversion")
@pytest.mark.parametrize("ratio", ["0.5", "0.9"])
async def test_a_bad_conversion_price_is_not_accepted(venue: VenueUnderTest, ratio: str) -> None:
    """Worse than the market by more than the slippage allowed."""
    async with stage(venue, plain(spot_USDT="100", spot_DOGE="3.4"), faults={"conversion_ratio": ratio}) as the:
        document = await the.flatten()
        assert (document["state"], told(the, document, "DOGE")) == ("done", "dust")
        assert the.balance("DOGE") == Decimal("3.4")


@failure("conversion")
@pytest.mark.parametrize("deed", NO_ANSWER)
async def test_an_ambiguous_conversion_is_neither_repeated_nor_believed(venue: VenueUnderTest, deed: object) -> None:
    """Either it was carried out, and the balance shows it, or the coin is there and named."""
    async with stage(venue, plain(spot_USDT="100", spot_DOGE="3.4", spot_BTC="0.5")) as the:
        the.misbehave(deed, "convert", nth=2)
        document = await the.flatten()
        assert document["state"] == "done"
        assert told(the, document, "DOGE") == ("dust" if the.balance("DOGE") else "flat")
        assert the.balance("BTC") == 0


@failure("conversion", "lost_answer", "hang")
@pytest.mark.parametrize("deed", ["lose_after_execution", "hang", "html_200"])
async def test_a_conversion_price_that_never_comes_changes_nothing(venue: VenueUnderTest, deed: object) -> None:
    """The residue is named, and the command ends."""
    async with stage(venue, plain(spot_USDT="100", spot_DOGE="3.4")) as the:
        the.misbehave(deed, "convert", times=None)
        document = await the.flatten()
        assert (document["state"], told(the, document, "DOGE")) == ("done", "dust")


def owed(the: Stage) -> dict[str, Decimal]:
    """What is owed in the wallet of borrowed money."""
    wallet = the.account.wallets.get(the.under_test.owing, {})
    return {name: balance.owed for name, balance in wallet.items() if balance.owed}


def unpaid(venue: VenueUnderTest) -> set[str]:
    """Coins that stay owed: short, where the venue's profile buys nothing."""
    return set() if venue.buys_debts else {"ETH"}


def all_slices(venue: VenueUnderTest) -> tuple[str, ...]:
    """With borrowed money."""
    return (*venue.slices, *venue.margin_slices)


@failure("borrowed")
async def test_borrowed_balances_are_paid_back_last(venue: VenueUnderTest, compress: Compress) -> None:
    """Sold first, the short covered, then paid back; nothing but the short's coin is bought."""
    compress(REFUSED_FOR_GOOD_AFTER_NS=200_000_000)
    async with stage(venue, MARGIN, slices=all_slices(venue), buys=True) as the:
        document = await the.flatten()
        assert document["state"] == "done"
        assert owed(the).keys() == unpaid(venue)
        assert {each["asset"] for each in document["balances"] if each.get("debt")} == unpaid(venue)
        assert {order.terms.market.base for order in trades(the, Side.BUY)} <= ({"ETH"} - unpaid(venue))
        held = {the.market(f"margin:{coin}/USDT").symbol for coin in ("BTC", "BNB")}
        intents = [seen.intent.value for seen in the.witness.requests]
        sales = [n for n, seen in enumerate(the.witness.requests) if seen.intent == "place" and held & seen.symbols]
        assert intents.index("repay") > max(sales)
        assert the.balance("BTC", venue.owing) == 0


@failure("borrowed")
@pytest.mark.parametrize("deed", NO_ANSWER)
@pytest.mark.parametrize("intent", ["repay", "place"])
async def test_ambiguous_repayments_and_purchases_are_not_repeated_blindly(
    venue: VenueUnderTest, deed: object, intent: str, compress: Compress
) -> None:
    """The debt itself shows what was paid; a purchase is looked up by its id."""
    compress(LATE_ARRIVAL_NS=LATE_NS, REFUSED_FOR_GOOD_AFTER_NS=200_000_000)
    async with stage(venue, MARGIN, slices=all_slices(venue), buys=True) as the:
        the.misbehave(deed, intent, product=venue.owing.value, times=2)
        document = await the.flatten()
        assert document["state"] == "done"
        assert owed(the).keys() == unpaid(venue)
        bought = sum((order.filled for order in trades(the, Side.BUY)), Decimal(0))
        assert bought <= Decimal("8.1"), "the short was covered more than once"


@failure("borrowed", "rejected_close")
async def test_a_debt_that_the_venue_will_not_take_back_is_named(venue: VenueUnderTest) -> None:
    """It is never called flat, and nothing is bought for it again and again."""
    async with stage(venue, MARGIN, slices=all_slices(venue), buys=True, deadline_s=1.0) as the:
        the.refuse("repays_too_much", "repay", times=None)
        document = await the.flatten()
        assert (document["state"], document["verdict"]) == ("done", "flat_with_residue")
        debts = {each["asset"]: each for each in document["balances"] if each.get("debt")}
        assert debts.keys() == owed(the).keys()
        assert len(trades(the, Side.BUY)) <= 3


@failure("borrowed")
async def test_close_all_leaves_debts_and_balances_and_lists_them(venue: VenueUnderTest) -> None:
    """Only orders and positions are its business."""
    async with stage(venue, MARGIN, slices=all_slices(venue)) as the:
        before = owed(the)
        document = await the.close_all()
        assert document["state"] == "done"
        assert owed(the) == before
        assert {each["asset"] for each in document["balances"] if each.get("debt")} == before.keys()
        assert the.count("repay") == 0


@failure("dust")
@pytest.mark.parametrize("number", [0, 1])
async def test_a_remainder_below_the_least_order_is_dust_by_its_worth(venue: VenueUnderTest, number: int) -> None:
    """Worth one dollar to five: the venue takes no order for it, its convert service is away."""
    coin, *amounts = venue.little
    async with stage(venue, holding({"USDT": "100", coin: amounts[number]})) as the:
        the.refuse_conversions()
        document = await the.flatten()
        assert (document["state"], told(the, document, coin)) == ("done", "dust")


@failure("dust")
async def test_what_is_worth_more_than_min_value_is_not_dust(venue: VenueUnderTest) -> None:
    """The venue's minimum is above the account's one dollar."""
    coin, _, amount = venue.little
    async with stage(venue, holding({"USDT": "100", coin: amount}), min_value="1") as the:
        the.refuse_conversions()
        document = await the.flatten()
        assert (document["state"], told(the, document, coin)) == ("done", "unsellable")


@failure("late_trigger", "held_by_orders")
async def test_resting_sales_that_trade_meanwhile_are_not_sold_again(venue: VenueUnderTest) -> None:
    """The market moves, and the order trades just before it would be cancelled."""
    book = AccountSeed(
        name="moving",
        balances=wealth(linear_USDT="1000", spot_USDT="100", spot_SOL="120"),
        orders=(resting(spot("SOL"), "-40", "1.04"),),
    )
    async with stage(venue, book, faults={"auto_borrow": True}) as the:
        the.just_before("cancel", partial(the.set, prices={"spot:SOL/USDT": "170"}), product="spot")
        await flattens(the)
        assert sold(the, "SOL") == 80


@failure("two_commands", "flatten_twice")
async def test_accounts_of_one_address_are_flattened_side_by_side(venue: VenueUnderTest) -> None:
    """Three at once."""
    books = [replace(COINS, name=f"coins{number}") for number in range(3)]
    async with stage(venue, *books) as the:
        commands = [await the.command(Action.FLATTEN, number) for number in range(3)]
        for command in commands:
            assert the.flat(await the.ending(command))
        assert all(the.empty(account) for account in the.sim.core.accounts.values())


def lag(the: Stage, product: Product, times: int) -> None:
    """The next reads show the wallet as it is now."""
    body = the.under_test.wallet_answer(the.sim.core, the.account, product)
    the.misbehave({"reshape": {"body": body}}, "balances", product=product.value, times=times)


@failure("borrowed", "stale_read")
@pytest.mark.parametrize("times", [1, 3])
async def test_a_wallet_that_lags_behind_a_purchase_or_a_repayment_does_nothing_twice(
    venue: VenueUnderTest, times: int, compress: Compress
) -> None:
    """The short is covered once, and no debt paid back that is none any more."""
    compress(REFUSED_FOR_GOOD_AFTER_NS=200_000_000)
    async with stage(venue, MARGIN, slices=all_slices(venue), buys=True) as the:
        if venue.buys_debts:
            the.just_before("place", partial(lag, the, venue.owing, times), market="margin:ETH/USDT")
        else:
            the.just_before("repay", partial(lag, the, venue.owing, times))
        document = await the.flatten()
        assert document["state"] == "done"
        assert owed(the).keys() == unpaid(venue)
        assert the.account.counters.repayments == 3 - len(unpaid(venue))
        assert sum((order.filled for order in trades(the, Side.BUY)), Decimal(0)) <= Decimal("8.1")


@failure("auto_borrow", "stale_read", "spot_unbounded")
@pytest.mark.parametrize("times", [1, 3])
async def test_a_wallet_that_lags_behind_a_sale_sells_nothing_twice(venue: VenueUnderTest, times: int) -> None:
    """The venue would lend what is not there."""
    book = plain(spot_USDT="1000", spot_BTC="0.8")
    async with stage(venue, book, faults={"auto_borrow": True}) as the:
        the.just_before("place", partial(lag, the, Product.SPOT, times), product="spot")
        await flattens(the)
        assert sold(the, "BTC") == Decimal("0.8")


@failure("auto_borrow", "timeout_after_execution", "flatten_twice")
async def test_an_ambiguous_sale_is_remembered_by_the_next_command(venue: VenueUnderTest, compress: Compress) -> None:
    """The first is given up while the sale is still on its way."""
    compress(LATE_ARRIVAL_NS=1_500_000_000)
    book = plain(spot_USDT="1000", spot_BTC="0.8")
    async with stage(venue, book, faults={"auto_borrow": True}) as the:
        the.misbehave({"delay_ms": 900}, "place", market="spot:BTC/USDT")
        command = await the.command(Action.FLATTEN)
        await the.until(lambda: the.count("place"))
        await asyncio.sleep(0.35)
        await the.abort(command)
        await flattens(the)
        assert sold(the, "BTC") == Decimal("0.8")


@failure("rejected_close")
async def test_a_coin_that_may_not_be_traded_is_named(venue: VenueUnderTest, compress: Compress) -> None:
    """The venue says so every time, in words without a cure; the others are sold."""
    compress(REFUSED_FOR_GOOD_AFTER_NS=200_000_000)
    async with stage(venue, COINS) as the:
        the.misbehave({"refuse": venue.words["not_permitted"]}, "place", market="spot:ETH/USDT", times=None)
        document = await the.flatten()
        assert (document["state"], document["verdict"]) == ("done", "flat_with_residue")
        assert told(the, document, "ETH") == "refused"
        assert [the.balance("BTC"), the.balance("SOL")] == [0, 0]


@failure("borrowed", "rejected_close")
async def test_a_repayment_that_is_never_clear_ends(venue: VenueUnderTest, compress: Compress) -> None:
    """A code that nobody knows may mean anything; the debt shows that it means no."""
    compress(REFUSED_FOR_GOOD_AFTER_NS=200_000_000, LATE_ARRIVAL_NS=LATE_NS)
    async with stage(venue, MARGIN, slices=all_slices(venue), buys=True) as the:
        the.misbehave({"refuse": venue.words["never_heard"]}, "repay", times=None)
        document = await the.flatten()
        assert (document["state"], document["verdict"]) == ("done", "flat_with_residue")
        debts = {each["asset"]: each["verdict"] for each in document["balances"] if each.get("debt")}
        assert debts.keys() == owed(the).keys()
        assert set(debts.values()) == {"refused"}


@failure("spot_maximum")
async def test_a_sale_that_is_too_large_in_the_words_for_too_small_is_halved(venue: VenueUnderTest) -> None:
    """One filter has a least and a greatest value, and one name."""
    async with stage(venue, COINS) as the:
        the.misbehave({"refuse": venue.words["too_small"]}, "place", market="spot:BTC/USDT", times=2)
        await flattens(the)
        assert sold(the, "BTC") == Decimal("0.8")


@failure("market_closed")
async def test_a_coin_whose_market_was_closed_when_markets_were_read_is_watched(venue: VenueUnderTest) -> None:
    """It is not called unsellable, and sold when the market opens."""
    symbols = [f"spot:ETH/{quote}" for quote in venue.quotes]
    closed: dict[str, object] = {"market_status": dict.fromkeys(symbols, "BREAK")}
    async with stage(venue, COINS, deadline_s=0.6, faults=closed) as the:
        command = await the.command(Action.FLATTEN)
        await the.incomplete(command, lambda said: told(the, said, "ETH") == "market_closed")
        await the.until(lambda: [the.balance("BTC"), the.balance("SOL")] == [0, 0])
        the.set(market_status=dict.fromkeys(symbols, "TRADING"))
        assert the.flat(await the.ending(command))
        assert the.balance("ETH") == 0
