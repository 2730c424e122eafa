"""What is made of KuCoin's answers: positions, orders, wallets, markets, errors; and what garbage never becomes.

Shapes from https://www.kucoin.com/docs-new. Much of futures is a number there, and most of spot is text.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import aiohttp
import ccxt
import pytest

from node.domain.snapshot import MarketKind, OpenOrder, PositionSide, Side
from node.domain.steps import Outcome, Refusal, Step
from node.errors import VenueAnswerUnknown, VenueDenied, VenueError, VenueLimited, VenueUnavailable
from node.venues.call import Reply
from node.venues.profiles.kucoin.judgements import REFUSALS, UNCERTAIN
from tests.support.kucoin import (
    ID,
    cancel,
    close,
    holds_nothing,
    kucoin,
    ok,
    page,
    refusal,
    sell,
    sweep,
    wallet,
    wallets,
)
from tests.support.venue import Answer, answer

ORDERS = "/api/v1/orders"


def position(**changes: Any) -> dict[str, Any]:
    """``GET /api/v1/positions``: a long of 7 contracts, one-way, cross."""
    return {
        "id": "500000000001046430",
        "symbol": "XBTUSDTM",
        "crossMode": True,
        "delevPercentage": 0.35,
        "openingTimestamp": 1729155616322,
        "currentTimestamp": 1729482542135,
        "currentQty": 7,
        "currentCost": 422.1,
        "isOpen": True,
        "markPrice": 61000.5,
        "markValue": 427.0035,
        "posMargin": 42.7,
        "unrealisedPnl": 4.9,
        "settleCurrency": "USDT",
        "isInverse": False,
        "marginMode": "CROSS",
        "positionSide": "BOTH",
        "leverage": 10,
        **changes,
    }


def contract_order(**changes: Any) -> dict[str, Any]:
    """``GET /api/v1/orders``: a purchase of 10 contracts of which 4 are left."""
    return {
        "id": "230181737576050688",
        "symbol": "XBTUSDTM",
        "type": "limit",
        "side": "buy",
        "price": "59000",
        "size": 10,
        "value": "590",
        "dealSize": 6,
        "filledSize": 6,
        "stop": "",
        "stopPriceType": "",
        "stopTriggered": False,
        "stopPrice": None,
        "timeInForce": "GTC",
        "leverage": "10",
        "forceHold": False,
        "closeOrder": False,
        "reduceOnly": False,
        "clientOid": "mine",
        "isActive": True,
        "status": "open",
        "settleCurrency": "USDT",
        "marginMode": "ISOLATED",
        "positionSide": "BOTH",
        **changes,
    }


def stop_order(**changes: Any) -> dict[str, Any]:
    """``GET /api/v1/stopOrders``: a sale of 3 contracts below a price."""
    values = {"id": "77", "side": "sell", "size": 3, "filledSize": 0, "dealSize": 0, "clientOid": ""}
    stop = {"stop": "down", "stopPriceType": "TP", "stopPrice": "58000"}
    return contract_order(**(values | stop | changes))


SPOT_ORDER = {
    "id": "67120bbef094e200070976f6",
    "clientOid": ID,
    "symbol": "BTC-USDT",
    "opType": "DEAL",
    "type": "limit",
    "side": "buy",
    "price": "50000",
    "size": "1",
    "funds": "50000",
    "dealSize": "0.4",
    "dealFunds": "20000",
    "remainSize": "0.6",
    "remainFunds": "30000",
    "cancelledSize": "0",
    "active": True,
    "inOrderBook": True,
    "timeInForce": "GTC",
    "tradeType": "TRADE",
}
SPOT_STOP = {
    "id": "vs93gptvr9t2fsql003l8k5p",
    "symbol": "BTC-USDT",
    "userId": "633559791e1cbc0001f319bc",
    "status": "NEW",
    "type": "limit",
    "side": "sell",
    "price": "50000.00000000000000000000",
    "size": "2.00",
    "funds": None,
    "timeInForce": "GTC",
    "clientOid": "5c52e11203aa677f33e493fb",
    "tradeType": "TRADE",
    "stop": "loss",
    "stopPrice": "51000.00000000000000000000",
}
PAIR_OF_ORDERS = {
    "orderId": "674c316e688dea0007c7b986",
    "symbol": "BTC-USDT",
    "clientOid": "5c52e11203aa677f33e493fb",
    "orderTime": 1733046638000,
    "status": "NEW",
}


def without(document: dict[str, Any], name: str) -> dict[str, Any]:
    """A field less."""
    return {key: value for key, value in document.items() if key != name}


async def read(name: str = "linear:USDT", /, **answers: Any) -> Any:
    """A proof of an account that holds nothing but what is answered."""
    async with kucoin(slices=(name,)) as (venue, fetch):
        holds_nothing(fetch, **answers)
        return await venue.read_proof(name)


# Positions


@pytest.mark.parametrize(
    ("changes", "side", "contracts", "hedged", "isolated", "exposure"),
    [
        ({}, PositionSide.LONG, "7", False, False, "0.007"),
        ({"currentQty": -7}, PositionSide.SHORT, "7", False, False, "-0.007"),
        ({"currentQty": "7"}, PositionSide.LONG, "7", False, False, "0.007"),
        ({"positionSide": "LONG"}, PositionSide.LONG, "7", True, False, "0.007"),
        ({"positionSide": "SHORT", "currentQty": -7}, PositionSide.SHORT, "7", True, False, "-0.007"),
        ({"positionSide": "SHORT", "currentQty": 7}, PositionSide.SHORT, "7", True, False, "-0.007"),
        ({"marginMode": "ISOLATED", "crossMode": False}, PositionSide.LONG, "7", False, True, "0.007"),
    ],
)
async def test_a_position_is_the_venues_own_number_with_its_mode(
    changes: dict[str, Any], side: PositionSide, contracts: str, hedged: bool, isolated: bool, exposure: str
) -> None:
    """One-way and hedge mode, cross and isolated margin."""
    snapshot = await read(positions=ok([position(**changes)]))
    held = snapshot.positions[0]
    assert (held.symbol, held.market_id, held.slice) == ("BTC/USDT:USDT", "XBTUSDTM", "linear:USDT")
    assert (held.side, held.contracts, held.hedged, held.isolated) == (side, Decimal(contracts), hedged, isolated)
    assert (held.mark_price, held.base_exposure) == (Decimal("61000.5"), Decimal(exposure))


INVERSE = position(
    symbol="XBTUSDM", currentQty=-122_000, markPrice=61000, settleCurrency="XBT", isInverse=True, marginMode="ISOLATED"
)


async def test_a_coin_margined_position_is_worth_dollars() -> None:
    """A contract is one dollar."""
    snapshot = await read("inverse", positions=ok([INVERSE]))
    assert [(each.symbol, each.base_exposure) for each in snapshot.positions] == [("BTC/USD:BTC", Decimal(-2))]


async def test_one_list_of_positions_serves_all_slices_and_each_takes_its_own() -> None:
    """By the contract's kind and settle coin."""
    usdc = position(symbol="XBTUSDCM", settleCurrency="USDC")
    listed = ok([position(), INVERSE, usdc, position(symbol="ETHUSDTM", currentQty=0)])
    for name, expected in {
        "linear": ["XBTUSDTM", "XBTUSDCM"],
        "linear:USDT": ["XBTUSDTM"],
        "linear:USDC": ["XBTUSDCM"],
        "inverse": ["XBTUSDM"],
    }.items():
        assert [each.market_id for each in (await read(name, positions=listed)).positions] == expected


