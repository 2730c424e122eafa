"""Every endpoint of the front-office settings document, at the wire: answers have the shape of its examples.

The fixtures are written anew with values of our own; keys, nesting, types and what may be null are the document's.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import jwt
import pytest

from node.sim.b2prime.settings_calls import CYRILLIC_CHARGE
from tests.support.b2prime_wire import Trader, trading

KEYS = "/v3/webhook/api-keys"
MARGIN = "/v4/account-margin-settings/assets"

ACCOUNTS = [
    {
        "accountId": "66aa0000000000000000a001",
        "publicAccountId": 7000001,
        "accountName": "Desk A",
        "accountType": "Hedging",
        "totalBalanceInRAT": "25000.5",
        "isCopyTradingAccount": False,
    }
]
ASSETS = [{"assetId": "usdt", "assetName": "Dollar", "isRootAsset": True}]
MARKETS = [
    {
        "marketId": "cfd.xau_usd",
        "displayName": "XAU/USD",
        "fullName": "Gold",
        "type": "Cfd",
        "subtype": "Metals",
        "isFavorite": True,
    }
]
INTERVALS = [{"start": "00:00:00", "end": "24:00:00"}]
SWAP_SIDE = {"size": "1", "assetId": "usdt"}
TIER = {"size": "0.1", "minTradingVolumeInRAT": "0"}
MARKET = {
    "marketId": "spot.abc_def",
    "displayName": "ABC/DEF",
    "fullName": "Abc",
    "baseAssetId": "abc",
    "quoteAssetId": "def",
    "minAmount": "1",
    "maxBaseAmount": "2",
    "minQuoteAmount": "3",
    "priceDeviation": "0.1",
    "priceScale": 2,
    "amountScale": 3,
    "type": "Spot",
    "subtype": "Cash",
    "swapSettings": {"type": "FixPerLot", "shortPositionSettings": SWAP_SIDE, "longPositionSettings": SWAP_SIDE},
    "lotSize": 1,
    "minLotAmount": "0.1",
    "maxLotAmount": 10,
    "tickSize": "0.1",
    "lotStep": "0.1",
    "slippageRate": "1",
    "calendar": {
        "timeZoneId": "UTC",
        "tradingSessions": [{"dayOfWeek": "Monday", "timeIntervals": INTERVALS}],
        "sessionOverrides": [{"date": "2026-01-01", "timeIntervals": INTERVALS}],
    },
    "fundingStartTime": "00:00:00",
    "fundingIntervalInHours": 8,
    "leverageProfile": {"leverageType": "Fixed", "leverage": {"useOnlyMaxLeverage": True, "maxLeverage": 1}},
    "commissionSettings": {
        "type": "Dynamic",
        CYRILLIC_CHARGE: {"type": "Percent", "tiers": [TIER, TIER], "minCommissionInRAT": "0"},
        "dynamicCommissionGroupId": "group",
    },
    "isFavorite": True,
}
#: What the document calls nullable, or not applicable to all markets.
NULLABLE = frozenset(
    {
        "fullName",
        "minAmount",
        "maxBaseAmount",
        "amountScale",
        "subtype",
        "swapSettings",
        "lotSize",
        "minLotAmount",
        "maxLotAmount",
        "tickSize",
        "lotStep",
        "fundingStartTime",
        "fundingIntervalInHours",
        "leverageProfile",
        "minCommissionInRAT",
        "timeIntervals",
        "dynamicCommissionGroupId",
        "maxNotionalValueInRAT",
        "assetId",
    }
)
MARGIN_ASSETS = {
    "assets": [
        {
            "assetId": "btc",
            "assetName": "btc",
            "available": "1",
            "total": "1",
            "marginRatio": "1",
            "isSelected": True,
        }
    ]
}
INFO = {"serverTime": "1755000000", "serverTimeZone": "+00:00"}
ZONES = [
    {
        "id": "Asia/Tokyo",
        "offset": "09:00:00",
        "offsetInMinutes": 540,
        "shortLabel": "Asia/Tokyo",
        "label": "(UTC+09:00)",
    }
]
CREATED_KEY = {
    "id": "01J8ZZZZZZZZZZZZZZZZZZZZZ1",
    "apiKey": "wh_key_1",
    "name": "Mine",
    "userId": "01J8ZZZZZZZZZZZZZZZZZZZZZ2",
    "status": "Active",
    "createdAt": "2026-01-01T00:00:00Z",
    "expiresAt": "2027-01-01T00:00:00Z",
}
LISTED_KEYS = {
    "webhookUrl": "https://example.com/",
    "apiKeys": [
        {name: value for name, value in CREATED_KEY.items() if name not in ("apiKey", "userId")},
    ],
}
REVOKED = {"success": True, "message": "Revoked"}
ALERTED = {
    "success": True,
    "orderId": "01J8ZZZZZZZZZZZZZZZZZZZZZ1",
    "orderStatus": "Working",
    "message": "Placed",
    "timestamp": "2026-01-01T00:00:00.000Z",
}


def same_shape(answer: Any, example: Any, where: str = "$") -> list[str]:
    """Where an answer's shape differs from an example's."""
    if type(answer) is not type(example):
        return [f"{where}: {answer!r} beside {example!r}"]
    if isinstance(example, list):
        return [fault for each in answer for fault in same_shape(each, example[0], f"{where}[]")]
    if not isinstance(example, dict):
        return []
    if list(answer) != list(example):
        return [f"{where}: {sorted(set(answer) ^ set(example))}"]
    return [
        fault
        for name in example
        if not (answer[name] is None and name in NULLABLE)
        for fault in same_shape(answer[name], example[name], f"{where}.{name}")
    ]


@pytest.fixture
async def trader() -> AsyncIterator[Trader]:
    """Of a user with four accounts."""
    async with trading("desk") as someone:
        yield someone


class TestTheComparison:
    """It must be able to fail."""

    @pytest.mark.parametrize(
        "wrong", [{"a": 1}, {"a": "1", "b": None}, {"a": "1", "b": [{"c": 1}]}, {"a": "1", "b": [], "d": 1}]
    )
    def test_other_shapes_are_told_apart(self, wrong: Any) -> None:
        assert same_shape(wrong, {"a": "x", "b": [{"c": "x"}]})


class TestSettings:
    async def test_accounts(self, trader: Trader) -> None:
        """All accounts of the user, hedging and netting ones; the root asset's worth in a string."""
        accounts = await trader.get("/v3/accounts")
        assert same_shape(accounts, ACCOUNTS) == []
        assert {each["accountName"]: each["accountType"] for each in accounts} == {
            "demo": "Netting",
            "hedge": "Hedging",
            "basis": "Netting",
            "empty": "Netting",
        }
        assert accounts[0]["accountId"] == trader.account
        assert all(len(each["accountId"]) == 24 and int(each["accountId"], 16) for each in accounts)

    async def test_assets(self, trader: Trader) -> None:
        """One of them is the root asset."""
        assets = await trader.get("/v3/assets")
        assert same_shape(assets, ASSETS) == []
        assert [each["assetId"] for each in assets if each["isRootAsset"]] == ["usdt"]

    async def test_markets(self, trader: Trader) -> None:
        """All three types; a perpetual goes by the name of the document's example."""
        markets = await trader.get("/v6/markets")
        assert same_shape(markets, MARKETS) == []
        assert {each["marketId"].partition(".")[0]: each["type"] for each in markets} == {
            "spot": "Spot",
            "cfd": "Cfd",
            "perp": "Perpetual",
        }
        assert {each["subtype"] for each in markets if each["type"] != "Cfd"} == {None}

    async def test_markets_by_filter(self, trader: Trader) -> None:
        """Favourites, and those of a commission group; there are no categories."""
        favourites = await trader.get("/v6/markets?isFavorite=true")
        assert {each["marketId"] for each in favourites} == {"spot.btc_usdt", "cfd.eur_usd"}
        group = (await trader.get("/v6/markets/perp.btc_usdt"))["commissionSettings"]["dynamicCommissionGroupId"]
        grouped = await trader.get(f"/v6/markets?dynamicCommissionGroupId={group}")
        assert {each["displayName"].partition("/")[0] for each in grouped} == {"BTC"}
        assert await trader.get("/v6/markets?categoryId=1") == []

    @pytest.mark.parametrize("market", ["spot.btc_usdt", "perp.eth_usdt", "cfd.xau_usd", "cfd.aapl_usd"])
    async def test_a_market(self, trader: Trader, market: str) -> None:
        """All fields are there, null where they do not apply; a fixed commission has its own fields."""
        found = await trader.get(f"/v6/markets/{market}")
        charge = found["commissionSettings"][CYRILLIC_CHARGE]
        if found["commissionSettings"]["type"] == "Fixed":
            assert set(charge) == {"type", "assetId", "size", "minCommissionInRAT"}
            found["commissionSettings"][CYRILLIC_CHARGE] = {**MARKET["commissionSettings"][CYRILLIC_CHARGE]}  # type: ignore[index]
        assert same_shape(found, MARKET) == []
        spot = market.startswith("spot.")
        assert (found["minAmount"] is None, found["lotSize"] is None) == (not spot, spot)
        assert (found["swapSettings"] is None) == (not market.startswith("cfd."))
        assert (found["fundingStartTime"] is None) == (not market.startswith("perp."))

    async def test_a_dynamic_leverage_profile(self, trader: Trader) -> None:
        """It has tiers in the place of a maximum."""
        profile = (await trader.get("/v6/markets/perp.btc_usdt"))["leverageProfile"]
        assert profile == {
            "leverageType": "Dynamic",
            "leverage": {
                "useOnlyMaxLeverage": False,
                "tiers": [
                    {"maxLeverage": 50, "maxNotionalValueInRAT": "250000"},
                    {"maxLeverage": 20, "maxNotionalValueInRAT": "1000000"},
                    {"maxLeverage": 10, "maxNotionalValueInRAT": None},
                ],
            },
        }

    async def test_an_override_may_close_a_day(self, trader: Trader) -> None:
        calendar = (await trader.get("/v6/markets/cfd.aapl_usd"))["calendar"]
        assert calendar["timeZoneId"] == "America/New_York"
        assert [each["timeIntervals"] is None for each in calendar["sessionOverrides"]] == [True, False]

    async def test_a_market_that_is_not_there(self, trader: Trader) -> None:
        assert (await trader.ask("GET", "/v6/markets/cfd.no_body")).status == 404

    async def test_favourites(self, trader: Trader) -> None:
        """Adding and removing answer an empty object, and the list follows."""
        assert await trader.post("/v6/markets/favorites/add", {"marketId": "perp.sol_usdt"}) == {}
        assert (await trader.get("/v6/markets/perp.sol_usdt"))["isFavorite"] is True
        assert await trader.post("/v6/markets/favorites/delete", {"marketId": "perp.sol_usdt"}) == {}
        assert (await trader.get("/v6/markets/perp.sol_usdt"))["isFavorite"] is False
        assert (await trader.ask("POST", "/v6/markets/favorites/add", {})).status == 400

    async def test_margin_assets(self, trader: Trader) -> None:
        """What is available is what is not locked; without a ratio nothing is selected."""
        answer = await trader.get(MARGIN)
        assert same_shape(answer, MARGIN_ASSETS) == []
        rows = {each["assetId"]: each for each in answer["assets"]}
        assert (rows["sol"]["available"], rows["sol"]["total"], rows["sol"]["isSelected"]) == ("80", "120", False)
        assert rows["btc"]["isSelected"] is True

    async def test_selecting_margin_assets(self, trader: Trader) -> None:
        """What is disabled is no collateral any more, and can be selected again."""
        before = await trader.first("MarginData", "/frontoffice/ws/v3/account")
        assert await trader.delete(f"{MARGIN}/btc") == {}
        after = await trader.first("MarginData", "/frontoffice/ws/v3/account")
        assert float(before["marginBalanceInRAT"]) - float(after["marginBalanceInRAT"]) == pytest.approx(
            3.3 * 0.9 * 64000
        )
        assert await trader.post(f"{MARGIN}/btc", {}) == {}
        assert await trader.first("MarginData", "/frontoffice/ws/v3/account") == before
        assert (await trader.ask("POST", f"{MARGIN}/doge", {})).status == 400
        assert (await trader.ask("DELETE", f"{MARGIN}/nothing")).status == 404

    async def test_server_info(self, trader: Trader) -> None:
        """Unix seconds in a string."""
        info = await trader.get("/v3/info")
        assert same_shape(info, INFO) == []
        assert abs(int(info["serverTime"]) - trader.sim.clock.now_ms() / 1000) < 5

    async def test_time_zones(self, trader: Trader) -> None:
        zones = await trader.get("/v3/info/time-zones")
        assert same_shape(zones, ZONES) == []
        tokyo = next(each for each in zones if each["id"] == "Asia/Tokyo")
        assert (tokyo["offset"], tokyo["offsetInMinutes"]) == ("09:00:00", 540)


