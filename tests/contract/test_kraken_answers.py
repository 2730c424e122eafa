"""What answers of Kraken mean, how steps end, and what the gate lets out."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID

import aiohttp
import ccxt
import pytest
from ccxt import async_support

from node.domain.permission import Effect, Permission
from node.domain.plan import Scope, plan_slice
from node.domain.snapshot import MarketKind, PositionSide, Side
from node.domain.steps import CancelOrders, ClosePosition, OrderIds, Outcome, Refusal, Step
from node.errors import VenueAnswerUnknown, VenueDenied, VenueError, VenueLimited, VenueUnavailable
from node.venues.call import Call
from node.venues.gate import NotPermitted, read_request
from node.venues.layout import resolve
from node.venues.markets import MarketBook
from node.venues.profiles.kraken import streams
from node.venues.profiles.kraken.answers import rules_of
from node.venues.profiles.kraken.effects import effect_of
from node.venues.profiles.kraken.judgements import pause_s
from node.venues.profiles.kraken.profile import KrakenProfile
from node.venues.stream import Heard
from tests.support.kraken import API, BOOKS, ONE, TWO, cancel, close, empty, failed, ok, sell, venue
from tests.support.venue import Answer, answer, rules

UUID_A, UUID_B = UUID(int=1), UUID(int=2)
SEND = f"POST {API}/AddOrder"


def margin(**changes: Any) -> dict[str, Any]:
    """As documented: get-open-positions."""
    return {
        "ordertxid": ONE,
        "posstatus": "open",
        "pair": "XXBTZUSD",
        "time": 1605280097.8294,
        "type": "buy",
        "ordertype": "limit",
        "cost": "104610.52842",
        "fee": "289.06565",
        "vol": "8.82412861",
        "vol_closed": "0.20200000",
        "margin": "20922.10568",
        "terms": "0.0100% per 4 hours",
        "rollovertm": "1616672637",
        **changes,
    }


def order(descr: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """As documented: get-open-orders."""
    described = {
        "pair": "XBTUSD",
        "type": "buy",
        "ordertype": "limit",
        "price": "30010.0",
        "price2": "0",
        "leverage": "none",
        "order": "buy 1.25000000 XBTUSD @ limit 30010.0",
        "close": "",
    }
    return {
        "refid": None,
        "userref": 0,
        "status": "open",
        "opentm": 1616666559.8974,
        "descr": described | (descr or {}),
        "vol": "1.25000000",
        "vol_exec": "0.37500000",
        "misc": "",
        "oflags": "fciq",
        **changes,
    }


async def positions_of(*rows: Any) -> Any:
    """The snapshot's positions."""
    async with venue() as (account, fetch):
        empty(fetch, OpenPositions=ok({f"T{number}": each for number, each in enumerate(rows)}))
        return (await account.read_positions("spot")).positions


async def orders_of(**rows: Any) -> Any:
    """The snapshot's orders."""
    async with venue() as (account, fetch):
        empty(fetch, OpenOrders=ok({"open": rows}))
        return (await account.read_slice("spot")).orders


async def balances_of(**rows: Any) -> dict[str, Any]:
    """By coin: free, locked, debt."""
    async with venue() as (account, fetch):
        empty(fetch, BalanceEx=ok({name.replace("__", "."): each for name, each in rows.items()}))
        balances = (await account.read_slice("spot")).balances
    return {each.asset: (each.free, each.locked, each.debt) for each in balances or ()}


