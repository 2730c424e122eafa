"""What the program stands on: pinned with hashes, under licences that we know, ccxt at the version that was tested."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

import ccxt
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements.lock").read_text()
#: Licences that may stand beside ours in one process: permissive, or (MPL) copyleft of the file only.
ALLOWED = frozenset({"MIT", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "PSF-2.0", "MPL-2.0", "MIT-0", "0BSD", "ISC"})
#: How packages that say it in their own words mean it.
SPELLINGS = {
    "mit license": "MIT",
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "bsd license": "BSD-3-Clause",
    "python software foundation license": "PSF-2.0",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
}
#: On Windows only, where the node does not run.
NOT_HERE = {"winloop"}


def locked() -> dict[str, Requirement]:
    """Every requirement of the lock file, by name."""
    lines = LOCK.replace("\\\n", " ").splitlines()
    texts = [line.partition(" --hash")[0] for line in lines if line and not line.lstrip().startswith("#")]
    requirements = [Requirement(text) for text in texts]
    return {canonicalize_name(requirement.name): requirement for requirement in requirements}


def declared() -> list[Requirement]:
    """What pyproject.toml asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [Requirement(text) for text in project["dependencies"]]


def version_of(requirement: Requirement) -> str:
    """Of an exact pin."""
    (pin,) = requirement.specifier
    assert pin.operator == "=="
    return pin.version


def test_the_lock_fits_what_is_declared() -> None:
    """`uv pip compile` again after a change of pyproject.toml; its first lines say how."""
    pins = locked()
    for requirement in declared():
        pinned = pins[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version_of(pinned)), f"{requirement} is locked as {pinned}"


def test_the_lock_holds_everything_that_is_needed() -> None:
    """Whatever any of it needs here is in it, at a version that suits. CI has installed exactly what is locked."""
    pins = locked()
    installed = {each.metadata["Name"]: each.version for each in metadata.distributions()}
    versions: dict[str, str] = {canonicalize_name(name): version for name, version in installed.items()}
    same = {name for name in pins.keys() - NOT_HERE if versions.get(name) == version_of(pins[name])}
    assert "ccxt" in same
    for name in same:
        for text in metadata.requires(name) or ():
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                assert needed.specifier.contains(version_of(pins[canonicalize_name(needed.name)])), (name, text)


def test_every_line_has_a_hash_and_names_no_place() -> None:
    """Where it comes from is the installer's; that it is the same is ours."""
    blocks = re.split(r"^(?=[a-z0-9])", LOCK, flags=re.MULTILINE)[1:]
    assert len(blocks) == len(locked())
    assert [block.splitlines()[0] for block in blocks if "--hash=sha256:" not in block] == []
    assert "://" not in LOCK


def licences_of(name: str) -> list[set[str]]:
    """By their SPDX names: all of the list apply, of each set one may be chosen. What is not understood stays so."""
    about = metadata.metadata(name).json
    expression, own_words = about.get("license_expression"), str(about.get("license") or "")
    if expression is None and len(own_words) < 80 and own_words:
        expression = own_words
    if expression is None:
        classifiers = [text for text in about.get("classifier", ()) if text.startswith("License ::")]
        return [{SPELLINGS.get(last.lower(), last)} for last in (text.rpartition(" :: ")[2] for text in classifiers)]
    choices = [re.split(r"\s+OR\s+", part) for part in re.split(r"\s+AND\s+", re.sub(r"[()]", "", str(expression)))]
    return [{SPELLINGS.get(part.lower(), part) for part in choice} for choice in choices]


@pytest.mark.parametrize("name", sorted(locked().keys() - NOT_HERE))
def test_every_licence_is_known_and_suits(name: str) -> None:
    """All of it ships beside our Apache-2.0. A new licence is a decision: look at it, then add it above."""
    licences = licences_of(name)
    assert licences, f"{name} does not say its licence"
    assert all(choice & ALLOWED for choice in licences), f"{name}: {licences}"


def test_ccxt_is_the_one_whose_requests_were_tested() -> None:
    """Another version may send other requests for the same call, and we rely on every field of them.

    Before the pin is moved: run `tests/contract/test_*_requests.py`, `test_*_answers.py` and `test_venue_*.py` with the
    new one (each compares what ccxt sends with the exchange's documentation), and the failure suite for the simulated
    exchanges; then change `ccxt==` in pyproject.toml and compile requirements.lock again.
    """
    (requirement,) = [each for each in declared() if each.name == "ccxt"]
    pinned = version_of(requirement)
    assert version_of(locked()["ccxt"]) == pinned
    assert metadata.version("ccxt") == pinned, f"installed is {metadata.version('ccxt')}, tested was {pinned}"
    assert str(ccxt.__version__) == pinned
    tests = sorted(path.name for path in (ROOT / "tests" / "contract").glob("test_*_requests.py"))
    assert len(tests) >= 10, "the tests that hold ccxt's requests are gone"
