"""Binance's endpoints: handler, who may call it, and what it costs.

Weights are those of the documentation; where one differs by whether a symbol is given, both are here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from node.sim.binance import (
    algo,
    contract_account,
    convert,
    exchange_info,
    futures,
    margin,
    market_data,
    spot,
    stream_calls,
    wallet,
)
from node.sim.binance.calls import Call, JsonDocument
from node.sim.binance.limits import OrderCount
from node.sim.faults import Intent
from node.sim.market import Product

ONE_ORDER = OrderCount(1, 1)
BATCH = OrderCount(5, 1)
Handler = Callable[[Call], JsonDocument]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One method of one path."""

    product: Product
    handler: Handler
    intent: Intent = Intent.OTHER
    of_product: bool = True  # else of the account as a whole
    signed: bool = True
    keyed: bool = False  # not signed, but the key must be sent
    trades: bool = False  # needs the right to trade
    weight: int = 1
    weight_all: int | None = None  # without a symbol
    by_account: bool = False  # its weight counts against the account instead of the address
    orders: OrderCount | None = None  # what it adds to the caller's order counts


Routes = dict[tuple[str, str], Endpoint]


def binance_routes() -> Routes:
    """Every endpoint by (method, path)."""
    return {
        **_spot_routes(),
        **_wallet_routes(),
        **_margin_routes(),
        **_convert_routes(),
        **_stream_routes(),
        **_futures_routes("/fapi", Product.LINEAR),
        **_futures_routes("/dapi", Product.INVERSE),
        **_usd_margined_routes(),
        **_coin_margined_routes(),
    }


def _public(
    intent: Intent, product: Product, handler: Handler, weight: int = 1, weight_all: int | None = None
) -> Endpoint:
    return Endpoint(intent=intent, product=product, handler=handler, signed=False, weight=weight, weight_all=weight_all)


def _read(
    intent: Intent, product: Product, handler: Handler, weight: int = 1, weight_all: int | None = None
) -> Endpoint:
    return Endpoint(intent=intent, product=product, handler=handler, weight=weight, weight_all=weight_all)


def _trade(
    intent: Intent, product: Product, handler: Handler, weight: int = 1, orders: OrderCount | None = None
) -> Endpoint:
    return Endpoint(intent=intent, product=product, handler=handler, trades=True, weight=weight, orders=orders)


def _wallet(intent: Intent, handler: Handler, weight: int = 1) -> Endpoint:
    return Endpoint(intent=intent, product=Product.SPOT, handler=handler, weight=weight, of_product=False)


def _spot_routes() -> Routes:
    product = Product.SPOT
    return {
        ("GET", "/api/v3/ping"): _public(Intent.OTHER, product, market_data.ping),
        ("GET", "/api/v3/time"): _public(Intent.TIME, product, market_data.server_time),
        ("GET", "/api/v3/exchangeInfo"): _public(Intent.MARKETS, product, exchange_info.spot_exchange_info, 20),
        ("GET", "/api/v3/depth"): _public(Intent.QUOTES, product, market_data.depth, 5),
        ("GET", "/api/v3/ticker/bookTicker"): _public(Intent.QUOTES, product, market_data.book_ticker, 2, 4),
        ("GET", "/api/v3/ticker/price"): _public(Intent.QUOTES, product, market_data.price_ticker, 2, 4),
        ("GET", "/api/v3/ticker/24hr"): _public(Intent.QUOTES, product, market_data.day_ticker, 2, 80),
        ("GET", "/api/v3/account"): _read(Intent.BALANCES, product, spot.account, 20),
        ("GET", "/api/v3/openOrders"): _read(Intent.ORDERS, product, spot.open_orders, 6, 80),
        ("DELETE", "/api/v3/openOrders"): _trade(Intent.CANCEL, product, spot.cancel_open_orders),
        ("GET", "/api/v3/order"): _read(Intent.ORDER, product, spot.query_order, 4),
        ("POST", "/api/v3/order"): _trade(Intent.PLACE, product, spot.place_order, orders=ONE_ORDER),
        ("DELETE", "/api/v3/order"): _trade(Intent.CANCEL, product, spot.cancel_order),
    }


