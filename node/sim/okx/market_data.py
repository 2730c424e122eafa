"""Public data: instruments, time, tickers, books, mark prices, price limits."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from node.sim.market import Listing, Market, MarketStatus
from node.sim.okx.calls import Call, Rows, instrument_code
from node.sim.okx.errors import refusal, wrong
from node.sim.okx.markets import MAX_LIMIT_USD, MAX_ORDER_USD, MOST, family, instrument_type
from node.sim.okx.numbers import plain
from node.sim.refusals import Reason

LISTED_MS = "1606468572000"
TYPES = ("SPOT", "MARGIN", "SWAP", "FUTURES", "OPTION")


def server_time(call: Call) -> Rows:
    """``GET /api/v5/public/time``."""
    return [{"ts": str(call.setup.clock.now_ms())}]


def system_status(_: Call) -> Rows:
    """``GET /api/v5/system/status``: no maintenance."""
    return []


def instruments(call: Call) -> Rows:
    """``GET /api/v5/public/instruments``, and ``/account/instruments``: of one type."""
    if call.params.required("instType") not in TYPES:
        raise wrong("instType")
    return [_instrument(call, listing) for listing in _listings(call)]


def tickers(call: Call) -> Rows:
    """``GET /api/v5/market/tickers``: of one type."""
    if call.params.required("instType") not in TYPES:
        raise wrong("instType")
    return [_ticker(call, listing) for listing in _listings(call)]


def ticker(call: Call) -> Rows:
    """``GET /api/v5/market/ticker``."""
    call.params.required("instId")
    return [_ticker(call, call.listing(call.params))]


def mark_price(call: Call) -> Rows:
    """``GET /api/v5/public/mark-price``."""
    now = str(call.setup.clock.now_ms())
    return [
        {
            "instId": listing.market.symbol,
            "instType": instrument_type(listing.market),
            "markPx": plain(listing.mark),
            "ts": now,
        }
        for listing in _listings(call)
    ]


def price_limit(call: Call) -> Rows:
    """``GET /api/v5/public/price-limit``: the highest price of a buy, the lowest of a sale."""
    listing = call.listing(call.params)
    market, now = listing.market, str(call.setup.clock.now_ms())
    return [
        {
            "buyLmt": plain(market.whole_ticks(listing.mark * market.band_up)),
            "enabled": True,
            "instId": market.symbol,
            "instType": instrument_type(market),
            "sellLmt": plain(market.whole_ticks(listing.mark * market.band_down)),
            "ts": now,
        }
    ]


def books(call: Call) -> Rows:
    """``GET /api/v5/market/books``: one level, deep enough for anything."""
    listing = call.listing(call.params)
    depth = plain(min(listing.market.max_quantity, Decimal(1_000_000)))
    return [
        {
            "asks": [[plain(listing.ask), depth, "0", "1"]],
            "bids": [[plain(listing.bid), depth, "0", "1"]],
            "ts": str(call.setup.clock.now_ms()),
        }
    ]


def _listings(call: Call) -> list[Listing]:
    wanted_family = call.params.text("instFamily") or call.params.text("uly")
    shown = [
        listing
        for listing in call.core.listings.values()
        if listing.status is not MarketStatus.DELISTED
        and call.params.text("instType") in ("", instrument_type(listing.market))
        and call.params.text("instId") in ("", listing.market.symbol)
        and wanted_family in ("", family(listing.market))
    ]
    if not shown and "instId" in call.params:
        raise refusal(Reason.UNKNOWN_SYMBOL)
    return shown


def _instrument(call: Call, listing: Listing) -> dict[str, Any]:
    market, contract = listing.market, listing.market.is_contract
    inverse = market.settle == market.base
    value_asset = (market.quote if inverse else market.base) if contract else ""
    return {
        "alias": "quarter" if market.expiry_ms is not None else "",
        "auctionEndTime": "",
        "baseCcy": "" if contract else market.base,
        "category": "1",
        "contTdSwTime": LISTED_MS,
        "ctMult": "1" if contract else "",
        "ctType": ("inverse" if inverse else "linear") if contract else "",
        "ctVal": plain(market.contract_size) if contract else "",
        "ctValCcy": value_asset,
        "expTime": "" if market.expiry_ms is None else str(market.expiry_ms),
        "futureSettlement": False,
        "groupId": "1",
        "instCategory": "1",
        "instFamily": family(market),
        "instId": market.symbol,
        "instIdCode": instrument_code(call.core, market),
        "instType": instrument_type(market),
        "lever": "100" if contract else "10",
        "listTime": LISTED_MS,
        "lotSz": plain(market.step),
        "maxIcebergSz": plain(market.max_quantity),
        "maxLmtAmt": plain(MAX_LIMIT_USD),
        "maxLmtSz": plain(market.max_quantity),
        "maxMktAmt": "" if contract else plain(MAX_ORDER_USD),
        "maxMktSz": _max_market(market),
        "maxStopSz": _max_market(market),
        "maxTriggerSz": plain(market.max_quantity),
        "maxTwapSz": plain(market.max_quantity),
        "minSz": plain(market.min_quantity),
        "openType": "",
        "optType": "",
        "preMktSwTime": "",
        "quoteCcy": "" if contract else market.quote,
        "ruleType": "normal",
        "settleCcy": market.settle if contract else "",
        "state": "live" if listing.status is MarketStatus.TRADING else "suspend",
        "stk": "",
        "tickSz": plain(market.tick),
        "tradeQuoteCcyList": [] if contract else [market.quote],
        "uly": family(market),
        "upcChg": [],
    }


def _max_market(market: Market) -> str:
    """Contracts of a market order; of spot it is money, in USD."""
    if market.is_contract:
        return plain(market.max_market_quantity)
    return plain(MAX_ORDER_USD if market.max_market_quantity >= MOST else market.max_market_quantity)


def _ticker(call: Call, listing: Listing) -> dict[str, Any]:
    market, last = listing.market, plain(listing.mark)
    return {
        "instType": instrument_type(market),
        "instId": market.symbol,
        "last": last,
        "lastSz": plain(market.min_quantity),
        "askPx": plain(listing.ask),
        "askSz": "1000",
        "bidPx": plain(listing.bid),
        "bidSz": "1000",
        "open24h": last,
        "high24h": last,
        "low24h": last,
        "volCcy24h": "1000000",
        "vol24h": "1000000",
        "sodUtc0": last,
        "sodUtc8": last,
        "ts": str(call.setup.clock.now_ms()),
    }
