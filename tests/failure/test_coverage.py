"""Every failure on the list is tested at every venue, or cannot occur there and it says why."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.failure.failures import FAILURES
from tests.failure.venues import VENUES


def modules() -> Iterator[ModuleType]:
    """The modules of this folder that hold tests."""
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        yield importlib.import_module(f"tests.failure.{path.stem}")


def marks_of(test: object) -> set[frozenset[str]]:
    """What a test stands for: by itself, and with each of its cases."""
    marks = getattr(test, "pytestmark", [])
    own = frozenset(name for mark in marks if mark.name == "failure" for name in mark.args)
    cases = [
        frozenset(name for mark in case.marks if mark.name == "failure" for name in mark.args)
        for marked in marks
        if marked.name == "parametrize"
        for case in marked.args[1]
        if hasattr(case, "marks")
    ]
    return {names for names in (own, *(own | case for case in cases)) if names}


def covered_by() -> dict[str, set[frozenset[str]]]:
    """Failure by failure, what else each of its tests stands for: a test is left out where any of that cannot occur."""
    found: dict[str, set[frozenset[str]]] = {}
    for module in modules():
        for name, member in vars(module).items():
            for names in marks_of(member) if name.startswith("test_") else ():
                for each in names:
                    found.setdefault(each, set()).add(names)
    return found


@pytest.mark.parametrize("name", sorted(VENUES))
def test_every_failure_is_tested_or_impossible_for_a_reason(name: str) -> None:
    """At this venue."""
    impossible = VENUES[name].impossible
    covered = {each for each, tests in covered_by().items() if any(not impossible.keys() & others for others in tests)}
    assert FAILURES.keys() - covered - impossible.keys() == set()
    assert impossible.keys() <= FAILURES.keys()
    assert all(len(reason) > 20 for reason in impossible.values())


def test_every_test_says_what_it_stands_for() -> None:
    """In all modules but this one."""
    for module in modules():
        for name, member in vars(module).items():
            if name.startswith("test_") and module.__name__ != __name__:
                assert marks_of(member), f"{module.__name__}.{name}"
