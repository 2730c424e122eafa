"""``b2prime``: the venue in ccxt's style, usable by any script like one of ccxt's own classes.

    exchange = b2prime({"token": "…", "options": {"hostname": "the broker's host", "accountId": "24 hex digits"}})
    await exchange.load_markets()
    print(await exchange.fetch_positions())

``token`` is the API token made in the trading terminal's settings. What is inferred about the venue is off, or harmless
where it is wrong, unless an option says so: ``endpoints.OPTIONS`` names them all.
"""

from __future__ import annotations

from typing import Any, Final

from ccxt.base import errors
from ccxt.base.decimal_to_precision import TICK_SIZE

from node.venues.b2prime import calendar, endpoints, markets
from node.venues.b2prime.calendar import TradingCalendar
from node.venues.b2prime.session import Json, Params
from node.venues.b2prime.shapes import Row, an_object, nothing, objects, within
from node.venues.b2prime.trading import Trading

_HAS: Final = {
    "CORS": None,
    "spot": True,
    "margin": False,
    "swap": True,
    "future": False,
    "option": False,
    "cancelOrder": True,
    "cancelAllOrders": True,
    "closeAllPositions": True,
    "closePosition": True,
    "createOrder": True,
    "createTriggerOrder": True,
    "editOrder": False,
    "fetchAccounts": True,
    "fetchBalance": True,
    "fetchCurrencies": True,
    "fetchMarketLeverageTiers": True,
    "fetchMarkets": True,
    "fetchOpenOrders": True,
    "fetchOrder": False,
    "fetchPositions": True,
    "fetchPositionsHistory": True,
    "fetchTime": True,
}


