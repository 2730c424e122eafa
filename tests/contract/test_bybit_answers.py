"""What the Bybit profile makes of answers: shapes from the documentation, and of everything else nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from ccxt import async_support

from node.domain.snapshot import MarketKind, PositionSide, Side
from node.errors import VenueAnswerUnknown, VenueDenied, VenueError, VenueLimited, VenueUnavailable
from node.venues.layout import Layout, Slice
from node.venues.markets import MarketBook
from node.venues.profiles.bybit.profile import BybitProfile
from tests.support.bybit import coin, empty, fault, ok, order, page, position, stop, wallet
from tests.support.venue import BOOKS, Answer, answer, recorded_venue, rules

POSITIONS, ORDERS, WALLET = "/v5/position/list", "/v5/order/realtime", "/v5/account/wallet-balance"
USDT = ("linear:USDT",)
SPOT_ROW = {"positionIdx": 0, "reduceOnly": False, "closeOnTrigger": False}


async def positions_of(*rows: dict[str, Any], name: str = "linear:USDT") -> Any:
    """The snapshot's positions."""
    async with recorded_venue(exchange="bybit", slices=(name,)) as (venue, fetch):
        fetch.default = page(name.partition(":")[0], *rows)
        return (await venue.read_positions(name)).positions


async def orders_of(*rows: dict[str, Any], name: str = "linear:USDT") -> Any:
    """The snapshot's orders."""
    async with recorded_venue(exchange="bybit", slices=(name,)) as (venue, fetch):
        empty(fetch, name)
        fetch.answers[ORDERS] = page(name.partition(":")[0], *rows)
        return (await venue.read_slice(name)).orders


class TestPositions:
    """From rows to legs."""

    async def test_a_one_way_position_keeps_the_venues_own_number(self) -> None:
        """Digits as sent, exposure signed."""
        (found,) = await positions_of(position())
        assert str(found.contracts) == "1.250"
        assert (found.symbol, found.side, found.hedged, found.isolated) == (
            "BTC/USDT:USDT",
            PositionSide.LONG,
            False,
            False,
        )
        assert (found.base_exposure, found.mark_price) == (Decimal("1.250"), Decimal("64000.00"))

    async def test_a_short_is_a_side_and_no_sign(self) -> None:
        """Sizes are positive."""
        (found,) = await positions_of(position(side="Sell", size="0.004"))
        assert (found.side, found.contracts, found.base_exposure) == (
            PositionSide.SHORT,
            Decimal("0.004"),
            Decimal("-0.004"),
        )

    async def test_hedge_legs_of_one_symbol_are_two_positions(self) -> None:
        """By their index."""
        found = await positions_of(
            position(positionIdx=1, size="0.8"), position(positionIdx=2, side="Sell", size="0.3")
        )
        assert [(each.side, each.contracts, each.hedged) for each in found] == [
            (PositionSide.LONG, Decimal("0.8"), True),
            (PositionSide.SHORT, Decimal("0.3"), True),
        ]

    async def test_empty_rows_are_left_out(self) -> None:
        """They have no side."""
        assert await positions_of(position(side="", size="0"), position(side="", size="0.000", positionIdx=2)) == ()

    async def test_an_unlisted_symbol_is_kept_under_its_raw_name(self) -> None:
        """Delisted or new: what is held there is held. Its exposure cannot be told."""
        (found,) = await positions_of(position(symbol="GONEUSDT"))
        assert (found.symbol, found.market_id, found.base_exposure) == ("GONEUSDT", "GONEUSDT", None)

    async def test_an_inverse_position_counts_dollars_and_exposes_coins(self) -> None:
        """25 000 dollars at 50 000 are half a bitcoin; isolated margin is told by unified 1.0 only."""
        book = {**BOOKS, MarketKind.INVERSE: MarketBook([rules("BTC/USD:BTC", "BTCUSD", MarketKind.INVERSE)])}
        async with recorded_venue(exchange="bybit", slices=("inverse",), books=book) as (venue, fetch):
            row = position(symbol="BTCUSD", size="25000", side="Sell", markPrice="50000", tradeMode=1)
            fetch.default = page("inverse", row)
            (found,) = (await venue.read_positions("inverse")).positions
        assert (found.contracts, found.base_exposure, found.isolated) == (Decimal(25000), Decimal("-0.5"), True)

    async def test_both_settle_coins_are_read(self) -> None:
        """And what both lists show is there once."""
        async with recorded_venue(exchange="bybit", slices=("linear",)) as (venue, fetch):
            usdt, usdc = position(), position(symbol="BTCUSDC", size="2")
            fetch.in_turn = iter([page("linear", usdt), page("linear", usdc, usdt)])
            found = (await venue.read_positions("linear")).positions
        assert sorted(each.symbol for each in found) == ["BTC/USDC:USDC", "BTC/USDT:USDT"]

    async def test_a_narrowed_slice_shows_only_its_settle_coin(self) -> None:
        """Even if the venue takes no notice of the filter; what cannot be told is shown."""
        found = await positions_of(position(), position(symbol="BTCUSDC"), position(symbol="NEWUSDC"))
        assert [each.market_id for each in found] == ["BTCUSDT", "NEWUSDC"]

    @pytest.mark.parametrize(
        "change",
        [
            {"positionIdx": None},
            {"positionIdx": 3},
            {"positionIdx": True},
            {"positionIdx": 1, "side": "Sell"},
            {"positionIdx": 2},
            {"side": "None"},
            {"side": ""},
            {"size": "-1"},
            {"size": None},
            {"size": "NaN"},
            {"size": "1E+999999"},
            {"symbol": ""},
            {"markPrice": "much"},
        ],
        ids=str,
    )
    async def test_a_row_that_is_not_understood_makes_the_list_unknown(self, change: dict[str, Any]) -> None:
        """A missing hedge flag is no one-way position."""
        with pytest.raises(VenueAnswerUnknown):
            await positions_of(position(symbol="ETHUSDT"), position(**change))


