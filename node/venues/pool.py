"""Connections to venues, shared by every account that reaches them the same way, and kept warm.

A cold pool costs two round trips before the first order: TCP and TLS. One pool exists for each (connect_to,
local_address, ca_file); it holds one HTTP session with one trust store, and never limits connections itself.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from asyncio.sslproto import SSLProtocol
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from node.errors import ConfigError, VenueUnavailable
from node.plain_files import must_be_regular
from node.venues import wire
from node.venues.lane import Budget, Lane
from node.venues.markets import MarketShelf
from node.venues.options import ACCOUNT, VenueOptions

#: Longer than any venue's own idle limit: the venue closes first, and aiohttp sees it.
KEEPALIVE_S: Final = 300.0
#: New sockets in an emergency should not wait for a name server; addresses of venues move slowly.
DNS_CACHE_S: Final = 60
#: asyncio's TLS reads into a buffer of 256 KiB for each connection, hundreds of which wait for an emergency here. One
#: record is 16 KiB at most (RFC 8446, 5.1).
TLS_READ_BYTES: Final = 16 * 1024


class RedirectingResolver(AbstractResolver):
    """Sends every host name to one address; TLS and the Host header still carry the real name."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._resolver = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The one address, as if *host* were found there; *port* gives way to the configured one."""
        del port
        found = await self._resolver.resolve(self._host, self._port, family)
        return [{**entry, "hostname": host} for entry in found]

    async def close(self) -> None:
        """Nothing is held."""
        await self._resolver.close()


def parse_address(connect_to: str) -> tuple[str, int]:
    """Split ``host:port``; an IPv6 host stands in brackets.

    Raises:
        ConfigError: it is something else.
    """
    host, colon, port = connect_to.rpartition(":")
    if not (host and colon and port.isdecimal() and 0 < int(port) < 65536):
        raise ConfigError([f"connect_to: {connect_to!r} is not host:port"])
    return host.removeprefix("[").removesuffix("]"), int(port)


def trust(ca_file: Path | None) -> ssl.SSLContext:
    """The public certificate authorities, and *ca_file* where there is one.

    Raises:
        ConfigError: *ca_file* cannot be read.
    """
    if ca_file is None:
        return _public_trust()
    context = _public_trust.__wrapped__()
    try:
        must_be_regular(ca_file)
        context.load_verify_locations(ca_file)
    except OSError as error:  # ssl.SSLError is one
        raise ConfigError([f"ca_file: {ca_file} cannot be used: {error}"]) from error
    return context


@cache
def _public_trust() -> ssl.SSLContext:
    """The system's authorities and those that ccxt ships; slow to load, so once a process."""
    import certifi

    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


