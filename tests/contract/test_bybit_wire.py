"""Bybit's profile against its simulator, over TLS: two readings of the documentation that have to agree."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest

from node.domain.permission import Permission
from node.domain.snapshot import SliceSnapshot
from node.domain.steps import (
    CancelOrders,
    ClosePosition,
    ConvertAsset,
    Outcome,
    Refusal,
    RepayDebt,
    SellSpot,
    Step,
    StepResult,
)
from node.errors import VenueAnswerUnknown, VenueDenied, VenueError
from node.sim.market import Product
from node.sim.orders import Leg, OrderKind, OrderTerms, Origin, Side
from tests.support.venue_sim import Bench, bench, closes, order_ids, plan
from tests.support.waiting import PATIENCE_S

SLICES = ("spot", "linear", "inverse")
BTC = "BTC/USDT:USDT"


async def carry_out(the: Bench, steps: list[Step]) -> list[StepResult]:
    """Ten at a time, a second apart: an account may not do more at one endpoint."""
    results: list[StepResult] = []
    for start in range(0, len(steps), 10):
        results += await asyncio.gather(*(the.venue.execute(step) for step in steps[start : start + 10]))
        if start + 10 < len(steps):
            await asyncio.sleep(1.05)
    return results


async def close_everything(the: Bench) -> list[SliceSnapshot]:
    """Rounds until nothing is left to plan; the proofs."""
    for _ in range(4):
        snapshots = [await the.venue.read_proof(name) for name in the.venue.slices]
        steps = [step for snapshot in snapshots for step in plan(the.venue, snapshot)]
        if not steps:
            return snapshots
        results = await carry_out(the, steps)
        assert {each.outcome for each in results} == {Outcome.DONE}, [each.message for each in results]
    raise AssertionError("not flat after four rounds")


async def close_of(the: Bench, symbol: str = BTC) -> ClosePosition:
    """A market order for one position."""
    snapshot = await the.venue.read_positions("linear")
    (step,) = closes(each for each in snapshot.positions if each.symbol == symbol)
    return step


async def held(the: Bench, symbol: str = BTC) -> list[Decimal]:
    """Contracts by the venue's own account."""
    return [each.contracts for each in (await the.venue.read_positions("linear")).positions if each.symbol == symbol]


@pytest.mark.parametrize("scenario", ["demo", "hedge", "basis", "empty"])
async def test_every_scenario_can_be_closed_and_proven(scenario: str) -> None:
    """One-way and hedge mode, all slices, active and conditional orders; nothing was enlarged or turned round."""
    async with bench(scenario, venue="bybit") as the:
        for snapshot in await close_everything(the):
            assert snapshot.causal
            assert (snapshot.positions, snapshot.orders) == ((), ())
        state = the.sim.state()["accounts"][scenario]
        assert (state["positions"], state["orders"]) == ([], [])
        counters = state["counters"]
        assert (counters["exposure_increases"], counters["sign_flips"], counters["orders_refused"]) == (0, 0, 0)


async def test_what_is_read_is_what_is_there() -> None:
    """Positions, orders of both kinds and coins, of every slice and settle coin."""
    async with bench(venue="bybit") as the:
        account, shown = the.sim.account, [await the.venue.read_proof(name) for name in SLICES]
        positions = {
            (each.market_id, each.contracts if each.side.value == "long" else -each.contracts)
            for snapshot in shown
            for each in snapshot.positions
        }
        assert positions == {(each.market.symbol, each.quantity) for each in account.open_positions()}
        orders = {
            (each.market_id, each.trigger, each.protective) for snapshot in shown for each in snapshot.orders or ()
        }
        assert orders == {
            (each.terms.market.symbol, each.waits_for_trigger, each.terms.only_reduces)
            for each in account.open_orders.values()
        }
        assert sum(len(snapshot.orders or ()) for snapshot in shown) == len(account.open_orders)
        coins = {each.asset: (each.free, each.locked, each.debt) for each in shown[0].balances or ()}
        assert coins == {
            name: (each.free, each.locked, each.owed)
            for name, each in account.wallets["spot"].items()
            if each.total or each.owed
        }
        assert [snapshot.balances for snapshot in shown[1:]] == [(), ()]