class TestOrders:
    """Two books in one list."""

    async def test_an_order_shows_what_is_left_of_it(self) -> None:
        """And that it can add exposure."""
        (found,) = await orders_of(order())
        assert (found.order_id, found.client_order_id) == ("fd4300ae-7847-404e-b947-b46980a4d140", "abc")
        assert (found.side, found.remaining, found.trigger, found.protective) == (
            *(Side.BUY, Decimal("0.3")),
            False,
            False,
        )

    async def test_every_order_of_the_list_is_in_one_book(self) -> None:
        """By whether it waits for a trigger, whatever kind it was."""
        found = await orders_of(order(), stop(), stop(orderId="3", orderStatus="New"), stop(orderId="4", qty="0"))
        assert [(each.order_id[:2], each.trigger) for each in found] == [
            ("c6", True),
            ("4", True),
            ("fd", False),
            ("3", False),
        ]
        assert found[1].remaining is None, "a stop of the whole position names no size"

    async def test_an_order_that_is_triggered_between_the_two_reads_is_not_overlooked(self) -> None:
        """It is in the second list, if not in the first."""
        async with recorded_venue(exchange="bybit", slices=USDT) as (venue, fetch):
            empty(fetch, "linear")
            fetch.in_turn = iter([page("linear"), page("linear", stop(orderStatus="New"))])
            snapshot = await venue.read_proof("linear:USDT")
        assert [each.trigger for each in snapshot.orders or ()] == [False]

    async def test_what_is_over_is_no_open_order(self) -> None:
        """Should one be in the list: the venue itself says that nothing more happens to it."""
        closed = ("Rejected", "PartiallyFilledCanceled", "Filled", "Cancelled", "Deactivated")
        assert await orders_of(*(order(orderStatus=status) for status in closed)) == ()

    async def test_a_state_that_nobody_knows_is_open(self) -> None:
        """Rather than overlooked."""
        assert len(await orders_of(order(orderStatus="Triggered"), order(orderId="2", orderStatus="Resting"))) == 2

    @pytest.mark.parametrize("flags", [{"reduceOnly": True}, {"closeOnTrigger": True}], ids=str)
    async def test_what_can_only_reduce_is_protective(self, flags: dict[str, bool]) -> None:
        """Either flag."""
        (found,) = await orders_of(order(side="Sell", **flags))
        assert found.protective

    async def test_hedge_mode_orders_carry_their_leg(self) -> None:
        """Selling the long leg is protective, buying it is not."""
        found = await orders_of(order(positionIdx=1, side="Sell"), order(orderId="2", positionIdx=2, side="Sell"))
        assert [(each.position_side, each.protective) for each in found] == [
            (PositionSide.LONG, True),
            (PositionSide.SHORT, False),
        ]

    async def test_spots_conditional_orders_say_in_which_book_they_are(self) -> None:
        """Their cancellation has to name it."""
        kinds = ("tpslOrder", "Stop", "OcoOrder", "BidirectionalTpslOrder", "")
        rows = [stop(orderId=str(number), stopOrderType=kind) for number, kind in enumerate(kinds)]
        rows.append(order(orderId="9", stopOrderType="OcoOrder", orderStatus="New"))
        rows.append(order(orderId="10", stopOrderType="tpslOrder", orderStatus="New"))
        found = await orders_of(*rows, name="spot")
        assert [(each.order_id, each.trigger) for each in found] == [
            ("tpslOrder:0", True),
            ("StopOrder:1", True),
            ("OcoOrder:2", True),
            ("BidirectionalTpslOrder:3", True),
            ("StopOrder:4", True),
            ("OcoOrder:9", True),
            ("10", False),
        ]
        assert not any(each.protective for each in found), "there is no position on spot"

    @pytest.mark.parametrize(
        "change",
        [
            {"orderId": ""},
            {"orderId": None},
            {"side": "HOLD"},
            {"symbol": None},
            {"orderStatus": ""},
            {"reduceOnly": None},
            {"reduceOnly": "perhaps"},
            {"closeOnTrigger": 1},
            {"positionIdx": None},
            {"positionIdx": 7},
            {"qty": "all"},
            {"cumExecQty": None},
        ],
        ids=str,
    )
    async def test_one_odd_row_makes_the_whole_read_unknown(self, change: dict[str, Any]) -> None:
        """A row that was skipped could be the one that matters."""
        with pytest.raises(VenueAnswerUnknown):
            await orders_of(order(orderId="2"), order(**change))


