"""Bybit's endpoints: handler, who may call it, and how often.

Limits are those of the documentation for UTA 2.0, a second, account and endpoint; spot has others than contracts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from node.sim.bybit import account, convert, loans, market_data, orders, positions
from node.sim.bybit.calls import Call
from node.sim.faults import Intent

Handler = Callable[[Call], dict[str, Any]]


class Right(StrEnum):
    """What a key needs for an endpoint."""

    TRADE = "trade"  # spot or contracts, as the category says
    BORROW = "borrow"
    CONVERT = "convert"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One method of one path."""

    handler: Handler
    intent: Intent = Intent.OTHER
    signed: bool = True
    right: Right | None = None
    limit: int = 50
    spot_limit: int | None = None  # where it differs
    batch: bool = False  # counts as many times as there are orders in it


Routes = dict[tuple[str, str], Endpoint]


def bybit_routes() -> Routes:
    """Every endpoint by (method, path)."""
    return {**_public_routes(), **_order_routes(), **_position_routes(), **_account_routes(), **_convert_routes()}


def _read(intent: Intent, handler: Handler, limit: int = 50) -> Endpoint:
    return Endpoint(intent=intent, handler=handler, limit=limit)


def _trade(
    intent: Intent, handler: Handler, limit: int = 10, spot_limit: int | None = None, *, batch: bool = False
) -> Endpoint:
    return Endpoint(intent=intent, handler=handler, right=Right.TRADE, limit=limit, spot_limit=spot_limit, batch=batch)


def _public_routes() -> Routes:
    return {
        ("GET", f"/v5/market/{path}"): Endpoint(intent=intent, handler=handler, signed=False)
        for path, intent, handler in (
            ("time", Intent.TIME, market_data.server_time),
            ("instruments-info", Intent.MARKETS, market_data.instruments_info),
            ("tickers", Intent.QUOTES, market_data.tickers),
            ("orderbook", Intent.QUOTES, market_data.orderbook),
        )
    }


def _order_routes() -> Routes:
    return {
        ("POST", "/v5/order/create"): _trade(Intent.PLACE, orders.create, 10, 20),
        ("POST", "/v5/order/create-batch"): _trade(Intent.PLACE, orders.create_batch, 10, 20, batch=True),
        ("POST", "/v5/order/cancel"): _trade(Intent.CANCEL, orders.cancel, 10, 20),
        ("POST", "/v5/order/cancel-batch"): _trade(Intent.CANCEL, orders.cancel_batch, 10, 20, batch=True),
        ("POST", "/v5/order/cancel-all"): _trade(Intent.CANCEL, orders.cancel_all, 10, 20),
        ("GET", "/v5/order/realtime"): _read(Intent.ORDERS, orders.realtime),
        ("GET", "/v5/order/history"): _read(Intent.ORDER, orders.history),
    }


def _position_routes() -> Routes:
    return {
        ("GET", "/v5/position/list"): _read(Intent.POSITIONS, positions.position_list),
        ("POST", "/v5/position/switch-mode"): _trade(Intent.OTHER, positions.switch_mode),
        ("POST", "/v5/position/set-leverage"): _trade(Intent.OTHER, positions.set_leverage),
        ("POST", "/v5/position/trading-stop"): _trade(Intent.PLACE, positions.trading_stop),
    }


def _account_routes() -> Routes:
    return {
        ("GET", "/v5/account/wallet-balance"): _read(Intent.BALANCES, account.wallet_balance),
        ("GET", "/v5/account/info"): _read(Intent.OTHER, account.account_info),
        ("GET", "/v5/account/collateral-info"): _read(Intent.OTHER, loans.collateral_info),
        ("POST", "/v5/account/set-margin-mode"): _trade(Intent.OTHER, account.set_margin_mode, 5),
        ("POST", "/v5/account/borrow"): _loan(loans.borrow),
        ("POST", "/v5/account/repay"): _loan(loans.repay),
        ("POST", "/v5/account/no-convert-repay"): _loan(loans.repay_without_conversion),
        ("GET", "/v5/spot-margin-trade/state"): _read(Intent.OTHER, loans.margin_state),
        ("GET", "/v5/spot-margin-trade/repayment-available-amount"): _read(Intent.OTHER, loans.repayable),
        ("GET", "/v5/user/query-api"): _read(Intent.RIGHTS, account.query_api, 10),
        ("GET", "/v5/asset/coin/query-info"): _read(Intent.MARKETS, market_data.coins, 5),
    }


def _loan(handler: Handler) -> Endpoint:
    return Endpoint(intent=Intent.REPAY, handler=handler, right=Right.BORROW, limit=1)


def _convert_routes() -> Routes:
    return {
        (method, f"/v5/asset/exchange/{path}"): Endpoint(
            intent=Intent.CONVERT, handler=handler, right=Right.CONVERT, limit=limit
        )
        for method, path, handler, limit in (
            ("GET", "query-coin-list", convert.coin_list, 50),
            ("POST", "quote-apply", convert.request_quote, 20),
            ("POST", "convert-execute", convert.execute, 20),
            ("GET", "convert-result-query", convert.result, 50),
        )
    }
