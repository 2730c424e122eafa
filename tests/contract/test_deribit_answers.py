"""What Deribit's answers mean, what may leave at which level, and that nothing odd becomes an empty result."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import aiohttp
import ccxt
import pytest

from node.domain.permission import Effect, Permission
from node.domain.snapshot import PositionSide, Side
from node.domain.steps import Outcome, Refusal, Step
from node.errors import VenueAnswerUnknown, VenueDenied, VenueError, VenueLimited, VenueUnavailable
from node.venues import wire
from node.venues.call import Call
from node.venues.gate import NotPermitted, read_request
from node.venues.options import VenueOptions
from node.venues.profiles.deribit.answers import Family, family
from node.venues.profiles.deribit.profile import DeribitProfile
from node.venues.wire import Wire
from tests.contract.test_deribit_requests import close, linear_close
from tests.support.deribit import (
    API,
    CANCEL,
    ORDERS,
    POSITIONS,
    SELL,
    WALLET,
    cancels,
    deribit,
    executed,
    failure,
    linear,
    order,
    position,
    result,
    stop,
    summary,
    sweep,
    wallet,
)
from tests.support.venue import CREDENTIALS, Answer, answer, sell_spot

CLOSE = close()
TIME = f"{API}/public/get_time"


async def positions_of(*rows: dict[str, Any], name: str = "inverse") -> Any:
    """The snapshot's positions."""
    async with deribit() as (venue, fetch):
        fetch.answers[POSITIONS] = result(list(rows))
        return (await venue.read_positions(name)).positions


async def orders_of(*rows: dict[str, Any], name: str = "inverse") -> Any:
    """The snapshot's orders."""
    async with deribit() as (venue, fetch):
        fetch.answers[ORDERS] = result(list(rows))
        return (await venue.read_slice(name)).orders


class TestPositions:
    """From rows to positions."""

    async def test_an_inverse_position_is_in_usd(self) -> None:
        """The venue's own number, without its sign."""
        (found,) = await positions_of(position(), linear())
        assert (found.symbol, found.side, found.contracts) == ("BTC/USD:BTC", PositionSide.SHORT, 60)
        assert (found.hedged, found.isolated, found.base_exposure) == (False, False, Decimal("-0.0012"))

    async def test_a_linear_position_is_in_coins_not_in_what_they_are_worth(self) -> None:
        """``size`` says 150 USDC; an order of 150 would be of 150 bitcoins."""
        (found,) = await positions_of(linear(), position(), name="linear")
        assert (found.symbol, found.side) == ("BTC/USDC:USDC", PositionSide.LONG)
        assert (found.contracts, found.base_exposure) == (Decimal("0.003"), Decimal("0.003"))

    async def test_a_linear_position_without_its_coins_is_unknown(self) -> None:
        """Its worth is no size."""
        for row in (linear(size_currency=None), linear(size_currency=0), linear(size=0)):
            with pytest.raises(VenueAnswerUnknown):
                await positions_of(row, name="linear")

    async def test_empty_positions_are_left_out_whatever_their_direction(self) -> None:
        """Closed ones stay in the list for a while."""
        assert await positions_of(position(size=0, direction="zero"), position(size=0.0)) == ()
        assert await positions_of(linear(size=0, size_currency=0, direction="zero"), name="linear") == ()

    async def test_a_size_without_a_direction_is_unknown(self) -> None:
        """Nobody guesses a side."""
        for row in (position(direction="zero"), position(direction="buy"), position(direction=None)):
            with pytest.raises(VenueAnswerUnknown):
                await positions_of(row)

    async def test_options_and_spot_are_left_out_and_unknown_kinds_are_not(self) -> None:
        """The account names the first as not covered."""
        left_out = [position(kind=kind, instrument_name="BTC-27DEC24-60000-C") for kind in ("option", "spot")]
        assert await positions_of(*left_out) == ()
        with pytest.raises(VenueAnswerUnknown, match="kind"):
            await positions_of(position(kind="event"))

    @pytest.mark.parametrize(
        ("name", "slice_name"), [("BTC-27DEC99", "inverse"), ("SOL_USDC-PERPETUAL", "linear"), ("XYZ-PERP", "inverse")]
    )
    async def test_an_unlisted_market_is_kept_under_its_raw_name(self, name: str, slice_name: str) -> None:
        """In the slice that its name says."""
        (found,) = await positions_of(linear(instrument_name=name), name=slice_name)
        assert (found.symbol, found.market_id) == (name, name)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("BTC-PERPETUAL", Family.INVERSE),
        ("BTC-28MAR25", Family.INVERSE),
        ("BTC-FS-28MAR25_PERP", Family.INVERSE),
        ("ETH_USDC-PERPETUAL", Family.LINEAR),
        ("BTC_USDC-FS-28MAR25_PERP", Family.LINEAR),
        ("BTC-28MAR25-60000-C", Family.OPTION),
        ("XRP_USDC-30AUG24-0d625-P", Family.OPTION),
        ("BTC-CS-28MAR25-60000_70000", Family.OPTION),
        ("BTC-STRG-21APR23-1_2", Family.OPTION),
        ("ETH_USDC", Family.SPOT),
        ("BTC-SOMETHING-NEW-1", Family.OPTION),
        ("BTC-28MAR25-NEW", Family.INVERSE),
    ],
)
def test_names_say_what_an_instrument_is(name: str, kind: Family) -> None:
    """By the venue's scheme of names."""
    assert family(name) is kind


