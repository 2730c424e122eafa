"""Places in the whole daemon where a process can be made to die, put in from outside around the adapters.

The daemon's code knows nothing of them (but for the journal's own, which it has anyway). A death is written down in the
moment before it: whoever asked for it can tell it from any other.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any, Final

import aiohttp
from aiohttp.http_writer import StreamWriter
from paho.mqtt.client import Client as PahoClient

from node.engine.inbox import Inbox
from node.journal import database
from node.observe.lock_files import LockFileDirectory
from node.transport.mqtt import MqttTransport
from node.transport.paho_link import PahoLink
from node.venues import pool

#: Every point, and at which of its visits in one life it is worth dying: those before are at the daemon's start, or
#: belong to the life's first command.
POINTS: Final[dict[str, tuple[int, ...]]] = {
    # Journal transactions: at the start, ...
    "raise_locks.before_commit": (1,),
    "raise_locks.after_commit": (1,),
    "unfinished.before_commit": (1,),
    "unfinished.after_commit": (1,),
    # ... of commands, ...
    "admit.before_commit": (1, 2, 3),
    "admit.after_commit": (1, 2, 3),
    "record.before_commit": (1, 2, 3, 4),
    "record.after_commit": (1, 2, 3, 4),
    # ... and of what was published.
    "published.before_commit": (1, 2, 3),
    "published.after_commit": (1, 2, 3),
    # Acknowledgements: to the broker, and to a door that waits for its answer.
    "puback.before": (1, 2, 3),
    "puback.after": (1, 2, 3),
    "answer.before": (1,),
    "answer.after": (1,),
    # What goes to the exchange and is no read: about to leave, in the kernel's hands, answered.
    "order.before_send": (1, 2),
    "order.after_send": (1, 2),
    "order.answered": (1, 2),
    # Events of commands, and the retained lock: about to leave, in the kernel's hands, confirmed by the broker.
    "event.before_publish": (1, 3, 5),
    "event.after_publish": (1, 3, 5),
    "event.confirmed": (1, 3, 5),
    "lock_topic.before_publish": (1, 2),
    "lock_topic.after_publish": (1, 2),
    "lock_topic.confirmed": (1, 2),
    # The lock's file, where it says something new: before it, with the new text beside the old file, and in its place.
    "lock_file.before_write": (1, 2),
    "lock_file.before_rename": (1, 2),
    "lock_file.after_write": (1, 2),
}


#: Whether the request that this task is making asks for more than a read.
_order: ContextVar[bool] = ContextVar("crashing_order", default=False)


def is_order(method: str, path: str) -> bool:
    """Whether a request changes orders."""
    return method != "GET" and "order" in path.lower()


@dataclass(slots=True)
class Points:
    """Counts the visits of one life, and ends it at the one that was named."""

    name: str | None
    at: int
    #: Where a death is written down: a descriptor.
    witness: int
    visits: Counter[str] = field(default_factory=Counter)
    #: Points that are reached when the broker's socket is next written.
    queued: list[str] = field(default_factory=list)

    def reach(self, name: str) -> None:
        """Die here, if this is the visit that was named."""
        self.visits[name] += 1
        if name == self.name and self.visits[name] == self.at:
            os.write(self.witness, f"{name}:{self.at}\n".encode())
            os.kill(os.getpid(), signal.SIGKILL)

    def install(self) -> None:
        """Put the points around the adapters of this process, for good."""
        vars(database)["crash_point"] = self.reach
        self._around_acknowledgements()
        self._around_the_exchange()
        self._around_publishing()
        self._around_lock_files()

    def _around_acknowledgements(self) -> None:
        give = PahoLink.acknowledge

        def acknowledge(link: PahoLink, packet_id: int) -> None:
            self.reach("puback.before")
            give(link, packet_id)
            self.queued.append("puback.after")

        _replace(PahoLink, "acknowledge", acknowledge)
        submit = Inbox.submit

        async def answered(inbox: Inbox, request: Any) -> Any:
            submission = await submit(inbox, request)
            self.reach("answer.before")
            return submission

        _replace(Inbox, "submit", answered)
        from uvicorn.protocols.http.h11_impl import RequestResponseCycle

        send = RequestResponseCycle.send

        async def sent(cycle: RequestResponseCycle, message: Any) -> None:
            await send(cycle, message)
            if cycle.response_complete and cycle.scope["method"] == "POST":
                self.reach("answer.after")

        _replace(RequestResponseCycle, "send", sent)

    def _around_the_exchange(self) -> None:
        make = pool.Pool.__init__

        @wraps(make)
        def with_points(made: pool.Pool, *, traces: Any = (), **options: Any) -> None:
            make(made, traces=(*traces, self._trace()), **options)

        _replace(pool.Pool, "__init__", with_points)
        finish = StreamWriter.write_eof

        async def finished(writer: StreamWriter, chunk: bytes = b"") -> None:
            await finish(writer, chunk)  # aiohttp's own words come before the bytes
            if _order.get():
                self.reach("order.after_send")

        _replace(StreamWriter, "write_eof", finished)

    def _trace(self) -> aiohttp.TraceConfig:
        def at(name: str) -> Callable[..., Any]:
            async def called(_session: Any, _context: Any, params: Any) -> None:
                ours = is_order(params.method, params.url.path)
                _order.set(ours)
                if ours:
                    self.reach(name)

            return called

        config = aiohttp.TraceConfig()
        config.on_request_start.append(at("order.before_send"))
        config.on_request_end.append(at("order.answered"))
        return config

    def _around_publishing(self) -> None:
        publish, hand_over, write = MqttTransport.publish, PahoClient.publish, PahoClient.loop_write

        async def publishing(transport: MqttTransport, topic: str, *arguments: Any, **more: Any) -> None:
            kind = _kind(topic)
            if kind:
                self.reach(f"{kind}.before_publish")
            await publish(transport, topic, *arguments, **more)
            if kind:
                self.reach(f"{kind}.confirmed")

        @wraps(hand_over)  # the daemon looks at its parameters
        def handed_over(client: PahoClient, topic: str, *arguments: Any) -> Any:
            info = hand_over(client, topic, *arguments)
            kind = _kind(topic)
            if kind:
                self.queued.append(f"{kind}.after_publish")
            return info

        def written(client: PahoClient) -> Any:
            outcome = write(client)  # paho only queues, where a loop writes for it
            queued, self.queued = self.queued, []
            for name in queued:
                self.reach(name)
            return outcome

        _replace(MqttTransport, "publish", publishing)
        _replace(PahoClient, "publish", handed_over)
        _replace(PahoClient, "loop_write", written)

    def _around_lock_files(self) -> None:
        write, rename = LockFileDirectory.write, Path.replace
        shown: dict[Any, Any] = {}
        new = False

        def writing(files: LockFileDirectory, account_id: Any, document: Any) -> None:
            nonlocal new
            new = shown.get(account_id) != (document["epoch"], document["locked"])
            shown[account_id] = document["epoch"], document["locked"]
            if new:
                self.reach("lock_file.before_write")
            write(files, account_id, document)
            if new:
                self.reach("lock_file.after_write")

        def renaming(path: Path, target: Any) -> Path:
            if new and path.suffix == ".tmp" and path.parent.name == "locks":
                self.reach("lock_file.before_rename")
            return rename(path, target)

        _replace(LockFileDirectory, "write", writing)
        _replace(Path, "replace", renaming)


def _kind(topic: str) -> str:
    parts = topic.split("/")
    return {"evt": "event", "lock": "lock_topic"}.get(parts[3], "") if len(parts) > 3 else ""


def _replace(owner: type, name: str, value: object) -> None:
    assert hasattr(owner, name), f"{owner.__name__} has no {name} any more"
    setattr(owner, name, value)
