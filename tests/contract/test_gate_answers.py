"""What is made of Gate's answers: positions, orders, wallets, markets, errors; and what garbage never becomes.

Shapes from https://www.gate.com/docs/developers/apiv4/en and Gate's own clients; numbers of futures are text there,
since they are asked for with their decimals.
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
from tests.support.gate import TEXT, cancel, close, gate, holds_nothing, refusal, sell, sweep, wallet
from tests.support.venue import Answer, answer

USDT = "/api/v4/futures/usdt"


def position(**changes: Any) -> dict[str, Any]:
    """``GET /futures/usdt/positions``: a long of 7 contracts, cross."""
    return {
        "user": 10000,
        "contract": "BTC_USDT",
        "size": "7",
        "leverage": "0",
        "cross_leverage_limit": "10",
        "pos_margin_mode": "cross",
        "value": "42.7",
        "margin": "0",
        "entry_price": "60800",
        "mark_price": "61000",
        "initial_margin": "4.3",
        "pending_orders": 0,
        "close_order": None,
        "mode": "single",
        **changes,
    }


def contract_order(**changes: Any) -> dict[str, Any]:
    """``GET /futures/usdt/orders``: a purchase of 10 contracts of which 4 are left."""
    return {
        "id": "15675394",
        "user": "100000",
        "create_time": "1546569968",
        "status": "open",
        "contract": "BTC_USDT",
        "size": "10",
        "iceberg": "0",
        "price": "59000",
        "is_close": False,
        "is_reduce_only": False,
        "is_liq": False,
        "tif": "gtc",
        "left": "4",
        "fill_price": "0",
        "text": "t-mine",
        **changes,
    }


def price_order(**changes: Any) -> dict[str, Any]:
    """``GET /futures/usdt/price_orders``: a sale of 3 contracts below a price."""
    initial = {
        "contract": "BTC_USDT",
        "size": "-3",
        "price": "0",
        "tif": "ioc",
        "text": "api",
        "is_close": False,
        "is_reduce_only": False,
        "auto_size": "",
    }
    return {
        "id": 1432329,
        "user": 1666,
        "status": "open",
        "order_type": "",
        "initial": initial | changes.pop("initial", {}),
        "trigger": {"strategy_type": 0, "price_type": 0, "price": "58000", "rule": 2, "expiration": 86400},
        **changes,
    }


TRAILING = {
    "id": "77",
    "contract": "BTC_USDT",
    "amount": "-3",
    "price_offset": "1%",
    "activation_price": "0",
    "reduce_only": True,
    "text": "apiv4",
    "status": "open",
}
CHASING = {
    "id": "78",
    "contract": "BTC_USDT",
    "amount": "2",
    "price_limit": "62000",
    "chase_price": "60000",
    "reduce_only": False,
    "text": TEXT,
    "status": "open",
}
SPOT_ORDER = {
    "id": "12332324",
    "text": TEXT,
    "status": "open",
    "currency_pair": "ETH_BTC",
    "type": "limit",
    "account": "spot",
    "side": "buy",
    "amount": "1",
    "price": "5.00032",
    "time_in_force": "gtc",
    "left": "0.5",
}
SPOT_TRIGGER = {
    "id": 71639298,
    "user": 6392049,
    "market": "BTC_USDT",
    "trigger": {"price": "65000", "rule": ">=", "expiration": 86400},
    "put": {"type": "limit", "side": "sell", "price": "65000", "amount": "2.00", "account": "normal", "text": "api"},
    "ctime": 1643945985,
    "status": "open",
}


def auto(*orders: Any) -> Answer:
    """The envelope of trailing and chasing orders."""
    return answer({"code": 0, "message": "", "data": {"orders": list(orders)}, "timestamp": 1795636800})


async def read(account: str = "classic", /, **answers: Any) -> Any:
    """A proof of an account that holds nothing but what is answered."""
    async with gate(slices=("linear:USDT",), options={"account": account}) as (venue, fetch):
        holds_nothing(fetch, **answers)
        return await venue.read_proof("linear:USDT")


async def read_spot(account: str = "classic", **answers: Any) -> Any:
    """The same of spot."""
    async with gate(slices=("spot",), options={"account": account}) as (venue, fetch):
        holds_nothing(fetch)
        fetch.answers |= {f"/api/v4/{name.replace('__', '/')}": given for name, given in answers.items()}
        return await venue.read_proof("spot")


# Positions


@pytest.mark.parametrize(
    ("changes", "side", "contracts", "hedged", "isolated", "exposure"),
    [
        ({}, PositionSide.LONG, "7", False, False, "0.0007"),
        ({"size": "-7"}, PositionSide.SHORT, "7", False, False, "-0.0007"),
        ({"size": 7}, PositionSide.LONG, "7", False, False, "0.0007"),
        ({"size": "7.5"}, PositionSide.LONG, "7.5", False, False, "0.00075"),
        ({"mode": "dual_long"}, PositionSide.LONG, "7", True, False, "0.0007"),
        ({"mode": "dual_short", "size": "-7"}, PositionSide.SHORT, "7", True, False, "-0.0007"),
        ({"pos_margin_mode": "isolated"}, PositionSide.LONG, "7", False, True, "0.0007"),
        ({"pos_margin_mode": None, "leverage": "20"}, PositionSide.LONG, "7", False, True, "0.0007"),
        ({"pos_margin_mode": None, "leverage": "0"}, PositionSide.LONG, "7", False, False, "0.0007"),
    ],
)
async def test_a_position_is_the_venues_own_number_with_its_mode(
    changes: dict[str, Any], side: PositionSide, contracts: str, hedged: bool, isolated: bool, exposure: str
) -> None:
    """One-way and hedge mode, cross and isolated margin."""
    snapshot = await read(positions=answer([position(**changes)]))
    held = snapshot.positions[0]
    assert (held.symbol, held.market_id, held.slice) == ("BTC/USDT:USDT", "BTC_USDT", "linear:USDT")
    assert (held.side, held.contracts, held.hedged, held.isolated) == (side, Decimal(contracts), hedged, isolated)
    assert (held.mark_price, held.base_exposure) == (61000, Decimal(exposure))


async def test_a_coin_margined_position_is_worth_dollars() -> None:
    """A contract is one dollar."""
    async with gate() as (venue, fetch):
        holds_nothing(fetch)
        held = position(contract="BTC_USD", size="-122000")
        fetch.answers["/api/v4/futures/btc/positions"] = answer([held])
        snapshot = await venue.read_proof("inverse")
        assert snapshot.positions[0].base_exposure == Decimal(-2)


async def test_legs_without_size_are_nothing_and_both_legs_of_a_hedge_are_two() -> None:
    """Empty rows are there all the time."""
    legs = [position(mode="dual_long"), position(mode="dual_short", size="-2"), position(contract="ETH_USDT", size="0")]
    snapshot = await read(positions=answer(legs))
    assert [(each.side, each.contracts) for each in snapshot.positions] == [
        (PositionSide.LONG, 7),
        (PositionSide.SHORT, 2),
    ]


async def test_an_unlisted_market_is_kept_under_the_venues_name() -> None:
    """A delisted contract is still held."""
    snapshot = await read(
        positions=answer([position(contract="GONE_USDT")]), orders=answer([contract_order(contract="GONE_USDT")])
    )
    assert snapshot.positions[0].symbol == "GONE_USDT"
    assert snapshot.positions[0].base_exposure is None
    assert snapshot.orders[0].symbol == "GONE_USDT"


def without(document: dict[str, Any], name: str) -> dict[str, Any]:
    """A field less."""
    return {key: value for key, value in document.items() if key != name}


@pytest.mark.parametrize(
    "entry",
    [
        without(position(), "mode"),  # a missing mode is not one-way
        without(position(), "size"),
        without(position(), "contract"),
        position(mode="dual_plus"),
        position(mode="dual_short"),  # a short of +7
        position(mode="dual_long", size="-7"),
        position(size="seven"),
        position(size=None),
        position(size=True),
        position(size="NaN"),
        without(position(pos_margin_mode=None), "leverage"),
        "BTC_USDT",
    ],
)
async def test_a_position_that_is_not_understood_is_not_nothing(entry: Any) -> None:
    """The whole slice is unknown then."""
    with pytest.raises(VenueAnswerUnknown):
        await read(positions=answer([entry]))


async def test_positions_that_are_split_are_not_covered() -> None:
    """By the account's word, or where a leg is there twice."""
    with pytest.raises(VenueAnswerUnknown, match="split"):
        await read(positions=answer([position(pid=1), position(pid=2)]))
    with pytest.raises(VenueAnswerUnknown, match="split"):
        await read(accounts=answer(wallet(position_mode="dual_plus")))