class TestOrders:
    """From rows to orders."""

    async def test_a_resting_order(self) -> None:
        """What is left of it, and our label."""
        (found,) = await orders_of(order())
        assert (found.order_id, found.client_order_id, found.side) == ("3398016", "bot", Side.BUY)
        assert (found.remaining, found.trigger, found.reduce_only, found.protective) == (150, False, False, False)

    async def test_a_stop_waits_for_its_trigger(self) -> None:
        """In the same list."""
        (found,) = await orders_of(stop())
        assert (found.order_id, found.trigger, found.protective, found.remaining) == ("SLIS-103", True, True, 200)
        (pair,) = await orders_of(stop(amount=None))
        assert pair.remaining is None

    async def test_spreads_are_listed_and_options_are_not(self) -> None:
        """A filled spread is two positions."""
        spread = order(instrument_name="BTC-FS-27DEC24_PERP")
        others = [order(instrument_name=name) for name in ("BTC-27DEC24-60000-C", "BTC_USDC", "BTC_USDC-PERPETUAL")]
        (found,) = await orders_of(spread, *others)
        assert found.market_id == "BTC-FS-27DEC24_PERP"
        (coins,) = await orders_of(spread, *others, name="linear")
        assert coins.symbol == "BTC/USDC:USDC"

    @pytest.mark.parametrize(
        "row",
        [
            order(reduce_only=None),
            order(order_id=None),
            order(direction="zero"),
            order(order_state="filled"),
            order(order_state=None),
            order(instrument_name=""),
            order(amount="many"),
            order(filled_amount=None),
            "order",
        ],
        ids=str,
    )
    async def test_one_odd_row_makes_the_whole_read_unknown(self, row: Any) -> None:
        """A row that was skipped could be the one that matters."""
        with pytest.raises(VenueAnswerUnknown):
            await orders_of(order(), row)


