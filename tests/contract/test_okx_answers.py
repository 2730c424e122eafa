"""OKX: from answers to positions, orders and balances; and never from garbage to an empty list.

Shapes from https://www.okx.com/docs-v5/en/ (Get positions, Get balance, Order list, Algo order list).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from node.domain.snapshot import PositionSide, Side
from node.errors import VenueAnswerUnknown, VenueDenied, VenueError, VenueLimited, VenueUnavailable
from tests.support.okx_venue import INVERSE, SWAP, empty, fault, ok, okx, path
from tests.support.venue import Answer, answer

POSITIONS, RISK = path("account/positions"), path("account/account-position-risk")
ORDERS, ALGOS, BALANCE = path("trade/orders-pending"), path("trade/orders-algo-pending"), path("account/balance")


def position(**changes: Any) -> dict[str, Any]:
    """A net long of 125 contracts, cross."""
    return {
        "adl": "1",
        "availPos": "",
        "avgPx": "62720.0",
        "ccy": "USDT",
        "imr": "200.1",
        "instId": SWAP,
        "instType": "SWAP",
        "lever": "5",
        "margin": "",
        "markPx": "64000.5",
        "mgnMode": "cross",
        "notionalUsd": "80000",
        "pos": "125",
        "posCcy": "",
        "posId": "1752810569801498626",
        "posSide": "net",
        "uTime": "1724742632153",
        **changes,
    }


def order(**changes: Any) -> dict[str, Any]:
    """A resting buy of 5 contracts, 2 of them filled."""
    return {
        "accFillSz": "2",
        "algoId": "",
        "clOrdId": "abc",
        "instId": SWAP,
        "instType": "SWAP",
        "ordId": "1752588852617379840",
        "ordType": "limit",
        "posSide": "net",
        "px": "13013.5",
        "reduceOnly": "false",
        "side": "buy",
        "state": "live",
        "sz": "5",
        "tdMode": "cross",
        "tgtCcy": "",
        **changes,
    }


def algo(**changes: Any) -> dict[str, Any]:
    """A stop that sells 4 contracts, reduce-only."""
    return {
        "algoClOrdId": "stop",
        "algoId": "1753184812254216192",
        "closeFraction": "",
        "instId": SWAP,
        "instType": "SWAP",
        "ordType": "conditional",
        "posSide": "net",
        "reduceOnly": "true",
        "side": "sell",
        "slTriggerPx": "57000",
        "state": "live",
        "sz": "4",
        "tdMode": "cross",
        "tgtCcy": "",
        **changes,
    }


def coin(name: str, **changes: Any) -> dict[str, Any]:
    """A coin of the trading account."""
    return {
        "ccy": name,
        "cashBal": "0",
        "availBal": "0",
        "frozenBal": "0",
        "eq": "0",
        "liab": "",
        "stgyEq": "0",
        **changes,
    }


async def positions_of(*rows: dict[str, Any], name: str = "linear", slices: tuple[str, ...] | None = None) -> Any:
    """The snapshot's positions."""
    async with okx(slices=slices) as (venue, fetch):
        fetch.default = ok(*rows)
        return (await venue.read_positions(name)).positions


async def orders_of(*rows: dict[str, Any], algos: tuple[dict[str, Any], ...] = (), name: str = "linear") -> Any:
    """The snapshot's orders."""
    async with okx() as (venue, fetch):
        empty(fetch, trade__orders_pending=ok(*rows), trade__orders_algo_pending=ok(*algos))
        return (await venue.read_slice(name)).orders


async def balances_of(*coins: dict[str, Any], account: str | None = None) -> Any:
    """The snapshot's balances."""
    async with okx(account) as (venue, fetch):
        empty(fetch, account__balance=ok({"details": list(coins)}))
        return (await venue.read_slice("spot")).balances


