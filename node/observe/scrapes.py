"""The HTTP server of the metrics: a thread a scrape, and never more of them than a few."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from socketserver import ThreadingMixIn
from typing import Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

#: Connections at once; beyond them the one that began first is closed. Each costs a thread of the process, and whoever
#: may open a socket on this machine must not be able to take the last one from a command.
CONNECTIONS_MAX: Final = 16
#: For a request to arrive, and for each part of its answer to leave.
PATIENCE_S: Final = 10.0


class _Handler(WSGIRequestHandler):
    timeout = PATIENCE_S

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Say nothing: a line for everybody who sends junk."""


class ScrapeServer(ThreadingMixIn, WSGIServer):
    """Serves a registry."""

    daemon_threads = True
    request_queue_size = 128  # whoever knocks often must not make a scrape wait for its place

    def __init__(self, address: tuple[str, int], handler: type[WSGIRequestHandler]) -> None:
        self._open: dict[socket.socket, None] = {}
        self._turn = threading.Lock()
        super().__init__(address, handler)

    def process_request(self, request: socket.socket, client_address: object) -> None:  # type: ignore[override]  # TCP
        """Make room, then begin a thread."""
        with self._turn:
            self._open[request] = None
            if len(self._open) > CONNECTIONS_MAX:
                oldest = next(iter(self._open))
                del self._open[oldest]
                with suppress(OSError):
                    oldest.shutdown(socket.SHUT_RDWR)  # its thread reads the end, and goes
        super().process_request(request, client_address)

    def shutdown_request(self, request: socket.socket) -> None:  # type: ignore[override]  # TCP
        """Forget a connection, and close it."""
        with self._turn:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of somebody who went away, or was sent away."""


def serve(registry: CollectorRegistry, host: str, port: int) -> tuple[ScrapeServer, threading.Thread]:
    """Bind, and serve from a thread.

    Raises:
        OSError: the address cannot be bound.
    """
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]

    class Server(ScrapeServer):
        address_family = family

    server = make_server(str(address[0]), port, make_wsgi_app(registry), Server, handler_class=_Handler)
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    return server, thread