class TestWallet:
    """Coins, each told once; and what they say of the lists."""

    async def test_each_coin_is_told_in_one_slice(self) -> None:
        """There is one wallet."""
        coins = [summary("BTC"), summary("ETH", balance=0), summary("USDC", balance=-20), summary("XRP", balance=5)]
        async with deribit() as (venue, fetch):
            fetch.answers[WALLET] = wallet(*coins)
            inverse = (await venue.read_slice("inverse")).balances or ()
            linear_ = (await venue.read_slice("linear")).balances or ()
        assert [(each.asset, each.free) for each in inverse] == [("BTC", Decimal("1.5"))]
        assert [f"{each.asset} {each.total} {each.debt}" for each in linear_] == ["USDC 0 20", "XRP 5.0 0"]

    async def test_what_is_in_use_is_not_free(self) -> None:
        """Nor more than there is."""
        coins = [summary("BTC", available_funds=0.5), summary("ETH", available_funds=99)]
        async with deribit() as (venue, fetch):
            fetch.answers[WALLET] = wallet(*coins)
            found = (await venue.read_slice("inverse")).balances or ()
        assert [f"{each.free} {each.locked}" for each in found] == ["0.5 1.0", "1.5 0.0"]

    @pytest.mark.parametrize(
        "entry",
        [
            summary(delta_total_map={"btc_usd": -0.0012}),
            summary(delta_total_map={"eth_usd": 0.5}),
            summary(initial_margin=0.002),
            summary(margin_model="cross_pm", delta_total_map={"btc_usd": 1e-4}),
        ],
        ids=str,
    )
    async def test_a_wallet_that_shows_more_than_the_lists_makes_a_proof_unknown(self, entry: dict[str, Any]) -> None:
        """A list that came up short would be called flat."""
        async with deribit() as (venue, fetch):
            fetch.answers[WALLET] = wallet(entry)
            with pytest.raises(VenueAnswerUnknown):
                await venue.read_proof("inverse")
            assert (await venue.read_slice("inverse")).positions_doubtful is bool(entry["delta_total_map"])

    @pytest.mark.parametrize(
        ("entry", "more"),
        [
            (summary(delta_total_map={"btc_usd": -0.0012}, initial_margin=0.1), {POSITIONS: result([position()])}),
            (summary(initial_margin=0.1), {ORDERS: result([order()])}),
            # Rounding, other coins' margin, other coins, spot, and options, which this cannot tell from futures.
            (summary(delta_total_map={"btc_usd": 1e-17}), {}),
            (summary(margin_model="cross_sm", initial_margin=0.3), {}),
            (summary("USDC", delta_total_map={"btc_usdc": 5}, initial_margin=9), {}),
            (summary(spot_reserve=0.2, initial_margin=0.1), {}),
            (summary(options_delta=0.5, delta_total_map={"btc_usd": 0.5}, initial_margin=0.1), {}),
        ],
        ids=str,
    )
    async def test_what_is_explained_is_proven(self, entry: dict[str, Any], more: dict[str, Any]) -> None:
        """A false alarm would be one for ever."""
        async with deribit() as (venue, fetch):
            fetch.answers |= {WALLET: wallet(entry), **more}
            assert (await venue.read_proof("inverse")).causal

    async def test_linear_deltas_are_by_their_own_index(self) -> None:
        """Listed, and not listed."""
        async with deribit() as (venue, fetch):
            fetch.answers[WALLET] = wallet(summary("USDC", delta_total_map={"btc_usdc": 0.003}))
            with pytest.raises(VenueAnswerUnknown):
                await venue.read_proof("linear")
            fetch.answers[POSITIONS] = result([linear()])
            assert len((await venue.read_proof("linear")).positions) == 1


def raw(text: str, status: int = 200) -> Answer:
    """A body as it is."""
    return Answer(body=text, status=status)