class TestPositions:
    """From rows to legs."""

    async def test_a_net_position_keeps_the_venues_own_number(self) -> None:
        """Contracts as sent; the exposure in coins."""
        (found,) = await positions_of(position(pos="125.30"))
        assert str(found.contracts) == "125.30"
        assert (found.symbol, found.side, found.hedged, found.isolated) == (
            "BTC/USDT:USDT",
            PositionSide.LONG,
            False,
            False,
        )
        assert (found.base_exposure, found.mark_price) == (Decimal("1.253"), Decimal("64000.5"))

    async def test_a_negative_amount_is_a_short(self) -> None:
        """In net mode the sign is the side."""
        (found,) = await positions_of(position(pos="-4"))
        assert (found.side, found.contracts, found.base_exposure) == (PositionSide.SHORT, 4, Decimal("-0.04"))

    async def test_legs_are_positions_of_their_own_whatever_the_sign(self) -> None:
        """In long/short mode the leg is the side."""
        rows = [position(posSide="long", pos="8"), position(posSide="short", pos="3", mgnMode="isolated")]
        found = await positions_of(*rows)
        assert [(each.side, each.contracts, each.hedged, each.isolated) for each in found] == [
            (PositionSide.LONG, 8, True, False),
            (PositionSide.SHORT, 3, True, True),
        ]

    async def test_cross_and_isolated_stand_side_by_side(self) -> None:
        """In one market, with keys of their own."""
        found = await positions_of(position(), position(mgnMode="isolated"))
        assert len({each.key for each in found}) == 2

    async def test_an_empty_position_is_none(self) -> None:
        """Moving margin by hand leaves one."""
        assert await positions_of(position(pos="0", mgnMode="isolated"), position(pos="0.00")) == ()

    async def test_coin_margined_positions_are_in_the_other_slice(self) -> None:
        """One list has both; each is in one slice."""
        rows = [position(), position(instId=INVERSE, pos="250", markPx="50000", ccy="BTC")]
        (linear,) = await positions_of(*rows)
        (inverse,) = await positions_of(*rows, name="inverse")
        assert linear.market_id == SWAP
        assert (inverse.market_id, inverse.contracts, inverse.base_exposure) == (INVERSE, 250, Decimal("0.5"))

    @pytest.mark.parametrize(
        ("inst_id", "name"),
        [
            ("GONE-USDT-SWAP", "linear"),
            ("GONE-USDC-SWAP", "linear"),
            ("GONE-USD_UM-SWAP", "linear"),
            ("GONE-USD-SWAP", "inverse"),
            ("GONE-USD-260925", "inverse"),
            ("ODD", "linear"),
        ],
    )
    async def test_an_unlisted_market_is_kept_under_its_raw_name_in_one_slice(self, inst_id: str, name: str) -> None:
        """What is held there is held."""
        found = {each: await positions_of(position(instId=inst_id), name=each) for each in ("linear", "inverse")}
        other = "inverse" if name == "linear" else "linear"
        (kept,) = found[name]
        assert (kept.symbol, kept.market_id, kept.base_exposure) == (inst_id, inst_id, None)
        assert found[other] == ()

    async def test_a_narrowed_slice_shows_only_its_settle_coin(self) -> None:
        """Listed or not; what cannot be told is shown."""
        rows = [position(instId=name) for name in (SWAP, "BTC-USDC-SWAP", "NEW-USDC-SWAP", "NEW-USDT-SWAP", "ODD")]
        found = await positions_of(*rows, name="linear:USDT", slices=("linear:USDT",))
        assert [each.market_id for each in found] == [SWAP, "NEW-USDT-SWAP", "ODD"]

    async def test_options_and_events_are_of_no_slice(self) -> None:
        """They are named as not covered."""
        assert await positions_of(position(instType="OPTION"), position(instType="EVENTS")) == ()

    @pytest.mark.parametrize(("held", "side"), [("BTC", PositionSide.LONG), ("USDT", PositionSide.SHORT)])
    async def test_what_is_held_with_margin_on_a_pair_is_shown_in_spot(self, held: str, side: PositionSide) -> None:
        """The coin that is held says which way."""
        row = position(instType="MARGIN", instId="BTC-USDT", pos="0.5", posCcy=held, mgnMode="isolated")
        (found,) = await positions_of(row, name="spot")
        assert (found.slice, found.symbol, found.side, found.contracts) == ("spot", "BTC/USDT", side, Decimal("0.5"))
        assert found.base_exposure == (Decimal("0.5") if side is PositionSide.LONG else None)
        assert await positions_of(row) == ()


