"""B2PRIME's SignalR streams: the first message of a fresh subscription, or an error, and never "nothing" instead."""

from __future__ import annotations

from typing import Any

import pytest
from ccxt.base import errors

from tests.support import b2prime_documents as documents
from tests.support.b2prime import ACCOUNT, OFFLINE
from tests.support.b2prime_hub import END, hub_server, item

POSITION = {
    "positionId": "01J8ZZZZZZZZZZZZZZZZZZZZZ1",
    "marketId": "cfd.xau_usd",
    "marketType": "Cfd",
    "side": "Sell",
    "status": "Open",
    "leverage": 20,
    "positionLotAmount": "0.4",
    "openPrice": "2600.10",
    "currentMarketPrice": "2598.00",
    "usedMarginInRAT": "5200.2",
    "unrealizedPnlTotalInRAT": "84",
    "createdAt": "2026-03-02T08:00:00.1234567Z",
}
ORDER = {
    "orderId": "01J9QX2M6T0000000000000001",
    "marketId": "cfd.eur_usd",
    "side": "Buy",
    "status": "Pending",
    "orderType": "Limit",
    "timeInForce": "Gtc",
    "requestedAmount": "10000",
    "remainingAmount": "10000",
    "requestedPrice": "1.05",
    "executionPrice": "0",
    "createdAt": "2026-03-02T08:00:00.000Z",
}
MARGIN = {"marginBalanceInRAT": "1000", "equityInRAT": "980", "usedMarginInRAT": "245", "marginLevel": "4"}
BALANCES = [{"assetId": "usdt", "available": "900", "total": "1000", "locked": "100"}]

STREAMS = {
    "orders": ("fetch_open_orders", "/frontoffice/ws/v4/account", "OpenOrders", [ORDER], []),
    "positions": ("fetch_positions", "/frontoffice/ws/v4/account", "OpenPositions", {"item": [POSITION]}, {"item": []}),
    "balances": ("fetch_balance", "/frontoffice/ws/v3/account", "FullBalance", BALANCES, []),
    "margin": ("fetch_margin", "/frontoffice/ws/v3/account", "MarginData", MARGIN, None),
}


