"""Hyperliquid's profile against its simulator: two witnesses of one documentation, over TLS."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from node.domain.permission import Permission
from node.domain.snapshot import MarketKind, SliceSnapshot
from node.domain.steps import CancelOrders, ClosePosition, Outcome, Refusal, SellSpot
from node.errors import VenueAnswerUnknown, VenueDenied
from node.sim.hyperliquid import venue_state
from node.sim.hyperliquid.wallets import master_key
from node.sim.orders import Origin
from node.venues import markets
from node.venues.markets import MarketBook
from tests.contract.test_venue_streams import Listener, listening
from tests.support.venue_sim import Bench, bench, order_ids, plan

VENUE = "hyperliquid"
BTC = "BTC/USDC:USDC"


async def close_everything(the: Bench) -> list[SliceSnapshot]:
    """Rounds until nothing is left to plan; the proofs."""
    for _ in range(4):
        snapshots = [await the.venue.read_proof(name) for name in the.venue.slices]
        steps = [step for snapshot in snapshots for step in plan(the.venue, snapshot)]
        if not steps:
            return snapshots
        await asyncio.gather(*(the.venue.execute(step) for step in steps))
    raise AssertionError("not flat after four rounds")


async def close_of(the: Bench, symbol: str = BTC) -> ClosePosition:
    """One position, priced as the venue wants it."""
    snapshot = await the.venue.read_positions("linear")
    (position,) = (each for each in snapshot.positions if each.symbol == symbol)
    return ClosePosition(
        slice="linear",
        symbol=symbol,
        market_id=position.market_id,
        side=position.side,
        hedged=position.hedged,
        isolated=position.isolated,
        contracts=position.contracts,
        limit_price=position.mark_price * Decimal("0.95") if position.mark_price else None,
        client_order_id=order_ids().client_order_id("linear", symbol, "close", 0),
    )


def served_nobody_else(the: Bench) -> None:
    """No referrer, no builder, and nobody was approved to take a fee."""
    for account in the.sim.core.accounts.values():
        assert account.counters.forbidden == 0
    assert the.sim.handler.front_end.state.builders == {}  # type: ignore[attr-defined]
    sent = [entry.params.get("action", "") for entry in the.requests("POST", "/exchange")]
    assert not any("builder" in action or "eferrer" in action for action in sent)


@pytest.mark.parametrize("scenario", ["demo", "hedge", "basis", "residue", "empty"])
async def test_every_scenario_can_be_closed_and_proven(scenario: str) -> None:
    """Every dex and spot, orders and triggers; nothing was enlarged or turned round on the way."""
    async with bench(scenario, venue=VENUE) as the:
        for snapshot in await close_everything(the):
            assert snapshot.causal
            assert (snapshot.positions, snapshot.orders) == ((), ())
        state = the.sim.state()["accounts"][scenario]
        assert (state["positions"], state["orders"]) == ([], [])
        counters = state["counters"]
        assert (counters["exposure_increases"], counters["sign_flips"], counters["orders_refused"]) == (0, 0, 0)
        served_nobody_else(the)


async def test_everything_that_is_there_is_read_under_the_same_names() -> None:
    """Held against the simulator's own books: symbols, sizes, sides, orders, triggers, balances."""
    async with bench(venue=VENUE) as the:
        linear, spot = [await the.venue.read_proof(name) for name in ("linear", "spot")]
        account = the.sim.account
        held = {(each.market.symbol, each.quantity) for each in account.open_positions()}
        read = {
            (each.market_id.partition("=")[0], each.contracts * (1 if each.side.value == "long" else -1))
            for each in linear.positions
        }
        assert read == held
        assert {symbol.partition(":")[0] for symbol, _ in held if ":" in symbol} == {"xyz", "hyna"}
        orders = {str(order.order_id): order for order in account.open_orders.values()}
        listed = {each.order_id: each for part in (linear, spot) for each in part.orders or ()}
        assert listed.keys() == orders.keys()
        for number, order in orders.items():
            terms = order.terms
            assert listed[number].trigger is (terms.trigger is not None)
            assert listed[number].reduce_only is terms.only_reduces
            assert listed[number].side.value == terms.side.value
        wallet = {name: each.total for name, each in account.wallets["spot"].items() if each.total}
        assert {each.asset: each.free + each.locked for each in spot.balances or ()} == wallet


