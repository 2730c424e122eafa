"""An OKX account on the real ccxt class whose ``fetch`` is replaced."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from decimal import Decimal
from typing import Any

from node.domain.snapshot import MarketKind
from node.domain.steps import BuyToRepay, CancelOrders, CancelSymbol, ClosePosition, SellSpot
from node.venues.ccxt_venue import CcxtVenue
from node.venues.markets import MarketBook
from tests.support.venue import (
    Answer,
    RecordedFetch,
    answer,
    cancel_orders,
    cancel_symbol,
    close_position,
    recorded_venue,
    rules,
    sell_spot,
)

KEY = {"apiKey": "canary-key-000111", "secret": "canary-secret-222333", "password": "canary-phrase-444"}
ID = "sabcdefgh234567abc"
SWAP, INVERSE = "BTC-USDT-SWAP", "BTC-USD-SWAP"
BOOKS = {
    MarketKind.SPOT: MarketBook(
        [rules("BTC/USDT", "BTC-USDT", MarketKind.SPOT), rules("ETH/USDT", "ETH-USDT", MarketKind.SPOT)]
    ),
    MarketKind.LINEAR: MarketBook(
        [
            rules("BTC/USDT:USDT", SWAP, MarketKind.LINEAR, contract_size=Decimal("0.01")),
            rules("ETH/USDT:USDT", "ETH-USDT-SWAP", MarketKind.LINEAR, contract_size=Decimal("0.1")),
            rules("BTC/USDC:USDC", "BTC-USDC-SWAP", MarketKind.LINEAR, contract_size=Decimal("0.0001")),
            rules("BTC/USDT:USDT-260925", "BTC-USDT-260925", MarketKind.LINEAR, contract_size=Decimal("0.01")),
        ]
    ),
    MarketKind.INVERSE: MarketBook([rules("BTC/USD:BTC", INVERSE, MarketKind.INVERSE, contract_size=Decimal(100))]),
}
_PATH = "/api/v5"


def okx(account: str | None = None, **more: Any) -> AbstractAsyncContextManager[tuple[CcxtVenue, RecordedFetch]]:
    """The account and its recorder."""
    options = {"account": account} if account else {}
    return recorded_venue(exchange="okx", credentials=KEY, books=BOOKS, options=options, **more)


def ok(*rows: Any, code: str = "0") -> Answer:
    """The venue's envelope."""
    return answer({"code": code, "data": list(rows), "msg": ""})


def failed(code: str, message: str = "Refused.", status: int = 200) -> Answer:
    """An order that was refused: the row says why."""
    row = {"clOrdId": ID, "ordId": "", "sCode": code, "sMsg": message, "tag": ""}
    return answer({"code": "1", "data": [row], "msg": "Operation failed."}, status)


def fault(code: str, message: str = "Refused.", status: int = 200) -> Answer:
    """A request that was refused as a whole."""
    return answer({"code": code, "data": [], "msg": message}, status)


def path(name: str) -> str:
    """In full."""
    return f"{_PATH}/{name}"


#: What an account answers that holds nothing: lists are empty anyway.
EMPTY = {
    path("account/balance"): ok({"details": [], "totalEq": "0"}),
    path("account/account-position-risk"): ok({"adjEq": "", "balData": [], "posData": [], "ts": "1620282889345"}),
}


def empty(fetch: RecordedFetch, **answers: Any) -> None:
    """An account that holds nothing, except for what is named by the end of a path, "/" written as "__"."""
    fetch.default = ok()
    fetch.answers = EMPTY | {path(name.replace("__", "/").replace("_", "-")): given for name, given in answers.items()}


def close(**changes: Any) -> ClosePosition:
    """Closing a long of 7 contracts at market, net mode, cross."""
    return close_position(**({"market_id": SWAP, "contracts": Decimal(7)} | changes))


def sell(**changes: Any) -> SellSpot:
    """Selling 0.5 BTC, not below 60 000."""
    return sell_spot(**({"market_id": "BTC-USDT"} | changes))


def buy(**changes: Any) -> BuyToRepay:
    """Buying 0.5 BTC that are owed, not above 66 000."""
    values: dict[str, Any] = {
        "slice": "spot",
        "symbol": "BTC/USDT",
        "market_id": "BTC-USDT",
        "asset": "BTC",
        "quantity": Decimal("0.5"),
        "limit_price": Decimal(66000),
        "client_order_id": ID,
    }
    return BuyToRepay(**(values | changes))


def cancel(*ids: str, slice_name: str = "linear", trigger: bool = False) -> CancelOrders:
    """By id."""
    named = cancel_orders(*ids, slice_name=slice_name, trigger=trigger)
    return replace(named, market_id={"spot": "BTC-USDT", "inverse": INVERSE}.get(slice_name, SWAP))


def sweep(slice_name: str = "spot", *, trigger: bool = False) -> CancelSymbol:
    """Of one market."""
    return replace(cancel_symbol(slice_name, trigger=trigger), symbol="BTC/USDT", market_id="BTC-USDT")