class TestPositions:
    async def test_trades_of_one_market_and_side_are_one_position(self) -> None:
        """Less what was closed of them; a market by either of its names."""
        found = await positions_of(
            margin(),
            margin(pair="XBTUSD", vol="1", vol_closed="1"),
            margin(vol="1.0", vol_closed="0"),
            margin(pair="XXBTZUSD", type="sell", vol="2", vol_closed="0.5"),
        )
        assert [(each.symbol, each.side, each.contracts) for each in found] == [
            ("BTC/USD", PositionSide.LONG, Decimal("9.62212861")),
            ("BTC/USD", PositionSide.SHORT, Decimal("1.5")),
        ]
        assert [each.base_exposure for each in found] == [Decimal("9.62212861"), Decimal("-1.5")]
        assert {(each.market_id, each.hedged, each.isolated, each.mark_price) for each in found} == {
            ("XXBTZUSD", False, False, None)
        }

    async def test_a_market_that_is_not_listed_is_kept_under_its_own_name(self) -> None:
        (found,) = await positions_of(margin(pair="NEWUSD"))
        assert (found.symbol, found.market_id) == ("NEWUSD", "NEWUSD")

    @pytest.mark.parametrize(
        "row", [margin(type="long"), margin(vol=None), margin(vol_closed="9"), margin(pair=""), "x"]
    )
    async def test_a_strange_row_is_no_empty_list(self, row: Any) -> None:
        with pytest.raises(VenueAnswerUnknown):
            await positions_of(row)

    async def test_they_are_closed_before_anybody_says_flat(self) -> None:
        """A plan for the slice has a close for each, bounded by the venue, and cancels by name."""
        async with venue() as (account, fetch):
            empty(fetch, OpenPositions=ok({"T": margin()}), OpenOrders=ok({"open": {ONE: order(), TWO: order()}}))
            snapshot = await account.read_proof("spot")
            plan = plan_slice(
                snapshot,
                Scope(),
                account.rules("spot"),
                ids=OrderIds(command_id=UUID_A, account_id=UUID_B, attempt=0, round=0),
                memory={},
                max_slippage=Decimal("0.05"),
                fresh=True,
            )
            closing, cancelling = plan.steps
            assert isinstance(closing, ClosePosition)
            assert isinstance(cancelling, CancelOrders)
            assert cancelling.order_ids == (ONE, TWO)
            fetch.default = ok({"txid": [ONE], "descr": {}})
            assert (await account.execute(closing)).outcome is Outcome.DONE
            assert fetch.sent[-1].params["reduce_only"] == "true"
            assert fetch.sent[-1].params["volume"] == "8.62212861"


class TestOrders:
    async def test_a_limit_order_and_a_stop_in_one_list(self) -> None:
        """Known by the pair's other name; the stop as one that waits for a trigger."""
        limit, stop = await orders_of(
            **{
                ONE: order(cl_ord_id="mine"),
                TWO: order({"type": "sell", "ordertype": "stop-loss", "pair": "ETHXBT"}, vol_exec="0"),
            }
        )
        assert (limit.order_id, limit.client_order_id, limit.side, limit.symbol) == (ONE, "mine", Side.BUY, "BTC/USD")
        assert (limit.remaining, limit.trigger, limit.market_id) == (Decimal("0.875"), False, "XXBTZUSD")
        assert (stop.order_id, stop.client_order_id, stop.side, stop.symbol) == (TWO, None, Side.SELL, "ETH/BTC")
        assert (stop.remaining, stop.trigger, stop.protective) == (Decimal("1.25"), True, False)

    async def test_an_unknown_market_is_kept_under_its_own_name(self) -> None:
        (found,) = await orders_of(**{ONE: order({"pair": "AAPLxUSD"})})
        assert (found.symbol, found.market_id) == ("AAPLxUSD", "AAPLxUSD")

    @pytest.mark.parametrize(
        "row",
        [
            order({"type": "none"}),
            order({"pair": ""}),
            order({"ordertype": None}),
            order(vol="some"),
            order(vol_exec=None),
            order(descr=None) | {"descr": None},
            [],
            None,
        ],
    )
    async def test_a_strange_row_is_no_empty_list(self, row: Any) -> None:
        with pytest.raises(VenueAnswerUnknown):
            await orders_of(**{ONE: row})


class TestBalances:
    async def test_coins_by_ccxts_names(self) -> None:
        """What orders hold is locked; what earns by itself is the coin's own, what is staked is not."""
        found = await balances_of(
            ZUSD={"balance": "25435.21", "hold_trade": "8249.76"},
            XXBT={"balance": "1.2435", "hold_trade": "0.8423"},
            XBT__F={"balance": "0.5", "hold_trade": "0"},
            DOT__S={"balance": "10", "hold_trade": "0"},
            ETH2__S={"balance": "0.0000000000", "hold_trade": "0.0000000000"},
            XXDG={"balance": 7.5, "hold_trade": 0},
        )
        assert found == {
            "USD": (Decimal("17185.45"), Decimal("8249.76"), 0),
            "BTC": (Decimal("0.9012"), Decimal("0.8423"), 0),
            "DOT.S": (10, 0, 0),
            "DOGE": (Decimal("7.5"), 0, 0),
        }

    async def test_what_is_owed(self) -> None:
        """On credit, or by a negative balance."""
        found = await balances_of(
            ZUSD={"balance": "-5.5", "hold_trade": "0"},
            XXBT={"balance": "1", "hold_trade": "3", "credit": "2", "credit_used": "0.5"},
        )
        assert found == {"USD": (0, 0, Decimal("5.5")), "BTC": (0, 1, Decimal("0.5"))}

    @pytest.mark.parametrize(
        "row",
        [
            {"balance": "1"},
            {"hold_trade": "1"},
            {"balance": "much", "hold_trade": "0"},
            {"balance": "1", "hold_trade": "-1"},
            {"balance": "1", "hold_trade": "0", "credit_used": "some"},
            "1.0",
            None,
        ],
    )
    async def test_a_strange_row_is_no_empty_wallet(self, row: Any) -> None:
        with pytest.raises(VenueAnswerUnknown):
            await balances_of(XXBT=row)