async def test_both_legs_of_a_hedge_are_two_positions() -> None:
    """Of one market."""
    legs = [position(positionSide="LONG"), position(positionSide="SHORT", currentQty=-2)]
    snapshot = await read(positions=ok(legs))
    assert [(each.side, each.contracts) for each in snapshot.positions] == [
        (PositionSide.LONG, 7),
        (PositionSide.SHORT, 2),
    ]


async def test_an_unlisted_market_is_kept_under_the_venues_name() -> None:
    """A delisted contract is still held, and its kind is told by the row."""
    snapshot = await read(positions=ok([position(symbol="GONEUSDTM")]), orders=page(contract_order(symbol="GONEUSDTM")))
    assert (snapshot.positions[0].symbol, snapshot.positions[0].base_exposure) == ("GONEUSDTM", None)
    assert snapshot.orders[0].symbol == "GONEUSDTM"
    gone = {"symbol": "GONEUSDM", "settleCurrency": "SOL"}
    snapshot = await read(
        "inverse", positions=ok([{**INVERSE, **gone}]), orders=page(contract_order(**gone), contract_order(symbol="X"))
    )
    assert [each.symbol for each in (*snapshot.positions, *snapshot.orders)] == ["GONEUSDM", "GONEUSDM"]


@pytest.mark.parametrize(
    "entry",
    [
        without(position(), "positionSide"),  # a missing mode is not one-way
        without(position(), "marginMode"),
        without(position(), "currentQty"),
        without(position(), "symbol"),
        without(position(), "isInverse"),
        without(position(), "settleCurrency"),
        without(position(currentQty=0), "positionSide"),
        position(positionSide="NET"),
        position(positionSide=None),
        position(marginMode="PORTFOLIO"),
        position(positionSide="LONG", currentQty=-7),
        position(currentQty="seven"),
        position(currentQty=None),
        position(currentQty=True),
        position(currentQty="NaN"),
        position(isInverse="no"),
        "XBTUSDTM",
    ],
)
async def test_a_position_that_is_not_understood_is_not_nothing(entry: Any) -> None:
    """The whole slice is unknown then."""
    with pytest.raises(VenueAnswerUnknown):
        await read(positions=ok([entry]))


GARBAGE: list[Answer] = [
    Answer(body=""),
    Answer(body="null"),
    Answer(body="<html>ok</html>"),
    Answer(body="{}"),
    Answer(body="[]"),
    Answer(body="7"),
    Answer(body='{"code": "200000"'),
    Answer(body='{"data": []}'),
    Answer(body='{"data": {"symbols": [], "items": []}}'),
    Answer(body='{"code": "0", "data": []}'),
    Answer(body='{"code": "200000"}'),
    ok(None),
    ok({}),
    ok(""),
    ok("x"),
    ok(7),
    ok(False),
    ok([[]]),
    ok(["x"]),
    ok([None]),
    ok([{}]),
    ok({"items": [], "symbols": "BTC-USDT"}),
    ok({"items": None, "symbols": [7]}),
    ok({"items": [{}], "totalPage": 1, "symbols": [""]}),
    ok([], 502),
    Answer(body="", status=204),
    ok([], 302),
    refusal("500000", "Internal Server Error", 500),
    refusal("400100", "?"),
]


@pytest.mark.parametrize("given", GARBAGE, ids=lambda each: f"{each.status} {each.body[:60]}")
async def test_garbage_never_becomes_an_empty_slice(given: Answer) -> None:
    """Whatever comes in place of any of the answers."""
    for name in ("stopOrders", "orders", "positions", "account__overview"):
        with pytest.raises(VenueError):
            await read(**{name: given})
    for name in ("stop__order", "oco", "symbols", "accounts"):
        with pytest.raises(VenueError):
            await read("spot", **{name: given})
    with pytest.raises(VenueError):
        await read("spot", symbols=ok({"symbols": ["BTC-USDT"]}), active=given)


async def test_a_page_without_a_count_of_pages_is_not_the_last() -> None:
    """Never taken as complete."""
    for name in ("stopOrders", "orders"):
        with pytest.raises(VenueAnswerUnknown):
            await read(**{name: ok({"currentPage": 1, "pageSize": 1000, "items": []})})


async def test_no_market_with_orders_may_be_said_by_nothing() -> None:
    """An empty list of names, or null in its place; but not by leaving it out."""
    for given in (ok({"symbols": []}), ok({"symbols": None})):
        assert (await read("spot", symbols=given)).orders == ()
    with pytest.raises(VenueAnswerUnknown):
        await read("spot", symbols=ok({"names": []}))


# Orders