class b2prime(Trading):  # noqa: N801 - ccxt's classes are named so
    """B2PRIME (B2TRADER)."""

    def describe(self) -> dict[str, Any]:
        """ccxt's description of a venue."""
        described: dict[str, Any] = self.deep_extend(
            super().describe(),
            {
                "id": "b2prime",
                "name": "B2PRIME",
                "countries": [],
                "version": "v6",
                # Limits are documented for webhook alerts only, five a second: taken for all.
                "rateLimit": 200,
                "pro": False,
                "has": _HAS,
                "requiredCredentials": {"apiKey": False, "secret": False, "token": True},
                "precisionMode": TICK_SIZE,
                "urls": {
                    "api": {"public": "https://{hostname}", "private": "https://{hostname}"},
                    "www": "https://b2prime.com",
                    "doc": ["https://api-docs.b2prime.com"],
                },
                "api": endpoints.api(),
                "options": dict(endpoints.OPTIONS),
            },
        )
        return described

    # Server

    async def fetch_server_info(self) -> Row:
        """``{serverTime: text of Unix seconds, serverTimeZone: "+00:00"}``."""
        return an_object(await self.privateGetFrontofficeApiV3Info(), "serverTime")

    async def fetch_time(self, params: Params = None) -> int:
        """The venue's time in milliseconds; it names whole seconds."""
        told = (await self.fetch_server_info())["serverTime"]
        try:
            return int(float(told) * 1000)
        except (TypeError, ValueError, OverflowError):
            raise errors.BadResponse(f"{self.id} serverTime is no time") from None

    async def fetch_time_zones(self) -> list[Row]:
        """``[{id, offset, offsetInMinutes, shortLabel, label}]``."""
        return objects(await self.privateGetFrontofficeApiV3InfoTimeZones(), "id")

    # Accounts, assets

    async def fetch_accounts(self, params: Params = None) -> list[Row]:
        """ccxt's accounts: ``type`` is "hedging" or "netting", ``copy`` says that it follows another."""
        return [
            {
                "id": str(row["accountId"]),
                "type": str(row["accountType"]).lower(),
                "code": None,
                "name": row.get("accountName"),
                "copy": row.get("isCopyTradingAccount"),
                "info": row,
            }
            for row in objects(await self.privateGetFrontofficeApiV3Accounts(), "accountId", "accountType")
        ]

    async def fetch_currencies(self, params: Params = None) -> dict[str, Json]:
        """By code; ``root`` marks the asset that ``…InRAT`` figures are in."""
        found: dict[str, Json] = {}
        for row in objects(await self.privateGetFrontofficeApiV3Assets(), "assetId"):
            code = self.asset_code(row["assetId"])
            known = {"id": row["assetId"], "code": code, "name": row.get("assetName"), "info": row}
            found[code] = {**self.safe_currency_structure(known), "root": row.get("isRootAsset")}
        return found

    async def fetch_margin_assets(self, params: Params = None) -> list[Row]:
        """``[{assetId, assetName, available, total, marginRatio, isSelected}]``."""
        answer = await self.privateGetFrontofficeApiV4AccountMarginSettingsAssets(dict(params or {}))
        return within(answer, "assets", "assetId")

    async def select_margin_asset(self, code: str, params: Params = None) -> Row:
        """Let an asset serve as collateral."""
        request = {"assetId": self.asset_id(code), **(params or {})}
        return nothing(await self.privatePostFrontofficeApiV4AccountMarginSettingsAssetsAssetId(request))

    async def disable_margin_asset(self, code: str, params: Params = None) -> Row:
        """Let it do so no more. With positions open, that may bring on a stop-out."""
        request = {"assetId": self.asset_id(code), **(params or {})}
        return nothing(await self.privateDeleteFrontofficeApiV4AccountMarginSettingsAssetsAssetId(request))

    # Markets

    async def fetch_markets(self, params: Params = None) -> list[Json]:
        """The list (v6), each with its details if ``options.marketDetails`` says so.

        *params*: ``categoryId``, ``dynamicCommissionGroupId``, ``isFavorite``.
        """
        rows = objects(await self.privateGetFrontofficeApiV6Markets(dict(params or {})), "marketId", "type")
        if self.options["marketDetails"]:
            rows = [{**row, **await self.fetch_market_details(row["marketId"])} for row in rows]
        return [self.parse_market(row) for row in rows]

    async def fetch_market_details(self, market_id: str) -> Row:
        """The venue's own words about one market."""
        answer = await self.privateGetFrontofficeApiV6MarketsMarketId({"marketId": market_id})
        return an_object(answer, "marketId", "type")

    async def market_with_details(self, symbol: str) -> Json:
        """A market with lots, steps, calendar and tiers; asked for once."""
        await self.load_markets()
        known = self.market(symbol)
        if "calendar" not in known["info"]:
            known = self.parse_market({**known["info"], **await self.fetch_market_details(known["id"])})
            self.set_markets({**self.markets, known["symbol"]: known})
            known = self.market(symbol)
        return known

    def parse_market(self, market: Json) -> Json:
        """A row of the list, or the details, as ccxt describes markets. Amounts of contracts are lots."""
        try:
            kind, (base_id, quote_id) = markets.kind(market), markets.assets(market)
            (amount_step, price_step), (least, most) = markets.steps(market), markets.limits(market)
            lot, tiers = markets.number(market, "lotSize"), markets.leverage_tiers(market)
        except ValueError as error:
            raise errors.BadResponse(f"{self.id} {market.get('marketId')}: {error}") from None
        base, quote, contract = self.asset_code(base_id), self.asset_code(quote_id), kind != "spot"
        leverage = max((tier for _, tier in tiers), default=None)
        return self.safe_market_structure(
            {
                "id": market["marketId"],
                "symbol": markets.symbol(kind, base, quote),
                "base": base,
                "quote": quote,
                "settle": quote if contract else None,
                "baseId": base_id,
                "quoteId": quote_id,
                "settleId": quote_id if contract else None,
                "type": "swap" if contract else "spot",
                "subType": "linear" if contract else None,
                "spot": not contract,
                "margin": False,
                "swap": contract,
                "future": False,
                "option": False,
                "contract": contract,
                "linear": True if contract else None,
                "inverse": False if contract else None,
                # No field carries a market's status.
                "active": None,
                "contractSize": self.number_of(lot) if contract else None,
                "precision": {"amount": self.number_of(amount_step), "price": self.number_of(price_step)},
                "limits": {
                    "amount": {"min": self.number_of(least), "max": self.number_of(most)},
                    "leverage": {"min": None, "max": leverage},
                },
                "info": market,
            }
        )

    async def fetch_calendar(self, symbol: str) -> TradingCalendar:
        """When a market is open.

        Raises:
            BadResponse: the calendar is not of the documented shape.
        """
        market = await self.market_with_details(symbol)
        try:
            return calendar.read(market["info"].get("calendar"))
        except ValueError as error:
            raise errors.BadResponse(f"{self.id} {market['id']}: {error}") from None

    async def fetch_commission(self, symbol: str) -> dict[str, Any] | None:
        """Of one market (``markets.commission``)."""
        market = await self.market_with_details(symbol)
        try:
            return markets.commission(market["info"])
        except ValueError as error:
            raise errors.BadResponse(f"{self.id} {market['id']}: {error}") from None

    async def fetch_market_leverage_tiers(self, symbol: str, params: Params = None) -> list[Row]:
        """ccxt's tiers; notionals are in the root asset."""
        market, least, found = await self.market_with_details(symbol), 0.0, []
        for place, (most, leverage) in enumerate(markets.leverage_tiers(market["info"]), 1):
            upper = self.number_of(most)
            known = {"tier": place, "minNotional": least, "maxNotional": upper, "maxLeverage": leverage}
            found.append({**known, "symbol": symbol, "currency": None, "maintenanceMarginRate": None, "info": market})
            least = upper if upper is not None else least
        return found

    async def add_favorite(self, symbol: str) -> Row:
        """Mark a market."""
        await self.load_markets()
        request = {"marketId": self.market(symbol)["id"]}
        return nothing(await self.privatePostFrontofficeApiV6MarketsFavoritesAdd(request))

    async def remove_favorite(self, symbol: str) -> Row:
        """Unmark it."""
        await self.load_markets()
        request = {"marketId": self.market(symbol)["id"]}
        return nothing(await self.privatePostFrontofficeApiV6MarketsFavoritesDelete(request))

    # Webhooks

    async def create_webhook_key(self, name: str) -> Row:
        """A key for a year, ``{id, apiKey, name, userId, status, createdAt, expiresAt}``; ``apiKey`` is shown once."""
        if not 0 < len(name) <= 100:
            raise errors.BadRequest(f"{self.id} a webhook key's name has 1 to 100 characters")
        return an_object(await self.privatePostFrontofficeApiV3WebhookApiKeys({"name": name}), "id", "apiKey")

    async def fetch_webhook_keys(self) -> Row:
        """``{webhookUrl, apiKeys: [{id, name, status, createdAt, expiresAt}]}``."""
        answer = await self.privateGetFrontofficeApiV3WebhookApiKeys()
        within(answer, "apiKeys", "id", "status")
        return an_object(answer)

    async def revoke_webhook_key(self, key_id: str) -> Row:
        """``{success, message}``; a revoked key cannot be brought back.

        Raises:
            OperationRejected: the venue says that it was not revoked.
        """
        answer = await self.privateDeleteFrontofficeApiV3WebhookApiKeysId({"id": key_id})
        if an_object(answer, "success")["success"] is not True:
            raise errors.OperationRejected(f"{self.id} the key was not revoked: {str(answer.get('message'))[:200]}")
        return an_object(answer)

    async def send_webhook_alert(self, user_id: str, alert: Row) -> Row:
        """An alert as TradingView sends it: ``{success, orderId, orderStatus, message, timestamp}``."""
        request = {**alert, "userId": user_id}
        return an_object(await self.publicPostFrontofficeApiV3WebhookAlertsUserId(request), "success")
