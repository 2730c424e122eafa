"""What happened to one request on the wire, as told by the HTTP client while it happened."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import aiohttp

from node.domain.permission import Effect
from node.venues.lane import Charge


@dataclass(slots=True, kw_only=True)
class Wire:
    """One request. Filled in along the way; what did not happen stays None."""

    charges: tuple[Charge, ...] = ()
    #: What the request was declared to do at most; None: nobody has declared it.
    effect: Effect | None = None
    #: It goes as far as the socket, and no further.
    rehearsal: bool = False
    #: Something that may act has passed the gate: one call is one request.
    acted: bool = False
    #: The request has passed the gate: what is asked from now on is asked too late for it.
    left: bool = False
    #: Monotonic: the request's bytes were handed to the socket. None: the venue cannot have seen it.
    sent_ns: int | None = None
    #: Monotonic: the answer was complete.
    answered_ns: int | None = None
    status: int | None = None
    #: Names in lower case.
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""

    def document(self) -> Any:  # noqa: ANN401 - JSON
        """The answer's JSON, or None."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None


_current: ContextVar[Wire | None] = ContextVar("venue_wire", default=None)


@contextmanager
def recording(wire: Wire) -> Iterator[Wire]:
    """Requests made inside report to *wire*."""
    token = _current.set(wire)
    try:
        yield wire
    finally:
        _current.reset(token)


def current() -> Wire | None:
    """The record of the request that this task is making."""
    return _current.get()


def trace_config() -> aiohttp.TraceConfig:
    """Stamps ``sent_ns`` into the current record.

    aiohttp calls back immediately before it writes the headers, together with the body, to the transport. A
    transparent second attempt on another socket does not move the stamp: the first may have arrived.
    """

    async def headers_sent(
        _session: aiohttp.ClientSession, _context: SimpleNamespace, _params: aiohttp.TraceRequestHeadersSentParams
    ) -> None:
        wire = _current.get()
        if wire is not None and wire.sent_ns is None:
            wire.sent_ns = time.monotonic_ns()

    config = aiohttp.TraceConfig()
    config.on_request_headers_sent.append(headers_sent)
    return config
