"""What is listed, and at which prices."""

from __future__ import annotations

from typing import Any, Final

from node.sim.hyperliquid.errors import HyperliquidError
from node.sim.hyperliquid.markets import DEXS, PAIRS, TOKEN_NUMBERS, TOKENS, max_leverage, pair_name, size_decimals
from node.sim.hyperliquid.numbers import number
from node.sim.hyperliquid.venue_state import VenueState
from node.sim.market import Listing, MarketStatus, Product

DEEP: Final = "1000000.0"


def meta(state: VenueState, dex: str) -> dict[str, Any]:
    """``meta``: a dex's contracts, in the order of their numbers."""
    collateral = next(each.collateral for each in DEXS if each.name == dex)
    return {
        "universe": [_contract(listing, builders=bool(dex)) for listing in state.listed(dex)],
        "marginTables": [],
        "collateralToken": TOKEN_NUMBERS[collateral],
    }


def meta_and_contexts(state: VenueState, dex: str) -> list[Any]:
    """``metaAndAssetCtxs``: the same, and prices in the same order."""
    return [meta(state, dex), [_context(listing) for listing in state.listed(dex)]]


def dexs(state: VenueState) -> list[dict[str, Any] | None]:
    """``perpDexs``: the first is the venue's own, and null."""
    deployed = [each for each in DEXS if each.name not in state.undeployed]
    return [None if not each.name else _dex(each.name, each.full_name, each.coins) for each in deployed]


def spot_meta(_: VenueState) -> dict[str, Any]:
    """``spotMeta``: pairs and tokens."""
    return {
        "universe": [
            {
                "tokens": [TOKEN_NUMBERS[base], TOKEN_NUMBERS[quote]],
                "name": pair_name(place),
                "index": place,
                "isCanonical": place == 0,
            }
            for place, (base, quote) in enumerate(PAIRS)
        ],
        "tokens": [
            {
                "name": token.name,
                "szDecimals": token.decimals,
                "weiDecimals": 8,
                "index": place,
                "tokenId": f"0x{place + 1:032x}",
                "isCanonical": place < 2,
                "evmContract": None,
                "fullName": token.full_name,
                "deployerTradingFeeShare": "0.0",
            }
            for place, token in enumerate(TOKENS)
        ],
    }


def spot_meta_and_contexts(state: VenueState) -> list[Any]:
    """``spotMetaAndAssetCtxs``."""
    listings = [state.core.listings[Product.SPOT, pair_name(place)] for place, _ in enumerate(PAIRS)]
    return [spot_meta(state), [_spot_context(listing) for listing in listings]]


def all_mids(state: VenueState, dex: str) -> dict[str, str]:
    """``allMids``: of a dex's contracts; those of spot come with the venue's own."""
    listings = state.listed(dex)
    if not dex:
        listings += [listing for listing in state.core.listings.values() if listing.market.product is Product.SPOT]
    return {
        listing.market.symbol: number(listing.mark)
        for listing in listings
        if listing.status is not MarketStatus.DELISTED
    }


def book(state: VenueState, coin: object) -> dict[str, Any]:
    """``l2Book``: one level either side, deeper than any order; none where nobody bids or offers.

    Raises:
        HyperliquidError: there is no such coin.
    """
    listing = state.coin(coin)
    if listing is None:
        raise HyperliquidError("null", status=500)
    sides = ([price] if price > 0 else [] for price in (listing.bid, listing.ask))
    levels = [[{"px": number(price), "sz": DEEP, "n": 1} for price in prices] for prices in sides]
    return {"coin": listing.market.symbol, "time": state.now_ms, "levels": levels}


def _dex(name: str, full_name: str, coins: tuple[str, ...]) -> dict[str, Any]:
    return {
        "name": name,
        "fullName": full_name,
        "deployer": "0x" + "11" * 20,
        "oracleUpdater": None,
        "feeRecipient": None,
        "assetToStreamingOiCap": [[f"{name}:{coin}", "100000000.0"] for coin in coins],
    }


def _contract(listing: Listing, *, builders: bool) -> dict[str, Any]:
    market = listing.market
    entry: dict[str, Any] = {
        "szDecimals": size_decimals(market),
        "name": market.symbol,
        "maxLeverage": max_leverage(market),
        "marginTableId": max_leverage(market),
    }
    if builders:
        entry |= {"onlyIsolated": True, "marginMode": "strictIsolated"}
    if listing.status is MarketStatus.DELISTED:
        entry["isDelisted"] = True
    return entry


def _context(listing: Listing) -> dict[str, Any]:
    return {
        "funding": "0.0000125",
        "openInterest": "1000.0",
        "prevDayPx": number(listing.mark),
        "dayNtlVlm": "100000000.0",
        "premium": "0.0",
        "oraclePx": number(listing.mark),
        "markPx": number(listing.mark),
        "midPx": number(listing.mark),
        "impactPxs": [number(listing.bid), number(listing.ask)],
        "dayBaseVlm": "100000.0",
    }


def _spot_context(listing: Listing) -> dict[str, Any]:
    return {
        "prevDayPx": number(listing.mark),
        "dayNtlVlm": "1000000.0",
        "markPx": number(listing.mark),
        "midPx": number(listing.mark),
        "circulatingSupply": "1000000.0",
        "coin": listing.market.symbol,
        "totalSupply": "1000000.0",
        "dayBaseVlm": "100000.0",
    }