GARBAGE: dict[str, Answer] = {
    "nothing": Answer(body=""),
    "null": Answer(body="null"),
    "a list": answer([]),
    "an empty object": answer({}),
    "no errors and nothing else": answer({"error": []}),
    "no word of errors": answer({"result": {"open": {}}}),
    "null for the errors": answer({"error": None, "result": {"open": {}}}),
    "null for the result": ok(None),
    "text for the result": ok("none"),
    "a warning": answer({"error": ["WGeneral:Something"], "result": {"open": {}}}),
    "a web page": Answer(body="<html>ok</html>"),
    "half a document": Answer(body='{"error": [], "result": {'),
    "a list that is not empty": ok(["x"]),
}


@pytest.mark.parametrize("aspect", ["OpenOrders", "OpenPositions", "BalanceEx"])
@pytest.mark.parametrize("name", GARBAGE)
async def test_garbage_is_never_an_empty_result(aspect: str, name: str) -> None:
    """Of no shape, in no aspect."""
    async with venue() as (account, fetch):
        empty(fetch, **{aspect: GARBAGE[name]})
        with pytest.raises(VenueError):
            await account.read_proof("spot")


@pytest.mark.parametrize("found", [{}, {"open": None}, {"open": "none"}, {"closed": {}}])
async def test_open_orders_are_an_object_of_their_own(found: Any) -> None:
    """Which may be empty, but not missing."""
    async with venue() as (account, fetch):
        empty(fetch, OpenOrders=ok(found))
        with pytest.raises(VenueAnswerUnknown):
            await account.read_proof("spot")


async def test_empty_objects_may_be_lists() -> None:
    """As some of the venue's answers have them."""
    async with venue() as (account, fetch):
        empty(fetch, OpenOrders=ok({"open": []}), OpenPositions=ok([]), BalanceEx=ok([]))
        proof = await account.read_proof("spot")
        assert (proof.orders, proof.positions, proof.balances) == ((), (), ())


def pair(base: str, quote: str, **changes: Any) -> dict[str, Any]:
    """As documented: get-tradable-asset-pairs."""
    return {
        "altname": f"{base}{quote}",
        "wsname": f"{base}/{quote}",
        "aclass_base": "currency",
        "base": base,
        "quote": quote,
        "lot": "unit",
        "cost_decimals": 5,
        "pair_decimals": 1,
        "lot_decimals": 8,
        "lot_multiplier": 1,
        "leverage_buy": [2, 3],
        "fees": [[0, 0.4]],
        "fees_maker": [[0, 0.2]],
        "ordermin": "0.0001",
        "costmin": "0.5",
        "tick_size": "0.1",
        "status": "online",
        **changes,
    }


PAIRS = {
    "XXBTZUSD": pair("XXBT", "ZUSD"),
    "XETHXXBT": pair("XETH", "XXBT", pair_decimals=5, tick_size=None, costmin=None),
    "ADAEUR": pair("ADA", "ZEUR", status="limit_only", lot_decimals=0),
    "XDGUSD": pair("XXDG", "ZUSD", status="cancel_only"),
    "PEPEUSD": pair("PEPE", "ZUSD", status="post_only"),
    "SOLUSD": pair("SOL", "ZUSD", status="reduce_only"),
    "BTCUSD:BTNL": pair("XXBT", "ZUSD"),
    "XXBTZUSD.d": pair("XXBT", "ZUSD"),
}