BROKEN: dict[str, Answer | Callable[[], Any]] = {
    "nothing": raw(""),
    "a web page": raw("<html><body>maintenance</body></html>"),
    "a bare list": answer([]),
    "no result": answer({"jsonrpc": "2.0"}),
    "a null result": result(None),
    "an error beside a result": answer({"jsonrpc": "2.0", "result": [], "error": {"code": 1}}),
    "a result that is no list": result({}),
    "half a list": raw('{"jsonrpc":"2.0","result":[{"instrument_name":"BTC-PERPETUAL","size":1'),
    "null": raw("null"),
    "a list of text": result(["BTC-PERPETUAL"]),
    "a surprise inside ccxt": lambda: (_ for _ in ()).throw(IndexError("list index out of range")),
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("path", [ORDERS, POSITIONS, WALLET])
async def test_what_is_not_understood_is_unknown_and_never_empty(name: str, path: str) -> None:
    """The read raises; nobody may take it for flat."""
    async with deribit() as (venue, fetch):
        fetch.answers[path] = BROKEN[name]
        for read in (venue.read_slice, venue.read_proof):
            with pytest.raises((VenueAnswerUnknown, VenueUnavailable)):
                await read("inverse")


@pytest.mark.parametrize(
    "row",
    [
        position(size="many"),
        position(size=None),
        position(size=True),
        position(size="NaN"),
        position(size="1E+999999"),
        position(instrument_name=""),
        position(kind=None),
        summary(balance=None),
        summary(available_funds="much"),
        summary(delta_total_map=[1]),
        summary(delta_total_map={"btc_usd": "x"}),
        summary(options_value="x"),
    ],
    ids=str,
)
async def test_one_odd_row_makes_a_proof_unknown(row: dict[str, Any]) -> None:
    """Of positions, and of the wallet."""
    async with deribit() as (venue, fetch):
        fetch.answers |= {POSITIONS: result([row])} if "kind" in row else {WALLET: wallet(row)}
        with pytest.raises(VenueAnswerUnknown):
            await venue.read_proof("inverse")


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (failure(13009, "unauthorized", "invalid_token"), VenueDenied),
        (failure(13021, "forbidden"), VenueDenied),
        (failure(10028, "too_many_requests"), VenueLimited),
        (failure(10047, "matching_engine_queue_full"), VenueLimited),
        (failure(13009, "unauthorized", "invalid timestamp"), VenueUnavailable),
        (failure(11094, "internal_server_error", status=500), VenueUnavailable),
        (raw("<html>bad gateway</html>", 502), VenueUnavailable),
        (failure(-32602, "Invalid params", "instrument not found"), VenueError),
    ],
    ids=lambda value: str(value)[:60],
)
async def test_a_failed_read_says_what_to_do_about_it(given: Answer, kind: type[VenueError]) -> None:
    """All come with HTTP 400: the error decides."""
    async with deribit() as (venue, fetch):
        fetch.answers |= {POSITIONS: given, TIME: result(1_800_000_000_000)}
        with pytest.raises(VenueError) as raised:
            await venue.read_positions("inverse")
        assert type(raised.value) is kind


async def test_a_refused_timestamp_has_the_clock_measured() -> None:
    """So that the next request has it right."""
    async with deribit() as (venue, fetch):
        fetch.answers |= {SELL: failure(13009, "unauthorized", "timestamp is too old"), TIME: result(1_800_000_000_000)}
        given = await venue.execute(CLOSE)
        assert (given.outcome, given.refusal) == (Outcome.REFUSED, Refusal.OTHER)
        assert fetch.sent[-1].path == TIME
        assert venue.clock_offset_ms() is not None


# Outcomes


def caused(kind: type[Exception], cause: BaseException) -> Exception:
    """ccxt's exception as it raises it."""
    raised = kind(f"deribit GET https://www.deribit.com{SELL}?id={CREDENTIALS['apiKey']}")
    raised.__cause__ = cause
    return raised