async def test_contract_orders_say_what_is_left_and_whether_they_can_open() -> None:
    """And which leg they are of."""
    listed = page(
        contract_order(),
        contract_order(id="2", side="sell", reduceOnly=True, positionSide="LONG", clientOid=""),
        contract_order(id="3", side=None, size=None, closeOrder=True, filledSize=None),
        contract_order(id="4", size=7, filledSize=0, closeOrder=True, positionSide="SHORT"),
        without(contract_order(id="5"), "positionSide"),
        contract_order(id="6", side="", size=0, closeOrder=True),
    )
    snapshot = await read(orders=listed)
    assert [
        (each.order_id, each.side, each.remaining, each.reduce_only, each.client_order_id, each.position_side)
        for each in snapshot.orders
    ] == [
        ("230181737576050688", Side.BUY, 4, False, "mine", None),
        ("2", Side.SELL, 4, True, None, PositionSide.LONG),
        ("3", Side.SELL, None, True, "mine", None),
        ("4", Side.BUY, 7, True, "mine", PositionSide.SHORT),
        ("5", Side.BUY, 4, False, "mine", None),
        ("6", Side.SELL, None, True, "mine", None),
    ]
    assert not any(each.trigger for each in snapshot.orders)


async def test_stop_orders_of_contracts_are_triggers() -> None:
    """Those that close the whole position have no size."""
    snapshot = await read(stopOrders=page(stop_order(), stop_order(id="78", closeOrder=True, size=0, side="buy")))
    assert [(each.order_id, each.side, each.remaining, each.reduce_only, each.trigger) for each in snapshot.orders] == [
        ("77", Side.SELL, 3, False, True),
        ("78", Side.BUY, None, True, True),
    ]


async def test_one_list_of_orders_serves_all_slices_and_each_takes_its_own() -> None:
    """By market, or where it is not known by settle coin."""
    listed = [
        contract_order(id="1"),
        contract_order(id="2", symbol="XBTUSDCM", settleCurrency="USDC"),
        contract_order(id="3", symbol="XBTUSDM", settleCurrency="XBT"),
        contract_order(id="4", symbol="NEWUSDTM"),
        contract_order(id="5", symbol="NEWUSDM", settleCurrency="SOL"),
    ]
    for name, expected in {
        "linear": ["1", "2", "4"],
        "linear:USDT": ["1", "4"],
        "linear:USDC": ["2"],
        "inverse": ["3", "5"],
    }.items():
        snapshot = await read(name, orders=page(*listed))
        assert [each.order_id for each in snapshot.orders] == expected, name


async def test_spot_orders_and_their_triggers() -> None:
    """Resting orders, stop orders, and pairs of orders that say nothing of a side."""
    async with kucoin(slices=("spot",)) as (venue, fetch):
        holds_nothing(
            fetch,
            symbols=ok({"symbols": ["BTC-USDT"]}),
            active=ok([SPOT_ORDER, {**without(SPOT_ORDER, "remainSize"), "id": "2", "symbol": "ETH-BTC"}]),
            stop__order=page(SPOT_STOP, {**SPOT_STOP, "id": "3", "size": None, "funds": "100", "side": "buy"}),
            oco=page(PAIR_OF_ORDERS, {**PAIR_OF_ORDERS, "orderId": "4", "status": "DONE"}),
        )
        snapshot = await venue.read_proof("spot")
        assert snapshot.orders is not None
        stop, by_funds, pair, order, other = snapshot.orders
        assert order == OpenOrder(
            slice="spot",
            symbol="BTC/USDT",
            market_id="BTC-USDT",
            order_id="67120bbef094e200070976f6",
            client_order_id=ID,
            side=Side.BUY,
            remaining=Decimal("0.6"),
        )
        assert (other.symbol, other.remaining) == ("ETH-BTC", Decimal("0.6"))
        assert (stop.order_id, stop.side, stop.remaining) == ("vs93gptvr9t2fsql003l8k5p", Side.SELL, Decimal(2))
        assert (by_funds.side, by_funds.remaining) == (Side.BUY, None)
        assert (pair.order_id, pair.symbol, pair.remaining) == ("oco:674c316e688dea0007c7b986", "BTC/USDT", None)
        assert [each.trigger for each in snapshot.orders] == [True, True, True, False, False]


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("orders", without(contract_order(), "id")),
        ("orders", without(contract_order(), "size")),
        ("orders", without(contract_order(), "side")),
        ("orders", without(contract_order(), "reduceOnly")),
        ("orders", without(contract_order(), "closeOrder")),
        ("orders", without(contract_order(), "settleCurrency")),
        ("orders", contract_order(side="both")),
        ("orders", contract_order(size=0.5, filledSize="x")),
        ("orders", contract_order(reduceOnly=1)),
        ("orders", contract_order(positionSide="NET")),
        ("stopOrders", without(stop_order(), "symbol")),
        ("stopOrders", stop_order(size=None)),
        ("active", without(SPOT_ORDER, "id")),
        ("active", without(SPOT_ORDER, "side")),
        ("active", without(without(SPOT_ORDER, "remainSize"), "dealSize")),
        ("stop__order", without(SPOT_STOP, "side")),
        ("stop__order", {**SPOT_STOP, "size": "two"}),
        ("stop__order", without(SPOT_STOP, "id")),
        ("oco", without(PAIR_OF_ORDERS, "status")),
        ("oco", without(PAIR_OF_ORDERS, "orderId")),
        ("oco", without(PAIR_OF_ORDERS, "symbol")),
    ],
)
async def test_an_order_that_is_not_understood_is_not_nothing(name: str, entry: Any) -> None:
    """The whole slice is unknown then."""
    answers = {name: page(entry)}
    if name == "active":
        answers = {"symbols": ok({"symbols": ["BTC-USDT"]}), name: ok([entry])}
    with pytest.raises(VenueAnswerUnknown):
        await read("linear" if name in {"orders", "stopOrders"} else "spot", **answers)


# Pages


async def paged(slice_name: str, name: str, *pages: Answer) -> tuple[Any, list[dict[str, Any]]]:
    """A proof in which one list has several pages, and how they were asked for."""
    async with kucoin(slices=(slice_name,)) as (venue, fetch):
        holds_nothing(fetch)
        path = next(path for path in fetch.answers if path.endswith(name))
        given, whole = iter(pages), fetch.__class__.__call__

        async def in_turn(url: str, *rest: Any) -> Any:
            if path in url:
                fetch.answers[path] = next(given)
            return await whole(fetch, url, *rest)

        venue._client.send = in_turn
        snapshot = await venue.read_proof(slice_name)
        return snapshot, [each.params for each in fetch.sent if each.path == path]