GARBAGE: list[Answer] = [
    Answer(body=""),
    Answer(body="null"),
    Answer(body="<html>ok</html>"),
    Answer(body="{}"),
    Answer(body='{"data": []}'),
    Answer(body='{"code": 0, "data": {}}'),
    Answer(body='{"code": 1, "message": "?", "data": {"orders": []}}'),
    Answer(body='{"message": "?", "data": {"orders": []}}'),
    Answer(body="[[]]"),
    Answer(body='["x"]'),
    Answer(body="[null]"),
    Answer(body="[{}]"),
    Answer(body="7"),
    Answer(body='"x"'),
    Answer(body="[", status=200),
    Answer(body="[]", status=502),
    Answer(body="", status=204),
    Answer(body="[]", status=302),
    refusal("SERVER_ERROR", "Internal server error", 500),
    refusal("USER_NOT_FOUND", "please transfer funds first", 500),
    refusal("INVALID_PARAM_VALUE", "?"),
]


@pytest.mark.parametrize("given", GARBAGE, ids=lambda each: f"{each.status} {each.body[:24]}")
@pytest.mark.parametrize(
    "path",
    ["price_orders", "autoorder/v1/trail/list", "autoorder/v1/chase/list", "orders", "positions", "accounts"],
)
async def test_garbage_never_becomes_an_empty_slice(path: str, given: Answer) -> None:
    """Of contracts: whatever comes in place of any of the answers."""
    with pytest.raises(VenueError):
        await read(**{path: given})


@pytest.mark.parametrize("given", GARBAGE, ids=lambda each: f"{each.status} {each.body[:24]}")
@pytest.mark.parametrize("account", ["classic", "unified"])
async def test_garbage_never_becomes_an_empty_wallet(account: str, given: Answer) -> None:
    """Of spot."""
    wallets = {"classic": "spot__accounts", "unified": "unified__accounts"}
    for path in ("spot__price_orders", "spot__open_orders", wallets[account]):
        with pytest.raises(VenueError):
            await read_spot(account, **{path: given})


# A wallet that was never opened


NEVER = refusal("USER_NOT_FOUND", "please transfer funds first to create futures account")


async def test_without_a_futures_wallet_there_is_nothing_in_it() -> None:
    """The venue refuses to show what was never opened, and that is an answer."""
    async with gate(slices=("inverse",)) as (venue, fetch):
        fetch.default = NEVER
        snapshot = await venue.read_proof("inverse")
        assert (snapshot.orders, snapshot.positions, snapshot.balances) == ((), (), ())


@pytest.mark.parametrize("label", ["FORBIDDEN", "INVALID_KEY", "CONTRACT_NOT_FOUND", "USER_NOT_FOUND_2"])
async def test_no_other_refusal_is_an_empty_wallet(label: str) -> None:
    """Least of all a key that may not look."""
    async with gate(slices=("inverse",)) as (venue, fetch):
        fetch.default = refusal(label, "?", 403)
        with pytest.raises(VenueError):
            await venue.read_proof("inverse")


async def test_spot_has_no_such_excuse() -> None:
    """Every account has a spot wallet."""
    with pytest.raises(VenueError):
        await read_spot(spot__accounts=NEVER)


# Orders