async def test_no_request_serves_anybody_else() -> None:
    """Closing, cancelling, selling, probing and reading: never a builder's fee, never a referrer."""
    async with bench(venue=VENUE) as the:
        await the.venue.probe()
        await the.venue.execute(await close_of(the))
        await the.venue.execute(sale(the, "60000"))
        await close_everything(the)
        kinds = {entry.params["type"] for entry in the.requests("POST", "/exchange")}
        assert kinds == {"order", "cancel"}
        served_nobody_else(the)


async def test_requests_arrive_at_the_venues_real_host_name() -> None:
    """Only the address is another."""
    async with bench(venue=VENUE) as the:
        assert {entry.host for entry in the.requests("POST")} == {"api.hyperliquid.xyz"}


async def test_the_key_is_known_for_what_it_is() -> None:
    """An API wallet trades and cannot withdraw; the account's own key can."""
    async with bench(venue=VENUE) as the:
        facts = the.venue.key_facts
        assert facts is not None
        assert (facts.may_trade, facts.may_withdraw) == (True, False)
    async with bench(venue=VENUE, armed=False) as the:
        owner: dict[str, Any] = dict(the.sim.credentials()) | {"privateKey": master_key("demo")}
    async with bench(venue=VENUE, credentials=owner) as the:
        assert the.venue.key_facts is not None
        assert the.venue.key_facts.may_withdraw is True


async def test_a_stranger_s_key_arms_nothing() -> None:
    """Its actions would be another account's."""
    async with bench(venue=VENUE, armed=False) as the:
        strange = dict(the.sim.credentials()) | {"privateKey": "0x" + "17" * 32}
    async with bench(venue=VENUE, armed=False, credentials=strange) as the:
        with pytest.raises(VenueDenied):
            await the.venue.arm()


async def test_the_probe_shows_the_right_to_trade_without_touching_anything() -> None:
    """The venue looks for an order and finds none; a revoked key is told so."""
    async with bench(venue=VENUE) as the:
        before = the.sim.state()["accounts"]["demo"]
        assert (await the.venue.probe()).outcome is Outcome.DONE
        assert the.sim.state()["accounts"]["demo"] == before
        the.sim.set_faults(revoke_key="demo")
        assert (await the.venue.probe()).refusal is Refusal.DENIED


def sale(the: Bench, price: str) -> SellSpot:
    """Half a bitcoin, at a price or not at all."""
    rule = the.venue.rules("spot")["BTC/USDC"]
    return SellSpot(
        slice="spot",
        symbol=rule.symbol,
        market_id=rule.market_id,
        asset="BTC",
        quantity=Decimal("0.5"),
        limit_price=Decimal(price),
        client_order_id=order_ids().client_order_id("spot", rule.symbol, "sale", 0),
    )


async def test_an_ambiguous_sale_is_resolved_by_its_client_id() -> None:
    """It reached the venue, or it certainly did not."""
    async with bench(venue=VENUE) as the:
        step = sale(the, "60000")
        assert await the.venue.filled(step) is False
        the.misbehave("lose_after_execution", path="/exchange")
        assert (await the.venue.execute(step)).outcome is Outcome.AMBIGUOUS
        assert await the.venue.filled(step) is True
        the.misbehave("empty_200", path="/info")
        assert await the.venue.filled(step) is None


