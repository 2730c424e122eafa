"""Bybit's answers, as its documentation shows them: https://bybit-exchange.github.io/docs/v5."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

from tests.support.venue import CREDENTIALS, Answer, RecordedFetch, Sent, answer


def ok(**result: Any) -> Answer:
    """The venue's envelope of a success."""
    return answer({"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": 1_800_000_000_000})


def fault(code: int, message: str, status: int = 200) -> Answer:
    """The venue's envelope of an error: with HTTP 200, mostly."""
    document = {"retCode": code, "retMsg": message, "result": {}, "retExtInfo": {}, "time": 1_800_000_000_000}
    return answer(document, status)


def page(category: str, *rows: Any, cursor: str = "") -> Answer:
    """A list."""
    return ok(category=category, list=list(rows), nextPageCursor=cursor)


def wallet(*coins: dict[str, Any]) -> Answer:
    """The unified wallet."""
    return ok(list=[{"accountType": "UNIFIED", "coin": list(coins)}])


def coin(name: str, balance: str, **changes: Any) -> dict[str, Any]:
    """One coin of it."""
    zero = dict.fromkeys(("locked", "borrowAmount", "spotBorrow", "bonus", "unrealisedPnl", "accruedInterest"), "0")
    return {"coin": name, "walletBalance": balance, "totalPositionIM": "", "totalOrderIM": "", **zero, **changes}


def position(**changes: Any) -> dict[str, Any]:
    """A long of 1.25 BTC, one-way."""
    return {
        "positionIdx": 0,
        "symbol": "BTCUSDT",
        "side": "Buy",
        "size": "1.250",
        "avgPrice": "62720",
        "positionValue": "78400",
        "tradeMode": 0,
        "positionStatus": "Normal",
        "leverage": "10",
        "markPrice": "64000.00",
        "unrealisedPnl": "1600",
        **changes,
    }


def order(**changes: Any) -> dict[str, Any]:
    """A resting buy, 0.2 of 0.5 filled."""
    return {
        "orderId": "fd4300ae-7847-404e-b947-b46980a4d140",
        "orderLinkId": "abc",
        "symbol": "BTCUSDT",
        "side": "Buy",
        "qty": "0.5",
        "leavesQty": "0.3",
        "cumExecQty": "0.2",
        "positionIdx": 0,
        "orderStatus": "PartiallyFilled",
        "orderType": "Limit",
        "timeInForce": "GTC",
        "stopOrderType": "",
        "reduceOnly": False,
        "closeOnTrigger": False,
        **changes,
    }


def stop(**changes: Any) -> dict[str, Any]:
    """A stop that sells 0.4 reduce-only."""
    values = {
        "orderId": "c6f055d9-7f21-4079-913d-e6523a9cfffa",
        "orderLinkId": "",
        "side": "Sell",
        "qty": "0.4",
        "leavesQty": "0.4",
        "cumExecQty": "0",
        "orderStatus": "Untriggered",
        "stopOrderType": "StopLoss",
        "reduceOnly": True,
        "closeOnTrigger": True,
    }
    return order(**values | changes)


def signed(sent: Sent) -> bool:
    """Whether the signature covers exactly what is sent: time, key, window, and the query or the body."""
    headers = sent.headers
    if "x-bapi-sign" not in headers:
        return False
    words = headers["x-bapi-timestamp"] + CREDENTIALS["apiKey"] + headers["x-bapi-recv-window"] + sent.raw
    expected = hmac.new(CREDENTIALS["secret"].encode(), words.encode(), hashlib.sha256).hexdigest()
    return headers["x-bapi-sign"] == expected and headers["x-bapi-api-key"] == CREDENTIALS["apiKey"]


def empty(fetch: RecordedFetch, slice_name: str) -> None:
    """An account that holds nothing."""
    fetch.default = page(slice_name.partition(":")[0])
    fetch.answers["/v5/account/wallet-balance"] = wallet()
