"""B2PRIME's profile against its simulator, over TLS: all is seen, closed and proven, whatever is not known of it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from node.domain.command import Action
from node.domain.flatten import FlattenTerms
from node.domain.permission import Permission
from node.domain.snapshot import SliceSnapshot
from node.domain.steps import Outcome, Refusal
from node.engine.account import AccountTerms
from node.engine.checkup import Checkup, Severity
from node.errors import VenueAnswerUnknown, VenueDenied, VenueError
from node.sim.scenarios import linear
from node.venues.ccxt_venue import CcxtVenue
from tests.failure.books import plain, position
from tests.failure.stage import stage
from tests.failure.venues import VENUES
from tests.support.venue_sim import Bench, bench, closes, plan
from tests.support.waiting import until

STOPS = "stop orders that wait for their price: the venue has no list of them"
EURO = "EUR/USD:USD-CFD"


def switch(the: Bench, **changes: object) -> None:
    """Set what is not known of the venue."""
    the.sim.set_faults(venue=changes)


async def close_everything(venue: CcxtVenue) -> list[SliceSnapshot]:
    """Rounds until nothing is left to plan; the proofs."""
    for _ in range(20):
        snapshots = [await venue.read_proof(name) for name in venue.slices]
        steps = [step for snapshot in snapshots for step in plan(venue, snapshot)]
        if not steps:
            return snapshots
        await asyncio.gather(*(venue.execute(step) for step in steps))
    raise AssertionError("not flat after twenty rounds")


def empty(the: Bench) -> bool:
    """Whether no position and no order that is listed is left, and nothing was enlarged or turned round on the way."""
    state = the.sim.state()["accounts"][the.sim.account.name]
    counters = state["counters"]
    assert (counters["exposure_increases"], counters["sign_flips"]) == (0, 0)
    return (state["positions"], state["orders"]) == ([], [])


@pytest.mark.parametrize("scenario", ["demo", "hedge", "empty"])
async def test_every_scenario_can_be_closed_and_proven(scenario: str) -> None:
    """Hedging and netting accounts, both slices."""
    async with bench(scenario, venue="b2prime") as the:
        for snapshot in await close_everything(the.venue):
            assert snapshot.causal
            assert (snapshot.positions, snapshot.orders) == ((), ())
        assert empty(the)


async def test_stop_orders_that_wait_are_neither_seen_nor_claimed_to_be_gone() -> None:
    """The demo account holds some, on spot and on contracts: no list shows them, and they are named."""
    async with bench(venue="b2prime") as the:
        await close_everything(the.venue)
        assert the.sim.state()["accounts"]["demo"]["algo_orders"]
        assert the.venue.unverified == (STOPS,)


@pytest.mark.parametrize(
    ("switches", "own"),
    [
        ({"error_body": "empty", "unknown_order_status": 400}, {}),
        ({"error_body": "text", "rate_limit_headers": False}, {}),
        ({"stream_updates": "delta", "stream_duplicates": True, "stream_fraction_digits": 3}, {}),
        ({"stream_late_ms": 30, "close_delay_ms": 40, "cancel_delay_ms": 20}, {}),
        ({"negotiate": "required"}, {"negotiate": True}),
        ({"cyrillic_charge": False, "perpetual_type": "Perp", "token_opaque": True}, {}),
        ({"refused_as_order": True}, {"wholeClose": "none"}),
        ({"bulk_close_skips": 1}, {"wholeClose": "empty"}),
        ({"stream_outlives_token": False, "token_life_s": 2}, {}),
    ],
    ids=str,
)
async def test_whatever_is_not_known_of_the_venue_everything_is_closed(
    switches: dict[str, Any], own: dict[str, Any]
) -> None:
    """One way or the other."""
    async with bench("hedge", venue="b2prime", armed=False, options=own) as the:
        switch(the, **switches)
        await the.venue.arm()
        await close_everything(the.venue)
        assert empty(the)


@pytest.mark.parametrize(
    "switches", [{"stream_empty": "silence"}, {"stream_bare_positions": True}, {"negotiate": "required"}], ids=str
)
async def test_where_a_look_says_nothing_that_is_understood_flat_is_never_said(switches: dict[str, Any]) -> None:
    """An account that holds nothing, at a venue that keeps silent about it, or speaks otherwise."""
    async with bench("empty", venue="b2prime", request_timeout_s=0.3) as the:
        switch(the, **switches)
        with pytest.raises(VenueError):
            await the.venue.read_proof("linear")


async def test_a_hub_that_is_silent_is_unknown() -> None:
    """By its name."""
    async with bench("empty", venue="b2prime", request_timeout_s=0.3) as the:
        switch(the, stream_empty="silence")
        with pytest.raises(VenueAnswerUnknown, match="orders: silence"):
            await the.venue.read_proof("linear")


@pytest.mark.parametrize("status", [403, 404])
async def test_somebody_elses_account_is_not_armed(status: int) -> None:
    """And nothing of it is read."""
    async with bench(venue="b2prime", armed=False, options={"accountId": "0" * 24}) as the:
        switch(the, foreign_account_status=status)
        with pytest.raises(VenueError):
            await the.venue.arm()
        with pytest.raises(VenueError):
            await the.venue.read_proof("linear")


@pytest.mark.parametrize("how", ["refuse", "accept"])
async def test_a_close_in_a_market_that_is_shut_names_its_next_session(how: str) -> None:
    """Refused, or taken and not carried out; the position is there all the same, and closed when the market opens."""
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    opens = tomorrow.replace(hour=7, minute=30, second=0, microsecond=0)
    session = {"dayOfWeek": f"{tomorrow:%A}", "timeIntervals": [{"start": "07:30", "end": "07:31"}]}
    shut = {"timeZoneId": "UTC", "tradingSessions": [session], "sessionOverrides": []}
    async with bench(venue="b2prime", armed=False) as the:
        switch(the, calendars={"cfd.eur_usd": shut}, close_when_shut=how)
        await the.venue.arm()
        await the.venue.read_positions("linear")
        await until(lambda: not the.venue.rules("linear")[EURO].trading)
        held = (await the.venue.read_positions("linear")).positions
        [step] = closes(each for each in held if each.symbol == EURO)
        result = await the.venue.execute(step)
        assert result.refusal is Refusal.MARKET_CLOSED
        assert (result.outcome is Outcome.AMBIGUOUS) is (how == "accept")
        assert f"next session begins at {opens:%Y-%m-%dT%H:%M:%SZ}" in str(result.message)
        switch(the, calendars={})
        await close_everything(the.venue)
        assert empty(the)


async def test_a_command_says_until_when_a_market_is_shut_and_ends_when_it_opens() -> None:
    """The whole engine: the problem names the next session, the verdict says why, and nobody has to come back."""
    book = plain("shut", positions=(position(linear("BTC"), "1"), position(linear("ETH"), "3")))
    async with stage(VENUES["b2prime"], book, deadline_s=0.4) as the:
        the.set(market_status={"linear:BTC/USDT": "BREAK"})
        command = await the.command(Action.CLOSE_ALL)
        told = await the.incomplete(
            command, lambda told: any(each["code"] == "MARKET_CLOSED" for each in told["errors"])
        )
        [problem] = [each for each in told["errors"] if each["code"] == "MARKET_CLOSED"]
        assert problem["symbol"] == "BTC/USDT:USDT"
        assert "no session follows within a year" in problem["message"]
        verdicts = {each["symbol"]: each["verdict"] for each in told["positions"]}
        assert verdicts["BTC/USDT:USDT"] == "market_closed"
        assert told["unverified"] == [STOPS]
        the.set(market_status={"linear:BTC/USDT": "TRADING"})
        assert the.flat(await the.ending(command))
        assert the.empty()


async def test_a_token_that_is_revoked_is_a_matter_for_a_person() -> None:
    """Reads and steps say so, once the access token that it gave is over."""
    async with bench(venue="b2prime") as the:
        held = (await the.venue.read_positions("linear")).positions
        the.sim.set_faults(revoke_key="demo")
        the.venue._client.ccxt._access = None
        with pytest.raises(VenueDenied):
            await the.venue.read_proof("linear")
        result = await the.venue.execute(closes(held)[0])
        assert (result.outcome, result.refusal) == (Outcome.REFUSED, Refusal.DENIED)


async def test_the_hubs_tell_of_what_others_do() -> None:
    """Orders, positions and coins, each in its slice."""
    async with bench(venue="b2prime") as the:
        changes = the.venue.changes()
        named = {await anext(changes), await anext(changes)}
        assert named == {"spot", "linear"}
        await until(lambda: the.venue.streaming("linear") and the.venue.streaming("spot"))
        held = (await the.venue.read_positions("linear")).positions
        await the.venue.execute(closes(held)[0])
        async with asyncio.timeout(5):
            while await anext(changes) != "linear":
                pass
        await changes.aclose()  # type: ignore[attr-defined]


async def test_a_doctor_finds_it_sound_and_says_what_it_cannot_see() -> None:
    """Nothing is touched."""
    async with bench(venue="b2prime", armed=False) as the:
        terms = AccountTerms(
            account_id=UUID(int=1),
            name="main",
            owner="me",
            exchange="b2prime",
            permission=Permission.CLOSE,
            flatten=FlattenTerms(base_currency="USDT"),
        )
        found = {each.code: each for each in await Checkup(terms=terms, venue=the.venue).carry_out()}
        assert {each.severity for each in found.values()} <= {Severity.OK, Severity.WARNING}, found
        assert {"REACHABLE", "CLOCK", "SOCKETS", "BUDGET", "POSITION_MODE"} <= found.keys()
        assert the.sim.account.counters.orders_placed == 0
