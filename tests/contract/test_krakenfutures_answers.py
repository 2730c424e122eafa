"""What answers of Kraken Futures mean, how steps end, and what the gate lets out."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import aiohttp
import ccxt
import pytest
from ccxt import async_support

from node.domain.permission import Effect, Permission
from node.domain.snapshot import MarketKind, PositionSide, Side
from node.domain.steps import Outcome, Refusal, Step
from node.errors import VenueAnswerUnknown, VenueDenied, VenueError, VenueLimited, VenueUnavailable
from node.venues import wire
from node.venues.call import Call
from node.venues.gate import NotPermitted, read_request
from node.venues.layout import resolve
from node.venues.profiles.krakenfutures import streams
from node.venues.profiles.krakenfutures.effects import effect_of
from node.venues.profiles.krakenfutures.profile import KrakenFuturesProfile
from node.venues.stream import Heard
from node.venues.wire import Wire
from tests.support.krakenfutures import (
    API,
    CASH,
    CREDENTIALS,
    FLEX,
    ONE,
    TWO,
    accounts,
    cancel,
    close,
    close_inverse,
    empty,
    failed,
    margin_wallet,
    ok,
    sent_status,
    sweep,
    venue,
)
from tests.support.venue import Answer, answer

SEND = f"POST {API}/sendorder"


def position(**changes: Any) -> dict[str, Any]:
    """As documented: get-open-positions."""
    return {
        "side": "short",
        "symbol": "PF_XBTUSD",
        "price": 9392.749993345933,
        "fillTime": "2020-07-22T14:39:12.376Z",
        "size": 1.25,
        "unrealizedFunding": 0.00001045432180096817,
        **changes,
    }


def order(**changes: Any) -> dict[str, Any]:
    """As documented: get-open-orders."""
    return {
        "order_id": ONE,
        "symbol": "PF_XBTUSD",
        "side": "sell",
        "orderType": "lmt",
        "limitPrice": 10640,
        "unfilledSize": 304,
        "receivedTime": "2019-09-05T17:01:17.410Z",
        "status": "untouched",
        "filledSize": 0,
        "reduceOnly": True,
        "lastUpdateTime": "2019-09-05T17:01:17.410Z",
        **changes,
    }


async def positions_of(*rows: Any, name: str = "linear") -> Any:
    """The snapshot's positions."""
    async with venue() as (account, fetch):
        empty(fetch, openpositions=ok(openPositions=list(rows)))
        return (await account.read_positions(name)).positions


async def orders_of(*rows: Any, name: str = "linear") -> Any:
    """The snapshot's orders."""
    async with venue() as (account, fetch):
        empty(fetch, openorders=ok(openOrders=list(rows)))
        return (await account.read_slice(name)).orders


async def balances_of(name: str, found: Answer) -> dict[str, Any]:
    """By coin: free, locked, debt."""
    async with venue() as (account, fetch):
        empty(fetch, accounts=found)
        balances = (await account.read_slice(name)).balances
    return {each.asset: (each.free, each.locked, each.debt) for each in balances or ()}


class TestPositions:
    async def test_each_kind_in_its_slice(self) -> None:
        """The one list has both; names in lower case are the same contracts."""
        listed = (position(), position(symbol="pi_xbtusd", side="long", size=8000.0))
        (linear,) = await positions_of(*listed)
        (inverse,) = await positions_of(*listed, name="inverse")
        assert (linear.symbol, linear.market_id, linear.side) == ("BTC/USD:USD", "PF_XBTUSD", PositionSide.SHORT)
        assert (linear.contracts, linear.base_exposure) == (Decimal("1.25"), Decimal("-1.25"))
        assert (inverse.symbol, inverse.market_id, inverse.side) == ("BTC/USD:BTC", "PI_XBTUSD", PositionSide.LONG)
        assert (inverse.contracts, inverse.base_exposure, inverse.mark_price) == (Decimal(8000), None, None)
        assert not linear.hedged
        assert not linear.isolated

    async def test_an_isolated_one_has_a_leverage_of_its_own(self) -> None:
        """Cross positions show none, or nothing in its place."""
        found = await positions_of(position(maxFixedLeverage=1.0), position(symbol="PF_ETHUSD", maxFixedLeverage=None))
        assert [each.isolated for each in found] == [True, False]

    async def test_a_market_that_is_not_listed_is_kept_under_its_own_name(self) -> None:
        """By the name alone it is known of which kind it is; what cannot be told is linear."""
        listed = tuple(position(symbol=name) for name in ("FI_XBTUSD_171215", "PF_NEWUSD", "ZZ_ODD"))
        assert [each.market_id for each in await positions_of(*listed)] == ["PF_NEWUSD", "ZZ_ODD"]
        (matured,) = await positions_of(*listed, name="inverse")
        assert (matured.symbol, matured.base_exposure) == ("FI_XBTUSD_171215", None)

    async def test_nothing_is_no_position(self) -> None:
        """Neither an empty list nor a size of zero."""
        assert await positions_of() == ()
        assert await positions_of(position(size=0)) == ()

    @pytest.mark.parametrize(
        "row",
        [
            position(side="both"),
            position(side=None),
            position(size=None),
            position(size="many"),
            position(size=-1),
            position(symbol=""),
            {key: value for key, value in position().items() if key != "size"},
            "PF_XBTUSD",
            None,
        ],
    )
    async def test_a_strange_row_is_no_empty_list(self, row: Any) -> None:
        with pytest.raises(VenueAnswerUnknown):
            await positions_of(row)


