"""A venue that refuses to show what an account has never opened says so by a code, and only that code is an answer."""

from __future__ import annotations

from typing import Any

import pytest

from node.domain.permission import Effect
from node.errors import VenueError
from node.venues.call import Call, Reply
from tests.support.venue import Answer, error, recorded_venue

READ = Call(endpoint="fapiPrivateGetOpenOrders", effect=Effect.READ)


def never_opened(_call: Call, reply: Reply) -> Any:
    """As a profile might: one code of the venue's means that there is nothing."""
    return [] if reply.code == "-4109" else None


async def test_a_refusal_that_means_nothing_is_there_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a read, by the venue's own code."""
    async with recorded_venue() as (venue, fetch):
        monkeypatch.setattr(venue._profile, "nothing", never_opened)
        fetch.default = error(-4109, "This account is inactive.")
        assert await venue._client.ask(READ) == []


@pytest.mark.parametrize(
    "given",
    [
        error(-4110, "Something else."),
        error(-4109, "This account is inactive.", 500),
        Answer(body="<html>-4109</html>", status=400),
        Answer(body="", status=400),
    ],
)
async def test_every_other_refusal_stays_one(given: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another code, a server's error, a page."""
    async with recorded_venue() as (venue, fetch):
        monkeypatch.setattr(venue._profile, "nothing", never_opened)
        fetch.default = given
        with pytest.raises(VenueError):
            await venue._client.ask(READ)


async def test_usually_a_refusal_is_a_refusal() -> None:
    """Unless a profile knows better."""
    async with recorded_venue() as (venue, fetch):
        fetch.default = error(-4109, "This account is inactive.")
        with pytest.raises(VenueError):
            await venue._client.ask(READ)
