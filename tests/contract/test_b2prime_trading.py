"""B2PRIME's orders, positions and history: each request as the platform's documentation shows it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from ccxt.base import errors

from tests.support import b2prime_documents as documents
from tests.support.b2prime import ANY, BEARER, JSON, JSON_V3, JSON_V4, OWN, Sent, Venue, recorded

Ask = Callable[[Any], Awaitable[Any]]
ID = "01J9QX2M6T0000000000000001"
POSITION = "01J9QX2M6T0000000000000003"
ALL = BEARER | OWN | ANY
ORDER = {
    "order": {
        "marketId": "cfd.eth_btc",
        "marketDisplayName": "ETH/BTC",
        "orderId": ID,
        "orderType": "Limit",
        "side": "Buy",
        "status": "Cancelled",
        "source": "Manual",
        "timeInForce": "Gtc",
        "commission": "0",
        "requestedAmount": "200",
        "remainingAmount": "150",
        "requestedPrice": "0.05",
        "executionPrice": "0",
        "createdAt": "2026-03-02T08:00:00.000Z",
        "updatedAt": "2026-03-02T08:05:10.120Z",
        "rejectDetails": None,
    }
}
EXECUTIONS = {
    "executions": [{"positionId": POSITION, "orderId": ID, "side": "Sell", "executionId": "01J9", "baseAmount": "100"}],
    "isExceeded": False,
}
CFD = "ETH/BTC:BTC-CFD"
SPOT = "BTC/USDT"
PERP = "TRX/USDT:USDT"


def own(**order: Any) -> dict[str, Any]:
    """A body with an order in it."""
    return {"order": order}


REQUESTS: dict[str, tuple[Ask, Sent, Any]] = {
    "spot at market": (
        lambda e: e.create_order(SPOT, "market", "sell", 1.25, None, {"comment": "rk"}),
        Sent(
            line="POST /frontoffice/api/v3/orders",
            headers=ALL | JSON,
            body=own(
                marketId="spot.btc_usdt",
                side="Sell",
                orderType="Market",
                timeInForce="Ioc",
                requestedAmount="1.25",
                comment="rk",
            ),
        ),
        ORDER,
    ),
    "cfd limit": (
        lambda e: e.create_order(CFD, "limit", "buy", 0.2, 0.05, {"leverage": 20, "takeProfit": {"price": "0.06"}}),
        Sent(
            line="POST /frontoffice/api/cfd/v4/orders",
            headers=ALL | JSON_V4,
            body=own(
                marketId="cfd.eth_btc",
                side="Buy",
                orderType="Limit",
                timeInForce="Gtc",
                requestedLotAmount="0.2",
                requestedPrice="0.05",
                leverage=20,
                takeProfit={"price": "0.06"},
            ),
        ),
        ORDER,
    ),
    "perpetual at market": (
        lambda e: e.create_order(PERP, "market", "buy", 3),
        Sent(
            line="POST /frontoffice/api/perpetual/v4/orders",
            headers=ALL | JSON_V4,
            body=own(
                marketId="perp.trx_usdt", side="Buy", orderType="Market", timeInForce="Ioc", requestedLotAmount="3"
            ),
        ),
        ORDER,
    ),
    "spot stop": (
        lambda e: e.create_order(SPOT, "market", "sell", 0.05, None, {"triggerPrice": 58000}),
        Sent(
            line="POST /frontoffice/api/v3/stop-orders",
            headers=ALL | JSON_V4,
            body=own(
                marketId="spot.btc_usdt",
                side="Sell",
                orderType="Market",
                timeInForce="Ioc",
                requestedAmount="0.05",
                activationPrice="58000",
            ),
        ),
        ORDER,
    ),
    "perpetual stop": (
        lambda e: e.create_order(PERP, "market", "sell", 3, None, {"triggerPrice": 0.2}),
        Sent(
            line="POST /frontoffice/api/perpetual/v4/stop-orders",
            headers=ALL | JSON_V4,
            body=own(
                marketId="perp.trx_usdt",
                side="Sell",
                orderType="Market",
                timeInForce="Ioc",
                requestedLotAmount="3",
                activationPrice="0.2",
            ),
        ),
        ORDER,
    ),
    "cfd stop": (
        lambda e: e.create_order(CFD, "market", "sell", 0.2, None, {"triggerPrice": 0.04}),
        Sent(
            line="POST /frontoffice/api/cfd/v4/stop-orders",
            headers=ALL | JSON_V4,
            body=own(
                marketId="cfd.eth_btc",
                side="Sell",
                orderType="Market",
                timeInForce="Ioc",
                requestedLotAmount="0.2",
                activationPrice="0.04",
            ),
        ),
        ORDER,
    ),
    "cancel": (
        lambda e: e.cancel_order(ID),
        Sent(line=f"DELETE /frontoffice/api/v3/orders/{ID}", headers=ALL),
        ORDER,
    ),
    "cancel stop": (
        lambda e: e.cancel_order(ID, None, {"stop": True}),
        Sent(line=f"DELETE /frontoffice/api/v3/stop-orders/{ID}", headers=ALL),
        ORDER,
    ),
    "preview spot": (
        lambda e: e.preview_order(SPOT, {"side": "Sell", "orderType": "Market", "requestedBaseAmount": "2"}),
        Sent(
            line="POST /frontoffice/api/v3/order-data",
            headers=ALL | JSON_V3,
            body=own(marketId="spot.btc_usdt", side="Sell", orderType="Market", requestedBaseAmount="2"),
        ),
        {"order": {"baseAmount": "2", "quoteAmount": "6000", "commissionAmount": "6", "total": "6006"}},
    ),
    "preview cfd": (
        lambda e: e.preview_order(CFD, {"side": "Buy"}),
        Sent(
            line="POST /frontoffice/api/cfd/v4/order-data",
            headers=ALL | JSON_V4,
            body=own(marketId="cfd.eth_btc", side="Buy"),
        ),
        {"order": {"requiredMarginInRAT": "6"}},
    ),
    "preview perpetual": (
        lambda e: e.preview_order(PERP, {"side": "Buy"}),
        Sent(
            line="POST /frontoffice/api/perpetual/v4/order-data",
            headers=ALL | JSON_V4,
            body=own(marketId="perp.trx_usdt", side="Buy"),
        ),
        {"order": {"requiredMarginInRAT": "6"}},
    ),
    "close whole": (
        lambda e: e.close_position_by_id(POSITION),
        Sent(
            line=f"POST /frontoffice/api/v4/positions/{POSITION}/close",
            headers=ALL | JSON_V4,
            body={"closePositionLotAmount": None},
        ),
        {"positionId": POSITION},
    ),
    "close part": (
        lambda e: e.close_position_by_id(POSITION, "0.1"),
        Sent(
            line=f"POST /frontoffice/api/v4/positions/{POSITION}/close",
            headers=ALL | JSON_V4,
            body={"closePositionLotAmount": "0.1"},
        ),
        {"positionId": POSITION},
    ),
    "close all": (
        lambda e: e.close_all_positions(),
        Sent(
            line="POST /frontoffice/api/v4/positions/bulk-close", headers=ALL | JSON_V4, body={"mode": "AllPositions"}
        ),
        {"status": "accepted", "positionIds": [POSITION]},
    ),
    "preview triggers": (
        lambda e: e.preview_triggers(POSITION, {"takeProfit": {"triggerType": "Rate", "triggerSize": "0.1"}}),
        Sent(
            line=f"POST /frontoffice/api/v4/positions/{POSITION}/trigger-data",
            headers=ALL | JSON_V4,
            body={"takeProfit": {"triggerType": "Rate", "triggerSize": "0.1"}},
        ),
        {"takeProfit": {"price": "1", "rate": "0.1", "points": "1", "pnl": "1"}},
    ),
    "set triggers": (
        lambda e: e.set_triggers(POSITION, {"stopLoss": {"price": "1.07", "isTrailing": True}}),
        Sent(
            line=f"PUT /frontoffice/api/v4/positions/{POSITION}/triggers",
            headers=ALL | JSON_V4,
            body={"stopLoss": {"price": "1.07", "isTrailing": True}},
        ),
        {"positionId": POSITION},
    ),
    "closed positions": (
        lambda e: e.fetch_positions_history(None, 1772323200000, 50, {"marketType": "Cfd"}),
        Sent(
            line="POST /frontoffice/api/v4/orders/closed-positions",
            headers=ALL | JSON_V4,
            body={"marketType": "Cfd", "closedAtFrom": "2026-03-01T00:00:00.000Z", "limit": 50},
        ),
        {"orders": [{"orderId": ID, "marketId": "cfd.eth_btc"}]},
    ),
    "executions of a position": (
        lambda e: e.fetch_position_executions([POSITION], {"limit": 10}),
        Sent(
            line=f"POST /frontoffice/api/v4/positions/{POSITION}/executions/list",
            headers=ALL | JSON_V4,
            body={"limit": 10},
        ),
        EXECUTIONS,
    ),
    "executions of positions": (
        lambda e: e.fetch_position_executions([POSITION, ID]),
        Sent(
            line="POST /frontoffice/api/v4/positions/executions/list",
            headers=ALL | JSON_V4,
            body={"positionIds": [POSITION, ID]},
        ),
        EXECUTIONS,
    ),
    "executions of an order": (
        lambda e: e.fetch_one_order_executions(ID, {"positionId": POSITION}),
        Sent(
            line=f"POST /frontoffice/api/v5/orders/{ID}/executions/list",
            headers=ALL | JSON_V4,
            body={"positionId": POSITION},
        ),
        EXECUTIONS,
    ),
    "executions of orders": (
        lambda e: e.fetch_order_executions([{"orderId": ID, "positionId": POSITION}], {"limit": 100}),
        Sent(
            line="POST /frontoffice/api/v5/orders/executions/list",
            headers=ALL | JSON_V4,
            body={"limit": 100, "orderPositionPairs": [{"orderId": ID, "positionId": POSITION}]},
        ),
        EXECUTIONS,
    ),
}


def stock(venue: Venue) -> None:
    """Let it know its markets."""
    spot = documents.market(
        marketId="spot.btc_usdt", type="Spot", baseAssetId="btc", quoteAssetId="usdt", amountScale=5, priceScale=2
    )
    perp = documents.market(marketId="perp.trx_usdt", type="Perp", baseAssetId="trx", quoteAssetId="usdt")
    venue.answers |= {
        "GET /frontoffice/api/v6/markets": documents.MARKETS,
        "GET /frontoffice/api/v3/assets": documents.ASSETS,
        "GET /frontoffice/api/v6/markets/cfd.eth_btc": documents.market(),
        "GET /frontoffice/api/v6/markets/spot.btc_usdt": spot,
        "GET /frontoffice/api/v6/markets/perp.trx_usdt": perp,
    }


class TestTrading:
    @pytest.mark.parametrize("name", REQUESTS)
    async def test_each_request_is_the_documents(self, name: str) -> None:
        ask, expected, answer = REQUESTS[name]
        async with recorded(perpetualOrders=True, cfdStopOrders=True) as venue:
            stock(venue)
            venue.answers[expected.line] = answer
            await ask(venue.exchange)
            assert venue.sent[-1] == expected

    @pytest.mark.parametrize("garbage", [None, [], "", "maintenance", 7, {"x": 1}, [1], [{}], {"order": []}])
    @pytest.mark.parametrize("name", [name for name in REQUESTS if name != "preview triggers"])
    async def test_an_unknown_shape_is_never_a_success(self, name: str, garbage: Any) -> None:
        if (name, garbage) == ("closed positions", []):
            return  # an empty history
        if (name, garbage) == ("closed positions", {"order": []}):
            return  # the same in a wrapper, whose name is not documented
        ask, expected, _ = REQUESTS[name]
        async with recorded(perpetualOrders=True, cfdStopOrders=True) as venue:
            stock(venue)
            venue.answers[expected.line] = garbage
            with pytest.raises(errors.BadResponse):
                await ask(venue.exchange)

    @pytest.mark.parametrize(
        ("name", "option"), [("perpetual at market", "perpetualOrders"), ("cfd stop", "cfdStopOrders")]
    )
    async def test_an_inferred_path_is_not_used_unless_an_option_says_so(self, name: str, option: str) -> None:
        ask, expected, _ = REQUESTS[name]
        async with recorded() as venue:
            stock(venue)
            with pytest.raises(errors.NotSupported, match=option):
                await ask(venue.exchange)
            assert expected.line not in [sent.line for sent in venue.sent]

    @pytest.mark.parametrize(
        ("mode", "body"), [("null", {"closePositionLotAmount": None}), ("empty", {}), ("none", None)]
    )
    async def test_a_whole_close_may_be_said_in_three_ways(self, mode: str, body: Any) -> None:
        async with recorded(wholeClose=mode) as venue:
            venue.answers[f"POST /frontoffice/api/v4/positions/{POSITION}/close"] = {"positionId": POSITION}
            await venue.exchange.close_position_by_id(POSITION)
            assert venue.sent[-1].body == body

    async def test_amounts_of_contracts_are_lots_though_the_venue_answers_in_base_units(self) -> None:
        async with recorded() as venue:
            stock(venue)
            await venue.exchange.market_with_details(CFD)
            venue.answers[f"DELETE /frontoffice/api/v3/orders/{ID}"] = ORDER
            order = await venue.exchange.cancel_order(ID)
        assert (order["amount"], order["remaining"], order["filled"], order["status"]) == (2, 1.5, 0.5, "canceled")

    async def test_without_an_account_nothing_that_concerns_one_leaves(self) -> None:
        async with recorded(accountId=None) as venue:
            with pytest.raises(errors.ArgumentsRequired):
                await venue.exchange.close_all_positions()
            assert not any("positions" in sent.line for sent in venue.sent)

    async def test_an_order_that_is_not_there_is_named_so(self) -> None:
        async with recorded() as venue:
            venue.answers[f"DELETE /frontoffice/api/v3/orders/{ID}"] = (404, "")
            with pytest.raises(errors.OrderNotFound):
                await venue.exchange.cancel_order(ID)
