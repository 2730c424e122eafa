"""Every request that reached a simulated venue, with monotonic times: what a benchmark reads at the venue's side."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

KEPT_REQUESTS = 100_000


@dataclass(slots=True, kw_only=True)
class JournalEntry:
    """One request. Times are ``time.monotonic_ns``: *arrived* and *answered* inside the venue, which an injected round
    trip keeps away from its clients; *received* and *sent* at its socket, beside which there is no other delay.
    """

    number: int
    received_ns: int
    arrived_ns: int
    host: str
    method: str
    path: str
    params: Mapping[str, str]  # without the signature
    key: str | None  # name of the key's owner and its role, as in "demo/client"
    answered_ns: int | None = None
    sent_ns: int | None = None  # None: no answer was sent, or on a stream, where messages wait for each other
    status: int | None = None  # None: no answer was sent
    code: int | str | None = None  # the venue's error code
    order_ids: list[int] = field(default_factory=list)
    fault: str | None = None

    def document(self) -> dict[str, Any]:
        """The entry as JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


class RequestJournal:
    """The last hundred thousand requests, in order of arrival."""

    def __init__(self) -> None:
        self._entries: deque[JournalEntry] = deque(maxlen=KEPT_REQUESTS)
        self._count = 0

    def open(
        self,
        *,
        received_ns: int,
        arrived_ns: int,
        host: str,
        method: str,
        path: str,
        params: Mapping[str, str],
        key: str | None,
    ) -> JournalEntry:
        """Record an arrival; the caller completes the entry."""
        self._count += 1
        entry = JournalEntry(
            number=self._count,
            received_ns=received_ns,
            arrived_ns=arrived_ns,
            host=host,
            method=method,
            path=path,
            params=params,
            key=key,
        )
        self._entries.append(entry)
        return entry

    def entries(
        self, *, method: str | None = None, path_prefix: str = "", after: int = 0, key: str | None = None
    ) -> list[JournalEntry]:
        """Entries that match all that is given. *after* is an entry's number."""
        return [
            entry
            for entry in self._entries
            if entry.number > after
            and entry.path.startswith(path_prefix)
            and method in (None, entry.method)
            and key in (None, entry.key)
        ]

    def clear(self) -> None:
        """Forget everything; numbers start again."""
        self._entries.clear()
        self._count = 0