async def test_contract_orders_say_what_is_left_and_whether_they_can_open() -> None:
    """Signed sizes, and orders that close the position."""
    listed = [
        contract_order(),
        contract_order(id="2", size="-10", left="-4", is_reduce_only=True, text="web"),
        contract_order(id="3", size="0", left="0", is_close=True, auto_size="close_short", text=""),
        contract_order(id="4", size="-7", left="-7", is_close=True),
    ]
    snapshot = await read(orders=answer(listed))
    assert [
        (each.order_id, each.side, each.remaining, each.reduce_only, each.protective, each.client_order_id)
        for each in snapshot.orders
    ] == [
        ("15675394", Side.BUY, 4, False, False, "mine"),
        ("2", Side.SELL, 4, True, True, "web"),
        ("3", Side.BUY, None, True, True, None),
        ("4", Side.SELL, 7, True, True, "mine"),
    ]
    assert not any(each.trigger for each in snapshot.orders)


async def test_triggers_of_three_books_are_told_apart_by_their_ids() -> None:
    """Each is cancelled in its own book."""
    stop = {"size": "0", "is_close": True, "is_reduce_only": False}
    async with gate(slices=("linear:USDT",)) as (venue, fetch):
        holds_nothing(
            fetch,
            price_orders=answer(
                [
                    price_order(),
                    price_order(id=2, initial={**stop, "auto_size": "close_short"}),
                    price_order(id=3, initial=stop, order_type="close-long-position"),
                    price_order(id=4, initial={"size": "0", "amount": "1.5"}, id_string="2007047737421336576"),
                    price_order(id=5, initial={"size": "4", "is_reduce_only": True}),
                    price_order(id=6, initial=stop),
                ]
            ),
            **{"autoorder/v1/trail/list": auto(TRAILING), "autoorder/v1/chase/list": auto(CHASING)},
        )
        snapshot = await venue.read_proof("linear:USDT")
        found = {each.order_id: (each.side, each.remaining, each.reduce_only) for each in snapshot.orders or ()}
        assert found == {
            "1432329": (Side.SELL, 3, False),
            "2": (Side.BUY, None, True),
            "3": (Side.SELL, None, True),
            "2007047737421336576": (Side.BUY, Decimal("1.5"), False),
            "5": (Side.BUY, 4, True),
            "6": (Side.SELL, None, True),
            "trail:77": (Side.SELL, 3, True),
            "chase:78": (Side.BUY, 2, False),
        }
        assert all(each.trigger for each in snapshot.orders or ())
        assert [each.client_order_id for each in snapshot.orders or ()][-1] == TEXT.removeprefix("t-")
        fetch.sent.clear()
        await venue.execute(cancel("2", "trail:77", "chase:78", slice_name="linear", trigger=True, slice="linear:USDT"))
        assert [each.path for each in fetch.sent] == [
            f"{USDT}/price_orders/2",
            f"{USDT}/autoorder/v1/trail/stop",
            f"{USDT}/autoorder/v1/chase/stop",
        ]


async def test_spot_orders_and_their_triggers() -> None:
    """By pair; a market that is not known keeps the venue's name."""
    snapshot = await read_spot(
        spot__open_orders=answer([{"currency_pair": "ETH_BTC", "total": 1, "orders": [SPOT_ORDER]}]),
        spot__price_orders=answer([SPOT_TRIGGER]),
    )
    trigger, order = snapshot.orders
    assert order == OpenOrder(
        slice="spot",
        symbol="ETH_BTC",
        market_id="ETH_BTC",
        order_id="12332324",
        client_order_id=TEXT.removeprefix("t-"),
        side=Side.BUY,
        remaining=Decimal("0.5"),
    )
    assert (trigger.symbol, trigger.order_id, trigger.side, trigger.remaining, trigger.trigger) == (
        "BTC/USDT",
        "71639298",
        Side.SELL,
        2,
        True,
    )


@pytest.mark.parametrize(
    ("path", "entry"),
    [
        ("orders", without(contract_order(), "id")),
        ("orders", without(contract_order(), "size")),
        ("orders", without(contract_order(), "is_reduce_only")),
        ("orders", without(contract_order(), "is_close")),
        ("orders", contract_order(size="0")),
        ("orders", contract_order(is_reduce_only=1)),
        ("price_orders", without(price_order(), "initial")),
        ("price_orders", without(price_order(), "id")),
        ("price_orders", price_order(initial={"size": None})),
        ("price_orders", price_order(initial={"is_reduce_only": None})),
        ("price_orders", price_order(initial={"contract": ""})),
    ],
)
async def test_an_order_that_is_not_understood_is_not_nothing(path: str, entry: Any) -> None:
    """The whole slice is unknown then."""
    with pytest.raises(VenueAnswerUnknown):
        await read(**{path: answer([entry])})


@pytest.mark.parametrize("entry", [without(TRAILING, "reduce_only"), {**TRAILING, **CHASING}, {"id": "1"}])
async def test_a_trailing_order_that_is_not_understood_is_not_nothing(entry: Any) -> None:
    """Nor one that might be the other kind."""
    with pytest.raises(VenueAnswerUnknown):
        await read(**{"autoorder/v1/trail/list": auto(entry)})


# Pages


async def pages_of(path: str, slice_name: str, pages: list[Answer], **answers: Any) -> tuple[Any, list[Any]]:
    """A proof in which one list has several pages, and how they were asked for."""
    async with gate(slices=(slice_name,)) as (venue, fetch):
        holds_nothing(fetch)
        fetch.answers |= answers
        given = iter(pages)
        whole = fetch.__class__.__call__

        async def in_turn(url: str, *rest: Any) -> Any:
            if path in url:
                fetch.answers[f"/api/v4/{path}"] = next(given)
            return await whole(fetch, url, *rest)

        venue._client.send = in_turn
        snapshot = await venue.read_proof(slice_name)
        return snapshot, [each.params for each in fetch.sent if path in each.path]