class TestCorroboration:
    """The list of positions against the venue's snapshot of account and positions."""

    @staticmethod
    def risk(*rows: dict[str, Any]) -> Answer:
        """That snapshot."""
        return ok({"adjEq": "", "balData": [], "posData": list(rows), "ts": "1620282889345"})

    @pytest.mark.parametrize(
        "hidden",
        [
            position(),
            position(mgnMode="isolated", instId="ETH-USDT-SWAP"),
            position(pos="-1", instId="ETH-USDT-SWAP"),
            position(instId="NEW-USDT-SWAP"),
            position(instType="FUTURES", instId="BTC-USDT-260925"),
            position(posSide="short", pos="1", instId="ETH-USDT-SWAP"),
        ],
    )
    async def test_a_position_that_was_not_listed_makes_the_proof_unknown(self, hidden: dict[str, Any]) -> None:
        """And a plain read doubtful."""
        shown = position(instId="ETH-USDT-SWAP")
        async with okx() as (venue, fetch):
            empty(fetch, account__positions=ok(shown), account__account_position_risk=self.risk(shown, hidden))
            assert (await venue.read_slice("linear")).positions_doubtful
            assert (await venue.read_positions("linear", certain=True)).positions_doubtful
            with pytest.raises(VenueAnswerUnknown, match="not listed"):
                await venue.read_proof("linear")

    async def test_what_was_listed_or_is_empty_or_anothers_is_no_contradiction(self) -> None:
        """Legs, coin-margined ones, pairs and options."""
        rows = [position(), position(instId="ETH-USDT-SWAP", pos="0"), position(instId=INVERSE)]
        rows += [position(instType="MARGIN", instId="BTC-USDT"), position(instType="OPTION", instId="BTC-USD-1-1-C")]
        async with okx() as (venue, fetch):
            empty(fetch, account__positions=ok(position()), account__account_position_risk=self.risk(*rows))
            snapshot = await venue.read_proof("linear")
            assert len(snapshot.positions) == 1
            assert not snapshot.positions_doubtful
            assert snapshot.balances == (), "spot reports the wallet"

    @pytest.mark.parametrize("given", [ok(), ok({}), ok({"posData": None}), ok({"posData": [{}]}), answer([])])
    async def test_a_snapshot_that_is_not_understood_bears_nothing_out(self, given: Answer) -> None:
        """Nor does an empty one."""
        async with okx() as (venue, fetch):
            empty(fetch, account__account_position_risk=given)
            with pytest.raises(VenueError):
                await venue.read_proof("linear")


