"""The whole venue layer against the simulator: over TLS, with everything that goes wrong on a wire."""

from __future__ import annotations

import asyncio
import socket
import time
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from node.domain.permission import Permission
from node.domain.snapshot import SliceSnapshot
from node.domain.steps import CancelOrders, ClosePosition, Outcome, Refusal, SellSpot
from node.errors import VenueDenied, VenueError, VenueLimited, VenueUnavailable
from node.venues import ccxt_client, markets
from node.venues.ccxt_venue import CcxtVenue
from node.venues.options import VenueOptions
from node.venues.pool import TLS_READ_BYTES, Pools
from node.venues.profiles.binance.profile import BinanceProfile
from tests.support.venue_sim import Bench, bench, closes, order_ids, plan


async def close_of(the: Bench, symbol: str = "BTC/USDT:USDT") -> ClosePosition:
    """A market order for one position."""
    snapshot = await the.venue.read_positions("linear")
    (step,) = closes(each for each in snapshot.positions if each.symbol == symbol)
    return step


async def held(the: Bench, symbol: str = "BTC/USDT:USDT") -> list[Decimal]:
    """Contracts by the venue's own account."""
    return [each.contracts for each in (await the.venue.read_positions("linear")).positions if each.symbol == symbol]


async def close_everything(venue: CcxtVenue) -> list[SliceSnapshot]:
    """Rounds until nothing is left to plan; the proofs."""
    for _ in range(4):
        snapshots = [await venue.read_proof(name) for name in venue.slices]
        steps = [step for snapshot in snapshots for step in plan(venue, snapshot)]
        if not steps:
            return snapshots
        await asyncio.gather(*(venue.execute(step) for step in steps))
    raise AssertionError("not flat after four rounds")


@pytest.mark.parametrize("scenario", ["demo", "hedge", "basis", "empty"])
async def test_every_scenario_can_be_closed_and_proven(scenario: str) -> None:
    """One-way and hedge mode, all slices, both books; nothing was enlarged or turned around on the way."""
    async with bench(scenario) as the:
        for snapshot in await close_everything(the.venue):
            assert snapshot.causal
            assert (snapshot.positions, snapshot.orders) == ((), ())
        state = the.sim.state()["accounts"][scenario]
        assert (state["positions"], state["orders"], state["algo_orders"]) == ([], [], [])
        counters = state["counters"]
        assert (counters["exposure_increases"], counters["sign_flips"], counters["orders_refused"]) == (0, 0, 0)


async def test_requests_arrive_at_the_venues_real_host_names() -> None:
    """Only the address is another."""
    async with bench() as the:
        assert {entry.host for entry in the.requests("GET")} == {
            "api.binance.com",
            "fapi.binance.com",
            "dapi.binance.com",
        }


async def test_the_moment_of_sending_lies_between_the_call_and_the_arrival() -> None:
    """On one machine's monotonic clock."""
    async with bench() as the:
        step = await close_of(the)
        called_ns = time.monotonic_ns()
        result = await the.venue.execute(step)
        (arrival,) = the.requests("POST")
        assert result.sent_ns is not None
        assert called_ns < result.sent_ns < arrival.arrived_ns < result.ended_ns


async def test_twenty_closes_at_once_need_no_new_connection_once_twenty_are_warm() -> None:
    """And cost about one round trip, not one each."""
    async with bench(slices=("linear",)) as the:
        await the.venue.keep_warm(20)
        assert the.pool.idle_sockets()["fapi.binance.com"] == 20
        steps = closes((await the.venue.read_positions("linear")).positions)[:20]
        before = the.pool.connections_opened
        the.sim.set_faults(latency_ms=100)
        results = await asyncio.gather(*(the.venue.execute(step) for step in steps))
        assert [result.outcome for result in results].count(Outcome.DONE) >= 19
        assert the.pool.connections_opened == before
        sent = [result.sent_ns or 0 for result in results]
        assert (max(sent) - min(sent)) / 1e6 < 100, "the last one left before the first answer came"


async def test_every_connection_sends_at_once() -> None:
    """TCP_NODELAY, read back from the sockets in use."""
    async with bench() as the:
        connector = the.pool.session.connector
        assert connector is not None
        live = [protocol.transport for kept in connector._conns.values() for protocol, _ in kept]
        options = [
            each.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for each in live if each
        ]
        assert options
        assert all(options)


async def test_a_waiting_connection_holds_a_small_buffer() -> None:
    """There are dozens of them an account."""
    async with bench() as the:
        connector = the.pool.session.connector
        assert connector is not None
        protocols = [protocol for kept in connector._conns.values() for protocol, _ in kept]
        transports: list[Any] = [protocol.transport for protocol in protocols if protocol.transport]
        buffers = [len(transport._ssl_protocol._ssl_buffer) for transport in transports]
        assert buffers
        assert set(buffers) == {TLS_READ_BYTES}