async def test_a_full_page_is_followed_by_the_next() -> None:
    """By offset; what shifts from one page to the other is there once."""
    first = [contract_order(id=str(number)) for number in range(100)]
    second = [contract_order(id="99"), contract_order(id="100")]
    snapshot, asked = await pages_of("futures/usdt/orders", "linear:USDT", [answer(first), answer(second)])
    assert [each["offset"] for each in asked] == ["0", "100"]
    assert len(snapshot.orders) == 101


async def test_positions_have_pages_too() -> None:
    """A hundred and one are not a hundred."""
    first = [position(contract=f"C{number}_USDT") for number in range(100)]
    snapshot, asked = await pages_of(
        "futures/usdt/positions", "linear:USDT", [answer(first), answer([position(contract="C100_USDT")])]
    )
    assert [each["offset"] for each in asked] == ["0", "100"]
    assert len(snapshot.positions) == 101


async def test_pages_of_trailing_orders_are_numbered() -> None:
    """And full ones are followed by the next."""
    first = [{**TRAILING, "id": str(number)} for number in range(100)]
    snapshot, asked = await pages_of(
        "futures/usdt/autoorder/v1/trail/list", "linear:USDT", [auto(*first), auto({**TRAILING, "id": "100"})]
    )
    assert [each["page_num"] for each in asked] == ["1", "2"]
    assert len(snapshot.orders) == 101


async def test_pages_of_spot_orders_are_of_each_pair() -> None:
    """One full pair is enough."""

    def pair(name: str, numbers: range) -> dict[str, Any]:
        listed = [{**SPOT_ORDER, "currency_pair": name, "id": str(number)} for number in numbers]
        return {"currency_pair": name, "total": len(listed), "orders": listed}

    first = [pair("BTC_USDT", range(100)), pair("ETH_USDT", range(200, 203))]
    second = [pair("BTC_USDT", range(100, 101))]
    snapshot, asked = await pages_of("spot/open_orders", "spot", [answer(first), answer(second)])
    assert [each["page"] for each in asked] == ["1", "2"]
    assert len(snapshot.orders) == 104


# Wallets


async def test_a_classic_account_has_a_wallet_for_spot_and_one_for_each_settle_coin() -> None:
    """Each reports its own."""
    snapshot = await read_spot(
        spot__accounts=answer(
            [
                {"currency": "BTC", "available": "0.5", "locked": "0.25", "update_id": 98},
                {"currency": "ETH", "available": "0", "locked": "0"},
            ]
        )
    )
    assert [(each.asset, each.free, each.locked, each.debt) for each in snapshot.balances] == [
        ("BTC", Decimal("0.5"), Decimal("0.25"), 0)
    ]
    snapshot = await read(accounts=answer(wallet(total="100.5", available="80")))
    assert [(each.asset, each.free, each.locked) for each in snapshot.balances] == [("USDT", 80, Decimal("20.5"))]
    snapshot = await read(accounts=answer(wallet(total="-3", available="0")))
    assert [(each.asset, each.free, each.debt) for each in snapshot.balances] == [("USDT", 0, 3)]
    snapshot = await read(accounts=answer(wallet(total="10", available="12")))
    assert [(each.asset, each.free, each.locked) for each in snapshot.balances] == [("USDT", 10, 0)]


async def test_a_unified_wallet_is_reported_once() -> None:
    """In the spot slice, with what is owed; a futures wallet of such an account is a view of it."""
    coins = {
        "ETH": {"available": "0", "freeze": "0", "borrowed": "0.07", "negative_liab": "0.01", "total_liab": "0.08"},
        "BTC": {"available": "1.5", "freeze": "0.5", "borrowed": "0", "negative_liab": "0", "total_liab": "0"},
        "USDT": {"available": "-5", "freeze": "0", "borrowed": "0", "negative_liab": "5"},
        "GT": {"available": "0", "freeze": "0", "borrowed": "0", "negative_liab": "0", "total_liab": "0"},
    }
    given = answer({"user_id": 10001, "locked": False, "mode": "multi_currency", "balances": coins})
    snapshot = await read_spot("unified", unified__accounts=given)
    assert [(each.asset, each.free, each.locked, each.debt) for each in snapshot.balances] == [
        ("ETH", 0, 0, Decimal("0.08")),
        ("BTC", Decimal("1.5"), Decimal("0.5"), 0),
        ("USDT", 0, 0, 5),
    ]
    snapshot = await read("unified", accounts=answer(wallet(total="100", available="80", margin_mode=1)))
    assert snapshot.balances == ()


@pytest.mark.parametrize(
    "shown",
    [
        {"position_margin": "38.7"},
        {"position_initial_margin": "38.7"},
        {"isolated_position_margin": "0.1"},
        {"order_margin": "3"},
        {"cross_order_margin": "3"},
        {"cross_initial_margin": "3"},
        {"position_margin": "?"},
    ],
)
@pytest.mark.parametrize("account", ["classic", "unified"])
async def test_margin_in_use_without_a_listed_position_or_order_is_no_empty_slice(
    account: str, shown: dict[str, str]
) -> None:
    """A list may be incomplete; the wallet is not."""
    with pytest.raises(VenueAnswerUnknown):
        await read(account, accounts=answer(wallet(**shown)))


async def test_margin_in_use_is_explained_by_what_is_listed() -> None:
    """Of the same settle coin."""
    margins = {"position_margin": "38.7", "order_margin": "3", "cross_initial_margin": "40"}
    listed = {"positions": answer([position()]), "orders": answer([contract_order()])}
    assert len((await read(accounts=answer(wallet(**margins)), **listed)).positions) == 1
    async with gate() as (venue, fetch):
        holds_nothing(fetch, **listed)
        fetch.answers["/api/v4/futures/usd1/accounts"] = answer(wallet("USD1", position_margin="1"))
        with pytest.raises(VenueAnswerUnknown, match="usd1"):
            await venue.read_proof("linear")