class TestOrders:
    async def test_a_limit_order_and_a_stop_in_one_list(self) -> None:
        """The stop is known as one that waits for a trigger; both are cancelled by the same request."""
        limit, stop = await orders_of(
            order(cliOrdId="mine", side="buy", reduceOnly=False),
            order(order_id=TWO, orderType="stop", stopPrice=9000, triggerSignal="mark", limitPrice=None),
        )
        assert (limit.order_id, limit.client_order_id, limit.side) == (ONE, "mine", Side.BUY)
        assert (limit.remaining, limit.trigger, limit.reduce_only, limit.protective) == (304, False, False, False)
        assert (stop.order_id, stop.client_order_id, stop.side) == (TWO, None, Side.SELL)
        assert (stop.remaining, stop.trigger, stop.protective) == (304, True, True)

    @pytest.mark.parametrize("kind", ["stp", "stop", "take_profit", "trailing_stop", "unknown"])
    async def test_whatever_is_no_order_of_the_book_waits_for_a_trigger(self, kind: str) -> None:
        (found,) = await orders_of(order(orderType=kind, unfilledSize=None))
        assert (found.trigger, found.remaining) == (True, None)

    async def test_each_kind_in_its_slice(self) -> None:
        listed = (order(), order(symbol="PI_XRPUSD", order_id=TWO), order(symbol="FI_ODD_1"))
        assert [each.market_id for each in await orders_of(*listed)] == ["PF_XBTUSD"]
        assert [each.market_id for each in await orders_of(*listed, name="inverse")] == ["PI_XRPUSD", "FI_ODD_1"]

    @pytest.mark.parametrize(
        "row",
        [
            order(side="none"),
            order(order_id=None),
            order(orderType=None),
            order(reduceOnly=None),
            order(symbol=None),
            order(unfilledSize="some"),
            [],
        ],
    )
    async def test_a_strange_row_is_no_empty_list(self, row: Any) -> None:
        with pytest.raises(VenueAnswerUnknown):
            await orders_of(row)


GARBAGE: dict[str, Answer] = {
    "nothing": Answer(body=""),
    "null": Answer(body="null"),
    "a list": answer([]),
    "an empty object": answer({}),
    "success and nothing else": ok(),
    "no word of success": answer({"openOrders": [], "openPositions": [], "accounts": {"cash": CASH, "flex": FLEX}}),
    "another result": answer({"result": "partial", "openOrders": [], "openPositions": [], "accounts": {"cash": CASH}}),
    "null for the list": ok(openOrders=None, openPositions=None, accounts=None),
    "an object for the list": ok(openOrders={}, openPositions={}, accounts=[]),
    "text for the list": ok(openOrders="", openPositions="", accounts=""),
    "a web page": Answer(body="<html>ok</html>"),
    "half a document": Answer(body='{"result": "success", "openOrders": ['),
    "wallets of nobody": ok(openOrders=0, openPositions=0, accounts={}),
}


@pytest.mark.parametrize("aspect", ["openorders", "openpositions", "accounts"])
@pytest.mark.parametrize("name", GARBAGE)
async def test_garbage_is_never_an_empty_result(aspect: str, name: str) -> None:
    """Of no shape, in no aspect, in neither slice."""
    async with venue() as (account, fetch):
        for part in ("linear", "inverse"):
            empty(fetch, **{aspect: GARBAGE[name]})
            with pytest.raises((VenueAnswerUnknown, VenueUnavailable)):
                await account.read_proof(part)