UNCERTAIN: dict[str, Any] = {
    "connection lost after sending": caused(ccxt.ExchangeNotAvailable, aiohttp.ServerDisconnectedError()),
    "no answer in time": caused(ccxt.RequestTimeout, TimeoutError()),
    "empty 200": raw(""),
    "half a document": raw('{"jsonrpc":"2.0","result":{"order":{"order_id":"3'),
    "502": raw("<html>bad gateway</html>", 502),
    "a certain name with a server error": failure(11030, "other_reject invalid_reduce_only_order", status=500),
    "no result": answer({"jsonrpc": "2.0"}),
    "no order": result({"trades": []}),
    "an order without an id": result({"order": {"order_state": "filled"}}),
    "an error without a number": answer({"error": {"message": "forbidden"}}, 400),
    "error": failure(10001, "error"),
    "other_error": failure(11031, "other_error something"),
    "internal": failure(11094, "internal_server_error"),
    "unavailable": failure(13028, "temporarily_unavailable"),
    "timed out": failure(13888, "timed_out"),
    "request failed": failure(13008, "request_failed"),
    "a code that nobody knows": failure(19999, "something_new"),
    "a new name under a number that ccxt knows": failure(10004, "something_new"),
    "an uncertain name under such a number": failure(10009, "internal_server_error"),
    "IndexError": lambda: (_ for _ in ()).throw(IndexError("surprise")),
}


@pytest.mark.parametrize("name", UNCERTAIN)
async def test_whatever_may_have_been_executed_is_ambiguous(name: str) -> None:
    """Neither done nor refused; and no message carries the key."""
    async with deribit() as (venue, fetch):
        fetch.answers[SELL] = UNCERTAIN[name]
        given = await venue.execute(CLOSE)
        assert (given.outcome, given.refusal) == (Outcome.AMBIGUOUS, None)
        assert CREDENTIALS["apiKey"] not in (given.message or "")


REFUSED: list[tuple[int, str, str | None, Refusal]] = [
    (11030, "other_reject invalid_reduce_only_order", None, Refusal.NOTHING_TO_REDUCE),
    (11030, "other_reject", "invalid_reduce_only_order", Refusal.NOTHING_TO_REDUCE),
    (11007, "reduce_only_reject", None, Refusal.NOTHING_TO_REDUCE),
    (11030, "other_reject something", None, Refusal.OTHER),
    (10005, "price_too_low 41000.5", None, Refusal.PRICE_BAND),
    (10006, "price_too_low4idx 41000.5", None, Refusal.PRICE_BAND),
    (10007, "price_too_high 61000.5", None, Refusal.PRICE_BAND),
    (10008, "price_too_high4idx 61000.5", None, Refusal.PRICE_BAND),
    (10011, "price_not_allowed", None, Refusal.PRICE_BAND),
    # The number has two meanings in the documentation: the name decides.
    (10002, "qty_too_low", None, Refusal.TOO_SMALL),
    (10002, "insufficient_funds", None, Refusal.INSUFFICIENT),
    (10009, "not_enough_funds", None, Refusal.INSUFFICIENT),
    (10009, "invalid_arguments", None, Refusal.OTHER),
    (-32602, "Invalid params", "must be a multiple of the minimum order size", Refusal.TOO_SMALL),
    (-32602, "Invalid params", "must conform to tick size", Refusal.OTHER),
    (10016, "pme_max_future_open_orders_size 100", None, Refusal.QUANTITY),
    (10018, "non_pme_max_future_position_size 100", None, Refusal.QUANTITY),
    (10012, "book_closed", None, Refusal.MARKET_CLOSED),
    (13019, "orderbook_closed", None, Refusal.MARKET_CLOSED),
    (10041, "settlement_in_progress", None, Refusal.OVERLOADED),
    (10040, "retry", None, Refusal.OVERLOADED),
    (11051, "system_maintenance", None, Refusal.OVERLOADED),
    (10028, "too_many_requests", None, Refusal.RATE_LIMITED),
    (10047, "matching_engine_queue_full", None, Refusal.RATE_LIMITED),
    (10000, "authorization_required", None, Refusal.DENIED),
    (13004, "invalid_credentials", None, Refusal.DENIED),
    (13009, "unauthorized", "invalid_token", Refusal.DENIED),
    (13021, "forbidden", None, Refusal.DENIED),
    (11098, "account_locked", None, Refusal.DENIED),
    (10019, "locked_by_admin", None, Refusal.DENIED),
    (10010, "already_closed", None, Refusal.OTHER),
    (10020, "invalid_or_unsupported_instrument", None, Refusal.OTHER),
    (10043, "price_wrong_tick", None, Refusal.OTHER),
]


