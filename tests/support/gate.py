"""A Gate account on the real ccxt class, as tests of its profile use it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

from node.domain.snapshot import MarketKind
from node.domain.steps import CancelOrders, CancelSymbol, ClosePosition, SellSpot
from node.venues.ccxt_venue import CcxtVenue
from node.venues.markets import MarketBook
from tests.support import venue as support
from tests.support.venue import Answer, RecordedFetch, answer, recorded_venue, rules

HOST = "api.gateio.ws"
ID = "sabcdefgh234567abc"
TEXT = f"t-{ID}"

BOOKS = {
    MarketKind.SPOT: MarketBook(
        [rules("BTC/USDT", "BTC_USDT", MarketKind.SPOT), rules("ETH/USDT", "ETH_USDT", MarketKind.SPOT)]
    ),
    MarketKind.LINEAR: MarketBook(
        [
            rules("BTC/USDT:USDT", "BTC_USDT", MarketKind.LINEAR, contract_size=Decimal("0.0001")),
            rules("ETH/USDT:USDT", "ETH_USDT", MarketKind.LINEAR, contract_size=Decimal("0.01")),
            rules("BTC/USD1:USD1", "BTC_USD1", MarketKind.LINEAR, contract_size=Decimal("0.0001")),
        ]
    ),
    MarketKind.INVERSE: MarketBook([rules("BTC/USD:BTC", "BTC_USD", MarketKind.INVERSE)]),
}
MARKET_IDS = {"spot": "BTC_USDT", "linear": "BTC_USDT", "inverse": "BTC_USD"}
NO_AUTO_ORDERS = answer({"code": 0, "message": "", "data": {"orders": []}, "timestamp": 1795636800})


@asynccontextmanager
async def gate(**more: Any) -> AsyncIterator[tuple[CcxtVenue, RecordedFetch]]:
    """An armed-looking account."""
    async with recorded_venue(exchange="gate", books=BOOKS, **more) as (venue, fetch):
        yield venue, fetch


def refusal(label: str, message: str = "", status: int = 400) -> Answer:
    """Gate's error document."""
    return answer({"label": label, "message": message}, status)


def wallet(settle: str = "USDT", **more: Any) -> dict[str, Any]:
    """``GET /futures/{settle}/accounts`` of an account that holds nothing."""
    return {
        "user": 1666,
        "currency": settle,
        "total": "0",
        "unrealised_pnl": "0",
        "position_margin": "0",
        "order_margin": "0",
        "available": "0",
        "point": "0",
        "in_dual_mode": False,
        "position_initial_margin": "0",
        "cross_order_margin": "0",
        "cross_initial_margin": "0",
        "isolated_position_margin": "0",
        "margin_mode": 0,
        "position_mode": "single",
        **more,
    }


def holds_nothing(fetch: RecordedFetch, **answers: Any) -> None:
    """An account that holds nothing, except for what is named by path (of futures in USDT: by its last part)."""
    fetch.default = answer([])
    fetch.answers = {"/api/v4/unified/accounts": answer({"balances": {}})}
    for settle in ("usdt", "usd1", "btc"):
        path = f"/api/v4/futures/{settle}"
        fetch.answers[f"{path}/accounts"] = answer(wallet(settle.upper()))
        for book in ("trail", "chase"):
            fetch.answers[f"{path}/autoorder/v1/{book}/list"] = NO_AUTO_ORDERS
    for name, given in answers.items():
        fetch.answers[f"/api/v4/futures/usdt/{name}"] = given


def close(**changes: Any) -> ClosePosition:
    """Closing a long of 7 contracts at market, one-way."""
    return support.close_position(**({"market_id": "BTC_USDT", "contracts": Decimal(7)} | changes))


def sell(**changes: Any) -> SellSpot:
    """Selling 0.5 BTC, not below 60 000."""
    return support.sell_spot(**({"market_id": "BTC_USDT"} | changes))


def cancel(*ids: str, slice_name: str = "linear", trigger: bool = False, **changes: Any) -> CancelOrders:
    """Cancelling by id."""
    values: dict[str, Any] = {
        "slice": slice_name,
        "symbol": "BTC/USDT:USDT",
        "market_id": MARKET_IDS[slice_name],
        "order_ids": ids,
        "trigger": trigger,
    }
    return CancelOrders(**(values | changes))


def sweep(slice_name: str = "linear", *, trigger: bool = False) -> CancelSymbol:
    """Cancelling all of one book."""
    market_id = MARKET_IDS[slice_name]
    return CancelSymbol(slice=slice_name, symbol="BTC/USDT:USDT", market_id=market_id, trigger=trigger, seen=1)


def body(raw: str) -> Any:
    """A request's JSON."""
    return json.loads(raw)