async def test_margin_of_orders_is_no_doubt_about_positions() -> None:
    """The cheap read does not list orders."""
    async with gate(slices=("linear:USDT",)) as (venue, fetch):
        holds_nothing(fetch, accounts=answer(wallet(order_margin="3", cross_initial_margin="3")))
        assert not (await venue.read_positions("linear:USDT", certain=True)).positions_doubtful
        holds_nothing(fetch, accounts=answer(wallet(position_margin="3")))
        assert (await venue.read_positions("linear:USDT", certain=True)).positions_doubtful


# Markets


PAIR = {
    "id": "BTC_USDT",
    "base": "BTC",
    "quote": "USDT",
    "min_base_amount": "0.000001",
    "min_quote_amount": "3",
    "max_base_amount": "100",
    "max_quote_amount": "5000000",
    "market_order_max_stock": "20",
    "amount_precision": 6,
    "precision": 1,
    "trade_status": "tradable",
}
CONTRACT = {
    "name": "BTC_USDT",
    "type": "direct",
    "quanto_multiplier": "0.0001",
    "order_size_min": "1",
    "order_size_max": "1000000",
    "market_order_size_max": "300000",
    "order_price_round": "0.1",
    "enable_decimal": False,
    "in_delisting": False,
    "position_size": "10",
    "status": "trading",
}


async def listed(kind: MarketKind, *entries: Any, slice_name: str = "linear:USDT") -> Any:
    """The rules of what is listed."""
    async with gate(slices=(slice_name,)) as (venue, fetch):
        fetch.default = answer([])
        fetch.answers = {"/api/v4/spot/currency_pairs": answer(list(entries))}
        fetch.answers[f"/api/v4/futures/{'btc' if kind is MarketKind.INVERSE else 'usdt'}/contracts"] = answer(
            list(entries)
        )
        return await venue._reader.markets(kind)


async def test_the_rules_of_a_pair() -> None:
    """Digits become steps; what can only be bought cannot be sold on."""
    rule, other = await listed(MarketKind.SPOT, PAIR, {**PAIR, "id": "X_USDT", "base": "X", "trade_status": "buyable"})
    assert (rule.symbol, rule.market_id, rule.trading, rule.sweeps) == ("BTC/USDT", "BTC_USDT", True, True)
    assert (rule.quantity_step, rule.quantity_min, rule.price_tick) == (
        Decimal("0.000001"),
        Decimal("0.000001"),
        Decimal("0.1"),
    )
    assert (rule.notional_min, rule.notional_max, rule.limit_quantity_max, rule.market_quantity_max) == (
        3,
        5_000_000,
        100,
        20,
    )
    assert not other.trading


async def test_the_rules_of_a_contract() -> None:
    """At market the venue takes less than with a price."""
    rule = (await listed(MarketKind.LINEAR, CONTRACT))[0]
    assert (rule.symbol, rule.settle, rule.contract_size) == ("BTC/USDT:USDT", "USDT", Decimal("0.0001"))
    assert (rule.quantity_step, rule.quantity_min, rule.price_tick) == (1, 1, Decimal("0.1"))
    assert (rule.market_quantity_max, rule.limit_quantity_max, rule.trading) == (300_000, 1_000_000, True)
    inverse = (await listed(MarketKind.INVERSE, {**CONTRACT, "name": "BTC_USD", "quanto_multiplier": "0"}))[0]
    assert (inverse.symbol, inverse.settle, inverse.contract_size) == ("BTC/USD:BTC", "BTC", 1)
    unlimited = {**CONTRACT, "market_order_size_max": "0", "enable_decimal": True, "order_size_min": "0"}
    rule = (await listed(MarketKind.LINEAR, unlimited))[0]
    assert (rule.market_quantity_max, rule.quantity_step, rule.quantity_min) == (1_000_000, None, None)


@pytest.mark.parametrize(
    ("changes", "trading"),
    [
        ({"status": "prelaunch"}, False),
        ({"status": "delisted"}, False),
        ({"status": "circuit_breaker"}, False),
        ({"status": "suspend"}, False),
        ({"status": "delisting", "in_delisting": True}, True),  # still takes what reduces
        ({"in_delisting": True, "position_size": "0"}, False),
    ],
)
async def test_a_market_that_takes_no_closes_is_not_trading(changes: dict[str, Any], trading: bool) -> None:
    """One that is about to go takes them until it is gone."""
    assert (await listed(MarketKind.LINEAR, {**CONTRACT, **changes}))[0].trading is trading


@pytest.mark.parametrize(
    "changes", [{"amount_precision": "x"}, {"precision": None}, {"trade_status": None}, {"id": ""}]
)
async def test_a_market_that_is_not_understood_is_no_market(changes: dict[str, Any]) -> None:
    """Rules that are half known cut orders wrongly."""
    with pytest.raises(VenueAnswerUnknown):
        await listed(MarketKind.SPOT, {**PAIR, **changes})


# What became of a step


def closed(**changes: Any) -> dict[str, Any]:
    """The answer to a close of 7."""
    values = {"size": "-7", "left": "0", "status": "finished", "finish_as": "filled", "tif": "ioc"}
    return contract_order(**(values | changes))


def sold(**changes: Any) -> dict[str, Any]:
    """The answer to a sale of 0.5."""
    return {**SPOT_ORDER, "side": "sell", "amount": "0.5", "left": "0", "status": "closed", **changes}


CANCELLED = contract_order(status="finished", finish_as="cancelled")
OK = {"succeeded": True, "label": "", "message": ""}
STOPPED = {"code": 0, "message": "", "data": {"order": {"id": "77"}}}
DONE: list[tuple[Step, Any, Decimal | None]] = [
    (close(), closed(), Decimal(7)),
    (close(), closed(left="-3", finish_as="ioc"), Decimal(4)),
    (close(), closed(status="open", left="-7", finish_as=""), None),
    (sell(), sold(), Decimal("0.5")),
    (sell(), sold(left="0.2", status="cancelled", finish_as="ioc"), Decimal("0.3")),
    (cancel("11"), CANCELLED, None),
    (cancel("11", "12"), [{"id": "11", **OK}, {"id": "12", "user_id": 1, **OK}], None),
    (
        cancel("11", "12"),
        [{"id": "11", **OK}, {"id": "12", "succeeded": False, "message": "ORDER_NOT_FOUND"}],
        None,
    ),
    (cancel("77", trigger=True), {"id": 77, "status": "finished", "finish_as": "cancelled"}, None),
    (cancel("trail:77", trigger=True), STOPPED, None),
    (cancel("chase:77", trigger=True), STOPPED, None),
    (sweep(), [], None),
    (sweep(), [CANCELLED], None),
    (sweep("spot"), [{**SPOT_ORDER, "status": "cancelled", **OK}], None),
    (sweep("spot", trigger=True), [SPOT_TRIGGER], None),
]


