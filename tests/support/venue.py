"""A venue on the real ccxt class whose ``fetch`` is replaced: what would be sent, and what comes back."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from node.domain.permission import Permission
from node.domain.snapshot import MarketKind, MarketRules, PositionSide
from node.domain.steps import CancelOrders, CancelSymbol, ClosePosition, SellSpot
from node.venues import factory, wire
from node.venues.ccxt_venue import CcxtVenue
from node.venues.markets import MarketBook
from node.venues.options import VenueOptions
from node.venues.pool import Pools

CREDENTIALS = {"apiKey": "canary-key-000111", "secret": "canary-secret-222333"}
#: What every signed request carries besides what is asked.
SIGNING = {"timestamp", "recvWindow", "signature"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One request as it would have left."""

    method: str
    host: str
    path: str
    params: dict[str, Any]
    signed: bool
    #: Query or body as signed.
    raw: str
    #: The body's JSON, where it is any.
    document: Any = None
    #: Names in lower case.
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def line(self) -> tuple[str, str, str]:
        """Method, host and path."""
        return self.method, self.host, self.path


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the venue answers."""

    body: str
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


def answer(document: object, status: int = 200, **headers: str) -> Answer:
    """JSON; header names with underscores for dashes."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(body=json.dumps(document), status=status, headers=named)


def error(code: int, message: str, status: int = 400) -> Answer:
    """Binance's error document."""
    return answer({"code": code, "msg": message}, status)


#: What an account answers that holds nothing: lists are empty anyway.
EMPTY_WALLETS = {
    "/api/v3/account": answer({"balances": []}),
    "/fapi/v3/account": answer({"assets": [], "positions": []}),
    "/dapi/v1/account": answer({"assets": [], "positions": []}),
    "/sapi/v1/margin/account": answer({"created": True, "userAssets": []}),
}


@dataclass(slots=True)
class RecordedFetch:
    """In place of ccxt's ``fetch``: counts requests and answers them by path."""

    exchange: Any
    answers: dict[str, Answer | BaseException | Callable[[], Any]] = field(default_factory=dict)
    default: Answer = field(default_factory=lambda: answer({}))
    #: Given first, one after the other, whatever is asked.
    in_turn: Iterator[Answer] = field(default_factory=lambda: iter(()))
    sent: list[Sent] = field(default_factory=list)

    async def __call__(
        self, url: str, method: str = "GET", headers: Mapping[str, str] | None = None, body: str | None = None
    ) -> object:
        """As ccxt's own: hook, decode, look for errors."""
        parts = urlsplit(url)
        raw = body or parts.query
        document = json.loads(raw) if raw.startswith(("{", "[")) else None
        params = document if isinstance(document, dict) else dict(parse_qsl(raw, keep_blank_values=True))
        asked = {name: value for name, value in params.items() if name not in SIGNING}
        self.sent.append(
            Sent(
                method=method,
                host=parts.netloc,
                path=parts.path,
                params=asked,
                signed="signature" in params,
                raw=raw,
                document=document,
                headers={name.lower(): str(value) for name, value in (headers or {}).items()},
            )
        )
        record = wire.current()
        if record is not None:
            record.sent_ns = time.monotonic_ns()
        given = next(self.in_turn, None) or self.answers.get(
            f"{method} {parts.path}", self.answers.get(parts.path, self.default)
        )
        if isinstance(given, BaseException):
            raise given
        if not isinstance(given, Answer):
            return given()
        text = self.exchange.on_rest_response(given.status, "", url, method, given.headers, given.body, headers, body)
        decoded = self.exchange.parse_json(text)
        self.exchange.handle_errors(given.status, "", url, method, given.headers, text, decoded, headers, body)
        self.exchange.handle_http_status_code(given.status, "", url, method, text)
        return text if decoded is None else decoded

    def empty(self, **answers: Any) -> None:
        """An account that holds nothing, except for what is named by path."""
        self.default = answer([])
        self.answers = {**EMPTY_WALLETS, **answers}

    @property
    def lines(self) -> list[tuple[str, str, str]]:
        """Method, host and path of every request."""
        return [each.line for each in self.sent]

    @property
    def only(self) -> Sent:
        """The one request that was made."""
        assert len(self.sent) == 1, self.lines
        return self.sent[0]