@pytest.mark.parametrize(
    ("slice_name", "name", "make"),
    [
        ("linear", "v1/orders", contract_order),
        ("linear", "stopOrders", stop_order),
        ("spot", "stop-order", lambda id: {**SPOT_STOP, "id": id}),  # noqa: A006
        ("spot", "oco/orders", lambda id: {**PAIR_OF_ORDERS, "orderId": id}),  # noqa: A006
    ],
)
async def test_pages_are_followed_to_the_last(slice_name: str, name: str, make: Any) -> None:
    """By the venue's own count; what shifts from one page to the other is there once."""
    first = page(*[make(id=str(number)) for number in range(3)], of=2)
    second = page(make(id="2"), make(id="3"), number=2, of=2)
    snapshot, asked = await paged(slice_name, name, first, second)
    assert [each["currentPage"] for each in asked] == ["1", "2"]
    assert len(snapshot.orders) == 4


async def test_a_full_page_is_followed_by_the_next_whatever_the_count_says() -> None:
    """A count may be older than the page."""
    first = page(*[contract_order(id=str(number)) for number in range(1000)])
    snapshot, asked = await paged("linear", "v1/orders", first, page(contract_order(id="1000"), number=2))
    assert [each["currentPage"] for each in asked] == ["1", "2"]
    assert len(snapshot.orders) == 1001


async def test_orders_of_every_market_that_has_some_are_read() -> None:
    """One after the other."""
    listed = iter([{**SPOT_ORDER, "id": str(number)}] for number in range(3))
    async with kucoin(slices=("spot",)) as (venue, fetch):
        holds_nothing(fetch, symbols=ok({"symbols": ["BTC-USDT", "ETH-USDT", "BTC-USDT", "ETH-BTC"]}))
        fetch.answers["/api/v1/hf/orders/active"] = lambda: {"code": "200000", "data": next(listed)}
        snapshot = await venue.read_proof("spot")
        assert snapshot.orders is not None
        assert [each.order_id for each in snapshot.orders] == ["0", "1", "2"]


# Wallets


async def test_spot_and_each_settle_coin_have_a_wallet_of_their_own() -> None:
    """Each reports its own."""
    coins = [
        {"id": "1", "currency": "BTC", "type": "trade", "balance": "0.75", "available": "0.5", "holds": "0.25"},
        {"id": "2", "currency": "ETH", "type": "trade", "balance": "0", "available": "0", "holds": "0"},
    ]
    snapshot = await read("spot", accounts=ok(coins))
    assert [(each.asset, each.free, each.locked, each.debt) for each in snapshot.balances] == [
        ("BTC", Decimal("0.5"), Decimal("0.25"), 0)
    ]
    futures: list[tuple[dict[str, Any], tuple[Any, ...]]] = [
        ({"marginBalance": 100.5, "availableBalance": 80}, (80, Decimal("20.5"), 0)),
        ({"marginBalance": 10, "availableBalance": 12}, (10, 0, 0)),
        ({"marginBalance": 10, "availableBalance": -2}, (0, 10, 0)),
        ({"marginBalance": -3, "availableBalance": 0}, (0, 0, 3)),
    ]
    for shown, expected in futures:
        snapshot = await read(account__overview=ok(wallet(**shown)))
        assert [(each.asset, each.free, each.locked, each.debt) for each in snapshot.balances] == [("USDT", *expected)]


async def test_a_wallet_of_high_frequency_is_no_empty_wallet() -> None:
    """The list calls it "trade_hf"; what an account has in both is one coin; funding and margin are not traded from."""
    kinds = ("trade_hf", "trade", "main", "margin", "isolated", "something_new")
    coins = [
        {"id": str(at), "currency": "BTC", "type": kind, "balance": "1.5", "available": "1", "holds": "0.5"}
        for at, kind in enumerate(kinds)
    ]
    for listed, share in ((coins[:1], 1), (coins[:2], 2), (coins[2:5], 0), (coins[5:], 1)):
        snapshot = await read("spot", accounts=ok(listed))
        expected = [("BTC", Decimal(1) * share, Decimal("0.5") * share)] if share else []
        assert [(each.asset, each.free, each.locked) for each in snapshot.balances] == expected


async def test_a_wallet_without_a_kind_is_not_understood() -> None:
    """It might be the one that is traded from."""
    with pytest.raises(VenueAnswerUnknown, match="type"):
        await read("spot", accounts=ok([{"id": "1", "currency": "BTC", "available": "1", "holds": "0"}]))


async def test_a_coin_is_called_as_elsewhere() -> None:
    """XBT is BTC."""
    async with kucoin(slices=("inverse",)) as (venue, fetch):
        holds_nothing(fetch)
        some = {"marginBalance": 2, "availableBalance": 2}
        fetch.answers["/api/v1/account-overview"] = wallets(fetch, XBT=some, ETH=some)
        snapshot = await venue.read_proof("inverse")
        assert snapshot.balances is not None
        assert [(each.asset, each.free) for each in snapshot.balances] == [("BTC", Decimal(2)), ("ETH", Decimal(2))]


@pytest.mark.parametrize(
    "account", [without(wallet(), "marginBalance"), without(wallet(), "positionMargin"), wallet(availableBalance="?")]
)
async def test_a_wallet_that_is_not_understood_is_not_empty(account: Any) -> None:
    """Nor does it bear out a list."""
    with pytest.raises(VenueAnswerUnknown):
        await read(account__overview=ok(account))


@pytest.mark.parametrize("entry", [{"currency": "BTC", "available": "1"}, {"available": "1", "holds": "0"}, "BTC"])
async def test_a_coin_that_is_not_understood_is_not_nothing(entry: Any) -> None:
    """What is held may be in it."""
    with pytest.raises(VenueAnswerUnknown):
        await read("spot", accounts=ok([entry]))


@pytest.mark.parametrize("shown", [{"positionMargin": 38.7}, {"orderMargin": 3}, {"positionMargin": "?"}])
async def test_margin_in_use_without_a_listed_position_or_order_is_no_empty_slice(shown: dict[str, Any]) -> None:
    """A list may be incomplete; the wallet is not."""
    with pytest.raises(VenueAnswerUnknown):
        await read(account__overview=ok(wallet(**shown)))