class TestWebhookKeys:
    async def test_creating_one(self, trader: Trader) -> None:
        """201, for a year, and its value is shown this once."""
        answer = await trader.ask("POST", KEYS, {"name": "Mine"})
        assert answer.status == 201
        assert same_shape({name: answer.json.get(name) for name in CREATED_KEY}, CREATED_KEY) == []
        assert set(answer.json) == set(CREATED_KEY)
        assert int(answer.json["expiresAt"][:4]) - int(answer.json["createdAt"][:4]) == 1
        assert answer.json["apiKey"] not in (await trader.ask("GET", KEYS)).text

    async def test_listing_them(self, trader: Trader) -> None:
        created = (await trader.ask("POST", KEYS, {"name": "Mine"})).json
        listed = await trader.get(KEYS)
        assert same_shape(listed, LISTED_KEYS) == []
        assert listed["webhookUrl"].endswith(f"/frontoffice/api/v3/webhook/alerts/{created['userId']}")
        assert [each["id"] for each in listed["apiKeys"]] == [created["id"]]

    async def test_revoking_one(self, trader: Trader) -> None:
        created = (await trader.ask("POST", KEYS, {"name": "Mine"})).json
        revoked = await trader.delete(f"{KEYS}/{created['id']}")
        assert same_shape(revoked, REVOKED) == []
        assert [each["status"] for each in (await trader.get(KEYS))["apiKeys"]] == ["Revoked"]
        assert (await trader.ask("DELETE", f"{KEYS}/{trader.account}")).status == 404

    async def test_names_have_a_hundred_characters_at_most(self, trader: Trader) -> None:
        assert (await trader.ask("POST", KEYS, {"name": "x" * 101})).status == 400
        assert (await trader.ask("POST", KEYS, {})).status == 400