class TestMarkets:
    async def rules(self) -> dict[str, Any]:
        async with venue() as (account, fetch):
            fetch.default = ok(PAIRS)
            return {rule.market_id: rule for rule in await account._reader.markets(MarketKind.SPOT)}

    async def test_steps_minima_and_status(self) -> None:
        """Markets of other venues and of the dark pool have the same names and are none."""
        found = await self.rules()
        assert list(found) == ["XXBTZUSD", "XETHXXBT", "ADAEUR", "XDGUSD", "PEPEUSD", "SOLUSD"]
        bitcoin, ether, ada = (found[name] for name in ("XXBTZUSD", "XETHXXBT", "ADAEUR"))
        assert (bitcoin.symbol, bitcoin.quantity_step, bitcoin.quantity_min) == (
            "BTC/USD",
            Decimal("1E-8"),
            Decimal("0.0001"),
        )
        assert (bitcoin.notional_min, bitcoin.price_tick) == (Decimal("0.5"), Decimal("0.1"))
        assert (ether.notional_min, ether.price_tick, ada.quantity_step) == (None, Decimal("1E-5"), 1)
        assert [rule.trading for rule in found.values()] == [True, True, True, False, False, False]
        assert not any(rule.sweeps for rule in found.values())

    async def test_names_are_ccxts(self) -> None:
        """What people know their markets by."""
        exchange = async_support.kraken()

        async def pairs(_params: Any) -> Any:
            return {"error": [], "result": PAIRS}

        exchange.publicGetAssetPairs = pairs
        theirs = {each["id"]: each for each in await exchange.fetch_markets()}
        await exchange.close()
        for name, rule in (await self.rules()).items():
            assert (rule.symbol, rule.base, rule.quote) == tuple(
                theirs[name][key] for key in ("symbol", "base", "quote")
            )
            assert float(rule.quantity_step) == float(theirs[name]["precision"]["amount"])

    @pytest.mark.parametrize(
        "found",
        [ok({}), ok({"X": {"base": "X"}}), ok({"X": pair("A", "B", lot_decimals="0.5")}), failed("EService:Busy")],
    )
    async def test_no_markets_are_no_markets(self, found: Answer) -> None:
        async with venue() as (account, fetch):
            fetch.default = found
            with pytest.raises(VenueError):
                await account._reader.markets(MarketKind.SPOT)

    def test_either_name_of_a_market(self) -> None:
        """Those with an X or a Z before old coins, and those without; its own name goes before."""
        book = BOOKS[MarketKind.SPOT]
        names = {"XXBTZUSD": "XBTUSD", "XETHXXBT": "ETHXBT", "USDTZUSD": "USDTUSD", "XBTUSDT": "XBTUSDT"}
        for name, other in names.items():
            assert rules_of(book, name) is rules_of(book, other) is book.by_id[name]
        for stranger in ("XBTEUR", "BTUSDT", ""):
            assert rules_of(book, stranger) is None
        both = MarketBook([*book.by_id.values(), rules("B/U", "XBTUSD", MarketKind.SPOT)])
        assert rules_of(both, "XBTUSD") is both.by_id["XBTUSD"]


class TestQuotes:
    async def quotes(self, found: Any, *symbols: str) -> Any:
        async with venue() as (account, fetch):
            fetch.default = ok(found)
            quotes = await account.quotes(symbols)
            return {symbol: (quote.bid, quote.ask) for symbol, quote in quotes.items()}

    async def test_best_bids_and_offers(self) -> None:
        """A market that nobody bids in has no quote."""
        row = {"a": ["52609.60000", "1", "1.000"], "b": ["52609.50000", "1", "1.000"]}
        dead = {"a": ["1.0", "1", "1"], "b": ["0.00000", "0", "0.000"]}
        found = await self.quotes({"XXBTZUSD": row, "ADAEUR": dead, "OTHER": row}, "BTC/USD", "ADA/EUR")
        assert found == {"BTC/USD": (Decimal("52609.5"), Decimal("52609.6"))}

    @pytest.mark.parametrize("found", [{}, {"XXBTZUSD": {}}, {"XXBTZUSD": {"a": [], "b": []}}, {"XXBTZUSD": None}])
    async def test_an_answer_without_the_market_is_none(self, found: Any) -> None:
        with pytest.raises(VenueAnswerUnknown):
            await self.quotes(found, "BTC/USD")


# How steps end

TAKEN = ok({"descr": {"order": "sell 0.50000000 XBTUSD @ limit 60000.1"}, "txid": [TWO]})


async def ended(step: Step, found: Any) -> tuple[Outcome, Refusal | None]:
    """How a step ends when that is answered."""
    async with venue() as (account, fetch):
        names = ("CancelOrder", "CancelOrderBatch") if isinstance(step, CancelOrders) else ("AddOrder",)
        fetch.answers = {f"POST {API}/{name}": found for name in names}
        fetch.default = ok({"unixtime": 1616336594})
        result = await account.execute(step)
        assert result.sent_ns is not None
        return result.outcome, result.refusal


DONE, GONE, UNCLEAR = (Outcome.DONE, None), (Outcome.REFUSED, Refusal.UNKNOWN_ORDER), (Outcome.AMBIGUOUS, None)