class TestPages:
    """Lists to their end."""

    @pytest.mark.parametrize("cursor", [None, 7, ["x"]])
    async def test_a_full_page_without_a_word_on_what_is_behind_it_is_not_complete(self, cursor: object) -> None:
        """Nor one whose word is none."""
        async with recorded_venue(exchange="bybit", slices=USDT) as (venue, fetch):
            row = [position(symbol=f"C{number}USDT") for number in range(200)]
            fetch.default = ok(category="linear", list=row, nextPageCursor=cursor)
            with pytest.raises(VenueAnswerUnknown):
                await venue.read_positions("linear:USDT")

    async def test_a_page_that_is_followed_by_itself_is_not_complete(self) -> None:
        """It would never end; an empty one has."""
        async with recorded_venue(exchange="bybit", slices=USDT) as (venue, fetch):
            fetch.default = page("linear", position(), cursor="same")
            with pytest.raises(VenueAnswerUnknown):
                await venue.read_positions("linear:USDT")
            fetch.default = page("linear", cursor="same")
            assert (await venue.read_positions("linear:USDT")).positions == ()

    async def test_a_list_without_end_is_none(self) -> None:
        """However inventive its cursors."""
        async with recorded_venue(exchange="bybit", slices=USDT) as (venue, fetch):
            cursors = iter(range(1000))

            def more() -> Any:
                return json.loads(page("linear", position(), cursor=str(next(cursors))).body)

            fetch.answers[POSITIONS] = more
            with pytest.raises(VenueAnswerUnknown, match="no end"):
                await venue.read_positions("linear:USDT")

    async def test_a_lost_page_loses_the_list(self) -> None:
        """What the first page showed proves nothing."""
        async with recorded_venue(exchange="bybit", slices=USDT) as (venue, fetch):
            fetch.in_turn = iter([page("linear", cursor="x"), Answer(body="<html>", status=502)])
            with pytest.raises(VenueUnavailable):
                await venue.read_positions("linear:USDT")