@pytest.mark.parametrize(("step", "given", "filled"), DONE)
async def test_done_needs_the_venues_own_word(step: Step, given: Any, filled: Decimal | None) -> None:
    """An id, or its list of what was cancelled; and what was executed, once the order is over."""
    async with gate() as (venue, fetch):
        fetch.default = answer(given, 201)
        result = await venue.execute(step)
        assert (result.outcome, result.refusal, result.filled) == (Outcome.DONE, None, filled)


async def test_a_sweep_of_triggers_needs_the_word_of_all_three_books() -> None:
    """One that is not understood makes the whole ambiguous."""
    listed = {"code": 0, "message": "", "data": {"orders": [{"id": "1"}]}}
    async with gate() as (venue, fetch):
        fetch.answers = {
            f"{USDT}/price_orders": answer([]),
            f"{USDT}/autoorder/v1/trail/stop_all": answer(listed),
            f"{USDT}/autoorder/v1/chase/stop_all": answer({"code": 0, "message": "", "data": {}}),
        }
        assert (await venue.execute(sweep(trigger=True))).outcome is Outcome.DONE
        fetch.answers[f"{USDT}/autoorder/v1/chase/stop_all"] = answer({"code": 7, "message": "?", "data": {}})
        assert (await venue.execute(sweep(trigger=True))).outcome is Outcome.AMBIGUOUS


@pytest.mark.parametrize(
    ("step", "given", "kind"),
    [
        (close(), closed(left="-7", finish_as="ioc"), Refusal.UNFILLED),
        (close(), closed(left="-7", finish_as="reduce_only"), Refusal.NOTHING_TO_REDUCE),
        (close(), closed(left="-7", finish_as="position_closed"), Refusal.NOTHING_TO_REDUCE),
        (close(), closed(left="-7", finish_as="stp"), Refusal.OTHER),
        (sell(), sold(left="0.5", status="cancelled", finish_as="ioc"), Refusal.UNFILLED),
        (sell(), sold(left="0.5", status="cancelled", finish_as="depth_not_enough"), Refusal.UNFILLED),
        (sell(), sold(left="0.5", status="cancelled", finish_as="small"), Refusal.TOO_SMALL),
        (sell(), sold(left="0.5", status="cancelled", finish_as="price_protect_cancelled"), Refusal.PRICE_BAND),
        (
            cancel("11", "12"),
            [{"id": each, "succeeded": False, "message": "ORDER_NOT_FOUND"} for each in ("11", "12")],
            Refusal.UNKNOWN_ORDER,
        ),
        (
            cancel("11", "12", slice_name="spot"),
            [
                {"id": "11", **OK},
                {"id": "12", "succeeded": False, "label": "ACCOUNT_LOCKED", "message": "Account is locked"},
            ],
            Refusal.DENIED,
        ),
    ],
)
async def test_an_order_that_ended_without_doing_anything_was_refused(step: Step, given: Any, kind: Refusal) -> None:
    """Whatever the status line says."""
    async with gate() as (venue, fetch):
        fetch.default = answer(given)
        result = await venue.execute(step)
        assert (result.outcome, result.refusal) == (Outcome.REFUSED, kind)