async def test_a_sale_above_the_market_is_unfilled() -> None:
    """An order that must be filled at once, and could not."""
    async with bench(venue=VENUE) as the:
        result = await the.venue.execute(sale(the, "70000"))
        assert (result.outcome, result.refusal) == (Outcome.REFUSED, Refusal.UNFILLED)
        quotes = await the.venue.quotes(("BTC/USDC",))
        assert Decimal(64000) < quotes["BTC/USDC"].bid < quotes["BTC/USDC"].ask < Decimal(64100)


async def test_an_action_that_arrives_too_late_is_not_carried_out() -> None:
    """The expiry is part of what is signed: a request that lingers on the way is dead."""
    async with bench(venue=VENUE, request_timeout_s=5.0, options={"recvWindow": 1000}) as the:
        step = await close_of(the)
        the.misbehave({"delay_ms": 1300}, path="/exchange")
        result = await the.venue.execute(step)
        assert result.outcome is Outcome.REFUSED
        assert "expired" in (result.message or "")
        assert (await close_of(the)).contracts == step.contracts


def twap(the: Bench, coin: str, size: str, *, buys: bool = True, minutes: int = 30) -> int:
    """An order of the account's engine that the venue itself trades in parts."""
    state = the.sim.handler.front_end.state  # type: ignore[attr-defined]
    market = state.coin(coin).market
    wire = {"a": state.asset(market), "b": buys, "s": size, "r": False, "m": minutes, "t": False}
    return int(state.twaps.place(the.sim.account, {"twap": wire}, Origin.ENGINE)["running"]["twapId"])


async def test_a_twap_order_is_found_and_cancelled() -> None:
    """It is in no list of open orders, and would open a position again every half minute."""
    async with bench("empty", venue=VENUE) as the:
        numbers = [twap(the, "BTC", "1"), twap(the, "hyna:ETH", "2"), twap(the, "@1", "100")]
        found = [each for name in ("linear", "spot") for each in (await the.venue.read_proof(name)).orders or ()]
        assert [(each.order_id, each.trigger) for each in found] == [(f"twap-{number}", True) for number in numbers]
        await close_everything(the)
        assert the.sim.handler.front_end.state.twaps.running(the.sim.account) == []  # type: ignore[attr-defined]
        assert {entry.params["type"] for entry in the.requests("POST", "/exchange")} == {"twapCancel"}


async def test_a_twap_order_that_trades_is_undone() -> None:
    """Its first parts have opened a position before anybody looked."""
    async with bench("empty", venue=VENUE) as the:
        twap(the, "BTC", "0.3")
        the.sim.set_faults(clock_offset_ms=61_000)
        (position,) = (await the.venue.read_positions("linear")).positions
        assert position.contracts == Decimal("0.01")
        await close_everything(the)
        assert list(the.sim.account.open_positions()) == []


async def test_a_twap_order_that_is_gone_is_unknown() -> None:
    """As one that never was."""
    async with bench("empty", venue=VENUE) as the:
        rule = the.venue.rules("linear")[BTC]
        step = CancelOrders(slice="linear", symbol=BTC, market_id=rule.market_id, order_ids=("twap-1",), trigger=True)
        result = await the.venue.execute(step)
        assert (result.outcome, result.refusal) == (Outcome.REFUSED, Refusal.UNKNOWN_ORDER)


async def test_many_orders_are_cancelled_in_one_action_each_hundred() -> None:
    """And all of them are gone."""
    async with bench("empty", venue=VENUE) as the:
        seed_orders(the, 130)
        await close_everything(the)
        assert the.sim.account.open_orders == {}
        assert len(the.requests("POST", "/exchange")) == 2


