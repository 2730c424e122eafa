"""Kraken in tests: a key, markets, and answers in its envelope."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from typing import Any

from node.domain.snapshot import MarketKind
from node.domain.steps import CancelOrders, CancelSymbol, ClosePosition, SellSpot
from node.venues.ccxt_venue import CcxtVenue
from node.venues.markets import MarketBook
from tests.support.venue import Answer, RecordedFetch, answer, close_position, recorded_venue, rules, sell_spot

#: The secret of the documented example: guides/spot-rest-auth.
CREDENTIALS = {
    "apiKey": "canary-key-000111",
    "secret": "kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRzBHCd3pd5nE9qa99HAZtuZuj6F1huXg==",
}
API = "/0/private"
ONE, TWO = "OHYO67-6LP66-HMQ437", "OUF4EM-FRGI2-MQMWZD"

BOOKS = {
    MarketKind.SPOT: MarketBook(
        [
            rules("BTC/USD", "XXBTZUSD", MarketKind.SPOT, sweeps=False),
            rules("ETH/BTC", "XETHXXBT", MarketKind.SPOT, sweeps=False),
            rules("USDT/USD", "USDTZUSD", MarketKind.SPOT, sweeps=False),
            rules("BTC/USDT", "XBTUSDT", MarketKind.SPOT, sweeps=False),
            rules("ADA/EUR", "ADAEUR", MarketKind.SPOT, sweeps=False),
        ]
    )
}


def venue(**changes: Any) -> AbstractAsyncContextManager[tuple[CcxtVenue, RecordedFetch]]:
    """An armed-looking account and its recorder."""
    return recorded_venue(exchange="kraken", credentials=CREDENTIALS, books=BOOKS, **changes)


def ok(result: Any) -> Answer:
    """An answer without an error."""
    return answer({"error": [], "result": result})


def failed(*errors: str) -> Answer:
    """The error document, which comes with a good status."""
    return answer({"error": list(errors)})


def empty(fetch: RecordedFetch, **named: Answer) -> None:
    """An account that holds nothing, except for what is named."""
    given = {"OpenOrders": ok({"open": {}}), "OpenPositions": ok([]), "BalanceEx": ok({}), **named}
    fetch.answers = {f"POST {API}/{name}": found for name, found in given.items()}


def sell(**changes: Any) -> SellSpot:
    """Selling half a bitcoin, not below 60 000.1."""
    return sell_spot(symbol="BTC/USD", market_id="XXBTZUSD", limit_price=Decimal("60000.1"), **changes)


def close(**changes: Any) -> ClosePosition:
    """Closing a long of half a bitcoin on margin."""
    values: dict[str, Any] = {"contracts": Decimal("0.50000000"), **changes}
    return close_position(slice="spot", symbol="BTC/USD", market_id="XXBTZUSD", **values)


def cancel(*ids: str, trigger: bool = False) -> CancelOrders:
    """Cancelling by id."""
    return CancelOrders(slice="spot", symbol="BTC/USD", market_id="XXBTZUSD", order_ids=ids, trigger=trigger)


def sweep() -> CancelSymbol:
    """Cancelling whatever rests on a market."""
    return CancelSymbol(slice="spot", symbol="BTC/USD", market_id="XXBTZUSD", trigger=False, seen=1)
