"""What Bitget's answers mean, what its errors say of a step, and what must not leave.

Shapes from https://www.bitget.com/api-doc (examples of the endpoints' own pages) and from what the venue has answered
others: null for empty lists, zero for the size of an order that closes the position.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import aiohttp
import pytest

from node.domain.permission import Effect, Permission
from node.domain.snapshot import PositionSide, Side
from node.domain.steps import CancelOrders, CancelSymbol, Outcome, Refusal
from node.errors import VenueAnswerUnknown, VenueDenied, VenueError, VenueLimited, VenueUnavailable
from node.venues import wire
from node.venues.call import Call
from node.venues.gate import NotPermitted, read_request
from node.venues.profiles.bitget.effects import effect_of
from node.venues.profiles.bitget.refusals import CLOCK, DENIED, LIMITED, UNCERTAIN, UNKNOWN
from node.venues.profiles.bitget.words import data_of
from node.venues.wire import Wire
from tests.contract.test_bitget_requests import CLASSIC, UNIFIED, cancels, close, sweep
from tests.support.bitget import EMPTY, bitget, failed, said
from tests.support.venue import Answer, answer, sell_spot

POSITIONS, ACCOUNTS = "/api/v2/mix/position/all-position", "/api/v2/mix/account/accounts"
ORDERS, PLANS = "/api/v2/mix/order/orders-pending", "/api/v2/mix/order/orders-plan-pending"
SPOT_ORDERS, SPOT_PLANS = "/api/v2/spot/trade/unfilled-orders", "/api/v2/spot/trade/current-plan-order"
ASSETS = "/api/v2/spot/account/assets"
U_POSITIONS, U_ORDERS = "/api/v3/position/current-position", "/api/v3/trade/unfilled-orders"
U_STRATEGIES, U_ASSETS = "/api/v3/trade/unfilled-strategy-orders", "/api/v3/account/assets"
PLACE = "/api/v2/mix/order/place-order"


def position(**changes: Any) -> dict[str, Any]:
    """A long of 0.01 BTC, hedged, isolated, of the page's example."""
    return {
        "marginCoin": "USDT",
        "symbol": "BTCUSDT",
        "holdSide": "long",
        "openDelegateSize": "0",
        "marginSize": "9.6695050093373343",
        "available": "0.01",
        "locked": "0",
        "total": "0.010",
        "leverage": "20",
        "openPriceAvg": "25000",
        "marginMode": "isolated",
        "posMode": "hedge_mode",
        "unrealizedPL": "1",
        "markPrice": "25100",
        "cTime": "1691382137448",
        **changes,
    }


def order(**changes: Any) -> dict[str, Any]:
    """A resting buy of 40, 15 of them filled, one-way."""
    return {
        "symbol": "BTCUSDT",
        "size": "40",
        "orderId": "1190384645049036801",
        "clientOid": "1190384645074202625",
        "baseVolume": "15",
        "price": "0.15",
        "status": "partially_filled",
        "side": "buy",
        "force": "gtc",
        "posSide": "net",
        "marginCoin": "USDT",
        "marginMode": "crossed",
        "tradeSide": "buy_single",
        "posMode": "one_way_mode",
        "orderType": "limit",
        "reduceOnly": "NO",
        **changes,
    }


def plan(**changes: Any) -> dict[str, Any]:
    """A position's take-profit in hedge mode, as the venue lists it: of no size, on the side of its leg."""
    return {
        "planType": "pos_profit",
        "symbol": "BTCUSDT",
        "size": "0",
        "orderId": "1272849518383902721",
        "clientOid": "1272849518383902720",
        "triggerPrice": "634.59",
        "planStatus": "live",
        "side": "buy",
        "posSide": "long",
        "marginCoin": "USDT",
        "marginMode": "",
        "tradeSide": "close",
        "posMode": "hedge_mode",
        "orderType": "limit",
        **changes,
    }


def u_position(**changes: Any) -> dict[str, Any]:
    """The page's example."""
    return {
        "category": "USDT-FUTURES",
        "symbol": "BTCUSDT",
        "marginCoin": "USDT",
        "holdMode": "hedge_mode",
        "posSide": "short",
        "marginMode": "crossed",
        "available": "119.2068",
        "frozen": "0",
        "total": "119.2068",
        "positionStatus": "normal",
        "markPrice": "118097",
        **changes,
    }


def u_order(**changes: Any) -> dict[str, Any]:
    """The page's example."""
    return {
        "orderId": "111111111111111111",
        "clientOid": "111111111111111112",
        "category": "USDT-FUTURES",
        "symbol": "BTCUSDT",
        "orderType": "limit",
        "side": "buy",
        "price": "45000",
        "qty": "0.01",
        "amount": "0",
        "cumExecQty": "0.004",
        "orderStatus": "live",
        "posSide": "long",
        "holdMode": "hedge_mode",
        "reduceOnly": "NO",
        **changes,
    }


def strategy(**changes: Any) -> dict[str, Any]:
    """A stop of a long."""
    return {
        "orderId": "1330984742276198400",
        "clientOid": "1330984742276198401",
        "symbol": "BTCUSDT",
        "category": "USDT-FUTURES",
        "qty": "0.001",
        "posSide": "long",
        "tpTriggerBy": "market",
        "slTriggerBy": "mark",
        "takeProfit": "",
        "stopLoss": "114000",
        "slOrderType": "limit",
        "slLimitPrice": "113000",
        **changes,
    }


async def snapshot(account: str, name: str, slices: tuple[str, ...] | None = None, **answers: Any) -> Any:
    """One look at a slice; answers by path with dashes and slashes as in ``PATHS``."""
    async with bitget(account, slices=slices) as (venue, fetch):
        fetch.answers |= {PATHS[short]: given for short, given in answers.items()}
        return await venue.read_slice(name)


PATHS = {
    "positions": POSITIONS,
    "accounts": ACCOUNTS,
    "orders": ORDERS,
    "plans": PLANS,
    "spot_orders": SPOT_ORDERS,
    "spot_plans": SPOT_PLANS,
    "assets": ASSETS,
    "u_positions": U_POSITIONS,
    "u_orders": U_ORDERS,
    "u_strategies": U_STRATEGIES,
    "u_assets": U_ASSETS,
}