class TestOrders:
    """Two books in one list."""

    async def test_an_order_shows_what_is_left_of_it(self) -> None:
        """And that it can add exposure."""
        found = await orders_of(order())
        assert {(each.order_id, each.client_order_id, each.side) for each in found} == {
            ("1752588852617379840", "abc", Side.BUY)
        }
        assert (found[0].remaining, found[0].trigger, found[0].protective) == (3, False, False)

    async def test_an_algo_order_lives_in_the_other_book(self) -> None:
        """By its algo id."""
        (found,) = await orders_of(algos=(algo(),))
        assert (found.order_id, found.client_order_id, found.trigger) == ("1753184812254216192", "stop", True)
        assert (found.remaining, found.protective) == (4, True)

    async def test_an_order_that_is_in_several_lists_is_there_once(self) -> None:
        """Every kind of algo order is asked for by itself."""
        assert len(await orders_of(order(), algos=(algo(), algo(algoId="2")))) == 3

    async def test_an_order_for_the_whole_position_has_no_size(self) -> None:
        """closeFraction stands for it."""
        (found,) = await orders_of(algos=(algo(closeFraction="1", sz=""),))
        assert (found.remaining, found.protective) == (None, True)

    async def test_legs_make_orders_protective(self) -> None:
        """Selling the long leg is protective, buying it is not, whatever reduceOnly says."""
        rows = [order(ordId="1", posSide="long", side="sell"), order(ordId="2", posSide="long", side="buy")]
        found = await orders_of(*rows)
        assert [(each.position_side, each.protective) for each in found] == [
            (PositionSide.LONG, True),
            (PositionSide.LONG, False),
        ]

    async def test_where_the_venue_does_not_say_an_order_may_open_something(self) -> None:
        """Empty is not the same as true."""
        (found,) = await orders_of(algos=(algo(reduceOnly="", ordType="twap"),))
        assert not found.protective

    async def test_orders_on_pairs_are_in_spot(self) -> None:
        """With margin, too; sizes of a value say nothing of coins."""
        rows = [
            order(ordId="1", instType="SPOT", instId="BTC-USDT", posSide="", side="sell"),
            order(ordId="2", instType="MARGIN", instId="BTC-USDT", posSide="net"),
            order(ordId="3", instType="SPOT", instId="GONE-USDT", tgtCcy="quote_ccy", posSide=""),
            order(ordId="4"),
        ]
        found = await orders_of(*rows, name="spot")
        assert [(each.order_id, each.symbol, each.remaining) for each in found] == [
            ("1", "BTC/USDT", 3),
            ("2", "BTC/USDT", 3),
            ("3", "GONE-USDT", None),
        ]
        assert [each.order_id for each in await orders_of(*rows)] == ["4"]


class TestBalances:
    """One wallet, reported by spot."""

    async def test_spot_shows_free_and_locked_without_empty_coins(self) -> None:
        """What is available is free."""
        found = await balances_of(coin("BTC", cashBal="0.6", availBal="0.5", frozenBal="0.1"), coin("LTC"))
        assert [(each.asset, each.free, each.locked, each.debt) for each in found] == [
            ("BTC", Decimal("0.5"), Decimal("0.1"), Decimal(0))
        ]

    @pytest.mark.parametrize(
        ("equity", "kept"), [({"stgyEq": "0"}, False), ({"stgyEq": "12.5"}, True), ({"stgyEq": ""}, True), ({}, True)]
    )
    async def test_what_trading_bots_hold_is_said_and_nothing_of_them_where_there_are_none(
        self, equity: dict[str, str], kept: bool
    ) -> None:
        """Strategy equity is in no list of orders and positions; where the venue does not say, there may be some."""
        usdt = {name: value for name, value in coin("USDT", cashBal="1", availBal="1").items() if name != "stgyEq"}
        async with okx() as (venue, fetch):
            empty(fetch, account__balance=ok({"details": [coin("BTC"), usdt | equity]}))
            for snapshot in (await venue.read_slice("spot"), await venue.read_proof("spot")):
                assert any("bots" in name for name in snapshot.kept_apart) is kept
            assert (await venue.read_proof("linear")).kept_apart == ()
            assert venue.unverified == ()

    async def test_without_the_wallet_bots_cannot_be_ruled_out(self) -> None:
        """Spot reads it."""
        async with okx(slices=["linear"]) as (venue, _):
            assert any("bots" in name for name in venue.unverified)

    async def test_profit_that_is_available_is_not_held(self) -> None:
        """Free never exceeds what is there."""
        (found,) = await balances_of(coin("USDT", cashBal="100", availBal="140"))
        assert (found.free, found.locked) == (100, 0)

    async def test_a_negative_balance_is_a_debt(self) -> None:
        """Whichever field says more."""
        coins = [
            coin("BTC", cashBal="-0.2", availBal="0", liab="0.2"),
            coin("ETH", cashBal="-3", availBal="0", liab=""),
            coin("SOL", cashBal="1", availBal="-2", liab="0.5"),
        ]
        found = await balances_of(*coins, account="multi-currency")
        assert [(each.asset, each.free, each.locked, each.debt) for each in found] == [
            ("BTC", 0, 0, Decimal("0.2")),
            ("ETH", 0, 0, 3),
            ("SOL", 0, 1, Decimal("0.5")),
        ]