ERRORS = {
    "EAPI:Rate limit exceeded": Refusal.RATE_LIMITED,
    "EOrder:Rate limit exceeded": Refusal.RATE_LIMITED,
    "EOrder:Domain rate limit exceeded": Refusal.RATE_LIMITED,
    "EGeneral:Too many requests": Refusal.RATE_LIMITED,
    "EAuth:Rate limit exceeded": Refusal.RATE_LIMITED,
    "EAuth:Too many requests": Refusal.RATE_LIMITED,
    "EService:Throttled: 1616336594": Refusal.RATE_LIMITED,
    "EService: Throttled: [1616336594]": Refusal.RATE_LIMITED,
    "EAPI:Invalid key": Refusal.DENIED,
    "EAPI:Invalid signature": Refusal.DENIED,
    "EGeneral:Permission denied": Refusal.DENIED,
    "EGeneral:Temporary lockout": Refusal.DENIED,
    "EAuth:Account temporary disabled": Refusal.DENIED,
    "EAuth:Account unconfirmed": Refusal.DENIED,
    "EAccount:Invalid permissions": Refusal.DENIED,
    "ESession:Invalid session": Refusal.DENIED,
    "ETrade:User Locked": Refusal.DENIED,
    "EOrder:Trading agreement required": Refusal.DENIED,
    "EAPI:Invalid nonce": Refusal.OTHER,
    "EService:Deadline elapsed": Refusal.OTHER,
    "EOrder:Reduce only:No position exists": Refusal.NOTHING_TO_REDUCE,
    "EOrder:Unknown position": Refusal.NOTHING_TO_REDUCE,
    "EOrder:Reduce only:Non-PC": Refusal.OTHER,
    "EOrder:Insufficient funds": Refusal.INSUFFICIENT,
    "EOrder:Order minimum not met": Refusal.TOO_SMALL,
    "EOrder:Cost minimum not met": Refusal.TOO_SMALL,
    "EGeneral:Invalid arguments:volume minimum not met": Refusal.TOO_SMALL,
    "EOrder:Invalid price": Refusal.PRICE_BAND,
    "EOrder:Invalid price:Invalid price argument": Refusal.PRICE_BAND,
    "EOrder:Tick size check failed": Refusal.OTHER,
    "EService:Market in cancel_only mode": Refusal.MARKET_CLOSED,
    "EService:Market in post_only mode": Refusal.MARKET_CLOSED,
    "EOrder:Cannot open position": Refusal.OTHER,
    "EOrder:Cannot open opposing position": Refusal.OTHER,
    "EOrder:Margin allowance exceeded": Refusal.OTHER,
    "EOrder:Margin level too low": Refusal.OTHER,
    "EOrder:Margin position size exceeded": Refusal.OTHER,
    "EOrder:Insufficient margin": Refusal.OTHER,
    "EOrder:Orders limit exceeded": Refusal.OTHER,
    "EOrder:Scheduled orders limit exceeded": Refusal.OTHER,
    "EOrder:Positions limit exceeded": Refusal.OTHER,
    "EOrder:Invalid order:txid": Refusal.OTHER,
    "EGeneral:Invalid arguments": Refusal.OTHER,
    "EGeneral:Invalid arguments:Index unavailable": Refusal.OTHER,
    "EGeneral:Unknown method": Refusal.OTHER,
    "EQuery:Unknown asset pair": Refusal.OTHER,
    "EQuery:Invalid asset pair": Refusal.OTHER,
    "ETrade:Invalid request": Refusal.OTHER,
    "EBM:limit exceeded:CAL": Refusal.OTHER,
}


@pytest.mark.parametrize("error", ERRORS)
async def test_errors_that_are_certain(error: str) -> None:
    """By their beginnings, for a sale and for a close alike, also after a warning."""
    assert await ended(sell(), failed(error)) == (Outcome.REFUSED, ERRORS[error])
    assert await ended(close(), failed("WSomething:else", error)) == (Outcome.REFUSED, ERRORS[error])


def caused(kind: type[Exception], cause: BaseException) -> Exception:
    """ccxt's exception as it raises it."""
    raised = kind("kraken")
    raised.__cause__ = cause
    return raised


def surprise() -> None:
    """In the middle of a parser."""
    raise KeyError("surprise")


UNCERTAIN: dict[str, Answer | BaseException | Callable[[], Any]] = {
    "connection lost after sending": caused(ccxt.ExchangeNotAvailable, aiohttp.ServerDisconnectedError()),
    "truncated body": caused(ccxt.ExchangeError, aiohttp.ClientPayloadError("not all data")),
    "no answer in time": caused(ccxt.RequestTimeout, TimeoutError()),
    "empty 200": Answer(body=""),
    "a web page": Answer(body="<html>ok</html>"),
    "half a document": Answer(body='{"error": [], "result": {"txid": ["O'),
    "no errors and nothing else": answer({"error": []}),
    "taken without an id": ok({"descr": {}}),
    "an empty list of ids": ok({"txid": []}),
    "an empty id": ok({"txid": [""]}),
    "no list of ids": ok({"txid": TWO}),
    "a warning only": answer({"error": ["WOrder:Something"], "result": {"txid": [TWO]}}),
    "offline": failed("EService:Unavailable"),
    "busy": failed("EService:Busy"),
    "internal": failed("EGeneral:Internal error:1"),
    "database": failed("EDatabase:Internal error"),
    "a part was executed": failed("EOrder:Reduce only:Position is closed"),
    "an error that nobody knows": failed("EOrder:Something new"),
    "500 with an error that would be certain": answer({"error": ["EOrder:Insufficient funds"]}, 500),
    "502": Answer(body="<html>bad gateway</html>", status=502),
    "520": Answer(body="", status=520),
    "403 from a firewall": Answer(body="<html>forbidden</html>", status=403),
    "a redirection": answer({"error": ["EOrder:Insufficient funds"]}, 302),
    "a parser's surprise": surprise,
    "ccxt's BadRequest without the venue's document": ccxt.BadRequest("kraken"),
}