class TestPositions:
    """From rows to legs."""

    async def test_a_leg_keeps_the_venues_own_number(self) -> None:
        """Digits as sent; mode and margin by the row."""
        (found,) = (
            await snapshot("classic", "inverse", positions=said([position(symbol="BTCUSD", marginCoin="BTC")]))
        ).positions
        assert (str(found.contracts), found.symbol, found.market_id) == ("0.010", "BTC/USD:BTC", "BTCUSD")
        assert (found.side, found.hedged, found.isolated) == (PositionSide.LONG, True, True)
        assert (found.base_exposure, found.mark_price) == (Decimal("0.01"), Decimal(25100))

    async def test_a_short_in_one_way_mode(self) -> None:
        """The side is told, and the exposure negative."""
        row = position(holdSide="short", posMode="one_way_mode", marginMode="crossed")
        (found,) = (await snapshot("classic", "linear:USDT", ("linear:USDT",), positions=said([row]))).positions
        assert (found.side, found.hedged, found.isolated) == (PositionSide.SHORT, False, False)
        assert (found.symbol, found.base_exposure) == ("BTC/USDT:USDT", Decimal("-0.01"))

    async def test_both_legs_of_a_unified_account(self) -> None:
        """Long and short of one market."""
        rows = {"list": [u_position(), u_position(posSide="long", total="1", holdMode="hedge_mode")]}
        found = (await snapshot("unified", "linear:USDT", ("linear:USDT",), u_positions=said(rows))).positions
        assert [(each.side, each.contracts, each.hedged) for each in found] == [
            (PositionSide.SHORT, Decimal("119.2068"), True),
            (PositionSide.LONG, Decimal(1), True),
        ]

    async def test_what_is_closed_or_not_listed(self) -> None:
        """Zero rows are none; an unknown market is kept under its raw name."""
        rows = [position(total="0", posMode=None), position(symbol="GONEUSDT")]
        (found,) = (await snapshot("classic", "linear:USDT", ("linear:USDT",), positions=said(rows))).positions
        assert (found.symbol, found.market_id) == ("GONEUSDT", "GONEUSDT")

    async def test_one_market_margined_in_two_coins_is_two_positions(self) -> None:
        """And each is closed in its own."""
        rows = [position(symbol="BTCUSD", marginCoin=coin) for coin in ("BTC", "ETH")]
        found = (await snapshot("classic", "inverse", positions=said(rows))).positions
        assert [each.symbol for each in found] == ["BTC/USD:BTC", "BTC/USD:ETH"]


class TestOrders:
    """Two books, and many kinds in the second."""

    async def test_an_entry_in_one_way_mode(self) -> None:
        """Shows what is left of it."""
        (found,) = (await snapshot("classic", "inverse", orders=said({"entrustedList": [order()]}))).orders
        assert (found.order_id, found.client_order_id) == ("1190384645049036801", "1190384645074202625")
        assert (found.side, found.remaining, found.protective, found.trigger) == (Side.BUY, Decimal(25), False, False)

    async def test_what_only_reduces_in_one_way_mode(self) -> None:
        """By its flag; a row without one may add."""
        rows = [order(side="sell", reduceOnly=flag) for flag in ("YES", "NO", None)]
        found = (await snapshot("classic", "inverse", orders=said({"entrustedList": rows}))).orders
        assert [each.protective for each in found] == [True, False, False]

    @pytest.mark.parametrize(
        ("pos_side", "trade_side", "side", "protective"),
        [
            ("long", "open", Side.BUY, False),
            ("long", "close", Side.SELL, True),
            ("short", "open", Side.SELL, False),
            ("short", "close", Side.BUY, True),
            ("short", "reduce_close_short", Side.BUY, True),
        ],
    )
    async def test_the_side_in_hedge_mode_is_the_legs(
        self, pos_side: str, trade_side: str, side: Side, protective: bool
    ) -> None:
        """A close of a long is listed as a "buy"."""
        raw = "buy" if pos_side == "long" else "sell"
        row = order(posMode="hedge_mode", posSide=pos_side, tradeSide=trade_side, side=raw)
        (found,) = (await snapshot("classic", "inverse", orders=said({"entrustedList": [row]}))).orders
        assert (found.side, found.position_side, found.protective) == (side, PositionSide(pos_side), protective)

    async def test_trigger_orders_are_named_with_their_plan_type(self) -> None:
        """They are found under no other; those of the position have no size and protect."""

        async with bitget(slices=("inverse",)) as (venue, fetch):
            rows = {
                "profit_loss": [plan(), plan(planType="loss_plan", size="0.5", orderId="2")],
                "normal_plan": [plan(planType="normal_plan", tradeSide="open", size="0.4", orderId="3")],
                "track_plan": [
                    plan(
                        planType="track_plan", posMode="one_way_mode", posSide="net", side="sell", orderId="4", size="1"
                    )
                ],
            }
            fetch.answers[PLANS] = lambda: {
                "code": "00000",
                "data": {"entrustedList": rows[fetch.sent[-1].params["planType"]]},
            }
            found = {each.order_id: each for each in (await venue.read_slice("inverse")).orders or ()}
        assert list(found) == ["3", "track_plan:4", "pos_profit:1272849518383902721", "loss_plan:2"]
        assert [each.remaining for each in found.values()] == [Decimal("0.4"), Decimal(1), None, Decimal("0.5")]
        assert [each.protective for each in found.values()] == [False, False, True, True]
        assert [each.side for each in found.values()] == [Side.BUY, Side.SELL, Side.SELL, Side.SELL]
        assert all(each.trigger for each in found.values())

    async def test_three_lists_on_spot(self) -> None:
        """Plan orders, stops of the other kind, and what rests."""
        row = {
            "symbol": "BTCUSDT",
            "orderId": "1",
            "clientOid": "a",
            "size": "2",
            "orderType": "limit",
            "side": "sell",
            "baseVolume": "0.5",
            "tpslType": "normal",
        }
        async with bitget(slices=("spot",)) as (venue, fetch):
            fetch.answers[SPOT_ORDERS] = lambda: {
                "code": "00000",
                "data": [{**row, "tpslType": fetch.sent[-1].params["tpslType"]}],
            }
            trigger = {
                "orderId": "7",
                "symbol": "TRXUSDT",
                "size": "151",
                "triggerPrice": "0.04",
                "orderType": "limit",
                "side": "buy",
                "planType": "amount",
            }
            fetch.answers[SPOT_PLANS] = said({"nextFlag": False, "idLessThan": "7", "orderList": [trigger]})
            found = (await venue.read_slice("spot")).orders or ()
        assert [(each.order_id, each.trigger, each.remaining) for each in found] == [
            ("7", True, Decimal(151)),
            ("tpsl:1", True, Decimal("1.5")),
            ("1", False, Decimal("1.5")),
        ]
        assert [each.symbol for each in found] == ["TRXUSDT", "BTC/USDT", "BTC/USDT"]

    async def test_orders_of_a_unified_account(self) -> None:
        """Its sides are the orders' own; spot and margin come out of the list of all."""
        rows = [
            u_order(),
            u_order(orderId="2", side="sell"),
            u_order(orderId="3", holdMode="one_way_mode", posSide="", side="sell", reduceOnly="YES"),
            u_order(orderId="4", category="SPOT", posSide="", holdMode="", qty="0", amount="100"),
            u_order(orderId="5", category="MARGIN", posSide="", holdMode="", side="sell"),
        ]
        given = said({"list": rows, "cursor": "1"})
        found = (await snapshot("unified", "linear:USDT", ("linear:USDT",), u_orders=given)).orders
        assert [(each.order_id, each.protective) for each in found] == [
            ("111111111111111111", False),
            ("2", True),
            ("3", True),
        ]
        assert found[0].remaining == Decimal("0.006")
        spot = (await snapshot("unified", "spot", u_orders=given)).orders
        assert [(each.order_id, each.side, each.remaining, each.protective) for each in spot] == [
            ("4", Side.BUY, None, False),
            ("5", Side.SELL, Decimal("0.006"), False),
        ]

    async def test_strategy_orders(self) -> None:
        """TP/SL protect the position whose side they name; what does not say that it closes may open."""
        rows = [
            strategy(),
            strategy(orderId="2", posSide="short", qty="", stopLoss="", takeProfit="5"),
            strategy(orderId="3", stopLoss="", triggerPrice="100000", triggerOrderType="market"),
            strategy(orderId="4", posSide="", stopLoss="", triggerPrice="100000", side="sell"),
            strategy(orderId="5", posSide="long", stopLoss="", triggerPrice="1", side="sell", reduceOnly="yes"),
            strategy(orderId="6", triggerPrice="100000"),
        ]
        found = (await snapshot("unified", "inverse", u_strategies=said(rows))).orders
        first = {each.order_id: each for each in found}
        assert [(each.side, each.protective, each.position_side) for each in first.values()] == [
            (Side.SELL, True, PositionSide.LONG),
            (Side.BUY, True, PositionSide.SHORT),
            (Side.BUY, False, None),
            (Side.SELL, False, None),
            (Side.SELL, True, PositionSide.LONG),
            (Side.BUY, False, None),
        ]
        assert [each.remaining for each in first.values()][:2] == [Decimal("0.001"), None]


