"""No good answer: the wire breaks, keeps silent, or brings something that is no answer."""

from __future__ import annotations

from typing import Any

import pytest

from node.sim.scenarios import AccountSeed
from tests.failure.failures import failure
from tests.failure.stage import stage
from tests.failure.venues import VenueUnderTest

NO_ANSWER: list[Any] = [
    pytest.param("lose_after_execution", id="lost", marks=failure("lost_answer")),
    pytest.param("timeout_after_execution", id="timeout", marks=failure("timeout_after_execution")),
    pytest.param({"status_after_execution": 500}, id="500", marks=failure("status_after_execution")),
    pytest.param({"status_after_execution": 502}, id="502", marks=failure("status_after_execution")),
    pytest.param(
        {"refuse_after_execution": {"reason": "status_unknown"}},
        id="status-unknown",
        marks=failure("status_after_execution"),
    ),
    pytest.param({"delay_ms": 450}, id="late", marks=failure("timeout_after_execution")),
    pytest.param("hang", id="hang", marks=failure("hang")),
    pytest.param("empty_200", id="empty", marks=failure("empty_200")),
    pytest.param("html_200", id="html", marks=failure("html_200")),
    pytest.param("truncated_body", id="truncated", marks=failure("truncated_body")),
]
READS = ("positions", "orders", "triggers", "balances")


@pytest.mark.parametrize("deed", NO_ANSWER)
async def test_a_close_without_an_answer_is_neither_believed_nor_blindly_repeated(
    venue: VenueUnderTest, book: AccountSeed, deed: object
) -> None:
    """Twice in a row: the position is read, what is left of it is closed, and nothing is turned round."""
    async with stage(venue, book) as the:
        for contract in venue.contracts:
            the.misbehave(deed, "place", market=contract.market, times=2)
        document = await the.closes_flat()
        assert document["orders"]["ambiguous"] >= 1


@pytest.mark.parametrize("deed", NO_ANSWER)
async def test_a_cancel_without_an_answer_is_proven_by_reading(venue: VenueUnderTest, deed: object) -> None:
    """Both books are empty in the end, by the venue's own state."""
    async with stage(venue) as the:
        for contract in venue.contracts:
            the.misbehave(deed, "cancel", product=contract.product, times=2)
        await the.closes_flat()


@pytest.mark.parametrize("deed", NO_ANSWER)
async def test_reads_without_an_answer_prove_nothing(venue: VenueUnderTest, deed: object) -> None:
    """Every kind of read fails twice; what is open is closed all the same, and flat is said only when it is."""
    async with stage(venue) as the:
        for contract in venue.contracts:
            for read in READS:
                the.misbehave(deed, read, product=contract.product, times=2)
        await the.closes_flat()


@failure("unread_slice")
@pytest.mark.parametrize("deed", ["lose_after_execution", "hang", "html_200", {"status_after_execution": 502}], ids=str)
async def test_a_slice_that_cannot_be_read_is_never_flat(venue: VenueUnderTest, deed: object) -> None:
    """Everything else is closed; the command stays incomplete until one list of one slice can be read again."""
    async with stage(venue, deadline_s=0.5) as the:
        the.misbehave(deed, venue.spot_list, product="spot", times=None)
        command = await the.command_close()
        document = await the.incomplete(command)
        assert document["verdict"] == "unknown"
        await the.until(the.empty)
        the.set(clear=True)
        assert the.flat(await the.ending(command))


@failure("lost_answer", "timeout_after_execution", "status_after_execution", "hang")
async def test_a_venue_that_answers_nothing_for_a_while_is_closed_when_it_does(
    venue: VenueUnderTest, book: AccountSeed
) -> None:
    """Every request of every kind goes wrong, forty of them, each in another way."""
    deeds = ["lose_after_execution", {"status_after_execution": 503}, "empty_200", "truncated_body"]
    async with stage(venue, book, request_timeout_s=0.2) as the:
        for deed in deeds:
            the.misbehave(deed, "place", "cancel", *READS, times=10)
        await the.closes_flat()


@failure("empty_200", "html_200", "truncated_body")
async def test_reads_without_an_answer_before_the_account_is_armed(venue: VenueUnderTest, book: AccountSeed) -> None:
    """There is no warm view then: the command waits for the first read that succeeds."""
    async with stage(venue, book, armed=False) as the:
        for read in READS:
            for deed in ("empty_200", "html_200", "truncated_body"):
                the.misbehave(deed, read, times=2)
        await the.closes_flat()