@pytest.mark.parametrize(("code", "message", "reason", "refusal"), REFUSED, ids=lambda value: str(value)[:40])
async def test_the_venues_certain_words_are_refusals(
    code: int, message: str, reason: str | None, refusal: Refusal
) -> None:
    """What the next plan depends on."""
    async with deribit() as (venue, fetch):
        fetch.answers[SELL] = failure(code, message, reason)
        given = await venue.execute(CLOSE)
        assert (given.outcome, given.refusal) == (Outcome.REFUSED, refusal)
        assert message in (given.message or "")


async def test_a_spent_budget_is_left_alone_for_a_moment() -> None:
    """A request without credits ends the session."""
    async with deribit() as (venue, fetch):
        fetch.answers[SELL] = failure(10028, "too_many_requests")
        first = await venue.execute(CLOSE)
        assert (first.refusal, first.retry_after_s) == (Refusal.RATE_LIMITED, 1.0)
        second = await venue.execute(CLOSE)
        assert (second.refusal, second.sent_ns) == (Refusal.RATE_LIMITED, None)
        assert (await venue.read_positions("inverse")).positions == (), "reads have credits of their own"


@pytest.mark.parametrize(
    ("changes", "outcome", "refusal", "filled"),
    [
        ({"order_state": "filled", "filled_amount": 60}, Outcome.DONE, None, 60),
        # What is left beyond the price band rests; it is seen by the next read.
        ({"order_state": "open", "filled_amount": 20}, Outcome.DONE, None, 20),
        ({"order_state": "open", "filled_amount": 0}, Outcome.DONE, None, None),
        ({"order_state": "cancelled", "filled_amount": 20}, Outcome.DONE, None, 20),
        ({"order_state": "cancelled", "filled_amount": 0}, Outcome.REFUSED, Refusal.UNFILLED, 0),
        ({"order_state": "rejected", "filled_amount": 0}, Outcome.REFUSED, Refusal.OTHER, 0),
    ],
    ids=str,
)
async def test_what_an_order_came_to(
    changes: dict[str, Any], outcome: Outcome, refusal: Refusal | None, filled: int | None
) -> None:
    """Done only with the venue's id."""
    async with deribit() as (venue, fetch):
        fetch.answers[SELL] = result({"order": order(**changes), "trades": []})
        given = await venue.execute(CLOSE)
        assert (given.outcome, given.refusal, given.filled) == (outcome, refusal, filled)


GONE = [
    failure(10004, "order_not_found"),
    failure(10010, "already_closed"),
    failure(11044, "not_open_order"),
    failure(11008, "already_filled"),
    failure(10029, "not_owner_of_order"),
    result(order(order_id="1", order_state="filled")),
]
REFUSED_GONE = (Outcome.REFUSED, Refusal.UNKNOWN_ORDER)


@pytest.mark.parametrize(
    ("step", "given", "expected"),
    [
        (cancels("1"), result(order(order_id="1", order_state="cancelled")), (Outcome.DONE, None)),
        (cancels("SLIS-1", trigger=True), result(stop(order_id="SLIS-1")), (Outcome.DONE, None)),
        (cancels("1"), result(order(order_id="2", order_state="cancelled")), (Outcome.AMBIGUOUS, None)),
        (cancels("1"), result(order(order_id="1", order_state="open")), (Outcome.AMBIGUOUS, None)),
        (cancels("1"), result({}), (Outcome.AMBIGUOUS, None)),
        (cancels("1"), result([]), (Outcome.AMBIGUOUS, None)),
        *((cancels("1"), given, REFUSED_GONE) for given in GONE),
        (cancels("1", "2"), failure(10004, "order_not_found"), REFUSED_GONE),
        (sweep(), result(7), (Outcome.DONE, None)),
        (sweep(), result(0), (Outcome.DONE, None)),
        (sweep(), result(True), (Outcome.AMBIGUOUS, None)),
        (sweep(), result("all"), (Outcome.AMBIGUOUS, None)),
        (sweep(), failure(11094, "internal_server_error"), (Outcome.AMBIGUOUS, None)),
    ],
    ids=lambda value: str(value)[:50],
)
async def test_what_a_cancellation_came_to(step: Step, given: Answer, expected: tuple[Outcome, Refusal | None]) -> None:
    """The order itself, the count, or that there is nothing any more."""
    async with deribit() as (venue, fetch):
        fetch.default = given
        found = await venue.execute(step)
        assert (found.outcome, found.refusal) == expected


