"""Keys that lose their rights, markets that close, and parts of a venue that are slow."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import Final

import pytest

from node.sim.market import MarketStatus
from node.sim.scenarios import AccountSeed, linear
from tests.failure.books import COINS, HEDGE, ONE_WAY, plain, position, whole_stop
from tests.failure.conftest import Compress
from tests.failure.failures import failure
from tests.failure.stage import not_flat, stage
from tests.failure.test_refusals import verdict_of
from tests.failure.venues import Contract, VenueUnderTest

#: A key that is refused for so long is refused for good.
FOR_GOOD_S = 0.3

SETTLING: Final[dict[str, object]] = {"market_status": {"linear:BCH/USDT": "SETTLING"}}


@pytest.fixture
def impatient(compress: Compress) -> None:
    """Half a minute of denials in a fraction of a second."""
    compress(DENIED_FOR_GOOD_AFTER_NS=int(FOR_GOOD_S * 1e9))


@pytest.mark.usefixtures("impatient")
@failure("key_revoked")
@pytest.mark.parametrize("moment", ["place", "cancel", "before"])
async def test_a_key_revoked_in_the_middle_ends_the_command_as_failed(
    venue: VenueUnderTest, book: AccountSeed, moment: str
) -> None:
    """Only a person can help: the lock stays, although the command asked for a hold, and the result says why."""
    async with stage(venue, book) as the:
        revoke = partial(the.set, revoke_key=book.name)
        if moment == "before":
            revoke()
        else:
            the.just_before(moment, revoke)
        document = await the.close_all(latch=False)
        assert document["state"] == "failed"
        assert document["verdict"] in ("unknown", "not_flat")
        assert document["lock"]["locked"]
        assert any("DENIED" in each["code"].upper() for each in document["errors"]), document["errors"]
        open_now = {(each.market.product.value) for each in the.account.open_positions()}
        named = {each["slice"] for each in document["positions"] if each["after"] != "0"}
        assert open_now <= named


@failure("key_revoked")
async def test_a_key_that_is_refused_for_a_moment_is_tried_again(venue: VenueUnderTest, book: AccountSeed) -> None:
    """Venues refuse good keys for seconds: nothing is given up for it."""
    async with stage(venue, book) as the:
        the.refuse("key_denied", "place", "positions", "orders", times=8)
        await the.closes_flat()


@pytest.mark.usefixtures("impatient")
@failure("rights_removed")
@pytest.mark.parametrize("moment", ["place", "before"])
async def test_a_key_that_may_no_longer_trade_futures_names_what_is_left(
    venue: VenueUnderTest, book: AccountSeed, moment: str
) -> None:
    """Spot is finished all the same; the account stays locked."""
    async with stage(venue, book) as the:
        remove = partial(the.set, key_rights={book.name: {"futures": False}})
        if moment == "before":
            remove()
        else:
            the.just_before(moment, remove, after=1)
        document = await the.close_all(latch=False)
        assert document["state"] == "failed"
        assert document["verdict"] in ("unknown", "not_flat")
        assert document["lock"]["locked"]
        assert "spot" in {each["slice"] for each in document["evidence"]}
        assert any(the.account.open_positions())


@pytest.mark.usefixtures("impatient")
@failure("rights_removed", "rights_of_one_product")
async def test_a_key_that_may_no_longer_trade_spot_still_closes_the_futures(venue: VenueUnderTest) -> None:
    """And the flatten fails with the balances named."""
    async with stage(venue, COINS) as the:
        the.set(key_rights={COINS.name: {"spot": False}})
        document = await the.flatten()
        assert document["state"] == "failed"
        assert document["verdict"] in ("unknown", "not_flat")
        assert not any(the.account.open_positions())
        assert the.balance("BTC") > 0


@failure("market_closed", "settling", "delisted")
@pytest.mark.parametrize("status", [each for each in MarketStatus if each is not MarketStatus.TRADING])
async def test_a_position_in_a_market_that_takes_no_orders_is_watched_and_closed_when_it_does(
    venue: VenueUnderTest, contract: Contract, book: AccountSeed, status: MarketStatus
) -> None:
    """Reported as what it is, its stop left alone; everything else is closed."""
    async with stage(venue, book, deadline_s=0.4) as the:
        the.set(market_status={contract.market: status})
        held = the.held(contract.market)
        command = await the.command_close()
        expected = {"refused", "market_closed"} if status is MarketStatus.DELISTED else {"market_closed"}
        await the.incomplete(
            command, lambda told: not_flat(told) and verdict_of(told, the, contract.market) <= expected
        )
        assert the.held(contract.market) == held
        assert {each.market for each in the.account.open_positions()} == {the.market(contract.market)}
        if status is not MarketStatus.DELISTED:
            assert the.protection(contract.market)
        the.set(market_status={contract.market: "TRADING"})
        assert the.flat(await the.ending(command))
        assert the.empty()


@failure("delisted", "cold_start")
@pytest.mark.parametrize("status", ["SETTLING", "BREAK", "DELISTED"])
async def test_a_market_that_is_gone_before_the_node_starts(venue: VenueUnderTest, status: str) -> None:
    """It may not even be listed: the position in it is seen, reported and watched all the same."""
    market = "linear:ETH/USDT"
    faults: dict[str, object] = {"market_status": {market: status}}
    async with stage(venue, ONE_WAY, armed=False, deadline_s=0.6, faults=faults) as the:
        held = the.held(market)
        command = await the.command_close()
        document = await the.incomplete(command)
        assert document["verdict"] in ("not_flat", "unknown")
        await the.until(lambda: {each.market for each in the.account.open_positions()} == {the.market(market)})
        assert the.held(market) == held
        the.set(market_status={market: "TRADING"})
        assert the.flat(await the.ending(command))
        assert the.empty()


@failure("settling")
async def test_a_contract_that_is_being_settled_beside_others(venue: VenueUnderTest) -> None:
    """It was so before the node started."""
    book = AccountSeed(
        name="settled",
        balances=plain().balances,
        positions=(position(linear("BCH"), "10"), position(linear("BTC"), "1")),
    )
    async with stage(venue, book, deadline_s=0.5, faults=SETTLING) as the:
        command = await the.command_close()
        await the.incomplete(command, lambda told: verdict_of(told, the, "linear:BCH/USDT") == {"market_closed"})
        await the.until(lambda: the.held("linear:BTC/USDT") == 0)
        the.set(market_status={"linear:BCH/USDT": "TRADING"})
        assert the.flat(await the.ending(command))


@failure("settling", "delisted")
async def test_a_position_that_the_venue_settles_by_itself_is_gone_and_that_is_all(venue: VenueUnderTest) -> None:
    """Settled while it was watched: the command ends flat."""
    book = replace(plain("settled", positions=(position(linear("BTC"), "1"), position(linear("BCH"), "10"))))
    async with stage(venue, book, deadline_s=0.4, faults=SETTLING) as the:
        command = await the.command_close()
        await the.incomplete(command)
        the.resize("linear:BCH/USDT", "0")
        assert the.flat(await the.ending(command))


@failure("slow_part")
async def test_a_slow_part_of_the_venue_holds_nothing_up_elsewhere(
    venue: VenueUnderTest, book: AccountSeed, part: str
) -> None:
    """Every request there takes half a second; the fast part is closed long before."""
    async with stage(venue, book, request_timeout_s=2.0) as the:
        the.misbehave({"delay_ms": 500}, product=part, times=None)
        began = time.monotonic()
        command = await the.command_close()
        await the.until(lambda: not any(each.market.product == "linear" for each in the.account.open_positions()))
        assert time.monotonic() - began < 0.5
        assert the.flat(await the.ending(command))
        assert the.empty()


@failure("slow_part", "hang")
async def test_a_part_that_hangs_holds_nothing_up_elsewhere(venue: VenueUnderTest, part: str) -> None:
    """Nothing comes back from there for the first ten requests."""
    async with stage(venue, request_timeout_s=0.5) as the:
        the.misbehave("hang", product=part, times=10)
        began = time.monotonic()
        command = await the.command_close()
        await the.until(lambda: not any(each.market.product == "linear" for each in the.account.open_positions()))
        assert time.monotonic() - began < 0.4
        assert the.flat(await the.ending(command))
        assert the.empty()


@failure("slow_part")
async def test_one_slow_order_holds_up_no_other(venue: VenueUnderTest) -> None:
    """Of the same slice."""
    async with stage(venue, HEDGE, request_timeout_s=2.0) as the:
        the.misbehave({"delay_ms": 600}, "place", market="linear:ETH/USDT")
        began = time.monotonic()
        command = await the.command_close()
        await the.until(
            lambda: {each.market for each in the.account.open_positions()} == {the.market("linear:ETH/USDT")}
        )
        assert time.monotonic() - began < 0.4
        assert the.flat(await the.ending(command))


@failure("slow_part", "shared_address")
async def test_an_account_that_hangs_does_not_hold_up_another(venue: VenueUnderTest) -> None:
    """Two accounts at one venue, one command each."""
    other = replace(HEDGE, name="other")
    async with stage(venue, ONE_WAY, other, request_timeout_s=4.0) as the:
        the.misbehave("hang", account=ONE_WAY.name, times=6)
        began = time.monotonic()
        slow = await the.command_close(0)
        assert the.flat(await the.close_all(1))
        assert time.monotonic() - began < 3.6
        assert the.flat(await the.ending(slow))
        assert all(the.empty(account) for account in the.sim.core.accounts.values())


@failure("market_closed", "stop_lost")
async def test_the_stop_of_a_position_in_a_closed_market_fires_when_it_opens_and_the_command_ends(
    venue: VenueUnderTest,
) -> None:
    """The stop was kept for exactly this."""
    book = replace(
        plain("kept", positions=(position(linear("BTC"), "1"),)),
        triggers=(whole_stop(linear("BTC"), "0.9", sign=-1),),
    )
    async with stage(venue, book, deadline_s=0.4) as the:
        the.set(market_status={"linear:BTC/USDT": "BREAK"})
        command = await the.command_close()
        await the.incomplete(command)
        assert len(the.protection("linear:BTC/USDT")) == 1
        the.set(market_status={"linear:BTC/USDT": "TRADING"}, prices={"linear:BTC/USDT": "50000"})
        assert the.flat(await the.ending(command))
        assert the.empty()
