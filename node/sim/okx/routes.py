"""OKX's endpoints: handler, who may call it, and how often.

Limits are those of the documentation; the orders of a batch count one by one, and a batch of one as a single order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from node.sim.faults import Intent
from node.sim.okx import account, algo, funding, market_data, trade
from node.sim.okx.calls import Answer, Call, Rows
from node.sim.okx.limits import Limit, Scope

Handler = Callable[[Call], Answer | Rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One method of one path."""

    handler: Handler
    limit: Limit
    intent: Intent = Intent.OTHER
    private: bool = True
    trades: bool = False  # needs the right to trade
    places: bool = False  # its rows count against the account's new orders
    listed: bool = False  # the body is a list of rows
    single: Limit | None = None  # of a list with one row


Routes = dict[tuple[str, str], Endpoint]


def _by_instrument(bucket: str, count: int) -> Limit:
    return Limit(bucket, count, 2, Scope.INSTRUMENT)


ORDER, ORDERS = _by_instrument("order", 60), _by_instrument("orders", 300)
CANCEL, CANCELS = _by_instrument("cancel", 60), _by_instrument("cancels", 300)


def okx_routes(countdowns: trade.Countdowns, converted: funding.ClientIds) -> Routes:
    """Every endpoint by (method, path). The arguments are the memory of one world."""
    return {
        **_public_routes(),
        **_account_routes(),
        **_funding_routes(converted),
        **_order_routes(countdowns),
        **_algo_routes(),
    }


def _public(intent: Intent, handler: Handler, count: int = 20) -> Endpoint:
    limit = Limit(f"{handler.__name__}", count, 2, Scope.ADDRESS)
    return Endpoint(intent=intent, handler=handler, limit=limit, private=False)


def _read(intent: Intent, handler: Handler, count: int, seconds: float = 2) -> Endpoint:
    return Endpoint(intent=intent, handler=handler, limit=Limit(handler.__name__, count, seconds))


def _trade(intent: Intent, handler: Handler, limit: Limit) -> Endpoint:
    return Endpoint(intent=intent, handler=handler, limit=limit, trades=True)


def _public_routes() -> Routes:
    return {
        ("GET", "/api/v5/public/time"): _public(Intent.TIME, market_data.server_time, 10),
        ("GET", "/api/v5/system/status"): _public(Intent.OTHER, market_data.system_status),
        ("GET", "/api/v5/public/instruments"): _public(Intent.MARKETS, market_data.instruments),
        ("GET", "/api/v5/public/mark-price"): _public(Intent.QUOTES, market_data.mark_price, 10),
        ("GET", "/api/v5/public/price-limit"): _public(Intent.QUOTES, market_data.price_limit),
        ("GET", "/api/v5/market/tickers"): _public(Intent.QUOTES, market_data.tickers),
        ("GET", "/api/v5/market/ticker"): _public(Intent.QUOTES, market_data.ticker),
        ("GET", "/api/v5/market/books"): _public(Intent.QUOTES, market_data.books, 40),
    }


def _account_routes() -> Routes:
    other = Limit("settings", 5, 2)
    repay = Limit("repay", 1, 3)
    return {
        ("GET", "/api/v5/account/config"): _read(Intent.RIGHTS, account.config, 5),
        ("GET", "/api/v5/account/instruments"): _read(Intent.MARKETS, market_data.instruments, 20),
        ("GET", "/api/v5/account/balance"): _read(Intent.BALANCES, account.balance, 10),
        ("GET", "/api/v5/account/positions"): _read(Intent.POSITIONS, account.positions, 10),
        ("GET", "/api/v5/account/account-position-risk"): _read(Intent.BALANCES, account.position_risk, 10),
        ("POST", "/api/v5/account/set-position-mode"): _trade(Intent.OTHER, account.set_position_mode, other),
        ("POST", "/api/v5/account/set-account-level"): _trade(Intent.OTHER, account.set_account_level, other),
        ("POST", "/api/v5/account/set-auto-loan"): _trade(Intent.OTHER, account.set_auto_loan, other),
        ("POST", "/api/v5/account/spot-manual-borrow-repay"): _trade(Intent.REPAY, account.manual_borrow_repay, repay),
    }


def _funding_routes(converted: funding.ClientIds) -> Routes:
    def convert_trade(call: Call) -> Rows:
        return funding.convert_trade(call, converted)

    def convert_history(call: Call) -> Rows:
        return funding.convert_history(call, converted)

    quotes, trades = Limit("quote", 10, 1), Limit("convert", 10, 1)
    return {
        ("GET", "/api/v5/asset/balances"): _read(Intent.BALANCES, funding.balances, 6, 1),
        ("GET", "/api/v5/asset/currencies"): _read(Intent.MARKETS, funding.currencies, 6, 1),
        ("GET", "/api/v5/asset/convert/currencies"): _read(Intent.CONVERT, funding.convert_currencies, 6, 1),
        ("GET", "/api/v5/asset/convert/currency-pair"): _read(Intent.CONVERT, funding.convert_pair, 6, 1),
        ("GET", "/api/v5/asset/convert/history"): _read(Intent.CONVERT, convert_history, 6, 1),
        ("POST", "/api/v5/asset/convert/estimate-quote"): _trade(Intent.CONVERT, funding.estimate_quote, quotes),
        ("POST", "/api/v5/asset/convert/trade"): _trade(Intent.CONVERT, convert_trade, trades),
    }


def _order_routes(countdowns: trade.Countdowns) -> Routes:
    def cancel_all_after(call: Call) -> Rows:
        return trade.cancel_all_after(call, countdowns)

    place, close = Intent.PLACE, _by_instrument("close", 20)
    return {
        ("POST", "/api/v5/trade/order"): Endpoint(
            intent=place, handler=trade.place_order, limit=ORDER, trades=True, places=True
        ),
        ("POST", "/api/v5/trade/batch-orders"): Endpoint(
            intent=place,
            handler=trade.place_orders,
            limit=ORDERS,
            single=ORDER,
            trades=True,
            places=True,
            listed=True,
        ),
        ("POST", "/api/v5/trade/close-position"): _trade(place, trade.close_position, close),
        ("POST", "/api/v5/trade/cancel-order"): _trade(Intent.CANCEL, trade.cancel_order, CANCEL),
        ("POST", "/api/v5/trade/cancel-batch-orders"): Endpoint(
            intent=Intent.CANCEL, handler=trade.cancel_orders, limit=CANCELS, single=CANCEL, trades=True, listed=True
        ),
        ("POST", "/api/v5/trade/cancel-all-after"): _trade(Intent.OTHER, cancel_all_after, Limit("after", 1, 1)),
        ("GET", "/api/v5/trade/orders-pending"): _read(Intent.ORDERS, trade.pending_orders, 60),
        ("GET", "/api/v5/trade/order"): Endpoint(
            intent=Intent.ORDER, handler=trade.query_order, limit=_by_instrument("query", 60)
        ),
    }


def _algo_routes() -> Routes:
    return {
        ("POST", "/api/v5/trade/order-algo"): _trade(Intent.PLACE, algo.place_algo, _by_instrument("algo", 20)),
        ("POST", "/api/v5/trade/cancel-algos"): Endpoint(
            intent=Intent.CANCEL,
            handler=algo.cancel_algos,
            limit=_by_instrument("cancel-algos", 20),
            trades=True,
            listed=True,
        ),
        ("GET", "/api/v5/trade/orders-algo-pending"): _read(Intent.TRIGGERS, algo.pending_algos, 20),
        ("GET", "/api/v5/trade/order-algo"): _read(Intent.ORDER, algo.query_algo, 20),
    }