async def test_margin_in_use_is_explained_by_what_is_listed_in_the_same_coin() -> None:
    """A stop order takes no margin until it is triggered."""
    shown = ok(wallet(positionMargin=38.7, orderMargin=3))
    listed = {"positions": ok([position()]), "orders": page(contract_order())}
    assert len((await read(account__overview=shown, **listed)).positions) == 1
    with pytest.raises(VenueAnswerUnknown, match="orderMargin"):
        await read(account__overview=shown, positions=listed["positions"], stopOrders=page(stop_order()))
    for margins in ({"positionMargin": 1}, {"orderMargin": 1}):
        async with kucoin() as (venue, fetch):
            holds_nothing(fetch, **listed)
            fetch.answers["/api/v1/account-overview"] = wallets(
                fetch, USDT={"positionMargin": 38.7, "orderMargin": 3}, USDC=margins
            )
            with pytest.raises(VenueAnswerUnknown, match="USDC"):
                await venue.read_proof("linear")


async def test_margin_in_bitcoin_is_explained_by_a_position_in_it() -> None:
    """Under its other name."""
    async with kucoin(slices=("inverse",)) as (venue, fetch):
        holds_nothing(fetch, positions=ok([INVERSE]))
        fetch.answers["/api/v1/account-overview"] = wallets(fetch, XBT={"positionMargin": 1})
        assert len((await venue.read_proof("inverse")).positions or ()) == 1
        fetch.answers["/api/v1/account-overview"] = wallets(fetch, ETH={"positionMargin": 1})
        with pytest.raises(VenueAnswerUnknown, match="ETH"):
            await venue.read_proof("inverse")


async def test_margin_may_be_in_use_by_a_market_that_is_not_known() -> None:
    """Whose settle coin cannot be told."""
    gone = position(symbol="GONEUSDTM")
    assert len((await read(positions=ok([gone]), account__overview=ok(wallet(positionMargin=1)))).positions) == 1


async def test_margin_of_orders_is_no_doubt_about_positions() -> None:
    """The cheap read does not list orders."""
    async with kucoin(slices=("linear:USDT",)) as (venue, fetch):
        holds_nothing(fetch, account__overview=ok(wallet(orderMargin=3)))
        assert not (await venue.read_positions("linear:USDT", certain=True)).positions_doubtful
        holds_nothing(fetch, account__overview=ok(wallet(positionMargin=3)))
        assert (await venue.read_positions("linear:USDT", certain=True)).positions_doubtful


# Markets


PAIR = {
    "symbol": "AVA-USDT",
    "name": "AVA-USDT",
    "baseCurrency": "AVA",
    "quoteCurrency": "USDT",
    "market": "USDS",
    "baseMinSize": "0.1",
    "quoteMinSize": "0.1",
    "baseMaxSize": "10000000000",
    "quoteMaxSize": "99999999",
    "baseIncrement": "0.01",
    "quoteIncrement": "0.0001",
    "priceIncrement": "0.0001",
    "minFunds": "0.1",
    "enableTrading": True,
}
CONTRACT = {
    "symbol": "XBTUSDTM",
    "rootSymbol": "USDT",
    "type": "FFWCSX",
    "expireDate": None,
    "baseCurrency": "XBT",
    "quoteCurrency": "USDT",
    "settleCurrency": "USDT",
    "maxOrderQty": 1_000_000,
    "marketMaxOrderQty": 300_000,
    "maxPrice": 1_000_000.0,
    "lotSize": 1,
    "tickSize": 0.1,
    "multiplier": 0.001,
    "isQuanto": False,
    "isInverse": False,
    "status": "Open",
}
COIN_MARGINED = {
    **CONTRACT,
    "symbol": "XBTUSDM",
    "quoteCurrency": "USD",
    "settleCurrency": "XBT",
    "multiplier": -1.0,
    "isInverse": True,
}


async def listed(kind: MarketKind, *entries: Any) -> Any:
    """The rules of what is listed."""
    async with kucoin() as (venue, fetch):
        fetch.answers = {"/api/v2/symbols": ok(list(entries)), "/api/v1/contracts/active": ok(list(entries))}
        return await venue._reader.markets(kind)


async def test_the_rules_of_a_pair() -> None:
    """A market that is not traded is none to sell in."""
    rule, other = await listed(MarketKind.SPOT, PAIR, {**PAIR, "symbol": "X-USDT", "enableTrading": False})
    assert (rule.symbol, rule.market_id, rule.trading, rule.sweeps) == ("AVA/USDT", "AVA-USDT", True, True)
    assert (rule.quantity_step, rule.quantity_min, rule.price_tick) == (
        Decimal("0.01"),
        Decimal("0.1"),
        Decimal("0.0001"),
    )
    assert (rule.notional_min, rule.limit_quantity_max, rule.market_quantity_max) == (Decimal("0.1"), 10**10, 10**10)
    assert not other.trading
    free = (await listed(MarketKind.SPOT, {**PAIR, "minFunds": None}))[0]
    assert free.notional_min is None


async def test_the_rules_of_a_contract() -> None:
    """Contracts of both kinds are in one list; at market the venue takes less than with a price."""
    (rule,) = await listed(MarketKind.LINEAR, CONTRACT, COIN_MARGINED)
    assert (rule.symbol, rule.settle, rule.contract_size) == ("BTC/USDT:USDT", "USDT", Decimal("0.001"))
    assert (rule.quantity_step, rule.quantity_min, rule.price_tick) == (1, 1, Decimal("0.1"))
    assert (rule.market_quantity_max, rule.limit_quantity_max, rule.trading) == (300_000, 1_000_000, True)
    (inverse,) = await listed(MarketKind.INVERSE, CONTRACT, COIN_MARGINED)
    assert (inverse.symbol, inverse.settle, inverse.contract_size) == ("BTC/USD:BTC", "BTC", 1)
    (plain,) = await listed(MarketKind.LINEAR, without(CONTRACT, "marketMaxOrderQty"))
    assert plain.market_quantity_max == 1_000_000
    dated = {**COIN_MARGINED, "symbol": "XBTMZ26", "expireDate": 1_798_185_600_000}
    (future,) = await listed(MarketKind.INVERSE, dated)
    assert future.symbol == "BTC/USD:BTC-261225"