async def balances_of(*coins: dict[str, Any], name: str = "spot") -> Any:
    """The snapshot's balances."""
    async with recorded_venue(exchange="bybit", slices=(name,)) as (venue, fetch):
        empty(fetch, name)
        fetch.answers[WALLET] = wallet(*coins)
        return (await venue.read_slice(name)).balances


class TestBalances:
    """One wallet."""

    async def test_a_coin_is_free_but_for_orders_and_bonus(self) -> None:
        """Empty coins are left out."""
        (found,) = await balances_of(coin("BTC", "0.6", locked="0.1", bonus="0.2"), coin("ETH", "0"))
        assert (found.asset, found.free, found.locked, found.debt) == (
            "BTC",
            Decimal("0.3"),
            Decimal("0.3"),
            Decimal(0),
        )

    async def test_what_is_borrowed_is_owed_whether_it_is_held_or_lost(self) -> None:
        """Held and sold, and a balance below zero."""
        found = await balances_of(
            coin("BTC", "1", spotBorrow="1", borrowAmount="1"),
            coin("ETH", "0", spotBorrow="2", borrowAmount="2"),
            coin("USDT", "-7", borrowAmount="0"),
            coin("XRP", "0", borrowAmount="3"),
        )
        assert [(each.asset, each.free, each.debt) for each in found] == [
            ("BTC", Decimal(1), Decimal(1)),
            ("ETH", Decimal(0), Decimal(2)),
            ("USDT", Decimal(0), Decimal(7)),
            ("XRP", Decimal(0), Decimal(3)),
        ]

    async def test_the_wallet_is_reported_once(self) -> None:
        """On spot."""
        assert await balances_of(coin("BTC", "1"), name="linear:USDT") == ()

    @pytest.mark.parametrize(
        "given",
        [
            ok(list=[]),
            ok(list=[{"accountType": "CONTRACT", "coin": []}]),
            ok(list=[{"accountType": "UNIFIED", "coin": []}] * 2),
            ok(list=[{"accountType": "UNIFIED"}]),
            wallet({"coin": "BTC"}),
            wallet(coin("BTC", "much")),
            wallet(coin("BTC", "1", borrowAmount="")),
            wallet(coin("", "1")),
        ],
    )
    async def test_another_wallet_or_half_a_coin_is_unknown(self, given: Answer) -> None:
        """Not an empty one."""
        async with recorded_venue(exchange="bybit", slices=("spot",)) as (venue, fetch):
            empty(fetch, "spot")
            fetch.answers[WALLET] = given
            with pytest.raises(VenueAnswerUnknown):
                await venue.read_slice("spot")


