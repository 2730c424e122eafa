"""Kraken Futures in tests: a key, markets, and answers in its envelope."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from typing import Any

from node.domain.snapshot import MarketKind
from node.domain.steps import CancelOrders, CancelSymbol, ClosePosition
from node.venues.ccxt_venue import CcxtVenue
from node.venues.markets import MarketBook
from tests.support.venue import Answer, RecordedFetch, answer, close_position, recorded_venue, rules

#: As documented: "Base64-decode your api_secret".
CREDENTIALS = {
    "apiKey": "CMl2SeSn09Tz+2tWuzPiPUjaXEQRGq6qv5UaexXuQ3SnahDQU/gO3aT+",
    "secret": "rttp4AzwRfYEdQ7R7X8Z/04Y4TZPa97pqCypi3xXxAqftygftnI6H9yGV+OcUOOJeFtZkr8mVwbAndU3Kz4Q+eG0",
}
API = "/derivatives/api/v3"
ONE, TWO = "59302619-41d2-4f0b-941f-7e7914760ad3", "022774bc-2c4a-4f26-9317-436c8d85746d"

BOOKS = {
    MarketKind.LINEAR: MarketBook(
        [
            rules("BTC/USD:USD", "PF_XBTUSD", MarketKind.LINEAR),
            rules("ETH/USD:USD", "PF_ETHUSD", MarketKind.LINEAR),
        ]
    ),
    MarketKind.INVERSE: MarketBook(
        [
            rules("BTC/USD:BTC", "PI_XBTUSD", MarketKind.INVERSE),
            rules("XRP/USD:XRP", "PI_XRPUSD", MarketKind.INVERSE),
        ]
    ),
}


def venue(**changes: Any) -> AbstractAsyncContextManager[tuple[CcxtVenue, RecordedFetch]]:
    """An armed-looking account and its recorder."""
    return recorded_venue(exchange="krakenfutures", credentials=CREDENTIALS, books=BOOKS, **changes)


def ok(**fields: Any) -> Answer:
    """An answer that says that it is one."""
    return answer({"result": "success", "serverTime": "2026-03-02T06:10:31.955Z", **fields})


def failed(name: str, status: int = 200) -> Answer:
    """The error document."""
    return answer({"result": "error", "error": name, "serverTime": "2026-03-02T06:10:31.955Z"}, status)


def sent_status(status: str, *events: Any, order_id: str | None = ONE) -> Answer:
    """What became of an order."""
    found: dict[str, Any] = {"status": status, "receivedTime": "2026-03-02T06:10:31.954Z"}
    found |= {"order_id": order_id} if order_id is not None else {}
    return ok(sendStatus=found | {"orderEvents": list(events)})


FLEX = {
    "type": "multiCollateralMarginAccount",
    "currencies": {},
    "initialMargin": 0,
    "initialMarginWithOrders": 0,
    "maintenanceMargin": 0,
}
CASH = {"type": "cashAccount", "balances": {}}


def accounts(**wallets: Any) -> Answer:
    """Wallets; empty ones where none is named."""
    return ok(accounts={"cash": CASH, "flex": FLEX, **wallets})


def margin_wallet(currency: str, im: float = 0, af: float = 0, **balances: str) -> dict[str, Any]:
    """A wallet of one coin, with what is held in it."""
    requirements = dict.fromkeys(("im", "mm", "lt", "tt"), im)
    return {
        "type": "marginAccount",
        "currency": currency,
        "balances": balances,
        "auxiliary": {"usd": 0, "pv": 0, "pnl": 0, "af": af, "funding": 0},
        "marginRequirements": requirements,
        "triggerEstimates": requirements,
    }


def empty(fetch: RecordedFetch, **named: Answer) -> None:
    """An account that holds nothing, except for what is named."""
    given = {"openorders": ok(openOrders=[]), "openpositions": ok(openPositions=[]), "accounts": accounts(), **named}
    fetch.answers = {f"GET {API}/{name}": found for name, found in given.items()}


def close(**changes: Any) -> ClosePosition:
    """Closing a long of 0.015 BTC."""
    return close_position(symbol="BTC/USD:USD", market_id="PF_XBTUSD", **changes)


def close_inverse(**changes: Any) -> ClosePosition:
    """Closing a long of 8000 dollars."""
    values = {"slice": "inverse", "symbol": "BTC/USD:BTC", "market_id": "PI_XBTUSD", "contracts": Decimal("8000.0")}
    return close_position(**(values | changes))


def cancel(*ids: str, trigger: bool = False, slice_name: str = "linear") -> CancelOrders:
    """Cancelling by id."""
    name = "PF_XBTUSD" if slice_name == "linear" else "PI_XBTUSD"
    return CancelOrders(slice=slice_name, symbol="BTC/USD:USD", market_id=name, order_ids=ids, trigger=trigger)


def sweep(*, trigger: bool = False, slice_name: str = "linear") -> CancelSymbol:
    """Cancelling whatever rests on a market."""
    name = "PF_XBTUSD" if slice_name == "linear" else "PI_XBTUSD"
    return CancelSymbol(slice=slice_name, symbol="BTC/USD:USD", market_id=name, trigger=trigger, seen=1)
