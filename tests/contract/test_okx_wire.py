"""OKX's profile and its simulator, each built from the documentation alone, on one wire."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from node.domain.permission import Permission
from node.domain.snapshot import MarketKind, SliceSnapshot
from node.domain.steps import ClosePosition, Outcome, Refusal, SellSpot
from node.errors import VenueAnswerUnknown, VenueDenied, VenueLimited
from node.sim.okx import limits
from node.sim.orders import Book, Leg, OrderKind, OrderTerms, Origin, Side, TriggerTerms
from node.venues.ccxt_venue import CcxtVenue
from tests.support.venue_sim import Bench, bench, closes, order_ids, plan
from tests.support.waiting import until

ORDER = "/api/v5/trade/order"
ALGOS = "/api/v5/trade/orders-algo-pending"


@pytest.fixture
def roomy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The venue's two seconds are over in a moment: what is tested is not its budget."""
    monkeypatch.setattr(limits, "SECOND_S", 0.001)


def okx(scenario: str = "demo", **changes: Any) -> Any:
    """An account there."""
    return bench(scenario, venue="okx", **changes)


async def proofs(venue: CcxtVenue) -> list[SliceSnapshot]:
    """Of all slices, side by side as the engine reads them."""
    return list(await asyncio.gather(*(venue.read_proof(name) for name in venue.slices)))


async def close_everything(venue: CcxtVenue) -> list[SliceSnapshot]:
    """Rounds until nothing is left to plan; the proofs."""
    for _ in range(4):
        snapshots = await proofs(venue)
        steps = [step for snapshot in snapshots for step in plan(venue, snapshot)]
        if not steps:
            return snapshots
        await asyncio.gather(*(venue.execute(step) for step in steps))
    raise AssertionError("not flat after four rounds")


async def close_of(the: Bench, symbol: str = "BTC/USDT:USDT") -> ClosePosition:
    """A market order for one position."""
    snapshot = await the.venue.read_positions("linear")
    return closes(each for each in snapshot.positions if each.symbol == symbol)[0]


@pytest.mark.usefixtures("roomy")
@pytest.mark.parametrize("scenario", ["demo", "hedge", "basis", "empty"])
async def test_every_scenario_can_be_closed_and_proven(scenario: str) -> None:
    """Net and long/short mode, cross and isolated, both books of every slice, in contracts of all sizes."""
    async with okx(scenario) as the:
        for snapshot in await close_everything(the.venue):
            assert snapshot.causal
            assert (snapshot.positions, snapshot.orders) == ((), ())
        state = the.sim.state()["accounts"][scenario]
        assert (state["positions"], state["orders"], state["algo_orders"]) == ([], [], [])
        counters = state["counters"]
        assert (counters["exposure_increases"], counters["sign_flips"], counters["orders_refused"]) == (0, 0, 0)


@pytest.mark.usefixtures("roomy")
async def test_everything_is_read_as_the_venue_keeps_it() -> None:
    """Positions, orders and balances by the simulator's own books."""
    async with okx() as the:
        spot, linear, inverse = await proofs(the.venue)
        account = the.sim.account
        held = {each.market.symbol: each.quantity for each in account.open_positions()}
        shown = linear.positions + inverse.positions
        read = {each.market_id: each.contracts if each.side.value == "long" else -each.contracts for each in shown}
        assert read == held
        orders = {int(each.order_id) for part in (spot, linear, inverse) for each in part.orders or ()}
        assert orders == account.open_orders.keys()
        balances = {each.asset: each.total for each in spot.balances or ()}
        assert balances == {name: each.total for name, each in account.wallets["spot"].items() if each.total}
        assert (linear.balances, inverse.balances) == ((), ())


async def test_slices_that_are_read_together_share_their_lists() -> None:
    """Twenty lists of algo orders in two seconds is all there is: one proof of three slices takes seven."""
    async with okx() as the:
        for _ in range(2):
            await proofs(the.venue)
        asked = the.requests("GET", ALGOS)
        assert len(asked) == 14
        assert {entry.status for entry in asked} == {200}


@pytest.mark.usefixtures("roomy")
async def test_a_position_that_one_list_hides_is_shown_by_the_other() -> None:
    """The snapshot of account and positions."""
    async with okx() as the:
        the.sim.set_faults(hidden_slice={"slice": "linear:USDC"})
        with pytest.raises(VenueAnswerUnknown, match="BTC-USDC-SWAP"):
            await the.venue.read_proof("linear")
        assert (await the.venue.read_positions("linear", certain=True)).positions_doubtful