async def test_rules_are_the_venues_own() -> None:
    """Steps, least and largest sizes of every market; one that is being settled is listed, and closed."""
    async with bench(venue="bybit") as the:
        for name in SLICES:
            rules = {each.market_id: each for each in the.venue.rules(name).values()}
            listings = [each for (product, _), each in the.sim.core.listings.items() if product == name]
            assert rules.keys() == {each.market.symbol for each in listings}
            for market in (each.market for each in listings):
                rule = rules[market.symbol]
                assert (rule.quantity_step, rule.price_tick) == (market.step, market.tick), market.symbol
                assert rule.market_quantity_max == market.max_market_quantity
                assert (rule.notional_min or 0) == market.min_notional
        settling = the.venue.rules("linear")["BCH/USDT:USDT"]
        assert not settling.trading


async def test_a_drills_plan_closes_everything_and_places_nothing() -> None:
    """What a close would do, from a read of all at once."""
    async with bench(venue="bybit") as the:
        steps = [step for name in SLICES for step in plan(the.venue, await the.venue.read_slice(name))]
        closing = {(each.market_id, each.side.value) for each in steps if isinstance(each, ClosePosition)}
        legs = {
            (each.market.symbol, "long" if each.quantity > 0 else "short") for each in the.sim.account.open_positions()
        }
        assert closing == legs
        assert the.requests("POST") == []


async def test_the_key_and_its_account_are_told() -> None:
    """A unified account; a key that may trade, not withdraw, and is bound to an address."""
    async with bench(venue="bybit") as the:
        facts = the.venue.key_facts
        assert facts is not None
        assert (facts.may_trade, facts.may_withdraw, facts.bound_to_addresses) == (True, False, True)
        assert facts.account == "unified"
        assert the.venue.not_covered == ()


async def test_a_key_that_opens_options_says_so_in_every_result() -> None:
    """They are no slice."""
    async with bench(venue="bybit", armed=False) as the:
        the.sim.set_faults(key_rights={"demo": {"options": True, "withdrawals": True, "ip_restricted": False}})
        await the.venue.arm()
        facts = the.venue.key_facts
        assert facts is not None
        assert (facts.may_withdraw, facts.bound_to_addresses) == (True, False)
        assert the.venue.not_covered == ("options",)


async def test_the_probe_shows_the_right_to_trade_without_touching_anything() -> None:
    """The venue looks for an order and finds none; without the right it does not look."""
    async with bench(venue="bybit") as the:
        before = the.sim.state()["accounts"]["demo"]
        assert (await the.venue.probe()).outcome is Outcome.DONE
        assert the.sim.state()["accounts"]["demo"] == before
        the.sim.set_faults(key_rights={"demo": {"futures": False}})
        assert (await the.venue.probe()).refusal is Refusal.DENIED
        the.sim.set_faults(revoke_key="demo")
        with pytest.raises(VenueDenied):
            await the.venue.read_positions("linear")


@pytest.mark.parametrize(
    "deed",
    [
        "lose_after_execution",
        "empty_200",
        "html_200",
        "truncated_body",
        {"status_after_execution": 502},
        "timeout_after_execution",
        {"refuse_after_execution": {"reason": "status_unknown"}},
    ],
    ids=str,
)
async def test_an_order_that_was_executed_without_a_good_answer_is_ambiguous_and_not_repeated(deed: object) -> None:
    """The position tells; a second order might have opened another."""
    async with bench(venue="bybit", request_timeout_s=0.5) as the:
        step = await close_of(the)
        the.misbehave(deed, path="/v5/order/create")
        result = await the.venue.execute(step)
        assert (result.outcome, result.refusal) == (Outcome.AMBIGUOUS, None)
        assert len(the.requests("POST")) == 1
        assert await held(the) == []


@pytest.mark.parametrize(
    ("reason", "refusal"),
    [
        ("reduce_only_rejected", Refusal.NOTHING_TO_REDUCE),
        ("reduce_only_conflict", Refusal.NOTHING_TO_REDUCE),
        ("price_below_band", Refusal.PRICE_BAND),
        ("counterparty_price", Refusal.PRICE_BAND),
        ("market_quantity_above_maximum", Refusal.QUANTITY),
        ("quantity_below_minimum", Refusal.TOO_SMALL),
        ("notional_below_minimum", Refusal.TOO_SMALL),
        ("market_closed", Refusal.MARKET_CLOSED),
        ("insufficient_margin", Refusal.INSUFFICIENT),
        ("too_many_orders", Refusal.RATE_LIMITED),
        ("key_denied", Refusal.DENIED),
        ("unknown_order", Refusal.UNKNOWN_ORDER),
        ("clock", Refusal.OTHER),
        ("unknown_symbol", Refusal.OTHER),
        ("position_side_mismatch", Refusal.OTHER),
    ],
)
async def test_a_refusal_is_told_from_the_wire(reason: str, refusal: Refusal) -> None:
    """Nothing was executed, and the next plan knows why."""
    async with bench(venue="bybit") as the:
        step = await close_of(the)
        the.misbehave({"refuse": {"reason": reason}}, path="/v5/order/create")
        result = await the.venue.execute(step)
        assert (result.outcome, result.refusal) == (Outcome.REFUSED, refusal), result.message
        assert await held(the) == [step.contracts]


