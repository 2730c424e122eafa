"""The garbage collector does not pause an emergency, and does not cease for good."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator

import pytest

from node.garbage import LONGEST_PAUSE_S, PAUSE_S, THRESHOLDS, Collector, keep_what_stays
from tests.support.engine import ACCOUNT, OTHER, engine
from tests.support.fake_venue import FakeVenue
from tests.support.virtual_time import VirtualClock, in_virtual_time
from tests.support.waiting import until


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Other tests of the process have the collector that they had."""
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
    gc.enable()
    gc.unfreeze()


def is_looked_at(one: object) -> bool:
    """Whether the next full pass would."""
    return any(each is one for each in gc.get_objects())


async def test_passes_come_seldom_while_a_node_runs() -> None:
    """A hundred times as many objects as usual are made before all are looked at."""
    with Collector():
        assert gc.get_threshold() == THRESHOLDS
    assert gc.get_threshold() != THRESHOLDS


async def test_a_node_that_ends_in_a_pause_leaves_the_collector_as_it_was() -> None:
    """The process may have other things to do."""
    with Collector() as collector:
        collector.pause()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_every_command_has_a_pause_of_its_own() -> None:
    """One that comes at the end of another's."""

    async def story(clock: VirtualClock) -> None:
        with Collector() as collector:
            collector.pause()
            await asyncio.sleep(PAUSE_S * 0.9)
            collector.pause()
            await asyncio.sleep(PAUSE_S * 0.9)
            assert not gc.isenabled()
            await asyncio.sleep(PAUSE_S * 0.2)
            assert gc.isenabled()

    in_virtual_time(story)


def test_a_pause_ends_however_often_it_is_asked_for() -> None:
    """Commands one after the other must not let the memory grow."""

    async def story(clock: VirtualClock) -> None:
        with Collector() as collector:
            ends = asyncio.get_running_loop().time() + LONGEST_PAUSE_S
            while asyncio.get_running_loop().time() < ends:
                collector.pause()
                assert not gc.isenabled()
                await asyncio.sleep(PAUSE_S / 4 + 0.001)
            assert gc.isenabled()
            collector.pause()
            assert not gc.isenabled()

    in_virtual_time(story)


async def test_what_an_account_has_once_it_is_ready_is_not_looked_at_again() -> None:
    """Whatever another account still waits for."""
    async with engine(FakeVenue(), FakeVenue()) as node:
        first, second = (node.dispatcher.actors[account] for account in (ACCOUNT, OTHER))
        for actor in (first, second):
            await actor.ready.wait()
            actor.ready.clear()
        of_the_node = ["what it has without any account"]
        keeping = asyncio.create_task(keep_what_stays([first, second]), name="keeping")
        await asyncio.sleep(0)
        assert not is_looked_at(of_the_node)
        its_own = ["what it has"]
        assert is_looked_at(its_own)
        first.ready.set()
        await until(lambda: not is_looked_at(its_own))
        assert not keeping.done()
        of_the_second = ["what it has"]
        second.ready.set()
        await keeping
        assert not is_looked_at(of_the_second)
