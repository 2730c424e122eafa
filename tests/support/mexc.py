"""A MEXC account on the real ccxt class: its books, its credentials, its empty answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

from node.domain.snapshot import MarketKind
from node.venues.ccxt_venue import CcxtVenue
from node.venues.markets import MarketBook
from tests.support.venue import Answer, RecordedFetch, answer, recorded_venue, rules

CREDENTIALS = {"apiKey": "canary-key-000111", "secret": "canary-secret-222333"}
HOST = "api.mexc.com"
PRIVATE = "/api/v1/private"

BOOKS = {
    MarketKind.SPOT: MarketBook(
        [rules("BTC/USDT", "BTCUSDT", MarketKind.SPOT), rules("ETH/USDT", "ETHUSDT", MarketKind.SPOT)]
    ),
    MarketKind.LINEAR: MarketBook(
        [
            rules("BTC/USDT:USDT", "BTC_USDT", MarketKind.LINEAR, contract_size=Decimal("0.0001")),
            rules("ETH/USDT:USDT", "ETH_USDT", MarketKind.LINEAR, contract_size=Decimal("0.01")),
            rules("BTC/USDC:USDC", "BTC_USDC", MarketKind.LINEAR, contract_size=Decimal("0.0001")),
        ]
    ),
    MarketKind.INVERSE: MarketBook([rules("BTC/USD:BTC", "BTC_USD", MarketKind.INVERSE, contract_size=Decimal(100))]),
}


def said(data: object, **more: Any) -> Answer:
    """A success of the futures interface that carries *data*."""
    return answer({"success": True, "code": 0, "data": data, **more})


def failed(code: int, message: str, status: int = 200) -> Answer:
    """An error of the futures interface."""
    return answer({"success": False, "code": code, "message": message}, status)


def failed_on_spot(code: int, message: str, status: int = 400) -> Answer:
    """An error of the spot interface."""
    return answer({"code": code, "msg": message}, status)


#: What an account answers that holds nothing.
EMPTY = {
    f"{PRIVATE}/position/open_positions": said([]),
    f"{PRIVATE}/account/assets": said([]),
    f"{PRIVATE}/order/list/open_orders": said([]),
    f"{PRIVATE}/planorder/list/orders": said([]),
    f"{PRIVATE}/stoporder/open_orders": said([]),
    f"{PRIVATE}/trackorder/list/orders": said([]),
    "/api/v3/openOrders": answer([]),
    "/api/v3/account": answer({"canTrade": True, "balances": []}),
}


@asynccontextmanager
async def mexc(**more: Any) -> AsyncIterator[tuple[CcxtVenue, RecordedFetch]]:
    """An account that is empty unless its answers are changed."""
    async with recorded_venue(exchange="mexc", credentials=CREDENTIALS, books=BOOKS, **more) as (venue, fetch):
        fetch.answers = dict(EMPTY)
        fetch.default = said({"orderId": "1", "ts": 1_800_000_000_000})
        yield venue, fetch
