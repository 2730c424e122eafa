"""A plain HTTP and SignalR client for the simulated B2PRIME: no class of ours, no library of the protocol."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from node.sim.server import serve
from node.sim.simulator import Simulator
from tests.support.sim_clients import redirected_session
from tests.support.waiting import PATIENCE_S, until

API = "/frontoffice/api"
V4, V3, MARKET_DATA = "/frontoffice/ws/v4/account", "/frontoffice/ws/v3/account", "/marketdata/v5/info"
END = "\x1e"


@dataclass(slots=True, kw_only=True)
class Answer:
    """One HTTP answer."""

    status: int
    text: str
    headers: dict[str, str]

    @property
    def json(self) -> Any:
        """Its document."""
        return json.loads(self.text)


@dataclass(slots=True)
class Hub:
    """One connection."""

    wire: aiohttp.ClientWebSocketResponse
    _records: list[str] = field(default_factory=list)

    async def say(self, *messages: object) -> None:
        """Send messages in one frame."""
        await self.wire.send_str("".join(json.dumps(each) + END for each in messages))

    async def next(self, *, pings: bool = False) -> Any:
        """The next message; pings are passed over unless they are asked for."""
        while True:
            while not self._records:
                text = await self.wire.receive_str(timeout=PATIENCE_S)
                assert text.endswith(END)
                self._records += text.split(END)[:-1]
            message = json.loads(self._records.pop(0))
            if pings or message != {"type": 6}:
                return message

    async def greet(self) -> Any:
        """Shake hands."""
        await self.say({"protocol": "json", "version": 1})
        return await self.next()

    async def subscribe(self, target: str, *arguments: object, invocation: str = "0") -> Any:
        """Open a stream; the first message that comes of it."""
        await self.open(target, *arguments, invocation=invocation)
        return await self.next()

    async def open(self, target: str, *arguments: object, invocation: str = "0") -> None:
        """Open a stream, and wait for nothing."""
        await self.say({"type": 4, "invocationId": invocation, "target": target, "arguments": list(arguments)})

    async def broken(self) -> bool:
        """Whether the other end is gone."""
        message = await self.wire.receive(timeout=PATIENCE_S)
        return message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.ERROR)


@dataclass(slots=True, kw_only=True)
class Trader:
    """Who speaks to the venue, with an access token and an account."""

    sim: Simulator
    session: aiohttp.ClientSession
    account: str
    token: str = ""

    @property
    def host(self) -> str:
        """As the broker names it."""
        return self.sim.kind.hosts[0]

    async def ask(self, method: str, path: str, body: object = None, **headers: str | None) -> Answer:
        """One request below the API's path. A header that is none is left out; a *body* that is text is sent so."""
        usual = {"Authorization": f"Bearer {self.token}", "accountId": self.account}
        wanted = {name: value for name, value in {**usual, **headers}.items() if value is not None}
        data = body if isinstance(body, str) or body is None else json.dumps(body)
        url = f"https://{self.host}{API}{path}"
        async with self.session.request(method, url, data=data, headers=wanted) as response:
            return Answer(status=response.status, text=await response.text(), headers=dict(response.headers))

    async def get(self, path: str) -> Any:
        """The document of a good answer."""
        return await self._good("GET", path)

    async def post(self, path: str, body: object = None) -> Any:
        """The same for a POST."""
        return await self._good("POST", path, body)

    async def delete(self, path: str) -> Any:
        """The same for a DELETE."""
        return await self._good("DELETE", path)

    async def put(self, path: str, body: object) -> Any:
        """The same for a PUT."""
        return await self._good("PUT", path, body)

    async def order(self, market: str, side: str, size: str, /, *, price: str | None = None, **fields: Any) -> Any:
        """Place an order; the order that is answered."""
        return (await self.post(*order(market, side, size, price=price, **fields)))["order"]

    async def _good(self, method: str, path: str, body: object = None) -> Any:
        answer = await self.ask(method, path, body)
        assert answer.status in (200, 201), answer.text
        return answer.json

    async def log_in(self) -> None:
        """Exchange the API token."""
        body = {"token": self.sim.credentials()["token"]}
        answer = await self.ask("POST", "/v4/access-token", body, Authorization=None)
        assert answer.status == 200, answer.text
        self.token = answer.json["accessToken"]

    @asynccontextmanager
    async def hub(self, path: str = V4, *, greeted: bool = True, query: str = "") -> AsyncIterator[Hub]:
        """A connection to a hub."""
        url = f"wss://{self.host}{path}?access_token={self.token}{query}"
        async with self.session.ws_connect(url) as wire:
            hub = Hub(wire)
            if greeted:
                assert await hub.greet() == {}
            yield hub

    async def first(self, target: str, path: str = V4, *arguments: object) -> Any:
        """The first item of a fresh subscription."""
        async with self.hub(path) as hub:
            message = await hub.subscribe(target, self.account, *arguments)
            assert message["type"] == 2, message
            return message["item"]

    async def positions(self) -> list[Any]:
        """Open positions."""
        rows: list[Any] = (await self.first("OpenPositions"))["item"]
        return rows

    async def position(self, market: str) -> Any:
        """The first open position of a market."""
        return next(each for each in await self.positions() if each["marketId"] == market)

    async def closed(self, position: Any) -> None:
        """Wait until the venue has closed it."""
        front_end: Any = self.sim.handler.front_end
        await until(lambda: front_end.state.tickets.find(self.sim.account, position["positionId"]) is None)

    def switch(self, **changes: object) -> None:
        """Set switches of the venue's own."""
        self.sim.set_faults(venue=changes)


def order(market: str, side: str, size: str, /, *, price: str | None = None, **fields: Any) -> tuple[str, Any]:
    """Path and body of an order; with an ``activationPrice`` of a stop order."""
    kind = market.partition(".")[0]
    place = {"spot": "/v3", "cfd": "/cfd/v4", "perp": "/perpetual/v4"}[kind]
    body: dict[str, Any] = {
        "marketId": market,
        "side": side,
        "orderType": "Market" if price is None else "Limit",
        "timeInForce": "Ioc" if price is None else "Gtc",
        "requestedAmount" if kind == "spot" else "requestedLotAmount": size,
    }
    if price is not None:
        body["requestedPrice"] = price
    if kind != "spot":
        body["leverage"] = 10
    return f"{place}/{'stop-orders' if 'activationPrice' in fields else 'orders'}", {"order": {**body, **fields}}


@asynccontextmanager
async def trading(scenario: str = "demo", *, logged_in: bool = True, **options: Any) -> AsyncIterator[Trader]:
    """A venue, and who trades there."""
    async with serve(venue="b2prime", scenario=scenario, **options) as sim, redirected_session(sim) as session:
        trader = Trader(sim=sim, session=session, account=sim.kind.options(sim.account.name)["accountId"])
        if logged_in:
            await trader.log_in()
        yield trader