class TestWallets:
    async def test_multi_collateral_and_holding_wallet(self) -> None:
        """As documented: get-accounts. One coin of both wallets is one balance; what is owed is a debt."""
        flex = {
            **FLEX,
            "currencies": {
                "XBT": {"quantity": 0.1185308247, "value": 4998.7, "collateral": 4886.4, "available": 0.1},
                "USD": {"quantity": 5000, "value": 5000, "collateral": 5000, "available": 7000},
                "EUR": {"quantity": -20.5, "value": -21, "collateral": -21, "available": 0},
                "USDT": {"quantity": 0, "value": 0, "collateral": 0, "available": 0},
            },
        }
        cash = {"type": "cashAccount", "balances": {"xbt": "141.31756797", "xrp": "52465.1254", "eth": "0.0"}}
        found = await balances_of("linear", accounts(flex=flex, cash=cash))
        assert found == {
            "BTC": (Decimal("141.41756797"), Decimal("0.0185308247"), 0),
            "USD": (5000, 0, 0),
            "EUR": (0, 0, Decimal("20.5")),
            "XRP": (Decimal("52465.1254"), 0, 0),
        }
        assert await balances_of("inverse", accounts(flex=flex, cash=cash)) == {}

    async def test_wallets_of_one_coin(self) -> None:
        """Contracts in them are no coins."""
        found = accounts(
            fi_xbtusd=margin_wallet("xbt", af=100.5, FI_XBTUSD_171215="0", xbt="141.25", xrp="300"),
            fi_ethusd=margin_wallet("eth", af=0, eth="0.0"),
        )
        assert await balances_of("inverse", found) == {
            "BTC": (Decimal("100.5"), Decimal("40.75"), 0),
            "XRP": (300, 0, 0),
        }
        assert await balances_of("linear", found) == {}

    @pytest.mark.parametrize(
        "wallets",
        [
            {"flex": {**FLEX, "currencies": {"USD": {"quantity": None, "available": 1}}}},
            {"flex": {**FLEX, "currencies": []}},
            {"cash": {"balances": {"xbt": "much"}}},
            {"cash": []},
            {"fi_xbtusd": {"type": "optionAccount"}},
            {"fi_xbtusd": "empty"},
        ],
    )
    async def test_a_strange_wallet_is_no_empty_one(self, wallets: Any) -> None:
        with pytest.raises(VenueAnswerUnknown):
            await balances_of("inverse" if "fi_xbtusd" in wallets else "linear", accounts(**wallets))


class TestCorroboration:
    async def proof(self, name: str, found: Answer, *, positions: Any = (), orders: Any = ()) -> None:
        async with venue() as (account, fetch):
            empty(
                fetch,
                accounts=found,
                openpositions=ok(openPositions=list(positions)),
                openorders=ok(openOrders=list(orders)),
            )
            await account.read_proof(name)

    async def test_a_contract_in_a_wallet_that_was_not_listed(self) -> None:
        """As documented, wallets of one coin name the contracts held in them."""
        found = accounts(fi_xbtusd=margin_wallet("xbt", PI_XBTUSD="-15000", xbt="1"))
        with pytest.raises(VenueAnswerUnknown, match="PI_XBTUSD"):
            await self.proof("inverse", found)
        await self.proof("inverse", found, positions=[position(symbol="pi_xbtusd")])
        await self.proof("linear", found)

    async def test_margin_in_use_that_nothing_explains(self) -> None:
        """By a position, or by an order."""
        held = accounts(flex={**FLEX, "initialMargin": 70.5, "initialMarginWithOrders": 70.5})
        with pytest.raises(VenueAnswerUnknown, match="no position"):
            await self.proof("linear", held)
        with pytest.raises(VenueAnswerUnknown, match="no position"):
            await self.proof("linear", held, orders=[order()])
        await self.proof("linear", held, positions=[position()])
        await self.proof("inverse", held)
        resting = accounts(flex={**FLEX, "initialMarginWithOrders": 12})
        with pytest.raises(VenueAnswerUnknown, match="neither"):
            await self.proof("linear", resting)
        await self.proof("linear", resting, orders=[order()])

    async def test_margin_in_use_in_a_wallet_of_one_coin(self) -> None:
        found = accounts(fi_xbtusd=margin_wallet("xbt", im=0.5, xbt="1"))
        with pytest.raises(VenueAnswerUnknown, match="neither"):
            await self.proof("inverse", found)
        await self.proof("inverse", found, orders=[order(symbol="PI_XBTUSD")])
        await self.proof("inverse", found, positions=[position(symbol="PI_XBTUSD")])
        await self.proof("linear", found)

    async def test_without_the_lists_of_orders_only_positions_are_held_against_it(self) -> None:
        """A doubtful list of positions is told as such."""
        async with venue() as (account, fetch):
            empty(fetch, accounts=accounts(flex={**FLEX, "initialMarginWithOrders": 12}))
            assert not (await account.read_positions("linear", certain=True)).positions_doubtful
            empty(fetch, accounts=accounts(flex={**FLEX, "initialMargin": 12, "initialMarginWithOrders": 12}))
            assert (await account.read_positions("linear", certain=True)).positions_doubtful


def instrument(symbol: str, kind: str, **changes: Any) -> dict[str, Any]:
    """As documented: get-instruments."""
    return {
        "symbol": symbol,
        "type": kind,
        "tickSize": 0.5,
        "contractSize": 1,
        "tradeable": True,
        "contractValueTradePrecision": 0,
        "postOnly": False,
        **changes,
    }