async def test_lists_go_on_beyond_their_first_page() -> None:
    """A hundred rows a page."""
    async with okx("empty", slices=("spot",)) as the:
        market = the.sim.core.listings["spot", "SOL-USDT"].market
        mark = the.sim.core.listing(market).mark
        for number in range(230):
            terms = OrderTerms(
                market=market,
                side=Side.BUY,
                kind=OrderKind.LIMIT,
                client_id=f"engine{number}",
                venue_type="limit",
                quantity=market.min_quantity,
                price=market.whole_ticks(mark * Decimal("0.95")),
                leg=Leg.NET,
                origin=Origin.ENGINE,
            )
            the.sim.core.place(the.sim.account, terms)
        snapshot = await the.venue.read_slice("spot")
        assert len(snapshot.orders or ()) == 230


async def test_what_was_cancelled_of_many_is_known_although_the_rest_was_too_much() -> None:
    """Twenty algo orders of an instrument in two seconds: of sixty, two batches of ten are taken."""
    async with okx("empty", slices=("linear",)) as the:
        market = the.sim.core.listings["linear", "SOL-USDT-SWAP"].market
        mark = the.sim.core.listing(market).mark
        for number in range(60):
            terms = OrderTerms(
                market=market,
                side=Side.BUY,
                kind=OrderKind.MARKET,
                client_id=f"engine{number}",
                venue_type="trigger",
                quantity=market.min_quantity,
                leg=Leg.NET,
                trigger=TriggerTerms(price=market.whole_ticks(mark * Decimal("1.1")), fires_at_or_above=True),
                book=Book.ALGO,
                origin=Origin.ENGINE,
            )
            the.sim.core.place(the.sim.account, terms)
        snapshot = await the.venue.read_slice("linear")
        (step,) = plan(the.venue, snapshot)
        result = await the.venue.execute(step)
        assert (result.outcome, result.refusal) == (Outcome.REFUSED, Refusal.RATE_LIMITED)
        left = {str(order_id) for order_id in the.sim.account.open_orders}
        assert result.gone == {each.order_id for each in snapshot.orders or ()} - left
        assert len(left) == 40


async def test_the_probe_shows_the_right_to_trade_without_touching_anything() -> None:
    """The venue looks for an order and finds none."""
    async with okx() as the:
        before = the.sim.state()["accounts"]["demo"]
        assert (await the.venue.probe()).outcome is Outcome.DONE
        assert the.sim.state()["accounts"]["demo"] == before
        the.sim.set_faults(key_rights={"demo": {"spot": False, "futures": False}})
        assert (await the.venue.probe()).refusal is Refusal.DENIED


@pytest.mark.parametrize(("scenario", "hedged"), [("demo", False), ("hedge", True)])
async def test_what_the_key_is_told_of(scenario: str, hedged: bool) -> None:
    """Kind of account, position mode and rights."""
    async with okx(scenario) as the:
        facts = the.venue.key_facts
        assert facts is not None
        assert (facts.account, facts.hedged, facts.may_trade, facts.may_withdraw) == ("futures", hedged, True, False)


async def test_an_account_of_another_kind_is_not_armed() -> None:
    """Debts make it a multi-currency account; the configuration does not say so."""
    async with okx("margin", armed=False) as the:
        with pytest.raises(VenueDenied, match="multi-currency"):
            await the.venue.arm()
    async with okx("margin", options={"account": "multi-currency"}) as the:
        assert the.venue.kind("spot") is MarketKind.MARGIN
        (snapshot,) = [await the.venue.read_slice("spot")]
        debts = {each.asset: each.debt for each in snapshot.balances or () if each.debt}
        owed = {name: each.owed for name, each in the.sim.account.wallets["spot"].items() if each.owed}
        assert debts == owed


def sale(price: str) -> SellSpot:
    """Half a bitcoin, at a price or not at all."""
    return SellSpot(
        slice="spot",
        symbol="BTC/USDT",
        market_id="BTC-USDT",
        asset="BTC",
        quantity=Decimal("0.5"),
        limit_price=Decimal(price),
        client_order_id=order_ids().client_order_id("spot", "BTC/USDT", "sale", 0),
    )


async def test_a_sale_on_spot_and_what_can_be_learnt_of_it() -> None:
    """Cash, immediate or cancel; a lost answer is resolved by the client id."""
    async with okx() as the:
        step = sale("60000")
        assert await the.venue.filled(step) is False
        the.misbehave("lose_after_execution", path=ORDER)
        assert (await the.venue.execute(step)).outcome is Outcome.AMBIGUOUS
        assert await the.venue.filled(step) is True
        the.misbehave("empty_200", method="GET", path=ORDER)
        assert await the.venue.filled(step) is None
        assert the.sim.account.counters.oversold == 0


