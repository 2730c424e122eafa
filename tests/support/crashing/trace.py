"""The order in which a daemon's bytes reached the disk and its sockets, as the kernel was asked for it (strace)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.support.mosquitto import executable

CALLS: Final = "fdatasync,fsync,write,writev,pwrite64,pwritev,sendto,sendmsg"
_BEGUN: Final = re.compile(r"^(?P<thread>\d+) +(?P<call>\w+)\((?P<descriptor>\d+<.*?>)(?P<rest>[,)].*| <unfinished.*)$")
_RESUMED: Final = re.compile(r"^(?P<thread>\d+) +<\.\.\. (?P<call>\w+) resumed>.*= 0$")
_FILE: Final = "-wal>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """Bytes handed to the kernel, or a sync that has come back."""

    synced: bool
    #: What it went to: a file's path, or the two ends of a connection.
    where: str
    #: As strace shows them: printable bytes as they are, others escaped.
    data: str


class NotInOrder(AssertionError):
    """Somebody was told before the disk had it, or never."""


def tracing(trace: Path) -> list[str]:
    """What to put before a command. The process that is started is the daemon itself (-D)."""
    return [executable("strace"), "-D", "-f", "-q", "-yy", "-s", "8192", "-o", str(trace), "-e", f"trace={CALLS}"]


def read(lines: Iterable[str]) -> list[Written]:
    """A trace as what happened, in its order. A sync counts when it has come back; a write, when it begins."""
    events: list[Written] = []
    syncing: dict[str, str] = {}
    for line in lines:
        if (resumed := _RESUMED.match(line)) is not None and resumed["thread"] in syncing:
            events.append(Written(synced=True, where=syncing.pop(resumed["thread"]), data=""))
        if (begun := _BEGUN.match(line)) is None:
            continue
        if begun["call"] not in ("fdatasync", "fsync"):
            events.append(Written(synced=False, where=begun["descriptor"], data=begun["rest"].replace('\\"', '"')))
        elif line.endswith("= 0"):
            events.append(Written(synced=True, where=begun["descriptor"], data=""))
        elif "unfinished" in line:
            syncing[begun["thread"]] = begun["descriptor"]
    return events


def durable_at(events: list[Written], command_id: str) -> int:
    """The place of the first sync of the journal's log that came back after the command was written into it.

    Raises:
        NotInOrder: there is none.
    """
    wrote = next((n for n, e in enumerate(events) if e.where.endswith(_FILE) and command_id in e.data), None)
    if wrote is not None:
        for place, event in enumerate(events[wrote:], wrote):
            if event.synced and event.where.endswith(_FILE):
                return place
    raise NotInOrder(f"{command_id} never reached the disk")


def told_at(events: list[Written], *words: str) -> int:
    """The place of the first bytes on any socket that contain all of these.

    Raises:
        NotInOrder: nobody was told.
    """
    for place, event in enumerate(events):
        if not event.synced and _is_socket(event) and all(word in event.data for word in words):
            return place
    raise NotInOrder(f"nobody was told: {words}")


def answered_at(events: list[Written], command_id: str) -> int:
    """The place where an HTTP answer begins that tells of the command: its head may leave before its body.

    Raises:
        NotInOrder: there is none.
    """
    body = told_at(events, command_id, '"success":true')
    connection = events[body].where
    heads = [n for n, e in enumerate(events[: body + 1]) if e.where == connection and "HTTP/1.1 200" in e.data]
    if not heads:
        raise NotInOrder(f"no answer: {command_id}")
    return heads[0]


def pubacks(events: list[Written], broker_port: int) -> list[int]:
    """The places of the acknowledgements to the broker: packet type 4, two bytes of packet id (MQTT 5, 3.4)."""
    to_broker = f"->127.0.0.1:{broker_port}]>"
    return [n for n, e in enumerate(events) if e.where.endswith(to_broker) and e.data.startswith(', "@\\2')]


def _is_socket(event: Written) -> bool:
    return "TCP:[" in event.where or "UNIX" in event.where