INSTRUMENTS = [
    instrument("PI_XBTUSD", "futures_inverse"),
    instrument("FI_ETHUSD_261225", "futures_inverse", lastTradingTime="2026-12-25T08:00:00.000Z", tradeable=False),
    instrument("PF_XBTUSD", "flexible_futures", tickSize=1, contractValueTradePrecision=4),
    instrument("PF_PEPEUSD", "flexible_futures", tickSize=1e-10, contractValueTradePrecision=-3),
    instrument("FF_XBTUSD_261225", "flexible_futures", lastTradingTime="2026-12-25T08:00:00.000Z", postOnly=True),
    {"symbol": "in_xbtusd", "type": "spot index", "tradeable": False},
    {"symbol": "rr_xbtusd", "type": "real-time index", "tradeable": False},
    instrument("OF_XBTUSD_1", "options"),
]


class TestMarkets:
    async def rules(self, kind: MarketKind) -> dict[str, Any]:
        async with venue() as (account, fetch):
            fetch.default = ok(instruments=INSTRUMENTS)
            return {rule.market_id: rule for rule in await account._reader.markets(kind)}

    async def test_contracts_by_kind(self) -> None:
        """Steps from a number of places that may be negative; a market for makers only cannot be traded in."""
        linear, inverse = await self.rules(MarketKind.LINEAR), await self.rules(MarketKind.INVERSE)
        assert list(linear) == ["PF_XBTUSD", "PF_PEPEUSD", "FF_XBTUSD_261225"]
        assert list(inverse) == ["PI_XBTUSD", "FI_ETHUSD_261225"]
        perpetual, meme, dated = linear.values()
        assert (perpetual.quantity_step, perpetual.quantity_min) == (Decimal("0.0001"), Decimal("0.0001"))
        assert (perpetual.price_tick, perpetual.contract_size, perpetual.settle) == (1, 1, "USD")
        assert (meme.quantity_step, meme.price_tick) == (1000, Decimal("1E-10"))
        assert [rule.trading for rule in (perpetual, meme, dated)] == [True, True, False]
        assert [rule.trading for rule in inverse.values()] == [True, False]
        assert (inverse["PI_XBTUSD"].market_quantity_max, perpetual.market_quantity_max) == (20_000_000, None)

    async def test_names_and_kinds_are_ccxts(self) -> None:
        """What people know their markets by."""
        exchange = async_support.krakenfutures()

        async def instruments(_params: Any) -> Any:
            return {"result": "success", "instruments": INSTRUMENTS[:-1]}

        exchange.publicGetInstruments = instruments
        theirs = {each["id"]: each for each in await exchange.fetch_markets() if each["type"] in ("swap", "future")}
        await exchange.close()
        ours = {**await self.rules(MarketKind.LINEAR), **await self.rules(MarketKind.INVERSE)}
        assert {name: rule.symbol for name, rule in ours.items()} == {
            name: market["symbol"] for name, market in theirs.items()
        }
        for name, rule in ours.items():
            market = theirs[name]
            assert (rule.kind is MarketKind.LINEAR, rule.base, rule.settle) == (
                market["linear"],
                market["base"],
                market["settle"],
            )
            assert float(rule.quantity_step) == float(market["precision"]["amount"])

    @pytest.mark.parametrize(
        "found",
        [ok(), ok(instruments=[]), ok(instruments=[{"symbol": "PF_XBTUSD"}]), failed("Server Error"), answer([])],
    )
    async def test_no_markets_are_no_markets(self, found: Answer) -> None:
        async with venue() as (account, fetch):
            fetch.default = found
            with pytest.raises(VenueError):
                await account._reader.markets(MarketKind.LINEAR)


# How steps end

EXECUTION = {"type": "EXECUTION", "executionId": "e", "price": 66596.0, "amount": 0.01, "orderPriorExecution": {}}
REJECT = {"type": "REJECT", "uid": ONE, "reason": "IOC_WOULD_NOT_EXECUTE", "order": {}}


async def ended(step: Step, found: Any) -> tuple[Outcome, Refusal | None, Decimal | None]:
    """How a step ends when that is answered."""
    async with venue() as (account, fetch):
        path = {"ClosePosition": "sendorder", "CancelSymbol": "cancelallorders"}.get(type(step).__name__)
        fetch.default = answer({"unasked": True}, 500)
        for name in (path,) if path else ("cancelorder", "batchorder"):
            fetch.answers[f"POST {API}/{name}"] = found
        result = await account.execute(step)
        assert result.sent_ns is not None
        return result.outcome, result.refusal, result.filled


@pytest.mark.parametrize(
    ("found", "filled"),
    [
        (sent_status("placed", EXECUTION, {**EXECUTION, "amount": 0.005}), Decimal("0.015")),
        (sent_status("placed"), None),
        (sent_status("placed", {"type": "PLACE", "order": {}}), Decimal(0)),
        (sent_status("filled"), None),
        (sent_status("partiallyFilled", EXECUTION), Decimal("0.01")),
        (sent_status("iocWouldNotExecute", EXECUTION, REJECT), Decimal("0.01")),
    ],
)
async def test_an_order_is_taken_with_the_venues_id(found: Answer, filled: Decimal | None) -> None:
    """And with what the events say was executed, where there are any."""
    assert await ended(close(), found) == (Outcome.DONE, None, filled)