@pytest.mark.parametrize("name", UNCERTAIN)
async def test_whatever_may_have_been_executed_is_ambiguous(name: str) -> None:
    """Neither done nor refused, and never an exception."""
    assert await ended(sell(), UNCERTAIN[name]) == UNCLEAR


@pytest.mark.parametrize(
    ("step", "found", "outcome"),
    [
        (sell(), TAKEN, DONE),
        (close(), TAKEN, DONE),
        (cancel(ONE), ok({"count": 1}), DONE),
        (cancel(ONE), ok({"count": "1"}), DONE),
        (cancel(ONE), ok({"count": 0, "pending": True}), DONE),
        (cancel(ONE), ok({"count": 0}), GONE),
        (cancel(ONE), ok({}), UNCLEAR),
        (cancel(ONE), ok({"count": "all"}), UNCLEAR),
        (cancel(ONE), failed("EOrder:Unknown order"), GONE),
        (cancel(ONE), failed("EOrder:Invalid order"), GONE),
        (cancel(ONE), failed("EGeneral:Permission denied"), (Outcome.REFUSED, Refusal.DENIED)),
        (cancel(ONE, TWO), ok({"count": 2}), DONE),
        (cancel(ONE, TWO), ok({"count": 1}), UNCLEAR),
        (cancel(ONE, TWO), ok({"count": 0}), GONE),
    ],
)
async def test_what_the_venue_has_done(step: Step, found: Answer, outcome: tuple[Outcome, Refusal | None]) -> None:
    """Of several orders all must be gone; which were not is not told."""
    assert await ended(step, found) == outcome


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (ok({"closed": {TWO: {"cl_ord_id": "sabcdefgh234567abc", "status": "closed"}}, "count": 1}), True),
        (ok({"closed": {}, "count": 0}), False),
        (ok({"closed": []}), False),
        (ok({"closed": {TWO: {"cl_ord_id": "another"}}, "count": 1}), None),
        (ok({"closed": {}, "count": 7}), None),
        (failed("EGeneral:Permission denied"), None),
        (failed("EService:Unavailable"), None),
    ],
)
async def test_whether_a_sale_has_arrived(found: Answer, said: bool | None) -> None:
    """An answer about other orders says nothing."""
    async with venue() as (account, fetch):
        fetch.default = found
        assert await account.filled(sell()) is said


@pytest.mark.parametrize(
    ("found", "error"),
    [
        (failed("EAPI:Rate limit exceeded"), VenueLimited),
        (failed("EService:Throttled: 1616336594"), VenueLimited),
        (Answer(body="", status=429), VenueLimited),
        (failed("EAPI:Invalid key"), VenueDenied),
        (failed("EGeneral:Permission denied"), VenueDenied),
        (failed("EAPI:Invalid nonce"), VenueUnavailable),
        (Answer(body="<html/>", status=502), VenueUnavailable),
        (failed("EService:Unavailable"), VenueError),
    ],
)
async def test_why_a_read_told_nothing(found: Answer, error: type[VenueError]) -> None:
    """By what the operator must do about it."""
    async with venue() as (account, fetch):
        empty(fetch, OpenPositions=found)
        fetch.default = ok({"unixtime": 1616336594})
        with pytest.raises(error):
            await account.read_positions("spot")


def test_how_long_the_venue_wants_to_be_left_alone() -> None:
    """By its own time and date; the engine's counters are each market's own."""
    date = "Sun, 21 Mar 2021 14:23:14 GMT"
    assert pause_s("EAPI:Rate limit exceeded", "") == 4.0
    assert pause_s("EService:Throttled: 1616336604", date) == 10.0
    assert pause_s("EService: Throttled: [1616336604]", date) == 10.0
    assert pause_s("EService:Throttled: 1616336000", date) == 0.0
    assert pause_s("EService:Throttled: 9999999999", date) == 60.0
    assert pause_s("EService:Throttled: 1616336604", "soon") == 4.0
    for code in ("EService:Throttled", "EService:Throttled: ever", "EOrder:Rate limit exceeded", None):
        assert pause_s(code, date) is None


