"""Serves applications inside the daemon's own event loop: its signals, its tasks, its deadline."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import ssl
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog
import uvicorn
from fastapi import FastAPI

from node.api import wire
from node.api.guards import HEAD_BYTES_MAX
from node.errors import ConfigError
from node.key_pair import check_key_pair, load_key_pair

log = structlog.get_logger(__name__)

_OPERATOR_SOCKET_MODE: Final = 0o660
_BACKLOG: Final = 1024
_KEEP_ALIVE_S: Final = 30
_DISK_REFUSALS: Final = frozenset({errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO})
_BIND_AGAIN_S: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class UnixListener:
    """An application on a socket of this machine, for its owner and group."""

    app: FastAPI
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpListener:
    """An application on a TCP port; with a certificate, over TLS."""

    app: FastAPI
    host: str
    port: int
    cert_file: Path | None = None
    key_file: Path | None = None


Listener = UnixListener | TcpListener


class _Server(uvicorn.Server):
    """Uvicorn without its signal handlers: SIGTERM is the daemon's."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.serving = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave every signal alone."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept connections."""
        await super().startup(sockets)
        self.serving.set()


@dataclass(slots=True, kw_only=True)
class _Running:
    listener: Listener
    server: _Server
    bound: socket.socket
    task: asyncio.Task[None] | None = field(default=None)


class ApiServer:
    """All HTTP listeners of the daemon.

    Start it inside the daemon's task group and stop it before the group ends.
    """

    def __init__(self, listeners: Sequence[Listener], *, stop_deadline_s: float = 5.0) -> None:
        self._listeners = tuple(listeners)
        self._stop_deadline_s = stop_deadline_s
        self._running: list[_Running] = []
        #: Sockets in folders where nothing can be made now, and why.
        self._unbound: dict[Path, str] = {}
        self._binding: asyncio.Task[None] | None = None

    def ping(self) -> str | None:
        """What is wrong: a socket that is not there yet."""
        return "; ".join(f"{path}: {why}" for path, why in self._unbound.items()) or None

    def bind(self) -> None:
        """Take every address, serve none yet.

        A socket in a folder on a disk that cannot be written is left for later: the other doors must open.

        Raises:
            ConfigError: an address is taken or not ours, or a certificate cannot be used. None is held then.
        """
        try:
            for listener in self._listeners:
                self._take(listener)
        except ConfigError:
            self._release()
            raise

    def _take(self, listener: Listener) -> _Running | None:
        server = _Server(_configuration(listener, self._stop_deadline_s))
        try:
            bound = _bind(listener)
        except _DiskRefuses as error:
            assert isinstance(listener, UnixListener)  # noqa: S101  (the others need no disk)
            if listener.path not in self._unbound:
                log.error("socket_not_made", path=str(listener.path), error=str(error))  # noqa: TRY400
            self._unbound[listener.path] = str(error)
            return None
        self._unbound.pop(_path(listener), None)
        self._running.append(running := _Running(listener=listener, server=server, bound=bound))
        return running

    def try_certificates(self) -> None:
        """Read every listener's certificate and use it for nothing. May wait for a disk: not for the event loop.

        Raises:
            ConfigError: one cannot be used.
        """
        for pair, _ in self._with_certificate():
            with _certificate_faults():
                check_key_pair(*pair)

    def reload_certificates(self) -> None:
        """Read every listener's certificate again: connections from now on are shown the new one.

        Raises:
            ConfigError: one cannot be used; the old ones stay.
        """
        for pair, context in self._with_certificate():
            with _certificate_faults():
                # On trial first: a key that does not fit would leave the context in use without any.
                check_key_pair(*pair)
                load_key_pair(context, *pair)

    def _with_certificate(self) -> Iterator[tuple[tuple[Path, Path | None], ssl.SSLContext]]:
        for running in self._running:
            listener, context = running.listener, running.server.config.ssl
            if context is not None and isinstance(listener, TcpListener) and listener.cert_file is not None:
                yield (listener.cert_file, listener.key_file), context

    async def start(self, tasks: asyncio.TaskGroup) -> None:
        """Serve; returns once all listeners accept connections. Binds first what is not bound yet.

        Raises:
            ConfigError: as ``bind``.
        """
        if not self._running:
            self.bind()
        for running in self._running:
            self._serve(running, tasks)
        for running in self._running:
            await running.server.serving.wait()
            log.info("api_listening", place=_place(running.listener))
        if self._unbound:
            self._binding = tasks.create_task(self._bind_later(tasks), name="api-bind")

    def _serve(self, running: _Running, tasks: asyncio.TaskGroup) -> None:
        serving = running.server.serve(sockets=[running.bound])
        running.task = tasks.create_task(serving, name=f"api-{_place(running.listener)}")

    async def _bind_later(self, tasks: asyncio.TaskGroup) -> None:
        """Try again, until every socket is there."""
        while self._unbound:
            await asyncio.sleep(_BIND_AGAIN_S)
            for listener in self._listeners:
                if _path(listener) in self._unbound and (running := self._take(listener)) is not None:
                    self._serve(running, tasks)
                    log.info("api_listening", place=_place(listener))

    @property
    def ports(self) -> tuple[int, ...]:
        """The TCP ports in the order of the listeners: the kernel's choice where 0 was asked for."""
        tcp = [running for running in self._running if isinstance(running.listener, TcpListener)]
        return tuple(running.bound.getsockname()[1] for running in tcp)

    async def stop(self) -> None:
        """Accept nothing more, end streams, let requests finish, and cut what is left at the deadline."""
        if self._binding is not None:
            self._binding.cancel()
        for running in self._running:
            running.listener.app.state.stopping.set()
            running.server.should_exit = True
        pending = [running.task for running in self._running if running.task is not None]
        if pending:
            # Uvicorn's own deadline cancels requests; the margin is for its polling.
            _, late = await asyncio.wait(pending, timeout=self._stop_deadline_s + 1)
            for task in late:
                task.cancel()
        self._release()

    def _release(self) -> None:
        for running in self._running:
            running.bound.close()
            if isinstance(running.listener, UnixListener):
                with contextlib.suppress(OSError):  # a stale one is no harm, and the disk may be gone
                    running.listener.path.unlink(missing_ok=True)
        self._running = []