LABELS: list[tuple[str, str, Refusal]] = [
    ("POSITION_EMPTY", "Position is empty", Refusal.NOTHING_TO_REDUCE),
    ("POSITION_NOT_FOUND", "", Refusal.NOTHING_TO_REDUCE),
    ("REDUCE_EXCEEDED", "empty position", Refusal.NOTHING_TO_REDUCE),
    ("INCREASE_POSITION", "", Refusal.NOTHING_TO_REDUCE),
    ("REDUCE_ONLY_FAIL", "pending order conflicts with reduce order", Refusal.NOTHING_TO_REDUCE),
    ("POSITION_IN_CLOSE", "", Refusal.NOTHING_TO_REDUCE),
    ("PRICE_TOO_DEVIATED", "order price 50000 while mark price 95895.06", Refusal.PRICE_BAND),
    ("MARKET_PRICE_TOO_DEVIATED", "", Refusal.PRICE_BAND),
    ("PRICE_THRESHOLD_EXCEEDED", ": 0.45288", Refusal.PRICE_BAND),
    ("PRICE_OVER_LIQUIDATION", "", Refusal.PRICE_BAND),
    ("PRICE_OVER_BANKRUPT", "", Refusal.PRICE_BAND),
    ("CONTRACT_NO_COUNTER", "", Refusal.UNFILLED),
    ("ORDER_BOOK_NOT_FOUND", "", Refusal.UNFILLED),
    ("SIZE_TOO_LARGE", "", Refusal.QUANTITY),
    ("AMOUNT_TOO_MUCH", "", Refusal.QUANTITY),
    ("SIZE_TOO_SMALL", "", Refusal.TOO_SMALL),
    ("AMOUNT_TOO_LITTLE", "", Refusal.TOO_SMALL),
    ("ERR_QUOTA_LOWER_LIMIT", "", Refusal.TOO_SMALL),
    ("INVALID_PARAM_VALUE", "Your order size 0.0037 USDT is too small. The minimum is 3 USDT", Refusal.TOO_SMALL),
    ("INVALID_PARAM_VALUE", "invalid argument: status", Refusal.OTHER),
    ("CONTRACT_IN_DELISTING", "", Refusal.MARKET_CLOSED),
    ("BALANCE_NOT_ENOUGH", "Not enough balance", Refusal.INSUFFICIENT),
    ("MARGIN_BALANCE_NOT_ENOUGH", "", Refusal.INSUFFICIENT),
    ("FUTURES_BALANCE_NOT_ENOUGH", "", Refusal.INSUFFICIENT),
    ("INSUFFICIENT_AVAILABLE", "", Refusal.INSUFFICIENT),
    *[
        (label, "", Refusal.DENIED)
        for label in (
            "INVALID_CREDENTIALS",
            "INVALID_KEY",
            "IP_FORBIDDEN",
            "READ_ONLY",
            "INVALID_SIGNATURE",
            "MISSING_REQUIRED_HEADER",
            "ACCOUNT_LOCKED",
            "SUB_ACCOUNT_LOCKED",
            "FORBIDDEN",
            "AUTHENTICATION_FAILED",
        )
    ],
    ("TOO_MANY_REQUESTS", "", Refusal.RATE_LIMITED),
    ("TOO_FAST", "", Refusal.RATE_LIMITED),
    ("REQUEST_EXPIRED", "gap between request Timestamp and server time exceeds 60", Refusal.OTHER),
    *[
        (label, "", Refusal.OTHER)
        for label in (
            "INVALID_PROTOCOL",
            "INVALID_ARGUMENT",
            "INVALID_REQUEST_BODY",
            "MISSING_REQUIRED_PARAM",
            "BAD_REQUEST",
            "INVALID_CONTENT_TYPE",
            "NOT_ACCEPTABLE",
            "METHOD_NOT_ALLOWED",
            "INVALID_PRECISION",
            "INVALID_CURRENCY",
            "INVALID_CURRENCY_PAIR",
            "QUANTITY_NOT_ENOUGH",
            "TOO_MANY_ORDERS",
            "TRADE_RESTRICTED",
            "INITIAL_MARGIN_TOO_LOW",
            "USER_NOT_FOUND",
            "CONTRACT_NOT_FOUND",
            "RISK_LIMIT_EXCEEDED",
            "LIQUIDATE_IMMEDIATELY",
            "ORDER_NOT_OWNED",
            "POSITION_IN_LIQUIDATION",
            "POSITION_DUAL_MODE",
            "ORDER_FOK",
            "FOK_NOT_FILL",
        )
    ],
]


@pytest.mark.parametrize(("label", "message", "kind"), LABELS)
async def test_the_venues_certain_words_are_refusals(label: str, message: str, kind: Refusal) -> None:
    """What the next plan depends on."""
    async with gate() as (venue, fetch):
        fetch.default = answer({"server_time": 1_800_000_000_000})
        fetch.answers[f"POST {USDT}/orders"] = refusal(label, message)
        result = await venue.execute(close())
        assert (result.outcome, result.refusal) == (Outcome.REFUSED, kind)
        assert label in (result.message or "")


@pytest.mark.parametrize("name", ["message", "detail"])
async def test_an_error_may_have_its_text_under_either_name(name: str) -> None:
    """Futures has another one than spot."""
    async with gate() as (venue, fetch):
        fetch.default = answer({"label": "PRICE_TOO_DEVIATED", name: "limit 0.2"}, 400)
        assert "limit 0.2" in ((await venue.execute(close())).message or "")


@pytest.mark.parametrize(
    "label",
    [
        "ORDER_NOT_FOUND",
        "CLIENT_ID_NOT_FOUND",
        "AUTO_ORDER_NOT_FOUND",
        "ORDER_CLOSED",
        "ORDER_CANCELLED",
        "ORDER_FINISHED",
    ],
)
async def test_cancelling_what_is_gone_says_so(label: str) -> None:
    """It may have been filled: the next read tells. A sweep that finds nothing has done its work."""
    async with gate() as (venue, fetch):
        fetch.default = refusal(label)
        result = await venue.execute(cancel("11"))
        assert (result.outcome, result.refusal) == (Outcome.REFUSED, Refusal.UNKNOWN_ORDER)
        assert (await venue.execute(sweep())).outcome is Outcome.DONE


def caused(kind: type[Exception], cause: BaseException) -> Exception:
    """ccxt's exception as it raises it."""
    raised = kind("gate POST https://api.gateio.ws/api/v4/futures/usdt/orders")
    raised.__cause__ = cause
    return raised


UNCERTAIN: dict[str, Any] = {
    "connection lost after sending": caused(ccxt.ExchangeNotAvailable, aiohttp.ServerDisconnectedError()),
    "truncated body": caused(ccxt.ExchangeError, aiohttp.ClientPayloadError("not all data")),
    "no answer in time": caused(ccxt.RequestTimeout, TimeoutError()),
    "empty 200": Answer(body=""),
    "empty 201": Answer(body="", status=201),
    "200 with a web page": Answer(body="<html>ok</html>"),
    "200 with half a document": Answer(body='{"id": 225421'),
    "success without an id": answer({"status": "finished"}),
    "success with an empty id": answer({**closed(), "id": None}),
    "id zero": answer({**closed(), "id": 0}),
    "a list for an order": answer([closed()]),
    "502": Answer(body="<html>bad gateway</html>", status=502),
    "a label that would be certain, with 500": refusal("POSITION_EMPTY", "", 500),
    "403 from a firewall": Answer(body="<html>forbidden</html>", status=403),
    "400 with unknown JSON": answer({"error": "what?"}, 400),
    "a redirection": refusal("POSITION_EMPTY", "", 302),
    "a label that nobody knows": refusal("SOMETHING_NEW"),
    **{
        label: refusal(label)
        for label in (
            "REPEATED_CREATION",
            "DUPLICATE_REQUEST",
            "ORDER_EXISTS",
            "CANCEL_FAIL",
            "INTERNAL",
            "SERVER_ERROR",
            "TOO_BUSY",
        )
    },
}