class TestBalances:
    """Wallets."""

    async def test_spot(self) -> None:
        """Frozen and locked are both not free."""
        rows = [
            {"coin": "btc", "available": "0.5", "frozen": "0.1", "locked": "0.2", "limitAvailable": "0"},
            {"coin": "LTC", "available": "0", "frozen": "0", "locked": "0"},
        ]
        (found,) = (await snapshot("classic", "spot", assets=said(rows))).balances
        assert (found.asset, found.free, found.locked) == ("BTC", Decimal("0.5"), Decimal("0.3"))

    async def test_collateral(self) -> None:
        """Equity without its unrealised profit; a negative one is a debt; each coin of multi-assets mode."""
        rows: list[dict[str, Any]] = [
            {
                "marginCoin": "USDT",
                "locked": "0",
                "available": "100",
                "crossedMaxAvailable": "80",
                "accountEquity": "110",
                "unrealizedPL": "0",
            },
            {"marginCoin": "ETH", "crossedMaxAvailable": "0", "accountEquity": "-2", "unrealizedPL": ""},
            {
                "marginCoin": "USDC",
                "assetMode": "union",
                "accountEquity": "9999",
                "assetList": [{"coin": "BTC", "balance": "5", "available": "3"}, {"coin": "USDC", "balance": "7"}],
            },
        ]
        found = (await snapshot("classic", "inverse", accounts=said(rows))).balances
        assert [(each.asset, each.free, each.locked, each.debt) for each in found] == [
            ("USDT", Decimal(80), Decimal(30), Decimal(0)),
            ("ETH", Decimal(0), Decimal(0), Decimal(2)),
            ("BTC", Decimal(3), Decimal(2), Decimal(0)),
            ("USDC", Decimal(7), Decimal(0), Decimal(0)),
        ]

    async def test_the_unified_wallet_is_the_spot_slices(self) -> None:
        """With its debts; nothing counts twice."""
        rows = [
            {"coin": "USDT", "balance": "100", "available": "140", "debt": "0", "locked": "0"},
            {"coin": "BTC", "balance": "2", "available": "0.5", "debt": "0.1", "locked": "1.5"},
            {"coin": "ETH", "balance": "-3", "available": "0", "debt": "0", "locked": "0"},
            {"coin": "BGB", "balance": "0", "available": "0", "debt": "0", "locked": "0"},
        ]
        given = said({"accountEquity": "1", "assets": rows})
        found = (await snapshot("unified", "spot", u_assets=given)).balances
        assert [(each.asset, each.free, each.locked, each.debt) for each in found] == [
            ("USDT", Decimal(100), Decimal(0), Decimal(0)),
            ("BTC", Decimal("0.5"), Decimal("1.5"), Decimal("0.1")),
            ("ETH", Decimal(0), Decimal(0), Decimal(3)),
        ]
        assert (await snapshot("unified", "linear", u_assets=given)).balances == ()