class TestStreams:
    @pytest.mark.parametrize("name", STREAMS)
    async def test_a_check_subscribes_as_documented(self, name: str) -> None:
        method, path, target, first, _ = STREAMS[name]
        async with hub_server() as server:
            server.says[target] = [item(first)]
            assert await getattr(server.exchange, method)()
            assert server.connections == [(path, "JWT-1")]
            assert server.heard == [
                {"protocol": "json", "version": 1},
                {"type": 4, "invocationId": "0", "target": target, "arguments": [ACCOUNT]},
            ]

    @pytest.mark.parametrize("name", ["orders", "positions"])
    async def test_an_empty_list_that_was_said_is_empty(self, name: str) -> None:
        method, _, target, _, empty = STREAMS[name]
        async with hub_server() as server:
            server.says[target] = [item(empty)]
            assert await getattr(server.exchange, method)() == []

    @pytest.mark.parametrize("name", STREAMS)
    async def test_silence_is_unknown(self, name: str) -> None:
        async with hub_server(firstMessageTimeout=100) as server:
            with pytest.raises(errors.RequestTimeout):
                await getattr(server.exchange, STREAMS[name][0])()
            assert server.heard[-1]["target"] == STREAMS[name][2]

    @pytest.mark.parametrize("garbage", [None, {}, "none", 7, [1], [{}], {"item": None}, {"item": [{}]}, {"items": []}])
    @pytest.mark.parametrize("name", STREAMS)
    async def test_an_unknown_shape_is_never_nothing(self, name: str, garbage: Any) -> None:
        async with hub_server() as server:
            server.says[STREAMS[name][2]] = [item(garbage)]
            with pytest.raises(errors.BadResponse):
                await getattr(server.exchange, STREAMS[name][0])()

    @pytest.mark.parametrize(
        "records",
        [
            [{"type": 3, "invocationId": "ID", "error": "no such account"}],
            [{"type": 3, "invocationId": "ID"}],
            [{"type": 7, "error": "going down"}],
            [{"type": 99}],
            ["no json" + END],
            ["[]" + END],
            ['{"type":2,"invocationId":"ID","item":[]'],
        ],
    )
    async def test_a_stream_that_fails_is_an_error(self, records: list[Any]) -> None:
        async with hub_server() as server:
            server.says["OpenOrders"] = records
            with pytest.raises(errors.ExchangeNotAvailable):
                await server.exchange.fetch_open_orders()

    async def test_pings_and_later_messages_do_not_matter(self) -> None:
        async with hub_server() as server:
            server.says["OpenOrders"] = [{"type": 6}, item([ORDER]), item([])]
            assert [order["id"] for order in await server.exchange.fetch_open_orders()] == [ORDER["orderId"]]

    async def test_streams_of_two_hubs_are_asked_together(self) -> None:
        async with hub_server() as server:
            server.says = {"OpenPositions": [item({"item": []})], "MarginData": [item(MARGIN)]}
            found = await server.exchange.first_items(["margin", "positions"])
            assert found == [MARGIN, {"item": []}]
            assert sorted(path for path, _ in server.connections) == [
                "/frontoffice/ws/v3/account",
                "/frontoffice/ws/v4/account",
            ]

    async def test_a_hub_that_refuses_the_token_is_asked_once_more_with_a_new_one(self) -> None:
        async with hub_server() as server:
            server.refusals, server.says["OpenOrders"] = [401], [item([])]
            assert await server.exchange.fetch_open_orders() == []
            assert [token for _, token in server.connections] == ["JWT-1", "JWT-2"]

    @pytest.mark.parametrize(("status", "error"), [(403, errors.PermissionDenied), (503, errors.ExchangeNotAvailable)])
    async def test_a_refusal_names_no_token(self, status: int, error: type[Exception]) -> None:
        async with hub_server() as server:
            server.refusals = [status]
            with pytest.raises(error) as raised:
                await server.exchange.fetch_open_orders()
            assert "JWT" not in str(raised.value)
            assert OFFLINE not in str(raised.value)
            assert raised.value.__cause__ is None

    async def test_a_hub_that_does_not_agree_on_the_protocol_is_an_error(self) -> None:
        async with hub_server() as server:
            server.handshake = '{"error":"no"}' + END
            with pytest.raises(errors.ExchangeNotAvailable, match="handshake"):
                await server.exchange.fetch_open_orders()

    async def test_a_position_counts_lots_and_has_its_side(self) -> None:
        async with hub_server() as server:
            server.says["OpenPositions"] = [item({"item": [POSITION]})]
            [position] = await server.exchange.fetch_positions()
        assert (position["id"], position["side"], position["contracts"]) == (POSITION["positionId"], "short", 0.4)

    @pytest.mark.parametrize("method", ["fetch_positions", "fetch_open_orders"])
    async def test_a_market_that_is_not_known_is_no_empty_list(self, method: str) -> None:
        async with hub_server() as server:
            server.exchange.set_markets([server.exchange.parse_market(row) for row in documents.MARKETS])
            symbol = "XAU/USD:USD-CFD"
            with pytest.raises(errors.BadSymbol):
                await getattr(server.exchange, method)([symbol] if method == "fetch_positions" else symbol)

    async def test_positions_are_narrowed_to_a_market_and_others_keep_the_venues_name(self) -> None:
        other = POSITION | {"marketId": "cfd.eth_btc", "positionId": "2"}
        async with hub_server() as server:
            server.exchange.set_markets([server.exchange.parse_market(row) for row in documents.MARKETS])
            server.says["OpenPositions"] = [item({"item": [POSITION, other]})]
            narrowed = await server.exchange.fetch_positions(["ETH/BTC:BTC-CFD"])
            assert [position["id"] for position in narrowed] == ["2"]
            assert [each["symbol"] for each in await server.exchange.fetch_positions()] == [
                "cfd.xau_usd",
                "ETH/BTC:BTC-CFD",
            ]