class TestTokens:
    async def test_the_exchange(self, trader: Trader) -> None:
        """An hour, and the permission that the document asks for."""
        token = (await trader.post("/v4/access-token", {"token": trader.sim.credentials()["token"]}))["accessToken"]
        claims = jwt.decode(token, options={"verify_signature": False})
        assert claims["exp"] - claims["iat"] == pytest.approx(3600, abs=1)
        assert claims["operations"] == ["trading-ui"]

    @pytest.mark.parametrize("authorization", [None, "Bearer x", "Basic x", ""])
    async def test_nothing_without_a_token(self, trader: Trader, authorization: str | None) -> None:
        answer = await trader.ask("GET", "/v3/accounts", Authorization=authorization)
        assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")

    async def test_a_forged_token(self, trader: Trader) -> None:
        claims = jwt.decode(trader.token, options={"verify_signature": False})
        forged = jwt.encode(claims, "somebody else's key, as long as it must be", algorithm="HS256")
        assert (await trader.ask("GET", "/v3/accounts", Authorization=f"Bearer {forged}")).status == 401

    async def test_tokens_end_after_an_hour(self, trader: Trader) -> None:
        """Those of before; a new one is good."""
        trader.sim.set_faults(clock_offset_ms=3_601_000)
        assert (await trader.ask("GET", "/v3/accounts")).status == 401
        await trader.log_in()
        assert await trader.get("/v3/accounts")

    async def test_a_wrong_api_token(self, trader: Trader) -> None:
        assert (await trader.ask("POST", "/v4/access-token", {"token": "x"}, Authorization=None)).status == 401
        assert (await trader.ask("POST", "/v4/access-token", {}, Authorization=None)).status == 400

    async def test_a_revoked_api_token(self, trader: Trader) -> None:
        trader.sim.set_faults(revoke_key=["demo"])
        body = {"token": trader.sim.credentials()["token"]}
        assert (await trader.ask("POST", "/v4/access-token", body)).status == 401
        assert (await trader.ask("GET", "/v3/accounts")).status == 401

    async def test_a_token_without_the_permission(self, trader: Trader) -> None:
        trader.sim.set_faults(key_rights={"demo": {"spot": False, "futures": False}})
        assert (await trader.ask("GET", "/v3/accounts")).status == 403

    async def test_secrets_are_not_in_the_request_journal(self, trader: Trader) -> None:
        """Nor is what is told of keys."""
        created = (await trader.ask("POST", KEYS, {"name": "Mine"})).json
        await trader.ask("POST", f"/v3/webhook/alerts/{created['userId']}", {"apiKey": created["apiKey"]})
        await trader.first("OpenOrders")
        told = str([entry.document() for entry in trader.sim.journal.entries()])
        assert "alerts" in told
        for secret in (trader.token, trader.sim.credentials()["token"], created["apiKey"]):
            assert secret not in told