@pytest.mark.parametrize(
    "deed",
    [
        "lose_after_execution",
        "empty_200",
        "html_200",
        "truncated_body",
        {"status_after_execution": 500},
        {"status_after_execution": 502},
        {"status_after_execution": 503},
        "timeout_after_execution",
    ],
    ids=str,
)
async def test_an_order_that_was_executed_without_a_good_answer_is_ambiguous_and_not_repeated(deed: object) -> None:
    """The position tells; a second order might have opened another."""
    async with bench(request_timeout_s=0.5) as the:
        step = await close_of(the)
        the.misbehave(deed)
        result = await the.venue.execute(step)
        assert (result.outcome, result.refusal) == (Outcome.AMBIGUOUS, None)
        assert result.sent_ns is not None
        assert len(the.requests("POST")) == 1
        assert await held(the) == []


async def test_an_order_that_hangs_is_ambiguous_although_it_was_not_executed() -> None:
    """From here it looks the same."""
    async with bench(request_timeout_s=0.3) as the:
        step = await close_of(the)
        the.misbehave("hang")
        assert (await the.venue.execute(step)).outcome is Outcome.AMBIGUOUS
        assert await held(the) == [step.contracts]


@pytest.mark.parametrize(
    ("deed", "refusal"),
    [
        ({"refuse": {"code": -2022, "msg": "ReduceOnly Order is rejected.", "status": 400}}, Refusal.NOTHING_TO_REDUCE),
        ({"refuse": {"code": -1008, "msg": "Server overloaded.", "status": 503}}, Refusal.OVERLOADED),
        ("percent_price_refusal", Refusal.PRICE_BAND),
    ],
    ids=["-2022", "-1008", "percent price"],
)
async def test_a_refusal_is_told_from_the_wire(deed: object, refusal: Refusal) -> None:
    """Nothing was executed, and the next plan knows why."""
    async with bench() as the:
        step = await close_of(the)
        the.misbehave(deed)
        result = await the.venue.execute(step)
        assert (result.outcome, result.refusal) == (Outcome.REFUSED, refusal)
        assert await held(the) == [step.contracts]


@pytest.mark.parametrize("deed", [{"rate_limit": {"retry_after": 30}}, {"ban_418": {"retry_after": 30}}], ids=str)
async def test_after_being_told_to_stay_away_nothing_more_is_sent(deed: object) -> None:
    """Reads are told as well, with the time that is left."""
    async with bench(slices=("inverse",)) as the:
        the.misbehave(deed, method="DELETE", path="/dapi")
        step = CancelOrders(
            slice="inverse", symbol="BTC/USD:BTC", market_id="BTCUSD_PERP", order_ids=("1",), trigger=False
        )
        first = await the.venue.execute(step)
        assert (first.refusal, first.retry_after_s) == (Refusal.RATE_LIMITED, 30.0)
        arrived = len(the.sim.journal.entries())
        second = await the.venue.execute(step)
        assert (second.refusal, second.sent_ns) == (Refusal.RATE_LIMITED, None)
        with pytest.raises(VenueLimited) as raised:
            await the.venue.read_proof("inverse")
        assert 25 < (raised.value.retry_after_s or 0) <= 30
        assert len(the.sim.journal.entries()) == arrived


READ_FAULTS: list[Any] = [
    "empty_200",
    "html_200",
    "truncated_body",
    {"status_after_execution": 502},
    "timeout_after_execution",
    "hang",
    {"refuse": {"code": -1007, "status": 408}},
]


@pytest.mark.parametrize("deed", READ_FAULTS, ids=str)
async def test_a_read_that_goes_wrong_raises(deed: object) -> None:
    """An unread slice is never an empty one."""
    async with bench(slices=("linear",), request_timeout_s=0.3) as the:
        the.misbehave(deed, method="GET", path="/fapi/v1/openAlgoOrders")
        with pytest.raises(VenueError):
            await the.venue.read_proof("linear")
        assert (await the.venue.read_proof("linear")).positions != ()


async def test_a_read_whose_answer_is_lost_is_made_again_on_another_connection() -> None:
    """Reading twice is harmless; aiohttp does it where a kept connection turns out to be dead."""
    async with bench(slices=("linear",)) as the:
        the.misbehave("lose_after_execution", method="GET", path="/fapi/v3/positionRisk")
        assert (await the.venue.read_positions("linear")).positions != ()
        assert len(the.requests("GET", "/fapi/v3/positionRisk")) == 2