BROKEN: dict[str, Answer] = {
    "nothing": Answer(body=""),
    "a web page": Answer(body="<html><body>maintenance</body></html>"),
    "a list": answer([]),
    "an object without a code": answer({"data": []}),
    "an object without data": answer({"code": "0", "msg": ""}),
    "half an object": Answer(body='{"code":"0","data":[{"instId":"BTC-USDT-SWAP","pos":"1'),
    "null": Answer(body="null"),
    "a number": Answer(body="7"),
    "data that is an object": answer({"code": "0", "data": {}}),
    "data of text": ok("BTC-USDT-SWAP"),
    "data of lists": ok([]),
    "a part of a success": ok(code="2"),
    "a failure": fault("1", "Operation failed."),
    "a numeric code": answer({"code": 7, "data": []}),
}
ODD_ROWS: list[tuple[str, dict[str, Any]]] = [
    *(
        (POSITIONS, position(**change))
        for change in (
            {"pos": None},
            {"pos": "many"},
            {"pos": "NaN"},
            {"pos": True},
            {"pos": "1E+999999"},
            {"instId": ""},
            {"instType": ""},
            {"instType": "WARRANT"},
            {"posSide": "up"},
            {"posSide": ""},
            {"posSide": None},
            {"mgnMode": ""},
            {"mgnMode": "cash"},
        )
    ),
    *(
        (ORDERS, order(**change))
        for change in (
            {"reduceOnly": None},
            {"reduceOnly": "perhaps"},
            {"sz": ""},
            {"accFillSz": None},
            {"ordId": ""},
            {"side": "hold"},
            {"posSide": ""},
            {"posSide": "both"},
            {"instType": None},
        )
    ),
    *((ALGOS, algo(**change)) for change in ({"algoId": None}, {"sz": ""}, {"reduceOnly": None}, {"side": ""})),
]


@pytest.mark.parametrize("place", [POSITIONS, ORDERS, ALGOS])
@pytest.mark.parametrize("name", BROKEN)
async def test_what_is_not_understood_is_unknown_and_never_empty(name: str, place: str) -> None:
    """The read raises; nobody may take it for flat."""
    async with okx() as (venue, fetch):
        empty(fetch)
        fetch.answers[place] = BROKEN[name]
        for read in (venue.read_slice, venue.read_proof):
            with pytest.raises(VenueError):
                await read("linear")


@pytest.mark.parametrize("name", BROKEN)
async def test_a_wallet_that_is_not_understood_is_not_empty(name: str) -> None:
    """Spot's, and the snapshot beside positions."""
    async with okx() as (venue, fetch):
        empty(fetch)
        fetch.answers[BALANCE] = fetch.answers[RISK] = BROKEN[name]
        for part in ("spot", "linear"):
            with pytest.raises(VenueError):
                await venue.read_proof(part)


@pytest.mark.parametrize(("place", "row"), ODD_ROWS)
async def test_one_odd_row_makes_the_whole_read_unknown(place: str, row: dict[str, Any]) -> None:
    """A row that was skipped could be the one that matters."""
    async with okx() as (venue, fetch):
        empty(fetch)
        fetch.answers[place] = ok(row)
        with pytest.raises(VenueAnswerUnknown):
            await venue.read_slice("linear")


@pytest.mark.parametrize(
    "change", [{"cashBal": ""}, {"availBal": None}, {"ccy": ""}, {"liab": "much"}, {"cashBal": "Infinity"}]
)
async def test_one_odd_coin_makes_the_wallet_unknown(change: dict[str, Any]) -> None:
    """It could be the one that is owed."""
    with pytest.raises(VenueAnswerUnknown):
        await balances_of(coin("BTC", cashBal="1", availBal="1") | change)


