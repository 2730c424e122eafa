"""Public answers: the clock, what is listed, and prices.

Source: the "Market" part of the V5 documentation.
"""

from __future__ import annotations

from typing import Any, Final

from node.sim.bybit.calls import OPTIONS, Call
from node.sim.bybit.errors import refusal
from node.sim.bybit.numbers import digits, plain, price, quantity
from node.sim.bybit.pages import cursor, listed, page
from node.sim.catalogue import COINS, OFF_THE_BOOK, STABLE
from node.sim.market import Listing, MarketStatus, Product
from node.sim.refusals import Reason

LAUNCHED: Final = "1585526400000"
MAX_LEVERAGE: Final = "100.00"
#: A break in trading is not shown here.
STATUS: Final = {MarketStatus.SETTLING: "Delivering"}
INSTRUMENTS_DEFAULT, INSTRUMENTS_MOST = 500, 1000


def server_time(call: Call) -> dict[str, Any]:
    """``GET /v5/market/time``."""
    now_ms = call.now_ms
    return {"timeSecond": str(now_ms // 1000), "timeNano": str(now_ms * 1_000_000)}


def instruments_info(call: Call) -> dict[str, Any]:
    """``GET /v5/market/instruments-info``: what is trading, unless another status is asked for; spot in one page."""
    product = call.product()
    if product is None:
        return listed(OPTIONS, [], "")
    wanted = call.params.text("status", "Trading")
    symbol, base = call.params.text("symbol"), call.params.text("baseCoin")
    found = sorted(
        (
            listing
            for listing in call.listings(product)
            if STATUS.get(listing.status, "Trading") == wanted
            and symbol in ("", listing.market.symbol)
            and base in ("", listing.market.base)
        ),
        key=_symbol,
    )
    if product is Product.SPOT:
        return {"category": "spot", "list": [_spot_instrument(listing) for listing in found]}
    rows, more = page(found, call.params, default=INSTRUMENTS_DEFAULT, most=INSTRUMENTS_MOST, name=_symbol)
    return listed(str(product), [_contract(listing) for listing in rows], cursor(rows, _symbol) if more else "")


def coins(call: Call) -> dict[str, Any]:
    """``GET /v5/asset/coin/query-info``, without networks."""
    held = {asset for assets in call.account.wallets.values() for asset in assets}
    return {
        "rows": [
            {"name": name, "coin": name, "remainAmount": "10000000", "chains": []}
            for name in sorted({*COINS, *STABLE, *OFF_THE_BOOK, *held} - {"USD"})
        ]
    }


def tickers(call: Call) -> dict[str, Any]:
    """``GET /v5/market/tickers``, of markets that never moved."""
    product = call.traded()
    symbol = call.params.text("symbol")
    found = [call.listing(product, symbol)] if symbol else list(call.listings(product))
    render = _spot_ticker if product is Product.SPOT else _contract_ticker
    return {"category": str(product), "list": [render(listing) for listing in found]}


def orderbook(call: Call) -> dict[str, Any]:
    """``GET /v5/market/orderbook``: one level either side, deeper than any order."""
    listing = call.listing(call.traded(), call.params.required("symbol"))
    market, size = listing.market, quantity(listing.market, listing.market.max_quantity)
    return {
        "s": market.symbol,
        "b": [[price(market, listing.bid), size]],
        "a": [[price(market, listing.ask), size]],
        "ts": call.now_ms,
        "u": call.now_ms,
        "seq": call.now_ms,
        "cts": call.now_ms,
    }


def find(call: Call, product: Product) -> Listing:
    """The market that ``symbol`` names.

    Raises:
        BybitError: there is none.
    """
    if "symbol" not in call.params:
        raise refusal(Reason.UNKNOWN_SYMBOL, product)
    return call.listing(product, call.params.text("symbol"))


def _symbol(listing: Listing) -> str:
    return listing.market.symbol


def _spot_instrument(listing: Listing) -> dict[str, Any]:
    market = listing.market
    most_worth = market.max_notional
    return {
        "symbol": market.symbol,
        "baseCoin": market.base,
        "quoteCoin": market.quote,
        "innovation": "0",
        "status": "Trading",
        "marginTrading": "utaOnly",
        "stTag": "0",
        "lotSizeFilter": {
            "basePrecision": plain(market.step),
            "quotePrecision": "0.00000001",
            "minOrderQty": plain(market.min_quantity),
            "maxOrderQty": plain(market.max_quantity),
            "minOrderAmt": plain(market.min_notional),
            "maxOrderAmt": plain(most_worth) if most_worth is not None else "",
            "maxLimitOrderQty": plain(market.max_quantity),
            "maxMarketOrderQty": plain(market.max_market_quantity),
        },
        "priceFilter": {"tickSize": plain(market.tick)},
        "riskParameters": _limits(listing),
    }


def _contract(listing: Listing) -> dict[str, Any]:
    market = listing.market
    kind = "Linear" if market.product is Product.LINEAR else "Inverse"
    lots = {
        "maxOrderQty": quantity(market, market.max_quantity),
        "minOrderQty": quantity(market, market.min_quantity),
        "qtyStep": quantity(market, market.step),
        "postOnlyMaxOrderQty": quantity(market, market.max_quantity),
        "maxMktOrderQty": quantity(market, market.max_market_quantity),
        "minNotionalValue": plain(market.min_notional),
    }
    return {
        "symbol": market.symbol,
        "contractType": f"{kind}{'Perpetual' if market.expiry_ms is None else 'Futures'}",
        "status": STATUS.get(listing.status, "Trading"),
        "baseCoin": market.base,
        "quoteCoin": market.quote,
        "launchTime": LAUNCHED,
        "deliveryTime": str(market.expiry_ms or 0),
        "deliveryFeeRate": "" if market.expiry_ms is None else "0.0005",
        "priceScale": str(digits(market.tick)),
        "leverageFilter": {"minLeverage": "1", "maxLeverage": MAX_LEVERAGE, "leverageStep": "0.01"},
        "priceFilter": {
            "minPrice": price(market, market.tick),
            "maxPrice": price(market, market.tick * 19_999_998),
            "tickSize": price(market, market.tick),
        },
        "lotSizeFilter": lots,
        "unifiedMarginTrade": True,
        "fundingInterval": 480,
        "settleCoin": market.settle,
        "copyTrading": "none",
        "upperFundingRate": "0.00375",
        "lowerFundingRate": "-0.00375",
        "isPreListing": False,
        "preListingInfo": None,
        "riskParameters": _limits(listing),
        "symbolType": "",
    }


def _limits(listing: Listing) -> dict[str, str]:
    return {
        "priceLimitRatioX": plain(listing.market.band_up - 1),
        "priceLimitRatioY": plain((listing.market.band_up - 1) * 2),
    }


def _spot_ticker(listing: Listing) -> dict[str, Any]:
    market = listing.market
    last, size = price(market, listing.mark), quantity(market, market.max_quantity)
    return {
        "symbol": market.symbol,
        "bid1Price": price(market, listing.bid),
        "bid1Size": size,
        "ask1Price": price(market, listing.ask),
        "ask1Size": size,
        "lastPrice": last,
        "prevPrice24h": last,
        "price24hPcnt": "0",
        "highPrice24h": last,
        "lowPrice24h": last,
        "turnover24h": "0",
        "volume24h": "0",
        "usdIndexPrice": last,
    }


def _contract_ticker(listing: Listing) -> dict[str, Any]:
    last = price(listing.market, listing.mark)
    view = _spot_ticker(listing)
    del view["usdIndexPrice"]
    perpetual = listing.market.expiry_ms is None
    return {
        **view,
        "indexPrice": last,
        "markPrice": last,
        "prevPrice1h": last,
        "openInterest": "0",
        "openInterestValue": "0",
        "fundingRate": "0.0001" if perpetual else "",
        "nextFundingTime": "0",
        "predictedDeliveryPrice": "",
        "basisRate": "",
        "deliveryFeeRate": "",
        "deliveryTime": str(listing.market.expiry_ms or 0),
    }