async def test_an_order_outside_the_band_is_acknowledged_and_ends_without_a_word() -> None:
    """The acknowledgement says nothing of it: what is left is read."""
    async with bench(venue="bybit") as the:
        step = await close_of(the)
        the.misbehave("percent_price_refusal", path="/v5/order/create")
        result = await the.venue.execute(step)
        assert (result.outcome, result.filled) == (Outcome.DONE, None)
        assert await held(the) == [step.contracts]


async def test_a_clock_that_jumps_costs_one_refusal() -> None:
    """10002 has it measured again before the step's result is there."""
    async with bench(venue="bybit") as the:
        step = await close_of(the)
        the.sim.set_faults(clock_offset_ms=-90_000)
        first = await the.venue.execute(step)
        assert (first.outcome, first.refusal) == (Outcome.REFUSED, Refusal.OTHER)
        assert (await the.venue.execute(step)).outcome is Outcome.DONE


async def test_too_many_orders_close_only_the_endpoint_and_a_ban_the_address() -> None:
    """10006 comes with HTTP 200; an address that has sent too much gets a bare 403."""
    async with bench(venue="bybit") as the:
        step = await close_of(the)
        the.misbehave({"rate_limit": {"retry_after": 1}}, path="/v5/order/create")
        first = await the.venue.execute(step)
        assert (first.refusal, first.retry_after_s) == (Refusal.RATE_LIMITED, 1.0)
        assert await held(the) == [step.contracts]
        the.misbehave({"ban_418": {"retry_after": 30}}, method="GET", path="/v5/position")
        with pytest.raises(VenueError):
            await the.venue.read_positions("linear")
        arrived = len(the.sim.journal.entries())
        with pytest.raises(VenueError):
            await the.venue.read_proof("inverse")
        assert len(the.sim.journal.entries()) == arrived


async def test_a_slice_that_lists_leave_out_is_not_proven() -> None:
    """The wallet shows an unrealised profit in the coin that the hidden contract settles in."""
    async with bench(venue="bybit") as the:
        the.sim.set_faults(hidden_slice={"slice": "linear:USDC"})
        with pytest.raises(VenueAnswerUnknown, match="USDC"):
            await the.venue.read_proof("linear")


async def test_orders_on_later_pages_are_read_and_cancelled() -> None:
    """Fifty a page, newest first."""
    async with bench("empty", venue="bybit") as the:
        core, account = the.sim.core, the.sim.account
        market = next(each.market for each in core.listings.values() if each.market.symbol == "ETHUSDT")
        for number in range(120):
            terms = OrderTerms(
                market=market,
                side=Side.BUY,
                kind=OrderKind.LIMIT,
                client_id=f"engine-{number}",
                venue_type="",
                quantity=Decimal("0.01"),
                price=Decimal(3000 - number),
                leg=Leg.NET,
                origin=Origin.ENGINE,
            )
            core.place(account, terms)
        name = "spot" if market.product is Product.SPOT else "linear"
        snapshot = await the.venue.read_proof(name)
        assert len(snapshot.orders or ()) == 120
        the.sim.set_faults(enforce_limits=False)
        await asyncio.gather(*(the.venue.execute(step) for step in plan(the.venue, snapshot)))
        assert account.open_orders == {}


def sale(price: str, quantity: str = "0.5") -> SellSpot:
    """Half a bitcoin, at a price or not at all."""
    return SellSpot(
        slice="spot",
        symbol="BTC/USDT",
        market_id="BTCUSDT",
        asset="BTC",
        quantity=Decimal(quantity),
        limit_price=Decimal(price),
        client_order_id=order_ids().client_order_id("spot", "BTC/USDT", "sale", 0),
    )