@pytest.mark.parametrize("status", ["Init", "BeingSettled", "Settled", "Paused", "Closed", "CancelOnly"])
async def test_a_contract_that_is_not_open_is_not_trading(status: str) -> None:
    """It takes no orders."""
    assert not (await listed(MarketKind.LINEAR, {**CONTRACT, "status": status}))[0].trading


@pytest.mark.parametrize(
    ("kind", "entry"),
    [
        (MarketKind.SPOT, {**PAIR, "baseIncrement": "x"}),
        (MarketKind.SPOT, {**PAIR, "enableTrading": "yes"}),
        (MarketKind.SPOT, {**PAIR, "symbol": ""}),
        (MarketKind.SPOT, without(PAIR, "quoteCurrency")),
        (MarketKind.LINEAR, without(CONTRACT, "isInverse")),
        (MarketKind.LINEAR, without(CONTRACT, "multiplier")),
        (MarketKind.LINEAR, without(CONTRACT, "status")),
        (MarketKind.LINEAR, {**CONTRACT, "settleCurrency": None}),
    ],
)
async def test_a_market_that_is_not_understood_is_no_market(kind: MarketKind, entry: Any) -> None:
    """Rules that are half known cut orders wrongly."""
    with pytest.raises(VenueAnswerUnknown):
        await listed(kind, entry)


# What became of a step


def sold(**changes: Any) -> dict[str, Any]:
    """The answer to a sale of 0.5, after matching."""
    return {
        "orderId": "67110f7cb81ab70007a0a76c",
        "clientOid": ID,
        "orderTime": 1729171324360,
        "originSize": "0.5",
        "dealSize": "0.5",
        "remainSize": "0",
        "canceledSize": "0",
        "status": "done",
        "matchTime": 1729171324397,
        **changes,
    }


PLACED = {"orderId": "234125150956625920", "clientOid": ID}
NAMED = {"cancelledOrderIds": ["235303670076489728"]}
NONE: dict[str, list[str]] = {"cancelledOrderIds": []}
FIRST = {"orderId": "11", "clientOid": None, "code": "200", "msg": "success"}
SECOND = {"orderId": "12", "clientOid": None, "code": "200", "msg": "success"}
GONE = {**SECOND, "code": "100004", "msg": "The order cannot be canceled."}
DONE: list[tuple[Step, Any, Decimal | None]] = [
    (close(), PLACED, None),
    (sell(), sold(), Decimal("0.5")),
    (sell(), sold(dealSize="0.3", canceledSize="0.2"), Decimal("0.3")),
    (sell(), sold(dealSize="0", remainSize="0.5", status="open"), None),
    (sell(), {"orderId": "67110f7cb81ab70007a0a76c"}, None),
    (cancel("11"), NAMED, None),
    (cancel("11", slice_name="spot"), sold(dealSize="0", canceledSize="0.5"), None),
    (cancel("11", "12"), [FIRST, SECOND], None),
    (cancel("11", "12"), [FIRST, GONE], None),
    (cancel("77", trigger=True), NAMED, None),
    (cancel("77", slice_name="spot", trigger=True), NAMED, None),
    (cancel("oco:77", slice_name="spot", trigger=True), NAMED, None),
    (sweep(), NONE, None),
    (sweep(), NAMED, None),
    (sweep(trigger=True), NAMED, None),
    (sweep("spot"), "success", None),
    (sweep("spot", trigger=True), NONE, None),
]


@pytest.mark.parametrize(("step", "given", "filled"), DONE)
async def test_done_needs_the_venues_own_word(step: Step, given: Any, filled: Decimal | None) -> None:
    """An id, or its list of what was cancelled; and what was executed, once the order is over."""
    async with kucoin() as (venue, fetch):
        fetch.default = ok(given)
        result = await venue.execute(step)
        assert (result.outcome, result.refusal, result.filled) == (Outcome.DONE, None, filled)


async def test_a_sweep_of_triggers_needs_the_word_of_both_books() -> None:
    """One that is not understood makes the whole ambiguous."""
    async with kucoin() as (venue, fetch):
        fetch.default = ok(NONE)
        fetch.answers = {"/api/v3/oco/orders": ok({})}
        assert (await venue.execute(sweep("spot", trigger=True))).outcome is Outcome.AMBIGUOUS


@pytest.mark.parametrize(
    ("step", "given", "kind"),
    [
        (sell(), sold(dealSize="0", canceledSize="0.5"), Refusal.UNFILLED),
        (cancel("11", "12"), [{**FIRST, "code": "100004"}, GONE], Refusal.UNKNOWN_ORDER),
        (cancel("11", "12"), [GONE, {**FIRST, "code": "300002", "msg": "suspended"}], Refusal.MARKET_CLOSED),
        (cancel("11", "12"), [FIRST, {**SECOND, "code": "429000", "msg": "too many"}], Refusal.RATE_LIMITED),
    ],
)
async def test_a_success_that_carries_a_refusal_is_one(step: Step, given: Any, kind: Refusal) -> None:
    """Whatever the envelope says."""
    async with kucoin() as (venue, fetch):
        fetch.default = ok(given)
        result = await venue.execute(step)
        assert (result.outcome, result.refusal) == (Outcome.REFUSED, kind)


