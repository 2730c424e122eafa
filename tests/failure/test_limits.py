"""Request budgets: what the venue says when there were too many, and what several accounts of one address may spend."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from node.sim.scenarios import AccountSeed
from node.venues.lane import Charge, Lane
from tests.failure.books import ONE_WAY
from tests.failure.conftest import Compress
from tests.failure.failures import failure
from tests.failure.stage import Stage, stage
from tests.failure.venues import Contract, VenueUnderTest


@dataclass(slots=True)
class Gate:
    """What the node let out, and when it learnt that it should not: on a busy machine requests arrive long after."""

    sent: list[tuple[int, frozenset[str]]] = field(default_factory=list)
    refused: list[tuple[int, frozenset[str]]] = field(default_factory=list)

    def sent_within_s(self, seconds: float) -> list[float]:
        """Requests to where one was refused, in seconds after that."""
        return [
            (sent_ns - refused_ns) / 1e9
            for refused_ns, refused in self.refused
            for sent_ns, budgets in self.sent
            if budgets & refused and 0 < sent_ns - refused_ns < seconds * 1e9
        ]


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    """Beside the lane of budgets that every request goes through."""
    found, admit, refused = Gate(), Lane.admit, Lane.refused

    async def admitting(lane: Lane, charges: Iterable[Charge], **options: Any) -> None:
        charges = tuple(charges)
        await admit(lane, charges, **options)
        found.sent.append((time.monotonic_ns(), frozenset(charge.bucket for charge in charges)))

    def refusing(lane: Lane, charges: Iterable[Charge], retry_after_s: float | None, **options: Any) -> None:
        charges = tuple(charges)
        refused(lane, charges, retry_after_s, **options)
        found.refused.append((time.monotonic_ns(), frozenset(charge.bucket for charge in charges)))

    monkeypatch.setattr(Lane, "admit", admitting)
    monkeypatch.setattr(Lane, "refused", refusing)
    return found


READS = ("positions", "orders", "triggers", "balances")


def arrivals_s(the: Stage, product: str, since_ns: int) -> list[float]:
    """When requests of a product came, in seconds after that."""
    return [
        (seen.at_ns - since_ns) / 1e9
        for seen in the.witness.requests
        if seen.concerns(product) and seen.at_ns > since_ns
    ]


@failure("rate_limit")
@pytest.mark.parametrize("intent", ["place", "positions"])
async def test_after_429_nothing_is_sent_there_until_the_time_is_over(
    venue: VenueUnderTest, contract: Contract, intent: str, gate: Gate
) -> None:
    """One second by Retry-After; what was on its way already may still arrive."""
    async with stage(venue, request_timeout_s=2.0) as the:  # the refusal must be heard, also on a busy machine
        refused_at: list[int] = []
        the.just_before(intent, lambda: refused_at.append(time.monotonic_ns()), product=contract.product)
        the.misbehave({"rate_limit": {"retry_after": 1}}, intent, product=contract.product)
        await the.closes_flat()
        told = intent == "place" or not venue.looks_are_streams
        assert bool(gate.refused) is told
        assert gate.sent_within_s(0.95) == []
        assert not told or max(arrivals_s(the, contract.product, refused_at[0])) >= 0.95


@failure("unnamed_rate_limit")
@pytest.mark.parametrize("intent", ["place", "cancel", "positions", "triggers"])
async def test_after_429_without_a_time_it_is_tried_again(
    venue: VenueUnderTest, contract: Contract, book: AccountSeed, intent: str
) -> None:
    """After a pause of our own; nothing is given up, and no order counts as placed."""
    async with stage(venue, book) as the:
        the.misbehave({"rate_limit": {"retry_after": 1}}, intent, product=contract.product, times=3)
        before = the.count(intent, product=contract.product)
        await the.closes_flat()
        assert the.count(intent, product=contract.product) - before >= 4


@failure("limited_product", "slow_part")
async def test_a_limited_product_does_not_hold_up_the_others(venue: VenueUnderTest) -> None:
    """Budgets are counted by product: the others are closed at once."""
    async with stage(venue) as the:
        the.misbehave({"rate_limit": {"retry_after": 1}}, "place", product="inverse")
        began = time.monotonic()
        command = await the.command_close()
        await the.until(lambda: not any(each.market.product == "linear" for each in the.account.open_positions()))
        assert time.monotonic() - began < 0.8
        assert the.flat(await the.ending(command))


@failure("ban")
async def test_a_banned_address_waits_the_ban_out(venue: VenueUnderTest, gate: Gate) -> None:
    """Every request during a ban prolongs it at a real venue: after its refusal nothing is sent to the same budget."""
    async with stage(venue, request_timeout_s=2.0) as the:
        the.misbehave({"ban_418": {"retry_after": 1}}, "place")
        await the.closes_flat()
        assert gate.refused
        assert gate.sent_within_s(0.9) == []


@failure("ban", "unread_slice")
async def test_during_a_ban_nothing_is_claimed(venue: VenueUnderTest) -> None:
    """The deadline passes in the middle of it."""
    async with stage(venue, deadline_s=0.5) as the:
        the.misbehave({"ban_418": {"retry_after": 2}}, "place")
        command = await the.command_close()
        assert (await the.incomplete(command))["verdict"] in ("unknown", "not_flat")
        assert the.flat(await the.ending(command))
        assert the.empty()


@failure("shared_address", "overload")
async def test_two_stuck_accounts_of_one_address_stay_within_its_budget(
    venue: VenueUnderTest, compress: Compress, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three minutes in five seconds; neither is ever told that it was too much, and both are closed in the end."""
    venue.shorten_minute(monkeypatch.setattr, 1.5)
    compress(PAUSE_MIN_S=0.002, PAUSE_MAX_S=0.01)
    books = (ONE_WAY, replace(ONE_WAY, name="other"))
    async with stage(venue, *books, deadline_s=4.5) as the:
        the.refuse("overloaded", "place", "cancel", times=None)
        commands = [await the.command_close(number) for number in (0, 1)]
        for command in commands:
            await the.incomplete(command)
        answers = (entry for entry in the.sim.journal.entries() if entry.fault is None)
        told = [entry for entry in answers if {entry.status, entry.code} & venue.too_many]
        assert told == [], f"told {len(told)} times that it was too much"
        the.set(clear=True)
        for command in commands:
            assert the.flat(await the.ending(command))
        assert all(the.empty(account) for account in the.sim.core.accounts.values())


@failure("shared_address")
async def test_a_stuck_account_leaves_enough_for_another_of_the_same_address(
    venue: VenueUnderTest, compress: Compress, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second account's close comes when the first has been stuck for a while, and ends at once."""
    venue.shorten_minute(monkeypatch.setattr, 3.0)
    compress(PAUSE_MIN_S=0.002, PAUSE_MAX_S=0.01)
    books = (ONE_WAY, replace(ONE_WAY, name="other"))
    async with stage(venue, *books, deadline_s=2.0) as the:
        the.refuse("overloaded", "place", times=None, account=ONE_WAY.name)
        stuck = await the.command_close(0)
        await the.incomplete(stuck)
        began = time.monotonic()
        document = await the.close_all(1)
        assert the.flat(document)
        assert time.monotonic() - began < 1.5
        the.set(clear=True)
        assert the.flat(await the.ending(stuck))