@pytest.mark.parametrize(
    ("given", "outcome", "refusal"),
    [
        (failure(10004, "order_not_found"), Outcome.DONE, None),
        (failure(13021, "forbidden"), Outcome.REFUSED, Refusal.DENIED),
    ],
    ids=["may", "may not"],
)
async def test_the_probe_tells_whether_the_key_may_cancel(given: Answer, outcome: Outcome, refusal: Any) -> None:
    """The venue looked for the order, or would not."""
    async with deribit() as (venue, fetch):
        fetch.answers[CANCEL] = given
        found = await venue.probe()
        assert (found.outcome, found.refusal) == (outcome, refusal)


async def test_spot_is_no_slice_and_a_sale_is_not_sent() -> None:
    """Its order would be a GET that nothing bounds."""
    async with deribit() as (venue, fetch):
        for step in (sell_spot(), sell_spot(slice="inverse")):
            given = await venue.execute(step)
            assert (given.outcome, given.sent_ns) == (Outcome.REFUSED, None)
        assert fetch.sent == []


async def test_a_time_that_is_none_does_not_move_the_clock() -> None:
    """Everything would be signed by it."""
    async with deribit() as (venue, fetch):
        for given in (0, 1_800_000_000, "noon", None):
            fetch.default = result(given)
            with pytest.raises(VenueAnswerUnknown):
                await venue.keep_warm(1)
        assert venue.clock_offset_ms() is None


# The gate

LEVELS = list(Permission)
CANCELS: tuple[Step, ...] = (cancels("1"), cancels("SLIS-1", trigger=True), sweep(), sweep(trigger=True))
CLOSES: tuple[Step, ...] = (
    close(),
    close(side=PositionSide.SHORT),
    close(hedged=True),
    close(limit_price=Decimal(50000)),
    linear_close(),
)


@pytest.mark.parametrize("level", LEVELS)
async def test_every_step_leaves_at_its_level_and_not_below(level: Permission) -> None:
    """Although all are GET requests."""
    async with deribit(permission=level) as (venue, fetch):
        for steps, effect in ((CANCELS, Effect.CANCEL), (CLOSES, Effect.CLOSE)):
            for step in steps:
                fetch.sent.clear()
                given = await venue.execute(step)
                if level.allows(effect):
                    assert len(fetch.sent) == 1
                else:
                    assert (given.refusal, fetch.sent) == (Refusal.PERMISSION, [])
        await venue.read_proof("inverse")


@pytest.mark.parametrize("level", LEVELS)
async def test_what_the_profile_does_not_know_leaves_at_no_level(level: Permission) -> None:
    """They are GET requests, too: withdrawals, transfers, new keys, edits."""
    endpoints = (
        "privateGetWithdraw",
        "privateGetSubmitTransferToUser",
        "privateGetSubmitTransferToSubaccount",
        "privateGetCreateApiKey",
        "privateGetEdit",
        "privateGetEditByLabel",
        "privateGetMassQuote",
        "privateGetMovePositions",
        "privateGetExecuteBlockTrade",
        "privateGetClosePosition",
        "privateGetLogout",
        "publicGetForkToken",
    )
    async with deribit(permission=level) as (venue, fetch):
        for endpoint in endpoints:
            for effect in Effect:
                attempt = await venue._client.attempt(Call(endpoint=endpoint, effect=effect))
                assert isinstance(attempt.error, NotPermitted), endpoint
        with pytest.raises(NotPermitted):
            await venue._client.ccxt.privateGetSell({"instrument_name": "BTC-PERPETUAL", "reduce_only": "true"})
        assert fetch.sent == []


