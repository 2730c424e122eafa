"""``exchangeInfo`` of the three products."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from node.sim.binance.calls import Call
from node.sim.binance.limits import COIN_M_BUDGET, SPOT_BUDGET, USD_M_BUDGET, Budget
from node.sim.binance.numbers import amount, digits, price
from node.sim.market import Listing, Market, Product

NO_MAXIMUM = Decimal(10) ** 12
PERPETUAL_DELIVERY_MS = 4_133_404_800_000
ONBOARD_MS = 1_569_398_400_000
SPOT_ORDER_TYPES = [
    "LIMIT",
    "LIMIT_MAKER",
    "MARKET",
    "STOP_LOSS",
    "STOP_LOSS_LIMIT",
    "TAKE_PROFIT",
    "TAKE_PROFIT_LIMIT",
]
CONTRACT_ORDER_TYPES = [
    "LIMIT",
    "MARKET",
    "STOP",
    "STOP_MARKET",
    "TAKE_PROFIT",
    "TAKE_PROFIT_MARKET",
    "TRAILING_STOP_MARKET",
]
TIMES_IN_FORCE = ["GTC", "IOC", "FOK", "GTX", "GTD"]


def spot_exchange_info(call: Call) -> dict[str, Any]:
    """``GET /api/v3/exchangeInfo``."""
    return {
        "timezone": "UTC",
        "serverTime": call.setup.clock.now_ms(),
        "rateLimits": _rate_limits(SPOT_BUDGET),
        "exchangeFilters": [],
        "symbols": [_spot_symbol(call, listing) for listing in call.listings()],
    }


def futures_exchange_info(call: Call) -> dict[str, Any]:
    """``GET /fapi/v1/exchangeInfo`` and ``GET /dapi/v1/exchangeInfo``."""
    linear = call.product is Product.LINEAR
    render = _usd_margined_symbol if linear else _coin_margined_symbol
    answer: dict[str, Any] = {
        "timezone": "UTC",
        "serverTime": call.setup.clock.now_ms(),
        "rateLimits": _rate_limits(USD_M_BUDGET if linear else COIN_M_BUDGET),
        "exchangeFilters": [],
        "symbols": [render(listing) for listing in call.listings()],
    }
    if linear:
        settle_coins = sorted({listing.market.settle for listing in call.listings()})
        answer["assets"] = [
            {"asset": coin, "marginAvailable": True, "autoAssetExchange": "-10000"} for coin in settle_coins
        ]
    return answer


def _rate_limits(budget: Budget) -> list[dict[str, Any]]:
    limits: list[dict[str, Any]] = [
        {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": budget.weight_1m}
    ]
    if budget.orders_10s:
        limits.append({"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": budget.orders_10s})
    if budget.orders_1m:
        limits.append({"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": budget.orders_1m})
    return limits


def _spot_symbol(call: Call, listing: Listing) -> dict[str, Any]:
    market = listing.market
    on_margin = (Product.MARGIN, market.symbol) in call.core.listings
    return {
        "symbol": market.symbol,
        "status": listing.status.value,
        "baseAsset": market.base,
        "baseAssetPrecision": 8,
        "quoteAsset": market.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": SPOT_ORDER_TYPES,
        "icebergAllowed": True,
        "ocoAllowed": True,
        "otoAllowed": True,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": True,
        "cancelReplaceAllowed": True,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": on_margin,
        "filters": _spot_filters(market),
        "permissions": [],
        "permissionSets": [["SPOT", *(["MARGIN"] if on_margin else []), "TRD_GRP_004"]],
        "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
        "allowedSelfTradePreventionModes": ["EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH"],
    }


def _spot_filters(market: Market) -> list[dict[str, Any]]:
    tick, up, down = amount(market.tick), str(market.band_up), str(market.band_down)
    return [
        {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "1000000.00000000", "tickSize": tick},
        _lot_size("LOT_SIZE", amount(market.min_quantity), amount(market.max_quantity), amount(market.step)),
        {"filterType": "ICEBERG_PARTS", "limit": 10},
        _lot_size("MARKET_LOT_SIZE", "0.00000000", amount(market.max_market_quantity), "0.00000000"),
        {
            "filterType": "PERCENT_PRICE_BY_SIDE",
            "bidMultiplierUp": up,
            "bidMultiplierDown": down,
            "askMultiplierUp": up,
            "askMultiplierDown": down,
            "avgPriceMins": 5,
        },
        {
            "filterType": "NOTIONAL",
            "minNotional": amount(market.min_notional),
            "applyMinToMarket": True,
            "maxNotional": amount(NO_MAXIMUM if market.max_notional is None else market.max_notional),
            "applyMaxToMarket": False,
            "avgPriceMins": 5,
        },
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 200},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": 5},
    ]


def _contract(listing: Listing) -> dict[str, Any]:
    market = listing.market
    perpetual = market.expiry_ms is None
    return {
        "symbol": market.symbol,
        "pair": market.base + market.quote,
        "contractType": "PERPETUAL" if perpetual else "CURRENT_QUARTER",
        "deliveryDate": PERPETUAL_DELIVERY_MS if perpetual else market.expiry_ms,
        "onboardDate": ONBOARD_MS,
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": market.base,
        "quoteAsset": market.quote,
        "marginAsset": market.settle,
        "pricePrecision": digits(market.tick),
        "quantityPrecision": digits(market.step),
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": [],
        "triggerProtect": "0.0500",
        "liquidationFee": "0.012500",
        "marketTakeBound": "0.05",
        "timeInForce": TIMES_IN_FORCE,
    }


def _contract_filters(market: Market) -> list[dict[str, Any]]:
    step = format(market.step, "f")
    least, most = format(market.min_quantity, "f"), format(market.max_quantity, "f")
    tick = price(market, market.tick)
    return [
        {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "4529764", "tickSize": tick},
        _lot_size("LOT_SIZE", least, most, step),
        _lot_size("MARKET_LOT_SIZE", least, format(market.max_market_quantity, "f"), step),
        {"filterType": "MAX_NUM_ORDERS", "limit": 200},
        {
            "filterType": "PERCENT_PRICE",
            "multiplierUp": _four(market.band_up),
            "multiplierDown": _four(market.band_down),
            "multiplierDecimal": "4",
        },
    ]


def _usd_margined_symbol(listing: Listing) -> dict[str, Any]:
    market = listing.market
    return {
        **_contract(listing),
        "status": listing.status.value,
        "settlePlan": 0,
        "filters": [
            *_contract_filters(market),
            {"filterType": "MAX_NUM_ALGO_ORDERS", "limit": 10},
            {"filterType": "MIN_NOTIONAL", "notional": format(market.min_notional, "f")},
        ],
        "orderTypes": CONTRACT_ORDER_TYPES,
    }


def _coin_margined_symbol(listing: Listing) -> dict[str, Any]:
    market = listing.market
    return {
        **_contract(listing),
        "contractStatus": listing.status.value,
        "contractSize": int(market.contract_size),
        "equalQtyPrecision": 4,
        "filters": [*_contract_filters(market), {"filterType": "MAX_NUM_ALGO_ORDERS", "limit": 20}],
        "orderTypes": CONTRACT_ORDER_TYPES,
    }


def _lot_size(name: str, least: str, most: str, step: str) -> dict[str, str]:
    return {"filterType": name, "minQty": least, "maxQty": most, "stepSize": step}


def _four(number: Decimal) -> str:
    return f"{number:.4f}"
