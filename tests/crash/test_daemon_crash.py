"""The whole daemon is killed three hundred times: at every named point, and at random."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.support.crashing.lives import Death, Lives, schedule
from tests.support.crashing.points import POINTS
from tests.support.crashing.stage import raised

KILLS = 300
#: Side by side where there are workers; each with a broker, an exchange and a state directory of its own.
PARTS = 4
DEATHS = schedule(KILLS, random.Random(9))  # noqa: S311 - repeatable, not secret


def test_every_point_is_died_at_and_chance_has_its_share() -> None:
    """What the next test goes through: each point at each of its visits, more than once, and a third at random."""
    assert len(DEATHS) == KILLS
    for point, visits in POINTS.items():
        assert {death.at for death in DEATHS if death.point == point} == set(visits)
    assert DEATHS.count(Death()) >= KILLS // 3


@pytest.mark.parametrize("part", range(PARTS))
async def test_whenever_the_daemon_is_killed_nothing_is_lost_and_nothing_happens_twice(
    tmp_path: Path, part: int
) -> None:
    """Each life takes over what the last one left, carries out signed commands, and dies where it was told to.

    After every death: what anybody was told is in the journal, whole and once; the lock is what was told last, or
    newer; the exchange counts no flip and no added exposure. In the next life every confirmed command ends.
    """
    async with raised(tmp_path) as stage:
        lives = Lives(stage, random.Random(part))  # noqa: S311 - repeatable, not secret
        for death in DEATHS[part::PARTS]:
            await lives.die(death)
        await lives.live_on()
    assert lives.kills.total() == len(DEATHS[part::PARTS])
    assert set(stage.witness.locks) == {"file", "topic", "events", "socket"}
    assert lives.rounds > 0
    assert lives.replays > 0