STATUSES = {
    "wouldNotReducePosition": Refusal.NOTHING_TO_REDUCE,
    "iocWouldNotExecute": Refusal.UNFILLED,
    "outsidePriceCollar": Refusal.PRICE_BAND,
    "wouldIncreasePriceDislocation": Refusal.PRICE_BAND,
    "invalidPrice": Refusal.PRICE_BAND,
    "invalidSize": Refusal.QUANTITY,
    "tooManySmallOrders": Refusal.TOO_SMALL,
    "marketSuspended": Refusal.MARKET_CLOSED,
    "marketInactive": Refusal.MARKET_CLOSED,
    "marketIsPostOnly": Refusal.MARKET_CLOSED,
    "insufficientAvailableFunds": Refusal.INSUFFICIENT,
    "wouldCauseLiquidation": Refusal.OTHER,
    "selfFill": Refusal.OTHER,
    "invalidOrderType": Refusal.OTHER,
    "invalidSide": Refusal.OTHER,
    "maxPositionViolation": Refusal.OTHER,
    "tooManyOrders": Refusal.OTHER,
    "fixedLeverageTooHigh": Refusal.OTHER,
    "clientOrderIdTooLong": Refusal.OTHER,
    "clientOrderIdTooBig": Refusal.OTHER,
    "clientOrderIdInvalid": Refusal.OTHER,
    "postWouldExecute": Refusal.OTHER,
    "requiredArgumentMissing": Refusal.OTHER,
    "wouldProcessAfterSpecifiedTime": Refusal.OTHER,
}


@pytest.mark.parametrize("status", STATUSES)
async def test_a_success_that_was_none(status: str) -> None:
    """ "It does not necessarily mean that the desired operation has been performed": with and without an id."""
    for found in (sent_status(status, order_id=None), sent_status(status, REJECT)):
        assert await ended(close(), found) == (Outcome.REFUSED, STATUSES[status], Decimal(0))


async def test_placed_and_rejected_is_unfilled() -> None:
    """Whatever the status says: the only event is that nobody trades."""
    assert await ended(close(), sent_status("placed", REJECT)) == (Outcome.REFUSED, Refusal.UNFILLED, Decimal(0))


ERRORS = {
    "apiLimitExceeded": Refusal.RATE_LIMITED,
    "authenticationError": Refusal.DENIED,
    "accountInactive": Refusal.DENIED,
    "marketUnavailable": Refusal.MARKET_CLOSED,
    "insufficientFunds": Refusal.INSUFFICIENT,
    "contractNotFound": Refusal.OTHER,
    "invalidAccount": Refusal.OTHER,
    "invalidAmount": Refusal.OTHER,
    "invalidArgument": Refusal.OTHER,
    "invalidUnit": Refusal.OTHER,
    "Json Parse Error": Refusal.OTHER,
    "notFound": Refusal.OTHER,
    "requiredArgumentMissing": Refusal.OTHER,
    "Bad Request": Refusal.OTHER,
    "nonceBelowThreshold": Refusal.OTHER,
    "nonceDuplicate": Refusal.OTHER,
}


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("name", ERRORS)
async def test_errors_that_are_certain(name: str, status: int) -> None:
    """By their names, whatever the status line."""
    assert (await ended(close(), failed(name, status)))[:2] == (Outcome.REFUSED, ERRORS[name])


async def test_errors_in_other_places_and_words() -> None:
    """A list of names, or of numbers with messages; a status that means it; too many requests."""
    listed = answer({"result": "error", "errors": ["authenticationError"]})
    assert (await ended(close(), listed))[:2] == (Outcome.REFUSED, Refusal.DENIED)
    numbered = answer({"errors": [{"code": 11, "message": "invalidArgument"}]}, 400)
    assert (await ended(close(), numbered))[:2] == (Outcome.REFUSED, Refusal.OTHER)
    forbidden = answer({"result": "error", "error": "somethingNew"}, 403)
    assert (await ended(close(), forbidden))[:2] == (Outcome.REFUSED, Refusal.DENIED)
    assert (await ended(close(), Answer(body="slow down", status=429)))[:2] == (Outcome.REFUSED, Refusal.RATE_LIMITED)