async def test_orders_carry_the_time_until_which_the_venue_may_take_them() -> None:
    """One that was under way for longer is refused, and nothing is executed."""
    async with okx() as the:
        step = await close_of(the)
        the.sim.set_faults(clock_offset_ms=10_000)  # within the thirty seconds of a signature
        result = await the.venue.execute(step)
        assert (result.outcome, result.refusal) == (Outcome.REFUSED, Refusal.OTHER)
        assert the.requests("POST", ORDER)[-1].code == "50036"
        assert (await the.venue.execute(step)).outcome is Outcome.DONE, "our clock was measured again"


@pytest.mark.parametrize(
    ("reason", "refusal"),
    [
        ("reduce_only_rejected", Refusal.NOTHING_TO_REDUCE),
        ("reduce_only_conflict", Refusal.NOTHING_TO_REDUCE),
        ("counterparty_price", Refusal.PRICE_BAND),
        ("price_below_band", Refusal.PRICE_BAND),
        ("market_quantity_above_maximum", Refusal.QUANTITY),
        ("quantity_below_minimum", Refusal.TOO_SMALL),
        ("market_closed", Refusal.MARKET_CLOSED),
        ("insufficient_margin", Refusal.INSUFFICIENT),
        ("too_many_orders", Refusal.RATE_LIMITED),
        ("overloaded", Refusal.RATE_LIMITED),  # with 429, as documented
        ("key_denied", Refusal.DENIED),
        ("clock", Refusal.OTHER),
        ("unknown_symbol", Refusal.OTHER),
    ],
)
async def test_a_refusal_is_told_from_the_wire(reason: str, refusal: Refusal) -> None:
    """In the row or around it; nothing was executed."""
    async with okx() as the:
        step = await close_of(the)
        the.misbehave({"refuse": {"reason": reason}}, path=ORDER)
        result = await the.venue.execute(step)
        assert (result.outcome, result.refusal) == (Outcome.REFUSED, refusal)
        assert (await close_of(the)).contracts == step.contracts


@pytest.mark.parametrize("reason", ["status_unknown", "duplicate_client_id"])
async def test_a_refusal_that_proves_nothing_is_ambiguous(reason: str) -> None:
    """Timed out, or known already: an order may be there."""
    async with okx() as the:
        step = await close_of(the)
        the.misbehave({"refuse": {"reason": reason}}, path=ORDER)
        assert (await the.venue.execute(step)).outcome is Outcome.AMBIGUOUS


async def test_a_reduction_larger_than_its_position_is_refused_whole() -> None:
    """51112: never turned round, never cut."""
    async with okx() as the:
        step = await close_of(the)
        held = next(each for each in the.sim.account.open_positions() if each.market.symbol == step.market_id)
        held.quantity /= 5
        result = await the.venue.execute(step)
        assert (result.outcome, result.refusal) == (Outcome.REFUSED, Refusal.NOTHING_TO_REDUCE)
        assert held.quantity == step.contracts / 5


async def test_too_many_requests_name_no_time() -> None:
    """429 without Retry-After: an emergency goes on."""
    async with okx() as the:
        the.misbehave({"rate_limit": {"retry_after": 30}}, method="GET", path=ALGOS)
        with pytest.raises(VenueLimited) as raised:
            await the.venue.read_proof("linear")
        assert raised.value.retry_after_s is None
        assert (await the.venue.read_proof("linear")).positions != ()


@pytest.mark.usefixtures("roomy")
async def test_streams_tell_of_every_slice() -> None:
    """Orders, fills, conditional orders of both channels; with each the slice that it is about."""
    async with okx() as the:
        changes = the.venue.changes()
        first = asyncio.ensure_future(anext(changes))
        await until(lambda: all(the.venue.streaming(name) for name in the.venue.slices))
        told = {await first}
        linear = await the.venue.read_slice("linear")
        steps = [*plan(the.venue, linear), *plan(the.venue, await the.venue.read_slice("spot"))]
        await asyncio.gather(*(the.venue.execute(step) for step in steps))
        async with asyncio.timeout(5):
            while not told >= {"linear", "spot"}:
                told.add(await anext(changes))
        await changes.aclose()


async def test_a_cancel_only_account_closes_nothing() -> None:
    """The gate, against a venue that would have taken it."""
    async with okx(permission=Permission.CANCEL) as the:
        step = await close_of(the)
        assert (await the.venue.execute(step)).refusal is Refusal.PERMISSION
        assert the.requests("POST") == []
