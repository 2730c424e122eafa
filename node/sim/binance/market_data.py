"""Public prices and clocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from node.sim.binance.calls import Call, JsonDocument
from node.sim.binance.errors import BinanceError
from node.sim.binance.numbers import amount, price, quantity
from node.sim.market import Listing, Product

FUNDING_PERIOD_MS = 8 * 3600 * 1000
Render = Callable[[Call, Listing], dict[str, Any]]


def ping(_: Call) -> dict[str, Any]:
    """``GET …/ping``."""
    return {}


def server_time(call: Call) -> dict[str, Any]:
    """``GET …/time``."""
    return {"serverTime": call.setup.clock.now_ms()}


def book_ticker(call: Call) -> JsonDocument:
    """``GET …/ticker/bookTicker``."""
    return _one_or_all(call, _book_ticker)


def price_ticker(call: Call) -> JsonDocument:
    """``GET …/ticker/price``."""
    return _one_or_all(call, _price_ticker)


def day_ticker(call: Call) -> JsonDocument:
    """``GET …/ticker/24hr``, of a market that never moved."""
    return _one_or_all(call, _day_ticker)


def premium_index(call: Call) -> JsonDocument:
    """``GET /fapi/v1/premiumIndex`` and ``GET /dapi/v1/premiumIndex``: mark prices."""
    return _one_or_all(call, _premium_index)


def depth(call: Call) -> dict[str, Any]:
    """``GET …/depth``: one level either side, deeper than any order."""
    listing = call.listing(call.params.required("symbol"))
    market, size = listing.market, quantity(listing.market, listing.market.max_quantity)
    now_ms = call.setup.clock.now_ms()
    book = {
        "lastUpdateId": now_ms,
        "bids": [[price(market, listing.bid), size]],
        "asks": [[price(market, listing.ask), size]],
    }
    return book if call.product is Product.SPOT else {**book, "E": now_ms, "T": now_ms}


def _one_or_all(call: Call, render: Render) -> JsonDocument:
    names = call.params.json_list("symbols")
    if names is not None:
        return [render(call, call.listing(str(name))) for name in names]
    views = [render(call, listing) for listing in call.listings()]
    # COIN-M answers with a list even for one symbol.
    if "symbol" in call.params and call.product is not Product.INVERSE:
        if not views:
            raise BinanceError(-1121, "Invalid symbol.")
        return views[0]
    return views


def _named(call: Call, listing: Listing) -> dict[str, Any]:
    view: dict[str, Any] = {"symbol": listing.market.symbol}
    if call.product is Product.INVERSE:
        view["pair"] = listing.market.base + listing.market.quote
    return view


def _book_ticker(call: Call, listing: Listing) -> dict[str, Any]:
    market = listing.market
    spot = call.product is Product.SPOT
    size = amount(market.max_quantity) if spot else quantity(market, market.max_quantity)
    view = {
        **_named(call, listing),
        "bidPrice": amount(listing.bid) if spot else price(market, listing.bid),
        "bidQty": size,
        "askPrice": amount(listing.ask) if spot else price(market, listing.ask),
        "askQty": size,
    }
    return view if spot else {**view, "time": call.setup.clock.now_ms()}


def _price_ticker(call: Call, listing: Listing) -> dict[str, Any]:
    if call.product is Product.SPOT:
        return {"symbol": listing.market.symbol, "price": amount(listing.mark)}
    view = {**_named(call, listing), "price": price(listing.market, listing.mark)}
    return {**view, "time": call.setup.clock.now_ms()}


def _day_ticker(call: Call, listing: Listing) -> dict[str, Any]:
    now_ms = call.setup.clock.now_ms()
    last = price(listing.market, listing.mark)
    view = {
        **_named(call, listing),
        "priceChange": "0",
        "priceChangePercent": "0",
        "weightedAvgPrice": last,
        "lastPrice": last,
        "lastQty": "0",
        "openPrice": last,
        "highPrice": last,
        "lowPrice": last,
        "volume": "0",
        "quoteVolume": "0",
        "openTime": now_ms - 86_400_000,
        "closeTime": now_ms,
        "firstId": 0,
        "lastId": 0,
        "count": 0,
    }
    if call.product is not Product.SPOT:
        return view
    book = _book_ticker(call, listing)
    return {**view, **{name: book[name] for name in ("bidPrice", "bidQty", "askPrice", "askQty")}}


def _premium_index(call: Call, listing: Listing) -> dict[str, Any]:
    now_ms = call.setup.clock.now_ms()
    mark = amount(listing.mark)
    perpetual = listing.market.expiry_ms is None
    return {
        **_named(call, listing),
        "markPrice": mark,
        "indexPrice": mark,
        "estimatedSettlePrice": mark,
        "lastFundingRate": "0.00010000" if perpetual else "",
        "interestRate": "0.00010000" if perpetual else "",
        "nextFundingTime": (now_ms // FUNDING_PERIOD_MS + 1) * FUNDING_PERIOD_MS if perpetual else 0,
        "time": now_ms,
    }
