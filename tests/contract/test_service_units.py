"""The shipped units, held against systemd's own tools and against what the daemon really does."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from node.app import STOP_WITHIN_S
from node.signals.app import STOP_WITHIN_S as SIGNALS_STOP_WITHIN_S
from node.signals.settings import SignalsTable
from tests.support.mosquitto import executable
from tests.support.processes import ACCOUNT, site

UNITS = Path(__file__).parents[2] / "systemd"
PROGRAM = "/opt/sovereign-node/bin/sovereign-node"
#: Our lines alone may not be worth more than this in `systemd-analyze security` (tenths: 1.5).
EXPOSURE_MAX = "15"
#: Known to differ between the node and the instance: names and places.
OWN = re.compile(r"[-/ ]%i")


def directives(unit: str) -> list[str]:
    """The lines that mean something, in order."""
    lines = (UNITS / unit).read_text().splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


def value(unit: str, name: str) -> str:
    """The only value of a directive."""
    (found,) = [line.partition("=")[2] for line in directives(unit) if line.partition("=")[0] == name]
    return found


def analyse(*arguments: str) -> subprocess.CompletedProcess[str]:
    """`systemd-analyze`."""
    command = [executable("systemd-analyze"), "--no-pager", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    "name", ["sovereign-node.service", "sovereign-node@desk.service", "sovereign-node-signals.service"]
)
def test_systemd_finds_no_fault_with_the_units(tmp_path: Path, name: str) -> None:
    """Every directive is known and every value understood; only the program has to be where it is installed."""
    unit = name.replace("@desk", "@")
    (tmp_path / name).write_text((UNITS / unit).read_text().replace(PROGRAM, "/bin/true"))
    done = analyse("verify", "--man=no", str(tmp_path / name))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_systemd_finds_no_fault_with_the_brokers_drop_in(tmp_path: Path) -> None:
    """On top of a service like Debian's."""
    unit = "[Service]\nType=notify\nExecStart=/bin/true\n"
    (tmp_path / "mosquitto.service").write_text(unit)
    drop_in = tmp_path / "mosquitto.service.d"
    drop_in.mkdir()
    (drop_in / "own.conf").write_text((UNITS / "mosquitto.service.d" / "sovereign-node.conf").read_text())
    done = analyse("verify", "--man=no", str(tmp_path / "mosquitto.service"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    "unit", ["sovereign-node.service", "sovereign-node@.service", "sovereign-node-signals.service"]
)
def test_little_is_exposed(unit: str) -> None:
    """1.5 or better by `systemd-analyze security`; what is left is the network, which is its work."""
    done = analyse("security", "--offline=true", f"--threshold={EXPOSURE_MAX}", str(UNITS / unit))
    assert done.returncode == 0, done.stdout


def test_an_instance_is_the_same_service_in_places_of_its_own() -> None:
    """What is changed in one file is changed in the other."""
    assert [OWN.sub("", line) for line in directives("sovereign-node@.service")] == [
        OWN.sub("", line) for line in directives("sovereign-node.service")
    ]


def test_signals_are_in_the_nodes_sandbox_with_a_user_and_folders_of_their_own() -> None:
    """An internet door that adds risk: nothing of what shuts the node in may be missing."""
    node, signals = directives("sovereign-node.service"), directives("sovereign-node-signals.service")
    begin = node.index("NoNewPrivileges=yes")
    assert signals[signals.index("NoNewPrivileges=yes") :] == node[begin:]
    assert {"DynamicUser=yes", "UMask=0077", "LimitCORE=0", "StateDirectoryMode=0700"} <= set(signals)
    for name in ("StateDirectory", "RuntimeDirectory"):
        assert value("sovereign-node-signals.service", name) != value("sovereign-node.service", name)
    assert int(value("sovereign-node-signals.service", "OOMScoreAdjust")) > 0
    assert not [line for line in node if "signals" in line]


def test_signals_are_given_the_time_that_an_order_on_its_way_takes() -> None:
    """And the answer with it."""
    bounds = [each.le for each in SignalsTable.model_fields["request_timeout_s"].metadata if hasattr(each, "le")]
    assert float(value("sovereign-node-signals.service", "TimeoutStopSec")) > max(bounds) + SIGNALS_STOP_WITHIN_S


@pytest.mark.parametrize("unit", ["sovereign-node.service", "sovereign-node-signals.service"])
def test_it_is_restarted_for_ever(unit: str) -> None:
    """Whatever it ended with, however often."""
    assert value(unit, "Restart") == "always"
    assert value(unit, "StartLimitIntervalSec") == "0"


def test_it_is_given_the_time_that_its_end_takes() -> None:
    """Killed before, it would not say offline."""
    assert float(value("sovereign-node.service", "TimeoutStopSec")) > STOP_WITHIN_S


@pytest.mark.parametrize(
    ("unit", "configuration"),
    [
        ("sovereign-node.service", "node.example.toml"),
        ("sovereign-node-signals.service", "signals.example.toml"),
    ],
)
def test_the_unit_loads_the_credentials_that_the_example_refers_to(unit: str, configuration: str) -> None:
    """No more and no fewer."""
    loaded = {
        line.partition("=")[2].partition(":")[0] for line in directives(unit) if line.startswith("LoadCredential=")
    }
    example = (UNITS.parent / "config" / configuration).read_text()
    named = {
        name
        for line in example.splitlines()
        if not line.startswith("#")
        for name in re.findall(r'credential = "(\w+)"', line)
    }
    assert loaded == named


def allowed_calls() -> set[str]:
    """What the unit's filter lets through: groups and names in the order of the lines, ``~`` taking away."""
    listed = analyse("syscall-filter")
    groups: dict[str, set[str]] = {}
    name = ""
    for line in listed.stdout.splitlines():
        if line.startswith("@"):
            name = line.strip()
            groups[name] = set()
        elif line.startswith("    ") and not line.strip().startswith("#"):
            groups[name].add(line.strip())

    def members(word: str) -> set[str]:
        if not word.startswith("@"):
            return {word}
        return set().union(*(members(inner) for inner in groups[word]))

    allowed: set[str] = set(members("@default"))
    for line in directives("sovereign-node.service"):
        if line.startswith("SystemCallFilter="):
            words = line.partition("=")[2]
            named = set().union(*(members(word) for word in words.removeprefix("~").split()))
            allowed = allowed - named if words.startswith("~") else allowed | named
    return allowed


def test_everything_that_the_daemon_asks_of_the_kernel_is_allowed(tmp_path: Path) -> None:
    """From its start over a close at the exchange and a broker to its end, every system call is on the list.

    (Where systemd runs, `tests/service/boot_and_run.sh` starts the unit itself, with the whole sandbox.)
    """
    with site(tmp_path) as made:
        made.start_simulator()
        daemon = made.start_daemon(ready=False)
        trace = tmp_path / "trace"
        command = [executable("strace"), "-f", "-qq", "-o", str(trace), "-p", str(daemon.pid)]
        tracer = subprocess.Popen(command)
        try:
            made.until_ready()
            key = str(made.folder / "desk.key")
            status, document, error = made.call("send", "CLOSE_ALL", ACCOUNT, "--via", "mqtt", "--key", key, "--wait")
            assert (status, document["state"]) == (0, "done"), error
            daemon.terminate()
            assert daemon.wait(STOP_WITHIN_S) == 0
        finally:
            tracer.wait(30)
        asked = set(re.findall(r"^\d+ +([a-z_0-9]+)\(", trace.read_text(), flags=re.MULTILINE))
    assert {"openat", "sendto", "connect", "fdatasync"} <= asked
    # SQLite gives new files to their folder's owner, but only as root, which the service is not.
    assert asked - allowed_calls() <= {"fchown"}