def open_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """A socket that sends at once (TCP_NODELAY) and notices a dead peer.

    Raises:
        OSError: the platform did not take the option: better no connection than 40 ms on every order.
    """
    family, kind, protocol, _, _ = address
    opened = socket.socket(family, kind, protocol)
    try:
        opened.setblocking(False)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        taken = bool(opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
    except OSError:
        opened.close()
        raise
    if not taken:
        opened.close()
        raise OSError("TCP_NODELAY was not taken")
    return opened


def no_redirects() -> aiohttp.TraceConfig:
    """Whatever the session is used for, no redirect is followed: the next request would pass no gate.

    It would carry the key, and a signed order, to wherever the answer says. ccxt leaves aiohttp's default, which is to
    follow; aiohttp calls back before it does.
    """

    async def redirected(
        _session: aiohttp.ClientSession, _context: SimpleNamespace, params: aiohttp.TraceRequestRedirectParams
    ) -> None:
        record = wire.current()
        if record is not None:
            record.status, record.answered_ns = params.response.status, time.monotonic_ns()
        params.response.close()
        raise VenueUnavailable(f"HTTP {params.response.status}: redirected, and not followed")

    config = aiohttp.TraceConfig()
    config.on_request_redirect.append(redirected)
    return config


class Pool:
    """One HTTP session and what it takes to reach a venue. Create it inside the running event loop."""

    def __init__(
        self,
        *,
        connect_to: str | None,
        local_address: str | None,
        ca_file: Path | None,
        traces: Sequence[aiohttp.TraceConfig] = (),
    ) -> None:
        SSLProtocol.max_size = TLS_READ_BYTES
        self.ssl_context = trust(ca_file)
        self.connections_opened = 0
        self._connector = aiohttp.TCPConnector(
            resolver=RedirectingResolver(*parse_address(connect_to)) if connect_to else None,
            ssl=self.ssl_context,
            local_addr=(local_address, 0) if local_address else None,
            socket_factory=self._open_socket,
            family=socket.AF_UNSPEC,
            happy_eyeballs_delay=0,
            limit=0,
            keepalive_timeout=KEEPALIVE_S,
            ttl_dns_cache=DNS_CACHE_S,
        )
        self.session = aiohttp.ClientSession(
            connector=self._connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=[wire.trace_config(), no_redirects(), *traces],
        )

    def idle_sockets(self) -> Mapping[str, int]:
        """Per host, how many open connections wait for a request."""
        counts: dict[str, int] = {}
        for key, connections in self._connector._conns.items():  # aiohttp has no public view of them
            live = sum(1 for protocol, _ in connections if protocol.is_connected())
            counts[key.host] = counts.get(key.host, 0) + live
        return counts

    async def close(self) -> None:
        """Close every connection."""
        await self.session.close()

    def _open_socket(self, address: aiohttp.AddrInfoType) -> socket.socket:
        self.connections_opened += 1
        return open_socket(address)


@dataclass(slots=True)
class Pools:
    """What accounts share: connections, request budgets, markets. One per process."""

    _pools: dict[tuple[str | None, str | None, Path | None], Pool] = field(default_factory=dict)
    _lanes: dict[tuple[object, ...], Lane] = field(default_factory=dict)
    _shelves: dict[tuple[object, ...], MarketShelf] = field(default_factory=dict)
    #: Called with every request that has left: the exchange, how it ended (``CcxtClient.ending_of``), and the seconds
    #: to its answer. Neither blocks nor raises.
    on_request: Callable[[str, str, float | None], None] = lambda _exchange, _outcome, _round_trip_s: None
    #: Told, by every session, of what happens to its requests.
    traces: Sequence[aiohttp.TraceConfig] = ()

    def pool(self, options: VenueOptions) -> Pool:
        """The connections for an account."""
        key = (options.connect_to, options.local_address, options.ca_file)
        if key not in self._pools:
            self._pools[key] = Pool(connect_to=key[0], local_address=key[1], ca_file=key[2], traces=self.traces)
        return self._pools[key]

    def lane(self, options: VenueOptions, budgets: Mapping[str, Budget]) -> Lane:
        """The request budgets of the address that an account's requests come from."""
        key = (*_venue(options), options.local_address)
        return self._lanes.setdefault(key, Lane(budgets))

    def markets(self, options: VenueOptions) -> MarketShelf:
        """The markets of an account's venue."""
        key = _venue(options)
        if key not in self._shelves:
            account = options.options.get(ACCOUNT)
            name = "-".join(filter(None, (options.exchange, account, "sandbox" if options.sandbox else None)))
            self._shelves[key] = MarketShelf(name=name, address=options.connect_to, directory=options.market_cache_dir)
        return self._shelves[key]

    def budgets_left(self) -> dict[tuple[str, str], float]:
        """By exchange and bucket: what is left of the scarcest budget, as a part of 1."""
        least: dict[tuple[str, str], float] = {}
        for (exchange, *_), lane in self._lanes.items():
            for bucket, left in lane.left().items():
                name = (str(exchange), bucket)
                least[name] = min(left, least.get(name, 1.0))
        return least

    async def close(self) -> None:
        """Stop background work and close every connection."""
        await asyncio.gather(*(shelf.close() for shelf in self._shelves.values()))
        await asyncio.gather(*(pool.close() for pool in self._pools.values()))


def _venue(options: VenueOptions) -> tuple[object, ...]:
    """What accounts must have in common to share budgets and markets."""
    return options.exchange, options.options.get(ACCOUNT), options.sandbox, options.connect_to
