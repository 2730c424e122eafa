"""HTTP/1.1 on the wire: uvicorn's protocol, with deadlines, and the contract's shape for its refusals."""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from typing import Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from node.api.errors import error_body

#: From the first byte of a request (or the connection's beginning) to the end of its head.
HEAD_WITHIN_S: Final = 10.0
#: Connections of one listener that have no request under way; beyond them the one that began first is closed.
WAITING_MAX: Final = 256


def protocol() -> type[H11Protocol]:
    """The class for the connections of one listener.

    uvicorn closes a connection that is idle between requests, but waits for ever for the rest of a head that has begun,
    and for the first byte. Somebody who holds connections open must not take the last file descriptor from a kill.
    """
    waiting: dict[_Connection, None] = {}

    class Connection(_Connection):
        """Knows the others of its listener."""

        def __init__(self, *arguments: object, **options: object) -> None:
            super().__init__(*arguments, **options)
            self.waiting = waiting

    return Connection


class _Connection(H11Protocol):
    waiting: dict[_Connection, None]
    _deadline: asyncio.TimerHandle | None = None

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)  # type: ignore[arg-type]  # uvicorn's own, handed through

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Begin to wait."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Wait for the rest of a head; not while a request is under way."""
        super().data_received(data)
        if self._in_request:
            self._stop_waiting()
        elif self._deadline is None and not self.transport.is_closing():
            self._wait()

    def on_response_complete(self) -> None:
        """Answered before the body was all there: its rest has no more time than a head."""
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY and self._deadline is None and not self.transport.is_closing():
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing to wait for."""
        self._stop_waiting()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP is refused like everything else."""
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.close()  # in the middle of an answer: no other can follow
            return
        content = json.dumps(error_body("BAD_REQUEST", msg)).encode()
        headers = [
            ("content-type", "application/json"),
            ("content-length", str(len(content))),
            ("cache-control", "no-store"),
            ("connection", "close"),
        ]
        answer = h11.Response(status_code=HTTPStatus.BAD_REQUEST, headers=headers, reason=b"Bad Request")
        for event in (answer, h11.Data(data=content), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    @property
    def _in_request(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # uvicorn: None before the first, whatever its type says
        return cycle is not None and not cycle.response_complete

    def _wait(self) -> None:
        self._deadline = self.loop.call_later(HEAD_WITHIN_S, self._give_up)
        self.waiting[self] = None
        if len(self.waiting) > WAITING_MAX:
            next(iter(self.waiting))._give_up()

    def _stop_waiting(self) -> None:
        self.waiting.pop(self, None)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._stop_waiting()
        self.transport.close()