async def test_a_sale_is_carried_out_and_can_be_looked_up_by_its_client_id() -> None:
    """Also where its answer was lost; one that never arrived is known not to be there."""
    async with bench("basis", venue="bybit") as the:
        before, step = the.sim.account.balance(Product.SPOT, "BTC").free, sale("62000")
        assert await the.venue.filled(step) is False
        the.misbehave("lose_after_execution", path="/v5/order/create")
        assert (await the.venue.execute(step)).outcome is Outcome.AMBIGUOUS
        assert await the.venue.filled(step) is True
        assert the.sim.account.balance(Product.SPOT, "BTC").free == before - Decimal("0.5")
        the.misbehave("empty_200", method="GET", path="/v5/order/realtime")
        assert await the.venue.filled(step) is None
        assert the.sim.account.counters.borrows == 0


async def test_a_sale_of_more_than_is_held_is_refused_whatever_the_account_may_borrow() -> None:
    """isLeverage is 0."""
    async with bench("basis", venue="bybit") as the:
        result = await the.venue.execute(sale("62000", "400"))
        assert result.outcome is Outcome.REFUSED
        assert result.refusal in (Refusal.INSUFFICIENT, Refusal.QUANTITY)
        assert the.sim.account.counters.orders_placed == 0


async def test_quotes_conversions_and_repayments() -> None:
    """Best prices; dust that is converted; a debt that is given back from what is held."""
    async with bench("demo", venue="bybit") as the:
        quotes = await the.venue.quotes(["BTC/USDT", "WAN/BTC"])
        assert set(quotes) == {"BTC/USDT", "WAN/BTC"}
        assert 0 < quotes["BTC/USDT"].bid < quotes["BTC/USDT"].ask
        dust = ConvertAsset(
            slice="spot", asset="DOGE", into="USDT", quantity=Decimal("3.4"), least_received=Decimal("0.3")
        )
        assert (await the.venue.execute(dust)).outcome is Outcome.DONE
        assert the.sim.account.balance(Product.SPOT, "DOGE").total == 0
    async with bench("margin", venue="bybit") as the:
        repaid = await the.venue.execute(RepayDebt(slice="spot", asset="BNB", amount=Decimal(4)))
        assert repaid.outcome is Outcome.DONE
        assert the.sim.account.balance(Product.SPOT, "BNB").owed == 0
        await asyncio.sleep(1.05)  # one a second
        again = await the.venue.execute(RepayDebt(slice="spot", asset="BNB", amount=Decimal(4)))
        assert (again.outcome, again.refusal) == (Outcome.REFUSED, Refusal.OTHER)


async def told(changes: AsyncIterator[str], name: str) -> None:
    """Until a slice is named."""
    async with asyncio.timeout(PATIENCE_S):
        async for each in changes:
            if each == name:
                return


@pytest.mark.parametrize(("symbol", "name"), [("BTCUSDT", "linear"), ("BTCUSD", "inverse")])
async def test_the_stream_tells_of_orders_and_positions(symbol: str, name: str) -> None:
    """One connection for every slice, after its login."""
    async with bench("empty", venue="bybit") as the:
        core, account = the.sim.core, the.sim.account
        changes: Any = the.venue.changes()
        waiting = asyncio.create_task(told(changes, name))
        async with asyncio.timeout(PATIENCE_S):
            while not the.venue.streaming(name):  # noqa: ASYNC110 - a connection of another task's
                await asyncio.sleep(0.005)
        await waiting  # connected is a hint in itself
        waiting = asyncio.create_task(told(changes, name))
        market = core.listings[Product(name), symbol].market
        terms = OrderTerms(
            market=market,
            side=Side.BUY,
            kind=OrderKind.MARKET,
            client_id="engine-1",
            venue_type="",
            quantity=market.min_quantity * 10,
            leg=Leg.NET,
            origin=Origin.ENGINE,
        )
        core.place(account, terms)
        await waiting
        await changes.aclose()


async def test_a_cancel_only_account_cancels_and_closes_nothing() -> None:
    """Not even against a real venue."""
    async with bench(venue="bybit", permission=Permission.CANCEL) as the:
        assert (await the.venue.execute(await close_of(the))).refusal is Refusal.PERMISSION
        assert the.requests("POST") == []
        order = (await the.venue.read_proof("spot")).orders
        assert order
        step = CancelOrders(
            slice="spot",
            symbol=order[0].symbol,
            market_id=order[0].market_id,
            order_ids=(order[0].order_id,),
            trigger=False,
        )
        assert (await the.venue.execute(step)).outcome is Outcome.DONE
        assert (await the.venue.read_proof("spot")).orders == ()
