"""B2PRIME behind the node's venue layer, with the wire replaced: what would be sent, and what comes back."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ccxt.base import errors

from node.domain.permission import Permission
from node.domain.snapshot import MarketKind, PositionSide
from node.domain.steps import CancelOrders, ClosePosition, SellSpot
from node.venues import factory, wire
from node.venues.b2prime import endpoints
from node.venues.ccxt_venue import CcxtVenue
from node.venues.markets import MarketBook
from node.venues.options import VenueOptions
from node.venues.pool import Pools
from tests.support.b2prime import ACCOUNT, HOST, OFFLINE
from tests.support.venue import rules

ORDER, POSITION, OTHER = (f"01J9QX2M6T000000000000000{number}" for number in (1, 2, 3))
CLIENT_ID = "sabcdefgh234567abc"
API = "/frontoffice/api"
OWN = {"hostname": HOST, "accountId": ACCOUNT}
EURO = rules(
    "EUR/USD:USD-CFD",
    "cfd.eur_usd",
    MarketKind.LINEAR,
    contract_size=Decimal(100_000),
    quantity_step=Decimal("0.01"),
)
GOLD = rules("XAU/USD:USD-CFD", "cfd.xau_usd", MarketKind.LINEAR)
BOOKS = {
    MarketKind.SPOT: MarketBook([rules("BTC/USDT", "spot.btc_usdt", MarketKind.SPOT)]),
    MarketKind.LINEAR: MarketBook([EURO, GOLD]),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One request as it would have left; a subscription's method is STREAM."""

    method: str
    path: str
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def line(self) -> str:
        """Method and path."""
        return f"{self.method} {self.path}"


@dataclass(slots=True)
class Recorder:
    """In place of ccxt's ``fetch`` and of the hubs: answers by method and path, or by the stream's target."""

    exchange: Any
    #: By line, or target: a document, (status, document or text), or an exception; a list of such is used up in turn.
    answers: dict[str, Any] = field(default_factory=dict)
    sent: list[Sent] = field(default_factory=list)

    async def fetch(
        self, url: str, method: str = "GET", headers: dict[str, str] | None = None, body: str | None = None
    ) -> Any:
        """As ccxt's own: hook, decode, look for errors."""
        parts = urlsplit(url)
        assert (parts.scheme, parts.netloc, parts.query) == ("https", HOST, "")
        document = json.loads(body) if body else body
        self.sent.append(Sent(method=method, path=parts.path, body=document, headers=dict(headers or {})))
        return self._answer(f"{method} {parts.path}", url, method)

    async def listen(self, path: str, names: list[str], arguments: list[Any]) -> dict[str, Any]:
        """In place of a connection to a hub."""
        url = await self.exchange._hub_url(path)
        self.exchange.before_connecting(url)
        parts, [name] = urlsplit(url), names
        token = parse_qs(parts.query)["access_token"][0]
        target = endpoints.STREAMS[name][1]
        assert (parts.scheme, parts.netloc) == ("wss", HOST)
        self.sent.append(Sent(method="STREAM", path=parts.path, body=[target, *arguments], headers={"token": token}))
        found = {name: self._answer(target, url, "GET")}
        self.exchange._told(200, url, {}, json.dumps(found))
        return found

    def _answer(self, name: str, url: str, method: str) -> Any:
        record = wire.current()
        if record is not None:
            record.sent_ns = time.monotonic_ns()
        given = self.answers[name]
        if isinstance(given, list) and given and isinstance(given[0], tuple | BaseException):
            given = given.pop(0)
        if isinstance(given, BaseException):
            raise given
        if name in {target for _, target in endpoints.STREAMS.values()}:
            return given
        status, document = given if isinstance(given, tuple) else (200, given)
        text = document if isinstance(document, str) else json.dumps(document)
        text = self.exchange.on_rest_response(status, "", url, method, {}, text, {}, None)
        decoded = self.exchange.parse_json(text)
        self.exchange.handle_errors(status, "", url, method, {}, text, decoded, {}, None)
        return text if decoded is None else decoded

    def holds(self, *positions: Any, orders: Any = (), balances: Any = (), used: str = "0") -> None:
        """What the account shows."""
        self.answers |= {
            "OpenPositions": {"item": list(positions)},
            "OpenOrders": list(orders),
            "FullBalance": list(balances),
            "MarginData": {"usedMarginInRAT": used},
        }

    @property
    def lines(self) -> list[str]:
        """Of every request but the exchange of the token."""
        return [each.line for each in self.sent if not each.path.endswith("/access-token")]

    @property
    def only(self) -> Sent:
        """The one request that was made, besides the exchange of the token."""
        [found] = [each for each in self.sent if not each.path.endswith("/access-token")]
        return found