async def test_a_venue_that_is_not_there_was_sent_nothing() -> None:
    """Refused, not ambiguous: no connection, no order."""
    async with bench() as the:
        step = await close_of(the)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            nowhere = f"127.0.0.1:{free.getsockname()[1]}"
        pools = Pools()
        options = VenueOptions(exchange="binance", credentials=the.options.credentials, connect_to=nowhere)
        venue = CcxtVenue(options, BinanceProfile(), pools)
        result = await venue.execute(step)
        assert (result.outcome, result.refusal, result.sent_ns) == (Outcome.REFUSED, Refusal.OTHER, None)
        with pytest.raises(VenueUnavailable):
            await venue.read_positions("linear")
        with pytest.raises(VenueUnavailable):
            await venue.keep_warm(1)
        await venue.close()
        await pools.close()


async def test_an_authority_that_is_not_trusted_gets_nothing_to_see() -> None:
    """The handshake fails before the key is sent."""
    async with bench(armed=False, ca_file=None) as the:
        with pytest.raises(VenueUnavailable):
            await the.venue.arm()
        assert the.sim.journal.entries() == []


async def test_a_clock_that_is_minutes_off_is_corrected_before_the_first_signature() -> None:
    """Measured when the account is armed."""
    async with bench(armed=False) as the:
        the.sim.set_faults(clock_offset_ms=90_000)
        await the.venue.arm()
        assert the.venue.clock_offset_ms() == pytest.approx(90_000, abs=500)
        assert (await the.venue.execute(await close_of(the))).outcome is Outcome.DONE


async def test_a_clock_that_jumps_costs_one_refusal() -> None:
    """-1021 has it measured again before the step's result is there."""
    async with bench() as the:
        step = await close_of(the)
        the.sim.set_faults(clock_offset_ms=-90_000)
        first = await the.venue.execute(step)
        assert (first.outcome, first.refusal) == (Outcome.REFUSED, Refusal.OTHER)
        assert (await the.venue.execute(step)).outcome is Outcome.DONE