class TestCorroboration:
    """The wallet against the lists."""

    @pytest.mark.parametrize(
        ("name", "coins", "rows", "borne_out"),
        [
            ("linear", [coin("USDC", "5", unrealisedPnl="-0.1")], [], False),
            ("linear", [coin("USDC", "5", unrealisedPnl="-0.1")], [position()], False),
            ("linear", [coin("USDT", "5", unrealisedPnl="0.1")], [position()], True),
            ("linear", [coin("USDT", "5", unrealisedPnl="0.1")], [position(symbol="GONEUSDT")], True),
            ("linear", [coin("USDT", "5", totalPositionIM="3")], [], True),  # options take margin, too
            ("linear", [coin("BTC", "5", unrealisedPnl="0.1")], [], True),
            ("linear:USDT", [coin("USDC", "5", unrealisedPnl="0.1")], [], True),
            ("linear:USDT", [coin("USDT", "5", unrealisedPnl="0.1")], [], False),
            ("inverse", [coin("BTC", "5", unrealisedPnl="0.1")], [], False),
            ("inverse", [coin("USDT", "5", unrealisedPnl="0.1")], [], True),
        ],
    )
    async def test_an_unexplained_profit_is_a_position_that_was_not_listed(
        self, name: str, coins: list[dict[str, Any]], rows: list[dict[str, Any]], borne_out: bool
    ) -> None:
        """A proof is refused, and a read is doubtful."""
        async with recorded_venue(exchange="bybit", slices=(name,)) as (venue, fetch):
            empty(fetch, name)
            fetch.answers[WALLET] = wallet(*coins)
            fetch.answers[POSITIONS] = page(name.partition(":")[0], *rows)
            assert (await venue.read_slice(name)).positions_doubtful is not borne_out
            if borne_out:
                await venue.read_proof(name)
            else:
                with pytest.raises(VenueAnswerUnknown):
                    await venue.read_proof(name)

    async def test_a_profit_that_is_no_number_bears_nothing_out(self) -> None:
        """Not zero."""
        async with recorded_venue(exchange="bybit", slices=USDT) as (venue, fetch):
            empty(fetch, "linear")
            fetch.answers[WALLET] = wallet(coin("USDT", "1", unrealisedPnl="?"))
            with pytest.raises(VenueAnswerUnknown):
                await venue.read_proof("linear:USDT")


def raw(text: str) -> Answer:
    """A body as it is."""
    return Answer(body=text)


BROKEN: dict[str, Answer | Callable[[], Any]] = {
    "nothing": raw(""),
    "a web page": raw("<html><body>maintenance</body></html>"),
    "half a document": raw('{"retCode":0,"result":{"category":"linear","list":[{"symbol":"BTC'),
    "null": raw("null"),
    "a number": raw("7"),
    "a list": answer([]),
    "an object": answer({}),
    "another envelope": answer({"code": 0, "data": {"list": []}}),
    "an old envelope": answer({"ret_code": 0, "ret_msg": "OK", "result": {"category": "linear", "list": []}}),
    "a success that ccxt takes for one": fault(30084, "Isolated not modified"),
    "no result": answer({"retCode": 0, "retMsg": "OK"}),
    "an empty result": ok(),
    "no list": ok(category="linear", nextPageCursor=""),
    "null for a list": ok(category="linear", list=None, nextPageCursor=""),
    "an object for a list": ok(category="linear", list={}, nextPageCursor=""),
    "another category": page("inverse"),
    "no category": ok(list=[], nextPageCursor=""),
    "a list of text": page("linear", "BTCUSDT"),
    "a list of lists": page("linear", []),
    "an error": fault(10001, "Request parameter error"),
    "a surprise inside ccxt": lambda: (_ for _ in ()).throw(IndexError("list index out of range")),
}


@pytest.mark.parametrize("path", [POSITIONS, ORDERS])
@pytest.mark.parametrize("name", BROKEN)
async def test_what_is_not_understood_is_unknown_and_never_empty(name: str, path: str) -> None:
    """The read raises; nobody may take it for flat."""
    async with recorded_venue(exchange="bybit", slices=USDT) as (venue, fetch):
        empty(fetch, "linear")
        fetch.answers[path] = BROKEN[name]
        for read in (venue.read_slice, venue.read_proof):
            with pytest.raises(VenueError):
                await read("linear:USDT")


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (fault(10003, "API key is invalid."), VenueDenied),
        (fault(10004, "Error sign"), VenueDenied),
        (fault(10010, "Unmatched IP"), VenueDenied),
        (fault(33004, "Your api key has expired", 401), VenueDenied),
        (Answer(body="", status=401), VenueDenied),
        (fault(10006, "Too many visits!"), VenueLimited),
        (fault(429, "high server load"), VenueLimited),
        (Answer(body="", status=429), VenueLimited),
        (fault(10002, "The request time exceeds the time window range."), VenueUnavailable),
        (fault(10016, "Server error.", 500), VenueUnavailable),
        (Answer(body="<html>bad gateway</html>", status=502), VenueUnavailable),
        (Answer(body="<html>403, access too frequent</html>", status=403), VenueUnavailable),
        (fault(10001, "Request parameter error"), VenueError),
    ],
)
async def test_a_failed_read_says_what_to_do_about_it(given: Answer, kind: type[VenueError]) -> None:
    """By the venue's code first, then by the status."""
    async with recorded_venue(exchange="bybit", slices=USDT) as (venue, fetch):
        fetch.answers = {POSITIONS: given, "/v5/market/time": ok(timeNano="1800000000123456789")}
        with pytest.raises(VenueError) as raised:
            await venue.read_positions("linear:USDT")
        assert type(raised.value) is kind


