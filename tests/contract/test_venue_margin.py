"""Cross margin: a wallet that can owe, on the spot markets."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from node.domain.snapshot import Balance, MarketKind, Side
from node.domain.steps import (
    BuyToRepay,
    CancelOrders,
    CancelSymbol,
    Outcome,
    Refusal,
    RepayDebt,
    SellSpot,
    Step,
    StepResult,
)
from node.errors import VenueError
from tests.support.venue import (
    Answer,
    answer,
    cancel_orders,
    cancel_symbol,
    close_position,
    error,
    recorded_venue,
    sell_spot,
)
from tests.support.venue_sim import Bench, bench, order_ids

FILLED = {"orderId": 28, "clientOrderId": "x", "status": "FILLED", "executedQty": "0.5", "isIsolated": False}


def repay(amount: str = "0.1", asset: str = "BTC") -> RepayDebt:
    """Giving back."""
    return RepayDebt(slice="margin", asset=asset, amount=Decimal(amount))


def buy(quantity: str = "0.1", price: str = "70000", base: str = "BTC", slice_name: str = "margin") -> BuyToRepay:
    """Buying what is owed."""
    return BuyToRepay(
        slice=slice_name,
        symbol=f"{base}/USDT",
        market_id=f"{base}USDT",
        asset=base,
        quantity=Decimal(quantity),
        limit_price=Decimal(price),
        client_order_id=order_ids().client_order_id("margin", f"{base}/USDT", "cover", 0),
    )


def sell(quantity: str, price: str, base: str = "BTC") -> SellSpot:
    """Selling what is held."""
    return SellSpot(
        slice="margin",
        symbol=f"{base}/USDT",
        market_id=f"{base}USDT",
        asset=base,
        quantity=Decimal(quantity),
        limit_price=Decimal(price),
        client_order_id=order_ids().client_order_id("margin", f"{base}/USDT", "sale", 0),
    )


async def executed(step: Step, given: Answer) -> StepResult:
    """What a step comes to when the venue answers so."""
    async with recorded_venue(slices=("spot", "linear", "margin")) as (venue, fetch):
        fetch.default = given
        return await venue.execute(step)


async def test_a_debt_is_what_was_borrowed_and_its_interest() -> None:
    """Beside what is held of the same coin."""
    rows = [
        {"asset": "BTC", "free": "0.5", "locked": "0.1", "borrowed": "0.2", "interest": "0.003", "netAsset": "0.397"},
        {"asset": "ETH", "free": "0", "locked": "0", "borrowed": "0", "interest": "0.00000001", "netAsset": "-1E-8"},
        {"asset": "BNB", "free": "0", "locked": "0", "borrowed": "0", "interest": "0", "netAsset": "0"},
    ]
    async with recorded_venue(slices=("margin",)) as (venue, fetch):
        fetch.empty(**{"/sapi/v1/margin/account": answer({"created": True, "userAssets": rows})})
        found = (await venue.read_proof("margin")).balances or ()
    assert [(each.asset, each.free, each.locked, each.debt) for each in found] == [
        ("BTC", Decimal("0.5"), Decimal("0.1"), Decimal("0.203")),
        ("ETH", Decimal(0), Decimal(0), Decimal("1E-8")),
    ]


async def test_orders_rest_in_one_book() -> None:
    """Stops among them; nothing in margin reduces only."""
    row = {
        "orderId": 7,
        "clientOrderId": "abc",
        "symbol": "BTCUSDT",
        "side": "SELL",
        "origQty": "0.3",
        "executedQty": "0.1",
        "isIsolated": False,
    }
    async with recorded_venue(slices=("margin",)) as (venue, fetch):
        fetch.empty(**{"/sapi/v1/margin/openOrders": answer([row])})
        (found,) = (await venue.read_slice("margin")).orders or ()
    assert (found.slice, found.symbol, found.order_id, found.side, found.remaining) == (
        "margin",
        "BTC/USDT",
        "7",
        Side.SELL,
        Decimal("0.2"),
    )
    assert not found.protective


async def test_an_account_that_does_not_exist_is_unread_and_not_empty() -> None:
    """Binance says so with -3003, of which no page says what it means for a read."""
    async with recorded_venue(slices=("margin",)) as (venue, fetch):
        fetch.default = error(-3003, "Margin account does not exist.")
        with pytest.raises(VenueError):
            await venue.read_proof("margin")


REFUSED: list[tuple[Step, int, str, Refusal]] = [
    (repay(), -3015, "Repay amount exceeds borrow amount.", Refusal.OTHER),
    (repay(), -3041, "Balance is not enough", Refusal.INSUFFICIENT),
    (repay(), -3016, "Repay amount less than minimum repay amount.", Refusal.TOO_SMALL),
    (repay(), -3007, "You have pending transaction, please try again later.", Refusal.OVERLOADED),
    (repay(), -3027, "Not a valid margin asset.", Refusal.OTHER),
    (repay(), -2015, "Invalid API-key, IP, or permissions for action.", Refusal.DENIED),
    (buy(), -3021, "Margin account are not allowed to trade this trading pair.", Refusal.OTHER),
    (buy(), -3022, "You account's trading is banned.", Refusal.DENIED),
    (buy(), -2010, "Account has insufficient balance for requested action.", Refusal.INSUFFICIENT),
    (buy(), -1013, "Filter failure: NOTIONAL", Refusal.TOO_SMALL),
    (buy(), -1013, "Filter failure: PERCENT_PRICE_BY_SIDE", Refusal.PRICE_BAND),
    (cancel_orders("1", slice_name="margin"), -2011, "Unknown order sent.", Refusal.UNKNOWN_ORDER),
]


@pytest.mark.parametrize(("step", "code", "message", "refusal"), REFUSED, ids=lambda value: str(value)[:24])
async def test_the_margin_apis_certain_words_are_refusals(
    step: Step, code: int, message: str, refusal: Refusal
) -> None:
    """By its own table."""
    result = await executed(step, error(code, message))
    assert (result.outcome, result.refusal) == (Outcome.REFUSED, refusal)


@pytest.mark.parametrize(
    ("step", "given"),
    [
        (repay(), error(-3044, "System busy.")),
        (repay(), error(-3000, "Internal server error.")),
        (repay(), error(-3067, "?")),
        (buy(), error(-11015, "?")),
        (repay(), error(-3015, "Repay amount exceeds borrow amount.", 500)),
        (repay(), answer({})),
        (repay(), answer({"tranId": None})),
        (repay(), answer({"tranId": True})),
        (repay(), answer([{"tranId": 1}])),
        (repay(), answer({"orderId": 5})),
        (buy(), answer({"tranId": 5})),
    ],
)
async def test_what_is_not_certain_is_ambiguous(step: Step, given: Answer) -> None:
    """Numbers that no page lists are nothing that is known."""
    assert (await executed(step, given)).outcome is Outcome.AMBIGUOUS


async def test_a_number_of_the_futures_venues_means_nothing_here() -> None:
    """-4005 is there a quantity that is too large; under /sapi it counts requests."""
    futures = await executed(close_position(), error(-4005, "Quantity greater than max quantity."))
    assert futures.refusal is Refusal.QUANTITY
    margin = await executed(buy(), error(-4005, "Too many new requests."))
    assert margin.refusal is not Refusal.QUANTITY


@pytest.mark.parametrize(
    ("step", "given"),
    [
        (repay(), answer({"tranId": 100000001})),
        (buy(), answer(FILLED)),
        (sell_spot(slice="margin"), answer(FILLED)),
        (cancel_orders("28", slice_name="margin"), answer({**FILLED, "status": "CANCELED"})),
        (cancel_symbol("margin"), answer([{"orderId": 11, "isIsolated": False}, {"orderListId": 4}])),
        (cancel_symbol("margin"), error(-2011, "Unknown order sent.")),
    ],
)
async def test_done_needs_the_venues_own_word(step: Step, given: Answer) -> None:
    """A transaction id, an order id, or that there was nothing to cancel."""
    assert (await executed(step, given)).outcome is Outcome.DONE


async def test_a_purchase_that_expired_unfilled_needs_a_wider_price() -> None:
    """As a sale does."""
    result = await executed(buy(), answer({**FILLED, "status": "EXPIRED", "executedQty": "0"}))
    assert (result.outcome, result.refusal) == (Outcome.REFUSED, Refusal.UNFILLED)


@pytest.mark.parametrize(
    "step",
    [
        repay("0"),
        repay("-1"),
        repay("0E-8"),
        buy("0"),
        buy(slice_name="spot"),
        RepayDebt(slice="spot", asset="BTC", amount=Decimal(1)),
        close_position(slice="margin"),
        close_position(slice="spot"),
        sell_spot(slice="linear"),
        sell_spot(quantity=Decimal(0)),
        close_position(contracts=Decimal(0)),
        cancel_orders(slice_name="margin"),
    ],
    ids=lambda step: f"{type(step).__name__}-{step.slice}",
)
async def test_a_step_of_nothing_or_of_another_wallet_is_refused_and_not_sent(step: Step) -> None:
    """A repayment of zero might be taken for one of everything; a purchase on spot would open a position."""
    async with recorded_venue(slices=("spot", "linear", "margin")) as (venue, fetch):
        result = await venue.execute(step)
        assert (result.outcome, result.refusal, result.sent_ns) == (Outcome.REFUSED, Refusal.OTHER, None)
        assert "not sent" in (result.message or "")
        assert fetch.sent == []


@pytest.mark.parametrize(
    ("slices", "named"),
    [
        (("spot", "linear", "inverse"), ("margin", "isolated margin")),
        (("spot", "linear", "inverse", "margin"), ("isolated margin",)),  # one right opens both
    ],
)
async def test_margin_is_read_only_where_it_is_named(slices: tuple[str, ...], named: tuple[str, ...]) -> None:
    """Otherwise a key that opens it says so."""
    async with bench("margin", slices=slices) as the:
        assert the.venue.not_covered == named
    async with recorded_venue() as (venue, _):
        assert "margin" not in venue.slices


async def balances(the: Bench) -> dict[str, Balance]:
    """By coin."""
    snapshot = await the.venue.read_proof("margin")
    return {each.asset: each for each in snapshot.balances or ()}


def sides(the: Bench) -> list[Any]:
    """Side effects of the orders that arrived."""
    return [entry.params.get("sideEffectType") for entry in the.requests("POST", "/sapi/v1/margin/order")]


async def test_a_margin_account_can_be_cleared_over_the_wire() -> None:
    """Orders, then sales, then what is owed, bought where it is missing; nothing is borrowed on the way."""
    async with bench("margin", slices=("margin",)) as the:
        venue = the.venue
        assert venue.rules("margin")["BTC/USDT"].kind is MarketKind.SPOT
        (resting,) = (await venue.read_proof("margin")).orders or ()
        named = {"slice": "margin", "symbol": resting.symbol, "market_id": resting.market_id}
        cancel = CancelOrders(**named, order_ids=(resting.order_id,), trigger=False)
        assert (await venue.execute(cancel)).outcome is Outcome.DONE
        assert (await venue.execute(cancel)).refusal is Refusal.UNKNOWN_ORDER
        assert (await venue.execute(CancelSymbol(**named, trigger=False, seen=1))).outcome is Outcome.DONE

        held = await balances(the)
        assert [str(held["BNB"].debt), str(held["ETH"].debt)] == ["4.00000000", "8.00210000"]
        quotes = await venue.quotes(["BTC/USDT", "ETH/USDT"])
        sale = sell("1.5", str(quotes["BTC/USDT"].bid * Decimal("0.98")).split(".")[0])
        assert (await venue.execute(sale)).outcome is Outcome.DONE
        assert await venue.filled(sale) is True
        cover = buy("8.02", str(quotes["ETH/USDT"].ask * Decimal("1.02")).split(".")[0], "ETH")
        assert await venue.filled(cover) is False
        assert (await venue.execute(cover)).outcome is Outcome.DONE
        for asset, debt in (("BNB", "4"), ("ETH", "8.0021"), ("USDT", "40000")):
            assert (await venue.execute(repay(debt, asset))).outcome is Outcome.DONE
        assert all(each.debt == 0 for each in (await balances(the)).values())
        assert set(sides(the)) == {"NO_SIDE_EFFECT"}


async def test_what_a_repayment_cannot_be_is_refused_by_name() -> None:
    """More than is owed, and more than there is."""
    async with bench("margin", slices=("margin",)) as the:
        too_much = await the.venue.execute(repay("5", "BNB"))
        assert (too_much.outcome, too_much.refusal) == (Outcome.REFUSED, Refusal.OTHER)
        missing = await the.venue.execute(repay("8", "ETH"))
        assert (missing.outcome, missing.refusal) == (Outcome.REFUSED, Refusal.INSUFFICIENT)


@pytest.mark.parametrize("deed", ["lose_after_execution", "empty_200", "html_200", "truncated_body"])
async def test_a_repayment_without_a_good_answer_is_ambiguous_and_made_once(deed: str) -> None:
    """The debt tells."""
    async with bench("margin", slices=("margin",)) as the:
        the.misbehave(deed, path="/sapi/v1/margin/borrow-repay")
        assert (await the.venue.execute(repay("1.5", "BNB"))).outcome is Outcome.AMBIGUOUS
        assert len(the.requests("POST", "/sapi")) == 1
        assert (await balances(the))["BNB"].debt == Decimal("2.5")


async def test_the_probe_of_a_margin_account_looks_there() -> None:
    """Where it has nothing else."""
    async with bench("margin", slices=("margin",)) as the:
        assert (await the.venue.probe()).outcome is Outcome.DONE
        (arrival,) = the.requests("DELETE")
        assert arrival.path == "/sapi/v1/margin/order"
