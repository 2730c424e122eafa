"""What the service manager is told, and when it is told nothing."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.observe.watchdog import Heartbeat, ServiceManager, Watchdog
from tests.support.virtual_time import VirtualClock, in_virtual_time


@pytest.fixture
def heard(tmp_path: Path) -> Iterator[socket.socket]:
    """The other end."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(str(tmp_path / "notify"))
        bound.setblocking(False)
        yield bound


def manager_of(heard: socket.socket, **environment: str) -> ServiceManager:
    """As the environment describes it."""
    return ServiceManager.of_environment({"NOTIFY_SOCKET": heard.getsockname(), **environment})


def words(heard: socket.socket) -> list[str]:
    """Everything that has arrived."""
    found = []
    while True:
        try:
            found.append(heard.recv(4096).decode())
        except BlockingIOError:
            return found


class TestServiceManager:
    def test_is_told_in_its_own_words(self, heard: socket.socket) -> None:
        """Each word is one datagram; its instants are the kernel's monotonic clock in microseconds."""
        manager = manager_of(heard)
        manager.ready("fine")
        manager.reloading()
        manager.alive()
        manager.stopping("going", within_s=25)
        ready, reloading, alive, stopping = words(heard)
        assert ready == "READY=1\nSTATUS=fine"
        assert reloading.startswith("RELOADING=1\nMONOTONIC_USEC=")
        assert reloading.rpartition("=")[2].isdigit()
        assert alive == "WATCHDOG=1"
        assert stopping == "STOPPING=1\nEXTEND_TIMEOUT_USEC=25000000\nSTATUS=going"

    def test_hears_a_status_once_and_on_one_line(self, heard: socket.socket) -> None:
        """The same again is no news; a line break would be another word."""
        manager = manager_of(heard)
        manager.status("all\nREADY=1 well")
        manager.status("all\nREADY=1 well")
        assert words(heard) == ["STATUS=all READY=1 well"]

    def test_may_be_an_abstract_socket(self) -> None:
        """Written with an @."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
            bound.bind(f"\0sovereign-node-test-{os.getpid()}")
            bound.setblocking(False)
            ServiceManager(f"@sovereign-node-test-{os.getpid()}").alive()
            assert words(bound) == ["WATCHDOG=1"]

    def test_is_never_waited_for(self, heard: socket.socket, tmp_path: Path) -> None:
        """Full, gone or not there at all: the words are dropped, nothing is raised; a lost status is told again."""
        manager = manager_of(heard)
        for _ in range(10_000):
            manager.alive()
        manager.status("lost")
        assert len(words(heard)) < 10_000
        manager.status("lost")
        assert words(heard) == ["STATUS=lost"]
        ServiceManager(str(tmp_path / "nobody")).alive()
        ServiceManager(None).ready("fine")

    @pytest.mark.parametrize(
        ("environment", "expected_s"),
        [
            ({"WATCHDOG_USEC": "15000000"}, 15.0),
            ({"WATCHDOG_USEC": "15000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
            ({"WATCHDOG_USEC": "15000000", "WATCHDOG_PID": "1"}, None),
            ({"WATCHDOG_USEC": "soon"}, None),
            ({}, None),
        ],
    )
    def test_says_itself_how_long_it_waits(
        self, heard: socket.socket, environment: dict[str, str], expected_s: float | None
    ) -> None:
        """A watchdog that was meant for our parent is not ours."""
        assert manager_of(heard, **environment).watchdog_s == expected_s


class TestHeartbeat:
    async def test_is_missed_when_nothing_comes_back(self) -> None:
        """However the work is stuck; and found again when it comes round."""
        now_ns, open_gate, rounds = [0], asyncio.Event(), asyncio.Semaphore(0)

        async def beat() -> bool:
            rounds.release()
            await open_gate.wait()
            return True

        heart = Heartbeat(beat, every_s=0, age_max_s=10, monotonic_ns=lambda: now_ns[0])
        task = asyncio.create_task(heart.run(), name="heart")
        await rounds.acquire()
        now_ns[0] = 11 * 10**9
        assert heart.ping() == "has not come round for 11 s"
        open_gate.set()
        await rounds.acquire()
        assert heart.ping() is None
        task.cancel()

    async def test_is_missed_when_what_comes_back_is_no_answer(self) -> None:
        """The work says so itself."""
        now_ns, rounds = [0], asyncio.Semaphore(0)

        async def beat() -> bool:
            rounds.release()
            return False

        heart = Heartbeat(beat, every_s=0, age_max_s=10, monotonic_ns=lambda: now_ns[0])
        task = asyncio.create_task(heart.run(), name="heart")
        now_ns[0] = 11 * 10**9
        await rounds.acquire()
        await rounds.acquire()
        assert heart.ping() is not None
        task.cancel()


class TestWatchdog:
    def test_is_fed_while_there_is_no_reason_for_a_restart(self, heard: socket.socket) -> None:
        """One reason is enough against it, and is told in the status."""
        wrong: dict[str, str] = {}
        pings = {name: (lambda name=name: wrong.get(name)) for name in ("loop", "journal")}
        watchdog = Watchdog(manager_of(heard), pings, status=lambda: "ready: 1 armed")
        watchdog.tell()
        assert words(heard) == ["STATUS=ready: 1 armed", "WATCHDOG=1"]
        wrong["journal"] = "has not come round for 11 s"
        watchdog.tell()
        watchdog.tell()
        assert words(heard) == ["STATUS=NOT ALIVE (journal: has not come round for 11 s)"]
        assert watchdog.reasons() == ["journal: has not come round for 11 s"]
        wrong.clear()
        watchdog.tell()
        assert words(heard) == ["STATUS=ready: 1 armed", "WATCHDOG=1"]

    @pytest.mark.parametrize(("length_us", "at_least"), [("400000", 8), ("60000000", 8)])
    def test_is_fed_several_times_a_length_and_once_a_second_at_least(
        self, heard: socket.socket, length_us: str, at_least: int
    ) -> None:
        """One late turn of the loop is not yet its end; and the status is never old."""

        async def two_lengths_or_eight_seconds(_clock: VirtualClock) -> None:
            watchdog = Watchdog(manager_of(heard, WATCHDOG_USEC=length_us), {}, status=lambda: "")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(2 * int(length_us) / 1e6, 8) - 0.001):
                    await watchdog.run()

        in_virtual_time(two_lengths_or_eight_seconds)
        assert words(heard).count("WATCHDOG=1") == at_least