class TestCorroboration:
    """Wallet against lists, in a proof."""

    @pytest.mark.parametrize(
        ("shown", "rows", "resting"),
        [
            ({"unrealizedPL": "0.1"}, [], []),
            ({"crossedMargin": "5"}, [], []),
            ({"isolatedMargin": "5"}, [], []),
            ({"unrealizedPL": "0.1"}, [], [order()]),
        ],
    )
    async def test_what_is_in_use_must_have_been_listed(
        self, shown: dict[str, str], rows: list[Any], resting: list[Any]
    ) -> None:
        """Orders explain margin, and no profit."""
        await self._proves(shown, rows, resting, good=False)

    @pytest.mark.parametrize(
        ("shown", "rows", "resting"),
        [
            ({"unrealizedPL": "0", "crossedMargin": "0", "isolatedMargin": ""}, [], []),
            ({"unrealizedPL": "3", "crossedMargin": "5"}, [position(symbol="BTCUSDT")], []),
            ({"crossedMargin": "5"}, [], [order()]),
            ({"crossedMargin": "5"}, [], [order(symbol="GONE")]),
        ],
    )
    async def test_what_is_listed_explains_it(self, shown: dict[str, str], rows: list[Any], resting: list[Any]) -> None:
        """In its coin, or where the coin is not known."""
        await self._proves(shown, rows, resting, good=True)

    async def _proves(self, shown: dict[str, str], rows: list[Any], resting: list[Any], *, good: bool) -> None:
        account = {"marginCoin": "USDT", "crossedMaxAvailable": "1", "accountEquity": "1", **shown}
        async with bitget(slices=("linear:USDT",)) as (venue, fetch):
            fetch.answers |= {
                ACCOUNTS: said([account]),
                POSITIONS: said(rows),
                ORDERS: said({"entrustedList": resting}),
            }
            if good:
                await venue.read_proof("linear:USDT")
                return
            with pytest.raises(VenueAnswerUnknown):
                await venue.read_proof("linear:USDT")


def raw(text: str) -> Answer:
    """A body as it is."""
    return Answer(body=text)


BROKEN: dict[str, Answer | Callable[[], Any]] = {
    "nothing": raw(""),
    "a web page": raw("<html><body>maintenance</body></html>"),
    "an empty object": answer({}),
    "null": raw("null"),
    "a number": raw("7"),
    "a list": answer([]),
    "half a document": raw('{"code":"00000","msg":"success","data":[{"symbol":"BTC'),
    "a success without data": answer({"code": "00000", "msg": "success"}),
    "data without a code": answer({"data": []}),
    "data of null": said(None),
    "data of text": said("success"),
    "data of numbers": said([1]),
    "data of lists": said([[]]),
    "the list under another name": said({"rows": []}),
    "a list of null rows": said({"list": [None], "entrustedList": [None], "orderList": [None], "assets": [None]}),
    "a surprise inside ccxt": lambda: (_ for _ in ()).throw(IndexError("list index out of range")),
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize(
    ("account", "slice_name", "path"),
    [
        ("classic", "linear", POSITIONS),
        ("classic", "linear", ORDERS),
        ("classic", "linear", PLANS),
        ("classic", "linear", ACCOUNTS),
        ("classic", "spot", SPOT_ORDERS),
        ("classic", "spot", SPOT_PLANS),
        ("classic", "spot", ASSETS),
        ("unified", "linear", U_POSITIONS),
        ("unified", "linear", U_ORDERS),
        ("unified", "linear", U_STRATEGIES),
        ("unified", "spot", U_ASSETS),
    ],
)
async def test_what_is_not_understood_is_unknown_and_never_empty(
    account: str, slice_name: str, path: str, name: str
) -> None:
    """The read raises; nobody may take it for flat."""
    async with bitget(account) as (venue, fetch):
        fetch.answers[path] = BROKEN[name]
        for read in (venue.read_slice, venue.read_proof):
            with pytest.raises((VenueAnswerUnknown, VenueUnavailable)):
                await read(slice_name)


@pytest.mark.parametrize(
    ("account", "slice_name", "path", "given"),
    [
        *(
            ("classic", "linear", POSITIONS, said([position(**change)]))
            for change in (
                {"total": None},
                {"total": "NaN"},
                {"total": True},
                {"total": "1E+999999"},
                {"total": "-1"},
                {"symbol": ""},
                {"holdSide": "net"},
                {"posMode": None},
                {"posMode": "both"},
                {"marginMode": ""},
                {"marginCoin": None},
            )
        ),
        *(
            ("classic", "linear", ORDERS, said({"entrustedList": [order(**change)]}))
            for change in (
                {"size": None},
                {"baseVolume": ""},
                {"orderId": None},
                {"side": "hold"},
                {"posMode": None},
                {"posMode": "hedge_mode"},
                {"posMode": "hedge_mode", "posSide": "long", "tradeSide": "turn"},
            )
        ),
        *(
            ("classic", "linear", PLANS, said({"entrustedList": [plan(**change)]}))
            for change in ({"planType": None}, {"posSide": ""}, {"planType": "normal_plan", "size": ""})
        ),
        *(
            ("unified", "linear", U_POSITIONS, said({"list": [u_position(**change)]}))
            for change in (
                {"total": ""},
                {"holdMode": None},
                {"holdMode": ""},
                {"posSide": "net"},
                {"marginMode": None},
            )
        ),
        *(
            ("unified", "linear", U_ORDERS, said({"list": [u_order(**change)]}))
            for change in ({"qty": None}, {"category": None}, {"holdMode": ""}, {"side": "x"}, {"cumExecQty": None})
        ),
        *(
            ("unified", "linear", U_STRATEGIES, said([strategy(**change)]))
            for change in ({"orderId": ""}, {"posSide": "both"}, {"qty": "many"}, {"symbol": None})
        ),
        ("classic", "spot", ASSETS, said([{"coin": "BTC", "available": "1", "frozen": "0"}])),
        ("unified", "spot", U_ASSETS, said({"assets": [{"coin": "BTC", "balance": "1", "available": "1"}]})),
        ("unified", "spot", U_ASSETS, said({"assets": None})),
    ],
)
async def test_one_odd_row_makes_the_whole_read_unknown(
    account: str, slice_name: str, path: str, given: Answer
) -> None:
    """A row that was skipped could be the one that matters; a mode that is not told is not guessed."""
    async with bitget(account) as (venue, fetch):
        fetch.answers[path] = given
        with pytest.raises(VenueAnswerUnknown):
            await venue.read_slice(slice_name)


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (failed("40009", "sign signature error"), VenueDenied),
        (failed("40014", "Incorrect permissions", 403), VenueDenied),
        (failed("40018", "Invalid IP", 403), VenueDenied),
        (failed("40085", "You are in Unified Account mode, and the Classic Account API is not supported"), VenueDenied),
        (failed("429", "Too Many Requests", 429), VenueLimited),
        (answer({"code": 429, "msg": "Too Many Requests"}, 429), VenueLimited),
        (failed("40008", "Request timestamp expired"), VenueUnavailable),
        (failed("40015", "System is abnormal, please try again later", 500), VenueUnavailable),
        (failed("40034", "Parameter does not exist"), VenueError),
        (Answer(body="<html>bad gateway</html>", status=502), VenueUnavailable),
        (Answer(body="<html>WAF</html>", status=403), VenueUnavailable),
        (said([], more=1), None),
    ],
)
async def test_a_failed_read_says_what_to_do_about_it(given: Answer, kind: type[VenueError] | None) -> None:
    """By the venue's code first, then by the status."""
    async with bitget() as (venue, fetch):
        fetch.answers |= {POSITIONS: given, "/api/v2/public/time": said({"serverTime": "1800000000000"})}
        if kind is None:
            await venue.read_positions("linear")
            return
        with pytest.raises(VenueError) as raised:
            await venue.read_positions("linear")
        assert type(raised.value) is kind