SHORT = "instrument_name=BTC-PERPETUAL&amount=10&type=market"


@pytest.mark.parametrize(
    ("method", "path", "query", "effect"),
    [
        ("GET", "private/sell", f"{SHORT}&reduce_only=true", Effect.CLOSE),
        ("GET", "private/sell", SHORT, Effect.OPEN),
        ("GET", "private/buy", f"{SHORT}&reduce_only=false", Effect.OPEN),
        ("GET", "private/buy", f"{SHORT}&reduce_only=True", Effect.OPEN),
        ("GET", "private/sell", "amount=10&type=stop_market&reduce_only=true", Effect.OPEN),
        ("GET", "private/sell", f"{SHORT}&reduce_only=true&linked_order_type=one_triggers_other", Effect.OPEN),
        ("GET", "private/sell", f"{SHORT}&reduce_only=true&otoco_config=[]", Effect.OPEN),
        ("POST", "private/sell", f"{SHORT}&reduce_only=true", None),
        ("GET", "private/%73ell", SHORT, None),
        ("GET", "private/get_positions/../sell", SHORT, None),
        ("GET", "private/sell/", f"{SHORT}&reduce_only=true", None),
        ("GET", "public/auth", "grant_type=client_credentials&client_secret=x", None),
        ("GET", "public/auth", "grant_type=client_signature", Effect.READ),
        ("GET", "private/withdraw", "currency=BTC", None),
        ("GET", "private/get_positions", "currency=any", Effect.READ),
        ("HEAD", "private/get_positions", "", None),
        ("GET", "private/cancel", "order_id=1", Effect.CANCEL),
        ("GET", "private/cancel_all_by_instrument", "instrument_name=BTC-PERPETUAL", Effect.CANCEL),
        ("GET", "private/cancel_all", "", None),
    ],
)
def test_what_a_request_can_do_is_told_from_itself(method: str, path: str, query: str, effect: Effect | None) -> None:
    """By path, type and bound."""
    request = read_request(f"https://www.deribit.com{API}/{path}?{query}", method, None)
    profile = DeribitProfile(VenueOptions(exchange="deribit", credentials=CREDENTIALS))
    assert profile.effect_of(request) is effect


@pytest.mark.parametrize("effect", list(Effect))
async def test_forged_requests_are_stopped(effect: Effect) -> None:
    """Under the cover of any call: twice the bound, a body, another host's words."""
    url = f"https://www.deribit.com{SELL}?{SHORT}"
    async with deribit(permission=Permission.CLOSE) as (venue, fetch):
        for forged, body in (
            (f"{url}&reduce_only=true&reduce_only=false", None),
            (f"{url}&reduce_only=false&reduce_only=true", None),
            (f"{url}&reduce_only=true", '{"params": {"reduce_only": false}}'),
            (url, None),
        ):
            with wire.recording(Wire(effect=effect)), pytest.raises(NotPermitted):
                await venue._client.ccxt.fetch(forged, "GET", {}, body)
        assert fetch.sent == []


async def test_one_close_is_one_request() -> None:
    """Whatever ccxt may come to do behind it."""
    url = f"https://www.deribit.com{SELL}?{SHORT}&reduce_only=true"
    async with deribit() as (venue, fetch):
        fetch.answers[SELL] = executed()
        with wire.recording(Wire(effect=Effect.CLOSE)):
            await venue._client.ccxt.fetch(url, "GET", {}, None)
            with pytest.raises(NotPermitted, match="second request"):
                await venue._client.ccxt.fetch(url, "GET", {}, None)
        assert fetch.only.path == SELL