@pytest.mark.parametrize(("code", "other"), [(10006, True), (0, False)])
async def test_the_limit_of_an_endpoint_holds_back_that_endpoint_alone_and_a_403_the_address(
    code: int, other: bool
) -> None:
    """The first for a second, the second for the five of the address's window."""
    async with recorded_venue(exchange="bybit", slices=USDT) as (venue, fetch):
        empty(fetch, "linear")
        fetch.answers[POSITIONS] = fault(code, "Too many visits!") if code else Answer(body="", status=403)
        with pytest.raises(VenueError):
            await venue.read_positions("linear:USDT")
        with pytest.raises(VenueLimited) as held:
            await venue.read_positions("linear:USDT")
        assert 0 < (held.value.retry_after_s or 0) <= (1.0 if other else 5.0)
        wallet_call = BybitProfile().reads(Slice(name="spot", kind=MarketKind.SPOT)).balances[0]
        if other:
            await venue._client.ask(wallet_call)
        else:
            with pytest.raises(VenueLimited):
                await venue._client.ask(wallet_call)


@pytest.mark.parametrize("time", [None, 0, "", "noon", "1800000000", "-1800000000123456789"])
async def test_a_time_that_is_none_does_not_move_the_clock(time: object) -> None:
    """Everything would be signed by it."""
    async with recorded_venue(exchange="bybit", slices=USDT) as (venue, fetch):
        fetch.default = ok(timeSecond="1800000000", timeNano=time)
        with pytest.raises(VenueAnswerUnknown):
            await venue.keep_warm(1)
        assert venue.clock_offset_ms() is None


SPOT_MARKET: dict[str, Any] = {
    "symbol": "BTCUSDT",
    "baseCoin": "BTC",
    "quoteCoin": "USDT",
    "status": "Trading",
    "marginTrading": "utaOnly",
    "lotSizeFilter": {
        "basePrecision": "0.000001",
        "quotePrecision": "0.0000001",
        "minOrderQty": "0.000011",
        "maxOrderQty": "83",
        "minOrderAmt": "5",
        "maxOrderAmt": "8000000",
        "maxLimitOrderQty": "83",
        "maxMarketOrderQty": "41.5",
    },
    "priceFilter": {"tickSize": "0.1"},
}


def contract(symbol: str, **changes: Any) -> dict[str, Any]:
    """A linear perpetual."""
    return {
        "symbol": symbol,
        "contractType": "LinearPerpetual",
        "status": "Trading",
        "baseCoin": "BTC",
        "quoteCoin": "USDT",
        "settleCoin": "USDT",
        "deliveryTime": "0",
        "priceFilter": {"minPrice": "0.10", "maxPrice": "1999999.80", "tickSize": "0.10"},
        "lotSizeFilter": {
            "maxOrderQty": "1190.000",
            "minOrderQty": "0.001",
            "qtyStep": "0.001",
            "postOnlyMaxOrderQty": "1190.000",
            "maxMktOrderQty": "500.000",
            "minNotionalValue": "5",
        },
        "preListingInfo": None,
        **changes,
    }


