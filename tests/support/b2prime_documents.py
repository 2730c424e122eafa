"""The documentation's own examples (https://api-docs.b2prime.com/rest-api/settings), in shape as they are there."""

from __future__ import annotations

from typing import Any

ACCOUNTS = [
    {
        "accountId": "685a7eaa360f9e7416221a61",
        "publicAccountId": 1234567,
        "accountName": "B2PRIME Hedging account",
        "accountType": "Hedging",
        "totalBalanceInRAT": "6020.12",
        "isCopyTradingAccount": False,
    },
    {
        "accountId": "6891e70db552ff9c6fbbccf5",
        "publicAccountId": 1234568,
        "accountName": "B2PRIME Netting account",
        "accountType": "Netting",
        "totalBalanceInRAT": "10987.39",
        "isCopyTradingAccount": False,
    },
]
ASSETS = [
    {"assetId": "usdt", "assetName": "Tether", "isRootAsset": True},
    {"assetId": "xrp", "assetName": "Ripple", "isRootAsset": False},
]
MARKETS = [
    {
        "marketId": "spot.btc_usdt",
        "displayName": "BTC/USDT",
        "fullName": None,
        "type": "Spot",
        "subtype": None,
        "isFavorite": True,
    },
    {
        "marketId": "cfd.eth_btc",
        "displayName": "ETH/BTC",
        "fullName": "Ethereum to Bitcoin",
        "type": "Cfd",
        "subtype": "Crypto",
        "isFavorite": False,
    },
    {
        "marketId": "perp.trx_usdt",
        "displayName": "TRX/USDT",
        "fullName": "TRX to Tether Perpetual",
        "type": "Perpetual",
        "subtype": None,
        "isFavorite": False,
    },
]
MARGIN_ASSETS = {
    "assets": [
        {
            "assetId": "btc",
            "assetName": "btc",
            "available": "0.031",
            "total": "0.031",
            "marginRatio": "1",
            "isSelected": True,
        },
        {
            "assetId": "eth",
            "assetName": "eth",
            "available": "0",
            "total": "0",
            "marginRatio": "1",
            "isSelected": False,
        },
    ]
}
INFO = {"serverTime": "1755190380", "serverTimeZone": "+00:00"}
TIME_ZONES = [
    {
        "id": "Africa/Abidjan",
        "offset": "00:00:00",
        "offsetInMinutes": 0,
        "shortLabel": "Africa/Abidjan",
        "label": "(UTC+00:00) Côte d\u2019Ivoire Time",
    },
    {
        "id": "Africa/Algiers",
        "offset": "01:00:00",
        "offsetInMinutes": 60,
        "shortLabel": "Africa/Algiers",
        "label": "(UTC+01:00) Central European Time (Algiers)",
    },
]
KEY_CREATED = {
    "id": "01JZ3CVZKN20410JPYYH1YZJSK",
    "apiKey": "wh_key_abc123def456...",
    "name": "My TradingView Key",
    "userId": "01JZ3CVZKN20410JPYYH1YZJSK",
    "status": "Active",
    "createdAt": "2026-02-02T12:00:00Z",
    "expiresAt": "2027-02-02T00:00:00Z",
}
KEYS = {
    "webhookUrl": "https://trading.example.com/frontoffice/api/v3/webhook/alerts/01JZ3...",
    "apiKeys": [
        {
            "id": "01JZ3CVZKN20410JPYYH1YZJSK",
            "name": "My TradingView Key",
            "status": "Active",
            "createdAt": "2026-02-02T12:00:00Z",
            "expiresAt": "2027-02-02T00:00:00Z",
        }
    ],
}
KEY_REVOKED = {"success": True, "message": "API key revoked successfully"}
ALERT_TAKEN = {
    "success": True,
    "orderId": "01JZ3CVZKN20410JPYYH1YZJSK",
    "orderStatus": "Working",
    "message": "Order placed successfully",
    "timestamp": "2026-02-02T12:34:56.789Z",
}


def market(**own: Any) -> dict[str, Any]:
    """The example of "Get market": every field of it, Cyrillic letter included, with values in the ranges given."""
    return {
        "marketId": "cfd.eth_btc",
        "displayName": "ETH/BTC",
        "fullName": "Ethereum to Bitcoin",
        "baseAssetId": "eth",
        "quoteAssetId": "btc",
        "minAmount": None,
        "maxBaseAmount": "5000",
        "minQuoteAmount": "0",
        "priceDeviation": "0.1",
        "priceScale": 5,
        "amountScale": None,
        "type": "Cfd",
        "subtype": "Cash",
        "swapSettings": {
            "type": "FixPerLot",
            "shortPositionSettings": {"size": "1", "assetId": "btc"},
            "longPositionSettings": {"size": "-1", "assetId": "btc"},
        },
        "lotSize": 100,
        "minLotAmount": "0.01",
        "maxLotAmount": 100,
        "tickSize": "0.00005",
        "lotStep": "0.02",
        "slippageRate": "1",
        "calendar": {
            "timeZoneId": "America/New_York",
            "tradingSessions": [{"dayOfWeek": "Monday", "timeIntervals": [{"start": "09:30", "end": "16:00"}]}],
            "sessionOverrides": [
                {"date": "2025-12-15", "timeIntervals": [{"start": "09:30:00", "end": "13:00:00"}]},
                {"date": "2025-12-22", "timeIntervals": None},
            ],
        },
        "fundingStartTime": None,
        "fundingIntervalInHours": None,
        "leverageProfile": {"leverageType": "Fixed", "leverage": {"useOnlyMaxLeverage": True, "maxLeverage": 20}},
        "commissionSettings": {
            "type": "Dynamic",
            "\u0441harge": {
                "type": "Percent",
                "tiers": [
                    {"size": "0.2", "minTradingVolumeInRAT": "0"},
                    {"size": "0.1", "minTradingVolumeInRAT": "1000000"},
                ],
                "minCommissionInRAT": "0.5",
            },
            "dynamicCommissionGroupId": "g1",
        },
        "isFavorite": True,
        **own,
    }