CODES: list[tuple[str, str, Refusal]] = [
    ("300009", "No open positions to close.", Refusal.NOTHING_TO_REDUCE),
    ("300006", "The order price is worse than the bankruptcy price", Refusal.PRICE_BAND),
    ("300007", "", Refusal.PRICE_BAND),
    ("300011", "The order price cannot be higher than 64000", Refusal.PRICE_BAND),
    ("300012", "", Refusal.PRICE_BAND),
    ("400330", "", Refusal.PRICE_BAND),
    ("400370", "", Refusal.PRICE_BAND),
    ("400760", "", Refusal.PRICE_BAND),
    ("300008", "", Refusal.UNFILLED),
    ("300013", "", Refusal.UNFILLED),
    ("600100", "", Refusal.TOO_SMALL),
    ("600101", "The order funds should more then 0.1 USDT.", Refusal.TOO_SMALL),
    ("400100", "Order size below the minimum requirement.", Refusal.TOO_SMALL),
    ("300002", "", Refusal.MARKET_CLOSED),
    ("300015", "", Refusal.MARKET_CLOSED),
    ("400600", "", Refusal.MARKET_CLOSED),
    ("300003", "Balance insufficient", Refusal.INSUFFICIENT),
    ("200004", "Balance insufficient!", Refusal.INSUFFICIENT),
    ("200005", "", Refusal.INSUFFICIENT),
    ("330008", "", Refusal.INSUFFICIENT),
    ("400100", "account.available.amount", Refusal.INSUFFICIENT),
    *[
        (code, "", Refusal.DENIED)
        for code in (
            "400001",
            "400003",
            "400004",
            "400005",
            "400006",
            "400007",
            "400008",
            "400009",
            "400010",
            "400301",
            "400302",
            "400303",
            "400304",
            "400401",
            "400500",
            "40010",
            "411100",
            "401",
        )
    ],
    ("429000", "Too Many Requests", Refusal.RATE_LIMITED),
    ("429", "", Refusal.RATE_LIMITED),
    ("200002", "", Refusal.RATE_LIMITED),
    ("1015", "", Refusal.RATE_LIMITED),
    ("400002", "Invalid KC-API-TIMESTAMP", Refusal.OTHER),
    *[
        (code, "", Refusal.OTHER)
        for code in (
            "100001",
            "100003",
            "100005",
            "200003",
            "300000",
            "300001",
            "300004",
            "300005",
            "300014",
            "300016",
            "300017",
            "330005",
            "330011",
            "330012",
            "400000",
            "400100",
            "400200",
            "404000",
            "415000",
        )
    ],
]


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize(("code", "message", "kind"), CODES)
async def test_the_venues_certain_words_are_refusals(code: str, message: str, kind: Refusal, status: int) -> None:
    """What the next plan depends on; most come with status 200."""
    async with kucoin() as (venue, fetch):
        fetch.default = ok(1_800_000_000_000)
        fetch.answers[f"POST {ORDERS}"] = refusal(code, message, status)
        result = await venue.execute(close())
        assert (result.outcome, result.refusal) == (Outcome.REFUSED, kind)
        assert code in (result.message or "")


def test_every_code_of_the_table_is_tested() -> None:
    """Or a slip of a digit would be noticed by nobody."""
    assert {code for code, *_ in CODES} | {"100004", "order_not_exist"} == set(REFUSALS)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("100004", "The order cannot be canceled."),
        ("order_not_exist", "order_not_exist"),
        ("400100", "order_not_exist_or_not_allow_to_cancel"),
        ("400100", "Order does not exist."),
        ("400100", "order not exist"),
        ("100001", "error.getOrder.orderNotExist"),
    ],
)
async def test_cancelling_what_is_gone_says_so(code: str, message: str) -> None:
    """It may have been filled: the next read tells. A sweep that finds nothing has done its work."""
    async with kucoin() as (venue, fetch):
        fetch.default = refusal(code, message)
        result = await venue.execute(cancel("11"))
        assert (result.outcome, result.refusal) == (Outcome.REFUSED, Refusal.UNKNOWN_ORDER)
        assert (await venue.execute(sweep())).outcome is Outcome.DONE


def caused(kind: type[Exception], cause: BaseException) -> Exception:
    """ccxt's exception as it raises it."""
    raised = kind("kucoin POST https://api-futures.kucoin.com/api/v1/orders")
    raised.__cause__ = cause
    return raised


MAYBE: dict[str, Any] = {
    "connection lost after sending": caused(ccxt.ExchangeNotAvailable, aiohttp.ServerDisconnectedError()),
    "truncated body": caused(ccxt.ExchangeError, aiohttp.ClientPayloadError("not all data")),
    "no answer in time": caused(ccxt.RequestTimeout, TimeoutError()),
    "empty 200": Answer(body=""),
    "200 with a web page": Answer(body="<html>ok</html>"),
    "200 with half a document": Answer(body='{"code": "200000", "data": {"orderId"'),
    "success without data": answer({"code": "200000"}),
    "success with nothing": ok(None),
    "success without an id": ok({"clientOid": ID}),
    "success with an empty id": ok({**PLACED, "orderId": ""}),
    "a number for an id": ok({**PLACED, "orderId": 0}),
    "a list for an order": ok([PLACED]),
    "an id without an envelope": answer(PLACED),
    "502": Answer(body="<html>bad gateway</html>", status=502),
    "a code that would be certain, with 500": refusal("300009", "", 500),
    "403 from a firewall": Answer(body="<html>forbidden</html>", status=403),
    "400 with unknown JSON": answer({"error": "what?"}, 400),
    "a redirection": refusal("300009", "", 302),
    "a code that nobody knows": refusal("987654"),
    "a code that is no code": refusal("9" * 41),
    "true for a code": answer({"code": True, "msg": ""}),
    "another code for success with an id": answer({"code": "200001", "data": PLACED}),
    "a repeated id": refusal("400100", "clientOid parameter repeated"),
    **{code: refusal(code) for code in sorted(UNCERTAIN)},
}


@pytest.mark.parametrize("name", MAYBE)
async def test_whatever_may_have_been_executed_is_ambiguous(name: str) -> None:
    """Neither done nor refused, and never an exception."""
    async with kucoin() as (venue, fetch):
        fetch.default = ok(1_800_000_000_000)
        fetch.answers[f"POST {ORDERS}"] = MAYBE[name]
        result = await venue.execute(close())
        assert (result.outcome, result.refusal) == (Outcome.AMBIGUOUS, None)


def test_what_the_venue_is_not_sure_of() -> None:
    """Written down here once more: the table is also what the test above goes by."""
    expected = {"300018", "126044", "126033", "408000", "500000", "500", "503", "300010"}
    assert expected == UNCERTAIN
    assert not UNCERTAIN & REFUSALS.keys()