def rules(symbol: str, market_id: str, kind: MarketKind, **limits: Any) -> MarketRules:
    """One market."""
    pair, _, settle = symbol.partition(":")
    base, _, quote = pair.partition("/")
    return MarketRules(
        symbol=symbol, market_id=market_id, kind=kind, base=base, quote=quote, settle=settle or quote, **limits
    )


BOOKS = {
    MarketKind.SPOT: MarketBook(
        [rules("BTC/USDT", "BTCUSDT", MarketKind.SPOT), rules("ETH/USDT", "ETHUSDT", MarketKind.SPOT)]
    ),
    MarketKind.LINEAR: MarketBook(
        [
            rules("BTC/USDT:USDT", "BTCUSDT", MarketKind.LINEAR),
            rules("ETH/USDT:USDT", "ETHUSDT", MarketKind.LINEAR),
            rules("BTC/USDC:USDC", "BTCUSDC", MarketKind.LINEAR),
        ]
    ),
    MarketKind.INVERSE: MarketBook(
        [rules("BTC/USD:BTC", "BTCUSD_PERP", MarketKind.INVERSE, contract_size=Decimal(100))]
    ),
}


@asynccontextmanager
async def recorded_venue(
    *,
    exchange: str = "binance",
    credentials: Mapping[str, str] = CREDENTIALS,
    books: Mapping[MarketKind, MarketBook] = BOOKS,
    slices: tuple[str, ...] | None = None,
    permission: Permission = Permission.CLOSE,
    **more: Any,
) -> AsyncIterator[tuple[CcxtVenue, RecordedFetch]]:
    """An armed-looking account (markets known, no network) and its recorder."""
    pools = Pools()
    options = VenueOptions(exchange=exchange, credentials=credentials, slices=slices, permission=permission, **more)
    assert factory.check(options) == []
    venue = factory.build(options, pools)
    assert isinstance(venue, CcxtVenue)
    pools.markets(options).books.update(books)
    # Behind the gate, which every request has to pass first.
    venue._client.send = fetch = RecordedFetch(venue._client.ccxt)
    try:
        yield venue, fetch
    finally:
        await venue.close()
        await pools.close()


def close_position(**changes: Any) -> ClosePosition:
    """Closing a long of 0.015 BTC at market, one-way."""
    values: dict[str, Any] = {
        "slice": "linear",
        "symbol": "BTC/USDT:USDT",
        "market_id": "BTCUSDT",
        "side": PositionSide.LONG,
        "hedged": False,
        "isolated": False,
        "contracts": Decimal("0.015"),
        "limit_price": None,
        "client_order_id": "sabcdefgh234567abc",
    }
    return ClosePosition(**(values | changes))


def sell_spot(**changes: Any) -> SellSpot:
    """Selling 0.5 BTC, not below 60 000."""
    values: dict[str, Any] = {
        "slice": "spot",
        "symbol": "BTC/USDT",
        "market_id": "BTCUSDT",
        "asset": "BTC",
        "quantity": Decimal("0.50000"),
        "limit_price": Decimal("60000.01"),
        "client_order_id": "sabcdefgh234567abc",
    }
    return SellSpot(**(values | changes))


def cancel_orders(*ids: str, slice_name: str = "linear", trigger: bool = False) -> CancelOrders:
    """Cancelling by id."""
    market_id = "BTCUSD_PERP" if slice_name == "inverse" else "BTCUSDT"
    return CancelOrders(slice=slice_name, symbol="BTC/USDT:USDT", market_id=market_id, order_ids=ids, trigger=trigger)


def cancel_symbol(slice_name: str = "linear", *, trigger: bool = False) -> CancelSymbol:
    """Cancelling all of one book."""
    market_id = "BTCUSD_PERP" if slice_name == "inverse" else "BTCUSDT"
    return CancelSymbol(slice=slice_name, symbol="BTC/USDT:USDT", market_id=market_id, trigger=trigger, seen=1)
