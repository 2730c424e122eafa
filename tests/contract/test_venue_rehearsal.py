"""A close that is rehearsed goes through everything but the socket."""

from __future__ import annotations

import pytest

from node.domain.permission import Permission
from node.domain.steps import Step
from node.venues.gate import Gate
from tests.support.venue import cancel_orders, close_position, recorded_venue, sell_spot

STEPS: tuple[Step, ...] = (
    close_position(),
    close_position(hedged=True),
    close_position(slice="inverse", market_id="BTCUSD_PERP"),
    cancel_orders("11"),
    sell_spot(),
)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: f"{type(step).__name__}:{step.slice}")
async def test_nothing_is_sent_and_nothing_is_charged(step: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    """But the gate has seen the very requests that a real one would send."""
    passed: list[str] = []
    check = Gate.check

    def seen(gate: Gate, url: str, method: str, body: object, record: object) -> None:
        check(gate, url, method, body, record)  # type: ignore[arg-type]
        passed.append(f"{method} {url.partition('?')[0]}")

    monkeypatch.setattr(Gate, "check", seen)
    async with recorded_venue(slices=("spot", "linear", "inverse")) as (venue, fetch):
        before = venue.budget_left()
        await venue.rehearse(step)
        rehearsed = set(passed)
        assert fetch.sent == []
        assert venue.budget_left() == before
        await venue.execute(step)
        assert fetch.only.path in {each.partition(".com")[2] for each in rehearsed}
        assert venue.budget_left() != before


async def test_what_is_not_permitted_is_not_rehearsed_either() -> None:
    """And raises for nothing."""
    async with recorded_venue(permission=Permission.READ) as (venue, fetch):
        await venue.rehearse(close_position())
        await venue.rehearse(close_position(slice="nowhere"))
        assert fetch.sent == []