@pytest.mark.parametrize(
    ("account", "path", "given"),
    [
        (
            "classic",
            "/api/v2/spot/account/info",
            failed(
                "40085", "You are in Unified Account mode, and the Classic Account API is not supported at this time"
            ),
        ),
        (
            "unified",
            "/api/v3/account/settings",
            failed(
                "40084", "You are in Classic Account mode, and the Unified Account API is not supported at this time"
            ),
        ),
        ("unified", "/api/v3/account/settings", said({"accountMode": "upgrading", "holdMode": "one_way_mode"})),
    ],
)
async def test_a_wrong_kind_of_account_degrades(account: str, path: str, given: Answer) -> None:
    """Whatever configuration says: the venue tells."""
    async with bitget(account) as (venue, fetch):
        fetch.answers |= {
            "/api/v2/public/time": said({"serverTime": "1800000000000"}),
            "/api/v3/account/info": said({"ips": "", "permType": "read-and-write", "permissions": ["uta_trade"]}),
            path: given,
        }
        with pytest.raises(VenueDenied):
            await venue.arm()


# What became of a step


async def outcome(given: Any, step: Any = None, account: str = "classic") -> tuple[Outcome, Refusal | None]:
    """Of one step whose every request is answered so."""
    async with bitget(account) as (venue, fetch):
        fetch.default, fetch.answers = given, {"/api/v2/public/time": said({"serverTime": "1800000000000"})}
        if isinstance(given, BaseException):
            fetch.answers[PLACE] = given
        result = await venue.execute(step or close())
        return result.outcome, result.refusal


CODES = {
    "22002": Refusal.NOTHING_TO_REDUCE,
    "25227": Refusal.NOTHING_TO_REDUCE,
    "40757": Refusal.NOTHING_TO_REDUCE,
    "45006": Refusal.NOTHING_TO_REDUCE,
    "22008": Refusal.PRICE_BAND,
    "25206": Refusal.PRICE_BAND,
    "40815": Refusal.PRICE_BAND,
    "40824": Refusal.PRICE_BAND,
    "45112": Refusal.QUANTITY,
    "45113": Refusal.QUANTITY,
    "45110": Refusal.TOO_SMALL,
    "25611": Refusal.TOO_SMALL,
    "40309": Refusal.MARKET_CLOSED,
    "41114": Refusal.MARKET_CLOSED,
    "25101": Refusal.MARKET_CLOSED,
    "43012": Refusal.INSUFFICIENT,
    "25202": Refusal.INSUFFICIENT,
    "40774": Refusal.OTHER,
    "400172": Refusal.OTHER,
    **dict.fromkeys(LIMITED, Refusal.RATE_LIMITED),
    **dict.fromkeys(DENIED, Refusal.DENIED),
    **dict.fromkeys(UNKNOWN, Refusal.UNKNOWN_ORDER),
    **dict.fromkeys(CLOCK, Refusal.OTHER),
}


@pytest.mark.parametrize("code", sorted(CODES))
async def test_a_documented_code_is_a_refusal(code: str) -> None:
    """With a 4xx, and with a 200 that carries it; a 5xx proves nothing."""
    for status in (400, 200):
        assert await outcome(failed(code, "in words", status)) == (Outcome.REFUSED, CODES[code])
    assert (await outcome(failed(code, "in words", 500)))[0] is Outcome.AMBIGUOUS


@pytest.mark.parametrize(
    ("code", "message", "refusal"),
    [
        ("40762", "The order amount exceeds the balance", Refusal.INSUFFICIENT),
        ("40762", "The order size is greater than the max open size", Refusal.QUANTITY),
        ("25207", "Order quantity cannot be less than 0.001", Refusal.TOO_SMALL),
        ("25208", "Order quantity exceeds the limit", Refusal.QUANTITY),
        ("25208", "no", Refusal.OTHER),
    ],
)
async def test_a_code_of_several_cases_is_told_by_its_words(code: str, message: str, refusal: Refusal) -> None:
    """They have been seen with either."""
    assert await outcome(failed(code, message)) == (Outcome.REFUSED, refusal)


@pytest.mark.parametrize("code", [*sorted(UNCERTAIN), "99999", "40606"])
async def test_a_code_that_says_nothing_for_certain_is_ambiguous(code: str) -> None:
    """Time-outs, errors inside, client ids that are known already, and what nobody has documented."""
    assert (await outcome(failed(code, "in words")))[0] is Outcome.AMBIGUOUS


AMBIGUOUS: dict[str, Any] = {
    "an empty 200": raw(""),
    "half a document": raw('{"code":"00000","data":{"orderId":"1'),
    "a web page": raw("<html></html>"),
    "a success without data": answer({"code": "00000"}),
    "a success without an id": said({"orderId": "", "clientOid": "another"}),
    "a success with null": said(None),
    "a list": answer([]),
    "bad gateway": Answer(body="<html></html>", status=502),
    "forbidden by nobody": Answer(body="<html></html>", status=403),
    "a lost connection": aiohttp.ServerDisconnectedError(),
    "a time-out": TimeoutError(),
    "a surprise": KeyError("data"),
}


@pytest.mark.parametrize("name", AMBIGUOUS)
async def test_whatever_else_happens_may_have_been_executed(name: str) -> None:
    """For a close and for a sale."""
    assert (await outcome(AMBIGUOUS[name]))[0] is Outcome.AMBIGUOUS
    if not isinstance(AMBIGUOUS[name], BaseException):
        assert (await outcome(AMBIGUOUS[name], sell_spot()))[0] is Outcome.AMBIGUOUS


