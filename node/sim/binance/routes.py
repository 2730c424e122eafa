"""Binance's endpoints: handler, who may call it, and what it costs.

Weights are those of the documentation; where one differs by whether a symbol is given, both are here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from node.sim.binance import algo, contract_account, exchange_info, futures, market_data, spot, wallet
from node.sim.binance.calls import Call, JsonDocument
from node.sim.binance.limits import OrderCount
from node.sim.market import Product

ONE_ORDER = OrderCount(1, 1)
BATCH = OrderCount(5, 1)
Handler = Callable[[Call], JsonDocument]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One method of one path."""

    product: Product
    handler: Handler
    signed: bool = True
    trades: bool = False  # needs the right to trade
    weight: int = 1
    weight_all: int | None = None  # without a symbol
    orders: OrderCount | None = None  # what it adds to the caller's order counts


Routes = dict[tuple[str, str], Endpoint]


def binance_routes() -> Routes:
    """Every endpoint by (method, path)."""
    return {
        **_spot_routes(),
        **_wallet_routes(),
        **_futures_routes("/fapi", Product.LINEAR),
        **_futures_routes("/dapi", Product.INVERSE),
        **_usd_margined_routes(),
        **_coin_margined_routes(),
    }


def _public(product: Product, handler: Handler, weight: int = 1, weight_all: int | None = None) -> Endpoint:
    return Endpoint(product=product, handler=handler, signed=False, weight=weight, weight_all=weight_all)


def _read(product: Product, handler: Handler, weight: int = 1, weight_all: int | None = None) -> Endpoint:
    return Endpoint(product=product, handler=handler, weight=weight, weight_all=weight_all)


def _trade(product: Product, handler: Handler, weight: int = 1, orders: OrderCount | None = None) -> Endpoint:
    return Endpoint(product=product, handler=handler, trades=True, weight=weight, orders=orders)


def _spot_routes() -> Routes:
    product = Product.SPOT
    return {
        ("GET", "/api/v3/ping"): _public(product, market_data.ping),
        ("GET", "/api/v3/time"): _public(product, market_data.server_time),
        ("GET", "/api/v3/exchangeInfo"): _public(product, exchange_info.spot_exchange_info, 20),
        ("GET", "/api/v3/depth"): _public(product, market_data.depth, 5),
        ("GET", "/api/v3/ticker/bookTicker"): _public(product, market_data.book_ticker, 2, 4),
        ("GET", "/api/v3/ticker/price"): _public(product, market_data.price_ticker, 2, 4),
        ("GET", "/api/v3/ticker/24hr"): _public(product, market_data.day_ticker, 2, 80),
        ("GET", "/api/v3/account"): _read(product, spot.account, 20),
        ("GET", "/api/v3/openOrders"): _read(product, spot.open_orders, 6, 80),
        ("DELETE", "/api/v3/openOrders"): _trade(product, spot.cancel_open_orders),
        ("GET", "/api/v3/order"): _read(product, spot.query_order, 4),
        ("POST", "/api/v3/order"): _trade(product, spot.place_order, orders=ONE_ORDER),
        ("DELETE", "/api/v3/order"): _trade(product, spot.cancel_order),
    }


def _wallet_routes() -> Routes:
    product = Product.SPOT
    return {
        ("GET", "/sapi/v1/account/apiRestrictions"): _read(product, wallet.api_restrictions),
        ("GET", "/sapi/v1/capital/config/getall"): _read(product, wallet.all_coins, 10),
        ("GET", "/sapi/v1/margin/allPairs"): _read(product, wallet.margin_pairs),
        ("GET", "/sapi/v1/margin/isolated/allPairs"): _read(product, wallet.margin_pairs, 10),
    }


def _futures_routes(root: str, product: Product) -> Routes:
    v1 = f"{root}/v1"
    return {
        ("GET", f"{v1}/ping"): _public(product, market_data.ping),
        ("GET", f"{v1}/time"): _public(product, market_data.server_time),
        ("GET", f"{v1}/exchangeInfo"): _public(product, exchange_info.futures_exchange_info),
        ("GET", f"{v1}/depth"): _public(product, market_data.depth, 5),
        ("GET", f"{v1}/ticker/bookTicker"): _public(product, market_data.book_ticker, 2, 5),
        ("GET", f"{v1}/ticker/price"): _public(product, market_data.price_ticker, 1, 2),
        ("GET", f"{v1}/ticker/24hr"): _public(product, market_data.day_ticker, 1, 40),
        ("GET", f"{v1}/premiumIndex"): _public(product, market_data.premium_index, 1, 10),
        ("GET", f"{v1}/leverageBracket"): _read(product, contract_account.leverage_bracket),
        ("GET", f"{v1}/positionSide/dual"): _read(product, contract_account.position_mode, 30),
        ("POST", f"{v1}/positionSide/dual"): _trade(product, contract_account.change_position_mode),
        ("GET", f"{v1}/openOrders"): _read(product, futures.open_orders, 1, 40),
        ("DELETE", f"{v1}/allOpenOrders"): _trade(product, futures.cancel_open_orders),
        ("GET", f"{v1}/order"): _read(product, futures.query_order),
        ("POST", f"{v1}/order"): _trade(product, futures.place_order, 0, orders=ONE_ORDER),
        ("DELETE", f"{v1}/order"): _trade(product, futures.cancel_order),
        ("POST", f"{v1}/batchOrders"): _trade(product, futures.place_batch, 5, orders=BATCH),
        ("DELETE", f"{v1}/batchOrders"): _trade(product, futures.cancel_batch),
        ("GET", f"{v1}/openAlgoOrders"): _read(product, algo.open_algo_orders, 1, 40),
        ("DELETE", f"{v1}/algoOpenOrders"): _trade(product, algo.cancel_open_algo_orders),
        ("GET", f"{v1}/algoOrder"): _read(product, algo.query_algo_order),
        ("POST", f"{v1}/algoOrder"): _trade(product, algo.place_algo_order, 0, orders=ONE_ORDER),
        ("DELETE", f"{v1}/algoOrder"): _trade(product, algo.cancel_algo_order),
    }


def _usd_margined_routes() -> Routes:
    product = Product.LINEAR
    return {
        ("GET", "/fapi/v2/ticker/price"): _public(product, market_data.price_ticker, 1, 2),
        ("GET", "/fapi/v2/positionRisk"): _read(product, contract_account.position_risk_v2, 5),
        ("GET", "/fapi/v3/positionRisk"): _read(product, contract_account.position_risk_v3, 5),
        ("GET", "/fapi/v2/account"): _read(product, contract_account.account_v2, 5),
        ("GET", "/fapi/v3/account"): _read(product, contract_account.account_v3, 5),
        ("GET", "/fapi/v2/balance"): _read(product, contract_account.balance, 5),
        ("GET", "/fapi/v3/balance"): _read(product, contract_account.balance, 5),
        ("GET", "/fapi/v1/multiAssetsMargin"): _read(product, contract_account.multi_assets_mode, 30),
        ("POST", "/fapi/v1/multiAssetsMargin"): _trade(product, contract_account.change_multi_assets_mode),
    }


def _coin_margined_routes() -> Routes:
    product = Product.INVERSE
    return {
        ("GET", "/dapi/v1/positionRisk"): _read(product, contract_account.coin_margined_position_risk),
        ("GET", "/dapi/v1/account"): _read(product, contract_account.coin_margined_account, 5),
        ("GET", "/dapi/v1/balance"): _read(product, contract_account.balance),
        ("GET", "/dapi/v2/leverageBracket"): _read(product, contract_account.leverage_bracket),
    }