@contextlib.contextmanager
def _certificate_faults() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError([f"http.cert_file: cannot be used: {error}"]) from None


def _configuration(listener: Listener, stop_deadline_s: float) -> uvicorn.Config:
    tls = listener if isinstance(listener, TcpListener) and listener.cert_file is not None else None
    config = uvicorn.Config(
        listener.app,
        lifespan="off",
        ws="none",
        http=wire.protocol(),
        log_config=None,
        log_level="error",  # below it: a line for everybody who sends junk
        access_log=False,
        proxy_headers=False,  # the peer's address is the peer's address
        server_header=False,
        date_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=max(1, round(stop_deadline_s)),
        h11_max_incomplete_event_size=HEAD_BYTES_MAX,
        ssl_certfile=listener.cert_file if isinstance(listener, TcpListener) else None,
        ssl_keyfile=listener.key_file if isinstance(listener, TcpListener) else None,
    )
    try:
        if tls is not None and tls.cert_file is not None:
            check_key_pair(tls.cert_file, tls.key_file)  # uvicorn would ask a terminal for a passphrase
        config.load()
    except (OSError, ssl.SSLError) as error:
        raise ConfigError([f"http.cert_file: cannot be used: {error}"]) from None
    if tls is not None and config.ssl is not None:
        config.ssl.minimum_version = ssl.TLSVersion.TLSv1_2
    return config


def _place(listener: Listener) -> str:
    return str(listener.path) if isinstance(listener, UnixListener) else f"{listener.host}:{listener.port}"


def _path(listener: Listener) -> Path:
    return listener.path if isinstance(listener, UnixListener) else Path()


class _DiskRefuses(Exception):
    """Nothing can be made in the socket's folder now."""


def _bind(listener: Listener) -> socket.socket:
    try:
        return _bind_unix(listener.path) if isinstance(listener, UnixListener) else _bind_tcp(listener)
    except OSError as error:
        if isinstance(listener, UnixListener) and error.errno in _DISK_REFUSALS:
            raise _DiskRefuses(error.strerror) from None
        raise ConfigError([f"cannot listen on {_place(listener)}: {error.strerror or error}"]) from None


def _bind_tcp(listener: TcpListener) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        listener.host, listener.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.setblocking(False)
    except OSError:
        bound.close()
        raise
    return bound


def _bind_unix(path: Path) -> socket.socket:
    """Bind and set the mode before listening: nobody can connect to a socket that does not listen yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_stale(path)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        bound.bind(str(path))
        path.chmod(_OPERATOR_SOCKET_MODE)
        bound.setblocking(False)
    except OSError:
        bound.close()
        raise
    return bound


def _remove_stale(path: Path) -> None:
    """A process that was killed leaves its socket behind; one that answers is alive and keeps it.

    Raises:
        ConfigError: somebody serves there, or the path is no socket.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ConfigError([f"{path}: is in the way: it is no socket"])
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        with contextlib.suppress(ConnectionRefusedError, FileNotFoundError):
            probe.connect(str(path))
            raise ConfigError([f"{path}: another process serves there"])
    path.unlink(missing_ok=True)