async def test_a_reduce_only_order_may_come_back_with_our_id_alone() -> None:
    """Documented of one-way mode, where it displaces others; of nothing else."""
    given = said({"orderId": None, "clientOid": "sabcdefgh234567abc"})
    assert await outcome(given) == (Outcome.DONE, None)
    for step in (close(hedged=True), sell_spot()):
        assert (await outcome(given, step))[0] is Outcome.AMBIGUOUS


def lists(done: list[Any], failures: list[Any]) -> Answer:
    """A batch's answer."""
    return said({"successList": done, "failureList": failures})


GONE = {"orderId": "12", "clientOid": "", "errorMsg": "notExistend"}
DONE_ROW = {"orderId": "11", "clientOid": "x"}

JUDGED: dict[str, tuple[str, CancelOrders | CancelSymbol, Answer, Outcome, Refusal | None]] = {
    "all of a batch": ("classic", cancels("11", "12"), lists([DONE_ROW, {"orderId": "12"}], []), Outcome.DONE, None),
    "one of a batch is gone": ("classic", cancels("11", "12"), lists([DONE_ROW], [GONE]), Outcome.DONE, None),
    "all of a batch are gone": (
        "classic",
        cancels("11", "12"),
        lists([], [GONE, {"orderId": "11", "errorCode": "40768", "errorMsg": "Order does not exist"}]),
        Outcome.REFUSED,
        Refusal.UNKNOWN_ORDER,
    ),
    "one of a batch was refused": (
        "classic",
        cancels("11", "12"),
        lists([DONE_ROW], [{"orderId": "12", "errorCode": "40308", "errorMsg": "maintenance"}]),
        Outcome.REFUSED,
        Refusal.MARKET_CLOSED,
    ),
    "one of a batch for reasons unknown": (
        "classic",
        cancels("11", "12"),
        lists([DONE_ROW], [{"orderId": "12", "errorMsg": "failure"}]),
        Outcome.AMBIGUOUS,
        None,
    ),
    "none of a batch": ("classic", cancels("11", "12"), lists([], []), Outcome.AMBIGUOUS, None),
    "more than a batch": ("classic", cancels("11", "12"), lists([DONE_ROW] * 3, []), Outcome.AMBIGUOUS, None),
    "a batch of garbage": ("classic", cancels("11", "12"), lists([None], [7]), Outcome.AMBIGUOUS, None),
    "a batch that is no list": ("classic", cancels("11", "12"), said({"successList": "x"}), Outcome.AMBIGUOUS, None),
    "one": ("classic", cancels("11"), said(DONE_ROW), Outcome.DONE, None),
    "one without a name": ("classic", cancels("11"), said({"orderId": ""}), Outcome.AMBIGUOUS, None),
    "a plan on spot": (
        "classic",
        cancels("7", slice_name="spot", trigger=True),
        said({"result": "success"}),
        Outcome.DONE,
        None,
    ),
    "a plan on spot that failed": (
        "classic",
        cancels("7", slice_name="spot", trigger=True),
        said({"result": "failure"}),
        Outcome.AMBIGUOUS,
        None,
    ),
    "a sweep": ("classic", sweep(), lists([DONE_ROW], []), Outcome.DONE, None),
    "a sweep of nothing": ("classic", sweep(), lists([], []), Outcome.DONE, None),
    "a sweep that says so": ("classic", sweep(), failed("22001", "No order to cancel"), Outcome.DONE, None),
    "a sweep of spot": ("classic", sweep("spot"), said({"symbol": "BTCUSDT"}), Outcome.DONE, None),
    "a sweep of another market": ("classic", sweep("spot"), said({"symbol": "ETHUSDT"}), Outcome.AMBIGUOUS, None),
    "a sweep without an answer": ("classic", sweep(), said({}), Outcome.AMBIGUOUS, None),
    "unified: a batch": (
        "unified",
        cancels("11", "12"),
        said([DONE_ROW, {"orderId": "12", "code": "25204", "msg": "Order does not exist"}]),
        Outcome.DONE,
        None,
    ),
    "unified: a strategy order": ("unified", cancels("7", trigger=True), said(None), Outcome.DONE, None),
    "unified: null for anything else": ("unified", cancels("7"), said(None), Outcome.AMBIGUOUS, None),
    "unified: a sweep": (
        "unified",
        sweep(),
        said({"list": [{"orderId": "1", "clientOid": "1"}]}),
        Outcome.DONE,
        None,
    ),
    "unified: a sweep of what cannot be cancelled": (
        "unified",
        sweep(),
        said({"list": [{"orderId": "1", "clientOid": "1", "code": "25101", "msg": "closed"}]}),
        Outcome.REFUSED,
        Refusal.MARKET_CLOSED,
    ),
    "unified: a sweep of what is gone": (
        "unified",
        sweep(),
        said({"list": [{"orderId": "1", "clientOid": "1", "code": "24056", "msg": "notExisted"}]}),
        Outcome.DONE,
        None,
    ),
    "classic: null for a plan": ("classic", cancels("7", trigger=True), said(None), Outcome.AMBIGUOUS, None),
}


@pytest.mark.parametrize("name", JUDGED)
async def test_what_an_answer_to_a_cancel_says(name: str) -> None:
    """Done if every named order is cancelled or gone."""
    account, step, given, expected, refusal = JUDGED[name]
    found, why = await outcome(given, step, account)
    assert found is expected
    assert refusal is None or why is refusal


async def test_strategy_orders_of_a_whole_market_are_not_swept() -> None:
    """There is no such request: it is said, not sent."""
    async with bitget("unified") as (venue, fetch):
        result = await venue.execute(sweep(trigger=True))
        assert (result.outcome, result.refusal, result.sent_ns) == (Outcome.REFUSED, Refusal.OTHER, None)
        assert fetch.sent == []


async def test_too_many_requests_hold_back_the_background() -> None:
    """By the status; the venue names no time."""
    async with bitget() as (venue, fetch):
        fetch.default = failed("429", "Too Many Requests", 429)
        result = await venue.execute(close())
        assert (result.outcome, result.refusal) == (Outcome.REFUSED, Refusal.RATE_LIMITED)