def caused(kind: type[Exception], cause: BaseException) -> Exception:
    """ccxt's exception as it raises it."""
    raised = kind("krakenfutures")
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
    "half a document": Answer(body='{"result": "success", "sendStatus": {"st'),
    "success and nothing else": ok(),
    "an order for a list": ok(sendStatus=[]),
    "taken without an id": sent_status("placed", order_id=None),
    "taken with an empty id": sent_status("placed", order_id=""),
    "no status": ok(sendStatus={"order_id": ONE}),
    "a status that nobody knows": sent_status("somethingNew"),
    "a client id that is known already": sent_status("clientOrderIdAlreadyExist"),
    "another result": answer({"result": "pending", "sendStatus": {"status": "placed", "order_id": ONE}}),
    "Server Error": failed("Server Error"),
    "unknownError": failed("unknownError", 400),
    "Unavailable": failed("Unavailable", 503),
    "an error that nobody knows": failed("somethingNew", 400),
    "500 with a name that would be certain": failed("invalidArgument", 500),
    "500 as ccxt has seen it": answer({"errors": [{"code": 92, "message": "INSUFFICIENT_MARGIN"}]}, 500),
    "502": Answer(body="<html>bad gateway</html>", status=502),
    "403 from a firewall": Answer(body="<html>forbidden</html>", status=403),
    "a redirection": answer({"result": "error", "error": "invalidArgument"}, 302),
    "an amount that is none": sent_status("placed", {**EXECUTION, "amount": "some"}),
    "a parser's surprise": surprise,
    "ccxt's BadRequest without the venue's document": ccxt.BadRequest("krakenfutures"),
}


@pytest.mark.parametrize("name", UNCERTAIN)
async def test_whatever_may_have_been_executed_is_ambiguous(name: str) -> None:
    """Neither done nor refused, and never an exception."""
    assert (await ended(close(), UNCERTAIN[name]))[:2] == (Outcome.AMBIGUOUS, None)


def batch(*statuses: str) -> Answer:
    """A batch's answer."""
    return ok(batchStatus=[{"status": status, "order_id": ONE, "orderEvents": []} for status in statuses])


DONE, GONE, UNCLEAR = (Outcome.DONE, None), (Outcome.REFUSED, Refusal.UNKNOWN_ORDER), (Outcome.AMBIGUOUS, None)


@pytest.mark.parametrize(
    ("step", "found", "outcome"),
    [
        (cancel(ONE), ok(cancelStatus={"status": "cancelled"}), DONE),
        (cancel(ONE), ok(cancelStatus={"status": "notFound"}), GONE),
        (cancel(ONE), ok(cancelStatus={"status": "filled"}), GONE),
        (cancel(ONE), ok(cancelStatus={"status": "somethingNew"}), UNCLEAR),
        (cancel(ONE), ok(cancelStatus={}), UNCLEAR),
        (cancel(ONE), ok(), UNCLEAR),
        (cancel(ONE), failed("authenticationError"), (Outcome.REFUSED, Refusal.DENIED)),
        (cancel(ONE, TWO), batch("cancelled", "cancelled"), DONE),
        (cancel(ONE, TWO), batch("cancelled", "notFound"), DONE),
        (cancel(ONE, TWO), batch("filled", "notFound"), GONE),
        (cancel(ONE, TWO), batch("cancelled", "requiredArgumentMissing"), UNCLEAR),
        (cancel(ONE, TWO), batch("cancelled"), UNCLEAR),
        (cancel(ONE, TWO), batch(), UNCLEAR),
        (cancel(ONE, TWO), ok(batchStatus=None), UNCLEAR),
        (sweep(), ok(cancelStatus={"status": "cancelled", "cancelledOrders": [{"order_id": ONE}]}), DONE),
        (sweep(), ok(cancelStatus={"status": "noOrdersToCancel", "cancelledOrders": []}), DONE),
        (sweep(), ok(cancelStatus={"status": "somethingNew"}), UNCLEAR),
        (sweep(), ok(cancelStatus=None), UNCLEAR),
        (sweep(), Answer(body=""), UNCLEAR),
    ],
)
async def test_cancels(step: Step, found: Answer, outcome: tuple[Outcome, Refusal | None]) -> None:
    """Gone already only if all are; of a batch every part must be told of."""
    assert (await ended(step, found))[:2] == outcome


@pytest.mark.parametrize(
    ("found", "error"),
    [
        (failed("apiLimitExceeded"), VenueLimited),
        (Answer(body="", status=429), VenueLimited),
        (failed("authenticationError"), VenueDenied),
        (failed("accountInactive", 400), VenueDenied),
        (answer({"error": "Unauthorized", "message": "api key not found"}, 401), VenueDenied),
        (failed("Server Error", 500), VenueUnavailable),
        (Answer(body="<html/>", status=502), VenueUnavailable),
        (failed("somethingNew", 400), VenueError),
    ],
)
async def test_why_a_read_told_nothing(found: Answer, error: type[VenueError]) -> None:
    """By what the operator must do about it."""
    async with venue() as (account, fetch):
        empty(fetch, openpositions=found)
        with pytest.raises(error):
            await account.read_positions("linear")


# The gate

CANCELS: tuple[Step, ...] = (cancel(ONE), cancel(ONE, TWO), sweep(), sweep(slice_name="inverse"))
CLOSES: tuple[Step, ...] = (close(), close(limit_price=Decimal(60000)), close(isolated=True), close_inverse())


