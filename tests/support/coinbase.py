"""Coinbase's account, products and answers for tests.

By https://docs.cdp.coinbase.com/api-reference/advanced-trade-api/rest-api.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from node.domain.snapshot import MarketKind
from node.domain.steps import CancelOrders, SellSpot
from node.venues.ccxt_venue import CcxtVenue
from node.venues.markets import MarketBook
from tests.support.venue import Answer, RecordedFetch, answer, recorded_venue, rules, sell_spot

HOST, API = "api.coinbase.com", "/api/v3/brokerage"
LIST, ACCOUNTS = f"{API}/orders/historical/batch", f"{API}/accounts"
ORDERS, CANCEL = f"{API}/orders", f"{API}/orders/batch_cancel"
QUOTES, PRODUCTS = f"{API}/best_bid_ask", f"{API}/market/products"
TIME, KEY = f"{API}/time", f"{API}/key_permissions"

PRIVATE_KEY: Final = ec.generate_private_key(ec.SECP256R1())
PEM: Final = PRIVATE_KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
CREDENTIALS = {"apiKey": "organizations/canary-org/apiKeys/canary-key", "secret": PEM}

BOOKS = {
    MarketKind.SPOT: MarketBook(
        [
            rules("BTC/USD", "BTC-USD", MarketKind.SPOT, sweeps=False),
            rules("ETH/USDC", "ETH-USDC", MarketKind.SPOT, sweeps=False),
        ]
    )
}


@asynccontextmanager
async def coinbase(**more: Any) -> AsyncIterator[tuple[CcxtVenue, RecordedFetch]]:
    """An account whose lists are empty unless a test says otherwise."""
    given = {"credentials": CREDENTIALS, "books": BOOKS, **more}
    async with recorded_venue(exchange="coinbase", **given) as (venue, fetch):
        fetch.answers = {LIST: listed(), ACCOUNTS: accounts()}
        yield venue, fetch


def listed(*orders: Any, cursor: str = "") -> Answer:
    """A page of orders, the last one unless there is a cursor."""
    return answer({"orders": list(orders), "sequence": "0", "has_next": bool(cursor), "cursor": cursor})


def accounts(*entries: Any, cursor: str = "") -> Answer:
    """A page of accounts."""
    return answer({"accounts": list(entries), "has_next": bool(cursor), "cursor": cursor, "size": len(entries)})


def order(**changes: Any) -> dict[str, Any]:
    """A resting purchase of 0.01 BTC, 0.004 filled."""
    return {
        "order_id": "0000-000000-000001",
        "product_id": "BTC-USD",
        "order_configuration": {"limit_limit_gtc": {"base_size": "0.01", "limit_price": "45000", "post_only": False}},
        "side": "BUY",
        "client_order_id": "11111-000000-000001",
        "status": "OPEN",
        "time_in_force": "GOOD_UNTIL_CANCELLED",
        "created_time": "2024-01-15T10:00:00Z",
        "filled_size": "0.004",
        "pending_cancel": False,
        "trigger_status": "INVALID_ORDER_TYPE",
        "order_type": "LIMIT",
        "product_type": "SPOT",
        **changes,
    }


def account(currency: str = "BTC", free: str = "1.5", hold: str = "0", **changes: Any) -> dict[str, Any]:
    """One wallet."""
    return {
        "uuid": f"8bfc20d7-{currency}",
        "currency": currency,
        "available_balance": {"value": free, "currency": currency},
        "hold": {"value": hold, "currency": currency},
        "type": "ACCOUNT_TYPE_CRYPTO",
        "platform": "ACCOUNT_PLATFORM_CONSUMER",
        "ready": True,
        "active": True,
        **changes,
    }


def refusal(reason: str = "", preview: str = "", error: str = "UNKNOWN_FAILURE_REASON", **changes: Any) -> Answer:
    """An order that was not taken: HTTP 200 all the same."""
    said = {
        "error": error,
        "message": "",
        "error_details": "words",
        "preview_failure_reason": preview or "UNKNOWN_PREVIEW_FAILURE_REASON",
        "new_order_failure_reason": reason or "UNKNOWN_FAILURE_REASON",
    }
    return answer({"success": False, "error_response": {**said, **changes}})


def taken(**changes: Any) -> Answer:
    """An order that was taken."""
    mine = {"order_id": "52cfe5e2", "product_id": "BTC-USD", "side": "SELL", "client_order_id": "sabcdefgh234567abc"}
    return answer({"success": True, "success_response": mine | changes, "order_configuration": None})


def cancelled(*results: tuple[str, bool, str]) -> Answer:
    """One result an order."""
    rows = [{"order_id": name, "success": success, "failure_reason": reason} for name, success, reason in results]
    return answer({"results": rows})


def failed(error: str, status: int, details: str = "") -> Answer:
    """A request that failed as a whole."""
    return answer({"error": error, "error_details": details, "message": details}, status)


def sale(**changes: Any) -> SellSpot:
    """Selling 0.5 BTC, not below 60 000."""
    return sell_spot(**({"symbol": "BTC/USD", "market_id": "BTC-USD"} | changes))


def cancels(*ids: str, trigger: bool = False) -> CancelOrders:
    """By id."""
    return CancelOrders(slice="spot", symbol="BTC/USD", market_id="BTC-USD", order_ids=ids, trigger=trigger)