# The gate

LEVELS = list(Permission)
EVERY = [("classic", name, step) for name, (step, _) in CLASSIC.items()] + [
    ("unified", name, step) for name, (step, _) in UNIFIED.items()
]


@pytest.mark.parametrize("level", LEVELS)
async def test_a_step_leaves_at_its_level_and_not_below(level: Permission) -> None:
    """Cancels from "cancel" on, closes and sales from "close" on."""
    for account in ("classic", "unified"):
        async with bitget(account, permission=level) as (venue, fetch):
            for kind, name, step in EVERY:
                if kind != account:
                    continue
                fetch.sent.clear()
                result = await venue.execute(step)
                cancel = isinstance(step, CancelOrders | CancelSymbol)
                allowed = level.allows(Effect.CANCEL if cancel else Effect.CLOSE)
                assert bool(fetch.sent) is allowed, name
                assert allowed or result.refusal is Refusal.PERMISSION, name


@pytest.mark.parametrize("level", LEVELS)
async def test_reads_leave_at_every_level(level: Permission) -> None:
    """All that are made."""
    for account in ("classic", "unified"):
        async with bitget(account, permission=level) as (venue, fetch):
            for name in venue.slices:
                await venue.read_proof(name)
            fetch.answers["/api/v2/public/time"] = said({"serverTime": "1800000000000"})
            await venue.keep_warm(1)
            assert {each.method for each in fetch.sent} == {"GET"}


ENDPOINTS = (
    "privateSpotPostV2SpotWalletWithdrawal",
    "privateSpotPostV2SpotWalletTransfer",
    "privateMixPostV2MixAccountSetLeverage",
    "privateMixPostV2MixAccountSetPositionMode",
    "privateMixPostV2MixAccountSetMarginMode",
    "privateMixGetV2MixAccountSwitchUnionUsdt",
    "privateMixPostV2MixOrderClosePositions",
    "privateMixPostV2MixOrderClickBackhand",
    "privateMixPostV2MixOrderBatchPlaceOrder",
    "privateMixPostV2MixOrderModifyOrder",
    "privateMixPostV2MixOrderPlacePlanOrder",
    "privateMixPostV2MixOrderPlaceTpslOrder",
    "privateMixPostV2MixOrderCancelAllOrders",
    "privateSpotPostV2SpotTradePlacePlanOrder",
    "privateSpotPostV2SpotTradeBatchOrders",
    "privateSpotPostV2SpotTradeCancelReplaceOrder",
    "privateMarginPostV2MarginCrossedPlaceOrder",
    "privateMarginPostV2MarginCrossedAccountBorrow",
    "privateUtaPostV3AccountWithdrawal",
    "privateUtaPostV3AccountTransfer",
    "privateUtaPostV3AccountSetLeverage",
    "privateUtaPostV3AccountSetHoldMode",
    "privateUtaPostV3AccountSwitch",
    "privateUtaPostV3TradePlaceBatch",
    "privateUtaPostV3TradePlaceStrategyOrder",
    "privateUtaPostV3TradeModifyOrder",
    "privateUtaPostV3TradeClosePositions",
    "privateUtaPostV3TradeCountdownCancelAll",
    "privateConvertPostV2ConvertTrade",
)


@pytest.mark.parametrize("level", LEVELS)
async def test_what_the_profile_does_not_know_leaves_at_no_level(level: Permission) -> None:
    """Withdrawals, transfers, leverage, modes, batches, plans, reversals: whatever a call says of itself."""
    async with bitget(permission=level) as (venue, fetch):
        for endpoint in ENDPOINTS:
            for effect in Effect:
                attempt = await venue._client.attempt(Call(endpoint=endpoint, effect=effect, params={"symbol": "X"}))
                assert isinstance(attempt.error, NotPermitted), endpoint
        assert fetch.sent == []


MIX, UTA, SPOT = PLACE, "/api/v3/trade/place-order", "/api/v2/spot/trade/place-order"
CLOSING = {"symbol": "BTCUSDT", "productType": "USDT-FUTURES", "side": "sell", "orderType": "market", "size": "1"}
U_CLOSING = {"symbol": "BTCUSDT", "category": "USDT-FUTURES", "side": "sell", "orderType": "market", "qty": "1"}
SALE = {"symbol": "BTCUSDT", "side": "sell", "orderType": "limit", "force": "ioc", "size": "1", "price": "1"}
U_SALE = {"symbol": "BTCUSDT", "category": "SPOT", "side": "sell", "orderType": "limit", "timeInForce": "ioc"}