def _wallet_routes() -> Routes:
    return {
        ("GET", "/sapi/v1/account/apiRestrictions"): _wallet(Intent.RIGHTS, wallet.api_restrictions),
        ("GET", "/sapi/v1/capital/config/getall"): _wallet(Intent.MARKETS, wallet.all_coins, 10),
        ("GET", "/sapi/v1/margin/isolated/allPairs"): _wallet(Intent.MARKETS, wallet.isolated_margin_pairs, 10),
    }


def _margin_routes() -> Routes:
    product = Product.MARGIN
    return {
        ("GET", "/sapi/v1/margin/allPairs"): _read(Intent.MARKETS, product, wallet.margin_pairs),
        ("GET", "/sapi/v1/margin/account"): _read(Intent.BALANCES, product, margin.account, 10),
        ("GET", "/sapi/v1/margin/openOrders"): _read(Intent.ORDERS, product, margin.open_orders, 10),
        ("DELETE", "/sapi/v1/margin/openOrders"): _trade(Intent.CANCEL, product, margin.cancel_open_orders),
        ("GET", "/sapi/v1/margin/order"): _read(Intent.ORDER, product, margin.query_order, 10),
        ("POST", "/sapi/v1/margin/order"): replace(
            _trade(Intent.PLACE, product, margin.place_order, 6), by_account=True
        ),
        ("DELETE", "/sapi/v1/margin/order"): _trade(Intent.CANCEL, product, margin.cancel_order, 10),
        ("POST", "/sapi/v1/margin/borrow-repay"): replace(
            _read(Intent.REPAY, product, margin.borrow_or_repay, 1500), by_account=True
        ),
    }


def _convert_routes() -> Routes:
    intent, product = Intent.CONVERT, Product.SPOT
    return {
        ("GET", "/sapi/v1/convert/exchangeInfo"): _public(intent, product, convert.pairs, 3000),
        ("POST", "/sapi/v1/convert/getQuote"): replace(
            _trade(intent, product, convert.get_quote, 200), by_account=True
        ),
        ("POST", "/sapi/v1/convert/acceptQuote"): replace(
            _trade(intent, product, convert.accept_quote, 500), by_account=True
        ),
        ("GET", "/sapi/v1/convert/orderStatus"): replace(
            _read(intent, product, convert.order_status, 100), by_account=True
        ),
    }


def _stream_routes() -> Routes:
    routes = {
        (method, f"/{root}/v1/listenKey"): Endpoint(
            intent=Intent.STREAM, product=product, handler=handler, signed=False, keyed=True
        )
        for root, product in (("fapi", Product.LINEAR), ("dapi", Product.INVERSE))
        for method, handler in (
            ("POST", stream_calls.create_listen_key),
            ("PUT", stream_calls.extend_listen_key),
            ("DELETE", stream_calls.close_listen_key),
        )
    }
    return {
        **routes,
        ("POST", "/sapi/v1/userListenToken"): Endpoint(
            intent=Intent.STREAM,
            product=Product.MARGIN,
            handler=stream_calls.create_listen_token,
            signed=False,
            keyed=True,
            by_account=True,
        ),
    }


