"""Chooses the venues, gives every test the ones where its failure can occur, and sees that it was judged."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterator
from functools import cache
from itertools import product
from typing import Any, Final, Protocol

import pytest

from node.venues import pool
from tests.failure import stage
from tests.failure.books import BOOKS
from tests.failure.venues import LINEAR, VENUES, VenueUnderTest

#: Where nobody names a venue, this one shows every case of every test. ``--venue`` shows all there is at that venue.
FULLY: Final = "binance"
#: The failure that only a book with two legs a market can show.
HEDGE_SIDES: Final = "hedge_sides"
_trust = cache(pool.trust)


class Compress(Protocol):
    """Makes the engine's constants shorter."""

    def __call__(self, **constants: float) -> None:
        """By name, in every module that has it."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """One venue only."""
    parser.addoption("--venue", action="append", choices=sorted(VENUES), help="a simulated venue; all if left out")


def pytest_configure(config: pytest.Config) -> None:
    """The mark that says which failures a test stands for."""
    config.addinivalue_line("markers", "failure(*names): the failures that a test stands for")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every venue where the failure can occur; where it is asked for, every contract, book, or part but the linear."""
    if "venue" not in metafunc.fixturenames:
        return
    # The option is known only where this folder was named on the command line.
    chosen = metafunc.config.getoption("--venue", default=None) or sorted(VENUES)
    names = {name for mark in metafunc.definition.iter_markers("failure") for name in mark.args}
    if "book" in metafunc.fixturenames:  # the other book is good anywhere
        names -= {HEDGE_SIDES}
    venues = [venue for venue in (VENUES[name] for name in chosen) if not names & venue.impossible.keys()]
    wanted = ["venue", *(name for name in ("contract", "book", "part") if name in metafunc.fixturenames)]
    cases = [case for venue in venues for case in product([venue], *(_choices(venue, name) for name in wanted[1:]))]
    ids = ["-".join(str(getattr(each, "name", each)) for each in case) for case in cases]
    metafunc.parametrize(",".join(wanted), [case if len(wanted) > 1 else case[0] for case in cases], ids=ids)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where nobody names a venue, all but one show every other case of each test: another half at each venue."""
    if config.getoption("--venue", default=None):
        return
    cases: dict[tuple[str, str], list[pytest.Item]] = {}
    for item in items:
        venue = (
            item.callspec.params.get("venue")
            if isinstance(item, pytest.Function) and hasattr(item, "callspec")
            else None
        )
        if isinstance(venue, VenueUnderTest) and venue.name != FULLY:
            cases.setdefault((item.nodeid.partition("[")[0], venue.name), []).append(item)
    left_out = {case for (test, venue), group in cases.items() for case in _other_half(group, f"{test} {venue}")}
    config.hook.pytest_deselected(items=[item for item in items if item in left_out])
    items[:] = [item for item in items if item not in left_out]


def _other_half(group: list[pytest.Item], name: str) -> list[pytest.Item]:
    return group[zlib.crc32(name.encode()) % 2 :: 2] if len(group) > 1 else []


def _choices(venue: VenueUnderTest, name: str) -> tuple[Any, ...]:
    if name == "part":
        return tuple(each for each in venue.slices if each != LINEAR.product)
    if name == "contract":
        return venue.contracts
    return tuple(book for book in BOOKS if not book.hedge or HEDGE_SIDES not in venue.impossible)


@pytest.fixture
def compress(monkeypatch: pytest.MonkeyPatch) -> Compress:
    """Minutes in milliseconds, where nothing else can be waited for."""

    def shorten(**constants: float) -> None:
        for name, value in constants.items():
            modules = [
                module for key, module in sys.modules.items() if key.startswith("node.") and hasattr(module, name)
            ]
            assert modules, f"nobody has a constant called {name}"
            for module in modules:
                monkeypatch.setattr(module, name, value)

    return shorten


@pytest.fixture
def quick_minute(venue: VenueUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Budgets come back in seconds, at the venue as by our own count: reading what is never right spends them."""
    venue.shorten_minute(monkeypatch.setattr, 3.0)


@pytest.fixture(autouse=True)
def _usual_minute(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the venue's own."""
    venue = request.getfixturevalue("venue") if "venue" in request.fixturenames else None
    if venue is not None and venue.usual_minute_s is not None:
        venue.shorten_minute(monkeypatch.setattr, venue.usual_minute_s)


@pytest.fixture(autouse=True)
def _quick_and_quiet(compress: Compress) -> None:
    """Short pauses; and a background that polls once and then keeps still, so that faults reach whom they are for."""
    compress(POSITIONS_EVERY_S=3600.0, SWEEP_EVERY_S=3600.0, WARM_SOCKETS_EVERY_S=3600.0, SOCKETS_MIN=2, SOCKETS_MAX=4)
    compress(PAUSE_MAX_S=0.1, UNNAMED_PAUSE_S=0.5, FAILED_AGAIN_AFTER_S=0.05)


@pytest.fixture(autouse=True)
def _trust_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The authority is the same for all: reading the system's own costs more than a whole close."""
    monkeypatch.setattr(pool, "trust", _trust)


@pytest.fixture(autouse=True)
def _judged(request: pytest.FixtureRequest) -> Iterator[None]:
    """A failure test that never set the stage has not been judged."""
    before = stage.stages
    yield
    if request.node.get_closest_marker("failure") is not None:
        assert stage.stages > before, "the test did not use the stage"
