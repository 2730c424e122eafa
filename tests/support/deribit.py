"""Deribit's account, markets and answers for tests, by https://docs.deribit.com/api-reference."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from node.domain.snapshot import MarketKind
from node.domain.steps import CancelOrders, CancelSymbol
from node.venues.ccxt_venue import CcxtVenue
from node.venues.markets import MarketBook
from tests.support.venue import Answer, RecordedFetch, answer, recorded_venue, rules

HOST, API = "www.deribit.com", "/api/v2"
ORDERS = f"{API}/private/get_open_orders"
POSITIONS = f"{API}/private/get_positions"
WALLET = f"{API}/private/get_account_summaries"
SELL, BUY, CANCEL = f"{API}/private/sell", f"{API}/private/buy", f"{API}/private/cancel"

BOOKS = {
    MarketKind.INVERSE: MarketBook(
        [
            rules("BTC/USD:BTC", "BTC-PERPETUAL", MarketKind.INVERSE),
            rules("ETH/USD:ETH", "ETH-PERPETUAL", MarketKind.INVERSE),
        ]
    ),
    MarketKind.LINEAR: MarketBook([rules("BTC/USDC:USDC", "BTC_USDC-PERPETUAL", MarketKind.LINEAR)]),
}


@asynccontextmanager
async def deribit(**more: Any) -> AsyncIterator[tuple[CcxtVenue, RecordedFetch]]:
    """An account whose lists are empty unless a test says otherwise."""
    async with recorded_venue(exchange="deribit", books=BOOKS, **more) as (venue, fetch):
        fetch.answers = {ORDERS: result([]), POSITIONS: result([]), WALLET: result({"summaries": []})}
        yield venue, fetch


def result(document: object) -> Answer:
    """JSON-RPC's success."""
    return answer({"jsonrpc": "2.0", "result": document, "usIn": 1, "usOut": 2, "usDiff": 1, "testnet": False})


def failure(code: int, message: str, reason: str | None = None, status: int = 400) -> Answer:
    """JSON-RPC's error; HTTP 400 whatever it is."""
    error: dict[str, Any] = {"code": code, "message": message}
    if reason is not None:
        error["data"] = {"reason": reason, "param": "amount"}
    return answer({"jsonrpc": "2.0", "error": error, "testnet": False}, status)


def position(**changes: Any) -> dict[str, Any]:
    """A short of 60 USD in the perpetual."""
    return {
        "instrument_name": "BTC-PERPETUAL",
        "kind": "future",
        "direction": "sell",
        "size": -60,
        "size_currency": -0.0012,
        "mark_price": 50000.0,
        "average_price": 47182.76,
        "initial_margin": 0.000038615,
        "maintenance_margin": 0.000028143,
        "delta": -0.0012,
        **changes,
    }


def linear(**changes: Any) -> dict[str, Any]:
    """A long of 0.003 BTC: ``size`` is what it is worth."""
    own = {"instrument_name": "BTC_USDC-PERPETUAL", "direction": "buy", "size": 150.0}
    return position(**(own | {"size_currency": 0.003, "delta": 0.003} | changes))


def order(**changes: Any) -> dict[str, Any]:
    """A resting purchase of 200 USD, 50 filled."""
    return {
        "order_id": "3398016",
        "order_state": "open",
        "order_type": "limit",
        "time_in_force": "good_til_cancelled",
        "instrument_name": "BTC-PERPETUAL",
        "direction": "buy",
        "price": 10542.5,
        "label": "bot",
        "post_only": False,
        "reduce_only": False,
        "api": True,
        "amount": 200,
        "filled_amount": 50,
        **changes,
    }


def stop(**changes: Any) -> dict[str, Any]:
    """A reduce-only stop that waits."""
    return order(
        **{
            "order_id": "SLIS-103",
            "order_state": "untriggered",
            "order_type": "stop_market",
            "direction": "sell",
            "price": "market_price",
            "trigger": "last_price",
            "trigger_price": 45000,
            "reduce_only": True,
            "filled_amount": 0,
            **changes,
        }
    )


def summary(currency: str = "BTC", **changes: Any) -> dict[str, Any]:
    """One coin of the wallet."""
    return {
        "currency": currency,
        "balance": 1.5,
        "equity": 1.5,
        "available_funds": 1.5,
        "initial_margin": 0,
        "maintenance_margin": 0,
        "spot_reserve": 0,
        "margin_model": "segregated_sm",
        "cross_collateral_enabled": False,
        "delta_total": 0,
        "delta_total_map": {},
        "options_value": 0,
        "options_delta": 0,
        "options_gamma": 0,
        "options_vega": 0,
        "options_theta": 0,
        **changes,
    }


def wallet(*entries: dict[str, Any]) -> Answer:
    """The whole of it."""
    return result({"id": 10, "email": "user@example.com", "summaries": list(entries)})


def executed(**changes: Any) -> Answer:
    """An order that was taken, and its trades."""
    taken = order(order_state="filled", filled_amount=60, amount=60, reduce_only=True, order_type="market", **changes)
    return result({"order": taken, "trades": []})


def cancels(*ids: str, slice_name: str = "inverse", trigger: bool = False) -> CancelOrders:
    """By id."""
    return CancelOrders(
        slice=slice_name, symbol="BTC/USD:BTC", market_id="BTC-PERPETUAL", order_ids=ids, trigger=trigger
    )


def sweep(*, trigger: bool = False) -> CancelSymbol:
    """All of a market."""
    return CancelSymbol(slice="inverse", symbol="BTC/USD:BTC", market_id="BTC-PERPETUAL", trigger=trigger, seen=2)