def _futures_routes(root: str, product: Product) -> Routes:
    v1 = f"{root}/v1"
    return {
        ("GET", f"{v1}/ping"): _public(Intent.OTHER, product, market_data.ping),
        ("GET", f"{v1}/time"): _public(Intent.TIME, product, market_data.server_time),
        ("GET", f"{v1}/exchangeInfo"): _public(Intent.MARKETS, product, exchange_info.futures_exchange_info),
        ("GET", f"{v1}/depth"): _public(Intent.QUOTES, product, market_data.depth, 5),
        ("GET", f"{v1}/ticker/bookTicker"): _public(Intent.QUOTES, product, market_data.book_ticker, 2, 5),
        ("GET", f"{v1}/ticker/price"): _public(Intent.QUOTES, product, market_data.price_ticker, 1, 2),
        ("GET", f"{v1}/ticker/24hr"): _public(Intent.QUOTES, product, market_data.day_ticker, 1, 40),
        ("GET", f"{v1}/premiumIndex"): _public(Intent.QUOTES, product, market_data.premium_index, 1, 10),
        ("GET", f"{v1}/leverageBracket"): _read(Intent.OTHER, product, contract_account.leverage_bracket),
        ("POST", f"{v1}/leverage"): _trade(Intent.OTHER, product, contract_account.change_leverage),
        ("GET", f"{v1}/positionSide/dual"): _read(Intent.OTHER, product, contract_account.position_mode, 30),
        ("POST", f"{v1}/positionSide/dual"): _trade(Intent.OTHER, product, contract_account.change_position_mode),
        ("GET", f"{v1}/openOrders"): _read(Intent.ORDERS, product, futures.open_orders, 1, 40),
        ("DELETE", f"{v1}/allOpenOrders"): _trade(Intent.CANCEL, product, futures.cancel_open_orders),
        ("GET", f"{v1}/order"): _read(Intent.ORDER, product, futures.query_order),
        ("POST", f"{v1}/order"): _trade(Intent.PLACE, product, futures.place_order, 0, orders=ONE_ORDER),
        ("DELETE", f"{v1}/order"): _trade(Intent.CANCEL, product, futures.cancel_order),
        ("POST", f"{v1}/batchOrders"): _trade(Intent.PLACE, product, futures.place_batch, 5, orders=BATCH),
        ("DELETE", f"{v1}/batchOrders"): _trade(Intent.CANCEL, product, futures.cancel_batch),
        ("GET", f"{v1}/openAlgoOrders"): _read(Intent.TRIGGERS, product, algo.open_algo_orders, 1, 40),
        ("DELETE", f"{v1}/algoOpenOrders"): _trade(Intent.CANCEL, product, algo.cancel_open_algo_orders),
        ("GET", f"{v1}/algoOrder"): _read(Intent.ORDER, product, algo.query_algo_order),
        ("POST", f"{v1}/algoOrder"): _trade(Intent.PLACE, product, algo.place_algo_order, 0, orders=ONE_ORDER),
        ("DELETE", f"{v1}/algoOrder"): _trade(Intent.CANCEL, product, algo.cancel_algo_order),
    }


def _usd_margined_routes() -> Routes:
    product = Product.LINEAR
    return {
        ("GET", "/fapi/v2/ticker/price"): _public(Intent.QUOTES, product, market_data.price_ticker, 1, 2),
        ("GET", "/fapi/v2/positionRisk"): _read(Intent.POSITIONS, product, contract_account.position_risk_v2, 5),
        ("GET", "/fapi/v3/positionRisk"): _read(Intent.POSITIONS, product, contract_account.position_risk_v3, 5),
        ("GET", "/fapi/v2/account"): _read(Intent.BALANCES, product, contract_account.account_v2, 5),
        ("GET", "/fapi/v3/account"): _read(Intent.BALANCES, product, contract_account.account_v3, 5),
        ("GET", "/fapi/v2/balance"): _read(Intent.BALANCES, product, contract_account.balance, 5),
        ("GET", "/fapi/v3/balance"): _read(Intent.BALANCES, product, contract_account.balance, 5),
        ("GET", "/fapi/v1/multiAssetsMargin"): _read(Intent.OTHER, product, contract_account.multi_assets_mode, 30),
        ("POST", "/fapi/v1/multiAssetsMargin"): _trade(
            Intent.OTHER, product, contract_account.change_multi_assets_mode
        ),
    }


def _coin_margined_routes() -> Routes:
    product = Product.INVERSE
    return {
        ("GET", "/dapi/v1/positionRisk"): _read(
            Intent.POSITIONS, product, contract_account.coin_margined_position_risk
        ),
        ("GET", "/dapi/v1/account"): _read(Intent.BALANCES, product, contract_account.coin_margined_account, 5),
        ("GET", "/dapi/v1/balance"): _read(Intent.BALANCES, product, contract_account.balance),
        ("GET", "/dapi/v2/leverageBracket"): _read(Intent.OTHER, product, contract_account.leverage_bracket),
    }
