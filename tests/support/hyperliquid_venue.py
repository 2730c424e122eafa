"""Hyperliquid on the real ccxt class: answers by what is asked, since every read goes to one path."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from node.domain.snapshot import MarketKind, MarketRules, PositionSide
from node.domain.steps import CancelOrders, ClosePosition, SellSpot
from node.venues.ccxt_venue import CcxtVenue
from node.venues.markets import MarketBook
from tests.support.venue import Answer, RecordedFetch, answer, recorded_venue

#: The key of the documentation's examples; its address.
KEY = "0x0123456789012345678901234567890123456789012345678901234567890123"
SIGNER = "0x14791697260e4c9a71f18484c9f997b308e59325"
WALLET = "0x31ca8395cf837de08b24da3f660e77761dfb974b"
CREDENTIALS = {"walletAddress": WALLET, "privateKey": KEY}
CLIENT_ID = "sabcdefgh234567abc"


def rules(symbol: str, market_id: str, kind: MarketKind, **limits: Any) -> MarketRules:
    """One market."""
    pair, _, settle = symbol.partition(":")
    base, _, quote = pair.partition("/")
    return MarketRules(
        symbol=symbol,
        market_id=market_id,
        kind=kind,
        base=base,
        quote=quote,
        settle=settle or quote,
        market_orders=False,
        **limits,
    )


BOOKS = {
    MarketKind.SPOT: MarketBook(
        [
            rules("PURR/USDC", "PURR/USDC", MarketKind.SPOT, number=10000),
            rules("BTC/USDC", "@142", MarketKind.SPOT, number=10142),
        ]
    ),
    MarketKind.LINEAR: MarketBook(
        [
            rules("BTC/USDC:USDC", "BTC", MarketKind.LINEAR, number=0),
            rules("ETH/USDC:USDC", "ETH", MarketKind.LINEAR, number=1),
            rules("XYZ-TSLA/USDC:USDC", "xyz:TSLA", MarketKind.LINEAR, number=110001),
            rules("KM-US500/USDH:USDH", "km:US500", MarketKind.LINEAR, number=120000),
        ]
    ),
}


def state(*positions: dict[str, Any], worth: str = "0.0", total: str = "0.0") -> dict[str, Any]:
    """``clearinghouseState``, as documented."""
    margin = {"accountValue": total, "totalMarginUsed": "0.0", "totalNtlPos": worth, "totalRawUsd": total}
    return {
        "assetPositions": [{"position": each, "type": "oneWay"} for each in positions],
        "crossMaintenanceMarginUsed": "0.0",
        "crossMarginSummary": margin,
        "marginSummary": margin,
        "time": 1704261007014,
        "withdrawable": total,
    }


def position(**changes: Any) -> dict[str, Any]:
    """The documented position of 0.0335 ETH."""
    found = {
        "coin": "ETH",
        "cumFunding": {"allTime": "514.085417", "sinceChange": "0.0", "sinceOpen": "0.0"},
        "entryPx": "2986.3",
        "leverage": {"rawUsd": "-95.059824", "type": "isolated", "value": 20},
        "liquidationPx": "2866.26936529",
        "marginUsed": "4.967826",
        "maxLeverage": 50,
        "positionValue": "100.02765",
        "returnOnEquity": "-0.0026789",
        "szi": "0.0335",
        "unrealizedPnl": "-0.0134",
    }
    return found | changes


def order(**changes: Any) -> dict[str, Any]:
    """The documented open order."""
    found: dict[str, Any] = {
        "children": [],
        "cloid": None,
        "coin": "BTC",
        "isPositionTpsl": False,
        "isTrigger": False,
        "limitPx": "29792.0",
        "oid": 91490942,
        "orderType": "Limit",
        "origSz": "5.0",
        "reduceOnly": False,
        "side": "A",
        "sz": "5.0",
        "tif": "Gtc",
        "timestamp": 1681247412573,
        "triggerCondition": "N/A",
        "triggerPx": "0.0",
    }
    return found | changes


def twap(twap_id: int, status: str, time_s: int = 1704261007, **changes: Any) -> dict[str, Any]:
    """One row of ``twapHistory``."""
    found = {
        "coin": "BTC",
        "executedNtl": "0.0",
        "executedSz": "0.25",
        "minutes": 30,
        "randomize": False,
        "reduceOnly": False,
        "side": "B",
        "sz": "1.0",
        "timestamp": time_s * 1000,
        "user": WALLET,
    }
    return {"time": time_s, "state": found | changes, "status": {"status": status}, "twapId": twap_id}


DEXS = [None, {"name": "xyz", "fullName": "XYZ"}, {"name": "km", "fullName": "Markets"}]
#: What an account says that holds nothing, by what is asked (and of which dex).
EMPTY: Mapping[str, Any] = {
    "clearinghouseState": state(),
    "frontendOpenOrders": [],
    "twapHistory": [],
    "spotClearinghouseState": {"balances": []},
    "perpDexs": DEXS,
}


@dataclass(slots=True)
class InfoFetch(RecordedFetch):
    """Answers POST /info by ``type`` or ``type:dex`` (or coin), POST /exchange by ``exchange``."""

    said: dict[str, Any] = field(default_factory=dict)

    async def __call__(
        self, url: str, method: str = "GET", headers: Mapping[str, str] | None = None, body: str | None = None
    ) -> object:
        """As the plain one."""
        document = json.loads(body or "{}")
        kind = document.get("type", "exchange")
        part = document.get("dex", document.get("coin", document.get("user", "")))
        given = self.said.get(f"{kind}:{part}", self.said.get(kind, {}))
        self.answers = {"/info": given, "/exchange": given} if isinstance(given, BaseException) else {}
        if not self.answers:
            self.default = given if isinstance(given, Answer) else answer(given)
        return await RecordedFetch.__call__(self, url, method, headers, body)

    def asked(self) -> list[dict[str, Any]]:
        """The bodies of all reads."""
        return [each.document for each in self.sent if each.path == "/info"]


@asynccontextmanager
async def hyperliquid(**more: Any) -> AsyncIterator[tuple[CcxtVenue, InfoFetch]]:
    """An account (markets known, no network) that holds nothing, and its recorder."""
    given: dict[str, Any] = {"exchange": "hyperliquid", "credentials": CREDENTIALS, "books": BOOKS, **more}
    async with recorded_venue(**given) as (venue, _):
        fetch = InfoFetch(venue._client.ccxt, said=dict(EMPTY))
        venue._client.send = fetch
        yield venue, fetch


def close(**changes: Any) -> ClosePosition:
    """Closing a long of 0.0335 ETH."""
    values: dict[str, Any] = {
        "slice": "linear",
        "symbol": "ETH/USDC:USDC",
        "market_id": "ETH",
        "side": PositionSide.LONG,
        "hedged": False,
        "isolated": False,
        "contracts": Decimal("0.0335"),
        "limit_price": Decimal("2836.6"),
        "client_order_id": CLIENT_ID,
    }
    return ClosePosition(**(values | changes))


def sell(**changes: Any) -> SellSpot:
    """Selling 100 PURR."""
    values: dict[str, Any] = {
        "slice": "spot",
        "symbol": "PURR/USDC",
        "market_id": "PURR/USDC",
        "asset": "PURR",
        "quantity": Decimal(100),
        "limit_price": Decimal("0.17342"),
        "client_order_id": CLIENT_ID,
    }
    return SellSpot(**(values | changes))


def cancel(*ids: str, trigger: bool = False, **changes: Any) -> CancelOrders:
    """Cancelling by id."""
    values: dict[str, Any] = {"slice": "linear", "symbol": "ETH/USDC:USDC", "market_id": "ETH"}
    return CancelOrders(order_ids=ids, trigger=trigger, **(values | changes))


def done(*statuses: Any, kind: str = "order") -> dict[str, Any]:
    """An answer to an action, as documented."""
    return {"status": "ok", "response": {"type": kind, "data": {"statuses": list(statuses)}}}


FILLED = done({"filled": {"totalSz": "0.0335", "avgPx": "2850.1", "oid": 77747314}})