FUTURE = {"contractType": "LinearFutures", "deliveryTime": "1798185600000"}
LINEAR = [
    contract("BTCUSDT"),
    contract("BTCPERP", quoteCoin="USDC", settleCoin="USDC"),
    contract("BTC-25DEC26", quoteCoin="USDC", settleCoin="USDC", **FUTURE),
    contract("BTCUSDT-25DEC26", **FUTURE),
    contract("GONEUSDT", baseCoin="GONE", deliveryTime="1798185600000"),  # of its delisting
    contract("1000PEPEUSDT", baseCoin="1000PEPE"),
]
INVERSE_LOT = {"maxOrderQty": "25000000", "minOrderQty": "1", "qtyStep": "1", "maxMktOrderQty": "5000000"}
INVERSE = [
    contract(
        symbol,
        contractType=kind,
        quoteCoin="USD",
        settleCoin="BTC",
        deliveryTime=delivery,
        lotSizeFilter=INVERSE_LOT,
    )
    for symbol, kind, delivery in (
        ("BTCUSD", "InversePerpetual", "0"),
        ("BTCUSDZ26", "InverseFutures", "1798185600000"),
    )
]


async def rules_of(kind: MarketKind, *rows: dict[str, Any]) -> Any:
    """What the profile makes of a list of markets, by symbol."""
    async with recorded_venue(exchange="bybit") as (venue, _):
        exchange = venue._client.ccxt
        found = BybitProfile().market_rules(exchange, kind, json.loads(page(kind.value, *rows).body))
        return {each.symbol: each for each in found}


class TestMarkets:
    """What orders must obey."""

    async def test_a_contract_has_two_maxima(self) -> None:
        """ccxt knows that of limit orders alone."""
        found = (await rules_of(MarketKind.LINEAR, *LINEAR))["BTC/USDT:USDT"]
        assert (found.market_quantity_max, found.limit_quantity_max) == (500, 1190)
        assert (found.quantity_step, found.quantity_min, found.notional_min, found.price_tick) == (
            *(Decimal("0.001"), Decimal("0.001"), 5),
            Decimal("0.1"),
        )
        assert (found.contract_size, found.trading) == (1, True)

    async def test_an_inverse_contract_is_a_dollar(self) -> None:
        """Whatever the least order is."""
        lot = {**INVERSE_LOT, "minOrderQty": "10"}
        found = (await rules_of(MarketKind.INVERSE, {**INVERSE[0], "lotSizeFilter": lot}))["BTC/USD:BTC"]
        assert (found.contract_size, found.quantity_min, found.settle) == (1, 10, "BTC")

    async def test_spot_obeys_the_limits_that_are_still_checked(self) -> None:
        """The least value, and a maximum for each type of order."""
        found = (await rules_of(MarketKind.SPOT, SPOT_MARKET))["BTC/USDT"]
        assert (found.quantity_step, found.quantity_min, found.notional_min, found.notional_max) == (
            *(Decimal("0.000001"), None),
            *(5, None),
        )
        assert (found.market_quantity_max, found.limit_quantity_max) == (Decimal("41.5"), 83)

    @pytest.mark.parametrize(
        ("change", "trading"),
        [
            ({"status": "Trading"}, True),
            ({"status": "Delivering"}, False),
            ({"status": "Closed"}, False),
            ({"status": "PreLaunch"}, False),
            ({"status": "PreLaunch", "preListingInfo": {"curAuctionPhase": "CallAuction"}}, False),
            ({"status": "PreLaunch", "preListingInfo": {"curAuctionPhase": "ContinuousTrading"}}, True),
        ],
    )
    async def test_what_settles_or_is_auctioned_is_not_trading(self, change: dict[str, Any], trading: bool) -> None:
        """Before its launch a contract may trade all the same."""
        (found,) = (await rules_of(MarketKind.LINEAR, contract("BTCUSDT", **change))).values()
        assert found.trading is trading

    async def test_no_markets_in_one_of_the_lists_are_none_there(self) -> None:
        """Often nothing trades before its launch."""
        assert await rules_of(MarketKind.LINEAR) == {}

    @pytest.mark.parametrize("kind", list(BOOKS), ids=str)
    async def test_symbols_are_those_that_ccxt_gives(self, kind: MarketKind) -> None:
        """On the same answer: operators and engines use its names."""
        given = {MarketKind.SPOT: [SPOT_MARKET], MarketKind.LINEAR: LINEAR, MarketKind.INVERSE: INVERSE}[kind]
        ours = {rule.market_id: rule for rule in (await rules_of(kind, *given)).values()}
        exchange = async_support.bybit({"options": {"fetchMarkets": {"types": [kind.value]}}})

        async def fetch(url: str, *_: Any) -> Any:
            return json.loads(page(kind.value, *([] if "status=" in url else given)).body)

        exchange.fetch = fetch
        theirs = {market["id"]: market for market in await exchange.fetch_markets()}
        await exchange.close()
        assert {name: rule.symbol for name, rule in ours.items()} == {
            name: market["symbol"] for name, market in theirs.items()
        }
        assert {name: (rule.base, rule.quote) for name, rule in ours.items()} == {
            name: (market["base"], market["quote"]) for name, market in theirs.items()
        }