async def test_a_position_with_margin_of_an_odd_coin_is_unknown() -> None:
    """Its side cannot be told."""
    for held in ("", "ETH"):
        with pytest.raises(VenueAnswerUnknown):
            await positions_of(position(instType="MARGIN", instId="BTC-USDT", posCcy=held), name="spot")


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (fault("50113", "Invalid signature.", 401), VenueDenied),
        (fault("50111", "Invalid OK-ACCESS-KEY.", 401), VenueDenied),
        (fault("50110", "Your IP is not included in your API key's IP whitelist.", 401), VenueDenied),
        (fault("50120", "This API key doesn't have permission to use this function"), VenueDenied),
        (fault("50011", "Rate limit reached."), VenueLimited),
        (fault("50011", "Too Many Requests", 429), VenueLimited),
        (fault("50102", "Timestamp request expired.", 401), VenueUnavailable),
        (fault("50001", "Service temporarily unavailable.", 503), VenueUnavailable),
        (fault("50026", "System error.", 500), VenueUnavailable),
        (Answer(body="<html>bad gateway</html>", status=502), VenueUnavailable),
        (answer([], status=599), VenueUnavailable),
        (fault("51000", "Parameter instType error", 400), VenueError),
        (fault("51001", "Instrument ID doesn't exist."), VenueError),
    ],
)
async def test_a_failed_read_says_what_to_do_about_it(given: Answer, kind: type[VenueError]) -> None:
    """By the venue's code first, then by the status."""
    async with okx() as (venue, fetch):
        fetch.answers = {POSITIONS: given, path("public/time"): ok({"ts": "1800000000000"})}
        with pytest.raises(VenueError) as raised:
            await venue.read_positions("linear")
        assert type(raised.value) is kind


async def test_a_refused_timestamp_has_the_clock_measured() -> None:
    """So that the next request has it right."""
    async with okx() as (venue, fetch):
        fetch.answers = {
            POSITIONS: fault("50102", "Timestamp request expired.", 401),
            path("public/time"): ok({"ts": "1800000000000"}),
        }
        with pytest.raises(VenueUnavailable):
            await venue.read_positions("linear")
        assert fetch.lines[-1][-1] == path("public/time")
        assert venue.clock_offset_ms() is not None


@pytest.mark.parametrize("given", [ok(), ok({}), ok({"ts": "0"}), ok({"ts": "noon"}), ok({"ts": "1"}, {"ts": "2"})])
async def test_a_time_that_is_none_does_not_move_the_clock(given: Answer) -> None:
    """Everything would be signed by it."""
    async with okx() as (venue, fetch):
        fetch.default = given
        with pytest.raises(VenueAnswerUnknown):
            await venue.keep_warm(1)
        assert venue.clock_offset_ms() is None


CONFIG = {"acctLv": "2", "posMode": "net_mode", "perm": "read_only", "ip": "", "opAuth": "0", "roleType": "0"}


@pytest.mark.parametrize(
    ("level", "account"), [("1", "spot"), ("2", "futures"), ("3", "multi-currency"), ("4", "portfolio")]
)
async def test_the_kind_of_account_is_the_venues_word(level: str, account: str) -> None:
    """One that is configured otherwise is degraded, and says what it is."""
    async with okx(account) as (venue, fetch):
        fetch.default = ok({**CONFIG, "acctLv": level, "roleType": "1"})
        await venue._read_key()
        facts = venue.key_facts
        assert facts is not None
        assert (facts.account, facts.hedged, facts.may_trade, facts.may_withdraw) == (account, False, False, False)
        assert facts.bound_to_addresses is False
        assert "copy trading" in venue.not_covered
        fetch.default = ok({**CONFIG, "acctLv": "2" if level != "2" else "3"})
        with pytest.raises(VenueDenied, match=r"options\.account"):
            await venue._read_key()


@pytest.mark.parametrize("change", [{"acctLv": "5"}, {"acctLv": None}, {"posMode": ""}, {"posMode": "x"}, {"perm": ""}])
async def test_a_configuration_that_is_not_understood_is_none(change: dict[str, Any]) -> None:
    """Nothing is guessed."""
    async with okx() as (venue, fetch):
        fetch.default = ok(CONFIG | change)
        with pytest.raises(VenueAnswerUnknown):
            await venue._read_key()