@pytest.mark.parametrize("name", UNCERTAIN)
async def test_whatever_may_have_been_executed_is_ambiguous(name: str) -> None:
    """Neither done nor refused, and never an exception."""
    async with gate() as (venue, fetch):
        fetch.default = answer({"server_time": 1_800_000_000_000})
        fetch.answers[f"POST {USDT}/orders"] = UNCERTAIN[name]
        result = await venue.execute(close())
        assert (result.outcome, result.refusal) == (Outcome.AMBIGUOUS, None)


@pytest.mark.parametrize(
    ("step", "given"),
    [
        (cancel("11", "12"), []),
        (cancel("11", "12"), {}),
        (cancel("11", "12"), [{"id": "11", **OK}, {"id": "12", "succeeded": False, "message": "?"}]),
        (cancel("11", "12"), [{"id": "11", **OK}, "?"]),
        (cancel("11", "12"), [{"id": "11", **OK}, {"succeeded": True}]),
        (cancel("11", "12"), [{"id": each, **OK} for each in ("11", "12", "13")]),
        (cancel("trail:77", trigger=True), {"code": 0, "data": {}}),
        (cancel("trail:77", trigger=True), {"code": 5, "message": "no such order", "data": {"order": {"id": "77"}}}),
        (sweep(), {}),
        (sweep(), {"id": "11"}),
        (sweep(), [{"status": "finished"}]),
        (sweep("spot"), [{"id": "11", "succeeded": False, "label": "SOMETHING_NEW"}]),
    ],
)
async def test_a_cancel_that_is_not_understood_is_ambiguous(step: Step, given: Any) -> None:
    """One part that is not understood makes the whole so."""
    async with gate() as (venue, fetch):
        fetch.default = answer(given)
        assert (await venue.execute(step)).outcome is Outcome.AMBIGUOUS


async def test_a_timestamp_that_was_refused_has_the_clock_measured() -> None:
    """The next request has it right."""
    async with gate() as (venue, fetch):
        fetch.default = answer({"server_time": 1_800_000_000_000})
        fetch.answers[f"POST {USDT}/orders"] = refusal("REQUEST_EXPIRED", "gap", 403)
        await venue.execute(close())
        assert [each.path for each in fetch.sent] == [f"{USDT}/orders", "/api/v4/spot/time"]
        assert venue.clock_offset_ms() is not None


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (refusal("INVALID_KEY", "Invalid key provided", 401), VenueDenied),
        (refusal("FORBIDDEN", "", 403), VenueDenied),
        (refusal("TOO_MANY_REQUESTS", "", 429), VenueLimited),
        (Answer(body="slow down", status=429), VenueLimited),
        (refusal("SERVER_ERROR", "", 500), VenueUnavailable),
        (refusal("REQUEST_EXPIRED", "", 403), VenueUnavailable),
        (Answer(body="<html>", status=502), VenueUnavailable),
    ],
)
async def test_a_refused_read_says_what_has_to_be_done(given: Answer, kind: type[VenueError]) -> None:
    """Act, wait, or try again."""
    async with gate() as (venue, fetch):
        fetch.default = given
        with pytest.raises(kind):
            await venue.read_positions("linear")


async def test_after_too_many_requests_the_venue_names_the_time() -> None:
    """By its own clock, which the answer shows, too."""
    async with gate() as (venue, fetch):
        fetch.default = answer(
            {"label": "TOO_MANY_REQUESTS", "message": ""},
            429,
            X_Gate_RateLimit_Reset_Timestamp="1795636807",
            Date="Wed, 25 Nov 2026 20:00:00 GMT",
        )
        result = await venue.execute(close())
        assert (result.refusal, result.retry_after_s) == (Refusal.RATE_LIMITED, 7)


EIGHT = "Wed, 25 Nov 2026 20:00:00 GMT"


@pytest.mark.parametrize(
    ("reset", "date"),
    [("1795636807", "yesterday"), ("soon", EIGHT), ("1795639999", ""), ("1795639999", EIGHT), ("1795636700", EIGHT)],
)
async def test_a_time_that_is_none_is_not_waited_for(reset: str, date: str) -> None:
    """An absurd header must not stop an emergency."""
    async with gate() as (venue, fetch):
        fetch.default = answer(
            {"label": "TOO_MANY_REQUESTS", "message": ""}, 429, X_Gate_RateLimit_Reset_Timestamp=reset, Date=date
        )
        assert (await venue.execute(close())).retry_after_s is None


async def test_what_is_left_of_a_public_budget_is_the_venues_count() -> None:
    """Whoever else uses the address."""
    async with gate() as (venue, fetch):
        fetch.default = answer([], 200, X_Gate_RateLimit_Requests_Remain="20", X_Gate_RateLimit_Limit="200")
        await venue._client.attempt(venue._profile.quote_calls(venue._reader.book(MarketKind.SPOT), ["BTC/USDT"])[0])
        assert venue.budget_left()["public:tickers"] == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (answer([{**SPOT_ORDER, "text": TEXT, "status": "cancelled"}]), True),
        (answer([{**SPOT_ORDER, "text": "web", "status": "closed"}]), False),
        (answer([]), False),
        (answer([{**SPOT_ORDER, "text": "web"}] * 100), None),
        (answer([{**SPOT_ORDER, "text": None}]), None),
        (answer([{}]), None),
        (answer({}), None),
        (refusal("ORDER_NOT_FOUND", "", 404), None),
        (refusal("SERVER_ERROR", "", 500), None),
        (Answer(body=""), None),
    ],
)
async def test_whether_an_ambiguous_sale_arrived(given: Answer, found: bool | None) -> None:
    """Among the orders that are over; a full page without it says nothing."""
    async with gate() as (venue, fetch):
        fetch.default = given
        assert await venue.filled(sell()) is found


@pytest.mark.parametrize("given", [answer({}), answer({"server_time": "soon"}), answer({"server_time": 7}), answer([])])
async def test_a_time_of_another_age_is_no_time(given: Answer) -> None:
    """Requests would be signed with it."""
    async with gate() as (venue, fetch):
        fetch.default = given
        with pytest.raises(VenueAnswerUnknown):
            await venue.keep_warm(1)