def seed_orders(the: Bench, count: int) -> None:
    """Small bids far below the market."""
    from node.sim.orders import OrderKind, OrderTerms, Side

    market = the.sim.handler.front_end.state.coin("BTC").market  # type: ignore[attr-defined]
    for number in range(count):
        terms = OrderTerms(
            market=market,
            side=Side.BUY,
            kind=OrderKind.LIMIT,
            client_id=f"seed-{number}",
            venue_type="LIMIT",
            quantity=Decimal("0.001"),
            price=Decimal(30000 + number),
            origin=Origin.ENGINE,
        )
        the.sim.core.place(the.sim.account, terms)


async def quiet(listener: Listener) -> None:
    """What stands already is told as well."""
    while not await listener.silent(0.1):
        pass


async def test_the_stream_tells_of_orders_fills_and_twap_orders() -> None:
    """Each in its own slice; one connection for all."""
    async with bench(venue=VENUE) as the, listening(the.venue) as listener:
        assert await listener.take(2) == ["linear", "spot"]
        assert all(the.venue.streaming(name) for name in the.venue.slices)
        await quiet(listener)
        await the.venue.execute(await close_of(the))
        assert await listener.next() == "linear"
        await quiet(listener)
        await the.venue.execute(sale(the, "60000"))
        assert await listener.next() == "spot"
        await quiet(listener)
        twap(the, "@1", "100")
        assert await listener.next() == "spot"
        twap(the, "xyz:GOLD", "3")
        assert await listener.next() == "linear"
        (stream,) = the.requests("GET", "/ws")
        assert stream.host == "api.hyperliquid.xyz"


async def test_a_stream_that_is_cut_is_opened_again() -> None:
    """And its slices are named again."""
    async with bench(venue=VENUE) as the, listening(the.venue) as listener:
        await listener.take(2)
        await quiet(listener)
        the.sim.set_faults(streams={"cut": True})
        await listener.until("linear", "spot")


async def test_a_dex_that_is_newer_than_our_markets_is_noticed_read_and_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proof passes over it; markets are asked for again because of it, at most once a minute."""
    monkeypatch.setattr(venue_state, "UNDEPLOYED", frozenset({"hyna"}))
    async with bench("demo", venue=VENUE) as the:
        the.sim.handler.front_end.state.undeployed.clear()  # type: ignore[attr-defined]
        asked = len(market_lists(the))
        with pytest.raises(VenueAnswerUnknown, match="hyna:BTC"):
            await the.venue.read_proof("linear")
        assert len(market_lists(the)) == asked, "lists of less than a minute are not asked for again"
        monkeypatch.setattr(markets, "REFRESH_SOON_S", 0.0)
        with pytest.raises(VenueAnswerUnknown):
            await the.venue.read_proof("linear")
        await asyncio.gather(*the.pools.markets(the.options)._loading.values())
        await close_everything(the)
        assert list(the.sim.account.open_positions()) == []


async def test_a_market_that_is_newer_than_our_list_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A position in it cannot be closed by its name alone."""
    monkeypatch.setattr(markets, "REFRESH_SOON_S", 0.0)
    async with bench(venue=VENUE) as the:
        shelf = the.pools.markets(the.options)
        shelf.books[MarketKind.LINEAR] = MarketBook(
            rule for rule in shelf.books[MarketKind.LINEAR].by_symbol.values() if rule.symbol != BTC
        )
        step = await close_of(the, "BTC")
        result = await the.venue.execute(step)
        assert (result.outcome, result.sent_ns) == (Outcome.REFUSED, None)
        await asyncio.gather(*shelf._loading.values())
        assert (await the.venue.execute(await close_of(the))).outcome is Outcome.DONE


def market_lists(the: Bench) -> list[Any]:
    """Requests for markets."""
    return [entry for entry in the.requests("POST", "/info") if entry.params["type"] == "meta"]


async def test_a_cancel_only_account_closes_nothing() -> None:
    """Not even against a real venue."""
    async with bench(venue=VENUE, permission=Permission.CANCEL) as the:
        assert (await the.venue.execute(await close_of(the))).refusal is Refusal.PERMISSION
        assert the.requests("POST", "/exchange") == []
