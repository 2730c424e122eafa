"""An answer that sends elsewhere is not followed: the next request would pass no gate."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from node.domain.steps import Outcome, Step
from node.errors import VenueError, VenueUnavailable
from node.sim.tls import serve_tls
from node.venues.ccxt_venue import CcxtVenue
from node.venues.options import VenueOptions
from node.venues.pool import Pools
from node.venues.profiles.binance.profile import BinanceProfile
from tests.support.venue import (
    BOOKS,
    CREDENTIALS,
    answer,
    cancel_orders,
    cancel_symbol,
    close_position,
    error,
    recorded_venue,
    sell_spot,
)

FOLLOWED = (301, 302, 303, 307, 308)
HOSTS = ("api.binance.com", "fapi.binance.com", "dapi.binance.com", "evil.example")
ELSEWHERE = ("https://fapi.binance.com/fapi/v1/leverage", "https://evil.example/steal", "/fapi/v1/positionMargin")


@dataclass
class Detour:
    """A venue, or what stands in front of it, that sends everything elsewhere. There, all is well."""

    status: int = 307
    location: str = ELSEWHERE[0]
    arrived: list[tuple[str, str, str]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        """One request."""
        self.arrived.append((request.method, request.host, request.path))
        if self.location.endswith(request.path):
            return web.json_response({"orderId": 1, "code": 200, "msg": "ok"})
        return web.json_response({}, status=self.status, headers={"Location": self.location})


@asynccontextmanager
async def detour(directory: Path) -> AsyncIterator[tuple[Detour, CcxtVenue, aiohttp.ClientSession]]:
    """Over TLS, under the venue's own names: it, an account there, and the session that everything goes through."""
    context, ca_file = serve_tls(HOSTS, directory)
    there = Detour()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", there.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    address = f"127.0.0.1:{runner.addresses[0][1]}"
    options = VenueOptions(exchange="binance", credentials=CREDENTIALS, connect_to=address, ca_file=ca_file)
    pools = Pools()
    venue = CcxtVenue(options, BinanceProfile(), pools)
    pools.markets(options).books.update(BOOKS)
    try:
        yield there, venue, pools.pool(options).session
    finally:
        await venue.close()
        await pools.close()
        await runner.cleanup()


STEPS: dict[str, tuple[Step, tuple[str, str, str]]] = {
    "close": (close_position(), ("POST", "fapi.binance.com", "/fapi/v1/order")),
    "sale": (sell_spot(), ("POST", "api.binance.com", "/api/v3/order")),
    "cancel": (cancel_orders("1"), ("DELETE", "fapi.binance.com", "/fapi/v1/order")),
    "sweep": (cancel_symbol(), ("DELETE", "fapi.binance.com", "/fapi/v1/allOpenOrders")),
}


@pytest.mark.parametrize("location", ELSEWHERE)
@pytest.mark.parametrize("status", FOLLOWED)
async def test_no_step_goes_anywhere_but_where_it_was_sent(status: int, location: str, tmp_path: Path) -> None:
    """It may have been carried out: what is elsewhere does not tell."""
    async with detour(tmp_path) as (there, venue, _):
        there.status, there.location = status, location
        for step, line in STEPS.values():
            there.arrived.clear()
            result = await venue.execute(step)
            assert result.outcome is Outcome.AMBIGUOUS
            assert str(status) in (result.message or "")
            assert result.sent_ns is not None
            assert there.arrived == [line]


@pytest.mark.parametrize("location", ELSEWHERE)
@pytest.mark.parametrize("status", FOLLOWED)
async def test_no_key_is_carried_elsewhere_by_a_read(status: int, location: str, tmp_path: Path) -> None:
    """The slice is unread."""
    async with detour(tmp_path) as (there, venue, _):
        there.status, there.location = status, location
        with pytest.raises(VenueUnavailable, match=str(status)):
            await venue.read_positions("linear")
        assert there.arrived == [("GET", "fapi.binance.com", "/fapi/v3/positionRisk")]


async def test_no_stream_is_opened_elsewhere(tmp_path: Path) -> None:
    """Its first message may be a signature."""
    async with detour(tmp_path) as (there, _, session):
        with pytest.raises(VenueUnavailable):
            await session.ws_connect("wss://api.binance.com/ws-api/v3")
        assert [path for _, _, path in there.arrived] == ["/ws-api/v3"]


@pytest.mark.parametrize("status", [300, 304, 307])
async def test_a_redirection_is_no_refusal_whatever_it_carries(status: int) -> None:
    """Not the venue's own word, even if it looks like it."""
    async with recorded_venue(slices=("linear",)) as (venue, fetch):
        fetch.default = error(-2022, "ReduceOnly Order is rejected.", status)
        assert (await venue.execute(close_position())).outcome is Outcome.AMBIGUOUS
        fetch.default = answer([], status)
        with pytest.raises(VenueError):
            await venue.read_positions("linear")