@pytest.mark.parametrize("level", list(Permission))
async def test_every_step_leaves_at_its_level_and_not_below(level: Permission) -> None:
    """Reads are open to every level."""
    async with venue(permission=level) as (account, fetch):
        for steps, effect in ((CANCELS, Effect.CANCEL), (CLOSES, Effect.CLOSE)):
            for step in steps:
                fetch.sent.clear()
                result = await account.execute(step)
                assert len(fetch.sent) == (1 if level.allows(effect) else 0), step
                assert (result.refusal is Refusal.PERMISSION) is not level.allows(effect)
        fetch.sent.clear()
        empty(fetch)
        await account.read_proof("inverse")
        assert {sent.method for sent in fetch.sent} == {"GET"}


BUY = {"orderType": "mkt", "symbol": "PF_XBTUSD", "side": "buy", "size": "1"}
LIES = [
    Call(endpoint="privatePostSendorder", effect=Effect.READ, params={**BUY, "reduceOnly": "true"}),
    Call(endpoint="privatePostSendorder", effect=Effect.CANCEL, params={**BUY, "reduceOnly": "true"}),
    Call(endpoint="privatePostSendorder", effect=Effect.CLOSE, params=BUY),
    Call(endpoint="privatePostSendorder", effect=Effect.CLOSE, params={**BUY, "reduceOnly": "false"}),
    Call(endpoint="privatePostSendorder", effect=Effect.CLOSE, params={**BUY, "reduceonly": "true"}),
    Call(endpoint="privatePostBatchorder", effect=Effect.CANCEL, params={"batchOrder": [{"order": "send", **BUY}]}),
    Call(endpoint="privatePostBatchorder", effect=Effect.CANCEL, params={"batchOrder": [{"order": "edit"}]}),
    Call(endpoint="privatePostBatchorder", effect=Effect.CANCEL, params={"batchOrder": []}),
    Call(endpoint="privatePostBatchorder", effect=Effect.CANCEL, params={"batchOrder": "all"}),
    Call(endpoint="privatePostCancelallorders", effect=Effect.READ),
    Call(endpoint="privatePostWithdrawal", effect=Effect.OPEN, params={"currency": "xbt", "amount": "1"}),
    Call(endpoint="privatePostTransfer", effect=Effect.OPEN, params={"amount": "1"}),
    Call(endpoint="privatePostEditorder", effect=Effect.OPEN),
    Call(endpoint="privatePostCancelallordersafter", effect=Effect.OPEN, params={"timeout": "1"}),
    Call(endpoint="privatePutLeveragepreferences", effect=Effect.OPEN, params={"symbol": "PF_XBTUSD"}),
    Call(endpoint="privateGetSubaccounts", effect=Effect.OPEN),
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
        names = [
            name
            for name in dir(type(exchange))
            if "_" not in name and any(w in name for w in ("Post", "Put", "Delete"))
        ]
        assert len(names) > 15
        for name in names:
            for params in ({"uid": "1"}, {"uid": "1", "symbol": "PF_XBTUSD", "reduceOnly": "true", "batchOrder": []}):
                with pytest.raises(account._client.faults):
                    await getattr(exchange, name)(params)
        assert fetch.sent == []


FORGED: list[tuple[str, str, str | None, Effect | None]] = [
    (f"https://futures.kraken.com{API}/sendorder?reduceOnly=true&side=buy", "POST", None, Effect.CLOSE),
    (f"https://futures.kraken.com{API}/sendorder?side=buy", "POST", "reduceOnly=true", Effect.CLOSE),
    (f"https://futures.kraken.com{API}/sendorder?side=buy&reduceOnly=True", "POST", None, Effect.OPEN),
    (f"https://futures.kraken.com{API}/sendorder?reduceOnly=true", "POST", '{"reduceOnly": false}', None),
    (f"https://futures.kraken.com{API}/sendorder?reduceOnly=true", "GET", None, None),
    (f"https://futures.kraken.com{API}/sendorder?reduceOnly=true", "PUT", None, None),
    (f"https://futures.kraken.com{API}/batchorder", "POST", "json=[1]", None),
    (f"https://futures.kraken.com{API}/batchorder", "POST", "json={", None),
    (f"https://futures.kraken.com{API}/batchorder", "POST", 'json={"batchOrder":[{"order":"cancel"}],"x":1}', None),
    (f"https://futures.kraken.com{API}/batchorder?x=1", "POST", 'json={"batchOrder":[{"order":"cancel"}]}', None),
    (f"https://futures.kraken.com{API}/batchorder", "POST", 'json={"batchOrder":[{"order":"cancel"}]}', Effect.CANCEL),
    ("https://futures.kraken.com/api/history/v3/positions", "GET", None, None),
    ("https://futures.kraken.com/openorders", "GET", None, None),
    (f"https://futures.kraken.com{API}/openorders", "GET", None, Effect.READ),
]


@pytest.mark.parametrize(("url", "method", "body", "effect"), FORGED)
def test_requests_are_told_by_themselves(url: str, method: str, body: str | None, effect: Effect | None) -> None:
    """By method, path, and parameters wherever they are."""
    assert effect_of(read_request(url, method, body)) is effect


def test_a_parameter_that_is_there_twice_goes_nowhere() -> None:
    """Who knows which one the venue takes."""
    url = f"https://futures.kraken.com{API}/sendorder?reduceOnly=true"
    with pytest.raises(NotPermitted):
        read_request(url, "POST", "reduceOnly=false")


async def test_a_second_request_of_one_call_does_not_leave() -> None:
    """Whatever ccxt would like to repeat."""
    async with venue() as (account, fetch):
        record = Wire()
        fetch.default = sent_status("placed")
        call = KrakenFuturesProfile().calls(close(), MarketKind.LINEAR)[0]
        await account._client.attempt(call, record)
        record.effect = call.effect
        with wire.recording(record), pytest.raises(NotPermitted):
            await account._client.ccxt.privatePostSendorder(dict(call.params))
        assert len(fetch.sent) == 1


# Streams


class TestStream:
    def hear(self, message: Any, *slices: str) -> Heard:
        layout = resolve("krakenfutures", slices or None, ("linear", "inverse"))
        return streams.stream(layout, sandbox=False).hear(message)

    def test_a_login_by_challenge(self) -> None:
        """As documented: the challenge's digest, signed with the decoded secret; then one feed after the other."""
        exchange = async_support.krakenfutures(CREDENTIALS)
        layout = resolve("krakenfutures", None, ("linear", "inverse"))
        stream = streams.stream(layout, sandbox=False)
        assert stream.url(None) == "wss://futures.kraken.com/ws/v1"
        assert streams.stream(layout, sandbox=True).url(None) == "wss://demo-futures.kraken.com/ws/v1"
        (hello,) = stream.hello(exchange, None)
        assert json.loads(hello) == {"event": "challenge", "api_key": CREDENTIALS["apiKey"]}
        challenge = "226aee50-88fc-4618-a42a-34f7709570b2"
        heard = stream.hear({"event": "challenge", "message": challenge})
        assert heard.signed is not None
        (subscription,) = heard.signed(exchange)
        first = json.loads(subscription)
        assert {name: first[name] for name in ("event", "feed", "api_key", "original_challenge")} == {
            "event": "subscribe",
            "feed": "open_orders",
            "api_key": CREDENTIALS["apiKey"],
            "original_challenge": challenge,
        }
        heard = stream.hear({**first, "event": "subscribed"})
        assert heard.signed is not None
        assert not heard.confirmed
        (subscription,) = heard.signed(exchange)
        second = json.loads(subscription)
        assert second == {**first, "feed": "fills"}
        assert stream.hear({**second, "event": "subscribed"}).confirmed

    def test_the_signature_of_a_challenge(self) -> None:
        """The example in the documentation of its feeds."""
        exchange = async_support.krakenfutures(
            {"secret": "7zxMEF5p/Z8l2p2U7Ghv6x14Af+Fx+92tPgUdVQ748FOIrEoT9bgT+bTRfXc5pz8na+hL/QdrCVG7bh9KpT0eMTm"}
        )
        assert streams.signature(exchange, "c100b894-1729-464d-ace1-52dbce11db42") == (
            "4JEpF3ix66GA2B+ooK128Ift4XQVtc137N9yeg4Kqsn9PI0Kpzbysl9M1IeCEdjg0zl00wkVqcsnG4bmnlMb3A=="
        )

    def test_what_has_happened_where(self) -> None:
        """By the contract that is named, in both slices where none is."""
        fill = {"feed": "fills", "fills": [{"instrument": "PI_XBTUSD"}]}
        assert self.hear(fill).changed == ("inverse",)
        assert self.hear(fill, "linear").changed == ()
        assert self.hear({"feed": "open_orders", "order": {"instrument": "PF_XBTUSD"}}).changed == ("linear",)
        assert self.hear({"feed": "open_orders", "order_id": ONE, "is_cancel": True}).changed == ("linear", "inverse")

    def test_what_says_nothing(self) -> None:
        """Snapshots say what is so: it was looked at anyway."""
        for message in (
            {"event": "info", "version": 1},
            {"event": "pong"},
            {"feed": "open_orders_snapshot", "orders": []},
            {"feed": "fills_snapshot", "fills": []},
            {"feed": "heartbeat", "time": 1534262350627},
        ):
            assert self.hear(message) == Heard()

    @pytest.mark.parametrize("event", ["error", "alert", "subscribed_failed", "somethingNew"])
    def test_a_refusal_ends_it(self, event: str) -> None:
        assert self.hear({"event": event, "message": "Invalid api key"}).over is not None