class TestStream:
    """Hints of the private stream."""

    def stream(self) -> Any:
        """Of three slices."""
        kinds = (MarketKind.SPOT, MarketKind.LINEAR, MarketKind.INVERSE)
        layout = Layout(slices=tuple(Slice(name=kind.value, kind=kind) for kind in kinds))
        (found,) = BybitProfile().streams(layout, sandbox=False)
        return found

    async def test_a_login_is_signed_and_followed_by_the_subscription(self) -> None:
        """Only its success confirms the stream."""
        stream = self.stream()
        async with recorded_venue(exchange="bybit") as (venue, _):
            exchange = venue._client.ccxt
            (hello,) = stream.hello(exchange, None)
            document = json.loads(hello)
            key, expires, signature = document["args"]
            assert (document["op"], key) == ("auth", exchange.apiKey)
            assert 5_000 < expires - exchange.nonce() <= 10_000
            expected = exchange.hmac(f"GET/realtime{expires}".encode(), exchange.secret.encode(), "sha256")
            assert signature == expected
        heard = stream.hear({"success": True, "ret_msg": "", "op": "auth", "conn_id": "c"})
        assert not heard.confirmed
        assert [json.loads(each) for each in heard.reply] == [
            {"op": "subscribe", "args": ["order", "position", "wallet"]}
        ]
        assert stream.hear({"success": True, "ret_msg": "", "op": "subscribe", "conn_id": "c"}).confirmed
        assert not stream.hear({"success": True, "ret_msg": "", "op": "unsubscribe", "conn_id": "c"}).confirmed

    @pytest.mark.parametrize("done", ["auth", "subscribe"])
    def test_a_refusal_ends_the_stream(self, done: str) -> None:
        """With the venue's reason."""
        heard = self.stream().hear({"success": False, "ret_msg": "error:USVC1111", "op": done})
        assert "USVC1111" in (heard.over or "")
        assert not heard.confirmed

    @pytest.mark.parametrize(
        ("message", "changed"),
        [
            ({"topic": "order", "data": [{"category": "linear", "symbol": "BTCUSDT"}]}, ("linear",)),
            ({"topic": "order", "data": [{"category": "spot"}, {"category": "inverse"}]}, ("spot", "inverse")),
            ({"topic": "position", "data": [{"category": "inverse", "size": "0"}]}, ("inverse",)),
            ({"topic": "position", "data": [{"category": "option"}]}, ()),
            ({"topic": "wallet", "data": [{"accountType": "UNIFIED", "coin": []}]}, ("spot",)),
            ({"req_id": "", "op": "pong", "args": ["1675418560633"], "conn_id": "c"}, ()),
        ],
    )
    def test_an_event_names_the_slices_of_its_categories(
        self, message: dict[str, Any], changed: tuple[str, ...]
    ) -> None:
        """A pong names none."""
        assert self.stream().hear(message).changed == changed

    @pytest.mark.parametrize("message", [[], {}, {"topic": "order"}, {"topic": "order", "data": [{}]}, {"op": 1.5}])
    def test_what_is_not_understood_raises(self, message: object) -> None:
        """And is taken for a change by the reader of streams."""
        with pytest.raises(VenueAnswerUnknown):
            self.stream().hear(message)
