"""A KuCoin account on the real ccxt class, as tests of its profile use it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

from node.domain.snapshot import MarketKind
from node.domain.steps import CancelOrders, CancelSymbol, ClosePosition, SellSpot
from node.venues.ccxt_venue import CcxtVenue
from node.venues.markets import MarketBook
from tests.support import venue as support
from tests.support.venue import Answer, RecordedFetch, answer, recorded_venue, rules

SPOT = "api.kucoin.com"
FUTURES = "api-futures.kucoin.com"
ID = "sabcdefgh234567abc"
CREDENTIALS = {**support.CREDENTIALS, "password": "canary-passphrase-444"}

BOOKS = {
    MarketKind.SPOT: MarketBook(
        [rules("BTC/USDT", "BTC-USDT", MarketKind.SPOT), rules("ETH/USDT", "ETH-USDT", MarketKind.SPOT)]
    ),
    MarketKind.LINEAR: MarketBook(
        [
            rules("BTC/USDT:USDT", "XBTUSDTM", MarketKind.LINEAR, contract_size=Decimal("0.001")),
            rules("ETH/USDT:USDT", "ETHUSDTM", MarketKind.LINEAR, contract_size=Decimal("0.01")),
            rules("BTC/USDC:USDC", "XBTUSDCM", MarketKind.LINEAR, contract_size=Decimal("0.001")),
        ]
    ),
    MarketKind.INVERSE: MarketBook(
        [
            rules("BTC/USD:BTC", "XBTUSDM", MarketKind.INVERSE, contract_size=Decimal(1)),
            rules("ETH/USD:ETH", "ETHUSDM", MarketKind.INVERSE, contract_size=Decimal(1)),
        ]
    ),
}
MARKET_IDS = {"spot": "BTC-USDT", "linear": "XBTUSDTM", "inverse": "XBTUSDM"}


@asynccontextmanager
async def kucoin(**more: Any) -> AsyncIterator[tuple[CcxtVenue, RecordedFetch]]:
    """An armed-looking account."""
    values = {"credentials": CREDENTIALS, "books": BOOKS, **more}
    async with recorded_venue(exchange="kucoin", **values) as (venue, fetch):
        yield venue, fetch


def ok(data: Any, status: int = 200, **headers: str) -> Answer:
    """KuCoin's envelope."""
    return answer({"code": "200000", "data": data}, status, **headers)


def page(*items: Any, number: int = 1, of: int = 1) -> Answer:
    """One page of a list."""
    return ok({"currentPage": number, "pageSize": 500, "totalNum": len(items), "totalPage": of, "items": list(items)})


def refusal(code: str, message: str = "", status: int = 200) -> Answer:
    """KuCoin's error document; most come with status 200."""
    return answer({"code": code, "msg": message}, status)


def wallet(coin: str = "USDT", **more: Any) -> dict[str, Any]:
    """``GET /api/v1/account-overview`` of an account that holds nothing."""
    return {
        "accountEquity": 0,
        "unrealisedPNL": 0,
        "marginBalance": 0,
        "positionMargin": 0,
        "orderMargin": 0,
        "frozenFunds": 0,
        "availableBalance": 0,
        "currency": coin,
        "riskRatio": 0,
        "maxWithdrawAmount": 0,
        "availableMargin": 0,
        **more,
    }


def wallets(fetch: RecordedFetch, **by_coin: dict[str, Any]) -> Callable[[], Any]:
    """Each coin's wallet, as it is asked for; empty but for what is named."""

    def overview() -> Any:
        coin = fetch.sent[-1].params["currency"]
        return {"code": "200000", "data": wallet(coin, **by_coin.get(coin, {}))}

    return overview


def holds_nothing(fetch: RecordedFetch, **answers: Any) -> None:
    """An account that holds nothing, except for what is named by the last part of a path."""
    fetch.default = refusal("404000", "Url Not Found", 404)
    empty: dict[str, Any] = {
        "/api/v1/stop-order": page(of=0),
        "/api/v3/oco/orders": page(of=0),
        "/api/v1/hf/orders/active/symbols": ok({"symbols": []}),
        "/api/v1/hf/orders/active": ok([]),
        "/api/v1/accounts": ok([]),
        "/api/v1/stopOrders": page(of=0),
        "/api/v1/orders": page(of=0),
        "/api/v1/positions": ok([]),
        "/api/v1/account-overview": wallets(fetch),
    }
    names = {path.rpartition("/")[2]: path for path in empty} | {"oco": "/api/v3/oco/orders"}
    names |= {"orders": "/api/v1/orders"}
    fetch.answers = empty | {names[name.replace("__", "-")]: given for name, given in answers.items()}


def close(**changes: Any) -> ClosePosition:
    """Closing a long of 7 contracts at market, one-way, cross."""
    return support.close_position(**({"market_id": "XBTUSDTM", "contracts": Decimal(7)} | changes))


def sell(**changes: Any) -> SellSpot:
    """Selling 0.5 BTC, not below 60 000."""
    return support.sell_spot(**({"market_id": "BTC-USDT"} | changes))


def cancel(*ids: str, slice_name: str = "linear", trigger: bool = False) -> CancelOrders:
    """Cancelling by id."""
    return CancelOrders(
        slice=slice_name, symbol="BTC/USDT:USDT", market_id=MARKET_IDS[slice_name], order_ids=ids, trigger=trigger
    )


def sweep(slice_name: str = "linear", *, trigger: bool = False) -> CancelSymbol:
    """Cancelling all of one book."""
    market_id = MARKET_IDS[slice_name]
    return CancelSymbol(slice=slice_name, symbol="BTC/USDT:USDT", market_id=market_id, trigger=trigger, seen=1)