@pytest.mark.parametrize("step_s", [3600, -3600])
async def test_our_own_clock_that_is_set_costs_nothing(monkeypatch: pytest.MonkeyPatch, step_s: int) -> None:
    """What has passed since the venue's was read is told by the time since boot: no request is refused."""
    async with bench() as the:
        step = await close_of(the)
        before = the.venue.clock_offset_ms()
        stepped = SimpleNamespace(time=lambda: time.time() + step_s, monotonic_ns=time.monotonic_ns)
        monkeypatch.setattr(ccxt_client, "time", stepped)
        own = the.venue._client.ccxt
        monkeypatch.setattr(own, "milliseconds", lambda: time.time_ns() // 1_000_000 + step_s * 1000)
        assert the.venue.clock_offset_ms() == pytest.approx((before or 0) - step_s * 1000, abs=5)
        assert (await the.venue.execute(step)).outcome is Outcome.DONE
        assert await held(the) == []
        assert [each for each in the.sim.journal.entries() if each.status != 200] == []


async def test_a_revoked_key_is_denied_at_every_door() -> None:
    """Only a person can help."""
    async with bench() as the:
        step = await close_of(the)
        the.sim.set_faults(revoke_key="demo")
        assert (await the.venue.execute(step)).refusal is Refusal.DENIED
        assert (await the.venue.probe()).refusal is Refusal.DENIED
        with pytest.raises(VenueDenied):
            await the.venue.read_positions("linear")


async def test_the_probe_shows_the_right_to_trade_without_touching_anything() -> None:
    """The venue looks for an order and finds none."""
    async with bench() as the:
        before = the.sim.state()["accounts"]["demo"]
        assert (await the.venue.probe()).outcome is Outcome.DONE
        assert the.sim.state()["accounts"]["demo"] == before


def sale(the: Bench, price: str) -> SellSpot:
    """Half a bitcoin, at a price or not at all."""
    return SellSpot(
        slice="spot",
        symbol="BTC/USDT",
        market_id="BTCUSDT",
        asset="BTC",
        quantity=Decimal("0.5"),
        limit_price=Decimal(price),
        client_order_id=order_ids().client_order_id("spot", "BTC/USDT", "sale", 0),
    )


async def test_an_ambiguous_sale_is_resolved_by_its_client_id() -> None:
    """It reached the venue, or it certainly did not."""
    async with bench() as the:
        step = sale(the, "60000")
        assert await the.venue.filled(step) is False
        the.misbehave("lose_after_execution", path="/api")
        assert (await the.venue.execute(step)).outcome is Outcome.AMBIGUOUS
        assert await the.venue.filled(step) is True
        the.misbehave("empty_200", method="GET", path="/api")
        assert await the.venue.filled(step) is None


async def test_a_sale_above_the_market_is_unfilled() -> None:
    """It expired without a fill: the price has to give."""
    async with bench() as the:
        result = await the.venue.execute(sale(the, "70000"))
        assert (result.outcome, result.refusal) == (Outcome.REFUSED, Refusal.UNFILLED)


async def test_the_largest_value_of_a_spot_order_is_known() -> None:
    """Futures state none."""
    async with bench() as the:
        limits = {name: the.venue.rules(name) for name in the.venue.slices}
        assert {rule.notional_max for rule in limits["spot"].values()} == {Decimal(9_000_000)}
        assert {rule.notional_max for name in ("linear", "inverse") for rule in limits[name].values()} == {None}


@pytest.mark.parametrize("status", ["BREAK", "DELISTED"])
async def test_a_market_that_was_halted_is_known_to_be_soon_after_its_first_refusal(
    status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the background, and only of the kind that was refused."""
    async with bench() as the:
        step = await close_of(the)
        asked = len(the.requests("GET", "/fapi/v1/exchangeInfo")), len(the.requests("GET", "/api/v3/exchangeInfo"))
        the.sim.set_faults(market_status={"linear:BTC/USDT": status})
        await the.venue.execute(step)
        assert the.venue.rules("linear")[step.symbol].trading, "rules of less than a minute are not asked for again"
        monkeypatch.setattr(markets, "REFRESH_SOON_S", 0.0)
        await the.venue.execute(step)
        await asyncio.gather(*the.pools.markets(the.options)._loading.values())
        rule = the.venue.rules("linear").get(step.symbol)
        assert rule is None or not rule.trading
        now = len(the.requests("GET", "/fapi/v1/exchangeInfo")), len(the.requests("GET", "/api/v3/exchangeInfo"))
        assert now == (asked[0] + 1, asked[1])


async def test_markets_can_be_asked_for_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A market that has opened again gives no refusal that would tell."""
    async with bench(slices=("spot",)) as the:
        the.sim.set_faults(market_status={"spot:BTC/USDT": "BREAK"})
        the.venue.refresh_markets()
        await the.venue.read_slice("spot")
        assert the.venue.rules("spot")["BTC/USDT"].trading
        monkeypatch.setattr(markets, "REFRESH_SOON_S", 0.0)
        the.venue.refresh_markets()
        await asyncio.gather(*the.pools.markets(the.options)._loading.values())
        assert not the.venue.rules("spot")["BTC/USDT"].trading


async def test_a_partial_fill_says_how_much_was_executed() -> None:
    """The rest is still held."""
    async with bench() as the:
        step = await close_of(the)
        the.misbehave({"partial_fill": {"fraction": "0.4"}})
        result = await the.venue.execute(step)
        (left,) = await held(the)
        assert result.filled == step.contracts - left
        assert 0 < left < step.contracts


async def test_quotes_are_the_best_prices() -> None:
    """Of the symbols that were asked for."""
    async with bench() as the:
        quotes = await the.venue.quotes(["BTC/USDT", "WAN/BTC"])
        assert set(quotes) == {"BTC/USDT", "WAN/BTC"}
        assert 0 < quotes["BTC/USDT"].bid < quotes["BTC/USDT"].ask


async def test_a_start_without_the_venue_still_knows_its_markets(tmp_path: Path) -> None:
    """The account is degraded, and the copy on disk is there for when it comes back."""
    async with bench(market_cache_dir=tmp_path) as the:
        known = {name: the.venue.rules(name) for name in the.venue.slices}
        the.sim.set_faults(rules=[{"match": {"method": "GET"}, "times": None, "do": {"status_after_execution": 502}}])
        pools = Pools()
        venue = CcxtVenue(the.options, BinanceProfile(), pools)
        with pytest.raises(VenueUnavailable):
            await venue.arm()
        assert {name: venue.rules(name) for name in venue.slices} == known
        await venue.close()
        await pools.close()


async def test_the_typical_round_trip_follows_the_venue() -> None:
    """The median of the last sixty-four."""
    async with bench(slices=("linear",)) as the:
        quick = the.venue.round_trip_ms()
        the.sim.set_faults(latency_ms=40)
        await the.venue.keep_warm(64)
        slow = the.venue.round_trip_ms()
        assert quick is not None
        assert slow is not None
        assert slow >= 40


async def test_a_cancel_only_account_closes_nothing() -> None:
    """Not even against a real venue."""
    async with bench(permission=Permission.CANCEL) as the:
        step = await close_of(the)
        assert (await the.venue.execute(step)).refusal is Refusal.PERMISSION
        assert the.requests("POST") == []