SILENCE = errors.RequestTimeout("b2prime: no first message in time")


@asynccontextmanager
async def b2prime_venue(
    *, permission: Permission = Permission.CLOSE, books: Any = BOOKS, **own: Any
) -> AsyncIterator[tuple[CcxtVenue, Recorder]]:
    """An account whose markets are known, without a network. It holds nothing."""
    pools = Pools()
    options = VenueOptions(
        exchange="b2prime", credentials={"token": OFFLINE}, permission=permission, options={**OWN, **own}
    )
    assert factory.check(options) == []
    venue = factory.build(options, pools)
    pools.markets(options).books.update(books)
    exchange = venue._client.ccxt
    recorder = Recorder(exchange)
    # Behind the gate, which every request has to pass first.
    venue._client.send = recorder.fetch
    exchange._listen_once = recorder.listen
    recorder.answers[f"POST {API}/v4/access-token"] = {"accessToken": "JWT"}
    recorder.holds()
    try:
        yield venue, recorder
    finally:
        await venue.close()
        await pools.close()


def position(position_id: str = POSITION, market: str = "cfd.eur_usd", lots: str = "0.5", **changes: Any) -> Any:
    """A row of the stream of open positions."""
    return {
        "positionId": position_id,
        "marketId": market,
        "marketType": market.partition(".")[0].capitalize(),
        "side": "Buy",
        "status": "Open",
        "leverage": 30,
        "positionLotAmount": lots,
        "usedMarginInRAT": "100",
        "openPrice": "1.08",
        "currentMarketPrice": "1.09",
        **changes,
    }


def order(order_id: str = ORDER, market: str = "cfd.eur_usd", **changes: Any) -> Any:
    """A row of the stream of open orders."""
    return {
        "orderId": order_id,
        "marketId": market,
        "marketType": market.partition(".")[0].capitalize(),
        "status": "Pending",
        "side": "Buy",
        "orderType": "Limit",
        "requestedAmount": "20000",
        "remainingAmount": "20000",
        **changes,
    }


def close(**changes: Any) -> ClosePosition:
    """Closing half a lot of euro, long."""
    values: dict[str, Any] = {
        "slice": "linear",
        "symbol": EURO.symbol,
        "market_id": EURO.market_id,
        "side": PositionSide.LONG,
        "hedged": True,
        "isolated": False,
        "contracts": Decimal("0.5"),
        "limit_price": None,
        "client_order_id": CLIENT_ID,
    }
    return ClosePosition(**(values | changes))


def cancel(*ids: str, slice_name: str = "linear") -> CancelOrders:
    """Cancelling by identifier."""
    return CancelOrders(
        slice=slice_name, symbol=EURO.symbol, market_id=EURO.market_id, order_ids=ids or (ORDER,), trigger=False
    )


def sell() -> SellSpot:
    """Selling half a bitcoin, not below 60 000."""
    return SellSpot(
        slice="spot",
        symbol="BTC/USDT",
        market_id="spot.btc_usdt",
        asset="BTC",
        quantity=Decimal("0.50000"),
        limit_price=Decimal("60000.01"),
        client_order_id=CLIENT_ID,
    )