async def test_a_spent_counter_does_not_keep_orders() -> None:
    """They have a counter of their own."""
    async with venue() as (account, fetch):
        empty(fetch, OpenPositions=failed("EAPI:Rate limit exceeded"))
        fetch.answers[SEND] = TAKEN
        with pytest.raises(VenueLimited):
            await account.read_positions("spot")
        fetch.sent.clear()
        with pytest.raises(VenueLimited):
            await account.read_positions("spot")
        assert fetch.sent == []
        assert (await account.execute(sell())).outcome is Outcome.DONE


# The gate

CANCELS: tuple[Step, ...] = (cancel(ONE), cancel(ONE, TWO))
CLOSES: tuple[Step, ...] = (sell(), close(), close(side=PositionSide.SHORT), close(limit_price=Decimal(60000)))


@pytest.mark.parametrize("level", list(Permission))
async def test_every_step_leaves_at_its_level_and_not_below(level: Permission) -> None:
    """Reads are open to every level, although they are POST."""
    async with venue(permission=level) as (account, fetch):
        for steps, effect in ((CANCELS, Effect.CANCEL), (CLOSES, Effect.CLOSE)):
            for step in steps:
                fetch.sent.clear()
                result = await account.execute(step)
                assert len(fetch.sent) == (1 if level.allows(effect) else 0), step
                assert (result.refusal is Refusal.PERMISSION) is not level.allows(effect)
        fetch.sent.clear()
        empty(fetch)
        await account.read_proof("spot")
        assert len(fetch.sent) == 3


SALE = {"pair": "XXBTZUSD", "type": "sell", "ordertype": "limit", "timeinforce": "IOC", "price": "1", "volume": "1"}
CLOSING = {**SALE, "ordertype": "market", "leverage": "2", "reduce_only": "true"}
LIES = [
    Call(endpoint="privatePostAddOrder", effect=Effect.READ, params=SALE),
    Call(endpoint="privatePostAddOrder", effect=Effect.CANCEL, params=CLOSING),
    *(
        Call(endpoint="privatePostAddOrder", effect=Effect.CLOSE, params=params)
        for params in (
            {**SALE, "type": "buy"},
            {**SALE, "timeinforce": "GTC"},
            {name: value for name, value in SALE.items() if name != "timeinforce"},
            {**SALE, "ordertype": "stop-loss"},
            {**SALE, "leverage": "2"},
            {**SALE, "leverage": "none"},
            {**SALE, "oflags": "fciq,post"},
            {**SALE, "oflags": "viqc"},
            {**SALE, "starttm": "+5"},
            {**SALE, "close[ordertype]": "limit"},
            {**SALE, "displayvol": "1"},
            {**CLOSING, "reduce_only": "false"},
            {**CLOSING, "leverage": "none"},
            {**CLOSING, "leverage": ""},
            {**CLOSING, "ordertype": "settle-position"},
            {**CLOSING, "close[price]": "1"},
            {**CLOSING, "type": "buy", "reduce_only": "no"},
            {**SALE, "type": "buy", "reduce_only": "true"},
        )
    ),
    Call(endpoint="privatePostAddOrder", effect=Effect.OPEN, params={**SALE, "price": "+5%"}),
    Call(endpoint="privatePostAddOrderBatch", effect=Effect.OPEN, params={"pair": "XXBTZUSD", "orders": [SALE]}),
    Call(endpoint="privatePostCancelOrder", effect=Effect.READ, params={"txid": ONE}),
    Call(endpoint="privatePostCancelOrder", effect=Effect.CANCEL, params={"txid": ONE, "other": "1"}),
    Call(endpoint="privatePostCancelOrderBatch", effect=Effect.CANCEL, params={"orders": [ONE], "other": 1}),
    Call(endpoint="privatePostCancelAll", effect=Effect.OPEN),
    Call(endpoint="privatePostCancelAllOrdersAfter", effect=Effect.OPEN, params={"timeout": 60}),
    Call(endpoint="privatePostEditOrder", effect=Effect.OPEN, params={"txid": ONE}),
    Call(endpoint="privatePostWithdraw", effect=Effect.OPEN, params={"asset": "XBT", "key": "k", "amount": "1"}),
    Call(endpoint="privatePostWalletTransfer", effect=Effect.OPEN, params={"asset": "XBT", "amount": "1"}),
    Call(endpoint="privatePostEarnAllocate", effect=Effect.OPEN, params={"amount": "1"}),
    Call(endpoint="privatePostTradesHistory", effect=Effect.OPEN),
]


@pytest.mark.parametrize("level", list(Permission))
async def test_no_call_may_claim_to_do_less_than_it_does(level: Permission) -> None:
    """Nor may anything leave that the table does not know."""
    async with venue(permission=level) as (account, fetch):
        for lie in LIES:
            attempt = await account._client.attempt(lie)
            assert isinstance(attempt.error, NotPermitted), lie
        assert fetch.sent == []


