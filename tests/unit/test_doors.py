"""Under a lock, what lets orders in past the engine is shut where configuration asks for it, and said to be no more."""

from __future__ import annotations

from typing import Any

import pytest

from node.domain.command import Action
from node.engine import doors
from node.errors import VenueUnavailable
from tests.support.engine import ACCOUNT, Engine, engine
from tests.support.fake_venue import FakeVenue
from tests.support.waiting import until


def told(node: Engine[FakeVenue]) -> Any:
    """What the status says of them."""
    return node.dispatcher.actors[ACCOUNT].guard.document().get("doors")


async def test_doors_are_shut_when_the_lock_comes_and_not_before() -> None:
    """And the status says how many, and what that stops."""
    venue = FakeVenue(doors="webhook keys", open_doors=2)
    async with engine(venue) as node:
        await node.armed()
        assert venue.calls["shut_doors"] == 0
        await node.submit(Action.LOCK, ACCOUNT)
        await until(lambda: told(node)["shut"] == 2)
        assert (told(node)["what"], told(node)["trouble"]) == ("webhook keys", None)
        assert told(node)["none_open_at"] is not None


async def test_doors_that_are_opened_while_the_lock_holds_are_shut_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look now and then."""
    monkeypatch.setattr(doors, "LOOK_EVERY_S", 0.01)
    venue = FakeVenue(doors="webhook keys", open_doors=1)
    async with engine(venue) as node:
        await node.submit(Action.LOCK, ACCOUNT)
        await until(lambda: told(node)["shut"] == 1)
        venue.open_doors = 1
        await until(lambda: told(node)["shut"] == 2)


async def test_doors_that_cannot_be_shut_are_an_alert_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock itself is in force all the same."""
    monkeypatch.setattr(doors, "AGAIN_S", 0.01)
    venue = FakeVenue(doors="webhook keys", open_doors=1, doors_error=VenueUnavailable("away"))
    async with engine(venue) as node:
        await node.submit(Action.LOCK, ACCOUNT)
        guard = node.dispatcher.actors[ACCOUNT].guard
        await until(lambda: any(alert.startswith("DOORS_OPEN") for alert in guard.alerts()))
        assert told(node)["trouble"] == "away"
        venue.doors_error = None
        await until(lambda: told(node)["shut"] == 1)
        assert not any(alert.startswith("DOORS_OPEN") for alert in guard.alerts())


async def test_where_nobody_asks_for_it_nothing_is_shut_and_nothing_said() -> None:
    """As at every venue without doors."""
    venue = FakeVenue(open_doors=1)
    async with engine(venue) as node:
        await node.submit(Action.LOCK, ACCOUNT)
        assert told(node) is None
        assert venue.calls["shut_doors"] == 0
