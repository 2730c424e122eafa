"""B2PRIME's settings page: each request exactly as the document shows it, each answer as in its example."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from ccxt.base import errors

from tests.support import b2prime_documents as documents
from tests.support.b2prime import ANY, BEARER, JSON, OWN, Sent, recorded

KEY = "01JZ3CVZKN20410JPYYH1YZJSK"
ALERT = {
    "apiKey": "wh_key_abc123def456...",
    "accountId": KEY,
    "symbol": "spot.btc_usdt",
    "side": "buy",
    "quantity": "0.01",
    "comment": "TV Strategy Signal",
}
Ask = Callable[[Any], Awaitable[Any]]

REQUESTS: dict[str, tuple[Ask, Sent, Any]] = {
    "accounts": (
        lambda e: e.fetch_accounts(),
        Sent(line="GET /frontoffice/api/v3/accounts", headers=BEARER | ANY),
        documents.ACCOUNTS,
    ),
    "assets": (
        lambda e: e.fetch_currencies(),
        Sent(line="GET /frontoffice/api/v3/assets", headers=BEARER | ANY),
        documents.ASSETS,
    ),
    "markets": (
        lambda e: e.fetch_markets({"isFavorite": True}),
        Sent(line="GET /frontoffice/api/v6/markets?isFavorite=true", headers=BEARER | OWN),
        documents.MARKETS,
    ),
    "market": (
        lambda e: e.fetch_market_details("cfd.eth_btc"),
        Sent(line="GET /frontoffice/api/v6/markets/cfd.eth_btc", headers=BEARER | ANY),
        documents.market(),
    ),
    "margin assets": (
        lambda e: e.fetch_margin_assets(),
        Sent(line="GET /frontoffice/api/v4/account-margin-settings/assets", headers=BEARER | ANY),
        documents.MARGIN_ASSETS,
    ),
    "select margin asset": (
        lambda e: e.select_margin_asset("USDT"),
        Sent(line="POST /frontoffice/api/v4/account-margin-settings/assets/usdt", headers=BEARER | JSON | ANY, body={}),
        {},
    ),
    "disable margin asset": (
        lambda e: e.disable_margin_asset("USDT"),
        Sent(line="DELETE /frontoffice/api/v4/account-margin-settings/assets/usdt", headers=BEARER | ANY),
        {},
    ),
    "info": (
        lambda e: e.fetch_server_info(),
        Sent(line="GET /frontoffice/api/v3/info", headers=BEARER | ANY),
        documents.INFO,
    ),
    "time zones": (
        lambda e: e.fetch_time_zones(),
        Sent(line="GET /frontoffice/api/v3/info/time-zones", headers=BEARER | ANY),
        documents.TIME_ZONES,
    ),
    "create key": (
        lambda e: e.create_webhook_key("My TradingView Key"),
        Sent(
            line="POST /frontoffice/api/v3/webhook/api-keys",
            headers=BEARER | JSON,
            body={"name": "My TradingView Key"},
        ),
        documents.KEY_CREATED,
    ),
    "list keys": (
        lambda e: e.fetch_webhook_keys(),
        Sent(line="GET /frontoffice/api/v3/webhook/api-keys", headers=BEARER),
        documents.KEYS,
    ),
    "revoke key": (
        lambda e: e.revoke_webhook_key(KEY),
        Sent(line=f"DELETE /frontoffice/api/v3/webhook/api-keys/{KEY}", headers=BEARER),
        documents.KEY_REVOKED,
    ),
    "alert": (
        lambda e: e.send_webhook_alert("01JZ3CVZKN", ALERT),
        Sent(line="POST /frontoffice/api/v3/webhook/alerts/01JZ3CVZKN", headers=JSON, body=ALERT),
        documents.ALERT_TAKEN,
    ),
}


def place(sent: Sent) -> str:
    """Method and path."""
    return sent.line.partition("?")[0]


class TestSettingsPage:
    @pytest.mark.parametrize("name", REQUESTS)
    async def test_each_request_is_the_documents(self, name: str) -> None:
        ask, expected, answer = REQUESTS[name]
        async with recorded() as venue:
            venue.answers[place(expected)] = answer
            await ask(venue.exchange)
            assert venue.sent[-1] == expected

    @pytest.mark.parametrize("verb", ["add", "remove"])
    async def test_favourites_are_named_by_the_venues_own_name(self, verb: str) -> None:
        path = f"/frontoffice/api/v6/markets/favorites/{'add' if verb == 'add' else 'delete'}"
        async with recorded() as venue:
            venue.answers |= {
                "GET /frontoffice/api/v6/markets": documents.MARKETS,
                "GET /frontoffice/api/v3/assets": documents.ASSETS,
                f"POST {path}": {},
            }
            await getattr(venue.exchange, f"{verb}_favorite")("BTC/USDT")
            assert venue.sent[-1] == Sent(
                line=f"POST {path}", headers=BEARER | JSON, body={"marketId": "spot.btc_usdt"}
            )

    @pytest.mark.parametrize("garbage", [None, [], "", "maintenance", 7, {"error": "x"}, [1], [{}]])
    @pytest.mark.parametrize("name", [name for name, (_, _, answer) in REQUESTS.items() if answer])
    async def test_an_unknown_shape_is_never_an_empty_result(self, name: str, garbage: Any) -> None:
        ask, expected, answer = REQUESTS[name]
        if isinstance(answer, list) and garbage == []:
            return  # that is the list with nothing in it
        async with recorded() as venue:
            venue.answers[place(expected)] = garbage
            with pytest.raises(errors.BadResponse):
                await ask(venue.exchange)

    async def test_accounts_say_whether_they_hedge(self) -> None:
        async with recorded() as venue:
            venue.answers["GET /frontoffice/api/v3/accounts"] = documents.ACCOUNTS
            accounts = await venue.exchange.fetch_accounts()
        assert [account["type"] for account in accounts] == ["hedging", "netting"]

    async def test_the_venues_seconds_become_milliseconds(self) -> None:
        async with recorded() as venue:
            venue.answers["GET /frontoffice/api/v3/info"] = documents.INFO
            assert await venue.exchange.fetch_time() == 1_755_190_380_000

    async def test_the_list_calls_a_perpetual_by_either_name(self) -> None:
        async with recorded() as venue:
            venue.answers["GET /frontoffice/api/v6/markets"] = documents.MARKETS
            markets = await venue.exchange.fetch_markets()
        assert [market["symbol"] for market in markets] == ["BTC/USDT", "ETH/BTC:BTC-CFD", "TRX/USDT:USDT"]

    @pytest.mark.parametrize("spelling", ["charge", "\u0441harge"])
    async def test_details_give_lots_steps_tiers_and_commission_in_either_spelling(self, spelling: str) -> None:
        details = documents.market()
        settings = details["commissionSettings"]
        settings[spelling] = settings.pop("\u0441harge")
        async with recorded() as venue:
            venue.answers |= {
                "GET /frontoffice/api/v6/markets": documents.MARKETS,
                "GET /frontoffice/api/v3/assets": documents.ASSETS,
                "GET /frontoffice/api/v6/markets/cfd.eth_btc": details,
            }
            market = await venue.exchange.market_with_details("ETH/BTC:BTC-CFD")
            commission = await venue.exchange.fetch_commission("ETH/BTC:BTC-CFD")
        assert (market["contractSize"], market["precision"]["amount"], market["precision"]["price"]) == (
            100,
            0.02,
            0.00005,
        )
        # 5000 of the base asset are 50 lots: less than the 100 lots that it says as well.
        assert market["limits"]["amount"] == {"min": 0.01, "max": 50}
        assert market["limits"]["leverage"]["max"] == 20
        assert [str(size) for _, size in commission["tiers"]] == ["0.2", "0.1"]

    async def test_a_key_that_was_not_revoked_is_an_error(self) -> None:
        async with recorded() as venue:
            venue.answers[f"DELETE /frontoffice/api/v3/webhook/api-keys/{KEY}"] = {
                "success": False,
                "message": "unknown",
            }
            with pytest.raises(errors.OperationRejected, match="unknown"):
                await venue.exchange.revoke_webhook_key(KEY)