@pytest.mark.parametrize(
    ("path", "document", "effect"),
    [
        (MIX, {**CLOSING, "reduceOnly": "YES"}, Effect.CLOSE),
        (MIX, {**CLOSING, "tradeSide": "close"}, Effect.CLOSE),
        (MIX, CLOSING, Effect.OPEN),
        (MIX, {**CLOSING, "reduceOnly": "NO"}, Effect.OPEN),
        (MIX, {**CLOSING, "reduceOnly": True}, Effect.OPEN),
        (MIX, {**CLOSING, "tradeSide": "open"}, Effect.OPEN),
        (MIX, {**CLOSING, "tradeSide": "open", "reduceOnly": "YES"}, Effect.OPEN),
        (MIX, {**CLOSING, "tradeSide": "close", "reduceOnly": "NO"}, Effect.OPEN),
        (MIX, {**CLOSING, "reduceOnly": "YES", "presetStopLossPrice": "1"}, Effect.OPEN),
        (MIX, {**CLOSING, "reduceOnly": "YES", "productType": "X"}, Effect.OPEN),
        (UTA, {**U_CLOSING, "reduceOnly": "yes"}, Effect.CLOSE),
        (UTA, {**U_CLOSING, "posSide": "long"}, Effect.CLOSE),
        (UTA, {**U_CLOSING, "side": "buy", "posSide": "short"}, Effect.CLOSE),
        (UTA, U_CLOSING, Effect.OPEN),
        (UTA, {**U_CLOSING, "side": "buy", "posSide": "long"}, Effect.OPEN),
        (UTA, {**U_CLOSING, "posSide": "short"}, Effect.OPEN),
        (UTA, {**U_CLOSING, "posSide": "long", "reduceOnly": "no"}, Effect.OPEN),
        (UTA, {**U_CLOSING, "reduceOnly": "yes", "takeProfit": "1"}, Effect.OPEN),
        (UTA, {**U_CLOSING, "reduceOnly": "yes", "category": "MARGIN"}, Effect.OPEN),
        (UTA, U_SALE, Effect.CLOSE),
        (UTA, {**U_SALE, "side": "buy"}, Effect.OPEN),
        (UTA, {**U_SALE, "timeInForce": "gtc"}, Effect.OPEN),
        (UTA, {**U_SALE, "category": "MARGIN"}, Effect.OPEN),
        (UTA, {**U_SALE, "reduceOnly": "yes"}, Effect.OPEN),
        (SPOT, SALE, Effect.CLOSE),
        (SPOT, {**SALE, "side": "buy"}, Effect.OPEN),
        (SPOT, {**SALE, "force": "gtc"}, Effect.OPEN),
        (SPOT, {**SALE, "tpslType": "tpsl", "triggerPrice": "1"}, Effect.OPEN),
        (SPOT, [SALE], None),
        ("/api/v2/mix/order/cancel-order", {"symbol": "BTCUSDT", "orderId": "1"}, Effect.CANCEL),
        ("/api/v2/mix/order/cancel-order", {"symbol": "BTCUSDT", "newSize": "1"}, None),
        ("/api/v2/mix/order/cancel-order", {}, None),
        ("/api/v3/trade/cancel-batch", [{"orderId": "1"}], Effect.CANCEL),
        ("/api/v3/trade/cancel-batch", [], None),
        ("/api/v3/trade/cancel-batch", [{"orderId": "1"}, {"qty": "1"}], None),
        ("/api/v2/mix/account/set-leverage", {"leverage": "1"}, None),
    ],
)
def test_a_close_is_one_only_if_the_request_cannot_open(path: str, document: Any, effect: Effect | None) -> None:
    """Told from the request alone."""
    request = read_request(f"https://api.bitget.com{path}", "POST", json.dumps(document))
    assert effect_of(request) is effect


FORGED: dict[str, tuple[str, str, str | None]] = {
    "an order": (MIX, "POST", json.dumps(CLOSING)),
    "in the query": (f"{MIX}?reduceOnly=YES", "POST", json.dumps({**CLOSING, "reduceOnly": "YES"})),
    "a form": (MIX, "POST", "reduceOnly=YES&side=sell"),
    "a name twice": (MIX, "POST", json.dumps({**CLOSING, "reduceOnly": "NO"})[:-1] + ', "reduceOnly": "YES"}'),
    "escaped path": ("/api/v2/mix/order/place-%6Frder", "POST", json.dumps({**CLOSING, "reduceOnly": "YES"})),
    "dotted path": ("/api/v2/public/time/../../mix/order/place-order", "POST", json.dumps(CLOSING)),
    "slash at the end": (f"{MIX}/", "POST", json.dumps({**CLOSING, "reduceOnly": "YES"})),
    "first API": ("/api/mix/v1/order/placeOrder", "POST", json.dumps({**CLOSING, "reduceOnly": "YES"})),
    "put": (MIX, "PUT", json.dumps({**CLOSING, "reduceOnly": "YES"})),
    "delete": ("/api/v2/mix/order/cancel-order", "DELETE", json.dumps({"orderId": "1"})),
    "a read with a body": ("/api/v2/public/time", "GET", json.dumps(CLOSING)),
    "a switch that is read": ("/api/v2/mix/account/switch-union-usdt", "GET", None),
}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", FORGED)
async def test_a_request_that_is_made_by_hand_is_stopped(name: str, level: Permission) -> None:
    """At ccxt's own door, alone and under the cover of a harmless call."""
    path, method, body = FORGED[name]
    async with bitget(permission=level) as (venue, fetch):
        with pytest.raises(NotPermitted):
            await venue._client.ccxt.fetch(f"https://api.bitget.com{path}", method, {}, body)
        for effect in (Effect.READ, Effect.CANCEL):
            with wire.recording(Wire(effect=effect)), pytest.raises(NotPermitted):
                await venue._client.ccxt.fetch(f"https://api.bitget.com{path}", method, {}, body)
        assert fetch.sent == []


@pytest.mark.parametrize("name", [name for name in FORGED if name not in ("an order", "dotted path")])
def test_what_is_made_by_hand_is_nothing_that_is_known(name: str) -> None:
    """Not even as a close: at no level, whatever it is declared as."""
    path, method, body = FORGED[name]
    assert effect_of(read_request(f"https://api.bitget.com{path}", method, body)) is None


async def test_every_call_declares_what_its_request_turns_out_to_do() -> None:
    """Neither less, which would not leave, nor more, which would refuse it to levels that may have it."""
    for account in ("classic", "unified"):
        async with bitget(account, permission=Permission.FULL) as (venue, fetch):
            gate, declared = venue._client._gate, []
            check = gate.check

            def noting(url: str, method: str, body: object, record: Wire | None) -> None:
                declared.append(record.effect if record else None)  # noqa: B023
                check(url, method, body, record)  # noqa: B023

            gate.check = noting  # type: ignore[method-assign]
            for kind, _, step in EVERY:
                if kind == account:
                    await venue.execute(step)
            await venue.probe()
            await venue.filled(sell_spot())
            for name in venue.slices:
                await venue.read_slice(name)
            assert len(fetch.sent) > 30
            for sent, effect in zip(fetch.sent, declared, strict=True):
                body = sent.raw if sent.method == "POST" else None
                assert effect is effect_of(read_request(f"https://{sent.host}{sent.path}", sent.method, body)), sent


def test_an_answer_counts_only_with_the_code_of_a_success() -> None:
    """Whatever ccxt lets pass."""
    assert data_of({"code": "00000", "data": []}, "x") == []
    document: Any
    for document in ({"code": "1", "data": []}, {"code": "", "data": []}, {"code": "00000"}, []):
        with pytest.raises(VenueAnswerUnknown):
            data_of(document, "x")


def test_the_empty_answers_are_of_every_read() -> None:
    """Or a look would prove nothing here."""
    assert {POSITIONS, ACCOUNTS, ORDERS, PLANS, SPOT_ORDERS, SPOT_PLANS, ASSETS} <= EMPTY.keys()
    assert {U_POSITIONS, U_ORDERS, U_STRATEGIES, U_ASSETS} <= EMPTY.keys()
