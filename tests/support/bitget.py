"""A Bitget account on the real ccxt class: its books, its credentials, its empty answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

from node.domain.snapshot import MarketKind
from node.venues.ccxt_venue import CcxtVenue
from node.venues.markets import MarketBook
from tests.support.venue import Answer, RecordedFetch, answer, recorded_venue, rules

CREDENTIALS = {"apiKey": "canary-key-000111", "secret": "canary-secret-222333", "password": "canary-phrase-444555"}
HOST = "api.bitget.com"

BOOKS = {
    MarketKind.SPOT: MarketBook(
        [
            rules("BTC/USDT", "BTCUSDT", MarketKind.SPOT, sweeps=False),
            rules("ETH/USDT", "ETHUSDT", MarketKind.SPOT, sweeps=False),
        ]
    ),
    MarketKind.LINEAR: MarketBook(
        [
            rules("BTC/USDT:USDT", "BTCUSDT", MarketKind.LINEAR),
            rules("ETH/USDT:USDT", "ETHUSDT", MarketKind.LINEAR),
            rules("BTC/USDC:USDC", "BTCPERP", MarketKind.LINEAR),
        ]
    ),
    MarketKind.INVERSE: MarketBook(
        [
            rules("BTC/USD:BTC", "BTCUSD", MarketKind.INVERSE, quantity_step=Decimal("0.001")),
            rules("BTC/USD:BTC-270326", "BTCUSDH27", MarketKind.INVERSE),
        ]
    ),
}


def said(data: object, **more: Any) -> Answer:
    """A success that carries *data*."""
    return answer({"code": "00000", "msg": "success", "requestTime": 1_800_000_000_000, "data": data, **more})


def failed(code: str, message: str, status: int = 400) -> Answer:
    """Bitget's error document."""
    return answer({"code": code, "msg": message, "requestTime": 1_800_000_000_000, "data": None}, status)


#: What an account answers that holds nothing, as the venue does: null for an empty list.
EMPTY = {
    "/api/v2/mix/position/all-position": said([]),
    "/api/v2/mix/order/orders-pending": said({"entrustedList": None, "endId": None}),
    "/api/v2/mix/order/orders-plan-pending": said({"entrustedList": None, "endId": None}),
    "/api/v2/mix/account/accounts": said([]),
    "/api/v2/spot/trade/unfilled-orders": said([]),
    "/api/v2/spot/trade/current-plan-order": said({"nextFlag": False, "idLessThan": None, "orderList": []}),
    "/api/v2/spot/account/assets": said([]),
    "/api/v3/position/current-position": said({"list": []}),
    "/api/v3/trade/unfilled-orders": said({"list": [], "cursor": None}),
    "/api/v3/trade/unfilled-strategy-orders": said([]),
    "/api/v3/account/assets": said({"accountEquity": "0", "assets": []}),
}


@asynccontextmanager
async def bitget(account: str = "classic", **more: Any) -> AsyncIterator[tuple[CcxtVenue, RecordedFetch]]:
    """An account of a kind, empty unless its answers are changed."""
    options = {"account": account, **more.pop("options", {})}
    async with recorded_venue(exchange="bitget", credentials=CREDENTIALS, books=BOOKS, options=options, **more) as (
        venue,
        fetch,
    ):
        fetch.answers = dict(EMPTY)
        fetch.default = said({"orderId": "1", "clientOid": "x"})
        yield venue, fetch
