"""What the service manager is told: that we serve, how we are, and that a restart would not help.

The protocol is systemd's sd_notify(3): datagrams of ``NAME=value`` lines to the socket that ``$NOTIFY_SOCKET`` names.
It is small and frozen; what the registries offer for it has not been kept up or needs systemd's C headers, so the few
lines are here.

The watchdog is fed while a restart would not help: the event loop turns, the inbox comes round its queue, and the
journal answers. An answer may be "cannot be written": then the node knows it, works on without a record and reopens
the file by itself, while a new process would have forgotten what is owed to it. Broker and venue have no part in it.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from array import array
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import structlog

from node.observe.health import Ping

#: Between two looks, and two words to the service manager, at most.
TICK_S: Final = 1.0
#: Words a watchdog's length.
_WORDS_A_LENGTH: Final = 4

log = structlog.get_logger(__name__)


class ServiceManager:
    """The other end of ``$NOTIFY_SOCKET``; without one every word is dropped.

    Nothing here blocks or raises: a service manager that is away or slow is none of our business.
    """

    def __init__(self, address: str | None, *, watchdog_s: float | None = None) -> None:
        self._address = address
        #: How long it waits for the next ``alive``; None: it does not.
        self.watchdog_s: Final = watchdog_s
        self._status = ""
        self._heard = True

    @classmethod
    def of_environment(cls, environ: Mapping[str, str] | None = None) -> ServiceManager:
        """As systemd describes itself to its child; a watchdog that was meant for another process is not ours."""
        environ = os.environ if environ is None else environ
        address = environ.get("NOTIFY_SOCKET", "")
        length_us, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
        ours = length_us.isdigit() and int(length_us) > 0 and pid in ("", str(os.getpid()))
        # Abstract sockets are written with an @; anything else than these two is for virtual machines.
        usable = address.startswith(("/", "@"))
        return cls(address if usable else None, watchdog_s=int(length_us) / 1e6 if ours and usable else None)

    def ready(self, status: str) -> None:
        """We serve (again)."""
        self._tell("READY=1", *self._news(status))

    def reloading(self) -> None:
        """The configuration is read again; ``ready`` ends it. The instant tells systemd which reload it is."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self, status: str, *, within_s: float) -> None:
        """We end, and need so long for it."""
        self._tell("STOPPING=1", f"EXTEND_TIMEOUT_USEC={round(within_s * 1e6)}", *self._news(status))

    def status(self, status: str) -> None:
        """One line for people, sent only if it is news."""
        if news := self._news(status):
            self._tell(*news)

    def alive(self) -> None:
        """A restart would not help: wait on."""
        self._tell("WATCHDOG=1")

    def keep(self, name: str, descriptor: int) -> None:
        """Hold a file for the next process of this service."""
        self._tell("FDSTORE=1", f"FDNAME={name}", descriptors=[descriptor])

    def _news(self, status: str) -> list[str]:
        if status == self._status:
            return []
        self._status = status
        return [f"STATUS={' '.join(status.split())}"]

    def _tell(self, *lines: str, descriptors: Sequence[int] = ()) -> None:
        if self._address is None:
            return
        path = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ours:
                ours.setblocking(False)
                passed = array("i", descriptors)
                rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, passed)] if passed else []
                ours.sendmsg(["\n".join(lines).encode()], rights, 0, path)
        except OSError as error:
            if self._heard:
                log.warning("service_manager_not_told", error=error.strerror or str(error))
            self._heard, self._status = False, ""
        else:
            self._heard = True


class Heartbeat:
    """Knows how long ago a piece of work last came back.

    ``beat`` does the work and says whether what came back was an answer; it may take as long as it likes.
    """

    def __init__(
        self,
        beat: Callable[[], Awaitable[bool]],
        *,
        every_s: float,
        age_max_s: float,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._beat = beat
        self._every_s = every_s
        self._age_max_s = age_max_s
        self._monotonic_ns = monotonic_ns
        self._at_ns = monotonic_ns()

    async def run(self) -> None:
        """Beat for ever. Ends only by cancellation; the owner names the task."""
        while True:
            if await self._beat():
                self._at_ns = self._monotonic_ns()
            await asyncio.sleep(self._every_s)

    def ping(self) -> str | None:
        """What is wrong: nothing has come back for too long."""
        age_s = (self._monotonic_ns() - self._at_ns) / 1e9
        return f"has not come round for {age_s:.0f} s" if age_s > self._age_max_s else None


class Watchdog:
    """Folds the reasons for a restart, and feeds the service manager while there are none."""

    def __init__(self, manager: ServiceManager, pings: Mapping[str, Ping], *, status: Callable[[], str]) -> None:
        self._manager = manager
        self._pings = dict(pings)
        self._status = status
        self._hungry = False

    def reasons(self) -> list[str]:
        """Why a restart would help; empty while it would not. From memory, without I/O."""
        return [f"{name}: {wrong}" for name, ping in self._pings.items() if (wrong := ping()) is not None]

    async def run(self) -> None:
        """Look, and tell, for ever. Ends only by cancellation; the owner names the task.

        The event loop needs no ping of its own here: where it does not turn, nothing is told.
        """
        length_s = self._manager.watchdog_s
        tick_s = TICK_S if length_s is None else min(TICK_S, length_s / _WORDS_A_LENGTH)
        while True:
            self.tell()
            await asyncio.sleep(tick_s)

    def tell(self) -> None:
        """Once: the status, and that we are alive unless there is a reason against it."""
        reasons = self.reasons()
        self._manager.status(f"NOT ALIVE ({'; '.join(reasons)})" if reasons else self._status())
        if not reasons:
            self._manager.alive()
        elif not self._hungry:
            log.error("watchdog_not_fed", reasons=reasons)
        self._hungry = bool(reasons)
