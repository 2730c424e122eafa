"""Reads over WebSockets are requests like any other: the gate sees them, and they are recorded."""

from __future__ import annotations

import pytest

from node.domain.permission import Effect
from node.domain.steps import Outcome, Refusal
from node.errors import VenueDenied, VenueError
from node.venues import wire
from node.venues.gate import NotPermitted
from node.venues.wire import Wire
from tests.support.b2prime import HOST
from tests.support.b2prime_venue import API, POSITION, b2prime_venue, close, position
from tests.support.venue_sim import bench

TOKEN = f"POST {API}/v4/access-token"
CLOSE = f"POST {API}/v4/positions/{POSITION}/close"


async def test_a_look_through_a_hub_is_stamped_like_an_answer_over_http() -> None:
    """When it was asked, when it was answered, and what was said: for the log, and for who measures."""
    async with bench(venue="b2prime") as the:
        client = the.venue._client
        [call] = client._profile.reads(the.venue._parts["linear"]).positions
        attempt = await client.asked(call)
        record = attempt.wire
        assert record.left
        assert record.sent_ns is not None
        assert record.answered_ns is not None
        assert record.sent_ns < record.answered_ns
        assert (record.status, record.document()["positions"]) == (200, attempt.answer["item"])


async def test_a_hub_that_is_not_known_is_not_connected_to() -> None:
    """By its place, as with every request."""
    async with b2prime_venue() as (venue, _):
        connecting = venue._client.ccxt.before_connecting
        with wire.recording(Wire(effect=Effect.READ)), pytest.raises(NotPermitted):
            connecting(f"wss://{HOST}/frontoffice/ws/v4/orders?access_token=JWT")


async def test_a_refused_handshake_says_why() -> None:
    """A hub that wants a person's help is no hub that is away."""
    async with bench(venue="b2prime") as the:
        the.sim.set_faults(
            rules=[{"match": {"intent": "stream"}, "do": {"refuse": {"code": "forbidden", "status": 403}}}]
        )
        with pytest.raises(VenueError) as caught:
            await the.venue.read_positions("linear")
        assert isinstance(caught.value, VenueDenied)


async def test_the_exchange_of_the_token_is_a_read_of_its_own_and_not_the_orders_one_request() -> None:
    """The order that needs it leaves all the same, once."""
    async with b2prime_venue() as (venue, sent):
        sent.holds(position())
        sent.answers[CLOSE] = {"positionId": POSITION}
        await venue.read_positions("linear")
        venue._client.ccxt._access = None
        sent.sent.clear()
        assert (await venue.execute(close())).outcome is Outcome.DONE
        assert [each.line for each in sent.sent] == [TOKEN, CLOSE]


async def test_an_order_whose_token_was_refused_is_sent_once_more_and_the_second_answer_counts() -> None:
    """401 has done nothing; what the second attempt comes to is not hidden behind it."""
    async with b2prime_venue() as (venue, sent):
        sent.holds(position())
        await venue.read_positions("linear")
        sent.sent.clear()
        sent.answers[CLOSE] = [(401, ""), (200, {"positionId": POSITION})]
        assert (await venue.execute(close())).outcome is Outcome.DONE
        assert [each.line for each in sent.sent] == [CLOSE, TOKEN, CLOSE]
        await venue.read_positions("linear")
        sent.answers[CLOSE] = [(401, ""), ConnectionResetError()]
        assert (await venue.execute(close())).outcome is Outcome.AMBIGUOUS


async def test_a_key_that_admits_to_nothing_any_more_is_a_denial_of_the_step_it_was_needed_for() -> None:
    """Nothing was sent, and only a person can help."""
    async with b2prime_venue() as (venue, sent):
        sent.holds(position())
        await venue.read_positions("linear")
        venue._client.ccxt._access = None
        sent.answers[TOKEN] = (401, {"detail": "revoked"})
        result = await venue.execute(close())
        assert (result.outcome, result.refusal, result.sent_ns) == (Outcome.REFUSED, Refusal.DENIED, None)
        with pytest.raises(VenueDenied):
            await venue.read_positions("linear")