@pytest.mark.parametrize(
    ("step", "given"),
    [
        (cancel("11"), {}),
        (cancel("11"), NONE),
        (cancel("11"), {"cancelledOrderIds": [7]}),
        (cancel("11"), "success"),
        (cancel("11", "12"), []),
        (cancel("11", "12"), {}),
        (cancel("11", "12"), [FIRST, {**SECOND, "code": "999"}]),
        (cancel("11", "12"), [FIRST, without(SECOND, "code")]),
        (cancel("11", "12"), [FIRST, {**SECOND, "code": "500000"}]),
        (cancel("11", "12"), [FIRST, "?"]),
        (cancel("11", "12"), [FIRST, without(SECOND, "orderId")]),
        (cancel("11", "12"), [FIRST, SECOND, SECOND]),
        (sweep(), {}),
        (sweep(), []),
        (sweep(), {"cancelledOrderIds": None}),
        (sweep(), {"cancelledOrderIds": [None]}),
        (sweep("spot"), "failed"),
        (sweep("spot"), None),
    ],
)
async def test_a_cancel_that_is_not_understood_is_ambiguous(step: Step, given: Any) -> None:
    """One part that is not understood makes the whole so."""
    async with kucoin() as (venue, fetch):
        fetch.default = ok(given)
        assert (await venue.execute(step)).outcome is Outcome.AMBIGUOUS


# Reads that are refused, waits, times


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (refusal("400003", "KC-API-KEY not exists", 401), VenueDenied),
        (refusal("400007", "Access denied"), VenueDenied),
        (refusal("429000", "Too Many Requests", 429), VenueLimited),
        (refusal("429000", "Too Many Requests"), VenueLimited),
        (Answer(body="slow down", status=429), VenueLimited),
        (refusal("500000", "Internal Server Error", 500), VenueUnavailable),
        (refusal("400002", "Invalid KC-API-TIMESTAMP"), VenueUnavailable),
        (Answer(body="<html>", status=502), VenueUnavailable),
    ],
)
async def test_a_refused_read_says_what_has_to_be_done(given: Answer, kind: type[VenueError]) -> None:
    """Act, wait, or try again."""
    async with kucoin() as (venue, fetch):
        fetch.default = given
        with pytest.raises(kind):
            await venue.read_positions("linear")


@pytest.mark.parametrize(
    ("reset", "waited"), [("7250", 7.25), ("999999", 60), ("soon", None), ("", None), ("9999999", None), ("²", None)]
)
async def test_after_too_many_requests_the_venue_names_the_wait(reset: str, waited: float | None) -> None:
    """In milliseconds; an absurd header must not stop an emergency."""
    async with kucoin() as (venue, fetch):
        body = {"code": "429000", "msg": "Too Many Requests"}
        fetch.default = answer(body, 429, gw_ratelimit_reset=reset, gw_ratelimit_remaining="0")
        result = await venue.execute(close())
        assert (result.refusal, result.retry_after_s) == (Refusal.RATE_LIMITED, waited)


@pytest.mark.parametrize(
    ("status", "code", "waited"), [(200, "429000", 7.25), (429, None, 7.25), (200, "300009", None), (200, None, None)]
)
async def test_only_what_is_refused_for_its_number_is_waited_for(
    status: int, code: str | None, waited: float | None
) -> None:
    """The header is on every answer."""
    async with kucoin() as (venue, _):
        reply = Reply(status=status, code=code, message="")
        assert venue._profile.retry_after_s({"gw-ratelimit-reset": "7250"}, reply) == waited


@pytest.mark.parametrize(
    ("limit", "left", "budget"), [("2000", "200", 0.1), ("4000", "200", None), ("2000", "-1", None), ("", "", None)]
)
async def test_what_is_left_of_the_public_budget_is_the_venues_count(
    limit: str, left: str, budget: float | None
) -> None:
    """Whoever else uses the address; if it is that pool's count."""
    async with kucoin() as (venue, fetch):
        fetch.default = answer({"code": "200000", "data": []}, gw_ratelimit_limit=limit, gw_ratelimit_remaining=left)
        await venue._client.attempt(venue._profile.quote_calls(venue._reader.book(MarketKind.SPOT), ["BTC/USDT"])[0])
        assert venue.budget_left()["public"] == pytest.approx(budget if budget is not None else 0.999, abs=0.002)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (ok({**SPOT_ORDER, "active": False}), True),
        (ok({**SPOT_ORDER, "clientOid": "another"}), None),
        (ok(without(SPOT_ORDER, "id")), None),
        (ok(None), None),
        (ok([]), None),
        (refusal("400100", "order does not exist"), False),
        (refusal("100001", "error.getOrder.orderNotExist"), False),
        (refusal("400100", "parameter error"), None),
        (refusal("100004", "order does not exist", 500), None),
        (refusal("400007", "Access denied"), None),
        (Answer(body=""), None),
    ],
)
async def test_whether_an_ambiguous_sale_arrived(given: Answer, found: bool | None) -> None:
    """By the order itself, or by the venue's word that there is none."""
    async with kucoin() as (venue, fetch):
        fetch.default = given
        assert await venue.filled(sell()) is found


@pytest.mark.parametrize("given", [ok({}), ok("soon"), ok(7), ok(None), refusal("400100", "?"), answer([])])
async def test_a_time_of_another_age_is_no_time(given: Answer) -> None:
    """Requests would be signed with it."""
    async with kucoin() as (venue, fetch):
        fetch.default = given
        with pytest.raises(VenueError):
            await venue.keep_warm(1)


@pytest.mark.parametrize("given", [ok({}), ok([]), ok({"bestBid": "x", "bestAsk": "1"}), refusal("400100", "?")])
async def test_a_quote_that_is_not_understood_is_not_nothing(given: Answer) -> None:
    """Or a balance would be called unsellable because of somebody else's answer."""
    async with kucoin() as (venue, fetch):
        fetch.default = given
        with pytest.raises(VenueError):
            await venue.quotes(["ETH/USDT"])


async def test_prices_that_are_left_out_of_all_tickers_are_not_nothing() -> None:
    """Of a market that is asked for; others do not matter."""
    async with kucoin() as (venue, fetch):
        other, mine = {"symbol": "NOT-USDT"}, {"symbol": "ETH-USDT", "buy": "1"}
        fetch.in_turn = iter([ok(None), ok({"ticker": [other, mine]})])
        with pytest.raises(VenueAnswerUnknown):
            await venue.quotes(["ETH/USDT"])
