"""The little of ``/sapi/v1`` that trading clients ask for: key rights, and what ccxt loads with its markets."""

from __future__ import annotations

from typing import Any

from node.sim.binance.calls import Call
from node.sim.binance.exchange_info import ONBOARD_MS
from node.sim.binance.numbers import amount
from node.sim.catalogue import COINS, OFF_THE_BOOK, STABLE
from node.sim.market import Product


def api_restrictions(call: Call) -> dict[str, Any]:
    """``GET /sapi/v1/account/apiRestrictions``: what the key may do."""
    rights = call.key.rights if call.key is not None else None
    return {
        "ipRestrict": rights is not None and rights.ip_restricted,
        "createTime": ONBOARD_MS,
        "enableReading": True,
        "enableWithdrawals": rights is not None and rights.withdrawals,
        "enableInternalTransfer": False,
        "enableMargin": rights is not None and rights.margin and Product.MARGIN in call.account.wallets,
        "enableFutures": rights is not None and rights.futures,
        "permitsUniversalTransfer": False,
        "enableVanillaOptions": False,
        "enableFixApiTrade": False,
        "enableFixReadOnly": False,
        "enableSpotAndMarginTrading": rights is not None and rights.spot,
        "enablePortfolioMarginTrading": False,
    }


def all_coins(call: Call) -> list[dict[str, Any]]:
    """``GET /sapi/v1/capital/config/getall``: coins, listed or held, and the caller's spot balances; no networks."""
    held = call.account.wallets.get(Product.SPOT, {})
    return [
        {
            "coin": name,
            "depositAllEnable": False,
            "withdrawAllEnable": False,
            "name": name,
            "free": amount(held[name].free) if name in held else "0",
            "locked": amount(held[name].locked) if name in held else "0",
            "freeze": "0",
            "withdrawing": "0",
            "ipoing": "0",
            "ipoable": "0",
            "storage": "0",
            "isLegalMoney": False,
            "trading": True,
            "networkList": [],
        }
        for name in sorted({*COINS, *STABLE, *OFF_THE_BOOK, *held} - {"USD"})
    ]


def margin_pairs(call: Call) -> list[dict[str, Any]]:
    """``GET /sapi/v1/margin/allPairs``."""
    return [
        {
            "id": number,
            "symbol": listing.market.symbol,
            "base": listing.market.base,
            "quote": listing.market.quote,
            "isMarginTrade": True,
            "isBuyAllowed": True,
            "isSellAllowed": True,
        }
        for number, listing in enumerate(call.listings(), 1)
    ]


def isolated_margin_pairs(_: Call) -> list[dict[str, Any]]:
    """``GET /sapi/v1/margin/isolated/allPairs``: only cross margin is simulated."""
    return []