@pytest.mark.parametrize("level", list(Permission))
async def test_no_endpoint_of_ccxts_can_be_used_undeclared(level: Permission) -> None:
    """All of them, not just the ones that we thought of."""
    async with venue(permission=level) as (account, fetch):
        exchange = account._client.ccxt
        names = [name for name in dir(type(exchange)) if name.startswith("privatePost")]
        assert len(names) > 40
        for name in names:
            for params in ({}, {**CLOSING, "orders": [], "txid": ONE}):
                with pytest.raises(account._client.faults):
                    await getattr(exchange, name)(params)
        assert fetch.sent == []


FORGED: list[tuple[str, str, str | None, Effect | None]] = [
    ("/0/private/AddOrder", "POST", "type=sell&ordertype=market&volume=1", Effect.CLOSE),
    ("/0/private/AddOrder?type=buy", "POST", "ordertype=market&volume=1", Effect.OPEN),
    ("/0/private/AddOrder", "POST", '{"type": "sell", "ordertype": "market"}', None),
    ("/0/private/AddOrder", "GET", None, None),
    ("/0/private/CancelOrderBatch", "POST", '{"nonce": "1", "orders": ["O"]}', Effect.CANCEL),
    ("/0/private/CancelOrderBatch?x=1", "POST", '{"nonce": "1", "orders": ["O"]}', None),
    ("/0/private/CancelOrderBatch", "POST", '["O"]', None),
    ("/0/private/CancelOrderBatch", "POST", "{", None),
    ("/0/private/BalanceEx", "POST", "nonce=1", Effect.READ),
    ("/0/private/BalanceEx", "POST", '{"nonce": 1}', None),
    ("/0/private/BalanceEx", "PUT", "nonce=1", None),
    ("/0/public/Time", "GET", None, Effect.READ),
    ("/0/public/Time", "POST", "nonce=1", None),
    ("/0/private/../private/Withdraw", "POST", "nonce=1", None),
]


@pytest.mark.parametrize(("path", "method", "body", "effect"), FORGED)
def test_requests_are_told_by_themselves(path: str, method: str, body: str | None, effect: Effect | None) -> None:
    """By method, path, and parameters wherever they are."""
    assert effect_of(read_request(f"https://api.kraken.com{path}", method, body)) is effect


# Streams


class TestStream:
    stream = streams.stream(resolve("kraken", None, ("spot",)), ())

    def test_two_subscriptions_with_a_token(self) -> None:
        """As documented: websocket-v2. What is so already is not asked for."""
        assert self.stream.url(None) == "wss://ws-auth.kraken.com/v2"
        ticket = self.stream.ticket
        assert ticket is not None
        assert (ticket.endpoint, ticket.effect) == ("privatePostGetWebSocketsToken", Effect.READ)
        said = [
            json.loads(text)
            for text in self.stream.hello(None, {"error": [], "result": {"token": "T", "expires": 900}})
        ]
        assert said == [
            {
                "method": "subscribe",
                "params": {"channel": "executions", "token": "T", "snap_orders": False, "snap_trades": False},
            },
            {"method": "subscribe", "params": {"channel": "balances", "token": "T", "snapshot": False}},
        ]
        with pytest.raises(VenueAnswerUnknown):
            self.stream.hello(None, {"error": [], "result": {}})

    def test_what_is_heard(self) -> None:
        """The first subscription confirms; executions and balances are changes, heartbeats are none."""
        hear = self.stream.hear
        confirmed = {"method": "subscribe", "success": True, "result": {"channel": "executions"}}
        assert hear(confirmed) == Heard(confirmed=True)
        assert hear({**confirmed, "result": {"channel": "balances"}}) == Heard()
        refused = hear({"method": "subscribe", "success": False, "error": "EGeneral:Permission denied"})
        assert "Permission denied" in (refused.over or "")
        assert hear({"method": "subscribe"}).over is not None
        for channel in ("executions", "balances"):
            assert hear({"channel": channel, "type": "update", "data": [{}]}) == Heard(changed=("spot",))
            assert hear({"channel": channel, "type": "snapshot", "data": []}) == Heard()
        for idle in ({"channel": "heartbeat"}, {"method": "pong"}, {"channel": "status", "type": "update", "data": []}):
            assert hear(idle) == Heard()
        with pytest.raises(VenueAnswerUnknown):
            hear([])


def test_ours_are_the_two_methods_of_ccxts_that_are_replaced() -> None:
    """Signing and sending in line; all else is the class's own."""
    ours = KrakenProfile().ccxt_class(async_support.kraken)
    assert set(vars(ours)) - {"__module__", "__doc__"} == {"fetch2", "sign"}
